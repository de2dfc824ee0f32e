"""Which sockets of this process lead to a proxy of ours, and which subprocesses it starts.

`patches` tells of each connect and each start of a process or a thread, on the thread that is about
to do it, so the code that asks is on the stack. All of that only while a port is watched.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.capture.patches import Patches
from nbproxy.capture.stacks import (
    Code,
    Site,
    is_cell,
    is_pooled,
    line_now,
    site_of,
    stack,
)

if TYPE_CHECKING:
    import socket
    from types import FrameType

# What is remembered of sockets whose connection has not come in yet, and of subprocesses.
_DIALLED: Final = 1024
_SPAWNED: Final = 128


@dataclass(frozen=True, slots=True)
class Dialled:
    """A socket of this process that is being connected to a watched port.

    Attributes:
        socket: The socket, while it is there.
        descriptor: Its number, which TLS, put onto it later, keeps.
        thread: Who connects.
        loop: The event loop it is used on; None for a blocking one.
        site: Where in the notebook that was asked for.
    """

    socket: weakref.ref[socket.socket]
    descriptor: int
    thread: int
    loop: asyncio.AbstractEventLoop | None
    site: Site | None


@dataclass(frozen=True, slots=True)
class Spawned:
    """A subprocess that is being started.

    Attributes:
        when: Seconds since the machine was started.
        site: Where in the notebook that was asked for.
    """

    when: float
    site: Site | None


class Watch:
    """What is remembered; one for the process.

    Attributes:
        code: The notebook's code, None outside of notebooks.
    """

    def __init__(self) -> None:
        self.code: Code | None = None
        self._ports: dict[object, int] = {}
        self._watched: frozenset[int] = frozenset()
        self._dialled: deque[Dialled] = deque(maxlen=_DIALLED)
        self._spawned: deque[Spawned] = deque(maxlen=_SPAWNED)
        # threads, and where in the notebook they were started
        self._starters: weakref.WeakKeyDictionary[threading.Thread, Site] = (
            weakref.WeakKeyDictionary()
        )
        self._patches = Patches(self)
        self._lock = threading.Lock()

    def begin(self, owner: object, port: int) -> None:
        """Watch for connections to a port, until its owner ends that or names another."""
        with self._lock:
            self._ports[owner] = port
            self._watched = frozenset(self._ports.values())
            self._patches.put_in()

    def end(self, owner: object) -> None:
        """Not for this owner any more."""
        with self._lock:
            self._ports.pop(owner, None)
            self._watched = frozenset(self._ports.values())
            if not self._watched:
                self._patches.take_out()
                self._dialled.clear()
                self._spawned.clear()

    # -- what happened

    def take(self, port: int) -> Dialled | None:
        """What is known of the connection with this local port; None if it is not ours."""
        dialled = self._dialled
        for each in list(dialled):
            sock = each.socket()
            name = _local_name(sock) if sock is not None else None
            if name is None or name[1] == port:
                try:
                    dialled.remove(each)
                except ValueError:  # pushed out by newer ones
                    continue
            if name is not None and name[1] == port:
                return each
        return None

    @property
    def has_spawned(self) -> bool:
        """Whether any subprocess was started since somebody watches."""
        return bool(self._spawned)

    def spawned(self, since: float, until: float) -> Spawned | None:
        """The last start of a subprocess between these moments, seconds since the machine's."""
        for each in reversed(list(self._spawned)):
            if since <= each.when <= until:
                return each
        return None

    # -- told by the patches

    def connecting(self, sock: socket.socket, address: Any, frame: FrameType) -> None:
        """A socket is about to be connected by this frame's code."""
        if type(address) is tuple and len(address) > 1 and address[1] in self._watched:
            loop = _running_loop() if sock.gettimeout() == 0.0 else None
            here = threading.get_ident()
            dialled = Dialled(weakref.ref(sock), sock.fileno(), here, loop, self.site(frame))
            self._dialled.append(dialled)

    def spawning(self, frame: FrameType) -> None:
        """A process is about to be started."""
        self._spawned.append(Spawned(since_boot(), self.site(frame)))

    def starting(self, thread: threading.Thread, frame: FrameType) -> None:
        """A thread is about to be started."""
        site = self.site(frame)
        if site is not None:
            self._starters[thread] = site

    # -- from frames to sites

    def site(self, frame: FrameType | None) -> Site | None:
        """Where in the notebook the calling code is, whose innermost frame this is."""
        code = self.code
        if code is None:
            return None
        return self.place(stack(frame), code.running(), threading.current_thread())

    def place(
        self,
        frames: list[FrameType],
        running: int | None = None,
        thread: threading.Thread | None = None,
    ) -> Site | None:
        """Where in the notebook these frames are.

        A thread works for the cell that has started it, for the line where it did; one of a pool
        for the cell that is being run, for the line which that has come to.

        Args:
            frames: The outermost first.
            running: The cell they work for, if that is known.
            thread: Whose frames they are.
        """
        code = self.code
        if code is None:
            return None
        starter = None
        if running is None and not is_cell(frames, code):
            busy = code.busy()
            starter = self._starters.get(thread) if thread is not None else None
            if busy is not None and (starter is None or is_pooled(frames)):
                starter = Site(busy.cell)
            running = starter.cell if starter is not None else None
        found = site_of(frames, code, running)
        if found is None or found.line is not None:
            return found
        if starter is not None and starter.line is not None:
            return Site(found.cell, starter.line, found.function or starter.function)
        return Site(found.cell, line_now(found.cell, code), found.function)


def since_boot() -> float:
    """Seconds since the machine was started, as the start of processes is told."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _local_name(sock: socket.socket) -> tuple[Any, ...] | None:
    """The socket's own address; None if it is closed, or another object's now."""
    try:
        name = sock.getsockname()
    except OSError:
        return None
    return name if isinstance(name, tuple) and len(name) > 1 else None


WATCH = Watch()
"""The one of this process."""
