import ast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbproxy.formats.python_code import httpx_code, requests_code
from nbproxy.model.headers import Headers
from tests.formats import made
from tests.formats.test_curl import ANSWER, HOSTILE, check, flow_to
from tests.support.origins import Origin, answering

BOTH = pytest.mark.parametrize("write", [requests_code, httpx_code])


@pytest.fixture
def origin():
    with Origin(answering(ANSWER)) as origin:
        yield origin


def run(code, origin):
    """What arrives when the code is run."""
    before = len(origin.requests)
    names = {}
    exec(compile(code, "<code>", "exec"), names)
    assert names["response"].status_code == 200
    assert names["response"].content in {b"ok", b""}
    (request,) = origin.requests[before:]
    return request


@BOTH
@pytest.mark.parametrize("text", [*HOSTILE, "'''", '"""', "\\", "\\x41", "{x}", "%s", "#"])
def test_hostile_bodies_and_fields(origin, write, text):
    raw = bytes(b for b in text.encode() if b >= 32 and b != 127)
    flow = flow_to(
        origin,
        "POST",
        content=text.encode(),
        fields=[("X-Field", b"x" + raw), ("User-Agent", b"x" + raw)],
    )
    check(run(write(flow), origin), flow)


@BOTH
@pytest.mark.parametrize(
    "target",
    [
        "/a/../b/./c//d",
        "/?q=[1]{a}",
        "/%7e%2E?a=%20+b&c='d'",
        '/"x"',
        "/a|b^c`",
        "/?a=b?c/d",
        "/a;b",
    ],
)
def test_hostile_targets(origin, write, target):
    flow = flow_to(origin, "GET", target)
    request = run(write(flow), origin)
    if write is httpx_code:
        check(request, flow)
    else:  # urllib3 writes percent-encodings its own way, with the same meaning
        unified = target
        for char in '"[]{}|^`':
            unified = unified.replace(char, f"%{ord(char):02X}")
        unified = unified.replace("%7e", "%7E")
        assert request.start[1].decode().replace("[", "%5B").replace("]", "%5D") == unified


@BOTH
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "X-Y", "get", "Post"])
@pytest.mark.parametrize("content", [b"", b"hello"])
def test_methods(origin, write, method, content):
    flow = flow_to(origin, method, content=content)
    request = run(write(flow), origin)
    assert request.start[0] == method.encode()
    assert request.body == content


@BOTH
def test_fields_that_repeat_and_their_order(origin, write):
    fields = [("B", "1"), ("a", "2"), ("B", "3"), ("Cookie", "x=1"), ("Cookie", "y=2"), ("E", "")]
    if write is requests_code:  # it sends those of one name together
        fields.sort(key=lambda f: "B a Cookie E".index(f[0]))
    flow = flow_to(origin, "POST", content=b"x", fields=fields)
    check(run(write(flow), origin), flow)


@BOTH
def test_no_field_is_added(origin, write):
    flow = flow_to(origin)
    check(run(write(flow), origin), flow)


@BOTH
def test_a_post_without_body(origin, write):
    flow = flow_to(origin, "POST")
    check(run(write(flow), origin), flow)


@BOTH
def test_another_host_is_named(origin, write):
    flow = flow_to(origin)
    flow.request.headers = Headers([("Host", "example.org")])
    assert run(write(flow), origin).fields == ((b"Host", b"example.org"),)


@BOTH
@given(
    content=st.binary(max_size=50),
    value=st.from_regex(rb"[!-~\x80-\xff]([\t -~\x80-\xff]{0,15}[!-~\x80-\xff])?", fullmatch=True),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_bytes(origin, write, content, value):
    flow = flow_to(origin, "POST", content=content, fields=[("A", value)])
    check(run(write(flow), origin), flow)


@BOTH
@given(flow=made.flows())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_code_is_calls_with_literals(write, flow):
    """Nothing that comes from a flow is anything else than data."""
    try:
        code = write(flow)
    except ValueError:
        return
    assert code.isascii()
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    known = {"requests", "httpx", "request", "session", "client", "response"}
    assert names <= known | {"HTTPHeaderDict", "SKIP_HEADER"}


@BOTH
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_method": "CONNECT"}, "tunnel"),
        ({"scheme": "file"}, "not http or https"),
        ({"_path": "/\r\nX: y"}, "control characters"),
        ({"_content": None}, "not kept"),
    ],
)
def test_what_cannot_be_sent_again(write, change, words):
    flow = made.new_flow()
    for name, value in change.items():
        setattr(flow.request, name, value)
    with pytest.raises(ValueError, match=words):
        write(flow)


def test_asking_for_the_server_itself(origin):
    flow = flow_to(origin, "OPTIONS", "*")
    check(run(httpx_code(flow), origin), flow)
    with pytest.raises(ValueError, match="httpx can"):
        requests_code(flow)
