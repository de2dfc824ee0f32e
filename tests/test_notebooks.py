"""Every notebook: committed clean, run headless in a real kernel, showing what it says it shows."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from notebooks import run

FOLDER = Path(run.__file__).parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ANSI = re.compile(r"\x1b\[[0-9;]*m")


# Handlers that wait there for a while, as others do meanwhile: here they wait for these.
TOGETHER = """import threading
together, passed = threading.Barrier({count}), threading.Event()
"""
PASS = "passed.is_set() or together.wait(300); passed.set()"
WAITING = {
    "async": (3, "time.sleep(0.5)"),
    "nbscript": (4, "time.sleep(context.seconds)"),
}
TIMEOUT_S = 600


def text_of(output):
    """All that an output shows, in every media type."""
    data = output.get("data", {})
    return ANSI.sub("", "\n".join([output.get("text", ""), *map(str, data.values())]))


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Runs a notebook, at its first call; later ones get the same."""

    @cache
    def execute(path):
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.id in WAITING:
                count, waits = WAITING[cell.id]
                assert cell.source.count(waits) == 1
                source = cell.source.replace(waits, PASS)
                begin = TOGETHER.format(count=count)
                cell.source = source.replace("import time\n", f"import time\n{begin}")
        home = str(tmp_path_factory.mktemp("home"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", os.environ.copy())  # the runner sets some for its kernel
            patch.setenv("HOME", home)
            patch.setenv("XDG_DATA_HOME", home)
            patch.setenv("PYTHONPATH", str(FOLDER.parent))
            assert run.execute(notebook, path, TIMEOUT_S)
        return notebook

    return execute


def texts(notebook):
    """By the id of a cell, all text under it."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return {cell.id: "\n".join(map(text_of, cell.outputs)) for cell in code}


@pytest.fixture
def quickstart(execute):
    return texts(execute(FOLDER / "01-quickstart.ipynb"))


@pytest.fixture
def scripts(execute):
    return texts(execute(FOLDER / "02-scripts.ipynb"))


@pytest.fixture
def capture(execute):
    return texts(execute(FOLDER / "05-capture.ipynb"))


@pytest.fixture
def analysis(execute):
    return texts(execute(FOLDER / "03-analysis.ipynb"))


@pytest.fixture
def inspector(execute):
    return texts(execute(FOLDER / "04-inspector.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_committed_clean(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert all(not cell.metadata for cell in notebook.cells)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert notebook.metadata.kernelspec.name == "python3"
    assert not re.search(r"/(home|Users|root|tmp)/", path.read_text(encoding="utf-8"))
    assert json.loads(path.read_text(encoding="utf-8"))["nbformat_minor"] >= 5


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_to_its_end_and_leaves_nothing_beside_it(path, execute):
    before = set(FOLDER.iterdir())
    notebook = execute(path)
    assert len((run.last_table(notebook) or "").splitlines()) > 3
    assert set(FOLDER.iterdir()) == before


def test_every_way_of_asking_works(quickstart):
    assert "Alan Lovelace" in quickstart["requests"]
    assert quickstart["curl"].strip() == "one, two, three."
    assert quickstart["httpx"].count("Lovelace") == 8


def test_shows_flows_and_never_their_secrets(quickstart):
    assert "/api/users/8" in quickstart["flows"]
    assert quickstart["masks"].count("api_key=***") >= 2
    assert not [name for name, shown in quickstart.items() if "sk-live-4711" in shown]


def test_handlers_do_what_it_says(quickstart):
    assert "promoted Dr Donald Lovelace" in quickstart["response"]
    assert "('Dr Donald Lovelace', 'nbproxy')" in quickstart["response"]
    assert "'name': 'Dr Ken Lovelace'" in quickstart["request"]
    assert "429 2 {'error': 'slow down'}" in quickstart["request"]
    assert re.search(r"three answers in [\d.]+ s\n", quickstart["async"])
    assert "'yes'" in quickstart["async"]


def test_a_failing_handler_is_shown_and_stops_nothing(quickstart):
    assert "ZeroDivisionError: division by zero" in quickstart["failing"]
    assert "<Response [200]>" in quickstart["failing"]
    assert "ZeroDivisionError" in quickstart["handlers"]


def test_streams_and_failures_are_recorded(quickstart):
    assert (
        "".join(quickstart["stream"].split("\n")) == "A proxy in a notebook sees all that passes."
    )
    first, last = map(float, re.findall(r"after ([\d.]+) s", quickstart["streamed"]))
    assert first < last  # it came while it was made
    assert "[DONE]" in quickstart["streamed"]
    assert quickstart["errors"].split() == ["500", "502", "ChunkedEncodingError", "502"]
    assert "the connection was refused" in quickstart["failed"]
    assert "in the middle of a body" in quickstart["failed"]
    assert "Local site's throw-away CA" in quickstart["failed"]


def test_a_script_in_python_2_changes_live_traffic(scripts):
    assert (
        "written for mitmproxy 0.11 - 0.13 (era B), converted from Python 2" in scripts["load-old"]
    )
    assert "/api/users?page=1: 9 times" in scripts["log"]
    assert "9 replaced: Alan Byron" in scripts["old"]
    assert "the script has replaced 1" in scripts["handler"]


def test_a_changed_script_takes_over_and_a_broken_one_does_not(scripts):
    assert "'1'" in scripts["reload"]
    assert "1 replaced, still" in scripts["broken"]
    assert "SyntaxError" in scripts["broken"]
    assert "the former version stays" in scripts["broken"]


def test_a_script_of_today_works_beside_it(scripts):
    assert "found after all" in scripts["modern"]
    assert "id-2" in scripts["modern"]
    assert "replace.py" in scripts["scripts"]
    assert "tag.py" in scripts["scripts"]
    assert "made up an answer" in scripts["log"]


def test_a_cell_is_a_script_and_its_threads_wait_together(scripts):
    assert "converted from Python 2; request" in scripts["nbscript"]
    assert re.search(r"four answers in [\d.]+ s\n", scripts["concurrent"])
    assert "'0.5'" in scripts["concurrent"]
    assert "3 scripts unloaded" in scripts["unload"]


def test_a_script_runs_over_saved_flows(scripts):
    assert "response.content" in scripts["run"]


def test_flows_are_saved_and_opened(scripts):
    assert "11 flows saved to session.mitm" in scripts["save"]
    assert "5 flows saved to users.har" in scripts["save"]
    assert "(False, False)" in scripts["secrets"]
    assert "Flows: 16 flows" in scripts["open"]
    assert re.search(r"GET /api/users +2 +200 +1862", scripts["frame"])
    assert scripts["flow"].strip().endswith("/missing -> 200 found after all")
    assert "id-6" in scripts["summary"]


def test_a_flow_is_a_command(scripts):
    assert scripts["curl"].startswith("curl ")
    assert "('PUT', 'id-2')" in scripts["curl-run"]
    assert "import requests" in scripts["code"]


def test_one_cells_traffic_and_nothing_else(capture):
    assert "(10, 10)" in capture["capture"]
    assert "Flows: 3 flows" in capture["capture"]
    for line in (r"page=1 +200 +5 ", r"page=2 +200 +7 "):
        assert re.search(line, capture["columns"])
    assert re.search(r"customer +6 +8 ", capture["group"])
    assert re.search(r"search +10 +1 ", capture["group"])
    assert "(True, 3, 13)" in capture["outside"]
    assert "404 and ['/missing']" in capture["block"]
    assert "True" in capture["block"]


def test_why_a_request_is_not_there(capture):
    assert "http_proxy is not set" in capture["why"]
    assert "refused: SSLError" in capture["refused"]
    assert "does not trust the CA" in capture["why-refused"]


def test_a_capture_is_recorded_to_a_file(analysis):
    assert "recording to monday.nbproxy" in analysis["capture"]
    assert "/api/users/15/orders" in analysis["traffic"]
    assert analysis["sqlite"].startswith("[(200, 50, ")


def test_the_slow_endpoint_is_found(analysis):
    assert "<svg" in analysis["endpoints"]
    rows = re.findall(r"(/api/users\S*) +(\d+) +[\d.]+ +([\d.]+)", analysis["percentiles"])
    slowest = {(template, count): float(p95) for template, count, p95 in rows}
    assert slowest["/api/users/{id}/orders", "15"] > 0.4
    assert "<svg" in analysis["timeline"]
    assert set(slow_ones(analysis)) >= {"5", "10", "15"}  # a machine that pauses adds to them


def slow_ones(analysis):
    return re.findall(r"/api/users/(\d+)/orders ", analysis["slow"])


def test_bodies_become_a_table(analysis):
    assert "Samovar" in analysis["json"]
    assert re.search(r"Cadogan +15 +394.5", analysis["merge"])
    assert "$.items[*].gift_for" in analysis["schema"]


def test_a_column_of_ones_own(analysis):
    slow = re.findall(r"^(\d+)(?:\.0)? +2 +(\d+\.\d+)$", analysis["column"], re.MULTILINE)
    assert len(slow) == 3  # 5, 10 and 15 but for those a machine that pauses takes longer with
    assert all(float(seconds) > 0.4 for _, seconds in slow)
    assert re.search(r"/api/users/5/orders +5 ", analysis["col-filter"])
    assert "seconds" in analysis["live"]


def test_captures_are_saved_opened_and_compared(analysis):
    assert f"Flows: {len(slow_ones(analysis))} flows" in analysis["save"]
    for row in (
        r"type +GET /api/users/\{id\}/orders +\$\.items\[\*\]\.price +number",
        r"removed +GET /api/users/\{id\}/orders +\$\.items\[\*\]\.gift_for",
        r"added +GET /api/users/\{id\}/orders +\$\.items\[\*\]\.vat",
    ):
        assert re.search(row, analysis["diff"])
    assert re.search(r"/api/users/\{id\}/orders +22 +22", analysis["summary"])


def test_the_inspector_shows_filters_and_selects(inspector):
    # a text of the widget, and the table beside it
    assert "widget-view" not in inspector["inspect"]
    assert "<Inspector: 1 flow>" in inspector["inspect"]
    assert re.search(r"GET +/missing +404", inspector["filter"])
    assert "1 selected" in inspector["selected"]
    assert "'Ada'" in inspector["selected"]
    assert "nbp-static-" in inspector["last"]


def test_what_is_held_goes_on_when_nobody_looks(inspector):
    assert "page 2" in inspector["intercept"]
    assert 'response.headers["x-seen"]' in inspector["changes"]


def test_the_inspector_keeps_no_secret(inspector):
    assert "0 scripts" in inspector["export"]
    shown = [name for name, text in inspector.items() if "sk-live-4711" in text]
    assert shown == []
    assert "correct horse" not in str(inspector)
