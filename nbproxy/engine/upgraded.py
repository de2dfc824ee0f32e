"""What follows a 101: the connection is another protocol's (RFC 9110, 7.8)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nbproxy.engine import tcp
from nbproxy.engine.websocket import WebSocketRelay
from nbproxy.model.headers import Headers
from nbproxy.model.message import Response
from nbproxy.model.websocket import WebSocketData
from nbproxy.protocol import http1, upgrades
from nbproxy.protocol.websocket import WebSocketStream

if TYPE_CHECKING:
    from nbproxy.engine.exchange import Exchange
    from nbproxy.engine.upstream import ServerConnection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.protocol.http1 import ResponseHead
    from nbproxy.protocol.upgrades import Deflate


def begin(flow: HTTPFlow, head: ResponseHead) -> tuple[Response, Deflate | None]:
    """Put a server's 101 into a flow; for a WebSocket, its data as well.

    Returns:
        The 101, and what the server agreed to about compression.

    Raises:
        ProtocolError: It leads to nothing that was asked for.
    """
    asked, headers = flow.request.headers, Headers.from_wire(head.fields)
    upgrades.check_switch(asked, headers)
    deflate = None
    if upgrades.is_websocket(headers):
        deflate = upgrades.check_websocket(asked, headers)
        flow.websocket = WebSocketData()
    reason = http1.word(head.reason)
    response = Response(101, reason=reason, headers=headers, timestamp_start=head.started)
    response.timestamp_end = time.time()
    flow.response = response
    return response, deflate


async def serve(
    exchange: Exchange, server: ServerConnection, response: Response, deflate: Deflate | None
) -> None:
    """Pass on what both ends say from here on, until the end; raises only for cancellation.

    Args:
        exchange: Has sent the 101 to its client.
        server: The server's connection.
        response: The 101.
        deflate: What the server agreed to about compression.
    """
    flow, client = exchange.flow, exchange.client
    exchange.owner.socket.on_lost = None  # from here on who passes it on sees who leaves
    client.io.unread(client.take_rest())
    server.io.unread(server.stream.take_rest())
    for socket in (exchange.owner.socket, server.socket):
        socket.keep_alive()
    if flow.websocket is None:
        sent, received = await tcp.pass_through(
            exchange.core, client.io, exchange.owner.socket, flow.client_conn, server
        )
        flow.metadata["tunnel"] = {"client_bytes": sent, "server_bytes": received}
        response.timestamp_end = time.time()
        return
    # handlers may have changed what the client is told
    seen = upgrades.compression(response.headers)
    await WebSocketRelay(
        exchange,
        WebSocketStream(client.io, is_client=False, deflate=seen),
        WebSocketStream(server.io, is_client=True, deflate=deflate),
    ).run()
