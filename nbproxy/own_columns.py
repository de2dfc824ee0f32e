"""`nbproxy.column`: columns of your own in the frame, computed from flows."""

from __future__ import annotations

import contextvars
import inspect
import keyword
import sys
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar, overload

from nbproxy.filters.computed import computed
from nbproxy.handlers.reports import cut
from nbproxy.model.escape import visible
from nbproxy.store.schema import COLUMNS, INDEX

F = TypeVar("F", bound=Callable[[Any], Any])

_SHOWN = 5000  # characters of a traceback
_TAKEN = {INDEX, "flow", *(column.name for column in COLUMNS)}


@overload
def column(name: str, function: None = None) -> Callable[[F], F]: ...
@overload
def column(name: str, function: F) -> F: ...
def column(name: str, function: F | None = None) -> F | Callable[[F], F]:
    """Add a column to the frames of flows, or give it another function.

    It is in `nbproxy.df`, in `df` of filtered and of opened flows, for the past and for what is to
    come, and in filters: `flows.filter("~col user_id=^17$")`. `del nbproxy.columns["user_id"]`
    takes it away.

    Args:
        name: Its name: letters, digits and underscores, and not that of a column there is.
        function: Gives the value for a flow: text, a number, a truth value, a time or None. It is
            called once a flow that is over, and again if that is changed; before that on each look,
            so that `flow.response` may still be None. On any thread. What it raises is a missing
            value; the first time is shown here.

    Raises:
        ValueError: The name cannot be used.
        TypeError: There is no name, or no function.

    Example:
        >>> @nbproxy.column("user_id")  # doctest: +SKIP
        ... def user_id(flow):
        ...     return flow.request.cookies.get("uid")
    """
    given: object = name
    if not isinstance(given, str):
        called = getattr(given, "__name__", "name")
        raise TypeError(f'a column needs a name: @nbproxy.column("{called}")')
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise ValueError(f"{name!r} cannot be a column's name: letters, digits and underscores")
    if name in _TAKEN:
        raise ValueError(f"there is a column {name!r} already")

    def add(function: F) -> F:
        if not callable(function):
            raise TypeError(f"a column is computed by a function of a flow, not by {function!r}")
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"nobody awaits what a column is computed by: {name!r} takes a `def`")
        context = contextvars.copy_context()
        computed.set(name, function, lambda name, error: context.copy().run(_tell, name, error))
        return function

    return add if function is None else add(function)


def _tell(name: str, error: BaseException) -> None:
    """Show a first failure; in a kernel under the cell that made the column."""
    cut(error)
    text = visible("".join(traceback.format_exception(error)), _SHOWN, multiline=True)
    print(  # noqa: T201 - to the user
        f"nbproxy: the column {name!r} failed; its value is missing there, and more of the same "
        f"is only counted\n{text}",
        end="",
        file=sys.stderr,
    )


class Columns(MutableMapping[str, Callable[[Any], Any]]):
    """The columns that were added, by name: their functions. `nbproxy.columns` is the only one."""

    def __getitem__(self, name: str) -> Callable[[Any], Any]:
        return computed.functions()[name]

    def __setitem__(self, name: str, function: Callable[[Any], Any]) -> None:
        column(name, function)

    def __delitem__(self, name: str) -> None:
        computed.remove(name)

    def __iter__(self) -> Iterator[str]:
        return iter(computed.functions())

    def __len__(self) -> int:
        return len(computed)

    def __repr__(self) -> str:
        errors = computed.errors
        shown = [f"{name} ({errors[name]} failures)" if errors.get(name) else name for name in self]
        return f"<Columns: {', '.join(shown) or 'none'}>"


columns = Columns()
