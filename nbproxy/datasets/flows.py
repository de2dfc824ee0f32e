"""Makes flows of the rows of a Parquet dataset, as far as these say what they were.

Certificates and the like are not in a dataset; nor are bodies and WebSocket messages, unless they
were asked for: they are then missing (`raw_content` and `websocket` are None).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nbproxy.datasets.layout import fields_of
from nbproxy.datasets.websockets import put_back
from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.model.connection import Address


def flow_of_row(row: Mapping[str, Any]) -> HTTPFlow:
    """A flow of one row, by the names of its columns."""
    began = row["time"].timestamp() if row["time"] is not None else 0.0
    host, port = row["host"] or "", row["port"] or 0
    version = row["http_version"] or "HTTP/1.1"
    request = Request(
        row["method"] or "",
        row["scheme"] or "",
        host,
        port,
        row["path"] or "",
        headers=Headers.from_wire(fields_of(row["request_headers"])),
        content=row.get("request_body"),
        http_version=version,
        timestamp_start=began,
    )
    request.timestamp_end = began or None
    request.trailers = _trailers(row, "request_trailers")
    flow = HTTPFlow(request, Client(), Server((host, port)))
    flow._id = row["id"]  # noqa: SLF001 - the number of its row
    flow.timestamp_created = began
    flow.client_conn.peername = _address(row["client"])
    flow.client_conn.tls = bool(row["tls"])
    flow.server_conn.peername = _address(row["server"])
    flow.server_conn.tls = row["scheme"] == "https"
    if row["status"] is not None:
        flow.response = Response(
            row["status"],
            reason=row["reason"] or "",
            headers=Headers.from_wire(fields_of(row["response_headers"])),
            content=row.get("response_body"),
            http_version=version,
            timestamp_start=_later(began, row["ttfb"]) or 0.0,
        )
        flow.response.timestamp_end = _later(began, row["duration"])
        flow.response.trailers = _trailers(row, "response_trailers")
    if row["error"] is not None:
        flow.error = Error(row["error"], began)
    flow.marked, flow.comment = row["marked"] or "", row["comment"] or ""
    for name in ("cell", "line", "function"):
        if row[name] is not None:
            flow.metadata[name] = row[name]
    put_back(flow, row.get("websocket"))
    return flow


def _trailers(row: Mapping[str, Any], name: str) -> Headers | None:
    """The trailers of a message; files of old have none."""
    pairs = row.get(name)
    return None if pairs is None else Headers.from_wire(fields_of(pairs))


def _later(began: float, seconds: float | None) -> float | None:
    return None if seconds is None or math.isnan(seconds) else began + seconds


def _address(text: str | None) -> Address | None:
    """The address that a column shows."""
    host, _, port = (text or "").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and len(port) < 6):
        return None
    return host.removeprefix("[").removesuffix("]"), int(port)
