"""Which proxy recorded a flow, and what it does for flows: `flow.replay()`, `flows.run(...)`.

The model and the store know neither proxies nor files nor scripts; `serve` tells them whom to ask.
What is asked for is imported when somebody does.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.errors import ScriptError
from nbproxy.model.flow import HTTPFlow
from nbproxy.store.store import Store
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Iterable, Iterator

    from nbproxy.engine.runner import LoopRunner
    from nbproxy.scripts.manager import Scripts
    from nbproxy.store.changes import Changed


class Owner(Protocol):
    """A proxy, as its flows need it."""

    @property
    def store(self) -> Store:
        """Where its flows are."""

    @property
    def scripts(self) -> Scripts:
        """What runs scripts over them."""

    @property
    def running(self) -> bool:
        """Whether it listens."""

    @property
    def runner(self) -> LoopRunner | None:
        """Where its loop lives."""

    def resend(self, flow: HTTPFlow) -> concurrent.futures.Future[None]:
        """Send the request of a flow again, on its loop."""

    def close(self) -> None:
        """Give back what it holds."""


# by the id of the store: a proxy keeps its store, so none is given twice
_by_store: weakref.WeakValueDictionary[int, Owner] = weakref.WeakValueDictionary()


def enlist(proxy: Owner) -> None:
    """What is in this proxy's store is its own from now on, as long as it lives."""
    _by_store[id(proxy.store)] = proxy


def serve(idle: Callable[[], Owner]) -> None:
    """Do from now on what flows ask for.

    Args:
        idle: Makes a proxy that does not run, for scripts over flows that no proxy recorded.
    """
    Store.progress = staticmethod(_progress)
    Flows.saver = staticmethod(_save)
    Flows.exporter = staticmethod(_export)
    Flows.framed = staticmethod(_framed)
    Flows.runner = staticmethod(partial(_run_on_flows, idle))
    Flows.replayer = staticmethod(_replay_flows)
    HTTPFlow.runner = staticmethod(partial(_run_on_one, idle))
    HTTPFlow.replayer = staticmethod(_replay_one)


def _owner_of(flow: HTTPFlow) -> Owner | None:
    """The proxy that recorded a flow."""
    return next((proxy for proxy in list(_by_store.values()) if flow in proxy.store), None)


def _save(*args: Any, **kwargs: Any) -> int:
    """What `Flows.save` calls; the store itself knows no files."""
    from nbproxy.saved import save  # noqa: PLC0415 - with all formats, and seldom needed

    return save(*args, **kwargs)


def _export(*args: Any, **kwargs: Any) -> int:
    """What `Flows.to_parquet` calls."""
    from nbproxy.datasets.writing import write  # noqa: PLC0415 - pandas and pyarrow are slow

    return write(*args, **kwargs)


def _run_script(
    idle: Callable[[], Owner],
    flows: Iterable[HTTPFlow],
    owner: Owner | None,
    script: Any,
    era: str | float | None,
) -> Changed:
    """Run a script over flows: by the proxy that recorded them, else by one just for that."""
    from nbproxy.offline import run  # noqa: PLC0415 - with all that scripts need

    __tracebackhide__ = True  # IPython then shows the user's line, not ours
    proxy = owner or idle()
    try:
        return run(flows, script, proxy.scripts, era=era)
    except (ScriptError, ValueError) as error:
        raise error.with_traceback(None) from error.__cause__
    finally:
        if owner is None:
            proxy.close()


def _run_on_flows(
    idle: Callable[[], Owner], flows: Flows, script: Any, *, era: str | float | None = None
) -> Changed:
    """What `Flows.run` calls."""
    __tracebackhide__ = True
    return _run_script(idle, flows, _by_store.get(id(flows.store)), script, era)


def _run_on_one(
    idle: Callable[[], Owner], flow: HTTPFlow, script: Any, *, era: str | float | None = None
) -> HTTPFlow:
    """What `HTTPFlow.run` calls."""
    __tracebackhide__ = True
    return _run_script(idle, [flow], _owner_of(flow), script, era)[0]


def _replay_one(flow: HTTPFlow, changes: dict[str, Any], *, sync: bool) -> Any:
    """What `HTTPFlow.replay` calls."""
    from nbproxy.replaying import replay_flow  # noqa: PLC0415 - seldom needed

    __tracebackhide__ = True
    return replay_flow(flow, _owner_of(flow), changes, sync=sync)


def _replay_flows(flows: Flows, *args: Any, **kwargs: Any) -> Any:
    """What `Flows.replay` calls."""
    from nbproxy.replaying import replay_flows  # noqa: PLC0415 - seldom needed

    __tracebackhide__ = True
    return replay_flows(flows, _by_store.get(id(flows.store)), *args, **kwargs)


def _framed(store: Store) -> None:
    """What `Flows.framed` calls: from now on frames have `df.flow`."""
    from nbproxy.accessor import remember  # noqa: PLC0415 - with pandas, slow to import

    remember(store, keep=id(store) not in _by_store)


def _progress(starts: range) -> Iterator[int]:
    """What `Store.progress` calls: how many flows were gone through before each step."""
    from nbproxy.scripts.progress import Bar  # noqa: PLC0415 - seldom needed

    bar = Bar(starts.stop, "flows")
    for start in starts:
        bar.step(start)
        yield start
    bar.done = starts.stop
    bar.end()
