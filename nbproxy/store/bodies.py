"""Large bodies, in a private temporary file.

A body is held in memory up to a limit; what goes beyond is appended to a spool file that all bodies
share, piece by piece as it comes. The file has no name (it is unlinked at birth, mode 0600), so a
killed process leaves nothing behind; it is closed, and its space given back, when the last body
that lies in it is gone. What the disk refuses is counted and left out: recording never stops
traffic.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import warnings
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_WRITE_SIZE = 128 * 1024  # pieces are gathered up to this: fewer system calls and extents

_FILE_SIZE = 2**30
"""Bodies begun after this go to another file, so that space is given back by and by."""

Extent = tuple[int, int]
"""Offset and length in the spool file."""


class SpoolFile:
    """An unlinked file that only grows, and closes itself when nobody refers to it.

    Raises:
        OSError: It cannot be made.
    """

    __slots__ = ("__weakref__", "_fd", "size_bytes")

    def __init__(self, directory: Path | None = None) -> None:
        with tempfile.TemporaryFile(dir=directory, prefix="nbproxy-") as file:
            self._fd = os.dup(file.fileno())
        self.size_bytes = 0
        # not at exit: threads may still be reading, and the system closes it anyway
        weakref.finalize(self, os.close, self._fd).atexit = False

    def append(self, data: bytes) -> Extent:
        """Write at the end, all or nothing; one writer at a time.

        Raises:
            OSError: The disk is full, or worse.
        """
        start, view = self.size_bytes, memoryview(data)
        at = start
        while view:
            written = os.pwrite(self._fd, view, at)
            at += written
            view = view[written:]
        self.size_bytes = at
        return start, len(data)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes that were written before; from any thread.

        Raises:
            OSError: They are not there any more.
        """
        data = os.pread(self._fd, length, offset)
        if len(data) == length:
            return data
        pieces = [data]
        missing = length - len(data)
        while missing:
            data = os.pread(self._fd, missing, offset + length - missing)
            if not data:
                raise OSError(f"a recorded body is damaged: {missing} of {length} bytes are gone")
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)


class SpooledBody:
    """A complete body in a spool file.

    Attributes:
        size_bytes: How many bytes are there.
        truncated: True if the disk refused some, so that the end is missing.
    """

    __slots__ = ("_extents", "_file", "_rest", "size_bytes", "truncated")

    def __init__(
        self,
        file: SpoolFile | None,
        extents: tuple[Extent, ...],
        rest: bytes = b"",
        *,
        truncated: bool = False,
    ) -> None:
        self._file = file
        self._extents = extents
        self._rest = rest  # what could not be written but was still in memory
        self.size_bytes = sum(length for _, length in extents) + len(rest)
        self.truncated = truncated

    def __len__(self) -> int:
        return self.size_bytes

    def __repr__(self) -> str:
        return f"<SpooledBody {self.size_bytes} bytes{', truncated' if self.truncated else ''}>"

    def read(self) -> bytes:
        """All of it.

        Raises:
            OSError: The file is damaged.
        """
        if self._file is not None and len(self._extents) == 1 and not self._rest:
            return self._file.read(*self._extents[0])
        return b"".join(self.chunks())

    def chunks(self, size_bytes: int = 2**20) -> Iterator[bytes]:
        """All of it in pieces of at most this size, without holding it whole.

        Raises:
            OSError: The file is damaged.
        """
        for offset, length in self._extents:
            assert self._file is not None  # noqa: S101 - extents are places in a file
            for start in range(0, length, size_bytes):
                yield self._file.read(offset + start, min(size_bytes, length - start))
        for start in range(0, len(self._rest), size_bytes):
            yield self._rest[start : start + size_bytes]


class Sink:
    """A body that is being written: by one writer, in order, while others may read it.

    Attributes:
        size_bytes: How many bytes there are so far.
        truncated: True once the disk refused a piece; all that follows is left out.
        lost_bytes: How many bytes were left out.
    """

    __slots__ = (
        "_extents",
        "_file",
        "_pending",
        "_pending_bytes",
        "_spool",
        "lost_bytes",
        "size_bytes",
        "truncated",
    )

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: SpoolFile | None = None
        self._extents: list[Extent] = []
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.size_bytes = 0
        self.truncated = False
        self.lost_bytes = 0

    def write(self, data: bytes) -> None:
        """Append; never raises."""
        if self.truncated:
            self.lost_bytes += len(data)
            return
        self._pending.append(bytes(data))  # a copy only if it is a buffer that may change
        self._pending_bytes += len(data)
        self.size_bytes += len(data)
        limit = _WRITE_SIZE if self._file is not None else self._spool.memory_limit_bytes
        if self._pending_bytes > limit:
            self._flush()

    def _flush(self) -> None:
        data = b"".join(self._pending)
        with self._spool.lock:  # readers must find a piece either here or in the file
            try:
                self._store(data)
            except OSError as error:
                self._refuse(data)
                problem = error
            else:
                return
        self._spool.problem(problem)

    def _store(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._spool.file()
        offset, length = self._file.append(data)
        extents = self._extents
        if extents and sum(extents[-1]) == offset:
            extents[-1] = (extents[-1][0], extents[-1][1] + length)
        else:
            extents.append((offset, length))
        self._pending = []
        self._pending_bytes = 0

    def _refuse(self, data: bytes) -> None:
        """The disk takes no more: keep what memory may hold, count the rest."""
        kept = data[: max(self._spool.memory_limit_bytes, _WRITE_SIZE)]
        lost = len(data) - len(kept)
        self._pending = [kept]
        self._pending_bytes = len(kept)
        self.size_bytes -= lost
        self.truncated = True
        self.lost_bytes += lost

    def _now(self) -> SpooledBody:
        with self._spool.lock:
            return SpooledBody(
                self._file,
                tuple(self._extents),
                b"".join(self._pending),
                truncated=self.truncated,
            )

    def read(self) -> bytes:
        """What there is so far; from any thread.

        Raises:
            OSError: The file is damaged.
        """
        return self._now().read()

    def chunks(self, size_bytes: int = 2**20) -> Iterator[bytes]:
        """What there is so far, in pieces; from any thread.

        Raises:
            OSError: The file is damaged.
        """
        return self._now().chunks(size_bytes)

    def close(self) -> bytes | SpooledBody:
        """End it: bytes if it is small, else a handle to the file."""
        if self._file is None and not self.truncated:
            return b"".join(self._pending)
        if self._pending and not self.truncated:
            self._flush()
        return self._now()


class Spool:
    """Where the large bodies of one store go.

    Args:
        memory_limit_bytes: Bodies up to this size stay in memory.
        directory: Where the file is made; the system's folder for temporary files by default.
        on_problem: Told, once, that bodies cannot be recorded whole, in a sentence for people.

    Attributes:
        lock: Held while a piece moves from memory to the file.
        problems: How many bodies could not be recorded whole.
    """

    def __init__(
        self,
        memory_limit_bytes: int = 256 * 1024,
        directory: Path | None = None,
        on_problem: Callable[[str], None] | None = None,
    ) -> None:
        self.memory_limit_bytes = memory_limit_bytes
        self.lock = threading.Lock()
        self.problems = 0
        self._directory = directory
        self._on_problem = on_problem if on_problem is not None else warn
        self._file: SpoolFile | None = None

    def sink(self) -> Sink:
        """A place for one body."""
        return Sink(self)

    def file(self) -> SpoolFile:
        """The file that new bodies go to; made when it is needed. The lock is held.

        Raises:
            OSError: It cannot be made.
        """
        if self._file is None or self._file.size_bytes >= _FILE_SIZE:
            self._file = SpoolFile(self._directory)
        return self._file

    def release(self) -> None:
        """Let go of the file: new bodies get another. It closes with the last body in it."""
        self._file = None

    def problem(self, error: OSError) -> None:
        """A body could not be written; say so the first time."""
        self.problems += 1
        if self.problems > 1:
            return
        where = self._directory if self._directory is not None else tempfile.gettempdir()
        text = (
            f"bodies above {self.memory_limit_bytes} bytes cannot be recorded whole: writing to "
            f"a temporary file in {where} failed ({error.strerror or error}). Traffic goes on; "
            "such bodies end early and are marked truncated. Free some space there; the next "
            "body is tried anew."
        )
        try:
            self._on_problem(text)
        except Exception:
            logging.getLogger("nbproxy").exception("%s", text)


def warn(text: str) -> None:
    """Tell people by way of `warnings`, and of the log where warnings are errors."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        logging.getLogger("nbproxy").warning("%s", text)
