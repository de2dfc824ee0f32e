"""Requests and responses as pull streams: the same result however the bytes are cut."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import ConnectionFailed, RemoteProtocolError
from nbproxy.protocol import http1
from nbproxy.protocol.http1 import ClientStream, Limits, ServerStream
from tests.support import strict
from tests.support.memory import Canned, pair, run_now

LIMITS = Limits(first_s=1, head_s=1, body_s=1)


async def read_requests(stream):
    """Every request, and how it ended: None in order, else the error's class and status."""
    found = []
    try:
        while (head := await stream.request_head()) is not None:
            body = b""
            while (piece := await stream.next_piece(1)) is not None:
                assert piece
                body += piece
            parts = (head.method, head.target, head.version, head.fields, head.framing)
            found.append((*parts, body, stream.trailers))
    except (RemoteProtocolError, ConnectionFailed) as error:
        return found, (type(error), error.status)
    return found, None


async def read_responses(stream, method=b"GET"):
    found = []
    try:
        for _ in range(10):
            stream.begin(method)
            while (head := await stream.response_head(1)).status < 200 and head.status != 101:
                found.append((head.status, head.fields))
            body = b""
            while (piece := await stream.next_piece(1)) is not None:
                assert piece
                body += piece
            found.append(
                (head.status, head.reason, head.fields, head.framing, body, stream.trailers)
            )
            if not stream.reusable and not stream.has_leftover:
                break
    except (RemoteProtocolError, ConnectionFailed) as error:
        return found, (type(error), error.status)
    return found, None


def requests(*pieces):
    return run_now(read_requests(ClientStream(Canned(pieces), LIMITS)))


def responses(*pieces, method=b"GET"):
    return run_now(read_responses(ServerStream(Canned(pieces), LIMITS), method))


def bytewise(data):
    return [data[i : i + 1] for i in range(len(data))]


GET = b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n"
PUT = b"PUT http://a/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST http://a/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MESSAGES = {
    "get": (GET, [b""]),
    "put": (PUT, [b"hello"]),
    "chunked": (CHUNKED, [b"hello world"]),
    "pipelined": (GET + PUT + CHUNKED + GET, [b"", b"hello", b"hello world", b""]),
    "empty-lines": (b"\r\n\r\n" + PUT + b"\r\n" + GET, [b"hello", b""]),
}


@pytest.mark.parametrize(("data", "bodies"), MESSAGES.values(), ids=MESSAGES)
def test_requests_however_cut(data, bodies):
    whole = requests(data)
    assert whole[1] is None
    assert [message[5] for message in whole[0]] == bodies
    assert requests(*bytewise(data)) == whole
    for cut in range(1, len(data)):
        assert requests(data[:cut], data[cut:]) == whole


@pytest.mark.parametrize(("data", "bodies"), MESSAGES.values(), ids=MESSAGES)
def test_what_follows_is_left_alone(data, bodies):
    """A tail, as a tunnel needs it."""

    async def first(stream):
        await stream.request_head()
        while await stream.next_piece(1) is not None:
            pass
        return stream.take_rest()

    stream = ClientStream(Canned([data + b"\x16\x03tail"]), LIMITS)
    assert run_now(first(stream)).endswith(b"\x16\x03tail")


def test_trailers():
    ((*_, body, trailers),), _ = requests(CHUNKED)
    assert (body, trailers) == (b"hello world", ((b"X-Sum", b"1"),))


def test_a_request_cut_anywhere_is_never_whole():
    for data in (PUT, CHUNKED):
        for cut in range(1, len(data)):
            found, error = requests(data[:cut])
            assert found == []
            assert error is not None
            assert issubclass(error[0], ConnectionFailed)


RESPONSES = {
    "length": (OK, b"ok"),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"ok",
    ),
    "until-eof": (b"HTTP/1.1 200 OK\r\n\r\nok", b"ok"),
    "interim": (b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n" + OK, b"ok"),
    "old": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
}


@pytest.mark.parametrize(("data", "body"), RESPONSES.values(), ids=RESPONSES)
def test_responses_however_cut(data, body):
    whole = responses(data)
    assert whole[0][-1][4] == body
    assert responses(*bytewise(data))[0] == whole[0]
    for cut in range(1, len(data)):
        assert responses(data[:cut], data[cut:])[0] == whole[0]


def test_heads_that_say_the_same_have_the_same_fields():
    (first, *_), (second, *_) = requests(PUT)[0], requests(PUT.replace(b"/x", b"/y"))[0]
    assert first[1] != second[1]
    assert first[3] is second[3]
    third = requests(PUT.replace(b"Host: a", b"Host: b"))[0][0]
    assert third[3] == ((b"Host", b"b"), (b"Content-Length", b"5"))


def test_what_was_right_for_one_version_is_looked_at_again_for_the_other():
    assert requests(CHUNKED)[1] is None
    found, error = requests(CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (found, error) == ([], (RemoteProtocolError, 400))


def test_what_heads_share_is_bounded():
    for number in range(1000):
        requests(PUT.replace(b"Host: a", b"Host: a%d" % number))
        requests(PUT.replace(b"Host: a", b"Host: a\r\nX: %d%b" % (number, b"x" * 4096)))
        assert len(http1._shared) <= 256
    assert max(map(len, http1._shared)) <= 4096
    reasons = [b"HTTP/1.1 200 %b\r\n\r\n" % (b"x" * size) for size in range(1000)]
    assert [responses(head)[0][0][1] for head in reasons] == [b"x" * size for size in range(1000)]


def test_a_response_to_head_has_no_body():
    found, _ = responses(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", method=b"HEAD")
    assert found[0][4] == b""


def test_bytes_after_a_response_are_told():
    async def read(stream):
        stream.begin(b"GET")
        await stream.response_head(1)
        while await stream.next_piece(1) is not None:
            pass
        return stream

    stream = run_now(read(ServerStream(Canned([OK + b"X"]), LIMITS)))
    assert stream.has_leftover
    assert not stream.reusable


# -- any bytes

WORDS = (
    b"GET http://a/ HTTP/1.1\r\n",
    b"POST http://a/ HTTP/1.1\r\n",
    b"GET / HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Go\r\n",
    b"HTTP/1.0 304 \r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close\r\n",
    b"X-A: \xff\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"5\r\nhello\r\n",
    b"5;a=b\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"hello",
    b":",
    b" ",
)
SOUP = st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=14).map(b"".join)
CUTS = st.lists(st.integers(0, 300), max_size=6)


def cut_up(data, cuts):
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=400, deadline=None)
@given(SOUP, CUTS)
def test_any_bytes_make_requests_or_a_refusal(data, cuts):
    """And no other exception, and the same in every split, one byte at a time included."""
    whole = requests(data)
    assert requests(*cut_up(data, cuts)) == whole
    assert requests(*bytewise(data)) == whole


@settings(max_examples=400, deadline=None)
@given(SOUP, CUTS, st.sampled_from([b"GET", b"HEAD", b"CONNECT"]))
def test_any_bytes_make_responses_or_a_refusal(data, cuts, method):
    whole = responses(data, method=method)
    assert responses(*cut_up(data, cuts), method=method)[0][:1] == whole[0][:1]
    assert responses(*bytewise(data), method=method)[0][:1] == whole[0][:1]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([GET, PUT, CHUNKED]), st.integers(0, 200), st.binary(min_size=1, max_size=2))
def test_a_message_with_some_bytes_changed(data, place, change):
    place %= len(data)
    broken = data[:place] + change + data[place + len(change) :]
    whole = requests(broken)
    assert requests(*bytewise(broken)) == whole


# -- round trips

NAMES = st.from_regex(rb"\A[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}\Z").filter(
    lambda name: (
        name.lower()
        not in {b"host", b"content-length", b"transfer-encoding", b"connection", b"te", b"upgrade"}
        and name.lower() not in http1.framing.HOP_BY_HOP
    )
)
VALUES = st.from_regex(rb"\A([!-~\x80-\xff]([\t -~\x80-\xff]{0,20}[!-~\x80-\xff])?)?\Z")
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(tuple)


@settings(max_examples=200, deadline=None)
@given(FIELDS, st.binary(max_size=40), st.sampled_from(["length", "chunked"]), FIELDS)
def test_what_is_written_is_read_again(fields, body, kind, trailers):
    """Also by a reader that knows nothing of ours, and shares none of its code."""
    fields = ((b"Host", b"a"), *fields)
    how = len(body) if kind == "length" else "chunked"
    trailers = http1.framing.trailers_to_send(trailers) if kind == "chunked" else ()
    io = Canned([])
    io.write(http1.request_head_bytes(b"POST", b"/x", fields, frozenset(), how))
    writer = ServerStream(io, LIMITS)
    writer.write_piece(how, body[:7])
    writer.write_piece(how, body[7:])
    writer.write_end(how, trailers)
    (message,), rest = strict.read_requests(bytes(io.sent))
    assert (rest, message.body, message.trailers) == (b"", body, trailers)
    assert [f for f in message.fields if f in fields] == list(fields)
    ((method, target, version, read, framed, back, after),), error = requests(bytes(io.sent))
    assert error is None
    assert (method, target, version, framed) == (b"POST", b"/x", b"1.1", how)
    assert (
        tuple(f for f in read if f[0].lower() not in (b"content-length", b"transfer-encoding"))
        == fields
    )
    assert (back, after) == (body, trailers)


def test_the_work_on_a_long_head_is_linear():  # hostile: F-09
    """A quarter of a million single bytes; quadratic work would take minutes."""
    data = b"GET http://a/ HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 250_000 + b"\r\n\r\n"
    began = time.process_time()
    patient = ClientStream(Canned(bytewise(data)), Limits())
    found, error = run_now(read_requests(patient))
    assert len(found) == 1
    assert error is None
    assert time.process_time() - began < 20


# -- time


async def test_a_head_that_stops_is_408():
    near, far = pair()
    stream = ClientStream(far, Limits(first_s=5, head_s=0.05, body_s=5))
    near.write(b"GET http://a/ HTTP/1.1\r\nHo")
    with pytest.raises(ConnectionFailed) as caught:
        await stream.request_head()
    assert caught.value.status == 408


async def test_a_head_that_drips_is_408():
    """The limit is for the whole head, not for each byte of it."""
    near, far = pair()
    stream = ClientStream(far, Limits(first_s=5, head_s=0.1, body_s=5))

    async def drip():
        while True:
            near.write(b"x")
            await asyncio.sleep(0.01)

    dripping = asyncio.ensure_future(drip())
    with pytest.raises(ConnectionFailed) as caught:
        await stream.request_head()
    assert caught.value.status == 408
    dripping.cancel()
    await asyncio.wait((dripping,))


async def test_empty_lines_that_drip_end_too():
    near, far = pair()
    stream = ClientStream(far, Limits(first_s=5, head_s=0.1, body_s=5))
    near.write(b"\r\n")
    assert await asyncio.wait_for(stream.request_head(), 3) is None


async def test_silence_between_requests_is_no_fault():
    _, far = pair()
    assert await ClientStream(far, Limits(first_s=0.05)).request_head() is None


async def test_a_loss_between_requests_is_no_fault():
    near, far = pair()
    near.abort()
    assert await ClientStream(far, LIMITS).request_head() is None


async def test_a_server_that_is_silent_is_504():
    _, far = pair()
    stream = ServerStream(far, LIMITS)
    stream.begin(b"GET")
    with pytest.raises(ConnectionFailed) as caught:
        await stream.response_head(0.05)
    assert caught.value.status == 504
    assert not caught.value.fresh


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_server_that_closes_without_a_word_is_fresh(how):
    near, far = pair()
    stream = ServerStream(far, LIMITS)
    stream.begin(b"GET")
    getattr(near, how)()
    with pytest.raises(ConnectionFailed) as caught:
        await stream.response_head(1)
    assert caught.value.fresh
