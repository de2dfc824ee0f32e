"""What belongs to the whole process, as one script sees it: it may change it for itself alone.

A kernel outlives the scripts that it loads. So a script gets a `builtins` that is its own, and a
`warnings` whose filters it can set for a `with catch_warnings()`, which puts them back, but not for
everybody. Its `sys` is in `nbproxy.scripts.arguments`.
"""

from __future__ import annotations

import builtins
import warnings
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nbproxy.scripts.arguments import Standin

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType, TracebackType


class Builtins(Standin):
    """A `builtins` that is the script's own: what is set on it, all code of the script sees.

    Args:
        space: The builtins of the script's code.
    """

    def __init__(self, space: dict[str, Any]) -> None:
        super().__init__(builtins)
        self.__dict__["__space__"] = space

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        space = super().__getattribute__("__dict__")["__space__"]
        try:
            return space[name]
        except KeyError:
            raise AttributeError(f"module 'builtins' has no attribute {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__["__space__"][name] = value

    def __delattr__(self, name: str) -> None:
        del self.__dict__["__space__"][name]

    def __dir__(self) -> list[str]:
        return sorted(self.__dict__["__space__"])


_inside: ContextVar[int] = ContextVar("nbproxy_catch_warnings", default=0)


class _CatchWarnings(warnings.catch_warnings):
    """The real one; inside of it a script may set filters, since they are put back."""

    def __enter__(self) -> Any:
        _inside.set(_inside.get() + 1)
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _inside.set(_inside.get() - 1)
        super().__exit__(kind, error, trace)


def own_warnings(say: Callable[[str, object], None]) -> ModuleType:
    """A `warnings` whose filters are set inside of `catch_warnings` only.

    Args:
        say: Is told when a script sets one elsewhere.
    """

    def only_inside(name: str) -> Callable[..., None]:
        def call(*args: Any, **kwargs: Any) -> None:
            if _inside.get():
                getattr(warnings, name)(*args, **kwargs)
            else:
                say("debug", f"warnings.{name}() has no effect outside of catch_warnings() here")

        call.__name__ = name
        return call

    names = ("filterwarnings", "simplefilter", "resetwarnings")
    functions: dict[str, Any] = {name: only_inside(name) for name in names}
    return Standin(warnings, catch_warnings=_CatchWarnings, **functions)
