"""HTTP/1.1 (RFC 9112) as pull streams: requests from a client, responses from a server.

h11 parses every head, every chunk and every trailer section, one message at a time: it is given
exactly the bytes of the present message and forgotten after it. Around it:

* Heads are cut out of the byte stream here and checked as bytes (`framing.check_head`).
* A body with a Content-Length is counted, one until the end of the connection is taken as it comes;
  neither needs a parser.
* What is written is not built by h11: its writers move the framing fields to the end and check each
  field a second time; we promise to keep order, and check fields when they are assigned.

Heads are always written anew from what was parsed; bytes that came in are never copied out as a
head or as chunk framing.
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import h11

from nbproxy.errors import ConnectionFailed, RemoteProtocolError
from nbproxy.protocol import framing

if TYPE_CHECKING:
    from nbproxy.model.headers import Fields
    from nbproxy.protocol.framing import Framing, Special
    from nbproxy.protocol.stream import ByteStream

    _AnyResponse = h11.Response | h11.InformationalResponse

EMPTY_LINES_LIMIT: Final = 8
INTERIM_LIMIT: Final = 64
_NO_LENGTH: Final = frozenset((b"content-length",))  # RFC 9110, 8.6: not in a 1xx

_SENT: Final[dict[tuple[bytes, bool], h11.Request]] = {}


def _stand_in(method: bytes, *, upgrade: bool) -> h11.Request:
    """The request that h11 thinks we have sent; only its method and `upgrade` matter to it."""
    key = (method, upgrade)
    event = _SENT.get(key)
    if event is None:
        fields = [("Host", "stand-in")]
        if upgrade:
            fields += [("Connection", "upgrade"), ("Upgrade", "any")]
        event = h11.Request(method=method, target=b"/", headers=fields)
        if len(_SENT) < 100:  # methods are the client's choice: keep no endless list of them
            _SENT[key] = event
    return event


_MAX_SHARED: Final = 256
_MAX_SHARED_BYTES: Final = 4096
_shared: dict[bytes, tuple[Fields, Special]] = {}


def _fields_of(event: h11.Request | _AnyResponse, raw: bytes) -> tuple[Fields, Special]:
    """The fields of a parsed head, and those of them that matter to a proxy.

    Most heads say, but for their first line, what another one has just said. Their flows then have
    the same objects: there are fewer to make, to let go of, and to fetch for the row of a capture,
    which is made by another thread, mostly on another processor.
    """
    lines = raw[raw.index(b"\r\n") :]
    found = _shared.get(lines)
    if found is None:
        fields = tuple(event.headers.raw_items())
        found = fields, framing.watch(fields)
        if len(lines) <= _MAX_SHARED_BYTES:
            if len(_shared) >= _MAX_SHARED:
                _shared.clear()
            _shared[lines] = found
    return found


def word(raw: bytes) -> str:
    """A method or a reason phrase as text, which is the same object again, as `_fields_of` says."""
    return _word(raw) if len(raw) <= _MAX_WORD_BYTES else raw.decode("latin-1")


_MAX_WORD_BYTES: Final = 64


@lru_cache(maxsize=256)
def _word(raw: bytes) -> str:
    return raw.decode("latin-1")


class RequestHead:
    """The head of a request, parsed.

    Args:
        event: What h11 has made of it.
        raw: Its bytes.
        started: When its first byte was there, Unix seconds.

    Attributes:
        method: As sent.
        target: As sent (RFC 9112, 3.2).
        version: b"1.1" or b"1.0".
        fields: Pairs of name and value, in order, case as sent.
        special: The fields that matter to a proxy, by lower-case name.
        framing: How the body ends.
        started: When its first byte was there, Unix seconds.
    """

    __slots__ = ("fields", "framing", "method", "special", "started", "target", "version")

    def __init__(self, event: h11.Request, raw: bytes, started: float) -> None:
        self.method: bytes = event.method
        self.target: bytes = event.target
        self.version: bytes = event.http_version
        self.fields: Fields
        self.special: Special
        self.fields, self.special = _fields_of(event, raw)
        self.started = started
        self.framing: Framing = framing.request_framing(self.special, self.version)


class ResponseHead:
    """The head of a response, parsed.

    Args:
        event: What h11 has made of it.
        raw: Its bytes.
        method: The request's.
        started: When its first byte was there, Unix seconds.

    Attributes:
        status: Three digits.
        reason: As sent.
        version: b"1.1" or b"1.0".
        fields: Pairs of name and value, in order, case as sent.
        special: The fields that matter to a proxy, by lower-case name.
        framing: How the body ends; 0 for an interim response.
        started: When its first byte was there, Unix seconds.
    """

    __slots__ = ("fields", "framing", "reason", "special", "started", "status", "version")

    def __init__(self, event: _AnyResponse, raw: bytes, method: bytes, started: float) -> None:
        self.status: int = event.status_code
        self.reason: bytes = event.reason
        self.version: bytes = event.http_version
        self.fields: Fields
        self.special: Special
        self.fields, self.special = _fields_of(event, raw)
        self.started = started
        self.framing: Framing = 0
        if self.status >= 200:
            self.framing = framing.response_framing(self.special, self.version, self.status, method)


class Limits:
    """The bounds of one proxy, from its options."""

    __slots__ = ("body_s", "fields", "first_s", "head_bytes", "head_s")

    def __init__(
        self,
        *,
        head_bytes: int = 256 * 1024,
        fields: int = 1000,
        first_s: float = 60.0,
        head_s: float = 30.0,
        body_s: float = 120.0,
    ) -> None:
        self.head_bytes = head_bytes
        self.fields = fields
        self.first_s = first_s
        self.head_s = head_s
        self.body_s = body_s


class _Http1:
    """What both directions share: cutting heads, and reading one body after each.

    The body of a message is read by `next_piece` until it gives None. Invariant: the parser has
    been given exactly the bytes of the present message; `_rest` has what came after them.
    """

    peer = ""
    late_status = 504

    def __init__(self, io: ByteStream, limits: Limits) -> None:
        self.io = io
        self.limits = limits
        self.trailers: Fields = ()
        self._parser: h11.Connection
        self._rest = b""
        self._left = 0
        self._guard: framing.ChunkGuard | None = None
        self._reading = False
        self._until_eof = False
        self.raw_head = b""

    # -- heads

    async def _cut_head(self, first_s: float) -> tuple[bytes, float] | None:
        """The next head as bytes, checked, with the time of its first byte; None at the end.

        Raises:
            RemoteProtocolError: It is not the head of a message, or too large.
            ConnectionFailed: The peer left or was silent in the middle of it.
        """
        rest = self._rest
        if not rest:
            try:
                rest = await self.io.receive(first_s)
            except ConnectionFailed as error:
                error.fresh = error.status != 504  # lost, not just silent
                raise
            if not rest:
                return None
        started = time.time()
        if rest[0] in b"\r\n" and not (rest := await self._skip_empty_lines(rest)):
            return None
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            rest, end = await self._more_of_head(rest)
        head = rest[: end + 4]
        self._rest = rest[end + 4 :]
        self.raw_head = head
        if end > self.limits.head_bytes:
            raise self._too_large(head)
        framing.check_head(head)
        if head.count(b"\r\n") > self.limits.fields + 2:
            raise RemoteProtocolError(f"more than {self.limits.fields} fields in a head", 431)
        return head, started

    async def _more_of_head(self, begun: bytes) -> tuple[bytes, int]:
        head = bytearray(begun)
        ends_at = time.monotonic() + self.limits.head_s
        checked = 0
        while True:
            framing.check_more(head, checked)
            checked = len(head)
            if checked > self.limits.head_bytes:
                raise self._too_large(head)
            left_s = ends_at - time.monotonic()
            try:
                more = await self.io.receive(left_s) if left_s > 0 else None
            except ConnectionFailed as error:
                if error.status != 504:
                    raise
                more = None
            if more is None:
                raise ConnectionFailed("the head did not come to its end in time", self.late_status)
            if not more:
                raise ConnectionFailed(
                    f"the {self.peer} closed the connection in the middle of a head"
                )
            head += more
            end = head.find(b"\r\n\r\n", max(0, checked - 3))
            if end >= 0:
                return bytes(head), end

    def _too_large(self, head: bytes | bytearray) -> RemoteProtocolError:
        in_first_line = b"\r\n" not in head[: self.limits.head_bytes]
        kib = self.limits.head_bytes // 1024
        return RemoteProtocolError(f"a head of more than {kib} KiB", 414 if in_first_line else 431)

    async def _skip_empty_lines(self, rest: bytes) -> bytes:
        """RFC 9112, 2.2: a few empty lines before a request line are read over."""
        skipped = 0
        while True:
            while rest.startswith(b"\r\n"):
                rest = rest[2:]
                skipped += 1
            if skipped > EMPTY_LINES_LIMIT or (rest and rest[0] in b"\r\n" and rest != b"\r"):
                raise RemoteProtocolError("empty lines in place of a request")
            if rest and rest != b"\r":
                return rest
            more = await self.io.receive(self.limits.head_s)
            if not more:
                return b""
            rest += more

    def _new_parser(self, role: type[h11.CLIENT | h11.SERVER]) -> h11.Connection:
        """A parser for one message; heads and chunk lines are bounded before it sees them."""
        return h11.Connection(role, max_incomplete_event_size=self.limits.head_bytes + 64 * 1024)

    # -- bodies

    def _begin_body(self, how: Framing) -> None:
        self.trailers = ()
        self._reading = True
        self._guard = framing.ChunkGuard() if how == "chunked" else None
        self._until_eof = how == "until-eof"
        self._left = how if isinstance(how, int) else 0
        if how == 0:
            self._reading = False

    @property
    def body_done(self) -> bool:
        """True when the present message was read to its end."""
        return not self._reading

    @property
    def body_at_hand(self) -> bool:
        """True if the rest of the body can be read without waiting."""
        return not self._reading or (
            self._guard is None and not self._until_eof and len(self._rest) >= self._left
        )

    async def next_piece(self, timeout_s: float) -> bytes | None:
        """The next bytes of the body, never empty; None when it is over (see `trailers`).

        Args:
            timeout_s: How long the peer may be silent, in seconds.

        Raises:
            RemoteProtocolError: The framing is broken.
            ConnectionFailed: The peer left in the middle, or was silent for too long.
        """
        if not self._reading:
            return None
        if self._guard is not None:
            return await self._next_of_chunked(self._guard, timeout_s)
        data = self._rest or await self.io.receive(timeout_s)
        self._rest = b""
        if self._until_eof:
            self._reading = bool(data)
            return data or None
        if not data:
            raise self._cut_short()
        if len(data) > self._left:
            self._rest = data[self._left :]
            data = data[: self._left]
        self._left -= len(data)
        self._reading = self._left > 0
        return data

    async def _next_of_chunked(self, guard: framing.ChunkGuard, timeout_s: float) -> bytes | None:
        pieces: list[bytes] = []
        while True:
            event = self._next_event()
            if type(event) is h11.Data:
                pieces.append(bytes(event.data))
            elif type(event) is h11.EndOfMessage:
                self.trailers = tuple(event.headers.raw_items())
                self._reading = False
                return b"".join(pieces) or None
            elif pieces:  # all that was at hand, in one piece
                return b"".join(pieces)
            else:
                data = self._rest or await self.io.receive(timeout_s)
                self._rest = b""
                if not data:
                    raise self._cut_short()
                used = guard.feed(data)
                self._rest = data[used:]
                self._parser.receive_data(data[:used])

    def _cut_short(self) -> ConnectionFailed:
        return ConnectionFailed(f"the {self.peer} closed the connection in the middle of a body")

    def _parse_head(
        self, parser: h11.Connection, raw: bytes
    ) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        self._parser = parser
        parser.receive_data(raw)
        return self._next_event()

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            if status == 501:
                status = framing.coding_status(self.raw_head)
            raise RemoteProtocolError(str(error), status) from None

    def take_rest(self) -> bytes:
        """Bytes that came after the present message, for a tunnel."""
        rest, self._rest = self._rest, b""
        return rest

    # -- writing

    def write_piece(self, how: Framing, data: bytes) -> None:
        """Send bytes of a body whose head was written with this framing."""
        if not data:
            return
        self.io.write(chunk(data) if how == "chunked" else data)

    def write_end(self, how: Framing, trailers: Fields = ()) -> None:
        """End a body; trailers go out only where there is room for them (RFC 9112, 7.1.2)."""
        if how == "chunked":
            self.io.write(last_chunk(trailers))


class ClientStream(_Http1):
    """Requests from a client, and the answers to them."""

    peer = "client"
    late_status = 408  # RFC 9110, 15.5.9

    def __init__(self, io: ByteStream, limits: Limits) -> None:
        super().__init__(io, limits)
        self.head: RequestHead | None = None

    async def request_head(self) -> RequestHead | None:
        """The next request; None when the client has left, or was silent, between requests.

        Raises:
            RemoteProtocolError: It is not a request; `status` says what to answer.
            ConnectionFailed: The client left or was silent in the middle of the head.
        """
        self.head = None
        try:
            cut = await self._cut_head(self.limits.first_s)
        except ConnectionFailed as error:
            if error.status == 504 or error.fresh:  # silent or gone between requests: no fault
                return None
            raise
        if cut is None:
            return None
        raw, started = cut
        _check_request_line(raw)
        event = self._parse_head(self._new_parser(h11.SERVER), raw)
        if type(event) is not h11.Request:
            raise RemoteProtocolError("not a request")
        self.head = head = RequestHead(event, raw, started)
        self._begin_body(head.framing)
        return head

    @property
    def expects_continue(self) -> bool:
        """True while the client waits for a 100 before it sends the body (RFC 9110, 10.1.1)."""
        head = self.head
        return (
            head is not None
            and b"expect" in head.special
            and head.version == b"1.1"
            and self._reading
            and not self._rest
            and framing.members(head.special[b"expect"]) == [b"100-continue"]
        )

    def write_continue(self) -> None:
        """Ask the client for the body."""
        self.io.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def write_interim(self, status: int, reason: bytes, fields: Fields) -> None:
        """Pass an interim response on (RFC 9110, 15.2); HTTP/1.0 has none."""
        head = self.head
        if head is not None and head.version == b"1.0":
            return
        dropped = framing.dropped_fields(framing.watch(fields), _NO_LENGTH)
        lines = framing.head_lines(fields, dropped, None)
        self.io.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines)))


_VERSIONS: Final = frozenset((b"HTTP/1.1", b"HTTP/1.0"))


def _check_request_line(raw: bytes) -> None:
    """RFC 9112, 3: method SP target SP version, and one of the two versions we speak."""
    line = raw[: raw.index(b"\r\n")]
    parts = line.split(b" ")
    if len(parts) != 3 or framing.TOKEN.fullmatch(parts[0]) is None or not parts[1]:
        raise RemoteProtocolError("the first line is not `method target version` (RFC 9112, 3)")
    if parts[2] not in _VERSIONS:
        known = parts[2].startswith(b"HTTP/")
        raise RemoteProtocolError("the version is not HTTP/1.1 or HTTP/1.0", 505 if known else 400)
    if len(parts[0]) > 64:
        raise RemoteProtocolError("a method of more than 64 bytes", 501)
    if not parts[1].isascii():
        raise RemoteProtocolError("bytes above 0x7f in the target (RFC 9112, 3.2)")


class ServerStream(_Http1):
    """Requests to a server, and its responses."""

    peer = "server"

    def __init__(self, io: ByteStream, limits: Limits) -> None:
        super().__init__(io, limits)
        self._method = b""
        self._interim = 0
        self._persists = False

    def begin(self, method: bytes, *, upgrade: bool = False) -> None:
        """A request with this method is about to be written."""
        self._method = method
        self._interim = 0
        self._persists = False
        self._upgrade = upgrade
        self._responses: h11.Connection | None = None

    def _parser_for(self, raw: bytes) -> h11.Connection:
        """The parser of this request's responses; it must know of the request for interim ones."""
        parser = self._responses
        if parser is None:
            parser = self._responses = self._new_parser(h11.CLIENT)
            if raw[9:10] == b"1":
                parser.send(_stand_in(self._method, upgrade=self._upgrade))
        return parser

    async def response_head(self, timeout_s: float) -> ResponseHead:
        """The next head: interim ones (`status` below 200) first, then the final one.

        Raises:
            RemoteProtocolError: It is not a response.
            ConnectionFailed: The server left or was silent; `fresh` if nothing at all had come.
        """
        try:
            cut = await self._cut_head(timeout_s)
        except ConnectionFailed as error:
            error.fresh = error.fresh and not self._interim
            raise
        if cut is None:
            raise ConnectionFailed(
                "the server closed the connection without an answer", fresh=not self._interim
            )
        raw, started = cut
        event = self._parse_head(self._parser_for(raw), raw)
        if isinstance(event, h11.InformationalResponse):
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                raise RemoteProtocolError(f"more than {INTERIM_LIMIT} interim responses")
            return ResponseHead(event, raw, self._method, started)
        if not isinstance(event, h11.Response):
            raise RemoteProtocolError("not a response")
        if event.http_version not in {b"1.1", b"1.0"}:
            raise RemoteProtocolError("the version is not HTTP/1.1 or HTTP/1.0")
        head = ResponseHead(event, raw, self._method, started)
        self._persists = framing.may_persist(head.special, head.version) and not (
            head.framing == "until-eof" or framing.is_doubtful(head.special)
        )
        self._begin_body(head.framing)
        return head

    @property
    def reusable(self) -> bool:
        """True if another request may be sent: all was read, nothing is left, nobody closed."""
        return (
            self._persists
            and not self._reading
            and not self._rest
            and self.io.is_open
            and not self.io.pending
        )

    @property
    def has_leftover(self) -> bool:
        """True if bytes came that belong to no response (RFC 9112, 11.1)."""
        return bool(self._rest)


def chunk(data: bytes) -> bytes:
    """One chunk (RFC 9112, 7.1); nothing for no data, for that would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Fields = ()) -> bytes:
    """The end of a chunked body, with the trailers that may go on (RFC 9112, 7.1.2)."""
    lines = [n + b": " + v + b"\r\n" for n, v in framing.trailers_to_send(trailers)]
    return b"0\r\n" + b"".join(lines) + b"\r\n"


def request_head_bytes(
    method: bytes, target: bytes, fields: Fields, dropped: frozenset[bytes], how: Framing | None
) -> bytes:
    """The head of a request for the next hop, always HTTP/1.1."""
    lines = framing.head_lines(fields, dropped, how)
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, b"".join(lines))


def response_head_bytes(
    status: int,
    reason: bytes,
    fields: Fields,
    dropped: frozenset[bytes],
    how: Framing | None,
    connection: bytes = b"",
) -> bytes:
    """The head of a response for the client, always HTTP/1.1 (RFC 9110, 2.5)."""
    lines = framing.head_lines(fields, dropped, how)
    if connection:
        lines.append(b"Connection: %b\r\n" % connection)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines))
