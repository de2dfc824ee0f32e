"""The thread that writes a capture, and the queue before it.

Whoever has something to write appends it to the queue and goes on. The thread takes what is there
about ten times a second, or sooner when much waits, and writes it in one transaction.

When the disk refuses (full, gone, read only), that is said once, and what waits is tried again
every second; what comes meanwhile waits too, up to a bound, beyond which the oldest is given up.
When the disk is merely slower than the traffic, the queue is *congested*: those who can wait do.
The file, and what may become of it, is `nbproxy.store.recorded_file`.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

from nbproxy.store import capture_file
from nbproxy.store.recorded_file import FAULTS, RecordedFile
from nbproxy.store.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.capture_file import CaptureFile
    from nbproxy.store.chunks import Bodies, Sink
    from nbproxy.store.reading import Shelf

logger = logging.getLogger("nbproxy")

_GATHER_S: Final = 0.1
_TICK_S: Final = 1.0
"""How often the file is looked after, and a disk that refuses is tried again."""

_BATCH: Final = 500
_BATCH_BYTES: Final = 4 * 2**20
_MANY: Final = 400
_MUCH: Final = 2 * 2**20
"""So many entries, or bytes, are not kept waiting for more."""

MAX_WAITING: Final = 1000
CONGESTED_BYTES: Final = 8 * 2**20
"""With more than this many entries or bytes waiting, whoever can should wait too."""

MAX_WAITING_BYTES: Final = 64 * 2**20
MAX_UNWRITTEN: Final = 20_000
"""Entries that are kept while the disk refuses."""

_LARGE: Final = 16 * 2**10
"""Entries up to this size, in bytes, are counted, not weighed, when the thread is to be woken."""

_IDLE_S: Final = 3.0
"""After so long with nothing to write the thread ends, until there is something."""

_LAST_TRIES_S: Final = 3.0
"""How long a disk that refuses is tried in the end."""


class Writer:
    """Writes what is put into its queue.

    Args:
        file: The file, or what makes it: called on the thread, when there is something to write.
        inline_limit: Gives the size up to which bodies lie in their rows.
        on_stored: Told what was written: flows, and the ids of those that cannot be restored.
        on_lost: Told which flows were given up.
        on_problem: Told what is wrong, in a sentence.
        keep: Whether the file stays, if nobody ends it before the process does.

    Attributes:
        lost: How many flows could not be recorded.
        refusing: True while the disk refuses.
    """

    def __init__(
        self,
        file: CaptureFile | Callable[[], CaptureFile],
        inline_limit: Callable[[], int],
        on_stored: Callable[[list[HTTPFlow], Container[int]], None] | None,
        on_lost: Callable[[list[HTTPFlow]], None] | None,
        on_problem: Callable[[str], None],
        *,
        keep: bool,
    ) -> None:
        self._recorded = RecordedFile(file, inline_limit, on_problem)
        self.lost = 0
        self.refusing = False
        self.keep = keep
        self._on_stored = on_stored
        self._on_lost = on_lost
        self._waiting = waiting = Waiting()
        self._queue = waiting.queue
        self._rooms: deque[Callable[[], None]] = deque()
        self._orders: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._idle_since = time.monotonic()
        self._resting = False
        self._asleep = False
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._ending_at: float | None = None
        self._abandon = False
        self.ended = False
        _writers.add(self)

    # -- for all threads

    @property
    def file(self) -> CaptureFile | None:
        """The file, once there is one."""
        return self._recorded.file

    @property
    def shelf(self) -> Shelf | None:
        """The same, for reading; stays when the file is closed."""
        return self._recorded.shelf

    @property
    def bodies(self) -> Bodies:
        """The large bodies that are in memory."""
        return self._recorded.bodies

    def put(self, flow: HTTPFlow) -> None:
        """Write a flow; takes no lock."""
        if self.ended:
            return
        size = 256
        for message in (flow.request, flow.response):  # or whatever a handler put there
            content = getattr(message, "_content", None)
            if type(content) is bytes:
                size += len(content)
        self._add("flow", flow, size)

    def put_piece(self, sink: Sink, data: bytes) -> None:
        """Write a piece of a body; takes no lock but, when it is lost, the bodies'."""
        if self.ended or (self.refusing and self._waiting.size_bytes > MAX_WAITING_BYTES):
            sink.give_up()
        else:
            self._add("piece", (sink, data), len(data))

    def delete(self, ids: frozenset[int] | None) -> None:
        """Delete flows."""
        if not self.ended and (self._thread is not None or self.file is not None):
            self._add("delete", ids)

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was put before is written; False if that takes too long."""
        if self.is_this_thread():
            return False
        if self.ended or (self._thread is None and not self._queue):
            return not self._queue
        done: Future[bool] = Future()
        self._add("call", done)
        self.hurry()
        self._drop_calls(if_ended=True)  # it may have ended meanwhile, and nobody has seen it
        try:
            return done.result(timeout_s)
        except TimeoutError:
            return False

    def order(self, function: Callable[[], None], timeout_s: float | None = None) -> None:
        """Have a function called on the thread, before anything else, and wait for it.

        Raises:
            Exception: What the function raises.
            TimeoutError: It took too long.
        """
        if self.ended or self.is_this_thread():
            function()
            return
        done: Future[None] = Future()
        self._orders.append((function, done))
        if self._start_surely():
            self.hurry()
            self._obey(if_ended=True)  # as in `flush`
        else:
            self._obey()
        done.result(timeout_s)

    def hurry(self) -> None:
        """Do not wait for more."""
        self._urgent.set()
        self._wake.set()

    @property
    def waiting(self) -> Container[int]:
        """The ids of the flows that were put, and whose rows are not made yet."""
        return self._waiting.ids

    @property
    def refusal(self) -> tuple[str, int]:
        """What the disk refuses for, "" if it does not, and how many flows wait for it then."""
        why = self._recorded.trouble.now if self.refusing else ""
        return (why, self._waiting.flows) if why else ("", 0)

    def _add(self, kind: str, what: Any, size: int = 0) -> None:
        waiting = self._waiting
        waiting.add(kind, what, size)
        if self._asleep:
            self._asleep = False
            self._wake.set()
        elif len(self._queue) == _MANY or (
            size > _LARGE and waiting.size_bytes > _MUCH and not self._urgent.is_set()
        ):
            self._urgent.set()
        if self._thread is None:
            self._start()

    def _start(self) -> bool:
        """Start the thread; whether there is one."""
        if self._thread is not None:
            return True
        # never waits: a flow may be let go of, and put, also by whoever is just in here
        if not self._starting.acquire(blocking=False):
            return False
        try:
            thread = threading.Thread(target=self._run, name="nbproxy-writer", daemon=True)
            # pydevd's marks: a breakpoint in a cell must not stop it
            vars(thread).update(pydev_do_not_trace=True, is_pydev_daemon_thread=True)
            self._thread = thread  # before it begins: it may be at its end at once
            thread.start()
        except RuntimeError:  # the interpreter ends, or the system has no threads left
            self._thread = None
            logger.warning("flows are not recorded: the writer cannot be started", exc_info=True)
        finally:
            self._starting.release()
        return self._thread is not None

    def _start_surely(self) -> bool:
        """The same, for those who may wait for somebody who is just starting it, or ending."""
        if self._start():
            return True
        with self._starting:
            pass
        return self._start()

    @property
    def congested(self) -> bool:
        """Whether more waits than should, because the disk is slower than the traffic."""
        if self.refusing or self.ended:
            return False
        waiting = self._waiting
        return len(waiting) > MAX_WAITING or waiting.size_bytes > CONGESTED_BYTES

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, from any thread, when it is not congested."""
        self._rooms.append(callback)
        if not self.congested:
            self._ring()

    def _ring(self) -> None:
        while self._rooms:
            try:
                callback = self._rooms.popleft()
            except IndexError:
                return
            try:
                callback()
            except Exception:
                logger.exception("who waited for the capture failed")

    def is_this_thread(self) -> bool:
        """Whether the caller is on the writer's thread."""
        return threading.current_thread() is self._thread

    def rest(self, timeout_s: float) -> None:
        """Write what waits, and let the thread end until there is more; wait so long for that."""
        if self._thread is None or self.ended or self.is_this_thread():
            return
        self._resting = True
        self.hurry()
        self._join(timeout_s)

    def _join(self, timeout_s: float) -> None:
        with self._starting:  # by somebody else, just now
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def end(self, *, keep: bool | None = None, timeout_s: float = 0.0) -> None:
        """Write what waits, then end; wait so long for that.

        Args:
            keep: Whether the file stays; None for what was said before.
            timeout_s: 0 to wait not at all.
        """
        if keep is not None:
            self.keep = keep
        self._ending_at = time.monotonic()
        if self._queue and not timeout_s and not self._start():
            return  # whoever is just starting it goes on
        if self._queue:
            self._start_surely()
        if self._thread is None:
            while not self.ended:  # no thread can be started while the interpreter ends
                self._sleep()
                self._turn()
            return
        self.hurry()
        if timeout_s and not self.is_this_thread():
            self._join(timeout_s)

    def at_exit(self, timeout_s: float) -> None:
        """The process ends: write what waits if the file stays, else stop."""
        self._abandon = not self.keep
        self.end(timeout_s=timeout_s)

    def in_child(self) -> None:
        """This is a forked child: the thread is not here, the file is the parent's."""
        self.ended = True
        self.bodies.lock = threading.RLock()

    # -- the thread

    def _run(self) -> None:
        try:
            while not self.ended:
                self._sleep()
                self._turn()
                if self._may_rest() and self._put_down():
                    return
        except Exception:  # a bug of ours; it must not stop traffic
            logger.exception("flows are not recorded any more: the writer of the capture failed")
            self.ended = True
        self._ring()
        self._obey()
        self._drop_calls()

    def _may_rest(self) -> bool:
        """Whether there is nothing to do, and has not been for a while, or none is wanted."""
        ending = self.ended or self._ending_at is not None
        if self._waiting or self._orders or self.refusing or ending:
            self._idle_since = time.monotonic()
            return False
        if self._resting:
            return True
        batches = self._recorded.batches
        watches = batches is not None and batches.watches
        return not watches and time.monotonic() - self._idle_since > _IDLE_S

    def _put_down(self) -> bool:
        """The thread ends; the next entry starts another. False if that has come just now."""
        self._resting = False
        self._thread = None
        if not (self._queue or self._orders or self._ending_at is not None):
            return True
        with self._starting:
            mine = self._has_no_thread()
            if mine:
                self._thread = threading.current_thread()
            return not mine  # else whoever has put it has started another

    def _has_no_thread(self) -> bool:
        return self._thread is None

    def _sleep(self) -> None:
        if self._orders:
            pass
        elif self.refusing:
            self._urgent.wait(0.2 if self._ending_at is not None else _TICK_S)
        elif self._ending_at is None:
            self._asleep = True
            if not self._queue:
                self._wake.wait(_TICK_S if self.file is not None else None)
            self._asleep = False
            if self._queue and not self._has_enough:
                self._urgent.wait(_GATHER_S)
        self._wake.clear()
        self._urgent.clear()

    @property
    def _has_enough(self) -> bool:
        return len(self._queue) >= _MANY or self._waiting.size_bytes > _MUCH

    def _turn(self) -> None:
        """Write what waits; look after the file."""
        ending_at = self._ending_at
        self._obey()
        try:
            if self._abandon:
                self._give_up(everything=True)
            else:
                self._recorded.look_after(_TICK_S)
                while self._waiting.take(_BATCH, _BATCH_BYTES):
                    self._write()
                    self._idle_since = time.monotonic()
                    if not self._has_enough and ending_at is None and not self._urgent.is_set():
                        break
                self._tidy()
        except FAULTS as error:
            self._refused(error)
            if ending_at is not None and time.monotonic() - ending_at > _LAST_TRIES_S:
                self._give_up(everything=True)
        except Exception:  # a bug of ours must not stop recording: what it met stays in memory
            logger.exception("%d flows were not recorded", self._drop_hand())
        if not self.congested:
            self._ring()
        if ending_at is not None and not self._waiting:
            self._finish()

    def _obey(self, *, if_ended: bool = False) -> None:
        """Do what was ordered."""
        while self._orders and (self.ended or not if_ended):
            try:
                function, done = self._orders.popleft()
            except IndexError:
                return
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - goes to who gave the order
                done.set_exception(error)
            else:
                done.set_result(None)

    def _write(self) -> None:
        """Write what is in our hand.

        When `on_stored` is called, no reference to a flow is left here but those it is given.
        """
        steps = self._waiting.steps()
        written, lossy = self._recorded.ready().write(steps) if steps else ([], set())
        del steps
        self._over()  # before anybody is told that it is written, and asks
        done = self._waiting.done()
        if written and self._on_stored is not None:
            try:
                self._on_stored(written, lossy)
            except Exception:
                logger.exception("what was recorded could not be reported")
        written.clear()
        if done is not None:
            done.set_result(True)

    def _tidy(self) -> None:
        batches = self._recorded.batches
        if batches is not None and self.file is not None:
            if batches.has_errands:
                batches.write(())
                self._over()
            batches.vacuum()

    def move(self, path: Path) -> None:
        """Go on at another path, with all that was written so far; on the thread.

        Raises:
            FormatError, OSError, sqlite3.Error: It stays where it is.
        """
        if self._recorded.move(path):
            self.keep = True

    def look_again(self) -> None:
        """Somebody could not read the file: see whether it is there; on the thread."""
        self._recorded.look_after(0.0)

    # -- trouble

    def _refused(self, error: Exception) -> None:
        self.refusing = True
        self._ring()
        self._recorded.met(error)
        self._give_up()
        self._recorded.mend(error)

    def _over(self) -> None:
        if self.refusing:
            self.refusing = False
            self._recorded.is_well()

    def _give_up(self, *, everything: bool = False) -> None:
        """Let go of the oldest of what waits, if that is too much."""
        bounds = (0, -1) if everything else (MAX_UNWRITTEN, MAX_WAITING_BYTES)
        flows = [what for kind, what, _ in self._waiting.drop(*bounds) if kind == "flow"]
        self.lost += len(flows)
        if flows and self._on_lost is not None and not self._abandon:
            try:
                self._on_lost(flows)
            except Exception:
                logger.exception("what was lost could not be reported")

    def _drop_hand(self) -> int:
        """Have nothing to do with what is in our hand; how many flows that is."""
        dropped = self._waiting.drop(len(self._queue), sys.maxsize)
        count = sum(kind == "flow" for kind, _, _ in dropped)
        self.lost += count
        return count

    def _finish(self) -> None:
        """Nothing more is written."""
        self.ended = True
        self._recorded.finish(keep=self.keep)

    def _drop_calls(self, *, if_ended: bool = False) -> None:
        """Nobody will come to what waits any more."""
        if self.ended or not if_ended:
            for _ in self._waiting.drop(0, -1):
                pass


_writers: weakref.WeakSet[Writer] = weakref.WeakSet()


def _in_child() -> None:
    for writer in list(_writers):
        writer.in_child()


def _at_exit() -> None:
    for writer in list(_writers):
        writer.at_exit(_EXIT_S)
    capture_file.end_all()


_EXIT_S: Final = 20.0
os.register_at_fork(after_in_child=_in_child)
atexit.register(_at_exit)
