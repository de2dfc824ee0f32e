"""Compiled trees: comparisons, order, and what cannot be compiled."""

import pytest

from nbproxy.filters.compiler import RELATIONS, accepts, compile_leaf, compile_tree
from nbproxy.filters.tree import And, Between, Flag, JSONValue, Measure, Not, Or, Pattern, Within
from tests.filters.flows import http


def clock():
    return 1010.0


def test_relations():
    assert {
        relation: [accepts(Measure("c", relation, 2))(number) for number in (1, 2, 3)]
        for relation in RELATIONS
    } == {
        "=": [False, True, False],
        ">": [False, False, True],
        ">=": [False, True, True],
        "<": [True, False, False],
        "<=": [True, True, False],
    }
    assert [accepts(Between("c", 2, 3))(number) for number in (1, 2, 3, 4)] == [
        False,
        True,
        True,
        False,
    ]


def test_operands_are_asked_in_order_and_no_further_than_needed(monkeypatch):
    asked = []

    class Watched:
        type = "http"

        def __init__(self, flow):
            self.flow = flow

        def __getattr__(self, name):
            asked.append(name)
            return getattr(self.flow, name)

    yes, no, other = Flag("s"), Flag("q"), Flag("marked")
    assert compile_tree(And((yes, no, other)), clock)(Watched(http())) is False
    assert "marked" not in asked
    assert compile_tree(Or((no, yes, other)), clock)(Watched(http())) is True
    assert "marked" not in asked
    assert compile_tree(Or((no, other, yes)), clock)(Watched(http())) is True
    assert "marked" in asked


def test_single_items_and_not():
    assert compile_tree(And((Flag("s"),)), clock)(http())
    assert compile_tree(Not(Or((Flag("q"),))), clock)(http())


def test_leaves_of_each_kind():
    flow = http(response_body=b'{"a": 1}', times=(1000.0, 1000.25, 1000.5))
    for leaf in (
        Flag("s"),
        Pattern("m", "GET"),
        Measure("c", "<", 300),
        Between("dur", 0.4, 0.6, "s"),
        Within("since", 10.0),
        JSONValue("json", ("a",), "1"),
    ):
        assert compile_leaf(leaf, clock)(flow) is True


@pytest.mark.parametrize("leaf", [Flag("c"), Measure("q", "=", 1), Within("c", 1.0), Flag("nope")])
def test_operators_used_wrongly(leaf):
    with pytest.raises(KeyError):
        compile_tree(leaf, clock)
