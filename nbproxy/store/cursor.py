"""What changed in a store since somebody last looked.

A cursor belongs to one reader. Whoever records flows only leaves marks on it, in constant time and
without a lock; the reader collects them when it wants to know. A flow that is still under way is
given again on each look until it is over, whether it was marked or not.

Theory of operation. Ids grow, so "new" is "id not below `below`": a fresh flow needs no mark at
all. A flow below that line is marked when it changes. `collect` moves the line *before* it reads
the list, so a change can be seen twice but never be missed; the readers' updates are idempotent.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbproxy.model.flow import HTTPFlow

by_id = attrgetter("id")


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
        self._marked: dict[int, HTTPFlow] = {}
        self._unfinished: dict[int, HTTPFlow] = {}
        self._retired = False

    @property
    def retired(self) -> bool:
        """True once its reader is gone."""
        return self._retired

    def retire(self) -> None:
        """Its reader is gone: keep nothing from now on. Called by the garbage collector."""
        self._retired = True
        self.below = -1
        self._marked = {}
        self._unfinished = {}

    def mark(self, flow: HTTPFlow) -> None:
        """Note that a flow changed; nothing to note if it was never given out."""
        if flow.id < self.below:
            self._marked[flow.id] = flow

    def mark_all(self, flows: Iterable[HTTPFlow]) -> None:
        """Note these, given out or not: a reader could not make use of them."""
        for flow in flows:
            self._marked[flow.id] = flow

    def forget(self, ids: Iterable[int] | None) -> None:
        """Flows were removed from the store: these, or all. The store's lock is held."""
        if ids is None:
            self.cleared = True
            self.removed.clear()
            self._marked.clear()
            self._unfinished.clear()
            return
        for number in ids:
            self._marked.pop(number, None)
            self._unfinished.pop(number, None)
            if number < self.below:
                self.removed.add(number)

    def collect(self, flows: list[HTTPFlow]) -> tuple[list[HTTPFlow], list[HTTPFlow]]:
        """What is new, and what may have changed; the store's lock is held.

        Args:
            flows: The store's flows in the order of ids; it may grow meanwhile.

        Returns:
            Flows never given out before, and others in any order, both without repetition.
        """
        again = self._unfinished
        for _ in range(len(self._marked)):  # what is marked meanwhile waits for the next look
            number, flow = self._marked.popitem()
            again[number] = flow
        old = self.below
        fresh: list[HTTPFlow] = []
        if flows and flows[-1].id >= old:
            self.below = line = flows[-1].id + 1
            start = bisect_left(flows, old, key=by_id)
            fresh = [flow for flow in flows[start:] if old <= flow.id < line]
        changed = list(again.values())
        # read before the flow's values are: one that ends in between is looked at once too often
        self._unfinished = {flow.id: flow for flow in changed if flow.live}
        self._unfinished.update((flow.id, flow) for flow in fresh if flow.live)
        return fresh, changed
