"""Holding flows: `nbproxy.intercept(...)`, `await nbproxy.next(...)`, and what is held.

A held flow waits at `request` or `response`, after all handlers of that hook, and others go by. It
can be changed meanwhile, and goes on when somebody lets it, or at the end of its time: then as it
was when it was held, and the user is told.

Who wants to hold a flow *claims* it in a handler of the hook. When the engine is about to wait it
asks here (`Intercepts.hold`), and only then it is settled who gets it: `next` takes one flow,
however many match.

Threads: the engine holds on the proxy's loop; everything else may be called from any thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import numbers
import operator
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from nbproxy.addons.rules import Rule, chosen_messages
from nbproxy.model.message import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from nbproxy.handlers.handler import Source
    from nbproxy.handlers.registry import Registry
    from nbproxy.model.flow import Flow, HTTPFlow
    from nbproxy.model.message import Message

_log = logging.getLogger(__name__)


class Held(NamedTuple):
    """A flow that waits.

    Attributes:
        flow: The flow.
        hook: Where: "request" or "response"; another hook if a handler held it there.
        since: Unix seconds.
        deadline: When it goes on by itself, Unix seconds.
    """

    flow: HTTPFlow
    hook: str
    since: float
    deadline: float


class Claimant(Protocol):
    """Who wants to hold flows."""

    timeout_s: float | None
    """For how long; None for the option `intercept_timeout`."""

    lone: bool
    """Whether a flow that it takes is not for others of this kind."""

    awaited: bool
    """Whether somebody waits for it now. Of the lone ones these come first."""

    def take(self, flow: HTTPFlow, hook: str) -> bool:
        """The flow is about to be held: whether it is still wanted. On the proxy's loop."""

    def took(self, flow: HTTPFlow) -> None:
        """It is being held now. On the proxy's loop."""

    def say(self, text: str) -> None:
        """Tell the user."""


class _Before:
    """What the messages of a flow were like."""

    def __init__(self, flow: Any, hook: str) -> None:
        self._request: Message | None = getattr(flow, "request", None)
        self._response: Message | None = getattr(flow, "response", None)
        both = (message for message in (self._request, self._response) if message is not None)
        self._state = [(message, vars(message.copy())) for message in both]
        self._part: Any = None
        if hook.endswith("_message"):  # of a WebSocket or a TCP stream: the last one is held
            self._part = part = getattr(flow, "websocket", flow).messages[-1]
            self._what = part.content, getattr(part, "dropped", False)

    def restore(self, flow: Any) -> None:
        for message, state in self._state:
            vars(message).clear()
            vars(message).update(state)
        if self._request is not None:
            flow.request, flow.response = self._request, self._response
        if self._part is not None:
            self._part.content, dropped = self._what
            if hasattr(self._part, "dropped"):
                self._part.dropped = dropped


class _Entry:
    """A held flow, with who holds it."""

    def __init__(self, flow: HTTPFlow, hook: str, claimants: list[Claimant], asked: bool) -> None:
        self.flow = flow
        self.hook = hook
        self.claimants = claimants
        self.asked = asked
        self.since = time.time()
        self.seconds = 0.0
        self.loop = asyncio.get_running_loop()
        self.limit: asyncio.Timeout | None = None
        self.before = _Before(flow, hook)

    @property
    def held(self) -> Held:
        return Held(self.flow, self.hook, self.since, self.since + self.seconds)


class Intercepts:
    """What is held, and what is to be.

    Iterating gives what is held, as `Held`, the longest first.

    Args:
        limit_s: Gives the seconds a flow may be held if nobody says otherwise.
        say: Puts a sentence into the log.
    """

    def __init__(self, limit_s: Callable[[], float], say: Callable[[str], object]) -> None:
        self._limit_s = limit_s
        self._say = say
        self._claims: weakref.WeakKeyDictionary[Flow, list[tuple[str, Claimant]]] = (
            weakref.WeakKeyDictionary()
        )
        self._entries: dict[int, _Entry] = {}
        self._rules: tuple[Intercept, ...] = ()
        self._subscribers: tuple[Callable[[], object], ...] = ()
        self._lock = threading.Lock()  # guards the four above

    # -- looking

    @property
    def held(self) -> list[Held]:
        """What is held now, the longest first."""
        with self._lock:
            entries = list(self._entries.values())
        return [entry.held for entry in entries if entry.flow.intercepted]

    @property
    def rules(self) -> list[Intercept]:
        """What `intercept` has asked for and is still in force."""
        with self._lock:
            self._rules = tuple(rule for rule in self._rules if rule.active)
            return list(self._rules)

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have a callback called whenever a flow is held or goes on, on the proxy's thread.

        It must take no time: set a flag, wake somebody. One that raises is dropped.

        Returns:
            A function that ends it.
        """
        with self._lock:
            self._subscribers = (*self._subscribers, callback)
        return lambda: self._unsubscribe(callback)

    def _unsubscribe(self, callback: Callable[[], object]) -> None:
        with self._lock:
            self._subscribers = tuple(each for each in self._subscribers if each is not callback)

    def _tell(self) -> None:
        for callback in self._subscribers:
            try:
                callback()
            except Exception:  # noqa: BLE001 - a fence: whoever looks on must not stop the proxy
                self._unsubscribe(callback)
                _log.warning("a watcher of held flows failed", exc_info=True)

    def __len__(self) -> int:
        return len(self.held)

    def __bool__(self) -> bool:
        return True  # one that holds nothing is still one

    def __iter__(self) -> Iterator[Held]:
        return iter(self.held)

    def __contains__(self, flow: object) -> bool:
        return any(held.flow is flow for held in self.held)

    def __repr__(self) -> str:
        held, rules = self.held, self.rules
        head = f"<Intercepts: {len(held)} held, {len(rules)} rule{'' if len(rules) == 1 else 's'}>"
        now = time.time()
        lines = [
            f"  {each.flow!r} at {each.hook}, {max(0.0, each.deadline - now):.0f} s left"
            for each in held
        ]
        return "\n".join([head, *lines, *(f"  {rule!r}" for rule in rules)])

    # -- letting go

    def resume(self, flow: HTTPFlow | int) -> None:
        """Let a held flow go on as it is now.

        Args:
            flow: The flow, or its id.

        Raises:
            ValueError: It is not held.
        """
        self._find(flow).flow.resume()

    def resume_all(self) -> int:
        """Let all held flows go on; returns how many."""
        held = self.held
        for each in held:
            each.flow.resume()
        return len(held)

    def kill(self, flow: HTTPFlow | int) -> None:
        """End a held flow: its client gets no answer.

        Raises:
            ValueError: It is not held.
        """
        self._find(flow).flow.kill()

    def answer(self, flow: HTTPFlow | int, response: Response) -> None:
        """Answer a held flow in the server's place, or in place of the server's answer.

        Args:
            flow: The flow, or its id.
            response: Such as `nbproxy.Response.make(404)`.

        Raises:
            ValueError: It is not held.
            TypeError: That is no response.
        """
        if not isinstance(response, Response):
            raise TypeError(
                f"an answer is a Response, such as nbproxy.Response.make(404), not {response!r}"
            )
        found = self._find(flow).flow
        found.response = response
        found.resume()

    def extend(self, flow: HTTPFlow | int, seconds: float) -> None:
        """Give a held flow more time: so many seconds from now.

        Raises:
            ValueError: It is not held.
        """
        entry = self._find(flow)

        def move() -> None:
            if entry.limit is not None and self._entries.get(entry.flow.id) is entry:
                entry.seconds = time.time() - entry.since + seconds
                entry.limit.reschedule(entry.loop.time() + seconds)
                self._tell()

        entry.loop.call_soon_threadsafe(move)

    def off(self) -> int:
        """Take all that `intercept` asked for back, and let everything go on.

        Returns:
            How many rules there were.
        """
        rules = self.rules
        for rule in rules:
            rule.off()
        self.resume_all()
        return len(rules)

    def _find(self, flow: HTTPFlow | int) -> _Entry:
        try:  # ids out of a frame are numpy's
            number = flow.id if hasattr(flow, "id") else operator.index(flow)
        except TypeError:
            raise TypeError(f"{flow!r} is neither a flow nor the id of one") from None
        with self._lock:
            entry = self._entries.get(number)
        if entry is None or not entry.flow.intercepted:
            held = ", ".join(str(each.flow.id) for each in self.held)
            raise ValueError(
                f"flow {number} is not held; {f'held are {held}' if held else 'none is'}"
            )
        return entry

    # -- holding

    def add(self, rule: Intercept) -> None:
        """Remember a rule."""
        with self._lock:
            self._rules = (*(each for each in self._rules if each.active), rule)

    def claim(self, flow: HTTPFlow, hook: str, claimant: Claimant) -> None:
        """Ask for a flow to be held at the hook that is running for it now."""
        self._claims.setdefault(flow, []).append((hook, claimant))
        flow.intercepted = True

    def let_go(self, claimant: Claimant) -> None:
        """Somebody holds flows no longer; those that nobody else holds go on."""
        with self._lock:
            entries = [e for e in self._entries.values() if claimant in e.claimants]
        for entry in entries:
            entry.claimants.remove(claimant)
            if not entry.claimants and not entry.asked:
                entry.flow.resume()

    async def hold(self, flow: Any, hook: str, released: asyncio.Future[None]) -> None:
        """Wait until a flow is let go; for the engine, when handlers have left it intercepted.

        Args:
            flow: The flow.
            hook: Whose handlers have run.
            released: Done when somebody resumes or kills it.
        """
        asked, flow.hold_s = flow.hold_s, None
        claims = self._claims.pop(flow, ())
        claimants: list[Claimant] = []
        for where, who in sorted(claims, key=lambda claim: not claim[1].awaited):
            taken = who.lone and any(each.lone for each in claimants)
            if where == hook and not taken and who.take(flow, hook):
                claimants.append(who)
        if claims and not claimants and asked is None:
            flow.intercepted = False  # wanted by a `next` that has its flow by now
            return
        times = [who.timeout_s for who in claimants]
        if not claimants or asked is not None:
            times.append(asked or None)
        entry = _Entry(flow, hook, claimants, asked is not None or not claimants)
        entry.seconds = max(self._limit_s() if seconds is None else seconds for seconds in times)
        try:
            async with asyncio.timeout(entry.seconds) as entry.limit:
                with self._lock:
                    self._entries[flow.id] = entry
                self._tell()
                for who in claimants:
                    who.took(flow)
                await released
        except TimeoutError:
            self._expired(entry)
        finally:
            with self._lock:
                self._entries.pop(flow.id, None)
            flow.intercepted = False
            self._tell()

    def _expired(self, entry: _Entry) -> None:
        """The time is up: the flow goes on as it was, and the user is told."""
        flow = entry.flow
        entry.before.restore(flow)
        flow.metadata["released"] = f"after {entry.seconds:g} s, unchanged"
        text = (
            f"{_name(flow)} was held at {entry.hook} for {entry.seconds:g} s, which is its limit, "
            "and went on unchanged; resume(), kill() or a longer timeout= would have helped"
        )
        for say in (*(who.say for who in entry.claimants), self._say):
            with contextlib.suppress(Exception):  # a fence: the flow must go on all the same
                say(text)


def _name(flow: Any) -> str:
    """A flow in a few words, without secrets."""
    request = getattr(flow, "request", None)
    what = f" ({request.method} to {request.host})" if request is not None else ""
    return f"flow {flow.id}{what}"


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
                f"the response of {_name(flow)} was passed on as it came and can no longer be "
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
