"""Reads a part: its rows as a frame, or its flows.

What cannot be read is told in a sentence, to `tell`; what was read before that is given.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import sys
import warnings
import weakref
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from nbproxy.datasets.flows import flow_of_row
from nbproxy.datasets.layout import FILE, FRAME, ID, OWN, own_of, partition_of
from nbproxy.datasets.places import opened
from nbproxy.errors import FormatError
from nbproxy.formats import Notes, read_flows
from nbproxy.store.chunks import Bodies
from nbproxy.store.dtypes import TEXT
from nbproxy.store.frame import MARK, assemble
from nbproxy.store.reading import Shelf
from nbproxy.store.rows import read_rows
from nbproxy.store.saved_file import SavedFile
from nbproxy.store.schema import COLUMNS
from nbproxy.store.segments import Rows, Segment, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nbproxy.datasets.parts import Part, Where
    from nbproxy.model.flow import HTTPFlow

    Tell = Callable[[str], None]

NUMBER: Final = "id"
"""The index of frames: the flow's number in its file."""

_ROWS: Final = 500
_TEXT: Final[Any] = TEXT
_INT: Final[Any] = pd.Int64Dtype()
_BOOL: Final[Any] = pd.BooleanDtype()
_TIME: Final[Any] = pd.DatetimeTZDtype("us", "UTC")
_KINDS: Final = {column.name: column.kind for column in COLUMNS}
_KEYS: Final = "SELECT id FROM flows WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?"


def warn(text: str) -> None:
    """Tell the user; from a worker of Dask's distributed scheduler as well."""
    worker = sys.modules.get("distributed.worker")
    if worker is not None:
        with contextlib.suppress(ValueError):  # this is no worker
            worker.get_worker()
            worker.warn(text)
            return
    warnings.warn(text, UserWarning, stacklevel=2)


# -- rows


def frame_of_part(part: Part, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows of a part, indexed by the flows' numbers in their files.

    Args:
        part: Which.
        columns: Which columns, in this order; all by default.

    Raises:
        FormatError: A file is damaged, and the part is strict.
        OSError: A file cannot be read.
    """
    wanted = [*FRAME, *part.own, FILE] if columns is None else list(columns)
    if part.kind == "parquet":
        frame = _frame_of_dataset(part, wanted)
    else:
        table = Table()
        for ids, rows in _rows_of_capture(part) if part.kind == "capture" else _rows_of_file(part):
            table.append_rows(ids, rows)
        frame = assemble(Rows.of(table.segments or [_no_rows()]))
        for name in part.own:
            frame[name] = _blank(part.own[name], len(frame))
        frame[FILE] = _repeated(part.files[0], len(frame))
    frame = _chosen(frame, part.where)[wanted]
    frame.index.name = NUMBER
    frame.attrs.update(MARK)
    return frame


def empty_frame(own: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A frame without rows, as all others are; with these columns of users."""
    frame = assemble(Rows.of([_no_rows()]))
    for name, kind in (own or {}).items():
        frame[name] = _blank(kind, 0)
    frame[FILE] = _repeated(None, 0)
    frame.index.name = NUMBER
    return frame


def _blank(kind: str, count: int) -> Any:
    """A column of a user's in which all values are missing."""
    return _column(pa.chunked_array([pa.nulls(count, OWN[kind])]), kind)


def _no_rows() -> Segment:
    return Segment.of([], read_rows([]))


def _rows_of_capture(part: Part) -> Iterator[tuple[Sequence[int], dict[str, list[Any]]]]:
    name = part.files[0]
    with _as_far_as_it_goes(part, name, warn), _shelf(name) as shelf:
        for keys in _keys(part, shelf):
            yield shelf.columns(keys)


def _rows_of_file(part: Part) -> Iterator[tuple[Sequence[int], dict[str, list[Any]]]]:
    source = _flows_of_file(part, warn)
    while some := list(islice(source, _ROWS)):
        flows = [flow for _, flow in some]
        yield [flow.id for flow in flows], read_rows(flows)


def text_column(values: Sequence[str]) -> Any:
    """Text as frames have it."""
    return _TEXT.__from_arrow__(pa.chunked_array([pa.array(values, pa.large_string())]))


def _repeated(text: str | None, count: int) -> Any:
    """A column that has the same text in each row."""
    return _TEXT.__from_arrow__(
        pa.chunked_array([pa.repeat(pa.scalar(text, pa.large_string()), count)])
    )


def _chosen(frame: pd.DataFrame, where: Where) -> pd.DataFrame:
    """The rows that are wanted."""
    if where.everything:
        return frame
    keep = np.ones(len(frame), dtype=bool)
    if where.hosts is not None:
        keep &= frame["host"].isin(where.hosts).to_numpy(dtype=bool)
    first, last = _moments(where)
    if first is not None:
        keep &= (frame["time"] >= first).to_numpy()
    if last is not None:
        keep &= (frame["time"] < last).to_numpy()
    return frame[keep]


def _moments(where: Where) -> tuple[dt.datetime | None, dt.datetime | None]:
    """When that begins which is wanted, and when it is over."""

    def midnight(day: dt.date | None, later: int) -> dt.datetime | None:
        if day is None:
            return None
        start = dt.datetime.combine(day, dt.time(), dt.UTC)
        return start + dt.timedelta(days=later)

    return midnight(where.first, 0), midnight(where.last, 1)


# -- flows


def flows_of_part(part: Part, tell: Tell = warn) -> Iterator[tuple[str, HTTPFlow]]:
    """The flows of a part, one by one, each with its file; their ids are their numbers there.

    Args:
        part: Which.
        tell: Told what could not be read.

    Raises:
        FormatError: A file is damaged, and the part is strict.
        OSError: A file cannot be read.
    """
    read = {"capture": _flows_of_capture, "flows": _flows_of_file, "parquet": _flows_of_dataset}
    found = read[part.kind](part, tell)
    if part.where.everything:
        return found
    return ((file, flow) for file, flow in found if _is_chosen(flow, part.where))


def _is_chosen(flow: HTTPFlow, where: Where) -> bool:
    if where.hosts is not None and flow.request.host not in where.hosts:
        return False
    began = flow.request.timestamp_start
    first, last = _moments(where)
    if first is not None and began < first.timestamp():
        return False
    return last is None or 0 < began < last.timestamp()


@contextlib.contextmanager
def _as_far_as_it_goes(part: Part, name: str, tell: Tell) -> Iterator[None]:
    """A block that ends where a file is damaged; what comes before that was given."""
    found: FormatError | None = None
    try:
        yield
    except FormatError as error:
        found = error
    except (sqlite3.Error, pa.ArrowException) as error:
        found = FormatError(f"it is damaged ({error})", name)
    except OSError as error:
        if error.errno is not None:
            raise
        found = FormatError(f"it is damaged ({error})", name)  # so Arrow says it, too
    if found is None:
        return
    found.file = found.file or name
    if part.strict:
        raise found
    tell(f"{found}; the flows before that place were read")


# -- captures


@contextlib.contextmanager
def _shelf(name: str) -> Iterator[Shelf]:
    """A capture, as one reads from it."""
    file = SavedFile(Path(name))
    bodies = Bodies()
    bodies.lie_in(file)
    try:
        yield Shelf(file, bodies, weakref.WeakValueDictionary())
    finally:
        file.readers.close()


def _keys(part: Part, shelf: Shelf) -> Iterator[list[int]]:
    """The keys of the rows of a part, some hundred at a time."""
    first, last = part.keys or (-(2**63), 2**63 - 1)
    while first <= last:
        rows = shelf.file.readers.rows(_KEYS, (first, last, _ROWS))
        if not rows:
            return
        yield [key for (key,) in rows]
        first = rows[-1][0] + 1


def _flows_of_capture(part: Part, tell: Tell) -> Iterator[tuple[str, HTTPFlow]]:
    name = part.files[0]
    with _as_far_as_it_goes(part, name, tell), _shelf(name) as shelf:
        for keys in _keys(part, shelf):
            found = shelf.flows(keys)
            for key in keys:
                flow = found.pop(key, None)
                if flow is not None:
                    flow._id = key  # noqa: SLF001 - the number of its row
                    yield name, flow


# -- files of mitmproxy, and HAR


def _flows_of_file(part: Part, tell: Tell) -> Iterator[tuple[str, HTTPFlow]]:
    name = part.files[0]
    notes = Notes()
    with _as_far_as_it_goes(part, name, tell):
        for number, flow in enumerate(read_flows(name, notes)):
            flow._id = number  # noqa: SLF001 - its place in the file
            yield name, flow
    if str(notes):
        if part.strict and notes.not_read:
            raise FormatError(str(notes), name)
        tell(f"{name}: {notes}")


# -- datasets


@contextlib.contextmanager
def _parquet(part: Part, name: str) -> Iterator[tuple[Any, dict[str, str | None]]]:
    """A file of a dataset, and what its folders stand for."""
    with opened(name, part.options) as source:
        file = pq.ParquetFile(source)
        yield file, partition_of(file.schema_arrow, name)


def _frame_of_dataset(part: Part, wanted: Sequence[str]) -> pd.DataFrame:
    needed = set(wanted).union(["host"] if part.where.hosts is not None else [])
    if (part.where.first, part.where.last) != (None, None):
        needed.add("time")
    names = [name for name in (*FRAME, *part.own) if name in needed]
    frames = []
    for name in part.files:
        with _as_far_as_it_goes(part, name, warn), _parquet(part, name) as found:
            file, partition = found
            own = own_of(file.schema_arrow, name)
            stored = [each for each in names if each not in partition and each in {*FRAME, *own}]
            table = file.read([ID, *stored])
            frames.append(_frame_of(table, names, partition, part.own, name))
    if not frames:
        return empty_frame(part.own)
    return pd.concat(frames) if len(frames) > 1 else frames[0]


def _frame_of(
    table: pa.Table,
    names: Iterable[str],
    partition: dict[str, str | None],
    own: Mapping[str, str],
    file: str,
) -> pd.DataFrame:
    columns = {}
    for name in names:
        if name in partition:
            columns[name] = _repeated(partition[name], len(table))
        elif name not in table.column_names:
            columns[name] = _blank(own[name], len(table))
        elif name in own:
            columns[name] = _column(_as(table[name], own[name]), own[name])
        else:
            columns[name] = _column(table[name], _KINDS[name])
    columns[FILE] = _repeated(file, len(table))
    index = pd.Index(table[ID].to_numpy(), dtype=np.int64)
    return pd.DataFrame(columns, index=index)


def _as(values: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """A column of a user's as a kind that it has in all of the datasets, or is missing."""
    try:
        return values.cast(OWN[kind])
    except pa.ArrowException:  # this dataset's first file had said something else of it
        return pa.chunked_array([pa.nulls(len(values), OWN[kind])])


def _column(values: pa.ChunkedArray, kind: str) -> Any:
    """A column as frames have it."""
    match kind:
        case "str":
            return _TEXT.__from_arrow__(values)
        case "nullable int":
            return _INT.__from_arrow__(values)
        case "time":
            return _TIME.__from_arrow__(values)
        case "nullable bool":
            return _BOOL.__from_arrow__(values)
        case "float" | "naive time":
            return values.to_numpy()
        case _:
            return values.fill_null(False if kind == "bool" else 0).to_numpy()


def _flows_of_dataset(part: Part, tell: Tell) -> Iterator[tuple[str, HTTPFlow]]:
    for name in part.files:
        with _as_far_as_it_goes(part, name, tell), _parquet(part, name) as found:
            file, partition = found
            own = own_of(file.schema_arrow, name)  # which no flow needs
            names = [each for each in file.schema_arrow.names if each not in own] if own else None
            for batch in file.iter_batches(batch_size=_ROWS, columns=names):
                for row in batch.to_pylist():
                    yield name, flow_of_row({**row, **partition})
