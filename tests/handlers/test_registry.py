"""Registering, looking up, removing."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest

from nbproxy.errors import FilterError
from nbproxy.handlers.handler import Source
from nbproxy.handlers.registry import Registry

SCRIPT = Source("script", "add_header.py", "add_header.py")


def test_on_gives_the_function_back_and_takes_aliases(registry):
    def f(client): ...

    assert registry.on("client_connected")(f) is f
    assert [(h.hook, h.function, h.kind) for h in registry] == [("clientconnect", f, "sync")]
    assert "clientconnect" in registry.active
    assert "client_connected" not in registry.active


def test_wrong_names_and_filters_are_told_where_they_are_written(registry):
    with pytest.raises(ValueError, match="did you mean 'response'"):
        registry.on("respones")
    with pytest.raises(FilterError):
        registry.on("response", "~d")
    with pytest.raises(ValueError, match="not about a flow"):
        registry.on("clientconnect", "~d a")
    with pytest.raises(TypeError, match="not 3"):
        registry.on("response", 3)
    with pytest.raises(TypeError, match="not None"):
        registry.on(None)
    assert len(registry) == 0


def test_on_without_parentheses_says_what_to_write(registry):
    with pytest.raises(TypeError, match=r'write @nbproxy.on\("response"\) above stamp'):

        @registry.on
        def stamp(flow): ...

    with pytest.raises(TypeError, match=r'write @nbproxy.on\("clientconnect"\)'):

        @registry.on
        def client_connected(client): ...


def test_a_filters_warning_points_at_the_users_line(registry):
    with pytest.warns(UserWarning, match="the operator is a single") as caught:
        registry.on("response", "~d a || ~d b")
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.on("response", "~d a | ~d b")


def test_filters_choose_the_flows_at_the_time_of_the_call(registry, flow):
    log = []
    registry.on("request", "~d example.org")(lambda flow: setattr(flow.request, "host", "b.org"))
    registry.on("request", "~d example.org")(lambda: log.append("example.org"))
    registry.on("request", "~d b.org")(lambda: log.append("b.org"))
    registry.fire("request", flow)
    assert log == ["b.org"]
    assert [handler.calls for handler in registry] == [1, 0, 1]


def test_stacked_decorators_are_several_handlers_and_doubled_ones_one(registry):
    @registry.on("request")
    @registry.on("response")
    @registry.on("response", "~d a")
    @registry.on("response", "~d  a")
    def f(flow): ...

    assert [(h.hook, str(h.filter)) for h in registry] == [
        ("response", "~d  a"),
        ("response", "None"),
        ("request", "None"),
    ]


@pytest.fixture
def three(registry):
    def f(flow): ...
    def response(flow): ...

    registry.on("request")(f)
    registry.on("response")(f)
    registry.on("request")(response)
    return f


def test_off_by_function_number_handler_and_names(registry, three):
    def numbers():
        return [handler.number for handler in registry]

    assert registry.off(2) == 1
    assert numbers() == [1, 3]
    registry.on("response")(three)
    assert registry.off("response") == 1  # a hook's name comes first
    assert registry.off("response") == 1
    assert numbers() == [1]
    assert registry.off(next(iter(registry))) == 1
    registry.on("response")(three)
    registry.on("request")(three)
    assert registry.off("f") == 2
    registry.on("client_connected")(three)
    assert registry.off("client_connected") == 1
    registry.on("response")(three)
    assert registry.off(three) == 1
    assert registry.off() == 0
    assert not list(registry)
    assert "response" not in registry.active


@pytest.mark.parametrize("what", [99, "nothing", print, None, []])
def test_off_of_what_is_not_there_lists_what_is(registry, three, what):
    with pytest.raises(ValueError, match=r"there are 1: .*f \(request\), 2: "):
        registry.off(what)
    registry.off()
    with pytest.raises(ValueError, match="there are none"):
        registry.off(what)


def test_names_and_nothing_leave_addons_alone(registry, three):
    added = registry.add("request", three, source=SCRIPT)
    assert registry.off("request") == 2
    assert registry.off() == 1
    assert list(registry) == [added]
    assert registry.off(added.number) == 1


def test_methods_named_like_hooks_make_an_addon(registry, flow):
    class Addon:
        error = OSError  # as a module that did `from socket import error`
        done = True

        def __init__(self):
            self.log = []

        def request(self, flow):
            self.log.append("request")

        def client_connected(self, client):
            self.log.append("modern")

        def server_connect(self, data):
            self.log.append("wrong one")

        def serverconnect(self, data):
            self.log.append("ours")

    addon = Addon()
    source = Source("addon", "Addon", 1)
    registry.on("request")(lambda: addon.log.append("before"))
    handlers = registry.add_addon(addon, source)
    registry.on("request")(lambda: addon.log.append("after"))
    assert [h.hook for h in handlers] == ["clientconnect", "serverconnect", "request"]
    for hook in ("clientconnect", "serverconnect", "request"):
        registry.fire(hook, flow)
    assert addon.log == ["modern", "ours", "before", "request", "after"]
    assert registry.remove(Source("addon", "Addon", 2)) == 0
    assert registry.remove(source) == 3
    assert len(registry) == 2


def test_an_addon_is_registered_whole_or_not_at_all(registry):
    class Addon:
        def request(self, flow): ...
        def response(self, flow, context): ...

    with pytest.raises(TypeError, match="cannot handle 'response'"):
        registry.add_addon(Addon(), SCRIPT)
    assert len(registry) == 0


def test_add_takes_the_same_function_twice_and_compiled_filters(registry, three):
    registry.off()
    condition = registry.add("request", three, filter="~d a", source=SCRIPT).filter
    assert registry.add("request", three, filter=condition, source=SCRIPT).filter is condition
    assert registry.add("request", three, concurrent=True, source=SCRIPT).kind == "concurrent"
    registry.on("request", "~d a")(three)  # the script's are not the user's
    assert len(registry) == 4


def test_hooks_without_argument_and_unheard_ones(registry):
    log = []
    registry.on("running")(lambda: log.append("running"))
    registry.on("done")(lambda *args: log.append(args))
    assert registry.fire("running") is None
    assert registry.fire("done") is None
    assert registry.fire("response") is None
    assert log == ["running", ()]


def test_a_handler_of_done_is_called_when_it_is_removed_or_replaced(notebook, registry):
    notebook.run("on('done')(lambda: log.append(1))")
    notebook.run("on('done')(lambda: log.append(2))")
    assert notebook.log == [1]
    notebook.run("pass")
    assert notebook.log == [1, 2]
    registry.add("done", lambda: notebook.log.append(3), source=SCRIPT)
    registry.remove(SCRIPT)
    assert notebook.log == [1, 2, 3]


def test_an_async_handler_of_done_runs_without_a_loop(registry):
    log = []

    @registry.on("done")
    async def last():
        await asyncio.sleep(0)
        log.append("done")

    registry.off(last)
    assert log == ["done"]


async def test_an_async_handler_of_done_runs_on_the_loop_at_hand(registry):
    ended = asyncio.Event()

    @registry.on("done")
    async def last():
        ended.set()

    registry.off(last)
    await asyncio.wait_for(ended.wait(), 120)
    scheduled = []
    registry.schedule = scheduled.append
    registry.on("done")(last)
    registry.off(last)
    assert len(scheduled) == 1
    ended.clear()
    await scheduled[0]
    assert ended.is_set()


def test_a_hook_fires_over_a_snapshot(registry, flow):
    log = []

    @registry.on("request")
    def first(flow):
        log.append("first")
        registry.off()
        registry.on("request")(lambda: log.append("new"))

    registry.on("request")(lambda: log.append("second"))
    registry.fire("request", flow)
    assert log == ["first", "second"]
    registry.fire("request", flow)
    assert log == ["first", "second", "new"]


def test_cells_may_register_while_another_thread_fires(registry, flow):
    calls = []
    stop = threading.Event()

    def fire():
        while not stop.is_set():
            registry.fire("request", flow)

    thread = threading.Thread(target=fire)
    thread.start()
    try:
        for _ in range(300):
            functions = [lambda flow, i=i: calls.append(i) for i in range(3)]
            for function in functions:
                registry.on("request")(function)
            for function in functions:
                registry.off(function)
    finally:
        stop.set()
        thread.join()
    assert len(registry) == 0
    assert not registry.active


def test_an_empty_registry_is_still_true():
    assert Registry()
    assert len(Registry()) == 0


def test_settings_reach_the_caller(registry, notes, flow):
    assert registry.reporter is notes
    assert registry.guard is None
    assert Registry().hint_slow_s == 0.1
    assert registry.hint_slow_s == 0
    registry.hint_slow_s = 1e-9
    other = type(notes)()
    registry.reporter = other
    registry.on("request")(lambda: None)
    registry.fire("request", flow)
    assert len(other.hints) == 1
    assert not notes.hints
