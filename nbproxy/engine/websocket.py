"""A WebSocket (RFC 6455) that passes: messages both ways, through the handlers, recorded.

Each direction is a task that reads one end and writes the other. A message goes on when it is
whole, so that handlers can change it; without handlers each fragment goes on when it is whole. What
is larger than `stream_large_bodies` goes on as it comes, and handlers see it afterwards, as they do
with large bodies. Pings, pongs and close frames go on as they come: it is the ends that answer.

A close frame ends its direction; the other one goes on until the peer's own close frame, which
should come soon. If an end is gone without one, the other's connection is closed without one too,
as it would be without a proxy. If an end breaks the protocol, both are told why.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

from nbproxy.engine.conversation import DRAIN_S, NEVER_S, Conversation
from nbproxy.engine.live import Killed
from nbproxy.errors import ConnectionFailed
from nbproxy.model.flow import Error
from nbproxy.model.websocket import BINARY, TEXT, WebSocketMessage
from nbproxy.protocol.websocket import LOST, Close, FrameError, Piece, Ping, Pong

if TYPE_CHECKING:
    from nbproxy.engine.exchange import Exchange
    from nbproxy.model.websocket import WebSocketData
    from nbproxy.protocol.websocket import WebSocketStream

# How long an end may take to answer a close frame.
_CLOSE_S: Final = 10.0
# What is kept of one message.
_KEPT_BYTES: Final = 2**20
# After so many frames of one end it is others' turn: they may be all at hand. Few, so that a lost
# connection is noticed before asyncio complains of writes to it.
_BURST: Final = 4

_GOING_AWAY: Final = 1001


class _End:
    """One end, and what has come of the message that it is sending.

    Attributes:
        stream: Its frames.
        is_client: Which end it is.
        turn: Held by who sends a message to it, from its first fragment to its last.
        waiting: Bytes that have come and not gone on.
        kept: Bytes that have gone on, as far as they are kept.
        size: How many have come in all.
        streaming: Whether the message goes on in fragments.
    """

    __slots__ = ("is_client", "kept", "size", "stream", "streaming", "turn", "waiting")

    def __init__(self, stream: WebSocketStream, *, is_client: bool) -> None:
        self.stream = stream
        self.is_client = is_client
        self.turn = asyncio.Lock()
        self.forget()

    def forget(self) -> None:
        """The next message begins."""
        self.waiting: list[bytes] = []
        self.kept = bytearray()
        self.size = 0
        self.streaming = False

    def take_waiting(self) -> bytes:
        """The bytes that have not gone on; they are about to."""
        data = b"".join(self.waiting)
        self.waiting = []
        return data

    def keep(self, data: bytes) -> None:
        """These bytes have gone on: record them, if there is room."""
        self.kept += data[: max(0, _KEPT_BYTES - len(self.kept))]

    @property
    def name(self) -> str:
        """For messages."""
        return "client" if self.is_client else "server"


class WebSocketRelay:
    """Passes what is said on one WebSocket.

    Args:
        exchange: Carries its flow, whose `websocket` is there.
        client: The client's end, right after the handshake.
        server: The server's.
    """

    def __init__(
        self, exchange: Exchange, client: WebSocketStream, server: WebSocketStream
    ) -> None:
        websocket = exchange.flow.websocket
        assert websocket is not None  # noqa: S101 - set when the handshake was done
        self._exchange = exchange
        self._flow = exchange.flow
        self._websocket: WebSocketData = websocket
        self._client = _End(client, is_client=True)
        self._server = _End(server, is_client=False)
        self._closing = False
        self._talk: Conversation[WebSocketMessage] = Conversation(
            exchange, "websocket_message", websocket, self._deliver
        )

    async def run(self) -> None:
        """Pass messages until it is closed, and tell the handlers; raises only for cancellation."""
        websocket = self._websocket
        websocket.connect(self._talk.inject)
        try:
            await self._run()
        except asyncio.CancelledError:
            self._close_both(_GOING_AWAY, "the proxy was stopped")
            websocket.close_code = _GOING_AWAY
            raise
        finally:
            websocket.connect(None)
            websocket.timestamp_end = time.time()
        await self._exchange.core.announce("websocket_end", self._flow)

    async def _run(self) -> None:
        pumps: list[asyncio.Task[None]] = []
        try:
            if "websocket_start" in self._exchange.core.dispatcher.active:
                async with self._talk.turn:  # what it injects comes after it
                    await self._exchange.hook("websocket_start")
            pumps = [
                asyncio.ensure_future(self._pump(self._client, self._server)),
                asyncio.ensure_future(self._pump(self._server, self._client)),
            ]
            done, waiting = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if waiting and self._closing and not any(task.exception() for task in done):
                await asyncio.wait(waiting, timeout=_CLOSE_S)
            self._finish([task.exception() for task in pumps if task.done()])
        except Killed:
            self._cut_off()
        finally:
            for task in pumps:
                task.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await self._talk.end()

    # -- the end

    def _finish(self, failures: list[BaseException | None]) -> None:
        """Both ends learn how it ended, and the flow."""
        if self._exchange.killed:
            self._cut_off()
            return
        faults = [failure for failure in failures if failure is not None]
        for fault in faults:
            if isinstance(fault, FrameError):
                self._fail(str(fault), fault.code)
                self._close_both(fault.code, str(fault).partition(": ")[2])
                return
            if not isinstance(fault, ConnectionFailed):
                raise fault
        if self._closing:
            self._close_both(self._websocket.close_code or _GOING_AWAY)
        elif faults:
            self._fail(str(faults[0]), LOST)

    def _fail(self, message: str, code: int) -> None:
        if not self._closing:
            self._websocket.close_code = code
        self._flow.error = self._flow.error or Error(message, time.time())

    def _cut_off(self) -> None:
        """Somebody killed the flow, whose error says so; the connections are cut already."""
        self._exchange.cut()
        self._fail(Error.KILLED_MESSAGE, LOST)

    def _close_both(self, code: int, reason: str = "") -> None:
        for end in (self._client, self._server):
            end.stream.close(code, reason)

    # -- one direction

    async def _pump(self, source: _End, sink: _End) -> None:
        """Pass on what one end says, until it closes.

        Raises:
            ConnectionFailed: It is gone without closing.
            FrameError: It broke the protocol.
            Killed: A handler ended the flow.
        """
        count = 0
        while True:
            event = await source.stream.next_event(NEVER_S)
            if isinstance(event, Piece):
                await self._take(source, sink, event)
            elif isinstance(event, Close):
                self._note_close(source, event)
                sink.stream.close(event.code, event.reason)
                return
            elif event is None:
                raise ConnectionFailed(
                    f"the {source.name} left without closing the WebSocket (RFC 6455, 7.1.5)"
                )
            else:
                await self._pass_control(source, sink, event)
            count += 1
            if count % _BURST == 0:
                await asyncio.sleep(0)

    def _note_close(self, source: _End, event: Close) -> None:
        if self._closing:
            return  # the answer
        self._closing = True
        websocket = self._websocket
        websocket.closed_by_client = source.is_client
        websocket.close_code, websocket.close_reason = event
        websocket.timestamp_end = time.time()

    @staticmethod
    async def _pass_control(source: _End, sink: _End, event: Ping | Pong) -> None:
        """Also between the fragments of a message (RFC 6455, 5.4)."""
        stream = sink.stream
        if isinstance(event, Ping):
            stream.ping(event.payload)
        else:
            stream.pong(event.payload)
        async with contextlib.nullcontext() if source.streaming else sink.turn:  # or it is ours
            await stream.io.drain(DRAIN_S)

    # -- messages

    async def _take(self, source: _End, sink: _End, piece: Piece) -> None:
        """A piece of a message came."""
        source.waiting.append(piece.data)
        source.size += len(piece.data)
        if piece.ends:
            await self._complete(source, sink, piece)
            return
        is_large = source.size > self._exchange.core.options.stream_large_bodies
        if is_large or (piece.ends_frame and (source.streaming or not self._talk.has_handlers)):
            if not source.streaming:
                await sink.turn.acquire()
                source.streaming = True
            await self._send_on(source, sink, piece)

    async def _send_on(self, source: _End, sink: _End, piece: Piece) -> None:
        """Pass on what there is of a message, as a fragment; `sink.turn` is held."""
        data = source.take_waiting()
        source.keep(data)
        sink.stream.send(data, is_text=piece.is_text, ends=piece.ends, compressed=piece.compressed)
        await sink.stream.io.drain(DRAIN_S)

    async def _complete(self, source: _End, sink: _End, piece: Piece) -> None:
        kind = TEXT if piece.is_text else BINARY
        if source.streaming:
            await self._send_on(source, sink, piece)
            sink.turn.release()
            content = bytes(source.kept)
            missing = source.size - len(content)
            if missing and piece.is_text:  # not in the middle of a character
                content = content.decode("utf-8", "ignore").encode()
            message = WebSocketMessage(kind, source.is_client, content, time.time())
            if missing:
                self._talk.leave_out(message, source.size - len(content))
            source.forget()
            await self._talk.take(message)
        else:
            content = source.take_waiting()
            source.forget()
            message = WebSocketMessage(kind, source.is_client, content, time.time())
            await self._talk.take(message)
            await self._send(sink, message, compressed=piece.compressed)
        self._talk.went(message, _KEPT_BYTES)

    async def _send(self, sink: _End, message: WebSocketMessage, *, compressed: bool) -> None:
        if message.dropped:
            return
        async with sink.turn:
            stream = sink.stream
            if not stream.has_closed:
                stream.send(message.content, is_text=message.is_text, compressed=compressed)
                await stream.io.drain(DRAIN_S)

    async def _deliver(self, message: WebSocketMessage) -> None:
        """Send what a handler injected."""
        await self._send(
            self._server if message.from_client else self._client, message, compressed=True
        )
        self._talk.went(message, _KEPT_BYTES)
