"""Header fields: ordered, multi-valued, case-insensitive by name (RFC 9110, 5).

A `Headers` keeps the pairs exactly as they came: order, case and repetition survive. Lookups fold
the case of ASCII names only. What is assigned is checked at once (RFC 9110, 5.1 and 5.5), so that
nothing a handler sets can break the framing of a message: the error points at the handler's line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

Fields = tuple[tuple[bytes, bytes], ...]

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# HTAB, SP, visible ASCII and obs-text (RFC 9110, 5.5)
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def _to_bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    except AttributeError:
        raise TypeError(f"header names and values are str or bytes, not {text!r}") from None


def _to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _folded(name: str | bytes) -> bytes:
    """A name as it is compared; what no name can be is not there, which is no error."""
    try:
        return _to_bytes(name).lower()
    except UnicodeEncodeError:  # a lone surrogate
        return b"\0"


def check_name(name: str | bytes, what: str = "field name") -> bytes:
    """The bytes of a field name, or of something else that is made like one.

    Args:
        name: It.
        what: What it should be, for the message.

    Raises:
        ValueError: It is not a token (RFC 9110, 5.1).
    """
    raw = _to_bytes(name)
    if _NAME.fullmatch(raw) is None:
        raise ValueError(f"{name!r} is not a {what}: letters, digits and !#$%&'*+-.^_`|~ only")
    return raw


def check_value(value: str | bytes) -> bytes:
    """The bytes of a field value; text becomes UTF-8, surrogate escapes the bytes they came from.

    Raises:
        ValueError: It has a control character, which would break the head (RFC 9110, 5.5).
    """
    raw = _to_bytes(value)
    if _VALUE.fullmatch(raw) is None:
        raise ValueError(f"{value!r} cannot be a field value: it has a control character")
    return raw


class Headers(MutableMapping[str, str]):
    """The fields of a head or of a trailer section, in order.

    Behaves as a mapping from name to value, case-insensitive. Where a field occurs more than once,
    the value is the list joined by ", " (RFC 9110, 5.3); `get_all` gives them one by one, which is
    the only right way for `Set-Cookie`.

    Args:
        fields: Pairs of raw name and value, or a mapping (of other headers, each line), or nothing.
        **named: More fields; underscores in the names become hyphens.

    Attributes:
        fields: The pairs of bytes, as they came or will be sent.

    Example:
        >>> headers = Headers([(b"Accept", b"text/html")], x_seen="1")
        >>> headers["accept"], headers["X-Seen"]
        ('text/html', '1')
    """

    __slots__ = ("fields",)

    fields: Fields

    def __init__(
        self,
        fields: Iterable[tuple[str | bytes, str | bytes]] | Mapping[str, str] = (),
        **named: str | bytes,
    ) -> None:
        if isinstance(fields, Headers):
            self.fields = fields.fields  # not `items()`, which would join the Set-Cookie lines
        else:
            pairs = fields.items() if isinstance(fields, Mapping) else fields
            self.fields = tuple((check_name(n), check_value(v)) for n, v in pairs)
        for name, value in named.items():
            self[name.replace("_", "-")] = value  # type: ignore[assignment] # bytes are taken too

    @classmethod
    def from_wire(cls, fields: Fields) -> Self:
        """Headers of pairs that a parser has checked already; takes the tuple as it is."""
        self = cls.__new__(cls)
        self.fields = fields
        return self

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __setitem__(self, name: str, value: str) -> None:
        self.set_all(name, (value,))

    def __delitem__(self, name: str) -> None:
        wanted = _folded(name)
        kept = tuple(field for field in self.fields if field[0].lower() != wanted)
        if len(kept) == len(self.fields):
            raise KeyError(name)
        self.fields = kept

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, (str, bytes)):
            return False
        wanted = _folded(name)
        return any(field[0].lower() == wanted for field in self.fields)

    def __iter__(self) -> Iterator[str]:
        seen = set()
        for name, _ in self.fields:
            if (folded := name.lower()) not in seen:
                seen.add(folded)
                yield _to_text(name)

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.fields})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment] # mutable

    def __bytes__(self) -> bytes:
        """The lines as HTTP/1.1 writes them, each with its CRLF, without the closing empty line."""
        return b"".join(name + b": " + value + b"\r\n" for name, value in self.fields)

    def __repr__(self) -> str:
        # Values are left out on purpose: a repr ends up in notebooks, and notebooks are committed.
        return f"<Headers: {', '.join(self)}>"

    def get_all(self, name: str | bytes) -> list[str]:
        """All values of a field in order, [] if there is none."""
        wanted = _folded(name)
        return [_to_text(v) for n, v in self.fields if n.lower() == wanted]

    def get_first(self, name: str | bytes) -> bytes | None:
        """The first value of a field as bytes, None if there is none."""
        wanted = _folded(name)
        for raw_name, value in self.fields:
            if raw_name.lower() == wanted:
                return value
        return None

    def set_all(self, name: str | bytes, values: Iterable[str | bytes]) -> None:
        """Give a field these values; the first ones take the places of the old ones.

        Raises:
            ValueError: The name or a value cannot stand in a head.
        """
        raw_name = check_name(name)
        wanted = raw_name.lower()
        coming = [check_value(value) for value in values]
        fields: list[tuple[bytes, bytes]] = []
        for field in self.fields:
            if field[0].lower() != wanted:
                fields.append(field)
            elif coming:
                fields.append((raw_name, coming.pop(0)))
        fields.extend((raw_name, value) for value in coming)
        self.fields = tuple(fields)

    def add(self, name: str | bytes, value: str | bytes) -> None:
        """Append a field; others of that name stay.

        Raises:
            ValueError: The name or the value cannot stand in a head.
        """
        self.fields = (*self.fields, (check_name(name), check_value(value)))

    def insert(self, index: int, name: str | bytes, value: str | bytes) -> None:
        """Insert a field before position `index` of `fields`.

        Raises:
            ValueError: The name or the value cannot stand in a head.
        """
        fields = list(self.fields)
        fields.insert(index, (check_name(name), check_value(value)))
        self.fields = tuple(fields)

    def items(self, multi: bool = False) -> list[tuple[str, str]]:  # type: ignore[override] # mitmproxy's signature
        """Pairs of name and value as text; with `multi`, one pair for each field line."""
        if multi:
            return [(_to_text(n), _to_text(v)) for n, v in self.fields]
        return [(name, self[name]) for name in self]

    def copy(self) -> Self:
        """An independent copy; cheap, since the pairs are shared until one side changes."""
        return self.from_wire(self.fields)
