"""The masks of this process: one salt, so that equal secrets look equal wherever they are shown."""

from __future__ import annotations

import secrets
from functools import cache

from nbproxy.model.secrets import Masker


@cache
def default_masker() -> Masker:
    """The masker for everything that this process shows.

    The salt is random and is not kept: masks of two kernel sessions cannot be compared, and nobody
    can test guesses against a committed notebook.
    """
    return Masker(secrets.token_bytes(16))
