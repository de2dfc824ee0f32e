"""What each operator looks at, on flows of every kind."""

import gzip

import pytest

from nbproxy.filters import parse
from tests.filters.flows import Piece, RelayFlow, WebSocketData, dns, http, websocket


def matches(source, flow):
    return parse(source, clock=lambda: 1010.0)(flow)


plain = http()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("~d foo.example", True),
        ("~d 10.0.0.1", True),
        ("~d :80", False),
        ("~u foo.EXAMPLE", True),
        ("foo.EXAMPLE", True),
        ("~u 10.0.0.1", False),
        ("~u ^http://Foo.example/$", True),
        ("~m ^get$", True),
        ("~m E", True),
        ("~m POST", False),
        ('~hq "^host: foo"', True),
        ('~hq "^x-a: one"', True),
        ('~hq "one$"', False),
        ('~hq "one\\r$"', True),
        ("~hq html", False),
        ("~hs html", True),
        ("~h ^x-a", True),
        ("~h ^content-type", True),
        ('~hs ""', True),
        ("~t HTML", True),
        ("~ts html", True),
        ("~tq html", False),
        ("~t ^text/html;", True),
        ("~c 200", True),
        ("~c 20", False),
        ("~c 2xx", True),
        ("~c >=200", True),
        ("~c >200", False),
        ("~c 100-199", False),
        ("~src ^127.0.0.1:40000$", True),
        ("~dst ^10.0.0.1:80$", True),
        ("~dst 1.2.3.4", False),
        ("~all", True),
        ("~e", False),
        ("~q", False),
        ("~s", True),
        ("~replay", False),
        ("~marked", False),
        ("~marker .", False),
        ('~marker ""', True),
        ('~comment ""', True),
        ('~meta ""', True),
        ("~meta .", False),
        ("~b .", False),
        ('~b ""', True),
    ],
)
def test_one_exchange(source, expected):
    assert matches(source, plain) is expected


def test_status_is_exact():
    assert not matches("~c 40", http(status=404))
    assert not matches("~c 404", http(status=None))
    assert not matches("~c <999", http(status=None))


def test_error_after_the_response():
    flow = http(error="connection broken")
    assert not matches("~q", flow)
    assert matches("~s", flow)
    assert matches("~e", flow)


def test_no_response():
    flow = http(status=None, error="refused")
    assert matches("~q", flow)
    assert not matches("~s", flow)
    assert matches("!~bs .", flow)
    for source in ("~a", "~hs .", "~ts .", '~bs ""', "~sizes >=0", "~dur >=0s", "~ttfb >=0s"):
        assert not matches(source, flow)
    assert matches("~h x-a", flow)


@pytest.mark.parametrize(
    ("source", "body", "expected"),
    [
        ("~bs a.b", b"a\nb", True),
        ("~bs ^b", b"a\nb", False),
        ("~bs A", b"a", True),
        ("~bs é", "é".encode(), True),
        ("~bs é", "É".encode(), False),
        ("~bs é", "é".encode("latin-1"), False),
        ("~bq a", b"a", False),
        ("~b a", b"a", True),
        ('~bs ""', b"", True),
        ("~bs .*", b"", True),
        ('~bs ""', None, False),
        ("~bs .*", None, False),
    ],
)
def test_bodies(source, body, expected):
    assert matches(source, http(response_body=body)) is expected


def test_bodies_are_decoded_and_stay_as_they_are():
    coded = gzip.compress(b"x")
    fields = ((b"Content-Encoding", b"gzip"),)
    flow = http(response_body=coded, response_fields=fields)
    assert matches("~bs ^x$", flow)
    assert flow.response.raw_content == coded
    assert matches("~bs junk", http(response_body=b"junk", response_fields=fields))


def test_request_bodies():
    flow = http(body=b"ask", response_body=b"answer")
    assert matches("~bq ask", flow)
    assert not matches("~bq answer", flow)
    assert not matches("~bs ask", flow)
    assert matches("~b ask", flow)


def test_a_body_whose_file_is_gone():
    class Lost:
        size_bytes = 0

        def read(self):
            raise OSError("gone")

    flow = http(response_body=Lost())
    for source in ('~b "x"', '~bs ""', "~any xyz", "~json $=x", "~sizes >=0"):
        assert matches(source, flow) is False


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"text/javascript", True),
        (b"application/javascript; charset=utf-8", True),
        (b"application/x-javascript", True),
        (b"text/css", True),
        (b"image/png", True),
        (b"x-image/png", True),
        (b"font/woff2", True),
        (b"application/font-woff", True),
        (b"Text/CSS", False),
        (b"text/html", False),
        (b"video/mp4", False),
        (b"application/json", False),
    ],
)
def test_assets(content_type, expected):
    flow = http(response_fields=((b"a", b"b"), (b"CONTENT-TYPE", content_type)))
    assert matches("~a", flow) is expected


def test_content_types_one_by_one():
    fields = ((b"content-type", b"a/b"), (b"Content-Type", b"c/d"))
    flow = http(response_fields=fields)
    assert matches("~ts ^a/b$", flow)
    assert matches("~ts ^c/d$", flow)
    assert not matches("~ts b.*c", flow)
    assert matches("~t ^c/d$", flow)


def test_websockets():
    flow = websocket()
    for source in ("~http", "~websocket", "~s"):
        assert matches(source, flow)
    assert not matches("~websocket", plain)
    assert matches("~bq ^hello.server$", flow)
    assert not matches("~bq client", flow)
    assert matches("~bs hello.client", flow)
    assert not matches("~bs server", flow)
    assert matches("~b server", flow)
    assert matches("~b client", flow)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_relays(kind):
    flow = RelayFlow(kind, Piece(b"ask", True), Piece(b"answer", False))
    for source in ("~u .", "~m .", "~q", "~s", "~http", "~websocket", "~a", "~d .", "~t .", "~h ."):
        assert not matches(source, flow)
        assert matches(f"!{source}", flow)
    for source in ("~c >=0", "~json $", "~size >=0", "~dur >=0s", "~ttfb >=0s", '~h ""', '~t ""'):
        assert not matches(source, flow)
    for source in ("~all", "~src .", "~dst .", f"~{kind}", "~b ask", "~b answer", "~any answer"):
        assert matches(source, flow)
    assert matches("~bq ask", flow)
    assert not matches("~bq answer", flow)
    assert matches("~bs answer", flow)
    assert not matches("~bs ask", flow)


def test_dns():
    flow = dns()
    for source in ("~dns", "~u ^dns.example$", "~s", "~b ask", "~bq ask", "~bs 10.1.1.1"):
        assert matches(source, flow)
    for source in ("~http", "~q", "~bq 10.1.1.1", "~d dns", "~src .", "~dst ."):
        assert not matches(source, flow)
    flow.response = None
    assert matches("~q", flow)
    assert not matches("~bs .", flow)
    flow.request.questions = []
    assert not matches('~u ""', flow)


def test_kinds_nobody_knows():
    flow = RelayFlow("quic")
    assert matches("~all", flow)
    for source in ("~q", "~s", '~u ""', '~b ""', "~any ."):
        assert not matches(source, flow)


def test_replays():
    flow = http()
    flow.is_replay = "request"
    assert [matches(s, flow) for s in ("~replay", "~replayq", "~replays")] == [True, True, False]
    flow.is_replay = "response"
    assert [matches(s, flow) for s in ("~replay", "~replayq", "~replays")] == [True, False, True]


def test_marks_comments_and_metadata():
    flow = http()
    flow.marked = ":red_circle:"
    flow.comment = "look\nhere"
    flow.metadata.update(user="ann", number=1)
    assert matches("~marked", flow)
    assert matches("~marker RED", flow)
    assert matches("~comment ^here$", flow)
    assert matches('~meta "^user: ann$"', flow)
    assert matches('~meta "^number: 1$"', flow)
    assert not matches('~meta "ann.*number"', flow)


def test_unknown_and_ipv6_addresses():
    flow = http()
    flow.client_conn.peername = None
    flow.server_conn.address = None
    assert not matches('~src ""', flow)
    assert not matches('~dst ""', flow)
    flow.client_conn.peername = ("::1", 5)
    assert matches("~src ^::1:5$", flow)


def test_anywhere():
    flow = http(
        path="/in-url",
        body=b"in-request",
        response_body=b"in-response",
        response_fields=((b"X-B", b"in-header"),),
    )
    flow.comment = "in\ncomment"
    flow.websocket = WebSocketData(Piece(b"in-message", False))
    for where in ("url", "request", "response", "header", "message"):
        assert matches(f"~any in-{where}", flow)
    assert matches("~any ^comment$", flow)
    assert not matches("~any nowhere", flow)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("~json $.user.name=^ann$", True),
        ("~json $.user.name=^a$", False),
        ("~json $.user.age=^42$", True),
        ("~json $.user.admin=true", True),
        ("~json $.user.none=null", True),
        ("~json $.user={.*age", True),
        ("~json $.items[0].id=7", True),
        ("~json $.items[-1].id=8", True),
        ("~json $.items[2].id=.", False),
        ("~json $.items[*].id=8", True),
        ("~json $.items.*.id=9", False),
        ("~json $.user.*=ann", True),
        ("~json $.user[0]=.", False),
        ("~json $.items.id=.", False),
        ("~json $.user.name.first=.", False),
        ("~json \"$['a b']=two words\"", True),
        ("~json $.user", True),
        ("~json $.nobody", False),
        ("~json $.user.none", True),
    ],
)
def test_json(source, expected):
    body = (
        b'{"user": {"name": "Ann", "age": 42, "admin": true, "none": null},'
        b' "items": [{"id": 7}, {"id": 8}], "a b": "two words"}'
    )
    assert matches(source, http(response_body=body)) is expected
    assert matches(source, http(body=body, response_body=b"<html>")) is expected


@pytest.mark.parametrize(
    "body", [b"", None, b"{", b"\xff\xfe\x00", b"[" * 100_000, b"1" * 10_000, b'{"a": "\\ud800"}']
)
def test_json_of_what_is_not(body):
    assert not matches("~json $.user=.", http(response_body=body))


def test_sizes():
    flow = http(body=b"12345", response_body=b"x" * 2048)
    for source in (
        "~size 2053",
        "~sizeq 5",
        "~sizes 2k",
        "~sizes >=2k",
        "~sizes 1k-2k",
        "~size >2k",
    ):
        assert matches(source, flow)
    for source in ("~size 2k", "~sizeq 2k", "~sizes >2k"):
        assert not matches(source, flow)
    empty = http(body=b"", response_body=b"")
    assert matches("~size 0", empty)
    assert matches("~sizes 0", empty)


def test_missing_bodies_have_no_size():
    assert not matches("~sizes <1k", http(response_body=None))
    assert matches("~size 3", http(body=b"abc", response_body=None))
    assert not matches("~size <1k", http(body=None, response_body=None))


def test_sizes_do_not_read_bodies():
    class OnDisk:
        size_bytes = 5_000_000_000

        def read(self):
            raise AssertionError("read")

    assert matches("~sizes >4g", http(response_body=OnDisk()))


def test_times():
    flow = http(times=(1000.0, 1000.25, 1000.5))
    for source in ("~dur >400ms", "~dur <=500ms", "~ttfb 200ms-300ms", "~ttfb >=0.25"):
        assert matches(source, flow)
    for source in ("~dur >500ms", "~ttfb >1s", "~dur <1ms"):
        assert not matches(source, flow)
    unfinished = http(times=(1000.0, None, None))
    assert not matches("~dur >=0", unfinished)
    assert not matches("~ttfb >=0", unfinished)


def test_since():
    flow = http(times=(1000.0, None, None))
    assert matches("~since 10s", flow)
    assert not matches("~since 9s", flow)
    relay = RelayFlow("tcp")
    relay.timestamp_created = 1009.0
    assert matches("~since 1s", relay)
    assert not matches("~since 0.5s", relay)


def test_since_counts_from_the_call():
    now = [1000.0]
    found = parse("~since 10s", clock=lambda: now[0])
    flow = http(times=(1000.0, None, None))
    assert found(flow)
    now[0] = 1011.0
    assert not found(flow)


def test_cells():
    flow = http()
    assert not matches("~cell 12", flow)
    flow.metadata["cell"] = 12
    assert matches("~cell 12", flow)
    assert matches("~cell >=10", flow)
    assert matches("~cell 10-12", flow)
    assert not matches("~cell 1", flow)
    flow.metadata["cell"] = "12"
    assert not matches("~cell 12", flow)


def test_matching_changes_nothing():
    flow = http(body=b"a=1", response_body=b'{"a": 1}')
    before = (flow.request.headers.fields, flow.request.raw_content, flow.response.raw_content)
    for operator in ("~all", "~any x", "~json $.a=1", "~b .", "~h .", "~size 0", "~meta ."):
        matches(operator, flow)
    after = (flow.request.headers.fields, flow.request.raw_content, flow.response.raw_content)
    assert after == before
    assert flow.metadata == {}
