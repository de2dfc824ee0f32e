"""A second hold on a capture that is recorded, which no other code of this process can drop.

SQLite shows by a POSIX lock that it has a file open. All such locks of a process on a file go as
soon as anything in it closes a descriptor of that file: `Path("my.nbproxy").read_bytes()` in a
cell is enough. The next program that looked at the file (`sqlite3`, another kernel) would then take
itself for the last, and remove the log from under us: what came later would be found by nobody.

So the same bytes are locked once more by a lock of Linux that belongs to a descriptor, not to the
process (`F_OFD_SETLK`, fcntl(2)). Elsewhere there is no such lock, and this does nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_SET: Final[int | None] = getattr(fcntl, "F_OFD_SETLK", None)

_SHARED: Final = (0x4000_0000 + 2, 510)
"""Where SQLite locks a file that it has open, and how many bytes (its file format, os_unix.c)."""


class StayingOpen:
    """Others cannot take a file for one that nobody has open, until `let_go`.

    Args:
        path: A database in WAL mode which SQLite has open in this process: nobody waits for a
            lock on all of it then.
    """

    def __init__(self, path: Path) -> None:
        self._fd: int | None = None
        if _SET is None:
            return
        with contextlib.suppress(OSError):
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._set(fcntl.F_RDLCK)  # not on every file system

    def _set(self, kind: int) -> None:
        if self._fd is not None and _SET is not None:
            start, size = _SHARED
            fcntl.fcntl(self._fd, _SET, struct.pack("hhqqi", kind, os.SEEK_SET, start, size, 0))

    def let_go(self) -> None:
        """Give the lock back. The file stays open: closing it drops SQLite's own locks."""
        with contextlib.suppress(OSError):
            self._set(fcntl.F_UNLCK)

    def close(self) -> None:
        """SQLite has the file open no more, or this is a forked child, which has no locks."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
