"""Columns never say otherwise than the flow, and of the store's they decide nearly all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import FilterError
from nbproxy.filters import parse
from nbproxy.filters.judging import NO, UNDECIDED, YES
from nbproxy.filters.operators import OPERATORS
from nbproxy.store.cursor import Cursor
from nbproxy.store.frame import Frame
from tests.filters.flows import http, websocket
from tests.filters.generated import decorated_flows, sources

NOW = 1010.0
VERDICTS = {NO: False, YES: True}


def judged(source, flows, ids=None):
    """What the columns of these flows say, after it was compared with what the flows say."""
    found = parse(source, clock=lambda: NOW)
    frame = Frame(Cursor())
    by_id = {flow.id: flow for flow in flows}
    frame.update([by_id[number] for number in sorted(by_id)], ())
    numbers, verdicts = frame.judge(found, ids)
    assert numbers.tolist() == sorted(set(by_id if ids is None else ids))
    for number, verdict in zip(numbers.tolist(), verdicts.tolist(), strict=True):
        if verdict != UNDECIDED:
            assert VERDICTS[verdict] == found(by_id[number]), by_id[number]
    said = dict(zip(numbers.tolist(), verdicts.tolist(), strict=True))
    return [said[flow.id] for flow in flows if flow.id in said]


def some_flows():
    flows = [
        http(),
        http(method="POST", host="api.example", path="/api/items?q=1", status=404),
        http(status=None, error="refused", fields=()),
        http(response_fields=((b"content-type", b"image/png"),), path="*"),
        websocket(),
        http(fields=((b"Host", b"[::1]:8080"), (b"Content-Type", b"text/x"))),
        http(fields=((b"Host", b"n.example:81"),), response_fields=()),
    ]
    flows[1].is_replay = "request"
    flows[2].is_replay = "response"
    flows[3].metadata["cell"] = 7
    flows[3].server_conn.address = None
    return flows


DECIDED = [
    *("~a", "~websocket", "~replay", "~replayq", "~replays", "~cell 7", "~cell >1", "~dst :80$"),
    *("~u items", "~u ^http://n.example:81/$", "~u foo.example/", "~u =1$", "~u example/api/"),
    *("~u //api", "~u x.y", "~u ^http://Foo.example$", "~u %", "~u /api/", "n.example:81/"),
    *("~d foo", "~d ^n.example$", "~d 10.0.0.1", "~d example$"),
    *("~t json", "~t html", "~tq ^text/x$", "~ts utf-8", "!~t html", "~ts png & ~tq x"),
    *("!(~u items | ~d foo) & ~m GET", "~u items & ~c 404", "~src ^127", "~e | ~marked"),
]


@pytest.mark.parametrize("source", DECIDED)
def test_the_stores_columns_suffice(source):
    flows = some_flows()
    if source.startswith("~d"):
        assert judged(source, [flow for flow in flows if flow is not flows[5]])
    verdicts = judged(source, flows)
    brackets = source.startswith("~d") or "~d" in source
    assert [v for i, v in enumerate(verdicts) if v == UNDECIDED and not (brackets and i == 5)] == []
    many = judged(source, [http(path=f"/items/{i}") for i in range(300)])
    assert UNDECIDED not in many


def test_parts_of_the_rows():
    flows = some_flows()
    for source in DECIDED:
        whole = judged(source, flows)
        some = [flows[i].id for i in (0, 3, 6)]
        assert judged(source, flows, some) == [whole[i] for i in (0, 3, 6)]


def test_several_content_types_are_left_to_the_flow():
    two = ((b"Content-Type", b"a/b"), (b"content-type", b"c/d"))
    flows = [http(fields=two), http(response_fields=two), http()]
    assert judged("~t c/d", flows) == [UNDECIDED, UNDECIDED, NO]
    assert judged("~tq c/d", flows) == [UNDECIDED, NO, NO]
    assert judged("~a", flows) == [NO, UNDECIDED, NO]


def test_types_are_bytes():
    flows = [http(response_fields=((b"Content-Type", b"text/\xe9\xc3\xa9"),))]
    assert judged("~t \u00e9", flows) == [YES]
    assert judged("~t ^text/\u00e9", flows) == [NO]


def test_text_that_columns_cannot_say():
    flows = [http(path="/\udcff"), http(path="/\ufffd"), http(path="/q")]
    assert judged("~u q", flows) == [UNDECIDED, UNDECIDED, YES]
    assert judged("~u /$", flows) == [UNDECIDED, UNDECIDED, NO]
    assert judged("~u 10.0.0.1|example", flows)[2] == YES


def test_a_url_is_searched_across_its_pieces():
    flows = [http(host=f"h{i}.example", fields=(), path=f"/p{i % 2}/s") for i in range(600)]
    assert judged("h7.example/p1", flows).count(YES) == 1
    assert judged("example/p0/s", flows).count(YES) == 300
    assert judged("/p0/", flows).count(YES) == 300
    assert judged("~u H7.EXAMPLE/P1/S", flows).count(YES) == 1
    assert judged(r"~u h7\.example/p", flows).count(YES) == 1
    assert judged("~u h7.example/p0", flows).count(YES) == 0
    assert judged("~u ^http.*/p1/s$", flows).count(YES) == 300


def test_paths_that_are_none():
    flows = [http(path=path) for path in ("*", "no/slash", "", "/")]
    for source in ("~u no/slash", "~u 1no/s", "~u foo.example$", "~u example/", '~u "*"'):
        try:
            judged(source, flows)
        except FilterError:
            continue


def test_every_operator_agrees():
    flows = some_flows()
    for operator in OPERATORS:
        for source in (operator.example, f"!{operator.example}", f"{operator.example} | ~m GET"):
            judged(source, flows)


parts = st.sampled_from([*DECIDED, *(operator.example for operator in OPERATORS), "~size 0"])
combined = st.lists(parts, min_size=1, max_size=3).flatmap(
    lambda each: st.sampled_from(
        [" ".join(each), " | ".join(f"({one})" for one in each), f"!({' '.join(each)})"]
    )
)


@settings(max_examples=100, deadline=None)
@given(st.lists(decorated_flows, max_size=4), combined | sources, st.booleans())
def test_columns_never_say_otherwise(flows, source, many):
    try:
        parse(source)
    except FilterError:
        return
    judged(source, flows)
    if many and flows:
        judged(source, flows, [flow.id for flow in flows[:1]])
