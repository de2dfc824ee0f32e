"""Code for new cells: it runs, sends the same, goes through the proxy, and holds no secret."""

import pytest

import nbproxy
from nbproxy import Proxy, _current
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request
from nbproxy.notebook.widgets import newcell
from tests.support.proxies import wait_until


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with Proxy(port=0, confdir=str(tmp_path_factory.mktemp("confdir"))) as proxy:

        @proxy.on("request")
        def answer(flow):
            flow.response = nbproxy.Response.make(200, "made up")

        yield proxy


SECRETS = ("hunter2hunter2", "abcdefgh12345678", "s3cr3tvalue")


def a_flow(method="POST", path="/login?token=hunter2hunter2&page=1", body=b"user=ada"):
    headers = [
        (b"Host", b"example.test"),
        (b"X-Plain", b"it's \\ here"),
        (b"Authorization", b"Bearer abcdefgh12345678"),
        (b"Cookie", b"sid=s3cr3tvalue"),
        (b"Content-Type", b"application/x-www-form-urlencoded"),
    ]
    request = Request(
        method, "http", "example.test", 80, path, headers=Headers(headers), content=body
    )
    return HTTPFlow(request)


def run(proxy, flow, library):
    """Run a cell, and give the flow that it made."""
    proxy.store.opened(flow)
    proxy.store.closed(flow)
    code = newcell.code(flow, library)
    names = {}
    exec(compile(code, "cell", "exec"), names)
    assert names["response"].text == "made up"
    wait_until(lambda: proxy.flows[-1].id != flow.id)
    return code, proxy.flows[-1]


@pytest.fixture(autouse=True)
def _own(monkeypatch, proxy):
    monkeypatch.setattr(_current, "_proxy", proxy)


@pytest.mark.parametrize("library", newcell.LIBRARIES)
@pytest.mark.parametrize("body", [b"user=ada", b"user=ada&password=hunter2hunter2", b""])
def test_the_same_is_sent_without_its_secrets_in_the_code(proxy, library, body):
    flow = a_flow(body=body)
    code, sent = run(proxy, flow, library)
    for secret in SECRETS:
        assert secret not in code
    assert f"nbproxy.flows.by_id({flow.id})" in code
    assert sent.request.method == "POST"
    assert sent.request.path == flow.request.path
    assert sent.request.raw_content == body
    for name in ("x-plain", "authorization", "cookie", "content-type"):
        assert sent.request.headers[name] == flow.request.headers[name]
    if body:
        assert sent.request.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("library", newcell.LIBRARIES)
def test_without_secrets_there_is_no_look_at_the_flow(proxy, library):
    flow = a_flow("GET", "/plain?page=1", b"")
    flow.request.headers = Headers([(b"Host", b"example.test"), (b"X-A", b"1")])
    code, sent = run(proxy, flow, library)
    assert "by_id" not in code
    assert code.startswith(f"# flow {flow.id}, sent again\n")
    assert sent.request.path == "/plain?page=1"
    assert "nbproxy.ca_file" in code


def test_what_repeats_is_taken_one_by_one(proxy):
    flow = a_flow("GET", "/", b"")
    flow.request.headers = Headers(
        [(b"Host", b"example.test"), (b"Cookie", b"a=1one"), (b"cookie", b"b=2two")]
    )
    code, sent = run(proxy, flow, "httpx")
    assert "[1]" in code
    assert "1one" not in code
    assert sent.request.headers.get_all("cookie") == ["a=1one", "b=2two"]


def test_nonsense():
    with pytest.raises(ValueError, match="requests or httpx"):
        newcell.code(a_flow(), "curl")
    with pytest.raises(ValueError, match="CONNECT"):
        newcell.code(a_flow("CONNECT"), "requests")
