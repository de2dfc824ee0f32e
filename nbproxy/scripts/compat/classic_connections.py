"""Connections, and what stood for them, as eras A to C knew them.

Each release had another object for the same moment: `clientconnect` was called with a
ClientConnect (A), a ConnectionHandler (B) or the root layer (C).
"""

from __future__ import annotations

from typing import Any, ClassVar

from nbproxy.model import connection as model
from nbproxy.scripts.bytetext import data
from nbproxy.scripts.compat.classic_messages import ClassicView
from nbproxy.scripts.compat.flows import Address, Certificate


class Handle:
    """The socket of a connection, as far as scripts asked it: for the server name."""

    def __init__(self, sni: str | None) -> None:
        self._sni = sni

    def get_servername(self) -> str | None:
        """The name that the client asked for in its TLS, None if it asked for none."""
        return self._sni

    def getpeername(self) -> Any:
        """Not known here."""
        raise OSError("sockets are the proxy's own business; use the connection's address")


class Connection(ClassicView):
    """What both connections share."""

    _real: model.Connection
    shown = "a connection"

    def _addressed(self, pair: Any) -> Any:
        return None if pair is None else Address(pair)

    @property
    def connection(self) -> Handle:
        """For `connection.get_servername()`."""
        return Handle(self._real.sni)

    @property
    def sni(self) -> str | None:
        """The server name of its TLS."""
        return self._real.sni

    @property
    def ssl_established(self) -> bool:
        """Whether TLS is spoken."""
        return self._real.tls_established

    tls_established = ssl_established

    @property
    def timestamp_start(self) -> float | None:
        """When it began."""
        return self._real.timestamp_start

    @property
    def timestamp_end(self) -> float | None:
        """When it ended."""
        return self._real.timestamp_end

    @property
    def timestamp_ssl_setup(self) -> float | None:
        """When TLS was agreed."""
        return self._real.timestamp_tls_setup

    ssl_setup_timestamp = timestamp_ssl_setup

    def _leaf(self) -> Certificate | None:
        chain = self._real.certificate_list
        return Certificate.bound(self._era)(chain[0]) if chain else None

    def __bool__(self) -> bool:
        return self._real.connected if self._era == "C" else True

    def real_peer(self) -> Any:
        """The other end's address as a tuple, None if it is not known."""
        return self._real.peername

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {model.format_address(self._real.peername)}>"


class ClientConnection(Connection):
    """The connection from a client; `ClientConnect` in era A."""

    _real: model.Client
    hints: ClassVar = {
        "peername": "that name came with mitmproxy 7; it is `address` here",
        "mitmcert": "it came with mitmproxy 1.0",
        **dict.fromkeys(
            ("wfile", "rfile"),
            "sockets are the proxy's own business; answer with flow.reply(response)",
        ),
    }
    error = connection_error = close = None

    @property
    def address(self) -> Any:
        """Where it comes from: a tuple in era A, an Address since."""
        return self._real.peername if self._era == "A" else self._addressed(self._real.peername)

    @property
    def requestcount(self) -> int:
        """Requests on it so far."""
        return self._real.requests

    @property
    def clientcert(self) -> Certificate | None:
        """The client's certificate."""
        return self._leaf()

    @property
    def client_conn(self) -> ClientConnection:
        """Itself: era A's ClientDisconnect had it so."""
        return self

    def send(self, message: Any) -> None:
        """Scripts cannot write to sockets here."""
        size = len(data(message))
        raise NotImplementedError(
            f"cannot send {size} bytes past the proxy; answer with flow.reply(response)"
        )

    @property
    def reply(self) -> Any:
        """Call it to go on, with KILL to refuse the connection."""
        return ConnectionReply(self._real)


class ServerConnection(Connection):
    """The connection to a server."""

    _real: model.Server
    hints: ClassVar = {
        "ip_address": "that name came with mitmproxy 0.18; it is `peer_address` here",
        "peername": "that name came with mitmproxy 7; it is `peer_address` here",
    }
    state: ClassVar[list[Any]] = []
    require_request = None

    @property
    def address(self) -> Any:
        """Where it goes; in `serverconnect` it may be changed."""
        return self._addressed(self._real.address)

    @address.setter
    def address(self, value: Any) -> None:
        value = value() if isinstance(value, Address) else value
        self._real.address = (str(value[0]), int(value[1]))

    @property
    def host(self) -> str | None:
        """The host it goes to."""
        return self._real.address[0] if self._real.address else None

    @property
    def port(self) -> int | None:
        """The port it goes to."""
        return self._real.address[1] if self._real.address else None

    @property
    def scheme(self) -> str:
        """With TLS "https", else "http"."""
        return "https" if self._real.tls else "http"

    @property
    def source_address(self) -> Any:
        """Our end's address."""
        return self._addressed(self._real.sockname)

    @property
    def peer_address(self) -> Any:
        """The address that the name has got."""
        return self._addressed(self._real.peername)

    @property
    def requestcount(self) -> int:
        """Requests on it so far."""
        return self._real.requests

    @property
    def cert(self) -> Certificate | None:
        """The server's certificate."""
        return self._leaf()

    @property
    def timestamp_tcp_setup(self) -> float | None:
        """When TCP was connected."""
        return self._real.timestamp_tcp_setup

    tcp_setup_timestamp = timestamp_tcp_setup

    @property
    def via(self) -> Any:
        """The proxy it goes through, None if there is none."""
        via = self._real.via
        return None if via is None else Address(via[1])

    def establish_ssl(self, *_: Any, **__: Any) -> None:
        """The proxy does that by itself."""

    @property
    def reply(self) -> Any:
        """Call it to go on, with KILL to refuse the connection."""
        return ConnectionReply(self._real)


class ConnectionReply:
    """`reply` of a connection: KILL refuses it."""

    def __init__(self, own: model.Connection) -> None:
        self._own = own
        self.acked = False

    def __call__(self, message: Any = None) -> None:
        """Go on, or refuse."""
        if not self.acked:
            self.acked = True
            if is_kill(message):
                self._own.error = "refused by a script"


class Kill(Exception):  # noqa: N818 - the era's name
    """Given to `reply` or raised: end the connection."""


class _KillMark(int):
    """The constant KILL: 0, and recognised by what it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KILL"


KILL = _KillMark(0)


def is_kill(message: Any) -> bool:
    """Whether what was given to `reply` means: kill."""
    return (
        isinstance(message, (_KillMark, Kill))
        or message is Kill
        or (isinstance(message, int) and not isinstance(message, bool) and message == 0)
    )


class _Layer(ClassicView):
    """An object above a connection, through which both connections are seen."""

    _real: model.Client | model.Server

    @property
    def client_conn(self) -> ClientConnection | None:
        """The client's connection; None if the layer is that of a server's."""
        own = self._real
        return ClientConnection.of(own, self._era) if isinstance(own, model.Client) else None

    @property
    def server_conn(self) -> Any:
        """The connection to the server; None as long as none is known."""
        own = self._real
        if isinstance(own, model.Server):
            return ServerConnection.of(own, self._era)
        return self.__dict__.get("_server")

    @server_conn.setter
    def server_conn(self, value: Any) -> None:
        self.__dict__["_server"] = value

    @property
    def reply(self) -> Any:
        """Call it to go on, with KILL to refuse the connection."""
        return ConnectionReply(self._real)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        client = self.client_conn
        return getattr(client if client is not None else self.server_conn, name)

    def __bool__(self) -> bool:
        return True


class ConnectionHandler(_Layer):
    """Era B's object behind each connection."""

    shown = "a ConnectionHandler"
    conntype = "direct"

    def log(self, message: str, level: str = "info", subs: Any = ()) -> None:
        """An entry of the log, with further lines."""
        host = self.__dict__.get("_host")
        if host is not None:
            host.log("\n -> ".join(str(line) for line in (message, *(subs or ()))), level)

    def establish_ssl(self, client: bool = False, server: bool = False, sni: Any = None) -> None:
        """The proxy does that by itself."""

    def establish_server_connection(self, **_: Any) -> None:
        """The proxy does that by itself."""

    def set_server_address(self, address: Any) -> None:
        """The proxy asks requests, not connections."""
        raise NotImplementedError(
            f"cannot send a whole connection to {address!r}; set flow.request.host and .port"
        )


class RootLayer(_Layer):
    """Era C's object at the root of each connection."""

    shown = "the root layer"
