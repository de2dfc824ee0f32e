"""Byte strings as text: what scripts of Python 2's time get for bodies, and give back.

Python 2's `str` was bytes and text in one. Here bytes are shown as text by one rule, everywhere:
**valid UTF-8 is decoded as that; all else as latin-1**, one character for each byte. So
`"é" in content`, regexes, `json.loads` and `print` see real text, images and gzip data can be taken
apart byte by byte, and nothing is lost either way: a `ByteText` remembers which of the two it was.
"""

from __future__ import annotations

import builtins
import codecs
import sys
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from typing import Self

_TO_BYTES = ("hex", "base64", "zlib", "bz2", "quopri", "uu")


class ByteText(str):
    """Text made of bytes, or meant to become bytes.

    A `str` in every respect, with Python 2's `decode` and, for scripts, `encode` on top. What it is
    sliced or changed into is one too.

    Attributes:
        encoding: How it becomes bytes: "utf-8" or "latin-1".
    """

    __slots__ = ("encoding",)

    encoding: str

    def __new__(cls, value: object = "", encoding: str = "utf-8") -> Self:
        """Text that becomes bytes by this encoding."""
        self = super().__new__(cls, value)
        self.encoding = encoding
        return self

    def __bytes__(self) -> bytes:
        return data(self)

    def decode(self, encoding: str = "ascii", errors: str = "strict") -> str:
        """What Python 2's `str.decode` gave: text, or bytes shown as text ("hex", "base64")."""
        name = encoding.lower().replace("-", "_")
        if name in _TO_BYTES:
            return text(_by_codec(codecs.decode, data(self), name))
        if name == "string_escape":
            return text(data(self).decode("unicode_escape").encode("latin-1"))
        if name == "rot13":
            return codecs.decode(str(self), "rot13")
        if name == "ascii" and self.encoding == "utf-8" and errors == "strict":
            # Python 2 raised; whoever wrote that had no such text, and we show text already
            return str(self)
        return data(self).decode(encoding, errors)

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> Any:
        """What Python 2's `encode` gave: a byte string, which is text here again.

        A library that is handed such text takes it for a `str`, whose `encode` gives bytes.
        """
        name = encoding.lower().replace("-", "_")
        if name in _TO_BYTES:
            return text(_by_codec(codecs.encode, data(self), name))
        if name == "string_escape":
            return text(data(self).decode("latin-1").encode("unicode_escape"))
        if name == "rot13":
            return codecs.encode(str(self), "rot13")
        if _asked_by_library():
            return data(self) if name in {"utf8", "utf_8"} else super().encode(encoding, errors)
        if self.encoding == "latin-1" and name in {"utf8", "utf_8"}:
            return self
        return text(super().encode(encoding, errors))

    def _like(self, value: str) -> ByteText:
        return ByteText(value, self.encoding)

    def __getitem__(self, key: SupportsIndex | slice) -> ByteText:
        return self._like(super().__getitem__(key))

    def __add__(self, other: str) -> ByteText:
        return self._like(super().__add__(_str(other)))

    def __radd__(self, other: str) -> ByteText:
        return self._like(_str(other) + str(self))

    def __mod__(self, value: Any) -> ByteText:
        return self._like(super().__mod__(value))

    def replace(self, old: str | bytes, new: str | bytes, count: SupportsIndex = -1) -> ByteText:
        """As `str.replace`; takes bytes too."""
        return self._like(super().replace(_str(old), _str(new), count))

    def strip(self, chars: str | None = None) -> ByteText:
        """As `str.strip`."""
        return self._like(super().strip(chars))

    def lower(self) -> ByteText:
        """As `str.lower`."""
        return self._like(super().lower())

    def upper(self) -> ByteText:
        """As `str.upper`."""
        return self._like(super().upper())

    def __contains__(self, item: object) -> bool:
        return super().__contains__(_str(item))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bytes):
            return data(self) == other
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def text(raw: bytes) -> ByteText:
    """Bytes as text, by the rule above."""
    try:
        return ByteText(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return ByteText(raw.decode("latin-1"), "latin-1")


def data(value: object, like: str = "utf-8") -> bytes:
    """The bytes of what a script gave as a body.

    Args:
        value: Text, bytes, or anything that Python 2's `str` would have made text of.
        like: The encoding of what it replaces, for text that does not say so itself.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    encoding = value.encoding if isinstance(value, ByteText) else like
    plain = str(value)
    if encoding == "latin-1":
        try:
            return str.encode(plain, "latin-1")
        except UnicodeEncodeError:
            pass
    return str.encode(plain, "utf-8", "surrogateescape")


def _asked_by_library() -> bool:
    """Whether the caller's caller is no script: scripts have builtins of their own."""
    return sys._getframe(2).f_builtins is vars(builtins)  # noqa: SLF001 - Python's way to ask


def _by_codec(function: Any, raw: bytes, name: str) -> bytes:
    made: bytes = function(raw, f"{name}_codec")
    return made


def _str(value: object) -> Any:
    """Bytes as text; all else as it is."""
    return str(text(value)) if isinstance(value, bytes) else value
