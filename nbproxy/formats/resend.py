"""What commands and code that send a request again have in common: a URL, and the fields to give.

A request that was read from a file may hold anything. Here it is settled what can be sent at all;
how it is quoted is the business of `nbproxy.formats.curl` and `nbproxy.formats.python_code`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nbproxy.model import url
from nbproxy.model.headers import check_name, check_value

if TYPE_CHECKING:
    from nbproxy.model.headers import Fields
    from nbproxy.model.message import Request

_UNSENDABLE: Final = re.compile(r"[\x00-\x20\x7f]").search
# These belong to one connection, and whoever sends the request again makes them anew.
_OF_THE_CONNECTION: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def sendable_url(request: Request) -> str:
    """The URL that a request goes to, without a fragment.

    Raises:
        ValueError: It has none, or not one that can be asked for again.
    """
    if request.method == "CONNECT":
        raise ValueError("a CONNECT opens a tunnel: it cannot be sent again by itself")
    check_name(request.method)
    if request.scheme not in {"http", "https"}:
        raise ValueError(f"{request.scheme!r} is not http or https")
    if _UNSENDABLE(request.path):
        raise ValueError("the path has control characters or blanks, it cannot be sent")
    if not request.path.startswith("/") and request.path != "*":
        raise ValueError(f"{request.path!r:.80} is not a path: it does not begin with a slash")
    host = f"[{request.host}]" if ":" in request.host else request.host
    named, port = url.parse_authority(f"{host}:{request.port}")
    place = url.hostport(request.scheme, named, port or 0)
    return f"{request.scheme}://{place}{request.path}"


def fields_to_send(request: Request) -> Fields:
    """The fields, without those of the connection, and without what cannot stand in a head.

    The Host field is left out where it says what the URL says.
    """
    place = url.hostport(request.scheme, request.host, request.port).encode("utf-8", "replace")
    found = []
    for name, value in request.headers.fields:
        key = name.lower()
        if key in _OF_THE_CONNECTION or (key == b"host" and value == place):
            continue
        try:
            found.append((check_name(name), check_value(value).strip(b" \t")))
        except ValueError:
            continue
    if request.http_version != "HTTP/1.1" and request.authority:
        named = request.authority.encode("utf-8", "surrogateescape")
        if named != place and all(name.lower() != b"host" for name, _ in found):
            found.insert(0, (b"Host", named))
    return tuple(found)
