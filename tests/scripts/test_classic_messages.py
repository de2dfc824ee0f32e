"""Requests and responses of eras A to C, as views of real ones."""

import gzip
import re

import pytest

from nbproxy.scripts.bytetext import ByteText
from nbproxy.scripts.compat import classic
from nbproxy.scripts.compat.classic_messages import decoded
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless
from nbproxy.scripts.compat.classic_request import RequestA, RequestB, RequestC
from nbproxy.scripts.compat.classic_response import ResponseA, ResponseB, ResponseC
from tests.scripts.classic_host import NotingHost, answered, new_flow

ERAS = ["A", "B", "C"]


@pytest.fixture(params=ERAS)
def era(request):
    return request.param


def show(era, flow):
    return classic.view(era, flow, NotingHost())


def both(era):
    flow = answered(new_flow())
    return flow, show(era, flow)


def test_head_of_a_request(era):
    flow, shown = both(era)
    request = shown.request
    assert (request.method, request.scheme, request.host) == ("POST", "http", "example.com")
    assert (request.port, request.path) == (80, "/p?a=1&b=2")
    assert request.httpversion == (1, 1)
    request.path = "/changed"
    request.method = "PUT"
    request.scheme = "https"
    assert flow.request.url == "https://example.com:80/changed"
    request.timestamp_end = 2.5
    request.timestamp_start = 1.5
    assert (flow.request.timestamp_start, flow.request.timestamp_end) == (1.5, 2.5)
    assert request.headers["cookie"] == ("a=b; c=d" if era == "C" else ["a=b; c=d"])


def test_where_a_request_goes_and_its_host_field(era):
    flow, shown = both(era)
    shown.request.host = "mitmproxy.org"
    shown.request.port = 8080
    assert (flow.request.host, flow.request.port) == ("mitmproxy.org", 8080)
    assert flow.request.headers["host"] == ("mitmproxy.org" if era == "C" else "example.com")
    shown.request.update_host_header()
    assert flow.request.headers["host"] == "mitmproxy.org"


def test_urls_of_era_a():
    flow, shown = both("A")
    request = shown.request
    flow.request.headers["host"] = "other.com"
    assert request.get_url() == "http://example.com/p?a=1&b=2"
    assert request.get_url(hostheader=True) == "http://other.com/p?a=1&b=2"
    assert request.set_url("https://h:1/x")
    assert not request.set_url("no url")
    assert flow.request.url == "https://h:1/x"
    assert request.client_conn is shown.client_conn
    assert (request.is_live(), request.is_replay()) == (True, False)
    assert request.ip == "127.0.0.1"
    with pytest.raises(AttributeError, match=r"mitmproxy 0\.8 to 0\.10 .*get_url"):
        request.url  # noqa: B018


@pytest.mark.parametrize("era", ["B", "C"])
def test_urls_as_properties(era):
    flow, shown = both(era)
    request = shown.request
    flow.request.headers["host"] = "other.com"
    assert request.url == "http://example.com/p?a=1&b=2"
    assert request.pretty_host == request.pretty_host(hostheader=True) == "other.com"
    assert request.pretty_host(False) == "example.com"
    assert request.pretty_url.endswith("other.com/p?a=1&b=2")
    assert request.pretty_host.endswith(".com")
    request.url = "https://h/x"
    assert flow.request.url == "https://h/x"
    with pytest.raises(ValueError, match="the target"):
        request.url = "no url"
    assert (request.form_in, request.form_out) == ("relative", "relative")
    assert request.is_replay is False
    with pytest.raises(AttributeError, match="the property `url`"):
        request.get_url()


def test_queries_and_forms(era):
    flow, shown = both(era)
    query = shown.request.get_query()
    assert query.lst == [["a", "1"], ["b", "2"]]
    query["mitmproxy"] = ["rocks"]
    shown.request.set_query(query)
    assert flow.request.path == "/p?a=1&b=2&mitmproxy=rocks"
    form = shown.request.get_form_urlencoded()
    form["mitmproxy"] = ["rocks", "again"]
    shown.request.set_form_urlencoded(form)
    assert flow.request.content == b"x=1&y=2&mitmproxy=rocks&mitmproxy=again"
    shown.request.set_query({"k": ["v", "w"]})
    assert flow.request.path == "/p?k=v&k=w"
    shown.request.set_path_components(["one", "two three"])
    assert shown.request.get_path_components() == ["one", "two three"]
    assert flow.request.path == "/one/two%20three?k=v&k=w"
    flow.request.headers["content-type"] = "text/plain"
    assert len(shown.request.get_form_urlencoded()) == 0
    assert len(shown.request.get_form()) == 0


def test_forms_as_properties_of_era_c():
    flow, shown = both("C")
    request = shown.request
    form = request.urlencoded_form
    form["mitmproxy"] = ["rocks"]
    request.urlencoded_form = form
    assert flow.request.content == b"x=1&y=2&mitmproxy=rocks"
    request.query = ODict([["q", "1"]])
    assert (request.query.lst, flow.request.path) == ([["q", "1"]], "/p?q=1")
    request.query = None
    assert request.query is None
    request.path_components = ["a"]
    assert request.path_components == ["a"]
    assert request.cookies.lst == [["a", "b"], ["c", "d"]]
    request.cookies = [("e", "f")]
    assert flow.request.headers["cookie"] == "e=f"
    assert request.multipart_form is None
    flow.request.headers["content-type"] = "text/plain"
    assert request.urlencoded_form is None
    assert request.first_line_format == "relative"


def test_cookies():
    flow, shown = both("A")
    assert shown.request.get_cookies() == {"a": ("b", {}), "c": ("d", {})}
    assert shown.response.get_cookies() == {"s": ("1", {"path": "/", "secure": ""})}
    del flow.request.headers["cookie"], flow.response.headers["set-cookie"]
    assert shown.request.get_cookies() is None
    assert shown.response.get_cookies() is None
    flow, shown = both("B")
    assert shown.request.get_cookies().lst == [["a", "b"], ["c", "d"]]
    cookies = shown.response.get_cookies()
    value, attributes = cookies.get_first("s")
    assert (value, attributes["PATH"]) == ("1", ["/"])
    attributes["path"] = ["/x"]
    shown.response.set_cookies(cookies)
    assert flow.response.headers["set-cookie"] == "s=1; path=/x; Secure"


def test_names_of_a_responses_parts():
    for era in ("A", "B"):
        flow, shown = both(era)
        assert (shown.response.code, shown.response.msg) == (200, "OK")
        shown.response.code, shown.response.msg = 404, "Gone"
        shown.response.httpversion = (1, 0)
        assert (flow.response.status_code, flow.response.reason) == (404, "Gone")
        assert flow.response.http_version == "HTTP/1.0"
        with pytest.raises(AttributeError, match="it is `code` here"):
            shown.response.status_code  # noqa: B018
    flow, shown = both("C")
    shown.response.status_code, shown.response.reason = 500, b"Bad"
    assert (shown.response.msg, flow.response.status_code) == ("Bad", 500)
    shown.response.http_version = [1, 0]
    assert shown.response.http_version == "HTTP/1.0"
    with pytest.raises(AttributeError, match=r"since mitmproxy 0\.14 it is `status_code`"):
        shown.response.code  # noqa: B018
    assert not hasattr(shown.response, "nothing_known")


def test_bodies_are_text(era):
    flow, shown = both(era)
    response = shown.response
    assert response.content == "<html>foo</html>"
    assert response.content is response.content
    response.content = response.content.replace("foo", "bär")
    assert flow.response.raw_content == "<html>bär</html>".encode()
    assert flow.response.headers["content-length"] == str(len(flow.response.raw_content))
    assert "bär" in response.content
    response.content = b"\x89PNG\xff"
    assert response.content.startswith("\x89PNG")
    assert bytes(response.content) == b"\x89PNG\xff"
    response.content = str(response.content) + "\xfe"  # as it was: a character, a byte
    assert flow.response.raw_content == b"\x89PNG\xff\xfe"
    response.content = None
    assert (response.content, flow.response.raw_content) == (None, None)
    response.content = 5
    assert flow.response.raw_content == b"5"
    assert isinstance(response.content, ByteText)


def test_the_body_is_shown_as_transferred(era):
    flow = answered(new_flow(), "é foo".encode(), coded=True)
    response = show(era, flow).response
    raw = flow.response.raw_content
    assert bytes(response.content) == raw
    assert response.get_decoded_content() == "é foo"
    with decoded(response):
        assert response.content == "é foo"
        assert "content-encoding" not in response.headers
        response.content = response.content.replace("foo", "bar")
    assert gzip.decompress(flow.response.raw_content) == "é bar".encode()
    assert flow.response.headers["content-encoding"] == "gzip"
    assert response.decode()
    assert response.content == "é bar"
    assert not response.decode()
    assert response.encode("deflate")
    assert flow.response.content == "é bar".encode()


def test_decoded_leaves_alone_what_it_cannot_undo(era):
    flow = answered(new_flow(), b"\x00 no gzip")
    flow.response.headers["content-encoding"] = "martian"
    response = show(era, flow).response
    with decoded(response):
        response.content += "!"
    assert flow.response.raw_content == b"\x00 no gzip!"
    assert flow.response.headers["content-encoding"] == "martian"
    assert response.get_decoded_content() == "\x00 no gzip!"


def test_replacing(era):
    flow = answered(new_flow("http://example.com/foo"), b"foo foo", coded=True)
    flow.response.headers["x-foo"] = "foo"
    shown = show(era, flow)
    assert shown.response.replace("foo", "bar") >= 3
    assert flow.response.content == b"bar bar"
    assert flow.response.headers["x-bar"] == "bar"
    assert shown.request.replace("FOO", "baz", flags=re.IGNORECASE) == 1
    assert flow.request.path == "/baz"
    assert shown.replace("ba.", "x") > 3
    assert flow.response.content == b"x x"


def test_counts_and_flags_of_replace():
    flow = answered(new_flow(), b"a a a A")
    assert show("B", flow).response.replace("a", "b", 1, re.IGNORECASE) >= 1
    assert flow.response.content == b"b a a A"
    assert show("C", flow).response.replace("A", "c", re.IGNORECASE) >= 3
    assert flow.response.content == b"b c c c"


def test_constructing_requests_and_responses():
    request = RequestA(None, (1, 1), "h", 8080, "http", "GET", "/x", ODictCaseless(), "body")
    assert (request.get_url(), request.content) == ("http://h:8080/x", "body")
    old = RequestA(None, "h", 80, "http", "GET", "/", ODictCaseless([["a", "b"]]), "")
    assert old.headers["a"] == ["b"]
    b = RequestB("relative", "GET", "http", "h", 80, "/", (1, 1), ODictCaseless(), None)
    assert (b.url, b.content, b.form_in) == ("http://h/", None, "relative")
    c = RequestC("absolute", b"GET", "http", b"h", 80, b"/", b"HTTP/1.0", [[b"a", b"b"]], b"x")
    assert (c.http_version, c.headers["a"], c.first_line_format) == ("HTTP/1.0", "b", "absolute")
    a = ResponseA(request, [1, 1], 200, "OK", ODictCaseless([["T", "x"]]), "hello", None)
    assert (a.code, a.content, a.request, a.httpversion) == (200, "hello", request, (1, 1))
    oldest = ResponseA(request, 404, "No", ODictCaseless(), "x", None)
    assert (oldest.code, oldest.msg) == (404, "No")
    b = ResponseB([1, 1], 200, "OK", ODictCaseless([["T", "x"]]), "hello")
    assert (b.code, b.headers["t"], b.content) == (200, ["x"], "hello")
    c = ResponseC([1, 1], 200, "OK", None, "hello")
    assert (c.status_code, c.headers["content-length"], c.body) == (200, "5", "hello")
    c.body = "x"
    assert c.content == "x"
    with pytest.raises(NotImplementedError):
        c.text  # noqa: B018


def test_helpers(era):
    flow, shown = both(era)
    flow.request.headers["if-none-match"] = "x"
    flow.request.headers["accept-encoding"] = "gzip, martian"
    shown.request.anticache()
    shown.request.constrain_encoding()
    assert "if-none-match" not in flow.request.headers
    assert flow.request.headers["accept-encoding"] == "gzip"
    shown.request.anticomp()
    assert flow.request.headers["accept-encoding"] == "identity"
    text = shown.response.assemble()
    assert text.startswith("HTTP/1.1 200 OK\r\n")
    assert text.endswith("\r\n\r\n<html>foo</html>")
    assert shown.response.size() >= shown.response.get_transmitted_size() == 16
    assert shown.response.get_content_type() == "text/html"
    flow.response.headers["date"] = "Sun, 09 Sep 2001 01:46:40 GMT"
    shown.response.refresh(1_000_003_600.0)
    assert flow.response.headers["date"] == "Sun, 09 Sep 2001 02:46:40 GMT"
    copy = shown.response.copy()
    copy.content = "other"
    assert shown.response.content == "<html>foo</html>"
    assert type(copy) is type(shown.response)
    assert shown.request.get_state()["method"] == "POST"
    assert shown.response.get_state()["content"] == b"<html>foo</html>"
    assert "200" in repr(shown.response)
    assert "POST" in repr(shown.request)


def test_streams_are_generators_over_text():
    def plain(chunks):
        for chunk in chunks:
            yield chunk.replace("foo", "bar")

    def triples(chunks):
        for prefix, content, suffix in chunks:
            yield prefix, content.replace("foo", "bar"), suffix

    for era in ("B", "C"):
        for function in (plain, triples):
            flow, shown = both(era)
            shown.response.stream = function
            assert shown.response.stream is function
            assert flow.response.stream(b"a foo") == [b"a bar"]
            assert flow.response.stream(b"\xff foo") == [b"\xff bar"]
            assert flow.response.stream(b"") == []
    shown.response.stream = True
    assert flow.response.stream is True
