"""The mark, and handlers in threads."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest

from nbproxy.handlers.concurrent import concurrent, is_concurrent
from nbproxy.handlers.handler import Source


def test_it_may_stand_below_and_above(registry):
    @registry.on("request")
    @concurrent
    def below(flow): ...

    @concurrent
    @registry.on("request")
    @registry.on("response")
    def above(flow): ...

    @registry.on("request")
    def plain(flow): ...

    assert [handler.kind for handler in registry] == ["concurrent"] * 3 + ["sync"]


def test_methods_partials_and_builtins(registry):
    class Addon:
        @concurrent
        def request(self, flow): ...

        def response(self, flow): ...

    addon = Addon()
    registry.add_addon(addon, Source("addon", "Addon"))
    registry.on("request")(concurrent(functools.partial(print, "flow")))
    registry.on("request")(concurrent(addon.response))
    registry.on("request")(concurrent(len))
    kinds = [(handler.hook, handler.kind) for handler in registry]
    assert kinds == [
        ("request", "concurrent"),
        ("response", "sync"),
        ("request", "concurrent"),
        ("request", "concurrent"),
        ("request", "concurrent"),
    ]
    assert not is_concurrent(len)


def test_an_unhashable_callable_can_be_marked_first(registry):
    class Handle:
        __hash__ = None

        def __eq__(self, other):
            return self is other

        def __call__(self, flow): ...

    registry.on("request")(concurrent(Handle()))
    assert [handler.kind for handler in registry] == ["concurrent"]


def test_wrong_use_says_so():
    async def f(flow): ...

    with pytest.raises(TypeError, match="leave @concurrent away"):
        concurrent(f)
    with pytest.raises(TypeError, match="goes above a function"):
        concurrent("request")
    with pytest.raises(TypeError, match="goes above a function"):
        concurrent(dict)


async def test_others_go_on_and_each_flow_keeps_its_order(registry, notes):
    log = []
    release = threading.Event()

    @registry.on("request")
    @concurrent
    def hold(flow):
        if flow == "held":
            release.wait(120)
        log.append((flow, 1, threading.current_thread().name.startswith("nbproxy-handler-")))

    @registry.on("request")
    def then(flow):
        log.append((flow, 2, threading.current_thread() is threading.main_thread()))

    held = asyncio.ensure_future(registry.fire("request", "held"))
    await registry.fire("request", "other")
    assert log == [("other", 1, True), ("other", 2, True)]
    release.set()
    await held
    assert log[2:] == [("held", 1, True), ("held", 2, True)]
    assert [handler.calls for handler in registry] == [2, 2]


async def test_a_cancelled_flow_lets_its_thread_end_and_counts_it(registry, notes, until):
    began, release = threading.Event(), threading.Event()

    @registry.on("request")
    @concurrent
    def hold(flow):
        began.set()
        release.wait(120)
        raise ValueError("nobody waits")

    (handler,) = registry
    task = asyncio.ensure_future(registry.fire("request", "flow"))
    await until(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handler.calls == 0
    release.set()
    await until(lambda: handler.calls)
    assert handler.errors == len(notes.errors) == 1


async def test_what_waits_for_a_thread_is_skipped_when_its_flow_has_gone(notes, until):
    from nbproxy.handlers.registry import Registry

    registry = Registry(concurrent_limit=1, reporter=notes)
    log = []
    began, release = threading.Event(), threading.Event()

    @registry.on("request")
    @concurrent
    def hold(flow):
        began.set()
        release.wait(120)
        log.append(flow)

    first = asyncio.ensure_future(registry.fire("request", 1))
    await until(began.is_set)
    second = asyncio.ensure_future(registry.fire("request", 2))
    third = asyncio.ensure_future(registry.fire("request", 3))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    release.set()
    await first
    await third
    assert log == [1, 3]
    registry.close()
