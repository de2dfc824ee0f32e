"""What JSON documents have in common, as a JSON Schema (draft 2020-12, as OpenAPI 3.1 uses it).

A `Shape` takes in one document after the other and keeps counts, never values: so a schema holds
no secrets but those that somebody made the name of a field, and such names (ids, dates, tokens) are
not kept either: `{"17": ..., "42": ...}` is a map. Whatever the documents are, memory and time are
bounded: by depth, by the fields of one object, by the items of one array, by the values of one
document. A schema speaks of what was looked at; what lies beyond may be anything.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from nbproxy.analysis.segments import is_date, is_uuid, is_value

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 12
"""Levels of objects and arrays; what lies deeper may be anything."""

MAX_FIELDS: Final = 300
"""Different fields of an object; one with more is a map."""

MAX_ITEMS: Final = 100
"""Items of one array that are looked at: so many from its beginning."""

MAX_VALUES: Final = 20_000
"""Values of one document that are looked at."""

_MAX_NAME: Final = 200
_MAP_FIELDS: Final = 30  # an object with more fields, most of them rare, is a map
_RARE: Final = 0.5
_ORDER: Final = ("boolean", "integer", "number", "string", "array", "object", "null")

_URI_RE = re.compile(r"https?://[^\s<>\"]{1,2000}", re.IGNORECASE)
_EMAIL_RE = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9.-]{1,250}")
_IPV4_RE = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}")


class Shape:
    """What the values in one place of several documents are like.

    Attributes:
        count: Values seen.
        types: How many of each of JSON's types; "integer" apart from "number".
        fields: The shapes of an object's fields.
        others: The shape of the values of fields whose names are values; None if there are none.
        items: The shape of an array's items; None if there were none.
    """

    __slots__ = ("_format", "count", "fields", "items", "others", "types")

    def __init__(self) -> None:
        self.count = 0
        self.types: Counter[str] = Counter()
        self.fields: dict[str, Shape] = {}
        self.others: Shape | None = None
        self.items: Shape | None = None
        self._format: str | None = None  # None: no string yet; "": none that all have

    def add(self, document: Any) -> None:
        """Take in a document, as `json.loads` gives it."""
        self.look(document, 0, Budget(MAX_VALUES))

    def look(self, value: Any, depth: int, budget: Budget) -> None:
        """Take in one value of a document, and what is in it as far as the budget goes."""
        if not budget.spend():
            return
        self.count += 1
        kind = type_of(value)
        self.types[kind] += 1
        if kind == "string":
            self._add_format(format_of(value))
        elif depth < MAX_DEPTH:
            if kind == "object":
                self._add_object(value, depth, budget)
            elif kind == "array" and value:
                if self.items is None:
                    self.items = Shape()
                for item in value[:MAX_ITEMS]:
                    self.items.look(item, depth + 1, budget)

    def _add_object(self, value: dict[str, Any], depth: int, budget: Budget) -> None:
        fields = self.fields
        for name, inside in value.items():
            if budget.left <= 0:
                return
            shape = fields.get(name)
            if shape is None:
                shape = self._new_field(name)
            shape.look(inside, depth + 1, budget)

    def _new_field(self, name: str) -> Shape:
        if len(name) <= _MAX_NAME and not is_value(name) and len(self.fields) < MAX_FIELDS:
            shape = self.fields[name] = Shape()
            return shape
        if self.others is None:
            self.others = Shape()
        return self.others

    def _add_format(self, name: str) -> None:
        if self._format is None:
            self._format = name
        elif self._format != name:
            self._format = ""

    def merge(self, other: Shape) -> None:
        """Take in all that another shape has seen; the other one is not to be used any more."""
        self.count += other.count
        self.types += other.types
        if other._format is not None:
            self._add_format(other._format)
        for name, shape in other.fields.items():
            mine = self.fields.get(name)
            if mine is None and len(self.fields) < MAX_FIELDS:
                self.fields[name] = shape
            else:
                (mine or self._new_field(name)).merge(shape)
        for slot in ("others", "items"):
            mine, theirs = getattr(self, slot), getattr(other, slot)
            if mine is None:
                setattr(self, slot, theirs)
            elif theirs is not None:
                mine.merge(theirs)

    @property
    def objects(self) -> int:
        """How many of the values were objects."""
        return self.types["object"]

    @property
    def null_rate(self) -> float:
        """The part of the values that were null; 0 if there were none."""
        return self.types["null"] / self.count if self.count else 0.0

    def is_map(self) -> bool:
        """Whether the names of fields are rather values, too: many, and most of them rare."""
        if len(self.fields) < _MAP_FIELDS:
            return False
        rare = sum(shape.count < _RARE * self.objects for shape in self.fields.values())
        return rare > _RARE * len(self.fields) or len(self.fields) >= MAX_FIELDS

    def type_names(self) -> list[str]:
        """The types seen, in a fixed order; "number" alone where both kinds of numbers were."""
        seen = {name for name, count in self.types.items() if count}
        if "number" in seen:
            seen.discard("integer")
        return [name for name in _ORDER if name in seen]

    def to_schema(self) -> dict[str, Any]:
        """A JSON Schema that all that was looked at fulfils.

        Two keywords are ours: `x-null-rate`, the part of the values that were null, and
        `x-presence`, the part of the objects that had this field, where it was optional.
        """
        schema: dict[str, Any] = {}
        kinds = self.type_names()
        if kinds:
            schema["type"] = kinds[0] if len(kinds) == 1 else kinds
        if self._format:
            schema["format"] = self._format
        if "array" in kinds:
            schema["items"] = self.items.to_schema() if self.items is not None else {}
        if "object" in kinds:
            self._describe_object(schema)
        if self.types["null"] and len(kinds) > 1:
            schema["x-null-rate"] = round(self.null_rate, 4)
        return schema

    def _describe_object(self, schema: dict[str, Any]) -> None:
        if self.is_map():
            whole = Shape()
            for shape in self.fields.values():
                whole.merge(shape.copy())
            if self.others is not None:
                whole.merge(self.others.copy())
            schema["additionalProperties"] = whole.to_schema()
            return
        properties = {}
        required = []
        for name, shape in self.fields.items():
            inner = properties[name] = shape.to_schema()
            if shape.count >= self.objects:
                required.append(name)
            else:
                inner["x-presence"] = round(shape.count / self.objects, 4)
        if properties:
            schema["properties"] = properties
        if required:
            schema["required"] = required
        if self.others is not None:
            schema["additionalProperties"] = self.others.to_schema()

    def copy(self) -> Shape:
        """An independent shape that has seen the same."""
        other = Shape()
        other.count = self.count
        other.types = self.types.copy()
        other._format = self._format
        other.fields = {name: shape.copy() for name, shape in self.fields.items()}
        other.others = None if self.others is None else self.others.copy()
        other.items = None if self.items is None else self.items.copy()
        return other

    def walk(self, path: str = "$") -> Iterator[tuple[str, Shape, Shape | None]]:
        """This shape and all inside it: JSON path, shape, and the shape that it is a field of."""
        yield path, self, None
        if self.items is not None:
            yield from self.items.walk(f"{path}[*]")
        if self.others is not None:
            yield from self.others.walk(f"{path}[*]")
        for name, shape in self.fields.items():
            inside = shape.walk(path + step(name))
            first = next(inside)
            yield first[0], first[1], self
            yield from inside


class Budget:
    """How many values may still be looked at."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> bool:
        """Take one; False if there are no more."""
        self.left -= 1
        return self.left >= 0


def step(name: str) -> str:
    """A field's name as a step of a JSON path: `.name`, or `['any name']`."""
    if name.isidentifier():
        return f".{name}"
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"


def type_of(value: Any) -> str:
    """The JSON type of a parsed value, integers apart from other numbers."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if math.isfinite(value) and value == int(value) else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def format_of(text: str) -> str:
    """What a string is besides a string, in the words of JSON Schema; "" for nothing else."""
    if not 6 <= len(text) <= 2000:
        return ""
    if text[0].isdigit() and len(text) <= 40:
        if is_date(text):
            if "T" in text:
                return "date-time" if text[-1] == "Z" or text[-6] in "+-" else ""
            return "date" if len(text) == 10 else ""
        if _IPV4_RE.fullmatch(text):
            return "ipv4"
    if len(text) == 36 and is_uuid(text):
        return "uuid"
    if text[:4].lower() == "http" and _URI_RE.fullmatch(text):
        return "uri"
    return "email" if "@" in text and _EMAIL_RE.fullmatch(text) else ""


def outline(schema: dict[str, Any], limit: int = 300) -> str:
    """A schema in one line for people: `{id: integer, name?: string, tags: [string]}`."""
    text = _outline(schema, limit)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _outline(schema: dict[str, Any], limit: int) -> str:
    kinds = schema.get("type", "any")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    parts = []
    for name in names:
        if name == "object":
            parts.append(_outline_object(schema, limit))
        elif name == "array":
            parts.append(f"[{_outline(schema.get('items') or {}, limit)}]")
        else:
            parts.append(str(schema.get("format", name) if name == "string" else name))
    return " | ".join(parts)


def _outline_object(schema: dict[str, Any], limit: int) -> str:
    required = schema.get("required", ())
    inside: list[str] = []
    length = 0
    for name, field in schema.get("properties", {}).items():
        if length > limit:
            break
        inside.append(f"{name}{'' if name in required else '?'}: {_outline(field, limit)}")
        length += len(inside[-1])
    if "additionalProperties" in schema:
        inside.append(f"*: {_outline(schema['additionalProperties'], limit)}")
    return f"{{{', '.join(inside)}}}"
