"""The DataFrame after one more flow on top of many: `python -m tests.bench.frame COUNT TIMES`.

It says how long the first frame took, and each one after one more flow, in milliseconds.
"""

from __future__ import annotations

import json
import sys
import time

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.store.store import Store
from nbproxy.store.view import Flows

_HOSTS = tuple(f"www{number}.example.org" for number in range(50))


def record(store: Store, number: int) -> None:
    """One more flow, from beginning to end."""
    now = 1.7e9 + number
    host = _HOSTS[number % len(_HOSTS)]
    request = Request("GET", "https", host, 443, f"/items/{number}", timestamp_start=now)
    client = Client()
    client.peername = ("127.0.0.1", 40000 + number % 1000)
    flow = HTTPFlow(request, client, Server((host, 443)))
    store.opened(flow)
    flow.response = Response(
        200,
        headers=Headers([("Content-Type", "application/json")]),
        content=b"{}",
        timestamp_start=now + 0.1,
    )
    flow.response.timestamp_end = now + 0.2
    store.closed(flow)


def measure(count: int, times: int) -> dict[str, float | list[float]]:
    """See the module."""
    store = Store()
    flows = Flows(store)
    for number in range(count):
        record(store, number)
    store.flush(120)  # what is measured is the frame, not the writer beside it
    took_ms = []
    for number in range(times + 1):
        started = time.perf_counter()
        rows = len(flows.df)
        took_ms.append((time.perf_counter() - started) * 1000)
        assert rows == count + number
        record(store, count + number)
    store.close()
    return {"first_ms": took_ms[0], "one_more_ms": took_ms[1:]}


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:3]))), flush=True)
