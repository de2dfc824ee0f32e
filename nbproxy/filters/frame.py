"""A filter over a DataFrame of flows.

`mask(expression, df, get_flow)` is True exactly in the rows whose flow the filter accepts. What the
columns do not decide (see `judging`) is fetched with `get_flow` and asked one by one. This is the
one module here that needs pandas, and nothing else here imports it at import time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nbproxy.filters.filter import Filter
from nbproxy.filters.judging import UNDECIDED, YES, Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from nbproxy.filters.judging import Numbers, Rows
    from nbproxy.model.flow import Flow

_EPOCH = pd.Timestamp(0, tz="UTC")


def mask(expression: Filter, df: pd.DataFrame, get_flow: Callable[[Any], Flow]) -> pd.Series[bool]:
    """Which rows of a frame of flows a filter accepts.

    Args:
        expression: The filter.
        df: One row a flow, columns as in `store/schema.py`; columns may be missing, which costs
            time but changes no answer. The index is what `get_flow` takes.
        get_flow: The flow of a row; called for rows that the columns do not decide.

    Returns:
        True or False for each row, with the index of `df`.
    """
    judge = Judge(expression)
    verdicts = judge(_Frame(df))
    accepted = verdicts == YES
    undecided = np.flatnonzero(verdicts == UNDECIDED)
    if len(undecided):
        at_now = Filter(expression.tree, clock=lambda: judge.now)
        index = df.index
        accepted[undecided] = [at_now(get_flow(index[row])) for row in undecided.tolist()]
    return pd.Series(accepted, index=df.index, dtype=bool)


class _Frame:
    """The columns of a DataFrame, for a judge."""

    def __init__(self, df: pd.DataFrame) -> None:
        self._df = df

    def __len__(self) -> int:
        return len(self._df)

    def __contains__(self, name: str) -> bool:
        # those that only the store has begin so: one of that name is the user's
        return not name.startswith("_") and name in self._df.columns

    def _column(self, name: str, rows: Rows) -> pd.Series[Any]:
        column = self._df[name]
        return column if rows is None else column.iloc[rows]

    def numbers(self, name: str, rows: Rows) -> Numbers:
        """See `judging.Columns`."""
        column = self._column(name, rows)
        if name == "time":
            column = (pd.to_datetime(column, utc=True) - _EPOCH) / pd.Timedelta(seconds=1)
        return column.to_numpy(dtype=np.float64, na_value=np.nan)

    def texts(self, name: str, rows: Rows) -> tuple[Sequence[Any], npt.NDArray[Any]]:
        """See `judging.Columns`."""
        codes, texts = pd.factorize(self._column(name, rows))
        # the code of what is missing is -1, which takes the last one
        return [*texts, None], codes

    def present(self, name: str, rows: Rows) -> npt.NDArray[np.bool_]:
        """See `judging.Columns`."""
        return self._column(name, rows).notna().to_numpy(dtype=np.bool_)

    def added(self, name: str, rows: Rows) -> None:  # noqa: ARG002 - they may be the user's by now
        """See `judging.Columns`."""
        return
