"""Tables of flows: what stands there, inert and masked; and the formatters in a shell."""

import re

import pytest

from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.notebook import tables
from nbproxy.store import Flows, Store
from tests.notebook.inert import HOSTILE, check
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def store():
    return Store()


def record(store, path="/", status=200, **kwargs):
    flow = new_flow(path, **kwargs)
    store.opened(flow)
    answer(flow, status)
    end(flow)
    store.closed(flow)
    return flow


def test_no_flows(store):
    flows = Flows(store)
    assert check(tables.flows_html(flows)).text == "Flows0 flows0 BNone."
    assert "Nothing has passed yet" in tables.flows_html(flows, live=True)
    assert tables.flows_text(flows) == "Flows: 0 flows, 0 B"


def test_a_row(store):
    flow = record(store, "/a?b=1")
    page = check(tables.flows_html(Flows(store)))
    assert page.tags.count("tr") == 2
    assert page.text.startswith("Flows1 flow5 Bidtimemethodstatushostpathtypesizeduration")
    rest = page.text.partition("duration")[2]
    assert re.fullmatch(
        rf"{flow.id}\d\d:\d\d:\d\d\.000GET200example\.org/a\?b=1html5 B500 ms", rest
    )
    lines = tables.flows_text(Flows(store)).splitlines()
    assert lines[0] == "Flows: 1 flow, 5 B"
    assert lines[1].split() == [
        "id",
        "time",
        "method",
        "status",
        "host",
        "path",
        "type",
        "size",
        "duration",
    ]
    words = lines[2].split()
    assert words[0] == str(flow.id)
    assert words[2:] == ["GET", "200", "example.org", "/a?b=1", "html", "5", "B", "500", "ms"]


def test_errors_marks_and_flows_under_way(store):
    failed = new_flow()
    failed.error = Error("nobody answered")
    end(failed)
    live = new_flow()
    live.comment = "look at this"
    live.marked = ":red_circle:"
    for flow in (failed, live):
        store.opened(flow)
    page = check(tables.flows_html(Flows(store)))
    assert "1 error" in page.text
    assert "✕ nobody answered" in page.text
    assert ":red_circle: · look at this" in page.text
    assert page.text.count("…") == 2
    live.marked = True
    for shown in (check(tables.flows_html(Flows(store))).text, tables.flows_text(Flows(store))):
        assert "★" in shown
        assert ":default:" not in shown
    text = tables.flows_text(Flows(store))
    assert "error: nobody answered" in text
    assert "look at this" in text


def test_the_newest_are_shown_and_all_are_counted(store):
    for i in range(70):
        record(store, f"/{i}")
    page = check(tables.flows_html(Flows(store), limit=20))
    assert page.tags.count("tr") == 21
    assert "70 flows350 Bthe last 20 are shown" in page.text
    assert "/50" in page.text
    assert "/49" not in page.text
    assert tables.flows_text(Flows(store), 5).startswith("Flows: 70 flows, 350 B; the last 5\n")


def test_totals_of_many_are_those_of_few(store, monkeypatch):
    for i in range(30):
        flow = record(store)
        if i % 3 == 0:
            flow.error = Error("x")
            store.changed(flow)
    few = tables.Totals.of(Flows(store))
    monkeypatch.setattr(tables, "_FEW", 5)
    assert tables.Totals.of(Flows(store)) == few
    assert tables.Totals.of(list(Flows(store))) == few


def test_titles(store):
    record(store)
    flows = Flows(store).filter("~d <b>")
    assert "Flows matching ~d <b>" in check(tables.flows_html(flows)).text
    assert check(tables.flows_html(flows, title="<i>")).text.startswith("<i>")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_flows_are_inert_d01(store, text):
    plain = record(store, "/")
    tags = check(tables.flows_html([plain])).tags
    flow = record(store)
    flow.request._path = text
    flow.request._host = text
    flow.request._method = text
    flow.response._reason = text
    flow.response.headers = Headers.from_wire(((b"content-type", text.encode("utf-8", "replace")),))
    assert check(tables.flows_html([flow])).tags == tags
    flow.error = Error(text)
    flow.comment = flow.marked = text
    flow.response.http_version = text
    check(tables.flows_html([flow], title=text))
    lines = tables.flows_text([flow])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\ud800]", lines)


def test_secrets_are_masked(store):
    flow = record(store, "/?access_token=s3cr3tvalue")
    flow.error = Error("failed for Bearer abcdefghijklmnopqrstuvwxyz0123")
    for text in tables.bundle(Flows(store)).values():
        assert "s3cr3tvalue" not in text
        assert "abcdefghijklmnopqrstuvwxyz0123" not in text
        assert "access_token=***" in text


def test_a_bundle_does_not_change_by_itself(store):
    record(store)
    new = tables.bundle(Flows(store), limit=50, live=True)
    assert set(new) == {"text/html", "text/plain"}
    assert new == tables.bundle(Flows(store), limit=50, live=True)
    assert "● live" in new["text/html"]


def test_mimebundles(store):
    flow = record(store)
    for thing in (Flows(store), Flows(store)[:1], flow, flow.request, flow.request.headers):
        bundle = tables.mimebundle(thing)
        check(bundle["text/html"])
        assert bundle["text/plain"]
    with pytest.raises(TypeError, match="no display of a int"):
        tables.mimebundle(3)


def test_in_a_shell(store, shell):
    flow = record(store, "/?token=s3cr3tvalue")
    flow.request.headers["authorization"] = "Bearer abcdefghijklmn"
    things = [flow, flow.request, flow.response, flow.request.headers, store.df()]
    tables.unregister(shell)
    before = [shell.display_formatter.format(thing)[0] for thing in things]
    assert [("text/html" in data) for data in before] == [False] * 4 + [True]
    tables.register(shell)
    for thing in things:
        data = shell.display_formatter.format(thing)[0]
        assert "s3cr3tvalue" not in str(data)
        assert "abcdefghijklmn" not in str(data)
        assert "text/html" in data
    data = shell.display_formatter.format(store.df())[0]
    assert "/?token=***" in data["text/html"]
    tables.unregister(shell)
    assert [shell.display_formatter.format(thing)[0] for thing in things] == before
