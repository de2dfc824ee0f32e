"""The files that variables name."""

import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from nbproxy.capture import bundle
from nbproxy.certs.ca import CertificateAuthority
from nbproxy.errors import ConfigError


@dataclass
class Authority:
    confdir: Path
    ca_file: str


@pytest.fixture
def ours(tmp_path):
    ca = CertificateAuthority.load_or_create(tmp_path / "ours")
    return Authority(tmp_path / "ours", str(ca.cert_file))


@pytest.fixture
def other(tmp_path):
    return CertificateAuthority.load_or_create(tmp_path / "other").cert_file


def certificates(path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return set(context.get_ca_certs(binary_form=True))


def test_it_holds_what_clients_trust_and_our_ca(ours, other):
    path, _ = bundle.files_for(ours, {"REQUESTS_CA_BUNDLE": str(other)})
    found = certificates(path)
    assert certificates(ours.ca_file) < found
    assert certificates(str(other)) < found
    assert Path(path).parent == ours.confdir
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o644


def test_the_systems_roots_are_in_it(ours):
    roots = bundle.sources({}, ())
    assert roots  # certifi comes with the tests, if nothing else does
    path, _ = bundle.files_for(ours, {})
    assert len(certificates(path)) > 50


def test_it_is_written_again_only_when_a_source_has_changed(ours, other):
    environ = {"SSL_CERT_FILE": str(other)}
    path = Path(bundle.files_for(ours, environ)[0])
    before = path.stat().st_ino
    assert bundle.files_for(ours, environ)[0] == str(path)
    assert path.stat().st_ino == before
    other.write_bytes(other.read_bytes() + b"\n")
    bundle.files_for(ours, environ)
    assert path.stat().st_ino != before


def test_each_certificate_is_in_it_once_and_damage_is_left_out(ours, other, tmp_path):
    damaged = tmp_path / "damaged.pem"
    damaged.write_bytes(
        b"text\n" + other.read_bytes() * 2 + b"-----BEGIN CERTIFICATE-----\n?\n"
        b"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAAAA"
    )
    path = bundle.ca_bundle(tmp_path, ours.ca_file, [damaged, tmp_path / "missing"])
    assert Path(path).read_bytes().count(b"BEGIN CERTIFICATE") == 2


def test_a_bundle_of_ours_is_no_source_of_another(ours, other, tmp_path):
    first = bundle.ca_bundle(tmp_path, ours.ca_file, [other])
    environ = {"SSL_CERT_FILE": first}
    second, _ = bundle.files_for(Authority(ours.confdir, ours.ca_file), environ)
    assert certificates(str(other)).isdisjoint(certificates(second))


def test_settings_of_wget_hold_the_systems(tmp_path):
    system = tmp_path / "wgetrc"
    system.write_text("tries = 3")
    path = bundle.wget_settings(tmp_path, "/b.pem", {"SYSTEM_WGETRC": str(system)})
    assert Path(path).read_text() == "tries = 3\nca_certificate = /b.pem\n"
    before = Path(path).stat().st_ino
    # with a capture inside another, the variable names our own file
    assert bundle.wget_settings(tmp_path, "/b.pem", {"SYSTEM_WGETRC": str(system)}) == path
    assert Path(path).stat().st_ino == before


def test_a_folder_that_cannot_be_written_is_named(ours):
    missing = ours.confdir / "missing"
    with pytest.raises(ConfigError, match="missing"):
        bundle.ca_bundle(missing, ours.ca_file, [])
