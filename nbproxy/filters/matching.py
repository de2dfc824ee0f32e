"""What each operator looks at in a flow: builders that turn an argument into a predicate.

A predicate reads a flow and never changes it; bodies are decoded into copies. Every builder
compiles its pattern once, so that what is left for each flow is attribute access and one search.
Bytes (bodies, header blocks, content types, methods) are searched with the pattern encoded as
UTF-8, so that case folds in ASCII only there; everything else is searched as text.

Which flows an operator speaks about is decided by `flow.type`; about all others it says False.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, AnyStr, Protocol, TypeGuard

from nbproxy.filters.computed import computed
from nbproxy.filters.jsonpath import follow

if TYPE_CHECKING:
    from nbproxy.model.flow import Flow, HTTPFlow
    from nbproxy.model.message import Message

Predicate = Callable[["Flow"], bool]
Build = Callable[[str], Predicate]
Clock = Callable[[], float]
Select = Callable[["HTTPFlow | DNSFlow"], "tuple[Any, ...]"]

# mitmproxy's variable, read once as it does: who has set it wrote filters that rely on it
_CASE = 0 if os.environ.get("MITMPROXY_CASE_SENSITIVE_FILTERS") == "1" else re.IGNORECASE

# what a builder raises when its pattern is not a regular expression
REGEX_FAULTS = (re.error, ValueError, OverflowError, RecursionError)

# sets in which the re module sees what Python may read otherwise one day ("possible nested set")
_MAY_WARN = re.compile(rb"\[\^?\[|--|&&|~~|\|\|")

_ASSETS = (
    b"text/javascript",
    b"application/javascript",
    b"application/x-javascript",
    b"text/css",
    b"image/",
    b"font/",
    b"application/font",
)


class RelayedMessage(Protocol):
    """One message of a WebSocket, TCP or UDP flow."""

    content: bytes
    from_client: bool


class RelayFlow(Protocol):
    """A TCP or UDP flow: messages both ways."""

    messages: Iterable[RelayedMessage]


class DNSFlow(Protocol):
    """A DNS query and its answer; both print as text."""

    request: Any
    response: Any


# -- kinds of flow


def is_http(flow: Flow) -> TypeGuard[HTTPFlow]:
    """An HTTP exchange; WebSockets are such too."""
    return flow.type == "http"


def is_dns(flow: Any) -> TypeGuard[DNSFlow]:
    """A DNS query."""
    return bool(flow.type == "dns")


def is_relay(flow: Any) -> TypeGuard[RelayFlow]:
    """A TCP or UDP relay."""
    return flow.type in {"tcp", "udp"}


# -- patterns


def text_search(regex: str, flags: int = 0) -> Callable[[str], object | None]:
    """`search` of the compiled pattern, over text.

    Raises:
        Exception: One of `REGEX_FAULTS`; it is not a regular expression.
    """
    return _compiled(regex, flags).search


def bytes_search(regex: str, flags: int = 0) -> Callable[[bytes], object | None]:
    """`search` of the compiled pattern, over bytes; raises what `text_search` raises."""
    return _compiled(regex.encode("utf-8"), flags).search


def _compiled(regex: AnyStr, flags: int) -> re.Pattern[AnyStr]:
    if not _MAY_WARN.search(
        regex if isinstance(regex, bytes) else regex.encode("utf-8", "replace")
    ):
        return re.compile(regex, flags | _CASE)
    # only then, because it changes the warnings of all threads for a moment
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(regex, flags | _CASE)


# -- sides of a flow


def both(flow: HTTPFlow | DNSFlow) -> tuple[Any, ...]:
    """The request, and the response if there is one."""
    response = flow.response
    return (flow.request,) if response is None else (flow.request, response)


def request(flow: HTTPFlow | DNSFlow) -> tuple[Any, ...]:
    """The request."""
    return (flow.request,)


def response(flow: HTTPFlow | DNSFlow) -> tuple[Any, ...]:
    """The response, if there is one."""
    message = flow.response
    return () if message is None else (message,)


# -- flags


def is_asset(flow: Flow) -> bool:
    """`~a`: the response is a script, style, image or font, by its Content-Type."""
    if not is_http(flow) or flow.response is None:
        return False
    return any(map(is_asset_type, content_types(flow.response)))


def is_asset_type(content_type: bytes) -> bool:
    """Whether a Content-Type is that of a script, style, image or font."""
    return any(asset in content_type for asset in _ASSETS)


def is_unanswered(flow: Flow) -> bool:
    """`~q`: a request without response."""
    return (is_http(flow) or is_dns(flow)) and flow.response is None


def is_answered(flow: Flow) -> bool:
    """`~s`: there is a response."""
    return (is_http(flow) or is_dns(flow)) and flow.response is not None


def is_websocket(flow: Flow) -> bool:
    """`~websocket`: upgraded to WebSocket."""
    return is_http(flow) and flow.websocket is not None


def of_type(name: str) -> Predicate:
    """`~http`, `~tcp` and the others: the kind of the flow."""

    def test(flow: Flow) -> bool:
        return flow.type == name

    return test


# -- text


def url(regex: str) -> Predicate:
    """`~u`: the URL as the client named it; of a DNS flow the name asked for."""
    search = text_search(regex)

    def test(flow: Flow) -> bool:
        text = _url(flow)
        return text is not None and search(text) is not None

    return test


def _url(flow: Flow) -> str | None:
    if is_http(flow):
        return flow.request.pretty_url
    if is_dns(flow):
        questions = flow.request.questions
        return str(questions[0].name) if questions else None
    return None


def domain(regex: str) -> Predicate:
    """`~d`: the host connected to or the host named, either."""
    search = text_search(regex)

    def test(flow: Flow) -> bool:
        if not is_http(flow):
            return False
        message = flow.request
        return search(message.host) is not None or search(message.pretty_host) is not None

    return test


def address(of: Callable[[Flow], tuple[Any, ...] | None]) -> Build:
    """`~src` and `~dst`: `host:port` of an address."""

    def build(regex: str) -> Predicate:
        search = text_search(regex)

        def test(flow: Flow) -> bool:
            pair = of(flow)
            return pair is not None and search(f"{pair[0]}:{pair[1]}") is not None

        return test

    return build


def source(flow: Flow) -> tuple[Any, ...] | None:
    """Where the client is."""
    return flow.client_conn.peername


def destination(flow: Flow) -> tuple[Any, ...] | None:
    """The server as it was asked for, not what its name resolved to."""
    return flow.server_conn.address


def text(of: Callable[[Flow], str]) -> Build:
    """`~comment`, `~marker` and `~meta`: lines of text about the flow."""

    def build(regex: str) -> Predicate:
        search = text_search(regex, re.MULTILINE)

        def test(flow: Flow) -> bool:
            return search(of(flow)) is not None

        return test

    return build


def comment(flow: Flow) -> str:
    """What people wrote about the flow."""
    return flow.comment


def marker(flow: Flow) -> str:
    """The mark, "" for none."""
    return flow.marked


def metadata(flow: Flow) -> str:
    """The metadata, one line an entry."""
    # list(): a handler on another thread may be adding entries
    return "\n".join(f"{key}: {value}" for key, value in list(flow.metadata.items()))


# -- bytes


def method(regex: str) -> Predicate:
    """`~m`: the request method."""
    search = bytes_search(regex)

    def test(flow: Flow) -> bool:
        if not is_http(flow):
            return False
        return search(flow.request.method.encode("utf-8", "surrogateescape")) is not None

    return test


def content_types(message: Message) -> list[bytes]:
    """The value of each Content-Type field."""
    return [
        value
        for name, value in message.headers.fields
        if len(name) == 12 and name.lower() == b"content-type"
    ]


def content_type(select: Select) -> Build:
    """`~t`, `~tq`, `~ts`: the Content-Type fields, one by one."""

    def build(regex: str) -> Predicate:
        search = bytes_search(regex)

        def test(flow: Flow) -> bool:
            if not is_http(flow):
                return False
            for message in select(flow):
                for value in content_types(message):
                    if search(value) is not None:
                        return True
            return False

        return test

    return build


def headers(select: Select) -> Build:
    """`~h`, `~hq`, `~hs`: the header block, each field with its CRLF."""

    def build(regex: str) -> Predicate:
        search = bytes_search(regex, re.MULTILINE)

        def test(flow: Flow) -> bool:
            if not is_http(flow):
                return False
            return any(search(_block(message)) is not None for message in select(flow))

        return test

    return build


def _block(message: Message) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in message.headers.fields])


def bodies(select: Select, *, from_client: bool | None = None) -> Build:
    """`~b`, `~bq`, `~bs`: decoded bodies and relayed messages, of one side or (None) of both."""

    def build(regex: str) -> Predicate:
        search = bytes_search(regex, re.DOTALL)

        def test(flow: Flow) -> bool:
            return any(search(body) is not None for body in _bodies(flow, select, from_client))

        return test

    return build


def content(message: Message) -> bytes | None:
    """The decoded body, as sent if it cannot be decoded; None if it is missing or lost."""
    try:
        return message.get_content(strict=False)
    except OSError:  # the file that held it is gone
        return None


def _bodies(flow: Flow, select: Select, from_client: bool | None) -> Iterator[bytes]:
    relayed: Iterable[RelayedMessage] = ()
    if is_http(flow):
        for message in select(flow):
            body = content(message)
            if body is not None:
                yield body
        if flow.websocket is not None:
            relayed = flow.websocket.messages
    elif is_dns(flow):
        for message in select(flow):
            yield str(message).encode("utf-8", "surrogateescape")
    elif is_relay(flow):
        relayed = flow.messages
    for piece in relayed:
        if from_client is None or piece.from_client is from_client:
            yield piece.content


def anywhere(regex: str) -> Predicate:
    """`~any`: URL, header blocks, bodies, messages and comment."""
    parts = (url, text(comment), headers(both), bodies(both))
    tests = [build(regex) for build in parts]

    def test(flow: Flow) -> bool:
        return any(part(flow) for part in tests)

    return test


# -- values in JSON bodies


def json_value(path: tuple[str | int | None, ...], regex: str | None) -> Predicate:
    """`~json`: a value at the path in one of the two bodies, which the pattern matches.

    Text is searched as it is, everything else in its JSON form (`true`, `12`, `{"a": 1}`).
    """
    search = text_search(regex or "", re.DOTALL)

    def test(flow: Flow) -> bool:
        if not is_http(flow):
            return False
        for message in both(flow):
            body = content(message)
            if not body:
                continue
            try:
                found = follow(json.loads(body), path)
                if any(search(_shown(value)) is not None for value in found):
                    return True
            except (ValueError, RecursionError):  # not JSON, or nested beyond reading
                continue
        return False

    return test


def column_parts(argument: str) -> tuple[str, str]:
    """Name and pattern of `~col name=regex`; no pattern: whether there is a value."""
    name, equals, regex = argument.partition("=")
    return name.strip(), regex if equals else ""


def column_value(argument: str) -> Predicate:
    """`~col`: the value that a column of the user's has for the flow, which a pattern matches.

    Text is searched as it is, everything else as Python prints it.
    """
    name, regex = column_parts(argument)
    search = text_search(regex, re.DOTALL)

    def test(flow: Flow) -> bool:
        value = computed.value(name, flow)
        return value is not None and search(str(value)) is not None

    return test


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# -- numbers; None where the flow has no such number, and then no comparison holds


def status(flow: Flow) -> float | None:
    """`~c`: the response's status."""
    if not is_http(flow) or flow.response is None:
        return None
    return flow.response.status_code


def size(select: Select) -> Callable[[Flow], float | None]:
    """`~size`, `~sizeq`, `~sizes`: bytes of the bodies as sent, together; missing ones left out."""

    def number(flow: Flow) -> float | None:
        if not is_http(flow):
            return None
        sizes = [size for size in map(_size, select(flow)) if size is not None]
        return sum(sizes) if sizes else None

    return number


def _size(message: Message) -> int | None:
    known = message.body_size  # without reading a body that lies on disk
    if known:
        return known
    try:
        return None if message.raw_content is None else 0
    except OSError:
        return None


def duration(flow: Flow) -> float | None:
    """`~dur`: seconds from the first byte of the request to the last of the response."""
    return flow.duration if is_http(flow) else None


def ttfb(flow: Flow) -> float | None:
    """`~ttfb`: seconds from the first byte of the request to the first of the response."""
    return flow.ttfb if is_http(flow) else None


def cell(flow: Flow) -> float | None:
    """`~cell`: the number of the notebook cell that caused the flow."""
    number = flow.metadata.get("cell")
    return number if isinstance(number, int) else None


def began(flow: Flow) -> float | None:
    """`~since`: when the flow began, Unix seconds."""
    return flow.request.timestamp_start if is_http(flow) else flow.timestamp_created
