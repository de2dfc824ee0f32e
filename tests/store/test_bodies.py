"""Large bodies: bounded memory, right bytes, nothing left behind, no trouble from a full disk."""

import contextlib
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store import bodies
from nbproxy.store.bodies import Spool, SpooledBody, SpoolFile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(tmp_path):
    return Spool(1000, tmp_path)


@contextlib.contextmanager
def file_size_limit(size):
    """A disk that is full: the system refuses to let files grow beyond `size`."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


def open_files():
    return len(list(Path("/dev/fd").iterdir()))


def test_a_small_body_is_bytes(spool):
    sink = spool.sink()
    sink.write(b"ab")
    sink.write(bytearray(b"cd"))
    assert (sink.size_bytes, sink.read()) == (4, b"abcd")
    assert sink.close() == b"abcd"
    assert spool.sink().close() == b""
    assert spool._file is None


def test_a_buffer_may_be_used_again(spool):
    sink = spool.sink()
    buffer = bytearray(b"first")
    sink.write(memoryview(buffer))
    buffer[:] = b"other"
    assert sink.close() == b"first"


def test_a_large_body_lies_in_an_unnamed_private_file(spool, tmp_path):
    sink = spool.sink()
    for i in range(100):
        sink.write(bytes([i]) * 500)
    body = sink.close()
    assert isinstance(body, SpooledBody)
    assert body.size_bytes == len(body) == 50_000
    assert not body.truncated
    assert body.read() == b"".join(bytes([i]) * 500 for i in range(100))
    assert b"".join(body.chunks(333)) == body.read()
    assert max(map(len, body.chunks(333))) == 333
    assert list(tmp_path.iterdir()) == []
    assert os.fstat(body._file._fd).st_mode & 0o077 == 0
    assert repr(body) == "<SpooledBody 50000 bytes>"


def test_reading_while_it_grows(spool):
    sink = spool.sink()
    whole = b""
    for i in range(600):
        piece = bytes([i % 256]) * 700
        sink.write(piece)
        whole += piece
        if i % 50 == 0:
            assert sink.size_bytes == len(whole)
            assert sink.read() == whole
            assert b"".join(sink.chunks(1000)) == whole
    assert sink.close().read() == whole


pieces = st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=400)), min_size=0, max_size=60)


@given(pieces, st.integers(0, 600))
@settings(max_examples=60, deadline=None)
def test_interleaved_bodies(pieces, limit):
    spool = Spool(limit)
    sinks = [spool.sink() for _ in range(4)]
    wanted = [b""] * 4
    for number, data in pieces:
        sinks[number].write(data)
        wanted[number] += data
    for sink, whole in zip(sinks, wanted, strict=True):
        body = sink.close()
        assert isinstance(body, bytes) == (len(whole) <= limit)
        assert (body if isinstance(body, bytes) else body.read()) == whole


def test_large_interleaved_bodies(spool):
    noise = random.Random(5)
    data = [noise.randbytes(2_000_000) for _ in range(3)]
    sinks = [spool.sink() for _ in data]
    for start in range(0, 2_000_000, 50_000):
        for sink, whole in zip(sinks, data, strict=True):
            sink.write(whole[start : start + 50_000])
    kept = [sink.close() for sink in sinks]
    assert [body.read() for body in kept] == data
    assert all(len(body._extents) < 20 for body in kept)


def test_a_full_file_is_left_for_another(spool, monkeypatch):
    monkeypatch.setattr(bodies, "_FILE_SIZE", 3000)
    kept = []
    for _ in range(4):
        sink = spool.sink()
        sink.write(b"z" * 2000)
        kept.append(sink.close())
    assert len({id(body._file) for body in kept}) == 2


def test_no_folder_for_the_file(tmp_path):
    told = []
    spool = Spool(10, tmp_path / "missing", told.append)
    sink = spool.sink()
    sink.write(b"abc" * 10)
    sink.write(b"more")
    assert sink.size_bytes == 30
    body = sink.close()
    assert (body.truncated, body.read(), sink.lost_bytes) == (True, b"abc" * 10, 4)
    assert list(body.chunks(20)) == [b"abc" * 6 + b"ab", b"c" + b"abc" * 3]
    assert len(told) == 1


def test_the_warning(tmp_path, caplog):
    def break_down():
        sink = Spool(10, tmp_path / "missing").sink()
        sink.write(b"abc" * 10)

    with pytest.warns(RuntimeWarning, match="Free some space there"):
        break_down()
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "nbproxy"):
        warnings.simplefilter("error")
        break_down()
    assert "cannot be recorded whole" in caplog.text


def test_a_failing_callback_stops_nothing(tmp_path, caplog):
    def fail(text):
        raise RuntimeError("display is gone")

    sink = Spool(10, tmp_path / "missing", fail).sink()
    sink.write(b"abc" * 10)
    assert sink.truncated
    assert "display is gone" in caplog.text


def test_a_damaged_file_is_an_oserror(tmp_path):
    file = SpoolFile(tmp_path)
    extent = file.append(b"0123456789")
    os.ftruncate(file._fd, 4)
    with pytest.raises(OSError, match="6 of 10 bytes are gone"):
        file.read(*extent)


def test_one_thread_reads_what_another_writes(spool):
    sink = spool.sink()
    whole = bytes(i % 251 for i in range(1_000_000))
    done = threading.Event()
    wrong = []

    def read():
        while not done.is_set():
            seen = sink.read()
            if seen != whole[: len(seen)]:
                wrong.append(len(seen))
                return

    reader = threading.Thread(target=read)
    reader.start()
    for start in range(0, len(whole), 997):
        sink.write(whole[start : start + 997])
    done.set()
    reader.join()
    assert not wrong
    assert sink.close().read() == whole


def test_a_killed_process_leaves_no_file(tmp_path):
    program = f"""
import sys, pathlib
from nbproxy.store.bodies import Spool
sink = Spool(10, pathlib.Path({str(tmp_path)!r})).sink()
sink.write(b"x" * 100_000)
print("written", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"written\n"
        process.kill()
    assert list(tmp_path.iterdir()) == []
