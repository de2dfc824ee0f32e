"""The mask over a frame gives exactly the rows that the filter accepts one by one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import FilterError
from nbproxy.filters import mask, parse
from nbproxy.filters.computed import computed
from nbproxy.filters.operators import BY_NAME, OPERATORS, PatternOperator
from nbproxy.store.dtypes import BACKENDS
from nbproxy.store.frame import frame_of
from nbproxy.store.schema import COLUMNS
from tests.filters.flows import RelayFlow, http
from tests.filters.generated import decorated_flows, sources

NOW = 1010.0


class Keeper:
    """Gives flows by id and counts how often it was asked."""

    def __init__(self, flows):
        self.flows = {flow.id: flow for flow in flows}
        self.asked = []

    def __call__(self, number):
        self.asked.append(number)
        return self.flows[number]


def check(source, flows, df=None):
    """The mask and the predicate agree; returns the ids for which flows were fetched."""
    found = parse(source, clock=lambda: NOW)
    keeper = Keeper(flows)
    accepted = mask(found, frame_of(flows) if df is None else df, keeper)
    assert accepted.dtype == bool
    assert accepted.index.tolist() == [flow.id for flow in flows]
    assert accepted.tolist() == [found(flow) for flow in flows]
    return keeper.asked


def some_flows():
    flows = [
        http(),
        http(method="POST", body=b"x" * 3000, status=404, response_body=b"gone"),
        http(status=None, error="refused", times=(1009.0, None, None)),
        http(status=500, response_body=b"y" * 2_000_000, times=(NOW - 5.0, NOW - 1, NOW)),
        http(host="example.org", fields=()),
    ]
    flows[1].marked = ":star:"
    flows[2].comment = "odd\none"
    flows[3].client_conn.peername = ("::1", 9)
    return flows


FROM_COLUMNS = [
    "~all",
    "~e",
    "~q",
    "~s",
    "~http",
    "~tcp | ~udp | ~dns",
    "~m post",
    "~c 404",
    "~c >=400",
    "~c 5xx",
    "~c >" + "9" * 400,
    "~dur >400ms",
    "~ttfb 0.2s-0.3s",
    "~size >1k",
    "~sizeq 2k-3k",
    "~sizes >1m",
    "~sizes <900000g & ~sizes >1",
    "~since 2s",
    "~since 6s",
    "~since " + "9" * 15,
    "~marked",
    "~marker star",
    "~comment ^one$",
    "!(~m GET & ~s) | ~comment odd",
]


@pytest.mark.parametrize("source", FROM_COLUMNS)
def test_columns_suffice(source):
    assert check(source, some_flows()) == []


@pytest.mark.parametrize("source", [f"~{name}" for name in ("a", "websocket", "replay")])
def test_flags_that_need_the_flow(source):
    assert len(check(source, some_flows())) == 5


def test_every_operator_agrees():
    flows = some_flows()
    for operator in OPERATORS:
        check(operator.example, flows)
        check(f"!{operator.example}", flows)
        if isinstance(operator, PatternOperator):
            check(f'~{operator.name} ""', flows)
            check(f"~{operator.name} .", flows)


def test_only_undecided_rows_are_fetched():
    flows = some_flows()
    assert check("~c 404 & ~b gone", flows) == [flows[1].id]
    assert check("~c 404 | ~b gone", flows) == [flow.id for flow in flows if flow is not flows[1]]
    assert check("~c 404 & ~c 500 & ~b gone", flows) == []


def test_domain_is_decided_where_the_host_connected_to_matches():
    flows = some_flows()
    assert check("~d 10.0.0.1", flows) == [flows[4].id]
    assert len(check("~d foo", flows)) == 5


def test_ipv6_clients_are_asked():
    flows = some_flows()
    assert check("~src ^::1:9$", flows) == [flows[3].id]
    assert check("~src ^127", flows) == [flows[3].id]


def test_a_size_of_zero_is_asked_about_only_where_it_matters():
    flows = [http(response_body=None), http(response_body=b""), http(response_body=b"x")]
    assert check("~sizes >1", flows) == []
    assert check("~sizes <1k", flows) == [flows[0].id, flows[1].id]


def test_text_that_the_frame_cannot_say():
    flows = some_flows()
    flows[0].comment = "\udc80"
    flows[1].comment = "\ufffd"
    assert check("~comment ^\udc80", flows) == [flows[0].id, flows[1].id]


def test_the_limit_of_since_is_asked_about():
    flows = [http(times=(NOW - 10.0, None, None)), http(times=(NOW - 10.0 - 1e-7, None, None))]
    assert len(check("~since 10s", flows)) == 2


def test_rows_that_are_not_http():
    flows = some_flows()
    df = frame_of(flows)
    relay = RelayFlow("tcp")
    text = [column.name for column in COLUMNS if column.kind == "str"]
    row = df.iloc[[2]].set_axis([relay.id])
    row[text] = None
    row[["comment", "marked"]] = ""
    df = pd.concat([df, row.astype(df.dtypes)])
    flows.append(relay)
    for source in ("~http", "~tcp", "~udp", "!~q", "~s", "~m .", '~comment ""', "~e"):
        check(source, flows, df)


def test_missing_columns_cost_time_but_change_nothing():
    flows = some_flows()
    df = frame_of(flows)
    for operator in OPERATORS:
        for name in df.columns.intersection(operator.columns):
            check(operator.example, flows, df.drop(columns=name))
    assert len(check("~c 404", flows, df[["method"]])) == 5


def test_columns_of_a_user_are_not_taken_for_the_stores():
    flows = some_flows()
    df = frame_of(flows)
    df["_response_type"] = "image/png"
    df["_websocket"] = True
    assert len(check("~a | ~websocket", flows, df)) == 5


def test_columns_that_users_define_are_left_to_the_flow():
    flows = some_flows()
    df = frame_of(flows)
    df["own"] = "x"
    assert check("~col own=x", flows, df) == []
    computed.set("own", lambda flow: flow.request.method)
    try:
        assert len(check("~col own=post", flows, df)) == 5
    finally:
        computed.remove("own")


def test_an_empty_frame():
    assert check("~c 404 | ~b x | ~since 5s | ~src a", []) == []


def test_arrow_dtypes():
    flows = some_flows()
    df = frame_of(flows).convert_dtypes(dtype_backend="pyarrow")
    df["time"] = df["time"].astype("timestamp[us, tz=UTC][pyarrow]")
    for source in FROM_COLUMNS:
        assert check(source, flows, df) == []


def test_other_dtypes_and_text_that_is_made_late():
    flows = some_flows() * 60
    for count, flow in enumerate(flows[5:]):
        flows[5 + count] = http(method=flow.request.method, status=404, times=(1000.0, None, None))
    for backend in BACKENDS:
        df = frame_of(flows, dtype_backend=backend)
        for source in FROM_COLUMNS:
            assert check(source, flows, df.copy()) == []
        category = df.astype({"method": "category", "comment": "object"})
        assert check("~m POST | ~comment odd", flows, category) == []


def test_rows_in_another_order_and_a_part_of_them():
    flows = some_flows()
    df = frame_of(flows).iloc[[3, 1]]
    check("~b gone | ~c 500", [flows[3], flows[1]], df)


def test_the_clock_stands_still_during_one_call():
    ticks = iter(np.arange(1000.0, 2000.0))
    found = parse("~since 1s", clock=lambda: float(next(ticks)))
    flows = [http(times=(999.0, None, None)), http(times=(999.0, None, None))]
    assert mask(found, frame_of(flows), Keeper(flows)).tolist() == [True, True]


def test_columns_named_by_the_table_are_those_that_decide():
    flows = some_flows()
    df = frame_of(flows)
    for operator in OPERATORS:
        if operator.name not in ("all", "col") and not set(operator.columns) & set(df.columns):
            assert len(check(operator.example, flows)) == 5
    assert BY_NAME["d"].columns == ("host",)


simple = st.sampled_from(
    [*FROM_COLUMNS, *(operator.example for operator in OPERATORS), "~d b", "~src .", "~size 0"]
)
combined = st.lists(simple, min_size=1, max_size=3).flatmap(
    lambda parts: st.sampled_from(
        [" ".join(parts), " | ".join(f"({each})" for each in parts), f"!({' '.join(parts)})"]
    )
)


@settings(max_examples=60, deadline=None)
@given(st.lists(decorated_flows, max_size=4), combined | sources)
def test_the_mask_is_the_predicate(flows, source):
    try:
        parse(source)
    except FilterError:
        return
    check(source, flows)
