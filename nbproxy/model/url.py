"""URLs and request targets as a proxy reads them: strictly, once, and without resolving anything.

From the wire come `bytes`: a target is split by one regular expression or refused with a
`ValueError` that says what is wrong, since two readers who disagree about a target are how
requests get smuggled. Paths pass byte for byte: `%2e%2e`, `//` and `%0d%0a` mean something to the
origin only (RFC 9110, 4.2.3). From the user's own code comes `str`: names in any script, blanks and
other characters are encoded first and then read as strictly.

Hosts keep their case, and IPv6 addresses are without brackets. Rewriting a query or a path keeps
the spelling of whatever has not changed.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote as _quote
from urllib.parse import quote_plus as _quote_plus
from urllib.parse import unquote as _unquote

# A label of a registered name: what DNS carries, underscores included, and never empty, which
# getaddrinfo would answer with a UnicodeError. RFC 3986 (3.2.2) also allows %-encoding and
# sub-delims in names; no resolver knows them, and readers differ.
_LABEL = r"[A-Za-z0-9_~-]{1,63}+"
_HOST = rf"((?>{_LABEL}\.)*+{_LABEL}|(?>{_LABEL}\.)++|\[[0-9A-Fa-f:.]{{2,45}}\])"
_PORT = r"(?::([0-9]{0,5}))?"
_USERINFO = r"(?>[A-Za-z0-9._~!$&'()*+,;=:%-]*@)?"
# Any visible character but "#": browsers send more of them than RFC 3986 (3.3) allows.
_PATH = r"[!\"$-~]*"

_AUTHORITY = re.compile(rf"{_HOST}{_PORT}\Z").match
_ABSOLUTE = re.compile(
    rf"([Hh][Tt][Tt][Pp][Ss]?)://{_USERINFO}{_HOST}{_PORT}((?:[/?]{_PATH})?)(?:#[!-~]*)?\Z".encode()
).match
_ORIGIN = re.compile(rf"(/{_PATH})(?:#[!-~]*)?\Z".encode()).match
_UNFIT_RE = re.compile(rb"[^!-~]")
_UNFIT_STR_RE = re.compile(r"[^!-~]+")
_CONTROL_RE = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME_RE = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):")

_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_MAX_HOST: Final = 255  # RFC 1035, 3.1

Pairs = Iterable[tuple[str, str]]


def default_port(scheme: str) -> int | None:
    """The port that a URL of this scheme leaves out, or None for schemes other than HTTP's."""
    return _PORTS.get(scheme)


def parse_authority(raw: bytes | str, *, require_port: bool = False) -> tuple[str, int | None]:
    """Host and port of a Host field, a CONNECT target, or an address that the user gave.

    Args:
        raw: `bytes` are ASCII by the letter; a `str` may have a host name in any script, which
            comes back as A-labels.
        require_port: Refuse an authority without a port (CONNECT: RFC 9110, 9.3.6).

    Returns:
        The host in the case it was sent in, an IPv6 address without its brackets; the port, or
        None if there is none (or only its colon).

    Raises:
        ValueError: It has userinfo, no host, a bad host or a bad port.
    """
    if len(raw) > _MAX_CACHED:
        return _parse_authority(raw, require_port)
    return _cached_authority(raw, require_port)


def _parse_authority(raw: bytes | str, require_port: bool) -> tuple[str, int | None]:
    if isinstance(raw, bytes):
        text = raw.decode("latin-1")
    elif raw.isascii():
        text = raw
    else:
        text = _with_ascii_host(raw)
    match = _AUTHORITY(text)
    if match is None:
        raise ValueError(_authority_problem(text))
    host, digits = match.groups()
    host = _checked_host(host)
    if digits:
        return host, _checked_port(digits)
    if require_port:
        raise ValueError(f"{_shown(text)} has no port")
    return host, None


# One client asks the same few hosts over and over; the bound keeps strangers from filling it.
_MAX_CACHED: Final = 300
_cached_authority = functools.lru_cache(maxsize=512)(_parse_authority)


def parse_absolute(target: bytes, *, options: bool = False) -> tuple[str, str, int, bytes]:
    """Take a request target in absolute-form apart (RFC 9112, 3.2.2).

    Userinfo and fragment are dropped: neither goes to an origin (RFC 9110, 4.2.4 and 7.1).

    Args:
        target: The target as sent.
        options: The method is OPTIONS, where no path and no query stand for `*`
            (RFC 9112, 3.2.4).

    Returns:
        Scheme in lower case, host as sent, port, and the path with its query byte for byte (`/` if
        it is empty).

    Raises:
        ValueError: It is no http or https URL, its authority is bad, or it has bytes that no
            URL has.
    """
    match = _ABSOLUTE(target)
    if match is None:
        raise ValueError(_target_problem(target))
    scheme, host, port = _cached_origin(*match.group(1, 2, 3))
    path: bytes = match[4]
    if not path:
        path = b"*" if options else b"/"
    elif path[0] == 0x3F:  # "?" right after the authority
        path = b"/" + path
    return scheme, host, port, path


def _origin(raw_scheme: bytes, raw_host: bytes, digits: bytes | None) -> tuple[str, str, int]:
    scheme = raw_scheme.decode("ascii").lower()
    host = _checked_host(raw_host.decode("ascii"))
    return scheme, host, _checked_port(digits) if digits else _PORTS[scheme]


_cached_origin = functools.lru_cache(maxsize=512)(_origin)


def parse_origin_form(target: bytes, *, options: bool = False) -> bytes:
    """Check a request target in origin-form (RFC 9112, 3.2.1); a fragment is dropped.

    Args:
        target: The target as sent.
        options: The method is OPTIONS, which may also say `*` (RFC 9112, 3.2.4).

    Raises:
        ValueError: It does not begin with a slash, or has bytes that no URL has.
    """
    match = _ORIGIN(target)
    if match is not None:
        return match[1]
    if target == b"*" and options:
        return target
    raise ValueError(_target_problem(target))


def parse(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of a URL that the user gave.

    As `parse_absolute`, but blanks around it are taken off, names in any script become A-labels,
    and what must be percent-encoded in path and query is.

    Raises:
        ValueError: It is no http or https URL, or has control characters.
    """
    __tracebackhide__ = True  # IPython then shows the line of whoever gave it
    text = url.strip(" ")
    if _CONTROL_RE.search(text):
        raise ValueError(f"{_shown(text)} has a control character")
    head, slashes, rest = text.partition("://")
    if slashes and not (rest.isascii() and " " not in rest):
        end = re.search(r"[/?#]", rest)
        cut = end.start() if end else len(rest)
        userinfo, at, authority = rest[:cut].rpartition("@")
        if not authority.isascii():
            authority = _with_ascii_host(authority)
        text = f"{head}://{_ascii(userinfo)}{at}{authority}{_ascii(rest[cut:])}"
    scheme, host, port, path = parse_absolute(text.encode("utf-8", "surrogateescape"))
    return scheme, host, port, path.decode("ascii")


def check_path(path: str) -> str:
    """The path and query of a request, fit for the wire: what must be percent-encoded is.

    An empty path becomes `/`, and `*` stays.

    Raises:
        ValueError: It does not begin with a slash, or has control characters.
    """
    if not path:
        return "/"
    if _CONTROL_RE.search(path):
        raise ValueError(f"the path {_shown(path)} has a control character")
    if path[0] != "/" and path != "*":
        raise ValueError(f"the path {_shown(path)} does not begin with a slash")
    return _ascii(path).replace("#", "%23")


def hostport(scheme: str, host: str, port: int) -> str:
    """The authority for a host and port: IPv6 in brackets, the scheme's own port left out."""
    if ":" in host and host[0] != "[":
        host = f"[{host}]"
    return host if _PORTS.get(scheme) == port else f"{host}:{port}"


def unparse(scheme: str, host: str, port: int, path: str) -> str:
    """The URL of these parts; a path of `*` is left out (RFC 9112, 3.2.4)."""
    return f"{scheme}://{hostport(scheme, host, port)}{'' if path == '*' else path}"


def quote(text: str, safe: str = "/") -> str:
    """`text` percent-encoded as UTF-8; surrogate escapes become the bytes they stand for."""
    return _quote(text, safe, errors="surrogateescape")


def unquote(text: str) -> str:
    """Percent-encoding removed; bytes that are not UTF-8 become surrogate escapes."""
    return _unquote(text, errors="surrogateescape")


def split_pairs(query: str) -> list[tuple[str, str]]:
    """The fields of `a=1&b=2`, undecoded; one without `=` has the value ""."""
    pairs = []
    for piece in query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((name, value))
    return pairs


def decode_field(text: str) -> str:
    """A name or value of a query or form: plus signs are blanks, the rest as `unquote`."""
    if "%" in text or "+" in text:
        return _unquote(text.replace("+", " "), errors="surrogateescape")
    return text


def encode_pairs(pairs: Pairs, similar_to: str = "") -> str:
    """A query or form of decoded pairs.

    Args:
        pairs: Names and values, decoded.
        similar_to: The query that these pairs replace. Fields that it has are spelled as there.
    """
    spelled: defaultdict[tuple[str, str], deque[str]] = defaultdict(deque)
    for piece in similar_to.split("&") if similar_to else ():
        if piece:
            name, _, value = piece.partition("=")
            spelled[decode_field(name), decode_field(value)].append(piece)
    pieces = []
    for name, value in pairs:
        known = spelled.get((name, value))
        pieces.append(known.popleft() if known else f"{_encode_field(name)}={_encode_field(value)}")
    return "&".join(pieces)


def query_pairs(path: str) -> list[tuple[str, str]]:
    """The parameters in the query of a path, decoded, in order."""
    query = path.partition("?")[2]
    return [(decode_field(name), decode_field(value)) for name, value in split_pairs(query)]


def with_query(path: str, pairs: Pairs) -> str:
    """`path` with these parameters as its query; parameters that it had keep their spelling."""
    bare, _, query = path.partition("?")
    new = encode_pairs(pairs, query)
    return f"{bare}?{new}" if new else bare


def path_components(path: str) -> tuple[str, ...]:
    """The segments of a path, decoded, without empty ones and without the query."""
    return tuple(unquote(piece) for piece in path.partition("?")[0].split("/") if piece)


def with_path_components(path: str, components: Sequence[str]) -> str:
    """`path` with these segments and its old query; segments that it had keep their spelling."""
    bare, mark, query = path.partition("?")
    spelled = {unquote(piece): piece for piece in bare.split("/") if piece}
    new = "/".join(spelled.get(part) or quote(part, safe="") for part in components)
    return f"/{new}{mark}{query}"


def _encode_field(text: object) -> str:
    # Handlers assign numbers (`query["page"] = 2`), and old scripts bytes.
    if isinstance(text, bytes):
        return _quote_plus(text)
    return _quote_plus(str(text), errors="surrogateescape")


def _ascii(text: str) -> str:
    """Percent-encode what is not visible ASCII."""
    if text.isascii() and " " not in text:
        return text
    return _UNFIT_STR_RE.sub(lambda m: _quote(m[0], safe="", errors="surrogateescape"), text)


def _checked_host(host: str) -> str:
    if host[0] == "[":
        IPv6Address(host[1:-1])  # its AddressValueError is a ValueError and names the address
        return host[1:-1]
    if len(host) > _MAX_HOST:
        raise ValueError(f"the host name {_shown(host)} is longer than {_MAX_HOST} characters")
    return host


def _checked_port(digits: str | bytes) -> int:
    port = int(digits)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port: 1 to 65535")
    return port


def _with_ascii_host(authority: str) -> str:
    """An authority whose host is in A-labels; what follows its last colon is left alone."""
    host, colon, port = authority.rpartition(":")
    if not colon:
        host, port = authority, ""
    labels = re.split("[.\u3002\uff0e\uff61]", host)
    return ".".join(_a_label(label) for label in labels) + colon + port


def _a_label(label: str) -> str:
    """One label for DNS (IDNA 2003, which also lets characters pass that came after it)."""
    if label.isascii():
        return label
    if len(label) > 63:  # Python's Punycode takes quadratic time
        raise ValueError(f"the label {_shown(label)} of a host name is longer than 63 characters")
    try:
        return label.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"{_shown(label)} cannot be part of a host name: {error}") from error


def _authority_problem(text: str) -> str:
    """Why an authority did not parse."""
    shown = _shown(text)
    host, colon, port = text.rpartition(":")
    if "@" in text:
        return f"{shown} has userinfo, which does not belong here"
    if _UNFIT_STR_RE.search(text):
        return f"{shown} has characters that no authority has"
    if text.startswith("[") and not re.match(r"\[[^\]]*\](:|\Z)", text):
        return f"{shown} has an unbalanced bracket"
    if not text or (colon and not host):
        return f"{shown} has no host"
    if colon and not port.isdecimal() and not text.endswith("]"):
        return f"{shown} has a port that is no number"
    if len(port) > 5 and colon:
        return f"{shown} has a port beyond 65535"
    return f"{shown} is not a host with an optional port"


def _target_problem(target: bytes) -> str:
    """Why a request target did not parse."""
    shown = _shown(target)
    unfit = _UNFIT_RE.search(target)
    if unfit:
        return f"the target {shown} has the byte 0x{unfit[0][0]:02x}, which no URL has"
    scheme = _SCHEME_RE.match(target)
    if scheme is None:
        return f"the target {shown} is neither a path nor an http URL"
    if scheme[1].lower() not in {b"http", b"https"}:
        return f"the target {shown} has a scheme other than http and https"
    rest = target[scheme.end() :]
    if not rest.startswith(b"//"):
        return f"the target {shown} has no authority"
    authority = re.split(rb"[/?#]", rest[2:], maxsplit=1)[0]
    userinfo, _, address = authority.rpartition(b"@")
    if not re.fullmatch(rb"[A-Za-z0-9._~!$&'()*+,;=:%-]*", userinfo):
        return f"the target {shown} has userinfo that can be read in two ways"
    return f"the target is bad: {_authority_problem(address.decode('latin-1'))}"


def _shown(text: str | bytes) -> str:
    """Input, cut and quoted for a message."""
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")
