"""Answers from recordings, over real sockets and without any server."""

from __future__ import annotations

import gzip

import pytest

import nbproxy
from nbproxy import HTTPFlow, Request, Response
from nbproxy.addons.recordings import Recordings, Sameness
from nbproxy.addons.server_replay import ReplayServer
from tests.support.clients import through
from tests.support.proxies import answering, last_flow, response, wait_until


@pytest.fixture
def origin(make_origin):
    """Counts."""
    count = iter(range(1000))
    return make_origin(answering(lambda m: response(b"%d %b" % (next(count), m.target))))


@pytest.fixture
def recorded(make_proxy, origin):
    """A proxy that has seen three requests."""
    proxy = make_proxy()
    with through(proxy) as client:
        for path in ("/a", "/b?x=1&y=2", "/a"):
            client.get(origin.url + path)
        client.post(f"{origin.url}/j", json={"ts": 1, "q": "x"})
    wait_until(lambda: not any(flow.live for flow in proxy.flows))
    return proxy


def test_answers_come_from_recordings(proxy, recorded, origin):
    rule = proxy.replay_server(recorded.flows, ignore="$.ts")
    before = origin.attempts
    origin.close()
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a").text == "0 /a"
        assert client.get(f"{origin.url}/b?y=2&x=1").text == "1 /b?x=1&y=2"
        assert client.get(f"{origin.url}/a").text == "2 /a"
        assert client.get(f"{origin.url}/a").text == "2 /a"
        assert client.post(f"{origin.url}/j", json={"q": "x", "ts": 5}).text == "3 /j"
    assert (rule.hits, rule.misses) == (5, 0)
    assert origin.attempts == before
    flow = last_flow(proxy)
    assert flow.is_replay == "response"
    assert flow.metadata["replayed_from"] == recorded.flows[3].id
    assert flow.response.timestamp_end >= flow.request.timestamp_start
    assert "4 answers, 5 hits, 0 misses" in repr(rule)


def test_what_is_unknown_passes(proxy, recorded, origin):
    rule = proxy.replay_server(recorded.flows)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a?new").text == "4 /a?new"
    assert (rule.hits, rule.misses) == (0, 1)
    assert last_flow(proxy).is_replay is None


def test_or_is_refused(proxy, recorded, origin):
    rule = proxy.replay_server(recorded.flows, strict=True)
    with through(proxy) as client:
        answer = client.get(f"{origin.url}/a?new")
        assert answer.status_code == 502
        assert f"no answer to GET {origin.url}/a?new: this path was recorded" in answer.text
        assert "It has 4 answers" in answer.text
        assert client.get("https://elsewhere.test/").status_code == 502
    assert rule.misses == 2


def test_always_the_last(proxy, recorded, origin):
    proxy.replay_server(recorded.flows, in_turn=False)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a").text == "2 /a"


def test_only_for_some(proxy, recorded, origin):
    rule = proxy.replay_server(recorded.flows, strict=True, filter="~u /a")
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a").text == "0 /a"
        assert client.get(f"{origin.url}/b?x=1&y=2").text == "4 /b?x=1&y=2"
        rule.off()
        assert client.get(f"{origin.url}/a").text == "5 /a"


@pytest.mark.parametrize("end", ["nbproxy", "mitm", "har"])
def test_from_a_file(make_proxy, recorded, origin, tmp_path, end):
    path = tmp_path / f"session.{end}"
    recorded.flows.save(path)
    proxy = make_proxy()
    rule = proxy.replay_server(path, strict=True)
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a").text == "0 /a"
        assert client.get(f"{origin.url}/a").text == "2 /a"
    assert repr(rule).startswith(f"<replay_server session.{end}: 4 answers")
    several = make_proxy().replay_server([str(path), path])
    assert len(several.recordings) == 8


def test_https_needs_no_server_at_all(make_proxy, make_origin):
    """Not even for the names in its certificate."""
    secure = make_origin(answering(lambda m: response(b"secret " + m.target)), tls=True)
    first = make_proxy()
    with through(first) as client:
        client.get(f"{secure.url}/x")
    wait_until(lambda: not first.flows[-1].live)
    attempts = secure.attempts
    for strict in (False, True):
        proxy = make_proxy()
        proxy.replay_server(first.flows, strict=strict)
        with through(proxy) as client:
            assert client.get(f"{secure.url}/x").text == "secret /x"
    assert secure.attempts == attempts
    # but what is not known is connected to
    with through(proxy) as client:
        proxy.off()
        assert client.get(f"{secure.url}/y").text == "secret /y"


def test_unknown_requests_of_a_known_server_reach_it(make_proxy, make_origin):
    secure = make_origin(answering(lambda m: response(m.target)), tls=True)
    first = make_proxy()
    with through(first) as client:
        client.get(f"{secure.url}/x")
    wait_until(lambda: not first.flows[-1].live)
    proxy = make_proxy()
    proxy.replay_server(first.flows)
    with through(proxy) as client:
        assert client.get(f"{secure.url}/y").text == "/y"


def made(content=b"x", method="GET", status=200, **headers):
    flow = HTTPFlow(Request.make(method, "http://made.test/x"))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    flow.response = Response.make(status, b"", named)
    flow.response.raw_content = content
    return flow


def test_content_codings_only_for_those_who_take_them(proxy):
    proxy.replay_server(made(gzip.compress(b"plain"), content_encoding="gzip"))
    with through(proxy) as client:
        assert client.get("http://made.test/x").headers["content-encoding"] == "gzip"
        for accepted in ("identity", "br"):
            answer = client.get("http://made.test/x", headers={"accept-encoding": accepted})
            assert "content-encoding" not in answer.headers
            assert answer.content == b"plain"


def test_flows_without_an_answer_are_left_out(proxy):
    unanswered = HTTPFlow(Request.make("GET", "http://made.test/y"))
    lost = made()
    lost.response.raw_content = None
    rule = proxy.replay_server([made(), unanswered, lost, made(method="CONNECT"), made(status=101)])
    assert (len(rule.recordings), rule.skipped) == (1, 4)


def test_nothing_recorded_is_a_mistake(proxy):
    with pytest.raises(ValueError, match="no answer in them; 1 flows have none"):
        proxy.replay_server([HTTPFlow(Request.make("GET", "http://made.test/y"))])
    with pytest.raises(ValueError, match="there are no flows in them"):
        proxy.replay_server([])
    with pytest.raises(TypeError, match="5 is neither flows nor a file of them"):
        proxy.replay_server(5)
    with pytest.raises(OSError, match="no file"):
        proxy.replay_server("missing.mitm")
    assert len(proxy.handlers) == 0


def test_head_and_bodyless_answers(proxy):
    proxy.replay_server(
        [
            made(b"", method="HEAD", content_length="17", etag="x"),
            made(b"", method="DELETE", status=204),
        ],
        strict=True,
    )
    with through(proxy) as client:
        answer = client.head("http://made.test/x")
        assert (answer.status_code, answer.headers["etag"]) == (200, "x")
        assert client.delete("http://made.test/x").status_code == 204


def test_answers_of_other_handlers_come_first(proxy):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "mine")))
    rule = proxy.replay_server(made())
    with through(proxy) as client:
        assert client.get("http://made.test/x").text == "mine"
    assert rule.hits == 0


def test_response_handlers_see_recorded_answers(proxy):
    proxy.replay_server(made(b"recorded"))

    @proxy.on("response")
    def change(flow):
        flow.response.text += " and changed"

    with through(proxy) as client:
        assert client.get("http://made.test/x").text == "recorded and changed"
        assert client.get("http://made.test/x").text == "recorded and changed"


def test_flows_that_were_removed_from_their_store_meanwhile(make_proxy, recorded, origin, tmp_path):
    path = tmp_path / "x.mitm"
    recorded.flows.save(path)
    saved = nbproxy.open(path)
    proxy = make_proxy()
    proxy.replay_server(saved)
    saved.clear()
    with through(proxy) as client:
        assert client.get(f"{origin.url}/a").text == "0 /a"


def test_answers_that_are_fetched_when_they_are_needed():
    """And may be gone by then: a file keeps only so many flows, say."""
    kept = {flow.id: flow for flow in (made(b"1"), made(b"2"))}
    rule = ReplayServer(Recordings(Sameness()), "x", strict=False)
    rule.learn(kept.values(), kept.__getitem__)
    first, second = kept
    del kept[first]
    assert rule.recordings.find(made().request) is None
    found = rule.recordings.find(made().request)
    assert (found.response.content, found.origin) == (b"2", second)
