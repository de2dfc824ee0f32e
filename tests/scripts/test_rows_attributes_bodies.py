"""Bodies and `replace`, cell by cell of their tables by era."""

import gzip

import pytest

from tests.scripts.classic_host import answered
from tests.scripts.rows import cases, parameters, run, stored, uncovered

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


def of_type(kind, body):
    def make():
        flow = stored()
        flow.response.headers["content-type"] = kind
        flow.response.raw_content = body
        return flow

    return make


def is_gzip_of(content):
    def holds(flow):
        response = flow.response
        assert response.headers["content-encoding"] == "gzip"
        return gzip.decompress(response.raw_content) == content

    return holds


def body_is(content):
    return lambda flow: flow.response.raw_content == content


CASES = {
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
    assert uncovered({**BODIES, **REPLACING}, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
