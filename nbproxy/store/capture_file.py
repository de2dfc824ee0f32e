"""One capture file that this process records to: its connections, its lock, its end.

SQLite in WAL mode: one connection writes, others read at the same time, in this process or
another. Only the writer's thread uses `db`; reading is for any thread.

A process that records holds a lock on `<file>.lock`. It is not taken on the file itself: closing
any other descriptor of a database drops the locks that SQLite has on it (POSIX, fcntl).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import sqlite3
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from nbproxy._version import __version__
from nbproxy.errors import FormatError
from nbproxy.store import session_schema as schema
from nbproxy.store.readers import Readers, connect, transaction
from nbproxy.store.staying_open import StayingOpen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOG: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file while it is in use; needed to read it after a crash."""

_LOOKING_S: Final = 0.1
"""A lock may be held for a moment by whoever looks whether it is held (`captures.recover`)."""

_LOG_SIZE: Final = 16 * 2**20
_SAFE: Final = "synchronous = NORMAL"
"""What was written survives a crash of the machine: the disk is waited for now and then."""

_QUICK: Final = "synchronous = OFF"
"""What was written survives the end of the process, however it ends; for files that go with it."""

_PRAGMAS: Final = (
    "journal_mode = WAL",
    "wal_autocheckpoint = 2000",
    f"journal_size_limit = {_LOG_SIZE}",
    "secure_delete = FAST",
    "temp_store = MEMORY",
)


def beside(path: Path, suffix: str) -> Path:
    """The file that belongs to a capture, with this suffix."""
    return path.with_name(path.name + suffix)


def remove(path: Path) -> None:
    """Remove a capture and what belongs to it; what cannot be removed stays."""
    for suffix in ("", *LOG, ".lock"):
        with contextlib.suppress(OSError):
            beside(path, suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """A name beside a capture for what is to take its place; removed in the end if it has not.

    Raises:
        OSError: It cannot be written, which is said of the capture.
    """
    part = beside(path, f".{secrets.token_hex(4)}.part")
    try:
        yield part
    except OSError as error:
        if str(error.filename).startswith(str(part)):
            error.filename = str(path)
        raise
    finally:
        remove(part)


def take_lock(path: Path) -> int | None:
    """Hold a capture's lock, as a descriptor; None if somebody else does.

    Raises:
        OSError: The lock's file cannot be made. A missing folder is said of the capture.
    """
    lock = beside(path, ".lock")
    deadline = time.monotonic() + _LOOKING_S
    while True:
        fd = _open_lock(lock, path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), lock.stat()):
                    return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                return None
            time.sleep(_LOOKING_S / 10)
        except OSError:
            os.close(fd)
            raise
        os.close(fd)  # whoever had it has just removed it, or may be about to


def _open_lock(lock: Path, path: Path) -> int:
    """The file of a capture's lock, made if it is not there."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        text = "the folder of this capture does not exist"
        raise FileNotFoundError(error.errno, text, str(path)) from None
    except NotADirectoryError as error:
        text = "what should be the folder of this capture is a file"
        raise NotADirectoryError(error.errno, text, str(path)) from None


def release_lock(path: Path, lock: int) -> None:
    """Give a capture's lock back, and remove its file."""
    with contextlib.suppress(OSError):
        beside(path, ".lock").unlink(missing_ok=True)
    os.close(lock)


def replace_file(part: Path, path: Path) -> None:
    """Put a capture that is complete in the place of another one, or of none.

    Raises:
        FormatError: That one is being recorded.
        OSError: It cannot be done.
    """
    lock = take_lock(path)
    if lock is None:
        raise FormatError("this capture is being recorded: use another name", str(path))
    try:
        for suffix in LOG:  # of the old one: it would be taken for one of the new
            beside(path, suffix).unlink(missing_ok=True)
        part.replace(path)
    finally:
        release_lock(path, lock)


class _Ending:
    """What has to be closed or removed in the end, apart from the object that is then gone."""

    def __init__(self, path: Path, *, temporary: bool) -> None:
        self.path = path
        self.temporary = temporary
        self.pid = os.getpid()
        self.lock: int | None = None
        self.db: sqlite3.Connection | None = None
        self.readers: Readers | None = None
        self.staying: StayingOpen | None = None

    def __call__(self) -> None:
        if self.pid != os.getpid():  # a forked child: all of this is its parent's
            return
        if self.readers is not None:
            self.readers.close()
        if self.db is not None:
            self.close(self.db)
        if self.temporary:
            remove(self.path)
        self.unlock()

    def close(self, db: sqlite3.Connection) -> None:
        """Close the connection that writes: others may be the last now."""
        self.db = None
        staying, self.staying = self.staying, None
        if staying is not None:
            staying.let_go()
        db.close()
        if staying is not None:
            staying.close()

    def unlock(self) -> None:
        """Let go of the lock, and of its file."""
        if self.lock is not None:
            release_lock(self.path, self.lock)
            self.lock = None


class CaptureFile:
    """A capture that this process records to.

    Args:
        path: Where it is, or is to be.
        temporary: Whether it is removed when nobody needs it any more.
        lock: Its lock, if this process has that already.

    Attributes:
        db: The connection that writes.
        readers: Those that read.
        identity: Device and inode of the file.
        next_keys: The first free keys in it when it was opened: of flows, connections, bodies.

    Raises:
        FormatError: It is something else, or somebody records to it.
        OSError, sqlite3.Error: It cannot be made or opened.
    """

    def __init__(self, path: Path, *, temporary: bool, lock: int | None = None) -> None:
        self._ending = ending = _Ending(path, temporary=temporary)
        if temporary:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # before there is a file: one that is locked by nobody is a leftover (see `captures`)
        ending.lock = lock if lock is not None else take_lock(path)
        if ending.lock is None:
            raise FormatError(
                "this capture is being recorded by somebody else: use another name", str(path)
            )
        made = False
        try:
            made = _make(path)
            self.identity = identity = _identity(path)
            self.readers = ending.readers = Readers(lambda: _reader(path, identity))
            self.db = ending.db = self._open()
            ending.staying = None if temporary else StayingOpen(path)
            self.next_keys = self._next_keys()
        except BaseException:
            ending.temporary = made
            ending()
            raise
        self._finalizer = weakref.finalize(self, ending)
        self._finalizer.atexit = False  # see `end_all`
        _files.add(self)

    def _open(self) -> sqlite3.Connection:
        db = connect(self.path)
        try:
            # first: a busy disk may take a second to say that it has an empty file
            db.execute(f"PRAGMA {_QUICK if self.temporary else _SAFE}").fetchall()
            schema.prepare(db, str(self.path))
            for pragma in _PRAGMAS:
                db.execute(f"PRAGMA {pragma}").fetchall()
            with transaction(db):
                db.execute("INSERT OR IGNORE INTO meta VALUES ('started', ?)", (time.time(),))
                note(db, nbproxy=__version__, pid=os.getpid(), ended=None, discarded=None)
        except BaseException:
            db.close()
            raise
        return db

    def _next_keys(self) -> tuple[int, int, int]:
        (keys,) = self.db.execute(
            "SELECT (SELECT max(id) FROM flows), (SELECT max(id) FROM connections),"  # noqa: S608 - a constant
            f" (SELECT max(id) / {schema.PIECES} FROM chunks)"
        ).fetchall()
        flows, connections, bodies = (0 if key is None else max(key + 1, 0) for key in keys)
        return flows, connections, max(bodies, 1)

    # -- state

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._ending.path

    @property
    def temporary(self) -> bool:
        """Whether it is removed when nobody needs it any more."""
        return self._ending.temporary

    @property
    def is_there(self) -> bool:
        """Whether the file still is where it was made."""
        try:
            return _identity(self.path) == self.identity
        except OSError:
            return False

    @property
    def size_bytes(self) -> int:
        """What it takes on disk now."""
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += beside(self.path, suffix).stat().st_size
        return total

    # -- its end

    def reopen(self) -> None:
        """Have new connections: the old ones may have seen the disk in a bad state.

        Raises:
            sqlite3.Error, OSError, FormatError: It cannot be opened (now); it is as before.
        """
        db, self.db = self.db, self._open()
        self._ending.db = self.db
        self.readers.reset()
        db.close()

    def finish(self, *, keep: bool) -> None:
        """Nothing more is written. Reading goes on.

        Args:
            keep: Whether the file stays when nobody needs it any more.
        """
        db = self.db
        now = time.time()
        if self._ending.staying is not None:
            self._ending.staying.let_go()
        # what fails here is in the file's log; whoever opens it next puts that in order
        with contextlib.suppress(sqlite3.Error):
            with transaction(db):
                note(db, ended=now, **({} if keep else {"discarded": now}))
            if keep:
                self.readers.reset()
                db.execute(f"PRAGMA {_SAFE}").fetchall()
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                db.execute("PRAGMA busy_timeout = 0").fetchall()
                # one plain file, which can be read from a read-only disk too; unless others read
                db.execute("PRAGMA journal_mode = DELETE").fetchall()
        self._ending.close(db)
        self._ending.temporary = not keep
        if keep:
            self._ending.unlock()

    def dismiss(self) -> None:
        """Another file has taken its place: end it, and remove it if it is temporary."""
        if not self.temporary:
            self.finish(keep=True)
        self.end()

    def give_way(self) -> int | None:
        """Its file is gone, another takes its name: close it, touch nothing, give up the lock."""
        self.readers.reset()
        self._finalizer.detach()
        self._ending.close(self.db)
        lock, self._ending.lock = self._ending.lock, None
        return lock

    def end(self) -> None:
        """Nobody may use it any more; a temporary one is removed."""
        self._finalizer.detach()
        self._ending()  # finalizers do nothing themselves while the process ends

    def in_child(self) -> None:
        """This is a forked child: what is open is the parent's, and must not even be closed."""
        _leaked.append((self._ending.db, self.readers.leak()))
        self._ending.db = None
        if self._ending.staying is not None:
            self._ending.staying.close()  # the parent's hold stays
            self._ending.staying = None
        if self._ending.lock is not None:
            os.close(self._ending.lock)  # the parent's lock stays
            self._ending.lock = None


_files: weakref.WeakSet[CaptureFile] = weakref.WeakSet()
_leaked: Final[list[Any]] = []


def end_all() -> None:
    """The process ends, and all writers have."""
    for file in list(_files):
        file.end()


def _in_child() -> None:
    for file in list(_files):
        file.in_child()


os.register_at_fork(after_in_child=_in_child)


def note(db: sqlite3.Connection, **facts: Any) -> None:
    """Set facts about a capture."""
    for name, value in facts.items():
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def _reader(path: Path, identity: tuple[int, int]) -> sqlite3.Connection:
    db = connect(path, "ro")
    if _identity(path) != identity:
        db.close()
        raise FileNotFoundError(f"the capture {path} was replaced by another file")
    return db


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _make(path: Path) -> bool:
    """An empty file that only its owner may read, unless there is one; whether it was made."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True
