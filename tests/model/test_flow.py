"""Flows: numbered when they are recorded, told about to whoever keeps them, held and let go."""

import threading

import pytest

from nbproxy.model import flow as flows
from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, Flow, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response


class Exchange:
    """The engine's side of a live flow."""

    def __init__(self):
        self.calls = []

    def resume(self):
        self.calls.append("resume")

    def kill(self):
        self.calls.append("kill")


def make_flow(**attributes):
    flow = HTTPFlow(Request.make("GET", "http://example.org/secret?token=secret"))
    for name, value in attributes.items():
        setattr(flow, name, value)
    return flow


def live_flow():
    flow = make_flow(_control=Exchange())
    seen = []
    flow._observer = lambda changed: seen.append((changed is flow, changed.intercepted))
    return flow, flow._control.calls, seen


def test_ids_are_given_in_the_order_of_asking():
    first, second, third = make_flow(), make_flow(), make_flow()
    start = second.id
    assert first.id == start + 1
    assert first.id == start + 1
    assert third.copy().id == start + 2
    assert third.id == start + 3


def test_ids_begin_with_0(monkeypatch):
    monkeypatch.setattr(flows, "_ids", flows.itertools.count())
    assert [make_flow().id, make_flow().id] == [0, 1]


def test_ids_asked_for_at_once_differ():
    made = [make_flow() for _ in range(400)]
    barrier = threading.Barrier(4)

    def ask(part):
        barrier.wait()
        for flow in part:
            _ = flow.id

    threads = [threading.Thread(target=ask, args=(made[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({flow.id for flow in made}) == 400


def test_what_a_fresh_flow_has():
    request = Request("GET", "http", "a.test", 80, "/", timestamp_start=5.0)
    flow = HTTPFlow(request)
    assert (flow.type, flow.request, flow.response, flow.websocket) == ("http", request, None, None)
    assert (flow.comment, flow.marked, flow.metadata, flow.error) == ("", "", {}, None)
    assert (flow.intercepted, flow.live, flow.killable, flow.is_replay) == (*[False] * 3, None)
    assert isinstance(flow.client_conn, Client)
    assert isinstance(flow.server_conn, Server)
    assert flow.timestamp_created == 5.0
    client, server = Client(), Server(("a", 1))
    flow = HTTPFlow(request, client, server)
    assert (flow.client_conn, flow.server_conn) == (client, server)
    assert Flow().type == "flow"


def test_metadata_is_each_flows_own():
    one, other = make_flow(), make_flow()
    one.metadata["a"] = 1
    assert (one.metadata, other.metadata) == ({"a": 1}, {})
    other.metadata = one.metadata
    assert other.metadata is one.metadata


def test_marks_and_comments_are_told():
    flow = make_flow()
    flow.marked = ":early:"  # nobody keeps it yet
    seen = []
    flow._observer = lambda changed: seen.append((changed.marked, changed.comment))
    flow.comment = "look"
    flow.marked = True
    flow.marked = ":red_circle:"
    flow.marked = False
    flow.marked = ""
    assert seen == [
        (":early:", "look"),
        (":default:", "look"),
        (":red_circle:", "look"),
        ("", "look"),
        ("", "look"),
    ]


def test_holding_and_letting_go():
    flow, calls, seen = live_flow()
    assert flow.live
    flow.resume()  # it is not held
    assert (calls, seen) == ([], [])
    flow.intercept()
    assert flow.intercepted
    flow.resume()
    flow.resume()
    assert not flow.intercepted
    assert calls == ["resume"]
    assert seen == [(True, True), (True, False)]


def test_the_flow_is_free_before_the_exchange_hears_of_it():
    flow, _, _ = live_flow()
    state = []
    flow._control.resume = lambda: state.append(flow.intercepted)
    flow._control.kill = lambda: state.append((flow.intercepted, flow.error.msg))
    flow.intercept()
    flow.resume()
    flow.intercept()
    flow.kill()
    assert state == [False, (False, Error.KILLED_MESSAGE)]


def test_killing():
    flow, calls, _ = live_flow()
    flow.intercept()
    assert flow.killable
    flow.kill()
    assert (calls, flow.intercepted, flow.killable) == (["kill"], False, False)
    assert flow.error.msg == Error.KILLED_MESSAGE
    error = flow.error
    flow.kill()
    assert flow.error is error
    flow._control = None
    with pytest.raises(ValueError, match=f"flow {flow.id} is over"):
        flow.kill()


def test_a_flow_that_failed_keeps_its_reason():
    flow, calls, _ = live_flow()
    flow.error = Error("the server left")
    assert not flow.killable
    flow.kill()
    assert (calls, flow.error.msg) == (["kill"], "the server left")


def test_a_flow_that_is_over_is_neither_held_nor_killed():
    flow = make_flow()
    flow.intercept()
    assert not flow.intercepted
    flow.resume()
    with pytest.raises(ValueError, match="is over"):
        flow.kill()
    assert flow.error is None
    flow.intercepted = True  # read from a file
    flow.resume()
    assert not flow.intercepted


@pytest.mark.parametrize(
    ("start", "first", "last", "ttfb", "duration"),
    [
        (10.0, 10.5, 12.0, 0.5, 2.0),
        (10.0, 10.5, None, 0.5, None),
        (10.0, 0.0, None, None, None),  # made by a handler
        (10.0, 9.0, 9.5, 0.0, 0.0),  # the clock was set back
    ],
)
def test_times(start, first, last, ttfb, duration):
    flow = make_flow()
    assert (flow.ttfb, flow.duration) == (None, None)
    flow.request.timestamp_start = start
    flow.response = Response.make(200)
    flow.response.timestamp_start = first
    flow.response.timestamp_end = last
    assert (flow.ttfb, flow.duration) == (ttfb, duration)


def test_copies_are_independent():
    flow, calls, seen = live_flow()
    flow.response = Response.make(200, b"x")
    flow.error = Error("e")
    flow.comment, flow.marked = "c", ":m:"
    flow.metadata["a"] = 1
    flow.intercept()
    del seen[:]
    copied = flow.copy()
    assert copied.id != flow.id
    assert (copied.live, copied.intercepted) == (False, False)
    assert (copied.comment, copied.marked, copied.metadata) == ("c", ":m:", {"a": 1})
    assert (copied.error.msg, copied.timestamp_created) == ("e", flow.timestamp_created)
    assert copied.client_conn is flow.client_conn
    copied.request.path = "/other"
    copied.response.status_code = 500
    copied.metadata["b"] = 2
    copied.marked = ":n:"
    assert flow.request.path == "/secret?token=secret"
    assert (flow.response.status_code, flow.metadata, flow.marked) == (200, {"a": 1}, ":m:")
    assert (calls, seen) == ([], [])
    assert make_flow().copy().response is None


def test_reprs_carry_no_secret():
    flow = make_flow()
    flow.request.headers = Headers(Cookie="secret", host="u:secret@example.org")
    assert repr(flow) == f"<HTTPFlow {flow.id}: GET http://example.org → …>"
    flow.error = Error("the client reset the connection")
    assert repr(flow).endswith(" → the client reset the connection>")
    flow.response = Response.make(404, "secret", {"location": "/?token=secret"})
    assert repr(flow).endswith(" → 404>")
    flow.request.host = "::1"
    flow.request.port = 8080
    assert "http://[::1]:8080 " in repr(flow)


def test_errors_are_shown_masked_and_escaped():  # hostile: D-06
    error = Error("no 'http://me:secret-word@a/' \x1b[31m\u202e\udcff" + "x" * 1000, 5.0)
    flow = make_flow(error=error)
    assert str(error) == error.msg
    for shown in (repr(error), repr(flow)):
        assert "secret-word" not in shown
        assert "http://***" in shown
        assert shown.encode()
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert len(shown) < 300
    assert error.timestamp == 5.0
