"""Appending to a mitmproxy file whose writer may have been killed in the middle of a flow.

What is appended behind half a flow could never be read: the reader would take it for the missing
half. So the end of a file is looked at before anything is appended to it, and an incomplete flow
there is moved into a file of its own.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from nbproxy.errors import FormatError
from nbproxy.formats.tnetstring import MAX_DIGITS, MAX_VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if sys.platform != "win32":
    import fcntl

SUFFIX: Final = ".incomplete"
"""What is added to a file's name for the file that gets its incomplete end."""

_FOLLOWED: Final = 2**28  # some 100,000 flows of 2 kB, a few tenths of a second
_TAIL: Final = 2**20
_PIECE: Final = 2**20
# A flow ends with "}"; so what follows one, digits and a colon, may be the next flow's length.
_START: Final = re.compile(rb"(?<=\})(0|[1-9][0-9]{0,11}):")
_LENGTH: Final = re.compile(rb"(0|[1-9][0-9]{0,11}):")
_CLOSE: Final = ord("}")


@dataclass(frozen=True)
class Mended:
    """What was wrong with a file that something is to be appended to.

    Attributes:
        offset: Where the file ends now: behind its last whole flow.
        size_bytes: How many bytes of an incomplete flow stood there.
        moved_to: The file that has them now.
    """

    offset: int
    size_bytes: int
    moved_to: Path

    def __str__(self) -> str:
        return (
            f"its last flow is incomplete, as after a crash; the {self.size_bytes} bytes from byte "
            f"{self.offset} on were moved to {self.moved_to}"
        )


def open_for_appending(path: Path) -> tuple[BinaryIO, Mended | None]:
    """A file that whole flows can be appended to; private (mode 0600) if it is a new one.

    While another process has it open in this way its end is left alone: that process may be in
    the middle of a flow.

    Args:
        path: A mitmproxy file, or one that is not there yet.

    Returns:
        The file, to be closed by the caller, and what had to be mended, or None.

    Raises:
        FormatError: The file is damaged before its end, so that nothing behind could be read.
        OSError: It cannot be opened, or its incomplete end cannot be moved.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
    special = path.exists() and not stat.S_ISREG(path.stat().st_mode)
    if special:  # a pipe, a terminal: nothing stands in it
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab"), None
    file = os.fdopen(os.open(path, flags, 0o600), "r+b")
    try:
        mended = _mend(file, path) if _alone(file) else None
        file.seek(0, os.SEEK_END)
    except BaseException:
        file.close()
        raise
    return file, mended


def _alone(file: BinaryIO) -> bool:
    """Whether no other process appends to it; the lock ends with the file."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _mend(file: BinaryIO, path: Path) -> Mended | None:
    size = file.seek(0, os.SEEK_END)
    try:
        end = whole_until(file, size)
    except FormatError as error:
        error.file = os.fspath(path)
        raise
    if end == size:
        return None
    target = path.with_name(path.name + SUFFIX)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as spare:
        for piece in _pieces(file, end, size):
            spare.write(piece)
    file.truncate(end)
    return Mended(end, size - end, target)


def _pieces(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    file.seek(start)
    while start < end and (piece := file.read(min(_PIECE, end - start))):
        start += len(piece)
        yield piece


def whole_until(file: BinaryIO, size: int) -> int:
    """Where the last whole flow of a file ends: `size`, unless its end was cut off.

    The lengths of all flows are followed from the first one on, without reading what is between
    them. Of a large file only the last MiB is looked at, if a flow ends there as the file does.

    Args:
        file: Opened in binary mode for reading; where it stands afterwards is not said.
        size: Its size in bytes.

    Raises:
        FormatError: There is something else than flows in it.
    """
    if size > _FOLLOWED and _ends_whole(file, size):
        return size
    position = 0
    while position < size:
        file.seek(position)
        head = file.read(MAX_DIGITS + 1)
        found = _LENGTH.match(head)
        if found is None:
            if position + len(head) == size and head.isdigit():
                return position  # cut inside the length
            raise FormatError("a flow should begin here: the file is damaged", offset=position)
        length = int(found[1])
        if length > MAX_VALUE_BYTES:
            raise FormatError(f"a flow of {length} bytes cannot be", offset=position)
        tag = position + found.end() + length
        if tag >= size:
            return position
        file.seek(tag)
        if file.read(1)[0] != _CLOSE:
            raise FormatError("what begins here is no flow: the file is damaged", offset=position)
        position = tag + 1
    return size


def _ends_whole(file: BinaryIO, size: int) -> bool:
    """Whether a flow within the last bytes ends where the file does."""
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    return tail[-1] == _CLOSE and any(
        found.end() + int(found[1]) + 1 == _TAIL for found in _START.finditer(tail)
    )
