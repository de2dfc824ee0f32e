"""Views of flows as scripts since 0.18 see them."""

import pytest

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Response
from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage
from nbproxy.scripts.compat import flows
from nbproxy.scripts.compat.flows import Address, ControlException, real, view
from nbproxy.scripts.compat.tolerant import TolerantBytes
from nbproxy.scripts.eras import Era


def test_identity_and_write_through(make_flow):
    flow = make_flow()
    shown = view(Era.H, flow)
    assert view(Era.H, flow) is shown
    assert shown.request is shown.request
    assert view(Era.F, flow) is not shown
    assert real(shown) is flow
    assert isinstance(shown, flows.Flow)
    shown.request.path = "/other"
    shown.response.status_code = 404
    shown.comment = "seen"
    shown.anything = 5
    assert (flow.request.path, flow.response.status_code) == ("/other", 404)
    assert (flow.comment, flow.anything) == ("seen", 5)
    shown.response = flows.Response.make(418)
    assert isinstance(flow.response, Response)
    copy = shown.request.copy()
    assert copy is not shown.request
    copy.path = "/copy"
    assert shown.request.path == "/other"


def test_ids_are_uuids(make_flow):
    one, two = view(Era.H, make_flow()), view(Era.H, make_flow())
    assert len(one.id) == 36
    assert one.id == one.id != two.id
    assert one.client_conn.id != one.server_conn.id


def test_flows_from_scratch():
    flow = flows.Flow(flows.Client(peername=("::1", 5)), flows.Server(("example.org", 443)))
    flow.request = flows.Request.make("GET", "https://example.org/")
    assert isinstance(real(flow), HTTPFlow)
    assert flow.server_conn.address == ("example.org", 443)
    assert flow.client_conn.peername == ("::1", 5)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((b"HTTP/1.1", 404, b"Gone", [(b"A", b"b")], b"x"), {}),
        (("HTTP/1.1", 404, "Gone", [(b"A", b"b")], b"x", 1.0, 2.0), {}),
        (("HTTP/1.1", 404, "Gone", [(b"A", b"b")], b"x", None, 1.0, 2.0), {}),
        (([1, 1], 404, "Gone", {"A": "b"}, "x"), {"timestamp_start": 1.0}),
    ],
)
def test_constructing_responses(args, kwargs):
    response = flows.Response(*args, **kwargs)
    own = real(response)
    assert (own.http_version, own.status_code, own.reason) == ("HTTP/1.1", 404, "Gone")
    assert (own.headers["a"], own.content) == ("b", b"x")


def test_constructing_requests():
    old = flows.Request(
        "absolute", "GET", "http", "a.org", 80, "/p", "HTTP/1.1", [(b"Host", b"a.org")], b""
    )
    new = flows.Request(
        "a.org",
        80,
        b"GET",
        b"http",
        b"",
        b"/p",
        b"HTTP/1.1",
        [(b"Host", b"a.org")],
        b"",
        None,
        1,
        2,
    )
    assert old.url == new.url == "http://a.org/p"
    assert real(new).timestamp_end == 2


@pytest.mark.parametrize(("era", "host"), [("D", "b"), ("F", "b"), ("G", "b"), ("H", "b:8000")])
def test_the_host_field_follows_the_eras_way(make_flow, era, host):
    flow = make_flow("http://a:8000/")
    shown = view(Era(era), flow)
    shown.request.host = "b"
    assert (flow.request.host, flow.request.headers["host"]) == ("b", host)
    shown.request.port = 81
    assert flow.request.headers["host"] == ("b:81" if era == "H" else host)


def test_bodies_of_0_18_take_text(make_flow):
    content = view(Era.D, make_flow()).response.content
    assert content.replace("ell", "ELL") == b"hELLo"
    assert "hell" in content
    assert content + "!" == "hello!"
    assert content.startswith(("he", "x"))
    assert isinstance(content.split("l")[0], bytes)
    assert TolerantBytes(b"%s") % "x" == b"x"
    assert hash(content) == hash(b"hello")
    assert type(view(Era.H, make_flow()).response.content) is bytes


def test_replace_until_5(make_flow):
    flow = make_flow("http://a/hello?x=hello", headers={"x-hello": "hello"})
    shown = view(Era.E, flow)
    assert shown.replace("h(el+)o", r"j\\1y") == 5
    assert flow.request.path == "/jelly?x=jelly"
    assert flow.response.headers["x-jelly"] == "jelly"
    assert flow.response.content == b"jelly"
    with pytest.raises(AttributeError, match=r"gone since mitmproxy 5\.2"):
        view(Era.H, flow).request.replace("a", "b")


def test_headers_of_older_eras_are_live(make_flow):
    flow = make_flow()
    headers = view(Era.F, flow).response.headers
    flow.response.headers["x"] = "1"
    assert headers["x"] == "1"
    headers["y"] = "2"
    assert flow.response.headers["y"] == "2"
    assert headers.copy() == flow.response.headers
    assert headers.replace("x: 1", "x: 3") == 1
    assert flow.response.headers["x"] == "3"
    view(Era.F, flow).request.headers = headers
    assert flow.request.headers == flow.response.headers


def test_marks_and_reply(make_flow):
    flow = make_flow()
    old, new = view(Era.F, flow), view(Era.H, flow)
    old.marked = True
    assert (old.marked, new.marked) == (True, ":default:")
    assert old.reply is old.reply
    old.reply.ack()
    old.reply.take()
    old.reply.kill()
    old.reply.commit()
    old.reply.send(flows.Response.make(204))
    assert flow.response.status_code == 204
    with pytest.raises(AttributeError, match=r"gone since mitmproxy 8.0"):
        _ = new.reply


def test_what_is_over_cannot_be_killed(make_flow):
    shown = view(Era.H, make_flow())
    assert not shown.live
    with pytest.raises(ControlException):
        shown.kill()
    shown.intercept()
    shown.resume()


def test_backup_and_revert(make_flow):
    shown = view(Era.H, make_flow())
    assert not shown.modified()
    shown.backup()
    assert not shown.modified()
    shown.request.path = "/changed"
    assert shown.modified()
    shown.revert()
    assert shown.request.path == "/path?a=1"
    shown.revert()


def test_state_and_repr(make_flow):
    shown = view(Era.H, make_flow())
    state = shown.get_state()
    assert state["request"]["path"] == b"/path?a=1"
    assert state["response"]["status_code"] == 200
    assert repr(shown).startswith("<HTTPFlow\r\n  request = <Request")


def test_connections(make_flow):
    flow = make_flow()
    flow.client_conn.peername = ("127.0.0.1", 9)
    flow.client_conn.sni = "a.org"
    flow.client_conn.alpn = "http/1.1"
    flow.server_conn.address = ("b.org", 443)
    flow.server_conn.certificate_list = [b"der"]
    old, new = view(Era.E, flow), view(Era.H, flow)
    assert isinstance(old.client_conn.address, Address)
    assert old.client_conn.address == ("127.0.0.1", 9)
    assert (old.server_conn.address.host, old.server_conn.address.port) == ("b.org", 443)
    assert new.server_conn.address == ("b.org", 443)
    assert old.client_conn.connection.get_servername() == b"a.org"
    assert new.client_conn.alpn_proto_negotiated == b"http/1.1"
    assert new.server_conn.cert.to_der() == b"der"
    assert b"BEGIN CERTIFICATE" in new.server_conn.cert.to_pem()
    assert new.server_conn.cert.digest("sha1").count(b":") == 19
    assert {new.server_conn: 1}[view(Era.H, flow).server_conn] == 1
    new.server_conn.address = ("c.org", 80)
    assert flow.server_conn.address == ("c.org", 80)
    assert repr(Address(("h", 1))) == "h:1"
    assert Address.wrap(("h", 1))() == ("h", 1)


def test_refreshing_a_response(make_flow):
    flow = make_flow(headers={"date": "Thu, 01 Jan 2015 00:00:00 GMT"})
    flow.response.timestamp_start = 1000.0
    view(Era.E, flow).response.refresh(now=1060.0)
    assert flow.response.headers["date"] == "Thu, 01 Jan 2015 00:01:00 GMT"


def test_websocket_messages_until_6(make_flow):
    flow = make_flow()
    flow.websocket = WebSocketData(
        [WebSocketMessage(TEXT, True, b"hi"), WebSocketMessage(BINARY, False, b"\xff")]
    )
    old, new = view(Era.F, flow), view(Era.H, flow)
    assert [message.content for message in old.messages] == ["hi", b"\xff"]
    old.messages[0].content = "ho"
    old.messages[1].kill()
    assert old.messages[0].from_client
    assert flow.websocket.messages[0].content == b"ho"
    assert flow.websocket.messages[1].dropped
    assert old.messages[1].killed
    assert new.websocket is flow.websocket
    assert old.handshake_flow is old
    assert not old.ended
    with pytest.raises(AttributeError, match=r"since 7 they are in flow\.websocket"):
        _ = new.messages


def test_connected_was_a_method_until_6(make_flow):
    flow = make_flow()
    assert view(Era.F, flow).server_conn.connected() is False
    assert view(Era.H, flow).server_conn.connected is False


def test_the_server_of_a_tunnel_is_known_early(make_flow):
    flow = make_flow()
    assert view(Era.H, flow).server_conn.address is None
    flow.client_conn.tunnel = ("inside.test", 443)
    assert view(Era.H, flow).server_conn.address == ("inside.test", 443)
