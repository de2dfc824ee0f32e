"""Scripts and handlers on flows that are over: what would they have done?

Ties scripts and handlers to the store, none of which knows the others' work here. The flows are
never touched: all is done to copies of them, which share nothing that can be changed.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import functools
import inspect
import os
import threading
from typing import TYPE_CHECKING, Any

from nbproxy import hooks
from nbproxy.handlers.calling import METADATA_KEY
from nbproxy.handlers.concurrent import is_concurrent
from nbproxy.handlers.handler import Source
from nbproxy.handlers.registry import Registry
from nbproxy.model.flow import Error
from nbproxy.scripts import events
from nbproxy.scripts.eras import Era
from nbproxy.scripts.program import takes_part
from nbproxy.scripts.script import Script
from nbproxy.store.changes import Change, Changed, compare, frame_of
from nbproxy.store.store import IN_MEMORY, Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    import pandas as pd

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.manager import Loadable, Scripts

PREVIEWED = 50
"""How many flows `preview` looks at when none are given: so many of the last."""

_PLAYED = (
    *("requestheaders", "request", "responseheaders", "response", "error"),
    *("websocket_start", "websocket_message", "websocket_end"),
)


def run(
    flows: Iterable[HTTPFlow],
    script: Loadable,
    scripts: Scripts,
    *,
    era: str | float | None = None,
) -> Changed:
    """Run a script over flows, in the order of events that its era has for stored ones.

    Args:
        flows: Which; they stay as they are.
        script: A path with arguments, or an addon object; see `Scripts.load`. A function of a flow
            is called for the hook it is named like, else for `response`.
        scripts: Whose options and commands it sees, and in whose log its failures are.
        era: The release it was written for; by default it is recognised.

    Returns:
        New flows, and what is different in them.

    Raises:
        ScriptError: The script cannot be loaded.
        TypeError: It is nothing of that.
        ValueError: There is no such era.
    """
    __tracebackhide__ = True
    script = as_addon(script) if is_function(script) else script
    check(script)
    originals = list(flows)
    before, after = _as_they_are(originals)
    scripts.run(script, after, era=era, in_place=True)
    store = Store(in_memory=IN_MEMORY)
    for flow in after:
        store.opened(flow)
        store.closed(flow)
    return Changed(store, originals, _compare(originals, before, after))


def check(script: Any) -> None:
    """Refuse what can be run over no flows.

    Raises:
        TypeError: It is neither a path nor an addon. Functions are for `as_addon`.
    """
    __tracebackhide__ = True
    if not (isinstance(script, (str, os.PathLike, Script)) or takes_part(script)):
        raise TypeError(
            "run takes a script's path, with arguments if it has any, an addon (an object or class "
            f"with methods named like hooks) or a function of a flow, not {script!r:.80}"
        )


def is_function(script: Any) -> bool:
    """Whether this is called as it is, and no addon."""
    return inspect.isroutine(script) or isinstance(script, functools.partial)


def as_addon(function: Any, hook: str | None = None) -> object:
    """An addon whose handler a function is: for this hook, the one it is named like, or `response`.

    Raises:
        ValueError: There is no such hook.
    """
    name = getattr(function, "__name__", "handler")
    wanted = hook_of(function) if hook is None else hooks.canonical(hook)
    return type(name, (), {wanted: staticmethod(function)})()


def hook_of(function: Any) -> str:
    """The hook that a function is named like, else `response`."""
    try:
        return hooks.canonical(getattr(function, "__name__", ""))
    except ValueError:
        return "response"


def preview(
    handler: Any,
    flows: Iterable[HTTPFlow],
    registered: Registry,
    *,
    hook: str | None = None,
) -> pd.DataFrame:
    """What a handler would change, without touching the flows.

    If it is registered, it is called as it would be live: for the hooks and the flows that it was
    registered for. What fails is shown as it would be live, and is no change. `flow.kill()` is seen
    as an `error`, and the hooks after it do not come; nothing is held by `flow.intercept()`.

    Args:
        handler: A function, a registered handler or its number, or an object whose methods are
            named like hooks.
        flows: On which.
        registered: The handlers there are.
        hook: The hook to call a function for. By default those that it is registered for; else
            the one that it is named like; else "response".

    Returns:
        A row for each field that would be changed: `flow field before after`.

    Raises:
        ValueError: The hook does not come in a flow that is over.
        TypeError: It cannot be a handler.
    """
    originals = list(flows)
    before, after = _as_they_are(originals)
    registry = Registry(hint_slow_s=0, reporter=registered.reporter)
    try:
        _put(registry, handler, registered, hook)
        for original, flow in zip(originals, after, strict=True):
            flow._id = original.id  # noqa: SLF001 - what is said of it is about that one
            _rehearse(registry, flow)
            _forget_failures(original, flow)
    finally:
        registry.close()
    return frame_of(_compare(originals, before, after))


class _Rehearsal:
    """Stands where the engine does in a live flow: a handler may then kill the copy it is given.

    Attributes:
        killed: Whether it did.
    """

    killed = False

    def resume(self) -> None:
        """Nothing is held here."""

    def kill(self) -> None:
        """Note it."""
        self.killed = True


def _rehearse(registry: Registry, flow: HTTPFlow) -> None:
    """Fire the hooks of a flow that is over, as if it were live."""
    control = _Rehearsal()
    flow._control = control  # noqa: SLF001 - as the engine does
    for name in events.sequence(Era.H, flow):
        _complete(registry.fire(name, flow))
        if control.killed:
            _complete(registry.fire("error", flow))
            break
    flow._control = None  # noqa: SLF001 - as above


def _forget_failures(original: HTTPFlow, flow: HTTPFlow) -> None:
    """Take out our own note of what failed: it is nothing that the handler did to the flow."""
    if METADATA_KEY in original.metadata:
        flow.metadata[METADATA_KEY] = original.metadata[METADATA_KEY]
    else:
        flow.metadata.pop(METADATA_KEY, None)


def _as_they_are(flows: list[HTTPFlow]) -> tuple[list[HTTPFlow], list[HTTPFlow]]:
    """What to compare with, and copies to be changed.

    A flow that is over stays as it is, so it is compared with itself: a second copy of each would
    take as much memory again. One that is live may go on meanwhile.
    """
    live = [flow.live for flow in flows]  # before they are copied: none comes to life again
    made = copies(flows)
    before = [
        _copy(new, {}) if going_on else flow
        for flow, new, going_on in zip(flows, made, live, strict=True)
    ]
    return before, made


def copies(flows: Iterable[HTTPFlow]) -> list[HTTPFlow]:
    """Copies of flows, down to what they share: flows of one connection still have one."""
    connections: dict[int, Any] = {}
    return [_copy(flow, connections) for flow in flows]


def _copy(flow: HTTPFlow, connections: dict[int, Any]) -> HTTPFlow:
    made = flow.copy()
    for name in ("client_conn", "server_conn"):
        connection = getattr(flow, name)
        if id(connection) not in connections:
            connections[id(connection)] = copy.copy(connection)
        setattr(made, name, connections[id(connection)])
    if flow.error is not None:
        made.error = Error(flow.error.msg, flow.error.timestamp)
    made.metadata = {key: _deep(value) for key, value in flow.metadata.items()}
    return made


def _deep(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - anything may stand there, also what cannot be copied
        return value


def _compare(
    originals: list[HTTPFlow], before: list[HTTPFlow], after: list[HTTPFlow]
) -> list[Change]:
    """What is different, by the ids of the originals."""
    return [
        change
        for flow, old, new in zip(originals, before, after, strict=True)
        for change in compare(old, new, flow.id)
    ]


def _put(registry: Registry, what: Any, registered: Registry, hook: str | None) -> None:
    """Register what is to be tried."""
    if isinstance(what, (str, os.PathLike)):
        raise TypeError(
            f"preview() takes a handler; what a script would change is in flows.run({str(what)!r})"
            ".changes()"
        )
    rows = [row for row in registered if row is what or what in (row.function, row.number)]
    source = Source("module", "preview", None)
    if rows:
        wanted = {hooks.canonical(hook)} if hook is not None else {row.hook for row in rows}
        for row in rows:
            registry.add(
                row.hook if hook is None else hook,
                row.function,
                filter=row.filter,
                source=row.source,
                concurrent=row.kind == "concurrent",
            )
            if hook is not None:
                break
    elif callable(what) and not isinstance(what, type):
        wanted = {hook_of(what) if hook is None else hooks.canonical(hook)}
        for name in wanted:
            registry.add(name, what, source=source, concurrent=is_concurrent(what))
    else:
        found = registry.add_addon(what() if isinstance(what, type) else what, source)
        wanted = {row.hook for row in found}
    if not wanted.intersection(_PLAYED):
        named = f"{', '.join(sorted(wanted))} does not come" if wanted else "nothing here is a hook"
        raise ValueError(f"{named}: on flows that are over there are {', '.join(_PLAYED)}")


def _complete(waiting: Awaitable[None] | None) -> None:
    """Wait for handlers, also where a loop is running already: by a thread beside it."""
    if waiting is None:
        return

    async def wait() -> None:
        await waiting

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(wait())
        return
    run = contextvars.copy_context().run
    thread = threading.Thread(target=run, args=(asyncio.run, wait()), name="nbproxy-preview")
    thread.start()
    thread.join()
