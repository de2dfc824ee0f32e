"""Rows off flows."""

from nbproxy.store.rows import read_rows
from nbproxy.store.schema import COLUMNS, HIDDEN
from tests.store.flow_factory import answer, new_flow


def test_rows_by_column():
    flows = [new_flow("/a"), new_flow("/b")]
    answer(flows[1], 404)
    rows = read_rows(flows)
    assert list(rows) == [column.name for column in (*COLUMNS, *HIDDEN)]
    assert rows["path"] == ["/a", "/b"]
    assert rows["status"] == [None, 404]


def test_one_bad_flow_spoils_no_other():
    flows = [new_flow("/a"), new_flow("/b")]
    flows[0].request = None
    assert read_rows(flows)["path"] == [None, "/b"]
