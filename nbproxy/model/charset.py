"""Which charset a body is in, and text from and to bytes (RFC 9110, 8.3.2).

A Content-Type may name anything as its charset, and Python's codec registry holds much that is no
charset: base64, zip, rot13, and punycode, which takes quadratic time. So names are looked up in a
table of charsets that is fixed when this module loads; a name from the wire never reaches
`codecs.lookup`, which would import modules and remember every unknown name for ever.
"""

from __future__ import annotations

import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Final

# In the registry, but no charset: bytes to bytes, text to text, or made for other ends.
_NO_CHARSETS: Final = frozenset(
    """base64_codec bz2_codec hex_codec quopri_codec rot_13 uu_codec zlib_codec charmap
    idna punycode raw_unicode_escape unicode_escape undefined mbcs oem""".split()  # noqa: SIM905 - reads better so
)
# Charsets of Python to which no alias points.
_UNALIASED: Final = frozenset(
    """cp1006 cp720 cp737 cp856 cp874 cp875 koi8_t koi8_u mac_arabic mac_croatian mac_farsi
    mac_romanian palmos utf_8_sig""".split()  # noqa: SIM905 - as above
)
# What the web means by these names (WHATWG Encoding Standard, 4.2): supersets of what they say.
_WEB: Final = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "x_sjis": "cp932",
    "x_gbk": "gb18030",
    "windows_874": "cp874",
    "windows_31j": "cp932",
    "iso_8859_8_i": "iso8859_8",
    "x_cp1252": "cp1252",
}
# The names that people know, where Python's differ.
_NICE: Final = {"utf_8": "utf-8", "latin_1": "latin-1", "utf_8_sig": "utf-8-sig"}


def _table() -> dict[str, str]:
    """Every spelling of a charset's name, normalised, to the codec to use."""
    table = {name: name for name in _UNALIASED}
    for alias, name in aliases.items():
        if name not in _NO_CHARSETS:
            table[alias.lower()] = name
            table[name] = name
    table = {alias: _WEB.get(name, name) for alias, name in table.items()} | _WEB
    return {alias: _NICE.get(name, name) for alias, name in table.items()}


_CODECS: Final = _table()

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf_32"),
    (b"\x00\x00\xfe\xff", "utf_32"),
    (b"\xff\xfe", "utf_16"),
    (b"\xfe\xff", "utf_16"),
)
# Declarations stand within the first 1024 bytes (HTML, 13.2.3.2); some pages are late.
_HEAD: Final = 2048
_META_RE = re.compile(
    rb"""<meta\s[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:+-]{1,40})""", re.IGNORECASE
)
_XML_RE = re.compile(rb"""\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([\w.:+-]{1,40})""")
_CSS_RE = re.compile(rb"""@charset "([\w.:+-]{1,40})";""")
# How much of a body charset-normalizer gets to see: 4 KiB takes it some ten milliseconds.
_SAMPLE: Final = 4096

_PARAMETER_RE = re.compile(
    r"""[;\s]*+([^;=\s]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)(?:"|\Z)[^;]*+|([^;]*+))|[;\s]*+[^;]++""",
    re.DOTALL,
)
# Of what IANA registers; normalising would also make something of quotes and NUL.
_NAME_RE = re.compile(r"[a-z0-9][a-z0-9._:+ -]{0,39}")
_TOKEN_RE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

ContentType = tuple[str, str, dict[str, str]]


def text_codec(name: str) -> str | None:
    """The Python codec for a charset's name, or None if it names no charset.

    Names such as `base64`, `zip` or `punycode` name none.
    """
    name = name.strip().lower()
    if not _NAME_RE.fullmatch(name):
        return None
    norm = normalize_encoding(name)
    return _CODECS.get(norm) or _CODECS.get(norm.replace(".", "_"))


def parse_content_type(value: str) -> ContentType | None:
    """Type, subtype and parameters of a Content-Type, or None if it has no type.

    Types and the parameters' names are lower-cased; values are unquoted and otherwise as sent. Of
    a parameter that comes twice the first counts.
    """
    media, _, rest = value.partition(";")
    main, slash, sub = media.strip().lower().partition("/")
    if not (slash and main and sub):
        return None
    parameters: dict[str, str] = {}
    for match in _PARAMETER_RE.finditer(rest[:4096]):
        name, quoted, plain = match.groups()
        if name is not None:
            text = (
                plain.strip()
                if quoted is None
                else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
            )
            parameters.setdefault(name.lower(), text)
    return main, sub, parameters


def assemble_content_type(main: str, sub: str, parameters: dict[str, str]) -> str:
    """The inverse of `parse_content_type`: values that are no tokens come out quoted."""
    pieces = [f"{main}/{sub}"]
    for name, value in parameters.items():
        if not _TOKEN_RE.fullmatch(value):
            value = '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'  # noqa: PLW2901 - same value
        pieces.append(f"{name}={value}")
    return "; ".join(pieces)


def charset_of(content_type: str) -> str | None:
    """The charset parameter of a Content-Type as sent, or None."""
    if "charset" not in content_type.lower():
        return None
    parsed = parse_content_type(content_type)
    return parsed[2].get("charset") if parsed else None


def guess(content_type: str, body: bytes) -> str:
    """The codec to read `body` with; always a charset that Python has.

    In this order: the charset parameter, a byte order mark, what HTML, XML or CSS say of
    themselves, UTF-8 for JSON, UTF-8 if the body is valid in it, a statistical guess for other
    text, Latin-1.
    """
    named = text_codec(charset_of(content_type) or "")
    if named is not None:
        # Read as plain UTF-8 the mark would be the text's first character.
        return "utf-8-sig" if named == "utf-8" and body.startswith(_BOMS[0][0]) else named
    for bom, codec in _BOMS:
        if body.startswith(bom):
            return codec
    media = content_type.partition(";")[0].strip().lower()
    declared = _declared(media, body)
    if declared is not None:
        return declared
    if media.endswith(("/json", "+json")) or _is_utf8(body):
        return "utf-8"
    return _detect(body) if _is_text(media, body) else "latin-1"


def decode_text(body: bytes, content_type: str, *, strict: bool) -> str:
    """The body as text.

    Args:
        body: The body without its content coding.
        content_type: The field's value, or "".
        strict: Raise if the body is not valid in its charset. Otherwise it is then read as UTF-8,
            and bytes that are not valid there become surrogate escapes, which `encode_text`
            turns back into these bytes.

    Raises:
        ValueError: `strict`, and the body does not decode.
    """
    codec = guess(content_type, body)
    try:
        return body.decode(codec)
    except UnicodeError:
        if strict:
            raise
        return body.decode("utf-8", "surrogateescape")


def encode_text(text: str, content_type: str, previous: bytes = b"") -> tuple[bytes, str]:
    """The bytes for a text that takes the place of a body, and the Content-Type that fits.

    The charset is that of `guess`. If it cannot express the text, it gives way to UTF-8 and
    the Content-Type says so.

    Args:
        text: The new text.
        content_type: The field's value, or "".
        previous: The body that the text replaces, so that a body which did not name its charset
            keeps it.

    Raises:
        ValueError: The text holds surrogates that stand for no byte.
    """
    declared = text[:_HEAD].encode("ascii", "replace") if not previous else b""
    codec = guess(content_type, previous or declared)
    try:
        return text.encode(codec), content_type
    except UnicodeError:
        if codec.startswith("utf-8"):  # bytes that were no text before become themselves again
            return text.encode(codec, "surrogateescape"), content_type
    main, sub, parameters = parse_content_type(content_type) or ("text", "plain", {})
    raw = text.encode("utf-8", "surrogateescape")
    return raw, assemble_content_type(main, sub, parameters | {"charset": "utf-8"})


def _declared(media: str, body: bytes) -> str | None:
    """The charset that a document of this type says it is in."""
    head = body[:_HEAD]
    patterns = []
    if media in {"text/html", "application/xhtml+xml", ""}:
        patterns = [_META_RE.search, _XML_RE.match]
    elif media.endswith(("/xml", "+xml")):
        patterns = [_XML_RE.match]
    elif media == "text/css":
        patterns = [_CSS_RE.match]
    for find in patterns:
        match = find(head)
        if match:
            codec = text_codec(match[1].decode("ascii", "replace"))
            if codec is not None:
                # We could read the declaration as ASCII, so wide it is not (HTML, 13.2.3.2).
                return "utf-8" if codec.startswith(("utf_16", "utf_32")) else codec
    return None


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_text(media: str, body: bytes) -> bool:
    if not media:
        return b"\0" not in body[:_SAMPLE]
    return media.startswith("text/") or media.endswith(
        ("xml", "javascript", "/ecmascript", "-www-form-urlencoded", "/x-ndjson")
    )


def _detect(body: bytes) -> str:
    """A charset by statistics, from the body's beginning."""
    import charset_normalizer  # noqa: PLC0415 - 27 ms to load, and rarely needed

    # Begin where something other than ASCII is, and cut after a blank: in the middle of a
    # character the sample would be invalid in the right charset.
    found = re.search(rb"[\x80-\xff]", body)
    start = max(0, found.start() - _SAMPLE // 4) if found else 0
    start = body.find(b" ", start) + 1 if start else 0
    sample = body[start : start + _SAMPLE]
    if start + _SAMPLE < len(body):
        cut = max(sample.rfind(b" "), sample.rfind(b"\n"))
        sample = sample[: cut + 1] if cut > _SAMPLE // 2 else sample
    matches = charset_normalizer.from_bytes(sample)
    best = matches.best()
    # Statistics cannot tell the Latin code pages apart in a few lines; the web's default can.
    western = any("cp1252" in (match.encoding, *match.could_be_from_charset) for match in matches)
    codec = "cp1252" if western else text_codec(best.encoding) if best is not None else None
    if codec is None:
        return "latin-1"
    try:
        # some code pages have two bytes for one sign
        fits = body.decode(codec).encode(codec) == body
    except UnicodeError:
        fits = False
    return codec if fits else "latin-1"
