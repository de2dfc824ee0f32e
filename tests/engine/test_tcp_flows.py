"""Raw tunnels as TCP flows: seen, changed and ended by handlers; untouched where nobody asks."""

import contextlib
import ssl
import threading

import pytest

from nbproxy import TCPFlow
from tests.support.proxies import (
    PATIENCE_S,
    Wire,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("default")  # handlers' failures are shown, not raised

HOOKS = ("tcp_start", "tcp_message", "tcp_end", "tcp_error")
RAW = b"\x00raw"


def echo(wire):
    """A server: every byte comes back."""
    while data := wire.some():
        wire.send(data)


@pytest.fixture
def watched(proxy):
    """What the handlers of all four hooks saw: (hook, flow, number of messages)."""
    seen = []
    for hook in HOOKS:
        proxy.on(hook)(lambda flow, hook=hook: seen.append((hook, flow, len(flow.messages))))
    return seen


def names(seen):
    return [hook for hook, _, _ in seen]


def ended(seen):
    wait_until(lambda: seen and seen[-1][0] in {"tcp_end", "tcp_error"})
    return seen[-1][1]


def test_a_raw_tunnel_is_a_tcp_flow(proxy, watched, connect, make_origin):
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    wait_until(lambda: len(watched) == 3)
    flow = watched[0][1]
    assert type(flow) is TCPFlow
    assert flow.live
    assert flow.killable
    wire.send(b"more")
    assert wire.exactly(4) == b"more"
    wire.end()
    assert wire.rest() == b""
    assert ended(watched) is flow
    assert names(watched) == ["tcp_start", *["tcp_message"] * 4, "tcp_end"]
    assert [count for _, _, count in watched] == [0, 1, 2, 3, 4, 4]
    assert [(m.from_client, m.content) for m in flow.messages] == [
        (True, RAW),
        (False, RAW),
        (True, b"more"),
        (False, b"more"),
    ]
    assert (flow.type, flow.error, flow.live) == ("tcp", None, False)
    connection = only_flow(proxy)  # the frame has the CONNECT, as ever
    assert connection.metadata["tunnel"] == {"client_bytes": 8, "server_bytes": 8}
    assert flow.client_conn is connection.client_conn
    assert flow.server_conn is connection.server_conn
    assert flow.server_conn.address == ("127.0.0.1", connection.request.port)
    times = [flow.timestamp_created, *(m.timestamp for m in flow.messages)]
    assert times == sorted(times)
    assert times[0] > 0
    assert repr(flow) == (f"<TCPFlow {flow.id}: 127.0.0.1:{connection.request.port}, 4 messages>")
    with pytest.raises(ValueError, match="the stream is over"):
        flow.inject(True, b"late")
    with pytest.raises(ValueError, match="is over"):
        flow.kill()


def test_a_server_that_speaks_first(proxy, impatient_tunnels, watched, connect, make_origin):
    def smtp(wire):
        wire.send(b"220 hello\r\n")
        assert wire.until(b"\r\n") == b"QUIT\r\n"
        wire.send(b"221 bye\r\n")

    wire = connect(proxy, tunnel=make_origin(smtp).port)
    assert wire.until(b"\r\n") == b"220 hello\r\n"
    wire.send(b"QUIT\r\n")
    assert wire.rest() == b"221 bye\r\n"
    wire.close()
    flow = ended(watched)
    assert [(m.from_client, m.content) for m in flow.messages] == [
        (False, b"220 hello\r\n"),
        (True, b"QUIT\r\n"),
        (False, b"221 bye\r\n"),
    ]


@pytest.mark.parametrize("tls", [False, True])
def test_another_protocol_after_an_upgrade(proxy, watched, connect, make_origin, tls):
    def serve(wire):
        assert wire.message()[b"upgrade"] == b"raw/1"
        wire.send(b"HTTP/1.1 101 Go\r\nUpgrade: raw/1\r\nConnection: upgrade\r\n\r\nhello")
        echo(wire)

    origin = make_origin(serve, tls=tls)
    wire = connect(proxy, tls=origin.port) if tls else connect(proxy)
    wire.send(request("/" if tls else f"{origin.url}/", b"Connection: upgrade", b"Upgrade: raw/1"))
    assert wire.head().status == 101
    assert wire.exactly(5) == b"hello"
    wire.send(b"abc")
    assert wire.exactly(3) == b"abc"
    http = proxy.flows[-1]
    assert http.live
    assert watched[0][1].server_conn is http.server_conn
    wire.close()
    flow = ended(watched)
    assert [m.content for m in flow.messages] == [b"hello", b"abc", b"abc"]
    assert last_flow(proxy).metadata["tunnel"] == {"client_bytes": 3, "server_bytes": 8}


def test_without_handlers_nobody_looks(proxy, connect, make_origin, monkeypatch):
    monkeypatch.setattr("nbproxy.engine.tcp.TCPRelay", None)
    proxy.on("request")(lambda flow: None)
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    wire.close()
    assert only_flow(proxy).error is None


@pytest.mark.parametrize("hook", HOOKS)
def test_one_hook_is_enough(proxy, connect, make_origin, hook):
    seen = []
    proxy.on(hook)(lambda flow: seen.append([m.content for m in flow.messages]))
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    if hook == "tcp_error":
        wire.reset()
    wire.close()
    wait_until(lambda: seen)
    assert seen[-1] == {"tcp_start": [], "tcp_message": seen[-1]}.get(hook, [RAW, RAW])


@pytest.mark.parametrize("how", ["ignore_hosts", "allow_hosts", "tls_clienthello"])
def test_what_is_to_pass_untouched_is_not_shown(make_proxy, identity, make_origin, how):
    options = {"ignore_hosts": ".*"} if how == "ignore_hosts" else {}
    options |= {"allow_hosts": "elsewhere"} if how == "allow_hosts" else {}
    proxy = make_proxy(**options)
    seen = []
    for hook in HOOKS:
        proxy.on(hook)(seen.append)
    if how == "tls_clienthello":
        proxy.on("tls_clienthello")(lambda data: setattr(data, "ignore_connection", True))
    else:
        with Wire.tunnel(proxy, make_origin(echo).port) as wire:
            wire.send(RAW)
            assert wire.exactly(4) == RAW
    origin = make_origin(answering(lambda message: response(b"ok")), tls=True)
    with Wire.tunnel(proxy, origin.port) as wire:
        wire.start_tls(ssl.create_default_context(cafile=str(identity.ca_file)), "localhost")
        assert wire.get("/").body == b"ok"
    assert last_flow(proxy).request.method == "CONNECT"
    assert seen == []


# -- handlers


def test_handlers_change_what_passes(proxy, connect, make_origin):
    got = []

    @proxy.on("tcp_message", "~tcp")
    def change(flow):
        message = flow.messages[-1]
        if message.from_client:
            message.content = message.content.replace(b"foo", b"bar")
        elif message.content == b"nothing of this":
            message.content = b""

    def serve(wire):
        got.append(wire.exactly(7))
        wire.send(b"nothing of this")
        got.append(wire.exactly(2))
        wire.send(b"but this")

    wire = connect(proxy, tunnel=make_origin(serve).port)
    wire.send(b"\x00a foo!")
    wait_until(lambda: got)
    wire.send(b"go")
    assert wire.rest() == b"but this"
    assert got == [b"\x00a bar!", b"go"]


@pytest.mark.parametrize("content", [None, 5])
def test_what_cannot_be_sent_is_not(proxy, connect, make_origin, content):
    flows = []

    @proxy.on("tcp_message")
    def spoil(flow):
        flow.messages[-1].content = content
        flows.append(flow)

    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    assert "not bytes" in flows[0].metadata["handler_errors"][0]


def test_filters_know_tcp_flows(proxy, connect, make_origin):
    seen = []
    filters = ("~tcp", "~b raw", "~bq raw", "~bs other", "~http", "~websocket", "~u .", "~src 127")
    for source in filters:
        proxy.on("tcp_end", source)(lambda flow, source=source: seen.append(source))
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    wire.end()
    assert wire.rest() == b""
    wait_until(lambda: seen)
    wait_until(lambda: not proxy.flows[-1].live)
    assert seen == ["~tcp", "~b raw", "~bq raw", "~src 127"]


def test_a_failing_handler_changes_nothing(proxy, connect, make_origin):
    for hook in HOOKS:
        proxy.on(hook)(lambda flow: 1 / 0)
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    wire.end()
    assert wire.rest() == b""
    assert only_flow(proxy).error is None


@pytest.mark.parametrize("to_client", [True, False])
def test_bytes_of_handlers_own(proxy, connect, make_origin, to_client):
    seen = []

    @proxy.on("tcp_start")
    def greet(flow):
        flow.inject(to_client, b"injected")

    @proxy.on("tcp_message")
    def note(flow):
        message = flow.messages[-1]
        seen.append((message.from_client, message.content, message.injected))

    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    got = wire.exactly(12)
    assert sorted(got) == sorted(RAW + b"injected")
    assert (not to_client, b"injected", True) in seen


def test_it_can_be_held_and_resumed(proxy, connect, make_origin):
    flows = []

    @proxy.on("tcp_message", "~bq hold")
    def hold(flow):
        if flow.messages[-1].from_client:
            flow.intercept()
            flows.append(flow)

    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(b"\x00hold")
    wait_until(lambda: flows and flows[0].intercepted)
    flows[0].messages[-1].content = b"edited"
    flows[0].resume()
    assert wire.exactly(6) == b"edited"


@pytest.mark.parametrize("hook", ["tcp_start", "tcp_message"])
def test_a_handler_kills_it(proxy, connect, make_origin, hook):
    ends = []
    proxy.on(hook)(lambda flow: flow.kill())
    proxy.on("tcp_error")(lambda flow: ends.append(flow.error.msg))
    proxy.on("tcp_end")(lambda flow: ends.append("end"))
    heard = []
    wire = connect(proxy, tunnel=make_origin(lambda wire: heard.append(wire.is_closed)).port)
    wire.send(RAW)
    assert wire.is_closed
    only_flow(proxy)
    wait_until(lambda: ends and heard)
    assert (ends, heard) == (["killed by a handler"], [True])


@pytest.mark.parametrize("through", ["the TCP flow", "the CONNECT"])
def test_it_is_killed_from_elsewhere(proxy, watched, connect, make_origin, through):
    wire = connect(proxy, tunnel=make_origin(Wire.rest).port)
    wire.send(RAW)
    wait_until(lambda: "tcp_message" in names(watched))
    flow = watched[0][1] if through == "the TCP flow" else proxy.flows[0]
    flow.kill()
    assert wire.is_closed
    ended(watched)
    wait_until(lambda: not proxy.flows[0].live)
    assert flow.error.msg == "killed by a handler"
    wait_until(lambda: not watched[0][1].server_conn.connected)


def test_the_proxy_stops(proxy, watched, connect, make_origin):
    wire = connect(proxy, tunnel=make_origin(Wire.rest).port)
    wire.send(RAW)
    wait_until(lambda: "tcp_message" in names(watched))
    proxy.stop()
    assert not watched[0][1].live
    assert wire.is_closed


# -- ends


@pytest.mark.parametrize("by_client", [True, False])
def test_a_reset_is_an_error(proxy, watched, connect, make_origin, by_client):
    gone = threading.Event()

    def serve(wire):
        wire.some()
        if not by_client:
            wire.reset()
            return
        with contextlib.suppress(OSError):
            wire.rest()
        gone.set()

    wire = connect(proxy, tunnel=make_origin(serve).port)
    wire.send(RAW)
    wait_until(lambda: "tcp_message" in names(watched))
    if by_client:
        wire.reset()
        assert gone.wait(PATIENCE_S)
    else:
        assert wire.is_closed
    flow = ended(watched)
    assert names(watched)[-1] == "tcp_error"
    side = "client" if by_client else "server"
    assert flow.error.msg == f"the {side} reset the connection"
    wait_until(lambda: not flow.server_conn.connected and not flow.client_conn.connected)


def test_each_direction_ends_for_itself(proxy, watched, connect, make_origin):
    def serve(wire):
        assert wire.rest() == RAW
        wire.send(b"all of it came")

    wire = connect(proxy, tunnel=make_origin(serve).port)
    wire.send(RAW)
    wire.end()
    assert wire.rest() == b"all of it came"
    assert ended(watched).error is None


def test_a_server_that_cannot_be_reached(proxy, watched, connect, make_origin):
    origin = make_origin(echo)
    origin.close()
    wire = connect(proxy, tunnel=origin.port)
    wire.send(RAW)
    assert wire.is_closed
    assert "the connection was refused" in only_flow(proxy).error.msg
    assert watched == []  # there was no stream


# -- bounds


def test_of_a_long_stream_the_newest_is_kept(make_proxy, connect, make_origin):
    proxy = make_proxy(message_memory_limit="1m")
    flows = []
    proxy.on("tcp_end")(flows.append)
    wire = connect(proxy, tunnel=make_origin(Wire.rest).port)
    sent = b"\x00" + bytes(range(256)) * 40_000
    wire.send(sent)
    wire.end()
    assert wire.rest() == b""
    wait_until(lambda: flows)
    flow = flows[0]
    kept = b"".join(m.content for m in flow.messages)
    assert sent.endswith(kept)
    assert 0 < len(kept) <= 2**20
    left_out = flow.metadata["messages_left_out"]
    assert left_out["bytes"] == len(sent) - len(kept)
    assert left_out["messages"] > 0


def test_who_does_not_read_holds_back_the_other(proxy, watched, connect, make_origin):
    stuck = threading.Event()
    sent = []

    def flood(wire):
        wire.some()
        wire.sock.settimeout(0.5)
        try:
            while len(sent) < 200:
                wire.send(bytes(2**20))
                sent.append(1)
        except TimeoutError:
            stuck.set()

    wire = connect(proxy, tunnel=make_origin(flood).port)
    wire.send(b"\x00")
    assert stuck.wait(PATIENCE_S)
    assert len(sent) < 30
