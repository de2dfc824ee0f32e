"""Calls that must come to an end."""

import sys
import threading

import pytest

from nbproxy.scripts.bounded import Bounded
from tests.support.proxies import wait_until

LONG_S = 60.0


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


def test_nothing_more_is_asked_of_one_that_waits_for_something():
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


def test_threads_that_are_traced_go_on_while_a_call_cannot_be_ended():
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
