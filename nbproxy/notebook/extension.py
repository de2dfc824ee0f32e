"""`%load_ext nbproxy` and its undoing.

Loading starts the notebook's proxy (or takes it as it is, if somebody has started it), shows where
it listens, and wires it to the shell. Each step puts what undoes it on one stack, so unloading,
and a loading that fails half way, leave the shell as it was.

This must take less than half a second, imports included: no pandas and no widgets here.
"""

from __future__ import annotations

import atexit
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from traitlets import TraitError

from nbproxy.errors import NbproxyError
from nbproxy.handlers.guard import InterruptGuard
from nbproxy.notebook import (
    capture,
    card,
    files,
    intercepting,
    magics,
    mounted,
    pictures,
    scripts,
    state,
    tables,
)
from nbproxy.notebook.cells import NotebookCells, NotebookReporter
from nbproxy.notebook.completion import make_matcher
from nbproxy.notebook.live import LiveTables
from nbproxy.notebook.state import Session
from nbproxy.notebook.widgets import verb as inspecting
from nbproxy.proxy import Proxy, set_default_runner
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell

NAME = "nbproxy"
"""What the user calls it: the package, the magic, the name in the namespace."""


def load(shell: InteractiveShell) -> None:
    """Start the notebook's proxy and wire it to the shell; once loaded, just say so.

    Raises:
        UsageError: The port, the CA, or an option in `c.NbProxy` cannot be used.
    """
    if state.session is not None:
        print(card.line(state.session.status()))  # noqa: T201 - one line, no second card
        return
    try:
        with ExitStack() as undo:
            session = Session(shell)
            undo.callback(setattr, state, "session", None)
            state.session = session
            _attach(session, undo)
            session.undo = undo.pop_all()
    except (NbproxyError, TraitError, OSError) as error:
        raise UsageError(f"nbproxy: {error}") from error
    session.publish(card.bundle(session.status()))


def unload(shell: InteractiveShell) -> None:  # noqa: ARG001 - the extension protocol's argument
    """Stop the proxy and leave the shell as it was; flows and handlers stay with the proxy."""
    session = state.session
    if session is not None:
        session.undo.close()


def _attach(session: Session, undo: ExitStack) -> None:
    shell = session.shell
    _add(shell.configurables, session.config, undo)
    cells = NotebookCells(shell)
    live = LiveTables(shell, lambda: cells.key)
    session.show_flows = live.show
    session.follow = live.follow
    undo.callback(live.close)  # after the proxy's end, which may change flows
    undo.callback(inspecting.close_all)
    set_default_runner(session.new_runner)
    undo.callback(set_default_runner, None)
    atexit.register(session.close)
    undo.callback(atexit.unregister, session.close)
    undo.callback(session.stop)
    proxy = session.start()
    _attach_handlers(proxy, shell, cells, undo)
    _attach_events(session, cells, live, undo)
    capture.attach(session, cells, undo)
    _attach_formatters(session, undo)
    _attach_magic(session, undo)
    _attach_kernel(session, live, undo)
    _attach_name(shell, undo)


def _attach_handlers(
    proxy: Proxy, shell: InteractiveShell, cells: NotebookCells, undo: ExitStack
) -> None:
    registry = proxy.handlers
    for name, value in (
        ("cells", cells),
        ("reporter", NotebookReporter(shell)),
        ("guard", InterruptGuard()),
    ):
        undo.callback(setattr, registry, name, getattr(registry, name))
        setattr(registry, name, value)


def _attach_events(
    session: Session, cells: NotebookCells, live: LiveTables, undo: ExitStack
) -> None:
    """Tell handlers and tables which cell runs. The hooks run in the thread of the cell."""
    events, registry = session.shell.events, session.need_proxy().handlers

    def begin(info: ExecutionInfo | None = None) -> None:
        if cells.begin(info):
            registry.begin_cell(cells.key)
            live.begin_cell(cells.key)

    def end(result: ExecutionResult) -> None:
        key = cells.key
        if cells.end():
            registry.end_cell(key, ok=bool(result.success))

    for event, hook in (("pre_run_cell", begin), ("post_run_cell", end)):
        events.register(event, hook)
        undo.callback(events.unregister, event, hook)
    begin()  # the cell that loads us


def _attach_formatters(session: Session, undo: ExitStack) -> None:
    """A live table for flows, the card for proxies, and how single flows and messages look."""
    tables.register(session.shell)
    undo.callback(tables.unregister, session.shell)
    pictures.register(session.shell)
    undo.callback(pictures.unregister, session.shell)
    display = session.shell.display_formatter
    if display is None or getattr(session.shell, "kernel", None) is None:
        return  # a terminal: one line of text is right

    def show_card(proxy: Proxy) -> None:
        session.publish(card.bundle(session.status(proxy)))

    formatter = display.ipython_display_formatter
    for kind, show in ((Flows, session.show_flows), (Proxy, show_card)):
        formatter.for_type(kind, show)
        undo.callback(formatter.pop, kind, None)


def _attach_magic(session: Session, undo: ExitStack) -> None:
    shell, manager = session.shell, session.shell.magics_manager
    files.add_verbs()
    intercepting.add_verbs()
    inspecting.add_verbs()
    shell.register_magics(magics.NbproxyMagics(shell, session))
    undo.callback(manager.registry.pop, magics.NbproxyMagics.__name__, None)
    undo.callback(manager.magics["line"].pop, NAME, None)
    scripts.attach(session, undo)
    if shell.Completer is not None:

        def is_ours(name: str) -> bool:
            return shell.user_ns.get(name) is sys.modules[NAME] or isinstance(
                shell.user_ns.get(name), Proxy
            )

        matcher = make_matcher(lambda line: magics.complete(session, line), is_ours)
        _add(shell.Completer.custom_matchers, matcher, undo)


def _attach_kernel(session: Session, live: LiveTables, undo: ExitStack) -> None:
    """Stop accepting as soon as the kernel is told to go; let interrupts wake its loop."""
    kernel: Any = getattr(session.shell, "kernel", None)
    if kernel is None:
        return
    original = kernel.do_shutdown

    def do_shutdown(restart: bool) -> Any:
        """End the proxy first. In the control thread, while the main loop still runs."""
        session.close()
        live.close()
        inspecting.close_all()
        return original(restart)

    kernel.do_shutdown = do_shutdown

    def restore() -> None:
        if vars(kernel).get("do_shutdown") is do_shutdown:
            del kernel.do_shutdown  # uncovers the method

    undo.callback(restore)
    host = state.host_loop(session.shell)
    if host is not None:
        undo.callback(mounted.wake_on_signals(host))


def _attach_name(shell: InteractiveShell, undo: ExitStack) -> None:
    package = sys.modules[NAME]
    shell.user_ns[NAME] = package

    def remove() -> None:
        if shell.user_ns.get(NAME) is package:
            del shell.user_ns[NAME]

    undo.callback(remove)


def _add(items: list[Any], item: Any, undo: ExitStack) -> None:
    """Append, and remove that very object later."""
    items.append(item)

    def remove() -> None:
        with suppress(StopIteration):
            del items[next(i for i, each in enumerate(items) if each is item)]

    undo.callback(remove)
