"""Which names may stand in a certificate that we sign.

Names come from CONNECT lines, from SNI and from certificates of strangers, so each is checked
and brought to one form first: lower case, A-labels, no trailing dot. What has no such form is
left out; nothing here raises.
"""

from __future__ import annotations

import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

AltName: TypeAlias = str | IPv4Address | IPv6Address

FALLBACK_NAME = "invalid.nbproxy.invalid"
"""Stands in a leaf for which no usable name is known; `.invalid` never resolves (RFC 6761, 6.4)."""

MAX_UPSTREAM_NAMES = 100
"""Names taken over from an upstream's certificate; 100 is what the large public CAs allow."""

_MAX_NAME, _MAX_LABEL = 253, 63  # RFC 1035, 2.3.4, as text without the final dot
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")  # UTS 46, 2.3: these end a label too
_JOINERS = "\u200c\u200d"  # format characters that IDNA 2008 allows (RFC 5892, A.1 and A.2)


def dns_name(text: str, *, wildcard: bool = False) -> str | None:
    """The A-label form of a DNS name, or None if it cannot be one.

    Underscores pass, since hosts with them exist. A name whose last label is a number is
    an address mistyped, not a name (URL Standard, "ends in a number").

    Args:
        text: A name as it was sent, perhaps with U-labels.
        wildcard: Whether the first label may be `*`, with at least two labels behind it.
    """
    if not 0 < len(text) <= _MAX_NAME + 1:
        return None
    if not text.isascii():
        text = text.translate(_DOTS)
    text = text.removesuffix(".")
    first, _, rest = text.partition(".")
    if wildcard and first == "*":
        plain = dns_name(rest) if "." in rest else None
        return f"*.{plain}" if plain and len(plain) < _MAX_NAME - 1 else None
    labels = [_a_label(label) for label in text.split(".")]
    if None in labels or (labels[-1] or "").isdigit():
        return None
    name = ".".join(label for label in labels if label)
    return name if len(name) <= _MAX_NAME else None


def _a_label(label: str) -> str | None:
    """One label as it goes into DNS.

    Non-ASCII labels are mapped as browsers do, keeping sharp s and final sigma (UTS 46,
    nontransitional). Python's own "idna" codec would turn them into other names (IDNA 2003).
    """
    label = label.lower()
    if not label.isascii():
        if label[2:4] == "--":  # such a label is an A-label already (RFC 5891, 4.2.3.1)
            return None
        label = unicodedata.normalize("NFKC", label).lower()
        if any(unicodedata.category(char)[0] in "CZ" and char not in _JOINERS for char in label):
            return None
        if not label.isascii():
            label = "xn--" + label.encode("punycode").decode("ascii")
    if not 0 < len(label) <= _MAX_LABEL or not _LETTERS.issuperset(label):
        return None
    return label


def ip_name(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a host part spells, with or without brackets and zone, or None."""
    if not 0 < len(text) <= 100:  # longer than any address with a zone
        return None
    bare = text.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        return ip_address(bare)
    except ValueError:
        return None


def leaf_names(host: str, sni: str | None, upstream_names: Sequence[str]) -> tuple[AltName, ...]:
    """The names of a leaf, each once, the most important first; never empty.

    Args:
        host: The host of the CONNECT line, or the address that was dialled.
        sni: The server name of the ClientHello. An address there is left out (RFC 6066, 3).
        upstream_names: Names of the origin's own certificate; wildcards pass.
    """
    found: dict[AltName, None] = {}
    for name in (dns_name(host) or ip_name(host), dns_name(sni) if sni else None):
        if name is not None:
            found[name] = None
    for text in upstream_names[:MAX_UPSTREAM_NAMES]:
        name = dns_name(text, wildcard=True) or ip_name(text)
        if name is not None:
            found[name] = None
    return tuple(found) or (FALLBACK_NAME,)
