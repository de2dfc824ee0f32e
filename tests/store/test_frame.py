"""The frame equals what the flows say, whatever happened in between; it belongs to its owner."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.store import Flows, Store
from nbproxy.store.frame import frame_of
from nbproxy.store.schema import COLUMNS, INDEX
from tests.store.flow_factory import answer, end, new_flow

DTYPES = {
    "str": "str",
    "int": "int64",
    "nullable int": "Int64",
    "float": "float64",
    "bool": "bool",
    "time": "datetime64[us, UTC]",
}


def expected_row(flow):
    """A row, read off the flow in the plainest way."""
    request, response = flow.request, flow.response

    def text(value):
        if value is None:
            return None
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)

    kind = response.headers.get("content-type") if response else None
    peer = flow.server_conn.peername
    return {
        "time": pd.Timestamp(round(request.timestamp_start * 1e6), unit="us", tz="UTC"),
        "method": request.method,
        "scheme": request.scheme,
        "host": text(request.host),
        "port": request.port,
        "path": text(request.path),
        "status": response.status_code if response else None,
        "reason": response.reason if response else None,
        "content_type": kind.split(";")[0].strip().lower() if kind is not None else None,
        "request_bytes": len(request.raw_content or b""),
        "response_bytes": len(response.raw_content or b"") if response else 0,
        "duration": flow.duration,
        "ttfb": flow.ttfb,
        "http_version": request.http_version,
        "client": "127.0.0.1:5312",
        "server": f"{peer[0]}:{peer[1]}" if peer else None,
        "tls": request.scheme == "https",
        "error": text(flow.error.msg) if flow.error else None,
        "intercepted": flow.intercepted,
        "marked": flow.marked,
        "comment": text(flow.comment),
    }


def assert_rows(df, flows):
    assert df.index.tolist() == [flow.id for flow in flows]
    assert df.index.name == INDEX
    wanted = [expected_row(flow) for flow in flows]
    for column in COLUMNS:
        got = [None if pd.isna(value) else value for value in df[column.name].tolist()]
        assert got == [row[column.name] for row in wanted], column.name


def dtypes_of(df):
    return {name: str(dtype) for name, dtype in df.dtypes.items()}


ALL_DTYPES = {column.name: DTYPES[column.kind] for column in COLUMNS}


def test_dtypes_with_and_without_rows():
    store = Store()
    text = {column.name for column in COLUMNS if column.kind == "str"}
    for _ in range(2):
        df = store.df()
        assert {k: v for k, v in dtypes_of(df).items() if k not in text} == {
            k: v for k, v in ALL_DTYPES.items() if k not in text
        }
        for name in text:
            assert df[name].dtype == pd.StringDtype("pyarrow", na_value=np.nan)
        assert df.index.dtype == "int64"
        assert df.attrs == {"nbproxy": "flows"}
        store.opened(new_flow())
    assert len(store.df()) == 2


def test_life_of_one_flow():
    store = Store()
    flow = new_flow("/a?b=1")
    store.opened(flow)
    row = store.df().loc[flow.id]
    assert pd.isna(row.status)
    assert pd.isna(row.reason)
    assert math.isnan(row.duration)
    assert row.response_bytes == 0
    answer(flow)  # nobody says so: one under way is looked at anyway
    assert store.df().loc[flow.id, "status"] == 200
    flow.response.raw_content = b"more"
    end(flow)
    store.closed(flow)
    assert_rows(store.df(), [flow])
    row = store.df().loc[flow.id]
    assert row.duration == pytest.approx(0.5)
    assert row.ttfb == pytest.approx(0.25)
    assert row.content_type == "text/html"
    assert row.client == "127.0.0.1:5312"
    assert row.server == "93.184.216.34:443"
    flow.comment = "odd"
    flow.marked = True
    assert_rows(store.df(), [flow])


def test_error_and_hold():
    store = Store()
    flow = new_flow()
    store.opened(flow)
    flow.intercept()
    assert store.df().intercepted.tolist() == [True]
    flow.resume()
    flow.error = Error("nobody answered")
    end(flow)
    store.closed(flow)
    df = store.df()
    assert df.error.tolist() == ["nobody answered"]
    assert df.intercepted.tolist() == [False]
    assert df[df.error.notna()].index.tolist() == [flow.id]


def test_a_frame_is_its_owners():
    store = Store()
    flows = [new_flow(f"/{i}") for i in range(50)]
    for flow in flows:
        store.opened(flow)
        answer(flow)
        end(flow)
        store.closed(flow)
    first, second = store.df(), store.df()
    for column in COLUMNS:
        first[column.name] = first[column.name].iloc[0]
    third = store.df()
    third.loc[:, "port"] = 1
    third.loc[third.index[0], "path"] = "changed"
    third.loc[third.index[0], "status"] = 500
    for name in third.columns:  # behind pandas' back, where it can be done
        values = third[name].array
        try:
            values[1] = values[0]
        except (ValueError, TypeError):
            continue
    index = third.index.to_numpy()
    if index.flags.writeable:
        index[:] = -1
    assert_rows(second, flows)
    assert_rows(store.df(), flows)
    assert_rows(Flows(store)[:].df, flows)


def test_numbers_of_a_frame_are_not_ours():
    store = Store()
    for _ in range(3):
        store.opened(new_flow())
    df = store.df()
    ours = store._frame._table.segments
    for segment in ours:
        for name, array in segment.numbers.items():
            column = df[name]
            plain = {"status": "_data", "time": "_ndarray"}.get(name)
            theirs = getattr(column.array, plain) if plain else column.to_numpy()
            assert not np.shares_memory(theirs, array), name
        assert not np.shares_memory(df.index.to_numpy(), segment.ids)


def test_rows_stay_in_the_order_of_ids():
    store = Store()
    early = [new_flow(f"/{i}") for i in range(6)]
    for flow in (early[0], early[3], early[5]):
        store.opened(flow)
    assert store.df().index.tolist() == [early[0].id, early[3].id, early[5].id]
    store.opened(early[4])
    store.opened(early[1])
    assert_rows(store.df(), [early[i] for i in (0, 1, 3, 4, 5)])
    store.opened(early[1])
    assert len(store) == 5


def test_what_a_handler_left_in_a_flow_never_fails_the_frame():
    class Rude:
        def __str__(self):
            raise RuntimeError("no")

    store = Store()
    flows = [new_flow(f"/{i}") for i in range(8)]
    for flow in flows:
        store.opened(flow)
        answer(flow)
    flows[0].response.status_code = "teapot"
    flows[1].response.status_code = 10**30
    flows[2].request.timestamp_start = "yesterday"
    flows[3].request.timestamp_start = math.inf
    flows[4].request = None
    flows[5].comment = Rude()
    flows[6].comment = 17
    flows[6].client_conn.peername = ("no port",)
    flows[7].response = "none"
    df = store.df()
    assert len(df) == 8
    assert df.status.isna().tolist() == [True, True, False, False, False, False, False, True]
    assert df.time.isna().tolist() == [False, False, True, True, True, False, False, False]
    assert pd.isna(df.path.iloc[4])
    assert df.port.iloc[4] == 0
    assert df.comment.iloc[5] == "<Rude>"
    assert df.comment.iloc[6] == "17"
    assert dtypes_of(df) == dtypes_of(frame_of([]))


HOSTILE = [
    "<script>alert(1)</script>",
    "\x1b[31mred\x1b[0m",
    "nul\x00byte",
    "lone \ud800 surrogate \udcff",
    "\u202egnp.exe",
    "x" * 100_000,
]


def test_hostile_text_is_kept_as_data_d06():
    store = Store()
    flows = [new_flow(f"/{i}") for i in range(len(HOSTILE))]
    for flow, text in zip(flows, HOSTILE, strict=True):
        flow.comment = text
        flow.error = Error(text)
        store.opened(flow)
    df = store.df()
    assert_rows(df, flows)
    shown = df._repr_html_()
    assert "<script>" not in shown
    assert len(shown) < 20_000
    df.to_json(date_format="iso").encode("utf-8")
    pa.Table.from_pandas(df)


def test_columns_are_fixed_whatever_the_headers_d09():
    store = Store()
    flow = new_flow()
    answer(flow)
    names = ["__class__", "id", "time", *[f"x-{i}" for i in range(10_000)]]
    flow.response.headers = Headers([(name, "1") for name in [*names, *names]])
    store.opened(flow)
    assert list(store.df().columns) == [column.name for column in COLUMNS]
    assert pd.isna(store.df().content_type.iloc[0])


def test_many_changes_in_one_segment():
    store = Store()
    flows = [new_flow(f"/{i}") for i in range(200)]
    for flow in flows:
        end(flow)
        store.opened(flow)
        store.closed(flow)
    store.df()
    for flow in flows[::2]:
        flow.comment = f"c{flow.id}"
    assert_rows(store.df(), flows)
    flows[7].comment = "one"
    flows[199].comment = "last"
    flows[0].comment = "first"
    assert_rows(store.df(), flows)


paths = st.sampled_from(["/", "/a?b=c", "/\x00", "/\ud83d", "/日本"])


class Recording(RuleBasedStateMachine):
    """Flows come, change, end and go; the frame and a filtered one must equal the plain reading."""

    all_flows = Bundle("all_flows")

    def __init__(self):
        super().__init__()
        self.store = Store()
        self.here: list[HTTPFlow] = []
        self.odd = Flows(self.store, lambda flow: flow.request.port == 80)
        self.failed = Flows(self.store, "~e")

    @rule(target=all_flows, path=paths, scheme=st.sampled_from(["http", "https"]))
    def open(self, path, scheme):
        flow = new_flow(path, scheme=scheme)
        self.store.opened(flow)
        self.here.append(flow)
        return flow

    @rule(flow=all_flows, status=st.sampled_from([200, 404]), body=st.binary(max_size=20))
    def respond(self, flow, status, body):
        if flow.live:
            answer(flow, status, body)
            self.store.changed(flow)

    @rule(flow=all_flows, fails=st.booleans())
    def close(self, flow, fails):
        if flow.live:
            if fails:
                flow.error = Error("failed \udcff")
            end(flow)
            self.store.closed(flow)

    @rule(flow=all_flows, text=st.text(max_size=5))
    def comment(self, flow, text):
        flow.comment = text

    @rule(flow=all_flows)
    def remove(self, flow):
        self.store.remove([flow.id, 10**12])
        self.here = [other for other in self.here if other is not flow]

    @rule()
    def clear(self):
        self.store.clear()
        self.here = []

    @rule()
    def look(self):
        assert_rows(self.store.df(), self.here)

    @rule()
    def look_through_filters(self):
        odd = [flow for flow in self.here if flow.request.port == 80]
        assert list(self.odd) == odd
        assert_rows(self.odd.df, odd)
        failed = [flow for flow in self.here if flow.error]
        assert list(self.failed) == failed
        assert_rows(self.failed.df, failed)
        assert_rows(Flows(self.store)[::-1].df, self.here[::-1])

    @invariant()
    def lengths_agree(self):
        assert len(self.store) == len(self.here)


Recording.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRecording = Recording.TestCase
