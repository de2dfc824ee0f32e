"""Live tables: what `nbproxy.flows` shows as the last line of a cell grows while traffic passes.

A table is displayed once, under an id, and then updated in place. The proxy only sets a flag when
something changes; a thread of its own draws and sends, at most four times a second, and less often
where drawing takes long, so that it never has more than a twentieth of the time. Once nothing
changes any more nothing is sent, and what was sent last stays in the saved notebook: the table is
a static one there, in nbconvert, and after the extension was unloaded.

A cell that is run again gets new tables and gives up its old ones; beyond `MAX_TABLES` the oldest
stand still.
"""

from __future__ import annotations

import contextlib
import contextvars
import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

from nbproxy.engine.runner import daemon
from nbproxy.notebook import tables
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.store.store import Store

    Bundle: TypeAlias = dict[str, str]

#: How many tables are kept up to date.
MAX_TABLES: Final = 8

#: Rows in a table: the newest.
MAX_ROWS: Final = 50

#: Seconds between two updates: four a second.
INTERVAL_S: Final = 0.25

#: Seconds that a first change waits for more of its kind, which mostly follow at once.
GATHER_S: Final = 0.05

#: Part of the time that drawing may take.
SHARE: Final = 0.05

_log = logging.getLogger(__name__)


class LiveTables:
    """The live tables of one notebook.

    Args:
        shell: Where they are displayed.
        cell_key: The id of the cell that is being run, None if it is not known.
        interval_s: Seconds between two updates.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        cell_key: Callable[[], str | None],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._shell = shell
        self._publisher = shell.display_pub
        self._cell_key = cell_key
        self._interval_s = interval_s
        self._lock = threading.Lock()  # guards _tables and _thread
        self._tables: list[_Table] = []
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        self._closing = threading.Event()

    def __len__(self) -> int:
        return len(self._tables)

    def show(self, flows: Flows) -> None:
        """Display flows: live in a kernel, once elsewhere, and slices, which never change."""
        if type(flows) is not Flows or not self._can_update():
            self._publish(draw(flows, live=False))
            return
        self._add(_Table(flows.store, lambda live: draw(flows, live=live), self._cell_key()))

    def follow(self, flows: Flows, picture: Callable[[bool], Bundle]) -> Callable[[], None]:
        """Display what a function makes of flows, and again when they change.

        Args:
            flows: Which.
            picture: Gives the output by media type; told whether more will come. On the first call
                its exceptions are the caller's, later ones are dropped.

        Returns:
            A function that ends it; what was shown last stays.
        """
        if not self._can_update():
            self._publish(picture(False))
            return lambda: None
        table = _Table(flows.store, picture, self._cell_key())
        self._add(table)
        return lambda: self._end(table)

    def _end(self, table: _Table) -> None:
        with self._lock:
            known = table in self._tables
            self._tables = [each for each in self._tables if each is not table]
        if known:
            self._finish(table)

    def _add(self, table: _Table) -> None:
        # the mark of a live table comes with the first update, which runs without a front end
        # never keep: what they save is static
        table.shown = table.draw(live=False)
        self._publish(table.shown, table.display_id)
        with self._lock:
            self._tables.append(table)
            surplus = self._tables[:-MAX_TABLES]
            del self._tables[:-MAX_TABLES]
            if self._thread is None:
                self._thread = daemon(self._serve, "nbproxy-tables")
                self._thread.start()
        table.watch(self._changed)
        for old in surplus:
            self._finish(old)

    def begin_cell(self, key: str | None) -> None:
        """A cell is about to run: its outputs are cleared, so its tables need no more updates."""
        if key is None:
            return
        with self._lock:
            gone = [table for table in self._tables if table.cell_key == key]
            self._tables = [table for table in self._tables if table.cell_key != key]
        for table in gone:
            table.end()

    def close(self) -> None:
        """Bring all tables up to date for a last time, and end the thread."""
        self._closing.set()
        self._changed.set()
        with self._lock:
            tables_, self._tables = self._tables, []
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        for table in tables_:
            self._finish(table)

    def _can_update(self) -> bool:
        """Whether the display can be changed later: in a kernel, and not caught by `%%capture`."""
        has_kernel = getattr(self._shell, "kernel", None) is not None
        return has_kernel and self._shell.display_pub is self._publisher

    def _publish(self, bundle: Bundle, display_id: str | None = None) -> None:
        transient = {"display_id": display_id} if display_id is not None else {}
        self._shell.display_pub.publish(bundle, transient=transient)

    def _update(self, table: _Table, *, live: bool) -> None:
        """Send a table anew if it looks different now; a live one only until it has ended."""
        # in the context of its cell: ipykernel 7 takes the parent of messages from there, and of
        # what is printed; in a copy, since only one thread at a time may be in a context
        context = table.context.copy()
        bundle = context.run(table.draw, live=live)
        with table.sending:
            if bundle == table.shown or (live and table.has_ended):
                return
            context.run(
                self._publisher.publish,
                bundle,
                transient={"display_id": table.display_id},
                update=True,
            )
            table.shown = bundle

    def _finish(self, table: _Table) -> None:
        """Leave a table as it is from now on."""
        table.end()  # what our thread is drawing just now comes too late
        with contextlib.suppress(Exception):  # a fence: a user's filter, a socket that is gone
            self._update(table, live=False)

    def _serve(self) -> None:
        """Update tables as they change, until closed. On the tables' own thread."""
        while True:
            self._changed.wait()
            if self._closing.wait(min(GATHER_S, self._interval_s)):
                return
            self._changed.clear()
            began = time.perf_counter()
            with self._lock:
                due = [table for table in self._tables if table.changed]
            for table in due:
                table.changed = False
                try:
                    self._update(table, live=True)
                except Exception:  # noqa: BLE001 - a fence: see `_finish`
                    _log.debug("a live table could not be updated", exc_info=True)
                    table.unwatch()
            spent_s = time.perf_counter() - began
            if self._closing.wait(max(self._interval_s, spent_s / SHARE)):
                return


class _Table:
    """One display of flows.

    Attributes:
        changed: Whether something may look different since it was drawn last.
        shown: What was sent last.
        sending: Guards `shown` and `has_ended`, and is held while something is sent.
        has_ended: Whether it is not followed any more.
    """

    def __init__(
        self, store: Store, picture: Callable[[bool], Bundle], cell_key: str | None
    ) -> None:
        self.cell_key = cell_key
        self.display_id = uuid.uuid4().hex
        self.context = contextvars.copy_context()
        self.changed = False
        self.shown: Bundle = {}
        self.sending = threading.Lock()
        self.has_ended = False
        self._store = store
        self._picture = picture
        self._wake: threading.Event | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def watch(self, wake: threading.Event) -> None:
        """Ask the store to tell of changes."""
        self._wake = wake
        self._unsubscribe = self._store.subscribe(self._on_change)
        self._on_change()  # for the mark, and what came between drawing and now

    def unwatch(self) -> None:
        """Be told of nothing any more."""
        if self._unsubscribe is not None:
            self._unsubscribe()

    def end(self) -> None:
        """Follow it no more; what is sent of a live one just now has been sent."""
        self.unwatch()
        with self.sending:
            self.has_ended = True

    def draw(self, *, live: bool) -> Bundle:
        """What it looks like now, by media type."""
        return self._picture(live)

    def _on_change(self) -> None:
        """On the proxy's thread, at each change: it must cost nothing."""
        if not self.changed:
            self.changed = True
            if self._wake is not None:
                self._wake.set()


def draw(flows: Flows, *, live: bool) -> Bundle:
    """A table of the newest flows, by media type."""
    return tables.bundle(flows, limit=MAX_ROWS, live=live)
