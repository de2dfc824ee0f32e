"""Completion: operators where an operator may stand, and nothing elsewhere."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.filters import Completion, complete
from nbproxy.filters.operators import OPERATORS

ALL = [f"~{operator.name}" for operator in OPERATORS]


def texts(source, cursor=None):
    return [each.text for each in complete(source, len(source) if cursor is None else cursor)]


@pytest.mark.parametrize(
    "source", ["", "~", "a ", "!", "(", "a & ", "a & (", "~q ", "~q|", "~b x "]
)
def test_everything_where_an_operand_may_begin(source):
    assert texts(source) == ALL


@pytest.mark.parametrize(
    "source", ["a", "~b ", "~b x", '"', '"a ', '"~', "'a' \"b ~", '"a"', "a|", "~c "]
)
def test_nothing_elsewhere(source):
    assert texts(source) == []


def test_names_by_prefix():
    assert texts("~re") == ["~replay", "~replayq", "~replays"]
    assert texts("(~b x)|~siz") == ["~size", "~sizeq", "~sizes"]
    assert texts("a~ma") == ["~marked", "~marker"]
    assert texts("~nope") == []


def test_a_completion_replaces_the_whole_name():
    (first, *_) = complete("a ~repl b", 4)
    assert first == Completion(
        text="~replay",
        start=2,
        end=7,
        argument="",
        meaning=first.meaning,
    )
    assert first.meaning.startswith("it was made by a replay")
    (tilde,) = complete("~since", 4)
    assert (tilde.text, tilde.start, tilde.end, tilde.argument) == ("~since", 0, 6, "time")


def test_inserting_takes_nothing_away():
    first = complete("a  b", 2)[0]
    assert (first.start, first.end) == (2, 2)


def test_cursors_outside():
    assert texts("~q", -5) == ALL
    assert texts("~json", 99) == ["~json"]


@settings(deadline=None)
@given(st.text() | st.text("~qbu \"'&|!()a\\"), st.integers(-3, 30))
def test_any_text_and_cursor(source, cursor):
    for each in complete(source, cursor):
        assert 0 <= each.start <= each.end <= len(source)
        assert each.text in ALL
