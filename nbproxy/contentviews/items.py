"""What binary formats of typed values have in common: a loop over items, without recursion.

A format says what the item at a position is; `read` puts items into a tree. Counts that a stranger
claims reserve nothing, and depth is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.contentviews.building import Also, TreeBuilder

MAX_NESTING: Final = 1000
#: Items that are read: what bounds the time that hostile bytes take.
MAX_ITEMS: Final = 250_000


class DamagedError(ValueError):
    """What stands at a position is not of the format."""


@dataclass(slots=True)
class Item:
    """One item of a binary format.

    Attributes:
        kind: A value; what begins an array or a map; the end of one; a remark on the next item.
        end: Where it ends.
        type: Type of the value.
        value: The value, or remark.
        also: Other readings.
        count: Of an array or map its items (of a map: pairs), None if an end will come.
    """

    kind: Literal["leaf", "array", "map", "end", "tag"]
    end: int
    type: str = ""
    value: str = ""
    also: Also = ()
    count: int | None = 0


@dataclass(slots=True)
class _Frame:
    left: int | None  # of a map: names and values
    is_map: bool
    number: int = 0  # of a map: of names and values so far


def read(
    data: bytes, item: Callable[[bytes, int], Item], builder: TreeBuilder
) -> tuple[int, list[str]]:
    """Report the items in some bytes, one value after the other.

    Returns:
        How many values there were at the outermost level, complete ones, and notes.
    """
    stack: list[_Frame] = []
    position = values = number = 0
    tag = ""
    while position < len(data):
        number += 1
        if number > MAX_ITEMS:
            return values, [f"Read as far as byte {position:,}."]
        try:
            found = _checked(item(data, position), stack)
        except DamagedError as error:
            return values, [f"Not readable from byte {position:,} on: {error}."]
        position = found.end
        if found.kind == "tag":
            tag = found.value if not tag else f"{tag} {found.value}"[:200]
            continue
        if found.kind == "end":
            stack.pop()
            builder.close()
        elif not (stack and _is_name(stack[-1], found, builder)):
            if found.kind == "leaf":
                also = (("tag", tag), *found.also) if tag else found.also
                builder.leaf(found.type, found.value, also, lines=True)
            else:
                builder.open("array" if found.kind == "array" else "object", tag)
                count = found.count
                is_map = found.kind == "map"
                stack.append(_Frame(2 * count if is_map and count else count, is_map))
        tag = ""
        while stack and stack[-1].left == 0:
            stack.pop()
            builder.close()
        values += not stack
    notes = ["It is cut off: more was announced than there is."] if stack or tag else []
    return values, notes


def _checked(found: Item, stack: list[_Frame]) -> Item:
    if found.kind == "end" and not (stack and stack[-1].left is None):
        raise DamagedError("an end of nothing")
    if len(stack) >= MAX_NESTING:
        raise DamagedError(f"nested deeper than {MAX_NESTING:,} levels")
    return found


def _is_name(frame: _Frame, found: Item, builder: TreeBuilder) -> bool:
    """Count an item of an array or a map; whether it is a name, which then has been reported."""
    if frame.left is not None:
        frame.left -= 1
    if not frame.is_map:
        return False
    frame.number += 1
    pair = (frame.number - 1) // 2
    if frame.number % 2:
        if found.kind != "leaf":  # a name that is itself a map or array: shown beside its value
            builder.key(f"(name {pair})")
            return False
        builder.key(found.value)
        return True
    return False
