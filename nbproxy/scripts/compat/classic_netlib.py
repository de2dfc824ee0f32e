"""Functions that scripts took from `netlib` and from the `utils` of eras A to C."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from nbproxy.model import coding, cookies, reasons
from nbproxy.model import url as urls
from nbproxy.scripts.bytetext import ByteText, data, text
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e]")
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
ENCODINGS: Final = frozenset(("identity", "gzip", "deflate"))


def clean_bin(value: Any, keep_spacing: bool = True) -> str:
    """Text with what cannot be printed as dots."""
    shown = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    cleaned = _UNPRINTABLE.sub(".", shown)
    return cleaned if keep_spacing else re.sub(r"[\t\n\r]", ".", cleaned)


def hexdump(value: Any) -> Iterator[tuple[str, str, str]]:
    """Lines of offset, hexadecimal bytes and text, sixteen bytes each."""
    raw = data(value)
    for start in range(0, len(raw), 16):
        part = raw[start : start + 16]
        yield f"{start:010x}", part.hex(" ").ljust(47), clean_bin(part, keep_spacing=False)


def pretty_size(size: float) -> str:
    """A size for people: "1.5kB"."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.4g}{unit}"
        size /= 1024
    raise AssertionError("the last unit has no end")


def pretty_duration(seconds: float | None) -> str:
    """A duration for people: "1.23s", "45ms"."""
    if seconds is None:
        return ""
    return f"{seconds:.3g}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms"


def format_timestamp(value: float) -> str:
    """Local date and time of Unix seconds."""
    return dt.datetime.fromtimestamp(value).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 - local, as it was


def is_binary(value: Any) -> bool:
    """Whether there are bytes that text does not have."""
    return any(byte < 9 or 13 < byte < 32 or byte > 126 for byte in data(value))


def is_xml(value: Any) -> bool:
    """Whether it begins as markup does."""
    return str(text(value) if isinstance(value, bytes) else value).lstrip()[:1] == "<"


def pretty_json(value: Any) -> list[str] | None:
    """The lines of indented JSON, None for what is no JSON."""
    try:
        return json.dumps(json.loads(data(value)), indent=4).split("\n")
    except ValueError:
        return None


def parse_content_type(value: str) -> tuple[str, str, dict[str, str]] | None:
    """Type, subtype and parameters of a Content-Type; None for what is none."""
    main, _, rest = value.partition(";")
    kind, slash, subtype = main.strip().partition("/")
    if not slash:
        return None
    parameters = dict(part.strip().partition("=")[::2] for part in rest.split(";") if "=" in part)
    return kind.lower(), subtype.lower(), parameters


def parse_url(value: Any) -> tuple[str, str, int, str] | None:
    """Scheme, host, port and path; None for what is no URL."""
    try:
        return urls.parse(str(value))
    except ValueError:
        return None


def decode(encoding: str, content: Any) -> ByteText | None:
    """A body without this coding; None if that cannot be."""
    try:
        return text(coding.decode(data(content), encoding))
    except ValueError:
        return None


def encode(encoding: str, content: Any) -> ByteText | None:
    """A body with this coding; None for one that is not known."""
    return text(coding.encode(data(content), encoding)) if encoding in ENCODINGS else None


def parse_cookie_header(line: str) -> ODict:
    """The cookies of a Cookie field."""
    return ODict(cookies.parse_cookie_header(line))


def format_cookie_header(values: Any) -> str:
    """A Cookie field."""
    return cookies.format_cookie_header(tuple(ODict(values).items()))


def parse_set_cookie_header(line: str) -> tuple[str, str, ODictCaseless] | None:
    """Name, value and attributes of a Set-Cookie field."""
    found = cookies.parse_set_cookie(line)
    return found.name, found.value, ODictCaseless(found.attributes.fields)


def format_set_cookie_header(name: str, value: str, attributes: Any) -> str:
    """A Set-Cookie field."""
    rest = [key if each is None else f"{key}={each}" for key, each in ODict(attributes).items()]
    return "; ".join([f"{name}={value}", *rest])


UTILS: Final[dict[str, Any]] = {
    "clean_bin": clean_bin,
    "cleanBin": clean_bin,
    "hexdump": hexdump,
    "pretty_size": pretty_size,
    "pretty_duration": pretty_duration,
    "format_timestamp": format_timestamp,
    "timestamp": time.time,
    "isBin": is_binary,
    "isMostlyBin": is_binary,
    "isXML": is_xml,
    "pretty_json": pretty_json,
    "parse_content_type": parse_content_type,
    "parse_url": parse_url,
    "unparse_url": urls.unparse,
    "hostport": urls.hostport,
    "urldecode": lambda value: parse_qsl(str(value), keep_blank_values=True),
    "urlencode": urlencode,
}
"""`libmproxy.utils` and `netlib.utils`."""

COOKIES: Final[dict[str, Any]] = {
    "parse_cookie_header": parse_cookie_header,
    "format_cookie_header": format_cookie_header,
    "parse_set_cookie_header": parse_set_cookie_header,
    "format_set_cookie_header": format_set_cookie_header,
}
"""`netlib.http_cookies`, since 0.14 `netlib.http.cookies`."""

STATUS: Final[dict[str, Any]] = {
    "RESPONSES": dict(reasons.REASONS),
    **{
        re.sub(r"\W+", "_", phrase).strip("_").upper(): code
        for code, phrase in reasons.REASONS.items()
    },
}
"""`netlib.http_status`, since 0.14 `netlib.http.status_codes`."""

ENCODING: Final[dict[str, Any]] = {"ENCODINGS": ENCODINGS, "decode": decode, "encode": encode}
"""`libmproxy.encoding`, since 0.14 `netlib.encoding`."""
