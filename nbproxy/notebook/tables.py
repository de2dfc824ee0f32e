"""What is shown of flows: tables of many, and the formatters for single objects.

Static HTML without any script, and plain text. Everything that came off the wire is masked, made
visible and escaped in `shown`; the recorded data is not touched. Live display (`live`) calls
`bundle` again and again, so drawing the newest rows must be cheap whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.notebook import details, frames
from nbproxy.notebook.details import flow_html, flow_text
from nbproxy.notebook.shown import (
    CSS,
    as_html,
    bar,
    clock_text,
    duration_text,
    moment_text,
    path_text,
    plain,
    remarks,
    size_text,
    state_chip,
    state_text,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.store.view import Flows

__all__ = [
    "bundle",
    "flow_html",
    "flow_text",
    "flows_html",
    "flows_text",
    "mimebundle",
    "register",
    "unregister",
]

_COLUMNS = ("id", "time", "method", "status", "host", "path", "type", "size", "duration")
_NUMERIC = frozenset({"id", "size"})
_FEW = 2000  # up to so many flows, adding up by hand is faster than bringing a frame up to date


@dataclass(frozen=True, slots=True)
class Totals:
    """What a table says about all its flows, shown or not."""

    flows: int
    size_bytes: int
    errors: int

    @classmethod
    def of(cls, flows: Sequence[HTTPFlow]) -> Totals:
        """The totals of flows; of many by way of their frame."""
        count = len(flows)
        if count > _FEW and hasattr(flows, "df"):
            df = flows.df
            sizes = df["request_bytes"].sum() + df["response_bytes"].sum()
            return cls(len(df), int(sizes), int(df["error"].notna().sum()))
        size_bytes = errors = 0
        for flow in flows:
            size_bytes += _size(flow)
            errors += flow.error is not None
        return cls(count, size_bytes, errors)

    def words(self) -> list[str]:
        """The totals in words."""
        texts = [f"{self.flows:,} flow{'' if self.flows == 1 else 's'}", size_text(self.size_bytes)]
        if self.errors:
            texts.append(f"{self.errors:,} error{'' if self.errors == 1 else 's'}")
        return texts


def _size(flow: HTTPFlow) -> int:
    response = flow.response
    return flow.request.body_size + (response.body_size if response is not None else 0)


def _title(flows: Sequence[HTTPFlow], title: str) -> str:
    expression = getattr(flows, "expression", "")
    if title:
        return plain(title, 300)
    return f"Flows matching {plain(expression, 120)}" if expression else "Flows"


# -- many, as HTML


def flows_html(
    flows: Sequence[HTTPFlow], limit: int = 50, title: str = "", *, live: bool = False
) -> str:
    """A table of the newest flows.

    Args:
        flows: A `Flows`, or any sequence of flows.
        limit: How many rows at most.
        title: What stands above; "Flows" and the filter by default.
        live: Whether somebody keeps the table up to date, which is then said.
    """
    return _table_html(flows, Totals.of(flows), limit, title, live=live)


def _newest(flows: Sequence[HTTPFlow], limit: int) -> list[HTTPFlow]:
    return list(flows[max(0, len(flows) - limit) :])


def _table_html(
    flows: Sequence[HTTPFlow], totals: Totals, limit: int, title: str, *, live: bool
) -> str:
    rows = _newest(flows, limit)
    longest_s = max((flow.duration or 0.0 for flow in rows), default=0.0)
    head = _head_html(_title(flows, title), totals, len(rows), live=live)
    if not rows:
        empty = "Nothing has passed yet." if live else "None."
        return tag("div", f"{CSS}{head}{tag('div', empty, 'nbp-dim')}", "nbp")
    titles = "".join(
        tag("th", name, "nbp-num" if name in _NUMERIC else "", scope="col") for name in _COLUMNS
    )
    body = "".join(_row_html(flow, longest_s) for flow in rows)
    table = tag(
        "table",
        tag("thead", tag("tr", titles)) + tag("tbody", body),
        "nbp-table",
        **{"aria-label": _title(flows, title)},
    )
    return tag("div", f"{CSS}{head}{tag('div', table, 'nbp-scroll')}", "nbp")


def _head_html(title: str, totals: Totals, shown: int, *, live: bool) -> str:
    parts = [tag("span", as_html(title), "nbp-title")]
    parts += [
        tag("span", text, "nbp-bad" if "error" in text else "nbp-dim") for text in totals.words()
    ]
    if shown < totals.flows:
        parts.append(tag("span", f"the last {shown} are shown", "nbp-dim"))
    if live:
        parts.append(tag("span", "● live", "nbp-dim"))
    return tag("div", "".join(parts), "nbp-head")


def _row_html(flow: HTTPFlow, longest_s: float) -> str:
    request, response = flow.request, flow.response
    path = path_text(request.path, 300)
    size = size_text(_size(flow)) if response is not None or request.body_size else ""
    duration = duration_text(flow.duration) or ("…" if flow.live else "")
    cells = [
        tag("th", str(flow.id), "nbp-num", scope="row"),
        tag("td", clock_text(request.timestamp_start), title=moment_text(request.timestamp_start)),
        tag("td", as_html(plain(request.method, 20)), "nbp-code"),
        tag("td", state_chip(flow)),
        tag("td", as_html(_host(flow, 80)), "nbp-host", title=_host(flow, 300)),
        tag("td", as_html(path), "nbp-path nbp-code", title=path),
        tag("td", as_html(_media_type(flow))),
        tag("td", size, "nbp-num"),
        tag("td", tag("span", duration, "nbp-took") + bar(flow, longest_s)),
    ]
    return tag("tr", "".join(cells)) + _more_html(flow)


def _more_html(flow: HTTPFlow) -> str:
    """A second line of a row: why it failed, what people noted."""
    notes = []
    if flow.error is not None:
        notes.append(tag("span", as_html(f"✕ {plain(flow.error.msg, 300)}"), "nbp-bad"))
    notes += [tag("span", as_html(text), "nbp-dim") for text in remarks(flow)]
    if not notes:
        return ""
    blank = tag("td", "") * 3
    return tag("tr", blank + tag("td", " · ".join(notes), colspan="6"), "nbp-more")


def _host(flow: HTTPFlow, limit: int) -> str:
    request = flow.request
    usual = {"http": 80, "https": 443}.get(request.scheme)
    port = "" if request.port == usual else f":{request.port}"
    return f"{plain(request.host, limit)}{port}"


def _media_type(flow: HTTPFlow) -> str:
    """The response's media type, without the part before the slash where that says nothing."""
    if flow.response is None:
        return ""
    full = plain(flow.response.headers.get("content-type", "").partition(";")[0].strip(), 60)
    kind, _, rest = full.partition("/")
    return rest if kind in ("text", "application") and rest else full


# -- many, as text


def flows_text(flows: Sequence[HTTPFlow], limit: int = 20, title: str = "") -> str:
    """The newest flows as a plain table; see `flows_html`."""
    return _table_text(flows, Totals.of(flows), limit, title)


def _table_text(flows: Sequence[HTTPFlow], totals: Totals, limit: int, title: str) -> str:
    rows = _newest(flows, limit)
    words = ", ".join(totals.words())
    if len(rows) < totals.flows:
        words += f"; the last {len(rows)}"
    lines = [f"{_title(flows, title)}: {words}"]
    if not rows:
        return lines[0]
    cells = [list(_COLUMNS), *(_row_text(flow) for flow in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(_COLUMNS))]
    for flow, row in zip((None, *rows), cells, strict=True):
        texts = [
            text.rjust(width) if name in _NUMERIC else text.ljust(width)
            for name, text, width in zip(_COLUMNS, row, widths, strict=True)
        ]
        lines.append("  ".join(texts).rstrip())
        if flow is not None:
            indent = " " * (widths[0] + 2)
            if flow.error is not None:
                lines.append(f"{indent}error: {plain(flow.error.msg, 160)}")
            lines += [f"{indent}{text}" for text in remarks(flow)]
    return "\n".join(lines)


def _row_text(flow: HTTPFlow) -> list[str]:
    request = flow.request
    return [
        str(flow.id),
        clock_text(request.timestamp_start),
        plain(request.method, 20),
        state_text(flow),
        _host(flow, 40),
        path_text(request.path, 48),
        _media_type(flow),
        size_text(_size(flow)) if flow.response is not None else "",
        duration_text(flow.duration),
    ]


# -- for IPython


def bundle(flows: Flows, limit: int = 50, *, live: bool = False) -> dict[str, str]:
    """A table of the newest flows, by media type."""
    totals = Totals.of(flows)
    return {
        "text/html": _table_html(flows, totals, limit, "", live=live),
        "text/plain": _table_text(flows, totals, min(limit, 20), ""),
    }


def mimebundle(thing: Any) -> dict[str, str]:
    """What IPython shows of flows, a flow, a message or headers, by media type.

    Raises:
        TypeError: There is no such display.
    """
    for kind, draw in details.DRAWN.items():
        if isinstance(thing, kind):
            text = flow_text(thing) if isinstance(thing, HTTPFlow) else repr(thing)
            return {"text/html": draw(thing), "text/plain": text}
    if hasattr(thing, "by_id"):
        return bundle(thing)
    raise TypeError(f"there is no display of a {type(thing).__name__}")


_TYPES = (HTTPFlow, Request, Response, Headers)


def register(shell: InteractiveShell) -> None:
    """Have the shell show flows, messages, headers, and frames of flows as this room does."""
    display = shell.display_formatter
    if display is None:
        return
    formatter = display.formatters["text/html"]
    for kind in _TYPES:
        formatter.for_type(kind, details.DRAWN[kind])
    frames.register(display)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`; harmless if it was not called."""
    display = shell.display_formatter
    if display is None:
        return
    formatter = display.formatters["text/html"]
    for kind in _TYPES:
        formatter.pop(kind, None)
    frames.unregister(display)
