"""From values as flows, files and users' functions give them to columns.

What does not fit its column never fails a frame: it is missing there. Columns that users define
have no kind of their own; it is found from their values (`inferred`), as pandas' `convert_dtypes`
does it.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from nbproxy.model.clean import clean_bool, clean_float, clean_int, clean_text
from nbproxy.store.columns import EPOCH, MISSING, TEXT, Column, Floats, Ints, Objects, Texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt

    from nbproxy.store.schema import Kind

_LATEST: Final = 1e11  # seconds: the year 5138; beyond that a time is nonsense


def column_of(kind: Kind, values: Sequence[Any]) -> Column:
    """A column of the schema."""
    match kind:
        case "str":
            return Texts.of(_text(values))
        case "float":
            return Floats.of(_floats(values))
        case "time":
            return Ints.of(kind, _microseconds(_floats(values)))
        case "bool":
            return Ints.of(kind, np.array([clean_bool(value) for value in values], dtype=np.int64))
        case "int" | "nullable int":
            missing = MISSING if kind == "nullable int" else 0
            numbers = [
                v if type(v) is int and 0 <= v < 2**63 else clean_int(v, missing) for v in values
            ]
            return Ints.of(kind, np.array(numbers, dtype=np.int64))
        case _:
            raise ValueError(f"no column of the schema is of kind {kind!r}")


def _text(values: Sequence[Any]) -> pa.Array:
    """Text as Arrow has it; None is null."""
    try:
        return pa.array(values, type=TEXT)
    except (pa.ArrowException, TypeError, ValueError):  # a lone surrogate, or no text at all
        return pa.array([clean_text(value) for value in values], type=TEXT)


def _floats(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        return np.array([math.nan if v is None else clean_float(v) for v in values])


def _microseconds(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    known = (seconds > 0) & (seconds < _LATEST)  # False for NaN; 0.0 says that nobody knows
    result = np.full(len(seconds), MISSING, dtype=np.int64)
    result[known] = np.rint(seconds[known] * 1e6)
    return result


def blank(kind: Kind, size: int) -> Column:
    """A column in which every value is missing: or 0, or False, where the kind has no missing."""
    match kind:
        case "str":
            return Texts(size, pa.nulls(1, TEXT), is_coded=True)
        case "float":
            return Floats(size, math.nan, None)
        case "object":
            return Objects(np.full(size, None, dtype=object))
        case "int" | "bool":
            return Ints(kind, size, 0, None)
        case _:
            return Ints(kind, size, MISSING, None)


def inferred(values: Sequence[Any]) -> Column:
    """A column whose kind is found from its values.

    Text, whole numbers of 64 bits, floats (and whole numbers among them), booleans, and times with
    or without a zone have columns of their kind. All else, and any mixture, is kept as it is.
    Missing are None, NaN, and what pandas has for it; the kind of nothing but that is "missing".
    """
    plain = [_plain(value) for value in values]
    kind = common_kind({_kind_of(value) for value in plain if value is not None})
    match kind:
        case "missing":
            return blank(kind, len(plain))
        case "str":
            return Texts.of(_text(plain))
        case "float":
            return Floats.of(_floats(plain))
        case "object":
            return Objects.of(plain)
        case "time" | "naive time":
            epoch, step = EPOCH[kind], timedelta(microseconds=1)
            numbers = [MISSING if value is None else (value - epoch) // step for value in plain]
        case _:
            numbers = [MISSING if value is None else int(value) for value in plain]
    return Ints.of(kind, np.array(numbers, dtype=np.int64))


def _plain(value: Any) -> Any:
    """A value as Python has it; None for all that says missing."""
    if isinstance(value, np.datetime64):
        return value.astype("M8[us]").item()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if type(value).__name__ in ("NAType", "NaTType") else value  # those of pandas


def _kind_of(value: Any) -> Kind:
    match value:
        case bool():
            return "nullable bool"
        case int():
            return "nullable int" if -(2**63) < value < 2**63 else "object"
        case float():
            return "float"
        case str():
            return "str"
        case datetime():
            return "naive time" if value.utcoffset() is None else "time"
        case _:
            return "object"


def common_kind(kinds: AbstractSet[Kind]) -> Kind:
    """The kind of a column that has values of all these kinds."""
    kinds = kinds - {"missing"} or {"missing"}
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"float", "nullable int"} else "object"


def converted(column: Column, kind: Kind) -> Column:
    """The column as one of a kind that is its own, or common to it and others."""
    if column.kind == kind:
        return column
    if column.kind == "missing":
        return blank(kind, len(column))
    if kind == "float" and isinstance(column, Ints):
        return Floats.of(column.floats())
    return Objects.of(column.to_list())
