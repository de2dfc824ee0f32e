"""Columns that users have added, in datasets."""

import datetime as dt
import warnings

import dask
import pandas as pd
import pyarrow.parquet as pq
import pytest

import nbproxy
from nbproxy import saved
from nbproxy.datasets import layout
from nbproxy.errors import FormatError
from tests.datasets.conftest import flow_to


@pytest.fixture(autouse=True)
def in_this_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(autouse=True)
def no_columns():
    """Columns are of the process: take them away again."""
    yield
    nbproxy.columns.clear()


@pytest.fixture
def flows(tmp_path):
    saved.save([flow_to(n, f"h{n % 3}.test") for n in range(10)], tmp_path / "a.nbproxy")
    return nbproxy.open(tmp_path / "a.nbproxy")


def number(flow):
    return int(flow.request.host[1])


def times(flow):
    return dt.datetime(2026, 11, 1 + number(flow), tzinfo=dt.UTC)


KINDS = {
    "text": lambda flow: f"ü{number(flow)}",
    "whole": number,
    "real": lambda flow: number(flow) / 2 if number(flow) else 3,
    "truth": lambda flow: number(flow) > 1,
    "when": times,
    "naive": lambda flow: times(flow).replace(tzinfo=None),
    "holes": lambda flow: number(flow) or None,
    "nothing": lambda flow: None,
}


def test_each_is_a_column_of_its_type(flows, tmp_path):
    for name, function in KINDS.items():
        nbproxy.column(name)(function)
    expected = flows.df
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flows.to_parquet(tmp_path / "set") == 10
    nbproxy.columns.clear()  # whoever reads it has none
    scan = nbproxy.scan(tmp_path / "set")
    found = scan.compute().sort_index()
    assert list(found.columns) == [*expected.columns, "file"]
    pd.testing.assert_series_equal(scan.dtypes, found.dtypes)
    assert found["nothing"].isna().all()
    pd.testing.assert_frame_equal(
        found.drop(columns=["file", "nothing"]).reset_index(drop=True),
        expected.drop(columns="nothing").reset_index(drop=True),
    )
    assert len(scan.run(lambda flow: setattr(flow, "comment", "seen"))) == 10
    assert scan["whole"].sum().compute() == expected["whole"].sum()
    assert scan[scan.truth]["when"].max().compute() == expected["when"].max()
    (file, *_) = (tmp_path / "set").rglob("*.parquet")
    assert str(pq.read_schema(file).field("naive").type) == "timestamp[us]"


def test_values_of_several_types_are_text(flows, tmp_path):
    nbproxy.column("odd")(lambda flow: [1] if number(flow) == 1 else number(flow) or "\ud800")
    with pytest.warns(UserWarning, match=r"'odd' is written as text: .*\(int, list, str\)") as told:
        flows.to_parquet(tmp_path / "set")
    assert [each.filename for each in told] == [__file__]
    assert set(nbproxy.scan(tmp_path / "set").compute()["odd"]) == {"[1]", "2", "\ufffd"}


def test_what_counts_are_the_flows_that_are_written(flows, tmp_path):
    nbproxy.column("mixed")(lambda flow: "x" if number(flow) == 1 else number(flow))
    assert len(flows.df) == 10  # its column of all flows is a mixture
    flows.filter("~d h2").to_parquet(tmp_path / "set")
    assert nbproxy.scan(tmp_path / "set").compute()["mixed"].dtype == "Int64"


def test_functions_are_not_called_again(flows, tmp_path):
    calls = []
    nbproxy.column("counted")(lambda flow: calls.append(flow.id))
    assert len(flows.df) == len(calls) == 10
    flows.to_parquet(tmp_path / "set")
    assert len(calls) == 10


def test_a_slice_and_what_was_removed_from_it(tmp_path):
    with nbproxy.Proxy(port=0, confdir=tmp_path) as proxy:
        for each in range(4):
            flow = flow_to(each, f"h{each}.test")
            proxy.store.opened(flow)
            proxy.store.closed(flow)
        nbproxy.column("whole")(number)
        some = proxy.flows[::-1]
        proxy.flows.clear()
        assert some.to_parquet(tmp_path / "set") == 4
    found = nbproxy.scan(tmp_path / "set").compute()
    assert sorted(zip(found["host"], found["whole"], strict=True)) == [
        (f"h{each}.test", each) for each in range(4)
    ]


def test_names_that_a_dataset_has_itself(flows, tmp_path):
    nbproxy.column("date")(number)
    with pytest.warns(UserWarning, match="'date' is not written: a dataset has one of that name"):
        flows.to_parquet(tmp_path / "set")
    assert "date" not in nbproxy.scan(tmp_path / "set").compute()


def test_more_is_added_to_the_columns_that_there_are(flows, tmp_path):
    nbproxy.column("real")(KINDS["real"])
    nbproxy.column("gone")(number)
    flows[:2].to_parquet(tmp_path / "set")
    nbproxy.columns.clear()
    nbproxy.column("real")(number)
    nbproxy.column("new")(number)
    with pytest.warns(UserWarning, match="'new' is not written: the dataset that this adds to"):
        flows[2:4].to_parquet(tmp_path / "set", append=True)
    nbproxy.columns.clear()
    flows[4:6].to_parquet(tmp_path / "set", append=True)
    nbproxy.column("real")(str)
    before = sorted((tmp_path / "set").rglob("*"))
    with pytest.raises(ValueError, match="'real' is of type double in the dataset that this adds"):
        flows.to_parquet(tmp_path / "set", append=True)
    assert sorted((tmp_path / "set").rglob("*")) == before
    found = nbproxy.scan(tmp_path / "set").compute()
    assert sorted(found["real"].dropna()) == [0.0, 0.5, 2.0, 3.0]
    assert sorted(found["gone"].dropna()) == [0, 1]
    assert len(found) == 6
    assert "new" not in found


def test_several_datasets_and_other_files(flows, tmp_path):
    nbproxy.column("a")(number)
    flows[:2].to_parquet(tmp_path / "one")
    nbproxy.column("a")(KINDS["real"])
    nbproxy.column("b")(number)
    flows[:2].to_parquet(tmp_path / "two")
    scan = nbproxy.scan([tmp_path / "one", tmp_path / "two", tmp_path / "a.nbproxy"])
    found = scan.compute()
    pd.testing.assert_series_equal(scan.dtypes, found.dtypes)
    assert found["a"].dropna().tolist() == [0.0, 1.0, 3.0, 0.5]
    assert found["b"].dropna().tolist() == [0, 1]
    assert len(found) == 14
    nbproxy.column("b")(str)
    flows[:1].to_parquet(tmp_path / "three", partition=())
    found = nbproxy.scan([tmp_path / "two", tmp_path / "three"]).compute()
    assert found["b"].iloc[:2].tolist() == ["0", "1"]
    assert found["b"].iloc[2].startswith("<HTTPFlow")


@pytest.mark.parametrize(
    "own", ["[]", '{"x": "gone"}', '{"x": "float"}', '{"no": "str"}', '{"file": "str"}']
)
def test_a_file_that_lies_about_them_is_refused(own):
    found = layout.schema(bodies=False, own={"x": "str"})
    text = f'{{"version": 1, "partition": {{}}, "own": {own}}}'
    with pytest.raises(FormatError, match="metadata is damaged"):
        layout.own_of(found.with_metadata({layout.KEY: text.encode()}), "x.parquet")
