"""Requests, cell by cell of the table of their members by era."""

import pytest

from nbproxy.model.message import Request
from tests.scripts.rows import cases, parameters, run, stored, uncovered

TABLE = {
    "constructor": "ABCDEFG",
    "method": "ABCDEFG",
    "scheme, host, path": "ABCDEFG",
    "port": "ABCDEFG",
    "http version": "ABCDEFG",
    "url": "ABCDEFG",
    "pretty host": "BCDEFG",
    "host_header, authority": "EFG",
    "request form": "BCDEFG",
    "query": "ABCDEFG",
    "form": "ABCDEFG",
    "path components": "ABCDEFG",
    "cookies": "ABCDEFG",
    "helpers": "ABCDEFG",
    "bookkeeping": "ABCDEFG",
    "timestamps": "ABCDEFG",
    "get_form_urlencoded": "ABC",
    "blank values": "ABCDEFG",
    "repeated keys": "ABCDEFG",
}


def has_new_request(flow):
    request = flow.request
    assert request.url == "http://new.test:81/x"
    assert (request.method, request.headers["a"], request.content) == ("PUT", "b", b"body")
    return request.http_version == "HTTP/1.1"


def lower_case():
    flow = stored()
    flow.request.method = "post"
    return flow


def tunnel():
    flow = stored()
    flow.request = Request("CONNECT", "", "example.com", 443, "", authority="example.com:443")
    return flow


def named(host):
    def make():
        flow = stored()
        flow.request.headers["host"] = host
        return flow

    return make


def with_form(kind="multipart"):
    def make():
        flow = stored()
        if kind == "multipart":
            flow.request.headers["content-type"] = "multipart/form-data; boundary=b"
            part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nvalue\r\n--b--\r\n'
            flow.request.content = part
        else:
            flow.request.headers["content-type"] = kind
        return flow

    return make


def url(text):
    def make():
        flow = stored()
        flow.request.url = text
        return flow

    return make


def without_cookies():
    flow = stored()
    del flow.request.headers["cookie"]
    return flow


def form_is(body, kind="application/x-www-form-urlencoded"):
    def holds(flow):
        return (flow.request.content, flow.request.headers["content-type"]) == (body, kind)

    return holds


QUERY_OLD = """
query = flow.request.get_query()
print(query["a"], query.lst)
query["a"] = ["3"]
query["new"] = ["4"]
flow.request.set_query(query)
"""
FORM_OLD = """
form = flow.request.get_form_urlencoded()
form["x"] = ["3"]
flow.request.set_form_urlencoded(form)
"""
PATH = """
parts = flow.request.{get}
print({kind}, parts)
"""

CASES = {
    "constructor": [
        *cases(
            "0.8",
            """
            from libmproxy.flow import Request, ODictCaseless
            headers = ODictCaseless([["A", "b"]])
            flow.request = Request(None, "new.test", 81, "http", "PUT", "/x", headers, "body")
            """,
            then=has_new_request,
        ),
        *cases(
            "0.9 0.10",
            """
            from libmproxy.flow import Request
            from netlib.odict import ODictCaseless
            headers = ODictCaseless([["A", "b"]])
            made = Request(None, (1, 1), "new.test", 81, "http", "PUT", "/x", headers, "body",
                           1.0, 2.0)
            print(made.timestamp_start, made.timestamp_end, made.client_conn)
            flow.request = made
            """,
            "1.0 2.0 None",
            then=has_new_request,
        ),
        *cases(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import HTTPRequest
            from netlib.odict import ODictCaseless
            made = HTTPRequest("absolute", "PUT", "http", "new.test", 81, "/x", (1, 1),
                               ODictCaseless([["A", "b"]]), "body", 1.0, 2.0, form_out="relative")
            print(made.form_in, made.httpversion, made.timestamp_end)
            flow.request = made
            """,
            "absolute (1, 1) 2.0",
            then=has_new_request,
        ),
        *cases(
            "0.14 0.16",
            """
            from libmproxy.models import HTTPRequest
            from netlib.http import Headers
            made = HTTPRequest("absolute", "PUT", "http", "new.test", 81, "/x", b"HTTP/1.1",
                               Headers(A="b"), "body")
            print(made.first_line_format, made.http_version)
            flow.request = made
            """,
            "absolute HTTP/1.1",
            then=has_new_request,
        ),
        *cases(
            "0.18",
            """
            from mitmproxy.models import HTTPRequest
            from netlib.http import Headers
            flow.request = HTTPRequest("absolute", "PUT", "http", "new.test", 81, "/x", "HTTP/1.1",
                                       Headers(A="b"), b"body", is_replay=False,
                                       stickycookie=False, stickyauth=False)
            """,
            then=has_new_request,
        ),
        *cases(
            "1.0 2.0 4.0 5.2",
            """
            from mitmproxy.http import HTTPRequest
            from mitmproxy.net.http import Headers
            flow.request = HTTPRequest("absolute", "PUT", "http", "new.test", 81, "/x", "HTTP/1.1",
                                       Headers(A="b"), b"body")
            """,
            then=has_new_request,
        ),
        *cases(
            "5.3 6.0",
            """
            from mitmproxy.http import HTTPRequest
            from mitmproxy.net.http import Headers
            flow.request = HTTPRequest("new.test", 81, b"PUT", b"http", b"", b"/x", b"HTTP/1.1",
                                       Headers(A="b"), b"body", None, 1.0, 2.0)
            """,
            then=has_new_request,
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.http import Headers, Request
            made = Request("new.test", 81, b"PUT", b"http", b"", b"/x", b"HTTP/1.1",
                           Headers(A="b"), b"body", None, 1.0, 2.0)
            print(made.timestamp_start, made.timestamp_end, made.trailers)
            flow.request = made
            """,
            "1.0 2.0 None",
            then=has_new_request,
        ),
        *cases(
            "3.0 6.0",
            """
            from mitmproxy.http import HTTPRequest
            flow.request = HTTPRequest.make("PUT", "http://new.test:81/x", "body", {"a": "b"})
            """,
            then=has_new_request,
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.http import Request
            flow.request = Request.make("PUT", "http://new.test:81/x", "body", {"a": "b"})
            """,
            then=has_new_request,
        ),
    ],
    "method": [
        *cases("0.8 0.11 0.13", "print(flow.request.method)", "post", make=lower_case),
        *cases("0.14 0.17 0.18 2.0 6.0 12", "print(flow.request.method)", "POST", make=lower_case),
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "flow.request.method = 'PUT'",
            then=lambda flow: flow.request.method == "PUT",
        ),
    ],
    "scheme, host, path": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            """
            print(flow.request.scheme, flow.request.host, flow.request.path)
            flow.request.path = "/new"
            """,
            "http example.com /p?a=1&b=2",
            then=lambda flow: flow.request.path == "/new",
        ),
        *cases("0.14 0.17", "print(flow.request.path)", "None", make=tunnel),
        *cases(
            "0.18",
            "flow.request.host = b'xn--bcher-kva.test'; print(flow.request.host)",
            "b\u00fccher.test",
        ),
        *cases("2.0 12", "flow.request.host = b'a.test'; print(flow.request.host)", "a.test"),
    ],
    "port": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "print(flow.request.port + 1); flow.request.port = 8080",
            "81",
            then=lambda flow: flow.request.port == 8080,
        ),
    ],
    "http version": [
        *cases(
            "0.9 0.11 0.13",
            "print(flow.request.httpversion); flow.request.httpversion = (1, 0)",
            "(1, 1)",
            then=lambda flow: flow.request.http_version == "HTTP/1.0",
        ),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "print(flow.request.http_version); flow.request.http_version = 'HTTP/1.0'",
            "HTTP/1.1",
            then=lambda flow: flow.request.http_version == "HTTP/1.0",
        ),
        *cases(
            "5.3 6.0 12",
            "print(flow.request.is_http10, flow.request.is_http11, flow.request.is_http2)",
            "False True False",
        ),
        *cases("10 12", "print(flow.request.is_http3)", "False"),
        *cases("0.18 12", "flow.request.httpversion", fails="http_version"),
    ],
    "url": [
        *cases(
            "0.8 0.10",
            """
            print(flow.request.get_url(), flow.request.get_url(hostheader=True))
            print(flow.request.set_url("https://a.test/b"), flow.request.set_url("/b"))
            """,
            """
            http://example.com/p?a=1&b=2 http://named.test/p?a=1&b=2
            True False
            """,
            make=named("named.test"),
            then=lambda flow: flow.request.url == "https://a.test/b",
        ),
        *cases(
            "0.11 0.13",
            """
            print(flow.request.url)
            print(flow.request.pretty_url(False), flow.request.pretty_url(hostheader=True))
            """,
            """
            http://example.com/p?a=1&b=2
            http://example.com/p?a=1&b=2 http://named.test/p?a=1&b=2
            """,
            make=named("named.test"),
        ),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "print(flow.request.url, flow.request.pretty_url)",
            "http://example.com/p?a=1&b=2 http://named.test/p?a=1&b=2",
            make=named("named.test"),
        ),
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12", "print(flow.request.url)", "example.com:443", make=tunnel
        ),
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12",
            "flow.request.url = 'https://a.test/b'",
            then=lambda flow: flow.request.url == "https://a.test/b",
        ),
        *cases("0.11 0.17 0.18 2.0 6.0 12", "flow.request.url = 'nonsense'", fails="ValueError"),
        *cases("0.11 0.17 0.18 12", "flow.request.get_url()", fails="`url`"),
        *cases("0.8", "flow.request.url", fails="`get_url()`"),
    ],
    "pretty host": [
        *cases(
            "0.11 0.13",
            "print(flow.request.pretty_host(False), flow.request.pretty_host(hostheader=True))",
            "example.com named.test",
            make=named("named.test"),
        ),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "print(flow.request.pretty_host)",
            "named.test",
            make=named("named.test"),
        ),
        *cases(
            "0.17 0.18 2.0",
            "print(flow.request.pretty_host)",
            "example.com",
            make=named("named.test:99"),
        ),
        *cases(
            "5.3 6.0 12",
            "print(flow.request.pretty_host)",
            "named.test",
            make=named("named.test:99"),
        ),
        *cases("0.8", "flow.request.pretty_host", fails="came with mitmproxy 0.11"),
    ],
    "host_header, authority": [
        *cases(
            "2.0 6.0 12",
            "print(flow.request.host_header); flow.request.host_header = 'new.test'",
            "example.com",
            then=lambda flow: flow.request.headers["host"] == "new.test",
        ),
        *cases("5.3 6.0 12", "print(repr(flow.request.authority))", "''"),
        *cases("0.17", "flow.request.host_header", fails="came with mitmproxy 2.0"),
    ],
    "request form": [
        *cases(
            "0.11 0.13",
            "print(flow.request.form_in, flow.request.form_out)",
            "authority authority",
            make=tunnel,
        ),
        *cases(
            "0.14 0.16",
            "print(flow.request.first_line_format, flow.request.form_in)",
            "authority authority",
            make=tunnel,
        ),
        *cases(
            "0.17 0.18 2.0 6.0 12",
            "print(flow.request.first_line_format)",
            "authority",
            make=tunnel,
        ),
        *cases("0.18 12", "flow.request.form_in", fails="first_line_format"),
    ],
    "query": [
        *cases(
            "0.8 0.11 0.13 0.14 0.17",
            QUERY_OLD,
            "['1'] [['a', '1'], ['b', '2']]",
            then=lambda flow: flow.request.path == "/p?a=3&b=2&new=4",
        ),
        *cases("0.8 0.11", "print(len(flow.request.get_query()))", "0", make=url("http://a.test/")),
        *cases(
            "0.14 0.17",
            """
            query = flow.request.query
            query["new"] = ["4"]
            flow.request.query = query
            """,
            then=lambda flow: flow.request.path == "/p?a=1&b=2&new=4",
        ),
        *cases("0.14 0.17", "print(flow.request.query)", "None", make=url("http://a.test/")),
        *cases(
            "0.18 2.0 6.0 12",
            """
            print(flow.request.query["a"], len(flow.request.query))
            flow.request.query["a"] = "3"
            flow.request.query["new"] = "4"
            """,
            "1 2",
            then=lambda flow: flow.request.path == "/p?a=3&b=2&new=4",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "flow.request.query = [('q', '1'), ('q', '2')]",
            then=lambda flow: flow.request.path == "/p?q=1&q=2",
        ),
        *cases("0.18 12", "flow.request.get_query()", fails="`query`"),
        *cases("0.11", "flow.request.query", fails="get_query()"),
    ],
    "form": [
        *cases("0.8 0.11 0.13 0.14 0.17", FORM_OLD, then=form_is(b"x=3&y=2")),
        *cases("0.12 0.13", "print(flow.request.get_form().lst)", "[['x', '1'], ['y', '2']]"),
        *cases(
            "0.12 0.13",
            "print(flow.request.get_form_multipart().lst, flow.request.get_form().lst)",
            "[['f', 'value']] [['f', 'value']]",
            make=with_form(),
        ),
        *cases(
            "0.14 0.17",
            """
            form = flow.request.urlencoded_form
            form["new"] = ["3"]
            flow.request.urlencoded_form = form
            print(flow.request.multipart_form)
            """,
            "None",
            then=form_is(b"x=1&y=2&new=3"),
        ),
        *cases(
            "0.14 0.17",
            "print(flow.request.urlencoded_form, flow.request.multipart_form.lst)",
            "None [['f', 'value']]",
            make=with_form(),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            """
            print(flow.request.urlencoded_form["x"])
            flow.request.urlencoded_form["new"] = "3"
            """,
            "1",
            then=form_is(b"x=1&y=2&new=3"),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            """
            print(len(flow.request.urlencoded_form), dict(flow.request.multipart_form))
            flow.request.urlencoded_form = [("mitmproxy", "rocks")]
            """,
            "0 {b'f': b'value'}",
            make=with_form(),
            then=form_is(b"mitmproxy=rocks"),
        ),
        *cases("0.18 12", "flow.request.get_form_urlencoded()", fails="urlencoded_form"),
    ],
    "path components": [
        *cases(
            "0.9 0.11 0.13",
            """
            print(flow.request.get_path_components())
            flow.request.set_path_components(["a b", "c"])
            """,
            "['p']",
            then=lambda flow: flow.request.path == "/a%20b/c?a=1&b=2",
        ),
        *cases(
            "0.14 0.17",
            "print(flow.request.path_components); flow.request.path_components = ['a b', 'c']",
            "['p']",
            then=lambda flow: flow.request.path == "/a%20b/c?a=1&b=2",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.request.path_components); flow.request.path_components = ['a b', 'c']",
            "('p',)",
            then=lambda flow: flow.request.path == "/a%20b/c?a=1&b=2",
        ),
    ],
    "cookies": [
        *cases(
            "0.9 0.10",
            "print(sorted(flow.request.get_cookies().items()))",
            "[('a', ('b', {})), ('c', ('d', {}))]",
        ),
        *cases("0.9 0.10", "print(flow.request.get_cookies())", "None", make=without_cookies),
        *cases(
            "0.12 0.13",
            """
            cookies = flow.request.get_cookies()
            print(cookies["a"])
            cookies["a"] = ["x"]
            flow.request.set_cookies(cookies)
            """,
            "['b']",
            then=lambda flow: flow.request.headers["cookie"] == "a=x; c=d",
        ),
        *cases(
            "0.14 0.17",
            """
            cookies = flow.request.cookies
            cookies["a"] = ["x"]
            flow.request.cookies = cookies
            print(flow.request.get_cookies().lst)
            """,
            "[['a', 'x'], ['c', 'd']]",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.request.cookies['a']); flow.request.cookies['a'] = 'x'",
            "b",
            then=lambda flow: flow.request.headers["cookie"] == "a=x; c=d",
        ),
    ],
    "helpers": [
        *cases(
            "0.8 0.9 0.11 0.17 0.18 2.0 6.0 12",
            """
            flow.request.headers["accept-encoding"] = {value}
            flow.request.headers["etag"] = {value}
            flow.request.constrain_encoding()
            flow.request.anticomp()
            flow.request.anticache()
            """.replace("{value}", "'gzip, odd'"),
            then=lambda flow: flow.request.headers.get("accept-encoding") == "identity",
        ),
        *cases(
            "0.9 0.10",
            """
            print(flow.request.get_content_type(), flow.request.get_transmitted_size())
            print(flow.request.size() > flow.request.get_header_size() > 50)
            """,
            """
            application/x-www-form-urlencoded 7
            True
            """,
        ),
        *cases(
            "0.11 0.13",
            """
            flow.request.update_host_header()
            print(flow.request.size() > 50, "x=1&y=2" in flow.request.assemble())
            """,
            "True True",
        ),
    ],
    "bookkeeping": [
        *cases(
            "0.8 0.10",
            """
            request = flow.request
            print(request.client_conn.address[1], request.stickycookie, request.stickyauth)
            print(request.close, request.ip)
            print(request.tcp_setup_timestamp, request.ssl_setup_timestamp)
            """,
            """
            5000 False False
            False 127.0.0.1
            None None
            """,
        ),
        *cases(
            "0.11 0.14 0.17 0.18",
            "print(flow.request.stickycookie, flow.request.stickyauth, flow.request.is_replay)",
            "False False False",
        ),
        *cases("1.0 2.0 5.2", "print(flow.request.is_replay, flow.request.stream)", "False False"),
        *cases("7.0 12", "print(flow.request.stream)", "False"),
    ],
    "timestamps": [
        *cases("0.8", "print(flow.request.timestamp)", "1000.0"),
        *cases(
            "0.9 0.11 0.17 0.18 2.0 6.0 12",
            "print(flow.request.timestamp_start, flow.request.timestamp_end)",
            "1000.0 1000.5",
        ),
    ],
    "get_form_urlencoded": [
        *cases(
            "0.8 0.11 0.14",
            "print(len(flow.request.get_form_urlencoded()))",
            "0",
            make=with_form("text/plain"),
        ),
        *cases(
            "0.8 0.11 0.14",
            "print(len(flow.request.get_form_urlencoded()))\n" + FORM_OLD,
            "2",
            make=with_form("Application/X-WWW-Form-Urlencoded; charset=x"),
            then=form_is(b"x=3&y=2"),
        ),
    ],
    "blank values": [
        *cases(
            "0.9 0.11",
            "print(flow.request.get_query().lst)",
            "[['a', ''], ['b', '1']]",
            make=url("http://a.test/?a=&b=1"),
        ),
        *cases(
            "0.14 0.17",
            "print(flow.request.query.lst)",
            "[['a', ''], ['b', '1']]",
            make=url("http://a.test/?a=&b=1"),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.request.query.fields)",
            "(('a', ''), ('b', '1'))",
            make=url("http://a.test/?a=&b=1"),
        ),
    ],
    "repeated keys": [
        *cases(
            "0.12 0.17",
            """
            query = flow.request.get_query()
            query["z"] = ["9"]
            query["a"] = ["8", "7"]
            flow.request.set_query(query)
            """,
            make=url("http://a.test/?a=1&b=1&a=2"),
            then=lambda flow: flow.request.path == "/?a=8&b=1&a=7&z=9",
        ),
        *cases(
            "0.8",
            """
            query = flow.request.get_query()
            query["z"] = ["9"]
            flow.request.set_query(query)
            """,
            make=url("http://a.test/?a=1&b=1&a=2"),
            then=lambda flow: flow.request.path == "/?a=1&b=1&a=2&z=9",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            """
            flow.request.query["z"] = "9"
            flow.request.query.set_all("a", ["8", "7"])
            """,
            make=url("http://a.test/?a=1&b=1&a=2"),
            then=lambda flow: flow.request.path == "/?a=8&b=1&a=7&z=9",
        ),
    ],
}


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
