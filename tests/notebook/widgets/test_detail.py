"""One flow in detail: everything is there, plain, masked unless asked for, and fits into JSON."""

import json
from pathlib import Path

import pytest

from nbproxy.certs.ca import CertificateAuthority
from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.model.websocket import BINARY, TEXT, WebSocketData, WebSocketMessage
from nbproxy.notebook.widgets.detail import Eyes, describe
from tests.notebook.inert import HOSTILE
from tests.store.flow_factory import answer, end, new_flow

SECRETS = ("s3cr3tvalue", "hunter2hunter2", "abcdefgh12345678", "t0psecr3t")


def a_flow():
    flow = new_flow("/login?token=hunter2hunter2&page=1&page=2")
    flow.request.headers = Headers(
        [
            (b"Host", b"example.org"),
            (b"Authorization", b"Bearer abcdefgh12345678"),
            (b"Cookie", b"sid=s3cr3tvalue; theme=dark"),
        ]
    )
    answer(flow)
    flow.response.headers.add("Set-Cookie", "sid=t0psecr3t; Path=/; Secure")
    flow.response.trailers = Headers([(b"x-sum", b"1")])
    return flow


def look(flow, *, reveal=False):
    found = describe(flow, Eyes(reveal))
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    return found


def test_what_there_is():
    flow = a_flow()
    flow.comment, flow.marked = "look", ":red_circle:"
    found = look(flow)
    assert (found["method"], found["status"], found["reason"]) == ("GET", 200, "OK")
    assert (found["comment"], found["mark"], found["live"]) == ("look", ":red_circle:", True)
    request, response = found["request"], found["response"]
    assert request["line"][0::2] == ["GET", "HTTP/1.1"]
    assert response["line"] == ["HTTP/1.1", "200", "OK"]
    assert response["views"] == ["html", "text", "hex", "raw"]
    assert response["trailers"] == [["x-sum", "1"]]
    assert [name for name, _ in request["query"]] == ["token", "page", "page"]
    assert [value for _, value in request["query"]][1:] == ["1", "2"]
    assert found["cookies"]["response"][0][2] == "Path=/; Secure"


def test_secrets_are_masked_until_they_are_asked_for():
    flow = a_flow()
    masked, shown = json.dumps(look(flow)), json.dumps(look(flow, reveal=True))
    for secret in SECRETS:
        assert secret not in masked
        assert secret in shown
    assert json.loads(shown)["revealed"]


def test_times():
    flow = a_flow()
    start = flow.request.timestamp_start
    flow.request.timestamp_end = start + 0.001
    server = flow.server_conn
    server.timestamp_start = start + 0.002
    server.timestamp_tcp_setup = start + 0.012
    server.timestamp_tls_setup = start + 0.042
    timing = look(flow)["timing"]
    assert timing["total"] == pytest.approx(500)
    assert not timing["reused"]
    spans = {name: (begin, finish) for name, _, begin, finish in timing["spans"]}
    assert list(spans) == ["request", "connect", "TLS", "waiting", "response"]
    assert spans["waiting"] == pytest.approx((42, 250), abs=0.01)
    assert [name for name, _ in timing["moments"]] == [
        "request began",
        "request complete",
        "connecting began",
        "connected",
        "TLS agreed",
        "response began",
        "response complete",
    ]


def test_times_of_a_connection_that_was_there_before():
    flow = a_flow()
    flow.server_conn.timestamp_start = flow.request.timestamp_start - 5
    flow.server_conn.timestamp_tcp_setup = flow.request.timestamp_start - 4
    timing = look(flow)["timing"]
    assert timing["reused"]
    assert "connected" not in dict(timing["moments"])


def test_a_flow_without_an_answer():
    flow = new_flow()
    flow.error = Error("the connection was refused")
    end(flow)
    found = look(flow)
    assert found["response"] is None
    assert found["error"] == "the connection was refused"
    assert found["timing"]["total"] is None
    assert found["cookies"] == {"request": [], "response": []}
    assert not found["live"]


def test_connections_and_certificates(tmp_path):
    flow = a_flow()
    ca = CertificateAuthority.load_or_create(tmp_path)
    der = ca.export("cer")[0]
    server = flow.server_conn
    server.tls, server.tls_version, server.cipher = True, "TLSv1.3", "TLS_AES_256_GCM_SHA384"
    server.alpn, server.sni, server.certificate_list = "http/1.1", "example.org", [der, b"garbage"]
    server.via = ("http", ("upstream.test", 3128))
    client, found = look(flow)["connections"]
    facts = dict(found["facts"])
    assert facts["TLS"] == "TLSv1.3"
    assert facts["certificate"] == "NOT verified"
    assert facts["through"] == "upstream.test:3128"
    assert dict(client["facts"])["address"] == "127.0.0.1:5312"
    first, second = found["certificates"]
    assert "nbproxy" in dict(first)["subject"]
    assert dict(first)["SHA-256"] == ca.fingerprint_sha256
    assert set(dict(second)) == {"SHA-256"}
    assert Path(ca.key_file).read_text() not in json.dumps(found)


def test_what_handlers_did():
    flow = a_flow()
    flow.metadata["changes"] = [
        ["stamp", 'response.headers["x-seen"]', None, "1"],
        ["stamp", 'request.headers["Authorization"]', "Bearer abcdefgh12345678", None],
        ["stamp", "response.content", b"abc", b""],
        "odd",
    ]
    flow.metadata["handler_errors"] = ["stamp: ZeroDivisionError: division by zero"]
    flow.metadata["released"] = "after 60 s, unchanged"
    found = look(flow)
    assert found["changes"][0] == ["stamp", 'response.headers["x-seen"]', "", "1"]
    assert found["changes"][1][2].startswith("Bearer ***")
    assert found["changes"][2][2:] == ["3 B", "0 B"]
    assert found["changes"][3][3] == "odd"
    assert found["handler_errors"] == ["stamp: ZeroDivisionError: division by zero"]
    assert found["notes"] == [["released", "after 60 s, unchanged"]]


def test_who_asked():
    flow = a_flow()
    assert look(flow)["origin"] == ""
    flow.metadata |= {"cell": 3, "line": 2, "function": "get", "capture": "abc"}
    found = look(flow)
    assert found["origin"] == "cell 3, line 2, in get()"
    assert found["notes"] == []


def test_websockets():
    flow = a_flow()
    at = flow.request.timestamp_start
    flow.websocket = WebSocketData(
        [
            WebSocketMessage(TEXT, True, b'{"password": "hunter2hunter2"}', at + 1),
            WebSocketMessage(BINARY, False, bytes(100), at + 2, dropped=True),
            *(WebSocketMessage(TEXT, False, b"x", at) for _ in range(300)),
        ],
        close_code=1000,
        close_reason="done",
    )
    found = look(flow)["websocket"]
    assert (found["count"], len(found["messages"])) == (302, 200)
    del flow.websocket.messages[2:]
    text, binary = look(flow)["websocket"]["messages"]
    assert text[:3] == [True, True, 30]
    assert "hunter2" not in text[3]
    assert text[5] == pytest.approx(1000)
    assert binary[3].startswith("00 00")
    assert binary[4] == "dropped"
    assert (found["closed"], found["reason"]) == ("1000", "done")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("reveal", [False, True])
def test_hostile_text_is_visible(text, reveal):
    flow = a_flow()
    wire = text.encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    flow.request.headers = Headers.from_wire(((b"x-a", wire), (b"cookie", wire), (wire, b"x")))
    flow.response.headers = Headers.from_wire(((b"content-type", wire), (b"set-cookie", wire)))
    flow.response._reason = text
    flow.request._path = f"/{text}?{text}={text}"
    flow.error, flow.comment, flow.marked = Error(text), text, text
    flow.metadata["changes"] = [[text, text, text, text]]
    flow.metadata[text] = text
    flow.client_conn.sni, flow.server_conn.error = text, text
    flow.websocket = WebSocketData([WebSocketMessage(TEXT, True, wire)], close_reason=text)
    shown = json.dumps(look(flow, reveal=reveal), ensure_ascii=False)
    assert not set(shown) & set("\x1b\u202e\u200b\x00\x07")


def test_however_much_there_is_it_stays_bounded():
    flow = a_flow()
    flow.request.headers = Headers([(b"x-%d" % i, b"y" * 20_000) for i in range(2000)])
    flow.metadata["changes"] = [["a", "b", "c", "d"]] * 5000
    found = look(flow)
    assert len(found["request"]["headers"]) == 401
    assert found["request"]["headers"][-1] == ["…", "and 1,600 more"]
    assert len(found["changes"]) == 200
    assert len(json.dumps(found)) < 5_000_000
