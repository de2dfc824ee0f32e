"""A capture that is only read: while another process records to it, on a read-only disk, old."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from nbproxy.errors import FormatError
from nbproxy.store import session_schema as schema
from nbproxy.store.capture_file import beside, release_lock, take_lock
from nbproxy.store.readers import Readers, connect

if TYPE_CHECKING:
    from typing import Literal

    Mode = Literal["ro", "immutable"]


_HEAD: Final = 72  # bytes of SQLite's header up to the application's number, at 68


def is_capture(path: Path) -> bool:
    """Whether a file is a capture, as far as its header tells.

    SQLite looks, as far as it can: if we opened the file ourselves, closing it would drop the
    locks by which this process records to it, or reads it (POSIX, fcntl). Any other program that
    then looked at it would take it for one that nobody has open, and remove its log in the end.

    Raises:
        OSError: It cannot be read.
    """
    _see(path)
    location = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(location, uri=True)) as db:
            [(found,)] = db.execute("PRAGMA application_id").fetchall()
        return bool(found == schema.APPLICATION_ID)
    except sqlite3.Error:  # it is no database, or it is damaged, or lies on a read-only disk
        with path.open("rb") as file:
            head = file.read(_HEAD)
    number = schema.APPLICATION_ID.to_bytes(4, "big")
    return head.startswith(b"SQLite format 3\0") and head[68:] == number


def _see(path: Path) -> None:
    """A clear error if a file cannot be read at all, without opening it.

    Raises:
        OSError: As opening it would.
    """
    if stat.S_ISDIR(path.stat().st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


class SavedFile:
    """A capture that this process only reads.

    One of an older version is brought up to date where it lies. Where that cannot be done, and
    where a capture on a read-only disk was not closed properly, a private copy is made, which goes
    with this object.

    Attributes:
        path: Where it is.
        readers: Connections to it, or to the copy.

    Raises:
        FormatError: It is damaged, of a newer version, or no capture.
        OSError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _see(path)
        try:
            source, mode, version = self._open()
            if version == 0:
                raise FormatError("this is an empty file, not a capture", str(path))
            if version < schema.VERSION:
                source, mode = self._update(source, mode), "ro"
        except sqlite3.Error as error:
            raise FormatError(f"this capture cannot be read ({error})", str(path)) from error
        self.readers = Readers(lambda: connect(source, mode))

    @property
    def is_there(self) -> bool:
        """Whether it still is there."""
        return self.path.exists()

    @property
    def size_bytes(self) -> int:
        """What it takes on disk now."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_size
        return 0

    def _open(self) -> tuple[Path, Mode, int]:
        """The file to read, how, and its version."""
        path = self.path
        try:
            return path, "ro", _version(path, path, "ro")
        except sqlite3.OperationalError:
            # a log cannot be read without writing beside it, if nobody has the file open
            log = beside(path, "-wal")
            if not log.exists() or not log.stat().st_size:
                return path, "immutable", _version(path, path, "immutable")
        copy = self._place()
        shutil.copyfile(path, copy)
        shutil.copyfile(log, beside(copy, "-wal"))
        connect(copy).close()  # brings the log into the file
        return copy, "ro", _version(copy, path, "ro")

    def _place(self) -> Path:
        """Where a copy can be made."""
        folder = tempfile.mkdtemp(prefix="nbproxy-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder, self.path.name)

    def _update(self, source: Path, mode: Mode) -> Path:
        """Bring an older version up to date; the file that then is to be read."""
        if source == self.path and mode == "ro":
            with contextlib.suppress(sqlite3.OperationalError, OSError):
                lock = take_lock(source)
                if lock is not None:  # else somebody with an older nbproxy records to it
                    try:
                        _prepare(source)
                    finally:
                        release_lock(source, lock)
                    return source
        if source == self.path:
            source = self._place()
            with (
                contextlib.closing(connect(self.path, mode)) as old,
                contextlib.closing(sqlite3.connect(source)) as new,
            ):
                old.backup(new)
        _prepare(source)
        return source


def _version(path: Path, name: Path, mode: Mode) -> int:
    with contextlib.closing(connect(path, mode)) as db:
        return schema.check(db, str(name))


def _prepare(path: Path) -> None:
    with contextlib.closing(connect(path)) as db:
        schema.prepare(db, str(path))
