"""The one-line orders: their options, their documentation, the names at module level."""

from __future__ import annotations

import inspect
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import nbproxy
from nbproxy import HTTPFlow, Proxy, Request, _current
from nbproxy.controls import Controls
from nbproxy.errors import ConfigError
from tests.support.clients import through
from tests.support.proxies import answering, response

ROOT = Path(__file__).parents[2]
NAMES = sorted(name for name in vars(Controls) if not name.startswith("_") and name != "resend")


@pytest.fixture
def origin(make_origin):
    return make_origin(
        answering(lambda m: response(m.target + b" " + b", ".join(m.all(b"user-agent"))))
    )


@pytest.mark.parametrize(
    "slip",
    [
        lambda proxy: proxy.intercept("~zz"),
        lambda proxy: proxy.next("~zz"),
        lambda proxy: proxy.next_sync("~zz"),
        lambda proxy: proxy.block("~zz"),
        lambda proxy: proxy.map_local("https://x.test/", "nowhere"),
        lambda proxy: proxy.map_remote("https://x.test/", "https://y.test/", filter="~zz"),
        lambda proxy: proxy.map_remote("https://x.test/", "nowhere"),
        lambda proxy: proxy.map_remote("|x"),
        lambda proxy: proxy.map_remote("|~zz|a|b"),
        lambda proxy: proxy.map_local("|x"),
        lambda proxy: proxy.map_local("|((|b"),
        lambda proxy: proxy.modify_headers("~zz", set={"a": "b"}),
        lambda proxy: proxy.modify_headers(set={"a b": "c"}),
        lambda proxy: proxy.modify_headers("|~zz|a|b"),
        lambda proxy: proxy.modify_body("|x"),
        lambda proxy: proxy.modify_body("|a|@nowhere"),
        lambda proxy: proxy.block("|~zz|404"),
        lambda proxy: proxy.modify_body("~s", "((", "b"),
        lambda proxy: proxy.throttle("~zz", latency=1),
        lambda proxy: proxy.replay_server("nowhere.har"),
        lambda proxy: proxy.cassette("nowhere.har", filter="~zz"),
        lambda proxy: proxy.cassette("nowhere.txt").__enter__(),
        lambda proxy: proxy.flows.filter("~zz"),
        lambda proxy: proxy.flows.replay_sync(vary=["page"]),
        lambda proxy: proxy.flows.replay_sync(body="x"),
        lambda proxy: HTTPFlow(Request.make("GET", "http://x.test/")).replay_sync(body="x"),
    ],
)
def test_a_slip_shows_the_users_line(proxy, slip):
    """IPython shows the frames that are not hidden, and the last one."""
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        slip(proxy)
    _, _, *inner = (frame for frame, _ in traceback.walk_tb(caught.value.__traceback__))
    shown = [f.f_code.co_qualname for f in inner[:-1] if "__tracebackhide__" not in f.f_locals]
    assert shown == []


@pytest.mark.parametrize("name", NAMES)
def test_each_is_documented_and_at_module_level(name, proxy, monkeypatch):
    method = getattr(Controls, name)
    assert "Raises:" in inspect.getdoc(method)
    documented = inspect.getdoc(method)
    for parameter in inspect.signature(method).parameters:
        assert parameter == "self" or f"{parameter}: " in documented, parameter
    monkeypatch.setattr(_current, "_proxy", proxy)
    assert name in nbproxy.__all__
    assert getattr(nbproxy, name) == getattr(proxy, name)


def test_what_is_held_is_at_module_level_too(proxy, monkeypatch):
    monkeypatch.setattr(_current, "_proxy", proxy)
    assert nbproxy.intercepts is proxy.intercepts


def test_rules_work_before_the_proxy_starts_and_after_it_stopped(make_proxy, confdir, origin):
    proxy = Proxy(port=0, confdir=str(confdir))
    proxy.block("~u /x")
    for _ in range(2):
        with proxy, through(proxy) as client:
            assert client.get(f"{origin.url}/x").status_code == 403
        proxy.start()
        proxy.stop()


# -- options


def test_options_make_rules(make_proxy, origin, tmp_path):
    (tmp_path / "file.txt").write_text("from a file")
    proxy = make_proxy(
        map_local=f"|a.test/file|{tmp_path / 'file.txt'}",
        map_remote=[f"|//b.test/|//127.0.0.1:{origin.port}/"],
        modify_headers=["/~q/user-agent/me", "/~q/user-agent/me"],
        modify_body=["/~s/from/out of"],
        block_list=[":~u /blocked:451", ":~u /also:404"],
    )
    with through(proxy) as client:
        assert client.get("http://a.test/file").text == "out of a file"
        assert client.get("http://b.test/x").text == "/x me, me"
        assert client.get(f"{origin.url}/blocked").status_code == 451
        assert client.get(f"{origin.url}/also").status_code == 404
        assert proxy.off() == 0  # they are not the handlers of a cell
        proxy.options.block_list = []
        assert client.get(f"{origin.url}/blocked").status_code == 200
        proxy.options.modify_headers = "/~q/user-agent/you"
        assert client.get(f"{origin.url}/x").text == "/x you"
    assert {h.source.label for h in proxy.handlers} == {
        *("map_local", "map_remote", "modify_headers", "modify_body")
    }


def test_off_takes_the_handle_of_a_rule_too(proxy):
    kept, rule = proxy.block("~u /a"), proxy.modify_headers("~u /b", set={"x": "y"})
    assert proxy.off(rule) > 0
    assert (kept.active, rule.active) == (True, False)
    assert proxy.off(rule) == 0


def test_what_is_no_rule_is_refused_and_the_old_ones_stay(proxy, origin):
    proxy.options.block_list = ":~u /x:404"
    for bad in ("/x", ":~c x:404", ":~u x:000"):
        with pytest.raises(ConfigError, match="block_list: "):
            proxy.options.block_list = bad
        assert proxy.options.block_list == (":~u /x:404",)
    with pytest.raises(ConfigError, match="map_local: there is no file or folder"):
        proxy.options.map_local = "|a|/no/such/folder"
    assert proxy.options.map_local == ()
    with through(proxy) as client:
        assert client.get(f"{origin.url}/x").status_code == 404


def test_so_it_is_when_a_proxy_is_made():
    with pytest.raises(ConfigError, match="modify_body: "):
        Proxy(modify_body="/(/x")


def test_on_the_command_line():
    command = [sys.executable, "-m", "nbproxy", "-n", "--set", "map_remote=|("]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode != 0
    assert "map_remote: " in done.stderr
    assert "Traceback" not in done.stderr
