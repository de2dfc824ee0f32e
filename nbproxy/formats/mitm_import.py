"""Flows of mitmproxy's states: dictionaries in the current layout, each value of which is checked.

A state comes from a file (`nbproxy.formats.mitm`) and may hold anything. What has another type, or
is out of its bounds, is an error that names it; text may stand as bytes, and bytes as text.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from nbproxy.errors import FormatError
from nbproxy.formats.pem import der_of
from nbproxy.model.connection import Client, Connection, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Message, Request, Response
from nbproxy.model.websocket import WebSocketData, WebSocketMessage

if TYPE_CHECKING:
    from nbproxy.formats.mitm_upgrade import State
    from nbproxy.model.connection import Address

    C = TypeVar("C", bound=Connection)

ORIGINAL_ID: Final = "original_id"
"""Key of a flow's metadata: its id in the file it was read from."""

_OTHER_KINDS: Final = frozenset({"tcp", "udp", "dns"})
# Years 1 to 9999, roughly: what a date can be made of.
_TIMES: Final = (-62_000_000_000, 253_000_000_000)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_BREAKS = re.compile(rb"[\x00\r\n]+[ \t]*")
_HAS_BREAK = re.compile(rb"[\x00\r\n]").search
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z").match
_FOREIGN: Final = uuid.UUID("5f6e6270-726f-7879-8000-666f72656967")
_SHARED: Final = 256


def kind_of(state: State) -> str:
    """What a flow is: "http", "tcp", "udp" or "dns".

    Raises:
        FormatError: Something else.
    """
    kind = _text(state, "type")
    if kind != "http" and kind not in _OTHER_KINDS:
        raise FormatError(f"a flow of an unknown type: {kind:.40}")
    return kind


# -- values of a state, checked


def _wrong(name: str, wanted: str, found: object) -> FormatError:
    return FormatError(f"in the flow that begins here, {name} is {found!r:.60}, not {wanted}")


def _text(state: State, name: str) -> str:
    """Text, which may stand there as bytes."""
    found = state[name]
    if type(found) is bytes:
        return found.decode("utf-8", "surrogateescape")
    if type(found) is str:
        return found
    raise _wrong(name, "text", found)


def _text_or_none(state: State, name: str) -> str | None:
    return None if state.get(name) is None else _text(state, name)


def _token(state: State, name: str) -> str:
    """Text that goes into a first line: a line break in it would forge another."""
    text = _text(state, name)
    if _CONTROL(text):
        raise _wrong(name, "free of control characters", text)
    return text


def _bytes(name: str, found: object) -> bytes:
    if type(found) is bytes:
        return found
    if type(found) is str:
        return found.encode("utf-8", "surrogateescape")
    raise _wrong(name, "bytes", found)


def _flag(state: State, name: str) -> bool:
    found = state.get(name)
    if found is None or type(found) is bool:
        return bool(found)
    raise _wrong(name, "true or false", found)


def _time(state: State, name: str) -> float | None:
    found = state.get(name)
    if found is None:
        return None
    if (type(found) is float or type(found) is int) and _TIMES[0] < found < _TIMES[1]:
        return found
    raise _wrong(name, "a time", found)


def _whole(name: str, found: object, low: int, high: int) -> int:
    if type(found) is int and low <= found <= high:
        return found
    raise _wrong(name, f"a number from {low} to {high}", found)


def _address(state: State, name: str) -> Address | None:
    """Host and port; what IPv6 adds to them (flow label, scope) is left out."""
    found = state.get(name)
    if found is None:
        return None
    if type(found) is not tuple or len(found) < 2:
        raise _wrong(name, "an address", found)
    host, port = found[0], found[1]
    if type(host) is bytes:
        host = host.decode("utf-8", "surrogateescape")
    if type(host) is not str or _CONTROL(host):
        raise _wrong(name, "an address", found)
    _whole(name, port, 0, 65535)
    return (host, port) if host or port else None


def _headers(name: str, found: object) -> Headers:
    if type(found) is not tuple:
        raise _wrong(name, "a list of header fields", found)
    for pair in found:
        if type(pair) is not tuple or len(pair) != 2:
            raise _wrong(name, "a list of pairs", pair)
        key, value = pair
        if type(key) is not bytes or type(value) is not bytes:
            return _headers(name, tuple((_bytes(name, k), _bytes(name, v)) for k, v in found))
        if _HAS_BREAK(value) or _HAS_BREAK(key):
            return Headers.from_wire(
                tuple((_BREAKS.sub(b"", k), _BREAKS.sub(b" ", v)) for k, v in found)
            )
    return Headers.from_wire(found)


def _thaw(value: Any) -> Any:
    """Metadata as handlers left it: lists, where reading gives tuples."""
    if type(value) is tuple:
        return [_thaw(item) for item in value]
    if type(value) is dict:
        return {key: _thaw(item) for key, item in value.items()}
    return value


# -- states to flows


class Builder:
    """Makes flows of the states of one file; flows share a connection where it is the same one."""

    def __init__(self) -> None:
        self._connections: OrderedDict[int, tuple[State, Any]] = OrderedDict()

    def flow(self, state: State) -> HTTPFlow:
        """The flow that a state in the current layout stands for."""
        request = _request(state["request"])
        client = self._shared(Client, _client, state["client_conn"])
        server = self._shared(Server, _server, state["server_conn"])
        flow = HTTPFlow(request, client, server)
        if (answer := state.get("response")) is not None:
            flow.response = _response(answer)
        if (websocket := state.get("websocket")) is not None:
            flow.websocket = _websocket(websocket)
        if (error := state.get("error")) is not None:
            flow.error = Error(_text(error, "msg"), _time(error, "timestamp") or 0.0)
        metadata = state.get("metadata")
        if metadata is not None and type(metadata) is not dict:
            raise _wrong("metadata", "a dictionary", metadata)
        flow.metadata = {**_thaw(metadata or {}), ORIGINAL_ID: _text(state, "id")}
        flow.comment = _text_or_none(state, "comment") or ""
        marked = state.get("marked")
        flow.marked = marked if type(marked) is bool else _text_or_none(state, "marked") or ""
        flow.intercepted = _flag(state, "intercepted")
        replayed = _text_or_none(state, "is_replay")
        if replayed not in {None, "request", "response"}:
            raise _wrong("is_replay", "request or response", replayed)
        flow.is_replay = replayed
        created = _time(state, "timestamp_created")
        flow.timestamp_created = request.timestamp_start if created is None else created
        return flow

    def _shared(self, kind: type[C], build: Any, state: object) -> C:
        """The connection of a state; the reader gives equal states as the same object."""
        if type(state) is not dict:
            raise _wrong("a connection", "a dictionary", state)
        known = self._connections.get(id(state))
        if known is not None and type(known[1]) is kind:
            return known[1]
        made: C = build(state)
        self._connections[id(state)] = (state, made)  # held, so that its id stays its own
        if len(self._connections) > _SHARED:
            self._connections.popitem(last=False)
        return made


def _message(message: Message, state: State) -> None:
    """What requests and responses share."""
    trailers = state.get("trailers")
    if trailers is not None:
        message.trailers = _headers("trailers", trailers)
    message.timestamp_start = _time(state, "timestamp_start") or 0.0
    message.timestamp_end = _time(state, "timestamp_end")


def _content(state: State) -> bytes | None:
    found = state["content"]
    return None if found is None else _bytes("content", found)


def _request(state: State) -> Request:
    request = Request(
        _token(state, "method"),
        _token(state, "scheme"),
        _token(state, "host"),
        _whole("port", state["port"], 0, 65535),
        _token(state, "path"),
        headers=_headers("headers", state["headers"]),
        content=_content(state),
        authority=_token(state, "authority") if "authority" in state else "",
        http_version=_token(state, "http_version"),
    )
    _message(request, state)
    return request


def _reason(found: object) -> str:
    """A reason phrase, which is read as Latin-1 (RFC 9112, 4: obs-text)."""
    text = found if type(found) is str else _bytes("reason", found).decode("latin-1")
    return _token({"reason": text}, "reason")


def _response(state: State) -> Response:
    response = Response(
        _whole("status_code", state["status_code"], 0, 999),
        reason=_reason(state["reason"]),
        headers=_headers("headers", state["headers"]),
        content=_content(state),
        http_version=_token(state, "http_version"),
    )
    _message(response, state)
    return response


def _websocket(state: State) -> WebSocketData:
    messages = []
    for kind, from_client, content, timestamp, dropped, injected in state["messages"]:
        times = {"timestamp": timestamp}
        flags = {"from_client": from_client, "dropped": dropped, "injected": injected}
        messages.append(
            WebSocketMessage(
                _whole("the type of a message", kind, 1, 2),
                _flag(flags, "from_client"),
                _bytes("the content of a message", content),
                _time(times, "timestamp") or 0.0,
                _flag(flags, "dropped"),
                _flag(flags, "injected"),
            )
        )
    code = state.get("close_code")
    closed = state.get("closed_by_client")
    return WebSocketData(
        messages,
        None if closed is None else _flag(state, "closed_by_client"),
        None if code is None else _whole("close_code", code, 0, 65535),
        _text_or_none(state, "close_reason"),
        _time(state, "timestamp_end"),
    )


def _connection(connection: Connection, state: State) -> None:
    """What both connections share."""
    connection.id = _number(_text(state, "id"))
    connection.peername = _address(state, "peername")
    connection.sockname = _address(state, "sockname")
    connection.timestamp_start = _time(state, "timestamp_start")
    connection.timestamp_end = _time(state, "timestamp_end")
    connection.error = _text_or_none(state, "error")
    if not _flag(state, "tls"):
        return
    connection.tls = True
    connection.timestamp_tls_setup = _time(state, "timestamp_tls_setup")
    connection.tls_version = _text_or_none(state, "tls_version")
    connection.cipher = _text_or_none(state, "cipher")
    connection.alpn = _text_or_none(state, "alpn") or None
    connection.alpn_offers = tuple(
        _bytes("alpn_offers", offer).decode("utf-8", "surrogateescape")
        for offer in state.get("alpn_offers") or ()
    )
    connection.sni = _text_or_none(state, "sni")
    connection.certificate_list = tuple(
        der_of(_bytes("certificate_list", pem)) for pem in state.get("certificate_list") or ()
    )


def _client(state: State) -> Client:
    client = Client()
    _connection(client, state)
    client.timestamp_start = client.timestamp_start or None  # 0.0 is how nothing is written
    return client


def _server(state: State) -> Server:
    server = Server(_address(state, "address"))
    _connection(server, state)
    server.timestamp_tcp_setup = _time(state, "timestamp_tcp_setup")
    via = state.get("via")
    if via is not None:
        scheme, place = via
        address = _address({"via": place}, "via")
        if address is not None:
            server.via = (_text({"via": scheme}, "via"), address)
    return server


def _number(identity: str) -> int:
    """The number of a connection whose id in the file is a UUID, or something else."""
    if _UUID(identity):
        return int(identity.replace("-", ""), 16)
    return uuid.uuid5(_FOREIGN, identity.encode("utf-8", "replace").decode()).int
