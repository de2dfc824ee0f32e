"""The DataFrame of requests that were sent again with variations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from nbproxy.store.frame import MARK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEXT = pd.StringDtype("pyarrow", na_value=np.nan)


RESULTS = ("id", "status", "duration", "bytes", "error")
"""The columns behind those of what was varied."""


def frame_of_tries(
    parameters: Mapping[str, Sequence[Any]], rows: Sequence[Sequence[Any]]
) -> pd.DataFrame:
    """A row for each try, in the order in which they were asked for; it belongs to the caller.

    Args:
        parameters: Columns that come first: what was varied, with the value of each try.
        rows: For each try the values of `RESULTS`: the id of its flow, the status (None without a
            response), seconds, bytes of the response's body as sent, and the error or None.
    """
    columns: dict[str, Any] = {name: list(values) for name, values in parameters.items()}
    kinds: tuple[Any, ...] = ("int64", "Int64", "float64", "int64", _TEXT)
    for position, (name, kind) in enumerate(zip(RESULTS, kinds, strict=True)):
        columns[name] = pd.array([row[position] for row in rows], dtype=kind)
    frame = pd.DataFrame(columns)
    frame.attrs.update(MARK)
    return frame
