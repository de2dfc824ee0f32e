"""What is on disk when a recording process is killed without warning, at any moment.

Each kill is at a random moment while small and large answers, and one without an end, are passing.
Whatever the client had half a second earlier must be there, whole; and whatever the proxy itself
has found to be on disk.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import nbproxy
from tests.support.kernels import LINES
from tests.support.proxies import Origin, Wire, answering, request, response
from tests.support.recorder import Recorder

ROOT = Path(__file__).parents[2]

#: How old an answer is that must be on disk.
DURABLE_S = 0.5

#: How many are on disk before a process is killed, at least.
STORED = 20

LONG_S = 300  # ends a test that hangs

KILLS = 45
AT_A_TIME = 3
PREPARED = 2  # others meanwhile start, or are looked at
KERNEL_KILLS = 5

#: Of bodies; the recording's limit of what lies in a row is between them.
SIZES = (0, 1, 900, 900, 900, 20_000, 150_000)
LIMIT = "64k"


def body_of(path: str) -> bytes:
    """What the origin answers: by the path `/SIZE/NUMBER`, and never the same twice."""
    _, size, number = urlsplit(path).path.split("/")
    return random.Random(number).randbytes(1000).ljust(int(size), b"x")[: int(size)]


def answer(message) -> bytes:
    if message.method == b"POST":
        return response(message.body[::-1])
    return response(body_of(message.target.decode()))


def serve(wire: Wire) -> None:
    """One connection: `/endless` goes on until somebody hangs up."""

    def one(message):
        if message.target != b"/endless":
            return answer(message)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            wire.send(bytes(100_000))
            if ending.wait(0.02):
                return b""

    answering(one)(wire)


ending = threading.Event()
recording = threading.BoundedSemaphore(AT_A_TIME)


@pytest.fixture(scope="module")
def origin():
    ending.clear()
    origin = Origin(serve)
    yield origin
    ending.set()
    origin.close()


@dataclass
class Traffic:
    """Clients that ask without pause until the proxy dies, and note what they got, and when."""

    origin: str
    port: int
    noted: Path
    got: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def start(self) -> None:
        self._threads = [
            threading.Thread(target=self._ask, args=(name,)) for name in ("a", "b", "endless")
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, name: str) -> None:
        chance = random.Random(f"{name}{self.port}")
        with contextlib.suppress(OSError, AssertionError, IndexError), Wire.to(self.port) as wire:
            if name == "endless":
                wire.ask(f"{self.origin}/endless")
                while wire.some():
                    pass
                return
            for number in range(10**6):
                self._one(wire, f"/{chance.choice(SIZES)}/{name}{number}", post=number % 5 == 4)

    def _one(self, wire: Wire, path: str, *, post: bool) -> None:
        body = body_of(path)
        if post:
            wire.send(
                request(self.origin + path, b"Content-Length: %d" % len(body), method=b"POST"), body
            )
            body = body[::-1]
        else:
            wire.ask(self.origin + path)
        got = wire.answer()
        if got.status == 200 and len(got.body) == len(body):
            self.got[path] = time.monotonic()
            if got.body != body:
                self.wrong.append(path)

    @property
    def stored(self) -> set[str]:
        """What the process has said to be on disk."""
        return set(self.noted.read_text().splitlines()) if self.noted.exists() else set()

    def run_until_killed(self, kill) -> set[str]:
        """Let it pass for a random time, kill; the paths whose answers must be on disk."""
        self.start()
        ends_at = time.monotonic() + LONG_S
        while len(self.stored) < STORED:
            assert time.monotonic() < ends_at, "hardly anything was stored"
            time.sleep(0.01)
        time.sleep(random.uniform(DURABLE_S, 2.5 * DURABLE_S))  # the moment is the test
        killed_at = time.monotonic()
        kill()
        for thread in self._threads:
            thread.join(LONG_S)
            assert not thread.is_alive()
        assert not self.wrong
        old = {path for path, at in self.got.items() if at < killed_at - DURABLE_S}
        return self.stored | old


def check(path: Path, due: set[str]) -> None:
    """All that is due is in a capture, whole; and the file is sound."""
    assert len(due) >= STORED
    assert path.stat().st_mode & 0o777 == 0o600
    flows = nbproxy.open(path)
    found = {flow.request.path: flow for flow in flows}
    assert not due - set(found)
    for name, flow in found.items():
        body = body_of(name)
        posted = flow.request.method == "POST"
        assert flow.response.status_code == 200
        assert flow.request.raw_content == (body if posted else b"")
        assert flow.response.raw_content == (body[::-1] if posted else body)
    assert set(flows.df.path) == set(found)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM flows").fetchone() == (len(found),)


def kill_one(folder: Path, origin: Origin, confdir: Path, number: int) -> None:
    """Start a recording, kill it, look at what it has left."""
    kept = number % 2 == 0
    private = folder / f"private-{number}"
    options = {
        "confdir": str(confdir),
        "capture_dir": str(private),
        "body_memory_limit": LIMIT,
        "capture": str(folder / f"{number}.nbproxy") if kept else None,
    }
    noted = folder / f"{number}.txt"
    recorder = Recorder(options)
    try:
        with recording:
            recorder.ask(f"note_stored({str(noted)!r})")
            due = Traffic(origin.url, recorder.port, noted).run_until_killed(recorder.kill9)
    finally:
        recorder.process.kill()
    if kept:
        check(folder / f"{number}.nbproxy", due)
        assert not len(nbproxy.recover(private))
        return
    there = {path.name: path.stat().st_size for path in private.iterdir()}
    found = nbproxy.recover(private)
    assert len(found) == 1, f"{len(due)} flows were stored; there was {there}"
    left = found[0]
    assert left.pid == recorder.pid
    assert left.flows == len(left.open())
    assert not left.problem
    check(left.path, due)
    copy = left.save(folder / f"saved-{number}.nbproxy")
    left.delete()
    assert not list(private.iterdir())
    assert not len(nbproxy.recover(private))
    assert due <= set(nbproxy.open(copy).df.path)


@pytest.fixture(scope="module")
def confdir(tmp_path_factory):
    """A CA for all of them."""
    folder = tmp_path_factory.mktemp("confdir")
    with Recorder({"confdir": str(folder)}) as recorder:
        assert recorder.ask("bool(proxy.ca_file)")
    return folder


def test_killed_at_random_moments(tmp_path, origin, confdir):
    with ThreadPoolExecutor(AT_A_TIME + PREPARED) as pool:
        work = [pool.submit(kill_one, tmp_path, origin, confdir, number) for number in range(KILLS)]
        for each in work:
            each.result()


def test_recording_goes_on_in_the_file_of_one_that_was_killed(tmp_path, origin, confdir):
    path = tmp_path / "again.nbproxy"
    options = {"confdir": str(confdir), "capture": str(path), "body_memory_limit": LIMIT}
    due: set[str] = set()
    for number in range(3):
        recorder = Recorder(options)
        noted = tmp_path / f"{number}.txt"
        recorder.ask(f"note_stored({str(noted)!r})")
        due |= Traffic(origin.url, recorder.port, noted).run_until_killed(recorder.kill9)
    assert due <= set(nbproxy.open(path).df.path)
    with Recorder(options) as recorder, Wire.to(recorder.port) as wire:
        assert wire.get(f"{origin.url}/900/last").status == 200
    flows = nbproxy.open(path)
    assert flows[-1].request.path == "/900/last"
    assert flows[-1].response.content == body_of("/900/last")
    assert not (tmp_path / "again.nbproxy.lock").exists()


@pytest.mark.parametrize("number", range(KERNEL_KILLS))
def test_a_killed_kernel(start_kernel, tmp_path, origin, confdir, number):
    home = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    kernel = start_kernel(LINES[number % 2], home)
    kernel.execute(
        f"c = get_ipython().config.NbProxy; c.confdir = {str(confdir)!r}; c.port = 0\n"
        f"c.body_memory_limit = {LIMIT!r}"
    )
    kernel.execute("%load_ext nbproxy")
    port = int(kernel.execute("nbproxy.port").value)
    noted = tmp_path / "stored.txt"
    kernel.execute(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from nbproxy import _current\nfrom tests.support.recorder import note_stored\n"
        f"note_stored(_current.get(started=True), {str(noted)!r})"
    )
    due = Traffic(origin.url, port, noted).run_until_killed(kernel.kill9)
    folder = tmp_path / "state" / "nbproxy" / "captures"
    (left,) = nbproxy.recover(folder)
    assert left.pid == kernel.process.pid
    check(left.path, due)
    if number < len(LINES):
        kernel.start()  # as after a restart: it finds what was left, and gets rid of it
        kernel.execute("import nbproxy; left = nbproxy.recover()")
        assert kernel.execute("len(left)").value == "1"
        assert "flows" in kernel.execute("left").displays[-1]["text/html"]
        assert int(kernel.execute("len(left[0].open())").value) >= len(due)
        kernel.execute("left.delete()")
        assert kernel.execute("len(nbproxy.recover())").value == "0"
        assert not list(folder.iterdir())
