"""Bodies on their way: read whole up to a bound, or passed on piece by piece and recorded."""

import asyncio

import pytest

from nbproxy.engine.bodies import Pace, Relay, read_whole
from nbproxy.errors import ConnectionFailed, RemoteProtocolError
from nbproxy.model.message import Response
from nbproxy.protocol.http1 import Limits, ServerStream
from nbproxy.store.chunks import Bodies, CapturedBody, Sink
from tests.support.memory import Canned, pair, run_now

LENGTH_10 = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def begun(io):
    """A server's stream whose head was read."""
    stream = ServerStream(io, Limits())
    stream.begin(b"GET")
    await stream.response_head(1)
    return stream


def read(*pieces, limit=100):
    """What `read_whole` gives for a response in these pieces, and what it keeps if that fails."""
    response = Response(200)

    async def whole():
        stream = await begun(Canned(pieces))
        got = await read_whole(response, stream, limit, 1)
        rest = b""
        while (piece := await stream.next_piece(1)) is not None:
            rest += piece
        return *got, rest

    return response, whole


# -- read_whole


def test_a_body_is_read_to_its_end():
    _, whole = read(LENGTH_10 + b"01234", b"567", b"89")
    assert run_now(whole()) == ([b"01234", b"567", b"89"], True, b"")
    _, whole = read(LENGTH_10.replace(b"10", b"0"))
    assert run_now(whole()) == ([], True, b"")


@pytest.mark.parametrize("limit", [9, 4, 0])
def test_a_larger_one_is_left_to_be_passed_on(limit):
    _, whole = read(LENGTH_10, *[b"%d" % n for n in range(10)], limit=limit)
    pieces, is_whole, rest = run_now(whole())
    assert b"".join(pieces) + rest == b"0123456789"
    assert len(pieces) == limit + 1
    assert not is_whole


def test_one_of_just_the_size_is_whole():
    _, whole = read(LENGTH_10, b"01234", b"56789", limit=10)
    assert run_now(whole()) == ([b"01234", b"56789"], True, b"")


@pytest.mark.parametrize(
    ("pieces", "error", "kept"),
    [
        ((LENGTH_10 + b"012", b"34"), ConnectionFailed, b"01234"),
        ((LENGTH_10,), ConnectionFailed, b""),
        ((CHUNKED + b"3\r\nabc\r\n", b"zz\r\n"), RemoteProtocolError, b"abc"),
    ],
    ids=["cut", "nothing", "broken chunks"],
)
def test_what_came_is_kept_if_the_rest_does_not_come(pieces, error, kept):
    response, whole = read(*pieces)
    with pytest.raises(error):
        run_now(whole())
    assert response.raw_content == kept
    assert response.headers.fields == ()


async def test_a_silent_peer():
    near, far = pair()
    far.write(LENGTH_10 + b"01")
    stream = await begun(near)
    response = Response(200)
    with pytest.raises(ConnectionFailed, match="silent"):
        await read_whole(response, stream, 100, 0.01)
    assert response.raw_content == b"01"


# -- Relay


def sink(limit_bytes):
    """A place for a body; what is handed to the writer waits there."""
    return Sink(Bodies(), limit_bytes, lambda sink, piece: None)


class Passing:
    """A relay into a list."""

    def __init__(self, stream=True, memory_limit_bytes=1000):
        self.message = Response(200, content=b"old")
        self.message.stream = stream
        self.sent = []
        self.seen = []
        self.relay = Relay(
            self.message,
            sink(memory_limit_bytes),
            self.sent.append,
            lambda: self.seen.append((self.message.body_size, self.message.raw_content)),
            self.drain,
        )

    async def drain(self):
        self.drained = getattr(self, "drained", 0) + 1

    def run(self, *pieces):
        for piece in pieces:
            self.relay.piece(piece)
        self.relay.finish()
        self.relay.close()


def test_pieces_are_passed_on_and_recorded():
    passing = Passing()
    assert passing.message.raw_content == b""  # nothing of it has come yet
    passing.run(b"ab", b"c", b"def")
    assert passing.sent == [b"ab", b"c", b"def"]
    assert passing.seen == [(2, b"ab"), (3, b"abc"), (6, b"abcdef")]
    assert passing.message.raw_content == b"abcdef"
    assert passing.message.holds_bytes


def test_large_bodies_are_handed_to_the_writer():
    passing = Passing(memory_limit_bytes=10)
    passing.run(*[b"x" * 7] * 3)
    assert isinstance(passing.message._content, CapturedBody)
    assert passing.message.raw_content == b"x" * 21
    assert passing.message.body_size == 21


def test_a_callable_changes_what_goes_out():
    passing = Passing(stream=bytes.upper)
    passing.run(b"ab", b"c")
    assert passing.sent == [b"AB", b"C"]
    assert passing.message.raw_content == b"ABC"


def test_a_callable_may_keep_pieces_back_until_the_end():
    kept = []

    def gather(data):
        kept.append(data)
        return b"" if data else [b"<", b"".join(kept), b"", b">"]

    passing = Passing(stream=gather)
    passing.run(b"ab", b"c")
    assert passing.sent == [b"<", b"abc", b">"]  # an empty piece would end a chunked body
    assert passing.seen == [(0, b""), (0, b"")]
    assert passing.message.raw_content == b"<abc>"


@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, memoryview, lambda d: [d], lambda d: (d[:1], d[1:]), lambda d: iter([d])],
    ids=["bytes", "bytearray", "memoryview", "list", "tuple", "iterator"],
)
def test_what_a_callable_may_return(make):
    passing = Passing(stream=make)
    passing.run(b"ab", b"c")
    assert b"".join(passing.sent) == passing.message.raw_content == b"abc"
    assert all(type(piece) is bytes for piece in passing.sent)


def test_generators_are_run_as_they_go():
    def doubled(data):
        yield data
        yield data

    passing = Passing(stream=doubled)
    passing.run(b"ab")
    assert passing.sent == [b"ab", b"ab"]


@pytest.mark.parametrize("result", ["text", None, 5, [5], ["text"], [None]])
def test_what_a_callable_may_not_return(result):  # hostile: N-03
    passing = Passing(stream=lambda data: result)
    with pytest.raises(TypeError):
        passing.relay.piece(b"ab")
    passing.relay.close()
    assert (passing.sent, passing.message.raw_content) == ([], b"")


def test_a_callable_that_raises():  # hostile: N-03
    def fail(data):
        if data == b"c":
            raise LookupError("mine")
        return data

    passing = Passing(stream=fail)
    passing.relay.piece(b"ab")
    with pytest.raises(LookupError, match="mine"):
        passing.relay.piece(b"c")
    passing.relay.close()
    assert passing.message.raw_content == b"ab"


def test_a_callable_is_looked_at_once():
    passing = Passing()
    passing.message.stream = bytes.upper
    passing.run(b"ab")
    assert passing.sent == [b"ab"]


def test_a_broken_body_ends_where_it_broke():
    passing = Passing(stream=lambda data: data or b"never")
    passing.relay.piece(b"ab")
    passing.relay.close()
    assert passing.message.raw_content == b"ab"


# -- Pace


async def test_a_slow_body_goes_out_in_small_parts():
    passing = Passing()
    passing.message.bandwidth = 4000
    relay = Relay(passing.message, sink(10_000), passing.sent.append, lambda: None, passing.drain)
    began = asyncio.get_running_loop().time()
    await relay.piece(b"x" * 450)
    assert asyncio.get_running_loop().time() - began >= 0.11
    assert passing.sent == [b"x" * 200, b"x" * 200, b"x" * 50]
    assert passing.drained == 3
    await relay.piece(b"y")
    relay.finish()
    relay.close()
    assert passing.message.raw_content == b"x" * 450 + b"y"


async def test_a_peer_that_is_gone_ends_it():
    async def gone():
        raise ConnectionFailed("gone")

    sent = []
    with pytest.raises(ConnectionFailed):
        await Pace(1e6, gone).send(b"x" * 10**6, sent.append)
    assert len(sent) == 1
