"""YAML 1.2 of plain data: what JSON can say, laid out for reading. Only writing, no library.

Text that YAML could take for something else is written between double quotes, escaped as in JSON,
of which YAML is a superset.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Text that no YAML reader, of 1.1 or 1.2, takes for anything but this text.
_PLAIN_RE = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./{}$ -]*(?<! )")
_WORDS = re.compile(r"(?:true|false|yes|no|on|off|null|y|n)\Z", re.IGNORECASE)
# What JSON leaves as it is and YAML does not allow (YAML 1.2.2, 5.1), or not everywhere.
_UNPRINTABLE_RE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def dump(data: Any) -> str:
    """The data as YAML.

    Args:
        data: Dicts with text as keys, lists, text, numbers, booleans, None.

    Raises:
        TypeError: There is something else in it.
    """
    return "\n".join(_lines(data)) + "\n"


def _lines(data: Any) -> Iterator[str]:
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _member(f"{_text(key)}:", value)
    elif isinstance(data, list) and data:
        for item in data:
            inside = list(_lines(item))
            yield f"- {inside[0]}"
            yield from (f"  {line}" for line in inside[1:])
    else:
        yield _scalar(data)


def _member(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
            text = repr(value)  # YAML 1.1 wants a point before an exponent
            return text if "." in text or "e" not in text else text.replace("e", ".0e")
        case str():
            return _text(value)
        case {} | []:
            return json.dumps(value)
        case _:
            raise TypeError(f"YAML is written of plain data, not of {type(value).__name__}")


def _text(value: str) -> str:
    if _PLAIN_RE.fullmatch(value) and not _WORDS.match(value):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE_RE.sub(_escape, quoted)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    # a lone surrogate is no character, and cannot be written in any way
    return "\\uFFFD" if 0xD800 <= code < 0xE000 else f"\\u{code:04X}"
