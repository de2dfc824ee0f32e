"""A flow, a registry that notes what it reports, and a notebook in miniature."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
from typing import Any

import pytest

from nbproxy.handlers.cells import Cell
from nbproxy.handlers.registry import Registry
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request

CELL: contextvars.ContextVar[str] = contextvars.ContextVar("CELL", default="no cell")


class Notes:
    """A reporter that keeps what it is told, and under which cell."""

    def __init__(self):
        self.errors = []
        self.hints = []

    def error(self, handler, exc, flow):
        self.errors.append((handler, exc, flow, CELL.get()))

    def hint(self, handler, text):
        self.hints.append((handler, text, CELL.get()))


class Control:
    """The engine's side of a live flow."""

    def __init__(self):
        self.done = []

    def resume(self):
        self.done.append("resume")

    def kill(self):
        self.done.append("kill")


class Notebook:
    """Runs texts as cells: each has a file of its own, a context of its own, and an id or none."""

    def __init__(self, registry):
        self.registry = registry
        self.namespace: dict[str, Any] = {"__name__": "__main__", "on": registry.on, "log": []}
        self.log = self.namespace["log"]
        self._counts = itertools.count(1)
        self._running: dict[int, Cell] = {}
        registry.cells = self

    def current_cell(self):
        return self._running.get(threading.get_ident())

    def run(self, text, key="cell-a"):
        label = f"In [{next(self._counts)}]"
        code = compile(text, f"cells/ipykernel_1/{abs(hash(text))}.py", "exec")
        contextvars.copy_context().run(self._run, code, Cell(key, label))

    def _run(self, code, cell):
        CELL.set(cell.label)
        self._running[threading.get_ident()] = cell
        self.registry.begin_cell(cell.key)
        ok = False
        try:
            exec(code, self.namespace)
            ok = True
        finally:
            del self._running[threading.get_ident()]
            self.registry.end_cell(cell.key, ok)


@pytest.fixture
def until():
    """Lets the loop run until a condition holds."""

    async def until(condition):
        async with asyncio.timeout(120):
            while not condition():  # noqa: ASYNC110 - handlers in threads are watched from outside
                await asyncio.sleep(0)

    return until


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def registry(notes):
    """Takes no handler for slow, however long the machine leaves it waiting."""
    registry = Registry(reporter=notes, hint_slow_s=0)
    yield registry
    registry.close()


@pytest.fixture
def flow():
    flow = HTTPFlow(Request.make("GET", "https://example.org/path"))
    flow._control = Control()
    return flow


@pytest.fixture
def notebook(registry):
    return Notebook(registry)
