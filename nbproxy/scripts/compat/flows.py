"""Flows, messages and connections as scripts since 0.18 know them: views of the live ones.

A view holds nothing but the real object and the era; what it does not translate goes through. It is
the same view for the life of its flow. The view's class is the class of that name in the
script's `mitmproxy`, so `isinstance` is right, and constructing one makes a real object as well.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from base64 import encodebytes
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any, Final, Self

from nbproxy.model import url as urls
from nbproxy.model.connection import Client as RealClient
from nbproxy.model.connection import Server as RealServer
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request as RealRequest
from nbproxy.model.message import Response as RealResponse
from nbproxy.scripts.compat.streams import Generated
from nbproxy.scripts.compat.tolerant import TolerantBytes, unescape
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CACHE: Final = "_nbproxy_views"
_NAMESPACE: Final = uuid.uuid4()  # ids of ours are numbers, counted anew in each process


class ControlException(Exception):  # noqa: N818 - mitmproxy's name
    """A flow cannot be controlled so (any more)."""


def real(value: Any) -> Any:
    """What a view is a view of; anything else is given back as it is."""
    return object.__getattribute__(value, "_real") if isinstance(value, View) else value


def view(era: Era, value: Any) -> Any:
    """The view of a flow, a message or a connection; anything else is given back as it is."""
    for kind, wrapper in _VIEWS:
        if isinstance(value, kind):
            return wrapper.of(value, era)
    return value


def text_id(number: object) -> str:
    """The id that scripts see, a UUID as text."""
    return str(uuid.uuid5(_NAMESPACE, str(number)))


class View:
    """Passes through what its class does not translate."""

    _real: Any
    _era: Era

    @classmethod
    def of(cls, value: Any, era: Era) -> Self:
        """The view of a real object; the same one each time."""
        cache = value.__dict__.get(_CACHE)
        if cache is None or cache[0] is not value:  # a copy of a message has its attributes
            cache = value.__dict__[_CACHE] = (value, {})
        found = cache[1].get((cls, era))
        if found is None:
            found = cache[1][cls, era] = cls._make(value, era)
        return found  # type: ignore[no-any-return]

    @classmethod
    def _make(cls, value: Any, era: Era) -> Self:
        self = cls.__new__(cls)
        object.__setattr__(self, "_real", value)
        object.__setattr__(self, "_era", era)
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        own = getattr(type(self), name, None)
        if isinstance(own, property) and own.fget is not None:
            return own.fget(self)  # it has raised AttributeError; that is the one to be seen
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(type(self), name, None) is not None:
            object.__setattr__(self, name, value)
        else:
            setattr(self._real, name, real(value))

    def __repr__(self) -> str:
        return repr(self._real)


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


class Address:
    """netlib's address (until 2.0): host and port, equal to the tuple of them."""

    def __init__(self, address: Any, use_ipv6: bool = False) -> None:
        self.address = tuple(address)
        self.use_ipv6 = use_ipv6 or ":" in str(self.address[0])

    @classmethod
    def wrap(cls, value: Any) -> Self:
        """An address of a tuple, or the address itself."""
        return value if isinstance(value, cls) else cls(value)

    @property
    def host(self) -> str:
        """The host."""
        return str(self.address[0])

    @property
    def port(self) -> int:
        """The port."""
        return int(self.address[1])

    def __call__(self) -> tuple[Any, ...]:
        """The tuple."""
        return self.address

    def __eq__(self, other: object) -> bool:
        theirs = other.address if isinstance(other, Address) else other
        return isinstance(theirs, tuple) and self.address[:2] == theirs[:2]

    def __hash__(self) -> int:
        return hash(self.address[:2])

    def __getitem__(self, index: int) -> Any:
        return self.address[index]

    def __iter__(self) -> Any:
        return iter(self.address)

    def __repr__(self) -> str:
        return f"{self.host}:{self.port}"


class Certificate:
    """A certificate that somebody has shown.

    Args:
        der: The certificate, DER.
    """

    describe: Callable[[bytes], Mapping[str, Any]] | None = None
    """Reads a certificate; set by whoever can. Gives cn, organization, altnames and so on."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """A certificate of PEM text."""
        import ssl  # noqa: PLC0415 - seldom needed

        return cls(ssl.PEM_cert_to_DER_cert(pem.decode("ascii")))

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """A certificate of DER."""
        return cls(der)

    def to_pem(self) -> bytes:
        """As PEM."""
        body = encodebytes(self._der)
        return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"

    def to_der(self) -> bytes:
        """As DER."""
        return self._der

    def fingerprint(self) -> bytes:
        """The SHA-256."""
        return hashlib.sha256(self._der).digest()

    def digest(self, name: str = "sha256") -> bytes:
        """The digest as hexadecimal pairs with colons."""
        return hashlib.new(name, self._der).digest().hex(":").encode().upper()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self._der == other._der

    def __hash__(self) -> int:
        return hash(self._der)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or Certificate.describe is None:
            raise AttributeError(name)
        described = Certificate.describe(self._der)
        if name not in described:
            raise AttributeError(f"certificates have no {name!r}")
        return described[name]


class _Handle:
    """What stood for the socket of a connection: only its server name was ever asked for."""

    def __init__(self, sni: str | None) -> None:
        self._sni = sni

    def get_servername(self) -> Any:
        """The name the client asked for."""
        return self._sni.encode("idna") if self._sni else None


class Connection(View):
    """What both connections share."""

    def _address(self, pair: Any) -> Any:
        if pair is None:
            return None
        return Address(pair) if self._era <= Era.E else tuple(pair)

    @property
    def id(self) -> str:
        """A UUID."""
        return text_id(f"connection {self._real.id}")

    @property
    def connected(self) -> Any:
        """Whether it is open; a method until 6."""
        is_open = bool(self._real.connected)
        return (lambda: is_open) if self._era <= Era.F else is_open

    @property
    def connection(self) -> _Handle:
        """For `connection.get_servername()`."""
        return _Handle(self._real.sni)

    @property
    def ssl_established(self) -> bool:
        """Whether TLS is spoken."""
        return bool(self._real.tls_established)

    @property
    def timestamp_ssl_setup(self) -> float | None:
        """When TLS was agreed."""
        return self._real.timestamp_tls_setup  # type: ignore[no-any-return]

    @property
    def cipher_name(self) -> str | None:
        """The cipher."""
        return self._real.cipher  # type: ignore[no-any-return]

    @property
    def alpn_proto_negotiated(self) -> bytes | None:
        """The protocol agreed by ALPN."""
        alpn = self._real.alpn
        return alpn.encode() if isinstance(alpn, str) else alpn

    @property
    def certificate_list(self) -> list[Certificate]:
        """The other end's certificates, leaf first."""
        return [Certificate(der) for der in self._real.certificate_list]

    @property
    def transport_protocol(self) -> str:
        """Always "tcp"."""
        return "tcp"

    def _leaf(self) -> Certificate | None:
        chain = self._real.certificate_list
        return Certificate(chain[0]) if chain else None

    def __bool__(self) -> bool:
        return bool(self._real.connected) if self._era <= Era.F else True


class Client(Connection):
    """`connection.Client`, until 6 `connections.ClientConnection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own = RealClient()
        names = ("peername", "sockname", "timestamp_start")
        for name, value in {**dict(zip(names, args, strict=False)), **kwargs}.items():
            setattr(own, name, value)
        object.__setattr__(self, "_real", own)
        object.__setattr__(self, "_era", Era.H)

    @property
    def address(self) -> Any:
        """Address of the client."""
        return self._address(self._real.peername)

    @property
    def clientcert(self) -> Certificate | None:
        """The client's certificate."""
        return self._leaf()

    @property
    def mitmcert(self) -> Certificate | None:
        """Our certificate for it; not kept."""
        return None

    @property
    def proxy_mode(self) -> str:
        """How it came to us."""
        return "regular"


class Server(Connection):
    """`connection.Server`, until 6 `connections.ServerConnection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        address = kwargs.pop("address", args[0] if args else None)
        own = RealServer(tuple(address) if address is not None else None)
        for name, value in kwargs.items():
            setattr(own, name, value)
        object.__setattr__(self, "_real", own)
        object.__setattr__(self, "_era", Era.H)

    @property
    def address(self) -> Any:
        """Where it goes."""
        return self._address(self._real.address)

    @address.setter
    def address(self, value: Any) -> None:
        self._real.address = tuple(value) if value is not None else None

    @property
    def ip_address(self) -> Any:
        """The address it got."""
        return self._address(self._real.peername)

    @property
    def source_address(self) -> Any:
        """Our end's address."""
        return self._address(self._real.sockname)

    @property
    def cert(self) -> Certificate | None:
        """The server's certificate."""
        return self._leaf()


class Reply:
    """What `flow.reply` was from 0.18 to 7.0: lets go, kills, or answers."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.state = "taken" if flow._era > Era.D else "handled"  # noqa: SLF001 - one of ours
        self.has_message = False

    def __call__(self, message: Any = None) -> None:
        """Go on, or answer."""
        self.send(message)

    def ack(self, force: bool = False) -> None:
        """Go on."""

    def take(self) -> None:
        """The script will commit later: handled by holding the flow."""
        self.state = "taken"

    def commit(self) -> None:
        """Go on, or be gone."""
        self.state = "committed"

    def send(self, message: Any, force: bool = False) -> None:  # noqa: ARG002 - as above
        """Answer with a response."""
        if isinstance(message, (Response, RealResponse)):
            self._flow.response = message
            self.has_message = True

    def kill(self, force: bool = False) -> None:  # noqa: ARG002 - as above
        """Kill the flow."""
        if self._flow.killable:
            self._flow.kill()


class Live:
    """What `flow.live` was until 6: the layer that carries the flow."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def set_server(self, address: Any, *_: Any, **__: Any) -> None:
        """Go to another server."""
        own = real(self._flow)
        own.request.host, own.request.port = address[0], address[1]

    change_server = set_server

    def change_upstream_proxy_server(self, address: Any) -> None:
        """There is no upstream mode to change."""
        raise NotImplementedError(
            f"cannot send this flow through {address!r}: nbproxy has no upstream mode yet; "
            "set flow.request.host and .port instead"
        )


class Flow(View):
    """`http.HTTPFlow`."""

    def __init__(self, client_conn: Any = None, server_conn: Any = None, live: Any = None) -> None:  # noqa: ARG002 - mitmproxy's signature
        request = RealRequest("GET", "http", "localhost", 80, "/")
        own = HTTPFlow(request, real(client_conn), real(server_conn))
        object.__setattr__(self, "_real", own)
        object.__setattr__(self, "_era", Era.H)
        own.__dict__[_CACHE] = (own, {(Flow, Era.H): self})

    @property
    def id(self) -> str:
        """A UUID."""
        metadata = self._real.metadata
        return str(metadata.get("original_id") or text_id(self._real.id))

    @property
    def request(self) -> Request:
        """The request."""
        return Request.of(self._real.request, self._era)

    @request.setter
    def request(self, value: Any) -> None:
        self._real.request = real(value)

    @property
    def response(self) -> Response | None:
        """The response; None while there is none."""
        response = self._real.response
        return None if response is None else Response.of(response, self._era)

    @response.setter
    def response(self, value: Any) -> None:
        self._real.response = real(value)

    @property
    def client_conn(self) -> Client:
        """The client's connection."""
        return Client.of(self._real.client_conn, self._era)

    @client_conn.setter
    def client_conn(self, value: Any) -> None:
        self._real.client_conn = real(value)

    @property
    def server_conn(self) -> Server:
        """The connection to the server; in a tunnel its address is known before it is made."""
        own = self._real.server_conn
        if own.address is None and self._real.client_conn.tunnel is not None:
            own.address = self._real.client_conn.tunnel
        return Server.of(own, self._era)

    @server_conn.setter
    def server_conn(self, value: Any) -> None:
        self._real.server_conn = real(value)

    @property
    def marked(self) -> Any:
        """A mark: true or false until 6, text since."""
        marked = self._real.marked
        return bool(marked) if self._era <= Era.F else marked

    @marked.setter
    def marked(self, value: Any) -> None:
        self._real.marked = value

    @property
    def live(self) -> Any:
        """Whether it is under way; until 6 the layer that carries it, or False."""
        live = self._real.live
        return Live(self) if live and self._era <= Era.F else live

    @property
    def reply(self) -> Reply:
        """The reply object; gone since 8."""
        if self._era >= Era.H:
            raise AttributeError(
                "flow.reply is gone since mitmproxy 8.0: assign flow.response, or use "
                "flow.kill(), flow.intercept(), flow.resume()"
            )
        found = self._real.__dict__.get("_nbproxy_reply")
        if found is None or found._flow is not self:  # noqa: SLF001 - one of ours
            found = self._real.__dict__["_nbproxy_reply"] = Reply(self)
        return found  # type: ignore[no-any-return]

    @property
    def mode(self) -> str:
        """How the client came to us."""
        return "regular"

    # -- control

    def kill(self, _master: Any = None) -> None:
        """Cut it off."""
        try:
            self._real.kill()
        except ValueError as error:
            raise ControlException(str(error)) from None

    def intercept(self, _master: Any = None) -> None:
        """Hold it at this hook."""
        self._real.intercept()

    def resume(self) -> None:
        """Let it go."""
        self._real.resume()

    def accept_intercept(self, _master: Any = None) -> None:
        """Let it go."""
        self._real.resume()

    # -- versions

    def copy(self) -> Any:
        """An independent flow with the same content."""
        return Flow.of(self._real.copy(), self._era)

    def backup(self, force: bool = False) -> None:
        """Remember it as it is now, if it is not remembered already."""
        if force or "_nbproxy_backup" not in self._real.__dict__:
            self._real.__dict__["_nbproxy_backup"] = self._real.copy()

    def modified(self) -> bool:
        """Whether it differs from what was remembered."""
        backup = self._real.__dict__.get("_nbproxy_backup")
        return backup is not None and _state(backup) != _state(self._real)

    def revert(self) -> None:
        """Make it what was remembered."""
        backup = self._real.__dict__.pop("_nbproxy_backup", None)
        if backup is not None:
            own = self._real
            own.request, own.response, own.error = backup.request, backup.response, backup.error

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace in request and response; gives the count (until 5.1)."""
        total = self.request.replace(pattern, repl, flags, count)
        if self.response is not None:
            total += self.response.replace(pattern, repl, flags, count)
        return total

    def get_state(self) -> dict[str, Any]:
        """All of it as plain data, in the layout of today's files."""
        from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

        return mitm.to_state(self._real)

    def __repr__(self) -> str:
        own = self._real
        lines = ["<HTTPFlow"]
        for name in ("request", "response", "error", "client_conn", "server_conn"):
            value = getattr(own, name)
            if value is not None:
                lines.append(f"  {name} = {value!r}")
        return "\r\n".join(lines) + "\r\n>"


def _state(flow: HTTPFlow) -> Any:
    from nbproxy.formats import mitm  # noqa: PLC0415 - seldom needed

    state = mitm.to_state(flow)
    return state["request"], state["response"], state["error"]


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


def flows_of(values: Iterable[Any]) -> list[HTTPFlow]:
    """The real flows of views."""
    return [real(value) for value in values]


_VIEWS: Final[tuple[tuple[type, type[View]], ...]] = (
    (HTTPFlow, Flow),
    (RealClient, Client),
    (RealServer, Server),
    (RealRequest, Request),
    (RealResponse, Response),
)
