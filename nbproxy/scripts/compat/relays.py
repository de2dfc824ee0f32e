"""WebSockets and TCP streams as scripts since 0.18 know them.

Until 6 a WebSocket was a flow of its own beside the HTTP flow of its handshake; here it is a second
view of the one real flow. Since 7 its messages are in `flow.websocket`, which is ours as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from nbproxy.model import tcp, websocket
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request
from nbproxy.scripts.compat.flows import Client, Flow, Server
from nbproxy.scripts.compat.messages import OldWebSocketMessage
from nbproxy.scripts.compat.tolerant import TolerantBytes, to_bytes
from nbproxy.scripts.compat.views import View, real
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable

# RFC 6455, 7.4.1, in the words of the releases until 6
_CLOSE_MESSAGES: Final = {
    1000: "NORMAL_CLOSURE",
    1001: "GOING_AWAY",
    1002: "PROTOCOL_ERROR",
    1003: "UNSUPPORTED_DATA",
    1005: "NO_STATUS_RCVD",
    1006: "ABNORMAL_CLOSURE",
    1007: "INVALID_FRAME_PAYLOAD_DATA",
    1008: "POLICY_VIOLATION",
    1009: "MESSAGE_TOO_BIG",
    1010: "MANDATORY_EXTENSION",
    1011: "INTERNAL_ERROR",
    1015: "TLS_HANDSHAKE_FAILED",
}


def shower(event: str, era: Era) -> Callable[[Any], Any]:
    """Makes, of a flow that a hook gives, what a script of an era gets for an event."""
    if event.startswith("tcp_"):
        return lambda flow: TCPFlow.of(flow, era)
    if event in _OF_WEBSOCKETS and era <= Era.F:
        return lambda flow: WebSocketFlow.of(flow, era)
    return lambda flow: Flow.of(flow, era)


_OF_WEBSOCKETS: Final = frozenset(
    ("websocket_start", "websocket_message", "websocket_end", "websocket_error")
)


def asks_for_websocket(flow: Any) -> bool:
    """Whether a flow that is under way begins a WebSocket: `websocket_handshake`, until 6."""
    wanted = flow.request.headers.get("upgrade", "")
    return bool(flow.live and wanted.lower() == "websocket")


def has_failed(flow: Any) -> bool:
    """Whether a WebSocket ended with an error: `websocket_error`, until 6."""
    return flow.error is not None


def of_websocket(era: Era) -> dict[str, Any]:
    """What is in an era's `mitmproxy.websocket`."""
    if era <= Era.F:
        flow = WebSocketFlow.bound(era)
        return {"WebSocketFlow": flow, "WebSocketMessage": WebSocketMessage}
    return {name: getattr(websocket, name) for name in ("WebSocketData", "WebSocketMessage")}


def of_tcp(era: Era) -> dict[str, Any]:
    """What is in an era's `mitmproxy.tcp`."""
    message = TCPMessage if era <= Era.F else tcp.TCPMessage
    return {"TCPFlow": TCPFlow.bound(era), "TCPMessage": message}


class WebSocketMessage(OldWebSocketMessage):
    """`websocket.WebSocketMessage` until 6: the content of a text message is text."""

    def __init__(
        self,
        type: int,  # noqa: A002 - mitmproxy's signature
        from_client: bool,
        content: Any,
        timestamp: float | None = None,
        killed: bool = False,
    ) -> None:
        raw = content.encode() if isinstance(content, str) else bytes(content)
        own = websocket.WebSocketMessage(int(type), from_client, raw, timestamp or 0.0, killed)
        super().__init__(own)

    @classmethod
    def of(cls, own: websocket.WebSocketMessage) -> WebSocketMessage:
        """The view of a real message."""
        self = cls.__new__(cls)
        OldWebSocketMessage.__init__(self, own)
        return self

    def __repr__(self) -> str:
        kind = "text" if self.type == websocket.TEXT else "binary"
        return f"{kind} message: {self.content!r}"


class _Relayed(View):
    """What flows of other kinds have as HTTP flows do."""

    id: Any = Flow.id
    client_conn: Any = Flow.client_conn
    server_conn: Any = Flow.server_conn
    error: Any = Flow.error
    marked: Any = Flow.marked
    reply: Any = Flow.reply
    kill: Any = Flow.kill
    intercept: Any = Flow.intercept
    resume: Any = Flow.resume
    accept_intercept: Any = Flow.accept_intercept

    @property
    def live(self) -> bool:
        """Whether it is under way."""
        return bool(self._real.live)

    def copy(self) -> Any:
        """An independent flow with the same content."""
        return type(self).of(self._real.copy(), self._era)


class WebSocketFlow(_Relayed):
    """`websocket.WebSocketFlow` (1.0 to 6): what was said, and how it ended."""

    shown = "a WebSocket flow"
    type = "websocket"
    hints: ClassVar = {
        "request": "the request that began it is `flow.handshake_flow.request`",
        "response": "the response that began it is `flow.handshake_flow.response`",
        "websocket": "it came with mitmproxy 7; the messages are in `flow.messages`",
    }

    def __init__(
        self,
        client_conn: Any = None,
        server_conn: Any = None,
        handshake_flow: Any = None,
        live: Any = None,  # noqa: ARG002 - mitmproxy's signature
    ) -> None:
        own = real(handshake_flow)
        if own is None:
            request = Request("GET", "http", "localhost", 80, "/")
            own = HTTPFlow(request, real(client_conn), real(server_conn))
        if own.websocket is None:
            own.websocket = websocket.WebSocketData()
        self._adopt(own)

    @property
    def handshake_flow(self) -> Any:
        """The HTTP flow that began it."""
        return Flow.of(self._real, self._era)

    @property
    def messages(self) -> list[WebSocketMessage]:
        """What was said, in order."""
        return [WebSocketMessage.of(message) for message in self._data.messages]

    @property
    def _data(self) -> websocket.WebSocketData:
        data: websocket.WebSocketData = self._real.websocket or websocket.WebSocketData()
        return data

    # -- the end

    @property
    def ended(self) -> bool:
        """Whether it was closed."""
        return self._data.timestamp_end is not None

    @property
    def close_sender(self) -> str:
        """Who closed it, "client" or "server"."""
        return "server" if self._data.closed_by_client is False else "client"

    @property
    def close_code(self) -> Any:
        """Its code."""
        code = self._data.close_code
        missing = "(status code missing)" if self._era <= Era.E else 1000
        return missing if code is None else code

    @property
    def close_message(self) -> str:
        """What the code means."""
        code = self._data.close_code
        if code is None:
            return "(message missing)"
        return _CLOSE_MESSAGES.get(code, "unknown status code")

    @property
    def close_reason(self) -> str:
        """Its words."""
        return self._data.close_reason or "unknown status code"

    # -- the handshake

    def _said(self, response: bool, name: str) -> str:
        message = self._real.response if response else self._real.request
        return "" if message is None else message.headers.get(f"sec-websocket-{name}", "")

    client_key = property(lambda self: self._said(False, "key"))
    client_protocol = property(lambda self: self._said(False, "protocol"))
    client_extensions = property(lambda self: self._said(False, "extensions"))
    server_accept = property(lambda self: self._said(True, "accept"))
    server_protocol = property(lambda self: self._said(True, "protocol"))
    server_extensions = property(lambda self: self._said(True, "extensions"))

    # -- doing

    def inject_message(self, endpoint: Any, payload: Any) -> None:
        """Send a message of your own (4.0 to 6).

        Args:
            endpoint: To whom: `flow.client_conn` or `flow.server_conn`.
            payload: Text or bytes.

        Raises:
            ValueError: The endpoint is neither, or the WebSocket is closed.
        """
        to = real(endpoint)
        if to not in (self._real.client_conn, self._real.server_conn):
            raise ValueError("the endpoint must be flow.client_conn or flow.server_conn")
        self._data.inject(to is self._real.client_conn, payload)

    def message_info(self, message: Any) -> str:
        """One message in a line: who, which way, to whom."""
        client = Client.of(self._real.client_conn, self._era).address
        server = Server.of(self._real.server_conn, self._era).address
        way = "->" if message.from_client else "<-"
        path = self._real.request.path
        return f"{client!r} {way} WebSocket {message.type} message {way} {server!r}{path}"

    def get_state(self) -> dict[str, Any]:
        """All of it as plain data, in the layout of 6."""
        data = self._data
        state = Flow.of(self._real, self._era).get_state()
        for name in ("request", "response", "websocket"):
            del state[name]
        names = (
            *("client_key", "client_protocol", "client_extensions"),
            *("server_accept", "server_protocol", "server_extensions"),
        )
        return {
            **state,
            "type": "websocket",
            "messages": [
                (m.type, m.from_client, WebSocketMessage.of(m).content, m.timestamp, m.dropped)
                for m in data.messages
            ],
            "close_sender": self.close_sender,
            "close_code": self.close_code,
            "close_message": self.close_message,
            "close_reason": self.close_reason,
            **{name: getattr(self, name) for name in names},
        }

    def __repr__(self) -> str:
        return f"<WebSocketFlow ({len(self._data.messages)} messages)>"


# -- TCP


class TCPMessage:
    """`tcp.TCPMessage` until 6: content that takes text too, as examples of the time give it."""

    def __init__(self, from_client: bool, content: Any, timestamp: float | None = None) -> None:
        self._own = tcp.TCPMessage(from_client, to_bytes(content), timestamp or 0.0)

    @classmethod
    def of(cls, own: tcp.TCPMessage) -> TCPMessage:
        """The view of a real message."""
        self = cls.__new__(cls)
        self._own = own
        return self

    @property
    def from_client(self) -> bool:
        """Whether the client sent it."""
        return self._own.from_client

    @property
    def timestamp(self) -> float:
        """When it came, Unix seconds."""
        return self._own.timestamp

    @property
    def content(self) -> TolerantBytes:
        """The bytes."""
        return TolerantBytes(self._own.content)

    @content.setter
    def content(self, value: Any) -> None:
        self._own.content = bytes(to_bytes(value))

    def __repr__(self) -> str:
        return f"{'->' if self.from_client else '<-'} {bytes(self.content)!r}"


class TCPFlow(_Relayed):
    """`tcp.TCPFlow`; `message`, `sender` and `receiver` are what scripts of 0.17 had here."""

    shown = "a TCP flow"
    type = "tcp"
    hints: ClassVar = {
        "request": "a TCP flow has `messages` only",
        "response": "a TCP flow has `messages` only",
    }

    def __init__(self, client_conn: Any = None, server_conn: Any = None, live: Any = None) -> None:  # noqa: ARG002 - mitmproxy's signature
        self._adopt(tcp.TCPFlow(real(client_conn), real(server_conn)))

    @property
    def messages(self) -> list[Any]:
        """What passed so far, in order; the last one is the one that came now."""
        own: list[tcp.TCPMessage] = self._real.messages
        return [TCPMessage.of(each) for each in own] if self._era <= Era.F else own

    @property
    def message(self) -> TolerantBytes:
        """The bytes that came now."""
        return TolerantBytes(self._real.messages[-1].content)

    @message.setter
    def message(self, value: Any) -> None:
        self._real.messages[-1].content = bytes(to_bytes(value))

    @property
    def sender(self) -> Any:
        """The connection that they came from."""
        return self.client_conn if self._real.messages[-1].from_client else self.server_conn

    @property
    def receiver(self) -> Any:
        """The connection that they go to."""
        return self.server_conn if self._real.messages[-1].from_client else self.client_conn

    def get_state(self) -> dict[str, Any]:
        """What passed, as plain data."""
        return {
            "type": "tcp",
            "id": self.id,
            "error": None if self.error is None else {"msg": self.error.msg},
            "messages": [(m.from_client, m.content, m.timestamp) for m in self._real.messages],
        }

    def __repr__(self) -> str:
        return f"<TCPFlow ({len(self._real.messages)} messages)>"
