"""Handlers on live traffic: when they run, what they may do, and what they cannot break."""

import asyncio
import logging
import threading

import pytest

from nbproxy import HTTPFlow, Response, concurrent
from nbproxy.hooks import HOOKS
from tests.support.proxies import (
    PATIENCE_S,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)

pytestmark = pytest.mark.filterwarnings("default")  # handlers' failures are shown, not raised

NOT_HERE = {"running", "done"}


@pytest.fixture
def origin(make_origin):
    return make_origin(answering(lambda message: response(message.body or message.target)))


@pytest.fixture
def tls_origin(make_origin):
    return make_origin(answering(lambda message: response(message.target)), tls=True)


def note_all(proxy):
    """Every hook notes its name."""
    order = []
    for name in HOOKS:
        if HOOKS[name].argument:
            proxy.on(name)(lambda _, name=name: order.append(name))
        else:
            proxy.on(name)(lambda name=name: order.append(name))
    return order


# -- order


def test_hooks_of_plain_http_in_their_order(make_proxy, connect, origin):
    proxy = make_proxy()
    order = note_all(proxy)
    with connect(proxy) as wire:
        wire.get(f"{origin.url}/1")
        wire.get(f"{origin.url}/2")
    wait_until(lambda: order[-1:] == ["clientdisconnect"])
    exchange = ["requestheaders", "request", "responseheaders", "response"]
    assert order == [
        "clientconnect",
        "requestheaders",
        "request",
        "serverconnect",
        "server_connected",
        "responseheaders",
        "response",
        *exchange,
        "clientdisconnect",
    ]
    proxy.stop()
    assert order[9 + 3 :] == ["done", "serverdisconnect"] or order[9 + 3 :] == [
        "serverdisconnect",
        "done",
    ]


@pytest.mark.parametrize("strategy", ["eager", "lazy"])
def test_hooks_of_https_in_their_order(make_proxy, connect, tls_origin, strategy):
    proxy = make_proxy(connection_strategy=strategy)
    order = note_all(proxy)
    with connect(proxy, tls=tls_origin.port) as wire:
        assert wire.get("/").status == 200
    wait_until(lambda: order[-1:] == ["clientdisconnect"])
    server = ["serverconnect", "tls_established_server", "server_connected"]
    eager = strategy == "eager"
    assert order == [
        "clientconnect",
        "http_connect",
        "http_connected",
        "tls_clienthello",
        *(server if eager else ()),
        "tls_established_client",
        "requestheaders",
        "request",
        *(() if eager else server),
        "responseheaders",
        "response",
        "clientdisconnect",
    ]


def test_hooks_of_a_failure(make_proxy, connect, origin):
    proxy = make_proxy()
    origin.close()
    order = note_all(proxy)
    with connect(proxy) as wire:
        assert wire.get(f"{origin.url}/").status == 502
    wait_until(lambda: order[-1:] == ["clientdisconnect"])
    assert order[1:-1] == [
        "requestheaders",
        "request",
        "serverconnect",
        "server_connect_error",
        "error",
    ]


def test_hooks_of_an_answer_by_a_handler(proxy, connect):
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200)))
    order = note_all(proxy)
    with connect(proxy) as wire:
        assert wire.get("http://nowhere.test/").status == 200
    wait_until(lambda: order[-1:] == ["clientdisconnect"])
    assert order[1:-1] == ["requestheaders", "request", "responseheaders", "response"]


def test_running_and_done(make_proxy, connect):
    proxy = make_proxy()
    order = note_all(proxy)
    proxy.stop()
    proxy.start()
    proxy.stop()
    assert order == ["done", "running", "done"]


def test_what_a_handler_may_read_when(proxy, connect, origin):
    seen = {}

    @proxy.on("requestheaders")
    def first(flow):
        seen["requestheaders"] = (flow.request.content, flow.response, flow.live)

    @proxy.on("request")
    def second(flow):
        seen["request"] = (flow.request.content, flow.server_conn.connected)

    @proxy.on("responseheaders")
    def third(flow):
        seen["responseheaders"] = (flow.response.status_code, flow.response.content)

    @proxy.on("response")
    def fourth(flow):
        seen["response"] = (flow.response.content, flow.response.timestamp_end is not None)

    wire = connect(proxy)
    wire.send(request(f"{origin.url}/", b"Content-Length: 4", method=b"POST"), b"body")
    assert wire.answer().body == b"body"
    assert seen == {
        "requestheaders": (None, None, True),
        "request": (b"body", False),
        "responseheaders": (200, None),
        "response": (b"body", True),
    }
    assert not only_flow(proxy).live


# -- what a request handler may do


def test_a_handler_answers(proxy, connect):
    @proxy.on("request", "~d nowhere.test")
    def answer(flow):
        flow.response = Response.make(418, "I am a teapot", {"X-Kind": "pot"})

    wire = connect(proxy)
    for _ in range(2):
        got = wire.get("http://nowhere.test/")
        assert (got.status, got.body, got[b"x-kind"]) == (418, b"I am a teapot", b"pot")
    flow = last_flow(proxy)
    assert flow.response.status_code == 418
    assert flow.server_conn.peername is None
    assert flow.response.timestamp_end >= flow.response.timestamp_start > 0


def test_a_handler_answers_for_https_without_a_server(make_proxy, connect):
    proxy = make_proxy(connection_strategy="lazy")
    proxy.on("request")(
        lambda flow: setattr(flow, "response", Response.make(200, flow.request.url))
    )
    wire = connect(proxy, tls=443, host="nowhere.test")
    assert wire.get("/x", b"Host: nowhere.test").body == b"https://nowhere.test/x"


def test_a_handler_answers_for_a_server_that_is_down(proxy, connect, tls_origin):
    tls_origin.close()
    proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, b"up")))
    wire = connect(proxy, tls=tls_origin.port)
    assert wire.get("/").body == b"up"


def test_a_handler_sends_a_request_elsewhere(proxy, connect, origin, make_origin):
    seen = []

    def serve(message):
        seen.append(message)
        return response(b"other")

    other = make_origin(answering(serve))

    @proxy.on("request", "~u /move")
    def move(flow):
        flow.request.host = "localhost"
        flow.request.port = other.port
        flow.request.path = "/moved"

    @proxy.on("request", "~u /whole")
    def replace(flow):
        flow.request.url = f"{other.url}/whole?x=1"

    wire = connect(proxy)
    assert wire.get(f"{origin.url}/move").body == b"other"
    assert wire.get(f"{origin.url}/whole").body == b"other"
    assert wire.get(f"{origin.url}/stay").body == b"/stay"
    assert [m.target for m in seen] == [b"/moved", b"/whole?x=1"]
    assert seen[0][b"host"] == b"localhost:%d" % other.port
    assert proxy.flows[0].server_conn.address == ("localhost", other.port)


def test_a_handler_changes_the_scheme(proxy, connect, origin, tls_origin):
    @proxy.on("request", "~u /up")
    def up(flow):
        flow.request.url = f"{tls_origin.url}/secure"

    @proxy.on("request", "~u /down")
    def down(flow):
        flow.request.url = f"{origin.url}/plain"

    assert connect(proxy).get(f"{origin.url}/up").body == b"/secure"
    assert proxy.flows[-1].server_conn.verified
    assert connect(proxy, tls=tls_origin.port).get("/down").body == b"/plain"


def test_a_handler_changes_the_rest_of_a_request(proxy, connect, make_origin):
    seen = []

    def serve(message):
        seen.append(message)
        return response(b"ok")

    @proxy.on("request")
    def change(flow):
        flow.request.method = "PUT"
        flow.request.path = "/new?a=1"
        flow.request.query["b"] = "2"
        flow.request.headers["X-New"] = "1"
        del flow.request.headers["X-Old"]
        flow.request.cookies["session"] = "x"
        flow.request.content = b"content"

    url = make_origin(answering(serve)).url
    assert connect(proxy).get(f"{url}/", b"X-Old: 1").body == b"ok"
    (message,) = seen
    assert message.first == b"PUT /new?a=1&b=2 HTTP/1.1"
    assert (message.body, message[b"x-new"]) == (b"content", b"1")
    assert message[b"cookie"] == b"session=x"
    assert message.all(b"x-old") == []


@pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders", "response"])
def test_a_handler_kills(proxy, connect, origin, hook):
    after = []
    errors = []
    proxy.on(hook)(lambda flow: flow.kill())
    proxy.on(hook)(after.append)
    proxy.on("error")(lambda flow: errors.append(flow.error.msg))
    wire = connect(proxy)
    wire.ask(f"{origin.url}/")
    assert wire.is_closed
    flow = only_flow(proxy)
    assert flow.error.msg == "killed by a handler"
    assert flow.error.timestamp > 0
    assert errors == ["killed by a handler"]
    assert after == []
    with pytest.raises(ValueError, match="is over"):
        flow.kill()


def test_a_flow_is_killed_from_elsewhere_while_it_waits_for_the_server(proxy, connect, make_origin):
    def serve(wire):
        wire.message()
        wire.some()

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].server_conn.requests)
    proxy.flows[0].kill()
    assert wire.is_closed
    assert only_flow(proxy).error.msg == "killed by a handler"
    wait_until(lambda: not proxy.flows[0].server_conn.connected)


# -- responses and errors


def test_response_handlers_change_what_the_client_gets(proxy, connect, origin):
    @proxy.on("response")
    def change(flow):
        flow.response.status_code = 202
        flow.response.reason = "Taken"
        flow.response.headers["X-Seen"] = "1"
        flow.response.text = flow.response.text.upper()

    @proxy.on("response")
    def after(flow):
        flow.response.text += "!"

    wire = connect(proxy)
    got = wire.get(f"{origin.url}/hello")
    assert (got.first, got.body) == (b"HTTP/1.1 202 Taken", b"/HELLO!")
    assert got[b"x-seen"] == b"1"


@pytest.mark.parametrize("hook", ["responseheaders", "response"])
def test_a_response_may_be_replaced(proxy, connect, origin, hook):
    proxy.on(hook)(lambda flow: setattr(flow, "response", Response.make(404, b"gone")))
    wire = connect(proxy)
    for _ in range(2):
        assert wire.get(f"{origin.url}/").body == b"gone"
    assert last_flow(proxy).response.status_code == 404


def test_error_handlers_see_why(proxy, connect, origin):
    origin.close()
    seen = []

    @proxy.on("error")
    def note(flow):
        seen.append((flow.error.msg, flow.response, flow.live))

    assert connect(proxy).get(f"{origin.url}/").status == 502
    ((message, answer, live),) = seen
    assert "the connection was refused" in message
    assert answer is None
    assert live


# -- kinds of handlers


def test_async_handlers_suspend_their_flow_only(proxy, connect, origin):
    go_on = threading.Event()
    waiting = threading.Event()

    @proxy.on("request", "~u /wait")
    async def wait(flow):
        waiting.set()
        await asyncio.to_thread(go_on.wait, PATIENCE_S)
        flow.request.path = "/waited"

    slow, quick = connect(proxy), connect(proxy)
    slow.ask(f"{origin.url}/wait")
    assert waiting.wait(PATIENCE_S)
    for _ in range(3):
        assert quick.get(f"{origin.url}/quick").body == b"/quick"
    go_on.set()
    assert slow.answer().body == b"/waited"


def test_concurrent_handlers_hold_up_their_flow_only(proxy, connect, origin):
    go_on = threading.Event()
    together = threading.Barrier(3)
    threads = set()

    @proxy.on("response", "~u /wait")
    @concurrent
    def wait(flow):
        threads.add(threading.current_thread())
        together.wait(PATIENCE_S)
        assert go_on.wait(PATIENCE_S)
        flow.response.text = "waited"

    slow = [connect(proxy) for _ in range(2)]
    for wire in slow:
        wire.ask(f"{origin.url}/wait")
    together.wait(PATIENCE_S)  # both are in their handler at the same time
    quick = connect(proxy)
    for _ in range(3):
        assert quick.get(f"{origin.url}/quick").body == b"/quick"
    go_on.set()
    assert [wire.answer().body for wire in slow] == [b"waited"] * 2
    assert len(threads) == 2


def test_a_client_that_leaves_does_not_wait_for_its_handler(proxy, connect, origin):
    go_on = threading.Event()
    waiting = threading.Event()

    @proxy.on("request")
    @concurrent
    def wait(flow):
        waiting.set()
        assert go_on.wait(PATIENCE_S)

    wire = connect(proxy)
    wire.ask(f"{origin.url}/")
    assert waiting.wait(PATIENCE_S)
    wire.reset()
    go_on.set()
    assert only_flow(proxy).error.msg == "the client disconnected"


def test_kinds_keep_the_order_of_registration(proxy, connect, origin):
    @proxy.on("response")
    async def first(flow):
        await asyncio.sleep(0)
        flow.response.text += "1"

    @proxy.on("response")
    def second(flow):
        flow.response.text += "2"

    @proxy.on("response")
    @concurrent
    def third(flow):
        flow.response.text += "3"

    @proxy.on("response")
    def fourth(flow):
        flow.response.text += "4"

    assert connect(proxy).get(f"{origin.url}/").body == b"/1234"


# -- filters, registration


def test_filters_choose_flows(proxy, connect, origin):
    seen = []
    proxy.on("request", "~m POST")(lambda flow: seen.append("post"))
    proxy.on("response", "~c 200 & ~u /a")(lambda flow: seen.append("a"))
    proxy.on("response", "!~u /a")(lambda flow: seen.append("other"))
    wire = connect(proxy)
    for path in ("a", "b"):
        wire.get(f"{origin.url}/{path}")
    assert seen == ["a", "other"]


def test_registering_and_removing_while_traffic_passes(proxy, connect, origin):
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/").body == b"/"

    @proxy.on("response")
    def change(flow):
        flow.response.text = "changed"

    assert wire.get(f"{origin.url}/").body == b"changed"
    assert proxy.off(change) == 1
    assert wire.get(f"{origin.url}/").body == b"/"


def test_a_handler_may_go_by_its_other_name(proxy, connect, origin):
    seen = []

    @proxy.on("client_connected")
    def note(client):
        seen.append(client.peername)

    wire = connect(proxy)
    wire.get(f"{origin.url}/")
    assert seen == [wire.sock.getsockname()]


def test_a_client_may_be_refused(proxy, connect):
    @proxy.on("clientconnect")
    def refuse(client):
        client.error = "no"

    assert connect(proxy).is_closed


# -- handlers that fail


@pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders", "response"])
@pytest.mark.parametrize("kind", ["sync", "async", "concurrent"])
def test_a_handler_that_fails_does_not_stop_traffic(proxy, connect, origin, hook, kind, capsys):
    after = []

    def sync(flow):
        raise LookupError("on purpose")

    async def asynchronous(flow):
        await asyncio.sleep(0)
        raise LookupError("on purpose")

    proxy.on(hook)({"sync": sync, "async": asynchronous, "concurrent": concurrent(sync)}[kind])
    proxy.on(hook)(lambda flow: after.append(hook))
    wire = connect(proxy)
    for _ in range(2):
        assert wire.get(f"{origin.url}/").body == b"/"
    assert after == [hook] * 2
    failing = next(iter(proxy.handlers))
    assert (failing.calls, failing.errors) == (2, 2)
    assert "LookupError: on purpose" in failing.last_error
    assert proxy.flows[0].error is None
    assert any("on purpose" in line for line in proxy.flows[0].metadata["handler_errors"])
    assert capsys.readouterr().err.count("on purpose") >= 1


def test_handlers_that_fail_on_connections_do_no_harm(proxy, connect, origin, caplog):
    for name, hook in HOOKS.items():
        if hook.kind in {"client", "server", "tls"}:
            proxy.on(name)(lambda argument: 1 / 0)
    with caplog.at_level(logging.ERROR):
        assert connect(proxy).get(f"{origin.url}/").body == b"/"
    assert "please report" not in caplog.text


def test_what_a_handler_leaves_in_disorder_is_an_error_of_that_flow(proxy, connect, origin):
    """No other exchange notices, and no connection is left behind."""

    @proxy.on("request", "~u /broken")
    def break_it(flow):
        flow.request = None

    @proxy.on("response", "~u /odd")
    def odd(flow):
        flow.response = "a string"

    for path in ("broken", "odd"):
        wire = connect(proxy)
        wire.ask(f"{origin.url}/{path}")
        assert wire.is_closed
        assert "the proxy failed" in last_flow(proxy).error.msg
        proxy.clear()
    assert connect(proxy).get(f"{origin.url}/fine").body == b"/fine"


# -- held flows


def test_a_held_flow_goes_on_when_it_is_resumed(proxy, connect, origin):
    @proxy.on("request", "~u /hold")
    def hold(flow):
        flow.intercept()

    wire = connect(proxy)
    wire.ask(f"{origin.url}/hold")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].intercepted)
    assert connect(proxy).get(f"{origin.url}/other").body == b"/other"
    flow = proxy.flows[0]
    assert isinstance(flow, HTTPFlow)
    assert flow.live
    assert flow.response is None
    flow.request.path = "/edited"
    flow.resume()
    assert wire.answer().body == b"/edited"
    assert not flow.intercepted
    flow.resume()  # harmless


def test_a_held_response_can_be_edited(proxy, connect, origin):
    proxy.on("response")(lambda flow: flow.intercept())
    wire = connect(proxy)
    wire.ask(f"{origin.url}/hold")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].intercepted)
    proxy.flows[0].response.text = "edited"
    proxy.flows[0].resume()
    assert wire.answer().body == b"edited"


def test_a_held_flow_can_be_killed(proxy, connect, origin):
    proxy.on("request")(lambda flow: flow.intercept())
    wire = connect(proxy)
    wire.ask(f"{origin.url}/hold")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].intercepted)
    proxy.flows[0].kill()
    assert wire.is_closed
    assert only_flow(proxy).error.msg == "killed by a handler"
    assert not proxy.flows[0].intercepted


def test_holding_has_a_time_limit(make_proxy, connect, origin):
    proxy = make_proxy(intercept_timeout=0.1)
    proxy.on("request")(lambda flow: flow.intercept())
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/held").body == b"/held"
    flow = only_flow(proxy)
    assert not flow.intercepted
    assert "0.1 s" in flow.metadata["released"]


def test_a_handler_may_resume_what_it_holds(proxy, connect, origin):
    @proxy.on("request")
    def both(flow):
        flow.intercept()
        flow.resume()

    assert connect(proxy).get(f"{origin.url}/").body == b"/"
