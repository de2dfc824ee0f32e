"""ODict and ODictCaseless: the ordered multi-dicts of eras A and B, also used by C.

A value is a *list*: `d["x"]` gives all values of x, [] if there are none, and `d["x"] = [...]`
replaces them. Scripts that are written for later releases and were taken for older ones mean text
there, so text is accepted on the right side, and the lists that are given can be used as text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

Pair = list[Any]


class Values(list[Any]):
    """All values of a key: a list that also knows the methods of the text that they make up."""

    def __eq__(self, other: object) -> bool:
        return self._text() == other if isinstance(other, str) else list.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as list

    def __contains__(self, item: object) -> bool:
        # text within one value: what `headers["content-type"]` was asked for since 0.14
        return list.__contains__(self, item) or (
            isinstance(item, str) and any(item in value for value in self if isinstance(value, str))
        )

    def _text(self) -> str:
        return ", ".join(str(value) for value in self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(str, name):
            raise AttributeError(f"a list of values has no attribute {name!r}")
        return getattr(self._text(), name)


class ODict:
    """An ordered dict with several values a key.

    Attributes:
        lst: The pairs, `[key, value]` each.
    """

    def __init__(self, lst: Iterable[Any] | None = None) -> None:
        self._pairs: list[Pair] = [_pair(item) for item in lst or ()]

    @property
    def lst(self) -> list[Pair]:
        """The pairs; changing the list changes the dict."""
        return self._pairs

    @lst.setter
    def lst(self, value: Iterable[Any]) -> None:
        self._store([_pair(item) for item in value])

    def _store(self, pairs: list[Pair]) -> None:
        self._pairs = pairs

    @staticmethod
    def _kconv(key: Any) -> Any:
        return key

    # -- as a dict

    def __getitem__(self, key: Any) -> Values:
        wanted = self._kconv(key)
        return Values(value for own, value in self.lst if self._kconv(own) == wanted)

    def __setitem__(self, key: Any, values: Any) -> None:
        waiting = _values(values)
        wanted = self._kconv(key)
        pairs: list[Pair] = []
        for own, value in self.lst:
            if self._kconv(own) != wanted:
                pairs.append([own, value])
            elif waiting:
                pairs.append([key, waiting.pop(0)])
        pairs.extend([key, value] for value in waiting)
        self._store(pairs)

    def __delitem__(self, key: Any) -> None:
        wanted = self._kconv(key)
        self._store([pair for pair in self.lst if self._kconv(pair[0]) != wanted])

    def __contains__(self, key: Any) -> bool:
        wanted = self._kconv(key)
        return any(self._kconv(own) == wanted for own, _ in self.lst)

    has_key = __contains__

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter([(key, value) for key, value in self.lst])

    def __len__(self) -> int:
        return len(self.lst)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ODict) and self.lst == other.lst

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment] # mutable

    def keys(self) -> list[Any]:
        """The different keys."""
        return list(dict.fromkeys(self._kconv(key) for key, _ in self.lst))

    def values(self) -> list[Any]:
        """All values."""
        return [value for _, value in self.lst]

    def items(self, multi: bool = True) -> list[tuple[Any, Any]]:  # noqa: ARG002 - later releases' parameter
        """All pairs."""
        return [(key, value) for key, value in self.lst]

    iteritems = items

    def get(self, key: Any, default: Any = None) -> Any:
        """The list of a key's values, or the default."""
        return self[key] or default

    def get_first(self, key: Any, default: Any = None) -> Any:
        """The first value of a key, or the default."""
        found = self[key]
        return found[0] if found else default

    def get_all(self, key: Any) -> Values:
        """As `d[key]`; the name of later releases."""
        return self[key]

    def set_all(self, key: Any, values: Iterable[Any]) -> None:
        """As `d[key] = values`; the name of later releases."""
        self[key] = list(values)

    def add(self, key: Any, value: Any, prepend: bool = False) -> None:
        """Append (or prepend) a pair."""
        pair = [key, value]
        self._store([pair, *self.lst] if prepend else [*self.lst, pair])

    def extend(self, other: Any) -> None:
        """Append all pairs of another one."""
        self._store([*self.lst, *(_pair(item) for item in other)])

    def clear(self) -> None:
        """Remove all pairs."""
        self._store([])

    def copy(self) -> ODict:
        """An independent copy."""
        kind = ODictCaseless if isinstance(self, ODictCaseless) else ODict
        return kind(self.lst)

    # -- searching

    def in_any(self, key: Any, value: str, caseless: bool = False) -> bool:
        """Whether any value of the key contains this text."""
        wanted = value.lower() if caseless else value
        return any(wanted in (v.lower() if caseless else v) for v in self[key])

    def match_re(self, expression: str) -> bool:
        """Whether the regex is found in any `key: value`."""
        return any(re.search(expression, f"{key}: {value}") for key, value in self.lst)

    def replace(
        self, pattern: Any, repl: Any, count: int = 0, flags: int | re.RegexFlag = 0
    ) -> int:
        """Replace in keys and in values, each for itself; gives how often."""
        total = 0
        pairs = []
        for key, value in self.lst:
            new_key, in_key = re.subn(pattern, repl, key, count=count, flags=flags)
            new_value, in_value = re.subn(pattern, repl, value, count=count, flags=flags)
            total += in_key + in_value
            pairs.append([new_key, new_value])
        if total:
            self._store(pairs)
        return total

    # -- as text and state

    def __str__(self) -> str:
        return "".join(f"{key}: {value}\r\n" for key, value in self.lst)

    def format(self) -> str:
        """The lines of a head, each with its CRLF."""
        return str(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[key for key, _ in self.lst]})"

    def get_state(self) -> list[tuple[Any, Any]]:
        """The pairs, as they are saved."""
        return [(key, value) for key, value in self.lst]

    def load_state(self, state: Iterable[Any]) -> None:
        """Take over saved pairs."""
        self.lst = list(state)

    @classmethod
    def from_state(cls, state: Iterable[Any]) -> Self:
        """One of saved pairs."""
        return cls(state)

    _get_state, _load_state, set_state = get_state, load_state, load_state
    _from_state = from_state


class ODictCaseless(ODict):
    """An ODict whose keys are the same in any case."""

    @staticmethod
    def _kconv(key: Any) -> Any:
        return key.lower() if isinstance(key, (str, bytes)) else key


def _pair(item: Any) -> Pair:
    try:
        key, value = item
    except (TypeError, ValueError):
        raise ValueError(f"an ODict is made of pairs, {item!r} is none") from None
    return [key, value]


def _values(values: Any) -> list[Any]:
    if isinstance(values, (str, bytes, int)):
        return [values]
    try:
        return list(values)
    except TypeError:
        raise ValueError(f"an ODict's value is a list of values, not {values!r}") from None
