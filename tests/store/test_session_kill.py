"""A process that records is killed at any moment: its capture opens, and has all but the end."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from nbproxy.store import captures
from nbproxy.store.session import Reader, Session
from tests.store.flow_factory import answer, end, new_flow

ROOT = Path(__file__).parents[2]


def record_and_kill(place, *arguments, after_s):
    """Have flows recorded, kill the process; how many of them it had said to be on disk.

    How soon that is, is shown where traffic passes a proxy that is killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store.recorder", place, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        first = process.stdout.readline()
        deadline = time.monotonic() + after_s
        said = [first]
        while time.monotonic() < deadline:
            said.append(process.stdout.readline())
        process.kill()
        said += process.stdout.read().splitlines(keepends=True)
    assert process.returncode == -signal.SIGKILL
    stored = [int(line) for line in said if line.endswith("\n")]
    assert stored == list(range(len(stored)))
    return len(stored)


@pytest.mark.parametrize("round_", range(6))
def test_what_was_said_to_be_stored_is_there(tmp_path, round_):
    durable = record_and_kill(tmp_path, after_s=random.uniform(0.6, 1.2))
    assert durable
    [capture] = captures.recover(tmp_path)
    assert capture.flows >= durable
    with closing(sqlite3.connect(capture.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    reader = Reader(capture.path)
    flows = reader.read(reader.ids())
    assert [flow.request.path for flow in flows] == [f"/{i}" for i in range(len(flows))]
    sizes = [len(flow.response.raw_content) for flow in flows]
    assert sizes == [5000 if i % 7 == 0 else 1000 for i in range(len(flows))]


def test_recording_goes_on_in_a_file_that_a_killed_process_left(tmp_path):
    durable = record_and_kill(tmp_path, "kept", after_s=0.8)
    session = Session(tmp_path / "mine.nbproxy")
    flow = new_flow("/after")
    answer(flow)
    end(flow)
    session.put(flow)
    assert session.flush(30)
    session.close(keep=True)
    reader = Reader(tmp_path / "mine.nbproxy")
    flows = reader.read(reader.ids())
    assert len(flows) > durable > 0
    assert flows[-1].request.path == "/after"
    assert [each.name for each in tmp_path.iterdir()] == ["mine.nbproxy"]
