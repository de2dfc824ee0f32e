"""From a request's head to where it goes (RFC 9112, 3.2): the one place that decides it.

Outside a tunnel the target must be absolute; Host is then replaced by the target's authority.
Inside a tunnel the target must be a path; it goes to the tunnel's host whatever Host says.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from nbproxy.errors import RemoteProtocolError
from nbproxy.model import url
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request
from nbproxy.protocol import http1

if TYPE_CHECKING:
    from nbproxy.model.connection import Address, Client
    from nbproxy.protocol.http1 import RequestHead

_VERSIONS = {b"1.1": "HTTP/1.1", b"1.0": "HTTP/1.0"}
_hostport = functools.lru_cache(maxsize=512)(url.hostport)
_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))


class Tunnel(NamedTuple):
    """The other end of a CONNECT, as the client named it.

    Attributes:
        tls: Whether TLS is spoken inside.
        host: Name or address.
        port: Port.
        sni: The server name of the client's ClientHello, or "".
    """

    tls: bool
    host: str
    port: int
    sni: str = ""


def server_name(sni: str | None) -> str:
    """The name that a ClientHello asks for, or "" if it is none (RFC 6066, 3: no address)."""
    name = (sni or "").rstrip(".").lower()
    if not name.isascii() or name.replace(".", "").isdecimal():
        return ""
    try:
        host, port = url.parse_authority(name)
    except ValueError:
        return ""
    return host if port is None and ":" not in name else ""


def flow_of(head: RequestHead, client: Client, tunnel: Tunnel | None) -> HTTPFlow:
    """The flow that a head begins.

    Raises:
        RemoteProtocolError: The target or Host is not what RFC 9112 allows here.
    """
    named = head.special.get(b"host")
    host_field = _check_host(named, head.version)
    note = ""
    fields = head.fields
    authority = ""
    target = head.target
    try:
        if tunnel is not None:
            scheme, host, port = "https" if tunnel.tls else "http", tunnel.host, tunnel.port
            if not target.startswith(b"/"):
                target = _path_in_tunnel(head, tunnel)
            path = url.parse_origin_form(target, options=head.method == b"OPTIONS")
            if host_field is not None and not (
                _same(host_field, scheme, host, port)
                or _same(host_field, scheme, tunnel.sni or host, port)
            ):
                leads_to = url.hostport(scheme, host, port)
                note = f"Host is {(named or [b''])[0].decode()}, the tunnel leads to {leads_to}"
        else:
            scheme, host, port, path = _absolute(head)
            authority = _hostport(scheme, host, port)
            if host_field is None:
                fields = ((b"Host", authority.encode("ascii")), *fields)
            elif not _same(host_field, scheme, host, port):
                note = f"Host was {(named or [b''])[0].decode('latin-1')}"
                fields = _with_host(fields, authority.encode("ascii"))
    except ValueError as error:
        raise RemoteProtocolError(f"the target cannot be used: {error}") from None
    request = Request(
        http1.word(head.method),
        scheme,
        host,
        port,
        path.decode("ascii"),
        headers=Headers.from_wire(fields),
        content=None,
        authority=authority,
        http_version=_VERSIONS[head.version],
        timestamp_start=head.started,
    )
    flow = HTTPFlow(request, client)
    if note:
        flow.metadata["host_mismatch"] = note
    return flow


def _check_host(named: list[bytes] | None, version: bytes) -> tuple[str, int | None] | None:
    """RFC 9112, 3.2: exactly one valid Host, which HTTP/1.0 may leave out."""
    if named is None:
        if version == b"1.0":
            return None
        raise RemoteProtocolError("no Host field (RFC 9112, 3.2)")
    if len(named) > 1:
        raise RemoteProtocolError("more than one Host field (RFC 9112, 3.2)")
    try:
        return url.parse_authority(named[0])
    except ValueError as error:
        raise RemoteProtocolError(f"the Host field is no authority: {error}") from None


def _absolute(head: RequestHead) -> tuple[str, str, int, bytes]:
    target = head.target
    if target.startswith(b"/") or target == b"*":
        raise RemoteProtocolError(
            "this is a proxy: the target of a request must be a whole URL (RFC 9112, 3.2.2)"
        )
    if target.startswith(b"ws:") and b"upgrade" in head.special:
        target = b"http" + target[2:]  # what some clients say when they ask for a WebSocket
    scheme, host, port, path = url.parse_absolute(target, options=head.method == b"OPTIONS")
    if scheme != "http":
        raise ValueError("https needs a tunnel; send CONNECT first (RFC 9110, 9.3.6)")
    return scheme, host, port, path


def _path_in_tunnel(head: RequestHead, tunnel: Tunnel) -> bytes:
    target = head.target
    if target == b"*" and head.method == b"OPTIONS":
        return target
    scheme, host, port, path = url.parse_absolute(target)
    if (
        (scheme == "https") != tunnel.tls
        or port != tunnel.port
        or (host.lower() not in {tunnel.host.lower(), tunnel.sni.lower()})
    ):
        raise RemoteProtocolError(
            f"the tunnel leads to {tunnel.host}, the target to {host} (RFC 9110, 7.4)", 421
        )
    return path


def _same(named: tuple[str, int | None], scheme: str, host: str, port: int) -> bool:
    return named[0].lower() == host.lower() and (named[1] or url.default_port(scheme)) == port


def _with_host(
    fields: tuple[tuple[bytes, bytes], ...], authority: bytes
) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((n, authority if n.lower() == b"host" else v) for n, v in fields)


def is_ours(head: RequestHead, own: set[Address], here: Address | None) -> bool:
    """Whether an origin-form request names our own address as its Host (somebody opened us).

    Args:
        head: The request's head.
        own: Where we listen.
        here: Our end of the client's connection.
    """
    named = head.special.get(b"host")
    if named is None or len(named) != 1 or not head.target.startswith(b"/"):
        return False
    try:
        host, port = url.parse_authority(named[0])
    except ValueError:
        return False
    return (host, port) == here or any(
        port == own_port and (host == own_host or host in _LOOPBACK_NAMES)
        for own_host, own_port in own
    )
