"""Certificates between PEM, as files of flows have them, and DER, as the model has them.

Only the wrapping is read (RFC 7468): what is inside is not looked at.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error, a2b_base64
from functools import lru_cache

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*+)-----END CERTIFICATE-----")


@lru_cache(maxsize=512)
def der_of(pem: bytes) -> bytes:
    """The certificate in a PEM text; cached, since connections to one server show the same.

    Raises:
        ValueError: There is none.
    """
    match = _PEM.search(pem)
    if match is None:
        raise ValueError("this is no certificate in PEM")
    try:
        return a2b_base64(match[1])
    except Error as error:
        raise ValueError(f"a certificate that is not Base64: {error}") from None


@lru_cache(maxsize=512)
def pem_of(der: bytes) -> bytes:
    """The certificate as PEM text, in lines of 64 characters (RFC 7468, 2)."""
    text = b64encode(der)
    lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"-----BEGIN CERTIFICATE-----\n" + lines + b"\n-----END CERTIFICATE-----\n"


def looks_like_certificate(der: bytes) -> bool:
    """Whether this is one DER sequence, neither cut nor followed by more (X.690, 8.1)."""
    if len(der) < 4 or der[0] != 0x30:
        return False
    size = der[1]
    if size < 0x80:
        return len(der) == 2 + size
    digits = size & 0x7F
    return 0 < digits <= 4 and len(der) == 2 + digits + int.from_bytes(der[2 : 2 + digits], "big")
