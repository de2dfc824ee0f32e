"""What went wrong: flows that failed, and answers of 400 and above, alike ones together.

A failure belongs to a host (a server that is down fails every endpoint alike), a bad status to an
endpoint. Two failures are alike if their messages differ in numbers only.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from nbproxy.analysis import grouping
from nbproxy.analysis.frames import Pictured, pictured
from nbproxy.analysis.samples import NotJSON, content_of, flows_at, json_of, media_type
from nbproxy.analysis.shown import plain
from nbproxy.model.flow import Error
from nbproxy.model.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.analysis.grouping import Grouped
    from nbproxy.model.flow import HTTPFlow

_EXAMPLES: Final = 5
_MAX_CAUSE: Final = 300
_MAX_READ: Final = 500  # groups whose newest answer is read for a message
_NUMBERS_RE = re.compile(r"0x[0-9a-f]+|[0-9]+")
# Where answers say in words what was wrong (RFC 9457 and habits), in order of preference.
_SAYING: Final = (
    "detail",
    "error_description",
    "message",
    "error_message",
    "msg",
    "reason",
    "title",
    "error",
    "errors",
)


class Errors(Pictured):
    """See `errors`."""

    _drawn = "errors"


class _Group(NamedTuple):
    """Flows with the same trouble; positions in the frame, ascending."""

    host: str
    endpoint: str
    status: int | None
    message: str
    rows: list[int]
    of: int  # how many flows the host or the endpoint has in all


def errors(flows: FlowsLike) -> Errors:
    """The frame; see `nbproxy.analysis.methods.Analysis.errors`."""
    df = flows.df
    grouped = grouping.by_endpoint(df)
    groups = [*_failed(df, grouped), *_refused(df, grouped)]
    groups.sort(key=lambda group: (-len(group.rows), group.host, group.endpoint, group.message))
    ids = df.index.to_numpy()
    times = df["time"]
    kinds, causes = [], []
    for position, group in enumerate(groups):
        newest = next(iter(flows_at(flows, ids[group.rows[-1:]])), None)
        kinds.append(_kind(group, newest))
        causes.append(_cause(group, newest if position < _MAX_READ else None))
    found: Errors = pictured(
        Errors,
        {
            "kind": _text(kinds),
            "host": _text(group.host for group in groups),
            "endpoint": _text(group.endpoint for group in groups),
            "status": pd.array([group.status for group in groups], dtype="Int64"),
            "cause": _text(causes),
            "count": np.array([len(group.rows) for group in groups], dtype=np.int64),
            "share": np.array([len(group.rows) / group.of for group in groups], dtype=np.float64),
            "first": times.iloc[[group.rows[0] for group in groups]].array,
            "last": times.iloc[[group.rows[-1] for group in groups]].array,
            "flows": _objects([[int(i) for i in ids[_examples(g.rows)]] for g in groups]),
        },
    )
    return found


def _failed(df: pd.DataFrame, grouped: Grouped) -> list[_Group]:
    """Flows with an error, by host and message."""
    (rows,) = np.nonzero(df["error"].notna().to_numpy(dtype=np.bool_))
    hosts, messages = df["host"].iloc[rows], df["error"].iloc[rows]
    of_host = df["host"].value_counts(dropna=False)
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, host, message in zip(rows.tolist(), hosts, messages, strict=True):
        alike = _NUMBERS_RE.sub("#", message[:1000].lower())
        members[str(host), alike].append(row)
    found = []
    for (host, _), own in members.items():
        keys = {grouped.codes[row] for row in own}
        one = grouped.endpoints[next(iter(keys))].operation
        endpoint = one if len(keys) == 1 else f"{len(keys):,} endpoints"
        # as it was said most often
        ((message, _),) = Counter(df["error"].iloc[own]).most_common(1)
        found.append(_Group(host, endpoint, None, message, own, int(of_host.get(host, len(own)))))
    return found


def _refused(df: pd.DataFrame, grouped: Grouped) -> list[_Group]:
    """Flows without an error whose status is one, by endpoint and status."""
    status = df["status"].to_numpy(dtype=np.float64, na_value=np.nan)
    (rows,) = np.nonzero((status >= 400) & df["error"].isna().to_numpy(dtype=np.bool_))
    totals = grouping.counts(grouped.codes, len(grouped.endpoints))
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in rows.tolist():
        members[int(grouped.codes[row]), int(status[row])].append(row)
    return [
        _Group(
            grouped.endpoints[code].host,
            grouped.endpoints[code].operation,
            number,
            "",
            own,
            int(totals[code]),
        )
        for (code, number), own in members.items()
    ]


def _examples(rows: list[int]) -> list[int]:
    """The newest few, the newest first."""
    return rows[: -_EXAMPLES - 1 : -1]


def _kind(group: _Group, flow: HTTPFlow | None) -> str:
    """Who or what failed, in a word."""
    if group.status is not None:
        return "status"
    message = group.message
    if message == Error.KILLED_MESSAGE:
        return "killed"
    if "client" in message.lower().split(" with ")[0]:
        return "client"
    server = flow.server_conn if flow is not None else None
    if server is not None and server.timestamp_start is not None:
        if server.timestamp_tcp_setup is None:
            return "connect"
        if server.tls and server.timestamp_tls_setup is None:
            return "tls"
    return "server"


def _cause(group: _Group, flow: HTTPFlow | None) -> str:
    """What went wrong in words, fit to be shown."""
    if group.status is None:
        return plain(group.message, _MAX_CAUSE)
    words = f"{group.status} {REASONS.get(group.status, '')}".rstrip()
    said = _said(flow) if flow is not None else ""
    return f"{words}: {said}" if said else words


def _said(flow: HTTPFlow) -> str:
    """What an answer says about itself, in one line; "" if nothing short."""
    response = flow.response
    if response is None:
        return ""
    try:
        text = _find_saying(json_of(response), 3)
    except NotJSON:
        content = content_of(response) if media_type(response) == "text/plain" else None
        text = content.decode("utf-8", "replace") if content and len(content) <= 500 else ""
    line = " ".join(text[:1000].split())
    return plain(line, 160) if line else ""


def _find_saying(value: Any, depth: int) -> str:
    match value:
        case str():
            return value
        case list() if value and depth:
            return _find_saying(value[0], depth - 1)
        case dict() if depth:
            inside = (_find_saying(value[name], depth - 1) for name in _SAYING if name in value)
            return next(filter(None, inside), "")
        case _:
            return ""


def _text(values: Iterable[str]) -> Any:
    return pd.array(list(values), dtype=grouping.TEXT)


def _objects(values: list[Any]) -> Any:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
