"""Certificates: our own CA, the leaves it signs for clients, and what we trust upstream.

The only room that imports cryptography. `CertificateAuthority` is the key in the user's data
directory; `LeafCertificates` turns host names into server-side TLS contexts; `upstream_context`
and `explain` are the other direction: whom we trust, and in words why not. `Certificate` shows
what somebody else's certificate says. Nothing a peer sends makes any of them raise.
"""

from __future__ import annotations

from nbproxy.certs.ca import EXPORT_KINDS, CertificateAuthority
from nbproxy.certs.certificate import Certificate, describe, names_of
from nbproxy.certs.explain import explain, explain_client
from nbproxy.certs.leaf import Leaf, LeafCertificates
from nbproxy.certs.trust import peer_chain, upstream_context

__all__ = [
    "EXPORT_KINDS",
    "Certificate",
    "CertificateAuthority",
    "Leaf",
    "LeafCertificates",
    "describe",
    "explain",
    "explain_client",
    "names_of",
    "peer_chain",
    "upstream_context",
]
