"""`libmproxy`, `netlib` and 0.17's `mitmproxy`: what was there, and words for what was not."""

import io

import pytest

from nbproxy.scripts.compat import classic
from tests.scripts.classic_host import NotingHost, answered, new_flow

# What official and users' scripts of each era take, as "module: names".
TAKEN = {
    "A": """
        libmproxy.flow: Request Response Flow Error ClientConnect ODict ODictCaseless decoded
        libmproxy.flow: FlowReader
        libmproxy.flow: FlowWriter FlowReadError CONTENT_MISSING ScriptContext
        libmproxy.script: concurrent ScriptContext ScriptError
        libmproxy.proxy: KILL ProxyError
        libmproxy.filt: parse
        libmproxy.encoding: decode encode
        netlib.odict: ODict ODictCaseless
        netlib.certutils: SSLCert
    """,
    "B": """
        libmproxy.protocol.http: HTTPRequest HTTPResponse HTTPFlow decoded CONTENT_MISSING
        libmproxy.protocol.http: send_connect_request
        libmproxy.protocol: KILL
        libmproxy.protocol.tcp: TCPHandler
        libmproxy.protocol.primitives: Flow Error LiveConnection
        libmproxy.proxy.server: ConnectionHandler
        libmproxy.proxy.connection: ClientConnection ServerConnection
        libmproxy.flow: FlowWriter FlowReader FlowReadError
        libmproxy.script: concurrent
        libmproxy.utils: isXML pretty_size
        libmproxy.filt: parse
        libmproxy.version: VERSION
        netlib.odict: ODictCaseless
        netlib.tcp: Address
        netlib.http_cookies: parse_cookie_header
        netlib.http_status: RESPONSES NOT_FOUND
    """,
    "C": """
        libmproxy.models: HTTPRequest HTTPResponse HTTPFlow Headers decoded Error
        mitmproxy.models: HTTPResponse decoded
        mitmproxy.flow: FlowWriter FlowReader
        mitmproxy.script: concurrent ScriptException
        mitmproxy.filt: parse
        libmproxy.contentviews: View format_text format_dict add remove
        libmproxy.exceptions: TlsProtocolException ContentViewException
        mitmproxy.protocol: TlsLayer RawTCPLayer
        netlib.http: Headers Response Request decoded
        netlib.http.cookies: parse_cookie_header
        netlib.http.status_codes: RESPONSES
        netlib.utils: clean_bin hexdump
        netlib.encoding: encode decode
        netlib.exceptions: TcpException
    """,
}


def rows():
    for era, lines in TAKEN.items():
        for line in lines.strip().splitlines():
            module, _, names = line.strip().partition(": ")
            for name in names.split():
                yield era, module, name


@pytest.mark.parametrize(("era", "module", "name"), list(rows()))
def test_what_scripts_took_is_there(era, module, name):
    assert hasattr(classic.modules(era)[module](), name)


@pytest.mark.parametrize(
    ("era", "module", "name"),
    [
        ("A", "libmproxy.proxy", "ProxyServer"),
        ("B", "libmproxy.proxy.server", "ProxyServer"),
        ("C", "mitmproxy.controller", "Master"),
    ],
)
def test_programs_cannot_start_a_proxy_of_their_own(era, module, name):
    made = getattr(classic.modules(era)[module](), name)

    class Mine(made):
        pass

    with pytest.raises(NotImplementedError, match=r"nbproxy\.Proxy is one"):
        Mine(8080)


def test_one_concept_is_one_class():
    c = classic.modules("C")
    kinds = {
        c["libmproxy.models"]().HTTPResponse,
        c["mitmproxy.models"]().HTTPResponse,
        c["netlib.http"]().Response,
    }
    assert len(kinds) == 1
    shown = classic.view("C", answered(new_flow()), NotingHost())
    assert isinstance(shown.response, kinds.pop())
    assert isinstance(shown, c["mitmproxy.models"]().HTTPFlow)
    b = classic.modules("B")
    shown = classic.view("B", answered(new_flow()), NotingHost())
    assert isinstance(shown.request, b["libmproxy.protocol.http"]().HTTPRequest)


@pytest.mark.parametrize(
    ("era", "module", "name", "words"),
    [
        ("A", "libmproxy.protocol.http", "", "0.8 to 0.10 has no libmproxy.protocol.http (0.11"),
        ("B", "libmproxy.models", "", "since 0.14; before, use libmproxy.protocol.http"),
        ("B", "netlib.http", "Headers", "ODictCaseless"),
        ("C", "libmproxy.protocol.http", "", "since 0.14 use libmproxy.models"),
        ("C", "mitmproxy.ctx", "", "the first parameter of each hook is the context"),
        ("C", "libmproxy.flow", "decoded", "use libmproxy.models.decoded"),
        ("B", "pathod", "", "a test server"),
        ("B", "libmproxy.martian", "", "0.11 to 0.13 has no libmproxy.martian"),
    ],
)
def test_what_was_not_there_is_explained(era, module, name, words):
    assert words in classic.missing(era, module, name)
    made = classic.modules(era)
    if name:
        with pytest.raises(AttributeError, match=r"mitmproxy 0|its own"):
            getattr(made[module](), name)
    else:
        assert module not in made


def test_filters():
    parse = classic.modules("B")["libmproxy.filt"]().parse
    shown = classic.view("B", answered(new_flow()), NotingHost())
    assert parse("~d example & ~m POST")(shown)
    assert not parse("~c 404")(shown)
    assert shown.match(parse("~s"))
    assert parse("~d (") is None


def test_concurrent_is_for_hooks():
    concurrent = classic.modules("B")["libmproxy.script"]().concurrent

    def request(context, flow): ...
    def start(context, argv): ...

    assert concurrent(request) is request
    with pytest.raises(NotImplementedError, match="start"):
        concurrent(start)


def test_writing_and_reading_flows():
    flow = answered(new_flow(live=False))
    module = classic.modules("B")["libmproxy.flow"]()
    file = io.BytesIO()
    writer = module.FlowWriter(file)
    writer.add(classic.view("B", flow, NotingHost()))
    file.seek(0)
    (read,) = module.FlowReader(file).stream()
    assert read.request.url == "http://example.com/p?a=1&b=2"
    assert read.response.code == 200
    with pytest.raises(module.FlowReadError):
        list(module.FlowReader(io.BytesIO(b"no flows")).stream())


def test_contentviews_of_era_c():
    host = NotingHost()
    module = classic.modules("C", host)["libmproxy.contentviews"]()

    class Pig(module.View):
        name = "pig"

    module.add(Pig())
    assert host.contentviews[0].name == "pig"
    module.remove(host.contentviews[0])
    assert list(module.format_text("a\nb")) == [[("text", "a")], [("text", "b")]]
    with pytest.raises(RuntimeError, match=r"context\.add_contentview"):
        classic.modules("C")["libmproxy.contentviews"]().add(Pig())


def test_functions_of_netlib():
    utils = classic.modules("C")["netlib.utils"]()
    assert utils.clean_bin(b"a\x00\n") == utils.clean_bin("a\x00\n") == "a.\n"
    assert utils.clean_bin("a\n", keep_spacing=False) == "a."
    assert next(utils.hexdump(b"ab")) == ("0000000000", "61 62".ljust(47), "ab")
    assert [utils.pretty_size(n) for n in (5, 2048, 3 * 2**50)] == ["5B", "2kB", "3072TB"]
    assert [utils.pretty_duration(n) for n in (None, 0.5, 2)] == ["", "500ms", "2s"]
    assert (utils.isXML("<a>"), utils.isBin(b"\x00"), utils.isBin("a")) == (True, True, False)
    assert utils.pretty_json('{"a": 1}') == ["{", '    "a": 1', "}"]
    assert utils.pretty_json("no") is None
    assert utils.parse_content_type("Text/HTML; a=b") == ("text", "html", {"a": "b"})
    assert utils.parse_content_type("none") is None
    assert utils.parse_url("http://h/x") == ("http", "h", 80, "/x")
    assert utils.parse_url("no") is None
    assert utils.urldecode("a=1&b=") == [("a", "1"), ("b", "")]
    assert utils.format_timestamp(0)[:2] in {"19", "20"}
    encoding = classic.modules("C")["netlib.encoding"]()
    assert encoding.decode("gzip", encoding.encode("gzip", "é")) == "é"
    assert encoding.decode("gzip", "no") is None
    assert encoding.encode("martian", "x") is None
    cookies = classic.modules("C")["netlib.http.cookies"]()
    assert cookies.format_cookie_header(cookies.parse_cookie_header("a=b; c=d")) == "a=b; c=d"
    name, value, attributes = cookies.parse_set_cookie_header("a=b; Path=/; Secure")
    assert cookies.format_set_cookie_header(name, value, attributes) == "a=b; Path=/; Secure"


def test_what_the_proxy_does_by_itself_is_refused():
    module = classic.modules("B")
    with pytest.raises(NotImplementedError, match="by itself"):
        module["libmproxy.protocol.tcp"]().TCPHandler(None)
    with pytest.raises(NotImplementedError, match="by itself"):
        module["libmproxy.protocol.http"]().send_connect_request(None, "h", 1)
    HTTPRequest = module["libmproxy.protocol.http"]().HTTPRequest  # noqa: N806 - the era's name
    HTTPRequest._headers_to_strip_off.remove("Upgrade")
    HTTPRequest._headers_to_strip_off.append("Upgrade")
    app = classic.modules("A")["netlib.wsgi"]().WSGIAdaptor(lambda env, start: [env], "d", 80)
    assert app("environ", None) == ["environ"]
