"""Python's clients: urllib, requests, httpx, aiohttp."""

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request

import aiohttp
import pytest
import requests

from tests.support.clients import through, through_async
from tests.support.proxies import PATIENCE_S, last_flow, only_flow, wait_until


@pytest.fixture(params=["http", "https"])
def base(request, site):
    """The site by either scheme."""
    return getattr(site, f"{request.param}_url")


@pytest.fixture
def events(make_origin):
    """An origin that sends its second event when it is let go."""
    go_on = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            b"\r\nd\r\ndata: first\n\n\r\n"
        )
        assert go_on.wait(PATIENCE_S)
        wire.send(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")
        wire.message()

    origin = make_origin(serve, tls=True)
    origin.go_on = go_on
    return origin


# -- urllib


def test_urllib(proxy, base):
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxy.proxies),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=proxy.ca_file)),
    )
    with opener.open(f"{base}/api/users/7", timeout=PATIENCE_S) as answer:
        assert json.load(answer)["id"] == 7
    with opener.open(f"{base}/api/echo", data=b"x=1", timeout=PATIENCE_S) as answer:
        assert json.load(answer)["body"] == "x=1"
    with pytest.raises(urllib.error.HTTPError) as missing:
        opener.open(f"{base}/missing", timeout=PATIENCE_S)
    missing.value.close()
    assert [f.response.status_code for f in proxy.flows] == [200, 200, 404]


def test_urllib_by_environment(proxy, site, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    with urllib.request.build_opener().open(f"{site.http_url}/", timeout=PATIENCE_S) as answer:
        assert b"Teapot" in answer.read()
    assert only_flow(proxy).request.headers["user-agent"].startswith("Python-urllib")


# -- requests


@pytest.fixture
def session(proxy):
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = proxy.proxies
        session.verify = proxy.ca_file
        yield session


def test_requests_keeps_its_connection(proxy, session, base):
    for n in (1, 2, 3):
        assert session.get(f"{base}/api/users/{n}", timeout=PATIENCE_S).json()["id"] == n
    assert len({f.client_conn.id for f in proxy.flows}) == 1
    assert [f.response.json()["id"] for f in proxy.flows] == [1, 2, 3]


def test_requests_sends_bodies(proxy, session, base):
    url = f"{base}/api/echo"
    assert json.loads(session.post(url, json={"a": 1}, timeout=PATIENCE_S).json()["body"]) == {
        "a": 1
    }
    assert session.post(url, data={"a": "é"}, timeout=PATIENCE_S).json()["body"] == "a=%C3%A9"
    pieces = iter([b"one", b"two"])
    assert session.post(url, data=pieces, timeout=PATIENCE_S).json()["body"] == "onetwo"
    file = session.post(url, files={"file": ("a.txt", b"content")}, timeout=PATIENCE_S)
    assert 'filename="a.txt"' in file.json()["body"]
    first, second, third, fourth = proxy.flows
    assert first.request.json() == {"a": 1}
    assert second.request.urlencoded_form["a"] == "é"
    assert third.request.content == b"onetwo"
    assert fourth.request.headers["content-type"].startswith("multipart/form-data")


def test_requests_cookies_and_redirects(proxy, session, base):
    login = {"user": "ada", "password": "x"}
    token = session.post(f"{base}/api/login", json=login, timeout=PATIENCE_S).json()["token"]
    assert session.cookies["session"] == token
    got = session.get(f"{base}/redirect", timeout=PATIENCE_S)
    assert [r.status_code for r in got.history] == [302]
    assert got.url == f"{base}/"
    assert last_flow(proxy).request.cookies["session"] == token
    assert proxy.flows[0].response.cookies["session"][0] == token


def test_requests_streams_events(proxy, session, events):
    with session.get(f"{events.url}/", stream=True, timeout=PATIENCE_S) as answer:
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"data: first"  # the second one is not even sent
        events.go_on.set()
        assert [line for line in lines if line] == [b"data: second"]
    assert only_flow(proxy).response.text == "data: first\n\ndata: second\n\n"


def test_requests_streams_a_large_answer(proxy, session, base):
    with session.get(f"{base}/big?mb=10", stream=True, timeout=PATIENCE_S) as answer:
        assert sum(map(len, answer.iter_content(65536))) == 10 * 2**20
    assert only_flow(proxy).response.body_size == 10 * 2**20


def test_requests_sees_errors_as_they_are(proxy, session, base):
    assert session.get(f"{base}/error", timeout=PATIENCE_S).status_code == 500
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        session.get(f"{base}/drop", timeout=PATIENCE_S)
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.get(f"{base}/slow?seconds=20", timeout=(PATIENCE_S, 0.2))
    wait_until(lambda: len(proxy.flows) == 3)  # it may be read after the client has left
    assert last_flow(proxy).error.msg == "the client disconnected"


def test_requests_sees_what_handlers_do(proxy, session, base):
    @proxy.on("request", "~u /api/users/1$")
    def redirect(flow):
        flow.request.path = "/api/users/2"

    @proxy.on("response", "~u /gzip")
    def change(flow):
        flow.response.text = '{"changed": true}'  # compressed again on the way out

    assert session.get(f"{base}/api/users/1", timeout=PATIENCE_S).json()["id"] == 2
    got = session.get(f"{base}/gzip", timeout=PATIENCE_S)
    assert got.json() == {"changed": True}
    assert got.headers["content-encoding"] == "gzip"


def test_requests_with_credentials(proxy, session, base):
    proxy.options.proxyauth = "ada:secret"
    url = proxy.url.replace("//", "//ada:secret@")
    session.proxies = {"http": url, "https": url}
    assert session.get(f"{base}/", timeout=PATIENCE_S).status_code == 200
    assert "proxy-authorization" not in dict(
        session.get(f"{base}/api/echo", timeout=PATIENCE_S).json()["headers"]
    )


# -- httpx


def test_httpx(proxy, base):
    with through(proxy) as client:
        for n in (1, 2):
            assert client.get(f"{base}/api/users/{n}").json()["id"] == n
        assert client.post(f"{base}/api/echo", content=iter([b"a", b"b"])).json()["body"] == "ab"
        assert client.get(f"{base}/redirect", follow_redirects=True).status_code == 200
        assert client.head(f"{base}/").headers["content-length"]
        assert client.get(f"{base}/chunked").text == "one, two, three.\n"
    assert len({f.client_conn.id for f in proxy.flows}) == 1


async def test_httpx_async(proxy, base):
    async with through_async(proxy) as client:
        answers = await asyncio.gather(*(client.get(f"{base}/api/users/{n}") for n in range(1, 21)))
        assert [a.json()["id"] for a in answers] == list(range(1, 21))
    assert len(proxy.flows) == 20


async def test_httpx_streams_events(proxy, events):
    async with (
        through_async(proxy) as client,
        client.stream("GET", f"{events.url}/") as answer,
    ):
        pieces = answer.aiter_text()
        assert await anext(pieces) == "data: first\n\n"
        events.go_on.set()
        assert [piece async for piece in pieces] == ["data: second\n\n"]


# -- aiohttp


@pytest.fixture
async def aio():
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


async def test_aiohttp(proxy, aio, base):
    how = {"proxy": proxy.url, "ssl": ssl.create_default_context(cafile=proxy.ca_file)}

    async def user(n):
        async with aio.get(f"{base}/api/users/{n}", **how) as answer:
            return (await answer.json())["id"]

    assert await asyncio.gather(*map(user, range(1, 11))) == list(range(1, 11))
    async with aio.post(f"{base}/api/echo", json={"a": 1}, **how) as answer:
        assert json.loads((await answer.json())["body"]) == {"a": 1}
    async with aio.get(f"{base}/big?mb=5", **how) as answer:
        assert len(await answer.read()) == 5 * 2**20
    async with aio.get(f"{base}/redirect", **how) as answer:
        assert "Teapot" in await answer.text()
    assert len(proxy.flows) == 14


async def test_aiohttp_websocket(proxy, aio, make_origin):
    """Its handshake and frames pass, masked and all."""
    origin = make_origin(websocket_echo)
    async with aio.ws_connect(f"{origin.url}/chat", proxy=proxy.url) as socket:
        await socket.send_str("hello")
        assert (await socket.receive()).data == "hello"
        await socket.send_bytes(b"x" * 100)
        assert (await socket.receive()).data == b"x" * 100
    await asyncio.to_thread(wait_until, lambda: not proxy.flows[0].live)
    assert only_flow(proxy).response.status_code == 101


def websocket_echo(wire):
    """RFC 6455 as far as short frames go."""
    import base64
    import hashlib

    key = wire.message()[b"sec-websocket-key"]
    accept = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    wire.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )
    while head := wire.exactly(2):
        mask = wire.exactly(4)
        data = wire.exactly(head[1] & 0x7F)
        plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        wire.send(head[:1] + bytes((len(plain),)) + plain)
        if head[0] & 0x0F == 8:  # close
            return
