"""Holding flows: what is held, where, how long, and who gets it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

import nbproxy
from nbproxy import HTTPFlow, Request, Response
from nbproxy.errors import FilterError
from nbproxy.holding import Next
from nbproxy.model.websocket import TEXT, WebSocketData, WebSocketMessage
from tests.support.clients import aside, through, through_async
from tests.support.proxies import answering, last_flow, only_flow, response, wait_until


@pytest.fixture
def origin(make_origin):
    """Answers with what came."""
    return make_origin(answering(lambda m: response(m.method + b" " + m.target + b" " + m.body)))


@pytest.fixture
def client(proxy):
    with through(proxy) as client:
        yield client


def send(client, method, url, **options):
    """Send a request in a thread; what comes back."""
    return aside(lambda: client.request(method, url, **options))


def held(proxy, count=1):
    """What is held, once it is so much."""
    wait_until(lambda: len(proxy.intercepts) == count, f"{count} flows are held")
    return [each.flow for each in proxy.intercepts]


def when_held(proxy, act):
    """Have something done with a flow in the moment it is held, before its time can be up."""

    def look():
        for each in proxy.intercepts:
            act(each.flow)

    proxy.intercepts.subscribe(look)


# -- intercept


def test_a_request_is_held_and_edited(proxy, client, origin):
    rule = proxy.intercept("~m POST", on="request")
    answer = send(client, "POST", f"{origin.url}/x", content="old")
    (flow,) = held(proxy)
    assert (flow.intercepted, flow.live, flow.response) == (True, True, None)
    assert client.get(f"{origin.url}/other").text == "GET /other "  # nobody else is held up
    flow.request.text = "new and longer"
    flow.resume()
    assert answer.result(60).text == "POST /x new and longer"
    assert not flow.intercepted
    assert len(proxy.intercepts) == 0
    assert rule.hits == 1
    assert "1 held so far" in repr(rule)


def test_a_response_is_held_and_edited(proxy, client, origin):
    proxy.intercept("~u /x", on="response")
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    assert flow.response.text == "GET /x "
    flow.response.text = "edited"
    flow.response.status_code = 299
    proxy.intercepts.resume(flow)
    assert (answer.result(60).status_code, answer.result().text) == (299, "edited")


def test_both_by_default(proxy, client, origin):
    proxy.intercept()
    answer = send(client, "GET", f"{origin.url}/x")
    for hook in ("request", "response"):
        wait_until(lambda hook=hook: [each.hook for each in proxy.intercepts] == [hook])
        assert proxy.intercepts.resume_all() == 1
    assert answer.result(60).status_code == 200


def test_what_is_known_of_a_held_flow(proxy, client, origin):
    before = time.time()
    proxy.intercept(on="request", timeout=300)
    answer = send(client, "GET", f"{origin.url}/x?api_key=topsecret12345")
    (flow,) = held(proxy)
    (found,) = proxy.intercepts.held
    assert found.flow is flow
    assert found == (flow, "request", found.since, found.deadline)
    assert before <= found.since <= time.time()
    assert found.deadline == found.since + 300
    assert flow in proxy.intercepts
    assert bool(proxy.intercepts)
    shown = repr(proxy.intercepts)
    assert "1 held, 1 rule" in shown
    assert "at request, " in shown
    assert "topsecret" not in shown
    assert bool(proxy.df.intercepted.iloc[0])
    proxy.intercepts.resume(flow.id)
    answer.result(60)
    wait_until(lambda: not proxy.df.intercepted.iloc[0])


def test_killing(proxy, client, origin):
    proxy.intercept(on="request")
    for kill in (lambda flow: flow.kill(), proxy.intercepts.kill):
        answer = send(client, "GET", f"{origin.url}/x")
        (flow,) = held(proxy)
        kill(flow)
        with pytest.raises(httpx.TransportError):
            answer.result(60)
        wait_until(lambda flow=flow: not flow.live)
        assert flow.error.msg == "killed by a handler"
        assert len(proxy.intercepts) == 0
    assert origin.attempts == 0


@pytest.mark.parametrize("hook", ["request", "response"])
def test_answering(proxy, client, origin, hook):
    proxy.intercept(on=hook)
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    proxy.intercepts.answer(flow, Response.make(418, "mine", {"x-mine": "1"}))
    assert (answer.result(60).status_code, answer.result().text) == (418, "mine")
    assert origin.attempts == (0 if hook == "request" else 1)


def test_a_flow_is_named_by_its_id_in_a_frame(proxy, client, origin):
    proxy.intercept(on="request")
    answer = send(client, "GET", f"{origin.url}/x")
    held(proxy)
    proxy.intercepts.resume(proxy.df.index[0])
    assert answer.result(60).status_code == 200


def test_what_is_not_held_cannot_be_let_go(proxy, client, origin):
    client.get(f"{origin.url}/x")
    flow = only_flow(proxy)
    for act in (proxy.intercepts.resume, proxy.intercepts.kill):
        with pytest.raises(ValueError, match=f"flow {flow.id} is not held; none is"):
            act(flow)
    proxy.intercept(on="request")
    answer = send(client, "GET", f"{origin.url}/y")
    (other,) = held(proxy)
    with pytest.raises(ValueError, match=f"is not held; held are {other.id}"):
        proxy.intercepts.extend(flow, 1)
    with pytest.raises(TypeError, match=r"Response\.make"):
        proxy.intercepts.answer(other, "text")
    with pytest.raises(TypeError, match="'login' is neither a flow nor the id of one"):
        proxy.intercepts.resume("login")
    other.resume()
    answer.result(60)


# -- the end of the time


def test_a_flow_goes_on_unchanged_when_its_time_is_up(proxy, client, origin, capsys):
    edited = []

    def edit(flow):
        flow.request.text = "half edi"
        flow.request.headers["x-a"] = "2"
        flow.request.path = "/elsewhere"
        flow.response = Response.make(500)
        edited.append(flow)

    when_held(proxy, edit)
    proxy.intercept("~m POST", on="request", timeout=0.2)
    answer = client.post(f"{origin.url}/x", content="old", headers={"x-a": "1"})
    assert answer.text == "POST /x old"
    (flow,) = edited
    assert flow.request.headers["x-a"] == "1"
    assert flow.metadata["released"] == "after 0.2 s, unchanged"
    said = capsys.readouterr().err
    assert f"flow {flow.id} (POST to 127.0.0.1) was held at request for 0.2 s" in said
    assert "went on unchanged" in said
    assert "went on unchanged" in proxy.log.entries()[-1].text
    assert len(proxy.intercepts) == 0


def test_so_does_a_response(proxy, client, origin):
    edited = []

    def edit(flow):
        flow.response = Response.make(500, "half")
        edited.append(flow)

    when_held(proxy, edit)
    proxy.intercept(on="response", timeout=0.1)
    assert client.get(f"{origin.url}/x").text == "GET /x "
    assert edited == [last_flow(proxy)]
    assert edited[0].response.status_code == 200


def test_the_option_says_how_long_otherwise(make_proxy, origin):
    proxy = make_proxy(intercept_timeout=0.1)
    proxy.intercept(on="request")
    with through(proxy) as client:
        assert client.get(f"{origin.url}/x").text == "GET /x "
    assert last_flow(proxy).metadata["released"] == "after 0.1 s, unchanged"


def test_more_time(proxy, client, origin):
    extended = []

    def extend(flow):  # once, for watchers are told of it
        if not extended:
            extended.append(flow)
            proxy.intercepts.extend(flow, 500)

    when_held(proxy, extend)
    proxy.intercept(on="request", timeout=0.5)
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    wait_until(lambda: proxy.intercepts.held[0].deadline > time.time() + 200)
    with pytest.raises(TimeoutError):
        answer.result(0.7)
    proxy.intercepts.extend(flow.id, 0.01)
    assert answer.result(60).text == "GET /x "
    assert "released" in flow.metadata


def test_of_several_rules_the_longest_time_counts(proxy, client, origin):
    proxy.intercept(on="request", timeout=0.05)
    proxy.intercept(on="request", timeout=400)
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    assert proxy.intercepts.held[0].deadline > time.time() + 200
    flow.resume()
    answer.result(60)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_there_is_always_a_limit(proxy, timeout):
    with pytest.raises(ValueError, match="no time limit"):
        proxy.intercept(timeout=timeout)


@pytest.mark.parametrize("timeout", ["5", [5], True])
def test_a_limit_is_a_number(proxy, timeout):
    for ask in (
        lambda: proxy.intercept(timeout=timeout),
        lambda: proxy.next(timeout=timeout),
        lambda: proxy.next(hold=timeout),
        lambda: proxy.next_sync(timeout=timeout),
    ):
        with pytest.raises(TypeError, match="no time limit: it takes seconds, as a number"):
            ask()
    assert len(proxy.handlers) == 0


def test_mistakes(proxy):
    with pytest.raises(FilterError):
        proxy.intercept("~c x")
    with pytest.raises(ValueError, match="it takes 'request', 'response'"):
        proxy.intercept(on="error")
    assert len(proxy.handlers) == 0


# -- the end of a rule


def test_taking_a_rule_back_lets_go_what_it_holds(proxy, client, origin):
    with proxy.intercept("~u /x", on="request") as rule:
        answer = send(client, "GET", f"{origin.url}/x")
        held(proxy)
        assert proxy.intercepts.rules == [rule]
    assert answer.result(60).status_code == 200
    assert proxy.intercepts.rules == []
    assert client.get(f"{origin.url}/x").status_code == 200


def test_but_not_what_others_hold_as_well(proxy, client, origin):
    one, _ = proxy.intercept(on="request"), proxy.intercept("~u /x", on="request")
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    one.off()
    with pytest.raises(TimeoutError):
        answer.result(0.1)
    assert flow.intercepted
    assert proxy.intercepts.off() == 1
    assert answer.result(60).status_code == 200


def test_handlers_of_the_hook_have_all_run_before(proxy, client, origin):
    proxy.intercept(on="request")
    order = []
    proxy.on("request")(lambda flow: order.append(flow.intercepted))
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    assert order == [True]
    flow.resume()
    answer.result(60)


def test_a_handler_may_let_go_what_a_rule_wants(proxy, client, origin):
    proxy.intercept(on="request")
    proxy.on("request", "~u /x")(lambda flow: flow.resume())
    assert client.get(f"{origin.url}/x").status_code == 200


# -- handlers that hold


def test_a_handler_holds_with_a_time_of_its_own(proxy, client, origin):
    proxy.on("request", "~u /x")(lambda flow: flow.intercept(timeout=0.1))
    assert client.get(f"{origin.url}/x").status_code == 200
    assert last_flow(proxy).metadata["released"] == "after 0.1 s, unchanged"
    assert "was held at request" in proxy.log.entries()[-1].text


@pytest.mark.parametrize("hook", ["requestheaders", "request", "responseheaders", "response"])
def test_it_is_in_the_queue_too(proxy, client, origin, hook):
    proxy.on(hook)(lambda flow: flow.intercept())
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    (found,) = proxy.intercepts.held
    assert found.hook == hook
    assert found.deadline == found.since + proxy.options.intercept_timeout
    flow.resume()
    answer.result(60)


# -- watching


def test_watchers_are_told(proxy, client, origin):
    told = threading.Event()
    counts = []

    def watch():
        counts.append(len(proxy.intercepts))
        told.set()

    end = proxy.intercepts.subscribe(watch)
    proxy.intercept(on="request")
    answer = send(client, "GET", f"{origin.url}/x")
    assert told.wait(60)
    held(proxy)[0].resume()
    answer.result(60)
    wait_until(lambda: counts == [1, 0])
    end()
    answer = send(client, "GET", f"{origin.url}/x")
    held(proxy)[0].resume()
    answer.result(60)
    assert counts == [1, 0]


def test_one_that_fails_is_told_nothing_more(proxy, client, origin, caplog):
    proxy.intercepts.subscribe(lambda: 1 / 0)
    proxy.intercept(on="request")
    for _ in range(2):
        answer = send(client, "GET", f"{origin.url}/x")
        held(proxy)[0].resume()
        assert answer.result(60).status_code == 200
    assert caplog.text.count("ZeroDivisionError") == 1


# -- clients and servers that go


def test_a_client_that_leaves_is_not_waited_for(proxy, origin, connect):
    proxy.intercept(on="request")
    wire = connect(proxy)
    wire.ask(f"{origin.url}/x")
    (flow,) = held(proxy)
    wire.close()
    wait_until(lambda: not flow.live)
    assert flow.error.msg == "the client disconnected"
    assert len(proxy.intercepts) == 0
    assert "released" not in flow.metadata


def test_stopping_ends_what_is_held(proxy, client, origin):
    proxy.intercept(on="request")
    answer = send(client, "GET", f"{origin.url}/x")
    (flow,) = held(proxy)
    proxy.stop()
    assert len(proxy.intercepts) == 0
    assert not flow.intercepted
    with pytest.raises(httpx.TransportError):
        answer.result(60)


def test_streamed_responses_cannot_be_held(make_proxy, origin, capsys):
    proxy = make_proxy(stream_large_bodies=10)
    proxy.intercept(on="response")
    with through(proxy) as client:
        for _ in range(2):
            assert client.post(f"{origin.url}/x", content="y" * 100).status_code == 200
    wait_until(lambda: not any(flow.live for flow in proxy.flows))
    assert capsys.readouterr().err.count("can no longer be held") == 1


def test_a_streamed_request_is_held_with_its_head(make_proxy, origin):
    proxy = make_proxy(stream_large_bodies=10)
    proxy.intercept(on="request")
    with through(proxy) as client:
        answer = send(client, "POST", f"{origin.url}/x", content="y" * 100)
        (flow,) = held(proxy)
        flow.request.path = "/z"
        flow.resume()
        assert answer.result(60).text == f"POST /z {'y' * 100}"


def test_many_at_once(proxy, origin):
    proxy.intercept("~u /held", on="request")
    with through(proxy, limits=httpx.Limits(max_connections=100)) as client:
        waiting = [send(client, "GET", f"{origin.url}/held/{n}") for n in range(20)]
        flows = held(proxy, 20)
        for flow in flows:
            flow.request.headers["x-seen"] = "1"
        assert client.get(f"{origin.url}/free").status_code == 200
        assert proxy.intercepts.resume_all() == 20
        assert {each.result(60).status_code for each in waiting} == {200}
    assert len(proxy.intercepts) == 0


# -- next


async def test_next_gives_the_flow_held(proxy, origin):
    async with through_async(proxy) as client:
        waiting = proxy.next("~m POST", timeout=60)
        sending = asyncio.create_task(client.post(f"{origin.url}/x", content="old"))
        flow = await waiting
        assert flow.intercepted
        flow.request.text = "new"
        flow.resume()
        assert (await sending).text == "POST /x new"
        assert len(proxy.handlers) == 0


async def test_next_takes_one_flow_only(proxy, origin):
    async with through_async(proxy) as client:
        waiting = proxy.next("~u /x", timeout=60)
        tasks = [asyncio.create_task(client.get(f"{origin.url}/x")) for _ in range(5)]
        flow = await waiting
        pending = set(tasks)
        while len(pending) > 1:
            _, pending = await asyncio.wait(pending, timeout=60, return_when="FIRST_COMPLETED")
        assert len(proxy.intercepts) == 1
        flow.resume()
        assert (await pending.pop()).status_code == 200


async def test_several_that_wait_get_one_each(proxy, origin):
    async with through_async(proxy) as client:
        waiting = [asyncio.ensure_future(proxy.next(timeout=60)) for _ in range(3)]
        tasks = [asyncio.create_task(client.get(f"{origin.url}/{n}")) for n in range(3)]
        flows = await asyncio.gather(*waiting)
        assert {flow.request.path for flow in flows} == {"/0", "/1", "/2"}
        for flow in flows:
            flow.resume()
        await asyncio.gather(*tasks)


async def test_next_at_the_response(proxy, origin):
    async with through_async(proxy) as client:
        waiting = proxy.next("~c 200", on="response", timeout=60)
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        flow = await waiting
        flow.response.text = "changed"
        flow.resume()
        assert (await sending).text == "changed"


async def test_next_with_a_handler_that_takes_its_time(proxy, origin):
    """Two flows match before either is held; only the first to get there is."""

    @proxy.on("request")
    async def slow(flow):
        await asyncio.sleep(0.1)

    async with through_async(proxy) as client:
        waiting = proxy.next(timeout=60)
        tasks = [asyncio.create_task(client.get(f"{origin.url}/{n}")) for n in range(2)]
        flow = await waiting
        done, pending = await asyncio.wait(tasks, timeout=60, return_when="FIRST_COMPLETED")
        assert len(done) == len(pending) == 1
        flow.resume()
        await pending.pop()


async def test_next_beside_intercept(proxy, origin):
    proxy.intercept(on="request")
    async with through_async(proxy) as client:
        waiting = proxy.next(timeout=60)
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        flow = await waiting
        assert flow in proxy.intercepts
        flow.resume()
        await sending


async def test_none_came(proxy):
    with pytest.raises(TimeoutError, match=r"no flow that matches '~m PUT' came to request"):
        await proxy.next("~m PUT", timeout=0.05)
    assert len(proxy.handlers) == 0


async def test_what_is_said_of_it_is_all_that_is_shown(proxy):
    """No errors of the machinery before it, in a traceback."""
    with pytest.raises(TimeoutError) as caught:
        await proxy.next(timeout=0.01)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    with pytest.raises(TimeoutError) as caught:
        proxy.next_sync(timeout=0.01)
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


async def test_cancelling_next(proxy, origin):
    waiting = asyncio.ensure_future(proxy.next())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(proxy.handlers) == 0
    async with through_async(proxy) as client:
        assert (await client.get(f"{origin.url}/x")).status_code == 200


async def test_next_that_is_never_awaited_leaves_nothing(proxy):
    waiting = proxy.next()
    assert len(proxy.handlers) == 2

    def forget():
        nonlocal waiting
        waiting = None
        gc.collect()

    with pytest.warns(RuntimeWarning, match="never awaited"):
        forget()
    assert len(proxy.handlers) == 0


async def test_next_that_is_awaited_comes_before_one_that_is_not(proxy, origin):
    """A cell that forgot `await` is corrected and run again: IPython keeps what it displayed."""
    forgotten = proxy.next("~u /x", timeout=1000)
    told = "<next ~u /x at request, not awaited: flow = await nbproxy.next(...)>"
    assert repr(forgotten) == told
    async with through_async(proxy) as client:
        waiting = asyncio.create_task(proxy.next("~u /x", timeout=60))
        await asyncio.sleep(0)  # it begins to wait
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        (await waiting).resume()
        assert (await sending).status_code == 200
        assert repr(waiting.get_coro()) == "<next ~u /x at request>"
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        (await forgotten).resume()  # not lost, if it is awaited after all
        assert (await sending).status_code == 200
    assert len(proxy.handlers) == 0


async def test_next_that_is_not_awaited_in_its_time_holds_nothing(proxy, origin):
    forgotten = proxy.next("~u /x", timeout=0)
    async with through_async(proxy) as client:
        assert (await client.get(f"{origin.url}/x")).status_code == 200
        assert "released" not in proxy.flows[-1].metadata
    with pytest.raises(TimeoutError):
        await forgotten
    assert len(proxy.handlers) == 0


async def test_next_is_a_coroutine_for_whoever_wants_one(proxy, origin):
    async with through_async(proxy) as client:
        waiting = proxy.next(timeout=60)
        with pytest.raises(KeyError):
            waiting.throw(KeyError())
        async with asyncio.TaskGroup() as group:
            for one in [proxy.next("~u /x", timeout=60), proxy.next("~u /y", timeout=60)]:
                task = group.create_task(one)
                task.add_done_callback(lambda task: task.result().resume())
            await asyncio.sleep(0)
            for path in ("/x", "/y"):
                assert (await client.get(f"{origin.url}{path}")).status_code == 200


async def test_a_flow_that_next_got_and_nobody_resumes(proxy, origin, capsys):
    async with through_async(proxy) as client:
        waiting = proxy.next(timeout=60, hold=0.1)
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        flow = await waiting
        assert (await sending).status_code == 200
        assert flow.metadata["released"] == "after 0.1 s, unchanged"
    assert "nbproxy: next (request, next): flow" in capsys.readouterr().err


async def test_the_proxy_stops_while_somebody_waits(proxy):
    waiting = asyncio.ensure_future(proxy.next())
    await asyncio.sleep(0)
    await asyncio.to_thread(proxy.stop)
    with pytest.raises(RuntimeError, match="was stopped"):
        await waiting


def test_a_proxy_that_is_stopped_has_no_next(make_proxy):
    proxy = make_proxy()
    proxy.stop()
    for wait in (proxy.next, proxy.next_sync):
        with pytest.raises(RuntimeError, match="the proxy is stopped"):
            wait()


async def test_on_the_proxys_own_loop(confdir, origin):
    async with nbproxy.Proxy(port=0, confdir=str(confdir)) as proxy, through_async(proxy) as client:
        waiting = proxy.next("~u /x", timeout=60)
        sending = asyncio.create_task(client.get(f"{origin.url}/x"))
        flow = await waiting
        flow.request.path = "/y"
        flow.resume()
        assert (await sending).text == "GET /y "
        with pytest.raises(TimeoutError):
            await proxy.next(timeout=0.01)
        with pytest.raises(RuntimeError, match=r"use `await nbproxy\.next"):
            proxy.next_sync()


async def test_a_handler_may_await_next(proxy, origin):
    """It holds up its own flow only."""

    @proxy.on("request", "~u /first")
    async def wait_for_another(flow):
        other = await proxy.next("~u /second", timeout=60)
        flow.request.path = "/first-with" + other.request.path
        other.resume()

    async with through_async(proxy) as client:
        first = asyncio.create_task(client.get(f"{origin.url}/first"))
        await asyncio.to_thread(wait_until, lambda: len(proxy.handlers) == 3)
        assert (await client.get(f"{origin.url}/second")).text == "GET /second "
        assert (await first).text == "GET /first-with/second "


def test_next_for_blocking_code(proxy, client, origin):
    answers = []

    def later():
        wait_until(lambda: len(proxy.handlers))
        answers.append(client.post(f"{origin.url}/x", content="old").text)

    work = aside(later)
    flow = proxy.next_sync("~m POST", timeout=60)
    flow.request.text = "new"
    flow.resume()
    work.result(60)
    assert answers == ["POST /x new"]
    assert len(proxy.handlers) == 0


def test_none_came_to_blocking_code(proxy):
    with pytest.raises(TimeoutError, match="has to run elsewhere"):
        proxy.next_sync(timeout=0.05)
    assert len(proxy.handlers) == 0


def test_next_sync_inside_a_handler_says_what_to_do(proxy, client, origin, capsys):
    proxy.on("request")(lambda flow: proxy.next_sync())
    assert client.get(f"{origin.url}/x").status_code == 200
    assert "mark the handler @nbproxy.concurrent" in capsys.readouterr().err


def test_next_sync_in_a_concurrent_handler(proxy, client, origin):
    @proxy.on("request", "~u /first")
    @nbproxy.concurrent
    def wait_for_another(flow):
        proxy.next_sync("~u /second", timeout=60).resume()

    first = send(client, "GET", f"{origin.url}/first")
    wait_until(lambda: len(proxy.handlers) == 3)
    assert client.get(f"{origin.url}/second").status_code == 200
    assert first.result(60).status_code == 200


@pytest.mark.parametrize("call", ["next", "next_sync"])
def test_an_interrupt_at_any_moment_leaves_no_handler(call, tmp_path):
    """In a process of its own: CPython 3.11 is not the same after a tracing function has raised."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.control.interrupts", call, tmp_path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_mistakes_in_next(proxy):
    with pytest.raises(FilterError):
        proxy.next("~c x")
    with pytest.raises(ValueError, match="no time limit"):
        proxy.next_sync(hold=0)
    assert len(proxy.handlers) == 0


# -- a flow that comes at the very end of the waiting


@pytest.fixture
def waiter(proxy):
    """Waits, and has taken a flow which it is about to be handed."""
    waiter = Next(proxy.intercepts, None, "request", None)
    assert waiter.take(None, "request")
    assert not waiter.take(None, "request")  # one only
    yield waiter
    waiter.off()


def test_a_flow_in_the_last_moment_is_given(waiter, proxy):
    flow = HTTPFlow(Request.make("GET", "http://a.test/"))
    threading.Timer(0.1, waiter.took, (flow,)).start()
    assert waiter.wait(proxy.handlers, 0.01) is flow


async def test_also_to_one_who_awaits(waiter, proxy):
    flow = HTTPFlow(Request.make("GET", "http://a.test/"))
    threading.Timer(0.1, waiter.took, (flow,)).start()
    assert await waiter.coroutine(proxy.handlers, 0.01) is flow


async def test_after_cancelling_it_goes_on(waiter, monkeypatch, proxy):
    let_go = []
    monkeypatch.setattr(proxy.intercepts, "let_go", let_go.append)
    waiting = asyncio.ensure_future(waiter.coroutine(proxy.handlers, None))
    await asyncio.sleep(0)
    threading.Timer(0.05, waiter.took, (HTTPFlow(Request.make("GET", "http://a.test/")),)).start()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert let_go == [waiter]


def test_after_an_interrupt_too(waiter, monkeypatch, proxy):
    let_go = []
    monkeypatch.setattr(proxy.intercepts, "let_go", let_go.append)
    threading.Timer(0.05, waiter.took, (HTTPFlow(Request.make("GET", "http://a.test/")),)).start()

    def interrupted(timeout):
        raise KeyboardInterrupt

    monkeypatch.setattr(waiter._found, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        waiter.wait(proxy.handlers, None)
    assert let_go == [waiter]


# -- messages of WebSockets


async def test_a_websocket_message_that_is_held_goes_on_unchanged(proxy, origin):
    """Where a handler holds one; what was changed of it meanwhile is undone."""
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/x"))
    flow.websocket = WebSocketData()
    flow.websocket.messages.append(WebSocketMessage(TEXT, True, b"as it was"))
    flow.intercepted, flow.hold_s = True, 0.05
    held = asyncio.ensure_future(
        proxy.intercepts.hold(flow, "websocket_message", asyncio.get_running_loop().create_future())
    )
    await asyncio.sleep(0)
    message = flow.websocket.messages[0]
    message.content, message.dropped = b"changed", True
    await held
    assert (message.content, message.dropped) == (b"as it was", False)
    assert flow.metadata["released"] == "after 0.05 s, unchanged"
