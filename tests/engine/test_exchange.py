"""One exchange over real sockets: what goes on, what ends here, and how bodies flow."""

import asyncio
import contextlib
import threading

import psutil
import pytest

from nbproxy.engine.sockets import SocketStream
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response
from nbproxy.protocol.http1 import ClientStream
from nbproxy.store import writer
from tests.support.proxies import (
    PATIENCE_S,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)

MB = 2**20


class Echo:
    """An origin that keeps what it got."""

    def __init__(self, answer=None):
        self.seen = []
        self.answer = answer or response(b"hello")

    def __call__(self, message):
        self.seen.append(message)
        return self.answer


@pytest.fixture
def echo(make_origin):
    """`echo(answer)`: an origin with a fixed answer, and what it saw."""

    def make(answer=None):
        echo = Echo(answer)
        echo.origin = make_origin(answering(echo))
        echo.url = echo.origin.url
        return echo

    return make


# -- heads


def test_order_case_and_repetition_of_fields_survive_both_ways(proxy, connect, echo):
    origin = echo(
        b"HTTP/1.1 200 All Right\r\nX-b: 1\r\nset-cookie: a=1\r\nSeT-Cookie: b=2\r\n"
        b"content-LENGTH: 2\r\nX-B: 2\r\nserver: \xe9\r\n\r\nok"
    )
    wire = connect(proxy)
    wire.send(
        b"POST %b/p?q=%%41 HTTP/1.1\r\nX-Second: 2\r\nhOST: 127.0.0.1:%d\r\nx-first: 1\r\n"
        b"Cookie: a\r\ncookie: b\r\nCONTENT-length: 4\r\nX-second: 3\r\nempty:\r\n\r\nbody"
        % (origin.url.encode(), origin.origin.port)
    )
    got = wire.answer()
    (seen,) = origin.seen
    assert seen.first == b"POST /p?q=%41 HTTP/1.1"
    assert seen.body == b"body"
    assert seen.fields == [
        (b"X-Second", b"2"),
        (b"hOST", b"127.0.0.1:%d" % origin.origin.port),
        (b"x-first", b"1"),
        (b"Cookie", b"a"),
        (b"cookie", b"b"),
        (b"CONTENT-length", b"4"),
        (b"X-second", b"3"),
        (b"empty", b""),
    ]
    assert got.first == b"HTTP/1.1 200 All Right"
    assert got.fields == [
        (b"X-b", b"1"),
        (b"set-cookie", b"a=1"),
        (b"SeT-Cookie", b"b=2"),
        (b"content-LENGTH", b"2"),
        (b"X-B", b"2"),
        (b"server", b"\xe9"),
    ]
    flow = only_flow(proxy)
    assert flow.request.url == f"{origin.url}/p?q=%41"
    assert flow.response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    assert (flow.request.content, flow.response.content) == (b"body", b"ok")
    assert flow.request.timestamp_start <= flow.request.timestamp_end
    assert 0 <= flow.ttfb <= flow.duration
    assert flow.client_conn.peername == wire.sock.getsockname()
    assert flow.server_conn.peername == ("127.0.0.1", origin.origin.port)


def test_fields_for_the_next_hop_end_here(proxy, connect, echo):
    origin = echo(
        response(
            b"ok",
            b"Connection: keep-alive, X-Mine",
            b"X-Mine: 1",
            b"Keep-Alive: timeout=5",
            b"X-Other: 2",
        )
    )
    got = connect(proxy).get(
        f"{origin.url}/",
        b"Connection: close, x-hop",
        b"X-Hop: 1",
        b"Keep-Alive: 300",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"X-End: 2",
    )
    names = [name for name, _ in origin.seen[0].fields]
    assert names == [b"Host", b"X-End"]
    assert [n for n, _ in got.fields] == [b"X-Other", b"Content-Length", b"Connection"]
    assert got[b"connection"] == b"close"


def test_the_clients_wish_to_close_is_ours_to_grant(proxy, connect, echo):
    wire = connect(proxy)
    assert wire.get(f"{echo().url}/", b"Connection: close").body == b"hello"
    assert wire.is_closed


def test_trailers_pass_both_ways_and_chunk_extensions_end_here(proxy, connect, echo):
    origin = echo(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        b"3;note=x\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 9\r\nContent-Length: 7\r\n\r\n"
    )
    wire = connect(proxy)
    wire.send(
        request(
            f"{origin.url}/", b"Transfer-Encoding: chunked", b"Trailer: X-Check", method=b"POST"
        ),
        b"5;a=b\r\nhello\r\n0\r\nX-Check: abc\r\nHost: evil\r\n\r\n",
    )
    got = wire.answer()
    (seen,) = origin.seen
    assert (seen.body, seen.trailers) == (b"hello", [(b"X-Check", b"abc")])
    assert (got.body, got.trailers) == (b"onetwo", [(b"X-Sum", b"9")])
    flow = only_flow(proxy)
    assert flow.request.trailers["x-check"] == "abc"
    assert flow.response.trailers["x-sum"] == "9"


def test_a_head_without_a_body_keeps_the_length_it_tells(proxy, connect, echo):
    origin = echo(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/", method=b"HEAD")[b"content-length"] == b"5000000"
    assert wire.get(f"{origin.url}/2", method=b"HEAD").status == 200
    assert [f.response.content for f in proxy.flows] == [b"", b""]
    assert len(origin.origin.wires) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("head", "method", "length"),
    [
        (b"304 Not Modified\r\nContent-Length: 10\r\nETag: x", b"GET", [b"10"]),
        (b"204 No Content", b"GET", []),
        (b"200 OK\r\nContent-Length: 10\r\nContent-Type: text/event-stream", b"HEAD", [b"10"]),
        (b"200 OK\r\nTransfer-Encoding: chunked", b"HEAD", []),
    ],
)
def test_answers_without_a_body_leave_the_connections_usable(
    proxy, connect, echo, head, method, length, stream
):
    """RFC 9112, 6.3: whatever their fields say, these end with their head."""

    @proxy.on("responseheaders")
    def set_stream(flow):
        flow.response.stream = stream

    origin = echo(b"HTTP/1.1 " + head + b"\r\n\r\n")
    wire = connect(proxy)
    for path in "ab":
        got = wire.get(f"{origin.url}/{path}", method=method)
        assert got.all(b"content-length") == length
        assert got.all(b"transfer-encoding") == []
    assert len(origin.origin.wires) == 1


def test_http10_clients_get_what_they_can_read(proxy, connect, echo):
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
    origin = echo(chunked)
    wire = connect(proxy)
    wire.send(b"GET %b/ HTTP/1.0\r\n\r\n" % origin.url.encode())
    got = wire.answer()
    assert got.body == b"one"
    assert got.all(b"transfer-encoding") == []
    assert wire.is_closed
    assert origin.seen[0][b"host"] == origin.url.removeprefix("http://").encode()
    assert origin.seen[0].first.endswith(b"HTTP/1.1")
    assert only_flow(proxy).request.http_version == "HTTP/1.0"


def test_an_http10_client_may_keep_its_connection(proxy, connect, echo):
    origin = echo()
    wire = connect(proxy)
    for _ in range(2):
        wire.send(b"GET %b/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % origin.url.encode())
        got = wire.answer()
        assert (got.body, got[b"connection"]) == (b"hello", b"keep-alive")


def test_who_has_all_of_an_answer_finds_all_of_it_in_the_flow(
    proxy, connect, make_origin, monkeypatch
):
    """A client may look at the frame as soon as it has the last byte, while we go on."""
    has_head = threading.Event()

    def serve(wire):
        wire.until(b"\r\n\r\n")
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        assert has_head.wait(PATIENCE_S)
        wire.send(b"hello")

    seen = []
    write_piece = ClientStream.write_piece

    def write(self, how, data):
        write_piece(self, how, data)
        last = proxy.df.iloc[-1]
        seen.append((last.response_bytes, last.duration >= last.ttfb))

    monkeypatch.setattr(ClientStream, "write_piece", write)
    wire = connect(proxy)
    wire.send(b"GET %b/ HTTP/1.1\r\nHost: a\r\n\r\n" % make_origin(serve).url.encode())
    wire.until(b"\r\n\r\n")
    assert proxy.df.duration.isna().all()
    has_head.set()
    assert wire.exactly(5) == b"hello"
    wait_until(lambda: seen, "the answer was passed on")
    assert seen == [(5, True)]


def test_a_streamed_answer_to_http10_ends_with_the_connection(proxy, connect, make_origin):
    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            wire.send(b"400\r\n%b\r\n" % (b"x" * 1024))
        wire.send(b"0\r\n\r\n")
        wire.message()

    proxy.options.stream_large_bodies = 10
    wire = connect(proxy)
    wire.send(b"GET %b/ HTTP/1.0\r\n\r\n" % make_origin(serve).url.encode())
    head = wire.head()
    assert head.all(b"transfer-encoding") == head.all(b"content-length") == []
    assert wire.rest() == b"x" * 3072


def test_a_body_that_ends_with_the_connection_becomes_chunked(proxy, connect, make_origin):
    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end")

    origin = make_origin(serve)
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/").body == b"until the end"
    assert wire.get(f"{origin.url}/").body == b"until the end"
    assert proxy.flows[0].response.http_version == "HTTP/1.0"
    assert proxy.flows[0].response.content == b"until the end"


def test_pipelined_requests_are_answered_in_order(proxy, connect, make_origin):
    origin = make_origin(answering(lambda message: response(message.target)))
    wire = connect(proxy)
    wire.send(*(request(f"{origin.url}/{n}") for n in range(5)))
    assert [wire.answer().body for _ in range(5)] == [b"/%d" % n for n in range(5)]
    assert [f.request.path for f in proxy.flows] == [f"/{n}" for n in range(5)]


def test_the_target_wins_over_host(proxy, connect, echo):
    """RFC 9112, 3.2.2."""
    origin = echo()
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/", b"Host: elsewhere.test").status == 200
    assert origin.seen[0][b"host"] == origin.url.removeprefix("http://").encode()
    assert "elsewhere.test" in only_flow(proxy).metadata["host_mismatch"]


# -- interim responses


def test_interim_responses_pass(proxy, connect, echo):
    origin = echo(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(b"ok"))
    wire = connect(proxy)
    wire.ask(f"{origin.url}/")
    hints = wire.answer()
    assert (hints.status, hints[b"link"]) == (103, b"</a>")
    assert wire.answer().body == b"ok"
    assert only_flow(proxy).metadata["interim"] == [103]


def test_a_client_that_waits_for_100_gets_it_once(proxy, connect, echo):
    origin = echo(b"HTTP/1.1 100 Continue\r\n\r\n" + response(b"ok"))
    wire = connect(proxy)
    wire.ask(f"{origin.url}/", b"Expect: 100-continue", b"Content-Length: 4", method=b"POST")
    assert wire.answer().status == 100
    wire.send(b"body")
    assert wire.answer().status == 200
    assert origin.seen[0].body == b"body"
    assert origin.seen[0].all(b"expect") == []


def test_a_handler_answers_before_the_body_is_asked_for(proxy, connect):
    @proxy.on("requestheaders")
    def refuse(flow):
        flow.response = Response.make(403, b"no")

    wire = connect(proxy)
    wire.ask("http://a.test/", b"Expect: 100-continue", b"Content-Length: 4", method=b"POST")
    assert wire.answer().status == 403


def test_an_answer_may_come_before_the_request_is_over(proxy, connect, make_origin):
    def serve(wire):
        wire.head()
        wire.send(response(b"too large", b"Connection: close", status=413))

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/", b"Content-Length: 50000000", method=b"POST")
    wire.send(b"x" * 1000)
    got = wire.answer()
    assert (got.status, got.body, got[b"connection"]) == (413, b"too large", b"close")
    assert only_flow(proxy).response.status_code == 413


# -- upgrades


def mirror(wire):
    """A tiny server: it changes protocols, then every byte comes back."""
    message = wire.message()
    assert message[b"upgrade"] == b"Mirror/1"
    assert b"upgrade" in message[b"connection"].lower()
    wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: mirror/1\r\nConnection: Upgrade\r\n"
        b"X-For: %b\r\n\r\n\x81\x05early" % message[b"x-key"]
    )
    while data := wire.some():
        wire.send(data)


MIRROR = (b"Connection: keep-alive, Upgrade", b"Upgrade: Mirror/1", b"X-Key: abc")


@pytest.mark.parametrize("tls", [False, True])
def test_an_upgrade_is_passed_through_raw(proxy, connect, make_origin, tls):
    origin = make_origin(mirror, tls=tls)
    wire = connect(proxy, tls=origin.port) if tls else connect(proxy)
    wire.send(
        request("/chat" if tls else f"{origin.url}/chat", *MIRROR), b"\x81\x85mask\x05\x04\x1f"
    )
    head = wire.head()
    assert head.status == 101
    assert head[b"x-for"] == b"abc"
    assert head[b"upgrade"] == b"mirror/1"
    assert wire.exactly(7) == b"\x81\x05early"
    assert wire.exactly(9) == b"\x81\x85mask\x05\x04\x1f"
    for count in (1, 70_000):
        frame = b"\x82" * count
        wire.send(frame)
        assert wire.exactly(count) == frame
    wire.close()
    flow = last_flow(proxy)
    assert flow.response.status_code == 101
    assert flow.metadata["tunnel"] == {"client_bytes": 70_010, "server_bytes": 70_017}
    assert flow.error is None


def test_an_upgrade_may_be_refused(proxy, connect, echo):
    origin = echo()
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/", *MIRROR).body == b"hello"
    assert wire.get(f"{origin.url}/").body == b"hello"
    assert origin.seen[0][b"upgrade"] == b"Mirror/1"


def test_an_upgrade_to_h2c_is_not_passed_on(proxy, connect, echo):
    origin = echo()
    got = connect(proxy).get(
        f"{origin.url}/",
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
    )
    assert got.body == b"hello"
    assert [n for n, _ in origin.seen[0].fields] == [b"Host"]


# -- bodies as they come


def test_server_sent_events_pass_as_they_come(proxy, connect, make_origin):
    """The client has the first event before the origin sends the second; handlers or not."""
    go_on = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\nTransfer-Encoding: chunked\r\n"
            b"\r\nd\r\ndata: first\n\n\r\n"
        )
        assert go_on.wait(PATIENCE_S)
        wire.send(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")
        wire.message()

    done = []
    proxy.on("response")(lambda flow: done.append(flow.response.content))
    origin = make_origin(serve)
    wire = connect(proxy)
    wire.ask(f"{origin.url}/")
    assert wire.head().status == 200
    assert wire.until(b"first\n\n\r\n") == b"d\r\ndata: first\n\n\r\n"
    flow = proxy.flows[-1]
    assert flow.live
    assert flow.response.content == b"data: first\n\n"  # what is here so far can be read
    go_on.set()
    assert wire.until(b"0\r\n\r\n") == b"e\r\ndata: second\n\n\r\n0\r\n\r\n"
    whole = b"data: first\n\ndata: second\n\n"
    wait_until(lambda: done)
    assert done == [whole]
    assert only_flow(proxy).response.content == whole


def test_small_pieces_are_not_held_back_where_no_handler_wants_the_body(
    proxy, connect, make_origin
):
    go_on = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        assert go_on.wait(PATIENCE_S)
        wire.send(b"two")
        wire.message()

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/")
    assert wire.head()[b"content-length"] == b"6"
    assert wire.exactly(3) == b"one"
    go_on.set()
    assert wire.exactly(3) == b"two"
    assert only_flow(proxy).response.content == b"onetwo"


def test_a_handler_has_a_response_passed_on_as_it_comes(proxy, connect, make_origin):
    go_on = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        assert go_on.wait(PATIENCE_S)
        wire.send(b"two")
        wire.message()

    seen = []

    @proxy.on("responseheaders")
    def set_stream(flow):
        flow.response.stream = True

    @proxy.on("response")
    def after(flow):
        seen.append(flow.response.content)

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/")
    wire.head()
    assert wire.exactly(3) == b"one"
    go_on.set()
    assert wire.exactly(3) == b"two"
    wait_until(lambda: seen)
    assert seen == [b"onetwo"]


def test_a_callable_changes_a_response_piece_by_piece(proxy, connect, echo):
    def shout(data):
        return data.upper() if data else [b"!", b"!"]

    @proxy.on("responseheaders")
    def set_stream(flow):
        flow.response.stream = shout

    wire = connect(proxy)
    url = echo().url
    for _ in range(2):
        got = wire.get(f"{url}/")
        assert got.body == b"HELLO!!"
        assert got.all(b"content-length") == []
    assert last_flow(proxy).response.content == b"HELLO!!"  # recorded is what went out


def test_a_callable_changes_a_request_piece_by_piece(proxy, connect, echo):
    @proxy.on("requestheaders")
    def set_stream(flow):
        flow.request.stream = lambda data: data.upper() if data else b"!"

    origin = echo()
    wire = connect(proxy)
    for _ in range(2):
        wire.send(request(f"{origin.url}/", b"Content-Length: 4", method=b"PUT"), b"body")
        assert wire.answer().body == b"hello"
    assert [m.body for m in origin.seen] == [b"BODY!", b"BODY!"]
    assert origin.seen[0][b"transfer-encoding"] == b"chunked"
    assert last_flow(proxy).request.content == b"BODY!"


@pytest.mark.parametrize("hook", ["requestheaders", "responseheaders"])
def test_a_callable_that_fails_ends_the_exchange_and_no_more(proxy, connect, echo, hook):
    def broken(data):
        raise LookupError(f"not {data!r}")

    @proxy.on(hook)
    def set_stream(flow):
        message = flow.request if hook == "requestheaders" else flow.response
        message.stream = broken

    url = echo().url
    wire = connect(proxy)
    wire.send(request(f"{url}/", b"Content-Length: 4", method=b"POST"), b"body")
    with contextlib.suppress(ConnectionResetError):  # with the response's head out, all is lost
        wire.rest()
    assert "LookupError" in str(only_flow(proxy).error)
    proxy.off()
    assert connect(proxy).get(f"{url}/").body == b"hello"


def test_a_request_is_passed_on_as_it_comes_if_a_handler_says_so(proxy, connect, make_origin):
    got = []

    def serve(wire):
        wire.head()
        got.append(wire.exactly(3))
        got.append(wire.exactly(3))
        wire.send(response(b"ok"))
        wire.message()

    @proxy.on("requestheaders")
    def set_stream(flow):
        flow.request.stream = True

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/", b"Content-Length: 6", method=b"POST")
    wire.send(b"one")
    wait_until(lambda: got == [b"one"])
    wire.send(b"two")
    assert wire.answer().body == b"ok"
    assert got == [b"one", b"two"]
    assert only_flow(proxy).request.content == b"onetwo"


def test_what_a_streamed_request_lacks_at_its_end_cuts_the_origin_off(proxy, connect, make_origin):
    got = []

    def serve(wire):
        wire.head()
        got.append(wire.exactly(3))
        with contextlib.suppress(ConnectionResetError):
            got.append(wire.rest())
        got.append(None)

    proxy.options.stream_large_bodies = 10
    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/", b"Content-Length: 600", method=b"POST")
    wire.send(b"one")
    wait_until(lambda: got == [b"one"])
    wire.close()
    wait_until(lambda: got[-1] is None)
    assert only_flow(proxy).error.msg.startswith("the client ")
    assert only_flow(proxy).request.content == b"one"


@pytest.fixture
def acknowledged(monkeypatch):
    """Whose bytes were acknowledged at once."""
    seen = []
    acknowledge = SocketStream._acknowledge

    def spy(stream):
        seen.append(stream._peer)
        acknowledge(stream)

    monkeypatch.setattr(SocketStream, "_acknowledge", spy)
    return seen


def test_who_holds_a_body_back_until_its_head_is_acknowledged_need_not_wait(
    proxy, connect, make_origin, acknowledged
):
    """Nagle's algorithm at one end and delayed acknowledgements at the other cost 40 ms."""
    seen = threading.Event()

    def serve(wire):
        while wire.message():
            head, body = response(b"ok").split(b"ok")[0], b"ok"
            wire.send(head)
            seen.wait(PATIENCE_S)
            wire.send(body)

    url = make_origin(serve).url
    wire = connect(proxy)
    wire.send(request(f"{url}/", b"Content-Length: 2", method=b"POST"))
    wait_until(lambda: acknowledged == ["client"])
    wire.send(b"hi")
    wait_until(lambda: acknowledged == ["client", "server"])
    seen.set()
    assert wire.answer().body == b"ok"
    assert only_flow(proxy).request.content == b"hi"


async def test_nor_need_a_replay(proxy, make_origin, acknowledged):
    seen = threading.Event()

    def serve(wire):
        while wire.message():
            wire.send(response(b"ok").removesuffix(b"ok"))
            seen.wait(PATIENCE_S)
            wire.send(b"ok")

    flow = HTTPFlow(Request.make("GET", f"{make_origin(serve).url}/"))
    sending = asyncio.ensure_future(flow.replay(proxy=proxy))
    await asyncio.to_thread(wait_until, lambda: acknowledged == ["server"])
    seen.set()
    assert (await sending).response.content == b"ok"


def test_what_comes_in_one_piece_is_not_acknowledged_apart(
    proxy, connect, make_origin, acknowledged
):
    url = make_origin(answering(lambda message: response(message.body))).url
    wire = connect(proxy)
    for _ in range(3):
        wire.send(request(f"{url}/", b"Content-Length: 2", method=b"POST") + b"hi")
        assert wire.answer().body == b"hi"
        assert wire.get(f"{url}/").body == b""
    assert not acknowledged


class Memory:
    """How much this process has grown at most, looked at from time to time."""

    def __init__(self):
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.grown = 0

    def look(self):
        self.grown = max(self.grown, self._process.memory_info().rss - self._before)


def answering_at_length(block, count):
    """Serve one request with so many blocks."""

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * count))
        for _ in range(count):
            wire.send(block)
        wire.message()

    return serve


def test_100_mb_down_cost_little_memory_and_are_recorded(proxy, connect, make_origin):
    block = bytes(range(256)) * 4096
    wire = connect(proxy)
    wire.ask(f"{make_origin(answering_at_length(block, 100)).url}/")
    memory = Memory()
    wire.head()
    for _ in range(100):
        assert wire.exactly(MB) == block
        memory.look()
    assert memory.grown < 50 * MB
    flow = only_flow(proxy)
    assert flow.response.body_size == 100 * MB
    assert flow.response.content == block * 100


def test_a_large_body_does_not_wait_until_more_has_gathered(
    proxy, connect, make_origin, monkeypatch
):
    monkeypatch.setattr(writer, "_GATHER_S", 10 * PATIENCE_S)
    block = bytes(MB)
    wire = connect(proxy)
    wire.ask(f"{make_origin(answering_at_length(block, 40)).url}/")
    wire.head()
    for _ in range(40):
        assert wire.exactly(MB) == block


def test_100_mb_up_cost_little_memory_and_are_recorded(proxy, connect, make_origin):
    block = bytes(range(256)) * 4096
    equal = []

    def serve(wire):
        wire.head()
        equal.extend(wire.exactly(MB) == block for _ in range(100))
        wire.send(response(b"ok"))
        wire.message()

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/", b"Content-Length: %d" % (100 * MB), method=b"PUT")
    memory = Memory()
    for _ in range(100):
        wire.send(block)
        memory.look()
    assert wire.answer().body == b"ok"
    memory.look()
    assert memory.grown < 50 * MB
    assert equal == [True] * 100
    flow = only_flow(proxy)
    assert flow.request.body_size == 100 * MB
    assert flow.request.content == block * 100


def test_a_chunked_body_too_large_to_hold_is_passed_on_from_where_it_was_read(
    proxy, connect, echo, make_origin
):
    piece = b"x" * 1000

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        wire.send(b"0\r\nX-Sum: 1\r\n\r\n")
        wire.message()

    bodies = []
    proxy.on("response")(lambda flow: bodies.append(flow.response.body_size))
    proxy.options.stream_large_bodies = "10k"
    got = connect(proxy).get(f"{make_origin(serve).url}/")
    assert (got.body, got.trailers) == (piece * 50, [(b"X-Sum", b"1")])
    wait_until(lambda: bodies)
    assert bodies == [50_000]

    origin = echo()
    wire = connect(proxy)
    wire.ask(f"{origin.url}/", b"Transfer-Encoding: chunked", method=b"POST")
    for _ in range(50):
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    wire.send(b"0\r\nX-Sum: 2\r\n\r\n")
    assert wire.answer().status == 200
    assert origin.seen[0].body == piece * 50
    assert origin.seen[0].trailers == [(b"X-Sum", b"2")]


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_reader_slows_the_sender(proxy, connect, make_origin, tls):
    sent = []
    stuck = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MB))
        wire.sock.settimeout(0.5)
        try:
            while len(sent) < 200:
                wire.send(bytes(MB))
                sent.append(MB)
        except TimeoutError:
            stuck.set()

    origin = make_origin(serve, tls=tls)
    wire = connect(proxy, tls=origin.port) if tls else connect(proxy)
    wire.ask("/" if tls else f"{origin.url}/")
    assert stuck.wait(PATIENCE_S)
    assert sum(sent) < 30 * MB  # what fits into the buffers of four sockets
    wire.close()
    assert last_flow(proxy).error is not None


def test_a_slow_origin_slows_the_client(proxy, connect, make_origin):
    finish = threading.Event()

    def serve(wire):
        wire.head()
        assert finish.wait(PATIENCE_S)

    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/", b"Content-Length: %d" % (200 * MB), method=b"POST")
    wire.sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 100:
            wire.send(bytes(MB))
            sent += 1
    assert sent < 30
    finish.set()
    assert only_flow(proxy).error is not None


# -- bodies in handlers' hands


def test_lengths_follow_what_handlers_do(proxy, connect, echo):
    @proxy.on("request")
    def longer(flow):
        flow.request.text += " and more"

    @proxy.on("response")
    def shorter(flow):
        flow.response.text = flow.response.text[:2]
        flow.response.headers["x-seen"] = "1"

    origin = echo(response(b"hello", b"Content-Type: text/plain"))
    wire = connect(proxy)
    wire.send(request(f"{origin.url}/", b"Content-Length: 4", method=b"POST"), b"body")
    got = wire.answer()
    assert origin.seen[0].body == b"body and more"
    assert (got.body, got[b"x-seen"], got[b"content-length"]) == (b"he", b"1", b"2")


def test_a_chunked_request_stays_chunked_when_a_handler_changes_it(proxy, connect, echo):
    @proxy.on("request")
    def change(flow):
        flow.request.content = b"other"

    origin = echo()
    wire = connect(proxy)
    wire.send(
        request(f"{origin.url}/", b"Transfer-Encoding: chunked", method=b"POST"),
        b"4\r\nbody\r\n0\r\n\r\n",
    )
    assert wire.answer().status == 200
    assert origin.seen[0].body == b"other"


def test_framing_that_a_handler_writes_by_hand_does_not_count(proxy, connect, echo):
    @proxy.on("request")
    def lie_up(flow):
        flow.request.headers["content-length"] = "500"

    @proxy.on("response")
    def lie_down(flow):
        flow.response.headers["content-length"] = "1"
        flow.response.headers.add("Connection", "close, x-gone")
        flow.response.headers["x-gone"] = "1"

    origin = echo()
    wire = connect(proxy)
    for _ in range(2):
        got = wire.get(f"{origin.url}/")
        assert (got.body, got[b"content-length"], got.all(b"x-gone")) == (b"hello", b"5", [])


def test_a_handler_may_make_a_get_of_a_head_and_a_204_of_a_200(proxy, connect, echo):
    """What the client may read as a body is decided by what the client asked."""

    @proxy.on("request", "~m HEAD")
    def to_get(flow):
        flow.request.method = "GET"

    @proxy.on("responseheaders", "~u empty")
    def to_204(flow):
        flow.response.status_code = 204

    @proxy.on("responseheaders")
    def set_stream(flow):
        flow.response.stream = "stream" in flow.request.path

    origin = echo()
    wire = connect(proxy)
    for path in ("whole", "stream"):
        assert wire.get(f"{origin.url}/{path}", method=b"HEAD").status == 200
        assert wire.get(f"{origin.url}/empty/{path}").status == 204
    assert wire.get(f"{origin.url}/").body == b"hello"


def test_a_response_taken_away_is_an_error(proxy, connect, echo):
    @proxy.on("response")
    def take(flow):
        flow.response = None

    assert connect(proxy).get(f"{echo().url}/").status == 502
    assert "took the response away" in only_flow(proxy).error.msg


# -- faults and time limits


def test_an_origin_that_hangs_up_gives_a_readable_502(proxy, connect, make_origin):
    origin = make_origin(lambda wire: wire.message())
    errors = []
    proxy.on("error")(lambda flow: errors.append(flow.error.msg))
    wire = connect(proxy)
    got = wire.get(f"{origin.url}/")
    assert got.status == 502
    assert b"closed the connection without an answer" in got.body
    assert errors == ["the server closed the connection without an answer"]
    assert wire.get(f"{origin.url}/").status == 502  # the client's connection goes on
    assert only_one_attempt(origin, 2)


def only_one_attempt(origin, count):
    return len(origin.wires) == count


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Field: 1\r\n\r\n", b"\x00" * 100],
)
def test_an_origin_that_does_not_speak_http_gives_502(proxy, connect, make_origin, garbage):
    def serve(wire):
        wire.message()
        wire.send(garbage)
        wire.end()
        wire.rest()

    assert connect(proxy).get(f"{make_origin(serve).url}/").status == 502
    assert only_flow(proxy).error is not None


def test_a_body_cut_short_is_cut_short_for_the_client(proxy, connect, make_origin):
    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    origin = make_origin(serve)
    wire = connect(proxy)
    wire.ask(f"{origin.url}/")
    with contextlib.suppress(ConnectionResetError):
        assert not wire.rest().endswith(b"half12")
    assert "middle of a body" in only_flow(proxy).error.msg

    proxy.on("response")(lambda flow: None)  # held until it is whole, so there can be a page
    assert connect(proxy).get(f"{origin.url}/").status == 502


def test_an_origin_that_does_not_answer_gives_504(make_proxy, connect, make_origin):
    proxy = make_proxy(response_timeout=0.2)

    def serve(wire):
        wire.message()
        wire.message()

    wire = connect(proxy)
    got = wire.get(f"{make_origin(serve).url}/")
    assert got.status == 504
    assert only_flow(proxy).error.msg == "the server was silent for too long"


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n"])
def test_a_response_head_that_does_not_end_gives_504(make_proxy, connect, make_origin, begin):
    proxy = make_proxy(head_timeout=0.2)

    def serve(wire):
        wire.message()
        wire.send(begin)
        wire.message()

    assert connect(proxy).get(f"{make_origin(serve).url}/").status == 504


def test_a_client_that_stops_in_its_head_gets_408(make_proxy, connect):
    proxy = make_proxy(head_timeout=0.2)
    wire = connect(proxy)
    wire.send(b"GET http://a.test/ HTTP/1.1\r\nHost: a.t")
    assert wire.answer().status == 408
    assert only_flow(proxy).error is not None


def test_a_client_that_stops_in_its_body_gets_408(make_proxy, connect):
    proxy = make_proxy(body_timeout=0.2)
    wire = connect(proxy)
    wire.send(request("http://a.test/", b"Content-Length: 10", method=b"POST"), b"half")
    assert wire.answer().status == 408
    assert "silent" in only_flow(proxy).error.msg


def test_a_client_that_stops_in_a_streamed_body_gets_408(make_proxy, connect, make_origin):
    proxy = make_proxy(body_timeout=0.2, stream_large_bodies=0)
    origin = make_origin(answering(lambda message: response(b"ok")))
    wire = connect(proxy)
    wire.send(request(f"{origin.url}/", b"Content-Length: 10", method=b"POST"), b"half")
    assert wire.answer().status == 408
    assert "silent" in only_flow(proxy).error.msg


def test_an_idle_client_is_let_go_without_a_word(make_proxy, connect, echo):
    proxy = make_proxy()

    @proxy.on("response")
    async def hurry(flow):  # before its first request it has its time
        proxy.options.idle_timeout = 0.2
        while proxy._engine.core.limits.first_s != 0.2:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)

    wire = connect(proxy)
    assert wire.get(f"{echo().url}/").body == b"hello"
    assert wire.is_closed
    assert len(proxy.flows) == 1


def test_a_client_that_leaves_ends_what_the_origin_does_for_it(proxy, connect, make_origin):
    gone = []

    def serve(wire):
        wire.message()
        asked.set()
        gone.append(wire.is_closed)

    asked = threading.Event()
    wire = connect(proxy)
    wire.ask(f"{make_origin(serve).url}/")
    assert asked.wait(PATIENCE_S)
    wire.reset()
    assert only_flow(proxy).error.msg == "the client disconnected"
    wait_until(lambda: gone == [True])


def test_a_client_may_end_its_side_and_still_read(proxy, connect, echo):
    wire = connect(proxy)
    wire.ask(f"{echo().url}/")
    wire.end()
    assert wire.answer().body == b"hello"
    assert wire.is_closed


# -- requests that end here


def test_max_forwards_zero_ends_here(proxy, connect):
    wire = connect(proxy)
    got = wire.get("http://a.test/", b"Max-Forwards: 0", b"Cookie: secret=1", method=b"TRACE")
    assert got.status == 200
    assert got[b"content-type"] == b"message/http"
    assert got.body.startswith(b"TRACE http://a.test/ HTTP/1.1\r\n")
    assert b"secret" not in got.body
    assert wire.get("http://a.test/", b"Max-Forwards: 0", method=b"OPTIONS").status == 200


def test_max_forwards_counts_down(proxy, connect, echo):
    """RFC 9110, 7.6.2."""
    origin = echo()
    wire = connect(proxy)
    assert wire.get(f"{origin.url}/", b"Max-Forwards: 3", method=b"OPTIONS").status == 200
    assert wire.get(f"{origin.url}/", b"Max-Forwards: 3").status == 200
    assert [m[b"max-forwards"] for m in origin.seen] == [b"2", b"3"]


def test_the_page_about_the_ca(proxy, connect):
    wire = connect(proxy)
    assert wire.get("http://mitm.it/").status == 200
    assert wire.get("/", b"Host: 127.0.0.1:%d" % proxy.port).status == 200
    assert wire.get("/", b"Host: a.test").status == 400
