"""Values of one column in little memory: numbers relative to the smallest one, text by number.

A column of a segment is one of `Ints`, `Floats`, `Texts` and `Objects`. All are immutable: what
changes rows makes a new column, so that frames which users hold may share with us.

- Whole numbers, times and booleans are kept as differences from the smallest of them, in as few
  bytes as the largest difference takes; none at all where all are the same.
- Durations are differences of two times in seconds, which are floats of about 2**30: so they are
  whole multiples of 2**-22, and fit 4 bytes without loss. Floats that are not stay as they are.
- Text of which there are few different ones is kept as a number for each row and a list of the
  different ones; other text as Arrow has it, with offsets of 4 bytes.

Up to `FEW` rows nothing is gained by any of that, and they are kept as they come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from nbproxy.store.schema import Kind

    Positions: TypeAlias = npt.NDArray[np.int64]

MISSING: Final = np.iinfo(np.int64).min
"""Stands for a missing whole number, and (as numpy has it) for NaT."""

FEW: Final = 256
EPOCH: Final = {"time": datetime(1970, 1, 1, tzinfo=UTC), "naive time": datetime(1970, 1, 1)}  # noqa: DTZ001 - that is what it is
TEXT: Final = pa.large_string()

_STEPS: Final = 2.0**22  # a second in the steps that time stamps of our days have
_NAN: Final = 2**32 - 1  # stands for NaN among steps
_SHORT: Final = 2**31 - 1  # so many bytes of text can have offsets of 4 bytes
_WIDTHS: Final = (np.uint8, np.uint16, np.uint32)


def _width(largest: int) -> Any:
    """The type of whole numbers from 0 to the largest; None if it has more than 32 bits."""
    return next((each for each in _WIDTHS if largest <= np.iinfo(each).max), None)


@dataclass(frozen=True, slots=True, eq=False)
class Ints:
    """Whole numbers of 64 bits; times (microseconds since 1970) and booleans too.

    Attributes:
        kind: What they are.
        size: How many.
        base: What a code of 0 is worth; the value of all if there are no codes.
        codes: For each row what it is worth above the base; None if all are the same.
        holes: Whether a code of 0 says that the value is missing. Where codes have 64 bits (and the
            base is 0), `MISSING` says it.
    """

    kind: Kind
    size: int
    base: int
    codes: npt.NDArray[Any] | None
    holes: bool = False

    @classmethod
    def of(cls, kind: Kind, values: npt.NDArray[np.int64]) -> Ints:
        """A column of numbers; `MISSING` where there is none."""
        size = len(values)
        if size <= FEW:
            return cls(kind, size, 0, values)
        low, high = int(values.min()), int(values.max())
        if low == high:
            return cls(kind, size, low, None)
        missing = None
        if low == MISSING:
            missing = values == MISSING
            low = int(values[~missing].min()) - 1
        width = _width(high - low)
        if width is None:
            return cls(kind, size, 0, values)
        codes = (values - np.int64(low)).astype(width)
        if missing is not None:
            codes[missing] = 0
        return cls(kind, size, low, codes, missing is not None)

    def __len__(self) -> int:
        return self.size

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 0 if self.codes is None else self.codes.nbytes

    def fill(self, out: npt.NDArray[Any]) -> None:
        """Write the numbers into an array of 64 bits, or booleans into one of booleans."""
        if self.codes is None:
            out[:] = self.base
        elif out.dtype == np.bool_:
            np.not_equal(self.codes, -self.base, out=out)
        else:
            np.add(self.codes, np.int64(self.base), out=out, dtype=np.int64)
            if self.holes:
                out[self.codes == 0] = MISSING

    def array(self) -> npt.NDArray[np.int64]:
        """The numbers, `MISSING` where there is none."""
        out = np.empty(self.size, dtype=np.int64)
        self.fill(out)
        return out

    def floats(self) -> npt.NDArray[np.float64]:
        """The numbers as floats, NaN where there is none; exact below 2**53."""
        numbers = self.array().astype(np.float64)
        numbers[~self.present()] = math.nan
        return numbers

    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is a number."""
        if self.codes is None:
            return np.full(self.size, self.base != MISSING)
        if self.holes:
            return cast("npt.NDArray[np.bool_]", self.codes != 0)
        if self.codes.dtype == np.int64:
            return cast("npt.NDArray[np.bool_]", self.codes != MISSING)
        return np.ones(self.size, dtype=np.bool_)

    def take(self, positions: Positions) -> Ints:
        """The rows at these positions, in their order."""
        codes = None if self.codes is None else self.codes[positions]
        return Ints.of(self.kind, replace(self, size=len(positions), codes=codes).array())

    def put(self, positions: Positions, values: Ints) -> Ints:
        """This column with other values at these positions."""
        codes, new = self.codes, values.array()
        if codes is not None:
            steps = new - np.int64(self.base)  # may wrap around, and is then out of range
            if self.holes:
                steps = np.where(new == MISSING, 0, np.where(steps > 0, steps, -1))
            limits = np.iinfo(codes.dtype)
            fits = (steps >= limits.min) & (steps <= limits.max)
            if codes.dtype == np.int64 or (fits.all() and (self.holes or (new != MISSING).all())):
                codes = codes.copy()
                codes[positions] = steps
                return replace(self, codes=codes)
        whole = self.array()
        whole[positions] = new
        return Ints.of(self.kind, whole)

    def slice(self, start: int, stop: int) -> Ints:
        """The rows from one position to before another; shares its memory with this column."""
        codes = None if self.codes is None else self.codes[start:stop]
        return replace(self, size=stop - start, codes=codes)

    def differ(self, other: Ints) -> npt.NDArray[np.bool_]:
        """Where two columns of the same size are different."""
        return np.not_equal(self.array(), other.array())

    def to_list(self) -> list[Any]:
        """The values as Python has them."""
        numbers = self.array().tolist()
        match self.kind:
            case "time" | "naive time":
                epoch = EPOCH[self.kind]
                return [
                    None if v == MISSING else epoch + timedelta(microseconds=v) for v in numbers
                ]
            case "bool" | "nullable bool":
                return [None if value == MISSING else bool(value) for value in numbers]
            case _:
                return [None if value == MISSING else value for value in numbers]


@dataclass(frozen=True, slots=True, eq=False)
class Floats:
    """Floats of 64 bits, NaN where there is none.

    Attributes:
        size: How many.
        value: That of all, if there are no codes.
        codes: The floats themselves, or their steps in 32 bits; None if all are the same.
    """

    size: int
    value: float
    codes: npt.NDArray[Any] | None
    kind: Kind = "float"

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> Floats:
        """A column of numbers."""
        size = len(values)
        if size <= FEW:
            return cls(size, math.nan, values)
        missing = np.isnan(values)
        if missing.all() or (values == values[0]).all():
            return cls(size, float(values[0]), None)
        steps = _steps(values)
        return cls(size, math.nan, values if steps is None else steps)

    def __len__(self) -> int:
        return self.size

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 0 if self.codes is None else self.codes.nbytes

    def fill(self, out: npt.NDArray[np.float64]) -> None:
        """Write the numbers into an array."""
        if self.codes is None:
            out[:] = self.value
        elif self.codes.dtype == np.float64:
            out[:] = self.codes
        else:
            np.multiply(self.codes, 1 / _STEPS, out=out)
            out[self.codes == _NAN] = math.nan

    def floats(self) -> npt.NDArray[np.float64]:
        """The numbers, NaN where there is none."""
        out = np.empty(self.size)
        self.fill(out)
        return out

    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is a number."""
        return ~np.isnan(self.floats())

    def take(self, positions: Positions) -> Floats:
        """The rows at these positions, in their order."""
        codes = None if self.codes is None else self.codes[positions]
        return Floats.of(replace(self, size=len(positions), codes=codes).floats())

    def put(self, positions: Positions, values: Floats) -> Floats:
        """This column with other values at these positions."""
        codes, new = self.codes, values.floats()
        if codes is not None:
            steps = new if codes.dtype == np.float64 else _steps(new)
            if steps is not None:
                codes = codes.copy()
                codes[positions] = steps
                return replace(self, codes=codes)
        whole = self.floats()
        whole[positions] = new
        return Floats.of(whole)

    def slice(self, start: int, stop: int) -> Floats:
        """The rows from one position to before another; shares its memory with this column."""
        codes = None if self.codes is None else self.codes[start:stop]
        return replace(self, size=stop - start, codes=codes)

    def differ(self, other: Floats) -> npt.NDArray[np.bool_]:
        """Where two columns of the same size are different."""
        old, new = self.floats(), other.floats()
        return cast("npt.NDArray[np.bool_]", (old != new) & ~(np.isnan(old) & np.isnan(new)))

    def to_list(self) -> list[Any]:
        """The values as Python has them."""
        return [None if math.isnan(value) else value for value in self.floats().tolist()]


def _steps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32] | None:
    """Floats as whole steps; None if one of them is none."""
    missing = np.isnan(values)
    steps = np.where(missing, 0.0, values) * _STEPS
    if not ((steps >= 0) & (steps < _NAN)).all():
        return None
    codes = steps.astype(np.uint32)
    if not (codes == steps).all():
        return None
    codes[missing] = _NAN
    return codes


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """Text, null where there is none.

    Attributes:
        size: How many.
        entries: The texts of all rows or, where they are coded, the different ones.
        is_coded: Which of the two.
        codes: For each row the position of its entry; None if all have the same one.
    """

    size: int
    entries: pa.Array
    is_coded: bool = False
    codes: npt.NDArray[Any] | None = None
    kind: Kind = "str"

    @classmethod
    def of(cls, values: pa.Array) -> Texts:
        """A column of an Arrow array of text."""
        if len(values) <= FEW:
            return cls(len(values), values)
        coded = values.dictionary_encode(null_encoding="encode")
        if _pays(coded.dictionary, len(values)):
            return cls._coded(coded.dictionary, coded.indices.to_numpy())
        return cls(len(values), _compact(values))

    @classmethod
    def of_codes(cls, entries: pa.Array, codes: npt.NDArray[Any]) -> Texts:
        """A column of texts of which the different ones are given, and which one each row has."""
        size = len(codes)
        if size > FEW:
            if len(entries) > FEW:  # fewer may stay, used or not
                used = np.zeros(len(entries), dtype=np.bool_)
                used[codes] = True
                if 2 * np.count_nonzero(used) < len(entries):
                    entries = entries.filter(pa.array(used))
                    codes = (np.cumsum(used) - 1)[codes]
            if _pays(entries, size):
                return cls._coded(entries, codes)
        return cls(size, _taken(entries, codes))

    @classmethod
    def _coded(cls, entries: pa.Array, codes: npt.NDArray[Any]) -> Texts:
        count = len(entries)
        narrow = codes.astype(_width(count - 1), copy=False) if count > 1 else None
        return cls(len(codes), _compact(entries), True, narrow)

    def __len__(self) -> int:
        return self.size

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(self.entries.nbytes) + (0 if self.codes is None else self.codes.nbytes)

    @property
    def is_constant(self) -> bool:
        """Whether all are known to be the same."""
        return self.is_coded and self.codes is None

    def coded(self) -> tuple[pa.Array, npt.NDArray[Any]]:
        """Some texts, and for each row which one it has. A text may be there twice, or unused."""
        if self.codes is not None:
            return self.entries, self.codes
        if self.is_coded:
            return self.entries, np.zeros(self.size, dtype=np.uint8)
        if self.size <= FEW:
            return self.entries, np.arange(self.size)
        coded = self.entries.dictionary_encode(null_encoding="encode")
        return coded.dictionary, coded.indices.to_numpy()

    def arrow(self) -> pa.Array:
        """The text as an Arrow array of `large_string`."""
        entries = self.entries.cast(TEXT)
        if not self.is_coded:
            return entries
        if self.codes is None:
            return pa.repeat(entries[0], self.size)
        return entries.take(pa.array(self.codes))

    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is text."""
        present = self.entries.is_valid().to_numpy(zero_copy_only=False)
        if not self.is_coded:
            return cast("npt.NDArray[np.bool_]", present)
        if self.codes is None:
            return np.full(self.size, present[0])
        return np.ones(self.size, dtype=np.bool_) if present.all() else present[self.codes]

    def take(self, positions: Positions) -> Texts:
        """The rows at these positions, in their order."""
        if self.is_coded:
            return Texts.of_codes(self.entries, self.coded()[1][positions])
        if len(positions) <= FEW:
            return Texts(len(positions), _taken(self.entries, positions))
        return Texts.of(self.entries.cast(TEXT).take(pa.array(positions)))

    def put(self, positions: Positions, values: Texts) -> Texts:
        """This column with other values at these positions."""
        if self.is_coded and len(self.entries) < max(self.size // 2, FEW):
            entries, codes = self.coded()
            given, own = values.coded()
            numbers = pc.index_in(given.cast(TEXT), value_set=entries.cast(TEXT))
            new = given.filter(numbers.is_null())
            if len(new):  # what no row has any more goes when all is put in order below
                entries = pa.concat_arrays([entries.cast(TEXT), new.cast(TEXT)])
                numbers = pc.index_in(given.cast(TEXT), value_set=entries)
            codes = codes.astype(_width(len(entries) - 1))
            codes[positions] = numbers.to_numpy()[own]
            return replace(self, entries=_compact(entries), codes=codes)
        index = np.arange(self.size)
        index[positions] = self.size + np.arange(len(positions))
        return joined_texts([self, values]).take(index)

    def slice(self, start: int, stop: int) -> Texts:
        """The rows from one position to before another; shares its memory with this column."""
        if not self.is_coded:
            return Texts(stop - start, self.entries.slice(start, stop - start))
        codes = None if self.codes is None else self.codes[start:stop]
        return replace(self, size=stop - start, codes=codes)

    def differ(self, other: Texts) -> npt.NDArray[np.bool_]:
        """Where two columns of the same size are different."""
        pairs = zip(self.to_list(), other.to_list(), strict=True)
        return np.array([a != b for a, b in pairs], dtype=np.bool_)

    def to_list(self) -> list[Any]:
        """The values as Python has them."""
        return cast("list[Any]", self.arrow().to_pylist())


def _pays(entries: pa.Array, size: int) -> bool:
    """Whether so many rows of these texts take less memory when they are coded."""
    count = len(entries)
    each = max(1.0, entries.nbytes / count)
    codes = size * np.dtype(_width(count - 1)).itemsize if count > 1 else 0
    return bool(count * each + codes < size * each)


def _taken(entries: pa.Array, positions: npt.NDArray[Any]) -> pa.Array:
    """Text at some positions."""
    index = pa.array(positions)
    if len(positions) <= FEW and entries.nbytes * len(positions) < _SHORT:
        return entries.take(index).cast(TEXT)
    return _compact(entries.cast(TEXT).take(index))


def _compact(text: pa.Array) -> pa.Array:
    """Text with offsets of 4 bytes where they suffice."""
    return text.cast(pa.string()) if text.nbytes < _SHORT else text


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Values of any type, or of several; None where there is none.

    Attributes:
        objects: Them.
    """

    objects: npt.NDArray[np.object_]
    kind: Kind = "object"

    @classmethod
    def of(cls, values: Sequence[Any]) -> Objects:
        """A column of any values."""
        array = np.empty(len(values), dtype=object)
        for position, value in enumerate(values):  # not at once: values may be lists themselves
            array[position] = value
        return cls(array)

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def nbytes(self) -> int:
        """Size in bytes, without the objects."""
        return self.objects.nbytes

    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is a value."""
        return np.array([value is not None for value in self.objects], dtype=np.bool_)

    def take(self, positions: Positions) -> Objects:
        """The rows at these positions, in their order."""
        return Objects(self.objects[positions])

    def put(self, positions: Positions, values: Objects) -> Objects:
        """This column with other values at these positions."""
        objects = self.objects.copy()
        objects[positions] = values.objects
        return Objects(objects)

    def slice(self, start: int, stop: int) -> Objects:
        """The rows from one position to before another; shares its memory with this column."""
        return Objects(self.objects[start:stop])

    def differ(self, other: Objects) -> npt.NDArray[np.bool_]:
        """Where two columns of the same size hold different objects."""
        pairs = zip(self.objects, other.objects, strict=True)
        return np.array([a is not b for a, b in pairs], dtype=np.bool_)

    def to_list(self) -> list[Any]:
        """The values."""
        return list(self.objects)


Column: TypeAlias = Ints | Floats | Texts | Objects


def joined(columns: Sequence[Any]) -> Column:
    """One column of several, which are all of one kind."""
    match columns[0]:
        case Ints(kind=kind):
            return Ints.of(kind, np.concatenate([each.array() for each in columns]))
        case Floats():
            return Floats.of(np.concatenate([each.floats() for each in columns]))
        case Texts():
            return joined_texts(columns)
        case _:
            return Objects(np.concatenate([each.objects for each in columns]))


def joined_texts(columns: Sequence[Texts]) -> Texts:
    """One column of several."""
    if any(not each.is_coded and each.size > FEW for each in columns):
        return Texts.of(pa.concat_arrays([each.arrow() for each in columns]))
    pairs = []
    for is_coded, some in groupby(columns, key=lambda each: each.is_coded):
        if is_coded:
            pairs += [each.coded() for each in some]
        else:  # few rows each: together they are one part
            plain = pa.concat_arrays([each.arrow() for each in some])
            pairs.append((plain, np.arange(len(plain))))
    entries = pa.concat_arrays([entries.cast(TEXT) for entries, _ in pairs])
    unified = entries.dictionary_encode(null_encoding="encode")
    numbers = unified.indices.to_numpy().astype(_width(len(unified.dictionary)))
    codes = []
    start = 0
    for some, own in pairs:
        codes.append(numbers[start : start + len(some)][own])
        start += len(some)
    return Texts.of_codes(unified.dictionary, np.concatenate(codes))
