"""MessagePack as a tree (the format's specification, version of 2017, with timestamps)."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from nbproxy.contentviews import hexdump
from nbproxy.contentviews.items import DamagedError, Item

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP: Final = -1
# First byte -> format and type.
_NUMBERS: Final = {
    0xCA: (">f", "float"),
    0xCB: (">d", "float"),
    0xCC: (">B", "int"),
    0xCD: (">H", "int"),
    0xCE: (">I", "int"),
    0xCF: (">Q", "int"),
    0xD0: (">b", "int"),
    0xD1: (">h", "int"),
    0xD2: (">i", "int"),
    0xD3: (">q", "int"),
}
_WORDS: Final = {0xC0: ("null", "null"), 0xC2: ("boolean", "false"), 0xC3: ("boolean", "true")}
# First byte -> kind, bytes of the length.
_SIZED: Final = {
    0xC4: ("bytes", 1),
    0xC5: ("bytes", 2),
    0xC6: ("bytes", 4),
    0xC7: ("ext", 1),
    0xC8: ("ext", 2),
    0xC9: ("ext", 4),
    0xD9: ("string", 1),
    0xDA: ("string", 2),
    0xDB: ("string", 4),
}
_MANY: Final = {0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4)}


def item(data: bytes, start: int) -> Item:
    """The item at a position.

    Raises:
        DamagedError: It is none, or is cut off.
    """
    first = data[start]
    if first < 0x80 or first >= 0xE0:
        return Item("leaf", start + 1, "number", str(first - 256 if first >= 0xE0 else first))
    if first < 0xA0:
        kind: str = "map" if first < 0x90 else "array"
        return _many(kind, start + 1, first & 0x0F)
    if first < 0xC0:
        return _string(data, start + 1, first & 0x1F)
    if first in _WORDS:
        return Item("leaf", start + 1, *_WORDS[first])
    if first in _NUMBERS:
        layout = _NUMBERS[first][0]
        raw = take(data, start + 1, struct.calcsize(layout))
        return Item("leaf", start + 1 + len(raw), "number", repr(struct.unpack(layout, raw)[0]))
    if first in _MANY:
        kind, width = _MANY[first]
        return _many(kind, start + 1 + width, int.from_bytes(take(data, start + 1, width), "big"))
    if first in _SIZED:
        kind, width = _SIZED[first]
        size = int.from_bytes(take(data, start + 1, width), "big")
        return _sized(kind, data, start + 1 + width, size)
    if 0xD4 <= first <= 0xD8:
        return _sized("ext", data, start + 1, 1 << (first - 0xD4))
    raise DamagedError("0xc1 is never used")


def take(data: bytes, start: int, size: int) -> bytes:
    """So many bytes.

    Raises:
        DamagedError: There are fewer.
    """
    if len(data) - start < size:
        raise DamagedError(f"{size:,} bytes are announced, and {len(data) - start:,} there")
    return data[start : start + size]


def _many(kind: str, end: int, count: int) -> Item:
    return Item("map" if kind == "map" else "array", end, count=count)


def _sized(kind: str, data: bytes, start: int, size: int) -> Item:
    if kind == "string":
        return _string(data, start, size)
    if kind == "bytes":
        raw = take(data, start, size)
        return Item("leaf", start + size, "bytes", hexdump.short(raw), bytes_also(raw))
    number = int.from_bytes(take(data, start, 1), "big", signed=True)
    raw = take(data, start + 1, size)
    moment = _timestamp(raw) if number == _TIMESTAMP else ""
    end = start + 1 + size
    if moment:
        return Item("leaf", end, "timestamp", moment)
    return Item("leaf", end, "ext", f"type {number}: {hexdump.short(raw)}")


def _string(data: bytes, start: int, size: int) -> Item:
    raw = take(data, start, size)
    return Item("leaf", start + size, "string", raw.decode("utf-8", "surrogateescape"))


def bytes_also(raw: bytes) -> tuple[tuple[str, str], ...]:
    """Bytes as text, where they are some."""
    if raw and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in raw[:200]):
        return (("text", raw[:200].decode("ascii")),)
    return ()


def _timestamp(raw: bytes) -> str:
    """A timestamp of 32, 64 or 96 bits; "" if it is none."""
    if len(raw) == 4:
        seconds, nanoseconds = int.from_bytes(raw, "big"), 0
    elif len(raw) == 8:
        both = int.from_bytes(raw, "big")
        seconds, nanoseconds = both & (2**34 - 1), both >> 34
    elif len(raw) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", raw)
    else:
        return ""
    if nanoseconds >= 10**9:
        return ""
    return moment(seconds, nanoseconds)


def moment(seconds: int, nanoseconds: int) -> str:
    """Unix time as a date; as seconds where the calendar does not reach."""
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    try:
        date = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds}{fraction} s"
    return f"{date:%Y-%m-%dT%H:%M:%S}{fraction}Z"
