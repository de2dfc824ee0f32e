"""Raw tunnels: bytes both ways, unread, with backpressure and half-close."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nbproxy.errors import ConnectionFailed

if TYPE_CHECKING:
    from nbproxy.engine.sockets import SocketStream
    from nbproxy.protocol.stream import ByteStream

# A tunnel may be silent for long: WebSockets, shells. TCP keeps no time either.
_SILENT_S: Final = 24 * 3600.0
_DRAIN_S: Final = 120.0


class TunnelControl:
    """How others end a tunnel: the `Control` of its CONNECT's flow.

    Attributes:
        killed: True once somebody did.
    """

    __slots__ = ("_loop", "_socket", "killed")

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: SocketStream) -> None:
        self._loop = loop
        self._socket = socket
        self.killed = False

    def resume(self) -> None:
        """Nothing to do: tunnels are not held."""

    def kill(self) -> None:
        """Cut the client's connection."""
        self.killed = True
        self._loop.call_soon_threadsafe(self._socket.abort)


async def first_to_speak(client: ByteStream, server: ByteStream, patience_s: float) -> bool:
    """Wait until a side has something to say, which stays unread.

    Returns:
        True if it is the client, or if it has ended or is lost; False also if both stay silent.
    """
    waiting = [asyncio.ensure_future(side.receive(patience_s)) for side in (client, server)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        said = await asyncio.gather(*waiting, return_exceptions=True)
        for side, data in zip((client, server), said, strict=True):
            if isinstance(data, bytes):
                side.unread(data)
    return client.pending


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
