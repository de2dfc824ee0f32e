"""The values of parameters."""

import pytest

from nbproxy.analysis.values import Values


def of(*texts, name="q", **options):
    values = Values(name, **options)
    for text in texts:
        values.add(text)
    return values


@pytest.mark.parametrize(
    ("texts", "schema"),
    [
        (["1", "-20"], {"type": "integer"}),
        (["1", "2.5"], {"type": "number"}),
        (["true", "false"], {"type": "boolean"}),
        (["true", "1"], {"type": "string"}),
        (["007"], {"type": "string"}),
        (["0.5"], {"type": "number"}),
        (["1", ""], {"type": "string"}),
        (["1" * 30], {"type": "number"}),
        (["2024-05-01"], {"type": "string", "format": "date"}),
        (["2024-05-01", "x"], {"type": "string"}),
        ([], {"type": "string"}),
    ],
)
def test_schemas(texts, schema):
    assert of(*texts).schema() == schema


def test_lists():
    values = of("1", "2")
    values.is_list = True
    assert values.schema() == {"type": "array", "items": {"type": "integer"}}
    assert values.example(()) == [1]


@pytest.mark.parametrize(
    ("texts", "example"),
    [(["17"], 17), (["2.5", "1"], 2.5), (["true"], True), (["blue"], "blue"), ([""], None),
     ([], None), (["1e999"], "1e999")],
)  # fmt: skip
def test_examples(texts, example):
    assert of(*texts).example(()) == example


@pytest.mark.parametrize(
    "text",
    [
        "bob@example.org",
        "x" * 61,
        "a\u202eb",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "https://user:hunter2@example.org/",
        "k3j9x0q2mN4vB7zL1pQ8sT5wY2cD6eH0aF",
    ],
)
def test_what_is_not_told(text):
    assert of(text).example(()) is None


def test_names_of_secrets():
    assert of("blue", name="api_key").example(()) is None
    assert of("blue", name="code").example(()) is None


def test_what_was_a_secret_elsewhere():
    assert of("hunter2").example({"hunter2"}) is None
    assert of("x-hunter2-y", "z").example({"hunter2"}) == "z"


def test_tokens_in_paths():
    assert of("dQw4w9WgXcQ", is_path=True).example(()) is None
    assert of("dQw4w9WgXcQ", "17x").example(()) == "dQw4w9WgXcQ"
