"""A live flow: what runs its hooks, holds it, and ends it when somebody asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from nbproxy.engine.core import Core
    from nbproxy.model.flow import Flow


class Killed(Exception):  # noqa: N818 - an outcome, not a fault
    """A handler, or somebody in a cell, ended the flow."""


class LiveFlow:
    """Carries one flow; it is the flow's `Control` while that is live.

    Args:
        core: What all connections share.
        flow: The flow.

    Attributes:
        killed: True once somebody ended it.
    """

    __slots__ = ("_held", "core", "flow", "killed")

    flow: Flow

    def __init__(self, core: Core, flow: Flow) -> None:
        self.core = core
        self.flow = flow
        self.killed = False
        self._held: asyncio.Future[None] | None = None

    # -- Control: what others may do to a live flow, from any thread

    def resume(self) -> None:
        """Let the held flow go on."""
        self.core.loop.call_soon_threadsafe(self._release)

    def kill(self) -> None:
        """End it without an answer."""
        self.killed = True
        self.core.loop.call_soon_threadsafe(self._end)

    def _release(self) -> None:
        if self._held is not None and not self._held.done():
            self._held.set_result(None)

    def _end(self) -> None:
        self._release()
        if self.flow.live:
            self.cut()

    def cut(self) -> None:
        """Break the connections. On the loop."""
        raise NotImplementedError

    # -- hooks

    async def hook(self, name: str) -> None:
        """Run the handlers of a hook, and wait as long as the flow is held there.

        Raises:
            Killed: The flow is to end.
        """
        waiting = self.core.dispatcher.fire(name, self.flow)
        if waiting is not None:
            await waiting
        if self.flow.intercepted:
            await self._hold(name)
        if self.killed:
            raise Killed

    async def _hold(self, hook: str) -> None:
        self._held = self.core.loop.create_future()
        if not self.flow.intercepted:  # resumed from another thread just now
            return
        self.core.recorder.changed(self.flow)
        try:
            await self.core.holder.hold(self.flow, hook, self._held)
        finally:
            self._held = None
        self.core.recorder.changed(self.flow)
