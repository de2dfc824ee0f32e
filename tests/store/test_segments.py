"""Rows in segments: few of them, in order, found, replaced and taken out."""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nbproxy.store import columns, segments
from nbproxy.store.frame import assemble
from nbproxy.store.schema import COLUMNS, HIDDEN
from nbproxy.store.segments import Ids, Moves, Rows, Segment, Table
from tests.store import plain
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def flows():
    made = [new_flow(f"/{i}") for i in range(100)]
    for flow in made:
        answer(flow)
        end(flow)
    return made


def ids_of(table):
    return [int(i) for segment in table.segments for i in segment.ids.array()]


def column(table, name):
    return [value for segment in table.segments for value in segment.columns[name].to_list()]


def filled(count, start=0, step=1, seed=1):
    """A table of so many rows, and the rows by id."""
    rng = random.Random(seed)
    ids = list(range(start, start + count * step, step))
    rows = {number: plain.row(rng, number) for number in ids}
    table = Table()
    table.append_rows(ids, plain.columns(list(rows.values())))
    return table, rows


def frame(table):
    return assemble(Rows.of(table.segments, table.added))


# -- ids


@pytest.mark.parametrize(
    "ids", [[], [7], [3, 4, 5], [3, 5, 9], [0, 2**40], [10**15, 10**15 + 1, 10**15 + 3]]
)
def test_ids(ids):
    kept = Ids.of(np.array(ids, dtype=np.int64))
    assert len(kept) == len(ids)
    assert kept.array().tolist() == ids
    if ids:
        assert kept.last == ids[-1]
    wanted = np.array(sorted({*ids[1:], -5, 4, 10**16}), dtype=np.int64)
    found = kept.find(wanted).tolist()
    assert [ids[i] for i in found] == [number for number in wanted.tolist() if number in ids]
    assert kept.slice(1, len(ids)).array().tolist() == ids[1:] if ids else True


def test_ids_take_little():
    assert Ids.of(np.arange(1000)).nbytes == 0
    assert Ids.of(np.arange(1000) * 2).nbytes == 4000


# -- segments


def test_segments_stay_few(flows):
    table = Table()
    for flow in flows:
        table.append([flow])
    assert len(table.segments) <= 8
    assert len(table) == 100
    assert ids_of(table) == [flow.id for flow in flows]
    assert column(table, "path") == [f"/{i}" for i in range(100)]


def test_each_row_is_merged_a_few_times(monkeypatch):
    merged = []

    def counted(some):
        merged.append(sum(map(len, some)))
        return joined(some)

    joined = segments.joined_segments
    monkeypatch.setattr(segments, "joined_segments", counted)
    table, rows = Table(), plain.columns([plain.row(random.Random(1), 1)])
    for number in range(256):
        table.append_rows([number], rows)
    assert [len(segment) for segment in table.segments] == [256]
    assert sum(merged) <= 256 * 9


def test_batches_and_the_limit_of_merging(flows, monkeypatch):
    monkeypatch.setattr(segments, "_BATCH_ROWS", 7)
    monkeypatch.setattr(segments, "MAX_MERGED_ROWS", 20)
    table = Table()
    table.append(flows)
    assert max(map(len, table.segments)) <= 20
    table.remove(flow.id for flow in flows[10:60])
    assert ids_of(table) == [flow.id for flow in flows[:10] + flows[60:]]
    table.clear()
    assert len(table) == 0
    table, rows = filled(100)
    assert max(map(len, table.segments)) <= 20
    plain.assert_frame(frame(table), rows)


def test_putting_replaces_rows_and_adds_late_ones(flows):
    table = Table()
    table.append(flows[:40:2])
    table.append(flows[40::2])
    flows[4].comment = "changed"
    flows[60].comment = "changed too"
    table.put([flows[60], flows[5], flows[4], flows[99]])
    assert ids_of(table) == sorted({f.id for f in flows[::2]} | {flows[5].id, flows[99].id})
    rows = dict(zip(ids_of(table), column(table, "comment"), strict=True))
    assert {i: text for i, text in rows.items() if text} == {
        flows[4].id: "changed",
        flows[60].id: "changed too",
    }
    table.put([])
    table.put_rows([], {})
    table.append_rows([], {})
    assert len(table) == 52


def test_late_rows_among_many(monkeypatch):
    monkeypatch.setattr(segments, "MAX_MERGED_ROWS", 50)
    table, rows = filled(200, start=1000, step=10)
    rng = random.Random(2)
    late = [5, 1001, 1002, *range(1501, 1510), 2995, 2999, 4000]
    rows |= {number: plain.row(rng, number) for number in late}
    table.put_rows(late, plain.columns([rows[number] for number in late]))
    assert max(map(len, table.segments)) <= 50
    plain.assert_frame(frame(table), rows)


def test_late_rows_in_an_empty_table():
    rows = {number: plain.row(random.Random(2), number) for number in (3, 4, 9)}
    table = Table()
    table.put_rows(list(rows), plain.columns(list(rows.values())))
    plain.assert_frame(frame(table), rows)


def test_what_did_not_change_is_not_copied(flows):
    table = Table()
    table.append(flows)
    before = table.segments[0]
    table.put(flows[:5])
    assert table.segments[0] is before
    flows[3].comment = "x"
    table.put([flows[3]])
    after = table.segments[0].columns
    assert {name for name in after if after[name] is not before.columns[name]} == {"comment"}


@pytest.mark.parametrize("count", [1, 3, 50, 100])
def test_replacing_few_or_many(flows, count):
    table = Table()
    table.append(flows)
    for flow in flows[:count]:
        flow.comment = f"c{flow.id}"
    table.put(flows[:count])
    assert column(table, "comment") == [flow.comment for flow in flows]


def test_the_oldest_rows_go_without_copying_others():
    table, rows = filled(1000)
    before = table.segments[0].columns
    table.remove(range(300))
    (segment,) = table.segments
    assert np.shares_memory(segment.columns["status"].codes, before["status"].codes)
    assert segment.columns["path"].entries is before["path"].entries
    plain.assert_frame(frame(table), {i: rows[i] for i in range(300, 1000)})
    table.remove([*range(300, 999), 5000])
    assert ids_of(table) == [999]
    table.remove([999])
    assert table.segments == []


def test_rests_of_segments_are_put_together(monkeypatch):
    monkeypatch.setattr(segments, "MAX_MERGED_ROWS", 64)
    table, rows = filled(640)
    gone = [number for number in rows if number % 16]
    table.remove(gone)
    assert len(table.segments) <= 2
    plain.assert_frame(frame(table), {i: each for i, each in rows.items() if not i % 16})


def test_selecting(flows):
    table = Table()
    table.append(flows[:64])
    table.append(flows[64:])
    wanted = [flows[i].id for i in (70, 3, 64, 3)]
    found = [int(i) for s in table.select([*wanted, 10**15]) for i in s.ids.array()]
    assert found == sorted(set(wanted))
    assert table.select([]) == []
    whole = table.select([flow.id for flow in flows])
    assert whole == table.segments


def test_an_empty_segment():
    empty = Segment.of([], {each.name: [] for each in COLUMNS})
    assert len(empty) == 0
    assert empty.nbytes < 100


def test_memory_of_many_rows():
    rng = random.Random(5)
    rows = plain.columns([plain.row(rng, number) for number in range(20_000)])
    table = Table()
    for start in range(0, 200_000, 20_000):
        table.append_rows(range(start, start + 20_000), rows)
    assert table.nbytes < 45 * len(table)
    assert len(table.segments) < 12


# -- columns for filters


def test_columns_for_filters_are_there_where_all_rows_have_them():
    table, rows = filled(3)
    hidden = [each.name for each in HIDDEN]
    assert set(hidden) < table.segments[0].columns.keys()
    assert table.added == []
    without = plain.columns([plain.row(random.Random(4), 9)])
    for name in hidden:
        del without[name]
    table.put_rows([1], without)
    assert not set(hidden) & table.segments[0].columns.keys()
    rows[1] = {name: values[0] for name, values in without.items()}
    plain.assert_frame(frame(table), rows)
    table, _ = filled(3)
    table.append_rows([10, 11, 12, 13], {n: v * 4 for n, v in without.items()})
    assert len(table.segments) == 1
    assert not set(hidden) & table.segments[0].columns.keys()


# -- columns that users define


def test_a_column_of_a_user():
    table, rows = filled(600)
    table.set_column("user", [3, 500, 10**6], ["ann", "bob", "eve"])
    assert table.added == ["user"]
    rows[3]["user"], rows[500]["user"] = "ann", "bob"
    plain.assert_frame(frame(table), rows, ["user"])
    assert frame(table).user.dtype == "str"
    table.set_column("user", [3, 3, 4], ["x", "kim", None])  # the last one counts
    rows[3]["user"] = "kim"
    plain.assert_frame(frame(table), rows, ["user"])
    table.append_rows([1000], {**plain.columns([rows[1]]), "size": [1.5]})
    rows[1000] = {**rows[1], "size": 1.5}
    plain.assert_frame(frame(table), rows, ["user", "size"])
    table.put_rows([5], {**plain.columns([rows[5]]), "user": [None], "size": [2]})
    rows[5]["size"] = 2
    plain.assert_frame(frame(table), rows, ["user", "size"])
    table.put_rows([3], plain.columns([{k: v for k, v in rows[3].items() if k != "user"}]))
    plain.assert_frame(frame(table), rows, ["user", "size"])  # what is not said stays
    table.drop_column("user")
    table.drop_column("user")
    plain.assert_frame(frame(table), rows, ["size"])


DTYPES = {
    "str": ["a", None],
    "Int64": [1, None],
    "float64": [1.5, 2],
    "boolean": [True, None],
    "datetime64[us, UTC]": [np.datetime64(5, "us").item().astimezone()],
    "datetime64[us]": [np.datetime64(5, "us")],
    "object": ["a", 1],
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_users_columns(dtype):
    table, _ = filled(4)
    table.set_column("new", list(range(len(DTYPES[dtype]))), DTYPES[dtype])
    assert frame(table).new.dtype == dtype


def test_kinds_meet_in_one_that_has_all():
    table = Table()
    for number, value in enumerate([1, 2.5, None]):
        rows = plain.columns([plain.row(random.Random(3), 1)])
        table.append_rows([number], {**rows, "new": [value]})
    assert frame(table).new.dtype == "float64"
    table.set_column("new", [0], ["text"])
    assert plain.seen(frame(table).new) == ["text", 2.5, None]
    assert frame(table).new.dtype == object


def test_a_column_without_values_is_there_all_the_same():
    table = Table()
    table.set_column("new", [], [])
    assert frame(table).new.dtype == object
    table, _ = filled(2)
    table.set_column("new", [0], [None])
    assert frame(table).new.tolist() == [None, None]
    table.clear()
    assert list(frame(table).columns)[-1] == "new"


def test_columns_of_the_schema_are_not_users():
    table, _ = filled(1)
    for name in ("path", "_authority"):
        with pytest.raises(ValueError, match="every frame has"):
            table.set_column(name, [0], ["/"])
    with pytest.raises(ValueError, match="2 values for 1 rows"):
        table.set_column("new", [0], [1, 2])
    table.drop_column("path")
    assert "path" in frame(table).columns


# -- what is noted


def test_moves():
    table, rows = filled(100)
    assert table.moves is None
    table.moves = Moves()
    table.put_rows([7], plain.columns([rows[7]]))
    assert table.moves == Moves()
    table.put_rows([7, 8], plain.columns([{**rows[7], "comment": "new"}, rows[8]]))
    ((ids, names),) = table.moves.changed
    assert ids.tolist() == [7, 8]
    assert names == {"comment"}
    table.remove(range(5))
    table.remove([5, 6, 1000])
    assert table.moves.gone == 7
    table.remove([50])
    assert table.moves is None
    for change in (
        lambda: [table.set_column("n", [51 + i % 2], [i]) for i in range(1100)],
        lambda: table.put_rows([500], plain.columns([rows[7]])),
        table.clear,
    ):
        table.moves = Moves()
        change()
        assert table.moves is None


# -- any of it, in any order


class Tables(RuleBasedStateMachine):
    """A table, and beside it the rows in the plainest way."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(columns, "FEW", 3)
        self.patch.setattr(segments, "MAX_MERGED_ROWS", 40)
        self.table = Table()
        self.rows = {}
        self.added = []
        self.rng = random.Random(1)

    def teardown(self):
        self.patch.undo()

    def some(self, share):
        return [number for number in self.rows if self.rng.random() < share]

    @rule(count=st.integers(1, 30), gap=st.sampled_from([0, 0, 1, 5]))
    def append(self, count, gap):
        start = max(self.rows, default=0) + 10 + gap
        ids = [start + i + (gap if i > count // 2 else 0) for i in range(count)]
        new = {number: plain.row(self.rng, number) for number in ids}
        self.rows |= new
        self.table.append_rows(ids, plain.columns(list(new.values())))

    @rule(share=st.sampled_from([0.02, 0.3, 1.0]), late=st.integers(0, 3))
    def put(self, share, late):
        ids = self.some(share) + [self.rng.randrange(200) for _ in range(late)]
        for number in set(ids):
            self.rows[number] = self.rows.get(number, {}) | plain.row(self.rng, number)
        ids = sorted(set(ids))
        fresh = [plain.row(self.rng, n) for n in ids]
        for number, each in zip(ids, fresh, strict=True):
            self.rows[number] |= each
        self.table.put_rows(ids, plain.columns(fresh))

    @rule(share=st.sampled_from([0.05, 0.5, 1.0]))
    def remove(self, share):
        gone = self.some(share)
        self.table.remove([*gone, 10**9])
        for number in gone:
            del self.rows[number]

    @rule(count=st.integers(0, 50))
    def remove_the_oldest(self, count):
        gone = sorted(self.rows)[:count]
        self.table.remove(gone)
        for number in gone:
            del self.rows[number]

    @rule(
        name=st.sampled_from(["user", "size"]),
        share=st.sampled_from([0.1, 1.0]),
        values=st.sampled_from([("ann", "bob", None), (1, None, 2), (0.5, 1), (True,), (None,)]),
    )
    def set_column(self, name, share, values):
        ids = self.some(share)
        values = [self.rng.choice(values) for _ in ids]
        self.table.set_column(name, ids, values)
        self.added += [name] if name not in self.added else []
        for number, value in zip(ids, values, strict=True):
            self.rows[number][name] = value

    @rule(name=st.sampled_from(["user", "size"]))
    def drop_column(self, name):
        self.table.drop_column(name)
        self.added = [each for each in self.added if each != name]
        for each in self.rows.values():
            each.pop(name, None)

    @rule(share=st.sampled_from([0.05, 0.5, 1.0]))
    def select(self, share):
        ids = self.some(share)
        found = assemble(Rows.of(self.table.select(ids), self.table.added))
        plain.assert_frame(found, {number: self.rows[number] for number in ids}, self.added)

    @rule()
    def look(self):
        plain.assert_frame(frame(self.table), self.rows, self.added)

    @invariant()
    def segments_are_in_order(self):
        assert ids_of(self.table) == sorted(self.rows)
        assert all(map(len, self.table.segments))
        assert len(self.table) == len(self.rows)


Tables.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestTables = Tables.TestCase
