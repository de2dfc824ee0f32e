"""The frames that analysis gives: DataFrames with a picture.

A `Pictured` is a DataFrame in everything; what is made of it (rows, columns, sums) is a plain one.
Only how it looks is different: in a notebook a picture stands above the table, secrets are masked
in both, and `.plot()` without arguments draws that picture with matplotlib or altair. `.plot.bar()`
and all else that pandas draws is as ever.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pandas as pd
from pandas.plotting import PlotAccessor

from nbproxy.analysis.shown import masked

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = {"nbproxy": "analysis"}
"""Attributes (`attrs`) of our frames, by which the notebook knows to mask what it shows."""

MAX_ROWS: Final = 60
"""Rows of a table that are shown."""


class Plot(PlotAccessor):
    """`frame.plot`: the frame's own picture when called without arguments, else pandas' plots."""

    def __init__(self, kind: str, frame: Pictured) -> None:
        super().__init__(frame)
        self._kind = kind
        self._frame = frame

    def __call__(self, *args: Any, backend: str | None = None, **kwargs: Any) -> Any:
        """Draw the frame's own picture, or what pandas draws if `x`, `y` or `kind` is given.

        Args:
            *args: As for `DataFrame.plot`.
            backend: "matplotlib" (the default) or "altair"; others are pandas' affair.
            **kwargs: `ax` draws on those matplotlib axes; all else as for `DataFrame.plot`.

        Returns:
            Matplotlib axes, or an altair chart.

        Raises:
            ImportError: The library is not there; the message names the extra to install.
        """
        from nbproxy.analysis import plots  # noqa: PLC0415 - only when something is drawn

        own = not args and kwargs.keys() <= {"ax"}
        if own and backend == "altair":
            return plots.draw_altair(self._kind, self._frame)
        if own and backend in {None, "matplotlib"}:
            return plots.draw(self._kind, self._frame, **kwargs)
        if backend is not None:
            kwargs["backend"] = backend
        return super().__call__(*args, **kwargs)


class Pictured(pd.DataFrame):
    """A DataFrame with a picture; see the module."""

    _drawn: ClassVar[str] = ""  # which picture it has; a public name could be a column's

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    @property
    def plot(self) -> Plot:
        """Draw; see `Plot`."""
        return Plot(self._drawn, self)

    def picture(self) -> str:
        """The picture as SVG; "" if there is nothing to be seen, or the columns are not there."""
        from nbproxy.analysis.pictures import draw  # noqa: PLC0415 - only when something is shown

        try:
            return draw(self._drawn, self)
        except Exception:  # the frame is its owner's, who may have put anything there
            logging.getLogger("nbproxy").debug("a picture cannot be drawn", exc_info=True)
            return ""

    def _repr_html_(self) -> str | None:
        table: str | None = masked(self.head(MAX_ROWS))._repr_html_()  # type: ignore[operator] # not in the stubs
        if table is None:  # the user turned HTML off
            return None
        return f"<div>{self.picture()}{table}{_left_out(self, '<p>', '</p>')}</div>"

    def __repr__(self) -> str:
        return repr(masked(self.head(MAX_ROWS))) + _left_out(self, "\n", "")


def _left_out(frame: pd.DataFrame, before: str, after: str) -> str:
    rows = len(frame)
    return f"{before}The first {MAX_ROWS} of {rows:,} rows.{after}" if rows > MAX_ROWS else ""


def pictured(kind: type[Pictured], columns: dict[str, Any], index: Any = None) -> Any:
    """A frame of this kind of these columns, marked as ours."""
    frame = kind(columns, index=index, copy=False)
    frame.attrs.update(MARK)
    return frame
