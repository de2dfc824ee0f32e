"""Watching scripts' files, and the slow clock of old scripts' `tick`.

One thread looks twice a second at each file's time and size; an editor that writes a new file and
renames it is seen as well. Only the script's own file counts, so one that writes files beside
itself does not start over for ever.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOK_S: Final = 0.5
"""Seconds between two looks at the files."""

TICK_S: Final = 0.1
"""Seconds between two ticks."""

STEADY_S: Final = 0.05
"""Seconds for which a changed file must stay as it is: it may be only half written."""

Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """What changes when a file does; None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watcher:
    """Looks at files in a thread of its own, which lives while there is something to look at.

    Args:
        changed: Called in that thread with a file that has changed and is steady again.
        tick: Called in that thread every `TICK_S`; returns whether it is wanted any more.
    """

    def __init__(self, changed: Callable[[Path], None], tick: Callable[[], bool]) -> None:
        self._changed = changed
        self._tick = tick
        self._files: dict[Path, Stamp | None] = {}
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None
        self._ticking = False
        self._asked_to_tick = False  # since it was last asked whether ticks are wanted

    def watch(self, path: Path, read: Stamp | None) -> None:
        """Look at a file from now on.

        Args:
            path: The file.
            read: Its stamp from before it was read: what changes meanwhile is a change. That of a
                file that is watched already stays, for whoever has read it before.
        """
        with self._lock:
            self._files.setdefault(path, read)
            self._ensure()

    def about_to_read(self, path: Path) -> None:
        """Take a file that is watched as it is now: somebody reads it anew in a moment."""
        with self._lock:
            if path in self._files:
                self._files[path] = stamp(path)

    def look_again(self, path: Path) -> None:
        """Take a file for changed at the next look: nobody had time for it."""
        with self._lock:
            if path in self._files:
                self._files[path] = None

    def forget(self, path: Path) -> None:
        """Look at it no more."""
        with self._lock:
            self._files.pop(path, None)
            if not self._files and not self._ticking:
                self._end()

    def want_ticks(self) -> None:
        """Begin to tick."""
        with self._lock:
            self._ticking = self._asked_to_tick = True
            self._ensure()

    def close(self) -> None:
        """End the thread."""
        with self._lock:
            self._files.clear()
            self._ticking = False
            self._end()

    def _ensure(self) -> None:
        if self._stop is None:
            self._stop = threading.Event()
            thread = threading.Thread(
                target=self._run, args=(self._stop,), name="nbproxy-scripts", daemon=True
            )
            thread.start()

    def _end(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _run(self, stop: threading.Event) -> None:
        rounds = 0
        while not stop.wait(TICK_S if self._ticking else LOOK_S):
            rounds += 1
            if self._ticking:
                self._tick_once(stop)
                if rounds % round(LOOK_S / TICK_S):
                    continue
            self._look(stop)

    def _tick_once(self, stop: threading.Event) -> None:
        self._asked_to_tick = False
        wanted = self._tick()
        with self._lock:
            if stop.is_set():
                return
            self._ticking = wanted or self._asked_to_tick
            if not self._files and not self._ticking:
                self._end()

    def _look(self, stop: threading.Event) -> None:
        with self._lock:
            before = dict(self._files)
        for path, old in before.items():
            now = stamp(path)
            if now is None or now == old:
                continue  # a file that is gone may be on its way back: editors rename
            if stop.wait(STEADY_S) or stamp(path) != now:
                continue  # it is still being written; the next look will see it
            with self._lock:
                if path not in self._files or self._files[path] != old:
                    continue  # somebody else has read it meanwhile
                self._files[path] = now
            self._changed(path)
