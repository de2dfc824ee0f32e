"""Where a proxy's event loop lives, and how code outside that loop talks to it.

A proxy is written once, for "its" asyncio loop. A `LoopRunner` says where that loop runs: on a
private thread (`ThreadRunner`), on the caller's running loop (`RunningRunner`), or mounted on a
kernel's loop (`nbproxy.notebook.mounted.MountedRunner`). Everything that comes from elsewhere, a
cell, a widget, another thread, enters by `submit` or `call`; a plain `loop.call_soon` from outside
is not noticed until something else wakes the loop.

The contract, for all runners: `start` and `close` are idempotent; a closed runner stays closed;
exactly one thread runs the loop at any time, and which one may change between two callbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    import concurrent.futures
    import selectors
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Threads for name look-ups and blocking handlers. A handler may wait for a person or for another
#: handler, so it must not be few; they are started only when needed.
EXECUTOR_THREADS = 32

#: How much longer than asked `close` waits for the loop's thread to say that it has given up.
JOIN_SLACK_S = 1.0


class LoopRunner(Protocol):
    """Where a proxy's event loop lives.

    Attributes:
        name: "mounted", "thread" or "running".
    """

    name: ClassVar[str]

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The proxy's loop; RuntimeError before `start`."""

    def start(self) -> None:
        """Make the loop run. Harmless if it does already; RuntimeError after `close`."""

    def submit(self, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop, from any thread; consumes `coro` in any case."""

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop soon, from any thread."""

    def owns_current_thread(self) -> bool:
        """Whether the calling code runs on this loop right now, so that waiting would deadlock."""

    def close(self, timeout_s: float = 5) -> None:
        """Cancel what is left and give the loop up, from any thread but not from the loop itself.

        Args:
            timeout_s: How long tasks and executor threads may take to end.
        """


def wait(runner: LoopRunner, coro: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
    """Run a coroutine on the proxy's loop and block until it is done.

    An interrupt (KeyboardInterrupt) or a time-out cancels the coroutine.

    Raises:
        RuntimeError: Called from a handler on that very loop, which would wait for itself.
        TimeoutError: `timeout_s` passed.
    """
    if runner.owns_current_thread():
        coro.close()
        raise RuntimeError(
            "this would wait for the proxy on the proxy's own event loop, and never end; "
            "use `await` in an `async def` handler, or mark the handler `@nbproxy.concurrent`"
        )
    future = runner.submit(coro)
    try:
        return future.result(timeout_s)
    finally:
        future.cancel()  # does nothing to a future that is done


class _Fork:
    """Counts the forks between the first process and this one."""

    count: ClassVar[int] = 0

    @classmethod
    def in_child(cls) -> None:
        cls.count += 1


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_Fork.in_child)


class ProxyLoop(asyncio.SelectorEventLoop):
    """A selector loop of our own: it ends cleanly, and only in the process that made it.

    A forked child shares the epoll descriptor with its parent, so closing its copy of the loop, as
    the garbage collector would, takes the parent's descriptors out of the parent's loop.
    In a child this loop therefore calls itself closed and touches nothing.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self._fork = _Fork.count
        super().__init__(selector)
        self._executor = ThreadPoolExecutor(EXECUTOR_THREADS, thread_name_prefix="nbproxy")
        self.set_default_executor(self._executor)

    def is_forked(self) -> bool:
        """Whether this is a forked child's copy of the loop, which must not be used."""
        return self._fork != _Fork.count

    def is_closed(self) -> bool:
        """Whether the loop can no longer be used."""
        return self.is_forked() or super().is_closed()

    def close(self) -> None:
        """Close the loop, in its own process only."""
        if not self.is_forked():
            super().close()

    def wind_up(self, timeout_s: float) -> None:
        """End tasks, generators and executor threads, then close. The loop must not be running.

        What does not end within `timeout_s` is logged and left behind.
        """
        if self.is_closed():
            return
        deadline = self.time() + timeout_s
        try:
            self._run_step(self._cancel_tasks(deadline), deadline)
            self._run_step(asyncio.wait_for(self.shutdown_asyncgens(), timeout_s), deadline)
            self._run_step(self._drain_executor(deadline), deadline)
        finally:
            self.close()

    def _run_step(self, coro: Coroutine[Any, Any, None], deadline: float) -> None:
        """Run a coroutine to its end, though other callbacks may raise or stop the loop."""
        task = self.create_task(coro)
        while not task.done() and self.time() < deadline + JOIN_SLACK_S / 2:
            try:
                self.run_until_complete(task)
            except BaseException:  # a fence: nothing that a task raises may keep the loop open
                logger.debug("while the proxy's loop ended", exc_info=True)

    async def _cancel_tasks(self, deadline: float) -> None:
        me = asyncio.current_task()
        while tasks := {task for task in asyncio.all_tasks() if task is not me}:
            for task in tasks:
                task.cancel()
            done, stubborn = await asyncio.wait(tasks, timeout=max(0, deadline - self.time()))
            for task in done:
                self._report(task)
            if stubborn or self.time() > deadline:
                logger.warning("%d tasks of the proxy did not end: %s", len(stubborn), stubborn)
                return

    def _report(self, task: asyncio.Task[Any]) -> None:
        """Tell of an error that nobody else will ask for."""
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": "a task failed while the proxy closed", "exception": error}
            self.call_exception_handler({**context, "task": task})

    async def _drain_executor(self, deadline: float) -> None:
        """Wait for the executor's threads while the loop goes on, as they may need it to end.

        asyncio's own `shutdown_default_executor` has no time limit before Python 3.12.
        """
        ended = asyncio.Event()

        def drain() -> None:
            self._executor.shutdown(cancel_futures=True)
            with contextlib.suppress(RuntimeError):  # too late: the loop is closed
                self.call_soon_threadsafe(ended.set)

        thread = daemon(drain, "nbproxy-drain")
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down and has joined the threads already
            self._executor.shutdown(wait=False)
            return
        try:
            await asyncio.wait_for(ended.wait(), max(0, deadline - self.time()))
        except TimeoutError:
            logger.warning("a blocking handler of the proxy still runs in its thread")
        else:
            thread.join()


def daemon(target: Callable[[], object], name: str) -> threading.Thread:
    """A thread, not started yet, that neither keeps the process alive nor stops at breakpoints.

    The marks are pydevd's; ipykernel puts them on its own threads. Without them a breakpoint in
    a cell freezes the proxy, and with it the request which that cell waits for.
    """
    thread = threading.Thread(target=target, name=name, daemon=True)
    vars(thread).update(pydev_do_not_trace=True, is_pydev_daemon_thread=True)
    return thread


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that runs the calling code, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class BaseRunner:
    """What all runners do alike once they have a loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The proxy's loop; RuntimeError before `start`."""
        if self._loop is None:
            raise RuntimeError("the proxy's event loop has not been started")
        return self._loop

    def submit(self, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop, from any thread; consumes `coro` in any case."""
        try:
            self._check_usable()
            return asyncio.run_coroutine_threadsafe(coro, self.loop)
        except RuntimeError:
            coro.close()
            raise

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop soon, from any thread."""
        self._check_usable()
        self.loop.call_soon_threadsafe(function, *args)

    def owns_current_thread(self) -> bool:
        """Whether the calling code runs on this loop right now, so that waiting would deadlock."""
        return self._loop is not None and current_loop() is self._loop

    def _check_usable(self) -> None:
        loop = self.loop
        if isinstance(loop, ProxyLoop) and loop.is_forked():
            raise RuntimeError("the proxy runs in the parent process, not in this fork of it")
        if self._closing or loop.is_closed():
            raise RuntimeError("the proxy's event loop is closed")

    def _check_can_close(self) -> None:
        if self.owns_current_thread():
            raise RuntimeError(
                "a handler cannot close the loop it runs on; close the proxy from a cell, "
                "or from another thread"
            )


class ThreadRunner(BaseRunner):
    """A loop on a daemon thread of its own, for plain programs and where mounting cannot work.

    The thread outlives whatever a callback raises, KeyboardInterrupt and SystemExit included, and
    a stray `loop.stop()`; only `close` ends it.
    """

    name: ClassVar[str] = "thread"

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()  # start and close may come from two threads
        self._thread: threading.Thread | None = None
        self._timeout_s = 0.0

    def start(self) -> None:
        """Make the loop run. Harmless if it does already; RuntimeError after `close`."""
        with self._lock:
            if self._closing:
                raise RuntimeError("the proxy's event loop is closed")
            if self._thread is None:
                loop = self._loop = ProxyLoop()
                self._thread = daemon(lambda: self._serve(loop), "nbproxy")
                self._thread.start()

    def close(self, timeout_s: float = 5) -> None:
        """Cancel what is left, end the thread and close the loop."""
        self._check_can_close()
        with self._lock:
            self._timeout_s = timeout_s
            self._closing = True
            thread = self._thread
        if thread is None or not thread.is_alive():  # never started, ended, or left by a fork
            return
        with contextlib.suppress(RuntimeError):  # closed this moment
            self.loop.call_soon_threadsafe(self.loop.stop)
        thread.join(timeout_s + JOIN_SLACK_S)
        if thread.is_alive():
            logger.warning("the proxy's thread is stuck in a handler and was left behind")

    def _serve(self, loop: ProxyLoop) -> None:
        while not self._closing and not loop.is_closed():
            try:
                loop.run_forever()
            except BaseException:
                logger.exception("a callback on the proxy's thread raised; the proxy goes on")
        loop.wind_up(self._timeout_s)


class RunningRunner(BaseRunner):
    """The caller's own running loop: `async with`, the command line, tests.

    `close` cancels what came through `submit` and leaves the loop, which is not ours, alone.
    """

    name: ClassVar[str] = "running"

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__()
        self._loop = loop or asyncio.get_running_loop()
        self._submitted: weakref.WeakSet[concurrent.futures.Future[Any]] = weakref.WeakSet()

    def start(self) -> None:
        """Check that the loop can be used; it runs already."""
        self._check_usable()

    def submit(self, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop, from any thread; consumes `coro` in any case."""
        future = super().submit(coro)
        self._submitted.add(future)
        return future

    def close(self, timeout_s: float = 5) -> None:  # noqa: ARG002 - nothing here waits
        """Cancel what was submitted. The loop goes on."""
        self._closing = True
        for future in list(self._submitted):
            future.cancel()
