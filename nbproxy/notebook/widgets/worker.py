"""The thread of an inspector: whatever it does happens there, one thing after the other.

Messages from the browser come in on the kernel's main thread, on that of a subshell, or on the
proxy's; they post what is to be done and go on. So nothing here needs a lock, and nothing that
takes long, a filter over all bodies, a view of a large one, stands in the way of the proxy.
"""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nbproxy.engine.runner import daemon

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

#: How long `close` waits for what is being done just now.
CLOSE_S: Final = 2.0


class Rest(NamedTuple):
    """How long a worker rests before its next step.

    Attributes:
        seconds: So long; None until there is a job, or `start` is called.
        lightly: Whether `wake` ends it. If not, changes wait until it is over, and cost nothing.
    """

    seconds: float | None = None
    lightly: bool = True


class Worker:
    """Runs jobs, and a step over and over as often as it wishes.

    The thread begins with the first thing to do, and ends where a step leaves open when the next is
    due: of a cell that is run again and again IPython keeps all inspectors, but not their threads.

    Args:
        name: Of the thread.
        step: Called after jobs, and again as the `Rest` says that it returns.
    """

    def __init__(self, name: str, step: Callable[[], Rest]) -> None:
        self._name = name
        self._step = step
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._stirred = False  # something changed since the last step
        self._light = False  # resting so that a change ends it
        self._closed = False
        self._lock = threading.Lock()  # guards _thread, and that it does not end with work to do
        self._thread: threading.Thread | None = None

    def post(self, job: Callable[[], object]) -> None:
        """Have a job done soon, from any thread; what it raises is logged."""
        if self._closed:
            return
        self._jobs.put(job)
        self._begin()
        self._woken.set()

    def wake(self) -> None:
        """Something changed: have a step taken, if it rests lightly at once. Any thread, cheap."""
        # the flag first: the thread says that it rests lightly, and then looks at the flag
        self._stirred = True
        if self._light:
            self._light = False
            self._woken.set()

    def start(self) -> None:
        """Begin; harmless if it has begun."""
        self.wake()  # first: a thread that is about to end sees it
        self._begin()

    def close(self) -> None:
        """End the thread; idempotent, from any thread."""
        self._closed = True
        self._woken.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = daemon(self._serve, self._name)
                self._thread.start()

    def _ends(self) -> bool:
        """End, if there is nothing to do; what comes from now on begins another thread."""
        with self._lock:
            if self._stirred or not self._jobs.empty():
                return False
            self._thread = None
            return True

    def _serve(self) -> None:
        rest = Rest(0.0)
        while not self._closed:
            if rest.seconds is None and self._ends():
                return
            self._light = rest.lightly
            self._woken.wait(0.0 if self._light and self._stirred else rest.seconds)
            self._light = False
            self._woken.clear()
            self._work_off()
            self._stirred = False
            try:
                rest = self._step()
            except Exception:  # noqa: BLE001 - a fence: the thread goes on
                _log.exception("the inspector's step failed")
                rest = Rest(1.0, lightly=False)

    def _work_off(self) -> None:
        while not self._closed:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            try:
                job()
            except Exception:  # noqa: BLE001 - a fence, as above
                _log.exception("an inspector's job failed")


def aside(job: Callable[[], Any], name: str) -> Future[Any]:
    """Do what may take seconds, code of the user's above all, in a thread beside the worker's."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except Exception as error:  # noqa: BLE001 - who waits for it gets it
            future.set_exception(error)

    daemon(run, name).start()
    return future
