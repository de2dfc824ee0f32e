"""Trees, made a window at a time from what a parser reports in order.

A parser says `key`, `leaf`, `open` and `close`; the builder keeps the nodes of one window of the
tree, counted in the order of the document, with all that encloses them. So every part of a tree of
any shape can be shown, with bounded memory: depth, nodes and characters are bounded here, and
parsers need no recursion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews.shown import MAX_KEY, Eyes
from nbproxy.contentviews.view import MAX_DEPTH, Node
from nbproxy.model.secrets import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Callable

_NODE_COST: Final = 16  # characters that a node takes for itself
_MASKED: Final = frozenset({"string", "number", "bytes", "text", "graphql"})

Also = tuple[tuple[str, str], ...]
if TYPE_CHECKING:
    Rewrite = Callable[[str | None, int, str], tuple[str, str] | None]


@dataclass(slots=True)
class _Frame:
    node: Node
    is_list: bool
    secret: bool
    count: int = 0


class TreeBuilder:
    """One window of a tree.

    Attributes:
        rewrite: Gives another type and text for a string or number in place of its own, by its key
            and its
            depth; None to leave it.
        seen: Nodes so far, shown or not.
    """

    def __init__(self, eyes: Eyes, offset: int, limit: int) -> None:
        self._eyes = eyes
        self._offset = offset
        self._left = limit
        self._key: str | None = None
        self._secret_key = False
        self._root = Node(None, "stream")
        self._stack = [_Frame(self._root, is_list=True, secret=False)]
        self._attached = 1  # of the stack, those that are in the tree: always its beginning
        self._below = 0  # levels that are deeper than is shown
        self.rewrite: Rewrite | None = None
        self.seen = 0
        self._full_at: int | None = None

    @property
    def wants(self) -> bool:
        """Whether the next node will be shown; if not, its value need not be made."""
        return not self._below and self.seen >= self._offset and self._full_at is None

    @property
    def next_offset(self) -> int | None:
        """The first node that there was no room for, or None."""
        at = self._full_at
        return at if at is not None and at < self.seen else None

    @property
    def depth(self) -> int:
        """How many nodes are open."""
        return len(self._stack) - 1 + self._below

    def key(self, key: str) -> None:
        """The name of the node that follows; in lists they have numbers."""
        self._key = key

    def leaf(self, type_: str, value: str, also: Also = (), *, lines: bool = False) -> None:
        """A value. Cheap if it is not wanted."""
        if not self.wants:
            self._next_key()
            self.seen += 1
            return
        frame = self._stack[-1]
        name = self._key
        secret = frame.secret or (name is not None and is_secret_name(name))
        key = self._next_key()
        if self.rewrite is not None and type_ in ("string", "number"):
            new = self.rewrite(name, len(self._stack) - 1, value)
            if new is not None:
                (type_, value), lines = new, True
        hide = secret and type_ in _MASKED
        shown = self._eyes.value("", value, secret=hide, lines=lines)
        if hide and not self._eyes.reveal:
            also = ()
        also = tuple((each, self._eyes.text(text, 500)) for each, text in also)
        self._attach()
        frame.node.children.append(Node(key, type_, shown, 0, [], also))
        self._spend(len(shown) + sum(len(text) for _, text in also))

    def open(self, type_: str, value: str = "") -> None:
        """What holds the nodes that follow until `close`: names in an object, else a list."""
        if self._below or len(self._stack) > MAX_DEPTH:
            if not self._below:
                self._next_key()
                if self.wants:
                    self._attach()
                    self._stack[-1].node.children.append(Node("…", type_, "nested too deeply"))
            self._below += 1
            self.seen += 1
            return
        wants = self.wants
        # A list of secrets is secret; in an object the names say what is.
        secret = self._stack[-1].secret or (self._key is not None and is_secret_name(self._key))
        node = Node(self._next_key(), type_, self._eyes.text(value, 500) if value else "")
        node.continued = not wants
        self._stack.append(_Frame(node, type_ == "array", secret and type_ == "array"))
        if wants:
            self._attach()
            self._spend(len(value))
        else:
            self.seen += 1

    def close(self) -> None:
        """The innermost open node has ended."""
        if self._below:
            self._below -= 1
        elif len(self._stack) > 1:
            frame = self._stack.pop()
            frame.node.count = frame.count
            self._attached = min(self._attached, len(self._stack))

    def finish(self) -> Node:
        """The tree; what is open yet ends here. One value without others is itself the root."""
        self._below = 0
        while len(self._stack) > 1:
            self.close()
        outer = self._stack[0]
        outer.node.count = outer.count
        if outer.count == 1 and len(self._root.children) == 1:
            only = self._root.children[0]
            if not isinstance(only.key, str):
                only.key = None
                return only
        return self._root

    def _next_key(self) -> str | int:
        if self._below:
            self._key = None
            return 0
        frame = self._stack[-1]
        key = self._key
        self._key = None
        frame.count += 1
        return frame.count - 1 if key is None else self._eyes.text(key, MAX_KEY)

    def _attach(self) -> None:
        while self._attached < len(self._stack):
            above = self._stack[self._attached - 1].node
            above.children.append(self._stack[self._attached].node)
            self._attached += 1

    def _spend(self, characters: int) -> None:
        self.seen += 1
        self._left -= _NODE_COST + characters
        if self._left <= 0:
            self._full_at = self.seen
