"""The DataFrame of flows, kept up to date at the cost of what changed.

`assemble` makes a frame of segments: text columns share Arrow's immutable buffers with us, numbers
are copied. So the frame is its owner's: nothing that is done to it reaches us or another frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from nbproxy.store.schema import COLUMNS, INDEX
from nbproxy.store.segments import MISSING, Segment, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.cursor import Cursor

# the dtype that pandas 3 gives text by itself; spelled out, it is the same in pandas 2.3
_TEXT = pd.StringDtype("pyarrow", na_value=np.nan)
MARK = {"nbproxy": "flows"}
"""Attributes (`attrs`) of our frames, by which the notebook knows them and masks what it shows."""

_TIME = pd.DatetimeTZDtype("us", "UTC")


def assemble(segments: Sequence[Segment]) -> pd.DataFrame:
    """A DataFrame of these segments' rows; it belongs to the caller."""
    segments = segments or [Segment.read([])]
    ids = np.concatenate([segment.ids for segment in segments])
    columns: dict[str, Any] = {}
    for column in COLUMNS:
        name = column.name
        if column.kind == "str":
            chunks = pa.chunked_array([segment.text[name] for segment in segments])
            columns[name] = _TEXT.__from_arrow__(chunks)  # type: ignore[attr-defined] # not in the stubs
            continue
        numbers = np.concatenate([segment.numbers[name] for segment in segments])
        if column.kind == "time":
            columns[name] = pd.array(numbers.view("M8[us]"), dtype=_TIME, copy=False)
        elif column.kind == "nullable int":
            unknown = numbers == MISSING
            numbers[unknown] = 0
            columns[name] = pd.arrays.IntegerArray(numbers, unknown)
        else:
            columns[name] = numbers
    frame = pd.DataFrame(columns, index=pd.Index(ids, name=INDEX, copy=False), copy=False)
    frame.attrs.update(MARK)
    return frame


def frame_of_log(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A DataFrame of log entries: `time` (UTC), `level`, `script`, `text`."""
    frame = pd.DataFrame(rows, columns=["time", "level", "script", "text"])
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    return frame


def frame_of_changes(rows: Sequence[tuple[int, str, Any, Any]]) -> pd.DataFrame:
    """A DataFrame of changes: `flow` (id), `field`, `before`, `after` (values of any type)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    frame = pd.DataFrame(
        {
            "flow": pd.Series(columns[0], dtype="int64"),
            "field": pd.Series(columns[1], dtype=_TEXT),
            "before": pd.Series(columns[2], dtype=object),
            "after": pd.Series(columns[3], dtype=object),
        }
    )
    frame.attrs.update(MARK)
    return frame


def frame_of(flows: Iterable[HTTPFlow]) -> pd.DataFrame:
    """A DataFrame of any flows, in their order, read just now."""
    return assemble([Segment.read(list(flows))])


class Frame:
    """The rows of a store's flows; brought up to date on each look.

    Not thread-safe: the store's lock is held around all calls.

    Attributes:
        cursor: Says what changed; this frame is its one reader.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._table = Table()

    def update(self, fresh: Sequence[HTTPFlow], changed: Sequence[HTTPFlow]) -> None:
        """Take in what the cursor says.

        Args:
            fresh: Flows never seen before, in the order of ids.
            changed: Flows to read again.
        """
        table = self._table
        if self.cursor.cleared:
            self.cursor.cleared = False
            table.clear()
        if self.cursor.removed:
            table.remove(self.cursor.removed)
            self.cursor.removed = set()
        table.put(changed)
        table.append(fresh)

    def snapshot(self) -> pd.DataFrame:
        """All rows as of the last update."""
        return assemble(self._table.segments)

    def rows(self, ids: Sequence[int]) -> pd.DataFrame:
        """The rows with these ids, in the order of ids."""
        return assemble(self._table.select(ids))
