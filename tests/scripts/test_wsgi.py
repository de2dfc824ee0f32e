"""Web applications in a server's place."""

import pytest

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.scripts.compat import wsgi


def flow_for(url, **more):
    return HTTPFlow(Request.make("POST", url, **more))


@pytest.mark.parametrize(
    ("url", "host", "port", "wanted"),
    [
        ("http://app/", "app", 80, True),
        ("http://APP/", "app", 80, True),
        ("http://app:81/", "app", 80, False),
        ("http://app:81/", "app", None, True),
        ("http://other/", "app", 80, False),
    ],
)
def test_whom_an_application_is_for(url, host, port, wanted):
    assert wsgi.matches(flow_for(url).request, host, port) is wanted


def test_by_the_host_field():
    flow = flow_for("http://127.0.0.1:8000/")
    flow.request.headers["host"] = "app:80"
    assert wsgi.matches(flow.request, "app", 80)


def test_what_the_application_gets():
    seen = {}
    closed = []

    class Body(list):
        def close(self):
            closed.append(True)

    def app(environ, start_response):
        seen.update(environ, body=environ["wsgi.input"].read())
        write = start_response("201 Made", [("X-A", "b"), ("Content-Length", "999")])
        write(b"first ")
        return Body([b"second"])

    flow = flow_for("https://app/a%20b?c=d", content=b"body", headers={"X-Own": "1"})
    wsgi.answer(app, flow)
    assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/a b", "c=d")
    assert (seen["wsgi.url_scheme"], seen["SERVER_PORT"]) == ("https", "443")
    assert (seen["HTTP_X_OWN"], seen["body"]) == ("1", b"body")
    assert (flow.response.status_code, flow.response.reason) == (201, "Made")
    assert flow.response.content == b"first second"
    assert flow.response.headers["content-length"] == "12"
    assert closed == [True]


def test_an_application_that_fails():
    flow = flow_for("http://app/")
    wsgi.answer(lambda environ, start_response: 1 / 0, flow)
    assert flow.response.status_code == 500
    assert "ZeroDivisionError" in flow.response.text


async def test_an_async_application_that_fails():
    async def app(scope, receive, send):
        raise ValueError((await receive())["body"])

    flow = flow_for("http://app/", content=b"body")
    await wsgi.ASGIApp(app, "app", 80).request(flow)
    assert "ValueError: b'body'" in flow.response.text


def test_the_registry():
    added = []
    registry = wsgi.Registry(added.append)
    registry.add("app", "name", 80)
    assert registry.get(flow_for("http://name/").request) == "app"
    assert registry.get(flow_for("http://other/").request) is None
    assert added[0].name == "wsgiapp:name:80"
