"""WebSocket frames by hand (RFC 6455, 5.2), good ones and bad ones, and an independent reader."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x0a\x0b\x0c\x0d"

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455, 1.3."""

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame, read."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    masked: bool = False

    @property
    def code(self) -> int:
        """The code of a close frame; 0 if it has none."""
        return int.from_bytes(self.payload[:2], "big")


def masked(payload: bytes, key: bytes = MASK) -> bytes:
    """A payload with the mask on, or off."""
    size = len(payload)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    mask: bool = True,
    fin: bool = True,
    rsv: int = 0,
    length: bytes | None = None,
) -> bytes:
    """A frame.

    Args:
        opcode: Any of 16.
        payload: What it carries.
        mask: Whether it is masked, as all frames of clients are.
        fin: Whether the message ends here.
        rsv: The three reserved bits; 4 is the one of compressed messages.
        length: The bytes of the length, if they are not to be as they should: without the mask bit.
    """
    size = len(payload)
    if length is None:
        if size < 126:
            length = bytes((size,))
        elif size < 65536:
            length = b"\x7e" + size.to_bytes(2, "big")
        else:
            length = b"\x7f" + size.to_bytes(8, "big")
    head = bytes((fin << 7 | rsv << 4 | opcode, mask << 7 | length[0])) + length[1:]
    return head + MASK + masked(payload) if mask else head + payload


def close(code: int, reason: bytes = b"", *, mask: bool = True) -> bytes:
    """A close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason, mask=mask)


def read(data: bytes) -> tuple[list[Frame], bytes]:
    """All whole frames, and the bytes of a last one that is not whole."""
    found: list[Frame] = []
    while True:
        one = _read_one(data)
        if one is None:
            return found, data
        each, used = one
        found.append(each)
        data = data[used:]


def _head(data: bytes) -> tuple[int, int]:
    """Where the payload begins and how long it is, as far as these bytes tell."""
    size, at = data[1] & 127, 2
    if size > 125:
        width = 2 if size == 126 else 8
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < at:
            return at, 0
    return at + 4 * (data[1] >> 7), size


def missing(data: bytes) -> int:
    """How many bytes it takes at least until the frame that begins here is whole."""
    if len(data) < 2:
        return 2 - len(data)
    at, size = _head(data)
    return max(1, at + size - len(data))


def _read_one(data: bytes) -> tuple[Frame, int] | None:
    if len(data) < 2 or len(data) < sum(_head(data)):
        return None
    at, size = _head(data)
    payload = data[at : at + size]
    is_masked = bool(data[1] & 128)
    plain = masked(payload, data[at - 4 : at]) if is_masked else payload
    first = data[0]
    return Frame(first & 15, plain, bool(first & 128), first >> 4 & 7, is_masked), at + size


def accept_of(key: bytes) -> bytes:
    """What a server answers to a key (RFC 6455, 4.2.2)."""
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1(key + magic, usedforsecurity=False).digest())
