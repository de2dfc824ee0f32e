"""`mitmproxy.utils.strutils`, `.human` and `net.http.cookies`, as scripts use them."""

from __future__ import annotations

import codecs
import re
import time
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Any, Final

from nbproxy.model.cookies import (
    CookieAttrs,
    SetCookie,
    format_cookie_header,
    parse_cookie_header,
    parse_set_cookie,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# -- strutils


def always_bytes(value: str | bytes | None, *args: Any) -> bytes | None:
    """Text encoded; bytes and None as they are."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(*(args or ("utf-8",)))
    raise TypeError(f"expected text or bytes, not {type(value).__name__}")


def always_str(value: str | bytes | None, *args: Any) -> str | None:
    """Bytes decoded; text and None as they are."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(*(args or ("utf-8",)))
    raise TypeError(f"expected text or bytes, not {type(value).__name__}")


def bytes_to_escaped_str(
    data: bytes, keep_spacing: bool = False, escape_single_quotes: bool = False
) -> str:
    r"""Bytes as text with Python's escapes; the inverse is `escaped_str_to_bytes`."""
    text = repr(b'"' + data)[3:-1]  # the double quote makes repr use single ones outside
    if not escape_single_quotes:
        text = re.sub(r"(?<!\\)(\\\\)*\\'", lambda m: m.group(0)[:-2] + "'", text)
    if keep_spacing:
        pairs = {"n": "\n", "r": "\r", "t": "\t"}
        text = re.sub(
            r"(?<!\\)((?:\\\\)*)\\([nrt])", lambda m: m.group(1) + pairs[m.group(2)], text
        )
    return text


def escaped_str_to_bytes(data: str) -> bytes:
    """Text with Python's escapes as bytes."""
    if not isinstance(data, str):
        raise TypeError(f"data must be str, not {type(data).__name__}")
    return bytes(codecs.escape_decode(data.encode())[0])


def clean_bin(data: bytes | str, keep_spacing: bool = True) -> str:
    """Text or bytes with a dot for each character that cannot be shown."""
    if isinstance(data, bytes):
        data = data.decode("latin-1")
        shown = "\t\n\r" if keep_spacing else ""
        return "".join(c if " " <= c <= "~" or c in shown else "." for c in data)
    return "".join(c if c.isprintable() or (keep_spacing and c in "\t\n\r") else "." for c in data)


escape_control_characters = clean_bin


def is_mostly_bin(data: bytes) -> bool:
    """Whether bytes are no text, judged by their beginning."""
    start = data[:100]
    low = sum(1 for byte in start if byte < 9 or 13 < byte < 32 or byte > 126)
    return bool(start) and low / len(start) > 0.3


def is_xml(data: bytes) -> bool:
    """Whether the first visible character is "<"."""
    return data.lstrip()[:1] == b"<"


def clean_hanging_newline(text: str) -> str:
    """Text without a line feed at its end."""
    return text.removesuffix("\n")


def hexdump(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Offset, hexadecimal digits and characters of each 16 bytes."""
    for offset in range(0, len(data), 16):
        part = data[offset : offset + 16]
        yield f"{offset:010x}", part.hex(" ").ljust(47), clean_bin(part, keep_spacing=False)


# -- human

_UNITS: Final = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def pretty_size(size: float) -> str:
    """Bytes for people, such as "2.5k"."""
    if size < 1024:
        return f"{int(size)}b"
    for unit in "kmgt":
        size /= 1024
        if size < 1024 or unit == "t":
            break
    text = f"{size:.1f}".removesuffix(".0") if size < 100 else f"{size:.0f}"
    return f"{text}{unit}"


def parse_size(text: str | None) -> int | None:
    """Bytes of "2m" and the like.

    Raises:
        ValueError: It is no size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)([bkmgt]?)", text.strip().lower())
    if match is None:
        raise ValueError("Invalid size specification.")
    return int(match[1]) * _UNITS[match[2] or "b"]


def pretty_duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return ""
    if seconds >= 100:
        return f"{seconds:.0f}s"
    if seconds >= 10:
        return f"{seconds:.1f}s"
    if seconds >= 1:
        return f"{seconds:.2f}s"
    return f"{seconds * 1000:.0f}ms"


def format_timestamp(seconds: float) -> str:
    """Date and time, local."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def format_timestamp_with_milli(seconds: float) -> str:
    """Date and time, local, with milliseconds."""
    return f"{format_timestamp(seconds)}.{int(seconds % 1 * 1000):03}"


def format_address(address: Any) -> str:
    """`host:port`."""
    if address is None:
        return "<no address>"
    host, port = address[0], address[1]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return f"*:{port}"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -- cookies


def parse_set_cookie_header(line: str) -> list[tuple[str, str | None, CookieAttrs]]:
    """Name, value and attributes of the cookie in a Set-Cookie field."""
    cookie = parse_set_cookie(line)
    return [(cookie.name, cookie.value, cookie.attributes)]


def format_set_cookie_header(cookies: Iterable[tuple[str, str, Any]]) -> str:
    """The value of a Set-Cookie field."""
    return ", ".join(str(SetCookie(n, v, CookieAttrs(_pairs(a)))) for n, v, a in cookies)


def group_cookies(pairs: Iterable[tuple[str, str | None]]) -> list[tuple[str, Any, CookieAttrs]]:
    """Pairs, of which those named like attributes belong to the cookie before them."""
    known = {"expires", "path", "comment", "max-age", "secure", "httponly", "version", "domain"}
    found: list[tuple[str, Any, CookieAttrs]] = []
    for name, value in pairs:
        if found and name.lower() in known:
            found[-1][2].add(name, value)
        else:
            found.append((name, value, CookieAttrs()))
    return found


def get_expiration_ts(attributes: Any) -> float | None:
    """When a cookie expires, Unix seconds; None if it does not say."""
    age = _get(attributes, "max-age")
    if age is not None:
        try:
            return time.time() + int(age)
        except ValueError:
            pass
    expires = parsedate_tz(_get(attributes, "expires") or "")
    return float(mktime_tz(expires)) if expires is not None else None


def is_expired(attributes: Any) -> bool:
    """Whether a cookie's time is over."""
    ends = get_expiration_ts(attributes)
    return ends is not None and ends < time.time()


def refresh_set_cookie_header(line: str, delta: float) -> str:
    """A Set-Cookie field that expires so many seconds later."""
    cookie = parse_set_cookie(line)
    expires = parsedate_tz(_get(cookie.attributes, "expires") or "")
    if expires is not None:
        cookie.attributes["expires"] = formatdate(mktime_tz(expires) + delta, usegmt=True)
    return str(cookie)


def _get(attributes: Any, name: str) -> Any:
    for key, value in _pairs(attributes):
        if str(key).lower() == name:
            return value
    return None


def _pairs(attributes: Any) -> list[tuple[str, Any]]:
    if hasattr(attributes, "fields"):
        return list(attributes.fields)
    return list(attributes.items()) if hasattr(attributes, "items") else list(attributes)


COOKIES: Final = {
    "CookieAttrs": CookieAttrs,
    "parse_cookie_header": parse_cookie_header,
    "parse_cookie_headers": lambda lines: [p for line in lines for p in parse_cookie_header(line)],
    "format_cookie_header": format_cookie_header,
    "parse_set_cookie_header": parse_set_cookie_header,
    "parse_set_cookie_headers": lambda lines: [
        cookie for line in lines for cookie in parse_set_cookie_header(line)
    ],
    "format_set_cookie_header": format_set_cookie_header,
    "group_cookies": group_cookies,
    "get_expiration_ts": get_expiration_ts,
    "is_expired": is_expired,
    "refresh_set_cookie_header": refresh_set_cookie_header,
}
STRUTILS: Final = {
    "always_bytes": always_bytes,
    "always_str": always_str,
    "native": always_str,
    "bytes_to_escaped_str": bytes_to_escaped_str,
    "escaped_str_to_bytes": escaped_str_to_bytes,
    "clean_bin": clean_bin,
    "escape_control_characters": escape_control_characters,
    "is_mostly_bin": is_mostly_bin,
    "is_xml": is_xml,
    "clean_hanging_newline": clean_hanging_newline,
    "hexdump": hexdump,
}
HUMAN: Final = {
    "pretty_size": pretty_size,
    "parse_size": parse_size,
    "pretty_duration": pretty_duration,
    "format_timestamp": format_timestamp,
    "format_timestamp_with_milli": format_timestamp_with_milli,
    "format_address": format_address,
}
