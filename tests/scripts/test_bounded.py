"""Calls that must come to an end."""

import sys
import threading

import pytest

from nbproxy.scripts import bounded as module
from nbproxy.scripts.bounded import Bounded
from tests.support.proxies import wait_until

LONG_S = 60.0


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What can be interrupted has time to end, however slow the machine is."""
    monkeypatch.setattr(module, "_GRACE_S", LONG_S)


@pytest.fixture
def impatient(monkeypatch, patient):
    """What cannot be interrupted is not waited for."""
    monkeypatch.setattr(module, "_GRACE_S", 0.05)


def forever():
    while True:
        pass


def test_what_is_returned_and_what_is_raised():
    bounded = Bounded("test")
    assert bounded.call(lambda: 7, LONG_S) == (7, None)
    value, failure = bounded.call(lambda: 1 / 0, LONG_S)
    assert value is None
    assert isinstance(failure, ZeroDivisionError)
    _, failure = bounded.call(lambda: exec("raise SystemExit(3)"), LONG_S)
    assert isinstance(failure, SystemExit)


def test_it_runs_in_a_thread_of_that_name():
    name, _ = Bounded("a view").call(lambda: threading.current_thread().name, LONG_S)
    assert name == "a view"


def test_a_loop_without_end_is_ended():
    bounded = Bounded("endless")
    with pytest.raises(TimeoutError):
        bounded.call(forever, 0.05)
    wait_until(lambda: all(thread.name != "endless" for thread in threading.enumerate()))
    assert bounded.call(lambda: 7, LONG_S) == (7, None)


def test_nothing_more_is_asked_of_one_that_waits_for_something(impatient):
    bounded, gate = Bounded("waiting"), threading.Event()
    with pytest.raises(TimeoutError):
        bounded.call(gate.wait, 0.05)
    asked = []
    with pytest.raises(TimeoutError):
        bounded.call(lambda: asked.append(1), LONG_S)
    assert asked == []
    gate.set()
    wait_until(lambda: all(thread.name != "waiting" for thread in threading.enumerate()))
    assert bounded.call(lambda: 7, LONG_S) == (7, None)


def test_one_at_a_time():
    bounded, begun, gate = Bounded("one"), threading.Event(), threading.Event()
    first = threading.Thread(
        target=lambda: bounded.call(lambda: (begun.set(), gate.wait(LONG_S)), LONG_S)
    )
    first.start()
    assert begun.wait(LONG_S)
    with pytest.raises(TimeoutError):
        bounded.call(lambda: 7, 0.05)
    gate.set()
    first.join(LONG_S)
    assert bounded.call(lambda: 7, LONG_S) == (7, None)


@pytest.mark.parametrize("late", ["to begin", "to end"])
def test_no_exception_strikes_a_thread_outside_of_the_call(impatient, monkeypatch, late):
    """It would be the thread's own end, told on standard error; pytest takes it for a failure."""
    bounded, gate, called = Bounded("late"), threading.Event(), []

    class Late(threading.Thread):
        def run(self):
            if late == "to end":
                super().run()
            while not gate.is_set():
                pass
            if late == "to begin":
                super().run()

    with monkeypatch.context() as patch:
        patch.setattr(module.threading, "Thread", Late)
        with pytest.raises(TimeoutError):
            bounded.call(lambda: called.append(1), 0.05)
    gate.set()
    wait_until(lambda: all(thread.name != "late" for thread in threading.enumerate()))
    assert called == ([1] if late == "to end" else [])
    assert bounded.call(lambda: 7, LONG_S) == (7, None)


def test_threads_that_are_traced_go_on_while_a_call_cannot_be_ended(impatient):
    bounded, gate, done = Bounded("traced"), threading.Event(), []

    def traced():
        sys.settrace(lambda *_: None)  # as a debugger does; it ends with the thread
        with pytest.raises(TimeoutError):
            bounded.call(gate.wait, 0.05)
        done.append(1)

    thread = threading.Thread(target=traced, daemon=True)
    thread.start()
    thread.join(LONG_S)
    gate.set()
    assert done == [1]
