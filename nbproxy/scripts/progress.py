"""A line that says how far a long run over many flows has come."""

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


def progress(things: Sequence[T], what: str) -> Iterator[T]:
    """Give things one after the other; after a second, say on standard error how far it is.

    The line is drawn over itself, at most five times a second, and completed at the end.

    Args:
        things: What to go through.
        what: Their name, in the plural.
    """
    total = len(things)
    due = time.monotonic() + _FIRST_S
    shown = False
    for done, thing in enumerate(things):
        if done % 16 == 0 and time.monotonic() >= due:
            _draw(done, total, what, "")
            due = time.monotonic() + _EACH_S
            shown = True
        yield thing
    if shown:
        _draw(total, total, what, "\n")


def _draw(done: int, total: int, what: str, end: str) -> None:
    filled = _WIDTH * done // total
    bar = "█" * filled + "░" * (_WIDTH - filled)
    sys.stderr.write(f"\r{bar} {done:,} of {total:,} {what}{end}")
    sys.stderr.flush()
