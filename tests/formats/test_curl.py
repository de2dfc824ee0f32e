import shlex
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbproxy.formats.curl import curl_command
from nbproxy.model.headers import Headers
from tests.formats import made
from tests.support.origins import Origin, answering

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
SHELLS = [shell for shell in ("dash", "bash", "zsh", "sh") if shutil.which(shell)]
# What a shell, printf or curl might see something in.
HOSTILE = [
    "'",
    "''\"\"",
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    "'$(touch pwned)'",
    "!!",
    "!touch",
    "\\",
    "\\'",
    "\\n%s%n%d",
    "@/etc/passwd",
    "-o pwned",
    "--output=pwned",
    "a\nb\n",
    "\n; touch pwned\n",
    "{a,b}[1-3]",
    "~ * ? #",
    "&& touch pwned",
    "${PATH} $PATH",
    "\x1b[2J",
    "\u202eevil",
    "é€😀",
    "\x7f\x00\x01",
]


@pytest.fixture
def origin():
    with Origin(answering(ANSWER)) as origin:
        yield origin


def run(command, origin, folder, shell="sh"):
    """What arrives when a shell runs the command; nothing else may have happened."""
    before = len(origin.requests)
    folder.mkdir(exist_ok=True)
    script = folder.parent / "script"
    script.write_bytes(command.encode())
    ran = subprocess.run(
        [shell, str(script)], capture_output=True, cwd=folder, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout in {b"ok", b""} or ran.stdout.startswith(b"HTTP/1.1 200")
    assert list(folder.iterdir()) == []
    (request,) = origin.requests[before:]
    return request


def flow_to(origin, method="GET", target="/", content=b"", fields=()):
    flow = made.new_flow(method, f"http://{origin.authority.decode()}/", content)
    host = flow.request.headers["host"]
    length = [("Content-Length", str(len(content)))] if content or method == "POST" else []
    flow.request.headers = Headers.from_wire(
        tuple(
            (n if isinstance(n, bytes) else n.encode(), v if isinstance(v, bytes) else v.encode())
            for n, v in [("Host", host), *fields, *length]
        )
    )
    flow.request._path = target
    return flow


def check(request, flow):
    """The request that arrived is the flow's."""
    sent = flow.request
    target = sent.path.encode("utf-8", "surrogateescape")
    assert request.start == (sent.method.encode(), target)
    assert request.body == sent.raw_content
    assert sorted(request.fields) == sorted(sent.headers.fields)
    own = {b"host", b"content-length"}
    kept = [field for field in request.fields if field[0].lower() not in own]
    assert kept == [field for field in sent.headers.fields if field[0].lower() not in own]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_bodies(origin, tmp_path, shell, text):
    flow = flow_to(origin, "POST", content=text.encode())
    check(run(curl_command(flow), origin, tmp_path / "x", shell), flow)


@pytest.mark.parametrize("text", [t for t in HOSTILE if "\n" not in t and "\x00" not in t])
def test_hostile_fields(origin, tmp_path, text):
    raw = b"x" + text.encode().replace(b"\x1b", b"").replace(b"\x7f", b"").replace(b"\x01", b"")
    flow = flow_to(origin, fields=[("X-Field", raw), ("User-Agent", raw), ("Empty", b"")])
    check(run(curl_command(flow), origin, tmp_path / "x"), flow)


@pytest.mark.parametrize(
    "target",
    [
        "/a/../b/./c//d",
        "/?q=[1-3]{a,b}&x='$(touch${IFS}pwned)'`touch\tpwned`;!!".replace("\t", "${IFS}"),
        '/"quoted"\\',
        "/%2e%2E%2f?%zz",
        "/?",
        "/a|b^c",
        "*",
    ],
)
def test_hostile_targets(origin, tmp_path, target):
    flow = flow_to(origin, "OPTIONS", target)
    check(run(curl_command(flow), origin, tmp_path / "x"), flow)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "X-Y", "post"])
@pytest.mark.parametrize("content", [b"", b"hello"])
def test_methods(origin, tmp_path, method, content):
    flow = flow_to(origin, method, content=content)
    check(run(curl_command(flow), origin, tmp_path / "x"), flow)


def test_head(tmp_path):
    with Origin(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")) as origin:
        flow = flow_to(origin, "HEAD")
        check(run(curl_command(flow), origin, tmp_path / "x"), flow)


def test_a_post_without_body(origin, tmp_path):
    flow = flow_to(origin, "POST")
    check(run(curl_command(flow), origin, tmp_path / "x"), flow)


@pytest.mark.parametrize("size", [99_999, 100_001, 3_000_000])
def test_large_bodies(origin, tmp_path, size):
    flow = flow_to(origin, "POST", content=b"a'b\n" * (size // 4))
    check(run(curl_command(flow), origin, tmp_path / "x"), flow)


@given(
    content=st.binary(max_size=50),
    value=st.from_regex(rb"[!-~\x80-\xff]([\t -~\x80-\xff]{0,15}[!-~\x80-\xff])?", fullmatch=True),
    shell=st.sampled_from(SHELLS),
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_bytes(origin, tmp_path, content, value, shell):
    flow = flow_to(origin, "POST", content=content, fields=[("A", value)])
    check(run(curl_command(flow), origin, tmp_path / "x", shell), flow)


def test_fields_that_no_head_can_have_are_left_out(origin, tmp_path):
    flow = flow_to(origin, fields=[("A", b"b\r\nX: y"), (b"C\nD", b"e"), ("F", b"g\0")])
    request = run(curl_command(flow), origin, tmp_path / "x")
    assert [name for name, _ in request.fields] == [b"Host"]


def test_another_host_is_named(origin, tmp_path):
    flow = flow_to(origin)
    flow.request.headers = Headers([("Host", "example.org")])
    assert run(curl_command(flow), origin, tmp_path / "x").fields == ((b"Host", b"example.org"),)


def test_a_plain_command_is_plain():
    flow = made.new_flow(url="http://example.org/a?b=c", fields=[("User-Agent", "me")])
    assert shlex.split(curl_command(flow)) == [
        *("curl", "--globoff", "--path-as-is", "--http1.1"),
        *("--header", "User-Agent: me", "--header", "Accept:", "http://example.org/a?b=c"),
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_method": "CONNECT"}, "tunnel"),
        ({"_method": "GET\n"}, "field name"),
        ({"scheme": "file"}, "not http or https"),
        ({"_host": "a b"}, "characters that no authority has"),
        ({"_host": "-x@evil"}, "userinfo"),
        ({"_path": "-o/etc/passwd"}, "does not begin with a slash"),
        ({"_path": "@/etc/passwd"}, "does not begin with a slash"),
        ({"_path": "/\r\nX: y"}, "control characters"),
        ({"_path": "/a b"}, "blanks"),
        ({"_content": None}, "not kept"),
    ],
)
def test_what_cannot_be_sent_again(change, words):
    flow = made.new_flow()
    for name, value in change.items():
        setattr(flow.request, name, value)
    with pytest.raises(ValueError, match=words):
        curl_command(flow)
