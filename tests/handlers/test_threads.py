"""The threads of concurrent handlers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from nbproxy.handlers.threads import Threads
from tests.support.proxies import wait_until


def named():
    return {t for t in threading.enumerate() if t.name.startswith("nbproxy-handler-")}


@pytest.fixture(autouse=True)
def _alone():
    """Registries of other tests have told their threads to end; now they have."""
    wait_until(lambda: not named(), "the end of other tests' threads")


async def test_threads_are_made_when_needed_reused_and_limited():
    threads = Threads(3)
    for _ in range(5):
        await threads.submit(lambda: None).future
    assert len(named()) == 1
    barrier = threading.Barrier(3, timeout=120)
    await asyncio.gather(*(threads.submit(barrier.wait).future for _ in range(9)))
    assert {t.name for t in named()} == {f"nbproxy-handler-{i}" for i in (1, 2, 3)}
    assert all(t.daemon and t.pydev_do_not_trace and t.is_pydev_daemon_thread for t in named())
    going = named()
    threads.close()
    for thread in going:
        thread.join(120)
    assert not named()


async def test_closing_skips_what_waits_and_leaves_what_runs(until):
    threads = Threads(1)
    log = []
    began, release = threading.Event(), threading.Event()

    def hold():
        began.set()
        release.wait(120)
        log.append("ended")

    running = threads.submit(hold)
    await until(began.is_set)
    waiting = threads.submit(lambda: log.append("never"))
    threads.close()
    await waiting.future
    assert log == []
    assert not running.future.done()
    await threads.submit(lambda: log.append("anew")).future
    release.set()
    await running.future
    assert log == ["anew", "ended"]
    going = named()
    threads.close()
    for thread in going:
        thread.join(120)


def test_a_thread_may_outlive_its_loop():
    threads = Threads(1)
    release = threading.Event()

    async def main():
        threads.submit(lambda: release.wait(120))

    asyncio.run(main())
    release.set()
    going = named()
    threads.close()
    for thread in going:
        thread.join(120)
    assert not named()


def test_a_handler_that_never_ends_does_not_hold_up_the_exit():
    program = (
        "import asyncio, threading\n"
        "from nbproxy.handlers.threads import Threads\n"
        "threads = Threads(2)\n"
        "async def main():\n"
        "    threads.submit(lambda: threading.Event().wait())\n"
        "asyncio.run(main())\n"
        "threads.close()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_there_must_be_one():
    with pytest.raises(ValueError, match="at least one"):
        Threads(0)
