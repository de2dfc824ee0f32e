"""Headers as eras A to C knew them, over the real headers of a message.

A and B: `HeaderODict`, an `ODictCaseless` with lists. C: `Headers`, a mapping to text. Both look at
the message at each step, so several may be in use at once, and both take either style on the
right side of an assignment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.model import headers as real
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless, Pair, Values

if TYPE_CHECKING:
    from nbproxy.model.headers import Fields


class Holder(Protocol):
    """What has headers: a message, or a headers object of a script's own."""

    @property
    def headers(self) -> real.Headers:
        """The real ones."""
        ...


class _Own:
    """The holder of headers that belong to no message (yet)."""

    def __init__(self, headers: real.Headers) -> None:
        self.headers = headers


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _plain(value: Any) -> str | bytes:
    """A name or value as scripts give them: numbers become text, as they did."""
    return value if isinstance(value, (str, bytes)) else str(value)


def to_real(value: Any) -> real.Headers:
    """The real headers of whatever a script gives as headers.

    Raises:
        ValueError: A name or value cannot stand in a head.
    """
    if isinstance(value, Headers):
        return value.real().copy()
    if isinstance(value, real.Headers):
        return value
    if isinstance(value, ODict):
        value = value.lst
    elif hasattr(value, "items"):
        value = [
            (key, each)
            for key, values in value.items()
            for each in (values if isinstance(values, (list, tuple)) else [values])
        ]
    return real.Headers([(_plain(key), _plain(each)) for key, each in value or ()])


class _LivePairs(list[Pair]):
    """The `lst` of live headers: what is changed in it is changed in the message."""

    def __init__(self, owner: HeaderODict, pairs: Iterable[Pair]) -> None:
        super().__init__(pairs)
        self._owner = owner

    def _write(self) -> None:
        self._owner._store(list(self))  # noqa: SLF001 - its own list


def _writing(name: str) -> Any:
    plain = getattr(list, name)

    def method(self: _LivePairs, *args: Any, **kwargs: Any) -> Any:
        made = plain(self, *args, **kwargs)
        self._write()
        return made

    method.__name__ = name
    return method


for _name in ("append", "extend", "insert", "remove", "pop", "sort", "reverse", "clear"):
    setattr(_LivePairs, _name, _writing(_name))
for _name in ("__setitem__", "__delitem__", "__iadd__"):
    setattr(_LivePairs, _name, _writing(_name))


class HeaderODict(ODictCaseless):
    """The headers of a message, for eras A and B."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    @property
    def lst(self) -> list[Pair]:
        """The pairs; changing the list changes the message."""
        fields = self._holder.headers.fields
        return _LivePairs(self, ([_text(name), _text(value)] for name, value in fields))

    @lst.setter
    def lst(self, value: Iterable[Any]) -> None:
        self._store([[key, each] for key, each in value])

    def _store(self, pairs: list[Pair]) -> None:
        checked = real.Headers([(_plain(key), _plain(value)) for key, value in pairs])
        self._holder.headers.fields = checked.fields

    # the frequent ones without the detour over pairs of text

    def __getitem__(self, key: Any) -> Any:
        return Values(self._holder.headers.get_all(key))

    def __contains__(self, key: Any) -> bool:
        return key in self._holder.headers

    def __setitem__(self, key: Any, values: Any) -> None:
        single = isinstance(values, (str, bytes, int))
        try:
            listed = [_plain(each) for each in ([values] if single else values)]
        except TypeError:
            raise ValueError(f"a header's value is a list of values, not {values!r}") from None
        self._holder.headers.set_all(_plain(key), listed)

    def __delitem__(self, key: Any) -> None:
        self._holder.headers.pop(key, None)

    def get_first(self, key: Any, default: Any = None) -> Any:
        """The first value of a field, or the default."""
        raw = self._holder.headers.get_first(key)
        return default if raw is None else _text(raw)


class Headers(MutableMapping[str, str]):
    """The headers of era C: a mapping from name to text, several values joined by ", ".

    Args:
        fields: Pairs of bytes; pairs of text are taken too.
        **headers: More; underscores become hyphens.
    """

    def __init__(self, fields: Iterable[Any] = (), **headers: Any) -> None:
        own = to_real(fields)
        for name, value in headers.items():
            own[name.replace("_", "-")] = _text(value) if isinstance(value, bytes) else str(value)
        self._holder: Holder = _Own(own)

    @classmethod
    def of(cls, holder: Holder) -> Headers:
        """Those of a message."""
        self = cls.__new__(cls)
        self._holder = holder
        return self

    def real(self) -> real.Headers:
        """The real ones."""
        return self._holder.headers

    @property
    def fields(self) -> list[list[bytes]]:
        """Pairs of bytes; assign to replace them."""
        return [[name, value] for name, value in self.real().fields]

    @fields.setter
    def fields(self, value: Iterable[Any]) -> None:
        self.real().fields = to_real(value).fields

    def __getitem__(self, name: str) -> str:
        return self.real()[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            self.set_all(name, value)
        else:
            self.real().set_all(_plain(name), (_plain(value),))

    def __delitem__(self, name: str) -> None:
        del self.real()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.real()

    has_key = __contains__

    def __iter__(self) -> Iterator[str]:
        return iter(self.real())

    def __len__(self) -> int:
        return len(self.real())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.real().fields == other.real().fields

    __hash__ = None  # type: ignore[assignment] # mutable

    def __bytes__(self) -> bytes:
        return bytes(self.real())

    def __str__(self) -> str:
        return _text(bytes(self))

    def __repr__(self) -> str:
        return f"Headers({list(self)})"

    def get_all(self, name: str) -> list[str]:
        """All values of a field, [] if there is none."""
        return self.real().get_all(name)

    def set_all(self, name: str, values: Iterable[Any]) -> None:
        """Give a field these values."""
        self.real().set_all(_plain(name), [_plain(value) for value in values])

    def add(self, name: str, value: Any) -> None:
        """Append a field."""
        self.real().add(_plain(name), _plain(value))

    def get_first(self, name: str, default: Any = None) -> Any:
        """The first value; the call of earlier releases."""
        raw = self.real().get_first(name)
        return default if raw is None else _text(raw)

    def in_any(self, name: str, value: str, caseless: bool = False) -> bool:
        """Whether any value contains this text; the call of earlier releases."""
        wanted = value.lower() if caseless else value
        return any(wanted in (v.lower() if caseless else v) for v in self.get_all(name))

    def replace(self, pattern: str | bytes, repl: str | bytes, flags: int = 0) -> int:
        """Replace in whole `name: value` lines; gives how many lines changed.

        What destroys the colon after the name keeps its line and is not counted.
        """
        expression = re.compile(_raw(pattern), flags)
        replacement = _raw(repl)
        fields: list[tuple[bytes, bytes]] = []
        total = 0
        for name, value in self.real().fields:
            line, count = expression.subn(replacement, name + b": " + value)
            new_name, colon, new_value = line.partition(b": ")
            if count and colon:
                total += count
                fields.append((real.check_name(new_name), real.check_value(new_value)))
            else:
                fields.append((name, value))
        self.real().fields = tuple(fields)
        return total

    def copy(self) -> Headers:
        """An independent copy."""
        return Headers(self.fields)

    def get_state(self) -> Fields:
        """The pairs, as they are saved."""
        return self.real().fields

    def set_state(self, state: Iterable[Any]) -> None:
        """Take over saved pairs."""
        self.fields = [list(pair) for pair in state]

    load_state = set_state

    @classmethod
    def from_state(cls, state: Iterable[Any]) -> Headers:
        """Headers of saved pairs."""
        return cls(state)
