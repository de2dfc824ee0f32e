"""Names that programs took which ran a proxy of their own: importable, so that a script loads.

A script that only names them (to derive a class it never uses here, or beside what it needs) works;
one that makes an object of them is told that it cannot.
"""

from __future__ import annotations

import threading
from typing import Any


class Program:
    """Refuses to be made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}: a script cannot start a proxy of its own here; "
            "nbproxy.Proxy is one"
        )


def programs(*names: str) -> dict[str, Any]:
    """A class for each name."""
    return {name: type(name, (Program,), {"__doc__": f"Stands in for {name}."}) for name in names}


class BaseThread(threading.Thread):
    """`basethread.BaseThread`: a thread with a name."""

    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "name": name})


class Serializable:
    """`serializable.Serializable`: what has a state."""

    @classmethod
    def from_state(cls, state: Any) -> Any:
        """An object of a state."""
        raise NotImplementedError

    def get_state(self) -> Any:
        """The state."""
        raise NotImplementedError

    def set_state(self, state: Any) -> None:
        """Become what a state says."""
        raise NotImplementedError

    def copy(self) -> Any:
        """Another one of the same state."""
        return self.from_state(self.get_state())
