"""`Capture`: a block's traffic, all of it and nothing else."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import urllib.request

import aiohttp
import httpx
import pytest
import requests

from nbproxy.capture.watch import WATCH, since_boot
from nbproxy.errors import ConfigError
from tests.capture.cells import Cells
from tests.support.proxies import wait_until


def paths(flows):
    return [flow.request.path for flow in flows]


@pytest.fixture
def run():
    def run(*arguments, **settings):
        done = subprocess.run(
            list(map(str, arguments)),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **settings,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(params=["http", "https"])
def base(request, site):
    return getattr(site, f"{request.param}_url")


def test_pythons_clients(proxy, base, environ):
    before = dict(environ)
    urllib.request.urlopen(f"{base}/?before", context=no_checks()).close()
    with requests.Session() as session, proxy.capture() as cap:
        assert requests.get(f"{base}/?requests", timeout=60).status_code == 200
        assert session.get(f"{base}/?session", timeout=60).status_code == 200
        assert httpx.get(f"{base}/?httpx", timeout=60).status_code == 200
        urllib.request.urlopen(f"{base}/?urllib", timeout=60).close()
    assert dict(environ) == before
    assert (
        paths(proxy.flows) == paths(cap.flows) == ["/?requests", "/?session", "/?httpx", "/?urllib"]
    )
    assert cap.df["path"].tolist() == paths(cap.flows)
    urllib.request.urlopen(f"{base}/?after", context=no_checks()).close()
    assert len(proxy.flows) == 4


def no_checks():
    import ssl

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_clients_that_await(proxy, base, environ):
    with proxy.capture() as cap:
        async with httpx.AsyncClient(timeout=60) as client:
            await asyncio.gather(*(client.get(f"{base}/?{n}") for n in range(3)))
        async with aiohttp.ClientSession() as session, session.get(f"{base}/?aiohttp") as answer:
            assert answer.status == 200
        trusting = aiohttp.ClientSession(trust_env=True)
        async with trusting, trusting.get(f"{base}/?env") as answer:
            assert answer.status == 200
    assert sorted(paths(cap.flows)) == ["/?0", "/?1", "/?2", "/?aiohttp", "/?env"]


async def test_it_may_be_entered_by_async_with(proxy, base, environ):
    before = dict(environ)
    cap = proxy.capture()

    async def fail():
        async with cap as entered, httpx.AsyncClient(timeout=60) as client:
            assert entered is cap
            assert cap.is_open
            await client.get(f"{base}/?1")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert not cap.is_open
    assert dict(environ) == before
    async with cap, httpx.AsyncClient(timeout=60) as client:
        await client.get(f"{base}/?2")
    assert paths(cap.flows) == ["/?1", "/?2"]


def test_programs(proxy, base, environ, run, tmp_path):
    wget = (
        ["wget", "-q", "-O", "/dev/null"] if shutil.which("wget") else ["curl", "-so", "/dev/null"]
    )
    program = "import urllib.request, sys; urllib.request.urlopen(sys.argv[1]).close()"
    with proxy.capture() as cap:
        run("curl", "-s", "-o", "/dev/null", f"{base}/?curl")
        run(*wget, f"{base}/?wget")
        run(sys.executable, "-c", program, f"{base}/?python")
    assert paths(cap.flows) == ["/?curl", "/?wget", "/?python"]


def test_git_and_pip(proxy, site, environ, tmp_path):
    with proxy.capture() as cap:
        for command in (
            ["git", "ls-remote", f"{site.https_url}/x.git"],
            [sys.executable, "-m", "pip", "download", "--isolated", "--no-cache-dir", "--no-deps",
             "--disable-pip-version-check", "--retries", "0", "--timeout", "60",
             "-d", str(tmp_path), "--index-url", f"{site.https_url}/simple/", "tiny-thing"],
        ):  # fmt: skip
            subprocess.run(command, capture_output=True, timeout=300, check=False, cwd=tmp_path)
    assert paths(cap.flows) == [
        "/x.git/info/refs?service=git-upload-pack",
        "/simple/tiny-thing/",
    ]
    assert {flow.response.status_code for flow in cap.flows} == {404}


def test_git_with_a_proxy_in_its_settings(proxy, site, environ, run, tmp_path):
    (tmp_path / ".gitconfig").write_text("[http]\n\tproxy = http://127.0.0.1:1\n")
    with proxy.capture() as cap:
        subprocess.run(
            ["git", "ls-remote", f"{site.https_url}/x.git"],
            env={**os.environ, "HOME": str(tmp_path)},
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert len(cap.flows) == 1


def test_credentials_do_not_reach_server_table_or_file(proxy, site, environ):
    with proxy.capture() as cap:
        sent = requests.get(f"{site.http_url}/api/echo", timeout=60).json()["headers"]
    assert "proxy-authorization" not in {name.lower() for name in dict(sent)}
    (flow,) = cap.flows
    assert "proxy-authorization" not in flow.request.headers
    assert cap.credentials.decode() not in repr(cap)


def test_with_credentials_of_the_users(make_proxy, site, environ):
    proxy = make_proxy(proxyauth="ada:secret")
    with proxy.capture() as cap:
        assert requests.get(f"{site.https_url}/?1", timeout=60).status_code == 200
        assert requests.get(f"{site.http_url}/?2", timeout=60).status_code == 200
    own = {"http": proxy.url.replace("//", "//ada:secret@")}
    assert requests.get(f"{site.http_url}/?3", proxies=own, timeout=60).status_code == 200
    wrong = {"http": proxy.url.replace("//", "//nbproxy-1:x@")}
    assert requests.get(f"{site.http_url}/?4", proxies=wrong, timeout=60).status_code == 407
    assert paths(cap.flows) == ["/?1", "/?2"]


def test_an_inner_capture_has_its_own(proxy, site, environ):
    url = site.http_url
    with proxy.capture() as outer:
        requests.get(f"{url}/?1", timeout=60)
        with proxy.capture() as inner:
            requests.get(f"{url}/?2", timeout=60)
        requests.get(f"{url}/?3", timeout=60)
    assert paths(outer.flows) == ["/?1", "/?3"]
    assert paths(inner.flows) == ["/?2"]


def test_two_proxies_one_after_the_other_inside(proxy, make_proxy, site, environ):
    other = make_proxy()
    with proxy.capture() as outer, other.capture() as inner:
        requests.get(f"{site.https_url}/", timeout=60)
    assert (len(outer), len(inner), len(proxy.flows), len(other.flows)) == (0, 1, 0, 1)


def test_everything_is_as_before_after_an_exception(proxy, site, environ):
    environ["HTTP_PROXY"] = "http://corp.test:3128"
    before = dict(environ)
    cap = proxy.capture()

    def block():
        with cap:
            assert environ["HTTP_PROXY"] == environ["https_proxy"] == cap.url
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    assert dict(environ) == before
    assert not cap.is_open


def test_it_can_go_on_later_but_not_twice_at_once(proxy, site, environ):
    cap = proxy.capture()
    assert repr(cap) == "<Capture closed: 0 flows>"
    with cap:
        requests.get(f"{site.http_url}/?1", timeout=60)
        with pytest.raises(RuntimeError, match="open already"):
            cap.open()
    requests.get(f"{site.http_url}/?2", proxies=proxy.proxies, timeout=60)
    with cap:
        requests.get(f"{site.http_url}/?3", timeout=60)
        assert repr(cap) == "<Capture open: 2 flows>"
    cap.close()
    assert paths(cap.flows) == ["/?1", "/?3"]
    assert bool(proxy.capture()) is True


def test_its_flows_are_a_view_like_others(proxy, site, environ):
    requests.get(f"{site.http_url}/?0", proxies=proxy.proxies, timeout=60)
    with proxy.capture() as cap:
        assert len(cap.flows) == 0
        requests.get(f"{site.http_url}/?1", timeout=60)
        requests.get(f"{site.http_url}/missing", timeout=60)
        assert len(cap.flows) == 2  # live
    assert paths(cap.flows.filter("~c 404")) == ["/missing"]
    assert cap.flows[-1].response.status_code == 404
    assert cap.flows.expression == ""
    assert [flow.id for flow in cap] == [flow.id for flow in cap.flows]
    cap.flows.clear()
    assert paths(proxy.flows) == ["/?0"]


def test_clients_that_bring_their_own_way_to_the_proxy(proxy, site, environ):
    """No credentials: this process and its subprocesses count while it is open."""
    with proxy.capture() as cap:
        requests.get(f"{site.http_url}/?own", proxies=proxy.proxies, timeout=60)
        if sys.platform.startswith("linux"):
            url = f"{site.http_url}/?child"
            curl = ["curl", "-s", "-o", os.devnull, "-x", proxy.url, "--noproxy", "", url]
            subprocess.run(curl, check=True, timeout=60)
    requests.get(f"{site.http_url}/?after", proxies=proxy.proxies, timeout=60)
    assert paths(cap.flows) == ["/?own", "/?child"][: len(cap.flows)]
    assert len(proxy.flows) == len(cap.flows) + 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whose it is")
def test_a_subprocess_from_before_is_not_part_of_it(proxy, site, environ):
    url = f"{site.http_url}/?before"
    curl = f"read x; curl -s -o /dev/null -x {proxy.url} --noproxy '' {url}"
    assert proxy.origins is not None
    with subprocess.Popen(["sh", "-c", curl], stdin=subprocess.PIPE) as early:
        started = since_boot()
        wait_until(lambda: since_boot() > started + 0.05)  # the clock of processes ticks slowly
        with proxy.capture() as cap:
            early.communicate(b"go\n", timeout=60)
    assert len(proxy.flows) == 1
    assert len(cap) == 0


def test_it_is_of_the_cell_that_opens_it(proxy, site, environ, monkeypatch):
    cells = Cells(url=site.http_url, requests=requests, cap=proxy.capture())
    monkeypatch.setattr(WATCH, "code", cells)
    assert proxy.origins is not None
    cells.run("with cap:\n    requests.get(url + '/?1')")
    cells.run("with cap:\n    requests.get(url + '/?2')")
    assert paths(cells.names["cap"].flows) == ["/?1", "/?2"]
    assert cells.names["cap"].df["cell"].tolist() == [1, 2]


def test_what_is_left_behind(proxy, site, environ):
    """A subprocess goes on belonging to it; this process's clients do not."""
    with proxy.capture() as cap:
        client = httpx.Client(timeout=60)
        late = subprocess.Popen(
            ["sh", "-c", f"read x; curl -s -o /dev/null {site.http_url}/?late"],
            stdin=subprocess.PIPE,
        )
    with client:
        assert client.get(f"{site.http_url}/?after").status_code == 200
    late.communicate(b"go\n", timeout=60)
    assert paths(cap.flows) == ["/?late"]
    assert paths(proxy.flows) == ["/?after", "/?late"]


def test_another_cells_threads_are_not_part_of_it(proxy, site, environ, monkeypatch):
    cells = Cells(url=site.http_url, requests=requests, proxy=proxy, threading=threading)
    monkeypatch.setattr(WATCH, "code", cells)
    assert proxy.origins is not None
    cells.names.update(go_on=threading.Event(), ended=threading.Event())
    cells.run(
        "def poll():\n"
        "    go_on.wait()\n"
        "    requests.get(url + '/?other')\n"
        "    ended.set()\n"
        "threading.Thread(target=poll).start()"
    )
    cells.run(
        "with proxy.capture() as cap:\n"
        "    requests.get(url + '/?mine')\n"
        "    go_on.set()\n"
        "    ended.wait()"
    )
    assert paths(cells.names["cap"].flows) == ["/?mine"]
    assert cells.names["cap"].cell == 2
    assert paths(proxy.flows) == ["/?mine", "/?other"]
    assert proxy.df["cell"].tolist() == [2, 1]


def test_hosts_can_be_left_alone(proxy, site, environ):
    environ["no_proxy"] = environ["NO_PROXY"] = "localhost,127.0.0.1,.corp.test"
    with proxy.capture() as cap:
        assert environ["no_proxy"] == environ["NO_PROXY"] == ".corp.test"
        requests.get(f"{site.http_url}/?1", timeout=60)
    with proxy.capture(no_proxy="127.0.0.1") as none:
        requests.get(f"{site.http_url}/?2", timeout=60)
    assert (len(cap), len(none)) == (1, 0)
    assert environ["no_proxy"] == "localhost,127.0.0.1,.corp.test"


def test_servers_are_believed_as_before(make_proxy, site, environ):
    """Certificates that clients are given while it is open are not for the proxy's own use."""
    proxy = make_proxy(ssl_verify_upstream_trusted_ca=None)
    environ["REQUESTS_CA_BUNDLE"] = site.ca_file
    with proxy.capture() as cap:
        assert requests.get(f"{site.https_url}/", timeout=60).status_code == 502
    assert "did not pass" in cap.flows[0].error.msg
    del environ["REQUESTS_CA_BUNDLE"]


def test_it_starts_the_proxy(make_proxy, site, environ):
    proxy = make_proxy()
    proxy.stop()
    with proxy.capture() as cap:
        requests.get(f"{site.http_url}/", timeout=60)
    assert len(cap) == 1


def test_a_folder_that_cannot_be_used_changes_nothing(proxy, environ, monkeypatch):
    before = dict(environ)
    capture = proxy.capture()
    monkeypatch.setattr(sys.modules[type(capture).__module__], "files_for", refuse)
    with pytest.raises(ConfigError):
        capture.open()
    assert dict(environ) == before


def refuse(*_):
    raise ConfigError("no")


def test_streams_under_way_are_in_it(proxy, make_origin, environ):
    go_on = threading.Event()

    def serve(wire):
        wire.message()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        assert go_on.wait(60)
        wire.send(b"b")

    origin = make_origin(serve)
    with proxy.capture() as cap:
        answer = requests.get(f"{origin.url}/", stream=True, timeout=60)
    wait_until(lambda: len(cap.flows) == 1)
    assert cap.flows[0].live
    go_on.set()
    assert answer.content == b"ab"
    wait_until(lambda: not cap.flows[0].live)
