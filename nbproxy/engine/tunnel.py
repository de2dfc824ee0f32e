"""Raw tunnels: bytes both ways, unread, with backpressure and half-close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nbproxy.errors import ConnectionFailed

if TYPE_CHECKING:
    from nbproxy.protocol.stream import ByteStream

# A tunnel may be silent for long: WebSockets, shells. TCP keeps no time either.
_SILENT_S: Final = 24 * 3600.0
_DRAIN_S: Final = 120.0


async def relay(client: ByteStream, server: ByteStream) -> tuple[int, int]:
    """Pass bytes both ways until both sides have ended, or one is lost.

    Returns:
        How many bytes went to the server and how many to the client.
    """
    counts = [0, 0]

    async def pump(source: ByteStream, sink: ByteStream, index: int) -> None:
        while data := await source.receive(_SILENT_S):
            counts[index] += len(data)
            sink.write(data)
            await sink.drain(_DRAIN_S)
        sink.write_eof()

    pumps = [
        asyncio.ensure_future(pump(client, server, 0)),
        asyncio.ensure_future(pump(server, client, 1)),
    ]
    try:
        await asyncio.gather(*pumps)
    except ConnectionFailed:
        client.abort()
        server.abort()
    finally:
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
    return counts[0], counts[1]
