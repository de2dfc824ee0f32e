"""Eras A to C (0.8 to 0.17): what their scripts are called with, and what they may import.

`view` translates the argument of a hook, `context` makes the object that comes before it,
`modules` says how each module of the time is made. All of it looks at the one real flow: several
eras and handlers of today may work on it in one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.hooks import TLSData
from nbproxy.model import connection as connections
from nbproxy.model import flow as flows
from nbproxy.model import message as messages
from nbproxy.model.tcp import TCPFlow
from nbproxy.scripts.compat.classic_connections import (
    ClientConnection,
    ConnectionHandler,
    RootLayer,
    ServerConnection,
)
from nbproxy.scripts.compat.classic_context import ScriptContext
from nbproxy.scripts.compat.classic_exceptions import TlsProtocolException
from nbproxy.scripts.compat.classic_flow import FLOWS, Error
from nbproxy.scripts.compat.classic_modules import missing, modules
from nbproxy.scripts.compat.classic_request import REQUESTS
from nbproxy.scripts.compat.classic_response import RESPONSES
from nbproxy.scripts.compat.classic_tcp import TcpMessage
from nbproxy.scripts.compat.layers import layer_of
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from nbproxy.scripts.compat.classic_host import ClassicHost

__all__ = ["context", "layer", "missing", "modules", "view"]

_CLIENTS: dict[str, Any] = {"A": ClientConnection, "B": ConnectionHandler, "C": RootLayer}
_SERVERS: dict[str, Any] = {"A": ServerConnection, "B": ConnectionHandler, "C": ServerConnection}


def view(era: str, obj: object, host: ClassicHost | None = None) -> Any:
    """What a hook of this era is called with in the place of our object.

    The same object gets the same view each time, so that `is`, and what scripts hang on it, hold
    from hook to hook. What is no object of ours is given back as it is.
    """
    letter = Era(era)
    if isinstance(obj, flows.HTTPFlow):
        shown = FLOWS[letter].of(obj, letter)
        shown.renew()
        return shown
    if isinstance(obj, (connections.Client, connections.Server)):
        kinds = _CLIENTS if isinstance(obj, connections.Client) else _SERVERS
        shown = kinds[letter].of(obj, letter)
        shown.__dict__["_host"] = host
        return shown
    if isinstance(obj, TLSData):
        return layer(era, obj)
    if isinstance(obj, TCPFlow):
        return TcpMessage(obj)
    if isinstance(obj, messages.Request):
        return REQUESTS[letter].of(obj, letter)
    if isinstance(obj, messages.Response):
        return RESPONSES[letter].of(obj, letter)
    if isinstance(obj, flows.Error):
        return Error.of(obj, letter)
    return obj


def layer(era: str, obj: object) -> Any:
    """What `next_layer` is called with when a client has connected, or begins TLS."""
    return layer_of(obj, era, lambda conn: connection(era, conn), TlsProtocolException)


def connection(era: str, obj: object) -> Any:
    """The view of a connection itself, where hooks are called with something above it."""
    kind = ClientConnection if isinstance(obj, connections.Client) else ServerConnection
    return kind.of(obj, Era(era))


def context(era: str, host: ClassicHost) -> ScriptContext:
    """A script's context object: one for its life, reloads included."""
    return ScriptContext(Era(era).value, host)
