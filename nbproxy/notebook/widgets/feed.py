"""Which rows the browser has, which it lacks, and what goes next.

Theory of operation. Every flow gets a *slot* when it is first seen, in the order of being seen, and
keeps it: the browser mirrors slots, sorts and hides them as it likes, and a row can be sent again
at any time without harm. What changed is a mark on a slot (`_dirty`), and a batch takes the newest
marked slots first, so that the end of a table of 100,000 flows is there at once and the rest
follows; what somebody scrolls to meanwhile goes before it (`want`). Which slots the filter accepts
is kept the same way (`_match`), asked step by step, newest first.

Batches are numbered. The browser says which number it has seen (`acknowledge`), and one that finds
a number missing asks again (`resend`). One batch is under way at a time; if no answer comes,
because the kernel is busy and cannot hear it, sending goes on slowly: see `Pace`.

All of it belongs to one thread, the inspector's; `nbproxy.notebook.widgets.inspector` runs it.
"""

from __future__ import annotations

import sys
import time
from array import array
from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from nbproxy.notebook.widgets.encoding import encode
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbproxy.filters import Filter
    from nbproxy.store.store import Store

#: Rows in a batch: the first ones are few, so that something is to be seen at once.
#: While traffic passes they are fewer than when nothing else happens.
FIRST_ROWS: Final = 400
WANTED_ROWS: Final = 400
BATCH_ROWS: Final = 5_000
BUSY_ROWS: Final = 2_000

#: Seconds between batches; those of what was there before; between what somebody waits for and the
#: batch before it; and between batches that nobody has answered.
INTERVAL_S: Final = 0.2
HISTORY_INTERVAL_S: Final = 0.1
HURRY_S: Final = 0.02
UNHEARD_S: Final = 1.0

#: After so many seconds without an answer nobody seems to be there.
DESERTED_S: Final = 120.0
DESERTED_INTERVAL_S: Final = 10.0

#: Part of the time that rows which come while traffic passes may take; what was there before is
#: what somebody waits for, and takes more: most where no traffic passes, for so many seconds.
SHARE: Final = 0.1
BUSY_SHARE: Final = 0.2
HISTORY_SHARE: Final = 0.6
BUSY_S: Final = 1.0

NO, YES, UNKNOWN = 0, 1, 2

_MARKED = b"\x01"
_UNKNOWN = b"\x02"
_FEW: Final = 200  # up to so many flows are asked one by one, more by their columns
_STEP_S: Final = 0.03  # a step of asking takes about so long


class Pace:
    """When the next batch may go.

    Attributes:
        sent: Number of the last batch.
        heard: Number of the last batch that was answered.
        hurried: Whether somebody waits for the next one.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.heard = 0
        self.hurried = False
        self._sent_at = -DESERTED_INTERVAL_S
        self._heard_at = time.monotonic()
        self._rest_s = 0.0

    def note_sent(self, spent_s: float, share: float, interval_s: float = INTERVAL_S) -> None:
        """A batch went out, and took so long to make."""
        self.sent += 1
        self.hurried = False
        self._sent_at = time.monotonic()
        self._rest_s = max(interval_s, spent_s / share)

    def note_heard(self, number: int) -> None:
        """The browser answered."""
        self.heard = max(self.heard, min(number, self.sent))
        self._heard_at = time.monotonic()

    @property
    def is_heard(self) -> bool:
        """Whether the last batch was answered, or is too young for that."""
        return self.heard >= self.sent or time.monotonic() - self._sent_at < UNHEARD_S

    def wait_s(self) -> float:
        """Seconds until the next batch may go."""
        now = time.monotonic()
        if self.heard >= self.sent:
            rest_s = HURRY_S if self.hurried else self._rest_s
        elif now - self._heard_at < DESERTED_S:
            rest_s = max(UNHEARD_S, self._rest_s)
        else:
            rest_s = DESERTED_INTERVAL_S
        return max(0.0, self._sent_at + rest_s - now)


class Slots:
    """The flows of a feed in the order of being seen; slot and id, each from the other."""

    def __init__(self) -> None:
        self._ids = array("q")  # ascending; a late one's place holds its forerunner's id
        self._late: dict[int, int] = {}
        self._late_ids: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, number: int) -> int:
        """A new slot for an id."""
        ids, slot = self._ids, len(self._ids)
        if ids and number <= ids[-1]:
            self._late[number] = slot
            self._late_ids[slot] = number
            ids.append(ids[-1])
        else:
            ids.append(number)
        return slot

    def find(self, number: int) -> int | None:
        """The slot of an id, None if it has none."""
        late = self._late.get(number)
        if late is not None:
            return late
        slot = bisect_left(self._ids, number)
        found = slot < len(self._ids) and self._ids[slot] == number
        return slot if found and slot not in self._late_ids else None

    def id(self, slot: int) -> int:
        """The id in a slot."""
        late = self._late_ids.get(slot)
        return self._ids[slot] if late is None else late


class Feed:
    """The rows of some flows, on their way to a browser.

    Args:
        flows: Which; live ones are followed.

    Attributes:
        epoch: Another number after all flows were forgotten; the browser then begins anew.
        serial: Another number with each filter.
        filter: Which rows are shown; None for all.
        pace: When the next batch may go.
    """

    def __init__(self, flows: Flows) -> None:
        self.epoch = 0
        self.serial = 0
        self.filter: Filter | None = None
        self.pace = Pace()
        self._flows = flows
        self._store: Store = flows.store
        self._is_whole = type(flows) is Flows and not flows.expression
        self._busy_until = 0.0
        self._begin()

    def _begin(self) -> None:
        self._slots = Slots()
        self._dirty = bytearray()
        self._match = bytearray()
        self._unsent = bytearray()  # slots whose match the browser does not know
        self._gone: set[int] = set()
        self._wanted: list[int] = []
        self._unheard: deque[tuple[int, list[int], list[int]]] = deque()
        self._step = 500
        self._sent_any = False
        self._cursor = self._store.cursor()
        with self._store.lock:
            self._store.collect(self._cursor)
            ids = self._store.ids[:] if self._is_whole else self._flows.df.index.tolist()
        for number in ids:
            self._slots.add(number)
        self._extend()

    def close(self) -> None:
        """Leave no trace in the store."""
        self._cursor.retire()

    def __len__(self) -> int:
        return len(self._slots) - len(self._gone)

    def newest(self, count: int) -> tuple[list[int], int]:
        """The ids of the newest flows that are shown, ascending, and how many are; any thread."""
        slots, gone, match = self._slots, self._gone, self._match
        if self.filter is None:
            found = list(range(max(0, len(slots) - count), len(slots)))
            total = len(self)
        else:
            found, total = self._newest(match, b"\x01", count), match.count(YES)
        return sorted(slots.id(slot) for slot in found if slot not in gone), total

    @property
    def flows(self) -> Flows:
        """The flows."""
        return self._flows

    def _extend(self) -> None:
        more = len(self._slots) - len(self._dirty)
        if more > 0:
            self._dirty.extend(_MARKED * more)
            self._match.extend(_UNKNOWN * more)
            self._unsent.extend(bytes(more))

    # -- what changed

    def look(self) -> None:
        """Take in what has changed in the store since the last look."""
        store, cursor = self._store, self._cursor
        with store.lock:
            if cursor.cleared:
                cursor.retire()
                self.epoch += 1
                self._begin()
                return
            removed, cursor.removed = cursor.removed, set()
            fresh, changed = store.collect(cursor)
        if fresh:
            self._busy_until = time.monotonic() + BUSY_S
        for number in removed:
            self._remove(number)
        for number in changed:
            self._touch(number)
        for number in fresh:
            self._touch(number)
        self._extend()

    def _touch(self, number: int) -> None:
        slot = self._slots.find(number)
        if slot is None or slot in self._gone:
            if self._is_whole or self._belongs(number):
                self._slots.add(number)
        elif slot < len(self._dirty):
            if self._is_whole or self._belongs(number):
                self._dirty[slot] = 1
                self._match[slot] = UNKNOWN
            else:
                self._remove(number)

    def _belongs(self, number: int) -> bool:
        try:
            self._flows.by_id(number)
        except KeyError:
            return False
        return True

    def _remove(self, number: int) -> None:
        slot = self._slots.find(number)
        if slot is not None:
            self._gone.add(slot)
            self._dirty[slot : slot + 1] = _MARKED

    # -- the filter

    def set_filter(self, wanted: Filter | None) -> int:
        """Show what this accepts from now on; the serial of it."""
        self.filter = wanted
        self.serial += 1
        self._match = bytearray(_UNKNOWN * len(self._match))
        self._unsent = bytearray(len(self._match))
        for index, (number, slots, _) in enumerate(self._unheard):
            self._unheard[index] = (number, slots, [])
        self._step = 500
        return self.serial

    @property
    def is_asking(self) -> bool:
        """Whether the filter was not put to all flows yet."""
        return self.filter is not None and UNKNOWN in self._match

    def ask(self) -> None:
        """Put the filter to some more flows, for a few hundredths of a second."""
        wanted = self.filter
        if wanted is None:
            return
        slots = self._newest(self._match, _UNKNOWN, self._step)
        if not slots:
            return
        began = time.perf_counter()
        if len(slots) <= _FEW:
            answers = [self._ask_one(wanted, slot) for slot in slots]
        else:
            answers = self._ask_many(wanted, slots)
        match, unsent = self._match, self._unsent
        for slot, answer in zip(slots, answers, strict=True):
            match[slot] = answer
            unsent[slot] = 1
        if len(slots) > _FEW:
            spent_s = time.perf_counter() - began
            grown = 2.0 if spent_s < _STEP_S / 2 else 0.5 if spent_s > 2 * _STEP_S else 1.0
            self._step = int(min(BATCH_ROWS, max(500, self._step * grown)))

    def _ask_one(self, wanted: Filter, slot: int) -> int:
        if slot in self._gone:
            return NO
        flow = self._store.get(self._slots.id(slot))
        return YES if flow is not None and wanted(flow) else NO

    def _ask_many(self, wanted: Filter, slots: Sequence[int]) -> list[int]:
        """By their columns, and those that these do not decide one by one."""
        store = self._store
        asked = sorted(self._slots.id(slot) for slot in slots if slot not in self._gone)
        with store.lock:
            ids, verdicts = store.frame().judge(wanted, asked)
        found = set(ids[verdicts > 0].tolist())
        found.update(flow.id for flow in store.each(ids[verdicts == 0].tolist()) if wanted(flow))
        return [YES if self._slots.id(slot) in found else NO for slot in slots]

    # -- batches

    @property
    def has_news(self) -> bool:
        """Whether a batch would say something."""
        answered = self.filter is not None and 1 in self._unsent
        return answered or 1 in self._dirty or not self._sent_any

    def batch(self) -> tuple[dict[str, Any], list[bytes]]:
        """What is to be sent next; it is taken for sent."""
        began = time.perf_counter()
        dirty = self._dirty
        wanted = [slot for slot in self._wanted if dirty[slot]]
        self._wanted = []
        is_busy = time.monotonic() < self._busy_until
        limit = BUSY_ROWS if is_busy else BATCH_ROWS
        if wanted or not self._sent_any:
            limit = FIRST_ROWS
        slots = self._newest(dirty, _MARKED, limit)
        if wanted:
            slots = sorted({*wanted, *slots})
        history = len(slots) > 1000
        for slot in slots:
            dirty[slot] = 0
        gone = [slot for slot in slots if slot in self._gone] if self._gone else []
        content: dict[str, Any] = {
            "kind": "batch",
            "epoch": self.epoch,
            "total": len(self._slots),
            "serial": self.serial,
            "gone": gone,
        }
        buffers: list[bytes] = []
        rows = [slot for slot in slots if slot not in self._gone] if gone else slots
        self._add_rows(content, buffers, rows)
        answered = self._add_matches(content, buffers)
        content["left"] = dirty.count(1)
        self._sent_any = True
        spent_s = time.perf_counter() - began
        if history:
            self.pace.note_sent(
                spent_s, BUSY_SHARE if is_busy else HISTORY_SHARE, HISTORY_INTERVAL_S
            )
        else:
            self.pace.note_sent(spent_s, SHARE)
        content["number"] = self.pace.sent
        self._unheard.append((self.pace.sent, slots, answered))
        while len(self._unheard) > 100:  # nobody listens: begin anew when somebody does
            self._unheard.popleft()
        return content, buffers

    def _newest(self, marks: bytearray, mark: bytes, limit: int) -> list[int]:
        """The highest slots with a mark, ascending."""
        found: list[int] = []
        end = len(marks)
        while len(found) < limit:
            slot = marks.rfind(mark, 0, end)
            if slot < 0:
                break
            found.append(slot)
            end = slot
        found.reverse()
        return found

    def _add_rows(
        self, content: dict[str, Any], buffers: list[bytes], slots: Sequence[int]
    ) -> None:
        if not slots:
            return
        slot_of = {self._slots.id(slot): slot for slot in slots}
        ids, columns = self._store.columns(sorted(slot_of))
        if not ids:  # all were removed just now
            return
        rows, raw = encode(ids, columns)
        rows["slots"] = len(buffers)
        buffers.append(packed(slot_of[number] for number in ids))
        rows["bytes"] = len(buffers)
        buffers.append(raw)
        content["rows"] = rows

    def _add_matches(self, content: dict[str, Any], buffers: list[bytes]) -> list[int]:
        if self.filter is None:
            return []
        unsent = self._unsent
        first = unsent.find(_MARKED)
        content["asking"] = self._match.count(UNKNOWN)
        if first < 0:
            return []
        end = unsent.rfind(_MARKED) + 1
        count = unsent.count(1)
        if 5 * count > end - first:  # dense: as a run
            answered = list(range(first, end))
            content["match"] = {"base": first, "bytes": len(buffers)}
            buffers.append(bytes(self._match[first:end]))
        else:
            answered = self._newest(unsent, _MARKED, count)
            content["match"] = {"slots": len(buffers), "bytes": len(buffers) + 1}
            buffers.append(packed(answered))
            buffers.append(bytes(self._match[slot] for slot in answered))
        unsent[first:end] = bytes(end - first)
        return answered

    # -- the browser's answers

    def want(self, slots: Iterable[int]) -> None:
        """Somebody looks at these, and does not have them: they go first."""
        known = range(len(self._dirty))
        self._wanted = [slot for slot in slots if slot in known][:WANTED_ROWS]
        self.pace.hurried = any(self._dirty[slot] for slot in self._wanted)

    def acknowledge(self, number: int) -> None:
        """A browser has this batch and those before it."""
        self.pace.note_heard(number)
        while self._unheard and self._unheard[0][0] <= number:
            self._unheard.popleft()

    def resend(self, number: int) -> None:
        """A browser misses what came after this batch; 0: it has nothing."""
        first = self._unheard[0][0] if self._unheard else self.pace.sent + 1
        if not number or number < first - 1:
            self._dirty = bytearray(_MARKED * len(self._dirty))
            self._unsent = bytearray(_MARKED * len(self._unsent))
        else:
            for sent, slots, answered in self._unheard:
                if sent > number:
                    for slot in slots:
                        self._dirty[slot] = 1
                    for slot in answered:
                        self._unsent[slot] = 1
        self._unheard.clear()
        self._sent_any = False  # that all was forgotten is news, too, and has no rows
        self.pace.note_heard(self.pace.sent)


def packed(values: Iterable[int]) -> bytes:
    """Slots or ids as bytes, four each, little-endian."""
    found = array("I", values)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()
