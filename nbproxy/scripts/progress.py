"""A line that says how far a long run over many things has come."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_FIRST_S: Final = 1.0
_EACH_S: Final = 0.2
_WIDTH: Final = 30


class Bar:
    """The line: from a second on it is drawn over itself on standard error, five times a second.

    Args:
        total: How many things there are.
        what: Their name, in the plural.

    Attributes:
        done: How many are done.
    """

    def __init__(self, total: int, what: str) -> None:
        self.done = 0
        self._total = total
        self._what = what
        self._due = time.monotonic() + _FIRST_S
        self._shown = False

    def step(self, done: int) -> None:
        """So many are done by now."""
        self.done = done
        if time.monotonic() >= self._due:
            self._draw("")
            self._due = time.monotonic() + _EACH_S
            self._shown = True

    def end(self) -> None:
        """It is over: complete the line, if there is one."""
        if self._shown:
            self._draw("\n")

    def _draw(self, end: str) -> None:
        filled = _WIDTH * self.done // max(1, self._total)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        sys.stderr.write(f"\r{bar} {self.done:,} of {self._total:,} {self._what}{end}")
        sys.stderr.flush()


def progress(things: Sequence[T], what: str) -> Iterator[T]:
    """Give things one after the other, and say how far it is.

    Args:
        things: What to go through.
        what: Their name, in the plural.
    """
    bar = Bar(len(things), what)
    for done, thing in enumerate(things):
        if done % 16 == 0:
            bar.step(done)
        yield thing
    bar.done = len(things)
    bar.end()
