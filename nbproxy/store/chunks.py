"""Large bodies in a capture: pieces of some hundred kilobytes, written while they come.

A body that grows is a `Sink`. Up to a limit it stays in memory; then it goes to the writer piece by
piece, and whoever reads meanwhile gets what is on disk, what waits to be written, and what has
just come. `Bodies` knows all that are in memory of one capture: the pieces of a body lie there as
long as a flow in the file or an object here refers to it.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nbproxy.store.session_schema import PIECES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.store.readers import Readers
    from nbproxy.store.reading import File

PIECE_SIZE: Final = 256 * 1024
"""Bytes that are gathered before they go to the writer."""

_PIECE: Final = "SELECT data FROM chunks WHERE id = ?"

MAX_PIECE: Final = 4 * 2**20
"""No piece is larger: it is what one has to hold to read a body bit by bit."""


class Bodies:
    """The large bodies of one capture that are in memory.

    Attributes:
        readers: Connections to where they lie.
        lock: Held while pieces go from memory to disk, or to another file.
        live: Those that somebody refers to, by number.
        released: Numbers of those to which nobody refers any more.
    """

    def __init__(self) -> None:
        self.readers: Readers | None = None
        self._file: File | None = None  # is there as long as one of its bodies is
        # re-entrant: a body may be let go of, at any moment, on the thread that holds it
        self.lock = threading.RLock()
        self.live: weakref.WeakValueDictionary[int, CapturedBody] = weakref.WeakValueDictionary()
        self.released: deque[int] = deque()

    def lie_in(self, file: File) -> None:
        """This is where they are from now on; the lock is held."""
        self._file, self.readers = file, file.readers

    def body(self, number: int, size_bytes: int, *, truncated: bool = False) -> CapturedBody:
        """The body with this number, which is complete."""
        with self.lock:
            found = self.live.get(number)
            if found is None:
                found = CapturedBody(self, number, size_bytes, truncated=truncated)
                self.live[number] = found
            return found

    def shift(self, by: int) -> None:
        """Bodies have higher numbers from now on; the lock is held."""
        if by:
            bodies = list(self.live.values())
            self.live.clear()
            for body in bodies:
                if body.number is not None:
                    body.number += by
                    self.live[body.number] = body
            self.released = deque(number + by for number in self.released)

    def piece(self, body: CapturedBody, at: int) -> bytes | None:
        """A piece of a body from disk; None if there is no such piece.

        Raises:
            OSError: It cannot be read.
        """
        while True:
            with self.lock:
                readers, number = self.readers, body.number
            if readers is None or number is None:
                raise OSError("a recorded body is gone: its capture was never written")
            try:
                found = readers.rows(_PIECE, (number * PIECES + at,))
            except (OSError, sqlite3.Error) as error:
                with self.lock:  # held while the capture moves
                    if self.readers is readers:
                        raise OSError(f"a recorded body cannot be read: {error}") from error
                continue
            return found[0][0] if found else None


class CapturedBody:
    """A complete body in a capture.

    Attributes:
        size_bytes: How many bytes are there.
        truncated: True if the disk refused some, so that the end is missing.
    """

    __slots__ = ("__weakref__", "home", "number", "size_bytes", "truncated")

    def __init__(
        self, home: Bodies, number: int | None, size_bytes: int, *, truncated: bool = False
    ) -> None:
        self.home = home
        self.number = number
        self.size_bytes = size_bytes
        self.truncated = truncated

    def __del__(self) -> None:
        if self.number is not None:
            self.home.released.append(self.number)

    def __len__(self) -> int:
        return self.size_bytes

    def __repr__(self) -> str:
        cut = ", truncated" if self.truncated else ""
        return f"<{type(self).__name__} {self.size_bytes} bytes{cut}>"

    def read(self) -> bytes:
        """All of it.

        Raises:
            OSError: The file is gone or damaged.
        """
        pieces = list(self.chunks())
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunks(self, size_bytes: int = 2**20) -> Iterator[bytes]:
        """All of it in pieces of at most this size, without holding it whole.

        Raises:
            OSError: The file is gone or damaged.
        """
        missing = self.size_bytes
        at = 0
        while missing > 0:
            data = self.home.piece(self, at)
            if not data:
                raise OSError(
                    f"a recorded body is damaged: {missing} of {self.size_bytes} bytes are gone"
                )
            at += 1
            missing -= len(data)
            yield from _cut(data, size_bytes)


def _cut(data: bytes, size_bytes: int) -> Iterator[bytes]:
    if len(data) <= size_bytes:
        yield data
        return
    for start in range(0, len(data), size_bytes):
        yield data[start : start + size_bytes]


class Sink(CapturedBody):
    """A body that is being written: by one writer, in order, while others may read it.

    Args:
        home: Where it goes.
        limit_bytes: Up to so many bytes stay in memory.
        hand: Takes (sink, piece) to the writer.

    Attributes:
        lost_bytes: How many bytes were left out.
        written: How many of its pieces are on disk.
        closed: True once it is complete.
    """

    __slots__ = (
        "_hand",
        "_limit",
        "_pending",
        "_pending_bytes",
        "_waiting",
        "closed",
        "lost_bytes",
        "written",
    )

    def __init__(self, home: Bodies, limit_bytes: int, hand: Callable[[Sink, bytes], Any]) -> None:
        super().__init__(home, None, 0)
        self._hand = hand
        self._limit = limit_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._waiting: deque[bytes] = deque()
        self.written = 0
        self.lost_bytes = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        """Append; never raises, never waits."""
        if self.truncated:
            self.lost_bytes += len(data)
            return
        self._pending.append(bytes(data))  # a copy only if it is a buffer that may change
        self._pending_bytes += len(data)
        self.size_bytes += len(data)
        if self._pending_bytes > self._limit:
            self._flush()
            self._limit = PIECE_SIZE - 1

    def _flush(self) -> None:
        """Hand what has come to the writer."""
        with self.home.lock:
            data = b"".join(self._pending)
            self._pending = []
            self._pending_bytes = 0
            pieces = list(_cut(data, MAX_PIECE))
            self._waiting.extend(pieces)
        for piece in pieces:
            self._hand(self, piece)

    @property
    def in_memory(self) -> bool:
        """True if all there is is in memory, and nothing of it goes to disk."""
        return not self.written and not self._waiting

    def piece_written(self) -> None:
        """The oldest waiting piece is on disk; the lock is held."""
        self.written += 1
        if self._waiting:
            self._waiting.popleft()

    def give_up(self) -> None:
        """The disk takes no more: what waits is lost, and so is all that follows."""
        with self.home.lock:
            lost = sum(map(len, self._waiting)) + self._pending_bytes
            self._waiting.clear()
            self._pending = []
            self._pending_bytes = 0
            self.size_bytes -= lost
            self.lost_bytes += lost
            self.truncated = True

    def chunks(self, size_bytes: int = 2**20) -> Iterator[bytes]:
        """What there is so far, in pieces; from any thread.

        Raises:
            OSError: The file is gone or damaged.
        """
        with self.home.lock:
            written = self.written
            rest = [*self._waiting, *self._pending]
        for at in range(written):
            data = self.home.piece(self, at)
            if data is None:
                raise OSError(f"a recorded body is damaged: piece {at} of {written} is gone")
            yield from _cut(data, size_bytes)
        for data in rest:
            yield from _cut(data, size_bytes)

    def close(self) -> bytes | CapturedBody:
        """End it: bytes if it is small, else this object."""
        if self.in_memory and not self.truncated:
            self.closed = True
            return b"".join(self._pending)
        if self._pending:
            self._flush()
        self.closed = True
        return self
