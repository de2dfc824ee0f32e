"""What changed in a store since somebody last looked.

A cursor belongs to one reader. Whoever records flows only leaves marks on it, in constant time and
without a lock; the reader collects them when it wants to know. A flow that is still under way is
given again on each look until it is over, whether it was marked or not. All is said in ids: the
flows themselves may be on disk.

Theory of operation. Ids grow, so "new" is "id not below `below`": a fresh flow needs no mark at
all. A flow below that line is marked when it changes. `collect` moves the line *before* it reads
the ids, so a change can be seen twice but never be missed; the readers' updates are idempotent.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Cursor:
    """One reader's place in the stream of changes.

    Attributes:
        below: Flows with smaller ids have been given out at least once.
        cleared: True if all flows were removed since the last look.
        removed: Ids of flows that were removed since the last look.
    """

    __slots__ = ("_marked", "_retired", "_unfinished", "below", "cleared", "removed")

    def __init__(self) -> None:
        self.below = -1
        self.cleared = False
        self.removed: set[int] = set()
        self._marked: set[int] = set()
        self._unfinished: set[int] = set()
        self._retired = False

    @property
    def retired(self) -> bool:
        """True once its reader is gone."""
        return self._retired

    def retire(self) -> None:
        """Its reader is gone: keep nothing from now on. Called by the garbage collector."""
        self._retired = True
        self.below = -1
        self._marked = set()
        self._unfinished = set()

    def mark(self, number: int) -> None:
        """Note that a flow changed; nothing to note if it was never given out."""
        if number < self.below:
            self._marked.add(number)

    def mark_all(self, numbers: Iterable[int]) -> None:
        """Note these, given out or not: a reader could not make use of them."""
        self._marked.update(numbers)

    def forget(self, ids: Iterable[int] | None) -> None:
        """Flows were removed from the store: these, or all. The store's lock is held."""
        if ids is None:
            self.cleared = True
            self.removed.clear()
            self._marked.clear()
            self._unfinished.clear()
            return
        for number in ids:
            self._marked.discard(number)
            self._unfinished.discard(number)
            if number < self.below:
                self.removed.add(number)

    def collect(
        self, ids: array[int], live: Callable[[], Iterable[int]]
    ) -> tuple[array[int], list[int]]:
        """What is new, and what may have changed; the store's lock is held.

        Args:
            ids: Of the store's flows, ascending; it may grow meanwhile.
            live: Gives the ids of flows that are under way.

        Returns:
            Ids never given out before, and others, both ascending and without repetition.
        """
        again = self._unfinished
        for _ in range(len(self._marked)):  # what is marked meanwhile waits for the next look
            again.add(self._marked.pop())
        old = self.below
        fresh: array[int] = array("q")
        if ids and ids[-1] >= old:
            self.below = line = ids[-1] + 1
            fresh = ids[bisect_left(ids, old) :]
            while fresh[-1] >= line:  # appended since
                fresh.pop()
        changed = sorted(again)
        # read before the flows' values are: one that ends in between is looked at once too often
        self._unfinished = {number for number in live() if number < self.below}
        return fresh, changed
