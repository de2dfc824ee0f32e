"""What browsers are given; whether they believe it is tested with real ones."""

import base64
import hashlib
import sqlite3

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from nbproxy.certs.browsers import key_hash, write_firefox_store
from nbproxy.certs.ca import CertificateAuthority


@pytest.fixture
def ca(tmp_path):
    return CertificateAuthority.load_or_create(tmp_path / "ca")


def test_the_hash_of_the_key(ca):
    certificate = x509.load_pem_x509_certificate(ca.cert_file.read_bytes())
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert base64.b64decode(key_hash(ca)) == hashlib.sha256(public).digest()


def test_the_database_has_the_ca_and_that_it_is_trusted(ca, tmp_path):
    write_firefox_store(ca, tmp_path)
    with sqlite3.connect(tmp_path / "cert9.db") as database:
        rows = database.execute("SELECT a0, a11, a81, a82, ace536358 FROM nssPublic").fetchall()
    database.close()
    certificate, trust = rows
    der = ca.anchor.public_bytes(serialization.Encoding.DER)
    assert certificate[:2] == (b"\0\0\0\1", der)
    assert certificate[2:4] == trust[2:4]
    assert certificate[3] in der  # the serial number, as it stands in there
    assert trust[4] == bytes.fromhex("ce534352")


@pytest.mark.parametrize("serial", [1, 127, 128, 2**158 + 5])
def test_serial_numbers_are_der(ca, tmp_path, serial, monkeypatch):
    class Anchor:
        serial_number = serial

        def __getattr__(self, name):
            return getattr(real, name)

    real = ca.anchor
    monkeypatch.setattr(ca, "anchor", Anchor())
    write_firefox_store(ca, tmp_path)
    with sqlite3.connect(tmp_path / "cert9.db") as database:
        (written,) = database.execute("SELECT a82 FROM nssPublic WHERE id = 1").fetchone()
    database.close()
    assert written[0] == 2
    assert written[1] == len(written) - 2
    assert int.from_bytes(written[2:], "big", signed=True) == serial


def test_a_profile_that_cannot_be_written_is_named(ca, tmp_path):
    with pytest.raises(OSError, match=r"cert9\.db"):
        write_firefox_store(ca, tmp_path / "missing")
