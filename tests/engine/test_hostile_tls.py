"""Origins with bad certificates or broken TLS, clients that do not trust us: row S."""

# ruff: noqa: ERA001 - "# hostile: H1-07" cites a row of the catalogue and is no code

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.origins import (
    TIMEOUT_S,
    Origin,
    answering,
    eventually,
    issue,
    polite,
    with_sha1,
)
from tests.support.rawclient import RawClient

pytest_plugins = ("tests.support.bench",)

NAME = "good.test.example"
REQUEST = b"GET /x HTTP/1.1\r\nHost: good.test.example\r\nConnection: close\r\n\r\n"

ROOT = issue("Test Root", is_ca=True)
FAKE = issue("Test Root", is_ca=True)  # another key, the same name
BETWEEN = issue("Test Intermediate", ROOT, is_ca=True, path_length=0)
RSA_2048 = rsa.generate_private_key(65537, 2048)
RSA_1024 = rsa.generate_private_key(65537, 1024)


@pytest.fixture(scope="module")
def proxy(start_proxy, tmp_path_factory):
    """A proxy that trusts one root."""
    file = tmp_path_factory.mktemp("root") / "root.pem"
    file.write_bytes(ROOT.pem)
    with start_proxy(ssl_verify_upstream_trusted_ca=str(file)) as proxy:
        yield proxy


@pytest.fixture
def trusting(proxy):
    """A client's context that trusts the proxy's CA, and nothing else."""
    context = ssl.create_default_context(cafile=proxy.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def connect(proxy, target):
    """A tunnel."""
    client = RawClient(proxy.port)
    client.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
    assert client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    client.received.clear()
    client._taken = 0
    return client


def ask(proxy, origin, context, name=NAME, request=REQUEST):
    """One request in TLS in a tunnel; all that comes back."""
    with connect(proxy, origin.authority) as client:
        client.start_tls(context, name)
        client.send(request)
        return client.read_to_end()


def over(proxy, before):
    """The flows since, when they are over."""
    flows = list(proxy.flows)[before:]
    eventually(lambda: not any(flow.live for flow in flows))
    return flows


def still_serves(proxy, trusting):
    with Origin(polite, context=issue(NAME, ROOT).context()) as origin:
        assert ask(proxy, origin, trusting).statuses == [200]


def rejected(proxy, trusting, context, script=polite):
    """The origin is not believed: no request gets there, and the client is told why."""
    before = len(proxy.flows)
    with Origin(script, context=context) as origin:
        answer = ask(proxy, origin, trusting)
        assert answer.statuses == [502]
        assert origin.requests == []
        assert not any(peer.received for peer in origin.peers)
    (flow,) = over(proxy, before)
    assert flow.request.path == "/x"
    assert flow.error is not None
    page = answer.responses[0].body.decode()
    assert NAME in page
    assert flow.error.msg[:40] in page
    still_serves(proxy, trusting)
    return flow


def faulty(**kwargs):
    """A context for the good name, but for what is spoiled."""
    return issue(NAME, ROOT, **kwargs).context()


def constrained(subtree):
    rules = x509.NameConstraints(permitted_subtrees=[x509.DNSName(subtree)], excluded_subtrees=None)
    return issue("Constrained", ROOT, is_ca=True, constraints=rules)


def chain(leaf_issuer, *more, **kwargs):
    return issue(NAME, leaf_issuer, **kwargs).context(leaf_issuer, *more)


def deep():
    """A CA below one that allows none."""
    below = issue("Below", BETWEEN, is_ca=True)
    return issue(NAME, below).context(below, BETWEEN)


def issued_by_a_leaf():
    leaf = issue("leaf.example", ROOT)
    return issue(NAME, leaf).context(leaf)


def signed_with_sha1():
    issuer = issue("RSA Intermediate", ROOT, is_ca=True, key=RSA_2048)
    return with_sha1(issue(NAME, issuer, key=RSA_2048), issuer).context(issuer)


FAULTS = {
    # hostile: S-01
    "S-01-expired": (lambda: faulty(days=(-100, -10)), "expired"),
    "S-01-not-yet": (lambda: faulty(days=(10, 100)), "valid only from"),
    "S-01-wrong-name": (
        lambda: issue("other.example", ROOT).context(),
        "not made for good.test.example",
    ),
    "S-01-self-signed": (lambda: issue(NAME).context(), "self-signed"),
    "S-01-unknown-ca": (lambda: chain(issue("Unknown", is_ca=True)), "not trusted"),
    "S-01-fake-ca": (lambda: issue(NAME, FAKE).context(), "certificate"),
    "S-01-fake-ca-sent": (lambda: chain(FAKE), "certificate"),
    "S-01-no-intermediate": (lambda: issue(NAME, BETWEEN).context(), "intermediate"),
    "S-01-expired-intermediate": (
        lambda: chain(issue("Old", ROOT, is_ca=True, days=(-100, -10))),
        "expired",
    ),
    # hostile: S-02
    "S-02-only-cn": (lambda: faulty(names=()), "good.test.example"),
    "S-02-star": (lambda: faulty(names=[x509.DNSName("*")]), "not made for"),
    "S-02-star-star": (lambda: faulty(names=[x509.DNSName("*.*")]), "not made for"),
    "S-02-partial": (lambda: faulty(names=[x509.DNSName("g*.test.example")]), "not made for"),
    "S-02-inner": (lambda: faulty(names=[x509.DNSName("good.test.*")]), "not made for"),
    "S-02-two-stars": (lambda: faulty(names=[x509.DNSName("*.*.example")]), "not made for"),
    "S-02-one-too-few": (lambda: faulty(names=[x509.DNSName("*.example")]), "not made for"),
    "S-02-nul": (lambda: faulty(names=[x509.DNSName("good.test.example\0.bad")]), "not made for"),
    "S-02-address": (
        lambda: faulty(names=[x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
        "not made for",
    ),
    # hostile: S-03
    "S-03-constraints": (lambda: chain(constrained("other.example")), "not allowed"),
    "S-03-not-a-ca": (issued_by_a_leaf, "not a CA"),
    "S-03-path-too-long": (deep, "longer than"),
    "S-03-usage": (
        lambda: faulty(usages=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        "not meant for servers",
    ),
    # hostile: S-04
    "S-04-rsa-1024": (lambda: faulty(key=RSA_1024), "short"),
    "S-04-sha-1": (signed_with_sha1, "digest"),
}


@pytest.mark.parametrize(("make", "why"), FAULTS.values(), ids=FAULTS)
def test_a_certificate_that_is_not_good(proxy, trusting, make, why):
    flow = rejected(proxy, trusting, make())
    assert why in flow.error.msg
    assert NAME in flow.error.msg
    assert flow.server_conn.certificate_list
    assert flow.server_conn.error == flow.error.msg
    assert not flow.server_conn.verified


@pytest.mark.parametrize("name", ["S-02-star-is-fine", "S-02-exact", "S-02-case"])
def test_certificates_that_are_good(proxy, trusting, name):
    names = {
        "S-02-star-is-fine": "*.test.example",
        "S-02-exact": NAME,
        "S-02-case": "GOOD.Test.Example",
    }
    with Origin(context=faulty(names=[x509.DNSName(names[name])])) as origin:
        assert ask(proxy, origin, trusting).statuses == [200]
    assert proxy.flows[-1].server_conn.verified


def test_s_01_an_intermediate_that_is_sent(proxy, trusting):
    with Origin(context=chain(BETWEEN)) as origin:
        assert ask(proxy, origin, trusting).statuses == [200]


@pytest.mark.parametrize("sent", ["127.0.0.2", "::1"], ids=["S-02-another-ip", "S-02-ip-6"])
def test_an_address_must_be_in_the_certificate(proxy, trusting, sent):
    names = [x509.IPAddress(ipaddress.ip_address(sent)), x509.DNSName("127.0.0.1")]
    before = len(proxy.flows)
    with Origin(context=faulty(names=names)) as origin:
        answer = ask(
            proxy,
            origin,
            trusting,
            "127.0.0.1",
            REQUEST.replace(b"good.test.example", origin.authority),
        )
        assert answer.statuses == [502]
        assert origin.requests == []
    assert "not made for 127.0.0.1" in over(proxy, before)[0].error.msg


def test_s_02_the_right_address(proxy, trusting):
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    with Origin(context=faulty(names=names)) as origin:
        request = REQUEST.replace(b"good.test.example", origin.authority)
        assert ask(proxy, origin, trusting, "127.0.0.1", request).statuses == [200]


def test_s_01_the_second_request_fares_no_better(proxy, trusting):
    """The failure of the eager connection answers the first request only."""
    before = len(proxy.flows)
    with Origin(context=faulty(days=(-100, -10))) as origin:
        with connect(proxy, origin.authority) as client:
            client.start_tls(trusting, NAME)
            for _ in range(3):
                client.send(REQUEST.replace(b"Connection: close\r\n", b""))
                assert client.read_response().status == 502
        assert origin.requests == []
    assert all("expired" in flow.error.msg for flow in over(proxy, before))


def test_s_01_opting_out_is_shown_on_the_flow(start_proxy):
    with start_proxy(ssl_insecure=True) as proxy:
        trusting = ssl.create_default_context(cafile=proxy.ca_file)
        with Origin(context=faulty(days=(-100, -10))) as origin:
            assert ask(proxy, origin, trusting).statuses == [200]
        assert not proxy.flows[-1].server_conn.verified
        # and back again: nothing that was let through is used any more
        proxy.options.ssl_insecure = False
        rejected_again = Origin(context=faulty(days=(-100, -10)))
        with rejected_again as origin:
            assert ask(proxy, origin, trusting).statuses == [502]


# hostile: S-04
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"], ids=["S-04-1.0", "S-04-1.1"])
def test_an_origin_of_old_tls_only(proxy, trusting, version):
    context = faulty()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion[version]
    flow = rejected(proxy, trusting, context)
    assert "TLS" in flow.error.msg


def test_s_04_null_ciphers(proxy, trusting):
    context = faulty(key=RSA_2048)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("NULL:@SECLEVEL=0")
    assert "cipher" in rejected(proxy, trusting, context).error.msg


# hostile: S-06
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"], ids=["S-06-1.2", "S-06-1.3"])
def test_an_origin_that_asks_for_a_client_certificate(proxy, trusting, version):
    context = faulty()
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=ROOT.der)
    assert "client certificate" in rejected(proxy, trusting, context).error.msg


# hostile: S-07
def in_the_handshake(what):
    """A listener without TLS that does something when the ClientHello has come."""

    def script(peer):
        peer.read_bytes(1)
        if what is not None:
            peer.send(what)
            peer.half_close()
        peer.read_to_end()

    return script


def breaking(peer):
    peer.read_bytes(1)
    peer.reset()


def leaving(peer):
    peer.read_bytes(1)


BROKEN = {
    "S-07-plain-http": in_the_handshake(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "S-07-noise": in_the_handshake(bytes(range(256)) * 10),
    "S-07-alert": in_the_handshake(b"\x15\x03\x03\x00\x02\x02\x28"),
    "S-07-half-a-record": in_the_handshake(b"\x16\x03\x03\x40\x00\x02"),
    "S-07-nothing": in_the_handshake(b""),
    "S-07-fin": leaving,
    "S-07-rst": breaking,
    "S-07-silence": in_the_handshake(None),
}


def give_up_soon(proxy):
    """Wait for the next server's handshake only a moment; clients have their time."""

    @proxy.on("serverconnect")
    def hurry(server):
        proxy.options.tls_timeout = 0.3

    @proxy.on("server_connect_error")
    def calm(server):
        proxy.options.tls_timeout = TIMEOUT_S
        proxy.off(hurry)
        proxy.off(calm)


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_no_tls_at_the_origin(proxy, trusting, script):
    before = len(proxy.flows)
    if script is BROKEN["S-07-silence"]:
        give_up_soon(proxy)
    with Origin(script) as origin:
        answer = ask(proxy, origin, trusting)
        assert answer.statuses in ([502], [504])
        assert not any(b"GET" in peer.received for peer in origin.peers)
    (flow,) = over(proxy, before)
    assert NAME in flow.error.msg
    still_serves(proxy, trusting)


def test_s_07_tls_that_breaks_in_the_answer(proxy, trusting):
    def script(peer):
        peer.next_request()
        raw = socket.socket(fileno=peer.sock.detach())
        raw.sendall(b"this is no TLS record at all")
        raw.close()

    before = len(proxy.flows)
    with Origin(script, context=faulty()) as origin:
        assert ask(proxy, origin, trusting).statuses == [502]
    assert "TLS" in over(proxy, before)[0].error.msg


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"],
    ids=["S-07-length", "S-07-chunked"],
)
def test_a_body_cut_without_close_notify(proxy, trusting, head):
    def script(peer):
        peer.next_request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n5\r\nhello\r\n")
        socket.socket(fileno=peer.sock.detach()).close()

    before = len(proxy.flows)
    with Origin(script, context=faulty()) as origin:
        answer = ask(proxy, origin, trusting)
        assert answer.statuses in ([], [502])
    assert "the server" in over(proxy, before)[0].error.msg


# hostile: S-08
@pytest.mark.parametrize(
    "offers",
    [["h2"], [], ["imap"], ["http/1.1", "h2"]],
    ids=["S-08-h2", "S-08-none", "S-08-odd", "S-08-both"],
)
@pytest.mark.parametrize(
    "asks",
    [["h2"], [], ["imap"], ["h2", "http/1.1"]],
    ids=["asks-h2", "asks-none", "asks-odd", "asks-both"],
)
def test_alpn(proxy, trusting, offers, asks):
    context = faulty()
    if offers:
        context.set_alpn_protocols(offers)
    if asks:
        trusting.set_alpn_protocols(asks)
    with Origin(context=context) as origin, connect(proxy, origin.authority) as client:
        client.start_tls(trusting, NAME)
        agreed = client.sock.selected_alpn_protocol()
        assert agreed in (None, "http/1.1")
        assert agreed is None or agreed in asks
        client.send(REQUEST)
        assert client.read_to_end().statuses in ([200], [502])
    assert all(peer.sock is None or peer.received[:3] != b"PRI" for peer in origin.peers)


# hostile: S-09
def distrusting(client):
    client.start_tls(ssl.create_default_context(), NAME)


def leaving_after_our_certificate(client):
    """Begin a handshake of TLS 1.2, and close when the certificate has come."""
    client.send(hello(NAME.encode()))
    client.sock.recv(10)
    client.close()
    raise ConnectionError


@pytest.mark.parametrize(
    "how", [distrusting, leaving_after_our_certificate], ids=["S-09-alert", "S-09-close"]
)
def test_a_client_that_does_not_trust_us(proxy, trusting, how):
    before = len(proxy.flows)
    with Origin(context=faulty()) as origin:
        with connect(proxy, origin.authority) as client, pytest.raises(OSError):  # noqa: PT011
            how(client)
        eventually(lambda: len(proxy.flows) > before)
        (flow,) = over(proxy, before)
        assert flow.request.method == "CONNECT"
        assert "trust" in flow.error.msg
        assert NAME in flow.error.msg
        assert str(proxy.ca_file) in flow.error.msg
        assert origin.requests == []
    still_serves(proxy, trusting)


# hostile: S-10
def test_s_10_a_client_of_old_tls_only(proxy, trusting):
    trusting.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    before = len(proxy.flows)
    with (
        Origin(context=faulty()) as origin,
        connect(proxy, origin.authority) as client,
        pytest.raises(ssl.SSLError, match="ALERT"),
    ):
        client.start_tls(trusting, NAME)
    eventually(lambda: len(proxy.flows) > before)
    assert "no longer safe" in over(proxy, before)[0].error.msg


def test_s_10_no_cipher_in_common(proxy, trusting):
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.set_ciphers("AES128-SHA256")
    before = len(proxy.flows)
    with (
        Origin(context=faulty()) as origin,
        connect(proxy, origin.authority) as client,
        pytest.raises(ssl.SSLError, match="ALERT"),
    ):
        client.start_tls(trusting, NAME)
    eventually(lambda: len(proxy.flows) > before)
    assert "no cipher" in over(proxy, before)[0].error.msg


# hostile: S-11
def hello(name, *, kind=0, suites=b"\xc0\x2b\xc0\x2f\xc0\x2c", alpn=b""):
    """A ClientHello of TLS 1.2, with any bytes as its server name."""
    sni = struct.pack(">HBH", len(name) + 3, kind, len(name)) + name if name is not None else b""
    extensions = [
        (10, b"\x00\x02\x00\x17"),  # supported_groups: P-256
        (13, b"\x00\x04\x04\x03\x08\x04"),  # signature_algorithms
        *([(0, sni)] if name is not None else []),
        *([(16, alpn)] if alpn else []),
    ]
    block = b"".join(struct.pack(">HH", n, len(v)) + v for n, v in extensions)
    body = b"\x03\x03" + bytes(32) + b"\x00" + struct.pack(">H", len(suites)) + suites + b"\x01\x00"
    body += struct.pack(">H", len(block)) + block
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"".join(
        b"\x16\x03\x01" + struct.pack(">H", len(piece)) + piece
        for piece in (message[i : i + 16384] for i in range(0, len(message), 16384))
    )


NAMES = {
    "S-11-250": b".".join([b"a" * 49] * 5) + b".x",
    "S-11-60000": b"a" * 60_000,
    "S-11-nul": b"good.test.example\x00.bad",
    "S-11-ip": b"127.0.0.1",
    "S-11-ip-6": b"::1",
    "S-11-empty": b"",
    "S-11-8-bit": "bücher.example".encode(),
    "S-11-a-label": b"xn--bcher-kva.example",
    "S-11-bad-a-label": b"xn--\xff.example",
    "S-11-path": b"../../etc/passwd",
    "S-11-blank": b"a b",
    "S-11-star": b"*.example",
    "S-11-dot": b".",
    "S-11-underscore": b"_x.example",
    "S-11-newline": b"a\r\nX: 1",
    "S-11-none": None,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("strategy", ["eager", "lazy"])
def test_any_server_name_gets_an_answer(proxy, trusting, name, strategy):
    """A ServerHello with a leaf, or an alert: never silence, and never an exception."""
    proxy.options.connection_strategy = strategy
    try:
        with Origin(context=faulty()) as origin, connect(proxy, origin.authority) as client:
            client.send(hello(name))
            assert client.sock.recv(1) in (b"\x16", b"\x15")
            client.half_close()
        eventually(lambda: proxy._engine.listener.connections == 0)
    finally:
        proxy.options.connection_strategy = "eager"
    still_serves(proxy, trusting)


def test_s_11_a_hello_of_70000_bytes_of_name(proxy, trusting):
    """A name has 16 bits of length; more names make it longer, up to the bound of a hello."""
    before = len(proxy.flows)
    data = hello(b"a" * 60_000, suites=b"\xc0\x2b" * 20_000)
    with Origin(context=faulty()) as origin, connect(proxy, origin.authority) as client:
        client.send(data)
        client.read_all()
        assert client.ended in ("fin", "reset")
    assert "64 KiB" in over(proxy, before)[0].error.msg
    still_serves(proxy, trusting)


def test_s_11_no_name(proxy, trusting):
    """Then the certificate is for the CONNECT's host."""
    trusting.check_hostname = False
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    with Origin(context=faulty(names=names)) as origin, connect(proxy, origin.authority) as client:
        client.start_tls(trusting, None)
        shown = x509.load_der_x509_certificate(client.sock.getpeercert(binary_form=True))
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert ipaddress.ip_address("127.0.0.1") in found.get_values_for_type(x509.IPAddress)
        client.send(b"GET /x HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % origin.authority)
        assert client.read_to_end().statuses == [200]


def test_s_11_a_name_other_than_the_tunnels(proxy, trusting):
    """The leaf is for both names, and the request goes where the tunnel leads."""
    with Origin(context=faulty()) as origin, connect(proxy, origin.authority) as client:
        client.start_tls(trusting, NAME)
        shown = x509.load_der_x509_certificate(client.sock.getpeercert(binary_form=True))
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert NAME in found.get_values_for_type(x509.DNSName)
        assert ipaddress.ip_address("127.0.0.1") in found.get_values_for_type(x509.IPAddress)
        client.send(REQUEST)
        assert client.read_to_end().statuses == [200]
        assert [r.target for r in origin.requests] == [b"/x"]


def test_s_11_a_u_label_in_connect(proxy):
    with RawClient(proxy.port) as client:
        client.send("CONNECT bücher.example:443 HTTP/1.1\r\nHost: b\r\n\r\n".encode())
        assert client.read_to_end().statuses == [400]


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_hello_cut_anywhere(proxy, cut):
    """S-11, C-13: closed or waited for, never an exception."""
    with Origin(context=faulty()) as origin, connect(proxy, origin.authority) as client:
        client.send(hello(NAME.encode())[:cut])
        client.half_close()
        client.read_all()
    eventually(lambda: proxy._engine.listener.connections == 0)


# hostile: S-12
def test_s_12_many_names_share_one_key(proxy, trusting):
    keys = set()
    with Origin(context=faulty()) as origin:
        for number in range(50):
            with connect(proxy, origin.authority) as client:
                client.start_tls(trusting, f"host-{number}.example")
                shown = x509.load_der_x509_certificate(client.sock.getpeercert(binary_form=True))
                key = shown.public_key()
                assert isinstance(key, ec.EllipticCurvePublicKey)
                keys.add(key.public_numbers())
    assert len(keys) == 1
    eventually(lambda: proxy._engine.listener.connections == 0)  # or the next one sees it


# rows of clients that leave, in TLS
@pytest.mark.parametrize(
    "how", ["close", "unwrap", "reset"], ids=["C-09-close", "C-09-notify", "C-09-reset"]
)
def test_a_client_that_leaves_its_tunnel_while_the_origin_thinks(proxy, trusting, how):
    before = len(proxy.flows)
    with (
        Origin(lambda peer: peer.read_to_end(), context=faulty()) as origin,
        connect(proxy, origin.authority) as client,
    ):
        client.start_tls(trusting, NAME)
        client.send(REQUEST)
        eventually(lambda: origin.requests)
        if how == "unwrap":
            client.sock.settimeout(0.05)
            with pytest.raises(OSError):  # noqa: PT011 - close_notify goes out, none comes back
                client.sock.unwrap()
            client.close()
        else:
            getattr(client, how)()
        eventually(lambda: origin.peers[-1].ended, "upstream to be cut")
    assert over(proxy, before)[0].error.msg == "the client disconnected"


def test_r_05_in_tls_the_client_sees_a_cut(proxy, trusting):
    data = b"HTTP/1.1 200 OK\r\n\r\nuntil the end" + b"x" * 2_000_000
    with (
        Origin(answering(data, "reset"), context=faulty()) as origin,
        connect(proxy, origin.authority) as client,
    ):
        client.start_tls(trusting, NAME)
        client.send(REQUEST.replace(b"1.1", b"1.0"))
        if b" 502 " not in client.read_all():  # the reset may overtake all that came before
            assert client.ended == "reset"
