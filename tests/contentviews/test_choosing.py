"""Views of bodies from outside: which fit, what they show, and that nothing makes them fail."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.contentviews import VIEWS, Body, names, render
from nbproxy.model.message import Request, Response

DEEP = 50_000


def response(content, content_type="", **headers):
    fields = {"content-type": content_type} if content_type else {}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Response.make(200, content, fields)


def keys(node):
    return {child.key: child for child in node.children}


@pytest.mark.parametrize(
    ("content", "content_type", "first"),
    [
        (b'{"a": 1}', "application/json", "json"),
        (b'\xef\xbb\xbf{"a": 1}', "text/plain", "json"),
        (b'{"a": 1}\n{"a": 2}', "application/x-ndjson", "json"),
        (b"[1]", "application/vnd.api+json; charset=utf-8", "json"),
        (b'{"query": "{ me { id } }"}', "application/json", "graphql"),
        (b"<a/>", "application/rss+xml", "xml"),
        (b"<svg onload='x()'/>", "image/svg+xml", "xml"),
        (b"<!DOCTYPE html><p>", "", "html"),
        (b"a{}", "text/css", "css"),
        (b"f()", "text/javascript", "javascript"),
        (b"a=1", "application/x-www-form-urlencoded", "form"),
        (b"data: 1\n\n", "text/event-stream", "events"),
        (b"\x08\x96\x01", "application/x-protobuf", "protobuf"),
        (b"\x00\x00\x00\x00\x03\x08\x96\x01", "application/grpc+proto", "grpc"),
        (b"\x81\xa1a\x01", "", "msgpack"),
        (b"\xa1\x61a\x01", "application/cbor", "cbor"),
        (b"GIF89a\x05\x00\x07\x00", "text/plain", "image"),
        (b"eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln", "text/plain", "jwt"),
        (b"SGVsbG8gd29ybGQsIGhlbGxvIQ==", "text/plain", "base64"),
        (b"hello", "text/plain", "text"),
        (b"\x00\x01\xff", "application/octet-stream", "hex"),
        (b"", "application/json", "json"),
    ],
)
def test_the_best_view_comes_first(content, content_type, first):
    found = names(response(content, content_type))
    if content:
        assert found[0] == first
    assert {"raw", "text", "hex"} <= set(found)
    assert render(response(content, content_type)).name == found[0]


def test_the_query_of_a_request_is_a_table():
    request = Request.make("GET", "http://a.test/?a=1&password=hunter2")
    assert names(request)[0] == "query"
    view = render(request)
    assert view.rows[0] == ("a", "1")
    assert "hunter2" not in json.dumps(view.to_dict())
    assert "hunter2" in render(request, reveal=True).text()


def test_a_body_comes_before_the_query():
    request = Request.make("POST", "http://a.test/?a=1", b"hello")
    assert names(request) == ["text", "hex", "raw", "query"]


def test_binary_formats_are_read_as_far_as_a_bound():
    assert "Read as far as" in render(Body(b"\xc0" * 2_000_000), "msgpack").note


def test_graphql_in_a_query_has_a_tree_of_its_variables():
    url = "http://a.test/graphql?query=%7Bme%7Bid%7D%7D&variables=%7B%22n%22%3A1%7D"
    view = render(Request.make("GET", url))
    found = keys(view.root)
    assert found["query"].value == "{\n  me {\n    id\n  }\n}"
    assert keys(found["variables"])["n"].value == "1"


def test_an_unknown_view_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"there are auto, image, .*hex"):
        render(response(b"x"), "nonsense")


@given(
    st.one_of(
        st.binary(max_size=300), st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
    ),
    st.sampled_from(
        ["", "application/json", "text/html", "application/grpc", "multipart/form-data; boundary=a"]
    ),
    st.integers(0, 400),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_a_view_of_every_kind(content, content_type, offset, reveal):
    message = response(content, content_type)
    names(message)
    for view in VIEWS:
        found = render(message, view, offset=offset, limit=256, reveal=reveal)
        json.dumps(found.to_dict()).encode("utf-8")
        shown = found.text()
        shown.encode("utf-8")
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert found.next_offset is None or found.next_offset > offset - 16


@given(st.binary(min_size=1, max_size=4000), st.sampled_from(["text", "hex", "json", "msgpack"]))
@settings(max_examples=60, deadline=None)
def test_windows_end(content, view):
    message = response(content)
    offset, steps = 0, 0
    while offset is not None:
        following = render(message, view, offset=offset, limit=256).next_offset
        assert following is None or following > offset
        offset, steps = following, steps + 1
    assert steps < 300


def test_windows_of_a_text_make_up_the_whole():
    text = "".join(f"line {i} é\n" for i in range(2000))
    message = response(text.encode(), "text/plain; charset=utf-8")
    pieces, offset = [], 0
    while offset is not None:
        view = render(message, "text", offset=offset, limit=1000)
        pieces.append(view.source)
        offset = view.next_offset
    assert "".join(pieces) == text


def test_windows_of_a_large_text_make_up_the_whole():
    text = "é" * 5_000_001
    body = Body(text.encode(), "text/plain")
    pieces, offset = [], 0
    while offset is not None:
        view = render(body, "text", offset=offset, limit=2**20)
        assert view.unit == "bytes"
        pieces.append(view.source)
        offset = view.next_offset
    assert "".join(pieces) == text


def test_a_secret_is_masked_wherever_a_window_of_a_large_text_begins():
    head = b'{"x": "' + b"a" * 5_000_000 + b'", "password": "hunter2hunter2", "b": "'
    body = Body(head + b"c" * 9000 + b'"}', "application/json")
    for back in range(0, 60, 7):
        view = render(body, "text", offset=5_000_040 - back, limit=1000)
        assert "hunter2hunter2" not in view.source
        assert render(body, "hex", offset=5_000_040 - back, limit=1000).source == ""


def test_secrets_in_a_large_form_are_masked():
    form = b"a=" + b"b" * 5_000_000 + b"&password=hunter2&c=d"
    body = Body(form, "application/x-www-form-urlencoded")
    source = render(body, "text", offset=4_999_000).source
    assert "hunter2" not in source
    assert "c=d" in source


def test_windows_of_a_tree_keep_what_encloses_them():
    message = response(json.dumps({"data": {"rows": list(range(1000))}}), "application/json")
    seen, offset = [], 0
    while offset is not None:
        view = render(message, "json", offset=offset, limit=1000)
        rows = keys(keys(view.root)["data"])["rows"]
        assert rows.count == 1000
        seen += [(child.key, child.value) for child in rows.children]
        offset = view.next_offset
    assert seen == [(number, str(number)) for number in range(1000)]


@pytest.mark.parametrize(
    ("content", "view"),
    [
        (b"[" * DEEP, "json"),
        (b'{"a":' * DEEP, "json"),
        (b"[" * DEEP, "json source"),
        (b"<a>" * DEEP, "xml"),
        (b"<!--" * DEEP, "html"),
        (b"\x91" * DEEP, "msgpack"),
        (b"\x9f" * DEEP, "cbor"),
        (b"\x0b" * DEEP, "protobuf"),
        (b"{a" * DEEP, "graphql"),
        (b'{"query":"' + b"{a" * DEEP, "graphql"),
    ],
)
def test_depth_costs_no_recursion(content, view):
    found = render(response(content), view)
    json.dumps(found.to_dict())
    found.text()


def test_entities_are_not_resolved():
    laughs = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b SYSTEM "file:///etc/passwd">]><l>&a;&b;</l>'
    view = render(response(laughs, "text/xml"))
    assert "&a;&b;" in view.source
    assert view.syntax == "xml"


def test_raw_is_what_was_sent():
    message = Response.make(200, b"", {"content-type": "text/plain", "content-encoding": "gzip"})
    message.raw_content = gzip.compress(b"hello")
    assert render(message, "text").source == "hello"
    raw = render(message, "raw")
    assert raw.kind == "hex"
    assert raw.source.startswith("00000000  1f 8b")
    message.raw_content = gzip.compress(b'{"password": "hunter2"}')
    assert render(message, "raw").source == ""
    assert render(message, "raw", reveal=True).source


def test_a_body_that_cannot_be_read_says_so():
    class Gone:
        size_bytes = 10

        def read(self):
            raise OSError("the file is gone")

    message = response(b"")
    message.hold_body(Gone())
    assert "the file is gone" in render(message).note
    message.hold_body(b"")
    message.raw_content = None
    assert render(message).note == "The body was not recorded."


def test_svg_is_source_only():
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    message = response(svg, "image/svg+xml")
    assert "image" not in names(message)
    assert render(message, "image").to_dict()["kind"] == "text"


def test_the_signature_of_a_token_is_masked():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSIsImV4cCI6MTcwMDAwMDAwMH0.c2lnbmF0dXJl"
    view = render(response(token, "text/plain"))
    text = view.text()
    assert "HS256" in text
    assert "2023-11-14" in text
    assert "c2lnbmF0dXJl" not in text
    assert "c2lnbmF0dXJl" in render(response(token, "text/plain"), reveal=True).text()


def test_multipart_shows_texts_and_files():
    content = (
        b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.bin"\r\n\r\n'
        b"\x00\x01\r\n--b--\r\n"
    )
    view = render(response(content, "multipart/form-data; boundary=b"))
    assert view.kind == "table"
    assert view.rows[0][1].startswith("***")
    assert view.rows[1] == ("f", "00 01", "file 'x.bin', 2 bytes")


def test_events_are_rows():
    view = render(response(b": hi\nevent: a\ndata: 1\ndata: 2\n\ndata: 3", "text/event-stream"))
    assert view.kind == "events"
    assert [row[:2] for row in view.rows] == [("a", "1\n2"), ("", "3")]
