"""What goes on the wire for a message as the handlers left it: heads, framing, whole messages.

Pure functions from the flow's messages to bytes. Framing is made from the body that is sent
(RFC 9112, 6), whatever the fields say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nbproxy.model.reasons import REASONS
from nbproxy.protocol import framing, http1, upgrades

if TYPE_CHECKING:
    from nbproxy.model.message import Request, Response
    from nbproxy.protocol.framing import Framing, Special
    from nbproxy.protocol.http1 import RequestHead

UPGRADE_FIELDS: Final = frozenset((b"connection", b"upgrade"))
_NO_LENGTH: Final = frozenset((b"content-length",))
_EXPECT: Final = frozenset((b"expect",))


def wants_upgrade(head: RequestHead) -> bool:
    """Whether an upgrade is passed on (RFC 9110, 7.8): any but h2c, which would blind us."""
    wanted = head.special.get(b"upgrade")
    if not wanted or head.version != b"1.1":
        return False
    options = set(framing.members(head.special.get(b"connection", [])))
    protocols = framing.members(wanted)
    return b"upgrade" in options and b"h2c" not in protocols and head.framing == 0


def _dropped(head: RequestHead, *, upgrade: bool) -> frozenset[bytes]:
    """The fields of a request that end here."""
    dropped = framing.dropped_fields(head.special)
    if upgrade:
        dropped -= UPGRADE_FIELDS
    if b"expect" in head.special and head.framing != 0:
        dropped |= _EXPECT  # we have asked for the body already
    return dropped


def streamed_request(
    request: Request, head: RequestHead, *, upgrade: bool
) -> tuple[bytes, Framing]:
    """The head of a request whose body is passed on as it comes, and how that body is framed."""
    how: Framing = head.framing
    if callable(request.stream) or (request.trailers and how != "chunked"):
        how = "chunked"
    method, target = request.method.encode("ascii"), request.path.encode("ascii")
    dropped = _dropped(head, upgrade=upgrade)
    return http1.request_head_bytes(method, target, request.headers.fields, dropped, how), how


def whole_request(request: Request, head: RequestHead, *, upgrade: bool) -> bytes:
    """A request with its body."""
    method, target = request.method.encode("ascii"), request.path.encode("ascii")
    fields = request.headers.fields
    if upgrade:
        fields = upgrades.known_offers(fields)
    dropped = _dropped(head, upgrade=upgrade)
    body = request.raw_content or b""
    if request.trailers or (body and "transfer-encoding" in request.headers):
        trailers = request.trailers.fields if request.trailers else ()
        start = http1.request_head_bytes(method, target, fields, dropped, "chunked")
        return start + http1.chunk(body) + http1.last_chunk(trailers)
    framed: int | None = len(body)
    if not body and head.framing != "chunked":
        # RFC 9110, 8.6: a length of 0 is said only where the request said one
        same = fields is head.fields
        said = b"content-length" in head.special if same else "content-length" in request.headers
        framed = 0 if said else None
    start = http1.request_head_bytes(method, target, fields, dropped, framed)
    return start + body if body else start


def switch_head(response: Response) -> bytes:
    """The head of a 101 for a client (RFC 9110, 15.2.2)."""
    dropped = framing.HOP_BY_HOP - UPGRADE_FIELDS
    reason = response.reason.encode("latin-1", "replace")
    return http1.response_head_bytes(101, reason, response.headers.fields, dropped, None)


def response_head(
    response: Response, how: Framing | None, special: Special, version: bytes, *, keep: bool
) -> bytes:
    """The head of a response for a client.

    Args:
        response: The response.
        how: How its body will end; None if it has none.
        special: Its watched fields.
        version: The version of the client's request.
        keep: Whether the connection serves another request after it.
    """
    also = _NO_LENGTH if response.status_code == 204 else frozenset()
    connection = b""
    if not keep:
        connection = b"close"
    elif version == b"1.0":
        connection = b"keep-alive"
    reason = response.reason or REASONS.get(response.status_code, "")
    return http1.response_head_bytes(
        response.status_code,
        reason.encode("latin-1", "replace"),
        response.headers.fields,
        framing.dropped_fields(special, also),
        how,
        connection,
    )
