"""Proxies inside programs: how they start, live side by side, and leave nothing behind."""

import asyncio
import gc
import socket
import threading
import urllib.request
from pathlib import Path

import httpx
import pytest

from nbproxy import Proxy
from nbproxy.engine.runner import RunningRunner, ThreadRunner
from nbproxy.errors import ConfigError
from tests.support.proxies import PATIENCE_S, Wire, answering, response, wait_until


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda message: response(message.target)))


@pytest.fixture
def nothing_left():
    """Fails if a test leaves threads, descriptors or tasks."""

    def count():
        gc.collect()
        return len(list(Path("/dev/fd").iterdir()))

    threads, descriptors = set(threading.enumerate()), count()
    yield
    wait_until(lambda: set(threading.enumerate()) <= threads, "threads end")
    wait_until(lambda: count() <= descriptors, "descriptors are closed")


def fetch(proxy, url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxy.proxies))
    with opener.open(url, timeout=PATIENCE_S) as answer:
        return answer.read()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_in_a_plain_program(origin, confdir, nothing_left):
    with Proxy(port=0, confdir=confdir) as proxy:
        assert isinstance(proxy.runner, ThreadRunner)
        assert proxy.running
        assert proxy.url == f"http://127.0.0.1:{proxy.port}"
        assert fetch(proxy, f"{origin.url}/x") == b"/x"
        assert len(proxy.flows) == 1
    assert not proxy.running
    assert proxy.runner is None
    assert proxy.flows[0].response.content == b"/x"  # readable afterwards
    assert proxy.df.status.tolist() == [200]


async def test_on_a_running_loop(origin, confdir, nothing_left):
    before = asyncio.all_tasks()
    async with Proxy(port=0, confdir=confdir) as proxy:
        assert isinstance(proxy.runner, RunningRunner)
        async with httpx.AsyncClient(
            proxy=proxy.url, trust_env=False, timeout=PATIENCE_S
        ) as client:
            assert (await client.get(f"{origin.url}/x")).text == "/x"
        with pytest.raises(RuntimeError, match="wait for the proxy on the proxy's own event loop"):
            proxy.stop()
        assert proxy.running
    assert not proxy.running
    assert asyncio.all_tasks() == before
    assert proxy.flows[0].response.content == b"/x"


async def test_a_thread_beside_a_running_loop(origin, confdir):
    async with Proxy(port=0, confdir=confdir, loop="thread") as proxy:
        assert isinstance(proxy.runner, ThreadRunner)
        assert fetch(proxy, f"{origin.url}/x") == b"/x"  # blocks this loop, not the proxy's
    assert not proxy.running


async def test_starting_on_the_running_loop_needs_async_with(confdir):
    proxy = Proxy(port=0, confdir=confdir, loop="running")
    with pytest.raises(RuntimeError, match="would wait for the proxy"):
        proxy.start()
    with pytest.raises(RuntimeError, match="would wait for the proxy"), proxy:
        pass
    assert proxy.runner is None
    async with proxy:
        assert proxy.running


def test_start_and_stop(origin, confdir, nothing_left):
    proxy = Proxy(port=0, confdir=confdir)
    assert not proxy.running
    proxy.stop()  # harmless
    assert proxy.start() is proxy
    assert proxy.start() is proxy
    assert fetch(proxy, f"{origin.url}/1") == b"/1"
    proxy.stop()
    proxy.stop()
    with pytest.raises(OSError, match="refused"):
        fetch(proxy, f"{origin.url}/2")
    proxy.start()
    assert fetch(proxy, f"{origin.url}/3") == b"/3"
    assert [f.request.path for f in proxy.flows] == ["/1", "/3"]
    proxy.close()
    proxy.close()


def test_again_on_the_same_port(origin, confdir):
    proxy = Proxy(port=free_port(), confdir=confdir)
    for n in range(3):
        with proxy:
            port = proxy.port
            wire = Wire.to(port)  # left open while the proxy stops
            assert fetch(proxy, f"{origin.url}/{n}") == f"/{n}".encode()
        assert wire.is_closed
        wire.close()
    assert port == proxy.options.listen_port


def test_a_default_port_that_is_taken_gives_the_next(confdir):
    with Proxy(confdir=confdir) as first, Proxy(confdir=confdir) as second:
        assert 8080 <= first.port < second.port < 8180
        port = second.port
        second.stop()
        second.start()
        assert second.port == port


def test_a_chosen_port_that_is_taken_is_an_error(confdir, nothing_left):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for proxy in (Proxy(port=port, confdir=confdir), Proxy(listen_port=port, confdir=confdir)):
            with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .*port=0"):
                proxy.start()
            assert not proxy.running
            assert proxy.runner is None
        with pytest.raises(ConfigError), Proxy(port=port, confdir=confdir):
            pass
    with proxy:  # free again
        assert proxy.port == port


async def test_a_taken_port_leaves_an_async_proxy_usable(confdir, nothing_left):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = Proxy(port=taken.getsockname()[1], confdir=confdir)
        with pytest.raises(ConfigError, match="cannot listen"):
            async with proxy:
                pass
    assert proxy.runner is None
    async with proxy:
        assert proxy.running


def test_an_address_that_is_not_ours(confdir):
    proxy = Proxy(host="192.0.2.1", proxyauth="a:b", port=0, confdir=confdir)
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0"):
        proxy.start()


def test_on_ipv6(origin, confdir):
    with Proxy(host="::1", port=0, confdir=confdir) as proxy:
        assert proxy.url == f"http://[::1]:{proxy.port}"
        assert fetch(proxy, f"{origin.url}/x") == b"/x"


def test_other_machines_need_credentials(origin, confdir):
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ConfigError, match="proxyauth"):
            Proxy(host=host, port=0, confdir=confdir).start()
    with Proxy(host="0.0.0.0", port=0, proxyauth="me:secret", confdir=confdir) as proxy:
        assert proxy.url == f"http://127.0.0.1:{proxy.port}"
        assert proxy.options.restrict_targets
        url = proxy.url.replace("//", "//me:secret@")
        with httpx.Client(proxy=url, trust_env=False, timeout=PATIENCE_S) as client:
            got = client.get(f"{origin.url}/x")
        assert got.status_code == 403  # not the way to what listens on this machine only
        assert "does not lead there" in proxy.flows[-1].error.msg
        with httpx.Client(proxy=proxy.url, trust_env=False, timeout=PATIENCE_S) as client:
            assert client.get(f"{origin.url}/x").status_code == 407
    assert origin.wires == []


def test_two_at_once_know_nothing_of_each_other(origin, confdir, tmp_path):
    with (
        Proxy(port=0, confdir=confdir) as one,
        Proxy(port=0, confdir=tmp_path / "other", stream_large_bodies=1) as other,
    ):
        one.on("response")(lambda flow: setattr(flow.response, "text", "one"))
        assert fetch(one, f"{origin.url}/x") == b"one"
        assert fetch(other, f"{origin.url}/x") == b"/x"
        assert (len(one.flows), len(other.flows)) == (1, 1)
        assert one.flows[0].id != other.flows[0].id
        assert one.ca_file != other.ca_file
        assert one.options.stream_large_bodies > 1


def test_one_behind_the_other(origin, confdir):
    """A program's own proxy may go through another by a handler's hand."""
    with Proxy(port=0, confdir=confdir) as outer, Proxy(port=0, confdir=confdir) as inner:

        @outer.on("serverconnect")
        def through(server):
            server.address = ("127.0.0.1", origin.port)

        @inner.on("request")
        def note(flow):
            flow.request.headers["x-inner"] = "1"

        assert fetch(inner, f"{origin.url}/x") == b"/x"
        assert fetch(outer, "http://nowhere.test/y") == b"/y"


def test_stopping_ends_what_is_under_way(make_origin, confdir, nothing_left):
    def silent(wire):
        wire.message()
        wire.some()

    origin = make_origin(silent)
    met, done = [], []
    with Proxy(port=0, confdir=confdir) as proxy:
        proxy.on("clientconnect")(met.append)
        proxy.on("clientdisconnect")(done.append)
        proxy.on("request", "~u /held")(lambda flow: flow.intercept())
        proxy.on("request", "~u /slow")(_sleep)
        wires = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(5)]
        host = origin.url.removeprefix("http://").encode()
        for wire, path in zip(wires, (b"slow", b"held", b"wait"), strict=False):
            wire.sendall(b"GET http://%b/%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (host, path, host))
        wires[3].sendall(b"GET http://a.test/ HT")  # in the middle of a head
        wires[4].sendall(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (host, host))
        wait_until(lambda: len(met) == 5)
        wait_until(lambda: len(proxy.flows) == 3)
        wait_until(lambda: any(f.server_conn.requests for f in proxy.flows))
    for wire in wires:
        wire.settimeout(PATIENCE_S)
        try:
            while wire.recv(1000):
                pass
        except ConnectionResetError:
            pass
        wire.close()
    origin.close()
    assert [f.error.msg for f in proxy.flows] == ["the proxy was stopped"] * 3
    assert not any(f.live or f.intercepted for f in proxy.flows)
    assert len(done) == 5
    assert all(not f.server_conn.connected for f in proxy.flows if f.server_conn.timestamp_start)


async def _sleep(flow):
    await asyncio.sleep(1000)


def test_a_handler_cannot_stop_the_proxy_it_runs_in(origin, confdir, capsys):
    with Proxy(port=0, confdir=confdir) as proxy:

        @proxy.on("request")
        def stop(flow):
            proxy.stop()

        assert fetch(proxy, f"{origin.url}/x") == b"/x"
        assert proxy.running
        assert "own event loop" in next(iter(proxy.handlers)).last_error
    capsys.readouterr()


def test_a_handler_may_use_the_proxy_itself(origin, confdir):
    """A nested request from a concurrent handler goes through the same proxy."""
    from nbproxy import concurrent

    with Proxy(port=0, confdir=confdir) as proxy:

        @proxy.on("response", "~u /outer")
        @concurrent
        def nested(flow):
            flow.response.content += fetch(proxy, f"{origin.url}/inner")

        assert fetch(proxy, f"{origin.url}/outer") == b"/outer/inner"
    assert {f.request.path for f in proxy.flows} == {"/outer", "/inner"}


def test_options_change_while_it_runs(origin, confdir):
    with Proxy(port=0, confdir=confdir) as proxy:
        proxy.options.http_max_head = 300
        with pytest.raises(urllib.error.HTTPError) as refused:
            fetch(proxy, f"{origin.url}/{'x' * 500}")
        assert refused.value.code in {414, 431}
        refused.value.close()
        proxy.options.http_max_head = "64k"
        assert fetch(proxy, f"{origin.url}/{'x' * 500}") == b"/" + b"x" * 500
        proxy.options.body_memory_limit = 0
        assert proxy.store.session.inline_limit_bytes == 0


def test_more_clients_than_allowed_wait_their_turn(origin, make_proxy, connect):
    proxy = make_proxy(max_connections=1)
    first, second = connect(proxy), connect(proxy)
    assert first.get(f"{origin.url}/1").body == b"/1"
    second.ask(f"{origin.url}/2")
    assert first.get(f"{origin.url}/3").body == b"/3"
    assert [f.request.path for f in proxy.flows] == ["/1", "/3"]
    first.close()
    assert second.answer().body == b"/2"
