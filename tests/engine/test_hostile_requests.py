"""What a client may send as a request, and must not get through with: rows H1, F and T."""

# ruff: noqa: ERA001 - "# hostile: H1-07" cites a row of the catalogue and is no code

from __future__ import annotations

import ssl

import pytest

from tests.support.origins import Origin, eventually
from tests.support.rawclient import RawClient

SMUGGLED = b"GET http://ORIGIN/smuggled HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
pytest_plugins = ("tests.support.bench",)

CLOSING = b"GET http://ORIGIN/after HTTP/1.1\r\nHost: ORIGIN\r\nConnection: close\r\n\r\n"
HEAD = b"POST http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def with_field(line):
    """A request with one more field line, and a body of five bytes or one chunk."""
    return HEAD + line + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def refused(bench, answer, statuses=()):
    """There is one answer, the connection ended, and the origin got nothing."""
    assert answer.statuses, answer.raw[:200]
    assert answer.statuses[0] in (statuses or (400,))
    assert len(answer.responses) == 1
    assert answer.partial == b""
    assert answer.responses[0].values(b"connection") == [b"close"]
    assert answer.ended == "fin"
    assert bench.requests == []
    flow = bench.flow()
    assert flow.error is not None
    assert flow.error.msg


def served(bench, data, method=b"POST"):
    """`data` is served, and so is the request after it; gives what the origin got."""
    answer = bench.exchange(data + CLOSING, [method])
    assert answer.statuses == [200, 200], answer.raw[:300]
    assert answer.ended == "fin"
    requests = bench.requests
    assert requests.pop().target == b"/after"
    return requests


REFUSED = {
    # hostile: H1-01
    "H1-01-cl-te": (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    "H1-01-te-cl": (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",),
    "H1-01-cl-0": (HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",),
    # hostile: H1-02
    "H1-02-fields": (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",),
    "H1-02-list": (HEAD + b"Content-Length: 5, 6\r\n\r\nhello!",),
    "H1-02-both": (HEAD + b"Content-Length: 5, 5\r\nContent-Length: 6\r\n\r\nhello!",),
    # hostile: H1-04
    **{
        f"H1-04-{number}": (HEAD + b"Content-Length: " + value + b"\r\n\r\nhello",)
        for number, value in enumerate(
            (
                b"+5",
                b"-5",
                b"0x5",
                b"5_0",
                b"5.0",
                b"5 5",
                b"5;",
                b'"5"',
                b"",
                b",",
                b"\x005",
                b"\x0b5",
                b"\xa05",
                "\u0665".encode(),
                "\uff15".encode(),
                b"5\x0c",
            )
        )
    },
    # hostile: H1-05
    "H1-05-25-digits": (HEAD + b"Content-Length: 1000000000000000000000005\r\n\r\nhello",),
    "H1-05-4400-digits": (HEAD + b"Content-Length: " + b"1" * 4400 + b"\r\n\r\nhello",),
    # hostile: H1-07
    **{
        f"H1-07-{number}": (with_field(b"Transfer-Encoding: " + value),)
        for number, value in enumerate(
            (
                b"xchunked",
                b"chunked, identity",
                b"chunked, chunked",
                b'"chunked"',
                b"chunked;q=1",
                b"\x0bchunked",
                b"chunked\x0b",
                b"\x0cchunked",
                b"\x00chunked",
                b"chunked\x00",
                b"\xa0chunked",
                b"",
                b",",
                b"gzip",
                b"identity",
                b"chunked gzip",
                "\uff43hunked".encode(),
            )
        )
    },
    "H1-07-gzip-chunked": (with_field(b"Transfer-Encoding: gzip, chunked"), 501),
    # hostile: H1-08
    "H1-08-equal": (with_field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),),
    "H1-08-other": (with_field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),),
    # hostile: H1-10
    "H1-10": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"5\r\nhello\r\n0\r\n\r\n",),
    # hostile: H1-12
    "H1-12-length": (HEAD + b"Content-Length : 5\r\n\r\nhello",),
    "H1-12-length-tab": (HEAD + b"Content-Length\t: 5\r\n\r\nhello",),
    "H1-12-coding": (with_field(b"Transfer-Encoding : chunked"),),
    "H1-12-host": (b"GET http://ORIGIN/x HTTP/1.1\r\nHost : ORIGIN\r\n\r\n",),
    "H1-12-any": (HEAD + b"X-Any : 1\r\n\r\n",),
    # hostile: H1-13
    "H1-13-value": (HEAD + b"Content-Length:\r\n 5\r\n\r\nhello",),
    "H1-13-coding": (with_field(b"Transfer-Encoding:\r\n chunked"),),
    "H1-13-hidden": (with_field(b"X-A: 1\r\n Transfer-Encoding: chunked"),),
    # hostile: H1-14
    "H1-14-lf": (HEAD + b"X-A: 1\nContent-Length: 5\r\n\r\nhello",),
    "H1-14-lf-coding": (with_field(b"Content-Length: 5\r\nX-A: 1\nTransfer-Encoding: chunked"),),
    "H1-14-cr": (HEAD + b"X-A: 1\rContent-Length: 5\r\n\r\nhello",),
    # hostile: H1-19
    **{
        f"H1-19-{number}": (CHUNKED + size + b"\r\nhello\r\n0\r\n\r\n",)
        for number, size in enumerate(
            (
                b"0x5",
                b"+5",
                b"-5",
                b"0_5",
                b" 5",
                b"",
                b"g",
                b"5,5",
                b"5junk",
                b"\x005",
                b"5\x00",
                b"5 ",
                b"\t5",
            )
        )
    },
    # hostile: H1-20
    "H1-20": (CHUNKED + b"10000000000000005\r\nhello\r\n0\r\n\r\n",),
    "H1-20-zeros": (CHUNKED + b"00000000000000005\r\nhello\r\n0\r\n\r\n",),
    # hostile: H1-21
    "H1-21-two-others": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n",),
    "H1-21-lf": (CHUNKED + b"5\r\nhello\n0\r\n\r\n",),
    "H1-21-cr": (CHUNKED + b"5\r\nhello\rX0\r\n\r\n",),
    "H1-21-space": (CHUNKED + b"5\r\nhello \r\n0\r\n\r\n",),
    # hostile: H1-22
    "H1-22-lf": (CHUNKED + b"5\nhello\r\n0\r\n\r\n",),
    "H1-22-lf-in-extension": (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n",),
    "H1-22-cr-in-extension": (CHUNKED + b"5;a\rb\r\nhello\r\n0\r\n\r\n",),
    "H1-22-cr": (CHUNKED + b"5\rX\r\nhello\r\n0\r\n\r\n",),
    "H1-22-quoted-lf": (CHUNKED + b'5;a="\n"\r\nhello\r\n0\r\n\r\n',),
    "H1-22-unclosed-quote": (CHUNKED + b'5;a="b\r\nhello\r\n0\r\n\r\n',),
    # hostile: H1-24
    "H1-24-one-line": (CHUNKED + b"5;a=" + b"b" * 2**20 + b"\r\nhello\r\n0\r\n\r\n",),
    "H1-24-one-past": (CHUNKED + b"5;a=" + b"b" * 4093 + b"\r\nhello\r\n0\r\n\r\n",),
    "H1-24-many": (CHUNKED + (b"1;a=" + b"b" * 3996 + b"\r\nx\r\n") * 17 + b"0\r\n\r\n",),
    # hostile: H1-25
    "H1-25-longer": (CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",),
    "H1-25-empty-line": (CHUNKED + b"5\r\nhello\r\n\r\n0\r\n\r\n",),
    # hostile: H1-26
    "H1-26-cr-x": (CHUNKED + b"5\r\nhello\r\n0\r\n\rX",),
    "H1-26-lf": (CHUNKED + b"5\r\nhello\r\n0\n\r\n",),
    # hostile: H1-29
    "H1-29-request-line": (CHUNKED + b"0\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",),
    "H1-29-fold": (CHUNKED + b"0\r\nX-A: 1\r\n 2\r\n\r\n",),
    "H1-29-large": (CHUNKED + b"0\r\n" + b"X-A: %b\r\n" % (b"b" * 1000) * 1000 + b"\r\n",),
    "H1-29-many": (CHUNKED + b"0\r\n" + b"X: 1\r\n" * 1001 + b"\r\n",),
    "H1-29-bad-name": (CHUNKED + b"0\r\nX A: 1\r\n\r\n",),
    "H1-29-lf": (CHUNKED + b"0\r\nX: 1\nY: 2\r\n\r\n",),
    # hostile: F-01
    "F-01": (HEAD + b"X-A: 1\r\n 2\r\n\r\n",),
    "F-01-tab": (HEAD + b"X-A: 1\r\n\t2\r\n\r\n",),
    "F-01-empty": (HEAD + b"X-A:\r\n \r\n\r\n",),
    # hostile: F-02
    "F-02-cr": (HEAD + b"X-A: 1\r2\r\n\r\n",),
    "F-02-cr-cr-lf": (HEAD + b"X-A: 1\r\r\n\r\n",),
    "F-02-cr-lf-cr-x": (HEAD + b"X-A: 1\r\n\rX: 2\r\n\r\n",),
    # hostile: F-03
    "F-03-lf": (HEAD + b"X-A: 1\n2\r\n\r\n",),
    "F-03-lf-only": (b"GET http://ORIGIN/x HTTP/1.1\nHost: ORIGIN\n\n",),
    "F-03-lf-crlf": (b"GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\n\r\n",),
    # hostile: F-04
    "F-04": (HEAD + b"X-A: 1\x002\r\n\r\n",),
    # hostile: F-05
    "F-05-bel": (HEAD + b"X-A: 1\x072\r\n\r\n",),
    "F-05-esc": (HEAD + b"X-A: \x1b[31m\r\n\r\n",),
    "F-05-del": (HEAD + b"X-A: 1\x7f\r\n\r\n",),
    # hostile: F-07
    **{
        f"F-07-{number}": (HEAD + line + b"\r\n\r\n",)
        for number, line in enumerate(
            (
                b"X A: 1",
                b"X(A): 1",
                b"X/A: 1",
                b"X\x00A: 1",
                b"X\xe9: 1",
                b": 1",
                b"no colon",
                b"X-\r\nA: 1",
                b"X@: 1",
                b'"X": 1',
                b"{X}: 1",
                b"X\x7f: 1",
            )
        )
    },
    # hostile: F-08
    "F-08-blank": (b"GET http://ORIGIN/x HTTP/1.1\r\n X-A: 1\r\nHost: ORIGIN\r\n\r\n",),
    "F-08-host": (b"GET http://ORIGIN/x HTTP/1.1\r\n Host: ORIGIN\r\n\r\n",),
    "F-08-tab": (b"GET http://ORIGIN/x HTTP/1.1\r\n\tHost: ORIGIN\r\nX: 1\r\n\r\n",),
    # hostile: F-09
    "F-09-fields": (HEAD + b"X: 1\r\n" * 5000 + b"\r\n", 431),
    "F-09-one-past": (HEAD + b"X: 1\r\n" * 1000 + b"\r\n", 431),
    "F-09-one-large": (HEAD + b"X: " + b"a" * 2**20 + b"\r\n\r\n", 431),
    "F-09-no-end": (HEAD + b"X-Abc: 1\r\n" * 60_000, 431),
    "F-09-line-without-end": (b"GET http://ORIGIN/" + b"a" * 300_000, 414),
    "F-09-folds": (HEAD + b"X: 1" + b"\r\n 2" * 100_000 + b"\r\n\r\n", 400, 431),
    # hostile: T-01
    "T-01-none": (b"GET http://ORIGIN/x HTTP/1.1\r\n\r\n",),
    "T-01-two": (b"GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\nHost: ORIGIN\r\n\r\n",),
    "T-01-two-others": (b"GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\nHost: b\r\n\r\n",),
    **{
        f"T-01-bad-{number}": (b"GET http://ORIGIN/x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n",)
        for number, host in enumerate(
            (b"a b", b"a/b", b"user@a", b"a:b", b"a:99999", b"[::1", b"", b"a,b", b"a\\b", b"a?b")
        )
    },
    # hostile: T-04
    **{
        f"T-04-{scheme.decode()}": (
            b"GET " + scheme + b"://ORIGIN/etc/passwd HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",
        )
        for scheme in (b"file", b"ftp", b"gopher", b"x-unknown", b"https", b"javascript", b"ws")
    },
    "T-04-file-path": (b"GET file:///etc/passwd HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-04-no-slashes": (b"GET http:ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    # hostile: T-05
    **{
        f"T-05-{number}": (b"GET http://" + at + b"/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",)
        for number, at in enumerate(
            (
                b"127.0.0.1:0",
                b"127.0.0.1:-1",
                b"127.0.0.1:70000",
                b"127.0.0.1:65536",
                b"127.0.0.1:abc",
                b"127.0.0.1:8_0",
                b"",
                b":80",
                b"[::1",
                b"[::1]]:80",
                b"[]",
                b"[g::1]",
                b"a..b",
                b".",
                b"a" * 64,
                b"%31.0.0.1",
            )
        )
    },
    # hostile: T-09
    **{
        f"T-09-{number}": (b"GET http://ORIGIN/a" + odd + b"b HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",)
        for number, odd in enumerate(
            (b"\r", b"\n", b"\x00", b" ", b"\t", b"\x7f", b"\xe9", b"\x1b")
        )
    },
    # hostile: T-10
    "T-10-star": (b"GET * HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-authority": (b"GET ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-connect-url": (b"CONNECT http://ORIGIN/ HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-connect-no-port": (b"CONNECT 127.0.0.1 HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-connect-userinfo": (b"CONNECT a@ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-connect-path": (b"CONNECT /x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-10-connect-port-0": (b"CONNECT 127.0.0.1:0 HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    # hostile: T-11
    "T-11": (b"GET /x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    # hostile: T-12
    "T-12-separator": (b"G(T http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-12-nul": (b"G\x00T http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-12-8-bit": (b"G\xe9T http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-12-long": (b"G" * 70_000 + b" http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n", 501, 414),
    # hostile: T-13
    **{
        f"T-13-{number}": (
            b"GET http://ORIGIN/x " + version + b"\r\nHost: ORIGIN\r\n\r\n",
            400,
            505,
        )
        for number, version in enumerate(
            (
                b"HTTP/0.9",
                b"HTTP/2.0",
                b"HTTP/1.2",
                b"HTTP/1.32",
                b"http/1.1",
                b"HTTP/1.1 HTTP/1.1",
                b"HTTP/1.1 ",
                b"HTTP/1",
                b"HTTP/01.1",
                b"FTP/1.1",
                b"",
            )
        )
    },
    "T-13-none": (b"GET http://ORIGIN/x\r\nHost: ORIGIN\r\n\r\n",),
    # hostile: T-14
    "T-14-tab": (b"GET\thttp://ORIGIN/x\tHTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-14-spaces": (b"GET  http://ORIGIN/x  HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    "T-14-before": (b" GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n",),
    # hostile: T-15
    "T-15-many": (b"\r\n" * 10_000 + HEAD + b"\r\n",),
    "T-15-one-past": (b"\r\n" * 9 + HEAD + b"\r\n",),
    "T-15-lf": (b"\n" + HEAD + b"\r\n",),
    "T-15-cr": (b"\r\r" + HEAD + b"\r\n",),
    # hostile: T-16
    "T-16": (b"GET http://ORIGIN/" + b"a" * 4_000_000 + b" HTTP/1.1\r\nHost: ORIGIN\r\n\r\n", 414),
}


CASES = [pytest.param(case[0], case[1:], id=name) for name, case in REFUSED.items()]
SHORT = [case for case in CASES if len(case.values[0]) < 300]
# what does not ask about the target can be said in a tunnel as well
INSIDE = [case for case in SHORT if case.id.startswith(("H1", "F"))]


@pytest.mark.parametrize(("data", "statuses"), CASES)
def test_refused(bench, data, statuses):
    refused(bench, bench.exchange(data + SMUGGLED), statuses)


@pytest.mark.parametrize(("data", "statuses"), SHORT)
def test_refused_byte_by_byte(bench, data, statuses):
    with bench.client() as client:
        client.drip(bench.filled(data + SMUGGLED))
        refused(bench, client.read_to_end(), statuses)


@pytest.mark.parametrize(("data", "statuses"), INSIDE)
def test_refused_in_a_tunnel(bench, data, statuses):
    with bench.client() as client:
        client.send(bench.filled(b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"))
        client.read_until(b"\r\n\r\n")
        client.received.clear()
        client.send(bench.filled((data + SMUGGLED).replace(b"http://ORIGIN/", b"/")))
        refused(bench, client.read_to_end(), statuses)


# -- rows that are served


# hostile: H1-03
@pytest.mark.parametrize(
    "line",
    [b"Content-Length: 5, 5", b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5 , 5"],
    ids=["H1-03-list", "H1-03-fields", "H1-03-blanks"],
)
def test_equal_lengths_become_one(bench, line):
    (request,) = served(bench, HEAD + line + b"\r\n\r\nhello")
    assert request.values(b"content-length") == [b"5"]
    assert request.body == b"hello"


# hostile: H1-05
def test_h1_05_a_length_of_18_digits_is_waited_for(bench):
    with bench.client() as client:
        client.send(bench.filled(HEAD + b"Content-Length: 999999999999999999\r\n\r\nhello"))
        eventually(lambda: bench.peers and b"hello" in bench.peers[0].received)
        client.half_close()
    eventually(lambda: bench.peers[0].ended, "the origin's connection to be cut")
    assert bench.requests == []


# hostile: H1-06
@pytest.mark.parametrize("size", [100, 5_000_000], ids=["H1-06-small", "H1-06-streamed"])
@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
def test_a_body_that_is_not_all_there_is_never_complete(bench, size, how):
    with bench.client() as client:
        client.send(bench.filled(HEAD + b"Content-Length: %d\r\n\r\nhello" % size))
        if size > 2**20:
            eventually(lambda: bench.peers and b"hello" in bench.peers[0].received)
        else:
            eventually(lambda: bench.flows_now, "the flow to begin")
        getattr(client, how)()
        flow = bench.flow()
        assert "the client disconnected" in flow.error.msg
        for peer in bench.peers:
            eventually(lambda: peer.ended, "the origin's connection to be cut")  # noqa: B023
        assert bench.requests == []


# hostile: H1-09
@pytest.mark.parametrize(
    "value", [b",chunked", b"chunked,", b" , chunked , "], ids=["H1-09-a", "H1-09-b", "H1-09-c"]
)
def test_empty_list_members(bench, value):
    data = with_field(b"Transfer-Encoding: " + value)
    answer = bench.exchange(data + CLOSING)
    if answer.statuses[0] == 400:
        assert (answer.statuses, answer.ended, bench.requests) == ([400], "fin", [])
    else:
        assert [r.body for r in bench.requests] == [b"hello", b""]


# hostile: H1-11
@pytest.mark.parametrize(
    "value",
    [b"cHuNkEd", b"\tchunked\t", b"chunked", b""],
    ids=["H1-11-case", "H1-11-tab", "H1-11-plain", "H1-11-no-blank"],
)
def test_chunked_in_any_dress(bench, value):
    line = b"Transfer-Encoding: " + value if value else b"Transfer-Encoding:chunked"
    (request,) = served(bench, HEAD + line + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    assert request.body == b"hello"


# hostile: H1-15
def test_h1_15_names_that_only_look_like_framing(bench):
    lines = b"Transfer_Encoding: chunked\r\nContent_Length: 99\r\nContent-Length: 5\r\n\r\nhello"
    (request,) = served(bench, HEAD + lines)
    assert request.values(b"transfer_encoding") == [b"chunked"]
    assert request.values(b"content_length") == [b"99"]
    assert request.body == b"hello"


# hostile: H1-16
@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding", b"host", b"Host"])
def test_h1_16_framing_cannot_be_taken_off(bench, name):
    (request,) = served(
        bench, HEAD + b"Connection: " + name + b"\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert request.values(b"content-length") == [b"5"]
    assert request.values(b"host") == [bench.origin.authority]


# hostile: H1-17
def test_h1_17_no_framing_is_no_body(bench):
    answer = bench.exchange(HEAD + b"\r\n" + CLOSING)
    assert answer.statuses == [200, 200]
    assert [(r.target, r.body) for r in bench.requests] == [(b"/x", b""), (b"/after", b"")]


def test_h1_17_bytes_after_it_are_no_body(bench):
    answer = bench.exchange(HEAD + b"\r\n{hello}" + SMUGGLED)
    assert answer.statuses == [200, 400]
    assert [(r.target, r.body) for r in bench.requests] == [(b"/x", b"")]


# hostile: H1-18
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
@pytest.mark.parametrize("coding", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_h1_18_a_body_where_none_is_usual(bench, method, coding):
    body = b"hello" if coding.startswith(b"C") else b"5\r\nhello\r\n0\r\n\r\n"
    head = HEAD.replace(b"POST", method) + coding + b"\r\n\r\n"
    (request,) = served(bench, head + body, method=method)
    assert (request.start[0], request.body) == (method, b"hello")


# hostile: H1-23
@pytest.mark.parametrize("extension", [b";a", b";a=b", b';a = "b;\\"c"', b"; a;b;c=1", b';a=""'])
def test_h1_23_extensions_are_read_over(bench, extension):
    data = b"5" + extension + b"\r\nhello\r\n0" + extension + b"\r\n\r\n"
    (request,) = served(bench, CHUNKED + data)  # the strict reader refuses extensions
    assert request.body == b"hello"


def test_h1_23_sizes_in_all_spellings(bench):
    data = b"00005\r\nhello\r\nA\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n"
    (request,) = served(bench, CHUNKED + data)
    assert request.body == b"hello" + b"0123456789" * 2


# hostile: H1-25
@pytest.mark.parametrize("size", [5, 3_000_000], ids=["H1-25-small", "H1-25-streamed"])
def test_no_last_chunk(bench, size):
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    answer = bench.exchange(CHUNKED + chunk, half_close=True)
    assert answer.responses == []
    assert "the client disconnected" in bench.error()
    for peer in bench.peers:
        eventually(lambda: peer.ended, "the origin's connection to be cut")  # noqa: B023
    assert bench.requests == []


@pytest.mark.parametrize(
    "ending",
    [b"3\r\nhello\r\n0\r\n\r\n", b"\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n", b"0x0\r\n\r\n"],
    ids=["H1-25-longer", "H1-25-empty-line", "H1-21-no-crlf", "H1-19-size"],
)
def test_framing_that_breaks_when_much_was_passed_on(bench, ending):
    size = 3_000_000
    chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
    answer = bench.exchange(CHUNKED + chunk + ending + SMUGGLED)
    assert answer.statuses == [400]
    assert "RFC 9112" in bench.error()
    (peer,) = bench.peers
    eventually(lambda: peer.ended, "the origin's connection to be cut")
    assert bench.requests == []


# hostile: H1-27
FORBIDDEN = (
    b"Content-Length",
    b"Transfer-Encoding",
    b"Host",
    b"Authorization",
    b"Cookie",
    b"Content-Encoding",
    b"Content-Type",
)


@pytest.mark.parametrize("name", FORBIDDEN, ids=lambda name: f"H1-27-{name.decode()}")
def test_trailers_that_must_not_be(bench, name):
    value = b"chunked" if name == b"Transfer-Encoding" else b"5"
    data = b"5\r\nhello\r\n0\r\n%b: %b\r\nX-Sum: 1\r\n\r\n" % (name, value)
    (request,) = served(bench, CHUNKED + data)
    assert request.trailers == ((b"X-Sum", b"1"),)
    assert request.values(name) in ([], [b"chunked"], [bench.origin.authority])
    recorded = bench.flows[0].request
    assert recorded.trailers[name.decode()] == value.decode()
    assert recorded.headers.get(name.decode()) != "5"


# hostile: H1-28
@pytest.mark.parametrize("size", [5, 3_000_000], ids=["H1-28-whole", "H1-28-streamed"])
def test_trailers_both_ways(bench, size):
    body = b"x" * size
    chunks = b"%x\r\n%b\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n" % (size, body)

    def script(peer):
        assert peer.next_request() is not None
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        peer.read_to_end()

    answer = bench.ask(script, CHUNKED + chunks)
    (request,), (response,) = bench.requests, answer.responses
    for message in (request, response):
        assert message.body == body
        assert message.trailers == ((b"X-Sum", b"1"), (b"X-Sum", b"2"))


def test_h1_28_trailers_are_dropped_where_there_is_no_room(bench):
    """A client of HTTP/1.0 knows no chunks."""
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = bench.ask(data, b"GET http://ORIGIN/ HTTP/1.0\r\n\r\n")
    assert [r.body for r in answer.responses] == [b"ok"]
    assert b"X-Sum" not in answer.raw
    assert bench.flow().response.trailers["x-sum"] == "1"


# hostile: F-06
def test_f_06_bytes_above_ascii_pass(bench):
    value = bytes(range(0x80, 0x100))
    (request,) = served(bench, HEAD + b"X-A: " + value + b"\r\n\r\n")
    assert request.values(b"x-a") == [value]
    flow = bench.flows[0]
    assert repr(flow.request.headers).isprintable()
    assert flow.request.headers["x-a"].encode("utf-8", "surrogateescape") == value
    assert len(bench.proxy.df)


# hostile: F-10
def test_f_10_fields_for_the_next_hop_only(bench):
    lines = (
        b"Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\nProxy-Connection: keep-alive\r\n"
        b"Keep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: foo\r\n"
        b"Proxy-Authorization: Basic eDp5\r\nX-Other: 2\r\n\r\n"
    )
    (request,) = served(bench, HEAD + lines)
    assert [name for name, _ in request.fields] == [b"Host", b"X-Other"]
    recorded = bench.flows[0].request.headers
    assert {"connection", "x-mine", "keep-alive", "te", "upgrade"} <= {n.lower() for n in recorded}


def test_f_10_the_other_way(bench):
    lines = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Connection: keep-alive\r\nUpgrade: h2\r\nContent-Length: 2\r\n\r\nok"
    )
    (response,) = bench.ask(lines).responses
    assert [name for name, _ in response.fields] == [b"Content-Length", b"Connection"]
    assert bench.flow().response.headers["x-mine"] == "1"


# hostile: F-11
def test_f_11_cookies_are_never_joined(bench):
    cookies = [b"c%d=%d; Path=/, x" % (n, n) for n in range(300)]
    lines = b"".join(b"Set-Cookie: " + cookie + b"\r\n" for cookie in cookies)
    (response,) = bench.ask(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n").responses
    assert response.values(b"set-cookie") == cookies


# hostile: F-09
def test_f_09_a_thousand_fields_pass(bench):
    (request,) = served(bench, HEAD + b"X: 1\r\n" * 999 + b"\r\n")
    assert len(request.values(b"x")) == 999


def test_f_09_a_head_of_nearly_256_kib_passes(bench):
    value = b"a" * (256 * 1024 - 200)
    (request,) = served(bench, HEAD + b"X: " + value + b"\r\n\r\n")
    assert request.values(b"x") == [value]


# hostile: T-02
def test_t_02_the_target_decides(bench):
    data = b"GET http://ORIGIN/x HTTP/1.1\r\nX-A: 1\r\nhOST: elsewhere.example\r\n\r\n"
    (request,) = served(bench, data, method=b"GET")
    assert request.values(b"host") == [bench.origin.authority]
    assert "elsewhere.example" in str(bench.flows[0].metadata)


# hostile: T-03
def test_t_03_a_host_other_than_the_tunnels(bench):
    with Origin() as other:
        answer = bench.tunnel(
            b"GET /x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % other.authority,
        )
        assert answer.statuses == [200]
        assert [r.target for r in bench.requests] == [b"/x"]
        assert other.peers == []
        # another port of the same name is another host too, and is marked
        assert other.authority.decode() in str(bench.flow().metadata)


def test_t_03_a_target_other_than_the_tunnels(bench):
    with Origin() as other:
        line = b"GET http://%b/x HTTP/1.1\r\nHost: %b\r\n\r\n"
        answer = bench.tunnel(line % (other.authority, other.authority) + SMUGGLED)
        assert answer.statuses == [421]
        assert bench.requests == []
        assert other.peers == []
        assert "tunnel" in bench.error()


def test_t_03_a_whole_target_that_fits(bench):
    line = b"GET http://ORIGIN/x?y HTTP/1.1\r\nHost: ORIGIN\r\nConnection: close\r\n\r\n"
    assert bench.tunnel(line).statuses == [200]
    assert [r.target for r in bench.requests] == [b"/x?y"]


def test_t_03_connect_in_a_tunnel(bench):
    answer = bench.tunnel(b"CONNECT ORIGIN HTTP/1.1\r\nHost: ORIGIN\r\n\r\n" + SMUGGLED)
    assert answer.statuses == [400]
    assert bench.requests == []


# hostile: T-06
@pytest.mark.parametrize("userinfo", [b"me:secret@", b"me@", b"@", b":@", b"a%40b:c@"])
def test_t_06_userinfo_goes_nowhere(bench, userinfo):
    line = b"GET http://" + userinfo + b"ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
    (request,) = served(bench, line, method=b"GET")
    assert request.target == b"/x"
    assert request.values(b"host") == [bench.origin.authority]


@pytest.mark.parametrize("userinfo", [b"a@b@", b"a\\@", b"[@", b"a b@"])
def test_t_06_userinfo_that_can_be_read_in_two_ways(bench, userinfo):
    line = b"GET http://" + userinfo + b"ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
    refused(bench, bench.exchange(line + SMUGGLED))


# hostile: T-07
def test_t_07_a_fragment_is_dropped(bench):
    (request,) = served(bench, HEAD.replace(b"/x", b"/x?a#b?c") + b"\r\n")
    assert request.target == b"/x?a"


# hostile: T-08
@pytest.mark.parametrize(
    "path",
    [
        b"/%0d%0aX:%201",
        b"/%00",
        b"/%2e%2e/%2E%2E/x",
        b"//a//b",
        b"/../../etc/passwd",
        b"/./x/..",
        b"/%",
        b"/%zz",
        b"/a;b=c?d=e&&=",
        b"/x?http://elsewhere/",
        b'/{|}^`\\<>"',
    ],
)
def test_t_08_a_path_passes_byte_for_byte(bench, path):
    (request,) = served(bench, HEAD.replace(b"/x", path) + b"\r\n")
    assert request.target == path
    assert bench.flows[0].request.path.encode() == path


# hostile: T-13
def test_t_13_what_goes_on_is_always_http_1_1(bench):
    line = b"GET http://ORIGIN/x HTTP/1.0\r\n\r\n"
    assert bench.exchange(line).statuses == [200]  # the strict reader knows no other version
    assert [r.target for r in bench.requests] == [b"/x"]


# hostile: T-15
@pytest.mark.parametrize("count", [1, 8])
def test_t_15_a_few_empty_lines_are_skipped(bench, count):
    (request,) = served(bench, b"\r\n" * count + HEAD + b"\r\n")
    assert request.target == b"/x"


# hostile: T-16
def test_t_16_a_long_target_within_the_bound(bench):
    target = b"/" + b"a" * 100_000
    (request,) = served(bench, HEAD.replace(b"/x", target) + b"\r\n")
    assert request.target == target


# hostile: T-17
OWN_NAMES = (
    b"127.0.0.1",
    b"localhost",
    b"LocalHost",
    b"127.1",
    b"0.0.0.0",
    b"[::ffff:127.0.0.1]",
    b"2130706433",
)


@pytest.mark.parametrize("name", OWN_NAMES, ids=lambda n: f"T-17-{n.decode()}")
@pytest.mark.parametrize("how", ["request", "tunnel", "tls tunnel"])
def test_the_proxy_does_not_call_itself(bench, name, how):
    own = b"%b:%d" % (name, bench.proxy.port)
    if how == "request":
        answer = bench.exchange(
            b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % (own, own) + CLOSING
        )
        assert answer.statuses == [508, 200]
    else:
        with bench.client() as client:
            client.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (own, own))
            client.read_until(b"\r\n\r\n")
            client.received.clear()
            if how == "tls tunnel":
                client.start_tls(ssl._create_unverified_context(), "x")
            client.send(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % own)
            assert client.read_to_end().statuses == [508]
    errors = [flow.error for flow in bench.flows if flow.error is not None]
    assert len(errors) == 1
    assert "this proxy itself" in errors[0].msg
    assert len(bench.flows) <= 2


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "::"], ids=lambda h: f"T-17-{h}")
def test_a_proxy_that_listens_elsewhere_does_not_call_itself(start_proxy, host):
    with start_proxy(listen_host=host, proxyauth="a:b") as proxy:
        proxy.options.restrict_targets = False  # which would refuse it first
        own = b"[::1]:%d" % proxy.port if ":" in host else b"127.0.0.1:%d" % proxy.port
        credentials = b"Proxy-Authorization: Basic YTpi\r\nConnection: close\r\n\r\n"
        line = b"GET http://%b/ HTTP/1.1\r\nHost: %b\r\n" % (own, own)
        with RawClient(proxy.port, "::1" if ":" in host else "127.0.0.1") as client:
            client.send(line + credentials)
            assert client.read_to_end().statuses == [508]


def test_t_17_another_server_on_the_same_port_is_not_the_proxy(bench):
    """Another loopback address is another host: only where we listen is us."""
    with Origin(host="::1", port=bench.proxy.port) as other:
        data = b"GET http://%b/x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
        assert bench.exchange(data % (other.authority, other.authority)).statuses == [200]
        assert [r.target for r in other.requests] == [b"/x"]


def test_t_17_two_proxies_that_point_at_each_other(bench, start_proxy):
    with start_proxy(idle_timeout=0.2) as second:
        there = b"127.0.0.1:%d" % second.port
        here = b"127.0.0.1:%d" % bench.proxy.port
        data = b"GET http://%b/http://%b/ HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
        answer = bench.exchange(data % (there, here, there))
        assert len(answer.responses) == 1
        assert len(bench.flows) == 1
        assert len(second.flows) <= 1


# hostile: T-18
@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS"], ids=["T-18-trace", "T-18-options"])
def test_max_forwards_0_is_answered_here(bench, method):
    secret = b"Authorization: s3cret\r\nCookie: s3cret\r\nProxy-Authorization: s3cret\r\n"
    head = HEAD.replace(b"POST", method) + b"Max-Forwards: 0\r\nConnection: close\r\n" + secret
    answer = bench.exchange(head + b"\r\n")
    assert answer.statuses == [200]
    assert bench.requests == []
    assert b"s3cret" not in answer.raw


@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS"], ids=["T-18-trace", "T-18-options"])
def test_max_forwards_is_counted_down(bench, method):
    head = HEAD.replace(b"POST", method) + b"Max-Forwards: 3\r\n\r\n"
    (request,) = served(bench, head, method=method)
    assert request.values(b"max-forwards") == [b"2"]


def test_t_18_other_methods_have_no_max_forwards(bench):
    (request,) = served(bench, HEAD + b"Max-Forwards: 0\r\n\r\n")
    assert request.values(b"max-forwards") == [b"0"]
