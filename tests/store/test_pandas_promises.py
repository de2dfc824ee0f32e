"""What README promises of a frame to those who know pandas, on whatever pandas this runs with.

`test_oldest_pandas.py` runs it with the oldest one that is supported. Where it says more than a
result can, the same is done to a frame that pandas made by itself of the same values.
"""

import io
import pickle
import random

import numpy as np
import pandas as pd
import pytest

from nbproxy.store.columns import FEW
from nbproxy.store.cursor import Cursor
from nbproxy.store.dtypes import TEXT
from nbproxy.store.frame import Frame
from nbproxy.store.schema import COLUMNS
from tests.store import plain

COUNT = 2 * FEW + 88
TEXTS = [column.name for column in COLUMNS if column.kind == "str"]


def rows():
    rng = random.Random(11)
    return {number: plain.row(rng, number) for number in range(100, 100 + COUNT)}


@pytest.fixture(params=["whole", "in parts"])
def df(request):
    """A frame as `nbproxy.df` is, of one segment or of several."""
    frame = Frame(Cursor())
    made = rows()
    step = COUNT if request.param == "whole" else 300
    for start in range(100, 100 + COUNT, step):
        ids = [number for number in made if start <= number < start + step]
        frame.update_rows(ids, plain.columns([made[i] for i in ids]), fresh=True)
    return frame.snapshot()


@pytest.fixture
def own(df):
    """The same values in arrays of pandas' own making."""
    made = {}
    for name in df:
        values = df[name].tolist()
        made[name] = pd.array(values, dtype=df[name].dtype) if name in TEXTS else df[name].array
    return pd.DataFrame(made, index=pd.Index(df.index.tolist(), name="id"))


def assert_equal(a, b):
    kind = pd.testing.assert_frame_equal if isinstance(a, pd.DataFrame) else None
    (kind or pd.testing.assert_series_equal)(a, b)


def count(name, value):
    return sum(row[name] == value for row in rows().values())


# -- comparing


def test_equality_is_true_or_false(df):
    same, other = df.method == "POST", df.method != "POST"
    assert same.dtype == other.dtype == bool
    assert same.sum() == count("method", "POST")
    assert (same ^ other).all()


def test_what_is_missing_equals_nothing(df):
    assert (df.server == "93.184.216.34:443").sum() == count("server", "93.184.216.34:443")
    assert not (df.server == df.server)[df.server.isna()].any()
    assert (df.server != "x").all()
    assert (df.server.isna()).sum() == count("server", None)


def test_a_missing_status_is_in_no_mask(df):
    failed = df[df.status >= 400]
    assert len(failed) == count("status", 404) + count("status", 500)
    assert len(df[df.status == 200]) + len(df[df.status != 200]) == COUNT - count("status", None)
    assert len(df[df.status.isna()]) == count("status", None)
    assert len(df[(df.method == "GET") & (df.status == 404)]) == sum(
        row["method"] == "GET" and row["status"] == 404 for row in rows().values()
    )


def test_comparing_columns_and_lists(df):
    assert (df.method == df.method.copy()).all()
    assert (df.host < "www3").sum() == sum(row["host"] < "www3" for row in rows().values())
    assert df.method.isin(["GET", "PUT"]).sum() == count("method", "GET")
    assert df.server.isin([None]).sum() == count("server", None)
    assert (df.method.to_numpy() == "GET").sum() == count("method", "GET")


# -- groups


def test_groups(df):
    sizes = df.groupby("host").size()
    assert sizes.to_dict() == {
        f"www{i}.example.org": count("host", f"www{i}.example.org") for i in range(5)
    }
    assert list(sizes.index) == sorted(sizes.index)
    assert sizes.index.dtype == "str"
    spent = df.groupby(["host", "method"], sort=False).response_bytes.agg(["sum", "max", "count"])
    assert spent["count"].sum() == COUNT
    assert df.groupby("method").host.nunique().to_dict() == {"GET": 5, "POST": 5}


def test_groups_of_what_is_missing(df):
    assert df.groupby("server").size().sum() == COUNT - count("server", None)
    kept = df.groupby("server", dropna=False).size()
    assert kept.sum() == COUNT
    assert kept.index.isna().sum() == 1
    assert df.groupby("status").size().to_dict() == {s: count("status", s) for s in (200, 404, 500)}
    assert df.groupby("function").duration.mean().index.tolist() == ["fetch"]


def test_groups_are_those_of_pandas(df, own):
    for keys in ("host", ["method", "server"], "content_type", "path", "status"):
        for sort in (True, False):
            ours, theirs = (f.groupby(keys, sort=sort, dropna=False) for f in (df, own))
            assert_equal(ours.response_bytes.sum(), theirs.response_bytes.sum())
            assert_equal(ours.first(), theirs.first())
    assert_equal(df.host.value_counts(), own.host.value_counts())
    assert_equal(df.path.value_counts(normalize=True), own.path.value_counts(normalize=True))
    pivots = [
        f.pivot_table(index="host", columns="method", values="duration", aggfunc="median")
        for f in (df, own)
    ]
    assert_equal(*pivots)
    assert_equal(*(pd.crosstab(f.host, f.status) for f in (df, own)))
    assert df.path.unique().tolist() == own.path.unique().tolist()
    assert_equal(df.drop_duplicates(["host", "method"]), own.drop_duplicates(["host", "method"]))


# -- merging


def test_merging_with_a_frame_of_ones_own(df):
    teams = pd.DataFrame({"host": ["www1.example.org", "www2.example.org"], "team": ["a", "b"]})
    both = df.merge(teams, on="host")
    assert both.team.value_counts().to_dict() == {
        "a": count("host", "www1.example.org"),
        "b": count("host", "www2.example.org"),
    }
    left = df.reset_index().merge(teams, on="host", how="left").set_index("id")
    assert left.index.tolist() == df.index.tolist()
    assert left.team.notna().sum() == len(both)
    assert left.path.tolist() == df.path.tolist()


def test_merging_frames_of_flows(df, own):
    for how in ("inner", "left", "right", "outer"):
        ours = df.merge(own.iloc[::3], on=["host", "path", "client"], how=how)
        theirs = own.merge(own.iloc[::3], on=["host", "path", "client"], how=how)
        assert_equal(ours, theirs)
    joined = df[["path"]].join(df[["host"]].iloc[5:], how="outer")
    assert joined.host.isna().sum() == 5
    assert df.merge(df, left_index=True, right_index=True).shape == (COUNT, 2 * len(df.columns))


# -- text


def test_text(df):
    assert df.path.str.startswith("/items/").sum() == sum(
        row["path"].startswith("/items/") for row in rows().values()
    )
    assert df.host.str.contains("www3", regex=False).sum() == count("host", "www3.example.org")
    assert df.path.str.extract(r"/items/(\d+)")[0].notna().sum() > 0
    assert set(df.host.str.split(".").str[0]) == {f"www{i}" for i in range(5)}
    assert (df.method.str.lower().str.len() == df.method.str.len()).all()
    assert df.host.str.cat(df.path, sep="|").iloc[0].count("|") == 1
    assert (df.scheme + "://" + df.host + df.path).str.startswith("https://www").all()
    assert (df.host + df.path).dtype == "str"
    assert (df.method * 2).iloc[0] == df.method.iloc[0] * 2


def test_missing_text_stays_missing_or_is_no_match(df):
    missing = df.server.isna()
    assert (df.server.str.upper().isna() == missing).all()
    assert (df.server + "x").isna().sum() == missing.sum()
    found = df.server.str.contains("93")
    assert found.dtype == bool
    assert (found == ~missing).all()
    assert len(df[df.server.str.startswith("9")]) == (~missing).sum()


def test_text_is_that_of_pandas(df, own):
    for name in ("path", "server", "comment"):
        for change in (
            lambda s: s.str.replace("a", "b"),
            lambda s: s.str.slice(0, 3),
            lambda s: s.str.len(),
            lambda s: s.str.count("/"),
            lambda s: s.str.extract("(.)(.)"),
            lambda s: s.str.pad(20, fillchar="."),
            lambda s: s.str.isdigit(),
            lambda s: s.str.get(0),
            lambda s: s.str.partition("/"),
            lambda s: s.str.split("/", expand=True),
        ):
            assert_equal(change(df[name]), change(own[name]))


# -- what is missing


def test_what_is_missing_is_what_pandas_calls_so(df):
    assert df.status.iloc[0] is pd.NA or isinstance(df.status.iloc[0], (int, np.integer))
    assert isinstance(df.server[df.server.isna()].iloc[0], float)  # NaN
    assert df.ttfb.isna().all()
    assert df.ttfb.dtype == float
    assert df.notna().sum().path == COUNT
    assert df.server.fillna("none").value_counts()["none"] == count("server", None)
    assert df.status.fillna(0).eq(0).sum() == count("status", None)
    assert len(df.dropna(subset=["server", "status"])) == sum(
        row["server"] is not None and row["status"] is not None for row in rows().values()
    )
    assert df.server.count() == COUNT - count("server", None)
    assert df.server.ffill().isna().sum() < 10


def test_numbers(df):
    assert df.response_bytes.dtype == df.port.dtype == "int64"
    assert df.response_bytes.sum() == sum(row["response_bytes"] for row in rows().values())
    assert df.status.mean() == pytest.approx(
        np.mean([row["status"] for row in rows().values() if row["status"]])
    )
    assert df.duration.quantile(0.5) > 0
    assert (df.request_bytes / 1024).dtype == float
    assert df.tls.dtype == bool
    assert df.tls.sum() == count("tls", True)
    assert (~df.tls).sum() == count("tls", False)
    assert df.describe().loc["count", "port"] == COUNT
    assert df.select_dtypes("number").shape[1] >= 7


def test_times(df):
    assert str(df.time.dtype) == "datetime64[us, UTC]"
    assert df.time.dt.year.eq(2023).all()
    assert df.set_index("time").resample("1min").size().sum() == COUNT
    assert (df.time.diff().dropna() > pd.Timedelta(0)).all()
    assert df[df.time > "2023-11-14 22:20"].shape[0] < COUNT
    assert (df.time + pd.to_timedelta(df.duration, unit="s")).isna().sum() == count(
        "duration", None
    )
    assert df.time.dt.tz_convert("Europe/Berlin").dt.hour.isin([23, 0]).all()


# -- order, selection


def test_order(df, own):
    for keys in ("host", ["method", "path"], "server", "duration", "status"):
        for ascending in (True, False):
            ours = df.sort_values(keys, ascending=ascending, kind="stable")
            assert_equal(ours, own.sort_values(keys, ascending=ascending, kind="stable"))
    last = df.sort_values("server").server
    assert last.iloc[-count("server", None) :].isna().all()
    assert df.nlargest(3, "response_bytes").response_bytes.is_monotonic_decreasing
    assert_equal(df.sort_index(ascending=False).sort_index(), df)
    assert df.path.max() == own.path.max()
    assert df.path.argsort().tolist() == own.path.argsort().tolist()


def test_query(df, own):
    for expression in (
        "method == 'POST' and status >= 400",
        "host in ['www1.example.org', 'www2.example.org']",
        "duration > 0.5 or server.isna()",
        "path.str.startswith('/items')",
        "response_bytes > request_bytes * 100",
        "id < 150",
    ):
        assert_equal(df.query(expression), own.query(expression))
    wanted = "POST"
    assert len(df.query("method == @wanted")) == count("method", wanted)
    assert df.eval("response_bytes + request_bytes").sum() > 0


def test_rows_by_id_and_by_position(df, own):
    assert df.loc[100].path == rows()[100]["path"]
    assert df.loc[[105, 101]].index.tolist() == [105, 101]
    assert df.loc[100:109].shape[0] == 10
    assert_equal(df.iloc[5:50:3], own.iloc[5:50:3])
    assert_equal(df.iloc[-1], own.iloc[-1])
    assert_equal(df.head(3), own.head(3))
    assert_equal(df.tail(), own.tail())
    assert_equal(df.sample(20, random_state=1), own.sample(20, random_state=1))
    assert_equal(df.reindex([100, 5]), own.reindex([100, 5]))
    assert_equal(
        df.reindex([100, 5]).path.isna().rename(None),
        pd.Series([False, True], pd.Index([100, 5], name="id")),
    )
    assert df.loc[100, "path"] == df.path.iloc[0]
    assert df.filter(like="_bytes").columns.tolist() == ["request_bytes", "response_bytes"]
    assert [row.path for row in df.head(3).itertuples()] == df.path.tolist()[:3]
    assert df.apply(lambda row: row.method == "GET", axis=1).sum() == count("method", "GET")
    assert df.path.map(len).tolist() == [len(row["path"]) for row in rows().values()]
    assert df.explode("path").shape == df.shape
    assert df.melt(id_vars="host", value_vars=["method", "path"]).shape == (2 * COUNT, 3)
    assert df.set_index("host").loc["www1.example.org"].shape[0] == count(
        "host", "www1.example.org"
    )
    assert df.T.shape == (len(df.columns), COUNT)


# -- changing


def test_a_frame_is_yours(df):
    before = df.copy()
    other = df.copy()
    other["path"] = "/"
    other.loc[other.index[0], "host"] = "new.example"
    other["size"] = other.request_bytes + other.response_bytes
    other.loc[other.method == "POST", "comment"] = "posted"
    other.loc[other.status.isna(), "status"] = 0
    other["port"] += 1
    del other["client"]
    assert_equal(df, before)
    assert other.path.unique().tolist() == ["/"]
    assert other.host.iloc[0] == "new.example"
    assert (other.comment == "posted").sum() == count("method", "POST")
    assert other.status.isna().sum() == 0
    assert (other.port == 444).all()


def test_new_values_need_no_ceremony(df):
    df["comment"] = df.comment.where(df.comment != "", None)
    assert df.comment.isna().sum() == count("comment", "")
    df.loc[100, "method"] = "BREW"
    assert df.method.dtype == "str"
    df.loc[101, "method"] = None
    assert df.method.isna().sum() == 1
    df["method"] = df["method"].replace("BREW", "GET").str.title()
    assert set(df.method.dropna()) == {"Get", "Post"}
    df["team"] = np.where(df.host == "www1.example.org", "a", "b")
    df["slow"] = df.duration > 0.5
    df["kind"] = df.host.map({"www1.example.org": "one"})
    df = df.assign(url=df.scheme + "://" + df.host + df.path).rename(columns={"path": "p"})
    assert {"team", "slow", "kind", "url", "p"} <= set(df.columns)
    some = df[["host", "port"]]
    some = pd.concat([some, some.loc[[102]].set_axis([999])])
    assert some.host.dtype == "str"
    some.loc[1000] = ["new.example", 80]
    assert some.loc[[999, 1000], "host"].tolist() == [df.loc[102, "host"], "new.example"]
    assert (df.fillna({"server": "-"}).server == "-").sum() >= count("server", None)


def test_concat(df, own):
    assert_equal(pd.concat([df, df.iloc[:5]]), pd.concat([own, own.iloc[:5]]))
    assert_equal(pd.concat([df.iloc[:300], df.iloc[300:]]), df)
    more = pd.DataFrame({"host": ["x"], "note": ["n"]}, index=[5])
    both = pd.concat([df, more])
    assert both.host.iloc[-1] == "x"
    assert both.note.isna().sum() == COUNT
    assert pd.concat({"a": df, "b": df}).shape[0] == 2 * COUNT


def test_categories_are_one_call_away(df):
    df = df.astype({"host": "category", "method": "category"})
    assert df.host.cat.categories.tolist() == [f"www{i}.example.org" for i in range(5)]
    assert df.host.memory_usage(deep=True) < COUNT * 20
    assert df.convert_dtypes().shape[0] == COUNT
    assert df.path.astype(object).map(type).eq(str).all()
    assert df.path.to_numpy().dtype == object


# -- out of pandas and back


def test_parquet(df, tmp_path):
    df.to_parquet(tmp_path / "flows.parquet")
    again = pd.read_parquet(tmp_path / "flows.parquet")
    assert again.index.name == "id"
    assert again.index.tolist() == df.index.tolist()
    assert list(again.columns) == list(df.columns)
    again = again.astype(dict.fromkeys(TEXTS, TEXT))  # in pandas 2 text comes back as objects
    assert_equal(again, df)
    part = pd.read_parquet(tmp_path / "flows.parquet", columns=["host", "status"])
    assert part.host.tolist() == df.host.tolist()


def test_parquet_keeps_text_as_text_in_pandas_3(df, tmp_path):
    df.to_parquet(tmp_path / "flows.parquet")
    again = pd.read_parquet(tmp_path / "flows.parquet")
    if pd.__version__.split(".", maxsplit=1)[0] >= "3":
        assert_equal(again, df)
    else:
        assert again.host.dtype in (object, TEXT)


def test_other_formats(df):
    again = pd.read_csv(io.StringIO(df.to_csv()), index_col="id")
    assert again.path.tolist() == df.path.tolist()
    assert len(df.to_dict("records")) == COUNT
    assert (
        pd.read_json(
            io.StringIO(df.to_json(orient="split", date_format="iso")), orient="split"
        ).shape
        == df.shape
    )
    assert_equal(pickle.loads(pickle.dumps(df)), df)
    assert df.to_html().count("<tr>") >= COUNT
    assert "www" in df.to_string()
    buffer = io.StringIO()
    df.info(buf=buffer)
    assert f"{COUNT} entries" in buffer.getvalue()
    assert df.to_numpy().shape == df.shape


def test_memory_is_told_as_it_is(df):
    before = df.memory_usage(deep=True).sum()
    assert 60 < before / COUNT < 250
    for name in TEXTS:
        assert len(df[name].str.len()) == COUNT
    assert df.memory_usage(deep=True).sum() > before
