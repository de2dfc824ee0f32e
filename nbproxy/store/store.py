"""The flows of one proxy: recorded by the engine, read by everybody else.

`Store` is the engine's `Recorder`. Recording costs about a microsecond a flow: a flow is appended
to a list and marked for those who look at it; rows are read off flows when somebody wants a frame.

Threads: `opened`, `changed`, `closed` and `body` are called by the one thread that runs the proxy
at that moment and take no lock; all else may be called from any thread and is put in order by a
lock.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

from nbproxy.store.bodies import Spool
from nbproxy.store.cursor import Cursor, by_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import pandas as pd

    from nbproxy.model.body import BodySink
    from nbproxy.model.flow import Flow, HTTPFlow
    from nbproxy.model.message import Message
    from nbproxy.store.frame import Frame


class Store:
    """Keeps flows, in the order of their ids.

    Args:
        body_memory_limit: Bodies larger than this, in bytes, lie in a temporary file.
        spool_dir: Folder of that file; the system's for temporary files by default.
        on_problem: Told once, in a sentence, when bodies cannot be written; warns by default.

    Attributes:
        version: Another number after every change.
        lock: Held while flows are removed or a reader catches up; re-entrant.
        spool: Where large bodies go.
    """

    def __init__(
        self,
        *,
        body_memory_limit: int = 256 * 1024,
        spool_dir: Path | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self.version = 0
        self._versions = itertools.count(1)
        self.lock = threading.RLock()
        self.spool = Spool(body_memory_limit, spool_dir, on_problem)
        self._flows: list[HTTPFlow] = []
        self._cursors: tuple[Cursor, ...] = ()
        self._subscribers: tuple[Callable[[], None], ...] = ()
        self._frame: Frame | None = None
        self._observe = _observer(weakref.ref(self))

    # -- the engine's side

    def opened(self, flow: Any) -> None:
        """A flow began; it has a request."""
        flow._observer = self._observe  # noqa: SLF001 - how the model lets a store know
        flows = self._flows
        number = flow.id  # given at this moment, unless somebody has asked before
        if flows and number <= flows[-1].id:
            self._opened_late(flow)
        else:
            flows.append(flow)
        self._notify()

    def _opened_late(self, flow: HTTPFlow) -> None:
        """One whose id is not the highest: it was made earlier than it was opened."""
        with self.lock:
            if self._position(flow.id) is None:
                insort(self._flows, flow, key=by_id)
            for cursor in self._cursors:
                cursor.mark(flow)

    def changed(self, flow: Any) -> None:
        """What is known of a flow has grown, or its user changed it; others' flows are ignored."""
        if flow._observer is not self._observe:  # noqa: SLF001 - it was removed
            return
        for cursor in self._cursors:
            cursor.mark(flow)
        self._notify()

    def closed(self, flow: Any) -> None:
        """A flow is over; what it holds in memory of large bodies goes to the spool."""
        if flow._observer is self._observe:  # noqa: SLF001 - it was not removed
            limit = self.spool.memory_limit_bytes
            for message in (flow.request, flow.response):
                if message is not None and message.body_size > limit:
                    self._put_away(message)
        self.changed(flow)

    def _put_away(self, message: Message) -> None:
        content = message.raw_content if message.holds_bytes else None
        if content is None:
            return
        sink = self.spool.sink()
        sink.write(content)
        stored = sink.close()
        if not sink.truncated:
            message.hold_body(stored)

    def body(self) -> BodySink:
        """A place for the bytes of one body that may grow large."""
        return self.spool.sink()

    def _notify(self) -> None:
        self.version = next(self._versions)  # `+= 1` could lose one of two threads' changes
        for callback in self._subscribers:
            try:
                callback()
            except Exception:
                # whoever looks on must not stop the proxy, nor fail again with each flow
                self._unsubscribe(callback)
                logging.getLogger("nbproxy").exception("a watcher of the flows failed")

    # -- flows

    def __len__(self) -> int:
        return len(self._flows)

    @property
    def flows(self) -> Sequence[HTTPFlow]:
        """All flows by position, in the order of ids. Read only; it goes on growing."""
        return self._flows

    def by_id(self, number: int) -> HTTPFlow:
        """The flow with this id.

        Raises:
            KeyError: There is none (any more).
        """
        with self.lock:
            position = self._position(number)
            if position is not None:
                return self._flows[position]
            flows = self._flows
            known = (
                f"ids go from {flows[0].id} to {flows[-1].id}" if flows else "there are none yet"
            )
        raise KeyError(f"there is no flow with id {number!r}; {known}")

    def _position(self, number: int) -> int | None:
        flows = self._flows
        position = bisect_left(flows, number, key=by_id)
        found = position < len(flows) and flows[position].id == number
        return position if found else None

    def __contains__(self, flow: object) -> bool:
        return getattr(flow, "_observer", None) is self._observe

    def remove(self, ids: Iterable[int]) -> None:
        """Forget these flows, for good even if one is under way; unknown ids do not matter."""
        gone = set(ids)
        with self.lock:
            count = len(self._flows)  # what is appended meanwhile stays
            before = self._flows[:count]
            self._detach(flow for flow in before if flow.id in gone)
            self._flows[:count] = [flow for flow in before if flow.id not in gone]
            for cursor in self._cursors:
                cursor.forget(gone)
        self._notify()

    def clear(self) -> None:
        """Forget all flows, and give back the space of their bodies once nobody holds them."""
        with self.lock:
            gone = self._flows[:]
            del self._flows[: len(gone)]
            self._detach(gone)
            for cursor in self._cursors:
                cursor.forget(None)
            self.spool.release()
        self._notify()

    def _detach(self, flows: Iterable[HTTPFlow]) -> None:
        for flow in flows:
            if flow in self:
                flow._observer = None  # noqa: SLF001 - see `opened`

    def close(self) -> None:
        """Recording has ended: callbacks are dropped. Flows and bodies stay readable."""
        self._subscribers = ()
        self.spool.release()

    # -- readers

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have a callback called at each change, on the thread that made it.

        It must take no time: set a flag, wake somebody. One that raises is dropped.

        Returns:
            A function that ends it.
        """
        with self.lock:
            self._subscribers = (*self._subscribers, callback)
        return lambda: self._unsubscribe(callback)

    def _unsubscribe(self, callback: Callable[[], None]) -> None:
        with self.lock:
            self._subscribers = tuple(c for c in self._subscribers if c is not callback)

    def cursor(self) -> Cursor:
        """A new reader's place: all flows that are here are news to it. Retire it after use."""
        cursor = Cursor()
        with self.lock:
            self._cursors = (*(c for c in self._cursors if not c.retired), cursor)
        return cursor

    def collect(self, cursor: Cursor) -> tuple[list[HTTPFlow], list[HTTPFlow]]:
        """What is new and what may have changed since the cursor's last look; hold the lock."""
        fresh, changed = cursor.collect(self._flows)
        return fresh, [flow for flow in changed if flow in self]

    def df(self, ids: Sequence[int] | None = None) -> pd.DataFrame:
        """The frame of all flows, or of those with these ids, in the order of ids.

        It belongs to the caller. The columns are those of `nbproxy.store.schema`.
        """
        # not at the top: pandas takes longer to import than the rest of nbproxy
        from nbproxy.store.frame import Frame  # noqa: PLC0415

        with self.lock:
            if self._frame is None:
                self._frame = Frame(self.cursor())
            frame = self._frame
            frame.update(*self.collect(frame.cursor))
            return frame.snapshot() if ids is None else frame.rows(ids)


def _observer(ref: weakref.ref[Store]) -> Callable[[Flow], None]:
    """What flows call when their user changed them; does not keep the store alive."""

    def observe(flow: Flow) -> None:
        store = ref()
        if store is not None:
            store.changed(flow)

    return observe
