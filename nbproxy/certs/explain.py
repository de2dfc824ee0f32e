"""What went wrong in a TLS handshake, in a sentence for error pages and flows.

OpenSSL names the rule that broke; people need to know whose certificate it was, which check it
failed, and what they can do.
"""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

from nbproxy.certs.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.certs.ca import CertificateAuthority

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET_VALID, _EXPIRED = 9, 10
_HOST_MISMATCH, _IP_MISMATCH = 62, 64
_UNKNOWN_ISSUER = frozenset({2, 20, 21, 27})
_WEAK_KEY, _WEAK_CA_KEY, _WEAK_DIGEST = 66, 67, 68

_TRUST_IT = "If its CA is one of yours, name its file by ssl_verify_upstream_trusted_ca."
_CHECKS = {
    7: "the signature of a certificate in its chain is wrong.",
    18: f"its certificate is self-signed and not among the trusted ones. {_TRUST_IT}",
    19: f"its chain ends in a root certificate that is not trusted. {_TRUST_IT}",
    22: "its chain of certificates is too long.",
    23: "its certificate has been revoked.",
    24: "a certificate in its chain was issued by one that is not a CA.",
    25: "its chain is longer than a CA in it allows.",
    26: "its certificate is not meant for servers.",
    28: "the system's store rejects a certificate in its chain.",
    47: "a CA in its chain is not allowed to issue for this name.",
    48: "a CA in its chain is forbidden to issue for this name.",
    _WEAK_KEY: "the key of its certificate is too short to be safe.",
    _WEAK_CA_KEY: "the key of a CA in its chain is too short to be safe.",
    _WEAK_DIGEST: "a certificate in its chain is signed with a digest that is broken (SHA-1, MD5).",
    79: "a certificate in its chain was issued by one that is not a CA.",
}

# Fragments of OpenSSL's reason codes, looked for in this order. What an ALERT says comes from
# the peer, the others from our own side.
_REASONS: tuple[tuple[str, str], ...] = (
    ("CERTIFICATE_REQUIRED", "{host} wants a client certificate, and none is configured."),
    ("UNSAFE_LEGACY_RENEGOTIATION", "{host} only speaks a TLS without secure renegotiation."),
    ("ALERT_PROTOCOL_VERSION", "{host} speaks none of the TLS versions 1.2 and 1.3."),
    ("UNSUPPORTED_PROTOCOL", "{host} speaks only a version of TLS that is no longer safe."),
    ("WRONG_VERSION_NUMBER", "{host} answered with something that is not TLS, perhaps plain HTTP."),
    ("HTTP_REQUEST", "{host} answered with plain HTTP instead of TLS."),
    ("RECORD_LAYER_FAILURE", "{host} answered with something that is not TLS."),
    ("PACKET_LENGTH_TOO_LONG", "{host} answered with something that is not TLS."),
    ("NO_APPLICATION_PROTOCOL", "{host} speaks none of the protocols offered (ALPN)."),
    ("UNRECOGNIZED_NAME", "{host} does not know itself under this name (SNI)."),
    ("KEY_TOO_SMALL", "{host} uses a key too short to be safe."),
    ("LEGACY_SIGALG", "{host} signs with an algorithm that is no longer safe."),
    ("WRONG_SIGNATURE_TYPE", "{host} signs with an algorithm that is no longer safe."),
    ("HANDSHAKE_FAILURE", "{host} found no cipher it likes, or wants a client certificate."),
    ("ALERT_BAD_CERTIFICATE", "{host} wants a client certificate other than the one it got."),
    ("ALERT_UNKNOWN_CA", "{host} does not trust the client certificate it got."),
    ("ALERT_INTERNAL_ERROR", "{host} reports a fault of its own (alert internal_error)."),
    ("UNEXPECTED_EOF", "{host} closed the connection in the middle of it."),
)

_CLIENT_DISTRUST = ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "BAD_CERTIFICATE", "ACCESS_DENIED")
_CLIENT_REASONS: tuple[tuple[str, str], ...] = (
    ("ALERT_CERTIFICATE_EXPIRED", "the client finds our certificate expired; compare the clocks."),
    ("UNSUPPORTED_PROTOCOL", "the client speaks only a version of TLS that is no longer safe."),
    ("VERSION_TOO_LOW", "the client speaks only a version of TLS that is no longer safe."),
    ("NO_SHARED_CIPHER", "the client and we have no cipher in common."),
    ("NO_SUITABLE_SIGNATURE_ALGORITHM", "the client cannot check ECDSA signatures."),
    ("HTTP_REQUEST", "the client sent plain HTTP instead of TLS."),
    ("WRONG_VERSION_NUMBER", "the client sent something that is not TLS."),
)


def explain(error: OSError, host: str, chain: Sequence[bytes] = ()) -> str:
    """Why TLS with an origin failed, in a sentence or two.

    Args:
        error: What the handshake raised: an `SSLError`, or another `OSError`.
        host: The origin's name.
        chain: The certificates it showed (`peer_chain`), to name dates and names.
    """
    host = _shown(host)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {host} did not pass: {_check(error, host, chain)}"
    begin = f"No TLS with {host}: "
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"{begin}{host} closed the connection in the middle of it."
    if isinstance(error, ssl.SSLError):
        reason = _reason(error)
        for fragment, text in _REASONS:
            if fragment in reason:
                return begin + text.format(host=host)
        return f"{begin}{_plain(reason) or _shown(str(error))}."
    return begin + _broken(error, host)


def explain_client(error: OSError, name: str, ca: CertificateAuthority | None = None) -> str:
    """Why TLS with a client failed, in a sentence or two.

    Args:
        error: What the handshake raised: an `SSLError`, or another `OSError`.
        name: The name that the client asked for.
        ca: Ours, to say which file it should trust.
    """
    begin = f"No TLS with the client for {_shown(name)}: "
    file = f" ({ca.cert_file})" if ca is not None else ""
    reason = _reason(error)
    for fragment, text in _CLIENT_REASONS:
        if fragment in reason:
            return begin + text
    if "ALERT" in reason and any(fragment in reason for fragment in _CLIENT_DISTRUST):
        return f"{begin}the client does not trust the CA of nbproxy{file}. Let it trust that file."
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
        return (
            f"{begin}it closed the connection in the middle of it, as clients do that do not trust "
            f"the CA of nbproxy{file} or accept only one certificate."
        )
    if reason:
        return f"{begin}{_plain(reason)}."
    return begin + _broken(error, "the client")


def _check(error: ssl.SSLCertVerificationError, host: str, chain: Sequence[bytes]) -> str:
    """The check that failed, in words."""
    code = getattr(error, "verify_code", 0)
    if code in (_EXPIRED, _NOT_YET_VALID):
        return _time(chain, expired=code == _EXPIRED)
    if code in (_HOST_MISMATCH, _IP_MISMATCH):
        return f"it is not made for {host}{_made_for(chain)}."
    if code in _UNKNOWN_ISSUER:
        issuer = _issuer(chain)
        return (
            f"its issuer{issuer} is unknown: not among the trusted CAs, or the server does not "
            f"send its intermediate certificate. {_TRUST_IT}"
        )
    if code in _CHECKS:
        return _CHECKS[code]
    message = getattr(error, "verify_message", "") or str(error)
    return f"{_shown(message).rstrip('.')}."


def _time(chain: Sequence[bytes], *, expired: bool) -> str:
    now = dt.datetime.now(dt.UTC)
    certificates = [Certificate(der) for der in chain]
    for place, each in enumerate(certificates):
        whose = "it" if place == 0 else f"the CA certificate {_named(each)}that it hangs on"
        if expired and each.notafter and each.notafter < now:
            return f"{whose} expired on {each.notafter:%Y-%m-%d}."
        if not expired and each.notbefore and each.notbefore > now:
            return f"{whose} is valid only from {each.notbefore:%Y-%m-%d}."
    if expired:
        return "it, or a CA certificate that it hangs on, has expired."
    return "it, or a CA certificate that it hangs on, is not valid yet."


def _named(certificate: Certificate) -> str:
    return f'"{_shown(certificate.cn)}" ' if certificate.cn else ""


def _made_for(chain: Sequence[bytes]) -> str:
    names = Certificate(chain[0]).altnames if chain else []
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f" but for {', '.join(_shown(name) for name in names[:4])}{more}"


def _issuer(chain: Sequence[bytes]) -> str:
    pairs = dict(reversed(Certificate(chain[-1]).issuer)) if chain else {}
    name = pairs.get("CN") or pairs.get("O")
    return f' "{_shown(name)}"' if name else ""


def _broken(error: OSError, who: str) -> str:
    if isinstance(error, TimeoutError):
        return f"{who} did not finish it in time."
    if isinstance(error, ConnectionError):
        return f"{who} broke the connection in the middle of it."
    return f"{_shown(error.strerror or str(error) or type(error).__name__)}."


def _reason(error: OSError) -> str:
    """OpenSSL's reason code; errors that Python raises by itself have none."""
    return getattr(error, "reason", None) or ""


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")


def _shown(text: str) -> str:
    """A stranger's text on one short line."""
    return "".join(char if char.isprintable() else "?" for char in text[:255])
