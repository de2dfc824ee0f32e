"""CBOR as a tree (RFC 8949)."""

from __future__ import annotations

import struct
from typing import Final

from nbproxy.contentviews import hexdump
from nbproxy.contentviews.items import DamagedError, Item
from nbproxy.contentviews.msgpack import bytes_also, take

# Simple values and floats (RFC 8949, 3.3).
_WORDS: Final = {20: ("boolean", "false"), 21: ("boolean", "true"), 22: ("null", "null")}
_WORDS[23] = ("undefined", "undefined")
_FLOATS: Final = {25: ">e", 26: ">f", 27: ">d"}
# The tags that readers know (RFC 8949, 3.4).
_TAGS: Final = {
    0: "date and time",
    1: "Unix time",
    2: "big number",
    3: "negative big number",
    24: "CBOR inside",
    32: "URI",
    37: "UUID",
    55799: "CBOR",
}
_INDEFINITE: Final = 31


def item(data: bytes, start: int) -> Item:
    """The item at a position.

    Raises:
        DamagedError: It is none, or is cut off.
    """
    major, low = data[start] >> 5, data[start] & 0x1F
    if major == 7:
        return _simple(data, start, low)
    if low == _INDEFINITE:
        return _indefinite(data, start, major)
    if low > 27:
        raise DamagedError("a length of a reserved kind")
    width = 1 << (low - 24) if low >= 24 else 0
    number = int.from_bytes(take(data, start + 1, width), "big") if width else low
    end = start + 1 + width
    if major in (0, 1):
        return Item("leaf", end, "number", str(-1 - number if major else number))
    if major in (2, 3):
        return _sized(take(data, end, number), end + number, is_text=major == 3)
    if major == 6:
        about = f" ({_TAGS[number]})" if number in _TAGS else ""
        return Item("tag", end, value=f"tag {number}{about}")
    return Item("array" if major == 4 else "map", end, count=number)


def _sized(raw: bytes, end: int, *, is_text: bool) -> Item:
    if is_text:
        return Item("leaf", end, "string", raw.decode("utf-8", "surrogateescape"))
    return Item("leaf", end, "bytes", hexdump.short(raw), bytes_also(raw))


def _simple(data: bytes, start: int, low: int) -> Item:
    if low in _FLOATS:
        layout = _FLOATS[low]
        raw = take(data, start + 1, struct.calcsize(layout))
        value = repr(struct.unpack(layout, raw)[0])
        return Item("leaf", start + 1 + len(raw), "number", value)
    if low in _WORDS:
        return Item("leaf", start + 1, *_WORDS[low])
    if low == _INDEFINITE:
        return Item("end", start + 1)
    if low < 20:
        return Item("leaf", start + 1, "simple", str(low))
    if low == 24:
        return Item("leaf", start + 2, "simple", str(take(data, start + 1, 1)[0]))
    raise DamagedError("a simple value of a reserved kind")


def _indefinite(data: bytes, start: int, major: int) -> Item:
    if major in (4, 5):
        return Item("array" if major == 4 else "map", start + 1, count=None)
    if major not in (2, 3):
        raise DamagedError("a number without an end")
    pieces = []
    position = start + 1
    while take(data, position, 1) != b"\xff":
        first = data[position]
        low = first & 0x1F
        if first >> 5 != major or low > 27:
            raise DamagedError("a piece of a string is of another kind")
        width = 1 << (low - 24) if low >= 24 else 0
        size = int.from_bytes(take(data, position + 1, width), "big") if width else low
        position += 1 + width
        pieces.append(take(data, position, size))
        position += size
    return _sized(b"".join(pieces), position + 1, is_text=major == 3)
