"""The context object, first argument of every hook in eras A to C, and the master behind it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbproxy.errors import ScriptError
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.scripts.compat import dumps
from nbproxy.scripts.compat.classic_flow import FLOWS
from nbproxy.scripts.compat.flows import real

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbproxy.scripts.compat.classic_host import ClassicHost


class ScriptContext:
    """One for each script, for its life; scripts keep what they like on it."""

    def __init__(self, era: str, host: ClassicHost) -> None:
        self._era = era
        self._host = host
        self._master = FlowMaster(era, host)

    def log(self, message: Any, level: str = "info") -> None:
        """An entry of the log."""
        self._host.log(str(message), level)

    @property
    def app_registry(self) -> Any:
        """Web applications that answer in a server's place: `add(app, domain, port)`."""
        return self._host.app_registry

    def duplicate_flow(self, f: Any) -> Any:
        """A copy of a flow, added to those that passed; no hooks run for it."""
        return self._master.duplicate_flow(f)

    def replay_request(self, f: Any) -> str | None:
        """Send a request again; no hooks run. None, or why it cannot be done."""
        return self._host.replay(real(f))

    def kill_flow(self, f: Any) -> None:
        """Cut a flow off."""
        f.kill(self._master)

    def add_contentview(self, view: Any) -> None:
        """Offer a body viewer."""
        self._host.add_contentview(view)

    def remove_contentview(self, view: Any) -> None:
        """Take a body viewer back."""
        self._host.remove_contentview(view)

    def __repr__(self) -> str:
        return "<ScriptContext>"


class FlowMaster:
    """`context._master`: the host object, private and used all the same."""

    def __init__(self, era: str, host: ClassicHost) -> None:
        self._era = era
        self._host = host

    def duplicate_flow(self, f: Any) -> Any:
        """A copy of a flow, added to those that passed."""
        return self._shown(self._host.duplicate(real(f)))

    def create_request(self, method: str, scheme: str, host: str, port: int, path: str) -> Any:
        """A flow with a new request, added to those that passed."""
        request = Request(method, scheme, host, int(port), path)
        request.headers["host"] = host
        return self._shown(self._host.duplicate(HTTPFlow(request)))

    def replay_request(
        self,
        f: Any,
        block: bool = False,  # noqa: ARG002 - the host decides whether it can wait
        run_scripthooks: bool = True,  # noqa: ARG002 - hooks never run for replays of scripts
    ) -> str | None:
        """Send a request again. None, or why it cannot be done."""
        return self._host.replay(real(f))

    def load_flow(self, f: Any) -> Any:
        """Add a flow to those that passed."""
        return self._shown(self._host.duplicate(real(f)))

    def load_flows(self, reader: Any) -> int:
        """Add all flows of a reader; gives how many."""
        return len([self.load_flow(f) for f in reader.stream()])

    def load_flows_file(self, path: Any) -> int:
        """Add all flows of a file; gives how many."""
        with Path(path).expanduser().open("rb") as file:
            return self.load_flows(dumps.reader(self._shown)(file))

    @property
    def state(self) -> State:
        """The flows that passed."""
        return LiveState(self)

    @property
    def flows(self) -> list[Any]:
        """The flows that passed."""
        return [self._shown(real(each)) for each in self._host.master.view.flows]

    def delete_flow(self, f: Any) -> None:
        """Take a flow out."""
        self._host.master.view.delete_flow(f)

    @property
    def scripts(self) -> list[Any]:
        """The scripts that are loaded."""
        return self._host.scripts()

    def load_script(self, command: str) -> str | None:
        """Load another script. None, or why that cannot be done."""
        try:
            self._host.load_script(command)
        except ScriptError as error:
            return str(error)
        return None

    def unload_scripts(self) -> None:
        """Take all scripts out."""
        self._host.unload_scripts()

    def add_event(self, text: Any, level: str = "info", key: Any = None) -> None:  # noqa: ARG002 - the era's signature
        """An entry of the log."""
        self._host.log(str(text), level)

    @property
    def apps(self) -> Any:
        """Web applications that answer in a server's place."""
        return self._host.app_registry

    def shutdown(self) -> None:
        """Stop the proxy."""
        self._host.master.shutdown()

    def _shown(self, own: HTTPFlow) -> Any:
        return FLOWS[self._era].of(own, self._era)  # type: ignore[arg-type] # Era is a str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.startswith("handle_"):
            raise AttributeError(f"{name}: events come from the proxy; scripts cannot make them")
        return getattr(self._host.master, name)


class State:
    """`flow.State`: the list of flows, for programs that are no scripts."""

    flows: Any

    def __init__(self, flows: Iterable[Any] = ()) -> None:
        self.flows = list(flows)

    def flow_count(self) -> int:
        """How many there are."""
        return len(self.flows)

    def index(self, f: Any) -> int:
        """The place of a flow."""
        return list(self.flows).index(f)


class LiveState(State):
    """`master.state`: the flows that passed, always those of now."""

    def __init__(self, master: FlowMaster) -> None:
        self._master = master

    @property
    def flows(self) -> list[Any]:
        """The flows."""
        return self._master.flows

    @property
    def view(self) -> list[Any]:
        """The flows."""
        return self._master.flows

    def add_flow(self, f: Any) -> Any:
        """Add a flow."""
        return self._master.load_flow(f)

    def delete_flow(self, f: Any) -> None:
        """Take a flow out."""
        self._master.delete_flow(f)

    def clear(self) -> None:
        """Take all flows out."""
        for f in self.flows:
            self._master.delete_flow(f)

    add, delete = add_flow, delete_flow
