"""Requests that are answered with an error, or not at all."""

from __future__ import annotations

import httpx
import pytest

from nbproxy import Response
from nbproxy.addons.blocking import Block
from nbproxy.errors import FilterError
from tests.support.clients import through
from tests.support.proxies import answering, last_flow, response


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda message: response(message.target)))


def test_blocked_requests_get_a_status(proxy, origin):
    rule = proxy.block("~u /ads")
    with through(proxy) as client:
        answer = client.get(f"{origin.url}/ads/1")
        assert (answer.status_code, answer.text) == (403, "blocked by a rule of nbproxy\n")
        assert client.get(f"{origin.url}/other").status_code == 200
    assert rule.hits == 1
    assert proxy.flows[0].metadata["blocked"] == 403
    assert origin.attempts == 1
    assert repr(rule) == "<block ~u /ads (403): 1 hit>"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((None, 418), 418),
        (("~u x", 204), 204),
        ((":~u x:404",), 404),
        (("/~u x/451",), 451),
        (("|~u x | ~u y|410",), 410),
    ],
)
def test_which_status(proxy, origin, arguments, status):
    proxy.block(*arguments)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/x").status_code == status


@pytest.mark.parametrize("arguments", [("~u x", 444), (":~u x:444",)])
def test_hanging_up(proxy, origin, arguments):
    rule = proxy.block(*arguments)
    with through(proxy) as client, pytest.raises(httpx.TransportError):
        client.get(f"{origin.url}/x")
    assert last_flow(proxy).error.msg == "killed by a handler"
    assert rule.hits == 1
    assert "no answer" in repr(rule)


def test_only_some_may_pass(proxy, origin):
    proxy.block(rf":!~u {origin.url}/ok:403")
    with through(proxy) as client:
        assert client.get(f"{origin.url}/ok").status_code == 200
        assert client.get(f"{origin.url}/x").status_code == 403
        assert client.get("http://elsewhere.test/").status_code == 403


def test_of_several_patterns_the_first_counts(proxy, origin):
    Block.of_specs([":~u x:404", ":~all:410"]).attach(proxy.handlers)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/x").status_code == 404
        assert client.get(f"{origin.url}/y").status_code == 410


def test_a_filter_with_slashes_is_a_filter(proxy, origin):
    proxy.block("/api/")
    with through(proxy) as client:
        assert client.get(f"{origin.url}/api/x").status_code == 403
        assert client.get(f"{origin.url}/x").status_code == 200


def test_what_is_answered_already_stays(proxy):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "mine")))
    rule = proxy.block()
    with through(proxy) as client:
        assert client.get("http://a.test/").text == "mine"
    assert rule.hits == 0


def test_on_flows_that_are_over_nothing_is_cut(proxy, origin):
    with through(proxy) as client:
        client.get(f"{origin.url}/x")
    rule = proxy.block(None, 444)
    flow = last_flow(proxy).copy()
    flow.response = None
    next(h for h in proxy.handlers if h.name == "block").function(flow)
    assert rule.hits == 1
    assert flow.error is None


@pytest.mark.parametrize("status", [0, 101, 1000])
def test_what_is_no_status(proxy, status):
    with pytest.raises(ValueError, match="no status to answer with"):
        proxy.block("~u x", status)
    with pytest.raises(ValueError, match=r"no status|no pattern"):
        Block.of_specs([f":~u x:{status}"])


@pytest.mark.parametrize("pattern", [":~u users:abc", ":~u users:", "|!~u users|4044", "/~u x"])
def test_a_pattern_gone_wrong_is_not_taken_for_a_url(proxy, pattern):
    with pytest.raises(ValueError, match="is no pattern of block_list: write :filter:status"):
        proxy.block(pattern)
    assert len(proxy.handlers) == 0


@pytest.mark.parametrize("condition", [":8080", "/api/", "/ ~m POST", "^https: & ~m POST"])
def test_urls_with_such_signs_are_filters(proxy, condition):
    assert proxy.block(condition).filter == condition


def test_what_is_of_a_wrong_type(proxy):
    with pytest.raises(TypeError, match="block takes a filter, as a str, not 5"):
        proxy.block(5)
    with pytest.raises(TypeError, match="'404' is no status to answer with"):
        proxy.block("~u x", "404")
    assert len(proxy.handlers) == 0


def test_what_is_no_pattern(proxy):
    with pytest.raises(ValueError, match="no pattern of block_list"):
        Block.of_specs(["~u x"])
    with pytest.raises(FilterError):
        proxy.block(":~c x:404")
    with pytest.raises(FilterError):
        proxy.block("~c x")
