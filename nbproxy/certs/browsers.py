"""What a browser's own profile needs so that it trusts one CA, and no more than that.

Chromium and its kin are told the hash of a key by a flag: certificates with it in their chain pass.
Firefox has a database of certificates in its profile (NSS's, a SQLite file), which is written here
with the CA as its only entry; Firefox adds what else it needs to it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path

    from nbproxy.certs.ca import CertificateAuthority

# PKCS #11 2.40, 4.6, and NSS's pkcs11n.h
_CERTIFICATE, _TRUST = 1, 0xCE534353
_TRUSTED_ISSUER, _NOT_KNOWN, _MUST_VERIFY = 0xCE534352, 0xCE534353, 0xCE53435B
# How the database writes an attribute that is there and empty.
_EMPTY: Final = b"\xa5\x00\x5a"


def key_hash(ca: CertificateAuthority) -> str:
    """The hash of the CA's public key, as `--ignore-certificate-errors-spki-list` takes it."""
    public = ca.anchor.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")


def write_firefox_store(ca: CertificateAuthority, profile: Path) -> None:
    """Put a database of certificates into a new profile: the CA, trusted for servers.

    Raises:
        OSError: It cannot be written.
    """
    certificate = ca.anchor
    der = certificate.public_bytes(Encoding.DER)
    subject, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
    serial = _der_integer(certificate.serial_number)
    own: dict[int, bytes] = {
        0x00: _number(_CERTIFICATE),  # class
        0x01: b"\1",  # in the database, not only in memory
        0x02: b"\0",  # not private
        0x03: b"nbproxy",  # label
        0x11: der,
        0x80: _number(0),  # X.509
        0x81: issuer,
        0x82: serial,
        0x101: subject,
        0x102: hashlib.sha1(subject).digest(),  # noqa: S324 - an id, which nothing relies on
        0x170: b"\1",  # may be changed
    }
    trust: dict[int, bytes] = {
        0x00: _number(_TRUST),
        0x01: b"\1",
        0x02: b"\0",
        0x03: _EMPTY,
        0x81: issuer,
        0x82: serial,
        0x170: b"\1",
        0xCE536358: _number(_TRUSTED_ISSUER),  # for servers
        0xCE536359: _number(_MUST_VERIFY),  # for clients
        0xCE53635A: _number(_NOT_KNOWN),  # for code
        0xCE53635B: _number(_NOT_KNOWN),  # for mail
        0xCE536360: b"\0",  # no step-up
        0xCE5363B4: hashlib.sha1(der).digest(),  # noqa: S324 - NSS compares these two
        0xCE5363B5: hashlib.md5(der).digest(),  # noqa: S324 - as above
    }
    columns = ", ".join(f"a{number:x}" for number in sorted({*own, *trust}))
    try:
        with contextlib.closing(sqlite3.connect(profile / "cert9.db")) as database, database:
            database.execute(
                f"CREATE TABLE nssPublic (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, {columns})"
            )
            for number, entry in ((1, own), (2, trust)):
                names = ", ".join(f"a{each:x}" for each in entry)
                places = ", ".join("?" for _ in entry)
                database.execute(
                    f"INSERT INTO nssPublic (id, {names}) VALUES ({number}, {places})",  # noqa: S608 - our own numbers
                    tuple(entry.values()),
                )
    except sqlite3.Error as error:
        raise OSError(f"{profile / 'cert9.db'} cannot be written: {error}") from error


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _der_integer(value: int) -> bytes:
    """A positive one of less than 128 bytes (X.690, 8.3); serial numbers have 20 at most."""
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes((0x02, len(content))) + content
