"""The flows as people hold them: `nbproxy.flows`, its slices and filters.

A `Flows` is live: what passes later is in it. Slices are not: they keep what they had. A filtered
one remembers what matched; on each look only what is new or changed is asked about again.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from nbproxy.filters import parse
from nbproxy.store.cursor import by_id

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from typing import TypeAlias

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.changes import Changed
    from nbproxy.store.store import Store

    Predicate: TypeAlias = Callable[[HTTPFlow], Any]

_DIRECT_ROWS = 1000  # up to so many flows, reading them anew is cheaper than finding their rows


class Flows(Sequence["HTTPFlow"]):
    """A live view of a store's flows, in the order of their ids.

    Positions count from 0 at the oldest flow that is here, negative ones from the newest; `by_id`
    takes the id, which is the index of `df` and never changes.

    Args:
        store: Where the flows are.
        filter: A filter expression, or a function of a flow that says whether it belongs here.

    Raises:
        FilterError: The expression does not parse.

    Attributes:
        store: Where the flows are.
        expression: The filter as it was given, "" for none, the function's name for a function.
    """

    saver: ClassVar[Callable[..., int] | None] = None
    """What `save` calls. `nbproxy.saved` sets it: the store knows no files."""

    runner: ClassVar[Callable[..., Changed] | None] = None
    """What `run` calls. `nbproxy.proxy` sets it: the store knows no scripts."""

    def __init__(self, store: Store, filter: str | Predicate | None = None) -> None:  # noqa: A002 - mitmproxy's word
        self.store = store
        self.expression = _name(filter)
        self._matching = None if filter is None else _Matching(store, _predicate(filter))

    def _now(self) -> Sequence[HTTPFlow]:
        """The flows as they are; not to be changed."""
        return self.store.flows if self._matching is None else self._matching.catch_up()

    # -- as a sequence

    @overload
    def __getitem__(self, index: int) -> HTTPFlow: ...
    @overload
    def __getitem__(self, index: slice) -> Flows: ...
    def __getitem__(self, index: int | slice) -> HTTPFlow | Flows:
        """The flow at a position, or the flows of a slice, which then stay the same."""
        flows = self._now()
        if isinstance(index, slice):
            return _Kept(self.store, list(flows[index]), self.expression)
        try:
            return flows[index]
        except IndexError:
            raise IndexError(self._no_position(index, len(flows))) from None
        except TypeError:
            raise TypeError(
                f"flows are found by position or slice, not by {index!r}; "
                "for an expression there is flows.filter(...), for an id flows.by_id(...)"
            ) from None

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
        return len(self._now())

    def __iter__(self) -> Iterator[HTTPFlow]:
        """The flows that are here now; those that come meanwhile are not among them."""
        return iter(self._now()[:])

    def __reversed__(self) -> Iterator[HTTPFlow]:
        return reversed(self._now()[:])

    def __contains__(self, flow: object) -> bool:
        number = getattr(flow, "id", None)
        if not isinstance(number, int):
            return False
        return self._find_id(number) is flow

    def _find_id(self, number: int) -> HTTPFlow | None:
        flows = self._now()
        position = bisect_left(flows, number, key=by_id)
        found = flows[position] if position < len(flows) else None
        return found if found is not None and found.id == number else None

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The position of a flow.

        Raises:
            ValueError: It is not here.
        """
        flows = self._now()
        for position in range(*slice(start, stop).indices(len(flows))):
            if flows[position] is value:
                return position
        raise ValueError(f"{value!r} is not among these flows")

    def __repr__(self) -> str:
        flows = self._now()
        count = len(flows)
        text = f"{count} flow{'' if count == 1 else 's'}"
        if self.expression:
            text += f" matching {self.expression!r}"
        return f"<Flows: {text}{', last ' + _outline(flows[-1]) if flows else ''}>"

    # -- finding

    def by_id(self, number: int) -> HTTPFlow:
        """The flow with this id.

        Raises:
            KeyError: It is not here.
        """
        flow = self._find_id(number)
        if flow is not None:
            return flow
        flows = self._now()
        if not flows:
            raise KeyError(f"there is no flow with id {number!r}: there are none {self._yet()}")
        known = f"ids here go from {flows[0].id} to {flows[-1].id}"
        raise KeyError(f"there is no flow with id {number!r}; {known}")

    @property
    def first(self) -> HTTPFlow | None:
        """The oldest flow, None if there is none."""
        flows = self._now()
        return flows[0] if flows else None

    @property
    def last(self) -> HTTPFlow | None:
        """The newest flow, None if there is none."""
        flows = self._now()
        return flows[-1] if flows else None

    def filter(self, expression: str | Predicate) -> Flows:
        """Those that match, live as this view is: of a slice they are a slice again.

        Args:
            expression: A filter expression, or a function of a flow.

        Raises:
            FilterError: The expression does not parse; the message points at the position.
        """
        wanted = _predicate(expression)
        own = self._matching
        both = wanted if own is None else _both(own.predicate, wanted)
        view = Flows(self.store, both)
        view.expression = _conjunction(self.expression, _name(expression))
        return view

    def find(self, expression: str | Predicate) -> HTTPFlow | None:
        """The oldest flow that matches, None if none does.

        Raises:
            FilterError: The expression does not parse.
        """
        wanted = _predicate(expression)
        return next((flow for flow in self if wanted(flow)), None)

    # -- as a frame

    @property
    def df(self) -> pd.DataFrame:
        """A pandas DataFrame, a row for each flow, indexed by id.

        The columns are those of DESIGN: `nbproxy.store.schema.COLUMNS` says what each means. The
        frame is yours: it does not change any more, and nothing you do to it reaches the flows.
        """
        return self.store.df(None if self._matching is None else [flow.id for flow in self._now()])

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - the word for it
        *,
        secrets: Literal["keep", "mask"] = "keep",
    ) -> int:
        """Write these flows to a file, as `nbproxy.saved.save` describes it.

        Args:
            path: Where; `.mitm`, `.har` or `.curl.sh` at its end say the format.
            format: "mitm", "har" or "curl", whatever the name.
            secrets: "mask" replaces credentials, cookies and tokens in a HAR.

        Returns:
            How many flows were written.

        Raises:
            ValueError: The format is not known.
            OSError: The file cannot be written.
        """
        if self.saver is None:
            raise RuntimeError("nothing has said how flows are saved: import nbproxy.saved")
        return self.saver(list(self), path, format, secrets=secrets)

    def run(self, script: Any, *, era: str | float | None = None) -> Changed:
        """Run a script over these flows, in the order of events its era had for stored ones.

        It is executed anew and gets `done` at the end. These flows stay as they are.

        Args:
            script: A path with arguments ("script.py --all x"), or an addon object.
            era: The release it was written for, such as "0.11"; by default it is recognised.

        Returns:
            New flows, with `df`, `filter`, `save`; `changes()` says what is different in them.

        Raises:
            ScriptError: It cannot be loaded; the cause is what it raised.
            ValueError: There is no such era.

        Example:
            >>> done = nbproxy.open("in.mitm").run("strip.py Cookie")  # doctest: +SKIP
            >>> done.changes().groupby("field").size()  # doctest: +SKIP
        """
        if self.runner is None:
            raise RuntimeError("nothing has said how scripts are run: import nbproxy.proxy")
        __tracebackhide__ = True
        return self.runner(self, script, era=era)

    def clear(self) -> None:
        """Forget these flows: all of the store's, or those that match."""
        if self._matching is None:
            self.store.clear()
        else:
            self.store.remove(flow.id for flow in self)


class _Kept(Flows):
    """Flows that stay the same: a slice."""

    def __init__(self, store: Store, flows: list[HTTPFlow], expression: str) -> None:
        super().__init__(store)
        self.expression = expression
        self._flows = flows

    def _now(self) -> Sequence[HTTPFlow]:
        return self._flows

    def _find_id(self, number: int) -> HTTPFlow | None:  # a slice may run backwards
        return next((flow for flow in self._flows if flow.id == number), None)

    def filter(self, expression: str | Predicate) -> Flows:
        """Those that match now."""
        wanted = _predicate(expression)
        expression = _conjunction(self.expression, _name(expression))
        return _Kept(self.store, [flow for flow in self._flows if wanted(flow)], expression)

    @property
    def df(self) -> pd.DataFrame:
        """A pandas DataFrame of these flows, in their order; see `Flows.df`."""
        flows = self._flows
        if len(flows) > _DIRECT_ROWS:
            ids = [flow.id for flow in flows]
            frame = self.store.df(ids)
            if len(frame) == len(ids):
                return frame if ids[0] < ids[-1] else frame.loc[ids]
        from nbproxy.store.frame import frame_of  # noqa: PLC0415 - pandas is slow to import

        return frame_of(flows)

    def clear(self) -> None:
        """Forget these flows."""
        self.store.remove([flow.id for flow in self._flows])
        self._flows = []


class _Matching:
    """Which flows match, kept up to date."""

    def __init__(self, store: Store, predicate: Predicate) -> None:
        self.predicate = predicate
        self._store = store
        self._flows: list[HTTPFlow] = []
        self._cursor = store.cursor()
        weakref.finalize(self, self._cursor.retire).atexit = False

    def catch_up(self) -> list[HTTPFlow]:
        """Those that match now.

        Raises:
            Exception: Whatever a user's predicate raises; the next look asks again.
        """
        cursor, store = self._cursor, self._store
        with store.lock:
            if cursor.cleared:
                cursor.cleared = False
                self._flows = []
            if cursor.removed:
                gone, cursor.removed = cursor.removed, set()
                self._flows = [flow for flow in self._flows if flow.id not in gone]
            fresh, changed = store.collect(cursor)
            pending = [*changed, *fresh]
            asked = 0
            try:
                for flow in pending:
                    self._put(flow, bool(self.predicate(flow)))
                    asked += 1
            finally:
                cursor.mark_all(pending[asked:])
            return self._flows

    def _put(self, flow: HTTPFlow, matches: bool) -> None:
        flows = self._flows
        if not flows or flows[-1].id < flow.id:
            if matches:
                flows.append(flow)
            return
        position = bisect_left(flows, flow.id, key=by_id)
        here = flows[position].id == flow.id
        if here and not matches:
            del flows[position]
        elif matches and not here:
            insort(flows, flow, key=by_id)


def _predicate(given: str | Predicate) -> Predicate:
    if isinstance(given, str):
        return parse(given)
    if callable(given):
        return given
    raise TypeError(f"a filter is an expression or a function of a flow, not {given!r}")


def _name(given: str | Predicate | None) -> str:
    if given is None or isinstance(given, str):
        return given or ""
    return getattr(given, "__name__", None) or type(given).__name__


def _conjunction(a: str, b: str) -> str:
    return f"({a}) & ({b})" if a and b else a or b


def _both(a: Predicate, b: Predicate) -> Predicate:
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
