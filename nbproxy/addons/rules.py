"""Rules: one-line orders such as `nbproxy.block("~d ads.example")`, made of ordinary handlers.

A rule is an object with handlers, and the handle that its user gets. In a cell its handlers belong
to that cell, as those of `on` do: running the cell again replaces them. Elsewhere they stay until
`off`.

mitmproxy's options for such rules share one syntax, read here: `|filter|subject|replacement`, the
filter optional, the separator whatever character comes first.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, TypeVar

from nbproxy.filters import parse
from nbproxy.handlers.cells import origin_of
from nbproxy.handlers.handler import Source, is_async
from nbproxy.hooks import HOOKS
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from nbproxy.filters import Filter
    from nbproxy.handlers.cells import Cell
    from nbproxy.handlers.handler import Handler
    from nbproxy.handlers.registry import Registry
    from nbproxy.model.flow import HTTPFlow

MESSAGES: Final = ("request", "response")

_SHOWN = 80  # characters of what a rule says about itself


class Rule:
    """An order to the proxy; also a context manager, at whose end it is taken back.

    Attributes:
        kind: What it is called: the name of the function that made it.
        filter: The filter expression of the flows it is for, None for all.
        hits: How often it did something.
    """

    kind: ClassVar[str] = "rule"
    lasting: ClassVar[bool] = True
    """Whether it belongs to the cell that makes it; if not, only `off` ends it."""
    first: ClassVar[bool] = False
    """Whether it runs before all other handlers; only for those that do not last."""

    def __init__(self, filter: str | None = None) -> None:  # noqa: A002 - the public name
        __tracebackhide__ = True
        if filter is not None:
            parse(filter)  # a mistake in it shows before anything is registered
        self.filter = filter
        self.hits = 0
        self._registry: Registry | None = None
        # by function, which is there before it is registered: an interrupt leaves none behind
        self._handlers: dict[Callable[..., Any], Handler | None] = {}

    # -- for subclasses

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """The handlers by hook."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it does, for people; no secrets."""
        return self.filter or ""

    def outcome(self) -> str:
        """What it has done so far."""
        return f"{self.hits} hit{'' if self.hits == 1 else 's'}"

    # -- life

    def attach(self, registry: Registry, source: Source | None = None) -> Self:
        """Register the handlers. From any thread.

        Args:
            registry: Where.
            source: Whose they are; by default the cell's that runs, if one does.
        """
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        self._registry = registry
        self._handlers = {}
        try:
            for hook, method in self.hooks().items():
                self._register(registry, hook, method, source)
        except BaseException:  # an interrupt, too: nobody would have a handle to take it back
            self.off()
            raise
        return self

    def _register(
        self, registry: Registry, hook: str, method: Callable[..., Any], source: Source | None
    ) -> None:
        cell = registry.cells.current_cell() if registry.cells is not None else None
        condition = self.filter if HOOKS[hook].kind == "flow" else None
        function = _named(method, self._handler_name(cell))
        owner = source or self._owner(function, cell)
        self._handlers[function] = None
        if owner is None:  # a handler of the cell like any other
            registry.on(hook, condition)(function)
            handler = next(each for each in registry if each.function is function)
        else:
            handler = registry.add(
                hook,
                function,
                filter=condition,
                source=owner,
                context=cell.context if cell is not None else None,
                first=self.first,
            )
        self._handlers[function] = handler

    def _handler_name(self, cell: Cell | None) -> str:
        """What its handlers are called, by which the registry tells those of a cell apart.

        If the notebook gives cells no ids, what the rule does must be part of it, or any cell's
        rule would replace any other's.
        """
        without_id = cell is not None and cell.key is None
        return f"{self.kind} {self.describe()}" if without_id else self.kind

    def _owner(self, function: Callable[..., Any], cell: Cell | None) -> Source | None:
        """Whose the handlers are, if not the cell's."""
        if cell is None:
            return Source("module", self.kind, self)
        if self.lasting and origin_of(function, cell).source.kind == "cell":
            return None
        return Source("module", cell.label, self)

    def off(self) -> None:
        """Take it back. A second time changes nothing. From any thread."""
        if self._registry is not None:
            for function in self._handlers:
                with contextlib.suppress(ValueError):  # its cell was run again, or `nbproxy.off()`
                    self._registry.off(function)

    @property
    def active(self) -> bool:
        """Whether it is in force: not taken back, nor replaced by running its cell again."""
        registry = self._registry
        return registry is not None and any(each.function in self._handlers for each in registry)

    def say(self, text: str) -> None:
        """Tell the user something about it, once for all its handlers, under its cell."""
        registry = self._registry
        handler = next(iter(self._handlers.values()), None)
        if registry is not None and handler is not None:
            with contextlib.suppress(Exception):  # a fence: the reporter is a notebook's
                handler.context.copy().run(registry.reporter.hint, handler, text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.off()

    def __repr__(self) -> str:
        what = visible(self.describe(), _SHOWN)
        state = "" if self.active else ", off"
        return f"<{self.kind}{' ' if what else ''}{what}: {self.outcome()}{state}>"


def _named(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A function that calls a method, and is called so in tables."""
    handle: Callable[..., Any]
    if is_async(method):

        async def handle_async(*arguments: Any) -> None:
            await method(*arguments)

        handle = handle_async
    else:

        def handle_sync(*arguments: Any) -> None:
            method(*arguments)

        handle = handle_sync
    handle.__name__ = handle.__qualname__ = name
    return handle


@dataclass(frozen=True, slots=True)
class Part:
    """One of the orders that a rule is made of.

    Attributes:
        filter: For which of the rule's flows it is; None for all of them.
    """

    filter: Filter | None

    def fits(self, flow: HTTPFlow) -> bool:
        """Whether it is for this flow."""
        return self.filter is None or self.filter(flow)


P = TypeVar("P", bound=Part)


class PartedRule(Rule, Generic[P]):
    """A rule made of arguments or of patterns: what it does is in its parts.

    Args:
        filter: See `Rule`; None if each part has its own.
        parts: What it is made of, in order.
        label: What it does, for people; no secrets.
    """

    def __init__(
        self,
        filter: str | None,  # noqa: A002 - the public name
        parts: Sequence[P],
        label: str,
    ) -> None:
        __tracebackhide__ = True
        super().__init__(filter)
        self._parts = parts
        self._label = label

    def describe(self) -> str:
        """See `Rule`."""
        return self._label


def check_type(kind: str, value: object, what: str, types: tuple[type, ...]) -> None:
    """Refuse what a rule cannot take.

    Raises:
        TypeError: It is of none of these types; the message says what `kind` takes.
    """
    if not isinstance(value, types):
        raise TypeError(f"{kind} takes {what}, not {value!r}")


def chosen_messages(on: str | Iterable[str]) -> tuple[str, ...]:
    """Of `"request"`, `"response"` or several of them, those that are meant.

    Raises:
        ValueError: It is something else.
    """
    given = (on,) if isinstance(on, str) else tuple(on)
    if not given or not set(given) <= set(MESSAGES):
        raise ValueError(f"on = {on!r}: it takes 'request', 'response', or both in a tuple")
    return tuple(name for name in MESSAGES if name in given)


class Spec(NamedTuple):
    """One rule in mitmproxy's syntax.

    Attributes:
        filter: The filter expression, None if there is none.
        subject: What is looked for.
        replacement: What takes its place.
    """

    filter: str | None
    subject: str
    replacement: str


def split_spec(text: str, kind: str, subject: str, replacement: str) -> Spec:
    """Take `|filter|subject|replacement` or `|subject|replacement` apart.

    Args:
        text: The rule.
        kind: The name of the option, and how its two last parts are called, for errors.
        subject: See `kind`.
        replacement: See `kind`.

    Raises:
        ValueError: It is no such thing; `FilterError` if the filter does not parse.
    """
    __tracebackhide__ = True
    separator = text[:1]
    parts = text[1:].split(separator, 2) if separator else []
    if len(parts) < 2 or not parts[-2]:
        raise ValueError(
            f"{text!r} is no pattern of {kind}: write |{subject}|{replacement} or "
            f"|filter|{subject}|{replacement}, with any character in place of |"
        )
    if len(parts) == 2:
        return Spec(None, parts[0], parts[1])
    parse(parts[0])
    return Spec(*parts)


def split_specs(specs: Iterable[str], kind: str, subject: str, replacement: str) -> list[Spec]:
    """Take several of them apart; see `split_spec`."""
    __tracebackhide__ = True
    read = []  # by a loop: the frame of a comprehension cannot be hidden
    for text in specs:
        read.append(split_spec(text, kind, subject, replacement))  # noqa: PERF401 - as said
    return read


def condition_of(source: str | None) -> Filter | None:
    """The filter of a rule that is one of several; None for all flows."""
    return None if source is None else parse(source)


def compile_regex(pattern: str) -> re.Pattern[str]:
    """A regular expression of the user's.

    Raises:
        ValueError: It is none.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
