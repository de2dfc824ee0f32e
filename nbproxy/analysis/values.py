"""What the values of a parameter have in common: type, format, and examples that are no secrets."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from nbproxy.analysis.json_schema import format_of
from nbproxy.analysis.segments import is_token
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.model.secrets import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Collection

_MAX_EXAMPLES: Final = 5
_MAX_EXAMPLE: Final = 60
_INTEGER_RE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER_RE = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS: Final = {"true": True, "false": False}


class Values:
    """The values of one parameter, as text.

    Args:
        name: The parameter's name.
        is_path: It stands in a path, where a token may be a credential.

    Attributes:
        is_list: Whether it came more than once in a request.
    """

    def __init__(self, name: str, *, is_path: bool = False) -> None:
        self.name = name
        self.is_list = False
        self._is_path = is_path
        self._kinds: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._examples: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Take in a value, decoded."""
        self._kinds[_kind(text)] += 1
        self._formats[format_of(text)] += 1
        if len(self._examples) < _MAX_EXAMPLES:
            self._examples[text] = None

    @property
    def kind(self) -> str:
        """Its type: "integer", "number", "boolean" or "string"."""
        kinds = {kind for kind, count in self._kinds.items() if count and kind}
        if kinds == {"integer", "number"}:
            return "number"
        return kinds.pop() if len(kinds) == 1 and not self._kinds[""] else "string"

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        schema: dict[str, Any] = {"type": self.kind}
        if self.kind == "string" and len(self._formats) == 1 and "" not in self._formats:
            schema["format"] = next(iter(self._formats))
        return {"type": "array", "items": schema} if self.is_list else schema

    def example(self, secrets: Collection[str]) -> Any:
        """A value that was seen and may be told; None if there is none.

        Args:
            secrets: Credentials that were seen elsewhere; what holds one is not told.
        """
        for text in self._examples:
            if self._may_be_told(text, secrets):
                value = _typed(text, self.kind)
                return [value] if self.is_list else value
        return None

    def _may_be_told(self, text: str, secrets: Collection[str]) -> bool:
        if not text or len(text) > _MAX_EXAMPLE or visible(text) != text:
            return False
        if is_secret_name(self.name, query=True) or (self._is_path and is_token(text)):
            return False
        if "@" in text or any(secret in text for secret in secrets):
            return False
        probe = f"?{self.name}={text}"
        return default_masker().mask_url(probe) == probe


def _kind(text: str) -> str:
    if _INTEGER_RE.fullmatch(text):
        return "integer"
    if _NUMBER_RE.fullmatch(text):
        return "number" if text[:1] != "0" or text[1:2] == "." else "string"
    if text in _BOOLEANS:
        return "boolean"
    return "string" if text else ""


def _typed(text: str, kind: str) -> Any:
    match kind:
        case "integer":
            return int(text)
        case "number":
            value = float(text)
            return value if math.isfinite(value) else text
        case "boolean":
            return _BOOLEANS[text]
        case _:
            return text
