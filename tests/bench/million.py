"""The frame of a million rows: `python -m tests.bench.million COUNT TIMES`.

Rows as a busy day has them (50 hosts, 20,000 paths, a port for nearly each connection) are put into
a frame without flows. It says: the bytes a row takes, of ours and in a DataFrame; how long a
DataFrame takes after one more row while none is held, while the last ten are, and after the row
that merges all that can be merged; and how long filters take. Times are in milliseconds.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil

from nbproxy.filters import parse
from nbproxy.store.cursor import Cursor
from nbproxy.store.frame import Frame
from nbproxy.store.segments import MAX_MERGED_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

_BATCH: Final = 4096
FILTERS: Final = ("~m POST & ~c 5xx & ~dur >1s", "~d api", "~t json", "~u items", "~e")

_REASONS: Final = {
    None: None,
    200: "OK",
    201: "Created",
    304: "Not Modified",
    404: "Not Found",
    500: "Internal Server Error",
}
_NAMES: Final = ("api", "www", "cdn", "img", "static")
_HOSTS: Final = tuple(f"{_NAMES[number % 5]}{number}.example.org" for number in range(50))
_TYPES: Final = ("application/json", "text/html; charset=utf-8", "image/png", None)


class Traffic:
    """Makes rows, as `read_rows` would."""

    def __init__(self) -> None:
        self._random = rng = random.Random(7)
        words = ("items", "users", "orders", "search")
        self._paths = [
            f"/api/v{rng.randint(1, 3)}/{rng.choice(words)}/{rng.randrange(10**6)}"
            + (f"?page={rng.randrange(50)}&q={rng.randrange(10**8):x}" if number % 3 == 0 else "")
            for number in range(20_000)
        ]

    def rows(self, start: int, count: int) -> tuple[range, dict[str, list[Any]]]:
        """So many rows from an id on."""
        rng = self._random
        times = [1.7e9 + (start + i) * 0.01 + rng.random() * 0.01 for i in range(count)]
        status = rng.choices((200, 201, 304, 404, 500, None), (80, 3, 6, 6, 4, 1), k=count)
        hosts = rng.choices(_HOSTS, k=count)
        types = [
            None if s is None else kind for s, kind in zip(status, self._types(count), strict=True)
        ]
        ends = [
            None if s is None else t + rng.expovariate(3)
            for s, t in zip(status, times, strict=True)
        ]
        durations = [None if e is None else e - t for e, t in zip(ends, times, strict=True)]
        return range(start, start + count), {
            "time": times,
            "method": rng.choices(("GET", "POST", "PUT", "DELETE"), (80, 15, 3, 2), k=count),
            "scheme": rng.choices(("https", "http"), (95, 5), k=count),
            "host": hosts,
            "port": [443] * count,
            "path": rng.choices(self._paths, k=count),
            "status": status,
            "reason": [_REASONS[each] for each in status],
            "content_type": [kind and kind.partition(";")[0] for kind in types],
            "request_bytes": rng.choices((0, 0, 0, 512, 900, 1700), k=count),
            "response_bytes": [int(1000 * rng.paretovariate(1)) for _ in range(count)],
            "duration": durations,
            "ttfb": [each and (each / 2) // 2**-22 * 2**-22 for each in durations],
            "http_version": ["HTTP/1.1"] * count,
            "client": [f"127.0.0.1:{port}" for port in rng.choices(range(32768, 61000), k=count)],
            "server": [f"93.184.216.{len(host)}:443" for host in hosts],
            "tls": [True] * count,
            "error": [None if s else "connection refused" for s in status],
            "intercepted": [False] * count,
            "marked": [""] * count,
            "comment": rng.choices(("", "look at this"), (999, 1), k=count),
            "cell": [start // 5000] * count,
            "line": rng.choices(range(1, 20), k=count),
            "function": rng.choices((None, "fetch", "main"), k=count),
            "_authority": hosts,
            "_request_type": [None] * count,
            "_response_type": types,
            "_destination": [f"{host}:443" for host in hosts],
            "_websocket": [False] * count,
            "_replay": [None] * count,
        }

    def _types(self, count: int) -> list[str | None]:
        return self._random.choices(_TYPES, k=count)


class Measured:
    """A frame that grows."""

    def __init__(self) -> None:
        self.frame = Frame(Cursor())
        self.traffic = Traffic()
        self.count = 0

    def add(self, count: int) -> None:
        """So many rows at once."""
        ids, rows = self.traffic.rows(self.count, count)
        self.frame.update_rows(ids, rows, fresh=True)
        self.count += count

    def fill(self, count: int) -> None:
        """So many rows, some thousand at a time."""
        for start in range(0, count, _BATCH):
            self.add(min(_BATCH, count - start))

    def one_more(self) -> tuple[float, Any]:
        """How long a DataFrame takes after one more row, and the DataFrame."""
        ids, rows = self.traffic.rows(self.count, 1)
        self.count += 1

        def look() -> Any:
            self.frame.update_rows(ids, rows, fresh=True)
            return self.frame.snapshot()

        return timed(look)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """How long a call takes, and its result."""
    started = time.perf_counter()
    result = function()
    return (time.perf_counter() - started) * 1000, result


def measure(count: int, times: int) -> dict[str, Any]:
    """See the module."""
    measured = Measured()
    measured.fill(_BATCH)  # what is there before any row
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    measured.fill(count - _BATCH)
    gc.collect()
    resident = process.memory_info().rss - before
    frame = measured.frame
    found: dict[str, Any] = {"rows_bytes": frame.nbytes / count, "rows_resident": resident / count}
    found["first_ms"], df = timed(frame.snapshot)
    found["frame_bytes"] = float(df.memory_usage(deep=True).sum()) / count
    found["all_bytes"] = frame.nbytes / count
    del df
    found["free_ms"] = [measured.one_more()[0] for _ in range(times)]
    held = [measured.one_more() for _ in range(times)]
    found["held_ms"] = [took for took, _ in held]
    del held
    # as many rows as a binary counter has when the next one carries through all its digits
    size = MAX_MERGED_ROWS // 2
    while size:
        measured.add(size)
        size //= 2
    found["merging_ms"] = measured.one_more()[0]
    found["filters_ms"] = {
        source: [timed(partial(frame.judge, parse(source)))[0] for _ in range(3)]
        for source in FILTERS
    }
    assert len(frame.snapshot()) == measured.count
    return found


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:3]))), flush=True)
