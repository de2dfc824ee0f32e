"""Flows that are over lie on disk: found again, the same object while somebody holds it."""

import gc
import sqlite3
import threading
import time
import weakref

import pytest

from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from nbproxy.store import Flows, Store
from nbproxy.store.keeping import Limits
from tests.store.flow_factory import answer, end, new_flow

LONG_S = 120  # ends a test that hangs


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


def settle(store):
    """Wait until all is on disk and the store has let go of it."""
    assert store.flush(LONG_S)
    gc.collect()


def in_memory(store):
    return len(store._held), len(store._lent)


def test_flows_leave_memory_and_come_back(store):
    refs = [weakref.ref(record(store, f"/{i}")) for i in range(300)]
    settle(store)
    assert in_memory(store) == (0, 0)
    assert not any(ref() for ref in refs)
    flows = Flows(store)
    assert [flow.request.path for flow in flows] == [f"/{i}" for i in range(300)]
    assert flows[-1].response.content == b"hello"
    assert flows.filter("~u /29.$ & ~bs hello").df.path.tolist() == [f"/29{i}" for i in range(10)]
    assert flows.df.path.tolist() == [f"/{i}" for i in range(300)]


def test_an_object_that_is_held_stays_the_same(store):
    flow = record(store, "/held")
    number = flow.id
    settle(store)
    assert store.by_id(number) is flow
    del flow
    settle(store)
    first = store.by_id(number)
    assert store.by_id(number) is first
    assert next(iter(Flows(store))) is first
    assert Flows(store)[:1][0] is first


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (lambda f: setattr(f, "comment", "mine"), lambda f: f.comment == "mine"),
        (lambda f: f.metadata.update(a={"b": [1]}), lambda f: f.metadata["a"] == {"b": [1]}),
        (
            lambda f: f.request.headers.update({"X-New": "1"}),
            lambda f: f.request.headers["x-new"] == "1",
        ),
        (lambda f: setattr(f.response, "text", "other"), lambda f: f.response.text == "other"),
        (lambda f: setattr(f, "response", None), lambda f: f.response is None),
        (
            lambda f: setattr(
                f, "websocket", WebSocketData([WebSocketMessage(1, True, b"hi", 1.0)])
            ),
            lambda f: f.websocket.messages[0].content == b"hi",
        ),
    ],
)
def test_what_users_change_is_written_back(store, change, seen, loaded):
    flow = record(store)
    number = flow.id
    if loaded:
        del flow
        settle(store)
        flow = store.by_id(number)
    else:
        settle(store)
    change(flow)
    del flow
    settle(store)
    settle(store)
    assert in_memory(store) == (0, 0)
    assert seen(store.by_id(number))
    reopened = sqlite3.connect(store.session.path)
    assert reopened.execute("SELECT count(*) FROM flows").fetchone() == (1,)
    reopened.close()


def test_changes_in_objects_that_are_held_reach_frames_and_filters(store):
    flow = record(store)
    flows = Flows(store)
    hits = flows.filter("~c 404")
    settle(store)
    assert len(hits) == 0
    assert flows.df.status.tolist() == [200]
    flow.response.status_code = 404
    assert flows.df.status.tolist() == [404]
    assert list(hits) == [flow]


def test_what_cannot_be_written_so_stays_in_memory(store):
    flow = record(store)
    thing = flow.metadata["thing"] = object()
    flow.comment = "written anew"
    number = flow.id
    del flow
    settle(store)
    assert store.by_id(number).metadata["thing"] is thing


def test_flows_under_way_are_held(store):
    flow = new_flow()
    store.opened(flow)
    number = flow.id
    ref = weakref.ref(flow)
    record(store)
    del flow
    settle(store)
    assert ref() is not None
    assert store.by_id(number) is ref()


def test_removed_and_cleared(store):
    kept = [record(store, f"/{i}") for i in range(4)]
    numbers = [flow.id for flow in kept]
    settle(store)
    del kept
    settle(store)
    held = store.by_id(numbers[0])
    store.remove(numbers[:2])
    held.comment = "late"
    del held
    settle(store)
    assert store.get(numbers[0]) is None
    assert [flow.id for flow in Flows(store)] == numbers[2:]
    store.clear()
    settle(store)
    assert len(store) == 0
    database = sqlite3.connect(store.session.path)
    assert database.execute("SELECT count(*) FROM flows").fetchone() == (0,)
    database.close()


def test_a_store_of_a_file_keeps_a_few_in_memory(tmp_path):
    store = Store(directory=tmp_path, in_memory=10)
    for i in range(10):
        record(store, f"/{i}")
    assert list(tmp_path.iterdir()) == []
    for i in range(10, 40):
        record(store, f"/{i}")
    settle(store)
    assert in_memory(store) == (0, 0)
    assert [flow.request.path for flow in Flows(store)] == [f"/{i}" for i in range(40)]
    store.close()


def test_the_file_goes_with_the_store(tmp_path):
    store = Store(directory=tmp_path)
    record(store)
    settle(store)
    assert list(tmp_path.glob("*.nbproxy"))
    store.close()
    assert Flows(store)[0].response.content == b"hello"
    del store
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_capture_stays(tmp_path):
    path = tmp_path / "kept.nbproxy"
    store = Store(capture=path)
    record(store)
    store.close(keep=True)
    assert path.stat().st_mode & 0o777 == 0o600
    database = sqlite3.connect(path)
    assert database.execute("SELECT method, host, status FROM flows").fetchall() == [
        ("GET", "example.org", 200)
    ]
    database.close()


@pytest.mark.parametrize("frame", [False, True])
def test_most_flows(store, frame):
    store.limit(Limits(flows=5))
    flows = Flows(store)
    live = new_flow("/live")
    store.opened(live)
    if frame:
        assert len(flows.df) == 1
    for i in range(20):
        record(store, f"/{i}")
    settle(store)
    assert [flow.request.path for flow in flows][-4:] == ["/16", "/17", "/18", "/19"]
    assert flows[0] is live
    assert len(flows) <= 6
    assert flows.df.path.tolist() == [flow.request.path for flow in flows]


def test_most_bytes(store):
    for i in range(10):
        record(store, f"/{i}", content=b"x" * 1000)
    settle(store)
    store.limit(Limits(bytes=3500))
    assert [flow.request.path for flow in Flows(store)] == ["/7", "/8", "/9"]
    record(store, "/10", content=b"x" * 2000)
    settle(store)
    assert [flow.request.path for flow in Flows(store)] == ["/9", "/10"]


def test_greatest_age(store):
    for age in (50_000, 10_000, 1000):
        flow = new_flow(f"/{age}", start=time.time() - age)
        store.opened(flow)
        end(flow)
        store.closed(flow)
    settle(store)
    store.limit(Limits(age_s=20_000))
    assert [flow.request.path for flow in Flows(store)] == ["/10000", "/1000"]
    store.limit(Limits(age_s=5000))
    assert Flows(store).df.path.tolist() == ["/1000"]


def test_many_readers_while_flows_are_written(store):
    flows = Flows(store)
    done = threading.Event()
    looks = []

    def read():
        while not (done.is_set() and looks):  # however late it gets its turn
            count = len(flows)
            if count:
                assert flows[count // 2].response.content == b"hello"
                assert flows.filter("~u 7").df is not None
                assert len(flows.df) >= count
                looks.append(count)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i in range(3000):
        flow = new_flow(f"/{i}")
        answer(flow)
        end(flow)
        store.opened(flow)
        store.closed(flow)
    done.set()
    for reader in readers:
        reader.join()
    assert looks
    settle(store)
    assert flows.df.path.tolist() == [f"/{i}" for i in range(3000)]
    assert len(flows.filter("~u 7")) == sum("7" in str(i) for i in range(3000))


def test_looking_changes_nothing(store):
    held = record(store)
    settle(store)
    flows = Flows(store)
    assert len(flows.df) == 1
    before = store.version
    for _ in range(5):
        assert flows.by_id(held.id) is held
        assert list(flows) == [held]
        assert len(flows.df) == 1
        settle(store)
    assert store.version == before


def test_the_writer_rests_and_goes_on(store):
    for i in range(5):
        flow = record(store, f"/{i}")
        store.session.rest(LONG_S)
        assert store.session._writer._thread is None
        assert not store._held
        del flow
    assert [flow.request.path for flow in Flows(store)] == ["/0", "/1", "/2", "/3", "/4"]
    store.session.rest(LONG_S)
    store.close()
    assert len(Flows(store)) == 5


def test_nothing_is_lost_between_resting_and_writing(store):
    done = threading.Event()

    def rest():
        while not done.is_set():
            store.session.rest(LONG_S)

    resting = threading.Thread(target=rest)
    resting.start()
    for i in range(2000):
        record(store, f"/{i}")
    done.set()
    resting.join()
    settle(store)
    assert in_memory(store)[0] == 0
    assert Flows(store).df.path.tolist() == [f"/{i}" for i in range(2000)]
