"""What a certificate says, read from its DER without trust in it.

A peer may send any bytes as a certificate, and OpenSSL accepts some that stricter readers do
not. So nothing here raises on bytes off the wire: what cannot be read is empty.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Certificate:
    """A certificate, parsed when first asked.

    Attribute names are those of mitmproxy's `Cert`. Compares by its bytes.
    """

    def __init__(self, der: bytes) -> None:
        self._der = bytes(der)

    @classmethod
    def from_pem(cls, data: bytes | str) -> Certificate:
        """The first certificate of a PEM text.

        Raises:
            ValueError: There is none.
        """
        text = data.decode("latin-1") if isinstance(data, bytes) else data
        begin = text.find(ssl.PEM_HEADER)
        end = text.find(ssl.PEM_FOOTER, begin)
        if begin < 0 or end < 0:
            raise ValueError("no certificate in this PEM text")
        return cls(ssl.PEM_cert_to_DER_cert(text[begin : end + len(ssl.PEM_FOOTER)]))

    def to_pem(self) -> bytes:
        """The certificate as PEM."""
        return ssl.DER_cert_to_PEM_cert(self._der).encode("ascii")

    def to_der(self) -> bytes:
        """The certificate's bytes."""
        return self._der

    def fingerprint(self) -> bytes:
        """The SHA-256 of the DER."""
        return hashlib.sha256(self._der).digest()

    @cached_property
    def subject(self) -> list[tuple[str, str]]:
        """Pairs such as ("CN", "example.org"), in the certificate's order."""
        return self._read(lambda parsed: _pairs(parsed.subject), [])

    @cached_property
    def issuer(self) -> list[tuple[str, str]]:
        """Pairs such as ("O", "Let's Encrypt"), in the certificate's order."""
        return self._read(lambda parsed: _pairs(parsed.issuer), [])

    @property
    def cn(self) -> str | None:
        """The subject's first common name."""
        return next((value for key, value in self.subject if key == "CN"), None)

    @property
    def organization(self) -> str | None:
        """The subject's first organization."""
        return next((value for key, value in self.subject if key == "O"), None)

    @cached_property
    def serial(self) -> int:
        """The serial number; 0 if it cannot be read."""
        return self._read(lambda parsed: parsed.serial_number, 0)

    @cached_property
    def notbefore(self) -> dt.datetime | None:
        """Begin of validity, with time zone UTC."""
        return self._read(lambda parsed: parsed.not_valid_before_utc, None)

    @cached_property
    def notafter(self) -> dt.datetime | None:
        """End of validity, with time zone UTC."""
        return self._read(lambda parsed: parsed.not_valid_after_utc, None)

    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.notafter is not None and dt.datetime.now(dt.UTC) > self.notafter

    @cached_property
    def altnames(self) -> list[str]:
        """DNS names and IP addresses of the subjectAltName extension."""
        return self._read(_altnames, [])

    @cached_property
    def keyinfo(self) -> tuple[str, int]:
        """Kind and size in bits of the public key: ("RSA", 2048), ("EC (secp256r1)", 256)."""
        return self._read(_keyinfo, ("unknown", 0))

    @cached_property
    def _parsed(self) -> x509.Certificate | None:
        try:
            return x509.load_der_x509_certificate(self._der)
        except Exception:  # noqa: BLE001 - any bytes come here, and the errors share no base
            return None

    def _read(self, read: Callable[[x509.Certificate], _T], default: _T) -> _T:
        """One field, or the default if the certificate has none that can be read."""
        with warnings.catch_warnings():
            # lengths and serials that are off are the peer's doing, not for a user's cell
            warnings.simplefilter("ignore")
            try:
                return default if self._parsed is None else read(self._parsed)
            except Exception:  # noqa: BLE001 - as above; fields are parsed one by one
                return default

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and self._der == other._der

    def __hash__(self) -> int:
        return hash(self._der)

    def __repr__(self) -> str:
        return f"<Certificate cn={self.cn!r} altnames={self.altnames[:5]!r}>"


def _pairs(name: x509.Name) -> list[tuple[str, str]]:
    return [
        (
            part.rfc4514_attribute_name,
            part.value if isinstance(part.value, str) else part.value.hex(),
        )
        for part in name
    ]


def _altnames(parsed: x509.Certificate) -> list[str]:
    names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    dns = names.get_values_for_type(x509.DNSName)
    return [*dns, *(str(address) for address in names.get_values_for_type(x509.IPAddress))]


def _keyinfo(parsed: x509.Certificate) -> tuple[str, int]:
    key = parsed.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC ({key.curve.name})", key.key_size
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA", key.key_size
    return type(key).__name__.removesuffix("PublicKey"), 0


def names_of(der: bytes) -> tuple[list[str], str | None]:
    """The names to carry over from an upstream's certificate, and its organization.

    Returns:
        The subjectAltName's DNS names and addresses, else the common name if there is one;
        `([], None)` for garbage.
    """
    certificate = Certificate(der)
    names = certificate.altnames or [certificate.cn or ""]
    return [name for name in names if name], certificate.organization


def describe(der: bytes) -> dict[str, object]:
    """What a certificate says, as plain values: for records, tables and exports.

    Returns:
        `subject`, `issuer` (pairs), `serial`, `notbefore`, `notafter` (aware datetimes or
        None), `altnames`, `keyinfo` and `sha256` (hex).
    """
    certificate = Certificate(der)
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "notbefore": certificate.notbefore,
        "notafter": certificate.notafter,
        "altnames": certificate.altnames,
        "keyinfo": certificate.keyinfo,
        "sha256": certificate.fingerprint().hex(),
    }
