"""Rows of flows: the values of all columns, not yet cleaned.

Flows are read column by column: the common case is one list comprehension a column. A flow whose
value cannot be read never fails a frame: such a column is read again, value by value, and that one
is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.store.schema import COLUMNS, HIDDEN, Column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbproxy.model.flow import HTTPFlow


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
