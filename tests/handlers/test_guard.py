"""Interrupting a handler with a real SIGINT, while SIGINT is ignored otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from nbproxy.handlers.guard import InterruptGuard


@pytest.fixture
def ignored():
    """SIGINT as an idle kernel has it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def guarded(registry):
    registry.guard = InterruptGuard()
    return registry


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def run_away():
    interrupt()
    while True:
        pass


def test_a_runaway_handler_is_interrupted_and_the_next_one_runs(ignored, guarded, notes):
    log = []
    guarded.on("request")(run_away)
    guarded.on("request")(lambda: log.append("next"))
    guarded.fire("request", "flow")
    assert log == ["next"]
    assert [type(exc) for _, exc, *_ in notes.errors] == [KeyboardInterrupt]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    interrupt()  # ignored again


async def test_so_is_a_step_of_an_async_handler(ignored, guarded, notes):
    @guarded.on("request")
    async def handler(flow):
        interrupt_between = asyncio.get_running_loop().call_soon(interrupt)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert interrupt_between is not None
        run_away()

    await guarded.fire("request", "flow")
    assert [type(exc) for _, exc, *_ in notes.errors] == [KeyboardInterrupt]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_handler_of_ones_own_stays(guarded):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        guarded.on("request")(interrupt)
        guarded.fire("request", "flow")
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == ["mine"]


def test_on_another_thread_it_does_nothing(ignored, guarded, notes):
    seen = []
    guarded.on("request")(lambda: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=guarded.fire, args=("request", "flow"))
    thread.start()
    thread.join()
    assert seen == [signal.SIG_IGN]


def test_a_failing_handler_leaves_it_off(ignored, guarded):
    guarded.on("request")(lambda: 1 / 0)
    guarded.fire("request", "flow")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


STRESS = """
import os, signal, statistics, time
from nbproxy.handlers.guard import InterruptGuard
from nbproxy.handlers.registry import Registry

class Count:
    errors = 0
    def error(self, handler, exc, flow):
        assert type(exc) is KeyboardInterrupt
        handler.shown.clear()
        Count.errors += 1

registry = Registry(reporter=Count(), hint_slow_s=0)
registry.guard = InterruptGuard()
registry.on("request")(lambda: None)
(handler,) = registry
signal.signal(signal.SIGINT, signal.SIG_IGN)
left = []

def alarm(*_):
    if left:
        signal.setitimer(signal.ITIMER_REAL, left.pop())
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGALRM, alarm)

def round_of_calls():
    began = time.perf_counter()
    for _ in range(20):
        registry.fire("request", "flow")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return time.perf_counter() - began

usual = statistics.median(round_of_calls() for _ in range(100))
rounds = 100
while handler.errors < 1000:
    # Three for each round, or a slow machine would do nothing else; they come anywhere in it.
    left[:] = [usual / 10, usual / 20]
    signal.setitimer(signal.ITIMER_REAL, max(usual * (rounds % 997) / 997, 1e-6))
    round_of_calls()
    rounds += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert handler.calls == 20 * rounds
assert handler.errors == Count.errors
"""


def test_interrupts_at_any_moment_leave_it_off_and_never_get_out():
    """A timer hits the guard's own lines, each round somewhere else.

    In a process of its own: a KeyboardInterrupt inside a coverage tracer leaves its lock taken.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    subprocess.run([sys.executable, "-c", STRESS], check=True, timeout=600, env=environment)
