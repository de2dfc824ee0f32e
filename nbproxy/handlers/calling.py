"""Calling handlers: one after the other, in their own context, with a fence around each.

A handler cannot stop traffic: whatever it raises is reported and counted, and the next one is
called; only the cancellation of the flow's own task passes. Each call runs in a copy of the
context of its registration (a context cannot be entered twice at once, hence the copy).

An `async` handler is not made a task of its own: the flow's task takes its steps inside that
context. So cancellation and time-outs reach it directly, a step can be interrupted or found slow
like a plain call, and a KeyboardInterrupt in it cannot tear the loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import types
from time import perf_counter
from typing import TYPE_CHECKING, Any

from nbproxy.handlers import noting, reports
from nbproxy.handlers.threads import Threads
from nbproxy.model.flow import Error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

    from nbproxy.handlers.guard import Guard
    from nbproxy.handlers.handler import Handler
    from nbproxy.handlers.reports import Reporter

METADATA_KEY = "handler_errors"
"""In `flow.metadata`: what failed on this flow, one line each."""

_MAX_SHOWN = 20  # tracebacks of one handler; an exception class made anew each time is one each
_MAX_KEPT = 50  # lines in one flow's metadata
_log = logging.getLogger(__name__)


class Caller:
    """Calls handlers on the proxy's thread; one for a registry.

    Attributes:
        reporter: Where failures and hints are shown.
        guard: Is told when handler code runs on the proxy's thread, or None.
        slow_s: A handler that holds the proxy up for longer gets a hint; 0 for never.
        threads: Where concurrent handlers run.
        notes_changes: Whether flows get notes of what handlers change, see `noting`.
    """

    def __init__(self, reporter: Reporter, slow_s: float, limit: int) -> None:
        self.reporter = reporter
        self.slow_s = slow_s
        self.threads = Threads(limit)
        self.guard: Guard | None = None
        self.notes_changes = False

    def run(self, handlers: Sequence[Handler], argument: Any) -> Awaitable[None] | None:
        """Call the handlers of one hook in order.

        Returns:
            None if all were plain functions and are done, else what waits for the others.
        """
        before = getattr(argument, "error", None) if handlers[0].of_flow else None
        for index, handler in enumerate(handlers):
            if index and handler.of_flow and _killed(argument, before):
                break
            if handler.filter is not None and not handler.filter(argument):
                continue
            if handler.kind != "sync":
                return self._run_waiting(handlers[index:], argument, before)
            self._call(handler, argument)
        return None

    async def _run_waiting(
        self, handlers: Sequence[Handler], argument: Any, before: object
    ) -> None:
        """The rest of `run` from the first handler that waits; that one's filter has passed."""
        for index, handler in enumerate(handlers):
            if index:
                if handler.of_flow and _killed(argument, before):
                    break
                if handler.filter is not None and not handler.filter(argument):
                    continue
            if handler.kind == "sync":
                self._call(handler, argument)
            elif handler.kind == "async":
                await self._call_async(handler, argument)
            else:
                await self._call_concurrent(handler, argument)

    # -- the three kinds

    def _call(self, handler: Handler, argument: Any) -> None:
        before = noting.look(argument) if self.notes_changes and handler.of_flow else None
        began = perf_counter()
        result = failure = None
        try:
            run = handler.context.copy().run
            if handler.takes_argument:
                result = self._step(run, handler.function, argument)
            else:
                result = self._step(run, handler.function)
        except BaseException as exc:  # noqa: BLE001 - the fence, also against sys.exit() and Interrupt
            failure = exc
        spent = perf_counter() - began  # without the time that telling of a failure takes
        handler.spent(spent)
        if before is not None:
            noting.note(argument, before, handler.name)
        if failure is not None:
            self._failed(handler, failure, argument)
            failure = None  # its traceback leads here, and to the flow
        if spent > self.slow_s > 0 and "slow" not in handler.hinted:
            self._hint_slow(handler, spent)
        if result is not None:
            self._returned(handler, result)

    async def _call_async(self, handler: Handler, argument: Any) -> None:
        task = asyncio.current_task()
        cancels = task.cancelling() if task is not None else 0
        before = noting.look(argument) if self.notes_changes and handler.of_flow else None
        began = perf_counter()
        result = failure = None
        try:
            result = await self._in_steps(handler, argument)
        except GeneratorExit:  # we are being closed: the loop was stopped with the flow under way
            raise
        except BaseException as exc:
            # A CancelledError that is nobody's cancellation of this flow is the handler's failure.
            cancelled = isinstance(exc, asyncio.CancelledError)
            if cancelled and (task is None or task.cancelling() > cancels):
                raise
            failure = exc
        finally:
            handler.spent(perf_counter() - began)
            if before is not None:
                noting.note(argument, before, handler.name)
        if failure is not None:
            self._failed(handler, failure, argument)
            failure = None  # its traceback leads here, and to the flow
        if task is not None and task.cancelling() > cancels:
            raise asyncio.CancelledError  # the handler swallowed it
        if result is not None:
            self._returned(handler, result)

    async def _call_concurrent(self, handler: Handler, argument: Any) -> None:
        outcome: list[Any] = []
        args = (argument,) if handler.takes_argument else ()
        run = handler.context.copy().run
        before = noting.look(argument) if self.notes_changes and handler.of_flow else None
        job = self.threads.submit(functools.partial(_measure, outcome, run, handler.function, args))
        # by callback, so that a call is counted also if its flow no longer waits for it
        job.future.add_done_callback(lambda _: self._ended(handler, outcome, argument))
        try:
            await asyncio.shield(job.future)
        except asyncio.CancelledError:
            job.abandoned = True
            raise
        if before is not None:
            noting.note(argument, before, handler.name)

    def _ended(self, handler: Handler, outcome: list[Any], argument: Any) -> None:
        if not outcome:
            return  # skipped: its flow, or the proxy, had gone before it was its turn
        result, exc, spent = outcome
        outcome.clear()  # it is in a frame to which a traceback leads
        handler.spent(spent)
        if exc is not None:
            self._failed(handler, exc, argument)
        elif result is not None:
            self._returned(handler, result)

    # -- steps of handler code

    def _step(self, run: Callable[..., Any], function: Callable[..., Any], *args: Any) -> Any:
        """Run handler code on this thread; with the guard on, if there is one."""
        guard = self.guard
        if guard is None:
            return run(function, *args)
        try:
            guard.enter()
            try:
                return run(function, *args)
            finally:
                guard.leave()
        except KeyboardInterrupt:
            guard.leave()  # it may have come between the handler's end and the line above
            raise

    @types.coroutine
    def _in_steps(self, handler: Handler, argument: Any) -> Generator[Any, Any, Any]:
        """Await an async handler, taking each of its steps in its own context.

        This is what `await` does (PEP 380), around `context.run`.
        """
        run = handler.context.copy().run
        args = (argument,) if handler.takes_argument else ()
        coroutine: Coroutine[Any, Any, Any] = self._step(run, handler.function, *args)
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            began = perf_counter()
            try:
                waits_for = self._step(run, step, value)
            except StopIteration as stop:
                return stop.value
            finally:
                spent = perf_counter() - began
                if spent > self.slow_s > 0 and "slow" not in handler.hinted:
                    self._hint_slow(handler, spent)
            try:
                value = yield waits_for
                step = coroutine.send
            except BaseException as exc:  # noqa: BLE001 - all of them are the coroutine's
                step, value = coroutine.throw, exc

    # -- what to tell the user

    def _failed(self, handler: Handler, exc: BaseException, argument: Any) -> None:
        reports.cut(exc)
        handler.errors += 1
        handler.last_error = reports.summary(handler, exc)
        flow = argument if handler.of_flow else None
        if flow is not None:
            _note(flow, f"{handler.name}: {handler.last_error}")
        place = reports.location(exc)
        if place not in handler.shown and len(handler.shown) < _MAX_SHOWN:
            handler.shown.add(place)
            self._report(handler, self.reporter.error, handler, exc, flow)

    def _hint_slow(self, handler: Handler, spent: float) -> None:
        remedy = (
            "put @nbproxy.concurrent above it to run it in a thread, or make it `async def` and "
            "await what takes long"
            if handler.kind == "sync"
            else "await what takes long in it, or make it a plain `def` with @nbproxy.concurrent "
            "above it"
        )
        text = f"took {spent * 1000:.0f} ms, in which all other traffic stood still; {remedy}"
        self._hint(handler, "slow", text)

    def _returned(self, handler: Handler, result: object) -> None:
        """Hint at a result that somebody may have meant something by."""
        if inspect.iscoroutine(result):
            result.close()  # or Python warns that it was never awaited, pointing nowhere
            text = (
                "returned a coroutine, which nobody awaits; make the handler `async def` and "
                "await it there"
            )
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            text = "returned a generator, which nobody runs; do the work in the handler itself"
        elif handler.name.endswith("<lambda>"):
            return  # an expression always has a value
        elif type(result).__name__ == "Response":
            text = "returned a response, which does nothing; assign it: flow.response = ..."
        else:
            text = (
                f"returned a value of type {type(result).__name__}, which does nothing; "
                "handlers change their argument"
            )
        self._hint(handler, "result", text)

    def _hint(self, handler: Handler, about: str, text: str) -> None:
        if about not in handler.hinted:
            handler.hinted.add(about)
            self._report(handler, self.reporter.hint, handler, text)

    def _report(self, handler: Handler, show: Callable[..., None], *args: Any) -> None:
        try:
            handler.context.copy().run(show, *args)
        except Exception:  # noqa: BLE001 - a fence: the reporter is handed in, and may be a notebook's
            _log.exception("showing what happened in %r failed", handler)


def _measure(
    outcome: list[Any],
    run: Callable[..., Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Call in a thread; `outcome` gets the result, the exception or None, and the seconds."""
    began = perf_counter()
    result, failure = None, None
    try:
        result = run(function, *args)
    except BaseException as exc:  # noqa: BLE001 - the fence of threads
        failure = exc
    outcome += (result, failure, perf_counter() - began)
    failure = None  # its traceback leads here


def _killed(flow: Any, before: object) -> bool:
    """Whether a flow was killed since its `error` was `before`."""
    error = getattr(flow, "error", None)
    return error is not None and error is not before and str(error) == Error.KILLED_MESSAGE


def _note(flow: Any, line: str) -> None:
    try:
        lines = flow.metadata.setdefault(METADATA_KEY, [])
        if len(lines) < _MAX_KEPT:
            lines.append(line)
    except Exception:  # noqa: BLE001 - the metadata is the user's; he may have put anything there
        _log.debug("cannot note on %r: %s", flow, line)
