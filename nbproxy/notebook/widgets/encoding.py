"""Rows of flows as typed columns of bytes: what the table in the browser is made of.

A batch of rows is a description that fits into JSON, and one run of bytes. The description names
the columns in the order in which their values lie there, each little-endian and without gaps:
widths fall from 8 to 1 byte, so every column is aligned. Text is a number that points into the
batch's own list of strings; a column that is the same in all rows is not sent but named.

Text from the wire is masked, made visible and bounded here (`nbproxy.notebook.shown`), each
distinct string once. The browser shows it as text and never as markup.
"""

from __future__ import annotations

import math
import sys
from array import array
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.clean import clean_bool, clean_float, clean_int, clean_text
from nbproxy.notebook.shown import path_text, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Columns = Mapping[str, Sequence[Any]]

#: What a row says of a flow besides its values; `mirror.mjs` has the same table.
TLS: Final = 1
FAILED: Final = 2
UNDER_WAY: Final = 4
HELD: Final = 8
RECEIVING: Final = 16

_PATH_LIMIT: Final = 400
_TEXT_LIMIT: Final = 200
_NOTE_LIMIT: Final = 1000
_MAX_ID: Final = 2**32 - 1
_USUAL_PORTS: Final = {"http": 80, "https": 443}

# Columns of text, and how long a value may be.
_TEXTS: Final = {
    "method": 20,
    "scheme": 20,
    "host": _TEXT_LIMIT,
    "type": 80,
    "version": 20,
    "client": 80,
    "server": 80,
    "error": _NOTE_LIMIT,
    "mark": 80,
    "comment": _NOTE_LIMIT,
    "origin": 120,
}


class _Strings:
    """The strings of a batch: each once, numbered; 0 is the empty one."""

    def __init__(self) -> None:
        self.shown: list[str] = [""]
        self._numbers: dict[tuple[Any, int], int] = {}

    def column(
        self, values: Sequence[Any], limit: int, show: Callable[[str, int], str] = plain
    ) -> list[int]:
        """The numbers of a column's values, which may be anything; None is the empty string."""
        numbers, shown = self._numbers, self.shown
        found = []
        for value in values:
            text = value if type(value) is str else clean_text(value)
            if not text:
                found.append(0)
                continue
            number = numbers.get((text, limit))
            if number is None:
                number = numbers[text, limit] = len(shown)
                shown.append(show(text, limit))
            found.append(number)
        return found


def encode(
    ids: Sequence[int], columns: Columns, match: Sequence[int] | None = None
) -> tuple[dict[str, Any], bytes]:
    """A batch of rows.

    Args:
        ids: The flows' ids.
        columns: The values of the columns of `nbproxy.store.schema`, as `Store.columns` gives them.
        match: For each row whether the filter accepts it: 0, 1, or 2 for not known yet.

    Returns:
        `{"count", "columns", "strings"}`, and the bytes. An entry of `columns` is
        `[name, type]`, or `[name, type, value]` for one that is the same in all rows; a type is one
        of `f8 f4 u4 u2 u1`, and `t4 t2` for text.
    """
    strings = _Strings()
    status = [clean_int(value, 0) & 0xFFFF for value in columns["status"]]
    duration, ttfb = _milliseconds(columns["duration"]), _milliseconds(columns["ttfb"])
    text = {name: strings.column(values, _TEXTS[name]) for name, values in _texts(columns).items()}
    text["path"] = strings.column(columns["path"], _PATH_LIMIT, path_text)
    packed: list[tuple[str, str, array[Any]]] = [
        ("time", "f8", array("d", [_time(value) for value in columns["time"]])),
        ("sent", "f8", array("d", [clean_int(v, 0) for v in columns["request_bytes"]])),
        ("received", "f8", array("d", [clean_int(v, 0) for v in columns["response_bytes"]])),
        ("duration", "f4", array("f", duration)),
        ("ttfb", "f4", array("f", ttfb)),
        ("id", "u4", array("I", [min(number, _MAX_ID) for number in ids])),
    ]
    wide = len(strings.shown) > 0xFFFF
    codes = [
        (name, "t4" if wide else "t2", array("I" if wide else "H", numbers))
        for name, numbers in text.items()
    ]
    small = [("status", "u2", array("H", status))]
    packed += [*codes, *small] if wide else [*small, *codes]
    packed.append(("flags", "u1", array("B", _flags(columns, status, duration))))
    if match is not None:
        packed.append(("match", "u1", array("B", match)))
    return _packed(len(ids), packed, strings.shown)


def _texts(columns: Columns) -> dict[str, Sequence[Any]]:
    return {
        "method": columns["method"],
        "scheme": columns["scheme"],
        "host": _hosts(columns),
        "type": [_short_type(value) for value in columns["content_type"]],
        "version": columns["http_version"],
        "client": columns["client"],
        "server": columns["server"],
        "error": columns["error"],
        "mark": columns["marked"],
        "comment": columns["comment"],
        "origin": _origins(columns),
    }


def _origins(columns: Columns) -> list[Any]:
    """Which code asked: "[3] get", the cell and the function."""
    return [
        None
        if cell is None and not function
        else f"{'' if cell is None else f'[{cell}] '}{function or ''}".rstrip()
        for cell, function in zip(columns["cell"], columns["function"], strict=True)
    ]


def _hosts(columns: Columns) -> list[Any]:
    """Hosts, with the port where it is not the usual one."""
    usual = frozenset(_USUAL_PORTS.items())
    return [
        host if type(port) is not int or (str(scheme), port) in usual else f"{host}:{port}"
        for host, port, scheme in zip(
            columns["host"], columns["port"], columns["scheme"], strict=True
        )
    ]


def _short_type(value: Any) -> Any:
    """A media type, without the part before the slash where that says nothing."""
    if not isinstance(value, str):
        return value
    kind, _, rest = value.partition("/")
    return rest if kind in ("text", "application") and rest else value


def _time(value: Any) -> float:
    """Unix milliseconds; 0 says that nobody knows."""
    seconds = clean_float(value)
    return 1000 * seconds if 0 < seconds < 1e11 else 0.0


def _milliseconds(values: Sequence[Any]) -> list[float]:
    """Seconds as milliseconds; NaN where there are none."""
    return [
        1000 * value if type(value) is float and value < 1e9 else 1000 * min(_float(value), 1e9)
        for value in values
    ]


def _float(value: Any) -> float:
    return math.nan if value is None else clean_float(value)


def _flags(columns: Columns, status: Sequence[int], duration: Sequence[float]) -> list[int]:
    found = []
    for tls, error, held, code, took in zip(
        columns["tls"], columns["error"], columns["intercepted"], status, duration, strict=True
    ):
        flags = (TLS if clean_bool(tls) else 0) | (HELD if clean_bool(held) else 0)
        if error is not None:
            flags |= FAILED
        elif not code:
            flags |= UNDER_WAY
        elif math.isnan(took):
            flags |= RECEIVING
        found.append(flags)
    return found


def _packed(
    count: int, columns: Sequence[tuple[str, str, array[Any]]], strings: list[str]
) -> tuple[dict[str, Any], bytes]:
    layout: list[list[Any]] = []
    pieces = []
    for name, kind, values in columns:
        raw = values.tobytes()
        first = raw[: values.itemsize]
        # compared as bytes: NaN is like NaN
        if count > 1 and raw == first * count and not math.isnan(values[0]):
            layout.append([name, kind, values[0]])
            continue
        if sys.byteorder == "big":
            values.byteswap()
            raw = values.tobytes()
        layout.append([name, kind])
        pieces.append(raw)
    return {"count": count, "columns": layout, "strings": strings}, b"".join(pieces)
