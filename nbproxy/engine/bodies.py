"""Moving one body: whole, or piece by piece while it is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import NbproxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.model.body import BodySink
    from nbproxy.model.message import Message
    from nbproxy.protocol.http1 import ClientStream, ServerStream

_BYTES: Final = (bytes, bytearray, memoryview)


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


class Relay:
    """Passes a body on piece by piece, through the handler's `stream` callable, and records it.

    What is recorded is what goes out. The message shows the growing body while it does.

    Args:
        message: Whose body it is; `message.stream` is looked at once.
        sink: Where it is recorded.
        write: Sends a piece on.
        grown: Called after each piece.
    """

    __slots__ = ("_change", "_grown", "_message", "_sink", "_write")

    def __init__(
        self,
        message: Message,
        sink: BodySink,
        write: Callable[[bytes], None],
        grown: Callable[[], None],
    ) -> None:
        self._message = message
        self._sink = sink
        self._write = write
        self._grown = grown
        self._change = message.stream if callable(message.stream) else None
        message.hold_body(sink)

    def piece(self, data: bytes) -> None:
        """The next piece came.

        Raises:
            Exception: Whatever the handler's callable raises.
        """
        if self._change is not None:
            for part in _parts(self._change(data)):
                self._out(part)
        else:
            self._out(data)
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
