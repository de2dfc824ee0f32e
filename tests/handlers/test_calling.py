"""The call loop: order, contexts, failures, cancellation, statistics, hints."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys

import pytest

from nbproxy.handlers import calling
from nbproxy.handlers.calling import METADATA_KEY
from nbproxy.handlers.concurrent import concurrent
from nbproxy.model.flow import Error
from nbproxy.model.message import Response

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


def the(registry):
    (handler,) = registry
    return handler


async def fired(registry, hook, argument=None):
    waiting = registry.fire(hook, argument)
    if waiting is not None:
        await waiting


@pytest.fixture
def spin(monkeypatch):
    """Takes so many seconds: no time passes but by it."""
    now = [100.0]
    monkeypatch.setattr(calling, "perf_counter", lambda: now[0])

    def spin(seconds):
        now[0] += seconds

    return spin


# -- order


def test_plain_functions_are_done_at_once(registry, flow):
    log = []
    registry.on("response")(log.append)
    registry.on("response")(lambda: log.append("no argument"))
    assert registry.fire("response", flow) is None
    assert log == [flow, "no argument"]


async def test_kinds_are_mixed_in_order(registry, flow):
    log = []
    registry.on("response")(lambda: log.append(1))

    @registry.on("response")
    async def second(flow):
        await asyncio.sleep(0)
        log.append(2)

    registry.on("response")(lambda: log.append(3))

    @registry.on("response")
    @concurrent
    def fourth(flow):
        log.append(4)

    @registry.on("response", "~d nowhere")
    def never(flow):
        log.append("never")

    @registry.on("response")
    async def fifth():
        log.append(5)

    await registry.fire("response", flow)
    assert log == [1, 2, 3, 4, 5]
    assert [handler.calls for handler in registry] == [1, 1, 1, 1, 0, 1]


async def test_an_async_handler_holds_up_only_its_flow(registry):
    log = []
    release = asyncio.Event()

    @registry.on("request")
    async def hold(flow):
        if flow == "held":
            await release.wait()
        log.append(flow)

    held = asyncio.ensure_future(fired(registry, "request", "held"))
    await fired(registry, "request", "other")
    assert log == ["other"]
    release.set()
    await held
    assert log == ["other", "held"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_killed_flow_goes_to_no_further_handler(registry, flow, kind):
    log = []
    if kind == "sync":
        registry.on("request")(lambda flow: flow.kill())
    else:

        @registry.on("request")
        async def kill(flow):
            flow.kill()

    registry.on("request")(lambda: log.append("request"))
    registry.on("error")(lambda: log.append("error"))
    registry.on("error")(lambda: log.append("error too"))
    await fired(registry, "request", flow)
    assert log == []
    await fired(registry, "error", flow)  # it was killed before
    assert log == ["error", "error too"]


def test_an_answer_or_an_error_does_not_end_the_round(registry, flow):
    seen = []

    @registry.on("request")
    def answer(flow):
        flow.response = Response.make(204)
        flow.error = Error("marked by hand")

    registry.on("request")(lambda flow: seen.append(flow.response.status_code))
    registry.fire("request", flow)
    assert seen == [204]


# -- contexts


async def test_each_call_sees_the_context_of_its_registration(registry, flow):
    log = []

    def register():
        VARIABLE.set("defining cell")

        @registry.on("request")
        def plain(flow):
            log.append(VARIABLE.get())
            VARIABLE.set("spoiled")

        @registry.on("request")
        async def waits(flow):
            log.append(VARIABLE.get())
            await asyncio.sleep(0)
            log.append(VARIABLE.get())
            VARIABLE.set("spoiled")
            await asyncio.sleep(0)
            log.append(VARIABLE.get())

        @registry.on("request")
        @concurrent
        def thread(flow):
            log.append(VARIABLE.get())

    contextvars.copy_context().run(register)
    VARIABLE.set("the engine's")
    for _ in range(2):
        await registry.fire("request", flow)
    one = ["defining cell", "defining cell", "defining cell", "spoiled", "defining cell"]
    assert log == one * 2
    assert VARIABLE.get() == "the engine's"


async def test_one_async_handler_runs_many_times_at_once(registry, until):
    waiting = []
    release = asyncio.Event()

    @registry.on("request")
    async def hold(flow):
        waiting.append(flow)
        await release.wait()

    tasks = [asyncio.ensure_future(fired(registry, "request", i)) for i in range(5)]
    await until(lambda: len(waiting) == 5)
    release.set()
    await asyncio.gather(*tasks)
    assert the(registry).calls == 5


async def test_timeouts_and_tasks_work_inside_a_handler(registry, notes, flow):
    log = []

    @registry.on("request")
    async def handler(flow):
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            log.append("timeout")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        log.append(await asyncio.wait_for(asyncio.sleep(0, "value"), 120))
        assert asyncio.current_task() is test

    test = asyncio.current_task()
    await registry.fire("request", flow)
    assert log == ["timeout", "value"]
    assert not notes.errors


# -- failures


def fail_sync(flow):
    raise ValueError("bad\x1b[31m value")


def fail_in_thread(flow):
    fail_sync(flow)


async def fail_async(flow):
    await asyncio.sleep(0)
    raise ValueError("bad\x1b[31m value")


@pytest.mark.parametrize("function", [fail_sync, fail_async, concurrent(fail_in_thread)])
async def test_a_failure_stops_nothing_and_is_told_once(registry, notes, flow, function):
    log = []
    registry.on("request")(function)
    registry.on("request")(lambda: log.append("next"))
    for _ in range(3):
        await fired(registry, "request", flow)
    assert log == ["next"] * 3
    handler = next(iter(registry))
    assert (handler.calls, handler.errors) == (3, 3)
    assert handler.last_error.startswith(r"ValueError: bad\x1b[31m value (test_calling.py:")
    ((told, exc, about, _),) = notes.errors
    assert (told, type(exc), about) == (handler, ValueError, flow)
    assert flow.metadata[METADATA_KEY] == [f"{handler.name}: {handler.last_error}"] * 3


async def test_another_line_or_type_is_told_again_up_to_a_bound(registry, notes):
    @registry.on("clientconnect")
    def fail(number):
        if number == 0:
            raise ValueError("one line")
        if number == 1:
            raise ValueError("another line")
        raise type(f"Made{number}", (Exception,), {})

    for number in (0, 1, 0, 1):
        registry.fire("clientconnect", number)
    assert len(notes.errors) == 2
    assert notes.errors[0][2] is None  # no flow
    for number in range(2, 50):
        registry.fire("clientconnect", number)
    assert len(notes.errors) == 20
    assert the(registry).errors == 52


@pytest.mark.parametrize(
    "exc", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, StopIteration]
)
async def test_not_even_the_odd_exceptions_pass_a_plain_function(registry, notes, flow, exc):
    @registry.on("request")
    def fail(flow):
        raise exc

    assert registry.fire("request", flow) is None
    assert type(notes.errors[0][1]) is exc


@pytest.mark.parametrize("exc", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("steps", [0, 1])
async def test_nor_an_async_one(registry, notes, flow, exc, steps):
    @registry.on("request")
    async def fail(flow):
        for _ in range(steps):
            await asyncio.sleep(0)
        raise exc

    await registry.fire("request", flow)
    assert type(notes.errors[0][1]) is exc


def test_a_full_or_odd_metadata_is_no_obstacle(registry, flow):
    registry.on("request")(fail_sync)
    flow.metadata[METADATA_KEY] = "the user's own"
    registry.fire("request", flow)
    del flow.metadata[METADATA_KEY]
    for _ in range(60):
        registry.fire("request", flow)
    assert len(flow.metadata[METADATA_KEY]) == 50
    assert the(registry).errors == 61


def test_a_failing_reporter_is_logged(registry, flow, caplog):
    class Broken:
        def error(self, handler, exc, flow):
            raise OSError("no front end")

    registry.reporter = Broken()
    registry.on("request")(fail_sync)
    with caplog.at_level(logging.ERROR):
        registry.fire("request", flow)
    assert "no front end" in caplog.text


def test_what_is_reported_runs_under_the_handlers_cell(notebook, registry, notes):
    notebook.run("@on('clientconnect')\ndef f(client):\n    client.no_such_attribute")
    notebook.run("@on('clientconnect')\ndef g(client):\n    return 3", "b")
    registry.fire("clientconnect", object())
    assert [cell for *_, cell in notes.errors] == ["In [1]"]
    assert [cell for *_, cell in notes.hints] == ["In [2]"]


# -- cancellation


async def test_cancelling_the_flow_reaches_the_handler_and_passes(registry, notes, until):
    log = []

    @registry.on("request")
    async def handler(flow):
        log.append("waits")
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cleaned up")

    registry.on("request")(lambda: log.append("not any more"))
    task = asyncio.ensure_future(fired(registry, "request", "flow"))
    await until(lambda: log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["waits", "cleaned up"]
    assert not notes.errors
    assert next(iter(registry)).calls == 1


async def test_a_handler_cannot_swallow_the_cancellation(registry, until):
    log = []

    @registry.on("request")
    async def handler(flow):
        log.append("waits")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("swallowed")

    task = asyncio.ensure_future(fired(registry, "request", "flow"))
    await until(lambda: log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["waits", "swallowed"]


def test_a_loop_that_ends_closes_the_handler(registry, notes):
    log = []

    @registry.on("request")
    async def handler(flow):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.append("closed")

    loop = asyncio.new_event_loop()

    async def main():
        waiting = registry.fire("request", "flow")
        waiting.send(None)
        waiting.close()

    loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert log == ["closed"]
    assert not notes.errors


# -- statistics


async def test_the_statistics_are_of_each_handler(registry, flow, spin):
    spans = iter((1, 2, 4, 8, 16, 32))

    @registry.on("request")
    def plain(flow):
        spin(next(spans))

    @registry.on("request")
    async def waits(flow):
        asyncio.get_running_loop().call_soon(spin, next(spans))
        await asyncio.sleep(0)

    @registry.on("request")
    @concurrent
    def thread(flow):
        spin(next(spans))

    await registry.fire("request", flow)
    await registry.fire("request", flow)
    spent = [(each.worst_s, each.total_s, each.mean_s) for each in registry]
    assert spent == [(8, 9, 4.5), (16, 18, 9), (32, 36, 18)]
    assert [handler.calls for handler in registry] == [2, 2, 2]


# -- hints


def test_a_slow_plain_handler_gets_one_hint(registry, notes, flow, spin):
    registry.hint_slow_s = 0.005
    registry.on("request")(lambda: spin(0.006))
    registry.on("request")(lambda: None)
    for _ in range(3):
        registry.fire("request", flow)
    ((handler, text, _),) = notes.hints
    assert handler.number == 1
    assert "all other traffic stood still" in text
    assert "@nbproxy.concurrent" in text


async def test_an_async_handler_is_slow_only_if_it_does_not_let_go(registry, notes, flow, spin):
    registry.hint_slow_s = 0.005

    @registry.on("request")
    async def good(flow):
        asyncio.get_running_loop().call_soon(spin, 0.01)
        await asyncio.sleep(0)

    @registry.on("request")
    async def bad(flow):
        await asyncio.sleep(0)
        spin(0.006)

    @registry.on("request")
    @concurrent
    def thread(flow):
        spin(0.006)

    await registry.fire("request", flow)
    await registry.fire("request", flow)
    ((handler, text, _),) = notes.hints
    assert handler.function is bad
    assert "await what takes long" in text


def test_no_hint_is_wanted(registry, notes, flow, spin):
    registry.hint_slow_s = 0
    registry.on("request")(lambda: spin(0.002))
    registry.fire("request", flow)
    assert not notes.hints


async def a_coroutine():
    """What a handler returns by mistake."""


def a_generator():
    yield


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (a_coroutine, "make the handler `async def`"),
        (a_generator, "do the work in the handler itself"),
        (lambda: Response.make(204), "flow.response = ..."),
        (lambda: True, "a value of type bool"),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async", "concurrent"])
async def test_a_result_gets_one_hint(registry, notes, flow, make, text, kind):
    if kind == "async":

        async def handler(flow):
            return make()
    else:

        def handler(flow):
            return make()

        if kind == "concurrent":
            handler = concurrent(handler)
    registry.on("request")(handler)
    await fired(registry, "request", flow)
    await fired(registry, "request", flow)
    assert [hint for _, hint, _ in notes.hints if text in hint] == [notes.hints[0][1]]
    assert len(notes.hints) == 1


def test_a_lambda_may_have_a_value(registry, notes, flow):
    registry.on("request")(lambda flow: flow.metadata.setdefault("a", 1))
    registry.fire("request", flow)
    assert not notes.hints


# -- cost


def test_dispatching_to_one_plain_handler_takes_few_calls(registry, flow):
    registry.on("request")(lambda flow: None)
    registry.fire("request", flow)
    calls = []
    sys.setprofile(lambda frame, event, _: calls.append((event, frame.f_code.co_name)))
    try:
        registry.fire("request", flow)
    finally:
        sys.setprofile(None)
    assert sum(event in ("call", "c_call") for event, _ in calls) < 20, calls
