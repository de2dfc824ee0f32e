"""Threads for concurrent handlers.

`concurrent.futures` waits at interpreter exit for every thread it ever made, so one handler that
never ends would keep a kernel from shutting down. These are daemon threads: made when needed, up
to a limit, and left to themselves on close.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Job:
    """One call to be made in a thread.

    Attributes:
        future: Done, on the loop that asked, once the call has returned or was skipped.
        abandoned: Set by who has no use for the call any more: it is skipped if not yet begun.
    """

    __slots__ = ("_call", "_loop", "abandoned", "future")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        self._loop = loop
        self._call = call
        self.future: asyncio.Future[None] = loop.create_future()
        self.abandoned = False

    def run(self) -> None:
        """Make the call, in the thread, unless nobody wants it any more."""
        if not self.abandoned:
            self._call()

    def finish(self) -> None:
        """Tell the loop; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            self._loop.call_soon_threadsafe(self._done)

    def _done(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Threads:
    """Up to `limit` threads named nbproxy-handler-N, made as they are needed."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"there must be at least one thread for concurrent handlers: {limit}")
        self.limit = limit
        self._numbers = itertools.count(1)
        self._renew()

    def _renew(self) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def submit(self, call: Callable[[], object]) -> Job:
        """Have a call made in a thread.

        Args:
            call: Must not raise.

        Returns:
            The job; its future belongs to the running loop.
        """
        job = Job(asyncio.get_running_loop(), call)
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self.limit:
            self._start_one()
        return job

    def close(self) -> None:
        """Skip what has not begun and let the threads go; those still busy end with their call.

        Submitting again afterwards begins anew.
        """
        jobs, count = self._jobs, len(self._threads)
        self._renew()
        with contextlib.suppress(queue.Empty):
            while True:
                job = jobs.get_nowait()
                if job is not None:
                    job.finish()
        for _ in range(count):
            jobs.put(None)

    def _start_one(self) -> None:
        thread: Any = threading.Thread(
            target=_work,
            args=(self._jobs, self._idle),
            name=f"nbproxy-handler-{next(self._numbers)}",
            daemon=True,
        )
        # As ipykernel marks its own: a breakpoint in a cell must not freeze traffic.
        thread.pydev_do_not_trace = thread.is_pydev_daemon_thread = True
        self._threads.append(thread)
        thread.start()


def _work(jobs: queue.SimpleQueue[Job | None], idle: threading.Semaphore) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        # Before the loop hears of it, or the flow's next call would find no idle thread. A thread
        # that takes a job which found none counts once too often; that happens only at the limit,
        # where the count no longer matters.
        idle.release()
        job.finish()
        del job  # an idle thread keeps no flow alive
