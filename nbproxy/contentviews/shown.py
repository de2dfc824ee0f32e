"""Text on its way into a view: secrets masked, active and invisible characters escaped, cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.model.secrets import is_secret_name

#: Characters of one value in a tree or a table.
MAX_VALUE: Final = 4000
MAX_KEY: Final = 300

#: Looked at beyond a cut, so that a secret which the cut goes through is known as one.
_LEAD: Final = 4096


@dataclass(frozen=True, slots=True)
class Eyes:
    """How somebody looks at a body.

    Attributes:
        reveal: Whether secrets are shown.
    """

    reveal: bool = False

    def mask(self, text: str, content_type: str = "") -> str:
        """All of a text, masked."""
        return text if self.reveal else _masked(text, content_type)

    def text(self, text: str, limit: int = MAX_VALUE, *, multiline: bool = False) -> str:
        """A text, masked and visible, cut at so many characters."""
        left_out = len(text) - limit
        if not self.reveal:
            text = default_masker().mask_text(text[: limit + _LEAD], "", limit + _LEAD)
        if left_out <= 0:
            return visible(text, len(text), multiline=multiline)
        return f"{visible(text[:limit], limit, multiline=multiline)}… (+{left_out:,} characters)"

    def value(
        self,
        name: str,
        text: str,
        *,
        query: bool = False,
        secret: bool = False,
        lines: bool = False,
    ) -> str:
        """The value of a named field.

        Args:
            name: The field's name, which may say that the value is a secret.
            text: The value.
            query: It stands in a query or a form.
            secret: It is a secret, whatever its name.
            lines: Keep line ends.
        """
        if not self.reveal and text and (secret or is_secret_name(name, query=query)):
            return default_masker().mask(text)
        return self.text(text, multiline=lines)

    def holds_secrets(self, data: bytes, content_type: str = "") -> bool:
        """Whether bytes hold secrets that are not to be seen."""
        if self.reveal:
            return False
        sample = data.decode("utf-8", "replace")
        return default_masker().mask_text(sample, content_type, len(sample) + 1) != sample

    def window(self, before: str, text: str, after: str, content_type: str = "") -> str:
        """A part of a text that is too long to be masked as a whole.

        What stands around it is masked with it and taken off again. Whether the beginning lies
        inside a quoted string is not known, so both is tried: JSON is told from its quotes.
        """
        if self.reveal:
            return text
        whole, lead, tail = (
            self._both(part, content_type) for part in (before + text + after, before, after)
        )
        begin = _common(whole, lead)
        stop = len(whole) - _common(whole[::-1], tail[::-1])
        return whole[begin : max(begin, stop)]

    def _both(self, text: str, content_type: str) -> str:
        masker = default_masker()
        once = masker.mask_text(text, content_type, len(text) + 1)
        return masker.mask_text(f'"{once}', content_type, len(once) + 2)[1:]


@lru_cache(maxsize=2)
def _masked(text: str, content_type: str) -> str:
    """Kept for whoever goes through a text window by window."""
    return default_masker().mask_text(text, content_type, len(text) + 1)


def _common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def size_text(size_bytes: int) -> str:
    """A size for a sentence."""
    if size_bytes < 10_000:
        return f"{size_bytes:,} bytes"
    if size_bytes < 10_000_000:
        return f"{size_bytes / 1000:,.0f} kB"
    return f"{size_bytes / 1e6:,.0f} MB"
