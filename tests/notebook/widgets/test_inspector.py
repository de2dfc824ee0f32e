"""The widget's Python half, with a comm that keeps what is sent in the browser's place."""

import json
import threading
import time
import traceback
import types
from array import array

import comm
import pytest
import traitlets
from comm.base_comm import BaseComm

import nbproxy
from nbproxy import Proxy, _current
from nbproxy.errors import FilterError
from nbproxy.notebook.widgets import actions
from nbproxy.notebook.widgets import inspector as inspectors
from nbproxy.notebook.widgets.feed import Feed
from nbproxy.notebook.widgets.inspector import Inspector, close_all, inspect
from nbproxy.scripts import bodyviews
from nbproxy.store import Flows, Store
from tests.notebook.inert import HOSTILE, check
from tests.notebook.widgets.reading import Mirror, rows_of
from tests.store.flow_factory import answer, end, new_flow
from tests.support.proxies import wait_until

VIEW = "application/vnd.jupyter.widget-view+json"


class BrowserComm(BaseComm):
    """A comm whose other end is a list of messages."""

    def __init__(self, *args, **kwargs):
        self.sent = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.sent.append((msg_type, data or {}, buffers or [], threading.current_thread().name))


class Browser:
    """What a page does, in Python: has a mirror, answers batches, sends commands."""

    def __init__(self, widget, *, answers=True):
        self.widget = widget
        self.mirror = Mirror()
        self.answers = answers
        self.read = 0
        self.messages = []
        self.number = 0
        self.last = 0

    def look(self):
        """Take in what has come; all custom messages so far."""
        sent = self.widget.comm.sent
        while self.read < len(sent):
            _, data, buffers, _ = sent[self.read]
            self.read += 1
            if data.get("method") != "custom":
                continue
            content = data["content"]
            json.dumps(content, allow_nan=False)
            self.messages.append(content)
            if content["kind"] == "batch":
                self.mirror.apply(content, buffers)
                self.last = content["number"]
                if self.answers:
                    self.send({"kind": "ack", "number": content["number"]})
        return self.messages

    def send(self, message):
        self.widget._handle_custom_msg(message, [])

    def of(self, kind):
        return [each for each in self.look() if each["kind"] == kind]

    def do(self, name, **arguments):
        """A command, and its answer."""
        self.number += 1
        number = f"{id(self)}-{self.number}"
        self.send({"kind": "do", "id": number, "name": name, "args": arguments})
        wait_until(lambda: any(each["id"] == number for each in self.of("result")), name)
        (result,) = [each for each in self.of("result") if each["id"] == number]
        return result["value"] if "error" not in result else result

    def wait(self, condition):
        wait_until(lambda: (self.look(), condition())[1], "the browser sees it")


@pytest.fixture(autouse=True)
def _comms(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", BrowserComm)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with Proxy(port=0, confdir=str(tmp_path_factory.mktemp("confdir"))) as proxy:

        @proxy.on("request")
        def reply(flow):
            flow.response = nbproxy.Response.make(200, f"to {flow.request.method}")

        yield proxy


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def make(proxy, store):
    made = []

    def make(flows=None, **more):
        made.append(Inspector(Flows(store) if flows is None else flows, proxy, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()
    wait_until(
        lambda: not any(t.name == "nbproxy-inspector" for t in threading.enumerate()), "it ends"
    )


def record(store, path="/", status=200, **more):
    flow = new_flow(path)
    store.opened(flow)
    answer(flow, status, **more)
    end(flow)
    store.closed(flow)
    return flow


def begin(widget, **more):
    browser = Browser(widget, **more)
    browser.do("hello")
    return browser


def test_rows_come_and_go_on_coming(make, store):
    first = record(store, "/a")
    browser = begin(make())
    browser.wait(lambda: browser.mirror.ids == [first.id])
    second = record(store, "/b")
    browser.wait(lambda: browser.mirror.ids == [first.id, second.id])
    senders = {
        name for kind, data, _, name in browser.widget.comm.sent if data.get("method") == "custom"
    }
    assert senders == {"nbproxy-inspector"}


def test_without_anybody_who_looks_nothing_happens(make, store):
    widget = make()
    assert not any(t.name == "nbproxy-inspector" for t in threading.enumerate())
    browser = begin(widget)
    browser.do("bye")
    count = len(browser.look())
    record(store)
    browser.do("complete", source="~", cursor=1)
    assert [each["kind"] for each in browser.look()[count:]] == ["result"]
    browser.do("hello", have=browser.last, session=widget._session)
    browser.wait(lambda: len(browser.mirror.ids) == 1)


def test_at_most_ten_messages_a_second(make, store):
    browser = begin(make())
    record(store)
    browser.wait(lambda: browser.mirror.rows)
    began, begun = time.monotonic(), len(browser.of("batch"))
    stop = threading.Event()

    def traffic():
        while not stop.wait(0.001):
            record(store)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        browser.wait(lambda: time.monotonic() > began + 1 and len(browser.of("batch")) > begun)
        count = len(browser.of("batch")) - begun
        took_s = time.monotonic() - began
    finally:
        stop.set()
        thread.join()
    assert count <= 10 * took_s + 2


def test_nobody_answers(make, store, monkeypatch):
    monkeypatch.setattr(inspectors.Feed, "look", inspectors.Feed.look)
    widget = make()
    widget._repr_mimebundle_()  # displayed; the kernel is busy and hears nobody
    browser = Browser(widget, answers=False)
    record(store)
    browser.wait(lambda: len(browser.of("welcome")) >= 1)  # who began meanwhile learns the way
    browser.wait(lambda: browser.mirror.rows)
    assert browser.of("welcome")[0]["access"]["token"]


def test_the_token_is_in_no_state(make):
    browser = begin(make())
    (welcome,) = browser.of("welcome")
    token = welcome["access"]["token"]
    state = repr(browser.widget.get_state())
    bundle, _ = browser.widget._repr_mimebundle_()
    assert token not in state
    assert token not in repr(bundle)


def test_the_filter_from_python(make, store):
    found = [record(store, f"/{i}", 404 if i % 2 else 200) for i in range(6)]
    widget = make()
    browser = begin(widget)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "filter")
    widget.filter = " ~c 404 "
    assert widget.filter == "~c 404"
    assert seen == ["~c 404"]
    browser.wait(lambda: browser.mirror.shown == [flow.id for flow in found[1::2]])
    assert browser.of("filter")[-1]["source"] == "~c 404"
    assert [flow.id for flow in widget.shown] == browser.mirror.shown
    assert len(widget.df) == 3
    with pytest.raises(FilterError):
        widget.filter = "~c (("
    assert widget.filter == "~c 404"
    widget.filter = None
    assert widget.filter == seen[-1] == ""
    browser.wait(lambda: browser.of("filter")[-1]["source"] == "")


@pytest.mark.parametrize(
    ("slip", "error"),
    [("~zz", FilterError), (5, traitlets.TraitError), (b"", traitlets.TraitError)],
)
def test_a_slip_in_the_filter_shows_the_users_line(make, slip, error):
    widget = make()
    with pytest.raises(error) as caught:
        widget.filter = slip
    # IPython shows the frames that are not hidden, and the last one
    _, *inner = (frame for frame, _ in traceback.walk_tb(caught.value.__traceback__))
    assert all("__tracebackhide__" in frame.f_locals for frame in inner[:-1])


def test_the_filter_from_the_browser(make, store):
    record(store, "/a", 404)
    widget = make()
    browser = begin(widget)
    assert browser.do("filter", source="~c 404", by="me") == {"ok": True, "warnings": []}
    assert widget.filter == "~c 404"
    wrong = browser.do("filter", source="~m GET | ~zz")
    assert (wrong["ok"], wrong["position"]) == (False, 9)
    assert "~zz" in wrong["problem"]
    assert widget.filter == "~c 404"
    assert browser.do("filter", source="  ")["ok"]
    assert widget.filter == ""
    assert any(
        "operator" in each for each in browser.do("filter", source="~u a || ~u b")["warnings"]
    )


def test_completion(make):
    found = begin(make()).do("complete", source="~c 200 & ~repl", cursor=14)
    assert found[0] == {
        "text": "~replay",
        "start": 9,
        "end": 14,
        "argument": "",
        "meaning": found[0]["meaning"],
    }


def test_what_is_selected(make, store):
    flows = [record(store, f"/{i}") for i in range(3)]
    widget = make()
    browser = begin(widget)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]), "selected_ids")
    assert len(widget.selected) == 0
    assert len(widget.df) == 3
    browser.do("select", ids=[flows[2].id, flows[0].id])
    assert list(widget.selected) == [flows[0], flows[2]]
    assert widget.df.path.tolist() == ["/0", "/2"]
    assert seen == [(flows[2].id, flows[0].id)]
    assert not browser.of("select")
    widget.selected = flows[1:2]
    assert browser.of("select")[-1]["ids"] == [flows[1].id]
    assert widget.selected[0] is flows[1]
    widget.selected = flows[0]
    assert browser.of("select")[-1]["ids"] == [flows[0].id]
    widget.selected = [flows[1]]
    store.remove([flows[1].id])
    assert len(widget.df) == 0


def test_all_that_is_shown_is_selected(make, store):
    flows = [record(store, f"/{i}", 404 if i % 2 else 200) for i in range(6)]
    widget = make()
    browser = begin(widget)
    store.remove([flows[0].id])
    browser.do("select_all")
    browser.wait(lambda: len(browser.of("select_all")) == 1)
    assert list(widget.selected) == flows[1:]
    widget.filter = "~c 404"
    browser.do("select_all")
    browser.wait(lambda: len(browser.of("select_all")) == 2)
    assert list(widget.selected) == flows[1::2]
    sent = [
        (data["content"], buffers)
        for _, data, buffers, _ in widget.comm.sent
        if data.get("method") == "custom" and data["content"]["kind"] == "select_all"
    ]
    assert [array("I", buffers[0]).tolist() for _, buffers in sent] == [
        [flow.id for flow in flows[1:]],
        [flow.id for flow in flows[1::2]],
    ]
    assert all(len(json.dumps(content)) < 100 for content, _ in sent)  # however many there are
    assert not browser.of("select")


def test_all_is_selected_once_the_filter_was_put_to_all(make, store, monkeypatch):
    """The browser shows what was found so far; what is selected is all that passes."""
    flows = [record(store, f"/{i}", 404 if i % 2 else 200) for i in range(6)]
    widget = make()
    browser = begin(widget)
    may_ask = threading.Event()
    monkeypatch.setattr(widget._feed, "ask", lambda: may_ask.is_set() and Feed.ask(widget._feed))
    widget.filter = "~c 404"
    browser.do("select_all")
    assert widget.selected_ids == ()
    may_ask.set()
    browser.wait(lambda: browser.of("select_all"))
    assert list(widget.selected) == flows[1::2]
    may_ask.clear()
    widget.filter = "~c 200"
    browser.do("select_all")
    browser.do("select", ids=[flows[3].id])  # somebody has thought better of it
    may_ask.set()
    browser.wait(lambda: browser.mirror.shown == [flow.id for flow in flows[::2]])
    assert list(widget.selected) == [flows[3]]
    assert len(browser.of("select_all")) == 1


def test_at_most_so_many_are_marked_at_a_time(make, store, monkeypatch):
    monkeypatch.setattr(actions, "MOST", 2)
    flows = [record(store, f"/{i}") for i in range(3)]
    ids = [flow.id for flow in flows]
    browser = begin(make())
    assert browser.do("mark", flows=ids, mark=":default:") == 2  # which is said
    assert browser.do("comment", flows=ids, text="look") == 2
    assert [flow.comment for flow in flows] == ["look", "look", ""]


def test_details_and_bodies(make, store):
    flow = record(store, content=b"<p>hello")
    browser = begin(make())
    assert browser.do("detail", flow=flow.id)["status"] == 200
    body = browser.do("body", flow=flow.id, side="response", view="text")
    assert body["text"] == "<p>hello"
    assert "no response" in browser.do("body", flow=flow.id, side="request", view="text").get(
        "error", "no response"
    )
    assert "not there any more" in browser.do("detail", flow=10**6)["error"]


VIEW_SCRIPT = """
from mitmproxy import contentviews
class Shout(contentviews.Contentview):
    def prettify(self, data, metadata):
        while GATE.exists(): pass
        return f"{data.decode().upper()} {metadata.flow.request.path}"
    def render_priority(self, data, metadata):
        while RATING_GATE.exists(): pass
        return 2 if metadata.http_message.headers["content-type"] == "text/plain" else 0
contentviews.add(Shout)
import pathlib
GATE, RATING_GATE = pathlib.Path(GATE), pathlib.Path(GATE + "-rating")
"""


@pytest.fixture
def shout(proxy, tmp_path):
    """A script whose view waits for as long as a file is there."""
    gate = tmp_path / "gate"
    script = tmp_path / "shout.py"
    script.write_text(f"GATE = {str(gate)!r}\n{VIEW_SCRIPT}", "utf-8")

    def load():
        proxy.load(script, era="12")

    yield load
    for each in tmp_path.glob("gate*"):
        each.unlink()
    proxy.unload()


def test_views_of_scripts_come_and_go(make, store, proxy, shout):
    flow = record(store, "/a", content_type="text/plain")
    browser = begin(make())

    def views():
        return browser.do("detail", flow=flow.id)["response"]["views"]

    def revisions():
        """What the browser hears, and asks for the details again."""
        return [each["state"]["body_views"] for each in browser.of("state")]

    assert views() == ["text", "hex", "raw"]
    shout()
    browser.wait(revisions)
    assert views() == ["Shout", "text", "hex", "raw"]
    part = browser.do("body", flow=flow.id, side="response", view="Shout")
    assert (part["kind"], part["text"]) == ("text", "HELLO /a")
    before = browser.do("detail", flow=flow.id)
    proxy.scripts.reload(proxy.scripts[0])
    after = browser.do("detail", flow=flow.id)
    assert after["response"] == before["response"]
    assert after != before  # or the page would leave what the former version made
    proxy.unload()
    browser.wait(lambda: revisions() == sorted(set(revisions())) and len(revisions()) > 1)
    assert views() == ["text", "hex", "raw"]
    gone = browser.do("body", flow=flow.id, side="response", view="Shout")
    assert "there is no view 'Shout'" in gone["error"]


@pytest.mark.parametrize("command", ["body", "detail"])
def test_a_view_that_takes_its_time_keeps_nobody_waiting(
    make, store, shout, monkeypatch, tmp_path, command
):
    monkeypatch.setattr(bodyviews, "LAY_OUT_S", 600.0)
    monkeypatch.setattr(bodyviews, "RATE_S", 600.0)
    flow = record(store, "/a", content_type="text/plain")
    browser = begin(make())
    shout()
    gate = tmp_path / ("gate" if command == "body" else "gate-rating")
    gate.touch()
    more = {"side": "response", "view": "Shout"} if command == "body" else {}
    args = {"flow": flow.id, **more}
    browser.send({"kind": "do", "id": "slow", "name": command, "args": args})
    part = browser.do("body", flow=flow.id, side="response", view="text")
    assert part["text"] == "hello"
    assert "slow" not in [each["id"] for each in browser.of("result")]
    gate.unlink()
    browser.wait(lambda: "slow" in [each["id"] for each in browser.of("result")])
    (slow,) = [each for each in browser.of("result") if each["id"] == "slow"]
    if command == "body":
        assert slow["value"]["text"] == "HELLO /a"
    else:
        assert slow["value"]["response"]["views"][0] == "Shout"


def test_marks_comments_and_removing(make, store):
    flow = record(store)
    browser = begin(make())
    browser.do("mark", flows=[flow.id], mark=":default:")
    browser.do("comment", flows=[flow.id], text="look")
    assert (flow.marked, flow.comment) == (":default:", "look")
    long = "password=hunter2\n" * 100
    flow.comment = long
    assert browser.do("commented", flow=flow.id) == long  # whole, or editing would lose something
    flow.comment = "look"
    browser.wait(lambda: [row["comment"] for row in browser.mirror.rows.values()] == ["look"])
    browser.do("remove", flows=[flow.id])
    browser.wait(lambda: not browser.mirror.rows)


def test_saving(make, store, tmp_path):
    flows = [record(store, f"/{i}") for i in range(3)]
    browser = begin(make())
    path = str(tmp_path / "two.har")
    saved = browser.do("save", flows=[flow.id for flow in flows[:2]], path=path)
    assert saved == {"count": 2, "path": path}
    assert [flow.request.path for flow in nbproxy.open(path)] == ["/0", "/1"]
    assert (
        "format" in browser.do("save", flows=[flows[0].id], path=str(tmp_path / "x.odd"))["error"]
    )
    assert "name" in browser.do("save", flows=[], path=" ")["error"]


class Delayed(list):
    """Flows that wait at the last one, as those of a slow disk do."""

    gate = threading.Event()

    def __iter__(self):
        *first, last = super().__iter__()
        yield from first
        assert self.gate.wait(600)
        yield last


class Gated(Flows):
    """All flows; a choice of them is delayed."""

    def of(self, ids):
        return Delayed(super().of(ids))


def test_saving_that_takes_its_time_keeps_nobody_waiting(make, store, tmp_path):
    ids = [record(store, f"/{i}").id for i in range(3)]
    Delayed.gate.clear()
    browser = begin(make(Gated(store)))
    args = {"flows": ids, "path": str(tmp_path / "all.har")}
    browser.send({"kind": "do", "id": "slow", "name": "save", "args": args})
    browser.wait(lambda: {"kind": "working", "id": "slow"} in browser.messages)
    browser.wait(lambda: browser.of("state")[-1:] and browser.of("state")[-1]["state"]["saving"])
    browser.wait(lambda: browser.of("state")[-1]["state"]["saving"] == [2, 3])
    assert browser.do("url", flow=ids[0]) == "https://example.org/0"
    new = record(store, "/new")
    browser.wait(lambda: new.id in browser.mirror.ids)
    assert "slow" not in [each["id"] for each in browser.of("result")]
    Delayed.gate.set()
    browser.wait(lambda: "slow" in [each["id"] for each in browser.of("result")])
    (slow,) = [each for each in browser.of("result") if each["id"] == "slow"]
    assert slow["value"]["count"] == len(nbproxy.open(args["path"])) == 3
    browser.wait(lambda: browser.of("state")[-1]["state"]["saving"] == [])


def test_taking_away(make, store):
    flow = record(store, "/x?api_key=abc")
    browser = begin(make())
    assert browser.do("curl", flow=flow.id).startswith("curl ")
    assert browser.do("url", flow=flow.id) == "https://example.org/x?api_key=abc"
    assert "api_key=abc" not in browser.do("code", flow=flow.id, library="httpx")


def test_replay(make, proxy):
    flow = new_flow("/again")
    flow.request.scheme, flow.request.port = "http", 80
    end(flow)
    proxy.store.opened(flow)
    proxy.store.closed(flow)
    browser = begin(make(proxy.flows))
    (number,) = browser.do("replay", flows=[flow.id])
    wait_until(lambda: (new := proxy.store.get(number)) is not None and new.response is not None)
    assert proxy.store.get(number).response.text == "to GET"
    edited = browser.do("editable", flow=flow.id, side="request")
    number = browser.do("send", flow=flow.id, edited=edited | {"method": "PUT", "body": None})
    wait_until(lambda: (new := proxy.store.get(number)) is not None and new.response is not None)
    assert proxy.store.get(number).response.text == "to PUT"
    wrong = browser.do("send", flow=flow.id, edited=edited | {"url": "nowhere"})
    assert wrong["error"]


def test_state_tells_where_the_proxy_listens(make, store, tmp_path):
    proxy = Proxy(port=0, confdir=str(tmp_path), loop="thread")
    widget = Inspector(Flows(store), proxy)
    browser = begin(widget)
    assert browser.of("welcome")[0]["state"]["listening"] is False
    assert browser.of("welcome")[0]["access"] is None
    assert "stopped" in browser.do("replay", flows=[record(store).id])["error"]
    proxy.start()
    record(store)
    browser.wait(lambda: any(each["state"]["listening"] for each in browser.of("state")))
    assert browser.of("state")[-1]["state"]["url"] == proxy.url
    proxy.close()
    widget.close()


def test_state_tells_which_flow_was_held_for_too_long(make, proxy):
    browser = begin(make(proxy.flows))
    assert browser.of("welcome")[0]["state"]["expired"] == [0, -1]

    def expired():
        return [each["state"]["expired"] for each in browser.of("state")][-1:]

    def held():
        return [each["state"]["held_count"] for each in browser.of("state")][-1:]

    flow = new_flow("/held")
    flow.request.scheme, flow.request.port = "http", 80
    end(flow)
    proxy.store.opened(flow)
    proxy.store.closed(flow)
    with proxy.intercept("~u /held", on="request", timeout=1000):
        (first,) = browser.do("replay", flows=[flow.id])
        browser.wait(lambda: held() == [1])
        proxy.intercepts.extend(first, 0.01)
        browser.wait(lambda: (expired(), held()) == ([[1, first]], [0]))
        (second,) = browser.do("replay", flows=[flow.id])
        browser.wait(lambda: held() == [1])
        browser.do("resume", flows=[second])
        browser.wait(lambda: held() == [0])
    assert expired() == [[1, first]]


def test_what_a_saved_notebook_keeps(make, store, monkeypatch):
    monkeypatch.setattr(inspectors, "QUIET_S", 0.01)
    monkeypatch.setattr(inspectors, "SNAPSHOT_ROWS", 3)
    widget = make()
    browser = begin(widget)
    flows = [record(store, f"/p{i}?token=hunter2") for i in range(5)]
    browser.wait(lambda: widget.snapshot["total"] == 5)
    rows = rows_of(widget.snapshot, widget.snapshot["data"])
    assert [row["id"] for row in rows] == [flow.id for flow in flows[2:]]
    assert "hunter2" not in repr(widget.get_state())
    assert len(repr(widget.get_state("snapshot"))) < 5000


def test_the_bundle(make, store):
    record(store, "/a?token=hunter2")
    widget = make()
    bundle, metadata = widget._repr_mimebundle_()
    assert bundle[VIEW]["model_id"] == widget.model_id
    page = check(bundle["text/html"])
    assert "/a?token=***" in page.text
    assert bundle["text/plain"] == "<Inspector: 1 flow>"
    assert "hunter2" not in repr(bundle)
    assert metadata == {}


def test_hostile_flows_in_what_is_saved(make, store):
    for text in HOSTILE:
        flow = record(store)
        flow.request._path = f"/{text}"
        flow.comment = flow.marked = flow.request._method = text
        store.changed(flow)
    widget = make()
    check(widget._repr_mimebundle_()[0]["text/html"])
    page = widget.export_html()
    assert "<script" not in page
    assert "content-security-policy" in page
    json.dumps({k: v for k, v in widget.snapshot.items() if k != "data"}).encode()


class Shell:
    """As much of a shell as displays need."""

    def __init__(self, kernel=True):
        self.shown = []
        self.kernel = object() if kernel else None
        self.display_pub = types.SimpleNamespace(publish=self.publish)

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.shown.append((data, transient, update))


def test_display_in_a_kernel(make, store, monkeypatch):
    monkeypatch.setattr(inspectors, "QUIET_S", 0.01)
    shell = Shell()
    monkeypatch.setattr(inspectors, "get_ipython", lambda: shell)
    widget = make()
    widget._ipython_display_()
    (view, _, _), (table, transient, _) = shell.shown[:2]
    assert VIEW in view
    assert "text/html" not in view
    assert f'<div class="{widget.static_id}">' in table["text/html"]
    record(store, "/new")
    wait_until(lambda: "/new" in shell.shown[-1][0]["text/html"])
    assert shell.shown[-1][1:] == (transient, True)
    assert all(VIEW not in data for data, _, _ in shell.shown[1:])  # no second view of it


def test_display_in_a_terminal(make, store, monkeypatch, capsys):
    record(store, "/here")
    for shell in (None, Shell(kernel=False)):
        monkeypatch.setattr(inspectors, "get_ipython", lambda shell=shell: shell)
        make()._ipython_display_()
        assert "/here" in capsys.readouterr().out


def test_a_page_of_its_own(make, store, tmp_path):
    for i in range(5):
        record(store, f"/{i}")
    widget = make(filter="!/1")
    path = tmp_path / "page.html"
    page = widget.export_html(str(path), limit=2)
    assert path.read_text() == page
    assert page.startswith("<!doctype html>")
    assert "The newest 2 of 4 flows matching !/1" in page
    assert "/3" in page
    assert "/2<" not in page


def test_inspect(proxy, monkeypatch, tmp_path):
    monkeypatch.setattr(_current, "_proxy", proxy)
    monkeypatch.chdir(tmp_path)
    widget = inspect(filter="~m GET", height=50)
    assert widget.flows is proxy.flows
    assert widget.height == inspectors.MIN_HEIGHT
    assert repr(widget).startswith("<Inspector: ")
    assert "filter '~m GET'" in repr(widget)
    widget.close()
    assert nbproxy.inspect is inspect
    filtered = inspect("~m GET & ~u \x00")  # simply, without a keyword
    assert filtered.flows is proxy.flows
    assert filtered.filter == "~m GET & ~u \x00"
    filtered.close()
    everything = inspect(filter=None)
    assert everything.filter == ""
    everything.close()
    with pytest.raises(TypeError, match="a filter goes with no other filter"):
        inspect("~m GET", filter="~c 200")
    (tmp_path / "day.har").write_text("{}")
    with pytest.raises(TypeError, match=r"a file is opened by nbproxy\.open"):
        inspect("day.har")
    with pytest.raises(TypeError, match=r"takes flows, such as nbproxy\.flows, .* not 5$"):
        inspect(5)
    for how in ({"filter": "~c (("}, {"flows": "~c (("}):
        with pytest.raises(FilterError):
            inspect(**how)
    slice_ = inspect(proxy.flows[:1])
    assert len(slice_.flows) <= 1
    slice_.close()


def test_closing_all(make, store):
    browsers = [begin(make()) for _ in range(2)]
    close_all()
    for browser in browsers:
        browser.wait(lambda browser=browser: browser.of("stopped"))
    wait_until(
        lambda: not any(t.name == "nbproxy-inspector" for t in threading.enumerate()), "it ends"
    )
    record(store)  # nobody is told any more


def test_changes_are_noted_while_somebody_wants_to_know(make, proxy):
    one, two = make(), make()
    assert not proxy.handlers.notes_changes
    for widget in (one, two):
        begin(widget)
    assert proxy.handlers.notes_changes
    one.close()
    assert proxy.handlers.notes_changes
    two.close()
    assert not proxy.handlers.notes_changes


def test_messages_that_are_none(make):
    browser = begin(make())
    for message in (None, 5, [], {"kind": "ack"}, {"kind": "ack", "number": "1"}, {"kind": "x"}):
        browser.send(message)
    assert browser.do("complete", source="", cursor=0)


def test_nobody_else_has_traits_of_these_names():
    names = set(Inspector.class_trait_names()) - set(
        inspectors.anywidget.AnyWidget.class_trait_names()
    )
    assert names == {
        "snapshot",
        "height",
        "static_id",
        "filter",
        "selected_ids",
        "_esm",
        "_css",
    } - {
        "_esm",
        "_css",
    }
    assert isinstance(Inspector.filter, traitlets.Unicode)


def test_what_it_costs_while_traffic_passes(make, store, capsys):
    """With 500 flows a second: the share of a core that the inspector's thread takes, printed."""
    for _ in range(2000):
        record(store)
    browser = begin(make())
    browser.wait(lambda: len(browser.mirror.rows) == 2000)
    times, seconds = [], 2.0
    browser.widget._worker.post(lambda: times.append(time.thread_time()))
    began, count, pause = time.monotonic(), 0, threading.Event()
    batches = len(browser.of("batch"))
    while (now := time.monotonic() - began) < seconds:
        while count < 500 * now:
            record(store, f"/{count}")
            count += 1
        browser.look()
        pause.wait(0.01)
    browser.widget._worker.post(lambda: times.append(time.thread_time()))
    wait_until(lambda: len(times) == 2)
    sent = len(browser.of("batch")) - batches
    seconds = time.monotonic() - began
    took = (times[1] - times[0]) / seconds
    with capsys.disabled():
        print(
            f"\n500 flows/s: the inspector takes {took:.1%} of a core and sends "
            f"{sent / seconds:.1f} messages/s"
        )
    assert sent <= 10 * seconds + 2
