"""The public API as a program that a type checker reads; it is never run.

Each line is something users write; `assert_type` says what they get.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, assert_type

import nbproxy
from nbproxy import Headers, HTTPFlow, Proxy, Request, Response
from nbproxy.errors import ConfigError, FilterError
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import pandas as pd


def plain_program() -> None:
    """A proxy on a thread of its own."""
    with Proxy(port=0, ssl_insecure=True, stream_large_bodies="1m") as proxy:
        assert_type(proxy, Proxy)
        assert_type(proxy.port, int)
        assert_type(proxy.url, str)
        assert_type(proxy.proxies, dict[str, str])
        assert_type(proxy.ca_file, str)
        assert_type(proxy.running, bool)
        flows: Flows = proxy.flows
        frame: pd.DataFrame = proxy.df
        del flows, frame

        @proxy.on("request", "~d example.org")
        def answer(flow: HTTPFlow) -> None:
            flow.response = Response.make(404, b"no", {"x-why": "because"})

        @proxy.on("response")
        async def change(flow: HTTPFlow) -> None:
            await asyncio.sleep(0)
            assert flow.response is not None
            flow.response.headers["x-seen"] = "1"

        @proxy.on("response")
        @nbproxy.concurrent
        def wait(flow: HTTPFlow) -> None:
            flow.comment = "slow"

        removed: int = proxy.off(wait)
        del removed, answer, change
        proxy.clear()


async def on_a_loop() -> None:
    """A proxy on the loop that runs."""
    async with Proxy(host="127.0.0.1", loop="running") as proxy:
        assert_type(proxy, Proxy)


def by_hand() -> None:
    """Starting and stopping; errors."""
    try:
        proxy = Proxy(loop="thread").start()
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    assert_type(proxy, Proxy)
    try:
        matching = proxy.flows.filter("~d example.org")
    except FilterError as error:
        assert_type(error.position, int)
        raise
    first = matching.first
    assert_type(first, HTTPFlow | None)
    for flow in matching:
        read(flow)
    proxy.stop()
    proxy.close()


def read(flow: HTTPFlow) -> None:
    """What a flow has."""
    assert_type(flow.id, int)
    assert_type(flow.request, Request)
    assert_type(flow.response, Response | None)
    assert_type(flow.live, bool)
    assert_type(flow.duration, float | None)
    assert_type(flow.metadata, dict[str, Any])
    assert_type(flow.copy(), HTTPFlow)
    if flow.error is not None:
        assert_type(flow.error.msg, str)
    flow.intercept()
    flow.resume()
    flow.kill()
    flow.marked = True

    request = flow.request
    assert_type(request.method, str)
    assert_type(request.host, str)
    assert_type(request.port, int)
    assert_type(request.path, str)
    assert_type(request.url, str)
    assert_type(request.pretty_url, str)
    assert_type(request.headers, Headers)
    assert_type(request.headers["host"], str)
    assert_type(request.headers.get("x"), str | None)
    assert_type(request.headers.get_all("x"), list[str])
    assert_type(request.content, bytes | None)
    assert_type(request.text, str | None)
    assert_type(request.query["a"], str)
    request.url = "https://example.org/"
    request.headers = {"a": "b"}
    request.stream = lambda data: data.upper()

    response = flow.response
    if response is not None:
        assert_type(response.status_code, int)
        assert_type(response.reason, str)
        assert_type(response.content, bytes | None)
        response.text = "text"
        response.stream = True


async def held_and_sent_again(proxy: Proxy) -> None:
    """Holding, replaying, rules."""
    with proxy.intercept("~m POST", on="request", timeout=5) as rule:
        assert_type(rule.hits, int)
    flow = await proxy.next("~m POST", timeout=30)
    assert_type(flow, HTTPFlow)
    assert_type(proxy.next_sync(), HTTPFlow)
    for held in proxy.intercepts.held:
        assert_type(held.flow, HTTPFlow)
        assert_type(held.deadline, float)
    proxy.intercepts.answer(flow, Response.make(404))
    flow.intercept(timeout=1)
    assert_type(await flow.replay(headers={"a": None}), HTTPFlow)
    assert_type(flow.replay_sync(json={}), HTTPFlow)
    frame: pd.DataFrame = await proxy.flows.replay(vary={"page": range(5)}, concurrency=2)
    frame = proxy.flows.replay_sync()
    del frame
    proxy.replay_server(proxy.flows, strict=True, ignore=["$.ts", "date"]).off()
    proxy.map_local("https://example.org", "folder").off()
    proxy.map_remote("https://example.org", "http://127.0.0.1:8000").off()
    proxy.modify_headers("~q", set={"a": "1"}, add={"b": ["1", "2"]}, remove=["c"]).off()
    proxy.modify_body("~s", "a", lambda match: match[0].upper()).off()
    proxy.block("~d ads.example", 404).off()
    proxy.throttle(latency=(0.1, 0.2), bandwidth=1e5, fail=0.1, status=503, seed=1).off()
    with proxy.cassette("tape.mitm", mode="new") as tape:
        assert_type(tape.recorded, int)
    async with proxy.cassette("tape.mitm"):
        nbproxy.intercepts.resume_all()
    flow.request.bandwidth = 1000


def one_cells_traffic(proxy: Proxy) -> None:
    """Captures, browsers, reasons."""
    with nbproxy.capture(no_proxy="") as cap, proxy.capture():
        assert_type(cap.flows, Flows)
        assert_type(cap.is_open, bool)
    df: pd.DataFrame = cap.df
    assert_type([flow.request for flow in cap], list[Request])
    with nbproxy.browser("https://example.org/", name="firefox", headless=True) as browser:
        assert_type(browser.running, bool)
    reasons = nbproxy.why("https://example.org/", proxy=proxy)
    assert_type([check.advice for check in reasons.problems], list[str])
    del df


def made_by_hand() -> None:
    """Messages from scratch."""
    assert_type(Request.make("GET", "https://example.org/", b"", {"a": "b"}), Request)
    assert_type(Response.make(200, "text"), Response)
    assert_type(Headers([(b"a", b"b")], x_seen="1"), Headers)
