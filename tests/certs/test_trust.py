from __future__ import annotations

import socket
import ssl
import subprocess
import sys

import pytest

from nbproxy.certs import peer_chain, upstream_context
from nbproxy.certs.trust import _certificates, _file_certificates
from nbproxy.errors import ConfigError


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Makes the system's store consist of these certificates."""
    (tmp_path / "no-certs").mkdir()

    def use(*pems, folder=tmp_path / "no-certs"):
        (tmp_path / "system.pem").write_bytes(b"".join(pems))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))

    return use


def test_the_systems_store_is_trusted(system, root, issue, handshake):
    system(root.pem)
    client, _ = handshake(issue("example.org", root).server(), upstream_context(), "example.org")
    assert client.version() == "TLSv1.3"


def test_a_stranger_is_not(system, root, ca, leaves, handshake):
    system(root.pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(leaves.context_for("example.org"), upstream_context(refuse=ca), "example.org")


def test_a_file_replaces_the_systems_store(system, root, rsa_root, root_file, issue, handshake):
    system(rsa_root.pem)
    context = upstream_context(trusted_ca=root_file)
    handshake(issue("example.org", root).server(), context, "example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(issue("example.org", rsa_root).server(), context, "example.org")


def rehash(folder, *pems):
    folder.mkdir(exist_ok=True)
    for number, pem in enumerate(pems):
        (folder / f"{number}.pem").write_bytes(pem)
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    return folder


def test_a_hashed_folder_is_a_store(system, root, issue, handshake, tmp_path):
    folder = rehash(tmp_path / "hashed", root.pem)
    server = issue("example.org", root).server()
    handshake(server, upstream_context(trusted_ca=folder), "example.org")
    system(folder=folder)
    handshake(server, upstream_context(), "example.org")


def test_our_ca_in_the_systems_bundle_is_not_trusted(
    system, root, issue, ca, leaves, handshake
):  # hostile: S-16
    system(root.pem, ca.certificate_pem)
    ours = leaves.context_for("example.org")
    handshake(ours, upstream_context(), "example.org")  # the bundle does have it
    context = upstream_context(refuse=ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ours, context, "example.org")
    handshake(issue("example.org", root).server(), context, "example.org")


def test_a_store_that_is_only_our_ca_falls_back(
    system, root, issue, ca, leaves, handshake, tmp_path
):  # hostile: S-16
    # what `%env SSL_CERT_FILE={nbproxy.ca_file}` makes of it
    folder = rehash(tmp_path / "hashed", root.pem)
    system(ca.certificate_pem, folder=folder)
    context = upstream_context(refuse=ca)
    handshake(issue("example.org", root).server(), context, "example.org")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(leaves.context_for("example.org"), context, "example.org")


def test_our_ca_in_a_hashed_folder_shows_after_the_handshake(
    system, ca, leaves, handshake, tmp_path
):  # hostile: S-16
    system(folder=rehash(tmp_path / "hashed", ca.certificate_pem))
    context = upstream_context(refuse=ca)
    client, _ = handshake(leaves.context_for("example.org"), context, "example.org")
    assert ca.has_signed(*peer_chain(client))


def test_our_ca_is_no_answer_to_trusted_ca(ca):  # hostile: S-16
    with pytest.raises(ConfigError, match="nbproxy's own CA"):
        upstream_context(trusted_ca=ca.cert_file, refuse=ca)


def test_without_a_store_certifi_serves(system):
    system()
    context = upstream_context()
    assert context.cert_store_stats()["x509_ca"] > 50


def test_without_any_store(system, monkeypatch):
    system()
    monkeypatch.setitem(sys.modules, "certifi", None)
    with pytest.raises(ConfigError, match=r"ca-certificates.*ssl_verify_upstream_trusted_ca"):
        upstream_context()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"no PEM", "holds no certificate")],
)
def test_files_that_cannot_be_trusted(tmp_path, content, message):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path} {message}"):
        upstream_context(trusted_ca=path)


def test_the_settings(root_file, monkeypatch, tmp_path):  # hostile: S-17
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    for insecure in (False, True):
        context = upstream_context(trusted_ca=root_file, insecure=insecure)
        assert context.keylog_filename is None
        assert context.check_hostname is not insecure
        assert (context.verify_mode == ssl.CERT_REQUIRED) is not insecure
    assert not (tmp_path / "keys").exists()
    context = upstream_context(trusted_ca=root_file)
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert not context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_insecure_takes_everything(issue, only_old, handshake):
    old = issue("wrong.example", days=(-10, -1)).server()
    only_old(old)
    client, _ = handshake(old, upstream_context(insecure=True), "example.org")
    assert client.version() == "TLSv1.1"


def test_alpn(root, root_file, issue, handshake):
    server = issue("example.org", root).server()
    server.set_alpn_protocols(["h2", "http/1.1"])
    for alpn, chosen in ((("http/1.1",), "http/1.1"), (("h2", "http/1.1"), "h2"), ((), None)):
        context = upstream_context(trusted_ca=root_file, alpn=alpn)
        client, _ = handshake(server, context, "example.org")
        assert client.selected_alpn_protocol() == chosen


def test_the_chain_of_a_peer(root, root_file, issue, handshake):
    middle = issue("Middle", root, is_ca=True)
    leaf = issue("example.org", middle)
    near, far = handshake(
        leaf.server(middle), upstream_context(trusted_ca=root_file), "example.org"
    )
    assert peer_chain(near) == [leaf.der, middle.der]
    assert peer_chain(far) == []
    failed = []
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(
            leaf.server(middle),
            upstream_context(trusted_ca=root_file),
            "other.example",
            on_client=failed,
        )
    assert peer_chain(failed[0]) == [leaf.der, middle.der]


def test_damaged_parts_of_a_bundle_are_left_out(root):
    bundle = root.pem.replace(b"END", b"AND") + root.pem + b"-----BEGIN CERTIFICATE-----\n***\n"
    assert root.der in _certificates(bundle)


def test_a_bundle_that_cannot_be_read_holds_nothing(tmp_path):
    assert _file_certificates(str(tmp_path)) == []


def test_a_socket_without_tls_has_no_chain(root_file):
    context = upstream_context(trusted_ca=root_file)
    with socket.socket() as plain, context.wrap_socket(plain, server_hostname="a.example") as near:
        assert peer_chain(near) == []


def test_our_ca_alone_in_every_store_leaves_certifi(system, ca, monkeypatch):  # hostile: S-16
    system(ca.certificate_pem)
    real = ssl.get_default_verify_paths()
    paths = real._replace(openssl_cafile=real.cafile, openssl_capath=real.capath)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    context = upstream_context(refuse=ca)
    assert ca.certificate_der not in context.get_ca_certs(binary_form=True)
    assert context.cert_store_stats()["x509_ca"] > 50


def test_the_built_in_store_serves_where_a_variable_hides_it(
    system, root, ca, monkeypatch, root_file
):
    system(ca.certificate_pem)
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(root_file))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert upstream_context(refuse=ca).get_ca_certs(binary_form=True) == [root.der]
