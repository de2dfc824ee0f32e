"""Large bodies: bounded memory, right bytes, nothing left behind, no trouble from a full disk."""

import contextlib
import gc
import logging
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import tracemalloc
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store import Store, bodies
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


def test_memory_stays_bounded():
    store = Store()
    piece = b"x" * 65_536
    tracemalloc.start()
    try:
        sink = store.body()
        for _ in range(1600):  # 100 MB
            sink.write(bytes(bytearray(piece)))
        body = sink.close()
        peak = tracemalloc.get_traced_memory()[1]
        assert sum(map(len, body.chunks())) == 1600 * 65_536
        assert peak < 3_000_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_a_body_outlives_its_store_and_closes_its_file():
    gc.collect()
    before = open_files()
    store = Store(body_memory_limit=10)
    sink = store.body()
    sink.write(b"x" * 100)
    body = sink.close()
    late = store.body()
    late.write(b"late" * 10)
    store.close()
    store.clear()
    del store, sink
    gc.collect()
    assert open_files() == before + 1
    assert body.read() == b"x" * 100
    late.write(b"r")
    assert late.close().read() == b"late" * 10 + b"r"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del body, late
        gc.collect()
    assert open_files() == before


def test_after_clear_another_file_is_used():
    store = Store(body_memory_limit=10)
    first = store.body()
    first.write(b"a" * 20)
    first = first.close()
    store.clear()
    second = store.body()
    second.write(b"b" * 20)
    second = second.close()
    assert first._file is not second._file
    assert second._extents == ((0, 20),)
    assert (first.read(), second.read()) == (b"a" * 20, b"b" * 20)


def test_a_full_file_is_left_for_another(spool, monkeypatch):
    monkeypatch.setattr(bodies, "_FILE_SIZE", 3000)
    kept = []
    for _ in range(4):
        sink = spool.sink()
        sink.write(b"z" * 2000)
        kept.append(sink.close())
    assert len({id(body._file) for body in kept}) == 2


def test_a_full_disk_is_told_once_and_traffic_goes_on(tmp_path):
    told = []
    store = Store(body_memory_limit=1000, spool_dir=tmp_path, on_problem=told.append)
    whole = bytes(range(256)) * 4000
    with file_size_limit(300_000):
        sink = store.body()
        for start in range(0, len(whole), 10_000):
            sink.write(whole[start : start + 10_000])
        body = sink.close()
        other = store.body()
        other.write(b"y" * 500_000)
        other = other.close()
    assert body.truncated
    assert 0 < body.size_bytes < len(whole)
    assert body.read() == whole[: body.size_bytes]
    assert sink.lost_bytes == len(whole) - body.size_bytes
    assert repr(body).endswith("truncated>")
    assert other.truncated
    assert other.read() == b"y" * other.size_bytes
    assert len(told) == 1
    assert "cannot be recorded whole" in told[0]
    assert str(tmp_path) in told[0]
    assert store.spool.problems == 2
    again = store.body()  # there is room again
    again.write(whole)
    again = again.close()
    assert not again.truncated
    assert again.read() == whole


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
