"""Many time limits, one timer: on a clock that a test moves."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.engine.deadlines import _GRAIN_S, NEVER, Deadlines


class Timer:
    def __init__(self, when, callback):
        self.when = when
        self.callback = callback
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Clock:
    """The part of a loop that is asked for, with time at the test's will."""

    def __init__(self):
        self.now = 1000.0
        self.made = []

    def time(self):
        return self.now

    def call_at(self, when, callback):
        self.made.append(Timer(when, callback))
        return self.made[-1]

    @property
    def pending(self):
        return [timer for timer in self.made if not timer.cancelled]

    def run(self, until=float("inf")):
        """Move time from timer to timer."""
        for _ in range(10_000):
            if not self.pending or self.pending[0].when > until:
                break
            (timer,) = self.pending
            timer.cancelled = True
            self.now = max(self.now, timer.when)
            timer.callback()
        else:
            raise AssertionError("the timer never ends")
        self.now = max(self.now, until) if until < float("inf") else self.now


class Waiter:
    def __init__(self, clock, deadlines):
        self.clock = clock
        self.deadlines = deadlines
        self.deadline = NEVER
        self.expired = []
        deadlines.add(self)

    def wait(self, seconds):
        self.deadline = self.clock.now + seconds
        if self.deadline < self.deadlines.soonest:
            self.deadlines.watch(self.deadline)

    def expire(self):
        self.expired.append(self.clock.now)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def deadlines(clock):
    return Deadlines(clock)


def test_nobody_waits_and_nothing_ticks(clock, deadlines):
    waiters = [Waiter(clock, deadlines) for _ in range(10)]
    assert clock.made == []
    assert deadlines.soonest == NEVER
    deadlines.close()
    assert not any(waiter.expired for waiter in waiters)


def test_one_timer_for_all(clock, deadlines):
    waiters = [Waiter(clock, deadlines) for _ in range(100)]
    for number, waiter in enumerate(waiters):
        waiter.wait(60 + number)
    assert len(clock.made) == 1
    assert deadlines.soonest == 1060
    clock.run()
    assert [len(waiter.expired) for waiter in waiters] == [1] * 100
    assert clock.pending == []
    assert deadlines.soonest == NEVER


def test_an_earlier_one_moves_the_timer(clock, deadlines):
    late, early = Waiter(clock, deadlines), Waiter(clock, deadlines)
    late.wait(60)
    early.wait(5)
    assert [timer.when for timer in clock.pending] == [1005]
    clock.run()
    assert (early.expired, late.expired) == ([1005], [1060])


def test_waits_that_end_in_time_make_no_timers(clock, deadlines):
    waiter = Waiter(clock, deadlines)
    for _ in range(1000):  # a busy connection
        waiter.wait(60)
        clock.now += 0.01
        waiter.deadline = NEVER
    assert len(clock.made) == 1
    clock.run()
    assert waiter.expired == []
    assert len(clock.made) == 1


def test_a_waiter_that_goes_on_is_looked_at_again(clock, deadlines):
    waiter = Waiter(clock, deadlines)
    waiter.wait(60)
    clock.now += 50
    waiter.wait(60)
    clock.run()
    assert waiter.expired == [1110]
    assert waiter.deadline == NEVER
    waiter.wait(1)
    clock.run()
    assert waiter.expired == [1110, 1111]


def test_a_waiter_that_was_removed_is_left_alone(clock, deadlines):
    stays, goes = Waiter(clock, deadlines), Waiter(clock, deadlines)
    stays.wait(5)
    goes.wait(5)
    deadlines.remove(goes)
    deadlines.remove(goes)
    clock.run()
    assert (len(stays.expired), goes.expired) == (1, [])


def test_waiters_may_come_and_go_while_others_expire(clock, deadlines):
    waiter = Waiter(clock, deadlines)
    new = []

    def expire():
        deadlines.remove(waiter)
        new.append(Waiter(clock, deadlines))
        new[0].wait(1)

    waiter.expire = expire
    waiter.wait(5)
    clock.run()
    assert new[0].expired == [1006]


def test_nearly_the_same_time_is_one_look(clock, deadlines):
    waiters = [Waiter(clock, deadlines) for _ in range(50)]
    for number, waiter in enumerate(waiters):
        waiter.wait(5 + number * _GRAIN_S / 100)
    clock.run()
    assert all(len(waiter.expired) == 1 for waiter in waiters)
    assert len(clock.made) <= 2


def test_closing_forgets_all(clock, deadlines):
    waiter = Waiter(clock, deadlines)
    waiter.wait(5)
    deadlines.close()
    assert clock.pending == []
    assert waiter.expired == []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.data())
def test_everybody_is_told_once_and_about_in_time(seconds, data):
    clock = Clock()
    deadlines = Deadlines(clock)
    waiters = [Waiter(clock, deadlines) for _ in seconds]
    due = {}
    for waiter, wait in zip(waiters, seconds, strict=True):
        clock.run(clock.now + data.draw(st.floats(0, 10)))
        waiter.wait(wait)
        due[waiter] = clock.now + wait
    clock.run()
    for waiter in waiters:
        (at,) = waiter.expired
        assert due[waiter] - _GRAIN_S <= at <= due[waiter] + 2 * _GRAIN_S
    assert len(clock.made) <= 2 * len(seconds)
    assert clock.pending == []


async def test_on_a_real_loop():
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    told = loop.create_future()

    class Late:
        deadline = NEVER

        def expire(self):
            told.set_result(loop.time())

    waiter = Late()
    deadlines.add(waiter)
    waiter.deadline = due = loop.time() + 0.03
    deadlines.watch(due)
    assert await told >= due - _GRAIN_S
    deadlines.close()
