"""The mounted loop on a plain asyncio host, where each corner can be reached on purpose."""

import asyncio
import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from nbproxy.engine.runner import wait
from nbproxy.notebook import mounted
from nbproxy.notebook.mounted import (
    HURRIED_SWITCH_S,
    MountedRunner,
    TurnSelector,
    is_supported,
    wake_on_signals,
)
from tests.support.proxies import alone, wait_until


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("nbproxy")}


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def leaks_nothing():
    alone()
    before, interval = descriptors(), sys.getswitchinterval()
    yield
    assert not threads()
    assert descriptors() <= before  # those of other tests may go meanwhile
    assert sys.getswitchinterval() == pytest.approx(interval, abs=2e-6)  # it is kept rounded


@pytest.fixture
async def runner(leaks_nothing):
    runner = MountedRunner()
    runner.start()
    yield runner
    runner.close()


class Host:
    """A loop on a thread of its own, which a test can block, stop and close."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def block(self):
        """Get it stuck in a callback; returns what lets it go on."""
        stuck, gate = threading.Event(), threading.Event()

        def cell():
            stuck.set()
            gate.wait(60)

        self.loop.call_soon_threadsafe(cell)
        assert stuck.wait(60)
        return gate.set

    def breathe(self):
        """Return when all that was posted up to now has run."""
        ran = threading.Event()
        self.loop.call_soon_threadsafe(ran.set)
        assert ran.wait(60)

    def stop(self):
        if self.thread.is_alive():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join()

    def close(self):
        self.stop()
        self.loop.close()


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


@pytest.fixture
def hosted(leaks_nothing, host):
    runner = MountedRunner(host.loop)
    runner.start()
    yield runner
    runner.close()
    if not host.loop.is_closed() and host.thread.is_alive():
        host.breathe()  # it takes its hands off our descriptor


async def on_which_thread():
    return threading.get_ident()


async def value(of=42):
    return of


# turns


async def test_an_idle_host_runs_the_child_itself(runner):
    assert await asyncio.wrap_future(runner.submit(on_which_thread())) == threading.get_ident()
    assert runner.stats.turns > 0


async def test_the_hosts_own_state_is_untouched_by_turns(runner):
    host, task = asyncio.get_running_loop(), asyncio.current_task()

    async def child():
        assert asyncio.get_running_loop() is runner.loop
        assert asyncio.current_task() is not task
        await asyncio.sleep(0)
        return asyncio.current_task() is not None

    assert await asyncio.wrap_future(runner.submit(child()))
    assert asyncio.get_running_loop() is host
    assert asyncio.current_task() is task


async def test_sockets_are_served_by_turns(runner):
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.wrap_future(runner.submit(asyncio.start_server(echo, "127.0.0.1", 0)))
    for number in range(20):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"%d\n" % number)
        assert await reader.read() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()
    runner.call(server.close)


async def test_timers_fire_in_their_order_and_cancelled_ones_do_not(runner):
    order, done = [], asyncio.Event()
    host = asyncio.get_running_loop()

    def finish():
        order.append("last")
        host.call_soon_threadsafe(done.set)

    def arm():
        loop = runner.loop
        now = loop.time()
        loop.call_at(now + 0.06, finish)
        loop.call_at(now + 0.04, order.append, "third")
        loop.call_at(now + 0.01, order.append, "cancelled").cancel()
        loop.call_at(now + 0.02, order.append, "second")
        loop.call_soon(order.append, "first")

    runner.call(arm)
    await done.wait()
    assert order == ["first", "second", "third", "last"]


async def test_a_saturated_child_leaves_the_host_time(runner):
    host, rounds, turns = threading.get_ident(), 0, 0
    host_was_here = False

    def again():
        nonlocal rounds
        rounds += threading.get_ident() == host  # not those of a rescue, if the machine pauses
        if not host_was_here:
            runner.loop.call_soon(again)

    runner.call(again)
    while turns < 100 or not rounds:
        await asyncio.sleep(0)
        turns += 1
    host_was_here = True
    assert rounds <= (turns + 10) * mounted.ROUNDS_PER_TURN


async def test_idle_means_no_wake_ups(runner):
    await asyncio.wrap_future(runner.submit(value()))
    watchdog = next(t for t in threading.enumerate() if t.name == "nbproxy-watchdog")
    if sys.platform != "linux":
        return

    def switches():
        status = Path(f"/proc/self/task/{watchdog.native_id}/status").read_text()
        return [line for line in status.splitlines() if "ctxt_switches" in line]

    async def is_idle():
        before, turns = switches(), runner.stats.turns
        await asyncio.sleep(0.3)
        return (switches(), runner.stats.turns) == (before, turns)

    ends_at = time.monotonic() + 60
    while not await is_idle():  # it comes to rest, on a busy machine later
        assert time.monotonic() < ends_at


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_in_a_turn_ends_there(runner, error):
    async def handler():
        raise error

    future = runner.submit(handler())
    with pytest.raises(error):
        # waited for in a thread, as a task of the host would pass the interrupt on
        await asyncio.to_thread(future.exception) is None or future.result()
    assert runner.stats.interrupts == 1
    assert await asyncio.wrap_future(runner.submit(value())) == 42


async def test_a_slow_handler_on_the_hosts_thread_is_counted(runner):
    """Nothing can be rescued there: the loop itself is busy."""
    host, counted, done = threading.get_ident(), [], asyncio.Event()
    tell = asyncio.get_running_loop().call_soon_threadsafe

    def slow():
        if threading.get_ident() != host:  # a machine that pauses made it a rescue
            runner.loop.call_soon(slow)
            return
        before, looks = runner.stats.slow_turns, runner.stats.handler_on_host
        deadline = time.monotonic() + 60
        while runner.stats.handler_on_host < looks + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        counted.append(runner.stats.slow_turns - before)
        tell(done.set)

    runner.call(slow)
    runner.call(int)  # this one waits
    await done.wait()
    assert await asyncio.wrap_future(runner.submit(value())) == 42
    assert counted in ([1], [0])  # 0 if the turn was a slow one before
    assert runner.stats.slow_turns >= 1
    assert runner.stats.handler_on_host >= 3


async def test_debug_mode(leaks_nothing):
    asyncio.get_running_loop().set_debug(True)
    runner = MountedRunner()
    runner.start()
    runner.loop.set_debug(True)
    assert await asyncio.wrap_future(runner.submit(value())) == 42
    assert wait(runner, value(), 60) == 42
    assert await asyncio.wrap_future(runner.submit(value())) == 42
    runner.close()
    asyncio.get_running_loop().set_debug(False)


# rescues


async def test_a_blocked_host_is_rescued_and_gets_the_child_back(runner):
    for _ in range(3):
        assert wait(runner, on_which_thread(), 60) != threading.get_ident()  # blocks this thread
        while await asyncio.wrap_future(runner.submit(on_which_thread())) != threading.get_ident():
            pass
    assert runner.stats.rescues >= 3


def test_a_timer_fires_while_the_host_is_stuck(hosted, host):
    armed, fired = threading.Event(), threading.Event()
    hosted.call(lambda: (hosted.loop.call_later(0.05, fired.set), armed.set()))
    assert armed.wait(60)
    release = host.block()
    assert fired.wait(60)
    release()


def test_a_timer_set_in_a_turn_wakes_the_watchdog(hosted, host):
    """No I/O tells the watchdog of it: it sleeps for good, or for a timer that is later."""
    fired, gate = threading.Event(), threading.Event()

    def turn_and_get_stuck():
        hosted.loop.call_later(0.05, fired.set)
        hosted._mount._turn()
        gate.wait(60)

    hosted._mount._known = -1.0
    while hosted._mount._known == -1.0:  # until the watchdog has gone to sleep anew
        wait(hosted, value(), 60)
        time.sleep(0.03)
    host.breathe()
    host.loop.call_soon_threadsafe(turn_and_get_stuck)
    assert fired.wait(60)
    gate.set()


def test_the_host_looks_away_while_the_watchdog_is_held_up(hosted, host):
    """Else it would run hot on a child that is readable and not its own to run."""
    entered, gate = threading.Event(), threading.Event()
    release = host.block()
    hosted.call(lambda: (entered.set(), gate.wait(60)))
    assert entered.wait(60)
    hosted.call(int)
    release()
    wait_until(lambda: not hosted._mount._reading, "the host looks away")
    turns = hosted.stats.turns
    gate.set()
    wait_until(lambda: hosted.stats.turns > turns and hosted._mount._reading, "it looks again")


def test_work_left_ready_when_the_host_gets_stuck_goes_on(hosted, host):
    """The host is stuck between two turns of a child that has no I/O, only callbacks."""
    steps = []
    done = threading.Event()
    release = host.block()

    async def long():
        for step in range(100):
            steps.append(step)
            await asyncio.sleep(0)
        done.set()

    hosted.submit(long())
    assert done.wait(60)
    release()
    assert steps == list(range(100))


def test_the_switch_interval_is_short_only_while_traffic_flows(hosted, host):
    usual = sys.getswitchinterval()
    release = host.block()
    during = wait(hosted, _interval(), 60)
    deadline = time.monotonic() + 60
    while sys.getswitchinterval() != usual and time.monotonic() < deadline:  # traffic has paused
        time.sleep(0.001)
    assert sys.getswitchinterval() == usual
    again = wait(hosted, _interval(), 60)
    release()
    assert during == again == pytest.approx(HURRIED_SWITCH_S)


async def _interval():
    return sys.getswitchinterval()


def test_an_interval_that_somebody_else_chose_stays(hosted, host):
    usual = sys.getswitchinterval()
    release = host.block()
    try:
        wait(hosted, value(), 60)
        sys.setswitchinterval(0.02)
        release()
        host.breathe()
        hosted.close()
        assert sys.getswitchinterval() == pytest.approx(0.02)
    finally:
        sys.setswitchinterval(usual)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_a_rescue_ends_there(hosted, host, error):
    async def handler():
        raise error

    release = host.block()
    assert isinstance(hosted.submit(handler()).exception(60), error)
    assert wait(hosted, value(), 60) == 42
    assert hosted.stats.interrupts == 1
    release()
    host.breathe()
    assert wait(hosted, value(), 60) == 42


def test_a_loop_that_fails_in_a_rescue_goes_on(hosted, host, caplog, monkeypatch):
    release = host.block()
    failures = [ZeroDivisionError()]
    select = hosted._mount._selector.select

    def failing(timeout=None):
        if failures:
            raise failures.pop()
        return select(timeout)

    monkeypatch.setattr(hosted._mount._selector, "select", failing)
    assert wait(hosted, value(), 60) == 42
    assert "failed in a rescue" in caplog.text
    release()


async def test_a_handler_that_runs_the_host_gets_no_second_turn(runner):
    """As one does after nest_asyncio: the reader of the host comes round inside our turn."""

    async def handler():
        turns = runner.stats.turns
        runner._mount._turn()
        return runner.stats.turns - turns

    assert await asyncio.wrap_future(runner.submit(handler())) == 0


def test_the_child_may_be_stopped_by_a_handler(hosted, host):
    hosted.call(hosted.loop.stop)
    assert wait(hosted, value(), 60) == 42
    release = host.block()
    hosted.call(hosted.loop.stop)
    assert wait(hosted, value(), 60) == 42
    release()


def test_many_hand_overs_lose_nothing(hosted, host):
    """Several clients over one socket server while the host is stuck and free in turn."""

    async def echo(reader, writer):
        try:
            while line := await reader.readline():
                await asyncio.sleep(0)
                writer.write(line)
        finally:
            writer.close()

    server = wait(hosted, asyncio.start_server(echo, "127.0.0.1", 0), 60)
    address = server.sockets[0].getsockname()
    ends, counts, errors = threading.Event(), [0, 0, 0], []

    def client(index):
        try:
            with socket.create_connection(address, 60) as sock, sock.makefile("rwb") as file:
                while not ends.is_set():
                    file.write(b"%d\n" % counts[index])
                    file.flush()
                    assert file.readline() == b"%d\n" % counts[index]
                    counts[index] += 1
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            errors.append(error)

    clients = [threading.Thread(target=client, args=(index,)) for index in range(3)]
    for thread in clients:
        thread.start()
    for _ in range(15):
        rescues = hosted.stats.rescues
        release = host.block()
        deadline = time.monotonic() + 60
        while hosted.stats.rescues == rescues and time.monotonic() < deadline:
            time.sleep(0.002)
        release()
        turns = hosted.stats.turns
        while hosted.stats.turns < turns + 5 and time.monotonic() < deadline:
            time.sleep(0.002)
    ends.set()
    for thread in clients:
        thread.join(60)
    hosted.call(server.close)
    assert not errors
    assert min(counts) > 0
    assert hosted.stats.rescues >= 15


# ends


def test_close_while_the_watchdog_is_at_work(hosted, host):
    release = host.block()
    assert wait(hosted, value(), 60) == 42  # now it waits inside the rescue
    hosted.close()
    assert hosted.loop.is_closed()
    release()


def test_close_before_the_host_ever_looked(leaks_nothing, host):
    release = host.block()
    runner = MountedRunner(host.loop)
    runner.start()
    runner.close()
    release()
    host.breathe()


def test_close_while_a_handler_keeps_the_host(hosted, caplog):
    entered, gate = threading.Event(), threading.Event()
    hosted.call(lambda: (entered.set(), gate.wait(60)))
    assert entered.wait(60)
    hosted.close(timeout_s=-0.9)  # no time but the slack
    assert "keeps the proxy's loop busy" in caplog.text
    assert not hosted.loop.is_closed()
    gate.set()
    hosted.close()
    assert hosted.loop.is_closed()


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_host_that_ends_first(hosted, host, end):
    """At exit: the kernel's loop has stopped, or is closed. The watchdog serves to the last."""
    assert wait(hosted, value(), 60) == 42
    getattr(host, end)()
    assert wait(hosted, value(), 60) == 42
    hosted.close()
    assert hosted.loop.is_closed()


def test_a_host_that_ends_within_a_rescue(hosted, host):
    release = host.block()
    assert wait(hosted, value(), 60) == 42
    host.loop.call_soon_threadsafe(host.loop.stop)
    release()
    host.close()
    assert wait(hosted, value(), 60) == 42


def test_a_host_that_never_runs(leaks_nothing):
    loop = asyncio.new_event_loop()
    runner = MountedRunner(loop)
    runner.start()
    assert wait(runner, value(), 60) == 42
    runner.close()
    loop.close()


async def test_not_started(leaks_nothing):
    runner = MountedRunner()
    assert runner.stats == mounted.MountStats(0, 0, 0, 0, 0)
    with pytest.raises(RuntimeError, match="not been started"):
        _ = runner.loop
    runner.close()
    with pytest.raises(RuntimeError, match="closed"):
        runner.start()


def test_the_host_must_be_known():
    with pytest.raises(RuntimeError, match="no running event loop"):
        MountedRunner()


async def test_two_on_one_host(leaks_nothing):
    first, second = MountedRunner(), MountedRunner()
    first.start()
    second.start()

    async def through():
        return await asyncio.wrap_future(second.submit(value()))

    assert await asyncio.wrap_future(first.submit(through())) == 42
    assert wait(first, through(), 60) == 42  # both rescued
    second.close()
    assert wait(first, value(), 60) == 42
    first.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
async def test_a_forked_child_does_no_harm(runner):
    await asyncio.wrap_future(runner.submit(value()))
    pid = os.fork()
    if pid == 0:
        fault = 1
        with contextlib.suppress(BaseException):
            turns = runner.stats.turns
            runner._mount._turn()
            runner.close()
            runner.loop.close()  # the garbage collector would, and it shares our epoll descriptor
            runner.loop.__del__()
            fault = 0 if runner.stats.turns == turns else 2
        os._exit(fault)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0  # noqa: ASYNC222 - short
    assert await asyncio.wrap_future(runner.submit(value())) == 42
    assert wait(runner, value(), 60) == 42


# platforms


def test_this_platform_is_supported():
    assert is_supported()


def test_selectors_without_a_descriptor_are_not_supported(monkeypatch):
    monkeypatch.setattr(selectors, "DefaultSelector", selectors.SelectSelector)
    assert not is_supported()


def test_the_selector_is_a_plain_one_when_nobody_turns_it():
    with TurnSelector() as selector:
        assert selector.select(0) == []
        assert selector.asked is None


# signals


@pytest.fixture
def bare_signals():
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
    yield
    assert signal.set_wakeup_fd(-1) == -1
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


async def test_a_signal_handlers_call_soon_takes_effect(bare_signals):
    loop = asyncio.get_running_loop()
    undo = wake_on_signals(loop)
    done = loop.create_future()
    # what ipykernel does on SIGINT: a call_soon that by itself wakes nobody
    old = signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon(done.set_result, True))
    try:
        threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1)).start()
        assert await asyncio.wait_for(done, 60)
    finally:
        signal.signal(signal.SIGUSR1, old)
        undo()
        undo()


async def test_a_wakeup_descriptor_of_somebody_else_stays(bare_signals):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        signal.set_wakeup_fd(ours.fileno())
        undo = wake_on_signals(asyncio.get_running_loop())
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        undo()
        assert signal.set_wakeup_fd(-1) == ours.fileno()


async def test_a_signal_in_use_stays(bare_signals):
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    wake_on_signals(asyncio.get_running_loop())()
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)


async def test_a_signal_taken_over_later_stays(bare_signals):
    loop = asyncio.get_running_loop()
    undo = wake_on_signals(loop)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    undo()
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
    loop.remove_signal_handler(signal.SIGUSR2)


async def test_signals_armed_and_undone_from_another_thread(bare_signals):
    loop = asyncio.get_running_loop()
    undo = await asyncio.to_thread(wake_on_signals, loop)
    await asyncio.sleep(0)
    assert signal.getsignal(signal.SIGUSR2) is not signal.SIG_DFL
    await asyncio.to_thread(undo)
    await asyncio.sleep(0)


def test_signals_of_a_closed_loop(bare_signals):
    loop = asyncio.new_event_loop()
    undo = wake_on_signals(loop)
    loop.close()  # which disarms it
    undo()
    wake_on_signals(loop)()
