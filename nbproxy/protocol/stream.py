"""The byte stream that all protocols stand on."""

from __future__ import annotations

from typing import Protocol


class ByteStream(Protocol):
    """A connection as bytes in and bytes out, in order.

    One reader and one writer at a time. `receive` and `drain` raise `ConnectionFailed` when the
    other end is lost or silent for too long; `write` never raises: the loss shows at the next
    `receive` or `drain`.
    """

    @property
    def pending(self) -> bool:
        """True if `receive` would not wait: bytes, the end or a loss are there."""
        ...

    @property
    def is_open(self) -> bool:
        """True while nothing has ended: neither side closed, nothing lost."""
        ...

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes, as many as are there; b"" at the end.

        Args:
            timeout_s: How long the peer may be silent, in seconds.

        Raises:
            ConnectionFailed: The connection is lost (502), or silent for too long (504).
        """
        ...

    def take(self) -> bytes:
        """The bytes that are there, b"" for none; never waits and never raises."""
        ...

    def unread(self, data: bytes) -> None:
        """Put bytes back: the next `receive` gives them first."""
        ...

    def write(self, data: bytes) -> None:
        """Send, or queue for sending."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Wait until the peer has taken enough of what is queued.

        Raises:
            ConnectionFailed: The connection is lost, or nothing was taken for too long.
        """
        ...

    def write_eof(self) -> None:
        """Say that nothing more will be sent; reading goes on."""
        ...

    def close(self) -> None:
        """Send what is queued, then close."""
        ...

    def abort(self) -> None:
        """Close at once, so that the peer sees a broken connection."""
        ...
