"""The one table: names, examples and columns hold together."""

import re

from nbproxy.filters import parse
from nbproxy.filters.operators import BY_NAME, OPERATORS, describe
from nbproxy.filters.tree import leaves
from nbproxy.store.schema import COLUMNS, HIDDEN

SPECIFIED = (
    "all a e q s http websocket tcp udp dns marked replay replayq replays "
    "u d m h hq hs t tq ts b bq bs src dst meta marker comment c "
    "size sizeq sizes dur ttfb since cell any json col"
)


def test_all_operators_are_there_once():
    assert sorted(BY_NAME) == sorted(SPECIFIED.split())
    assert len(OPERATORS) == len(BY_NAME)


def test_every_example_uses_its_operator():
    for operator in OPERATORS:
        used = parse(operator.example)
        assert [leaf.operator for leaf in leaves(used.tree)] == [operator.name]
        said = "`user_id` is no column" if operator.name == "col" else ""
        assert "".join(used.warnings).startswith(said)
        assert bool(used.warnings) == bool(said)


def test_columns_are_columns_of_the_frame():
    names = {column.name for column in (*COLUMNS, *HIDDEN)}
    for operator in OPERATORS:
        assert set(operator.columns) <= names


def test_describe():
    rows = describe()
    assert ("~d", "regex", BY_NAME["d"].meaning) in rows
    assert {row[1] for row in rows} == {"", "regex", "number", "size", "time", "$.path=regex"}
    for name, _, meaning in rows:
        assert re.fullmatch("~[a-z]+", name)
        assert meaning
        assert "\n" not in meaning
