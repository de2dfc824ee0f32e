"""One client's connection: its requests one after the other, its CONNECT, its TLS.

A connection begins as a proxy connection. A CONNECT turns it into a tunnel, and the first bytes
inside decide what the tunnel carries: TLS, which we end with a leaf of our CA and read as HTTP;
HTTP in clear; or anything else, which is passed through unread.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ssl
import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine import door, tcp
from nbproxy.engine.exchange import Exchange
from nbproxy.engine.pages import error_response
from nbproxy.engine.targets import Tunnel, flow_of, is_ours, server_name
from nbproxy.engine.tunnel import TunnelControl, first_to_speak
from nbproxy.engine.upstream import Origin
from nbproxy.errors import (
    ConnectionFailed,
    NbproxyError,
    ProtocolError,
    RemoteProtocolError,
    TLSError,
)
from nbproxy.hooks import TLSData
from nbproxy.model import url
from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.protocol import clienthello, framing, http1
from nbproxy.protocol.tls import TLSStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.engine.core import Core
    from nbproxy.engine.sockets import SocketStream
    from nbproxy.engine.upstream import ServerConnection
    from nbproxy.protocol.http1 import RequestHead
    from nbproxy.protocol.stream import ByteStream

# How long a tunnel's client may be silent before we take it that the server speaks first.
_SERVER_FIRST_S: Final = 1.0
# After an answer that ends a connection we read on a little, or the answer is lost with the reset
# that unread bytes cause (RFC 9112, 9.6).
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1024 * 1024
# What a refused request is remembered by.
_RAW_KEPT: Final = 1024


class ClientConnection:
    """A client's connection, from accept to close.

    Attributes:
        core: What all connections share.
        socket: The socket.
        conn: Its record.
        tunnel: Where its CONNECT leads, or None.
    """

    __slots__ = ("_bound", "_claim", "_failure", "conn", "core", "socket", "tunnel")

    def __init__(self, core: Core, socket: SocketStream) -> None:
        self.core = core
        self.socket = socket
        self.tunnel: Tunnel | None = None
        self.conn = conn = Client()
        conn.peername = socket.peername
        conn.sockname = socket.sockname
        conn.timestamp_start = time.time()
        self._bound: dict[Origin, ServerConnection] = {}
        self._failure: tuple[Origin, NbproxyError, Server] | None = None
        self._claim: bytes | None = None
        socket.on_readable = self._stirred

    def _stirred(self) -> None:
        """Something came that nobody waits for; if it is the end, is the client still there?"""
        if self.socket.peer_closed and self.socket.on_lost is not None:  # in an exchange
            self.core.orphans.watch(self.socket)

    async def serve(self) -> None:
        """Serve it until it ends; never raises but for cancellation."""
        try:
            await self.core.announce("clientconnect", self.conn)
            if self.conn.error is None:
                await self._serve_requests(self.socket)
        except ConnectionFailed:
            pass  # it left between requests
        finally:
            self.conn.timestamp_end = time.time()
            for server in self._bound.values():
                self.core.upstream.discard(server)
            self._bound.clear()
            self.socket.close()
            await self.core.announce("clientdisconnect", self.conn)

    # -- what an exchange asks of its connection

    def take_bound(self, origin: Origin) -> ServerConnection | None:
        """The server connection that this client authenticated, if it can be used."""
        server = self._bound.pop(origin, None)
        if server is None or server.is_usable:
            return server
        self.core.upstream.discard(server)
        return None

    def keep_bound(self, server: ServerConnection) -> None:
        """Keep a connection that this client authenticated for its next request."""
        if server.stream.reusable:
            self._bound[server.origin] = server
        else:
            self.core.upstream.discard(server)

    def take_failure(self, origin: Origin) -> tuple[NbproxyError, Server] | None:
        """Why connecting to this origin failed just now, with the record of it; asked once."""
        failure, self._failure = self._failure, None
        return failure[1:] if failure is not None and failure[0] == origin else None

    # -- requests

    async def _serve_requests(self, io: ByteStream) -> None:
        """Requests one after the other, until one ends the connection."""
        stream = http1.ClientStream(io, self.core.limits)
        while True:
            try:
                head = await stream.request_head()
            except (RemoteProtocolError, ConnectionFailed) as error:
                await self._refuse(stream, error)
                return
            if head is None:
                return
            self.conn.requests += 1
            opened = self.core.door
            if opened is not None and self.tunnel is None and head.target.startswith(door.PREFIX):
                await door.answer(opened, stream, head, self.conn.peername)
                await self._linger(io)
                return
            if self.tunnel is None and not self._is_authorized(head):
                await self._demand_credentials(stream, head)
                return
            if head.method == b"CONNECT":
                await self._connect(stream, head)
                return
            try:
                flow = self._flow(head)
            except RemoteProtocolError as error:
                await self._refuse(stream, error)
                return
            if self.core.tracer is not None:
                self._trace(flow)
            if not await Exchange(self, stream, head, flow).run():
                await self._linger(io)
                return

    def _flow(self, head: RequestHead) -> HTTPFlow:
        own, here = self.core.own_addresses, self.conn.sockname
        if self.tunnel is None and self.core.own_site is not None and is_ours(head, own, here):
            request = Request(
                http1.word(head.method),
                "http",
                *(self.conn.sockname or ("localhost", 80)),
                url.parse_origin_form(head.target).decode("ascii"),
                headers=Headers.from_wire(head.fields),
                timestamp_start=head.started,
            )
            flow = HTTPFlow(request, self.conn)
            flow.response = self.core.own_site(flow)
            return flow
        return flow_of(head, self.conn, self.tunnel)

    async def _refuse(
        self, stream: http1.ClientStream, error: ProtocolError | ConnectionFailed
    ) -> None:
        """Answer what is no request, record it, and end the connection."""
        flow = self._refused_flow(stream.raw_head, str(error))
        self.core.recorder.opened(flow)
        await self.core.announce("error", flow)
        self.core.recorder.closed(flow)
        if isinstance(error, ConnectionFailed) and error.status != 408:
            stream.io.abort()
            return
        self._send_page(stream.io, error.status, str(error))
        await self._linger(stream.io)

    def _refused_flow(self, raw: bytes, message: str) -> HTTPFlow:
        """A flow of a request that could not be read: its first bytes are all that is known."""
        words = raw[:_RAW_KEPT].split(b"\r\n", 1)[0].split(b" ")
        method = words[0].decode("ascii") if framing.TOKEN.fullmatch(words[0][:32]) else "?"
        host, port = self.tunnel[1:3] if self.tunnel is not None else ("", 0)
        scheme = "https" if self.tunnel is not None and self.tunnel.tls else "http"
        target = words[1].decode("latin-1") if len(words) > 1 else ""
        request = Request(
            method[:32], scheme, host, port, target, content=None, timestamp_start=time.time()
        )
        flow = HTTPFlow(request, self.conn)
        flow.error = Error(f"refused: {message}", time.time())
        flow.metadata["raw"] = raw[:_RAW_KEPT]
        return flow

    def _send_page(
        self, io: ByteStream, status: int, message: str, fields: dict[str, str] | None = None
    ) -> None:
        page = error_response(status, message)
        for name, value in (fields or {}).items():
            page.headers[name] = value
        body = page.raw_content or b""
        io.write(
            http1.response_head_bytes(
                status,
                page.reason.encode("latin-1"),
                page.headers.fields,
                framing.HOP_BY_HOP,
                len(body),
                b"close",
            )
            + body
        )

    async def _linger(self, io: ByteStream) -> None:
        """Let an answer reach a client that is still sending."""
        if self.socket.is_lost:
            return
        io.write_eof()
        ends_at = self.core.loop.time() + _LINGER_S
        size = 0
        try:
            while size < _LINGER_BYTES and (left_s := ends_at - self.core.loop.time()) > 0:
                data = await self.socket.receive(left_s)
                if not data:
                    return
                size += len(data)
        except ConnectionFailed:
            return

    # -- credentials

    def _is_authorized(self, head: RequestHead) -> bool:
        wanted, tracer = self.core.options.proxyauth, self.core.tracer
        if wanted is None and tracer is None:
            return True
        given = _basic_credentials(head.special.get(b"proxy-authorization", ()))
        self._claim = None if given is None or tracer is None else tracer.claim(given)
        if self._claim is not None or wanted is None:
            return True
        return given is not None and hmac.compare_digest(given, wanted.encode("utf-8"))

    def _trace(self, flow: HTTPFlow) -> None:
        """Find out where a request comes from; credentials that only say so are not the user's."""
        if self._claim is not None and self.tunnel is None:
            flow.request.headers.pop("proxy-authorization", None)
        if self.core.tracer is not None:
            self.core.tracer.begin(flow, self._claim)

    async def _demand_credentials(self, stream: http1.ClientStream, head: RequestHead) -> None:
        """407 (RFC 9110, 11.7.1)."""
        flow = self._refused_flow(
            b"%b %b" % (head.method, head.target), "no valid proxy credentials"
        )
        del flow.metadata["raw"]
        self.core.recorder.opened(flow)
        await self.core.announce("error", flow)
        self.core.recorder.closed(flow)
        self._send_page(
            stream.io,
            407,
            "This proxy asks for credentials.",
            {"proxy-authenticate": 'Basic realm="nbproxy"'},
        )
        await self._linger(stream.io)

    # -- CONNECT

    async def _connect(self, stream: http1.ClientStream, head: RequestHead) -> None:
        """Open a tunnel (RFC 9110, 9.3.6) and serve what comes through it."""
        try:
            flow = self._connect_flow(head)
        except RemoteProtocolError as error:
            await self._refuse(stream, error)
            return
        self._trace(flow)
        control = flow._control = TunnelControl(self.core.loop, self.socket)  # noqa: SLF001 - as in Exchange
        try:
            await self._open_tunnel(stream, flow, control)
        finally:
            flow._control = None  # noqa: SLF001

    async def _open_tunnel(
        self, stream: http1.ClientStream, flow: HTTPFlow, control: TunnelControl
    ) -> None:
        request = flow.request
        await self.core.announce("http_connect", flow)
        flow.intercepted = False  # a tunnel has nothing to be held
        if flow.error is not None or flow.response is not None:
            await self._refuse_tunnel(stream, flow, control)
            return
        self.tunnel = Tunnel(False, request.host, request.port)
        self.conn.tunnel = (request.host, request.port)
        stream.io.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        flow.response = Response(200, reason="Connection established", timestamp_start=time.time())
        await self.core.announce("http_connected", flow)
        stream.io.unread(stream.take_rest())
        await self._serve_tunnel(stream.io, flow)

    def _connect_flow(self, head: RequestHead) -> HTTPFlow:
        if self.tunnel is not None:
            raise RemoteProtocolError("CONNECT inside a tunnel")
        if head.framing != 0:
            raise RemoteProtocolError("CONNECT with a body (RFC 9110, 9.3.6)")
        try:
            host, port = url.parse_authority(head.target, require_port=True)
        except ValueError as error:
            raise RemoteProtocolError(f"the target of CONNECT must be host:port: {error}") from None
        request = Request(
            "CONNECT",
            "http",
            host,
            port or 443,
            "",
            headers=Headers.from_wire(head.fields),
            authority=head.target.decode("ascii"),
            http_version="HTTP/1.0" if head.version == b"1.0" else "HTTP/1.1",
            timestamp_start=head.started,
        )
        request.timestamp_end = head.started
        return HTTPFlow(request, self.conn)

    async def _refuse_tunnel(
        self, stream: http1.ClientStream, flow: HTTPFlow, control: TunnelControl
    ) -> None:
        if flow.response is None and not control.killed:
            flow.response = error_response(502, str(flow.error))
        self.core.recorder.opened(flow)
        await self.core.announce("http_connect_error", flow)
        flow._control = None  # noqa: SLF001
        self.core.recorder.closed(flow)
        response = flow.response
        if response is None or control.killed:
            self.socket.abort()
            return
        body = response.raw_content or b""
        stream.io.write(
            http1.response_head_bytes(
                response.status_code,
                response.reason.encode("latin-1", "replace"),
                response.headers.fields,
                framing.HOP_BY_HOP,
                len(body),
                b"close",
            )
            + body
        )
        await self._linger(stream.io)

    async def _serve_tunnel(self, io: ByteStream, flow: HTTPFlow) -> None:
        """Serve what comes through a tunnel; the client's first bytes decide what that is.

        If it is silent for a while, the server is asked whether it speaks first; if the client
        does all the same, it is only a slow one.
        """
        try:
            first = await io.receive(_SERVER_FIRST_S)
        except ConnectionFailed as error:
            if error.status != 504:
                return
            if not await self._speaks_after_all(io, flow):
                return
            first = await io.receive(_SERVER_FIRST_S)
        if not first:
            return
        io.unread(first)
        if clienthello.looks_like_tls(first):
            await self._serve_tls(io, flow)
        elif _looks_like_http(first) and not self._passes_through(""):
            await self._serve_requests(io)
        else:
            await self._pass_through(io, flow, unseen=self._passes_through(""))

    async def _speaks_after_all(self, io: ByteStream, flow: HTTPFlow) -> bool:
        """Ask the server; if it is the one that speaks first, serve the raw tunnel to its end."""
        try:
            server = await self._connect_raw()
        except NbproxyError as error:
            self.core.recorder.opened(flow)
            await self._tunnel_failed(flow, error)
            return False
        if await first_to_speak(io, server.io, self.core.limits.first_s):
            self.core.upstream.discard(server)
            return True
        await self._pass_through(io, flow, server, unseen=self._passes_through(""))
        return False

    async def _connect_raw(self) -> ServerConnection:
        tunnel = self.tunnel
        assert tunnel is not None  # noqa: S101 - there was a CONNECT
        return await self.core.upstream.connect(
            Origin(False, tunnel.host, tunnel.port, ""), self.conn
        )

    async def _tunnel_failed(self, flow: HTTPFlow, error: NbproxyError) -> None:
        flow.error = flow.error or Error(str(error), time.time())
        await self.core.announce("http_connect_error", flow)
        self.socket.abort()
        flow._control = None  # noqa: SLF001 - as in Exchange
        self.core.recorder.closed(flow)

    async def _pass_through(
        self,
        io: ByteStream,
        flow: HTTPFlow,
        server: ServerConnection | None = None,
        *,
        unseen: bool,
    ) -> None:
        """A raw tunnel: recorded as its CONNECT, with the number of bytes; perhaps `unseen`."""
        recorder = self.core.recorder
        recorder.opened(flow)
        try:
            if server is None:
                server = await self._connect_raw()
            flow.server_conn = server.conn
            recorder.changed(flow)
            try:
                sent, received = await tcp.pass_through(
                    self.core, io, self.socket, self.conn, server, unseen=unseen
                )
            finally:
                self.core.upstream.discard(server)
            flow.metadata["tunnel"] = {"client_bytes": sent, "server_bytes": received}
            if flow.response is not None:
                flow.response.timestamp_end = time.time()
        except NbproxyError as error:
            await self._tunnel_failed(flow, error)
        finally:
            flow._control = None  # noqa: SLF001 - as in Exchange
            recorder.closed(flow)

    def _passes_through(self, sni: str) -> bool:
        """Whether `ignore_hosts` or `allow_hosts` keep us out of this tunnel."""
        patterns = self.core.patterns
        tunnel = self.tunnel
        if not patterns or tunnel is None:
            return False
        names = [f"{tunnel.host}:{tunnel.port}"]
        if sni:
            names.append(f"{sni}:{tunnel.port}")
        ignored = any(p.search(n) for p in patterns.get("ignore_hosts", ()) for n in names)
        allowed = patterns.get("allow_hosts", ())
        return ignored or bool(allowed and not any(p.search(n) for p in allowed for n in names))

    # -- TLS

    async def _serve_tls(self, io: ByteStream, flow: HTTPFlow) -> None:
        """End the client's TLS with a leaf of ours, and serve the requests inside."""
        tunnel = self.tunnel
        assert tunnel is not None  # noqa: S101 - there was a CONNECT
        try:
            hello, data = await self._read_hello(io)
        except (ValueError, ConnectionFailed) as error:
            await self._tls_failed(
                flow, f"the client's TLS cannot be read: {error}", TLSData(self.conn)
            )
            return
        io.unread(data)
        sni = server_name(hello.sni)
        self.conn.sni, self.conn.alpn_offers = hello.sni, hello.alpn
        asked = TLSData(self.conn, self.conn, hello.sni, hello.alpn)
        options = self.core.options
        asked.establish_server_tls_first = (
            options.upstream_cert and options.connection_strategy == "eager"
        )
        await self.core.announce("tls_clienthello", asked)
        if asked.ignore_connection or self._passes_through(sni):
            await self._pass_through(io, flow, unseen=True)
            return
        self.tunnel = tunnel = Tunnel(True, tunnel.host, tunnel.port, sni)
        self.conn.tls = True
        names, organization = await self._upstream_names(tunnel, flow, asked)
        stream = TLSStream(
            io,
            self.core.certificates.context_for(
                tunnel.host, sni=sni or None, upstream_names=names, organization=organization
            ),
            server_side=True,
        )
        try:
            await stream.handshake(self.core.options.tls_timeout)
        except (ssl.SSLError, NbproxyError) as error:
            message = self.core.certificates.explain_client(error, sni or tunnel.host)
            await self._tls_failed(flow, message, asked)
            return
        self._note_tls(stream)
        await self.core.announce("tls_established_client", asked)
        asked_before = self.conn.requests
        await self._serve_requests(stream)
        stream.write_eof()
        if self.conn.requests == asked_before and stream.truncated:
            # some clients look at our certificate only now, and leave without a word (RFC 8446, 6)
            silent = TLSError("the connection was closed right after the handshake")
            message = self.core.certificates.explain_client(silent, sni or tunnel.host)
            await self._tls_failed(flow, message, asked)

    async def _read_hello(self, io: ByteStream) -> tuple[clienthello.ClientHello, bytes]:
        data = b""
        ends_at = self.core.loop.time() + self.core.options.tls_timeout
        while True:
            more = await io.receive(max(0.001, ends_at - self.core.loop.time()))
            if not more:
                raise ConnectionFailed("the client closed the connection in its first TLS message")
            data += more
            hello = clienthello.parse(data)
            if hello is not None:
                return hello, data

    async def _upstream_names(
        self, tunnel: Tunnel, flow: HTTPFlow, asked: TLSData
    ) -> tuple[tuple[str, ...], str | None]:
        """The names in the server's certificate, so that ours can carry them as well."""
        if not asked.establish_server_tls_first or tunnel.host in self.core.sites:
            return (), None
        origin = Origin(True, tunnel.host, tunnel.port, tunnel.sni or tunnel.host)
        try:
            der = await self.core.upstream.certificate(origin, self.conn, flow)
        except NbproxyError as error:
            # the first request inside is answered with it
            self._failure = (origin, error, flow.server_conn)
            return (), None
        if der is None:
            return (), None
        names, organization = self.core.certificates.names_in(der)
        return tuple(names), organization

    def _note_tls(self, stream: TLSStream) -> None:
        tls = stream.tls
        self.conn.timestamp_tls_setup = time.time()
        self.conn.tls_version = tls.version()
        cipher = tls.cipher()
        self.conn.cipher = cipher[0] if cipher else None
        self.conn.alpn = tls.selected_alpn_protocol()

    async def _tls_failed(self, flow: HTTPFlow, message: str, data: TLSData) -> None:
        """No TLS with the client: the CONNECT is recorded with the reason."""
        self.conn.error = message
        flow.response = None
        flow.error = Error(message, time.time())
        self.core.recorder.opened(flow)
        await self.core.announce("tls_failed_client", data)
        await self.core.announce("http_connect_error", flow)
        flow._control = None  # noqa: SLF001 - as in Exchange
        self.core.recorder.closed(flow)


def _basic_credentials(given: Sequence[bytes]) -> bytes | None:
    """User and password of a Proxy-Authorization field (RFC 7617, 2); None if it is not that."""
    if len(given) != 1 or len(given[0]) > 8192:
        return None
    scheme, _, token = given[0].partition(b" ")
    try:
        plain = base64.b64decode(token.strip(), validate=True)
    except ValueError:
        return None
    return plain if scheme.lower() == b"basic" else None


def _looks_like_http(data: bytes) -> bool:
    """Whether the first bytes in a tunnel begin a request line."""
    word = data[:32].split(b" ", 1)[0]
    return word.isupper() and framing.TOKEN.fullmatch(word) is not None and b" " in data[:32]


async def serve_client(core: Core, socket: SocketStream) -> None:
    """The root of a connection's task: whatever goes wrong in it stays in it.

    Raises:
        asyncio.CancelledError: The proxy stops.
    """
    connection = ClientConnection(core, socket)
    try:
        await connection.serve()
    except asyncio.CancelledError:
        socket.abort()
        raise
    except Exception as error:  # noqa: BLE001 - the fence: one fault, one connection
        core.loop.call_exception_handler(
            {"message": "nbproxy: a connection failed; please report this", "exception": error}
        )
        socket.abort()
