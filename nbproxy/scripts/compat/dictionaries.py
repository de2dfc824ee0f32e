"""Headers and multi-dicts as scripts since 0.18 know them: ours, with what releases had besides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from nbproxy.model import headers as model
from nbproxy.model import multidict
from nbproxy.scripts.compat.tolerant import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable


class Headers(model.Headers):
    """`http.Headers`, until 6 `net.http.Headers`."""

    __slots__ = ()

    def get_state(self) -> Any:
        """The pairs."""
        return self.fields

    def set_state(self, state: Iterable[Any]) -> None:
        """Replace all pairs."""
        self.fields = tuple((bytes(name), bytes(value)) for name, value in state)

    @classmethod
    def from_state(cls, state: Iterable[Any]) -> Headers:
        """Headers of pairs."""
        made = Headers()
        made.set_state(state)
        return made

    def replace(self, pattern: Any, repl: Any, flags: int = 0, count: int = 0) -> int:
        """Replace by a regular expression in whole lines `name: value`; gives the count (to 5.1).

        What destroys the colon after the name keeps its line and is not counted.
        """
        expression = re.compile(unescape(pattern), flags)
        replacement, total, fields = unescape(repl), 0, []
        for name, value in self.fields:
            line, made = expression.subn(replacement, name + b": " + value, count=count)
            new_name, colon, new_value = line.partition(b": ")
            if made and colon:
                total += made
                name, value = new_name, new_value  # noqa: PLW2901 - the pair as it shall be
            fields.append((name, value))
        self.fields = tuple(fields)
        return total


class LiveHeaders(Headers):
    """The headers of a message, always those it has now."""

    __slots__ = ("_message",)

    _message: Any

    @property
    def fields(self) -> Any:
        """The pairs of bytes."""
        return self._message.headers.fields

    @fields.setter
    def fields(self, value: Any) -> None:
        self._message.headers.fields = tuple((bytes(n), bytes(v)) for n, v in value)

    @classmethod
    def of(cls, message: Any) -> Self:
        """The headers of this message."""
        self = cls.__new__(cls)
        self._message = message
        return self

    def copy(self) -> Any:
        """An independent copy."""
        return Headers.from_wire(self.fields)


def _collected(fields: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """By key the value, or the list of values if there are several."""
    made: dict[Any, list[Any]] = {}
    for key, value in fields:
        made.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in made.items()}


class MultiDict(multidict.MultiDict[Any, Any]):
    """`multidict.MultiDict`."""

    __slots__ = ()

    def collect(self) -> list[tuple[Any, Any]]:
        """Each key with its value, or with the list of its values (until 6)."""
        return list(_collected(self.fields).items())

    def to_dict(self) -> dict[Any, Any]:
        """The same as a dictionary (0.18)."""
        return _collected(self.fields)


class MultiDictView(multidict.MultiDictView[Any, Any]):
    """`multidict.MultiDictView`: a part of a message, always as it is now."""

    __slots__ = ()

    @classmethod
    def of(cls, message: Any, name: str) -> Self:
        """The view of an attribute of a message that is a multi-dict itself."""

        def put(fields: Any) -> None:
            getattr(message, name).fields = fields

        return cls(lambda: getattr(message, name).fields, put)

    def collect(self) -> list[tuple[Any, Any]]:
        """Each key with its value, or with the list of its values (until 6)."""
        return list(_collected(self.fields).items())

    def to_dict(self) -> dict[Any, Any]:
        """The same as a dictionary (0.18)."""
        return _collected(self.fields)

    def copy(self) -> MultiDict:
        """Independent of the message."""
        return MultiDict(self.fields)


class ImmutableMultiDict(MultiDict):
    """`multidict.ImmutableMultiDict` (0.18): what would change it gives another one."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise TypeError(f"{type(self).__name__} objects are immutable")

    __setitem__ = __delitem__ = set_all = insert = add = clear = _refuse

    def __hash__(self) -> int:  # type: ignore[override] # it does not change
        return hash(self.fields)

    def with_delitem(self, key: Any) -> ImmutableMultiDict:
        """Without a key."""
        return self._with("__delitem__", key)

    def with_set_all(self, key: Any, values: Iterable[Any]) -> ImmutableMultiDict:
        """With other values of a key."""
        return self._with("set_all", key, values)

    def with_insert(self, index: int, key: Any, value: Any) -> ImmutableMultiDict:
        """With one pair more."""
        return self._with("insert", index, key, value)

    def _with(self, change: str, *args: Any) -> ImmutableMultiDict:
        other = MultiDict(self.fields)
        getattr(other, change)(*args)
        return ImmutableMultiDict(other.fields)
