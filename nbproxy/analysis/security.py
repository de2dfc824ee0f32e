"""Credentials in requests: which schemes there are, told without the credentials themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy.model import url
from nbproxy.model.cookies import parse_cookie_header, parse_set_cookie
from nbproxy.model.secrets import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Request

_HTTP_SCHEMES: Final = {"basic": "basicAuth", "bearer": "bearerAuth", "digest": "digestAuth"}
_FORGERY: Final = ("csrf", "xsrf")  # tokens against forged requests say nothing about who asks
_MIN_SECRET: Final = 4  # shorter ones are in everything
_MAX_SECRETS: Final = 10_000
_MAX_NAME: Final = 100


def is_credential(name: str) -> bool:
    """Whether a field of this name (of a head, a query, a cookie) holds a credential."""
    lower = name.lower()
    return (
        len(name) <= _MAX_NAME
        and not any(word in lower for word in _FORGERY)
        and (is_secret_name(name) or lower == "key")
    )


class Credentials:
    """The schemes that were seen, and the secrets, which are not to be told.

    Attributes:
        schemes: OpenAPI's security scheme objects, by name.
        secrets: Values of credentials.
    """

    def __init__(self) -> None:
        self.schemes: dict[str, dict[str, Any]] = {}
        self.secrets: set[str] = set()

    def of(self, flow: HTTPFlow) -> frozenset[str]:
        """The names of the schemes that a request used."""
        used = frozenset(
            name
            for name, scheme, secret in self._found(flow.request)
            if self._note(name, scheme, secret)
        )
        if flow.response is not None:
            for line in flow.response.headers.get_all("set-cookie"):
                self._keep(parse_set_cookie(line).value)
        return used

    def _note(self, name: str, scheme: dict[str, Any], secret: str) -> bool:
        self.schemes.setdefault(name, scheme)
        self._keep(secret)
        return True

    def _keep(self, secret: str) -> None:
        if len(secret) >= _MIN_SECRET and len(self.secrets) < _MAX_SECRETS:
            self.secrets.add(secret)

    def _found(self, request: Request) -> Iterator[tuple[str, dict[str, Any], str]]:
        for name, value in request.headers.items(multi=True):
            lower = name.lower()
            if lower == "authorization":
                yield _authorization(value)
            elif lower == "cookie":
                yield from self._cookies(value)
            elif is_credential(lower) and not lower.startswith(("proxy-", "sec-", "access-")):
                yield f"header_{_plain(lower)}", _api_key("header", name), value
        for field, value in url.query_pairs(request.path):
            if is_credential(field):
                yield f"query_{_plain(field)}", _api_key("query", field), value

    def _cookies(self, line: str) -> Iterator[tuple[str, dict[str, Any], str]]:
        for name, value in parse_cookie_header(line):
            self._keep(value)
            if is_credential(name):
                yield f"cookie_{_plain(name)}", _api_key("cookie", name), value


def _authorization(value: str) -> tuple[str, dict[str, Any], str]:
    scheme, _, rest = value.strip().partition(" ")
    name = _HTTP_SCHEMES.get(scheme.lower())
    if name is None or not rest:  # a scheme that OpenAPI's tools do not know
        return "authorization", _api_key("header", "Authorization"), rest or value
    found = {"type": "http", "scheme": scheme.lower()}
    if name == "bearerAuth" and rest.startswith("eyJ") and rest.count(".") == 2:
        found["bearerFormat"] = "JWT"
    return name, found, rest


def _api_key(place: str, name: str) -> dict[str, Any]:
    return {"type": "apiKey", "in": place, "name": name}


def _plain(name: str) -> str:
    """A name as keys of OpenAPI's components may be."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
