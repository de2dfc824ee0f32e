"""JSON Schemas of documents."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis.json_schema import (
    MAX_FIELDS,
    MAX_ITEMS,
    Shape,
    format_of,
    outline,
    step,
    type_of,
)
from nbproxy.filters.jsonpath import parse_path


def schema_of(*documents):
    shape = Shape()
    for document in documents:
        shape.add(document)
    return shape.to_schema()


def test_fields_types_and_what_is_required():
    found = schema_of(
        {"id": 1, "name": "a", "tags": ["x"], "score": 1, "on": True},
        {"id": 2, "name": None, "tags": [], "score": 2.5, "on": False, "more": {"x": 1}},
    )
    assert found == {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": ["string", "null"], "x-null-rate": 0.5},
            "tags": {"type": "array", "items": {"type": "string"}},
            "score": {"type": "number"},
            "on": {"type": "boolean"},
            "more": {
                "type": "object",
                "properties": {"x": {"type": "integer"}},
                "required": ["x"],
                "x-presence": 0.5,
            },
        },
        "required": ["id", "name", "tags", "score", "on"],
    }


def test_formats():
    assert schema_of("2024-05-01", "2024-06-01") == {"type": "string", "format": "date"}
    assert schema_of("2024-05-01", "tomorrow") == {"type": "string"}
    assert schema_of("tomorrow", "2024-05-01") == {"type": "string"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2024-05-01", "date"),
        ("2024-05-01T10:00:00Z", "date-time"),
        ("2024-05-01T10:00:00.123+02:00", "date-time"),
        ("2024-05-01T10:00:00", ""),
        ("2024-05", ""),
        ("550e8400-e29b-41d4-a716-446655440000", "uuid"),
        ("https://example.org/x?y", "uri"),
        ("http no", ""),
        ("bob@example.org", "email"),
        ("@ home", ""),
        ("93.184.216.34", "ipv4"),
        ("123456", ""),
        ("x", ""),
        ("x" * 3000, ""),
    ],
)
def test_each_format(text, name):
    assert format_of(text) == name


def test_maps():
    by_id = schema_of({"17": {"x": 1}, "42": {"x": 2}})
    inner = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    assert by_id == {"type": "object", "additionalProperties": inner}
    names = schema_of(*({f"name{'abcdefgh'[i % 8]}{'klmnopqr'[i // 8]}": i} for i in range(64)))
    assert names == {"type": "object", "additionalProperties": {"type": "integer"}}
    record = {f"field{'abcdefgh'[i % 8]}{'klmnopqr'[i // 8]}": i for i in range(64)}
    assert len(schema_of(record, record)["properties"]) == 64  # many, and always there


def test_secrets_that_are_names_are_not_kept():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
    found = json.dumps(schema_of({token: 1, "ghp_k3j9x0q2mN4vB7zL1pQ8sT5wY2cD6eH": 2}))
    assert token not in found
    assert "ghp_" not in found


def test_bounds():
    deep = None
    for _ in range(200):
        deep = {"x": [deep]}
    assert len(json.dumps(schema_of(deep))) < 1000
    wide = {f"n{'abcdefghij'[i % 10]}{'abcdefghij'[i // 10 % 10]}{'x' * (i // 100)}": 1
            for i in range(2000)}  # fmt: skip
    shape = Shape()
    shape.add(wide)
    assert len(shape.fields) == MAX_FIELDS
    assert set(shape.to_schema()) == {"type", "additionalProperties"}
    long = schema_of([1] * MAX_ITEMS + ["x"] * 10**6)
    assert long == {"type": "array", "items": {"type": "integer"}}
    many = Shape()
    many.add([[1] * MAX_ITEMS] * MAX_ITEMS * 10)
    assert many.items.items.count == MAX_ITEMS * MAX_ITEMS
    huge = Shape()
    huge.add([[[1] * MAX_ITEMS] * MAX_ITEMS] * MAX_ITEMS)
    assert sum(shape.count for _, shape, _ in huge.walk()) == 20_000


def test_what_was_not_seen():
    assert schema_of() == {}
    assert schema_of([]) == {"type": "array", "items": {}}
    assert schema_of(None) == {"type": "null"}
    assert schema_of({}) == {"type": "object"}


def test_mixtures():
    found = schema_of({"x": 1}, [2], "y", None, None)
    assert found["type"] == ["string", "array", "object", "null"]
    assert found["items"] == {"type": "integer"}
    assert found["x-null-rate"] == 0.4


def test_merging_is_seeing_both():
    one, other, both = Shape(), Shape(), Shape()
    documents = [{"a": 1, "t": "2024-05-01"}, {"a": None, "b": [1, {"17": 2}]}, {"b": ["x"]}, 3]
    for i, document in enumerate(documents):
        (one if i % 2 else other).add(document)
        both.add(document)
    kept = other.copy()
    other.merge(one)
    assert other.to_schema()["properties"].keys() == both.to_schema()["properties"].keys()
    assert other.count == both.count
    assert other.types == both.types
    assert kept.count == 2  # a copy goes its own way


def test_merging_what_both_have():
    one, other = Shape(), Shape()
    one.add({"at": "2024-05-01", "items": [1], "17": 1, "mine": 1})
    other.add({"at": "tomorrow", "items": [None, {"x": 1}], "42": "x", "theirs": []})
    one.merge(other)
    found = one.to_schema()
    assert found["properties"]["at"] == {"type": "string"}
    assert found["properties"]["items"]["items"]["type"] == ["integer", "object", "null"]
    assert found["additionalProperties"] == {"type": ["integer", "string"]}
    assert found["required"] == ["at", "items"]
    wide = Shape()
    wide.fields = {str(i): Shape() for i in range(MAX_FIELDS)}
    wide.merge(one)
    assert len(wide.fields) == MAX_FIELDS
    assert wide.others.count > 0


def test_walking_gives_paths_that_parse():
    shape = Shape()
    shape.add({"a": [{"b c": {"17": None}}], "x'\\y": 1, "ü": 2})
    paths = {path: parse_path(path)[0] for path, _, _ in shape.walk()}
    assert paths == {
        "$": (),
        "$.a": ("a",),
        "$.a[*]": ("a", None),
        "$.a[*]['b c']": ("a", None, "b c"),
        "$.a[*]['b c'][*]": ("a", None, "b c", None),
        "$['x\\'\\\\y']": ("x'\\y",),
        "$.ü": ("ü",),
    }


@given(st.text(max_size=20))
def test_every_name_is_a_step(name):
    assert parse_path("$" + step(name)) == ((name,), None)


def test_outline():
    found = schema_of({"id": 1, "at": "2024-05-01", "tags": ["x"], "by": {"17": 1}, "n": None})
    assert outline(found) == "{id: integer, at: date, tags: [string], by: {*: integer}, n: null}"
    assert outline(schema_of({"a": 1}, {})) == "{a?: integer}"
    assert outline(schema_of([])) == "[any]"
    wide = schema_of({f"field{'abcdefgh'[i % 8]}{'klmnopqr'[i // 8]}": i for i in range(64)})
    assert len(outline(wide, 100)) == 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: (
        st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=5)
    ),
    max_leaves=25,
)


@given(st.lists(json_values, min_size=1, max_size=6))
def test_a_schema_takes_what_it_was_made_of(documents):
    documents = json.loads(json.dumps(documents))
    schema = schema_of(*documents)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for document in documents:
        validator.validate(document)


@pytest.mark.parametrize(
    ("text", "name"),
    [("1", "integer"), ("1.0", "integer"), ("1.5", "number"), ("1e999", "number"),
     ("NaN", "number"), ("true", "boolean"), ("null", "null"), ('"x"', "string"),
     ("[]", "array"), ("{}", "object")],
)  # fmt: skip
def test_types(text, name):
    assert type_of(json.loads(text)) == name
