"""What a proxy has to do with scripts: they are loaded into it, and it is the world they see.

`Scripting` is the part of `Proxy` that people use; its other half is handed to the scripts.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbproxy.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from nbproxy.engine.engine import Engine
    from nbproxy.engine.runner import LoopRunner
    from nbproxy.handlers.registry import Registry
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.options import Options
    from nbproxy.scripts.log import Log
    from nbproxy.scripts.manager import Scripts
    from nbproxy.scripts.script import Script
    from nbproxy.store.store import Store
    from nbproxy.store.view import Flows


class Scripting:
    """The scripts of a proxy.

    Attributes:
        handlers: Where scripts register.
        store: Where flows go that scripts make.
        flows: What passed so far.
        runner: Where the proxy's loop lives; None before it starts.
        stop: Ends the proxy.
    """

    handlers: Registry
    options: Options
    store: Store
    flows: Flows
    runner: LoopRunner | None
    stop: Callable[[], None]
    _engine: Engine | None

    @cached_property
    def scripts(self) -> Scripts:
        """The scripts that are loaded: a table, and `scripts.options`, `scripts.commands`."""
        from nbproxy.scripts.manager import Scripts  # noqa: PLC0415 - many proxies have none

        return Scripts(_Host(self))

    @property
    def log(self) -> Log:
        """What scripts say, and what fails in them."""
        return self.scripts.log

    def load(self, script: Any, *, era: str | float | None = None) -> Script:
        """Load a script or an addon object. See `Scripts.load`.

        Example:
            `proxy.load("arguments.py html faketml")`, `proxy.load("old.py", era="0.11")`
        """
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        cell = self.handlers.cells.current_cell() if self.handlers.cells is not None else None
        try:
            return self.scripts.load(script, era=era, key=cell.key if cell is not None else None)
        except (ScriptError, ValueError) as error:
            raise error.with_traceback(None) from error.__cause__

    def unload(self, *what: object) -> int:
        """Take scripts out; all if nothing is named. See `Scripts.unload`."""
        return self.scripts.unload(*what)


class _Host:
    """What scripts need of a proxy: `nbproxy.scripts.host.Host`."""

    def __init__(self, proxy: Scripting) -> None:
        self._proxy = proxy
        self.handlers = proxy.handlers
        self.options = proxy.options
        self.flows = proxy.flows

    @property
    def running(self) -> bool:
        return self._proxy._engine is not None  # noqa: SLF001 - its other half

    def add_flow(self, flow: HTTPFlow) -> None:
        if flow not in self._proxy.store:
            self._proxy.store.opened(flow)

    def remove_flow(self, flow: HTTPFlow) -> None:
        self._proxy.store.remove([flow.id])

    async def replay(self, flow: HTTPFlow, *, hooks: bool) -> None:
        from nbproxy.engine.replay import replay  # noqa: PLC0415 - seldom needed

        engine = self._proxy._engine  # noqa: SLF001 - its other half
        if engine is not None:
            await replay(engine.core, flow, hooks=hooks)

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        runner = self._proxy.runner
        if runner is None or not self.running:
            coroutine.close()
            return None
        return runner.submit(coroutine)

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        runner = self._proxy.runner
        if runner is None:
            function(*args)
        else:
            runner.call(function, *args)

    def on_loop(self) -> bool:
        runner = self._proxy.runner
        return runner is not None and runner.owns_current_thread()

    def shutdown(self) -> None:
        # not from here: this is a handler, and the end waits for handlers
        threading.Thread(target=self._proxy.stop, name="nbproxy-shutdown", daemon=True).start()

    def frame(self, rows: list[dict[str, Any]]) -> Any:
        from nbproxy.store.frame import frame_of_log  # noqa: PLC0415 - pandas is slow to import

        return frame_of_log(rows)

    def frame_of_scripts(self, rows: list[dict[str, Any]]) -> Any:
        from nbproxy.store.frame import frame_of_scripts  # noqa: PLC0415 - as above

        return frame_of_scripts(rows)

    def certificate(self, der: bytes) -> Mapping[str, Any]:
        from nbproxy.certs.certificate import Certificate  # noqa: PLC0415 - slow to import

        found = Certificate(der)
        names = "cn organization altnames issuer subject notbefore notafter serial keyinfo"
        return {
            **{name: getattr(found, name) for name in names.split()},
            "has_expired": found.has_expired,
        }
