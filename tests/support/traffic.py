"""Flows that look like a day's traffic, without a network: many, quickly, the same each time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.store.store import Store

_BEGAN: Final = 1_790_000_000.0
_METHODS: Final = ("GET", "GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD")
_STATUS: Final = (200, 200, 200, 200, 200, 204, 301, 304, 404, 500)
_TYPES: Final = (b"application/json", b"text/html; charset=utf-8", b"image/png", b"text/css")


def flows(count: int, seed: int = 1) -> Iterator[HTTPFlow]:
    """So many flows: two hundred hosts, paths that mostly differ, one in a hundred failed."""
    chance = random.Random(seed)
    at = _BEGAN
    request_head = Headers([(b"Host", b"example.test"), (b"User-Agent", b"traffic")])
    heads = [Headers([(b"Content-Type", each), (b"Server", b"traffic")]) for each in _TYPES]
    for number in range(count):
        at += chance.random() * 0.02
        request = Request(
            chance.choice(_METHODS),
            "https" if number % 5 else "http",
            f"api{number % 200}.example.test",
            443 if number % 5 else 80,
            f"/v1/items/{chance.randrange(10**6)}?page={number % 50}",
            headers=request_head,
            content=b"",
            timestamp_start=at,
        )
        request.timestamp_end = at + 0.001
        flow = HTTPFlow(request)
        flow.client_conn.peername = ("127.0.0.1", 40000 + number % 100)
        took = chance.expovariate(5)
        if chance.random() < 0.01:
            flow.error = Error("the connection was refused", at + took)
        else:
            response = Response(
                chance.choice(_STATUS),
                headers=chance.choice(heads),
                content=bytes(chance.randrange(200)),
                timestamp_start=at + took * 0.7,
            )
            response.timestamp_end = at + took
            flow.response = response
        yield flow


def fill(store: Store, count: int, seed: int = 1) -> None:
    """Record so many flows, and wait until they are kept."""
    for flow in flows(count, seed):
        store.opened(flow)
        store.closed(flow)
    store.flush()
