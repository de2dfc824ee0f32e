"""The inspector's thread."""

import threading

import pytest

from nbproxy.notebook.widgets.worker import Rest, Worker, aside
from tests.support.proxies import wait_until


@pytest.fixture
def begin():
    """Starts workers, and ends them."""
    workers = []

    def begin(step=Rest):
        workers.append(Worker("worker-under-test", step))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.close()
    wait_until(
        lambda: not any(t.name == "worker-under-test" for t in threading.enumerate()), "it ends"
    )


def test_jobs_are_done_in_order_on_one_thread(begin):
    worker, seen = begin(), []
    for number in range(5):
        worker.post(lambda number=number: seen.append((number, threading.current_thread().name)))
    wait_until(lambda: len(seen) == 5)
    assert seen == [(number, "worker-under-test") for number in range(5)]


def test_there_is_no_thread_before_there_is_something_to_do(begin):
    begin()
    assert not any(t.name == "worker-under-test" for t in threading.enumerate())


def test_there_is_no_thread_while_nothing_is_to_be_done(begin):
    steps = []

    def step():
        steps.append(threading.current_thread())
        return Rest()

    worker, seen = begin(step), []
    for count in range(1, 4):
        worker.start()
        wait_until(lambda count=count: len(steps) == 2 * count - 1)
        wait_until(lambda: not steps[-1].is_alive())
        worker.post(lambda count=count: seen.append(count))
        wait_until(lambda count=count: len(steps) == 2 * count)
        wait_until(lambda: not steps[-1].is_alive())
    assert seen == [1, 2, 3]


def test_no_job_is_lost_at_the_end_of_a_thread(begin):
    worker, done = begin(), []
    for number in range(2000):
        worker.post(lambda number=number: done.append(number))
        if number % 7 == 0:
            wait_until(lambda number=number: len(done) == number + 1)
    wait_until(lambda: len(done) == 2000)
    assert done == list(range(2000))


def test_steps_follow_jobs_and_their_own_wish(begin):
    steps = []

    def step():
        steps.append(1)
        return Rest(0.001, lightly=False) if len(steps) < 5 else Rest()

    begin(step).start()
    wait_until(lambda: len(steps) == 5)


def test_a_change_between_a_step_and_the_wait_is_not_lost(begin):
    steps = []
    done = threading.Event()

    def step():
        steps.append(1)
        if len(steps) == 1:
            worker.wake()  # as the store does on another thread, before we wait
        else:
            done.set()
        return Rest()

    worker = begin(step)
    worker.start()
    assert done.wait(60)


def test_a_change_ends_a_light_rest(begin):
    steps = []

    def step():
        steps.append(1)
        return Rest(600.0)

    worker = begin(step)
    worker.start()
    for count in range(1, 4):
        wait_until(lambda count=count: len(steps) >= count)
        worker.wake()


def test_changes_do_not_hasten_a_step_that_has_its_time(begin):
    steps = []

    def step():
        steps.append(1)
        return Rest(600.0, lightly=False)

    worker = begin(step)
    worker.start()
    wait_until(lambda: steps)
    for _ in range(1000):
        worker.wake()
    worker.post(lambda: None)  # jobs do
    wait_until(lambda: len(steps) == 2)


def test_what_fails_is_logged_and_the_thread_goes_on(begin, caplog):
    seen = []

    def step():
        if not seen:
            raise OSError("no step")
        seen.append("step")
        return Rest()

    worker = begin(step)
    worker.post(lambda: 1 / 0)
    wait_until(lambda: "no step" in caplog.text)
    worker.post(lambda: seen.append("job"))
    wait_until(lambda: "step" in seen)
    assert "ZeroDivisionError" in caplog.text


def test_closing(begin):
    worker = begin()
    worker.start()
    worker.close()
    worker.close()
    worker.post(lambda: 1 / 0)
    worker.start()


def test_closing_from_a_job(begin):
    worker, done = begin(), threading.Event()
    worker.post(lambda: (worker.close(), done.set()))
    assert done.wait(60)


def test_closing_before_the_first_thing_to_do(begin):
    worker = begin()
    worker.close()
    worker.start()
    assert not any(t.name == "worker-under-test" for t in threading.enumerate())


def test_aside_of_the_worker():
    seen = aside(lambda: threading.current_thread().name, "aside-under-test")
    assert seen.result(60) == "aside-under-test"
    with pytest.raises(ZeroDivisionError):
        aside(lambda: 1 / 0, "aside-under-test").result(60)
