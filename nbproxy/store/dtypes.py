"""Columns as pandas has them, in the dtypes that a user chose.

| kind | default | numpy_nullable | pyarrow |
|---|---|---|---|
| str | `str` | `string` | `string[pyarrow]` |
| int | `int64` | `Int64` | `int64[pyarrow]` |
| nullable int | `Int64` | `Int64` | `int64[pyarrow]` |
| float | `float64` | `Float64` | `double[pyarrow]` |
| bool | `bool` | `boolean` | `bool[pyarrow]` |
| nullable bool | `boolean` | `boolean` | `bool[pyarrow]` |
| time | `datetime64[us, UTC]` | the same | `timestamp[us, tz=UTC][pyarrow]` |
| naive time | `datetime64[us]` | the same | `timestamp[us][pyarrow]` |
| object, missing | `object` | `object` | `object` |

The names of the backends are those of pandas' own readers. There is none of categories: they would
surprise (`a + b`, new values, `observed=`), and `df.astype({"host": "category"})` says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from nbproxy.store.columns import Objects
from nbproxy.store.textarrays import TextRows, text_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.store.numbers import Numbers
    from nbproxy.store.segments import Rows

# the dtype that pandas 3 gives text by itself; spelled out, it is the same in pandas 2.3
TEXT: Final = pd.StringDtype("pyarrow", na_value=np.nan)
_NULLABLE_TEXT: Final = pd.StringDtype("pyarrow", na_value=pd.NA)
_ARROW_TEXT: Final = pd.ArrowDtype(pa.string())
_TIME: Final = pd.DatetimeTZDtype("us", "UTC")


class Default:
    """Makes columns with the dtypes that pandas gives by itself.

    Args:
        rows: The rows.
        numbers: Their numbers.
    """

    text: Any = TEXT

    def __init__(self, rows: Rows, numbers: Numbers) -> None:
        self._rows = rows
        self._numbers = numbers

    def column(self, name: str) -> Any:
        """A column: something that pandas takes."""
        parts: Sequence[Any] = self._rows.parts[name]
        kind = self._rows.kinds[name]
        if kind == "str":
            return text_array(TextRows(parts), self.text)
        if kind in ("object", "missing"):
            return Objects.of([value for part in parts for value in part.to_list()]).objects
        values, missing = self._numbers.column(name)
        match kind:
            case "nullable int":
                return self.nullable(values, missing)
            case "nullable bool":
                return self.nullable(values.astype(np.bool_), missing)
            case "time" | "naive time":
                return self.moments(values.view("M8[us]"), naive=kind != "time")
            case _:
                return self.plain(values)

    def plain(self, values: Any) -> Any:
        """Whole numbers or booleans of which none is missing, or floats."""
        return values

    def nullable(self, values: Any, missing: Any) -> Any:
        """Whole numbers or booleans, and where they are missing."""
        kind = pd.arrays.BooleanArray if values.dtype == np.bool_ else pd.arrays.IntegerArray
        return kind(values, missing)

    def moments(self, values: Any, *, naive: bool) -> Any:
        """Times, in UTC or without a zone."""
        if naive:
            return values
        kind = type(pd.array([], dtype=_TIME))
        if hasattr(kind, "_simple_new"):  # pandas' own way to make one without a copy
            return kind._simple_new(values, dtype=_TIME)  # noqa: SLF001 - see above
        return pd.array(values, dtype=_TIME, copy=False)


class NumpyNullable(Default):
    """Makes columns with the dtypes in which pandas lets everything be missing."""

    text = _NULLABLE_TEXT

    def plain(self, values: Any) -> Any:
        """Whole numbers or booleans of which none is missing, or floats."""
        if values.dtype == np.float64:
            return pd.arrays.FloatingArray(values, np.isnan(values))
        return self.nullable(values, np.zeros(len(values), dtype=np.bool_))


class PyArrow(Default):
    """Makes columns with Arrow's dtypes."""

    text = _ARROW_TEXT

    def plain(self, values: Any) -> Any:
        """Whole numbers or booleans of which none is missing, or floats."""
        return _arrow(values)

    def nullable(self, values: Any, missing: Any) -> Any:
        """Whole numbers or booleans, and where they are missing."""
        return _arrow(values, mask=missing)

    def moments(self, values: Any, *, naive: bool) -> Any:
        """Times, in UTC or without a zone."""
        return _arrow(values, type=pa.timestamp("us", None if naive else "UTC"))


def _arrow(values: Any, **how: Any) -> Any:
    return pd.arrays.ArrowExtensionArray(pa.array(values, from_pandas=True, **how))


BACKENDS: Final[dict[str, type[Default]]] = {
    "default": Default,
    "numpy_nullable": NumpyNullable,
    "pyarrow": PyArrow,
}


def backend(name: str) -> type[Default]:
    """What makes columns with the dtypes of this name.

    Raises:
        ValueError: There is no such name.
    """
    if name not in BACKENDS:
        known = " or ".join(map(repr, BACKENDS))
        raise ValueError(f"dtype_backend={name!r}: it takes {known}")
    return BACKENDS[name]
