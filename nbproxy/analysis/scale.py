"""An axis of time on which nothing happens for most of the time.

Somebody sends three requests, reads, and sends three more a minute later: on an even axis all six
would be dots. So the busy stretches share the width, and the pauses between them are cut out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAUSE: Final = 0.15  # of all busy time: a longer pause is cut out
_GAP: Final = 18.0  # pixels that stand for a pause
_MARGIN: Final = 0.01  # of all busy time: left at both ends of a stretch
_TICK: Final = 90.0  # pixels between two marks on the axis, at least
_MAX_STRETCHES: Final = 12
_SHORTEST: Final = 1e-3  # seconds: an axis is not shorter, so that its floats can be told apart


class Stretch(NamedTuple):
    """A time in which something was under way.

    Attributes:
        begin: Seconds.
        end: Seconds.
        left: Pixels.
        right: Pixels.
    """

    begin: float
    end: float
    left: float
    right: float


class Scale:
    """From seconds to pixels.

    Args:
        spans: From when to when something was under way, in seconds.
        left: Where the axis begins, in pixels.
        right: Where it ends.

    Attributes:
        stretches: The busy times, in their order.
    """

    def __init__(self, spans: Iterable[tuple[float, float]], left: float, right: float) -> None:
        busy = _union(spans) or [(0.0, 1.0)]
        joined = _joined(busy, _PAUSE * _length(busy))
        total = _length(joined)
        margin = _MARGIN * total
        joined = [(begin - margin, end + margin) for begin, end in joined]
        total += 2 * margin * len(joined)
        per_second = (right - left - _GAP * (len(joined) - 1)) / total
        self.stretches: list[Stretch] = []
        at = left
        for begin, end in joined:
            width = (end - begin) * per_second
            self.stretches.append(Stretch(begin, end, at, at + width))
            at += width + _GAP
        self._begins = [stretch.begin for stretch in self.stretches]

    def x(self, seconds: float) -> float:
        """Where a moment is."""
        stretch = self.stretches[max(0, bisect_right(self._begins, seconds) - 1)]
        part = (seconds - stretch.begin) / (stretch.end - stretch.begin)
        return stretch.left + min(1.0, max(0.0, part)) * (stretch.right - stretch.left)

    def ticks(self) -> list[float]:
        """Round moments that are on the axis, not too close to each other."""
        found: list[float] = []
        last = -math.inf
        for begin, end, left, right in self.stretches:
            step = _round_up((end - begin) / max(1.0, (right - left) / _TICK))
            count = math.ceil(begin / step - 1e-9)
            while count * step <= end:
                moment = count * step
                if self.x(moment) - last >= _TICK * 0.6:
                    found.append(moment)
                    last = self.x(moment)
                count += 1
        return found


def _length(spans: Iterable[tuple[float, float]]) -> float:
    """How long they are together; never 0, since it is divided by."""
    return max(_SHORTEST, sum(end - begin for begin, end in spans))


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The spans as ones that do not touch each other, in order."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(span for span in spans if all(map(math.isfinite, span))):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, max(begin, end)))
    return found


def _joined(busy: list[tuple[float, float]], pause: float) -> list[tuple[float, float]]:
    """Spans with no pause between them that is shorter than this; a few at most."""
    pauses = [(after[0] - before[1], i) for i, (before, after) in enumerate(pairwise(busy), 1)]
    longest = sorted((each for each in pauses if each[0] > pause), reverse=True)
    begins = {i for _, i in longest[: _MAX_STRETCHES - 1]}
    joined = [busy[0]]
    for i, (begin, end) in enumerate(busy):
        if i in begins:
            joined.append((begin, end))
        else:
            joined[-1] = (joined[-1][0], end)
    return joined


def _round_up(seconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ... of a unit; of a minute and an hour in theirs."""
    for unit, steps in ((1.0, (5, 10, 15, 30)), (60.0, (1, 2, 5, 10, 15, 30)), (3600.0, (1, 2, 6))):
        for each in steps:
            if 2 < seconds <= unit * each:
                return unit * each
    if seconds > 2:
        return 86400.0 * math.ceil(seconds / 86400.0)
    base = 10.0 ** math.floor(math.log10(max(seconds, 1e-6)))
    return next((base * each for each in (1, 2, 5) if base * each >= seconds), base * 10)
