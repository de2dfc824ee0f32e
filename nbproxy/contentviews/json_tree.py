"""JSON as a tree, or as indented source; also JSON lines, text sequences, and what was cut off.

Read by a wordizer and a table of states rather than `json.loads`: numbers keep their spelling,
names that occur twice are both shown, depth costs no recursion, and of a damaged document
everything before the damage is seen.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.contentviews.building import TreeBuilder

#: Indented source may become so long; nesting that grows beyond it is shown as it is.
MAX_SOURCE: Final = 16 * 2**20
_MAX_INDENT: Final = 40
#: Tokens that are read: what bounds the time that hostile text takes.
MAX_TOKENS: Final = 400_000

# Record separators stand between the texts of a sequence (RFC 7464).
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\],:]|[^\s\x1e{}\[\],:"]++', re.DOTALL
)
_WORD: Final = re.compile(
    r"(?:true|false|null)|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
)
# What servers put before JSON so that no page can load it as a script.
_GUARD: Final = re.compile(r"\ufeff?\s*(?:\)\]\}'?,?|while\(1\);|for\(;;\);)?")
_OBJECT: Final = ord("{")
_ARRAY: Final = ord("[")


def read(text: str, builder: TreeBuilder) -> list[str]:
    """Report what is in a JSON text, or in several after each other.

    Returns:
        Notes, if it is not quite JSON.
    """
    guard = _GUARD.match(text)
    start = guard.end() if guard else 0
    reader = _Reader(builder)
    notes = []
    if text[:start].strip("\ufeff \t\r\n"):
        notes.append("It begins with a guard against being loaded as a script.")
    for number, match in enumerate(_TOKEN.finditer(text, start)):
        if number >= MAX_TOKENS:
            notes.append(f"Read as far as character {match.start():,}.")
            return notes
        if not reader.state(match[0]):
            notes.append(f"Not valid JSON from character {match.start():,} on.")
            return notes
    if reader.is_open:
        notes.append("The JSON has no end: it is cut off.")
    return notes


class _Reader:
    """The states of a reader of JSON; each takes a word and says whether it may stand there."""

    def __init__(self, builder: TreeBuilder) -> None:
        self._builder = builder
        self._stack = bytearray()
        self.state: Callable[[str], bool] = self._value

    @property
    def is_open(self) -> bool:
        """Whether something is missing at the end."""
        return bool(self._stack)

    def _value(self, word: str) -> bool:
        first = word[0]
        if first == '"':
            builder = self._builder
            builder.leaf("string", unquoted(word) if builder.wants else "", lines=True)
            self.state = self._after
            return True
        if first == "{":
            self._builder.open("object")
            self._stack.append(_OBJECT)
            self.state = self._first_name
            return True
        if first == "[":
            self._builder.open("array")
            self._stack.append(_ARRAY)
            self.state = self._first_value
            return True
        if not _WORD.fullmatch(word):
            return False
        type_ = {"t": "boolean", "f": "boolean", "n": "null"}.get(first, "number")
        self._builder.leaf(type_, word)
        self.state = self._after
        return True

    def _first_value(self, word: str) -> bool:
        return self._end(_ARRAY) if word == "]" else self._value(word)

    def _first_name(self, word: str) -> bool:
        return self._end(_OBJECT) if word == "}" else self._name(word)

    def _name(self, word: str) -> bool:
        if word[0] != '"':
            return False
        self._builder.key(unquoted(word))
        self.state = self._colon
        return True

    def _colon(self, word: str) -> bool:
        self.state = self._value
        return word == ":"

    def _after(self, word: str) -> bool:
        if not self._stack:
            return self._value(word)
        if word == ",":
            self.state = self._value if self._stack[-1] == _ARRAY else self._name
            return True
        if word in ("}", "]"):
            return self._end(_OBJECT if word == "}" else _ARRAY)
        return False

    def _end(self, kind: int) -> bool:
        if self._stack[-1] != kind:
            return False
        self._stack.pop()
        self._builder.close()
        self.state = self._after
        return True


def unquoted(word: str) -> str:
    """What a JSON string says; what is damaged stays as it is."""
    if "\\" in word:
        try:
            found = json.loads(word, strict=False)
        except ValueError:
            found = word[1:]
        return str(found)
    return word[1:-1] if len(word) > 1 and word[-1] == '"' else word[1:]


def indented(text: str) -> str:
    """JSON with indentation, not a character of its values changed; as it is if it grows a lot."""
    pieces: list[str] = []
    depth = length = 0
    opening = False
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number >= MAX_TOKENS:
            pieces.append(text[match.start() :])
            break
        word = match[0]
        if word in ("}", "]"):
            depth -= 1
            pieces.append(word if opening else f"\n{'  ' * min(depth, _MAX_INDENT)}{word}")
        else:
            if opening or (not depth and pieces and word not in (",", ":")):
                pieces.append(f"\n{'  ' * min(depth, _MAX_INDENT)}")
            pieces.append(word)
        opening = word in ("{", "[")
        if opening:
            depth += 1
        elif word == ",":
            pieces.append(f"\n{'  ' * min(depth, _MAX_INDENT)}")
        elif word == ":":
            pieces.append(" ")
        length += len(word) + 2 * min(max(depth, 0), _MAX_INDENT)
        if length > MAX_SOURCE:
            return text
    return "".join(pieces)
