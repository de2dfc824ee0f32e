"""Columns of the frame, read off the rows of a capture without making flows of them.

The values are those that `nbproxy.store.schema` reads off the flows. Where a row does not make that
certain, because there is something odd in it, it is named, and its flow has to be asked.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from nbproxy.store import tagged
from nbproxy.store.connections import read_address
from nbproxy.store.schema import named_authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Row = tuple[Any, ...]

_PLAIN: Final = (
    *("time", "method", "scheme", "host", "port", "path", "status", "reason", "content_type"),
    *("request_bytes", "response_bytes", "duration", "ttfb", "http_version", "client", "server"),
    *("tls", "error", "intercepted", "marked", "comment"),
)
_FLAGS: Final = ("tls", "intercepted")
_NOTED: Final = ("cell", "line", "function")
"""Columns that come from metadata."""

_MORE: Final = (
    *("metadata", "websocket IS NOT NULL", "is_replay", "server_connection", "request_headers"),
    *("response_headers", "authority"),
)
_ALL: Final = ("id", "extra", *_PLAIN, *_MORE)
SELECT: Final = f"SELECT {','.join(_ALL)} FROM flows WHERE id IN "  # noqa: S608 - our own names
SERVER: Final = _ALL.index("server_connection")
_AT: Final = {name: index for index, name in enumerate(_ALL)}

_CACHED: Final = 1024  # notes of flows are often the same ones, for a while


class _Odd(Exception):  # noqa: N818 - not an error, a turn in the road
    """The flow has to be asked."""


def read(
    rows: Sequence[Row], addresses: Mapping[int, str | None]
) -> tuple[list[int], dict[str, list[Any]], list[int]]:
    """The keys of rows, the values of all columns, and the positions of rows that are odd.

    Args:
        rows: What `SELECT` gave.
        addresses: Of the servers, by the keys of their connections.
    """
    columns: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(_ALL)
    values = {name: list(columns[_AT[name]]) for name in _PLAIN}
    for name in _FLAGS:
        values[name] = list(map(bool, values[name]))
    odd = {i for i, extra in enumerate(columns[_AT["extra"]]) if extra is not None}
    notes = _each(_notes, odd, columns[_AT["metadata"]])
    for name, noted in zip(_NOTED, zip(*notes, strict=True), strict=True) if notes else ():
        values[name] = list(noted)
    values["_websocket"] = list(map(bool, columns[_AT["websocket IS NOT NULL"]]))
    values["_replay"] = list(columns[_AT["is_replay"]])
    destinations = _destinations(addresses)
    values["_destination"] = _each(destinations.__getitem__, odd, columns[SERVER])
    heads = _each(_head, odd, columns[_AT["request_headers"]])
    values["_authority"] = _each(
        _authority,
        odd,
        heads,
        values["scheme"],
        values["host"],
        values["port"],
        columns[_AT["authority"]],
    )
    values["_request_type"] = [head and head[1] for head in heads]
    heads = _each(_head, odd, columns[_AT["response_headers"]])
    values["_response_type"] = [head and head[1] for head in heads]
    return list(columns[0]), values, sorted(odd)


def _each(value: Any, odd: set[int], *columns: Sequence[Any]) -> list[Any]:
    """The values of a function of some columns."""
    try:
        return list(map(value, *columns))
    except Exception:  # noqa: BLE001 - see below
        found = []
    for i, arguments in enumerate(zip(*columns, strict=True)):
        try:
            found.append(value(*arguments))
        except Exception:  # noqa: BLE001 - the flow has to be asked, and may fail in the same way
            found.append(_NOTHING.get(value))
            odd.add(i)
    return found


@lru_cache(maxsize=_CACHED)
def _notes(metadata: str | None) -> tuple[Any, ...]:
    """Those of `_NOTED`."""
    if metadata is None:
        return _NO_NOTES
    found = tagged.loads(metadata)
    return tuple([found.get(name) for name in _NOTED])


_NO_NOTES: Final = (None,) * len(_NOTED)
_NOTHING: Final[dict[Any, Any]] = {_notes: _NO_NOTES}
"""What stands for a value that cannot be said; else None does."""


def _destinations(addresses: Mapping[int, str | None]) -> dict[int | None, str | None]:
    """Servers as they were asked for, by the keys of their connections."""
    found: dict[int | None, str | None] = {None: None}
    for key, text in addresses.items():
        if text is None:
            found[key] = None
        else:
            host, port = read_address(text)
            found[key] = f"{host}:{port}"
    return found


def _head(headers: str | bytes | None) -> tuple[str | None, str | None] | None:
    """The Host field of a head and its Content-Type field; None where there is none."""
    if headers is None:
        return None
    if type(headers) is not str or not headers.isascii():
        raise _Odd
    lines = f"\n{headers.lower()}"
    host = media_type = None
    at = lines.find("\nhost: ")
    if at >= 0:
        if lines.find("\nhost: ", at + 1) >= 0:
            raise _Odd
        host = headers[at + 6 :].partition("\n")[0]
    at = lines.find("\ncontent-type: ")
    if at >= 0:
        if lines.find("\ncontent-type: ", at + 1) >= 0:
            raise _Odd
        media_type = headers[at + 14 :].partition("\n")[0]
    return host, media_type


def _authority(
    head: tuple[str | None, str | None], scheme: str, host: str, port: int, authority: str
) -> str:
    named = head[0]
    if type(host) is not str or type(port) is not int:
        raise _Odd
    if named is not None:
        return named_authority(scheme, host, port, named.encode())
    if type(authority) is not str:
        raise _Odd
    return named_authority(scheme, host, port, None, authority)
