"""From frames to the cell, the line and the function."""

import asyncio
import sys
import threading

import pytest

from nbproxy.capture import stacks
from nbproxy.capture.stacks import Site
from tests.capture.cells import Cells


@pytest.fixture
def cells():
    """Cells in which `here()` notes where it is called."""
    found = []
    cells = Cells(found=found)

    def here(running=True):
        frames = stacks.stack(sys._getframe(1))
        found.append(stacks.site_of(frames, cells, cells.running() if running else None))

    cells.names["here"] = here
    cells.found = found
    return cells


def test_a_line_of_the_cell(cells):
    cells.run("here()\n\nhere()")
    assert cells.found == [Site(1, 1), Site(1, 3)]


def test_a_function_of_the_same_cell(cells):
    cells.run("def get():\n    here()\n\nget()")
    assert cells.found == [Site(1, 2, "get")]


def test_a_function_of_another_cell(cells):
    cells.run("def get():\n    here()")
    cells.run("x = 1\nget()")
    assert cells.found == [Site(2, 2, "get")]


def test_what_runs_without_a_context_is_the_outermost_cells(cells):
    cells.run("def get():\n    here(running=False)")
    cells.run("\nget()")
    assert cells.found == [Site(2, 2, "get")]


def test_names_of_functions(cells):
    cells.run(
        "class Api:\n"
        "    def get(self):\n"
        "        def inner():\n"
        "            return [here() for _ in (1,)]\n"
        "        inner()\n"
        "Api().get()\n"
        "[here() for _ in (1,)]\n"
        "(lambda: here())()"
    )
    names = [site.function for site in cells.found]
    assert names == ["Api.get.<locals>.inner", None, "<lambda>"]


def test_a_text_that_a_magic_runs_counts_from_the_magics_line(cells):
    cells.names["timed"] = lambda text: exec(compile(text, "<timed exec>", "exec"), cells.names)
    cells.run("x = 1\ntimed('y = 2\\nhere()')\nhere()")
    cells.run("run('here()\\nhere()')")  # a cell inside a cell has a number of its own
    assert cells.found == [Site(1, 4), Site(1, 3), Site(3, 1), Site(3, 2)]


def test_a_nested_cell_counts_in_the_outer_one_if_that_is_said(cells):
    def nested(text):
        exec(compile(text, "<cell 99>", "exec"), cells.names)

    cells.names["nested"] = nested
    cells.run("\nnested('x = 1\\nhere()')")
    assert cells.found == [Site(1, 4)]


def test_other_code_has_no_site(cells):
    assert stacks.site_of(stacks.stack(sys._getframe()), cells) is None
    assert stacks.site_of([], cells, 7) == Site(7)
    assert not stacks.is_cell(stacks.stack(sys._getframe()), cells)


def test_deep_recursion_is_cut(cells):
    cells.run("def down(n):\n    return down(n - 1) if n else here()\ndown(600)")
    assert cells.found == [Site(1, 2, "down")]


# tasks


async def test_chains_of_coroutines(cells):
    reached = asyncio.Event()
    go_on = asyncio.Event()
    cells.names.update(reached=reached, go_on=go_on)
    await cells.arun(
        "import asyncio\n"
        "async def inner():\n"
        "    reached.set()\n"
        "    await go_on.wait()\n"
        "async def outer():\n"
        "    await inner()\n"
        "task = asyncio.create_task(outer())\n"
        "await reached.wait()\n"
    )
    frames = stacks.chain(cells.names["task"].get_coro())
    assert [frame.f_code.co_name for frame in frames][:2] == ["outer", "inner"]
    assert stacks.site_of(frames, cells, 1) == Site(1, 4, "inner")
    go_on.set()
    await cells.names["task"]
    assert stacks.chain(cells.names["task"].get_coro()) == []


async def test_the_line_a_cell_has_come_to(cells):
    reached, go_on = asyncio.Event(), asyncio.Event()
    cells.names.update(reached=reached, go_on=go_on)
    running = asyncio.create_task(cells.arun("reached.set()\nawait go_on.wait()\n"))
    await reached.wait()
    assert stacks.line_now(1, cells) == 2
    assert stacks.line_now(2, cells) is None
    go_on.set()
    await running
    assert stacks.line_now(1, cells) is None


def test_the_line_of_a_cell_that_blocks(cells):
    at_work, go_on = threading.Event(), threading.Event()
    cells.names.update(at_work=at_work, go_on=go_on)
    thread = threading.Thread(target=cells.run, args=("at_work.set()\n\ngo_on.wait()",))
    thread.start()
    at_work.wait()
    while (line := stacks.line_now(1, cells)) == 1:
        pass
    go_on.set()
    thread.join()
    assert line == 3


async def test_many_tasks_are_not_looked_through():
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(100)]
    assert list(stacks.tasks(asyncio.get_running_loop())) == []
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(list(stacks.tasks(asyncio.get_running_loop()))) >= 1
    assert list(stacks.tasks(None)) == []
