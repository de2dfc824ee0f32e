"""The feed: what the browser has in the end, whatever happened on the way."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbproxy.filters import parse
from nbproxy.notebook.widgets import feed as feeds
from nbproxy.notebook.widgets.feed import Feed, Pace, Slots
from nbproxy.store import Flows, Store
from tests.notebook.widgets.reading import Mirror
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def store():
    return Store()


def record(store, path="/", status=200):
    flow = new_flow(path)
    store.opened(flow)
    answer(flow, status)
    end(flow)
    store.closed(flow)
    return flow


def pump(feed, mirror):
    """Send all there is to send, as if the browser answered each batch."""
    feed.look()
    while feed.is_asking:
        feed.ask()
    while feed.has_news:
        content, buffers = feed.batch()
        mirror.apply(content, buffers)
        feed.acknowledge(content["number"])
    return mirror


def test_what_was_there_and_what_comes(store):
    first = record(store, "/first")
    feed, mirror = Feed(Flows(store)), Mirror()
    assert pump(feed, mirror).ids == [first.id]
    assert not feed.has_news
    second = record(store, "/second", 404)
    assert pump(feed, mirror).ids == [first.id, second.id]
    assert [row["status"] for row in mirror.rows.values()] == [200, 404]
    assert len(feed) == 2


def test_a_flow_under_way_is_sent_again_as_it_grows(store):
    feed, mirror = Feed(Flows(store)), Mirror()
    flow = new_flow("/slow")
    store.opened(flow)
    pump(feed, mirror)
    assert mirror.rows[0]["status"] == 0
    answer(flow, 201)
    store.changed(flow)
    pump(feed, mirror)
    assert mirror.rows[0]["status"] == 201
    flow.comment = "seen"
    end(flow)
    store.closed(flow)
    assert pump(feed, mirror).rows[0]["comment"] == "seen"


def test_the_newest_come_first(store, monkeypatch):
    flows = [record(store) for _ in range(5)]
    monkeypatch.setattr(feeds, "FIRST_ROWS", 2)
    feed, mirror = Feed(Flows(store)), Mirror()
    content, buffers = feed.batch()
    mirror.apply(content, buffers)
    assert mirror.ids == [flow.id for flow in flows[-2:]]
    assert content["left"] == 3
    assert pump(feed, mirror).ids == [flow.id for flow in flows]


def test_what_somebody_looks_at_comes_before_the_rest(store, monkeypatch):
    flows = [record(store) for _ in range(9)]
    monkeypatch.setattr(feeds, "FIRST_ROWS", 2)
    monkeypatch.setattr(feeds, "BATCH_ROWS", 2)
    feed, mirror = Feed(Flows(store)), Mirror()
    content, buffers = feed.batch()
    mirror.apply(content, buffers)
    feed.acknowledge(content["number"])
    feed.want([0, 8, 1, 99, -1, "x"])  # 8 is there
    assert feed.pace.wait_s() <= feeds.HURRY_S
    content, buffers = feed.batch()
    mirror.apply(content, buffers)
    assert mirror.ids == [flows[i].id for i in (0, 1, 5, 6, 7, 8)]
    assert not feed.pace.hurried
    feed.acknowledge(content["number"])
    feed.want([0, 1])
    assert not feed.pace.hurried  # nothing to wait for
    assert pump(feed, mirror).ids == [flow.id for flow in flows]


def test_while_traffic_passes_batches_are_smaller(store, monkeypatch):
    for _ in range(9):
        record(store)
    for name, rows in (("FIRST_ROWS", 1), ("BATCH_ROWS", 4), ("BUSY_ROWS", 2)):
        monkeypatch.setattr(feeds, name, rows)
    clock = Clock()
    monkeypatch.setattr(feeds.time, "monotonic", clock.monotonic)
    feed = Feed(Flows(store))

    def size():
        return len(feed.batch()[1][0]) // 4

    assert [size(), size()] == [1, 4]
    record(store)
    feed.look()
    assert size() == 2
    clock.now += 2 * feeds.BUSY_S
    assert size() == 3  # all that is left


def test_removed_flows_go_and_all_of_them_begin_anew(store):
    flows = [record(store) for _ in range(3)]
    feed, mirror = Feed(Flows(store)), Mirror()
    pump(feed, mirror)
    store.remove([flows[1].id])
    assert pump(feed, mirror).ids == [flows[0].id, flows[2].id]
    assert len(feed) == 2
    store.clear()
    assert pump(feed, mirror).ids == []
    assert mirror.epoch == 1
    again = record(store)
    assert pump(feed, mirror).ids == [again.id]


def test_a_late_flow_gets_a_slot_of_its_own(store):
    early = new_flow()
    assert early.id >= 0  # its id is given before the others'
    flows = [record(store) for _ in range(2)]
    feed, mirror = Feed(Flows(store)), Mirror()
    pump(feed, mirror)
    store.opened(early)
    assert pump(feed, mirror).ids == sorted([early.id, *(flow.id for flow in flows)])
    early.comment = "late"
    pump(feed, mirror)
    assert {row["comment"] for row in mirror.rows.values()} == {"late", ""}


def test_filtered_flows_are_followed(store):
    record(store, "/a")
    feed, mirror = Feed(Flows(store).filter("~c 404")), Mirror()
    assert pump(feed, mirror).ids == []
    flow = new_flow("/b")
    store.opened(flow)
    record(store, "/c", 404)
    answer(flow, 404)
    end(flow)
    store.closed(flow)
    assert len(pump(feed, mirror).ids) == 2
    flow.response.status_code = 200
    store.changed(flow)
    assert len(pump(feed, mirror).ids) == 1
    flow.response.status_code = 404
    store.changed(flow)
    assert len(pump(feed, mirror).ids) == 2


def test_slices_stand_still(store):
    flows = [record(store) for _ in range(3)]
    feed, mirror = Feed(Flows(store)[:2]), Mirror()
    record(store)
    assert pump(feed, mirror).ids == [flow.id for flow in flows[:2]]


def test_a_filter_is_put_to_all_and_to_what_comes(store):
    found = [record(store, f"/{i}", 404 if i % 3 else 200) for i in range(30)]
    feed, mirror = Feed(Flows(store)), Mirror()
    pump(feed, mirror)
    feed.set_filter(parse("~c 404"))
    wanted = [flow.id for flow in found if flow.response.status_code == 404]
    assert pump(feed, mirror).shown == wanted
    wanted.append(record(store, "/new", 404).id)
    record(store, "/new", 200)
    assert pump(feed, mirror).shown == wanted
    found[0].response.status_code = 404
    store.changed(found[0])
    assert pump(feed, mirror).shown == [found[0].id, *wanted]
    assert feed.newest(2) == (wanted[-2:], len(wanted) + 1)
    feed.set_filter(None)
    assert not feed.is_asking
    assert feed.newest(1)[1] == 32


@pytest.mark.parametrize("expression", ["~c 404", "~b hello & ~c 404", "!~c 200"])
def test_many_flows_are_asked_by_their_columns(store, monkeypatch, expression):
    monkeypatch.setattr(feeds, "_FEW", 3)
    found = [record(store, f"/{i}", 404 if i % 2 else 200) for i in range(20)]
    for flow in found:
        flow.response.content = b"hello"
    feed, mirror = Feed(Flows(store)), Mirror()
    feed.set_filter(parse(expression))
    assert pump(feed, mirror).shown == [flow.id for flow in found[1::2]]


def test_what_is_lost_on_the_way_is_sent_again(store):
    flows = [record(store)]
    feed, mirror = Feed(Flows(store)), Mirror()
    pump(feed, mirror)
    seen = feed.pace.sent
    feed.set_filter(parse("~all"))
    flows.append(record(store))
    feed.look()
    while feed.is_asking:
        feed.ask()
    feed.batch()  # lost
    flows.append(record(store))
    feed.look()
    feed.batch()  # lost
    assert not feed.is_asking or pump(feed, mirror)
    feed.resend(seen)
    assert pump(feed, mirror).ids == [flow.id for flow in flows]
    assert mirror.shown == mirror.ids


def test_a_new_browser_gets_everything(store):
    flows = [record(store) for _ in range(3)]
    feed = Feed(Flows(store))
    pump(feed, Mirror())
    feed.resend(0)
    assert pump(feed, Mirror()).ids == [flow.id for flow in flows]


def test_nobody_answers_for_long(store):
    feed = Feed(Flows(store))
    for _ in range(120):
        record(store)
        feed.look()
        feed.batch()
    feed.resend(5)  # longer ago than is remembered
    assert len(pump(feed, Mirror()).ids) == 120


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


def test_pace(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(feeds.time, "monotonic", clock.monotonic)
    pace = Pace()
    assert pace.wait_s() == 0
    pace.note_sent(0.001, feeds.SHARE)
    pace.note_heard(1)
    assert pace.wait_s() == pytest.approx(feeds.INTERVAL_S)  # five a second
    clock.now += feeds.INTERVAL_S
    assert pace.wait_s() == pytest.approx(0)
    pace.note_sent(0.05, feeds.SHARE)
    pace.note_heard(2)
    assert pace.wait_s() == pytest.approx(0.5)  # what takes long comes seldom
    clock.now += 0.5
    pace.note_sent(0.001, feeds.SHARE)
    assert pace.is_heard  # it is too young to be late
    assert pace.wait_s() == pytest.approx(feeds.UNHEARD_S)
    clock.now += feeds.UNHEARD_S
    assert not pace.is_heard
    assert pace.wait_s() == 0
    clock.now += feeds.DESERTED_S
    pace.note_sent(0.001, feeds.SHARE)
    assert pace.wait_s() == pytest.approx(feeds.DESERTED_INTERVAL_S)
    pace.note_heard(99)
    assert pace.heard == pace.sent


@given(st.lists(st.integers(0, 60), unique=True))
def test_slots(ids):
    slots = Slots()
    for place, number in enumerate(ids):
        assert slots.find(number) is None
        assert slots.add(number) == place
    assert [slots.id(slot) for slot in range(len(slots))] == ids
    assert [slots.find(number) for number in ids] == list(range(len(ids)))
    assert all(slots.find(number) is None for number in set(range(62)) - set(ids))


steps = st.lists(
    st.sampled_from(["open", "close", "comment", "remove", "filter", "send", "lose", "clear"]),
    max_size=40,
)


@settings(max_examples=60)
@given(steps)
@example(["open", "send", "clear", "lose"])
def test_in_the_end_the_browser_has_what_there_is(steps):
    store = Store()
    feed, mirror = Feed(Flows(store)), Mirror()
    live, heard, lost = [], 0, False
    for step in steps:
        if step == "open":
            live.append(new_flow())
            store.opened(live[-1])
        elif step == "close" and live:
            flow = live.pop(0)
            answer(flow, 404 if flow.id % 2 else 200)
            end(flow)
            store.closed(flow)
        elif step == "comment" and len(store):
            Flows(store)[-1].comment = "x"
        elif step == "remove" and len(store):
            store.remove([Flows(store)[0].id])
        elif step == "filter":
            feed.set_filter(parse("~c 404"))
        elif step == "clear":
            store.clear()
        elif step in ("send", "lose"):
            feed.look()
            feed.ask()
            content, buffers = feed.batch()
            if step == "send":
                mirror.apply(content, buffers)
                if not lost:
                    heard = content["number"]
                    feed.acknowledge(heard)
            else:
                lost = True
    feed.resend(heard)
    pump(feed, mirror)
    flows = list(Flows(store))
    assert mirror.ids == [flow.id for flow in flows]
    comments = {row["id"]: row["comment"] for row in mirror.rows.values()}
    assert comments == {flow.id: flow.comment for flow in flows}
    if feed.filter is not None:
        assert mirror.shown == [flow.id for flow in flows if feed.filter(flow)]
