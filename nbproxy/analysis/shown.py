"""What people see of analysis: text from the wire masked, made visible, bounded and escaped.

Frames hold what was sent; whatever is printed or drawn of them passes through here.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from nbproxy.analysis.json_schema import outline
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker

if TYPE_CHECKING:
    from collections.abc import Callable

_URLS: Final = frozenset({"path", "template", "url", "endpoint"})
_SCHEMAS: Final = frozenset({"request_schema", "response_schema"})
_LOOK_AT: Final = 4000  # characters of a value that are searched for secrets: more than is shown
_MAX_CELL: Final = 500


def plain(value: object, limit: int = _MAX_CELL) -> str:
    """Text from the wire in one bounded line, tokens masked, also in the queries of URLs in it."""
    text = default_masker().mask_text(str(value)[:_LOOK_AT])
    if "?" in text and "=" in text:
        text = default_masker().mask_url(text)
    return visible(text, limit)


def path_text(path: object, limit: int = _MAX_CELL) -> str:
    """A path with its query, or a URL, in one bounded line, secrets masked."""
    return visible(default_masker().mask_url(str(path)[:_LOOK_AT]), limit)


def cut(text: str, limit: int) -> str:
    """At most so many characters; the last one says that something is missing."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def shortened(text: str, limit: int) -> str:
    """At most so many characters, from both ends: names alike at first often end differently."""
    if len(text) <= limit:
        return text
    tail = limit // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def path_ends(path: object) -> str:
    """As `path_text`; of a long one the middle is left out, not the end."""
    masked_path = default_masker().mask_url(str(path)[:_LOOK_AT])
    return visible(shortened(masked_path, _MAX_CELL - 200), _MAX_CELL)


def place(host: str, path: str, limit: int) -> str:
    """Where something is, in so many characters of which a long host leaves most to the path."""
    if len(host) + len(path) > limit:
        host = shortened(host, max(limit // 3, limit - len(path)))
    return host + shortened(path, limit - len(host))


def escaped(text: str) -> str:
    """Text as markup."""
    return html.escape(text)


def seconds_text(seconds: float) -> str:
    """A duration for people: "0.4 ms", "12 ms", "1.24 s", "3 min 5 s"; "" for NaN."""
    if math.isnan(seconds):
        return ""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def masked(df: pd.DataFrame) -> pd.DataFrame:
    """A plain frame with the same rows, fit to be shown."""
    columns: dict[Any, Any] = {}
    for name, column in df.items():
        if pd.api.types.is_numeric_dtype(column.dtype) or isinstance(
            column.dtype, pd.DatetimeTZDtype
        ):
            columns[name] = column.array
        else:
            columns[name] = pd.Series([_cell(name, value) for value in column], dtype=object).array
    index = df.index
    if index.nlevels == 1 and not pd.api.types.is_numeric_dtype(index.dtype):
        mask = _mask(index.name)
        index = pd.Index([mask(value) for value in index], name=index.name, dtype=object)
    return pd.DataFrame(columns, index=index)


def _cell(name: Any, value: Any) -> Any:
    if isinstance(value, str):
        return _mask(name)(value)
    if name in _SCHEMAS:
        return plain(outline(value)) if isinstance(value, dict) else ""
    if value is None or isinstance(value, (bool, int, float)) or value is pd.NA or value is pd.NaT:
        return value
    return plain(value)


def _mask(name: Any) -> Callable[[Any], str]:
    return path_text if name in _URLS else plain
