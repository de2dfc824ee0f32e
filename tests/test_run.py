"""`notebooks/run.py`: notebooks headless in a real kernel, as `make demo` runs them."""

from __future__ import annotations

import os

import nbformat
import pytest

from notebooks import run

TABLE = "import pandas as pd\npd.DataFrame({'host': ['a.test', 'b.test'], 'status': [200, 404]})"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """What the runner sets for its kernel must not reach other tests."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def notebook(tmp_path):
    def write(*cells):
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_markdown_cell("# Title"), *map(nbformat.v4.new_code_cell, cells)]
        )
        path = tmp_path / "tutorial.ipynb"
        nbformat.write(made, path)
        return path

    return write


def test_prints_progress_and_the_last_table(notebook, capsys):
    path = notebook(TABLE, "# in the notebook's folder\nopen('tutorial.ipynb').close()", "")
    before = path.read_bytes()
    assert run.main([str(path)]) == 0
    shown = capsys.readouterr().out
    assert "cell  2 of 3" in shown
    assert shown.endswith("   host    status\n0  a.test  200\n1  b.test  404\n")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_failing_cell_is_shown_with_its_source(notebook, capsys):
    path = notebook("cups = 0", "print('so far')\n1 / cups", "print('never')")
    assert run.main([str(path)]) == 1
    shown = capsys.readouterr()
    assert "    1 / cups\n" in shown.err
    assert "so far" in shown.err
    assert "ZeroDivisionError: division by zero" in shown.err
    assert "\x1b" not in shown.err
    assert "never" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("cell", "error", "timeout"),
    [
        ("import threading; threading.Event().wait()", "CellTimeoutError", 1),
        ("import os; os._exit(3)", "DeadKernelError", 300),
    ],
)
def test_cell_that_never_ends_well(notebook, capfd, cell, error, timeout):
    path = notebook(cell)
    assert run.main([str(path), "--timeout", str(timeout)]) == 1
    shown = capfd.readouterr().err
    assert f"    {cell}" in shown
    assert error in shown


def test_no_table_and_no_notebook(notebook, capsys, tmp_path):
    assert run.main([str(notebook("1 + 1"))]) == 0
    assert "no table" in capsys.readouterr().out
    assert run.main([str(tmp_path / "missing.ipynb")]) == 1
    (tmp_path / "broken.ipynb").write_text("{")
    assert run.main([str(tmp_path / "broken.ipynb")]) == 1
    assert "broken.ipynb" in capsys.readouterr().err


def test_table_rows():
    html = """<style>td { color: red }</style><table><thead><tr><th></th><th>url</th></tr></thead>
    <tbody><tr><th>1</th><td>a &amp; <b>b</b>\n c</td></tr><tr></tr></tbody></table><p>after</p>"""
    assert run.table_rows(html) == [["", "url"], ["1", "a & b\n c"]]
    assert run.table_rows("<p>none</p>") == []


def test_aligned():
    assert run.aligned([["", "url"], ["10", "x" * 50], ["2"]]) == (
        "    url\n10  " + "x" * 39 + "…\n2"
    )
