"""Connections, addresses and certificates as scripts since 0.18 know them."""

from __future__ import annotations

import hashlib
from base64 import encodebytes
from enum import Flag
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from nbproxy.model.connection import Client as RealClient
from nbproxy.model.connection import Server as RealServer
from nbproxy.scripts.compat.views import Dated, View, text_id
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


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


class Certificate(Dated):
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
        value = described[name]
        if name == "has_expired" and self.era <= Era.F:
            return value()  # a property until 6, a method since
        return _as_bytes(value) if Era.D <= self.era <= Era.F else value


def _as_bytes(value: Any) -> Any:
    """Names in certificates as they were from 0.18 to 6: bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, list):
        return [_as_bytes(each) for each in value]
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return tuple(_as_bytes(each) for each in value)
    return value


class ConnectionState(Flag):
    """Which ways of a connection are open."""

    CLOSED = 0
    CAN_READ = 1
    CAN_WRITE = 2
    OPEN = 3


class ServerSpec(tuple[Any, ...]):
    """Scheme and address of a server."""

    __slots__ = ()

    def __new__(cls, scheme: str, address: Any) -> Self:
        """Two fields."""
        return super().__new__(cls, (scheme, tuple(address)))

    @property
    def scheme(self) -> str:
        """Such as "https"."""
        return str(self[0])

    @property
    def address(self) -> Any:
        """Host and port."""
        return self[1]


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
        kind = Certificate.bound(self._era)
        return [kind(der) for der in self._real.certificate_list]

    @property
    def transport_protocol(self) -> str:
        """Always "tcp"."""
        return "tcp"

    def _leaf(self) -> Certificate | None:
        chain = self._real.certificate_list
        return Certificate.bound(self._era)(chain[0]) if chain else None

    @property
    def alpn(self) -> bytes | None:
        """The protocol agreed by ALPN."""
        return self.alpn_proto_negotiated

    @alpn.setter
    def alpn(self, value: Any) -> None:
        self._real.alpn = value.decode("ascii") if isinstance(value, bytes) else value

    @property
    def alpn_offers(self) -> list[bytes]:
        """The protocols that the connecting side offered."""
        return [each.encode() for each in self._real.alpn_offers]

    @property
    def state(self) -> ConnectionState:
        """Whether it is open."""
        return ConnectionState.OPEN if self._real.connected else ConnectionState.CLOSED

    @property
    def tls_extensions(self) -> list[Any]:
        """What else the ClientHello had (3 to 8); not kept."""
        return []

    def __bool__(self) -> bool:
        return bool(self._real.connected) if self._era <= Era.F else True


class Client(Connection):
    """`connection.Client`, until 6 `connections.ClientConnection`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        own = RealClient()
        names = ("peername", "sockname", "timestamp_start")
        for name, value in {**dict(zip(names, args, strict=False)), **kwargs}.items():
            setattr(own, name, value)
        self._adopt(own)

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

    shown = "a server connection"
    hints: ClassVar = {
        "peer_address": "since mitmproxy 0.18 it is `ip_address`, since 7 `peername`",
        "host": "it is `address[0]`",
        "port": "it is `address[1]`",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        address = kwargs.pop("address", args[0] if args else None)
        own = RealServer(tuple(address) if address is not None else None)
        for name, value in kwargs.items():
            setattr(own, name, value)
        self._adopt(own)

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
    def via(self) -> Any:
        """The proxy that it goes through, or None."""
        via = self._real.via
        return None if via is None else ServerSpec(*via)

    @via.setter
    def via(self, value: Any) -> None:
        self._real.via = None if value is None else (value[0], tuple(value[1]))

    @property
    def cert(self) -> Certificate | None:
        """The server's certificate."""
        return self._leaf()


class TlsData:
    """What `tls_*` hooks get since 7, `tls.TlsData` and its like: our data, by those names."""

    ssl_conn = None
    is_dtls = False

    def __init__(self, data: Any, era: Era) -> None:
        self.__dict__.update(_data=data, _era=era)

    @property
    def conn(self) -> Any:
        """The connection."""
        return _shown(self._data.conn, self._era)

    @property
    def context(self) -> Any:
        """Client and server."""
        conn = self._data.conn
        client = self._data.client or (conn if isinstance(conn, RealClient) else RealClient())
        server = conn if isinstance(conn, RealServer) else _target(conn, self._data.sni)
        return SimpleNamespace(
            client=_shown(client, self._era), server=_shown(server, self._era), layers=[]
        )

    @property
    def client_hello(self) -> Any:
        """What the client said."""
        offers = [offer.encode() for offer in self._data.alpn_offers]
        sni = self._data.sni
        return SimpleNamespace(sni=sni, alpn_protocols=offers, cipher_suites=[], extensions=[])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self._data, name):
            setattr(self._data, name, value)
        else:
            self.__dict__[name] = value


def _target(client: RealClient, sni: str | None) -> RealServer:
    """Where a client's tunnel leads, as far as that is known."""
    return RealServer(client.tunnel or ((sni, 443) if sni else None))


def _shown(connection: Any, era: Era) -> Any:
    return (Client if isinstance(connection, RealClient) else Server).of(connection, era)
