"""A script's command line: "./arguments.py html faketml", and how the script gets to see it.

From 0.18 to 2.0 `sys.argv` was rewritten around a script's body and each of its hooks; here that is
done for scripts of all releases that are given arguments, for a kernel's own are of no use to them.
Other threads of a kernel must not see that, so the script gets a `sys` of its own: the real one,
but for `argv` and `path`. Modules that read `sys.argv` by themselves (argparse and its like) are
loaded afresh for it, with that `sys` inside.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import ScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

READ_ARGV: Final = ("argparse", "optparse", "fileinput")
"""Modules of the standard library that read `sys.argv`."""


def split(command: str | os.PathLike[str]) -> tuple[Path, list[str]]:
    """Path and arguments of a command line: shell words, `~` expanded in the path.

    A text that is the path of an existing file as a whole is that path, blanks and all.

    Raises:
        ScriptError: It is empty, a quote is not closed, or a file's name has blanks and no quotes.
    """
    if not isinstance(command, str):
        return Path(command).expanduser(), []
    text = command.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text_inside = text[1:-1]
        if text[0] not in text_inside and _is_file(text_inside):
            return Path(text_inside).expanduser(), []
    if text and _is_file(text):
        return Path(text).expanduser(), []
    if os.name == "nt":  # backslashes of the path are no escapes
        first, blank, rest = text.partition(" ")
        text = first.replace("\\", "\\\\") + blank + rest
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ScriptError(f"{error}; the command is {command!r}", command) from None
    if not words:
        raise ScriptError('the command is empty; give a path such as "add_header.py"')
    meant = _with_quotes(text)
    if meant is not None and not _is_file(words[0]):
        hint = f"a path with blanks needs quotes of its own: {json.dumps(meant)}"
        raise ScriptError(f"there is no such file; {hint}", words[0])
    return Path(words[0]).expanduser(), words[1:]


def _with_quotes(text: str) -> str | None:
    """The command with quotes around its path, if that has blanks and is a file's."""
    words = text.split(" ")
    for end in range(len(words) - 1, 1, -1):
        path = " ".join(words[:end])
        if _is_file(path):
            return f"{shlex.quote(path)} {' '.join(words[end:])}"
    return None


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, no such user
        return False


class Standin(ModuleType):
    """A module for one script: another one, but for what is set on it.

    Args:
        real: Where everything else comes from.
        **own: What is different.
    """

    def __init__(self, real: ModuleType, **own: Any) -> None:
        super().__init__(real.__name__, real.__doc__)
        self.__dict__.update(own)
        self.__dict__["__real__"] = real
        for name in ("__file__", "__path__", "__spec__", "__package__", "__all__"):
            if hasattr(real, name):
                self.__dict__.setdefault(name, getattr(real, name))
        self.__dict__["__spec__"] = real.__spec__

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["__real__"], name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self.__dict__["__real__"]), *self.__dict__})


def own_sys(argv: list[str] | None) -> Standin:
    """A `sys` with these arguments (None: the process's) and a `path` that may be changed."""
    own: dict[str, Any] = {"path": list(sys.path)}
    if argv is not None:
        own["argv"] = argv
    return Standin(sys, **own)


def readers(own: ModuleType) -> Mapping[str, Callable[[], ModuleType]]:
    """For each of `READ_ARGV`: makes a copy of the module that reads the arguments of `own`."""

    def make(name: str) -> Callable[[], ModuleType]:
        return lambda: _fresh(name, own)

    return {name: make(name) for name in READ_ARGV}


def _fresh(name: str, own: ModuleType) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module named {name!r}", name=name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for alias in ("sys", "_sys"):
        if getattr(module, alias, None) is sys:
            setattr(module, alias, own)
    return module
