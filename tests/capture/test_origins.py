"""Where requests come from, with real clients and a real proxy."""

import asyncio
import http.client
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import httpx
import pytest
import requests

from nbproxy.capture.stacks import Site
from nbproxy.capture.watch import WATCH
from tests.capture.cells import Cells
from tests.support.proxies import wait_until


@pytest.fixture
def cells(proxy, site, monkeypatch):
    """A notebook whose origins are noted; `url` and `proxies` are names in it."""
    cells = Cells(
        url=site.http_url,
        secure=site.https_url,
        proxy=proxy,
        requests=requests,
        httpx=httpx,
        aiohttp=aiohttp,
        asyncio=asyncio,
        threading=threading,
        subprocess=subprocess,
        sys=sys,
        ThreadPoolExecutor=ThreadPoolExecutor,
    )
    monkeypatch.setattr(WATCH, "code", cells)
    assert proxy.origins is proxy.origins
    cells.run(
        "session = requests.Session()\n"
        "session.trust_env = False\n"
        "session.proxies, session.verify = proxy.proxies, proxy.ca_file\n"
        "def get(path):\n"
        "    return session.get(secure + path).status_code"
    )
    return cells


def sites(proxy):
    wait_until(lambda: all(not flow.live for flow in proxy.flows))
    return [
        (flow.request.path, *(flow.metadata.get(name) for name in ("cell", "line", "function")))
        for flow in proxy.flows
    ]


def test_each_request_on_a_kept_connection_has_its_own_line(cells, proxy):
    cells.run("get('/?1')\nfor n in (2, 3):\n    get(f'/?{n}')\nsession.get(url + '/?4')")
    cells.run("\n\nget('/?5')\nsession.get(url + '/?6')")
    assert sites(proxy) == [
        ("/?1", 2, 1, "get"),
        ("/?2", 2, 3, "get"),
        ("/?3", 2, 3, "get"),
        ("/?4", 2, 4, None),
        ("/?5", 3, 3, "get"),
        ("/?6", 3, 4, None),
    ]
    assert len({flow.client_conn.id for flow in proxy.flows}) == 2
    df = proxy.df
    assert df["cell"].tolist() == [2, 2, 2, 2, 3, 3]
    assert df["line"].tolist() == [1, 3, 3, 4, 3, 4]
    assert df["function"].dropna().tolist() == ["get"] * 4
    assert len(proxy.flows.filter("~cell 3")) == 2


def test_httpx(cells, proxy):
    cells.run(
        "with httpx.Client(proxy=proxy.url, trust_env=False, timeout=60) as client:\n"
        "    client.get(url + '/?1')\n"
        "    client.get(url + '/?2')"
    )
    assert sites(proxy) == [("/?1", 2, 2, None), ("/?2", 2, 3, None)]


def test_a_client_between_sending_and_reading_shows_no_socket(cells, proxy):
    """There it may be when its request is looked at, on a busy machine."""
    asked = threading.Event()
    proxy.on("request", "~u late")(lambda flow: asked.set())
    cells.names.update(asked=asked, http=http.client)
    cells.run("conn = http.HTTPConnection('127.0.0.1', proxy.port)")
    cells.run(
        "def read():\n"
        "    conn.getresponse().read()\n"
        "conn.request('GET', url + '/?1')\n"
        "read()\n"
        "conn.request('GET', url + '/?late'); asked.wait(60)\n"
        "read()\n"
        "conn.close()"
    )
    assert sites(proxy) == [("/?1", 3, 3, None), ("/?late", 3, 5, None)]
    assert len({flow.client_conn.id for flow in proxy.flows}) == 1


def test_a_client_that_is_about_to_read_is_given_the_time(cells, proxy, monkeypatch):
    """Nor is it known which thread it is, if another one has connected."""
    origins = sys.modules[type(proxy.origins).__module__]
    look, looks = origins.thread_with, []

    def late(*arguments):
        looks.append(arguments)
        return look(*arguments) if len(looks) % 2 == 0 else None

    monkeypatch.setattr(origins, "thread_with", late)
    cells.run("thread = threading.Thread(target=get, args=['/?1'])\nthread.start()\nthread.join()")
    cells.run("\nget('/?2')")
    assert sites(proxy) == [("/?1", 2, 2, "get"), ("/?2", 3, 2, "get")]
    assert len(looks) == 2


def test_threads_work_for_the_cell_that_has_started_them(cells, proxy):
    cells.names["go_on"] = threading.Event()
    cells.run(
        "def late():\n"
        "    go_on.wait()\n"
        "    get('/?late')\n"
        "thread = threading.Thread(target=late)\n"
        "thread.start()"
    )
    cells.run("go_on.set()\nthread.join()")
    cells.run(
        "thread = threading.Thread(target=get, args=['/?plain'])\nthread.start()\nthread.join()"
    )
    cells.run(
        "def start():\n"
        "    thread = threading.Thread(target=requests.get, args=[url + '/?library'],\n"
        "                              kwargs={'proxies': proxy.proxies})\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "start()"
    )
    assert sites(proxy) == [
        ("/?late", 2, 3, "get"),
        ("/?plain", 4, 2, "get"),
        ("/?library", 5, 4, "start"),
    ]


def test_a_pool_works_for_the_cell_that_is_being_run(cells, proxy):
    cells.run("pool = ThreadPoolExecutor(2)\nlist(pool.map(get, ['/?1', '/?2']))")
    cells.run("x = 1\nlist(pool.map(get, ['/?3', '/?4']))\nlist(pool.map(session.get, [url]))")
    cells.run("pool.shutdown()")
    found = sites(proxy)
    assert [each[1:] for each in found] == [(2, 2, "get")] * 2 + [(3, 2, "get")] * 2 + [
        (3, 3, None)
    ]


async def test_tasks_of_a_cell(cells, proxy):
    await cells.arun(
        "async def fetch(client, path):\n"
        "    answer = await client.get(url + path)\n"
        "    return answer.status_code"
    )
    await cells.arun(
        "async with httpx.AsyncClient(proxy=proxy.url, trust_env=False, timeout=60) as client:\n"
        "    await client.get(url + '/?1')\n"
        "    await client.get(url + '/?2')\n"
        "    await asyncio.gather(*(fetch(client, f'/?{n}') for n in (3, 4)))\n"
    )
    assert sites(proxy)[:2] == [("/?1", 3, 2, None), ("/?2", 3, 3, None)]
    assert {each[1:] for each in sites(proxy)[2:]} == {(3, 4, "fetch")}


async def test_aiohttp_on_a_kept_connection(cells, proxy):
    await cells.arun(
        "async with aiohttp.ClientSession() as session:\n"
        "    for n in (1, 2):\n"
        "        async with session.get(url + f'/?{n}', proxy=proxy.url) as answer:\n"
        "            await answer.read()\n"
        "    async with session.get(url + '/?3', proxy=proxy.url) as answer:\n"
        "        await answer.read()\n"
    )
    assert sites(proxy) == [("/?1", 2, 3, None), ("/?2", 2, 3, None), ("/?3", 2, 5, None)]
    assert len({flow.client_conn.id for flow in proxy.flows}) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whose it is")
def test_subprocesses_stand_for_the_line_that_started_them(cells, proxy):
    cells.run("curl = ['curl', '-s', '-x', proxy.url, '--noproxy', '', '-o', '/dev/null']")
    cells.run("def run(path):\n    subprocess.run([*curl, url + path], check=True)\n\nrun('/?1')")
    cells.run(
        "late = subprocess.Popen(['sh', '-c', f\"read x; {' '.join(curl)} {url}/?late\"],\n"
        "                        stdin=subprocess.PIPE)"
    )
    cells.run("late.communicate(b'go')")
    assert sites(proxy) == [("/?1", 3, 2, "run"), ("/?late", 4, 1, None)]


def test_strangers_have_no_site(cells, proxy, site):
    requests.get(f"{site.http_url}/?outside", proxies=proxy.proxies, timeout=60)
    assert sites(proxy) == [("/?outside", None, None, None)]
    assert proxy.flows[0].metadata == {}
    assert proxy.df["cell"].isna().all()


def test_a_connection_that_fails_has_one_as_well(cells, proxy):
    cells.run("try:\n    requests.get(secure, proxies=proxy.proxies)\nexcept OSError:\n    pass")
    wait_until(lambda: len(proxy.flows) == 1)
    (flow,) = proxy.flows
    assert flow.request.method == "CONNECT"
    assert (flow.metadata["cell"], flow.metadata["line"]) == (2, 2)


def test_a_fault_of_ours_stops_no_request(cells, proxy, monkeypatch):
    monkeypatch.setattr(WATCH, "take", lambda port: 1 / 0)
    cells.run("get('/')")
    assert sites(proxy) == [("/", None, None, None)]


def test_the_memory_of_connections_is_bounded(proxy, monkeypatch, site):
    origins = proxy.origins
    monkeypatch.setattr(sys.modules[type(origins).__module__], "_KNOWN", 8)
    for _ in range(20):
        requests.get(f"{site.http_url}/", proxies=proxy.proxies, timeout=60)
    assert len(origins._senders) <= 8


def test_a_site_is_said_in_the_context_of_who_asks(cells):
    cells.run("x = 1")
    assert WATCH.site(sys._getframe()) is None
    cells.names["WATCH"] = WATCH
    cells.run("site = WATCH.site(sys._getframe())")
    assert cells.names["site"] == Site(3, 1)
