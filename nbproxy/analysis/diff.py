"""What is different between two views of flows: endpoints, statuses, headers, JSON, time.

Endpoints get their templates from both views together, so that they have the same names. What
differs from one answer to the next anyway is not a difference: a value is compared only where it is
stable, that is, the same in all answers to the same request that were looked at on one side.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from nbproxy.analysis import grouping
from nbproxy.analysis.endpoints import read_shapes
from nbproxy.analysis.frames import Pictured, pictured
from nbproxy.analysis.json_values import Ignored, Place, leaves, parse_ignored
from nbproxy.analysis.samples import NotJSON, evenly, flows_at, json_of, members_of, per_group
from nbproxy.analysis.shown import path_text, plain
from nbproxy.filters.jsonpath import parse_path
from nbproxy.model.masking import default_masker
from nbproxy.model.secrets import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.analysis.json_schema import Shape
    from nbproxy.model.flow import HTTPFlow

    Rows = npt.NDArray[np.int64]

ALWAYS_IGNORED: Final = frozenset(
    {"age", "connection", "content-length", "date", "keep-alive", "transfer-encoding"}
)
"""Header fields that say something about one answer only, or about its connection."""

_SAMPLES: Final = 20  # of an endpoint, on each side
_PAIRS: Final = 20  # requests of an endpoint whose answers are compared value by value
_REPEATS: Final = 3  # answers to the same request, on each side
_SLOWER: Final = 1.5  # a median that is so many times the other one
_SLOWER_S: Final = 0.01  # and so much longer
_ENOUGH: Final = 5  # answers on each side, for a median to say anything
_MAX_TEXT: Final = 300
_COLUMNS: Final = ["path", "method", "scheme", "host", "port"]


class Differences(Pictured):
    """See `diff`. It has no picture."""

    _drawn = "diff"


class _Row(NamedTuple):
    """A difference."""

    kind: str
    endpoint: str
    what: str
    before: Any
    after: Any


class _Side:
    """One of the two views.

    Attributes:
        flows: The view.
        df: Its frame.
        codes: The endpoint of each row.
        members: The rows of each endpoint.
        shapes: What JSON bodies are like, by endpoint.
    """

    def __init__(self, flows: FlowsLike, df: pd.DataFrame, codes: Rows, groups: int) -> None:
        self.flows = flows
        self.df = df
        self.codes = codes
        self.members = members_of(codes, groups)
        self.ids = df.index.to_numpy()
        self.shapes = read_shapes(flows, df, codes, groups, _SAMPLES)
        self.queries: list[dict[str, int]] = []
        self.statuses = df["status"].to_numpy(dtype=np.float64, na_value=np.nan)
        self.durations = df["duration"].to_numpy(dtype=np.float64, na_value=np.nan)
        self.sampled = per_group(_SAMPLES, groups)

    def counts(self, group: int) -> Counter[str]:
        """How many answers of each status an endpoint gave."""
        codes = self.statuses[self.members[group]]
        return Counter("none" if np.isnan(code) else str(int(code)) for code in codes)

    def answered(self, group: int) -> Iterator[HTTPFlow]:
        """Some flows of an endpoint that have an answer, good ones if there are any."""
        rows = self.members[group]
        codes = self.statuses[rows]
        good = rows[(codes >= 200) & (codes < 300)]
        rows = good if len(good) else rows[~np.isnan(codes)]
        return flows_at(self.flows, self.ids[evenly(rows, self.sampled)])

    def by_path(self, group: int) -> dict[str, list[int]]:
        """The rows of an endpoint by their whole path."""
        found: dict[str, list[int]] = defaultdict(list)
        rows = self.members[group]
        for row, path in zip(rows.tolist(), self.df["path"].iloc[rows], strict=True):
            found[str(path)].append(row)
        return found


def diff(
    before: FlowsLike, after: FlowsLike, ignore: str | Iterable[str], hosts: bool | None
) -> Differences:
    """The frame; see `nbproxy.analysis.methods.Analysis.diff`."""
    ignored = parse_ignored(ignore)
    if not hasattr(after, "df") or not hasattr(after, "by_id"):
        raise TypeError(
            f"diff() compares with other flows, such as nbproxy.open('before.har'), not {after!r}"
        )
    frames = (before.df, after.df)
    if hosts is None:
        hosts = not _is_one_service(*frames)
    both = pd.concat([frame[_COLUMNS] for frame in frames], ignore_index=True)
    if not hosts:
        both = both.assign(scheme="", host="", port=0)
    grouped = grouping.by_endpoint(both)
    count = len(grouped.endpoints)
    middle = len(frames[0])
    old = _Side(before, frames[0], grouped.codes[:middle], count)
    new = _Side(after, frames[1], grouped.codes[middle:], count)
    for side in (old, new):
        own = grouping.Grouped(grouped.endpoints, side.codes)
        side.queries = grouping.query_columns(side.df, own)
    rows: list[_Row] = []
    for group in sorted(range(count), key=lambda i: grouped.endpoints[i][1:]):
        rows += _endpoint(_name(grouped.endpoints[group], hosts=hosts), old, new, group, ignored)
    return _frame(rows)


def _is_one_service(before: pd.DataFrame, after: pd.DataFrame) -> bool:
    """Whether each side is one origin, or none is on both: staging and production, say."""
    origins = [
        set(frame[["scheme", "host", "port"]].drop_duplicates().itertuples(index=False, name=None))
        for frame in (before, after)
    ]
    return len(origins[0]) == len(origins[1]) == 1 or not origins[0] & origins[1]


def _name(endpoint: grouping.Endpoint, *, hosts: bool) -> str:
    if not hosts:
        return endpoint.operation
    usual = {"http": 80, "https": 443}.get(endpoint.scheme)
    port = "" if endpoint.port == usual else f":{endpoint.port}"
    return f"{endpoint.method} {endpoint.host}{port}{endpoint.template}"


def _frame(rows: list[_Row]) -> Differences:
    columns: dict[str, Any] = {
        name: pd.array([getattr(row, name) for row in rows], dtype=grouping.TEXT)
        for name in ("kind", "endpoint", "what")
    }
    for name in ("before", "after"):
        columns[name] = pd.Series([getattr(row, name) for row in rows], dtype=object)
    made: Differences = pictured(Differences, columns)
    return made


def _endpoint(name: str, old: _Side, new: _Side, group: int, ignored: Ignored) -> Iterator[_Row]:
    was, now = len(old.members[group]), len(new.members[group])
    if not was or not now:
        yield _Row("gone" if was else "new", name, "endpoint", was or None, now or None)
        return
    yield from _statuses(name, old.counts(group), new.counts(group))
    yield from _queries(name, old.queries[group], new.queries[group])
    for message, prefix in (("request", "request "), ("response", "")):
        shapes = [side.shapes[message][group] for side in (old, new)]
        if all(shape.count for shape in shapes):
            yield from _shapes(name, prefix, shapes[0], shapes[1], ignored)
    yield from _headers(name, old, new, group, ignored)
    yield from _values(name, old, new, group, ignored)
    yield from _latency(name, old, new, group)


def _statuses(name: str, was: Counter[str], now: Counter[str]) -> Iterator[_Row]:
    for status in sorted(was.keys() ^ now.keys()):
        yield _Row("status", name, f"status {status}", was[status], now[status])


def _queries(name: str, was: dict[str, int], now: dict[str, int]) -> Iterator[_Row]:
    for field in sorted(was.keys() ^ now.keys()):
        kind = "removed" if field in was else "added"
        yield _Row(kind, name, f"query {plain(field)}", was.get(field), now.get(field))


def _shapes(name: str, prefix: str, old: Shape, new: Shape, ignored: Ignored) -> Iterator[_Row]:
    """Fields of JSON that came, went, or have other types."""
    was = {path: _types(shape) for path, shape, _ in old.walk() if shape.count}
    now = {path: _types(shape) for path, shape, _ in new.walk() if shape.count}
    hidden: list[str] = []  # what is inside of something that came or went goes without saying
    for path in [*was, *(path for path in now if path not in was)]:
        types = was.get(path, ""), now.get(path, "")
        if types[0] == types[1] or path.startswith(tuple(hidden)):
            continue
        if ignored.covers(parse_path(path)[0]):
            continue
        what = prefix + plain(path)
        if "" in types:
            # an array without items says nothing about them
            if path.endswith("[*]"):
                hidden.append(path)
                continue
            hidden += [f"{path}.", f"{path}["]
            kind = "added" if types[1] else "removed"
            yield _Row(kind, name, what, types[0] or None, types[1] or None)
        else:
            if any((kind in types[0]) != (kind in types[1]) for kind in ("object", "array")):
                hidden += [f"{path}.", f"{path}["]
            yield _Row("type", name, what, *types)


def _types(shape: Shape) -> str:
    return " | ".join(shape.type_names())


# -- headers


def _headers(name: str, old: _Side, new: _Side, group: int, ignored: Ignored) -> Iterator[_Row]:
    """Header fields of answers that came, went, or have another value, where that is stable."""
    was, now = (_stable_headers(side.answered(group)) for side in (old, new))
    for field in sorted(was.keys() | now.keys()):
        if field in ignored.headers or field in ALWAYS_IGNORED:
            continue
        values = was.get(field, frozenset()), now.get(field, frozenset())
        # more than one value on a side: it changes anyway, or is not always there
        if values[0] == values[1] or any(len(each) > 1 for each in values):
            continue
        texts = [_header(field, next(iter(each))) if each else None for each in values]
        yield _Row("header", name, f"header {plain(field)}", *texts)


def _stable_headers(flows: Iterable[HTTPFlow]) -> dict[str, frozenset[str | None]]:
    """The values of each field; None is among them where it was missing from an answer."""
    found: dict[str, set[str | None]] = defaultdict(set)
    times: Counter[str] = Counter()
    count = 0
    for flow in flows:
        if flow.response is None:
            continue
        count += 1
        headers = flow.response.headers
        for field in {field.lower() for field in headers}:
            times[field] += 1
            if len(found[field]) < 2:
                found[field].add(", ".join(headers.get_all(field)))
    return {
        field: frozenset(values if times[field] == count else {*values, None})
        for field, values in found.items()
    }


def _header(name: str, value: str | None) -> str:
    return plain(default_masker().mask_header(name, (value or "")[:4000]), _MAX_TEXT)


# -- values


def _values(name: str, old: _Side, new: _Side, group: int, ignored: Ignored) -> Iterator[_Row]:
    """Values of JSON that are different in the answers to one and the same request."""
    was, now = old.by_path(group), new.by_path(group)
    common = [path for path in now if path in was][-_PAIRS:]
    told: set[str] = set()
    for path in common:
        pairs = _same_request(
            list(flows_at(old.flows, old.ids[was[path][-_REPEATS:]])),
            list(flows_at(new.flows, new.ids[now[path][-_REPEATS:]])),
        )
        statuses = [_stable_status(flows) for flows in pairs]
        if None not in statuses and statuses[0] != statuses[1]:
            yield _Row("status", name, f"status of {path_text(path, _MAX_TEXT)}", *statuses)
            continue
        before, after = (_stable_values(flows) for flows in pairs)
        for steps, place in before.items():
            other = after.get(steps)
            if other is None or _equal(place, other) or ignored.covers(steps):
                continue
            if place.name not in told:
                told.add(place.name)
                kind = "length" if place.is_length else "value"
                values = [_value(each) for each in (place, other)]
                yield _Row(kind, name, plain(place.name), *values)


def _same_request(
    old: Sequence[HTTPFlow], new: Sequence[HTTPFlow]
) -> tuple[list[HTTPFlow], list[HTTPFlow]]:
    """Those of the flows whose requests have a body that was sent on both sides."""
    bodies = {flow.request.raw_content for flow in old} & {f.request.raw_content for f in new}
    body = next(
        (f.request.raw_content for f in reversed(new) if f.request.raw_content in bodies), 0
    )
    return (
        [flow for flow in old if flow.request.raw_content == body],
        [flow for flow in new if flow.request.raw_content == body],
    )


def _stable_status(flows: Sequence[HTTPFlow]) -> int | None:
    """The status of all of the answers; None if it is not one."""
    found = {flow.response.status_code for flow in flows if flow.response is not None}
    return found.pop() if len(found) == 1 else None


def _stable_values(flows: Sequence[HTTPFlow]) -> dict[Any, Place]:
    """The values that are the same in all of the answers, by their steps."""
    found: dict[Any, Place] | None = None
    for flow in flows:
        if flow.response is None:
            continue
        try:
            places = {place.steps: place for place in leaves(json_of(flow.response))}
        except NotJSON:
            continue
        if found is None:
            found = places
        else:
            found = {
                steps: place
                for steps, place in found.items()
                if steps in places and _equal(place, places[steps])
            }
    return found or {}


def _equal(one: Place, other: Place) -> bool:
    """Whether two values are the same; of different types is another difference's affair."""
    if one.is_length != other.is_length:
        return True
    kinds = [
        "number"
        if isinstance(each.value, (int, float)) and not isinstance(each.value, bool)
        else type(each.value).__name__
        for each in (one, other)
    ]
    return kinds[0] != kinds[1] or bool(one.value == other.value)


def _value(place: Place) -> Any:
    """A value as it is shown."""
    names = [each for each in place.steps if isinstance(each, str)]
    if not isinstance(place.value, str):
        if names and is_secret_name(names[-1]) and not place.is_length:
            return default_masker().mask(str(place.value))
        return place.value
    if names and is_secret_name(names[-1]):
        return default_masker().mask(place.value)
    return plain(place.value, _MAX_TEXT)


# -- time


def _latency(name: str, old: _Side, new: _Side, group: int) -> Iterator[_Row]:
    times = [side.durations[side.members[group]] for side in (old, new)]
    times = [each[~np.isnan(each)] for each in times]
    if min(map(len, times)) < _ENOUGH:
        return
    was, now = (float(np.median(each)) for each in times)
    low, high = sorted((was, now))
    if high - low >= _SLOWER_S and high >= _SLOWER * low:
        yield _Row("latency", name, "median duration", was, now)
