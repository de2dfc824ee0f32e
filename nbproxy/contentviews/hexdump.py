"""Bytes as hexadecimal numbers and letters, sixteen to a line."""

from __future__ import annotations

from typing import Final

BYTES_IN_LINE: Final = 16


def dump(data: bytes, offset: int = 0) -> str:
    """Lines of offset, bytes and printable ASCII.

    Args:
        data: The bytes.
        offset: That of the first of them.
    """
    lines = []
    for start in range(0, len(data), BYTES_IN_LINE):
        row = data[start : start + BYTES_IN_LINE]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        cells = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        lines.append(f"{offset + start:08x}  {cells}  {letters}")
    return "\n".join(lines)


def short(data: bytes, limit: int = 64) -> str:
    """Some bytes in one line, for a tree."""
    more = f" … (+{len(data) - limit:,} bytes)" if len(data) > limit else ""
    return f"{data[:limit].hex(' ')}{more}"
