"""What scripts need of the proxy that they run in; `scripting.py` hands it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from nbproxy.handlers.registry import Registry
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.options import Options


class Host(Protocol):
    """A proxy, as scripts see it."""

    @property
    def handlers(self) -> Registry:
        """Where scripts register."""
        ...

    @property
    def options(self) -> Options:
        """The proxy's options."""
        ...

    @property
    def flows(self) -> Sequence[HTTPFlow]:
        """What passed so far."""
        ...

    @property
    def running(self) -> bool:
        """Whether the proxy listens."""
        ...

    def add_flow(self, flow: HTTPFlow) -> None:
        """Put a flow among those that passed."""
        ...

    def remove_flow(self, flow: HTTPFlow) -> None:
        """Take a flow from among those that passed."""
        ...

    async def replay(self, flow: HTTPFlow, *, hooks: bool) -> None:
        """Send the request of a flow again; its response or error is put into the flow."""
        ...

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the proxy's loop; gives a concurrent future, None if it is stopped."""
        ...

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function on the proxy's loop, or right here if it is stopped."""
        ...

    def on_loop(self) -> bool:
        """Whether this thread runs the proxy's loop right now."""
        ...

    def shutdown(self) -> None:
        """Stop the proxy soon."""
        ...

    def frame(self, rows: list[dict[str, Any]]) -> Any:
        """A DataFrame of log entries."""
        ...

    def frame_of_scripts(self, rows: list[dict[str, Any]]) -> Any:
        """A DataFrame of the table of scripts."""
        ...

    def certificate(self, der: bytes) -> Mapping[str, Any]:
        """What a certificate says, by attribute name."""
        ...
