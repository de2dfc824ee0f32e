"""What requests and responses share: a head, and a body in all its readings.

A message holds its body as it was sent (`raw_content`); `content`, `text` and `json()` look through
the content coding and the charset. Nothing is decoded before somebody asks. All setters keep the
head consistent with the body: Content-Length follows, and a coding that cannot be applied is taken
off. What really frames a message on the wire is decided when it is sent (RFC 9112, 6).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nbproxy.model import charset, coding
from nbproxy.model.headers import Headers
from nbproxy.model.record import Record, copy_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from nbproxy.model.body import StoredBody


class Message(Record):
    """A request or a response.

    Attributes:
        http_version: "HTTP/1.1", "HTTP/1.0", "HTTP/2.0".
        headers: The fields of the head.
        trailers: The fields of the trailer section, or None.
        timestamp_start: When its first byte came (or when it was made), Unix seconds.
        timestamp_end: When its last byte came; None while it has not.
        stream: True to pass the body on as it comes, set in `requestheaders` or `responseheaders`;
            or a callable that takes each piece (bytes; b"" at the end) and returns what to send in
            its place, bytes or several. A streamed body is recorded all the same.
        bandwidth: Bytes per second at which the body is passed on; None for as fast as can be. Of
            requests only streamed bodies know it. Set before the body is: in `responseheaders`,
            say.
    """

    __slots__ = (
        "_content",
        "_decoded",
        "_headers",
        "bandwidth",
        "http_version",
        "stream",
        "timestamp_end",
        "timestamp_start",
        "trailers",
    )

    def __init__(
        self,
        headers: Headers,
        content: bytes | StoredBody | None,
        *,
        http_version: str = "HTTP/1.1",
        timestamp_start: float = 0.0,
    ) -> None:
        self._headers = headers
        self._content = content
        self.http_version = http_version
        self.timestamp_start = timestamp_start
        self.timestamp_end: float | None = None
        self.trailers: Headers | None = None
        self.stream: bool | Callable[[bytes], bytes | Iterable[bytes]] = False
        self.bandwidth: float | None = None
        self._decoded: tuple[bytes, str, bytes] | None = None

    # -- head

    @property
    def headers(self) -> Headers:
        """The fields of the head; a mapping or pairs may be assigned."""
        return self._headers

    @headers.setter
    def headers(self, value: Headers | Mapping[str, str]) -> None:
        self._headers = value if isinstance(value, Headers) else Headers(value)

    @property
    def is_http10(self) -> bool:
        """True for HTTP/1.0."""
        return self.http_version == "HTTP/1.0"

    @property
    def is_http11(self) -> bool:
        """True for HTTP/1.1."""
        return self.http_version == "HTTP/1.1"

    @property
    def is_http2(self) -> bool:
        """True for HTTP/2."""
        return self.http_version == "HTTP/2.0"

    # -- body as sent

    @property
    def raw_content(self) -> bytes | None:
        """The body as sent, with its content coding; None if missing. Large ones come from disk."""
        content = self._content
        return content if content is None or isinstance(content, bytes) else content.read()

    @raw_content.setter
    def raw_content(self, value: bytes | None) -> None:
        self._content = _check_bytes(value)

    @property
    def body_size(self) -> int:
        """Bytes of the body as sent, so far, without reading it; 0 if it is missing."""
        content = self._content
        if content is None:
            return 0
        return len(content) if isinstance(content, bytes) else content.size_bytes

    def hold_body(self, body: bytes | StoredBody) -> None:
        """Hold this as the body from now on; for whoever records it. No header changes."""
        self._content = body
        self._decoded = None

    @property
    def holds_bytes(self) -> bool:
        """True if the body is in memory, not on disk."""
        return isinstance(self._content, bytes)

    # -- body decoded

    def get_content(self, strict: bool = True) -> bytes | None:
        """The body without its content coding; None if it is missing.

        Args:
            strict: Whether a body that cannot be decoded is an error; if not, it is given as sent.

        Raises:
            ValueError: The coding is unknown or broken, or the result would be too large (see
                `nbproxy.model.coding.decode` for the bounds).
        """
        raw = self.raw_content
        if not raw:
            return raw
        codings = self._headers.get_all("content-encoding")
        if not codings:
            return raw
        name = ", ".join(codings)  # several lines are one list (RFC 9110, 5.3)
        cached = self._decoded
        if cached is not None and cached[0] is raw and cached[1] == name:
            return cached[2]
        try:
            plain = coding.decode(raw, name)
        except ValueError:
            if strict:
                raise
            return raw
        if isinstance(self._content, bytes):  # what lies on disk shall not be kept by a cache
            self._decoded = (raw, name, plain)
        return plain

    def set_content(self, value: bytes | None) -> None:
        """Replace the body by this one, coded as Content-Encoding says; Content-Length follows."""
        value = _check_bytes(value)
        if value is None:
            self._content = None
            return
        headers = self._headers
        encoding = headers.get("content-encoding")
        raw = value
        if encoding is not None:
            try:
                raw = coding.encode(value, encoding)
            except ValueError:
                del headers["content-encoding"]
        self._content = raw
        if "transfer-encoding" not in headers:
            headers["content-length"] = str(len(raw))

    @property
    def content(self) -> bytes | None:
        """The body without its content coding; None if it is missing.

        Raises:
            ValueError: The coding is unknown or broken; `get_content(strict=False)` does not raise.
        """
        return self.get_content()

    @content.setter
    def content(self, value: bytes | None) -> None:
        self.set_content(value)

    def get_text(self, strict: bool = False) -> str | None:
        """The body as text; None if it is missing.

        The charset is that of Content-Type, else found in the body (RFC 9110, 8.3.2). Without
        `strict` there is always an answer: bytes that do not decode become surrogate escapes.

        Raises:
            ValueError: With `strict`, the content coding or the charset does not fit.
        """
        content = self.get_content(strict)
        if content is None:
            return None
        return charset.decode_text(content, self._headers.get("content-type", ""), strict=strict)

    def set_text(self, value: str | None) -> None:
        """Replace the body by this text; a charset that cannot say it gives way to UTF-8."""
        if value is None:
            self._content = None
            return
        old = self._headers.get("content-type", "")
        content, new = charset.encode_text(value, old, self.get_content(strict=False) or b"")
        if new != old:
            self._headers["content-type"] = new
        self.set_content(content)

    @property
    def text(self) -> str | None:
        """The body as text; never raises: see `get_text` for a strict reading."""
        return self.get_text()

    @text.setter
    def text(self, value: str | None) -> None:
        self.set_text(value)

    def json(self, **kwargs: Any) -> Any:
        """The body parsed as JSON; keyword arguments go to `json.loads`.

        Raises:
            TypeError: There is no body.
            ValueError: It is not JSON, or nested too deeply to be parsed.
        """
        content = self.get_content(strict=False)
        if content is None:
            raise TypeError("this message has no body to read JSON from")
        try:
            return json.loads(content, **kwargs)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply to be parsed") from None

    def decode(self, strict: bool = True) -> None:
        """Take the content coding off, body and header.

        Raises:
            ValueError: With `strict`, the coding is unknown or broken.
        """
        content = self.get_content(strict)
        self._headers.pop("content-encoding", None)
        self.set_content(content)

    def encode(self, encoding: str) -> None:
        """Put a content coding on ("gzip", "deflate", "br", "zstd", "identity").

        Raises:
            ValueError: The coding is unknown.
        """
        content = self.get_content(strict=False)
        if content is not None:
            coding.encode(b"", encoding)  # an unknown one is refused before anything changes
            self._headers["content-encoding"] = encoding
            self.set_content(content)

    def _copy_to(self, other: Self) -> Self:
        copy_attributes(self, other)
        other._headers = self._headers.copy()
        if self.trailers is not None:
            other.trailers = self.trailers.copy()
        return other

    def copy(self) -> Self:
        """An independent copy; the body's bytes are shared."""
        return self._copy_to(self.__class__.__new__(self.__class__))


def _check_bytes(value: bytes | bytearray | memoryview | None) -> bytes | None:
    if isinstance(value, str):
        raise TypeError("a body is bytes; assign text to .text instead")
    if value is not None and not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"a body is bytes, not {type(value).__name__}")  # bytes(5) is five NULs
    return None if value is None else bytes(value)
