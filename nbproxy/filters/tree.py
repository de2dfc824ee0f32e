"""The tree of a filter expression: frozen nodes, and one canonical way to write each of them.

`str(node)` is a filter expression that parses to an equal tree, whatever was written first: bare
words become `~u`, `4xx` becomes `400-499`, sizes are bytes and times are seconds. Trees are plain
values: equal, hashable, without reference to compiled patterns or to flows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Relation = Literal["=", ">", ">=", "<", "<="]

# what may stand without quotes: everything but blanks, parentheses, ~ and quotes (grammar: word)
_WORD = re.compile(r"""[^()~'"\t\n\r ]+""")
_ESCAPES = str.maketrans(
    {"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\f": r"\f"}
)


def quote(text: str) -> str:
    """The text as an argument: as it is where that cannot be misread, else in double quotes."""
    is_clear = _WORD.fullmatch(text) and text not in ("&", "|")
    return text if is_clear else f'"{text.translate(_ESCAPES)}"'


def _number(value: float) -> str:
    """All digits of a number, never with an exponent, which the grammar does not have."""
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")


@dataclass(frozen=True, slots=True)
class Flag:
    """An operator without argument, such as `~q`."""

    operator: str

    def __str__(self) -> str:
        return f"~{self.operator}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """An operator with a regular expression, such as `~d example`; a bare word has operator `u`."""

    operator: str
    regex: str

    def __str__(self) -> str:
        return f"~{self.operator} {quote(self.regex)}"


@dataclass(frozen=True, slots=True)
class Measure:
    """An operator that compares a number, such as `~c >=400`.

    Attributes:
        operator: Its name.
        relation: How the flow's number must stand to `value`.
        value: A plain number, bytes or seconds, as the operator has it.
        unit: "s" for times, else "".
    """

    operator: str
    relation: Relation
    value: float
    unit: str = ""

    def __str__(self) -> str:
        relation = "" if self.relation == "=" else self.relation
        return f"~{self.operator} {relation}{_number(self.value)}{self.unit}"


@dataclass(frozen=True, slots=True)
class Between:
    """An operator that asks for a number from `low` to `high`, both included: `~c 400-499`."""

    operator: str
    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        low, high = _number(self.low), _number(self.high)
        return f"~{self.operator} {low}{self.unit}-{high}{self.unit}"


@dataclass(frozen=True, slots=True)
class Within:
    """An operator that asks for the last so many seconds, such as `~since 10m`."""

    operator: str
    seconds: float

    def __str__(self) -> str:
        return f"~{self.operator} {_number(self.seconds)}s"


@dataclass(frozen=True, slots=True)
class JSONValue:
    """An operator that searches values inside a JSON body, such as `~json $.user.name=^ann`.

    Attributes:
        operator: Its name.
        path: The steps from the root: a key, an index, or None for every member (`*`).
        regex: Searched in each value that the path leads to; None if it is enough that it is there.
    """

    operator: str
    path: tuple[str | int | None, ...]
    regex: str | None

    def __str__(self) -> str:
        path = "$" + "".join(_step(step) for step in self.path)
        return f"~{self.operator} {quote(path if self.regex is None else f'{path}={self.regex}')}"


def _step(step: str | int | None) -> str:
    if step is None:
        return "[*]"
    if isinstance(step, int):
        return f"[{step}]"
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", step):
        return f".{step}"
    escaped = step.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


@dataclass(frozen=True, slots=True)
class Not:
    """True where `item` is not."""

    item: Node

    def __str__(self) -> str:
        return f"!{_grouped(self.item)}"


@dataclass(frozen=True, slots=True)
class And:
    """True where all items are; they are asked in order, and not after the first that is not."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " & ".join(_grouped(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Or:
    """True where one of the items is; they are asked in order, and not after the first that is."""

    items: tuple[Node, ...]

    def __str__(self) -> str:
        return " | ".join(_grouped(item) for item in self.items)


Leaf = Flag | Pattern | Measure | Between | Within | JSONValue
Node = And | Or | Not | Leaf


def _grouped(node: Node) -> str:
    return f"({node})" if isinstance(node, And | Or) else str(node)


def children(node: Node) -> tuple[Node, ...]:
    """The nodes right below this one; none for a leaf."""
    match node:
        case And(items) | Or(items):
            return items
        case Not(item):
            return (item,)
        case _:
            return ()


def depth(node: Node) -> int:
    """How many nodes stand above one another at most; found without recursion."""
    level, deep = [node], 0
    while level:
        deep += 1
        level = [child for parent in level for child in children(parent)]
    return deep


def leaves(node: Node) -> Iterator[Leaf]:
    """All leaves, from left to right; found without recursion."""
    todo = [node]
    while todo:
        top = todo.pop()
        if isinstance(top, And | Or | Not):
            todo.extend(reversed(children(top)))
        else:
            yield top
