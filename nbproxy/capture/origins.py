"""Of each request: the capture it belongs to, and the code that asked.

`Origins` is the engine's `Tracer`. What it finds goes into the flow's metadata: `cell`, `line` and
`function`, which are columns of the frame, and `capture`, the id of a `Capture`.

Where a request comes from. The client's own port says which socket of this process it is, if it is
one (`watch`). For the first request on it, that is the code which connected. For later ones, the
thread or the task that uses the socket now is looked for (`stacks`). A subprocess of ours is known
by its connection (`children`), and stands for the code that started it.

Whose capture it is. A capture gives clients credentials for the proxy. Clients that do not send
them count while the capture is open, if they are this process or subprocesses that were started
since. Either way a
request is not the capture's if it is known to be another cell's.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbproxy.capture.children import Child, Children
from nbproxy.capture.stacks import (
    Site,
    has_cell,
    is_cell,
    line_now,
    stack,
    task_with,
    thread_with,
)
from nbproxy.capture.watch import WATCH, Dialled

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import FrameType

    from nbproxy.capture.block import Capture
    from nbproxy.capture.stacks import Code
    from nbproxy.model.connection import Client
    from nbproxy.model.flow import HTTPFlow

logger = logging.getLogger(__name__)

# Connections that are remembered.
_KNOWN: Final = 4096
# A process starts right after we are told of it; its own clock counts hundredths of a second.
_FORK_S: Final = 2.0
_TICK_S: Final = 0.02
# How long a thread that is about to read an answer may take until it does, at each look.
_PAUSES_S: Final = (0.0, 0.0005, 0.002)


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who has opened a connection: this process, a subprocess, or (neither) anybody."""

    own: Dialled | None = None
    child: Child | None = None
    site: Site | None = None

    @property
    def is_ours(self) -> bool:
        return self.own is not None or self.child is not None


_ANYBODY: Final = _Sender()


class Origins:
    """Knows the captures of one proxy, and finds who asks."""

    def __init__(self) -> None:
        self._captures: weakref.WeakValueDictionary[bytes, Capture] = weakref.WeakValueDictionary()
        self._issued: set[bytes] = set()
        self._open: tuple[Capture, ...] = ()
        self._senders: dict[int, _Sender] = {}
        self._unseen: set[int] = set()  # connections whose users are not seen to use them
        self._children = Children()

    def listen(self, port: int) -> None:
        """The proxy listens on this port of this machine."""
        WATCH.begin(self, port)

    def stop(self) -> None:
        """The proxy does not listen any more."""
        WATCH.end(self)

    # -- captures

    def opened(self, capture: Capture) -> None:
        """A capture begins; its clients send these credentials from now on."""
        self._issued.add(capture.credentials)
        self._captures[capture.credentials] = capture
        for each in self._open:
            each.begins_inside(capture)
        self._open = (*self._open, capture)

    def closed(self, capture: Capture) -> None:
        """A capture is over; subprocesses it has left behind still belong to it."""
        self._open = tuple(each for each in self._open if each is not capture)

    # -- the engine's side

    def claim(self, credentials: bytes) -> bytes | None:
        """The credentials, if they are those of a capture, open or not."""
        return credentials if credentials in self._issued else None

    def begin(self, flow: HTTPFlow, claim: bytes | None) -> None:
        """Note in a flow's metadata where its request comes from. Never raises."""
        try:
            self._begin(flow, claim)
        except Exception:
            logger.debug("the origin of a request could not be found", exc_info=True)

    def _begin(self, flow: HTTPFlow, claim: bytes | None) -> None:
        conn = flow.client_conn
        sender = self._senders.get(conn.id)
        if sender is None:
            sender = self._meet(conn)
        elif sender is _ANYBODY and claim is None:
            return
        site = sender.site if sender.own is None else self._own_site(sender.own, conn)
        capture = self._capture(sender, site, claim)
        if site is None and capture is not None and capture.cell is not None and WATCH.code:
            site = Site(capture.cell, line_now(capture.cell, WATCH.code))
        noted = flow.metadata if site is not None or capture is not None else {}
        if site is not None:
            noted["cell"] = site.cell
            for name in ("line", "function"):
                if (value := getattr(site, name)) is not None:
                    noted[name] = value
        if capture is not None:
            noted["capture"] = capture.id

    def _meet(self, conn: Client) -> _Sender:
        """Who has opened a connection on which the first request came."""
        sender = _ANYBODY
        if conn.peername is not None:
            host, port = conn.peername
            own = WATCH.take(port)
            if own is not None:
                sender = _Sender(own=own, site=own.site)
            elif WATCH.has_spawned:
                child = self._children.with_port(host, port)
                if child is not None:
                    spawned = WATCH.spawned(child.started - _FORK_S, child.started + _TICK_S)
                    sender = _Sender(child=child, site=spawned.site if spawned else None)
        senders = self._senders
        if len(senders) >= _KNOWN:
            for number in list(itertools.islice(senders, _KNOWN // 4)):
                del senders[number]
                self._unseen.discard(number)
        senders[conn.id] = sender
        return sender

    def _own_site(self, own: Dialled, conn: Client) -> Site | None:
        """Where the request was made that came just now on a connection from this process."""
        code = WATCH.code
        if code is None:
            return None
        if own.loop is not None:
            return self._task_site(own, own.loop, conn, code)
        if conn.requests <= (1 if conn.tunnel is None else 2):
            return own.site  # who connects also asks first; a tunnel's CONNECT counts as well
        found = self._thread_of(own, conn, code)
        if found is None:
            return own.site
        known = {each.ident: each for each in threading.enumerate()}
        return WATCH.place(stack(found[1]), thread=known.get(found[0]))

    def _thread_of(self, own: Dialled, conn: Client, code: Code) -> tuple[int, FrameType] | None:
        """The thread that uses a connection now, and its innermost frame; None if none seems to."""
        found = thread_with(own.descriptor, own.thread)
        if found is not None or own.thread == threading.get_ident():
            return found
        # between sending and reading a client may have no socket in sight: let it go on
        for pause_s in _PAUSES_S if conn.id not in self._unseen else ():
            time.sleep(pause_s)
            found = thread_with(own.descriptor, own.thread)
            if found is not None:
                return found
        self._unseen.add(conn.id)
        frames = stack(sys._current_frames().get(own.thread))  # noqa: SLF001 - as in `stacks`
        return (own.thread, frames[-1]) if has_cell(frames, code) else None

    def _task_site(
        self, own: Dialled, loop: AbstractEventLoop, conn: Client, code: Code
    ) -> Site | None:
        """The same on a connection of an event loop: the task that waits for the answer knows."""
        port = conn.peername[1] if conn.peername else 0
        task, frames = task_with(loop, port)
        if task is None:  # it does not wait yet, if it is the one that runs
            frames = stack(sys._current_frames().get(own.thread))  # noqa: SLF001 - as in `stacks`
            if own.thread == threading.get_ident():
                return own.site
            if not has_cell(frames, code):
                task, frames = task_with(loop, port)  # it waits since just now
                if task is None:
                    return own.site
        if task is not None and hasattr(task, "get_context"):  # Python 3.12
            return WATCH.place(frames, code.running(task.get_context()))
        dialled_by = own.site.cell if own.site is not None else None
        return WATCH.place(frames, None if is_cell(frames, code) else dialled_by)

    def _capture(self, sender: _Sender, site: Site | None, claim: bytes | None) -> Capture | None:
        if claim is not None:
            capture = self._captures.get(claim)
            return capture if capture is not None and _belongs(capture, sender, site) else None
        began = sender.child.started + _TICK_S if sender.child is not None else float("inf")
        for capture in reversed(self._open) if sender.is_ours else ():
            if began >= capture.opened_at and _belongs(capture, sender, site):
                return capture
        return None


def _belongs(capture: Capture, sender: _Sender, site: Site | None) -> bool:
    """Whether a request is part of a capture, as far as one can tell.

    What is left behind when the capture ends: a subprocess of it goes on belonging to it; code
    of this process does if the capture is a whole cell's and the code is that cell's.
    """
    if site is not None and capture.cell is not None and site.cell != capture.cell:
        return False
    if capture.is_open:
        return True
    if sender.own is not None:
        return capture.is_whole_cell and site is not None
    return True
