"""The notebook's own proxy, and the names of the package that act on it."""

import subprocess
import sys
import urllib.request

import pytest

import nbproxy
from nbproxy import _current
from nbproxy.errors import ConfigError


@pytest.fixture
def current(tmp_path):
    """A proxy of this test's own, which the names act on."""
    before = _current.peek()
    proxy = nbproxy.Proxy(port=0, confdir=tmp_path)
    _current.set(proxy)
    yield proxy
    proxy.close()
    _current.set(before)


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setattr(_current, "_proxy", None)


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_there_is_none_until_somebody_asks(nobody):
    assert _current.peek() is None
    proxy = _current.get(started=False)
    assert not proxy.running
    assert _current.peek() is _current.get(started=False) is proxy
    _current.set(None)
    assert _current.peek() is None


def test_it_is_started_when_it_is_needed(current):
    assert _current.get(started=False) is current
    assert not current.running
    assert _current.get() is current
    assert current.running
    port = current.port
    assert _current.get() is current  # it runs already
    assert current.port == port


def test_one_that_cannot_listen_is_tried_again(nobody, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    proxy = nbproxy.Proxy(port=0, confdir=tmp_path / "file")
    _current.set(proxy)
    for _ in range(2):
        with pytest.raises(ConfigError):
            _ = nbproxy.url
    assert _current.peek() is proxy
    proxy.close()


QUIET = ["ca_file", "clear", "df", "flows", "handlers", "off", "on", "options", "start", "stop"]


@pytest.mark.parametrize("name", QUIET)
def test_looking_at_it_does_not_start_it(current, name):
    value, own = getattr(nbproxy, name), getattr(current, name)
    assert value.equals(own) if name == "df" else value == own
    assert not current.running


@pytest.mark.parametrize("name", ["port", "proxies", "url"])
def test_an_address_is_one_that_answers(current, name):
    assert getattr(nbproxy, name) == getattr(current, name)
    assert current.running
    page = urllib.request.urlopen(f"http://127.0.0.1:{nbproxy.port}/", timeout=60)
    with page:
        assert page.status == 200


def test_names_follow_the_proxy(current, tmp_path):
    flows = nbproxy.flows
    other = nbproxy.Proxy(port=0, confdir=tmp_path)
    _current.set(other)
    assert nbproxy.flows is other.flows is not flows
    assert nbproxy.handlers is other.handlers
    assert nbproxy.options is other.options
    other.close()


def test_options_are_set_on_the_proxy(current):
    nbproxy.options.stream_large_bodies = "1k"
    assert current.options.stream_large_bodies == 1024
    with pytest.raises(ConfigError, match="did you mean"):
        nbproxy.options.stream_large_body = 1


@pytest.mark.parametrize("name", ["handlers", "options"])
def test_what_is_part_of_the_proxy_cannot_be_replaced(current, name):
    before = getattr(nbproxy, name)
    with pytest.raises(TypeError, match="cannot be replaced"):
        setattr(nbproxy, name, {})
    with pytest.raises(AttributeError):
        delattr(nbproxy, name)
    assert getattr(nbproxy, name) is before is getattr(current, name)


def test_imports_in_any_order_hide_nothing():
    code = """
import nbproxy
first = nbproxy.options
import nbproxy.options, nbproxy.handlers.calling
from nbproxy.options import OPTIONS
from nbproxy import handlers, options
print(options is first is nbproxy.options, type(handlers).__name__, len(OPTIONS) > 5)
"""
    assert python(code) == ["True", "Registry", "True"]


def test_reloading_keeps_the_proxy():
    """`%reload_ext nbproxy` makes the package's names anew; flows and handlers stay."""
    code = """
import importlib, sys, tempfile
import nbproxy
from nbproxy import _current
_current.set(nbproxy.Proxy(port=0, confdir=tempfile.mkdtemp()))
nbproxy.on("request")(print)
url, proxy, handlers, cls = nbproxy.url, _current.peek(), nbproxy.handlers, nbproxy.Proxy
again = importlib.reload(nbproxy)
print(again is nbproxy, nbproxy.url == url, nbproxy.handlers is handlers, len(handlers))
print(_current.peek() is proxy, nbproxy.Proxy is cls, proxy.running)
try:
    nbproxy.options = 1
except TypeError:
    print("kept")
nbproxy.stop()
proxy.close()
"""
    assert python(code) == ["True"] * 3 + ["1"] + ["True"] * 3 + ["kept"]
