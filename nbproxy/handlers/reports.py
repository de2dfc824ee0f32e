"""Telling the user what handlers did wrong: tracebacks cut to his own lines, and hints.

A traceback starts and ends in the user's code: the frames of nbproxy that called the handler, and
those in which a model object refused a value, are left out. If the handler is nbproxy's own
addon, only the calling loop's frames are. A function that cannot be called has no lines at all.
"""

from __future__ import annotations

import os
import pathlib
import sys
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.handlers.handler import place_of
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from nbproxy.handlers.handler import Handler

_SHOWN = 20_000  # characters of a traceback
_PACKAGE = str(pathlib.Path(__file__).parents[1]) + os.sep
# who calls handlers, and the functions of scripts
_CALLING = tuple(str(pathlib.Path(_PACKAGE, room)) + os.sep for room in ("handlers", "scripts"))


class Reporter(Protocol):
    """Where failures and hints are shown.

    Called on the proxy's thread, in a copy of the context in which the handler was registered, so
    that what is printed lands under that cell. An exception out of here is logged and dropped.
    """

    def error(self, handler: Handler, exc: BaseException, flow: Any) -> None:
        """A handler failed, for the first time at this line.

        Args:
            handler: Which.
            exc: Its traceback is cut to the user's frames already.
            flow: The flow it was given, None for hooks that are not about flows.
        """
        ...

    def hint(self, handler: Handler, text: str) -> None:
        """Something about a handler can be done better; `text` is a whole sentence or two."""
        ...


class StderrReporter:
    """Prints to standard error; in a kernel that is the output of the handler's cell."""

    def error(self, handler: Handler, exc: BaseException, flow: Any) -> None:
        """Print a line of introduction and the traceback."""
        # messages may quote the wire, hence the escaping
        text = visible("".join(traceback.format_exception(exc)), _SHOWN, multiline=True)
        print(f"{headline(handler, exc, flow)}\n{text}", end="", file=sys.stderr)  # noqa: T201

    def hint(self, handler: Handler, text: str) -> None:
        """Print one line."""
        print(f"nbproxy: {describe(handler)}: {text}", file=sys.stderr)  # noqa: T201


def describe(handler: Handler) -> str:
    """A handler in a few words: "stamp (response, In [4])"."""
    return f"{handler.name} ({handler.hook}, {handler.source.label})"


def headline(handler: Handler, exc: BaseException, flow: Any) -> str:
    """The line above a traceback: which handler, on what, and what happens now."""
    what = "was interrupted" if isinstance(exc, KeyboardInterrupt) else "failed"
    on = f" on flow {flow.id}" if hasattr(flow, "id") else ""
    return (
        f"nbproxy: {describe(handler)} {what}{on}; traffic goes on, "
        "and the same failure is only counted from now on"
    )


def summary(handler: Handler, exc: BaseException) -> str:
    """A failure in one line: type, message, file and line."""
    kind, file, line = location(exc)
    message = visible(_message(exc), 200)
    if handler.source.kind == "cell" and file == place_of(handler.function)[0]:
        where = f" (line {line} of its cell)"  # a cell's file name says nothing to people
    else:
        where = f" ({pathlib.Path(file).name}:{line})" if file else ""
    return f"{kind}: {message}{where}" if message else f"{kind}{where}"


def location(exc: BaseException) -> tuple[str, str, int]:
    """What tells one failure from another: the type, and file and line of the innermost frame."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(exc).__name__, "", 0
    return type(exc).__name__, trace.tb_frame.f_code.co_filename, trace.tb_lineno


def cut(exc: BaseException) -> None:
    """Cut the traceback of an exception, and of those it came from, to the user's frames."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [exc]
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = _cut(current.__traceback__)
        pending += [current.__cause__, current.__context__]


def _cut(trace: TracebackType | None) -> TracebackType | None:
    frames: list[TracebackType] = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    own = [frame for frame in frames if not _file(frame).startswith(_PACKAGE)]
    own = own or [frame for frame in frames if not _file(frame).startswith(_CALLING)]
    for frame in reversed(own):
        trace = TracebackType(trace, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return trace


def _file(trace: TracebackType) -> str:
    return trace.tb_frame.f_code.co_filename


def _message(exc: BaseException) -> str:
    try:
        return str(exc)
    except Exception:  # noqa: BLE001 - a user's own __str__
        return "(its message cannot be shown)"
