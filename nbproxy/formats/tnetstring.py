"""Typed netstrings, in the dialect that mitmproxy's files of flows are written in.

A value is `LENGTH ":" PAYLOAD TAG`: the decimal number of bytes of the payload, the payload, and
one byte that names the type. A file is values one after the other, without header or end mark.

| tag | value | payload |
|---|---|---|
| `,` | bytes | as they are |
| `;` | text | UTF-8 |
| `#` | integer | decimal |
| `^` | float | as Python writes it |
| `!` | truth value | `true` or `false` |
| `~` | null | empty |
| `]` | list | its items |
| `}` | dictionary | keys and values in turn |

Files come from strangers: lengths, depth and the number of lists and dictionaries are bounded, and
whatever is wrong is a `FormatError` with the byte where it stands. Lists are read as tuples, which
lets equal ones be the same object: header fields repeat from flow to flow. So do connections,
whose dictionaries (`client_conn`, `server_conn`) are not to be changed for that reason.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from nbproxy.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Value: TypeAlias = Any
"""None, bool, int, float, bytes, str, a tuple of values, or a dictionary of them."""

MAX_DIGITS: Final = 12
"""Digits of a length; every reader of this format has that bound."""

MAX_VALUE_BYTES: Final = 2**31
"""A value of a file is read whole; a larger one is refused. Bodies of 2 GB were never recorded."""

MAX_DEPTH: Final = 64
"""Flows are 6 deep; what handlers put into metadata may be deeper."""

MAX_CONTAINERS: Final = 1_000_000
"""Lists and dictionaries in one value: an empty one takes 3 bytes in a file, and 64 in memory."""

_CHUNK: Final = 2**20
_PIECE: Final = 16 * 2**20  # what is asked of a file at once, whatever a length promises
_MEMO_ENTRIES: Final = 4096
_MEMO_BYTES: Final = 256

_SHARED: Final = frozenset({"client_conn", "server_conn"})
_SHARED_ENTRIES: Final = 64
_SHARED_BYTES: Final = 2**16

_LENGTHS: Final = {str(n).encode(): n for n in range(4096)}
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,11})\Z").match
_INTEGER = re.compile(rb"-?[0-9]{1,40}\Z").match
_FLOAT = re.compile(
    rb"-?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][-+]?[0-9]{1,4})?|inf|nan)\Z"
).match
_SCALARS: Final = frozenset({bytes, str, int, float, bool, type(None)})
_OVERRUN: Final = "the value is longer than what it stands in"
# Names of a flow's fields, as they stand in a file.
_NAMES: Final = {
    f"{len(name)}:{name}".encode(): name
    for name in """address alpn alpn_offers authority backup certificate_list cipher cipher_list
    client_conn close_code close_reason closed_by_client comment content error headers host
    http_version id intercepted is_replay marked messages metadata method mitmcert msg path peername
    port proxy_mode reason request response scheme server_conn sni sockname status_code timestamp
    timestamp_created timestamp_end timestamp_start timestamp_tcp_setup timestamp_tls_setup tls
    tls_version trailers transport_protocol type version via websocket""".split()  # noqa: SIM905 - reads better so
}
_NAME_BYTES: Final = max(map(len, _NAMES)) + 1
_MAX_INTEGER: Final = 10**40
_WORDS: Final = {b"true": True, b"false": False}


class Readable(Protocol):
    """What is read from: a file opened in binary mode, or a pipe."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, b"" at the end."""
        ...


class _Parser:
    """Reads values out of bytes in memory.

    Attributes:
        data: The bytes.
        left: How many lists and dictionaries the current value may still have.
    """

    __slots__ = ("_connections", "_memo", "data", "left")

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.left = MAX_CONTAINERS
        self._memo: dict[bytes, tuple[Value, ...]] = {}
        self._connections: dict[bytes, dict[Any, Value]] = {}

    def length(self, pos: int, end: int) -> tuple[int, int]:
        """Where the payload of the value at `pos` begins, and where its tag stands."""
        colon = self.data.find(b":", pos, min(end, pos + MAX_DIGITS + 1))
        if colon < 0:
            raise FormatError("a length and a colon should stand here", offset=pos)
        match = _LENGTH(self.data[pos:colon])
        if match is None:
            raise FormatError("a length should stand here", offset=pos)
        stop = colon + 1 + int(match[1])
        if stop >= end:
            raise FormatError(_OVERRUN, offset=pos)
        return colon + 1, stop

    def items(self, pos: int, end: int, depth: int) -> list[Value]:
        """The values from `pos` to `end`."""
        found: list[Value] = []
        append = found.append
        data = self.data
        find = data.find
        length_of = _LENGTHS.get
        while pos < end:
            colon = find(b":", pos, pos + 5)
            size = length_of(data[pos:colon]) if colon > 0 else None
            if size is None:
                start, stop = self.length(pos, end)
            else:
                start = colon + 1
                stop = start + size
                if stop >= end:
                    raise FormatError(_OVERRUN, offset=pos)
            tag = data[stop]
            if tag == 0x2C:  # ,
                append(data[start:stop])
            elif tag == 0x5D:  # ]
                append(self._list(start, stop, depth + 1))
            else:
                append(self._other(tag, start, stop, depth))
            pos = stop + 1
        return found

    def dictionary(self, pos: int, end: int, depth: int) -> dict[Any, Value]:
        """The dictionary whose payload lies there; keys of bytes are read as text.

        Most of what reading a file costs is spent here: the same loop as in `items`, with what is
        common in a flow's dictionaries looked for first. Places up to `end` can be asked for, since
        the dictionary's own tag stands there.
        """
        self._count(pos, depth)
        made: dict[Any, Value] = {}
        data = self.data
        find = data.find
        length_of = _LENGTHS.get
        name_of = _NAMES.get
        count = 0
        while pos < end:
            count += 1
            semicolon = find(b";", pos, pos + _NAME_BYTES)
            name = name_of(data[pos:semicolon]) if semicolon > 0 else None
            if name is None:
                name, pos = self._key(pos, end, depth)
            else:
                pos = semicolon + 1
            if pos >= end:
                raise FormatError("a key without a value", offset=pos)
            if data[pos + 1] == 0x3A and 0x30 <= data[pos] <= 0x39:  # one digit and a colon
                start = pos + 2
                stop = start + data[pos] - 0x30
            else:
                colon = find(b":", pos, pos + 5)
                size = length_of(data[pos:colon]) if colon > 0 else None
                if size is None:
                    start, stop = self.length(pos, end)
                else:
                    start = colon + 1
                    stop = start + size
            if stop >= end:
                raise FormatError(_OVERRUN, offset=pos)
            tag = data[stop]
            if tag == 0x7E and start == stop:  # ~
                made[name] = None
            elif tag == 0x2C:  # ,
                made[name] = data[start:stop]
            elif tag == 0x5E and _FLOAT(payload := data[start:stop]):  # ^
                made[name] = float(payload)
            elif tag == 0x5D:  # ]
                made[name] = self._list(start, stop, depth + 1)
            elif tag == 0x7D and name in _SHARED and depth == 1:  # }
                made[name] = self._connection(start, stop)
            else:
                made[name] = self._other(tag, start, stop, depth)
            pos = stop + 1
        if len(made) != count:
            raise FormatError("a key that occurs twice in its dictionary", offset=pos)
        return made

    def _key(self, pos: int, end: int, depth: int) -> tuple[Value, int]:
        """The key at `pos`, and where its value begins."""
        start, stop = self.length(pos, end)
        tag = self.data[stop]
        if tag == 0x2C:  # Python 2 wrote bytes for names
            return self.data[start:stop].decode("utf-8", "surrogateescape"), stop + 1
        if tag in b"]}":
            raise FormatError("a list or dictionary as a key", offset=pos)
        return self._other(tag, start, stop, depth), stop + 1

    def _list(self, start: int, stop: int, depth: int) -> tuple[Value, ...]:
        small = stop - start <= _MEMO_BYTES
        if small:
            payload = self.data[start:stop]
            known = self._memo.get(payload)
            if known is not None:
                return known
        self._count(start, depth)
        found = tuple(self.items(start, stop, depth))
        if small and _SCALARS.issuperset(map(type, found)):
            if len(self._memo) >= _MEMO_ENTRIES:
                self._memo.clear()
            self._memo[payload] = found
        return found

    def _connection(self, start: int, stop: int) -> dict[Any, Value]:
        """A connection: flows that came over one and the same have it byte for byte."""
        if stop - start > _SHARED_BYTES:
            return self.dictionary(start, stop, 2)
        payload = self.data[start:stop]
        known = self._connections.get(payload)
        if known is None:
            known = self.dictionary(start, stop, 2)
            self._connections[payload] = known
            if len(self._connections) > _SHARED_ENTRIES:
                del self._connections[next(iter(self._connections))]
        return known

    def _count(self, start: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", offset=start)
        self.left -= 1
        if self.left < 0:
            raise FormatError(f"more than {MAX_CONTAINERS} lists in one value", offset=start)

    def _other(self, tag: int, start: int, stop: int, depth: int) -> Value:
        if tag == 0x7D:  # }
            return self.dictionary(start, stop, depth + 1)
        payload = self.data[start:stop]
        if tag == 0x3B:  # ;
            try:
                return str(payload, "utf-8")
            except UnicodeDecodeError as error:
                raise FormatError("text that is not UTF-8", offset=start + error.start) from None
        if tag == 0x5E:  # ^
            if _FLOAT(payload):
                return float(payload)
            raise FormatError("this is no number", offset=start)
        if tag == 0x23:  # #
            if _INTEGER(payload):
                return int(payload)
            raise FormatError("this is no integer, or too long a one", offset=start)
        if tag == 0x21 and payload in _WORDS:  # !
            return _WORDS[payload]
        if tag == 0x7E and not payload:  # ~
            return None
        raise FormatError(f"unknown type {chr(tag)!r} of value", offset=stop)


def parse(data: bytes) -> Value:
    """The one value that these bytes are.

    Raises:
        FormatError: They are none, or more than one.
    """
    found = _Parser(data).items(0, len(data), 0)
    if len(found) != 1:
        raise FormatError(f"{len(found)} values, not one", offset=0)
    return found[0]


def read(file: Readable) -> Iterator[tuple[int, Value]]:
    """The values of a file, one by one; memory is held for one of them and a chunk of 1 MiB.

    Args:
        file: Read to its end, not closed.

    Yields:
        Where the value begins, counted from where reading began, and the value.

    Raises:
        FormatError: A value is damaged or incomplete; those before it have been given.
    """
    parser = _Parser()
    base = pos = 0  # offset of the parser's bytes in the file; place in them
    while True:
        data = parser.data
        if len(data) - pos <= MAX_DIGITS:
            data = parser.data = data[pos:] + _read(file, _CHUNK)
            base, pos = base + pos, 0
            if not data:
                return
        try:
            start, stop = _extent(data, pos)
            if stop >= len(data):
                data = parser.data = _complete(file, data, pos, stop + 1)
                base, start, stop, pos = base + pos, start - pos, stop - pos, 0
            parser.left = MAX_CONTAINERS
            value = parser.items(pos, stop + 1, 0)[0]
        except FormatError as error:
            error.offset = base + (error.offset or 0)
            raise
        yield base + pos, value
        pos = stop + 1


def _read(file: Readable, wanted: int) -> bytes:
    """So many bytes, fewer only at the end."""
    data = file.read(wanted)
    if not data or len(data) == wanted:
        return data
    pieces = [data]
    wanted -= len(data)
    while wanted > 0 and (data := file.read(min(wanted, _PIECE))):  # a pipe gives what it has
        pieces.append(data)
        wanted -= len(data)
    return b"".join(pieces)


def _extent(data: bytes, pos: int) -> tuple[int, int]:
    """Begin of the payload and place of the tag of the value at `pos`, which may lie beyond."""
    colon = data.find(b":", pos, pos + MAX_DIGITS + 1)
    digits = data[pos:colon] if colon >= 0 else data[pos : pos + MAX_DIGITS + 1]
    if colon < 0 and len(digits) <= MAX_DIGITS and digits.isdigit():
        raise FormatError("the file ends here, inside a length: it was cut off", offset=pos)
    match = _LENGTH(digits)
    if colon < 0 or match is None:
        raise FormatError("a length should stand here: the file is damaged", offset=pos)
    size = int(match[1])
    if size > MAX_VALUE_BYTES:
        raise FormatError(f"a value of {size} bytes, more than can be read", offset=pos)
    return colon + 1, colon + 1 + size


def _complete(file: Readable, data: bytes, pos: int, end: int) -> bytes:
    """The bytes from `pos` to `end`, of which `data` has the first, and what else comes along."""
    pieces, have = [data[pos:]], len(data)
    while have < end:
        # a chunk more than it takes, so that small values are not read one by one
        piece = file.read(min(end - have + _CHUNK, _PIECE))
        if not piece:
            raise FormatError(
                f"the file ends {end - have} bytes before the end of the value that begins here: "
                "it was cut off",
                offset=pos,
            )
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)


def write(value: Value) -> bytes:
    """A value as bytes.

    Raises:
        TypeError: It is, or holds, something else than what the format has.
        ValueError: It is nested too deeply to be read again, or refers to itself.
    """
    pieces: list[bytes] = []
    _write(value, pieces.append, 0)
    return b"".join(pieces)


def _write(value: Value, put: Callable[[bytes], Any], depth: int) -> int:
    """Put the pieces of a value, and say how many bytes they are."""
    kind = type(value)
    if kind is bytes or kind is str:
        raw = value if kind is bytes else value.encode("utf-8", "replace")
        head = b"%d:" % len(raw)
        put(head)
        put(raw)
        put(b"," if kind is bytes else b";")
        return len(head) + len(raw) + 1
    if kind is dict or kind is tuple or kind is list:
        if depth >= MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        pieces: list[bytes] = []
        items = chain.from_iterable(value.items()) if kind is dict else value
        size = sum(_write(item, pieces.append, depth + 1) for item in items)
        head = b"%d:" % size
        put(head)
        put(b"".join(pieces))
        put(b"}" if kind is dict else b"]")
        return len(head) + size + 1
    written = _scalar(value)
    put(written)
    return len(written)


def _scalar(value: Value) -> bytes:
    if value is None:
        return b"0:~"
    if value is True:
        return b"4:true!"
    if value is False:
        return b"5:false!"
    if isinstance(value, float):
        text, tag = float.__repr__(value), "^"
    elif isinstance(value, int):
        if abs(value) >= _MAX_INTEGER:
            raise ValueError("an integer of more than 40 digits")
        text, tag = int.__repr__(value), "#"
    else:
        raise TypeError(f"a {type(value).__name__} cannot be written: {value!r:.60}")
    return f"{len(text)}:{text}{tag}".encode()
