"""Path templates: `/users/17` and `/users/42` are both `/users/{id}`.

Theory of operation. The paths of one origin make a tree, a level for each segment. Segments that
are values by themselves (`segments.classify`) share a node from the beginning. Then, from the root
down, the words below each node are looked at together: names that differ in a number only
(`item-1`, `item-2`, ...) and long tails of names alike in everything (`/wiki/<title>`) become one
node, too. Few words stay words, so `/users/me` stays beside `/users/{id}`. Merging moves nodes and
leaves a forwarding address, so a path finds its template by way of its leaf.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from nbproxy.analysis.segments import classify

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SEGMENTS: Final = 30
"""What follows so many segments is one value."""

# Whoever sends more different words than this sends nonsense; what follows is lumped together.
_MAX_WORDS: Final = 500_000
# Words that name something of their own even among thousands of names.
_WORDS: Final = frozenset(
    """all batch bulk count create current default delete edit export health import index latest
    list login logout me mine new random search self stats status sum total upload version
    whoami""".split()  # noqa: SIM905 - reads better so
)
# Below these a lone small number is a version: "/api/2/users".
_BEFORE_VERSION: Final = frozenset({"", "api", "rest", "v", "version", "ws", "service", "services"})
_STRAY_RE = re.compile(r"[a-f]{6,}|[0-9]{6,}|\{id\}", re.IGNORECASE)
_NUMBER_RE = re.compile(r"[0-9]+")
_PLACEHOLDER_RE = re.compile(r"\{([a-z0-9_]+)\}")
_NAME_RE = re.compile(r"[^a-z0-9]+")
_EXTENSION_RE = re.compile(r"\.[a-z][a-z0-9]{0,4}\Z", re.IGNORECASE)

# With more patterns than this in one place, looking for strays of each would take too long.
_MANY_DIGESTS: Final = 200
# How many names that differ in a number only are one name with a number in it.
_NUMBERED: Final = 4
# A long tail: so many names alike, at least half of them rare; or rather sentences; or very many.
_RARE_HITS: Final = 2
_TAIL: Final = 30
_TAIL_OF_TITLES: Final = 8
_TAIL_OF_ANYTHING: Final = 100
# And so large a part of all names there.
_ALIKE: Final = 0.8
_TITLE_LENGTH: Final = 30


def templates(paths: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The templates of paths of one origin.

    Args:
        paths: Paths without query, as sent; each once.
        counts: How often each was asked for.

    Returns:
        A template for each path. Placeholders in one template have different names. What is in
        braces in a path itself is percent-encoded.

    >>> templates(["/users/17", "/users/42/posts/7", "/users/me"], [1, 1, 1])
    ['/users/{id}', '/users/{id}/posts/{post_id}', '/users/me']
    """
    root = _Node("")
    leaves: list[_Node | str] = []
    words = 0
    for path, count in zip(paths, counts, strict=True):
        if not path.startswith("/"):  # "*", or the authority of a CONNECT
            leaves.append(path.replace("{", "%7B").replace("}", "%7D"))
            continue
        node = root
        for segment in _split(path):
            label = classify(segment) if words < _MAX_WORDS else "{slug}"
            words += label not in node.children
            node = node.child(segment, label, count)
        node.ends += count
        leaves.append(node)
    _settle(root)
    return [leaf if isinstance(leaf, str) else leaf.last().template() for leaf in leaves]


def _split(path: str) -> list[str]:
    return path.split("/", MAX_SEGMENTS + 1)[1:]


class Parameter(NamedTuple):
    """A placeholder in a template.

    Attributes:
        name: Its name, unique in its template.
        value: What stands there in a path, as sent.
    """

    name: str
    value: str


def parameters(template: str, path: str) -> list[Parameter]:
    """What stands in the places of a template's placeholders in a path that has this template."""
    found = []
    for pattern, segment in zip(_split(template), _split(path), strict=False):
        match = _PLACEHOLDER_RE.search(pattern)
        if match is None:
            continue
        before, after = pattern[: match.start()], pattern[match.end() :]
        value = segment
        if len(value) > len(before) + len(after) and value.lower().endswith(after.lower()):
            value = value[len(before) : len(value) - len(after)]
        found.append(Parameter(match[1], value))
    return found


def names(template: str) -> list[str]:
    """The names of a template's placeholders, in their order."""
    return _PLACEHOLDER_RE.findall(template)


class _Shape(NamedTuple):
    """What a node is like, so far as its siblings should be like it."""

    extension: str
    ends_here: bool
    height: int


@dataclass(slots=True, eq=False)
class _Node:
    """A segment in its place.

    Attributes:
        label: The segment as it stands in a template.
        parent: The node before it; None for the root.
        children: The nodes below, by label.
        hits: Flows whose path leads through here.
        ends: Flows whose path ends here.
        values: Different segments that were seen here, as far as two.
        moved_to: The node that this one became part of.
        made: Its template, once somebody asked.
    """

    label: str
    parent: _Node | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    hits: int = 0
    ends: int = 0
    values: tuple[str, ...] = ()
    moved_to: _Node | None = None
    made: str | None = None

    def child(self, segment: str, label: str, count: int) -> _Node:
        """The node below for a segment, made where there is none."""
        child = self.children.get(label)
        if child is None:
            child = self.children[label] = _Node(label, self)
        child.hits += count
        if len(child.values) < 2 and segment not in child.values:
            child.values = (*child.values, segment)
        return child

    def last(self) -> _Node:
        """The node that this one is now."""
        node = self
        while node.moved_to is not None:
            node = node.moved_to
        return node

    def height(self) -> int:
        """How many levels there are below, as far as two."""
        below = self.children.values()
        return min(2, 1 + max(min(1, len(child.children)) for child in below)) if below else 0

    def shape(self) -> _Shape:
        """What it is like."""
        found = _EXTENSION_RE.search(self.label)
        return _Shape(found[0].lower() if found else "", self.ends > 0, self.height())

    def absorb(self, other: _Node) -> None:
        """Become the other one as well."""
        self.hits += other.hits
        self.ends += other.ends
        self.values = (*self.values, *other.values)[:2]
        for label, child in other.children.items():
            mine = self.children.get(label)
            if mine is None:
                self.children[label] = child
                child.parent = self
            else:
                mine.absorb(child)
        other.children = {}
        other.moved_to = self

    def template(self) -> str:
        """The template from the root to here."""
        if self.made is None:
            labels = []
            node: _Node | None = self
            while node is not None and node.parent is not None:
                labels.append(node.label)
                node = node.parent
            self.made = "/" + "/".join(_named(labels[::-1]))
        return self.made


def _named(labels: Sequence[str]) -> list[str]:
    """The labels with a different name for each placeholder: `id`, then `post_id`, then `id3`."""
    taken: set[str] = set()
    named = []
    for position, label in enumerate(labels):
        match = _PLACEHOLDER_RE.search(label)
        if match is None:
            named.append(label)
            continue
        kind = match[1]
        name = kind
        if name in taken and position and "{" not in labels[position - 1]:
            name = f"{_singular(labels[position - 1])}_{kind}".strip("_")
        number = 1
        while name in taken:
            number += 1
            name = f"{kind}{number}"
        taken.add(name)
        named.append(f"{label[: match.start()]}{{{name}}}{label[match.end() :]}")
    return named


def _singular(word: str) -> str:
    """A word for one of what a collection's name says there are many of."""
    word = _NAME_RE.sub("_", word.lower()).strip("_")[:30]
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


# -- what only siblings betray


def _settle(root: _Node) -> None:
    """Merge what belongs together, from a node down."""
    pending = [root]
    while pending:
        node = pending.pop()
        _merge_strays(node)
        if len(node.children) >= _NUMBERED:
            _merge_numbered(node)
            _merge_tail(node)
        _keep_version(node)
        pending.extend(node.children.values())


def _words(node: _Node) -> list[_Node]:
    return [
        child
        for label, child in node.children.items()
        if label and "{" not in label and label.lower() not in _WORDS
    ]


def _merge_strays(node: _Node) -> None:
    """Digests without a digit, or of digits only, among others: their looks alone did not tell."""
    labels = [label for label in node.children if "{" in label]
    for label in labels if len(labels) <= _MANY_DIGESTS else ():
        before, _, rest = label.partition("{")
        kind, _, after = rest.partition("}")
        if kind not in {"id", "hash"}:
            continue
        strays = [
            child
            for child in node.children.values()
            if child.label != label
            and child.label.startswith(before)
            and child.label.endswith(after)
            and _STRAY_RE.fullmatch(child.label, len(before), len(child.label) - len(after))
        ]
        if strays:
            _merge(node, [node.children[label], *strays], label)


def _merge_numbered(node: _Node) -> None:
    """Names that differ in a number only: `item-1`, `item-2`, ..."""
    groups: dict[str, list[_Node]] = defaultdict(list)
    for child in _words(node):
        pattern, numbers = _NUMBER_RE.subn("\0", child.label)
        if numbers and pattern.lower() not in {"v\0", "v\0.\0"}:
            groups[pattern].append(child)
    for pattern, members in groups.items():
        if len(members) >= _NUMBERED:
            one = pattern.count("\0") == 1
            _merge(node, members, pattern.replace("\0", "{id}") if one else "{id}")


def _merge_tail(node: _Node) -> None:
    """A long tail of names that are alike in everything."""
    words = _words(node)
    if len(words) < _TAIL_OF_TITLES:
        return
    groups: dict[_Shape, list[_Node]] = defaultdict(list)
    for child in words:
        groups[child.shape()].append(child)
    shape, members = max(groups.items(), key=lambda item: len(item[1]))
    if len(members) < _ALIKE * len(words) or not _is_tail(members):
        return
    values = node.children.get(f"{{id}}{shape.extension}")
    if values is not None and values.shape() == shape:
        members.append(values)
    _merge(node, members, f"{{slug}}{shape.extension}")


def _is_tail(members: Sequence[_Node]) -> bool:
    count = len(members)
    if count >= _TAIL_OF_ANYTHING:
        return True
    if sum(child.hits <= _RARE_HITS for child in members) < count / 2:
        return False
    if count >= _TAIL:
        return True
    titles = sum(
        child.label.count("-") > 1 or "%20" in child.label or len(child.label) > _TITLE_LENGTH
        for child in members
    )
    return count >= _TAIL_OF_TITLES and titles >= _ALIKE * count


def _merge(node: _Node, members: Sequence[_Node], label: str) -> None:
    target = node.children.get(label) or _Node(label, node)
    for child in members:
        if child is not target:
            del node.children[child.label]
            target.absorb(child)
    node.children[label] = target


def _keep_version(node: _Node) -> None:
    """A lone small number right at the beginning is a version, not an id."""
    child = node.children.get("{id}")
    if child is None or len(child.values) != 1 or not child.children:
        return
    (value,) = child.values
    if value.isascii() and value.isdigit() and len(value) < 3:
        is_first = node.parent is None or node.parent.parent is None
        if is_first and node.label.lower() in _BEFORE_VERSION:
            del node.children["{id}"]
            child.label = value
            node.children[value] = child
