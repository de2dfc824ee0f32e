"""Frames of flows as IPython shows them: the same table as ever, with secrets masked.

A frame holds what was sent, tokens in URLs included, and notebooks are committed. So the cells of
text that pandas is about to print pass through `shown`. The frame itself is not touched, and other
frames are shown by pandas alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nbproxy.notebook.shown import header_text, path_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from IPython.core.formatters import DisplayFormatter

_NAMES = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))  # pandas 3, pandas 2
_MAX_TEXT = 1000  # characters of a value; pandas cuts at `display.max_colwidth`
_HTML_COUNT = re.compile(r"<p>[0-9]+ rows( [^<]*</p>\s*</div>\s*)\Z")
_TEXT_COUNT = re.compile(r"\[[0-9]+ rows( x [0-9]+ columns\])\Z")
_URLS = frozenset({"path", "url", "uri", "query", "href", "location", "referer"})
_CHANGED = frozenset({"before", "after"})  # values of what the column `field` names
_HEADER = re.compile(r'(?:headers|trailers)\["(.+)"\]\Z')
_TELLING = frozenset({"method", "host", "path"})


def is_ours(df: pd.DataFrame) -> bool:
    """Whether a frame is one of flows, or was made of one."""
    return "nbproxy" in df.attrs or _TELLING.issubset(map(str, df.columns))


def frame_html(df: pd.DataFrame) -> str | None:
    """A frame for a browser; None if the user turned HTML off."""
    shown = _masked(df) if is_ours(df) else df
    text: str | None = shown._repr_html_()  # type: ignore[operator] # not in the stubs
    if text is None or len(shown) == len(df):
        return text
    return _HTML_COUNT.sub(rf"<p>{len(df)} rows\1", text)


def frame_text(df: pd.DataFrame) -> str:
    """A frame for a terminal."""
    shown = _masked(df) if is_ours(df) else df
    return _TEXT_COUNT.sub(rf"[{len(df)} rows\1", repr(shown))


def _masked(df: pd.DataFrame) -> pd.DataFrame:
    """What pandas would print of a frame, and a few rows more, with masks: its beginning and end.

    Pandas cuts it as it would have cut the whole; only the number of rows below must be put right.
    """
    import pandas as pd  # noqa: PLC0415 - there is a frame, so it is loaded

    if pd.get_option("display.large_repr") == "info":
        return df  # no values are shown
    most = pd.get_option("display.max_rows")
    half = most // 2 + 1 if most else len(df)
    shown = df.copy() if len(df) <= 2 * half else pd.concat([df.iloc[:half], df.iloc[-half:]])
    fields = list(map(str, shown["field"])) if _CHANGED | {"field"} <= set(df.columns) else None
    for position, (name, dtype) in enumerate(zip(df.columns, df.dtypes, strict=True)):
        if fields is not None and name in _CHANGED:
            pairs = zip(fields, shown.iloc[:, position], strict=True)
            values = [_change(field, value) for field, value in pairs]
            shown.isetitem(position, pd.Series(values, dtype=object).array)
        elif _may_be_text(dtype):
            mask = _mask(name)
            values = [mask(value) for value in shown.iloc[:, position]]
            # as objects: what is missing shall not turn the column into one of numbers
            shown.isetitem(position, pd.Series(values, dtype=object).array)
    if shown.index.nlevels == 1 and _may_be_text(shown.index.dtype):
        shown.index = shown.index.map(_mask(shown.index.name))
    return shown


def _may_be_text(dtype: Any) -> bool:
    import pandas as pd  # noqa: PLC0415 - there is a frame, so it is loaded

    return isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(dtype)


def _mask(name: Any) -> Callable[[Any], Any]:
    """What masks the values of a column or index of this name."""
    mask = path_text if name in _URLS else plain
    return lambda value: mask(value, _MAX_TEXT) if isinstance(value, str) else value


def _change(field: str, value: Any) -> Any:
    """What a field of a flow was or is, masked as such a field is."""
    header = _HEADER.search(field)
    if header is not None and isinstance(value, str):
        return header_text(header[1], value, _MAX_TEXT)
    if field.endswith((".headers", ".trailers")) and isinstance(value, str):
        lines = (line.partition(": ") for line in value.splitlines())
        return ", ".join(f"{name}: {header_text(name, text, _MAX_TEXT)}" for name, _, text in lines)
    if field == "request.path" and isinstance(value, str):
        return path_text(value, _MAX_TEXT)
    known = value is None or isinstance(value, (bool, int, float))
    return value if known else plain(value, _MAX_TEXT)


def register(display: DisplayFormatter) -> None:
    """Have IPython show frames of flows so."""
    for module, name in _NAMES:
        display.formatters["text/html"].for_type_by_name(module, name, frame_html)
        display.formatters["text/plain"].for_type_by_name(module, name, _pretty)


def unregister(display: DisplayFormatter) -> None:
    """Undo `register`; harmless if it was not called."""
    for module, name in _NAMES:
        for media_type in ("text/html", "text/plain"):
            display.formatters[media_type].pop(f"{module}.{name}", None)


def _pretty(df: pd.DataFrame, printer: Any, cycle: bool) -> None:  # noqa: ARG001 - IPython's call
    for i, line in enumerate(frame_text(df).splitlines()):
        if i:
            printer.break_()
        printer.text(line)
