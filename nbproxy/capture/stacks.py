"""From running code to the cell it is in: the line and the function that ask for something.

A *site* is said from the point of view of the cell that is being run: its number, the line in it
that is being executed, and the innermost function of the notebook on the way to the request. Code
of libraries in between does not count.

Threads are looked at by their stacks, tasks by the chain of coroutines that wait for each other.
Both may run while they are looked at, so what is read is a moment's truth. Nothing of a user's
object is called: only types, instance dictionaries, and attributes of asyncio's own kinds are read.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextvars import Context
    from types import FrameType

Task: TypeAlias = "asyncio.Task[Any]"

# More threads or tasks than this are not looked through for one request.
_MANY: Final = 64
# Frames of clients between the one that waits for a socket and the one that knows it.
_NEAR: Final = 12
_DEEPEST: Final = 400
# What `%%time` and `%%timeit` call the text they run.
_TIMED: Final = ("<timed ", "<magic-timeit")
_POOLS: Final = (
    os.path.join("concurrent", "futures", "thread.py"),  # noqa: PTH118 - the end of a path
    os.path.join("multiprocessing", "pool.py"),  # noqa: PTH118 - as above
)
_INNER: Final = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


@dataclass(frozen=True, slots=True)
class Site:
    """Where in a notebook something was asked for.

    Attributes:
        cell: The number of the cell that was run, as in `In [4]`.
        line: The line in it, from 1; None if it is not known.
        function: The innermost function of the notebook; None for the cell's own level.
    """

    cell: int
    line: int | None = None
    function: str | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """A cell that is being run.

    Attributes:
        cell: Its number.
        thread: The thread it runs in.
        loop: The event loop of that thread, if it has one.
    """

    cell: int
    thread: int
    loop: asyncio.AbstractEventLoop | None = None


class Code(Protocol):
    """Knows a notebook's code. Called from any thread; quick."""

    def number(self, file: str) -> int | None:
        """The number of the cell whose code has this file name, None for other code."""
        ...

    def running(self, context: Context | None = None) -> int | None:
        """The cell on whose behalf code runs: the calling code, or that with this context."""
        ...

    def busy(self) -> Busy | None:
        """The cell that is being run just now, wherever."""
        ...


def stack(frame: FrameType | None) -> list[FrameType]:
    """A frame and those that called it, the outermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < _DEEPEST:
        frames.append(frame)
        frame = frame.f_back
    frames.reverse()
    return frames


def site_of(frames: Iterable[FrameType], code: Code, running: int | None = None) -> Site | None:
    """Where these frames are; None if that has nothing to do with a cell.

    Args:
        frames: The outermost first.
        code: The notebook's.
        running: The cell that is being run, if that is known otherwise.
    """
    cell, line, function = running, None, None
    begins: dict[str, int] = {}  # file of a text of this cell -> the line before its first
    for frame in frames:
        file = frame.f_code.co_filename
        number = code.number(file)
        if number is None and not file.startswith(_TIMED):
            continue
        if cell is None:
            cell = number
        if file not in begins:
            if number is not None and number == cell:
                begins[file] = 0
            elif line is not None and _is_top(frame):  # a text that a magic of the cell runs
                begins[file] = line
        if file in begins and frame.f_lineno is not None:
            line = begins[file] + frame.f_lineno
        function = _name(frame) or function
    return None if cell is None else Site(cell, line, function)


def _is_top(frame: FrameType) -> bool:
    return frame.f_code.co_name.startswith(("<module>", "<cell line"))


def is_cell(frames: Iterable[FrameType], code: Code) -> bool:
    """Whether these are frames of a cell itself, from its top level on."""
    own = (each for each in frames if code.number(each.f_code.co_filename) is not None)
    first = next(own, None)
    return first is not None and _is_top(first)


def has_cell(frames: Iterable[FrameType], code: Code) -> bool:
    """Whether any of these frames is of a cell's code."""
    return any(code.number(each.f_code.co_filename) is not None for each in frames)


def is_pooled(frames: Iterable[FrameType]) -> bool:
    """Whether these are frames of a thread that takes what others have for it to do."""
    return any(each.f_code.co_filename.endswith(_POOLS) for each in frames)


def _name(frame: FrameType) -> str | None:
    """The function of a frame, None for the top level; of a comprehension, that around it."""
    parts = frame.f_code.co_qualname.split(".<locals>.")
    while parts and parts[-1] in _INNER:
        parts.pop()
    name = ".<locals>.".join(parts)
    return None if not name or name.startswith(("<module>", "<cell line")) else name


def chain(coroutine: Any) -> list[FrameType]:
    """The frames of a coroutine that waits, and of those it waits for, the outermost first."""
    frames: list[FrameType] = []
    while coroutine is not None and len(frames) < _DEEPEST:
        kind = next((kind for kind in _KINDS if hasattr(coroutine, kind[0])), None)
        if kind is None or getattr(coroutine, kind[0]) is None:
            break
        frames.append(getattr(coroutine, kind[0]))
        coroutine = getattr(coroutine, kind[1])
    return frames


_KINDS: Final = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def tasks(loop: asyncio.AbstractEventLoop | None) -> Iterator[tuple[Task, list[FrameType]]]:
    """A loop's tasks with their frames, unless they are many."""
    if loop is None or loop.is_closed():
        return
    found = asyncio.all_tasks(loop)
    if len(found) <= _MANY:
        for task in found:
            yield task, chain(task.get_coro())


def line_now(cell: int, code: Code) -> int | None:
    """The line that a cell has come to, if it is being run."""
    busy = code.busy()
    if busy is None or busy.cell != cell:
        return None
    frame = sys._current_frames().get(busy.thread)  # noqa: SLF001 - there is no other way
    for frames in (stack(frame), *(frames for _, frames in tasks(busy.loop))):
        if any(_is_top(each) and code.number(each.f_code.co_filename) == cell for each in frames):
            site = site_of(frames, code, cell)
            if site is not None and site.line is not None:
                return site.line
    return None


# -- whose socket it is


def thread_with(descriptor: int, first: int) -> tuple[int, FrameType] | None:
    """The thread that uses a socket now, and its innermost frame; None if none is seen to.

    Args:
        descriptor: The socket's.
        first: The thread to ask first.
    """
    frames = sys._current_frames()  # noqa: SLF001 - as above
    if len(frames) > _MANY:
        return None
    for thread in sorted(frames, key=lambda ident: ident != first):
        near: FrameType | None = frames[thread]
        for _ in range(_NEAR):
            if near is None:
                break
            if any(_descriptor(each) == descriptor for each in _sockets(near)):
                return thread, frames[thread]
            near = near.f_back
    return None


def _sockets(frame: FrameType) -> Iterator[socket.socket]:
    holder = _self(frame)
    if isinstance(holder, socket.socket):
        yield holder
    for value in _attributes(holder):
        if isinstance(value, socket.socket):
            yield value


def _descriptor(sock: socket.socket) -> int:
    return socket.socket.fileno(sock)


def task_with(loop: asyncio.AbstractEventLoop, port: int) -> tuple[Task | None, list[FrameType]]:
    """The task that waits at the socket with this local port, and its frames, if one does."""
    for task, frames in tasks(loop):
        for frame in reversed(frames[-_NEAR:]):
            if any(_port(each) == port for each in _transports(frame)):
                return task, frames
    return None, []


def _transports(frame: FrameType) -> Iterator[asyncio.BaseTransport]:
    holder = _self(frame)
    values = [holder, *_attributes(holder)]
    if isinstance(holder, asyncio.BaseProtocol):  # some have slots
        values.append(getattr(holder, "transport", None))
    for value in values:
        if isinstance(value, asyncio.BaseTransport):
            yield value


def _port(transport: asyncio.BaseTransport) -> int | None:
    name = transport.get_extra_info("sockname")
    return name[1] if isinstance(name, tuple) and len(name) > 1 else None


def _self(frame: FrameType) -> Any:
    """What a method was called on."""
    names = frame.f_code.co_varnames
    return frame.f_locals.get("self") if names[:1] == ("self",) else None


def _attributes(thing: Any) -> list[Any]:
    try:
        return list(object.__getattribute__(thing, "__dict__").values())
    except (AttributeError, TypeError, RuntimeError):  # has none; grows just now
        return []
