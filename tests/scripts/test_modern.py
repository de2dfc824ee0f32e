"""What scripts of eras D to H import, and that it does something."""

import io
from textwrap import dedent

import pytest

from nbproxy.errors import ScriptError

IMPORTS = {
    "D": """
        import mitmproxy
        from mitmproxy import ctx, flowfilter, contentviews, flow, controller
        from mitmproxy.flow import FlowWriter, FlowReader
        from mitmproxy.models import HTTPResponse, HTTPRequest, decoded, TCPFlow
        from mitmproxy.script import concurrent
        from netlib import strutils, version, human
        from netlib.http import cookies, Headers
        from mitmproxy.exceptions import TlsProtocolException, FlowReadException
        from mitmproxy.protocol import TlsLayer, RawTCPLayer
        class Mine(TlsLayer): pass
    """,
    "E": """
        from mitmproxy import ctx, http, io, flowfilter, contentviews, controller, options, master
        from mitmproxy import version
        from mitmproxy.script import concurrent
        from mitmproxy.addons import wsgiapp
        from mitmproxy.utils import strutils
        from mitmproxy.net.http import cookies, Headers
        from mitmproxy.exceptions import FlowReadException, TlsProtocolException
        from mitmproxy.proxy.protocol import TlsLayer, RawTCPLayer
        from mitmproxy.types import multidict
        assert multidict.MultiDict([("a", "b")])["a"] == "b"
    """,
    "F": """
        from mitmproxy import ctx, http, tcp, io, flow, command, types, exceptions, flowfilter
        from mitmproxy import contentviews, connections, version, certs, websocket
        from mitmproxy.addons import wsgiapp, asgiapp
        from mitmproxy.net.http import Headers, cookies
        from mitmproxy.utils import strutils
        assert http.HTTPResponse.make(200, b"x").content == b"x"
        assert version.VERSION.startswith("6")
        assert certs.Cert and connections.ServerConnection
    """,
    "H": """
        from mitmproxy import ctx, http, tcp, tls, io, flow, command, types, exceptions
        from mitmproxy import flowfilter, contentviews, connection, hooks, addonmanager
        from mitmproxy.http import Headers, HTTPFlow
        from mitmproxy.log import ALERT
        from mitmproxy.addons import asgiapp, export
        from mitmproxy.addonmanager import Loader
        from mitmproxy.connection import Server, Client
        from mitmproxy.net.server_spec import ServerSpec
        from mitmproxy.proxy import layer, layers
        from mitmproxy.utils import strutils, human, emoji
        from mitmproxy.script import concurrent
        from mitmproxy.net.http import status_codes
        assert ServerSpec("http", ("a", 80)).address == ("a", 80)
        assert status_codes.NOT_FOUND == 404 and ALERT == 21
        assert issubclass(exceptions.OptionsError, Exception)
    """,
}


@pytest.mark.parametrize("era", IMPORTS)
def test_imports(idle, write, era):
    assert idle.load(write("a.py", IMPORTS[era]), era=era).state == "active"


NAMES = {
    "0.18": "from mitmproxy.models import HTTPResponse as R, HTTPFlow as F",
    "2.0": "from mitmproxy.http import HTTPResponse as R, HTTPFlow as F",
    "6.0": "from mitmproxy.http import HTTPResponse as R, HTTPFlow as F",
    "12": "from mitmproxy.http import Response as R, HTTPFlow as F",
}


@pytest.mark.parametrize("release", NAMES)
def test_objects_are_of_the_classes_that_scripts_import(idle, write, make_flow, release):
    source = f"""{NAMES[release]}
def response(flow):
    made = R.make(200, b"x")
    assert isinstance(flow, F) and isinstance(flow.response, R) and isinstance(made, R)
    assert type(flow.response) is type(made) is R
    flow.response = made
    assert flow.response is made
"""
    first = idle.load(write("a.py", source), era=release)
    second = idle.load(write("b.py", source), era=release)
    assert first.program.addons[0].R is second.program.addons[0].R
    idle.handlers.fire("response", make_flow())
    assert (first.last_error, second.last_error) == ("", "")


def test_what_a_script_makes_is_of_its_era(idle, write, make_flow):
    path = write(
        "a.py",
        """
        from mitmproxy import http
        def response(flow):
            flow.response = http.HTTPResponse.make(200, b"a", {"X_Y": "1"})
            print(flow.response.replace("a", "b"), dict(flow.response.headers))
        """,
    )
    script = idle.load(path, era="2.0")
    idle.handlers.fire("response", make_flow())
    assert script.last_error == ""
    assert idle.log[0].text == "1 {'X-Y': '1', 'content-length': '1'}"


@pytest.mark.parametrize("era", ["D", "E", "G", "H"])
def test_filters(idle, write, make_flow, era):
    path = write(
        "a.py",
        """
        from mitmproxy import flowfilter
        wanted = flowfilter.parse("~u path")
        try:
            bad = flowfilter.parse("~nonsense (")
        except ValueError as e:
            bad = "ValueError"
        def request(flow):
            flow.comment = "%s %s %s" % (
                flowfilter.match(wanted, flow), flowfilter.match(flow, wanted),
                flowfilter.match("~u other", flow))
        """,
    )
    script = idle.load(path, era=era)
    (flow,) = idle.scripts.run(script, [make_flow()])
    assert flow.comment == "True True False"
    assert script.program.addons[0].bad == ("ValueError" if era == "H" else None)


def test_writing_and_reading_dump_files(idle, write, make_flow, tmp_path):
    target = tmp_path / "out.mitm"
    path = write(
        "a.py",
        f"""
        from mitmproxy import io, http
        file = open({str(target)!r}, "wb")
        writer = io.FlowWriter(file)
        def response(flow: http.HTTPFlow) -> None:
            writer.add(flow)
        def done():
            file.close()
        """,
    )
    idle.scripts.run(path, [make_flow(), make_flow("http://other/")])
    reads = write(
        "b.py",
        f"""
        from mitmproxy import io, http
        from mitmproxy.exceptions import FlowReadException
        with open({str(target)!r}, "rb") as f:
            flows = list(io.FlowReader(f).stream())
        assert all(isinstance(flow, http.HTTPFlow) for flow in flows)
        again = io.read_flows_from_paths([{str(target)!r}])
        import io as real_io
        try:
            list(io.FlowReader(real_io.BytesIO(b"5:nope")).stream())
        except FlowReadException as error:
            failure = str(error)
        """,
    )
    module = idle.load(reads).program.addons[0]
    assert [flow.request.host for flow in module.flows] == ["example.org", "other"]
    assert len(module.again) == 2
    assert module.failure
    assert module.real_io is io


def test_content_views(idle, write):
    path = write(
        "a.py",
        """
        from mitmproxy import contentviews
        class Swap(contentviews.View):
            name = "swapcase"
            content_types = ["text/plain"]
            def __call__(self, data, **metadata):
                return "case-swapped text", contentviews.format_text(data.swapcase())
        view = Swap()
        def load(l): contentviews.add(view)
        def done(): contentviews.remove(view)
        """,
    )
    idle.load(path)
    view = idle.scripts.contentviews.get("SwapCase")
    description, lines = view(b"aB")
    assert (description, list(lines)) == ("case-swapped text", [[("text", b"Ab")]])
    assert view.render_priority(b"", content_type="text/plain") == 1.0
    with pytest.raises(ValueError, match="Duplicate view: swapcase"):
        idle.scripts.contentviews.add(view)
    idle.unload()
    assert idle.scripts.contentviews.views == {}


VIEW = """
    from mitmproxy import contentviews
    class Swap(contentviews.Contentview):
        def prettify(self, data, metadata): return data.decode().swapcase() + "{0}"
    contentviews.add(Swap)
"""


def test_a_script_may_add_its_views_again(idle, write, make_flow):
    """As when its cell is run again or its file is edited; those of 12 take no view out."""
    path = write("a.py", VIEW.format(1))
    views = idle.scripts.contentviews
    script = idle.load(path)
    for number in (2, 3):
        path.write_text(dedent(VIEW.format(number)))
        assert idle.load(path) is script
        assert views.get("swap").prettify(b"a", None) == f"A{number}"
    path.write_text(dedent(VIEW.format(5)) + "1 / 0")
    assert not idle.scripts.reload(script)
    assert views.get("swap").prettify(b"a", None) == "A3"
    path.write_text("x = 1")
    assert idle.scripts.reload(script)
    assert views.views == {}
    idle.load(write("b.py", VIEW.format(6)))
    assert idle.unload() == 2
    assert views.views == {}


def test_a_run_over_flows_has_views_of_its_own(idle, write, make_flow):
    path = write("a.py", VIEW.format(1))
    idle.load(path)
    view = idle.scripts.contentviews.get("swap")
    for _ in range(2):
        idle.scripts.run(path, [make_flow()])
    assert list(idle.scripts.contentviews.views.values()) == [view]


def test_views_whose_start_fails_are_taken_back(idle, write):
    path = write(
        "a.py",
        """
        from mitmproxy import contentviews
        class Pig(contentviews.View):
            name, prompt = "pig", ("pig", "l")
        def start(context, argv):
            context.add_contentview(Pig())
            if len(argv) > 1:
                raise ValueError("usage")
        """,
    )
    with pytest.raises(ScriptError, match="usage"):
        idle.load(f"{path} x")
    assert idle.scripts.contentviews.views == {}
    script = idle.load(path)
    pig = idle.scripts.contentviews.get("pig")
    text = path.read_text()
    path.write_text(text.replace("> 1", "> 0"))
    assert not idle.scripts.reload(script)
    assert idle.scripts.contentviews.get("pig") is not None
    path.write_text(text)
    assert idle.scripts.reload(script)
    assert idle.scripts.contentviews.get("pig") is not pig


def test_strutils_human_and_cookies(idle, write):
    path = write(
        "a.py",
        r"""
        from mitmproxy.utils import strutils, human
        from mitmproxy.net.http import cookies
        assert strutils.bytes_to_escaped_str(b"a'\n\x00") == "a'\\n\\x00"
        assert strutils.escaped_str_to_bytes("a\\n") == b"a\n"
        assert strutils.always_str(b"x") == "x" and strutils.always_bytes(None) is None
        assert strutils.is_mostly_bin(b"\x00" * 10) and not strutils.is_mostly_bin(b"text")
        assert strutils.clean_bin(b"a\x00") == "a."
        assert human.pretty_size(2560) == "2.5k" and human.parse_size("1k") == 1024
        assert human.pretty_duration(0.5) == "500ms"
        assert human.format_address(("::1", 80)) == "[::1]:80"
        (cookie,) = cookies.parse_set_cookie_headers(["a=b; Max-Age=10; Secure"])
        assert cookie[:2] == ("a", "b") and cookie[2]["max-age"] == "10"
        assert not cookies.is_expired(cookie[2])
        assert cookies.is_expired({"expires": "Thu, 01 Jan 1970 00:00:10 GMT"})
        assert cookies.format_cookie_header([("a", "b")]) == "a=b"
        grouped = cookies.group_cookies([("a", "b"), ("Path", "/"), ("c", "d")])
        assert [each[0] for each in grouped] == ["a", "c"]
        """,
    )
    assert idle.load(path).state == "active"


def test_programs_cannot_start_a_proxy_of_their_own(idle, write):
    path = write("a.py", "from mitmproxy.master import Master\nMaster()")
    with pytest.raises(Exception, match=r"nbproxy\.Proxy is one"):
        idle.load(path)
