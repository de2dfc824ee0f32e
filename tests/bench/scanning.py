"""A script over many saved flows: `python -m tests.bench.scanning FILE COUNT PROCESSES`.

It writes the capture, unless it is there, and runs a script over it on a local Dask cluster of so
many processes with one thread each. It says how many seconds the run took, without the start of the
cluster, and how many fields were changed.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import nbproxy
from nbproxy import saved
from tests.bench.reading import flow

_SCRIPT = """
def response(flow):
    flow.response.headers["x-length"] = str(len(flow.response.content))
    del flow.response.headers["date"]
"""


def measure(path: Path, count: int, processes: int) -> list[float]:
    """See the module."""
    import dask
    from distributed import Client, LocalCluster

    if not path.exists():
        saved.save((flow(number) for number in range(count)), path)
    script = path.with_suffix(".py")
    script.write_text(_SCRIPT)
    with (
        tempfile.TemporaryDirectory() as folder,
        dask.config.set({"temporary-directory": folder}),
        LocalCluster(  # type: ignore[no-untyped-call] # Dask's
            n_workers=processes,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call] # Dask's
    ):
        client.run(_warm)
        scan = nbproxy.scan(path, rows=max(1, min(10_000, count // 4)))
        started = time.perf_counter()
        changes = scan.run(str(script))
        return [time.perf_counter() - started, len(changes)]


def _warm() -> None:
    """Import what a worker needs."""
    import nbproxy.datasets.reading
    import nbproxy.scanning  # noqa: F401 - see above


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))), flush=True)
