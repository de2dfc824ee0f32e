"""Columns of many rows: runs of rows in the order of ids, each a set of arrays.

A `Segment` holds numbers as numpy arrays and text as Arrow arrays. Text arrays are immutable and
shared with the frames that users hold; number arrays are ours alone and are changed in place.
New rows become a segment of their own, and neighbours are merged like the digits of a binary
counter, so that a row is copied a logarithmic number of times and there are always few segments.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from nbproxy.store.rows import clean_bool, clean_float, clean_int, clean_text, read_rows
from nbproxy.store.schema import COLUMNS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from nbproxy.model.flow import HTTPFlow

MISSING = np.iinfo(np.int64).min
"""Stands for a missing nullable int, and (as numpy has it) for NaT."""

MAX_MERGED_ROWS = 2**17
"""Segments beyond this are not merged further: one merge stays under some 10 ms."""

_BATCH_ROWS = 4096  # read at a time: so many flows stay in the processor's cache meanwhile
_LATEST = 1e11  # seconds: the year 5138; beyond that a time is nonsense

_TEXT = frozenset(column.name for column in COLUMNS if column.kind == "str")
_KINDS: dict[str, Kind] = {column.name: column.kind for column in COLUMNS}

Numbers = Any  # np.ndarray; its dtype depends on the column


def text_array(values: Sequence[Any]) -> pa.Array:
    """Text as Arrow has it; None is null."""
    try:
        return pa.array(values, type=pa.large_string())
    except (pa.ArrowException, TypeError, ValueError):  # a lone surrogate, or no text at all
        return pa.array([clean_text(value) for value in values], type=pa.large_string())


def number_array(kind: Kind, values: Sequence[Any]) -> Numbers:
    """Numbers of a column in the form in which segments hold them."""
    if kind == "bool":
        return np.array([clean_bool(value) for value in values], dtype=np.bool_)
    if kind == "float":
        return _floats(values)
    if kind == "time":
        return _microseconds(_floats(values))
    missing = MISSING if kind == "nullable int" else 0
    return np.array(
        [v if type(v) is int and 0 <= v < 2**63 else clean_int(v, missing) for v in values],
        dtype=np.int64,
    )


def _floats(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        return np.array([math.nan if v is None else clean_float(v) for v in values])


def _microseconds(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    known = (seconds > 0) & (seconds < _LATEST)  # False for NaN; 0.0 says that nobody knows
    result = np.full(len(seconds), MISSING, dtype=np.int64)
    result[known] = np.rint(seconds[known] * 1e6)
    return result


class Segment:
    """A run of rows.

    Attributes:
        ids: Their ids, ascending.
        numbers: Arrays of the columns that are not text, by name.
        text: Arrow arrays of the text columns, by name.
    """

    __slots__ = ("ids", "numbers", "text")

    def __init__(
        self, ids: npt.NDArray[np.int64], numbers: dict[str, Numbers], text: dict[str, pa.Array]
    ) -> None:
        self.ids = ids
        self.numbers = numbers
        self.text = text

    @classmethod
    def read(cls, flows: Sequence[HTTPFlow]) -> Segment:
        """A segment of flows, which are in the order of ids."""
        rows = read_rows(flows)
        return cls(
            np.array([flow.id for flow in flows], dtype=np.int64),
            {
                name: number_array(_KINDS[name], values)
                for name, values in rows.items()
                if name not in _TEXT
            },
            {name: text_array(values) for name, values in rows.items() if name in _TEXT},
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, positions: Any) -> Segment:
        """The rows at these positions, in their order; independent of this segment."""
        index = pa.array(positions, type=pa.int64())
        return Segment(
            self.ids[positions],
            {name: array[positions] for name, array in self.numbers.items()},
            {name: array.take(index) for name, array in self.text.items()},
        )

    def without(self, ids: npt.NDArray[np.int64]) -> Segment:
        """The rows that are not among these ids; itself if none is."""
        gone = np.isin(self.ids, ids)
        return self.take(np.flatnonzero(~gone)) if gone.any() else self

    def positions(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where those of the ids are that this segment has; the ids ascend."""
        first, end = np.searchsorted(ids, (self.ids[0], self.ids[-1] + 1))
        near = ids[first:end]
        found = np.searchsorted(self.ids, near)
        positions: npt.NDArray[np.int64] = found[self.ids[found] == near]
        return positions

    def replace(self, positions: npt.NDArray[np.int64], rows: Segment) -> None:
        """Put other values into the rows at these ascending positions."""
        for name, array in self.numbers.items():
            array[positions] = rows.numbers[name]
        index = pa.array(positions, type=pa.int64())
        for name, array in self.text.items():
            old, new = array.take(index), rows.text[name]
            if not old.equals(new):
                differ = [i for i, (a, b) in enumerate(zip(old, new, strict=True)) if a != b]
                self.text[name] = _patched(array, positions[differ], new.take(pa.array(differ)))


def _patched(array: pa.Array, positions: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    """The array with other values at these ascending positions."""
    if len(positions) > len(array) // 16:  # many: cheaper by way of Python's objects
        plain = array.to_pylist()
        for position, value in zip(positions.tolist(), values.to_pylist(), strict=True):
            plain[position] = value
        return pa.array(plain, type=array.type)
    pieces = []
    start = 0
    for i, position in enumerate(positions.tolist()):
        pieces += [array.slice(start, position - start), values.slice(i, 1)]
        start = position + 1
    pieces.append(array.slice(start))
    return pa.concat_arrays(pieces)


def joined(segments: Sequence[Segment]) -> Segment:
    """One segment of several, which follow each other by ids; independent of them."""
    return Segment(
        np.concatenate([segment.ids for segment in segments]),
        {
            name: np.concatenate([segment.numbers[name] for segment in segments])
            for name in segments[0].numbers
        },
        {
            name: pa.concat_arrays([segment.text[name] for segment in segments])
            for name in segments[0].text
        },
    )


class Table:
    """Rows in the order of ids, in segments.

    Attributes:
        segments: They follow each other by ids; none is empty.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    def clear(self) -> None:
        """Take all rows out."""
        self.segments = []

    def append(self, flows: Sequence[HTTPFlow]) -> None:
        """Add rows of flows in the order of ids, all above the last one's."""
        for start in range(0, len(flows), _BATCH_ROWS):
            self.segments.append(Segment.read(flows[start : start + _BATCH_ROWS]))
            self._merge()

    def _merge(self) -> None:
        segments = self.segments
        while len(segments) > 1:
            last, before = len(segments[-1]), len(segments[-2])
            if before >= 2 * last or before + last > MAX_MERGED_ROWS:
                return
            segments[-2:] = [joined(segments[-2:])]

    def put(self, flows: Iterable[HTTPFlow]) -> None:
        """Read these again, in any order; ids that there are not yet become rows."""
        ordered = sorted(flows, key=lambda flow: flow.id)
        if not ordered:
            return
        rows = Segment.read(ordered)
        known = np.zeros(len(rows), dtype=np.bool_)
        for segment in self.segments:
            found = segment.positions(rows.ids)
            if len(found):
                present = np.searchsorted(rows.ids, segment.ids[found])
                segment.replace(found, rows.take(present))
                known[present] = True
        if not known.all():
            self._insert(rows.take(np.flatnonzero(~known)))

    def _insert(self, rows: Segment) -> None:
        """Rows that came late: their ids lie between others'. Rare, so all is put in order anew."""
        whole = joined([*self.segments, rows])
        self.segments = [whole.take(np.argsort(whole.ids))]

    def remove(self, ids: Iterable[int]) -> None:
        """Take rows out; ids that are not there do not matter."""
        gone = np.array(sorted(ids), dtype=np.int64)
        if len(gone):
            kept = (segment.without(gone) for segment in self.segments)
            self.segments = [segment for segment in kept if len(segment)]

    def select(self, ids: Sequence[int]) -> list[Segment]:
        """The rows with these ids, in the order of ids; not to be changed."""
        wanted = np.array(ids, dtype=np.int64)
        if not (wanted[1:] > wanted[:-1]).all():
            wanted = np.unique(wanted)
        found = []
        for segment in self.segments:
            positions = segment.positions(wanted)
            if len(positions) == len(segment):
                found.append(segment)
            elif len(positions):
                found.append(segment.take(positions))
        return found
