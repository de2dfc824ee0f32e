"""Brings a flow of an older mitmproxy file to the current layout, one version at a time.

A flow in a file is a dictionary that names the version of its layout: until 2.0 the program's
version as a list, later a number of its own. Each step here is one change of the layout; they are
applied in turn. Those of 0.8 to 0.10, which no mitmproxy can convert, come first.

Whether a text stands as bytes or as text changed with nearly every version and is left to
`nbproxy.formats.mitm_import`, which takes both everywhere.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nbproxy.errors import FormatError
from nbproxy.formats.pem import pem_of

if TYPE_CHECKING:
    from collections.abc import Callable

State: TypeAlias = dict[str, Any]
Version: TypeAlias = "int | tuple[int, ...]"

CURRENT: Final = 21
"""What mitmproxy 11 and 12 write, and so do we."""

OLDEST: Final = (0, 8)

_MAX_HANDSHAKES: Final = 1000
_NAMESPACE: Final = uuid.UUID("5f6e6270-726f-7879-8000-636f6e6e6563")


class Upgrader:
    """Upgrades the flows of one file, in order: WebSockets were once two records in it."""

    def __init__(self) -> None:
        self._handshakes: OrderedDict[str, State] = OrderedDict()

    def upgrade(self, state: Any) -> State:
        """The same flow in the current layout; what was given stays as it is.

        Raises:
            FormatError: It is no flow, or of a version that is not known.
            KeyError, TypeError, ValueError, AttributeError: Its layout is not that of its version.
        """
        if type(state) is not dict:
            raise FormatError(f"a flow is a dictionary, not {_kind(state)}")
        found: State = state
        if found.get("version") == CURRENT:
            return found
        version = _version(found)
        current = _own(found)
        while version != CURRENT:
            step = _STEPS.get(version)
            if step is None:
                raise _unknown(version)
            version, change = step
            if version == 12:
                current = self._merge_websocket(current)
            elif change is not None:
                change(current)
        return current

    def _merge_websocket(self, state: State) -> State:
        """11 to 12: messages move into the flow of the handshake, which may itself be missing."""
        metadata = state["metadata"]
        if "websocket" in metadata:
            self._handshakes[_text(state["id"])] = _own(state)
            if len(self._handshakes) > _MAX_HANDSHAKES:
                self._handshakes.popitem(last=False)
        if "websocket_handshake" not in metadata:
            state["websocket"] = None
            return state
        handshake = self._handshakes.pop(_text(metadata["websocket_handshake"]), None)
        flow = _stand_in(state) if handshake is None else handshake
        flow["id"] = state["id"]
        flow["metadata"] = {
            **flow["metadata"],
            "duplicated": "a WebSocket's messages and its handshake were two records in the file; "
            "this flow has both, the handshake also stands alone",
        }
        sender = state["close_sender"]
        flow["websocket"] = {
            "messages": tuple(
                (kind, from_client, _bytes(content), timestamp, dropped)
                for kind, from_client, content, timestamp, dropped in state["messages"]
            ),
            "closed_by_client": None if sender is None else _text(sender) == "client",
            "close_code": state["close_code"],
            "close_reason": state["close_reason"],
            "timestamp_end": state["server_conn"].get("timestamp_end"),
        }
        return flow


def _version(state: State) -> Version:
    found = state.get("version")
    if type(found) is int:
        return found
    if type(found) is tuple and len(found) >= 2 and all(type(part) is int for part in found):
        return found[:2]
    if found is None:
        raise FormatError("this is no flow of a mitmproxy file: it names no version")
    raise FormatError(f"a version should stand here, not {_kind(found)}")


def _unknown(version: Version) -> FormatError:
    if isinstance(version, int):
        newer = version > CURRENT
        name = f"version {version}"
    else:
        newer = version > (3, 0)
        name = f"mitmproxy {'.'.join(map(str, version))}"
    if newer:
        return FormatError(
            f"written in the layout of {name}, which is newer than all that is known here "
            f"(up to {CURRENT}); a newer nbproxy may read it"
        )
    return FormatError(
        f"written in the layout of {name}, which cannot be read: the oldest that can be "
        f"is that of mitmproxy {OLDEST[0]}.{OLDEST[1]}"
    )


def _kind(value: object) -> str:
    return {tuple: "a list", dict: "a dictionary", str: "text", type(None): "nothing"}.get(
        type(value), f"of type {type(value).__name__}"
    )


def _own(state: State) -> State:
    """A copy whose dictionaries may be changed."""
    return {key: _own(value) if type(value) is dict else value for key, value in state.items()}


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> Any:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _servers(state: State) -> list[State]:
    """The server connection, and those it goes through."""
    found = []
    server = state["server_conn"]
    while server is not None:
        found.append(server)
        server = server.get("via")
    return found


def _connections(state: State) -> list[State]:
    return [state["client_conn"], *_servers(state)]


def _messages(state: State) -> list[State]:
    """Request and response, as far as they are there: interrupted flows have no response."""
    return [state[name] for name in ("request", "response") if state.get(name) is not None]


def _rename(state: State, old: str, new: str, default: Any = None) -> None:
    state[new] = state.pop(old, default)


def _to_09(state: State) -> None:
    """Messages of 0.8 had one time, and no version."""
    for message in _messages(state):
        message["timestamp_start"] = message["timestamp_end"] = message.pop("timestamp")
        message["httpversion"] = (1, 1)
    if (response := state.get("response")) is not None:
        response["cert"] = pem_of(der) if (der := response.pop("der_cert", None)) else None


def _to_011(state: State) -> None:
    """A flow becomes what holds request, response and connections; they hung on the request."""
    request, response = state["request"], state.get("response")
    client = request.pop("client_conn")
    connected = request.pop("tcp_setup_timestamp", None)
    secured = request.pop("ssl_setup_timestamp", None)
    ip = request.pop("ip", None)
    encrypted = _text(request["scheme"]) == "https"
    source = client["address"] if client is not None else (ip, 0) if ip else None
    request.update(form_in=b"relative", is_replay=client is None)
    state.update(
        type="http",
        id=_new_id("flow", request["timestamp_start"], request["host"], request["path"]),
        intercepted=False,
        client_conn={
            "address": source,
            "clientcert": None,
            "ssl_established": encrypted,
            "timestamp_start": None,
            "timestamp_end": None,
            "timestamp_ssl_setup": None,
        },
        server_conn={
            "address": (request["host"], request["port"]),
            "source_address": None,
            "cert": None if response is None else response.pop("cert", None),
            "sni": request["host"] if encrypted else None,
            "ssl_established": encrypted,
            "timestamp_start": connected,
            "timestamp_end": None,
            "timestamp_tcp_setup": connected,
            "timestamp_ssl_setup": secured,
        },
    )


def _to_014(state: State) -> None:
    _rename(state["request"], "form_in", "first_line_format")
    for message in _messages(state):
        major, minor = message.pop("httpversion")
        message["http_version"] = b"HTTP/%d.%d" % (major, minor)
        if message["content"] == 0:  # how a body that was not kept was written
            message["content"] = None
    if (response := state.get("response")) is not None:
        _rename(response, "code", "status_code")
        _rename(response, "content", "body")
    state["server_conn"].pop("state", None)
    state["server_conn"]["via"] = None


def _to_016(state: State) -> None:
    for message in _messages(state):
        if "body" in message:
            _rename(message, "body", "content")
        if message.get("content") == 0:
            message["content"] = None
    if (response := state.get("response")) is not None:
        _rename(response, "msg", "reason")
    state["request"].pop("form_out", None)


def _to_017(state: State) -> None:
    state["server_conn"]["peer_address"] = None


def _to_018(state: State) -> None:
    for server in _servers(state):
        _rename(server, "peer_address", "ip_address")
    state["marked"] = False


def _to_1(state: State) -> None:
    state.pop("stickyauth", None)
    state.pop("stickycookie", None)
    client = state["client_conn"]
    for name in ("sni", "alpn_proto_negotiated", "cipher_name", "tls_version"):
        client.setdefault(name, None)
    for server in _servers(state):
        server.setdefault("alpn_proto_negotiated", None)
    state.setdefault("mode", "regular")
    state.setdefault("metadata", {})


def _to_2(state: State) -> None:
    for connection in _connections(state):
        for name in ("address", "source_address", "ip_address"):
            if type(wrapped := connection.get(name)) is dict:
                connection[name] = wrapped["address"]


def _to_3(state: State) -> None:
    state["client_conn"]["mitmcert"] = None
    for server in _servers(state):
        server["tls_version"] = None


def _to_5(state: State) -> None:
    """Connections get ids: the same one for the same time and address."""
    client = state["client_conn"]
    client["id"] = _new_id("client", client["timestamp_start"], client["address"])
    for server in _servers(state):
        place = server.get("source_address") or server.get("address")
        server["id"] = _new_id("server", server["timestamp_start"], place)


def _new_id(*parts: Any) -> str:
    return str(uuid.uuid5(_NAMESPACE, repr(parts)))


def _to_6(state: State) -> None:
    for connection in _connections(state):
        _rename(connection, "ssl_established", "tls_established")
        _rename(connection, "timestamp_ssl_setup", "timestamp_tls_setup")


def _to_8(state: State) -> None:
    for message in _messages(state):
        message.setdefault("trailers", None)


def _to_9(state: State) -> None:
    replayed = None
    for name in ("request", "response"):
        message = state.get(name)
        if message is not None and message.pop("is_replay", False):
            replayed = name
    state["is_replay"] = replayed
    if (request := state.get("request")) is not None:
        request.pop("first_line_format", None)
        request["authority"] = b""


def _to_10(state: State) -> None:
    for connection in _connections(state):
        connection["error"] = None
        connection["tls"] = bool(connection["tls_established"])
        alpn = connection["alpn_proto_negotiated"]
        connection["alpn_offers"] = (alpn,) if alpn else ()
    client = state["client_conn"]
    client["sockname"] = ("", 0)
    _rename(client, "clientcert", "certificate_list")
    for server in _servers(state):
        _rename(server, "cert", "certificate_list")
        server["cipher_name"] = None
    for connection in _connections(state):
        certificate = connection["certificate_list"]
        connection["certificate_list"] = (certificate,) if certificate else ()


def _to_11(state: State) -> None:
    for connection in _connections(state):
        _rename(connection, "alpn_proto_negotiated", "alpn")
        connection["alpn_offers"] = connection.get("alpn_offers") or ()


def _to_13(state: State) -> None:
    state["marked"] = ":default:" if state["marked"] else ""


def _to_14(state: State) -> None:
    state["comment"] = ""
    response = state.get("response")
    if response is not None and response["timestamp_start"] is None:
        response["timestamp_start"] = state["request"]["timestamp_end"]
        if (end := state["request"]["timestamp_end"]) is not None:
            response["timestamp_end"] = end + 1


def _to_15(state: State) -> None:
    if (websocket := state.get("websocket")) is not None:
        websocket["messages"] = tuple((*message, False) for message in websocket["messages"])


def _to_16(state: State) -> None:
    started = state["client_conn"]["timestamp_start"]
    if (request := state.get("request")) is not None and "timestamp_start" in request:
        started = request["timestamp_start"]
    state["timestamp_created"] = started


def _to_18(state: State) -> None:
    state["client_conn"]["proxy_mode"] = "regular"


def _to_19(state: State) -> None:
    client, server = state["client_conn"], state["server_conn"]
    _rename(client, "address", "peername")
    _rename(client, "cipher_name", "cipher")
    if client["timestamp_start"] is None:
        client["timestamp_start"] = 0.0
    _rename(server, "ip_address", "peername")
    _rename(server, "source_address", "sockname")
    _rename(server, "cipher_name", "cipher")
    # until 9 a whole connection stood in `via`, of which nothing says how it was spoken to
    server["via"] = server.pop("via2", None)
    if server.get("sni") is True:
        address = server["address"]
        server["sni"] = address[0] if address else None


def _to_21(state: State) -> None:
    for connection in (state["client_conn"], state["server_conn"]):
        if _text(connection.get("tls_version")) == "QUIC":
            connection["tls_version"] = "QUICv1"


def _stand_in(record: State) -> State:
    """A handshake for a WebSocket whose own is not in the file."""
    started = record["client_conn"]["timestamp_start"]
    return {
        "type": "http",
        "client_conn": record["client_conn"],
        "server_conn": record["server_conn"],
        "error": record.get("error"),
        "intercepted": False,
        "is_replay": None,
        "marked": record.get("marked", False),
        "metadata": {},
        "request": {
            "host": "unknown",
            "port": 80,
            "method": b"GET",
            "scheme": b"http",
            "authority": b"",
            "path": b"/",
            "http_version": b"HTTP/1.1",
            "headers": (),
            "content": b"",
            "trailers": None,
            "timestamp_start": started,
            "timestamp_end": started,
        },
        "response": None,
    }


_STEPS: Final[dict[Version, tuple[Version, Callable[[State], None] | None]]] = {
    (0, 8): ((0, 9), _to_09),
    (0, 9): ((0, 10), None),
    (0, 10): ((0, 11), _to_011),
    (0, 11): ((0, 12), None),
    (0, 12): ((0, 13), None),
    (0, 13): ((0, 14), _to_014),
    (0, 14): ((0, 15), None),
    (0, 15): ((0, 16), _to_016),
    (0, 16): ((0, 17), _to_017),
    (0, 17): ((0, 18), _to_018),
    (0, 18): ((0, 19), None),
    (0, 19): ((1, 0), _to_1),
    (1, 0): ((2, 0), _to_2),
    (2, 0): ((3, 0), _to_3),
    (3, 0): (4, None),  # the numbering changed
    4: (5, _to_5),
    5: (6, _to_6),
    6: (7, None),
    7: (8, _to_8),
    8: (9, _to_9),
    9: (10, _to_10),
    10: (11, _to_11),
    11: (12, None),  # Upgrader._merge_websocket: it needs more than this flow
    12: (13, _to_13),
    13: (14, _to_14),
    14: (15, _to_15),
    15: (16, _to_16),
    16: (17, None),
    17: (18, _to_18),
    18: (19, _to_19),
    19: (20, None),
    20: (CURRENT, _to_21),
}
