"""What the browser can ask of the kernel: one table, whatever way a command comes.

A command is `{"id", "name", "args"}`. It may come several times, for the browser tries several ways
to a kernel that is busy (`nbproxy.notebook.widgets.control`); its id says that it is the same, and
it is done once. The answer always goes the one way that is never blocked, from the kernel to the
browser: `{"kind": "result", "id", "value"}`, or `"error"`, a sentence for people. What takes its
time is answered at once, and when the browser asks again, by `{"kind": "working", "id"}`.

Every command runs on the inspector's thread.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import FilterError, NbproxyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_REMEMBERED: Final = 1000
_EXPECTED: Final = (NbproxyError, ValueError, KeyError, TypeError, OSError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: What the browser calls it.
        run: Does it, given the arguments by name; what it returns must fit into JSON, and a
            `Future` is waited for by a callback, and the browser told that it is worked on.
    """

    name: str
    run: Callable[..., Any]


class Commands:
    """A table of commands, and which ones were done.

    Args:
        answer: Sends a result to the browser.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], None]) -> None:
        self._table: dict[str, Command] = {}
        self._answer = answer
        self._seen: OrderedDict[str, dict[str, Any] | None] = OrderedDict()  # and what to say again

    def add(self, name: str, run: Callable[..., Any]) -> None:
        """Put a command into the table."""
        self._table[name] = Command(name, run)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Any:
        return iter(self._table)

    def handle(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks for, unless that was done; what fails becomes an answer."""
        number, name = message.get("id"), message.get("name")
        if not isinstance(number, str) or not isinstance(name, str) or len(number) > 100:
            return
        if number in self._seen:
            known = self._seen[number]
            if known is not None:
                self._answer(known)  # the answer may have been lost
            return
        self._seen[number] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        command = self._table.get(name)
        if command is None:
            self.finish(number, error=f"there is no command {name!r:.60}")
            return
        arguments = message.get("args")
        try:
            value = command.run(**(arguments if isinstance(arguments, dict) else {}))
        except _EXPECTED as error:
            self.finish(number, error=words(error))
            return
        if hasattr(value, "add_done_callback"):
            self._seen[number] = working = {"kind": "working", "id": number}
            self._answer(working)
            value.add_done_callback(lambda future: self._finish_later(number, future))
        else:
            self.finish(number, value)

    def _finish_later(self, number: str, future: Any) -> None:
        if future.cancelled():
            self.finish(number, error="the proxy was stopped")
        elif (error := future.exception()) is not None:
            self.finish(number, error=words(error))
        else:
            self.finish(number, future.result())

    def finish(self, number: str, value: Any = None, *, error: str = "") -> None:
        """Answer a command."""
        result = {"kind": "result", "id": number}
        result |= {"error": error} if error else {"value": value}
        self._seen[number] = result if len(repr(value)) < 4000 else None
        self._answer(result)


def words(error: BaseException) -> str:
    """An error as a sentence for people."""
    if isinstance(error, FilterError):
        return str(error).split("\n", 1)[0]
    if isinstance(error, KeyError) and error.args:
        return str(error.args[0])
    return str(error) or type(error).__name__
