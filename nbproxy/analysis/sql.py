"""SQL over flows, by DuckDB, which is optional.

A query sees three tables and nothing else: no files, no network, no extensions, no variables of
Python. It cannot change anything, since each query has a database of its own, in memory. Tables are
filled if the query names them.

| table | columns |
|---|---|
| `flows` | `id`, and all columns of the frame |
| `headers` | `flow` (id), `message` ("request" or "response"), `name` (lower-case), `value` |
| `bodies` | `flow`, `message`, `content_type`, `bytes` (as sent), `text` (NULL for what is none) |
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from nbproxy.analysis.extras import load
from nbproxy.analysis.frames import MARK
from nbproxy.analysis.grouping import TEXT
from nbproxy.analysis.samples import content_of, media_type
from nbproxy.model.charset import decode_text
from nbproxy.model.masking import default_masker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

    Secrets = Literal["mask", "keep"]
    Row = tuple[Any, ...]

_LOCKED: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
_READING: Final = frozenset({"SELECT", "EXPLAIN"})
_WORD_RE = re.compile(r"\w+")
_CHUNK: Final = 5000  # flows that are read before their rows are handed over
_MAX_TEXT: Final = 2**18  # characters of a body

_HEADERS: Final = pa.schema(
    [("flow", pa.int64()), ("message", pa.string()), ("name", pa.string()), ("value", pa.string())]
)
_BODIES: Final = pa.schema(
    [
        ("flow", pa.int64()),
        ("message", pa.string()),
        ("content_type", pa.string()),
        ("bytes", pa.int64()),
        ("text", pa.string()),
    ]
)


def sql(
    flows: FlowsLike,
    query: str,
    parameters: Sequence[Any] | Mapping[str, Any] | None,
    secrets: Secrets,
) -> pd.DataFrame:
    """The rows; see `nbproxy.analysis.methods.Analysis.sql`."""
    if secrets not in {"mask", "keep"}:
        raise ValueError(f"secrets is 'mask' or 'keep', not {secrets!r}")
    duckdb = load("duckdb", "sql", "sql()")
    with duckdb.connect(":memory:", config=_LOCKED) as database:
        _check(database, query)
        _fill(database, flows, set(_WORD_RE.findall(query.lower())), secrets)
        database.execute("SET TimeZone = 'UTC'")
        database.execute("SET lock_configuration = true")
        given = {} if parameters is None else {"params": parameters}
        result = database.sql(query, **given)
        return frame_of(result.to_arrow_table())


def _check(database: Any, query: str) -> None:
    """Take one statement that reads."""
    statements = database.extract_statements(query)
    kinds = [statement.type.name for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _READING:
        what = " and ".join(kinds) or "nothing"
        raise ValueError(f"sql() takes one SELECT, not {what}: the flows cannot be changed by SQL")


def _fill(database: Any, flows: FlowsLike, named: set[str], secrets: Secrets) -> None:
    df = flows.df if "flows" in named else flows.df.iloc[:0]
    database.register("flows", _table(df.reset_index()))
    # equal values are frequent; the memory of them goes with this query
    value = _value if secrets == "keep" else lru_cache(maxsize=8192)(default_masker().mask_header)
    _insert(
        database,
        "headers",
        _HEADERS,
        flows if "headers" in named else (),
        lambda flow: _header_rows(flow, value),
    )
    _insert(database, "bodies", _BODIES, flows if "bodies" in named else (), _body_rows)


def _table(df: pd.DataFrame) -> pa.Table:
    """A frame as Arrow has it; columns that are not of one type, a user's own, as text."""
    arrays = []
    for position in range(df.shape[1]):
        column = df.iloc[:, position]  # names may be double
        try:
            arrays.append(pa.Array.from_pandas(column))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            texts = [None if value is None else str(value) for value in column]
            arrays.append(pa.array(texts, type=pa.string()))
    return pa.Table.from_arrays(arrays, names=[str(name) for name in df.columns])


def _insert(
    database: Any,
    name: str,
    schema: pa.Schema,
    flows: Iterable[HTTPFlow],
    rows_of: Callable[[HTTPFlow], Iterable[Row]],
) -> None:
    """Make a table of the rows of all flows, a few flows at a time."""
    database.register("piece", schema.empty_table())
    database.execute(f"CREATE TABLE {name} AS FROM piece")
    every = iter(flows)
    while some := list(islice(every, _CHUNK)):
        columns = list(zip(*(row for flow in some for row in rows_of(flow)), strict=True))
        if columns:
            arrays = [_array(values, field) for values, field in zip(columns, schema, strict=True)]
            database.register("piece", pa.Table.from_arrays(arrays, schema=schema))
            database.execute(f"INSERT INTO {name} FROM piece")
    database.unregister("piece")


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    try:
        return pa.array(values, type=field.type)
    except (pa.ArrowException, UnicodeError):  # a lone surrogate
        clean = (v if v is None else v.encode("utf-8", "replace").decode() for v in values)
        return pa.array(clean, type=field.type)


def _messages(flow: HTTPFlow) -> Iterator[tuple[str, Message]]:
    yield "request", flow.request
    if flow.response is not None:
        yield "response", flow.response


def _header_rows(flow: HTTPFlow, value_of: Callable[[str, str], str]) -> Iterator[Row]:
    number = flow.id
    for which, message in _messages(flow):
        for name, value in message.headers.items(multi=True):
            lower = name.lower()
            yield number, which, lower, value_of(lower, value)


def _value(_: str, value: str) -> str:
    return value


def _body_rows(flow: HTTPFlow) -> Iterator[Row]:
    for which, message in _messages(flow):
        if message.body_size:
            yield flow.id, which, media_type(message), message.body_size, _body_text(message)


def _body_text(message: Message) -> str | None:
    """The body as text, its beginning if it is long; None if it is none."""
    content = content_of(message)
    if content is None or b"\0" in content[:_MAX_TEXT]:
        return None
    try:
        text = decode_text(content, message.headers.get("content-type", ""), strict=True)
    except ValueError:
        return None
    return text[:_MAX_TEXT]


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A result as a DataFrame, with the dtypes that the frame of flows has."""
    columns = {}
    for number, field in enumerate(table.schema):
        columns[number] = _column(table.column(number), field.type)
    made = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
    made.columns = pd.Index(table.schema.names)
    made.attrs.update(MARK)
    return made


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> Any:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT.__from_arrow__(column.cast(pa.large_string()))  # type: ignore[attr-defined] # not in the stubs
    if pa.types.is_decimal(kind):  # sums of integers come so
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid:
            column = column.cast(pa.float64())
        kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.to_pandas().dt.tz_convert("UTC").dt.as_unit("us").array
    if pa.types.is_integer(kind) and column.null_count:
        return pd.array(column.to_pylist(), dtype="Int64")
    if pa.types.is_boolean(kind) and column.null_count:
        return pd.array(column.to_pylist(), dtype="boolean")
    values = column.to_pandas()
    return values.array if values.dtype != np.dtype(object) else values
