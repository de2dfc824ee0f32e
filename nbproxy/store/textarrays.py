"""Text columns for pandas that cost nothing before they are used.

A frame has a dozen columns of text, and most are never looked at. `text_array` gives pandas an
array of its own type (that of the `str` dtype, say) whose Arrow data is made when something asks
for it; from that moment it is nothing but an array of that type. Until then it answers by itself
what needs no text: its length, which rows are missing, parts of it, the groups of `groupby`.

Theory of operation. All arrays of text that pandas keeps in Arrow have an attribute `_pa_array`
(2.3 to 3.1 do). Ours is of a subclass and lacks it, so that the first access comes to
`__getattr__`: there the data is made and put in place, and the object's class becomes pandas' own.
pandas itself never makes one of the subclass: its constructor gives plain arrays. Should a pandas
without that attribute come, arrays are plain from the beginning, and only slower.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from nbproxy.store.columns import TEXT, Texts, joined_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from pandas.api.extensions import ExtensionArray

    from nbproxy.store.columns import Positions

_SHORT: Final = 2**31 - 1  # so many bytes of text can have offsets of 4 bytes
_OF_EVERY_CLASS: Final = ("__dict__", "__weakref__", "__annotations__", "__module__", "__doc__")
_RUNS: Final = 4  # positions that go back more often than this are out of order


class TextRows:
    """Text of many rows, in parts.

    Args:
        parts: They follow each other.
    """

    def __init__(self, parts: Sequence[Texts]) -> None:
        some = [part for part in parts if len(part)]
        # in one tuple, since threads that share a frame may look while `whole` puts in another
        self._layout = some, np.cumsum([len(part) for part in some], dtype=np.int64)
        self._arrow: pa.ChunkedArray | None = None

    def __len__(self) -> int:
        _, ends = self._layout
        return int(ends[-1]) if len(ends) else 0

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        parts, _ = self._layout
        return sum(part.nbytes for part in parts)

    def arrow(self, kind: pa.DataType) -> pa.ChunkedArray:
        """The text as Arrow has it; made once."""
        made = self._arrow
        if made is None or made.type != kind:
            parts, _ = self._layout
            same: dict[str | None, pa.Array] = {}  # what is the same in many rows is there once
            for part in sorted(parts, key=len, reverse=True):
                if part.is_constant:
                    same.setdefault(part.entries[0].as_py(), part.arrow())
            chunks = []
            for part in parts:
                if part.is_constant:
                    chunks += _cast(same[part.entries[0].as_py()][: len(part)], kind)
                else:
                    chunks += _cast(part.arrow(), kind)
            self._arrow = made = pa.chunked_array(chunks, type=kind)
        return made

    def whole(self) -> Texts:
        """All of it as one column; made once."""
        parts, ends = self._layout
        if len(parts) > 1:
            parts = [joined_texts(parts)]
            self._layout = parts, ends[-1:]
        return parts[0] if parts else Texts(0, pa.array([], TEXT))

    def one(self, position: int) -> str | None:
        """The text at a position, which is not negative."""
        parts, ends = self._layout
        number = int(np.searchsorted(ends, position, side="right"))
        part = parts[number]
        inside = position - int(ends[number]) + len(part)
        text: str | None = part.slice(inside, inside + 1).to_list()[0]
        return text

    def slice(self, start: int, stop: int) -> TextRows:
        """The rows from one position to before another."""
        parts, ends = self._layout
        found = []
        for part, end in zip(parts, ends.tolist(), strict=True):
            begin = end - len(part)
            low, high = max(start, begin) - begin, min(stop, end) - begin
            if low < high:
                found.append(part if high - low == len(part) else part.slice(low, high))
        return TextRows(found)

    def take(self, positions: Positions) -> TextRows:
        """The rows at these positions, in their order; none is negative."""
        if np.count_nonzero(positions[1:] < positions[:-1]) > _RUNS:
            return TextRows([self.whole().take(positions)])
        parts, ends = self._layout
        numbers = np.searchsorted(ends, positions, side="right")
        found = []
        for run in np.split(positions, np.flatnonzero(np.diff(numbers)) + 1):
            if len(run):
                number = int(np.searchsorted(ends, run[0], side="right"))
                found.append(parts[number].take(run - (ends[number] - len(parts[number]))))
        return TextRows(found)

    def present(self) -> npt.NDArray[np.bool_]:
        """Where there is text."""
        parts, _ = self._layout
        return np.concatenate([np.zeros(0, np.bool_), *(part.present() for part in parts)])


def _cast(text: pa.Array, kind: pa.DataType) -> list[pa.Array]:
    """Text of a type, in pieces where that type's offsets do not suffice."""
    if text.nbytes >= _SHORT and kind != TEXT and len(text) > 1:
        middle = len(text) // 2
        return [*_cast(text[:middle], kind), *_cast(text[middle:], kind)]
    return [text.cast(kind)]


def text_array(rows: TextRows, dtype: Any) -> ExtensionArray:
    """An array for pandas.

    Args:
        rows: The text.
        dtype: A `StringDtype` in Arrow's storage, or an `ArrowDtype` of text.
    """
    array = dtype.__from_arrow__(pa.chunked_array([], type=_kind(dtype)))
    try:
        array.__class__ = _unmade(array.__class__)
        del array.__dict__["_pa_array"]
        array.__dict__["_rows"] = rows
    except (KeyError, TypeError):  # a pandas or a Python in which this is not to be had
        array = dtype.__from_arrow__(rows.arrow(_kind(dtype)))
    return array  # type: ignore[no-any-return] # pandas does not say what __from_arrow__ gives


def _kind(dtype: Any) -> pa.DataType:
    return getattr(dtype, "pyarrow_dtype", TEXT)


def _made(array: Any) -> Any:
    """The array itself, with its data."""
    array._pa_array  # noqa: B018, SLF001 - see the module
    return array


def _like(array: Any, rows: TextRows) -> Any:
    """Other rows in an array of the same type."""
    made: Any = text_array(rows, array.dtype)
    if "_readonly" in array.__dict__:  # what pandas 3 says of views
        made.__dict__["_readonly"] = array.__dict__["_readonly"]
    return made


@cache
def _unmade(base: Any) -> Any:
    """The subclass of one of pandas' types of arrays whose data is yet to be made."""
    # of one base, and without slots: an object changes only between classes of the same layout
    names = {name: each for name, each in vars(_Unmade).items() if name not in _OF_EVERY_CLASS}
    names |= {"__module__": base.__module__, "__qualname__": base.__qualname__, "_base": base}
    return type(base.__name__, (base,), names)


class _Unmade:
    """The methods of that subclass.

    In each of them there may be no rows, if another thread has made the data at this moment: then
    the object is of pandas' class already.
    """

    _base: Any
    dtype: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # pandas makes arrays of the type of another one: these have data
        base = cls._base
        return base(*args, **kwargs) if args or kwargs else base.__new__(base)

    def __getattr__(self, name: str) -> Any:
        if name != "_pa_array":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        state = self.__dict__
        rows = state.get("_rows")
        if rows is not None:
            state[name] = rows.arrow(_kind(self.dtype))
            self.__class__ = getattr(type(self), "_base", type(self))
            state.pop("_rows", None)
        return state[name]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _made(self).__reduce_ex__(protocol)

    def __len__(self) -> int:
        rows = self.__dict__.get("_rows")
        return len(_made(self) if rows is None else rows)

    @property
    def nbytes(self) -> int:
        rows = self.__dict__.get("_rows")
        return int((_made(self) if rows is None else rows).nbytes)

    def isna(self) -> Any:
        rows = self.__dict__.get("_rows")
        return _made(self).isna() if rows is None else ~rows.present()

    def copy(self) -> Any:
        rows = self.__dict__.get("_rows")
        return _made(self).copy() if rows is None else _like(self, rows)

    def view(self, dtype: Any = None) -> Any:
        rows = self.__dict__.get("_rows") if dtype is None else None
        return _made(self).view(dtype) if rows is None else _like(self, rows)

    def __getitem__(self, item: Any) -> Any:
        rows = self.__dict__.get("_rows")
        if rows is not None:
            size = len(rows)
            match item:
                case slice(step=None | 1):
                    start, stop, _ = item.indices(size)
                    return _like(self, rows.slice(start, stop))
                case int() | np.integer() if -size <= item < size and not isinstance(item, bool):
                    text = rows.one(int(item) % size)
                    return self.dtype.na_value if text is None else text
                case np.ndarray(dtype=np.bool_, shape=(count,)) if count == size:
                    return _like(self, rows.take(np.flatnonzero(item)))
        return _made(self)[item]

    def take(self, indices: Any, allow_fill: bool = False, fill_value: Any = None) -> Any:
        rows = self.__dict__.get("_rows")
        positions = np.asarray(indices)
        if rows is not None and positions.size and positions.dtype.kind in "iu":
            size = len(rows)
            if positions.max() < size and positions.min() >= (0 if allow_fill else -size):
                positions = np.where(positions < 0, positions + size, positions)
                return _like(self, rows.take(positions))
        return _made(self).take(indices, allow_fill=allow_fill, fill_value=fill_value)

    def factorize(self, use_na_sentinel: bool = True) -> Any:
        coded = _Unmade.coded_text(self) if use_na_sentinel else None
        if coded is None:
            return _made(self).factorize(use_na_sentinel=use_na_sentinel)
        entries, codes = coded
        seen = pa.array(codes).dictionary_encode()  # numbered by first appearance, as pandas does
        numbers = seen.indices.to_numpy().astype(np.intp)
        texts = entries.take(seen.dictionary).cast(TEXT)
        for missing in np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False)):
            numbers = np.where(numbers == missing, -1, numbers - (numbers > missing))
        return numbers, _like(self, TextRows([Texts.of(texts.drop_null())]))

    def coded_text(self) -> tuple[pa.Array, npt.NDArray[Any]] | None:
        """The different texts, and for each row which one it has; None if that takes long."""
        rows = self.__dict__.get("_rows")
        whole = None if rows is None else rows.whole()
        return whole.coded() if whole is not None and whole.is_coded else None
