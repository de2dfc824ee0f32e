"""The messages of a long conversation, kept within bounds: the newest stay, the rest is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from nbproxy.model.flow import Flow

METADATA_KEY: Final = "messages_left_out"
"""In `flow.metadata`: how many messages, and how many bytes of them, passed and are not kept."""

# What a message takes beside its content: the object, its numbers, its place in the list.
_OVERHEAD: Final = 256
# Room is made for some more messages at once, so that not each one moves the whole list.
_ROOM: Final = 10


class Message(Protocol):
    """A message of a WebSocket or a TCP stream."""

    content: bytes


class Owner(Protocol):
    """What has the list; handlers may put another list there."""

    messages: list[Any]


class History:
    """Keeps the messages of one flow within a number of bytes.

    Args:
        flow: The flow; what is left out is counted in its metadata.
        owner: The flow, or its part that has the list `messages`.
        limit_bytes: How much of messages is kept.
    """

    __slots__ = ("_flow", "_owner", "_size", "limit_bytes")

    def __init__(self, flow: Flow, owner: Owner, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._flow = flow
        self._owner = owner
        self._size = 0

    def add(self, message: Message) -> None:
        """A message came; it is now the last."""
        self._owner.messages.append(message)
        self._size += _OVERHEAD + len(message.content)

    def trim(self) -> None:
        """Let the oldest messages go if there are too many bytes of them; the last one stays."""
        if self._size <= self.limit_bytes:
            return
        messages = self._owner.messages
        sizes = [_OVERHEAD + len(message.content) for message in messages]  # handlers change them
        self._size = sum(sizes)
        wanted = self.limit_bytes - self.limit_bytes // _ROOM
        count = freed = 0
        while self._size > wanted and count < len(messages) - 1:
            self._size -= sizes[count]
            freed += sizes[count] - _OVERHEAD
            count += 1
        if count:
            del messages[:count]
            self.leave_out(count, freed)

    def leave_out(self, messages: int, size_bytes: int) -> None:
        """Count messages, or bytes of one, that are not kept."""
        noted = self._flow.metadata.get(METADATA_KEY)
        known = noted if isinstance(noted, dict) else {}
        self._flow.metadata[METADATA_KEY] = {
            "messages": known.get("messages", 0) + messages,
            "bytes": known.get("bytes", 0) + size_bytes,
        }
