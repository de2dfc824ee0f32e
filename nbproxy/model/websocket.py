"""The messages of a WebSocket (RFC 6455), with mitmproxy's attribute names.

A message here is a whole one: fragments are joined, compression is off, control frames are not
among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class Opcode(IntEnum):
    """Kinds of messages (RFC 6455, 5.2): numbers that scripts ask for `.name` and `.value`."""

    TEXT = 1
    BINARY = 2


TEXT: Final = Opcode.TEXT
"""Opcode of text messages."""

BINARY: Final = Opcode.BINARY
"""Opcode of binary messages."""

_OPCODES: Final = {int(opcode): opcode for opcode in Opcode}


@dataclass(slots=True)
class WebSocketMessage:
    """One message.

    Attributes:
        type: `TEXT` or `BINARY`; a file may hold other numbers.
        from_client: True if the client sent it.
        content: What it says; text in UTF-8.
        timestamp: When its last byte came, Unix seconds.
        dropped: True if it was not passed on.
        injected: True if neither end sent it: a handler did.
        left_out: How many bytes at its end passed but are not in `content`: it was very long.
    """

    type: int
    from_client: bool
    content: bytes = field(repr=False)  # may hold secrets, and reprs end up in notebooks
    timestamp: float = 0.0
    dropped: bool = False
    injected: bool = False
    left_out: int = 0

    def __post_init__(self) -> None:
        self.type = _OPCODES.get(self.type, self.type)

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


class _Line:
    """The way to who passes the messages on, while somebody does; no part of the record."""

    __slots__ = ("_inject",)

    _inject: Callable[[WebSocketMessage], None] | None

    def connect(self, inject: Callable[[WebSocketMessage], None] | None) -> None:
        """Say who sends injected messages; None: nobody does any more. The engine's to call."""
        self._inject = inject


@dataclass(slots=True)
class WebSocketData(_Line):
    """What passed on a WebSocket.

    Attributes:
        messages: In the order of coming, both directions. Of a very long conversation only the
            newest are kept; `flow.metadata["messages_left_out"]` then counts the others.
        closed_by_client: Who closed it; None while it is open, or if nobody did properly.
        close_code: Why (RFC 6455, 7.4): the code of the close frame, 1005 if it had none, 1006 if
            there was no such frame, our own if we closed it; None while it is open.
        close_reason: Its words.
        timestamp_end: When it closed, Unix seconds.
    """

    messages: list[WebSocketMessage] = field(default_factory=list)
    closed_by_client: bool | None = None
    close_code: int | None = None
    close_reason: str | None = None
    timestamp_end: float | None = None

    def inject(self, to_client: bool, content: str | bytes, *, is_text: bool | None = None) -> None:
        """Send a message of your own while the WebSocket is open. From any thread.

        It comes to handlers of `websocket_message` like all others, with `injected` set. If a
        message is on its way in pieces, it waits for the end of that.

        Args:
            to_client: Where it goes: to the client, or to the server.
            content: What it says.
            is_text: Whether it is a text message; by default if `content` is a str.

        Raises:
            ValueError: The WebSocket is closed.
        """
        inject = getattr(self, "_inject", None)
        if inject is None:
            raise ValueError("the WebSocket is closed, nothing can be injected any more")
        text = isinstance(content, str) if is_text is None else is_text
        raw = content.encode() if isinstance(content, str) else bytes(memoryview(content))
        inject(WebSocketMessage(TEXT if text else BINARY, not to_client, raw, injected=True))

    def copy(self) -> WebSocketData:
        """An independent copy."""
        return replace(self, messages=[replace(message) for message in self.messages])

    def __repr__(self) -> str:
        count = len(self.messages)
        return f"<WebSocketData: {count} message{'' if count == 1 else 's'}>"
