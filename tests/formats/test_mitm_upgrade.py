import pytest

from nbproxy.errors import FormatError
from nbproxy.formats.mitm_upgrade import CURRENT, Upgrader


def old_request(**more):
    return {
        "form_in": b"relative",
        "form_out": b"relative",
        "method": b"GET",
        "scheme": b"http",
        "host": b"example.org",
        "port": 80,
        "path": b"/",
        "httpversion": (1, 0),
        "headers": (),
        "content": b"",
        "timestamp_start": 10.0,
        "timestamp_end": 11.0,
        "is_replay": False,
    } | more


def old_response(**more):
    return {
        "httpversion": (1, 1),
        "code": 200,
        "msg": b"OK",
        "headers": (),
        "content": b"hi",
        "timestamp_start": 12.0,
        "timestamp_end": 13.0,
    } | more


def wrapped(host, port):
    return {"address": (host, port), "use_ipv6": False}


def flow_011(**more):
    """A flow as mitmproxy 0.11 wrote it, keys already read as text."""
    client = {
        "address": wrapped(b"127.0.0.1", 5),
        "clientcert": None,
        "ssl_established": False,
        "timestamp_start": 1.0,
        "timestamp_end": None,
        "timestamp_ssl_setup": None,
    }
    server = {
        "address": wrapped(b"example.org", 80),
        "source_address": wrapped(b"10.0.0.1", 6),
        "cert": None,
        "sni": None,
        "ssl_established": False,
        "state": (),
        "timestamp_start": 2.0,
        "timestamp_end": None,
        "timestamp_tcp_setup": 3.0,
        "timestamp_ssl_setup": None,
    }
    flow = {
        "version": (0, 11, 3),
        "type": b"http",
        "id": b"an id",
        "intercepted": False,
        "error": None,
        "request": old_request(),
        "response": old_response(),
        "client_conn": client,
        "server_conn": server,
    }
    return flow | more


def upgrade(*states):
    upgrader = Upgrader()
    return [upgrader.upgrade(state) for state in states][-1]


def test_from_the_oldest_to_the_newest():
    given = flow_011()
    flow = upgrade(given)
    assert given == flow_011(), "what was given must stay as it is"
    assert flow["request"]["http_version"] == b"HTTP/1.0"
    assert flow["request"]["authority"] == b""
    assert not {"form_in", "form_out", "httpversion", "first_line_format"} & set(flow["request"])
    assert flow["response"]["status_code"] == 200
    assert flow["response"]["reason"] == b"OK"
    assert flow["response"]["content"] == b"hi"
    assert flow["client_conn"]["peername"] == (b"127.0.0.1", 5)
    assert flow["server_conn"]["address"] == (b"example.org", 80)
    assert flow["server_conn"]["sockname"] == (b"10.0.0.1", 6)
    assert flow["server_conn"]["peername"] is None
    assert flow["server_conn"]["certificate_list"] == ()
    assert flow["timestamp_created"] == 10.0
    assert flow["is_replay"] is None
    assert (flow["marked"], flow["comment"], flow["metadata"]) == ("", "", {})


@pytest.mark.parametrize("minor", range(11, 14))
def test_an_interrupted_flow_has_no_response(minor):
    assert upgrade(flow_011(version=(0, minor), response=None))["response"] is None


def test_a_body_that_was_not_kept():
    flow = upgrade(flow_011(request=old_request(content=0), response=old_response(content=0)))
    assert flow["request"]["content"] is None
    assert flow["response"]["content"] is None


@pytest.mark.parametrize("name", ["request", "response"])
def test_who_was_replayed(name):
    message = {"request": old_request, "response": old_response}[name](is_replay=True)
    assert upgrade(flow_011(**{name: message}))["is_replay"] == name


def test_a_certificate_becomes_a_list():
    flow = flow_011()
    flow["server_conn"] |= {"cert": b"PEM", "ssl_established": True, "sni": True}
    server = upgrade(flow)["server_conn"]
    assert server["certificate_list"] == (b"PEM",)
    assert server["tls"] is True
    assert server["sni"] == b"example.org"


def test_a_response_without_times_gets_those_of_the_request():
    flow = upgrade(flow_011(response=old_response(timestamp_start=None, timestamp_end=None)))
    assert flow["response"]["timestamp_start"] == 11.0
    assert flow["response"]["timestamp_end"] == 12.0


def test_ids_of_connections_are_the_same_for_the_same_connection():
    one, other = flow_011(), flow_011()
    other["client_conn"] = {**other["client_conn"], "timestamp_start": 1.5}
    first, second, third = (upgrade(flow)["client_conn"]["id"] for flow in (one, one, other))
    assert first == second != third


def new_flow(version, **more):
    """As much of a flow of a version from 12 on as its steps look at."""
    connection = {"timestamp_start": 1.0, "address": ("a", 1), "tls_version": None}
    return {
        "version": version,
        "type": "http",
        "id": "an id",
        "metadata": {},
        "marked": False,
        "request": {"timestamp_start": 2.0, "timestamp_end": 3.0},
        "response": None,
        "client_conn": connection,
        "server_conn": dict(connection),
        "websocket": None,
    } | more


@pytest.mark.parametrize(("marked", "becomes"), [(True, ":default:"), (False, "")])
def test_marks_become_names(marked, becomes):
    assert upgrade(new_flow(12, marked=marked))["marked"] == becomes


def test_quic_gets_its_version():
    flow = new_flow(20)
    flow["client_conn"] = {"tls_version": "QUIC"}
    assert upgrade(flow)["client_conn"]["tls_version"] == "QUICv1"


def test_created_without_a_request():
    assert upgrade(new_flow(15, type="tcp", request=None))["timestamp_created"] == 1.0


def websocket_record(handshake):
    return new_flow(
        11,
        type="websocket",
        id="record",
        metadata={"websocket_handshake": handshake},
        messages=((1, True, "hi", 5.0, False), (2, False, b"\0", 6.0, True)),
        close_sender="server",
        close_code=1000,
        close_reason="bye",
        server_conn={"timestamp_start": 1.0, "address": ("a", 1), "timestamp_end": 9.0},
    )


def test_a_websocket_takes_its_handshake_once():
    upgrader = Upgrader()
    shake = upgrader.upgrade(new_flow(11, id="shake", metadata={"websocket": True}))
    first = upgrader.upgrade(websocket_record("shake"))
    second = upgrader.upgrade(websocket_record("shake"))
    assert shake["websocket"] is None
    assert first["request"] == shake["request"]
    assert second["request"]["host"] == "unknown"
    for flow in (first, second):
        assert flow["type"] == "http"
        assert flow["id"] == "record"
        assert "duplicated" in flow["metadata"]
        assert flow["websocket"] == {
            "messages": ((1, True, b"hi", 5.0, False, False), (2, False, b"\0", 6.0, True, False)),
            "closed_by_client": False,
            "close_code": 1000,
            "close_reason": "bye",
            "timestamp_end": 9.0,
        }


def test_handshakes_without_end_are_not_all_remembered():
    upgrader = Upgrader()
    for number in range(1500):
        upgrader.upgrade(new_flow(11, id=str(number), metadata={"websocket": True}))
    assert upgrader.upgrade(websocket_record("0"))["request"].get("host") == "unknown"
    assert upgrader.upgrade(websocket_record("1499"))["request"].get("host") is None


def test_the_current_version_stays_as_it_is():
    state = {"version": CURRENT}
    assert upgrade(state) is state


@pytest.mark.parametrize("state", [None, 5, b"x", "x", (), ((1,),)])
def test_what_is_no_flow(state):
    with pytest.raises(FormatError, match="a flow is a dictionary"):
        upgrade(state)
