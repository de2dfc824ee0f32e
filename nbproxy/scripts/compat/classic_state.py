"""Flows of eras A to C as plain data, in the layout of their own files, and back.

`get_state` and its like: what a release gave for a flow was what it wrote to a file. What comes
back may be of any layout that a file can have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nbproxy.formats import mitm
from nbproxy.formats.pem import pem_of
from nbproxy.scripts.compat.views import text_id

if TYPE_CHECKING:
    from nbproxy.model.connection import Address, Client, Connection, Server
    from nbproxy.model.flow import Error, HTTPFlow
    from nbproxy.model.message import Message, Request, Response

    State = dict[str, Any]

_VERSIONS: Final = {"A": (0, 10), "B": (0, 13), "C": (0, 17)}
_MISSING: Final = {"A": 0, "B": 0, "C": None}


def flow_state(flow: HTTPFlow, era: str) -> State:
    """A flow, as its era wrote it to files."""
    state: State = {
        "version": _VERSIONS[era],
        "request": request_state(flow.request, era),
        "response": None if flow.response is None else response_state(flow.response, era),
        "error": error_state(flow.error),
    }
    if era == "A":
        state["request"]["client_conn"] = _client_a(flow)
        state["request"]["ip"] = (flow.client_conn.peername or ("", 0))[0]
        state["request"]["tcp_setup_timestamp"] = flow.server_conn.timestamp_tcp_setup
        state["request"]["ssl_setup_timestamp"] = flow.server_conn.timestamp_tls_setup
        if state["response"] is not None:
            state["response"]["cert"] = _certificate(flow.server_conn)
        return state
    for name, replayed in (("request", "request"), ("response", "response")):
        if state[name] is not None:
            state[name]["is_replay"] = flow.is_replay == replayed
    return {
        **state,
        "type": "http",
        "id": text_id(flow.id),
        "intercepted": flow.intercepted,
        "client_conn": _client(flow.client_conn),
        "server_conn": _server(flow.server_conn, era),
    }


def error_state(error: Error | None) -> State | None:
    """An error."""
    return None if error is None else {"msg": error.msg, "timestamp": float(error.timestamp)}


def _message(message: Message, era: str) -> State:
    content = message.raw_content
    state: State = {
        "headers": [[name, value] for name, value in message.headers.fields],
        "content": _MISSING[era] if content is None else content,
        "timestamp_start": message.timestamp_start,
        "timestamp_end": message.timestamp_end,
    }
    if era == "C":
        state["http_version"] = message.http_version.encode()
    else:
        numbers = message.http_version.removeprefix("HTTP/").split(".")
        state["httpversion"] = tuple(int(n) if n.isdigit() else 1 for n in (*numbers, "0")[:2])
    return state


def request_state(request: Request, era: str) -> State:
    """A request."""
    state = _message(request, era)
    for name in ("method", "scheme", "host", "path"):
        state[name] = getattr(request, name)
    state["port"] = request.port
    if era != "A":
        state["first_line_format" if era == "C" else "form_in"] = request.first_line_format
    return state


def response_state(response: Response, era: str) -> State:
    """A response."""
    names = ("status_code", "reason") if era == "C" else ("code", "msg")
    return {
        **_message(response, era),
        names[0]: response.status_code,
        names[1]: response.reason,
    }


def _wrapped(address: Address | None) -> State | None:
    return None if address is None else {"address": address, "use_ipv6": ":" in address[0]}


def _certificate(connection: Connection) -> bytes | None:
    chain = connection.certificate_list
    return pem_of(chain[0]) if chain else None


def _client_a(flow: HTTPFlow) -> State | None:
    if flow.is_replay == "request":
        return None
    client = flow.client_conn
    return {"address": client.peername, "requestcount": client.requests, "error": client.error}


def _client(client: Client) -> State:
    return {
        "address": _wrapped(client.peername),
        "clientcert": _certificate(client),
        "ssl_established": client.tls_established,
        "timestamp_start": client.timestamp_start,
        "timestamp_end": client.timestamp_end,
        "timestamp_ssl_setup": client.timestamp_tls_setup,
    }


def _server(server: Server, era: str) -> State:
    state: State = {
        "address": _wrapped(server.address),
        "source_address": _wrapped(server.sockname),
        "cert": _certificate(server),
        "sni": server.sni,
        "ssl_established": server.tls_established,
        "timestamp_start": server.timestamp_start,
        "timestamp_end": server.timestamp_end,
        "timestamp_tcp_setup": server.timestamp_tcp_setup,
        "timestamp_ssl_setup": server.timestamp_tls_setup,
    }
    if era == "C":
        return {**state, "via": None, "peer_address": _wrapped(server.peername)}
    return {**state, "state": []}


def load(flow: HTTPFlow, state: Any) -> None:
    """Make a flow what a state says, connections left out: those are what they are.

    Raises:
        FormatError: It is no state of a flow.
    """
    made = mitm.from_state(state)
    identity = made.metadata.pop(mitm.ORIGINAL_ID, "")
    flow.request, flow.response, flow.error = made.request, made.response, made.error
    flow.websocket, flow.is_replay = made.websocket, made.is_replay
    flow.metadata, flow.comment, flow.marked = made.metadata, made.comment, made.marked
    if identity != text_id(flow.id):
        flow.metadata[mitm.ORIGINAL_ID] = identity
