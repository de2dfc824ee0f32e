"""aiohttp, which looks at no variable unless it is told to; also when it is imported late."""

import asyncio
import os
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from nbproxy.capture.clients import Libraries


@pytest.fixture
def divert(proxy):
    """Libraries on the way to a proxy; restored at the end."""
    libraries = Libraries()

    def divert():
        libraries.divert(proxy.url, proxy.ca_file)
        return libraries

    yield divert
    libraries.restore()


def paths(proxy):
    return [flow.request.path for flow in proxy.flows]


async def get(session, url, **settings):
    async with session.get(url, **settings) as answer:
        return answer.status


async def test_its_requests_are_led_through_the_proxy(proxy, site, divert):
    original = aiohttp.ClientSession._request
    async with aiohttp.ClientSession() as early:
        divert()
        async with aiohttp.ClientSession(base_url=site.https_url) as late:
            assert await get(early, f"{site.https_url}/?early") == 200
            assert await get(late, "/?late") == 200
            assert await get(late, "/?plain") == 200
        divert().restore()
        assert aiohttp.ClientSession._request is original
        assert await get(early, f"{site.http_url}/?after") == 200
    assert paths(proxy) == ["/?early", "/?late", "/?plain"]


async def test_what_a_request_or_its_session_says_counts_more(proxy, site, divert, make_proxy):
    divert()
    other = make_proxy()
    trust = ssl.create_default_context(cafile=other.ca_file)
    site_trust = ssl.create_default_context(cafile=site.ca_file)
    async with aiohttp.ClientSession(proxy=other.url) as session:
        assert await get(session, f"{site.https_url}/?session", ssl=trust) == 200
    async with aiohttp.ClientSession() as session:
        url = f"{site.https_url}/?request"
        assert await get(session, url, proxy=other.url, ssl=trust) == 200
    connector = aiohttp.TCPConnector(ssl=site_trust)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(session, f"{site.https_url}/?connector")
    assert [path for path in paths(other) if path] == ["/?session", "/?request"]
    assert [path for path in paths(proxy) if path] == []


async def test_hosts_in_no_proxy_are_left_alone(proxy, site, divert, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    divert()
    async with aiohttp.ClientSession() as session:
        assert await get(session, f"{site.http_url}/") == 200
    assert len(proxy.flows) == 0


async def test_variables_are_left_to_sessions_that_look_at_them(proxy, site, divert, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    divert()
    async with aiohttp.ClientSession(trust_env=True) as session:
        assert await get(session, f"{site.http_url}/?env") == 200
    assert paths(proxy) == ["/?env"]


async def test_a_unix_socket_has_no_proxy(divert, tmp_path):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    path = str(tmp_path / "socket")
    async with await asyncio.start_unix_server(serve, path):
        divert()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            assert await get(session, "http://local.test/") == 204


LATE = """
import asyncio, sys
from nbproxy.capture.clients import Libraries
assert "aiohttp" not in sys.modules
libraries, finders = Libraries(), list(sys.meta_path)
libraries.divert({url!r}, {bundle!r})
libraries.divert({url!r}, {bundle!r})
import aiohttp

async def main():
    async with aiohttp.ClientSession() as session:
        async with session.get({target!r}) as answer:
            return answer.status

print(asyncio.run(main()))
libraries.restore()
assert sys.meta_path == finders
assert aiohttp.ClientSession._request.__module__ == "aiohttp.client"
"""


def test_it_may_be_imported_later(proxy, site):
    program = LATE.format(url=proxy.url, bundle=proxy.ca_file, target=f"{site.https_url}/?late")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "200\n", done.stderr
    assert paths(proxy) == ["/?late"]


def test_what_others_put_in_its_place_stays(divert):
    libraries = divert()
    original = aiohttp.ClientSession._request
    try:
        aiohttp.ClientSession._request = other = lambda *_: None
        libraries.restore()
        assert aiohttp.ClientSession._request is other
    finally:
        aiohttp.ClientSession._request = original.__wrapped__
