"""CONNECT, and what comes through it: TLS with our leaf, HTTP in clear, or anything else."""

import base64
import contextlib
import ssl
import threading

import pytest
from cryptography import x509
from site_server import Site

from nbproxy.model.message import Response
from tests.support.proxies import (
    PATIENCE_S,
    Wire,
    answering,
    last_flow,
    only_flow,
    request,
    response,
    wait_until,
)


def echo(message):
    return response(message.target)


@pytest.fixture
def tls_origin(make_origin):
    return make_origin(answering(echo), tls=True)


def names(wire):
    """The names in the certificate that a client sees."""
    leaf = x509.load_der_x509_certificate(wire.tls.getpeercert(binary_form=True))
    found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def issuer(wire):
    return dict(pair for each in wire.tls.getpeercert()["issuer"] for pair in each)["commonName"]


# -- leaves


@pytest.mark.parametrize("strategy", ["eager", "lazy"])
@pytest.mark.parametrize(
    ("host", "sni"),
    [
        ("127.0.0.1", None),
        ("127.0.0.1", "localhost"),
        ("localhost", None),
        ("127.0.0.1", "shop.test"),
    ],
)
def test_the_leaf_is_for_the_name_asked_for(make_proxy, connect, tls_origin, host, sni, strategy):
    """Python's strictest verification accepts it: `connect` insists on that."""
    proxy = make_proxy(connection_strategy=strategy)
    wire = connect(proxy, tls=tls_origin.port, host=host, sni=sni)
    assert (sni or host) in names(wire)
    assert wire.get("/x").body == b"/x"
    flow = only_flow(proxy)
    assert flow.request.url == f"https://{host}:{tls_origin.port}/x"
    assert flow.server_conn.address == (host, tls_origin.port)
    assert flow.server_conn.verified


@pytest.mark.parametrize(
    ("options", "copied"),
    [({}, True), ({"upstream_cert": False}, False), ({"connection_strategy": "lazy"}, False)],
)
def test_names_of_the_servers_certificate_are_copied(
    make_proxy, connect, tls_origin, options, copied
):
    wire = connect(make_proxy(**options), tls=tls_origin.port, host="localhost")
    assert ("www.shop.test" in names(wire)) is copied


def test_ipv6_and_its_leaf(make_proxy, connect):
    with Site("::1") as site:
        proxy = make_proxy(ssl_verify_upstream_trusted_ca=site.ca_file)
        port = int(site.https_url.rpartition(":")[2])
        wire = connect(proxy)
        assert wire.get(f"{site.http_url}/api/users/1").status == 200
        wire = connect(proxy)
        wire.send(b"CONNECT [::1]:%d HTTP/1.1\r\nHost: [::1]:%d\r\n\r\n" % (port, port))
        assert wire.head().status == 200
        wire.start_tls(ssl.create_default_context(cafile=proxy.ca_file), "::1")
        assert "::1" in names(wire)
        assert wire.get("/", b"Host: [::1]:%d" % port).status == 200
        wire.close()
    assert [f.request.url for f in proxy.flows] == [
        f"{site.http_url}/api/users/1",
        f"{site.https_url}/",
    ]
    assert all(f.error is None and not f.metadata for f in proxy.flows)


def test_lazily_nothing_is_connected_before_a_request(make_proxy, connect, tls_origin):
    proxy = make_proxy(connection_strategy="lazy")
    wire = connect(proxy, tls=tls_origin.port)
    assert tls_origin.wires == []
    assert wire.get("/").status == 200
    assert len(tls_origin.wires) == 1


def test_several_requests_in_one_tunnel(proxy, connect, tls_origin):
    wire = connect(proxy, tls=tls_origin.port)
    for n in range(3):
        assert wire.get(f"/{n}").body == b"/%d" % n
    assert [f.request.path for f in proxy.flows] == ["/0", "/1", "/2"]
    assert {f.request.scheme for f in proxy.flows} == {"https"}


def test_a_client_in_pieces(make_proxy, connect, tls_origin):
    """A CONNECT with the ClientHello right behind it, byte by byte."""
    proxy = make_proxy(head_timeout=PATIENCE_S, tls_timeout=PATIENCE_S)
    context = ssl.create_default_context(cafile=proxy.ca_file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    wire = connect(proxy)
    where = b"127.0.0.1:%d" % tls_origin.port
    for byte in b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (where, where) + outgoing.read():
        wire.send(bytes((byte,)))
    assert wire.head().status == 200
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            incoming.write(wire.some())
    tls.write(request("/"))
    wire.send(outgoing.read())
    while True:
        try:
            assert tls.read().startswith(b"HTTP/1.1 200")
            break
        except ssl.SSLWantReadError:
            incoming.write(wire.some())


# -- untouched


@pytest.mark.parametrize(
    ("options", "untouched"),
    [
        ({"ignore_hosts": r"localhost:\d+"}, True),
        ({"ignore_hosts": [r"elsewhere", r"^127\.0\.0\.1:"]}, True),
        ({"ignore_hosts": "elsewhere"}, False),
        ({"allow_hosts": "LOCALHOST"}, False),
        ({"allow_hosts": "elsewhere"}, True),
        ({"allow_hosts": "localhost", "ignore_hosts": "localhost"}, True),
    ],
)
def test_tls_to_some_hosts_passes_untouched(make_proxy, identity, tls_origin, options, untouched):
    proxy = make_proxy(**options)
    with Wire.tunnel(proxy, tls_origin.port) as wire:
        ca_file = identity.ca_file if untouched else proxy.ca_file
        wire.start_tls(ssl.create_default_context(cafile=str(ca_file)), "localhost")
        assert issuer(wire).startswith("Local site") is untouched
        assert wire.get("/secret").body == b"/secret"
    flow = only_flow(proxy)
    if untouched:
        assert flow.request.method == "CONNECT"
        assert flow.metadata["tunnel"]["client_bytes"] > 300
        assert flow.metadata["tunnel"]["server_bytes"] > 500
        assert flow.error is None
    else:
        assert flow.request.method == "GET"


def test_what_is_ignored_can_change_while_it_runs(proxy, connect, tls_origin):
    assert issuer(connect(proxy, tls=tls_origin.port)) == "nbproxy"
    proxy.options.ignore_hosts = "127"
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(proxy, tls=tls_origin.port)
    proxy.options.ignore_hosts = ()
    assert issuer(connect(proxy, tls=tls_origin.port)) == "nbproxy"


def test_a_handler_has_tls_passed_untouched(proxy, connect, identity, tls_origin):
    seen = []

    @proxy.on("tls_clienthello")
    def leave(data):
        seen.append((data.sni, data.alpn_offers, data.conn is data.client))
        data.ignore_connection = True

    wire = connect(proxy, tunnel=tls_origin.port)
    context = ssl.create_default_context(cafile=str(identity.ca_file))
    context.set_alpn_protocols(["h2", "http/1.1"])
    wire.start_tls(context, "localhost")
    assert wire.get("/").status == 200
    assert seen == [("localhost", ("h2", "http/1.1"), True)]


def test_untouched_tls_to_nowhere_is_an_error(make_proxy, connect, tls_origin):
    proxy = make_proxy(ignore_hosts=".*")
    tls_origin.close()
    wire = connect(proxy, tunnel=tls_origin.port)
    with pytest.raises(OSError):  # noqa: PT011 - reset or closed, and in TLS either has many names
        wire.start_tls(ssl.create_default_context(), "localhost")
    assert "the connection was refused" in only_flow(proxy).error.msg


# -- not TLS


def test_http_in_clear_inside_a_tunnel(proxy, connect, make_origin):
    origin = make_origin(answering(echo))
    wire = connect(proxy, tunnel=origin.port)
    for n in range(2):
        assert wire.get(f"/{n}").body == b"/%d" % n
    assert [f.request.url for f in proxy.flows] == [f"{origin.url}/0", f"{origin.url}/1"]


def test_a_server_that_speaks_first(proxy, impatient_tunnels, connect, make_origin):
    def smtp(wire):
        wire.send(b"220 hello\r\n")
        assert wire.until(b"\r\n") == b"QUIT\r\n"
        wire.send(b"221 bye\r\n")

    wire = connect(proxy, tunnel=make_origin(smtp).port)
    assert wire.until(b"\r\n") == b"220 hello\r\n"
    wire.send(b"QUIT\r\n")
    assert wire.rest() == b"221 bye\r\n"
    wire.close()
    flow = only_flow(proxy)
    assert flow.metadata["tunnel"] == {"client_bytes": 6, "server_bytes": 20}
    assert flow.response.timestamp_end


def test_a_client_that_takes_its_time_is_read_all_the_same(
    proxy, impatient_tunnels, connect, tls_origin
):
    """Silence after CONNECT is no reason to look away: the first byte decides."""
    wire = connect(proxy, tunnel=tls_origin.port)
    wait_until(lambda: tls_origin.attempts, "the origin is asked what it says")
    wire.start_tls(ssl.create_default_context(cafile=proxy.ca_file), "localhost")
    assert wire.get("/late").body == b"/late"
    assert only_flow(proxy).request.path == "/late"


def test_bytes_that_are_neither(proxy, connect, make_origin):
    def reverse(wire):
        wire.send(wire.exactly(5)[::-1])
        wire.rest()
        wire.send(b"end")

    wire = connect(proxy, tunnel=make_origin(reverse).port)
    wire.send(b"\x00\x01\x02\x03\x04")
    assert wire.exactly(5) == b"\x04\x03\x02\x01\x00"
    wire.end()  # each direction ends for itself
    assert wire.rest() == b"end"
    assert only_flow(proxy).metadata["tunnel"] == {"client_bytes": 5, "server_bytes": 8}


def test_a_raw_tunnel_holds_back_who_sends_too_fast(proxy, connect, make_origin):
    stuck = threading.Event()
    sent = []

    def flood(wire):
        wire.some()
        wire.sock.settimeout(0.5)
        try:
            while len(sent) < 200:
                wire.send(bytes(2**20))
                sent.append(1)
        except TimeoutError:
            stuck.set()

    wire = connect(proxy, tunnel=make_origin(flood).port)
    wire.send(b"\x00")
    assert stuck.wait(PATIENCE_S)
    assert len(sent) < 30


def test_a_tunnel_that_is_never_used(proxy, connect, tls_origin):
    ended = threading.Event()
    proxy.on("clientdisconnect")(lambda client: ended.set())
    connect(proxy, tunnel=tls_origin.port).close()
    assert ended.wait(PATIENCE_S)
    assert len(proxy.flows) == 0


# -- refusals


def test_a_handler_refuses_a_tunnel(proxy, connect):
    @proxy.on("http_connect", "~d secret.test")
    def refuse(flow):
        flow.response = Response.make(403, b"not there", {"x-why": "because"})

    errors = []
    proxy.on("http_connect_error")(lambda flow: errors.append(flow.response.status_code))
    wire = connect(proxy)
    wire.send(b"CONNECT secret.test:443 HTTP/1.1\r\nHost: secret.test:443\r\n\r\n")
    got = wire.answer(b"CONNECT")
    assert (got.status, got.body, got[b"x-why"]) == (403, b"not there", b"because")
    assert errors == [403]
    assert only_flow(proxy).response.status_code == 403


def test_a_handler_kills_a_tunnel(proxy, connect):
    proxy.on("http_connect")(lambda flow: flow.kill())
    wire = connect(proxy)
    wire.send(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert wire.is_closed
    assert only_flow(proxy).error.msg == "killed by a handler"


def test_a_tunnel_under_way_can_be_killed(proxy, connect, make_origin):
    wire = connect(proxy, tunnel=make_origin(Wire.rest).port)
    wire.send(b"\x00")
    wait_until(lambda: len(proxy.flows) and proxy.flows[0].server_conn.connected)
    assert proxy.flows[0].live
    proxy.flows[0].kill()
    assert wire.is_closed
    assert only_flow(proxy).error.msg == "killed by a handler"
    wait_until(lambda: not proxy.flows[0].server_conn.connected)


def test_a_client_that_distrusts_our_ca_leaves_a_flow(proxy, connect, tls_origin):
    failed = []
    proxy.on("tls_failed_client")(lambda data: failed.append(data.conn.error))
    wire = connect(proxy, tunnel=tls_origin.port)
    with pytest.raises(ssl.SSLCertVerificationError):
        wire.start_tls(ssl.create_default_context(), "localhost")
    wire.close()
    flow = only_flow(proxy)
    assert flow.request.method == "CONNECT"
    assert "does not trust the CA of nbproxy" in flow.error.msg
    assert proxy.ca_file in flow.error.msg
    assert failed == [flow.error.msg]


def test_a_client_that_leaves_in_the_handshake(proxy, connect, tls_origin):
    context = ssl.create_default_context(cafile=proxy.ca_file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    for part in (hello, hello[:20], b"\x16\x03\x01\x00\x05hello"):
        wire = connect(proxy, tunnel=tls_origin.port)
        wire.send(part)
        wire.end()
        with contextlib.suppress(ConnectionResetError):
            wire.rest()
        assert last_flow(proxy).error is not None
        proxy.clear()
    assert connect(proxy, tls=tls_origin.port).get("/").status == 200


def test_a_tunnel_inside_a_tunnel_is_refused(proxy, connect, tls_origin):
    wire = connect(proxy, tls=tls_origin.port)
    assert wire.get("a.test:443", b"Host: a.test:443", method=b"CONNECT").status == 400


# -- credentials


@pytest.mark.parametrize("given", [None, b"ada:wrong", b"ada", b"ada:secret:"])
@pytest.mark.parametrize("method", [b"GET http://a.test/", b"CONNECT a.test:443"])
def test_without_credentials_there_is_no_way_through(make_proxy, connect, given, method):
    proxy = make_proxy(proxyauth="ada:secret")
    errors = []
    proxy.on("error")(lambda flow: errors.append(flow.error.msg))
    line = b""
    if given is not None:
        line = b"Proxy-Authorization: Basic %b\r\n" % base64.b64encode(given)
    wire = connect(proxy)
    wire.send(b"%b HTTP/1.1\r\nHost: a.test\r\n%b\r\n" % (method, line))
    got = wire.answer()
    assert got.status == 407
    assert got[b"proxy-authenticate"] == b'Basic realm="nbproxy"'
    flow = only_flow(proxy)
    assert flow.request.method.encode() == method.split(b" ")[0]
    assert errors == [flow.error.msg]


def test_credentials_end_here(make_proxy, connect, make_origin):
    proxy = make_proxy(proxyauth="ada:secret")
    seen = []

    def serve(message):
        seen.append(message)
        return response(b"ok")

    basic = b"Proxy-Authorization: basic " + base64.b64encode(b"ada:secret")
    plain, secure = make_origin(answering(serve)), make_origin(answering(serve), tls=True)
    assert connect(proxy).get(f"{plain.url}/", basic, b"Authorization: mine").body == b"ok"
    wire = connect(proxy)
    wire.send(request(f"127.0.0.1:{secure.port}", b"Host: x", basic, method=b"CONNECT"))
    assert wire.head().status == 200
    wire.start_tls(ssl.create_default_context(cafile=proxy.ca_file), "127.0.0.1")
    for _ in range(2):  # the tunnel is authorized, what comes through it needs nothing
        assert wire.get("/").body == b"ok"
    assert [m.all(b"proxy-authorization") for m in seen] == [[], [], []]
    assert seen[0][b"authorization"] == b"mine"
