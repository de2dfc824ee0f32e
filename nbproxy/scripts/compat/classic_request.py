"""Requests as eras A to C knew them."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from nbproxy.model import message as model
from nbproxy.model import url as urls
from nbproxy.scripts.bytetext import data
from nbproxy.scripts.compat import classic_state
from nbproxy.scripts.compat.classic_connections import KILL
from nbproxy.scripts.compat.classic_headers import to_real
from nbproxy.scripts.compat.classic_messages import Message, NewVersion, OldVersion, is_missing
from nbproxy.scripts.compat.classic_odict import ODict
from nbproxy.scripts.compat.messages import named_host


class Named(str):
    """A host or URL that was a method in one era and a property in the next: it is both."""

    __slots__ = ("_plain",)
    _plain: str

    @classmethod
    def of(cls, pretty: str, plain: str) -> Named:
        """Both readings: with the Host field, and without."""
        self = cls(pretty)
        self._plain = plain
        return self

    def __call__(self, hostheader: bool = True) -> str:
        """The reading asked for."""
        return str(self) if hostheader else self._plain


class _Request(Message):
    """What all three eras share."""

    _real: model.Request
    shown = "a request"

    # what 0.11 to 0.13 did not pass on; a script that changes it wants WebSockets through
    _headers_to_strip_off: ClassVar = [
        *("Proxy-Connection", "Keep-Alive", "Connection", "Transfer-Encoding", "Upgrade"),
    ]

    def _make_of(self, era: str, given: dict[str, Any]) -> None:
        content = given.get("content")
        own = model.Request(
            _words(given["method"]),
            _words(given.get("scheme") or "http"),
            _words(given.get("host") or ""),
            int(given.get("port") or 80),
            urls.check_path(_words(given.get("path") or "/")),
            headers=to_real(given.get("headers") or ()),
            content=None if is_missing(content) else data(content),
            timestamp_start=given.get("timestamp_start") or given.get("timestamp") or 0.0,
        )
        own.timestamp_end = given.get("timestamp_end")
        self._adopt_in(own, era)
        self._set_version(given.get("httpversion"))

    def _first_line(self) -> str:
        own = self._real
        return f"{own.method} {own.path} {own.http_version}"

    def __repr__(self) -> str:
        own = self._real
        where = urls.hostport(own.scheme, own.host, own.port)
        return f"<{type(self).__name__}: {own.method} {where}>"

    # -- where it goes

    @property
    def method(self) -> str:
        """The method."""
        method = self._real.method
        return method.upper() if self._era == "C" else method

    @method.setter
    def method(self, value: Any) -> None:
        self._real.method = _words(value)

    @property
    def scheme(self) -> str:
        """Either "http" or "https"."""
        return self._real.scheme

    @scheme.setter
    def scheme(self, value: Any) -> None:
        self._real.scheme = _words(value)

    @property
    def host(self) -> str:
        """Where it goes. In eras A and B assigning leaves the Host field as it is."""
        return self._real.host

    @host.setter
    def host(self, value: Any) -> None:
        with _KeptHost(self._real):
            self._real.host = _words(value)
        if self._era == "C" and "host" in self._real.headers:
            self.update_host_header()

    @property
    def port(self) -> int:
        """The port it goes to."""
        return self._real.port

    @port.setter
    def port(self, value: Any) -> None:
        with _KeptHost(self._real):
            self._real.port = int(value)

    @property
    def path(self) -> Any:
        """Path and query; in era C None of a CONNECT."""
        path = self._real.path
        return None if self._era == "C" and not path else path

    @path.setter
    def path(self, value: Any) -> None:
        self._real.path = _words(value)

    def update_host_header(self) -> None:
        """Let the Host field name the host (without the port, as it was)."""
        host = self._real.host
        self._real.headers["host"] = f"[{host}]" if ":" in host else host

    def _get_url(self) -> str:
        own = self._real
        if own.first_line_format == "authority":
            return f"{own.host}:{own.port}"
        return own.url

    def _set_url(self, value: Any) -> None:
        with _KeptHost(self._real):
            self._real.url = _words(value)
        if self._era == "C":
            self.update_host_header()

    def _get_pretty_host(self) -> Named:
        own = self._real
        return Named.of(named_host(own) if self._era == "C" else own.pretty_host, own.host)

    def _get_pretty_url(self) -> Named:
        own = self._real
        if own.first_line_format == "authority":
            return Named.of(self._get_url(), self._get_url())
        return Named.of(own.pretty_url, own.url)

    # -- query, form, path, cookies

    def get_query(self) -> ODict:
        """The parameters of the query; change them and give them to `set_query`."""
        return ODict(self._real.query.fields)

    def set_query(self, query: Any) -> None:
        """Replace the query."""
        self._real.query = _pairs(query)

    def _is_form(self) -> bool:
        kind = self._real.headers.get("content-type", "").lower()
        return "application/x-www-form-urlencoded" in kind

    def get_form_urlencoded(self) -> ODict:
        """The fields of an urlencoded form; empty for other bodies."""
        return ODict(self._real.urlencoded_form.fields if self._is_form() else ())

    def set_form_urlencoded(self, form: Any) -> None:
        """Replace the body by this form, and Content-Type too."""
        self._real.urlencoded_form = _pairs(form)

    def get_form_multipart(self) -> ODict:
        """The fields of a multipart form; empty for other bodies."""
        fields = self._real.multipart_form.fields
        return ODict((_words(name), _words(value)) for name, value in fields)

    def get_form(self) -> ODict:
        """The fields of a form of either kind."""
        return self.get_form_urlencoded() if self._is_form() else self.get_form_multipart()

    def get_path_components(self) -> list[str]:
        """The segments of the path, decoded."""
        return list(self._real.path_components)

    def set_path_components(self, components: Any) -> None:
        """Replace the path; the query stays."""
        self._real.path_components = tuple(components)

    def set_cookies(self, cookies: Any) -> None:
        """Replace the cookies."""
        self._real.cookies = _pairs(cookies)

    # -- helpers

    def anticache(self) -> None:
        """Take off what could make the server answer 304."""
        self._real.anticache()

    def anticomp(self) -> None:
        """Ask for a body without content coding."""
        self._real.anticomp()

    def constrain_encoding(self) -> None:
        """Ask only for content codings that can be decoded."""
        self._real.constrain_encoding()

    def replace(self, pattern: Any, repl: Any, *args: Any, **kwargs: Any) -> int:
        """Replace, by regex, in body, path and headers; gives how often."""
        total = self._replace(pattern, repl, args, kwargs)
        options = self._options(args, kwargs)
        path, count = re.subn(_words(pattern), _words(repl), self._real.path, **options)
        if count:
            self._real.path = path
        return total + count

    def get_state(self, short: bool = False) -> dict[str, Any]:  # noqa: ARG002 - the era's signature
        """All of it as plain data."""
        return classic_state.request_state(self._real, self._era)

    _get_state = get_state


class RequestA(_Request, OldVersion):
    """`libmproxy.flow.Request` of 0.8 to 0.10.

    Args:
        client_conn: The connection it came on, or None for one to be replayed.
        *args: From 0.9 on httpversion, host, port, scheme, method, path, headers, content and
            times; in 0.8 the same without the version.
    """

    hints: ClassVar = {
        "url": "that came with mitmproxy 0.11; use `get_url()` and `set_url(url)` here",
        "pretty_host": "that came with mitmproxy 0.11; use `host` or `headers['host']` here",
        "pretty_url": "that came with mitmproxy 0.11; use `get_url(hostheader=True)` here",
        "query": "that came with mitmproxy 0.14; use `get_query()` and `set_query(query)` here",
        "http_version": "that came with mitmproxy 0.14; it is `httpversion`, (1, 1), here",
        "text": "it came with mitmproxy 0.18; use `content`, which is text here",
    }

    def __init__(self, client_conn: Any, *args: Any, **named: Any) -> None:
        names = ["httpversion", "host", "port", "scheme", "method", "path", "headers", "content"]
        names += ["timestamp_start", "timestamp_end"]
        if args and isinstance(args[0], str):  # 0.8
            del names[0]
        self._make_of("A", {**dict(zip(names, args, strict=False)), **named})
        self.client_conn = client_conn

    stickycookie = stickyauth = close = False
    tcp_setup_timestamp = ssl_setup_timestamp = None

    @property
    def client_conn(self) -> Any:
        """The connection it came on; None if it is replayed."""
        if "_client_conn" in self.__dict__:
            return self.__dict__["_client_conn"]
        return self._flow.client_conn if self._flow is not None else None

    @client_conn.setter
    def client_conn(self, value: Any) -> None:
        self.__dict__["_client_conn"] = value

    @property
    def server_conn(self) -> Any:
        """The connection that it went out on; superfluous, but asked for."""
        return self._flow.server_conn if self._flow is not None else None

    @property
    def ip(self) -> str | None:
        """Address of the client."""
        peer = self._flow.client_conn.real_peer() if self._flow is not None else None
        return peer[0] if peer else None

    @property
    def timestamp(self) -> float:
        """When it came."""
        return self._real.timestamp_start

    @property
    def reply(self) -> Any:
        """Call it with a Response to answer, with KILL to kill, with nothing to go on."""
        return self._flow.reply

    def _ack(self, *message: Any) -> None:
        """What `reply` was in 0.8: None kills."""
        self._flow.reply(KILL if message == (None,) else (*message, None)[0])

    def is_live(self) -> bool:
        """Whether its exchange is under way."""
        return self._flow is not None and self._flow.real_flow.live

    def is_replay(self) -> bool:
        """Whether it was replayed."""
        return self._flow is not None and self._flow.real_flow.is_replay == "request"

    def get_url(self, hostheader: bool = False) -> str:
        """The URL it goes to; with `hostheader` by the name in the Host field."""
        return str(self._get_pretty_url()(hostheader))

    def set_url(self, url: Any) -> bool:
        """Go to this URL; False if it is none."""
        try:
            self._set_url(url)
        except ValueError:
            return False
        return True

    def get_cookies(self) -> dict[str, Any] | None:
        """Name to (value, {}); None if there are none."""
        return {name: (value, {}) for name, value in self._real.cookies.fields} or None


class _Modern(_Request):
    """What B and C share: URLs as properties, the form of the target."""

    url = property(_Request._get_url, _Request._set_url)  # noqa: SLF001 - of this class
    pretty_host = property(_Request._get_pretty_host)  # noqa: SLF001 - of this class
    pretty_url = property(_Request._get_pretty_url)  # noqa: SLF001 - of this class
    stickycookie = stickyauth = False

    @property
    def form_in(self) -> str:
        """Form of the target: "relative", "absolute" or "authority"."""
        return self.__dict__.get("_form") or self._real.first_line_format

    @form_in.setter
    def form_in(self, value: str) -> None:
        self.__dict__["_form"] = value

    form_out = form_in

    @property
    def is_replay(self) -> bool:
        """Whether it was replayed."""
        return self._flow is not None and self._flow.real_flow.is_replay == "request"

    def get_cookies(self) -> ODict:
        """Names and values of the cookies."""
        return ODict(self._real.cookies.fields)


class RequestB(_Modern, OldVersion):
    """`libmproxy.protocol.http.HTTPRequest` of 0.11 to 0.13."""

    hints: ClassVar = {
        "get_url": "since mitmproxy 0.11 it is the property `url`",
        "set_url": "since mitmproxy 0.11 assign to `url`",
        "reply": "since mitmproxy 0.11 it is `flow.reply`",
        "query": "that came with mitmproxy 0.14; use `get_query()` and `set_query(query)` here",
        "http_version": "that came with mitmproxy 0.14; it is `httpversion`, (1, 1), here",
        "urlencoded_form": "that came with mitmproxy 0.14; use `get_form_urlencoded()` here",
        "text": "it came with mitmproxy 0.18; use `content`, which is text here",
    }

    def __init__(
        self,
        form_in: str,
        method: str,
        scheme: str,
        host: str,
        port: int,
        path: str,
        httpversion: Any,
        headers: Any,
        content: Any = None,
        timestamp_start: float | None = None,
        timestamp_end: float | None = None,
        form_out: str | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        self._make_of("B", given)
        self.form_in = form_in


class RequestC(_Modern, NewVersion):
    """`models.HTTPRequest` of 0.14 to 0.17."""

    hints: ClassVar = {
        "get_url": "since mitmproxy 0.11 it is the property `url`",
        "reply": "since mitmproxy 0.11 it is `flow.reply`",
        "host_header": "it came with mitmproxy 2.0; use `headers['host']` here",
        "raw_content": "it came with mitmproxy 0.18; `content` is the body as transferred here",
    }

    def __init__(
        self,
        first_line_format: str,
        method: str,
        scheme: str,
        host: str,
        port: int,
        path: str,
        http_version: Any,
        headers: Any = None,
        content: Any = None,
        timestamp_start: float | None = None,
        timestamp_end: float | None = None,
        form_out: str | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        self._make_of("C", {**given, "httpversion": http_version})
        self.form_in = first_line_format

    first_line_format = _Modern.form_in

    @property
    def query(self) -> ODict | None:
        """The parameters of the query, None if there is none; assign to replace them."""
        return self.get_query() if "?" in self._real.path else None

    @query.setter
    def query(self, value: Any) -> None:
        self.set_query(value if value is not None else ())

    @property
    def urlencoded_form(self) -> ODict | None:
        """The fields of an urlencoded form, None for other bodies; assign to replace them."""
        return self.get_form_urlencoded() if self._is_form() else None

    @urlencoded_form.setter
    def urlencoded_form(self, value: Any) -> None:
        self.set_form_urlencoded(value)

    @property
    def multipart_form(self) -> ODict | None:
        """The fields of a multipart form, None for other bodies."""
        kind = self._real.headers.get("content-type", "").lower()
        return self.get_form_multipart() if "multipart/form-data" in kind else None

    @property
    def path_components(self) -> list[str]:
        """The segments of the path, decoded; assign to replace them."""
        return self.get_path_components()

    @path_components.setter
    def path_components(self, value: Any) -> None:
        self.set_path_components(value)

    @property
    def cookies(self) -> ODict:
        """Names and values of the cookies; assign to replace them."""
        return self.get_cookies()

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self.set_cookies(value)


class _KeptHost:
    """Lets the Host field be as it was, whatever is changed inside the `with`."""

    def __init__(self, own: model.Request) -> None:
        self._own = own
        self._fields = own.headers.fields

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._own.headers.fields = self._fields


def _words(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _pairs(value: Any) -> list[tuple[str, str]]:
    """Pairs of an ODict, of a mapping to lists or to text, or of pairs."""
    if isinstance(value, ODict):
        return [(key, each) for key, each in value.lst]
    if not hasattr(value, "items"):
        return [(key, each) for key, each in value]
    return [
        (key, each)
        for key, values in value.items()
        for each in (values if isinstance(values, (list, tuple)) else [values])
    ]


REQUESTS: dict[str, Any] = {"A": RequestA, "B": RequestB, "C": RequestC}
