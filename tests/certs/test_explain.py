from __future__ import annotations

import ssl
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.certs import explain, explain_client, peer_chain, upstream_context


@pytest.fixture
def told(handshake, root_file):
    """What is said when the handshake with this server fails."""

    def tell(server, name="example.org", *, with_chain=True):
        clients = []
        context = upstream_context(trusted_ca=root_file)
        with pytest.raises(ssl.SSLError) as caught:
            handshake(server, context, name, on_client=clients)
        return explain(caught.value, name, peer_chain(clients[0]) if with_chain else ())

    return tell


def test_expired(told, issue, root):  # hostile: S-01
    server = issue("example.org", root, days=(-10, -1)).server()
    assert "The certificate of example.org did not pass: it expired on 20" in told(server)
    assert "has expired" in told(server, with_chain=False)


def test_an_expired_intermediate(told, issue, root):  # hostile: S-01
    middle = issue("Middle", root, is_ca=True, days=(-10, -1))
    server = issue("example.org", middle).server(middle)
    assert 'the CA certificate "Middle" that it hangs on expired' in told(server)


def test_not_yet_valid(told, issue, root):  # hostile: S-01
    server = issue("example.org", root, days=(5, 10)).server()
    assert "it is valid only from 20" in told(server)
    assert "is not valid yet" in told(server, with_chain=False)


def test_another_name(told, issue, root):  # hostile: S-01
    alt = [x509.DNSName(f"{letter}.example") for letter in "abcdef"]
    server = issue("a.example", root, alt=alt).server()
    expected = (
        "The certificate of example.org did not pass: it is not made for example.org but for "
        "a.example, b.example, c.example, d.example and 2 more."
    )
    assert told(server) == expected
    assert told(server, with_chain=False).endswith("it is not made for example.org.")


def test_another_address(told, issue, root):  # hostile: S-02
    server = issue("a", root, alt=[x509.IPAddress(ip_address("192.0.2.1"))]).server()
    assert "not made for 127.0.0.1 but for 192.0.2.1" in told(server, "127.0.0.1")
    as_dns = issue("a", root, alt=[x509.DNSName("127.0.0.1")]).server()
    assert "not made for 127.0.0.1" in told(as_dns, "127.0.0.1")


@pytest.mark.parametrize("alt", [[], [x509.DNSName("*")], [x509.DNSName("ex*.org")]])
def test_a_name_only_in_the_subject_or_a_loose_wildcard(told, issue, root, alt):  # hostile: S-02
    assert "not made for example.org" in told(issue("example.org", root, alt=alt).server())


def test_self_signed(told, issue):  # hostile: S-01
    assert "self-signed" in told(issue("example.org").server())


def test_an_unknown_root(told, issue, rsa_root):  # hostile: S-01
    server = issue("example.org", rsa_root).server
    assert 'its issuer "mitmproxy" is unknown' in told(server())
    assert "ssl_verify_upstream_trusted_ca" in told(server(), with_chain=False)
    assert "root certificate that is not trusted" in told(server(rsa_root))


def test_a_fake_root_of_the_same_name(told, issue):  # hostile: S-01
    fake = issue("Example Root", is_ca=True)
    assert "did not pass" in told(issue("example.org", fake).server())


def test_a_missing_intermediate(told, issue, root):  # hostile: S-01
    middle = issue("Middle", root, is_ca=True)
    assert "does not send its intermediate" in told(issue("example.org", middle).server())


def test_an_issuer_that_is_no_ca(told, issue, root):  # hostile: S-03
    middle = issue("middle.example", root)
    assert "not a CA" in told(issue("example.org", middle).server(middle))


def test_a_short_key(told, issue, root):  # hostile: S-04
    key = rsa.generate_private_key(65537, 1024)
    assert "too short" in told(issue("example.org", root, key=key).server())


def test_old_versions_only(only_old, issue, root):  # hostile: S-04
    server = only_old(issue("example.org", root).server())
    assert "speaks none of the TLS versions 1.2 and 1.3" in _told_by_client(server)


def _told_by_client(server):
    """As `told`, where the server fails first and its alert reaches the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = upstream_context(insecure=True)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    near = client.wrap_bio(to_client, to_server, server_hostname="example.org")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for end in (near, far):
            try:
                end.do_handshake()
                if end is near:
                    near.read()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                if end is near:
                    return explain(error, "example.org")
    raise AssertionError("the handshake did not fail")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_wanted(issue, root, root_file, version):  # hostile: S-06
    server = issue("example.org", root).server()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(root_file)
    server.maximum_version = server.minimum_version = version
    assert "wants a client certificate" in _told_by_client(server)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"SSH-2.0-OpenSSH_9.2\r\n"]
)
def test_what_is_not_tls(answer):  # hostile: S-07
    incoming = ssl.MemoryBIO()
    near = upstream_context(insecure=True).wrap_bio(incoming, ssl.MemoryBIO())
    incoming.write(answer)
    with pytest.raises(ssl.SSLError) as caught:
        near.do_handshake()
    assert "something that is not TLS" in explain(caught.value, "example.org")


def test_an_end_in_the_middle():  # hostile: S-07
    incoming = ssl.MemoryBIO()
    near = upstream_context(insecure=True).wrap_bio(incoming, ssl.MemoryBIO())
    incoming.write_eof()
    with pytest.raises(ssl.SSLError) as caught:
        near.do_handshake()
    assert "closed the connection in the middle" in explain(caught.value, "example.org")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError(104, "reset"), "broke the connection in the middle"),
        (TimeoutError(), "did not finish it in time"),
        (OSError(5, "Input/output error"), "Input/output error."),
        (OSError(), "OSError."),
        (ssl.SSLEOFError(8, "EOF occurred"), "closed the connection in the middle"),
        (ssl.SSLError(1, "something new"), "something new"),
        (ssl.SSLCertVerificationError(1, "a new check"), "a new check"),
    ],
)
def test_other_failures(error, said):
    assert said in explain(error, "example.org")
    assert "example.org" in explain(error, "example.org")


@given(st.text(), st.lists(st.binary(max_size=50), max_size=3), st.sampled_from([10, 9, 62, 20, 0]))
def test_strangers_texts_stay_on_one_short_line(host, chain, code):
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, host
    said = explain(error, host, chain)
    assert said.isprintable()
    assert len(said) < 1500
    assert explain_client(ssl.SSLError(1, host), host).isprintable()


def client_failure(server, client):
    """The server's error when a handshake fails on either side."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname="example.org")
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for end in (near, far):
            try:
                end.do_handshake()
                if end is far:
                    far.read()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                if end is far:
                    return error
    raise AssertionError("the handshake did not fail")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_does_not_trust_us(ca, leaves, root_file, trusting, version):  # hostile: S-09
    client = trusting(root_file)
    client.maximum_version = version
    error = client_failure(leaves.context_for("example.org"), client)
    said = explain_client(error, "example.org", ca)
    assert "for example.org: the client does not trust the CA of nbproxy" in said
    assert str(ca.cert_file) in said


def test_a_client_of_old(leaves, only_old):  # hostile: S-10
    client = upstream_context(insecure=True)
    error = client_failure(leaves.context_for("example.org"), only_old(client))
    assert "no longer safe" in explain_client(error, "example.org")


def test_a_client_without_our_ciphers(leaves):  # hostile: S-10
    client = upstream_context(insecure=True)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers("AES128-SHA")
    error = client_failure(leaves.context_for("example.org"), client)
    assert "no cipher in common" in explain_client(error, "example.org")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionResetError(104, "reset"), "as clients do that do not trust"),
        (ssl.SSLEOFError(8, "EOF occurred"), "as clients do that do not trust"),
        (TimeoutError(), "the client did not finish it in time"),
    ],
)
def test_a_client_that_goes(error, said):  # hostile: S-09
    assert said in explain_client(error, "example.org")


def test_a_client_that_sends_plain_http(leaves):
    incoming = ssl.MemoryBIO()
    far = leaves.context_for("example.org").wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    incoming.write(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
    with pytest.raises(ssl.SSLError) as caught:
        far.do_handshake()
    assert "plain HTTP" in explain_client(caught.value, "example.org")


def test_an_unheard_of_fault_of_a_client():
    error = ssl.SSLError(1, "x")
    error.reason = "A_NEW_REASON"
    assert explain_client(error, "example.org").endswith(": a new reason.")
