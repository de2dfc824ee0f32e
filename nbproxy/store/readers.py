"""Connections to a SQLite file, and a pool of those that read."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from nbproxy.errors import FormatError
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

STATEMENTS: Final = 24
"""Compiled statements that a connection keeps; one that inserts 512 rows takes some 1.3 MB."""

_MAX_IDLE: Final = 4
_CACHE_KIB: Final = 512
_BUSY_S: Final = 2.0
_TURN_S: Final = 0.0002
_SHOWN: Final = 200  # characters of a message


class Connection(sqlite3.Connection):
    """One that says `sqlite3.DatabaseError` of a damaged file also where Python cannot.

    SQLite's message quotes the schema; if that is no UTF-8, Python raises a `UnicodeDecodeError`.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See `sqlite3.Connection`."""
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            text = error.object.decode("utf-8", "replace") if error.object else "not UTF-8"
            raise sqlite3.DatabaseError(visible(text, _SHOWN)) from error


def connect(path: Path, mode: Literal["rw", "ro", "immutable"] = "rw") -> sqlite3.Connection:
    """A connection in autocommit mode, for any one thread at a time.

    Args:
        path: The file, which must be there.
        mode: "immutable" is for files that nobody can write, on a read-only disk.

    Raises:
        FormatError: It is no database.
        sqlite3.OperationalError: There is no such file, or it cannot be opened.
    """
    options = mode if mode != "immutable" else "ro&immutable=1"
    db = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={options}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=_BUSY_S,
        cached_statements=STATEMENTS,
        factory=Connection,
    )
    try:
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    except sqlite3.DatabaseError as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise FormatError(f"this is not a capture of nbproxy ({error})", str(path)) from error
    return db


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it is written, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


class QuickTurns:
    """While a block runs, threads take turns more often.

    SQLite's module lets go of the interpreter's lock in every step, a row of a result. A busy
    thread gives it back after `sys.getswitchinterval()` only, 5 ms: reading 200 rows would take a
    second. In turn, a thread that waits for us while we make objects of rows waits less, too.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._usual = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if not self._count:
                self._usual = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual, _TURN_S))
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                sys.setswitchinterval(self._usual)


quick_turns: Final = QuickTurns()


class Readers:
    """Connections for reading one file, which any thread may borrow.

    Args:
        open_one: Makes another.
    """

    def __init__(self, open_one: Callable[[], sqlite3.Connection]) -> None:
        self._open_one = open_one
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for as long as the block takes.

        Raises:
            sqlite3.Error, OSError: The file cannot be opened.
        """
        idle = self._idle
        try:
            db = idle.pop()
        except IndexError:
            db = self._open_one()
        try:
            with quick_turns:
                yield db
        finally:
            if self._idle is idle and not self._closed and len(idle) < _MAX_IDLE:
                idle.append(db)
            else:
                db.close()

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives.

        Raises:
            sqlite3.Error, OSError: The file cannot be read.
        """
        with self.reading() as db:
            return db.execute(query, values).fetchall()

    def reset(self) -> None:
        """Close those that nobody uses now; the others when they are given back."""
        idle, self._idle = self._idle, []
        for db in idle:
            db.close()

    def close(self) -> None:
        """Keep none from now on; reading goes on, one connection each time."""
        self._closed = True
        self.reset()

    def leak(self) -> list[sqlite3.Connection]:
        """Forget all of them without closing any: they are another process's."""
        idle, self._idle = self._idle, []
        return idle
