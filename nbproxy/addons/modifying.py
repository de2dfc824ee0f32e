"""`modify_headers` and `modify_body`: what is replaced in messages on their way.

The patterns are those of mitmproxy's options of these names. A rule looks at each message alone:
at a request when it has been read, at a response when its head has; its filter decides, so `~q`
means requests only and `~s` responses only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from nbproxy.addons.rules import (
    MESSAGES,
    P,
    Part,
    PartedRule,
    chosen_messages,
    condition_of,
    split_specs,
)
from nbproxy.filters import parse
from nbproxy.filters.tree import And, Not, Or
from nbproxy.model.headers import check_name, check_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from nbproxy.filters.tree import Node
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message

    Values: TypeAlias = Mapping[str, str | Iterable[str]]
    Replacement: TypeAlias = bytes | Callable[[re.Match[bytes]], bytes]

# filters that look into the response's body, or at how it ended, can tell only when it is there
_OF_BODIES: Final = frozenset({"any", "b", "bs", "json", "size", "sizes", "dur"})


def needs_body(node: Node) -> bool:
    """Whether a filter asks for the body of a response."""
    if isinstance(node, Not):
        return needs_body(node.item)
    if isinstance(node, (And, Or)):
        return any(map(needs_body, node.items))
    return node.operator in _OF_BODIES


class _Modification(PartedRule[P]):
    """What `modify_headers` and `modify_body` have in common: they look at messages.

    Args:
        filter: See `PartedRule`.
        parts: See there; their `str` is what it says about itself.
        on: At which messages it looks.

    Raises:
        ValueError: `on` names no messages, or the filter does not parse.
    """

    def __init__(
        self,
        filter: str | None,  # noqa: A002 - the public name
        parts: Sequence[P],
        on: str | Iterable[str],
    ) -> None:
        __tracebackhide__ = True
        condition = f"{filter}: " if filter else ""
        super().__init__(filter, parts, condition + ", ".join(map(str, parts)))
        self._on = chosen_messages(on)

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        known = {"request": self._request, "response": self._response}
        return {name: known[name] for name in self._on}

    def _request(self, flow: HTTPFlow) -> None:
        if flow.response is None:  # else it is answered already
            self._change(flow, flow.request)

    def _response(self, flow: HTTPFlow) -> None:
        if flow.response is not None:
            self._change(flow, flow.response)

    def _change(self, flow: HTTPFlow, message: Message) -> None:
        """Change a message of a flow."""
        raise NotImplementedError


# -- headers


@dataclass(frozen=True, slots=True)
class _Change(Part):
    """What becomes of one header.

    Attributes:
        values: Its new values, none to remove it; or the file that has its value.
        keep: Whether the values that are there stay.
    """

    name: str
    values: tuple[str, ...] | Path
    keep: bool = False

    def __str__(self) -> str:
        return self.name

    def current(self) -> tuple[str, ...]:
        """The values now."""
        if isinstance(self.values, tuple):
            return self.values
        text = self.values.read_text(encoding="utf-8", errors="surrogateescape").strip("\r\n")
        return (text,) if text else ()


class ModifyHeaders(_Modification[_Change]):
    """Sets, adds and removes header fields."""

    kind: ClassVar[str] = "modify_headers"

    @classmethod
    def of(
        cls,
        filter: str | None,  # noqa: A002 - the public name
        set: Values,  # noqa: A002 - as above
        add: Values,
        remove: Iterable[str],
        on: str | Iterable[str],
    ) -> ModifyHeaders:
        """The rule for the arguments of `nbproxy.modify_headers`.

        Raises:
            ValueError: They make no sense.
        """
        __tracebackhide__ = True
        _check_fields("set", set)
        _check_fields("add", add)
        names = (remove,) if isinstance(remove, str) else tuple(remove)
        changes = [
            *(_Change(None, name, ()) for name in names),
            *(_Change(None, name, _texts(values)) for name, values in set.items()),
            *(_Change(None, name, _texts(values), keep=True) for name, values in add.items()),
        ]
        if changes:
            _check(changes)
            return cls(filter, changes, on)
        if filter is None:
            raise ValueError("modify_headers takes set=, add= or remove=, or a pattern")
        return cls.of_specs((filter,), on)

    @classmethod
    def of_specs(cls, specs: Sequence[str], on: str | Iterable[str] = MESSAGES) -> ModifyHeaders:
        """The rule for patterns: first all of them remove, then all of them add.

        Raises:
            ValueError: One of them is none.
            FileNotFoundError: A file that it names is not there.
        """
        __tracebackhide__ = True
        read = split_specs(specs, cls.kind, "name", "value")
        changes = []
        for spec in read:
            condition = condition_of(spec.filter) if len(read) > 1 else None
            values = _file(spec.replacement) or _texts(spec.replacement or ())
            changes.append(_Change(condition, spec.subject, values))
        _check(changes)
        return cls(read[0].filter if len(read) == 1 else None, changes, on)

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        conditions = [parse(self.filter)] if self.filter is not None else []
        conditions += [change.filter for change in self._parts if change.filter is not None]
        late = any(needs_body(condition.tree) for condition in conditions)
        response = "response" if late else "responseheaders"
        known = {"request": ("request", self._request), "response": (response, self._response)}
        return dict(known[name] for name in self._on)

    def _change(self, flow: HTTPFlow, message: Message) -> None:
        chosen = [change for change in self._parts if change.fits(flow)]
        coming = [(change, change.current()) for change in chosen]  # a file may be missing
        before = message.headers.fields
        for change in chosen:
            if not change.keep:
                message.headers.pop(change.name, None)
        for change, values in coming:
            for value in values:
                message.headers.add(change.name, value)
        self.hits += message.headers.fields != before


def _check_fields(word: str, fields: object) -> None:
    if not isinstance(fields, Mapping):
        raise TypeError(
            f"modify_headers: {word} = {fields!r}: it takes a dict, such as {{'name': 'value'}}"
        )


def _texts(values: object) -> tuple[str, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        return (_text(values),)
    return tuple(_text(value) for value in values)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"modify_headers: the value of a field is a str, not {value!r}")
    return value


def _file(text: str) -> Path | None:
    """The file that `@path` names.

    Raises:
        FileNotFoundError: It is not there.
    """
    if not text.startswith("@"):
        return None
    path = Path(text[1:]).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {text[1:]!r}")
    return path


def _check(changes: Iterable[_Change]) -> None:
    __tracebackhide__ = True
    for change in changes:
        check_name(change.name)
        for value in change.values if isinstance(change.values, tuple) else ():
            check_value(value)


# -- bodies


@dataclass(frozen=True, slots=True)
class _Substitution(Part):
    pattern: re.Pattern[bytes]
    replacement: Replacement | Path

    def __str__(self) -> str:
        return self.pattern.pattern.decode("utf-8", "replace")

    def apply(self, content: bytes) -> bytes:
        """The content with everything replaced."""
        replacement = self.replacement
        if isinstance(replacement, Path):
            text = replacement.read_bytes()
            return self.pattern.sub(lambda _: text, content)
        return self.pattern.sub(replacement, content)


class ModifyBody(_Modification[_Substitution]):
    """Replaces what matches in bodies, decoded; streamed ones have passed by then."""

    kind: ClassVar[str] = "modify_body"

    @classmethod
    def of(
        cls,
        filter: str | None,  # noqa: A002 - the public name
        pattern: str | bytes | re.Pattern[Any] | None,
        replacement: str | bytes | Callable[[re.Match[bytes]], bytes] | None,
        on: str | Iterable[str],
    ) -> ModifyBody:
        """The rule for the arguments of `nbproxy.modify_body`.

        Raises:
            ValueError: They make no sense.
        """
        __tracebackhide__ = True
        if pattern is None and replacement is None and filter is not None:
            return cls.of_specs((filter,), on)
        if pattern is None or replacement is None:
            raise ValueError("modify_body takes a filter, a pattern and a replacement")
        found = _Substitution(None, _compiled(pattern), _replacement(replacement))
        _try(found)
        return cls(filter, [found], on)

    @classmethod
    def of_specs(cls, specs: Sequence[str], on: str | Iterable[str] = MESSAGES) -> ModifyBody:
        """The rule for patterns, which apply one after the other.

        Raises:
            ValueError: One of them is none.
            FileNotFoundError: A file that it names is not there.
        """
        __tracebackhide__ = True
        read = split_specs(specs, cls.kind, "body-regex", "replacement")
        substitutions = []
        for spec in read:
            condition = condition_of(spec.filter) if len(read) > 1 else None
            replacement = _file(spec.replacement) or _unescaped(spec.replacement)
            substitutions.append(_Substitution(condition, _compiled(spec.subject), replacement))
        for each in substitutions:
            _try(each)
        return cls(read[0].filter if len(read) == 1 else None, substitutions, on)

    def _change(self, flow: HTTPFlow, message: Message) -> None:
        if message.stream:
            return
        try:
            before = message.content
        except ValueError:  # a coding that cannot be undone: there is nothing to be found in it
            return
        if before is None:
            return
        content = before
        for each in self._parts:
            if each.fits(flow):
                content = each.apply(content)
        if content != before:
            message.content = content
            self.hits += 1


def _compiled(pattern: str | bytes | re.Pattern[Any]) -> re.Pattern[bytes]:
    flags = re.DOTALL
    source: str | bytes
    if isinstance(pattern, re.Pattern):
        source, flags = pattern.pattern, pattern.flags & ~re.UNICODE
    else:
        source = pattern
    raw = _raw(source)
    try:
        return re.compile(raw, flags)
    except re.error as error:
        raise ValueError(f"{source!r} is no regular expression: {error}") from None


def _replacement(given: str | bytes | Callable[[re.Match[bytes]], bytes]) -> Replacement:
    return given if callable(given) else _raw(given)


def _unescaped(text: str) -> bytes:
    r"""A replacement in a pattern, where `\x00` is that byte; `re` knows the other escapes."""

    def byte(match: re.Match[bytes]) -> bytes:
        if match[1] is None:
            return match[0]
        found = bytes.fromhex(match[1].decode("ascii"))
        return rb"\\" if found == b"\\" else found

    return re.sub(rb"\\(?:x([0-9A-Fa-f]{2})|.)", byte, _raw(text), flags=re.DOTALL)


def _raw(text: object) -> bytes:
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"modify_body takes str, bytes or what re compiles, not {text!r}")
    return text.encode("utf-8", "surrogateescape")


def _try(substitution: _Substitution) -> None:
    """Find out now whether the replacement names groups that there are."""
    replacement = substitution.replacement
    if isinstance(replacement, bytes):
        try:
            substitution.pattern.sub(replacement, b"")
        except (re.error, IndexError) as error:
            pattern = substitution.pattern.pattern
            raise ValueError(
                f"{replacement!r} cannot replace what {pattern!r} finds: {error}; a backslash "
                "that means itself is written twice"
            ) from None
