"""Requests, responses and headers as scripts since 0.18 know them."""

from __future__ import annotations

import re
import time
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import Any, Final, Self

from nbproxy.model import url as urls
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request as RealRequest
from nbproxy.model.message import Response as RealResponse
from nbproxy.scripts.compat.streams import Generated
from nbproxy.scripts.compat.tolerant import TolerantBytes, unescape
from nbproxy.scripts.compat.views import View
from nbproxy.scripts.eras import Era


class LiveHeaders(Headers):
    """The headers of a message, always those it has now, with what older releases offered."""

    __slots__ = ("_message",)

    _message: Any

    @property
    def fields(self) -> Any:
        """The pairs of bytes."""
        return self._message.headers.fields

    @fields.setter
    def fields(self, value: Any) -> None:
        self._message.headers.fields = tuple((bytes(n), bytes(v)) for n, v in value)

    @classmethod
    def of(cls, message: Any) -> Self:
        """The headers of this message."""
        self = cls.__new__(cls)
        self._message = message
        return self

    def copy(self) -> Any:
        """An independent copy."""
        return Headers.from_wire(self.fields)

    def get_state(self) -> Any:
        """The pairs."""
        return self.fields

    def set_state(self, state: Any) -> None:
        """Replace all pairs."""
        self.fields = state

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace by a regular expression in whole lines `name: value`; gives the count."""
        expression = re.compile(unescape(pattern), flags)
        replacement, total, fields = unescape(repl), 0, []
        for name, value in self.fields:
            line, made = expression.subn(replacement, name + b": " + value, count=count)
            new_name, colon, new_value = line.partition(b": ")
            if made and colon:
                total += made
                name, value = new_name, new_value  # noqa: PLW2901 - the pair as it shall be
            fields.append((name, value))
        self.fields = fields
        return total


class Message(View):
    """What requests and responses share."""

    @property
    def headers(self) -> Headers:
        """The fields of the head."""
        own: Headers = self._real.headers
        return own if self._era >= Era.G else LiveHeaders.of(self._real)

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
        return total + LiveHeaders.of(self._real).replace(pattern, repl, flags, count)


class Request(Message):
    """`http.Request`, until 6 `http.HTTPRequest`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own = _request_of(*args, **kwargs)
        object.__setattr__(self, "_real", own)
        object.__setattr__(self, "_era", Era.H)

    @classmethod
    def make(
        cls,
        method: str,
        url: str,
        content: bytes | str = b"",
        headers: Any = (),
    ) -> Self:
        """A request from scratch."""
        return cls.of(RealRequest.make(method, url, content, headers), Era.H)

    @property
    def host(self) -> str:
        """Where it goes."""
        return str(self._real.host)

    @host.setter
    def host(self, value: Any) -> None:
        own = self._real
        own.host = value.decode("idna") if isinstance(value, bytes) else value
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
        """The method."""
        return str(self._real.method)

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
    def scheme(self) -> str:
        """Such as "https"."""
        return str(self._real.scheme)

    @scheme.setter
    def scheme(self, value: Any) -> None:
        self._real.scheme = _text(value)

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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own = _response_of(*args, **kwargs)
        object.__setattr__(self, "_real", own)
        object.__setattr__(self, "_era", Era.H)

    @classmethod
    def make(cls, status_code: int = 200, content: bytes | str = b"", headers: Any = ()) -> Self:
        """A response from scratch."""
        return cls.of(RealResponse.make(status_code, content, headers), Era.H)

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
        """Move Date, Expires and Last-Modified on by the age of the response."""
        own = self._real
        delta = (time.time() if now is None else now) - own.timestamp_start
        for name in ("date", "expires", "last-modified"):
            parsed = parsedate_tz(own.headers.get(name, ""))
            if parsed is not None:
                own.headers[name] = formatdate(mktime_tz(parsed) + delta, usegmt=True)


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
