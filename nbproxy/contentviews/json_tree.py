"""JSON as a tree, or as indented source; also JSON lines, text sequences, and what was cut off.

Read by a tokenizer and a table of states rather than `json.loads`: numbers keep their spelling,
names that occur twice are both shown, depth costs no recursion, and of a damaged document
everything before the damage is seen.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews.building import TreeBuilder

if TYPE_CHECKING:
    from collections.abc import Callable

#: Indented source may become so long; nesting that grows beyond it is shown as it is.
MAX_SOURCE: Final = 16 * 2**20
_MAX_INDENT: Final = 40

# Record separators stand between the texts of a sequence (RFC 7464).
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\],:]|[^\s\x1e{}\[\],:"]++', re.DOTALL
)
_WORD: Final = re.compile(r"(?:true|false|null)|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
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
    for match in _TOKEN.finditer(text, start):
        if not reader.state(match[0]):
            notes.append(f"Not valid JSON from character {match.start():,} on.")
            return notes
    if reader.is_open:
        notes.append("The JSON has no end: it is cut off.")
    return notes


class _Reader:
    """The states of a reader of JSON; each takes a token and says whether it may stand there."""

    def __init__(self, builder: TreeBuilder) -> None:
        self._builder = builder
        self._stack = bytearray()
        self.state: Callable[[str], bool] = self._value

    @property
    def is_open(self) -> bool:
        """Whether something is missing at the end."""
        return bool(self._stack)

    def _value(self, token: str) -> bool:
        first = token[0]
        if first == '"':
            builder = self._builder
            builder.leaf("string", unquoted(token) if builder.wants else "", lines=True)
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
        if not _WORD.fullmatch(token):
            return False
        type_ = {"t": "boolean", "f": "boolean", "n": "null"}.get(first, "number")
        self._builder.leaf(type_, token)
        self.state = self._after
        return True

    def _first_value(self, token: str) -> bool:
        return self._end(_ARRAY) if token == "]" else self._value(token)

    def _first_name(self, token: str) -> bool:
        return self._end(_OBJECT) if token == "}" else self._name(token)

    def _name(self, token: str) -> bool:
        if token[0] != '"':
            return False
        self._builder.key(unquoted(token))
        self.state = self._colon
        return True

    def _colon(self, token: str) -> bool:
        self.state = self._value
        return token == ":"

    def _after(self, token: str) -> bool:
        if not self._stack:
            return self._value(token)
        if token == ",":
            self.state = self._value if self._stack[-1] == _ARRAY else self._name
            return True
        if token in ("}", "]"):
            return self._end(_OBJECT if token == "}" else _ARRAY)
        return False

    def _end(self, kind: int) -> bool:
        if self._stack[-1] != kind:
            return False
        self._stack.pop()
        self._builder.close()
        self.state = self._after
        return True


def unquoted(token: str) -> str:
    """What a JSON string says; what is damaged stays as it is."""
    if "\\" in token:
        try:
            found = json.loads(token, strict=False)
        except ValueError:
            found = token[1:]
        return str(found)
    return token[1:-1] if len(token) > 1 and token[-1] == '"' else token[1:]


def indented(text: str) -> str:
    """JSON with indentation, not a character of its values changed; as it is if it grows a lot."""
    pieces: list[str] = []
    depth = length = 0
    opening = False
    for match in _TOKEN.finditer(text):
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
