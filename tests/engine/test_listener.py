"""The listening socket: which port it takes, whom it lets in, what becomes of those who wait."""

import asyncio
import errno
import socket
from dataclasses import replace

import pytest

from nbproxy import Proxy
from nbproxy.engine.listener import Listener, _bind, is_loopback
from nbproxy.engine.sockets import SocketStream
from nbproxy.errors import ConfigError
from nbproxy.options import Options
from tests.support.proxies import PATIENCE_S, Wire, answering, last_flow, response, wait_until


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda message: response(message.target)))


@pytest.fixture
def taken():
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock.getsockname()[1]


def listener(proxy):
    return proxy._engine.listener


def client_sockets(proxy):
    """Our ends of the connections from clients."""
    waiters = list(proxy._engine.core.deadlines._waiters)  # at once: its thread changes it
    streams = [w for w in waiters if isinstance(w, SocketStream)]
    return [s.transport.get_extra_info("socket") for s in streams if s._peer == "client"]


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_who_can_reach_an_address(host, ours):  # hostile: L-01
    assert is_loopback(host) == ours


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_is_never_shared(host):  # hostile: L-07
    with _bind(host, 0) as sock:
        port = sock.getsockname()[1]
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        with pytest.raises(OSError, match=r"\w") as refused:
            _bind(host, port)
        assert refused.value.errno == errno.EADDRINUSE
    _bind(host, port).close()  # free again at once


def test_a_port_that_is_taken(make_proxy, taken):  # hostile: L-07
    with pytest.raises(ConfigError) as refused:
        make_proxy(port=taken)
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{taken}: Address already in use. "
        "Choose another port, or port=0 for a free one."
    )


async def test_an_address_that_is_not_ours_is_not_tried_again(confdir):
    options = Options(listen_host="192.0.2.1")
    async with Proxy(port=0, confdir=confdir) as proxy:
        core = replace(proxy._engine.core, options=options)
        with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:8080: .*assign"):
            await Listener(core).start(range(8080, 8180))


async def test_the_first_free_port_of_several(confdir, taken):
    async with Proxy(port=0, confdir=confdir) as proxy:
        core = proxy._engine.core
        second = Listener(core)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{taken}: Address already in use"):
            await second.start([taken, proxy.port])
        await second.start([taken, proxy.port, 0])
        assert second.port not in {0, taken, proxy.port}
        assert core.own_addresses == {("127.0.0.1", proxy.port), ("127.0.0.1", second.port)}
        socket.create_connection(("127.0.0.1", second.port)).close()
        await second.stop()
        await second.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", second.port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_small_answers_do_not_wait(make_proxy, host):
    """Nagle's algorithm is off for every client."""
    proxy = make_proxy(host=host)
    with Wire.to(proxy.port, host), Wire.to(proxy.port, host):
        wait_until(lambda: len(client_sockets(proxy)) == 2)
        for sock in client_sockets(proxy):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_on_ipv6(origin, make_proxy):
    proxy = make_proxy(host="::1")
    assert proxy.url == f"http://[::1]:{proxy.port}"
    with Wire.to(proxy.port, "::1") as wire:
        assert wire.get(f"{origin.url}/x").body == b"/x"
        ours = wire.sock.getsockname()[:2]
    client = last_flow(proxy).client_conn
    assert (client.peername, client.sockname) == (ours, ("::1", proxy.port))
    with pytest.raises(ConnectionRefusedError):  # and nowhere else
        Wire.to(proxy.port, "127.0.0.1")


def test_connections_are_counted(proxy, connect):
    assert listener(proxy).connections == 0
    wires = [connect(proxy) for _ in range(3)]
    wait_until(lambda: listener(proxy).connections == 3)
    wires[0].close()
    wires[1].reset()
    wait_until(lambda: listener(proxy).connections == 1)
    wires[2].close()
    wait_until(lambda: listener(proxy).connections == 0)


def test_those_who_wait_are_served_in_their_order(origin, make_proxy, connect):
    proxy = make_proxy(max_connections=1)
    first = connect(proxy)
    assert first.get(f"{origin.url}/first").body == b"/first"
    waiting = []
    for number in range(3):
        waiting.append(connect(proxy))
        waiting[-1].ask(f"{origin.url}/{number}")
        wait_until(lambda: len(listener(proxy)._waiting) == len(waiting))
    assert listener(proxy).connections == 1
    first.close()
    for number, wire in enumerate(waiting):
        assert wire.answer().body == b"/%d" % number
        wire.close()
    assert [flow.request.path for flow in proxy.flows] == ["/first", "/0", "/1", "/2"]


def test_one_who_gives_up_waiting_holds_up_nobody(origin, make_proxy, connect):
    proxy = make_proxy(max_connections=1)
    first, second, third, fourth = (connect(proxy) for _ in range(4))
    wait_until(lambda: len(listener(proxy)._waiting) == 3)
    second.close()
    third.reset()
    fourth.ask(f"{origin.url}/x")
    first.close()
    assert fourth.answer().body == b"/x"


def test_the_bound_may_be_raised(origin, make_proxy, connect):
    proxy = make_proxy(max_connections=1)
    first, second = connect(proxy), connect(proxy)
    wait_until(lambda: listener(proxy)._waiting)
    proxy.options.max_connections = 2
    third = connect(proxy)
    assert third.get(f"{origin.url}/3").body == b"/3"
    first.close()
    assert second.get(f"{origin.url}/2").body == b"/2"


def test_stopping_lets_go_of_all(make_proxy, connect):
    proxy = make_proxy(max_connections=1)
    served, waits = connect(proxy), connect(proxy)
    wait_until(lambda: listener(proxy)._waiting)
    port = proxy.port
    proxy.stop()
    assert served.is_closed
    assert waits.is_closed
    with pytest.raises(ConnectionRefusedError):
        Wire.to(port)


async def heard(sock):
    """What a client hears until the end; nothing if the connection is reset."""
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_client_that_comes_as_it_stops_is_let_go(confdir, monkeypatch):
    """Its task is cancelled before it begins, and can do nothing for it."""
    async with Proxy(port=0, confdir=confdir) as proxy:
        accept = listener(proxy)._accepted
        stopping = []

        def stop_and_accept(stream):
            stopping.append(asyncio.ensure_future(listener(proxy).stop()))
            accept(stream)

        monkeypatch.setattr(listener(proxy), "_accepted", stop_and_accept)
        sock = socket.create_connection(("127.0.0.1", proxy.port))
        assert await heard(sock) == b""
        await stopping[0]
        assert listener(proxy).connections == 0


async def test_a_client_whom_the_loop_had_accepted_before_it_stopped_is_let_go(confdir):
    async with Proxy(port=0, confdir=confdir) as proxy:
        await listener(proxy).stop()
        with socket.create_server(("127.0.0.1", 0)) as somebody:
            sock = socket.create_connection(somebody.getsockname())
            ours, _ = somebody.accept()
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(listener(proxy)._protocol, ours)
        assert await heard(sock) == b""
        assert listener(proxy).connections == 0
