"""Connections to servers: made, verified, kept for the next request.

An idle connection is given to any client whose request goes to the same origin in the same way
(scheme, host, port, server name, verification): to the server all of them are us. The exceptions
are connections on which somebody authenticated the connection itself (NTLM, Negotiate: RFC 4559):
these stay with their client until it leaves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbproxy.engine.deadlines import NEVER
from nbproxy.engine.sockets import SocketStream
from nbproxy.errors import ConnectionFailed, NbproxyError, TLSError
from nbproxy.hooks import TLSData
from nbproxy.model.connection import Client, Server, format_address
from nbproxy.protocol.http1 import Limits, ServerStream
from nbproxy.protocol.tls import TLSStream

if TYPE_CHECKING:
    from nbproxy.engine.contracts import Dispatcher, ServerTrust
    from nbproxy.engine.deadlines import Deadlines
    from nbproxy.model.connection import Address
    from nbproxy.model.flow import Flow
    from nbproxy.options import Options
    from nbproxy.protocol.stream import ByteStream

# How many origins' certificate names are remembered.
_CERTIFICATES_KEPT: Final = 1000


class Origin(NamedTuple):
    """Where a request goes, as far as it matters to sharing a connection.

    Attributes:
        tls: Whether TLS is spoken.
        host: Name or address.
        port: Port.
        sni: The server name to ask for and to verify; "" without TLS.
    """

    tls: bool
    host: str
    port: int
    sni: str


class ServerConnection:
    """One connection to a server and what it may be used for.

    Attributes:
        origin: Where it goes.
        conn: Its record.
        stream: Requests and responses on it.
        io: The bytes below.
        socket: The socket below that.
        bound: True if authentication made it one client's own.
        generation: The pool's when connecting began.
    """

    __slots__ = (
        "bound",
        "conn",
        "deadline",
        "generation",
        "io",
        "origin",
        "pool",
        "socket",
        "stream",
    )

    def __init__(
        self,
        pool: Upstream,
        origin: Origin,
        conn: Server,
        sock: SocketStream,
        io: ByteStream,
        generation: int,
    ) -> None:
        self.pool = pool
        self.generation = generation
        self.origin = origin
        self.conn = conn
        self.socket = sock
        self.io = io
        self.stream = ServerStream(io, pool.limits)
        self.bound = False
        self.deadline = NEVER

    def expire(self) -> None:
        """It was idle for too long."""
        self.pool.discard(self)

    def expect_body(self) -> None:
        """The head of a response came: what is missing of the body shall come without delay."""
        if not self.stream.body_at_hand:
            self.socket.expect_more()

    @property
    def is_usable(self) -> bool:
        """True if a request may be sent on it."""
        return self.generation == self.pool.generation and self.io.is_open and not self.io.pending

    def close(self) -> None:
        """Close it in order."""
        self.io.close()

    def abort(self) -> None:
        """Close it so that the server sees an incomplete message, if one is under way."""
        self.io.abort()


class Upstream:
    """Makes connections to servers and keeps idle ones.

    Args:
        options: The proxy's.
        dispatcher: For the `server*` and `tls_*_server` hooks.
        deadlines: The loop's.
        trust: Makes TLS contexts for servers and words their errors.
        limits: Bounds of messages.

    Attributes:
        own_addresses: Where we listen; never connected to.
        generation: Grows when options change; connections made before are used no more.
    """

    def __init__(
        self,
        options: Options,
        dispatcher: Dispatcher,
        deadlines: Deadlines,
        trust: ServerTrust,
        limits: Limits,
    ) -> None:
        self.options = options
        self.limits = limits
        self.own_addresses: set[Address] = set()
        self._dispatcher = dispatcher
        self._deadlines = deadlines
        self._trust = trust
        self._idle: dict[Origin, list[ServerConnection]] = {}
        self._open: set[ServerConnection] = set()
        self._names: OrderedDict[Origin, bytes] = OrderedDict()
        self.generation = 0
        self._tasks: set[asyncio.Future[None]] = set()

    # -- the pool

    async def acquire(
        self, origin: Origin, client: Client, flow: Flow | None = None
    ) -> ServerConnection:
        """A connection on which a request may be sent now; `conn.requests` tells if it is new.

        Args:
            origin: Where it goes.
            client: On whose behalf.
            flow: Is shown the record of a new connection, so that it has it if connecting fails.

        Raises:
            ConnectionFailed: The server cannot be reached.
            TLSError: Its TLS or its certificate is not good.
        """
        idle = self._idle.get(origin)
        while idle:
            found = idle.pop()
            found.deadline = NEVER
            if found.is_usable:
                return found
            self.discard(found)
        return await self.connect(origin, client, flow)

    def release(self, connection: ServerConnection) -> None:
        """Give a connection back after an exchange; it is kept if it can serve again."""
        stream = connection.stream
        if connection.bound or connection.generation != self.generation or not stream.reusable:
            self.discard(connection)
            return
        idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= self.options.pool_size:
            self.discard(connection)
            return
        idle.append(connection)
        # not by the clock of each exchange: the timer is only moved when it would look too late
        now = asyncio.get_running_loop().time()
        connection.deadline = deadline = now + self.options.pool_idle_timeout
        if deadline < self._deadlines.soonest:
            self._deadlines.watch(deadline)

    def discard(self, connection: ServerConnection) -> None:
        """Close a connection and forget it."""
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)
        connection.close()

    def forget_idle(self) -> None:
        """Options changed, or the proxy stops: close idle connections, use busy ones no more."""
        self.generation += 1
        for connections in list(self._idle.values()):
            for connection in list(connections):
                self.discard(connection)
        self._idle.clear()
        self._names.clear()

    def close(self) -> None:
        """Close everything."""
        self.forget_idle()
        for connection in list(self._open):
            connection.abort()

    def _lost(self, connection: ServerConnection) -> None:
        self._open.discard(connection)
        self._deadlines.remove(connection)
        idle = self._idle.get(connection.origin)
        if idle is not None:
            if connection in idle:
                idle.remove(connection)
            if not idle:
                del self._idle[connection.origin]
        connection.conn.timestamp_end = time.time()
        self._fire_later("serverdisconnect", connection.conn)

    def _stirred(self, connection: ServerConnection) -> None:
        """Something came while nobody reads: an idle connection that is over goes at once."""
        if connection.deadline is not NEVER and not connection.is_usable:
            self.discard(connection)

    def _fire_later(self, hook: str, argument: Any) -> None:
        """Run a hook from a place that cannot wait."""
        if hook in self._dispatcher.active:
            waiting = self._dispatcher.fire(hook, argument)
            if waiting is not None:
                task = asyncio.ensure_future(waiting)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    # -- connecting

    async def connect(
        self, origin: Origin, client: Client, flow: Flow | None = None
    ) -> ServerConnection:
        """A new connection; see `acquire`."""
        server = Server((origin.host, origin.port))
        server.client = client
        server.timestamp_start = time.time()
        if flow is not None:
            flow.server_conn = server
        generation = self.generation
        sock: SocketStream | None = None
        try:
            await self._announce("serverconnect", server)
            if server.error is not None:
                raise ConnectionFailed(f"a handler refused the connection: {server.error}")
            sock = await self._open_socket(server)
            io: ByteStream = sock
            if origin.tls:
                io = await self._start_tls(origin, server, sock, client)
        except NbproxyError as error:
            server.error = str(error)
            server.timestamp_end = time.time()
            await self._announce("server_connect_error", server)
            raise
        except asyncio.CancelledError:
            if sock is not None:
                sock.abort()
            raise
        connection = ServerConnection(self, origin, server, sock, io, generation)
        self._open.add(connection)
        self._deadlines.add(connection)
        sock.on_lost = lambda: self._lost(connection)
        sock.on_readable = lambda: self._stirred(connection)
        if sock.is_lost:
            self._lost(connection)
        await self._announce("server_connected", server)
        return connection

    async def _announce(self, hook: str, argument: Any) -> None:
        if hook in self._dispatcher.active:
            waiting = self._dispatcher.fire(hook, argument)
            if waiting is not None:
                await waiting

    async def _open_socket(self, server: Server) -> SocketStream:
        address = server.address
        assert address is not None  # noqa: S101 - set above, and handlers set tuples
        host, port = address
        loop = asyncio.get_running_loop()
        target: dict[str, Any] = {"host": host, "port": port}
        if not _is_literal(host):
            target["happy_eyeballs_delay"] = 0.25  # RFC 8305, 5
        try:
            async with asyncio.timeout(self.options.connect_timeout):
                if self.options.restrict_targets:
                    target["host"] = await self._resolve_public(host, port)
                _, sock = await loop.create_connection(
                    lambda: SocketStream(self._deadlines, "server"), **target
                )
        except TimeoutError:
            seconds = self.options.connect_timeout
            where = format_address(address)
            raise ConnectionFailed(f"{where} did not answer within {seconds:g} s", 504) from None
        except (OSError, UnicodeError, ValueError, OverflowError) as error:
            where = format_address(address)
            raise ConnectionFailed(f"cannot connect to {where}: {_plain(error)}") from None
        server.peername, server.sockname = sock.peername, sock.sockname
        server.timestamp_tcp_setup = time.time()
        self._refuse_ourselves(sock)
        return sock

    async def _resolve_public(self, host: str, port: int) -> str:
        """The address to connect to, when strangers may use us: none of this machine's own.

        CVE-2025-23217: a proxy that listens beyond loopback must not be the way to services that
        listen on loopback only. The address that was checked is the one connected to.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, sockaddr in found:
            address = ipaddress.ip_address(str(sockaddr[0]).split("%")[0])
            mapped = getattr(address, "ipv4_mapped", None)
            address = mapped or address
            if not (
                address.is_loopback
                or address.is_link_local
                or address.is_unspecified
                or address.is_multicast
            ):
                return str(sockaddr[0])
        raise ConnectionFailed(
            f"{host} is an address of this machine or link-local; a proxy that listens beyond "
            "loopback does not lead there",
            403,
        )

    def _refuse_ourselves(self, sock: SocketStream) -> None:
        """RFC 9110, 7.6.3: a request to our own port would come back to us without end."""
        peer, here = sock.peername, sock.sockname
        if peer is None or here is None:
            return
        address = _address(peer[0])
        for host, port in self.own_addresses:
            own = _address(host)
            anywhere = own.is_unspecified and (peer[0] == here[0] or address.is_loopback)
            if peer[1] == port and (address == own or anywhere):
                sock.abort()
                raise ConnectionFailed(
                    f"{format_address(peer)} is this proxy itself (RFC 9110, 7.6.3)", 508
                )

    async def _start_tls(
        self, origin: Origin, server: Server, sock: SocketStream, client: Client
    ) -> TLSStream:
        server.tls = True
        name = origin.sni or origin.host
        server.sni = None if _is_literal(name) else name
        data = TLSData(server, client, server.sni)
        chain: list[bytes] = []
        try:
            stream = TLSStream(sock, self._trust.context(), server_side=False, server_hostname=name)
            try:
                await stream.handshake(self.options.tls_timeout)
            finally:
                server.certificate_list = chain = self._trust.chain(stream.tls)
            self._trust.check(chain, name)
        except (ssl.SSLError, NbproxyError, ValueError) as error:
            sock.abort()
            server.error = self._trust.explain(error, name, chain)
            if name not in server.error:
                server.error = f"No TLS with {name}: {server.error}"
            await self._announce("tls_failed_server", data)
            raise TLSError(server.error, getattr(error, "status", 502)) from error
        tls = stream.tls
        server.timestamp_tls_setup = time.time()
        server.verified = not self.options.ssl_insecure
        server.tls_version = tls.version()
        cipher = tls.cipher()
        server.cipher = cipher[0] if cipher else None
        server.alpn = tls.selected_alpn_protocol()
        if chain:
            self._names[origin] = chain[0]
            self._names.move_to_end(origin)
            if len(self._names) > _CERTIFICATES_KEPT:
                self._names.popitem(last=False)
        await self._announce("tls_established_server", data)
        return stream

    def explain(self, error: ssl.SSLError, connection: ServerConnection) -> str:
        """Why TLS broke on a connection: in TLS 1.3 a server may refuse after the handshake."""
        origin = connection.origin
        return self._trust.explain(error, origin.sni, connection.conn.certificate_list)

    async def certificate(
        self, origin: Origin, client: Client, flow: Flow | None = None
    ) -> bytes | None:
        """The server's certificate, DER; from memory if it was seen before, else by connecting.

        Raises:
            ConnectionFailed: The server cannot be reached.
            TLSError: Its TLS or its certificate is not good.
        """
        known = self._names.get(origin)
        if known is not None:
            return known
        connection = await self.connect(origin, client, flow)
        self._park(connection)
        return self._names.get(origin)

    def _park(self, connection: ServerConnection) -> None:
        """Keep a connection on which nothing was sent yet."""
        self._idle.setdefault(connection.origin, []).append(connection)
        connection.deadline = asyncio.get_running_loop().time() + self.options.pool_idle_timeout
        self._deadlines.watch(connection.deadline)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without its zone, and as IPv4 if it is IPv4 in IPv6's clothes."""
    found = ipaddress.ip_address(host.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _plain(error: Exception) -> str:
    """An OS error in words, without asyncio's wrapping."""
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, OSError) and error.errno:
        return (error.strerror or str(error)).lower()
    return str(error)
