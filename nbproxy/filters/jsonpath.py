"""The path of `~json`: a small part of JSONPath (RFC 9535), one step after the other.

`$` is the document; then `.name`, `['any key']`, `["any key"]`, `[0]`, `[-1]`, and `.*` or `[*]`
for every member. What follows the first `=` after the path is a regular expression.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]=*]+)"""
    r"""|\[(?P<index>-?[0-9]{1,9})\]"""
    r"""|(?P<all>\.\*|\[\*\])"""
    r"""|\['(?P<single>(?:[^'\\]|\\.)*)'\]"""
    r"""|\["(?P<double>(?:[^"\\]|\\.)*)"\]""",
    re.DOTALL,
)


def parse_path(text: str) -> tuple[tuple[str | int | None, ...], str | None]:
    """Steps of the path (None stands for every member), and the pattern, None if there is no `=`.

    Raises:
        ValueError: It is not such a path; the message says what was expected.
    """
    if not text.startswith("$"):
        name = text.lstrip(".")
        raise ValueError("a JSON path begins with $" + (f": write $.{name}" if name else ""))
    steps: list[str | int | None] = []
    position = 1
    while position < len(text) and text[position] != "=":
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(
                f"in a JSON path .name, [0], ['key'] or [*] is expected, not {text[position:]!r}"
            )
        steps.append(_step(match))
        position = match.end()
    return tuple(steps), text[position + 1 :] if position < len(text) else None


def _step(match: re.Match[str]) -> str | int | None:
    if match["name"] is not None:
        return match["name"]
    if match["index"] is not None:
        return int(match["index"])
    if match["all"] is not None:
        return None
    key = match["single"] if match["single"] is not None else match["double"]
    return re.sub(r"\\(.)", r"\1", key, flags=re.DOTALL)


def follow(document: Any, path: tuple[str | int | None, ...]) -> list[Any]:
    """What stands at a path in a document; several values where it says every member."""
    values = [document]
    for step in path:
        values = [member for value in values for member in _members(value, step)]
    return values


def _members(value: Any, step: str | int | None) -> Iterable[Any]:
    if isinstance(value, dict):
        if step is None:
            return list(value.values())
        return [value[step]] if isinstance(step, str) and step in value else []
    if isinstance(value, list):
        if step is None:
            return value
        if isinstance(step, int) and -len(value) <= step < len(value):
            return [value[step]]
    return []
