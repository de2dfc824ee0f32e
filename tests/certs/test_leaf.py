from __future__ import annotations

import json
import os
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.certs import CertificateAuthority, LeafCertificates
from nbproxy.certs.names import FALLBACK_NAME
from tests.support.proxies import PATIENCE_S, wait_until


def parsed(leaf):
    return x509.load_der_x509_certificate(leaf.certificate.to_der())


def extension(leaf, kind):
    return parsed(leaf).extensions.get_extension_for_class(kind)


def test_a_leaf_by_the_rules(ca, leaves):  # hostile: S-13
    leaf = leaves.leaf_for("example.org", sni="www.example.org", organization="Example")
    certificate = parsed(leaf)
    assert certificate.subject.rfc4514_string() == "O=Example,CN=example.org"
    assert certificate.issuer == ca.certificate.subject
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert 300 < life.days <= 398
    assert not extension(leaf, x509.SubjectAlternativeName).critical
    assert leaf.certificate.altnames == ["example.org", "www.example.org"] == list(leaf.names)
    assert extension(leaf, x509.BasicConstraints).critical
    assert not extension(leaf, x509.BasicConstraints).value.ca
    usage = x509.KeyUsage(True, *[False] * 8)
    assert extension(leaf, x509.KeyUsage).value == usage
    purposes = extension(leaf, x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == own.digest
    assert extension(leaf, x509.SubjectKeyIdentifier)
    assert leaf.certificate.keyinfo == ("EC (secp256r1)", 256)


def test_serials_are_random_and_short_enough(leaves):  # hostile: S-13
    serials = {leaves.leaf_for(f"{number}.example").certificate.serial for number in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials).bit_length() > 140


def test_a_long_name_is_not_in_the_subject(leaves, strict_client, handshake):  # hostile: S-13
    name = f"{'a' * 60}.{'b' * 60}.example"
    leaf = leaves.leaf_for(name)
    assert list(parsed(leaf).subject) == []
    assert extension(leaf, x509.SubjectAlternativeName).critical
    handshake(leaf.context, strict_client, name)


def test_a_leaf_does_not_outlive_its_ca(confdir, issue):
    short = issue("Short", is_ca=True, days=(-1, 20))
    confdir.mkdir(0o700)
    (confdir / "nbproxy-ca.pem").write_bytes(short.key_pem() + short.pem)
    (confdir / "nbproxy-ca.pem").chmod(0o600)
    ca = CertificateAuthority.load_or_create(confdir)
    leaves = LeafCertificates(ca)
    certificate = parsed(leaves.leaf_for("example.org"))
    assert certificate.not_valid_after_utc == ca.not_after
    assert certificate.not_valid_before_utc == ca.certificate.not_valid_before_utc
    assert leaves.leaf_for("example.org") is leaves.leaf_for("example.org")


@pytest.mark.parametrize(
    "name", ["example.org", "a_b.example.org", "127.0.0.1", "::1", "localhost"]
)
def test_strict_python_accepts_it(leaves, strict_client, handshake, name):
    client, server = handshake(leaves.context_for(name), strict_client, name)
    assert client.version() == server.version() == "TLSv1.3"


def test_a_wildcard_of_the_upstream_is_carried_over(leaves, strict_client, handshake):
    server = leaves.context_for("a.example.org", upstream_names=["*.example.org", "192.0.2.7"])
    for name in ("a.example.org", "b.example.org", "192.0.2.7"):
        handshake(server, strict_client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, strict_client, "b.example.com")


def test_a_u_label_in_connect(leaves, strict_client, handshake):  # hostile: S-11
    server = leaves.context_for("b\u00fccher.example")
    handshake(server, strict_client, "xn--bcher-kva.example")


@pytest.mark.parametrize(
    "sni",
    [
        None,
        "",
        "other.example",
        "a" * 250,
        "x" * 70_000,
        "nul\0.example",
        "../../etc/passwd",
        "192.0.2.1",
        "xn--bcher-kva.example",
        "xn--\xff.example",
        "*.example",
        "a..b",
        "a b",
    ],
)
def test_any_sni(leaves, strict_client, handshake, sni, tmp_path, monkeypatch):  # hostile: S-11
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    leaf = leaves.leaf_for("example.org", sni=sni)
    expected = [sni] if sni in {"other.example", "xn--bcher-kva.example"} else []
    assert list(leaf.names) == ["example.org", *expected]
    handshake(leaf.context, strict_client, "example.org")
    assert list(tmp_path.iterdir()) == []


def test_without_any_usable_name(leaves, strict_client, handshake):  # hostile: S-11
    leaf = leaves.leaf_for("\0", sni="a b")
    assert leaf.names == (FALLBACK_NAME,)
    handshake(leaf.context, strict_client, FALLBACK_NAME)


@given(st.text(max_size=300), st.none() | st.text(max_size=300), st.lists(st.text()), st.text())
@settings(max_examples=150, deadline=None)
def test_no_names_raise(ca, host, sni, upstream_names, organization):  # hostile: S-11
    leaf = shared_leaves(ca).leaf_for(
        host, sni=sni, upstream_names=upstream_names, organization=organization
    )
    assert leaf.names
    assert leaf.certificate.altnames == list(leaf.names)


_shared: list[LeafCertificates] = []


def shared_leaves(ca):
    if not _shared:
        _shared.append(LeafCertificates(ca))
    return _shared[0]


def test_leaves_are_kept_by_what_they_say(leaves):
    first = leaves.context_for("example.org", sni="bad name")
    assert leaves.context_for("EXAMPLE.org.", sni="\0") is first
    assert leaves.context_for("example.org", sni="example.org") is first
    assert leaves.context_for("example.org", organization="Example") is not first
    assert leaves.context_for("example.org", upstream_names=["www.example.org"]) is not first


def test_the_cache_is_bounded_and_one_key_serves_all(ca):  # hostile: S-12
    leaves = LeafCertificates(ca, cache_size=10)
    often = leaves.leaf_for("often.example")
    keys = set()
    for number in range(300):
        leaf = leaves.leaf_for("example.org", sni=f"{number}.example.org")
        keys.add(
            parsed(leaf)
            .public_key()
            .public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        assert leaves.leaf_for("often.example") is often
        assert len(leaves) <= 10
    assert len(keys) == 1


def test_a_leaf_is_made_anew_before_it_ends(leaves):
    first = leaves.leaf_for("example.org")
    [(key, (leaf, until))] = leaves._cache.items()
    assert first.certificate.notafter > until
    leaves._cache[key] = (leaf, first.certificate.notbefore)
    second = leaves.leaf_for("example.org")
    assert second is not first
    assert leaves.leaf_for("example.org") is second


def test_threads_share_a_leaf(leaves):
    barrier = threading.Barrier(8)
    seen = []

    def run():
        barrier.wait()
        seen.extend(leaves.leaf_for(f"{number}.example") for number in range(20))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(leaf) for leaf in seen}) == 20


@pytest.mark.parametrize("memory", [True, False])
def test_nothing_is_left_behind(leaves, strict_client, handshake, tmp_path, monkeypatch, memory):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    before = len(list(Path("/proc/self/fd").iterdir()))
    handshake(leaves.context_for("example.org"), strict_client, "example.org")
    # those of other tests may go meanwhile
    wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
    assert list(tmp_path.iterdir()) == []


def test_the_contexts_settings(leaves, monkeypatch, tmp_path):  # hostile: S-17, S-18
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = leaves.context_for("example.org")
    assert context.keylog_filename is None
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_NO_TICKET
    assert context.verify_mode == ssl.CERT_NONE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        (["http/1.1"], ["h2", "http/1.1"], "http/1.1"),
        (["h2", "http/1.1"], ["http/1.1", "h2"], "h2"),
        (["http/1.1"], ["spdy/3"], None),
        ([], ["h2"], None),
    ],
)
def test_alpn(ca, strict_client, handshake, ours, theirs, chosen):
    strict_client.set_alpn_protocols(theirs)
    server = LeafCertificates(ca, alpn=ours).context_for("example.org")
    client, _ = handshake(server, strict_client, "example.org")
    assert client.selected_alpn_protocol() == chosen


def test_tls_1_2_only_clients(leaves, strict_client, handshake):
    strict_client.maximum_version = ssl.TLSVersion.TLSv1_2
    client, _ = handshake(leaves.context_for("example.org"), strict_client, "example.org")
    assert client.version() == "TLSv1.2"


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max=1.2"])
@pytest.mark.parametrize("name", ["127.0.0.1", "[::1]", "www.example.org"])
def test_curl_accepts_it(ca, leaves, serve, name, version):
    port = serve(leaves.context_for(name), "::1" if name == "[::1]" else "127.0.0.1")
    command = ["curl", "-sS", "--noproxy", "*", "--cacert", ca.cert_file]
    command += ["--max-time", str(PATIENCE_S)]
    command += version.split("=")
    if name[0].isalpha():
        command += ["--resolve", f"{name}:{port}:127.0.0.1"]
    done = subprocess.run([*command, f"https://{name}:{port}/"], capture_output=True, check=False)
    assert (done.stderr, done.stdout) == (b"", b"hello")


@pytest.mark.parametrize("name", ["127.0.0.1", "www.example.org"])
def test_node_accepts_it(ca, leaves, serve, name):
    port = serve(leaves.context_for(name))
    options = {"host": "127.0.0.1", "port": port, "headers": {"Host": name}}
    if name[0].isalpha():
        options["servername"] = name
    script = (
        f"const options = {json.dumps(options)};"
        "require('https').get(options, r => { r.on('data', d => process.stdout.write(d)) })"
        ".on('error', e => { console.error(e); process.exit(1) })"
    )
    environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(ca.cert_file)}
    done = subprocess.run(
        ["node", "-e", script],
        capture_output=True,
        check=False,
        env=environment,
        timeout=PATIENCE_S,
    )
    assert (done.stderr, done.stdout) == (b"", b"hello")
