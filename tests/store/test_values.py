"""Values of all sorts find a column that has them."""

import decimal
import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store.values import blank, column_of, common_kind, converted, inferred

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NAIVE = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - that is what is tested


def test_numbers_that_are_none():
    assert column_of("int", [1, None, "x", 2**70, True, -3]).to_list() == [1, 0, 0, 0, 1, -3]
    assert column_of("nullable int", [None, 5, "x"]).to_list() == [None, 5, None]
    assert column_of("float", [1, None, "x", 10**400]).to_list() == [1.0, None, None, None]
    assert column_of("bool", [1, 0, None, "x"]).to_list() == [True, False, False, True]
    times = column_of("time", [1.5, 0.0, None, -1.0, 1e300, float("nan"), "x"])
    assert times.array()[0] == 1_500_000
    assert times.to_list()[1:] == [None] * 6


def test_kinds_of_users_are_inferred_and_not_read():
    with pytest.raises(ValueError, match="object"):
        column_of("object", [1])


@given(st.lists(st.text(st.characters()), max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_text_becomes_arrow(values):
    column = column_of("str", values)
    wanted = ["".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in v) for v in values]
    assert column.to_list() == wanted
    assert column.entries.type == pa.large_string()


INFERRED = {
    "text": (["a", None, ""], "str", ["a", None, ""]),
    "text and NaN": (["a", math.nan, pd.NA], "str", ["a", None, None]),
    "surrogates": (["\ud800"], "str", ["\ufffd"]),
    "numbers": ([1, None, -(2**62)], "nullable int", [1, None, -(2**62)]),
    "numpy's numbers": ([np.int8(1), np.uint16(2)], "nullable int", [1, 2]),
    "numbers and NaN": ([1, math.nan], "nullable int", [1, None]),
    "numbers beyond 64 bits": ([2**63], "object", [2**63]),
    "floats": ([1.5, None, 2], "float", [1.5, None, 2.0]),
    "numpy's floats": ([np.float32(0.5)], "float", [0.5]),
    "booleans": ([True, None, np.bool_(False)], "nullable bool", [True, None, False]),
    "booleans and NaN": ([True, math.nan], "nullable bool", [True, None]),
    "booleans and numbers": ([True, 1], "object", [True, 1]),
    "times": ([NOON, None], "time", [NOON, None]),
    "times elsewhere": (
        [NOON.astimezone(timezone(timedelta(hours=5)))],
        "time",
        [NOON],
    ),
    "times of pandas": ([pd.Timestamp(NOON), pd.NaT], "time", [NOON, None]),
    "times without a zone": ([NAIVE, np.datetime64(NAIVE, "ns")], "naive time", [NAIVE, NAIVE]),
    "both sorts of times": ([NOON, NAIVE], "object", [NOON, NAIVE]),
    "dates": ([date(2024, 5, 1)], "object", [date(2024, 5, 1)]),
    "text and numbers": (["a", 1, None], "object", ["a", 1, None]),
    "lists": ([[1, 2], [3, 4]], "object", [[1, 2], [3, 4]]),
    "decimals": ([decimal.Decimal(1)], "object", [decimal.Decimal(1)]),
    "nothing": ([None, pd.NA, np.datetime64("NaT")], "missing", [None, None, None]),
    "nothing but NaN": ([math.nan, None], "missing", [None, None]),
    "no rows": ([], "missing", []),
}


@pytest.mark.parametrize(("values", "kind", "wanted"), INFERRED.values(), ids=INFERRED)
def test_kinds_are_found(values, kind, wanted):
    column = inferred(values)
    assert column.kind == kind
    assert column.to_list() == wanted
    assert [type(value) for value in column.to_list()] == [type(value) for value in wanted]


@pytest.mark.parametrize(
    "kind",
    ["str", "float", "nullable int", "nullable bool", "time", "naive time", "object", "missing"],
)
def test_blank_columns(kind):
    for size in (0, 3, 1000):
        column = blank(kind, size)
        assert column.kind == kind
        assert column.to_list() == [None] * size
        assert not column.present().any()
        assert column.take(np.arange(size)).to_list() == [None] * size


def test_blank_columns_of_what_is_never_missing():
    assert blank("int", 2).to_list() == [0, 0]
    assert blank("bool", 300).to_list() == [False] * 300


def test_common_kinds():
    assert common_kind({"str"}) == "str"
    assert common_kind({"float", "nullable int"}) == "float"
    assert common_kind({"missing", "time"}) == "time"
    assert common_kind({"missing"}) == "missing"
    assert common_kind(set()) == "missing"
    assert common_kind({"str", "nullable int"}) == "object"
    assert common_kind({"nullable bool", "nullable int"}) == "object"


def test_converting():
    numbers = inferred([1, None])
    assert converted(numbers, "nullable int") is numbers
    assert converted(numbers, "float").to_list() == [1.0, None]
    assert converted(numbers, "object").to_list() == [1, None]
    assert converted(inferred([None, None]), "str").to_list() == [None, None]
    assert converted(inferred([None]), "object").to_list() == [None]
