"""Flows as rows of a capture.

There are two ways to a row. The plain one reads the attributes of a flow and looks whether their
types are those that the columns hold exactly; nearly all flows pass. What does not, because a
handler or a damaged file left nonsense in it, is read again field by field: what a column cannot
say goes into `extra`, and what JSON cannot say either makes the flow not *restorable*: its row
says as much as it can, but an equal flow cannot be made of it.
"""

# ruff: noqa: SLF001 - properties cost time, and some of them do more than read

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final, Protocol

from nbproxy.model.clean import clean_float, clean_int, clean_text
from nbproxy.model.flow import VIEW_PREFIX, Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Message, Request, Response
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from nbproxy.store import tagged
from nbproxy.store.connections import keep
from nbproxy.store.schema import COLUMNS as FRAME
from nbproxy.store.schema import content_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbproxy.model.body import StoredBody
    from nbproxy.model.connection import Connection
    from nbproxy.model.headers import Fields
    from nbproxy.model.record import Record

    Row = tuple[Any, ...]
    Head = tuple[str | bytes, str | None]
    Stored = tuple[bytes | None, int | None, int, bool]

_text, _str, _int, _real, _any = "text", "str", "int", "real", "any"
_NONE: Final = type(None)
_TYPES: Final[dict[str, frozenset[type]]] = {
    _text: frozenset({str}),
    _str: frozenset({str, _NONE}),
    _int: frozenset({int, _NONE}),
    _real: frozenset({float, _NONE}),
    "flag": frozenset({bool}),
}

# column -> what it holds, in the order of a row
_COLUMNS: Final = {
    "id": _any,
    "time": _real,
    "method": _text,
    "scheme": _text,
    "host": _text,
    "port": _int,
    "path": _text,
    "status": _int,
    "reason": _str,
    "content_type": _str,
    "request_bytes": _int,
    "response_bytes": _int,
    "http_version": _text,
    "client": _str,
    "server": _str,
    "tls": "flag",
    "error": _str,
    "intercepted": "flag",
    "marked": _text,
    "comment": _text,
    "created": _real,
    "request_end": _real,
    "response_start": _real,
    "response_end": _real,
    "error_time": _real,
    "authority": _text,
    "response_version": _str,
    "is_replay": _str,
    "client_connection": _any,
    "server_connection": _any,
    "request_stored": _any,
    "response_stored": _any,
    "metadata": _any,
    "websocket": _any,
    "extra": _any,
    "request_headers": _any,
    "request_trailers": _any,
    "response_headers": _any,
    "response_trailers": _any,
    "request_body": _any,
    "response_body": _any,
}
COLUMNS: Final = tuple(_COLUMNS)
"""The columns of a row, in its order."""

INDEX: Final = {column: index for index, column in enumerate(COLUMNS)}
_REQUEST_END: Final = INDEX["request_end"]
_EXTRA: Final = INDEX["extra"]

# Read off a flow as the frame does; these follow from others.
_VALUES: Final = {column.name: column.value for column in FRAME}

# Columns that get what a handler may have put into an attribute; the others are made here.
_CHECKED: Final = [
    (INDEX[column], _TYPES[kind]) for column, kind in _COLUMNS.items() if kind != _any
]

# What a flow and its messages may have besides their own: it is made again when somebody asks, as
# are the views that scripts have of them.
_ADDED: Final = {"_nbproxy_reply", "_replayed"}


class Place(Protocol):
    """Where rows go: the capture, as far as flows refer to what is in it."""

    @property
    def inline_limit_bytes(self) -> int:
        """Bodies up to this size lie in the row."""

    @property
    def heads(self) -> dict[Fields, Head]:
        """What rows said of heads lately: many flows have the same."""

    def connection(self, connection: Connection) -> tuple[int | None, bool, str | None]:
        """The key of a connection's row, whether an equal one can be made of it, and its peer."""

    def store_body(self, content: bytes | StoredBody) -> Stored:
        """Put a body that is large or not in memory: (bytes or None, number, size, truncated)."""


class NotPlain(Exception):  # noqa: N818 - not an error, a turn in the road
    """This flow cannot be read the plain way."""


# -- headers


def headers_to_cell(fields: Fields) -> str | bytes:
    """Fields as text, where exactly the same fields can be read out of it, else as a blob."""
    raw = b"\n".join(map(b": ".join, fields))
    count, lines = len(fields), raw.count(b"\n") + 1
    if raw.count(b": ") != count or lines != count:
        exact = count in {0, lines}
        if not exact or any(b": " in name for name, _ in fields):
            return _fields_as_json(fields)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return _fields_as_json(fields)


def _head(fields: Fields, known: dict[Fields, Head]) -> Head:
    found = known.get(fields)
    if found is None:
        found = known[fields] = headers_to_cell(fields), content_type(fields)
    return found


def _fields_as_json(fields: Fields) -> bytes:
    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]
    return json.dumps(pairs).encode("ascii")


# -- flows to rows, the plain way


def _is_plain(flow: HTTPFlow, request: Request, response: Response | None) -> bool:
    """Whether they have no attributes but those that are known."""
    if type(flow) is not HTTPFlow or type(request) is not Request:
        return False
    if response is None:
        added = flow.__dict__ or request.__dict__
    elif type(response) is Response:
        added = flow.__dict__ or request.__dict__ or response.__dict__
    else:
        return False
    return not added or _is_known(flow, request, response)


def _is_known(*things: Record | None) -> bool:
    return all(
        name in _ADDED or name.startswith(VIEW_PREFIX)
        for thing in things
        if thing is not None
        for name in vars(thing)
    )


def misfits(cells: list[Any]) -> set[int]:
    """Which rows have something that a column does not hold exactly: read those with `odd_row`.

    Args:
        cells: The values of rows that `to_row` made, row after row.

    Returns:
        Their numbers, from 0; none of rows that have `extra`, for those were looked at before.
    """
    found: set[int] = set()
    width = len(COLUMNS)
    for column, kinds in _CHECKED:
        values = cells[column::width]
        if not kinds.issuperset(map(type, values)):
            found.update(row for row, value in enumerate(values) if type(value) not in kinds)
    return {row for row in found if cells[row * width + _EXTRA] is None}


def fits(row: Sequence[Any]) -> bool:
    """Whether SQLite takes all values of a row."""
    for value in row:
        if type(value) is str:
            try:
                value.encode()
            except UnicodeEncodeError:
                return False
        elif type(value) is int and not -(2**63) <= value < 2**63:
            return False
    return True


def _body(content: Any, place: Place) -> Stored:
    if type(content) is bytes and len(content) <= place.inline_limit_bytes:
        return content, None, len(content), False
    if content is None:
        return None, None, 0, False
    return place.store_body(content)


def to_row(flow: HTTPFlow, key: int, place: Place) -> tuple[Row, bool]:
    """A flow as a row, and whether an equal flow can be made of that, if it is none of `misfits`.

    Raises:
        sqlite3.Error: A large body or a connection could not be written.
    """
    try:
        return _plain_row(flow, key, place)
    except sqlite3.Error:
        raise
    except Exception:  # noqa: BLE001 - a flow may hold whatever a handler put there
        return odd_row(flow, key, place)


def _plain_row(  # noqa: PLR0915 - the hot path: a row is made in one go
    flow: HTTPFlow, key: int, place: Place
) -> tuple[Row, bool]:
    request, response = flow.request, flow.response
    if not _is_plain(flow, request, response):
        raise NotPlain
    headers = request._headers
    trailers = request.trailers
    if type(headers) is not Headers or (trailers is not None and type(trailers) is not Headers):
        raise NotPlain
    start = request.timestamp_start
    content = request._content
    body: bytes | None
    limit = place.inline_limit_bytes
    if type(content) is bytes and len(content) <= limit:
        body, stored, size, cut = content, None, len(content), False
    else:
        body, stored, size, cut = _body(content, place)
    status = reason = answer_version = answered = ended = answer_headers = answer_trailers = None
    answer_type = answer_body = answer_stored = None
    answer_size = 0
    answer_cut = False
    if response is not None:
        more, last = response._headers, response.trailers
        if type(more) is not Headers or (last is not None and type(last) is not Headers):
            raise NotPlain
        status = response.status_code
        reason = response._reason
        if status is None or reason is None:  # NULL there means that there is no response
            raise NotPlain
        answer_version = response.http_version
        answered = response.timestamp_start
        ended = response.timestamp_end
        answer_headers, answer_type = _head(more.fields, place.heads)
        if last is not None:
            answer_trailers = headers_to_cell(last.fields)
        content = response._content
        if type(content) is bytes and len(content) <= limit:
            answer_body, answer_size = content, len(content)
        else:
            answer_body, answer_stored, answer_size, answer_cut = _body(content, place)
    message = error_time = None
    error = flow.error
    if error is not None:
        if type(error) is not Error or len(vars(error)) != 2 or error.msg is None:
            raise NotPlain
        message, error_time = error.msg, error.timestamp
    client, server = flow.client_conn, flow.server_conn
    client_key, exact, client_peer = place.connection(client)
    server_key, exact_too, server_peer = place.connection(server)
    created = flow.timestamp_created
    metadata = flow._metadata
    websocket = flow.websocket
    extra = None
    if cut or answer_cut:
        extra = _extra({}, request=cut, response=answer_cut)
    row = (
        key,
        start,
        request._method,
        request.scheme,
        request._host,
        request._port,
        request._path,
        status,
        reason,
        answer_type,
        size,
        answer_size,
        request.http_version,
        client_peer,
        server_peer,
        request.scheme in ("https", "wss") or client.tls,
        message,
        flow.intercepted,
        flow._marked,
        flow._comment,
        None if created == start and type(created) is type(start) else created,
        request.timestamp_end,
        answered,
        ended,
        error_time,
        request.authority,
        answer_version,
        flow.is_replay,
        client_key,
        server_key,
        stored,
        answer_stored,
        None if not metadata else _metadata(metadata),
        None if websocket is None else _websocket(websocket),
        extra,
        _head(headers.fields, place.heads)[0],
        None if trailers is None else headers_to_cell(trailers.fields),
        answer_headers,
        answer_trailers,
        body,
        answer_body,
    )
    request_end = row[_REQUEST_END]
    # NaN, which SQLite cannot say
    nan = start != start or created != created or request_end != request_end  # noqa: PLR0124
    nan = nan or answered != answered or ended != ended or error_time != error_time  # noqa: PLR0124
    if nan or start is None or created is None:
        raise NotPlain
    # not later, as for others: what is read again then would be stored again
    large = stored is not None or answer_stored is not None or extra is not None
    if large and (misfits([*row[:_EXTRA], None]) or not fits(row)):
        raise NotPlain
    return row, exact and exact_too


def _metadata(metadata: Any) -> str:
    if type(metadata) is not dict:
        raise NotPlain
    return tagged.dumps(metadata)


def _extra(odd: Mapping[str, Any], *, request: bool, response: bool) -> str | None:
    extra: dict[str, Any] = {}
    if odd:
        extra["set"] = odd
    if request or response:
        extra["truncated"] = ["request"] * request + ["response"] * response
    return tagged.dumps(extra) if extra else None


def _websocket(websocket: WebSocketData) -> str:
    """What is known of a WebSocket but its messages, which have a table."""
    if type(websocket) is not WebSocketData or type(websocket.messages) is not list:
        raise NotPlain
    return tagged.dumps(
        {
            "messages": len(websocket.messages),
            "closed_by_client": websocket.closed_by_client,
            "close_code": websocket.close_code,
            "close_reason": websocket.close_reason,
            "timestamp_end": websocket.timestamp_end,
        }
    )


MESSAGES: Final = (
    "flow",
    "number",
    "time",
    "from_client",
    "type",
    "content",
    "dropped",
    "injected",
    "left_out",
)
"""The columns of a WebSocket message."""


def message_rows(flow: HTTPFlow, key: int) -> tuple[list[Row], bool]:
    """The messages of a flow's WebSocket as rows, and whether equal ones can be made of these."""
    websocket = flow.websocket
    if type(websocket) is not WebSocketData or type(websocket.messages) is not list:
        return [], websocket is None
    rows: list[Row] = []
    exact = True
    for number, message in enumerate(list(websocket.messages)):
        if type(message) is not WebSocketMessage:
            exact = False
            continue
        content, time = message.content, message.timestamp
        plain = (
            type(content) is bytes
            and type(time) is float
            and time == time  # noqa: PLR0124 - not NaN
            and message.type in (1, 2)
            and type(message.left_out) is int
        )
        exact = exact and plain
        rows.append(
            (
                key,
                number,
                time if plain else _real_or_none(time),
                bool(message.from_client),
                clean_int(message.type, 1),
                content if type(content) is bytes else b"",
                bool(message.dropped),
                bool(message.injected),
                clean_int(message.left_out, 0),
            )
        )
    return rows, exact


# -- flows to rows, field by field

# path to an attribute -> (column, what it holds)
FIELDS: Final = {
    "request.timestamp_start": "time",
    "request._method": "method",
    "request.scheme": "scheme",
    "request._host": "host",
    "request._port": "port",
    "request._path": "path",
    "request.http_version": "http_version",
    "request.timestamp_end": "request_end",
    "request.authority": "authority",
    "response.status_code": "status",
    "response._reason": "reason",
    "response.http_version": "response_version",
    "response.timestamp_start": "response_start",
    "response.timestamp_end": "response_end",
    "error.msg": "error",
    "error.timestamp": "error_time",
    "intercepted": "intercepted",
    "_marked": "marked",
    "_comment": "comment",
    "timestamp_created": "created",
    "is_replay": "is_replay",
}
_NEVER_NONE: Final = frozenset(FIELDS) - {
    *("request.timestamp_end", "response.timestamp_end", "is_replay")
}
_NO_NUMBER: Final = -(2**63)
_DERIVED: Final = ("content_type", "client", "server", "tls")


def _cell(kind: str, value: Any) -> tuple[Any, bool]:
    """What a column can say of a value, and whether it says it exactly."""
    if kind in {_text, _str}:
        text = clean_text(value)
        return text, value is None or (type(value) is str and text == value)
    if kind == _int:
        whole = clean_int(value, _NO_NUMBER)
        fits = value is None or (type(value) is int and whole == value != _NO_NUMBER)
        return None if whole == _NO_NUMBER else whole, fits
    if kind == "flag":
        return bool(value), type(value) is bool
    number = _real_or_none(value)
    return number, value is None or (type(value) is float and number is not None)


def _real_or_none(value: Any) -> float | None:
    number = clean_float(value)
    return None if number != number else number  # noqa: PLR0124 - NaN, which SQLite cannot say


def odd_row(flow: HTTPFlow, key: int, place: Place) -> tuple[Row, bool]:
    """A row of a flow that may hold whatever; see `to_row`."""
    odd = _OddFlow(flow, place)
    odd.row["id"] = key
    for part in (odd.fields, odd.derived, odd.messages, odd.connections, odd.notes):
        try:
            part()
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - a flow may hold whatever a handler put there
            odd.exact = False
    kept, complete = keep(odd.values)
    # never NULL: who reads columns only then asks the flow
    odd.row["extra"] = _extra(kept, **odd.cut) or "{}"
    return tuple(odd.row.values()), odd.exact and complete


class _OddFlow:
    """Reads a flow field by field, as far as that goes.

    Attributes:
        row: The columns.
        values: What they cannot say, by the path to it.
        cut: Which bodies are truncated.
        exact: False once something was met that is lost.
    """

    def __init__(self, flow: HTTPFlow, place: Place) -> None:
        self.row: dict[str, Any] = {
            **dict.fromkeys(COLUMNS),
            **dict.fromkeys(("request_bytes", "response_bytes", "tls", "intercepted"), 0),
        }
        self.values: dict[str, Any] = {}
        self.cut = {"request": False, "response": False}
        self.exact = False
        self._flow = flow
        self._place = place

    def fields(self) -> None:
        flow = self._flow
        response = getattr(flow, "response", None)
        self.exact = _is_plain(flow, flow.request, response)
        for path, column in FIELDS.items():
            owner, _, name = path.rpartition(".")
            holder = flow if not owner else getattr(flow, owner, None)
            if holder is None:
                continue
            try:
                value = getattr(holder, name)
                self.row[column], fits = _cell(_COLUMNS[column], value)
            except Exception:  # noqa: BLE001 - see `odd_row`
                self.exact = False
                continue
            if not fits or (value is None and path in _NEVER_NONE):
                self.values[path] = value
        if self.row["created"] == self.row["time"]:
            self.row["created"] = None
        error = flow.error
        if error is not None and (type(error) is not Error or len(vars(error)) != 2):
            self.exact = False

    def derived(self) -> None:
        for column in _DERIVED:
            try:
                value = _VALUES[column](self._flow)
                self.row[column], _ = _cell(_COLUMNS[column], value)
            except Exception:  # noqa: BLE001, S112 - see `odd_row`
                continue

    def messages(self) -> None:
        for name in ("request", "response"):
            message = getattr(self._flow, name, None)
            if message is None:
                continue
            self.row[f"{name}_headers"] = ""
            if not isinstance(message, Message):
                self.exact = False
                continue
            for part in ("headers", "trailers"):
                self._head(name, part, getattr(message, part, None))
            content = getattr(message, "_content", None)
            stored = _body(content, self._place)
            (
                self.row[f"{name}_body"],
                self.row[f"{name}_stored"],
                self.row[f"{name}_bytes"],
                self.cut[name],
            ) = stored

    def _head(self, name: str, part: str, headers: Any) -> None:
        if headers is None and part == "trailers":
            return
        try:
            self.row[f"{name}_{part}"] = headers_to_cell(headers.fields)
        except Exception:  # noqa: BLE001 - see `odd_row`
            self.row[f"{name}_{part}"] = ""
            self.exact = False
        else:
            self.exact = self.exact and type(headers) is Headers

    def connections(self) -> None:
        for name in ("client", "server"):
            connection = getattr(self._flow, f"{name}_conn")
            key, same, _ = self._place.connection(connection)
            self.row[f"{name}_connection"] = key
            self.exact = self.exact and same

    def notes(self) -> None:
        metadata = self._flow._metadata
        if metadata:
            named = {name: value for name, value in metadata.items() if type(name) is str}
            kept, complete = keep(named)
            self.row["metadata"] = tagged.dumps(kept)
            if not complete or type(metadata) is not dict or len(named) < len(metadata):
                self.exact = False
        elif type(metadata) not in {dict, _NONE}:
            self.exact = False
        websocket = self._flow.websocket
        if websocket is not None:
            self.row["websocket"] = _websocket(websocket)
