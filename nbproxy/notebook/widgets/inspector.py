"""`nbproxy.inspect()`: a live table of flows with their details, under the cell that asks for it.

The widget's Python half. Rows go out by a `Feed`, everything that the browser asks for comes in as
a command (`nbproxy.notebook.widgets.commands`), and both happen on one thread, the inspector's own
(`Worker`). The other half is `js/`, joined into one module.

What may be seen in a saved notebook is masked and bounded: the last rows, as widget state and as a
plain HTML table beside it, for places that show no widgets. No body, no token of the control
endpoint, no message is ever part of that.
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import time
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets
from IPython.core.getipython import get_ipython

from nbproxy import _current, filters
from nbproxy.errors import FilterError
from nbproxy.model.flow import HTTPFlow
from nbproxy.notebook.widgets import esm, export
from nbproxy.notebook.widgets.actions import Actions
from nbproxy.notebook.widgets.commands import Commands
from nbproxy.notebook.widgets.control import control_of
from nbproxy.notebook.widgets.encoding import encode
from nbproxy.notebook.widgets.feed import Feed, packed
from nbproxy.notebook.widgets.worker import Rest, Worker
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from nbproxy.proxy import Proxy

#: Rows that a saved notebook keeps.
SNAPSHOT_ROWS: Final = 300

#: Seconds without traffic after which what a saved notebook keeps is brought up to date.
QUIET_S: Final = 1.5

#: Seconds between two looks at what is no flow: whether the proxy listens.
LOOK_S: Final = 1.0

#: Pixels: how high the widget is at first, and what is sensible.
HEIGHT: Final = 520
MIN_HEIGHT: Final = 220
MAX_HEIGHT: Final = 2000

_VIEW: Final = "application/vnd.jupyter.widget-view+json"

_STYLE: Final = Path(__file__).parent / "inspector.css"

_all: weakref.WeakSet[Inspector] = weakref.WeakSet()


def inspect(
    flows: Flows | str | None = None,
    *,
    filter: str | None = None,  # noqa: A002 - mitmproxy's word
    height: int = HEIGHT,
) -> Inspector:
    """A live table of flows with their details, to look at, stop, change and send again.

    Args:
        flows: Which; the notebook's own by default. Filtered flows are live as well, slices and
            saved flows (`nbproxy.open`) stand still. Text is a filter of the notebook's own.
        filter: What the filter box says at first.
        height: In pixels; it can be changed with the mouse.

    Returns:
        The widget. Keep it to read what is selected: `ins = nbproxy.inspect()` and then `ins`.

    Raises:
        FilterError: The filter does not parse.
        TypeError: These are no flows; or text, and a filter beside it.

    Example:
        >>> ins = nbproxy.inspect("~d example.org")  # doctest: +SKIP
        >>> ins.selected, ins.df  # doctest: +SKIP
    """
    __tracebackhide__ = True
    proxy = _current.get(started=False)
    if isinstance(flows, str) and not filter and not _is_file(flows):
        filter = flows  # noqa: A001 - see above
        flows = None
    if flows is None:
        flows = proxy.flows
    elif not isinstance(flows, Flows):
        raise _not_flows(flows)
    if filter and filter.strip():
        filters.parse(filter)  # a mistake in it shows before anything is made
    return Inspector(flows, proxy, filter=filter, height=height)


def _is_file(text: str) -> bool:
    """Whether text that could be a filter is the name of a file rather: "day.har", not "login"."""
    try:
        return bool(Path(text).suffix) and Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # no name that a file could have
        return False


def _not_flows(given: object) -> TypeError:
    hint = "; a file is opened by nbproxy.open(...), a filter goes with no other filter"
    return TypeError(
        "inspect() takes flows, such as nbproxy.flows, nbproxy.flows[:10] or nbproxy.open(...), "
        f"or a filter, not {given!r:.80}{hint if isinstance(given, str) else ''}"
    )


def close_all() -> None:
    """End the threads of all inspectors; what they show stays."""
    for inspector in list(_all):
        inspector.stop()


class _Source(traitlets.Unicode):  # type: ignore[type-arg]  # before traitlets 5.10 it has none
    """The text of a filter that is checked where it is set; None is none."""

    def __set__(self, obj: traitlets.HasTraits, value: str | None) -> None:
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        self.set(obj, value)

    def set(self, obj: traitlets.HasTraits, value: str | None) -> None:
        """Take it, without space around it.

        Raises:
            FilterError: It does not parse.
            TraitError: It is no text.
        """
        __tracebackhide__ = True
        source = "" if value is None else value
        if not isinstance(source, str):
            raise traitlets.TraitError(f"a filter is a text, or None for all flows, not {value!r}")
        source = source.strip()
        if source:
            filters.parse(source)  # before traitlets does anything, whose frames would be shown
        super().set(obj, source)


class Inspector(anywidget.AnyWidget):
    """The inspector; `nbproxy.inspect` makes one.

    Attributes:
        filter: What the filter box says; assigning changes what is shown, None to all. Observable.
        selected_ids: The ids of the flows that are selected. Observable; assigning selects.
    """

    _esm = esm.joined()
    _css = _STYLE.read_text(encoding="utf-8")

    snapshot = traitlets.Dict().tag(sync=True)
    height = traitlets.Int(HEIGHT).tag(sync=True)
    static_id = traitlets.Unicode().tag(sync=True)

    filter = _Source()
    selected_ids = traitlets.Tuple()

    def __init__(
        self,
        flows: Flows,
        proxy: Proxy,
        *,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
        height: int = HEIGHT,
    ) -> None:
        self._flows = flows
        self._proxy = proxy
        self._session = uuid.uuid4().hex
        self._feed = Feed(flows)
        self._worker = Worker("nbproxy-inspector", self._step)
        self._commands = Commands(self._tell)
        self._actions = Actions(flows, proxy)
        self._control = control_of(proxy)
        self._publisher: Any = None  # where it was displayed, and in which context
        self._context: contextvars.Context | None = None
        self._watched = False  # somebody looks, or will soon
        self._unsubscribe: Any = None
        self._changed_at = 0.0
        self._snapshot_of: tuple[int, int] | None = None
        self._state: dict[str, Any] = {}
        self._in_browser = False  # a change comes from there
        self._all_due = False  # all that is shown is to be selected
        super().__init__(
            height=max(MIN_HEIGHT, min(MAX_HEIGHT, int(height))),
            static_id=f"nbp-static-{uuid.uuid4().hex[:12]}",
            snapshot=self._take_snapshot(),
        )
        self.on_msg(self._on_message)
        self._let_subshells_answer()
        for name, run in (
            ("hello", self._hello),
            ("bye", self._bye),
            ("resend", self._resend),
            ("want", self._want),
            ("filter", self._filter_from_browser),
            ("complete", self._complete),
            ("select", self._select_from_browser),
            ("select_all", self._select_all_soon),
        ):
            self._commands.add(name, run)
        self._actions.register(self._commands)
        self._control.add(self._session, self)
        _all.add(self)
        self.filter = filter

    # -- for users

    @property
    def flows(self) -> Flows:
        """The flows it was made for."""
        return self._flows

    @property
    def proxy(self) -> Proxy:
        """The proxy that replays and holds for it."""
        return self._proxy

    @property
    def selected(self) -> Flows:
        """The flows that are selected, in the order of their ids; assign flows, or one."""
        return self._flows.of(sorted(self.selected_ids))

    @selected.setter
    def selected(self, flows: Iterable[HTTPFlow] | HTTPFlow) -> None:
        some = (flows,) if isinstance(flows, HTTPFlow) else flows
        self.selected_ids = tuple(flow.id for flow in some)

    @property
    def shown(self) -> Flows:
        """The flows that the filter lets through, live."""
        return self._flows.filter(self.filter) if self.filter else self._flows

    @property
    def df(self) -> pd.DataFrame:
        """The frame of the selected flows; of all that are shown if none is selected."""
        return self.selected.df if self.selected_ids else self.shown.df

    def export_html(self, path: str | None = None, limit: int = 2000) -> str:
        """A page that stands for itself: the newest flows that are shown, as a plain table.

        Args:
            path: Where to write it, if anywhere.
            limit: How many flows at most.

        Returns:
            The HTML. It is masked, and has no script.

        Raises:
            OSError: It cannot be written.
        """
        page = export.page(self.shown, limit)
        if path is not None:
            Path(path).expanduser().write_text(page, encoding="utf-8")
        return page

    def close(self) -> None:
        """Take it from the page, and end its thread."""
        self.stop()
        super().close()

    def stop(self) -> None:
        """End its thread; what is shown stays. For the end of the extension and of the kernel."""
        if self._watched:
            self._publish_static(update=True)
        self._pause()
        _all.discard(self)
        if all(each.proxy is not self._proxy for each in _all):
            self._proxy.handlers.notes_changes = False
        with contextlib.suppress(Exception):  # the kernel may be on its way out
            self._tell({"kind": "stopped"})
        self._worker.close()
        self._feed.close()

    def __repr__(self) -> str:
        count = len(self._feed)
        text = f"{count:,} flow{'' if count == 1 else 's'}"
        if self.filter:
            text += f", filter {self.filter!r:.80}"
        if self.selected_ids:
            text += f", {len(self.selected_ids)} selected"
        return f"<Inspector: {text}>"

    # -- display

    def _ipython_display_(self) -> None:
        """The widget, and a plain table beside it for places that show no widgets.

        Two outputs, for the second one is brought up to date while the notebook is open, and doing
        that to the first would make a new view of the widget each time.
        """
        shell = get_ipython()
        if shell is None or getattr(shell, "kernel", None) is None:
            print(self._static_bundle()["text/plain"])  # noqa: T201 - a terminal shows no widgets
            return
        self._watch()
        self._context, self._publisher = contextvars.copy_context(), shell.display_pub
        self._publisher.publish({_VIEW: self._view(), "text/plain": repr(self)})
        self._publish_static(update=False)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The same in one, for whoever asks: other notebooks, containers of widgets."""
        self._watch()
        return {_VIEW: self._view(), **self._static_bundle(), "text/plain": repr(self)}, {}

    def _view(self) -> dict[str, Any]:
        return {"version_major": 2, "version_minor": 0, "model_id": self.model_id}

    def _static_bundle(self) -> dict[str, str]:
        ids, total = self._feed.newest(export.ROWS)
        return export.bundle(self._flows.of(ids), total, self.filter, self.static_id)

    def _publish_static(self, *, update: bool) -> None:
        """Show the plain table, or bring it up to date; a fence, for the kernel may be leaving."""
        publisher, context = self._publisher, self._context
        if publisher is not None and context is not None:
            transient = {"display_id": self.static_id}
            with contextlib.suppress(Exception):
                bundle = self._static_bundle()
                # in the context of its cell: ipykernel 7 takes the message's parent from there
                context.run(publisher.publish, bundle, transient=transient, update=update)

    # -- the browser's side

    def _tell(self, content: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        """Send a message to the browser, from any thread."""
        self.send(content, buffers=list(buffers) if buffers else None)

    def _let_subshells_answer(self) -> None:
        """Have messages come by the way the browser chose, see `nbproxy.notebook.widgets.control`.

        ipykernel 7 leads a message to the shell that wrote last on this comm, which is the main
        one, even if the browser sent it to a subshell because the main one is busy.
        """
        comm: Any = self.comm
        if hasattr(comm, "_reply_subshell_for"):
            comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no other way

    def _on_message(self, _: object, content: Any, __: object) -> None:
        """A message from the browser, on any thread."""
        self.deliver(content)

    def deliver(self, content: Any) -> None:
        """Take a message from the browser, whatever way it came; from any thread."""
        if not isinstance(content, dict):
            return
        if content.get("kind") == "ack":
            number = content.get("number")
            if isinstance(number, int):
                self._worker.post(lambda: self._feed.acknowledge(number))
        elif content.get("kind") == "do":
            self._worker.post(lambda: self._commands.handle(content))

    # commands

    def _hello(self, have: int = 0, session: str = "") -> dict[str, Any]:
        """A browser is there, and has this much."""
        self._watch()
        self._feed.resend(have if session == self._session else 0)
        self._welcome()
        return {}

    def _bye(self) -> None:
        """No view is left in that browser."""
        self._pause()

    def _resend(self, have: int) -> None:
        self._feed.resend(have)

    def _want(self, slots: list[int]) -> None:
        self._feed.want(slots)

    def _filter_from_browser(self, source: str, by: str = "") -> dict[str, Any]:
        try:
            wanted = filters.parse(source) if source.strip() else None
        except FilterError as error:
            return {
                "ok": False,
                "problem": error.problem,
                "hint": error.hint,
                "position": error.position,
            }
        self._filtered_by = by
        self._in_browser = True
        try:
            self.filter = source.strip()
        finally:
            self._in_browser = False
        return {"ok": True, "warnings": list(wanted.warnings) if wanted is not None else []}

    def _complete(self, source: str, cursor: int) -> list[dict[str, Any]]:
        return [
            {
                "text": each.text,
                "start": each.start,
                "end": each.end,
                "argument": each.argument,
                "meaning": each.meaning,
            }
            for each in filters.complete(source, cursor)
        ]

    def _select_from_browser(self, ids: list[int]) -> None:
        self._all_due = False
        self._in_browser = True
        try:
            self.selected_ids = tuple(int(number) for number in ids)
        finally:
            self._in_browser = False

    def _select_all_soon(self) -> None:
        """Select all that the filter lets through, once it was put to all flows."""
        self._all_due = True

    def _select_all(self) -> None:
        """Select all that is shown, and say to the browser which: it may lack rows of these."""
        ids, _ = self._feed.newest(sys.maxsize)
        self._select_from_browser(ids)
        self._tell({"kind": "select_all"}, [packed(ids)])

    # traits

    @traitlets.observe("filter")
    def _on_filter(self, change: Any) -> None:
        source = change["new"]
        wanted = filters.parse(source) if source else None
        by = getattr(self, "_filtered_by", "") if self._in_browser else ""
        self._worker.post(lambda: self._apply_filter(source, wanted, by))

    def _apply_filter(self, source: str, wanted: Any, by: str) -> None:
        self._all_due = False  # it was meant of what the filter before let through
        serial = self._feed.set_filter(wanted)
        self._tell({"kind": "filter", "source": source, "serial": serial, "by": by})

    @traitlets.validate("selected_ids")
    def _check_selected(self, proposal: Any) -> tuple[int, ...]:
        return tuple(dict.fromkeys(int(number) for number in proposal["value"]))

    @traitlets.observe("selected_ids")
    def _on_selected(self, change: Any) -> None:
        if not self._in_browser:
            self._all_due = False
            self._tell({"kind": "select", "ids": list(change["new"])})

    # -- the thread's step

    def _watch(self) -> None:
        """Somebody looks: follow the flows."""
        self._watched = True
        if self._unsubscribe is None:
            ends = (
                self._flows.store.subscribe(self._worker.wake),
                self._proxy.intercepts.subscribe(self._worker.wake),
            )
            self._unsubscribe = lambda: [end() for end in ends]
        self._proxy.handlers.notes_changes = True  # from now on: somebody wants to know
        self._worker.start()

    def _pause(self) -> None:
        """Nobody looks: let the flows be."""
        self._watched = False
        unsubscribe, self._unsubscribe = self._unsubscribe, None
        if unsubscribe is not None:
            unsubscribe()

    def _step(self) -> Rest:
        """Send what is due, and ask the filter on."""
        if not self._watched:
            return Rest()
        feed = self._feed
        feed.look()
        if feed.has_news:
            self._changed_at = time.monotonic()
            if feed.pace.wait_s() <= 0:
                self._send_batch()
        self._look_around()
        if feed.is_asking:
            feed.ask()
            return Rest(0.001, lightly=False)  # others get a turn
        if self._all_due:
            self._select_all()
        if feed.has_news:
            return Rest(feed.pace.wait_s(), lightly=False)
        return self._refresh_snapshot()

    def _send_batch(self) -> None:
        feed = self._feed
        if not feed.pace.is_heard:
            self._welcome()  # a browser that began while nobody could hear it
        content, buffers = feed.batch()
        content["session"] = self._session
        self._tell(content, buffers)

    def _welcome(self) -> None:
        """Tell a browser what it needs to know."""
        self._state = self._actions.state()
        self._tell(
            {
                "kind": "welcome",
                "session": self._session,
                "model_id": self.model_id,
                "access": self._access(),
                "filter": self.filter,
                "serial": self._feed.serial,
                "selected": list(self.selected_ids),
                "state": self._state,
            }
        )

    def _access(self) -> dict[str, Any] | None:
        """How the control endpoint is reached, if there is one."""
        return self._control.access(self._session)

    def _look_around(self) -> None:
        """Tell of what is no flow, where it has changed."""
        state = self._actions.state()
        if state != self._state:
            self._state = state
            self._tell({"kind": "state", "state": state})

    # -- what is saved

    def _refresh_snapshot(self) -> Rest:
        """Bring what a saved notebook keeps up to date, once it is quiet."""
        if self._snapshot_of != (self._feed.epoch, self._flows.store.version):
            quiet_s = time.monotonic() - self._changed_at
            if quiet_s < QUIET_S:
                return Rest(QUIET_S - quiet_s)
            self.snapshot = self._take_snapshot()
            self._publish_static(update=True)
        return Rest(LOOK_S)

    def _take_snapshot(self) -> dict[str, Any]:
        store = self._flows.store
        self._snapshot_of = (self._feed.epoch, store.version)
        ids, total = self._feed.newest(SNAPSHOT_ROWS)
        known, columns = store.columns(ids)
        content, raw = encode(known, columns)
        return {**content, "total": total, "data": raw}
