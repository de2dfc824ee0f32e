"""The pictures of analysis as SVG, drawn of the frames alone: what is in a picture is in the frame.

A picture shows the first rows only, and says so; it is the same for the same frame.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from nbproxy.analysis import svg
from nbproxy.analysis.grouping import STATUS_COLUMNS
from nbproxy.analysis.scale import Scale
from nbproxy.analysis.shown import path_ends, plain, seconds_text

if TYPE_CHECKING:
    import pandas as pd

MAX_BARS: Final = 60
"""Rows of a frame that a picture shows."""

PHASE_COLOURS: Final = {
    "connect": "#e08a1e",
    "tls": "#a86cd8",
    "send": "#3fb27f",
    "wait": "#8fb8e8",
    "transfer": "#2f7fd6",
}
"""The phases of a timeline; seen on white and on black."""

PERCENTILE_COLOURS: Final = {"p50": "#2f7fd6", "p95": "#8fb8e8", "p99": "#c9ddf5"}

_WIDTH: Final = 960.0
_ROW: Final = 19.0
_HEAD: Final = 20.0


def draw(kind: str, frame: pd.DataFrame) -> str:
    """The picture of a frame of this kind; "" if there is nothing to be seen."""
    if frame.empty:
        return ""
    match kind:
        case "timeline":
            return waterfall(frame)
        case "endpoints":
            return latencies(frame)
        case "hosts":
            return status_bars(frame, [plain(host) for host in frame.index])
        case "errors":
            return error_bars(frame)
        case _:
            return ""


# -- timeline


def spans(frame: pd.DataFrame) -> list[tuple[float, float]]:
    """From when to when each flow of a timeline was under way, its connection was opened."""
    found = []
    for row in frame[["start", "opened", "duration", "connect", "tls"]].itertuples(index=False):
        begin, opened, duration, connect, tls = (float(value) for value in row)
        if not math.isnan(begin):
            found.append((begin, begin + _or_zero(duration)))
        if not math.isnan(opened):
            found.append((opened, opened + _or_zero(connect) + _or_zero(tls)))
    return found


def bars(row: Any) -> list[tuple[str, float, float]]:
    """The phases of one row of a timeline that are known: name, begin, seconds."""
    found = []
    if not math.isnan(row.opened):
        found.append(("connect", row.opened, row.connect))
        found.append(("tls", row.opened + _or_zero(row.connect), row.tls))
    found.append(("send", row.start, row.send))
    end = row.start + row.duration
    found.append(("wait", end - _or_zero(row.transfer) - _or_zero(row.wait), row.wait))
    found.append(("transfer", end - _or_zero(row.transfer), row.transfer))
    return [
        (name, begin, seconds)
        for name, begin, seconds in found
        if not math.isnan(begin) and not math.isnan(seconds)
    ]


def waterfall(frame: pd.DataFrame) -> str:
    """A row for each flow below its connection, a bar for each phase."""
    shown = frame.iloc[:MAX_BARS]
    scale = Scale(spans(shown), 330.0, _WIDTH - 76)
    parts = [svg.legend(330, 12, PHASE_COLOURS.items())]
    top = y = 40.0
    previous = -1
    for row, connection in zip(shown.itertuples(), _connections(shown), strict=True):
        if connection != previous:
            previous = connection
            members = frame[frame["connection"] == connection] if connection else None
            parts.append(_connection(row, members, y, scale))
            y += _HEAD
        parts.append(_flow(row, y, scale))
        y += _ROW
    axis = _axis(scale, top, y)
    note = _note(len(frame), y + 14)
    height = y + (22 if note else 8)
    label = f"Waterfall of {len(shown)} flows"
    return svg.document(_WIDTH, height, axis + "".join(parts) + note, label)


def _connections(frame: pd.DataFrame) -> list[int]:
    """The number of each row's connection, 0 for none."""
    return [int(number) for number in frame["connection"].fillna(0)]


def _connection(row: Any, members: pd.DataFrame | None, y: float, scale: Scale) -> str:
    if members is None:
        return svg.text(0, y + 14, "without a server", bold=True)
    title = f"{row.connection} · {plain(row.host)}"
    count = len(members)
    uses = "1 request" if count == 1 else f"{count} requests"
    server = plain(row.server, 60) if isinstance(row.server, str) else ""
    about = f"{server} · {uses}" if server and len(server) < 22 else uses
    if len(title) * svg.letter(bold=True) > _beside(about):  # the host's name says more
        about = uses
    spanned = spans(members)
    first, last = min(span[0] for span in spanned), max(span[1] for span in spanned)
    left, right = scale.x(first), scale.x(last)
    tip = f"{title}: {uses}, {server}" if server else f"{title}: {uses}"
    return (
        svg.text(0, y + 14, title, width=_beside(about), bold=True, both_ends=True)
        + svg.text(316, y + 14, about, anchor="end", size=10.5, dim=True)
        + svg.rect(left, y + 9, right - left, 1.5, "#8c959f", title=tip)
    )


def _beside(about: str) -> float:
    """The pixels that are left of what is said of a connection on the right."""
    return 306 - len(about) * svg.letter(10.5)


def _flow(row: Any, y: float, scale: Scale) -> str:
    path = path_ends(row.path)
    parts = [svg.text(12, y + 13.5, f"{plain(row.method, 12)} {path}", width=262, both_ends=True)]
    parts.append(_chip(row, y))
    known = bars(row)
    for name, begin, seconds in known:
        left, right = scale.x(begin), scale.x(begin + seconds)
        title = f"{name}: {seconds_text(seconds)}"
        if right - left >= 0.4 or len(known) == 1:
            parts.append(svg.rect(left, y + 4, right - left, 11, PHASE_COLOURS[name], title=title))
    took = "…" if math.isnan(row.duration) else seconds_text(row.duration)
    parts.append(svg.text(_WIDTH, y + 13.5, took, anchor="end", size=11))
    if isinstance(row.error, str):
        end = row.start + _or_zero(row.duration)
        if not math.isnan(end):
            parts.append(
                svg.text(scale.x(end) + 3, y + 14, "✕", bold=True, fill=svg.STATUS_COLOURS["5xx"])
            )
    return "".join(parts)


def _chip(row: Any, y: float) -> str:
    try:
        status = int(row.status)
    except (TypeError, ValueError):
        return svg.chip(301, y + 13.5, "✕" if isinstance(row.error, str) else "…", "unanswered")
    kind = f"{status // 100}xx" if 100 <= status < 600 else "5xx"
    return svg.chip(301, y + 13.5, str(status)[:4], kind)


def _axis(scale: Scale, top: float, bottom: float) -> str:
    parts = []
    for moment in scale.ticks():
        x = scale.x(moment)
        parts.append(svg.line(x, top - 6, x, bottom))
        parts.append(svg.text(x, top - 10, tick_text(moment), anchor="middle", size=10, dim=True))
    for before, after in pairwise(scale.stretches):
        x = (before.right + after.left) / 2
        parts.append(svg.line(x, top - 6, x, bottom, dashed=True))
    return "".join(parts)


def tick_text(seconds: float) -> str:
    """What stands at a mark on an axis of time."""
    if abs(seconds) < 1e-9:
        return "0"
    if abs(seconds) < 1:
        return f"{seconds * 1000:.6g} ms"
    if abs(seconds) < 120:
        return f"{seconds:.6g} s"
    minutes, rest = divmod(seconds, 60)
    if abs(rest - round(rest)) > 1e-6:  # two marks within a second
        return f"{minutes:.0f} min {rest:.6g} s"
    return seconds_text(seconds)


def _note(rows: int, y: float) -> str:
    if rows <= MAX_BARS:
        return ""
    text = f"The first {MAX_BARS} of {rows:,} rows; a slice or a filter shows others."
    return svg.text(0, y, text, dim=True)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


# -- tables


def latencies(frame: pd.DataFrame) -> str:
    """A row for each endpoint: what its answers were, and how long they took."""
    shown = frame.iloc[:MAX_BARS]
    longest = max((_or_zero(float(value)) for value in shown["p99"]), default=0.0) or 1.0
    left, right = 500.0, _WIDTH - 76
    legend = svg.legend(left, 12, PERCENTILE_COLOURS.items())
    parts = [svg.legend(0, 12, _seen_statuses(shown)), legend]
    y = 22.0
    hosts = len(set(shown["host"])) > 1
    for row in shown.to_dict("records"):
        name = f"{plain(row['method'], 12)} {path_ends(row['template'])}"
        name = f"{name} · {plain(row['host'])}" if hosts else name
        parts.append(svg.text(0, y + 13.5, name, width=330, both_ends=True))
        parts.append(_mix(row, 336, 446, y))
        parts.append(svg.text(490, y + 13.5, f"{row['count']:,}", anchor="end", size=11, dim=True))
        parts.append(_percentiles(row, left, (right - left) / longest, y))
        took = seconds_text(float(row["p50"]))
        parts.append(svg.text(_WIDTH, y + 13.5, took, anchor="end", size=11))
        y += _ROW
    note = _note(len(frame), y + 14)
    label = f"How long {len(shown)} endpoints took, and how they answered"
    return svg.document(_WIDTH, y + (22 if note else 6), "".join(parts) + note, label)


def _percentiles(row: dict[Any, Any], left: float, per_second: float, y: float) -> str:
    parts = []
    for name in ("p99", "p95", "p50"):  # the longest lies below
        seconds = float(row[name])
        if not math.isnan(seconds):
            title = f"{name}: {seconds_text(seconds)}"
            parts.append(
                svg.rect(
                    left, y + 4, seconds * per_second, 11, PERCENTILE_COLOURS[name], title=title
                )
            )
    return "".join(parts)


def _mix(row: dict[Any, Any], left: float, right: float, y: float) -> str:
    """The classes of answers as parts of one bar."""
    count = sum(int(row[name]) for name in STATUS_COLUMNS) or 1
    parts = []
    at = left
    for name in STATUS_COLUMNS:
        number = int(row[name])
        if number:
            width = (right - left) * number / count
            title = f"{name}: {number:,}"
            parts.append(svg.rect(at, y + 4, width, 11, svg.STATUS_COLOURS[name], title=title))
            at += width
    return "".join(parts)


def _seen_statuses(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [(name, svg.STATUS_COLOURS[name]) for name in STATUS_COLUMNS if frame[name].any()]


def status_bars(frame: pd.DataFrame, names: list[str]) -> str:
    """A row for each host, its answers as a bar as long as there are many."""
    shown = frame.iloc[:MAX_BARS]
    most = max(int(value) for value in shown["count"])
    left, right = 260.0, _WIDTH - 76
    parts = [svg.legend(left, 12, _seen_statuses(shown))]
    y = 22.0
    for name, row in zip(names, shown.to_dict("records"), strict=False):
        parts.append(svg.text(0, y + 13.5, name, width=left - 8, both_ends=True))
        end = left + max(2.0, (right - left) * int(row["count"]) / most)
        parts.append(_mix(row, left, end, y))
        parts.append(svg.text(_WIDTH, y + 13.5, f"{row['count']:,}", anchor="end", size=11))
        y += _ROW
    note = _note(len(frame), y + 14)
    label = f"How many flows {len(shown)} hosts had, and how they answered"
    return svg.document(_WIDTH, y + (22 if note else 6), "".join(parts) + note, label)


def error_bars(frame: pd.DataFrame) -> str:
    """A row for each kind of error, its flows as a bar."""
    shown = frame.iloc[:MAX_BARS]
    most = max(int(value) for value in shown["count"])
    left, right = 620.0, _WIDTH - 76
    parts = []
    y = 4.0
    for row in shown.to_dict("records"):
        cause = plain(row["cause"], 200)
        where = f"{plain(row['host'])} · {path_ends(row['endpoint'])}"
        colour = error_colour(row["status"])
        parts.append(svg.text(0, y + 13.5, cause, width=290))
        parts.append(
            svg.text(298, y + 13.5, where, width=left - 306, size=11, dim=True, both_ends=True)
        )
        width = (right - left) * int(row["count"]) / most
        parts.append(svg.rect(left, y + 4, max(2.0, width), 11, colour))
        parts.append(svg.text(_WIDTH, y + 13.5, f"{row['count']:,}", anchor="end", size=11))
        y += _ROW
    note = _note(len(frame), y + 14)
    label = f"How often {len(shown)} errors happened"
    return svg.document(_WIDTH, y + (22 if note else 6), "".join(parts) + note, label)


def error_colour(status: Any) -> str:
    """The colour of an error: that of its status, grey for a flow without one."""
    try:
        code = int(status)
    except (TypeError, ValueError):
        return svg.STATUS_COLOURS["unanswered"]
    return svg.STATUS_COLOURS["4xx" if 400 <= code < 500 else "5xx"]
