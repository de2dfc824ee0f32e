"""Responses, cell by cell of the table of their members by era."""

import pytest

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
DER = b"\x30\x03\x02\x01\x05"


def with_certificate():
    flow = stored()
    flow.server_conn.certificate_list = (DER,)
    return flow


def dated():
    flow = stored()
    flow.response.headers["date"] = "Thu, 01 Jan 1970 00:16:40 GMT"
    return flow


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
}


def test_every_cell_has_a_case():
    assert uncovered(RESPONSES, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
