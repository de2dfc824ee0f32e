from __future__ import annotations

import datetime as dt
import hashlib
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.certs import Certificate, describe, names_of


@pytest.fixture
def full(issue, root):
    alt = [x509.DNSName("example.org"), x509.DNSName("*.example.org")]
    alt.append(x509.IPAddress(ip_address("::1")))
    return issue("example.org", root, alt=alt, organization="Example & S\u00f6hne")


def test_what_a_certificate_says(full):
    certificate = Certificate(full.der)
    assert certificate.subject == [("CN", "example.org"), ("O", "Example & S\u00f6hne")]
    assert certificate.issuer == [("CN", "Example Root")]
    assert certificate.cn == "example.org"
    assert certificate.organization == "Example & S\u00f6hne"
    assert certificate.altnames == ["example.org", "*.example.org", "::1"]
    assert certificate.serial == full.certificate.serial_number
    assert certificate.keyinfo == ("EC (secp256r1)", 256)
    assert certificate.notbefore == full.certificate.not_valid_before_utc
    assert certificate.notafter is not None
    assert certificate.notafter.tzinfo is dt.UTC
    assert not certificate.has_expired()
    assert certificate.fingerprint() == hashlib.sha256(full.der).digest()
    assert repr(certificate).startswith("<Certificate cn='example.org'")


def test_pem_and_der_are_the_same_certificate(full):
    certificate = Certificate(full.der)
    again = Certificate.from_pem(b"text before\n" + certificate.to_pem() + b"text behind")
    assert again == certificate
    assert Certificate.from_pem(full.pem.decode()).to_der() == full.der
    assert len({again, certificate}) == 1
    assert again != full.der


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----", b"\xff"])
def test_no_pem(text):
    with pytest.raises(ValueError, match="no certificate"):
        Certificate.from_pem(text)


def test_kinds_of_keys(issue, root, rsa_root):
    assert Certificate(rsa_root.der).keyinfo == ("RSA", 2048)
    assert Certificate(
        issue("old", is_ca=True, key=dsa.generate_private_key(1024)).der
    ).keyinfo == (
        "DSA",
        1024,
    )
    key = ed25519.Ed25519PrivateKey.generate()
    assert Certificate(issue("a.example", root, key=key).der).keyinfo == ("Ed25519", 0)


def test_expiry(issue, root):
    assert Certificate(issue("a.example", root, days=(-10, -1)).der).has_expired()


def test_names_to_carry_over(full, issue, root):
    assert names_of(full.der) == (
        ["example.org", "*.example.org", "::1"],
        "Example & S\u00f6hne",
    )
    assert names_of(issue("cn-only.example", root, alt=[]).der) == (["cn-only.example"], None)
    assert names_of(issue("x", root, alt=[], common_name=False).der) == ([], None)


def test_description(full):
    described = describe(full.der)
    assert described["altnames"] == ["example.org", "*.example.org", "::1"]
    assert described["sha256"] == hashlib.sha256(full.der).hexdigest()


def test_garbage_is_empty():
    assert names_of(b"garbage") == ([], None)
    certificate = Certificate(b"garbage")
    assert certificate.serial == 0
    assert certificate.notafter is None
    assert not certificate.has_expired()
    assert certificate.keyinfo == ("unknown", 0)
    assert describe(b"")["subject"] == []


def test_no_damage_raises_or_warns(full):
    # every single byte changed: lengths, tags, dates, serial numbers, names
    for place in range(len(full.der)):
        for change in (0x01, 0x80, 0xFF):
            der = bytearray(full.der)
            der[place] ^= change
            describe(bytes(der))


@given(st.binary(max_size=200))
def test_no_bytes_raise(der):
    assert names_of(der) == ([], None)
    repr(Certificate(der))


def test_an_odd_serial_and_an_odd_country_do_not_warn(issue, root):
    der = issue("example.org", root).der
    # 02 14 = the serial's tag and length; the first bit makes it negative
    begin = der.index(b"\x02\x14") + 2
    negative = der[:begin] + bytes([der[begin] | 0x80]) + der[begin + 1 :]
    assert names_of(negative)[0] == ["example.org"]
