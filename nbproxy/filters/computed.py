"""Columns that users have added: a name, and a function of a flow that gives the value.

One table for the process: a column is in the frames of all flows, those of files too. The store
computes each value once a flow and keeps it; a filter (`~col user_id=17`) asks the store's columns
where it has many flows to ask about, and the function otherwise.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Value = Callable[[Any], Any]
    Failed = Callable[[str, BaseException], None]


class Computed:
    """The columns of users.

    Attributes:
        version: Another number after every change.
        errors: How often each function failed since it was set.
        on_error: Told of the first failure of each function.
    """

    def __init__(self) -> None:
        self._functions: dict[str, tuple[int, Value, Failed | None]] = {}
        self._versions = itertools.count(1)
        self.version = 0
        self.errors: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def versions(self) -> dict[str, int]:
        """When each was set: a function that takes another's place has another number."""
        return {name: version for name, (version, _, _) in list(self._functions.items())}

    def functions(self) -> dict[str, Value]:
        """The functions by their names."""
        return {name: function for name, (_, function, _) in list(self._functions.items())}

    def set(self, name: str, function: Value, failed: Failed | None = None) -> None:
        """Add a column, or give it another function.

        Args:
            name: Its name.
            function: Gives the value for a flow: text, a number, a truth value, a time or None.
                Called on any thread; a flow may be under way still. What it raises is a missing
                value.
            failed: Told of its first failure: with the name and the exception.
        """
        self.version = version = next(self._versions)
        self.errors[name] = 0
        self._functions[name] = version, function, failed

    def remove(self, name: str) -> None:
        """Take a column away.

        Raises:
            KeyError: There is none of this name.
        """
        del self._functions[name]
        del self.errors[name]
        self.version = next(self._versions)

    def value(self, name: str, flow: Any) -> Any:
        """The value of a column for a flow; None if it is missing, or there is no such column."""
        known = self._functions.get(name)
        if known is None or flow is None:
            return None
        _, function, failed = known
        try:
            value = function(flow)
        except Exception as error:  # noqa: BLE001 - a user's function
            count = self.errors[name] = self.errors.get(name, 0) + 1
            if count == 1 and failed is not None:
                failed(name, error)
            return None
        if isinstance(value, float) and math.isnan(value):
            return None
        return None if type(value).__name__ in {"NAType", "NaTType"} else value  # pandas' missing

    def values(self, name: str, flows: Iterable[Any]) -> list[Any]:
        """The values of a column for flows."""
        return [self.value(name, flow) for flow in flows]


computed = Computed()
"""The columns that there are."""
