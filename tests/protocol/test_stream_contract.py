"""What every `ByteStream` promises, held by the memory streams and by the real ones alike."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest

from nbproxy.engine.deadlines import Deadlines
from nbproxy.engine.sockets import SocketStream
from nbproxy.errors import ConnectionFailed
from nbproxy.protocol.tls import TLSStream
from tests.support import memory
from tests.support.origins import issue

PATIENCE_S = 90.0
ORIGIN = issue("stream.example")


@contextlib.asynccontextmanager
async def in_memory():
    yield memory.pair()


@contextlib.asynccontextmanager
async def in_memory_slowly():
    """Late, and in pieces of seven bytes."""
    near, far = memory.pair()
    for end in (near, far):
        end.delay_s, end.piece = 0.001, 7
    yield near, far


@contextlib.asynccontextmanager
async def over_sockets():
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    accepted = loop.create_future()
    server = await loop.create_server(
        lambda: SocketStream(deadlines, "client", accepted.set_result), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    _, near = await loop.create_connection(
        lambda: SocketStream(deadlines, "server"), "127.0.0.1", port
    )
    far = await accepted
    try:
        yield near, far
    finally:
        near.abort()
        far.abort()
        server.close()
        await asyncio.sleep(0)
        deadlines.close()


def contexts():
    client = ssl.create_default_context(cadata=ORIGIN.der)
    return ORIGIN.context(), client


@contextlib.asynccontextmanager
async def tls_over(streams):
    server_context, client_context = contexts()
    async with streams() as (below_near, below_far):
        near = TLSStream(
            below_near, client_context, server_side=False, server_hostname="stream.example"
        )
        far = TLSStream(below_far, server_context, server_side=True)
        await asyncio.gather(near.handshake(PATIENCE_S), far.handshake(PATIENCE_S))
        yield near, far


KINDS = {
    "memory": in_memory,
    "slow-memory": in_memory_slowly,
    "sockets": over_sockets,
    "tls-memory": lambda: tls_over(in_memory),
    "tls-slow-memory": lambda: tls_over(in_memory_slowly),
    "tls-sockets": lambda: tls_over(over_sockets),
}


@pytest.fixture(params=KINDS)
async def ends(request):
    async with KINDS[request.param]() as both:
        yield both


@pytest.fixture(params=[False, True], ids=["near-to-far", "far-to-near"])
def ways(request, ends):
    """One end and the other, both ways round."""
    return ends[::-1] if request.param else ends


async def until(check):
    async with asyncio.timeout(PATIENCE_S):
        while not check():  # noqa: ASYNC110 - a stream tells nobody but its reader
            await asyncio.sleep(0.001)  # between two looks


async def collect(stream, size):
    data = b""
    while len(data) < size:
        more = await stream.receive(PATIENCE_S)
        assert more
        data += more
    return data


async def test_bytes_arrive_in_order(ways):
    one, other = ways
    for number in range(100):
        one.write(b"%03d," % number)
    assert await collect(other, 400) == b"".join(b"%03d," % n for n in range(100))


async def test_both_ways_at_once(ends):
    one, other = ends
    one.write(b"ping")
    other.write(b"pong")
    assert await collect(other, 4) == b"ping"
    assert await collect(one, 4) == b"pong"


async def test_nothing_pending_at_first(ways):
    one, other = ways
    await asyncio.sleep(0)
    await until(lambda: not other.pending)
    assert other.is_open
    assert other.take() == b""
    one.write(b"x")
    await until(lambda: other.pending)
    assert await other.receive(PATIENCE_S) == b"x"
    assert not other.pending


async def test_take_never_waits(ways):
    one, other = ways
    one.write(b"x")
    await until(lambda: other.pending)
    assert other.take() == b"x"
    assert other.take() == b""
    assert not other.pending


async def test_unread_comes_first(ways):
    one, other = ways
    other.unread(b"")
    other.unread(b"b")
    other.unread(b"a")
    one.write(b"c")
    assert other.pending
    assert await collect(other, 3) == b"abc"


async def test_unread_and_the_end(ways):
    one, other = ways
    one.write_eof()
    assert await other.receive(PATIENCE_S) == b""
    other.unread(b"again")
    assert await other.receive(PATIENCE_S) == b"again"
    assert await other.receive(PATIENCE_S) == b""


async def test_silence(ways):
    """A time-out is 504, and the stream can be used afterwards."""
    one, other = ways
    with pytest.raises(ConnectionFailed) as caught:
        await other.receive(0.05)
    assert caught.value.status == 504
    assert other.is_open
    one.write(b"late")
    assert await collect(other, 4) == b"late"


async def test_the_end_comes_after_the_bytes(ways):
    one, other = ways
    one.write(b"last words")
    one.write_eof()
    assert await collect(other, 10) == b"last words"
    assert await other.receive(PATIENCE_S) == b""
    assert await other.receive(PATIENCE_S) == b""
    assert other.pending
    assert not other.is_open


async def test_half_close(ways):
    """Whoever has ended its side still hears the other."""
    one, other = ways
    one.write_eof()
    assert await other.receive(PATIENCE_S) == b""
    other.write(b"I hear you")
    assert await collect(one, 10) == b"I hear you"
    other.write_eof()
    assert await one.receive(PATIENCE_S) == b""


async def test_close_sends_what_is_queued(ways):
    one, other = ways
    one.write(b"x" * 300_000)
    one.close()
    assert await collect(other, 300_000) == b"x" * 300_000
    assert await other.receive(PATIENCE_S) == b""
    assert not one.is_open


async def test_close_twice_and_after_the_end(ways):
    one, other = ways
    one.close()
    one.close()
    one.write_eof()
    one.abort()
    other.abort()
    other.close()
    assert not one.is_open
    assert not other.is_open


async def test_writing_never_raises(ways):
    one, other = ways
    other.abort()
    for _ in range(50):
        one.write(b"x" * 1000)
        await asyncio.sleep(0)
    one.close()
    one.write(b"x")
    one.write_eof()


async def test_abort_is_a_loss(ways):
    one, other = ways
    one.abort()
    with pytest.raises(ConnectionFailed) as caught:
        await collect(other, 1)
    assert caught.value.status == 502
    assert not other.is_open
    assert other.pending
    with pytest.raises(ConnectionFailed):
        await other.drain(PATIENCE_S)


async def test_closing_ends_our_own_waiting(ways):
    one, _ = ways
    waiting = asyncio.ensure_future(one.receive(PATIENCE_S))
    await asyncio.sleep(0)
    one.close()
    assert await waiting == b""


async def test_drain_waits_for_the_reader(ways):
    one, other = ways
    one.write(b"x")
    await one.drain(PATIENCE_S)
    total = 1

    async def fill():
        nonlocal total
        while total < 64 * 2**20:
            one.write(b"x" * 65536)
            total += 65536
            await one.drain(PATIENCE_S)

    filling = asyncio.ensure_future(fill())
    for _ in range(20):
        await asyncio.sleep(0.005)  # let it fill what there is to fill
    assert not filling.done()
    filling.cancel()
    await asyncio.wait((filling,))
    assert len(await collect(other, total)) == total
    await one.drain(PATIENCE_S)


async def test_drain_that_is_not_served(ways):
    one, other = ways

    async def fill():
        while True:
            one.write(b"x" * 65536)
            await one.drain(0.05)

    with pytest.raises(ConnectionFailed) as caught:
        await fill()
    assert caught.value.status == 504
    assert one.is_open
    assert other.is_open


async def test_drain_ends_with_a_loss(ways):
    one, other = ways

    async def fill():
        while True:
            one.write(b"x" * 65536)
            await one.drain(PATIENCE_S)

    filling = asyncio.ensure_future(fill())
    for _ in range(5):
        await asyncio.sleep(0.005)
    other.abort()
    with pytest.raises(ConnectionFailed):
        await filling


async def test_a_cancelled_receive_loses_nothing(ways):
    one, other = ways
    waiting = asyncio.ensure_future(other.receive(PATIENCE_S))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    one.write(b"kept")
    assert await collect(other, 4) == b"kept"


# -- the memory streams' faults


async def test_lose_after():
    near, far = memory.pair()
    near.lose_after = 5
    near.write(b"abc")
    near.write(b"defg")
    assert await collect(far, 5) == b"abcde"
    with pytest.raises(ConnectionFailed):
        await far.receive(PATIENCE_S)
    with pytest.raises(ConnectionFailed):
        await near.drain(PATIENCE_S)
    assert near.sent == b"abcdefg"


async def test_pieces():
    near, far = memory.pair()
    near.piece = 2
    near.write(b"abcde")
    await asyncio.sleep(0)
    assert list(far._inbox) == [b"ab", b"cd", b"e"]


# -- TLS alone


async def test_an_end_without_close_notify_is_told():
    async with tls_over(in_memory) as (near, far):
        near.io.close()
        assert await far.receive(PATIENCE_S) == b""
        assert far.truncated
    async with tls_over(in_memory) as (near, far):
        near.close()
        assert await far.receive(PATIENCE_S) == b""
        assert not far.truncated


async def test_a_record_that_is_none():
    async with tls_over(in_memory) as (near, far):
        near.write(b"good")
        near.io.write(b"this is not TLS at all")
        assert await collect(far, 4) == b"good"
        with pytest.raises(ConnectionFailed, match="TLS broke"):
            await far.receive(PATIENCE_S)


async def test_a_session_ticket_is_no_data():
    """RFC 8446, 4.6.1: it comes after the handshake, and an idle connection stays usable."""
    async with tls_over(over_sockets) as (near, _):
        await until(lambda: near.io.pending)
        assert not near.pending
        assert near.is_open
