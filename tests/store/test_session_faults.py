"""A disk that refuses, files that go: one clear warning, nothing stops, recording resumes."""

import contextlib
import errno
import logging
import os
import resource
import shutil
import signal
import sqlite3
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from nbproxy.store import writer
from nbproxy.store.session import Reader, Session
from nbproxy.store.troubles import Trouble, kind_of, warn
from tests.store.flow_factory import answer, end, new_flow

LONG_S = 120  # ends a test that hangs


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


def done(path="/", **answered):
    flow = new_flow(path)
    answer(flow, **answered)
    end(flow)
    return flow


def until(condition, timeout_s=LONG_S):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Recording:
    """A session and all that it says."""

    def __init__(self, path=None, **options):
        self.problems = []
        self.lost = []
        self.session = Session(
            path, on_problem=self.problems.append, on_lost=self.lost.extend, **options
        )

    def put(self, *flows, flush=True):
        for flow in flows:
            self.session.put(flow)
        if flush:
            assert self.session.flush(LONG_S)
        return [flow.id for flow in flows]


@contextlib.contextmanager
def waiting_for(session, count):
    """What is put meanwhile, so much of it, the writer takes up together."""
    at_it, go_on = threading.Event(), threading.Event()

    def hold():
        at_it.set()
        go_on.wait(LONG_S)

    with ThreadPoolExecutor() as pool:
        ordered = pool.submit(session._writer.order, hold)
        assert at_it.wait(LONG_S)
        try:
            yield pool
            until(lambda: len(session._writer._queue) == count)
        finally:
            go_on.set()
        ordered.result(LONG_S)


def all_at_once(session, remove):
    """Have files removed while the writer does not look: it would write them again in between."""
    session._writer.order(remove)


@pytest.fixture
def quick(monkeypatch):
    """A disk that refuses is tried again soon."""
    monkeypatch.setattr(writer, "_TICK_S", 0.05)
    monkeypatch.setattr(writer, "_LAST_TRIES_S", 0.1)


@pytest.fixture
def recording(tmp_path, quick):
    recording = Recording(directory=tmp_path / "captures", inline_limit_bytes=1000)
    yield recording
    recording.session.close(keep=False)


def test_a_full_disk(recording):
    session = recording.session
    ids = recording.put(done("/before"))
    with file_size_limit(200_000):
        flows = [done(f"/{i}", content=os.urandom(900)) for i in range(1000)]
        ids += recording.put(*flows, flush=False)
        until(lambda: recording.problems)
        assert not session.flush(0.2)
        assert not session.congested
        called = threading.Event()
        session.when_room(called.set)
        assert called.is_set()
        assert session.read(ids[:1])[0].request.path == "/before"
    assert session.flush(LONG_S)
    assert session.ids() == ids
    assert len(recording.problems) == 1
    reached = f"the capture {session.path} has reached the file size limit of this process, 200,000"
    assert reached in recording.problems[0]
    assert "Traffic goes on" in recording.problems[0]
    assert recording.lost == []
    with file_size_limit(200_000):  # told anew when it happens anew
        recording.put(*[done(content=os.urandom(900)) for _ in range(1000)], flush=False)
        until(lambda: len(recording.problems) == 2)
    assert session.flush(LONG_S)


def test_it_can_be_asked_how_it_is(recording, monkeypatch):
    monkeypatch.setattr(writer, "MAX_UNWRITTEN", 50)
    session = recording.session
    recording.put(done())
    assert session.refusal == ("", 0)
    with file_size_limit(100):
        flows = [done() for _ in range(20)]
        recording.put(*flows, *flows, flush=False)  # changed meanwhile: each is counted once
        until(lambda: session.refusal[1] == 20)
        why, _ = session.refusal
        assert recording.problems[0].startswith(f"{why}. Traffic goes on")
        assert session.lost == 0
        recording.put(*[done() for _ in range(100)], flush=False)
        until(lambda: session.refusal[1] == 50)
        assert session.lost >= 90
    assert session.flush(LONG_S)
    assert session.refusal == ("", 0)


def test_flows_wait_for_no_reason_at_no_time(recording, monkeypatch):
    """Who is let go on as the disk begins to refuse, and asks, hears of both or of neither."""
    session = recording.session
    recording.put(done())
    found = []
    monkeypatch.setattr(writer, "MAX_WAITING", -1)
    session.when_room(lambda: found.append(session.refusal))
    with file_size_limit(100):
        recording.put(done(), flush=False)
        until(lambda: recording.problems)
    assert found
    assert all(bool(why) == bool(count) for why, count in found)
    assert session.flush(LONG_S)


def test_who_has_waited_finds_no_trouble_any_more(recording, monkeypatch):
    """The trouble is over before that is told, not just after it."""
    session = recording.session
    recording.put(done())
    found = []

    class Told(Future):
        def set_result(self, result):
            found.append((result, session.refusal))
            super().set_result(result)

    monkeypatch.setattr(writer, "Future", Told)
    with ThreadPoolExecutor() as pool, file_size_limit(100):
        recording.put(done(), flush=False)
        until(lambda: recording.problems)
        assert session.refusal[1] == 1
        flushed = pool.submit(session.flush, LONG_S)
        until(lambda: len(session._writer._waiting) == 2)
    assert flushed.result()
    assert found == [(True, ("", 0))]


def test_what_is_kept_in_memory_meanwhile_is_bounded(recording, monkeypatch):
    monkeypatch.setattr(writer, "MAX_UNWRITTEN", 50)
    session = recording.session
    recording.put(done())
    with file_size_limit(100):
        first = recording.put(*[done() for _ in range(100)], flush=False)
        until(lambda: recording.lost)
        more = recording.put(*[done() for _ in range(100)], flush=False)
        until(lambda: len(recording.lost) == 150)
    until(lambda: session.ids()[1:] == more[50:])
    assert [flow.id for flow in recording.lost] == [*first, *more[:50]]
    assert session.lost == 150
    assert len(recording.problems) == 1


def test_a_body_that_comes_meanwhile_is_cut(recording, monkeypatch):
    monkeypatch.setattr(writer, "MAX_WAITING_BYTES", 100_000)
    session = recording.session
    sink = session.sink()
    sink.write(b"a" * 2000)
    assert session.flush(LONG_S)
    with file_size_limit(100):
        for _ in range(10):
            sink.write(b"b" * 300_000)
            until(lambda: recording.problems)
        until(lambda: sink.truncated)
        sink.write(b"c" * 10)
    flow = done()
    flow.response.hold_body(sink.close())
    recording.put(flow)
    [again] = session.read([flow.id])
    assert again.response.raw_content.startswith(b"a" * 2000)
    assert again.response._content.truncated
    assert again.response.body_size == len(again.response.raw_content) < 400_000
    assert sink.lost_bytes == 3_002_010 - sink.size_bytes
    assert session.columns([flow.id])[1]["response_bytes"] == [sink.size_bytes]


def test_a_body_of_which_nothing_was_written(recording, monkeypatch):
    monkeypatch.setattr(writer, "MAX_WAITING_BYTES", 100)
    session = recording.session
    recording.put(done())
    sink = session.sink()
    with file_size_limit(100):
        sink.write(b"b" * 300_000)
        until(lambda: sink.truncated)
    flow = done()
    flow.response.hold_body(sink.close())
    recording.put(flow)
    [again] = session.read([flow.id])
    assert again.response.raw_content == b""


def test_a_folder_that_cannot_be_made(tmp_path, quick):
    place = tmp_path / "place"
    place.write_text("a file where a folder should be")
    recording = Recording(directory=place)
    ids = recording.put(done(), flush=False)
    until(lambda: recording.problems)
    ids += recording.put(done(), flush=False)
    assert not recording.session.flush(0.2)
    assert recording.session.path is None
    place.unlink()
    assert recording.session.flush(LONG_S)
    assert recording.session.ids() == ids
    assert len(recording.problems) == 1
    assert "cannot be written" in recording.problems[0]
    recording.session.close(keep=False)


def test_a_locked_file(recording):
    session = recording.session
    ids = recording.put(done())
    with contextlib.closing(sqlite3.connect(session.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ids += recording.put(done(), flush=False)
        until(lambda: recording.problems)
        assert "another program has locked" in recording.problems[0]
        assert session.read(ids)[1] is None
        other.execute("ROLLBACK")
    assert session.flush(LONG_S)
    assert session.ids() == ids
    assert len(recording.problems) == 1


def test_closing_while_the_disk_refuses_gives_up_soon(recording):
    recording.put(done())
    with file_size_limit(100):
        recording.put(done(), flush=False)
        until(lambda: recording.problems)
        recording.session.close(keep=False)
    assert len(recording.lost) == 1


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("how", ["file", "all", "folder"])
def test_a_file_that_is_deleted_is_written_again(tmp_path, quick, kept, how):
    folder = tmp_path / "here"
    folder.mkdir()
    path = folder / "mine.nbproxy"
    recording = Recording(path) if kept else Recording(directory=folder)
    session = recording.session
    session.inline_limit_bytes = 100
    flow = done(content=b"x" * 2000)
    ids = recording.put(flow, *[done(f"/{i}") for i in range(50)])
    path = session.path

    def remove():
        if how == "folder":
            shutil.rmtree(folder)
        else:
            for file in [path] if how == "file" else list(folder.iterdir()):
                file.unlink()

    all_at_once(session, remove)
    if how == "all":
        assert session.read(ids[:1])[0].response.raw_content == b"x" * 2000
    until(lambda: recording.problems)
    ids += recording.put(done("/after"))
    assert session.ids() == ids
    assert session.path == path
    assert session.read(ids)[0].response.raw_content == b"x" * 2000
    assert len(recording.problems) == 1
    assert "was removed or replaced" in recording.problems[0]
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM flows").fetchall() == [(52,)]
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    session.close(keep=kept)
    if kept:
        assert [file.name for file in folder.iterdir()] == [path.name]
        assert len(Reader(path).ids()) == 52
    else:
        del session, recording
        until(lambda: list(folder.iterdir()) == [])


def test_a_file_that_is_replaced_stays_what_it_is_now(tmp_path, quick):
    path = tmp_path / "mine.nbproxy"
    recording = Recording(path)
    ids = recording.put(*[done(f"/{i}") for i in range(50)])
    other = tmp_path / "other"
    other.write_text("somebody's notes")
    other.replace(path)
    until(lambda: recording.problems)
    ids += recording.put(done())
    session = recording.session
    assert session.path == tmp_path / "mine-2.nbproxy"
    assert session.ids() == ids
    assert path.read_text() == "somebody's notes"
    session.close(keep=True)
    assert len(Reader(tmp_path / "mine-2.nbproxy").ids()) == 51


def test_recording_goes_on_if_it_cannot_be_written_again(tmp_path, quick, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    recording = Recording(folder / "mine.nbproxy")
    session = recording.session
    ids = recording.put(done())
    session.ids()  # has a connection to read from

    def replace():
        shutil.rmtree(folder)
        folder.write_text("in the way")

    all_at_once(session, replace)
    until(lambda: recording.problems)
    ids += recording.put(done())
    assert session.ids() == ids
    assert len(recording.problems) == 1
    folder.unlink()
    until(lambda: len(recording.problems) == 2)
    assert session.ids() == ids
    assert len(Reader(session.path).ids()) == 2
    session.close(keep=False)


@pytest.mark.parametrize("kept", [True, False])
def test_a_damaged_file_is_left_and_another_begun(tmp_path, quick, kept):
    recording = Recording(tmp_path / "mine.nbproxy") if kept else Recording(directory=tmp_path)
    session = recording.session
    ids = recording.put(*[done(f"/{i}", content=b"x" * 900) for i in range(2000)])
    path = session.path
    # all of it, also the part that is in memory as a log
    session._writer.order(
        lambda: session._writer.file.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    )
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    session.delete(ids)  # so that it is looked at: writing touches new pages only
    until(lambda: session.path != path)
    assert session.path == path.with_stem(f"{path.stem}-2")
    ids = recording.put(done("/after"))
    assert session.read(ids)[0].request.path == "/after"
    count = len(session.ids())
    assert any("is damaged" in problem for problem in recording.problems)
    assert "Recording goes on in" in recording.problems[-1]
    session.close(keep=True)
    assert len(Reader(session.path).ids()) == count


def test_a_bug_costs_what_it_meets_and_no_more(recording, monkeypatch, caplog):
    session = recording.session
    ids = recording.put(done())
    monkeypatch.setattr("nbproxy.store.encoding.to_row", lambda *_: 1 / 0)
    sink = session.sink()
    with waiting_for(session, 3) as pool:
        sink.write(b"x" * 2000)
        session.put(done())
        flushed = pool.submit(session.flush, LONG_S)
    assert not flushed.result(LONG_S)
    monkeypatch.undo()
    ids += recording.put(done())
    assert session.ids() == ids
    assert session.lost == 1
    assert sink.truncated
    assert "1 flows were not recorded" in caplog.text


def test_who_is_told_may_fail(tmp_path, quick, caplog):
    def fail(_):
        raise RuntimeError("no")

    session = Session(directory=tmp_path / "c", on_problem=fail, on_lost=fail)
    session.put(done())
    assert session.flush(LONG_S)
    with file_size_limit(100):
        session.put(done())
        until(
            lambda: any(
                text in caplog.text for text in ("cannot", "no room", "does not", "has reached")
            )
        )
        session.close(keep=False)
    assert "what was lost could not be reported" in caplog.text


def test_without_anybody_to_tell_it_warns(tmp_path, quick):
    place = tmp_path / "place"
    place.write_text("")
    session = Session(directory=place)
    warned = []
    session._writer._recorded.trouble = Trouble(warned.append)
    session.put(done())
    until(lambda: warned)
    session.close(keep=False)
    with pytest.warns(RuntimeWarning, match="room"):
        warn("no room")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(28, "No space left on device"), "full"),
        (PermissionError(13, "Permission denied"), "denied"),
        (OSError(5, "Input/output error"), "disk"),
        (OSError("whatever"), "disk"),
        (sqlite3.ProgrammingError("closed"), "disk"),
        (ValueError("?"), "disk"),
    ],
)
def test_kinds_of_trouble(error, kind):
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    ("size", "error", "reached"),
    [
        (0, OSError(errno.EFBIG, "File too large"), True),
        (0, OSError(errno.ENOSPC, "No space left on device"), False),
        (0, OSError(errno.EIO, "Input/output error"), False),
        (990_000, sqlite3.OperationalError("disk I/O error"), True),
        (500_000, sqlite3.OperationalError("disk I/O error"), False),
        (990_000, ValueError("?"), False),
    ],
)
def test_a_limit_of_file_sizes_is_said_where_that_can_be_told(tmp_path, size, error, reached):
    path = tmp_path / "a.nbproxy"
    (tmp_path / "a.nbproxy-wal").write_bytes(bytes(size))
    told = []
    with file_size_limit(1_000_000):
        Trouble(told.append).met(error, path)
    Trouble(told.append).met(error, path)  # without a limit
    assert ["file size limit" in text for text in told] == [reached, False]


def test_kinds_of_trouble_of_sqlite(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "a")) as db:
        with pytest.raises(sqlite3.OperationalError) as missing:
            db.execute("SELECT * FROM flows")
        db.execute("PRAGMA query_only = 1")
        with pytest.raises(sqlite3.OperationalError) as denied:
            db.execute("CREATE TABLE t (x)")
    assert kind_of(missing.value) == "damaged"
    assert kind_of(denied.value) == "denied"
    logging.getLogger("nbproxy").debug("both were met")
