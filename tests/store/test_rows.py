"""Values off flows, made to fit."""

import math

import pytest

from nbproxy.store.rows import clean_bool, clean_float, clean_int, clean_text, read_rows
from nbproxy.store.schema import COLUMNS, HIDDEN
from tests.store.flow_factory import answer, new_flow


class Odd:
    def __str__(self):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("a\x00", "a\x00"), ("\ud800x", "\ufffdx"), (5, "5"), (Odd(), "<Odd>")],
)
def test_text(value, text):
    assert clean_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("7", 7), (None, -1), (2**63, -1), (math.inf, -1), ([], -1)]
)
def test_integers(value, number):
    assert clean_int(value, -1) == number


def test_floats_and_truth():
    assert clean_float("1.5") == 1.5
    assert math.isnan(clean_float([]))
    assert clean_bool(1) is True
    assert clean_bool(Odd()) is False
