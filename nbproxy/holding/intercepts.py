"""What is held: flows that wait, who holds each, and how they go on.

Who wants to hold a flow *claims* it in a handler of the hook. When the engine is about to wait it
asks here (`Intercepts.hold`), and only then it is settled who gets it: `next` takes one flow,
however many match.

Threads: the engine holds on the proxy's loop; everything else may be called from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import operator
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbproxy.model.message import Response
from nbproxy.model.record import copy_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.holding.holders import Intercept
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
        self._copies = [(message, message.copy()) for message in both]
        self._part: Any = None
        if hook.endswith("_message"):  # of a WebSocket or a TCP stream: the last one is held
            self._part = part = getattr(flow, "websocket", flow).messages[-1]
            self._what = part.content, getattr(part, "dropped", False)

    def restore(self, flow: Any) -> None:
        for message, copy in self._copies:
            vars(message).clear()
            copy_attributes(copy, message)
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
            f"{named(flow)} was held at {entry.hook} for {entry.seconds:g} s, which is its limit, "
            "and went on unchanged; resume(), kill() or a longer timeout= would have helped"
        )
        for say in (*(who.say for who in entry.claimants), self._say):
            with contextlib.suppress(Exception):  # a fence: the flow must go on all the same
                say(text)


def named(flow: Any) -> str:
    """A flow in a few words, without secrets."""
    request = getattr(flow, "request", None)
    what = f" ({request.method} to {request.host})" if request is not None else ""
    return f"flow {flow.id}{what}"
