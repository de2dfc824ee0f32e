"""Many rows in one statement: whatever they have in common, all of them are there as they were."""

import sqlite3
from contextlib import closing

import pytest

from nbproxy.store.batches import _commons, _insert, insert
from nbproxy.store.readers import STATEMENTS
from nbproxy.store.session import Session
from tests.store.flow_factory import answer, end, new_flow

COLUMNS = ("id", "word", "number", "real", "raw", "none")
LONG_S = 120  # ends a test that hangs


@pytest.fixture
def db():
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(
            "CREATE TABLE t"
            " (id INTEGER PRIMARY KEY, word TEXT, number INTEGER, real REAL, raw, none)"
        )
        yield db


def rows(count, change=None, first=0):
    """So many, which differ in the id only; and from the middle on in one more column."""
    found = []
    for number in range(first, first + count):
        row = [number, "GET", 1, -0.5, b"raw", None]
        if change is not None and number - first >= count // 2:
            column, value = change
            row[column] = value
        found.append(tuple(row))
    return found


def in_one(rows):
    return [cell for row in rows for cell in row]


def stored(db):
    return db.execute("SELECT * FROM t ORDER BY id").fetchall()


@pytest.mark.parametrize("count", [1, 2, 31, 32, 33, 63, 64, 100, 511, 512, 513, 1027])
@pytest.mark.parametrize(
    "change", [None, (1, "POST"), (1, None), (2, 2), (3, 0.25), (4, b""), (5, "some")]
)
def test_all_rows_are_there_as_they_were(db, count, change):
    insert(db, "t", COLUMNS, in_one(rows(count, change)))
    assert stored(db) == rows(count, change)


def test_what_rows_had_in_common_they_need_not_have_next_time(db):
    expected = []
    for number, change in enumerate([None, (1, "POST"), None, (5, "x"), (2, None), (3, None)] * 12):
        some = rows(40, change, first=len(expected))
        some[-1] = (*some[-1][:1], f"{number}", *some[-1][2:])
        insert(db, "t", COLUMNS, in_one(some))
        expected += some
    assert stored(db) == expected


def test_there_are_few_statements_to_compile(db):
    _insert.cache_clear()
    _commons.clear()
    for count in range(1, 513):  # a batch has no more
        insert(db, "t", COLUMNS, in_one(rows(count)))
    assert _insert.cache_info().misses < STATEMENTS


def test_numbers_that_are_equal_but_not_the_same(db):
    some = [(number, "", True, 0.0, 1.0, None) for number in range(40)]
    some[20] = (20, "", 1, -0.0, 1, None)
    insert(db, "t", COLUMNS, in_one(some))
    kinds = "SELECT typeof(raw), count(*) FROM t GROUP BY 1 ORDER BY 1"
    assert db.execute(kinds).fetchall() == [("integer", 1), ("real", 39)]


def test_rows_that_are_all_the_same_are_one(db):
    insert(db, "t", COLUMNS, in_one(rows(1) * 50))
    assert stored(db) == rows(1)


def test_a_batch_of_many_small_flows_is_one_statement(tmp_path):
    def flows():
        for number in range(500):
            flow = new_flow(f"/{number}")
            flow.client_conn, flow.server_conn = first.client_conn, first.server_conn
            answer(flow)
            end(flow)
            yield flow

    session = Session(directory=tmp_path)
    first = new_flow("/")
    answer(first)
    end(first)
    session.put(first)
    assert session.flush(LONG_S)
    batches = session._writer._recorded.batches
    some, said = list(flows()), []
    batches.file.db.set_trace_callback(said.append)
    session._writer.order(lambda: batches.write([("flows", some)]), LONG_S)
    batches.file.db.set_trace_callback(None)
    assert [each.split()[0] for each in said] == ["BEGIN", "INSERT", "COMMIT"]
    assert session.ids() == [flow.id for flow in [first, *some]]
    found = session.read([flow.id for flow in some])
    assert [flow.request.path for flow in found] == [f"/{number}" for number in range(500)]
    session.close(keep=False)
