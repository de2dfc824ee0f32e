"""The `logging` and the `print` of one script: what goes through them ends in the log.

The script's `logging` has loggers of its own, so that the kernel's are left as they are: no
handler is added to the real root logger and no level is changed.
"""

from __future__ import annotations

import builtins
import logging
import sys
from typing import TYPE_CHECKING, Any

from nbproxy.scripts.arguments import Standin

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[[str, str], object]

_ALERT = 21


class _Handler(logging.Handler):
    """Passes records on to the log."""

    def __init__(self, say: Say) -> None:
        super().__init__(logging.NOTSET)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record into the log."""
        try:
            self._say(_level(record.levelno), self.format(record))
        except Exception:  # noqa: BLE001 - as the standard handlers do
            self.handleError(record)


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    if number == _ALERT:
        return "alert"
    return "info" if number >= logging.INFO else "debug"


def own_logging(say: Say) -> Standin:
    """A `logging` whose loggers speak through `say`; all levels pass."""
    root = logging.RootLogger(logging.DEBUG)
    root.addHandler(_Handler(say))
    manager = logging.Manager(root)

    def get_logger(name: str | None = None) -> logging.Logger:
        if not name or name == "root":
            return root
        logger = manager.getLogger(name)
        logger.manager = manager
        return logger

    def basic_config(**_: Any) -> None:
        """Where records go is decided already."""

    names = ["debug", "info", "warning", "warn", "error", "critical", "fatal", "exception", "log"]
    functions: dict[str, Any] = {
        name: getattr(root, {"warn": "warning", "fatal": "critical"}.get(name, name))
        for name in names
    }
    return Standin(logging, root=root, getLogger=get_logger, basicConfig=basic_config, **functions)


def own_print(say: Say) -> Callable[..., None]:
    """A `print` that is heard in the log too."""

    def print(  # noqa: A001 - it is one
        *values: object,
        sep: str | None = " ",
        end: str | None = "\n",
        file: Any = None,
        flush: bool = False,
    ) -> None:
        builtins.print(*values, sep=sep, end=end, file=file, flush=flush)
        if file is None or file is sys.stdout or file is sys.stderr:
            text = (" " if sep is None else sep).join(str(value) for value in values)
            say("info" if file is not sys.stderr else "warn", text)

    return print
