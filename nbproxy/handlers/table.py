"""The table of handlers, as text, as HTML and as rows for a frame."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbproxy.handlers.handler import Handler

_WIDTH = 60  # characters of a cell
_NUMBERS = frozenset({"number", "calls", "total_ms", "mean_ms", "worst_ms", "errors"})
EMPTY = 'no handlers yet; put @nbproxy.on("response") above a function'
COLUMNS = (
    "number",
    "cell",
    "hook",
    "filter",
    "function",
    "kind",
    "calls",
    "total_ms",
    "mean_ms",
    "worst_ms",
    "errors",
    "last_error",
)


def row(handler: Handler) -> dict[str, Any]:
    """One handler as a row, with the `COLUMNS` as keys; times in milliseconds."""
    return {
        "number": handler.number,
        "cell": handler.source.label,
        "hook": handler.hook,
        "filter": handler.filter.source if handler.filter is not None else "",
        "function": handler.name,
        "kind": handler.kind,
        "calls": handler.calls,
        "total_ms": handler.total_s * 1000,
        "mean_ms": handler.mean_s * 1000,
        "worst_ms": handler.worst_s * 1000,
        "errors": handler.errors,
        "last_error": handler.last_error,
    }


def text(handlers: Iterable[Handler]) -> str:
    """The table in plain text."""
    rows = [_shown(handler) for handler in handlers]
    if not rows:
        return EMPTY
    titles = [_title(name) for name in COLUMNS]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = []
    for cells in (titles, *rows):
        padded = (
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, cells, widths, strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def as_html(handlers: Iterable[Handler]) -> str:
    """The table as an HTML fragment."""
    rows = [_shown(handler) for handler in handlers]
    if not rows:
        return f"<p>{html.escape(EMPTY)}</p>"
    head = "".join(f'<th scope="col">{html.escape(_title(name))}</th>' for name in COLUMNS)
    body = "".join(f"<tr>{''.join(map(_td, COLUMNS, cells))}</tr>" for cells in rows)
    return (
        '<table class="nbproxy-handlers"><caption>Handlers, in the order in which they run'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _td(name: str, cell: str) -> str:
    align = "right" if name in _NUMBERS else "left"
    return f'<td style="text-align:{align}">{html.escape(cell)}</td>'


def _title(name: str) -> str:
    return {"number": "#"}.get(name, name.removesuffix("_ms").replace("_", " ")) + (
        " ms" if name.endswith("_ms") else ""
    )


def _shown(handler: Handler) -> list[str]:
    return [_cell(value) for value in row(handler).values()]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return visible(str(value), _WIDTH)
