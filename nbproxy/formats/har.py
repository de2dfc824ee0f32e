"""HAR 1.1 and 1.2 (HTTP Archive): read as browsers and tools write it, written as the text says.

A HAR is one JSON document, maybe with a byte order mark, maybe compressed (zlib as mitmproxy's
`.zhar`, gzip, or a zip whose members also hold bodies, as Playwright's). It is read entry by
entry, so that only one of them is an object in memory, and what stands before a damaged place can
be given. `nbproxy.formats.har_import` makes flows of entries, `nbproxy.formats.har_export` entries
of flows; what HAR has no field for stands in entries under the key `_nbproxy`.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

from nbproxy._version import __version__
from nbproxy.errors import FormatError
from nbproxy.formats.har_export import to_entry
from nbproxy.formats.har_import import Unusable, to_flow
from nbproxy.formats.har_zip import unzip
from nbproxy.formats.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nbproxy.formats.mitm import Writable
    from nbproxy.formats.tnetstring import Readable
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.secrets import Masker

MAX_BYTES: Final = 2**30
"""A HAR is held whole as text while it is read; a larger one is refused."""

MAX_RATIO: Final = 200
"""How much larger than its compressed form it may be, where that is above `RATIO_FLOOR`."""

RATIO_FLOOR: Final = 64 * 2**20

MAX_LISTS: Final = 20_000_000
"""Lists and objects in one: an empty one takes 3 bytes in a file, and 56 in memory."""

_BLANK: Final = re.compile(r"[ \t\r\n]*").match
# What is left of a number, a word or an escape that was cut, where Python's parser gives up.
_CUT: Final = re.compile(
    r"-|\.|[eE][-+]?|t|tr|tru|f|fa|fal|fals|n|nu|nul|\\?u?[0-9A-Fa-f]{0,3}"
).fullmatch
_STEP: Final = 2**20


def read(file: Readable, notes: Notes | None = None) -> Iterator[HTTPFlow]:
    """The flows of a HAR, one by one.

    An entry that cannot be used (a `data:` URL, no URL at all) is left out, one with faults is
    mended where that is possible; `notes` is told of both.

    Args:
        file: Opened in binary mode; read to its end, not closed.
        notes: Told of what was not taken over as it stood.

    Raises:
        FormatError: This is no HAR, or it is damaged; flows before the damage have been given.
            `offset` counts bytes of the JSON text, after decompression.
    """
    notes = Notes() if notes is None else notes
    data = _read_all(file)
    bodies: Mapping[str, Callable[[], bytes]] = {}
    if data.startswith(b"PK\x03\x04"):
        data, bodies = unzip(data, _limit(len(data)))
    text, damage = _text(_decompressed(data))
    del data
    if text.count("[") + text.count("{") > MAX_LISTS:
        raise FormatError(f"more than {MAX_LISTS} lists and objects")
    try:
        for number, entry in enumerate(_Document(text).entries()):
            try:
                yield to_flow(entry, notes, bodies)
            except Unusable as error:
                if error.left_out:
                    notes.leave_out(error.left_out)
                else:
                    notes.skip(f"entry {number}: {error}")
    except FormatError as error:
        if error.offset is not None:
            error.offset = len(text[: error.offset].encode("utf-8", "surrogatepass"))
        if damage:
            error.message = damage
        raise
    if damage:
        raise FormatError(damage)


def _limit(size: int) -> int:
    return min(MAX_BYTES, max(RATIO_FLOOR, MAX_RATIO * size))


def _read_all(file: Readable) -> bytes:
    pieces, have = [], 0
    while piece := file.read(16 * _STEP):
        pieces.append(piece)
        have += len(piece)
        if have > MAX_BYTES:
            raise FormatError(f"a HAR of more than {MAX_BYTES} bytes cannot be read")
    return b"".join(pieces)


def _decompressed(data: bytes) -> bytes:
    """The JSON text; of a damaged compressed file as much as there is."""
    if not (data.startswith(b"\x1f\x8b") or is_zlib(data)):
        return data
    limit = _limit(len(data))
    decoder = zlib.decompressobj(47)  # zlib or gzip, whichever it is
    pieces, have, rest = [], 0, data
    while rest and not decoder.eof:
        try:
            piece = decoder.decompress(rest, _STEP)
        except zlib.error:
            break
        pieces.append(piece)
        have += len(piece)
        if have > limit:
            raise FormatError(f"compressed, and larger than {limit} bytes when it is not")
        rest = decoder.unconsumed_tail
    return b"".join(pieces)


def is_zlib(data: bytes) -> bool:
    """Whether these are the first bytes of a zlib stream (RFC 1950, 2.2)."""
    return len(data) >= 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0


def _text(data: bytes) -> tuple[str, str]:
    """The text, up to where it is damaged; and what is wrong there, or ""."""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        # the mark is no part of the text, and has been decoded when anything has
        good = data[: error.start] if error.start >= 3 else b""
        return good.decode("utf-8-sig"), f"text that is not UTF-8 ({error.reason})"


class _Document:
    """Walks through the JSON text of a HAR without holding more of it than one value.

    Errors' offsets are characters of the text here.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._decode = json.JSONDecoder(parse_constant=lambda _: None).raw_decode

    def entries(self) -> Iterator[Any]:
        """The items of `log.entries`."""
        found = False
        if self._next() != "{":
            raise FormatError("this is no HAR: a JSON object should stand here", offset=self._pos)
        for name in self._members():
            if name != "log":
                self._value()
                continue
            if self._next() != "{":
                raise FormatError("this is no HAR: its log is no object", offset=self._pos)
            for inner in self._members():
                if inner != "entries":
                    self._value()
                    continue
                if self._next() != "[":
                    raise FormatError("the entries should stand here, a list", offset=self._pos)
                found = True
                yield from self._items()
        if not found:
            raise FormatError("this is no HAR: it has no log with entries", offset=0)
        if self._next():
            raise FormatError("more follows the end of the JSON document", offset=self._pos)

    def _next(self) -> str:
        """The next character that is not blank, "" at the end; it is not taken."""
        match = _BLANK(self._text, self._pos)
        assert match is not None  # noqa: S101 - it matches nothing, too
        self._pos = match.end()
        return self._text[self._pos : self._pos + 1]

    def _expect(self, wanted: str) -> str:
        char = self._next()
        if not char:
            raise FormatError("the file ends here: it was cut off", offset=self._pos)
        if char not in wanted:
            names = " or ".join(repr(c) for c in wanted)
            raise FormatError(f"{names} should stand here", offset=self._pos)
        self._pos += 1
        return char

    def _members(self) -> Iterator[str]:
        """The names in an object; whoever takes one takes the value, too, before the next."""
        self._expect("{")
        if self._next() == "}":
            self._pos += 1
            return
        while True:
            if self._next() != '"':
                self._expect('"')
            name = self._value()
            self._expect(":")
            yield name
            if self._expect(",}") == "}":
                return

    def _items(self) -> Iterator[Any]:
        self._expect("[")
        if self._next() == "]":
            self._pos += 1
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _value(self) -> Any:
        """The value at this place."""
        self._next()
        begin = self._pos
        try:
            value, self._pos = self._decode(self._text, begin)
        except json.JSONDecodeError as error:
            raise self._damage(begin, error) from None
        except RecursionError:
            raise FormatError("nested too deeply", offset=begin) from None
        except ValueError:
            raise FormatError("an integer that is too long", offset=begin) from None
        return value

    def _damage(self, begin: int, error: json.JSONDecodeError) -> FormatError:
        rest = self._text[error.pos : error.pos + 20].strip()
        if not rest or _CUT(rest) or error.msg.startswith("Unterminated"):
            return FormatError("the file ends in the middle of this value", offset=begin)
        return FormatError(f"this is no JSON: {error.msg}", offset=error.pos)


def write(
    flows: Iterable[HTTPFlow],
    file: Writable,
    notes: Notes | None = None,
    *,
    masker: Masker | None = None,
) -> None:
    """Write flows as HAR 1.2, entry by entry.

    Args:
        flows: In the order in which their entries shall stand.
        file: Opened in binary mode.
        notes: Told of what could not be written.
        masker: Masks credentials, cookies and tokens; None writes all as it is.

    Raises:
        OSError: The file cannot be written.
    """
    notes = Notes() if notes is None else notes
    creator = {"name": "nbproxy", "version": __version__}
    head = {"version": "1.2", "creator": creator, "pages": []}
    file.write(b'{"log": ' + json.dumps(head).encode()[:-1] + b', "entries": [')
    separator = b"\n"
    for flow in flows:
        entry = to_entry(flow, notes, masker)
        # ASCII only: lone surrogates have no UTF-8
        file.write(separator + json.dumps(entry, allow_nan=False).encode("ascii"))
        separator = b",\n"
    file.write(b"\n]}}\n")
