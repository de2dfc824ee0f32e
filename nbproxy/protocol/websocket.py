"""WebSocket frames (RFC 6455) as a pull stream: messages in pieces, pings, closes.

wsproto takes frames apart and puts them together. Around it:

* It is fed a few kilobytes at a time, and gives what is there of a frame, so that neither the
  length that a frame announces nor what a compressed one inflates to is ever held as a whole.
* permessage-deflate (RFC 7692) is done here: wsproto's own loses its place when a ping comes
  between the fragments of a compressed message, and flushes nothing before a message's end.
* The codes of close frames are checked here; wsproto does not know all that are registered.

Each end of a proxied WebSocket has a stream of its own, so the two may have agreed on different
compression, and masking is right on both sides.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    MessageDecoder,
    Opcode,
    ParseFailed,
    RsvBits,
)

from nbproxy.errors import RemoteProtocolError

if TYPE_CHECKING:
    from wsproto.frame_protocol import Frame

    from nbproxy.protocol.stream import ByteStream
    from nbproxy.protocol.upgrades import Deflate

# How much is parsed at a time. Deflate expands at most 1,032 times, so a slice of a compressed
# frame becomes at most 4 MiB.
_SLICE: Final = 16 * 1024
_COMPRESSED_SLICE: Final = 4 * 1024

NO_CODE: Final = 1005
"""A close frame without a code (RFC 6455, 7.1.5)."""

LOST: Final = 1006
"""The connection ended without a close frame (RFC 6455, 7.1.5)."""

# RFC 6455, 7.4: what may be in a close frame, with what was registered since.
_CODES: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))


class FrameError(RemoteProtocolError):
    """A peer sent what is no WebSocket frame, or not one that may come here.

    Attributes:
        code: The code with which such a connection is closed (RFC 6455, 7.4.1).
    """

    def __init__(self, message: str, code: int = CloseReason.PROTOCOL_ERROR) -> None:
        super().__init__(message, 502)
        self.code = code


class Piece(NamedTuple):
    """Bytes of a message.

    Attributes:
        data: The bytes, decompressed; of a text message whole characters in UTF-8.
        is_text: Whether the message is text.
        ends_frame: Whether a fragment ends here.
        ends: Whether the message ends here.
        compressed: Whether it came compressed.
    """

    data: bytes
    is_text: bool
    ends_frame: bool
    ends: bool
    compressed: bool


class Ping(NamedTuple):
    """A ping; the other end is to answer it."""

    payload: bytes


class Pong(NamedTuple):
    """An answer to a ping, or a sign of life."""

    payload: bytes


class Close(NamedTuple):
    """The close frame: nothing comes after it.

    Attributes:
        code: Its code, `NO_CODE` if it has none.
        reason: Its words.
    """

    code: int
    reason: str


Event = Piece | Ping | Pong | Close


class WebSocketStream:
    """One end of a WebSocket.

    Args:
        io: The bytes below, right after the handshake.
        is_client: Whether we are the client on this connection.
        deflate: What was agreed about compression, or None.
    """

    def __init__(self, io: ByteStream, *, is_client: bool, deflate: Deflate | None) -> None:
        self.io = io
        self.has_closed = False
        self._peer = "server" if is_client else "client"
        self._deflate = _Deflate(deflate, is_client=is_client) if deflate is not None else None
        known: list[Extension] = [self._deflate] if self._deflate is not None else []
        self._writer = FrameProtocol(is_client, known)
        self._reader = FrameDecoder(is_client, known)
        self._messages = MessageDecoder()
        self._slice = _SLICE if deflate is None else _COMPRESSED_SLICE
        self._data = b""
        self._used = 0

    # -- reading

    async def next_event(self, timeout_s: float) -> Event | None:
        """What comes next; None if the peer is gone without a close frame.

        Not to be called again after a `Close` or a fault.

        Args:
            timeout_s: How long the peer may be silent, in seconds.

        Raises:
            FrameError: The peer broke the rules of the protocol.
            ConnectionFailed: The connection is lost, or silent for too long.
        """
        while True:
            try:
                frame = self._reader.process_buffer()
                event = None if frame is None else self._event(frame)
            except ParseFailed as error:
                raise self._fault(error) from None
            if event is not None:
                return event
            if frame is None and not await self._feed(timeout_s):
                return None

    async def _feed(self, timeout_s: float) -> bool:
        """Give the reader some more bytes; False at the end."""
        if self._used >= len(self._data):
            self._data = await self.io.receive(timeout_s)
            self._used = 0
        piece = self._data[self._used : self._used + self._slice]
        self._used += len(piece)
        self._reader.receive_bytes(piece)
        return bool(piece)

    def _event(self, frame: Frame) -> Event | None:
        payload = frame.payload
        if frame.opcode.iscontrol():
            raw = bytes(payload)  # type: ignore[arg-type] # wsproto gives bytes here
            if frame.opcode is Opcode.CLOSE:
                return self._close(raw)
            return Ping(raw) if frame.opcode is Opcode.PING else Pong(raw)
        joined = self._messages.process_frame(frame)
        data = joined.payload
        is_text = isinstance(data, str)
        raw = data.encode() if isinstance(data, str) else bytes(data)  # type: ignore[arg-type]
        if not raw and not joined.frame_finished:
            return None
        compressed = self._deflate is not None and self._deflate.is_inflating
        return Piece(raw, is_text, joined.frame_finished, joined.message_finished, compressed)

    def _close(self, payload: bytes) -> Close:
        """RFC 6455, 5.5.1 and 7.4."""
        if not payload:
            return Close(NO_CODE, "")
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1:
            raise ParseFailed("a close frame of one byte (RFC 6455, 5.5.1)")
        if code not in _CODES and not 3000 <= code < 5000:
            raise ParseFailed(f"a close frame with the code {code} (RFC 6455, 7.4)")
        try:
            return Close(code, payload[2:].decode())
        except UnicodeDecodeError:
            text = "a close frame whose reason is not UTF-8 (RFC 6455, 8.1)"
            raise ParseFailed(text, CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None

    def _fault(self, error: ParseFailed) -> FrameError:
        problem = str(error)
        if "codec" in problem:
            problem = "text that is not UTF-8 (RFC 6455, 8.1)"
        elif "masked frame" in problem:
            wrong = "is not" if self._peer == "client" else "is"
            problem = f"a frame that {wrong} masked (RFC 6455, 5.1)"
        return FrameError(f"the {self._peer} broke the WebSocket: {problem}", int(error.code))

    # -- writing

    def send(
        self, data: bytes, *, is_text: bool, ends: bool = True, compressed: bool = False
    ) -> None:
        """Send a message, or a fragment of one.

        Args:
            data: What it says. Text that is not UTF-8 has U+FFFD in place of what is wrong.
            is_text: Whether the message is text.
            ends: Whether it ends here.
            compressed: Whether to compress the message, if both ends agreed on that; looked at
                in its first fragment.
        """
        if self._deflate is not None:
            self._deflate.wanted = compressed
        payload = data.decode("utf-8", "replace") if is_text else data
        self.io.write(bytes(self._writer.send_data(payload, ends)))

    def ping(self, payload: bytes) -> None:
        """Send a ping of at most 125 bytes."""
        self.io.write(bytes(self._writer.ping(payload)))

    def pong(self, payload: bytes) -> None:
        """Send a pong of at most 125 bytes."""
        self.io.write(bytes(self._writer.pong(payload)))

    def close(self, code: int, reason: str = "") -> None:
        """Send the close frame, once.

        Args:
            code: Its code; `NO_CODE` for a frame without one.
            reason: Its words; cut to the 123 bytes that there is room for.
        """
        if not self.has_closed:
            self.has_closed = True
            given = None if code == NO_CODE else code
            words = None if given is None else reason
            self.io.write(bytes(self._writer.close(given, words)))


_NO_BITS: Final = RsvBits(rsv1=False, rsv2=False, rsv3=False)
_COMPRESSED: Final = RsvBits(rsv1=True, rsv2=False, rsv3=False)
_TAIL: Final = b"\x00\x00\xff\xff"  # RFC 7692, 7.2.1: taken off a message, and put back
_EMPTY: Final = b"\x00"  # RFC 7692, 7.2.3.6


class _Deflate(Extension):
    """permessage-deflate on one connection, both directions.

    Attributes:
        is_inflating: Whether the message that comes in is compressed.
        wanted: Whether the message that goes out is to be.
    """

    name = "permessage-deflate"

    def __init__(self, agreed: Deflate, *, is_client: bool) -> None:
        mine, theirs = agreed.client_resets, agreed.server_resets
        bits = agreed.client_bits
        if not is_client:
            mine, theirs, bits = theirs, mine, agreed.server_bits
        self.is_inflating = False
        self.wanted = False
        self._resets, self._bits = mine, bits
        self._peer_resets = theirs
        self._is_control = False
        self._deflating = False
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None

    def enabled(self) -> bool:
        """Always: it is made only if it was agreed on."""
        return True

    def offer(self) -> bool | str:
        """Not asked for: offers are the ends' business."""
        return False

    # -- inbound

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,  # noqa: ARG002 - as above
    ) -> CloseReason | RsvBits:
        """The reserved bits that a frame may have set; wsproto refuses others."""
        self._is_control = opcode.iscontrol()
        if self._is_control or opcode is Opcode.CONTINUATION:
            return _NO_BITS
        self.is_inflating = rsv.rsv1
        return _COMPRESSED

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        data: bytes,
    ) -> bytes | CloseReason:
        """Bytes of a frame, decompressed."""
        if self._is_control or not self.is_inflating:
            return data
        return self._inflated(data)

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        fin: bool,
    ) -> bytes | CloseReason | None:
        """What is left at the end of a frame."""
        if self._is_control or not self.is_inflating or not fin:
            return None
        rest = self._inflated(_TAIL)
        if self._peer_resets:
            self._decompressor = None
        return rest

    def _inflated(self, data: bytes) -> bytes:
        pieces = []
        try:
            while data:
                if self._decompressor is None:
                    # the largest window reads what was made with a smaller one
                    self._decompressor = zlib.decompressobj(-15)
                pieces.append(self._decompressor.decompress(data))
                data = self._decompressor.unused_data
                if self._decompressor.eof:  # a last block ended it; RFC 7692, 7.2.3.4
                    self._decompressor = None
        except zlib.error:
            text = "a compressed message that cannot be decompressed (RFC 7692, 7.2.2)"
            raise ParseFailed(text, CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None
        return b"".join(pieces)

    # -- outbound

    def frame_outbound(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002 - wsproto's signature
        opcode: Opcode,
        rsv: RsvBits,
        data: bytes,
        fin: bool,
    ) -> tuple[RsvBits, bytes]:
        """A frame as it goes out; every fragment can be read when it comes."""
        if opcode.iscontrol():
            return rsv, data
        begins = opcode is not Opcode.CONTINUATION
        if begins:
            # zlib has no window of 8 bits; a message may always go uncompressed (RFC 7692, 6)
            self._deflating = self.wanted and self._bits > 8
        if not self._deflating:
            return rsv, data
        if self._compressor is None:
            self._compressor = zlib.compressobj(wbits=-self._bits)
        coded = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if fin:
            coded = coded[: -len(_TAIL)] or _EMPTY
            if self._resets:
                self._compressor = None
        return _COMPRESSED if begins else _NO_BITS, coded
