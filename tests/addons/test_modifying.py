"""Headers and bodies that are changed on their way."""

from __future__ import annotations

import re

import pytest

from nbproxy import Response
from nbproxy.addons.modifying import ModifyBody, ModifyHeaders, needs_body
from nbproxy.filters import parse
from tests.support.clients import through
from tests.support.proxies import answering, response


@pytest.fixture
def origin(make_origin):
    """Answers with the fields and the body that came."""

    def answer(message):
        lines = b"\n".join(n.lower() + b": " + v for n, v in message.fields)
        return response(lines + b"\n\n" + message.body, b"X-Old: 1", b"Set-Cookie: a=1")

    return make_origin(answering(answer))


def seen(answer):
    """What the server saw: fields by name, values in order."""
    head, _, body = answer.text.partition("\n\n")
    found = {}
    for line in head.splitlines():
        name, _, value = line.partition(": ")
        found.setdefault(name, []).append(value)
    return found, body


# -- headers


def test_requests_only(proxy, origin):
    rule = proxy.modify_headers(
        "~q", set={"x-a": "1", "user-agent": "me"}, add={"accept": "x/y"}, remove=["cookie"]
    )
    with through(proxy) as client:
        answer = client.get(
            f"{origin.url}/", headers={"cookie": "a=1", "X-A": "old", "accept": "*/*"}
        )
    fields, _ = seen(answer)
    assert (fields["x-a"], fields["user-agent"]) == (["1"], ["me"])
    assert fields["accept"] == ["*/*", "x/y"]
    assert "cookie" not in fields
    assert "x-a" not in answer.headers
    assert rule.hits == 1


def test_responses_only(proxy, origin):
    proxy.modify_headers("~s", set={"x-many": ["1", "2"]}, remove="set-cookie")
    proxy.modify_headers(on="response", add={"x-old": "2"})
    with through(proxy) as client:
        answer = client.get(f"{origin.url}/")
    assert answer.headers.get_list("x-many") == ["1", "2"]
    assert answer.headers.get_list("x-old") == ["1", "2"]
    assert "set-cookie" not in answer.headers
    assert "x-many" not in seen(answer)[0]


def test_both_if_nothing_says_otherwise(proxy, origin):
    rule = proxy.modify_headers(set={"x-both": "1"})
    with through(proxy) as client:
        answer = client.get(f"{origin.url}/")
    assert answer.headers["x-both"] == "1"
    assert seen(answer)[0]["x-both"] == ["1"]
    assert rule.hits == 2


@pytest.mark.parametrize(
    ("spec", "sent", "got"),
    [
        ("/~q/Host/example.org", {}, ["example.org"]),
        ("/~q & !~h Host:/Host/example.org", {}, None),
        ("/~q/X-Gone/", {"x-gone": "1"}, []),
        ("/~q/X-New/a/b", {}, ["a/b"]),
        (":~q:X-New:a", {"x-new": "old"}, ["a"]),
        ("/X-New/plain", {}, ["plain"]),
    ],
)
def test_patterns(proxy, origin, spec, sent, got):
    proxy.modify_headers(spec)
    name = re.split(r"[/:]", spec)[2 if spec.count(spec[0]) > 2 else 1].lower()
    name = "host" if "Host" in spec else name
    with through(proxy) as client:
        fields, _ = seen(client.get(f"{origin.url}/", headers=sent))
    expected = [f"127.0.0.1:{origin.port}"] if got is None else got
    assert fields.get(name, []) == expected


def test_the_value_may_stand_in_a_file(proxy, origin, tmp_path):
    path = tmp_path / "agent.txt"
    path.write_text("from a file\n")
    rule = proxy.modify_headers(f"/~q/User-Agent/@{path}")
    with through(proxy) as client:
        assert seen(client.get(f"{origin.url}/"))[0]["user-agent"] == ["from a file"]
        path.write_text("another")
        assert seen(client.get(f"{origin.url}/"))[0]["user-agent"] == ["another"]
        path.write_text("")
        assert "user-agent" not in seen(client.get(f"{origin.url}/"))[0]
    assert rule.hits == 3


def test_several_patterns_first_remove_and_then_add(proxy, origin):
    rule = ModifyHeaders.of_specs(["/~q/X-A/1", "/~q/X-A/2", "/~s/X-A/3"])
    rule.attach(proxy.handlers)
    with through(proxy) as client:
        answer = client.get(f"{origin.url}/", headers={"x-a": "old"})
    assert seen(answer)[0]["x-a"] == ["1", "2"]
    assert answer.headers.get_list("x-a") == ["3"]


def test_a_filter_that_asks_for_the_body_has_it(proxy, origin):
    proxy.modify_headers("~bs hello", set={"x-said": "yes"})
    with through(proxy) as client:
        assert client.post(f"{origin.url}/", content="hello").headers["x-said"] == "yes"
        assert "x-said" not in client.post(f"{origin.url}/", content="bye").headers


def test_streamed_responses_too(proxy, origin):
    proxy.on("responseheaders")(lambda flow: setattr(flow.response, "stream", True))
    proxy.modify_headers("~s", set={"x-new": "1"})
    with through(proxy) as client:
        assert client.get(f"{origin.url}/").headers["x-new"] == "1"


def test_answers_of_handlers_too(proxy):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200)))
    rule = proxy.modify_headers(set={"x-new": "1"})
    with through(proxy) as client:
        assert client.get("http://nowhere.test/").headers["x-new"] == "1"
    assert "x-new" not in proxy.flows[0].request.headers
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"set": {"a b": "1"}}, "not a field name"),
        ({"set": {"a": "1\n2"}}, "control character"),
        ({"remove": "a:"}, "not a field name"),
        ({}, "takes set="),
        ({"filter": "~q"}, "no pattern of modify_headers"),
        ({"filter": "/~q/a b/c"}, "not a field name"),
        ({"set": {"a": "1"}, "on": "error"}, "it takes 'request', 'response'"),
        ({"set": {"a": "1"}, "on": ()}, "it takes 'request', 'response'"),
    ],
)
def test_mistakes_in_modify_headers(proxy, arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        proxy.modify_headers(**arguments)
    assert len(proxy.handlers) == 0


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"set": ["a"]}, r"set = \['a'\]: it takes a dict"),
        ({"add": "a"}, "add = 'a': it takes a dict"),
        ({"set": {"a": 1}}, "the value of a field is a str, not 1"),
        ({"add": {"a": ["x", None]}}, "the value of a field is a str, not None"),
    ],
)
def test_wrong_types_in_modify_headers(proxy, arguments, wanted):
    with pytest.raises(TypeError, match=wanted):
        proxy.modify_headers(**arguments)
    assert len(proxy.handlers) == 0


def test_wrong_types_in_modify_body(proxy):
    for arguments in (("~s", 5, "x"), ("~s", "x", 5)):
        with pytest.raises(TypeError, match=r"modify_body takes str, bytes or .*, not 5"):
            proxy.modify_body(*arguments)
    assert len(proxy.handlers) == 0


def test_a_file_that_is_not_there(proxy, tmp_path):
    for modify in (proxy.modify_headers, proxy.modify_body):
        with pytest.raises(FileNotFoundError):
            modify(f"/~q/x/@{tmp_path / 'missing'}")


def test_values_are_not_shown(proxy):
    rule = proxy.modify_headers("~q", set={"authorization": "Bearer topsecret"})
    assert "topsecret" not in repr(rule)
    assert repr(rule) == "<modify_headers ~q: authorization: 0 hits>"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("~q", False),
        ("~bq x", False),
        ("~b x", True),
        ("~d a & !(~c 200 | ~bs x)", True),
        ("~json $.a=1", True),
        ("~size >1k", True),
        ("~any x", True),
        ("~c 4xx", False),
    ],
)
def test_which_filters_wait_for_the_body(expression, expected):
    assert needs_body(parse(expression).tree) is expected


# -- bodies


@pytest.mark.parametrize(
    ("arguments", "sent", "got"),
    [
        (("~q", "a+", "b"), "xaay", "xby"),
        (("~q", b"a.c", b"-"), "a\nc", "-"),
        (("~q", r"(\w)(\w)", r"\2\1"), "ab", "ba"),
        (("~q", re.compile("A", re.IGNORECASE), "b"), "aA", "bb"),
        (("~q", "ä", "ö"), "ä", "ö"),
        (("~q", "a", lambda m: m[0].upper() * 2), "a", "AA"),
        (("~s", "a", "b"), "a", "a"),
        (("/~q/foo/bar",), "foo", "bar"),
        (("/foo/bar",), "foo", "bar"),
        ((r":~q:(f)oo:\1/:",), "foo", "f/:"),
        ((r"/~q/a/\x41\x5c\n",), "a", "A\\\n"),
    ],
)
def test_bodies_of_requests(proxy, origin, arguments, sent, got):
    proxy.modify_body(*arguments, **({"on": "request"} if len(arguments) == 3 else {}))
    with through(proxy) as client:
        client.post(f"{origin.url}/", content=sent)
    flow = proxy.flows[-1]
    assert flow.request.text == got
    assert flow.request.headers["content-length"] == str(len(flow.request.raw_content))


def test_bodies_of_responses(proxy, origin):
    rule = proxy.modify_body("~s", "secret", "public")
    with through(proxy) as client:
        answer = client.post(f"{origin.url}/", content="secret")
    assert seen(answer)[1] == "public"
    assert rule.hits == 1
    assert proxy.flows[-1].request.text == "secret"


def test_coded_bodies_are_decoded_and_coded_again(proxy, site):
    proxy.modify_body("~s", "a", "@@")
    with through(proxy) as client:
        answer = client.get(f"{site.http_url}/gzip")
        assert answer.headers["content-encoding"] == "gzip"
        assert "@@" in answer.text
        assert "a" not in answer.text


def test_a_body_that_cannot_be_decoded_stays(proxy, make_origin):
    broken = b"not gzip at all"
    origin = make_origin(answering(lambda _: response(broken, b"Content-Encoding: gzip")))
    rule = proxy.modify_body("~s", "gzip", "x")
    with through(proxy) as client, client.stream("GET", origin.url) as answer:
        assert b"".join(answer.iter_raw()) == broken
    assert rule.hits == 0


def test_streamed_bodies_pass(make_proxy, origin):
    proxy = make_proxy(stream_large_bodies=10)
    rule = proxy.modify_body(None, "a", "b")
    with through(proxy) as client:
        answer = client.post(f"{origin.url}/", content="a" * 100)
    assert seen(answer)[1] == "a" * 100
    assert rule.hits == 0
    assert proxy.flows[-1].response.text.endswith("a" * 100)


def test_a_replacement_in_a_file(proxy, origin, tmp_path):
    path = tmp_path / "new.txt"
    path.write_bytes(rb"\1 is no group here")
    proxy.modify_body(f":~q:foo:@{path}")
    with through(proxy) as client:
        client.post(f"{origin.url}/", content="<foo>")
    assert proxy.flows[-1].request.text == r"<\1 is no group here>"


def test_several_patterns_one_after_the_other(proxy, origin):
    ModifyBody.of_specs(["/~q/a/b", "/~q/b/c", "/~s/c/d"]).attach(proxy.handlers)
    with through(proxy) as client:
        answer = client.post(f"{origin.url}/", content="ab")
    assert proxy.flows[-1].request.text == "cc"
    assert seen(answer)[1] == "dd"


def test_answers_of_handlers_are_not_taken_for_requests(proxy):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "aa")))
    proxy.modify_body(None, "a", "b")
    with through(proxy) as client:
        assert client.post("http://nowhere.test/", content="aa").text == "bb"
    assert proxy.flows[0].request.text == "aa"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("~q", "(", "x"), "no regular expression"),
        (("~q", "a", r"\2"), "a backslash that means itself is written twice"),
        (("~q", "a", r"\q"), "a backslash that means itself is written twice"),
        (("~q", "a"), "takes a filter, a pattern and a replacement"),
        ((), "takes a filter, a pattern and a replacement"),
        (("~q",), "no pattern of modify_body"),
        (("/a/\\2",), "cannot replace"),
    ],
)
def test_mistakes_in_modify_body(proxy, arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        proxy.modify_body(*arguments)
    assert len(proxy.handlers) == 0


def test_what_it_says_of_itself(proxy):
    assert repr(proxy.modify_body("~s & ~t html", "https:", "http:")) == (
        "<modify_body ~s & ~t html: https:: 0 hits>"
    )
