"""Sending the request of a recorded flow again, without a client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine.bodies import read_whole
from nbproxy.engine.live import Killed, LiveFlow
from nbproxy.engine.upstream import Origin
from nbproxy.errors import ConnectionFailed, NbproxyError, ProtocolError
from nbproxy.model import url
from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.model.message import Response
from nbproxy.protocol import framing, http1

if TYPE_CHECKING:
    from nbproxy.engine.core import Core
    from nbproxy.engine.upstream import ServerConnection
    from nbproxy.model.flow import HTTPFlow

_VERSIONS: Final = {b"1.1": "HTTP/1.1", b"1.0": "HTTP/1.0"}
_MAX_BODY: Final = 256 * 2**20
"""Nobody passes a replayed body on, so it is held in memory; larger ones break off."""


async def replay(core: Core, flow: HTTPFlow, *, hooks: bool) -> None:
    """Send a flow's request; the response, or the error, is put into the flow.

    Raises nothing but its own cancellation, which the flow then has as its error.

    Args:
        core: The engine's parts.
        flow: Recorded if it is not yet; not under way.
        hooks: Whether `requestheaders`, `request`, `responseheaders`, `response` and `error` run.
            In these the flow is live: it may be held, answered and killed.
    """
    await _Replay(core, flow, hooks=hooks).run()


class _Replay(LiveFlow):
    """Carries one replayed flow."""

    __slots__ = ("_hooks", "_server")

    flow: HTTPFlow

    def __init__(self, core: Core, flow: HTTPFlow, *, hooks: bool) -> None:
        super().__init__(core, flow)
        self._hooks = hooks
        self._server: ServerConnection | None = None

    def cut(self) -> None:
        """Break the connection to the server."""
        if self._server is not None:
            self._server.socket.fail(ConnectionFailed(Error.KILLED_MESSAGE))

    async def run(self) -> None:
        flow, core = self.flow, self.core
        flow.response = flow.error = None
        flow.request.timestamp_start = flow.request.timestamp_end = time.time()
        flow._control = self  # noqa: SLF001 - the model's one slot for us
        core.recorder.opened(flow)
        try:
            await self._carry()
        except (NbproxyError, Killed) as error:
            killed = self.killed or isinstance(error, Killed)
            flow.error = Error(Error.KILLED_MESSAGE if killed else str(error), time.time())
            if self._hooks:
                await core.announce("error", flow)
        except asyncio.CancelledError:
            flow.error = Error("the replay was cancelled", time.time())
            raise
        finally:
            flow._control = None  # noqa: SLF001
            flow.intercepted = False
            core.recorder.closed(flow)

    async def _carry(self) -> None:
        flow = self.flow
        await self._run_hooks("requestheaders")
        await self._run_hooks("request")
        if flow.response is None:
            site = self.core.sites.get(flow.request.host)
            if site is not None:
                flow.response = site(flow)
        if flow.response is None:
            await self._exchange()
        else:
            now = time.time()
            flow.response.timestamp_start = flow.response.timestamp_start or now
            flow.response.timestamp_end = flow.response.timestamp_end or now
        await self._run_hooks("responseheaders")
        await self._run_hooks("response")

    async def _run_hooks(self, name: str) -> None:
        if self._hooks and name in self.core.dispatcher.active:
            await self.hook(name)

    async def _exchange(self) -> None:
        flow, request = self.flow, self.flow.request
        tls = request.scheme == "https"
        origin = Origin(tls, request.host, request.port, request.host if tls else "")
        server = await self.core.upstream.acquire(origin, flow.client_conn, flow)
        flow.server_conn = server.conn
        self._server = server
        try:
            await self._send_and_read(server)
        except BaseException:
            server.abort()
            raise
        finally:
            self._server = None
        self.core.upstream.release(server)

    async def _send_and_read(self, server: ServerConnection) -> None:
        if self.killed:  # while it was connecting: there was nothing to cut yet
            raise Killed
        flow, request, core = self.flow, self.flow.request, self.core
        method = request.method.encode("ascii")
        server.conn.requests += 1
        server.stream.begin(method)
        body = request.raw_content or b""
        fields = request.headers.fields
        if "host" not in request.headers:  # one that came in HTTP/2, say (RFC 9112, 3.2)
            named = url.hostport(request.scheme, request.host, request.port)
            fields = ((b"Host", named.encode("ascii")), *fields)
        dropped = framing.dropped_fields(framing.watch(fields), frozenset((b"expect",)))
        how = len(body) if body or "content-length" in request.headers else None
        target = request.path.encode("ascii")
        server.io.write(http1.request_head_bytes(method, target, fields, dropped, how) + body)
        while True:
            answer = await server.stream.response_head(core.options.response_timeout)
            if answer.status >= 200:
                break
        server.expect_body()
        response = Response(
            answer.status,
            reason=http1.word(answer.reason),
            headers=Headers.from_wire(answer.fields),
            content=None,
            http_version=_VERSIONS[answer.version],
            timestamp_start=answer.started,
        )
        pieces, whole = await read_whole(response, server.stream, _MAX_BODY, core.limits.body_s)
        response.hold_body(b"".join(pieces))
        flow.response = response
        if not whole:
            raise ProtocolError(f"the body is larger than {_MAX_BODY >> 20} MiB", 502)
        response.timestamp_end = time.time()
        if server.stream.trailers:
            response.trailers = Headers.from_wire(server.stream.trailers)
