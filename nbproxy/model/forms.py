"""Form bodies: application/x-www-form-urlencoded and multipart/form-data (RFC 7578).

Reading is linear in the body's size and bounded in the number of fields; past the bound, and for
what is no such form at all, it raises `ValueError`, and whoever shows the body shows it raw.
Writing a changed form back keeps the spelling of the fields that have not changed and, for
multipart, the headers of each part that is still there.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, unquote_plus

from nbproxy.model import charset, url

if TYPE_CHECKING:
    from collections.abc import Iterable

# Frameworks stop at 1,000 (Django, Werkzeug); a viewer may be asked for somewhat more.
MAX_FIELDS: Final = 10_000
MAX_PARTS: Final = 1000
# The bound of a part's header, as of a whole head elsewhere.
_MAX_PART_HEAD: Final = 16 * 1024
_MAX_PART_HEADERS: Final = 100

_DISPOSITION = "content-disposition"
_PARAMETER_RE = re.compile(
    r""";\s*+([^=;\s"]++)\s*+=\s*+(?:"((?:\\"|[^"])*+)"|([^;]*+))""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart/form-data body.

    Attributes:
        name: The field's name, "" if the part has none.
        content: The bytes between the part's header and the next boundary.
        filename: The name of an uploaded file, None for a plain field.
        headers: The part's header fields as sent, Content-Disposition included. If there is no
            Content-Disposition among them, writing makes one from `name` and `filename`.
    """

    name: str
    content: bytes
    filename: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def parse_urlencoded(
    body: bytes | str, encoding: str = "utf-8", *, max_fields: int = MAX_FIELDS
) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, decoded, in order, blank values included.

    Args:
        body: The form.
        encoding: The charset of names and values; a name that is no charset is read as UTF-8.
            Bytes that are not valid in it become surrogate escapes.
        max_fields: The bound.

    Raises:
        ValueError: There are more fields than the bound.
    """
    codec = charset.text_codec(encoding) or "utf-8"
    text = _decode(body, codec) if isinstance(body, bytes) else body
    if text.count("&") >= max_fields:
        raise ValueError(f"the form has more than {max_fields:,} fields")
    pairs = url.split_pairs(text)
    if codec == "utf-8":
        return [(url.decode_field(name), url.decode_field(value)) for name, value in pairs]
    return [(_decode_field(name, codec), _decode_field(value, codec)) for name, value in pairs]


def encode_urlencoded(pairs: Iterable[tuple[str, str]], similar_to: str = "") -> str:
    """An urlencoded form of these fields, in UTF-8; pure ASCII.

    Args:
        pairs: Names and values, decoded.
        similar_to: The form that these replace: fields that it has are spelled as there.
    """
    return url.encode_pairs(pairs, similar_to)


def new_multipart_type() -> str:
    """A multipart/form-data Content-Type with a boundary that no body contains by chance."""
    return f"multipart/form-data; boundary={token_hex(16)}"


def parse_parts(content_type: str, body: bytes, *, max_parts: int = MAX_PARTS) -> list[Part]:
    """The parts of a multipart/form-data body.

    Args:
        content_type: The field's value, with the boundary.
        body: The body without its content coding.
        max_parts: The bound.

    Raises:
        ValueError: It is no such body, is damaged or incomplete, or has more parts than the bound.
    """
    marker = b"--" + _boundary(content_type)
    parts: list[Part] = []
    position = _next_delimiter(body, marker, 0)
    while True:
        start, is_last = _after_delimiter(body, position + len(marker))
        if is_last:
            return parts
        if len(parts) >= max_parts:
            raise ValueError(f"the form has more than {max_parts:,} parts")
        # The line end before a delimiter belongs to it (RFC 2046, 5.1.1); of a part without
        # anything that is the one that ends this line.
        position = _next_delimiter(body, marker, start - 2)
        parts.append(_parse_part(body[start : max(position - 2, start)]))


def parse_multipart(
    content_type: str, body: bytes, *, max_parts: int = MAX_PARTS
) -> list[tuple[bytes, bytes]]:
    """Names and contents of the named parts of a multipart/form-data body.

    Raises:
        ValueError: As `parse_parts`.
    """
    parts = parse_parts(content_type, body, max_parts=max_parts)
    return [(_to_bytes(part.name), part.content) for part in parts if part.name]


def encode_multipart(
    content_type: str,
    parts: Iterable[Part | tuple[bytes, bytes]],
    similar_to: bytes = b"",
) -> bytes:
    """A multipart/form-data body.

    Args:
        content_type: The field's value, with the boundary to use.
        parts: Parts, or names and contents.
        similar_to: The body that this one replaces. A name in it lends its part's headers (file
            name, type) to the same name here, the first to the first and so on.

    Raises:
        ValueError: The Content-Type has no boundary, or a part contains it.
    """
    marker = b"--" + _boundary(content_type)
    lent = _lent_headers(content_type, similar_to)
    pieces = []
    for item in parts:
        if isinstance(item, Part):
            part = item
        else:
            name = _to_str(item[0])
            part = Part(name, item[1], None, lent[name].popleft() if lent[name] else ())
        if b"\r\n" + marker in b"\r\n" + part.content:
            raise ValueError("a part contains the boundary of the Content-Type; choose another")
        pieces += [marker, b"\r\n", _part_head(part), b"\r\n", part.content, b"\r\n"]
    pieces += [marker, b"--\r\n"]
    return b"".join(pieces)


def _decode(raw: bytes, codec: str) -> str:
    try:
        return raw.decode(codec, "surrogateescape")
    except UnicodeError:  # in some charsets an ASCII byte may be wrong, and has no escape
        return raw.decode(codec, "replace")


def _decode_field(text: str, codec: str) -> str:
    try:
        return unquote_plus(text, codec, "surrogateescape")
    except UnicodeError:
        return unquote_plus(text, codec, "replace")


def _boundary(content_type: str) -> bytes:
    parsed = charset.parse_content_type(content_type)
    if parsed is None or parsed[:2] != ("multipart", "form-data"):
        raise ValueError("the Content-Type is not multipart/form-data")
    boundary = parsed[2].get("boundary", "")
    # RFC 2046, 5.1.1: 1 to 70 characters.
    if not (1 <= len(boundary) <= 70 and boundary.isascii() and boundary.isprintable()):
        raise ValueError("the Content-Type has no valid boundary")
    return boundary.encode("ascii")


def _next_delimiter(body: bytes, marker: bytes, position: int) -> int:
    """Where the next line that is a delimiter begins, from `position` on."""
    if position <= 0 and body.startswith(marker) and _after_delimiter(body, len(marker))[0]:
        return 0
    line = b"\r\n" + marker
    position = max(position, 0)
    while True:
        position = body.find(line, position)
        if position < 0:
            raise ValueError("the form has no end: its last boundary is missing")
        position += 2
        if _after_delimiter(body, position + len(marker))[0]:
            return position


_REST_OF_DELIMITER = re.compile(rb"(--)?[ \t]*+(?:\r\n|(?(1)\Z|(?!)))").match


def _after_delimiter(body: bytes, position: int) -> tuple[int, bool]:
    """Where the line of a delimiter ends (0 if it is none), and whether it is the last."""
    match = _REST_OF_DELIMITER(body, position)
    return (match.end(), match[1] is not None) if match else (0, False)


def _parse_part(raw: bytes) -> Part:
    if not raw or raw.startswith(b"\r\n"):
        return Part("", raw[2:])
    # The blank line may be missing where no content follows (RFC 2046, 5.1.1).
    head, blank, content = raw.partition(b"\r\n\r\n")
    if len(head) > _MAX_PART_HEAD or not (blank or head.endswith(b"\r\n")):
        raise ValueError("a part of the form has no end of its header")
    head = head.removesuffix(b"\r\n")
    lines = _to_str(head).split("\r\n")
    if len(lines) > _MAX_PART_HEADERS:
        raise ValueError(f"a part of the form has more than {_MAX_PART_HEADERS} headers")
    headers = []
    name, filename = "", None
    for line in lines:
        key, _, value = line.partition(":")
        headers.append((key, value.strip()))
        if key.lower() == _DISPOSITION:
            name, filename = _disposition(value)
    return Part(name, content, filename, tuple(headers))


def _disposition(value: str) -> tuple[str, str | None]:
    """Name and file name in a Content-Disposition."""
    found: dict[str, str] = {}
    for match in _PARAMETER_RE.finditer(value):
        key, quoted, plain = match.groups()
        found.setdefault(key.lower(), plain.strip() if quoted is None else _unescape(quoted))
    filename = found.get("filename")
    extended = found.get("filename*")
    if filename is None and extended is not None:
        # RFC 7578 (4.2) forbids it and clients send it; charset'language'text.
        codec, _, rest = extended.partition("'")
        raw = rest.partition("'")[2]
        filename = unquote(raw, charset.text_codec(codec) or "utf-8")
    return found.get("name", ""), filename


# What browsers write for a quote and for line ends (HTML, 4.10.21.8); curl writes \" instead.
_ESCAPED: Final = {'"': "%22", "\r": "%0D", "\n": "%0A"}


def _unescape(text: str) -> str:
    for char, escaped in _ESCAPED.items():
        text = text.replace(escaped, char)
    return text.replace('\\"', '"')


def _escape(text: str) -> str:
    for char, escaped in _ESCAPED.items():
        text = text.replace(char, escaped)
    return text


def _part_head(part: Part) -> bytes:
    headers = part.headers
    if not any(name.lower() == _DISPOSITION for name, _ in headers):
        value = f'form-data; name="{_escape(part.name)}"'
        if part.filename is not None:
            value += f'; filename="{_escape(part.filename)}"'
        headers = (("Content-Disposition", value), *headers)
    lines = [f"{name}: {value}" for name, value in headers]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of a part has a line end in it")
    return _to_bytes("".join(f"{line}\r\n" for line in lines))


def _lent_headers(
    content_type: str, body: bytes
) -> defaultdict[str, deque[tuple[tuple[str, str], ...]]]:
    lent: defaultdict[str, deque[tuple[tuple[str, str], ...]]] = defaultdict(deque)
    if body:
        try:
            parts = parse_parts(content_type, body)
        except ValueError:
            parts = []
        for part in parts:
            lent[part.name].append(part.headers)
    return lent


def _to_str(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
