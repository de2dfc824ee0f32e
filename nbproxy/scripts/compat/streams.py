"""Streaming callables of old scripts: from a generator over all chunks to a call for each chunk.

Until 6.0 `message.stream` could be a function that is called once with an iterator of chunks and
returns an iterable of chunks. The engine calls a function for each chunk, and with b"" at the end.
The generator runs in a thread that always waits for us, or we for it, so never at the same time.
"""

from __future__ import annotations

import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_END: Final = object()


class _Abandoned(Exception):  # noqa: N818 - an outcome
    """The stream ended early: nobody wants the rest."""


class _Channel:
    """What goes to and fro between the engine's call and the generator's thread."""

    def __init__(self) -> None:
        self.inward: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.outward: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.made: list[Any] = []

    def chunks(self, convert: Callable[[bytes], Any]) -> Iterator[Any]:
        """What the generator iterates over; asking for the next gives back control."""
        while (chunk := self.inward.get()) is not _END:
            if chunk is _Abandoned:
                raise _Abandoned
            yield convert(chunk)
            self.outward.put(None)


class Generated:
    """A `stream` callable of today's style over one of the old style.

    Args:
        function: Called once with an iterator of chunks; returns an iterable of chunks.
        convert: From bytes to what the function expects a chunk to be.
        restore: From what it yields to bytes.
    """

    def __init__(
        self,
        function: Callable[[Iterable[Any]], Iterable[Any]],
        convert: Callable[[bytes], Any] = bytes,
        restore: Callable[[Any], bytes] = bytes,
    ) -> None:
        self.function = function
        self._convert = convert
        self._restore = restore
        self._channel: _Channel | None = None
        self._ended = False

    def __call__(self, chunk: bytes) -> list[bytes]:
        """What the generator made of this chunk; raises what it raises."""
        if self._ended:
            return []  # it has ended before its chunks did
        if self._channel is None:
            self._start()
        channel = self._channel
        assert channel is not None  # noqa: S101 - just made
        channel.inward.put(chunk or _END)
        failure = channel.outward.get()
        self._ended = failure is not None
        if failure is not None and failure is not _END:
            raise failure
        made, channel.made = channel.made, []
        return made

    def _start(self) -> None:
        channel = self._channel = _Channel()
        weakref.finalize(self, channel.inward.put, _Abandoned)
        thread = threading.Thread(
            target=_run,
            args=(channel, self.function, self._convert, self._restore),
            name="nbproxy-stream",
            daemon=True,
        )
        thread.start()


def _run(
    channel: _Channel,
    function: Callable[[Iterable[Any]], Iterable[Any]],
    convert: Callable[[bytes], Any],
    restore: Callable[[Any], bytes],
) -> None:
    try:
        for piece in function(channel.chunks(convert)):
            channel.made.append(restore(piece))
    except _Abandoned:
        return
    except BaseException as failure:  # noqa: BLE001 - handed to the caller, whose script it is
        channel.outward.put(failure)
        return
    channel.outward.put(_END)
