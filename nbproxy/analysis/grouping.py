"""Flows put into groups by the columns of their frame, and what can be counted of each group.

All of this is done on whole columns; Python sees each different path once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from nbproxy.analysis.templates import templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Codes = npt.NDArray[np.int64]
    Numbers = npt.NDArray[np.float64]

STATUS_COLUMNS: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "unanswered")
"""How the answers of a group are counted. A code outside of 100 to 599 counts as 5xx, as RFC 9110,
15 has it; the counts of a group add up to its flows."""

_MAX_NAMES: Final = 30
_MAX_NAME: Final = 60

TEXT = pd.StringDtype("pyarrow", na_value=np.nan)
"""The dtype of text columns: that of the frame of flows."""


class Endpoint(NamedTuple):
    """A method on a path template of an origin."""

    method: str
    scheme: str
    host: str
    port: int
    template: str

    @property
    def operation(self) -> str:
        """Method and template, without the origin."""
        return f"{self.method} {self.template}"


class Grouped(NamedTuple):
    """Flows by endpoint.

    Attributes:
        endpoints: The endpoints, in no order.
        codes: For each row of the frame, which of them it is of.
    """

    endpoints: list[Endpoint]
    codes: Codes


def by_endpoint(df: pd.DataFrame) -> Grouped:
    """The endpoints of a frame of flows.

    Several frames, put one below the other, get the same templates.
    """
    origins, origin_keys = _codes_of(df, ("scheme", "host", "port"))
    path_codes, paths = pd.factorize(df["path"], use_na_sentinel=False)
    bases, base_codes = _bases(paths)
    path_of_row = base_codes[path_codes] if len(df) else np.empty(0, np.int64)
    pairs, rows = np.unique(origins * max(1, len(bases)) + path_of_row, return_inverse=True)
    counts = np.bincount(rows, minlength=len(pairs))
    template_of_pair = np.empty(len(pairs), dtype=object)
    pair_origins = pairs // max(1, len(bases))
    for origin in range(len(origin_keys)):
        (own,) = np.nonzero(pair_origins == origin)
        own_paths = [bases[pair % len(bases)] for pair in pairs[own].tolist()]
        template_of_pair[own] = templates(own_paths, counts[own].tolist())
    template_codes, names = pd.factorize(template_of_pair)
    return _endpoints(df, origins, origin_keys, template_codes[rows], names)


def _bases(paths: Any) -> tuple[list[str], Codes]:
    """The different paths without their queries, and which of them each path has."""
    known: dict[str, int] = {}
    codes = [
        known.setdefault(path.partition("?")[0] if isinstance(path, str) else "", len(known))
        for path in paths
    ]
    return list(known), np.array(codes, dtype=np.int64)


def _codes_of(df: pd.DataFrame, columns: Sequence[str]) -> tuple[Codes, list[tuple[Any, ...]]]:
    """A number for each different combination of values, and the combinations."""
    codes = np.zeros(len(df), dtype=np.int64)
    values = []
    for name in columns:
        own, uniques = pd.factorize(df[name], use_na_sentinel=False)
        values.append(uniques)
        codes = codes * len(uniques) + own if len(uniques) else codes
    found, compact = np.unique(codes, return_inverse=True)
    keys = []
    for number in found.tolist():
        rest = number
        key: list[Any] = []
        for uniques in reversed(values):
            rest, position = divmod(rest, max(1, len(uniques)))
            key.append(uniques[position])
        keys.append(tuple(reversed(key)))
    return compact.astype(np.int64), keys


def _endpoints(
    df: pd.DataFrame,
    origins: Codes,
    origin_keys: Sequence[tuple[Any, ...]],
    template_codes: Codes,
    names: Any,
) -> Grouped:
    methods, method_names = pd.factorize(df["method"], use_na_sentinel=False)
    width, depth = max(1, len(names)), max(1, len(method_names))
    found, codes = np.unique(
        (origins * width + template_codes) * depth + methods, return_inverse=True
    )
    endpoints = []
    for number in found.tolist():
        rest, method = divmod(number, depth)
        origin, template = divmod(rest, width)
        scheme, host, port = origin_keys[origin]
        endpoints.append(
            Endpoint(
                _text(method_names[method]), _text(scheme), _text(host), int(port), names[template]
            )
        )
    return Grouped(endpoints, codes.astype(np.int64))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# -- what can be counted


def counts(codes: Codes, groups: int) -> Codes:
    """How many rows each group has."""
    return np.bincount(codes, minlength=groups)


def sums(codes: Codes, groups: int, column: pd.Series[Any]) -> Codes:
    """The sum of a column of whole numbers over each group."""
    total = np.zeros(groups, dtype=np.int64)
    np.add.at(total, codes, column.to_numpy(dtype=np.int64))
    return total


def status_mix(codes: Codes, groups: int, status: pd.Series[Any]) -> dict[str, Codes]:
    """How many answers of each class each group has; see `STATUS_COLUMNS`."""
    code = status.to_numpy(dtype=np.float64, na_value=np.nan)
    with np.errstate(invalid="ignore"):
        kind = np.where((code >= 100) & (code < 600), code // 100, 5)
    kind = np.where(np.isnan(code), len(STATUS_COLUMNS), kind).astype(np.int64)
    table = np.zeros((groups, len(STATUS_COLUMNS)), dtype=np.int64)
    np.add.at(table, (codes, kind - 1), 1)
    return {name: table[:, i] for i, name in enumerate(STATUS_COLUMNS)}


def percentiles(
    codes: Codes, groups: int, column: pd.Series[Any], wanted: Sequence[int] = (50, 95, 99)
) -> dict[str, Numbers]:
    """Percentiles over each group, `p50` and so on; NaN for a group without a number.

    Between two values they are interpolated, as `Series.quantile` does.
    """
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(values)
    order = np.lexsort((values[known], codes[known]))
    ordered = values[known][order]
    ends = np.searchsorted(codes[known][order], np.arange(groups + 1))
    first, number = ends[:-1], np.diff(ends)
    found = {}
    for percent in wanted:
        place = np.maximum(number - 1, 0) * (percent / 100)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, np.maximum(number - 1, 0))
        result = np.full(groups, np.nan)
        some = number > 0
        below, above = ordered[(first + low)[some]], ordered[(first + high)[some]]
        result[some] = below + (above - below) * (place - low)[some]
        found[f"p{percent}"] = result
    return found


def query_names(path: str) -> list[str]:
    """The names of the fields of a path's query, each once; what only looks like one is left out.

    A query without "=" is not made of fields, and may be a token.
    """
    _, _, query = path.partition("?")
    found: dict[str, None] = {}
    for piece in query.split("&")[: 10 * _MAX_NAMES] if query else ():
        name, equals, _ = piece.partition("=")
        if equals and 0 < len(name) <= _MAX_NAME:
            found[name] = None
    return list(found)[:_MAX_NAMES]


def query_columns(df: pd.DataFrame, grouped: Grouped) -> list[dict[str, int]]:
    """For each endpoint the names in queries, most frequent first, and how many flows had them."""
    path_codes, paths = pd.factorize(df["path"], use_na_sentinel=False)
    found: list[dict[str, int]] = [{} for _ in grouped.endpoints]
    with_query = np.array([isinstance(path, str) and "?" in path for path in paths], dtype=np.bool_)
    if not with_query.any():
        return found
    rows = with_query[path_codes]
    pairs, number = np.unique(
        grouped.codes[rows] * len(paths) + path_codes[rows], return_counts=True
    )
    for pair, times in zip(pairs.tolist(), number.tolist(), strict=True):
        names = found[pair // len(paths)]
        for name in query_names(paths[pair % len(paths)]):
            if name in names or len(names) < _MAX_NAMES:
                names[name] = names.get(name, 0) + times
    return [dict(sorted(names.items(), key=lambda item: -item[1])) for names in found]
