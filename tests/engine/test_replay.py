"""Sending requests of recorded flows again."""

import pytest

from nbproxy.engine.replay import replay
from nbproxy.engine.runner import wait
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from tests.support.proxies import PATIENCE_S, answering, only_flow, response


def again(proxy, flow, *, hooks=False):
    wait(proxy.runner, replay(proxy._engine.core, flow, hooks=hooks), PATIENCE_S)


@pytest.mark.parametrize("secure", [False, True])
def test_a_request_is_sent_again(proxy, site, secure):
    url = site.https_url if secure else site.http_url
    flow = HTTPFlow(Request.make("POST", f"{url}/api/echo?x=1", b"body", {"x-a": "b"}))
    again(proxy, flow)
    assert flow.error is None
    seen = flow.response.json()
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/api/echo?x=1", "body")
    assert ["x-a", "b"] in seen["headers"]
    assert flow.response.timestamp_end >= flow.request.timestamp_start
    assert only_flow(proxy) is flow
    first = flow.server_conn
    again(proxy, flow)
    assert flow.server_conn is first
    assert len(proxy.flows) == 1


def test_chunks_and_trailers(proxy, site):
    flow = HTTPFlow(Request.make("GET", f"{site.http_url}/chunked"))
    again(proxy, flow)
    assert flow.response.text == "one, two, three.\n"
    assert "x-checksum" in flow.response.trailers


def test_hooks_run_if_asked_for(proxy, site):
    names = []
    for hook in ("requestheaders", "request", "responseheaders", "response", "error"):
        proxy.on(hook)(lambda flow, hook=hook: names.append(hook))
    flow = HTTPFlow(Request.make("GET", f"{site.http_url}/"))
    again(proxy, flow)
    assert names == []
    again(proxy, flow, hooks=True)
    assert names == ["requestheaders", "request", "responseheaders", "response"]


def test_a_server_that_is_not_there(proxy, make_origin):
    origin = make_origin(lambda wire: None)
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/"))
    failed = []
    proxy.on("error")(failed.append)
    again(proxy, flow, hooks=True)
    assert flow.response is None
    assert flow.error is not None
    assert failed == [flow]


def test_interim_responses_are_passed_over(proxy, make_origin):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    origin = make_origin(answering(lambda _: early + response(b"late")))
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/"))
    again(proxy, flow)
    assert flow.response.text == "late"
