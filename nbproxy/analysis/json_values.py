"""Single values in JSON documents, by their paths: to leave some out, to compare the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbproxy.analysis.json_schema import step
from nbproxy.filters.jsonpath import parse_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_LEAVES: Final = 2000
"""Values of one document that are compared."""

_MAX_DEPTH: Final = 12

Steps = tuple[str | int | None, ...]
"""A path: names, indices, and None for every member."""


class Ignored(NamedTuple):
    """What a comparison leaves out.

    Attributes:
        paths: JSON paths; each stands for all that lies below it, too.
        headers: Names of header fields, lower-case.
    """

    paths: tuple[Steps, ...]
    headers: frozenset[str]

    def covers(self, steps: Steps) -> bool:
        """Whether a place in a document is left out."""
        return any(
            len(path) <= len(steps) and all(map(_matches, path, steps)) for path in self.paths
        )


def _matches(wanted: str | int | None, here: str | int | None) -> bool:
    if wanted is None or here is None:
        return not (isinstance(wanted, str) or isinstance(here, str)) or wanted is None
    return wanted == here


def parse_ignored(ignore: str | Iterable[str]) -> Ignored:
    """Read JSON paths (`$.ts`, `$.items[*].etag`) and header names.

    Raises:
        ValueError: A path does not parse.
        TypeError: It is not text.
    """
    paths, headers = [], set()
    for each in [ignore] if isinstance(ignore, str) else ignore:
        if not isinstance(each, str):
            raise TypeError(f"ignore takes JSON paths and header names, not {each!r}")
        if each.startswith("$"):
            paths.append(_path(each))
        else:
            headers.add(each.strip().lower())
    return Ignored(tuple(paths), frozenset(headers))


def _path(text: str) -> Steps:
    try:
        steps, pattern = parse_path(text)
    except ValueError as error:
        raise ValueError(f"ignore: {text!r} is no JSON path: {error}") from None
    if pattern is not None:
        raise ValueError(f"ignore: {text!r} compares a value; only a JSON path is wanted here")
    return steps


class Place(NamedTuple):
    """A value in a document.

    Attributes:
        steps: How to get there.
        value: A scalar, or the number of items of an array.
        is_length: Whether it is such a number.
    """

    steps: Steps
    value: Any
    is_length: bool

    @property
    def name(self) -> str:
        """The path as text, `[*]` for every index."""
        return path_text(self.steps)


def path_text(steps: Steps) -> str:
    """A path as text, `[*]` for every index."""
    return "$" + "".join(step(each) if isinstance(each, str) else "[*]" for each in steps)


def leaves(document: Any) -> Iterator[Place]:
    """The values of a document, as many as there is room for, in their order."""
    left = MAX_LEAVES
    pending: list[tuple[Steps, Any]] = [((), document)]
    while pending and left:
        steps, value = pending.pop()
        left -= 1
        if isinstance(value, dict):
            if len(steps) < _MAX_DEPTH:
                inside = [((*steps, str(name)), field) for name, field in value.items()]
                pending.extend(reversed(inside[:left]))
        elif isinstance(value, list):
            yield Place(steps, len(value), is_length=True)
            if len(steps) < _MAX_DEPTH:
                items = [((*steps, i), item) for i, item in enumerate(value[:left])]
                pending.extend(reversed(items))
        else:
            yield Place(steps, value, is_length=False)
