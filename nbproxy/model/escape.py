r"""Text from the wire, made safe to show.

Captured text may hold terminal escapes, bidirectional overrides that reorder what a reader sees
(CVE-2021-42574), zero-width characters, NUL, or lone surrogates that no UTF-8 writer accepts, so
that a notebook could not be saved. `visible` turns each of them into a Python-style escape
(`\x1b`, `\u202e`) and bounds the length. A backslash stays as it is: the result is for eyes,
not for parsing back. HTML is escaped where HTML is made, not here.
"""

from __future__ import annotations

import re

# Printable to Unicode (marks and letters) and yet drawn as nothing: combining grapheme joiner,
# Hangul fillers, Khmer inherent vowels, Mongolian selectors, and the variation selectors except
# U+FE0E and U+FE0F, which emoji in plain use carry.
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0d"
_INVISIBLE_RE = re.compile(f"[{_INVISIBLE}\U000e0100-\U000e01ef]")
# Blanks that are no more than blanks: not escaped though str.isprintable() says no.
_BLANKS = frozenset("\u00a0\u2002\u2003\u2009\u202f\u3000")
_LAYOUT = frozenset("\n\t")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str, limit: int = 1000, *, multiline: bool = False) -> str:
    r"""`text` with everything invisible or active shown as an escape.

    Args:
        text: Any string, lone surrogates included.
        limit: How many characters of `text` to show at most; past it the result ends in an
            ellipsis with the count of what is missing.
        multiline: Keep line feeds and tabs (for bodies), and read CR LF as LF. Otherwise the
            result is one line.

    >>> print(visible("a\x1b[31mb\u202e\x00"))
    a\x1b[31mb\u202e\x00
    >>> visible("abcdef", 4)
    'abcd… (+2 characters)'
    """
    left_out = len(text) - limit
    if left_out > 0:
        text = text[:limit]
    shown = text if text.isascii() and text.isprintable() else _escaped(text, multiline)
    return f"{shown}… (+{left_out:,} characters)" if left_out > 0 else shown


def _escaped(text: str, multiline: bool) -> str:
    keep = _BLANKS
    if multiline:
        text = text.replace("\r\n", "\n")
        keep = _BLANKS | _LAYOUT
    if text.isprintable() and not _INVISIBLE_RE.search(text):
        return text
    return "".join(
        char
        if char in keep or (char.isprintable() and not _INVISIBLE_RE.match(char))
        else _escape(char)
        for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return _SHORT.get(char) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
