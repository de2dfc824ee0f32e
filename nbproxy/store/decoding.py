"""Rows of a capture as flows, made anew.

The opposite of `nbproxy.store.encoding`. A row comes from a file that others may have changed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.model.flow import Error, Flow, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Message, Request, Response
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from nbproxy.store import tagged
from nbproxy.store.encoding import FIELDS, INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nbproxy.model.body import StoredBody
    from nbproxy.model.connection import Client, Server


def headers_from_cell(cell: str | bytes) -> Headers:
    """The headers that were written.

    Raises:
        ValueError: Somebody else wrote this.
    """
    if type(cell) is str:
        if not cell:
            return Headers.from_wire(())
        lines = [line.partition(b": ") for line in cell.encode().split(b"\n")]
        return Headers.from_wire(tuple([(name, value) for name, _, value in lines]))
    pairs = json.loads(cell)
    return Headers.from_wire(
        tuple((str(n).encode("latin-1"), str(v).encode("latin-1")) for n, v in pairs)
    )


class Source(Protocol):
    """Where rows come from."""

    def body(self, number: int, size_bytes: int, *, truncated: bool) -> StoredBody:
        """The large body with this number."""


def from_row(  # noqa: C901 - a column after the other
    row: Sequence[Any],
    source: Source,
    connections: Mapping[int, Client | Server],
    messages: Mapping[int, list[WebSocketMessage]],
) -> HTTPFlow:
    """A flow made anew; it has no id yet.

    Args:
        row: As `to_row` gave it; in files that others changed it may say anything.
        source: Where its large bodies are.
        connections: By key, those that are known.
        messages: WebSocket messages by key of their flow.
    """
    # fmt: off
    (
        key, time, method, scheme, host, port, path, status, reason, _, size, answer_size,
        version, _, _, _, error, intercepted, marked, comment, created, request_end,
        response_start, response_end, error_time, authority, response_version, is_replay,
        client, server, request_stored, response_stored, metadata, websocket, extra,
        request_headers, request_trailers, response_headers, response_trailers,
        request_body, response_body,
    ) = row
    # fmt: on
    more = None if extra is None else _loaded(extra)
    cut = () if more is None else more.get("truncated", ())
    if request_stored is not None:
        request_body = source.body(request_stored, size, truncated="request" in cut)
    request = Request(
        method,
        scheme,
        host,
        port,
        path,
        headers=headers_from_cell(request_headers or ""),
        content=request_body,
        authority=authority,
        http_version=version,
        timestamp_start=time,
    )
    if request_end is not None:
        request.timestamp_end = request_end
    if request_trailers is not None:
        request.trailers = headers_from_cell(request_trailers)
    flow = HTTPFlow(request, connections.get(client), connections.get(server))  # type: ignore[arg-type] # of the right kinds
    if response_headers is not None:
        if response_stored is not None:
            response_body = source.body(response_stored, answer_size, truncated="response" in cut)
        flow.response = response = Response(
            status,
            reason=reason,
            headers=headers_from_cell(response_headers),
            content=response_body,
            http_version=response_version,
            timestamp_start=response_start,
        )
        if response_end is not None:
            response.timestamp_end = response_end
        if response_trailers is not None:
            response.trailers = headers_from_cell(response_trailers)
    if created is not None:
        flow.timestamp_created = created
    if error is not None or error_time is not None:
        flow.error = Error(error, error_time)
    if intercepted:
        flow.intercepted = True
    if marked:
        flow._marked = marked  # noqa: SLF001 - the property would tell a store
    if comment:
        flow._comment = comment  # noqa: SLF001 - see above
    if is_replay is not None:
        flow.is_replay = is_replay
    if metadata is not None:
        flow._metadata = _loaded(metadata)  # noqa: SLF001 - ours
    if websocket is not None:
        flow.websocket = _websocket_of(_loaded(websocket), messages.get(key, []))
    if more is not None and "set" in more:
        _apply(flow, more["set"])
    return flow


def damaged(row: Sequence[Any], error: Exception) -> HTTPFlow:
    """What stands for a row of which no flow can be made."""
    texts = [str(row[INDEX[name]]) for name in ("method", "scheme", "host", "path")]
    method, scheme, host, path = texts
    port, time = row[INDEX["port"]], row[INDEX["time"]]
    flow = HTTPFlow(
        Request(
            method,
            scheme,
            host,
            port if type(port) is int else 0,
            path,
            content=None,
            timestamp_start=time if type(time) is float else 0.0,
        )
    )
    flow.error = Error(
        f"row {row[0]} of the capture is damaged: {error}", flow.request.timestamp_start
    )
    return flow


def _loaded(text: Any) -> dict[str, Any]:
    try:
        found = tagged.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if type(found) is dict else {}


def _websocket_of(state: dict[str, Any], messages: list[WebSocketMessage]) -> WebSocketData:
    return WebSocketData(
        messages,
        state.get("closed_by_client"),
        state.get("close_code"),
        state.get("close_reason"),
        state.get("timestamp_end"),
    )


def message_of(row: Sequence[Any]) -> WebSocketMessage:
    """A WebSocket message made anew."""
    _, _, time, from_client, kind, content, dropped, injected, left_out = row
    return WebSocketMessage(
        kind, bool(from_client), content, time or 0.0, bool(dropped), bool(injected), left_out
    )


def _apply(flow: HTTPFlow, values: Any) -> None:
    """What the columns could not say."""
    if type(values) is not dict:
        return
    for path, value in values.items():
        if path not in FIELDS:
            continue
        owner, _, name = path.rpartition(".")
        holder: Flow | Message | Error | None = getattr(flow, owner) if owner else flow
        if owner == "error" and holder is None:
            holder = flow.error = Error("")
        if holder is not None:
            setattr(holder, name, value)
