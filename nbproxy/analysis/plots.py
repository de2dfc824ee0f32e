"""The pictures of analysis as plots, for those who want to go on with them: matplotlib, altair.

Both are optional, and imported only here, when somebody asks for a plot. What stands on the axes is
masked as everywhere, since a plot is a part of a notebook.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from nbproxy.analysis import svg
from nbproxy.analysis.extras import load
from nbproxy.analysis.grouping import STATUS_COLUMNS
from nbproxy.analysis.pictures import (
    MAX_BARS,
    PERCENTILE_COLOURS,
    PHASE_COLOURS,
    bars,
    error_colour,
    spans,
    tick_text,
)
from nbproxy.analysis.scale import Scale
from nbproxy.analysis.shown import cut, path_ends, place, plain, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

_LABEL: Final = 60  # characters; without that bound names would leave no room for the bars
_ERROR_LABEL: Final = 74  # the same of errors, which have a cause and a place
_PLACE: Final = 42  # of these for the place, if the cause needs the rest
_ROW_INCHES: Final = 0.26
_WIDTH: Final = 560.0  # pixels that the bars of a waterfall have, about
_CUT: Final = "#8c959f"
_FAR: Final = 1e6  # seconds
_FEW: Final = 4  # rows that have room for a legend beside them; bars of fewer are no thicker


def draw(kind: str, frame: pd.DataFrame, ax: Any = None) -> Any:
    """The frame's picture on matplotlib axes; new ones if none are given.

    Raises:
        ImportError: There is no matplotlib.
        ValueError: The frame has no picture.
    """
    plotted = _bars_of(kind, frame)
    labels = plotted.drop_duplicates("row")
    if ax is None:
        pyplot = load("matplotlib.pyplot", "plot", "plot()")
        height = 0.9 + _ROW_INCHES * max(_FEW, len(labels))
        _, ax = pyplot.subplots(figsize=(10, height), layout="constrained")
    else:
        load("matplotlib", "plot", "plot()")
    if plotted.empty:
        ax.text(0.5, 0.5, _nothing(kind), ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    for name, colour in _colours(kind).items():
        own = plotted[plotted["part"] == name]
        if len(own):
            colours = _colour_list(kind, frame, own, colour)
            ax.barh(
                own["row"],
                own["end"] - own["begin"],
                left=own["begin"],
                height=0.7,
                color=colours,
                edgecolor=colours,
                linewidth=0.6 if kind == "timeline" else 0,  # what took no time is seen, too
                label=name,
            )
    texts = [text.replace("$", r"\$") for text in labels["label"]]
    ax.set_yticks(labels["row"], texts, fontsize="small")
    spare = max(0, _FEW - len(labels)) / 2
    ax.set_ylim(len(labels) - 0.4 + spare, -0.6 - spare)  # the first row on top
    title = _axis(kind, frame)
    if kind == "timeline":  # the frame of the axes would hide short bars at the begin
        ax.use_sticky_edges = False
        ax.margins(x=0.02)
        scale = Scale(spans(frame.iloc[:MAX_BARS]), 0.0, _WIDTH)
        if len(scale.stretches) > 1:
            _cut_pauses(ax, scale)
            title += "; pauses are cut out at the dashed lines"
    if kind in {"hosts", "errors"}:  # there is no half of a flow
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel(title)
    if kind != "errors":  # beside the bars: inside it would cover some, above it a title
        ax.legend(
            loc="upper left",
            bbox_to_anchor=(1, 1),
            borderaxespad=0,
            frameon=False,
            fontsize="small",
        )
    return ax


def _cut_pauses(ax: Any, scale: Scale) -> None:
    """Have the busy times share the axis of seconds, as in the picture of the notebook."""
    seconds = np.array([(each.begin, each.end) for each in scale.stretches]).ravel()
    pixels = np.array([(each.left, each.right) for each in scale.stretches]).ravel()
    # it goes on as evenly at both ends, so that there is a moment for every place
    beyond = (pixels[1] - pixels[0]) / (seconds[1] - seconds[0]) * np.array([-_FAR, _FAR])
    ends = (seconds[0] - _FAR, *seconds, seconds[-1] + _FAR)
    places = (pixels[0] + beyond[0], *pixels, pixels[-1] + beyond[1])

    def there(moments: Any) -> Any:
        return np.interp(moments, ends, places)

    def back(at: Any) -> Any:
        return np.interp(at, places, ends)

    ax.set_xscale("function", functions=(there, back))
    for before, after in pairwise(scale.stretches):
        middle = (before.end + after.begin) / 2
        ax.axvline(middle, color=_CUT, linestyle="--", linewidth=0.8, zorder=0)
    ticks = scale.ticks()
    ax.set_xticks(ticks, [tick_text(each) for each in ticks])


def draw_altair(kind: str, frame: pd.DataFrame) -> Any:
    """The frame's picture as an altair chart.

    Raises:
        ImportError: There is no altair.
        ValueError: The frame has no picture.
    """
    alt = load("altair", "altair", 'plot(backend="altair")')
    plotted = _bars_of(kind, frame)
    if plotted.empty:
        nothing = pd.DataFrame({"text": [_nothing(kind)]})
        return alt.Chart(nothing).mark_text().encode(text="text:N")
    colours = _colours(kind)
    order = list(plotted.drop_duplicates("row")["label"])
    return (
        alt.Chart(plotted)
        .mark_bar()
        .encode(
            y=alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelLimit=_ERROR_LABEL * 7)),
            x=alt.X("begin:Q", title=_axis(kind, frame)),
            x2="end:Q",
            color=alt.Color(
                "part:N",
                title=None,
                scale=alt.Scale(domain=list(colours), range=list(colours.values())),
            ),
            tooltip=["label:N", "part:N", "begin:Q", "end:Q"],
        )
    )


_AXES: Final = {
    "timeline": "seconds",
    "endpoints": "seconds",
    "hosts": "flows",
    "errors": "flows",
}


def _axis(kind: str, frame: pd.DataFrame) -> str:
    """The title of the lower axis, which also says if rows were left out."""
    if len(frame) <= MAX_BARS:
        return _AXES[kind]
    return f"{_AXES[kind]} (the first {MAX_BARS} of {len(frame):,} rows)"


def _nothing(kind: str) -> str:
    return "no errors" if kind == "errors" else "no flows"


def _colours(kind: str) -> dict[str, str]:
    match kind:
        case "timeline":
            return PHASE_COLOURS
        case "endpoints":
            return dict(reversed(PERCENTILE_COLOURS.items()))
        case "hosts":
            return svg.STATUS_COLOURS
        case _:
            return {"flows": svg.STATUS_COLOURS["5xx"]}


def _colour_list(kind: str, frame: pd.DataFrame, own: pd.DataFrame, colour: str) -> Any:
    if kind != "errors":
        return colour
    return [error_colour(frame["status"].iloc[row]) for row in own["row"]]


def _bars_of(kind: str, frame: pd.DataFrame) -> pd.DataFrame:
    """What there is to draw, a row for each bar: `row label part begin end`."""
    kinds: dict[str, Callable[[pd.DataFrame], list[tuple[Any, ...]]]] = {
        "timeline": _timeline,
        "endpoints": _endpoints,
        "hosts": _hosts,
        "errors": _errors,
    }
    if kind not in kinds:
        raise ValueError(
            "this frame has no picture of its own; give x, y or kind, as for any DataFrame"
        )
    rows = kinds[kind](frame.iloc[:MAX_BARS])
    plotted = pd.DataFrame(rows, columns=["row", "label", "part", "begin", "end"])
    plotted["label"] = plotted["row"].map(_distinct(plotted))
    return plotted


def _distinct(plotted: pd.DataFrame) -> dict[int, str]:
    """The label of each row, a number behind those there are twice: altair would make them one."""
    seen: Counter[str] = Counter()
    found = {}
    for row, label in plotted.drop_duplicates("row")[["row", "label"]].itertuples(index=False):
        seen[label] += 1
        found[row] = label if seen[label] == 1 else f"{label} ({seen[label]})"
    return found


def _timeline(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for number, row in enumerate(frame.itertuples()):
        head = f"{row.Index}  {plain(row.method, 12)} "
        label = head + place(plain(row.host), path_ends(row.path), _LABEL - len(head))
        parts = bars(row) or [("send", float(row.start), 0.0)]  # type: ignore[arg-type] # a column
        found += [
            (number, label, name, begin, begin + seconds)
            for name, begin, seconds in parts
            if not math.isnan(begin)
        ]
    return found


def _endpoints(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found = []
    for number, row in enumerate(frame.to_dict("records")):
        head = f"{plain(row['method'], 12)} "
        where = place(plain(row["host"]), path_ends(row["template"]), _LABEL - len(head))
        for part in ("p99", "p95", "p50"):  # the longest lies below
            seconds = float(row[part])
            found.append((number, head + where, part, 0.0, 0.0 if math.isnan(seconds) else seconds))
    return found


def _hosts(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found = []
    for number, (host, row) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
        at = 0
        for part in STATUS_COLUMNS:
            if row[part]:
                name = shortened(plain(host), _LABEL)
                found.append((number, name, part, at, at + int(row[part])))
                at += int(row[part])
    return found


def _errors(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for number, row in enumerate(frame.to_dict("records")):
        cause = plain(row["cause"])
        endpoint = f" {path_ends(row['endpoint'])}"
        room = max(_PLACE, _ERROR_LABEL - len(cause))
        where = place(plain(row["host"]), endpoint, room)
        label = f"{cut(cause, _ERROR_LABEL - len(where))} · {where}"
        found.append((number, label, "flows", 0, int(row["count"])))
    return found
