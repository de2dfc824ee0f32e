"""One handler: a function, the hook it is for, where it came from, and how it has fared.

What can be known of a function is read once, at registration: whether it waits, and whether it
takes the hook's argument or none. A handler may take less than the hook offers.
"""

from __future__ import annotations

import functools
import inspect
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from nbproxy.hooks import HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextvars import Context

    from nbproxy.filters import Filter

Kind = Literal["sync", "async", "concurrent"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where handlers come from; equal sources are the same.

    Attributes:
        kind: "cell" and "module" for `on(...)` in a notebook and elsewhere; "addon", "script".
        label: What people call it: "In [4]", a module's name, a script's path.
        key: What it is told apart by; of a cell, the notebook's id of it.
    """

    kind: Literal["cell", "module", "addon", "script"]
    label: str
    key: Hashable = None


class Handler:
    """A function registered for a hook. Made by the registry; all but `kind` is read-only.

    Attributes:
        number: Its number in the table; handlers run in this order.
        hook: Our name of the hook.
        function: What is called.
        takes_argument: False for a function that is called without the hook's argument.
        filter: Which flows it is for, or None for all.
        source: Where it came from.
        kind: "sync", "async" (only its flow waits) or "concurrent" (in a thread).
        calls: How often it was called (and is done).
        total_s: Seconds spent in all calls. Waiting in an async handler counts.
        worst_s: Seconds of the longest call.
        errors: How often it failed.
        last_error: The last failure in one line, "" if none.
    """

    __slots__ = (
        "__weakref__",
        "calls",
        "context",
        "errors",
        "filter",
        "function",
        "hinted",
        "hook",
        "key",
        "kind",
        "last_error",
        "number",
        "of_flow",
        "run",
        "shown",
        "source",
        "takes_argument",
        "total_s",
        "worst_s",
    )

    def __init__(
        self,
        number: int,
        hook: str,
        function: Callable[..., Any],
        *,
        filter: Filter | None,  # noqa: A002 - the word of the public call
        source: Source,
        context: Context,
        kind: Kind,
        key: Hashable = None,
        run: object = None,
    ) -> None:
        self.number = number
        self.hook = hook
        self.function = function
        self.takes_argument = takes_argument(function, hook)
        self.filter = filter
        self.source = source
        self.kind: Kind = kind
        self.of_flow = HOOKS[hook].kind == "flow"
        self.calls = 0
        self.total_s = 0.0
        self.worst_s = 0.0
        self.errors = 0
        self.last_error = ""
        # the registry's and the caller's: not for users
        self.context = context
        self.key = key
        self.run = run
        self.shown: set[tuple[str, str, int]] = set()
        self.hinted: set[str] = set()

    @property
    def name(self) -> str:
        """The function's qualified name."""
        return name_of(self.function)

    @property
    def mean_s(self) -> float:
        """Seconds of a call on average."""
        return self.total_s / self.calls if self.calls else 0.0

    def spent(self, seconds: float) -> None:
        """Count a call."""
        self.calls += 1
        self.total_s += seconds
        self.worst_s = max(self.worst_s, seconds)

    def __repr__(self) -> str:
        condition = f" [{self.filter.source}]" if self.filter is not None else ""
        return (
            f"<Handler {self.number}: {self.name} for {self.hook}{condition}, {self.source.label}>"
        )


def name_of(function: Callable[..., Any]) -> str:
    """The qualified name of a function; for a callable object, of its class."""
    function = _inner(function)
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def module_of(function: Callable[..., Any]) -> str:
    """The name of the module that defines a function."""
    return str(getattr(_inner(function), "__module__", None) or "")


def place_of(function: Callable[..., Any]) -> tuple[str, int]:
    """File and line where a function is written; ("", 0) if it is not written in Python."""
    inner = _inner(function)
    if isinstance(inner, types.MethodType):
        inner = inner.__func__
    code = getattr(inner, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def is_async(function: Callable[..., Any]) -> bool:
    """True if calling it gives a coroutine: `async def`, also as method, partial or `__call__`."""
    return _has(function, inspect.iscoroutinefunction)


def check_function(function: object, hook: str) -> None:
    """Refuse what cannot be a handler.

    Raises:
        TypeError: With what to do instead.
    """
    if not callable(function):
        raise TypeError(f"a handler is a function, not {function!r}")
    if isinstance(function, type):
        raise TypeError(
            f"{function.__qualname__} is a class; make an object of it and register its methods"
        )
    if _has(function, inspect.isasyncgenfunction) or _has(function, inspect.isgeneratorfunction):
        raise TypeError(
            f"{name_of(function)} contains `yield`, so calling it runs nothing of it; "
            "a handler changes its argument and returns nothing: remove the yield"
        )
    takes_argument(function, hook)


def takes_argument(function: Callable[..., Any], hook: str) -> bool:
    """Whether a function is to be called with the hook's argument, or without any.

    Raises:
        TypeError: It can be called neither way.
    """
    argument = HOOKS[hook].argument
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions do not tell
        return bool(argument)
    if argument and _binds(signature, None):
        return True
    if _binds(signature):
        return False
    wanted = f"def {_plain(function)}({argument}):"
    offered = f"one argument, the {argument}" if argument else "no argument"
    raise TypeError(
        f"{name_of(function)}{signature} cannot handle {hook!r}: a handler of that hook is called "
        f"with {offered}; write `{wanted}`"
    )


def _binds(signature: inspect.Signature, *args: object) -> bool:
    try:
        signature.bind(*args)
    except TypeError:
        return False
    return True


def _plain(function: Callable[..., Any]) -> str:
    name = getattr(_inner(function), "__name__", "")
    return name if name.isidentifier() else "handle"


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _has(function: Callable[..., Any], test: Callable[[Any], bool]) -> bool:
    inner = _inner(function)
    return test(inner) or test(getattr(type(inner), "__call__", None))  # noqa: B004 - not a test for being callable
