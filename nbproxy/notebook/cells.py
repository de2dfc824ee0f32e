"""Which cell is being run, and how its handlers' failures are shown under it.

Where an output lands is decided by the context it is made in. ipykernel 7 keeps the "parent" of
all outputs in context variables, so whatever a handler does in its copy of the defining cell's
context, `print` or `display`, lands under that cell. ipykernel 6 does so for `print` alone: there
`display` in a handler goes to the cell that ran last. Failures are therefore printed, to standard
error, and not sent as "error" messages.

Runs without a front end (nbclient, papermill, `nbconvert --execute`) keep only what comes while its
own cell is running; what a handler prints later is lost there, on every ipykernel.
"""

from __future__ import annotations

import contextlib
import re
import sys
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nbproxy.handlers.cells import Cell
from nbproxy.handlers.reports import StderrReporter, headline
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, InteractiveShell

    from nbproxy.handlers.handler import Handler

_SHOWN = 20_000  # characters of a traceback
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a cell.

    Attributes:
        key: The notebook's id of the cell, None if it has none.
        label: "In [4]".
        request: What asked for it: the id of the message, or the number where there is none.
        depth: How many runs are under way inside one another: `%%capture` runs its cell as one.
    """

    key: str | None
    label: str
    request: object
    depth: int = 1


class NotebookCells:
    """Knows the cell on whose behalf code runs: a `CellSource`.

    The cell is kept in a context variable, so that it is right in subshells, which run cells in
    threads of their own at the same time, and in whatever a cell leaves running.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._run: ContextVar[_Run | None] = ContextVar("run", default=None)

    def begin(self, info: ExecutionInfo | None = None) -> bool:
        """A cell begins to run here, in this thread and context; None: it runs already.

        Returns:
            Whether it is the outermost, not part of one that is being run.
        """
        # What the cell will be in `In`; IPython 9 counts `execution_count` up before the cell, and
        # 8 after it.
        number = len(self._shell.user_ns["In"])
        message = self._message()
        if info is None and _is_stored(message):
            number = max(1, number - 1)  # it is in `In` already
        request = message.get("header", {}).get("msg_id") or self._shell.execution_count
        outer = self._run.get()
        if outer is not None and outer.request == request:
            self._run.set(replace(outer, depth=outer.depth + 1))
            return False
        key = getattr(info, "cell_id", None) or message.get("metadata", {}).get("cellId")
        self._run.set(_Run(key if isinstance(key, str) else None, f"In [{number}]", request))
        return True

    def end(self) -> bool:
        """What began last is done; returns whether it was the outermost."""
        run = self._run.get()
        if run is not None and run.depth > 1:
            self._run.set(replace(run, depth=run.depth - 1))
            return False
        self._run.set(None)
        return True

    def current_cell(self) -> Cell | None:
        """The cell on whose behalf the calling code runs; None outside of cells."""
        run = self._run.get()
        return None if run is None else Cell(run.key, run.label, copy_context())

    @property
    def key(self) -> str | None:
        """The notebook's id of the current cell, if there is one and it has one."""
        run = self._run.get()
        return None if run is None else run.key

    def _message(self) -> dict[str, Any]:
        """The message that asked for what runs now; empty in a terminal."""
        get_parent = getattr(self._shell, "get_parent", None)  # kernels have it
        return (get_parent() if get_parent is not None else None) or {}


def _is_stored(message: dict[str, Any]) -> bool:
    """Whether the cell that a message asked for is in `In` while it runs."""
    content = message.get("content", {})
    return bool(content.get("store_history", True)) and not content.get("silent", False)


class NotebookReporter(StderrReporter):
    """Shows failures as IPython does, with the cell's own lines, cut to the user's frames."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def error(self, handler: Handler, exc: BaseException, flow: Any) -> None:
        """Print a line of introduction and the traceback, in colour where the shell has colours."""
        lines: list[str] = []
        with contextlib.suppress(Exception):  # it draws other people's objects and source
            lines = self._shell.InteractiveTB.structured_traceback(
                type(exc), exc, exc.__traceback__, tb_offset=0
            )
        if lines:
            text = _safe("\n".join(lines))
            print(f"{headline(handler, exc, flow)}\n{text}", file=sys.stderr)  # noqa: T201 - this is the output
        else:
            super().error(handler, exc, flow)


def _safe(text: str) -> str:
    """Text with its colours, but no other control sequence: a message may quote the wire."""
    parts = _COLOUR.split(text[:_SHOWN])
    shown = [
        part if index % 2 else visible(part, _SHOWN, multiline=True)
        for index, part in enumerate(parts)
    ]
    return "".join(shown) + (f"{_PLAIN}…" if len(text) > _SHOWN else "")
