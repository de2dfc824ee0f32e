"""What of an inspector stays where no widget runs: a plain table, and a page of its own.

A notebook that is shown on a web site, turned into HTML or opened without its kernel has no widget,
or one without a model. So an inspector displays two things: the widget, and beside it this table,
which the widget hides while it is alive (`inspector.mjs`, `hideStatic`).
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Final

from nbproxy.notebook import tables
from nbproxy.notebook.shown import plain, tag

if TYPE_CHECKING:
    from nbproxy.store.view import Flows

ROWS: Final = 100
"""How many flows the table has beside a widget."""

_HIDE_LOADING: Final = (
    "<style>.jp-OutputArea-child:has(+.jp-OutputArea-child .{css})"
    ">.lm-Panel:not(:has(*)){{display:none}}</style>"
)
"""Where the kernel of a widget is gone JupyterLab says "Loading widget...", and with another kernel
that there is no such model: an output that has text and no element. This hides the one straight
above the table."""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="content-security-policy"
content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body{{margin:16px;color:CanvasText;background:Canvas}}</style>
</head><body>
{table}
</body></html>
"""


def bundle(flows: Flows, total: int, expression: str, css: str) -> dict[str, str]:
    """The table beside a widget, by media type.

    Args:
        flows: The newest flows, few.
        total: How many there are in all.
        expression: The filter they passed, "" for none.
        css: The class by which the widget finds it.
    """
    title = _title(len(flows), total, expression)
    table = tables.flows_html(flows, limit=len(flows), title=title)
    return {
        "text/html": tag("div", _HIDE_LOADING.format(css=css) + table, css),
        "text/plain": tables.flows_text(flows, limit=20, title=title),
    }


def page(flows: Flows, limit: int) -> str:
    """The newest flows as an HTML page that needs nothing else."""
    total = len(flows)
    title = _title(min(limit, total), total, flows.expression)
    table = tables.flows_html(flows[max(0, total - limit) :], limit=limit, title=title)
    return _PAGE.format(title=html.escape(f"nbproxy: {title}"), table=table)


def _title(shown: int, total: int, expression: str) -> str:
    matching = f" matching {plain(expression, 120)}" if expression else ""
    if shown < total:
        return f"The newest {shown:,} of {total:,} flows{matching}"
    return f"Flows{matching}"
