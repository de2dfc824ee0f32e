"""Which events scripts of each era get, from which of our hooks, and with what as argument.

Offline, that is on stored flows, an era's own sequence is played (`sequence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from nbproxy.hooks import HOOKS
from nbproxy.scripts.compat import flows
from nbproxy.scripts.compat.modern import ServerConnectionHookData
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy.scripts.compat.classic_host import ClassicHost


@dataclass(frozen=True)
class Event:
    """One event of the scripting API.

    Attributes:
        name: The function's name.
        hook: Our hook.
        first: The first era that had it.
        instead: The name by which later eras call it; used if a script has both.
        last: The last era that has it here.
    """

    name: str
    hook: str
    first: Era
    instead: str = ""
    last: Era = Era.H


_OWN: Final = (
    Event("clientconnect", "clientconnect", Era.A, "client_connected"),
    Event("clientdisconnect", "clientdisconnect", Era.A, "client_disconnected"),
    Event("serverconnect", "serverconnect", Era.A, "server_connect"),
    Event("serverdisconnect", "serverdisconnect", Era.C, "server_disconnected"),
    Event("client_connected", "clientconnect", Era.G),
    Event("client_disconnected", "clientdisconnect", Era.G),
    Event("server_connect", "serverconnect", Era.G),
    Event("server_connected", "server_connected", Era.G),
    Event("server_disconnected", "serverdisconnect", Era.G),
    Event("server_connect_error", "server_connect_error", Era.G),
    # protocol detection: offered for TLS only, which scripts chose to pass through untouched
    Event("next_layer", "tls_clienthello", Era.C, last=Era.C),
    Event("http_connect", "http_connect", Era.E),
    Event("http_connected", "http_connected", Era.G),
    Event("http_connect_error", "http_connect_error", Era.G),
    Event("requestheaders", "requestheaders", Era.D),
    Event("request", "request", Era.A),
    Event("responseheaders", "responseheaders", Era.B),
    Event("response", "response", Era.A),
    Event("error", "error", Era.A),
)
_NAMED: Final = {event.name for event in _OWN}
_NO_EVENTS: Final = {"running", "done"}

EVENTS: Final = (
    *_OWN,
    # hooks that are called the same everywhere and came late, whichever there are
    *(
        Event(name, name, Era.D if name.startswith(("tcp_", "websocket_")) else Era.G)
        for name in HOOKS
        if name not in _NAMED | _NO_EVENTS
    ),
)


def events_of(era: Era) -> list[Event]:
    """The events that an era had, the order of the table."""
    return [event for event in EVENTS if event.first <= era <= event.last]


FLOW_EVENTS: Final = ("requestheaders", "request", "responseheaders", "response", "error")


AFTER_LAYERS: Final = (
    Event("next_layer", "tls_established_client", Era.C, last=Era.C),
    Event("next_layer", "tls_failed_client", Era.C, last=Era.C),
)
"""When a layer that `next_layer` was given learns how TLS went."""


class RootLayer:
    """What `clientconnect` got from 0.14 to 6: the client, and what belongs to it."""

    def __init__(self, client: Any) -> None:
        self.client_conn = client
        self.server_conn = None
        self.reply = _RootReply(client)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client_conn, name)


class _RootReply:
    """Its `reply`: killing closes the connection."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(self, *_: Any) -> None:
        """Go on."""

    def kill(self, *_: Any, **__: Any) -> None:
        """Close the connection."""
        self._client.error = "closed by a script"


def argument_of(event: Event, era: Era, host: ClassicHost | None) -> Callable[[Any], Any]:
    """Makes, of what our hook gives, what a script of an era gets.

    Args:
        event: The event.
        era: The era.
        host: For eras A to C: what views reach of the proxy.
    """
    if host is not None:
        return _classic(era, host)
    kind = HOOKS[event.hook].kind
    if kind == "flow":
        return lambda flow: flows.Flow.of(flow, era)
    if kind == "client" and era <= Era.F:
        return lambda client: RootLayer(flows.Client.of(client, era))
    if kind == "server" and era >= Era.G and event.name.startswith("server_"):
        return lambda server: ServerConnectionHookData(flows.Server.of(server, era), flows.Client())
    if kind == "tls":
        return lambda data: _TLS(data, era)
    return lambda value: flows.view(era, value)


def _classic(era: Era, host: ClassicHost) -> Callable[[Any], Any]:
    from nbproxy.scripts.compat import classic  # noqa: PLC0415 - only for old scripts

    return lambda value: classic.view(era, value, host)


class _TLS:
    """What `tls_*` hooks get since 7: our data, by mitmproxy's names."""

    def __init__(self, data: Any, era: Era) -> None:
        self.__dict__.update(_data=data, _era=era)

    @property
    def conn(self) -> Any:
        """The connection."""
        return flows.view(self._era, self._data.conn)

    @property
    def context(self) -> Any:
        """Client and server."""
        client = self._data.client or self._data.conn
        server = self._data.conn
        return SimpleNamespace(
            client=flows.view(self._era, client), server=flows.view(self._era, server)
        )

    @property
    def client_hello(self) -> Any:
        """What the client said."""
        offers = [offer.encode() for offer in self._data.alpn_offers]
        return SimpleNamespace(sni=self._data.sni, alpn_protocols=offers, cipher_suites=[])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._data, name, value)


def sequence(era: Era, flow: Any) -> Iterator[str]:
    """Names of the events that an era played for a stored flow, in order.

    In era A a flow had no response before its `response` event; it is taken away until then.
    """
    if era >= Era.D:
        yield "requestheaders"
    if era is Era.A and flow.response is not None:
        response, flow.response = flow.response, None
        yield "request"
        flow.response = flow.response or response
    else:
        yield "request"
    if flow.response is not None:
        if era >= Era.B:
            yield "responseheaders"
        yield "response"
    websocket = getattr(flow, "websocket", None)
    if websocket is not None and era >= Era.E:
        yield from _websocket(websocket)
        if era >= Era.G:
            return
    if flow.error is not None:
        yield "error"


def _websocket(websocket: Any) -> Iterator[str]:
    """The list of messages grows message by message."""
    messages = list(websocket.messages)
    yield "websocket_start"
    for count in range(1, len(messages) + 1):
        websocket.messages = messages[:count]
        yield "websocket_message"
    websocket.messages = messages
    yield "websocket_end"
