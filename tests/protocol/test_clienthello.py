"""The first TLS message: real ones, cut ones, damaged ones."""

from __future__ import annotations

import contextlib
import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.protocol import clienthello


def real(name="good.example", alpn=("h2", "http/1.1")):
    """What OpenSSL sends."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = real()


def in_records(data, size):
    """The same message in records of so many bytes."""
    message = data[5:]
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(p)) + p for p in pieces)


def test_a_real_one():
    hello = clienthello.parse(HELLO)
    assert hello.sni == "good.example"
    assert hello.alpn == ("h2", "http/1.1")
    assert clienthello.looks_like_tls(HELLO)


def test_without_name_and_protocols():
    hello = clienthello.parse(real("127.0.0.1", ()))
    assert hello == clienthello.ClientHello(None, ())


def test_every_cut_asks_for_more():
    for cut in range(len(HELLO)):
        assert clienthello.parse(HELLO[:cut]) is None


@pytest.mark.parametrize("tail", [b"X", b"\x16\x03\x01\x00\x01\x00", b"\x17\x03\x03\xff\xff"])
def test_what_follows_does_not_matter(tail):
    assert clienthello.parse(HELLO + tail) == clienthello.parse(HELLO)


@pytest.mark.parametrize("size", [20, 100, 300])
def test_over_several_records(size):
    data = in_records(HELLO, size)
    assert clienthello.parse(data) == clienthello.parse(HELLO)
    assert clienthello.parse(data[:-1]) is None


def test_too_many_records():
    with pytest.raises(ValueError, match="pieces"):
        clienthello.parse(in_records(HELLO, 1))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",
    ],
)
def test_what_is_none(data):
    with pytest.raises(ValueError, match="not a"):
        clienthello.parse(data)


@pytest.mark.parametrize("size", [0x010000, 0xFFFFFF])
def test_one_that_is_too_large(size):
    with pytest.raises(ValueError, match="64 KiB"):
        clienthello.parse(b"\x16\x03\x01\x00\x04\x01" + size.to_bytes(3, "big"))


def test_looks_like_tls():
    assert clienthello.looks_like_tls(b"\x16")
    assert clienthello.looks_like_tls(b"\x16\x03\x03")
    assert not clienthello.looks_like_tls(b"")
    assert not clienthello.looks_like_tls(b"G")
    assert not clienthello.looks_like_tls(b"\x16\x02")


def outcome(data):
    try:
        return clienthello.parse(data)
    except ValueError:
        return "refused"


@settings(max_examples=500, deadline=None)
@given(
    st.binary(max_size=100)
    | st.binary(max_size=60).map(lambda b: b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c" + b)
)
def test_any_bytes(data):
    """A hello, None or a ValueError; and once it is decided, more bytes change nothing."""
    found = outcome(data)
    if found is not None:
        assert outcome(data + b"more") == found


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255))
def test_any_byte_changed(place, value):
    data = HELLO[:place] + bytes([value]) + HELLO[place + 1 :]
    found = outcome(data)
    assert found is None or found == "refused" or isinstance(found, clienthello.ClientHello)
