"""Images of the kinds that hold pixels and nothing active: their size, read from the head.

An image is known by its first bytes, never by what its Content-Type says. SVG is a document that
may hold scripts, and is shown as source only.
"""

from __future__ import annotations

from typing import Final

from nbproxy.contentviews.view import Image

#: Larger files are not handed to the browser, nor are pictures of more pixels.
MAX_IMAGE: Final = 4 * 2**20
MAX_PIXELS: Final = 50_000_000

_PNG: Final = b"\x89PNG\r\n\x1a\n"
# Start of frame in JPEG (ITU T.81, B.1.1.3): 0xC0 to 0xCF without DHT, JPG and DAC.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def media_type(data: bytes) -> str:
    """What kind of image begins like this; "" for none."""
    if data.startswith(_PNG):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    # "BM" alone begins many a text; the reserved bytes are zero and the header's size is known.
    if data.startswith(b"BM") and data[6:10] == bytes(4) and data[14:18] in _BMP_HEADERS:
        return "image/bmp"
    if data.startswith(b"\0\0\1\0") and 0 < _little(data, 4, 2) < 256 and data[9:10] == b"\0":
        return "image/x-icon"
    return ""


_BMP_HEADERS: Final = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 108, 124))


def read(data: bytes, size: int) -> tuple[Image | None, list[str]]:
    """An image, if these bytes are one, and notes.

    Args:
        data: The file, or its beginning.
        size: Bytes of the whole file.
    """
    kind = media_type(data)
    if not kind:
        return None, ["It is no image of a kind that can be shown here."]
    width, height = _SIZES[kind](data)
    if size > MAX_IMAGE or size > len(data):
        return Image(kind, width, height, b""), ["The image is too large to be shown here."]
    if width * height > MAX_PIXELS:
        return Image(kind, width, height, b""), ["The image has too many pixels to be shown here."]
    return Image(kind, width, height, data), []


def _big(data: bytes, start: int, count: int) -> int:
    return int.from_bytes(data[start : start + count], "big")


def _little(data: bytes, start: int, count: int) -> int:
    return int.from_bytes(data[start : start + count], "little")


def _png(data: bytes) -> tuple[int, int]:
    return (_big(data, 16, 4), _big(data, 20, 4)) if data[12:16] == b"IHDR" else (0, 0)


def _jpeg(data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker in _FRAMES:
            return _big(data, position + 7, 2), _big(data, position + 5, 2)
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 1:  # fill, or without a length
            position += 1 if marker == 0xFF else 2
        else:
            position += 2 + max(2, _big(data, position + 2, 2))
    return 0, 0


def _gif(data: bytes) -> tuple[int, int]:
    return _little(data, 6, 2), _little(data, 8, 2)


def _webp(data: bytes) -> tuple[int, int]:
    form = data[12:16]
    if form == b"VP8X":
        return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    if form == b"VP8L" and len(data) >= 25:
        bits = _little(data, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if form == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
    return 0, 0


def _bmp(data: bytes) -> tuple[int, int]:
    if data[14:18] == b"\x0c\0\0\0":
        return _little(data, 18, 2), _little(data, 20, 2)
    height = int.from_bytes(data[22:26], "little", signed=True)  # negative if top-down
    return _little(data, 18, 4), abs(height)


def _icon(data: bytes) -> tuple[int, int]:
    """That of the largest image in it; a byte of 0 says 256."""
    count = min(_little(data, 4, 2), (len(data) - 6) // 16)
    sizes = [(data[6 + 16 * i] or 256, data[7 + 16 * i] or 256) for i in range(count)]
    return max(sizes, default=(0, 0))


_SIZES: Final = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/x-icon": _icon,
}
