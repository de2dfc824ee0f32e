"""Store, load, equal: whatever stands in a flow."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.store.rows import read_rows
from nbproxy.store.session import Session
from tests.store.session_flows import Odd, flows, plain, spoiled

relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


class Kept:
    """A session, and what it said about flows."""

    def __init__(self, directory):
        self.said = {}
        self.problems = []
        self.session = Session(
            directory=directory,
            inline_limit_bytes=100,
            on_stored=self.stored,
            on_problem=self.problems.append,
        )

    def stored(self, written, lossy):
        self.said.update((flow.id, flow.id not in lossy) for flow in written)

    def round(self, flows):
        """Write flows, forget their connections, read them."""
        for flow in flows:
            self.session.put(flow)
        assert self.session.flush(120)
        assert self.problems == []
        self.session._writer._recorded.batches.live.clear()
        self.session._writer._recorded.batches._open.clear()
        return self.session.read([flow.id for flow in flows])


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    kept = Kept(tmp_path_factory.mktemp("captures"))
    yield kept
    kept.session.close(keep=False)


@relaxed
@given(st.lists(flows, min_size=1, max_size=6))
def test_whatever_is_written_comes_back_equal_and_so_do_the_columns(kept, flows):
    """Both of the same flows: most of the time is taken to think them up."""
    for flow, again in zip(flows, kept.round(flows), strict=True):
        assert kept.said[flow.id], "it can be restored"
        assert plain(again) == plain(flow)
        assert again.id == flow.id
        assert again.client_conn.id == flow.client_conn.id or not again.client_conn.peername
    ids, columns = kept.session.columns([flow.id for flow in flows])
    flows = sorted(flows, key=lambda flow: flow.id)
    assert ids == [flow.id for flow in flows]
    expected = read_rows(flows)
    assert columns.keys() == expected.keys()
    for name, values in columns.items():
        assert list(map(repr, values)) == list(map(repr, expected[name])), name


@relaxed
@given(st.lists(spoiled | flows, min_size=1, max_size=4))
def test_nonsense_fails_nothing_and_is_kept_or_said_to_be_lost(kept, flows):
    for flow, again in zip(flows, kept.round(flows), strict=True):
        assert again is not None
        if kept.said[flow.id]:
            assert plain(again) == plain(flow)
    kept.session.columns([flow.id for flow in flows])


def new(**parts):
    request = Request("GET", "http", "example.org", 80, "/", timestamp_start=1.5)
    flow = HTTPFlow(request)
    flow.response = Response(200, content=b"x", timestamp_start=2.0)
    for name, value in parts.items():
        setattr(flow, name, value)
    return flow


def restored(kept, flow):
    [again] = kept.round([flow])
    return kept.said[flow.id], again


class Mine(HTTPFlow):
    pass


def same_moment(flow):
    flow.request.timestamp_start, flow.timestamp_created = 0.0, False


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda flow: setattr(flow, "mine", 1), False),
        (lambda flow: setattr(flow.request, "mine", 1), False),
        (lambda flow: setattr(flow.response, "mine", 1), False),
        (lambda flow: setattr(flow.client_conn, "mine", 1), False),
        (lambda flow: flow.metadata.update(x=object()), False),
        (lambda flow: flow.metadata.update(x={1, 2}), False),
        (lambda flow: setattr(flow, "__class__", Mine), False),
        (lambda flow: setattr(flow, "error", KeyError("x")), False),
        (lambda flow: vars(flow).update({"_view_x": 1}), True),  # a script's view of it
        (lambda flow: setattr(flow.response, "stream", True), True),
        (lambda flow: setattr(flow.response, "stream", print), True),
        (lambda flow: setattr(flow.response, "bandwidth", 1000.0), True),
        (lambda flow: flow.metadata.update(x=(1, b"2", {3: [4.5]})), True),
        (lambda flow: flow.metadata.update(x=math.inf), True),
        (lambda flow: setattr(flow.response, "status_code", "200"), True),
        (lambda flow: setattr(flow.response, "status_code", 2**80), True),
        (lambda flow: setattr(flow.response, "status_code", None), True),
        (lambda flow: setattr(flow.request, "timestamp_start", 1), True),
        (lambda flow: setattr(flow, "timestamp_created", True), True),
        (same_moment, True),  # though False is 0.0
        (lambda flow: setattr(flow, "error", Error("\ud800")), True),
    ],
)
def test_what_can_be_restored(kept, change, expected):
    flow = new()
    change(flow)
    said, again = restored(kept, flow)
    assert said is expected
    if expected:
        vars(flow).pop("_view_x", None)
        assert plain(again) == plain(flow)


def test_one_odd_value_among_many_flows_is_its_own_flows_matter(kept):
    """Types are looked at column by column."""
    some = [new() for _ in range(100)]
    changes = {
        7: ("request", "_method", Odd(), False),
        31: ("request", "_port", "80", True),
        32: ("response", "status_code", 200.0, True),
        50: ("response", "timestamp_end", 3, True),
        51: (None, "_comment", None, True),
        99: (None, "intercepted", 1, True),
    }
    for number, (part, name, value, _) in changes.items():
        setattr(getattr(some[number], part) if part else some[number], name, value)
    for number, (flow, again) in enumerate(zip(some, kept.round(some), strict=True)):
        *_, restorable = changes.get(number, (True,))
        assert kept.said[flow.id] is restorable, number
        if restorable:
            assert plain(again) == plain(flow)


def test_a_large_body_of_an_odd_flow_is_stored_once(kept):
    file = kept.round([new()]) and kept.session._writer.shelf.file
    count = "SELECT count(*) FROM chunks"
    [(before,)] = file.readers.rows(count)
    some = [new() for _ in range(3)]
    for flow in some:
        flow.response.content = b"x" * 1000
    some[1].request._port = "80"
    some[2].request._host = "a\ud800b"
    for flow, again in zip(some, kept.round(some), strict=True):
        assert plain(again) == plain(flow)
    assert file.readers.rows(count) == [(before + 3,)]


def test_what_sql_sees_of_nonsense_is_sane(kept):
    flow = new()
    flow.response.status_code = Odd()
    flow.request._host = "a\ud800b"
    flow.request._port = 2**70
    assert restored(kept, flow)[0] is False
    file = kept.session._writer.shelf.file
    [row] = file.readers.rows("SELECT status, host, port, path FROM flows WHERE id = ?", (flow.id,))
    assert row == (None, "a\ufffdb", None, "/")


def test_headers_are_lines_of_text_where_that_is_exact(kept):
    flow = new()
    flow.request.headers = Headers([("Host", "example.org"), ("X", "a: b"), ("X", "ü")])
    flow.response.headers = Headers.from_wire(((b"A", b"\xff"),))
    kept.round([flow])
    file = kept.session._writer.shelf.file
    [(asked, answered)] = file.readers.rows(
        "SELECT request_headers, response_headers FROM flows WHERE id = ?", (flow.id,)
    )
    assert asked == "Host: example.org\nX: a: b\nX: ü"
    assert answered == b'[["A", "\\u00ff"]]'
