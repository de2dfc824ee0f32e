"""What an origin may send as a response, and what the client gets of it: row R."""

# ruff: noqa: ERA001 - "# hostile: H1-07" cites a row of the catalogue and is no code

from __future__ import annotations

import threading

import pytest

from tests.support.origins import TIMEOUT_S, Origin, answering, eventually
from tests.support.rawclient import exchange

pytest_plugins = ("tests.support.bench",)

GET = b"GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
HEAD = b"HEAD http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
POST = b"POST http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: 5\r\n\r\nhello"
OLD = b"GET http://ORIGIN/x HTTP/1.0\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = 3_000_000


def bad_gateway(bench, answer):
    """A 502 that is ours, the origin's connection is closed, and the flow says why."""
    finals = [r for r in answer.responses if r.status >= 200]
    assert [r.status for r in finals] == [502], answer.raw[:300]
    assert len(answer.responses) <= 1 + 64
    assert b"nbproxy" in finals[0].body
    assert answer.ended == "fin"
    for peer in bench.peers:
        eventually(peer.finished.is_set, "the origin's connection to be closed")
    error = bench.error()
    assert error
    return error


BAD = {
    # hostile: R-01
    "R-01-different": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "R-01-list": OK + b"Content-Length: 5, 6\r\n\r\nhello!",
    **{
        f"R-01-{number}": OK + b"Content-Length: " + value + b"\r\n\r\nhello"
        for number, value in enumerate(
            (b"+5", b"-5", b"0x5", b"5_0", b"5.0", b"5 5", b"", b"1" * 25, b"1" * 4400)
        )
    },
    # hostile: R-03
    "R-03-unknown": OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "R-03-gzip": OK + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "R-03-gzip-chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "R-03-doubled": OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "R-03-two": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "R-03-identity": OK + b"Transfer-Encoding: identity\r\n\r\nhello",
    "R-03-http-1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    # hostile: R-09
    "R-09": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw",
    "R-09-bare": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    # hostile: R-11
    "R-11": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000 + OK + b"\r\n",
    "R-11-endless": b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
    # hostile: R-12
    **{
        f"R-12-{number}": line + b"\r\nContent-Length: 2\r\n\r\nok"
        for number, line in enumerate(
            (
                b"HTTP/1.1 099 Low",
                b"HTTP/1.1 1000 High",
                b"HTTP/1.1 abc Letters",
                b"HTTP/1.1 20 Short",
                b"HTTP/1.1  200 OK",
                b"HTTP/1.1",
                b"HTTP 200 OK",
                b"ICY 200 OK",
                b"SSH-2.0-OpenSSH_9.6",
                b"220 smtp.example ESMTP",
                b"<html>",
                b"",
                b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
                b"\x15\x03\x01\x00\x02\x02\x46",
                b"HTTP/1.1 -20 OK",
                "HTTP/1.1 ٢٠٠ OK".encode(),
            )
        )
    },
    # hostile: R-13
    **{
        f"R-13-{number}": head + b"Content-Length: 2\r\n\r\nok"
        for number, head in enumerate(
            (
                b"HTTP/1.1 200 O\rK\r\n",
                b"HTTP/1.1 200 O\x00K\r\n",
                b"HTTP/1.1 200 O\nK\r\n",
                b"HTTP/1.1 200 O\x1b[31mK\r\n",
                OK + b"X: 1\r2\r\n",
                OK + b"X: 1\x002\r\n",
                OK + b"X: 1\n2\r\n",
                OK + b"X: 1\r\n 2\r\n",
                OK + b"X: 1\x7f\r\n",
                OK + b"X : 1\r\n",
                OK + b"X Y: 1\r\n",
                OK + b": 1\r\n",
                OK + b"no colon\r\n",
                OK + b" X: 1\r\n",
                OK + b"X\xe9: 1\r\n",
            )
        )
    },
    "R-13-lf-only": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    # hostile: R-14
    "R-14": b"HTTP/3.7 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "R-14-2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "R-14-0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    # hostile: R-15
    "R-15-large": OK + b"X: " + b"a" * 4_000_000 + b"\r\n\r\n",
    "R-15-many": OK + b"X: 1\r\n" * 1001 + b"\r\n",
    "R-15-endless": OK + b"X-Abc: 1\r\n" * 100_000,
    "R-15-line": b"HTTP/1.1 200 " + b"a" * 1_000_000,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
@pytest.mark.parametrize("then", ["close", "hold"])
def test_a_response_that_cannot_be_passed_on(bench, data, then):
    error = bad_gateway(bench, bench.ask(answering(data, then), GET))
    assert "the server" in error


@pytest.mark.parametrize(
    "data",
    [d for d in BAD.values() if len(d) < 300],
    ids=[n for n, d in BAD.items() if len(d) < 300],
)
def test_a_bad_response_byte_by_byte(bench, data):
    def script(peer):
        peer.next_request()
        peer.drip(data)
        peer.half_close()
        peer.read_to_end()

    bad_gateway(bench, bench.ask(script, GET))


# hostile: R-04
CHUNKS = (
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n",
    b"g\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n",
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloXX0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"3\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n",
    b"5;a=" + b"b" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("chunks", CHUNKS, ids=[f"R-04-{n}" for n in range(len(CHUNKS))])
@pytest.mark.parametrize("whole", [False, True], ids=["passed-on", "read-whole"])
def test_broken_chunks(bench, chunks, whole):
    """With a handler the body is read whole before anything goes out: then it is a 502."""
    if whole:
        bench.proxy.on("response")(lambda flow: None)
    try:
        answer = bench.ask(answering(CHUNKED + chunks), GET)
    finally:
        bench.proxy.off()
    if whole or answer.responses:
        bad_gateway(bench, answer)
    else:
        assert answer.partial == answer.raw != b""
        assert answer.ended in ("fin", "reset")
        assert bench.error()


@pytest.mark.parametrize(
    "rest",
    [
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"10000000000000005\r\nhello",
        b"0\r\nX\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"\r\n",
    ],
)
def test_r_04_chunks_that_break_when_much_was_passed_on(bench, rest):
    data = CHUNKED + b"%x\r\n%b\r\n" % (LARGE, b"x" * LARGE) + rest
    answer = bench.ask(answering(data), GET)
    assert answer.responses == []  # the strict reader finds no whole one
    assert "the server's response is not HTTP" in bench.error()
    flow = bench.flow()
    assert flow.response.body_size >= LARGE - 300_000


# hostile: R-02
def test_r_02_length_and_coding(bench):
    data = OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    answer = bench.ask(answering(data, "keep"), GET)
    if answer.statuses == [200]:
        assert answer.responses[0].body == b"hello"
        eventually(bench.peers[0].finished.is_set, "the origin's connection to be closed")
    else:
        bad_gateway(bench, answer)


# hostile: R-05
CUT = {
    "R-05-length": OK + b"Content-Length: 100\r\n\r\nhello",
    "R-05-length-none": OK + b"Content-Length: 100\r\n\r\n",
    "R-05-chunked": CHUNKED + b"5\r\nhello\r\n",
    "R-05-in-a-chunk": CHUNKED + b"5\r\nhello\r\n5\r\nhel",
    "R-05-in-a-chunk-line": CHUNKED + b"5\r\nhello\r\n1",
    "R-05-before-the-end": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "R-05-in-trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX: 1\r\n",
    "R-05-large-length": OK + b"Content-Length: 9000000\r\n\r\nhello" + b"x" * LARGE,
    "R-05-large-chunk": CHUNKED + b"%x\r\nhello" % (2 * LARGE) + b"x" * LARGE,
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_body_that_is_cut(bench, data, then):
    answer = bench.ask(answering(data, then), GET)
    assert answer.statuses in ([], [502])
    if not answer.responses:
        assert b"200" in answer.raw or answer.ended == "reset"
    flow = bench.flow()
    assert "the server" in flow.error.msg
    assert "body" in flow.error.msg or "reset" in flow.error.msg
    if then == "close" and b"hello" in data:  # a reset may overtake what came before it
        assert flow.response.raw_content.startswith(b"hello")


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
def test_a_body_that_is_cut_for_an_http_1_0_client(bench, data):
    """Its bodies end with the connection, so only a reset shows that one is not whole."""
    answer = bench.ask(answering(data, "close"), OLD)
    assert answer.statuses in ([], [502])
    assert answer.ended == ("fin" if answer.statuses else "reset")


# hostile: R-06
@pytest.mark.parametrize("request_", [GET, OLD], ids=["R-06", "R-06-http-1.0"])
@pytest.mark.parametrize("size", [5, LARGE], ids=["small", "large"])
def test_a_body_without_framing_that_is_reset(bench, request_, size):
    answer = bench.ask(answering(OK + b"\r\n" + b"x" * size, "reset"), request_)
    assert answer.statuses in ([], [502])
    if not answer.statuses and request_ is OLD:
        assert answer.ended == "reset"
    assert "the server reset" in bench.error()


@pytest.mark.parametrize("request_", [GET, OLD], ids=["R-06", "R-06-http-1.0"])
@pytest.mark.parametrize("size", [0, 5, LARGE], ids=["empty", "small", "large"])
def test_a_body_without_framing_that_ends_in_order(bench, request_, size):
    answer = bench.ask(answering(OK + b"\r\n" + b"x" * size, "close"), request_)
    assert answer.statuses == [200]
    assert answer.responses[0].body == b"x" * size
    assert bench.flow().error is None


# hostile: R-07
@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 2\r\n\r\nok" + OK + b"Content-Length: 6\r\n\r\npoison",
        OK + b"Content-Length: 2\r\n\r\nokX",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + OK + b"Content-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\n\r\n" + OK + b"Content-Length: 6\r\n\r\npoison",
    ],
    ids=["R-07-length", "R-07-byte", "R-07-chunked", "R-07-204"],
)
def test_bytes_after_a_response_go_to_nobody(bench, data):
    bench.origin.script = answering(data)
    with bench.client() as client:
        client.send(bench.filled(GET))
        assert client.read_response().body in (b"ok", b"")
        bench.origin.script = answering(OK + b"Content-Length: 5\r\n\r\nclean")
        client.send(bench.filled(GET))
        assert client.read_response().body == b"clean"
    assert len(bench.peers) == 2
    assert "after its response" in str(bench.flows[0].metadata)


def test_r_07_bytes_that_come_later(bench):
    """A response before any request, on a connection that lies idle."""
    go_on = threading.Event()

    def script(peer):
        peer.next_request()
        peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        go_on.wait(TIMEOUT_S)
        peer.send(OK + b"Content-Length: 6\r\n\r\npoison")
        peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(GET))
        assert client.read_response().body == b"ok"
        go_on.set()
        eventually(lambda: bench.peers[0].ended, "the connection to be given up")
        bench.origin.script = answering(OK + b"Content-Length: 5\r\n\r\nclean")
        client.send(bench.filled(GET))
        assert client.read_response().body == b"clean"


def test_r_07_a_response_before_the_first_request(bench):
    def script(peer):
        peer.send(OK + b"Content-Length: 6\r\n\r\npoison")
        if peer.next_request() is not None:
            peer.read_to_end()

    answer = bench.ask(script, GET)
    # it cannot be told from an answer if it comes late enough; never two for one request
    assert len(answer.responses) <= 1


# hostile: R-08
@pytest.mark.parametrize(
    ("request_", "data"),
    [
        (GET, b"HTTP/1.1 204 No Content\r\n\r\npoison"),
        (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison"),
        (HEAD, OK + b"Content-Length: 6\r\n\r\npoison"),
        (HEAD, OK + b"Transfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"),
    ],
    ids=["R-08-204", "R-08-204-length", "R-08-304", "R-08-head", "R-08-head-chunked"],
)
def test_a_body_where_none_may_be(bench, request_, data):
    answer = bench.ask(answering(data), request_)
    assert len(answer.responses) == 1
    assert b"poison" not in answer.raw
    assert answer.partial == b""
    assert answer.ended == "fin"
    eventually(bench.peers[0].finished.is_set, "the origin's connection to be closed")


@pytest.mark.parametrize(
    "lines",
    [b"Content-Length: 0\r\n", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"],
    ids=["R-08-0", "R-08-7", "R-08-chunked"],
)
def test_a_204_goes_out_without_framing(bench, lines):
    answer = bench.ask(b"HTTP/1.1 204 No Content\r\n" + lines + b"\r\n", GET)
    assert answer.statuses == [204]  # the strict reader refuses framing in it


def test_r_08_a_length_in_an_answer_to_head_is_kept(bench):
    (response,) = bench.ask(OK + b"Content-Length: 12345\r\n\r\n", HEAD).responses
    assert response.values(b"content-length") == [b"12345"]


# hostile: R-10
def test_r_10_interim_responses_are_passed_on(bench):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"
    answer = bench.ask(
        b"HTTP/1.1 100 Continue\r\n\r\n" + interim + OK + b"Content-Length: 0\r\n\r\n", GET
    )
    assert answer.statuses == [100, 103, 200]
    assert answer.responses[1].values(b"link") == [b"</a>", b"</b>"]
    assert bench.flow().metadata["interim"] == [100, 103]
    assert bench.flow().response.status_code == 200


def test_r_10_but_not_to_http_1_0(bench):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert bench.ask(interim + OK + b"Content-Length: 0\r\n\r\n", OLD).statuses == [200]


def test_r_10_hop_by_hop_fields_of_interim_responses(bench):
    interim = (
        b"HTTP/1.1 103 Early Hints\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n\r\n"
    )
    answer = bench.ask(interim + OK + b"Content-Length: 0\r\n\r\n", GET)
    assert answer.responses[0].fields == ()


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_r_10_an_interim_response_has_no_body(bench, framing):
    interim = b"HTTP/1.1 103 Early Hints\r\n" + framing + b"\r\n\r\n"
    answer = bench.ask(interim + OK + b"Content-Length: 2\r\n\r\nok", GET)
    assert answer.statuses in ([103, 200], [502])
    if answer.statuses == [103, 200]:
        assert answer.responses[1].body == b"ok"


# hostile: R-11
def test_r_11_the_bound_itself_passes(bench):
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 64 + OK + b"Content-Length: 0\r\n\r\n"
    assert bench.ask(data, GET).statuses == [103] * 64 + [200]


# hostile: R-13
def test_r_13_odd_but_legal_heads(bench):
    data = b"HTTP/1.1 299 \xe9\t!\r\nX-A:\t1 \r\nX-A:\r\nX-B:\xff\r\nContent-Length:2\r\n\r\nok"
    (response,) = bench.ask(data, GET).responses
    assert response.start == (b"299", b"\xe9\t!")
    assert response.values(b"x-a") == [b"1", b""]
    assert response.values(b"x-b") == [b"\xff"]


@pytest.mark.parametrize("line", [b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n"])
def test_r_13_no_reason(bench, line):
    answer = bench.ask(line + b"Content-Length: 2\r\n\r\nok", GET)
    assert answer.statuses == [200]


# hostile: R-14
def test_r_14_an_http_1_0_origin(bench):
    (response,) = bench.ask(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", GET).responses
    assert response.body == b"ok"
    eventually(bench.peers[0].finished.is_set, "the origin's connection to be closed")


# hostile: R-15
def test_r_15_a_head_that_just_fits(bench):
    data = OK + b"X: " + b"a" * (256 * 1024 - 100) + b"\r\nContent-Length: 0\r\n\r\n"
    assert bench.ask(data, GET).statuses == [200]


# hostile: R-16
@pytest.mark.parametrize("then", ["close", "hold", "reset"])
def test_r_16_an_early_answer(bench, then):
    """The origin refuses an upload while it is under way."""

    def script(peer):
        peer.read_until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        if then == "hold":
            peer.read_to_end()
        elif then == "reset":
            eventually(lambda: b"big" in bytes(client.received), "the client to have it")
            peer.reset()

    bench.origin.script = script
    size = 64 * 2**20
    with bench.client() as client:
        head = b"POST http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\nContent-Length: %d\r\n\r\n"
        client.send(bench.filled(head % size))
        thread = threading.Thread(target=client.send, args=(b"x" * size,))
        thread.start()
        answer = client.read_to_end()
        client.sock.close()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()
    assert [(r.status, r.body) for r in answer.responses] == [(413, b"big")]
    assert bench.flow().response.status_code == 413


# hostile: R-17
def kept_and_closed(bench, request, then):
    """One clean exchange; the origin closes as the next request comes; what happens to that."""
    attempts = []

    def script(peer):
        attempts.append(peer)
        if len(attempts) == 1:
            peer.next_request()
            peer.send(OK + b"Content-Length: 5\r\n\r\nfirst")
            peer.next_request()
            if then == "reset":
                peer.reset()
        else:
            peer.next_request()
            peer.send(OK + b"Content-Length: 5\r\n\r\nagain")
            peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(GET))
        assert client.read_response().body == b"first"
        client.send(bench.filled(request))
        answer = client.read_response(request.split(b" ")[0])
    return answer, [r.start[0] for r in bench.requests]


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
def test_r_17_an_idempotent_request_is_sent_once_more(bench, method, then):
    answer, methods = kept_and_closed(bench, GET.replace(b"GET", method), then)
    assert answer.status == 200
    assert methods == [b"GET", method, method]
    assert bench.flows[1].error is None


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "request_",
    [
        POST,
        POST.replace(b"Content-Length: 5\r\n\r\nhello", b"\r\n"),
        POST.replace(b"POST", b"PUT"),
        GET.replace(b"GET", b"PATCH"),
    ],
    ids=["R-17-post", "R-17-post-empty", "R-17-put-with-body", "R-17-patch"],
)
def test_r_17_others_never_twice(bench, request_, then):
    answer, methods = kept_and_closed(bench, request_, then)
    assert answer.status == 502
    assert methods == [b"GET", request_.split(b" ")[0]]
    assert "the server" in bench.flows[1].error.msg


def test_r_17_nothing_is_sent_twice_when_something_came(bench):
    attempts = []

    def script(peer):
        attempts.append(peer)
        peer.next_request()
        peer.send(OK + b"Content-Length: 5\r\n\r\nfirst")
        peer.next_request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(GET))
        client.read_response()
        client.send(bench.filled(GET))
        assert client.read_response().status == 103
        assert client.read_response().status == 502
    assert len(attempts) == 1


def test_r_17_a_new_connection_is_not_tried_again(bench):
    def script(peer):
        peer.next_request()

    bad_gateway(bench, bench.ask(script, GET))
    assert len(bench.peers) == 1


# hostile: R-18
def test_r_18_an_origin_that_never_answers(start_proxy):
    with start_proxy(response_timeout=0.3) as proxy:
        with Origin(lambda peer: peer.read_to_end()) as origin:
            data = GET.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            answer = exchange(proxy.port, data.replace(b"ORIGIN", origin.authority))
            assert answer.statuses == [504]
            eventually(lambda: origin.peers[0].ended, "upstream to be freed")
        assert "silent" in proxy.flows[0].error.msg


def test_r_18_an_origin_that_stops_in_its_head(start_proxy):
    with start_proxy(head_timeout=0.3) as proxy:

        def script(peer):
            peer.next_request()
            peer.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            peer.read_to_end()

        with Origin(script) as origin:
            data = GET.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            answer = exchange(proxy.port, data.replace(b"ORIGIN", origin.authority))
            assert answer.statuses == [504]
        assert "in time" in proxy.flows[0].error.msg


@pytest.mark.parametrize("size", [100, 9_000_000], ids=["R-18-small", "R-18-large"])
def test_an_origin_that_stops_in_its_body(start_proxy, size):
    with start_proxy(body_timeout=0.3) as proxy:

        def script(peer):
            peer.next_request()
            peer.send(OK + b"Content-Length: %d\r\n\r\nhello" % size)
            peer.read_to_end()

        with Origin(script) as origin:
            data = GET.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            answer = exchange(proxy.port, data.replace(b"ORIGIN", origin.authority))
            assert answer.statuses in ([], [504])
        assert "silent" in proxy.flows[0].error.msg
        assert proxy.flows[0].response.raw_content == b"hello"


# hostile: R-19
def test_r_19_a_response_in_single_bytes(bench):
    data = CHUNKED + b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"

    def script(peer):
        peer.next_request()
        peer.drip(data)
        peer.read_to_end()

    (response,) = bench.ask(script, GET).responses
    assert response.body == b"hello world"
    assert response.trailers == ((b"X-Sum", b"1"),)


def test_r_19_20000_chunks_of_one_byte(bench):
    body = bytes(range(200)) * 100
    data = CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    (response,) = bench.ask(data, GET).responses
    assert response.body == body
    assert bench.flow().response.content == body


def test_r_19_events_are_passed_on_as_they_come(bench):
    seen = [threading.Event() for _ in range(3)]

    def script(peer):
        peer.next_request()
        peer.send(OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number, event in enumerate(seen):
            peer.send(b"9\r\ndata: %d\n\n\r\n" % number)
            assert event.wait(TIMEOUT_S)
        peer.send(b"0\r\n\r\n")
        peer.read_to_end()

    bench.origin.script = script
    with bench.client() as client:
        client.send(bench.filled(GET.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)))
        for number, event in enumerate(seen):
            client.read_until(b"data: %d\n\n" % number)
            event.set()
        (response,) = client.read_to_end().responses
    assert response.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
