"""Rows in the order of ids, in segments: runs of rows, each a set of columns.

Segments and columns are immutable and shared with the frames that users hold. New rows become a
segment of their own, and neighbours are merged like the digits of a binary counter, so that a row
is copied a logarithmic number of times and there are always few segments.

Beside the columns of the schema a segment may have others, by name. Those of `schema.HIDDEN` are
there for filters, and only where all rows have them. The rest are those that users define: where a
segment does not have one, its rows have no value in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from nbproxy.store.columns import Column, joined
from nbproxy.store.rows import read_rows
from nbproxy.store.schema import COLUMNS, HIDDEN, Kind
from nbproxy.store.values import blank, column_of, common_kind, converted, inferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.columns import Positions

MAX_MERGED_ROWS = 2**16
"""Segments are not merged beyond this: one merge stays under some 10 ms, a code in 2 bytes."""

_BATCH_ROWS = 4096  # read at a time: so many flows stay in the processor's cache meanwhile

_NOTED: Final = 1000  # changes; whoever asked for them has forgotten about it, if there are more

_KINDS: Final[dict[str, Kind]] = {column.name: column.kind for column in (*COLUMNS, *HIDDEN)}
_HIDDEN: Final = {column.name for column in HIDDEN}


@dataclass(frozen=True, slots=True, eq=False)
class Ids:
    """Ids of rows, ascending.

    Attributes:
        first: The smallest.
        size: How many.
        offsets: What each is above the first; None if they follow each other without a gap.
    """

    first: int
    size: int
    offsets: npt.NDArray[Any] | None = None

    @classmethod
    def of(cls, ids: npt.NDArray[np.int64]) -> Ids:
        """These, as an array."""
        size = len(ids)
        if not size:
            return cls(0, 0)
        first, last = int(ids[0]), int(ids[-1])
        if last - first == size - 1:
            return cls(first, size)
        width = np.uint32 if last - first < 2**32 else np.int64
        return cls(first, size, (ids - first).astype(width))

    def __len__(self) -> int:
        return self.size

    @property
    def last(self) -> int:
        """The largest."""
        return self.first + (self.size - 1 if self.offsets is None else int(self.offsets[-1]))

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return 0 if self.offsets is None else self.offsets.nbytes

    def fill(self, out: npt.NDArray[np.int64]) -> None:
        """Write them into an array."""
        if self.offsets is None:
            out[:] = np.arange(self.first, self.first + self.size)
        else:
            np.add(self.offsets, np.int64(self.first), out=out, dtype=np.int64)

    def array(self) -> npt.NDArray[np.int64]:
        """All of them."""
        out = np.empty(self.size, dtype=np.int64)
        self.fill(out)
        return out

    def find(self, wanted: npt.NDArray[np.int64]) -> Positions:
        """The positions of those of the wanted ids, which ascend, that are here."""
        start, stop = np.searchsorted(wanted, (self.first, self.last + 1))
        near = wanted[start:stop] - self.first
        if self.offsets is None:
            return near
        near = near.astype(self.offsets.dtype)
        found = np.searchsorted(self.offsets, near)
        positions: Positions = found[self.offsets[found] == near]
        return positions

    def slice(self, start: int, stop: int) -> Ids:
        """Those from one position to before another."""
        if self.offsets is None:
            return Ids(self.first + start, stop - start)
        return Ids.of(self.array()[start:stop])


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A run of rows.

    Attributes:
        ids: Their ids.
        columns: By name: all of the schema's, and some others.
    """

    ids: Ids
    columns: Mapping[str, Column]

    @classmethod
    def read(cls, flows: Sequence[HTTPFlow]) -> Segment:
        """A segment of flows, which are in the order of ids."""
        return cls.of([flow.id for flow in flows], read_rows(flows))

    @classmethod
    def of(cls, ids: Sequence[int], rows: Mapping[str, Sequence[Any]]) -> Segment:
        """A segment of rows as `read_rows` gives them.

        Args:
            ids: Ids of the rows, ascending.
            rows: Values by name of the column, in the order of ids: of all columns of the schema,
                and maybe of others.
        """
        columns = {
            name: column_of(_KINDS[name], values) if name in _KINDS else inferred(values)
            for name, values in rows.items()
        }
        return cls(Ids.of(np.array(ids, dtype=np.int64)), columns)

    def __len__(self) -> int:
        return self.ids.size

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.ids.nbytes + sum(column.nbytes for column in self.columns.values())

    def take(self, positions: Positions) -> Segment:
        """The rows at these positions, which ascend."""
        return Segment(
            Ids.of(self.ids.array()[positions]),
            {name: column.take(positions) for name, column in self.columns.items()},
        )

    def slice(self, start: int, stop: int) -> Segment:
        """The rows from one position to before another; shares its memory with this one."""
        return Segment(
            self.ids.slice(start, stop),
            {name: column.slice(start, stop) for name, column in self.columns.items()},
        )

    def pick(self, positions: Positions) -> Segment:
        """The rows at these positions, which ascend; shares its memory where that can be."""
        start, stop = int(positions[0]), int(positions[-1]) + 1
        if stop - start > len(positions):
            return self.take(positions)
        return self if len(positions) == len(self) else self.slice(start, stop)

    def replaced(self, positions: Positions, rows: Segment) -> Segment:
        """This segment with other values in the rows at these positions; itself if none differs."""
        given = rows.columns
        columns = {n: each for n, each in self.columns.items() if n in given or n not in _HIDDEN}
        for name, new in given.items():
            if name in columns or name not in _HIDDEN:
                columns[name] = _replaced(columns.get(name), len(self), positions, new)
        same = columns.keys() == self.columns.keys()
        unchanged = same and all(columns[name] is self.columns[name] for name in columns)
        return self if unchanged else Segment(self.ids, columns)

    def with_column(self, name: str, positions: Positions, values: Column) -> Segment:
        """This segment with values of one column in the rows at these positions."""
        column = _replaced(self.columns.get(name), len(self), positions, values)
        return Segment(self.ids, {**self.columns, name: column})

    def without_column(self, name: str) -> Segment:
        """This segment without a column that is not the schema's."""
        return Segment(self.ids, {n: each for n, each in self.columns.items() if n != name})


def _replaced(column: Column | None, size: int, positions: Positions, new: Column) -> Column:
    """The column, of so many rows, with other values at these positions; itself if they are its."""
    if column is None:
        if len(positions) == size:
            return new
        column = blank(new.kind, size)
    if column.kind != new.kind:
        kind = common_kind({column.kind, new.kind})
        column, new = converted(column, kind), converted(new, kind)
    changed = np.flatnonzero(column.take(positions).differ(new))  # type: ignore[arg-type] # of one kind
    if not len(changed):
        return column
    return column.put(positions[changed], new.take(changed))  # type: ignore[arg-type] # of one kind


def joined_segments(segments: Sequence[Segment]) -> Segment:
    """One segment of several that have no id in common."""
    names = dict.fromkeys(name for segment in segments for name in segment.columns)
    for name in _HIDDEN:
        if not all(name in segment.columns for segment in segments):
            names.pop(name, None)
    ids = np.concatenate([segment.ids.array() for segment in segments])
    columns = {name: joined(pieces(segments, name)) for name in names}
    if not (ids[1:] > ids[:-1]).all():
        order = np.argsort(ids)
        ids = ids[order]
        columns = {name: column.take(order) for name, column in columns.items()}
    return Segment(Ids.of(ids), columns)


def pieces(segments: Sequence[Segment], name: str) -> list[Column]:
    """A column's values in each of these segments, in columns of one kind."""
    found = [segment.columns.get(name) for segment in segments]
    kind = common_kind({column.kind for column in found if column is not None})
    return [
        blank(kind, len(segment)) if column is None else converted(column, kind)
        for column, segment in zip(found, segments, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows by columns, as frames take them.

    Attributes:
        ids: Their ids, in parts.
        parts: Columns of the same parts, by name.
        kinds: Their kinds, by name.
    """

    ids: Sequence[Ids]
    parts: Mapping[str, Sequence[Column]]
    kinds: Mapping[str, Kind]

    @classmethod
    def of(cls, segments: Sequence[Segment], added: Iterable[str] = ()) -> Rows:
        """The rows of segments, in the schema's columns and some others."""
        kinds: dict[str, Kind] = {column.name: column.kind for column in COLUMNS}
        parts = {}
        for name in (*kinds, *added):
            parts[name] = found = pieces(segments, name)
            kinds[name] = found[0].kind if found else kinds.get(name, "missing")
        return cls([segment.ids for segment in segments], parts, kinds)

    def __len__(self) -> int:
        return sum(map(len, self.ids))


@dataclass(slots=True)
class Moves:
    """What happened to rows of a table, but for those that were appended.

    Attributes:
        gone: How many were removed, all of them the first ones.
        changed: Ids of rows, and the columns in which they may have changed.
    """

    gone: int = 0
    changed: list[tuple[npt.NDArray[np.int64], set[str]]] = field(default_factory=list)


class Table:
    """Rows in the order of ids, in segments.

    Attributes:
        segments: They follow each other by ids; none is empty.
        added: The names of columns that are not the schema's.
        moves: What happened since somebody put this here; None if nobody did, or if that was more
            than it can say.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.added: list[str] = []
        self.moves: Moves | None = None

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(segment.nbytes for segment in self.segments)

    def clear(self) -> None:
        """Take all rows out."""
        self.segments = []
        self.moves = None

    # -- rows

    def append(self, flows: Sequence[HTTPFlow]) -> None:
        """Add rows of flows in the order of ids, all above the last one's."""
        for start in range(0, len(flows), _BATCH_ROWS):
            self._append(Segment.read(flows[start : start + _BATCH_ROWS]))

    def append_rows(self, ids: Sequence[int], rows: Mapping[str, Sequence[Any]]) -> None:
        """Add rows as `Segment.of` takes them, whose ids are all above the last one's."""
        if len(ids):
            self._append(Segment.of(ids, rows))

    def _append(self, segment: Segment) -> None:
        self._note(segment.columns)
        for start in range(0, len(segment), MAX_MERGED_ROWS):
            stop = min(start + MAX_MERGED_ROWS, len(segment))
            whole = stop - start == len(segment)
            self.segments.append(segment if whole else segment.slice(start, stop))
            self._merge()

    def _merge(self) -> None:
        """Carry, as in a binary counter: in one go, whatever the number of digits."""
        segments = self.segments
        first, total = len(segments) - 1, len(segments[-1])
        while first > 0:
            before = len(segments[first - 1])
            if before >= 2 * total or before + total > MAX_MERGED_ROWS:
                break
            first -= 1
            total += before
        if first < len(segments) - 1:
            segments[first:] = [joined_segments(segments[first:])]
            if total > MAX_MERGED_ROWS // 4:  # Arrow keeps what was freed, till it is told
                pa.default_memory_pool().release_unused()

    def put(self, flows: Iterable[HTTPFlow]) -> None:
        """Read these again, in any order; ids that there are not yet become rows."""
        ordered = sorted(flows, key=lambda flow: flow.id)
        if ordered:
            self._put(Segment.read(ordered))

    def put_rows(self, ids: Sequence[int], rows: Mapping[str, Sequence[Any]]) -> None:
        """Put rows in place of those with the same ids, as `Segment.of` takes them."""
        if len(ids):
            self._put(Segment.of(ids, rows))

    def _put(self, rows: Segment) -> None:
        self._note(rows.columns)
        wanted = rows.ids.array()
        known = np.zeros(len(rows), dtype=np.bool_)
        for number, segment in enumerate(self.segments):
            found = segment.ids.find(wanted)
            if len(found):
                present = np.searchsorted(wanted, segment.ids.array()[found])
                self._change(number, found, segment.replaced(found, rows.pick(present)))
                known[present] = True
        if not known.all():
            self._insert(rows.pick(np.flatnonzero(~known)))

    def _change(self, number: int, positions: Positions, segment: Segment) -> None:
        """Put another segment in the place of one, whose rows it has; those there may differ."""
        old, columns = self.segments[number], segment.columns
        names = {name for name in columns if columns[name] is not old.columns.get(name)}
        if names and self.moves is not None:
            self.moves.changed.append((old.ids.array()[positions], names))
            if len(self.moves.changed) > _NOTED:
                self.moves = None
        self.segments[number] = segment  # last: an interrupt must not leave it unnoted

    def _insert(self, rows: Segment) -> None:
        """Rows that came late: their ids lie between others'."""
        self.moves = None
        firsts = [segment.ids.first for segment in self.segments]
        places = np.maximum(np.searchsorted(firsts, rows.ids.array(), side="right") - 1, 0)
        for place in np.unique(places)[::-1].tolist():
            late = rows.take(np.flatnonzero(places == place))
            whole = joined_segments([*self.segments[place : place + 1], late])
            parts = -(-len(whole) // MAX_MERGED_ROWS)
            ends = [len(whole) * part // parts for part in range(parts + 1)]
            self.segments[place : place + 1] = [
                whole.slice(start, stop) for start, stop in pairwise(ends)
            ]

    def remove(self, ids: Iterable[int]) -> None:
        """Take rows out; ids that are not there do not matter.

        Cheap where the rows are the oldest ones: then no others are copied.
        """
        gone = _sorted(list(ids))
        kept: list[Segment] = []
        removed, last = 0, -1  # how many rows so far, and where the last one of them is
        begin = 0
        for segment in self.segments:
            found = segment.ids.find(gone)
            if len(found):
                removed += len(found)
                last = begin + int(found[-1])
            begin += len(segment)
            if len(found) == len(segment):
                continue
            if not len(found):
                kept.append(segment)
                continue
            stays = np.ones(len(segment), dtype=np.bool_)
            stays[found] = False
            rest = segment.pick(np.flatnonzero(stays))
            if kept and len(kept[-1]) + len(rest) <= MAX_MERGED_ROWS // 2:
                kept[-1] = joined_segments([kept[-1], rest])
            else:
                kept.append(rest)
        self.segments = kept
        if self.moves is not None and removed:
            self.moves.gone += removed
            if removed <= last:
                self.moves = None

    def find(self, ids: Sequence[int] | None) -> Iterator[tuple[Segment, Positions | None]]:
        """Segments that have rows with these ids, and where; None if that is everywhere."""
        if ids is None:
            yield from ((segment, None) for segment in self.segments)
            return
        wanted = _sorted(ids)
        for segment in self.segments:
            found = segment.ids.find(wanted)
            if len(found):
                yield segment, None if len(found) == len(segment) else found

    def select(self, ids: Sequence[int]) -> list[Segment]:
        """The rows with these ids, in the order of ids."""
        return [
            segment if positions is None else segment.pick(positions)
            for segment, positions in self.find(ids)
        ]

    # -- columns that users define

    def _note(self, names: Iterable[str]) -> None:
        self.added += [n for n in names if n not in _KINDS and n not in self.added]

    def set_column(self, name: str, ids: Sequence[int], values: Sequence[Any]) -> None:
        """Set one column's values in the rows with these ids; the others keep theirs.

        The column is made if there is none: it has no value then in the other rows. What dtype it
        has in a frame is found from all its values, see `values.inferred`.

        Args:
            name: Its name, none of the schema's.
            ids: Ids of rows, in any order; those that are not there do not matter.
            values: A value for each of them.

        Raises:
            ValueError: It is a column of the schema, or there are not as many values as ids.
        """
        if name in _KINDS:
            raise ValueError(f"{name!r} is a column that every frame has")
        if len(ids) != len(values):
            raise ValueError(f"there are {len(values)} values for {len(ids)} rows")
        self._note([name])
        latest = dict(zip(ids, values, strict=True))
        wanted = _sorted(list(latest))
        column = inferred([latest[number] for number in wanted.tolist()])
        for number, segment in enumerate(self.segments):
            found = segment.ids.find(wanted)
            if len(found):
                present = np.searchsorted(wanted, segment.ids.array()[found])
                self._change(number, found, segment.with_column(name, found, column.take(present)))

    def drop_column(self, name: str) -> None:
        """Take a column out that is not the schema's; nothing happens if there is none."""
        if name in self.added:
            self.added.remove(name)
            self.segments = [segment.without_column(name) for segment in self.segments]


def _sorted(ids: Sequence[int]) -> npt.NDArray[np.int64]:
    """Ids as an array, ascending, each once."""
    array = np.array(ids, dtype=np.int64)
    return array if (array[1:] > array[:-1]).all() else np.unique(array)
