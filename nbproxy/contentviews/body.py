"""The body that views look at: its bytes, as far as they are needed, and what its head says of it.

A small body is read as a whole and its content coding removed. Of a large one only the beginning is
held and other parts are read when they are asked for, so that a gigabyte on disk can be paged
through; its coding stays, since nothing but the whole could be decoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from nbproxy.contentviews.shown import size_text
from nbproxy.model import charset
from nbproxy.model.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable

    from nbproxy.model.message import Message

#: Bytes up to which a body is laid out anew (trees, indented source), and masked as a whole.
MAX_WHOLE: Final = 4 * 2**20
#: The same for what is coded: so much is decoded.
MAX_CODED: Final = 16 * 2**20
_SAMPLE: Final = 4096


@dataclass(slots=True)
class Body:
    """A body, or its beginning.

    Attributes:
        data: The bytes, without their content coding; of large bodies the first `MAX_WHOLE`.
        content_type: The field's value, or "".
        size: Bytes of the whole.
        headers: Other fields that views ask for, by lower-case name.
        query: The query's fields, of a request.
        notes: What must be said of it.
        raw: The bytes as sent, where a content coding was removed.
        message: The message whose body it is, if it is one's: for views that scripts add.
        flow: The flow of that message, where it is known.
    """

    data: bytes
    content_type: str = ""
    size: int = -1
    headers: dict[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    notes: list[str] = field(default_factory=list)
    raw: bytes | None = None
    message: Message | None = field(default=None, repr=False)
    flow: Any = field(default=None, repr=False)
    _reader: Callable[[int, int], bytes] | None = None
    _text: str | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            self.size = len(self.data)
        if self._reader is None and len(self.data) > MAX_WHOLE:
            whole = self.data
            self._reader = lambda start, stop: whole[start:stop]
            self.data = whole[:MAX_WHOLE]

    @classmethod
    def of(cls, message: Message, flow: Any = None) -> Self:
        """The body of a message. Reads it; what goes wrong becomes a note."""
        headers = message.headers
        body = cls(b"", headers.get("content-type", ""), 0, message=message, flow=flow)
        body.headers = {
            name: headers.get(name, "") for name in ("grpc-encoding",) if name in headers
        }
        body.query = _query(message)
        try:
            body._read(message)
        except (OSError, ValueError) as error:
            body.notes.append(f"The body cannot be read: {visible(str(error), 300)}.")
        body.__post_init__()
        return body

    def _read(self, message: Message) -> None:
        stored: Any = message._content  # noqa: SLF001 - the one way to read a part of a body only
        if stored is None:
            self.notes.append("The body was not recorded.")
            return
        total = message.body_size
        if getattr(stored, "truncated", False):
            self.notes.append(
                f"Recorded only as far as {size_text(total)}: there was no room for the rest."
            )
        encoding = message.headers.get("content-encoding", "")
        if total > (MAX_CODED if encoding else MAX_WHOLE):
            if encoding:
                self.notes.append(f"Too large to be decoded here ({visible(encoding, 40)}).")
            self._reader = _reader(stored)
            self.data, self.size = self._reader(0, MAX_WHOLE), total
            return
        self.data = message.get_content(strict=False) or b""
        self.size = len(self.data)
        raw = message.raw_content or b""
        if encoding and self.data == raw and raw:
            self.notes.append(f"Its content coding ({visible(encoding, 40)}) could not be undone.")
        elif encoding:
            self.raw = raw

    @property
    def media_type(self) -> str:
        """Type and subtype, lower case, or ""."""
        return self.content_type.partition(";")[0].strip().lower()[:200]

    @property
    def is_whole(self) -> bool:
        """Whether `data` is all of it."""
        return len(self.data) >= self.size

    def part(self, start: int, stop: int) -> bytes:
        """Some of the bytes.

        Raises:
            OSError: They cannot be read any more.
        """
        if self._reader is None or stop <= len(self.data):
            return self.data[start:stop]
        return self._reader(start, stop)

    @property
    def text(self) -> str:
        """`data` as text; bytes that are no text become surrogates, which are shown as escapes."""
        if self._text is None:
            self._text = charset.decode_text(self.data, self.content_type, strict=False)
        return self._text

    @property
    def codec(self) -> str:
        """The charset, by the beginning."""
        return charset.guess(self.content_type, self.data[:_SAMPLE].rpartition(b"\n")[0])

    @property
    def is_text(self) -> bool:
        """Whether a reader would call it text."""
        return looks_like_text(self.data)


def looks_like_text(data: bytes) -> bool:
    """Whether the beginning of these bytes is text: hardly a control character in it."""
    sample = data[:1024]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if b"\0" in sample:
        return False
    odd = sum(byte < 32 and byte not in b"\t\n\r\f\x1b\x1e" for byte in sample)
    if odd > len(sample) // 20:
        return False
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.end < len(sample):  # else the cut went through a character
            high = sum(byte >= 0x80 for byte in sample)
            return high <= len(sample) // 3
    return True


def _query(message: Message) -> tuple[tuple[str, str], ...]:
    query = getattr(message, "query", None)
    return () if query is None else tuple(query.items(multi=True))


def _reader(stored: Any) -> Callable[[int, int], bytes]:
    """What reads a part of a body, with no more in memory than the part where that is possible."""
    if isinstance(stored, bytes):
        return lambda start, stop: stored[start:stop]
    if not hasattr(stored, "chunks"):
        return lambda start, stop: bytes(stored.read()[start:stop])

    def read(start: int, stop: int) -> bytes:
        found = bytearray()
        position = 0
        for chunk in stored.chunks(2**20):
            if position + len(chunk) > start:
                found += chunk[max(0, start - position) : stop - position]
            position += len(chunk)
            if position >= stop:
                break
        return bytes(found)

    return read
