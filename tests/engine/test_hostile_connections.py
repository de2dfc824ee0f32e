"""Clients that pipeline, hold back, leave, say nothing or talk something else: rows C and L."""

# ruff: noqa: ERA001 - "# hostile: H1-07" cites a row of the catalogue and is no code

from __future__ import annotations

import base64
import resource
import socket
import ssl
import threading
import time

import pytest

from nbproxy import Proxy
from nbproxy.engine.deadlines import NEVER
from nbproxy.errors import ConfigError
from tests.support.origins import TIMEOUT_S, Origin, eventually
from tests.support.rawclient import RawClient, exchange

pytest_plugins = ("tests.support.bench",)

GET = b"GET http://ORIGIN/%b HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
LAST = b"GET http://ORIGIN/%b HTTP/1.1\r\nHost: ORIGIN\r\nConnection: close\r\n\r\n"
POST = b"POST http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def silent(peer):
    """Read a request, and never answer."""
    peer.read_to_end()


# hostile: C-01
@pytest.mark.parametrize("count", [2, 10], ids=["C-01-two", "C-01-ten"])
def test_pipelined_requests_are_answered_in_order(bench, count):
    def script(peer):
        while (request := peer.next_request()) is not None:
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.target)
            peer.send(head + request.target)

    bench.origin.script = script
    data = b"".join(GET % b"%d" % n for n in range(count - 1)) + LAST % b"last"
    answer = bench.exchange(data)
    wanted = [b"/%d" % n for n in range(count - 1)] + [b"/last"]
    assert [r.body for r in answer.responses] == wanted
    assert [flow.request.path.encode() for flow in bench.flows] == wanted
    assert answer.ended == "fin"


# hostile: C-02
def test_c_02_nothing_after_a_refused_request_is_served(bench):
    data = POST + b"Content-Length: x\r\n\r\n" + LAST % b"smuggled"
    answer = bench.exchange(LAST.replace(b"Connection: close\r\n", b"") % b"first" + data)
    assert answer.statuses == [200, 400]
    assert [r.target for r in bench.requests] == [b"/first"]
    assert len(bench.flows) == 2


def test_c_02_nothing_after_a_last_request_is_served(bench):
    answer = bench.exchange(LAST % b"last" + LAST % b"smuggled")
    assert answer.statuses == [200]
    assert [r.target for r in bench.requests] == [b"/last"]


# hostile: C-03
@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"],
    ids=["C-03-length", "C-03-chunked"],
)
def test_a_body_that_waits_for_100(bench, framing):
    with bench.client() as client:
        client.send(bench.filled(POST + b"Expect: 100-continue\r\n" + framing))
        assert client.read_response().status == 100
        client.send(b"hello" if b"Length" in framing else b"5\r\nhello\r\n0\r\n\r\n")
        response = client.read_response()
    assert (response.status, response.body) == (200, b"hello")
    (request,) = bench.requests
    assert request.values(b"expect") == []


def test_c_03_a_streamed_body_that_waits_for_100(bench):
    size = 2_000_000
    with bench.client() as client:
        head = POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % size
        client.send(bench.filled(head))
        assert client.read_response().status == 100
        client.send(b"x" * size)
        assert client.read_response().body == b"x" * size


def test_c_03_a_body_that_does_not_wait(bench):
    """RFC 9110, 10.1.1: the 100 may be left out, and the client need not wait for it."""
    with bench.client() as client:
        head = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
        client.send(bench.filled(head))
        assert client.read_response().body == b"hello"


def test_c_03_the_origin_sends_a_100_as_well(bench):
    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"))
        assert client.read_response().status == 100
        client.send(b"hello")
        assert client.read_response().body == b"ok"


# hostile: C-04
def test_c_04_another_expectation(bench):
    head = POST + b"Expect: something-else\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    answer = bench.exchange(head)
    if answer.statuses == [200]:
        assert [r.body for r in bench.requests] == [b"hello"]
    else:
        assert answer.statuses == [417]
        assert bench.requests == []


# hostile: C-05
def test_c_05_h2c_is_not_passed_on(bench):
    lines = (
        b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    )
    answer = bench.exchange((GET % b"x").replace(b"\r\n\r\n", b"\r\n" + lines + b"\r\n"))
    assert answer.statuses == [200]
    (request,) = bench.requests
    assert [name for name, _ in request.fields] == [b"Host"]


# hostile: C-06
def test_c_06_http_2_with_prior_knowledge(bench):
    answer = bench.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    assert answer.statuses in ([], [400], [505])
    assert answer.ended == "fin"
    assert bench.error()


# hostile: C-07
NOISE = {
    "C-07-clienthello": bytes.fromhex("16030100c8010000c40303") + bytes(190),
    "C-07-socks4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
    "C-07-socks5": b"\x05\x01\x00",
    "C-07-ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "C-07-noise": bytes(range(256)) * 4,
    "C-07-nuls": bytes(1000),
    "C-07-lf": b"\n\n\n\n",
    "C-07-one-byte": b"\x80",
    "C-07-utf-8": "¡Hola! ¿Qué tal?\r\n\r\n".encode(),
}


@pytest.fixture(scope="module")
def hasty(start_proxy):
    """A proxy that waits for next to nothing once a request has begun."""
    with start_proxy(head_timeout=0.3, body_timeout=0.3) as proxy:
        yield proxy


@pytest.mark.parametrize("data", NOISE.values(), ids=NOISE)
def test_noise_on_the_port_ends(hasty, data):
    before = len(hasty.flows)
    answer = exchange(hasty.port, data)
    assert answer.ended == "fin"
    assert all(400 <= status < 600 for status in answer.statuses)
    assert len(answer.statuses) <= 1
    (flow,) = list(hasty.flows)[before:]
    assert flow.error is not None
    with Origin() as origin:
        last = (LAST % b"").replace(b"ORIGIN", origin.authority)
        assert exchange(hasty.port, last).statuses == [200]


def due(looked):
    """When the next look is; None while there is one."""
    deadline = looked.deadline
    return None if deadline == NEVER else deadline


# hostile: C-08
@pytest.mark.parametrize("again", [False, True], ids=["C-08", "C-08-with-the-request"])
def test_a_client_that_half_closes_gets_its_answer(bench, again):
    answered = threading.Event()

    def script(peer):
        peer.next_request()
        answered.wait(TIMEOUT_S)
        peer.send(OK)
        peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        if not again:
            client.send(bench.filled(GET % b"x"))
            eventually(lambda: bench.requests)
            client.half_close()
        else:
            client.send(bench.filled(GET % b"x"))
            client.half_close()
        looked = bench.proxy._engine.core.orphans
        eventually(lambda: looked._watched, "the proxy to look")
        first = eventually(lambda: due(looked), "the time of a look")
        eventually(lambda: (due(looked) or 0) > first, "the proxy to have looked")
        answered.set()
        answer = client.read_to_end()
    assert [r.body for r in answer.responses] == [b"ok"]
    assert bench.flow().error is None


# hostile: C-09
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("size", [1000, 5_000_000], ids=["C-09-whole", "C-09-streamed"])
def test_a_client_that_leaves_mid_upload(bench, how, size):
    with bench.client() as client:
        client.send(bench.filled(POST + b"Content-Length: %d\r\n\r\n" % size) + b"x" * 500)
        eventually(lambda: bench.flows_now, "the flow to begin")
        if size > 2**20:
            eventually(lambda: bench.peers, "a connection to the origin")
        getattr(client, how)()
        eventually(lambda: not bench.flows_now[0].live, "the flow to end")
        assert "client disconnected" in bench.error()
        assert len(bench.peers) == (size > 2**20)
        for peer in bench.peers:
            eventually(lambda: peer.ended, "upstream to be cut")  # noqa: B023
    assert bench.requests == []


@pytest.mark.parametrize("how", ["close", "reset"], ids=["C-09-close", "C-09-reset"])
def test_a_client_that_leaves_while_the_origin_thinks(bench, how):
    bench.origin.script = silent
    with bench.client() as client:
        client.send(bench.filled(POST + b"Content-Length: 5\r\n\r\nhello"))
        eventually(lambda: bench.requests)
        getattr(client, how)()
        eventually(lambda: bench.peers[0].ended, "upstream to be cut")
    assert bench.error() == "the client disconnected"


# hostile: C-10
@pytest.mark.parametrize("how", ["close", "reset"], ids=["C-10-close", "C-10-reset"])
@pytest.mark.parametrize("framing", [b"Content-Length: 900000000", b"Transfer-Encoding: chunked"])
def test_a_client_that_leaves_mid_download(bench, how, framing):
    piece = b"x" * 65536
    if framing.startswith(b"T"):
        piece = b"10000\r\n" + piece + b"\r\n"
    sent = []

    def endless(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        while peer.send(piece):
            sent.append(1)

    bench.origin.script = endless
    with bench.client() as client:
        client.send(bench.filled(GET % b"x"))
        client.read_until(b"xxxx")
        getattr(client, how)()
        eventually(bench.peers[0].finished.is_set, "the origin to be cut off")
    assert "client disconnected" in bench.error()


def test_c_10_a_client_that_leaves_a_trickle(bench):
    """Nothing is written to the client for long, so that no write can tell."""

    def trickle(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        peer.read_to_end()

    bench.origin.script = trickle
    with bench.client() as client:
        client.send(bench.filled(GET % b"x"))
        client.read_until(b"\r\n\r\n")
        client.close()
        eventually(lambda: bench.peers[0].ended, "upstream to be cut")
    assert "client disconnected" in bench.error()


# hostile: C-11
def test_c_11_a_client_that_does_not_read(bench, request):
    total = 256 * 2**20
    sent = []
    go_on = threading.Event()

    def flood(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % (total + 1))
        go_on.wait(TIMEOUT_S)
        piece = b"x" * 2**20
        for _ in range(total // len(piece)):
            if not peer.send(piece):
                return
            sent.append(len(piece))

    bench.origin.script = flood
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with bench.client() as client:
        client.send(bench.filled(GET % b"x"))
        client.read_until(b"\r\n\r\nx")
        limits = bench.proxy._engine.core.limits  # from here on; the origin has its time
        bench.proxy.options.body_timeout = 1.0
        eventually(lambda: limits.body_s == 1.0)
        request.addfinalizer(lambda: setattr(bench.proxy.options, "body_timeout", TIMEOUT_S))
        go_on.set()
        # the proxy reads on until its own bound and the kernel's buffers are full, then stops
        still = [-1]

        def stopped():
            now, still[0] = still[0], bench.flows_now[0].response.body_size
            time.sleep(0.1)  # no condition shows that nothing happens
            return now == still[0]

        eventually(stopped, "the proxy to stop reading")
        assert still[0] < total / 4
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 32 * 1024, "kilobytes"
        bench.still_serves()
        # after the body time-out the client is cut off
        eventually(bench.peers[0].finished.is_set, "the end")
    eventually(lambda: not bench.flows_now[0].live)
    assert "the client was silent" in bench.flows_now[0].error.msg


def test_c_11_a_client_that_reads_again(bench):
    """Backpressure, not loss: what was held up comes when the client reads on."""
    body = bytes(range(256)) * 65536  # 16 MiB

    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(LAST % b"x"))
        client.read_until(b"\r\n\r\n")
        eventually(lambda: bench.flows_now[0].response.body_size > 100_000)
        (response,) = client.read_to_end().responses
    assert response.body == body


def test_c_11_an_origin_that_does_not_read(bench):
    """The same the other way round: an upload is not piled up here."""
    go_on = threading.Event()

    def script(peer):
        peer.read_until(b"\r\n\r\n")
        go_on.wait(TIMEOUT_S)
        peer.read_bytes(size)
        peer.next_request()
        peer.send(OK)
        peer.read_to_end()

    bench.origin.script = script
    size = 64 * 2**20
    taken = []

    def upload(client):
        piece = b"x" * 2**20
        for _ in range(size // len(piece)):
            if not client.send(piece):
                return
            taken.append(1)

    with bench.client() as client:
        client.send(bench.filled(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size))
        thread = threading.Thread(target=upload, args=(client,))
        thread.start()
        last = [-1]

        def stopped():
            before, last[0] = last[0], len(taken)
            time.sleep(0.1)  # no condition shows that nothing happens
            return taken and before == last[0]

        eventually(stopped, "the client to be held up")
        assert last[0] < 40
        bench.still_serves()
        go_on.set()
        thread.join(TIMEOUT_S)
        assert client.read_to_end().statuses == [200]
    assert [len(r.body) for r in bench.requests] == [size]


# hostile: C-12
@pytest.mark.parametrize("waits", [True, False], ids=["C-12-waiting", "C-12-hasty"])
def test_c_12_slow_heads_and_silent_connections(start_proxy, waits):
    """100 heads in single bytes and 200 silent connections: others are served meanwhile.

    With a proxy that waits for long that they are served cannot be due to the time-out.
    """
    with start_proxy(head_timeout=TIMEOUT_S if waits else 1.0) as proxy, Origin() as origin:
        clean = (LAST % b"clean").replace(b"ORIGIN", origin.authority)
        slow = [RawClient(proxy.port) for _ in range(100)]
        head = b"GET http://127.0.0.1/ HTTP/1.1\r\nX-Slow: " + b"x" * 20
        mute = [RawClient(proxy.port) for _ in range(200)] if waits else []
        try:
            for number in range(len(head)):
                for client in slow:
                    client.send(head[number : number + 1])
                if number % 10 == 0:
                    assert exchange(proxy.port, clean).statuses == [200]
            if waits:
                assert all(flow.error is None for flow in proxy.flows)
                return
            for client in slow:
                answer = client.read_to_end()
                assert answer.statuses == [408]
                assert answer.ended == "fin"
            proxy.options.idle_timeout = 1.0  # not sooner, or it counts for the others too
            mute += [RawClient(proxy.port) for _ in range(200)]
            for client in mute:
                assert client.read_to_end().raw == b""
                assert client.ended == "fin"
        finally:
            for client in (*slow, *mute):
                client.close()
        errors = [flow.error.msg for flow in proxy.flows if flow.error]
        assert len(errors) == 100
        assert all("in time" in error for error in errors)


@pytest.mark.parametrize("size", [100, 2_000_000], ids=["C-12-whole", "C-12-streamed"])
def test_a_slow_body_ends_at_the_time_out(hasty, size):
    with Origin() as origin, RawClient(hasty.port) as client:
        head = POST + b"Content-Length: %d\r\n\r\nhel" % size
        client.send(head.replace(b"ORIGIN", origin.authority))
        answer = client.read_to_end()
        assert answer.statuses == [408]
        assert answer.ended == "fin"
        eventually(lambda: all(p.ended for p in origin.peers), "upstream to be cut")
        assert origin.requests == []
    flow = hasty.flows[-1]
    eventually(lambda: not flow.live)
    assert "silent" in flow.error.msg


def test_c_12_a_head_that_stops_is_answered_by_408(hasty):
    answer = exchange(hasty.port, b"GET http://127.0.0.1/ HTTP/1.1\r\nHost:")
    assert answer.statuses == [408]
    assert answer.ended == "fin"


def test_c_12_the_bound_of_connections(start_proxy):
    """Past the bound clients wait, unserved, until another one ends."""
    with start_proxy(max_connections=2) as proxy, Origin() as origin:
        clean = (LAST % b"clean").replace(b"ORIGIN", origin.authority)
        first, second = RawClient(proxy.port), RawClient(proxy.port)
        eventually(lambda: proxy._engine.listener.connections == 2)
        waiting = [RawClient(proxy.port) for _ in range(20)]
        for client in waiting:
            client.send(clean)
        with RawClient(proxy.port, timeout_s=0.2) as late:
            late.send(clean)
            assert late.read_to_end().ended == "silent"
        assert origin.peers == []
        assert proxy._engine.listener.connections == 2
        first.close()
        second.close()
        for client in waiting:
            with client:
                assert client.read_to_end().statuses == [200]


# hostile: C-13
INSIDE = {
    "C-13-noise": bytes(range(256)),
    "C-13-half-a-hello": bytes.fromhex("16030100c8010000c40303") + bytes(20),
    "C-13-not-a-hello": b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00",
    "C-13-hello-with-bad-lengths": b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",
    "C-13-long-hello": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
    "C-13-nothing": b"",
    "C-13-lower-case": b"get / nothing\r\n\r\n",
}


@pytest.mark.parametrize("data", INSIDE.values(), ids=INSIDE)
@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
def test_what_is_no_request_in_a_tunnel(bench, data, how):
    bench.origin.script = lambda peer: (peer.read_to_end(), peer.send(b"seen"))
    with bench.client() as client:
        client.send(bench.filled(b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"))
        client.read_until(b"\r\n\r\n")
        client.send(data)
        getattr(client, how)()
        if how == "half_close":
            client.read_to_end()
        eventually(lambda: bench.proxy._engine.listener.connections == 0, "the connection to end")
    for peer in bench.peers:
        assert data.startswith(bytes(peer.received))
    for flow in bench.flows:
        assert flow.request.method == "CONNECT"


def test_c_13_what_is_no_http_passes_both_ways(bench):
    def script(peer):
        peer.send(b"hello from the server\n")
        peer.read_until(b"over")
        peer.send(bytes(peer.received).upper())

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"))
        client.read_until(b"\r\n\r\n")
        client.send(b"\x00\xffnoise, over")
        answer = bytes(client.received) and client.read_until(b"OVER")
    assert answer == b"hello from the server\n\x00\xffNOISE, OVER"
    flow = bench.flow()
    assert flow.request.method == "CONNECT"
    assert flow.metadata["tunnel"] == {"client_bytes": 13, "server_bytes": 35}


def test_c_13_a_request_in_clear(bench):
    assert bench.tunnel(
        b"GET /x HTTP/1.1\r\nHost: ORIGIN\r\nConnection: close\r\n\r\n"
    ).statuses == [200]
    assert [r.target for r in bench.requests] == [b"/x"]
    assert bench.flow().request.scheme == "http"


def test_c_13_a_silent_tunnel_ends(start_proxy):
    """Half a ClientHello, then silence."""
    with start_proxy(tls_timeout=0.3) as proxy, Origin() as origin, RawClient(proxy.port) as client:
        target = origin.authority
        head = b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)
        client.send(head + b"\x16\x03\x01\x00\xc8\x01")
        client.read_until(b"\r\n\r\n")
        client.read_to_end()
        (flow,) = proxy.flows
        assert "TLS" in flow.error.msg


# hostile: C-14
def test_c_14_connect_with_a_body(bench):
    for framing in (
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ):
        bench.begin()
        line = b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n"
        answer = bench.exchange(line + framing + LAST % b"smuggled")
        assert answer.statuses == [400]
        assert bench.peers == []
        assert bench.error()


def test_c_14_a_request_in_the_same_write_belongs_to_the_tunnel(bench):
    with Origin() as other:
        target = other.authority
        data = (
            b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
            b"GET http://%b/smuggled HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)
        )
        answer = bench.exchange(data, [b"CONNECT"])
        assert b"421" in answer.raw
        assert other.peers == []
        assert bench.requests == []


def test_c_14_a_clean_request_in_the_same_write(bench):
    with bench.client() as client:
        data = b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
        data += b"GET /early HTTP/1.1\r\nHost: ORIGIN\r\nConnection: close\r\n\r\n"
        client.send(bench.filled(data))
        client.read_until(b"\r\n\r\n")
        assert client.read_response().status == 200
    assert [r.target for r in bench.requests] == [b"/early"]


# hostile: C-15
@pytest.fixture
def closed_port():
    """A port of loopback on which nobody listens, and nobody will: it is bound."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize("tls", [False, True], ids=["C-15-clear", "C-15-tls"])
def test_connect_that_is_refused_upstream(bench, closed_port, tls):
    target = b"127.0.0.1:%d" % closed_port
    with bench.client() as client:
        client.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
        if b" 200 " not in client.read_until(b"\r\n\r\n"):
            return  # refused outright, which is as good
        client.received.clear()
        client._taken = 0
        if tls:
            client.start_tls(ssl._create_unverified_context(), "localhost")
        client.send(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % target)
        assert client.read_to_end().statuses == [502]
    assert "refused" in bench.error()


def test_c_15_a_raw_tunnel_that_is_refused_upstream(bench, closed_port):
    target = b"127.0.0.1:%d" % closed_port
    with bench.client() as client:
        client.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
        client.read_until(b"\r\n\r\n")
        client.send(b"\x00noise")
        assert client.read_to_end().ended == "reset"
    assert "refused" in bench.error()


# hostile: L-03
GOOD = b"Basic " + base64.b64encode(b"me:pass:word")
WRONG = {
    "L-03-missing": b"",
    "L-03-wrong": b"Proxy-Authorization: Basic " + base64.b64encode(b"me:other") + b"\r\n",
    "L-03-no-scheme": b"Proxy-Authorization: " + base64.b64encode(b"me:pass:word") + b"\r\n",
    "L-03-other-scheme": b"Proxy-Authorization: Bearer abc\r\n",
    "L-03-not-base64": b"Proxy-Authorization: Basic %%%\r\n",
    "L-03-empty": b"Proxy-Authorization:\r\n",
    "L-03-only-scheme": b"Proxy-Authorization: Basic\r\n",
    "L-03-8-bit": b"Proxy-Authorization: Basic \xff\xfe\r\n",
    "L-03-huge": b"Proxy-Authorization: Basic " + b"YTpi" * 20_000 + b"\r\n",
    "L-03-twice": (b"Proxy-Authorization: " + GOOD + b"\r\n") * 2,
    "L-03-list": b"Proxy-Authorization: " + GOOD + b", " + GOOD + b"\r\n",
    "L-03-ldap": b"Proxy-Authorization: Basic " + base64.b64encode(b"*)(uid=*:x") + b"\r\n",
    "L-03-shell": b"Proxy-Authorization: Basic " + base64.b64encode(b"$(id)`id`:x") + b"\r\n",
    "L-03-nul": b"Proxy-Authorization: Basic " + base64.b64encode(b"me\0:x") + b"\r\n",
    "L-03-newline": b"Proxy-Authorization: Basic " + base64.b64encode(b"me:pass:word\n") + b"\r\n",
    "L-03-authorization": b"Authorization: " + GOOD + b"\r\n",
}


@pytest.fixture(scope="module")
def guarded(start_proxy):
    with start_proxy(proxyauth="me:pass:word") as proxy:
        yield proxy


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("method", [b"GET", b"CONNECT"])
def test_wrong_credentials(guarded, line, method):
    before = len(guarded.flows)
    with Origin() as origin:
        target = origin.authority if method == b"CONNECT" else b"http://%b/x" % origin.authority
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method, target, origin.authority)
        answer = exchange(guarded.port, head + line + b"\r\n" + LAST % b"smuggled")
        assert answer.statuses == [407]
        assert answer.responses[0].values(b"proxy-authenticate") == [b'Basic realm="nbproxy"']
        assert answer.ended == "fin"
        assert origin.peers == []
    (flow,) = list(guarded.flows)[before:]
    assert flow.error is not None
    shown = repr(flow) + str(flow.error) + str(flow.metadata) + repr(flow.request.headers.fields)
    assert "YTpi" not in shown
    assert base64.b64encode(b"me:other").decode() not in shown


def test_l_03_right_credentials_go_no_further(guarded):
    with Origin() as origin:
        head = (LAST % b"x").replace(b"ORIGIN", origin.authority)[:-2]
        line = b"Proxy-Authorization: " + GOOD + b"\r\n\r\n"
        assert exchange(guarded.port, head + line).statuses == [200]
        (request,) = origin.requests
        assert request.values(b"proxy-authorization") == []
    assert GOOD not in repr(guarded.flows[-1].request.headers).encode()


# hostile: L-07
def test_l_07_a_port_that_is_taken(start_proxy, ca_folder):
    with Origin() as origin:
        proxy = Proxy(port=origin.port, confdir=str(ca_folder))
        with pytest.raises(ConfigError, match=f"{origin.port}.*in use"):
            proxy.start()
        proxy.close()


def test_l_07_a_free_port_is_told(start_proxy):
    with start_proxy() as proxy:
        assert proxy.port > 0
        assert proxy.url == f"http://127.0.0.1:{proxy.port}"


def test_l_07_the_port_is_shared_with_nobody(start_proxy):
    with start_proxy() as proxy, socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with pytest.raises(OSError, match="in use"):
            second.bind(("127.0.0.1", proxy.port))
