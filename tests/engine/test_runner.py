"""Every placement of the loop keeps the same contract; the private thread survives anything."""

import asyncio
import contextlib
import contextvars
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from nbproxy.engine.runner import ProxyLoop, RunningRunner, ThreadRunner, daemon, wait
from nbproxy.notebook.mounted import MountedRunner
from tests.support.proxies import PATIENCE_S, alone, wait_until


def threads() -> set[str]:
    """Those of runners; a store of another test may still be writing."""
    names = {t.name for t in threading.enumerate()}
    return {name for name in names if name.startswith("nbproxy")} - {"nbproxy-writer"}


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def thread_runner():
    alone()
    before = descriptors()
    runner = ThreadRunner()
    runner.start()
    yield runner
    runner.close()
    wait_until(lambda: not threads(), "its threads end")
    assert descriptors() <= before  # those of other tests may go meanwhile


@pytest.fixture(params=["mounted", "thread", "running"])
async def runner(request):
    """Each kind, started from a running loop."""
    alone()
    before = descriptors()
    made = {"mounted": MountedRunner, "thread": ThreadRunner, "running": RunningRunner}
    runner = made[request.param]()
    assert runner.name == request.param
    runner.start()
    yield runner
    runner.close()
    wait_until(lambda: not threads(), "its threads end")
    assert descriptors() <= before  # those of other tests may go meanwhile


async def answer(value=42):
    await asyncio.sleep(0)
    return value


# the contract, for all runners


async def test_submit_from_another_thread(runner):
    assert await asyncio.to_thread(lambda: runner.submit(answer()).result(PATIENCE_S)) == 42


async def test_submit_from_the_callers_loop(runner):
    assert await asyncio.wrap_future(runner.submit(answer(7))) == 7


async def test_call_runs_on_the_loop(runner):
    done = asyncio.get_running_loop().create_future()
    host = asyncio.get_running_loop()

    def on_loop(word):
        result = (word, asyncio.get_running_loop() is runner.loop, runner.owns_current_thread())
        host.call_soon_threadsafe(done.set_result, result)

    runner.call(on_loop, "word")
    assert await done == ("word", True, True)


async def test_wait_blocks_another_thread_only(runner):
    assert await asyncio.to_thread(wait, runner, answer(3)) == 3


async def test_wait_on_the_loop_itself_is_refused(runner):
    async def handler():
        wait(runner, answer())

    with pytest.raises(RuntimeError, match="never end"):
        await asyncio.wrap_future(runner.submit(handler()))


async def test_wait_passes_errors_and_cancels_after_its_time(runner):
    began, cancelled = threading.Event(), threading.Event()

    async def fail():
        raise ZeroDivisionError

    async def hang():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(wait, runner, fail())
    while not began.is_set():  # what is cancelled before it begins has nothing to tell
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(wait, runner, hang(), 0.05)
    assert await asyncio.to_thread(cancelled.wait, PATIENCE_S)


async def test_the_callers_context_goes_along(runner):
    word = contextvars.ContextVar("word", default="")
    word.set("from the cell")

    async def read():
        return word.get()

    assert await asyncio.wrap_future(runner.submit(read())) == "from the cell"


async def test_start_and_close_twice_then_closed_for_good(runner):
    runner.start()
    runner.close()
    runner.close()
    with pytest.raises(RuntimeError, match="closed"):
        runner.start()
    with pytest.raises(RuntimeError, match="closed"):
        runner.submit(answer())  # and no warning of a coroutine that was never awaited
    with pytest.raises(RuntimeError, match="closed"):
        runner.call(print)


async def test_close_cancels_what_is_left(runner):
    started, cancelled = threading.Event(), threading.Event()

    async def hang():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    runner.submit(hang())
    assert await asyncio.to_thread(started.wait, PATIENCE_S)
    runner.close()
    assert await asyncio.to_thread(cancelled.wait, PATIENCE_S)


async def test_only_a_foreign_loop_outlives_close(runner):
    loop = runner.loop
    runner.close()
    assert loop.is_closed() == (runner.name != "running")


async def test_a_handler_cannot_close_its_own_loop(runner):
    if runner.name == "running":  # there is nothing to close, so it may
        return

    async def handler():
        runner.close()

    with pytest.raises(RuntimeError, match="cannot close"):
        await asyncio.wrap_future(runner.submit(handler()))


# the private thread


def test_not_started_means_no_loop_and_nothing_to_close():
    runner = ThreadRunner()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = runner.loop
    with pytest.raises(RuntimeError, match="not been started"):
        runner.submit(answer())
    assert not runner.owns_current_thread()
    runner.close()
    with pytest.raises(RuntimeError, match="closed"):
        runner.start()


def test_the_thread_is_a_daemon_which_debuggers_leave_alone(thread_runner):
    thread = next(t for t in threading.enumerate() if t.name == "nbproxy")
    assert thread.daemon
    assert thread.pydev_do_not_trace
    assert thread.is_pydev_daemon_thread


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_the_thread_survives_what_callbacks_raise(thread_runner, error, caplog):
    def fail():
        raise error

    with caplog.at_level(logging.CRITICAL, "nbproxy"):
        thread_runner.call(fail)
        assert wait(thread_runner, answer(), PATIENCE_S) == 42


def test_the_thread_survives_a_stray_stop(thread_runner):
    thread_runner.call(thread_runner.loop.stop)
    assert wait(thread_runner, answer(), PATIENCE_S) == 42


def test_an_interrupt_of_wait_cancels_the_coroutine(thread_runner):
    cancelled = threading.Event()

    def is_waiting():
        frame = sys._current_frames()[threading.main_thread().ident]
        return frame.f_code is threading.Condition.wait.__code__

    async def hang():
        while not is_waiting():  # noqa: ASYNC110 - another thread, which blocks, sets no event
            await asyncio.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(KeyboardInterrupt):
        wait(thread_runner, hang(), PATIENCE_S)
    assert cancelled.wait(PATIENCE_S)
    assert wait(thread_runner, answer(), PATIENCE_S) == 42


def test_close_ends_executor_threads_and_async_generators(thread_runner):
    closed = threading.Event()

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    async def use():
        generator = numbers()
        await anext(generator)
        await asyncio.get_running_loop().run_in_executor(None, threading.current_thread)
        return generator

    generator = wait(thread_runner, use(), PATIENCE_S)
    thread_runner.close()
    assert closed.is_set()
    assert generator is not None
    assert not threads()


def test_close_has_a_time_limit(thread_runner, caplog):
    """A task that will not go and a blocked executor thread cannot hold it up."""
    gate, blocked = threading.Event(), threading.Event()

    def block():
        blocked.set()
        gate.wait(PATIENCE_S)

    async def stubborn():
        executing = asyncio.get_running_loop().run_in_executor(None, block)
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(executing)

    thread_runner.submit(stubborn())
    assert blocked.wait(PATIENCE_S)
    loop = thread_runner.loop
    with caplog.at_level(logging.CRITICAL, "asyncio"):
        thread_runner.close(timeout_s=0.1)
        assert loop.is_closed()
        gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("nbproxy"):
            thread.join(PATIENCE_S)


def test_close_tells_of_tasks_that_fail_then(thread_runner, caplog):
    started = threading.Event()

    async def fail():
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    async def background():
        return asyncio.create_task(fail())

    task = wait(thread_runner, background(), PATIENCE_S)
    assert started.wait(PATIENCE_S)
    thread_runner.close()
    assert isinstance(task.exception(), ZeroDivisionError)
    assert "a task failed while the proxy closed" in caplog.text


def test_tasks_that_interrupt_cannot_keep_the_loop_open(thread_runner):
    async def rude():
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyboardInterrupt

    async def background():
        tasks = [asyncio.create_task(rude()) for _ in range(3)]
        await asyncio.sleep(0)
        return tasks

    tasks = wait(thread_runner, background(), PATIENCE_S)
    thread_runner.close()
    assert thread_runner.loop.is_closed()
    assert all(isinstance(task.exception(), KeyboardInterrupt) for task in tasks)


def test_close_from_two_threads(thread_runner):
    closers = [daemon(thread_runner.close, "closer") for _ in range(4)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(PATIENCE_S)
    assert thread_runner.loop.is_closed()


def test_a_thread_stuck_in_a_handler_is_left_behind(thread_runner, caplog):
    entered, gate = threading.Event(), threading.Event()
    thread_runner.call(lambda: (entered.set(), gate.wait(PATIENCE_S)))
    assert entered.wait(PATIENCE_S)
    thread_runner.close(timeout_s=-0.9)  # no time but the slack
    assert "stuck in a handler" in caplog.text
    gate.set()
    thread_runner.close()
    assert thread_runner.loop.is_closed()


def test_closing_while_the_interpreter_ends(thread_runner, monkeypatch):
    """No thread can be started then, and the executor's have ended."""

    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    thread_runner.close()
    assert thread_runner.loop.is_closed()


def test_a_closed_loop_ends_the_thread_when_the_loop_is_closed_under_it():
    loop = ProxyLoop()
    loop.close()
    runner = ThreadRunner()
    runner._serve(loop)  # returns, instead of failing over and over


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_no_part_in_it(thread_runner):
    pid = os.fork()
    if pid == 0:
        fault = 1
        with contextlib.suppress(BaseException):
            with pytest.raises(RuntimeError, match="fork"):
                thread_runner.submit(answer())
            assert thread_runner.loop.is_closed()
            thread_runner.close()
            thread_runner.loop.close()  # as the garbage collector would
            assert not threads()
            fault = 0
        os._exit(fault)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert wait(thread_runner, answer(), PATIENCE_S) == 42


async def test_the_running_loop_is_the_default_and_may_be_given():
    loop = asyncio.get_running_loop()
    assert RunningRunner().loop is loop
    runner = await asyncio.to_thread(RunningRunner, loop)
    assert runner.loop is loop
    assert runner.owns_current_thread()
    assert not await asyncio.to_thread(runner.owns_current_thread)


def test_threads_come_late(thread_runner):
    assert threads() == {"nbproxy"}
    assert sys.getswitchinterval() > 0.001  # nothing here touches it
