"""Bytes that take text where bytes are wanted, as Python 2's did.

Scripts of 0.18 ran on both Pythons, and some examples up to 6.0 pass text to the methods of a
chunk. Correct scripts notice nothing.
"""

from __future__ import annotations

import codecs
from typing import Any


def to_bytes(value: Any) -> Any:
    """Text as bytes, byte for character where it fits; anything else as it is."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value.encode()
    if isinstance(value, tuple):
        return tuple(to_bytes(each) for each in value)
    return value


def unescape(value: Any) -> bytes:
    r"""A pattern or replacement as 0.18 to 5.1 took them: text has Python's escapes undone.

    >>> unescape("a\\n")
    b'a\n'
    """
    if isinstance(value, bytes):
        return value
    return bytes(codecs.escape_decode(str(value).encode("utf-8", "surrogateescape"))[0])


class TolerantBytes(bytes):
    """Bytes whose methods take text too."""

    __slots__ = ()

    def __contains__(self, key: Any) -> bool:
        return super().__contains__(to_bytes(key))

    def __add__(self, other: Any) -> TolerantBytes:
        return TolerantBytes(super().__add__(to_bytes(other)))

    def __radd__(self, other: Any) -> TolerantBytes:
        return TolerantBytes(to_bytes(other) + bytes(self))

    def __mod__(self, other: Any) -> TolerantBytes:
        return TolerantBytes(super().__mod__(to_bytes(other)))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(to_bytes(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = bytes.__hash__


def _tolerant(name: str) -> Any:
    plain = getattr(bytes, name)

    def method(self: TolerantBytes, *args: Any) -> Any:
        made = plain(self, *(to_bytes(arg) for arg in args))
        return TolerantBytes(made) if isinstance(made, bytes) else made

    method.__name__ = name
    method.__doc__ = plain.__doc__
    return method


for _name in (
    *("replace", "split", "rsplit", "find", "rfind", "index", "rindex", "count", "startswith"),
    *("endswith", "strip", "lstrip", "rstrip", "partition", "rpartition", "join"),
):
    setattr(TolerantBytes, _name, _tolerant(_name))
