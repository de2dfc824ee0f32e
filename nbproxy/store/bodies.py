"""How people are told that the disk refuses, if nobody asks to be told otherwise."""

from __future__ import annotations

import logging
import warnings


def warn(text: str) -> None:
    """Tell people by way of `warnings`, and of the log where warnings are errors."""
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:
        logging.getLogger("nbproxy").warning("%s", text)
