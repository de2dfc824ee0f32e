"""The certificate authority: one key per installation, in the user's data directory.

Made at first use as `nbproxy-ca.pem`; a mitmproxy folder with its `mitmproxy-ca.pem` serves as
well, so that nobody has to trust twice. The key leaves this module only as signatures.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import plistlib
import re
import shlex
import uuid
import warnings
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509.oid import NameOID

from nbproxy.certs.files import create_private, prepare_folder, read_private, write_public
from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    _Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_OWN, _MITMPROXY = "nbproxy-ca", "mitmproxy-ca"
_LIFE = dt.timedelta(days=3650)
CLOCK_SKEW = dt.timedelta(days=2)
"""How far back certificates start, for clients whose clock is behind."""

_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)

_MIME_TYPES = {
    "pem": "application/x-x509-ca-cert",
    "cer": "application/x-x509-ca-cert",
    "crt": "application/x-x509-ca-cert",
    "p12": "application/x-pkcs12",
    "mobileconfig": "application/x-apple-aspen-config",
}
EXPORT_KINDS: tuple[str, ...] = tuple(_MIME_TYPES)
"""What `CertificateAuthority.export` can write."""


class CertificateAuthority:
    """Signs leaves; clients trust its certificate.

    Made by `load_or_create`, not by hand.

    Attributes:
        certificate: Its certificate.
        anchor: What clients have to trust: the certificate itself, or, if that is an
            intermediate one, the root that came with it.
        chain_pem: Certificates to send behind each leaf; empty if the CA is a root.
        key_file: Where the key lies.
        cert_file: A PEM file with the anchor and nothing else, for `verify=` and `--cacert`.
    """

    def __init__(
        self,
        key_file: Path,
        key: _Key,
        certificate: x509.Certificate,
        extra: Sequence[x509.Certificate],
    ) -> None:
        self._key = key
        self.key_file = key_file
        self.certificate = certificate
        chain = [certificate, *extra]
        roots = [each for each in chain if each.issuer == each.subject]
        self.anchor = roots[0] if roots else certificate
        self.chain_pem = b"".join(
            each.public_bytes(Encoding.PEM) for each in chain if each not in roots
        )
        self.cert_file = self._publish()

    @classmethod
    def load_or_create(cls, confdir: Path) -> CertificateAuthority:
        """The CA of a folder: nbproxy's, else mitmproxy's, else a new one.

        Processes that come here at the same moment get the same CA.

        Raises:
            ConfigError: A file or the folder cannot be trusted or used; says what to do.
        """
        confdir = confdir.expanduser()
        prepare_folder(confdir)
        for stem in (_OWN, _MITMPROXY):
            path = confdir / f"{stem}.pem"
            if os.path.lexists(path):
                return cls._load(path)
        path = confdir / f"{_OWN}.pem"
        create_private(path, _new_ca())
        return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> CertificateAuthority:
        data = read_private(path)
        key = _parse_key(path, data)
        try:
            certificates = x509.load_pem_x509_certificates(data)
        except (ValueError, x509.InvalidVersion):
            certificates = []
        public = key.public_key()
        own = next((each for each in certificates if _public_key(each) == public), None)
        if own is None:
            what = "no certificate for its key" if certificates else "no readable certificate"
            raise ConfigError(f"{path} holds {what}. {_renew(path)}")
        problem = _problem(own)
        if problem:
            raise ConfigError(f"The CA certificate in {path} {problem}. {_renew(path)}")
        return cls(path, key, own, [each for each in certificates if each != own])

    @property
    def certificate_pem(self) -> bytes:
        """The certificate for clients to trust, as PEM."""
        return self.anchor.public_bytes(Encoding.PEM)

    @property
    def certificate_der(self) -> bytes:
        """The certificate for clients to trust, as DER."""
        return self.anchor.public_bytes(Encoding.DER)

    @property
    def signer_der(self) -> bytes:
        """The certificate that signs leaves, as DER; not the anchor if that is a root above it."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def fingerprint_sha256(self) -> str:
        """SHA-256 of the certificate for clients, as systems show it: "AB:CD:..."."""
        return hashlib.sha256(self.certificate_der).digest().hex(":").upper()

    @property
    def not_after(self) -> dt.datetime:
        """When it ends to be valid, with time zone UTC."""
        return self.certificate.not_valid_after_utc

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """Sign a certificate that is complete but for its issuer."""
        return builder.issuer_name(self.certificate.subject).sign(self._key, _hash_for(self._key))

    def authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The extension that ties a leaf to this CA (RFC 5280, 4.2.1.1)."""
        try:
            own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        except x509.ExtensionNotFound:
            return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)

    def has_signed(self, *ders: bytes) -> bool:
        """Whether one of these certificates is ours: the CA's own, or signed by its key.

        An origin that shows one is we ourselves, or somebody with our key. Never raises.
        """
        return any(self._is_ours(der) for der in ders)

    def _is_ours(self, der: bytes) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd lengths and serials are the peer's doing
            try:
                other = x509.load_der_x509_certificate(der)
                if other != self.certificate:
                    other.verify_directly_issued_by(self.certificate)
            except Exception:  # noqa: BLE001 - bytes of a stranger; the errors share no base
                return False
        return True

    def export(self, kind: str) -> tuple[bytes, str, str]:
        """The certificate for clients, as a file to download; never the key.

        Args:
            kind: "pem"; "cer" or "crt" (DER; Windows and Android); "p12" (PKCS #12 without a
                key and password); "mobileconfig" (a profile for iOS and macOS).

        Returns:
            Content, media type and file name.

        Raises:
            ValueError: There is no such kind.
        """
        if kind not in _MIME_TYPES:
            raise ValueError(f"no CA export {kind!r}; there are {', '.join(_MIME_TYPES)}")
        if kind == "pem":
            data = self.certificate_pem
        elif kind == "p12":
            data = pkcs12.serialize_key_and_certificates(
                b"nbproxy", None, self.anchor, None, serialization.NoEncryption()
            )
        elif kind == "mobileconfig":
            data = self._profile()
        else:
            data = self.certificate_der
        return data, _MIME_TYPES[kind], f"{self.key_file.stem}-cert.{kind}"

    def _profile(self) -> bytes:
        """A configuration profile with the certificate in it.

        Its identifiers derive from the certificate, so that installing it again replaces it.
        """
        unique = uuid.uuid5(uuid.NAMESPACE_OID, self.fingerprint_sha256)
        inner = uuid.uuid5(unique, "certificate")
        name = f"nbproxy CA {self.fingerprint_sha256[:11]}"
        return plistlib.dumps(
            {
                "PayloadContent": [
                    {
                        "PayloadCertificateFileName": f"{self.key_file.stem}-cert.cer",
                        "PayloadContent": self.certificate_der,
                        "PayloadDescription": "Lets nbproxy show you your own HTTPS traffic.",
                        "PayloadDisplayName": name,
                        "PayloadIdentifier": f"nbproxy.{inner}",
                        "PayloadType": "com.apple.security.root",
                        "PayloadUUID": str(inner).upper(),
                        "PayloadVersion": 1,
                    }
                ],
                "PayloadDescription": "Remove this profile to end the trust in nbproxy.",
                "PayloadDisplayName": name,
                "PayloadIdentifier": f"nbproxy.{unique}",
                "PayloadRemovalDisallowed": False,
                "PayloadType": "Configuration",
                "PayloadUUID": str(unique).upper(),
                "PayloadVersion": 1,
            }
        )

    def _publish(self) -> Path:
        """See to it that the certificate files beside the key are there and are right.

        mitmproxy's own files are used if they fit and are never written.
        """
        folder, pem = self.key_file.parent, self.certificate_pem
        theirs = self.key_file.with_name(f"{self.key_file.stem}-cert.pem")
        if self.key_file.stem != _OWN and _read(theirs).strip() == pem.strip():
            return theirs
        path = folder / f"{_OWN}-cert.pem"
        stale = _read(path) != pem
        if stale:
            write_public(path, pem)
        for kind in ("cer", "p12"):
            other = path.with_suffix(f".{kind}")
            if stale or not other.exists():
                write_public(other, self.export(kind)[0])
        return path

    def __repr__(self) -> str:
        return f"<CertificateAuthority {str(self.key_file)!r} sha256={self.fingerprint_sha256}>"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _new_ca() -> bytes:
    """A new key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "nbproxy"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "nbproxy"),
        ]
    )
    start = dt.datetime.now(dt.UTC) - CLOCK_SKEW
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFE)
        # a stolen key cannot make further CAs (RFC 5280, 4.2.1.9)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + certificate.public_bytes(Encoding.PEM)


def key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    """The key usage extension with only what is named."""
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _parse_key(path: Path, data: bytes) -> _Key:
    block = _PRIVATE_KEY.search(data)
    if block is None:
        raise ConfigError(f"{path} holds no private key. {_renew(path)}")
    try:
        key = serialization.load_pem_private_key(block[0], None)
    except TypeError as error:  # this is how the library says "a password is needed"
        quoted = shlex.quote(str(path))
        raise ConfigError(
            f"The key in {path} is encrypted. Decrypt it: (umask 077; openssl pkey -in {quoted} && "
            f"openssl x509 -in {quoted}) > ca.tmp && mv ca.tmp {quoted}"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"The private key in {path} cannot be read. {_renew(path)}") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise ConfigError(
        f"The key in {path} is of a kind that TLS clients do not accept (wanted: RSA of 2048 "
        f"bits or more, or ECDSA). {_renew(path)}"
    )


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _problem(certificate: x509.Certificate) -> str:
    """Why a certificate cannot serve as a CA, or ""."""
    try:
        found = {type(each.value): each.value for each in certificate.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return f"is damaged ({error})"
    constraints, usage = found.get(x509.BasicConstraints), found.get(x509.KeyUsage)
    if not (isinstance(constraints, x509.BasicConstraints) and constraints.ca):
        return "is not that of a CA"
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        return "does not allow signing certificates"
    now = dt.datetime.now(dt.UTC)
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return (
            f"is valid only from {certificate.not_valid_before_utc:%Y-%m-%d}: the clock of this "
            "machine may be wrong"
        )
    return ""


def _renew(path: Path) -> str:
    old = shlex.quote(str(path))
    return (
        f"To have nbproxy make a new CA, which clients then have to trust anew, move this one "
        f"away: mv {old} {shlex.quote(f'{path}.old')} - or point the option confdir at "
        "another folder."
    )


def _hash_for(key: _Key) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256()
