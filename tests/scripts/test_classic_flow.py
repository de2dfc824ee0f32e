"""Flows, connections and context objects of eras A to C."""

import pytest

from nbproxy.hooks import TLSData
from nbproxy.model.connection import Client, Server
from nbproxy.model.flow import Error
from nbproxy.scripts.compat import classic, layers
from nbproxy.scripts.compat.classic_connections import KILL, Kill
from nbproxy.scripts.compat.classic_request import RequestB
from nbproxy.scripts.compat.classic_response import ResponseA, ResponseB, ResponseC
from nbproxy.scripts.compat.layers import RawTCPLayer, TlsLayer
from tests.scripts.classic_host import NotingHost, answered, new_flow

RESPONSES = {
    "A": lambda: ResponseA(None, (1, 1), 201, "Made", (), "here", None),
    "B": lambda: ResponseB((1, 1), 201, "Made", (), "here"),
    "C": lambda: ResponseC("HTTP/1.1", 201, "Made", (), "here"),
}


@pytest.fixture
def host():
    return NotingHost()


@pytest.fixture(params=["A", "B", "C"])
def era(request):
    return request.param


def test_a_flow_is_the_same_from_hook_to_hook(era, host):
    flow = answered(new_flow())
    shown = classic.view(era, flow, host)
    shown.mine = 1
    shown.request.mine = 2
    again = classic.view(era, flow, host)
    assert again is shown
    assert (again.mine, again.request.mine) == (1, 2)
    assert again.request is shown.request
    assert again.response is shown.response
    assert again.client_conn is shown.client_conn
    seen = {shown.server_conn}
    assert again.server_conn in seen
    copy = flow.copy()
    assert classic.view(era, copy, host) is not shown
    assert classic.view(era, copy, host).request is not shown.request


def test_eras_work_on_one_flow_at_once(host):
    flow = answered(new_flow())
    a, b, c = (classic.view(era, flow, host) for era in "ABC")
    a.response.headers["x"] = ["1"]
    assert b.response.headers["x"] == ["1"]
    c.response.headers["x"] += "2"
    assert a.response.headers.get_first("x") == "12"
    b.response.content = "from b"
    assert a.response.content == c.response.content == "from b"
    flow.response.text = "from today"
    assert a.response.content == "from today"


def test_answering_by_reply(era, host):
    flow = new_flow()
    shown = classic.view(era, flow, host)
    made = RESPONSES[era]()
    (shown.request if era == "A" else shown).reply(made)
    assert (flow.response.status_code, flow.response.content) == (201, b"here")
    assert shown.response is made
    shown.reply(KILL)  # the first call counts
    assert not flow._control.killed
    assert shown.reply.acked
    assert not classic.view(era, flow, host).reply.acked


@pytest.mark.parametrize("message", [KILL, 0, Kill, Kill("x")])
def test_killing_by_reply(era, host, message):
    flow = new_flow()
    shown = classic.view(era, flow, host)
    shown.reply(message)
    assert flow._control.killed
    assert shown.error.msg == str(shown.error) == "Connection killed"


def test_letting_go_by_reply(era, host):
    flow = new_flow()
    shown = classic.view(era, flow, host)
    shown.intercept(host)
    assert shown.intercepted
    shown.reply()
    assert flow._control.resumed
    shown.intercept()
    shown.accept_intercept(host)
    assert not shown.intercepted
    shown.kill(host)
    assert flow._control.killed


def test_killing_what_is_over(era, host):
    flow = answered(new_flow(live=False))
    shown = classic.view(era, flow, host)
    assert shown.live is False
    shown.kill(host)
    assert shown.error.msg == "Connection killed"


def test_matching(era, host):
    shown = classic.view(era, answered(new_flow()), host)
    assert shown.match("~d example")
    assert not shown.match("~m GET")
    assert shown.match(None)
    with pytest.raises(ValueError, match="Invalid filter"):
        shown.match("~nothing (")


def test_versions_of_a_flow(era, host):
    flow = answered(new_flow())
    shown = classic.view(era, flow, host)
    assert not shown.modified()
    shown.backup()
    assert shown.modified() is (era == "A")
    shown.request.path = "/changed"
    assert shown.modified()
    shown.revert()
    assert flow.request.path == "/p?a=1&b=2"
    assert not shown.modified()
    copy = shown.copy()
    copy.request.path = "/other"
    assert (shown.request.path, copy.id != shown.id) == ("/p?a=1&b=2", True)
    assert shown.get_state()["request"]["host"] == "example.com"


def test_errors(era, host):
    flow = new_flow()
    shown = classic.view(era, flow, host)
    assert shown.error is None
    flow.error = Error("Connection refused", 5.0)
    assert (str(shown.error), shown.error.timestamp) == ("Connection refused", 5.0)
    assert shown.error is shown.error
    shown.error = None
    assert flow.error is None


def test_a_flow_shows_itself(era, host):
    text = repr(classic.view(era, answered(new_flow()), host))
    assert text.startswith("<HTTPFlow\r\n  request = <Request")
    assert "response = <Response" in text


def test_connections(host):
    flow = new_flow()
    client, server = flow.client_conn, flow.server_conn
    assert classic.view("A", flow, host).client_conn.address == ("127.0.0.1", 5000)
    for era in ("B", "C"):
        shown = classic.view(era, flow, host)
        assert shown.client_conn.address == ("127.0.0.1", 5000)
        assert (shown.client_conn.address.host, shown.server_conn.address.port) == ("127.0.0.1", 80)
        assert shown.server_conn.address() == ("example.com", 80)
        assert shown.server_conn.peer_address.host == "93.184.216.34"
        assert not shown.client_conn.ssl_established
        client.sni = "named.example"
        assert shown.client_conn.connection.get_servername() == "named.example"
        with pytest.raises(NotImplementedError, match="reply"):
            shown.client_conn.send("x")
    server.timestamp_start, server.timestamp_tcp_setup = 1.0, 2.0
    shown = classic.view("B", flow, host).server_conn
    assert shown.timestamp_tcp_setup - shown.timestamp_start == 1.0
    assert (shown.timestamp_ssl_setup, shown.cert, shown.sni) == (None, None, None)
    shown.address = ("other", 81)
    assert server.address == ("other", 81)
    server.certificate_list = [b"der"]
    assert shown.cert.to_der() == b"der"


def test_what_connection_hooks_get(host):
    client, server = Client(), Server(("h", 1))
    client.peername = ("127.0.0.1", 1)
    a = classic.view("A", client, host)
    assert a.address == a.client_conn.address == ("127.0.0.1", 1)
    b = classic.view("B", client, host)
    assert (b.client_conn.address(), b.server_conn) == (("127.0.0.1", 1), None)
    assert b is classic.view("B", client, host)
    assert classic.view("B", server, host).server_conn.address() == ("h", 1)
    c = classic.view("C", client, host)
    assert c.address() == c.client_conn.address()
    assert classic.view("C", server, host).address() == ("h", 1)
    c.reply()
    assert client.error is None
    b.reply(KILL)
    assert client.error


def test_live_connections(host):
    flow = new_flow()
    live = classic.view("B", flow, host).live
    assert live
    assert live.c.server_conn.address.host == "example.com"
    assert live.c.client_conn is live.client_conn
    assert live.change_server(("localhost", 8082), persistent_change=True)
    assert (flow.request.host, flow.request.port) == ("localhost", 8082)
    assert flow.request.headers["host"] == "example.com"
    assert not live.change_server(("localhost", 8082), ssl=False)
    live.restore_server()
    with pytest.raises(NotImplementedError, match="another proxy"):
        classic.view("C", flow, host).live.change_upstream_proxy_server(("h", 1))


def test_other_eras_names_are_explained(host):
    flow = new_flow()
    with pytest.raises(AttributeError, match=r"mitmproxy 0\.14 to 0\.17 .*0\.18"):
        classic.view("C", flow, host).marked  # noqa: B018
    with pytest.raises(AttributeError, match=r"flow\.reply"):
        classic.view("B", flow, host).request.reply  # noqa: B018
    assert not hasattr(classic.view("B", flow, host), "metadata")


def test_the_context_object(era, host):
    context = classic.context(era, host)
    context.anything = {"kept": True}
    context.log("told")
    context.log(5, "error")
    assert host.logged == [("info", "told"), ("error", "5")]
    shown = classic.view(era, answered(new_flow()), host)
    copy = context.duplicate_flow(shown)
    assert copy is not shown
    copy.request.path = "/changed"
    assert context.replay_request(copy) is None
    assert host.replayed[0].request.path == "/changed"
    assert shown.request.path != "/changed"
    context.app_registry.add("app", "proxapp", 80)
    assert host.apps == [("app", "proxapp", 80)]
    context.add_contentview("view")
    context.remove_contentview("view")
    assert host.contentviews == []
    context.kill_flow(shown)
    assert shown.error is not None
    made = context._master.create_request("GET", "http", "nowhere", 80, "/")
    assert made.request.host == "nowhere"
    assert context._master.replay_request(made, block=True) == "nothing to replay"
    context._master.add_event("event", "debug")
    assert host.logged[-1] == ("debug", "event")
    context._master.shutdown()
    assert host.stopped
    assert context._master.apps is host


def test_passing_tls_through(host):
    client = Client()
    client.tunnel = ("secret.example", 443)
    data = TLSData(client, client, "secret.example")
    layer = classic.view("C", data, host)
    assert classic.view("C", data, host) is layer
    assert isinstance(layer, TlsLayer)
    assert layer._client_tls
    assert layer.server_conn.address == ("secret.example", 443)
    layer.reply(RawTCPLayer(layer.ctx, logging=False))
    assert data.ignore_connection


@pytest.mark.parametrize("established", [True, False])
def test_learning_how_tls_ended(host, established):
    results = []

    class Feedback(TlsLayer):
        def _establish_tls_with_client(self):
            try:
                super()._establish_tls_with_client()
            except Exception as error:
                results.append(str(error))
                raise
            results.append(True)

    client = Client()
    data = TLSData(client, client, "h")
    classic.view("C", data, host).__class__ = Feedback
    if established:
        client.timestamp_tls_setup = 1.0
    else:
        client.error = "unknown CA"
    layers.finished(data)
    assert results == [True if established else "unknown CA"]
    layers.finished(TLSData(Client()))  # nobody cares


def test_what_is_not_ours_stays(era, host):
    assert classic.view(era, 5, host) == 5
    request = new_flow().request
    assert classic.view(era, request).host == "example.com"
    assert classic.view("B", request).__class__ is RequestB
