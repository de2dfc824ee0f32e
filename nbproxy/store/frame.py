"""The DataFrame of flows, kept up to date at the cost of what changed.

`assemble` makes a frame of rows: numbers are copied (see `numbers` for when), and text refers to
our columns, which never change, until somebody touches it (see `textarrays`). So the frame is its
owner's: nothing that is done to it reaches us or another frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from nbproxy.filters.computed import computed
from nbproxy.filters.judging import Judge
from nbproxy.store.columns import Ints, Objects
from nbproxy.store.dtypes import TEXT, backend
from nbproxy.store.numbers import Copies, Shared
from nbproxy.store.rows import read_rows
from nbproxy.store.schema import INDEX
from nbproxy.store.segments import Rows, Segment, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from nbproxy.filters import judging
    from nbproxy.filters.filter import Filter
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.columns import Floats, Texts
    from nbproxy.store.cursor import Cursor
    from nbproxy.store.numbers import Numbers

MARK = {"nbproxy": "flows"}
"""Attributes (`attrs`) of our frames, by which the notebook knows them and masks what it shows."""


def assemble(
    rows: Rows,
    *,
    ids: Sequence[int] | None = None,
    dtype_backend: str = "default",
    numbers: Numbers | None = None,
) -> pd.DataFrame:
    """A DataFrame of rows; it belongs to the caller.

    Args:
        rows: The rows.
        ids: What the index is; the rows' own ids by default.
        dtype_backend: Which dtypes; see `dtypes`.
        numbers: Arrays of these rows, to be given away; copies by default.

    Raises:
        ValueError: There is no such backend.
    """
    numbers = numbers or Copies(rows)
    make = backend(dtype_backend)(rows, numbers)
    columns = {name: make.column(name) for name in rows.parts}
    index = numbers.ids() if ids is None else np.array(ids, dtype=np.int64)
    frame = pd.DataFrame(columns, index=pd.Index(index, name=INDEX, copy=False), copy=False)
    frame.attrs.update(MARK)
    return frame


def frame_of_log(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A DataFrame of log entries: `time` (UTC), `level`, `script`, `text`."""
    frame = pd.DataFrame(rows, columns=["time", "level", "script", "text"])
    frame["time"] = pd.to_datetime(frame["time"], unit="s", utc=True)
    return frame


def frame_of_scripts(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A DataFrame of the table of scripts; see `nbproxy.scripts.manager.Scripts.df`."""
    texts, numbers = ("path", "arguments", "era", "hooks"), ("calls", "errors", "reloads")
    dtypes: dict[str, Any] = {**dict.fromkeys(texts, TEXT), **dict.fromkeys(numbers, "int64")}
    dtypes["last_error"] = TEXT
    return pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)


def frame_of_changes(rows: Sequence[tuple[int, str, Any, Any]]) -> pd.DataFrame:
    """A DataFrame of changes: `flow` (id), `field`, `before`, `after` (values of any type)."""
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    frame = pd.DataFrame(
        {
            "flow": pd.Series(columns[0], dtype="int64"),
            "field": pd.Series(columns[1], dtype=TEXT),
            "before": pd.Series(columns[2], dtype=object),
            "after": pd.Series(columns[3], dtype=object),
        }
    )
    frame.attrs.update(MARK)
    return frame


def frame_of(flows: Iterable[HTTPFlow], *, dtype_backend: str = "default") -> pd.DataFrame:
    """A DataFrame of any flows, in their order, read just now; see `assemble`.

    Users' columns are computed for it.
    """
    read = list(flows)
    added = {name: computed.values(name, read) for name in computed.versions()}
    # their own ids need not ascend
    segment = Segment.of(range(len(read)), {**read_rows(read), **added})
    ids = [flow.id for flow in read]
    return assemble(Rows.of([segment], added), ids=ids, dtype_backend=dtype_backend)


class Frame:
    """The rows of a store's flows; brought up to date on each look.

    Not thread-safe: the store's lock is held around all calls.

    Attributes:
        cursor: Says what changed; this frame is its one reader.
    """

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._table = Table()
        self._shared = Shared(self._table)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def nbytes(self) -> int:
        """Size of the rows in bytes, what is shared with frames among it."""
        return self._table.nbytes + self._shared.nbytes

    def update(self, fresh: Sequence[HTTPFlow], changed: Sequence[HTTPFlow]) -> None:
        """Take in what the cursor says.

        Args:
            fresh: Flows never seen before, in the order of ids.
            changed: Flows to read again.
        """
        self._take_out()
        self._table.put(changed)
        self._table.append(fresh)

    def update_rows(
        self, ids: Sequence[int], rows: Mapping[str, Sequence[Any]], *, fresh: bool
    ) -> None:
        """Take in rows of flows that are not in memory.

        Args:
            ids: Their ids, ascending.
            rows: Values of all columns, as `read_rows` gives them.
            fresh: True if all these ids are above those of all rows so far; else they may be
                among them, and the rows are put in their place.
        """
        self._take_out()
        if fresh:
            self._table.append_rows(ids, rows)
        else:
            self._table.put_rows(ids, rows)

    def _take_out(self) -> None:
        """Rows of flows that the store has removed."""
        if self.cursor.cleared:
            self.cursor.cleared = False
            self._table.clear()
            self._shared.release()
        if self.cursor.removed:
            self._table.remove(self.cursor.removed)
            self.cursor.removed = set()

    def set_column(self, name: str, ids: Sequence[int], values: Sequence[Any]) -> None:
        """Fill a column of the user's for some rows; see `Table.set_column`."""
        self._table.set_column(name, ids, values)

    def drop_column(self, name: str) -> None:
        """Take a column of the user's away."""
        self._table.drop_column(name)

    def snapshot(self, *, dtype_backend: str = "default") -> pd.DataFrame:
        """All rows as of the last update; see `assemble`."""
        rows = Rows.of(self._table.segments, self._table.added)
        return assemble(rows, dtype_backend=dtype_backend, numbers=self._shared.lend(rows))

    def rows(self, ids: Sequence[int], *, dtype_backend: str = "default") -> pd.DataFrame:
        """The rows with these ids, in the order of ids; see `assemble`."""
        rows = Rows.of(self._table.select(ids), self._table.added)
        return assemble(rows, dtype_backend=dtype_backend)

    def judge(
        self, expression: Filter, ids: Sequence[int] | None = None
    ) -> tuple[npt.NDArray[np.int64], judging.Verdicts]:
        """What the columns say of rows and a filter, as of the last update.

        Args:
            expression: The filter.
            ids: Ids of the rows to speak of, in any order; all by default.

        Returns:
            The ids of those rows that there are, ascending, and a verdict for each: 1 is yes, -1 is
            no, and 0 says that the flow itself has to be asked.
        """
        judge = Judge(expression)
        numbers, verdicts = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int8)]
        for segment, positions in self._table.find(ids):
            some = segment.ids.array()
            numbers.append(some if positions is None else some[positions])
            verdicts.append(judge(_Columns(segment), positions))
        return np.concatenate(numbers), np.concatenate(verdicts)


class _Columns:
    """The columns of a segment, for a judge."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    def __len__(self) -> int:
        return len(self._segment)

    def __contains__(self, name: str) -> bool:
        return name in self._segment.columns

    def numbers(self, name: str, rows: judging.Rows) -> judging.Numbers:
        """See `judging.Columns`."""
        column = cast("Ints | Floats", self._segment.columns[name])
        numbers = column.floats() if rows is None else column.floats()[rows]
        return numbers / 1e6 if column.kind == "time" else numbers

    def texts(self, name: str, rows: judging.Rows) -> tuple[Sequence[Any], npt.NDArray[Any]]:
        """See `judging.Columns`."""
        column = cast("Texts", self._segment.columns[name])
        entries, codes = column.coded()
        if rows is not None:
            codes = codes[rows]
            if 2 * len(codes) < len(entries):
                used, codes = np.unique(codes, return_inverse=True)
                entries = entries.take(pa.array(used))
        return entries.to_pylist(), codes

    def present(self, name: str, rows: judging.Rows) -> npt.NDArray[np.bool_]:
        """See `judging.Columns`."""
        present = self._segment.columns[name].present()
        return present if rows is None else present[rows]

    def added(self, name: str, rows: judging.Rows) -> tuple[Sequence[Any], npt.NDArray[Any]] | None:
        """See `judging.Columns`."""
        column = self._segment.columns.get(name)
        if column is None:
            return None
        if column.kind == "str":
            return self.texts(name, rows)
        if rows is not None:
            column = column.take(rows)
        if isinstance(column, Objects):
            return ["\ufffd"], np.zeros(len(column), dtype=np.int64)
        numbers = column.array() if isinstance(column, Ints) else cast("Floats", column).floats()
        _, first, codes = np.unique(numbers, return_index=True, return_inverse=True)
        return list(map(_shown, column.take(first).to_list())), codes


def _shown(value: Any) -> str | None:
    """A value as Python prints it; U+FFFD where the user's own may be printed otherwise."""
    match value:
        case None:
            return None
        case int():
            return str(value)
        case float() if not value.is_integer():
            return str(value)
        case _:
            return "\ufffd"
