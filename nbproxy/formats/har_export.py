"""A flow becomes a HAR 1.2 entry whose numbers add up.

`time` is the sum of the phases, of which `ssl` is a part of `connect`; only the flow that waited
for its connection carries `connect`. `content.size` is the length after decoding, `bodySize` that
on the wire. Bodies that are not exactly text are Base64. What HAR has no field for (exact times,
both connections, mark, replay) stands under `_nbproxy`, from which `nbproxy.formats.har_import`
takes it back.
"""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbproxy.formats import mitm
from nbproxy.formats.har_text import text_of
from nbproxy.model import forms, url
from nbproxy.model.connection import Server
from nbproxy.model.cookies import parse_cookie_header, parse_set_cookie
from nbproxy.model.secrets import is_secret_name
from nbproxy.model.websocket import TEXT, WebSocketData

if TYPE_CHECKING:
    from nbproxy.formats.notes import Notes
    from nbproxy.model.connection import Connection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Message, Request, Response
    from nbproxy.model.secrets import Masker

Json: TypeAlias = dict[str, Any]

_HTTP1: Final = frozenset({"HTTP/1.0", "HTTP/1.1"})


def to_entry(flow: HTTPFlow, notes: Notes, masker: Masker | None = None) -> Json:
    """The entry of a flow, fit for `json.dumps`.

    Args:
        flow: Any; a live one is written as far as it has got.
        notes: Told of what could not be written.
        masker: Masks credentials, cookies and tokens; None writes all as it is.
    """
    writer = _Writer(masker)
    request, response = flow.request, flow.response
    timings = _timings(flow)
    entry: Json = {
        "startedDateTime": _iso(request.timestamp_start),
        "time": sum(value for name, value in timings.items() if name != "ssl" and value > 0),
        "request": writer.request(request),
        "response": writer.failure(flow) if response is None else writer.response(response),
        "cache": {},
        "timings": timings,
    }
    server, client = flow.server_conn, flow.client_conn
    if server.peername is not None:
        with contextlib.suppress(ValueError):
            entry["serverIPAddress"] = str(ip_address(server.peername[0]))
        entry["connection"] = str(server.id)
    if flow.comment:
        entry["comment"] = writer.text(flow.comment)
    if flow.marked:
        entry["_pinned"] = True
    if isinstance(flow.websocket, WebSocketData):
        entry |= writer.websocket(flow.websocket)
    ours: Json = {"times": _times(flow)}
    identity = flow.metadata.get(mitm.ORIGINAL_ID)
    if isinstance(identity, str):
        ours["id"] = identity
    if masker is None and (metadata := _plain_metadata(flow.metadata, notes)):
        ours["metadata"] = metadata
    if flow.marked:
        ours["marked"] = flow.marked
    if flow.is_replay:
        ours["replay"] = flow.is_replay
    if flow.error is not None and response is not None:
        ours["error"] = flow.error.msg
    if server.via is not None:
        ours["via"] = server.via
    ours["client"], ours["server"] = _connection(client), _connection(server)
    entry["_nbproxy"] = ours | writer.destination(request)
    return entry


def _plain_metadata(metadata: Json, notes: Notes) -> Json:
    """What JSON can say of a handler's metadata."""
    kept = {}
    for name, value in metadata.items():
        if name == mitm.ORIGINAL_ID:
            continue
        try:
            json.dumps({name: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            notes.leave_out("metadata value")
        else:
            kept[name] = value
    return kept


# -- times


def _iso(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00.000000+00:00"


def _timings(flow: HTTPFlow) -> dict[str, float]:
    """The phases in milliseconds, -1 for those that do not apply.

    Their sum is the time from the request's first byte to the end, whatever the clocks say: each
    moment is taken as no earlier than the one before.
    """
    request, response, server = flow.request, flow.response, flow.server_conn
    begin = request.timestamp_start
    sent = max(begin, request.timestamp_end or begin)
    answered, end = sent, sent
    if response is not None:
        answered = response.timestamp_start or sent
        end = max(answered, response.timestamp_end or answered)
    elif flow.error is not None:
        answered = end = max(sent, flow.error.timestamp)
    blocked = connect = ssl = None
    opened = server.timestamp_start
    ready = server.timestamp_tls_setup or server.timestamp_tcp_setup
    # A connection that was there before is not waited for; neither is one that came too late.
    if opened is not None and ready is not None and begin <= opened <= ready <= max(answered, sent):
        connect = ready - opened
        if server.timestamp_tls_setup is not None and server.timestamp_tcp_setup is not None:
            ssl = min(connect, max(0.0, server.timestamp_tls_setup - server.timestamp_tcp_setup))
        if opened >= sent:  # the usual order here: read the request, connect, send
            blocked, send = opened - sent, sent - begin
        else:
            blocked, send = opened - begin, max(0.0, sent - ready)
        sent = max(sent, ready)
    else:
        send = sent - begin
    phases = {
        "blocked": blocked,
        "dns": None,
        "connect": connect,
        "ssl": ssl,
        "send": send,
        "wait": max(0.0, answered - sent),
        "receive": max(0.0, end - max(answered, sent)),
    }
    return {name: -1 if value is None else value * 1000 for name, value in phases.items()}


def _times(flow: HTTPFlow) -> Json:
    """The moments themselves, from which the phases were made."""
    request, response, error = flow.request, flow.response, flow.error
    times = {
        "start": request.timestamp_start,
        "requestEnd": request.timestamp_end,
        "created": flow.timestamp_created,
    }
    if response is not None:
        times |= {"responseStart": response.timestamp_start, "responseEnd": response.timestamp_end}
    if error is not None:
        times["error"] = error.timestamp
    return times


def _connection(connection: Connection) -> Json:
    found: Json = {
        "id": mitm.connection_id(connection),
        "peername": connection.peername,
        "sockname": connection.sockname,
        "start": connection.timestamp_start,
        "end": connection.timestamp_end,
        "error": connection.error,
    }
    if connection.tls:
        found |= {
            "tls": True,
            "tls_setup": connection.timestamp_tls_setup,
            "tls_version": connection.tls_version,
            "cipher": connection.cipher,
            "alpn": connection.alpn,
            "alpn_offers": list(connection.alpn_offers),
            "sni": connection.sni,
            "certificates": [b64encode(der).decode() for der in connection.certificate_list],
        }
    if isinstance(connection, Server):
        found |= {"address": connection.address, "tcp_setup": connection.timestamp_tcp_setup}
    return found


# -- messages


def _decodable(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class _Writer:
    """Writes messages, masked or not."""

    def __init__(self, masker: Masker | None) -> None:
        self._masker = masker

    def text(self, value: str, content_type: str = "") -> str:
        """Text in which tokens may occur."""
        if self._masker is None:
            return value
        return self._masker.mask_text(value, content_type, limit=max(1, len(value)))

    def url(self, value: str) -> str:
        """A URL."""
        return value if self._masker is None else self._masker.mask_url(value)

    def headers(self, headers: Headers) -> list[Json]:
        """The fields, in order."""
        found = []
        for raw_name, raw_value in headers.fields:
            name, value = _decodable(raw_name), _decodable(raw_value)
            item: Json = {"name": name}
            if self._masker is not None:
                value = self._masker.mask_header(name, value)
            elif value.encode("utf-8") != raw_value:
                item["_raw"] = b64encode(raw_value).decode()
            found.append(item | {"value": value})
        return found

    def request(self, request: Request) -> Json:
        """The `request` of an entry."""
        found: Json = {
            "method": request.method,
            "url": self.url(_shown_url(request)),
            "httpVersion": request.http_version,
            "cookies": self._request_cookies(request),
            "headers": self.headers(request.headers),
            "queryString": self._pairs(url.query_pairs(request.path)),
            "headersSize": _request_head_size(request),
            "bodySize": -1 if request.raw_content is None else request.body_size,
        }
        if request.trailers is not None:
            found["_trailers"] = self.headers(request.trailers)
        raw = request.raw_content
        if raw is None:
            found["_requestBodyStatus"] = "discarded:not-kept"
        elif raw:
            found |= self._posted(request, raw)
        return found

    def _posted(self, request: Request, raw: bytes) -> Json:
        media = request.headers.get("content-type", "")
        text = text_of(raw, media)
        if text is None or "content-encoding" in request.headers:
            # HAR has no encoding for request bodies; this is how HTTP Toolkit writes them
            content = {"text": b64encode(raw).decode(), "encoding": "base64", "size": len(raw)}
            status = {"_requestBodyStatus": "discarded:not-representable"}
            return status if self._masker is not None else {"_content": content, **status}
        posted: Json = {"mimeType": media, "text": self.text(text, media)}
        if "application/x-www-form-urlencoded" in media.lower():
            posted["params"] = self._pairs(list(request.urlencoded_form.fields))
        elif "multipart/form-data" in media.lower():
            posted["params"] = self._parts(media, raw)
        return {"postData": posted}

    def _parts(self, media: str, raw: bytes) -> list[Json]:
        try:
            parts = forms.parse_parts(media, raw)
        except ValueError:
            return []
        found = []
        for part in parts:
            content = part.content.decode("utf-8", "replace")
            item: Json = self._pairs([(part.name, content)])[0]
            if part.filename is not None:
                item["fileName"] = part.filename
            kind = next((v for n, v in part.headers if n.lower() == "content-type"), None)
            found.append(item if kind is None else item | {"contentType": kind})
        return found

    def _pairs(self, pairs: list[tuple[str, str]]) -> list[Json]:
        masker = self._masker
        return [
            {
                "name": name,
                "value": value
                if masker is None
                else masker.mask(value)
                if is_secret_name(name, query=True)
                else masker.mask_text(value),
            }
            for name, value in pairs
        ]

    def _request_cookies(self, request: Request) -> list[Json]:
        lines = request.headers.get_all("cookie")
        pairs = [pair for line in lines for pair in parse_cookie_header(line)]
        return [{"name": name, "value": self._secret(value)} for name, value in pairs]

    def _secret(self, value: str) -> str:
        return value if self._masker is None else self._masker.mask(value)

    def _response_cookies(self, response: Response) -> list[Json]:
        found = []
        for line in response.headers.get_all("set-cookie"):
            cookie = parse_set_cookie(line)
            item: Json = {"name": cookie.name, "value": self._secret(cookie.value)}
            attributes = cookie.attributes
            for key, name in (("path", "path"), ("domain", "domain"), ("samesite", "sameSite")):
                if value := attributes.get(key):
                    item[name] = value
            if expires := _date(attributes.get("expires")):
                item["expires"] = expires
            found.append(
                item | {"httpOnly": "httponly" in attributes, "secure": "secure" in attributes}
            )
        return found

    def response(self, response: Response) -> Json:
        """The `response` of an entry."""
        raw = response.raw_content
        found: Json = {
            "status": response.status_code,
            "statusText": response.reason,
            "httpVersion": response.http_version,
            "cookies": self._response_cookies(response),
            "headers": self.headers(response.headers),
            "content": self._content(response, raw),
            "redirectURL": self.url(response.headers.get("location", "")),
            "headersSize": _response_head_size(response),
            "bodySize": -1 if raw is None else 0 if response.status_code == 304 else len(raw),
        }
        if response.trailers is not None:
            found["_trailers"] = self.headers(response.trailers)
        return found

    def _content(self, response: Response, raw: bytes | None) -> Json:
        media = response.headers.get("content-type", "")
        if raw is None:
            return {"size": -1, "mimeType": media, "comment": "the body was not kept"}
        found: Json = {"size": len(raw), "mimeType": media}
        plain = raw
        coded = "content-encoding" in response.headers and bool(raw)
        if coded:
            try:
                plain = response.get_content() or b""
            except ValueError:
                found["_asSent"] = True
                found["comment"] = "the body cannot be decoded as its Content-Encoding says"
            else:
                found |= {"size": len(plain), "compression": len(plain) - len(raw), "_recode": True}
        text = text_of(plain, media)
        if text is not None:
            return found | {"text": self.text(text, media)}
        if self._masker is not None and not _is_media(media):
            return found | {"comment": "the body is no text and could not be searched for secrets"}
        return found | {"text": b64encode(plain).decode(), "encoding": "base64"}

    def failure(self, flow: HTTPFlow) -> Json:
        """The `response` of a flow that has none."""
        return {
            "status": 0,
            "statusText": "",
            "httpVersion": "",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": "x-unknown"},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
            "_error": None if flow.error is None else self.text(flow.error.msg),
        }

    def websocket(self, websocket: WebSocketData) -> Json:
        """What Chrome and HTTP Toolkit write of a WebSocket."""
        messages = []
        for message in websocket.messages:
            item: Json = {
                "type": "send" if message.from_client else "receive",
                "time": message.timestamp,
                "opcode": message.type,
            }
            if message.type == TEXT:
                text = message.content.decode("utf-8", "replace")
                item["data"] = self.text(text)
                if self._masker is None and text.encode() != message.content:
                    item["_raw"] = b64encode(message.content).decode()
            else:
                item["data"] = b64encode(message.content).decode()
            for name in ("dropped", "injected"):
                if getattr(message, name):
                    item[f"_{name}"] = True
            messages.append(item)
        found: Json = {"_resourceType": "websocket", "_webSocketMessages": messages}
        if websocket.close_code is not None or websocket.timestamp_end is not None:
            found["_webSocketClose"] = {
                "code": websocket.close_code,
                "reason": websocket.close_reason,
                "timestamp": websocket.timestamp_end,
                "_byClient": websocket.closed_by_client,
            }
        return found

    def destination(self, request: Request) -> Json:
        """Where the request went, as far as its URL does not say so."""
        found: Json = {}
        try:
            parsed = url.parse(_shown_url(request))
        except ValueError:  # nothing of it can be read back
            parsed = ("", "", 0, "")
        if parsed[1:3] != (request.host, request.port):
            found["destination"] = [request.host, request.port]
        if self._masker is None and parsed[3] != request.path:
            found["path"] = request.path
        if request.authority:
            found["authority"] = request.authority
        return found


def _is_media(content_type: str) -> bool:
    """Images and the like, in which nobody writes tokens."""
    return content_type.lower().startswith(("image/", "audio/", "video/", "font/"))


def _shown_url(request: Request) -> str:
    """The URL with the host as the client named it; without a fragment (HAR 1.2)."""
    if request.method == "CONNECT":
        return f"https://{url.hostport('https', request.host, request.port)}/"
    return request.pretty_url.replace("#", "%23")


def _date(value: str | None) -> str | None:
    """A cookie's date as ISO 8601, None if it is none."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _request_head_size(request: Request) -> int:
    """Bytes of the head as HTTP/1.1 writes it, with its empty line; -1 for other versions."""
    if request.http_version not in _HTTP1:
        return -1
    target = len(request.path) if request.method != "CONNECT" else len(request.authority)
    return len(request.method) + target + len(request.http_version) + 4 + _fields_size(request)


def _response_head_size(response: Response) -> int:
    if response.http_version not in _HTTP1:
        return -1
    line = len(response.http_version) + len(str(response.status_code)) + len(response.reason) + 4
    return line + _fields_size(response)


def _fields_size(message: Message) -> int:
    return sum(len(name) + len(value) + 4 for name, value in message.headers.fields) + 2
