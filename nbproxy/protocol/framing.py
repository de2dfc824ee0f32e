"""Where a message of HTTP/1.1 ends, and what of a head goes to the next hop.

Each rule stands here once, with its section of RFC 9110 or RFC 9112. A proxy that reads a message
otherwise than the next hop does can be made to smuggle requests; so there is one reading, a strict
one: whatever could be read in two ways is refused. h11 does the parsing; these functions add what
h11 leaves to its user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from nbproxy.errors import RemoteProtocolError

if TYPE_CHECKING:
    from nbproxy.model.headers import Fields

Framing = int | Literal["chunked", "until-eof"]
"""How a body ends: after so many bytes, with its last chunk, or with the connection."""

Special = Mapping[bytes, list[bytes]]
"""The values of the fields in `WATCHED`, by lower-case name; heads may share one."""

WATCHED: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"max-forwards",
        b"proxy-authorization",
        b"proxy-connection",
        b"authorization",
        b"transfer-encoding",
        b"upgrade",
        b"www-authenticate",
    )
)

# RFC 9110, 7.6.1: meant for the next hop only. Content-Length is not, but is written anew.
HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
# Never taken off at a client's request: they are framing and routing, or we write them ourselves.
_KEPT: Final = frozenset((b"content-length", b"transfer-encoding", b"host"))

# RFC 9110, 6.5.1: fields that no trailer section may carry.
NO_TRAILERS: Final = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"host",
        b"set-cookie",
        b"te",
        b"trailer",
        b"transfer-encoding",
        *HOP_BY_HOP,
    )
)

# Control bytes (RFC 9110, 5.5), a line end that is not CRLF (RFC 9112, 2.2), a folded line (5.2).
_BAD_IN_HEAD = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|\r\n[ \t]")
_BAD_IN_PART = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)|\r\n[ \t]")
_CODINGS = re.compile(rb"\r\ntransfer-encoding:([^\r]*)", re.IGNORECASE)
_CONTROLS = bytes((*range(9), 11, 12, *range(14, 32), 127))
_DIGITS = re.compile(rb"[0-9]{1,18}")

TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def check_head(raw: bytes, *, whole: bool = True) -> None:
    """Refuse a head that has control bytes, odd line ends or folded lines.

    Args:
        raw: The head from its first byte, with the empty line if it is `whole`.
        whole: False while more of it may come.

    Raises:
        RemoteProtocolError: It has.
    """
    if whole and _is_clean(raw):
        return
    found = (_BAD_IN_HEAD if whole else _BAD_IN_PART).search(raw)
    if found is None:
        return
    byte = found[0]
    if byte == b"\n":
        problem = "a line that does not end in CRLF (RFC 9112, 2.2)"
    elif byte == b"\r":
        problem = "a bare CR (RFC 9112, 2.2)"
    elif byte.startswith(b"\r\n"):
        problem = "a folded line (RFC 9112, 5.2)"
    else:
        problem = f"the control byte 0x{byte[0]:02x} (RFC 9110, 5.5)"
    raise RemoteProtocolError(f"the head has {problem}")


def _is_clean(raw: bytes) -> bool:
    """What `_BAD_IN_HEAD` looks for, in a third of the time when there is nothing to find."""
    lines = raw.count(b"\r\n")
    return (
        raw.count(b"\n") == lines
        and raw.count(b"\r") == lines
        and b"\r\n " not in raw
        and b"\r\n\t" not in raw
        and len(raw.translate(None, _CONTROLS)) == len(raw)
    )


def check_more(part: bytearray, seen: int) -> None:
    """Check the new end of a head that is not whole yet, so that the work stays linear.

    Args:
        part: What has come so far.
        seen: How much of it was checked before.

    Raises:
        RemoteProtocolError: See `check_head`.
    """
    begin = max(0, seen - 3)  # nothing that is refused is longer, and begins before
    tail = bytes(part[begin:])
    check_head(tail[1:] if begin and tail.startswith(b"\n") else tail, whole=False)


def watch(fields: Fields) -> Special:
    """The values of the fields that matter to a proxy."""
    special: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        folded = name.lower()
        if folded in WATCHED:
            if folded in special:
                special[folded].append(value)
            else:
                special[folded] = [value]
    return special


def members(values: list[bytes]) -> list[bytes]:
    """The members of comma-separated lists, lower-case, empty ones left out (RFC 9110, 5.6.1)."""
    return [m for value in values for part in value.split(b",") if (m := part.strip().lower())]


def _content_length(values: list[bytes]) -> int:
    """RFC 9110, 8.6 and RFC 9112, 6.3(5): digits; one value, or the same one again."""
    parts = {part.strip(b" \t") for value in values for part in value.split(b",")}
    only = parts.pop()
    if parts or _DIGITS.fullmatch(only) is None:
        raise RemoteProtocolError("the Content-Length is not one number (RFC 9112, 6.3)")
    return int(only)


def _check_chunked(values: list[bytes], version: bytes) -> None:
    """RFC 9112, 6.1: exactly one `chunked`, and only in HTTP/1.1."""
    if len(values) != 1:
        raise RemoteProtocolError("more than one Transfer-Encoding (RFC 9112, 6.1)")
    if version != b"1.1":
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0 (RFC 9112, 6.1)")
    codings = members(values)
    if codings == [b"chunked"]:
        return
    known = len(codings) > 1 and codings[-1] == b"chunked" and codings.count(b"chunked") == 1
    raise RemoteProtocolError(
        "a Transfer-Encoding other than chunked (RFC 9112, 6.1)", 501 if known else 400
    )


def coding_status(raw_head: bytes) -> int:
    """The status for a Transfer-Encoding that h11 has refused: 501 only for one we might know.

    RFC 9112, 6.1: a coding before a final `chunked` is not implemented; anything else is no way to
    frame a request.
    """
    found = _CODINGS.findall(raw_head)
    names = members(found)
    known = len(found) == 1 and len(names) > 1 and names[-1] == b"chunked"
    return 501 if known and names.count(b"chunked") == 1 else 400


def request_framing(special: Special, version: bytes) -> Framing:
    """How the body of a request ends (RFC 9112, 6.3).

    Args:
        special: Its watched fields.
        version: b"1.0" or b"1.1".

    Raises:
        RemoteProtocolError: It could be read in more than one way.
    """
    length = special.get(b"content-length")
    coding = special.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise RemoteProtocolError("Content-Length and Transfer-Encoding (RFC 9112, 6.1)")
        _check_chunked(coding, version)
        return "chunked"
    return 0 if length is None else _content_length(length)


def response_framing(special: Special, version: bytes, status: int, method: bytes) -> Framing:
    """How the body of a final response ends (RFC 9112, 6.3).

    Content-Length beside Transfer-Encoding, which some servers send, is read as chunked alone; the
    connection must not be used again then (`is_doubtful`).

    Raises:
        RemoteProtocolError: It could be read in more than one way.
    """
    if status in {204, 304} or method == b"HEAD" or (method == b"CONNECT" and status < 300):
        return 0
    length = special.get(b"content-length")
    coding = special.get(b"transfer-encoding")
    if coding is not None:
        _check_chunked(coding, version)
        return "chunked"
    return "until-eof" if length is None else _content_length(length)


def is_doubtful(special: Special) -> bool:
    """Whether a response could be read in two ways: its connection must end (RFC 9112, 6.3)."""
    return b"transfer-encoding" in special and b"content-length" in special


def may_persist(special: Special, version: bytes) -> bool:
    """Whether the sender of a head keeps its connection open after the message (RFC 9112, 9.3)."""
    options = members(special.get(b"connection", []) + special.get(b"proxy-connection", []))
    if b"close" in options:
        return False
    return version == b"1.1" or b"keep-alive" in options


def head_lines(fields: Fields, dropped: frozenset[bytes], framing: Framing | None) -> list[bytes]:
    """The field lines for the next hop, in the order of `fields`.

    Framing is written from what will be sent, never from what came (RFC 9112, 6): Content-Length or
    Transfer-Encoding take the place where the message had one of them, else the end.

    Args:
        fields: The message's fields, as the handlers left them.
        dropped: Lower-case names that do not go on.
        framing: How the body will end; None writes neither field and keeps a Content-Length (an
            answer to HEAD, a 304).
    """
    if framing is None:
        return [
            name + b": " + value + b"\r\n" for name, value in fields if name.lower() not in dropped
        ]
    lines: list[bytes] = []
    line = b""
    if isinstance(framing, int):
        line = b": %d\r\n" % framing
    elif framing == "chunked":
        line = b"Transfer-Encoding: chunked\r\n"
    for name, value in fields:
        folded = name.lower()
        if folded in {b"content-length", b"transfer-encoding"}:
            if line:
                same = folded == b"content-length" and isinstance(framing, int)
                lines.append(_framing_line(name if same else b"Content-Length", line))
                line = b""
        elif folded not in dropped:
            lines.append(name + b": " + value + b"\r\n")
    if line:
        lines.append(_framing_line(b"Content-Length", line))
    return lines


def _framing_line(name: bytes, line: bytes) -> bytes:
    return name + line if line.startswith(b":") else line


def dropped_fields(special: Special, also: frozenset[bytes] = frozenset()) -> frozenset[bytes]:
    """The lower-case names of the fields that end here (RFC 9110, 7.6.1)."""
    named = special.get(b"connection")
    if not named:
        return HOP_BY_HOP | also if also else HOP_BY_HOP
    return HOP_BY_HOP | also | (frozenset(members(named)) - _KEPT)


def trailers_to_send(fields: Fields) -> Fields:
    """The trailers that may go on: none that would change framing, routing or meaning."""
    return tuple(field for field in fields if field[0].lower() not in NO_TRAILERS)


class ChunkGuard:
    """Follows the chunk framing of one body, and refuses what h11 would let pass.

    h11 decodes; this only walks along (RFC 9112, 7.1): it checks each chunk line to the letter,
    bounds lines, extensions and the trailer section, and tells where the message ends, so that h11
    never sees a byte of the next one.

    States: in a chunk line, in the data (`_left` bytes and the CRLF after it still to come), in the
    trailer section, at the end.
    """

    LINE_LIMIT = 4 * 1024
    EXTENSIONS_LIMIT = 64 * 1024
    TRAILERS_LIMIT = 64 * 1024
    FIELDS_LIMIT = 1000
    # size, then extensions: `;` name [`=` token or quoted string], blanks allowed around (7.1.1)
    _LINE = re.compile(
        rb"([0-9A-Fa-f]{1,16})"
        rb"((?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
        rb"(?:[ \t]*=[ \t]*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
        rb'|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"))?)*)'
    )

    __slots__ = ("_extensions", "_left", "_line", "_state", "_trailers")

    def __init__(self) -> None:
        self._state: Literal["line", "data", "trailers", "end"] = "line"
        self._line = b""
        self._left = 0
        self._extensions = 0
        self._trailers = bytearray()

    @property
    def done(self) -> bool:
        """True when the last byte of the message has been seen."""
        return self._state == "end"

    def feed(self, data: bytes) -> int:
        """Look at the next bytes.

        Returns:
            How many of them belong to this message.

        Raises:
            RemoteProtocolError: The framing is not what RFC 9112, 7.1 says.
        """
        position, size = 0, len(data)
        while position < size and self._state != "end":
            if self._state == "data":
                position = self._skip_data(data, position)
            elif self._state == "line":
                position = self._read_line(data, position)
            else:
                position = self._read_trailers(data, position)
        return position

    def _skip_data(self, data: bytes, position: int) -> int:
        # `_left` counts the data and its CRLF; its last two are checked one by one
        while self._left > 0 and position < len(data):
            if self._left > 2:
                step = min(self._left - 2, len(data) - position)
            else:
                step = 1
                if data[position] != (13 if self._left == 2 else 10):
                    raise RemoteProtocolError("no CRLF after the data of a chunk (RFC 9112, 7.1)")
            position += step
            self._left -= step
        if self._left == 0:
            self._state = "line"
        return position

    def _read_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position, position + self.LINE_LIMIT + 2)
        stop = len(data) if end < 0 else end + 1
        line = self._line + data[position:stop]
        if len(line) > self.LINE_LIMIT + 2:
            raise RemoteProtocolError("a chunk line of more than 4 KiB")
        if end < 0:
            if b"\r" in line[:-1]:
                raise RemoteProtocolError("a bare CR in a chunk line (RFC 9112, 7.1)")
            self._line = line
            return stop
        self._line = b""
        found = self._LINE.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if found is None:
            raise RemoteProtocolError("a chunk line that is not a size in hex (RFC 9112, 7.1)")
        self._extensions += len(found[2])
        if self._extensions > self.EXTENSIONS_LIMIT:
            raise RemoteProtocolError("more than 64 KiB of chunk extensions")
        length = int(found[1], 16)
        if length:
            self._left = length + 2
            self._state = "data"
        else:
            self._trailers = bytearray(b"\r\n")  # so that an empty section, too, ends in CRLF CRLF
            self._state = "trailers"
        return stop

    def _read_trailers(self, data: bytes, position: int) -> int:
        section = self._trailers
        seen = len(section)
        section += data[position : position + self.TRAILERS_LIMIT + 4]
        end = section.find(b"\r\n\r\n", max(0, seen - 3))
        if end < 0:
            check_more(section, seen)
            if len(section) > self.TRAILERS_LIMIT:
                raise RemoteProtocolError("a trailer section of more than 64 KiB")
            return len(data)
        del section[end + 4 :]
        check_head(bytes(section))
        if section.count(b"\r\n") > self.FIELDS_LIMIT + 2:
            raise RemoteProtocolError("more than 1,000 trailers")
        self._state = "end"
        return position + end + 4 - seen
