"""Columns of the user's own: in frames, for the past and for what comes, and in filters."""

from types import SimpleNamespace

import pytest

import nbproxy
from nbproxy import owners
from nbproxy.filters.computed import computed
from nbproxy.scripts import progress
from nbproxy.store import Flows, Store
from nbproxy.store import store as store_module
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture(autouse=True)
def no_columns():
    yield
    for name in list(nbproxy.columns):
        del nbproxy.columns[name]


@pytest.fixture
def store(tmp_path):
    store = Store(directory=tmp_path)
    yield store
    store.close()


def record(store, path="/", **kwargs):
    flow = new_flow(path)
    store.opened(flow)
    answer(flow, **kwargs)
    end(flow)
    store.closed(flow)
    return flow


def test_the_past_is_not_in_memory_all_at_once(store):
    """Flows come with their bodies: some thousand of them would take gigabytes."""
    for i in range(1000):
        record(store, f"/{i}")
    assert store.flush(60)
    nbproxy.column("alive")(lambda flow: len(store._lent))
    alive = Flows(store).df.alive
    assert len(alive) == 1000
    assert 0 < alive.max() <= 300


def test_how_far_it_is_is_said_in_flows(store, monkeypatch, capsys):
    for i in range(10):
        record(store, f"/{i}")
    clock = iter(range(100))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(store_module, "_ROWS", 4)
    monkeypatch.setattr(Store, "progress", staticmethod(owners._progress))
    flows = Flows(store)
    assert len(flows.df) == 10
    nbproxy.column("one")(lambda flow: 1)
    assert flows.df.one.tolist() == [1] * 10
    lines = capsys.readouterr().err.strip().split("\r")
    assert [line.partition(" ")[2] for line in lines][-2:] == ["8 of 10 flows", "10 of 10 flows"]


def test_for_the_past_and_for_what_comes(store):
    flows = Flows(store)
    for i in range(600):
        record(store, f"/{i}")
    store.flush()
    calls = []

    @nbproxy.column("number")
    def number(flow):
        calls.append(flow.id)
        return int(flow.request.path[1:])

    assert flows.df.number.tolist() == list(range(600))
    record(store, "/600")
    store.flush()
    assert flows.df.number.tolist() == list(range(601))
    assert flows.df.number.dtype == "Int64"
    assert sorted(calls) == [flow.id for flow in flows]  # once a flow
    assert number(flows[3]) == 3
    assert flows.filter("~c 200").df.number.sum() == sum(range(601))


def test_a_flow_under_way_and_one_that_is_changed(store):
    flows = Flows(store)
    nbproxy.column("code", lambda flow: flow.response and flow.response.status_code)
    live = new_flow()
    store.opened(live)
    assert flows.df.code.isna().all()
    answer(live, 404)
    end(live)
    store.closed(live)
    assert flows.df.code.tolist() == [404]
    live.response.status_code = 200
    live.comment = "changed"
    assert flows.df.code.tolist() == [200]


def test_another_function_and_none(store):
    flows = Flows(store)
    record(store, "/a")
    nbproxy.column("it", lambda flow: 1)
    assert flows.df.it.tolist() == [1]
    nbproxy.columns["it"] = lambda flow: flow.request.path
    assert flows.df.it.tolist() == ["/a"]
    assert flows.df.it.dtype == flows.df.path.dtype
    assert list(nbproxy.columns) == ["it"]
    del nbproxy.columns["it"]
    assert "it" not in flows.df
    assert repr(nbproxy.columns) == "<Columns: none>"
    with pytest.raises(KeyError):
        del nbproxy.columns["it"]


def test_numbers_in_the_place_of_text(store):
    flows = Flows(store)
    for i in range(3):
        record(store, f"/{i}")
    nbproxy.column("it", lambda flow: flow.request.path)
    assert flows.df.it.tolist() == ["/0", "/1", "/2"]
    nbproxy.columns["it"] = lambda flow: int(flow.request.path[1:])
    assert flows.df.it.dtype == "Int64"
    nbproxy.columns["it"] = lambda _: 0.5
    assert flows.df.it.dtype == "float64"


def test_an_interrupt_is_made_up_for_at_the_next_look(store):
    flows = Flows(store)
    for i in range(5):
        record(store, f"/{i}")
    nbproxy.column("it", lambda _: "old")
    assert flows.df.it.tolist() == ["old"] * 5
    interrupted = []

    @nbproxy.column("it")
    def it(flow):
        if flow.request.path in {"/3", "/6"} - set(interrupted):
            interrupted.append(flow.request.path)
            raise KeyboardInterrupt
        return flow.request.path

    with pytest.raises(KeyboardInterrupt):
        len(flows.df)
    assert flows.df.it.tolist() == [f"/{i}" for i in range(5)]
    for i in range(5, 8):
        record(store, f"/{i}")
    with pytest.raises(KeyboardInterrupt):
        len(flows.df)
    record(store, "/8")
    df = flows.df
    assert df.it.tolist() == df.path.tolist() == [f"/{i}" for i in range(9)]
    assert df.index.tolist() == [flow.id for flow in flows]


def test_what_fails_is_missing_and_told_once(store, capsys):
    flows = Flows(store)
    for path in ("/1", "/x", "/y"):
        record(store, path)

    @nbproxy.column("number")
    def number(flow):
        return int(flow.request.path[1:])

    assert flows.df.number.isna().tolist() == [False, True, True]
    told = capsys.readouterr().err
    assert told.count("the column 'number' failed") == 1
    assert "return int(flow.request.path[1:])" in told
    assert "nbproxy/filters" not in told
    assert repr(nbproxy.columns) == "<Columns: number (2 failures)>"


@pytest.mark.parametrize("count", [10, 3000])
def test_in_filters(store, count):
    nbproxy.column("user", lambda flow: int(flow.request.path[1:]) % 10 or None)
    flows = Flows(store)
    for i in range(count):
        record(store, f"/{i}")
    store.flush()
    assert len(flows.filter("~col user")) == count * 9 // 10
    assert len(flows.filter("~col user=^7$")) == count // 10
    assert len(flows.filter("!~col user=^7$ & ~c 200")) == count * 9 // 10
    with pytest.warns(UserWarning, match="`nothing` is no column of nbproxy.column"):
        assert len(flows.filter("~col nothing=7")) == 0


@pytest.mark.parametrize("count", [10, 1000])
def test_filters_follow_a_column_that_is_added_changed_and_removed(store, count):
    for i in range(count):
        record(store, f"/{i % 10}")
    with pytest.warns(UserWarning, match="there is none yet"):
        found = Flows(store).filter("~col user=^7$ & ~c 200")
    assert len(found) == 0
    nbproxy.column("user", lambda flow: flow.request.path[1:])
    assert len(found) == count // 10
    record(store, "/7")
    assert len(found) == count // 10 + 1
    nbproxy.column("user", lambda flow: "7")
    assert len(found) == count + 1
    del nbproxy.columns["user"]
    assert len(found) == 0


def test_a_filter_by_a_column_that_is_not_there_is_told(store):
    flows = Flows(store)
    record(store, "/7")
    with pytest.warns(UserWarning, match=r"^filter '~col user=7': `user` .*; there is none yet$"):
        found = flows.filter("~col user=7")
    assert len(found) == 0
    nbproxy.column("user", lambda flow: int(flow.request.path[1:]))
    record(store, "/7")
    assert len(found) == 2  # a filter may be there before its column
    with pytest.warns(UserWarning, match=r"`usr` .*; did you mean `user`\?$") as warned:
        assert flows.find("~m GET & ~col usr=7") is None
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=r"`status` .*; there are: user$"):
        assert len(flows[:].filter("~col status")) == 0
    assert flows.find("~col user=7").id == flows[0].id


def test_names_that_cannot_be():
    for name in ("a b", "class", "_x", ""):
        with pytest.raises(ValueError, match="cannot be a column's name"):
            nbproxy.column(name)
    for name in ("path", "id", "flow"):
        with pytest.raises(ValueError, match="already"):
            nbproxy.column(name)
    with pytest.raises(TypeError, match="function of a flow"):
        nbproxy.column("ok", 5)
    with pytest.raises(TypeError, match="'later' takes a `def`"):

        @nbproxy.column("later")
        async def later(flow):
            return flow.id

    with pytest.raises(TypeError, match=r'needs a name: @nbproxy\.column\("page"\)'):

        @nbproxy.column
        def page(flow):
            return flow.request.path

    assert len(computed) == 0
