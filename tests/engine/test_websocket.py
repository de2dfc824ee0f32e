"""WebSockets through the proxy: real peers, bare ones, handlers, hostile frames, all ends."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import tracemalloc
import zlib

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nbproxy import Response, concurrent
from nbproxy.model.websocket import BINARY, TEXT
from tests.support import frames
from tests.support.frames import BINARY as BINARY_FRAME
from tests.support.frames import CLOSE, CONTINUATION, PING, PONG, Frame, frame
from tests.support.frames import TEXT as TEXT_FRAME
from tests.support.proxies import (
    PATIENCE_S,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)
from tests.support.websocket_peers import (
    HANDSHAKE,
    accept,
    begin,
    next_frame,
    open_websocket,
    rest_of,
    serve_websocket,
    serving,
)

__all__ = ["open_websocket", "serve_websocket"]

pytestmark = pytest.mark.filterwarnings("default")  # handlers' failures are shown, not raised


def said(flow):
    """What was recorded: (from the client, content) of each message."""
    return [(m.from_client, m.content) for m in flow.websocket.messages]


def recorded(proxy):
    """The messages of the newest flow so far."""
    websocket = proxy.flows[-1].websocket if len(proxy.flows) else None
    return [] if websocket is None else websocket.messages


def hear(wire):
    """A bare server: tell what comes, in order, and answer nothing."""
    return rest_of(wire)


def hear_all(wire):
    """The same, up to a close frame and for many frames."""
    found, rest = [], b""
    while not (found and found[-1].opcode == CLOSE) and (more := wire.some()):
        new, rest = frames.read(rest + more)
        found += new
    return found


def mirror(wire):
    """A bare server: send each message back, and answer a close frame."""
    while (each := next_frame(wire)) is not None:
        wire.send(frame(each.opcode, each.payload, fin=each.fin, mask=False))
        if each.opcode == CLOSE:
            return


# -- real peers


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_pass_and_are_recorded(proxy, serve_websocket, open_websocket, tls, compression):
    url = serve_websocket(tls=tls)
    websocket = open_websocket(proxy, f"{url}/chat?x=1", compression=compression)
    agreed = "sec-websocket-extensions" in websocket.response.headers
    assert agreed is (compression == "deflate")
    large = bytes(range(256)) * 2000
    for message in ("hello", "grüß dich ☃", b"\x00\xff", "", b"", "x" * 70_000, large):
        websocket.send(message)
        assert websocket.recv(timeout=PATIENCE_S) == message
    websocket.send(["in ", "three ", "fragments"])
    assert websocket.recv(timeout=PATIENCE_S) == "in three fragments"
    (flow,) = [flow for flow in proxy.flows if flow.request.method == "GET"]
    assert flow.live
    wait_until(lambda: len(flow.websocket.messages) == 16)
    assert flow.websocket.timestamp_end is None
    websocket.close(4001, "enough")
    flow = last_flow(proxy)
    assert flow.request.url == f"{url.replace('ws', 'http', 1)}/chat?x=1"
    assert (flow.response.status_code, flow.error) == (101, None)
    data = flow.websocket
    assert [m.from_client for m in data.messages] == [True, False] * 8
    assert [m.type for m in data.messages[::2]] == [1, 1, 2, 1, 2, 1, 2, 1]
    assert data.messages[3].text == "grüß dich ☃"
    assert data.messages[13].content == large
    assert data.messages[15].content == b"in three fragments"
    assert (data.close_code, data.close_reason, data.closed_by_client) == (4001, "enough", True)
    times = [m.timestamp for m in data.messages]
    assert times == sorted(times)
    assert flow.request.timestamp_start < times[0] <= times[-1] <= data.timestamp_end
    assert flow.response.timestamp_end <= times[0]
    assert "messages_left_out" not in flow.metadata


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("compress", [0, 15, 9])
async def test_another_client(make_proxy, serve_websocket, tls, compress):
    """aiohttp asks for ws: without a tunnel, and may ask for small windows."""
    proxy = make_proxy()
    url = serve_websocket(tls=tls)
    context = ssl.create_default_context(cafile=proxy.ca_file)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url, proxy=proxy.url, ssl=context if tls else True, compress=compress
        ) as websocket,
    ):
        for count in range(20):
            await websocket.send_str(f"number {count} " * 20)
            assert (await websocket.receive()).data == f"number {count} " * 20
        await websocket.send_bytes(b"\x01" * 5000)
        assert (await websocket.receive()).data == b"\x01" * 5000
        await websocket.close(code=1000, message=b"done")
    flow = await asyncio.to_thread(last_flow, proxy)
    assert len(flow.websocket.messages) == 42
    assert (flow.websocket.close_code, flow.websocket.close_reason) == (1000, "done")
    assert flow.error is None


def test_subprotocols_and_unknown_extensions(proxy, connect, make_origin):
    """A protocol is agreed on by the ends; extensions that we cannot read are not offered."""
    seen = []

    def serve(wire):
        message = wire.message()
        seen.append(message)
        wire.send(accept(message[b"sec-websocket-key"], b"Sec-WebSocket-Protocol: v2.chat"))
        mirror(wire)

    wire = connect(proxy)
    begin(
        wire,
        f"{make_origin(serve).url}/",
        b"Sec-WebSocket-Protocol: v1.chat, v2.chat",
        b"Sec-WebSocket-Extensions: x-webkit-deflate-frame, permessage-deflate; a=1",
    )
    wire.send(frame(TEXT_FRAME, b"hi"))
    assert next_frame(wire) == Frame(TEXT_FRAME, b"hi")
    wire.send(frames.close(1000))
    assert next_frame(wire).code == 1000
    assert seen[0][b"sec-websocket-extensions"] == b"permessage-deflate; a=1"
    flow = last_flow(proxy)
    assert flow.request.headers["sec-websocket-extensions"].startswith("x-webkit")
    assert flow.response.headers["sec-websocket-protocol"] == "v2.chat"


@pytest.mark.parametrize("by_client", [True, False])
@pytest.mark.parametrize(
    ("code", "reason", "noted"),
    [
        (1000, "", 1000),
        (1001, "away", 1001),
        (1011, "é" * 60, 1011),
        (3000, "x", 3000),
        (0, "", 1005),
    ],
)
def test_close_frames_pass(proxy, connect, make_origin, by_client, code, reason, noted):
    data = frame(CLOSE, code.to_bytes(2, "big") + reason.encode() if code else b"", mask=by_client)
    heard = []

    def serve(wire):
        if not by_client:
            wire.send(data)
        heard.append(next_frame(wire))
        if by_client:
            wire.send(frame(CLOSE, b"\x03\xe8mine", mask=False))
        heard.append(wire.is_closed)

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    if by_client:
        wire.send(data)
        got = next_frame(wire)
        assert (got.opcode, got.payload) == (CLOSE, b"\x03\xe8mine")  # the server's own words
    else:
        got = next_frame(wire)
        assert got.payload == frames.read(data)[0][0].payload
        wire.send(frame(CLOSE, b"\x03\xe8mine"))
    assert wire.is_closed
    wait_until(lambda: len(heard) == 2)
    assert heard[0].opcode == CLOSE
    assert heard[1] is True
    flow = only_flow(proxy)
    data = flow.websocket
    assert (data.close_code, data.close_reason, data.closed_by_client) == (noted, reason, by_client)
    assert flow.error is None


def test_what_the_other_side_says_until_it_closes(proxy, connect, make_origin):
    """A close frame ends its own direction only."""

    def serve(wire):
        assert next_frame(wire).opcode == CLOSE
        wire.send(frame(TEXT_FRAME, b"one more", mask=False), frames.close(1000, mask=False))

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    wire.send(frames.close(1000), frame(TEXT_FRAME, b"never heard"))
    assert [each.opcode for each in rest_of(wire)] == [TEXT_FRAME, CLOSE]
    assert said(only_flow(proxy)) == [(False, b"one more")]


def test_an_end_that_does_not_answer_a_close(proxy, connect, make_origin, monkeypatch):
    monkeypatch.setattr("nbproxy.engine.websocket._CLOSE_S", 0.2)
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(hear)).url}/")
    wire.send(frames.close(1000, b"bye"))
    assert next_frame(wire) == Frame(CLOSE, b"\x03\xe8")
    flow = only_flow(proxy)
    assert (flow.websocket.close_code, flow.error) == (1000, None)
    wait_until(lambda: not flow.server_conn.connected)


def test_pings_pass_and_the_other_end_answers(proxy, connect, make_origin, serve_websocket):
    heard = []

    def serve(wire):
        wire.send(frame(PING, b"from server", mask=False))
        heard.append(next_frame(wire))
        heard.append(next_frame(wire))
        wire.send(frame(PONG, heard[1].payload, mask=False))
        wire.rest()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    assert next_frame(wire) == Frame(PING, b"from server")
    wire.send(frame(PONG, b"from server"), frame(PING, b"from client"))
    assert next_frame(wire) == Frame(PONG, b"from client")
    assert heard[:2] == [
        Frame(PONG, b"from server", masked=True),
        Frame(PING, b"from client", masked=True),
    ]
    assert proxy.flows[-1].websocket.messages == []


def test_a_ping_between_fragments(proxy, connect, make_origin):
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(mirror)).url}/")
    wire.send(
        frame(TEXT_FRAME, b"one ", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"two")
    )
    got = [next_frame(wire) for _ in range(3)]
    assert got == [
        Frame(TEXT_FRAME, b"one ", fin=False),
        Frame(PING, b"p"),
        Frame(CONTINUATION, b"two"),
    ]
    wait_until(lambda: len(said(proxy.flows[-1])) == 2)
    assert said(proxy.flows[-1]) == [(True, b"one two"), (False, b"one two")]


def test_a_fragment_is_not_held_back_where_nobody_wants_the_message(proxy, connect, make_origin):
    """The server says the rest only when the client has the beginning."""

    def serve(wire):
        wire.send(frame(TEXT_FRAME, b"progress: ", fin=False, mask=False))
        assert next_frame(wire).payload == b"go on"
        wire.send(frame(CONTINUATION, b"done", mask=False))
        wire.rest()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    assert next_frame(wire).payload == b"progress: "
    wire.send(frame(TEXT_FRAME, b"go on"))
    assert next_frame(wire) == Frame(CONTINUATION, b"done")
    wait_until(lambda: len(said(proxy.flows[-1])) == 2)
    assert said(proxy.flows[-1]) == [(True, b"go on"), (False, b"progress: done")]


# hostile: W-09
@pytest.mark.parametrize("tls", [False, True])
def test_frames_in_the_same_write_as_the_handshake(proxy, connect, make_origin, tls):
    early = frame(TEXT_FRAME, b"early")

    def serve(wire):
        message = wire.message()
        wire.send(accept(message[b"sec-websocket-key"]) + frame(TEXT_FRAME, b"welcome", mask=False))
        mirror(wire)

    origin = make_origin(serve, tls=tls)
    wire = connect(proxy, tls=origin.port) if tls else connect(proxy)
    begin(wire, "/" if tls else f"{origin.url}/", early=early)
    assert next_frame(wire).payload == b"welcome"
    assert next_frame(wire).payload == b"early"


# -- the handshake


# hostile: W-08
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Sec-WebSocket-Version: 13",), 400),
        ((b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: abc"), 400),
        ((b"Sec-WebSocket-Version: 12", b"Sec-WebSocket-Key: " + frames.KEY), 426),
        ((b"Sec-WebSocket-Key: " + frames.KEY,), 426),
    ],
)
def test_a_handshake_that_breaks_the_rules(proxy, connect, make_origin, lines, status):
    seen = []
    proxy.on("response")(lambda flow: seen.append(flow.response.status_code))
    origin = make_origin(answering(lambda message: accept(b"x")))
    got = connect(proxy).get(
        f"{origin.url}/", b"Connection: Upgrade", b"Upgrade: websocket", *lines
    )
    assert got.status == status
    assert (got.all(b"sec-websocket-version") == [b"13"]) is (status == 426)
    assert origin.wires == []
    flow = only_flow(proxy)
    assert (flow.response.status_code, flow.websocket) == (status, None)
    assert seen == [status]


# hostile: W-08
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda key: accept(b"another"), "does not belong to the key"),
        (lambda key: accept(key).replace(b"Sec-WebSocket-Accept", b"X"), "does not belong"),
        (lambda key: accept(key).replace(b"websocket", b"web3", 1), "changed to web3"),
        (lambda key: accept(key).replace(b"Upgrade: websocket\r\n", b""), "no protocol at all"),
        (lambda key: accept(key, b"Sec-WebSocket-Protocol: chat"), "the subprotocol chat"),
        (lambda key: accept(key, b"Sec-WebSocket-Extensions: permessage-deflate"), "not offered"),
        (lambda key: accept(key, b"Sec-WebSocket-Extensions: x-mine"), "x-mine was not offered"),
    ],
)
def test_a_server_that_breaks_the_rules(proxy, connect, make_origin, answer, problem):
    errors = []
    proxy.on("error")(lambda flow: errors.append(flow.error.msg))

    def serve(wire):
        wire.send(answer(wire.message()[b"sec-websocket-key"]))
        assert wire.is_closed

    got = connect(proxy).get(f"{make_origin(serve).url}/", *HANDSHAKE)
    assert got.status == 502
    assert problem.encode() in got.body
    flow = only_flow(proxy)
    assert problem in flow.error.msg
    assert (flow.response, flow.websocket) == (None, None)
    assert errors == [flow.error.msg]


def test_a_server_may_refuse(proxy, connect, make_origin, open_websocket):
    origin = make_origin(answering(lambda message: response(b"no", status=403)))
    wire = connect(proxy)
    for _ in range(2):  # the connection serves on
        assert wire.get(f"{origin.url}/", *HANDSHAKE).status == 403
    with pytest.raises(InvalidStatus, match="403"):
        open_websocket(proxy, origin.url.replace("http", "ws"))
    assert last_flow(proxy).websocket is None


@pytest.mark.parametrize("hook", ["responseheaders", "response"])
def test_a_handler_may_refuse(proxy, connect, make_origin, hook):
    seen = []

    @proxy.on(hook)
    def refuse(flow):
        seen.append((flow.response.status_code, flow.websocket is not None))
        if flow.response.status_code == 101:
            flow.response = Response.make(403, b"not today")

    wire = connect(proxy)
    origin = make_origin(serving(lambda wire: wire.is_closed))
    got = wire.get(f"{origin.url}/", *HANDSHAKE)
    assert (got.status, got.body) == (403, b"not today")
    flow = only_flow(proxy)
    assert (flow.response.status_code, flow.websocket) == (403, None)
    assert seen == [(101, True)]


def test_the_order_of_hooks(proxy, connect, make_origin):
    order = []

    def note(name, flow):
        count = -1 if flow.websocket is None else len(flow.websocket.messages)
        order.append((name, count))

    names = ("request", "responseheaders", "response", "error", "websocket_end")
    for name in (*names, "websocket_start", "websocket_message"):
        proxy.on(name)(lambda flow, name=name: note(name, flow))
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(mirror)).url}/")
    wire.send(frame(TEXT_FRAME, b"a"))
    assert next_frame(wire).payload == b"a"
    wire.send(frames.close(1000))
    wire.rest()
    only_flow(proxy)
    wait_until(lambda: order[-1][0] == "websocket_end")
    assert order == [
        ("request", -1),
        ("responseheaders", 0),
        ("response", 0),
        ("websocket_start", 0),
        ("websocket_message", 1),
        ("websocket_message", 2),
        ("websocket_end", 2),
    ]


# -- handlers


@pytest.mark.parametrize("compression", ["deflate", None])
def test_handlers_change_and_drop(proxy, serve_websocket, open_websocket, compression):
    @proxy.on("websocket_message")
    def change(flow):
        message = flow.websocket.messages[-1]
        if message.from_client and message.is_text:
            if "secret" in message.text:
                message.drop()
            message.text = message.text.replace("Hello", "HAPPY")
        elif message.content == b"\x01":
            message.content = b"\x02" * 10_000

    websocket = open_websocket(proxy, serve_websocket(), compression=compression)
    for message in ("Hello ü", "a secret", b"\x01", ["Hel", "lo"]):
        websocket.send(message)
    got = [websocket.recv(timeout=PATIENCE_S) for _ in range(3)]
    assert got == ["HAPPY ü", b"\x02" * 10_000, "HAPPY"]
    websocket.close()
    data = last_flow(proxy).websocket
    sent = [(m.content[:8], m.dropped) for m in data.messages if m.from_client]
    assert sent == [
        (b"HAPPY \xc3\xbc", False),
        (b"a secret", True),
        (b"\x02" * 8, False),
        (b"HAPPY", False),
    ]


def test_async_and_concurrent_handlers_keep_the_order(proxy, serve_websocket, open_websocket):
    seen = []

    @proxy.on("websocket_message")
    async def slowly(flow):
        message = flow.websocket.messages[-1]
        await asyncio.sleep(0.002)
        assert flow.websocket.messages[-1] is message
        seen.append((message.from_client, message.text))

    @proxy.on("websocket_message")
    @concurrent
    def in_a_thread(flow):
        message = flow.websocket.messages[-1]
        message.text += "!" if message.from_client else "?"

    websocket = open_websocket(proxy, serve_websocket())
    for number in range(20):
        websocket.send(str(number))
    got = [websocket.recv(timeout=PATIENCE_S) for _ in range(20)]
    assert got == [f"{number}!?" for number in range(20)]
    assert [text for client, text in seen if client] == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("text for bytes", b"text for bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        (None, b"as it came"),
        (17, b"as it came"),
        ([b"a"], b"as it came"),
    ],
)
def test_whatever_a_handler_puts_there(proxy, connect, make_origin, content, sent):
    @proxy.on("websocket_message", "~websocket")
    def spoil(flow):
        if flow.websocket.messages[-1].from_client:
            flow.websocket.messages[-1].content = content

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(mirror)).url}/")
    wire.send(frame(BINARY_FRAME, b"as it came"))
    assert next_frame(wire) == Frame(BINARY_FRAME, sent)
    wait_until(lambda: len(said(proxy.flows[-1])) == 2)
    flow = proxy.flows[-1]
    assert flow.websocket.messages[0].content == sent
    noted = flow.metadata.get("handler_errors", [])
    assert len(noted) == (sent == b"as it came")


def test_text_that_a_handler_broke_is_mended(proxy, connect, make_origin):
    @proxy.on("websocket_message")
    def spoil(flow):
        flow.websocket.messages[-1].content = b"a\xff"

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(lambda wire: wire.rest())).url}/")
    wire.send(frame(TEXT_FRAME, b"x"))
    wait_until(lambda: said(proxy.flows[-1]) == [(True, b"a\xff")])
    wire.send(frames.close(1000))


def test_a_failing_handler_does_not_stop_messages(proxy, serve_websocket, open_websocket):
    for hook in ("websocket_start", "websocket_message", "websocket_end"):
        proxy.on(hook)(lambda flow: 1 / 0)
    websocket = open_websocket(proxy, serve_websocket())
    websocket.send("a")
    assert websocket.recv(timeout=PATIENCE_S) == "a"
    websocket.close()
    assert last_flow(proxy).error is None


def test_handlers_may_come_and_go_while_it_is_open(proxy, serve_websocket, open_websocket):
    websocket = open_websocket(proxy, serve_websocket())

    def ask():
        websocket.send("a")
        return websocket.recv(timeout=PATIENCE_S)

    assert ask() == "a"

    @proxy.on("websocket_message")
    def shout(flow):
        flow.websocket.messages[-1].text += "!"

    assert ask() == "a!!"
    proxy.off(shout)
    assert ask() == "a"


# -- injecting


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_of_handlers_own(proxy, serve_websocket, open_websocket, compression):
    seen = []

    @proxy.on("websocket_start")
    def greet(flow):
        flow.websocket.inject(True, "welcome")
        flow.websocket.inject(False, b"\x00bytes")

    @proxy.on("websocket_message")
    def answer(flow):
        message = flow.websocket.messages[-1]
        seen.append((message.from_client, message.content, message.injected))
        if message.content == b"ask":
            message.drop()
            flow.websocket.inject(True, b"answered here", is_text=True)

    websocket = open_websocket(proxy, serve_websocket(), compression=compression)
    assert websocket.recv(timeout=PATIENCE_S) == "welcome"
    assert websocket.recv(timeout=PATIENCE_S) == b"\x00bytes"  # the server's echo
    websocket.send("ask")
    assert websocket.recv(timeout=PATIENCE_S) == "answered here"
    flow = proxy.flows[-1]
    flow.websocket.inject(True, "from this thread")
    assert websocket.recv(timeout=PATIENCE_S) == "from this thread"
    websocket.close()
    flow = last_flow(proxy)
    assert seen == [(m.from_client, m.content, m.injected) for m in flow.websocket.messages]
    assert seen == [
        (False, b"welcome", True),
        (True, b"\x00bytes", True),
        (False, b"\x00bytes", False),
        (True, b"ask", False),
        (False, b"answered here", True),
        (False, b"from this thread", True),
    ]
    assert [m.type for m in flow.websocket.messages[:2]] == [TEXT, BINARY]
    with pytest.raises(ValueError, match="the WebSocket is closed"):
        flow.websocket.inject(True, "too late")


def test_an_injected_message_does_not_come_between_fragments(proxy, connect, make_origin):
    go_on = threading.Event()

    def serve(wire):
        wire.send(frame(TEXT_FRAME, b"one ", fin=False, mask=False))
        assert go_on.wait(PATIENCE_S)
        wire.send(frame(CONTINUATION, b"two", mask=False))
        wire.rest()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    assert next_frame(wire).payload == b"one "
    flow = proxy.flows[-1]
    flow.websocket.inject(True, "injected")
    wait_until(lambda: flow.websocket.messages)
    go_on.set()
    assert next_frame(wire) == Frame(CONTINUATION, b"two")
    assert next_frame(wire) == Frame(TEXT_FRAME, b"injected")


def test_what_is_injected_can_be_changed_and_dropped(proxy, connect, make_origin):
    @proxy.on("websocket_message")
    def change(flow):
        message = flow.websocket.messages[-1]
        message.text = message.text.upper()
        message.dropped = message.text == "NO"

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(hear)).url}/")
    wait_until(lambda: proxy.flows[-1].websocket is not None)
    flow = proxy.flows[-1]
    wait_until(lambda: _injects(flow, "no"))
    flow.websocket.inject(True, "yes")
    assert next_frame(wire).payload == b"YES"


def _injects(flow, text):
    with contextlib.suppress(ValueError):
        flow.websocket.inject(True, text)
        return True
    return False


# -- holding and killing


def test_a_message_can_be_held_and_edited(proxy, serve_websocket, open_websocket):
    proxy.on("websocket_message", "~bq wait")(lambda flow: flow.intercept())
    websocket = open_websocket(proxy, serve_websocket())
    websocket.send("wait for me")
    wait_until(lambda: proxy.flows[-1].intercepted)
    flow = proxy.flows[-1]
    flow.websocket.messages[-1].text = "edited"
    flow.resume()
    assert websocket.recv(timeout=PATIENCE_S) == "edited"


@pytest.mark.parametrize("hook", ["websocket_start", "websocket_message"])
def test_a_handler_kills_it(proxy, connect, make_origin, hook):
    ends = []
    proxy.on(hook)(lambda flow: flow.kill())
    proxy.on("websocket_end")(lambda flow: ends.append(flow.error.msg))
    proxy.on("error")(lambda flow: ends.append("error"))
    heard = []
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(lambda wire: heard.append(rest_of(wire)))).url}/")
    with contextlib.suppress(OSError):
        wire.send(frame(TEXT_FRAME, b"a"))
    assert wire.is_closed
    flow = only_flow(proxy)
    assert flow.error.msg == "killed by a handler"
    assert (flow.websocket.close_code, flow.websocket.closed_by_client) == (1006, None)
    wait_until(lambda: ends and heard)
    assert ends == ["killed by a handler"]
    assert heard == [[]]


@pytest.mark.parametrize("held", [False, True])
def test_it_is_killed_from_elsewhere(proxy, connect, make_origin, held):
    if held:
        proxy.on("websocket_message")(lambda flow: flow.intercept())
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(hear)).url}/")
    wire.send(frame(TEXT_FRAME, b"a"))
    wait_until(lambda: recorded(proxy))
    flow = proxy.flows[-1]
    wait_until(lambda: flow.intercepted is held)
    flow.kill()
    assert wire.is_closed
    assert only_flow(proxy).error.msg == "killed by a handler"
    wait_until(lambda: not flow.server_conn.connected)


def test_the_proxy_stops(proxy, connect, make_origin):
    heard = []
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(lambda wire: heard.append(rest_of(wire)))).url}/")
    wire.send(frame(TEXT_FRAME, b"a"))
    wait_until(lambda: recorded(proxy))
    proxy.stop()
    flow = proxy.flows[-1]
    assert not flow.live
    assert flow.error.msg == "the proxy was stopped"
    assert flow.websocket.close_code == 1001
    assert flow.websocket.timestamp_end is not None
    got = next_frame(wire)
    assert got is None or got.code == 1001
    wait_until(lambda: heard)
    assert [each.opcode for each in heard[0]][:1] == [TEXT_FRAME]


# -- ends of other kinds


# hostile: W-10, RST and half-open
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("by_client", [True, False])
@pytest.mark.parametrize("how", ["close", "reset", "half a frame"])
def test_one_side_vanishes(proxy, connect, make_origin, by_client, how, tls):
    gone = threading.Event()
    ends = []
    proxy.on("websocket_end")(lambda flow: ends.append(flow.error.msg))

    def leave(wire):
        wire.send(frame(TEXT_FRAME, b"last words", mask=by_client))
        if how == "half a frame":
            wire.send(frame(TEXT_FRAME, b"cut", mask=by_client)[:-1])
        wait_until(lambda: recorded(proxy))
        wire.reset() if how == "reset" else wire.close()

    def serve(wire):
        if by_client:
            heard.extend(rest_of(wire))
        else:
            leave(wire)
        gone.set()

    heard = []
    origin = make_origin(serving(serve), tls=tls)
    wire = connect(proxy, tls=origin.port) if tls else connect(proxy)
    begin(wire, "/" if tls else f"{origin.url}/")
    if by_client:
        leave(wire)
    else:
        heard = rest_of(wire)
        wire.close()
    assert gone.wait(PATIENCE_S)
    flow = only_flow(proxy)
    # no close frame was made up, and none is recorded
    assert [each.payload for each in heard] == [b"last words"]
    side = "client" if by_client else "server"
    assert flow.error.msg.startswith(f"the {side} ")
    data = flow.websocket
    assert (data.close_code, data.closed_by_client, data.close_reason) == (1006, None, None)
    assert data.timestamp_end is not None
    wait_until(lambda: ends == [flow.error.msg])
    wait_until(lambda: not flow.server_conn.connected and not flow.client_conn.connected)


# hostile: W-01 W-02 W-03 W-04 W-05
BAD = {
    "reserved bit": ({"opcode": TEXT_FRAME, "payload": b"a", "rsv": 2}, 1002),
    "unknown opcode": ({"opcode": 5}, 1002),
    "continuation": ({"opcode": CONTINUATION}, 1002),
    "long ping": ({"opcode": PING, "payload": b"a" * 200}, 1002),
    "no UTF-8": ({"opcode": TEXT_FRAME, "payload": b"\xff"}, 1007),
    "bad code": ({"opcode": CLOSE, "payload": b"\x03\xed"}, 1002),
    "bad length": ({"opcode": TEXT_FRAME, "length": b"\x7f" + b"\xff" * 8}, 1002),
    "wrong mask": ({}, 1002),
}


@pytest.mark.parametrize("by_client", [True, False])
@pytest.mark.parametrize(("bad", "code"), BAD.values(), ids=BAD)
def test_hostile_frames(proxy, connect, make_origin, by_client, bad, code):
    masked = by_client if bad else not by_client
    bad = bad or {"opcode": TEXT_FRAME, "payload": b"a"}
    data = frame(mask=masked, **bad)
    ends, heard, done = [], [], threading.Event()
    proxy.on("websocket_end")(lambda flow: ends.append(flow.error.msg))

    def serve(wire):
        wire.send(frame(TEXT_FRAME, b"before", mask=False))
        if not by_client:
            wire.send(data)
        heard.extend(rest_of(wire))
        done.set()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    assert next_frame(wire).payload == b"before"
    if by_client:
        wire.send(data)
    got = rest_of(wire)
    wire.close()
    assert done.wait(PATIENCE_S)
    for each in (got[-1], heard[-1]):  # both ways
        assert (each.opcode, each.code) == (CLOSE, code)
        assert len(each.payload) > 10  # with the reason
    flow = only_flow(proxy)
    side = "client" if by_client else "server"
    assert flow.error.msg.startswith(f"the {side} broke the WebSocket: ")
    assert (flow.websocket.close_code, flow.websocket.closed_by_client) == (code, None)
    wait_until(lambda: ends == [flow.error.msg])


def test_garbage_after_a_close_frame_does_not_matter(proxy, connect, make_origin):
    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(mirror)).url}/")
    wire.send(frames.close(1000), b"\xff" * 1000)
    assert next_frame(wire).code == 1000
    flow = only_flow(proxy)
    assert (flow.websocket.close_code, flow.error) == (1000, None)


# -- large and many


def test_large_messages_pass_as_they_come(make_proxy, connect, make_origin):
    """Handlers see them afterwards; of the record the beginning is kept."""
    proxy = make_proxy(stream_large_bodies="100k")
    seen = []

    @proxy.on("websocket_message")
    def change(flow):
        message = flow.websocket.messages[-1]
        seen.append((len(message.content), message.left_out))
        message.drop()
        message.content = b""

    half, whole = b"\xc3\xbc" * 700_000, threading.Event()

    def serve(wire):
        wire.send(frame(TEXT_FRAME, half, fin=False, mask=False))
        assert whole.wait(PATIENCE_S)
        wire.send(frame(CONTINUATION, b"end", mask=False))
        wire.rest()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    got = b""
    while len(got) < len(half):
        each = next_frame(wire)
        assert not each.fin
        got += each.payload
    whole.set()
    each = next_frame(wire)
    assert (each.payload, each.fin) == (b"end", True)
    assert got == half
    wait_until(lambda: seen)
    assert seen == [(2**20, 1_400_003 - 2**20)]
    flow = proxy.flows[-1]
    wait_until(lambda: "messages_left_out" in flow.metadata)
    assert flow.metadata["messages_left_out"] == {"messages": 0, "bytes": 1_400_003 - 2**20}


def test_of_a_long_message_the_record_keeps_a_part(proxy, serve_websocket, open_websocket):
    seen = []
    proxy.on("websocket_message")(
        lambda flow: seen.append(len(flow.websocket.messages[-1].content))
    )
    websocket = open_websocket(proxy, serve_websocket(), compression=None)
    websocket.send(b"x" * 3_000_000)
    assert len(websocket.recv(timeout=PATIENCE_S)) == 3_000_000
    assert seen == [3_000_000, 3_000_000]  # whole, and then cut in the record
    websocket.close()
    flow = last_flow(proxy)
    assert [len(m.content) for m in flow.websocket.messages] == [2**20] * 2
    assert [m.left_out for m in flow.websocket.messages] == [3_000_000 - 2**20] * 2


# hostile: W-07
@pytest.mark.parametrize("with_handler", [False, True])
def test_a_flood_of_tiny_messages(make_proxy, connect, make_origin, with_handler):
    proxy = make_proxy(message_memory_limit="100k")
    calls = []
    if with_handler:
        proxy.on("websocket_message")(lambda flow: calls.append(1))
    count = 20_000
    heard = []

    def serve(wire):
        heard.extend(hear_all(wire))
        wire.send(frames.close(1000, mask=False))

    other = make_origin(answering(lambda message: response(b"served")))
    origin = make_origin(serving(serve))
    wire = connect(proxy)
    begin(wire, f"{origin.url}/")
    flood = b"".join(frame(TEXT_FRAME, b"%d" % number) for number in range(count))
    sender = threading.Thread(target=wire.send, args=(flood + frames.close(1000),))
    sender.start()
    assert connect(proxy).get(f"{other.url}/").body == b"served"  # others are served meanwhile
    sender.join(PATIENCE_S)
    wait_until(lambda: not proxy.flows[0].live)
    wire.close()
    wait_until(lambda: len(heard) == count + 1)
    assert [each.payload for each in heard[:-1]] == [b"%d" % number for number in range(count)]
    flow = proxy.flows[0]
    kept = [int(m.content) for m in flow.websocket.messages]
    assert kept == list(range(count - len(kept), count))
    assert 200 < len(kept) < 500
    assert flow.metadata["messages_left_out"]["messages"] == count - len(kept)
    assert len(calls) == (count if with_handler else 0)


# hostile: W-07
def test_a_flood_of_pings(proxy, connect, make_origin):
    heard = []

    def serve(wire):
        heard.extend(hear_all(wire))
        wire.send(frames.close(1000, mask=False))

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    wire.send(frame(PING, b"x" * 125) * 5000 + frames.close(1000))
    wait_until(lambda: not proxy.flows[-1].live)
    wire.close()
    wait_until(lambda: len(heard) == 5001)
    assert proxy.flows[-1].websocket.messages == []


# hostile: W-07
@pytest.mark.parametrize("with_handler", [False, True])
def test_an_endless_message(make_proxy, connect, make_origin, with_handler):
    """Passed on with what is kept bounded."""
    proxy = make_proxy(stream_large_bodies="200k")
    if with_handler:
        proxy.on("websocket_message")(lambda flow: None)
    total = [0]
    stop = threading.Event()

    def serve(wire):
        while more := wire.some():
            total[0] += len(more)
        stop.set()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve)).url}/")
    piece = frame(CONTINUATION, bytes(100_000), fin=False, mask=True)
    wire.send(frame(BINARY_FRAME, b"", fin=False))
    wire.send(piece * 50)
    wait_until(lambda: total[0] > 4_000_000)
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        wire.send(piece * 200)
        wait_until(lambda: total[0] > 24_000_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 3 * 2**20
    wire.close()
    assert stop.wait(PATIENCE_S)
    flow = only_flow(proxy)
    assert "left without closing" in flow.error.msg


# hostile: W-06
def test_a_bomb_passes_without_being_held(make_proxy, connect, make_origin):
    proxy = make_proxy(stream_large_bodies="1m")
    agreed = b"Sec-WebSocket-Extensions: permessage-deflate"
    found = []

    def serve(wire):
        decoder, size = zlib.decompressobj(-15), 0
        while (each := next_frame(wire)) is not None and each.opcode != CLOSE:
            size += len(decoder.decompress(each.payload))
        found.append(size)

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve, agreed)).url}/", agreed)
    coder = zlib.compressobj(wbits=-15)
    data = (coder.compress(bytes(50 * 2**20)) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]
    wire.send(frame(BINARY_FRAME, data, rsv=4) + frames.close(1000))
    wait_until(lambda: found)
    assert found == [50 * 2**20]
    wire.close()
    message = only_flow(proxy).websocket.messages[0]
    assert len(message.content) == 2**20
    assert message.left_out == 49 * 2**20


def test_who_does_not_read_holds_back_the_other(proxy, connect, make_origin):
    stuck = threading.Event()
    sent = []

    def flood(wire):
        wire.sock.settimeout(0.5)
        data = frame(BINARY_FRAME, bytes(2**20), mask=False)
        try:
            while len(sent) < 200:
                wire.send(data)
                sent.append(1)
        except TimeoutError:
            stuck.set()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(flood)).url}/")
    assert stuck.wait(PATIENCE_S)
    assert len(sent) < 40


# -- compression, each side by itself


def test_each_side_may_have_agreed_on_something_else(proxy, connect, make_origin):
    """A handler takes the extension out of the answer: the client then knows of no compression."""
    agreed = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"

    @proxy.on("responseheaders")
    def strip(flow):
        del flow.response.headers["sec-websocket-extensions"]

    def packed(data):
        coder = zlib.compressobj(wbits=-15)
        return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]

    heard = []

    def serve(wire):
        heard.append(next_frame(wire))
        wire.send(frame(TEXT_FRAME, packed(b"packed " * 20), rsv=4, mask=False))
        wire.rest()

    wire = connect(proxy)
    begin(wire, f"{make_origin(serving(serve, agreed)).url}/", agreed)
    wire.send(frame(TEXT_FRAME, b"plain " * 20))
    assert next_frame(wire) == Frame(TEXT_FRAME, b"packed " * 20)
    assert (heard[0].rsv, heard[0].payload) == (0, b"plain " * 20)


@pytest.mark.parametrize(
    "agreed",
    [
        b"permessage-deflate; client_max_window_bits=9; server_max_window_bits=8",
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        b"permessage-deflate",
    ],
)
def test_compressed_messages_go_on_compressed_and_plain_ones_plain(
    proxy, connect, make_origin, agreed
):
    field = b"Sec-WebSocket-Extensions: " + agreed
    heard = []

    def serve(wire):
        while (each := next_frame(wire)) is not None:
            heard.append(each)

    wire = connect(proxy)
    begin(
        wire,
        f"{make_origin(serving(serve, field)).url}/",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    )
    resets = b"client_no" in agreed
    coder = zlib.compressobj(wbits=-9)
    for number in range(4):
        data = b"a text that repeats itself, " * 9
        if number % 2:
            wire.send(frame(TEXT_FRAME, data))
            continue
        if resets:
            coder = zlib.compressobj(wbits=-9)
        coded = (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]
        wire.send(frame(TEXT_FRAME, coded, rsv=4))
    wait_until(lambda: len(heard) == 4)
    decoder = zlib.decompressobj(-9 if b"=9" in agreed else -15)
    for number, each in enumerate(heard):
        assert each.rsv == (0 if number % 2 else 4)
        if each.rsv:
            if resets:
                decoder = zlib.decompressobj(-15)
            assert decoder.decompress(each.payload + b"\x00\x00\xff\xff") == data
        else:
            assert each.payload == data
    assert (len(heard[2].payload) < len(heard[0].payload)) is not resets


# -- nothing is left


def test_nothing_is_left_behind(make_proxy, serve_websocket, open_websocket):
    proxy = make_proxy()
    url = serve_websocket()
    for how in ("close", "kill", "leave"):
        websocket = open_websocket(proxy, url)
        websocket.send("a")
        assert websocket.recv(timeout=PATIENCE_S) == "a"
        if how == "close":
            websocket.close()
        elif how == "kill":
            proxy.flows[-1].kill()
        else:
            websocket.socket.shutdown(socket.SHUT_RDWR)
        flow = last_flow(proxy)
        wait_until(lambda flow=flow: not flow.server_conn.connected)
        wait_until(lambda flow=flow: not flow.client_conn.connected)
        with contextlib.suppress(ConnectionClosed):
            websocket.recv(timeout=PATIENCE_S)
    loop = proxy.runner.loop

    async def tasks():
        return [t for t in asyncio.all_tasks() if "pump" in repr(t) or "_send" in repr(t)]

    wait_until(lambda: proxy.runner.submit(tasks()).result(PATIENCE_S) == [], "tasks end")
    assert loop.is_running()


def test_a_connection_is_not_used_again(proxy, connect, make_origin):
    """After a WebSocket neither side's connection serves another request."""
    origin = make_origin(serving(mirror))
    wire = connect(proxy)
    begin(wire, f"{origin.url}/")
    wire.send(frames.close(1000), request(f"{origin.url}/"))
    assert [each.opcode for each in rest_of(wire)] == [CLOSE]
    assert len(proxy.flows) == 1
    assert only_flow(proxy).error is None
