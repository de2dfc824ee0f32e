"""One exchange: from a request's head to the last byte of its response.

`Exchange.run` reads as the list of what happens: hooks, the request's body, the server, hooks, the
response's body, the answer. What waits is a plain await; two things go on at once only while a
request's body is passed on as it comes, when a task uploads it and the exchange waits for the
response, which may come before the upload's end.

Faults: the client's own (`RemoteProtocolError` while it is read) are answered with their status and
end its connection. The server's become a 502 or 504, or a cut connection if part of the response is
out already. In each case the flow has an `error`, its `error` hook runs, and it is recorded.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine import sending, upgraded
from nbproxy.engine.bodies import Pace, Relay, read_whole
from nbproxy.engine.live import Killed, LiveFlow
from nbproxy.engine.pages import ADVICE, error_response, own_answer
from nbproxy.engine.upstream import Origin
from nbproxy.errors import ConnectionFailed, NbproxyError, ProtocolError, RemoteProtocolError
from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.model.message import Response
from nbproxy.protocol import framing, http1, upgrades

if TYPE_CHECKING:
    from nbproxy.engine.client import ClientConnection
    from nbproxy.engine.upstream import ServerConnection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message
    from nbproxy.protocol.http1 import ClientStream, RequestHead, ResponseHead

# RFC 9110, 9.2.2
_IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))
_VERSIONS: Final = {b"1.1": "HTTP/1.1", b"1.0": "HTTP/1.0"}
_NO_BODY: Final = frozenset((204, 304))  # RFC 9110, 6.4.1
# Schemes that authenticate a connection, not a request (RFC 4559, 6).
_BINDING: Final = (b"ntlm", b"negotiate")


class Exchange(LiveFlow):
    """Carries one flow; it is the flow's `Control` while it is live.

    Args:
        owner: The client's connection.
        client: Its stream, on which the head was just read.
        head: The head.
        flow: The flow it begins.
    """

    __slots__ = (
        "_on_server",
        "_sent_any",
        "_upload",
        "_upload_fault",
        "client",
        "head",
        "owner",
        "server",
    )

    flow: HTTPFlow

    def __init__(
        self, owner: ClientConnection, client: ClientStream, head: RequestHead, flow: HTTPFlow
    ) -> None:
        super().__init__(owner.core, flow)
        self.owner = owner
        self.client = client
        self.head = head
        self.server: ServerConnection | None = None
        self._on_server = False
        self._sent_any = False
        self._upload: asyncio.Task[None] | None = None
        self._upload_fault: NbproxyError | None = None

    def cut(self) -> None:
        """Break both connections."""
        self.owner.socket.abort()
        if self.server is not None:
            self.server.socket.fail(ConnectionFailed(Error.KILLED_MESSAGE))

    # -- the course of things

    async def run(self) -> bool:
        """Carry the flow to its end.

        Returns:
            Whether the client's connection may serve another request.
        """
        flow = self.flow
        core = self.core
        if core.recorder.congested:
            await core.room()
        flow._control = self  # noqa: SLF001 - the model's one slot for us
        core.recorder.opened(flow)
        self.owner.socket.on_lost = self._client_lost
        if self.owner.socket.peer_closed:
            core.orphans.watch(self.owner.socket)
        try:
            keep = await self._carry()
        except NbproxyError as error:
            keep = await self._fail(error)
        except Killed:
            keep = await self._end_killed()
        except BaseException as error:
            self._drop_server()
            stopped = isinstance(error, asyncio.CancelledError)
            reason = "the proxy was stopped" if stopped else f"the proxy failed: {error!r}"
            flow.error = flow.error or Error(reason, time.time())
            raise
        finally:
            self.owner.socket.on_lost = None
            flow._control = None  # noqa: SLF001
            flow.intercepted = False
            core.recorder.closed(flow)
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            await asyncio.wait((self._upload,))  # it reads where our owner goes on reading
        return keep

    async def _carry(self) -> bool:
        flow = self.flow
        active = self.core.dispatcher.active
        if "requestheaders" in active:
            await self.hook("requestheaders")
        pieces = await self._read_request()
        if "request" in active:
            await self.hook("request")
        if flow.response is None:
            flow.response = own_answer(flow, self.head, self.core.sites)
        if flow.response is not None:
            return await self._answer_for_server()
        self._on_server = True
        head = await self._forward(pieces)
        if head.status == 101:
            return await self._switch(head)
        return await self._return_response(head)

    # -- the request

    async def _read_request(self) -> list[bytes]:
        """Read the body, if it is to be seen whole.

        Returns:
            Nothing if it was; else the pieces that were read before it turned out too large.
        """
        request = self.flow.request
        client = self.client
        if client.body_done:
            request.hold_body(b"")
            request.timestamp_end = time.time()
            return []
        if not client.body_at_hand:
            self.owner.socket.expect_more()
        if client.expects_continue:
            if self.flow.response is not None:  # answered by a handler: the body is not asked for
                return []
            client.write_continue()
        how = self.head.framing
        limit = self.core.options.stream_large_bodies
        if request.stream or (isinstance(how, int) and how > limit):
            request.stream = request.stream or True
            return []
        pieces, whole = await read_whole(request, client, limit, self.core.limits.body_s)
        if not whole:
            request.stream = True
            return pieces
        self._take_whole(request, pieces, client.trailers)
        return []

    @staticmethod
    def _take_whole(
        message: Message, pieces: list[bytes], trailers: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        message.hold_body(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        message.timestamp_end = time.time()
        if trailers:
            message.trailers = Headers.from_wire(trailers)

    # -- the server

    async def _forward(self, pieces: list[bytes]) -> ResponseHead:
        """Send the request, and read the head of the response."""
        request = self.flow.request
        method = request.method.encode("ascii")
        upgrade = sending.wants_upgrade(self.head)
        server = await self._connect(fresh=False)
        while True:
            reused = server.conn.requests > 0
            server.conn.requests += 1
            server.stream.begin(method, upgrade=upgrade)
            self._send_request(server, pieces, upgrade=upgrade)
            try:
                return await self._read_response_head(server)
            except ConnectionFailed as error:
                again = (
                    reused
                    and error.fresh
                    and method in _IDEMPOTENT
                    and self._upload is None
                    and not request.body_size
                    and not self.owner.socket.is_lost
                    and not self.killed
                )
                if not again:
                    raise
            self._drop_server()
            server = await self._connect(fresh=True)

    async def _connect(self, *, fresh: bool) -> ServerConnection:
        request = self.flow.request
        tls = request.scheme == "https"
        sni = (self._sni(request.host) or request.host) if tls else ""
        origin = Origin(tls, request.host, request.port, sni)
        upstream = self.core.upstream
        server = None if fresh else self.owner.take_bound(origin)
        if server is None:
            failure = self.owner.take_failure(origin)
            if failure is not None:
                error, self.flow.server_conn = failure
                raise error
            connect = upstream.connect if fresh else upstream.acquire
            server = await connect(origin, self.flow.client_conn, self.flow)
        self.server = server
        self.flow.server_conn = server.conn
        if self.owner.socket.is_lost or self.killed:
            raise ConnectionFailed("the client disconnected")
        authorization = self.head.special.get(b"authorization")
        if authorization and authorization[0].lower().startswith(_BINDING):
            server.bound = True
        return server

    def _sni(self, host: str) -> str:
        """The name the client asked for, while the request still goes where the tunnel leads."""
        tunnel = self.owner.tunnel
        return tunnel.sni if tunnel is not None and tunnel.host == host else ""

    def _send_request(
        self, server: ServerConnection, pieces: list[bytes], *, upgrade: bool
    ) -> None:
        request = self.flow.request
        if request.stream and not self.client.body_done:
            head, how = sending.streamed_request(request, self.head, upgrade=upgrade)
            server.io.write(head)
            self._upload = asyncio.ensure_future(self._send_body(server, how, pieces))
        else:
            server.io.write(sending.whole_request(request, self.head, upgrade=upgrade))

    async def _send_body(
        self, server: ServerConnection, how: framing.Framing, pieces: list[bytes]
    ) -> None:
        """Pass the request's body on while it comes; runs beside the wait for the response."""
        request = self.flow.request
        client = self.client
        limit_s = self.core.limits.body_s
        passing = Relay(
            request,
            self.core.recorder.body(),
            lambda data: server.stream.write_piece(how, data),
            lambda: self.core.recorder.changed(self.flow),
            lambda: server.io.drain(limit_s),
        )
        try:
            for piece in pieces:
                if (waiting := passing.piece(piece)) is not None:
                    await waiting
            while (more := await client.next_piece(limit_s)) is not None:
                if (waiting := passing.piece(more)) is not None:
                    await waiting
                if server.socket.is_lost:
                    return
                await server.io.drain(limit_s)
                await self.core.room()
            passing.finish()
            if client.trailers:
                request.trailers = Headers.from_wire(client.trailers)
            server.stream.write_end(how, client.trailers)
            request.timestamp_end = time.time()
        except NbproxyError as error:
            if server.socket.is_lost:
                return  # the response, or its absence, says the rest
            self._upload_fault = error
            server.socket.fail(ConnectionFailed(str(error)))
        except Exception as error:  # noqa: BLE001 - a handler's `stream` callable
            self._upload_fault = ProtocolError(f"the stream callable failed: {error!r}", 502)
            server.socket.fail(ConnectionFailed(str(error)))
        finally:
            passing.close()

    async def _read_response_head(self, server: ServerConnection) -> ResponseHead:
        """The final head (or a 101), after passing interim ones on."""
        seconds = self.core.options.response_timeout
        while True:
            head = await server.stream.response_head(seconds)
            if head.status >= 200 or head.status == 101:
                return head
            self.flow.metadata.setdefault("interim", []).append(head.status)
            if head.status != 100 or not self.head.special.get(b"expect"):
                self.client.write_interim(head.status, head.reason, head.fields)

    def _client_lost(self) -> None:
        """The client's socket is gone: whatever the server is doing for it ends."""
        self._release()  # nobody waits for a held flow any more
        if self.server is not None:
            self.server.socket.fail(ConnectionFailed("the client disconnected"))

    def _drop_server(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
        if self.server is not None:
            self.server.abort()
            self.server = None

    def _return_server(self) -> None:
        """The response was read to its end: the connection may serve somebody else."""
        server, self.server = self.server, None
        if server is None:
            return
        if server.stream.has_leftover:
            self.flow.metadata["leftover"] = "the server sent bytes after its response"
        if server.bound:
            self.owner.keep_bound(server)
        elif self._upload is not None and not self._upload.done():
            server.abort()
        else:
            self.core.upstream.release(server)

    # -- the response

    async def _return_response(self, head: ResponseHead) -> bool:
        flow = self.flow
        server = self.server
        assert server is not None  # noqa: S101 - a head came from it
        server.expect_body()
        response = flow.response = Response(
            head.status,
            reason=http1.word(head.reason),
            headers=Headers.from_wire(head.fields),
            content=None,
            http_version=_VERSIONS[head.version],
            timestamp_start=head.started,
        )
        challenge = head.special.get(b"www-authenticate")
        if challenge and any(c.lower().startswith(_BINDING) for c in challenge):
            server.bound = True
        active = self.core.dispatcher.active
        if "responseheaders" in active:
            await self.hook("responseheaders")
            if flow.response is not response:  # replaced: the server's own is not wanted any more
                self._drop_server()
                return await self._answer_for_server(hooked="responseheaders")
        stream = server.stream
        pieces: list[bytes] = []
        whole = False
        if not self._must_stream(head, response):
            limit = self.core.options.stream_large_bodies
            pieces, whole = await read_whole(response, stream, limit, self.core.limits.body_s)
        if not whole and (self.head.method == b"HEAD" or response.status_code in _NO_BODY):
            self._drop_server()  # a handler changed method or status: the client gets no body
            whole = True
        if not whole:
            return await self._stream_response(server, head, pieces)
        self._take_whole(response, pieces, stream.trailers)
        self._return_server()
        if "response" in active:
            await self.hook("response")
        return await self._answer()

    def _must_stream(self, head: ResponseHead, response: Response) -> bool:
        """Whether the body goes on as it comes, unseen by `response` handlers until it is over."""
        how = head.framing
        if how == 0:  # nothing to pass on: no body, whatever the head says
            return False
        if response.stream:
            return True
        kind = head.special.get(b"content-type")
        if kind and kind[0].lower().startswith(b"text/event-stream"):
            return True
        if isinstance(how, int) and how > self.core.options.stream_large_bodies:
            return True
        server = self.server
        return (
            "response" not in self.core.dispatcher.active
            and server is not None
            and not server.stream.body_at_hand
        )

    async def _stream_response(
        self, server: ServerConnection, head: ResponseHead, pieces: list[bytes]
    ) -> bool:
        flow = self.flow
        response = flow.response
        assert response is not None  # noqa: S101 - set by our caller
        response.stream = response.stream or True
        how = head.framing
        if how == "until-eof" or callable(response.stream):
            how = "chunked"
        keep = self._client_persists() and (self._upload is None or self._upload.done())
        if how == "chunked" and self.head.version == b"1.0":
            how, keep = "until-eof", False
        self._write_head(response, how, head.special, keep=keep)
        client = self.client
        passing = Relay(
            response,
            self.core.recorder.body(),
            lambda data: client.write_piece(how, data),
            lambda: self.core.recorder.changed(flow),
            lambda: client.io.drain(self.core.limits.body_s),
        )
        self.core.recorder.changed(flow)
        is_events = head.special.get(b"content-type", [b""])[0].startswith(b"text/event-stream")
        silent_s = self.core.options.response_timeout if is_events else self.core.limits.body_s
        # a client that counts has all with the last piece, and may look at the flow at once
        by_length = isinstance(how, int) and not response.bandwidth
        try:
            for piece in pieces:
                if (waiting := passing.piece(piece)) is not None:
                    await waiting
            while (more := await server.stream.next_piece(silent_s)) is not None:
                if by_length and server.stream.body_done:
                    response.timestamp_end = time.time()
                if (waiting := passing.piece(more)) is not None:
                    await waiting
                await client.io.drain(self.core.limits.body_s)
                await self.core.room()
            passing.finish()
        except (NbproxyError, asyncio.CancelledError):
            raise
        except Exception as error:  # a handler's `stream` callable
            raise ProtocolError(f"the stream callable failed: {error!r}", 502) from error
        finally:
            passing.close()
        if server.stream.trailers:
            response.trailers = Headers.from_wire(server.stream.trailers)
        response.timestamp_end = response.timestamp_end or time.time()
        client.write_end(how, server.stream.trailers)
        self._return_server()
        if "response" in self.core.dispatcher.active:
            await self.hook("response")
        return self._finish(keep=keep)

    async def _answer_for_server(self, *, hooked: str = "") -> bool:
        """A handler, or we ourselves, answered; the hooks of a response run all the same."""
        response = self.flow.response
        assert response is not None  # noqa: S101 - that is why we are here
        now = time.time()
        response.timestamp_start = response.timestamp_start or now
        response.timestamp_end = response.timestamp_end or now
        self._on_server = False
        active = self.core.dispatcher.active
        if "responseheaders" in active and not hooked:
            await self.hook("responseheaders")
        if "response" in active and hooked != "response":
            await self.hook("response")
        return await self._answer()

    async def _answer(self) -> bool:
        """Send the response that the flow has now, whole."""
        response = self.flow.response
        if response is None:
            raise ProtocolError("a handler took the response away", 502)
        body = response.raw_content or b""
        trailers = response.trailers.fields if response.trailers else ()
        how: framing.Framing | None = len(body)
        keep = self._client_persists() and (self._upload is None or self._upload.done())
        status = response.status_code
        if self.head.method == b"HEAD" or status in _NO_BODY or status < 200:
            how, body, trailers = None, b"", ()
        special = framing.watch(response.headers.fields)
        chunked = trailers or b"transfer-encoding" in special
        if how is not None and chunked and self.head.version == b"1.1":
            how = "chunked"
        if how is not None and (how == "chunked" or response.bandwidth):
            self._write_head(response, how, special, keep=keep)
            await self._write_body(response.bandwidth, how, body)
            self.client.write_end(how, trailers)
        else:
            self._write_head(response, how, special, keep=keep, body=body)
        await self.client.io.drain(self.core.limits.body_s)
        return self._finish(keep=keep)

    def _write_head(
        self,
        response: Response,
        how: framing.Framing | None,
        special: framing.Special,
        *,
        keep: bool,
        body: bytes = b"",
    ) -> None:
        head = sending.response_head(response, how, special, self.head.version, keep=keep)
        self._sent_any = True
        self.client.io.write(head + body if body else head)

    async def _write_body(self, bandwidth: float | None, how: framing.Framing, body: bytes) -> None:
        def write(data: bytes) -> None:
            self.client.write_piece(how, data)

        if not bandwidth:
            write(body)
            return
        pace = Pace(bandwidth, lambda: self.client.io.drain(self.core.limits.body_s))
        await pace.send(body, write)

    def _client_persists(self) -> bool:
        return self.client.body_done and framing.may_persist(self.head.special, self.head.version)

    def _finish(self, *, keep: bool) -> bool:
        if self._upload is not None and not self._upload.done():
            self._upload.cancel()
            keep = False
        return keep

    # -- other ends

    async def _switch(self, head: ResponseHead) -> bool:
        """101: the connection is another protocol's from here on (RFC 9110, 7.8)."""
        flow, server = self.flow, self.server
        assert server is not None  # noqa: S101 - a head came from it
        response, deflate = upgraded.begin(flow, head)
        for hook in ("responseheaders", "response"):
            if hook in self.core.dispatcher.active:
                await self.hook(hook)
            if flow.response is not response or response.status_code != 101:
                self._drop_server()
                flow.websocket = None
                return await self._answer_for_server(hooked=hook)
        upgrades.compression(response.headers)  # which handlers may have spoilt
        self.client.io.write(sending.switch_head(response))
        self._sent_any = True
        self.core.recorder.changed(flow)
        try:
            await upgraded.serve(self, server, response, deflate)
            if not self.killed:  # in order: the last bytes still go out
                server.close()
                self.server = None
        finally:
            self._drop_server()
        return False

    async def _fail(self, error: NbproxyError) -> bool:
        """An exchange that cannot be carried to its end."""
        flow = self.flow
        if self._upload_fault is not None:
            error, self._on_server = self._upload_fault, False
        gone = self.owner.socket.is_lost
        if self.killed:
            return await self._end_killed()
        message = "the client disconnected" if gone else str(error)
        if isinstance(error.__cause__, ssl.SSLError) and self.server is not None and not gone:
            message = self.core.upstream.explain(error.__cause__, self.server)
        self._drop_server()
        status = getattr(error, "status", 502)
        if not self._on_server and status == 502 and isinstance(error, ConnectionFailed):
            message = "the client disconnected in the middle of its request"
        flow.error = Error(message, time.time())
        if self._on_server and isinstance(error, RemoteProtocolError):
            status = 502
            flow.error.msg = f"the server's response is not HTTP: {error}"
        await self.core.announce("error", flow)
        if gone:
            return False
        if self._sent_any:
            # The client sees by its length or its missing last chunk that the response is not
            # whole, and has what there is of it; an HTTP/1.0 client would not see it.
            if self.head.version == b"1.0":
                self.owner.socket.abort()
            else:
                self.owner.socket.close()
            return False
        if not self._on_server and status == 504:  # the client was silent (RFC 9110, 15.5.9)
            status = 408
        if not self._on_server and isinstance(error, ConnectionFailed) and status != 408:
            self.owner.socket.abort()  # the client itself is cut off in the middle of its request
            return False
        return await self._send_error_page(status, flow.error.msg)

    async def _send_error_page(self, status: int, message: str) -> bool:
        page = error_response(status, message, ADVICE.get(status, ""))
        keep = self._on_server and self._client_persists()
        body = b"" if self.head.method == b"HEAD" else page.raw_content or b""
        how = None if self.head.method == b"HEAD" else len(body)
        self._write_head(page, how, {}, keep=keep, body=body)
        return self._finish(keep=keep)

    async def _end_killed(self) -> bool:
        self._drop_server()
        if self.flow.error is None:
            self.flow.error = Error(Error.KILLED_MESSAGE)
        self.flow.error.timestamp = time.time()
        await self.core.announce("error", self.flow)
        self.owner.socket.abort()
        return False
