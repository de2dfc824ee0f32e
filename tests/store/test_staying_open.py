"""Whatever else this process does with a capture it records: others do not remove its log."""

import os
import subprocess
import sys

import pytest

from nbproxy.saved import open as open_flows
from nbproxy.store import staying_open
from nbproxy.store.capture_file import LOG, beside
from nbproxy.store.saved_file import is_capture
from nbproxy.store.session import Reader, Session
from tests.store.flow_factory import answer, end, new_flow

LOOK = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as db:
    print([path for (path,) in db.execute("SELECT path FROM flows ORDER BY id")])
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no such lock")


def done(path):
    flow = new_flow(path)
    answer(flow)
    end(flow)
    return flow


def look_from_outside(path):
    """What another program finds, which then closes the file."""
    found = subprocess.run(
        [sys.executable, "-c", LOOK, path], capture_output=True, text=True, check=True, timeout=600
    )
    return found.stdout.strip()


def records_on(session, path):
    """Whether what is recorded after somebody has looked is in the file, too."""
    assert look_from_outside(path) == "['/before']"
    assert beside(path, "-wal").exists()
    session.put(done("/after"))
    assert session.flush(60)
    assert look_from_outside(path) == "['/before', '/after']"
    return session.columns(None)[1]["path"] == ["/before", "/after"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.nbproxy"


@pytest.fixture
def session(path):
    session = Session(path)
    session.put(done("/before"))
    assert session.flush(60)
    yield session
    session.close(keep=True)


@pytest.mark.parametrize(
    "read", [is_capture, lambda path: Reader(path).columns(None), lambda path: open_flows(path).df]
)
def test_the_process_that_records_may_open_its_capture(path, session, read, monkeypatch):
    with monkeypatch.context() as patch:  # as where there is no second lock
        patch.setattr(staying_open, "_SET", None)
        other = path.with_name("other.nbproxy")
        second = Session(other)
        second.put(done("/before"))
        assert second.flush(60)
        read(other)
        assert records_on(second, other)
        second.close(keep=True)
    read(path)
    assert records_on(session, path)


@on_linux
def test_the_process_that_records_may_read_the_file_itself(path, session):
    assert path.read_bytes()
    assert records_on(session, path)


@on_linux
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_child_that_lives_on_holds_nothing(path, session):
    """Otherwise nobody could bring the log into the file, after a crash."""
    ready, tell = os.pipe()
    leave, let_go = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover - another process
        os.write(tell, b"x")
        os.close(let_go)
        os.read(leave, 1)
        os._exit(0)
    try:
        os.read(ready, 1)
        session._writer.file._ending.staying.close()  # as if we were killed
        look_from_outside(path)
        assert not beside(path, "-wal").exists()
    finally:
        os.close(let_go)
        os.waitpid(child, 0)
        for fd in (ready, tell, leave):
            os.close(fd)


def test_in_the_end_there_is_one_plain_file(path, session):
    path.read_bytes()
    session.close(keep=True)
    assert not any(beside(path, suffix).exists() for suffix in (*LOG, ".lock"))
    assert look_from_outside(path) == "['/before']"


def test_a_file_system_without_such_locks(tmp_path):
    nothing = staying_open.StayingOpen(tmp_path / "missing")
    nothing.let_go()
    nothing.close()


def test_a_file_that_is_cut_short_is_a_capture_all_the_same(path, session):
    """As one is whose process was killed while the log was brought into it."""
    session.close(keep=True)
    os.truncate(path, path.stat().st_size - 8192)
    assert is_capture(path)
