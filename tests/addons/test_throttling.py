"""A slow, narrow, unreliable network."""

from __future__ import annotations

import time

import httpx
import pytest

from nbproxy import Response
from nbproxy.protocol.http1 import ClientStream
from tests.support.clients import aside, through
from tests.support.proxies import answering, last_flow, response, wait_until


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda m: response(m.body or m.target)))


def test_only_what_matches_waits(proxy, origin):
    rule = proxy.throttle("~u /slow", latency=1000)
    with through(proxy) as client:
        slow = aside(lambda: client.get(f"{origin.url}/slow"))
        wait_until(lambda: rule.hits == 1)
        assert client.get(f"{origin.url}/fast").text == "/fast"
        assert not slow.done()
        proxy.stop()
        with pytest.raises(httpx.TransportError):
            slow.result(60)
    assert len(origin.wires) == 1
    assert rule.hits == 1
    assert repr(rule) == "<throttle ~u /slow, 1000 s: 1 hit>"


def test_what_waits_goes_on(proxy, origin):
    proxy.throttle(latency=0.3)
    with through(proxy) as client:
        began = time.monotonic()
        assert client.get(f"{origin.url}/slow").text == "/slow"
        assert time.monotonic() - began >= 0.3


def test_a_delay_between_two_numbers(proxy, origin):
    proxy.throttle(latency=(0.05, 0.1), seed=1)
    with through(proxy) as client:
        for _ in range(3):
            client.get(f"{origin.url}/x")
    wait_until(lambda: not any(flow.live for flow in proxy.flows))
    for flow in proxy.flows:
        assert flow.duration >= 0.05


@pytest.mark.parametrize("large", [False, True])
def test_bodies_trickle(make_proxy, make_origin, monkeypatch, large):
    """As fast as they may, whether they are read whole first or pass as they come."""
    proxy = make_proxy(stream_large_bodies=1000 if large else 2**20)
    origin = make_origin(answering(lambda _: response(b"x" * 20_000)))
    proxy.throttle(bandwidth=50_000)
    pieces = []  # as they are sent: a client that is slow itself finds several at once
    write = ClientStream.write_piece

    def note(self, how, data):
        pieces.append(len(data))
        write(self, how, data)

    monkeypatch.setattr(ClientStream, "write_piece", note)
    with through(proxy) as client:
        began = time.monotonic()
        assert client.get(origin.url).content == b"x" * 20_000
        took = time.monotonic() - began
    assert sum(pieces) == 20_000
    assert max(pieces) <= 50_000 / 20
    assert took >= 0.35
    assert bool(last_flow(proxy).response.stream) is large
    assert last_flow(proxy).response.content == b"x" * 20_000


def test_chunked_answers_trickle(proxy, site):
    proxy.throttle(bandwidth=200)
    with through(proxy) as client:
        began = time.monotonic()
        assert client.get(f"{site.http_url}/chunked").text == "one, two, three.\n"
        assert time.monotonic() - began >= 0.07


def test_streamed_uploads_trickle(make_proxy, origin):
    proxy = make_proxy(stream_large_bodies=1000)
    rule = proxy.throttle("~q", bandwidth=50_000)
    with through(proxy) as client:
        began = time.monotonic()
        assert client.post(origin.url, content=b"y" * 20_000).content == b"y" * 20_000
        assert time.monotonic() - began >= 0.35
    assert rule.hits == 1
    assert "50000 B/s" in repr(rule)


def test_a_client_that_leaves_ends_the_trickle(proxy, make_origin):
    origin = make_origin(answering(lambda _: response(b"x" * 100_000)))
    proxy.throttle(bandwidth=1000)
    with through(proxy) as client, client.stream("GET", origin.url) as answer:
        next(answer.iter_raw())
    wait_until(lambda: not proxy.flows[0].live)
    assert proxy.flows[0].error.msg == "the client disconnected"


def test_answers_of_handlers_trickle(proxy):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "z" * 5000)))
    proxy.throttle(bandwidth=50_000)
    with through(proxy) as client:
        began = time.monotonic()
        assert len(client.get("http://a.test/").content) == 5000
        assert time.monotonic() - began >= 0.08


def test_failures_by_chance_repeat_with_the_seed(make_proxy, origin):
    courses = []
    for _ in range(2):
        proxy = make_proxy()
        rule = proxy.throttle(fail=0.5, status=503, seed=7)
        with through(proxy) as client:
            courses.append([client.get(origin.url).status_code for _ in range(12)])
        assert rule.failures == courses[-1].count(503)
        assert rule.hits == 12
    assert courses[0] == courses[1]
    assert set(courses[0]) == {200, 503}


def test_broken_connections(proxy, origin):
    rule = proxy.throttle(fail=1)
    with through(proxy) as client, pytest.raises(httpx.TransportError):
        client.get(origin.url)
    assert last_flow(proxy).error.msg == "killed by a handler"
    assert last_flow(proxy).metadata["throttled"] == "cut"
    assert rule.failures == 1
    assert "100% fail" in repr(rule)
    assert "1 let fail" in repr(rule)


def test_a_status_alone_is_for_all(proxy, origin):
    proxy.throttle("~u /api", status=503)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/api").status_code == 503
        assert client.get(f"{origin.url}/").status_code == 200


def test_taking_it_back(proxy, origin):
    with proxy.throttle(status=500), through(proxy) as client:
        assert client.get(origin.url).status_code == 500
    with through(proxy) as client:
        assert client.get(origin.url).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, "throttle takes latency="),
        ({"latency": -1}, "latency = -1"),
        ({"latency": (2, 1)}, "from, to"),
        ({"latency": (1,)}, r"latency = \(1,\): it takes seconds, or \(from, to\)"),
        ({"latency": float("nan")}, "latency = nan"),
        ({"bandwidth": 0}, "bytes per second, above 0"),
        ({"fail": 1.5}, "a probability"),
        ({"status": 99}, "a status to answer with"),
    ],
)
def test_mistakes(proxy, arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        proxy.throttle(**arguments)
    assert len(proxy.handlers) == 0


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"latency": "1"}, "latency = '1': it takes seconds, or"),
        ({"latency": (0, "1")}, "it takes seconds, or"),
        ({"bandwidth": "1k"}, "bandwidth = '1k': it takes a number"),
        ({"fail": "x"}, "fail = 'x': it takes a number"),
        ({"status": "503"}, "status = '503': it takes a number"),
    ],
)
def test_wrong_types(proxy, arguments, wanted):
    with pytest.raises(TypeError, match=wanted):
        proxy.throttle(**arguments)
    assert len(proxy.handlers) == 0


def test_two_ends_may_be_a_list(proxy):
    assert "0.1 to 0.5 s" in repr(proxy.throttle(latency=[0.1, 0.5]))
