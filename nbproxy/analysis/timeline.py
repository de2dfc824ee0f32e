"""When what happened: flows by connection, each with the phases of its time.

A connection to a server is opened once, so its `connect` and `tls` stand with the first flow here
that used it; the later ones reused it. The proxy may open one before the request comes (right after
a CONNECT), so these phases may lie before `start`. How long the name look-up took is not known
apart: it is part of `connect`. What a failed flow was doing when it failed lasts until the failure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from nbproxy.analysis.frames import Pictured, pictured

if TYPE_CHECKING:
    from nbproxy.analysis.contract import FlowsLike
    from nbproxy.model.connection import Server
    from nbproxy.model.flow import HTTPFlow

PHASES: Final = ("connect", "tls", "send", "wait", "transfer")
"""In their order; columns of the frame, seconds."""

_LATEST: Final = 1e11  # seconds: the year 5138; a later moment is nonsense


class Timeline(Pictured):
    """See `timeline`."""

    _drawn = "timeline"


class _Times(NamedTuple):
    """The moments of a flow, Unix seconds; NaN for what is not known."""

    begin: float
    sent: float
    answered: float
    end: float
    failed: bool


class _Opening(NamedTuple):
    """The moments of a connection, Unix seconds; NaN for what is not known."""

    opened: float
    connected: float
    secured: float
    tls: bool


class _Row(NamedTuple):
    """A flow as it is read."""

    id: int
    connection: int | None
    opening: _Opening
    times: _Times


def timeline(flows: FlowsLike) -> Timeline:
    """The frame; see `nbproxy.analysis.methods.Analysis.timeline`."""
    df = flows.df
    here = set(df.index)
    known: dict[int, _Opening] = {}
    rows = [_row(flow, known) for flow in flows if flow.id in here]
    rows.sort(key=lambda row: (_or_last(row.times.begin), row.id))
    numbers: dict[int | None, int] = {None: 0}  # what no server was asked comes first
    owns: set[int] = set()
    for row in rows:
        if row.connection not in numbers:
            numbers[row.connection] = len(numbers)
            owns.add(row.id)
    rows.sort(key=lambda row: numbers[row.connection])
    return _frame(df, rows, [numbers[row.connection] for row in rows], owns)


def _frame(df: pd.DataFrame, rows: list[_Row], numbers: list[int], owns: set[int]) -> Timeline:
    phases = [_phases(row, owns=row.id in owns) for row in rows]
    table = np.array(phases, dtype=np.float64).reshape(len(phases), 3 + len(PHASES))
    opened, start, *middle, end = table.T
    moments = table[:, :2][~np.isnan(table[:, :2])]
    zero = moments.min() if len(moments) else 0.0
    ids = [row.id for row in rows]
    seen = df.loc[ids]
    asked = np.array(numbers, dtype=np.int64) > 0
    columns = {
        "connection": pd.arrays.IntegerArray(np.array(numbers, dtype=np.int64), ~asked),
        "reused": asked & np.array([number not in owns for number in ids], dtype=np.bool_),
        **{name: seen[name].array for name in ("method", "host", "path", "status")},
        "start": start - zero,
        "opened": opened - zero,
        **dict(zip(PHASES, middle, strict=True)),
        "duration": end - start,
        **{name: seen[name].array for name in ("server", "error")},
    }
    made: Timeline = pictured(Timeline, columns, pd.Index(ids, name="id", dtype="int64"))
    return made


def _row(flow: HTTPFlow, known: dict[int, _Opening]) -> _Row:
    server = flow.server_conn
    opening = known.get(server.id)
    if opening is None:
        opening = known[server.id] = _opening(server)
    used = server.timestamp_start is not None or server.peername is not None
    return _Row(flow.id, server.id if used else None, opening, _times(flow))


def _opening(server: Server) -> _Opening:
    return _Opening(
        _moment(server.timestamp_start),
        _moment(server.timestamp_tcp_setup),
        _moment(server.timestamp_tls_setup),
        server.tls,
    )


def _moment(value: float | None) -> float:
    known = isinstance(value, (int, float)) and 0 < value < _LATEST
    return float(value) if known and value is not None else math.nan


def _or_last(value: float) -> float:
    """For sorting: what is not known comes last."""
    return math.inf if math.isnan(value) else value


def _times(flow: HTTPFlow) -> _Times:
    """The moments of a flow, each no earlier than the one before, whatever the clocks say."""
    request, response, error = flow.request, flow.response, flow.error
    begin = _moment(request.timestamp_start)
    sent = _later(begin, _moment(request.timestamp_end))
    answered = end = math.nan
    if response is not None:
        answered = _moment(response.timestamp_start)
        if not math.isnan(answered):
            answered = _later(begin, answered)
            sent = min(sent, answered)  # a server may answer before it has heard all
        end = _moment(response.timestamp_end)
    failed = error is not None and math.isnan(end)
    if error is not None and failed:
        end = _moment(error.timestamp)
    if not math.isnan(end):
        end = _later(_later(sent, answered), end)
    return _Times(begin, sent, answered, end, failed)


def _later(known: float, then: float) -> float:
    """The second moment, or the first if the second is earlier or not known."""
    return then if then > known or math.isnan(known) else known


def _between(begin: float, end: float) -> float:
    """Seconds from one moment to another, not below 0; NaN if one is not known."""
    seconds = end - begin
    return seconds if math.isnan(seconds) else max(0.0, seconds)


def _phases(row: _Row, *, owns: bool) -> tuple[float, ...]:
    """Opened, start, the phases, end; NaN for what did not happen or is not known."""
    times, opening = row.times, row.opening
    opened = connect = tls = ready = math.nan
    waits = True
    if owns:
        opened, connected = opening.opened, opening.connected
        secured = opening.secured
        if times.failed and math.isnan(times.answered) and not math.isnan(times.end):
            # it failed on the way: the phase it was in lasts until then
            if math.isnan(connected) and not math.isnan(opened):
                connected, waits = max(opened, times.end), False
            elif opening.tls and math.isnan(secured):
                secured, waits = max(connected, times.end), False
        connect = _between(opened, connected)
        tls = _between(connected, secured)
        ready = connected if math.isnan(secured) else secured
    since = _later(times.sent, ready)
    until = times.end if times.failed and math.isnan(times.answered) else times.answered
    wait = max(0.0, until - min(since, until)) if waits and not math.isnan(until) else math.nan
    return (
        opened,
        times.begin,
        connect,
        tls,
        times.sent - times.begin,
        wait,
        times.end - times.answered,
        times.end,
    )
