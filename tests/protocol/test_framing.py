"""Where bodies end, and the guard that walks along chunks beside h11."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import RemoteProtocolError
from nbproxy.protocol import framing
from nbproxy.protocol.framing import ChunkGuard


def walk(*pieces):
    """How many bytes belong to the message, or None for a refusal, and whether it is over."""
    guard = ChunkGuard()
    total = 0
    try:
        for piece in pieces:
            used = guard.feed(piece)
            total += used
            if guard.done:
                break
            assert used == len(piece)
    except RemoteProtocolError:
        return None
    return total, guard.done


def bytewise(data):
    return [data[i : i + 1] for i in range(len(data))]


WHOLE = {
    "empty": b"0\r\n\r\n",
    "one": b"5\r\nhello\r\n0\r\n\r\n",
    "case": b"A\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n",
    "extensions": b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;x\r\n\r\n',
    "trailers": b"5\r\nhello\r\n0\r\nX: 1\r\nY:\r\n\r\n",
    "crlf-in-data": b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_whole_messages_however_cut(data):
    for tail in (b"", b"X", b"\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        wanted = (len(data), True)
        assert walk(data + tail) == wanted
        assert walk(*bytewise(data + tail)) == wanted
        for cut in range(len(data)):
            assert walk(data[:cut], data[cut:] + tail) == wanted


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_part_is_never_done(data):
    for cut in range(len(data)):
        assert walk(data[:cut]) == (cut, False)


PIECES = (
    b"5\r\nhello\r\n",
    b"0\r\n",
    b"\r\n",
    b"5",
    b"a",
    b";x=y",
    b';x="y"',
    b"\n",
    b"\r",
    b"hello",
    b"X: 1\r\n",
    b" ",
    b"0\r\n\r\n",
    b"1\r\nx\r\n",
)
SOUP = st.lists(st.sampled_from(PIECES) | st.binary(max_size=2), max_size=10).map(b"".join)


@settings(max_examples=500, deadline=None)
@given(SOUP, st.lists(st.integers(0, 100), max_size=4))
def test_any_bytes_in_any_split(data, cuts):
    whole = walk(data)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    assert walk(*(data[a:b] for a, b in pairwise(edges))) == whole
    assert walk(*bytewise(data)) == whole


def decoded(data):
    """What h11 makes of a body: its bytes, whether it is over, None for a refusal."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    parser.next_event()
    parser.receive_data(data)
    body = b""
    try:
        while True:
            event = parser.next_event()
            if type(event) is h11.Data:
                body += bytes(event.data)
            else:
                return body, type(event) is h11.EndOfMessage
    except h11.RemoteProtocolError:
        return None


@settings(max_examples=500, deadline=None)
@given(SOUP)
def test_what_the_guard_lets_pass_h11_ends_at_the_same_byte(data):
    """Two readers of one body must not disagree, whichever of them is asked."""
    verdict = walk(data)
    if verdict is None:
        return
    used, done = verdict
    found = decoded(data[:used])
    if found is None:  # h11 is stricter in places; then the message is refused
        return
    assert found[1] == done
    if done and used:
        assert not (decoded(data[: used - 1]) or (b"", False))[1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6))
def test_what_is_written_passes_both(chunks):
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert walk(data) == (len(data), True)
    assert decoded(data) == (b"".join(chunks), True)


@pytest.mark.parametrize(
    ("data", "limit"),
    [
        (b"5;" + b"a" * 5000, ChunkGuard.LINE_LIMIT),
        (b"1;" + b"a" * 4000 + b"\r\nx\r\n", ChunkGuard.EXTENSIONS_LIMIT),
        (b"0\r\n" + b"X: 1\r\n" * 20_000, ChunkGuard.TRAILERS_LIMIT),
    ],
    ids=["H1-24-line", "H1-24-all", "H1-29"],
)
def test_memory_stays_bounded(data, limit):  # hostile: H1-24, H1-29
    guard = ChunkGuard()
    fed = 0

    def feed_all():
        nonlocal fed
        for piece in bytewise(data) * 100:
            fed += guard.feed(piece)
            assert len(guard._line) + len(guard._trailers) <= limit + 1024

    with pytest.raises(RemoteProtocolError):
        feed_all()
    assert fed <= limit + 4096 * 2


# -- heads


HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX:\t\xff b \r\n\r\n"


def test_a_good_head():
    framing.check_head(HEAD)
    for cut in range(len(HEAD)):
        framing.check_head(HEAD[:cut], whole=False)


@pytest.mark.parametrize("byte", [*range(9), 11, 12, *range(14, 32), 127])
def test_control_bytes(byte):  # hostile: F-04, F-05
    bad = HEAD.replace(b"b", bytes([byte]))
    for whole in (True, False):
        with pytest.raises(RemoteProtocolError, match="control byte"):
            framing.check_head(bad, whole=whole)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"b\nc", "CRLF"),
        (b"b\rc", "bare CR"),
        (b"b\r\n c", "folded"),
        (b"b\r\n\tc", "folded"),
        (b"b\r\r\n", "bare CR"),
    ],
)
def test_line_ends(bad, why):  # hostile: F-01, F-02, F-03
    with pytest.raises(RemoteProtocolError, match=why):
        framing.check_head(HEAD.replace(b"b", bad))


# -- bodies


def special(**fields):
    return {name.replace("_", "-").encode(): values for name, values in fields.items()}


@pytest.mark.parametrize(
    ("fields", "version", "wanted"),
    [
        ({}, b"1.1", 0),
        ({"content_length": [b"5"]}, b"1.1", 5),
        ({"content_length": [b"5", b"5"]}, b"1.0", 5),
        ({"content_length": [b"5 , 5"]}, b"1.1", 5),
        ({"content_length": [b"0"]}, b"1.1", 0),
        ({"transfer_encoding": [b"Chunked"]}, b"1.1", "chunked"),
    ],
)
def test_request_framing(fields, version, wanted):
    assert framing.request_framing(special(**fields), version) == wanted


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ({"content_length": [b"5"], "transfer_encoding": [b"chunked"]}, b"1.1", 400),
        ({"content_length": [b"5", b"6"]}, b"1.1", 400),
        ({"content_length": [b""]}, b"1.1", 400),
        ({"content_length": [b"5,"]}, b"1.1", 400),
        ({"content_length": [b"1" * 19]}, b"1.1", 400),
        ({"transfer_encoding": [b"chunked"]}, b"1.0", 400),
        ({"transfer_encoding": [b"chunked", b"chunked"]}, b"1.1", 400),
        ({"transfer_encoding": [b"chunked, chunked"]}, b"1.1", 400),
        ({"transfer_encoding": [b"identity"]}, b"1.1", 400),
        ({"transfer_encoding": [b"gzip, chunked"]}, b"1.1", 501),
    ],
)
def test_requests_that_are_refused(fields, version, status):  # hostile: H1-01 to H1-10
    with pytest.raises(RemoteProtocolError) as caught:
        framing.request_framing(special(**fields), version)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("status", "method", "fields", "wanted"),
    [
        (200, b"GET", {}, "until-eof"),
        (200, b"HEAD", {"content_length": [b"5"]}, 0),
        (204, b"GET", {"content_length": [b"5"]}, 0),
        (304, b"GET", {"transfer_encoding": [b"chunked"]}, 0),
        (200, b"CONNECT", {"content_length": [b"5"]}, 0),
        (400, b"CONNECT", {"content_length": [b"5"]}, 5),
        (200, b"GET", {"content_length": [b"5"], "transfer_encoding": [b"chunked"]}, "chunked"),
    ],
)
def test_response_framing(status, method, fields, wanted):
    assert framing.response_framing(special(**fields), b"1.1", status, method) == wanted


@pytest.mark.parametrize(
    ("values", "version", "wanted"),
    [
        ([], b"1.1", True),
        ([], b"1.0", False),
        ([b"keep-alive"], b"1.0", True),
        ([b"Close"], b"1.1", False),
        ([b"x, close"], b"1.1", False),
        ([b"keep-alive, close"], b"1.0", False),
    ],
)
def test_may_persist(values, version, wanted):
    assert framing.may_persist({b"connection": values} if values else {}, version) is wanted


def test_fields_that_end_here():  # hostile: F-10, H1-16
    named = {b"connection": [b"X-Mine, Host, content-length", b"TRANSFER-ENCODING"]}
    dropped = framing.dropped_fields(named)
    assert b"x-mine" in dropped
    assert dropped >= framing.HOP_BY_HOP
    assert not {b"host", b"content-length"} & dropped


def test_framing_takes_the_place_it_had():
    fields = ((b"A", b"1"), (b"content-LENGTH", b"9"), (b"B", b"2"), (b"Content-Length", b"9"))
    assert framing.head_lines(fields, frozenset(), 5) == [
        b"A: 1\r\n",
        b"content-LENGTH: 5\r\n",
        b"B: 2\r\n",
    ]
    assert framing.head_lines(fields[:1], frozenset(), 5)[-1] == b"Content-Length: 5\r\n"
    chunked = framing.head_lines(fields, frozenset((b"transfer-encoding",)), "chunked")
    assert chunked[1] == b"Transfer-Encoding: chunked\r\n"
    assert len(chunked) == 3
    assert framing.head_lines(fields, frozenset(), "until-eof") == [b"A: 1\r\n", b"B: 2\r\n"]
    assert len(framing.head_lines(fields, frozenset(), None)) == 4


def test_coding_status():  # hostile: H1-07
    head = b"GET / HTTP/1.1\r\nTransfer-Encoding: %b\r\n\r\n"
    assert framing.coding_status(head % b"gzip, chunked") == 501
    for value in (b"xchunked", b"chunked, gzip", b",chunked", b"chunked, chunked", b""):
        assert framing.coding_status(head % value) == 400
