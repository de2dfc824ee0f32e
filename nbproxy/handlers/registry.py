"""The registry: which handlers there are, and the engine's dispatcher over them.

Handlers run in the order of their numbers. Those of a hook are a tuple that is replaced, never
changed, so `fire` goes through a snapshot without a lock while a cell on another thread registers
or removes. Everything that changes the registry may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nbproxy import hooks
from nbproxy.filters import Filter, parse
from nbproxy.handlers import cells, concurrent, table
from nbproxy.handlers.calling import Caller
from nbproxy.handlers.handler import Handler, Kind, Source, check_function, is_async
from nbproxy.handlers.reports import StderrReporter

if TYPE_CHECKING:
    from collections.abc import (
        Awaitable,
        Callable,
        Container,
        Coroutine,
        Hashable,
        Iterable,
        Iterator,
    )
    from contextvars import Context

    from nbproxy.handlers.cells import CellSource
    from nbproxy.handlers.guard import Guard
    from nbproxy.handlers.reports import Reporter

F = TypeVar("F", bound="Callable[..., Any]")

_PACKAGE = Path(__file__).parents[1]
_ALL = object()


class Registry:
    """All handlers of one proxy.

    Attributes:
        active: The hooks that have a handler. The same object for ever, to be looked at.
        cells: Knows which cell is being run; None outside notebooks.
        schedule: Takes a coroutine and sees to it that the proxy's loop runs it; for `async`
            handlers of `done` that are removed. None: the loop of the caller, if there is one.
    """

    active: Container[str]

    def __init__(
        self,
        *,
        hint_slow_s: float = 0.1,
        concurrent_limit: int = 32,
        reporter: Reporter | None = None,
    ) -> None:
        """Start with no handlers.

        Args:
            hint_slow_s: A handler that holds all traffic up for longer gets one hint; 0: never.
            concurrent_limit: How many concurrent handlers run at once; more wait.
            reporter: Where failures and hints are shown; by default on standard error.
        """
        self._caller = Caller(reporter or StderrReporter(), hint_slow_s, concurrent_limit)
        self._handlers: dict[int, Handler] = {}
        self._by_hook: dict[str, tuple[Handler, ...]] = {}
        self._next_number = 1
        self._vacant: dict[Hashable, list[tuple[Filter | None, int]]] = {}
        self._runs: dict[str | None, object] = {}
        self._lock = threading.RLock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.active = self._by_hook
        self.cells: CellSource | None = None
        self.schedule: Callable[[Coroutine[Any, Any, None]], object] | None = None

    # -- for the engine

    def fire(self, hook: str, argument: Any = None) -> Awaitable[None] | None:
        """Run the handlers of a hook in order; never raises.

        A flow that a handler kills is given to no further ones.

        Args:
            hook: Our name of it.
            argument: What the handlers get: a flow, a connection, `TLSData`, or nothing.

        Returns:
            None if all is done already, else what must be awaited until it is.
        """
        handlers = self._by_hook.get(hook)
        return self._caller.run(handlers, argument) if handlers else None

    # -- registering

    def on(
        self,
        hook: str,
        filter: str | None = None,  # noqa: A002 - the public name
    ) -> Callable[[F], F]:
        """Register the function below for a hook: `@nbproxy.on("response", "~d example.org")`.

        Several may stand above one function. Running the cell again replaces what it registered.

        Args:
            hook: A hook's name, ours or mitmproxy's.
            filter: Which flows the handler is for; None for all.

        Returns:
            A decorator that gives the function back as it is.

        Raises:
            ValueError: There is no such hook, or a filter is given for one that is not about
                flows; `FilterError` if the filter does not parse.
            TypeError: The parentheses are missing; from the decorator: not a usable function.
        """
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        try:
            _check_name(hook)
            name = hooks.canonical(hook)
            condition = _condition(name, filter)
        except (ValueError, TypeError) as error:
            raise error.with_traceback(None) from None

        def register(function: F) -> F:
            __tracebackhide__ = True
            try:
                self._register(name, function, condition)
            except (ValueError, TypeError) as error:
                raise error.with_traceback(None) from None
            return function

        return register

    def add(
        self,
        hook: str,
        function: Callable[..., Any],
        *,
        filter: str | Filter | None = None,  # noqa: A002 - as in `on`
        source: Source,
        context: Context | None = None,
        concurrent: bool = False,
        first: bool = False,
    ) -> Handler:
        """Append a handler whatever else is registered; for addons and scripts.

        Args:
            hook: Any name of a hook.
            function: What to call.
            filter: Which flows it is for.
            source: Where it comes from; `remove` takes it.
            context: It runs in copies of it; by default the context of this call.
            concurrent: Run it in a thread, as if it were marked.
            first: Let it run before all that are registered now, instead of after them.

        Raises:
            ValueError: As `on`.
            TypeError: The function cannot be a handler.
        """
        name = hooks.canonical(hook)
        condition = _condition(name, filter)
        check_function(function, name)
        handler = self._new(name, function, condition, source, context, concurrent=concurrent)
        with self._lock:
            if first:
                handler.number = min(0, *self._handlers) - 1 if self._handlers else -1
            self._insert(handler)
        return handler

    def add_addon(
        self, addon: object, source: Source, *, context: Context | None = None
    ) -> list[Handler]:
        """Append the methods of an object (or functions of a module) that are named like hooks.

        Where it has a hook by two names, ours is taken. Classes that are named so are no handlers:
        a module may have imported `socket.error`.

        Raises:
            TypeError: One of them cannot be a handler; then none is registered.
        """
        found: list[tuple[str, Callable[..., Any]]] = []
        for hook in hooks.HOOKS.values():
            methods = (getattr(addon, name, None) for name in (hook.name, *hook.aliases))
            method = next((m for m in methods if callable(m) and not isinstance(m, type)), None)
            if method is not None:
                check_function(method, hook.name)
                found.append((hook.name, method))
        return [self.add(name, method, source=source, context=context) for name, method in found]

    # -- cells

    def begin_cell(self, key: str | None) -> None:
        """A cell is about to run; what it registers from now on belongs together.

        Args:
            key: Its `Cell.key`.
        """
        with self._lock:
            self._runs[key] = object()

    def end_cell(self, key: str | None, ok: bool) -> int:
        """A cell has run. What its former run registered and this one did not is removed.

        If it failed, that stays: the lines that would have renewed it may not have been reached.

        Returns:
            How many handlers were removed.
        """
        with self._lock:
            run = self._runs.pop(key, None)
            if run is None or key is None or not ok:
                return 0
            stale = [
                handler
                for handler in self._handlers.values()
                if handler.source.kind == "cell"
                and handler.source.key == key
                and handler.run is not run
            ]
            self._take_out(stale)
        return self._dismiss(stale)

    # -- removing

    def off(self, what: object = _ALL) -> int:
        """Remove handlers.

        Args:
            what: A function, a handler's number or the `Handler`; a hook's name or a function's
                name; or nothing, for all. Names, and nothing, mean handlers registered by `on`
                only, not those of addons and scripts.

        Returns:
            How many were removed.

        Raises:
            ValueError: Nothing here is called so; the message lists what is.
        """
        with self._lock:
            found = self._find(what)
            if not found and what is not _ALL:
                raise ValueError(f"there is no handler {what!r}; {self._listing()}")
            self._take_out(found)
        return self._dismiss(found)

    def remove(self, source: Source) -> int:
        """Remove all handlers of an addon or a script.

        Returns:
            How many there were.
        """
        with self._lock:
            found = [handler for handler in self._handlers.values() if handler.source == source]
            self._take_out(found)
        return self._dismiss(found)

    def close(self) -> None:
        """Let the threads of concurrent handlers go, without waiting for those that are busy.

        The handlers stay registered; the registry can be used again.
        """
        self._caller.threads.close()

    # -- settings

    @property
    def reporter(self) -> Reporter:
        """Where failures and hints are shown."""
        return self._caller.reporter

    @reporter.setter
    def reporter(self, value: Reporter) -> None:
        self._caller.reporter = value

    @property
    def notes_changes(self) -> bool:
        """Whether flows get notes of what handlers change: `nbproxy.handlers.noting`."""
        return self._caller.notes_changes

    @notes_changes.setter
    def notes_changes(self, value: bool) -> None:
        self._caller.notes_changes = value

    @property
    def guard(self) -> Guard | None:
        """Is told when handler code runs on the proxy's thread; None for nobody."""
        return self._caller.guard

    @guard.setter
    def guard(self, value: Guard | None) -> None:
        self._caller.guard = value

    @property
    def hint_slow_s(self) -> float:
        """A handler that holds all traffic up for longer gets one hint; 0 for never."""
        return self._caller.slow_s

    @hint_slow_s.setter
    def hint_slow_s(self, value: float) -> None:
        self._caller.slow_s = value

    # -- looking

    def __len__(self) -> int:
        return len(self._handlers)

    def __bool__(self) -> bool:
        return True  # a registry without handlers is still one

    def __iter__(self) -> Iterator[Handler]:
        with self._lock:
            handlers = list(self._handlers.values())
        return iter(sorted(handlers, key=_number))

    def rows(self) -> list[dict[str, Any]]:
        """The table, a dict for each handler: `number cell hook filter function kind calls
        total_ms mean_ms worst_ms errors last_error`.
        """  # noqa: D205 - the columns are the point
        return [table.row(handler) for handler in self]

    def __repr__(self) -> str:
        return table.text(self)

    def _repr_html_(self) -> str:
        return table.as_html(self)

    # -- inside

    def _register(self, hook: str, function: Callable[..., Any], condition: Filter | None) -> None:
        check_function(function, hook)
        cell = self.cells.current_cell() if self.cells is not None else None
        origin = cells.origin_of(function, cell)
        context = cell.context if cell is not None else None
        with self._lock:
            in_cell = origin.source.kind == "cell" and cell is not None
            run = self._runs.get(cell.key) if in_cell and cell is not None else None
            run = run if run is not None else origin.module_run
            for handler in self._by_hook.get(hook, ()):
                same = handler.function == function and handler.filter == condition
                if same and handler.key is not None:
                    handler.run = run  # registered again: it is not stale
                    return
            handler = self._new(hook, function, condition, origin.source, context)
            handler.key, handler.run = (hook, origin.key), run
            replaced = self._replace(handler)
            self._insert(handler)
        self._dismiss(replaced)

    def _new(
        self,
        hook: str,
        function: Callable[..., Any],
        condition: Filter | None,
        source: Source,
        context: Context | None,
        *,
        concurrent: bool = False,
    ) -> Handler:
        return Handler(
            0,  # given when it is inserted
            hook,
            function,
            filter=condition,
            source=source,
            context=context if context is not None else contextvars.copy_context(),
            kind=_kind(function, concurrent),
        )

    def _replace(self, new: Handler) -> list[Handler]:
        """Take out the handlers that a new one replaces, and give it one of their numbers.

        One function may be registered for the same hook with several filters; the numbers that
        the first of them leaves are kept for the others, as far as possible filter by filter.
        """
        old = [
            handler
            for handler in self._by_hook.get(new.hook, ())
            if handler.key == new.key and handler.run is not new.run
        ]
        if old:
            self._take_out(old)
            self._vacant[new.key] = [(handler.filter, handler.number) for handler in old]
        vacant = self._vacant.get(new.key)
        if vacant:
            same = (place for place in vacant if place[0] == new.filter)
            place = next(same, vacant[0])
            vacant.remove(place)
            new.number = place[1]
        else:
            self._vacant.pop(new.key, None)
        return old

    def _insert(self, handler: Handler) -> None:
        if not handler.number:
            handler.number = self._next_number
            self._next_number += 1
        concurrent.remember(handler)
        # the mark may have come between reading it and remembering
        handler.kind = _kind(handler.function, handler.kind == "concurrent")
        self._handlers[handler.number] = handler
        others = self._by_hook.get(handler.hook, ())
        self._by_hook[handler.hook] = tuple(sorted((*others, handler), key=_number))

    def _take_out(self, handlers: Iterable[Handler]) -> None:
        for handler in handlers:
            self._handlers.pop(handler.number, None)
            left = tuple(x for x in self._by_hook.get(handler.hook, ()) if x is not handler)
            if left:
                self._by_hook[handler.hook] = left
            else:
                self._by_hook.pop(handler.hook, None)

    def _dismiss(self, handlers: list[Handler]) -> int:
        """Call those of removed handlers that are for `done`; outside the lock, they may use us."""
        last_words = [handler for handler in handlers if handler.hook == "done"]
        if last_words:
            waiting = self._caller.run(last_words, None)
            if waiting is not None:
                self._run_somewhere(_await(waiting))
        return len(handlers)

    def _run_somewhere(self, coroutine: Coroutine[Any, Any, None]) -> None:
        if self.schedule is not None:
            self.schedule(coroutine)
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(coroutine)
        else:
            task = loop.create_task(coroutine)
            self._tasks.add(task)  # a loop keeps tasks by weak reference only
            task.add_done_callback(self._tasks.discard)

    def _find(self, what: object) -> list[Handler]:
        own = [h for h in self if h.source.kind in {"cell", "module"}]
        if what is _ALL:
            return own
        if isinstance(what, Handler):
            return [handler for handler in self if handler is what]
        if isinstance(what, int):
            return [handler for handler in self if handler.number == what]
        if isinstance(what, str):
            return _of_hook(own, what) or [h for h in own if what in _names(h)]
        return [handler for handler in self if handler.function == what]

    def _listing(self) -> str:
        shown = ", ".join(f"{h.number}: {h.name} ({h.hook})" for h in self)
        return f"there are {shown}" if shown else "there are none"


def _number(handler: Handler) -> int:
    return handler.number


def _names(handler: Handler) -> tuple[str, str]:
    return handler.name, handler.name.rpartition(".")[2]


def _of_hook(handlers: list[Handler], name: str) -> list[Handler]:
    try:
        hook = hooks.canonical(name)
    except ValueError:
        return []
    return [handler for handler in handlers if handler.hook == hook]


def _kind(function: Callable[..., Any], in_thread: bool) -> Kind:
    if is_async(function):
        return "async"
    return "concurrent" if in_thread or concurrent.is_concurrent(function) else "sync"


async def _await(waiting: Awaitable[None]) -> None:
    await waiting


def _condition(hook: str, source: str | Filter | None) -> Filter | None:
    if source is None:
        return None
    if hooks.HOOKS[hook].kind != "flow":
        raise ValueError(
            f"{hook!r} is not about a flow, so it takes no filter; leave {str(source)!r} away"
        )
    if isinstance(source, Filter):
        return source
    if not isinstance(source, str):
        raise TypeError(f"a filter is an expression such as '~d example.org', not {source!r}")
    condition = parse(source)
    for text in condition.warnings:
        warnings.warn(f"filter {source!r}: {text}", UserWarning, stacklevel=_user_level())
    return condition


def _user_level() -> int:
    """The `stacklevel` at which a warning points at the first frame outside this package."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001 - the only way to walk up without reading sources
    while frame.f_back is not None and _PACKAGE in Path(frame.f_code.co_filename).parents:
        frame, level = frame.f_back, level + 1
    return level


def _check_name(hook: object) -> None:
    """Recognise `@on` without parentheses."""
    if isinstance(hook, str):
        return
    if not callable(hook):
        raise TypeError(f"a hook is named by a string such as 'response', not {hook!r}")
    name = getattr(hook, "__name__", "handle")
    try:
        example = hooks.canonical(name)
    except ValueError:
        example = "response"
    raise TypeError(f'@on needs the name of a hook: write @nbproxy.on("{example}") above {name}')
