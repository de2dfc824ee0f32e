"""What flows and messages are built on: slots for what all of them have, room for what people add.

There are a few of these objects for each exchange, made by one thread and read by another. Slots
make that cheap: whether anything was added is seen at a glance, without a look at each name.
"""

from __future__ import annotations

from typing import Any, ClassVar


class Record:
    """Has its own attributes in slots; whatever else it is given is in its `__dict__`.

    Attributes:
        own_attributes: The names of those in slots, of all its classes.
    """

    __slots__ = ("__dict__", "__weakref__")

    own_attributes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        named = vars(cls).get("__slots__", ())
        cls.own_attributes = (*cls.own_attributes, *named)


def attributes(record: Record) -> dict[str, Any]:
    """All attributes of a record and their values, what people have added included."""
    own = {name: getattr(record, name) for name in record.own_attributes if hasattr(record, name)}
    return {**own, **vars(record)}


def copy_attributes(source: Record, target: Record) -> None:
    """Give a record, which may be quite new, all attributes of another one of its class."""
    for name, value in attributes(source).items():
        setattr(target, name, value)
