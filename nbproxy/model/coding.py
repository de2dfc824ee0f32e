"""Content codings (RFC 9110, 8.4.1): gzip, deflate, br and zstd, alone or in lists.

The bytes that pass through the proxy keep their coding; decoding happens when somebody looks.
What a stranger coded may be a bomb, so every decoder here is asked for no more output than the
bound leaves, while it decodes: no step first makes the bytes and then counts them.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN: Final[frozenset[str]] = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "identity"})
"""The codings that `decode` and `encode` know."""

# Ratios say little about small bodies: a page of blanks may well shrink a thousandfold.
RATIO_FLOOR: Final = 2**20
# curl and urllib3 also stop at five codings on top of each other.
MAX_CODINGS: Final = 5
# gzip members or zstd frames in one body. Each costs a new decoder, however little it holds.
MAX_MEMBERS: Final = 10_000
# A recipient of the zstd coding must support 8 MB and may refuse more (RFC 9659, 3).
MAX_ZSTD_WINDOW: Final = 8 * 2**20

_SLICE: Final = 64 * 1024
# The zstd binding has no output limit. A block gives at most 128 KiB and takes at least 4 bytes
# (RFC 8878, 3.1.1.2), so a slice of 256 bytes passes the bound by 8 MiB at most.
_ZSTD_SLICE: Final = 256
# Output of one step of the brotli decoder, about: it rounds up to its blocks.
_BROTLI_STEP: Final = 256 * 1024


class ContentDecodingError(ValueError):
    """A body that does not decode as its Content-Encoding says.

    Attributes:
        coding: The coding that failed.
        problem: Why it failed.
    """

    def __init__(self, coding: str, problem: str) -> None:
        super().__init__(coding, problem)
        self.coding = coding
        self.problem = problem

    def __str__(self) -> str:
        return f"Content-Encoding {self.coding!r}: {self.problem}"


def decode(
    data: bytes,
    content_encoding: str,
    *,
    max_bytes: int = 16 * 2**20,
    max_ratio: int = 200,
) -> bytes:
    """Remove the content codings of a body.

    No data at all decodes to none under any known coding: answers to HEAD name a coding too.

    Args:
        data: The body as sent.
        content_encoding: The field's value: codings in the order in which they were applied.
        max_bytes: The bound of the output, and of each step where codings are nested.
        max_ratio: The same bound in units of `len(data)`, where that is above 1 MiB.

    Raises:
        ContentDecodingError: A coding is unknown, the data is damaged or incomplete, or the
            output would pass the bound.
    """
    limit = min(max_bytes, max(max_ratio * len(data), RATIO_FLOOR))
    for name in reversed(_codings(content_encoding)):
        decoder = _DECODERS.get(name)
        if decoder is None:
            raise ContentDecodingError(name[:40], "unknown coding")
        if data:
            data = decoder(data, _Output(name, limit))
    return data


def encode(data: bytes, content_encoding: str) -> bytes:
    """Apply content codings, in the order named.

    The same data gives the same bytes each time.

    Raises:
        ValueError: A coding is unknown.
    """
    for name in _codings(content_encoding):
        encoder = _ENCODERS.get(name)
        if encoder is None:
            known = ", ".join(sorted(KNOWN))
            raise ValueError(f"cannot encode as {name[:40]!r}; known are {known}")
        data = encoder(data)
    return data


def _codings(content_encoding: str) -> list[str]:
    """The names in a Content-Encoding, without blanks, empty elements and identity."""
    value = content_encoding.strip().lower()
    if value in _DECODERS:
        return [value]
    names = [name.strip() for name in value.split(",", 1000)]
    names = [name for name in names if name and name != "identity"]
    if len(names) > MAX_CODINGS:
        raise ContentDecodingError(value[:40], f"more than {MAX_CODINGS} codings")
    return names


class _Output:
    """Collects what one decoder gives, and holds the bound.

    Attributes:
        coding: The coding at work, for messages.
        limit: The bound in bytes.
        room: How much may still come.
    """

    __slots__ = ("coding", "limit", "members", "pieces", "room")

    def __init__(self, coding: str, limit: int) -> None:
        self.coding = coding
        self.limit = limit
        self.room = limit
        self.members = 0
        self.pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        self.room -= len(piece)
        if self.room < 0:
            self.pieces.clear()
            raise self.failed(f"decoding stopped at the bound of {self.limit:,} bytes")
        self.pieces.append(piece)

    def next_member(self) -> None:
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise self.failed(f"decoding stopped at the bound of {MAX_MEMBERS:,} members")

    def failed(self, problem: str) -> ContentDecodingError:
        return ContentDecodingError(self.coding, problem)

    def joined(self) -> bytes:
        return b"".join(self.pieces)


def _identity(data: bytes, output: _Output) -> bytes:  # noqa: ARG001 - a decoder's signature
    return data


def _decode_gzip(data: bytes, output: _Output) -> bytes:
    try:
        return _inflate(data, 16 + zlib.MAX_WBITS, output, members=True)
    except zlib.error as error:
        raise output.failed(f"damaged data ({error})") from error


def _decode_deflate(data: bytes, output: _Output) -> bytes:
    # RFC 9110, 8.4.1.2: zlib-wrapped; "some implementations send raw deflate", and more than
    # some. The two header bytes tell them apart but for one raw stream in thousands, so a
    # wrapped reading that fails is tried as raw.
    if len(data) >= 2 and data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0:
        try:
            return _inflate(data, zlib.MAX_WBITS, output, members=False)
        except zlib.error as error:
            output = _Output(output.coding, output.limit)
            try:
                return _inflate(data, -zlib.MAX_WBITS, output, members=False)
            except (zlib.error, ContentDecodingError):
                raise output.failed(f"damaged data ({error})") from error
    try:
        return _inflate(data, -zlib.MAX_WBITS, output, members=False)
    except zlib.error as error:
        raise output.failed(f"damaged data ({error})") from error


def _inflate(data: bytes, wbits: int, output: _Output, *, members: bool) -> bytes:
    """Run zlib over `data`; with `members`, over as many streams as follow each other.

    Bytes after the end that begin no further member are ignored, as browsers do.
    """
    decoder = zlib.decompressobj(wbits)
    # In slices: zlib copies what it has not used yet, which adds up if that is all the rest.
    for start in range(0, len(data), _SLICE):
        rest = data[start : start + _SLICE]
        while rest:
            if decoder.eof:
                if not members or not _begins_gzip(rest, data, start):
                    return output.joined()
                output.next_member()
                decoder = zlib.decompressobj(wbits)
            output.add(decoder.decompress(rest, output.room + 1))
            rest = decoder.unused_data
    if not decoder.eof:
        raise output.failed("the data ends too early")
    return output.joined()


def _begins_gzip(rest: bytes, data: bytes, start: int) -> bool:
    """Whether what is left of `data`, `rest` and the slices after it, begins another member."""
    if len(rest) >= 2:
        return rest[:2] == b"\x1f\x8b"
    end = start + _SLICE
    return rest + data[end : end + 1] == b"\x1f\x8b"


def _decode_brotli(data: bytes, output: _Output) -> bytes:
    import brotli  # noqa: PLC0415 - loaded with the first body that needs it

    decoder = brotli.Decompressor()
    try:
        for start in range(0, len(data), _SLICE):
            if decoder.is_finished():
                raise output.failed("data goes on after its end")
            rest = data[start : start + _SLICE]
            # What the limit held back comes with empty input, until nothing more comes.
            while piece := decoder.process(rest, output_buffer_limit=_BROTLI_STEP):
                output.add(piece)
                rest = b""
    except brotli.error as error:
        raise output.failed("damaged data, or a window that is too large") from error
    if not decoder.is_finished():
        raise output.failed("the data ends too early")
    return output.joined()


def _decode_zstd(data: bytes, output: _Output) -> bytes:
    import zstandard  # noqa: PLC0415 - 15 ms to load, and most bodies are coded otherwise

    frames = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
    decoder = frames.decompressobj()
    try:
        for start in range(0, len(data), _ZSTD_SLICE):
            rest = data[start : start + _ZSTD_SLICE]
            while rest:
                if decoder.eof:
                    output.next_member()
                    decoder = frames.decompressobj()
                output.add(decoder.decompress(rest))
                rest = decoder.unused_data
    except zstandard.ZstdError as error:
        raise output.failed(str(error)) from error
    if not decoder.eof:
        raise output.failed("the data ends too early")
    return output.joined()


def _encode_gzip(data: bytes) -> bytes:
    coder = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def _encode_brotli(data: bytes) -> bytes:
    import brotli  # noqa: PLC0415 - see _decode_brotli

    # Quality 11, the default, takes seconds for a megabyte, on the proxy's thread.
    coded: bytes = brotli.compress(data, quality=5)
    return coded


def _encode_zstd(data: bytes) -> bytes:
    import zstandard  # noqa: PLC0415 - see _decode_zstd

    return zstandard.compress(data)


_DECODERS: Final[dict[str, Callable[[bytes, _Output], bytes]]] = {
    "identity": _identity,
    "gzip": _decode_gzip,
    "x-gzip": _decode_gzip,
    "deflate": _decode_deflate,
    "br": _decode_brotli,
    "zstd": _decode_zstd,
}
_ENCODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "identity": bytes,
    "gzip": _encode_gzip,
    "x-gzip": _encode_gzip,
    "deflate": zlib.compress,
    "br": _encode_brotli,
    "zstd": _encode_zstd,
}
