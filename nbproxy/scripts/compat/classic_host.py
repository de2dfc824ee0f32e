"""What the views of eras A to C ask of the proxy, and the eras' names in messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.model.flow import HTTPFlow

RELEASES: Final = {
    "A": "mitmproxy 0.8 to 0.10",
    "B": "mitmproxy 0.11 to 0.13",
    "C": "mitmproxy 0.14 to 0.17",
}
"""The eras with a context object, by letter."""


class ClassicHost(Protocol):
    """What a context object and the views reach in the proxy that runs the script."""

    @property
    def app_registry(self) -> Any:
        """Has `add(app, domain, port)`: answer requests to there by a WSGI application."""
        ...

    @property
    def master(self) -> Any:
        """The host object; what `context._master` does not translate is looked up here."""
        ...

    def duplicate(self, flow: HTTPFlow) -> HTTPFlow:
        """A copy of a flow, put among those that passed."""
        ...

    def replay(self, flow: HTTPFlow) -> str | None:
        """Send a request again, without hooks; None, or why it cannot be done."""
        ...

    def log(self, text: str, level: str) -> None:
        """An entry of the script's log: "debug", "info", "warn" or "error"."""
        ...

    def load_script(self, command: str) -> Any:
        """Load another script."""
        ...

    def unload_scripts(self) -> None:
        """Take all scripts out."""
        ...

    def scripts(self) -> list[Any]:
        """All scripts."""
        ...

    def add_contentview(self, view: Any) -> None:
        """Offer a body viewer."""
        ...

    def remove_contentview(self, view: Any) -> None:
        """Take a body viewer back."""
        ...

    def certificate(self, der: bytes) -> Mapping[str, Any]:
        """What a certificate says, by attribute name."""
        ...


def missing(era: str, what: str, name: str, hint: str) -> AttributeError:
    """The error for an attribute that this era did not have."""
    return AttributeError(f"{what} of {RELEASES[era]} has no attribute {name!r}: {hint}")
