"""Era C's `next_layer` for TLS: let a script choose between reading TLS and passing it through.

Natively a script was handed the layer that was about to run, could put another in its place
(`RawTCPLayer`) and could replace the layer's class to see how the handshake ended. Here a stand-in
is handed over at the client's hello; `finished` runs its `_establish_tls_with_client` when the
handshake is over, which raises TlsProtocolException if it failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.hooks import TLSData
from nbproxy.model.connection import Client, Server
from nbproxy.scripts.compat.classic_connections import ClientConnection, ServerConnection
from nbproxy.scripts.compat.classic_exceptions import TlsProtocolException

if TYPE_CHECKING:
    from collections.abc import Mapping


class Layer:
    """Base of the layers."""

    def __init__(self, ctx: Any = None, *_: Any, **__: Any) -> None:
        self.ctx = ctx
        self.config = None


class RawTCPLayer(Layer):
    """Given to `next_layer.reply`: pass everything through, unread."""


class TlsLayer(Layer):
    """TLS with a client that is about to begin."""

    _client_tls = True
    _server_tls = True

    def __init__(self, data: Any = None, *_: Any, **__: Any) -> None:
        super().__init__(data)
        if isinstance(data, TLSData) and isinstance(data.conn, Client):
            self.client_conn = ClientConnection.of(data.conn, "C")  # type: ignore[arg-type] # Era is a str
            self.client_sni = data.sni
            address = data.conn.tunnel or (data.sni and (data.sni, 443)) or None
            self.server_conn = ServerConnection.of(Server(address), "C")  # type: ignore[arg-type] # as above
            data.conn.__dict__["_nbproxy_layer"] = self

    def reply(self, message: Any = None) -> None:
        """Go on with this layer, or with the one given."""
        if isinstance(message, RawTCPLayer) and isinstance(self.ctx, TLSData):
            self.ctx.ignore_connection = True

    def _establish_tls_with_client(self) -> None:
        """Raises if the handshake failed."""
        conn = self.ctx.conn if isinstance(self.ctx, TLSData) else None
        error = getattr(conn, "error", None)
        if error is not None or not getattr(conn, "tls_established", False):
            raise TlsProtocolException(error or "the TLS handshake failed")

    def _establish_tls_with_server(self) -> None:
        """The proxy does that by itself."""


def layer_of(data: TLSData) -> TlsLayer:
    """The stand-in for a client's TLS; the same for all scripts."""
    found = getattr(data.conn, "__dict__", {}).get("_nbproxy_layer")
    return found if isinstance(found, TlsLayer) else TlsLayer(data)


def finished(data: TLSData) -> None:
    """Tell the layer of a client's TLS, if a script has replaced its class, how it ended.

    To be called for `tls_established_client` and `tls_failed_client`.

    Raises:
        Exception: Whatever the script's own method raises, other than that TLS failed.
    """
    layer = getattr(data.conn, "__dict__", {}).get("_nbproxy_layer")
    if isinstance(layer, TlsLayer) and type(layer) is not TlsLayer:
        try:
            layer._establish_tls_with_client()  # noqa: SLF001 - the name scripts replace
        except TlsProtocolException:
            return


LAYERS: Mapping[str, type] = {"Layer": Layer, "RawTCPLayer": RawTCPLayer, "TlsLayer": TlsLayer}
