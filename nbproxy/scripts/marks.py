"""`@concurrent` as scripts import it: the hooks that each era allowed, and nbproxy's own way."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, Final

from nbproxy.handlers.concurrent import concurrent as mark
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable

_CLASSIC: Final = frozenset(
    ["request", "response", "error", "clientconnect", "serverconnect", "clientdisconnect"]
)
_WITH_LAYERS: Final = _CLASSIC | {"next_layer"}
_NEVER: Final = {
    Era.D: frozenset(("start", "configure", "tick")),
    Era.E: frozenset(("start", "configure", "tick")),
    Era.F: frozenset(("load", "configure", "tick")),
    Era.G: frozenset(("load", "configure")),
    Era.H: frozenset(("load", "configure")),
}


def concurrent_of(era: Era) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The decorator of an era.

    Its NotImplementedError comes when it is applied, so that the script does not load.
    """

    def concurrent(function: Callable[..., Any]) -> Callable[..., Any]:
        name = getattr(function, "__name__", "")
        if era <= Era.C:
            allowed = name in (_WITH_LAYERS if era is Era.C else _CLASSIC)
        else:
            allowed = name not in _NEVER[era]
        if not allowed:
            raise NotImplementedError(
                f"Concurrent decorator not supported for '{name}' method in {era.label}."
            )
        if inspect.iscoroutinefunction(function):
            return mark(_on_own_loop(function))
        return mark(function)

    return concurrent


def _on_own_loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """An `async def` handler, run in its thread on a loop of its own."""

    def call(*args: Any) -> Any:
        return asyncio.run(function(*args))

    call.__name__, call.__qualname__ = function.__name__, function.__qualname__
    return call
