"""A notebook's code without a notebook: cells are texts that are compiled under names of cells."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nbproxy.capture.stacks import Busy

if TYPE_CHECKING:
    from contextvars import Context

_NAME = re.compile(r"<cell (\d+)>")


class Cells:
    """Runs cells, and knows their code: a `Code`."""

    def __init__(self, **names: Any) -> None:
        self.names = {"__name__": "__main__", "run": self.run, **names}
        self._running: ContextVar[int | None] = ContextVar("running", default=None)
        self._busy: list[Busy] = []
        self._count = 0

    def number(self, file: str) -> int | None:
        found = _NAME.fullmatch(file)
        return int(found[1]) if found else None

    def running(self, context: Context | None = None) -> int | None:
        return self._running.get() if context is None else context.get(self._running)

    def busy(self) -> Busy | None:
        return self._busy[-1] if self._busy else None

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> int:
        self._count += 1
        self._busy.append(Busy(self._count, threading.get_ident(), loop))
        return self._count

    def run(self, text: str) -> None:
        """Run a cell to its end."""
        number = self._begin(None)
        token = self._running.set(number)
        try:
            exec(compile(text, f"<cell {number}>", "exec"), self.names)
        finally:
            self._running.reset(token)
            self._busy.pop()

    async def arun(self, text: str) -> None:
        """Run a cell that may await."""
        number = self._begin(asyncio.get_running_loop())
        code = compile(text, f"<cell {number}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def cell() -> None:
            self._running.set(number)
            result = eval(code, self.names)
            if inspect.iscoroutine(result):
                await result

        try:
            await asyncio.create_task(cell())
        finally:
            self._busy.pop()
