"""The flows as people hold them: `nbproxy.flows`, its slices and filters.

A `Flows` is live: what passes later is in it. Slices are not: they keep what they had. A filtered
one remembers what matched; on each look only what is new or changed is asked about again.

Views hold ids; flows are fetched from the store when somebody wants one, some hundred at a time
where all are gone through.
"""

from __future__ import annotations

import operator
import warnings
import weakref
from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

from nbproxy.analysis import Analysis
from nbproxy.filters import parse
from nbproxy.filters.computed import computed
from nbproxy.filters.filter import Filter
from nbproxy.store.errands import Errands

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.store import Store

    Predicate: TypeAlias = Callable[[HTTPFlow], Any]

_FEW: Final = 1000
"""Slices of up to so many flows hold them in memory: they survive their removal from the store."""

_MANY: Final = 2000
"""So many flows to ask about at once are asked by columns first, as far as these can say."""

_CHUNK: Final = 256


class Flows(Analysis, Errands, Sequence["HTTPFlow"]):
    """A live view of a store's flows, in the order of their ids.

    Positions count from 0 at the oldest flow that is here, negative ones from the newest; `by_id`
    takes the id, which is the index of `df` and never changes.

    Args:
        store: Where the flows are.
        filter: A filter expression, or a function of a flow that says whether it belongs here.
        since: With a filter: flows with smaller ids do not belong here, and are not asked about.

    Raises:
        FilterError: The expression does not parse.

    Attributes:
        store: Where the flows are.
        expression: The filter as it was given, "" for none, the function's name for a function.
    """

    framed: ClassVar[Callable[..., object] | None] = None
    """Told of each store of which a frame is given out. `nbproxy.owners` sets it: for `df.flow`."""

    def __init__(
        self,
        store: Store,
        filter: str | Predicate | None = None,  # noqa: A002 - mitmproxy's word
        *,
        since: int = 0,
    ) -> None:
        self.store = store
        self.expression = _name(filter)
        self._matching = None if filter is None else _Matching(store, _predicate(filter), since)

    def _ids(self) -> Sequence[int]:
        """The ids as they are now, ascending (but those of a slice); not to be changed."""
        return self.store.ids if self._matching is None else self._matching.catch_up()

    def _fetch(self, number: int) -> HTTPFlow | None:
        """The flow with this id, None if it is not in the store any more."""
        return self.store.get(number)

    # -- as a sequence

    @overload
    def __getitem__(self, index: int) -> HTTPFlow: ...
    @overload
    def __getitem__(self, index: slice) -> Flows: ...
    def __getitem__(self, index: int | slice) -> HTTPFlow | Flows:
        """The flow at a position, or the flows of a slice, which then stay the same.

        A slice of up to 1,000 flows keeps them also when they are removed from the store. A larger
        one would have to hold them all in memory, so it only remembers which they are: those that
        are removed are left out of its frame, of iteration and of what it saves, while `len` and
        positions stay as they were.

        Raises:
            IndexError: There is no such position, or the flow there was removed.
            TypeError: It is neither a position nor a slice.
        """
        ids = self._ids()
        if isinstance(index, slice):
            return self._slice(ids[index])
        try:
            number = ids[index]
        except IndexError:
            raise IndexError(self._no_position(index, len(ids))) from None
        except TypeError:
            raise TypeError(
                f"flows are found by position or slice, not by {index!r}; "
                "for an expression there is flows.filter(...), for an id flows.by_id(...)"
            ) from None
        flow = self._fetch(number)
        if flow is None:
            raise IndexError(f"the flow at position {index} was removed{self._why_gone()}")
        return flow

    def _why_gone(self) -> str:
        return ""

    def _slice(self, ids: Sequence[int]) -> Flows:
        return _Kept(self.store, ids, self.expression)

    def _no_position(self, index: int, count: int) -> str:
        if not count:
            return f"there is no flow at position {index}: there are none {self._yet()}"
        return (
            f"there is no flow at position {index}: positions go from 0 to {count - 1}; "
            "for an id there is flows.by_id(...)"
        )

    def _yet(self) -> str:
        return f"that match {self.expression!r}" if self.expression else "yet"

    def __len__(self) -> int:
        return len(self.store) if self._matching is None else len(self._ids())

    def __iter__(self) -> Iterator[HTTPFlow]:
        """The flows that are here now; those that come meanwhile are not among them.

        They are read from disk some hundred at a time: what you do not refer to does not stay in
        memory. Those that are removed meanwhile are left out.
        """
        return self.store.each(self._ids()[:])

    def __reversed__(self) -> Iterator[HTTPFlow]:
        return self.store.each(self._ids()[::-1])

    def __contains__(self, flow: object) -> bool:
        number = getattr(flow, "id", None)
        if not isinstance(number, int):
            return False
        return self._find_id(number) is flow

    def _find_id(self, number: int) -> HTTPFlow | None:
        ids = self._ids()
        position = bisect_left(ids, number)
        found = position < len(ids) and ids[position] == number
        return self._fetch(number) if found else None

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The position of a flow.

        Raises:
            ValueError: It is not here.
        """
        if value in self:
            ids = self._ids()
            for position in range(*slice(start, stop).indices(len(ids))):
                if ids[position] == value.id:
                    return position
        raise ValueError(f"{value!r} is not among these flows")

    def __repr__(self) -> str:
        ids = self._ids()
        count = len(ids)
        last = self._fetch(ids[-1]) if ids else None
        text = f"{count} flow{'' if count == 1 else 's'}"
        if self.expression:
            text += f" matching {self.expression!r}"
        return f"<Flows: {text}{', last ' + _outline(last) if last else ''}>"

    # -- finding

    def by_id(self, number: int) -> HTTPFlow:
        """The flow with this id.

        Raises:
            KeyError: It is not here.
            TypeError: This is no whole number; those of numpy are.
        """
        number = operator.index(number)
        flow = self._find_id(number)
        if flow is not None:
            return flow
        ids = self._ids()
        if not ids:
            raise KeyError(f"there is no flow with id {number!r}: there are none {self._yet()}")
        known = f"ids here go from {ids[0]} to {ids[-1]}"
        raise KeyError(f"there is no flow with id {number!r}; {known}")

    @property
    def first(self) -> HTTPFlow | None:
        """The oldest flow, None if there is none."""
        ids = self._ids()
        return self._fetch(ids[0]) if ids else None

    @property
    def last(self) -> HTTPFlow | None:
        """The newest flow, None if there is none."""
        ids = self._ids()
        return self._fetch(ids[-1]) if ids else None

    def filter(self, expression: str | Predicate) -> Flows:
        """Those that match, live as this view is: of a slice they are a slice again.

        What looks like a slip (an operator that is none, a column that is not there) is a
        `UserWarning`.

        Args:
            expression: A filter expression, or a function of a flow.

        Raises:
            FilterError: The expression does not parse; the message points at the position.
        """
        __tracebackhide__ = True
        wanted = _warned(expression)
        own = self._matching
        both = wanted if own is None else _both(own.predicate, wanted)
        view = Flows(self.store, both, since=own.since if own is not None else 0)
        view.expression = _conjunction(self.expression, _name(expression))
        return view

    def find(self, expression: str | Predicate) -> HTTPFlow | None:
        """The oldest flow that matches, None if none does.

        Raises:
            FilterError: The expression does not parse.
        """
        wanted = _warned(expression)
        return next((flow for flow in self if wanted(flow)), None)

    # -- as a frame

    @property
    def df(self) -> pd.DataFrame:
        """A pandas DataFrame, a row for each flow, indexed by id.

        The columns are those of DESIGN: `nbproxy.store.schema.COLUMNS` says what each means. The
        frame is yours: it does not change any more, and nothing you do to it reaches the flows.
        """
        return self.frame()

    def frame(self, dtype_backend: str | None = None) -> pd.DataFrame:
        """The same as `df`, with dtypes of your choice.

        Args:
            dtype_backend: What `nbproxy.options.dtype_backend` takes; that option by default.

        Raises:
            ValueError: There is no such backend.
        """
        if self.framed is not None:
            self.framed(self.store)
        return self._frame(dtype_backend)

    def _frame(self, dtype_backend: str | None) -> pd.DataFrame:
        ids = None if self._matching is None else self._ids()
        return self.store.df(ids, dtype_backend=dtype_backend)

    def of(self, ids: Iterable[int]) -> Flows:
        """The flows with these ids, in this order; they stay the same, as those of a slice."""
        return _Kept(self.store, array("q", ids), self.expression)

    def clear(self) -> None:
        """Forget these flows: all of the store's, or those that match."""
        if self._matching is None:
            self.store.clear()
        else:
            self.store.remove(self._ids())


class _Kept(Flows):
    """Flows that stay the same: a slice."""

    def __init__(self, store: Store, ids: Sequence[int], expression: str) -> None:
        super().__init__(store)
        self.expression = expression
        self._kept = ids
        few = store.get_all(ids) if len(ids) <= _FEW else []
        self._flows = {flow.id: flow for flow in few if flow is not None}

    def _ids(self) -> Sequence[int]:
        return self._kept

    def _fetch(self, number: int) -> HTTPFlow | None:
        return self._flows.get(number) or self.store.get(number)

    def _why_gone(self) -> str:
        if len(self._kept) <= _FEW:
            return ""
        return (
            f": a slice of more than {_FEW:,} flows does not hold them; a smaller one does, and "
            "flows.save(path) before they are removed keeps any number"
        )

    def _find_id(self, number: int) -> HTTPFlow | None:  # a slice may run backwards
        return self._fetch(number) if number in self._kept else None

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[HTTPFlow]:
        return iter(list(self._flows.values())) if self._flows else self.store.each(self._kept)

    def __reversed__(self) -> Iterator[HTTPFlow]:
        kept = self._flows
        return reversed(list(kept.values())) if kept else self.store.each(self._kept[::-1])

    def filter(self, expression: str | Predicate) -> Flows:
        """Those that match now."""
        wanted = _warned(expression)
        expression = _conjunction(self.expression, _name(expression))
        ids = array("q", [flow.id for flow in self if wanted(flow)])
        return _Kept(self.store, ids, expression)

    def _frame(self, dtype_backend: str | None) -> pd.DataFrame:
        if self._flows:
            from nbproxy.store.frame import frame_of  # noqa: PLC0415 - pandas is slow to import

            backend = dtype_backend or self.store.dtype_backend
            return frame_of(self._flows.values(), dtype_backend=backend)
        ids = self._kept
        frame = self.store.df(ids, dtype_backend=dtype_backend)
        return frame.loc[list(ids)] if len(ids) > 1 and ids[0] > ids[-1] else frame

    def clear(self) -> None:
        """Forget these flows."""
        self.store.remove(self._kept)
        self._kept = array("q")
        self._flows = {}


class _Matching:
    """Which flows match, kept up to date."""

    def __init__(self, store: Store, predicate: Predicate, since: int = 0) -> None:
        self.predicate = predicate
        self.since = since
        self._store = store
        self._ids: array[int] = array("q")
        self._asks_columns = isinstance(predicate, Filter) and predicate.asks_columns
        self._columns = computed.version
        self._cursor = store.cursor()
        self._cursor.below = since
        weakref.finalize(self, self._cursor.retire).atexit = False

    def catch_up(self) -> array[int]:
        """The ids of those that match now.

        Raises:
            Exception: Whatever a user's predicate raises; the next look asks again.
        """
        cursor, store = self._cursor, self._store
        with store.lock:
            fresh, changed = store.collect(cursor)
            if self._asks_columns and self._columns != computed.version:
                self._columns, known = computed.version, set(fresh)
                changed = [n for n in store.ids if n >= self.since and n not in known]
            if cursor.cleared:
                cursor.cleared = False
                self._ids = array("q")
            if cursor.removed:
                gone, cursor.removed = cursor.removed, set()
                self._ids = array("q", [number for number in self._ids if number not in gone])
            if not fresh and not changed:
                return self._ids
            pending = [*changed, *fresh]
            try:
                pending = self._by_columns(pending)
                while pending:
                    self._ask(pending)
            finally:
                cursor.mark_all(pending)
            return self._ids

    def _by_columns(self, pending: list[int]) -> list[int]:
        """Decide what the frame's columns can say; what they cannot is left."""
        if len(pending) < _MANY or not isinstance(self.predicate, Filter):
            return pending
        frame = self._store.frame()
        ids, verdicts = frame.judge(self.predicate, pending)
        for number in ids[verdicts > 0].tolist():
            self._put(number, matches=True)
        for number in ids[verdicts < 0].tolist() if self._ids else ():
            self._put(number, matches=False)
        left: list[int] = ids[verdicts == 0].tolist()
        return left

    def _ask(self, pending: list[int]) -> None:
        """Ask about some flows, and take those off the list that are done."""
        some = pending[:_CHUNK]
        done = 0
        try:
            for number, flow in zip(some, self._store.get_all(some), strict=True):
                self._put(number, matches=flow is not None and bool(self.predicate(flow)))
                done += 1
        finally:
            del pending[:done]

    def _put(self, number: int, *, matches: bool) -> None:
        ids = self._ids
        if not ids or ids[-1] < number:
            if matches:
                ids.append(number)
            return
        position = bisect_left(ids, number)
        here = ids[position] == number
        if here and not matches:
            del ids[position]
        elif matches and not here:
            ids.insert(position, number)


def _predicate(given: str | Predicate) -> Predicate:
    __tracebackhide__ = True
    if isinstance(given, str):
        return parse(given)
    if callable(given):
        return given
    raise TypeError(f"a filter is an expression or a function of a flow, not {given!r}")


def _warned(given: str | Predicate) -> Predicate:
    """The same for what a user has just written: he is told what he should know of it."""
    __tracebackhide__ = True
    wanted = _predicate(given)
    if isinstance(given, str) and isinstance(wanted, Filter):
        for text in wanted.warnings:
            warnings.warn(f"filter {given!r}: {text}", UserWarning, stacklevel=3)
    return wanted


def _name(given: str | Predicate | None) -> str:
    if given is None or isinstance(given, str):
        return given or ""
    return getattr(given, "__name__", None) or type(given).__name__


def _conjunction(a: str, b: str) -> str:
    return f"({a}) & ({b})" if a and b else a or b


def _both(a: Predicate, b: Predicate) -> Predicate:
    if isinstance(a, Filter) and isinstance(b, Filter):
        return a & b
    return lambda flow: a(flow) and b(flow)


def _outline(flow: HTTPFlow) -> str:
    """A flow in a few words; no path, since that may carry secrets."""
    request = flow.request
    outcome = "…"
    if flow.response is not None:
        outcome = str(flow.response.status_code)
    elif flow.error is not None:
        outcome = "error"
    return f"{outcome} {request.method} {request.scheme}://{request.host}"
