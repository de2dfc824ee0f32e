"""What waits to be written: a queue that any thread appends to, and what the writer has in hand.

An entry is (kind, what, size): ("flow", flow), ("piece", (sink, bytes)), ("delete", ids or None),
or ("call", future), which is told whether all before it was written. Appending takes no lock: a
flow may be put at any moment, also by the garbage collector in the midst of another `put`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from nbproxy.model.flow import HTTPFlow

    Entry = tuple[str, Any, int]


class Waiting:
    """Entries in order. All but `add`, `ids`, `flows` and the sizes is for the writer's thread.

    Attributes:
        queue: What nobody has looked at yet.
        hand: What is being written, or was refused by the disk.
    """

    def __init__(self) -> None:
        self.queue: deque[Entry] = deque()
        self.hand: deque[Entry] = deque()
        self._newest: dict[int, Entry] = {}  # of flows in the queue, by their ids
        self._queue_bytes = 0
        self._hand_bytes = 0

    def __len__(self) -> int:
        return len(self.queue) + len(self.hand)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of bodies these are."""
        return self._queue_bytes + self._hand_bytes

    def add(self, kind: str, what: Any, size: int = 0) -> None:
        """Append an entry."""
        entry = (kind, what, size)
        if kind == "flow":
            self._newest[what.id] = entry
        self.queue.append(entry)
        self._queue_bytes += size

    @property
    def ids(self) -> Container[int]:
        """The ids of the flows in the queue, as they are at each look."""
        return self._newest

    @property
    def flows(self) -> int:
        """How many flows wait, each counted once. For any thread: looks through all entries."""
        entries = [*self.queue.copy(), *self.hand.copy()]  # copied at once, in C
        return len({what.id for kind, what, _ in entries if kind == "flow"})

    def take(self, at_most: int, at_most_bytes: int) -> bool:
        """Move entries to the hand, so many or up to a call; whether there is something in it."""
        hand, newest = self.hand, self._newest
        while not hand or (
            len(hand) < at_most and self._hand_bytes < at_most_bytes and hand[-1][0] != "call"
        ):
            try:
                entry = self.queue.popleft()
            except IndexError:
                self._queue_bytes = 0  # counted without a lock: it begins anew
                break
            hand.append(entry)
            self._hand_bytes += entry[2]
            self._queue_bytes -= entry[2]
            if entry[0] == "flow":
                number = entry[1].id
                found = newest.pop(number, None)
                if found is not None and found is not entry:  # it was put again since
                    newest.setdefault(number, found)
        return bool(hand)

    def steps(self) -> list[tuple[str, Any]]:
        """What is in hand, without calls: flows that follow each other together, each once."""
        steps: list[tuple[str, Any]] = []
        flows: dict[int, HTTPFlow] = {}
        for kind, what, _ in self.hand:
            if kind == "flow":
                flows[what.id] = what
                continue
            if flows:
                steps.append(("flows", list(flows.values())))
                flows = {}
            if kind != "call":
                steps.append((kind, what))
        if flows:
            steps.append(("flows", list(flows.values())))
        return steps

    def done(self) -> Any:
        """What is in hand is written; the future of the call at its end, if there is one."""
        kind, what, _ = self.hand[-1]
        self.hand.clear()
        self._hand_bytes = 0
        return what if kind == "call" else None

    def drop(self, at_most: int, at_most_bytes: int) -> Iterator[Entry]:
        """Take out the oldest until no more than so much is left.

        Bodies that are dropped are cut, and calls told so.
        """
        while len(self) > at_most or self.size_bytes > at_most_bytes:
            try:
                if self.hand:
                    entry = self.hand.popleft()
                    self._hand_bytes -= entry[2]
                else:
                    entry = self.queue.popleft()
                    self._queue_bytes -= entry[2]
                    if entry[0] == "flow":
                        self._newest.pop(entry[1].id, None)
            except IndexError:  # only the count of bytes was wrong
                self._queue_bytes = self._hand_bytes = 0
                return
            if entry[0] == "piece":
                entry[1][0].give_up()
            elif entry[0] == "call":
                entry[1].set_result(False)
            yield entry
