import json

import pytest

from nbproxy.formats.har_export import to_entry
from nbproxy.formats.har_import import to_flow
from nbproxy.formats.notes import Notes
from nbproxy.model.coding import encode
from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.model.secrets import Masker
from nbproxy.model.websocket import WebSocketData, WebSocketMessage
from tests.formats import har_rules, made

START = 1.7e9


def entry_of(flow, masker=None):
    notes = Notes()
    entry = json.loads(json.dumps(to_entry(flow, notes, masker), allow_nan=False))
    log = {"version": "1.2", "creator": {"name": "", "version": ""}, "pages": []}
    har_rules.check({"log": log | {"entries": [entry]}})
    return entry


def flow(**times):
    """Asked at START + 1 .. 2, answered at + 5 .. 6; `opened`, `tcp`, `tls` are the server's."""
    made_flow = made.answered(made.new_flow())
    request, response, server = made_flow.request, made_flow.response, made_flow.server_conn
    request.timestamp_start, request.timestamp_end = START + 1, START + 2
    response.timestamp_start, response.timestamp_end = START + 5, START + 6
    names = {"opened": "start", "tcp": "tcp_setup", "tls": "tls_setup"}
    for name, value in times.items():
        setattr(server, f"timestamp_{names[name]}", START + value)
    return made_flow


@pytest.mark.parametrize(
    ("times", "phases"),
    [
        # the proxy reads the request, then connects
        ({"opened": 2.5, "tcp": 3, "tls": 4}, (0.5, 1.5, 1, 1, 1)),
        ({"opened": 2.5, "tcp": 3}, (0.5, 0.5, -1, 1, 2)),
        # a browser connects, then sends
        ({"opened": 1.25, "tcp": 1.5, "tls": 1.75}, (0.25, 0.5, 0.25, 0.25, 3)),
        # at once
        ({"opened": 1.5, "tcp": 3, "tls": 4}, (0.5, 2.5, 1, 0, 1)),
        # the connection was there before, or came too late to be waited for
        ({"opened": 0.5, "tcp": 0.75, "tls": 1.5}, (-1, -1, -1, 1, 3)),
        ({"opened": 5.5, "tcp": 5.75, "tls": 6.5}, (-1, -1, -1, 1, 3)),
        ({}, (-1, -1, -1, 1, 3)),
    ],
)
def test_phases(times, phases):
    entry = entry_of(flow(**times))
    timings = entry["timings"]
    found = [timings[name] for name in ("blocked", "connect", "ssl", "send", "wait")]
    assert found == [value if value < 0 else value * 1000 for value in phases]
    assert timings["receive"] == 1000
    assert entry["time"] == 5000


def test_an_answer_before_the_request_is_complete():
    early = flow()
    early.response.timestamp_start, early.response.timestamp_end = START + 1.5, START + 1.6
    assert entry_of(early)["time"] == 1000


def test_sizes_of_a_page_that_was_compressed():
    page = b"<p>hello</p>" * 1000
    packed = encode(page, "gzip")
    shown = made.answered(made.new_flow())
    shown.response.headers = Headers([("Content-Encoding", "gzip"), ("Content-Type", "text/html")])
    shown.response.raw_content = packed
    response = entry_of(shown)["response"]
    assert response["bodySize"] == len(packed)
    assert response["content"]["size"] == len(page)
    assert response["content"]["compression"] == len(page) - len(packed)
    assert response["content"]["text"] == page.decode()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n\r\n"
    assert response["headersSize"] == len(head)


def test_sizes_of_heads():
    asked = made.new_flow(fields=[("A", "b")])
    asked.request.headers = Headers([("Host", "example.org"), ("A", "b")])
    head = b"GET / HTTP/1.1\r\nHost: example.org\r\nA: b\r\n\r\n"
    assert entry_of(asked)["request"]["headersSize"] == len(head)
    asked.request.http_version = "HTTP/2.0"
    assert entry_of(asked)["request"]["headersSize"] == -1


def test_a_body_that_cannot_be_decoded():
    bad = made.answered(made.new_flow())
    bad.response.headers["content-encoding"] = "gzip"
    bad.response.raw_content = b"no gzip"
    entry = entry_of(bad)
    assert entry["response"]["content"]["comment"]
    assert entry["response"]["content"]["size"] == 7
    assert to_flow(entry, Notes(), {}).response.raw_content == b"no gzip"


def test_a_body_that_was_not_kept():
    missing = made.answered(made.new_flow("POST"))
    missing.response.raw_content = missing.request.raw_content = None
    entry = entry_of(missing)
    assert "text" not in entry["response"]["content"]
    assert entry["response"]["content"]["comment"]
    assert entry["response"]["bodySize"] == entry["request"]["bodySize"] == -1
    again = to_flow(entry, Notes(), {})
    assert again.response.raw_content is again.request.raw_content is None


def test_failures():
    failed = made.new_flow()
    failed.error = Error("connection refused", START + 9)
    response = entry_of(failed)["response"]
    assert response["status"] == 0
    assert response["content"] == {"size": 0, "mimeType": "x-unknown"}
    assert response["_error"] == "connection refused"
    assert entry_of(made.new_flow())["response"]["_error"] is None


@pytest.mark.parametrize("status", [204, 304, 101, 407])
def test_answers_without_body(status):
    entry = entry_of(made.answered(made.new_flow(), status, b""))
    assert entry["response"]["bodySize"] == 0
    assert entry["response"]["content"]["text"] == ""


def test_tunnels():
    tunnel = made.answered(made.new_flow("CONNECT", authority="example.org:443", port=443))
    entry = entry_of(tunnel)
    again = to_flow(entry, Notes(), {})
    assert (again.request.host, again.request.port) == ("example.org", 443)
    assert again.request.authority == "example.org:443"


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_bodies_of_requests_of_any_method(method):
    asked = made.new_flow(method, content="é=ü", fields=[("Content-Type", "text/plain")])
    assert entry_of(asked)["request"]["postData"] == {"mimeType": "text/plain", "text": "é=ü"}


def test_a_request_body_that_is_no_text():
    request = entry_of(made.new_flow("POST", content=b"\0\xff"))["request"]
    assert "postData" not in request
    assert request["_content"] == {"text": "AP8=", "encoding": "base64", "size": 2}
    assert request["_requestBodyStatus"] == "discarded:not-representable"


def test_forms():
    form = made.new_flow(
        "POST",
        content=b"a=b+c&d=%26",
        fields=[("Content-Type", "application/x-www-form-urlencoded")],
    )
    posted = entry_of(form)["request"]["postData"]
    assert posted["text"] == "a=b+c&d=%26"
    assert posted["params"] == [{"name": "a", "value": "b c"}, {"name": "d", "value": "&"}]
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nhi\r\n--x--\r\n"
    )
    form = made.new_flow(
        "POST", content=body, fields=[("Content-Type", "multipart/form-data; boundary=x")]
    )
    (param,) = entry_of(form)["request"]["postData"]["params"]
    assert param == {
        "name": "f",
        "value": "hi",
        "fileName": "a.txt",
        "contentType": "text/plain",
    }


def test_cookies_and_queries():
    shown = made.answered(
        made.new_flow(url="http://example.org/?a=b%20c&d", fields=[("Cookie", "x=1; y=2")]),
        fields=[
            ("Set-Cookie", "s=1; Path=/; Secure; HttpOnly; Expires=Wed, 01 May 2024 10:00:00 GMT"),
            ("Set-Cookie", "t=2; Expires=never"),
        ],
    )
    entry = entry_of(shown)
    assert entry["request"]["queryString"] == [
        {"name": "a", "value": "b c"},
        {"name": "d", "value": ""},
    ]
    assert [c["name"] for c in entry["request"]["cookies"]] == ["x", "y"]
    first, second = entry["response"]["cookies"]
    assert first["expires"] == "2024-05-01T10:00:00+00:00"
    assert (first["secure"], first["httpOnly"], first["path"]) == (True, True, "/")
    assert "expires" not in second


def test_the_url_names_the_host_as_the_client_did():
    moved = made.new_flow(url="http://example.org/x")
    moved.request._host, moved.request._port = "10.0.0.1", 8080
    entry = entry_of(moved)
    assert entry["request"]["url"] == "http://example.org/x"
    again = to_flow(entry, Notes(), {})
    assert (again.request.host, again.request.port) == ("10.0.0.1", 8080)
    assert again.request.headers["host"] == "example.org"


def test_fields_that_are_not_utf_8():
    odd = made.new_flow()
    odd.request.headers = Headers([(b"A", b"caf\xe9")])
    entry = entry_of(odd)
    assert entry["request"]["headers"][0]["value"] == "café"
    assert to_flow(entry, Notes(), {}).request.headers == odd.request.headers


def test_messages_of_a_websocket():
    shown = made.answered(made.new_flow(), 101, b"")
    shown.websocket = WebSocketData(
        [WebSocketMessage(1, True, "hé".encode(), 1.5), WebSocketMessage(2, False, b"\0", 2.5)],
        closed_by_client=True,
        close_code=1000,
        close_reason="bye",
        timestamp_end=3.5,
    )
    entry = entry_of(shown)
    assert entry["_resourceType"] == "websocket"
    assert entry["_webSocketMessages"] == [
        {"type": "send", "time": 1.5, "opcode": 1, "data": "hé"},
        {"type": "receive", "time": 2.5, "opcode": 2, "data": "AA=="},
    ]
    close = entry["_webSocketClose"]
    assert (close["code"], close["reason"], close["timestamp"]) == (1000, "bye", 3.5)


@pytest.mark.parametrize("start", [float(10**15), -1e15])
def test_times_that_no_date_can_say(start):
    strange = made.new_flow()
    strange.request.timestamp_start = start
    assert entry_of(strange)["startedDateTime"].startswith("1970-")


def test_metadata():
    noted = made.new_flow()
    noted.metadata |= {"good": {"a": [1]}, "bad": object(), "nan": float("nan")}
    notes = Notes()
    entry = to_entry(noted, notes)
    assert entry["_nbproxy"]["metadata"] == {"good": {"a": [1]}}
    assert str(notes) == "left out 2 metadata values"


def test_no_secret_remains():
    secret = "s3cr3tS3cr3t"
    shown = made.answered(
        made.new_flow(
            "POST",
            f"http://example.org/?access_token={secret}&q=1",
            json.dumps({"password": secret, "q": 1}),
            [
                ("Authorization", f"Bearer {secret}"),
                ("Cookie", f"sid={secret}"),
                ("X-Api-Key", secret),
                ("Content-Type", "application/json"),
            ],
        ),
        content=json.dumps({"token": secret}).encode(),
        fields=[
            ("Set-Cookie", f"sid={secret}; Path=/"),
            ("Location", f"/?token={secret}"),
            ("Content-Type", "application/json"),
        ],
    )
    shown.metadata["mine"] = secret
    text = json.dumps(entry_of(shown, Masker(b"salt" * 4)))
    assert secret not in text
    assert "***" in text
    assert "q=1" in text
    assert secret in json.dumps(entry_of(shown))


def test_bodies_that_cannot_be_searched_for_secrets_are_left_out():
    masker = Masker(b"salt" * 4)
    binary = made.answered(made.new_flow("POST", content=b"\0\xff"), content=b"\0\xfe")
    entry = entry_of(binary, masker)
    assert "text" not in entry["response"]["content"]
    assert "_content" not in entry["request"]
    image = made.answered(made.new_flow(), content=b"\0", fields=[("Content-Type", "image/png")])
    assert entry_of(image, masker)["response"]["content"]["text"] == "AA=="
