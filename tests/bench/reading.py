"""Reading a file of saved flows: `python -m tests.bench.reading FILE COUNT`.

With a count it first writes the file: that many flows with bodies of 2 kB. Then it reads the file
once and says how many seconds that took and how many flows there were. The text `FOREIGN` does the
same with mitmproxy's reader, in mitmproxy's environment.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from nbproxy import Headers, HTTPFlow, Request, Response
from nbproxy.formats import mitm
from nbproxy.formats.notes import Notes
from nbproxy.model.connection import Client, Server

FOREIGN = """
import json, sys, time
from mitmproxy.io import FlowReader
with open(sys.argv[1], "rb") as file:
    started = time.perf_counter()
    count = sum(1 for _ in FlowReader(file).stream())
print(json.dumps([time.perf_counter() - started, count]))
"""


def flow(number: int) -> HTTPFlow:
    """A flow as a page makes it, on a connection of its own."""
    now = 1.7e9 + number
    request = Request.make("GET", f"https://www{number % 50}.example.org/items/{number}")
    request.timestamp_start = request.timestamp_end = now
    client = Client()
    client.peername = ("127.0.0.1", 40000 + number % 1000)
    client.timestamp_start = now
    made = HTTPFlow(request, client, Server((request.host, request.port)))
    fields = [("Content-Type", "application/json"), ("Date", "Mon, 27 Jul 2009 12:28:53 GMT")]
    made.response = Response(200, headers=Headers(fields), content=b"x" * 2000)
    made.response.timestamp_start = made.response.timestamp_end = now + 0.1
    return made


def measure(path: Path, count: int) -> list[float]:
    """See the module."""
    if count:
        with path.open("wb") as file:
            mitm.write((flow(number) for number in range(count)), file, Notes())
    with path.open("rb") as file:
        started = time.perf_counter()
        found = sum(1 for _ in mitm.read(file, Notes()))
        return [time.perf_counter() - started, found]


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]))), flush=True)
