"""The door to the notebook: requests for a path of the proxy's own that are not traffic.

The inspector's buttons come this way while the kernel is busy and hears nothing else. Such a
request is answered at once on the proxy's loop; it is not recorded, and no handler sees it. Who
may come in, and what it means, is the business of whoever put the `Door` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from nbproxy.errors import NbproxyError
from nbproxy.protocol import framing, http1

if TYPE_CHECKING:
    from nbproxy.model.connection import Address
    from nbproxy.model.headers import Fields
    from nbproxy.protocol.http1 import ClientStream, RequestHead

PREFIX: Final = b"/-/nbproxy/"
"""What such a request's target begins with. An origin-form target is nothing a proxy could forward
(RFC 9112, 3.2), so it takes no path away from anybody."""

_MAX_BODY: Final = 4 * 2**20
_BODY_S: Final = 10.0
_REASONS: Final = {204: b"No Content", 403: b"Forbidden", 413: b"Content Too Large"}


class Door(Protocol):
    """Answers requests that begin with `PREFIX`."""

    def __call__(
        self, method: bytes, path: bytes, fields: Fields, body: bytes, peer: Address | None
    ) -> tuple[int, Fields]:
        """The status and fields of the answer, which has no body. On the loop: at once.

        Args:
            method: As sent.
            path: What follows the prefix.
            fields: The head's fields.
            body: The body, whole.
            peer: Where the client is.
        """
        ...


async def answer(door: Door, stream: ClientStream, head: RequestHead, peer: Address | None) -> None:
    """Answer one request; its connection ends with that. Never raises."""
    pieces: list[bytes] = []
    size = 0
    try:
        if stream.expects_continue:
            stream.write_continue()
        while not stream.body_done and (piece := await stream.next_piece(_BODY_S)) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > _MAX_BODY:
                break
    except NbproxyError:
        return
    status: int = 413
    fields: Fields = ()
    if size <= _MAX_BODY:
        path = head.target.removeprefix(PREFIX)
        status, fields = door(head.method, path, head.fields, b"".join(pieces), peer)
    how = None if status == 204 else 0  # RFC 9112, 6.3: it has no length to tell
    reason = _REASONS.get(status, b"")
    stream.io.write(
        http1.response_head_bytes(status, reason, fields, framing.HOP_BY_HOP, how, b"close")
    )
