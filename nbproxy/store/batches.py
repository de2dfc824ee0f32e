"""Writes batches into a capture: flows, their connections and bodies, in one transaction each.

A thread that makes SQLite take one step a row has to win the interpreter's lock back after each,
which a busy main thread gives away every 5 ms only: 200 rows a second. So many rows are inserted by
one statement, in one step. For the few steps of a batch without pieces of bodies the lock is not
asked for more often than usual: each turn costs the main thread more than waiting costs this one.
"""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections import OrderedDict
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from nbproxy.store import connections, encoding, schema
from nbproxy.store.chunks import MAX_PIECE, CapturedBody, Sink
from nbproxy.store.readers import STATEMENTS, quick_turns, transaction
from nbproxy.store.reading import groups
from nbproxy.store.session_schema import PIECES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbproxy.model.body import StoredBody
    from nbproxy.model.connection import Connection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Fields
    from nbproxy.store.capture_file import CaptureFile
    from nbproxy.store.chunks import Bodies

    Written = tuple[list[HTTPFlow], set[int]]

_MOST: Final = 512
"""Flows whose rows are in memory at the same time, and rows of one statement, whose parameters are
fewer than SQLite's 32,766 then."""

_STEP: Final = 32
"""Statements have a multiple of so many rows, or a power of two: SQLite has to compile each."""

_LOOK_AGAIN: Final = 64
"""After so many batches, columns that rows had not in common may have become so."""

_COMPARED: Final = frozenset({str, int, bool, type(None)})

_MAX_OPEN: Final = 4096
"""Open connections that are watched for their end."""

_FREED_AT_ONCE: Final = 256
_VACUUM_PAGES: Final = 2000


@lru_cache(maxsize=STATEMENTS)
def _insert(table: str, columns: tuple[str, ...], once: tuple[int, ...], rows: int) -> str:
    """A statement that takes the values of some columns, by their numbers, once and first."""
    names = [columns[column] for column in once]
    names += [name for column, name in enumerate(columns) if column not in once]
    marks = [f"?{number}" for number in range(1, len(once) + 1)]
    row = ",".join(marks + ["?"] * (len(columns) - len(once)))
    return (
        f"INSERT OR REPLACE INTO {table} ({','.join(names)}) VALUES {','.join([f'({row})'] * rows)}"  # noqa: S608 - our own names
    )


def insert(db: sqlite3.Connection, table: str, columns: tuple[str, ...], cells: list[Any]) -> None:
    """Insert rows with as few steps as possible.

    What all of many rows have in common is said once, not 500 times: most columns are like that.

    Args:
        db: The capture.
        table: Where to.
        columns: Its columns.
        cells: Their values, row after row: not a tuple a row, for each of which the garbage
            collector would come and look, while it waits for the others.
    """
    once: tuple[int, ...] = ()
    before: list[Any] = []
    left = len(cells) // len(columns)
    if left >= _STEP:
        values = [cells[column :: len(columns)] for column in range(len(columns))]
        once = _common(table, values)
        before = [values[column][0] for column in once]
        rest = [each for column, each in enumerate(values) if column not in once]
        cells = list(chain.from_iterable(zip(*rest, strict=True)))
    width = len(columns) - len(once)
    at = 0
    while left:
        size = min(left, _MOST) if left >= _STEP else 1 << left.bit_length() - 1
        end = at + size * width
        # to say a row again costs less than another statement
        again = -size % _STEP if size > _STEP else 0
        some = before + cells[at:end] + cells[end - width : end] * again
        db.execute(_insert(table, columns, once, size + again), some)
        at = end
        left -= size


_commons: dict[str, tuple[tuple[int, ...], int]] = {}


def _common(table: str, values: Sequence[list[Any]]) -> tuple[int, ...]:
    """Numbers of the columns in which all rows say the same.

    SQLite compiles a statement for each answer, so there are few: columns are left out at once when
    they differ, but come back only when it is time to look at all of them again.
    """
    usual, calls = _commons.get(table, ((), 0))
    looked_at = range(len(values)) if calls % _LOOK_AGAIN == 0 else usual
    once = tuple([column for column in looked_at if _is_one(values[column])])
    once = once[: len(values) - 1]  # rows are told apart by something
    _commons[table] = once, calls + 1
    return once


def _is_one(cells: list[Any]) -> bool:
    """Whether they are all the same to SQLite; bodies are not compared, nor 0.0 with -0.0."""
    return type(cells[0]) in _COMPARED and cells.count(cells[0]) == len(cells)


class Batches:
    """Writes to one capture, and knows what is in it.

    Used by the writer's thread only.

    Args:
        file: Where to.
        bodies: The large bodies that are in memory.
        offsets: What is added to the ids of flows and connections to make keys, and the number of
            the next body.
        inline_limit: Gives the size up to which bodies lie in their rows.

    Attributes:
        live: The connections that are in memory and in the file, by their numbers.
        heads: See `encoding.Place`; of the batch under way.
    """

    def __init__(
        self,
        file: CaptureFile,
        bodies: Bodies,
        offsets: tuple[int, int, int],
        inline_limit: Callable[[], int],
    ) -> None:
        self.file = file
        self.bodies = bodies
        self.flow_offset, self.connection_offset, self.next_body = offsets
        self._inline_limit = inline_limit
        self.inline_limit_bytes = inline_limit()
        self.live: weakref.WeakValueDictionary[int, Connection] = weakref.WeakValueDictionary()
        self._inexact: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._open: OrderedDict[int, Connection] = OrderedDict()
        self._certificates: set[str] = set()
        self._has_messages = True
        self._pages_to_free = False
        # of the transaction under way
        self._new: dict[int, Connection] = {}
        self._pieces: list[Sink] = []
        self._stored: dict[int, tuple[Any, encoding.Stored]] = {}
        self._known: dict[int, tuple[int | None, bool, str | None]] = {}
        self.heads: dict[Fields, encoding.Head] = {}

    # -- what a batch consists of

    def write(
        self,
        steps: Iterable[tuple[str, Any]],
    ) -> Written:
        """Carry out steps in order, in one transaction.

        Args:
            steps: ("flows", flows), ("piece", (sink, data)), ("delete", ids or None),
                ("rows", (flows, keys)) for flows that shall have these keys.

        Returns:
            The flows that are written, and the ids of those that cannot be restored from there.

        Raises:
            sqlite3.Error, OSError: Nothing of it was written.
        """
        self.inline_limit_bytes = self._inline_limit()
        self._new, self._pieces, self._known = {}, [], {}
        written: Written = [], set()
        numbers = [sink for kind, what in steps if kind == "piece" for sink in what[:1]]
        fresh = [sink for sink in numbers if sink.number is None]
        hurry = quick_turns if numbers else contextlib.nullcontext()
        try:
            with hurry, transaction(self.file.db):
                for kind, what in steps:
                    if kind == "flows":
                        offset = self.flow_offset
                        self._flows(what, [flow.id + offset for flow in what], written)
                    elif kind == "rows":
                        flows, keys = what
                        self._flows(flows, keys, written)
                    elif kind == "piece":
                        self._piece(*what)
                    else:
                        self._delete(what)
                self._closed_connections()
                self._free_released()
        except BaseException:
            for sink in fresh:
                if not sink.written:
                    sink.number = None
            raise
        finally:
            self._stored.clear()
            self.heads.clear()
        self._commit()
        return written

    def _commit(self) -> None:
        """What was written is there to stay."""
        with self.bodies.lock:
            for sink in self._pieces:
                sink.piece_written()
        for number, connection in self._new.items():
            self.live[number] = connection
            self._open.pop(number, None)
            if connection.timestamp_start is not None and connection.timestamp_end is None:
                self._open[number] = connection
        while len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
        self._new, self._pieces = {}, []

    # -- flows

    def _flows(self, flows: Sequence[HTTPFlow], keys: Sequence[int], written: Written) -> None:
        stored, (done, lossy) = self._stored, written
        done += flows
        for start in range(0, len(flows), _MOST):
            cells: list[Any] = []
            part = flows[start : start + _MOST]
            for flow, key in zip(part, keys[start:], strict=False):
                row, restorable = encoding.to_row(flow, key, self)
                cells += row
                if not restorable:
                    lossy.add(flow.id)
                elif lossy:
                    lossy.discard(flow.id)  # it is written for the second time
                if stored:
                    stored.clear()
            self._insert_flows(cells, part, lossy)

    def _insert_flows(
        self,
        cells: list[Any],
        flows: Sequence[HTTPFlow],
        lossy: set[int],
    ) -> None:
        db = self.file.db
        width = len(encoding.COLUMNS)
        keys = cells[::width]

        def read_again(indices: Iterable[int]) -> None:
            for index in indices:
                row, restorable = encoding.odd_row(flows[index], keys[index], self)
                cells[index * width : (index + 1) * width] = row
                if not restorable:
                    lossy.add(flows[index].id)

        read_again(encoding.misfits(cells))
        replaced = self._large_bodies(keys)
        try:
            insert(db, "flows", encoding.COLUMNS, cells)
        except (UnicodeEncodeError, OverflowError, sqlite3.InterfaceError, sqlite3.DataError):
            rows = [cells[at : at + width] for at in range(0, len(cells), width)]
            read_again([index for index, row in enumerate(rows) if not encoding.fits(row)])
            insert(db, "flows", encoding.COLUMNS, cells)
        self._write_messages(flows, keys, lossy)
        if replaced:
            self._free(replaced)

    def _write_messages(
        self,
        flows: Sequence[HTTPFlow],
        keys: Sequence[int],
        lossy: set[int],
    ) -> None:
        with_messages = [(i, flow) for i, flow in enumerate(flows) if flow.websocket is not None]
        if not with_messages:
            return
        db = self.file.db
        self._has_messages = True
        for index, flow in with_messages:
            key = keys[index]
            db.execute("DELETE FROM messages WHERE flow = ?", (key,))
            messages, exact = encoding.message_rows(flow, key)
            insert(db, "messages", encoding.MESSAGES, list(chain.from_iterable(messages)))
            if not exact:
                lossy.add(flow.id)

    # -- connections

    @property
    def watches(self) -> bool:
        """True if connections are open whose end has to be noted."""
        return bool(self._open)

    def connection(self, connection: Connection) -> tuple[int | None, bool, str | None]:
        """See `encoding.Place`."""
        number = connection.id
        known = self._known.get(number)
        if known is None:  # looked up once a batch: many flows share one
            self._known[number] = known = (*self._connection_key(connection), _peer(connection))
        return known

    def _connection_key(self, connection: Connection) -> tuple[int | None, bool]:
        number = connection.id
        if number not in self.live and number not in self._new:
            if connections.is_blank(connection):
                return None, True
            self._write_connection(connection)
        exact = connections.is_plain(connection) and connection not in self._inexact
        return number + self.connection_offset, exact

    def _write_connection(self, connection: Connection) -> None:
        row, certificates, exact = connections.to_row(
            connection, connection.id + self.connection_offset
        )
        db = self.file.db
        insert(db, "connections", connections.COLUMNS, list(row))
        for der in certificates:
            fingerprint = connections.fingerprint(der)
            if fingerprint not in self._certificates:
                db.execute("INSERT OR IGNORE INTO certificates VALUES (?, ?)", (fingerprint, der))
        if not exact:
            self._inexact.add(connection)
        self._new[connection.id] = connection

    def _closed_connections(self) -> None:
        """Connections that have closed since they were written are written again."""
        for connection in self._open.values():
            if connection.timestamp_end is not None and connection.id not in self._new:
                self._write_connection(connection)

    def moved_to(self, file: CaptureFile, shifts: tuple[int, int, int]) -> None:
        """All that was written is in another file now, under keys that are so much higher."""
        self.file = file
        self.flow_offset += shifts[0]
        self.connection_offset += shifts[1]
        self.next_body += shifts[2]
        self.bodies.shift(shifts[2])
        self._has_messages = True

    @property
    def has_errands(self) -> bool:
        """Whether there is something to write even if no flow came."""
        return bool(self.bodies.released) or any(
            each.timestamp_end is not None for each in self._open.values()
        )

    # -- bodies

    def store_body(self, content: bytes | StoredBody) -> encoding.Stored:
        """See `encoding.Place`."""
        known = self._stored.get(id(content))
        if known is not None:  # the flow could not be read the plain way
            return known[1]
        stored = self._store_body(content)
        self._stored[id(content)] = (content, stored)
        return stored

    def _store_body(self, content: Any) -> encoding.Stored:
        truncated = getattr(content, "truncated", False) is True
        if isinstance(content, CapturedBody) and content.home is self.bodies:
            if not isinstance(content, Sink) or (content.closed and content.number is not None):
                return None, content.number, content.size_bytes, truncated
            content = content.read()  # still growing: what there is so far
            if len(content) <= self.inline_limit_bytes:
                return content, None, len(content), truncated
        number = self.next_body
        self.next_body += 1
        size, cut = self._copy_body(content, number)
        return None, number, size, cut or truncated

    def _copy_body(self, content: Any, number: int) -> tuple[int, bool]:
        """Write a body from elsewhere; its size, and whether it could not be read to its end."""
        size = count = 0
        pieces: Iterator[bytes]
        if isinstance(content, bytes):
            pieces = (content[at : at + MAX_PIECE] for at in range(0, len(content), MAX_PIECE))
        else:
            pieces = _pieces_of(content)
        try:
            for data in pieces:
                self._insert_piece(number * PIECES + count, data)
                size += len(data)
                count += 1
        except OSError:  # it lies in another file, which is gone
            return size, True
        return size, False

    def _insert_piece(self, key: int, data: bytes) -> None:
        self.file.db.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?)", (key, data))

    def _piece(self, sink: Sink, data: bytes) -> None:
        if sink.truncated:
            return
        if sink.number is None:
            sink.number = self.next_body
            self.next_body += 1
            self.bodies.live[sink.number] = sink
        before = sum(1 for other in self._pieces if other is sink)
        self._insert_piece(sink.number * PIECES + sink.written + before, data)
        self._pieces.append(sink)

    # -- giving space back

    def _large_bodies(self, keys: Iterable[int]) -> set[int]:
        """Numbers of the large bodies of flows that are in the file."""
        if self.next_body == 1:  # there never was one
            return set()
        found: set[int | None] = set()
        for marks, part in groups(keys):
            rows = self.file.db.execute(
                "SELECT request_stored, response_stored FROM flows"  # noqa: S608 - question marks
                f" WHERE id IN {marks}"
                " AND (request_stored IS NOT NULL OR response_stored IS NOT NULL)",
                part,
            )
            for pair in rows.fetchall():
                found.update(pair)
        found.discard(None)
        return found  # type: ignore[return-value] # see above

    def _free(self, numbers: Iterable[int]) -> None:
        """Delete the pieces of bodies to which no flow in the file and no object refers."""
        live = self.bodies.live
        db = self.file.db
        for number in numbers:
            if number in live:
                continue
            used = db.execute(
                "SELECT EXISTS (SELECT 1 FROM flows WHERE request_stored = ?)"
                " OR EXISTS (SELECT 1 FROM flows WHERE response_stored = ?)",
                (number, number),
            ).fetchone()[0]
            if not used:
                db.execute(
                    "DELETE FROM chunks WHERE id >= ? AND id < ?",
                    (number * PIECES, (number + 1) * PIECES),
                )
                self._pages_to_free = True

    def _free_released(self) -> None:
        released = self.bodies.released
        self._free({released.popleft() for _ in range(min(len(released), _FREED_AT_ONCE))})

    def _delete(self, ids: Iterable[int] | None) -> None:
        db = self.file.db
        if ids is None:
            keys = [
                key
                for (key,) in db.execute(
                    "SELECT id FROM flows WHERE id >= ?", (self.flow_offset,)
                ).fetchall()
            ]
        else:
            keys = sorted(number + self.flow_offset for number in ids)
        bodies = self._large_bodies(keys)
        for marks, part in groups(keys):
            db.execute(f"DELETE FROM flows WHERE id IN {marks}", part)  # noqa: S608 - question marks
            if self._has_messages:
                db.execute(f"DELETE FROM messages WHERE flow IN {marks}", part)  # noqa: S608
        self._free(bodies)
        self._pages_to_free = True

    def vacuum(self) -> None:
        """Give some free pages back to the disk."""
        if not self._pages_to_free:
            return
        db = self.file.db
        # a step a page, without any columns: `execute` would stop after the first
        db.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        self._pages_to_free = db.execute("PRAGMA freelist_count").fetchone()[0] > 0


def _pieces_of(content: Any) -> Iterator[bytes]:
    chunks = getattr(content, "chunks", None)
    if chunks is None:
        whole = content.read()
        yield from (whole[at : at + MAX_PIECE] for at in range(0, len(whole), MAX_PIECE))
    else:
        yield from chunks(MAX_PIECE)


def _peer(connection: Connection) -> str | None:
    try:
        return schema.peer(connection)
    except Exception:  # noqa: BLE001 - it may be whatever a handler put there
        return None
