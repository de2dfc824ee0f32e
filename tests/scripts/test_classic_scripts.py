"""Scripts of the shapes that eras A to C had, through the real loader, on one flow."""

import sys
from textwrap import dedent

import pytest

from nbproxy.scripts import eras, loader
from nbproxy.scripts.compat import classic
from tests.scripts.classic_host import NotingHost, answered, new_flow


def play(source, flow, *hooks, argv=("script.py",), host=None):
    """Load a script and call its hooks; gives its namespace and its host."""
    host = host if host is not None else NotingHost()
    prepared = loader.prepare(dedent(source).lstrip("\n"), "script.py")
    era = prepared.era
    assert era <= eras.Era.C
    scope = loader.Scope(
        None,
        None,
        classic=classic.modules(era, host),
        local={},
        missing=lambda module, name: classic.missing(era, module, name),
        extra={},
        first=False,
    )
    space = scope.namespace("script", "script.py")
    before = dict(sys.modules)
    exec(prepared.code, space)
    context = classic.context(era, host)
    if "start" in space:
        space["start"](context, list(argv))
    for hook in hooks:
        space[hook](context, classic.view(era, flow, host))
    new = {name for name in set(sys.modules) - set(before) if not name.startswith("nbproxy.")}
    assert not {"libmproxy", "netlib", "mitmproxy"} & {name.partition(".")[0] for name in new}
    return space, host


def test_a_header_for_each_response():
    flow = answered(new_flow())
    play(
        'def response(ctx, flow):\n    flow.response.headers["newheader"] = ["foo"]\n',
        flow,
        "response",
    )
    assert flow.response.headers["newheader"] == "foo"


def test_a_print_statement_and_an_old_except(capsys):
    flow = answered(new_flow())
    source = """
    import urllib
    from libmproxy.protocol.http import decoded

    def response(context, flow):
        with decoded(flow.response):
            try:
                print "%s: %d" % (flow.request.host, len(flow.response.content) / 3),
                print urllib.quote(flow.request.path)
                raise ValueError, "wanted"
            except ValueError, e:
                context.log("caught %s" % e.message)
            flow.response.content = flow.response.content.replace("foo", "bar")
    """
    _, host = play(source, flow, "response")
    assert capsys.readouterr().out == "example.com: 5 /p%3Fa%3D1%26b%3D2\n"
    assert host.logged == [("info", "caught wanted")]
    assert flow.response.content == b"<html>bar</html>"


@pytest.mark.parametrize(
    "source",
    [
        """
        from libmproxy.flow import Response
        from netlib.odict import ODictCaseless
        def request(ctx, flow):
            if flow.request.host.endswith("example.com"):
                flow.request.reply(Response(
                    flow.request, [1, 1], 200, "OK",
                    ODictCaseless([["Content-Type", "text/html"]]), "helloworld", None))
        """,
        """
        from libmproxy.protocol.http import HTTPResponse
        from netlib.odict import ODictCaseless
        def request(context, flow):
            if flow.request.pretty_host(hostheader=True).endswith("example.com"):
                flow.reply(HTTPResponse(
                    [1, 1], 200, "OK",
                    ODictCaseless([["Content-Type", "text/html"]]), "helloworld"))
        """,
        """
        from libmproxy.models import HTTPResponse
        from netlib.http import Headers
        def request(context, flow):
            if flow.request.pretty_host.endswith("example.com"):
                flow.reply(HTTPResponse(
                    [1, 1], 200, "OK", Headers(Content_Type="text/html"), "helloworld"))
        """,
        """
        from mitmproxy.models import HTTPResponse
        from netlib.http import Headers
        def request(context, flow):
            flow.reply(HTTPResponse(
                b"HTTP/1.1", 200, b"OK", Headers(Content_Type="text/html"), b"helloworld"))
        """,
    ],
    ids=["A", "B", "C", "0.17"],
)
def test_answering_in_the_servers_place(source):
    flow = new_flow()
    play(source, flow, "request")
    assert flow.response.content == b"helloworld"
    assert flow.response.headers["content-type"] == "text/html"


def test_a_filter_and_arguments(capsys):
    source = """
    from libmproxy import filt
    def start(context, argv):
        if len(argv) != 2:
            raise ValueError("Usage: FILTER")
        context.filter = filt.parse(argv[1])
    def response(context, flow):
        if flow.match(context.filter):
            print(flow)
    """
    play(source, answered(new_flow()), "response", argv=("s.py", "~d example"))
    assert capsys.readouterr().out.startswith("<HTTPFlow")
    with pytest.raises(ValueError, match="Usage"):
        play(source, answered(new_flow()))


def test_duplicating_and_replaying():
    source = """
    def request(context, flow):
        f = context.duplicate_flow(flow)
        f.request.path = "/changed"
        context.replay_request(f)
    """
    flow = new_flow()
    _, host = play(source, flow, "request")
    assert host.replayed[0].request.path == "/changed"
    assert flow.request.path != "/changed"


def test_what_cannot_be_imported_says_why():
    source = "from libmproxy.protocol.http import HTTPFlow\nimport libmproxy.models\n"
    with pytest.raises(ImportError, match=r"mitmproxy 0\.(11|14)"):
        play(source + "def request(context, flow): pass\n", new_flow())


@pytest.mark.parametrize(
    ("body", "quoted"), [(b"caf\xc3\xa9", "caf%C3%A9"), (b"caf\xe9", "caf%E9"), (b"a", "a")]
)
def test_a_library_takes_a_body_for_text(body, quoted):
    source = """
        from urllib.parse import quote
        from libmproxy.models import decoded
        def response(context, flow):
            with decoded(flow.response):
                flow.response.headers["x-text"] = quote(flow.response.content)
    """
    flow = answered(new_flow(), content=body)
    play(source, flow, "response")
    assert flow.response.headers["x-text"] == quoted
