"""What a client asks for in its first TLS message (RFC 8446, 4.1.2), read before TLS begins.

We must know the server name before we can show a certificate, and must not have answered anything
if the connection is to pass through untouched. Nothing here trusts its input: lengths are checked,
and what is not a ClientHello is simply not one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HANDSHAKE: Final = 0x16
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_ALPN: Final = 16
LIMIT_BYTES: Final = 64 * 1024
# Records may be as short as one byte (RFC 8446, 5.1), and each look begins with the first of them.
_LIMIT_RECORDS: Final = 64


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The parts that matter to a proxy.

    Attributes:
        sni: The server name as ASCII text, or None (RFC 6066, 3).
        alpn: The protocols offered (RFC 7301).
    """

    sni: str | None
    alpn: tuple[str, ...]


class _Cursor:
    """Reads lengths and vectors; IndexError at the end of the data."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise IndexError(count)
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def vector(self, width: int) -> bytes:
        return self.take(int.from_bytes(self.take(width), "big"))

    @property
    def more(self) -> bool:
        return self.position < len(self.data)


def looks_like_tls(data: bytes) -> bool:
    """Whether the first bytes of a connection may begin a TLS handshake (RFC 8446, 5.1)."""
    return data[:1] == b"\x16" and data[1:2] in {b"", b"\x03"}


def parse(data: bytes) -> ClientHello | None:
    """The ClientHello at the beginning of a connection.

    Args:
        data: The bytes so far.

    Returns:
        None if more bytes are needed.

    Raises:
        ValueError: It is not a ClientHello, or larger than 64 KiB.
    """
    message = bytearray()
    records = _Cursor(data)
    wanted = 4
    count = 0
    while len(message) < wanted:
        count += 1
        if count > _LIMIT_RECORDS:
            raise ValueError("a ClientHello in more than 64 pieces")
        try:
            kind, _version = records.take(1)[0], records.take(2)
            if kind != _HANDSHAKE:
                raise ValueError("not a TLS handshake")
            message += records.vector(2)
        except IndexError:
            if len(data) > LIMIT_BYTES:
                raise ValueError("a ClientHello of more than 64 KiB") from None
            return None
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise ValueError("not a ClientHello")
            wanted = 4 + int.from_bytes(message[1:4], "big")
            if wanted > LIMIT_BYTES:
                raise ValueError("a ClientHello of more than 64 KiB")
    try:
        return _parse_body(bytes(message[4:wanted]))
    except IndexError:
        raise ValueError("a ClientHello whose lengths do not fit") from None


def _parse_body(body: bytes) -> ClientHello:
    cursor = _Cursor(body)
    cursor.take(2 + 32)  # legacy_version, random
    cursor.vector(1)  # legacy_session_id
    cursor.vector(2)  # cipher_suites
    cursor.vector(1)  # legacy_compression_methods
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    extensions = _Cursor(cursor.vector(2) if cursor.more else b"")
    while extensions.more:
        kind = int.from_bytes(extensions.take(2), "big")
        value = extensions.vector(2)
        if kind == _SERVER_NAME:
            sni = _parse_sni(value)
        elif kind == _ALPN:
            names = _Cursor(_Cursor(value).vector(2))
            offered = []
            while names.more:
                offered.append(names.vector(1).decode("latin-1"))
            alpn = tuple(offered)
    return ClientHello(sni, alpn)


def _parse_sni(value: bytes) -> str | None:
    names = _Cursor(_Cursor(value).vector(2)) if value else _Cursor(b"")
    while names.more:
        kind = names.take(1)[0]
        name = names.vector(2)
        if kind == 0:
            return name.decode("ascii", "replace")
    return None
