"""The door: requests of the proxy's own that are no traffic, over real sockets."""

import pytest

from nbproxy import Proxy
from nbproxy.engine.door import PREFIX
from tests.support.rawclient import RawClient

CLOSE = b"Connection: close\r\n"


class Porter:
    """A door that keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, method, path, fields, body, peer):
        self.asked.append((method, path, dict(fields), body, peer))
        return 204, ((b"X-By", b"porter"),)


@pytest.fixture
def porter():
    return Porter()


@pytest.fixture
def proxy(porter, confdir):
    with Proxy(port=0, confdir=confdir) as proxy:
        proxy.set_door(porter)
        yield proxy


def ask(proxy, raw):
    with RawClient(proxy.port) as client:
        client.send(raw)
        return client.read_to_end()


def request(target=PREFIX + b"desk", body=b"hello", extra=b""):
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (
        target,
        len(body),
        extra,
        body,
    )


def test_it_is_answered_and_not_recorded(proxy, porter):
    answer = ask(proxy, request())
    assert answer.statuses == [204]
    assert answer.raw.startswith(b"HTTP/1.1 204 No Content\r\nX-By: porter\r\n")
    assert b"content-length" not in answer.raw.lower()
    assert answer.ended == "fin"
    (method, path, fields, body, peer) = porter.asked[0]
    assert (method, path, body) == (b"POST", b"desk", b"hello")
    assert fields[b"Host"] == b"x"
    assert peer[0] == "127.0.0.1"
    assert len(proxy.flows) == 0


def test_a_body_that_must_be_asked_for(proxy, porter):
    with RawClient(proxy.port) as client:
        client.send(request(extra=b"Expect: 100-continue\r\n").removesuffix(b"hello"))
        assert b" 100 " in client.read_until(b"\r\n\r\n")
        client.send(b"hello")
        assert client.read_to_end().statuses[-1] == 204
    assert porter.asked[0][3] == b"hello"


def test_too_much(proxy, porter):
    answer = ask(proxy, request(body=b"x" * (5 * 2**20)))
    assert answer.statuses == [413]
    assert not porter.asked


def test_a_client_that_leaves(proxy, porter):
    with RawClient(proxy.port) as client:
        client.send(request()[:-2])
    assert not porter.asked
    assert ask(proxy, request()).statuses == [204]


def test_what_is_no_such_request(proxy, porter):
    """The same path as part of a URL is somebody else's."""
    whole = b"http://127.0.0.1:1" + PREFIX + b"desk"
    assert ask(proxy, request(whole, extra=CLOSE)).statuses == [502]
    assert not porter.asked
    proxy.set_door(None)
    assert ask(proxy, request(extra=CLOSE)).statuses == [400]
