"""Rows of flows: values of all columns, cleaned so that they fit their kinds.

Flows are read column by column: the common case is one list comprehension a column. What a handler
or a damaged file left in a flow (a status code that is text, a lone surrogate) never fails a frame:
such a column is read again, value by value, and what does not fit is missing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from nbproxy.store.schema import COLUMNS, HIDDEN, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbproxy.model.flow import HTTPFlow

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT64 = 2**63


def read_column(column: Column, flows: Sequence[HTTPFlow]) -> list[Any]:
    """The values of one column as they stand in the flows; None where reading failed."""
    value = column.value
    try:
        return [value(flow) for flow in flows]
    except Exception:  # noqa: BLE001 - a flow may hold whatever a handler put there
        return [_try(value, flow) for flow in flows]


def _try(value: Callable[[HTTPFlow], Any], flow: HTTPFlow) -> Any:
    try:
        return value(flow)
    except Exception:  # noqa: BLE001 - see above
        return None


def read_rows(flows: Sequence[HTTPFlow]) -> dict[str, list[Any]]:
    """The values of all columns, by name; those that only filters ask are among them."""
    return {column.name: read_column(column, flows) for column in (*COLUMNS, *HIDDEN)}


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
