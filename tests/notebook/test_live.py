"""Live tables: how often they are sent, where, and when they stop."""

import threading
import time
import types
from itertools import pairwise

import pytest

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.notebook import live
from nbproxy.notebook.live import MAX_ROWS, MAX_TABLES, LiveTables
from nbproxy.store.store import Store
from nbproxy.store.view import Flows

SOON_S = 60.0


class Publisher:
    """Takes messages as ipykernel's does."""

    def __init__(self):
        self.sent = []
        self.arrived = threading.Condition()

    def publish(self, data, metadata=None, *, transient=None, update=False):
        with self.arrived:
            self.sent.append((time.monotonic(), (transient or {}).get("display_id"), update, data))
            self.arrived.notify_all()

    def wait(self, holds):
        with self.arrived:
            assert self.arrived.wait_for(lambda: holds(self.sent), SOON_S), self.sent

    def wait_live(self, tables=1):
        """Wait until that many tables have the mark of live ones; from here on count anew."""
        self.wait(
            lambda sent: len({i for _, i, _, d in sent if "● live" in d["text/html"]}) == tables
        )
        with self.arrived:
            shown = {i: d for _, i, _, d in self.sent}
            self.sent = [(0.0, i, False, d) for i, d in shown.items()]

    def updates(self):
        with self.arrived:
            return [each for each in self.sent if each[2]]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def notebook_shell():
    return types.SimpleNamespace(display_pub=Publisher(), kernel=object())


@pytest.fixture
def cell():
    return types.SimpleNamespace(key="a")


@pytest.fixture
def make(notebook_shell, cell):
    made = []

    def make(interval_s=0.01):
        tables = LiveTables(notebook_shell, lambda: cell.key, interval_s)
        made.append(tables)
        return tables

    yield make
    for each in made:
        each.close()
    assert "nbproxy-tables" not in {thread.name for thread in threading.enumerate()}


def add(store, path="/"):
    store.opened(HTTPFlow(Request.make("GET", f"http://example.org{path}")))


def test_a_table_grows(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    make().show(Flows(store))
    assert "● live" not in publisher.sent[0][3]["text/html"], "runs without front end keep this"
    publisher.wait_live()
    add(store, "/first")
    publisher.wait(lambda sent: "/first" in sent[-1][3]["text/html"])
    _, first_id, _, first = publisher.sent[0]
    _, last_id, update, last = publisher.sent[-1]
    assert update
    assert last_id == first_id
    assert "/first" not in first["text/html"]
    assert "/first" in last["text/plain"]
    assert "live" in last["text/html"]


def test_a_filtered_table_is_sent_only_if_it_looks_different(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    tables = make()
    tables.show(Flows(store, "~u wanted"))
    tables.show(Flows(store))
    publisher.wait_live(2)
    add(store, "/other")
    publisher.wait(lambda sent: "/other" in sent[-1][3]["text/html"])
    assert {each[1] for each in publisher.updates()} == {publisher.sent[1][1]}
    add(store, "/wanted")
    publisher.wait(
        lambda sent: (
            {each[1] for each in sent if "/wanted" in each[3]["text/html"]}
            == {each[1] for each in sent}
        )
    )


def test_updates_keep_their_distance(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    interval_s = 0.1
    make(interval_s).show(Flows(store))
    publisher.wait_live()
    count = 0
    while count < 200 or len(publisher.updates()) < 2:
        count += 1
        add(store, f"/{count}.")
        with publisher.arrived:
            publisher.arrived.wait(0.003)
    publisher.wait(lambda sent: f"/{count}." in sent[-1][3]["text/html"])
    times = [each[0] for each in publisher.updates()]
    assert all(b - a >= interval_s for a, b in pairwise(times))


def test_where_drawing_is_slow_updates_are_rarer(make, store, notebook_shell, monkeypatch):
    publisher = notebook_shell.display_pub
    slow_s = 0.02
    draw = live.draw

    def draw_slowly(flows, *, live):
        begin = time.perf_counter()
        while time.perf_counter() - begin < slow_s:
            pass
        return draw(flows, live=live)

    monkeypatch.setattr(live, "draw", draw_slowly)
    make().show(Flows(store))
    publisher.wait_live()
    for count in range(2):
        add(store, f"/{count}.")
        publisher.wait(lambda sent, n=count: f"/{n}." in sent[-1][3]["text/html"])
    first, second = (each[0] for each in publisher.updates())
    assert second - first >= slow_s / live.SHARE


def test_only_the_newest_rows_are_drawn(make, store, notebook_shell):
    for count in range(3 * MAX_ROWS):
        add(store, f"/{count}.")
    make().show(Flows(store))
    html = notebook_shell.display_pub.sent[0][3]["text/html"]
    assert f"/{3 * MAX_ROWS - 1}." in html
    assert f"/{2 * MAX_ROWS}." in html
    assert f"/{2 * MAX_ROWS - 1}." not in html
    assert f"{3 * MAX_ROWS} flows" in html


def test_running_the_cell_again_gives_its_tables_up(make, store, notebook_shell, cell):
    publisher = notebook_shell.display_pub
    tables = make()
    tables.show(Flows(store))
    cell.key = "b"
    tables.show(Flows(store))
    publisher.wait_live(2)
    tables.begin_cell("a")
    assert len(tables) == 1
    add(store, "/x")
    publisher.wait(lambda sent: "/x" in sent[-1][3]["text/html"])
    assert {each[1] for each in publisher.updates()} == {publisher.sent[1][1]}


def test_the_oldest_tables_stand_still(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    tables = make()
    for _ in range(MAX_TABLES + 2):
        tables.show(Flows(store))
    assert len(tables) == MAX_TABLES
    ids = [each[1] for each in publisher.sent if not each[2]]
    add(store, "/x")
    publisher.wait(
        lambda sent: {each[1] for each in sent if "/x" in each[3]["text/html"]} == set(ids[2:])
    )
    last = {each[1]: each[3]["text/html"] for each in publisher.sent}
    assert [name for name in ids if "● live" not in last[name]] == ids[:2]


def test_a_slice_is_static(make, store, notebook_shell):
    add(store, "/x")
    tables = make()
    tables.show(Flows(store)[:1])
    assert len(tables) == 0
    assert "/x" in notebook_shell.display_pub.sent[0][3]["text/html"]


def test_closing_updates_for_the_last_time(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    tables = make(interval_s=60)
    tables.show(Flows(store))
    add(store, "/x")
    tables.close()
    last = publisher.sent[-1][3]["text/html"]
    assert "/x" in last
    assert "● live" not in last
    count = len(publisher.sent)
    add(store, "/y")
    assert len(publisher.sent) == count


def test_what_is_being_drawn_when_it_ends_is_not_sent_after_its_last_picture(
    make, store, notebook_shell
):
    drawing, gate = threading.Event(), threading.Event()

    def picture(live):
        if live:
            drawing.set()
            assert gate.wait(SOON_S)
        return {"text/html": "● live" if live else f"{len(Flows(store))} flows"}

    tables = make()
    end = tables.follow(Flows(store), picture)
    assert drawing.wait(SOON_S)
    add(store)
    end()
    gate.set()
    tables.close()  # its thread has come to its end
    sent = [each[3]["text/html"] for each in notebook_shell.display_pub.sent]
    assert sent == ["0 flows", "1 flows"]


def test_a_failing_filter_ends_its_table_only(make, store, notebook_shell):
    publisher = notebook_shell.display_pub
    calls = []

    def fails_later(flow):
        calls.append(flow)
        raise ValueError

    tables = make()
    tables.show(Flows(store, fails_later))
    tables.show(Flows(store))
    add(store, "/x")
    publisher.wait(lambda sent: "/x" in sent[-1][3]["text/html"])
    asked = len(calls)
    add(store, "/y")
    publisher.wait(lambda sent: "/y" in sent[-1][3]["text/html"])
    assert asked == len(calls) <= 2


def test_without_a_kernel_the_table_is_static(make, store, notebook_shell):
    del notebook_shell.kernel
    tables = make()
    tables.show(Flows(store))
    assert len(tables) == 0
    assert notebook_shell.display_pub.sent[0][1] is None
    assert "● live" not in notebook_shell.display_pub.sent[0][3]["text/html"]


def test_where_displays_are_captured_the_table_is_static(make, store, notebook_shell):
    tables = make()
    capturing = notebook_shell.display_pub = Publisher()
    tables.show(Flows(store))
    assert len(tables) == 0
    assert len(capturing.sent) == 1


# -- in real kernels

LOAD = "%load_ext nbproxy"
GET = (
    "import requests\n"
    "for number in range({count}):\n"
    "    requests.get({url!r}, proxies=nbproxy.proxies, timeout=60)"
)


@pytest.fixture
def loaded(notebook):
    notebook.execute(LOAD)
    return notebook


def html(update):
    return update["data"]["text/html"]


def test_flows_as_the_last_line_are_a_live_table(loaded, site):
    table = loaded.start_cell("nbproxy.flows", cell_id="table")
    result = loaded.finish(table).check()
    assert result.value is None, "a display, not a result"
    assert len(result.displays) == 1
    assert "text/plain" in result.displays[0]
    began = time.monotonic()
    loaded.execute(GET.format(count=40, url=site.http_url + "/api/users"))

    def is_whole(table):  # and none of them is under way any more
        return "40 flows" in html(table) and "…" not in html(table)

    loaded.wait_for(lambda: any(map(is_whole, updates_of(loaded))))
    shown = updates_of(loaded)
    took_s = time.monotonic() - began
    assert len(shown) <= 2 + 4 * took_s
    assert len({each["transient"]["display_id"] for each in shown}) == 1
    loaded.execute("1 + 1")
    count = len(updates_of(loaded))
    loaded.execute("import time; time.sleep(0.6)")
    assert len(updates_of(loaded)) == count, "nothing changes, nothing is sent"


def updates_of(kernel):
    with kernel.channels.changed:
        messages = list(kernel.channels.published)
    start = max(
        i
        for i, m in enumerate(messages)
        if m["header"]["msg_type"] == "display_data"
        and "display_id" in m["content"].get("transient", {})
    )
    return [
        m["content"] for m in messages[start:] if m["header"]["msg_type"] == "update_display_data"
    ]


def test_unloading_makes_the_table_static(loaded, site):
    loaded.execute("nbproxy.flows")
    loaded.execute(GET.format(count=1, url=site.http_url + "/api/users"))
    loaded.execute("%unload_ext nbproxy")
    last = html(updates_of(loaded)[-1])
    assert "1 flow" in last
    assert "● live" not in last


def test_the_verb_shows_filtered_flows_live(loaded, site):
    loaded.execute("%nbproxy flows ~u users")
    loaded.execute(GET.format(count=1, url=site.http_url + "/api/users"))
    loaded.wait_for(lambda: any("1 flow" in html(each) for each in updates_of(loaded)))


def test_headless_runs_keep_a_table(loaded, site):
    loaded.execute(GET.format(count=2, url=site.http_url + "/api/users"))
    shown = loaded.execute("nbproxy.flows").displays[0]
    assert "2 flows" in shown["text/html"]
    assert "/api/users" in shown["text/plain"]


def test_capture_gets_a_static_table(loaded):
    captured = loaded.execute("%%capture out\nnbproxy.flows")
    assert captured.displays == []
    assert loaded.execute("[len(o.data) for o in out.outputs if o.data]").value == "[2]"
