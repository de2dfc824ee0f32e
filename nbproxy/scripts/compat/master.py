"""`mitmproxy.ctx` and what hangs on it: the log, the options, the host's "master" object."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.model.message import Request as RealRequest
from nbproxy.scripts.compat.flows import Flow, Server, real, view
from nbproxy.scripts.compat.wsgi import Registry as Apps
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.scripts.compat.classic_host import ClassicHost
    from nbproxy.scripts.compat.contentviews import Contentviews
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
    def contentviews(self) -> Contentviews:
        """All views of bodies."""
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

    def addons(self) -> list[object]:
        """All addon objects, of all scripts."""
        ...


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

    def trigger(self, event: Any, *_: Any) -> None:
        """Events come from the proxy alone."""
        raise NotImplementedError(f"scripts cannot trigger {event!r}: events come from the proxy")


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

    def replay_request(self, flow: Any, block: bool = False, **_: Any) -> None:  # noqa: ARG002 - see below
        """Send a request again, in the background: waiting for it here would block the proxy."""
        replay(self._services.host, real(flow), hooks=self._services.era > Era.C)

    def load_flow(self, flow: Any) -> None:
        """Put a flow among those that passed."""
        self._services.host.add_flow(real(flow))

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
        A concurrent future, None if the proxy is stopped: then the flow has an error.

    Raises:
        ValueError: The flow is under way, or its request has no body any more.
    """
    if flow.live:
        raise ValueError("Can't replay live flow.")
    if flow.request.raw_content is None:
        raise ValueError("Can't replay request with missing content...")
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
