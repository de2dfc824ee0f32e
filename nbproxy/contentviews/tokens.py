"""What is written in base64: JSON web tokens (RFC 7519), and whole bodies (RFC 4648)."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from nbproxy.contentviews import json_tree
from nbproxy.contentviews.msgpack import moment
from nbproxy.model.masking import default_masker

if TYPE_CHECKING:
    from nbproxy.contentviews.building import TreeBuilder

_JWT: Final = re.compile(
    r'\s*+"?(?:Bearer )?(eyJ[A-Za-z0-9_-]*+)\.([A-Za-z0-9_-]*+)\.([A-Za-z0-9_-]*+)"?\s*+'
)
_JWE: Final = re.compile(r'\s*+"?(eyJ[A-Za-z0-9_-]*+)((?:\.[A-Za-z0-9_-]*+){4})"?\s*+')
_BASE64: Final = re.compile(r"\s*+(?:[A-Za-z0-9+/]{4}|[\r\n])*+[A-Za-z0-9+/]{0,3}={0,2}\s*+")
_BASE64_URL: Final = re.compile(r"\s*+[A-Za-z0-9_-]++={0,2}\s*+")
_MIN_BASE64: Final = 16
_TIMES: Final = frozenset({"exp", "iat", "nbf", "auth_time"})


def is_jwt(text: str) -> bool:
    """Whether a text is one JSON web token and nothing else."""
    return len(text) < 100_000 and bool(_JWT.fullmatch(text) or _JWE.fullmatch(text))


def read_jwt(text: str, builder: TreeBuilder, *, reveal: bool) -> list[str]:
    """Report header and payload of a token; its signature only to who may see secrets.

    Returns:
        Notes.
    """
    signed = _JWT.fullmatch(text)
    encrypted = None if signed else _JWE.fullmatch(text)
    match = signed or encrypted
    if match is None:
        return ["It is no JSON web token."]
    notes: list[str] = []
    builder.rewrite = time_of
    builder.open("object")
    named = [("header", match[1]), *([("payload", match[2])] if signed else [])]
    for name, coded in named:
        builder.key(name)
        try:
            plain = decode(coded).decode("utf-8", "surrogateescape")
        except ValueError:
            builder.leaf("invalid", "(not base64)")
            continue
        seen = builder.depth
        notes += json_tree.read(plain, builder)
        while builder.depth > seen:
            builder.close()
    rest = match[3] if signed else match[2][1:]
    builder.key("signature" if signed else "encrypted")
    builder.leaf("base64", rest if reveal else default_masker().mask(rest))
    builder.close()
    return notes


def time_of(key: str | None, _depth: int, value: str) -> tuple[str, str] | None:
    """The claims that are times, with their date."""
    if key in _TIMES and value.isdecimal() and len(value) < 12:
        return "number", f"{value} ({moment(int(value), 0)})"
    return None


def is_base64(text: str) -> bool:
    """Whether a whole text is likely base64: no words, and a length that fits."""
    head = text[:65_536]
    if len(head.strip()) < _MIN_BASE64 or not _BASE64.fullmatch(head):
        return len(head) >= 64 and bool(_BASE64_URL.fullmatch(head)) and _is_mixed(head)
    return _is_mixed(head)


def _is_mixed(text: str) -> bool:
    """Upper and lower case and digits, or padding: as words are not."""
    sample = text[:200].strip()
    kinds = [str.islower, str.isupper, str.isdigit]
    return text.rstrip().endswith("=") or all(any(map(kind, sample)) for kind in kinds)


def decode(text: str) -> bytes:
    """Base64 of either alphabet, with or without padding.

    Raises:
        ValueError: It is not.
    """
    plain = re.sub(r"\s++", "", text).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        raw = plain.encode("ascii")
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError(f"not base64: {error}") from None
