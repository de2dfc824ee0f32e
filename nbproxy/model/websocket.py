"""The messages of a WebSocket (RFC 6455), with mitmproxy's attribute names.

A message here is a whole one: fragments are joined, compression is off, control frames are not
among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

TEXT: Final = 1
"""Opcode of text messages (RFC 6455, 5.2)."""

BINARY: Final = 2
"""Opcode of binary messages."""


@dataclass(slots=True)
class WebSocketMessage:
    """One message.

    Attributes:
        type: `TEXT` or `BINARY`.
        from_client: True if the client sent it.
        content: What it says; text in UTF-8.
        timestamp: When its last byte came, Unix seconds.
        dropped: True if it was not passed on.
        injected: True if neither end sent it: a handler did.
    """

    type: int
    from_client: bool
    content: bytes = field(repr=False)  # may hold secrets, and reprs end up in notebooks
    timestamp: float = 0.0
    dropped: bool = False
    injected: bool = False

    @property
    def is_text(self) -> bool:
        """True for a text message."""
        return self.type == TEXT

    @property
    def text(self) -> str:
        """The content of a text message; assigning replaces it.

        Raises:
            AttributeError: It is binary.
        """
        if not self.is_text:
            raise AttributeError("a binary message has no text; its bytes are in .content")
        return self.content.decode("utf-8", "surrogateescape")

    @text.setter
    def text(self, value: str) -> None:
        if not self.is_text:
            raise AttributeError("a binary message has no text; assign bytes to .content")
        self.content = value.encode("utf-8", "surrogateescape")

    def drop(self) -> None:
        """Do not pass it on."""
        self.dropped = True


@dataclass(slots=True)
class WebSocketData:
    """What passed on a WebSocket.

    Attributes:
        messages: In the order of coming, both directions.
        closed_by_client: Who closed it; None while it is open, or if nobody did properly.
        close_code: Status code of the close frame (RFC 6455, 7.4), None without one.
        close_reason: Its words.
        timestamp_end: When it closed, Unix seconds.
    """

    messages: list[WebSocketMessage] = field(default_factory=list)
    closed_by_client: bool | None = None
    close_code: int | None = None
    close_reason: str | None = None
    timestamp_end: float | None = None

    def copy(self) -> WebSocketData:
        """An independent copy."""
        return replace(self, messages=[replace(message) for message in self.messages])

    def __repr__(self) -> str:
        count = len(self.messages)
        return f"<WebSocketData: {count} message{'' if count == 1 else 's'}>"
