"""WebSocket frames as a pull stream: the same however the bytes are cut, hostile ones refused."""

import asyncio
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import ConnectionFailed, RemoteProtocolError
from nbproxy.protocol.upgrades import Deflate
from nbproxy.protocol.websocket import (
    LOST,
    NO_CODE,
    Close,
    FrameError,
    Piece,
    Ping,
    Pong,
    WebSocketStream,
)
from tests.support import frames
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, frame
from tests.support.memory import Canned, pair, run_now

DEFLATE = Deflate()


def stream(*pieces, is_client=False, deflate=None):
    return WebSocketStream(Canned(pieces), is_client=is_client, deflate=deflate)


def events(*pieces, is_client=False, deflate=None):
    """All events, pieces of messages joined to (bytes, is_text), and the fault, if any."""
    reader = stream(*pieces, is_client=is_client, deflate=deflate)
    found, message = [], b""
    try:
        while (event := run_now(reader.next_event(1))) is not None:
            if isinstance(event, Piece):
                message += event.data
                if event.ends:
                    found.append((message, event.is_text))
                    message = b""
            else:
                found.append(event)
                if isinstance(event, Close):
                    break
    except FrameError as error:
        return found, error
    return found, message or None


def fault(*pieces, **kwargs):
    found, error = events(*pieces, **kwargs)
    assert isinstance(error, FrameError), found
    assert isinstance(error, RemoteProtocolError)
    return error


def packed(data, *, takeover=None):
    """A compressed message as RFC 7692 has it."""
    coder = takeover or zlib.compressobj(wbits=-15)
    return (coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH))[:-4]


CONVERSATION = (
    frame(TEXT, "grüß dich".encode())
    + frame(BINARY, bytes(range(256)))
    + frame(PING, b"are you there")
    + frame(TEXT, b"one ", fin=False)
    + frame(PONG)
    + frame(CONTINUATION, "zw\u00f6".encode()[:3], fin=False)
    + frame(CONTINUATION, "zw\u00f6".encode()[3:])
    + frame(TEXT)
    + frame(BINARY, b"x" * 70_000)
    + frames.close(4000, "tschüß".encode())
)
SAID = [
    ("grüß dich".encode(), True),
    (bytes(range(256)), False),
    Ping(b"are you there"),
    Pong(b""),
    ("one zwö".encode(), True),
    (b"", True),
    (b"x" * 70_000, False),
    Close(4000, "tschüß"),
]


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 10**6])
def test_however_it_is_cut(size):
    cut = [CONVERSATION[i : i + size] for i in range(0, len(CONVERSATION), size)]
    assert events(*cut) == (SAID, None)
    assert events(*cut, b"and a tail") == (SAID, None)


def test_frames_of_a_server_have_no_mask():
    data = frame(TEXT, b"hello", mask=False) + frames.close(1000, mask=False)
    assert events(data, is_client=True) == ([(b"hello", True), Close(1000, "")], None)


def test_the_end_without_a_close_frame():
    assert events(frame(TEXT, b"a")) == ([(b"a", True)], None)
    assert events(frame(TEXT, b"half")[:-2]) == ([], b"ha")
    assert events() == ([], None)


def test_a_loss_and_silence_are_told_apart():
    async def lose():
        near, far = pair()
        reader = WebSocketStream(near, is_client=False, deflate=None)
        with pytest.raises(ConnectionFailed) as caught:
            await reader.next_event(0.01)
        assert caught.value.status == 504
        far.abort()
        with pytest.raises(ConnectionFailed) as caught:
            await reader.next_event(1)
        assert caught.value.status == 502

    asyncio.run(lose())


def test_fragments_and_frames_are_seen():
    reader = stream(frame(TEXT, b"ab", fin=False) + frame(CONTINUATION, b"c"))
    assert run_now(reader.next_event(1)) == Piece(b"ab", True, True, False, False)
    assert run_now(reader.next_event(1)) == Piece(b"c", True, True, True, False)
    data = frame(BINARY, b"x" * 40_000)
    reader = stream(data)
    first = run_now(reader.next_event(1))
    assert not first.ends_frame
    assert not first.ends
    assert 0 < len(first.data) < 40_000


# -- hostile frames

# hostile: W-01 W-02 W-04 W-05
BAD = {
    "no mask": (frame(TEXT, b"a", mask=False), 1002, "a frame that is not masked"),
    "RSV1": (frame(TEXT, b"a", rsv=4), 1002, "Reserved bit"),
    "RSV2": (frame(TEXT, b"a", rsv=2), 1002, "Reserved bit"),
    "RSV3": (frame(PING, b"a", rsv=1), 1002, "Reserved bit"),
    **{f"opcode {n}": (frame(n), 1002, "Invalid opcode") for n in (3, 7, 11, 15)},
    "long ping": (frame(PING, b"a" * 126), 1002, "125"),
    "long close": (frame(CLOSE, b"\x03\xe8" + b"a" * 124), 1002, "125"),
    "ping in fragments": (frame(PING, b"a", fin=False), 1002, "fragment control frame"),
    "continuation of nothing": (frame(CONTINUATION, b"a"), 1002, "unexpected CONTINUATION"),
    "a message inside one": (
        frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
        1002,
        "expected CONTINUATION",
    ),
    "length of 2 bytes for 1": (frame(TEXT, b"a", length=b"\x7e\x00\x01"), 1002, "2 bytes"),
    "length of 8 bytes for 2": (
        frame(TEXT, b"a" * 200, length=b"\x7f" + (200).to_bytes(8, "big")),
        1002,
        "8 bytes",
    ),
    "length of 2^63": (frame(TEXT, b"a", length=b"\x7f\x80" + bytes(7)), 1002, "MSB"),
    **{
        f"close code {code}": (frames.close(code), 1002, f"the code {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "close of one byte": (frame(CLOSE, b"\x03"), 1002, "one byte"),
    # hostile: W-03
    "not UTF-8": (frame(TEXT, b"a\xff"), 1007, "not UTF-8"),
    "surrogates": (frame(TEXT, b"\xed\xa0\x80"), 1007, "not UTF-8"),
    "overlong": (frame(TEXT, b"\xc0\xaf"), 1007, "not UTF-8"),
    "cut character": (frame(TEXT, "ü".encode()[:1]), 1007, "not UTF-8"),
    "not UTF-8 over frames": (
        frame(TEXT, "ü".encode()[:1], fin=False) + frame(CONTINUATION, b"a"),
        1007,
        "not UTF-8",
    ),
    "reason not UTF-8": (frames.close(1000, b"\xff"), 1007, "reason is not UTF-8"),
}


@pytest.mark.parametrize(
    ("name", "deflate"),
    [*((name, None) for name in BAD), *((name, DEFLATE) for name in BAD if name != "RSV1")],
)
def test_what_is_refused(name, deflate):
    data, code, problem = BAD[name]
    for cut in ([data], [data[i : i + 1] for i in range(len(data))]):
        error = fault(frame(TEXT, b"before"), *cut, deflate=deflate)
        assert error.code == code
        assert problem in str(error)
        assert str(error).startswith("the client broke the WebSocket: ")


def test_a_server_must_not_mask():
    error = fault(frame(TEXT, b"a"), is_client=True)
    assert (error.code, error.status) == (1002, 502)
    assert str(error) == ("the server broke the WebSocket: a frame that is masked (RFC 6455, 5.1)")


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999])
def test_codes_that_may_be_sent(code):
    assert events(frames.close(code)) == ([Close(code, "")], None)


def test_a_close_without_a_code():
    assert events(frame(CLOSE)) == ([Close(NO_CODE, "")], None)
    assert LOST == 1006


@pytest.mark.parametrize("deflate", [None, DEFLATE])
def test_no_memory_is_set_aside_for_what_a_frame_announces(deflate):
    """W-05: a length of 2^62; what has come of it is given at once."""
    head = frame(BINARY, length=b"\x7f\x40" + bytes(7))
    reader = stream(head, *[bytes(16384)] * 640, deflate=deflate)
    tracemalloc.start()
    try:
        size = 0
        while (event := run_now(reader.next_event(1))) is not None:
            size += len(event.data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size == 16384 * 640
    assert peak < 2**20


# hostile: W-06
def test_a_bomb_is_given_in_small_pieces():
    data = packed(bytes(100 * 2**20))
    assert len(data) < 120_000
    reader = stream(frame(BINARY, data, rsv=4), deflate=DEFLATE)
    size, largest = 0, 0
    while (event := run_now(reader.next_event(1))) is not None:
        assert event.compressed
        size += len(event.data)
        largest = max(largest, len(event.data))
        if event.ends:
            break
    assert size == 100 * 2**20
    assert largest < 5 * 2**20


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"\xff\xff\xff", rsv=4),
        frame(TEXT, packed(b"a" * 1000)[:-3], rsv=4),
        frame(TEXT, packed(b"a", takeover=zlib.compressobj(wbits=15)), rsv=4),  # with zlib's head
    ],
)
def test_what_cannot_be_decompressed(data):
    error = fault(data, deflate=DEFLATE)
    assert error.code == 1007
    assert "cannot be decompressed" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        frame(PING, b"a", rsv=4),
        frame(CLOSE, b"\x03\xe8", rsv=4),
        frame(TEXT, packed(b"a"), rsv=4, fin=False) + frame(CONTINUATION, b"", rsv=4),
        frame(TEXT, packed(b"a"), rsv=6),
    ],
)
def test_compression_where_it_must_not_be(data):
    assert fault(data, deflate=DEFLATE).code == 1002


@settings(max_examples=200)
@given(data=st.binary(max_size=200), deflate=st.sampled_from([None, DEFLATE]), client=st.booleans())
def test_any_bytes_give_events_or_a_fault(data, deflate, client):
    events(data, is_client=client, deflate=deflate)


# -- compression


def test_compressed_messages_share_a_window():
    coder = zlib.compressobj(wbits=-15)
    one, two = b"the same words " * 20, b"the same words " * 30
    first, second = packed(one, takeover=coder), packed(two, takeover=coder)
    assert len(second) < len(first)
    data = frame(TEXT, first, rsv=4) + frame(TEXT, b"plain") + frame(TEXT, second, rsv=4)
    assert events(data, deflate=DEFLATE)[0] == [(one, True), (b"plain", True), (two, True)]


def test_compressed_messages_by_themselves():
    data = frame(TEXT, packed(b"one" * 9), rsv=4) + frame(TEXT, packed(b"two" * 9), rsv=4)
    resets = Deflate(client_resets=True)
    assert events(data, deflate=resets)[0] == [(b"one" * 9, True), (b"two" * 9, True)]
    # what follows may refer to nothing before
    coder = zlib.compressobj(wbits=-15)
    linked = [packed(b"a long enough text", takeover=coder) for _ in range(2)]
    assert fault(*(frame(TEXT, each, rsv=4) for each in linked), deflate=resets).code == 1007


def test_a_ping_between_compressed_fragments():
    whole = packed("fragmented and compressed, ü".encode() * 50)
    third = len(whole) // 3
    data = (
        frame(TEXT, whole[:third], rsv=4, fin=False)
        + frame(PING, b"1")
        + frame(CONTINUATION, whole[third : 2 * third], fin=False)
        + frame(PONG, b"2")
        + frame(CONTINUATION, whole[2 * third :])
        + frame(TEXT, b"plain")
    )
    said = ("fragmented and compressed, ü".encode() * 50, True)
    for cut in ([data], [data[i : i + 1] for i in range(len(data))]):
        found, _ = events(*cut, deflate=DEFLATE)
        assert found == [Ping(b"1"), Pong(b"2"), said, (b"plain", True)]


def test_an_empty_compressed_message():
    data = frame(TEXT, b"\x00", rsv=4) + frame(BINARY, packed(b"more"), rsv=4)
    assert events(data, deflate=DEFLATE)[0] == [(b"", True), (b"more", False)]


def test_a_message_whose_last_block_says_so():
    """RFC 7692, 7.2.3.4: a block with BFINAL set, and a padding byte after it."""
    coder = zlib.compressobj(wbits=-15)
    final = coder.compress(b"final " * 9) + coder.flush(zlib.Z_FINISH) + b"\x00"
    data = frame(TEXT, final, rsv=4) + frame(TEXT, packed(b"next"), rsv=4)
    assert events(data, deflate=DEFLATE)[0] == [(b"final " * 9, True), (b"next", True)]


# -- writing


def written(write, *, is_client=False, deflate=None):
    writer = stream(is_client=is_client, deflate=deflate)
    write(writer)
    found, rest = frames.read(bytes(writer.io.sent))
    assert rest == b""
    return found


def test_what_is_written():
    def write(w):
        w.send(b"text", is_text=True)
        w.send(b"one", is_text=False, ends=False)
        w.ping(b"ping")
        w.send(b"two", is_text=False)
        w.pong(b"pong")
        w.close(4001, "x" * 200)
        w.close(1000)

    wanted = [
        (TEXT, b"text", True),
        (BINARY, b"one", False),
        (PING, b"ping", True),
        (CONTINUATION, b"two", True),
        (PONG, b"pong", True),
        (CLOSE, b"\x0f\xa1" + b"x" * 123, True),
    ]
    for is_client in (False, True):
        found = written(write, is_client=is_client)
        assert found == [Frame(o, p, f, 0, is_client) for o, p, f in wanted]


def test_closing_without_a_code():
    assert written(lambda w: w.close(NO_CODE, "unsaid")) == [Frame(CLOSE, b"")]


def test_text_that_is_none_is_mended():
    (found,) = written(lambda w: w.send(b"a\xffb", is_text=True))
    assert found.payload == "a\ufffdb".encode()


def inflated(found):
    """The messages of frames that were written, decompressed as a whole."""
    decoder, messages, data, compressed = zlib.decompressobj(-15), [], b"", False
    for each in found:
        if each.opcode != CONTINUATION:
            compressed = each.rsv == 4
        assert each.rsv == 0 or (each.rsv == 4 and each.opcode != CONTINUATION)
        data += decoder.decompress(each.payload) if compressed else each.payload
        if each.fin:
            data += decoder.decompress(b"\x00\x00\xff\xff") if compressed else b""
            messages.append(data)
            data = b""
    return messages


def test_compressed_writing():
    def write(w):
        w.send(b"one two three " * 9, is_text=True, compressed=True)
        w.send(b"plain", is_text=True)
        w.send(b"", is_text=True, compressed=True)
        w.send(b"", is_text=True, compressed=True)
        w.send(b"in frag", is_text=True, ends=False, compressed=True)
        w.send(b"", is_text=True, ends=False)
        w.send(b"ments", is_text=True, ends=False)
        w.send(b"", is_text=True)

    found = written(write, deflate=DEFLATE)
    assert [each.rsv for each in found] == [4, 0, 4, 4, 4, 0, 0, 0]
    assert inflated(found) == [b"one two three " * 9, b"plain", b"", b"", b"in fragments"]
    assert len(found[0].payload) < 40


def test_each_fragment_can_be_read_when_it_comes():
    found = written(
        lambda w: w.send(b"now", is_text=True, ends=False, compressed=True), deflate=DEFLATE
    )
    assert zlib.decompressobj(-15).decompress(found[0].payload) == b"now"


@pytest.mark.parametrize("is_client", [False, True])
def test_our_own_window_and_resets(is_client):
    """Each side keeps to what was agreed for it."""
    bits = Deflate(9, 15) if is_client else Deflate(15, 9)
    noise = bytes(i * i % 251 for i in range(1000))
    found = written(
        lambda w: w.send(noise + noise, is_text=False, compressed=True),
        is_client=is_client,
        deflate=bits,
    )
    assert inflated(found) == [noise + noise]
    small = zlib.decompressobj(-9)
    assert small.decompress(found[0].payload) == noise + noise

    resets = Deflate(client_resets=is_client, server_resets=not is_client)

    def write(w):
        for _ in range(2):
            w.send(b"the same again", is_text=True, compressed=True)

    one, two = written(write, is_client=is_client, deflate=resets)
    assert one.payload == two.payload


def test_a_window_that_zlib_has_not():
    """Eight bits: what we send is then not compressed, which is always allowed."""
    (found,) = written(
        lambda w: w.send(b"a" * 100, is_text=True, compressed=True), deflate=Deflate(15, 8)
    )
    assert (found.rsv, found.payload) == (0, b"a" * 100)


@settings(max_examples=100)
@given(
    messages=st.lists(
        st.tuples(st.lists(st.binary(max_size=50), min_size=1, max_size=4), st.booleans()),
        max_size=5,
    ),
    deflate=st.sampled_from([None, DEFLATE, Deflate(9, 10, client_resets=True)]),
    is_client=st.booleans(),
    size=st.integers(1, 40),
)
def test_what_one_end_writes_the_other_reads(messages, deflate, is_client, size):
    writer = stream(is_client=is_client, deflate=deflate)
    for parts, compressed in messages:
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            writer.send(part, is_text=False, ends=last, compressed=compressed)
    data = bytes(writer.io.sent)
    cut = [data[i : i + size] for i in range(0, len(data), size)]
    found, error = events(*cut, is_client=not is_client, deflate=deflate)
    assert error is None
    assert found == [(b"".join(parts), False) for parts, _ in messages]
