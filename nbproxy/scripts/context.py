"""What the views and the context object of eras A to C reach of the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.scripts.compat.master import Master, replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.compat.master import Services


class ContextHost:
    """A script's surroundings, as `compat.classic_host.ClassicHost` asks for them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.master = Master(services)
        self.app_registry = self.master.apps

    def duplicate(self, flow: HTTPFlow) -> HTTPFlow:
        """A copy of a flow, put among those that passed."""
        copy = flow.copy()
        self._services.host.add_flow(copy)
        return copy

    def replay(self, flow: HTTPFlow) -> str | None:
        """Send a request again, without hooks.

        In a thread (`@concurrent`) it waits for the response as 0.12 to 0.17 did; in a plain hook
        that would block the proxy itself, so it goes on in the background.

        Returns:
            None, or why it cannot be done.
        """
        host = self._services.host
        try:
            future = replay(host, flow, hooks=False)
        except ValueError as error:
            return str(error)
        if future is not None and not host.on_loop():
            future.result()
        return None

    def log(self, text: str, level: str) -> None:
        """Put an entry into the log."""
        self._services.say(level, text)

    def add_contentview(self, view: Any) -> None:
        """Add a view of bodies."""
        self._services.contentviews.add(view)

    def remove_contentview(self, view: Any) -> None:
        """Remove a view of bodies."""
        self._services.contentviews.remove(view)

    def certificate(self, der: bytes) -> Mapping[str, Any]:
        """What a certificate says."""
        return self._services.host.certificate(der)
