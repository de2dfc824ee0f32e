"""Generators over chunks, called chunk by chunk."""

import threading

import pytest

from nbproxy.scripts.compat.streams import Generated
from tests.support.proxies import wait_until


def test_a_generator_keeps_its_state():
    def number(chunks):
        for index, chunk in enumerate(chunks):
            yield b"%d" % index
            yield chunk
        yield b"end"

    stream = Generated(number)
    assert stream(b"a") == [b"0", b"a"]
    assert stream(b"b") == [b"1", b"b"]
    assert stream(b"") == [b"end"]
    assert stream(b"") == []


def test_ending_early():
    def first(chunks):
        yield next(iter(chunks))

    stream = Generated(first)
    assert stream(b"a") == [b"a"]
    assert stream(b"b") == []
    assert stream(b"") == []


def test_an_exception_comes_out():
    def fail(chunks):
        for chunk in chunks:
            yield chunk.nonsense

    with pytest.raises(AttributeError):
        Generated(fail)(b"a")


def test_chunks_of_another_type():
    stream = Generated(lambda chunks: (chunk.upper() for chunk in chunks), bytes.decode, str.encode)
    assert stream(b"a") == [b"A"]
    assert stream(b"") == []


def test_an_abandoned_stream_leaves_no_thread():
    stream = Generated(lambda chunks: chunks)
    stream(b"a")
    assert _threads()
    del stream
    wait_until(lambda: not _threads(), "the thread ends")


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "nbproxy-stream"]
