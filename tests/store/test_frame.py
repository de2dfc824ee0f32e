"""The frame equals what the flows say, whatever happened in between; it belongs to its owner."""

import math
import os
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from nbproxy.filters import judging, parse
from nbproxy.filters.computed import Computed
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.store import Flows, Store
from nbproxy.store import frame as frame_module
from nbproxy.store.cursor import Cursor
from nbproxy.store.dtypes import BACKENDS
from nbproxy.store.frame import Frame, frame_of
from nbproxy.store.schema import COLUMNS, INDEX
from tests.store import plain
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
        "cell": flow.metadata.get("cell"),
        "line": flow.metadata.get("line"),
        "function": flow.metadata.get("function"),
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


@pytest.mark.parametrize("dtype_backend", BACKENDS)
def test_a_frame_with_other_dtypes(dtype_backend):
    store = Store()
    flows = [new_flow(f"/{i}") for i in range(3)]
    for flow in flows:
        store.opened(flow)
    answer(flows[1], 404)
    for frame in (
        store.df(dtype_backend=dtype_backend),
        store.df([flow.id for flow in flows], dtype_backend=dtype_backend),
        frame_of(flows, dtype_backend=dtype_backend),
    ):
        assert_rows(frame, flows)
        assert str(frame.dtypes["status"]) in {"Int64", "int64[pyarrow]"}
        assert frame.attrs == {"nbproxy": "flows"}
        assert frame.index.dtype == "int64"
    with pytest.raises(ValueError, match="dtype_backend='polars': it takes 'default'"):
        store.df(dtype_backend="polars")


def test_flows_in_any_order():
    flows = [new_flow(f"/{i}") for i in range(4)]
    some = [flows[i] for i in (2, 0, 3, 1)]
    assert_rows(frame_of(some), some)
    assert_rows(frame_of(iter(some[::-1])), some[::-1])
    assert frame_of([]).index.dtype == "int64"


def test_rows_that_are_no_flows():
    frame = Frame(Cursor())
    rows = {number: plain.row(random.Random(1), number) for number in range(10)}
    frame.update_rows(list(rows), plain.columns(list(rows.values())), fresh=True)
    plain.assert_frame(frame.snapshot(), rows)
    rows[3] = plain.row(random.Random(2), 3)
    frame.update_rows([3], plain.columns([rows[3]]), fresh=False)
    frame.set_column("user", [1, 2], ["ann", "bob"])
    rows[1]["user"], rows[2]["user"] = "ann", "bob"
    plain.assert_frame(frame.snapshot(), rows, ["user"])
    plain.assert_frame(frame.rows([2, 7]), {i: rows[i] for i in (2, 7)}, ["user"])
    frame.cursor.removed = {0, 1}
    frame.update((), ())
    plain.assert_frame(frame.snapshot(), {i: rows[i] for i in range(2, 10)}, ["user"])
    frame.drop_column("user")
    frame.cursor.cleared = True
    frame.update((), ())
    plain.assert_frame(frame.snapshot(), {})


def test_what_a_frame_takes():
    frame, rows = some_rows(70_000)
    assert len(frame) == len(rows)
    before = frame.nbytes
    assert before < 60 * len(rows)
    frame.snapshot()
    assert before < frame.nbytes < 150 * len(rows) or not hasattr(os, "memfd_create")


def test_users_columns_of_flows_that_are_given(monkeypatch):
    monkeypatch.setattr(frame_module, "computed", Computed())
    frame_module.computed.set("last", lambda flow: flow.request.path[-1])
    df = frame_of([new_flow("/a"), new_flow("/b")])
    assert df["last"].tolist() == ["a", "b"]
    assert df["last"].dtype == "str"


def some_rows(count):
    """A frame of so many rows, some of them merged, and the rows."""
    rng = random.Random(3)
    rows = {number: plain.row(rng, number) for number in range(5, 5 + count)}
    frame = Frame(Cursor())
    for start in range(5, 5 + count, 700):
        ids = range(start, min(start + 700, 5 + count))
        frame.update_rows(list(ids), plain.columns([rows[i] for i in ids]), fresh=True)
    return frame, rows


JUDGED = {
    "~m POST": lambda row: row["method"] == "POST",
    "~c 404 & ~m post": lambda row: row["status"] == 404 and row["method"] == "POST",
    "~d www3": lambda row: "www3" in row["host"],
    "~u /items/7$": lambda row: row["path"] == "/items/7",
    "example.org/items/1": lambda row: row["path"].startswith("/items/1"),
    "~t json": lambda row: row["_response_type"] == "application/json",
    "!~e & ~comment 9": lambda row: row["error"] is None and "9" in row["comment"],
    "~marked | ~dst www2": lambda row: bool(row["marked"]) or "www2" in row["host"],
    "~cell 3": lambda row: row["cell"] == 3,
    "~src 127.0.0.1:405": lambda row: row["client"].startswith("127.0.0.1:405"),
    "~websocket | ~replay": lambda row: False,
    "~all": lambda row: True,
}


@pytest.mark.parametrize("source", JUDGED)
def test_judging_rows_without_a_frame(source):
    frame, rows = some_rows(3000)
    ids, verdicts = frame.judge(parse(source))
    assert ids.dtype == np.int64
    assert verdicts.dtype == np.int8
    assert ids.tolist() == list(rows)
    assert [verdict == 1 for verdict in verdicts] == [JUDGED[source](row) for row in rows.values()]
    assert 0 not in verdicts
    some = [7, 6, 2999, 10**6, 1500, 1501]
    ids, verdicts = frame.judge(parse(source), some)
    assert ids.tolist() == [6, 7, 1500, 1501, 2999]
    assert [verdict == 1 for verdict in verdicts] == [JUDGED[source](rows[i]) for i in ids.tolist()]


def test_judging_what_columns_do_not_say():
    frame, rows = some_rows(1000)
    ids, verdicts = frame.judge(parse("~b x & ~m POST"))
    posts = [number for number, row in rows.items() if row["method"] == "POST"]
    assert ids[verdicts == 0].tolist() == posts
    assert (verdicts == 1).sum() == 0
    assert [len(each) for each in Frame(Cursor()).judge(parse("~m GET"))] == [0, 0]


OWN = {
    "text": (["ann", "bob", None], "~col own=^a", [1, -1, -1]),
    "whole numbers": ([17, 7, None], "~col own=^17$", [1, -1, -1]),
    "large numbers": ([2**60, 2**60 + 1, None], f"~col own=^{2**60}$", [1, -1, -1]),
    "truth": ([True, False, None], "~col own=true", [1, -1, -1]),
    "fractions": ([0.5, 1.0, None], "~col own=0.5", [1, 0, -1]),
    "infinite": ([float("inf"), None, None], "~col own=inf", [1, -1, -1]),
    "any value": (["", 0, None], "~col own", [0, 0, 0]),
    "any number": ([0, None, 3], "~col own", [1, -1, 1]),
    "times": ([np.datetime64(0, "us").item(), None, None], "~col own=1970", [0, -1, -1]),
    "no such column": ([1, 2, 3], "~col other=1", [-1, -1, -1]),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("count", [1, 500])
def test_judging_by_users_columns(monkeypatch, name, count):
    values, source, wanted = OWN[name]
    monkeypatch.setattr(judging, "computed", Computed())
    judging.computed.set("own", lambda _: None)
    frame, rows = some_rows(3 * count)
    frame.set_column("own", list(rows), values * count)
    _, verdicts = frame.judge(parse(source))
    assert verdicts.tolist() == wanted * count
    _, verdicts = frame.judge(parse(source), [6, 7])
    assert verdicts.tolist() == wanted[1:]


def test_judging_by_a_column_that_is_not_filled_yet(monkeypatch):
    monkeypatch.setattr(judging, "computed", Computed())
    judging.computed.set("own", lambda _: None)
    frame, _ = some_rows(3)
    assert frame.judge(parse("~col own"))[1].tolist() == [0, 0, 0]


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
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRecording = Recording.TestCase
