from __future__ import annotations

import copy
import pickle
import plistlib
import ssl
import stat
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from nbproxy.certs import (
    EXPORT_KINDS,
    CertificateAuthority,
    LeafCertificates,
    peer_chain,
    upstream_context,
)
from nbproxy.errors import ConfigError

load = CertificateAuthority.load_or_create


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def put(folder, *parts, name="mitmproxy-ca.pem"):
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # as mitmproxy makes it
    path = folder / name
    path.write_bytes(b"".join(parts))
    path.chmod(0o600)
    return path


def as_pem(der):
    return ssl.DER_cert_to_PEM_cert(der).encode()


def test_the_first_use_makes_a_ca(confdir):  # hostile: S-14
    ca = load(confdir)
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in confdir.iterdir()}
    assert files == {
        "nbproxy-ca.pem": 0o600,
        "nbproxy-ca-cert.pem": 0o644,
        "nbproxy-ca-cert.cer": 0o644,
        "nbproxy-ca-cert.p12": 0o644,
    }
    assert stat.S_IMODE(confdir.stat().st_mode) == 0o700
    assert ca.cert_file == confdir / "nbproxy-ca-cert.pem"
    for path in confdir.glob("nbproxy-ca-cert.*"):
        assert b"PRIVATE" not in path.read_bytes()


def test_what_the_ca_may_do(ca):  # hostile: S-15
    extensions = ca.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == x509.KeyUsage(*[False] * 5, True, True, *[False] * 2)
    assert extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert ca.certificate.subject.rfc4514_string() == "O=nbproxy,CN=nbproxy"
    assert isinstance(ca.certificate.public_key().curve, ec.SECP256R1)
    life = ca.not_after - ca.certificate.not_valid_before_utc
    assert life.days == 3650


def test_each_installation_has_its_own(tmp_path):  # hostile: S-15
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert one.certificate.public_key() != two.certificate.public_key()
    assert one.certificate.serial_number != two.certificate.serial_number


def test_the_second_use_finds_it(confdir):
    assert load(confdir).fingerprint_sha256 == load(confdir).fingerprint_sha256


def test_the_fingerprint_is_that_of_other_tools(ca):
    shown = subprocess.run(
        ["openssl", "x509", "-in", ca.cert_file, "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert shown.strip().partition("=")[2] == ca.fingerprint_sha256


def test_kernels_that_start_at_once_get_the_same_ca(confdir):
    code = (
        "import sys, pathlib\n"
        "from nbproxy.certs import CertificateAuthority\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        f"ca = CertificateAuthority.load_or_create(pathlib.Path({str(confdir)!r}))\n"
        "print(ca.fingerprint_sha256, ca.cert_file.read_bytes() == ca.certificate_pem)\n"
    )
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for kernel in kernels:
        assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels:
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    said = {kernel.communicate()[0] for kernel in kernels}
    assert said == {f"{load(confdir).fingerprint_sha256} True\n"}


def test_the_key_is_in_no_repr_and_no_copy(ca):  # hostile: S-14
    leaves = LeafCertificates(ca)
    leaves.context_for("example.org")
    secrets = [
        ca.key_file.read_bytes().split(b"-----")[2].split()[0].decode(),
        leaves._key_pem.split(b"-----")[2].split()[0].decode(),
        f"{ca._key.private_numbers().private_value:x}",
        f"{ca._key.private_numbers().private_value}",
    ]
    for thing in (ca, leaves, vars(ca), leaves._cache, leaves.leaf_for("example.org")):
        assert not any(secret in f"{thing!r}{thing}" for secret in secrets)
    for thing in (ca, leaves):
        with pytest.raises(TypeError):
            pickle.dumps(thing)
    with pytest.raises(TypeError):
        copy.deepcopy(leaves)


@pytest.mark.parametrize("name", ["nbproxy-ca.pem", "mitmproxy-ca.pem"])
def test_a_key_that_is_not_private_is_refused(confdir, rsa_root, name):  # hostile: S-14
    path = put(confdir, rsa_root.key_pem(), rsa_root.pem, name=name)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        load(confdir)
    path.rename(confdir / "real.pem")
    path.symlink_to(confdir / "real.pem")
    with pytest.raises(ConfigError, match="symbolic link"):
        load(confdir)


def test_a_dangling_link_is_not_followed(confdir, tmp_path):  # hostile: S-14
    confdir.mkdir(0o700)
    (confdir / "nbproxy-ca.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(ConfigError, match="symbolic link"):
        load(confdir)
    assert not (tmp_path / "elsewhere.pem").exists()


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
@pytest.mark.parametrize("key_first", [True, False])
def test_a_mitmproxy_folder_serves_as_it_is(
    confdir, rsa_root, handshake, trusting, form, key_first
):
    parts = [rsa_root.key_pem(form), rsa_root.pem]
    put(confdir, *(parts if key_first else reversed(parts)))
    (confdir / "mitmproxy-ca-cert.pem").write_bytes(rsa_root.pem)
    before = names_in(confdir)
    ca = load(confdir)
    assert ca.cert_file == confdir / "mitmproxy-ca-cert.pem"
    assert ca.certificate == rsa_root.certificate
    assert names_in(confdir) == before
    server = LeafCertificates(ca).context_for("example.org")
    handshake(server, trusting(ca.cert_file), "example.org")


def test_a_mitmproxy_folder_without_its_certificate_file(confdir, rsa_root, root):
    put(confdir, rsa_root.key_pem(), rsa_root.pem)
    (confdir / "mitmproxy-ca-cert.pem").write_bytes(root.pem)  # a stale one
    ca = load(confdir)
    assert ca.cert_file.name == "nbproxy-ca-cert.pem"
    assert ca.cert_file.read_bytes() == rsa_root.pem
    assert (confdir / "mitmproxy-ca-cert.pem").read_bytes() == root.pem


def test_nbproxys_own_ca_goes_before_mitmproxys(confdir, rsa_root):
    own = load(confdir)
    put(confdir, rsa_root.key_pem(), rsa_root.pem)
    confdir.chmod(0o700)
    assert load(confdir).fingerprint_sha256 == own.fingerprint_sha256


def test_a_ca_below_another_sends_its_chain(confdir, issue, root, handshake, trusting):
    middle = issue("Middle", root, is_ca=True)
    put(confdir, middle.key_pem(), middle.pem, root.pem)
    ca = load(confdir)
    assert ca.certificate_pem == root.pem
    server = LeafCertificates(ca).context_for("example.org")
    handshake(server, trusting(ca.cert_file), "example.org")
    # that root signs others too, so it stays trusted upstream; what our key signed still shows
    context = upstream_context(trusted_ca=ca.cert_file, refuse=ca)
    near, _ = handshake(issue("example.org", root).server(), context, "example.org")
    assert not ca.has_signed(*peer_chain(near))
    near, _ = handshake(server, context, "example.org")
    assert ca.has_signed(*peer_chain(near))


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_other_curves_sign_too(confdir, issue, handshake, trusting, curve):
    other = issue("Mine", is_ca=True, key=ec.generate_private_key(curve))
    put(confdir, other.key_pem(), other.pem)
    ca = load(confdir)
    server = LeafCertificates(ca).context_for("example.org")
    handshake(server, trusting(ca.cert_file), "example.org")


def test_cas_that_cannot_serve(tmp_path, issue, rsa_root, root):
    expired = issue("Old", is_ca=True, days=(-10, -1))
    future = issue("New", is_ca=True, days=(10, 20))
    leaf = issue("Leaf")
    short = issue("Short", is_ca=True, key=rsa.generate_private_key(65537, 1024))
    strange = issue("Ed", root, is_ca=True, key=ed25519.Ed25519PrivateKey.generate())
    locked = root.key.private_bytes(
        serialization.Encoding.PEM,
        PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"pass"),
    )
    broken = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    # a curve that nobody knows, and an extension that is there twice
    unreadable = root.der.replace(
        bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030177")
    )
    ski, usage = bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d0f")
    twice = root.der.replace(ski, usage)
    cases = [
        ((root.key_pem(), as_pem(unreadable)), "no certificate for its key"),
        ((root.key_pem(), as_pem(twice)), "is damaged"),
        ((expired.key_pem(), expired.pem), "expired on 20.*mv .* point the option confdir"),
        ((future.key_pem(), future.pem), "valid only from .*clock"),
        ((leaf.key_pem(), leaf.pem), "not that of a CA"),
        ((short.key_pem(), short.pem), "TLS clients do not accept"),
        ((strange.key_pem(), strange.pem), "TLS clients do not accept"),
        ((root.key_pem(), rsa_root.pem), "no certificate for its key"),
        ((root.key_pem(),), "no readable certificate"),
        ((root.pem,), "no private key"),
        ((b"",), "no private key"),
        ((locked, root.pem), "is encrypted.*openssl pkey"),
        ((broken, root.pem), "cannot be read"),
    ]
    for number, (parts, message) in enumerate(cases):
        path = put(tmp_path / str(number), *parts)
        with pytest.raises(ConfigError, match=message) as caught:
            load(path.parent)
        assert str(path) in str(caught.value)


def test_a_ca_that_may_not_sign(confdir, root):
    builder = x509.CertificateBuilder(
        root.certificate.subject,
        root.certificate.subject,
        root.key.public_key(),
        7,
        root.certificate.not_valid_before_utc,
        root.certificate.not_valid_after_utc,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    usage = x509.KeyUsage(True, *[False] * 8)
    for extension, message in ((usage, "does not allow signing"), (None, None)):
        chosen = builder.add_extension(extension, critical=True) if extension else builder
        signed = chosen.sign(root.key, x509.base.hashes.SHA256())
        put(confdir, root.key_pem(), signed.public_bytes(serialization.Encoding.PEM))
        if message:
            with pytest.raises(ConfigError, match=message):
                load(confdir)
        else:  # no key usage allows all; and without an SKI the leaves' AKI comes from the key
            assert len(LeafCertificates(load(confdir)).leaf_for("a.example").names) == 1


def test_certificate_files_that_went_missing_or_stale_come_back(confdir, root):
    ca = load(confdir)
    ca.cert_file.write_bytes(root.pem)
    (confdir / "nbproxy-ca-cert.cer").unlink()
    load(confdir)
    assert ca.cert_file.read_bytes() == ca.certificate_pem
    assert (confdir / "nbproxy-ca-cert.cer").read_bytes() == ca.certificate_der


def test_exports(ca):
    assert EXPORT_KINDS == ("pem", "cer", "crt", "p12", "mobileconfig")
    files = {kind: ca.export(kind) for kind in EXPORT_KINDS}
    assert files["pem"][0] == ca.cert_file.read_bytes()
    assert files["crt"][1:] == ("application/x-x509-ca-cert", "nbproxy-ca-cert.crt")
    assert files["cer"][0] == files["crt"][0] == ca.certificate_der
    key, certificate, more = pkcs12.load_key_and_certificates(files["p12"][0], None)
    assert key is None
    assert [certificate, *more] in ([ca.certificate], [None, ca.certificate])
    profile = plistlib.loads(files["mobileconfig"][0])
    assert files["mobileconfig"][1] == "application/x-apple-aspen-config"
    [payload] = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert payload["PayloadContent"] == ca.certificate_der
    assert ca.export("mobileconfig")[0] == files["mobileconfig"][0]  # installing again replaces
    for data, _, _ in files.values():
        assert b"PRIVATE" not in data
    with pytest.raises(ValueError, match="mobileconfig"):
        ca.export("key")


def test_what_we_signed_is_known(ca, root, issue):  # hostile: S-16
    leaf = LeafCertificates(ca).leaf_for("example.org").certificate.to_der()
    other = issue("example.org", root).der
    namesake = issue("nbproxy", is_ca=True, organization="nbproxy")
    assert ca.has_signed(leaf)
    assert ca.has_signed(other, leaf)
    assert ca.has_signed(ca.certificate_der)
    assert not ca.has_signed()
    assert not ca.has_signed(other, root.der, b"garbage", b"")
    assert not ca.has_signed(issue("example.org", namesake).der)
