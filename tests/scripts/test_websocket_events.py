"""The rows about WebSockets and raw TCP: events and objects of each era, live and saved."""

import contextlib

import pytest

from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.message import Request, Response
from nbproxy.model.tcp import TCPFlow, TCPMessage
from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage
from nbproxy.scripts.eras import Era, recognise
from tests.support import frames
from tests.support.frames import BINARY as BINARY_FRAME
from tests.support.frames import CLOSE, Frame, frame
from tests.support.frames import TEXT as TEXT_FRAME
from tests.support.proxies import last_flow, wait_until
from tests.support.websocket_peers import begin, next_frame, rest_of, serving

OLD = ("1.0", "2.0", "3.0", "6.0")  # a WebSocket is a flow of its own
NEW = ("7.0", "8.1", "9.0", "12")  # it is a part of its HTTP flow
TCP = ("0.18", *OLD, *NEW)
RAW = b"\x00foo"


def mirror(wire):
    """A server: every message comes back, and a close frame."""
    while (each := next_frame(wire)) is not None:
        wire.send(frame(each.opcode, each.payload, mask=False))
        if each.opcode == CLOSE:
            return


def listen(wire):
    """A server: it hears one message and a close frame."""
    next_frame(wire)
    next_frame(wire)
    wire.send(frames.close(1000, mask=False))


def echo(wire):
    while data := wire.some():
        wire.send(data)


@pytest.fixture
def chat(proxy, connect, make_origin):
    """Opens a WebSocket through the proxy to a server that sends everything back."""

    def make(script=mirror):
        wire = connect(proxy)
        begin(wire, f"{make_origin(serving(script)).url}/chat")
        return wire

    return make


@pytest.fixture
def said(texts):
    """What scripts said, one entry a line."""
    return lambda proxy: [text for text in texts(proxy) if not text.startswith("loaded")]


def end(wire, proxy):
    """Close in order, and wait for the end."""
    wire.send(frames.close(1000, b"bye"))
    rest_of(wire)
    return last_flow(proxy)


NOTE = """
from mitmproxy import ctx, http
def note(name, flow):
    kind = "HTTPFlow" if isinstance(flow, http.HTTPFlow) else type(flow).__name__
    messages = flow.messages if kind != "HTTPFlow" else flow.websocket.messages
    ctx.log.info("%s %s %s" % (name, kind, [m.content for m in messages]))
"""
HOOKS = ("websocket_start", "websocket_message", "websocket_end", "websocket_error")


def noting(hooks=HOOKS):
    return NOTE + "".join(f"def {hook}(flow): note({hook!r}, flow)\n" for hook in hooks)


# -- which events, with what


@pytest.mark.parametrize("release", OLD)
def test_until_6_a_websocket_is_a_flow_of_its_own(proxy, chat, write, said, release):
    script = proxy.load(write("a.py", noting()), era=release)
    wire = chat()
    wire.send(frame(TEXT_FRAME, "ü".encode()))
    next_frame(wire)
    wire.send(frame(BINARY_FRAME, b"\xff"))
    next_frame(wire)
    end(wire, proxy)
    wait_until(lambda: len(said(proxy)) == 6)
    assert script.last_error == ""
    assert said(proxy) == [
        "websocket_start WebSocketFlow []",
        "websocket_message WebSocketFlow ['ü']",
        "websocket_message WebSocketFlow ['ü', 'ü']",
        "websocket_message WebSocketFlow ['ü', 'ü', b'\\xff']",
        "websocket_message WebSocketFlow ['ü', 'ü', b'\\xff', b'\\xff']",
        "websocket_end WebSocketFlow ['ü', 'ü', b'\\xff', b'\\xff']",
    ]


@pytest.mark.parametrize("release", NEW)
def test_since_7_it_is_a_part_of_its_http_flow(proxy, chat, write, said, release):
    script = proxy.load(write("a.py", noting()), era=release)
    wire = chat()
    wire.send(frame(TEXT_FRAME, "ü".encode()))
    next_frame(wire)
    end(wire, proxy)
    wait_until(lambda: len(said(proxy)) == 4)
    assert script.last_error == ""
    assert said(proxy) == [
        "websocket_start HTTPFlow []",
        "websocket_message HTTPFlow [b'\\xc3\\xbc']",
        "websocket_message HTTPFlow [b'\\xc3\\xbc', b'\\xc3\\xbc']",
        "websocket_end HTTPFlow [b'\\xc3\\xbc', b'\\xc3\\xbc']",
    ]


@pytest.mark.parametrize("release", ["0.18", *OLD, *NEW])
def test_a_websocket_that_breaks(proxy, chat, write, said, release):
    """`websocket_error` comes before the end until 6; since 7 there is the end alone."""
    hooks = ("websocket_start", "websocket_error", "websocket_end", "error")
    functions = [
        f"def {hook}(flow): ctx.log.info({hook!r} + ' ' + str(flow.error))" for hook in hooks
    ]
    script = proxy.load(
        write("a.py", "\n".join(("from mitmproxy import ctx", *functions))), era=release
    )
    wire = chat()
    wire.send(b"\xff\xff")
    rest_of(wire)
    error = last_flow(proxy).error.msg
    if release == "0.18":
        wanted = []
    elif release in OLD:
        wanted = ["websocket_start None", f"websocket_error {error}", f"websocket_end {error}"]
    else:
        wanted = ["websocket_start None", f"websocket_end {error}"]
    wait_until(lambda: len(said(proxy)) == len(wanted))
    assert said(proxy) == wanted
    assert script.last_error == ""


@pytest.mark.parametrize("release", ["0.17", "0.18", *OLD, *NEW])
def test_the_handshake_until_6(proxy, connect, chat, make_origin, write, said, release):
    context = "context, " if release == "0.17" else ""
    log = "context.log" if context else "ctx.log.info"
    source = f"""
        {"" if context else "from mitmproxy import ctx"}
        def request({context}flow): {log}("request")
        def websocket_handshake({context}flow):
            {log}("handshake " + flow.request.headers["upgrade"])
            flow.request.headers["x-seen"] = "yes"
    """
    seen = []

    def serve(wire):
        seen.append(wire.message().all(b"x-seen"))
        wire.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    proxy.load(write("a.py", source), era=release)
    origin = make_origin(serve)
    lines = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
    key = b"Sec-WebSocket-Key: " + frames.KEY
    assert connect(proxy).get(f"{origin.url}/", *lines, key).status == 403
    had = release in ("0.18", *OLD)
    assert said(proxy) == ["request", "handshake websocket"][: 1 + had]
    assert seen == [[b"yes"] if had else []]


def test_the_handshake_is_no_other_upgrade(proxy, connect, make_origin, write, said):
    proxy.load(
        write(
            "a.py", "from mitmproxy import ctx\ndef websocket_handshake(flow): ctx.log.info('x')"
        ),
        era="6.0",
    )
    origin = make_origin(
        lambda wire: wire.send(b"HTTP/1.1 204 No\r\n\r\n") if wire.head() else None
    )
    for line in (b"Connection: upgrade", b"Upgrade: other"):
        assert connect(proxy).get(f"{origin.url}/", line).status == 204
    assert said(proxy) == []


@pytest.mark.parametrize("release", ["0.10", "0.11", "0.16"])
def test_eras_without_websockets(proxy, chat, write, release):
    script = proxy.load(
        write("a.py", "".join(f"def {hook}(context, flow): 1 / 0\n" for hook in HOOKS)), era=release
    )
    wire = chat()
    wire.send(frame(TEXT_FRAME, b"a"))
    next_frame(wire)
    end(wire, proxy)
    assert script.hooks == []


# -- what scripts do with them


CHANGES = {
    "1.0": """
import re
def websocket_message(flow):
    message = flow.messages[-1]
    message.content = re.sub("^Hello", "HAPPY", message.content)
""",
    "5.3": """
import re
from mitmproxy import ctx
def websocket_message(flow):
    message = flow.messages[-1]
    if message.from_client:
        ctx.log.info("Client sent a message: {}".format(message.content))
    else:
        ctx.log.info("Server sent a message: {}".format(message.content))
    message.content = re.sub(r'^Hello', 'HAPPY', message.content)
    if 'FOOBAR' in message.content:
        message.kill()
""",
    "7.0": """
import re
from mitmproxy import ctx, http
def websocket_message(flow: http.HTTPFlow):
    assert flow.websocket is not None
    message = flow.websocket.messages[-1]
    message.content = re.sub(rb"^Hello", b"HAPPY", message.content)
    if b"FOOBAR" in message.content:
        message.drop()
    ctx.log.info("%s" % message.is_text)
""",
    "12": """
import logging, re
from mitmproxy import http
def websocket_message(flow: http.HTTPFlow):
    assert flow.websocket is not None
    message = flow.websocket.messages[-1]
    if message.from_client:
        logging.info(f"Client sent a message: {message.content!r}")
    message.text = message.text.replace("Hello", "HAPPY")
    if "FOOBAR" in message.text:
        message.drop()
""",
}


@pytest.mark.parametrize("recognised", [True, False])
@pytest.mark.parametrize("release", CHANGES)
def test_changing_and_dropping(proxy, chat, write, release, recognised):
    """The era is found out where the release's manner shows."""
    path = write("simple.py", CHANGES[release])
    script = proxy.load(path) if recognised else proxy.load(path, era=release)
    if release not in {"1.0", "12"}:
        assert script.era == {"5.3": "F", "7.0": "G"}[release]
    wire = chat()
    texts = [b"Hello you", b"FOOBAR", b"Hello again"]
    for text in texts[:1] if release == "1.0" else texts:
        wire.send(frame(TEXT_FRAME, text))
    assert next_frame(wire) == Frame(TEXT_FRAME, b"HAPPY you")
    if release != "1.0":
        assert next_frame(wire) == Frame(TEXT_FRAME, b"HAPPY again")
    assert script.last_error == ""


def test_bytes_in_a_text_message_and_text_in_a_binary_one(proxy, chat, write):
    proxy.load(
        write("a.py", "def websocket_message(flow): flow.messages[-1].content = 'ü'"), era="6.0"
    )
    wire = chat()
    wire.send(frame(BINARY_FRAME, b"\xff"))
    assert next_frame(wire) == Frame(BINARY_FRAME, "ü".encode())


INJECTS = {
    "4.0": """
import asyncio
import mitmproxy.websocket
class Inject:
    async def inject(self, flow: mitmproxy.websocket.WebSocketFlow):
        number = 0
        while not flow.ended and not flow.error:
            flow.inject_message(flow.client_conn, "number %d" % number)
            flow.inject_message(flow.server_conn, b"\\x01")
            number += 1
            await asyncio.sleep(0.005)
    def websocket_start(self, flow):
        self.task = asyncio.get_event_loop().create_task(self.inject(flow))
addons = [Inject()]
""",
    "7.0": """
import asyncio
from mitmproxy import ctx, http
async def inject(flow: http.HTTPFlow):
    number = 0
    while flow.websocket.timestamp_end is None:
        ctx.master.commands.call("inject.websocket", flow, True, b"number %d" % number)
        ctx.master.commands.call("inject.websocket", flow, False, b"\\x01", False)
        number += 1
        await asyncio.sleep(0.005)
tasks = []
def websocket_start(flow: http.HTTPFlow):
    tasks.append(asyncio.create_task(inject(flow)))
""",
    "12": """
import asyncio
from mitmproxy import ctx, http
async def inject(flow: http.HTTPFlow):
    for number in range(3):
        ctx.master.commands.call("inject.websocket", flow, True, f"number {number}".encode())
        ctx.master.commands.call("inject.websocket", flow, False, b"\\x01", False)
        await asyncio.sleep(0)
tasks = set()
def websocket_start(flow: http.HTTPFlow):
    task = asyncio.create_task(inject(flow))
    tasks.add(task)
    task.add_done_callback(tasks.remove)
""",
}


@pytest.mark.parametrize("release", INJECTS)
def test_injecting(proxy, chat, write, release):
    script = proxy.load(write("inject.py", INJECTS[release]))
    wire = chat()
    texts, echoes = [], []  # those for the server come back when it has them
    while len(texts) < 3 or len(echoes) < 3:
        got = next_frame(wire)
        {TEXT_FRAME: texts, BINARY_FRAME: echoes}[got.opcode].append(got.payload)
    assert texts == [b"number %d" % number for number in range(len(texts))]
    assert set(echoes) == {b"\x01"}
    flow = end(wire, proxy)
    injected = [m for m in flow.websocket.messages if m.injected]
    assert {m.from_client for m in injected} == {True, False}
    assert script.last_error == ""


def test_a_message_for_a_message(proxy, chat, write):
    """As the example of 7 and later answers a secret."""
    proxy.load(
        write(
            "a.py",
            """
            from mitmproxy import ctx
            def websocket_message(flow):
                last = flow.websocket.messages[-1]
                if last.is_text and "secret" in last.text:
                    last.drop()
                    ctx.master.commands.call(
                        "inject.websocket", flow, last.from_client, b"ssssssh"
                    )
            """,
        )
    )
    wire = chat()
    wire.send(frame(TEXT_FRAME, b"a secret"))
    assert next_frame(wire) == Frame(TEXT_FRAME, b"ssssssh")


def test_injecting_where_nothing_can_be_is_a_warning(proxy, chat, write, texts, make_flow):
    wire = chat()
    flow = end(wire, proxy)
    commands = proxy.scripts.commands
    commands.call("inject.websocket", flow, True, b"late")
    commands.call("inject.websocket", make_flow(), True, b"none")
    commands.call("inject.tcp", make_flow(), True, b"none")
    warned = texts(proxy, "warn")
    assert len(warned) == 3
    assert warned[0] == (
        "cannot inject a message: the WebSocket is closed, nothing can be injected any more"
    )
    assert all(text.startswith("cannot inject a message") for text in warned)


@pytest.mark.parametrize("release", ["3.0", "6.0", "7.0", "12"])
def test_killing_the_flow(proxy, chat, write, release):
    script = proxy.load(
        write("a.py", "def websocket_message(flow):\n    flow.kill()\n"), era=release
    )
    wire = chat()
    wire.send(frame(TEXT_FRAME, b"a"))
    assert wire.is_closed
    assert last_flow(proxy).error.msg == "killed by a handler"
    assert script.last_error == ""


# -- the objects


@pytest.mark.parametrize("release", OLD)
def test_what_a_websocket_flow_has(proxy, chat, write, said, release):
    proxy.load(
        write(
            "a.py",
            """
            from mitmproxy import ctx, http, flowfilter
            from mitmproxy.websocket import WebSocketFlow, WebSocketMessage
            def websocket_message(flow):
                assert isinstance(flow, WebSocketFlow) and not isinstance(flow, http.HTTPFlow)
                assert isinstance(flow.handshake_flow, http.HTTPFlow)
                message = flow.messages[-1]
                assert isinstance(message, WebSocketMessage)
                flow.metadata["mine"] = "kept"
                ctx.log.info(repr(flow), )
                ctx.log.info("%s %s" % (message.type, message.from_client))
                ctx.log.info("%r" % message)
                assert " -> WebSocket 1 message -> " in flow.message_info(message)
            def websocket_end(flow):
                if hasattr(flow, "ended"): assert flow.ended
                request = flow.handshake_flow.request
                ctx.log.info(request.path + " %s" % flow.handshake_flow.response.status_code)
                ctx.log.info("%s %s" % (flow.client_key, flow.server_accept))
                ctx.log.info("%r %r %r" % (
                    flow.client_protocol, flow.server_protocol, flow.server_extensions))
                ctx.log.info("%s %s %s %s" % (
                    flow.close_sender, flow.close_code, flow.close_message, flow.close_reason))
                ctx.log.info("%s %s" % (flow.metadata["mine"], flow.error))
                ctx.log.info("%s %s" % (flow.client_conn.address[0], flow.server_conn.address[0]))
                ctx.log.info(flow.type + " %s" % flowfilter.match("~websocket & ~bq hi", flow))
            """,
        ),
        era=release,
    )
    wire = chat(listen)
    wire.send(frame(TEXT_FRAME, b"hi"), frames.close(1001, b"leaving"))
    rest_of(wire)
    last_flow(proxy)
    wait_until(lambda: len(said(proxy)) == 10)
    assert said(proxy) == [
        "<WebSocketFlow (1 messages)>",
        "1 True",
        "text message: 'hi'",
        "/chat 101",
        f"{frames.KEY.decode()} {frames.ACCEPT.decode()}",
        "'' '' ''",
        "client 1001 GOING_AWAY leaving",
        "kept None",
        "127.0.0.1 127.0.0.1",
        "websocket True",
    ]


def old_flow(release, make=None):
    """A script's WebSocket flow in the manner of a release, and its real one."""
    from nbproxy.scripts import eras
    from nbproxy.scripts.compat.relays import WebSocketFlow

    real = HTTPFlow(Request.make("GET", "http://a.test/"))
    real.websocket = WebSocketData([WebSocketMessage(TEXT, True, b"a", 1.0)])
    return WebSocketFlow.of(real, eras.parse(release)), real


def test_names_that_came_later_are_named(proxy):
    flow, _ = old_flow("6.0")
    for name, hint in (("websocket", "came with mitmproxy 7"), ("request", "handshake_flow")):
        with pytest.raises(AttributeError, match=hint):
            getattr(flow, name)


@pytest.mark.parametrize(("release", "code"), [("2.0", "(status code missing)"), ("6.0", 1000)])
def test_a_websocket_that_is_open(release, code):
    flow, real = old_flow(release)
    assert (flow.close_code, flow.close_message) == (code, "(message missing)")
    assert (flow.close_reason, flow.close_sender, flow.ended) == (
        "unknown status code",
        "client",
        False,
    )
    assert flow.server_accept == ""
    assert not flow.live
    real.websocket.closed_by_client = False
    real.websocket.close_code = 4000
    assert (flow.close_sender, flow.close_code) == ("server", 4000)
    assert flow.close_message == "unknown status code"
    with pytest.raises(ValueError, match="the endpoint must be"):
        flow.inject_message("client", "x")
    with pytest.raises(ValueError, match="the WebSocket is closed"):
        flow.inject_message(flow.client_conn, "x")


def test_its_state_and_copies():
    flow, _ = old_flow("6.0")
    state = flow.get_state()
    assert state["type"] == "websocket"
    assert state["messages"] == [(1, True, "a", 1.0, False)]
    assert state["close_code"] == 1000
    assert "request" not in state
    other = flow.copy()
    other.messages[0].content = "b"
    assert flow.messages[0].content == "a"
    assert type(other) is type(flow)
    assert other.id != flow.id


def test_making_them():
    from nbproxy.scripts.compat import relays

    flow = relays.WebSocketFlow.bound(Era.F)(None, None, None)
    assert flow.messages == []
    assert flow.handshake_flow.request.method == "GET"
    message = relays.WebSocketMessage(2, False, "text", 5.0, True)
    assert (message.content, message.killed, message.timestamp) == (b"text", True, 5.0)
    assert repr(message) == "binary message: b'text'"
    stream = relays.TCPFlow.bound(Era.F)(None, None)
    assert stream.messages == []
    piece = relays.TCPMessage(True, "text", 5.0)
    assert (piece.content, piece.timestamp, piece.from_client) == (b"text", 5.0, True)
    assert repr(piece) == "-> b'text'"


# -- TCP


TCP_NOTE = """
from mitmproxy import ctx
{imports}
def tcp_start(flow): note("start", flow)
def tcp_message(flow): note("message", flow)
def tcp_end(flow): note("end", flow)
def tcp_error(flow): note("error", flow)
def note(name, flow):
    assert isinstance(flow, TCPFlow)
    ctx.log.info("%s %s" % (name, [(m.from_client, bytes(m.content)) for m in flow.messages]))
"""


def tcp_script(release):
    module = "mitmproxy.models" if release == "0.18" else "mitmproxy.tcp"
    return TCP_NOTE.format(imports=f"from {module} import TCPFlow, TCPMessage")


@pytest.mark.parametrize("release", TCP)
@pytest.mark.parametrize("breaks", [False, True])
def test_tcp_events(proxy, connect, make_origin, write, said, release, breaks):
    script = proxy.load(write("a.py", tcp_script(release)), era=release)
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == RAW
    if breaks:
        wire.reset()
    else:
        wire.end()
        assert wire.rest() == b""
    both = [(True, RAW), (False, RAW)]
    ends = ["end"] if not breaks else ["error", "end"] if release in ("0.18", *OLD) else ["error"]
    wanted = ["start []", f"message {both[:1]}", f"message {both}"]
    wanted += [f"{name} {both}" for name in ends]
    wait_until(lambda: len(said(proxy)) >= len(wanted))
    last_flow(proxy)
    assert said(proxy) == wanted
    assert script.last_error == ""


CHANGE_TCP = {
    "0.16": """
from netlib.utils import clean_bin
def tcp_message(ctx, tcp_msg):
    modified_msg = tcp_msg.message.replace("foo", "bar")
    is_modified = False if modified_msg == tcp_msg.message else True
    tcp_msg.message = modified_msg
    print("[tcp_message{}] from {} {} to {} {}:{}".format(
        " (modified)" if is_modified else "",
        "client" if tcp_msg.sender == tcp_msg.client_conn else "server",
        tcp_msg.sender.address.host,
        "server" if tcp_msg.receiver == tcp_msg.server_conn else "client",
        tcp_msg.receiver.address.host, clean_bin(tcp_msg.message)))
    tcp_msg.reply()
""",
    "0.18": """
from netlib import strutils
def tcp_message(tcp_msg):
    modified_msg = tcp_msg.message.replace("foo", "bar")
    is_modified = False if modified_msg == tcp_msg.message else True
    tcp_msg.message = modified_msg
    print("[tcp_message{}] from {} {} to {} {}:{}".format(
        " (modified)" if is_modified else "",
        "client" if tcp_msg.sender == tcp_msg.client_conn else "server",
        tcp_msg.sender.address.host,
        "server" if tcp_msg.receiver == tcp_msg.server_conn else "client",
        tcp_msg.receiver.address.host, strutils.bytes_to_escaped_str(tcp_msg.message)))
""",
    "3.0": """
from mitmproxy.utils import strutils
def tcp_message(tcp_msg):
    modified_msg = tcp_msg.message.replace("foo", "bar")
    is_modified = False if modified_msg == tcp_msg.message else True
    tcp_msg.message = modified_msg
    print("[tcp_message{}] from {} {} to {} {}:{}".format(
        " (modified)" if is_modified else "",
        "client" if tcp_msg.sender == tcp_msg.client_conn else "server",
        tcp_msg.sender.address[0],
        "server" if tcp_msg.receiver == tcp_msg.server_conn else "client",
        tcp_msg.receiver.address[0], strutils.bytes_to_escaped_str(tcp_msg.message)))
""",
    "5.3": """
from mitmproxy.utils import strutils
from mitmproxy import ctx, tcp
def tcp_message(flow: tcp.TCPFlow):
    message = flow.messages[-1]
    message.content = message.content.replace(b"foo", b"bar")
    ctx.log.info("tcp_message[from_client={}), content={}]".format(
        message.from_client, strutils.bytes_to_escaped_str(message.content)))
""",
    "12": """
import logging
from mitmproxy import tcp
from mitmproxy.utils import strutils
def tcp_message(flow: tcp.TCPFlow):
    message = flow.messages[-1]
    assert isinstance(message, tcp.TCPMessage)
    old = message.content
    message.content = old.replace(b"foo", b"bar")
    logging.info("[tcp_message] %s %s", flow.client_conn.peername[0], message.from_client)
""",
}


@pytest.mark.parametrize("recognised", [True, False])
@pytest.mark.parametrize("release", CHANGE_TCP)
def test_changing_what_passes(proxy, connect, make_origin, write, said, release, recognised):
    path = write("tcp.py", CHANGE_TCP[release])
    script = proxy.load(path) if recognised else proxy.load(path, era=release)
    wire = connect(proxy, tunnel=make_origin(echo).port)
    wire.send(RAW)
    assert wire.exactly(4) == b"\x00bar"
    assert script.last_error == ""
    wait_until(lambda: len(said(proxy)) == 2)
    if release in {"0.16", "0.18", "3.0"}:
        first, second = said(proxy)
        assert first.startswith("[tcp_message (modified)] from client 127.0.0.1 to server 127.0")
        assert second.startswith("[tcp_message] from server 127.0.0.1 to client 127.0.0.1")


@pytest.mark.parametrize("release", ["0.18", "6.0", "12"])
def test_a_tcp_flow_has_no_request(release):
    from nbproxy.scripts import eras
    from nbproxy.scripts.compat.relays import TCPFlow as Shown

    real = TCPFlow()
    real.messages.append(TCPMessage(from_client=False, content=b"a", timestamp=2.0))
    flow = Shown.of(real, eras.parse(release))
    with pytest.raises(AttributeError, match="a TCP flow has `messages` only"):
        _ = flow.request
    assert flow.get_state()["messages"] == [(False, b"a", 2.0)]
    assert repr(flow) == "<TCPFlow (1 messages)>"
    assert flow.type == "tcp"
    assert flow.sender is flow.server_conn
    assert flow.receiver is flow.client_conn
    assert flow.copy().messages[0].content == b"a"
    real.error = Error("broken")
    assert flow.error.msg == "broken"
    assert flow.get_state()["error"] == {"msg": "broken"}


def test_injecting_into_a_stream(proxy, connect, make_origin, write):
    proxy.load(
        write(
            "a.py",
            """
            from mitmproxy import ctx
            def tcp_message(flow):
                if flow.messages[-1].from_client:
                    ctx.master.commands.call("inject.tcp", flow, True, b"injected")
            """,
        )
    )
    wire = connect(proxy, tunnel=make_origin(lambda wire: wire.rest()).port)
    wire.send(RAW)
    assert wire.exactly(8) == b"injected"


def test_updates_are_told_of_all_kinds(proxy, connect, make_origin, chat, write, said):
    source = """
        from mitmproxy import ctx, http
        def update(flows):
            is_http = isinstance(flows[0], http.HTTPFlow)
            ctx.log.info("HTTPFlow" if is_http else type(flows[0]).__name__)
    """
    proxy.load(write("a.py", source), era="6.0")
    wire = chat()
    wire.send(frame(TEXT_FRAME, b"a"))
    next_frame(wire)
    end(wire, proxy)
    raw = connect(proxy, tunnel=make_origin(echo).port)
    raw.send(RAW)
    assert raw.exactly(4) == RAW
    wait_until(lambda: "TCPFlow" in said(proxy))
    assert "WebSocketFlow" in said(proxy)
    assert said(proxy)[0] == "HTTPFlow"


# -- saved flows


def stored(error=None):
    """A flow with a WebSocket that is over."""
    flow = HTTPFlow(Request.make("GET", "http://a.test/chat", headers={"upgrade": "websocket"}))
    flow.response = Response.make(101)
    messages = [
        WebSocketMessage(TEXT, True, b"Hello", 1.0),
        WebSocketMessage(BINARY, False, b"\x01", 2.0),
    ]
    flow.websocket = WebSocketData(messages, True, 1000, "bye", 3.0)
    flow.error = None if error is None else Error(error)
    return flow


FIRST = ["requestheaders", "request", "responseheaders", "response"]


@pytest.mark.parametrize("release", ["0.10", "0.16", "0.18", *OLD, *NEW])
@pytest.mark.parametrize("error", [None, "broken"])
def test_the_order_on_saved_flows(idle, write, said, release, error):
    hooks = [*FIRST, "error", "websocket_handshake", *HOOKS]
    if release in {"0.10", "0.16"}:
        source = "".join(f"def {h}(ctx, flow): ctx.log('{h}')\n" for h in hooks)
    else:
        log = "from mitmproxy import ctx\n"
        source = log + "".join(f"def {h}(flow): ctx.log.info('{h}')\n" for h in hooks)
    script = idle.load(write("a.py", source), era=release)
    idle.scripts.play(stored(error))
    assert script.last_error == ""
    start, message, end_, broken = HOOKS
    websocket = [start, message, message, end_]
    if error and release in OLD:
        websocket.insert(3, broken)
    failed = ["error"] if error else []
    wanted = {
        "0.10": ["request", "response", *failed],
        "0.16": ["request", "responseheaders", "response", *failed],
        "0.18": [*FIRST, *failed],
    }.get(release, [*FIRST, *websocket])
    if error and release == "0.16":
        wanted = ["request", "responseheaders", "response", "error"]
    assert said(idle) == wanted


@pytest.mark.parametrize("release", [*OLD, *NEW])
def test_the_messages_of_a_saved_flow_come_one_by_one(idle, write, said, release):
    source = noting(HOOKS[:3])
    idle.load(write("a.py", source), era=release)
    flow = stored()
    idle.scripts.play(flow)
    hello = "'Hello'" if release in OLD else "b'Hello'"
    kind = "WebSocketFlow" if release in OLD else "HTTPFlow"
    assert said(idle) == [
        f"websocket_start {kind} [{hello}, b'\\x01']",
        f"websocket_message {kind} [{hello}]",
        f"websocket_message {kind} [{hello}, b'\\x01']",
        f"websocket_end {kind} [{hello}, b'\\x01']",
    ]
    assert len(flow.websocket.messages) == 2


@pytest.mark.parametrize("release", CHANGES)
def test_changing_saved_messages(idle, write, release):
    flow = stored()
    flow.websocket.messages = flow.websocket.messages[:1]
    changed = idle.scripts.run(write("a.py", CHANGES[release]), [flow], era=release)
    assert changed[0].websocket.messages[0].content == b"HAPPY"
    assert flow.websocket.messages[0].content == b"Hello"


def test_what_a_handler_would_change(idle):
    flow = stored()

    def shout(flow):
        message = flow.websocket.messages[-1]
        if message.is_text:
            message.text += "!"

    frame = idle.preview(shout, [flow], hook="websocket_message")
    assert frame[["field", "before", "after"]].values.tolist() == [
        ["websocket.messages[0].content", b"Hello", b"Hello!"]
    ]
    assert flow.websocket.messages[0].content == b"Hello"


@pytest.mark.parametrize("release", ["0.16", *TCP])
@pytest.mark.parametrize("error", [None, "broken"])
def test_stored_streams(idle, write, said, release, error):
    flow = TCPFlow()
    flow.messages = [TCPMessage(True, b"a"), TCPMessage(False, b"b")]
    flow.error = None if error is None else Error(error)
    source = tcp_script(release)
    if release == "0.16":
        source = "def tcp_message(ctx, m): ctx.log('never')\n"
    idle.load(write("a.py", source), era=release)
    idle.scripts.play(flow)
    both = [(True, b"a"), (False, b"b")]
    ends = ["end"] if not error else ["error", "end"] if release in ("0.18", *OLD) else ["error"]
    wanted = [f"start {both}", f"message {both[:1]}", f"message {both}"]
    wanted += [f"{name} {both}" for name in ends]
    assert said(idle) == ([] if release == "0.16" else wanted)


# -- what shows the era


@pytest.mark.parametrize(
    ("source", "era"),
    [
        ("def websocket_message(flow): flow.messages[-1].kill()", "F"),
        ("def websocket_message(flow): flow.websocket.messages[-1].drop()", "H"),
        ("def websocket_end(f): print(f.websocket.close_code, f.messages)", "H"),
        ("def websocket_handshake(flow): pass", "F"),
        ("def websocket_error(flow): pass", "F"),
        ("def websocket_start(flow): flow.inject_message(flow.client_conn, 'x')", "F"),
        ("import mitmproxy.websocket\ndef x(flow: mitmproxy.websocket.WebSocketFlow): pass", "F"),
        ("from mitmproxy.websocket import WebSocketFlow\ndef websocket_end(flow): pass", "F"),
        ("from mitmproxy import ctx\ndef websocket_end(flow): ctx.log.info('x')", "G"),
        ("def tcp_message(flow): flow.messages[-1].content = b''", "H"),
        ("def tcp_message(ctx, m): m.message = ''", "C"),
        ("class A:\n    def websocket_message(self, f): f.messages\naddons = [A()]", "F"),
    ],
)
def test_the_era_shows(source, era):
    import ast

    assert recognise(ast.parse(source)) == era


def test_flows_are_plain_for_objects_of_the_users(proxy, chat):
    seen = []

    class Addon:
        def websocket_message(self, flow):
            seen.append(flow)

        def tcp_message(self, flow):
            seen.append(flow)

    proxy.load(Addon())
    wire = chat()
    wire.send(frame(TEXT_FRAME, b"a"))
    next_frame(wire)
    flow = end(wire, proxy)
    assert seen == [flow, flow]
    with contextlib.suppress(ValueError):
        flow.kill()
