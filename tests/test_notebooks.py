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
        home = str(tmp_path_factory.mktemp("home"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "environ", os.environ.copy())  # the runner sets some for its kernel
            patch.setenv("HOME", home)
            patch.setenv("XDG_DATA_HOME", home)
            patch.setenv("PYTHONPATH", str(FOLDER.parent))
            assert run.execute(notebook, path, run.CELL_TIMEOUT_S)
        return notebook

    return execute


@pytest.fixture
def quickstart(execute):
    """By the id of a cell of the quickstart, all text under it."""
    cells = execute(FOLDER / "01-quickstart.ipynb").cells
    return {c.id: "\n".join(map(text_of, c.outputs)) for c in cells if c.cell_type == "code"}


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
    assert "'yes'" in quickstart["async"]
    assert float(re.search(r"in ([\d.]+) s", quickstart["async"])[1]) < 1.4


def test_a_failing_handler_is_shown_and_stops_nothing(quickstart):
    assert "ZeroDivisionError: division by zero" in quickstart["failing"]
    assert "<Response [200]>" in quickstart["failing"]
    assert "ZeroDivisionError" in quickstart["handlers"]


def test_streams_and_failures_are_recorded(quickstart):
    assert (
        "".join(quickstart["stream"].split("\n")) == "A proxy in a notebook sees all that passes."
    )
    first, last = map(float, re.findall(r"after ([\d.]+) s", quickstart["streamed"]))
    assert last - first > 0.4
    assert "[DONE]" in quickstart["streamed"]
    assert quickstart["errors"].split() == ["500", "502", "ChunkedEncodingError", "502"]
    assert "the connection was refused" in quickstart["failed"]
    assert "in the middle of a body" in quickstart["failed"]
    assert "Local site's throw-away CA" in quickstart["failed"]
