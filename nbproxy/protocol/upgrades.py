"""Changing protocols on an HTTP/1.1 connection (RFC 9110, 7.8): who asked for what, who agreed.

The rules of the WebSocket handshake (RFC 6455, 4) are here as well. Both of its ends are held to
them, since frames are read on both sides: a request that breaks them is answered by the proxy, a
101 that does is the server's fault and becomes a 502.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbproxy.errors import ProtocolError
from nbproxy.protocol.framing import TOKEN, members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.model.headers import Fields, Headers

_ACCEPT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_EXTENSIONS: Final = b"sec-websocket-extensions"
_DEFLATE: Final = "permessage-deflate"
_FLAGS: Final = frozenset(("client_no_context_takeover", "server_no_context_takeover"))
_BITS: Final = frozenset(("client_max_window_bits", "server_max_window_bits"))


@dataclass(frozen=True, slots=True)
class Deflate:
    """What two ends agreed on about compression (RFC 7692, 7.1).

    Attributes:
        client_bits: Base-2 logarithm of the window that the client compresses with, 8 to 15.
        server_bits: The same of the server.
        client_resets: True if the client compresses each message by itself.
        server_resets: True if the server does.
    """

    client_bits: int = 15
    server_bits: int = 15
    client_resets: bool = False
    server_resets: bool = False


def is_websocket(headers: Headers) -> bool:
    """Whether a head asks for, or agrees to, the WebSocket protocol."""
    return b"websocket" in _names(headers, "upgrade")


def _names(headers: Headers, name: str) -> list[bytes]:
    """The members of a list in a field, lower-case."""
    return members([value.encode("utf-8", "surrogateescape") for value in headers.get_all(name)])


def request_fault(method: str, headers: Headers) -> tuple[int, str] | None:
    """What is wrong with a request that asks for a WebSocket (RFC 6455, 4.1).

    Returns:
        The status to answer with and the reason; None if nothing is wrong.
    """
    if method != "GET":
        return 400, "a WebSocket begins with GET (RFC 6455, 4.1)"
    versions = headers.get_all("sec-websocket-version")
    if versions != ["13"]:
        said = ", ".join(versions) or "none"
        return 426, f"the version of WebSocket must be 13, not {said:.40} (RFC 6455, 4.4)"
    keys = headers.get_all("sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return 400, "Sec-WebSocket-Key must be there once: 16 bytes in base64 (RFC 6455, 4.1)"
    return None


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accept_of(key: str) -> str:
    """The answer to a Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1(key.strip().encode("ascii", "replace") + _ACCEPT, usedforsecurity=False)
    return base64.b64encode(digest.digest()).decode("ascii")


def check_switch(request: Headers, response: Headers) -> None:
    """Check that a 101 leads to a protocol that was asked for (RFC 9110, 7.8).

    Raises:
        ProtocolError: It does not; the server is at fault.
    """
    chosen = _names(response, "upgrade")
    if not chosen or not set(chosen) <= set(_names(request, "upgrade")):
        said = b", ".join(chosen).decode("utf-8", "replace") or "no protocol at all"
        raise _fault(f"it changed to {said:.80}, which nobody asked for (RFC 9110, 7.8)")


def check_websocket(request: Headers, response: Headers) -> Deflate | None:
    """Check a 101 that begins a WebSocket (RFC 6455, 4.1).

    Args:
        request: What the server was sent.
        response: What it answered.

    Returns:
        What was agreed about compression; None if messages are not compressed.

    Raises:
        ProtocolError: The server did not keep to the rules.
    """
    accepts = response.get_all("sec-websocket-accept")
    if [each.strip() for each in accepts] != [accept_of(request["sec-websocket-key"])]:
        raise _fault("Sec-WebSocket-Accept does not belong to the key (RFC 6455, 4.1)")
    chosen = response.get_all("sec-websocket-protocol")
    offered = [
        name.strip()
        for value in request.get_all("sec-websocket-protocol")
        for name in value.split(",")
    ]
    if len(chosen) > 1 or any(name.strip() not in offered for name in chosen):
        raise _fault(f"the subprotocol {', '.join(chosen):.80} was not offered (RFC 6455, 4.1)")
    agreed = compression(response)
    offers = known_offers(request.fields)
    if agreed is not None and all(name.lower() != _EXTENSIONS for name, _ in offers):
        raise _fault("it compresses messages, which was not offered (RFC 6455, 4.1)")
    return agreed


def compression(response: Headers) -> Deflate | None:
    """What a 101 says about compression; None if messages are not compressed.

    Raises:
        ProtocolError: It says so wrongly, or there are extensions that nobody can have offered.
    """
    try:
        agreed = list(extensions(response.get_all("sec-websocket-extensions")))
        return _deflate(agreed)
    except ValueError as error:
        raise _fault(f"{error} (RFC 6455, 9.1; RFC 7692, 7.1)") from None


def _fault(what: str) -> ProtocolError:
    return ProtocolError(f"the server's answer to the upgrade cannot be used: {what}", 502)


# -- extensions


def extensions(values: list[str]) -> Iterator[tuple[str, dict[str, str | None]]]:
    """The members of Sec-WebSocket-Extensions, each with its parameters (RFC 6455, 9.1).

    Raises:
        ValueError: It is no such list.
    """
    for value in values:
        for member in value.split(","):  # a quoted value is a token, so it has no comma
            if member.strip():
                yield _extension(member)


def _extension(text: str) -> tuple[str, dict[str, str | None]]:
    name, *pieces = (piece.strip() for piece in text.split(";"))
    found: dict[str, str | None] = {}
    for piece in pieces:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        if not _is_token(key) or key in found or (equals and not _is_token(value)):
            raise ValueError(f"the parameter {piece!r:.60} of an extension is malformed")
        found[key] = value if equals else None
    if not _is_token(name):
        raise ValueError(f"{text!r:.60} is no extension")
    return name, found


def _is_token(text: str) -> bool:
    return text.isascii() and TOKEN.fullmatch(text.encode("ascii")) is not None


def _deflate(agreed: list[tuple[str, dict[str, str | None]]]) -> Deflate | None:
    """The parameters of an accepted permessage-deflate, if it is the one extension."""
    if not agreed:
        return None
    if len(agreed) > 1 or agreed[0][0] != _DEFLATE:
        names = ", ".join(name for name, _ in agreed)
        raise ValueError(f"the extension {names:.80} was not offered")
    parameters = agreed[0][1]
    for name, value in parameters.items():
        if name in _FLAGS and value is None:
            continue
        if name in _BITS and value in {"8", "9", "10", "11", "12", "13", "14", "15"}:
            continue
        raise ValueError(f"{_DEFLATE} with {name}={value} cannot be used")
    return Deflate(
        int(parameters.get("client_max_window_bits") or 15),
        int(parameters.get("server_max_window_bits") or 15),
        "client_no_context_takeover" in parameters,
        "server_no_context_takeover" in parameters,
    )


def known_offers(fields: Fields) -> Fields:
    """The fields of a request without the extensions that we could not read frames of.

    What an extension does to frames both of our sides must undo and do again; of
    permessage-deflate we know how.
    """
    if all(name.lower() != _EXTENSIONS for name, _ in fields):
        return fields
    kept = []
    for name, value in fields:
        if name.lower() == _EXTENSIONS:
            wanted = [m.strip() for m in value.split(b",") if _is_known(m)]
            if not wanted:
                continue
            if len(wanted) != value.count(b",") + 1:
                value = b", ".join(wanted)  # noqa: PLW2901 - as it came, if nothing is left out
        kept.append((name, value))
    return tuple(kept)


def _is_known(member: bytes) -> bool:
    try:
        return _extension(member.decode("utf-8", "surrogateescape"))[0] == _DEFLATE
    except ValueError:
        return False
