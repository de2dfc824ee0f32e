"""`nbproxy.flows` as people use it."""

import gc

import pytest

from nbproxy.errors import FilterError
from nbproxy.store import Flows, Store
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def flows(store):
    return Flows(store)


def record(store, path="/", status=200, host="example.org"):
    flow = new_flow(path, host)
    store.opened(flow)
    answer(flow, status)
    end(flow)
    store.closed(flow)
    return flow


def test_as_a_sequence(store, flows):
    made = [record(store) for _ in range(4)]
    assert (flows[0], flows[-1], flows[2]) == (made[0], made[3], made[2])
    assert list(flows) == made
    assert list(reversed(flows)) == made[::-1]
    assert len(flows) == 4
    assert made[2] in flows
    assert new_flow() not in flows
    assert 3 not in flows
    assert flows.index(made[2]) == 2
    assert flows.index(made[3], -2) == 3
    assert (flows.first, flows.last) == (made[0], made[3])
    assert flows.by_id(made[1].id) is made[1]


def test_iteration_sees_what_was_there(store, flows):
    made = [record(store) for _ in range(3)]
    seen = []
    for flow in flows:
        seen.append(flow)
        record(store)
    assert seen == made
    assert len(flows) == 6


def test_slices_stay_the_same(store, flows):
    made = [record(store, f"/{i}") for i in range(5)]
    part = flows[1:4]
    back = flows[::-2]
    record(store)
    assert list(part) == made[1:4]
    assert list(back) == [made[4], made[2], made[0]]
    assert back.df.index.tolist() == [made[i].id for i in (4, 2, 0)]
    assert isinstance(part, Flows)
    assert list(part[1:]) == made[2:4]
    assert list(part.filter("~u /2")) == [made[2]]
    assert part.by_id(made[3].id) is made[3]
    with pytest.raises(KeyError):
        part.by_id(made[0].id)
    store.clear()
    assert part.df.path.tolist() == ["/1", "/2", "/3"]
    assert made[2] in part


def test_a_large_slice_as_a_frame(store, flows, monkeypatch):
    monkeypatch.setattr("nbproxy.store.view._FEW", 2)
    made = [record(store, f"/{i}") for i in range(6)]
    assert flows[1:5].df.path.tolist() == ["/1", "/2", "/3", "/4"]
    assert flows[4:0:-1].df.path.tolist() == ["/4", "/3", "/2", "/1"]
    part = flows[1:5]
    few = flows[1:3]
    store.remove([made[2].id])
    assert few.df.path.tolist() == ["/1", "/2"]
    assert part.df.path.tolist() == ["/1", "/3", "/4"]
    assert list(part) == [made[1], made[3], made[4]]
    assert list(reversed(part)) == [made[4], made[3], made[1]]
    assert len(part) == 4
    hint = r"position 1 was removed: a slice of more than 2 flows does not hold them; .*\.save"
    with pytest.raises(IndexError, match=hint):
        part[1]


def test_clearing_a_slice(store, flows):
    made = [record(store) for _ in range(4)]
    part = flows[:2]
    part.clear()
    assert list(flows) == made[2:]
    assert len(part) == 0
    flows.clear()
    assert len(store) == 0


def test_a_filter_is_live(store, flows):
    wanted = flows.filter("~d example.org & ~c 404")
    assert list(wanted) == []
    assert wanted.last is None
    record(store)
    hit = record(store, status=404)
    record(store, status=404, host="other.net")
    assert list(wanted) == [hit]
    assert wanted.df.index.tolist() == [hit.id]
    live = new_flow()
    store.opened(live)
    assert list(wanted) == [hit]
    answer(live, 404)
    assert list(wanted) == [hit, live]
    live.response.status_code = 200
    assert live not in wanted
    end(live)
    store.closed(live)
    assert list(wanted) == [hit]
    store.clear()
    assert list(wanted) == []


def test_only_what_changed_is_asked_about_again(store, flows):
    asked = []

    def predicate(flow):
        asked.append(flow)
        return flow.comment == "x"

    made = [record(store) for _ in range(3)]
    wanted = flows.filter(predicate)
    assert len(wanted) == 0
    assert asked == made
    asked.clear()
    made[1].comment = "x"
    assert list(wanted) == [made[1]]
    made[0].comment = "x"
    assert list(wanted) == [made[0], made[1]]
    assert asked == [made[1], made[0]]


def test_filters_of_filters(store, flows):
    both = flows.filter("~d example.org").filter(lambda flow: flow.response.status_code == 404)
    hit = record(store, status=404)
    record(store)
    record(store, status=404, host="other.net")
    assert list(both) == [hit]
    assert repr(both) == (
        "<Flows: 1 flow matching '(~d example.org) & (<lambda>)', last 404 GET https://example.org>"
    )


def test_clearing_what_matches(store, flows):
    kept = record(store)
    record(store, status=404)
    flows.filter("~c 404").clear()
    assert list(flows) == [kept]


def test_a_failing_predicate_loses_nothing(store, flows):
    made = [record(store, f"/{i}") for i in range(4)]
    broken = True

    def predicate(flow):
        if broken and flow is made[2]:
            raise ZeroDivisionError
        return True

    wanted = flows.filter(predicate)
    with pytest.raises(ZeroDivisionError):
        len(wanted)
    broken = False
    assert list(wanted) == made


def test_finding(store, flows):
    assert flows.find("~c 404") is None
    record(store)
    hit = record(store, status=404)
    record(store, status=404)
    assert flows.find("~c 404") is hit
    assert flows.find(lambda flow: flow.response.status_code == 404) is hit


def test_ids_as_they_come_out_of_a_frame(store, flows):
    made = [record(store) for _ in range(4)]
    ids = flows.df.index
    assert type(ids[1]) is not int
    for view in (flows, flows.filter("~m GET"), flows[:], store):
        assert view.by_id(ids[1]) is made[1]
    assert list(flows.of(ids[:2])) == made[:2]
    assert ids[1] in store
    store.remove([ids[1], *ids[3:]])
    assert list(flows) == [made[0], made[2]]
    assert flows.df.index.tolist() == [made[0].id, made[2].id]
    store.flush()
    assert store.session.columns(None)[0] == [made[0].id, made[2].id]


def test_what_is_no_id(store, flows):
    flow = record(store)
    for call in (flows.by_id, store.by_id, lambda what: store.remove([what])):
        for what in ("0", float(flow.id), None):
            with pytest.raises(TypeError, match="integer"):
                call(what)
    assert list(flows) == [flow]


def test_errors_say_what_to_do(store, flows):
    with pytest.raises(IndexError, match="at position 0: there are none yet"):
        flows[0]
    with pytest.raises(IndexError, match="none that match '~q'"):
        flows.filter("~q")[0]
    with pytest.raises(KeyError, match="there are none"):
        flows.by_id(0)
    record(store)
    with pytest.raises(IndexError, match=r"positions go from 0 to 0; .* flows\.by_id"):
        flows[7]
    with pytest.raises(KeyError, match="ids here go from"):
        flows.by_id(10**9)
    with pytest.raises(TypeError, match=r"flows\.filter"):
        flows["~q"]
    with pytest.raises(ValueError, match="not among"):
        flows.index(new_flow())
    with pytest.raises(TypeError, match="expression or a function"):
        flows.filter(17)
    for call in (flows.filter, flows.find, flows[:].filter):
        with pytest.raises(FilterError) as caught:
            call("~d a & ~nosuch b")
        assert caught.value.position == 7


def test_reprs(store, flows):
    assert repr(flows) == "<Flows: 0 flows>"
    record(store, "/?token=secret")
    assert repr(flows) == "<Flows: 1 flow, last 200 GET https://example.org>"
    live = new_flow()
    store.opened(live)
    assert repr(flows) == "<Flows: 2 flows, last … GET https://example.org>"


def test_views_that_are_gone_cost_nothing(store, flows):
    record(store)
    for _ in range(50):
        assert len(flows.filter("~q")) == 0
    gc.collect()
    store.cursor()
    assert len(store._cursors) == 1
