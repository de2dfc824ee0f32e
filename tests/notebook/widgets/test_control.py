"""The control endpoint: who may come in, and that it is no traffic."""

import gc
import http.client
import json

import pytest

from nbproxy import Proxy
from nbproxy.engine import door
from nbproxy.notebook.widgets.control import Control, control_of

HERE = ("127.0.0.1", 50000)


class Desk:
    """Takes messages as an inspector does."""

    def __init__(self):
        self.got = []

    def deliver(self, message):
        self.got.append(message)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with Proxy(port=0, confdir=str(tmp_path_factory.mktemp("confdir"))) as proxy:
        yield proxy


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def control(proxy, desk):
    control = control_of(proxy)
    control.add("here", desk)
    return control


def knock(control, *, method=b"POST", body=b'{"kind": "do"}', peer=HERE, path=b"here", **fields):
    """Ask at the door; a field that is None is not sent."""
    named = {
        "host": "127.0.0.1:8080",
        "origin": "http://localhost:8888",
        "content-type": "application/json",
        "x-nbproxy-token": control.token,
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    pairs = tuple((n.encode(), v.encode()) for n, v in named.items() if v is not None)
    status, answer = control(method, path, pairs, body, peer)
    return status, dict(answer)


def test_a_message_comes_in(control, desk):
    status, fields = knock(control)
    assert status == 204
    assert desk.got == [{"kind": "do"}]
    assert fields[b"access-control-allow-origin"] == b"http://localhost:8888"
    assert fields[b"vary"] == b"origin"


def test_through_jupyter_server_proxy(control, desk, proxy):
    place = f"/user/me/proxy/{proxy.port}"
    forwarded = {"host": "hub.example.org", "origin": "https://hub.example.org"}
    assert knock(control, **forwarded, x_forwarded_prefix=place)[0] == 204
    assert knock(control, **forwarded, x_proxycontextpath=place)[0] == 204
    assert knock(control, **forwarded, x_forwarded_prefix="/user/me/proxy/1")[0] == 403
    assert knock(control, **forwarded)[0] == 403
    forwarded["host"] = "localhost:8888"  # as some servers in between have it
    assert knock(control, **forwarded, x_forwarded_prefix=place)[0] == 204
    assert len(desk.got) == 3


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"x_nbproxy_token": "wrong"}, 403),
        ({"x_nbproxy_token": None}, 403),
        ({"x_nbproxy_token": "ü"}, 403),
        ({"origin": None}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"host": "evil.example:8080", "origin": "http://evil.example:8080"}, 403),
        ({"host": "evil.example:8080"}, 403),
        ({"host": None}, 403),
        ({"peer": ("192.0.2.1", 5)}, 403),
        ({"peer": None}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"method": b"GET"}, 405),
        ({"path": b"elsewhere"}, 404),
        ({"body": b"{"}, 400),
        ({"body": b"[" * 100_000}, 400),
    ],
)
def test_others_do_not(control, desk, fields, status):
    assert knock(control, **fields)[0] == status
    assert not desk.got


def test_before_a_page_may_ask(control):
    """A preflight (Fetch, 4.8): it has no token, and its answer no secret."""
    fields = {"content_type": None, "x_nbproxy_token": None, "method": b"OPTIONS"}
    status, answer = knock(control, **fields, access_control_request_private_network="true")
    assert status == 204
    assert b"x-nbproxy-token" in answer[b"access-control-allow-headers"]
    assert answer[b"access-control-allow-private-network"] == b"true"
    assert knock(control, **fields, origin="https://evil.example") == (403, {})


def test_an_inspector_that_is_gone(control):
    control.add("gone", Desk())
    gc.collect()
    assert knock(control, path=b"gone")[0] == 404


def test_what_the_browser_must_know(proxy, control):
    access = control.access("here")
    assert access == {"port": proxy.port, "path": "/-/nbproxy/here", "token": control.token}
    assert len(control.token) > 30
    assert control_of(proxy) is control
    assert Control(Proxy(loop="thread")).access("here") is None  # stopped


def ask(proxy, method, path, body=None, **fields):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def ask_too_much(proxy, path):
    """Send just as much of a body as is read; the answer comes before the rest."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    connection.putrequest("POST", path)
    connection.putheader("content-length", str(5 * 2**20))
    connection.endheaders(b"x" * (door._MAX_BODY + 1))
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_over_the_wire_it_is_no_traffic(proxy, control, desk):
    seen = []

    @proxy.on("request")
    def see(flow):
        seen.append(flow)

    count = len(proxy.flows)
    access = control.access("here")
    fields = {
        "origin": "http://localhost:8888",
        "content_type": "application/json",
        "x_nbproxy_token": access["token"],
    }
    message = {"kind": "do", "id": "1", "text": "x" * 100_000}
    answer = ask(proxy, "POST", access["path"], json.dumps(message), **fields)
    assert answer.status == 204
    assert desk.got == [message]
    assert ask(proxy, "POST", access["path"], "{}", origin="http://localhost:1").status == 403
    assert ask_too_much(proxy, access["path"]).status == 413
    assert len(desk.got) == 1
    assert len(proxy.flows) == count
    assert not seen


def test_without_an_inspector_there_is_no_door(tmp_path):
    with Proxy(port=0, confdir=str(tmp_path)) as proxy:
        assert ask(proxy, "POST", "/-/nbproxy/x", "{}", origin="http://localhost:1").status == 404
        control = control_of(proxy)
        assert ask(proxy, "POST", "/-/nbproxy/x", "{}", origin="http://localhost:1").status == 403
        proxy.stop()
        proxy.start()  # it is still there
        control.add("here", desk := Desk())
        access = control.access("here")
        fields = {"origin": "http://127.0.0.1:1", "content_type": "application/json"}
        fields["x_nbproxy_token"] = access["token"]
        assert ask(proxy, "POST", access["path"], "{}", **fields).status == 204
        assert desk.got == [{}]
