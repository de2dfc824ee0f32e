"""What one segment of a path is: a word that somebody chose, or a value that a program filled in.

A value is written as a placeholder in braces: `17` and `5f2b9c31` are `{id}`, `2024-05-01` is
`{date}`, `main.8f3a2b1c.js` is `main.{hash}.js`. Everything here looks at one segment alone; what
only its siblings betray (`/wiki/Ada_Lovelace`) is found in `templates`. All patterns run in linear
time, since paths were written by strangers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final
from urllib.parse import unquote

from nbproxy.model.masking import default_masker

MAX_LENGTH: Final = 80
"""Segments beyond this are values, whatever they look like."""

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID_RE = re.compile(
    rf"\{{?(?:{_UUID})\}}?"
    r"|-?[0-9]{1,30}"
    r"|(?=[a-f]*+[0-9])[0-9a-f]{8,}"  # hexadecimal, and not a word such as "facade"
    r"|[0-7][0-9A-HJKMNP-TV-Z]{25}"  # ULID
    r"|(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
    r"|-?[0-9]{1,5}\.[0-9]+,-?[0-9]{1,5}\.[0-9]+"  # coordinates
    r"|(?-i:[A-Z][A-Z0-9]{1,9}-[0-9]{1,9})"  # PROJ-123
    r"|[^@\s/]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,24}",
    re.IGNORECASE,
)
_DATE_RE = re.compile(
    r"[0-9]{4}-[01][0-9](?:-[0-3][0-9])?"
    r"(?:T[0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_UUID_RE = re.compile(_UUID, re.IGNORECASE)
_WORD_RE = re.compile(r"[a-z]{1,20}|[A-Za-z]{1,20}[0-9]{0,2}")
_TOKEN_RE = re.compile(r"[A-Za-z0-9_~+=:-]{8,}")
_RUN_RE = re.compile(r"[A-Za-z0-9]{24}")
# "cus_9s6XKzkNRiz8i3": what it is the id of, then the id.
_PREFIXED_RE = re.compile(r"[A-Za-z]{1,12}_([A-Za-z0-9]{8,})")
_EXTENSION_RE = re.compile(r"(.+)(\.[A-Za-z][A-Za-z0-9]{0,7})")
# In names of files a short digest is enough to be one: "app-9f8e7d.js".
_DIGEST_RE = re.compile(r"(?=[a-f]*+[0-9])(?=[0-9]*+[a-f])[0-9a-f]{6,}")
_PARTS_RE = re.compile(r"([.~_-])")
_MATRIX_RE = re.compile(r";[^;=]*=.*\Z", re.DOTALL)


def classify(segment: str) -> str:
    """The segment as it stands in a template: itself, or with a placeholder for its value.

    Args:
        segment: As sent, between two slashes.

    Returns:
        Text in which braces are placeholders and nothing else; at most one in a segment.

    >>> classify("users"), classify("17"), classify("17.json"), classify("v2")
    ('users', '{id}', '{id}.json', 'v2')
    """
    if _WORD_RE.fullmatch(segment):
        return _literal(segment)
    return _classify(segment[: MAX_LENGTH + 1])


@lru_cache(maxsize=8192)
def _classify(segment: str) -> str:
    if ";" in segment:  # path parameters (RFC 3986, 3.3) such as ;jsessionid=...
        segment = _MATRIX_RE.sub("", segment)
    if len(segment) > MAX_LENGTH:
        return "{id}"
    plain = unquote(segment) if "%" in segment else segment
    whole = _value(plain)
    if whole:
        return whole
    match = _EXTENSION_RE.fullmatch(plain)
    if match is not None:
        stem, extension = match.groups()
        inner = _value(stem)
        if inner:
            return f"{inner}{extension.lower()}"
        found = _digest(stem)
        if found:
            return found + extension
    return _literal(segment)


def _literal(segment: str) -> str:
    if "{" in segment or "}" in segment:
        return segment.replace("{", "%7B").replace("}", "%7D")
    return segment


def _value(text: str) -> str:
    """The placeholder for text that is a value as a whole; "" if it may be a word."""
    if _DATE_RE.fullmatch(text):
        return "{date}"
    if _ID_RE.fullmatch(text) or is_token(text):
        return "{id}"
    # what is masked wherever it stands, such as a JSON web token
    return "{id}" if len(text) >= 16 and default_masker().mask_text(text) != text else ""


def _digest(stem: str) -> str:
    """A file's name with a placeholder for the digest of its content; "" if there is none."""
    parts = _PARTS_RE.split(stem)
    for position in range(len(parts) - 1, 1, -1):
        part = parts[position]
        if _DIGEST_RE.fullmatch(part) or is_token(part):
            if any("{" in other or "}" in other for other in parts):
                return ""
            parts[position] = "{hash}"
            return "".join(parts)
    return ""


def is_token(text: str) -> bool:
    """Whether this is text that no person chose: letters of both cases and digits, mixed.

    >>> is_token("dQw4w9WgXcQ"), is_token("getOAuth2Token"), is_token("how-to-cook-rice")
    (True, False, False)
    """
    if not _TOKEN_RE.fullmatch(text):
        return False
    prefixed = _PREFIXED_RE.fullmatch(text)
    if prefixed is not None:
        text = prefixed[1]
    digits = sum(map(str.isdigit, text))
    if not digits:
        return len(text) >= 16 and _changes(text) / len(text) >= 0.4
    if text.lower() == text or text.upper() == text:
        runs = max(map(len, re.split(r"[_~+=:-]", text)))
        return runs >= 8 and digits >= 3 and _changes(text) / len(text) >= 0.3
    if _RUN_RE.search(text):
        return True
    # random base 62 changes its kind at 62 of 100 letters, names in camel case at 35 or so
    return len(text) >= 10 and _changes(text) / len(text) >= (0.55 if len(text) < 16 else 0.42)


def _changes(text: str) -> int:
    """How often the kind of letter changes from one to the next."""
    kinds = [0 if c.isdigit() else 1 if c.islower() else 2 if c.isupper() else 3 for c in text]
    return sum(a != b for a, b in pairwise(kinds))


def is_value(name: str) -> bool:
    """Whether a name (of a JSON field, of a parameter) is a value: an id, a date, a token."""
    return "{" in classify(name) if len(name) <= MAX_LENGTH else True


def is_uuid(text: str) -> bool:
    """Whether this is a UUID (RFC 9562, 4)."""
    return _UUID_RE.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Whether this is a date, perhaps with a time, as ISO 8601 writes them."""
    return _DATE_RE.fullmatch(text) is not None
