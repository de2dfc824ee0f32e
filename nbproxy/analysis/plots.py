"""The pictures of analysis as plots, for those who want to go on with them: matplotlib, altair.

Both are optional, and imported only here, when somebody asks for a plot. What stands on the axes is
masked as everywhere, since a plot is a part of a notebook.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

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
)
from nbproxy.analysis.shown import cut, path_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable

_LABEL: Final = 60
_ROW_INCHES: Final = 0.26


def draw(kind: str, frame: pd.DataFrame, ax: Any = None) -> Any:
    """The frame's picture on matplotlib axes; new ones if none are given.

    Raises:
        ImportError: There is no matplotlib.
        ValueError: The frame has no picture.
    """
    plotted = _bars_of(kind, frame)
    if ax is None:
        pyplot = load("matplotlib.pyplot", "plot", "plot()")
        height = 1.2 + _ROW_INCHES * max(3, plotted["row"].nunique())
        _, ax = pyplot.subplots(figsize=(9, height), layout="constrained")
    else:
        load("matplotlib", "plot", "plot()")
    for name, colour in _colours(kind).items():
        own = plotted[plotted["part"] == name]
        if len(own):
            ax.barh(
                own["row"],
                own["end"] - own["begin"],
                left=own["begin"],
                height=0.7,
                color=_colour_list(kind, frame, own, colour),
                label=name,
            )
    labels = plotted.drop_duplicates("row")
    ax.set_yticks(labels["row"], [text.replace("$", r"\$") for text in labels["label"]])
    ax.invert_yaxis()
    ax.set_xlabel(_AXES[kind])
    if kind != "errors" and len(plotted):
        ax.legend(loc="best", frameon=False)
    return ax


def draw_altair(kind: str, frame: pd.DataFrame) -> Any:
    """The frame's picture as an altair chart.

    Raises:
        ImportError: There is no altair.
        ValueError: The frame has no picture.
    """
    alt = load("altair", "altair", 'plot(backend="altair")')
    plotted = _bars_of(kind, frame)
    colours = _colours(kind)
    order = list(plotted.drop_duplicates("row")["label"])
    return (
        alt.Chart(plotted)
        .mark_bar()
        .encode(
            y=alt.Y("label:N", sort=order, title=None),
            x=alt.X("begin:Q", title=_AXES[kind]),
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
    return pd.DataFrame(rows, columns=["row", "label", "part", "begin", "end"])


def _timeline(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for number, row in enumerate(frame.itertuples()):
        path = path_text(row.path)
        label = f"{row.Index}  {plain(row.method, 12)} {plain(row.host)}{path}"
        parts = bars(row) or [("send", float(row.start), 0.0)]  # type: ignore[arg-type] # a column
        found += [
            (number, cut(label, _LABEL), name, begin, begin + seconds)
            for name, begin, seconds in parts
            if not math.isnan(begin)
        ]
    return found


def _endpoints(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found = []
    for number, row in enumerate(frame.to_dict("records")):
        name = f"{plain(row['method'], 12)} {plain(row['host'])}{path_text(row['template'])}"
        label = _distinct(name, number)
        for part in ("p99", "p95", "p50"):  # the longest lies below
            seconds = float(row[part])
            found.append((number, label, part, 0.0, 0.0 if math.isnan(seconds) else seconds))
    return found


def _hosts(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    found = []
    for number, (host, row) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
        at = 0
        for part in STATUS_COLUMNS:
            if row[part]:
                found.append((number, cut(plain(host), _LABEL), part, at, at + int(row[part])))
                at += int(row[part])
    return found


def _errors(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [
        (
            number,
            _distinct(f"{plain(row['host'])}: {plain(row['cause'])}", number),
            "flows",
            0,
            int(row["count"]),
        )
        for number, row in enumerate(frame.to_dict("records"))
    ]


def _distinct(name: str, number: int) -> str:
    """A bounded label that no other row has: altair puts equal ones into one row."""
    return f"{number + 1}  {cut(name, _LABEL)}"
