"""The numbers of a frame, as arrays that belong to whoever has the frame.

`Copies` makes them anew. For many rows that takes long, mostly because the system has to find and
clear so much memory. `Shared` therefore keeps the numbers of all rows in one piece of memory, which
each frame sees through a mapping of its own: it costs nothing until somebody writes into it, and
then the system copies that page for him. So a frame costs what is new since the last one, and what
is done to it reaches neither us nor another frame.

Theory of operation of `Shared`. The memory is a nameless file (memfd) that is mapped twice: shared
for us, who write rows to it, and privately (copy on write) for each frame. Linux lets changes of
the file shine through where a page of a private mapping was not written to. New rows lie beyond the
end of earlier frames and are not seen. Where an old row changes, the page is copied in all mappings
that are in use before we write it (`MADV_POPULATE_WRITE`, Linux 5.14). Rows that go at the
beginning are passed over; whatever else happens to rows has all of them written to a new file.
Where any of this is not to be had, there are copies.
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from nbproxy.store.columns import MISSING
from nbproxy.store.segments import Moves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from typing import TypeAlias

    import numpy.typing as npt

    from nbproxy.store.schema import Kind
    from nbproxy.store.segments import Rows, Table

    Array: TypeAlias = npt.NDArray[Any]
    Places: TypeAlias = npt.NDArray[np.int64]

MANY_ROWS: Final = 2**16
"""Fewer are copied: that is cheap, and takes no file descriptor for each frame."""

_MOST_MAPPINGS: Final = 100  # each takes a file descriptor, of which a process may have 1024
_POPULATE_WRITE: Final = 23  # of madvise; Python has no name for it
_IDS: Final = "id"
_MASKED: Final = ("nullable int", "nullable bool")


class Numbers(Protocol):
    """Gives the arrays of a frame's columns, each once: nobody else has them."""

    def column(self, name: str) -> tuple[Array, Array]:
        """The numbers of a column and, if it is a nullable one, where they are missing.

        There they are 0.
        """
        ...

    def ids(self) -> Array:
        """The ids."""
        ...


def _dtype(kind: Kind) -> np.dtype[Any]:
    return np.dtype({"float": "f8", "bool": "?"}.get(kind, "i8"))


def _write(kind: Kind, parts: Iterable[Any], out: Array, missing: Array) -> None:
    """Write parts of a column one after another."""
    start = 0
    for part in parts:
        stop = start + len(part)
        numbers = out[start:stop]
        part.fill(numbers)
        if kind in _MASKED:
            np.equal(numbers, MISSING, out=missing[start:stop])
            numbers[missing[start:stop]] = 0
        start = stop


def _write_to_zeros(kind: Kind, parts: Iterable[Any], out: Array, missing: Array) -> None:
    """The same, where there is nothing but zeros yet: pages of zeros take no memory."""
    start = 0
    for part in parts:
        stop = start + len(part)
        new = _room(kind, len(part))
        _write(kind, [part], *new)
        for array, values in zip((out, missing), new, strict=True):
            if values.any():
                array[start:stop] = values
        start = stop


def _room(kind: Kind, size: int) -> tuple[Array, Array]:
    missing = np.empty(size if kind in _MASKED else 0, dtype=np.bool_)
    return np.empty(size, dtype=_dtype(kind)), missing


class Copies:
    """The numbers of some rows, copied.

    Args:
        rows: Them.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def column(self, name: str) -> tuple[Array, Array]:
        """See `Numbers`."""
        kind = self._rows.kinds[name]
        out, missing = _room(kind, len(self._rows))
        _write(kind, self._rows.parts[name], out, missing)
        return out, missing

    def ids(self) -> Array:
        """See `Numbers`."""
        out, missing = _room("int", len(self._rows))
        _write("int", self._rows.ids, out, missing)
        return out


class Shared:
    """The numbers of all rows of one table, shared with frames as long as nobody writes to them.

    Args:
        table: The table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._file: _File | None = None
        self._start = 0  # where the first row is in the file
        self._size = 0  # how many rows are in the file, from there on

    @property
    def nbytes(self) -> int:
        """Size in bytes of what was written."""
        return 0 if self._file is None else self._file.row_bytes * (self._start + self._size)

    def release(self) -> None:
        """Keep nothing; what was lent stays as it is."""
        self._file = None
        self._table.moves = None

    def lend(self, rows: Rows) -> Numbers | None:
        """The numbers of all rows of the table, as they are now.

        Args:
            rows: All of them.

        Returns:
            None if they cannot be shared, or if that is not worth while.
        """
        if len(rows) < MANY_ROWS or not hasattr(os, "memfd_create"):
            self.release()
            return None
        try:
            file = self._file
            if file is None or not self._catch_up(file, rows):
                # twice the room: pages that nobody has written to take no memory
                self._file = file = _File(rows.kinds, 2 * len(rows))
                self._start = self._size = 0
                self._append(file, rows)
            self._table.moves = Moves()
            return file.lend(self._start, self._size)
        except (OSError, ValueError):  # no such file, or no room for it or for the mapping
            self.release()
            return None
        except BaseException:  # an interrupt may have left it half written
            self.release()
            raise

    def _catch_up(self, file: _File, rows: Rows) -> bool:
        """Write what has changed since the last time; False if all has to be written."""
        moves = self._table.moves
        if moves is None or moves.gone > self._size or not file.fits(rows.kinds):
            return False
        self._start += moves.gone
        self._size -= moves.gone
        if self._start > max(len(rows) // 4, MANY_ROWS) or self._start + len(rows) > file.capacity:
            return False  # rows that are gone take too much room, or there is none left
        changes = [self._change(file, rows, ids, names) for ids, names in moves.changed]
        self._append(file, rows)
        return all(changes)

    def _change(self, file: _File, rows: Rows, ids: Places, names: AbstractSet[str]) -> bool:
        """Write columns of rows with these ids again; False if that would be seen in frames."""
        begin = 0
        for number, own in enumerate(rows.ids):
            found = own.find(ids)
            found = found[found < self._size - begin]  # those beyond are not in the file yet
            for name in file.kinds.keys() & names if len(found) else ():
                places = self._start + begin + found
                if not file.put(name, places, rows.parts[name][number].take(found)):
                    return False
            begin += len(own)
        return True

    def _append(self, file: _File, rows: Rows) -> None:
        """Write the rows that are not in the file yet."""
        tails = []  # of each segment: where they begin, and end
        begin = 0
        for number, own in enumerate(rows.ids):
            tail = max(self._size - begin, 0)
            if tail < len(own):
                tails.append((number, tail, len(own)))
            begin += len(own)
        start, stop = self._start + self._size, self._start + len(rows)
        for name, kind in file.kinds.items():
            parts = (
                rows.parts[name][number].slice(low, high) if low else rows.parts[name][number]
                for number, low, high in tails
            )
            out, missing = file.arrays[name]
            _write_to_zeros(kind, parts, out[start:stop], missing[start:stop])
        ids = (rows.ids[number].slice(low, high) for number, low, high in tails)
        out, missing = file.arrays[_IDS]
        _write("int", ids, out[start:stop], missing)
        self._size = len(rows)


class _File:
    """Room for numbers of rows.

    Args:
        kinds: The kinds of the columns, by name; of some that are no numbers too.
        capacity: For how many rows.

    Raises:
        OSError: The system does not give it.

    Attributes:
        kinds: Those of the columns with numbers.
        capacity: As above.
        arrays: The columns' numbers and, for nullable ones, where they are missing; and the ids.
        row_bytes: What a row takes.
    """

    def __init__(self, kinds: Mapping[str, Kind], capacity: int) -> None:
        self.kinds = _with_numbers(kinds)
        self.capacity = capacity
        self._process = os.getpid()
        self._mappings: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._places: dict[str, tuple[int, int]] = {}
        self.row_bytes = end = 0
        for name, kind in (*self.kinds.items(), (_IDS, "int")):
            first = end
            end += _pages(capacity * _dtype(kind).itemsize)
            self._places[name] = first, end
            self.row_bytes += _dtype(kind).itemsize + (kind in _MASKED)
            end += _pages(capacity) if kind in _MASKED else 0
        self._length = end
        self._descriptor = os.memfd_create("nbproxy-frame")
        weakref.finalize(self, os.close, self._descriptor).atexit = False
        os.ftruncate(self._descriptor, end)
        ours = self._mapping(mmap.MAP_SHARED)
        self.arrays = {name: self._columns(ours, name, 0, capacity) for name in self._places}

    def _mapping(self, flags: int) -> mmap.mmap:
        access = mmap.PROT_READ | mmap.PROT_WRITE
        return mmap.mmap(self._descriptor, self._length, flags=flags, prot=access)

    def _columns(self, memory: mmap.mmap, name: str, start: int, size: int) -> tuple[Array, Array]:
        """A column's arrays, of rows from a place on, as they are seen in a mapping."""
        kind = self.kinds.get(name, "int")
        first, second = self._places[name]
        dtype = _dtype(kind)
        numbers = np.frombuffer(memory, dtype, size, first + start * dtype.itemsize)
        if kind not in _MASKED:
            return numbers, np.empty(0, dtype=np.bool_)
        return numbers, np.frombuffer(memory, np.bool_, size, second + start)

    def fits(self, kinds: Mapping[str, Kind]) -> bool:
        """Whether columns of these kinds can be written to it."""
        # after a fork the file is the parent's
        return self.kinds == _with_numbers(kinds) and self._process == os.getpid()

    def put(self, name: str, places: Places, column: Any) -> bool:
        """Write some rows of a column; False if the old values cannot be kept in frames."""
        kind = self.kinds[name]
        new = _room(kind, len(places))
        _write(kind, [column], *new)
        for first, array, values in zip(self._places[name], self.arrays[name], new, strict=True):
            if len(array):
                if not self._keep(np.unique((first + places * array.itemsize) // mmap.PAGESIZE)):
                    return False
                array[places] = values
        return True

    def _keep(self, pages: Places) -> bool:
        """Give each mapping that is in use these pages of its own; False if that fails."""
        for run in np.split(pages, np.flatnonzero(np.diff(pages) > 1) + 1):
            start, size = int(run[0]) * mmap.PAGESIZE, len(run) * mmap.PAGESIZE
            for mapping in list(self._mappings):
                try:
                    mapping.madvise(_POPULATE_WRITE, start, size)
                except OSError:
                    return False
        return True

    def lend(self, start: int, size: int) -> Numbers | None:
        """So many rows from a place on, for a frame; None if too many frames are in use."""
        if len(self._mappings) >= _MOST_MAPPINGS:
            return None
        mapping = self._mapping(mmap.MAP_PRIVATE)
        self._mappings.add(mapping)
        return _Lent({name: self._columns(mapping, name, start, size) for name in self._places})


class _Lent:
    """Columns in a mapping; it ends when nobody refers to one of the arrays any more."""

    def __init__(self, arrays: Mapping[str, tuple[Array, Array]]) -> None:
        self._arrays = arrays

    def column(self, name: str) -> tuple[Array, Array]:
        """See `Numbers`."""
        return self._arrays[name]

    def ids(self) -> Array:
        """See `Numbers`."""
        return self._arrays[_IDS][0]


def _with_numbers(kinds: Mapping[str, Kind]) -> dict[str, Kind]:
    return {n: kind for n, kind in kinds.items() if kind not in ("str", "object", "missing")}


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
