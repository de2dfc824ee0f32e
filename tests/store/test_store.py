"""Recording: cheap, seen by readers, safe between threads."""

import gc
import threading
import weakref
from types import SimpleNamespace

import pytest

from nbproxy import owners
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.scripts import progress
from nbproxy.store import Store
from nbproxy.store import store as store_module
from tests.store.flow_factory import answer, end, new_flow


def record(store, path="/", **kwargs):
    flow = new_flow(path, **kwargs)
    store.opened(flow)
    answer(flow)
    store.changed(flow)
    end(flow)
    store.closed(flow)
    return flow


def test_positions_and_ids():
    store = Store()
    flows = [record(store) for _ in range(5)]
    assert list(store.each(store.ids)) == flows
    assert len(store) == 5
    assert store.by_id(flows[3].id) is flows[3]
    assert flows[0] in store
    assert new_flow() not in store
    assert "flow" not in store
    with pytest.raises(KeyError, match=f"ids go from {flows[0].id} to {flows[4].id}"):
        store.by_id(10**9)
    with pytest.raises(KeyError, match="there are none"):
        Store().by_id(0)


def test_ids_are_given_in_the_order_of_opening():
    store = Store()
    first, second = (HTTPFlow(Request.make("GET", "http://example.org/")) for _ in range(2))
    store.opened(second)
    store.opened(first)
    assert list(store.each(store.ids)) == [second, first]
    assert second.id < first.id


def test_versions_and_callbacks():
    store = Store()
    seen = []
    stop = store.subscribe(lambda: seen.append(store.version))
    flow = record(store)
    flow.comment = "x"
    store.clear()
    assert seen == [1, 2, 3, 4, 5]
    stop()
    stop()
    record(store)
    assert len(seen) == 5
    store.subscribe(lambda: seen.append(0))
    store.close()
    record(store)
    assert len(seen) == 5


def test_a_failing_callback_is_dropped(caplog):
    store = Store()
    calls = []

    def fail():
        calls.append(1)
        raise RuntimeError("the widget is gone")

    store.subscribe(fail)
    other = []
    store.subscribe(lambda: other.append(1))
    record(store)
    assert calls == [1]
    assert len(other) == 3
    assert "the widget is gone" in caplog.text


def test_cleared_flows_stay_away():
    store = Store()
    live = new_flow()
    store.opened(live)
    over = record(store)
    assert len(store.df()) == 2
    store.clear()
    answer(live)
    store.changed(live)
    end(live)
    store.closed(live)
    over.comment = "late"
    assert len(store) == 0
    assert len(store.df()) == 0
    again = record(store)
    assert store.df().index.tolist() == [again.id]


def test_removing():
    store = Store()
    flows = [record(store) for _ in range(6)]
    store.remove([flows[1].id, flows[4].id, -5])
    flows[1].comment = "gone"
    kept = [flows[i] for i in (0, 2, 3, 5)]
    assert list(store.each(store.ids)) == kept
    assert store.df().index.tolist() == [flow.id for flow in kept]
    with pytest.raises(KeyError):
        store.by_id(flows[1].id)


def test_a_flow_keeps_no_store_alive():
    store = Store()
    flow = record(store)
    store.df()
    ref = weakref.ref(store)
    del store
    gc.collect()
    assert ref() is None
    flow.comment = "nobody listens"


def test_rows_by_id():
    store = Store()
    flows = [record(store) for _ in range(10)]
    wanted = [flows[7].id, flows[2].id, 10**12]
    assert store.df(wanted).index.tolist() == [flows[2].id, flows[7].id]
    assert store.df([]).empty


def test_reading_while_another_thread_records():
    store = Store()
    done = threading.Event()
    total = 3000
    made = []

    def write():
        window = []
        for i in range(total):
            flow = new_flow(f"/{i}")
            store.opened(flow)
            window.append(flow)
            made.append(flow)
            if len(window) > 20:
                old = window.pop(0)
                answer(old)
                store.changed(old)
                end(old)
                store.closed(old)
        for flow in window:
            flow.comment = "last"
            end(flow)
            store.closed(flow)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    before = 0
    while not done.is_set():
        df = store.df()
        assert df.index.is_monotonic_increasing
        assert df.index.is_unique
        assert len(df) >= before
        before = len(df)
    writer.join()
    df = store.df()
    assert df.index.tolist() == [flow.id for flow in made]
    assert df.status.notna().sum() == total - 20
    assert (df.comment == "last").sum() == 20
    assert df.path.tolist() == [f"/{i}" for i in range(total)]


def test_clearing_while_another_thread_records():
    store = Store()
    done = threading.Event()

    def write():
        for _ in range(2000):
            record(store)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        store.clear()
        store.remove(store.ids[:3])
        store.df()
    writer.join()
    last = record(store)
    assert store.df().index.tolist() == store.ids.tolist()
    assert store.get(store.ids[-1]) is last


def test_large_bodies_leave_memory_when_a_flow_is_over():
    store = Store(body_memory_limit=1000)
    flow = new_flow()
    store.opened(flow)
    answer(flow, content=b"x" * 5000)
    assert flow.response.holds_bytes
    end(flow)
    number = flow.id
    store.closed(flow)
    del flow
    assert store.flush()
    gc.collect()
    flow = store.by_id(number)
    assert not flow.response.holds_bytes
    assert flow.response.raw_content == b"x" * 5000
    assert flow.response.body_size == 5000
    store.close()


def test_a_first_frame_that_takes_long_says_how_far_it_is(monkeypatch, capsys):
    clock = iter(range(1000))  # a second passes at each look
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(store_module, "_ROWS", 4)
    monkeypatch.setattr(store_module, "_BEHIND", 0)
    monkeypatch.setattr(Store, "progress", staticmethod(owners._progress))
    store = Store()
    for _ in range(10):
        record(store)
    assert len(store.df()) == 10
    drawn = capsys.readouterr().err
    assert drawn.endswith("10 of 10 flows\n")
    assert [line.partition(" ")[2] for line in drawn.strip().split("\r")][1:] == [
        *("4 of 10 flows", "8 of 10 flows", "10 of 10 flows")
    ]
    assert len(store.df()) == 10  # nothing is new
    for _ in range(10):
        record(store)
    assert store.flush(60)  # the writer brings the frame up to date: nobody waits for that
    assert capsys.readouterr().err == ""
    store.close()
