"""`df.flow`: from rows of any frame that still has the ids, back to flows."""

import gc
import json

import pandas as pd
import pytest

import nbproxy
from nbproxy.accessor import FlowError
from nbproxy.errors import FilterError
from nbproxy.model.headers import Headers
from nbproxy.proxy import Proxy
from nbproxy.store import Flows, Store
from tests.store.flow_factory import answer, end, new_flow


def record(store, path, document=None, content=b"hello", **kwargs):
    flow = new_flow(path, **kwargs)
    store.opened(flow)
    if document is None:
        answer(flow, content=content)
    else:
        answer(flow, content=json.dumps(document).encode(), content_type="application/json")
    end(flow)
    store.closed(flow)
    return flow


@pytest.fixture
def store(tmp_path):
    proxy = Proxy(confdir=tmp_path, capture_dir=str(tmp_path / "captures"))
    yield proxy.store
    proxy.close()


@pytest.fixture
def flows(store):
    for i in range(6):
        items = [{"sku": f"{i}-{k}", "price": k} for k in range(i % 3)]
        record(store, f"/{i}", {"user": {"id": i}, "items": items}, host=f"h{i % 2}.example")
    store.flush()
    return Flows(store)


FRAMES = {
    "itself": lambda df: df,
    "query": lambda df: df.query("status == 200 and path != '/0'"),
    "sample": lambda df: df.sample(4, random_state=1),
    "groupby": lambda df: df.groupby("host").head(2),
    "sort": lambda df: df.sort_values("path", ascending=False),
    "columns": lambda df: df[["host", "status"]],
    "merge": lambda df: df.reset_index().merge(
        pd.DataFrame({"host": ["h0.example"], "team": ["red"]}), on="host"
    ),
    "join": lambda df: df.join(df.groupby("host").size().rename("n"), on="host"),
    "levels": lambda df: df.set_index("host", append=True),
    "renamed": lambda df: df.reset_index().rename(columns={"id": "flow"}),
    "concat": lambda df: pd.concat([df.tail(1), df.head(1)]),
    "empty": lambda df: df[df.status == 500],
}


@pytest.mark.parametrize("name", FRAMES)
def test_objects_of_frames_that_were_made_of_ours(flows, name):
    df = FRAMES[name](flows.df)
    objects = df.flow.objects
    if "path" in df:
        assert [flow.request.path for flow in objects] == df.path.tolist()
    assert [flow.id for flow in objects] == df.flow.ids
    assert len(df.flow) == len(df)
    assert list(df.flow.flows) == sorted(objects, key=lambda flow: flow.id)


def test_frames_without_rows(flows, tmp_path):
    flow = flows.df.head(0).flow
    assert (flow.objects, len(flow.flows), len(flow.json()), len(flow.text())) == ([], 0, 0, 0)
    for name in ("x.nbproxy", "x.har", "x.mitm"):
        assert flow.save(tmp_path / name) == 0
        assert len(nbproxy.open(tmp_path / name)) == 0
    assert pd.DataFrame({"id": []}).flow.objects == []


def test_ids_that_were_floats_for_a_while(flows):
    teams = pd.DataFrame({"host": ["h0.example", "none.example"], "team": ["red", "blue"]})
    df = flows.df.reset_index().merge(teams, on="host", how="right")
    assert df.id.dtype == "float64"
    with pytest.raises(AttributeError, match=r"1 of 4 rows .* outer merge: .*df\['id'\]\.notna"):
        df.flow  # noqa: B018 - asking for it is what fails
    whole = df[df["id"].notna()]
    assert whole.flow.objects == [flows[0], flows[2], flows[4]]
    for odd, kind in ((0.5, "floating"), ("a", "string"), (True, "boolean")):
        with pytest.raises(AttributeError, match=f"whole numbers; 'flow' here is {kind}"):
            pd.DataFrame({"flow": [odd]}).flow  # noqa: B018 - as above


def test_the_same_flow_is_the_same_object(flows):
    df = pd.concat([flows.df.head(1), flows.df.head(1)])
    first, second = df.flow.objects
    assert first is second is flows[0]


def test_bodies_and_text(store):
    record(store, "/a", content="grüß".encode())
    gone = new_flow("/b")
    store.opened(gone)
    df = Flows(store).df
    assert df.flow.bodies().tolist() == ["grüß".encode(), None]
    assert df.flow.text().iloc[0] == "grüß"
    assert pd.isna(df.flow.text().iloc[1])
    assert df.flow.bodies(of="request").tolist() == [b"", b""]
    df["text"] = df.flow.text()
    assert df.text.index.tolist() == df.index.tolist()
    with pytest.raises(ValueError, match="'request' or 'response'"):
        df.flow.text(of="both")


def test_json_as_columns_and_rows(flows, store):
    record(store, "/none", content=b"no json")
    df = flows.df
    table = df.flow.json()
    assert table.index.tolist() == df.index.tolist()
    assert table["user.id"].tolist()[:6] == [0, 1, 2, 3, 4, 5]
    assert pd.isna(table["user.id"].iloc[6])
    ids = df.flow.json("$.user.id")
    assert ids.index.tolist() == df.index.tolist()
    assert ids.dropna().tolist() == [0, 1, 2, 3, 4, 5]
    rows = df.flow.json("$.items[*]")
    assert rows.sku.tolist() == ["1-0", "2-0", "2-1", "4-0", "5-0", "5-1"]
    numbers = df.index.tolist()
    assert rows.index.tolist() == [numbers[i] for i in (1, 2, 2, 4, 5, 5)]
    assert rows.flow.objects[1] is flows[2]
    assert df.flow.json("$.items[*].sku")["value"].tolist() == rows.sku.tolist()
    with pytest.raises(ValueError, match=r"\$"):
        df.flow.json("user")
    with pytest.raises(ValueError, match="filters"):
        df.flow.json("$.user=1")


def test_long_ids_in_json_stay_what_they_are_beside_missing_ones(store):
    long = 2**53 + 1  # as a float it would be 2**53
    record(store, "/a", {"id": long, "user": {"id": -long, "age": 1.5}, "big": 2**64 + 1})
    record(store, "/b", {"id": None, "user": {"name": "x"}})
    df = Flows(store).df
    table = df.flow.json()
    assert table.dtypes[["id", "user.id"]].tolist() == ["Int64", "Int64"]
    assert table["id"].iloc[0] == long
    assert table["user.id"].iloc[0] == -long
    assert table["big"].iloc[0] == 2**64 + 1
    assert table["user.age"].dtype == "float64"
    assert table[["id", "user.id"]].isna().to_numpy().tolist() == [[False, False], [True, True]]
    assert df.flow.json("$.id").tolist() == [long, pd.NA]
    assert df.flow.json("$.user.id").iloc[0] == -long
    assert df.flow.json("$.big").iloc[0] == 2**64 + 1
    assert df.head(1).flow.json("$.id").dtype == "int64"


def test_text_that_is_no_unicode_spoils_nothing(store):
    """A picture without a charset, half of a character in JSON, raw bytes in a header."""
    record(store, "/png", content=b"\x89PNG\xff")
    flow = record(store, "/half", {"text": "cut \ud83d", "n\ud83d": 1, "list": ["\ud83d"]})
    flow.response.headers = Headers([(b"X", b"\xff")])
    df = Flows(store).df
    assert df.flow.text().iloc[0] == "\ufffdPNG\ufffd"
    assert df.flow.bodies().iloc[0] == b"\x89PNG\xff"
    table = df.flow.json()
    assert table.columns.tolist() == ["text", "n\ufffd", "list"]
    assert table["text"].iloc[1] == "cut \ufffd"
    assert table["list"].iloc[1] == ["\ufffd"]
    assert df.flow.json("$.text").iloc[1] == "cut \ufffd"
    assert df.flow.json("$.list[*]")["value"].tolist() == ["\ufffd"]
    raw = b'{"a": "\\\\ud83d \\ud83d\\uDE00 \\udE00 \\u00fc", "b": "\xed\xa0\x80"}'
    record(store, "/all", content=raw)
    whole = Flows(store).df.tail(1).flow.json().iloc[0].tolist()
    assert whole == ["\\ud83d \N{GRINNING FACE} \ufffd ü", "\ufffd"]
    assert df.flow.headers("x")["x"].iloc[1] == "\ufffd"
    assert df.tail(1).flow.headers().to_numpy().tolist() == [["X", "\ufffd"]]


def test_json_that_is_very_deep(store):
    document = 1
    for _ in range(900):
        document = {"a": document}
    record(store, "/deep", {"x": {}, "deep": document})
    table = Flows(store).df.flow.json()
    assert table.columns.tolist() == ["deep" + ".a" * 900]
    assert table.to_numpy().tolist() == [[1]]


def test_headers(store):
    flow = record(store, "/")
    flow.response.headers = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X", "y")])
    record(store, "/two")
    df = Flows(store).df
    table = df.flow.headers("x", "Set-Cookie")
    assert table.columns.tolist() == ["x", "Set-Cookie"]
    assert table.iloc[0].tolist() == ["y", "a=1, b=2"]
    assert table.iloc[1].isna().all()
    long = df.flow.headers()
    assert long.name.tolist() == ["Set-Cookie", "set-cookie", "X", "Content-Type"]
    assert long.index.tolist() == [flow.id] * 3 + [flow.id + 1]
    assert df.flow.headers("host", of="request").shape == (2, 1)


def test_masks(flows):
    df = flows.df.sample(frac=1, random_state=2)
    mask = df.flow.mask("~d h1 & ~bs sku")
    assert mask.index.tolist() == df.index.tolist()
    assert sorted(df[mask].path) == ["/1", "/5"]
    with pytest.raises(FilterError):
        df.flow.mask("~nothing x")


@pytest.fixture
def fetched(monkeypatch):
    """The ids of flows that are fetched from here on."""
    fetched = []
    get_all = Store.get_all

    def noting(self, ids):
        fetched.extend(ids)
        return get_all(self, ids)

    monkeypatch.setattr(Store, "get_all", noting)
    return fetched


def test_masks_ask_the_columns_of_captures_before_flows(store, fetched):
    for i in range(2100):
        record(store, f"/{i % 7}", content=b"error" if i % 700 == 0 else b"fine")
    store.flush()
    flows = Flows(store)
    df = flows.df.sample(frac=1, random_state=3)
    twice = pd.concat([df, df.head(100)])  # rows of the same flow have one answer
    fetched.clear()
    for frame in (df, twice, df[["status"]]):
        mask = frame.flow.mask("~u /3$ | ~t none")
        assert mask.dtype == bool
        assert mask.tolist() == df.loc[frame.index].path.eq("/3").tolist()
    assert not fetched
    bare = df[["status"]]
    found = bare[bare.flow.mask("~u /0$ & ~bs error")].index
    assert sorted(fetched) == sorted(df.index[df.path == "/0"])  # the others need no body
    assert sorted(found) == [flow.id for flow in flows.filter("~bs error")]
    assert len(found) == 3


def test_masks_go_by_the_frame_first(store):
    for i in range(2100):
        record(store, f"/{i}")
    df = Flows(store).df
    df["status"] = 500
    store.remove([int(df.index[0])])
    assert df.flow.mask("~c 500").all()
    with pytest.raises(FlowError, match="1 of these rows"):
        df.flow.mask("~u /1")


def test_saving_each_once(flows, tmp_path):
    df = pd.concat([flows.df.head(2), flows.df.head(2)])
    assert df.flow.save(tmp_path / "x.har") == 2
    assert [flow.request.path for flow in nbproxy.open(tmp_path / "x.har")] == ["/0", "/1"]


def test_flows_of_files_that_nobody_holds(flows, tmp_path):
    flows.save(tmp_path / "x.mitm")
    df = nbproxy.open(tmp_path / "x.mitm").df
    gc.collect()
    assert [flow.request.path for flow in df.flow.objects] == [f"/{i}" for i in range(6)]
    both = pd.concat([df, flows.df])
    assert len(both.flow.objects) == 12
    with pytest.raises(FlowError, match="several captures"):
        _ = both.flow.flows


def test_frames_that_are_not_of_flows(flows):
    _ = flows.df
    with pytest.raises(AttributeError, match="index"):
        _ = pd.DataFrame({"a": [1]}).flow
    with pytest.raises(AttributeError, match="scan"):
        _ = flows.df.assign(file="x.mitm").flow
    with pytest.raises(AttributeError, match="numbers"):
        _ = pd.DataFrame({"id": ["x"]}).flow


def test_flows_that_are_gone(flows, store):
    df = flows.df
    store.remove([int(df.index[0])])
    with pytest.raises(FlowError, match="1 of these rows"):
        _ = df.flow.objects
    assert len(df.tail(3).flow.objects) == 3


def test_a_store_outlives_its_frames_only_for_a_while(tmp_path):
    df = None
    for _ in range(40):
        store = Store(directory=tmp_path)
        record(store, "/")
        df = Flows(store).df
    assert len(df.flow.objects) == 1
