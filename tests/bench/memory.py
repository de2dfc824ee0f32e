"""What recorded flows cost in memory: `python -m tests.bench.memory COUNT`.

It records so many flows with bodies of 1 kB as fast as the disk takes them, and says by how much
the process has grown since the first one, in bytes, and how long that took, in seconds.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.store.store import Store
from tests.bench.processes import Usage

_ON_A_CONNECTION = 100


class Traffic:
    """Flows as a proxy makes them: a connection serves many, bodies all differ."""

    def __init__(self) -> None:
        self._number = 0

    def record(self, store: Store) -> None:
        """One more flow, from beginning to end."""
        number = self._number
        self._number += 1
        now = 1.7e9 + number / 100
        if number % _ON_A_CONNECTION == 0:
            self._client, self._server = Client(), Server(("api.example.org", 443))
            self._client.peername = ("127.0.0.1", 40000 + number // _ON_A_CONNECTION % 20000)
        request = Request.make("GET", f"https://api.example.org/items/{number}")
        request.timestamp_start = request.timestamp_end = now
        flow = HTTPFlow(request, self._client, self._server)
        store.opened(flow)
        fields = [("Content-Type", "application/json"), ("X-Request-Id", f"{number:x}")]
        body = b"%d " % number + os.urandom(500).hex().encode()
        flow.response = Response(200, headers=Headers(fields), content=body[:1000])
        flow.response.timestamp_start = flow.response.timestamp_end = now + 0.01
        store.closed(flow)
        if store.congested:  # as the proxy does
            room = threading.Event()
            store.when_room(room.set)
            room.wait(30)


def measure(count: int) -> dict[str, float]:
    """See the module."""
    usage = Usage(os.getpid())
    with tempfile.TemporaryDirectory() as folder:
        store = Store(directory=Path(folder))
        traffic = Traffic()
        traffic.record(store)
        store.flush()
        gc.collect()
        before = usage.memory()
        started = time.perf_counter()
        for _ in range(count):
            traffic.record(store)
        if not store.flush(120.0):
            raise RuntimeError("the flows were not written")
        took = time.perf_counter() - started
        gc.collect()
        grown = usage.memory() - before
        if len(store) != count + 1 or len(store.session.ids()) != count + 1:
            raise RuntimeError("there are flows missing")
        store.close()
    return {"grown": grown, "seconds": took}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))), flush=True)
