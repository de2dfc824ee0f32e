"""One flow in detail: complete, masked, inert, bounded."""

import gzip
import json
import re

import pytest

from nbproxy.model.connection import Server
from nbproxy.model.flow import Error
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.notebook import details
from nbproxy.notebook.details import flow_html, flow_text, headers_html, message_html, show_body
from nbproxy.store import Store
from tests.notebook.inert import HOSTILE, check
from tests.store.flow_factory import answer, end, new_flow

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


def response(content, content_type="text/plain", **headers):
    made = Response.make(200, b"", {"Content-Type": content_type, **headers})
    made.raw_content = content
    return made


def test_everything_is_there():
    flow = new_flow("/a?token=s3cr3tvalue")
    answer(flow, 404, b'{"a": 1}', "application/json")
    start = flow.request.timestamp_start
    flow.request.headers = Headers([("Host", "example.org"), ("Cookie", "sid=verysecret")])
    flow.request.timestamp_end = start + 0.001
    flow.response.trailers = Headers([("X-Sum", "17")])
    server = flow.server_conn
    server.timestamp_start, server.timestamp_tcp_setup = start + 0.002, start + 0.004
    server.tls, server.tls_version, server.cipher = True, "TLSv1.3", "TLS_AES_128_GCM_SHA256"
    server.timestamp_tls_setup, server.sni, server.alpn = start + 0.01, "example.org", "http/1.1"
    server.via, server.requests, server.verified = ("http", ("upstream", 3128)), 3, True
    flow.client_conn.error = "went away"
    flow.error = Error("cut off")
    flow.comment, flow.marked = "odd", ":x:"
    end(flow)
    page = check(flow_html(flow))
    text = flow_text(flow)
    for shown in (page.text, text):
        for fact in (
            f"Flow {flow.id}",
            "404",
            "GET https://example.org/a?token=***",
            "GET /a?token=***",
            "HTTP/1.1 404 Not Found",
            "Cookie: sid=***",
            '{\n  "a": 1\n}',
            "X-Sum: 17",
            "cut off",
            "odd",
            ":x:",
            "request complete",
            "+4.0 ms",
            "+500.0 ms",
            "127.0.0.1:5312",
            "93.184.216.34:443",
            "TLSv1.3 TLS_AES_128_GCM_SHA256",
            "went away",
            "upstream:3128",
        ):
            assert fact in shown, fact
        assert "verysecret" not in shown
        assert "s3cr3tvalue" not in shown
    assert page.tags.count("details") == 4


def test_a_flow_that_has_only_begun():
    flow = new_flow()
    flow.server_conn = Server()
    flow.client_conn.peername = None
    assert "No body." in check(flow_html(flow)).text
    assert flow_text(flow).startswith(f"Flow {flow.id}: GET https://example.org/ → …\n")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_flows_are_inert_d01(text):
    flow = new_flow()
    answer(flow, 200, text.encode("utf-8", "replace"), "text/html")
    tags = check(flow_html(flow)).tags
    raw = text.encode("utf-8", "replace")
    flow.request._path = flow.request._host = flow.request._method = text
    flow.request.http_version = flow.response.http_version = text
    flow.response._reason = text
    flow.request._headers = Headers.from_wire(((raw, raw), (b"cookie", raw), (b"location", raw)))
    page = check(flow_html(flow))
    assert len(page.tags) == len(tags) + 3
    flow.error = Error(text)
    flow.comment = flow.marked = text
    for side in (flow.client_conn, flow.server_conn):
        side.tls, side.sni, side.alpn, side.error = True, text, text, text
    flow.server_conn.address = (text, 1)
    check(flow_html(flow))
    check(message_html(flow.request))
    check(headers_html(flow.request.headers))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e\ud800]", flow_text(flow))


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "text/markdown", "text/xml"])
def test_captured_pages_are_text_d02_d04(kind):
    source = "<svg onload=alert(1)><script>alert(2)</script>![](http://evil.example/x)</svg>"
    page = check(message_html(response(source.encode(), kind)))
    assert source in page.text
    assert page.images == []


def test_images():
    page = check(message_html(response(PNG, "image/png; x=1")))
    assert len(page.images) == 1
    for content, kind in (
        (b"<svg onload=alert(1)>", "image/png"),
        (PNG, "image/svg+xml"),
        (PNG, "text/html"),
        (PNG + b"\x00" * 2**20, "image/png"),
    ):
        assert check(message_html(response(content, kind))).images == []
    assert "image/png, 48 B" in "".join(show_body(response(PNG, "image/png")).notes)


def test_json_is_indented_and_nothing_else():
    source = '{"b":1.10,"b":[],"a":[1e400,{"x":{}},"\\u00e9, [:]\\"{"],"c":true}'
    text = show_body(response(source.encode(), "application/json")).text
    assert re.sub(r"\n *", "", text).replace(": ", ":") == source
    assert text.splitlines()[:3] == ["{", '  "b": 1.10,', '  "b": [],']
    for broken in ("{", '{"a": }', "[" * 100_000):
        shown = show_body(response(broken.encode(), "application/json")).text
        assert shown == broken[: details.MAX_TEXT]
    assert show_body(response(b"[1,\r\n 2]", "text/plain")).text == "[\n  1,\n  2\n]"
    deep = "[" * 500 + "]" * 500
    assert show_body(response(deep.encode(), "application/json")).text.count("[") <= 500


def test_large_json_is_cut():
    source = json.dumps([{"number": i} for i in range(20_000)])
    body = show_body(response(source.encode(), "application/json"))
    assert len(body.text) <= details.MAX_TEXT
    assert body.notes == (f"Cut here: there are {len(source):,} characters.",)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"user=ada&password=hunter2", "application/x-www-form-urlencoded"),
        (b"user=ada&password=hunter2", ""),
        (b'{"user": "ada", "password": "hunter2"}', "application/json"),
        (b'{"user": "ada", "password": "hunter2"}', "text/plain"),
        (b'<input name="password" value="hunter2"> ada', "text/html"),
    ],
)
def test_secrets_in_bodies_are_masked(content, kind):
    text = show_body(response(content, kind)).text
    assert "hunter2" not in text
    assert "***" in text
    assert "ada" in text


def test_a_secret_at_the_cut_stays_masked():
    padding = "x" * (details.MAX_TEXT - 12)
    source = json.dumps({"a": padding, "password": "hunter2-and-more"})
    assert "hunter" not in show_body(response(source.encode(), "application/json")).text


def test_binary_is_hexadecimal():
    body = show_body(response(bytes(range(256)) * 4, "application/octet-stream"))
    lines = body.text.splitlines()
    assert len(lines) == 32
    assert lines[4].startswith("00000040  40 41 42")
    assert lines[4].endswith("@ABCDEFGHIJKLMNO")
    assert body.notes == ("The first 512 bytes of 1.0 kB.",)
    latin = "é ü ".encode("latin-1") * 20
    assert "e9 20 fc" in show_body(response(latin, "application/x-unknown; charset=utf-8")).text


def test_codings():
    good = response(gzip.compress(b"hello"), "text/plain", **{"Content-Encoding": "gzip"})
    assert show_body(good).text == "hello"
    bad = response(b"no gzip at all", "text/plain", **{"Content-Encoding": "gzip"})
    body = show_body(bad)
    assert body.text == "no gzip at all"
    assert body.notes == ("Its content coding (gzip) could not be undone.",)
    head = response(b"", "text/plain", **{"Content-Encoding": "gzip"})
    assert show_body(head).notes == ("No body.",)
    assert show_body(response(None)).notes == ("The body was not recorded.",)


@pytest.fixture
def spooled(tmp_path):
    """Puts bytes where large bodies of a store go."""
    stores = []

    def spool(content, directory=tmp_path, **kwargs):
        store = Store(body_memory_limit=1000, directory=directory, **kwargs)
        stores.append(store)
        sink = store.body()
        for start in range(0, len(content), 2**20):
            sink.write(content[start : start + 2**20])
        stored = sink.close()
        store.flush()
        return stored

    yield spool
    for store in stores:
        store.close()


def test_only_the_beginning_of_a_huge_body_is_read(monkeypatch, spooled):
    made = response(None, "text/plain")
    made._content = spooled(b"0123456789" * 600_000)
    monkeypatch.setattr(type(made._content), "read", None)
    body = show_body(made)
    assert body.text.startswith("0123456789")
    assert body.notes == ("Cut here: there are 6.0 MB.",)
    made.headers["content-encoding"] = "gzip"
    body = show_body(made)
    assert body.text.startswith("00000000  30 31")
    assert body.notes[0] == "Too large to be decoded here (gzip)."
    plain = response(b"ab" * 3_000_000)
    assert show_body(plain).text.startswith("abab")


def test_a_truncated_body_says_so():
    class Cut(bytes):
        truncated = True
        size_bytes = 5000

        def chunks(self, size_bytes=2**20):
            yield bytes(self)

        def read(self):
            return bytes(self)

    made = response(None, "text/plain")
    made._content = Cut(b"x" * 5000)
    assert show_body(made).notes[0].startswith("Recorded only as far as 5.0 kB")


def test_a_body_that_cannot_be_read():
    class Gone:
        size_bytes = 10

        def read(self):
            raise OSError("the file is gone")

    made = response(None)
    made._content = Gone()
    assert show_body(made).notes == ("The body cannot be shown: the file is gone.",)


def test_many_fields():
    headers = Headers([(f"x-{i}", "1") for i in range(1000)])
    page = check(headers_html(headers))
    assert "and 800 more" in page.text


def test_what_cannot_be_drawn_says_so():
    request = Request.make("GET", "http://example.org/")
    request._path = None
    assert "This Request cannot be shown: TypeError" in check(message_html(request)).text
