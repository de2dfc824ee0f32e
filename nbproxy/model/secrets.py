"""Secrets in what is shown: masked so that notebooks can be committed.

Only text on its way to a reader passes through here; recorded data stays as it is. A mask is
stable under one salt (same value, same mask), so that masked columns can still be grouped and
joined. All patterns run in linear time, since what they run over was written by strangers.

What counts as a secret: credentials in headers, cookie values, userinfo in URLs, fields of
queries, forms and JSON with a telling name, and strings that are unmistakable anywhere, such as
JSON web tokens. In queries a long random string counts too, whatever it is called.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2s
from itertools import pairwise
from typing import Final

from nbproxy.model import cookies, url

# One of these words in a name makes it a secret's name ("X-Auth-Token", "csrf", "sessionId").
_WORDS: Final = frozenset(
    """apikey assertion auth authkey authorization bearer cred credential credentials csrf jwt otp
    passcode passphrase passwd password privatekey pwd secret secretkey session
    sid sig signature token totp xsrf""".split()  # noqa: SIM905 - reads better so
)
# So does one that ends like these ("JSESSIONID", "csrfmiddlewaretoken").
_ENDINGS: Final = ("apikey", "passwd", "password", "secret", "sessid", "sessionid", "token")
# And two words that follow each other.
_WORD_PAIRS: Final = frozenset(
    """access-key account-key api-key app-key auth-key code-verifier consumer-key encryption-key
    master-key pass-word private-key saml-request saml-response secret-key
    security-code service-key shared-key signing-key subscription-key""".split()  # noqa: SIM905 - as above
)
# Last words of names that speak about a secret and hold none ("token_type", "session_count").
_ABOUT: Final = frozenset(
    """alg algorithm at count enabled endpoint endpoints expired expires expiry expiration in
    length lifetime limit method methods name policy required size supported ttl type types uri
    url usage used valid version""".split()  # noqa: SIM905 - as above
)
# Whole names that are secret in a URL or a form, and too common elsewhere.
_IN_QUERIES: Final = frozenset({"code", "hmac", "key", "pass", "pin", "ticket"})

_AUTH_HEADERS: Final = frozenset({"authorization", "proxy-authorization"})
_CHALLENGES: Final = frozenset({"www-authenticate", "proxy-authenticate"})
_URL_HEADERS: Final = frozenset({"location", "content-location", "referer", "refresh", "link"})
# Schemes that stay to be seen in headers of any name; Authorization keeps every scheme.
_SCHEMES: Final = frozenset({"basic", "bearer", "digest", "negotiate", "ntlm", "token"})

_WORD_RE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_QUERY_RE = re.compile(r"[?#]")
_DELIMITER_RE = re.compile(r"([?#&;])")
# URLs inside the parameters of URLs are looked into so deep; what lies deeper is masked whole.
_MAX_NESTING: Final = 3
_MASK_RE = re.compile(r"\*\*\*[0-9a-f]{8}")

# Strings that are secrets wherever they stand. Each begins at a boundary, so that a long run of
# letters is tried once and not at each of its letters.
_TOKEN_RE = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){2,4}"  # JWS, JWE (RFC 7515, RFC 7516)
    r"|gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_[A-Za-z0-9_]{30,}+|glpat-[A-Za-z0-9_-]{20,}+"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}+|sk-[A-Za-z0-9_-]{20,}+|[sr]k_live_[A-Za-z0-9]{16,}+"
    r"|AKIA[A-Z0-9]{16}(?![A-Z0-9])|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,}+"
    r"|npm_[A-Za-z0-9]{30,}+|pypi-[A-Za-z0-9_-]{50,}+"
    r")"
)
# The look ahead wants a digit: "basic" is also a word, and long words follow it.
_BEARER_RE = re.compile(
    r"\b(Bearer|Basic) +(?=[A-Za-z._~+/-]{0,200}[0-9])([A-Za-z0-9._~+/-]{16,}+=*+)", re.IGNORECASE
)
_USERINFO_RE = re.compile(
    r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,20}://)([^\s/?#@\"'<>]++(?:@[^\s/?#@\"'<>]*+)*)@"
)
_PRIVATE_KEY_RE = re.compile(r"(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)([^-]*+)")
# A long value, and in it a run without separators, as no title or host name has one.
_LONG_RE = re.compile(r"[A-Za-z0-9+/_~.=-]{32,}+\Z")
_RUN_RE = re.compile(r"[A-Za-z0-9+]{16,}+")
# Bits a character below which a run is rather repeated or counted than random.
_MIN_ENTROPY: Final = 3.0

# One JSON string as a whole, and, where it is a name, its value if that is a string or a number.
# A string may also end where the text was cut.
_STRING = r'"((?>[^"\\]+|\\.)*+)(?:"|\\?\Z)'
_JSON_RE = re.compile(rf"{_STRING}(?:(\s*+:\s*+)(?:{_STRING}|(-?[0-9][0-9.eE+-]*+)))?", re.DOTALL)
# The same inside a JSON string, where its quotes are escaped.
_NESTED_JSON_RE = re.compile(
    r'(\\"([^"\\]{1,100})\\"\s*+:\s*+\\")((?>[^"\\]+|\\[^"])*+)(?=\\"|\\?\Z)', re.DOTALL
)
# Bounded: a part's header has few lines, and bodies of nothing but such lines are not read twice.
_PART_RE = re.compile(
    r"""(^content-disposition:[^\r\n]{0,200}?\bname="([^"\r\n]{1,100})"[^\r\n]{0,500}+\r?\n"""
    r"""(?:[^\r\n]{1,200}+\r?\n){0,5}+\r?\n)(.*?)(?=\r?\n--|\Z)""",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
_INPUT_RE = re.compile(r"<(?:input|meta)\s[^<>]{0,1000}>", re.IGNORECASE)
_NAME_ATTR_RE = re.compile(r"""\sname\s*+=\s*+["']?([^"'\s>]{1,100})""", re.IGNORECASE)
_VALUE_ATTR_RE = re.compile(
    r"""(\s(?:value|content)\s*+=\s*+)("[^"]*+"?|'[^']*+'?|[^\s>"']++)""", re.IGNORECASE
)


def is_secret_name(name: str, *, query: bool = False) -> bool:
    """Whether a field of this name is taken to hold a secret.

    Args:
        name: In any style: `X-Api-Key`, `access_token`, `sessionId`.
        query: The field stands in a query or a form, where `key` and `code` are secrets too.
    """
    return _is_secret(name[:100], query)


@lru_cache(maxsize=2048)
def _is_secret(name: str, query: bool) -> bool:
    words = [word.lower() for word in _WORD_RE.findall(name)]
    if not words:
        return False
    if query and "".join(words) in _IN_QUERIES:
        return True
    if len(words) > 1 and words[-1] in _ABOUT:
        return False
    return any(word in _WORDS or word.endswith(_ENDINGS) for word in words) or any(
        f"{left}-{right}" in _WORD_PAIRS for left, right in pairwise(words)
    )


def _looks_random(text: str) -> bool:
    """Whether this is a long string that nobody wrote by hand."""
    if not _LONG_RE.match(text):
        return False
    run = max(_RUN_RE.findall(text[:500]), key=len, default="")
    if not any(char.isdigit() for char in run) or not any(char.isalpha() for char in run):
        return False
    total = len(run)
    entropy = -sum(n / total * math.log2(n / total) for n in Counter(run).values())
    return entropy >= _MIN_ENTROPY


@dataclass(frozen=True, slots=True, repr=False)
class Masker:
    """Masks under one salt.

    Attributes:
        salt: Random bytes that stay the same for as long as masks shall be comparable. Who has
            them can test guesses against a mask.
    """

    salt: bytes

    def mask(self, value: str) -> str:
        """The mask of a secret: `***` and eight hex digits; "" and masks stay as they are."""
        if not value or _MASK_RE.fullmatch(value):
            return value
        digest = blake2s(value.encode("utf-8", "surrogatepass"), key=self.salt[:32], digest_size=4)
        return f"***{digest.hexdigest()}"

    def mask_header(self, name: str, value: str) -> str:
        """The value of a header as it may be shown.

        Credentials keep their scheme (`Bearer ***4f1a2c3d`), cookies keep names and attributes, and
        a URL is treated as `mask_url` does.
        """
        key = name.strip().lower()
        if key in _AUTH_HEADERS:
            return self._mask_credentials(value)
        if key == "cookie":
            pairs = cookies.parse_cookie_header(value)
            return cookies.format_cookie_header((n, self.mask(v)) for n, v in pairs)
        if key == "set-cookie":
            cookie = cookies.parse_set_cookie(value)
            cookie.value = self.mask(cookie.value)
            return str(cookie)
        if key in _CHALLENGES:
            scheme, _, rest = value.partition(" ")
            known = scheme.lower() in {"negotiate", "ntlm", "kerberos"}
            return f"{scheme} {self.mask(rest.strip())}" if known and rest.strip() else value
        if key in _URL_HEADERS:
            return self.mask_url(value)
        if is_secret_name(key) and not key.startswith("access-control-"):
            known = value.partition(" ")[0].lower() in _SCHEMES
            return self._mask_credentials(value) if known else self.mask(value)
        return self._mask_tokens(value)

    def mask_url(self, text: str) -> str:
        """A URL, or a path with its query, as it may be shown.

        Userinfo is masked, and in query and fragment the values of fields with a secret's name or
        that look like tokens; the path only where it holds a token of a well-known form.
        """
        return self._mask_url(text, _MAX_NESTING)

    def _mask_url(self, text: str, depth: int) -> str:
        query = _QUERY_RE.search(text)
        if query is None:
            return self._mask_tokens(text)
        start = query.start()
        pieces = _DELIMITER_RE.split(text[start:])
        shown = "".join(self._mask_field(piece, depth) for piece in pieces)
        return self._mask_tokens(text[:start]) + shown

    def mask_text(self, text: str, content_type: str = "", limit: int = 256 * 1024) -> str:
        """A body as it may be shown.

        Args:
            text: The body, or the beginning of it.
            content_type: The field's value: forms are known by it.
            limit: How many characters to look at. What follows is left out, with a note: nothing is
                shown that was not looked at.
        """
        left_out = len(text) - limit
        if left_out > 0:
            text = text[:limit]
        media = content_type.partition(";")[0].strip().lower()
        if media == "application/x-www-form-urlencoded":
            shown = "&".join(self._mask_field(piece) for piece in text.split("&"))
        else:
            shown = self._mask_body(text, media)
        return f"{shown}… (+{left_out:,} characters)" if left_out > 0 else shown

    def _mask_body(self, text: str, media: str) -> str:
        if media.startswith("multipart/"):
            text = _PART_RE.sub(self._mask_part, text)
        if "<" in text:
            text = _INPUT_RE.sub(self._mask_input, text)
        if '"' in text:
            text = _JSON_RE.sub(self._mask_json, text)
            if '\\"' in text:
                text = _NESTED_JSON_RE.sub(self._mask_nested, text)
        if "-----BEGIN" in text:
            text = _PRIVATE_KEY_RE.sub(lambda m: f"{m[1]}{self.mask(m[2])}", text)
        return self._mask_tokens(text)

    def _mask_credentials(self, value: str) -> str:
        """Credentials as in RFC 9110, 11.4: the scheme stays, all that follows is masked."""
        scheme, _, rest = value.strip().partition(" ")
        rest = rest.strip()
        if rest and len(scheme) <= 20 and scheme.isascii() and scheme.replace("-", "").isalnum():
            return f"{scheme} {self.mask(rest)}"
        return self.mask(value)

    def _mask_tokens(self, text: str) -> str:
        """Mask what is a secret wherever it stands."""
        if "@" in text:
            text = _USERINFO_RE.sub(lambda m: f"{m[1]}{self.mask(m[2])}@", text)
        text = _TOKEN_RE.sub(lambda m: self.mask(m[0]), text)
        return _BEARER_RE.sub(lambda m: f"{m[1]} {self.mask(m[2])}", text)

    def _mask_field(self, piece: str, depth: int = _MAX_NESTING) -> str:
        """One `name=value` of a query or form, or a delimiter."""
        name, equals, value = piece.partition("=")
        if not equals:
            return self.mask(piece) if _looks_random(piece) else self._mask_tokens(piece)
        plain = url.decode_field(value)
        if is_secret_name(url.decode_field(name), query=True) or _looks_random(plain):
            return f"{name}={self.mask(plain)}"
        if "://" not in plain:
            masked = self._mask_tokens(plain)
        else:
            masked = self._mask_url(plain, depth - 1) if depth else self.mask(plain)
        return piece if masked == plain else f"{name}={url.quote(masked, safe='*:/@')}"

    def _mask_json(self, match: re.Match[str]) -> str:
        name, colon, string, number = match.groups()
        value = string if number is None else number
        if not colon or not value or not is_secret_name(name):
            return match[0]
        return f'"{name}"{colon}"{self.mask(value)}"'

    def _mask_nested(self, match: re.Match[str]) -> str:
        head, name, value = match.groups()
        return head + self.mask(value) if is_secret_name(name) else match[0]

    def _mask_part(self, match: re.Match[str]) -> str:
        head, name, value = match.groups()
        return head + self.mask(value) if is_secret_name(name, query=True) else match[0]

    def _mask_input(self, match: re.Match[str]) -> str:
        name = _NAME_ATTR_RE.search(match[0])
        if name is None or not is_secret_name(name[1], query=True):
            return match[0]
        return _VALUE_ATTR_RE.sub(lambda m: self._mask_attribute(m[1], m[2]), match[0])

    def _mask_attribute(self, head: str, quoted: str) -> str:
        return f'{head}"{self.mask(quoted.strip(chr(34) + chr(39)))}"'
