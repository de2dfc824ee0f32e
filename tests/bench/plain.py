"""nbproxy on an event loop of its own, in a process of its own: `python -m tests.bench.plain`.

Arguments: the folder of the CA, and the file of the origin's; a third one is a script, which then
does what the handler does else, or the word `both`: then there is one more proxy in the process,
whose flows do not go to disk, and are removed a few times a second. It says the port, or both, that
one's first, and for each line on standard input how many flows it has recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from nbproxy import Proxy

if TYPE_CHECKING:
    from nbproxy import HTTPFlow

BOTH = "both"


def stamp(flow: HTTPFlow) -> None:
    """The one handler."""
    assert flow.response is not None
    flow.response.headers["x-bench"] = "1"


async def serve(confdir: str, trusted: str, script: str = "") -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {
        "port": 0,
        "confdir": confdir,
        "ssl_verify_upstream_trusted_ca": trusted,
    }
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(**options))
        hello: int | list[int] = proxy.port
        if script in {"", BOTH}:
            proxy.on("response")(stamp)
        else:
            proxy.load(script)
        if script == BOTH:
            other = await stack.enter_async_context(Proxy(**options))
            other.on("response")(stamp)
            other.store.stay_in_memory()
            stack.callback(loop.create_task(forget(other)).cancel)
            hello = [other.port, proxy.port]
        print(json.dumps(hello), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            print(json.dumps(len(proxy.flows)), flush=True)


async def forget(proxy: Proxy) -> None:
    """Remove what has been recorded, again and again."""
    while True:
        await asyncio.sleep(0.2)
        proxy.clear()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
