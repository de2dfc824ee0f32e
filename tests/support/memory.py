"""Byte streams in memory: the same contract as sockets, with faults at will.

    near, far = pair()
    near.write(b"hello")
    assert await far.receive(1) == b"hello"

Everything a stream sends arrives in a later round of the loop, as over a socket. Faults are set on
the sending side: `delay_s` before each delivery, `lose_after` so many bytes, `piece` for the size
of the pieces in which bytes arrive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from nbproxy.errors import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

T = TypeVar("T")

#: Bytes that wait for a reader before the writer's `drain` waits.
HIGH_WATER = 64 * 1024


class MemoryStream:
    """One end of a connection in memory; a `ByteStream`.

    Attributes:
        peer: The other end.
        delay_s: Seconds until what is written arrives.
        piece: The size in which bytes arrive, or 0 for as they were written.
        lose_after: The connection is lost when so many bytes have been sent; None for never.
        sent: Every byte that was written, also those that were lost.
    """

    peer: MemoryStream

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.piece = 0
        self.lose_after: int | None = None
        self.sent = bytearray()
        self._inbox: deque[bytes] = deque()
        self._on_its_way = 0
        self._ended = False
        self._closed = False
        self._shut = False
        self._lost: ConnectionFailed | None = None
        self._changed = asyncio.Event()

    # -- what the other end does to us

    def _deliver(self, data: bytes) -> None:
        self._on_its_way -= len(data)
        if self._lost is None and not self._closed:
            self._inbox.append(data)
            self._wake()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _lose(self) -> None:
        if self._lost is None:
            self._lost = ConnectionFailed("the peer reset the connection")
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()

    @property
    def _waiting(self) -> int:
        return self._on_its_way + sum(map(len, self._inbox))

    async def _wait(self, timeout_s: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            raise ConnectionFailed("the peer was silent for too long", 504) from None

    # -- the stream

    @property
    def pending(self) -> bool:
        """True if `receive` would not wait."""
        return bool(self._inbox) or self._ended

    @property
    def is_open(self) -> bool:
        """True while neither side has closed and nothing is lost."""
        return not (self._ended or self._closed or self._lost)

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes; see `ByteStream.receive`."""
        while not self._inbox:
            if self._lost is not None and not self._closed:
                raise self._lost
            if self._ended or self._closed:
                return b""
            await self._wait(timeout_s)
        return self.take()

    def take(self) -> bytes:
        """The bytes that are there."""
        data = b"".join(self._inbox)
        self._inbox.clear()
        self.peer._wake()
        return data

    def unread(self, data: bytes) -> None:
        """Put bytes back."""
        if data:
            self._inbox.appendleft(data)

    def write(self, data: bytes) -> None:
        """Send."""
        if self._lost is not None or self._closed or self._shut:
            return
        before = len(self.sent)
        self.sent += data
        if self.lose_after is not None and len(self.sent) >= self.lose_after:
            self._send(data[: self.lose_after - before])
            self._later(self.peer._lose)
            self._later(self._lose)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        step = self.piece or len(data) or 1
        self.peer._on_its_way += len(data)
        for start in range(0, len(data), step):
            self._later(self.peer._deliver, data[start : start + step])

    def _later(self, call: object, *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        if self.delay_s:
            loop.call_later(self.delay_s, call, *arguments)  # type: ignore[arg-type]
        else:
            loop.call_soon(call, *arguments)  # type: ignore[arg-type]

    async def drain(self, timeout_s: float) -> None:
        """Wait until the peer has taken enough; see `ByteStream.drain`."""
        while True:
            if self._lost is not None:
                raise self._lost
            if self.peer._waiting <= HIGH_WATER:
                return
            await self._wait(timeout_s)

    def write_eof(self) -> None:
        """End our side."""
        if not self._shut and self._lost is None:
            self._shut = True
            self._later(self.peer._end)

    def close(self) -> None:
        """End both sides; what was written still arrives."""
        self.write_eof()
        self._closed = True
        self._wake()

    def abort(self) -> None:
        """Break the connection."""
        if not self._closed and self._lost is None:
            self._later(self.peer._lose)
        self._closed = True
        self._ended = True
        self._wake()


def pair() -> tuple[MemoryStream, MemoryStream]:
    """Both ends of a connection."""
    near, far = MemoryStream(), MemoryStream()
    near.peer, far.peer = far, near
    return near, far


class Canned(MemoryStream):
    """A stream whose input is there from the beginning, in these pieces, and then its end.

    Nothing waits, so coroutines that read it can be run without a loop: `run_now`.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._inbox.extend(piece for piece in pieces if piece)
        self._ended = True

    async def receive(self, timeout_s: float) -> bytes:
        """The next piece."""
        return self._inbox.popleft() if self._inbox else b""

    def write(self, data: bytes) -> None:
        """Keep it in `sent`."""
        self.sent += data


def run_now(coro: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that does not wait.

    Raises:
        AssertionError: It waits.
    """
    try:
        coro.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coro.close()
    raise AssertionError("it waits")
