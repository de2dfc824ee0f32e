"""Every row of the table of modules: what was there in a release can be imported in its manner."""

import pytest

from nbproxy.errors import ScriptError

# Module, releases that had it, names that scripts took from it.
TABLE = [
    (
        "libmproxy.flow",
        "0.8 0.9 0.10",
        "FlowReader FlowWriter FlowReadError FilteredFlowWriter FlowMaster State",
    ),
    (
        "libmproxy.flow",
        "0.11 0.13 0.14 0.16",
        "FlowReader FlowWriter FlowReadError FilteredFlowWriter FlowMaster State",
    ),
    (
        "libmproxy.flow",
        "0.8 0.10",
        (
            "Request Response Flow Error ClientConnect ClientDisconnect ODict ODictCaseless "
            "decoded HDR_FORM_URLENCODED"
        ),
    ),
    ("libmproxy.flow", "0.9 0.10", "CONTENT_MISSING ScriptContext"),
    ("libmproxy.flow", "0.11", "ODict ODictCaseless"),
    ("libmproxy.script", "0.10 0.11 0.14", "concurrent Script ScriptContext ScriptError"),
    ("libmproxy.script", "0.15 0.16", "concurrent Script ScriptContext ScriptException reloader"),
    ("libmproxy.controller", "0.9 0.11 0.16", "Master Channel DummyReply Reply"),
    ("libmproxy.proxy", "0.9 0.10", "ProxyConfig ProxyServer ProxyError KILL Log"),
    ("libmproxy.proxy.server", "0.11 0.16", "ProxyServer ConnectionHandler"),
    ("libmproxy.proxy.connection", "0.11 0.13", "ClientConnection ServerConnection"),
    ("libmproxy.proxy.primitives", "0.11 0.13", "ProxyError"),
    ("libmproxy.proxy.config", "0.11 0.16", "ProxyConfig"),
    ("libmproxy.protocol", "0.11 0.13", "KILL"),
    ("libmproxy.protocol", "0.14 0.16", "Kill TlsLayer RawTCPLayer Layer ServerConnectionMixin"),
    (
        "libmproxy.protocol.http",
        "0.11 0.13",
        (
            "HTTPRequest HTTPResponse HTTPFlow decoded CONTENT_MISSING send_connect_request "
            "HTTPHandler"
        ),
    ),
    ("libmproxy.protocol.tcp", "0.11 0.13", "TCPHandler"),
    ("libmproxy.protocol.primitives", "0.11 0.13", "Flow Error KILL LiveConnection"),
    (
        "libmproxy.models",
        "0.14 0.16",
        (
            "HTTPFlow HTTPRequest HTTPResponse Headers decoded ClientConnection ServerConnection "
            "Flow Error make_error_response make_connect_request make_connect_response "
            "expect_continue_response"
        ),
    ),
    (
        "libmproxy.exceptions",
        "0.14 0.16",
        (
            "ProxyException ServerException ProtocolException TlsProtocolException "
            "ClientHandshakeException Socks5ProtocolException HttpProtocolException "
            "ContentViewException ReplayException ScriptException"
        ),
    ),
    ("libmproxy.filt", "0.8 0.11 0.16", "parse"),
    ("libmproxy.utils", "0.8 0.11 0.16", "isXML"),
    ("libmproxy.encoding", "0.8 0.11 0.13", "encode decode"),
    ("libmproxy.certutils", "0.8", "SSLCert"),
    ("libmproxy.version", "0.8 0.11 0.16", "VERSION"),
    ("libmproxy.contentviews", "0.14 0.16", "View add remove format_text"),
    ("netlib.odict", "0.9 0.11 0.17", "ODict ODictCaseless"),
    ("netlib.http", "0.14 0.17", "Request Response Headers decoded cookies status_codes"),
    ("netlib.http", "0.14 0.16", "CONTENT_MISSING"),
    ("netlib.http", "0.18", "Headers decoded cookies status_codes"),
    ("netlib.http.cookies", "0.14 0.18", ""),
    ("netlib.http_cookies", "0.12 0.13", ""),
    ("netlib.http_status", "0.9 0.13", ""),
    ("netlib.tcp", "0.10 0.11 0.17 0.18", "Address"),
    ("netlib.certutils", "0.9 0.11 0.17 0.18", "SSLCert"),
    ("netlib.wsgi", "0.9 0.11 0.17 0.18", "WSGIAdaptor"),
    ("netlib.encoding", "0.14 0.17 0.18", "encode decode"),
    ("netlib.utils", "0.9 0.11 0.17", "clean_bin hexdump pretty_size"),
    ("netlib.multidict", "0.18", "MultiDict ImmutableMultiDict MultiDictView"),
    ("netlib.strutils", "0.18", "clean_bin"),
    ("netlib.human", "0.18", "pretty_size"),
    ("netlib.version", "0.18", "VERSION"),
    ("netlib.exceptions", "0.14 0.17 0.18", "NetlibException"),
    ("mitmproxy.flow", "0.17 0.18", "FlowReader FlowWriter FlowMaster State"),
    ("mitmproxy.flow", "1.0 2.0 6.0 12", "Flow Error"),
    (
        "mitmproxy.models",
        "0.17 0.18",
        (
            "HTTPFlow HTTPRequest HTTPResponse Headers decoded ClientConnection ServerConnection "
            "Flow Error make_error_response"
        ),
    ),
    ("mitmproxy.models", "0.18", "TCPFlow TCPMessage FLOW_TYPES"),
    ("mitmproxy.script", "0.17 0.18 2.0 6.0 12", "concurrent"),
    ("mitmproxy.script", "0.17", "Script ScriptContext ScriptException reloader"),
    ("mitmproxy.filt", "0.17", "parse"),
    ("mitmproxy.flowfilter", "0.18 2.0 6.0 12", "parse match"),
    ("mitmproxy.ctx", "0.18 2.0", "master log"),
    ("mitmproxy.ctx", "3.0 6.0 12", "master log options"),
    ("mitmproxy.controller", "0.17 0.18 2.0 6.0 7.0", "Reply DummyReply Channel"),
    ("mitmproxy.controller", "0.18", "handler Log LogEntry Master"),
    ("mitmproxy.master", "1.0 2.0 6.0 12", "Master"),
    ("mitmproxy.http", "1.0 2.0 6.0", "HTTPRequest HTTPResponse HTTPFlow"),
    ("mitmproxy.http", "7.0 12", "Request Response Headers Message HTTPFlow"),
    ("mitmproxy.tcp", "1.0 6.0 12", "TCPFlow TCPMessage"),
    ("mitmproxy.websocket", "1.0 6.0", "WebSocketFlow WebSocketMessage"),
    ("mitmproxy.websocket", "7.0 12", "WebSocketData WebSocketMessage"),
    ("mitmproxy.io", "1.0 6.0 12", "FlowReader FlowWriter FilteredFlowWriter"),
    ("mitmproxy.log", "1.0 6.0 12", "LogEntry"),
    ("mitmproxy.addonmanager", "1.0 6.0 12", "AddonManager"),
    ("mitmproxy.certs", "1.0 2.0", "SSLCert"),
    ("mitmproxy.certs", "3.0 6.0 12", "Cert"),
    ("mitmproxy.net.http", "1.0 6.0", "Headers cookies status_codes"),
    ("mitmproxy.net.http", "7.0 12", "cookies status_codes"),
    ("mitmproxy.connections", "1.0 6.0", "ClientConnection ServerConnection"),
    ("mitmproxy.connection", "7.0 12", "Client Server Connection"),
    ("mitmproxy.protocol", "0.17 0.18", "TlsLayer RawTCPLayer"),
    ("mitmproxy.proxy.protocol", "1.0 6.0", "TlsLayer RawTCPLayer"),
    ("mitmproxy.proxy.layers", "7.0 12", "TCPLayer HttpLayer ClientTLSLayer"),
    ("mitmproxy.proxy.layer", "7.0 12", "Layer NextLayer"),
    ("mitmproxy.contentviews", "0.17 0.18 2.0 6.0 11", "View add remove format_text format_dict"),
    ("mitmproxy.contentviews", "12", "Contentview InteractiveContentview View add"),
    ("mitmproxy.command", "3.0 6.0 12", "command argument"),
    ("mitmproxy.types", "3.0 6.0 12", "Path CutSpec Choice"),
    ("mitmproxy.types.multidict", "1.0 2.0", "MultiDict"),
    ("mitmproxy.types.serializable", "1.0 2.0", "Serializable"),
    ("mitmproxy.types.basethread", "1.0 2.0", "BaseThread"),
    ("mitmproxy.coretypes.multidict", "3.0 6.0 12", "MultiDict"),
    ("mitmproxy.events", "1.0", "Events"),
    ("mitmproxy.eventsequence", "2.0 6.0 12", "iterate"),
    ("mitmproxy.hooks", "7.0 12", "Hook"),
    ("mitmproxy.addons.wsgiapp", "1.0 2.0 5.2", "WSGIApp"),
    ("mitmproxy.addons.asgiapp", "5.3 6.0 12", "WSGIApp ASGIApp"),
    ("mitmproxy.tls", "8.1 12", "ClientHelloData TlsData"),
    ("mitmproxy.dns", "8.1 12", "DNSFlow"),
    ("mitmproxy.udp", "9.0 12", "UDPFlow"),
    ("mitmproxy.net.server_spec", "3.0 6.0 12", "ServerSpec"),
    ("mitmproxy.net.encoding", "7.0 12", "encode decode"),
    ("mitmproxy.net.http.encoding", "1.0 6.0", "encode decode"),
    ("mitmproxy.utils.strutils", "1.0 6.0 12", "clean_bin bytes_to_escaped_str"),
    ("mitmproxy.utils.human", "1.0 6.0 12", "pretty_size"),
    ("mitmproxy.version", "0.18 2.0 6.0 12", "VERSION"),
    (
        "mitmproxy.exceptions",
        "0.17 0.18 2.0 6.0 12",
        "FlowReadException TlsProtocolException ReplayException",
    ),
    ("mitmproxy.tnetstring", "0.17", "loads dumps"),
    ("mitmproxy.contrib.tnetstring", "0.18 2.0", "loads dumps"),
    ("mitmproxy.io.tnetstring", "3.0 6.0 12", "loads dumps"),
    ("mitmproxy.options", "1.0 2.0 6.0 12", "Options"),
]


def rows():
    for module, releases, names in TABLE:
        for release in releases.split():
            yield pytest.param(module, release, names, id=f"{module}-{release}")


@pytest.mark.parametrize(("module", "release", "names"), list(rows()))
def test_row(idle, write, module, release, names):
    lines = [f"import {module}", *(f"from {module} import {name}" for name in names.split())]
    package, _, last = module.rpartition(".")
    lines.append(f"from {package} import {last} as again")
    script = idle.load(write("a.py", "\n".join(lines)), era=release)
    assert script.state == "active"


GONE = [
    ("libmproxy.models", "0.11", "mitmproxy 0.11 to 0.13", "libmproxy.protocol.http"),
    ("libmproxy.protocol.http", "0.9", "mitmproxy 0.8 to 0.10", "libmproxy.flow"),
    ("libmproxy.protocol.http", "0.16", "mitmproxy 0.14 to 0.17", "libmproxy.models"),
    ("libmproxy.flow", "12", "mitmproxy 9.0 - 12", "mitmproxy"),
    ("netlib.odict", "0.18", "mitmproxy 0.18", "netlib"),
    ("mitmproxy.models", "2.0", "mitmproxy 1.0 - 2.0", "mitmproxy.http"),
    ("mitmproxy.http", "0.18", "mitmproxy 0.18", "mitmproxy.models"),
    ("mitmproxy.http", "0.17", "mitmproxy 0.14 to 0.17", "mitmproxy.models"),
    ("mitmproxy.connections", "12", "mitmproxy 9.0 - 12", "mitmproxy.connection"),
    ("mitmproxy.connection", "6.0", "mitmproxy 3.0 - 6.0", "mitmproxy.connections"),
    ("mitmproxy.addons.wsgiapp", "12", "mitmproxy 9.0 - 12", "mitmproxy.addons.asgiapp"),
    ("mitmproxy.controller", "12", "mitmproxy 9.0 - 12", "flow.kill()"),
    ("pathod.pathoc", "6.0", "pathod", "nbproxy does not have it"),
]


@pytest.mark.parametrize(("module", "release", "era", "instead"), GONE)
def test_what_was_not_there_says_so(idle, write, module, release, era, instead):
    """The era, and what there is instead."""
    with pytest.raises(ScriptError) as caught:
        idle.load(write("a.py", f"import {module}"), era=release)
    assert era in str(caught.value)
    assert instead in str(caught.value)
