"""A loop for what is called where none runs."""

import asyncio

import pytest

from nbproxy.scripts.loops import call_on_a_loop


def test_tasks_that_are_left_are_cancelled():
    tasks = []
    call_on_a_loop(lambda: tasks.append(asyncio.create_task(asyncio.Event().wait())))
    assert tasks[0].cancelled()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_what_is_raised_comes_out(failure):
    tasks = []

    def call():
        tasks.append(asyncio.create_task(asyncio.Event().wait()))
        raise failure

    with pytest.raises(failure):
        call_on_a_loop(call)
    assert tasks[0].cancelled()


async def test_a_loop_that_runs_is_taken():
    found = []
    call_on_a_loop(lambda: found.append(asyncio.get_running_loop()))
    assert found == [asyncio.get_running_loop()]
