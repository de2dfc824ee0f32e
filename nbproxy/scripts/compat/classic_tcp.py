"""What `tcp_message` was called with in 0.16 and 0.17: the bytes, and between whom they pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.scripts.bytetext import ByteText, data, text
from nbproxy.scripts.compat.classic_connections import ClientConnection, ServerConnection
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from nbproxy.model.tcp import TCPFlow


class TcpMessage:
    """Bytes that came in a raw tunnel. Assigning to `message` changes what is passed on."""

    def __init__(self, flow: TCPFlow) -> None:
        self._flow = flow
        self._message = flow.messages[-1]
        self.client_conn: Any = ClientConnection.of(flow.client_conn, Era.C)
        self.server_conn: Any = ServerConnection.of(flow.server_conn, Era.C)

    @property
    def sender(self) -> Any:
        """The connection that it came from."""
        return self.client_conn if self._message.from_client else self.server_conn

    @property
    def receiver(self) -> Any:
        """The connection that it goes to."""
        return self.server_conn if self._message.from_client else self.client_conn

    @property
    def message(self) -> ByteText:
        """What it says, as text (see `bytetext`)."""
        return text(self._message.content)

    @message.setter
    def message(self, value: Any) -> None:
        self._message.content = data(value)

    def reply(self, *_: Any) -> None:
        """Go on."""
