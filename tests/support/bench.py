"""A plugin of fixtures: a proxy, an origin, and what is checked after every hostile input.

A test module asks for it with `pytest_plugins = ("tests.support.bench",)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from nbproxy import Proxy
from tests.support.origins import TIMEOUT_S, Origin, answering, eventually
from tests.support.rawclient import Answer, RawClient, exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nbproxy.model.flow import HTTPFlow
    from tests.support import strict
    from tests.support.origins import Peer, Script

# Nothing ends by a time limit unless a test asks for a shorter one.
PATIENT: Final[dict[str, Any]] = {
    "idle_timeout": TIMEOUT_S,
    "head_timeout": TIMEOUT_S,
    "body_timeout": TIMEOUT_S,
    "response_timeout": TIMEOUT_S,
    "connect_timeout": TIMEOUT_S,
    "tls_timeout": TIMEOUT_S,
    "stream_large_bodies": "1m",
}

GET: Final = b"GET http://ORIGIN/ HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"


def sockets_of_this_process() -> int:
    """How many sockets this process has open."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(entry.readlink()).startswith("socket:")
    return count


class Bench:
    """A proxy between raw clients and a scripted origin.

    Attributes:
        proxy: The proxy.
        origin: Answers politely unless a test gives it another script.
    """

    def __init__(self, proxy: Proxy, origin: Origin) -> None:
        self.proxy = proxy
        self.origin = origin
        self._peers_before = 0
        self._flows_before = len(proxy.flows)

    def begin(self) -> None:
        """Count from here on."""
        self._peers_before = len(self.origin.peers)
        self._flows_before = len(self.proxy.flows)

    def client(self) -> RawClient:
        """A connection to the proxy."""
        return RawClient(self.proxy.port)

    def filled(self, data: bytes) -> bytes:
        """`data` with the origin's authority in the place of ORIGIN."""
        return data.replace(b"ORIGIN", self.origin.authority)

    def exchange(
        self, data: bytes, methods: Sequence[bytes] = (), *, half_close: bool = False
    ) -> Answer:
        """Send bytes on a new connection, and read until the proxy ends it."""
        return exchange(self.proxy.port, self.filled(data), methods, half_close=half_close)

    def ask(self, script: Script | bytes, request: bytes = GET) -> Answer:
        """One request to an origin that follows a script; all that comes back for it.

        Args:
            script: A script, or the bytes with which to answer each request.
            request: Gets `Connection: close`, so that the answer ends.
        """
        self.origin.script = answering(script) if isinstance(script, bytes) else script
        method = request.split(b" ", 1)[0]
        closing = request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        return self.exchange(closing, [method])

    def tunnel(self, data: bytes, methods: Sequence[bytes] = ()) -> Answer:
        """Send bytes through a tunnel in clear; all that comes back for them."""
        with self.client() as client:
            client.send(self.filled(b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"))
            assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
            client.received.clear()
            client.send(self.filled(data))
            return client.read_to_end(methods)

    @property
    def peers(self) -> list[Peer]:
        """The origin's connections since `begin`."""
        return self.origin.peers[self._peers_before :]

    @property
    def requests(self) -> list[strict.Message]:
        """What the origin got whole, strictly read."""
        return self.origin.requests

    @property
    def flows_now(self) -> list[HTTPFlow]:
        """The flows since `begin`, over or not."""
        return list(self.proxy.flows)[self._flows_before :]

    @property
    def flows(self) -> list[HTTPFlow]:
        """The flows since `begin`, when all of them are over."""
        flows = self.flows_now
        eventually(lambda: not any(flow.live for flow in flows), "flows to end")
        return flows

    def flow(self) -> HTTPFlow:
        """The one flow since `begin`, when it is over."""
        eventually(lambda: self.flows_now, "a flow")
        (flow,) = self.flows
        return flow

    def error(self) -> str:
        """The error of the one flow since `begin`."""
        error = self.flow().error
        assert error is not None
        return error.msg

    def still_serves(self) -> None:
        """A clean request over a new connection is answered."""
        with Origin() as origin:
            data = (
                b"POST http://%b/clean HTTP/1.1\r\nHost: %b\r\n"
                b"Content-Length: 5\r\nConnection: close\r\n\r\nclean"
            ) % (origin.authority, origin.authority)
            answer = exchange(self.proxy.port, data)
            assert answer.statuses == [200], answer.raw[:500]
            assert answer.responses[0].body == b"clean"
            assert answer.ended == "fin"


@contextlib.contextmanager
def proxy_without_leaks(folder: Path, **options: Any) -> Iterator[Proxy]:
    """A proxy on a thread; afterwards no socket, task or thread of it is left.

    Whatever asyncio calls unexpected in the meantime (an exception out of a connection) fails it.
    """
    wrong: list[dict[str, Any]] = []
    threads_before = set(threading.enumerate())
    sockets_before = sockets_of_this_process()
    proxy = Proxy(port=0, confdir=str(folder), **{**PATIENT, **options})
    with proxy:
        runner, engine = proxy.runner, proxy._engine
        assert runner is not None
        assert engine is not None
        loop = runner.loop

        loop.call_soon_threadsafe(
            loop.set_exception_handler, lambda _, context: wrong.append(context)
        )

        async def count() -> int:
            return len(asyncio.all_tasks())

        def tasks() -> int:
            return asyncio.run_coroutine_threadsafe(count(), loop).result(TIMEOUT_S)

        tasks_before = tasks()
        yield proxy
        eventually(lambda: engine.listener.connections == 0, "clients to be gone")
        eventually(lambda: tasks() <= tasks_before, "tasks to end")
        assert wrong == []
    eventually(lambda: set(threading.enumerate()) <= threads_before, "threads to end")
    eventually(lambda: sockets_of_this_process() <= sockets_before, "sockets to be closed")


@pytest.fixture(scope="session")
def ca_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the proxies' CA lies; one for all, since making it takes long."""
    return tmp_path_factory.mktemp("ca") / "conf"


@pytest.fixture(scope="session")
def start_proxy(ca_folder: Path) -> Callable[..., contextlib.AbstractContextManager[Proxy]]:
    """`with start_proxy(**options) as proxy`: as `proxy_without_leaks`."""
    return lambda **options: proxy_without_leaks(ca_folder, **options)


@pytest.fixture(scope="module")
def module_proxy(ca_folder: Path) -> Iterator[Proxy]:
    """The proxy that a module's tests share."""
    with proxy_without_leaks(ca_folder) as proxy:
        yield proxy


@pytest.fixture
def bench(module_proxy: Proxy) -> Iterator[Bench]:
    """The module's proxy and a new origin; the proxy must serve after a test as before it."""
    with Origin() as origin:
        bench = Bench(module_proxy, origin)
        yield bench
    bench.still_serves()
    listener = module_proxy._engine.listener  # type: ignore[union-attr] # it runs
    eventually(lambda: listener.connections == 0, "clients to be gone, or the next test sees them")
