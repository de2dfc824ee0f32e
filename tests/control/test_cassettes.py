"""Cassettes: recorded the first time, answered from the file ever after."""

from __future__ import annotations

import asyncio
import subprocess
import threading

import httpx
import pytest

import nbproxy
from nbproxy import Response
from tests.support.clients import aside, through, through_async
from tests.support.proxies import answering, response, wait_until


@pytest.fixture
def origin(make_origin):
    """Counts."""
    count = iter(range(1000))
    return make_origin(answering(lambda m: response(b"%d %b" % (next(count), m.target))))


@pytest.fixture(params=["nbproxy", "mitm", "har"])
def path(request, tmp_path):
    return tmp_path / f"tape.{request.param}"


def get(proxy, *urls):
    with through(proxy) as client:
        return [client.get(url).text for url in urls]


def test_the_first_time_is_recorded_and_then_answered(proxy, origin, path):
    urls = [f"{origin.url}/a", f"{origin.url}/b", f"{origin.url}/a"]
    with proxy.cassette(path) as tape:
        first = get(proxy, *urls)
        assert tape.recorded == 3
    assert first == ["0 /a", "1 /b", "2 /a"]
    assert path.stat().st_mode & 0o777 == 0o600
    attempts = origin.attempts
    for _ in range(2):
        with proxy.cassette(path) as tape:
            assert get(proxy, *urls) == first
        assert (tape.hits, tape.misses, tape.recorded) == (3, 0, 0)
    assert origin.attempts == attempts
    assert get(proxy, urls[0]) == ["3 /a"]  # outside of the block nothing is answered
    assert len(proxy.handlers) == 0


def test_what_was_not_recorded_is_refused(proxy, origin, path):
    with proxy.cassette(path):
        get(proxy, f"{origin.url}/a")
    before = path.read_bytes()
    with proxy.cassette(path) as tape:
        (text,) = get(proxy, f"{origin.url}/new")
    assert f"{path.name} has no answer to GET {origin.url}/new" in text
    assert tape.misses == 1
    assert "1 refused" in repr(tape)
    assert path.read_bytes() == before


def test_new_ones_are_added(proxy, origin, path):
    for urls in (["/a"], ["/a", "/b"], ["/a", "/b"]):
        with proxy.cassette(path, mode="new") as tape:
            got = get(proxy, *(origin.url + each for each in urls))
    assert got == ["0 /a", "1 /b"]
    assert (tape.hits, tape.recorded) == (2, 0)
    assert len(nbproxy.open(path)) == 2


def test_all_is_recorded_anew(proxy, origin, path):
    for expected in ("0 /a", "1 /a"):
        with proxy.cassette(path, mode="all"):
            assert get(proxy, f"{origin.url}/a") == [expected]
    assert [flow.response.text for flow in nbproxy.open(path)] == ["1 /a"]


def test_none_needs_the_file(proxy, origin, path):
    with pytest.raises(FileNotFoundError, match="no cassette"), proxy.cassette(path, mode="none"):
        pass
    assert len(proxy.handlers) == 0
    with proxy.cassette(path):
        get(proxy, f"{origin.url}/a")
    with proxy.cassette(path, mode="none"):
        assert get(proxy, f"{origin.url}/a") == ["0 /a"]


def test_a_block_that_fails_writes_nothing(proxy, origin, path):
    def fail():
        with proxy.cassette(path):
            get(proxy, f"{origin.url}/a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not path.exists()
    assert len(proxy.handlers) == 0


def test_nor_does_one_without_traffic_which_says_so(proxy, path):
    said = pytest.warns(UserWarning, match=r"no request came .* recorded.*nbproxy\.capture\(\)")
    with said, proxy.cassette(path):
        pass
    assert not path.exists()


def test_clients_that_know_of_no_proxy_are_told_by_a_capture(make_proxy, origin, path):
    proxy = make_proxy(ssl_insecure=True)
    answers = []
    for _ in range(2):
        with proxy.capture(), proxy.cassette(path) as tape:
            answers.append(httpx.get(f"{origin.url}/x", timeout=60).text)
    assert tape.hits == 1
    assert answers[0] == answers[1]


def test_handlers_do_to_recorded_ones_what_they_did_to_live_ones(proxy, origin, path):
    @proxy.on("request")
    def more(flow):
        flow.request.path += "+"

    @proxy.on("response")
    def change(flow):
        flow.response.text += "!"

    seen = []
    for _ in range(2):
        with proxy.cassette(path):
            seen += get(proxy, f"{origin.url}/a")
    assert seen == ["0 /a+!", "0 /a+!"]
    (flow,) = nbproxy.open(path)
    assert (flow.request.path, flow.response.text) == ("/a", "0 /a+")


def test_streamed_bodies_both_ways(make_proxy, make_origin, path):
    origin = make_origin(answering(lambda m: response(m.body[::-1])))
    body = bytes(range(256)) * 40
    for name in ("first", "second"):
        proxy = make_proxy(stream_large_bodies=1000 if name == "first" else 10**6)
        with proxy.cassette(path), through(proxy) as client:
            assert client.post(origin.url, content=body).content == body[::-1]
    assert origin.attempts == 1


def test_https_offline(make_proxy, make_origin, path):
    origin = make_origin(answering(lambda m: response(m.target)), tls=True)
    for _ in range(2):
        proxy = make_proxy()
        with proxy.cassette(path):
            assert get(proxy, f"{origin.url}/x") == ["/x"]
    assert origin.attempts <= 2  # one for the names in the certificate, one for the request


def test_only_what_the_filter_names(proxy, origin, path):
    for expected in (["0 /a", "1 /b"], ["0 /a", "2 /b"]):
        with proxy.cassette(path, filter="~u /a"):
            assert get(proxy, f"{origin.url}/a", f"{origin.url}/b") == expected


def test_fields_that_do_not_matter(proxy, origin, path):
    for stamp in ("1", "2"):
        with proxy.cassette(path, ignore=["ts"]):
            assert get(proxy, f"{origin.url}/a?ts={stamp}") == ["0 /a?ts=1"]


def test_failures_are_not_recorded(proxy, origin, make_origin, path):
    broken = make_origin(lambda wire: None)
    with proxy.cassette(path) as tape, through(proxy) as client:
        assert client.get(broken.url).status_code == 502
        client.get(f"{origin.url}/a")
    assert tape.recorded == 1
    assert len(nbproxy.open(path)) == 1


def test_the_end_waits_for_what_is_under_way(proxy, make_origin, path, monkeypatch):
    monkeypatch.setattr("nbproxy.cassettes.SETTLE_S", 60.0)
    go = threading.Event()
    origin = make_origin(answering(lambda m: go.wait(60) and response(m.target)))
    with proxy.cassette(path):
        slow = aside(lambda: get(proxy, f"{origin.url}/slow"))
        wait_until(lambda: origin.wires)  # the cassette has seen the request by then
        threading.Timer(0.1, go.set).start()
    assert slow.result(60) == ["/slow"]
    assert len(nbproxy.open(path)) == 1


def test_but_not_for_ever(proxy, make_origin, path, monkeypatch):
    monkeypatch.setattr("nbproxy.cassettes.SETTLE_S", 0.05)
    go = threading.Event()
    origin = make_origin(answering(lambda m: go.wait(60) and response(m.target)))

    def leave():
        with proxy.cassette(path):
            slow = aside(lambda: get(proxy, f"{origin.url}/slow"))
            wait_until(lambda: origin.wires)
        return slow

    with pytest.warns(UserWarning, match="1 request still under way"):
        slow = leave()
    assert not path.exists()
    go.set()
    slow.result(60)


async def test_async_with_on_the_same_loop(confdir, make_origin, path):
    origin = make_origin(answering(lambda m: response(m.target)))
    async with nbproxy.Proxy(port=0, confdir=str(confdir)) as proxy:
        for _ in range(2):
            async with proxy.cassette(path) as tape, through_async(proxy) as client:
                assert (await client.get(f"{origin.url}/x")).text == "/x"
        assert (tape.hits, tape.recorded) == (1, 0)
        with proxy.cassette(path, mode="new") as tape:  # a plain block works there too
            async with through_async(proxy) as client:
                assert (await client.get(f"{origin.url}/y")).text == "/y"
        assert tape.recorded == 1
    assert len(nbproxy.open(path)) == 2


async def test_async_with_from_another_loop(proxy, origin, path):
    for _ in range(2):
        async with proxy.cassette(path), through_async(proxy) as client:
            answers = await asyncio.gather(*(client.get(f"{origin.url}/{n}") for n in range(5)))
    assert sorted(answer.text[-1] for answer in answers) == list("01234")
    assert len(nbproxy.open(path)) == 5


def test_with_curl(proxy, origin, path):
    for _ in range(2):
        with proxy.cassette(path):
            done = subprocess.run(
                ["curl", "-s", "-x", proxy.url, f"{origin.url}/c"],
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            assert done.stdout == "0 /c"


def test_answers_of_handlers_are_recorded_too(proxy, path):
    rule = proxy.on("request")(lambda flow: setattr(flow, "response", Response.make(200, "made")))
    with proxy.cassette(path):
        assert get(proxy, "http://nowhere.test/") == ["made"]
    proxy.off(rule)
    with proxy.cassette(path):
        assert get(proxy, "http://nowhere.test/") == ["made"]


def test_the_proxys_own_page_is_none_of_its_business(proxy, path):
    with proxy.cassette(path) as tape, httpx.Client(trust_env=False, timeout=60) as client:
        assert client.get(f"{proxy.url}/proxy.pac").status_code == 200
    assert tape.recorded == 0


def test_mistakes(proxy, tmp_path):
    with pytest.raises(ValueError, match="'once', 'new', 'none', 'all'"):
        proxy.cassette(tmp_path / "x.mitm", mode="some")
    with pytest.raises(ValueError, match=r"\$"):
        proxy.cassette(tmp_path / "x.mitm", ignore="$")


@pytest.mark.parametrize("mode", ["once", "new", "all"])
@pytest.mark.parametrize("name", ["tape", "tape.txt", "tape.curl.sh", "tape.NBPROXY"])
def test_a_name_without_a_format_is_refused_before_anything_passes(proxy, tmp_path, name, mode):
    tape = proxy.cassette(tmp_path / name, mode)
    with pytest.raises(ValueError, match=r"should end with one of \.nbproxy, \.mitm"), tape:
        pytest.fail("it was entered")
    assert len(proxy.handlers) == 0


def test_so_is_a_folder_that_is_not_there(proxy, tmp_path):
    tape = proxy.cassette(tmp_path / "none" / "tape.har")
    with (
        pytest.raises(FileNotFoundError, match=r"no folder '.*none' to record 'tape\.har' in"),
        tape,
    ):
        pytest.fail("it was entered")
    assert len(proxy.handlers) == 0


def test_what_only_answers_may_be_called_anything(proxy, origin, tmp_path):
    with proxy.cassette(tmp_path / "tape.har"):
        get(proxy, f"{origin.url}/a")
    (tmp_path / "tape.har").rename(tmp_path / "tape")
    with proxy.cassette(tmp_path / "tape") as tape:
        assert get(proxy, f"{origin.url}/a") == ["0 /a"]
    assert tape.hits == 1


def test_what_it_says_of_itself(proxy, path):
    with pytest.warns(UserWarning, match="no request"), proxy.cassette(path, mode="all") as tape:
        assert repr(tape) == f"<cassette {path.name} (all): 0 recorded, 0 hits, 0 refused>"
    assert repr(tape).endswith("off>")
