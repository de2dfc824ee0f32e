"""What all views of eras D to H share: they pass through what they do not translate.

A view holds nothing but the real object and the era, and is the same one for the life of that
object. Its class is the class of that name in the script's `mitmproxy`, so `isinstance` is right,
and constructing one makes a real object as well.
"""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from nbproxy.model.flow import VIEW_PREFIX
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Mapping

# By class and era: the attribute of real objects that has the view, and the era's own class.
_slots: dict[tuple[type, Era], str] = {}
_bound: dict[tuple[type, Era], Any] = {}

_NAMESPACE: Final = uuid.uuid4()  # ids of ours are numbers, counted anew in each process


def real(value: Any) -> Any:
    """What a view is a view of; anything else is given back as it is."""
    return object.__getattribute__(value, "_real") if isinstance(value, View) else value


def text_id(number: object) -> str:
    """The id that scripts see, a UUID as text."""
    return str(uuid.uuid5(_NAMESPACE, str(number)))


class Dated:
    """What has a class for each era, which knows its era; all are subclasses of one.

    Attributes:
        era: The era that objects are made for.
    """

    era: ClassVar[Era] = Era.H
    plain: ClassVar[type]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "plain" not in cls.__dict__:
            cls.plain = cls

    @classmethod
    def bound(cls, era: Era) -> type[Self]:
        """The class of an era; the same one each time."""
        plain = cls.plain
        found = _bound.get((plain, era))
        if found is None:
            names = {"era": era, "plain": plain, "__module__": plain.__module__}
            found = _bound[plain, era] = type(plain.__name__, (plain,), names)
        return found


class View(Dated):
    """Passes through what its class does not translate.

    Attributes:
        shown: What it is called in messages.
        hints: What to use in the place of names that other eras had.
    """

    shown: ClassVar[str] = "this object"
    hints: ClassVar[Mapping[str, str]] = {}
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
            plain = cls.plain
            slot = f"{VIEW_PREFIX}{plain.__module__}.{plain.__qualname__}_{era}"
            slot = _slots[cls, era] = sys.intern(slot)
        return slot

    def _adopt(self, value: Any) -> None:
        """Be the view of a real object that was just made for it."""
        space = self.__dict__
        space["_real"] = value
        space["_era"] = self.era
        value.__dict__[self.slot(self.era)] = self

    @classmethod
    def _make(cls, value: Any, era: Era) -> Self:
        kind = cls.bound(era)
        self = kind.__new__(kind)
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
        hint = self.hints.get(name)
        if hint is not None:
            raise AttributeError(
                f"{self.shown} of {self._era.label} has no attribute {name!r}: {hint}"
            )
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(type(self), name, None) is not None:
            object.__setattr__(self, name, value)
        else:
            setattr(self._real, name, real(value))

    def __repr__(self) -> str:
        return repr(self._real)
