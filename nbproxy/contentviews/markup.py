"""XML and HTML as indented source: told into tags and text, and neither parsed nor resolved.

No entity is looked up, no DTD is read, nothing is loaded. The tokenizer takes whatever it meets,
consumes every character once, and so takes linear time over any input.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As of indented JSON: more than this is not indented any further.
MAX_SOURCE: Final = 16 * 2**20
_MAX_INDENT: Final = 40
_MAX_INLINE: Final = 100
#: Tags and texts that are laid out; what follows stays as it is.
MAX_TOKENS: Final = 300_000

# A tag that is not closed ends before the next one, a quoted value that is not at the end.
_TAG: Final = re.compile(
    r"""</?+([A-Za-z_:][^\s<>/]*+)(?:[^<>"']++|"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z))*+>?"""
)
_PAIRS: Final = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"))
_DECLARATION: Final = re.compile(r"<![^<>\[]*+(?:\[[^\]]*+(?:\]\s*+>|\]|\Z))?+>?")
_VOID: Final = frozenset(
    """area base br col embed hr img input link meta param source track wbr""".split()  # noqa: SIM905 - reads better so
)
_AS_IS: Final = {
    name: re.compile(rf"</{name}(?=[\s/>]|\Z)", re.IGNORECASE)
    for name in ("script", "style", "textarea", "pre", "title")
}


def indented(text: str, *, html: bool) -> str:
    """The source with a line for each tag, and each text that is not short."""
    out = _Lines()
    open_names: list[str] = []
    open_counts: dict[str, int] = {}
    for number, (kind, start, stop, name) in enumerate(_tokens(text, html=html)):
        if out.length > MAX_SOURCE or number >= MAX_TOKENS:
            out.rest(text[start:])
            break
        piece = text[start:stop] if kind == "as is" else text[start:stop].strip()
        if kind == "open":
            out.line(len(open_names), piece, kind)
            open_names.append(name)
            open_counts[name] = open_counts.get(name, 0) + 1
        elif kind == "close":
            if open_counts.get(name):  # else it closes nothing
                while True:
                    last = open_names.pop()
                    open_counts[last] -= 1
                    if last == name:
                        break
            out.line(len(open_names), piece, kind)
        elif piece:
            out.line(len(open_names), piece, kind)
    return out.joined()


class _Lines:
    """Lines on their way out; an element with a short text stays on one."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._last: tuple[str, str] = ("", "")  # the kinds of the last two
        self.length = 0

    def line(self, depth: int, piece: str, kind: str) -> None:
        lines, last = self._lines, self._last
        short = bool(lines) and len(lines[-1]) + len(piece) <= 2 * _MAX_INLINE
        if kind == "close" and last == ("open", "text") and short and len(lines[-1]) < _MAX_INLINE:
            text = lines.pop().strip()
            lines[-1] += text + piece
        elif (kind == "close" and last[1] in ("open", "as is")) or (
            kind == "as is" and last[1] == "open"
        ):
            lines[-1] += piece
        else:
            margin = "  " * min(depth, _MAX_INDENT)
            lines.append(f"{margin}{piece}")
            self.length += len(margin)
        self.length += len(piece) + 1
        self._last = (last[1], kind)

    def rest(self, piece: str) -> None:
        self._lines.append(piece)

    def joined(self) -> str:
        return "\n".join(self._lines)


def _tokens(text: str, *, html: bool) -> Iterator[tuple[str, int, int, str]]:
    """Kind ("open", "close", "single", "text", "as is"), bounds and name of each piece."""
    position, end = 0, len(text)
    while position < end:
        start = text.find("<", position)
        start = end if start < 0 else start
        if start > position:
            yield "text", position, start, ""
            position = start
            continue
        kind, stop, name = _piece(text, position, html=html)
        yield kind, position, stop, name
        position = stop
        if html and kind == "open" and name in _AS_IS:
            match = _AS_IS[name].search(text, position)
            stop = match.start() if match else end
            if stop > position:
                yield "as is", position, stop, ""
            position = stop


def _piece(text: str, start: int, *, html: bool) -> tuple[str, int, str]:
    """Kind, end and name of what begins with "<" here."""
    for opening, closing in _PAIRS:
        if text.startswith(opening, start):
            stop = text.find(closing, start + len(opening))
            return "single", len(text) if stop < 0 else stop + len(closing), ""
    if text.startswith("<!", start):
        match = _DECLARATION.match(text, start)
        return "single", match.end() if match else start + 2, ""
    match = _TAG.match(text, start)
    if match is None:
        following = text.find("<", start + 1)
        return "text", len(text) if following < 0 else following, ""
    name = match[1].lower() if html else match[1]
    if text.startswith("</", start):
        return "close", match.end(), name
    alone = text.endswith("/>", start, match.end()) or (html and name in _VOID)
    return "single" if alone else "open", match.end(), name
