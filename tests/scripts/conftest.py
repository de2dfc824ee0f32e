"""Fixtures of scripts' tests: written to files, in proxies that listen and in such that do not."""

import sys
import urllib.request
from textwrap import dedent

import pytest

import nbproxy
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response
from nbproxy.scripts import reload
from tests.support.proxies import (
    confdir,
    connect,
    identity,
    make_origin,
    make_proxy,
    proxy,
    site,
    trusted,
)

__all__ = [
    "confdir",
    "connect",
    "identity",
    "make_origin",
    "make_proxy",
    "proxy",
    "site",
    "trusted",
]


@pytest.fixture
def write(tmp_path):
    """Writes a script's file: `write("a.py", source)`; gives its path."""

    def make(name, source):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source), "utf-8")
        return path

    return make


@pytest.fixture
def idle(confdir, monkeypatch):
    """A proxy that does not listen: for scripts on flows. What is loaded again it is by hand."""
    monkeypatch.setattr(reload, "LOOK_S", 3600.0)
    proxy = nbproxy.Proxy(port=0, confdir=str(confdir))
    yield proxy
    proxy.close()


@pytest.fixture
def fetch(proxy):
    """Asks for a URL through the proxy: `fetch(url, data)`; gives the response, read."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxy.proxies))

    def get(url, data=None, headers=(), method=None):
        request = urllib.request.Request(url, data, dict(headers), method=method)
        try:
            answer = opener.open(request, timeout=120)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            answer.body = answer.read()
        return answer

    return get


@pytest.fixture
def make_flow():
    """Makes a stored flow with a response."""

    def make(url="http://example.org/path?a=1", body=b"hello", status=200, headers=None):
        flow = HTTPFlow(Request.make("GET", url, headers={"accept": "text/html"}))
        headers = {"content-type": "text/plain", **(headers or {})}
        flow.response = Response.make(status, body, headers)
        return flow

    return make


@pytest.fixture
def texts():
    """What the log holds, as text: `texts(proxy, level)`."""

    def get(proxy, level=None):
        return [entry.text for entry in proxy.log.filter(level)]

    return get


@pytest.fixture(autouse=True)
def unchanged():
    """Scripts leave no trace in the process: modules, paths, arguments, builtins."""
    import builtins
    import logging

    names = {"mitmproxy", "libmproxy", "netlib", "pathod"}
    before = (
        list(sys.path),
        list(sys.argv),
        dict(vars(builtins)),
        list(logging.root.handlers),
        logging.root.level,
    )
    yield
    assert not names & {name.partition(".")[0] for name in sys.modules}
    after = (
        list(sys.path),
        list(sys.argv),
        dict(vars(builtins)),
        list(logging.root.handlers),
        logging.root.level,
    )
    assert after == before
