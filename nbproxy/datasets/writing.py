"""Writes a Parquet dataset of flows; see `layout` for what it is.

Flows are taken some hundred at a time, turned into Arrow tables, and these are put together by
folder. When a folder has enough rows, or all of them together take too much memory, files are
written: the largest first. So memory does not grow with the number of flows, of hosts or of days,
and nothing is held open.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nbproxy.datasets.layout import (
    DATE,
    ID,
    checked_partition,
    folder,
    metadata,
    own_of,
    pairs_of,
    schema,
)
from nbproxy.datasets.own import Own, own_columns
from nbproxy.datasets.places import SUFFIX, check_folder, opened, place
from nbproxy.datasets.websockets import cell_of, size_bytes
from nbproxy.filters.computed import computed
from nbproxy.store.frame import assemble
from nbproxy.store.rows import read_rows
from nbproxy.store.schema import COLUMNS
from nbproxy.store.segments import Rows, Segment
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nbproxy.datasets.places import Place
    from nbproxy.model.flow import HTTPFlow

    Values = tuple[str | None, ...]

FILE_ROWS: Final = 50_000
"""So many rows are in a file at most."""

COMPRESSIONS: Final = ("zstd", "snappy", "gzip", "lz4", "brotli", "none")

_BATCH_ROWS: Final = 1024
_BATCH_BYTES: Final = 16 * 2**20
_HELD_BYTES: Final = 64 * 2**20
_PIECE_BYTES: Final = 8 * 2**10  # what a table takes beside its data
_FRAME: Final = tuple(column.name for column in COLUMNS)


def write(
    flows: Iterable[HTTPFlow],
    path: str | os.PathLike[str],
    *,
    bodies: bool = False,
    partition: Iterable[str] = ("date", "host"),
    compression: str = "zstd",
    append: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> int:
    """What `Flows.to_parquet` does; see `nbproxy.store.errands`."""
    names = checked_partition(partition)
    if compression not in COMPRESSIONS:
        raise ValueError(f"compression={compression!r}: it takes {', '.join(COMPRESSIONS)}")
    check_folder(path)
    where = place(path, storage_options)
    there = where.files()
    if not append and there:
        raise FileExistsError(
            f"there is a dataset in {where.name} already: append=True adds to it, or name another"
        )
    known = (
        _own_there(f"{where.name.rstrip('/')}/{there[0][0]}", storage_options) if there else None
    )
    own = Own(known or {})
    if isinstance(flows, Flows) and computed:
        own = own_columns(flows, known)
        flows = own.flows(flows)
    writer = _Writer(where, names, compression, own, bodies=bodies)
    try:
        for some in _batches(flows, bodies=bodies):
            writer.take(some)
        writer.finish()
    except BaseException:
        writer.undo()
        raise
    return writer.count


def _own_there(file: str, options: Mapping[str, Any] | None) -> dict[str, str]:
    """The columns that users have added to the dataset that a file belongs to."""
    with opened(file, options or {}) as source:
        try:
            found = pq.read_schema(source)
        except (pa.ArrowException, OSError):
            return {}  # whoever reads it finds out what is wrong
    return own_of(found, file)


def _batches(flows: Iterable[HTTPFlow], *, bodies: bool) -> Iterator[list[HTTPFlow]]:
    """Flows, some at a time; fewer where their bodies are large."""
    some: list[HTTPFlow] = []
    size = 0
    for flow in flows:
        some.append(flow)
        if bodies:
            size += flow.request.body_size
            size += 0 if flow.response is None else flow.response.body_size
            size += size_bytes(flow)
        if len(some) == _BATCH_ROWS or size > _BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def table_of(flows: Sequence[HTTPFlow], own: Own, *, bodies: bool) -> pa.Table:
    """Flows as a table, before it is partitioned."""
    kinds = schema(bodies=bodies, own=own.kinds)
    frame = assemble(Rows.of([Segment.of(range(len(flows)), read_rows(flows))]))
    columns: dict[str, Any] = {ID: pa.array([flow.id for flow in flows], pa.int64())}
    for name in _FRAME:
        columns[name] = pa.array(frame[name].array, kinds.field(name).type, from_pandas=True)
    requests = [flow.request for flow in flows]
    responses = [flow.response for flow in flows]
    columns["request_headers"] = [pairs_of(message.headers.fields) for message in requests]
    columns["response_headers"] = [
        None if message is None else pairs_of(message.headers.fields) for message in responses
    ]
    for name, messages in (("request", requests), ("response", responses)):
        columns[f"{name}_trailers"] = [
            None
            if message is None or message.trailers is None
            else pairs_of(message.trailers.fields)
            for message in messages
        ]
    if bodies:
        columns["websocket"] = [cell_of(flow) for flow in flows]
        columns["request_body"] = [message.raw_content for message in requests]
        columns["response_body"] = [
            None if message is None else message.raw_content for message in responses
        ]
    return pa.table({**columns, **own.columns(flows)}, schema=kinds)


@dataclass
class _Held:
    """Rows of one folder that are not written yet."""

    tables: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    size: int = 0


class _Writer:
    """Puts rows together by folder.

    Attributes:
        count: How many rows there were so far.
    """

    def __init__(
        self, where: Place, partition: tuple[str, ...], compression: str, own: Own, *, bodies: bool
    ) -> None:
        self.count = 0
        self._place = where
        self._partition = partition
        self._compression = compression
        self._bodies = bodies
        self._own = own
        self._held: dict[Values, _Held] = {}
        self._size = 0
        self._run = secrets.token_hex(4)
        self._written: list[str] = []

    def take(self, flows: Sequence[HTTPFlow]) -> None:
        """Add the rows of some flows."""
        table = table_of(flows, self._own, bodies=self._bodies)
        self.count += len(table)
        rows: dict[Values, list[int]] = {}
        keys = [self._values(table, name) for name in self._partition]
        for number, key in enumerate(zip(*keys, strict=True) if keys else [()] * len(table)):
            rows.setdefault(key, []).append(number)
        table = table.drop_columns([name for name in self._partition if name in table.column_names])
        for key, positions in rows.items():
            whole = len(positions) == len(table)
            self._put(key, table if whole else table.take(pa.array(positions)))
        while self._size > _HELD_BYTES:
            self._write(max(self._held, key=lambda key: self._held[key].size))

    def _values(self, table: pa.Table, name: str) -> list[str | None]:
        column = table["time" if name == DATE else name]
        if name == DATE:
            column = pc.strftime(column, format="%Y-%m-%d")
        values: list[str | None] = column.to_pylist()
        return values

    def _put(self, key: Values, table: pa.Table) -> None:
        held = self._held.setdefault(key, _Held())
        size = table.nbytes + _PIECE_BYTES
        held.tables.append(table)
        held.rows += len(table)
        held.size += size
        self._size += size
        if held.rows > FILE_ROWS - _BATCH_ROWS:
            self._write(key)

    def _write(self, key: Values) -> None:
        """Write what is held for one folder to a file."""
        held = self._held.pop(key)
        self._size -= held.size
        values = dict(zip(self._partition, key, strict=True))
        table = pa.concat_tables(held.tables)
        table = table.replace_schema_metadata(
            metadata(values, bodies=self._bodies, own=self._own.kinds)
        )
        file = f"part-{self._run}-{len(self._written):05}{SUFFIX}"
        name = "/".join([*(folder(*each) for each in values.items()), file])
        self._written.append(name)
        with self._place.create(name) as out:
            pq.write_table(table, out, compression=self._compression)

    def finish(self) -> None:
        """Write all that is held; where there was nothing at all, an empty file says so."""
        for key in list(self._held):
            self._write(key)
        if not self._written and not self._place.files():
            self._partition = ()
            self._held[()] = _Held([table_of([], self._own, bodies=self._bodies)])
            self._write(())

    def undo(self) -> None:
        """Remove what was written, as far as that can be done."""
        for name in self._written:
            with contextlib.suppress(Exception):
                self._place.remove(name)
