"""The flows of one proxy: recorded by the engine, read by everybody else.

`Store` is the engine's `Recorder`. Recording costs about a microsecond a flow on the proxy's own
thread: an id is appended, the flow marked for those who look at it, and put into the queue of the
capture (`nbproxy.store.session`), whose own thread writes it to disk.

Where a flow is. One that is under way, or not on disk yet, is held in memory. Once it is on disk
the store lets go of it: whoever asks for it gets an object made anew from there, and as long as
anybody refers to that object, everybody who asks gets the same one. What a user changes in it is
written back: noticed at once where the model tells (`comment`, `marked`), else when a frame or a
filter is looked at next, and at the latest when the object goes. What cannot be written so that
it comes back equal (an object in `flow.metadata`) stays in memory.

Threads: `opened`, `changed`, `closed` and `body` are called by the one thread that runs the proxy
at that moment and take no lock; all else may be called from any thread and is put in order by a
lock.
"""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import weakref
from array import array
from bisect import bisect_left
from operator import index
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nbproxy.filters.computed import computed
from nbproxy.store.cursor import Cursor
from nbproxy.store.keeping import UNREFERENCED, Lent, Limits, forget_views, references, twin
from nbproxy.store.rows import read_rows
from nbproxy.store.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from nbproxy.model.body import BodySink
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message
    from nbproxy.store.frame import Frame

#: Flows of files that are kept in memory.
IN_MEMORY: Final = 10_000

#: Flows made from disk, or rows read from there, at a time.
_CHUNK: Final = 256
_ROWS: Final = 4096

#: Flows recorded since the frame was brought up to date, after which the writer does it.
_BEHIND: Final = 8192

#: How many flows that users hold are looked through for changes at each look.
_SWEPT: Final = 5000


class Source(Protocol):
    """Where flows lie that are not in memory: a capture that is written, or one that is read."""

    def read(self, ids: Sequence[int]) -> list[HTTPFlow | None]:
        """The flows with these ids, made anew; None for those that are not there."""
        ...

    def columns(self, ids: Sequence[int] | None) -> tuple[list[int], dict[str, list[Any]]]:
        """The values of their columns, for those that are there; ids ascend."""
        ...


class Store:
    """Keeps flows, in the order of their ids.

    Args:
        capture: A file to record to and to keep; by default a private one, which goes with the
            store.
        directory: Folder of private captures.
        body_memory_limit: Bodies larger than this, in bytes, are written while they stream.
        in_memory: So many flows are kept in memory before the first goes to disk; for flows that
            came from a file, and are mostly few.
        limits: What is pruned; nothing by default.
        on_problem: Told in a sentence when the disk refuses, once until it is over; warns by
            default.

    Attributes:
        version: Another number after every change.
        lock: Held while flows are removed or a reader catches up; re-entrant.
        session: The capture that flows are written to.
        limits: How much is kept; change it with `limit`.
        dtype_backend: The dtypes of frames, if nobody asks for others.
    """

    progress: ClassVar[Callable[..., Iterable[int]] | None] = None
    """Shows how far a long run over all flows has come. `nbproxy.owners` sets it."""

    def __init__(
        self,
        *,
        capture: Path | None = None,
        directory: Path | None = None,
        body_memory_limit: int = 256 * 1024,
        in_memory: int = 0,
        limits: Limits | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self.version = 0
        self._versions = itertools.count(1)
        self.lock = threading.RLock()
        self._ids: array[int] = array("q")
        self._held: dict[int, HTTPFlow] = {}
        self._under_way: set[int] = set()  # of these, those that may be live
        self._in_memory = in_memory
        self._lent = Lent()
        self._rewritten: set[int] = set()
        self._cursors: tuple[Cursor, ...] = ()
        self._subscribers: tuple[Callable[[], None], ...] = ()
        self._frame: Frame | None = None
        self._computed: dict[str, int] = {}  # users' columns in it, and of which version
        self._framed = 0  # how many flows there were when it was brought up to date
        self.limits = limits or Limits()
        self.dtype_backend = "default"
        me = weakref.ref(self)
        self._observe = _method(me, Store.changed)
        self._dropped = _method(me, Store._on_dropped)
        self.session = Session(
            capture,
            directory=directory,
            inline_limit_bytes=body_memory_limit,
            on_stored=_method(me, Store._on_stored),
            on_lost=_method(me, Store._on_lost),
            on_problem=on_problem,
        )
        self.source: Source = self.session

    @classmethod
    def over(cls, source: Source, ids: Iterable[int]) -> Store:
        """A store of flows that lie in a capture which others write.

        What is changed in them stays in memory, and is lost with this store.
        """
        store = cls(in_memory=sys.maxsize)
        store.source = source
        store._ids.extend(ids)
        return store

    def stay_in_memory(self) -> None:
        """Keep flows in memory only; whoever asks for this removes them in time."""
        self._in_memory = sys.maxsize

    # -- the engine's side

    def opened(self, flow: Any) -> None:
        """A flow began; it has a request."""
        flow._observer = self._observe  # noqa: SLF001 - how the model lets a store know
        number = flow.id  # given at this moment, unless somebody has asked before
        ids = self._ids
        self._held[number] = flow  # first, so that whoever finds the id finds the flow
        self._under_way.add(number)
        if ids and number <= ids[-1]:
            self._opened_late(number)
        else:
            ids.append(number)
        self._notify()

    def _opened_late(self, number: int) -> None:
        """One whose id is not the highest: it was made earlier than it was opened."""
        with self.lock:
            position = bisect_left(self._ids, number)
            if position == len(self._ids) or self._ids[position] != number:
                self._ids.insert(position, number)
            for cursor in self._cursors:
                cursor.mark(number)

    def changed(self, flow: Any) -> None:
        """What is known of a flow has grown, or its user changed it; others' flows are ignored."""
        if flow._observer is not self._observe:  # noqa: SLF001 - it was removed
            return
        number = flow.id
        for cursor in self._cursors:
            cursor.mark(number)
        if flow._control is None:  # noqa: SLF001 - `flow.live`, on the hot path
            self._under_way.discard(number)
            self._keep(flow)
        else:
            self._under_way.add(number)
        self._notify()

    def closed(self, flow: Any) -> None:
        """A flow is over: it goes to disk."""
        self.changed(flow)

    def _keep(self, flow: HTTPFlow) -> None:
        """Write a flow that is over; until that is done it is held."""
        held = self._held
        held[flow.id] = flow
        if not self._in_memory:
            self.session.put(flow)
            return
        for message in (flow.request, flow.response):
            if message is not None and message.body_size > self.session.inline_limit_bytes:
                self._put_away(message)
        if len(held) > self._in_memory:
            self._in_memory = 0
            for other in list(held.values()):
                if not other.live:
                    self.session.put(other)

    def _put_away(self, message: Message) -> None:
        """Let a large body lie on disk."""
        content = message.raw_content if message.holds_bytes else None
        if content is None:
            return
        sink = self.session.sink()
        sink.write(content)
        stored = sink.close()
        if not sink.truncated:
            message.hold_body(stored)

    @property
    def congested(self) -> bool:
        """True while the disk is slower than the traffic: whoever can should wait."""
        return self.session.congested

    def when_room(self, callback: Callable[[], None]) -> None:
        """Have a callback called once, from any thread, when the disk has caught up."""
        self.session.when_room(callback)

    def body(self) -> BodySink:
        """A place for the bytes of one body that may grow large."""
        return self.session.sink()

    def _notify(self) -> None:
        self.version = next(self._versions)  # `+= 1` could lose one of two threads' changes
        for callback in self._subscribers:
            try:
                callback()
            except Exception:
                # whoever looks on must not stop the proxy, nor fail again with each flow
                self._unsubscribe(callback)
                logging.getLogger("nbproxy").exception("a watcher of the flows failed")

    # -- the writer's side

    def _on_stored(self, stored: list[HTTPFlow], lossy: Container[int]) -> None:
        """Flows are on disk: let go of them. On the writer's thread.

        Args:
            stored: They; nobody else refers to them but who uses them.
            lossy: The ids of those that would not come back from there as they are.
        """
        with self.lock:
            frame = self._frame
            if frame is not None and (computed or len(self._ids) - self._framed > _BEHIND):
                self._catch_up(frame)  # before they go, if users' columns want to see them
            waiting, rewritten = self.session.waiting, self._rewritten
            gone = [flow for flow in stored if flow.id not in lossy and self._let_go(flow, waiting)]
            if not self.limits.none:
                self._prune(stored)
            for index, count in enumerate(references(gone, range(len(gone)))):
                if count > UNREFERENCED and not (
                    forget_views(gone[index]) and references(gone, (index,))[0] <= UNREFERENCED
                ):
                    # changed while it was written? It is written again, once, when it goes
                    flow, number = gone[index], gone[index].id
                    self._lent.add(number, flow, self._dropped, as_stored=number in rewritten)
            if rewritten:
                rewritten.difference_update([flow.id for flow in gone])

    def _let_go(self, flow: HTTPFlow, waiting: Container[int]) -> bool:
        """Hold a flow no more, unless it is under way, or to be written again."""
        number = flow.id
        if self._held.get(number) is not flow or flow.live or number in waiting:
            return False
        del self._held[number]
        return True

    def _on_lost(self, flows: Sequence[HTTPFlow]) -> None:
        """The disk has refused for too long: these can be kept no more. On the writer's thread."""
        self.remove(flow.id for flow in flows)

    def _on_dropped(self, flow: HTTPFlow, *, changed: bool) -> None:
        """Nobody refers to a flow any more that was given out. On any thread; takes no lock."""
        if changed and flow._observer is self._observe:  # noqa: SLF001 - see `opened`
            again = twin(flow)
            self._rewritten.add(again.id)
            self._held[again.id] = again
            self.changed(again)

    # -- limits

    def limit(self, limits: Limits) -> None:
        """Keep so much from now on, and prune what is too much already."""
        with self.lock:
            self.limits = limits
            self._prune()

    def _prune(self, stored: Iterable[HTTPFlow] = ()) -> None:
        """Remove the oldest flows that are over, as the limits say; the lock is held."""
        if not self.limits.none:
            surplus = self.limits.surplus(self._ids, self._is_live, self.columns, stored)
            if surplus:
                self.remove(surplus)

    def _is_live(self, number: int) -> bool:
        flow = self._held.get(number)
        return flow is not None and flow.live

    def _live_ids(self) -> list[int]:
        """Ids of the flows that are under way."""
        return [number for number in list(self._under_way) if self._is_live(number)]

    # -- flows

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> array[int]:
        """The ids of all flows, ascending. Not to be changed; it goes on growing."""
        return self._ids

    def get(self, number: int) -> HTTPFlow | None:
        """The flow with this id, None if it is not here. From disk in some 0.1 ms."""
        flow = self._held.get(number)
        if flow is None:
            flow = self._lent.get(number)
        return flow if flow is not None else self.get_all((number,))[0]

    def get_all(self, ids: Sequence[int]) -> list[HTTPFlow | None]:
        """The flows with these ids; None for those that are not here."""
        held, lent = self._held, self._lent
        found: dict[int, HTTPFlow | None] = {}
        with self.lock:
            missing = []
            for number in ids:
                flow = held.get(number)
                found[number] = flow = flow if flow is not None else lent.get(number)
                if flow is None and number in self:
                    missing.append(number)
            if missing:
                for number, flow in zip(missing, self.source.read(missing), strict=True):
                    if flow is None:
                        continue
                    flow._observer = self._observe  # noqa: SLF001 - see `opened`
                    lent.add(number, flow, self._dropped)
                    found[number] = flow
        return [found[number] for number in ids]

    def each(self, ids: Sequence[int]) -> Iterator[HTTPFlow]:
        """The flows with these ids that are (still) here, one by one; few are in memory at once."""
        for start in range(0, len(ids), _CHUNK):
            for flow in self.get_all(ids[start : start + _CHUNK]):
                if flow is not None:
                    yield flow

    def by_id(self, number: int) -> HTTPFlow:
        """The flow with this id.

        Raises:
            KeyError: There is none (any more).
            TypeError: This is no whole number; those of numpy are.
        """
        number = index(number)
        with self.lock:
            flow = self.get(number) if number in self else None
            if flow is not None:
                return flow
            ids = self._ids
            known = f"ids go from {ids[0]} to {ids[-1]}" if ids else "there are none yet"
        raise KeyError(f"there is no flow with id {number!r}; {known}")

    def __contains__(self, what: object) -> bool:
        """Whether a flow, or the flow with an id, is here."""
        if isinstance(what, int) or hasattr(what, "__index__"):  # ids out of a frame are numpy's
            ids = self._ids
            number = index(what)
            position = bisect_left(ids, number)
            return position < len(ids) and ids[position] == number
        return getattr(what, "_observer", None) is self._observe

    def remove(self, ids: Iterable[int]) -> None:
        """Forget these flows, for good even if one is under way; unknown ids do not matter.

        Raises:
            TypeError: An id is no whole number; those of numpy are.
        """
        wanted = {index(number) for number in ids}  # ids out of a frame are numpy's
        with self.lock:
            count = len(self._ids)  # what is appended meanwhile stays
            before = self._ids[:count]
            gone = {number for number in wanted if number in self}
            if not gone:
                return
            self._ids[:count] = array("q", [number for number in before if number not in gone])
            for number in gone:
                self._detach(number)
            self.limits.forget(gone)
            if self.source is self.session:
                self.session.delete(gone)
            for cursor in self._cursors:
                cursor.forget(gone)
        self._notify()

    def clear(self) -> None:
        """Forget all flows, and give back the space of their bodies once nobody holds them."""
        with self.lock:
            count = len(self._ids)
            if count == 0:
                return
            gone = self._ids[:count]
            last = gone[-1]
            del self._ids[:count]
            for number in [*self._held, *self._lent.ids()]:
                if number <= last:
                    self._detach(number)
            self.limits.forget(None)
            if self.source is self.session:
                self.session.delete(gone if self._ids else None)
            for cursor in self._cursors:
                cursor.forget(None)
        self._notify()

    def _detach(self, number: int) -> None:
        """Let go of a flow that is removed; whoever refers to it may keep it."""
        self._under_way.discard(number)
        for flow in (self._held.pop(number, None), self._lent.pop(number)):
            if flow is not None and flow in self:
                flow._observer = None  # noqa: SLF001 - see `opened`

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all flows that are over are on disk; False if that takes too long."""
        self._sweep()
        return self.session.flush(timeout_s)

    def move(self, path: Path) -> None:
        """Go on recording at another path, with all that was recorded so far; keep that file.

        Raises:
            OSError: It cannot be written.
            FormatError: There is something else.
        """
        self.session.move(path)

    def close(self, *, keep: bool = False) -> None:
        """Recording has ended: callbacks are dropped. Flows and bodies stay readable.

        Args:
            keep: Whether the file stays when nobody needs these flows any more.
        """
        self._subscribers = ()
        self._sweep()
        self.session.close(keep=keep)

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

    def collect(self, cursor: Cursor) -> tuple[array[int], list[int]]:
        """Ids of what is new and of what may have changed since the cursor's last look.

        Hold the lock.
        """
        self._sweep()
        self._prune()
        fresh, changed = cursor.collect(self._ids, self._live_ids)
        return fresh, [number for number in changed if number in self]

    def _sweep(self) -> None:
        """Look for changes in flows that users hold."""
        for flow in self._lent.changed(_SWEPT):
            self.changed(flow)

    # -- columns

    def columns(self, ids: Sequence[int]) -> tuple[list[int], dict[str, list[Any]]]:
        """The values of all columns, for those of these flows that are here; ids ascend.

        Some thousand flows at a time: what is on disk is read from there, without making flows.
        """
        with self.lock:
            held = self._held
            here = [flow for flow in map(held.get, ids) if flow is not None]
            rest = [number for number in ids if number not in held] if len(here) < len(ids) else []
            known = [flow.id for flow in here]
            rows = read_rows(here) if here or not rest else {}
            if not rest:
                return known, rows
            stored, more = self.source.columns(rest)
        if not here:
            return stored, more
        both = stored + known
        order = sorted(range(len(both)), key=both.__getitem__)
        joined = {name: values + rows[name] for name, values in more.items()}
        return [both[i] for i in order], {
            name: [values[i] for i in order] for name, values in joined.items()
        }

    def _catch_up(self, frame: Frame, through: Callable[..., Iterable[int]] = iter) -> Frame:
        """Bring the frame up to date; `through` may show how far it is. The lock is held."""
        fresh, changed = self.collect(frame.cursor)
        frame.update((), ())  # what was removed
        try:
            for new, ids in ((False, changed), (True, fresh)):
                for start in through(range(0, len(ids), _ROWS)):
                    some = ids[start : start + _ROWS]
                    frame.update_rows(*self.columns(some), fresh=new)
                    if computed:
                        self._compute(frame, some, list(self._computed))
        except BaseException:  # an interrupt, or the disk: the next look takes them in
            frame.cursor.mark_all(itertools.chain(changed, fresh))
            raise
        self._framed = len(self._ids)
        if self._computed != computed.versions():
            self._compute_anew(frame, through)
        return frame

    def _compute(self, frame: Frame, ids: Sequence[int], names: Iterable[str]) -> None:
        """Fill users' columns for these flows; the lock is held."""
        known: list[int] = []
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for flow in self.each(ids):  # which come with their bodies
            known.append(flow.id)
            for name, values in columns.items():
                values.append(computed.value(name, flow))
        for name, values in columns.items():
            frame.set_column(name, known, values)

    def _compute_anew(self, frame: Frame, through: Callable[..., Iterable[int]]) -> None:
        """Columns were added, changed or removed: fill them for all flows; the lock is held."""
        now, known = computed.versions(), self._computed
        for name in [name for name, version in known.items() if now.get(name) != version]:
            frame.drop_column(name)
            del known[name]
        new = [name for name in now if name not in known]
        known.update(now)  # now: a function may ask for the frame itself
        try:
            for start in through(range(0, len(self._ids), _ROWS)):
                self._compute(frame, self._ids[start : start + _ROWS], new)
        except BaseException:  # an interrupt: the next look begins anew
            for name in new:
                known.pop(name, None)
                frame.drop_column(name)
            raise

    def frame(self) -> Frame:
        """The frame of all flows, up to date; the lock is held."""
        # not at the top: pandas takes longer to import than the rest of nbproxy
        from nbproxy.store.frame import Frame  # noqa: PLC0415

        if self._frame is None:
            self._frame = Frame(self.cursor())
        return self._catch_up(self._frame, self.progress or iter)

    def df(
        self, ids: Sequence[int] | None = None, *, dtype_backend: str | None = None
    ) -> pd.DataFrame:
        """The frame of all flows, or of those with these ids, in their order; the caller's own."""
        backend = self.dtype_backend if dtype_backend is None else dtype_backend
        with self.lock:
            frame = self.frame()
            if ids is None:
                return frame.snapshot(dtype_backend=backend)
            return frame.rows(ids, dtype_backend=backend)


def _method(me: weakref.ref[Store], method: Callable[..., None]) -> Callable[..., None]:
    """A method for others to call, which does not keep the store alive."""

    def call(*args: Any, **kwargs: Any) -> None:
        store = me()
        if store is not None:
            method(store, *args, **kwargs)

    return call
