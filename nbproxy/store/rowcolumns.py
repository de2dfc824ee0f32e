"""Columns of the frame, read off the rows of a capture without making flows of them.

The values are those that `nbproxy.store.schema` reads off the flows. Where a row does not make that
certain, because there is something odd in it, it is named, and its flow has to be asked.
"""

from __future__ import annotations

import re
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
    "response_headers",
)
_ALL: Final = ("id", "extra", *_PLAIN, *_MORE)
SELECT: Final = f"SELECT {','.join(_ALL)} FROM flows WHERE id IN "  # noqa: S608 - our own names
SERVER: Final = _ALL.index("server_connection")
_AT: Final = {name: index for index, name in enumerate(_ALL)}

_LINES: Final = re.ASCII | re.IGNORECASE | re.MULTILINE
_hosts = re.compile(r"^host: (.*)$", _LINES).findall
_types = re.compile(r"^content-type: (.*)$", _LINES).findall


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
    metadata = columns[_AT["metadata"]]
    for name in _NOTED:
        values[name] = [None] * len(rows)
    for i, text in enumerate(metadata):
        if text is not None:
            _noted(text, i, values, odd)
    values["_websocket"] = list(map(bool, columns[_AT["websocket IS NOT NULL"]]))
    values["_replay"] = list(columns[_AT["is_replay"]])
    values["_destination"] = _each(_destination, odd, columns[SERVER], [addresses] * len(rows))
    requests, responses = columns[_AT["request_headers"]], columns[_AT["response_headers"]]
    values["_authority"] = _each(
        _authority, odd, requests, values["scheme"], values["host"], values["port"]
    )
    values["_request_type"] = _each(_type, odd, requests)
    values["_response_type"] = _each(_type, odd, responses)
    return list(columns[0]), values, sorted(odd)


def _each(value: Any, odd: set[int], *columns: Sequence[Any]) -> list[Any]:
    """The values of a function of some columns."""
    found = []
    for i, arguments in enumerate(zip(*columns, strict=True)):
        try:
            found.append(value(*arguments))
        except Exception:  # noqa: BLE001 - the flow has to be asked, and may fail in the same way
            found.append(None)
            odd.add(i)
    return found


def _noted(text: str, i: int, values: Mapping[str, list[Any]], odd: set[int]) -> None:
    try:
        metadata = tagged.loads(text)
        for name in _NOTED:
            values[name][i] = metadata.get(name)
    except (AttributeError, TypeError, ValueError):
        odd.add(i)


def _destination(server: int | None, addresses: Mapping[int, str | None]) -> str | None:
    if server is None:
        return None
    try:
        text = addresses[server]
    except KeyError:
        raise _Odd from None
    if text is None:
        return None
    host, port = read_address(text)
    return f"{host}:{port}"


def _authority(headers: str | bytes, scheme: str, host: str, port: int) -> str:
    if type(headers) is not str or type(host) is not str or type(port) is not int:
        raise _Odd
    found = _hosts(headers)
    if len(found) != 1 or not found[0].isascii():
        raise _Odd
    return named_authority(scheme, host, port, found[0].encode())


def _type(headers: str | bytes | None) -> str | None:
    if headers is None:
        return None
    if type(headers) is not str:
        raise _Odd
    found = _types(headers)
    if not found:
        return None
    if len(found) > 1 or not found[0].isascii():
        raise _Odd
    only: str = found[0]
    return only
