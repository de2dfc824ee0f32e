"""Writing YAML: every reader gets back what was written."""

import pytest
import yaml as pyyaml
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis.yaml import dump

characters = st.characters(exclude_categories=["Cs"])
text = st.text(characters, max_size=20) | st.sampled_from(
    ["", "yes", "No", "null", "~", "1", "1e3", "0x1f", "12:30", "2024-05-01", "- x", "a: b", "#c",
     "a #c", "{a}", "[b]", "*c", "&d", "!e", "|", ">", "%f", "@g", "`h`", '"', "'", "a\nb", " a",
     "a ", "\t", "=", "<<", "...", "---", "\ufeff", "\u2028", "\x85", "é", "😀", "/users/{id}",
     "$ref"]
)  # fmt: skip
data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(text, inside, max_size=4),
    max_leaves=20,
)


@given(data)
def test_what_is_written_is_read(value):
    assert pyyaml.safe_load(dump(value)) == value


def test_it_reads_well():
    value = {
        "openapi": "3.1.0",
        "paths": {"/users/{id}": {"get": {"tags": ["a b", "c"], "deprecated": False}}},
        "empty": {},
        "none": [],
        "lists": [[1, 2], {"a": 1, "b": None}],
    }
    assert dump(value) == (
        'openapi: "3.1.0"\n'
        "paths:\n"
        "  /users/{id}:\n"
        "    get:\n"
        "      tags:\n"
        "        - a b\n"
        "        - c\n"
        "      deprecated: false\n"
        "empty: {}\n"
        "none: []\n"
        "lists:\n"
        "  - - 1\n"
        "    - 2\n"
        "  - a: 1\n"
        "    b: null\n"
    )


def test_numbers_that_are_none():
    assert dump([float("inf"), float("-inf"), float("nan")]) == "- .inf\n- -.inf\n- .nan\n"


def test_a_lone_surrogate():
    assert pyyaml.safe_load(dump("a\ud800")) == "a\ufffd"


def test_what_is_no_data():
    with pytest.raises(TypeError, match="not of set"):
        dump({"a": {1}})
