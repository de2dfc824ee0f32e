"""`%%capture_http`, and what the notebook knows of the code that asks.

A cell that begins with `%%capture_http` is run as it stands, with `await`, `!` and a last value as
always: its first line becomes a line magic, which opens a capture, and the end of the cell closes
it, also that of a cell that fails or is interrupted. A cell magic would have to run the rest
itself, which cannot `await`, and shows its own frames in tracebacks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextvars
import re
import shlex
import threading
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import cell_magic as transform_cell_magic
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from nbproxy.browser import KINDS, browser
from nbproxy.browser import close_all as close_browsers
from nbproxy.capture.block import Capture
from nbproxy.capture.stacks import Busy
from nbproxy.capture.watch import WATCH
from nbproxy.errors import NbproxyError
from nbproxy.notebook import magics
from nbproxy.notebook.magics import Argument, Verb, add_verb
from nbproxy.why import why

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

    from nbproxy.browser import Browser
    from nbproxy.notebook.cells import NotebookCells
    from nbproxy.notebook.state import Session

MAGIC = "capture_http"

_FIRST_LINE = re.compile(rf"%%{MAGIC}(?P<arguments>(?:[ \t][^\n]*)?)\n?")


@dataclass(slots=True, eq=False)
class _Opened:
    """A capture that ends with its cell.

    Attributes:
        capture: The capture.
        quiet: Whether its table is not wanted.
        context: That of the cell, where the table belongs.
    """

    capture: Capture
    quiet: bool
    context: contextvars.Context


@dataclass(slots=True, eq=False)
class _Run:
    """A cell that is being run, or a part of one that a magic runs as a cell.

    Attributes:
        info: How IPython knows it; None for the cell that loads us.
        busy: Its number and where it runs; None if it has no number.
        outer: The cell in which it is run.
        opened: What ends with it.
    """

    info: ExecutionInfo | None
    busy: Busy | None
    outer: _Run | None
    opened: list[_Opened] = field(default_factory=list)


class NotebookCode:
    """Knows the code of a notebook's cells, and which of them is being run: a `Code`.

    Args:
        shell: The notebook's.
        cells: Knows the cell on whose behalf code runs.
    """

    def __init__(self, shell: InteractiveShell, cells: NotebookCells) -> None:
        self._name_of: Callable[[str], Any] | None = getattr(
            shell.compile, "format_code_name", None
        )
        self._cells = cells
        self._lock = threading.Lock()
        self._runs: list[_Run] = []
        self._run: ContextVar[_Run | None] = ContextVar("run", default=None)

    # -- as the tracer asks

    def number(self, file: str) -> int | None:
        """The number of the cell whose code has this file name, None for other code."""
        name = self._name_of(file) if self._name_of is not None else None
        return None if name is None else _number(name[1])

    def running(self, context: contextvars.Context | None = None) -> int | None:
        """The cell on whose behalf code runs: the calling code, or that with this context."""
        try:
            cell = (
                self._cells.current_cell()
                if context is None
                else context.run(self._cells.current_cell)
            )
        except RuntimeError:  # somebody is in that context
            return None
        return None if cell is None else _number(cell.label)

    def busy(self) -> Busy | None:
        """The cell that was begun last of those that are being run."""
        runs = self._runs
        return next((run.busy for run in reversed(runs) if run.busy is not None), None)

    # -- as IPython tells

    def begin(self, info: ExecutionInfo | None = None) -> None:
        """A cell begins to run here, in this thread and context."""
        number = self.running()
        busy = None
        if number is not None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                loop = None
            busy = Busy(number, threading.get_ident(), loop)
        run = _Run(info, busy, self._current())
        with self._lock:
            self._runs.append(run)
        self._run.set(run)

    def end(self, info: ExecutionInfo | None) -> list[_Opened]:
        """A cell is over, the last of this thread if it is not said which; what ends with it."""
        here = threading.get_ident()
        with self._lock:
            for run in reversed(self._runs):
                is_last = run.busy is not None and run.busy.thread == here
                if run.info is info or run.info is None or (info is None and is_last):
                    self._runs.remove(run)
                    return run.opened
        return []

    def _current(self) -> _Run | None:
        run = self._run.get()
        while run is not None and run not in self._runs:  # over; ended in another context
            run = run.outer
        return run

    def end_with_cell(self, opened: _Opened) -> None:
        """Note what is to end with the cell on whose behalf the calling code runs.

        Raises:
            UsageError: There is none.
        """
        run = self._current()
        if run is None:
            raise UsageError(f"%{MAGIC}: this works only in a cell; or: with nbproxy.capture():")
        run.opened.append(opened)

    def take_all(self) -> list[_Opened]:
        """All that was to end with any cell."""
        with self._lock:
            found = [each for run in self._runs for each in run.opened]
            for run in self._runs:
                run.opened.clear()
        return found


def _number(label: str) -> int | None:
    """Of "In [4]", as of "In[4]", 4."""
    found = re.search(r"\d+", label)
    return int(found[0]) if found is not None else None


def transform(lines: list[str]) -> list[str]:
    """Make a first line `%%capture_http` a line magic; the lines below keep their numbers."""
    found = _FIRST_LINE.fullmatch(lines[0]) if lines else None
    if found is None or found["arguments"].endswith("?"):
        return lines
    rest: list[str] = transform_cell_magic(lines[1:])  # type: ignore[no-untyped-call]
    return [f"%{MAGIC}{found['arguments'].rstrip()}\n", *rest]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are UsageErrors of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; %%{MAGIC}? tells more")


def _parser() -> _Parser:
    parser = _Parser(prog=f"%%{MAGIC}", add_help=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--no-proxy")
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


@magics_class
class CaptureMagics(Magics):
    """The magic."""

    def __init__(self, shell: InteractiveShell, session: Session, code: NotebookCode) -> None:
        super().__init__(shell)
        self._session = session
        self._code = code

    @no_var_expand
    @line_cell_magic
    def capture_http(self, line: str, cell: str | None = None) -> None:
        """Send what this cell asks for through the proxy, and show it under the cell.

            %%capture_http [NAME] [--no-proxy HOSTS] [-q]

        Requests of Python's libraries, of subprocesses and of ! commands; with nothing to set up,
        and everything as before when the cell is over. NAME becomes the capture, which has
        .flows and .df. HOSTS, with commas between, are left alone: by default those of the
        variable no_proxy, but for those that stand for this machine. -q shows no table.
        As a line, %capture_http, it is for the rest of the cell.
        """
        opened = self._open(line)
        if cell is None:
            return
        try:  # another magic has called us: what is left to run is not the cell itself
            self._session.shell.run_cell(cell)  # type: ignore[no-untyped-call]
        finally:
            self.close(opened)

    def _open(self, line: str) -> _Opened:
        try:
            arguments = _parser().parse_args(shlex.split(line))
            capture = self._session.start().capture(no_proxy=arguments.no_proxy)
            capture.is_whole_cell = True
            capture.open()
        except (NbproxyError, ValueError, OSError) as error:
            raise UsageError(f"%%{MAGIC}: {error}") from None
        opened = _Opened(capture, arguments.quiet, copy_context())
        try:
            self._code.end_with_cell(opened)
            self._give_name(arguments.name, capture)
        except UsageError:
            capture.close()
            raise
        return opened

    def _give_name(self, name: str | None, capture: Capture) -> None:
        if name is not None and not name.isidentifier():
            raise UsageError(f"%%{MAGIC}: {name!r} is no name for a variable")
        if name is not None:
            self._session.shell.user_ns[name] = capture

    def close(self, opened: _Opened) -> None:
        """End a capture, and show what it has."""
        if not opened.capture.is_open:
            return
        opened.capture.close()
        if not opened.quiet:
            opened.context.run(self._show, opened.capture)

    def _show(self, capture: Capture) -> None:
        if capture.flows:
            self._session.show_flows(capture.flows)
        else:
            print("nbproxy: no request came; nbproxy.why(url) says why")  # noqa: T201 - in place of the table


# the verbs


def _browser(session: Session, arguments: argparse.Namespace) -> Browser:
    proxy = session.start()
    url = arguments.url or "about:blank"
    return browser(url, name=arguments.name, headless=arguments.headless, proxy=proxy)


def _why(session: Session, arguments: argparse.Namespace) -> None:
    session.show(why(arguments.url, proxy=session.need_proxy()))


for _verb in (
    Verb(
        "browser",
        "open a browser that goes through the proxy and trusts its CA",
        _browser,
        (
            Argument("url", "the first page", "URL"),
            Argument("--name", "which one", choices=tuple(kind.name for kind in KINDS)),
            Argument("--headless", "without a window", flag=True),
        ),
        "Its profile is its own, and gone when it is closed: b = %nbproxy browser URL; b.close()",
    ),
    Verb(
        "why",
        "say why a request is not among the flows",
        _why,
        (Argument("url", "what was asked for", "URL", optional=False),),
    ),
):
    add_verb(_verb)

magics.NbproxyMagics.nbproxy.__doc__ = magics.overview()


def attach(session: Session, cells: NotebookCells, undo: ExitStack) -> None:
    """Make the magic and the columns `cell`, `line`, `function` work; undone by the stack."""
    shell = session.shell
    code = NotebookCode(shell, cells)
    ours = CaptureMagics(shell, session, code)

    def end(result: ExecutionResult | None) -> None:
        for opened in reversed(code.end(result.info if result is not None else None)):
            ours.close(opened)

    def close_all() -> None:
        for opened in reversed(code.take_all()):
            opened.capture.close()

    undo.callback(setattr, WATCH, "code", WATCH.code)
    WATCH.code = code
    session.need_proxy().origins  # noqa: B018 - from now on origins are noted
    for event, hook in (("pre_run_cell", code.begin), ("post_run_cell", end)):
        shell.events.register(event, hook)
        undo.callback(shell.events.unregister, event, hook)
    code.begin()  # the cell that loads us
    undo.callback(close_all)
    undo.callback(close_browsers)

    transforms = shell.input_transformer_manager.cleanup_transforms
    transforms.append(transform)
    undo.callback(transforms.remove, transform)
    manager = shell.magics_manager
    shell.register_magics(ours)
    undo.callback(manager.registry.pop, CaptureMagics.__name__, None)
    for kind in ("line", "cell"):
        undo.callback(manager.magics[kind].pop, MAGIC, None)
    _show_captures(session, undo)


def _show_captures(session: Session, undo: ExitStack) -> None:
    """A capture looks like its flows."""
    display = session.shell.display_formatter
    if display is None or getattr(session.shell, "kernel", None) is None:
        return
    formatter = display.ipython_display_formatter
    formatter.for_type(Capture, lambda capture: session.show_flows(capture.flows))
    undo.callback(formatter.pop, Capture, None)
