import base64
import copy
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.formats import mitm
from nbproxy.formats.har_export import to_entry
from nbproxy.formats.har_import import Unusable, to_flow
from nbproxy.formats.notes import Notes
from nbproxy.store.rows import read_rows
from tests.formats import har_rules, made


def entry(**more):
    return {
        "startedDateTime": "2024-05-06T07:08:09.125Z",
        "request": {"method": "GET", "url": "https://example.org/a?b=c", "headers": []},
        "response": {"status": 200, "headers": [], "content": {"text": "hi", "size": 2}},
    } | more


def request(**more):
    return entry(request={"method": "POST", "url": "http://example.org/", "headers": []} | more)


def response(**more):
    answer = {"status": 200, "headers": [], "content": {"text": "hi"}} | more
    return entry(response=answer)


def flow_of(given, notes=None, bodies=None):
    return to_flow(given, Notes() if notes is None else notes, bodies or {})


def test_the_least_that_a_flow_is_made_of():
    flow = flow_of({"request": {"url": "http://example.org"}})
    assert (flow.request.method, flow.request.path) == ("GET", "/")
    assert flow.response is None
    assert flow.error is None


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://example.org", ("http", "example.org", 80, "/")),
        ("https://example.org:8443/a?b#c", ("https", "example.org", 8443, "/a?b")),
        ("wss://example.org/chat", ("https", "example.org", 443, "/chat")),
        ("ws://example.org/chat", ("http", "example.org", 80, "/chat")),
        ("http://user:secret@example.org/", ("http", "example.org", 80, "/")),
        ("http://[::1]:81/", ("http", "::1", 81, "/")),
        ("http://example.org/ü ", ("http", "example.org", 80, "/%C3%BC")),
    ],
)
def test_urls(url, parts):
    found = flow_of(request(url=url)).request
    assert (found.scheme, found.host, found.port, found.path) == parts


@pytest.mark.parametrize("url", ["https://example.org:443/", "example.org:443"])
def test_a_tunnel(url):
    found = flow_of(request(method="CONNECT", url=url)).request
    assert (found.method, found.host, found.port) == ("CONNECT", "example.org", 443)


@pytest.mark.parametrize(
    ("given", "words", "left_out"),
    [
        (None, "no request", ""),
        ([], "no request", ""),
        ({}, "no request", ""),
        (request(url=""), "no url", ""),
        (request(url=None), "no url", ""),
        (request(url="http://a b/"), "cannot be used", ""),
        (request(url="http://example.org/\r\nX: y"), "cannot be used", ""),
        (request(url="gopher://example.org"), "cannot be used", ""),
        (request(method="GET / HTTP/1.1\r\n"), "method", ""),
        (request(url="data:text/plain,x"), "not HTTP", "`data:` URL"),
        (request(url="chrome-extension://abc/x.js"), "not HTTP", "`chrome-extension:` URL"),
    ],
)
def test_what_no_flow_can_be_made_of(given, words, left_out):
    with pytest.raises(Unusable, match=words) as caught:
        flow_of(given)
    assert caught.value.left_out == left_out


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("HTTP/1.1", "HTTP/1.1"),
        ("http/1.1", "HTTP/1.1"),
        ("1.1", "HTTP/1.1"),
        ("HTTP/1.0", "HTTP/1.0"),
        ("h2", "HTTP/2.0"),
        ("HTTP/2", "HTTP/2.0"),
        ("http/2.0", "HTTP/2.0"),
        ("h3", "HTTP/3"),
        ("HTTP/3", "HTTP/3"),
        ("h3-29", "HTTP/3"),
        ("unknown", "HTTP/1.1"),
        ("", "HTTP/1.1"),
        (None, "HTTP/1.1"),
    ],
)
def test_versions(name, version):
    assert flow_of(request(httpVersion=name)).request.http_version == version


def test_pseudo_header_fields_say_that_it_was_http_2():
    headers = [{"name": ":authority", "value": "x.test"}, {"name": "a", "value": "b"}]
    flow = flow_of(request(headers=headers, httpVersion=""))
    assert flow.request.headers.fields == ((b"a", b"b"),)
    assert flow.request.authority == "x.test"
    assert flow.request.http_version == flow.response.http_version == "HTTP/2.0"


def test_fields_as_pairs_and_worse():
    headers = [["A", "b"], {"name": "C", "value": None}, {"name": "D", "value": 5}, "junk"]
    headers += [{"name": "bad name", "value": "x"}, {"value": "no name"}, ["one"], None]
    headers += [{"name": "E", "value": "f\r\nX: y"}]
    notes = Notes()
    flow = flow_of(request(headers=headers), notes)
    assert flow.request.headers.fields == (
        (b"A", b"b"),
        (b"C", b""),
        (b"D", b"5"),
        (b"E", b"f X: y"),
    )
    assert notes.mended["header field"] == 5


def test_chrome_joins_set_cookie_by_line_breaks():
    flow = flow_of(response(headers=[{"name": "Set-Cookie", "value": "a=1\nb=2"}]))
    assert flow.response.headers.get_all("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("posted", "body"),
    [
        ({"text": "ä", "mimeType": "text/plain"}, "ä".encode()),
        ({"text": "ä", "mimeType": "text/plain; charset=latin-1"}, b"\xe4"),
        ({"text": "€", "mimeType": "text/plain; charset=latin-1"}, "€".encode()),
        ({"text": "AP8=", "encoding": "base64"}, b"\x00\xff"),
        ({"text": None, "mimeType": None}, b""),
        ({"params": [{"name": "a b", "value": "c&d"}, {"name": "e"}]}, b"a+b=c%26d&e="),
        ({"text": "", "params": [{"name": "a", "value": "b"}]}, b"a=b"),
        (None, b""),
        ("junk", b""),
    ],
)
def test_request_bodies(posted, body):
    assert flow_of(request(postData=posted)).request.raw_content == body


def test_fields_of_a_multipart_form():
    posted = {
        "mimeType": "multipart/form-data; boundary=xyz",
        "params": [{"name": "a", "value": "b"}],
    }
    body = flow_of(request(postData=posted)).request.raw_content
    assert body.startswith(b"--xyz\r\n")
    assert b'name="a"\r\n\r\nb\r\n' in body


def test_request_bodies_as_http_toolkit_writes_them():
    content = {"text": "AP8=", "encoding": "base64", "size": 2}
    assert flow_of(request(_content=content)).request.raw_content == b"\x00\xff"
    status = "discarded:too-large"
    assert flow_of(request(_requestBodyStatus=status)).request.raw_content is None
    broken = flow_of(request(_content={"text": "A", "encoding": "base64"}))
    assert broken.request.raw_content is None


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ({"text": "ä"}, "ä".encode()),
        ({"text": "ä", "mimeType": "text/html; charset=iso-8859-1"}, b"\xe4"),
        ({"text": "AP8=", "encoding": "base64"}, b"\x00\xff"),
        ({"text": "\udc00"}, b"\xed\xb0\x80"),
        ({"size": 0}, b""),
        ({"size": 500, "mimeType": "image/png"}, None),
        ({}, b""),
        (None, b""),
    ],
)
def test_response_bodies(content, body):
    assert flow_of(response(content=content)).response.raw_content == body


def test_a_decoded_body_and_the_fields_of_the_coded_one():
    headers = [["Content-Encoding", "br"], ["Content-Length", "3"]]
    flow = flow_of(response(headers=headers))
    assert flow.response.raw_content == flow.response.content == b"hi"
    assert flow.response.headers.fields == ((b"content-length", b"2"),)
    assert flow.metadata["content_encoding"] == "br"


def test_an_empty_body_keeps_its_fields():
    headers = [["Content-Encoding", "br"], ["Content-Length", "300"]]
    flow = flow_of(response(headers=headers, content={"size": 0, "text": ""}))
    assert flow.response.headers["content-length"] == "300"
    assert flow.response.content == b""


@pytest.mark.parametrize("status", [0, None, -1, "x", 1e9, {}, 99, 1000])
def test_no_status_is_no_response(status):
    flow = flow_of(response(status=status, _error="net::ERR_FAILED"))
    assert flow.response is None
    assert flow.error.msg == "net::ERR_FAILED"


def test_times_follow_the_phases():
    timings = {"blocked": 1000, "dns": 500, "connect": 300, "ssl": 100, "send": 50}
    timings |= {"wait": 25, "receive": 12.5}
    flow = flow_of(entry(timings=timings))
    start = 1714979289.125
    server = flow.server_conn
    assert flow.request.timestamp_start == start
    assert server.timestamp_start == pytest.approx(start + 1.5)
    assert server.timestamp_tcp_setup == pytest.approx(start + 1.7)
    assert server.timestamp_tls_setup == pytest.approx(start + 1.8)
    assert flow.request.timestamp_end == pytest.approx(start + 1.85)
    assert flow.response.timestamp_start == pytest.approx(start + 1.875)
    assert flow.response.timestamp_end == pytest.approx(start + 1.8875)


@pytest.mark.parametrize(
    "timings", [None, [], {"wait": None}, {"connect": -1, "wait": -1}, {"wait": "x", "send": True}]
)
def test_missing_timings(timings):
    flow = flow_of(entry(timings=timings))
    assert flow.duration == 0
    assert flow.server_conn.timestamp_start is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-06T07:08:09Z", 1714979289.0),
        ("2024-05-06T09:08:09.5+02:00", 1714979289.5),
        ("2024-05-06T07:08:09.1234567890Z", 1714979289.123456),
        ("2024-05-06T07:08:09", 1714979289.0),
        ("yesterday", 0.0),
        (None, 0.0),
        ("0001-01-01T00:00:00+14:00", 0.0),
    ],
)
def test_dates(text, seconds):
    assert flow_of(entry(startedDateTime=text)).request.timestamp_start == seconds


@pytest.mark.parametrize(
    ("text", "peername"),
    [
        ("1.2.3.4", ("1.2.3.4", 443)),
        ("[2001:db8::1]", ("2001:db8::1", 443)),
        ("2001:db8::1", ("2001:db8::1", 443)),
        ("1.2.3.4:443", ("1.2.3.4", 443)),
        ("[::1]:443", ("::1", 443)),
        ("fe80::1%eth0", ("fe80::1", 443)),
        ("(disk cache)", None),
        (None, None),
    ],
)
def test_addresses_of_servers(text, peername):
    flow = flow_of(entry(serverIPAddress=text))
    assert flow.server_conn.peername == peername
    assert flow.server_conn.address == ("example.org", 443)


def test_messages_of_a_websocket():
    messages = [
        {"type": "send", "time": 1.5, "opcode": 1, "data": "hé"},
        {"type": "receive", "time": 2, "opcode": 2, "data": base64.b64encode(b"\0").decode()},
        {"type": "receive", "time": "x", "opcode": 2, "data": "?"},
        None,
    ]
    close = {"code": 1000, "reason": "bye", "timestamp": 3.0}
    flow = flow_of(entry(_webSocketMessages=messages, _webSocketClose=close))
    first, second, *rest = flow.websocket.messages
    assert (first.from_client, first.text, first.timestamp) == (True, "hé", 1.5)
    assert (second.from_client, second.content, second.is_text) == (False, b"\0", False)
    assert [message.content for message in rest] == [b"", b""]
    assert (flow.websocket.close_code, flow.websocket.close_reason) == (1000, "bye")
    assert flow.websocket.timestamp_end == 3.0


def test_aborted_websockets():
    flow = flow_of(entry(_webSocketMessages=[], _webSocketClose="aborted"))
    assert flow.websocket.messages == []
    assert flow.websocket.close_code is None


FULL = json.loads(
    json.dumps(
        to_entry(
            made.answered(
                made.new_flow("POST", "http://example.org/?a=b", b"c=d", [("A", "b")]),
                fields=[("Set-Cookie", "e=f")],
            ),
            Notes(),
        )
        | {
            "serverIPAddress": "1.2.3.4",
            "_webSocketMessages": [{"type": "send", "time": 1, "opcode": 1, "data": "x"}],
            "_webSocketClose": {"code": 1000, "reason": "", "timestamp": 2},
        }
    )
)
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\r\n", "\ud800", "-1", "http://[", "0001-01-01", "A", "AA==", "[::"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "value", "text", "url", "id"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def places(value, way=()):
    yield way
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, (dict, list)) else ():
        if isinstance(item, (dict, list)):
            yield from places(item, (*way, key))
        else:
            yield (*way, key)


@given(st.lists(st.tuples(st.sampled_from(list(places(FULL))[1:]), JUNK), min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_whatever_stands_in_an_entry(changes):
    found = copy.deepcopy(FULL)
    for (*way, last), value in changes:
        place = found
        try:
            for key in way:
                place = place[key]
            place[last] = value
        except (TypeError, KeyError, IndexError):
            continue  # another change has taken it away
    try:
        flow = flow_of(found)
    except Unusable:
        return
    repr(flow)
    har_rules.check_timings(json.loads(json.dumps(to_entry(flow, Notes()), allow_nan=False)))
    mitm.write([flow], io.BytesIO())
    assert flow.request.content is None or isinstance(flow.request.content, bytes)
    assert read_rows([flow])


def test_marks_and_comments():
    flow = flow_of(entry(comment="look", _pinned=True))
    assert (flow.comment, flow.marked) == ("look", ":default:")
