"""Requests and responses: views over head and body that stay in step with each other."""

import gzip
import json
import zlib

import brotli
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbproxy.model.coding import KNOWN
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.reasons import REASONS


class Stored:
    """A body that lies elsewhere."""

    def __init__(self, data):
        self.data = data
        self.reads = 0

    @property
    def size_bytes(self):
        return len(self.data)

    def read(self):
        self.reads += 1
        return self.data


def get(url="http://example.org/", **headers):
    return Request.make("GET", url, headers=Headers(**headers))


def answer(raw, **headers):
    return Response(200, headers=Headers(**headers), content=raw)


# -- bodies


def test_content_and_its_length():
    response = Response.make(200, b"abc")
    assert (response.content, response.raw_content, response.text) == (b"abc", b"abc", "abc")
    assert (response.body_size, response.holds_bytes) == (3, True)
    assert response.headers["content-length"] == "3"
    response.content = b""
    assert response.headers["content-length"] == "0"
    response.content += b"12345"
    assert response.headers["content-length"] == "5"
    response.content = bytearray(b"1")
    assert response.content == b"1"


def test_a_missing_body():
    response = answer(None)
    assert (response.content, response.raw_content, response.text) == (None, None, None)
    assert (response.body_size, response.holds_bytes) == (0, False)
    with pytest.raises(TypeError, match="no body"):
        response.json()
    response.encode("gzip")
    assert "content-encoding" not in response.headers
    response.decode()
    response.text = "a"
    assert response.content == b"a"
    response.text = None
    assert response.content is None
    response.content = b"b"
    response.content = None
    assert response.text is None


def test_a_length_is_not_added_to_chunks():
    response = answer(b"", transfer_encoding="chunked")
    response.content = b"abc"
    assert "content-length" not in response.headers


def test_bodies_are_bytes():
    response = Response.make()
    for assign in ("content", "raw_content"):
        with pytest.raises(TypeError, match=r"assign text to \.text"):
            setattr(response, assign, "text")
        for value in (5, [1, 2], {"a": 1}):
            with pytest.raises(TypeError, match="a body is bytes, not"):
                setattr(response, assign, value)
    assert response.content == b""


@pytest.mark.parametrize("coding", sorted(KNOWN))
def test_codings_are_taken_off_and_put_on(coding):
    response = Response.make(200, "Grüße " * 100, {"content-type": "text/plain; charset=utf-8"})
    plain = response.content
    response.encode(coding)
    assert response.headers["content-encoding"] == coding
    assert response.headers["content-length"] == str(len(response.raw_content))
    assert response.content == plain
    assert response.text == "Grüße " * 100
    response.text = "Ä"
    assert response.content == "Ä".encode()
    assert response.headers["content-length"] == str(response.body_size)
    response.decode()
    assert "content-encoding" not in response.headers
    assert response.raw_content == "Ä".encode()
    assert response.headers["content-length"] == "2"


def test_a_body_is_decoded_once():
    response = answer(gzip.compress(b"a" * 1000), content_encoding="gzip")
    assert response.content is response.content
    response.headers["content-encoding"] = "x-gzip"
    assert response.content == b"a" * 1000
    response.raw_content = gzip.compress(b"b")
    assert response.content == b"b"
    response.hold_body(gzip.compress(b"c"))
    assert response.content == b"c"


def test_encoding_anew_replaces_the_coding():
    response = answer(zlib.compress(b"abc"), content_encoding="deflate")
    response.encode("br")
    assert brotli.decompress(response.raw_content) == b"abc"
    response.encode("identity")
    assert response.raw_content == b"abc"
    with pytest.raises(ValueError, match="cannot encode as 'lzma'"):
        response.encode("lzma")
    assert (response.raw_content, response.headers["content-encoding"]) == (b"abc", "identity")


def test_several_lines_of_content_encoding_are_one_list():  # hostile: E-02
    response = answer(gzip.compress(zlib.compress(b"abc")))
    response.headers.add("Content-Encoding", "deflate")
    response.headers.add("content-encoding", "gzip")
    assert response.content == b"abc"
    response.content = b"abcd"
    assert zlib.decompress(gzip.decompress(response.raw_content)) == b"abcd"
    response.decode()
    assert response.raw_content == b"abcd"
    assert "content-encoding" not in response.headers


BROKEN = {
    "broken": (gzip.compress(b"hello")[:-9] + b"12345", "gzip"),
    "cut": (gzip.compress(b"hello")[:-1], "gzip"),
    "unknown": (b'{"a": 1}', "rot13"),
    "not-true": (b'{"a": 1}', "gzip"),
    "doubled": (gzip.compress(b"hello"), "gzip, gzip"),
    "too-many": (b"hello", ", ".join(["gzip"] * 50)),
    "bytes": (b"hello", "\udcff\udc80"),
    "bomb": (gzip.compress(bytes(2**25)), "gzip"),
}


@pytest.mark.parametrize(("raw", "coding"), BROKEN.values(), ids=BROKEN)
def test_a_body_that_does_not_decode_is_shown_as_it_came(raw, coding):  # hostile: E-01 E-02
    response = answer(raw, content_encoding=coding)
    with pytest.raises(ValueError, match=r"\w"):
        _ = response.content
    assert response.get_content(strict=False) == raw
    assert isinstance(response.text, str)
    with pytest.raises(ValueError, match=r"\w"):
        response.get_text(strict=True)
    with pytest.raises(ValueError, match=r"\w"):
        response.decode()
    assert (response.raw_content, response.headers["content-encoding"]) == (raw, coding)
    try:
        assert response.json() == {"a": 1}
    except ValueError:
        assert b"{" not in raw
    copied = response.copy()
    copied.decode(strict=False)
    assert (copied.raw_content, "content-encoding" in copied.headers) == (raw, False)


@pytest.mark.parametrize("coding", ["", " ", "identity", ",", "identity, Identity"])
def test_no_coding_by_another_name(coding):  # hostile: E-02
    assert answer(b"abc", content_encoding=coding).content == b"abc"


def test_a_coding_that_cannot_be_applied_is_taken_off():
    response = answer(b"old", content_encoding="rot13")
    response.content = b"new"
    assert (response.raw_content, "content-encoding" in response.headers) == (b"new", False)
    assert response.headers["content-length"] == "3"


def test_stored_bodies_are_read_when_somebody_asks():
    stored = Stored(gzip.compress(b"abc"))
    response = answer(stored, content_encoding="gzip")
    assert (response.body_size, response.holds_bytes) == (stored.size_bytes, False)
    copied = response.copy()
    assert stored.reads == 0
    assert response.content == b"abc"
    assert response.text == "abc"
    assert response.raw_content == stored.data
    assert response._decoded is None  # what lies on disk is not kept in memory
    stored.data = gzip.compress(b"abcdef")  # still growing
    assert response.content == b"abcdef"
    assert copied.content == b"abcdef"
    response.content = b"short"
    assert response.holds_bytes
    assert copied.content == b"abcdef"


def test_a_stored_body_that_is_gone_is_an_error():
    class Gone(Stored):
        def read(self):
            raise OSError("gone")

    response = answer(Gone(b"abc"))
    assert response.body_size == 3
    with pytest.raises(OSError, match="gone"):
        _ = response.text


# -- text


@pytest.mark.parametrize(
    ("raw", "content_type", "text"),
    [
        ("Grüße".encode(), "text/plain; charset=utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1", "Grüße"),
        ("Grüße".encode(), "application/json", "Grüße"),
        (b"\xef\xbb\xbfabc", "text/plain", "abc"),
        (b"a\xffb", "text/plain; charset=utf-8", "a\udcffb"),
        (b"abc", "text/plain; charset=base64", "abc"),
    ],
)
def test_text_of_bytes(raw, content_type, text):
    assert answer(raw, content_type=content_type).text == text


def test_text_is_encoded_as_the_head_says():
    response = answer(b"", content_type="text/plain; charset=iso-8859-1")
    response.text = "Grüße"
    assert response.raw_content == "Grüße".encode("latin-1")
    response.text = "5 €, 三"  # Latin-1 cannot say it
    assert response.raw_content == "5 €, 三".encode()
    assert "utf-8" in response.headers["content-type"].lower()
    assert response.text == "5 €, 三"
    assert response.headers["content-length"] == str(response.body_size)


@given(st.text(max_size=20), st.sampled_from(["", "text/html", "text/plain; charset=latin-1"]))
@example("\ud800", "")
@example("\ufeff", "")
def test_text_comes_back(text, content_type):
    response = answer(b"", content_type=content_type)
    try:
        response.text = text
    except ValueError:
        assert any("\ud800" <= char <= "\udfff" for char in text)
        assert response.content == b""
    else:
        assert response.text == text or text.startswith("\ufeff")


def test_json():
    response = Response.make(200, '{"a": [1, 2.5, "ü"]}', {"content-type": "application/json"})
    assert response.json() == {"a": [1, 2.5, "ü"]}
    assert response.json(parse_float=str)["a"][1] == "2.5"
    response.encode("gzip")
    assert response.json()["a"][0] == 1
    assert answer('"ü"'.encode("utf-16")).json() == "ü"
    for raw in (b"", b"{", b"\xff\xfe\xfd"):
        with pytest.raises(ValueError, match=r"\w"):
            answer(raw).json()


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"9" * 100_000,
        b"[" * 100_000,
    ],
    ids=["lists", "objects", "digits", "open"],
)
def test_json_that_is_too_much_is_a_value_error(raw):  # hostile: E-05
    response = answer(raw, content_type="application/json")
    with pytest.raises(ValueError, match=r"\w"):
        response.json()
    assert response.text == raw.decode()


def test_entities_are_never_expanded():  # hostile: E-05
    bomb = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    assert answer(bomb, content_type="text/xml").text == bomb.decode()


# -- where a request goes


def test_make():
    request = Request.make("POST", "https://example.org:8443/a?b=c", "ü", {"X-A": "1"})
    assert (request.method, request.scheme, request.host) == ("POST", "https", "example.org")
    assert (request.port, request.path) == (8443, "/a?b=c")
    assert request.headers.items() == [
        ("X-A", "1"),
        ("host", "example.org:8443"),
        ("content-length", "2"),
    ]
    assert (request.text, request.raw_content) == ("ü", "ü".encode())
    assert request.first_line_format == "relative"
    bare = Request.make("GET", "http://example.org")
    assert (bare.url, bare.port, bare.content) == ("http://example.org/", 80, b"")
    assert bare.headers.items() == [("host", "example.org")]
    pairs = Request.make("PUT", "http://a/", b"x", [(b"a", b"1"), ("a", "2")])
    assert pairs.headers.get_all("a") == ["1", "2"]


@pytest.mark.parametrize(
    ("method", "url", "headers"),
    [
        ("GET", "/path", {}),
        ("GET", "example.org", {}),
        ("GET", "ftp://example.org/", {}),
        ("GET", "http://a b/", {}),
        ("GET", "http://example.org:99999/", {}),
        ("G ET", "http://example.org/", {}),
        ("", "http://example.org/", {}),
        ("GET\r\n", "http://example.org/", {}),
        ("GET", "http://example.org/\r\nX: 1", {}),
        ("GET", "http://example.org/", {"a": "1\r\nb: 2"}),
    ],
)
def test_what_cannot_be_sent_cannot_be_made(method, url, headers):  # hostile: N-01
    with pytest.raises(ValueError, match=r"\w"):
        Request.make(method, url, headers=headers)


def test_a_url_is_its_parts():
    request = get("http://example.org/a")
    request.url = "https://ü.example:444/ä b?x=ü#fragment"
    assert request.scheme == "https"
    assert (request.host, request.port) == ("xn--tda.example", 444)
    assert request.path == "/%C3%A4%20b?x=%C3%BC"
    assert request.headers["host"] == "xn--tda.example:444"
    assert request.url == "https://xn--tda.example:444/%C3%A4%20b?x=%C3%BC"
    for url in ("nonsense", "http:///", "http://a\r\n/"):
        with pytest.raises(ValueError, match=r"\w"):
            request.url = url
    assert request.port == 444


def test_host_and_port_change_the_host_field():
    request = get("http://example.org/a")
    request.host = "other.test"
    assert request.headers["host"] == "other.test"
    request.port = 8080
    assert request.headers["host"] == "other.test:8080"
    request.host = "::1"
    assert (request.host, request.headers["host"]) == ("::1", "[::1]:8080")
    assert request.url == "http://[::1]:8080/a"
    assert request.authority == ""
    del request.headers["host"]
    request.host = "third.test"
    assert "host" not in request.headers
    proxied = Request("GET", "http", "a.test", 80, "/", authority="a.test")
    proxied.port = 81
    assert (proxied.authority, proxied.first_line_format) == ("a.test:81", "absolute")
    proxied.url = "http://b.test/"
    assert (proxied.authority, proxied.headers["host"]) == ("b.test", "b.test")
    assert Request("CONNECT", "", "a", 1, "").first_line_format == "authority"


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "u@a", "a\r\n", "a:80", "::g", "a" * 300, "a,b"]
)
def test_hosts_are_checked(host):  # hostile: N-01
    request = get()
    with pytest.raises(ValueError, match=r"\w"):
        request.host = host
    assert request.url == "http://example.org/"


def test_ports_and_paths_are_checked():  # hostile: N-01
    request = get("http://example.org/a")
    for port in (0, -1, 65536):
        with pytest.raises(ValueError, match="is not a port"):
            request.port = port
    for path in ("a", "/a\r\nb", "/\0", "http://b/"):
        with pytest.raises(ValueError, match="path"):
            request.path = path
    with pytest.raises(ValueError, match="field name"):
        request.method = "GET /\r\n"
    assert (request.url, request.method) == ("http://example.org/a", "GET")
    request.path = "/b c#d"
    assert request.path == "/b%20c%23d"
    request.path = ""
    assert request.path == "/"
    request.path = "*"
    assert request.url == "http://example.org"


def test_pretty_names_are_those_of_the_client():
    request = get("https://127.0.0.1:8443/x", Host="placeholder")
    request.headers["host"] = "named.test"
    assert request.pretty_host == "named.test"
    assert request.pretty_url == "https://named.test/x"
    request.headers["host"] = "named.test:99"
    assert request.pretty_url == "https://named.test:99/x"
    request.headers["host"] = "bad host, <script>"
    assert (request.pretty_host, request.pretty_url) == ("127.0.0.1", request.url)
    assert request.host_header == "bad host, <script>"
    request.host_header = "again.test"
    assert request.pretty_host == "again.test"
    request.host_header = None
    assert request.host_header is None
    assert (request.pretty_host, request.pretty_url) == ("127.0.0.1", request.url)
    request.authority = "two.test"
    assert request.host_header == "two.test"
    request.host_header = "three.test"
    assert (request.authority, request.headers["host"]) == ("three.test", "three.test")


def test_path_components():
    request = get("http://a/one/tw%6F//three%2Ffour?q=1")
    assert request.path_components == ("one", "two", "three/four")
    request.path_components = ["one", "two", "ä/b"]
    assert request.path == "/one/tw%6F/%C3%A4%2Fb?q=1"
    request.path_components = ()
    assert request.path == "/?q=1"


def test_query():
    request = get("http://a/x?a=1&b=%41+c&a=2")
    assert request.query.fields == (("a", "1"), ("b", "A c"), ("a", "2"))
    assert request.query["b"] == "A c"
    request.query["page"] = "2"
    assert request.path == "/x?a=1&b=%41+c&a=2&page=2"
    del request.query["a"]
    assert request.path == "/x?b=%41+c&page=2"
    request.query["b"] = "\r\nü"
    assert request.path == "/x?b=%0D%0A%C3%BC&page=2"
    request.query = {"z": "1"}
    assert request.path == "/x?z=1"
    request.query = [("z", "1"), ("z", "2")]
    assert request.query.get_all("z") == ["1", "2"]
    request.query.clear()
    assert request.path == "/x"
    view = request.query
    request.path = "/y?late=1"
    assert view["late"] == "1"


def test_request_cookies():
    request = get(Cookie="a=1; b=2")
    request.headers.add("cookie", "c=3")
    assert request.cookies.fields == (("a", "1"), ("b", "2"), ("c", "3"))
    request.cookies["b"] = "4"
    assert request.headers.get_all("cookie") == ["a=1; b=4; c=3"]
    request.cookies = {}
    assert "cookie" not in request.headers
    request.cookies = [("x", "1")]
    assert request.headers["cookie"] == "x=1"
    with pytest.raises(ValueError, match=r"\w"):
        request.cookies["x"] = "1\r\nInjected: 1"  # hostile: N-01
    assert request.headers["cookie"] == "x=1"


def test_response_cookies():
    response = answer(b"")
    response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    response.headers.add("Set-Cookie", "b=2; Expires=Mon, 01 Jan 2024 00:00:00 GMT")
    value, attributes = response.cookies["a"]
    assert (value, attributes["path"]) == ("1", "/")
    response.cookies["a"] = ("3", attributes)
    first, second = response.headers.get_all("set-cookie")
    assert first == "a=3; Path=/; HttpOnly"
    assert second == "b=2; Expires=Mon, 01 Jan 2024 00:00:00 GMT"
    del response.cookies["b"]
    assert response.headers.get_all("set-cookie") == [first]


def test_urlencoded_forms():
    request = Request.make("POST", "http://a/", b"a=1&b=%41", {"content-type": "text/plain"})
    assert not request.urlencoded_form
    request.headers["content-type"] = "application/x-www-form-urlencoded; charset=utf-8"
    assert request.urlencoded_form.fields == (("a", "1"), ("b", "A"))
    request.urlencoded_form["c"] = "ü "
    assert request.content == b"a=1&b=%41&c=%C3%BC+"
    assert request.headers["content-length"] == "19"
    request.urlencoded_form = {"x": "y"}
    assert request.text == "x=y"
    fresh = get()
    fresh.urlencoded_form = [("a", "1"), ("a", "2")]
    assert fresh.headers["content-type"] == "application/x-www-form-urlencoded"
    assert fresh.content == b"a=1&a=2"


def test_multipart_forms():
    request = Request.make("POST", "http://a/")
    assert not request.multipart_form
    request.multipart_form = {b"a": b"1", b"b": b"\0\xff\r\n"}
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.multipart_form.fields == ((b"a", b"1"), (b"b", b"\0\xff\r\n"))
    request.multipart_form[b"a"] = b"2"
    assert request.multipart_form[b"a"] == b"2"
    assert request.headers["content-length"] == str(request.body_size)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="a',
    ],
)
@given(raw=st.binary(max_size=40))
def test_broken_forms_are_empty_or_read(content_type, raw):  # hostile: E-06
    request = Request.make("POST", "http://a/", raw, {"content-type": content_type})
    list(request.urlencoded_form.items(multi=True))
    list(request.multipart_form.items(multi=True))
    assert request.content == raw


def test_forms_past_the_bounds_are_empty():  # hostile: E-06
    urlencoded = {"content-type": "application/x-www-form-urlencoded"}
    request = Request.make("POST", "http://a/", b"a=1&" * 1_000_000, urlencoded)
    assert not request.urlencoded_form
    multipart = {"content-type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    for body in (part, part * 100_000 + b"--b--\r\n"):
        request = Request.make("POST", "http://a/", body, multipart)
        assert not request.multipart_form
        assert request.content == body


def test_asking_for_less():
    request = get(If_None_Match='"1"', If_Modified_Since="Mon", Accept_Encoding="gzip, br;q=1, xz")
    request.anticache()
    request.constrain_encoding()
    assert request.headers.items() == [
        ("accept-encoding", "gzip, br;q=1"),
        ("host", "example.org"),
    ]
    request.anticomp()
    assert request.headers["accept-encoding"] == "identity"
    request.headers["accept-encoding"] = "xz"
    request.constrain_encoding()
    assert request.headers["accept-encoding"] == "identity"
    del request.headers["accept-encoding"]
    request.constrain_encoding()
    assert "accept-encoding" not in request.headers


# -- responses and what both share


def test_responses_made():
    response = Response.make()
    assert (response.status_code, response.reason, response.content) == (200, "OK", b"")
    assert response.headers.items() == [("content-length", "0")]
    response = Response.make(404, "ü", {"content-type": "text/html; charset=latin-1"})
    assert (response.reason, response.raw_content) == ("Not Found", b"\xfc")
    headers = Headers(a="1")
    assert Response.make(299, headers=headers).headers is headers
    assert Response.make(299).reason == ""
    assert Response.make(200, headers=[("a", "1"), ("a", "2")]).headers.get_all("a") == ["1", "2"]
    for status in (0, 99, 1000, -200):
        with pytest.raises(ValueError, match="status code"):
            Response.make(status)
    with pytest.raises(ValueError, match="control"):
        Response.make(200, headers={"a": "\n"})


def test_reasons():
    assert REASONS[418] == "I'm a Teapot"
    assert Response(200, reason="").reason == ""
    response = Response(200, reason="Fine")
    response.reason = "Sehr schön"
    for reason in ("a\r\nb", "\0", "€", "\x7f"):
        with pytest.raises(ValueError, match="reason phrase"):
            response.reason = reason  # hostile: N-01
    assert response.reason == "Sehr schön"


def test_headers_may_be_assigned():
    response = Response.make()
    response.headers = {"A": "1"}
    assert isinstance(response.headers, Headers)
    assert response.headers.fields == ((b"A", b"1"),)
    with pytest.raises(ValueError, match="control"):
        response.headers = {"A": "\n"}
    other = Headers()
    response.headers = other
    assert response.headers is other


def test_versions():
    response = Response.make()
    assert (response.is_http10, response.is_http11, response.is_http2) == (False, True, False)
    response.http_version = "HTTP/2.0"
    assert (response.is_http10, response.is_http11, response.is_http2) == (False, False, True)
    response.http_version = "HTTP/1.0"
    assert response.is_http10


def test_copies_are_independent():
    first = Request.make("POST", "http://a/", b"x", {"A": "1"})
    first.trailers = Headers(t="1")
    first.timestamp_end = 5.0
    second = first.copy()
    assert type(second) is Request
    assert second.__dict__.keys() == first.__dict__.keys()
    assert second.raw_content is first.raw_content
    second.url = "http://b/"
    second.content = b"yz"
    second.trailers["t"] = "2"
    second.headers["A"] = "2"
    assert (first.url, first.content) == ("http://a/", b"x")
    assert (first.headers["A"], first.headers["host"]) == ("1", "a")
    assert (first.trailers["t"], second.timestamp_end) == ("1", 5.0)
    response = Response.make(404, b"x")
    copied = response.copy()
    copied.status_code = 200
    assert (response.status_code, copied.reason, copied.trailers) == (404, "Not Found", None)


def test_reprs_carry_no_secret():
    request = get("https://user:pass@example.org/secret?token=secret", Authorization="secret")
    assert repr(request) == "<Request GET example.org:443>"
    response = Response.make(200, "secret", {"content-type": "text/html", "set-cookie": "secret"})
    assert repr(response) == "<Response 200 text/html>"


def test_reprs_can_be_shown():  # hostile: D-06
    response = answer(b"", content_type="a\udcff\u202e" + "b" * 200)
    shown = repr(response)
    assert shown.encode("utf-8")
    assert "\u202e" not in shown
    assert len(shown) < 150


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_json_comes_back(value):
    response = Response.make(200, json.dumps(value).encode())
    response.encode("gzip")
    assert response.json() == value
