"""How flows lie in a Parquet dataset: columns, folders, and how both are known again.

A row is a flow. The columns are `id` (the flow's id where it was recorded), those of the frame
(`nbproxy.store.schema`), then

- `request_headers`, `response_headers`: lists of `name` and `value`, in their order. Each
  character stands for a byte (Latin-1), so nothing is lost and everything is text. The latter is
  NULL where there is no response.
- `request_trailers`, `response_trailers`: the same for the trailer section; NULL where there is
  none.
- `request_body`, `response_body`, if they were asked for: bytes as sent, with their content coding;
  NULL where they are missing.
- `websocket`, with bodies: how a WebSocket ended, and its messages; see `websockets`. NULL where
  there is none.

- columns that users have added, by their names: text, 64-bit numbers, truth values or times.

Files of version 1 may be without trailers and `websocket`, which came later: who does not know them
reads the rest as before.

Folders are named as Hive has it: `date=2026-11-21/host=api.example.org`. `date` is the day of
`time` in UTC. A column that names folders is not in the files. Hosts are what a stranger sent: all
but letters, digits, `-`, `_` and `.` is percent-encoded (RFC 3986, 2.1), which pyarrow, DuckDB and
Spark undo; what is missing is called `__HIVE_DEFAULT_PARTITION__`. A name that would be too long
for a folder is cut, and ends with `~` and a digest.

Each file says in its own metadata, under `nbproxy`, as JSON: `version` of all this, `partition`
(the values its folders stand for, exactly), `bodies`, and `own` (what the columns that users have
added are, by name; not there if there are none). A newer version is refused.
"""

from __future__ import annotations

import hashlib
import json
import string
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from nbproxy.datasets.websockets import WEBSOCKET
from nbproxy.errors import FormatError
from nbproxy.store.schema import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION: Final = 1
KEY: Final = b"nbproxy"
DATE: Final = "date"
ID: Final = "id"
MISSING: Final = "__HIVE_DEFAULT_PARTITION__"
HEADERS: Final = pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))
BODY: Final = pa.large_binary()

TYPES: Final = {
    "str": pa.string(),
    "int": pa.int64(),
    "nullable int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
}
FRAME: Final = {column.name: TYPES[column.kind] for column in COLUMNS}
EXTRA: Final = {"request_headers": HEADERS, "response_headers": HEADERS}
TRAILERS: Final = {"request_trailers": HEADERS, "response_trailers": HEADERS}
BODIES: Final = {"request_body": BODY, "response_body": BODY, "websocket": WEBSOCKET}
LATER: Final = {**TRAILERS, **BODIES}
"""Columns that a file may be without."""

OWN: Final = {
    "str": pa.string(),
    "nullable int": pa.int64(),
    "float": pa.float64(),
    "nullable bool": pa.bool_(),
    "time": TYPES["time"],
    "naive time": pa.timestamp("us"),
}
"""What columns that users have added can be."""

FILE: Final = "file"
"""In the frames of scans: which file a row comes from."""

RESERVED: Final = frozenset({ID, DATE, FILE, *FRAME, *EXTRA, *LATER})
"""How columns that users have added cannot be called here."""

PARTITIONS: Final = (DATE, *(column.name for column in COLUMNS if column.kind == "str"))
"""What folders can be named by."""

_SAFE: Final = frozenset((string.ascii_letters + string.digits + "-_.").encode())
_LONGEST: Final = 150  # file systems take 255 bytes


def schema(*, bodies: bool, own: Mapping[str, str] | None = None) -> pa.Schema:
    """The columns of a dataset before it is partitioned, without metadata."""
    added = {name: OWN[kind] for name, kind in (own or {}).items()}
    stored = {**FRAME, **EXTRA, **TRAILERS, **(BODIES if bodies else {})}
    return pa.schema({ID: pa.int64(), **stored, **added})


def folder(name: str, value: str | None) -> str:
    """The name of the folder for one value of a column."""
    if value is None:
        return f"{name}={MISSING}"
    octets = value.encode("utf-8", "replace")
    parts = [chr(octet) if octet in _SAFE else f"%{octet:02X}" for octet in octets]
    if value == MISSING:
        parts[0] = f"%{octets[0]:02X}"
    if sum(map(len, parts)) > _LONGEST:
        digest = hashlib.sha256(octets).hexdigest()[:16]
        parts = [*parts[: _LONGEST // 3], f"~{digest}"]  # a part has three characters at most
    return f"{name}={''.join(parts)}"


def metadata(
    partition: Mapping[str, str | None], *, bodies: bool, own: Mapping[str, str] | None = None
) -> dict[bytes, bytes]:
    """What a file says about itself."""
    facts: dict[str, Any] = {"version": VERSION, "bodies": bodies, "partition": dict(partition)}
    if own:
        facts["own"] = dict(own)
    return {KEY: json.dumps(facts).encode()}


def partition_of(found: pa.Schema, file: str) -> dict[str, str | None]:
    """What the folders of a file stand for, as the file says it.

    Raises:
        FormatError: It is not of a dataset of flows, or of a newer version.
    """
    text = (found.metadata or {}).get(KEY)
    if text is None:
        raise FormatError("this Parquet file has no flows: flows.to_parquet(...) writes some", file)
    try:
        facts = json.loads(text)
        version, partition = int(facts["version"]), facts["partition"]
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError("its metadata is damaged", file) from error
    if version > VERSION:
        raise FormatError(
            f"it was written by a newer nbproxy (version {version} of the layout, this one knows "
            f"{VERSION}): pip install --upgrade nbproxy",
            file,
        )
    if not isinstance(partition, dict) or not all(
        name in PARTITIONS and (value is None or isinstance(value, str))
        for name, value in partition.items()
    ):
        raise FormatError("its metadata is damaged", file)
    wanted = {ID: pa.int64(), **{n: t for n, t in FRAME.items() if n not in partition}, **EXTRA}
    for name, kind in wanted.items():
        if name not in found.names or found.field(name).type != kind:
            raise FormatError(f"its column {name!r} is missing, or is no {kind}", file)
    for name, kind in LATER.items():
        if name in found.names and found.field(name).type != kind:
            raise FormatError(f"its column {name!r} is no {kind}", file)
    return partition


def own_of(found: pa.Schema, file: str) -> dict[str, str]:
    """What the columns that users have added to a file are, by name; see `OWN`.

    Raises:
        FormatError: They are not as the file says; or see `partition_of`.
    """
    partition_of(found, file)
    own = json.loads(found.metadata[KEY]).get("own", {})
    if not isinstance(own, dict) or not all(
        kind in OWN
        and name.isidentifier()
        and name not in RESERVED
        and name in found.names
        and found.field(name).type == OWN[kind]
        for name, kind in own.items()
    ):
        raise FormatError("its metadata is damaged", file)
    return own


def checked_partition(names: Iterable[str]) -> tuple[str, ...]:
    """The columns that are to name folders.

    Raises:
        ValueError: One cannot.
    """
    given = (names,) if isinstance(names, str) else tuple(names)
    wrong = [name for name in given if name not in PARTITIONS]
    if wrong or len(set(given)) < len(given):
        what = f"{wrong[0]!r} cannot name folders" if wrong else "a column is named twice"
        raise ValueError(f"partition={given!r}: {what}; there are {', '.join(PARTITIONS)}")
    return given


def pairs_of(fields: Iterable[tuple[bytes, bytes]]) -> list[dict[str, str]]:
    """Fields of a head as a dataset has them."""
    return [{"name": n.decode("latin-1"), "value": v.decode("latin-1")} for n, v in fields]


def fields_of(pairs: Iterable[Any] | None) -> tuple[tuple[bytes, bytes], ...]:
    """The same backwards."""
    return tuple(
        ((pair["name"] or "").encode("latin-1", "replace"), _octets(pair["value"]))
        for pair in pairs or ()
        if pair is not None
    )


def _octets(text: str | None) -> bytes:
    return (text or "").encode("latin-1", "replace")
