"""GraphQL documents, laid out; and requests that carry them, as trees.

A document is told into tokens (October 2021 edition, 2.1) and written with a line for each field.
Nothing is parsed or validated, and what is no GraphQL comes out with other blanks.
"""

from __future__ import annotations

import re
from typing import Final

MAX_DOCUMENT: Final = 256 * 1024
_MAX_INDENT: Final = 40

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]++|\\"""|\\|"(?!""))*+(?:"""|\Z)|"(?:[^"\\\n]++|\\.)*+"?|\#[^\n]*+'
    r"|\.\.\.|[A-Za-z_][A-Za-z_0-9]*+|-?[0-9][0-9.eE+-]*+|[{}()\[\]:!|&=@$,]|[^\s]",
    re.DOTALL,
)
_REQUEST: Final = re.compile(
    r'\s*+\[?\s*+\{(?:(?!"query")[^{}]){0,2000}?"query"\s*+:\s*+'
    r'"(?:\s|\\[nrt]|\\u00[0-9a-f]{2})*+(?:query|mutation|subscription|fragment|\{|#)'
)
_PERSISTED: Final = re.compile(
    r'\s*+\[?\s*+\{(?=.{0,2000}?"persistedQuery").{0,2000}?"(?:operationName|extensions)"',
    re.DOTALL,
)
_DOCUMENT: Final = re.compile(r"\s*+(?:(?:query|mutation|subscription|fragment)\b|\{|\#)")


def is_request(text: str) -> bool:
    """Whether a JSON text looks like a GraphQL request, or a batch of them."""
    head = text[:65_536]
    return bool(_REQUEST.match(head) or _PERSISTED.match(head[:8192]))


def is_document(text: str) -> bool:
    """Whether a text begins like a GraphQL document."""
    return bool(_DOCUMENT.match(text[:1000]))


def rewrite(key: str | None, depth: int, value: str) -> tuple[str, str] | None:
    """For trees of requests: the document, laid out, in place of its one line."""
    if key == "query" and depth <= 2:
        return "graphql", pretty(value)
    return None


def pretty(document: str) -> str:
    """A document with a line for each field and definition."""
    if len(document) > MAX_DOCUMENT:
        return document
    writer = _Writer()
    for match in _TOKEN.finditer(document):
        writer.add(match[0])
    return writer.joined()


class _Writer:
    """Puts tokens on lines. What stands in parentheses stays on one."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._open: list[str] = []  # brackets
        self._inline = 0  # those of them that are parentheses or brackets
        self._last = ""

    def add(self, word: str) -> None:
        """The next word."""
        if word.startswith(("#", '"""')):
            self._flush()
            self._line.append(word)
            self._flush()
        elif self._inline:
            self._add_inline(word)
        elif word == "}":
            self._flush()
            if self._open:
                self._open.pop()
            self._line.append(word)
            self._flush()
            if not self._open:
                self._lines.append("")
        else:
            if self._begins_line(word):
                self._flush()
            self._append(word)
            if word in ("(", "["):
                self._open.append(word)
                self._inline += 1
            elif word == "{":
                self._flush()
                self._open.append(word)
        self._last = word

    def _add_inline(self, word: str) -> None:
        self._append(word)
        if word in ("(", "[", "{"):
            self._open.append(word)
            self._inline += 1
        elif word in (")", "]", "}"):
            self._open.pop()
            self._inline -= 1

    def _begins_line(self, word: str) -> bool:
        """Whether a word begins a field: in braces, a name after something complete."""
        if not self._open or not self._line:
            return False
        if word == "...":
            return True
        if not (word[0].isalpha() or word[0] == "_"):
            return False
        if self._last in (":", "@", "$", "=", "|", "&") or self._last == "...":
            return False
        return not (self._last == "on" and len(self._line) > 1 and "..." in self._line)

    def _append(self, word: str) -> None:
        last = self._last
        tight = word in (",", ":", ")", "]", "!", "(") or last in ("(", "[", "$", "@", "")
        if word == "(" and last == ":":
            tight = False
        if last == "..." and word != "on" and word[0] not in "@{":
            tight = True
        if self._line and not tight:
            self._line.append(" ")
        self._line.append(word)

    def _flush(self) -> None:
        if self._line:
            depth = sum(1 for bracket in self._open[:_MAX_INDENT] if bracket == "{")
            self._lines.append("  " * depth + "".join(self._line).rstrip(" ,"))
            self._line = []

    def joined(self) -> str:
        """The lines so far."""
        self._flush()
        return "\n".join(self._lines).strip("\n")
