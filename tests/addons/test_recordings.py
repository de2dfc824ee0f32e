"""When two requests ask the same, and which answer they get."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.addons.recordings import Recordings, Sameness
from nbproxy.model.message import Request, Response


def ask(path="/x", method="GET", body=b"", host="a.test", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request.make(method, f"http://{host}{path}", body, named)


def as_json(value, **headers):
    return ask("/j", "POST", json.dumps(value).encode(), content_type="application/json", **headers)


def form(body, **headers):
    return ask("/f", "POST", body, content_type="application/x-www-form-urlencoded", **headers)


def multipart(boundary, **fields):
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    kind = f"multipart/form-data; boundary={boundary}"
    return ask("/m", "POST", f"{parts}--{boundary}--\r\n".encode(), content_type=kind)


SAME = [
    (ask("/x?a=1&b=2"), ask("/x?b=2&a=1")),
    (ask("/x?a=1&a=2"), ask("/x?a=2&a=1")),
    (ask("/a%20b"), ask("/a%20b")),
    (ask("/%61"), ask("/a")),
    (ask(host="A.test"), ask(host="a.TEST")),
    (ask(user_agent="1"), ask(user_agent="2")),
    (as_json({"a": 1, "b": [1, 2]}), as_json({"b": [1, 2], "a": 1.0})),
    (ask("/j", "POST", b'{"a":1}'), ask("/j", "POST", b'{ "a" : 1 }')),
    (as_json(None), as_json(None)),
    (form(b"a=1&b=2"), form(b"b=2&a=1")),
    (form(b"a=%41"), form(b"a=A")),
    (multipart("x", a="1"), multipart("yy", a="1")),
    (ask(body=b"raw", method="POST"), ask(body=b"raw", method="POST")),
]
DIFFERENT = [
    (ask(method="GET"), ask(method="HEAD")),
    (ask("/x"), ask("/x/")),
    (ask("/a/b"), ask("/a%2Fb")),
    (ask("/x?a=1"), ask("/x?a=2")),
    (ask("/x?a=1"), ask("/x?a=1&a=1")),
    (ask("/X"), ask("/x")),
    (ask(host="a.test"), ask(host="b.test")),
    (ask(host="a.test"), ask(host="a.test:81")),
    (as_json({"a": 1}), as_json({"a": True})),
    (as_json({"a": 1}), as_json({"a": "1"})),
    (as_json([1, 2]), as_json([2, 1])),
    (as_json({"a": None}), as_json({})),
    (form(b"a=1"), form(b"a=2")),
    (multipart("x", a="1"), multipart("x", a="2")),
    (ask(body=b"raw", method="POST"), ask(body=b"raw ", method="POST")),
    (ask("/j", "POST", b"{broken"), ask("/j", "POST", b"{ broken")),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one, other):
    assert Sameness().key(one) == Sameness().key(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same(one, other):
    assert Sameness().key(one) != Sameness().key(other)


@pytest.mark.parametrize(
    ("ignore", "one", "other"),
    [
        ("ts", ask("/x?a=1&ts=1"), ask("/x?ts=2&a=1")),
        (["TS"], ask("/x?ts=1"), ask("/x")),
        ("$.ts", as_json({"a": 1, "ts": 1}), as_json({"a": 1})),
        ("$.m.id", as_json({"m": {"id": 1, "x": 2}}), as_json({"m": {"id": 2, "x": 2}})),
        ("$.list[*].id", as_json({"list": [{"id": 1}, {"id": 2}]}), as_json({"list": [{}, {}]})),
        ("$.list[0]", as_json({"list": [1, 2]}), as_json({"list": [3, 2]})),
        ("$.list[-1]", as_json({"list": [1, 2]}), as_json({"list": [1, 3]})),
        ("$.m.*", as_json({"m": {"a": 1}}), as_json({"m": {"b": 2}})),
        ("$[*].id", as_json([{"id": 1}]), as_json([{"id": 2}])),
        ("$['odd key']", as_json({"odd key": 1}), as_json({})),
        ("token", form(b"a=1&token=x"), form(b"a=1&token=y")),
        ("token", multipart("x", a="1", token="1"), multipart("x", a="1", token="2")),
        (["$.a", "$.b.c"], as_json({"a": 1, "b": {"c": 2}}), as_json({"b": {}})),
    ],
)
def test_what_does_not_matter(ignore, one, other):
    assert Sameness.of(ignore).key(one) == Sameness.of(ignore).key(other)
    assert Sameness().key(one) != Sameness().key(other)


def test_paths_that_lead_nowhere_do_nothing():
    sameness = Sameness.of(["$.a.b", "$[3]", "$.a[0].b", "$.n.*.x"])
    for value in (1, "text", [], [1], {"a": 1}, {"a": []}, {"a": {"c": 1}}, {"n": 3}):
        assert sameness.key(as_json(value)) == Sameness().key(as_json(value))


def test_headers_that_matter():
    sameness = Sameness.of("Date", ["Accept", "date"])
    assert sameness.headers == ("accept",)
    assert sameness.key(ask(accept="a")) != sameness.key(ask(accept="b"))
    assert sameness.key(ask(accept="a", date="1")) == sameness.key(ask(accept="a", date="2"))


@pytest.mark.parametrize("bad", ["$", "$.a=1", "$a", "$.a["])
def test_what_is_no_path(bad):
    with pytest.raises(ValueError, match="ignore: "):
        Sameness.of(bad)


def test_very_deep_json_is_compared_as_bytes():
    deep = b"[" * 100_000
    assert Sameness().key(ask("/j", "POST", deep)) == Sameness().key(ask("/j", "POST", deep))
    nested = b"[" * 900 + b"]" * 900
    Sameness.of("$[*].a").key(ask("/j", "POST", nested))


def test_coded_bodies_are_compared_decoded():
    plain, packed = as_json({"a": 1}), as_json({"a": 1})
    packed.encode("gzip")
    assert Sameness().key(plain) == Sameness().key(packed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, JSON)
def test_json_values_are_the_same_if_python_says_so_but_for_booleans(one, other):
    same = Sameness().key(as_json(one)) == Sameness().key(as_json(other))
    assert Sameness().key(as_json(one)) == Sameness().key(as_json(one))
    if same:
        assert one == other


# -- answers


def answers(recordings, *texts, request=None):
    for number, text in enumerate(texts):
        found = Response.make(200, text)
        recordings.add(request or ask(), lambda found=found: found, number)


def test_answers_come_in_turn_and_then_the_last():
    recordings = Recordings(Sameness())
    answers(recordings, "1", "2")
    found = [recordings.find(ask()) for _ in range(4)]
    assert [(each.response.text, each.origin) for each in found] == [
        *(("1", 0), ("2", 1)),
        *(("2", 1), ("2", 1)),
    ]
    assert len(recordings) == 2


def test_or_always_the_last():
    recordings = Recordings(Sameness(), in_turn=False)
    answers(recordings, "1", "2")
    assert [recordings.find(ask()).response.text for _ in range(2)] == ["2", "2"]


def test_each_gets_a_copy():
    recordings = Recordings(Sameness())
    answers(recordings, "1")
    recordings.find(ask()).response.text = "spoilt"
    assert recordings.find(ask()).response.text == "1"


def test_an_answer_that_is_no_longer_there():
    recordings = Recordings(Sameness())
    recordings.add(ask(), lambda: None)
    assert recordings.find(ask()) is None


def test_which_servers_are_known():
    recordings = Recordings(Sameness())
    answers(recordings, "1")
    assert recordings.knows("A.test", 80)
    assert not recordings.knows("a.test", 443)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (ask(host="b.test"), "no recording of this server"),
        (ask("/other"), "none of this path"),
        (ask(method="PUT"), "recorded with GET only"),
        (ask("/x?a=1"), "another query or another body"),
    ],
)
def test_why_there_is_none(request_, why):
    recordings = Recordings(Sameness())
    answers(recordings, "1")
    assert recordings.find(request_) is None
    assert why in recordings.why_not(request_)
