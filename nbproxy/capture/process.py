"""What captures change in this process, and its undoing.

Environment variables belong to the process, so there is one `Surroundings` for all captures of all
proxies, and the one opened last decides. When the last is closed everything is as it was, but for
variables that somebody else has set meanwhile, which are left as they are.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from nbproxy.capture.clients import Libraries

if TYPE_CHECKING:
    from collections.abc import Mapping


class Route(Protocol):
    """Where clients are to go while a capture is open."""

    @property
    def url(self) -> str:
        """The proxy's address, with the capture's credentials."""
        ...

    @property
    def bundle(self) -> str:
        """File of CA certificates."""
        ...

    def variables(self, environ: Mapping[str, str]) -> dict[str, str | None]:
        """The variables to set, None for those to remove, given those that are set otherwise."""
        ...


class Surroundings:
    """The environment variables and the libraries of this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._routes: list[Route] = []
        self._libraries = Libraries()
        # of the variables that are ours now: what we made of them, and what they were
        self._ours: dict[str, str | None] = {}
        self._before: dict[str, str | None] = {}

    def enter(self, route: Route) -> None:
        """Lead clients along this route, until it is left or another is entered."""
        with self._lock:
            self._routes.append(route)
            self._settle()

    def leave(self, route: Route) -> None:
        """Not along this route any more. Nothing happens if it was not entered."""
        with self._lock:
            self._routes = [each for each in self._routes if each is not route]
            self._settle()

    def otherwise(self) -> dict[str, str]:
        """The environment as it is, or would be, without captures."""
        with self._lock:
            self._adopt()
            environ: dict[str, str | None] = {**os.environ, **self._before}
            return {name: value for name, value in environ.items() if value is not None}

    def _settle(self) -> None:
        try:
            self._apply()
        except KeyboardInterrupt:
            self._apply()  # never half way
            raise

    def _apply(self) -> None:
        """Make the process be as the last route wants it. Done again it changes nothing."""
        environ = self.otherwise()
        route = self._routes[-1] if self._routes else None
        wanted = route.variables(environ) if route is not None else {}
        for name in {**self._ours, **wanted}:
            before = environ.get(name)
            if name in wanted:
                self._before[name] = before
                self._ours[name] = wanted[name]
                _set(name, wanted[name])
            else:
                _set(name, before)
                del self._ours[name], self._before[name]
        if route is not None:
            self._libraries.divert(route.url, route.bundle)
        else:
            self._libraries.restore()

    def _adopt(self) -> None:
        """Let go of variables that somebody else has set: their wish counts from now on."""
        for name, value in list(self._ours.items()):
            if os.environ.get(name) != value:
                del self._ours[name], self._before[name]


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value


SURROUNDINGS = Surroundings()
"""Those of this process."""
