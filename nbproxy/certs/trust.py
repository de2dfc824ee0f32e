"""Whom we trust upstream: the client side of TLS.

Checks are the same on every Python: host name, time, chain up to a root in the system's store,
and the rules of RFC 5280 in full (`VERIFY_X509_STRICT`, Python's own default from 3.13 on).
A chain has to end in a root: `VERIFY_X509_PARTIAL_CHAIN` is off. Our own CA is not trusted,
even where the user made the system trust it (see `refuse`).
"""

from __future__ import annotations

import importlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.certs.ca import CertificateAuthority

_LEGACY_SERVER_CONNECT = 0x4  # SSL_OP_LEGACY_SERVER_CONNECT; ssl has the name from 3.12 on
_ENCODING_DER = 2  # _ssl.ENCODING_DER, which has no public name


def upstream_context(
    *,
    insecure: bool = False,
    trusted_ca: Path | None = None,
    alpn: Sequence[str] = ("http/1.1",),
    refuse: CertificateAuthority | None = None,
) -> ssl.SSLContext:
    """A context for connections to origins. Making one takes some 20 ms, so keep it.

    No key log is written, whatever SSLKEYLOGFILE says.

    Args:
        insecure: Check nothing, and speak to servers of any age (TLS 1.0, short keys).
        trusted_ca: A PEM file, or a folder hashed by `openssl rehash`, that replaces the
            system's store.
        alpn: Protocols offered, best first; empty for none.
        refuse: Our own CA, which is left out of what the system trusts. A store that is a
            hashed folder is read by OpenSSL as it goes and cannot be filtered, so ask
            `refuse.has_signed(*peer_chain(ssl_object))` after the handshake too.

    Raises:
        ConfigError: `trusted_ca` cannot be used, or there is no store at all.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # requires certificate and host name
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.options |= _LEGACY_SERVER_CONNECT
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context
    context.hostname_checks_common_name = False  # names stand in subjectAltName (RFC 9525, 2)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
    if trusted_ca is not None:
        _trust_path(context, trusted_ca.expanduser(), refuse)
    elif not _trust_system(context, refuse):
        _trust_certifi(context)
    return context


def peer_chain(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """The certificates that the peer sent, as DER, its own first; empty if it sent none.

    Works after a handshake that failed in verification too, so that it can be recorded.
    """
    # 3.13 made this public as SSLObject.get_unverified_chain; what is under it is there since 3.10
    inner = getattr(ssl_object, "_sslobj", None)
    if inner is None:
        return []
    return [each.public_bytes(_ENCODING_DER) for each in inner.get_unverified_chain() or ()]


def _trust_path(context: ssl.SSLContext, path: Path, refuse: CertificateAuthority | None) -> None:
    option = "ssl_verify_upstream_trusted_ca"
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
            return
        found = _certificates(path.read_bytes())
        if refuse is not None and refuse.signer_der in found:
            raise ConfigError(
                f"{option}: {path} holds nbproxy's own CA, which must not be trusted upstream. "
                "Name the file with the origin's CA."
            )
        context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise ConfigError(f"{option}: {path} holds no certificate in PEM form.") from error
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be read: {error.strerror}.") from error


def _trust_system(context: ssl.SSLContext, refuse: CertificateAuthority | None) -> bool:
    """Load the system's store without our CA; False if there is none."""
    paths = ssl.get_default_verify_paths()
    if refuse is None or refuse.signer_der not in _file_certificates(paths.cafile):
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return bool(context.cert_store_stats()["x509"]) or _is_hashed(paths.capath)
    # Our CA is in the bundle. Often it is all of it: SSL_CERT_FILE was set to make clients in
    # this very kernel trust us. Then the store that the variable hides has to serve.
    for file, folder in (
        (paths.cafile, paths.capath),
        (paths.openssl_cafile, paths.openssl_capath),
    ):
        rest = [each for each in _file_certificates(file) if each != refuse.signer_der]
        if rest:
            context.load_verify_locations(cadata=b"".join(rest))
            return True
        if _is_hashed(folder):
            context.load_verify_locations(capath=folder)
            return True
    return False


def _trust_certifi(context: ssl.SSLContext) -> None:
    try:
        certifi = importlib.import_module("certifi")
    except ImportError as error:
        raise ConfigError(
            "No trusted root certificates were found on this system, so no origin can be "
            "verified. Install the package ca-certificates, or run: pip install certifi - or "
            "name a PEM file by the option ssl_verify_upstream_trusted_ca."
        ) from error
    context.load_verify_locations(cafile=certifi.where())


def _is_hashed(folder: str | None) -> bool:
    """Whether OpenSSL finds certificates there, which it looks up by the hash of a subject."""
    return folder is not None and any(Path(folder).glob("????????.[0-9]"))


def _file_certificates(file: str | None) -> list[bytes]:
    try:
        return _certificates(Path(file).read_bytes()) if file else []
    except OSError:
        return []


def _certificates(data: bytes) -> list[bytes]:
    """The DER of each certificate in a PEM bundle; what is damaged is left out."""
    found = []
    for part in data.decode("latin-1").split(ssl.PEM_HEADER)[1:]:
        body, footer, _ = part.partition(ssl.PEM_FOOTER)
        try:
            found.append(ssl.PEM_cert_to_DER_cert(f"{ssl.PEM_HEADER}{body}{footer}"))
        except ValueError:
            continue
    return found
