"""`mitmproxy.ctx` and what hangs on it: the log, the options, the host's "master" object."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import CancelledError
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.hooks import all_names, canonical
from nbproxy.model.message import Request as RealRequest
from nbproxy.scripts.compat import dumps
from nbproxy.scripts.compat.flows import Flow, Server, real, view
from nbproxy.scripts.compat.wsgi import Registry as Apps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.scripts.bodyviews import OwnViews
    from nbproxy.scripts.compat.classic_host import ClassicHost
    from nbproxy.scripts.eras import Era
    from nbproxy.scripts.host import Host
    from nbproxy.scripts.settings import Commands, ScriptOptions


class Services(Protocol):
    """What a script's surroundings offer to the stand-ins."""

    @property
    def era(self) -> Era:
        """The script's era."""
        ...

    @property
    def host(self) -> Host:
        """The proxy."""
        ...

    @property
    def options(self) -> ScriptOptions:
        """All options."""
        ...

    @property
    def commands(self) -> Commands:
        """All commands."""
        ...

    @property
    def contentviews(self) -> OwnViews:
        """Its views of bodies."""
        ...

    @property
    def classic_host(self) -> ClassicHost | None:
        """For eras A to C: what their views reach of the proxy."""
        ...

    def say(self, level: str, text: object) -> None:
        """Put an entry into the log."""
        ...

    def note(self, level: str, text: str) -> None:
        """Put an entry into the log that its reader has seen already."""
        ...

    def register(self, addon: object) -> None:
        """Add an addon object behind what the script has already."""
        ...

    def unregister(self, addon: object) -> None:
        """Take an addon object out of those of the script."""
        ...

    def addons(self) -> list[object]:
        """All addon objects, of all scripts."""
        ...

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """While a hook waits for something: other hooks of the script may run."""
        ...

    def load_other(self, command: str) -> object:
        """Load another script."""
        ...

    def others(self) -> list[object]:
        """All scripts."""
        ...

    def unload_others(self) -> None:
        """Take all scripts out."""
        ...


class ReplayException(Exception):  # noqa: N818 - mitmproxy's name
    """A request cannot be sent again."""


class Replay:
    """A request on its way again, in the background; until 2.0 a thread stood for it."""

    def __init__(self, future: Any, on_loop: Callable[[], bool]) -> None:
        self._future = future
        self._on_loop = on_loop

    def is_alive(self) -> bool:
        """Whether it is still on its way."""
        return self._future is not None and not self._future.done()

    def join(self, timeout: float | None = None) -> None:
        """Wait for it, at most so many seconds. In a hook that would be for ever: it returns."""
        if self.is_alive() and not self._on_loop():
            with contextlib.suppress(TimeoutError, CancelledError):
                self._future.result(timeout)


class Loaded:
    """What `load_flow` gives: done already, and may be awaited, as since 4.0 it must be."""

    def __await__(self) -> Iterator[None]:
        return iter(())


class LogApi:
    """`ctx.log`, also callable; from any thread."""

    def __init__(self, say: Callable[[str, object], None]) -> None:
        self._say = say

    def __call__(self, text: object, level: str = "info") -> None:
        """Say it."""
        self._say(level, text)

    def debug(self, text: object) -> None:
        """Say it at this level."""
        self._say("debug", text)

    def info(self, text: object) -> None:
        """Say it at this level."""
        self._say("info", text)

    def alert(self, text: object) -> None:
        """Say it at this level."""
        self._say("alert", text)

    def warn(self, text: object) -> None:
        """Say it at this level."""
        self._say("warn", text)

    warning = warn

    def error(self, text: object) -> None:
        """Say it at this level."""
        self._say("error", text)


class Addons:
    """`ctx.master.addons`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def get(self, name: str) -> Any:
        """The addon of that name, or None."""
        return next((a for a in self._services.addons() if addon_name(a) == name.lower()), None)

    def add(self, *addons: object) -> None:
        """Add addons to those of the script that asks."""
        for addon in addons:
            self._services.register(addon)

    def remove(self, addon: object) -> None:
        """Take an addon out of those of the script that asks; it gets `done`."""
        self._services.unregister(addon)

    def __contains__(self, item: object) -> bool:
        return any(addon is item or addon_name(addon) == item for addon in self._services.addons())

    def __iter__(self) -> Iterator[object]:
        return iter(self._services.addons())

    def __len__(self) -> int:
        return len(self._services.addons())

    @property
    def chain(self) -> list[object]:
        """All addons, in order."""
        return self._services.addons()

    def trigger(self, event: Any, *args: Any) -> None:
        """Have all addons called for an event, by its name or, since 7, as a hook object."""
        name = event if isinstance(event, str) else event.name
        args = args if isinstance(event, str) else tuple(event.args())
        if name in all_names() and args:
            host = self._services.host
            waiting = host.handlers.fire(canonical(name), real(args[0]))
            if waiting is not None:
                host.submit(_wait(waiting))
            return
        for addon in self._services.addons():
            function = getattr(addon, name, None)
            if callable(function):
                function(*args)

    async def trigger_event(self, event: Any) -> None:
        """The same for a hook object, awaited."""
        self.trigger(event)


async def _wait(waiting: Any) -> None:
    await waiting


def addon_name(addon: object) -> str:
    """What an addon is called: its `name`, or its class's name in lower case."""
    name = getattr(addon, "name", None)
    return name if isinstance(name, str) else type(addon).__name__.lower()


class FlowList:
    """`ctx.master.view` and `ctx.master.state`: the flows that passed."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def add(self, flows: Any) -> None:
        """Put a flow, or several, among those that passed."""
        for flow in [flows] if isinstance(flows, Flow) else flows:
            self._services.host.add_flow(real(flow))

    add_flow = add

    def update(self, _flows: Any) -> None:
        """Tables show the present state anyway."""

    def delete_flow(self, flow: Any) -> None:
        """Take a flow out."""
        self._services.host.remove_flow(real(flow))

    def clear(self) -> None:
        """Take all flows out."""
        for flow in list(self._services.host.flows):
            self._services.host.remove_flow(flow)

    @property
    def flows(self) -> list[Any]:
        """All flows."""
        return [view(self._services.era, flow) for flow in self._services.host.flows]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.flows)

    def __len__(self) -> int:
        return len(self._services.host.flows)


class Master:
    """`ctx.master`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.options = services.options
        self.commands = services.commands
        self.addons = Addons(services)
        self.log = LogApi(services.say)
        self.view = self.state = FlowList(services)
        self.apps = Apps(services.register)
        self.server = None

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs now."""
        return asyncio.get_running_loop()

    def shutdown(self) -> None:
        """Stop the proxy."""
        self._services.host.shutdown()

    def duplicate_flow(self, flow: Any) -> Any:
        """A copy of a flow, put among those that passed."""
        copy = real(flow).copy()
        self._services.host.add_flow(copy)
        return view(self._services.era, copy)

    def replay_request(self, flow: Any, block: bool = False, **_: Any) -> Replay:
        """Send a request again, in the background; its hooks run.

        Args:
            flow: The flow.
            block: Wait for the response. In a plain hook it would never come (there mitmproxy
                hung): it returns at once then, and the replay's hooks do not run, since those of
                a script that replays whatever it is asked would never end.

        Raises:
            ReplayException: It cannot be sent.
        """
        host = self._services.host
        hooks = not (block and host.on_loop())
        try:
            started = Replay(replay(host, real(flow), hooks=hooks), host.on_loop)
        except ValueError as error:
            raise ReplayException(str(error)) from None
        if block:
            started.join()
        return started

    def load_flow(self, flow: Any) -> Loaded:
        """Put a flow among those that passed."""
        self._services.host.add_flow(real(flow))
        return Loaded()

    def load_flows(self, reader: Any) -> int:
        """Put all flows of a reader there; gives how many."""
        return len([self.load_flow(flow) for flow in reader.stream()])

    def load_flows_file(self, path: Any) -> int:
        """Put all flows of a file there; gives how many."""
        reader = dumps.reader(lambda flow: view(self._services.era, flow))
        with Path(path).expanduser().open("rb") as file:
            return self.load_flows(reader(file))

    def handlecontext(self) -> contextlib.AbstractContextManager[None]:
        """Natively `ctx` was valid only within; here it always is."""
        return contextlib.nullcontext()

    def create_request(self, method: str, scheme: str, host: str, port: int, path: str) -> Any:
        """A flow with this request, not sent yet."""
        made = Flow(None, Server((host, port)))
        own = real(made)
        own.request = RealRequest.make(method, f"{scheme}://{host}:{port}{path}")
        self._services.host.add_flow(own)
        return view(self._services.era, own)

    def add_log(self, text: object, level: str = "info") -> None:
        """Put an entry into the log."""
        self._services.say(level, text)

    add_event = add_log


def replay(host: Host, flow: Any, *, hooks: bool) -> Any:
    """Send the request of a flow again on the proxy's loop.

    Returns:
        A concurrent future.

    Raises:
        ValueError: The flow is under way, its request has no body any more, or the proxy is
            stopped.
    """
    if flow.intercepted:
        raise ValueError("Can't replay while intercepting...")
    if flow.live:
        raise ValueError("Can't replay live flow.")
    if flow.request.raw_content is None:
        raise ValueError("Can't replay request with missing content...")
    if not host.running:
        raise ValueError("Can't replay: the proxy is stopped.")
    flow.is_replay = "request"
    flow.request._replayed = True  # noqa: SLF001 - what `request.is_replay` shows to old scripts
    flow.response = flow.error = None
    return host.submit(host.replay(flow, hooks=hooks))


def context_module(services: Services) -> ModuleType:
    """`mitmproxy.ctx` of one script: always valid, in threads too."""
    module = ModuleType("mitmproxy.ctx")
    master = Master(services)
    module.__dict__.update(log=master.log, master=master, options=services.options)
    return module
