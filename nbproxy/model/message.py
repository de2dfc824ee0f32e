"""Requests and responses, with mitmproxy's modern attribute names.

What both share, the body above all, is in `nbproxy.model.content`. Here is where a request goes,
and what in a message is a mapping to people: its query, cookies and forms. Those are views: they
read the message when somebody looks, and changes are written through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.model import coding, forms, url
from nbproxy.model.content import Message
from nbproxy.model.cookies import (
    CookieAttrs,
    SetCookie,
    format_cookie_header,
    parse_cookie_header,
    parse_set_cookie,
)
from nbproxy.model.escape import visible
from nbproxy.model.headers import Headers, check_name
from nbproxy.model.multidict import MultiDictView
from nbproxy.model.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from nbproxy.model.body import StoredBody

__all__ = ["Message", "Request", "Response"]


class Request(Message):
    """A request.

    Attributes:
        method: The method, case as sent.
        scheme: "http" or "https".
        host: Where the request goes: a name or an address, without brackets. A handler that
            changes it sends the request elsewhere.
        port: Port, 1 to 65535.
        path: Path and query as sent (the origin-form, RFC 9112, 3.2.1), or "*".
        authority: The authority of an absolute-form or CONNECT target as sent, or "".
    """

    __slots__ = ("_host", "_method", "_path", "_port", "authority", "scheme")

    def __init__(
        self,
        method: str,
        scheme: str,
        host: str,
        port: int,
        path: str,
        *,
        headers: Headers | None = None,
        content: bytes | StoredBody | None = b"",
        authority: str = "",
        http_version: str = "HTTP/1.1",
        timestamp_start: float = 0.0,
    ) -> None:
        super().__init__(
            headers if headers is not None else Headers(),
            content,
            http_version=http_version,
            timestamp_start=timestamp_start,
        )
        self._method = method
        self._path = path
        self.scheme = scheme
        self._host = host
        self._port = port
        self.authority = authority

    @classmethod
    def make(
        cls,
        method: str,
        url: str,
        content: bytes | str = b"",
        headers: Headers | Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]] = (),
    ) -> Self:
        """A request from scratch; Host and Content-Length are filled in.

        Raises:
            ValueError: The URL is not an absolute http or https URL.
        """
        request = cls(method, "http", "", 80, "/")
        request.method = method
        request.headers = headers if isinstance(headers, Headers) else Headers(headers)
        request.url = url
        if isinstance(content, str):
            request.text = content
        elif content:
            request.content = content
        return request

    def __repr__(self) -> str:
        return f"<Request {self._method} {self._host}:{self._port}>"

    @property
    def method(self) -> str:
        """The method; letters' case matters (RFC 9110, 9.1)."""
        return self._method

    @method.setter
    def method(self, value: str) -> None:
        self._method = check_name(value, "method").decode("ascii")

    @property
    def path(self) -> str:
        """Path and query as sent, percent-encoding untouched, or "*"."""
        return self._path

    @path.setter
    def path(self, value: str) -> None:
        self._path = url.check_path(value)

    @property
    def host(self) -> str:
        """Where the request goes; assigning also changes the Host field, if there is one."""
        return self._host

    @host.setter
    def host(self, value: str) -> None:
        self._host = _host(value)
        self._update_host_header()

    @property
    def port(self) -> int:
        """The port it goes to; assigning also changes the Host field, if there is one."""
        return self._port

    @port.setter
    def port(self, value: int) -> None:
        if not 0 < value < 65536:
            raise ValueError(f"{value!r} is not a port: 1 to 65535")
        self._port = value
        self._update_host_header()

    def _update_host_header(self) -> None:
        named = url.hostport(self.scheme, self._host, self._port)
        if "host" in self._headers:
            self._headers["host"] = named
        if self.authority:
            self.authority = named

    @property
    def host_header(self) -> str | None:
        """The Host field (or the authority of an HTTP/2 request), None if there is none."""
        return self._headers.get("host") or self.authority or None

    @host_header.setter
    def host_header(self, value: str | None) -> None:
        if value is None:
            self._headers.pop("host", None)
            self.authority = ""
        else:
            self._headers["host"] = value
            if self.authority:
                self.authority = value

    @property
    def url(self) -> str:
        """The URL that the request goes to; assigning sets scheme, host, port, path and Host."""
        return url.unparse(self.scheme, self._host, self._port, self._path)

    @url.setter
    def url(self, value: str) -> None:
        self.scheme, self._host, self._port, self._path = url.parse(value)
        self._headers["host"] = named = url.hostport(self.scheme, self._host, self._port)
        if self.authority:
            self.authority = named

    @property
    def pretty_host(self) -> str:
        """The host as the client names it in Host, else where the request goes. Never trust it."""
        named = self.host_header
        if named:
            try:
                return url.parse_authority(named)[0]
            except ValueError:
                return self._host
        return self._host

    @property
    def pretty_url(self) -> str:
        """The URL with the host (and port) as the client names it. Never trust it."""
        named = self.host_header
        if not named:
            return self.url
        try:
            host, port = url.parse_authority(named)
        except ValueError:
            return self.url
        if port is None:
            port = url.default_port(self.scheme) or self._port
        return url.unparse(self.scheme, host, port, self._path)

    @property
    def first_line_format(self) -> str:
        """Form of the target as sent: "relative", "absolute" or "authority" (RFC 9112, 3.2)."""
        if self._method == "CONNECT":
            return "authority"
        return "absolute" if self.authority else "relative"

    @property
    def query(self) -> MultiDictView[str, str]:
        """The query's parameters, decoded; changes are written through."""
        return MultiDictView(lambda: url.query_pairs(self._path), self._set_query)

    @query.setter
    def query(self, value: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self._set_query(_pairs(value))

    def _set_query(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._path = url.with_query(self._path, tuple(pairs))

    @property
    def path_components(self) -> tuple[str, ...]:
        """The path's segments, decoded, without the query."""
        return tuple(url.path_components(self._path))

    @path_components.setter
    def path_components(self, value: Iterable[str]) -> None:
        self._path = url.with_path_components(self._path, tuple(value))

    @property
    def cookies(self) -> MultiDictView[str, str]:
        """The cookies of the Cookie fields; changes are written through."""
        return MultiDictView(self._get_cookies, self._set_cookies)

    @cookies.setter
    def cookies(self, value: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self._set_cookies(_pairs(value))

    def _get_cookies(self) -> tuple[tuple[str, str], ...]:
        lines = self._headers.get_all("cookie")
        return tuple(pair for line in lines for pair in parse_cookie_header(line))

    def _set_cookies(self, pairs: Iterable[tuple[str, str]]) -> None:
        line = format_cookie_header(tuple(pairs))
        self._headers.set_all("cookie", (line,) if line else ())

    @property
    def urlencoded_form(self) -> MultiDictView[str, str]:
        """The fields of an application/x-www-form-urlencoded body; empty for other bodies."""
        return MultiDictView(self._get_urlencoded, self._set_urlencoded)

    @urlencoded_form.setter
    def urlencoded_form(self, value: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        self._set_urlencoded(_pairs(value))

    def _get_urlencoded(self) -> tuple[tuple[str, str], ...]:
        if "application/x-www-form-urlencoded" not in self._headers.get("content-type", "").lower():
            return ()
        try:
            return tuple(forms.parse_urlencoded(self.get_text() or ""))
        except ValueError:
            return ()

    def _set_urlencoded(self, pairs: Iterable[tuple[str, str]]) -> None:
        old = self.get_text() or ""
        self._headers["content-type"] = "application/x-www-form-urlencoded"
        self.set_content(forms.encode_urlencoded(tuple(pairs), old).encode("ascii"))

    @property
    def multipart_form(self) -> MultiDictView[bytes, bytes]:
        """The fields of a multipart/form-data body as bytes; empty for other bodies."""
        return MultiDictView(self._get_multipart, self._set_multipart)

    @multipart_form.setter
    def multipart_form(self, value: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]) -> None:
        self._set_multipart(_pairs(value))

    def _get_multipart(self) -> tuple[tuple[bytes, bytes], ...]:
        content_type = self._headers.get("content-type", "")
        content = self.get_content(strict=False)
        if not content or "multipart/form-data" not in content_type.lower():
            return ()
        try:
            return tuple(forms.parse_multipart(content_type, content))
        except ValueError:
            return ()

    def _set_multipart(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        content_type = self._headers.get("content-type", "")
        if "boundary=" not in content_type:
            content_type = forms.new_multipart_type()
            self._headers["content-type"] = content_type
        old = self.get_content(strict=False) or b""
        self.set_content(forms.encode_multipart(content_type, tuple(pairs), old))

    def anticache(self) -> None:
        """Take off what could make the server answer 304 (RFC 9110, 13.1)."""
        for name in ("if-modified-since", "if-none-match"):
            self._headers.pop(name, None)

    def anticomp(self) -> None:
        """Ask for a body without content coding."""
        self._headers["accept-encoding"] = "identity"

    def constrain_encoding(self) -> None:
        """Ask only for content codings that we can decode."""
        accepted = self._headers.get("accept-encoding")
        if accepted:
            kept = [
                c for c in accepted.split(",") if c.split(";")[0].strip().lower() in coding.KNOWN
            ]
            self._headers["accept-encoding"] = ",".join(kept) or "identity"


class Response(Message):
    """A response.

    Attributes:
        status_code: Three digits.
        reason: The reason phrase as sent; "" in HTTP/2.
    """

    __slots__ = ("_reason", "status_code")

    def __init__(
        self,
        status_code: int,
        *,
        reason: str | None = None,
        headers: Headers | None = None,
        content: bytes | StoredBody | None = b"",
        http_version: str = "HTTP/1.1",
        timestamp_start: float = 0.0,
    ) -> None:
        super().__init__(
            headers if headers is not None else Headers(),
            content,
            http_version=http_version,
            timestamp_start=timestamp_start,
        )
        self.status_code = status_code
        self._reason = REASONS.get(status_code, "") if reason is None else reason

    @classmethod
    def make(
        cls,
        status_code: int = 200,
        content: bytes | str = b"",
        headers: Headers | Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]] = (),
    ) -> Self:
        """A response from scratch; Content-Length is filled in.

        Args:
            status_code: 100 to 999.
            content: The body; text is encoded as Content-Type says, else as UTF-8.
            headers: Headers, a mapping, or pairs.

        Raises:
            ValueError: A header or the status code cannot stand in a head.
        """
        if not 100 <= status_code <= 999:
            raise ValueError(f"{status_code!r} is not a status code: three digits")
        response = cls(status_code)
        response.headers = headers if isinstance(headers, Headers) else Headers(headers)
        if isinstance(content, str):
            response.text = content
        else:
            response.content = content
        return response

    def __repr__(self) -> str:
        content_type = visible(self._headers.get("content-type", ""), 100)
        return f"<Response {self.status_code} {content_type}>"

    @property
    def reason(self) -> str:
        """The reason phrase; visible text and blanks only."""
        return self._reason

    @reason.setter
    def reason(self, value: str) -> None:
        if any(c < " " or c == "\x7f" or c > "\xff" for c in value):
            raise ValueError(f"{value!r} cannot be a reason phrase: it has a control character")
        self._reason = value

    @property
    def cookies(self) -> MultiDictView[str, tuple[str, CookieAttrs]]:
        """The cookies of the Set-Cookie fields, name to (value, attributes); written through."""
        return MultiDictView(self._get_cookies, self._set_cookies)

    def _get_cookies(self) -> tuple[tuple[str, tuple[str, CookieAttrs]], ...]:
        parsed = [parse_set_cookie(line) for line in self._headers.get_all("set-cookie")]
        return tuple((c.name, (c.value, c.attributes)) for c in parsed)

    def _set_cookies(self, pairs: Iterable[tuple[str, tuple[str, CookieAttrs]]]) -> None:
        lines = [str(SetCookie(name, value, attrs)) for name, (value, attrs) in pairs]
        self._headers.set_all("set-cookie", lines)


def _host(value: str) -> str:
    host, port = url.parse_authority(f"[{value}]" if value.count(":") > 1 else value)
    if port is not None:
        raise ValueError(f"{value!r} has a port, which is not part of the host; set it as .port")
    return host


def _pairs(value: Any) -> tuple[tuple[Any, Any], ...]:
    return tuple(value.items()) if hasattr(value, "items") else tuple(value)
