"""mitmproxy's files of flows: every version since 0.8 is read, the current one is written.

A file is one typed netstring a flow (`nbproxy.formats.tnetstring`), so that flows can be appended
to it, and what stands before a damaged place can be read. A flow is brought to the current layout
first (`nbproxy.formats.mitm_upgrade`).

What the model has no place for is not kept: the state before the first change ("backup"), the
certificate that was shown to the client, the ciphers that were offered, the proxy's mode. A flow's
id there is a UUID; it is found in `flow.metadata["original_id"]`, and used again when the flow is
written. Connections keep theirs, as a number.

In header fields of a file there may be line breaks, folded ones or forged ones; each becomes a
blank (RFC 9112, 5.2), so that a flow that is sent again has the fields that it shows.
"""

from __future__ import annotations

import io
import re
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from nbproxy.errors import FormatError
from nbproxy.formats import tnetstring
from nbproxy.formats.mitm_upgrade import CURRENT, Upgrader
from nbproxy.formats.notes import Notes
from nbproxy.formats.pem import der_of, looks_like_certificate, pem_of
from nbproxy.model.connection import Client, Connection, Server
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Message, Request, Response
from nbproxy.model.websocket import WebSocketData, WebSocketMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbproxy.formats.mitm_upgrade import State
    from nbproxy.formats.tnetstring import Readable
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
_NAMESPACE: Final = uuid.uuid4()  # ids of this process's own flows and connections begin here
_FOREIGN: Final = uuid.UUID("5f6e6270-726f-7879-8000-666f72656967")
_MAX_OWN_NUMBER: Final = 2**64  # what is above is a UUID as a number
_SHARED: Final = 256
_REMEMBERED: Final = 50_000  # ids that a writer knows: copies follow their originals sooner
# What mitmproxy's reader takes in these places; anything else would end its reading.
_TLS_VERSIONS: Final = frozenset(
    {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLSv0.9", "DTLSv1", "DTLSv1.2", "QUICv1"}
)
_VIA_SCHEMES: Final = frozenset(
    {"http", "https", "http3", "tls", "dtls", "tcp", "udp", "dns", "quic"}
)


class Writable(Protocol):
    """What is written to: a file opened in binary mode."""

    def write(self, data: bytes, /) -> object:
        """Take all of it."""
        ...


def read(file: Readable, notes: Notes | None = None) -> Iterator[HTTPFlow]:
    """The HTTP flows of a file, one by one; not more than one of them is held.

    Args:
        file: Opened in binary mode; read to its end, not closed.
        notes: Told of TCP, UDP and DNS flows, which are left out.

    Raises:
        FormatError: The file is damaged, or of an unknown version; the flows before that place
            have been given. `offset` counts from where reading began.
    """
    upgrader, builder = Upgrader(), _Builder()
    notes = Notes() if notes is None else notes
    for offset, state in tnetstring.read(file):
        try:
            current = upgrader.upgrade(state)
            kind = _kind(current)
            flow = builder.flow(current) if kind == "http" else None
        except FormatError as error:
            error.offset = offset
            raise
        except KeyError as error:
            raise FormatError(f"the flow that begins here has no {error}", offset=offset) from None
        except (AttributeError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(
                f"the flow that begins here is damaged: {error}", offset=offset
            ) from None
        if flow is None:
            notes.leave_out(f"{kind.upper()} flow")
        else:
            yield flow


def from_state(state: State) -> HTTPFlow:
    """The flow that a state of any version stands for; the inverse of `to_state`.

    Raises:
        FormatError: It is no state of an HTTP flow.
    """
    try:
        raw = tnetstring.write(state)
    except (TypeError, ValueError) as error:
        raise FormatError(f"this is no state of a flow: {error}") from None
    flows = list(read(io.BytesIO(raw)))
    if not flows:
        raise FormatError("this is no state of an HTTP flow")
    return flows[0]


def _kind(state: State) -> str:
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


class _Builder:
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


# -- flows to states


class Writer:
    """Writes flows to a file; may be used to append to one.

    Args:
        file: Opened in binary mode for writing or appending; not closed.
        notes: Told of what could not be written.
    """

    def __init__(self, file: Writable, notes: Notes | None = None) -> None:
        self._file = file
        self._notes = Notes() if notes is None else notes
        self._ids: OrderedDict[str, None] = OrderedDict()

    def write(self, flow: HTTPFlow) -> None:
        """Append a flow, in one piece.

        Raises:
            OSError: The file, or that of a large body, cannot be used.
        """
        state = to_state(flow, self._notes)
        # mitmproxy keeps the first of two flows with one id: a copy and its original are two
        if state["id"] in self._ids:
            state["id"] = str(uuid.uuid4())
        self._ids[state["id"]] = None
        if len(self._ids) > _REMEMBERED:
            self._ids.popitem(last=False)
        self._file.write(tnetstring.write(state))


def write(flows: Iterable[HTTPFlow], file: Writable, notes: Notes | None = None) -> None:
    """Write flows to a file opened in binary mode.

    Raises:
        OSError: The file cannot be written.
    """
    writer = Writer(file, notes)
    for flow in flows:
        writer.write(flow)


def to_state(flow: HTTPFlow, notes: Notes | None = None) -> State:
    """A flow in the current layout, as `nbproxy.formats.tnetstring.write` takes it."""
    notes = Notes() if notes is None else notes
    metadata = dict(flow.metadata)
    identity = metadata.pop(ORIGINAL_ID, None)
    if not isinstance(identity, str) or not identity:
        identity = _own_id("flow", flow.id)
    response, websocket, error = flow.response, flow.websocket, flow.error
    return {
        "version": CURRENT,
        "type": "http",
        "id": identity,
        "error": None if error is None else {"msg": error.msg, "timestamp": float(error.timestamp)},
        "intercepted": flow.intercepted,
        "is_replay": flow.is_replay,
        "marked": flow.marked,
        "metadata": _plain_metadata(metadata, notes),
        "comment": flow.comment,
        "timestamp_created": float(flow.timestamp_created),
        "client_conn": _client_state(flow.client_conn),
        "server_conn": _server_state(flow.server_conn),
        "backup": None,
        "request": _request_state(flow.request),
        "response": None if response is None else _response_state(response),
        "websocket": _websocket_state(websocket) if isinstance(websocket, WebSocketData) else None,
    }


def _own_id(kind: str, number: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind} {number}"))


def _plain_metadata(metadata: dict[str, Any], notes: Notes) -> State:
    """Metadata without what the format cannot say."""
    kept = {}
    for name, value in metadata.items():
        try:
            tnetstring.write({name: value})
        except (TypeError, ValueError):
            notes.leave_out("metadata value")
        else:
            kept[name] = value
    return kept


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _raw_reason(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return _raw(text)


def _message_state(message: Message) -> State:
    trailers = message.trailers
    return {
        "http_version": _raw(message.http_version),
        "headers": message.headers.fields,
        "content": message.raw_content,
        "trailers": None if trailers is None else trailers.fields,
        "timestamp_start": float(message.timestamp_start),
        "timestamp_end": _float(message.timestamp_end),
    }


def _request_state(request: Request) -> State:
    return {
        **_message_state(request),
        "host": request.host,
        "port": request.port,
        "method": _raw(request.method),
        "scheme": _raw(request.scheme),
        "authority": _raw(request.authority),
        "path": _raw(request.path),
    }


def _response_state(response: Response) -> State:
    return {
        **_message_state(response),
        "status_code": response.status_code,
        "reason": _raw_reason(response.reason),
    }


def _websocket_state(websocket: WebSocketData) -> State:
    return {
        "messages": [
            (m.type, m.from_client, m.content, float(m.timestamp), m.dropped, m.injected)
            for m in websocket.messages
        ],
        "closed_by_client": websocket.closed_by_client,
        "close_code": websocket.close_code,
        "close_reason": websocket.close_reason,
        "timestamp_end": _float(websocket.timestamp_end),
    }


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def connection_id(connection: Connection) -> str:
    """The UUID of a connection: that of the file it was read from, or one of this process."""
    number = connection.id
    if number < _MAX_OWN_NUMBER:
        return _own_id("connection", number)
    return str(uuid.UUID(int=number))


def _connection_state(connection: Connection) -> State:
    version = connection.tls_version
    return {
        "id": connection_id(connection),
        "peername": connection.peername,
        "sockname": connection.sockname,
        "transport_protocol": "tcp",
        "error": connection.error,
        "tls": connection.tls,
        "certificate_list": [
            pem_of(der) for der in connection.certificate_list if looks_like_certificate(der)
        ],
        "alpn": None if connection.alpn is None else _raw(connection.alpn),
        "alpn_offers": [_raw(offer) for offer in connection.alpn_offers],
        "cipher": connection.cipher,
        "cipher_list": [],
        "tls_version": version if version in _TLS_VERSIONS else None,
        "sni": connection.sni,
        "timestamp_start": _float(connection.timestamp_start),
        "timestamp_end": _float(connection.timestamp_end),
        "timestamp_tls_setup": _float(connection.timestamp_tls_setup),
    }


def _client_state(client: Client) -> State:
    state = _connection_state(client)
    for name in ("peername", "sockname"):
        state[name] = state[name] or ("", 0)
    state["timestamp_start"] = state["timestamp_start"] or 0.0
    return {**state, "mitmcert": None, "proxy_mode": "regular"}


def _server_state(server: Server) -> State:
    via = server.via
    return {
        **_connection_state(server),
        "address": server.address,
        "via": via if via is not None and via[0] in _VIA_SCHEMES else None,
        "timestamp_tcp_setup": _float(server.timestamp_tcp_setup),
    }
