"""What can be wrong with a capture while it is recorded, and how people are told: once each."""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import sqlite3
import warnings
from typing import TYPE_CHECKING, Final, Literal

from nbproxy.errors import FormatError
from nbproxy.store.capture_file import LOG, beside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kind = Literal["full", "denied", "locked", "damaged", "disk"]

logger = logging.getLogger("nbproxy")

_CODES: Final[dict[int, Kind]] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "denied",
    sqlite3.SQLITE_PERM: "denied",
    sqlite3.SQLITE_AUTH: "denied",
    sqlite3.SQLITE_CANTOPEN: "denied",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_ERROR: "damaged",  # tables that are not there any more
}
_NUMBERS: Final[dict[int, Kind]] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOENT: "denied",
    errno.ENOTDIR: "denied",
    errno.EEXIST: "denied",  # a file where a folder should be
}
_TEXTS: Final[dict[Kind, str]] = {
    "full": "there is no room left for the capture {where}: free some space there",
    "denied": "the capture {where} cannot be written ({error}): see to the rights of that folder",
    "locked": "another program has locked the capture {where}: close it there",
    "damaged": "the capture {where} is damaged ({error})",
    "disk": "the disk does not take the capture {where} ({error})",
}
_LIMITED: Final = (
    "the capture {where} has reached the file size limit of this process, {limit:,} bytes: raise "
    "that limit (RLIMIT_FSIZE; ulimit -f in the shell that starts it)"
)
_ABOUT_A_WRITE: Final = 64 * 1024
"""A file that is nearer to a limit than this may be what reached it: a page is at most as large."""

_MEANWHILE: Final = (
    "Traffic goes on. What comes is kept in memory, up to 20,000 flows or 64 MiB, and written when "
    "that is possible again; beyond it the oldest are lost."
)


def warn(text: str) -> None:
    """Tell people by way of `warnings`, and of the log where warnings are errors."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        logger.warning("%s", text)


def kind_of(error: BaseException) -> Kind:
    """What is wrong, from what was raised."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return "disk" if code is None else _CODES.get(code & 0xFF, "disk")
    if isinstance(error, OSError):
        return _NUMBERS.get(error.errno or 0, "disk")
    return "damaged" if isinstance(error, FormatError) else "disk"


def _reached_limit(error: Exception, kind: Kind, path: Path | None) -> int | None:
    """The limit of the size of files, in bytes, if that is what refuses; None if not, or unknown.

    SQLite hides the system's number (EFBIG): to it that is some failed write, so we look how large
    the files of the capture have become.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit == resource.RLIM_INFINITY:
        return None
    if isinstance(error, OSError):
        return limit if error.errno == errno.EFBIG else None
    if not isinstance(error, sqlite3.Error) or kind not in {"full", "disk"}:
        return None
    sizes = [0]
    if path is not None:
        for suffix in ("", *LOG):
            with contextlib.suppress(OSError):
                sizes.append(beside(path, suffix).stat().st_size)
    return limit if max(sizes) + _ABOUT_A_WRITE > limit else None


class Trouble:
    """Tells people what is wrong, once for each kind until it is over.

    Args:
        tell: Takes a sentence.

    Attributes:
        now: What was wrong last, and what to do; "" once it is over.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.now = ""
        self._tell = tell
        self._told: set[Kind] = set()

    def met(self, error: Exception, path: Path | None) -> None:
        """The capture could not be written."""
        kind = kind_of(error)
        if kind not in self._told:
            self._told.add(kind)
            where = path if path is not None else getattr(error, "filename", None) or "(a new one)"
            limit = _reached_limit(error, kind, path)
            text = _TEXTS[kind] if limit is None else _LIMITED
            self.now = text.format(where=where, error=error, limit=limit)
            self.say(f"{self.now}. {_MEANWHILE}")

    def over(self) -> None:
        """It can be written again."""
        self._told.clear()
        self.now = ""

    def say(self, text: str) -> None:
        """Tell people something."""
        try:
            self._tell(text)
        except Exception:
            logger.exception("%s", text)
