"""The columns of the frame: the one place where they are declared.

A row is a flow, the index is `flow.id`. A column is a name, a kind (which settles its dtype), what
it means, and a function that reads its value off a flow. Nothing here needs pandas.

`COLUMNS` are those of the frames that users get. `HIDDEN` are not in there: they are what filters
ask beside, so that most of them can be answered without the flows themselves. Their names begin
with an underscore.

| kind | dtype in pandas | missing |
|---|---|---|
| str | `str` (Arrow storage) | NaN: there is no such thing (yet) |
| int, bool | `int64`, `bool` | never |
| nullable int | `Int64` | `<NA>` |
| float | `float64` | NaN |
| time | `datetime64[us, UTC]` | NaT |
| nullable bool | `boolean` | `<NA>` |
| naive time | `datetime64[us]` | NaT |
| object | `object` | None |
| missing | `object` | all are None |

The last four are only for columns that users add.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from nbproxy.model.connection import format_address
from nbproxy.model.escape import visible
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.connection import Connection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Fields
    from nbproxy.model.message import Message

Kind = Literal[
    "str",
    "int",
    "nullable int",
    "float",
    "bool",
    "nullable bool",
    "time",
    "naive time",
    "object",
    "missing",
]

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


def content_type(fields: Fields) -> str | None:
    """The media type that a head states, in lower case and without parameters."""
    for name, value in fields:
        # the length comes first: it is cheap, and true of few fields
        if len(name) == 12 and name.lower() == b"content-type":
            return _media_type(value)
    return None


def _content_type(flow: HTTPFlow) -> str | None:
    response = flow.response
    return None if response is None else content_type(response.headers.fields)


def peer(connection: Connection) -> str | None:
    """The other end of a connection, as `client` and `server` say it.

    Raises:
        Exception: A handler put nonsense there.
    """
    peername = connection.peername
    return None if peername is None else _address(peername)


def _client(flow: HTTPFlow) -> str | None:
    return peer(flow.client_conn)


def _server(flow: HTTPFlow) -> str | None:
    return peer(flow.server_conn)


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


def _noted(flow: HTTPFlow, name: str) -> Any:
    metadata = flow._metadata  # noqa: SLF001 - asking `metadata` would make one
    return None if metadata is None else metadata.get(name)


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
    Column(
        "cell",
        "nullable int",
        "",
        "Number of the notebook's cell that asked; <NA> if no cell of this kernel did.",
        lambda flow: _noted(flow, "cell"),
    ),
    Column(
        "line",
        "nullable int",
        "",
        "The line of that cell that was run; <NA> if it is not known.",
        lambda flow: _noted(flow, "line"),
    ),
    Column(
        "function",
        "str",
        "",
        "The notebook's function that asked; missing if it was no function's code.",
        lambda flow: _noted(flow, "function"),
    ),
)


# -- what filters ask


def _authority(flow: HTTPFlow) -> str:
    request = flow.request
    named = [v for n, v in request.headers.fields if len(n) == 4 and n.lower() == b"host"]
    if len(named) == 1 and named[0].isascii():
        return named_authority(request.scheme, request.host, request.port, named[0])
    path = "" if request.path == "*" else request.path  # see `model.url.unparse`
    whole = request.pretty_url
    return whole[len(request.scheme) + 3 : len(whole) - len(path)]


@lru_cache(maxsize=4096)
def named_authority(
    scheme: str, host: str, port: int, named: bytes | None, authority: str = ""
) -> str:
    """What `pretty_url` has, by the Host field, or, without one, by the authority of HTTP/2."""
    fields = [] if named is None else [(b"host", named)]
    request = Request("GET", scheme, host, port, "", headers=Headers(fields))
    request.authority = authority
    return request.pretty_url[len(scheme) + 3 :]


def _field_type(message: Message | None) -> str | None:
    """The Content-Type field as it is; U+FFFD, which decides nothing, if there are several."""
    found = None
    for name, value in () if message is None else message.headers.fields:
        if len(name) == 12 and name.lower() == b"content-type":
            if found is not None:
                return "\ufffd"
            found = value.decode("latin-1")
    return found


def _destination(flow: HTTPFlow) -> str | None:
    address = flow.server_conn.address
    return None if address is None else f"{address[0]}:{address[1]}"


HIDDEN: tuple[Column, ...] = (
    Column(
        "_authority", "str", "", "What stands between `://` and path in `pretty_url`.", _authority
    ),
    Column(
        "_request_type",
        "str",
        "",
        "The request's Content-Type field; missing without one, U+FFFD if there are several.",
        lambda flow: _field_type(flow.request),
    ),
    Column(
        "_response_type",
        "str",
        "",
        "The response's Content-Type field, likewise.",
        lambda flow: _field_type(flow.response),
    ),
    Column(
        "_destination", "str", "", "The server as it was asked for, with its port.", _destination
    ),
    Column(
        "_websocket",
        "bool",
        "",
        "Whether it was upgraded to WebSocket.",
        lambda flow: flow.websocket is not None,
    ),
    Column(
        "_replay",
        "str",
        "",
        '"request" or "response" if that was replayed; else missing.',
        lambda flow: flow.is_replay,
    ),
)
