"""Sockets as byte streams: asyncio's transports with a pull interface.

One class for both sides. Received bytes are kept until somebody pulls them, at most about
`HIGH_WATER` of them, then the socket is not read any more, so that a slow reader slows the sender.
What is written is queued by the transport; `drain` waits while more than its limit is queued.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import weakref
from typing import TYPE_CHECKING, Final

from nbproxy.engine.deadlines import NEVER
from nbproxy.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.engine.deadlines import Deadlines
    from nbproxy.model.connection import Address

# Bytes held for somebody who does not read, either way.
HIGH_WATER: Final = 128 * 1024
# How long a closed socket may take to send what is still queued.
_FLUSH_S: Final = 30.0
_TCP_CLOSE: Final = 7  # include/net/tcp_states.h
_LINGER_0: Final = struct.pack("ii", 1, 0)
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)  # Linux has it
# Seconds of silence before the first probe, seconds between probes, probes (RFC 9293, 3.8.4).
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}


# What one read may bring. All sockets of a loop read into the same buffer and copy out at once:
# a fresh buffer of this size for each read is what costs most in a read of a few hundred bytes.
_READ_SIZE: Final = 256 * 1024
_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = (
    weakref.WeakKeyDictionary()
)


class SocketStream(asyncio.BufferedProtocol):
    """A `ByteStream` over a TCP socket.

    Args:
        deadlines: Keeps our time limits.
        peer: "client" or "server", for error texts.
        on_connected: Called with the stream when the socket is there.

    Attributes:
        on_lost: Called once when the socket is gone, however it went.
        on_readable: Called when `pending` becomes true while nobody waits in `receive`.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        deadlines: Deadlines,
        peer: str,
        on_connected: Callable[[SocketStream], None] | None = None,
    ) -> None:
        self.deadline = NEVER
        self.on_lost: Callable[[], None] | None = None
        self.on_readable: Callable[[], None] | None = None
        self._deadlines = deadlines
        self._peer = peer
        self._on_connected = on_connected
        self._chunks: list[bytes] = []
        self._size = 0
        self._eof = False
        self._lost: ConnectionFailed | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        self._congested = False
        self._closing = False
        self._prompt = False

    # -- called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - sockets always are
        self.transport = transport
        self._loop = loop = asyncio.get_running_loop()
        buffer = _buffers.get(loop)
        if buffer is None:
            buffer = _buffers[loop] = memoryview(bytearray(_READ_SIZE))
        self._buffer = buffer
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._deadlines.add(self)
        if self._on_connected is not None:
            self._on_connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the transport's signature
        """Where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came."""
        self._chunks.append(bytes(self._buffer[:nbytes]))
        self._size += nbytes
        if self._reader is not None:
            self._wake_reader()
        else:
            if self._size >= HIGH_WATER and not self._paused:
                self._paused = True
                self.transport.pause_reading()
            if self.on_readable is not None:
                self.on_readable()

    def eof_received(self) -> bool:
        """The peer will send nothing more; we may still answer."""
        self._eof = True
        self._wake_reader()
        if self.on_readable is not None:
            self.on_readable()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._deadlines.remove(self)
        if exc is not None and self._lost is None and not self._closing:
            self._rescue()
        if self._lost is None:
            why = "reset the connection" if exc is not None else "closed the connection"
            if exc is None and self._closing:
                why = "was closed"
            self._lost = ConnectionFailed(f"the {self._peer} {why}")
        self._eof = True
        self._wake_reader()
        self._wake_writer()
        for callback in (self.on_lost, self.on_readable):
            if callback is not None:
                callback()
        self.on_lost = None

    def _rescue(self) -> None:
        """Take what the peer sent before it reset the connection: an early answer, perhaps.

        asyncio gives up at the first write that fails, and what had come by then would be lost
        (RFC 9112, 9.3: a server may answer and close while the request is still being sent).
        """
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
            while data := twin.recv(_READ_SIZE):  # at most what the kernel has kept
                self._chunks.append(data)

    def pause_writing(self) -> None:
        """The transport has enough."""
        self._congested = True

    def resume_writing(self) -> None:
        """The transport takes more."""
        self._congested = False
        self._wake_writer()

    def expire(self) -> None:
        """A time limit has passed; the one who waits is told."""
        if self._closing:
            self.transport.abort()
            return
        error = ConnectionFailed(f"the {self._peer} was silent for too long", 504)
        for future in (self._reader, self._writer):
            if future is not None and not future.done():
                future.set_exception(error)

    def _wake_reader(self) -> None:
        future, self._reader = self._reader, None
        if future is not None and not future.done():
            future.set_result(None)

    def _wake_writer(self) -> None:
        future, self._writer = self._writer, None
        if future is not None and not future.done():
            future.set_result(None)

    # -- the stream

    @property
    def pending(self) -> bool:
        """True if `receive` would not wait."""
        return bool(self._chunks) or self._eof

    @property
    def is_open(self) -> bool:
        """True while neither side has closed and nothing is lost."""
        return not self._eof and not self._closing

    @property
    def is_lost(self) -> bool:
        """True when the socket is gone."""
        return self._lost is not None

    @property
    def peer_closed(self) -> bool:
        """True when the peer has closed its sending side."""
        return self._eof

    def expect_more(self) -> None:
        """The peer is about to send more, and shall not be kept waiting for an acknowledgement.

        One that uses Nagle's algorithm (RFC 896), as `requests` does towards proxies, sends a head
        and holds the body back until that is acknowledged, which systems put off for some 40 ms
        (RFC 1122, 4.2.3.2).
        """
        self._prompt = True

    def _acknowledge(self) -> None:
        sock = self.transport.get_extra_info("socket")
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; see `ByteStream.receive`."""
        if not self._chunks:
            if self._eof:
                if self._lost is not None and not self._closing:
                    raise self._lost
                return b""
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
            if self._prompt:
                self._prompt = False
                self._acknowledge()
            future = self._reader = self._loop.create_future()
            try:
                await self._wait(future, timeout_s)
            finally:
                self._reader = None
            if not self._chunks:
                if self._lost is not None and not self._closing:
                    raise self._lost
                return b""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self._size = 0
        return data

    async def _wait(self, future: asyncio.Future[None], timeout_s: float) -> None:
        """Wait for the socket's callbacks, at most so long."""
        deadline = self._loop.time() + timeout_s
        self.deadline = deadline
        if deadline < self._deadlines.soonest:
            self._deadlines.watch(deadline)
        try:
            await future
        finally:
            self.deadline = NEVER

    def take(self) -> bytes:
        """The bytes that are there; see `ByteStream.take`."""
        data = b"".join(self._chunks)
        self._chunks = []
        self._size = 0
        return data

    def unread(self, data: bytes) -> None:
        """Put bytes back."""
        if data:
            self._chunks.insert(0, data)
            self._size += len(data)

    def write(self, data: bytes) -> None:
        """Send, or queue."""
        if self._lost is None and not self._closing:
            self.transport.write(data)

    async def drain(self, timeout_s: float) -> None:
        """Wait until the peer has taken enough; see `ByteStream.drain`."""
        if self._lost is not None:
            raise self._lost
        if not self._congested:
            return
        future = self._writer = self._loop.create_future()
        try:
            await self._wait(future, timeout_s)
        finally:
            self._writer = None
        if self._lost is not None:
            raise self._lost

    def write_eof(self) -> None:
        """End our side."""
        if self._lost is None and not self._closing and self.transport.can_write_eof():
            with contextlib.suppress(OSError):  # the peer is gone, which is about to be noticed
                self.transport.write_eof()

    def close(self) -> None:
        """Send what is queued, then close."""
        if not self._closing:
            self._closing = True
            self._eof = True
            self._wake_reader()
            if self._lost is None:
                self.transport.close()
                if (
                    self.transport.get_write_buffer_size()
                ):  # a peer that does not read must not stay
                    self.deadline = self._loop.time() + _FLUSH_S
                    self._deadlines.watch(self.deadline)

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._eof = True
        if self._lost is None:
            self._break()

    def _break(self) -> None:
        """Reset the connection: a FIN might look like the end of a body (RFC 9112, 8)."""
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        self.transport.abort()

    def fail(self, error: ConnectionFailed) -> None:
        """Close at once, and let whoever waits here see this error."""
        if self._lost is None:
            self._lost = error
            self._break()
        self._eof = True
        self._wake_reader()
        self._wake_writer()

    def keep_alive(self) -> None:
        """Have the kernel find out, in a minute or two of silence, if the peer has vanished."""
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE.items():
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    # -- facts

    @property
    def is_reset(self) -> bool:
        """True if the peer has reset the connection; asyncio does not look after a FIN (Linux)."""
        if self._lost is not None or not hasattr(socket, "TCP_INFO"):
            return self._lost is not None
        sock = self.transport.get_extra_info("socket")
        state: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return state[0] == _TCP_CLOSE

    @property
    def peername(self) -> Address | None:
        """Address of the other end."""
        name = self.transport.get_extra_info("peername")
        return (name[0], name[1]) if name else None

    @property
    def sockname(self) -> Address | None:
        """Address of our end."""
        name = self.transport.get_extra_info("sockname")
        return (name[0], name[1]) if name else None
