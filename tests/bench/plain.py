"""nbproxy on an event loop of its own, in a process of its own: `python -m tests.bench.plain`.

Arguments: the folder of the CA, and the file of the origin's; a third one is a script, which then
does what the handler does else, or the word `forget`: then nothing goes to disk, and flows are
removed a few times a second. For each line on standard input it says how many flows it has
recorded.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from nbproxy import Proxy

if TYPE_CHECKING:
    from nbproxy import HTTPFlow

FORGET = "forget"


def stamp(flow: HTTPFlow) -> None:
    """The one handler."""
    assert flow.response is not None
    flow.response.headers["x-bench"] = "1"


async def serve(confdir: str, trusted: str, script: str = "") -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    async with Proxy(port=0, confdir=confdir, ssl_verify_upstream_trusted_ca=trusted) as proxy:
        forgetting = None
        if script == FORGET:
            proxy.store.stay_in_memory()
            forgetting = loop.create_task(forget(proxy))
        if script not in {"", FORGET}:
            proxy.load(script)
        else:
            proxy.on("response")(stamp)
        print(json.dumps(proxy.port), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(len(proxy.flows)), flush=True)
        if forgetting is not None:
            forgetting.cancel()


async def forget(proxy: Proxy) -> None:
    """Remove what has been recorded, again and again."""
    while True:
        await asyncio.sleep(0.2)
        proxy.clear()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
