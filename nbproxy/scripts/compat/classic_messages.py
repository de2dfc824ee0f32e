"""What requests and responses of eras A to C share: head, body, `decoded`, `replace`.

A view holds nothing but the real message (and what a script hangs on it). Bodies are text, as
they were in Python 2 (`nbproxy.scripts.bytetext` has the rule), and they are *as transferred*: a
coded one stays so until `decode` or `decoded`.
"""

from __future__ import annotations

import contextlib
import dis
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nbproxy.model import coding
from nbproxy.scripts.bytetext import ByteText, data, text
from nbproxy.scripts.compat.classic_headers import HeaderODict, Headers, to_real
from nbproxy.scripts.compat.classic_host import missing
from nbproxy.scripts.compat.flows import View, real
from nbproxy.scripts.compat.streams import Generated
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Self

    from nbproxy.model import message as model

CONTENT_MISSING: Final[Mapping[str, int | None]] = {"A": None, "B": 0, "C": None}
"""By era: what `content` is of a body that there was and that is not here.

It was None in 0.8, 0 from 0.9 to 0.16, None again in 0.17. Scripts compare it with the constant of
this name, which is the same here; where releases of one era differ, None serves all of them.
"""


class ClassicView(View):
    """A view that keeps what scripts hang on it, and tells them what their era did not have.

    Attributes:
        shown: What it is called in messages.
        hints: What to use in the place of attributes that other eras had.
    """

    shown: ClassVar[str] = "this object"
    hints: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            hint = self.hints.get(name)
            if hint is not None:
                raise missing(self._era, self.shown, name, hint)
        raise AttributeError(f"{self.shown} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def bound(cls, era: Era) -> type[Self]:  # noqa: ARG003 - each class here is of one era, or of all
        """The class itself."""
        return cls

    def _adopt_in(self, own: Any, era: str) -> None:
        """Be the view of a real object that was just made for it, in an era."""
        self._real = own
        self._era = Era(era)
        own.__dict__[self.slot(self._era)] = self


class Message(ClassicView):
    """What requests and responses share, in all three eras."""

    _real: model.Message
    _flow: Any = None
    _shown_body: tuple[bytes, ByteText] | None = None

    # -- head

    @property
    def headers(self) -> Any:
        """An ODictCaseless in eras A and B, Headers in C."""
        headers = self.__dict__.get("_headers")
        if headers is None:
            kind = Headers.of if self._era == "C" else HeaderODict
            headers = self.__dict__["_headers"] = kind(self._real)
        return headers

    @headers.setter
    def headers(self, value: Any) -> None:
        fields = to_real(value).fields
        self._real.headers.fields = fields

    @property
    def timestamp_start(self) -> float:
        """When its first byte came, Unix seconds."""
        return self._real.timestamp_start

    @timestamp_start.setter
    def timestamp_start(self, value: float | None) -> None:
        self._real.timestamp_start = value or 0.0

    @property
    def timestamp_end(self) -> float | None:
        """When its last byte came, Unix seconds."""
        return self._real.timestamp_end

    @timestamp_end.setter
    def timestamp_end(self, value: float | None) -> None:
        self._real.timestamp_end = value

    def _set_version(self, value: Any) -> None:
        """Take an HTTP version in any of the forms that the eras had."""
        if isinstance(value, (tuple, list)):
            value = "HTTP/" + ".".join(str(part) for part in value)
        elif isinstance(value, bytes):
            value = value.decode("latin-1")
        self._real.http_version = str(value) if value else "HTTP/1.1"

    # -- body

    @property
    def content(self) -> Any:
        """The body as transferred, a `ByteText`; None or `CONTENT_MISSING` if it is not here."""
        raw = self._real.raw_content
        if raw is None:
            return self._missing_content()
        shown = self._shown_body
        if shown is None or shown[0] is not raw:
            shown = self._shown_body = (raw, text(raw))
        return shown[1]

    @content.setter
    def content(self, value: Any) -> None:
        own = self._real
        if is_missing(value):
            own.raw_content = None
            return
        like = "utf-8"
        if isinstance(value, str) and not isinstance(value, ByteText) and not value.isascii():
            present = self.content
            like = present.encoding if present is not None else like
        own.raw_content = raw = data(value, like)
        headers = own.headers
        if "content-length" in headers and "transfer-encoding" not in headers:
            headers["content-length"] = str(len(raw))

    def _missing_content(self) -> Any:
        own = self._real
        was_read = own.stream or own.timestamp_end is not None
        return CONTENT_MISSING[self._era] if was_read else None

    def get_decoded_content(self) -> ByteText | None:
        """The body without its content coding; as it is if that cannot be undone."""
        content = self._real.get_content(strict=False)
        return None if content is None else text(content)

    def decode(self) -> bool:
        """Take the content coding off, body and header; False if that cannot be done."""
        own = self._real
        name = own.headers.get("content-encoding")
        if not own.raw_content or name is None:
            return False
        try:
            own.decode()
        except ValueError:
            return False
        return True

    def encode(self, encoding: str) -> bool:
        """Put a content coding on: "gzip", "deflate" or "identity"."""
        own = self._real
        raw = own.raw_content
        if raw is None:
            return False
        coded = coding.encode(raw, encoding)  # over what there is, as it was: once more
        self.content = coded
        # it came back last, and in lower case
        own.headers.pop("content-encoding", None)
        own.headers.add("content-encoding", encoding)
        return True

    @property
    def stream(self) -> Any:
        """True to pass the body on as it comes, or a function from chunks to chunks."""
        stream = self._real.stream
        return stream.function if isinstance(stream, Generated) else stream

    @stream.setter
    def stream(self, value: Any) -> None:
        if callable(value):
            chunk = _Chunk.of if self._era == "B" or _unpacks_three(value) else text
            value = Generated(value, chunk, _joined)
        self._real.stream = value

    # -- replace

    def _replace(self, pattern: Any, repl: Any, args: tuple[Any, ...], kwargs: Any) -> int:
        """Replace in body and headers; gives how often."""
        total = 0
        options = self._options(args, kwargs)
        if self._real.raw_content:
            with decoded(self):
                new: str
                new, total = re.subn(_text(pattern), _text(repl), self.content or "", **options)
                if total:
                    self.content = new
        if self._era == "C":
            flags = options.get("flags", 0)
            in_head: int = self.headers.replace(pattern, repl, flags=flags)
        else:
            in_head = self.headers.replace(_text(pattern), _text(repl), **options)
        return total + in_head

    def _options(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """What comes after pattern and replacement: count and flags; in 0.17 flags alone."""
        if self._era == "C" and len(args) == 1 and isinstance(args[0], re.RegexFlag):
            return {"flags": args[0], **kwargs}
        return {**dict(zip(("count", "flags"), args, strict=False)), **kwargs}

    # -- copies and sizes

    def copy(self) -> Self:
        """An independent copy."""
        made = type(self).of(self._real.copy(), self._era)
        made.__dict__["_flow"] = self._flow
        return made

    def get_content_type(self) -> str | None:
        """The Content-Type, None if there is none."""
        return self._real.headers.get("content-type")

    def get_header_size(self) -> int:
        """Bytes of the head, about."""
        return len(self._first_line()) + len(bytes(self._real.headers)) + 4

    def get_transmitted_size(self) -> int:
        """Bytes of the body as transferred."""
        return self._real.body_size

    def size(self, **_: Any) -> int:
        """Bytes of it all, about."""
        return self.get_header_size() + self._real.body_size

    def _first_line(self) -> str:
        raise NotImplementedError

    def assemble(self, **_: Any) -> ByteText:
        """It all, as HTTP/1 writes it."""
        head = self._first_line().encode("utf-8", "surrogateescape") + b"\r\n"
        own = self._real
        return text(head + bytes(own.headers) + b"\r\n" + (own.raw_content or b""))

    def _version_pair(self) -> tuple[int, ...]:
        numbers = re.findall(r"\d+", self._real.http_version)
        return tuple(int(number) for number in numbers) or (1, 1)


class OldVersion(Message):
    """The HTTP version as eras A and B had it."""

    @property
    def httpversion(self) -> tuple[int, ...]:
        """Such as (1, 1)."""
        return self._version_pair()

    @httpversion.setter
    def httpversion(self, value: Any) -> None:
        self._set_version(value)


class NewVersion(Message):
    """What era C had, and what it still took of B's."""

    @property
    def http_version(self) -> str:
        """Such as "HTTP/1.1"."""
        return self._real.http_version

    @http_version.setter
    def http_version(self, value: Any) -> None:
        self._set_version(value)

    @property
    def httpversion(self) -> tuple[int, ...]:
        """Such as (1, 1); the name of earlier releases."""
        return self._version_pair()

    @httpversion.setter
    def httpversion(self, value: Any) -> None:
        self._set_version(value)

    @property
    def body(self) -> Any:
        """The body; an old name of `content`."""
        return self.content

    @body.setter
    def body(self, value: Any) -> None:
        self.content = value

    @property
    def text(self) -> Any:
        """Was there and did not work."""
        raise NotImplementedError("text came with mitmproxy 0.18; use content, which is text here")


class _Chunk(ByteText):
    """A chunk of a streamed body: text, that also unpacks as (prefix, content, suffix)."""

    __slots__ = ()

    @classmethod
    def of(cls, raw: bytes) -> _Chunk:
        """A chunk of these bytes."""
        shown = text(raw)
        return cls(shown, shown.encoding)

    def __iter__(self) -> Iterator[str]:
        return iter(("", ByteText(str(self), self.encoding), ""))

    def __getitem__(self, key: Any) -> Any:
        return ("", ByteText(str(self), self.encoding), "")[key]


def _unpacks_three(function: Any) -> bool:
    """Whether a stream function takes its chunks apart as (prefix, content, suffix)."""
    code = getattr(function, "__code__", None)
    return code is not None and any(
        each.opname == "UNPACK_SEQUENCE" and each.arg == 3 for each in dis.get_instructions(code)
    )


def _joined(piece: Any) -> bytes:
    """What a stream function yields, text, bytes or a tuple, as what goes out."""
    if isinstance(piece, (tuple, list)):
        return data(piece[1])
    return data(piece)


def is_missing(value: Any) -> bool:
    """Whether what a script gives as a body means that there is none."""
    return value is None or (isinstance(value, int) and value == 0)


def _text(value: Any) -> Any:
    return str(text(value)) if isinstance(value, bytes) else value


@contextlib.contextmanager
def decoded(message: Any) -> Iterator[None]:
    """Show the body without its content coding inside the `with`, and code it again after it.

    Nothing happens for a coding that we do not know.
    """
    own = real(message)
    name = own.headers.get("content-encoding")
    undone = name is not None and message.decode()
    try:
        yield
    finally:
        if undone:
            message.encode(name)
