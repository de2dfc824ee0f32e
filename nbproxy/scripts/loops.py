"""A loop for scripts that are run over stored flows where none runs: in programs, not notebooks.

Since 4.0 hooks were called while their host's loop ran, so that a plain one may make tasks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def call_on_a_loop(function: Callable[[], None]) -> None:
    """Call a function while a loop runs in this thread; one for the time of the call if need be.

    Tasks that are left at the end of that one are cancelled: nobody is there to run them.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        function()
        return

    async def call() -> None:
        function()

    # not asyncio.run: that turns Ctrl+C into a cancellation, which comes when the call is over
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(call())
    finally:
        try:
            loop.run_until_complete(_end_tasks())
        finally:
            loop.close()


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
