"""Moving one body: whole, or piece by piece while it is recorded; as fast as it may go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import NbproxyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nbproxy.model.body import BodySink
    from nbproxy.model.message import Message
    from nbproxy.protocol.http1 import ClientStream, ServerStream

_BYTES: Final = (bytes, bytearray, memoryview)
# A slow body goes out in so many parts a second, so that it trickles and does not jump.
_PARTS_PER_S: Final = 20


async def read_whole(
    message: Message, stream: ClientStream | ServerStream, limit: int, timeout_s: float
) -> tuple[list[bytes], bool]:
    """Read a body until its end, or until it is larger than `limit` bytes.

    If it breaks off, the message keeps what came.

    Returns:
        The pieces, and whether that is all of them.

    Raises:
        NbproxyError: It broke off.
    """
    pieces: list[bytes] = []
    size = 0
    while size <= limit:
        try:
            piece = await stream.next_piece(timeout_s)
        except NbproxyError:
            message.hold_body(b"".join(pieces))
            raise
        if piece is None:
            return pieces, True
        pieces.append(piece)
        size += len(piece)
    return pieces, False


class Pace:
    """Lets bytes pass at so many a second.

    Args:
        bytes_per_s: The limit.
        drain: Waits until the peer has taken enough; raises if it is gone.
    """

    __slots__ = ("_drain", "_due", "_per_byte_s", "_step")

    def __init__(self, bytes_per_s: float, drain: Callable[[], Awaitable[None]]) -> None:
        self._per_byte_s = 1 / bytes_per_s
        self._step = max(1, int(bytes_per_s / _PARTS_PER_S))
        self._drain = drain
        self._due = 0.0

    async def send(self, data: bytes, write: Callable[[bytes], None]) -> None:
        """Write data in parts, each when its last byte is due."""
        loop = asyncio.get_running_loop()
        for begin in range(0, len(data), self._step):
            part = data[begin : begin + self._step]
            now = loop.time()
            self._due = max(self._due, now) + len(part) * self._per_byte_s
            await asyncio.sleep(self._due - now)
            write(part)
            await self._drain()


class Relay:
    """Passes a body on piece by piece, through the handler's `stream` callable, and records it.

    What is recorded is what goes out. The message shows the growing body while it does.

    Args:
        message: Whose body it is; `message.stream` and `message.bandwidth` are looked at once.
        sink: Where it is recorded.
        write: Sends a piece on.
        grown: Called for each piece; as it came, before it goes on: who has it may look at once.
        drain: Waits until the peer has taken enough of what was sent.
    """

    __slots__ = ("_change", "_grown", "_message", "_pace", "_sink", "_write")

    def __init__(
        self,
        message: Message,
        sink: BodySink,
        write: Callable[[bytes], None],
        grown: Callable[[], None],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._message = message
        self._sink = sink
        self._write = write
        self._grown = grown
        self._change = message.stream if callable(message.stream) else None
        self._pace = Pace(message.bandwidth, drain) if message.bandwidth else None
        message.hold_body(sink)

    def piece(self, data: bytes) -> Awaitable[None] | None:
        """The next piece came.

        Returns:
            None if it is on its way, else what must be awaited until it is.

        Raises:
            Exception: Whatever the handler's callable raises.
        """
        if self._pace is not None:
            return self._pace.send(data, self._pass_on)
        self._pass_on(data)
        return None

    def _pass_on(self, data: bytes) -> None:
        if self._change is None:
            self._sink.write(data)
            self._grown()
            self._write(data)
            return
        for part in _parts(self._change(data)):
            self._out(part)
        self._grown()

    def _out(self, data: bytes) -> None:
        if data:
            self._sink.write(data)
            self._write(data)

    def finish(self) -> None:
        """The body came to its end: let the callable add what it kept back.

        Raises:
            Exception: Whatever the handler's callable raises.
        """
        if self._change is not None:
            for part in _parts(self._change(b"")):
                self._out(part)

    def close(self) -> None:
        """Nothing more will come, in order or not."""
        self._message.hold_body(self._sink.close())


def _parts(result: Any) -> Iterator[bytes]:
    """The pieces that a handler's callable gave: bytes, or several of them."""
    whole = isinstance(result, _BYTES)  # asked first: these iterate too, over numbers
    for part in (result,) if whole else result:
        if not isinstance(part, _BYTES):
            raise TypeError(f"it gave {type(part).__name__}; pieces of a body are bytes")
        yield bytes(part)
