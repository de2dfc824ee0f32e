"""Sending the request of a recorded flow again, without a client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine.bodies import read_whole
from nbproxy.engine.upstream import Origin
from nbproxy.errors import NbproxyError, ProtocolError
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
    """Send a flow's request; the response, or the error, is put into the flow. Never raises.

    Args:
        core: The engine's parts.
        flow: Recorded if it is not yet; not under way.
        hooks: Whether `requestheaders`, `request`, `responseheaders`, `response` and `error` run.
    """
    flow.response = flow.error = None
    flow.request.timestamp_start = flow.request.timestamp_end = time.time()
    core.recorder.opened(flow)
    try:
        if hooks:
            await core.announce("requestheaders", flow)
            await core.announce("request", flow)
        if flow.response is None:
            await _exchange(core, flow)
        if hooks:
            await core.announce("responseheaders", flow)
            await core.announce("response", flow)
    except NbproxyError as error:
        flow.error = Error(str(error), time.time())
        if hooks:
            await core.announce("error", flow)
    finally:
        core.recorder.closed(flow)


async def _exchange(core: Core, flow: HTTPFlow) -> None:
    request = flow.request
    tls = request.scheme == "https"
    origin = Origin(tls, request.host, request.port, request.host if tls else "")
    server = await core.upstream.acquire(origin, flow.client_conn)
    flow.server_conn = server.conn
    try:
        await _send_and_read(core, flow, server)
    except BaseException:
        server.abort()
        raise
    core.upstream.release(server)


async def _send_and_read(core: Core, flow: HTTPFlow, server: ServerConnection) -> None:
    request = flow.request
    method = request.method.encode("ascii")
    server.conn.requests += 1
    server.stream.begin(method)
    body = request.raw_content or b""
    dropped = framing.dropped_fields(framing.watch(request.headers.fields), frozenset((b"expect",)))
    how = len(body) if body or "content-length" in request.headers else None
    target = request.path.encode("ascii")
    head = http1.request_head_bytes(method, target, request.headers.fields, dropped, how)
    server.io.write(head + body)
    while True:
        answer = await server.stream.response_head(core.options.response_timeout)
        if answer.status >= 200:
            break
    response = Response(
        answer.status,
        reason=answer.reason.decode("latin-1"),
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
