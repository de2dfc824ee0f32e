"""Sending recorded requests again: one with changes, many with variations."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time

import pytest

import nbproxy
from nbproxy import HTTPFlow, Proxy, Request, Response, _current
from nbproxy.model.record import attributes
from nbproxy.replaying import Variation, changed
from nbproxy.scripts import progress
from tests.support.clients import through
from tests.support.proxies import answering, last_flow, only_flow, response, wait_until

HOLDS_ITSELF = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


@pytest.fixture
def origin(make_origin):
    """Says what came, as JSON."""

    def answer(message):
        return response(
            json.dumps(
                {
                    "method": message.method.decode(),
                    "path": message.target.decode(),
                    "fields": [[n.decode().lower(), v.decode()] for n, v in message.fields],
                    "body": message.body.decode(),
                }
            ).encode()
        )

    return make_origin(answering(answer))


@pytest.fixture
def thinker(make_origin):
    """A server that never answers: its requests so far, as `asked`, and where it is."""
    end = threading.Event()
    asked = []

    def answer(message):
        asked.append(message)
        end.wait(60)
        return response()

    origin = make_origin(answering(answer))
    origin.asked = asked
    yield origin
    end.set()


def seen(flow):
    """What the server saw of a request."""
    found = flow.response.json()
    fields = {}
    for name, value in found["fields"]:
        fields.setdefault(name, []).append(value)
    return {**found, "fields": fields}


@pytest.fixture
def flow(proxy, origin):
    """A recorded request with a JSON body."""
    with through(proxy) as client:
        client.post(
            f"{origin.url}/api?page=1&lang=de",
            json={"user": {"id": 1, "tags": ["a"]}, "q": "x"},
            headers={"x-token": "t", "cookie": "a=1"},
        )
    return only_flow(proxy)


# -- what becomes of a request


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"method": "PUT"}, {"method": "PUT"}),
        ({"url": "/other?x"}, {"path": "/other?x"}),
        ({"params": {"page": 2}}, {"path": "/api?page=2&lang=de"}),
        ({"params": {"page": None}}, {"path": "/api?lang=de"}),
        ({"params": {"page": [2, 3]}}, {"path": "/api?page=2&page=3&lang=de"}),
        ({"params": {"new": "ä b"}}, {"path": "/api?page=1&lang=de&new=%C3%A4+b"}),
        ({"json": {"a": [1]}}, {"body": '{"a": [1]}'}),
        ({"json": None}, {"body": "null"}),
        ({"text": "plain"}, {"body": "plain"}),
        ({"content": b""}, {"body": ""}),
        ({"data": {"a": "1 2", "b": ["x", "y"]}}, {"body": "a=1+2&b=x&b=y"}),
    ],
)
async def test_changes(proxy, flow, changes, expected):
    before = flow.request.copy()
    new = await flow.replay(**changes)
    found = seen(new)
    untouched = {"method": "POST", "path": "/api?page=1&lang=de", "body": before.text}
    assert {name: found[name] for name in untouched} == {**untouched, **expected}
    assert found["fields"]["content-length"] == [str(len(found["body"].encode()))]
    assert attributes(flow.request).keys() == attributes(before).keys()
    assert flow.request.headers == before.headers
    assert flow.request.path == before.path
    assert flow.request.content == before.content


async def test_headers(flow):
    new = await flow.replay(headers={"X-Token": None, "x-new": "1", "cookie": ["b=1", "c=1"]})
    fields = seen(new)["fields"]
    assert "x-token" not in fields
    assert fields["x-new"] == ["1"]
    assert fields["cookie"] == ["b=1", "c=1"]


async def test_content_types_follow(flow):
    form = await flow.replay(data={"a": 1})
    assert seen(form)["fields"]["content-type"] == ["application/x-www-form-urlencoded"]
    again = await form.replay(data={"b": 2})
    assert seen(again)["body"] == "a=1&b=2"
    back = await again.replay(json=[])
    assert seen(back)["fields"]["content-type"] == ["application/json"]
    kept = await back.replay(json=1, headers={"content-type": "application/x.json"})
    assert seen(kept)["fields"]["content-type"] == ["application/x.json"]


async def test_to_another_server(proxy, flow, make_origin):
    other = make_origin(answering(lambda m: response(m[b"host"] + m.target)), tls=True)
    new = await flow.replay(url=f"{other.url}/z", method="GET", content=b"")
    assert new.response.text == f"127.0.0.1:{other.port}/z"
    assert new.request.scheme == "https"


async def test_the_new_flow(proxy, flow):
    new = await flow.replay()
    assert new is last_flow(proxy)
    assert new.id != flow.id
    assert new.metadata == {"replayed_from": flow.id}
    assert new.is_replay == "request"
    assert flow.is_replay is None
    assert new.duration is not None
    assert not new.live
    assert len(proxy.flows) == 2
    assert proxy.df.status.tolist() == [200, 200]
    again = await new.replay()
    assert again.metadata["replayed_from"] == new.id


async def test_it_goes_through_the_handlers(proxy, flow):
    order = []
    for hook in ("requestheaders", "request", "responseheaders", "response", "error"):
        proxy.on(hook)(lambda flow, hook=hook: order.append((hook, flow.is_replay, flow.live)))

    @proxy.on("response")
    async def change(flow):
        await asyncio.sleep(0)
        flow.response.headers["x-seen"] = "1"

    new = await flow.replay()
    assert new.response.headers["x-seen"] == "1"
    assert order == [
        (hook, "request", True)
        for hook in ("requestheaders", "request", "responseheaders", "response")
    ]


async def test_rules_apply_to_it(proxy, flow):
    with proxy.block("~replayq", 418):
        assert (await flow.replay()).response.status_code == 418
    with proxy.replay_server(flow, strict=True):
        new = await flow.replay()
    assert new.is_replay == "response"
    assert new.metadata["replayed_from"] == flow.id


async def test_it_can_be_held_and_changed(proxy, flow):
    waiting = proxy.next("~replayq", timeout=60)
    sending = asyncio.ensure_future(flow.replay())
    held = await waiting
    held.request.path = "/edited"
    held.resume()
    assert seen(await sending)["path"] == "/edited"
    proxy.intercept("~replayq", on="request", timeout=0.05)
    assert (await flow.replay()).metadata["released"] == "after 0.05 s, unchanged"


async def test_it_can_be_killed(proxy, flow):
    errors = []
    proxy.on("error")(errors.append)
    handler = proxy.on("request", "~replayq")(lambda flow: flow.kill())
    new = await flow.replay()
    assert (new.response, new.error.msg) == (None, "killed by a handler")
    assert errors == [new]
    proxy.off(handler)
    proxy.on("response", "~replayq")(lambda flow: flow.kill())
    assert (await flow.replay()).error.msg == "killed by a handler"


async def test_killed_while_it_connects(proxy, make_origin):
    requests = []
    origin = make_origin(lambda wire: requests.append(wire.message()))
    proxy.on("server_connect")(lambda server: proxy.flows[-1].kill())
    new = await HTTPFlow(Request.make("GET", origin.url)).replay(proxy=proxy)
    assert (new.response, new.error.msg) == (None, "killed by a handler")
    assert new.server_conn.timestamp_end
    origin.close()
    assert not any(requests)


async def test_killed_while_the_server_thinks(proxy, thinker):
    flow = HTTPFlow(Request.make("GET", thinker.url))
    sending = asyncio.ensure_future(flow.replay(proxy=proxy))
    await asyncio.to_thread(wait_until, lambda: thinker.asked)
    proxy.flows[-1].kill()
    assert (await sending).error.msg == "killed by a handler"


async def test_cancelling(proxy, thinker):
    flow = HTTPFlow(Request.make("GET", thinker.url))
    sending = asyncio.ensure_future(flow.replay(proxy=proxy))
    await asyncio.to_thread(wait_until, lambda: thinker.asked)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert only_flow(proxy).error.msg == "the replay was cancelled"


async def test_a_server_that_is_not_there(proxy, flow, origin):
    origin.close()
    new = await flow.replay()
    assert new.response is None
    assert new.error.msg


async def test_the_proxys_own_pages(proxy):
    flow = HTTPFlow(Request.make("GET", "http://mitm.it/"))
    assert "certificate" in (await flow.replay(proxy=proxy)).response.text


async def test_a_request_without_a_host_field(proxy, origin):
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/x"))
    flow.request.headers = {"accept": "*/*"}
    new = await flow.replay(proxy=proxy)
    assert seen(new)["fields"]["host"] == [f"127.0.0.1:{origin.port}"]


async def test_a_request_that_came_otherwise(proxy, origin):
    """In HTTP/2, or in the form that proxies get: it is sent as HTTP/1.1 to the origin."""
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/x"))
    flow.request.headers = {"accept": "*/*"}
    flow.request.http_version, flow.request.authority = "HTTP/2.0", "named.test"
    new = await flow.replay(proxy=proxy)
    assert seen(new)["fields"]["host"] == ["named.test"]
    assert (new.request.http_version, new.request.authority) == ("HTTP/1.1", "")
    assert flow.request.authority == "named.test"


# -- from where it is called


def test_for_blocking_code(flow):
    assert seen(flow.replay_sync(params={"page": 3}))["path"] == "/api?page=3&lang=de"


async def test_on_the_proxys_own_loop(confdir, origin):
    async with nbproxy.Proxy(port=0, confdir=str(confdir)) as proxy:
        flow = HTTPFlow(Request.make("GET", f"{origin.url}/x"))
        new = await flow.replay(proxy=proxy)
        assert seen(await new.replay(url="/y"))["path"] == "/y"
        with pytest.raises(RuntimeError, match="on the proxy's own event loop"):
            new.replay_sync()
        frame = await proxy.flows.replay({"n": [1, 2]}, url="/z")
        assert frame.status.tolist() == [200] * 4


async def test_in_a_handler(proxy, flow):
    """A handler may send others again, which is not sent again."""

    @proxy.on("response", "!~replayq")
    async def once_more(flow):
        again = await flow.replay(headers={"x-again": "1"})
        flow.response.headers["x-second"] = str(again.response.status_code)

    with through(proxy) as client:
        answer = await asyncio.to_thread(client.get, flow.request.url)
    assert answer.headers["x-second"] == "200"
    assert len(proxy.flows) == 3


def test_flows_of_files_need_a_proxy(proxy, flow, tmp_path, monkeypatch):
    path = tmp_path / "x.mitm"
    proxy.flows.save(path)
    (saved,) = nbproxy.open(path)
    monkeypatch.setattr(_current, "_proxy", None)
    for attempt in (saved.replay_sync, nbproxy.open(path).replay_sync):
        with pytest.raises(RuntimeError, match=r"no proxy is running .* nbproxy\.start\(\)"):
            attempt()
    assert seen(saved.replay_sync(proxy=proxy))["method"] == "POST"
    monkeypatch.setattr(_current, "_proxy", proxy)
    assert seen(saved.replay_sync())["method"] == "POST"
    assert nbproxy.open(path).replay_sync().status.tolist() == [200]
    proxy.stop()
    with pytest.raises(RuntimeError, match="no proxy is running"):
        saved.replay_sync()
    with pytest.raises(RuntimeError, match="is stopped"):
        proxy.resend(saved)


async def test_the_proxy_stops_meanwhile(proxy, thinker):
    flow = HTTPFlow(Request.make("GET", thinker.url))
    sending = asyncio.ensure_future(flow.replay(proxy=proxy))
    await asyncio.to_thread(wait_until, lambda: thinker.asked)
    await asyncio.to_thread(proxy.stop)
    assert (await sending).error is not None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"json": 1, "text": "x"}, "one body, not json, text"),
        ({"url": "ftp://a.test/"}, "scheme"),
        ({"method": "G T"}, "not a method"),
        ({"method": "CONNECT"}, "tunnel"),
        ({"headers": {"a": "1\n"}}, "control character"),
        ({"json": float("nan")}, "json = nan: JSON has no NaN and no infinity; .* text= sends"),
        ({"json": {"a": [-math.inf]}}, "JSON has no NaN and no infinity"),
        ({"json": HOLDS_ITSELF}, "Circular"),
    ],
)
def test_what_cannot_be_sent(proxy, flow, changes, wanted):
    with pytest.raises(ValueError, match=wanted):
        flow.replay_sync(**changes)
    assert len(proxy.flows) == 1


def test_a_request_whose_body_was_not_kept(proxy):
    flow = HTTPFlow(Request.make("POST", "http://a.test/"))
    flow.request.raw_content = None
    with pytest.raises(ValueError, match="recorded without its body: give content="):
        flow.replay_sync(proxy=proxy)


def test_unknown_changes(flow, flows):
    with pytest.raises(TypeError, match=r"takes no 'body_'; it takes method, url, .* proxy$"):
        flow.replay_sync(body_="x")
    with pytest.raises(TypeError, match=r"replay takes no 'varry'; it takes .* vary, concurrency"):
        flows.replay_sync(varry={"page": [1]})


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"headers": ["a"]}, r"headers = \['a'\]: it takes a dict"),
        ({"params": "a=b"}, "params = 'a=b': it takes a dict"),
        ({"data": b"a=b"}, "data = b'a=b': it takes a dict"),
        ({"url": 5}, "url = 5: it takes a str"),
        ({"method": 5}, "method = 5: it takes a str"),
        ({"text": b"x"}, "text = b'x': it takes a str"),
        ({"content": "x"}, "a body is bytes"),
    ],
)
def test_changes_of_a_wrong_type_are_named(proxy, flow, changes, wanted):
    with pytest.raises(TypeError, match=wanted):
        flow.replay_sync(**changes)
    assert len(proxy.flows) == 1


@pytest.mark.parametrize("concurrency", ["5", 2.5, None])
def test_so_is_how_many_at_a_time(proxy, flows, concurrency):
    with pytest.raises(TypeError, match="it takes an int"):
        flows.replay_sync({"page": [1]}, concurrency=concurrency)
    assert len(proxy.flows) == 1


def test_without_a_proxy_loaded_it_says_so(monkeypatch):
    monkeypatch.setattr(HTTPFlow, "replayer", None)
    with pytest.raises(RuntimeError, match=r"import nbproxy\.proxy"):
        HTTPFlow(Request.make("GET", "http://a.test/")).replay_sync()


# -- variations


@pytest.fixture
def flows(proxy, flow):
    return proxy.flows[:]


@pytest.mark.parametrize(
    ("name", "what", "expected"),
    [
        ("page", "path", "/api?page=NEW&lang=de"),
        ("other", "path", "/api?page=1&lang=de&other=NEW"),
        ("q", "body", '{"user": {"id": 1, "tags": ["a"]}, "q": "NEW"}'),
        ("$.user.id", "body", '{"user": {"id": "NEW", "tags": ["a"]}, "q": "x"}'),
        ("$.user.tags[0]", "body", '{"user": {"id": 1, "tags": ["NEW"]}, "q": "x"}'),
        ("$.user.new.deep", "body", None),
        ("$", "body", '"NEW"'),
        ("x-token", "fields", ["NEW"]),
        ("method", "method", "NEW"),
        ("url", "path", None),
    ],
)
def test_where_a_name_belongs(flows, name, what, expected):
    value = "/NEW" if name == "url" else "NEW"
    frame = flows.replay_sync({name: [value]})
    found = seen(flows.store.by_id(int(frame.id[0])))[what]
    if name == "$.user.new.deep":
        assert json.loads(found)["user"]["new"] == {"deep": "NEW"}
    else:
        assert (found["x-token"] if what == "fields" else found) == (expected or "/NEW")


def test_the_frame(flows, flow):
    frame = flows.replay_sync({"page": range(3), "lang": ["en", "fr"]})
    assert list(frame.columns) == ["page", "lang", "id", "status", "duration", "bytes", "error"]
    assert frame.page.tolist() == [0, 0, 1, 1, 2, 2]
    assert frame.lang.tolist() == ["en", "fr"] * 3
    assert frame.status.tolist() == [200] * 6
    assert (frame.duration > 0).all()
    assert frame.error.isna().all()
    assert {name: str(kind) for name, kind in frame.dtypes.items() if name != "lang"} == {
        "page": "int64",
        "id": "int64",
        "status": "Int64",
        "duration": "float64",
        "bytes": "int64",
        "error": "str",
    }
    for row in frame.itertuples():
        new = flows.store.by_id(row.id)
        assert seen(new)["path"] == f"/api?page={row.page}&lang={row.lang}"
        assert new.metadata["replayed_from"] == flow.id
        assert row.bytes == len(new.response.raw_content)
    assert frame.attrs["nbproxy"] == "flows"  # what is shown of it is masked


async def test_together(flows):
    frame = await flows.replay({"page": [1, 2], "lang": ["en", "fr"]}, together=True)
    assert list(zip(frame.page, frame.lang, strict=True)) == [(1, "en"), (2, "fr")]
    with pytest.raises(ValueError, match="page has 2, lang has 1"):
        await flows.replay({"page": [1, 2], "lang": ["en"]}, together=True)


async def test_by_place(flows):
    frame = await flows.replay(
        {"headers": {"page": ["h"]}, "json": {"page": [1, 2]}, "params": {"x": [0]}}
    )
    assert list(frame.columns)[:3] == ["headers.page", "json.page", "x"]
    last = seen(flows.store.by_id(int(frame.id[1])))
    assert last["fields"]["page"] == ["h"]
    assert json.loads(last["body"])["page"] == 2
    assert last["path"] == "/api?page=1&lang=de&x=0"


async def test_forms(proxy, origin):
    flow = HTTPFlow(Request.make("POST", f"{origin.url}/f"))
    first = await flow.replay(proxy=proxy, data={"a": 1, "b": 2})
    frame = await proxy.flows[-1:].replay({"b": [3, 4]})
    bodies = [seen(proxy.flows.by_id(int(number)))["body"] for number in frame.id]
    assert bodies == ["a=1&b=3", "a=1&b=4"]
    assert first.request.urlencoded_form["b"] == "2"


async def test_several_flows(proxy, flows, flow):
    await flow.replay(url="/second")
    frame = await proxy.flows.replay({"page": [1, 2]})
    assert list(frame.columns)[:2] == ["original", "page"]
    assert frame.original.tolist() == [flow.id] * 2 + [proxy.flows[1].id] * 2
    assert frame.page.tolist() == [1, 2, 1, 2]
    plain = await proxy.flows[:2].replay()
    assert list(plain.columns) == ["original", "id", "status", "duration", "bytes", "error"]


async def test_what_all_have_in_common(flows):
    frame = await flows.replay({"page": [7]}, headers={"x-all": "1"}, method="PUT")
    found = seen(flows.store.by_id(int(frame.id[0])))
    assert (found["method"], found["fields"]["x-all"]) == ("PUT", ["1"])
    assert found["path"] == "/api?page=7&lang=de"


async def test_failures_are_rows(flows, origin):
    origin.close()
    frame = await flows.replay({"page": [1, 2]})
    assert frame.status.isna().all()
    assert frame.error.notna().all()
    assert frame.bytes.tolist() == [0, 0]
    assert frame.duration.isna().all()


async def test_nothing_to_send(proxy, flows):
    empty = proxy.flows.filter("~u nowhere")
    assert len(await empty.replay({"a": [1]})) == 0
    assert len(await flows.replay({"a": []})) == 0
    assert "a" in (await flows.replay({"a": []})).columns


async def test_columns_that_have_a_meaning_already(flows):
    frame = await flows.replay({"id": [1], "status": [2]})
    assert list(frame.columns)[:3] == ["id_", "status_", "id"]


async def test_so_many_at_a_time(proxy, make_origin):
    now, most = [], []
    lock = threading.Lock()
    met = threading.Barrier(4)

    def answer(message):
        with lock:
            now.append(1)
            most.append(len(now))
        if b"n=" in message.target:
            met.wait(60)  # as many as may: without one of them the others would wait for ever
            time.sleep(0.02)  # so that one more would meet them
        with lock:
            now.pop()
        return response()

    origin = make_origin(answering(answer))
    flow = HTTPFlow(Request.make("GET", origin.url))
    await flow.replay(proxy=proxy)
    frame = await proxy.flows.replay({"n": range(24)}, concurrency=4)
    assert len(frame) == 24
    assert max(most) == 4
    with pytest.raises(ValueError, match="at least 1"):
        await proxy.flows.replay(concurrency=0)


async def test_cancelling_ends_what_is_under_way(proxy, thinker):
    made = HTTPFlow(Request.make("GET", thinker.url))
    made.response = Response.make(200)
    proxy.store.opened(made)
    proxy.store.closed(made)
    work = asyncio.ensure_future(proxy.flows.replay({"n": range(100)}, concurrency=3))
    await asyncio.to_thread(wait_until, lambda: len(thinker.asked) == 3)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await asyncio.to_thread(wait_until, lambda: not any(f.live for f in proxy.flows))
    assert len(proxy.flows) == 4
    assert [f.error.msg for f in proxy.flows[1:]] == ["the replay was cancelled"] * 3


async def test_the_proxy_stops_in_the_middle(proxy, thinker):
    made = HTTPFlow(Request.make("GET", thinker.url))
    made.response = Response.make(200)
    proxy.store.opened(made)
    proxy.store.closed(made)
    work = asyncio.ensure_future(proxy.flows.replay({"n": range(100)}))
    await asyncio.to_thread(wait_until, lambda: len(thinker.asked) == 5)
    await asyncio.to_thread(proxy.stop)
    with pytest.raises(RuntimeError, match="stopped"):
        await work
    assert len(thinker.asked) == 5


def test_another_thread_may_stop_the_proxy_while_one_begins(proxy, origin, monkeypatch):
    """It looks once at what it needs: a second look may find nothing."""
    looks = iter([proxy._engine])
    monkeypatch.setattr(Proxy, "_engine", property(lambda _: next(looks, None)), raising=False)
    flow = HTTPFlow(Request.make("GET", f"{origin.url}/x"))
    proxy.resend(flow).result(60)
    assert seen(flow)["path"] == "/x"


def test_a_line_says_how_far_it_is(flows, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_FIRST_S", 0.0)
    monkeypatch.setattr(progress, "_EACH_S", 0.0)
    flows.replay_sync({"page": range(10)})
    said = capsys.readouterr().err
    assert "3 of 10 requests" in said
    assert said.endswith("10 of 10 requests\n")


@pytest.mark.parametrize(
    ("vary", "error", "wanted"),
    [
        ({"page": "abc"}, TypeError, r"several values, such as \['abc'\]"),
        ({"page": b"abc"}, TypeError, r"several values, such as \[b'abc'\]"),
        ({"page": 5}, TypeError, r"several values, such as \[5\]"),
        (["page"], TypeError, r"vary = \['page'\]: it takes a dict"),
        ({"query": {"a": [1]}}, ValueError, "'query' is none of params, headers"),
        ({"$.q=x": [1]}, ValueError, "one place"),
        ({"$.user.*": [1]}, ValueError, "one place"),
        ({"$.q.deep": [1]}, ValueError, "no place"),
        ({"$.user.tags[5]": [1]}, ValueError, "no place"),
        ({"method": ["G T"]}, ValueError, "not a method"),
        ({"$.q": [1, math.nan]}, ValueError, "JSON has no NaN"),
    ],
)
def test_variations_that_make_no_sense_send_nothing(proxy, flows, vary, error, wanted):
    with pytest.raises(error, match=wanted):
        flows.replay_sync(vary)
    assert len(proxy.flows) == 1


def test_one_bad_try_stops_all_of_them_before_they_start(proxy, flows):
    with pytest.raises(ValueError, match="not a method"):
        flows.replay_sync({"method": ["GET", "PUT", "G T"]})
    assert len(proxy.flows) == 1


def test_combinations():
    variation = Variation({"a": [1, 2], "headers": {"b": (3,)}}, together=False)
    assert variation.names == ["a", "b"]
    assert variation.tries == [(1, 3), (2, 3)]
    assert Variation(None, together=True).tries == [()]


def test_a_body_with_a_coding_keeps_it():
    request = Request.make("POST", "http://a.test/", b'{"a": 1}', {"content-type": "x/json"})
    request.encode("gzip")
    made = changed(request, json={"a": 2})
    assert made.headers["content-encoding"] == "gzip"
    assert made.json() == {"a": 2}
    assert made.headers["content-type"] == "x/json"
    assert request.json() == {"a": 1}
