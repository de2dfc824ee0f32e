"""What a disk may do to a recording proxy: traffic goes on, and people are told, once.

Each proxy records in a process of its own, so that limits are for it alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading

import pytest

import nbproxy
from tests.support.proxies import Origin, Wire, answering, response, wait_until
from tests.support.recorder import Recorder


def can_mount():
    """Whether a small disk can be had, which takes the superuser."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if done:
            subprocess.run(["umount", folder], check=True)
    return done


class FileLimit:
    """A limit of how large the process's files may get. To SQLite that is an I/O error."""

    text = "has reached the file size limit of this process"

    def __init__(self, folder):
        self.folder = folder

    def fill(self, recorder, spare):
        size = max(each.stat().st_size for each in self.folder.iterdir())
        recorder.ask(f"limit({size + spare})")

    def free(self, recorder):
        recorder.ask("limit(None)")


class SmallDisk(FileLimit):
    """A disk with little room."""

    text = "there is no room left for the capture"

    def fill(self, recorder, spare):
        (self.folder / "ballast").write_bytes(bytes(shutil.disk_usage(self.folder).free - spare))

    def free(self, recorder):
        (self.folder / "ballast").unlink()


@pytest.fixture(params=["file limit", "small disk"] if can_mount() else ["file limit"])
def disk(request, tmp_path):
    """A folder on a disk that can be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "file limit":
        yield FileLimit(folder)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "none", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def origin():
    """Answers `/SIZE/WORD` with WORD, filled up to SIZE bytes that hardly can be compressed."""

    def answer(message):
        _, size, word = message.target.decode().split("/")
        return response(word.encode().ljust(int(size), b"."))

    origin = Origin(answering(answer))
    yield origin
    origin.close()


@pytest.fixture
def record(tmp_path, origin):
    """Starts recording processes; asks through them."""
    with contextlib.ExitStack() as stack:

        def start(**options):
            folders = {"confdir": str(tmp_path / "confdir"), "capture_dir": str(tmp_path / "own")}
            return stack.enter_context(Asked(origin, {**folders, **options}))

        yield start


class Asked(Recorder):
    """A recording process with a client of it.

    Args:
        origin: Whom it asks.
        options: Of the proxy.
    """

    def __init__(self, origin, options):
        super().__init__(options)
        self._origin = origin.url

    def get(self, *paths):
        """Ask, one after the other over one connection; all must be answered."""
        with Wire.to(self.port) as wire:
            for path in paths:
                answer = wire.get(self._origin + path)
                _, size, word = path.split("/")
                assert answer.status == 200
                assert answer.body == word.encode().ljust(int(size), b".")
        wait_until(lambda: self.ask("over()"), "its end")

    def flush(self):
        assert self.ask("proxy.store.flush(120)")

    @contextlib.contextmanager
    def stopped(self):
        """It does nothing meanwhile, whatever is done to its files, in however many steps."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @property
    def heard(self):
        return self.ask("heard")

    @property
    def path(self):
        return self.ask("str(proxy.store.session.path)")

    def wait_heard(self, text):
        wait_until(lambda: any(text in each for each in self.heard), text)

    @property
    def paths(self):
        """All paths, by way of the flows and of the frame."""
        by_flow = self.ask("[flow.request.path for flow in proxy.flows]")
        assert self.ask("proxy.df.path.tolist()") == by_flow
        return by_flow


def stored(path):
    """The paths in a capture as SQLite sees it, for it is sound."""
    where = f"file:{path}?mode=ro"
    with contextlib.closing(sqlite3.connect(where, uri=True, timeout=60)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [path for (path,) in database.execute("SELECT path FROM flows ORDER BY id")]


def names(word, count, size=900):
    return [f"/{size}/{word}{number}" for number in range(count)]


def test_no_room(record, disk):
    path = disk.folder / "full.nbproxy"
    recorder = record(capture=str(path))
    before = names("before", 20)
    recorder.get(*before)
    recorder.flush()
    disk.fill(recorder, 1000)
    during = names("during", 100, 20_000)
    recorder.get(*during[:50])
    recorder.wait_heard(disk.text)
    recorder.get(*during[50:])
    assert recorder.paths == before + during
    (text,) = recorder.heard
    assert str(path) in text
    assert "Traffic goes on" in text
    disk.free(recorder)
    recorder.flush()
    after = names("after", 5)
    recorder.get(*after)
    recorder.flush()
    assert stored(path) == recorder.paths == before + during + after
    assert recorder.ask("proxy.store.session.lost") == 0
    assert recorder.ask("bytes(proxy.flows[60].response.content).decode()[:8]") == "during40"
    assert len(recorder.heard) == 1


def test_no_room_in_the_middle_of_a_large_body(record, disk):
    path = disk.folder / "full.nbproxy"
    recorder = record(capture=str(path), body_memory_limit="16k")
    recorder.get("/900/first")
    recorder.flush()
    disk.fill(recorder, 300_000)
    recorder.get("/4000000/large")
    recorder.wait_heard(disk.text)
    disk.free(recorder)
    recorder.flush()
    recorder.get("/400000/again")
    recorder.flush()
    assert stored(path) == ["/900/first", "/4000000/large", "/400000/again"]
    flows = nbproxy.open(path)
    assert [flow.response.body_size for flow in flows] == [900, 4_000_000, 400_000]
    assert [len(flow.response.raw_content) for flow in flows] == [900, 4_000_000, 400_000]


def test_a_disk_that_stays_full_loses_the_oldest(record, disk):
    path = disk.folder / "full.nbproxy"
    recorder = record(capture=str(path), body_memory_limit="1m")
    recorder.get("/900/first")
    recorder.flush()
    disk.fill(recorder, 1000)
    recorder.get("/500000/kept0")
    recorder.wait_heard(disk.text)
    recorder.get(*names("kept", 150, 500_000)[1:])
    wait_until(lambda: recorder.ask("proxy.store.session.lost") > 5, "some are given up")
    recorder.get("/900/last")
    disk.free(recorder)
    recorder.flush()
    lost = recorder.ask("proxy.store.session.lost")
    assert lost <= 40  # 75 MB came, 64 MiB are kept
    assert recorder.paths == stored(path)
    assert stored(path) == ["/900/first", *names("kept", 150, 500_000)[lost:], "/900/last"]
    assert len(recorder.heard) == 1


def test_a_folder_that_cannot_be_made(record, tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    recorder = record(capture_dir=str(blocked / "captures"))
    first = names("first", 30)
    recorder.get(*first)
    recorder.wait_heard("cannot be written")
    recorder.get("/900/more")
    assert recorder.paths == [*first, "/900/more"]
    assert len(recorder.heard) == 1
    assert str(blocked) in recorder.heard[0]
    blocked.unlink()
    recorder.flush()
    assert stored(recorder.path) == [*first, "/900/more"]


def test_a_capture_that_cannot_be_made_is_said_where_it_is_asked_for(record, tmp_path):
    recorder = record()
    recorder.get("/900/x")
    with pytest.raises(AssertionError, match="no folder"):
        recorder.ask(f"setattr(proxy.options, 'capture', {str(tmp_path / 'no folder' / 'x')!r})")
    assert recorder.ask("proxy.options.capture") is None
    recorder.get("/900/y")
    recorder.flush()
    assert stored(recorder.path) == ["/900/x", "/900/y"]
    assert recorder.heard == []


def test_a_folder_that_is_read_only(record, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    recorder = record(capture_dir=str(folder))
    if os.geteuid() == 0:  # whom no rights bind
        recorder.ask("os.seteuid(65534)")
    recorder.get("/900/x")
    recorder.wait_heard("see to the rights")
    folder.chmod(0o700)
    if os.geteuid() == 0:
        recorder.ask("os.seteuid(0)")
    recorder.get("/900/y")
    recorder.flush()
    assert stored(recorder.path) == recorder.paths == ["/900/x", "/900/y"]
    assert len(recorder.heard) == 1


def test_a_capture_is_kept_whatever_becomes_of_the_option(record, tmp_path):
    path = tmp_path / "mine.nbproxy"
    recorder = record()
    recorder.get("/900/x")
    recorder.flush()
    recorder.ask(f"setattr(proxy.options, 'capture', {str(path)!r})")
    with pytest.raises(AssertionError, match="as long as this proxy runs"):
        recorder.ask("setattr(proxy.options, 'capture', None)")
    recorder.get("/900/y")
    assert recorder.close() == 0
    assert stored(path) == ["/900/x", "/900/y"]
    assert not list((tmp_path / "own").iterdir())


@pytest.mark.parametrize("how", ["deleted", "replaced", "emptied folder"])
def test_a_capture_that_is_taken_away(record, tmp_path, how):
    path = tmp_path / "mine" / "x.nbproxy"
    path.parent.mkdir()
    recorder = record(capture=str(path), body_memory_limit="16k")
    before = [*names("before", 20), "/100000/large"]
    recorder.get(*before)
    recorder.flush()
    with recorder.stopped():
        if how == "emptied folder":
            for each in path.parent.iterdir():
                each.unlink()
        else:
            path.unlink()
        if how == "replaced":
            path.write_text("something else")
    recorder.wait_heard("was removed or replaced")
    after = names("after", 20)
    recorder.get(*after)
    recorder.flush()
    assert recorder.paths == before + after
    assert stored(recorder.path) == before + after
    assert recorder.ask("len(proxy.flows[20].response.content)") == 100_000
    assert len(recorder.heard) == 1
    if how == "replaced":
        assert path.read_text() == "something else"
        assert recorder.path in recorder.heard[0]
    else:
        assert recorder.path == str(path)


READER = """
import json, sys, nbproxy
flows = nbproxy.open(sys.argv[1])
df = flows.df
bodies = [len(flow.response.content) for flow in flows]
print(json.dumps([len(flows), df.path.tolist(), bodies]))
"""


def test_two_readers_while_it_records(record, tmp_path):
    path = tmp_path / "read.nbproxy"
    recorder = record(capture=str(path))
    recorder.get("/900/first")
    recorder.flush()
    done = threading.Event()
    seen = []

    def ask():
        number = 0
        while not done.is_set():
            recorder.get(*(f"/900/word{number + each}" for each in range(50)))
            number += 50

    def look():
        while not done.is_set():
            seen.append(len(stored(path)))

    threads = [threading.Thread(target=each) for each in (ask, look)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: seen and seen[-1] > seen[0], "more flows")
        for _ in range(2):
            command = [sys.executable, "-c", READER, str(path)]
            said = subprocess.run(command, check=True, capture_output=True, text=True)
            count, paths, bodies = json.loads(said.stdout)
            assert paths == ["/900/first", *(f"/900/word{number}" for number in range(count - 1))]
            assert bodies == [900] * count
    finally:
        done.set()
        for thread in threads:
            thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    assert count > 1
    assert seen == sorted(seen)
    assert recorder.heard == []


def test_somebody_who_locks_it(record, tmp_path):
    path = tmp_path / "locked.nbproxy"
    recorder = record(capture=str(path))
    recorder.get("/900/before")
    recorder.flush()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        recorder.get(*names("during", 20))
        recorder.wait_heard("another program has locked")
        assert recorder.paths == ["/900/before", *names("during", 20)]
        database.execute("ROLLBACK")
    recorder.flush()
    assert stored(path) == recorder.paths
    assert len(recorder.heard) == 1


def test_limits_of_a_running_proxy(record, tmp_path):
    path = tmp_path / "limits.nbproxy"
    recorder = record(capture=str(path), max_flows=10)

    def is_left(expected):
        recorder.flush()
        assert recorder.paths == expected
        recorder.flush()
        assert stored(path) == expected

    recorder.get(*names("a", 30))
    is_left(names("a", 30)[20:])
    recorder.ask("setattr(proxy.options, 'max_flows', 3)")
    is_left(names("a", 30)[27:])
    recorder.ask("setattr(proxy.options, 'max_flows', 0)")
    recorder.get(*names("b", 20, 10_000))
    is_left([*names("a", 30)[27:], *names("b", 20, 10_000)])
    recorder.ask("setattr(proxy.options, 'max_bytes', '50k')")
    is_left(names("b", 20, 10_000)[15:])
    recorder.get("/25000/c")
    is_left([*names("b", 20, 10_000)[18:], "/25000/c"])
    recorder.ask("setattr(proxy.options, 'max_bytes', 0)")
    recorder.ask("setattr(proxy.options, 'max_age', 0.2)")
    wait_until(lambda: recorder.ask("len(proxy.df)") == 0, "all are too old")
    recorder.flush()
    assert stored(path) == []
    assert recorder.heard == []


def test_space_is_given_back(record, tmp_path):
    path = tmp_path / "space.nbproxy"
    recorder = record(capture=str(path), max_flows=5)
    recorder.get(*names("large", 60, 300_000))
    recorder.flush()
    writer = "proxy.store.session._writer"
    turn = f"{writer}.order(lambda: None)"  # wakes it, should it rest: it frees some in each turn
    wait_until(
        lambda: recorder.ask(f"({turn}, {writer}._recorded.batches._pages_to_free)[1]") is False,
        "the space of deleted flows is free",
    )
    recorder.ask("proxy.store.session.close(keep=True)")
    assert path.stat().st_size < 5_000_000  # of 18 MB
    assert stored(path) == names("large", 60, 300_000)[55:]
