"""Values in JSON by their paths, and what a comparison leaves out."""

import pytest

from nbproxy.analysis.json_values import MAX_LEAVES, leaves, parse_ignored, path_text


def test_leaves_in_their_order():
    found = [(place.name, place.value, place.is_length) for place in leaves(
        {"a": 1, "b": [{"c": None}, "x"], "d": {}}
    )]  # fmt: skip
    assert found == [
        ("$.a", 1, False),
        ("$.b", 2, True),
        ("$.b[*].c", None, False),
        ("$.b[*]", "x", False),
    ]
    assert [place.steps for place in leaves([7])] == [(), (0,)]


def test_bounds():
    assert len(list(leaves(list(range(10**6))))) <= MAX_LEAVES
    assert len(list(leaves({str(i): i for i in range(10**5)}))) <= MAX_LEAVES
    deep = 1
    for _ in range(100):
        deep = [deep]
    assert len(list(leaves(deep))) == 13


@pytest.mark.parametrize(
    ("path", "covered", "not_covered"),
    [
        ("$.ts", [("ts",), ("ts", "x")], [("t",), (), ("a", "ts")]),
        ("$.items[*].etag", [("items", 3, "etag"), ("items", None, "etag")], [("items", 3, "id")]),
        ("$.items[0]", [("items", 0), ("items", None)], [("items", 1)]),
        ("$.*.ts", [("any", "ts"), (3, "ts")], [("ts",)]),
        ("$", [(), ("a",)], []),
    ],
)
def test_paths(path, covered, not_covered):
    ignored = parse_ignored([path, "Date "])
    assert ignored.headers == {"date"}
    assert all(ignored.covers(steps) for steps in covered)
    assert not any(ignored.covers(steps) for steps in not_covered)


def test_one_alone():
    assert parse_ignored("$.a").covers(("a",))
    assert parse_ignored(()).paths == ()


def test_what_is_no_path():
    with pytest.raises(ValueError, match=r"ignore: '\$a' is no JSON path"):
        parse_ignored(["$a"])
    with pytest.raises(ValueError, match="compares a value"):
        parse_ignored(["$.a=x"])
    with pytest.raises(TypeError, match="not 3"):
        parse_ignored([3])


def test_text():
    assert path_text(("a", 0, None, "b c")) == "$.a[*][*]['b c']"
