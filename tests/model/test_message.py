"""Requests and responses: views over head and body that stay in step with each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.reasons import REASONS


def get(url="http://example.org/", **headers):
    return Request.make("GET", url, headers=Headers(**headers))


def answer(raw, **headers):
    return Response(200, headers=Headers(**headers), content=raw)


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
    with pytest.raises(ValueError, match="not a method"):
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


# -- responses


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
