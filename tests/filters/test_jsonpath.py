"""The paths of `~json`."""

import pytest

from nbproxy.filters.jsonpath import parse_path


@pytest.mark.parametrize(
    ("text", "path", "regex"),
    [
        ("$", (), None),
        ("$=x", (), "x"),
        ("$.a", ("a",), None),
        ("$.a.b=", ("a", "b"), ""),
        ("$.a=b=c", ("a",), "b=c"),
        ("$.items[0].id=^7$", ("items", 0, "id"), "^7$"),
        ("$[-1]", (-1,), None),
        ("$.*", (None,), None),
        ("$[*].a", (None, "a"), None),
        ("$['a b']=x", ("a b",), "x"),
        ("$['a=b'].c=x", ("a=b", "c"), "x"),
        ('$["it\'s"]', ("it's",), None),
        ("$['it\\'s \\\\']", ("it's \\",), None),
        ("$.größe", ("größe",), None),
    ],
)
def test_paths(text, path, regex):
    assert parse_path(text) == (path, regex)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a", "begins with $: write $.a"),
        ("", "begins with $"),
        ("$a", "'a'"),
        ("$..a", "'..a'"),
        ("$.a[", "'['"),
        ("$[a]", "'[a]'"),
        ("$['a]", '"[\'a]"'),
    ],
)
def test_bad_paths_say_where(text, word):
    with pytest.raises(ValueError, match="JSON path") as caught:
        parse_path(text)
    assert word in str(caught.value)
