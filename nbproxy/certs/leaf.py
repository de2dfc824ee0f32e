"""Leaf certificates: what a client sees in the place of the origin's certificate.

One key serves all leaves of a `LeafCertificates`, so that a new name costs a signature and not
a key; making one takes about a millisecond and may run on the event loop. Python's ssl reads
certificates from files only, so they pass through memory that looks like a file.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import ssl
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nbproxy.certs.ca import CLOCK_SKEW, key_usage
from nbproxy.certs.certificate import Certificate
from nbproxy.certs.names import AltName, leaf_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.certs.ca import CertificateAuthority

    _CacheKey: TypeAlias = tuple[tuple[AltName, ...], str | None]

# Safari and Chrome refuse more than 398 days from begin to end (CA/B BR 6.3.2)
_LIFE = dt.timedelta(days=365)
_RENEW_BEFORE = dt.timedelta(days=7)
_MAX_SUBJECT_PART = 64  # ub-common-name and ub-organization-name, RFC 5280, appendix A.1


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf and the server-side TLS context that shows it.

    Attributes:
        context: Shared by all connections that ask for these names; not to be changed.
        certificate: The leaf.
        names: Its subjectAltName, in order.
    """

    context: ssl.SSLContext
    certificate: Certificate
    names: tuple[str, ...]


class LeafCertificates:
    """Makes and keeps leaves. Any thread may ask.

    Args:
        ca: Signs them.
        cache_size: Leaves kept; some 20 kB each. The one unused longest goes first.
        alpn: Protocols offered to clients, best first.
    """

    def __init__(
        self,
        ca: CertificateAuthority,
        *,
        cache_size: int = 1000,
        alpn: Sequence[str] = ("http/1.1",),
    ) -> None:
        self.ca = ca
        self.cache_size = cache_size
        self.alpn = tuple(alpn)
        self._cache: OrderedDict[_CacheKey, tuple[Leaf, dt.datetime]] = OrderedDict()
        # Proxies in private threads may share one; making a leaf inside keeps it to one per name
        self._lock = threading.Lock()

    def context_for(
        self,
        host: str,
        *,
        sni: str | None = None,
        upstream_names: Sequence[str] = (),
        organization: str | None = None,
    ) -> ssl.SSLContext:
        """The server-side context of `leaf_for`, which has the same arguments."""
        return self.leaf_for(
            host, sni=sni, upstream_names=upstream_names, organization=organization
        ).context

    def leaf_for(
        self,
        host: str,
        *,
        sni: str | None = None,
        upstream_names: Sequence[str] = (),
        organization: str | None = None,
    ) -> Leaf:
        """The leaf for a client that asked for these names; made if need be.

        Names that cannot be names are left out, whoever sent them; this never raises for them.

        Args:
            host: Host of the CONNECT line, or the address dialled; U-labels are encoded.
            sni: Server name of the ClientHello, if it has one.
            upstream_names: Names of the origin's own certificate (`names_of`).
            organization: Its organization, shown by browsers.
        """
        names = leaf_names(host, sni, upstream_names)
        key = (names, _subject_part(organization))
        now = dt.datetime.now(dt.UTC)
        with self._lock:
            found = self._cache.get(key)
            if found is not None and now < found[1]:
                self._cache.move_to_end(key)
                return found[0]
            leaf = self._make(names, key[1], now)
            self._cache[key] = (leaf, now + _LIFE - CLOCK_SKEW - _RENEW_BEFORE)
            self._cache.move_to_end(key)
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
            return leaf

    def __len__(self) -> int:
        """How many leaves are kept."""
        return len(self._cache)

    def __repr__(self) -> str:
        return f"<LeafCertificates {len(self)} of at most {self.cache_size}>"

    def _make(self, names: tuple[AltName, ...], organization: str | None, now: dt.datetime) -> Leaf:
        subject = _subject(names[0], organization)
        start = max(now - CLOCK_SKEW, self.ca.certificate.not_valid_before_utc)
        end = min(start + _LIFE, self.ca.not_after)
        general = [
            x509.DNSName(name) if isinstance(name, str) else x509.IPAddress(name) for name in names
        ]
        signed = self.ca.sign(
            self._template.subject_name(subject)
            .serial_number(x509.random_serial_number())  # 159 bits, positive (RFC 5280, 4.1.2.2)
            .not_valid_before(start)
            .not_valid_after(end)
            # critical if it is the only name there is (RFC 5280, 4.2.1.6)
            .add_extension(x509.SubjectAlternativeName(general), critical=not list(subject))
        )
        leaf_pem = signed.public_bytes(serialization.Encoding.PEM)
        # a root may be left out (RFC 8446, 4.4.2); Chromium can be told to trust one that is sent
        anchor_pem = self.ca.anchor.public_bytes(serialization.Encoding.PEM)
        root_pem = b"" if anchor_pem in self.ca.chain_pem else anchor_pem
        context = self._context(self._key_pem + leaf_pem + self.ca.chain_pem + root_pem)
        certificate = Certificate(signed.public_bytes(serialization.Encoding.DER))
        return Leaf(context, certificate, tuple(str(name) for name in names))

    def _context(self, pem: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(self.alpn)
        _load_chain(context, pem)
        return context

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def _key_pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @cached_property
    def _template(self) -> x509.CertificateBuilder:
        """What is the same in all leaves."""
        public = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(self.ca.authority_key_identifier(), critical=False)
        )


def _subject(first: AltName, organization: str | None) -> x509.Name:
    parts = []
    if len(str(first)) <= _MAX_SUBJECT_PART:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, str(first)))
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _subject_part(text: str | None) -> str | None:
    """A stranger's text as it may stand in a subject: printable, encodable, short."""
    shown = "".join(char for char in (text or "")[:_MAX_SUBJECT_PART] if char.isprintable())
    return shown.strip() or None


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Give a key and its chain to a context, leaving nothing behind on disk."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("nbproxy-leaf", os.MFD_CLOEXEC)
        try:
            os.write(fd, pem)
            with contextlib.suppress(FileNotFoundError, PermissionError):  # no /proc in a sandbox
                context.load_cert_chain(f"/proc/self/fd/{fd}")
                return
        finally:
            os.close(fd)
    with tempfile.NamedTemporaryFile(prefix="nbproxy-") as file:  # mode 0600
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
