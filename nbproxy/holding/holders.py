"""Who holds flows: `nbproxy.intercept(...)`, and `await nbproxy.next(...)`, which takes one.

Both are rules whose handlers claim the flows that match; see `nbproxy.holding.intercepts`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import numbers
import time
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar

from nbproxy.addons.rules import Rule, chosen_messages
from nbproxy.holding.intercepts import named

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping

    from nbproxy.handlers.handler import Source
    from nbproxy.handlers.registry import Registry
    from nbproxy.holding.intercepts import Intercepts
    from nbproxy.model.flow import HTTPFlow


def check_seconds(value: object) -> None:
    """Find out whether a time limit could be one.

    Raises:
        TypeError: It is neither a number nor None.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, type(None))):
        raise TypeError(f"{value!r} is no time limit: it takes seconds, as a number, or None")


class _Holder(Rule):
    """What `intercept` and `next` have in common: they claim flows in handlers."""

    lone = False
    awaited = True

    def __init__(
        self,
        intercepts: Intercepts,
        filter: str | None,  # noqa: A002 - the public name
        on: str | Iterable[str],
        timeout_s: float | None,
    ) -> None:
        __tracebackhide__ = True
        super().__init__(filter)
        check_seconds(timeout_s)
        if timeout_s is not None and not 0 < timeout_s < float("inf"):
            raise ValueError(f"{timeout_s!r} is no time limit: it takes seconds, above 0")
        self.timeout_s = timeout_s
        self._intercepts = intercepts
        self._on = chosen_messages(on)
        self._hinted = False

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        known = {"request": self._request, "response": self._response}
        return {hook: known[hook] for hook in self._on}

    def describe(self) -> str:
        """See `Rule`."""
        return f"{self.filter or 'everything'} at {' and '.join(self._on)}"

    def _request(self, flow: HTTPFlow) -> None:
        self._intercepts.claim(flow, "request", self)

    def _response(self, flow: HTTPFlow) -> None:
        response = flow.response
        if response is None:
            return
        if not response.stream:
            self._intercepts.claim(flow, "response", self)
        elif not self._hinted:
            self._hinted = True
            self.say(
                f"the response of {named(flow)} was passed on as it came and can no longer be "
                "held; a higher option stream_large_bodies has larger ones read whole"
            )

    def take(self, flow: HTTPFlow, hook: str) -> bool:  # noqa: ARG002 - see `Claimant`
        """See `Claimant`."""
        return True

    def took(self, flow: HTTPFlow) -> None:  # noqa: ARG002 - see `Claimant`
        """See `Claimant`."""
        self.hits += 1


class Intercept(_Holder):
    """Holds the flows that match; see `nbproxy.intercept`."""

    kind: ClassVar[str] = "intercept"

    def attach(self, registry: Registry, source: Source | None = None) -> Intercept:
        """See `Rule`."""
        __tracebackhide__ = True
        super().attach(registry, source)
        self._intercepts.add(self)
        return self

    def outcome(self) -> str:
        """See `Rule`."""
        return f"{self.hits} held so far"

    def take(self, flow: HTTPFlow, hook: str) -> bool:  # noqa: ARG002 - see `Claimant`
        """See `Claimant`: not if it was taken back meanwhile."""
        return self.active

    def off(self) -> None:
        """Take it back; what only it holds goes on."""
        super().off()
        self._intercepts.let_go(self)


class Next(_Holder):
    """Waits for one flow that matches; see `nbproxy.next`."""

    kind: ClassVar[str] = "next"
    lasting: ClassVar[bool] = False  # a task may wait longer than its cell runs
    lone = True

    def __init__(
        self,
        intercepts: Intercepts,
        filter: str | None,  # noqa: A002 - the public name
        on: str | Iterable[str],
        hold_s: float | None,
    ) -> None:
        __tracebackhide__ = True
        super().__init__(intercepts, filter, on, hold_s)
        self._found: concurrent.futures.Future[HTTPFlow] = concurrent.futures.Future()
        self.awaited = False
        self._forgotten_at = float("inf")  # by the monotonic clock

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        return {**super().hooks(), "done": self._done}

    def _done(self) -> None:
        """The proxy stops, or the handlers are being removed."""
        found = self._found
        if not found.done() and not found.running():
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # cancelled just now
                found.set_exception(
                    RuntimeError("the proxy was stopped, or its handlers removed, meanwhile")
                )

    def take(self, flow: HTTPFlow, hook: str) -> bool:  # noqa: ARG002 - see `Claimant`
        """See `Claimant`: the first flow only, and only while somebody waits, or soon will."""
        found = self._found
        if not self.awaited and time.monotonic() >= self._forgotten_at:
            return False  # it was not awaited in its time: the `await` was forgotten
        return not found.done() and not found.running() and found.set_running_or_notify_cancel()

    def took(self, flow: HTTPFlow) -> None:
        """See `Claimant`: hand it over."""
        super().took(flow)
        self._found.set_result(flow)

    def coroutine(
        self, registry: Registry, timeout_s: float | None
    ) -> Coroutine[Any, Any, HTTPFlow]:
        """Register the handlers; what `await nbproxy.next(...)` awaits."""
        __tracebackhide__ = True
        self._forgotten_at = time.monotonic() + (float("inf") if timeout_s is None else timeout_s)
        waiting = self._wait(timeout_s)
        # never awaited, it has no `finally` to run
        weakref.finalize(waiting, self.off).atexit = False
        try:
            self.attach(registry)
        except BaseException:  # an interrupt, too
            waiting.close()
            raise
        return _Awaitable(waiting, self)

    async def _wait(self, timeout_s: float | None) -> HTTPFlow:
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        self.awaited = True
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    return await asyncio.wrap_future(self._found)
            return self._last_chance(timeout_s)  # out here, so that no error is its context
        except asyncio.CancelledError:
            self._drop()
            raise
        finally:
            self.off()

    def wait(self, registry: Registry, timeout_s: float | None) -> HTTPFlow:
        """Register the handlers, and block until the flow is there."""
        __tracebackhide__ = True
        self.awaited = True
        try:
            self.attach(registry)
            with contextlib.suppress(TimeoutError):
                return self._found.result(timeout_s)
            return self._last_chance(timeout_s)
        except KeyboardInterrupt:
            self._drop()
            raise
        finally:
            self.off()

    def _last_chance(self, timeout_s: float | None) -> HTTPFlow:
        """The time is up; but if a flow was taken this moment, it is ours."""
        __tracebackhide__ = True
        if not self._found.cancelled() and not self._found.cancel():
            return self._found.result()
        raise TimeoutError(
            f"no flow that matches {self.filter or 'anything'!r} came to {' or '.join(self._on)} "
            f"within {timeout_s:g} s. The client has to run elsewhere meanwhile: in a thread, a "
            "task, a subprocess, a browser"
        )

    def _drop(self) -> None:
        """Nobody waits any more; a flow that was taken this moment goes on."""
        if not self._found.cancelled() and not self._found.cancel():
            concurrent.futures.wait((self._found,))
            self._intercepts.let_go(self)


class _Awaitable(Coroutine[Any, Any, "HTTPFlow"]):
    """The coroutine of a `next`, which says of itself what is missing if `await` was forgotten."""

    def __init__(self, coroutine: Coroutine[Any, Any, HTTPFlow], of: Next) -> None:
        self._coroutine = coroutine
        self._next = of

    def __await__(self) -> Generator[Any, Any, HTTPFlow]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __repr__(self) -> str:
        missing = "" if self._next.awaited else ", not awaited: flow = await nbproxy.next(...)"
        return f"<next {self._next.describe()}{missing}>"
