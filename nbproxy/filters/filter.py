"""`Filter`: a filter expression, ready to be called on flows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nbproxy.errors import FilterError
from nbproxy.filters.compiler import compile_tree
from nbproxy.filters.parser import MAX_DEPTH, parse_tree
from nbproxy.filters.tree import And, Node, Not, Or, depth

if TYPE_CHECKING:
    from nbproxy.filters.matching import Clock
    from nbproxy.model.flow import Flow


def parse(source: str, *, compat: bool = False, clock: Clock = time.time) -> Filter:
    r"""Compile a filter expression.

    Args:
        source: The expression, such as `~d example.org & ~t html`.
        compat: Drop backslashes inside quotes as mitmproxy does: `"\d"` is then `d`.
        clock: Unix seconds; what `~since` counts from when the filter is called.

    Raises:
        FilterError: It is not a filter expression; the error says where and what was meant.

    Example:
        >>> parse("~m POST ~c 500|~c 502").tree == parse("~m POST & (~c 500 | ~c 502)").tree
        True
        >>> parse("~u a || ~u b").warnings
        ('`|` is a pattern for the URL here; the operator is a single |',)
    """
    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    try:
        tree, warnings = parse_tree(source, compat=compat)
    except FilterError as error:
        raise error.with_traceback(None) from None
    return Filter(tree, source=source, warnings=warnings, clock=clock)


class Filter:
    """A predicate over flows. Immutable; equal to another filter with an equal tree.

    Call it on a flow: the answer is True or False, it never raises and never changes the flow.
    Filters combine: `f & g`, `f | g`, `~f`.

    Attributes:
        source: The expression as written.
        tree: What it means.
        warnings: What its author should know: operators that are not, patterns that end early.
    """

    __slots__ = ("_clock", "_test", "source", "tree", "warnings")

    def __init__(
        self,
        tree: Node,
        *,
        source: str | None = None,
        warnings: tuple[str, ...] = (),
        clock: Clock = time.time,
    ) -> None:
        if depth(tree) > MAX_DEPTH:
            raise FilterError(
                f"the filter is nested more than {MAX_DEPTH} levels deep", source or "", 0
            )
        self.tree = tree
        self.source = str(tree) if source is None else source
        self.warnings = warnings
        self._clock = clock
        self._test = compile_tree(tree, clock)

    def __call__(self, flow: Flow) -> bool:
        """Whether the flow is one of those that the expression speaks of."""
        try:
            return self._test(flow)
        except Exception:  # noqa: BLE001 - the fence: metadata may hold objects that fail to print
            return False

    @property
    def asks_columns(self) -> bool:
        """Whether the answer may depend on columns of users, which come and change."""
        return "~col" in str(self.tree)

    @property
    def clock(self) -> Clock:
        """What `~since` counts from, Unix seconds."""
        return self._clock

    def __and__(self, other: Filter) -> Filter:
        return self._combined(And, other) if isinstance(other, Filter) else NotImplemented

    def __or__(self, other: Filter) -> Filter:
        return self._combined(Or, other) if isinstance(other, Filter) else NotImplemented

    def __invert__(self) -> Filter:
        return Filter(Not(self.tree), warnings=self.warnings, clock=self._clock)

    def _combined(self, kind: type[And | Or], other: Filter) -> Filter:
        # a chain stays flat, so that filters may be gathered in a loop
        left = self.tree.items if isinstance(self.tree, kind) else (self.tree,)
        warnings = tuple(dict.fromkeys(self.warnings + other.warnings))
        return Filter(kind((*left, other.tree)), warnings=warnings, clock=self._clock)

    def __eq__(self, other: object) -> bool:
        return self.tree == other.tree if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.tree)

    def __repr__(self) -> str:
        return f"<Filter {self.source}>"

    def __str__(self) -> str:
        return self.source
