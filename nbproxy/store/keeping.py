"""Which flows a store keeps in memory, and how many it keeps at all.

A flow object that was given out is *lent*: the store refers to it weakly, so that everybody who
asks for the flow gets the same object, and finds out when it was changed. Most of what a user may
change in a flow tells nobody; so how it looked when it was lent is remembered, as references to its
parts (header fields are an immutable tuple, a body is immutable bytes), and compared.
"""

from __future__ import annotations

import copy
import time
import weakref
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import islice
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from nbproxy.model.flow import VIEW_PREFIX, HTTPFlow
from nbproxy.model.record import attributes, copy_attributes

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from nbproxy.model.message import Message
    from nbproxy.model.websocket import WebSocketData

    Columns = Callable[[Sequence[int]], tuple[list[int], dict[str, list[Any]]]]
    Dropped = Callable[..., None]

_STEP = 4096


def _parts(message: Message | None) -> tuple[Any, ...] | None:
    """What a message is made of."""
    if message is None:
        return None
    trailers = message.trailers
    return (
        {
            name: value
            for name, value in attributes(message).items()
            if name not in {"_headers", "_decoded", "trailers"}
        },
        message.headers.fields,
        None if trailers is None else trailers.fields,
    )


def state_of(flow: HTTPFlow) -> tuple[Any, ...]:
    """How a flow looks: equal tuples, equal flows. Bodies are compared by identity first."""
    error, websocket = flow.error, flow.websocket
    return (
        _parts(flow.request),
        _parts(flow.response),
        None if error is None else (error.msg, error.timestamp),
        flow.comment,
        flow.marked,
        flow.is_replay,
        flow.timestamp_created,
        copy.deepcopy(flow._metadata) if flow._metadata else None,  # noqa: SLF001 - reading makes one
        flow.client_conn,
        flow.server_conn,
        None if websocket is None else _talk(websocket),
    )


def _talk(websocket: WebSocketData) -> tuple[Any, ...]:
    """What was said on a WebSocket, and how it ended."""
    messages = [(m.type, m.from_client, m.content, m.dropped) for m in websocket.messages]
    ending = (websocket.closed_by_client, websocket.close_code, websocket.close_reason)
    return messages, ending, websocket.timestamp_end


def twin(flow: HTTPFlow) -> HTTPFlow:
    """Another object with the parts of one that is about to go."""
    other = HTTPFlow.__new__(HTTPFlow)
    copy_attributes(flow, other)
    other._guard = None  # noqa: SLF001 - ours
    return other


class Guard:
    """Knows how a flow looked when it was lent; asked when it goes.

    Attributes:
        state: How it looked.
        as_stored: Whether it looks so on disk too; if not, it is written again when it goes.
    """

    __slots__ = ("_dropped", "as_stored", "state")

    def __init__(self, flow: HTTPFlow, dropped: Dropped, *, as_stored: bool) -> None:
        self.state = state_of(flow)
        self.as_stored = as_stored
        self._dropped = dropped

    def __call__(self, flow: HTTPFlow) -> None:
        """The flow goes. On any thread, at any moment: takes no lock."""
        self._dropped(flow, changed=not self.as_stored or state_of(flow) != self.state)


class Lent:
    """The flows that others refer to and the store does not."""

    def __init__(self) -> None:
        self._flows: weakref.WeakValueDictionary[int, HTTPFlow] = weakref.WeakValueDictionary()
        self.get = self._flows.get

    def __len__(self) -> int:
        return len(self._flows)

    def add(self, number: int, flow: HTTPFlow, dropped: Dropped, *, as_stored: bool = True) -> None:
        """A flow is given out.

        Args:
            number: Its id.
            flow: It.
            dropped: Called when it goes: with the flow, and `changed`, whether it was changed.
            as_stored: Whether it is known to look as it does on disk.
        """
        flow._guard = Guard(flow, dropped, as_stored=as_stored)  # noqa: SLF001 - ours
        self._flows[number] = flow

    def pop(self, number: int) -> HTTPFlow | None:
        """Have nothing to do with a flow any more."""
        flow = self._flows.pop(number, None)
        if flow is not None:
            flow._guard = None  # noqa: SLF001 - ours
        return flow

    def ids(self) -> list[int]:
        """The ids of those that are still there."""
        return list(self._flows.keys())

    def changed(self, at_most: int) -> Iterator[HTTPFlow]:
        """Those that look different since they were lent, or since the last call.

        Only so many are looked at; the rest is noticed when they go.
        """
        for flow in islice(list(self._flows.values()), at_most):
            guard = flow._guard  # noqa: SLF001 - ours
            if isinstance(guard, Guard):
                now = state_of(flow)
                if guard.state != now:
                    guard.state = now
                    yield flow


def references(items: Sequence[Any], indices: Iterable[int]) -> list[int]:
    """How many references there are to some of the items of a list."""
    return [getrefcount(items[index]) for index in indices]


def forget_views(flow: HTTPFlow) -> bool:
    """Have a flow and its parts refer no more to what scripts saw of them, if nobody else does.

    Such a view refers to its object, which refers to it: neither would go before a collection.

    Returns:
        Whether there was one.
    """
    found = False
    for part in (flow.request, flow.response, flow.error, flow):  # whose views know the flow's
        space = vars(part) if part is not None else {}
        for name in [name for name in space if name.startswith(VIEW_PREFIX)]:
            if _holders(space, name) <= _ONE_HOLDER:
                del space[name]
                found = True
    return found


def _holders(space: dict[str, Any], name: str) -> int:
    return getrefcount(space[name])


_ONE_HOLDER = _holders({"name": object()}, "name")

_one = [object()]
UNREFERENCED = references(list(_one), (0,))[0]
"""What `references` says of objects to which nothing refers but two lists."""


@dataclass
class Limits:
    """How much is kept; beyond it the oldest flows are removed. None: no limit.

    Attributes:
        flows: So many flows.
        bytes: So many bytes of bodies, as sent, in all of them.
        age_s: Only flows that began in the last so many seconds.
    """

    flows: int | None = None
    bytes: int | None = None
    age_s: float | None = None
    _counted: dict[int, int] = field(default_factory=dict, repr=False)
    _total: int = 0

    @property
    def none(self) -> bool:
        """True if nothing is limited."""
        return self.flows is None and self.bytes is None and self.age_s is None

    def surplus(
        self,
        ids: array[int],
        live: Callable[[int], bool],
        columns: Columns,
        stored: Iterable[HTTPFlow],
    ) -> list[int]:
        """The ids of what is too much; flows that are under way are not among them.

        Args:
            ids: Of all flows, ascending.
            live: Whether a flow is under way.
            columns: Reads columns of flows.
            stored: Flows that are over since the last call.
        """
        end = 0
        if self.flows is not None:
            end = max(0, len(ids) - self.flows)
        if self.age_s is not None:
            end = max(end, self._too_old(ids, time.time() - self.age_s, columns))
        if self.bytes is not None:
            end = max(end, self._too_large(ids, columns, stored))
        return [number for number in ids[:end] if not live(number)] if end else []

    def _too_old(self, ids: array[int], oldest: float, columns: Columns) -> int:
        """How many of the first flows began before a moment; ids are in the order of beginning."""

        def began(number: int) -> float:
            _, values = columns((number,))
            return float(values["time"][0]) if values and values["time"] else 0.0

        if not ids or began(ids[0]) >= oldest:
            return 0
        return bisect_left(ids, oldest, key=began)

    def _too_large(self, ids: array[int], columns: Columns, stored: Iterable[HTTPFlow]) -> int:
        counted = self._counted
        if not counted:
            for start in range(0, len(ids), _STEP):
                known, values = columns(ids[start : start + _STEP])
                sizes = zip(values["request_bytes"], values["response_bytes"], strict=True)
                counted.update(zip(known, map(sum, sizes), strict=True))
            self._total = sum(counted.values())
        for flow in stored:
            response = flow.response
            size = flow.request.body_size + (0 if response is None else response.body_size)
            self._total += size - counted.get(flow.id, 0)
            counted[flow.id] = size
        total, end = self._total, 0
        assert self.bytes is not None  # noqa: S101 - see `surplus`
        while total > self.bytes and end < len(ids):
            total -= counted.get(ids[end], 0)
            end += 1
        return end

    def forget(self, ids: Iterable[int] | None) -> None:
        """Flows were removed: these, or all."""
        if ids is None:
            self._counted.clear()
            self._total = 0
        else:
            self._total -= sum(self._counted.pop(number, 0) for number in ids)
