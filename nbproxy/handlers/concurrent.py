"""The mark `@concurrent`: run this handler in a thread while only its flow waits.

The mark is an attribute of the function, read when the function is registered. Put above `on(...)`
it comes after the registration, so handlers are also found by their function here.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from nbproxy.handlers.handler import is_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.handlers.handler import Handler

F = TypeVar("F", bound="Callable[..., Any]")

_MARK = "__nbproxy_concurrent__"
_registered: weakref.WeakKeyDictionary[Callable[..., Any], weakref.WeakSet[Handler]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()  # cells of two threads may register at once


def concurrent(function: F) -> F:
    """Mark a handler to be run in a thread: its flow waits, all others go on.

    It may stand below or above `@nbproxy.on(...)`, and on methods of addons. The handler must be
    safe to run several times at once, each time for another flow.

    Raises:
        TypeError: It is no function, or an `async def`, which lets others go on by itself.
    """
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"@concurrent goes above a function, not above {function!r}")
    if is_async(function):
        raise TypeError(
            "@concurrent is for plain functions; an async def lets other flows go on whenever it "
            "awaits: leave @concurrent away"
        )
    try:
        setattr(function, _MARK, True)
    except AttributeError:  # built-in functions and bound methods take no attributes
        function = _wrapped(function)
    for handler in _handlers_of(function):
        handler.kind = "concurrent"
    return function


def is_concurrent(function: Callable[..., Any]) -> bool:
    """True if the function bears the mark."""
    return getattr(function, _MARK, False) is True


def remember(handler: Handler) -> None:
    """Let a later mark on the handler's function reach the handler."""
    with _lock, contextlib.suppress(TypeError):  # unhashable callables: mark them first
        _registered.setdefault(handler.function, weakref.WeakSet()).add(handler)


def _handlers_of(function: Callable[..., Any]) -> list[Handler]:
    with _lock, contextlib.suppress(TypeError):
        return list(_registered.get(function, ()))
    return []


def _wrapped(function: F) -> F:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    setattr(call, _MARK, True)
    return call  # type: ignore[return-value]  # same signature by functools.wraps
