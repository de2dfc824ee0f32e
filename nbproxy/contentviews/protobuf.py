"""Protocol Buffers without a schema, and the frames of gRPC around them.

The wire format (protobuf.dev, "Encoding") says the number of a field and how long its value is, but
not what it means. So a value is shown as what it most likely is, with its other readings beside it,
and bytes that could be a message are shown as one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews import hexdump
from nbproxy.model import coding
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from nbproxy.contentviews.building import Also, TreeBuilder

MAX_NESTING: Final = 50
#: Fields that are looked at to tell messages from bytes, in all; what comes later stays bytes.
MAX_WORK: Final = 300_000
#: Fields that are read of one message and of those in it.
MAX_FIELDS: Final = 150_000
_MAX_PACKED: Final = 64
_MAX_NUMBER: Final = 2**29 - 1

VARINT, FIXED64, BYTES, START, END, FIXED32 = range(6)


@dataclass(slots=True)
class Field:
    """A field on the wire: its number, wire type, where its value begins and all of it ends."""

    number: int
    wire: int
    start: int
    end: int
    value: int = 0


def varint(data: bytes, start: int, stop: int) -> tuple[int, int]:
    """A varint and its end; an end of 0 says that there is none."""
    value = shift = 0
    for position in range(start, min(stop, start + 10)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), position + 1
        shift += 7
    return 0, 0


def field(data: bytes, start: int, stop: int) -> Field | None:
    """The field at a position, None if there is none."""
    tag, position = varint(data, start, stop)
    number, wire = tag >> 3, tag & 7
    if not position or not 1 <= number <= _MAX_NUMBER:
        return None
    found = Field(number, wire, position, position)
    if wire == VARINT:
        found.value, found.end = varint(data, position, stop)
        return found if found.end else None
    if wire == BYTES:
        size, begin = varint(data, position, stop)
        found.start, found.end = begin, begin + size
        return found if begin and found.end <= stop else None
    if wire in (FIXED32, FIXED64):
        found.end = position + (4 if wire == FIXED32 else 8)
        return found if found.end <= stop else None
    return found if wire in (START, END) else None


class Reader:
    """Reads messages; counts its work, since each level of nesting is looked at once more."""

    def __init__(self, builder: TreeBuilder) -> None:
        self._builder = builder
        self._work = MAX_WORK

    def is_message(self, data: bytes, start: int, stop: int) -> bool:
        """Whether these bytes could be a message. Groups must be closed."""
        groups: list[int] = []
        while start < stop:
            self._work -= 1
            found = field(data, start, stop) if self._work > 0 else None
            if found is None:
                return False
            if found.wire == START:
                groups.append(found.number)
            elif found.wire == END and (not groups or groups.pop() != found.number):
                return False
            start = found.end
        return not groups

    def read(self, data: bytes, start: int, stop: int) -> list[str]:
        """Report the fields of a message.

        Returns:
            Notes.
        """
        builder = self._builder
        ends = [stop]
        groups = 0
        fields = 0
        while True:
            while start >= ends[-1]:
                if len(ends) == 1:
                    return []
                ends.pop()
                builder.close()
            fields += 1
            if fields > MAX_FIELDS:
                return [f"Read as far as byte {start:,}."]
            found = field(data, start, ends[-1])
            # Only at the outermost level: what is nested was looked at before.
            if found is None or (found.wire == END and not groups):
                builder.key("?")
                builder.leaf("bytes", hexdump.short(data[start : ends[-1]]))
                return [f"Not readable from byte {start:,} on: there is no field, or it is cut."]
            start = found.end
            if found.wire == END:
                builder.close()
                groups -= 1
                continue
            builder.key(str(found.number))
            if found.wire == START:
                builder.open("group")
                groups += 1
            elif found.wire == BYTES:
                if self._opens(data, found, may_nest=len(ends) <= MAX_NESTING):
                    ends.append(found.end)
                    start = found.start
            elif builder.wants:
                _number(builder, data, found)
            else:
                builder.leaf("number", "")

    def _opens(self, data: bytes, found: Field, *, may_nest: bool) -> bool:
        """Report a string or bytes; or what begins a message, and say so."""
        builder = self._builder
        raw = data[found.start : found.end]
        text = _text(raw)
        # Short texts are messages by chance; a message of texts begins with a control character.
        may_nest = may_nest and bool(raw) and (text is None or raw[0] < 32)
        if may_nest and self.is_message(data, found.start, found.end):
            builder.open("message", f"as text {text[:60]!r}" if text and len(raw) < 60 else "")
            return True
        if text is not None:
            builder.leaf("string", text, lines=True)
        else:
            also = _packed(raw)
            builder.leaf("bytes", hexdump.short(raw), also)
        return False


def _text(raw: bytes) -> str | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    sample = text[:1000]
    odd = sum(not char.isprintable() and char not in "\t\r\n" for char in sample)
    return None if odd > len(sample) // 20 else text


def _packed(raw: bytes) -> Also:
    """A packed list of numbers, if it is short and could be one."""
    if not 1 < len(raw) <= _MAX_PACKED:
        return ()
    also: list[tuple[str, str]] = []
    numbers = []
    position = 0
    while position < len(raw):
        value, position = varint(raw, position, len(raw))
        if not position:
            break
        numbers.append(value)
    else:
        also.append(("packed varints", ", ".join(map(str, numbers))))
    for name, layout, width in (("packed floats", "f", 4), ("packed doubles", "d", 8)):
        if len(raw) % width == 0 and not also:
            values = struct.unpack(f"<{len(raw) // width}{layout}", raw)
            also.append((name, ", ".join(f"{value:.7g}" for value in values)))
    return tuple(also)


def _number(builder: TreeBuilder, data: bytes, found: Field) -> None:
    if found.wire == VARINT:
        value = found.value
        also = [("zigzag", str(value >> 1 ^ -(value & 1)))]
        if value >= 2**63:
            also.append(("int64", str(value - 2**64)))
        builder.leaf("varint", str(value), tuple(also))
        return
    raw = data[found.start : found.end]
    whole, real, name = ("<Q", "<d", "fixed64") if len(raw) == 8 else ("<I", "<f", "fixed32")
    value = struct.unpack(whole, raw)[0]
    bits = 8 * len(raw)
    digits = 17 if bits == 64 else 9
    number = f"{struct.unpack(real, raw)[0]:.{digits}g}"
    also = [("double" if bits == 64 else "float", number)]
    if value >= 1 << (bits - 1):
        also.append((f"int{bits}", str(value - (1 << bits))))
    builder.leaf(name, str(value), tuple(also))


_COMPRESSED: Final = 0x01
_TRAILERS: Final = 0x80  # of gRPC-Web: a frame of text in place of HTTP trailers


def read_grpc(data: bytes, encoding: str, builder: TreeBuilder) -> list[str]:
    """Report length-prefixed messages: a flag, four bytes of length, a message.

    Args:
        data: The frames.
        encoding: The field grpc-encoding, for frames that are compressed.
        builder: Takes the tree.

    Returns:
        Notes.
    """
    reader = Reader(builder)
    notes: list[str] = []
    position = 0
    builder.open("array", "frames")
    while position < len(data):
        head = data[position : position + 5]
        size = int.from_bytes(head[1:], "big")
        if len(head) < 5 or head[0] & ~(_COMPRESSED | _TRAILERS):
            notes.append(f"Not readable from byte {position:,} on: there is no frame.")
            break
        raw = data[position + 5 : position + 5 + size]
        if len(raw) < size:
            notes.append(f"The last frame is cut off: {size:,} bytes are announced.")
        position += 5 + size
        about = f"{size:,} bytes"
        if head[0] & _COMPRESSED:
            try:
                raw = coding.decode(raw, encoding or "identity")
                about += f", {visible(encoding, 40)}"
            except ValueError as error:
                notes.append(f"A frame could not be decompressed: {visible(str(error), 200)}.")
                builder.leaf("bytes", hexdump.short(raw))
                continue
        if head[0] & _TRAILERS:
            _read_trailers(raw, builder)
            continue
        builder.open("message", about)
        notes += reader.read(raw, 0, len(raw))
        while builder.depth > 1:
            builder.close()
        if len(notes) > 10:
            break
    return notes


def is_grpc(data: bytes, size: int) -> bool:
    """Whether it begins with a frame that ends within the body."""
    return size >= 5 and data[0] in (0, 1) and int.from_bytes(data[1:5], "big") <= size - 5


def _read_trailers(raw: bytes, builder: TreeBuilder) -> None:
    builder.open("object", "trailers")
    for line in raw[:16_384].decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            builder.key(name)
            builder.leaf("string", value.strip())
    builder.close()
