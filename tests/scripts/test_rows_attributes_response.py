"""Responses, bodies and `replace`, cell by cell of their tables by era."""

import gzip

import pytest

from nbproxy.model.message import Response
from tests.scripts.classic_host import answered
from tests.scripts.rows import cases, parameters, run, stored, uncovered

RESPONSES = {
    "constructor": "ABCDEFG",
    "make": "DEFG",
    "status": "ABCDEFG",
    "reason": "ABCDEFG",
    "cookies": "ABCDEFG",
    "replay": "ABCDEFG",
    "certificate": "ABCDEFG",
    "refresh": "ABCDEFG",
    "stream": "BCDEFG",
    "odd values": "ABCDEFG",
}
BODIES = {
    "content": "ABCDEFG",
    "missing body": "ABCDEFG",
    "raw_content": "DEFG",
    "text": "CDEFG",
    "body": "CD",
    "get_decoded_content": "ABC",
    "decode": "ABCDEFG",
    "encode": "ABCDEFG",
    "decoded": "ABCD",
    "content-length": "ABCDEFG",
    "text or bytes": "ABCDEFG",
    "json": "G",
}
REPLACING = {
    "whole": "ABCDEF",
    "further arguments": "ABCDEF",
    "escapes": "DEF",
    "headers": "ABCDEF",
    "path": "ABCDEF",
    "no body": "ABCDEF",
}
DER = b"\x30\x03\x02\x01\x05"


def coded():
    return answered(stored(), coded=True)


def missing():
    flow = stored()
    flow.response.raw_content = flow.request.raw_content = None
    return flow


def not_read_yet():
    flow = missing()
    flow.response.timestamp_end = None
    return flow


def with_certificate():
    flow = stored()
    flow.server_conn.certificate_list = (DER,)
    return flow


def dated():
    flow = stored()
    flow.response.headers["date"] = "Thu, 01 Jan 1970 00:16:40 GMT"
    return flow


def of_type(kind, body):
    def make():
        flow = stored()
        flow.response.headers["content-type"] = kind
        flow.response.raw_content = body
        return flow

    return make


def is_new(flow):
    response = flow.response
    assert (response.status_code, response.reason, response.http_version) == (
        418,
        "Tea",
        "HTTP/1.1",
    )
    return (response.headers["a"], response.content) == ("b", b"helloworld")


def is_made(flow):
    response = flow.response
    assert (response.status_code, response.content) == (418, b"helloworld")
    assert response.headers["content-length"] == "10"
    return response.headers["content-type"] == "text/html"


def is_gzip_of(content):
    def holds(flow):
        response = flow.response
        assert response.headers["content-encoding"] == "gzip"
        return gzip.decompress(response.raw_content) == content

    return holds


def body_is(content):
    return lambda flow: flow.response.raw_content == content


MADE = """
from {module} import {name}
flow.response = {name}.make(418, {body}, {headers})
"""
HTML = '{"Content-Type": "text/html"}'
VALUES = "print(flow.response.{code}); flow.response.{code} = 404; flow.response.{reason} = 'Gone'"


def is_gone(flow):
    return (flow.response.status_code, flow.response.reason) == (404, "Gone")


CASES = {
    "constructor": [
        *cases(
            "0.8",
            """
            from libmproxy.flow import Response, ODictCaseless
            headers = ODictCaseless([["A", "b"]])
            flow.request.reply(Response(flow.request, 418, "Tea", headers, "helloworld", None))
            """,
            then=is_new,
        ),
        *cases(
            "0.9 0.10",
            """
            from libmproxy.flow import Response
            from netlib.odict import ODictCaseless
            made = Response(flow.request, [1, 1], 418, "Tea", ODictCaseless([["A", "b"]]),
                            "helloworld", None, 1.0, 2.0)
            print(made.httpversion, made.timestamp_start, made.timestamp_end, made.request.method)
            flow.request.reply(made)
            """,
            "(1, 1) 1.0 2.0 POST",
            then=is_new,
        ),
        *cases(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import HTTPResponse
            from netlib.odict import ODictCaseless
            flow.reply(HTTPResponse([1, 1], 418, "Tea", ODictCaseless([["A", "b"]]), "helloworld",
                                    1.0, 2.0))
            """,
            then=is_new,
        ),
        *cases(
            "0.14 0.16",
            """
            from libmproxy.models import HTTPResponse
            from netlib.http import Headers
            flow.reply(HTTPResponse("HTTP/1.1", 418, "Tea", Headers(A="b"), "helloworld"))
            """,
            then=is_new,
        ),
        *cases(
            "0.17",
            """
            from mitmproxy.models import HTTPResponse
            from netlib.http import Headers
            flow.reply(HTTPResponse(b"HTTP/1.1", 418, b"Tea", Headers(A="b"), b"helloworld"))
            """,
            then=is_new,
        ),
        *cases(
            "0.18",
            """
            from mitmproxy.models import HTTPResponse
            from netlib.http import Headers
            made = HTTPResponse(b"HTTP/1.1", 418, b"Tea", Headers(A="b"), b"helloworld", 1.0, 2.0)
            flow.response = made
            print(flow.response is made, made.timestamp_end)
            """,
            "True 2.0",
            then=is_new,
        ),
        *cases(
            "1.0 2.0 6.0",
            """
            from mitmproxy.http import HTTPResponse
            from mitmproxy.net.http import Headers
            flow.response = HTTPResponse(b"HTTP/1.1", 418, b"Tea", Headers(A="b"), b"helloworld")
            """,
            then=is_new,
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.http import Headers, Response
            flow.response = Response(b"HTTP/1.1", 418, b"Tea", Headers(A="b"), b"helloworld",
                                     Headers(T="x"), 1.0, 2.0)
            print(flow.response.trailers["t"], flow.response.timestamp_start)
            """,
            "x 1.0",
            then=is_new,
        ),
    ],
    "make": [
        *cases(
            "0.18",
            MADE.format(
                module="mitmproxy.models", name="HTTPResponse", body="b'helloworld'", headers=HTML
            ),
            then=is_made,
        ),
        *cases(
            "0.18",
            MADE.format(
                module="mitmproxy.models",
                name="HTTPResponse",
                body="b'helloworld'",
                headers='{"Content_Type": "text/html"}',
            ),
            then=is_made,
        ),
        *cases(
            "1.0 2.0",
            MADE.format(
                module="mitmproxy.http",
                name="HTTPResponse",
                body="'helloworld'",
                headers='{"Content_Type": "text/html"}',
            ),
            then=is_made,
        ),
        *cases(
            "3.0 6.0",
            MADE.format(
                module="mitmproxy.http", name="HTTPResponse", body="'helloworld'", headers=HTML
            ),
            then=is_made,
        ),
        *cases(
            "7.0 12",
            MADE.format(
                module="mitmproxy.http",
                name="Response",
                body="'helloworld'",
                headers='[(b"Content-Type", b"text/html")]',
            ),
            then=is_made,
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.http import Response
            made = Response.make()
            other = Response.make(200, "x", {"X_Y": "z"})
            print(made.status_code, made.content, other.headers["X_Y"])
            """,
            "200 b'' z",
        ),
    ],
    "status": [
        *cases("0.8 0.11 0.13", VALUES.format(code="code", reason="msg"), "200", then=is_gone),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            VALUES.format(code="status_code", reason="reason"),
            "200",
            then=is_gone,
        ),
        *cases("0.11", "flow.response.status_code", fails="`code`"),
        *cases("0.14 0.18 12", "flow.response.code", fails="`status_code`"),
    ],
    "reason": [
        *cases("0.8 0.11 0.13 0.14 0.16", "print(flow.response.msg)", "OK"),
        *cases("0.14 0.17 0.18 2.0 6.0 12", "print(flow.response.reason)", "OK"),
        *cases("0.18 12", "flow.response.msg", fails="`reason`"),
    ],
    "cookies": [
        *cases(
            "0.9 0.10",
            """
            value, attributes = flow.response.get_cookies()["s"]
            print(value, attributes["path"], sorted(attributes))
            del flow.response.headers["Set-Cookie"]
            print(flow.response.get_cookies())
            """,
            """
            1 / ['path', 'secure']
            None
            """,
        ),
        *cases(
            "0.12 0.13 0.14 0.17",
            """
            cookies = flow.response.get_cookies()
            value, attributes = cookies["s"][0]
            print(value, attributes["PATH"], type(attributes).__name__)
            cookies["s"] = [["2", attributes]]
            flow.response.set_cookies(cookies)
            """,
            "1 ['/'] ODictCaseless",
            then=lambda flow: flow.response.headers["set-cookie"] == "s=2; Path=/; Secure",
        ),
        *cases(
            "0.14 0.17",
            """
            cookies = flow.response.cookies
            cookies["t"] = [["3", []]]
            flow.response.cookies = cookies
            """,
            then=lambda flow: (
                flow.response.headers.get_all("set-cookie") == ["s=1; Path=/; Secure", "t=3"]
            ),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            """
            value, attributes = flow.response.cookies["s"]
            print(value, attributes["path"], attributes["Secure"])
            assert flow.response.cookies["s"].value == value
            assert flow.response.cookies["s"].attrs == attributes
            flow.response.cookies["s"] = ("2", attributes)
            """,
            "1 / None",
            then=lambda flow: flow.response.headers["set-cookie"] == "s=2; Path=/; Secure",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "flow.response.cookies = [('n', ('1', [('Path', '/x')]))]",
            then=lambda flow: flow.response.headers["set-cookie"] == "n=1; Path=/x",
        ),
    ],
    "replay": [
        *cases("0.8 0.10", "print(flow.response.is_replay(), flow.response.replay)", "False False"),
        *cases("0.11 0.17 0.18 2.0 5.2", "print(flow.response.is_replay)", "False"),
        *cases("7.0 12", "print(flow.is_replay)", "None"),
    ],
    "certificate": [
        *cases(
            "0.8",
            "print(len(flow.response.der_cert), flow.response.get_cert().to_pem()[:10])",
            "5 b'-----BEGIN'",
            make=with_certificate,
        ),
        *cases(
            "0.9 0.10",
            "print(flow.response.cert.to_pem()[:10])",
            "b'-----BEGIN'",
            make=with_certificate,
        ),
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12",
            "print(flow.server_conn.cert.to_pem()[:10])",
            "b'-----BEGIN'",
            make=with_certificate,
        ),
        *cases(
            "7.0 12", "print(len(flow.server_conn.certificate_list))", "1", make=with_certificate
        ),
    ],
    "refresh": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            """
            flow.response.timestamp_start = 1000.0
            flow.response.refresh(1100.0)
            """,
            make=dated,
            then=lambda flow: flow.response.headers["date"] == "Thu, 01 Jan 1970 00:18:20 GMT",
        ),
        *cases(
            "0.9 0.11 0.17 0.18 2.0 6.0 12",
            """
            flow.response.headers["Set-Cookie"] = {}
            flow.response.timestamp_start = 1000.0
            flow.response.refresh(1100.0)
            """.replace("{}", "'a=b; Expires=Thu, 01 Jan 1970 00:16:40 GMT'"),
            then=lambda flow: "00:18:20 GMT" in flow.response.headers["set-cookie"],
        ),
    ],
    "stream": [
        *cases(
            "0.11 0.17 0.18 2.0 6.0 7.0 12",
            "print(flow.response.stream); flow.response.stream = True",
            "False",
            then=lambda flow: flow.response.stream is True,
        ),
        *cases(
            "0.12 0.17 0.18 2.0 6.0 12",
            """
            def change(chunks):
                return chunks
            flow.response.stream = change
            print(flow.response.stream is change)
            """,
            "True",
            then=lambda flow: callable(flow.response.stream),
        ),
    ],
    "odd values": [
        *cases(
            "0.9",
            """
            from libmproxy.flow import Response, ODictCaseless
            flow.response = Response(flow.request, (1, 1), 418, "Tea",
                                     ODictCaseless([["A", "b"]]), "helloworld", None)
            """,
            then=is_new,
        ),
        *cases(
            "0.11",
            """
            from libmproxy.protocol.http import HTTPResponse
            flow.response = HTTPResponse("HTTP/1.1", 418, "Tea", [["A", "b"]], b"helloworld")
            """,
            then=is_new,
        ),
        *cases(
            "0.14 0.15",
            """
            from libmproxy.models import HTTPResponse, Headers
            flow.reply(HTTPResponse([1, 1], 418, "Tea", Headers(A="b"), "helloworld"))
            """,
            then=is_new,
        ),
        *cases(
            "0.18",
            """
            from mitmproxy.models import HTTPResponse
            from netlib.http import Headers
            flow.reply.send(HTTPResponse([1, 1], 418, "Tea", Headers(A="b"), "helloworld"))
            """,
            then=is_new,
        ),
        *cases(
            "2.0 6.0",
            """
            from mitmproxy.http import HTTPResponse
            flow.response = HTTPResponse((1, 1), 418, "Tea", {"A": "b"}, "helloworld")
            """,
            then=is_new,
        ),
        *cases(
            "12",
            """
            from mitmproxy.http import Response
            flow.response = Response("HTTP/1.1", 418, "Tea", {"A": "b"}, "helloworld")
            """,
            then=is_new,
        ),
    ],
    # -- bodies
    "content": [
        *cases(
            "0.8 0.11 0.17",
            "print(flow.response.content[:2] == '\\x1f\\x8b'); flow.response.content = 'raw'",
            "True",
            make=coded,
            then=body_is(b"raw"),
        ),
        *cases(
            "0.8 0.11 0.17",
            """
            content = flow.response.content
            print(content.replace("foo", "bar"), "foo" in content, len(content))
            flow.response.content = content.replace("foo", "b\u00e4r")
            """,
            "<html>bar</html> True 16",
            then=body_is("<html>b\u00e4r</html>".encode()),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.response.content); flow.response.content = b'<b>new</b>'",
            "b'<html>foo</html>'",
            make=coded,
            then=is_gzip_of(b"<b>new</b>"),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "flow.response.headers['content-encoding'] = 'odd'; flow.response.content = b'new'",
            then=lambda flow: flow.response.raw_content == b"new",
        ),
    ],
    "missing body": [
        *cases("0.8", "print(flow.response.content)", "None", make=missing),
        *cases(
            "0.9 0.10",
            """
            from libmproxy.flow import CONTENT_MISSING
            print(flow.response.content == CONTENT_MISSING, bool(flow.response.content))
            print(flow.response.content != "")
            """,
            "True False\nTrue",
            make=missing,
        ),
        *cases(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import CONTENT_MISSING
            print(flow.response.content is CONTENT_MISSING, CONTENT_MISSING, flow.request.content)
            """,
            "True 0 0",
            make=missing,
        ),
        *cases("0.11 0.13", "print(flow.response.content)", "None", make=not_read_yet),
        *cases(
            "0.14 0.16",
            """
            from netlib.http import CONTENT_MISSING
            print(flow.response.content == CONTENT_MISSING, bool(flow.response.content))
            """,
            "True False",
            make=missing,
        ),
        *cases("0.17 0.18 2.0 6.0 12", "print(flow.response.content)", "None", make=missing),
    ],
    "raw_content": [
        *cases(
            "0.18 2.0 6.0 12",
            """
            print(flow.response.raw_content[:2])
            flow.response.raw_content = b"as it is"
            """,
            "b'\\x1f\\x8b'",
            make=coded,
            then=lambda flow: (
                flow.response.raw_content == b"as it is"
                and flow.response.headers["content-encoding"] == "gzip"
            ),
        ),
        *cases("0.17 0.11", "flow.response.raw_content", fails="came with mitmproxy 0.18"),
    ],
    "text": [
        *cases("0.17", "flow.response.text", fails="NotImplementedError"),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.response.text); flow.response.text = 'b\u00e4r'",
            "<html>foo</html>",
            make=coded,
            then=lambda flow: flow.response.text == "b\u00e4r",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.response.text); flow.response.text = '\u65e5'",
            "\u00e4",
            make=of_type("text/plain; charset=latin-1", b"\xe4"),
            then=lambda flow: flow.response.headers["content-type"] == "text/plain; charset=utf-8",
        ),
        *cases("0.11", "flow.response.text", fails="came with mitmproxy 0.18"),
    ],
    "body": [
        *cases(
            "0.14 0.17",
            "print(flow.response.body); flow.response.body = 'x'",
            "<html>foo</html>",
            then=body_is(b"x"),
        ),
        *cases(
            "0.18",
            "print(flow.response.body); flow.response.body = b'x'",
            "b'<html>foo</html>'",
            then=body_is(b"x"),
        ),
        *cases("0.11", "flow.response.body", fails="`content`"),
    ],
    "get_decoded_content": [
        *cases(
            "0.9 0.11 0.17",
            "print(flow.response.get_decoded_content())",
            "<html>foo</html>",
            make=coded,
        ),
        *cases("0.18 2.0 12", "flow.response.get_decoded_content()", fails="`content` is decoded"),
    ],
    "decode": [
        *cases(
            "0.8 0.9 0.11 0.17",
            "print(flow.response.decode(), flow.response.decode(), flow.response.content)",
            "True False <html>foo</html>",
            make=coded,
            then=lambda flow: "content-encoding" not in flow.response.headers,
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "print(flow.response.decode())",
            "None",
            make=coded,
            then=lambda flow: (
                flow.response.raw_content == b"<html>foo</html>"
                and "content-encoding" not in flow.response.headers
            ),
        ),
        *cases(
            "0.18 2.0 6.0 12",
            """
            flow.response.headers["content-encoding"] = "gzip"
            flow.response.raw_content = b"no gzip"
            flow.response.decode(strict=False)
            flow.response.headers["content-encoding"] = "gzip"
            flow.response.decode()
            """,
            fails="damaged data",
        ),
    ],
    "encode": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "flow.response.encode('gzip')",
            then=is_gzip_of(b"<html>foo</html>"),
        ),
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "flow.response.encode('deflate')",
            then=lambda flow: flow.response.content == b"<html>foo</html>",
        ),
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "flow.response.encode('identity')",
            then=body_is(b"<html>foo</html>"),
        ),
        *cases("0.18 2.0 6.0 12", "flow.response.encode('odd')", fails="ValueError"),
        *cases(
            "0.18 2.0 6.0 12",
            "flow.response.encode('br')",
            then=lambda flow: flow.response.headers["content-encoding"] == "br",
        ),
        *cases(
            "5.2 6.0 12",
            "flow.response.encode('zstd')",
            then=lambda flow: flow.response.content == b"<html>foo</html>",
        ),
    ],
    "decoded": [
        *[
            case
            for release, module in (
                ("0.9", "libmproxy.flow"),
                ("0.11", "libmproxy.protocol.http"),
                ("0.13", "libmproxy.protocol.http"),
                ("0.14", "libmproxy.models"),
                ("0.16", "netlib.http"),
                ("0.17", "mitmproxy.models"),
            )
            for case in cases(
                release,
                f"""
                from {module} import decoded
                with decoded(flow.response):
                    print("content-encoding" in flow.response.headers, flow.response.content)
                    flow.response.content = flow.response.content.replace("foo", "bar")
                """,
                "False <html>foo</html>",
                make=coded,
                then=is_gzip_of(b"<html>bar</html>"),
            )
        ],
        *cases(
            "0.18",
            """
            from netlib.http import decoded
            with decoded(flow.response):
                flow.response.content = flow.response.content.replace("foo", "bar")
            """,
            make=coded,
            then=is_gzip_of(b"<html>bar</html>"),
        ),
        *cases(
            "2.0 12",
            "from mitmproxy.net.http import decoded",
            fails="decoded",
        ),
    ],
    "content-length": [
        *cases(
            "0.8 0.11 0.14 0.17",
            "flow.response.headers['Content-Length'] = {}; flow.response.content = 'four'".replace(
                "{}", "'16'"
            ),
            then=lambda flow: flow.response.headers["content-length"] == "4",
        ),
        *cases(
            "0.18 2.0 6.0 12",
            "flow.response.content = b'four'",
            then=lambda flow: flow.response.headers["content-length"] == "4",
        ),
    ],
    "text or bytes": [
        *cases("0.8 0.11 0.17", "flow.response.content = b'by'", then=body_is(b"by")),
        # 0.18 ran on both Pythons: text is taken there
        *cases("0.18", "flow.response.content = 'by'", then=body_is(b"by")),
        *cases("1.0 2.0 6.0 12", "flow.response.content = 'text'", fails="TypeError"),
    ],
    "json": [
        *cases(
            "7.0 12",
            "print(flow.response.json()['a'])",
            "1",
            make=of_type("application/json", b'{"a": 1}'),
        ),
    ],
    # -- replace
    "whole": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 5.1",
            "print(flow.response.replace('fo+', 'bar'), flow.request.replace('x=1', 'x=2'))",
            "1 1",
            make=coded,
            then=lambda flow: (
                is_gzip_of(b"<html>bar</html>")(flow) and flow.request.content == b"x=2&y=2"
            ),
        ),
    ],
    "further arguments": [
        *cases(
            "0.8 0.11 0.14",
            """
            import re
            print(flow.response.replace("<", "[", 1), flow.response.replace("FOO", "bar", 0, re.I))
            """,
            "1 1",
            then=body_is(b"[html>bar</html>"),
        ),
        *cases(
            "0.17",
            "import re; print(flow.response.replace('FOO', 'bar', re.I))",
            "1",
            then=body_is(b"<html>bar</html>"),
        ),
        *cases(
            "0.18 2.0 5.1",
            """
            import re
            print(flow.response.replace("FOO", "bar", re.I), flow.response.replace("<", "[", 0, 1))
            print(flow.response.replace("BAR", "x", flags=re.I), flow.response.replace("<", "["))
            """,
            "1 1\n1 1",
        ),
    ],
    "escapes": [
        *cases(
            "0.18 2.0 5.1",
            r"print(flow.response.replace('\\n', '\\x41'), flow.response.replace(b'b', b'c'))",
            "1 1",
            make=of_type("text/plain", b"a\nb"),
            then=body_is(b"aAc"),
        ),
    ],
    "headers": [
        *cases(
            "0.8 0.11",
            "print(flow.response.headers.replace('Content-Type', 'X'))",
            "1",
            then=lambda flow: flow.response.headers["x"] == "text/html",
        ),
        *cases(
            "0.17 0.18 2.0 5.1",
            """
            print(flow.response.headers.replace("Content-Type: text/html", "X: y"))
            print(flow.response.headers.replace("X: y", "nothing"))
            """,
            "1\n0",
            then=lambda flow: flow.response.headers["x"] == "y",
        ),
    ],
    "path": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 5.1",
            "print(flow.request.replace('/p', '/q'))",
            "1",
            then=lambda flow: flow.request.path == "/q?a=1&b=2",
        ),
    ],
    "no body": [
        *cases(
            "0.8 0.11 0.16 0.17 0.18 2.0 5.1",
            "print(flow.response.replace('foo', 'bar'))",
            "0",
            make=missing,
        ),
    ],
}


def test_every_cell_has_a_case():
    assert uncovered({**RESPONSES, **BODIES, **REPLACING}, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")


def test_responses_are_the_same_object_for_all():
    """What a script makes is what other handlers see."""
    assert isinstance(stored().response, Response)
