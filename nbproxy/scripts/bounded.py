"""Calls of a user's code that must come to an end, made in a thread of their own.

A thread cannot be ended from outside, but an exception can be raised in it at its next step of
Python code: so a loop that never ends ends after all, and does not take the proxy's time for ever.
Code that waits in C stays where it is; nothing more is asked of it until it has returned.

It is raised only between the call's first step and its last: before and behind them nobody would
catch it, and the thread would die of it, with a traceback on the user's screen.

The exception must not stay pending. Until 3.11 a pending one concerns every thread, and those that
are traced, by a debugger or for coverage, stand still at their next call of a function. So whoever
raises it calls no Python function until it has taken it back.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE_S: Final = 1.0  # how long an interrupted call may take to end


_put_exception: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc


class OverdueError(BaseException):
    """Raised in a call that took too long; no `except Exception` of its code stops it."""


class _Stage:
    """How far a call is; its lock is held where that changes, and to raise the exception in it.

    Attributes:
        begun: It may be interrupted from now on.
        over: It may be interrupted no more.
        dropped: It took so long to begin that nobody wants it: it must not.
    """

    __slots__ = ("begun", "dropped", "lock", "over")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.begun = self.over = self.dropped = False


class Bounded:
    """Makes calls, one at a time; from any thread.

    Args:
        name: Of its threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = threading.Lock()
        self._last: threading.Thread | None = None
        self._ended = threading.Lock()  # of the last call: free when it is over
        self._stage = _Stage()  # of the last call

    def call(self, function: Callable[[], Any], limit_s: float) -> tuple[Any, BaseException | None]:
        """Call a function, and wait for it as long as it may take.

        Returns:
            What it returned and None, or None and what it raised.

        Raises:
            TimeoutError: It took too long, or one before it still does.
        """
        if not self._turn.acquire(timeout=limit_s):
            raise TimeoutError
        try:
            return self._call(function, limit_s)
        finally:
            self._turn.release()

    def _call(
        self, function: Callable[[], Any], limit_s: float
    ) -> tuple[Any, BaseException | None]:
        if self._last is not None and self._last.is_alive():
            self._interrupt_last()  # it may have come back from where it waited
            if self._last.is_alive():
                raise TimeoutError
        outcome: list[tuple[Any, BaseException | None]] = []
        ended, stage = threading.Lock(), _Stage()
        ended.acquire()

        def run() -> None:
            with contextlib.suppress(OverdueError):  # it may come late, when all is done
                with stage.lock:
                    stage.begun = not stage.dropped
                if stage.begun:
                    try:
                        outcome.append((function(), None))
                    except BaseException as failure:  # noqa: BLE001 - the fence around scripts
                        outcome.append((None, failure))
                with stage.lock:
                    stage.over = True
            ended.release()

        thread: Any = threading.Thread(target=run, name=self._name, daemon=True)
        # As ipykernel marks its own: a breakpoint in a cell must not stop it.
        thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True
        self._last, self._ended, self._stage = thread, ended, stage
        thread.start()
        thread.join(limit_s)
        if thread.is_alive():
            self._interrupt_last()
            raise TimeoutError
        if not outcome:
            raise TimeoutError
        return outcome[0]

    def _interrupt_last(self) -> None:
        """Raise the exception in the last call, wait a moment for its end, and take it back."""
        thread, stage = self._last, self._stage
        ident = ctypes.c_ulong((thread.ident if thread is not None else None) or 0)
        own = ctypes.c_ulong(threading.get_ident())
        put, overdue, nothing = _put_exception, ctypes.py_object(OverdueError), None
        has_ended, grace_s = self._ended.acquire, _GRACE_S
        ended = False
        try:
            try:
                with stage.lock:
                    stage.dropped = True
                    if stage.begun and not stage.over:
                        put(ident, overdue)
                ended = has_ended(True, grace_s)
            finally:
                put(ident, nothing)
                # The interpreter's note that one is pending goes only when one is raised: here.
                if put(own, overdue):
                    while True:
                        pass
        except OverdueError:
            pass
        if ended and thread is not None:
            self._ended.release()
            thread.join(_GRACE_S)
