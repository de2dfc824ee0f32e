"""SQL over flows."""

import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from nbproxy.analysis.frames import MARK
from tests.analysis.views import flow, view


@pytest.fixture
def flows():
    return view(
        flow(url="https://a.test/1?token=s3cr3t", body=b'{"n": 1}',
             request_headers=[("Authorization", "Bearer s3cr3ts3cr3t17"), ("X-N", "1")]),
        flow(url="https://a.test/2", body=b'{"n": 2}', took=0.3,
             request_headers=[("Authorization", "Bearer s3cr3ts3cr3t17")]),
        flow("POST", "https://b.test/3", None, request=b"a=1", error="no"),
        flow(url="https://b.test/4", body=b"\0\1", kind="image/png"),
    )  # fmt: skip


def test_flows(flows):
    found = flows.sql(
        "select host, count(*) n, avg(duration) d, sum(response_bytes) s from flows "
        "group by all order by host"
    )
    assert type(found) is pd.DataFrame
    assert found.attrs == MARK
    assert found.to_dict("list") == {
        "host": ["a.test", "b.test"],
        "n": [2, 2],
        "d": [pytest.approx(0.2), pytest.approx(0.1)],
        "s": [16, 2],
    }


def test_the_columns_are_those_of_the_frame(flows):
    found = flows.sql("select * from flows order by id").set_index("id")
    pd.testing.assert_frame_equal(found, flows.df, check_index_type=False)


def test_columns_of_the_users_own(flows):
    frame = flows.df
    frame["mixed"] = [1, "a", None, {"b": 2}]

    class Like:
        df = frame

        def __iter__(self):
            return iter(flows)

    from nbproxy.analysis.sql import sql

    found = sql(Like(), "select mixed from flows", None, "mask")
    assert list(found.mixed.fillna("-")) == ["1", "a", "-", "{'b': 2}"]


def test_headers(flows):
    found = flows.sql("select name, value from headers where message = 'request' and name = 'x-n'")
    assert found.to_dict("list") == {"name": ["x-n"], "value": ["1"]}
    found = flows.sql(
        "select value, count(*) n from headers where name = 'authorization' group by 1"
    )
    assert list(found.n) == [2]  # equal secrets have equal masks
    assert found.value[0].startswith("Bearer ***")
    kept = flows.sql("select value from headers where name = 'authorization'", secrets="keep")
    assert list(kept.value) == ["Bearer s3cr3ts3cr3t17"] * 2
    with pytest.raises(ValueError, match="'mask' or 'keep'"):
        flows.sql("select 1", secrets="show")


def test_headers_that_are_no_text():
    odd = flow()
    odd.request.headers.add("x-odd", b"a\xffb")
    found = view(odd).sql("select value from headers where name = 'x-odd'")
    assert found.value[0] in {"a\ufffdb", "a?b"}


def test_bodies(flows):
    found = flows.sql("select message, content_type, bytes, text from bodies order by flow")
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == [
        ["response", "application/json", 8, '{"n": 1}'],
        ["response", "application/json", 8, '{"n": 2}'],
        ["request", "application/json", 3, "a=1"],
        ["response", "image/png", 2, None],
    ]
    found = flows.sql(
        "select host, sum((text::json->>'n')::int) n from flows join bodies on id = flow "
        "where bodies.content_type = 'application/json' and message = 'response' group by 1"
    )
    assert found.to_dict("list") == {"host": ["a.test"], "n": [3]}


def test_bodies_that_are_no_text():
    found = view(
        flow(body=b"\xff\xfe\xfd", kind="application/json"),
        flow(body=b"x", headers=[("Content-Encoding", "gzip")]),
        flow(body="gr\u00fc\u00df".encode("latin-1"), kind="text/plain; charset=latin-1"),
        flow(body=b"x" * 300_000, kind="text/plain"),
    ).sql("select length(text) n from bodies order by flow")
    assert list(found.n.astype(object)) == [pd.NA, pd.NA, 4, 2**18]


def test_parameters(flows):
    assert flows.sql("select count(*) n from flows where host = ?", ["a.test"]).n[0] == 2
    assert flows.sql("select count(*) n from flows where host = $h", {"h": "b.test"}).n[0] == 2


def test_dtypes(flows):
    found = flows.sql(
        "select status, error, time, tls, status is null as missing, null::boolean b, "
        "sum(id) over () s, 1.50::decimal(5,2) d, [1, 2] l, {'a': 1} st, 1 as status "
        "from flows order by id"
    )
    assert list(map(str, found.dtypes)) == [
        *("Int64", "str", "datetime64[us, UTC]", "bool", "bool", "boolean"),
        *("int64", "float64", "object", "object", "int32"),
    ]
    assert list(found.columns)[-1] == "status"
    assert found.iloc[:, 0].isna().sum() == 1


def test_looking_around(flows):
    assert set(flows.sql("show tables").name) == {"flows", "headers", "bodies"}
    assert "value" in list(flows.sql("describe headers").column_name)
    assert len(flows.sql("explain select * from flows")) > 0
    assert flows.sql("from flows limit 1").shape[0] == 1
    assert list(flows.sql("select 1 where false").columns) == ["1"]


@pytest.mark.parametrize(
    "query",
    [
        "select * from 'secret.csv'",
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from glob('/*')",
        "select * from sqlite_scan('{file}', 'x')",
        "select * from read_text('http://127.0.0.1:9/')",
        "select getenv('HOME')",
        "select * from frame",
    ],
)
def test_nothing_else_can_be_reached(flows, tmp_path, query):
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    frame = pd.DataFrame({"a": [1]})
    with pytest.raises(duckdb.Error):
        flows.sql(query.replace("{file}", str(file)))
    assert frame is not None


@pytest.mark.parametrize(
    "query",
    [
        "create table t as select 1",
        "insert into headers values (1, 'a', 'b', 'c')",
        "delete from headers",
        "drop table headers",
        "copy flows to '{file}'",
        "attach '{file}'",
        "set enable_external_access = true",
        "install httpfs",
        "load httpfs",
        "select 1; select 2",
        "",
    ],
)
def test_nothing_can_be_changed(flows, tmp_path, query):
    file = tmp_path / "out"
    with pytest.raises((ValueError, duckdb.Error)):
        flows.sql(query.replace("{file}", str(file)))
    assert not file.exists()


def test_mistakes_are_named(flows):
    with pytest.raises(duckdb.Error, match="hots"):
        flows.sql("select hots from flows")
    with pytest.raises(ValueError, match="one SELECT, not CREATE"):
        flows.sql("create table t as select 1")


def test_nothing_here():
    assert view().sql("select count(*) n from flows").n[0] == 0
    assert view().sql("select * from headers").empty


def test_without_duckdb():
    program = """
import sys
sys.modules["duckdb"] = None
from tests.analysis.views import view
try:
    view().sql("select 1")
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600
    )
    assert done.stdout == (
        "sql() needs duckdb, which is not installed: "
        "pip install 'nbproxy[sql]', or pip install duckdb\n"
    )
