"""A HAR entry becomes a flow: whoever wrote it, and whatever they got wrong.

What is not as HAR 1.2 says is mended where its meaning is clear. Headers are the truth; lists of
cookies and query parameters beside them are not looked at. Bodies stand there decoded; the value of
a Content-Encoding field that is not true any more moves to `flow.metadata["content_encoding"]`.
Times are laid out in the order of the phases: blocked, dns, connect (which includes ssl), send,
wait, receive.
"""

from __future__ import annotations

import contextlib
import math
import re
import uuid
from base64 import b64decode
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbproxy.formats.har_text import bytes_of
from nbproxy.formats.mitm import ORIGINAL_ID
from nbproxy.model import coding, forms, url
from nbproxy.model.connection import Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers, check_name, check_value
from nbproxy.model.message import Request, Response
from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.formats.notes import Notes
    from nbproxy.model.connection import Address, Connection

    Bodies: TypeAlias = Mapping[str, Callable[[], bytes]]

_OTHER_SCHEMES: Final = frozenset(
    """about blob chrome chrome-extension data file filesystem ftp javascript moz-extension
    safari-web-extension urn view-source""".split()  # noqa: SIM905 - reads better so
)
_WEBSOCKET_SCHEMES: Final = {"ws": "http", "wss": "https"}
_VERSIONS: Final = {
    "1.0": "HTTP/1.0",
    "1.1": "HTTP/1.1",
    "2": "HTTP/2.0",
    "2.0": "HTTP/2.0",
    "h2": "HTTP/2.0",
    "h2c": "HTTP/2.0",
    "3": "HTTP/3",
    "3.0": "HTTP/3",
    "h3": "HTTP/3",
    "quic": "HTTP/3",
}
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_MAX_SECONDS: Final = 10.0**8
_TIMES: Final = (-62_000_000_000.0, 253_000_000_000.0)  # what a date can be made of
_REPLAYS: Final = frozenset({"request", "response"})


class Unusable(Exception):  # noqa: N818 - says what the entry is
    """An entry that no flow can be made of.

    Attributes:
        left_out: If it is nothing wrong but something other than HTTP: what; else "".
    """

    def __init__(self, problem: str, left_out: str = "") -> None:
        super().__init__(problem)
        self.left_out = left_out


def to_flow(entry: Any, notes: Notes, bodies: Bodies) -> HTTPFlow:
    """The flow of an entry.

    Args:
        entry: What JSON gave.
        notes: Told of what was mended.
        bodies: Bodies that lie outside the HAR, by the names in `_file`.

    Raises:
        Unusable: There is no flow in it.
    """
    entry = _object(entry)
    asked, answered = _object(entry.get("request")), _object(entry.get("response"))
    if not asked:
        raise Unusable("it has no request")
    ours = _object(entry.get("_nbproxy"))
    request = _request(asked, notes, bodies, ours)
    server = Server((request.host, request.port))
    flow = HTTPFlow(request, server_conn=server)
    flow.response = _response(answered, request, notes, bodies, flow.metadata)
    if flow.response is None:
        message = answered.get("_error") or answered.get("_failureText")
        if message:
            flow.error = Error(_string(message))
    flow.websocket = _websocket(entry)
    server.peername = _peername(entry, request.port)
    server.tls = request.scheme == "https"
    _lay_out(flow, entry, notes)
    flow.comment = _string(entry.get("comment"))
    flow.marked = ":default:" if entry.get("_pinned") is True else ""
    _take_ours(flow, ours)
    return flow


# -- values, whatever their type


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _string(value: Any) -> str:
    """Text; "" for null, as numbers are written for a number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _base64(text: str) -> bytes | None:
    try:
        return b64decode(text)
    except ValueError:
        return None


# -- messages


def _request(asked: dict[str, Any], notes: Notes, bodies: Bodies, ours: dict[str, Any]) -> Request:
    method = _string(asked.get("method")) or "GET"
    try:
        check_name(method)
    except ValueError as error:
        raise Unusable("its method is none") from error
    scheme, host, port, path = _destination(_string(asked.get("url")), method)
    headers, pseudo = _headers(asked.get("headers"), notes)
    version = _version(asked.get("httpVersion"), "HTTP/2.0" if pseudo else "HTTP/1.1")
    request = Request(
        method,
        scheme,
        host,
        port,
        path,
        headers=headers,
        content=_request_body(asked, headers, notes, bodies),
        http_version=version,
        authority=pseudo.get(":authority", ""),
    )
    if (trailers := asked.get("_trailers")) is not None:
        request.trailers = _headers(trailers, notes)[0]
    _redirect(request, ours)
    return request


def _redirect(request: Request, ours: dict[str, Any]) -> None:
    """Where the request really went, if its URL names the host as the client did."""
    place = _address(ours.get("destination"))
    if place is not None:
        request._host, request._port = place  # noqa: SLF001 - the setters would change headers
    authority = ours.get("authority")
    if isinstance(authority, str) and authority.isprintable():
        request.authority = authority
    target = ours.get("path")
    if isinstance(target, str) and target.isprintable():
        request._path = target  # noqa: SLF001 - as it was recorded, not as a URL may be


def _destination(address: str, method: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of an entry's URL."""
    scheme, colon, rest = address.strip().partition(":")
    scheme = scheme.lower()
    if not address:
        raise Unusable("no url")
    if scheme in _OTHER_SCHEMES:
        raise Unusable("not HTTP", f"`{scheme}:` URL")
    if colon and scheme in _WEBSOCKET_SCHEMES:
        address = f"{_WEBSOCKET_SCHEMES[scheme]}:{rest}"
    try:
        if method == "CONNECT" and "://" not in address:
            host, port = url.parse_authority(address, require_port=True)
            return "", host, port or 443, ""
        parsed = url.parse(address)
    except ValueError as error:
        raise Unusable(f"its url cannot be used: {error}") from error
    return ("", parsed[1], parsed[2], "") if method == "CONNECT" else parsed


def _version(found: Any, otherwise: str) -> str:
    name = _string(found).strip().lower().removeprefix("http/")
    return _VERSIONS.get(name) or ("HTTP/3" if name.startswith("h3") else otherwise)


def _headers(found: Any, notes: Notes) -> tuple[Headers, dict[str, str]]:
    """The fields, and HTTP/2's pseudo-header fields, which stand among them in many files."""
    fields: list[tuple[bytes, bytes]] = []
    pseudo: dict[str, str] = {}
    for item in _list(found):
        raw = None
        if isinstance(item, dict):
            name, value = _string(item.get("name")), _string(item.get("value"))
            raw = item.get("_raw")
        elif isinstance(item, list) and len(item) == 2:
            name, value = _string(item[0]), _string(item[1])
        else:
            notes.mend("header field")
            continue
        if name.startswith(":"):
            pseudo[name.lower()] = value if value.isprintable() else ""
            continue
        try:
            fields += _field(name, value, raw)
        except ValueError:
            notes.mend("header field")
    return Headers.from_wire(tuple(fields)), pseudo


def _field(name: str, value: str, raw: Any) -> list[tuple[bytes, bytes]]:
    """A field; several where Chrome has joined those of one name by line breaks.

    Raises:
        ValueError: The name is none.
    """
    key = check_name(name)
    if isinstance(raw, str) and (exact := _base64(raw)) is not None:
        return [(key, check_value(exact))]
    lines = value.splitlines() if key.lower() == b"set-cookie" else [value]
    encoded = [line.encode("utf-8", "surrogatepass") for line in lines]
    return [(key, _CONTROLS.sub(b" ", line)) for line in encoded]


def _request_body(
    asked: dict[str, Any], headers: Headers, notes: Notes, bodies: Bodies
) -> bytes | None:
    ours = _object(asked.get("_content"))
    if isinstance(ours.get("text"), str):
        content = _base64(ours["text"]) if ours.get("encoding") == "base64" else None
        if content is not None:
            return content
        notes.mend("request body")
        return None
    if asked.get("_requestBodyStatus"):
        return None  # there was one, and it was not kept
    posted = _object(asked.get("postData"))
    kept = _kept(posted, bodies)
    if kept is not None:
        return kept
    media = _string(posted.get("mimeType")) or headers.get("content-type", "")
    text, params = posted.get("text"), _list(posted.get("params"))
    if not text and params:
        return _form(params, media)
    if not isinstance(text, str):
        return b""
    if posted.get("encoding") == "base64" and (content := _base64(text)) is not None:
        return content
    return bytes_of(text, headers.get("content-type", media))


def _form(params: list[Any], media: str) -> bytes:
    """The body of a form of which only the fields are there."""
    fields = [_object(param) for param in params]
    if "multipart/form-data" in media.lower():
        pairs = [
            (_string(f.get("name")).encode(), _string(f.get("value")).encode()) for f in fields
        ]
        try:
            return forms.encode_multipart(media, pairs)
        except ValueError:
            return b""
    named = [(_string(f.get("name")), _string(f.get("value"))) for f in fields]
    return forms.encode_urlencoded(named).encode("utf-8", "surrogatepass")


def _kept(holder: dict[str, Any], bodies: Bodies) -> bytes | None:
    """A body that lies outside the HAR."""
    name = holder.get("_file")
    read = bodies.get(name) if isinstance(name, str) else None
    return None if read is None else read()


def _response(
    answered: dict[str, Any],
    request: Request,
    notes: Notes,
    bodies: Bodies,
    aside: dict[str, Any],
) -> Response | None:
    status = _number(answered.get("status"))
    if status is None or not 100 <= status <= 999:
        return None
    headers, _ = _headers(answered.get("headers"), notes)
    reason = _string(answered.get("statusText"))
    response = Response(
        int(status),
        reason=reason if reason.isprintable() else "",
        headers=headers,
        content=None,
        http_version=_version(answered.get("httpVersion"), request.http_version),
    )
    content = _object(answered.get("content"))
    body = _response_body(content, headers, bodies)
    if body and "content-encoding" in headers and content.get("_asSent") is not True:
        body = _recoded(body, headers, content, notes, aside)
    response.raw_content = body
    if (trailers := answered.get("_trailers")) is not None:
        response.trailers = _headers(trailers, notes)[0]
    return response


def _response_body(content: dict[str, Any], headers: Headers, bodies: Bodies) -> bytes | None:
    """The body without its content coding; None if it was not kept."""
    kept = _kept(content, bodies)
    if kept is not None:
        return kept
    text = content.get("text")
    if not isinstance(text, str):
        return None if _number(content.get("size")) or content.get("comment") else b""
    if content.get("encoding") == "base64" and (plain := _base64(text)) is not None:
        return plain
    return bytes_of(text, headers.get("content-type") or _string(content.get("mimeType")))


def _recoded(
    body: bytes, headers: Headers, content: dict[str, Any], notes: Notes, aside: dict[str, Any]
) -> bytes:
    """What to hold of a body that has been decoded, whose fields say that it was sent coded.

    Where we wrote the file it is coded again. Others' bodies stay as they are, and the fields
    follow, so that the flow can be sent again.
    """
    encoding = headers["content-encoding"]
    if content.get("_recode") is True:
        try:
            return coding.encode(body, encoding)
        except ValueError:
            notes.mend("content coding")
    aside["content_encoding"] = encoding
    del headers["content-encoding"]
    if "content-length" in headers:
        headers["content-length"] = str(len(body))
    return body


def _websocket(entry: dict[str, Any]) -> WebSocketData | None:
    found = entry.get("_webSocketMessages")
    if not isinstance(found, list):
        return None
    websocket = WebSocketData()
    for item in map(_object, found):
        kind = BINARY if _number(item.get("opcode")) == BINARY else TEXT
        data = _string(item.get("data"))
        content = _base64(data) if kind == BINARY else data.encode("utf-8", "surrogatepass")
        if isinstance(item.get("_raw"), str):  # text that is not UTF-8
            content = _base64(item["_raw"])
        websocket.messages.append(
            WebSocketMessage(
                kind,
                item.get("type") == "send",
                b"" if content is None else content,
                _seconds(item.get("time")),
                item.get("_dropped") is True,
                item.get("_injected") is True,
            )
        )
    close = _object(entry.get("_webSocketClose"))
    if close:
        code = _number(close.get("code"))
        websocket.close_code = int(code) if code is not None and 0 <= code <= 65535 else None
        reason = close.get("reason")
        websocket.close_reason = reason if isinstance(reason, str) else None
        by_client = close.get("_byClient")
        websocket.closed_by_client = by_client if isinstance(by_client, bool) else None
        if close.get("timestamp") is not None:
            websocket.timestamp_end = _seconds(close.get("timestamp"))
    return websocket


# -- times and places


def _seconds(value: Any) -> float:
    """Unix seconds; 0 for what are none."""
    number = _number(value)
    return number if number is not None and _TIMES[0] < number < _TIMES[1] else 0.0


def _phase(timings: dict[str, Any], name: str) -> float | None:
    """Seconds of a phase; None if it does not apply."""
    number = _number(timings.get(name))
    if number is None or number < 0:
        return None
    return min(number / 1000, _MAX_SECONDS)


def _started(entry: dict[str, Any], notes: Notes) -> float:
    text = _string(entry.get("startedDateTime"))
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _seconds(moment.timestamp())
    except (ValueError, OverflowError):
        notes.mend("date")
        return 0.0


def _lay_out(flow: HTTPFlow, entry: dict[str, Any], notes: Notes) -> None:
    """Set the times of request, response and server connection."""
    timings = _object(entry.get("timings"))
    request, response, server = flow.request, flow.response, flow.server_conn
    request.timestamp_start = flow.timestamp_created = now = _started(entry, notes)
    now += (_phase(timings, "blocked") or 0.0) + (_phase(timings, "dns") or 0.0)
    connect, handshake = _phase(timings, "connect"), _phase(timings, "ssl")
    if connect is not None:
        server.timestamp_start = now
        now += connect
        server.timestamp_tcp_setup = now - min(handshake or 0.0, connect)
        if server.tls:
            server.timestamp_tls_setup = now
    now += _phase(timings, "send") or 0.0
    request.timestamp_end = now
    now += _phase(timings, "wait") or 0.0
    if response is not None:
        response.timestamp_start = now
        now += _phase(timings, "receive") or 0.0
        response.timestamp_end = now
    elif flow.error is not None:
        flow.error.timestamp = now


def _peername(entry: dict[str, Any], port: int) -> Address | None:
    """The address that was connected to; some write it in brackets, some with the port."""
    text = _string(entry.get("serverIPAddress")).strip()
    bracketed = re.match(r"\[([^\]]*)\]", text)
    for candidate in (bracketed[1] if bracketed else text, text.rpartition(":")[0]):
        try:
            address = str(ip_address(candidate.partition("%")[0]))
        except ValueError:
            continue
        named = _number(entry.get("_serverPort"))
        return address, int(named) if named is not None and 0 < named < 65536 else port
    return None


# -- what this package wrote itself


def _address(value: Any) -> Address | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    host, port = value
    if not isinstance(host, str) or not host.isprintable() or type(port) is not int:
        return None
    return (host, port) if 0 <= port < 65536 else None


def _take_ours(flow: HTTPFlow, ours: dict[str, Any]) -> None:
    """What HAR has no fields for."""
    flow.metadata |= _object(ours.get("metadata"))
    identity = ours.get("id")
    if isinstance(identity, str):
        flow.metadata[ORIGINAL_ID] = identity
    if isinstance(ours.get("marked"), str):
        flow.marked = ours["marked"]
    if ours.get("replay") in _REPLAYS:
        flow.is_replay = ours["replay"]
    if isinstance(ours.get("error"), str):  # beside a response, where HAR has no place for it
        flow.error = Error(ours["error"])
    _take_times(flow, _object(ours.get("times")))
    for name, connection in (("client", flow.client_conn), ("server", flow.server_conn)):
        if name in ours:
            _take_connection(connection, _object(ours[name]))
    via = ours.get("via")
    if isinstance(via, list) and len(via) == 2 and isinstance(via[0], str):
        place = _address(via[1])
        flow.server_conn.via = None if place is None else (via[0], place)


def _moment(times: dict[str, Any], name: str, otherwise: float | None) -> float | None:
    """A time that was written exactly; null says that there was none."""
    if name not in times:
        return otherwise
    return None if times[name] is None else _seconds(times[name])


def _take_times(flow: HTTPFlow, times: dict[str, Any]) -> None:
    request, response, error = flow.request, flow.response, flow.error
    request.timestamp_start = _moment(times, "start", request.timestamp_start) or 0.0
    request.timestamp_end = _moment(times, "requestEnd", request.timestamp_end)
    flow.timestamp_created = _moment(times, "created", request.timestamp_start) or 0.0
    if response is not None:
        started = _moment(times, "responseStart", response.timestamp_start)
        response.timestamp_start = started or 0.0
        response.timestamp_end = _moment(times, "responseEnd", response.timestamp_end)
    if error is not None:
        error.timestamp = _moment(times, "error", error.timestamp) or 0.0


def _take_connection(connection: Connection, ours: dict[str, Any]) -> None:
    identity = ours.get("id")
    if isinstance(identity, str):
        with contextlib.suppress(ValueError):
            connection.id = uuid.UUID(identity).int
    connection.peername = _address(ours.get("peername"))
    connection.sockname = _address(ours.get("sockname"))
    connection.tls = ours.get("tls") is True
    for name in ("tls_version", "cipher", "alpn", "sni", "error"):
        value = ours.get(name)
        setattr(connection, name, value if isinstance(value, str) else None)
    connection.alpn_offers = tuple(o for o in _list(ours.get("alpn_offers")) if isinstance(o, str))
    for name in ("start", "tls_setup", "end"):
        setattr(connection, f"timestamp_{name}", _moment(ours, name, None))
    if isinstance(connection, Server):
        connection.address = _address(ours.get("address"))
        connection.timestamp_tcp_setup = _moment(ours, "tcp_setup", None)
    certificates = [_base64(c) for c in _list(ours.get("certificates")) if isinstance(c, str)]
    connection.certificate_list = tuple(c for c in certificates if c)
