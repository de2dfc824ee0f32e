"""The folder of private captures: what crashed processes left there, and what others use."""

import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nbproxy.errors import FormatError
from nbproxy.store import captures
from nbproxy.store.capture_file import take_lock
from nbproxy.store.captures import Capture, Captures, recover
from nbproxy.store.session import Reader, Session
from tests.store.flow_factory import answer, end, new_flow

ROOT = Path(__file__).parents[2]
CRASH = """
import os, sys
from pathlib import Path
from nbproxy.store.session import Session
from tests.store.flow_factory import answer, end, new_flow
session = Session(directory=Path(sys.argv[1]))
for i in range(int(sys.argv[2])):
    flow = new_flow(f"/{i}", start=1.7e9 + i + int(sys.argv[3]))
    answer(flow, content=b"x" * 300_000)
    end(flow)
    session.put(flow)
session.flush()
if sys.argv[4:] == ["closed"]:
    session.close(keep=False)
os._exit(1)
"""


def crash(folder, flows=2, later_s=0, *more):
    """A process that records flows and ends without a word."""
    arguments = map(str, [folder, flows, later_s, *more])
    subprocess.run([sys.executable, "-c", CRASH, *arguments], cwd=ROOT, check=False)


def test_captures_of_crashed_processes_are_found_the_newest_first(tmp_path):
    crash(tmp_path, 2, 100)
    crash(tmp_path, 3, 50)
    found = recover(tmp_path)
    assert [capture.flows for capture in found] == [2, 3]
    first = found[0]
    assert first.path.parent == tmp_path
    assert first.size_bytes > 600_000
    assert first.pid is not None
    assert first.problem == ""
    assert time.time() - 100 < first.started.timestamp() <= time.time()
    assert first.ended == datetime.fromtimestamp(1.7e9 + 101.5, UTC)
    assert not list(tmp_path.glob("*.lock"))
    assert len(recover(tmp_path)) == 2


def test_those_of_living_processes_are_left_alone(tmp_path):
    session = Session(directory=tmp_path)
    flow = new_flow()
    answer(flow)
    end(flow)
    session.put(flow)
    assert session.flush(120)
    assert len(recover(tmp_path)) == 0
    assert session.path.exists()
    session.put(flow)
    assert session.flush(120)
    session.close(keep=False)
    assert len(recover(tmp_path)) == 0
    assert session.path.exists()
    assert session.read([flow.id])[0].id == flow.id


def test_what_was_to_be_removed_and_what_is_empty_goes(tmp_path):
    crash(tmp_path, 2, 0, "closed")
    assert list(tmp_path.glob("*.nbproxy"))
    (tmp_path / "empty.nbproxy").touch()
    Session(tmp_path / "no-flows.nbproxy").close(keep=True)
    (tmp_path / "notes.txt").touch()
    assert len(recover(tmp_path)) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_a_damaged_one_is_listed_with_its_problem(tmp_path):
    (tmp_path / "broken.nbproxy").write_bytes(b"nothing that anybody can read" * 100)
    crash(tmp_path)
    [good, bad] = sorted(recover(tmp_path), key=lambda capture: capture.problem)
    assert good.flows == 2
    assert bad.problem.startswith("damaged: ")
    assert "broken.nbproxy" in repr(Captures([bad]))
    assert bad.path.exists()
    with pytest.raises(FormatError):
        bad.save(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_no_folder_no_captures(tmp_path):
    assert len(recover(tmp_path / "nowhere")) == 0


def test_opening(tmp_path, monkeypatch):
    crash(tmp_path)
    [capture] = recover(tmp_path)
    monkeypatch.setattr(Capture, "opener", staticmethod(Reader))
    reader = capture.open()
    paths = [flow.request.path for flow in reader.read(reader.ids())]
    assert paths == ["/0", "/1"]
    monkeypatch.setattr(Capture, "opener", None)
    with pytest.raises(RuntimeError, match=r"import nbproxy\.saved"):
        capture.open()


def test_saving(tmp_path):
    folder = tmp_path / "captures"
    crash(folder)
    [capture] = recover(folder)
    target = tmp_path / "mine.nbproxy"
    for _ in range(2):
        assert capture.save(str(target)) == target
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["mine.nbproxy"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    reader = Reader(target)
    flows = reader.read(reader.ids())
    assert [flow.response.raw_content for flow in flows] == [b"x" * 300_000] * 2
    with closing(sqlite3.connect(target)) as db:
        [(started,)] = db.execute("SELECT value FROM meta WHERE name = 'started'").fetchall()
    assert started == pytest.approx(capture.started.timestamp())
    assert capture.path.exists()


def test_saving_in_a_folder_that_is_not_there(tmp_path):
    crash(tmp_path)
    [capture] = recover(tmp_path)
    target = tmp_path / "no" / "x.nbproxy"
    with pytest.raises(FileNotFoundError, match="folder of this capture") as caught:
        capture.save(target)
    assert caught.value.filename == str(target)


def test_saving_where_somebody_records(tmp_path):
    folder = tmp_path / "captures"
    crash(folder)
    [capture] = recover(folder)
    lock = take_lock(tmp_path / "x")
    with pytest.raises(FormatError, match="is being recorded"):
        capture.save(tmp_path / "x")
    os.close(lock)


def test_deleting(tmp_path):
    crash(tmp_path)
    crash(tmp_path)
    found = recover(tmp_path)
    found[0].delete()
    assert len(recover(tmp_path)) == 1
    found.delete()
    assert list(tmp_path.iterdir()) == []
    assert len(found) == 2


def test_as_a_sequence(tmp_path):
    found = Captures(Capture(Path(f"/{i}")) for i in range(3))
    assert [capture.path.name for capture in found] == ["0", "1", "2"]
    assert isinstance(found[1:], Captures)
    assert len(found[1:]) == 2
    assert found[-1].path.name == "2"
    with pytest.raises(IndexError, match="no capture 3: 3 were left behind"):
        found[3]
    with pytest.raises(IndexError, match="no capture 0: none were left behind"):
        Captures([])[0]


def test_how_they_look():
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    one = Capture(Path("/c/a.nbproxy"), 1, moment, moment, 12_345_678, 17)
    two = Capture(Path("/c/<b>.nbproxy"), 4321, moment, None, 999)
    lost = Capture(Path("/c/x.nbproxy"), size_bytes=5 * 10**9, problem="damaged: <why>")
    found = Captures([one, two, lost])
    shown = repr(found)
    assert "<Captures: 3 left behind>" in shown
    assert "[0]  " in shown
    assert "1 flow " in shown
    assert "12.3 MB" in shown
    assert "process 17" in shown
    assert "4,321 flows" in shown
    assert "999 B" in shown
    assert "5.0 GB" in shown
    assert "/c/a.nbproxy" in shown
    page = found._repr_html_()
    assert "&lt;b&gt;.nbproxy" in page
    assert "damaged: &lt;why&gt;" in page
    assert "<b>" not in page
    assert repr(Captures([])) == "<Captures: none was left behind>"
    assert "No capture was left behind" in Captures([])._repr_html_()


def test_where_they_lie_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(captures, "user_state_path", lambda name: tmp_path / "state" / name)
    monkeypatch.setattr(captures.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    file = captures.new_file()
    assert file.path.parent == tmp_path / "state" / "nbproxy" / "captures"
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    name = f"{datetime.now(UTC):%Y%m%d}"
    assert file.path.name.startswith(name)
    assert f"-{os.getpid()}-" in file.path.name
    file.end()
    crash(captures.default_directory())
    assert len(recover()) == 1


def test_where_they_lie_if_the_home_is_read_only(tmp_path, monkeypatch):
    (tmp_path / "state").write_text("no folder")
    monkeypatch.setattr(captures, "user_state_path", lambda name: tmp_path / "state" / name)
    monkeypatch.setattr(captures.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    with pytest.raises(OSError, match="state"):
        captures.new_file()
    (tmp_path / "tmp").mkdir()
    file = captures.new_file()
    assert file.path.parent == tmp_path / "tmp" / f"nbproxy-{os.getuid()}" / "captures"
    assert stat.S_IMODE(file.path.parent.parent.stat().st_mode) == 0o700
    file.end()
    monkeypatch.setattr(captures.os, "getuid", lambda: 12345)
    (tmp_path / "tmp" / "nbproxy-12345").mkdir()  # by somebody else
    with pytest.raises(OSError, match="state"):
        captures.new_file()


def test_one_that_goes_meanwhile_is_not_listed(tmp_path, monkeypatch):
    crash(tmp_path)

    def gone(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(captures, "_examine", gone)
    assert len(recover(tmp_path)) == 0
