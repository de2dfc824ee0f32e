"""Which events scripts of each era get, from which of our hooks, and with what as argument.

Offline, that is on stored flows, an era's own sequence is played (`sequence`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.hooks import HOOKS
from nbproxy.model.connection import Client
from nbproxy.scripts.compat import flows, modern, relays
from nbproxy.scripts.compat.connections import TlsData
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
        when: Whether what the hook is called with is such an event; None if it always is.
    """

    name: str
    hook: str
    first: Era
    instead: str = ""
    last: Era = Era.H
    when: Callable[[Any], bool] | None = None


def _came_from_server(flow: Any) -> bool:
    """Not the head of a response that a script made: those were announced since 0.14 only."""
    return not flow.live or flow.response.raw_content is None


def _without_response(flow: Any) -> bool:
    """Until 0.17 a failure after a response was none any more."""
    return not flow.live or flow.response is None


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
    # protocol detection: for a new connection, and for TLS, where scripts chose to pass it through
    Event("next_layer", "clientconnect", Era.C),
    Event("next_layer", "tls_clienthello", Era.C),
    Event("tls_clienthello", "tls_clienthello", Era.G),
    # told when the handshake is over: scripts cannot take part in it here
    Event("tls_start_client", "tls_established_client", Era.G),
    Event("tls_start_client", "tls_failed_client", Era.G),
    Event("tls_start_server", "tls_established_server", Era.G),
    Event("tls_start_server", "tls_failed_server", Era.G),
    Event("requestheaders", "http_connect", Era.D, last=Era.D),
    Event("http_connect", "http_connect", Era.E),
    Event("http_connected", "http_connected", Era.G),
    Event("http_connect_error", "http_connect_error", Era.G),
    Event("requestheaders", "requestheaders", Era.D),
    Event("request", "request", Era.A),
    Event("responseheaders", "responseheaders", Era.B, last=Era.B, when=_came_from_server),
    Event("responseheaders", "responseheaders", Era.C),
    Event("response", "response", Era.A),
    Event("error", "error", Era.A, last=Era.A),
    Event("error", "error", Era.B, last=Era.C, when=_without_response),
    Event("error", "error", Era.D),
    # WebSockets: flows of their own until 6
    Event("websocket_handshake", "request", Era.D, last=Era.F, when=relays.asks_for_websocket),
    Event("websocket_start", "websocket_start", Era.E),
    Event("websocket_message", "websocket_message", Era.E),
    Event("websocket_error", "websocket_end", Era.E, last=Era.F, when=relays.has_failed),
    Event("websocket_end", "websocket_end", Era.E),
    # raw tunnels: the end was told after an error as well until 6
    Event("tcp_message", "tcp_message", Era.C),
    Event("tcp_start", "tcp_start", Era.D),
    Event("tcp_error", "tcp_error", Era.D),
    Event("tcp_end", "tcp_end", Era.D),
    Event("tcp_end", "tcp_error", Era.D, last=Era.F),
)
_NAMED: Final = {event.name for event in _OWN}
_NO_EVENTS: Final = {"running", "done"}

EVENTS: Final = (
    *_OWN,
    # hooks that are called the same everywhere and came late, whichever there are
    *(Event(name, name, Era.G) for name in HOOKS if name not in _NAMED | _NO_EVENTS),
)


def events_of(era: Era) -> list[Event]:
    """The events that an era had, the order of the table."""
    return [event for event in EVENTS if event.first <= era <= event.last]


NEVER: Final[dict[str, str]] = {
    name: why
    for names, why in (
        ("dns_request dns_response dns_error", "nbproxy speaks no DNS"),
        ("udp_start udp_message udp_end udp_error", "nbproxy passes no UDP"),
        ("quic_start_client quic_start_server", "nbproxy speaks no QUIC"),
        ("socks5_auth", "nbproxy is no SOCKS proxy"),
        ("http_connect_upstream", "nbproxy has no upstream mode"),
    )
    for name in names.split()
    if name not in HOOKS
}
"""Events since 7 that never come here, and why."""

AFTER_LAYERS: Final = (
    Event("next_layer", "tls_established_client", Era.C, last=Era.F),
    Event("next_layer", "tls_failed_client", Era.C, last=Era.F),
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
    if event.name == "next_layer":
        return _layer(era)
    if host is not None:
        return _classic(era, host)
    kind = HOOKS[event.hook].kind
    if kind == "flow":
        return relays.shower(event.name, era)
    if kind == "client" and era <= Era.F:
        return lambda client: RootLayer(flows.Client.of(client, era))
    if kind == "server" and era >= Era.G and event.name.startswith("server_"):
        return lambda server: ServerConnectionHookData(
            flows.Server.of(server, era), flows.Client.of(server.client or Client(), era)
        )
    if kind == "tls":
        return lambda data: TlsData(data, era)
    return lambda value: flows.view(era, value)


def _classic(era: Era, host: ClassicHost) -> Callable[[Any], Any]:
    from nbproxy.scripts.compat import classic  # noqa: PLC0415 - only for old scripts

    return lambda value: classic.view(era, value, host)


def _layer(era: Era) -> Callable[[Any], Any]:
    if era.has_context:
        from nbproxy.scripts.compat import classic  # noqa: PLC0415 - only for old scripts

        return lambda value: classic.layer(era, value)
    return lambda value: modern.layer(era, value)


def sequence(era: Era, flow: Any) -> Iterator[str]:
    """The hooks whose events an era played for a stored flow, in order.

    In era A a flow had no response before its `response` event; it is taken away until then.
    """
    if flow.type == "tcp":
        if era >= Era.D:
            yield from _tcp(flow)
        return
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
        return  # an error is the WebSocket's
    if flow.error is not None:
        yield "error"


def _websocket(websocket: Any) -> Iterator[str]:
    yield "websocket_start"
    yield from _growing(websocket, "websocket_message")
    yield "websocket_end"


def _tcp(flow: Any) -> Iterator[str]:
    yield "tcp_start"
    yield from _growing(flow, "tcp_message")
    yield "tcp_end" if flow.error is None else "tcp_error"


def _growing(owner: Any, hook: str) -> Iterator[str]:
    """Once for each message; the list of messages grows with them."""
    messages = list(owner.messages)
    for count in range(1, len(messages) + 1):
        owner.messages = messages[:count]
        yield hook
    owner.messages = messages
