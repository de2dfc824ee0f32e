"""Each kind of column in each choice of dtypes, with and without rows."""

import random
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from nbproxy.store import dtypes
from nbproxy.store.dtypes import BACKENDS, backend
from nbproxy.store.frame import assemble
from nbproxy.store.schema import COLUMNS
from nbproxy.store.segments import Rows, Table
from tests.store import plain

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
OWN = {
    "text": ["a", None],
    "whole": [1, None],
    "fraction": [0.5, None],
    "truth": [True, None],
    "moment": [NOON, None],
    "local": [NOON.replace(tzinfo=None), None],
    "mixed": ["a", 1],
    "nothing": [None, None],
}
KINDS = {
    "str": ("str", "string", "string[pyarrow]"),
    "int": ("int64", "Int64", "int64[pyarrow]"),
    "nullable int": ("Int64", "Int64", "int64[pyarrow]"),
    "float": ("float64", "Float64", "double[pyarrow]"),
    "bool": ("bool", "boolean", "bool[pyarrow]"),
    "time": ("datetime64[us, UTC]", "datetime64[us, UTC]", "timestamp[us, tz=UTC][pyarrow]"),
}
OWN_KINDS = {
    "text": KINDS["str"],
    "whole": KINDS["nullable int"],
    "fraction": KINDS["float"],
    "truth": ("boolean", "boolean", "bool[pyarrow]"),
    "moment": KINDS["time"],
    "local": ("datetime64[us]", "datetime64[us]", "timestamp[us][pyarrow]"),
    "mixed": ("object",) * 3,
    "nothing": ("object",) * 3,
}


def made(name, count=2):
    table = Table()
    rng = random.Random(1)
    rows = {number: plain.row(rng, number) for number in range(count)}
    if count:
        table.append_rows(list(rows), plain.columns(list(rows.values())))
    for column, values in OWN.items():
        table.set_column(column, range(count), (values * count)[:count])
        for number, row in rows.items():
            value = values[number % 2]
            is_moment = isinstance(value, datetime)
            row[column] = value.timestamp() if is_moment and value.tzinfo else value
    return assemble(Rows.of(table.segments, table.added), dtype_backend=name), rows


def wanted(name):
    at = list(BACKENDS).index(name)
    return {
        **{column.name: KINDS[column.kind][at] for column in COLUMNS},
        **{column: kinds[at] for column, kinds in OWN_KINDS.items()},
    }


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("count", [2, 600])
def test_dtypes(name, count):
    df, rows = made(name, count)
    for column, dtype in wanted(name).items():
        assert df.dtypes[column] == dtype, column
    assert df.index.dtype == np.int64
    for row in rows.values():
        if row["local"] is not None:
            row["local"] = pd.Timestamp(row["local"]).timestamp()
    plain.assert_frame(df, rows, OWN)


@pytest.mark.parametrize("name", BACKENDS)
def test_dtypes_without_rows(name):
    df, _ = made(name, 0)
    assert len(df) == 0
    for column in COLUMNS:
        assert df.dtypes[column.name] == wanted(name)[column.name], column.name
    assert {str(df.dtypes[column]) for column in OWN} == {"object"}


def test_text_is_what_pandas_3_makes_of_it():
    df, _ = made("default")
    assert df.path.dtype == pd.StringDtype("pyarrow", na_value=np.nan)
    assert np.isnan(df.server.dtype.na_value)
    if pd.__version__.split(".", maxsplit=1)[0] >= "3":
        assert df.path.dtype == pd.Series(["/"]).dtype
    assert made("numpy_nullable")[0].path.dtype.na_value is pd.NA


def test_dtypes_are_those_of_pandas_own_conversion():
    df, _ = made("default")
    for name in ("numpy_nullable", "pyarrow"):
        own = made(name)[0]
        converted = df[["path", "status", "tls"]].convert_dtypes(dtype_backend=name)
        assert [str(each) for each in converted.dtypes] == [str(own.dtypes[n]) for n in converted]


def test_times_in_a_pandas_that_makes_them_only_by_a_copy(monkeypatch):
    class Elsewhere:
        """`pd.array` of a type without the shortcut."""

        def __init__(self, values, dtype, *, copy=True):
            self.values, self.dtype, self.copy = values, dtype, copy

    with monkeypatch.context() as patch:
        patch.setattr(dtypes.pd, "array", Elsewhere)
        make = backend("default")(None, None)
        found = make.moments(np.array([5], dtype="M8[us]"), naive=False)
    assert found.values.tolist() == [datetime(1970, 1, 1, microsecond=5)]  # noqa: DTZ001, PD011
    assert found.copy is False


def test_unknown_names():
    with pytest.raises(ValueError, match="dtype_backend='x': it takes 'default' or 'numpy_null"):
        backend("x")
