"""Values that fit their columns, from whatever a handler or a damaged file left in a flow.

A status code that is text, a lone surrogate in a name: neither fails a frame, a file or a widget.
"""

from __future__ import annotations

import math
import re
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = 2**63


def clean_text(value: Any) -> str | None:
    """Text that UTF-8 (and so Arrow, JSON and Parquet) can say: lone surrogates become U+FFFD."""
    if value is None:
        return None
    return _SURROGATE.sub("\ufffd", value if isinstance(value, str) else _text_of(value))


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - somebody else's __str__
        return f"<{type(value).__name__}>"


def clean_int(value: Any, missing: int) -> int:
    """An integer of 64 bits; `missing` for whatever is none."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return missing
    return number if -_INT64 < number < _INT64 else missing


def clean_float(value: Any) -> float:
    """A float; NaN for whatever is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def clean_bool(value: Any) -> bool:
    """A truth value; False for what has none."""
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - somebody else's __bool__
        return False
