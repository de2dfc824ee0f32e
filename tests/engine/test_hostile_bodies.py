"""Bodies that are bombs, lies or garbage pass unchanged, and showing them is harmless: row E."""

from __future__ import annotations

import gzip
import json
import resource
import zlib

import brotli
import pytest
import zstandard

from tests.support.origins import answering

pytest_plugins = ("tests.support.bench",)

GET = b"GET http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\n\r\n"
# 16 MiB is where decoding for show stops
BOUND = 16 * 2**20


def passed(bench, body, fields=b""):
    """The response's record, after the body went through byte for byte."""
    head = b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body)
    answer = bench.ask(answering(head + body), GET)
    assert answer.statuses == [200]
    assert answer.responses[0].body == body
    flow = bench.flow()
    assert flow.error is None
    assert flow.response.raw_content == body
    return flow.response


def shows(bench, response):
    """Nothing that shows a flow raises, whatever its body is."""
    assert isinstance(response.text, str)
    assert isinstance(response.get_content(strict=False), bytes)
    flow = bench.flow()
    assert repr(flow)
    assert repr(response)
    assert len(bench.proxy.df)
    return response.text


def coded(coding):
    return b"Content-Encoding: " + coding + b"\r\n"


def brotli_bomb(size):
    coder = brotli.Compressor(quality=5)
    piece = b"\0" * 2**20
    return b"".join(coder.process(piece) for _ in range(size // len(piece))) + coder.finish()


ZEROS = 200 * 2**20
BOMBS = {
    # hostile: E-01
    "E-01-gzip": (lambda: gzip.compress(b"\0" * ZEROS, 6), b"gzip"),
    "E-01-deflate": (lambda: zlib.compress(b"\0" * ZEROS, 6), b"deflate"),
    "E-01-br": (lambda: brotli_bomb(ZEROS), b"br"),
    "E-01-zstd": (lambda: zstandard.compress(b"\0" * ZEROS), b"zstd"),
    "E-01-nested": (
        lambda: gzip.compress(gzip.compress(b"\0" * ZEROS, 6), 6),
        b"gzip, gzip",
    ),
    "E-01-nested-mixed": (
        lambda: zstandard.compress(gzip.compress(b"\0" * ZEROS, 6)),
        b"gzip, zstd",
    ),
}


@pytest.mark.parametrize(("make", "coding"), BOMBS.values(), ids=BOMBS)
def test_a_bomb(bench, make, coding):
    body = make()
    assert len(body) < 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = passed(bench, body, coded(coding))
    with pytest.raises(ValueError, match="bound"):
        _ = response.content
    assert response.get_content(strict=False) == body
    shows(bench, response)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 8 * BOUND // 1024, "kilobytes"


# hostile: E-02
LIES = {
    "E-02-broken": (gzip.compress(b"x" * 1000)[:-20], b"gzip"),
    "E-02-damaged": (gzip.compress(b"x" * 1000)[:15] + b"\xff" * 20, b"gzip"),
    "E-02-unknown": (b"hello", b"rot13"),
    "E-02-empty": (b"hello", b""),
    "E-02-comma": (b"hello", b","),
    "E-02-untrue": (b"hello", b"gzip"),
    "E-02-untrue-br": (b"hello", b"br"),
    "E-02-untrue-zstd": (b"hello", b"zstd"),
    "E-02-untrue-deflate": (b"hello", b"deflate"),
    "E-02-many": (b"hello", b"gzip, " * 50 + b"gzip"),
    "E-02-8-bit": (b"hello", b"gz\xffip"),
    "E-02-nothing-coded": (b"", b"gzip"),
}


@pytest.mark.parametrize(("body", "coding"), LIES.values(), ids=LIES)
def test_a_coding_that_is_not_true(bench, body, coding):
    response = passed(bench, body, coded(coding))
    assert response.get_content(strict=False) == body
    shows(bench, response)
    with pytest.raises(ValueError, match=r"."):
        response.json()


def test_e_02_a_doubled_coding(bench):
    body = gzip.compress(gzip.compress(b"hello"))
    response = passed(bench, body, coded(b"gzip") * 2)
    shows(bench, response)


# hostile: E-03
def test_e_03_a_huge_window_of_zstd(bench):
    settings = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    coder = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    body = coder.compress(b"x" * 1000) + coder.flush()
    response = passed(bench, body, coded(b"zstd"))
    with pytest.raises(ValueError, match="zstd"):
        _ = response.content
    shows(bench, response)


def test_e_03_the_large_window_bit_of_brotli(bench):
    # RFC 9841, 9: a first byte of 0x11 begins the large-window header
    response = passed(bench, b"\x11\x3e" + bytes(20), coded(b"br"))
    with pytest.raises(ValueError, match="br"):
        _ = response.content
    shows(bench, response)


# hostile: E-04
CHARSETS = (
    b"nonsense",
    b'"utf-8"',
    b'"',
    b"utf-8\xff",
    b"base64",
    b"zip",
    b"rot13",
    b"hex",
    b"idna",
    b"punycode",
    b"unicode_escape",
    b"undefined",
    b"utf-7",
    b"",
    b"../../etc",
    b"a" * 5000,
    b"us-ascii",
    b"utf-16",
)


@pytest.mark.parametrize("charset", CHARSETS, ids=lambda c: f"E-04-{c[:12]!r}")
def test_any_charset(bench, charset):
    body = b"h\xc3\xa9llo \xff\xfe +AGE- aGk=\n"
    response = passed(bench, body, b"Content-Type: text/plain; charset=" + charset + b"\r\n")
    assert shows(bench, response)


# hostile: E-05
def test_e_05_json_nested_deep(bench):
    body = b"[" * 100_000 + b"]" * 100_000
    response = passed(bench, body, b"Content-Type: application/json\r\n")
    with pytest.raises(ValueError, match="deep"):
        response.json()
    assert shows(bench, response) == body.decode()


def test_e_05_a_number_of_100000_digits(bench):
    body = b"1" * 100_000
    response = passed(bench, body, b"Content-Type: application/json\r\n")
    with pytest.raises(ValueError, match="digits"):
        response.json()
    assert shows(bench, response) == body.decode()


def test_e_05_entities_are_not_expanded(bench):
    lines = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    text = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "lol">{lines}]><a>&a9;</a>'
    response = passed(bench, text.encode(), b"Content-Type: application/xml\r\n")
    assert shows(bench, response) == text


# hostile: E-06
def test_e_06_forms(bench):
    """A request's, since forms are read from requests."""
    for kind, body in (
        (b"multipart/form-data; boundary=x", b"--x\r\n" + b"a" * 10_000),
        (b"multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n" * 100_000),
        (b"multipart/form-data; boundary=" + b"x" * 500, b"--x--"),
        (b"multipart/form-data", b"--x--"),
        (b"application/x-www-form-urlencoded", b"a=b&" * 250_000),
        (b"application/x-www-form-urlencoded", b"%" * 10_000),
    ):
        bench.begin()
        head = b"POST http://ORIGIN/x HTTP/1.1\r\nHost: ORIGIN\r\nContent-Type: " + kind
        head += b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert bench.exchange(head + body).responses[0].body == body
        request = bench.flow().request
        assert isinstance(request.text, str)
        for form in (request.urlencoded_form, request.multipart_form):
            assert len(list(form)) <= 250_000
        assert repr(bench.flow())


def test_json_that_is_fine(bench):
    data = {"a": [1, "é"]}
    body = gzip.compress(json.dumps(data).encode())
    response = passed(bench, body, coded(b"gzip") + b"Content-Type: application/json\r\n")
    assert response.json() == data
