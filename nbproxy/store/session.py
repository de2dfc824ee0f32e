"""A session: the capture that a store records to, and reads from again.

A flow that is put is on disk within about 0.2 s: in a private file that goes with the session, or
in one that is kept. Reading makes flows anew; connections are shared between flows, and are the
very objects that wrote them as long as these are there.

Ids of flows and keys of rows: a file that is appended to has rows of earlier processes already,
so a session adds an offset to the ids of its flows. A `Reader` gives the rows of a file new ids.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from array import array
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nbproxy.model import flow as model_flow
from nbproxy.store import captures
from nbproxy.store.batches import Batches
from nbproxy.store.capture_file import CaptureFile, part_of, replace_file
from nbproxy.store.chunks import Bodies, Sink
from nbproxy.store.reading import Shelf
from nbproxy.store.saved_file import SavedFile
from nbproxy.store.schema import COLUMNS, HIDDEN
from nbproxy.store.troubles import warn
from nbproxy.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from pathlib import Path

    from nbproxy.model.flow import HTTPFlow

    T = TypeVar("T")

_END_S: Final = 30.0
_LOOK_S: Final = 10.0
_INLINE: Final = 256 * 1024
_AT_ONCE: Final = 256
_LOWEST: Final = -(2**63)
_MAX_INLINE: Final = 16 * 2**20
"""No body above this lies in a row: one has to hold all of a row to read it."""


class Session:
    """Records flows to a capture.

    Args:
        path: The capture; made if it is not there, appended to if it is. By default a private one
            in `directory`, made when there is something to write, which goes when nobody needs it
            any more.
        directory: Folder of private captures.
        inline_limit_bytes: Bodies above this are written piece by piece while they come.
        on_stored: Told which flows are on disk, and the ids of those of which no equal ones can be
            made from there; called on the writer's thread, which holds no other reference to them.
        on_lost: Told which flows were given up, because the disk has refused for too long.
        on_problem: Told in a sentence what is wrong, once until it is over; warns by default.

    Attributes:
        put: Write a flow that is over, or was changed. Any thread; never waits, never raises. The
            writer's own: it is called for each flow, by the thread that serves all traffic.

    Raises:
        FormatError: `path` is something else, a newer version, or in use.
        OSError, sqlite3.Error: `path` cannot be written.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        directory: Path | None = None,
        inline_limit_bytes: int = 256 * 1024,
        on_stored: Callable[[list[HTTPFlow], Container[int]], None] | None = None,
        on_lost: Callable[[list[HTTPFlow]], None] | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self._limit = limit = [0]
        self._directory = where = [directory]
        self.inline_limit_bytes = inline_limit_bytes
        self._writer = writer = Writer(
            (lambda: captures.new_file(where[0]))
            if path is None
            else CaptureFile(path, temporary=False),
            lambda: limit[0],
            on_stored,
            on_lost,
            on_problem if on_problem is not None else warn,
            keep=path is not None,
        )
        self.put: Callable[[HTTPFlow], None] = writer.put
        # by the garbage collector, on any thread: waits for nothing; at exit see `writer`
        weakref.finalize(self, writer.end).atexit = False

    # -- writing

    @property
    def directory(self) -> Path | None:
        """Folder of private captures, until one is made; None for the user's state folder."""
        return self._directory[0]

    @directory.setter
    def directory(self, value: Path | None) -> None:
        self._directory[0] = value

    @property
    def inline_limit_bytes(self) -> int:
        """Bodies above this are written piece by piece while they come; may be changed."""
        return self._limit[0]

    @inline_limit_bytes.setter
    def inline_limit_bytes(self, value: int) -> None:
        self._limit[0] = min(value, _MAX_INLINE)

    @property
    def path(self) -> Path | None:
        """The capture, once there is one."""
        shelf = self._writer.shelf
        return None if shelf is None else shelf.file.path

    @property
    def lost(self) -> int:
        """How many flows could not be recorded."""
        return self._writer.lost

    @property
    def refusal(self) -> tuple[str, int]:
        """Why the disk takes nothing now, "" if it does, and how many flows wait for it then."""
        return self._writer.refusal

    @property
    def stored_bytes(self) -> int:
        """What the capture takes on disk now."""
        shelf = self._writer.shelf
        return 0 if shelf is None else shelf.file.size_bytes

    def delete(self, ids: Iterable[int] | None) -> None:
        """Delete flows, those that were put before; None: all. Their space is given back."""
        self._writer.delete(None if ids is None else frozenset(ids))

    def sink(self) -> Sink:
        """A place for one body that may grow large."""
        return Sink(self._writer.bodies, self._limit[0], self._writer.put_piece)

    @property
    def waiting(self) -> Container[int]:
        """The ids of the flows that were put, and whose rows are not made yet."""
        return self._writer.waiting

    @property
    def congested(self) -> bool:
        """Whether more waits to be written than should: the disk is slower than the traffic."""
        return self._writer.congested

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call once, from any thread, when it is not congested; at once if it is not."""
        self._writer.when_room(callback)

    def flush(self, timeout_s: float = _END_S) -> bool:
        """Wait until all that was put before is written; False if that takes too long."""
        return self._writer.flush(timeout_s)

    def rest(self, timeout_s: float = 5.0) -> None:
        """Write what waits and end the thread, until there is more to write."""
        self._writer.rest(timeout_s)

    def move(self, path: Path) -> None:
        """Go on at another path, with all that was recorded so far, and keep that file.

        If there is a capture already, this one is appended to it.

        Raises:
            FormatError: There is something else, or a capture that is in use.
            OSError, sqlite3.Error: It cannot be written there. Recording goes on as before.
            RuntimeError: The session is closed.
        """
        self._writer.order(lambda: self._writer.move(path))

    def close(self, *, keep: bool) -> None:
        """Write what waits, and end. Reading goes on.

        Args:
            keep: Whether the file stays when nobody needs it any more.
        """
        self._writer.end(keep=keep, timeout_s=_END_S)

    # -- reading

    def read(self, ids: Sequence[int]) -> list[HTTPFlow | None]:
        """The flows with these ids as they were written, made anew; None for those not there.

        Raises:
            OSError: The capture cannot be read.
        """

        def read(shelf: Shelf) -> list[HTTPFlow | None]:
            offset = shelf.flow_offset
            found = shelf.flows([number + offset for number in ids])
            return [found.get(number + offset) for number in ids]

        flows = self._look(read)
        if flows is None:
            return [None] * len(ids)
        for number, flow in zip(ids, flows, strict=True):
            if flow is not None:
                flow._id = number  # noqa: SLF001 - it has this id already
        return flows

    def columns(self, ids: Sequence[int] | None) -> tuple[list[int], dict[str, list[Any]]]:
        """The values of all columns of flows, by ascending ids; None: of all flows.

        Raises:
            OSError: The capture cannot be read.
        """
        wanted = self.ids() if ids is None else ids

        def read(shelf: Shelf) -> tuple[list[int], dict[str, list[Any]]]:
            offset = shelf.flow_offset
            keys, values = shelf.columns([number + offset for number in wanted])
            return [key - offset for key in keys], values

        found = self._look(read)
        return found or ([], {column.name: [] for column in (*COLUMNS, *HIDDEN)})

    def ids(self) -> list[int]:
        """The ids of the flows that are written, ascending.

        Raises:
            OSError: The capture cannot be read.
        """

        def read(shelf: Shelf) -> list[int]:
            offset = shelf.flow_offset
            return [key - offset for key in shelf.keys(offset)]

        return self._look(read) or []

    def _look(self, read: Callable[[Shelf], T]) -> T | None:
        """Read from the capture, wherever it is or goes meanwhile. None without one."""
        writer = self._writer
        while True:
            shelf = writer.shelf
            if shelf is None:
                return None
            try:
                return read(shelf)
            except (sqlite3.Error, OSError) as error:
                if not writer.ended and not shelf.file.is_there:
                    writer.order(writer.look_again, _LOOK_S)
                with writer.bodies.lock:  # held while the capture goes elsewhere
                    if writer.shelf is shelf:
                        raise OSError(
                            f"the capture {shelf.file.path} cannot be read: {error}"
                        ) from error


class Reader:
    """The flows of a capture, also while another process records to it.

    Rows get ids of this process, in their order; a row keeps the id it got.

    Args:
        path: The capture.
        first_id: The first id to give; by default ids are taken that no flow of this process has.

    Attributes:
        path: The capture.

    Raises:
        FormatError: It is damaged, of a newer version, or no capture.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path, first_id: int | None = None) -> None:
        self.path = path
        file = SavedFile(path)
        bodies = Bodies()
        bodies.lie_in(file)
        self._shelf = Shelf(file, bodies, weakref.WeakValueDictionary())
        self._next_id = first_id
        self._lock = threading.Lock()
        self._keys = array("q")
        self._ids = array("q")

    def ids(self) -> list[int]:
        """The ids of the flows that are there now, ascending.

        Raises:
            OSError: The capture cannot be read.
        """
        with self._lock:
            known = self._keys
            fresh = self._read(lambda shelf: shelf.keys(known[-1] + 1 if known else _LOWEST))
            if self._next_id is None:
                self._ids.extend(model_flow.take_ids(len(fresh)))
            else:
                self._ids.extend(range(self._next_id, self._next_id + len(fresh)))
                self._next_id += len(fresh)
            known.extend(fresh)
            return list(self._ids)

    def _key(self, number: int) -> int | None:
        position = bisect_left(self._ids, number)
        found = position < len(self._ids) and self._ids[position] == number
        return self._keys[position] if found else None

    def _read(self, read: Callable[[Shelf], T]) -> T:
        try:
            return read(self._shelf)
        except sqlite3.Error as error:
            raise OSError(f"the capture {self.path} cannot be read: {error}") from error

    def read(self, ids: Sequence[int]) -> list[HTTPFlow | None]:
        """The flows with these ids, made anew; None for those that are not there (any more).

        Raises:
            OSError: The capture cannot be read.
        """
        keys = [self._key(number) for number in ids]
        wanted = [key for key in keys if key is not None]
        found = self._read(lambda shelf: shelf.flows(wanted))
        flows = [None if key is None else found.get(key) for key in keys]
        for number, flow in zip(ids, flows, strict=True):
            if flow is not None:
                flow._id = number  # noqa: SLF001 - the id of its row
        return flows

    def columns(self, ids: Sequence[int] | None) -> tuple[list[int], dict[str, list[Any]]]:
        """The values of all columns of flows, by ascending ids; None: of all flows.

        Raises:
            OSError: The capture cannot be read.
        """
        by_key = {self._key(number): number for number in (self.ids() if ids is None else ids)}
        wanted = [key for key in by_key if key is not None]
        keys, values = self._read(lambda shelf: shelf.columns(wanted))
        return [by_key[key] for key in keys], values


def write_capture(flows: Iterable[HTTPFlow], path: Path) -> int:
    """Write flows to a capture, which is replaced at once when all of it is written.

    Args:
        flows: In this order; not more than some hundred are held.
        path: Where.

    Returns:
        How many flows were written.

    Raises:
        FormatError: There is a capture which is being recorded.
        OSError: It cannot be written.
    """
    try:
        with part_of(path) as part:
            count = _write(flows, part)
            replace_file(part, path)
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    return count


def _write(flows: Iterable[HTTPFlow], path: Path) -> int:
    file = CaptureFile(path, temporary=False)
    try:
        batches = Batches(file, Bodies(), file.next_keys, lambda: _INLINE)
        count = 0
        source = iter(flows)
        while some := list(islice(source, _AT_ONCE)):
            batches.write([("rows", (some, range(count, count + len(some))))])
            count += len(some)
        file.finish(keep=True)
    finally:
        file.end()
    return count
