"""An independent reader of HTTP/1.1 for tests: it takes what can be read in one way only.

What the proxy wrote, to an origin or to a client, is read with this and with nothing of the
proxy's. It is stricter than RFC 9112 asks of a receiver: CRLF at every line end, one space in the
first line, one framing field, no list in it, no chunk extensions, no control bytes. Whatever else
comes is an `AmbiguityError`, which fails the test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Fields = tuple[tuple[bytes, bytes], ...]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) (/[!-~]*|\*) HTTP/1\.1" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"(%b): ?((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*)?)?)" % _TOKEN)
_CHUNK = re.compile(rb"(0|[1-9a-fA-F][0-9a-fA-F]{0,15})")
_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")
_NOT_IN_TRAILERS = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"authorization", b"cookie")
)


class AmbiguityError(AssertionError):
    """Bytes that two readers may read in two ways."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message, read.

    Attributes:
        start: Method and target, or the status as three digits and the reason.
        fields: Names and values as written.
        body: Without its framing.
        trailers: The fields of the trailer section.
        framing: "none", "length", "chunked" or "until-eof".
    """

    start: tuple[bytes, bytes]
    fields: Fields
    body: bytes = b""
    trailers: Fields = ()
    framing: str = "none"

    @property
    def status(self) -> int:
        """The status code of a response."""
        return int(self.start[0])

    @property
    def target(self) -> bytes:
        """The target of a request."""
        return self.start[1]

    def values(self, name: bytes) -> list[bytes]:
        """The values of a field, in order."""
        return [value for each, value in self.fields if each.lower() == name.lower()]


class _Incomplete(Exception):  # noqa: N818 - an outcome, not a fault
    """The message is not all there."""


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def line(self) -> bytes:
        end = self.data.find(b"\r\n", self.position)
        if end < 0:
            _check_line(self.data[self.position :].removesuffix(b"\r"))
            raise _Incomplete
        line = self.data[self.position : end]
        _check_line(line)
        self.position = end + 2
        return line

    def fields(self) -> Fields:
        fields = []
        while line := self.line():
            found = _FIELD.fullmatch(line)
            if found is None:
                raise AmbiguityError(f"not a field line: {line[:200]!r}")
            fields.append((found[1], found[2]))
        return tuple(fields)

    def take(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise _Incomplete
        piece = self.data[self.position : self.position + count]
        self.position += count
        return piece

    def rest(self) -> bytes:
        piece = self.data[self.position :]
        self.position = len(self.data)
        return piece

    def chunked(self) -> tuple[bytes, Fields]:
        pieces = []
        while True:
            line = self.line()
            if _CHUNK.fullmatch(line) is None:
                raise AmbiguityError(f"not a chunk line: {line[:200]!r}")
            size = int(line, 16)
            if not size:
                break
            pieces.append(self.take(size))
            if self.take(2) != b"\r\n":
                raise AmbiguityError("no CRLF after a chunk")
        trailers = self.fields()
        for name, _ in trailers:
            if name.lower() in _NOT_IN_TRAILERS:
                raise AmbiguityError(f"a trailer that must not be one: {name!r}")
        return b"".join(pieces), trailers


def _check_line(line: bytes) -> None:
    if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line):
        raise AmbiguityError(f"a control byte in a line: {line[:200]!r}")


def _framing(fields: Fields) -> tuple[str, int]:
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise AmbiguityError(f"more than one framing field: {lengths} {codings}")
    if codings:
        if codings != [b"chunked"]:
            raise AmbiguityError(f"a transfer coding that is not chunked: {codings}")
        return "chunked", 0
    if lengths:
        if _NUMBER.fullmatch(lengths[0]) is None:
            raise AmbiguityError(f"a length that is not a number: {lengths}")
        return "length", int(lengths[0])
    return "none", 0


def _body(reader: _Reader, fields: Fields) -> tuple[bytes, Fields, str]:
    framing, size = _framing(fields)
    if framing == "chunked":
        body, trailers = reader.chunked()
        return body, trailers, framing
    return reader.take(size), (), framing


def read_requests(data: bytes) -> tuple[list[Message], bytes]:
    """What an origin received: whole requests, and the bytes of one that is not whole.

    Raises:
        AmbiguityError: It could be read in more than one way.
    """
    reader = _Reader(data)
    found: list[Message] = []
    while reader.position < len(data):
        begin = reader.position
        try:
            line = reader.line()
            start = _REQUEST_LINE.fullmatch(line)
            if start is None:
                raise AmbiguityError(f"not a request line: {line[:200]!r}")
            fields = reader.fields()
            hosts = [value for name, value in fields if name.lower() == b"host"]
            if len(hosts) != 1:
                raise AmbiguityError(f"not exactly one Host: {hosts}")
            body, trailers, framing = _body(reader, fields)
        except _Incomplete:
            return found, data[begin:]
        found.append(Message((start[1], start[2]), fields, body, trailers, framing))
    return found, b""


def read_responses(
    data: bytes, methods: Sequence[bytes] = (), *, ended: bool = False
) -> tuple[list[Message], bytes]:
    """What a client received: whole responses, interim ones too, and the bytes of a last one.

    Args:
        data: The bytes.
        methods: Of the requests, in order; GET for those beyond.
        ended: Whether the connection was closed in order, which ends a body without framing.

    Raises:
        AmbiguityError: It could be read in more than one way.
    """
    reader = _Reader(data)
    found: list[Message] = []
    finals = 0
    while reader.position < len(data):
        begin = reader.position
        method = methods[finals] if finals < len(methods) else b"GET"
        try:
            message = _response(reader, method, ended=ended)
        except _Incomplete:
            return found, data[begin:]
        finals += message.status >= 200
        found.append(message)
    return found, b""


def first_response(data: bytes, method: bytes = b"GET") -> tuple[Message, int] | None:
    """The first whole response with framing and how many bytes it takes; None if there is none."""
    reader = _Reader(data)
    try:
        message = _response(reader, method, ended=False)
    except _Incomplete:
        return None
    return message, reader.position


def _response(reader: _Reader, method: bytes, *, ended: bool) -> Message:
    line = reader.line()
    start = _STATUS_LINE.fullmatch(line)
    if start is None:
        raise AmbiguityError(f"not a status line: {line[:200]!r}")
    fields = reader.fields()
    status = int(start[1])
    framing, _ = _framing(fields)
    if status < 200 or status == 204:
        if framing != "none":
            raise AmbiguityError(f"a {status} with a framing field")
        return Message((start[1], start[2]), fields)
    if status == 304 or method == b"HEAD":
        return Message((start[1], start[2]), fields)
    if framing == "none":
        if not ended:
            raise _Incomplete
        return Message((start[1], start[2]), fields, reader.rest(), (), "until-eof")
    body, trailers, framing = _body(reader, fields)
    return Message((start[1], start[2]), fields, body, trailers, framing)
