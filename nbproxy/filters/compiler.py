"""From a tree to one predicate.

A tree is compiled once, into closures that hold compiled patterns; a call then costs little more
than what the operators themselves look at. Operands are asked in the order they were written.
"""

from __future__ import annotations

import operator as op
from typing import TYPE_CHECKING, assert_never

from nbproxy.filters.operators import (
    BY_NAME,
    FlagOperator,
    JSONOperator,
    MeasureOperator,
    PatternOperator,
    WithinOperator,
)
from nbproxy.filters.tree import (
    And,
    Between,
    Flag,
    JSONValue,
    Measure,
    Not,
    Or,
    Pattern,
    Within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.filters.matching import Clock, Predicate
    from nbproxy.filters.tree import Leaf, Node, Relation
    from nbproxy.model.flow import Flow

RELATIONS: Mapping[Relation, Callable[[float, float], bool]] = {
    "=": op.eq,
    ">": op.gt,
    ">=": op.ge,
    "<": op.lt,
    "<=": op.le,
}


def compile_tree(node: Node, clock: Clock) -> Predicate:
    """The predicate of a tree.

    Args:
        node: The tree; each `And` and `Or` in it has at least one item.
        clock: Unix seconds, for operators that depend on the time of asking.

    Raises:
        Exception: One of `matching.REGEX_FAULTS`, where a pattern is not a regular expression.
        KeyError: The tree has an operator that does not exist, or not with that argument.
    """
    match node:
        case And(items):
            return _joined([compile_tree(item, clock) for item in items], _both)
        case Or(items):
            return _joined([compile_tree(item, clock) for item in items], _either)
        case Not(item):
            return _not(compile_tree(item, clock))
        case _:
            return compile_leaf(node, clock)


def _joined(tests: list[Predicate], join: Callable[[Predicate, Predicate], Predicate]) -> Predicate:
    """All tests as one, pair by pair: a call passes few closures, whatever the number of tests."""
    if len(tests) == 1:
        return tests[0]
    half = len(tests) // 2
    return join(_joined(tests[:half], join), _joined(tests[half:], join))


def _both(first: Predicate, second: Predicate) -> Predicate:
    return lambda flow: first(flow) and second(flow)


def _either(first: Predicate, second: Predicate) -> Predicate:
    return lambda flow: first(flow) or second(flow)


def _not(inner: Predicate) -> Predicate:
    return lambda flow: not inner(flow)


def compile_leaf(node: Leaf, clock: Clock) -> Predicate:
    """The predicate of one operator; raises what `compile_tree` raises."""
    row = BY_NAME[node.operator]
    match node, row:
        case Flag(), FlagOperator():
            return row.test
        case Pattern(regex=regex), PatternOperator():
            return row.build(regex)
        case Measure() | Between(), MeasureOperator():
            return _measure(row, accepts(node))
        case Within(seconds=seconds), WithinOperator():
            return _within(row, seconds, clock)
        case JSONValue(path=path, regex=regex), JSONOperator():
            return row.build(path, regex)
        case _:
            raise KeyError(f"{node!r} is not a use of ~{row.name}")


def accepts(node: Measure | Between) -> Callable[[float], bool]:
    """The comparison that a node asks of a number."""
    match node:
        case Measure(relation=relation, value=value):
            compare = RELATIONS[relation]
            return lambda number: compare(number, value)
        case Between(low=low, high=high):
            return lambda number: low <= number <= high
        case _:
            assert_never(node)


def _measure(row: MeasureOperator, holds: Callable[[float], bool]) -> Predicate:
    number_of = row.number

    def test(flow: Flow) -> bool:
        number = number_of(flow)
        return number is not None and holds(number)

    return test


def _within(row: WithinOperator, seconds: float, clock: Clock) -> Predicate:
    moment_of = row.moment

    def test(flow: Flow) -> bool:
        moment = moment_of(flow)
        return moment is not None and clock() - moment <= seconds

    return test
