"""Ordered mappings with several values a key: query fields, forms, cookies.

`MultiDict` keeps its pairs itself. `MultiDictView` keeps nothing: it reads the pairs through a
getter at each look and hands all of them to a setter after each change, so that
`request.query["page"] = "2"` rewrites the request's path and a view never grows stale.

`d[key]` is the *first* value; `get_all`, `set_all`, `add` and `insert` reach the others, and
`items`, `keys` and `values` take `multi=True` to show every pair. Lengths and plain iteration
count each key once, as in a dict.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    Sequence,
    ValuesView,
)
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Keys(KeysView[K]):
    """The keys of a multi-dict; `pairs` gives the pairs as they are at each look."""

    def __init__(
        self, mapping: Mapping[K, Any], pairs: Callable[[], Sequence[tuple[K, Any]]]
    ) -> None:
        super().__init__(mapping)
        self._pairs = pairs

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())


class _Values(ValuesView[V]):
    """The values of a multi-dict."""

    def __init__(
        self, mapping: Mapping[Any, V], pairs: Callable[[], Sequence[tuple[Any, V]]]
    ) -> None:
        super().__init__(mapping)
        self._pairs = pairs

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())

    def __contains__(self, value: object) -> bool:
        return any(value == own for own in self)


class _Items(ItemsView[K, V]):
    """The pairs of a multi-dict."""

    def __init__(self, mapping: Mapping[K, V], pairs: Callable[[], Sequence[tuple[K, V]]]) -> None:
        super().__init__(mapping)
        self._pairs = pairs

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return iter(self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())

    def __contains__(self, item: object) -> bool:
        return item in self._pairs()


class _MultiMapping(MutableMapping[K, V], Generic[K, V]):
    """What both kinds share, written over `fields` alone."""

    __slots__ = ()

    @property
    @abstractmethod
    def fields(self) -> tuple[tuple[K, V], ...]:
        """All pairs in order; assign any iterable of pairs to replace them."""

    @fields.setter
    @abstractmethod
    def fields(self, fields: Iterable[tuple[K, V]]) -> None: ...

    @staticmethod
    def fold_key(key: Any) -> Any:
        """The form of a key under which two keys are the same one; itself, unless overridden."""
        return key

    def _all(self) -> Sequence[tuple[K, V]]:
        return self.fields

    def _firsts(self) -> Sequence[tuple[K, V]]:
        """The first pair of each key."""
        first: dict[Any, tuple[K, V]] = {}
        for pair in self.fields:
            first.setdefault(self.fold_key(pair[0]), pair)
        return list(first.values())

    def __getitem__(self, key: K) -> V:
        wanted = self.fold_key(key)
        for own, value in self.fields:
            if self.fold_key(own) == wanted:
                return value
        raise KeyError(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.set_all(key, (value,))

    def __delitem__(self, key: K) -> None:
        fields = self.fields
        wanted = self.fold_key(key)
        kept = tuple(pair for pair in fields if self.fold_key(pair[0]) != wanted)
        if len(kept) == len(fields):
            raise KeyError(key)
        self.fields = kept

    def __contains__(self, key: object) -> bool:
        wanted = self.fold_key(key)
        return any(self.fold_key(own) == wanted for own, _ in self.fields)

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self._firsts())

    def __len__(self) -> int:
        return len(self._firsts())

    def __eq__(self, other: object) -> bool:
        """Equal pairs in equal order; a plain mapping is compared by first values."""
        if isinstance(other, _MultiMapping):
            mine = [(self.fold_key(key), value) for key, value in self.fields]
            return mine == [(other.fold_key(key), value) for key, value in other.fields]
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # mutable, as dict

    def __repr__(self) -> str:
        # Values are left out on purpose, as in `Headers`: they may be secrets, and this is shown.
        return f"<{type(self).__name__}: {', '.join(str(key) for key in dict(self.fields))}>"

    def get_all(self, key: K) -> list[V]:
        """All values of `key` in order; an empty list if there is none."""
        wanted = self.fold_key(key)
        return [value for own, value in self.fields if self.fold_key(own) == wanted]

    def set_all(self, key: K, values: Iterable[V]) -> None:
        """Give `key` exactly these values.

        They take the places that the key has now, in order; further ones go to the end, and
        places left over vanish.
        """
        waiting = list(values)
        waiting.reverse()
        wanted = self.fold_key(key)
        fields: list[tuple[K, V]] = []
        for pair in self.fields:
            if self.fold_key(pair[0]) != wanted:
                fields.append(pair)
            elif waiting:
                fields.append((pair[0], waiting.pop()))
        fields.extend((key, value) for value in reversed(waiting))
        self.fields = tuple(fields)

    def add(self, key: K, value: V) -> None:
        """Append a pair, whatever `key` has already."""
        self.fields = (*self.fields, (key, value))

    def insert(self, index: int, key: K, value: V) -> None:
        """Put a pair before position `index` of `fields` (as `list.insert` counts)."""
        fields = list(self.fields)
        fields.insert(index, (key, value))
        self.fields = tuple(fields)

    def clear(self) -> None:
        """Remove all pairs, in one change."""
        self.fields = ()

    def keys(self, multi: bool = False) -> KeysView[K]:
        """The keys; with `multi`, once for each pair."""
        return _Keys(self, self._all if multi else self._firsts)

    def values(self, multi: bool = False) -> ValuesView[V]:
        """The first values; with `multi`, all."""
        return _Values(self, self._all if multi else self._firsts)

    def items(self, multi: bool = False) -> ItemsView[K, V]:
        """The first pair of each key; with `multi`, all pairs."""
        return _Items(self, self._all if multi else self._firsts)


class MultiDict(_MultiMapping[K, V]):
    """An ordered multi-value dict that keeps its own pairs.

    Args:
        fields: The pairs to begin with.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[K, V]] = ()) -> None:
        self._fields = tuple(fields)

    @property
    def fields(self) -> tuple[tuple[K, V], ...]:
        """All pairs in order; assign any iterable of pairs to replace them."""
        return self._fields

    @fields.setter
    def fields(self, fields: Iterable[tuple[K, V]]) -> None:
        self._fields = tuple(fields)

    def copy(self) -> MultiDict[K, V]:
        """An independent copy of the same class."""
        return type(self)(self._fields)


class MultiDictView(_MultiMapping[K, V]):
    """A multi-dict over pairs that live elsewhere, such as in a request's path.

    Args:
        getter: Returns all pairs as they are now; called at each look.
        setter: Takes all pairs after a change.
    """

    __slots__ = ("_getter", "_setter")

    def __init__(
        self,
        getter: Callable[[], Sequence[tuple[K, V]]],
        setter: Callable[[tuple[tuple[K, V], ...]], None],
    ) -> None:
        self._getter = getter
        self._setter = setter

    @property
    def fields(self) -> tuple[tuple[K, V], ...]:
        """All pairs in order; assign any iterable of pairs to replace them."""
        return tuple(self._getter())

    @fields.setter
    def fields(self, fields: Iterable[tuple[K, V]]) -> None:
        self._setter(tuple(fields))

    def copy(self) -> MultiDict[K, V]:
        """A detached `MultiDict` of the pairs as they are now."""
        return MultiDict(self.fields)
