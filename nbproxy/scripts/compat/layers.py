"""Stand-ins for protocol layers, so that `next_layer` can choose what is done with a client's TLS.

Natively a script was handed the layer that was about to run and could put another in its place:
until 6 by `layer.reply`, since 7 by assigning to `next_layer.layer`. What scripts did with it,
other than looking, was to pass TLS through unread, and (until 6) to replace the layer's class to
see how the handshake ended. Both can be done here: the stand-in for the client's TLS is handed over
at its hello, and `finished` runs its `_establish_tls_with_client` when the handshake is over, which
raises TlsProtocolException if it failed. Before, when the client has connected, there is one
stand-in that can only be looked at.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from nbproxy.hooks import TLSData
from nbproxy.model.connection import Client, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Show = Callable[[Any], Any]

_HINT: Final = (
    "nbproxy has no layers of its own; to pass TLS through untouched reply with RawTCPLayer (since "
    "7 assign a TCPLayer) when next_layer is called for TLS, or use the option ignore_hosts"
)


class Answer:
    """`next_layer.reply`: called with a layer, or since 0.18 `send`."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def __call__(self, message: Any = None) -> None:
        """Go on with the layer that there is, or with the one given."""
        self.send(message)

    def send(self, message: Any = None, force: bool = False) -> None:  # noqa: ARG002 - the era's signature
        """Go on with the layer given."""
        if message is not None:
            _choose(self._data, message)

    def take(self) -> None:
        """Nothing to do."""

    ack = commit = take


def _choose(data: Any, layer: Any) -> None:
    """Put a layer in the place of what would come."""
    if not isinstance(layer, Layer):
        raise TypeError(f"a layer should be given, not {layer!r}")
    if isinstance(layer, TlsLayer) or not isinstance(data, TLSData):
        return  # what comes anyway
    if not isinstance(layer, RawTCPLayer):
        raise NotImplementedError(f"cannot go on with a {type(layer).__name__}: {_HINT}")
    data.ignore_connection = True


class Layer:
    """Base of the layers."""

    def __init__(self, ctx: Any = None, *args: Any, **kwargs: Any) -> None:
        self.ctx = self.context = ctx
        self.config = None
        self.args, self.kwargs = args, kwargs

    @property
    def reply(self) -> Answer:
        """Says how it goes on."""
        return Answer(self.ctx)

    def __call__(self) -> None:
        """Run it, natively."""
        raise NotImplementedError(f"{type(self).__name__} cannot be run: {_HINT}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class RawTCPLayer(Layer):
    """Pass everything through, unread."""


class TlsLayer(Layer):
    """TLS with a client that is about to begin."""

    _client_tls = True
    _server_tls = True
    _failure: type[Exception] = Exception

    def _establish_tls_with_client(self) -> None:
        """Raises if the handshake failed."""
        conn = self.ctx.conn if isinstance(self.ctx, TLSData) else None
        error = getattr(conn, "error", None)
        if error is not None or not getattr(conn, "tls_established", False):
            raise self._failure(error or "the TLS handshake failed")

    def _establish_tls_with_server(self) -> None:
        """The proxy does that by itself."""


class HttpLayer(Layer):
    """HTTP."""


class Others(Layer):
    """Layers that cannot be had here."""


def _first(data: Any, show: Show) -> Layer:
    """What `next_layer` gets when a client has connected."""
    layer = HttpLayer(data)
    vars(layer).update(client_conn=show(data), server_conn=show(Server()))
    return layer


def _server_of(data: TLSData) -> Server:
    client = data.conn
    tunnel = client.tunnel if isinstance(client, Client) else None
    return Server(tunnel or (data.sni and (data.sni, 443)) or None)


def layer_of(data: Any, era: str, show: Show, failure: type[Exception]) -> Layer:
    """The stand-in until 6; the same for all scripts of an era.

    Args:
        data: The client that has connected, or what is known of its TLS.
        era: The scripts' era.
        show: Makes their view of a connection.
        failure: What the layer of a failed handshake raises.
    """
    if not isinstance(data, TLSData):
        return _first(data, show)
    layers: dict[str, Layer] = vars(data.conn).setdefault("_nbproxy_layers", {})
    found = layers.get(era)
    if found is None:
        found = layers[era] = TlsLayer(data)
        vars(found).update(
            client_conn=show(data.conn),
            client_sni=data.sni,
            server_conn=show(_server_of(data)),
            _failure=failure,
        )
    return found


def finished(data: TLSData) -> None:
    """Tell the layers of a client's TLS whose class a script has replaced how it ended.

    To be called for `tls_established_client` and `tls_failed_client`; the second time does nothing.

    Raises:
        Exception: Whatever a script's own method raises, other than that TLS failed.
    """
    layers: dict[str, Layer] = vars(data.conn).pop("_nbproxy_layers", {})
    for layer in layers.values():
        if isinstance(layer, TlsLayer) and type(layer) is not TlsLayer:
            try:
                layer._establish_tls_with_client()  # noqa: SLF001 - the name scripts replace
            except layer._failure:  # noqa: SLF001 - of this module
                continue


class NextLayer(Layer):
    """What `next_layer` gets since 7: assign to `layer` what shall come."""

    def __init__(self, data: Any, show: Show) -> None:
        super().__init__(data)
        client = data.conn if isinstance(data, TLSData) else data
        server = _server_of(data) if isinstance(data, TLSData) else Server()
        self.context = SimpleNamespace(client=show(client), server=show(server), layers=[])
        self._layer: Layer | None = None

    @property
    def layer(self) -> Layer | None:
        """The layer that comes; None as long as nobody has chosen one."""
        return self._layer

    @layer.setter
    def layer(self, value: Layer | None) -> None:
        if value is not None:
            _choose(self.ctx, value)
        self._layer = value

    def data_client(self) -> bytes:
        """What the client has sent; not shown here."""
        return b""

    data_server = data_client


UNTIL_6: Final[Mapping[str, type]] = {
    "Layer": Layer,
    "RawTCPLayer": RawTCPLayer,
    "TlsLayer": TlsLayer,
    **{
        name: type(name, (Others,), {"__doc__": "Cannot be had here."})
        for name in ("Http1Layer", "Http2Layer", "WebSocketLayer", "ServerConnectionMixin")
    },
}
"""`protocol` from 0.14 to 0.18, `proxy.protocol` until 6."""

SINCE_7: Final[Mapping[str, type]] = {
    "Layer": Layer,
    "NextLayer": NextLayer,
    "TCPLayer": type("TCPLayer", (RawTCPLayer,), {"__doc__": RawTCPLayer.__doc__}),
    "ClientTLSLayer": type("ClientTLSLayer", (TlsLayer,), {"__doc__": TlsLayer.__doc__}),
    "HttpLayer": HttpLayer,
    **{
        name: type(name, (Others,), {"__doc__": "Cannot be had here."})
        for name in ("ServerTLSLayer", "UDPLayer", "DNSLayer", "WebsocketLayer", "QuicStreamLayer")
    },
}
"""`proxy.layer` and `proxy.layers` since 7."""
