"""Flows (table of members by era) and how a request gets another destination, cell by cell."""

import pytest

from nbproxy.model.flow import Error
from tests.scripts.rows import cases, parameters, run, stored, uncovered

# Rows, and the eras that have something there. G stands for G and H.
TABLE = {
    "class": "ABCDEFG",
    "request, response, error": "ABCDEFG",
    "client_conn, server_conn": "ABCDEFG",
    "id, type": "BCDEFG",
    "intercepted": "ABCDEFG",
    "live": "ABCDEFG",
    "reply": "ABCDEFG",
    "marked": "DEFG",
    "metadata": "EFG",
    "comment": "G",
    "is_replay": "ABCDEFG",
    "timestamp_created": "G",
    "match": "ABC",
    "replace": "ABCDEF",
    "copy": "ABCDEFG",
    "backup, revert, modified": "ABCDEFG",
    "intercept": "ABCDEFG",
    "resume": "ABCDEFG",
    "kill": "ABCDEFG",
    "state": "ABCDEFG",
    "equality": "BCDEFG",
    "repr": "ABCDEFG",
    "destination": "ABCDEFG",
    "destination: Host field": "ABCDEFG",
    "destination: scheme": "ABCDEFG",
}

PARTS = """
print(flow.request.method, flow.response.{code}, flow.error)
"""


def failed():
    flow = stored()
    flow.response = None
    flow.error = Error("it broke", 5.0)
    return flow


STATE = """
state = flow.get_state()
other = {flow}.from_state(state)
other.request.host = "other.test"
print(type(state).__name__, other.request.path == flow.request.path, other.{status})
flow.{load}(other.get_state())
"""
VERSIONS = """
flow.backup()
before = flow.modified()
flow.request.path = "/changed"
print(before, flow.modified())
flow.revert()
print(flow.modified())
"""


def is_sent_to_other(flow):
    return flow.request.host == "other.test"


def path_is_back(flow):
    return flow.request.path == "/p?a=1&b=2"


def host_field(value, port=80):
    def holds(flow):
        return (flow.request.host, flow.request.port, flow.request.headers["host"]) == (
            "other.test",
            port,
            value,
        )

    return holds


MOVED = """
flow.request.host = "other.test"
flow.request.port = 8080
"""

CASES = {
    "class": [
        *cases(
            "0.9",
            """
            from libmproxy.flow import Flow
            made = Flow(flow.request.copy())
            print(isinstance(flow, Flow), made.request.host, made.response)
            """,
            "True example.com None",
        ),
        *cases(
            "0.11",
            """
            from libmproxy.protocol.http import HTTPFlow
            made = HTTPFlow(flow.client_conn, flow.server_conn)
            made.request = flow.request
            print(isinstance(flow, HTTPFlow), made.request.host, made.response, bool(made.live))
            """,
            "True example.com None False",
        ),
        *cases(
            "0.14 0.16",
            """
            from libmproxy.models import HTTPFlow
            made = HTTPFlow(flow.client_conn, flow.server_conn, live=None)
            made.request = flow.request
            print(isinstance(flow, HTTPFlow), made.request.host)
            """,
            "True example.com",
        ),
        *cases(
            "0.17 0.18",
            """
            from mitmproxy.models import HTTPFlow
            made = HTTPFlow(flow.client_conn, flow.server_conn)
            made.request = flow.request
            print(isinstance(flow, HTTPFlow), made.request.host)
            """,
            "True example.com",
        ),
        *cases(
            "1.0 2.0 3.0 6.0",
            """
            from mitmproxy.http import HTTPFlow
            made = HTTPFlow(flow.client_conn, flow.server_conn)
            made.request = flow.request
            print(isinstance(flow, HTTPFlow), made.request.host, flow.mode)
            """,
            "True example.com regular",
        ),
        *cases(
            "7.0 12",
            """
            from mitmproxy.http import HTTPFlow
            made = HTTPFlow(flow.client_conn, flow.server_conn, live=False)
            made.request = flow.request
            print(isinstance(flow, HTTPFlow), made.request.host, made.live)
            """,
            "True example.com False",
        ),
    ],
    "request, response, error": [
        *cases("0.8 0.10 0.11 0.13", PARTS.format(code="code"), "POST 200 None"),
        *cases(
            "0.14 0.17 0.18 1.0 2.0 3.0 6.0 7.0 12",
            PARTS.format(code="status_code"),
            "POST 200 None",
        ),
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 7.0 12",
            "print(flow.response, flow.error.msg, flow.error)",
            "None it broke it broke",
            hook="error",
            make=failed,
        ),
    ],
    "client_conn, server_conn": [
        *cases(
            "0.8 0.10",
            "print(flow.request.client_conn.address, flow.request.client_conn is not None)",
            "('127.0.0.1', 5000) True",
        ),
        *cases(
            "0.11 0.13 0.14 0.17 0.18 2.0",
            "print(flow.client_conn.address.port, flow.server_conn.address.host)",
            "5000 example.com",
        ),
        *cases(
            "3.0 6.0 7.0",
            "print(flow.client_conn.address[1], flow.server_conn.address[0])",
            "5000 example.com",
        ),
        *cases(
            "7.0 12",
            "print(flow.client_conn.peername[1], flow.server_conn.address[0])",
            "5000 example.com",
        ),
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12",
            "print(flow.server_conn in {flow.server_conn}, flow.server_conn is flow.server_conn)",
            "True True",
        ),
    ],
    "id, type": [
        *cases(
            "0.11 0.13 0.14 0.17 0.18 2.0 6.0 7.0 12",
            """
            import re
            print(bool(re.match(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", flow.id)), flow.type)
            print(flow.id == flow.id, flow.copy().id == flow.id)
            """,
            "True http\nTrue False",
        ),
    ],
    "intercepted": [
        *cases("0.8 0.10", "print(flow.intercepting)", "False"),
        *cases("0.11 0.16 0.18 2.0 6.0 12", "print(flow.intercepted)", "False"),
        *cases("0.18 2.0 6.0 12", "flow.intercepting", fails="intercepted"),
    ],
    "live": [
        *cases("0.10", "print(flow.request.is_live())", "False"),
        *cases("0.11 0.17 0.18 2.0 6.0 12", "print(bool(flow.live))", "False"),
    ],
    "reply": [
        *cases("0.9 0.10", "flow.response.reply(); flow.request.reply()"),
        *cases(
            "0.11 0.17",
            "flow.reply(); flow.reply(); print(flow.reply.acked)",
            "True",
        ),
        *cases(
            "0.18 2.0 6.0 7.0",
            """
            flow.reply.take()
            flow.reply.ack()
            flow.reply.commit()
            print(flow.reply.state, flow.reply.has_message)
            """,
            "committed False",
        ),
        *cases("12", "flow.reply()", fails="flow.reply is gone since mitmproxy 8.0"),
    ],
    "marked": [
        *cases(
            "0.18 2.0 6.0",
            "print(flow.marked); flow.marked = True; print(flow.marked)",
            "False\nTrue",
            then=lambda flow: flow.marked == ":default:",
        ),
        *cases(
            "7.0 12",
            "print(repr(flow.marked)); flow.marked = ':grapes:'; print(flow.marked)",
            "''\n:grapes:",
            then=lambda flow: flow.marked == ":grapes:",
        ),
        *cases("0.11 0.17", "flow.marked", fails="came with mitmproxy 0.18"),
    ],
    "metadata": [
        *cases(
            "1.0 2.0 6.0 12",
            "flow.metadata['seen'] = 1; print(flow.metadata)",
            "{'seen': 1}",
            then=lambda flow: flow.metadata == {"seen": 1},
        ),
        *cases("0.11 0.17", "flow.metadata", fails="came with mitmproxy 1.0"),
    ],
    "comment": [
        *cases("7.0 12", "flow.comment = 'odd'", then=lambda flow: flow.comment == "odd"),
        *cases("0.16", "flow.comment", fails="came with mitmproxy 7"),
    ],
    "is_replay": [
        *cases(
            "0.8 0.10", "print(flow.request.is_replay(), flow.response.is_replay())", "False False"
        ),
        *cases(
            "0.11 0.17 0.18 2.0 5.0",
            "print(flow.request.is_replay, flow.response.is_replay)",
            "False False",
        ),
        *cases("6.0 7.0 12", "print(flow.is_replay)", "None"),
    ],
    "timestamp_created": [
        *cases("8.1 12", "print(flow.timestamp_created >= 0)", "True"),
    ],
    "match": [
        *cases(
            "0.8 0.11 0.16 0.17",
            """
            print(flow.match("~d example"), flow.match("~d other"), flow.match(None))
            try:
                flow.match("~nothing (")
            except ValueError as error:
                print(str(error)[:7])
            """,
            "True False True\nInvalid",
        ),
        *cases("0.18 2.0 6.0 12", "flow.match('~d x')", fails="flowfilter.match"),
    ],
    "replace": [
        *cases(
            "0.8 0.11 0.13 0.14 0.17 0.18 1.0 3.0",
            "print(flow.replace('foo', 'bar'))",
            "1",
            then=lambda flow: flow.response.content == b"<html>bar</html>",
        ),
        *cases("7.0 12", "flow.replace('foo', 'bar')", fails="gone since mitmproxy 5.2"),
    ],
    "copy": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            """
            other = flow.copy()
            other.request.path = "/other"
            print(other is flow, other.request.path, flow.request.path, bool(other.response))
            """,
            "False /other /p?a=1&b=2 True",
        ),
    ],
    "backup, revert, modified": [
        *cases("0.11 0.17 0.18 2.0 6.0 12", VERSIONS, "False True\nFalse", then=path_is_back),
        *cases(
            "0.8 0.10",
            "flow.backup(); print(flow.modified()); flow.revert(); print(flow.modified())",
            "True\nFalse",
        ),
    ],
    "intercept": [
        # what is over is not held: see `test_rows_control`"intercept"] = [
        *cases("0.8", "flow.intercept(); print(flow.intercepting)", "False"),
        *cases("0.11 0.17 0.18", "flow.intercept(flow); print(flow.intercepted)", "False"),
        *cases("1.0 2.0 3.0 6.0 7.0 12", "flow.intercept(); print(flow.intercepted)", "False"),
    ],
    "resume": [
        *cases("0.8", "flow.accept_intercept()"),
        *cases("0.11 0.17 0.18", "flow.accept_intercept(None)"),
        *cases("1.0 2.0 6.0 7.0 12", "flow.resume()"),
        *cases("0.11 0.17", "flow.resume()", fails="accept_intercept(master)"),
    ],
    "kill": [
        *cases(
            "0.8 0.11 0.17",
            "flow.kill(None); print(flow.error)",
            "Connection killed",
            then=lambda flow: flow.error.msg == "killed by a handler",
        ),
        *cases("0.18", "print(flow.killable); flow.kill(None)", "False", fails="ControlException"),
        *cases("1.0 6.0 7.0 12", "flow.kill()", fails="ControlException"),
    ],
    "state": [
        *cases(
            "0.9",
            STATE.replace("get_state", "_get_state")
            .replace("from_state", "_from_state")
            .format(flow="type(flow)", status="response.code", load="_load_state"),
            "dict True 200",
            then=is_sent_to_other,
        ),
        *cases(
            "0.11 0.13",
            STATE.format(flow="type(flow)", status="response.code", load="load_state"),
            "dict True 200",
            then=is_sent_to_other,
        ),
        *cases(
            "0.14 0.15",
            STATE.format(flow="type(flow)", status="response.status_code", load="load_state"),
            "dict True 200",
            then=is_sent_to_other,
        ),
        *cases(
            "0.16 0.17 0.18 2.0 6.0 7.0 12",
            STATE.format(flow="type(flow)", status="response.status_code", load="set_state"),
            "dict True 200",
            then=is_sent_to_other,
        ),
    ],
    "equality": [
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12", "print(flow == flow, flow == flow.copy())", "True False"
        ),
    ],
    "repr": [
        *cases(
            "0.11 0.17 0.18 2.0 6.0 12",
            """
            lines = repr(flow).split("\\r\\n")
            print(lines[0], [line.split("=")[0].strip() for line in lines[1:] if "=" in line])
            """,
            "<HTTPFlow ['request', 'response', 'client_conn', 'server_conn']",
        ),
        *cases("0.8 0.10", "print('request' in repr(flow))", "True"),
    ],
    "destination": [
        *cases(
            "0.8 0.10",
            MOVED
            + "print(flow.request.set_url('https://last.test/x'), flow.request.set_url('no'))",
            "True False",
            then=lambda flow: flow.request.url == "https://last.test/x",
        ),
        *cases(
            "0.11 0.13 0.14 0.17 0.18 2.0 6.0 7.0 12",
            """
            flow.request.host = "other.test"
            try:
                flow.request.url = "nonsense"
            except ValueError as error:
                print("ValueError")
            flow.request.url = "https://last.test:8443/x"
            print(flow.request.scheme, flow.request.host, flow.request.port, flow.request.path)
            """,
            "ValueError\nhttps last.test 8443 /x",
        ),
    ],
    "destination: Host field": [
        *cases("0.8 0.10", MOVED, then=host_field("example.com", 8080)),
        *cases(
            "0.9 0.10",
            MOVED + "flow.request.headers['Host'] = ['mine']",
            then=host_field("mine", 8080),
        ),
        *cases("0.11 0.13", MOVED, then=host_field("example.com", 8080)),
        *cases(
            "0.11 0.13",
            MOVED + "flow.request.update_host_header()",
            then=host_field("other.test", 8080),
        ),
        *cases("0.14 0.17 0.18 2.0 6.0 7.0 8.1", MOVED, then=host_field("other.test", 8080)),
        *cases("10 12", MOVED, then=host_field("other.test:8080", 8080)),
    ],
    "destination: scheme": [
        *cases(
            "0.8 0.11 0.17 0.18 2.0 6.0 12",
            "flow.request.scheme = 'https'; flow.request.port = 443",
            then=lambda flow: flow.request.url == "https://example.com/p?a=1&b=2",
        ),
    ],
}


def test_every_cell_has_a_case():
    assert uncovered(TABLE, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
