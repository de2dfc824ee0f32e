"""Real traffic to look at: one proxy, two origins, clients that keep their connections."""

import http.client
import json
import ssl
from pathlib import Path

import pytest

import nbproxy
from tests.analysis.views import View
from tests.support.origins import Origin, issue
from tests.support.proxies import wait_until

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "flows"


@pytest.fixture(scope="session")
def data():
    """The folder of sample files, which lies beside the repository."""
    if not DATA.is_dir():
        pytest.fail(f"the sample files should be in {DATA}")
    return DATA


def answer(peer):
    """A small API: /users/<n>, /missing, /slow (in two pieces), /hang (never an answer)."""
    while (request := peer.next_request()) is not None:
        path = request.start[1].decode()
        status, body = b"200 OK", {"id": 17, "name": "Ada", "seen": None}
        if path == "/missing":
            status, body = b"404 Not Found", {"error": {"message": "there is no such thing"}}
        if path == "/hang":
            return
        data = json.dumps(body).encode()
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        peer.send(head % (status, len(data)))
        peer.send(data)


class Traffic:
    """Flows that passed a real proxy.

    Attributes:
        flows: All of them, in their order.
        secure: The port of the origin that speaks TLS.
        plain: The port of the other one.
    """

    def __init__(self, flows, secure, plain):
        self.flows = flows
        self.secure = secure
        self.plain = plain


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """Four requests on one TLS connection, two on a plain one, and three failures."""
    folder = tmp_path_factory.mktemp("traffic")
    ca = issue("Test CA", is_ca=True)
    leaf = issue("localhost", ca)
    trusted = folder / "ca.pem"
    trusted.write_bytes(ca.pem)
    with (
        Origin(answer, context=leaf.context()) as secure,
        Origin(answer) as plain,
        nbproxy.Proxy(port=0, confdir=folder, ssl_verify_upstream_trusted_ca=str(trusted)) as proxy,
    ):
        trust = ssl.create_default_context(cafile=proxy.ca_file)
        client = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=120, context=trust)
        client.set_tunnel("localhost", secure.port)
        for path in ("/users/1?token=s3cr3tvalue", "/users/2", "/users/me", "/missing"):
            fetch(client, path)
        client.close()
        client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=120)
        for path in ("/users/3", "/users/4"):
            fetch(client, f"http://127.0.0.1:{plain.port}{path}")
        fetch(client, f"http://127.0.0.1:{plain.port}/hang")
        fetch(client, "http://127.0.0.1:9/refused")
        client.close()
        client = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=120, context=trust)
        client.set_tunnel("127.0.0.1", plain.port)
        fetch(client, "/no-tls")
        client.close()
        flows = View(proxy.store)
        wait_until(
            lambda: len(flows) == 9 and not any(flow.live for flow in flows), "all flows are over"
        )
        yield Traffic(flows, secure.port, plain.port)


def fetch(client, path):
    client.request("GET", path, headers={"Authorization": "Bearer s3cr3ts3cr3t17"})
    return client.getresponse().read()
