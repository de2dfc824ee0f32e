"""The public API as a program that a type checker reads; it is never run.

Each line is something users write; `assert_type` says what they get.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, assert_type

import nbproxy
from nbproxy import Headers, HTTPFlow, Proxy, Request, Response
from nbproxy.errors import ConfigError, FilterError

if TYPE_CHECKING:
    import pandas as pd

    from nbproxy.store.view import Flows


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


def made_by_hand() -> None:
    """Messages from scratch."""
    assert_type(Request.make("GET", "https://example.org/", b"", {"a": "b"}), Request)
    assert_type(Response.make(200, "text"), Response)
    assert_type(Headers([(b"a", b"b")], x_seen="1"), Headers)
