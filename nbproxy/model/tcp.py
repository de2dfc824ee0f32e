"""A TCP stream that passes unread but for its bytes, with mitmproxy's attribute names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nbproxy.model.connection import format_address
from nbproxy.model.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.connection import Client, Server


@dataclass(slots=True)
class TCPMessage:
    """Bytes that came at one time; where one message ends and the next begins means nothing.

    Attributes:
        from_client: True if the client sent it.
        content: The bytes. What a handler of `tcp_message` puts here is sent in their place;
            nothing is sent for b"".
        timestamp: When it came, Unix seconds.
        injected: True if neither end sent it: a handler did.
    """

    from_client: bool
    content: bytes = field(repr=False)  # may hold secrets, and reprs end up in notebooks
    timestamp: float = 0.0
    injected: bool = False


class TCPFlow(Flow):
    """A raw tunnel: what went through a CONNECT, or over a connection that changed protocols.

    It is made only while there are handlers of a `tcp_*` hook, and is given to them; tables, frames
    and files have the HTTP flow that began the tunnel.

    Attributes:
        messages: What passed, in the order of coming, both directions; only the newest of a long
            stream (see the option `message_memory_limit`).
    """

    type = "tcp"
    _inject: Callable[[TCPMessage], None] | None = None

    def __init__(
        self, client_conn: Client | None = None, server_conn: Server | None = None
    ) -> None:
        super().__init__(client_conn, server_conn)
        self.messages: list[TCPMessage] = []

    def inject(self, to_client: bool, content: bytes) -> None:
        """Send bytes of your own while the stream is live. From any thread.

        They come to handlers of `tcp_message` like all others, with `injected` set.

        Args:
            to_client: Where they go: to the client, or to the server.
            content: The bytes.

        Raises:
            ValueError: The stream is over.
        """
        if self._inject is None:
            raise ValueError("the stream is over, nothing can be injected any more")
        raw = bytes(memoryview(content))
        self._inject(TCPMessage(not to_client, raw, injected=True))

    def copy(self) -> TCPFlow:
        """An independent flow with the same content and a new id; not live."""
        other = TCPFlow(self.client_conn, self.server_conn)
        other.messages = [replace(message) for message in self.messages]
        other.error = self.error
        other._comment, other._marked = self._comment, self._marked
        other.timestamp_created = self.timestamp_created
        if self._metadata is not None:
            other.metadata = dict(self._metadata)
        return other

    def __repr__(self) -> str:
        count = len(self.messages)
        where = format_address(self.server_conn.address) or "…"
        return f"<TCPFlow {self.id}: {where}, {count} message{'' if count == 1 else 's'}>"
