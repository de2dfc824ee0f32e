"""TLS over any byte stream: the standard library's sans-I/O `ssl.SSLObject`, with a pull interface.

asyncio's own TLS transport is not used: it costs more per read, and it cannot take over a stream
whose first bytes somebody has looked at already.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import TYPE_CHECKING, Final

from nbproxy.errors import ConnectionFailed, TLSError

if TYPE_CHECKING:
    from nbproxy.protocol.stream import ByteStream

_READ: Final = 256 * 1024


class TLSStream:
    """A `ByteStream` of plain text over a `ByteStream` of TLS records (RFC 8446).

    Args:
        io: The stream below; it is owned from now on.
        context: With our certificate (as a server) or our trust (as a client).
        server_side: Which side we are.
        server_hostname: As a client: the name to ask for and to verify.

    Attributes:
        tls: The `SSLObject`, for what was agreed.
        truncated: True if the peer ended without saying so (no close_notify, RFC 8446, 6.1).
    """

    def __init__(
        self,
        io: ByteStream,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_hostname: str | None = None,
    ) -> None:
        self.io = io
        self.truncated = False
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        self._unread = b""
        self._eof = False

    async def handshake(self, timeout_s: float) -> None:
        """Agree on TLS.

        Raises:
            ssl.SSLError: It failed; the peer was told why.
            TLSError: The peer left in the middle of it.
            ConnectionFailed: The peer was silent for too long.
        """
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return
            try:
                data = await self.io.receive(timeout_s)
            except ConnectionFailed as error:
                if error.status == 504:
                    raise
                raise TLSError(f"the connection was lost in the TLS handshake: {error}") from None
            if not data:
                raise TLSError("the peer closed the connection in the TLS handshake")
            self._incoming.write(data)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.io.write(self._outgoing.read())

    @property
    def pending(self) -> bool:
        """True if `receive` would not wait: bytes, the end or a loss are there."""
        if self.io.pending and not self._unread and not self._eof:
            self._absorb()
        return bool(self._unread or self._eof or self.tls.pending() or self.io.pending)

    def _absorb(self) -> None:
        """Read what has come: TLS's own messages (tickets: RFC 8446, 4.6.1) are no data."""
        self._incoming.write(self.io.take())
        try:
            self._unread, self._eof = self._decrypt()
        except ConnectionFailed:
            self._eof = True

    @property
    def is_open(self) -> bool:
        """True while neither side has closed."""
        return not self._eof and self.io.is_open

    async def receive(self, timeout_s: float) -> bytes:
        """The next bytes of plain text; b"" at the end.

        Raises:
            ConnectionFailed: The connection is lost, silent for too long, or no TLS any more.
        """
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        while not self._eof:
            if self._incoming.pending or self.tls.pending():
                data, self._eof = self._decrypt()
                if data or self._eof:
                    return data
            coded = await self.io.receive(timeout_s)
            if coded:
                self._incoming.write(coded)
            else:
                self._eof = self.truncated = True
        return b""

    def _decrypt(self) -> tuple[bytes, bool]:
        """What can be read now, and whether the peer has ended."""
        read = self.tls.read
        pieces = []
        ended = False
        try:
            while piece := read(_READ):
                pieces.append(piece)
                if not self._incoming.pending and not self.tls.pending():
                    break
            else:
                ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            if not pieces:
                raise ConnectionFailed(f"TLS broke: {error.reason or error}") from error
            # what was readable is handed on first; the same error comes again at the next read
        self._flush()  # answers to messages after the handshake
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), ended

    def take(self) -> bytes:
        """The bytes of plain text that are there; see `ByteStream.take`."""
        if not self._unread and self.io.pending:
            self._absorb()
        data, self._unread = self._unread, b""
        return data

    def unread(self, data: bytes) -> None:
        """Put bytes back."""
        self._unread = data + self._unread

    def write(self, data: bytes) -> None:
        """Encrypt and send."""
        try:
            self.tls.write(data)
        except ssl.SSLError:  # closed or broken: the loss shows at the next receive or drain
            return
        self.io.write(self._outgoing.read())

    async def drain(self, timeout_s: float) -> None:
        """Wait until the peer has taken enough; see `ByteStream.drain`."""
        await self.io.drain(timeout_s)

    def write_eof(self) -> None:
        """Send close_notify (RFC 8446, 6.1)."""
        # the peer's close_notify has not come, or the session is broken: either will do
        with contextlib.suppress(ssl.SSLError, ValueError):
            self.tls.unwrap()
        self._flush()

    def close(self) -> None:
        """Send close_notify and close."""
        self.write_eof()
        self.io.close()

    def abort(self) -> None:
        """Close at once."""
        self.io.abort()
