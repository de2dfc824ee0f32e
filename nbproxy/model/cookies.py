"""Cookie and Set-Cookie fields, read as browsers read them (RFC 6265, 5.2 and 5.4).

Nothing here raises for any field value: what a sender puts there is split at semicolons and at
the first equals sign, and quotes are part of the value. A piece without an equals sign is the
*value* of a cookie without a name, as browsers store it. Formatting what was parsed gives the field
back, but for blanks around the pieces and empty ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbproxy.model.multidict import MultiDict

if TYPE_CHECKING:
    from collections.abc import Iterable

_BLANKS = " \t"


class CookieAttrs(MultiDict[str, str | None]):
    """The attributes of a cookie by their names in any case; a flag such as Secure is None.

    >>> CookieAttrs([("Path", "/"), ("Secure", None)])["path"]
    '/'
    """

    __slots__ = ()

    @staticmethod
    def fold_key(key: object) -> object:
        """Attribute names are the same in any case (RFC 6265, 5.2)."""
        return key.lower() if isinstance(key, str) else key


@dataclass(slots=True)
class SetCookie:
    """One Set-Cookie field; `str()` of it is the field's value.

    Attributes:
        name: The cookie's name, "" if it has none.
        value: Its value as sent, quotes included.
        attributes: Path, Domain, Expires and so on, in order.
    """

    name: str
    value: str
    attributes: CookieAttrs = field(default_factory=CookieAttrs)

    def __str__(self) -> str:
        pieces = [_format_pair(self.name, self.value)]
        for name, value in self.attributes.fields:
            pieces.append(name if value is None else f"{name}={value}")
        return "; ".join(pieces)


def parse_cookie_header(value: str) -> list[tuple[str, str]]:
    """Names and values of the cookies in a Cookie field, in order, doubles included."""
    return [_parse_pair(piece) for piece in value.split(";") if piece.strip(_BLANKS)]


def format_cookie_header(pairs: Iterable[tuple[str, str]]) -> str:
    """The value of a Cookie field with these cookies; "" for none."""
    return "; ".join(_format_pair(name, value) for name, value in pairs)


def parse_set_cookie(value: str) -> SetCookie:
    """The cookie of a Set-Cookie field. It is one cookie: a comma separates nothing here."""
    first, *pieces = value.split(";")
    name, content = _parse_pair(first)
    attributes = []
    for piece in pieces:
        key, equals, text = piece.partition("=")
        key = key.strip(_BLANKS)
        if key or equals:
            attributes.append((key, text.strip(_BLANKS) if equals else None))
    return SetCookie(name, content, CookieAttrs(attributes))


def format_set_cookie(cookie: SetCookie) -> str:
    """The value of a Set-Cookie field; the same as `str(cookie)`."""
    return str(cookie)


def _parse_pair(piece: str) -> tuple[str, str]:
    name, equals, value = piece.partition("=")
    if not equals:
        return "", name.strip(_BLANKS)
    return name.strip(_BLANKS), value.strip(_BLANKS)


def _format_pair(name: str, value: str) -> str:
    if not name and value and "=" not in value:
        return value
    return f"{name}={value}"
