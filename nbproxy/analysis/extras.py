"""Libraries that not everybody has: an error that says which extra to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load(module: str, extra: str, what: str) -> Any:
    """A module of an optional library.

    Args:
        module: Its dotted name.
        extra: The extra of nbproxy that brings it.
        what: What needs it, for the message.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ImportError(
            f"{what} needs {library}, which is not installed: "
            f"pip install 'nbproxy[{extra}]', or pip install {library}",
            name=library,
        ) from error
