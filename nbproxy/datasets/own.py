"""Columns that users have added (`nbproxy.column`), in a dataset.

Each is a column of its own there, of the type that fits all its values in the whole dataset; of
text where none does. The values are those that `df` has, so the functions are called no more often
than for that. Whoever reads a dataset needs no functions: its files say what each column is.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from nbproxy.datasets.layout import FRAME, OWN, RESERVED
from nbproxy.model.clean import clean_text
from nbproxy.store.values import inferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.view import Flows

_CALLER: Final = 5
"""Whose line a warning names: that of who calls `Flows.to_parquet`."""


@dataclass(frozen=True)
class Own:
    """The values of users' columns, for the flows of a dataset that is written.

    Attributes:
        kinds: What they are: keys of `layout.OWN`, by the names of the columns.
        ids: The flows that there are values for; None if there are no columns.
        values: All values of each column, in the order of the ids.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    ids: pd.Index | None = None
    values: Mapping[str, pa.Array] = field(default_factory=dict)

    def flows(self, flows: Flows) -> Iterator[HTTPFlow]:
        """Those of some flows that there are values for; the others have come since."""
        ids = self.ids
        return iter(flows) if ids is None else (flow for flow in flows if flow.id in ids)

    def columns(self, flows: Sequence[HTTPFlow]) -> dict[str, pa.Array]:
        """The values for these flows."""
        if self.ids is None:
            return {name: pa.nulls(len(flows), OWN[kind]) for name, kind in self.kinds.items()}
        places = pa.array(self.ids.get_indexer(pd.Index([flow.id for flow in flows])))
        return {
            name: values.take(places).cast(OWN[self.kinds[name]])
            for name, values in self.values.items()
        }


def own_columns(flows: Flows, there: Mapping[str, str] | None = None) -> Own:
    """The columns that users have added, for flows that are to be written.

    Args:
        flows: Which.
        there: The columns of the dataset that they are added to: it has no other ones.

    Raises:
        ValueError: Values of a column are not of the type that it has there.
    """
    frame = flows.frame("default")
    kinds: dict[str, str] = {}
    values: dict[str, pa.Array] = {}
    told: list[str] = []
    for name in [name for name in frame.columns if name not in FRAME]:
        if name in RESERVED:
            told.append(
                f"the column {name!r} is not written: a dataset has one of that name; rename it"
            )
        elif there is not None and name not in there:
            told.append(
                f"the column {name!r} is not written: the dataset that this adds to has none"
            )
        else:
            kind = _kind_of(frame[name], name, None if there is None else there[name], told)
            kinds[name], values[name] = kind, _array(frame[name], kind)
    for name, kind in (there or {}).items():
        if name not in kinds:
            kinds[name], values[name] = kind, pa.nulls(len(frame), OWN[kind])
    for text in told:
        warnings.warn(text, UserWarning, stacklevel=_CALLER)
    return Own(kinds, frame.index, values)


def _kind_of(column: pd.Series[Any], name: str, wanted: str | None, told: list[str]) -> str:
    """The kind that a column is written as; what is to be told of that is added to a list."""
    found = _found(column)
    if found == "missing":
        return wanted or "str"
    if wanted is not None and wanted not in {found, "str"}:
        if (found, wanted) == ("nullable int", "float"):
            return wanted
        raise ValueError(
            f"the column {name!r} is of type {OWN[wanted]} in the dataset that this adds to, and "
            f"its values here are not: write a new dataset, or `del nbproxy.columns[{name!r}]`"
        )
    if found != "object":
        return wanted or found
    if wanted is None:
        types = sorted({type(value).__name__ for value in _values(column) if value is not None})
        told.append(
            f"the column {name!r} is written as text: no type of Parquet fits all its values "
            f"({', '.join(types)}); have its function return one type"
        )
    return "str"


def _found(column: pd.Series[Any]) -> str:
    """What the values of a column are."""
    match column.dtype:
        case pd.StringDtype():
            return "str"
        case pd.Int64Dtype():
            return "nullable int"
        case pd.BooleanDtype():
            return "nullable bool"
        case pd.DatetimeTZDtype():
            return "time"
        case np.dtype(kind="M"):
            return "naive time"
        case np.dtype(kind="f"):
            return "float"
    return inferred(column.tolist()).kind  # of these flows; others may have other values


def _array(column: pd.Series[Any], kind: str) -> pa.Array:
    """The values as Arrow has them."""
    wanted = pa.large_string() if kind == "str" else OWN[kind]  # text of many flows may be long
    if kind == "str" and not isinstance(column.dtype, pd.StringDtype):
        return pa.array([clean_text(value) for value in _values(column)], wanted)
    if column.dtype == object:
        return pa.array(_values(column), wanted)
    found = pa.array(column.array, from_pandas=True)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return found.cast(wanted)


def _values(column: pd.Series[Any]) -> list[Any]:
    """The values as Python has them, None where they are missing."""
    return inferred(column.tolist()).to_list()
