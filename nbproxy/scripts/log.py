"""`nbproxy.log`: what scripts say, by whatever way they say it.

`context.log`, `ctx.log`, the standard `logging` module and `print` of a script all end here, and
what fails in a script. The last entries are kept; what scripts say also appears under the cell
that loaded them.
"""

from __future__ import annotations

import html
import itertools
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT: Final = 10_000
"""Entries that are kept; older ones are forgotten."""

RANKS: Final = {"debug": 0, "info": 1, "alert": 1, "warn": 2, "error": 3}
"""The levels, as mitmproxy calls them, by importance."""

_SHOWN = 1000  # characters of a text in a table
_LOOKED_AT = 20_000  # of which those are chosen
_ROWS = 50  # of a table

_log = logging.getLogger(__name__)


def level_of(name: object) -> str:
    """Our name of a level; what is unknown is "info"."""
    text = str(name).lower()
    text = {"warning": "warn", "critical": "error", "fatal": "error"}.get(text, text)
    return text if text in RANKS else "info"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    Attributes:
        time: Unix seconds.
        level: A key of `RANKS`.
        script: The script's label; "" for nbproxy itself.
        text: What was said.
        number: Counts all entries of the log.
    """

    time: float
    level: str
    script: str
    text: str
    number: int = 0

    @property
    def msg(self) -> str:
        """The text, as mitmproxy's log entries call it."""
        return self.text

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(self.time))
        return f"{clock} {self.level:5} {self.script}: {_shortened(self.text)}"


class Log:
    """The entries, oldest first; grows while scripts run. From any thread.

    Args:
        frame: Makes a DataFrame of rows.

    Example:
        >>> log = Log()
        >>> log.add("warn", "a.py", "odd")
        >>> [entry.text for entry in log.filter(level="warn")]
        ['odd']
    """

    def __init__(self, frame: Callable[[list[dict[str, Any]]], Any] | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._listeners: tuple[Callable[[Entry], None], ...] = ()
        self._told = threading.local()
        self._frame = frame

    def add(self, level: str, script: str, text: object) -> Entry:
        """Append an entry; listeners are told on this thread, but not of what they say thereby."""
        with self._lock:
            entry = Entry(time.time(), level_of(level), script, str(text), next(self._numbers))
            self._entries.append(entry)
        if not getattr(self._told, "busy", False):
            self._told.busy = True
            try:
                for listener in self._listeners:
                    listener(entry)
            except Exception:  # noqa: BLE001 - a fence: listeners are scripts too
                _log.exception("a listener of the log failed")
            finally:
                self._told.busy = False
        return entry

    def subscribe(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Have a function called with each new entry; returns what ends it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not listener)

        return end

    def clear(self) -> None:
        """Forget the entries so far."""
        with self._lock:
            self._entries.clear()

    def filter(self, level: str | None = None, script: str | None = None) -> View:
        """The entries of at least this level, or of scripts whose label contains this; live.

        Args:
            level: "debug", "info", "warn" or "error".
            script: Part of a script's path.

        Raises:
            ValueError: There is no such level.
        """
        return View(self, level, script)

    def entries(self) -> list[Entry]:
        """All entries as they are now."""
        with self._lock:
            return list(self._entries)

    def rows(self) -> list[dict[str, Any]]:
        """A dict for each entry: `time level script text`; time is Unix seconds."""
        return [_row(entry) for entry in self]

    @property
    def df(self) -> Any:
        """A DataFrame with the columns `time` (UTC), `level`, `script`, `text`."""
        return self.to_frame(self.rows())

    def to_frame(self, rows: list[dict[str, Any]]) -> Any:
        """A DataFrame of rows.

        Raises:
            RuntimeError: This log belongs to no proxy.
        """
        if self._frame is None:
            raise RuntimeError("this log belongs to no proxy; .rows() gives its entries")
        return self._frame(rows)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self._entries)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int | slice) -> Any:
        return self.entries()[index]

    def __repr__(self) -> str:
        return _text(self.entries())

    def _repr_html_(self) -> str:
        return _html(self.entries())


class View:
    """Some entries of a log; live as the log is."""

    def __init__(self, log: Log, level: str | None, script: str | None) -> None:
        if level is not None and level_of(level) not in {level, {"warning": "warn"}.get(level)}:
            raise ValueError(f"there is no level {level!r}; there are: {', '.join(RANKS)}")
        self._log = log
        self._least = RANKS[level_of(level)] if level is not None else 0
        self._script = script

    def entries(self) -> list[Entry]:
        """The matching entries as they are now."""
        wanted = self._script
        return [
            entry
            for entry in self._log.entries()
            if RANKS[entry.level] >= self._least and (wanted is None or wanted in entry.script)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """As `Log.rows`."""
        return [_row(entry) for entry in self]

    @property
    def df(self) -> Any:
        """As `Log.df`."""
        return self._log.to_frame(self.rows())

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def __len__(self) -> int:
        return len(self.entries())

    def __getitem__(self, index: int | slice) -> Any:
        return self.entries()[index]

    def __repr__(self) -> str:
        return _text(self.entries())

    def _repr_html_(self) -> str:
        return _html(self.entries())


def _row(entry: Entry) -> dict[str, Any]:
    return {
        "time": entry.time,
        "level": entry.level,
        "script": entry.script,
        "text": entry.text,
    }


def _shortened(text: str) -> str:
    """A text fit to be shown: its first line and, as of a traceback, the last ones."""
    shown = visible(text, _LOOKED_AT, multiline=True)
    if len(shown) <= _SHOWN or "\n" not in shown:
        return visible(text, _SHOWN, multiline=True)
    first, *lines = shown.split("\n")
    kept: list[str] = []
    room = _SHOWN - len(first)
    while lines and len(lines[-1]) < room:
        kept.insert(0, lines.pop())
        room -= len(kept[0]) + 1
    if not kept:
        return visible(text, _SHOWN, multiline=True)
    between = f"  ({len(lines)} more lines)"
    return "\n".join([visible(first, _SHOWN), *([between] if lines else []), *kept])


def _text(entries: list[Entry]) -> str:
    if not entries:
        return "<Log: nothing was said yet>"
    return "\n".join(str(entry) for entry in entries[-_ROWS:])


def _html(entries: list[Entry]) -> str:
    cells = ("time", "level", "script", "text")
    lines = ["<table><thead><tr>", *(f"<th>{name}</th>" for name in cells), "</tr></thead><tbody>"]
    for entry in entries[-_ROWS:]:
        clock = time.strftime("%H:%M:%S", time.localtime(entry.time))
        text = _shortened(entry.text)
        values = (clock, entry.level, entry.script, text)
        row = "".join(f"<td>{html.escape(value)}</td>" for value in values)
        lines.append(f"<tr>{row}</tr>")
    return "".join([*lines, "</tbody></table>"])
