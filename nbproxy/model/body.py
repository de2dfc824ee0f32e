"""Bodies that are too large to be kept in memory.

A message holds its body as bytes, or as a `StoredBody`: a handle to bytes that lie elsewhere and
are read when somebody asks. The store makes them; the model only knows how to ask.
"""

from __future__ import annotations

from typing import Protocol


class StoredBody(Protocol):
    """Bytes that lie on disk, still growing or complete."""

    @property
    def size_bytes(self) -> int:
        """How many bytes there are so far."""
        ...

    def read(self) -> bytes:
        """All of them.

        Raises:
            OSError: The file is gone or damaged.
        """
        ...


class BodySink(StoredBody, Protocol):
    """A `StoredBody` that is being written, by one writer, in order."""

    def write(self, data: bytes) -> None:
        """Append; what cannot be stored is counted and left out, the proxy goes on."""
        ...

    def close(self) -> bytes | StoredBody:
        """End it, and give the form in which a message should hold it from now on."""
        ...
