"""Python values as JSON, so that exactly the same values come back, or none at all.

What JSON has no word for is tagged; the tags are listed in `nbproxy.store.session_schema`.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN: Final = frozenset({str, int, bool, type(None)})
_MAX_DEPTH: Final = 100
_MAX_BITS: Final = 10_000  # beyond 4300 digits, Python refuses to read them again


def dumps(value: Any) -> str:
    """JSON that `loads` makes an equal value of, with the same types; ASCII.

    Raises:
        ValueError: There is something in it that would not come back as it is.
    """
    return json.dumps(_tag(value, 0), separators=(",", ":"), allow_nan=False)


def loads(text: str | bytes) -> Any:
    """The value that `dumps` was given; from foreign JSON, whatever it says.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return _untag(json.loads(text))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _tag(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is int and value.bit_length() > _MAX_BITS:
        raise ValueError("an integer that is too large")
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply, or in itself")
    depth += 1
    if kind is list:
        return [_tag(item, depth) for item in value]
    if kind is tuple:
        return {"$tuple": [_tag(item, depth) for item in value]}
    if kind is bytes:
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if kind is dict:
        if all(type(key) is str for key in value) and not _looks_tagged(value):
            return {key: _tag(item, depth) for key, item in value.items()}
        return {"$dict": [[_tag(key, depth), _tag(item, depth)] for key, item in value.items()]}
    raise ValueError(f"{kind.__name__} has no form in JSON")


def _looks_tagged(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _untag(value: Any) -> Any:
    kind = type(value)
    if kind is list:
        return [_untag(item) for item in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        [(name, inner)] = value.items()
        read = _TAGS.get(name)
        if read is not None:
            try:
                return read(inner)
            except (TypeError, ValueError):  # somebody else wrote this
                return value
    return {key: _untag(item) for key, item in value.items()}


_TAGS: Final[dict[str, Callable[[Any], Any]]] = {
    "$float": float,
    "$bytes": lambda inner: base64.b64decode(inner, validate=True),
    "$tuple": lambda inner: tuple(_untag(item) for item in inner),
    "$dict": lambda inner: {_untag(key): _untag(item) for key, item in inner},
}
