"""What all views of eras D to H share: they pass through what they do not translate.

A view holds nothing but the real object and the era, and is the same one for the life of that
object. Its class is the class of that name in the script's `mitmproxy`, so `isinstance` is right,
and constructing one makes a real object as well.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from nbproxy.scripts.eras import Era

# By class and era: the attribute of real objects that has the view.
_slots: dict[tuple[type, Era], str] = {}

_NAMESPACE: Final = uuid.uuid4()  # ids of ours are numbers, counted anew in each process


def real(value: Any) -> Any:
    """What a view is a view of; anything else is given back as it is."""
    return object.__getattribute__(value, "_real") if isinstance(value, View) else value


def text_id(number: object) -> str:
    """The id that scripts see, a UUID as text."""
    return str(uuid.uuid5(_NAMESPACE, str(number)))


class View:
    """Passes through what its class does not translate."""

    _real: Any
    _era: Era

    @classmethod
    def of(cls, value: Any, era: Era) -> Self:
        """The view of a real object; the same one each time."""
        slot = cls.slot(era)
        space = value.__dict__
        found = space.get(slot)
        if found is None or found.__dict__["_real"] is not value:  # a copy has its attributes
            found = space[slot] = cls._make(value, era)
        return found  # type: ignore[no-any-return]

    @classmethod
    def slot(cls, era: Era) -> str:
        """The attribute of a real object that has its view of this class and era."""
        slot = _slots.get((cls, era))
        if slot is None:
            slot = f"_view_{cls.__module__}.{cls.__qualname__}_{era}"
            slot = _slots[cls, era] = sys.intern(slot)
        return slot

    @classmethod
    def _make(cls, value: Any, era: Era) -> Self:
        self = cls.__new__(cls)
        space = self.__dict__  # past our own `__setattr__`
        space["_real"] = value
        space["_era"] = era
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        own = getattr(type(self), name, None)
        if isinstance(own, property) and own.fget is not None:
            return own.fget(self)  # it has raised AttributeError; that is the one to be seen
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(type(self), name, None) is not None:
            object.__setattr__(self, name, value)
        else:
            setattr(self._real, name, real(value))

    def __repr__(self) -> str:
        return repr(self._real)
