"""Which cell code belongs to, and how failures look: in a shell of this process."""

import contextvars
import threading

import pytest

from nbproxy.handlers import reports
from nbproxy.handlers.registry import Registry
from nbproxy.notebook.cells import NotebookCells, NotebookReporter


class Info:
    cell_id = "cell-a"


@pytest.fixture
def cells(shell):
    return NotebookCells(shell)


def test_outside_of_cells_there_is_none(cells):
    assert cells.current_cell() is None
    assert cells.key is None


def test_a_cell_has_the_notebooks_id_and_a_label(cells, shell):
    cells.begin(Info())
    cell = cells.current_cell()
    assert cell.key == cells.key == "cell-a"
    assert cell.label == f"In [{shell.execution_count}]"
    cells.end()
    assert cells.current_cell() is None


def test_without_an_id_there_is_no_key(cells):
    cells.begin()
    assert cells.current_cell().key is None
    assert cells.current_cell().label.startswith("In [")
    cells.end()


def test_the_id_may_come_from_the_message(cells, shell, monkeypatch):
    parent = {"metadata": {"cellId": "from-message"}}
    monkeypatch.setattr(shell, "get_parent", lambda: parent, raising=False)
    cells.begin()
    assert cells.key == "from-message"
    cells.end()


def test_a_cell_inside_a_cell_is_the_same_one(cells):
    assert cells.begin(Info())
    assert not cells.begin(Info())
    assert not cells.end()
    assert cells.key == "cell-a"
    assert cells.end()
    assert cells.current_cell() is None


def test_a_cell_that_was_never_ended_does_not_hide_the_next(cells, shell):
    cells.begin(Info())
    shell.execution_count += 1
    assert cells.begin()
    assert cells.key is None
    assert cells.end()


def test_cells_in_two_threads_do_not_mix(cells):
    seen = []

    def subshell():
        cells.begin()
        seen.append(cells.key)

    cells.begin(Info())
    thread = threading.Thread(target=subshell)
    thread.start()
    thread.join()
    assert seen == [None]
    assert cells.key == "cell-a"
    cells.end()


def test_the_context_is_the_one_of_registration(cells):
    variable = contextvars.ContextVar("variable", default="nothing")
    cells.begin(Info())
    variable.set("here")
    context = cells.current_cell().context
    variable.set("later")
    assert context.run(variable.get) == "here"
    cells.end()


@pytest.fixture
def failing(shell):
    """Runs a cell that defines `handle`; calls it through a registry; what is reported."""

    def run(code, capsys):
        shell.run(code)
        registry = Registry(reporter=NotebookReporter(shell))
        registry.on("running")(shell.user_ns["handle"])
        registry.fire("running")
        return capsys.readouterr().err

    return run


def test_a_failure_is_shown_with_the_cells_lines(failing, capsys):
    shown = failing("def handle():\n    wrong = 1\n    return wrong / 0\n", capsys)
    assert "nbproxy: handle (running" in shown
    assert "traffic goes on" in shown
    assert "ZeroDivisionError" in shown
    assert "wrong" in shown
    assert "calling.py" not in shown, "our own frames are cut"


def test_control_characters_of_a_message_are_shown_not_sent(failing, capsys):
    shown = failing("def handle():\n    raise ValueError('\\x1b]0;owned\\x07 \\u202e')\n", capsys)
    assert "\x1b]" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
    assert r"\x1b]0;owned" in shown


def test_an_endless_message_is_cut(failing, capsys):
    shown = failing("def handle():\n    raise ValueError('x' * 1_000_000)\n", capsys)
    assert len(shown) < 60_000


def test_where_ipython_cannot_draw_the_plain_traceback_is_shown(
    failing, shell, capsys, monkeypatch
):
    def refuse(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(shell.InteractiveTB, "structured_traceback", refuse)
    shown = failing("def handle():\n    return 1 / 0\n", capsys)
    assert "ZeroDivisionError" in shown
    assert "Traceback" in shown


def test_hints_are_one_line(shell, capsys):
    registry = Registry(reporter=NotebookReporter(shell))

    def handle():
        return 1

    registry.on("running")(handle)
    registry.fire("running")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "handle (running" in err
    assert reports.describe(next(iter(registry))) in err
