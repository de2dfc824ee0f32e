"""What WebSockets and TCP streams share: one message at a time, and messages of handlers' own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from nbproxy.engine.live import Killed
from nbproxy.errors import ConnectionFailed
from nbproxy.model.history import History

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nbproxy.engine.live import LiveFlow
    from nbproxy.model.history import Owner

NEVER_S: Final = float("inf")
"""A conversation may be silent as long as it likes; TCP keeps no time either."""

DRAIN_S: Final = 120.0
"""How long a peer may take nothing of what is sent to it."""


class Message(Protocol):
    """What the messages of both have."""

    from_client: bool
    content: bytes
    timestamp: float


M = TypeVar("M", bound=Message)


class Conversation(Generic[M]):
    """The messages of a live flow, on their way through the handlers.

    Both directions go on at once, but `messages[-1]` is the message that a handler is called for:
    so hooks run one at a time, in the order in which messages came.

    Args:
        live: Runs the hooks.
        hook: The hook of a message.
        owner: Where the list of messages is.
        deliver: Sends an injected message on; gets it after the handlers.
    """

    def __init__(
        self,
        live: LiveFlow,
        hook: str,
        owner: Owner,
        deliver: Callable[[M], Awaitable[None]],
    ) -> None:
        self.turn = asyncio.Lock()
        self._live = live
        self._hook = hook
        self._deliver = deliver
        self._history = History(live.flow, owner, live.core.options.message_memory_limit)
        self._injected: deque[M] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def has_handlers(self) -> bool:
        """Whether somebody wants to see messages before they go on."""
        return self._hook in self._live.core.dispatcher.active

    async def take(self, message: M) -> None:
        """A message came: it is recorded, and the handlers see it.

        Raises:
            Killed: The flow is to end.
        """
        async with self.turn:
            self._history.add(message)
            if self.has_handlers:
                before = message.content
                await self._live.hook(self._hook)
                self._check(message, before)
            self._live.core.recorder.changed(self._live.flow)

    def _check(self, message: Any, before: bytes) -> None:
        """Handlers may put anything there; what cannot be sent must not break the connection."""
        content = message.content
        if isinstance(content, bytes):
            return
        if isinstance(content, str):
            message.content = content.encode("utf-8", "surrogateescape")
        elif isinstance(content, (bytearray, memoryview)):
            message.content = bytes(content)
        else:
            message.content = before
            self._live.flow.metadata.setdefault("handler_errors", []).append(
                f"{self._hook}: the content became {type(content).__name__}, which is not bytes; "
                "the message went on as it came"
            )

    def went(self, message: Any, limit_bytes: int) -> None:
        """A message was passed on: what is kept of it, and of all of them, is bounded from now."""
        extra = len(message.content) - limit_bytes
        if extra > 0 and hasattr(message, "left_out"):
            message.content = message.content[:limit_bytes]
            self.leave_out(message, extra)
        self._history.trim()

    def leave_out(self, message: Any, size_bytes: int) -> None:
        """So many bytes at the end of a message are not kept."""
        message.left_out += size_bytes
        self._history.leave_out(0, size_bytes)

    # -- messages of handlers' own

    def inject(self, message: M) -> None:
        """Send a message that neither end sent. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: so is the conversation
            self._live.core.loop.call_soon_threadsafe(self._put, message)

    def _put(self, message: M) -> None:
        if self._ended:
            return
        self._injected.append(message)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.ensure_future(self._send())

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionFailed, Killed):  # whoever reads there sees it as well
            while self._injected:
                message = self._injected.popleft()
                message.timestamp = time.time()
                await self.take(message)
                await self._deliver(message)

    async def end(self) -> None:
        """Nothing is injected any more."""
        self._ended = True
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        self._deliver = _nowhere  # whose method it was refers to us


async def _nowhere(_: Any) -> None:
    """Where messages of a conversation go that has ended: there are none."""
