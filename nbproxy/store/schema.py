"""The columns of the frame: the one place where they are declared.

A row is a flow, the index is `flow.id`. A column is a name, a kind (which settles its dtype), what
it means, and a function that reads its value off a flow. Nothing here needs pandas.

| kind | dtype in pandas | missing |
|---|---|---|
| str | `str` (Arrow storage) | NaN: there is no such thing (yet) |
| int, bool | `int64`, `bool` | never |
| nullable int | `Int64` | `<NA>` |
| float | `float64` | NaN |
| time | `datetime64[us, UTC]` | NaT |
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from nbproxy.model.connection import format_address
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.flow import HTTPFlow

Kind = Literal["str", "int", "nullable int", "float", "bool", "time"]

INDEX = "id"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the frame.
        kind: What its values are; see the table at the top of this module.
        unit: "s", "bytes" or "".
        doc: What it means, in one sentence.
        value: Reads it off a flow; None stands for missing. May fail on a flow that a handler
            filled with nonsense: the value is then missing.
    """

    name: str
    kind: Kind
    unit: str
    doc: str
    value: Callable[[HTTPFlow], Any]


_address = lru_cache(maxsize=4096)(format_address)


@lru_cache(maxsize=4096)
def _media_type(content_type: bytes) -> str:
    """Type and subtype, lower-case, without parameters (RFC 9110, 8.3.1).

    Both are tokens, so anything invisible in there is an attack on the reader, and is escaped.
    """
    media_type = content_type.partition(b";")[0].strip().lower()
    return visible(media_type.decode("utf-8", "replace"), 200)


def _content_type(flow: HTTPFlow) -> str | None:
    response = flow.response
    if response is None:
        return None
    for name, value in response.headers.fields:
        # the length comes first: it is cheap, and true of few fields
        if len(name) == 12 and name.lower() == b"content-type":
            return _media_type(value)
    return None


def _client(flow: HTTPFlow) -> str | None:
    peername = flow.client_conn.peername
    return None if peername is None else _address(peername)


def _server(flow: HTTPFlow) -> str | None:
    peername = flow.server_conn.peername
    return None if peername is None else _address(peername)


def _status(flow: HTTPFlow) -> int | None:
    response = flow.response
    return None if response is None else response.status_code


def _reason(flow: HTTPFlow) -> str | None:
    response = flow.response
    return None if response is None else response.reason


def _response_bytes(flow: HTTPFlow) -> int:
    response = flow.response
    return 0 if response is None else response.body_size


def _tls(flow: HTTPFlow) -> bool:
    return flow.request.scheme in ("https", "wss") or flow.client_conn.tls


def _error(flow: HTTPFlow) -> str | None:
    error = flow.error
    return None if error is None else error.msg


COLUMNS: tuple[Column, ...] = (
    Column(
        "time",
        "time",
        "",
        "When the request's first byte came, in UTC.",
        lambda flow: flow.request.timestamp_start,
    ),
    Column("method", "str", "", "The request's method.", lambda flow: flow.request.method),
    Column("scheme", "str", "", '"http" or "https".', lambda flow: flow.request.scheme),
    Column(
        "host",
        "str",
        "",
        "Where the request went: a name, or an address without brackets.",
        lambda flow: flow.request.host,
    ),
    Column("port", "int", "", "The port it went to.", lambda flow: flow.request.port),
    Column("path", "str", "", "Path and query as sent.", lambda flow: flow.request.path),
    Column("status", "nullable int", "", "The response's status code; <NA> without one.", _status),
    Column(
        "reason",
        "str",
        "",
        "The response's reason phrase as sent, which may be empty; missing without a response.",
        _reason,
    ),
    Column(
        "content_type",
        "str",
        "",
        "The response's media type, lower-case, without parameters; missing if it names none.",
        _content_type,
    ),
    Column(
        "request_bytes",
        "int",
        "bytes",
        "Size of the request's body as sent, so far.",
        lambda flow: flow.request.body_size,
    ),
    Column(
        "response_bytes",
        "int",
        "bytes",
        "Size of the response's body as sent (with its content coding), so far.",
        _response_bytes,
    ),
    Column(
        "duration",
        "float",
        "s",
        "From the request's first byte to the response's last; NaN until that has come.",
        lambda flow: flow.duration,
    ),
    Column(
        "ttfb",
        "float",
        "s",
        "From the request's first byte to the response's first; NaN until that has come.",
        lambda flow: flow.ttfb,
    ),
    Column(
        "http_version",
        "str",
        "",
        'Of the request: "HTTP/1.1", "HTTP/1.0", "HTTP/2.0".',
        lambda flow: flow.request.http_version,
    ),
    Column("client", "str", "", 'The client\'s address, "127.0.0.1:5312".', _client),
    Column(
        "server",
        "str",
        "",
        'The address that was connected to, "93.184.216.34:443"; missing if none was.',
        _server,
    ),
    Column("tls", "bool", "", "Whether the client spoke TLS, or asked for https.", _tls),
    Column("error", "str", "", "Why the flow failed; missing if it did not.", _error),
    Column("intercepted", "bool", "", "Whether it is held now.", lambda flow: flow.intercepted),
    Column("marked", "str", "", 'Its mark, "" for none.', lambda flow: flow.marked),
    Column("comment", "str", "", 'Its comment, "" for none.', lambda flow: flow.comment),
)
