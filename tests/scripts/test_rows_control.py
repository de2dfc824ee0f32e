"""What scripts do to a flow that is under way: answer, kill, hold, stream, run in threads."""

import pytest

from tests.scripts.rows import parameters, uncovered
from tests.scripts.worlds import (
    World,
    body,
    cut,
    elsewhere,
    get,
    held,
    live,
    on,
    run_live,
    status,
    two_at_once,
    upload,
)

# Rows, and the eras that have something there. G stands for G and H.
TABLE = {
    "live": "ABCDEFG",
    "reply: answer": "ABCDEFG",
    "reply: kill": "ABCDEFG",
    "intercept, resume": "ABCDEFG",
    "concurrent": "ABCDEFG",
    "stream": "BCDEFG",
    "stream: callable": "BCDEFG",
    "request.stream": "FG",
}


REPLY = {
    "0.8": (
        "from libmproxy.flow import Response, ODictCaseless",
        "flow.request._ack(Response(flow.request, 418, 'T', ODictCaseless(), 'mine', None))",
    ),
    "0.9": (
        "from libmproxy.flow import Response, ODictCaseless",
        (
            "flow.request.reply(Response(flow.request, (1, 1), 418, 'T', ODictCaseless(), 'mine', "
            "None))"
        ),
    ),
    "0.12": (
        "from libmproxy.protocol.http import HTTPResponse",
        "flow.reply(HTTPResponse((1, 1), 418, 'T', [], 'mine')); flow.reply()",
    ),
    "0.15": (
        "from libmproxy.models import HTTPResponse, Headers",
        "flow.reply(HTTPResponse(b'HTTP/1.1', 418, 'T', Headers(), 'mine'))",
    ),
    "0.17": (
        "from mitmproxy.models import HTTPResponse, Headers",
        "flow.response = HTTPResponse(b'HTTP/1.1', 418, 'T', Headers(), 'mine')",
    ),
    "0.18": (
        "from mitmproxy.models import HTTPResponse",
        "flow.reply.send(HTTPResponse.make(418, b'mine'))",
    ),
    "2.0": ("from mitmproxy import http", "flow.response = http.HTTPResponse.make(418, b'mine')"),
    "6.0": ("from mitmproxy import http", "flow.response = http.HTTPResponse.make(418, b'mine')"),
    "7.0": ("from mitmproxy import http", "flow.response = http.Response.make(418, b'mine')"),
    "12": ("from mitmproxy import http", "flow.response = http.Response.make(418, b'mine')"),
}
KILL = {
    "0.8": "flow.request._ack(None)",
    "0.10": "from libmproxy.proxy import KILL; flow.request.reply(KILL)",
    "0.12": "from libmproxy.protocol import KILL; flow.reply(KILL)",
    "0.13": "context.kill_flow(flow)",
    "0.15": "from libmproxy.protocol import Kill; flow.reply(Kill)",
    "0.17": "flow.kill(context._master)",
    "0.18": "flow.reply.kill()",
    "2.0": "flow.reply.kill(force=True)",
    "6.0": "flow.kill()",
    "7.0": "flow.reply.kill()",
    "12": "flow.kill()",
}
HOLD = {
    "0.8": "flow.intercept()",
    "0.12": "flow.intercept(context._master)",
    "0.17": "flow.intercept(context._master)",
    "0.18": "flow.intercept(ctx.master)",
    "2.0": "flow.intercept()",
    "6.0": "flow.intercept()",
    "7.0": "flow.intercept()",
    "12": "flow.intercept()",
}
FREE = "if flow.request.headers.get('x-free'): return\n"
MODIFY = """
def change(chunks):
    for chunk in chunks:
        yield chunk.replace("two", "TWO")
"""

CASES = {
    "live": [
        *on("0.10", "print(flow.request.is_live())", ["True"]),
        *on(
            "0.11 0.13",
            "print(bool(flow.live), flow.live.c.client_conn.address.host)",
            ["True 127.0.0.1"],
        ),
        *on("0.14 0.17 0.18 2.0 6.0", "print(bool(flow.live))", ["True"]),
        *on("7.0 12", "print(flow.live)", ["True"]),
        *on(
            "0.11 0.13",
            "flow.live.change_server(('127.0.0.1', PORT), ssl=False)",
            None,
            elsewhere,
            body(b"elsewhere"),
        ),
        *on(
            "0.14 0.18 2.0 6.0",
            "flow.live.set_server(('127.0.0.1', PORT))",
            None,
            elsewhere,
            body(b"elsewhere"),
        ),
        *on(
            "0.16 0.18 6.0",
            """
            try:
                flow.live.change_upstream_proxy_server(('a', 1))
            except NotImplementedError as error:
                print(error)
            """,
            lambda log: "set flow.request.host and .port" in log[0].text,
        ),
    ],
    "reply: answer": [
        case
        for release, (head, code) in REPLY.items()
        for case in on(release, code, None, then=body(b"mine"), head=head)
    ],
    "reply: kill": [
        case for release, code in KILL.items() for case in on(release, code, None, cut, head="")
    ],
    "intercept, resume": [
        case
        for release, code in HOLD.items()
        for case in on(
            release,
            FREE + code,
            None,
            held,
            status(200),
            head="from mitmproxy import ctx" if release == "0.18" else "",
        )
    ],
    "concurrent": [
        *on(
            "0.10 0.11 0.16",
            "meet.wait(60)",
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
            head="from libmproxy.script import concurrent\n@concurrent",
        ),
        *on(
            "0.17 0.18 2.0 6.0 7.0 12",
            "meet.wait(60)",
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
            head="from mitmproxy.script import concurrent\n@concurrent",
        ),
        *live(
            "3.0 7.0 12",
            """
            from mitmproxy.script import concurrent
            class A:
                @concurrent
                def request(self, flow): meet.wait(60)
            addons = [A()]
            """,
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
        ),
        *live(
            "8.1 12",
            """
            from mitmproxy.script import concurrent
            @concurrent
            async def request(flow): meet.wait(60)
            """,
            None,
            two_at_once,
            lambda w, answers: [answer.status for answer in answers] == [200, 200],
        ),
    ],
    "stream": [
        *on(
            "0.11 0.17 0.18 2.0 6.0 7.0 12",
            "flow.response.stream = True",
            None,
            lambda w: get(w, "/chunked"),
            lambda w, answer: (
                answer.body == b"one, two, three.\n" and w.proxy.flows[0].response.stream is True
            ),
            hook="responseheaders",
        ),
        *live(
            "0.11 0.13",
            """
            from libmproxy.protocol.http import CONTENT_MISSING
            def responseheaders(context, flow): flow.response.stream = True
            def response(context, flow): print(flow.response.content == CONTENT_MISSING)
            """,
            None,
            lambda w: get(w, "/chunked"),
            status(200),
        ),
    ],
    "stream: callable": [
        *on(
            "0.12 0.13 0.14 0.17 0.18 2.0 6.0",
            "flow.response.stream = change",
            None,
            lambda w: get(w, "/chunked"),
            body(b"one, TWO, three.\n"),
            head=MODIFY,
            hook="responseheaders",
        ),
        *on(
            "7.0 12",
            "flow.response.stream = lambda chunk: chunk.replace(b'two', b'TWO')",
            None,
            lambda w: get(w, "/chunked"),
            body(b"one, TWO, three.\n"),
            hook="responseheaders",
        ),
        *on(
            "7.0 12",
            "flow.response.stream = lambda chunk: [chunk.upper(), b'!' if not chunk else b'']",
            None,
            lambda w: get(w, "/chunked"),
            body(b"ONE, TWO, THREE.\n!"),
            hook="responseheaders",
        ),
    ],
    "request.stream": [
        *on(
            "3.0 6.0",
            "flow.request.stream = change",
            None,
            upload,
            body(b"one TWO"),
            head=MODIFY,
            hook="requestheaders",
        ),
        *on(
            "7.0 12",
            "flow.request.stream = lambda chunk: chunk.replace(b'two', b'TWO')",
            None,
            upload,
            body(b"one TWO"),
            hook="requestheaders",
        ),
    ],
}


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, proxy, site, connect, make_origin, tmp_path):
    run_live(case, World(proxy, site, connect, make_origin, tmp_path), tmp_path / "a.py")
