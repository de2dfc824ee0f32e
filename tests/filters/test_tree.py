"""Trees are values, and have one canonical way to be written."""

import pytest

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
    children,
    depth,
    leaves,
    quote,
)

Q, S = Flag("q"), Flag("s")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Q, "~q"),
        (Pattern("d", "a.b"), "~d a.b"),
        (Pattern("d", "a b"), '~d "a b"'),
        (Measure("c", "=", 200), "~c 200"),
        (Measure("c", ">=", 400), "~c >=400"),
        (Measure("dur", ">", 0.00001, "s"), "~dur >0.00001s"),
        (Measure("dur", ">", 1e20, "s"), "~dur >100000000000000000000s"),
        (Between("c", 400, 499), "~c 400-499"),
        (Between("dur", 1.0, 2.5, "s"), "~dur 1.0s-2.5s"),
        (Within("since", 600.0), "~since 600.0s"),
        (JSONValue("json", ("a", 0, -1, None), "x"), "~json $.a[0][-1][*]=x"),
        (JSONValue("json", ("it's \\",), None), "~json \"$['it\\\\'s \\\\\\\\']\""),
        (JSONValue("json", (), ""), "~json $="),
        (Not(And((Q, S))), "!(~q & ~s)"),
        (Not(Not(Q)), "!!~q"),
        (And((Or((Q, S)), And((Q, S)))), "(~q | ~s) & (~q & ~s)"),
    ],
)
def test_canonical(node, text):
    assert str(node) == text


def test_quote_only_where_needed():
    assert quote("a|b!&") == "a|b!&"
    assert quote("") == '""'
    assert quote("\\d") == "\\d"
    assert quote('\\ "\n\r\t\f') == r'"\\ \"\n\r\t\f"'
    assert quote("a~") == '"a~"'
    assert quote("&") == '"&"'


def test_values():
    assert And((Q, S)) == And((Q, S))
    assert hash(And((Q, S))) == hash(And((Q, S)))
    assert And((Q, S)) != Or((Q, S))
    with pytest.raises(AttributeError):
        Q.operator = "s"


def test_walking():
    tree = And((Q, Not(Or((S, Pattern("u", "a"))))))
    assert children(tree) == tree.items
    assert children(Not(Q)) == (Q,)
    assert children(Q) == ()
    assert depth(Q) == 1
    assert depth(tree) == 4
    assert list(leaves(tree)) == [Q, S, Pattern("u", "a")]


def test_depth_of_a_tree_too_deep_for_recursion():
    node = Q
    for _ in range(10_000):
        node = Not(node)
    assert depth(node) == 10_001
    assert list(leaves(node)) == [Q]
