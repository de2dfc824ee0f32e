"""Flows that are over and on disk are not kept in memory, whatever kind of traffic they were."""

import asyncio
import contextlib
import gc
import tempfile
import weakref
from pathlib import Path

import pytest

from nbproxy import Response, concurrent
from tests.support.proxies import answering, only_flow, response, wait_until
from tests.support.websocket_peers import open_websocket, serve_websocket

__all__ = ["open_websocket", "serve_websocket"]

TRAILERS = (
    b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"
)
SCRIPT = """
def response(context, flow):
    context.seen = getattr(context, "seen", 0) + 1
    flow.response.headers["x-seen"] = [str(context.seen)]
"""

FAILING = """
from libmproxy.script import concurrent

def request(context, flow):
    raise ValueError("no")

@concurrent
def response(context, flow):
    raise ValueError("no")
"""


def http(proxy, connect, make_origin):
    origin = make_origin(answering(lambda message: response(message.target)))
    with connect(proxy) as wire:
        for number in range(3):
            wire.get(f"{origin.url}/{number}")


def https(proxy, connect, make_origin):
    origin = make_origin(answering(lambda message: response(message.target)), tls=True)
    with connect(proxy, tls=origin.port) as wire:
        for number in range(3):
            wire.get(f"/{number}")


def trailers(proxy, connect, make_origin):
    origin = make_origin(answering(lambda _: TRAILERS))
    with connect(proxy) as wire:
        wire.get(f"{origin.url}/")


def large(proxy, connect, make_origin):
    origin = make_origin(answering(lambda _: response(bytes(1_000_000))))
    with connect(proxy) as wire:
        wire.get(f"{origin.url}/")


def refused(proxy, connect, make_origin):
    origin = make_origin(answering(lambda _: b""))
    origin.close()
    with connect(proxy) as wire:
        assert wire.get(f"{origin.url}/").status == 502


def cut(proxy, connect, make_origin):
    def serve(wire):
        wire.message()
        wire.send(response(b"whole").removesuffix(b"e"))

    origin = make_origin(serve)
    with connect(proxy) as wire:
        assert wire.get(f"{origin.url}/").status == 502


def killed(proxy, connect, make_origin):
    proxy.on("request")(lambda flow: flow.kill())
    with connect(proxy) as wire:
        wire.ask("http://origin.test/")
        assert wire.is_closed


def answered(proxy, connect, make_origin):
    def answer(flow):
        flow.response = Response.make(200, b"ours")

    proxy.on("request")(answer)
    with connect(proxy) as wire:
        assert wire.get("http://origin.test/").body == b"ours"


def noted(proxy, connect, make_origin):
    def stamp(flow):
        flow.response.headers["x-seen"] = "1"

    proxy.handlers.notes_changes = True
    proxy.on("response")(stamp)
    http(proxy, connect, make_origin)


def scripted(proxy, connect, make_origin, source=SCRIPT):
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "stamp.py"
        script.write_text(source)
        proxy.load(script, era="0.11")
    https(proxy, connect, make_origin)


def failing_script(proxy, connect, make_origin):
    scripted(proxy, connect, make_origin, FAILING)


def failed(proxy, connect, make_origin):
    def fail(flow):
        raise RuntimeError("no")

    async def fail_later(flow):
        raise RuntimeError("no")

    @concurrent
    def fail_elsewhere(flow):
        raise RuntimeError("no")

    for handler in (fail, fail_later, fail_elsewhere):
        proxy.on("response")(handler)
    http(proxy, connect, make_origin)


def handled_elsewhere(proxy, connect, make_origin):
    async def wait(flow):
        await asyncio.sleep(0)
        flow.response.headers["x-waited"] = "1"

    proxy.on("request")(concurrent(lambda flow: flow.request.headers.pop("x-none", None)))
    proxy.on("response")(wait)
    https(proxy, connect, make_origin)


def held(proxy, connect, make_origin):
    origin = make_origin(answering(lambda message: response(message.target)))
    proxy.intercept("~all")
    with connect(proxy) as wire:
        wire.ask(f"{origin.url}/")
        wait_until(lambda: len(proxy.flows) and proxy.flows[0].intercepted, "a request held")
        proxy.flows[0].resume()
        wait_until(lambda: proxy.flows[0].response and proxy.flows[0].intercepted, "a response")
        proxy.flows[0].resume()
        wire.answer()


def replayed(proxy, connect, make_origin):
    origin = make_origin(answering(lambda message: response(message.target)))
    with connect(proxy) as wire:
        wire.get(f"{origin.url}/")
    only_flow(proxy)

    async def again():
        await proxy.flows[0].replay()

    asyncio.run(again())


KINDS = [
    *(http, https, trailers, large, refused, cut, killed, answered),
    *(noted, scripted, failing_script, failed, handled_elsewhere, held, replayed),
]


class Watch:
    """Which flows are over, and which of these are still in memory."""

    def __init__(self, proxy):
        self.over = []
        for hook in ("response", "error"):
            proxy.on(hook)(self.see)
        self._proxy = proxy

    def see(self, flow):
        self.over.append(weakref.ref(flow))

    def check(self, at_least=1):
        wait_until(lambda: len(self.over) >= at_least, "flows that are over")
        wait_until(self._all_gone, "memory without these flows")
        assert len(self._proxy.flows) >= at_least  # but they are there

    def _all_gone(self):
        self._proxy.store.flush()
        return not any(ref() for ref in self.over)


@pytest.fixture(autouse=True)
def no_collection():
    """What goes must go by itself: a collection comes late, and takes time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("default")
def test_what_is_on_disk_is_not_in_memory(kind, make_proxy, connect, make_origin):
    proxy = make_proxy()
    watch = Watch(proxy)
    kind(proxy, connect, make_origin)
    watch.check()


def inject_once(flow):
    if not flow.websocket.messages[-1].injected:
        flow.websocket.inject(True, "injected")


def test_websockets_too(make_proxy, serve_websocket, open_websocket):
    proxy = make_proxy()
    watch = Watch(proxy)
    url = serve_websocket()
    with contextlib.closing(open_websocket(proxy, url)) as peer:
        peer.send("hello")
        assert peer.recv() == "hello"
        proxy.on("websocket_message", "~all")(inject_once)
        peer.send("again")
        assert {peer.recv(), peer.recv()} == {"again", "injected"}
    watch.check()
