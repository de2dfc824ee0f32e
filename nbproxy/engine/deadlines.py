"""Time limits for many connections with at most one timer.

A time-out object for each await would cost more than the await. Instead each socket notes until
when it may wait, and one timer, set for the earliest of them, looks at all. While nobody waits
there is no timer, so an idle proxy wakes nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

NEVER: Final = float("inf")
# Two waits that end nearly at the same time are served by one look.
_GRAIN_S: Final = 0.05


class Waiter(Protocol):
    """Something that waits until a deadline (on the loop's clock), or `NEVER`."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""
        ...


class Deadlines:
    """The waiters of one loop, and the timer.

    Attributes:
        soonest: When the timer will look, on the loop's clock; a waiter whose deadline is earlier
            must call `watch`.
    """

    __slots__ = ("_handle", "_loop", "_waiters", "soonest")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: set[Waiter] = set()
        self._handle: asyncio.TimerHandle | None = None
        self.soonest = NEVER

    def add(self, waiter: Waiter) -> None:
        """Begin to look at a waiter."""
        self._waiters.add(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Stop looking at it."""
        self._waiters.discard(waiter)

    def watch(self, deadline: float) -> None:
        """Look at this time at the latest."""
        if deadline < self.soonest:
            if self._handle is not None:
                self._handle.cancel()
            self.soonest = deadline
            self._handle = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        self._handle = None
        self.soonest = NEVER
        now = self._loop.time() + _GRAIN_S / 2
        for waiter in [w for w in self._waiters if w.deadline <= now]:
            waiter.deadline = NEVER
            waiter.expire()
        following = min((w.deadline for w in self._waiters), default=NEVER)
        if following is not NEVER and following < NEVER:
            self.watch(max(following, now + _GRAIN_S))

    def close(self) -> None:
        """Forget all waiters and the timer."""
        self._waiters.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
