"""The mounted loop: the proxy's event loop, run by the kernel's, and never stuck behind a cell.

Theory of operation. A kernel runs its cells inside callbacks of one asyncio loop, the *host*, on
the main thread. A server put on that loop is dead while a cell blocks, and a cell which calls
through it deadlocks. So the proxy has a loop of its own, the *child*, an ordinary selector loop:

- A selector's epoll or kqueue descriptor can itself be watched. The host watches the child's; when
  it turns readable, the host's thread gives the child a *turn*: a round or two of `run_forever`
  with a selector that never blocks, asks the loop to stop after this round, and notes how long the
  loop would have slept. That note says when the next turn is due.
- A *watchdog* thread watches the same descriptor. If something has been pending for one *grace*
  and no turn came, the main thread is stuck (a cell, `input()`, a widget callback, `%gui`), and the
  watchdog runs the child itself, in the ordinary blocking way: a *rescue*. Beforehand it posts a
  callback to the host. When the host breathes again, that callback stops looking at the child
  (which would be readable all the time) and asks the child to stop; the watchdog then posts
  `_attach`, and turns go on as before.
- The *baton* (`_owner`) says who runs the child: the host's thread, the watchdog, or nobody. The
  main thread never waits for the watchdog, except in `close`.

Invariants. A rescue posts `_back` before it runs the child and `_attach` after, so each rescue
ends and the host always gets the child back. Posts are made in order, so `_attach` never comes
before its `_back`. Whatever goes wrong between (a stop too early, an attach that finds the baton
taken) leaves work pending without turns, which is exactly what starts a rescue. Where the host is
closed, or stopped for good, nothing comes back and the rescue lasts until `close`.

Idle costs nothing: the host sleeps in its selector and the watchdog in `poll`, without time-outs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import enum
import logging
import math
import os
import select
import selectors
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nbproxy.engine.runner import JOIN_SLACK_S, BaseRunner, ProxyLoop, current_loop, daemon

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

#: Rounds of the child in one turn. Measured under saturation: 8 make an empty cell wait 160 ms,
#: 2 make it 37 ms, at the same throughput.
ROUNDS_PER_TURN: Final = 2

#: Timers nearer to each other than this share a wake-up of the host.
TIMER_SLACK_S: Final = 0.001

#: The interpreter's switch interval while a busy cell and the proxy share the GIL. Measured: at
#: the usual 5 ms the proxy waits that long at each I/O; 1 ms doubles its requests per second and
#: costs the cell 15 %.
HURRIED_SWITCH_S: Final = 0.001

#: Traffic counts as flowing until it paused for so long.
LINGER_S: Final = 0.05


class _Owner(enum.Enum):
    """Who runs the child's callbacks at this moment."""

    HOST = "host"
    WATCHDOG = "watchdog"


@dataclass(frozen=True, slots=True)
class MountStats:
    """What a mounted loop has done so far.

    Attributes:
        turns: Turns taken on the host's thread.
        rescues: Times the watchdog ran the child because the host was stuck.
        slow_turns: Turns in which a handler kept the host's thread while traffic waited. A
            rescue cannot help there, as the loop itself is busy.
        handler_on_host: Graces which traffic waited for such a handler, over all slow turns.
        interrupts: KeyboardInterrupt or SystemExit that came out of a callback and was stopped.
    """

    turns: int
    rescues: int
    slow_turns: int
    handler_on_host: int
    interrupts: int


class _Pace:
    """Shortens the interpreter's switch interval for a while.

    The interval belongs to the whole process, so it goes back to what it was, and only if
    nobody else has changed it meanwhile.
    """

    def __init__(self) -> None:
        self._usual_s: float | None = None

    def hurry(self) -> None:
        usual_s = sys.getswitchinterval()
        if self._usual_s is None and usual_s > HURRIED_SWITCH_S + 1e-6:
            self._usual_s = usual_s
            sys.setswitchinterval(HURRIED_SWITCH_S)

    def relax(self) -> None:
        usual_s, self._usual_s = self._usual_s, None
        if usual_s is not None and abs(sys.getswitchinterval() - HURRIED_SWITCH_S) < 1e-6:
            sys.setswitchinterval(usual_s)


class TurnSelector(selectors.DefaultSelector):
    """The child's selector, which knows three ways of waiting.

    Attributes:
        turning: In a turn: never block, stop the loop after this round, note `asked`.
        rescuing: In a rescue: block, and hurry the interpreter while traffic flows.
            With neither set it is a plain selector.
        asked: Seconds for which the loop would have slept in the last round; 0 if the round
            did something, so that another should follow; None to sleep until I/O.
        stop: The child's `stop`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.turning = False
        self.rescuing = False
        self.asked: float | None = None
        self.stop: Callable[[], None] = lambda: None
        self.pace = _Pace()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for events as the present mode says."""
        if self.turning:
            self.stop()
            events = super().select(0)
            self.asked = 0 if events else timeout
            return events
        if self.rescuing and (timeout is None or timeout > LINGER_S):
            return self._select_lingering(timeout)
        return super().select(timeout)

    def _select_lingering(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait long: the cell gets the usual switch interval back when traffic has paused."""
        if events := super().select(LINGER_S):
            return events
        self.pace.relax()
        events = super().select(None if timeout is None else timeout - LINGER_S)
        self.pace.hurry()
        return events


def is_supported() -> bool:
    """Whether this platform lets one loop watch another's selector; tried out, not guessed.

    False on Windows, whose selectors have no descriptor; use a `ThreadRunner` there.
    """
    if not hasattr(selectors.DefaultSelector, "fileno") or not hasattr(select, "poll"):
        return False
    read_fd, write_fd = os.pipe()
    try:
        with TurnSelector() as selector:
            selector.register(read_fd, selectors.EVENT_READ)
            poller = select.poll()
            poller.register(selector.fileno(), select.POLLIN)
            before = poller.poll(0)
            os.write(write_fd, b"x")
            return not before and bool(poller.poll(1000))
    finally:
        os.close(read_fd)
        os.close(write_fd)


class MountedRunner(BaseRunner):
    """Runs the proxy's loop on the host's thread, and on a watchdog's while that one is stuck.

    All methods may be called from any thread. Handlers run in either thread, so nothing
    thread-bound may be assumed in them.

    Args:
        host: The loop to mount on. In a kernel this must be the *main* shell's loop
            (`get_ipython().kernel.io_loop.asyncio_loop`); the default, the running loop, is a
            subshell's if the calling cell runs in one.
        grace_s: How long traffic may wait for the host before the watchdog takes over. Below
            10 ms it often does so while the kernel merely finishes a cell.
    """

    name: ClassVar[str] = "mounted"

    def __init__(
        self, host: asyncio.AbstractEventLoop | None = None, grace_s: float = 0.010
    ) -> None:
        super().__init__()
        self._host = host or asyncio.get_running_loop()
        self._grace_s = grace_s
        self._start_lock = threading.Lock()  # start and close may come from two threads
        self._mount: _Mount | None = None

    @property
    def stats(self) -> MountStats:
        """What has happened so far."""
        return self._mount.stats() if self._mount else MountStats(0, 0, 0, 0, 0)

    def start(self) -> None:
        """Make the child and mount it. Harmless if done already; RuntimeError after `close`."""
        with self._start_lock:
            if self._closing:
                raise RuntimeError("the proxy's event loop is closed")
            if self._mount is None:
                self._mount = _Mount(self._host, self._grace_s)
                self._loop = self._mount.child

    def close(self, timeout_s: float = 5) -> None:
        """Cancel what is left, end the watchdog and close the loop.

        If a handler holds the host's thread beyond the time limit, the loop is closed as soon as it
        returns.
        """
        self._check_can_close()
        with self._start_lock:
            self._closing = True
        if self._mount is not None and not self._mount.child.is_forked():
            self._mount.close(timeout_s)


class _Mount:
    """One child on one host, from its making to its end: the theory at the top of this file.

    Methods are grouped by the thread they run on.
    """

    def __init__(self, host: asyncio.AbstractEventLoop, grace_s: float) -> None:
        self._host = host
        self._grace_s = grace_s
        self._selector = TurnSelector()
        self.child = ProxyLoop(self._selector)
        self._selector.stop = self.child.stop
        self._lock = threading.Lock()  # guards _owner, _closing, the wake pipe; never held long
        self._owner: _Owner | None = None
        self._closing = False
        self._timeout_s = 0.0
        # the host's side
        self._watched = os.dup(self._selector.fileno())  # why a copy: see _leave_host
        self._reading = False
        self._next: asyncio.Handle | None = None
        self._next_due = math.inf
        # times are time.monotonic(); the host's clock may be another one
        self._due = math.inf  # when the child wants its next turn
        self._known = math.inf  # the part of it that the watchdog sleeps for
        # counters: each is written by one thread at a time, under the baton or by the watchdog
        self._turns = self._rescues = self._interrupts = 0
        self._slow_turns = self._handler_on_host = self._slow_turn = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._watchdog = daemon(self._watch, "nbproxy-watchdog")
        self._watchdog.start()
        self._post(self._attach)

    def stats(self) -> MountStats:
        """The counters as they stand."""
        return MountStats(
            turns=self._turns,
            rescues=self._rescues,
            slow_turns=self._slow_turns,
            handler_on_host=self._handler_on_host,
            interrupts=self._interrupts,
        )

    def close(self, timeout_s: float) -> None:
        """End it all, from any thread but the one that runs the child.

        The watchdog does the work: a thread which runs a task of the host, as a cell is, cannot
        run another loop's tasks as well.
        """
        with self._lock:
            self._timeout_s = timeout_s
            self._closing = True
        self._leave_host()
        with contextlib.suppress(RuntimeError):  # closed already
            self.child.call_soon_threadsafe(self._end_rescue)
        self._wake_watchdog()
        self._watchdog.join(timeout_s + JOIN_SLACK_S)
        if self._watchdog.is_alive():
            logger.warning("a handler keeps the proxy's loop busy; it closes when that returns")

    # the host's thread

    def _attach(self) -> None:
        """Watch the child from the host. Host's thread."""
        if self._closing or self._owner is _Owner.WATCHDOG:  # a rescue's _back is on its way
            return
        if not self._reading:
            self._host.add_reader(self._watched, self._turn)
            self._reading = True
        self._turn()

    def _detach(self) -> None:
        """Look away from the child. Host's thread."""
        if self._reading:
            self._host.remove_reader(self._watched)
            self._reading = False
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _detach_for_good(self) -> None:
        """Look away and never again. Host's thread, or any when the host does not run."""
        self._detach()
        fd, self._watched = self._watched, -1
        if fd >= 0:
            os.close(fd)

    def _turn(self) -> None:
        """Let the child run a few rounds, if nobody else runs it. Host's thread."""
        if self._owner is not None:  # the watchdog, or a handler that runs the host (nest_asyncio)
            return
        try:
            # `_owner` is all that says who has the baton: an interrupt at any point in here
            # cannot lose it, as it could a lock that was just acquired
            with self._lock:
                if self._owner is None and not self._closing:
                    self._owner = _Owner.HOST
            if self._owner is _Owner.HOST:
                self._run_rounds()
        finally:
            if self._owner is _Owner.HOST:
                self._owner = None
        if self._closing:
            self._detach_for_good()
        else:
            self._schedule()

    def _run_rounds(self) -> None:
        if self.child.is_forked():
            return
        self._turns += 1
        selector, run_forever = self._selector, self.child.run_forever
        outer = asyncio._get_running_loop()  # noqa: SLF001 - made for those who implement loops
        try:
            selector.turning = True
            asyncio._set_running_loop(None)  # noqa: SLF001 - or run_forever refuses to nest
            for _ in range(ROUNDS_PER_TURN):
                run_forever()
                if selector.asked != 0:
                    break
        except (KeyboardInterrupt, SystemExit):
            # raised by a handler or aimed at one; its task has it, and the kernel goes on
            self._interrupts += 1
            selector.asked = 0
        finally:
            asyncio._set_running_loop(outer)  # noqa: SLF001
            selector.turning = False

    def _turn_due(self) -> None:
        self._next = None
        self._turn()

    def _schedule(self) -> None:
        """See to the next turn that is not due to I/O. Host's thread."""
        asked = self._selector.asked
        if asked is None:
            self._due = math.inf
            return  # a handle still set for a cancelled timer fires once, for nothing
        due = self._due = time.monotonic() + asked
        if self._next is None or due < self._next_due - (TIMER_SLACK_S if asked else 0):
            if self._next is not None:
                self._next.cancel()
            self._next_due = due
            if asked:
                self._next = self._host.call_later(asked, self._turn_due)
            else:
                self._next = self._host.call_soon(self._turn_due)
        if due < self._known - self._grace_s:
            self._known = due
            self._wake_watchdog()

    def _back(self) -> None:
        """The host breathes again: end the rescue. Host's thread."""
        self._detach()
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self.child.call_soon_threadsafe(self._end_rescue)

    # any thread

    def _end_rescue(self) -> None:
        """Make the watchdog give the baton back. On the child."""
        if self._owner is _Owner.WATCHDOG:
            self.child.stop()

    def _post(self, callback: Callable[[], None]) -> bool:
        """Have the host call something soon; False if it is closed.

        In an empty context, as what is posted serves all cells and not the one that runs now.
        """
        try:
            self._host.call_soon_threadsafe(callback, context=contextvars.Context())
        except RuntimeError:
            return False
        return True

    def _leave_host(self) -> None:
        """Take our descriptor out of the host's selector, now or when the host gets to it.

        The host may be stuck for long, and a closed descriptor's number may be given away before it
        looks. So the host watches a copy, which stays open until the host has let it go.
        """
        at_home = current_loop() is self._host or not self._host.is_running()
        if at_home or not self._post(self._detach_for_good):
            self._detach_for_good()

    def _wake_watchdog(self) -> None:
        with self._lock:
            if self._wake_write >= 0:
                with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
                    os.write(self._wake_write, b"x")

    # the watchdog's thread

    def _watch(self) -> None:
        """Sleep until something is pending; rescue the child if no turn comes within a grace.

        `seen` is from before the sleep, so an unchanged count means that nobody has looked at
        what woke us.
        """
        poller = self._poller()
        while not self._closing:
            seen = self._turns
            self._sleep(poller)
            while not self._closing:
                time.sleep(self._grace_s)
                if not self._is_pending():
                    break
                if self._turns == seen:
                    self._rescue()
                seen = self._turns
        self._finish()

    def _poller(self) -> select.poll:
        """`poll` rather than epoll or kqueue: it is everywhere, and level-triggered.

        Edges would save no wake-up, as there is at most one a grace, and could get lost.
        """
        poller = select.poll()
        poller.register(self._selector.fileno(), select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        return poller

    def _sleep(self, poller: select.poll) -> None:
        self._known = math.inf  # first: a turn that sets an earlier time from here on wakes us
        due = self._known = self._due
        timeout_ms = None if due == math.inf else math.ceil(max(0, due - time.monotonic()) * 1000)
        for fd, _ in poller.poll(timeout_ms):
            if fd == self._wake_read:
                os.read(fd, 4096)

    def _is_pending(self) -> bool:
        poller = select.poll()
        poller.register(self._selector.fileno(), select.POLLIN)
        return self._due <= time.monotonic() or bool(poller.poll(0))

    def _rescue(self) -> None:
        """Run the child until the host is back."""
        if not self._take_baton():
            self._note_slow_turn()
            return
        self._rescues += 1
        try:
            self._post(self._back)
            self._selector.rescuing = True
            self._selector.pace.hurry()
            self.child.run_forever()
        except (KeyboardInterrupt, SystemExit):
            self._interrupts += 1
        except Exception:
            logger.exception("the proxy's loop failed in a rescue; it goes on")
        finally:
            self._selector.rescuing = False
            self._selector.pace.relax()
            self._due = time.monotonic()  # timers may have changed: a turn must look
            self._owner = None
        self._post(self._attach)

    def _take_baton(self) -> bool:
        with self._lock:
            if self._owner is None and not self._closing:
                self._owner = _Owner.WATCHDOG
            return self._owner is _Owner.WATCHDOG

    def _note_slow_turn(self) -> None:
        if self._owner is _Owner.HOST:
            self._handler_on_host += 1
            if self._slow_turn != self._turns:
                self._slow_turn = self._turns
                self._slow_turns += 1

    def _finish(self) -> None:
        """Close the child, once a handler that is at work on the host's thread has returned."""
        while True:
            with self._lock:
                if self._owner is None:
                    self._owner = _Owner.WATCHDOG
                    break
            time.sleep(self._grace_s)
        try:
            self.child.wind_up(self._timeout_s)
        finally:
            with self._lock:
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_read = self._wake_write = -1


def wake_on_signals(host: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Let an interrupt of a cell that awaits take effect at once.

    In such a cell ipykernel's SIGINT handler cancels the cell's task by a plain `call_soon`, which
    does not wake a sleeping loop: the interrupt waits until something else does
    (https://github.com/ipython/ipykernel/issues/881; both the 6.x and the 7.x line). asyncio makes
    every signal wake the loop as soon as it handles one, so we give it one to handle, SIGUSR2.
    Nothing is done where that signal or the wake-up descriptor is in use, or does not exist.

    Args:
        host: The main thread's loop; may be called from any thread.

    Returns:
        A function that undoes it, from any thread, once or more often.
    """
    arm = _SignalWaker(host)
    arm.on_host(arm.arm)
    return lambda: arm.on_host(arm.disarm)


class _SignalWaker:
    """The state of one `wake_on_signals`."""

    def __init__(self, host: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._ours: Any = None  # what asyncio installed as the signal's handler

    def on_host(self, function: Callable[[], None]) -> None:
        """Call now if this is the main thread, else soon from the host."""
        if threading.current_thread() is threading.main_thread():
            function()
        else:
            with contextlib.suppress(RuntimeError):  # closed, which disarms it as well
                self._host.call_soon_threadsafe(function)

    def arm(self) -> None:
        if self._host.is_closed() or not hasattr(signal, "SIGUSR2"):
            return
        wakeup_fd = signal.set_wakeup_fd(-1)  # there is no other way to ask
        if wakeup_fd != -1:
            signal.set_wakeup_fd(wakeup_fd)
        elif signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                self._host.add_signal_handler(signal.SIGUSR2, lambda: None)
                self._ours = signal.getsignal(signal.SIGUSR2)

    def disarm(self) -> None:
        ours, self._ours = self._ours, None
        if ours is None or self._host.is_closed():
            return
        if signal.getsignal(signal.SIGUSR2) is ours:  # else somebody has taken it over
            self._host.remove_signal_handler(signal.SIGUSR2)
