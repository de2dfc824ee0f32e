"""`mitmproxy.contentviews`: what views of bodies derive from, and what they make lines with.

Where they are added, and how they are asked, is `nbproxy.scripts.bodyviews`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_MAX: Final = 30


class View:
    """Base of views until 11: called with a body, gives a description and lines."""

    name: str = ""
    prompt: Any = None
    content_types: Any = ()

    def __call__(self, data: bytes, **metadata: Any) -> Any:
        """A description and an iterator of lines."""
        raise NotImplementedError

    def render_priority(self, data: bytes, **metadata: Any) -> float:  # noqa: ARG002 - mitmproxy's signature
        """How well it fits; the highest wins."""
        return 1.0 if metadata.get("content_type") in set(self.content_types) else 0.0

    def __lt__(self, other: Any) -> bool:
        return str(self.name) < str(other.name)


class Contentview:
    """Base of views since 12: `prettify(data, metadata)` gives text."""

    syntax_highlight = "none"

    @property
    def name(self) -> str:
        """What people call it."""
        return type(self).__name__.removesuffix("Contentview")

    def prettify(self, data: bytes, metadata: Any) -> str:
        """The body as text."""
        raise NotImplementedError

    def render_priority(self, data: bytes, metadata: Any) -> float:  # noqa: ARG002 - mitmproxy's signature
        """How well it fits; the highest wins."""
        return 0.0


class InteractiveContentview(Contentview):
    """A view whose text can be edited."""

    def reencode(self, prettified: str, metadata: Any) -> bytes:
        """The body of edited text."""
        raise NotImplementedError


class Metadata:
    """What a view is told about a body."""

    tcp_message = udp_message = websocket_message = dns_message = None
    protobuf_definitions = original_data = None

    def __init__(
        self,
        flow: Any = None,
        content_type: str | None = None,
        http_message: Any = None,
        **more: Any,
    ) -> None:
        self.flow = flow
        self.content_type = content_type
        self.http_message = http_message
        self.__dict__.update(more)


def format_text(text: Any) -> Iterator[list[tuple[str, Any]]]:
    """Lines of text as views give them."""
    for line in text.splitlines():
        yield [("text", line)]


def format_dict(pairs: Any) -> Iterator[list[tuple[str, Any]]]:
    """Pairs as lines of two columns."""
    yield from format_pairs(pairs.items())


def format_pairs(items: Any) -> Iterator[list[tuple[str, Any]]]:
    """Pairs as lines of two columns."""
    rows = list(items)
    width = min(max((len(key) for key, _ in rows), default=0), KEY_MAX)
    for key, value in rows:
        colon, blank = (b":", b" ") if isinstance(key, bytes) else (":", " ")
        yield [("header", (key + colon).ljust(width + 2, blank)), ("text", value)]
