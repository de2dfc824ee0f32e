"""What can be wrong with a capture while it is recorded, and how people are told: once each."""

from __future__ import annotations

import errno
import logging
import sqlite3
from typing import TYPE_CHECKING, Final, Literal

from nbproxy.errors import FormatError

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
_MEANWHILE: Final = (
    "Traffic goes on. What comes is kept in memory, up to 20,000 flows or 64 MiB, and written when "
    "that is possible again; beyond it the oldest are lost."
)


def kind_of(error: BaseException) -> Kind:
    """What is wrong, from what was raised."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return "disk" if code is None else _CODES.get(code & 0xFF, "disk")
    if isinstance(error, OSError):
        return _NUMBERS.get(error.errno or 0, "disk")
    return "damaged" if isinstance(error, FormatError) else "disk"


class Trouble:
    """Tells people what is wrong, once for each kind until it is over.

    Args:
        tell: Takes a sentence.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told: set[Kind] = set()

    def met(self, error: Exception, path: Path | None) -> None:
        """The capture could not be written."""
        kind = kind_of(error)
        if kind not in self._told:
            self._told.add(kind)
            where = path if path is not None else getattr(error, "filename", None) or "(a new one)"
            self.say(f"{_TEXTS[kind].format(where=where, error=error)}. {_MEANWHILE}")

    def over(self) -> None:
        """It can be written again."""
        self._told.clear()

    def say(self, text: str) -> None:
        """Tell people something."""
        try:
            self._tell(text)
        except Exception:
            logger.exception("%s", text)
