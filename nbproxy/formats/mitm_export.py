"""mitmproxy's states of flows: dictionaries in the current layout, as its own reader takes them.

`nbproxy.formats.mitm` writes them to files. Our flows and connections have numbers, mitmproxy's
have UUIDs: what was read from a file keeps that of the file, any other gets one of this process.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from nbproxy.formats import tnetstring
from nbproxy.formats.mitm_import import ORIGINAL_ID
from nbproxy.formats.mitm_upgrade import CURRENT
from nbproxy.formats.notes import Notes
from nbproxy.formats.pem import looks_like_certificate, pem_of
from nbproxy.model.websocket import WebSocketData

if TYPE_CHECKING:
    from nbproxy.formats.mitm_upgrade import State
    from nbproxy.model.connection import Client, Connection, Server
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Message, Request, Response

_NAMESPACE: Final = uuid.uuid4()  # ids of this process's own flows and connections begin here
_MAX_OWN_NUMBER: Final = 2**64  # what is above is a UUID as a number
# What mitmproxy's reader takes in these places; anything else would end its reading.
_TLS_VERSIONS: Final = frozenset(
    {"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLSv0.9", "DTLSv1", "DTLSv1.2", "QUICv1"}
)
_VIA_SCHEMES: Final = frozenset(
    {"http", "https", "http3", "tls", "dtls", "tcp", "udp", "dns", "quic"}
)


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
