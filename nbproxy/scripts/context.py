"""What the views and the context object of eras A to C reach of the proxy."""

from __future__ import annotations

import contextlib
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

from nbproxy.scripts.compat.master import Master, replay
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.compat.master import Services
    from nbproxy.scripts.host import Host

_LOOK_S: Final = 0.5  # how soon a thread sees that the proxy that it waits for was stopped


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

        From 0.12 on it waits for the response. Hooks of scripts that do so run in threads (see
        `program`), where they can wait; elsewhere on the proxy's loop it goes on in the background,
        as it did until 0.11.

        Returns:
            None, or why it cannot be done.
        """
        host = self._services.host
        try:
            future = replay(host, flow, hooks=False)
        except ValueError as error:
            return str(error)
        if self._services.era is not Era.A and not host.on_loop():
            with self._services.waiting():
                _await(future, host)
        return None

    def log(self, text: str, level: str) -> None:
        """Put an entry into the log."""
        self._services.say(level, text)

    def load_script(self, command: str) -> Any:
        """Load another script."""
        return self._services.load_other(command)

    def unload_scripts(self) -> None:
        """Take all scripts out."""
        self._services.unload_others()

    def scripts(self) -> list[Any]:
        """All scripts."""
        return self._services.others()

    def add_contentview(self, view: Any) -> None:
        """Add a view of bodies."""
        self._services.contentviews.add(view)

    def remove_contentview(self, view: Any) -> None:
        """Remove a view of bodies."""
        self._services.contentviews.remove(view)

    def certificate(self, der: bytes) -> Mapping[str, Any]:
        """What a certificate says."""
        return self._services.host.certificate(der)


def _await(future: Any, host: Host) -> None:
    """Wait in a thread until it is done, or can never be."""
    with contextlib.suppress(CancelledError):
        while host.running:
            with contextlib.suppress(TimeoutError):
                future.result(_LOOK_S)
                return
