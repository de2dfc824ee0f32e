"""The tokens of Python 2 source, each with what stands before it, so that joining gives it back.

Python 3 has no tokenizer for Python 2 any more (backquotes, `<>`, `0777`, `10L` and `ur""` are
errors to it), and what needs to be changed can be told from tokens alone: `print` and `exec` are
keywords there. Tokens are edited in place; line breaks are never touched, so that every line keeps
its number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nbproxy.errors import ScriptError

_SPACE = re.compile(r"(?:[ \t\f]|\\\n)*")
_COMMENT = re.compile(r"#[^\n]*")
_TOKEN = re.compile(
    r"""
    (?P<string>[uUbB]?[rR]?(?:
        '''(?:[^\\]|\\[\s\S])*?''' | \"{3}(?:[^\\]|\\[\s\S])*?\"{3}
        | '(?!'')(?:[^\\\n']|\\[\s\S])*' | "(?!"")(?:[^\\\n"]|\\[\s\S])*"))
    | (?P<number>
        0[xX][0-9a-fA-F]+[lL]? | 0[bB][01]+[lL]? | 0[oO][0-7]+[lL]?
        | (?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?[jJ]? | \d+[eE][+-]?\d+[jJ]? | \d+[jJ] | \d+[lL]?)
    | (?P<name>[^\W\d]\w*)
    | (?P<op>\*\*=|//=|>>=|<<=|<>|!=|==|<=|>=|\*\*|//|>>|<<|->|[-+*/%&|^]=
        |[-+*/%&|^~<>=()\[\]{}.,:;@`])
    """,
    re.VERBOSE,
)
_OPENING: Final = frozenset("([{")
_CLOSING: Final = frozenset(")]}")
# After these a colon at depth 0 ends the head of a compound statement.
COMPOUND: Final = frozenset(
    ("if", "elif", "else", "for", "while", "try", "except", "finally", "with", "def", "class")
)


@dataclass(eq=False, slots=True)
class Token:
    """One token.

    Attributes:
        kind: "string", "number", "name", "op", "newline" (the end of a logical line) or "end".
        text: What it is written as; edited in place.
        before: Blanks, comments and line breaks since the last token.
        line: Its line, 1-based.
        depth: How many brackets are open around it; a bracket itself counts as outside.
        first: True if a statement begins here.
        column: For the first token of a logical line its indentation, else -1.
        lead: Text to put directly before it.
        tail: Text to put directly after it.
    """

    kind: str
    text: str
    before: str
    line: int
    depth: int = 0
    first: bool = False
    column: int = -1
    lead: str = ""
    tail: str = ""


class Reader:
    """Splits one source text.

    Args:
        text: The source, with line breaks as newlines.
        path: For messages.
    """

    def __init__(self, text: str, path: str) -> None:
        self._text = text if text.endswith("\n") else text + "\n"
        self._path = path
        self._line = 1
        self._depth = 0

    def tokens(self) -> list[Token]:
        """All tokens, the last one of kind "end".

        Raises:
            ScriptError: It is not Python 2 either: a character or string that no token has.
        """
        tokens: list[Token] = []
        position = 0
        begins = True  # a logical line begins
        while True:
            token, position = self._next(position, at_start=begins)
            tokens.append(token)
            begins = token.kind == "newline"
            if token.kind == "end":
                break
        if self._depth > 0:
            raise ScriptError("a bracket is never closed", self._path, self._line)
        _mark_statements(tokens)
        return tokens

    def _next(self, position: int, *, at_start: bool) -> tuple[Token, int]:
        text = self._text
        begin = position
        while True:
            position = _SPACE.match(text, position).end()  # type: ignore[union-attr] # may be empty
            comment = _COMMENT.match(text, position)
            position = comment.end() if comment else position
            if position < len(text) and text[position] == "\n" and (at_start or self._depth):
                position += 1  # an empty line, or one inside brackets: no end of a statement
                continue
            break
        before = text[begin:position]
        self._line += before.count("\n")
        if position >= len(text):
            return Token("end", "", before, self._line, column=0), position
        if text[position] == "\n":
            token = Token("newline", "\n", before, self._line)
            self._line += 1
            return token, position + 1
        column = -1
        if at_start:
            before, column = _untabbed(before)
        match = _TOKEN.match(text, position)
        if match is None:
            raise self._unknown(text, position)
        kind = match.lastgroup or ""
        token = Token(kind, match[0], before, self._line, self._depth, column=column)
        if kind == "op":
            self._count(token)
        self._line += match[0].count("\n")
        return token, match.end()

    def _count(self, token: Token) -> None:
        if token.text in _OPENING:
            self._depth += 1
        elif token.text in _CLOSING:
            self._depth -= 1
            token.depth = self._depth
            if self._depth < 0:
                raise ScriptError(f"unmatched {token.text!r}", self._path, self._line)

    def _unknown(self, text: str, position: int) -> ScriptError:
        if text[position] in "'\"":
            return ScriptError("a string is never closed", self._path, self._line)
        shown = text[position]
        return ScriptError(f"{shown!r} belongs to no Python", self._path, self._line)


def _untabbed(before: str) -> tuple[str, int]:
    """Indentation as Python 2 reads it: tabs go to multiples of eight."""
    head, newline, indent = before.rpartition("\n")
    if "\\" in indent:
        return before, 0
    plain = indent.rpartition("\f")[2].expandtabs(8)
    return head + newline + plain, len(plain)


def _mark_statements(tokens: list[Token]) -> None:
    """Find where statements begin: after line ends, semicolons, and heads of compound ones."""
    begins = True
    in_head = False  # of a compound statement: its colon is still to come
    lambdas = 0
    for token in tokens:
        if token.kind in {"newline", "end"}:
            begins, in_head, lambdas = True, False, 0
            continue
        token.first = begins
        if begins:
            in_head = token.text in COMPOUND
        begins = False
        if token.depth:
            continue
        if token.text == "lambda":
            lambdas += 1
        elif token.text == ";":
            begins = True
        elif token.text == ":" and token.kind == "op":
            if lambdas:
                lambdas -= 1
            elif in_head:
                begins, in_head = True, False


def joined(tokens: list[Token]) -> str:
    """The source of these tokens."""
    return "".join(t.before + t.lead + t.text + t.tail for t in tokens)
