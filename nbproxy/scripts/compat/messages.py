"""Requests, responses and headers as scripts since 0.18 know them."""

from __future__ import annotations

import contextlib
import re
import time
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import Any, ClassVar, Final, NamedTuple, Self

from nbproxy.model import url as urls
from nbproxy.model.cookies import CookieAttrs
from nbproxy.model.message import Request as RealRequest
from nbproxy.model.message import Response as RealResponse
from nbproxy.scripts.compat.dictionaries import Headers, LiveHeaders, MultiDictView
from nbproxy.scripts.compat.streams import Generated
from nbproxy.scripts.compat.tolerant import TolerantBytes, unescape
from nbproxy.scripts.compat.views import View
from nbproxy.scripts.eras import Era

_SINCE_18: Final = "since mitmproxy 0.18 it is `{}`"
_HINTS: Final = {
    "httpversion": 'since mitmproxy 0.14 it is `http_version`, such as "HTTP/1.1"',
    "get_decoded_content": "since mitmproxy 0.18 `content` is decoded; `raw_content` is not",
    "get_cookies": _SINCE_18.format("cookies"),
    "set_cookies": _SINCE_18.format("cookies"),
    "get_content_type": _SINCE_18.format('headers.get("content-type")'),
}


class Message(View):
    """What requests and responses share."""

    @property
    def headers(self) -> Headers:
        """The fields of the head; assign to replace them."""
        headers: LiveHeaders | None = self.__dict__.get("_headers")
        if headers is None:
            headers = self.__dict__["_headers"] = LiveHeaders.of(self._real)
        return headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._real.headers = value.copy() if isinstance(value, LiveHeaders) else value

    @property
    def content(self) -> bytes | None:
        """The body, decoded."""
        content: bytes | None = self._real.content
        if content is not None and self._era is Era.D:
            return TolerantBytes(content)
        return content

    @content.setter
    def content(self, value: Any) -> None:
        if isinstance(value, str) and self._era is Era.D:
            value = value.encode()
        self._real.content = value

    body = content

    @property
    def http_version(self) -> str:
        """Such as "HTTP/1.1"."""
        return str(self._real.http_version)

    @http_version.setter
    def http_version(self, value: Any) -> None:
        self._real.http_version = version_text(value)

    @property
    def stream(self) -> Any:
        """False, True, or a callable."""
        value = self._real.stream
        return value.function if isinstance(value, Generated) else value

    @stream.setter
    def stream(self, value: Any) -> None:
        if callable(value) and self._era <= Era.F:
            value = Generated(value, TolerantBytes, _to_bytes)
        self._real.stream = value

    def copy(self) -> Any:
        """An independent copy."""
        return type(self).of(self._real.copy(), self._era)

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace by a regular expression in body and head; gives the count (until 5.1)."""
        if self._era >= Era.G:
            raise AttributeError("replace() is gone since mitmproxy 5.2; assign content instead")
        total = 0
        content = self._real.get_content(strict=False)
        if content:
            made, total = _subn(pattern, repl, content, flags, count)
            if total:
                self._real.content = made
        return total + self.headers.replace(pattern, repl, flags, count)


class Request(Message):
    """`http.Request`, until 6 `http.HTTPRequest`."""

    shown = "a request"
    hints: ClassVar = {
        **_HINTS,
        "get_url": "since mitmproxy 0.11 it is `url`",
        "set_url": "since mitmproxy 0.11 assign to `url`",
        "get_query": _SINCE_18.format("query"),
        "set_query": _SINCE_18.format("query"),
        "get_form_urlencoded": _SINCE_18.format("urlencoded_form"),
        "set_form_urlencoded": _SINCE_18.format("urlencoded_form"),
        "get_form_multipart": _SINCE_18.format("multipart_form"),
        "get_form": _SINCE_18.format("urlencoded_form"),
        "get_path_components": _SINCE_18.format("path_components"),
        "set_path_components": _SINCE_18.format("path_components"),
        "form_in": "since mitmproxy 0.14 it is `first_line_format`",
        "form_out": "since mitmproxy 0.14 it is `first_line_format`",
        "update_host_header": "since mitmproxy 0.14 assigning to `host` does it",
        "reply": "assign a response to `flow.response`",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._adopt(_request_of(*args, **kwargs))

    @classmethod
    def make(
        cls,
        method: str,
        url: str,
        content: bytes | str = b"",
        headers: Any = (),
    ) -> Self:
        """A request from scratch."""
        return cls.of(RealRequest.make(method, url, content, headers), cls.era)

    stickycookie = stickyauth = False

    @property
    def host(self) -> str:
        """Where it goes; in 0.18 an international name as people write it."""
        host = str(self._real.host)
        if self._era is Era.D and "xn--" in host:
            with contextlib.suppress(UnicodeError):
                return host.encode("ascii").decode("idna")
        return host

    @host.setter
    def host(self, value: Any) -> None:
        own = self._real
        own.host = value.decode("ascii", "surrogateescape") if isinstance(value, bytes) else value
        if self._era <= Era.G and "host" in own.headers:
            own.headers["host"] = urls.hostport("", own.host, 0).removesuffix(":0")

    @property
    def port(self) -> int:
        """The port it goes to."""
        return int(self._real.port)

    @port.setter
    def port(self, value: int) -> None:
        own = self._real
        fields, authority = own.headers.fields, own.authority
        own.port = int(value)
        if self._era <= Era.G:
            own.headers.fields, own.authority = fields, authority

    @property
    def method(self) -> str:
        """The method, in capitals."""
        return str(self._real.method).upper()

    @method.setter
    def method(self, value: Any) -> None:
        self._real.method = _text(value)

    @property
    def path(self) -> str:
        """Path and query."""
        return str(self._real.path)

    @path.setter
    def path(self, value: Any) -> None:
        self._real.path = _text(value)

    @property
    def url(self) -> str:
        """Where it goes, as a URL; of a CONNECT host and port."""
        own = self._real
        if own.first_line_format == "authority":
            return f"{own.host}:{own.port}"
        return str(own.url)

    @url.setter
    def url(self, value: Any) -> None:
        self._real.url = _text(value)

    @property
    def pretty_host(self) -> str:
        """The host by the Host field; until 2.0 only if that names the same port."""
        return named_host(self._real) if self._era <= Era.E else str(self._real.pretty_host)

    @property
    def is_http3(self) -> bool:
        """Never true: HTTP/3 does not come here."""
        return str(self._real.http_version) == "HTTP/3"

    @property
    def scheme(self) -> str:
        """Such as "https"."""
        return str(self._real.scheme)

    @scheme.setter
    def scheme(self, value: Any) -> None:
        self._real.scheme = _text(value)

    @property
    def query(self) -> MultiDictView:
        """The parameters in the URL."""
        return MultiDictView.of(self._real, "query")

    @query.setter
    def query(self, value: Any) -> None:
        self._real.query = value

    @property
    def cookies(self) -> MultiDictView:
        """The cookies."""
        return MultiDictView.of(self._real, "cookies")

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self._real.cookies = value

    @property
    def urlencoded_form(self) -> MultiDictView:
        """The fields of an urlencoded form; empty for other bodies."""
        return MultiDictView.of(self._real, "urlencoded_form")

    @urlencoded_form.setter
    def urlencoded_form(self, value: Any) -> None:
        self._real.urlencoded_form = value

    @property
    def multipart_form(self) -> MultiDictView:
        """The fields of a multipart form, as bytes; empty for other bodies."""
        return MultiDictView.of(self._real, "multipart_form")

    @multipart_form.setter
    def multipart_form(self, value: Any) -> None:
        self._real.multipart_form = value

    @property
    def first_line_format(self) -> str:
        """Form of the target."""
        return str(self._real.first_line_format)

    @first_line_format.setter
    def first_line_format(self, value: Any) -> None:
        """The engine decides how a request is sent."""

    @property
    def is_replay(self) -> bool:
        """Whether a flow of it is a replay."""
        return getattr(self._real, "_replayed", False)

    @is_replay.setter
    def is_replay(self, value: bool) -> None:
        self._real._replayed = bool(value)  # noqa: SLF001 - kept there, for all views

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace in path, body and head; gives the count."""
        total = super().replace(pattern, repl, flags, count)
        raw = self._real.path.encode("utf-8", "surrogateescape")
        path, made = _subn(pattern, repl, raw, flags, count)
        if made:
            self._real.path = path.decode("utf-8", "surrogateescape")
        return total + made


class Response(Message):
    """`http.Response`, until 6 `http.HTTPResponse`."""

    shown = "a response"
    hints: ClassVar = {
        **_HINTS,
        "code": "since mitmproxy 0.14 it is `status_code`",
        "msg": "since mitmproxy 0.14 it is `reason`",
        "cert": "it is `flow.server_conn.cert`",
        "get_cert": "it is `flow.server_conn.cert`",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._adopt(_response_of(*args, **kwargs))

    @classmethod
    def make(cls, status_code: int = 200, content: bytes | str = b"", headers: Any = ()) -> Self:
        """A response from scratch."""
        if cls.era <= Era.E and isinstance(headers, dict):  # they were taken as keywords
            headers = {_text(name).replace("_", "-"): value for name, value in headers.items()}
        return cls.of(RealResponse.make(status_code, content, headers), cls.era)

    @property
    def cookies(self) -> MultiDictView:
        """The cookies: of each its value and attributes, a tuple with these names."""
        view = self._real.cookies

        def get() -> list[tuple[str, CookieValue]]:
            return [(name, CookieValue(*value)) for name, value in view.fields]

        def put(fields: Any) -> None:
            view.fields = [(name, _cookie(value)) for name, value in fields]

        return MultiDictView(get, put)

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self.cookies.fields = value.items() if hasattr(value, "items") else value

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return str(self._real.reason)

    @reason.setter
    def reason(self, value: Any) -> None:
        self._real.reason = _text(value)

    @property
    def is_replay(self) -> bool:
        """Whether it is replayed to the client."""
        return getattr(self._real, "_replayed", False)

    @is_replay.setter
    def is_replay(self, value: bool) -> None:
        self._real._replayed = bool(value)  # noqa: SLF001 - kept there, for all views

    def refresh(self, now: float | None = None) -> None:
        """Move Date, Expires, Last-Modified and what cookies expire at on by the response's age."""
        own = self._real
        delta = (time.time() if now is None else now) - own.timestamp_start
        for name in ("date", "expires", "last-modified"):
            if name in own.headers:
                own.headers[name] = _later(own.headers[name], delta)
        lines = own.headers.get_all("set-cookie")
        moved = [_EXPIRES.sub(lambda m: m[1] + _later(m[2], delta), line) for line in lines]
        if moved != lines:
            own.headers.set_all("set-cookie", moved)


class OldWebSocketMessage:
    """A message as it was until 6: the content of a text message is text."""

    def __init__(self, message: Any) -> None:
        self.__dict__["_message"] = message

    @property
    def content(self) -> Any:
        """What it says."""
        own = self._message
        return own.text if own.is_text else own.content

    @content.setter
    def content(self, value: Any) -> None:
        self._message.content = _to_bytes(value)

    @property
    def killed(self) -> bool:
        """True if it is not passed on."""
        return bool(self._message.dropped)

    def kill(self) -> None:
        """Do not pass it on."""
        self._message.drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_message"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "content":
            object.__setattr__(self, name, value)
        else:
            setattr(self._message, name, value)


_EXPIRES: Final = re.compile(r"(;\s*expires=)([^;]*)", re.IGNORECASE)


def _later(date: str, seconds: float) -> str:
    """A date so much later; what is no date stays."""
    parsed = parsedate_tz(date)
    return date if parsed is None else formatdate(mktime_tz(parsed) + seconds, usegmt=True)


class CookieValue(NamedTuple):
    """The value of a Set-Cookie field, and its attributes."""

    value: str
    attrs: CookieAttrs


def _cookie(value: Any) -> tuple[str, CookieAttrs]:
    """Value and attributes as a cookie is assigned them."""
    content, attributes = value
    if isinstance(attributes, CookieAttrs):
        return content, attributes
    return content, CookieAttrs(getattr(attributes, "fields", attributes))


def named_host(request: RealRequest) -> str:
    """The host by the Host field if that names the request's port, as from 0.17 to 5.2."""
    try:
        host, port = urls.parse_authority(request.host_header or "")
    except ValueError:
        return request.host
    if port is None:
        port = urls.default_port(request.scheme)
    return host if port in {request.port, None} else request.host


def version_text(value: Any) -> str:
    """Such as "HTTP/1.1", of what scripts pass: text, bytes, or numbers."""
    if isinstance(value, (list, tuple)):
        return "HTTP/" + ".".join(str(part) for part in value)
    return _text(value)


def _subn(pattern: Any, repl: Any, data: bytes, flags: int, count: int) -> tuple[bytes, int]:
    return re.subn(unescape(pattern), unescape(repl), data, count=count, flags=flags)


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _to_bytes(value: Any) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)


def _headers(value: Any) -> Headers:
    if isinstance(value, LiveHeaders):
        return Headers.from_wire(value.fields)
    return value if isinstance(value, Headers) else Headers(value or ())


def _response_of(
    http_version: Any = "HTTP/1.1",
    status_code: int = 200,
    reason: Any = None,
    headers: Any = (),
    content: Any = b"",
    *rest: Any,
    trailers: Any = None,
    timestamp_start: float | None = None,
    timestamp_end: float | None = None,
    is_replay: bool = False,  # noqa: ARG001 - 0.18's, of no use here
) -> RealResponse:
    trailers, timestamp_start, timestamp_end = _rest(rest, trailers, timestamp_start, timestamp_end)
    response = RealResponse(
        status_code,
        reason=None if reason is None else _text(reason),
        headers=_headers(headers),
        content=None if content is None else _to_bytes(content),
        http_version=version_text(http_version),
        timestamp_start=timestamp_start or time.time(),
    )
    response.timestamp_end = timestamp_end
    response.trailers = _headers(trailers) if trailers else None
    return response


def _rest(rest: tuple[Any, ...], trailers: Any, start: Any, end: Any) -> tuple[Any, Any, Any]:
    """The last positional arguments: trailers (since 5.3) and two times, or the times alone."""
    values = list(rest)
    if values and not isinstance(values[0], (int, float)) and len(values) != 2:
        trailers = values.pop(0)
    values += [start, end][len(values) :]
    return trailers, values[0], values[1]


_OLD_REQUEST: Final = (
    *("first_line_format", "method", "scheme", "host", "port", "path", "http_version"),
    *("headers", "content", "timestamp_start", "timestamp_end"),
)
_NEW_REQUEST: Final = (
    *("host", "port", "method", "scheme", "authority", "path", "http_version"),
    *("headers", "content", "trailers", "timestamp_start", "timestamp_end"),
)


def _request_of(*args: Any, **kwargs: Any) -> RealRequest:
    forms = ("relative", "absolute", "authority", b"relative", b"absolute", b"authority")
    old = "first_line_format" in kwargs or (args and args[0] in forms)
    given = {**dict(zip(_OLD_REQUEST if old else _NEW_REQUEST, args, strict=False)), **kwargs}
    content = given.get("content", b"")
    request = RealRequest(
        _text(given.get("method", "GET")),
        _text(given.get("scheme", "http")),
        _text(given.get("host", "")),
        int(given.get("port") or 80),
        _text(given.get("path") or "/"),
        headers=_headers(given.get("headers")),
        content=None if content is None else _to_bytes(content),
        authority=_text(given.get("authority") or ""),
        http_version=version_text(given.get("http_version", "HTTP/1.1")),
        timestamp_start=given.get("timestamp_start") or time.time(),
    )
    request.timestamp_end = given.get("timestamp_end")
    trailers = given.get("trailers")
    request.trailers = _headers(trailers) if trailers else None
    return request


def make_error_response(status_code: int, message: str = "", headers: Any = None) -> Response:
    """A page that says what went wrong."""
    body = f"<html><head><title>{status_code}</title></head><body>{message}</body></html>"
    fields = headers if headers is not None else {"Content-Type": "text/html"}
    return Response.make(status_code, body, fields)
