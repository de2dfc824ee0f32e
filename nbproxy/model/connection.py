"""The two connections of a flow: from the client to us, from us to the server.

Plain records. The engine fills them in as things happen; everybody else reads. Times are Unix
seconds (UTC) as float, or None for what did not happen (yet).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = tuple[str, int]

_numbers = itertools.count(1)


class Connection:
    """What both connections have.

    Attributes:
        id: A number, unique in this process.
        peername: Address of the other end, (host, port); None before it is connected.
        sockname: Address of our end.
        timestamp_start: When it was accepted, or when connecting began.
        timestamp_tls_setup: When the TLS handshake was done.
        timestamp_end: When it closed.
        tls: True if TLS is spoken, or will be.
        tls_version: "TLSv1.3" and the like, None without TLS.
        cipher: OpenSSL's name of the cipher, None without TLS.
        alpn: The protocol agreed by ALPN (RFC 7301), None if none was.
        alpn_offers: What the side that opened the connection offered.
        sni: The server name in the ClientHello (RFC 6066, 3), None if there was none.
        certificate_list: The other end's certificates, DER, leaf first.
        error: Why it failed, None if it did not.
    """

    peername: Address | None = None
    sockname: Address | None = None
    timestamp_start: float | None = None
    timestamp_tls_setup: float | None = None
    timestamp_end: float | None = None
    tls: bool = False
    tls_version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    alpn_offers: Sequence[str] = ()
    sni: str | None = None
    certificate_list: Sequence[bytes] = ()
    error: str | None = None

    def __init__(self) -> None:
        self.id = next(_numbers)

    @property
    def tls_established(self) -> bool:
        """True once the TLS handshake is done."""
        return self.timestamp_tls_setup is not None

    @property
    def connected(self) -> bool:
        """True while it is open."""
        return self.timestamp_start is not None and self.timestamp_end is None


class Client(Connection):
    """The connection from whoever called us.

    Attributes:
        tunnel: Authority of the CONNECT that this connection sent, (host, port), or None.
        requests: Number of requests that came on it so far.
    """

    tunnel: Address | None = None
    requests: int = 0

    @property
    def address(self) -> Address | None:
        """Address of the client: the same as `peername`."""
        return self.peername

    def __repr__(self) -> str:
        return f"<Client {format_address(self.peername)}{' tls' if self.tls else ''}>"


class Server(Connection):
    """The connection from us to the origin.

    Attributes:
        address: Where it goes, by the name that was asked for, (host, port).
        via: The proxy we go through, (scheme, (host, port)), or None.
        timestamp_tcp_setup: When TCP was connected.
        requests: Number of requests sent on it so far; more than one says that it was reused.
        verified: True if the certificate was checked and is good.
    """

    via: tuple[str, Address] | None = None
    timestamp_tcp_setup: float | None = None
    requests: int = 0
    verified: bool = False
    _client: Client | None = None

    def __init__(self, address: Address | None = None) -> None:
        super().__init__()
        self.address = address

    @property
    def client(self) -> Client | None:
        """The client for whose request it was made; None where that is not known.

        It is known while the process lasts that made the connection: captures do not say it.
        """
        return self._client

    @client.setter
    def client(self, value: Client | None) -> None:
        self._client = value

    def __repr__(self) -> str:
        return f"<Server {format_address(self.address)}{' tls' if self.tls else ''}>"


def format_address(address: Address | None) -> str:
    """`host:port`, an IPv6 address in brackets; "" for None."""
    if address is None:
        return ""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
