"""A cursor misses nothing and gives each flow once a look."""

from nbproxy.store import Store
from nbproxy.store.cursor import Cursor
from tests.store.flow_factory import end, new_flow


def over():
    flow = new_flow()
    end(flow)
    return flow


def test_fresh_marked_and_unfinished():
    cursor = Cursor()
    flows = [over(), new_flow()]
    assert cursor.collect(flows) == (flows, [])
    assert cursor.collect(flows) == ([], [flows[1]])
    end(flows[1])
    assert cursor.collect(flows) == ([], [flows[1]])
    assert cursor.collect(flows) == ([], [])
    cursor.mark(flows[0])
    cursor.mark(flows[0])
    assert cursor.collect(flows) == ([], [flows[0]])


def test_what_was_never_given_out_needs_no_mark():
    cursor = Cursor()
    flow = over()
    cursor.mark(flow)
    assert cursor.collect([flow]) == ([flow], [])


def test_forgetting():
    cursor = Cursor()
    flows = [over(), new_flow()]
    cursor.collect(flows)
    cursor.mark(flows[0])
    later = over()
    cursor.forget([flow.id for flow in [*flows, later]])
    assert cursor.removed == {flow.id for flow in flows}
    assert cursor.collect([later]) == ([later], [])
    cursor.forget(None)
    assert cursor.cleared
    assert not cursor.removed


def test_a_retired_one_keeps_nothing():
    store = Store()
    cursor = store.cursor()
    flow = new_flow()
    store.opened(flow)
    with store.lock:
        store.collect(cursor)
    cursor.retire()
    store.changed(flow)
    assert not cursor._marked
    other = store.cursor()
    assert store._cursors == (other,)
