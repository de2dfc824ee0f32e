"""Raw tunnels whose bytes handlers want to see: `tcp_*` hooks around what `tunnel` does unread."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine.conversation import DRAIN_S, NEVER_S, Conversation
from nbproxy.engine.live import Killed, LiveFlow
from nbproxy.engine.tunnel import relay
from nbproxy.errors import ConnectionFailed
from nbproxy.model.flow import Error
from nbproxy.model.tcp import TCPFlow, TCPMessage

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.engine.core import Core
    from nbproxy.engine.sockets import SocketStream
    from nbproxy.engine.upstream import ServerConnection
    from nbproxy.model.connection import Client
    from nbproxy.protocol.stream import ByteStream

_HOOKS: Final = ("tcp_start", "tcp_message", "tcp_end", "tcp_error")


async def pass_through(
    core: Core,
    client: ByteStream,
    socket: SocketStream,
    conn: Client,
    server: ServerConnection,
    *,
    unseen: bool = False,
) -> tuple[int, int]:
    """Pass bytes both ways until both sides have ended, or one is lost.

    Without handlers of a `tcp_*` hook nothing looks at them; whether there are is asked once, at
    the beginning.

    Args:
        core: What all connections share.
        client: The client's bytes.
        socket: The client's socket.
        conn: The record of the client's connection.
        server: The server's connection.
        unseen: Whether handlers are not to see it either.

    Returns:
        How many bytes came from the client and how many from the server.
    """
    if unseen or not any(hook in core.dispatcher.active for hook in _HOOKS):
        return await relay(client, server.io)

    def cut() -> None:
        socket.abort()
        server.abort()

    flow = TCPFlow(conn, server.conn)
    flow.timestamp_created = time.time()
    return await TCPRelay(core, flow, (client, server.io), cut).run()


class _End:
    """One end, and the turn to send to it."""

    __slots__ = ("io", "is_client", "turn")

    def __init__(self, io: ByteStream, *, is_client: bool) -> None:
        self.io = io
        self.is_client = is_client
        self.turn = asyncio.Lock()


class TCPRelay(LiveFlow):
    """Passes one stream; see `pass_through`."""

    __slots__ = ("_client", "_cut", "_server", "_sizes", "_talk")

    flow: TCPFlow

    def __init__(
        self,
        core: Core,
        flow: TCPFlow,
        ends: tuple[ByteStream, ByteStream],
        cut: Callable[[], None],
    ) -> None:
        super().__init__(core, flow)
        self._client, self._server = _End(ends[0], is_client=True), _End(ends[1], is_client=False)
        self._cut = cut
        self._sizes = {True: 0, False: 0}
        self._talk: Conversation[TCPMessage] = Conversation(
            self, "tcp_message", flow, self._deliver
        )

    def cut(self) -> None:
        """Break both connections."""
        self._cut()

    async def run(self) -> tuple[int, int]:
        """Pass bytes until the end; how many came from the client and from the server."""
        flow = self.flow
        flow._control = self  # noqa: SLF001 - the model's slots for us
        flow._inject = self._talk.inject  # noqa: SLF001
        try:
            await self._run()
        finally:
            flow._control = flow._inject = None  # noqa: SLF001
            flow.intercepted = False
        await self.core.announce("tcp_error" if flow.error is not None else "tcp_end", flow)
        return self._sizes[True], self._sizes[False]

    async def _run(self) -> None:
        pumps: list[asyncio.Task[None]] = []
        try:
            if "tcp_start" in self.core.dispatcher.active:
                async with self._talk.turn:
                    await self.hook("tcp_start")
            pumps = [
                asyncio.ensure_future(self._pump(self._client, self._server)),
                asyncio.ensure_future(self._pump(self._server, self._client)),
            ]
            await asyncio.gather(*pumps)
        except (ConnectionFailed, Killed) as failure:
            self._cut()
            message = Error.KILLED_MESSAGE if self.killed else str(failure)
            self.flow.error = self.flow.error or Error(message, time.time())
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self._talk.end()
        if self.killed:  # its sockets only looked as if they had ended
            self.flow.error = self.flow.error or Error(Error.KILLED_MESSAGE, time.time())

    async def _pump(self, source: _End, sink: _End) -> None:
        while data := await source.io.receive(NEVER_S):
            self._sizes[source.is_client] += len(data)
            message = TCPMessage(source.is_client, data, time.time())
            await self._talk.take(message)
            await self._send(sink, message.content)
            self._talk.went(message, len(message.content))
        async with sink.turn:
            sink.io.write_eof()

    @staticmethod
    async def _send(sink: _End, content: bytes) -> None:
        if content:
            async with sink.turn:
                sink.io.write(content)
                await sink.io.drain(DRAIN_S)

    async def _deliver(self, message: TCPMessage) -> None:
        """Send what a handler injected."""
        await self._send(self._server if message.from_client else self._client, message.content)
        self._talk.went(message, len(message.content))
