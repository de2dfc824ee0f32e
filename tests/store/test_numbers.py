"""Frames that share memory with us never see what happens later, nor we what is done to them."""

import gc
import mmap
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nbproxy.store import numbers, segments
from nbproxy.store.frame import assemble
from nbproxy.store.numbers import Copies, Shared
from nbproxy.store.segments import Rows, Table
from tests.store import plain

NUMBERS = ("time", "port", "status", "request_bytes", "duration", "tls", "cell")

sharing = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="this system has no memory files: there are copies"
)


class Kept:
    """A table with what it shares, and its rows in the plainest way."""

    def __init__(self, count=0, seed=1):
        self.rng = random.Random(seed)
        self.table = Table()
        self.shared = Shared(self.table)
        self.rows = {}
        if count:
            self.append(count)

    def append(self, count):
        start = max(self.rows, default=0) + 1
        new = {number: plain.row(self.rng, number) for number in range(start, start + count)}
        self.rows |= new
        self.table.append_rows(list(new), plain.columns(list(new.values())))

    def put(self, ids):
        for number in ids:
            self.rows[number] = self.rows.get(number, {}) | plain.row(self.rng, number)
        rows = [self.rows[number] for number in sorted(ids)]
        self.table.put_rows(sorted(ids), plain.columns(rows))

    def remove(self, ids):
        self.table.remove(ids)
        for number in ids:
            del self.rows[number]

    def frame(self):
        rows = Rows.of(self.table.segments, self.table.added)
        lent = self.shared.lend(rows)
        self.was_shared = lent is not None
        return assemble(rows, numbers=lent)

    def check(self, df=None):
        plain.assert_frame(self.frame() if df is None else df, self.rows, self.table.added)


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(numbers, "MANY_ROWS", 10)
    return Kept(1500)


def files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_few_rows_are_copied():
    kept = Kept(100)
    kept.check()
    assert not kept.was_shared
    assert kept.shared.nbytes == 0
    assert kept.table.moves is None


def test_copies():
    kept = Kept(10)
    rows = Rows.of(kept.table.segments)
    copies = Copies(rows)
    a, b = copies.column("port"), copies.column("port")
    assert not np.shares_memory(a[0], b[0])
    values, missing = copies.column("status")
    assert (values[missing] == 0).all()
    assert copies.ids().tolist() == list(range(1, 11))


@sharing
def test_a_frame_costs_what_is_new(kept):
    kept.check()
    assert kept.was_shared
    written = []
    put, write = numbers._File.put, numbers._write

    def counted(kind, parts, out, missing):
        written.append(len(out))
        write(kind, parts, out, missing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numbers, "_write", counted)
        kept.append(3)
        kept.put([1, 2])
        df = kept.frame()
    assert put is numbers._File.put
    assert set(written) == {3, 2}
    kept.check(df)


@sharing
def test_what_is_done_to_a_frame_reaches_nobody(kept):
    first, second = kept.frame(), kept.frame()
    assert kept.was_shared
    for name in NUMBERS:
        array = first[name].array
        array[: len(array)] = array[0]
    ids = first.index.to_numpy()
    if ids.flags.writeable:  # as it is in pandas 2
        ids[:] = -1
    first.loc[:, "port"] = 1
    kept.check(second)
    kept.check()
    kept.append(2)
    kept.put(range(1, 50))
    kept.check()


@sharing
def test_earlier_frames_stay_as_they_are(kept):
    frames = []
    for step in (
        lambda: None,
        lambda: kept.put([1, 800, 1500]),
        lambda: kept.put(range(1, 1400, 3)),
        lambda: kept.append(10),
        lambda: kept.remove(range(1, 300)),
        lambda: kept.put([500, 1510]),
        lambda: kept.append(3000),
        lambda: kept.remove([600]),
        lambda: kept.put([10**6]),
        lambda: kept.table.clear() or kept.rows.clear(),
        lambda: kept.append(100),
    ):
        step()
        df = kept.frame()
        assert kept.was_shared == (len(kept.rows) > 10)
        kept.check(df)
        frames.append((df, df.copy(deep=True)))
        for df, copy in frames:
            pd.testing.assert_frame_equal(df, copy)


@sharing
def test_the_oldest_rows_are_passed_over(kept):
    kept.frame()
    file = kept.shared._file
    for _ in range(3):
        kept.remove(sorted(kept.rows)[:100])
        kept.append(100)
        kept.check()
        assert kept.was_shared
        assert kept.shared._file is file
    for change in (
        lambda: kept.remove(sorted(kept.rows)[:200]),  # too much would be of rows that are gone
        lambda: kept.append(2500),  # there is no room for these
    ):
        change()
        kept.check()
        assert kept.was_shared
        assert kept.shared._file is not file
        file = kept.shared._file


@sharing
def test_rows_that_are_gone_before_they_were_written(kept):
    kept.frame()
    kept.append(10)
    kept.remove(sorted(kept.rows)[:1505])
    kept.check()
    kept.append(20)
    kept.check()


@sharing
def test_users_columns_are_shared_too(kept):
    old, rows = kept.frame(), dict(kept.rows)
    kept.table.set_column("n", [1, 2], [1.5, 2.5])
    for number in kept.rows:
        kept.rows[number] = kept.rows[number] | {"n": {1: 1.5, 2: 2.5}.get(number)}
    with_one = kept.frame()
    kept.check(with_one)
    earlier = dict(kept.rows)
    kept.table.set_column("n", [2, 7], [3.0, 4.5])
    kept.rows[2], kept.rows[7] = kept.rows[2] | {"n": 3.0}, kept.rows[7] | {"n": 4.5}
    kept.check()
    kept.table.set_column("n", [3], ["text"])
    kept.rows[3] = kept.rows[3] | {"n": "text"}
    kept.check()
    plain.assert_frame(with_one, earlier, ["n"])
    plain.assert_frame(old, rows)


@sharing
def test_mappings_end_with_their_frames(kept):
    kept.frame()
    gc.collect()
    before = files()
    frames = [kept.frame() for _ in range(5)]
    assert files() == before + 5
    one = frames[0].port
    view = frames[1].port.to_numpy()[5:10]
    del frames
    gc.collect()
    assert files() == before + 2
    assert one.tolist() == [443] * 1500
    assert view.tolist() == [443] * 5
    del one, view
    gc.collect()
    assert files() == before
    kept.shared.release()
    gc.collect()
    assert files() == before - 2


@sharing
def test_descriptors_are_not_used_up(kept, monkeypatch):
    monkeypatch.setattr(numbers, "_MOST_MAPPINGS", 3)
    frames = [kept.frame() for _ in range(4)]
    assert not kept.was_shared
    del frames[:3]
    gc.collect()
    kept.check()
    assert kept.was_shared


@sharing
def test_a_system_that_cannot_give_pages_away_beforehand(kept, monkeypatch):
    monkeypatch.setattr(numbers, "_POPULATE_WRITE", 987654)
    frame, rows = kept.frame(), dict(kept.rows)
    kept.put([3, 4])
    kept.check()
    assert kept.was_shared
    plain.assert_frame(frame, rows)
    del frame
    gc.collect()
    kept.put([3, 5])
    kept.check()


@sharing
@pytest.mark.parametrize("fault", ["memfd_create", "ftruncate", "mmap"])
def test_a_system_that_gives_no_memory(kept, monkeypatch, fault):
    def refuse(*_, **__):
        raise OSError(12, "no")

    with monkeypatch.context() as patch:
        patch.setattr(mmap if fault == "mmap" else os, fault, refuse)
        kept.check()
        assert not kept.was_shared
    kept.check()
    assert kept.was_shared


@sharing
def test_an_interrupt_while_rows_are_written(kept, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    kept.frame()
    kept.remove(range(1, 20))
    kept.append(5)
    with monkeypatch.context() as patch:
        patch.setattr(numbers, "_write_to_zeros", interrupt)
        with pytest.raises(KeyboardInterrupt):
            kept.frame()
    kept.check()
    assert kept.was_shared


def test_a_system_without_such_files(kept, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    kept.check()
    assert not kept.was_shared


@sharing
def test_a_child_process_does_not_write_to_its_parents_rows():
    program = """
import os, sys
sys.path.insert(0, "")
from nbproxy.store import numbers
from tests.store.test_numbers import Kept

numbers.MANY_ROWS = 10
kept = Kept(500)
df, rows = kept.frame(), dict(kept.rows)
assert kept.was_shared
child = os.fork()
if child == 0:
    try:
        kept.put(range(1, 300))
        kept.check()
        assert kept.was_shared
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
kept.check(df)
kept.check()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, timeout=600)


class Sharing(RuleBasedStateMachine):
    """A table that shares its numbers, and frames that are kept."""

    @initialize(seed=st.integers(0, 5))
    def begin(self, seed):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(numbers, "MANY_ROWS", 3)
        self.patch.setattr(segments, "MAX_MERGED_ROWS", 700)
        self.kept = Kept(600, seed)
        self.frames = []

    def teardown(self):
        self.patch.undo()

    def some(self, share):
        return [number for number in self.kept.rows if self.kept.rng.random() < share]

    @rule(count=st.sampled_from([1, 5, 600]))
    def append(self, count):
        self.kept.append(count)

    @rule(share=st.sampled_from([0.001, 0.01, 1.0]))
    def put(self, share):
        self.kept.put(self.some(share))

    @rule(count=st.sampled_from([1, 30, 1000]))
    def remove_the_oldest(self, count):
        self.kept.remove(sorted(self.kept.rows)[:count])

    @rule()
    def remove(self):
        self.kept.remove(self.some(0.003))

    @rule(share=st.sampled_from([0.001, 1.0]), value=st.sampled_from([1, 2.5, True, None]))
    def set_column(self, share, value):
        ids = self.some(share)
        self.kept.table.set_column("n", ids, [value] * len(ids))
        for number in ids:
            self.kept.rows[number] = self.kept.rows[number] | {"n": value}

    @rule()
    def look(self):
        df = self.kept.frame()
        self.kept.check(df)
        self.frames.append((df, df.copy(deep=True)))

    @rule(name=st.sampled_from(NUMBERS))
    def scribble(self, name):
        array = self.kept.frame()[name].array
        if len(array):
            array[: len(array)] = array[0]

    @rule(number=st.integers(0, 3))
    def forget(self, number):
        del self.frames[number : number + 1]

    @invariant()
    def frames_are_as_they_were(self):
        for df, copy in getattr(self, "frames", ()):
            pd.testing.assert_frame_equal(df, copy)


Sharing.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSharing = Sharing.TestCase
