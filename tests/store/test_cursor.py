"""A cursor misses nothing and gives each flow once a look."""

from array import array

from nbproxy.store import Store
from nbproxy.store.cursor import Cursor
from tests.store.flow_factory import new_flow


def ids(*numbers):
    return array("q", numbers)


def test_fresh_marked_and_unfinished():
    cursor = Cursor()
    live = {8}
    assert cursor.collect(ids(7, 8), lambda: live) == (ids(7, 8), [])
    assert cursor.collect(ids(7, 8), lambda: live) == (ids(), [8])
    live.clear()
    assert cursor.collect(ids(7, 8), lambda: live) == (ids(), [8])
    assert cursor.collect(ids(7, 8), lambda: live) == (ids(), [])
    cursor.mark(7)
    cursor.mark(7)
    assert cursor.collect(ids(7, 8), lambda: live) == (ids(), [7])


def test_what_was_never_given_out_needs_no_mark():
    cursor = Cursor()
    cursor.mark(7)
    assert cursor.collect(ids(7), set) == (ids(7), [])


def test_what_is_appended_while_one_looks_is_fresh_next_time():
    cursor = Cursor()
    growing = ids(1, 2)
    assert cursor.collect(growing, lambda: growing.append(3) or ()) == (ids(1, 2), [])
    assert cursor.collect(growing, set) == (ids(3), [])


def test_forgetting():
    cursor = Cursor()
    cursor.collect(ids(7, 8), lambda: {8})
    cursor.mark(7)
    cursor.forget([7, 8, 9])
    assert cursor.removed == {7, 8}
    assert cursor.collect(ids(9), set) == (ids(9), [])
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
