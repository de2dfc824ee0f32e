"""Values as JSON: exactly the same comes back, or it is refused."""

import json
import math

import pytest
from hypothesis import given

from nbproxy.store import tagged
from tests.store.session_flows import json_like, plain


@given(json_like)
def test_what_is_written_comes_back(value):
    text = tagged.dumps(value)
    assert text.isascii()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert plain(tagged.loads(text)) == plain(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, [math.inf], {"x": math.nan}])
def test_floats_that_json_has_no_word_for(value):
    assert repr(tagged.loads(tagged.dumps(value))) == repr(value)


def test_dictionaries_that_look_tagged():
    for value in ({"$bytes": "x"}, {"$x": 1}, {1: 2}, {(1,): 2, None: 3}, {}):
        assert tagged.loads(tagged.dumps(value)) == value


def test_plain_values_are_plain_json():
    value = {"a": [1, 2.5, None, True, "ü"], "b": {}}
    assert json.loads(tagged.dumps(value)) == value


class Text(str):
    __slots__ = ()


ENDLESS = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        Text("x"),
        bytearray(b"x"),
        pytest.param(10**5000, id="large"),
        ENDLESS,
        [{"x": {3j}}],
    ],
)
def test_the_rest_is_refused(value):
    with pytest.raises(ValueError, match=r"no form|too large|too deeply"):
        tagged.dumps(value)


@pytest.mark.parametrize(
    "text",
    ['{"$bytes": 5}', '{"$bytes": "?"}', '{"$tuple": 5}', '{"$dict": [1]}', '{"$float": []}'],
)
def test_tags_that_others_wrote_stay_what_they_are(text):
    assert tagged.loads(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_what_is_no_json(text):
    with pytest.raises(ValueError, match=r"Expecting|deeply"):
        tagged.loads(text)
