"""Completion for the filter language, from the table of operators."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbproxy.filters.operators import BY_NAME, OPERATORS, FlagOperator

_NAME = re.compile(r"[A-Za-z0-9_]*")
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\\n\r]|\\[^\n\r])*"|'(?:[^'\\\n\r]|\\[^\n\r])*')"""
    r"""|(?P<open>["'])"""
    r"""|~(?P<name>[A-Za-z0-9_]*)"""
    r"""|(?P<blank>[ \t\r\n]+)"""
    r"""|(?P<group>[()])"""
    r"""|(?P<word>[^()~'"\t\n\r ]+)"""
)


@dataclass(frozen=True, slots=True)
class Completion:
    """Something that could stand at the cursor.

    Attributes:
        text: What to insert in place of `source[start:end]`.
        start: Where it begins.
        end: Where it ends.
        argument: What has to follow, "" for nothing.
        meaning: What it does, in one line.
    """

    text: str
    start: int
    end: int
    argument: str
    meaning: str


def complete(source: str, cursor: int) -> list[Completion]:
    """Operators that could stand at the cursor, in the order of the table; never raises.

    Inside a name, those that begin like it; where an operand may begin, all; elsewhere (in quotes,
    in a word, where an argument is due) none.

    Example:
        >>> [each.text for each in complete("~c 200 & ~re", 12)]
        ['~replay', '~replayq', '~replays']
    """
    start = _name_start(source, max(0, min(cursor, len(source))))
    if start is None:
        return []
    prefix = source[start:cursor]
    following = _NAME.match(source, max(cursor, start))
    end = following.end() if prefix and following else start
    return [
        Completion(f"~{each.name}", start, end, each.argument, each.meaning)
        for each in OPERATORS
        if f"~{each.name}".startswith(prefix)
    ]


def _name_start(source: str, cursor: int) -> int | None:
    """Where the operator at the cursor begins or could begin; None where none may stand."""
    argument_due = False
    kind, start, name = "blank", cursor, ""
    for match in _TOKEN.finditer(source, 0, cursor):
        if kind == "name":  # complete by now: something follows it
            operator = BY_NAME.get(name)
            argument_due = operator is not None and not isinstance(operator, FlagOperator)
        kind, start = match.lastgroup or "", match.start()
        if kind == "open":
            return None
        if kind == "name":
            name = match["name"]
        elif kind != "blank":
            argument_due = argument_due and kind == "group"
    if kind == "name":
        return start
    if argument_due or kind == "quoted":
        return None
    if kind == "word" and not set(source[start:cursor]) <= set("&|!"):
        return None
    return cursor
