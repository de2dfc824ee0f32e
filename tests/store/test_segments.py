"""Rows in segments: few of them, in order, found, replaced and taken out."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store import segments
from nbproxy.store.segments import MISSING, Segment, Table
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def flows():
    made = [new_flow(f"/{i}") for i in range(100)]
    for flow in made:
        answer(flow)
        end(flow)
    return made


def ids_of(table):
    return [int(i) for segment in table.segments for i in segment.ids]


def column(table, name):
    return [value for segment in table.segments for value in segment.text[name].to_pylist()]


def test_segments_stay_few(flows):
    table = Table()
    for flow in flows:
        table.append([flow])
    assert len(table.segments) <= 8
    assert len(table) == 100
    assert ids_of(table) == [flow.id for flow in flows]
    assert column(table, "path") == [f"/{i}" for i in range(100)]


def test_batches_and_the_limit_of_merging(flows, monkeypatch):
    monkeypatch.setattr(segments, "_BATCH_ROWS", 7)
    monkeypatch.setattr(segments, "MAX_MERGED_ROWS", 20)
    table = Table()
    table.append(flows)
    assert max(map(len, table.segments)) <= 20
    table.remove(flow.id for flow in flows[10:60])
    assert ids_of(table) == [flow.id for flow in flows[:10] + flows[60:]]
    table.clear()
    assert len(table) == 0


def test_putting_replaces_rows_and_adds_late_ones(flows):
    table = Table()
    table.append(flows[:40:2])
    table.append(flows[40::2])
    flows[4].comment = "changed"
    flows[60].comment = "changed too"
    table.put([flows[60], flows[5], flows[4], flows[99]])
    assert ids_of(table) == sorted({f.id for f in flows[::2]} | {flows[5].id, flows[99].id})
    rows = dict(zip(ids_of(table), column(table, "comment"), strict=True))
    assert {i: text for i, text in rows.items() if text} == {
        flows[4].id: "changed",
        flows[60].id: "changed too",
    }


def test_text_that_did_not_change_is_not_copied(flows):
    table = Table()
    table.append(flows)
    before = dict(table.segments[0].text)
    flows[3].comment = "x"
    table.put([flows[3]])
    after = table.segments[0].text
    assert {name for name in after if after[name] is not before[name]} == {"comment"}


@pytest.mark.parametrize("count", [1, 3, 50, 100])
def test_replacing_few_or_many(flows, count):
    table = Table()
    table.append(flows)
    for flow in flows[:count]:
        flow.comment = f"c{flow.id}"
    table.put(flows[:count])
    assert column(table, "comment") == [flow.comment for flow in flows]


def test_selecting(flows):
    table = Table()
    table.append(flows[:64])
    table.append(flows[64:])
    wanted = [flows[i].id for i in (70, 3, 64, 3)]
    found = [int(i) for segment in table.select([*wanted, 10**15]) for i in segment.ids]
    assert found == sorted(set(wanted))
    assert table.select([]) == []
    whole = table.select([flow.id for flow in flows])
    assert sum(map(len, whole)) == 100


def test_numbers_that_are_none():
    assert segments.number_array("int", [1, None, "x", 2**70, True, -3]).tolist() == [
        *(1, 0, 0, 0, 1, -3)
    ]
    assert segments.number_array("nullable int", [None, 5]).tolist() == [MISSING, 5]
    floats = segments.number_array("float", [1, None, "x", 10**400])
    assert floats[0] == 1
    assert np.isnan(floats[1:]).all()
    times = segments.number_array("time", [1.5, 0.0, None, -1.0, 1e300, float("nan")])
    assert times.tolist() == [1_500_000, *[MISSING] * 5]


def test_an_empty_segment():
    empty = Segment.read([])
    assert len(empty) == 0
    assert empty.text["path"].type == pa.large_string()


@given(st.lists(st.text(st.characters()), max_size=30))
@settings(max_examples=50, deadline=None)
def test_any_text_becomes_arrow(texts):
    array = segments.text_array(texts)
    wanted = ["".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in t) for t in texts]
    assert array.to_pylist() == wanted
