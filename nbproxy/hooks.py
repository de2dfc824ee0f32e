"""Every hook once: its name, its arguments, what it means.

A hook is a named moment offered to handlers. All else derives from this table: the dispatcher's
slots, the checks and completion of `nbproxy.on`, the documentation, and the names by which other
programs call the same moment (`aliases`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["life", "client", "server", "tls", "flow"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook.

    Attributes:
        name: Its name here.
        argument: What a handler is called with: the name of its one parameter, or "" for none.
        kind: What the argument is: nothing ("life"), a connection ("client", "server"), TLS
            parameters ("tls"), or a flow ("flow"). Filters apply to flows only.
        doc: When it happens and what a handler may do, for people.
        aliases: Other names for it: mitmproxy's current ones where they differ.
    """

    name: str
    argument: str
    kind: Kind
    doc: str
    aliases: tuple[str, ...] = ()


HOOKS: dict[str, Hook] = {
    hook.name: hook
    for hook in (
        Hook("running", "", "life", "The proxy is listening."),
        Hook("done", "", "life", "The proxy stops, or the handler is being removed."),
        Hook(
            "clientconnect",
            "client",
            "client",
            "A client connected. Set `client.error` to refuse it.",
            ("client_connected",),
        ),
        Hook(
            "clientdisconnect",
            "client",
            "client",
            "A client's connection has ended.",
            ("client_disconnected",),
        ),
        Hook(
            "serverconnect",
            "server",
            "server",
            "We are about to connect to a server. `server.address` may be changed; set "
            "`server.error` to refuse.",
            ("server_connect",),
        ),
        Hook("server_connected", "server", "server", "The connection to a server stands."),
        Hook(
            "server_connect_error",
            "server",
            "server",
            "A server could not be reached; `server.error` says why.",
        ),
        Hook(
            "serverdisconnect",
            "server",
            "server",
            "A connection to a server has ended.",
            ("server_disconnected",),
        ),
        Hook(
            "http_connect",
            "flow",
            "flow",
            "A CONNECT request came. Set `flow.response` to refuse the tunnel (RFC 9110, 9.3.6).",
        ),
        Hook("http_connected", "flow", "flow", "A tunnel was opened for a CONNECT request."),
        Hook("http_connect_error", "flow", "flow", "A CONNECT request failed."),
        Hook(
            "requestheaders",
            "flow",
            "flow",
            "The head of a request was read; its body was not. Set `flow.request.stream` here to "
            "pass the body on as it comes.",
        ),
        Hook(
            "request",
            "flow",
            "flow",
            "A request was read whole (for a streamed one: its head). Change it, send it "
            "elsewhere, answer it by setting `flow.response`, or `flow.kill()`.",
        ),
        Hook(
            "responseheaders",
            "flow",
            "flow",
            "The head of a response was read; its body was not. Set `flow.response.stream` here "
            "to pass the body on as it comes.",
        ),
        Hook(
            "response",
            "flow",
            "flow",
            "A response was read whole (for a streamed one: it has been passed on). Change it "
            "before the client gets it.",
        ),
        Hook(
            "error",
            "flow",
            "flow",
            "An exchange failed; `flow.error` says why. Each flow ends with either `response` "
            "or `error`.",
        ),
        Hook(
            "websocket_start",
            "flow",
            "flow",
            "A WebSocket was opened: after `response`, before its first message. "
            "`flow.websocket.inject(to_client, text)` sends messages of your own.",
        ),
        Hook(
            "websocket_message",
            "flow",
            "flow",
            "A message came on a WebSocket: `flow.websocket.messages[-1]`. Change its `content` or "
            "`text`, or `drop()` it, before it goes on.",
        ),
        Hook(
            "websocket_end",
            "flow",
            "flow",
            "A WebSocket was closed; `flow.websocket.close_code` says how, and `flow.error` why if "
            "it was not in order.",
        ),
        Hook(
            "tcp_start",
            "flow",
            "flow",
            "A raw tunnel was opened; `flow` is a `TCPFlow`. Tunnels that are open already when "
            "the first `tcp_*` handler is registered are not seen.",
        ),
        Hook(
            "tcp_message",
            "flow",
            "flow",
            "Bytes came in a raw tunnel: `flow.messages[-1]`. Change its `content` before it goes "
            'on; b"" sends nothing.',
        ),
        Hook("tcp_end", "flow", "flow", "A raw tunnel has ended in order, both ways."),
        Hook(
            "tcp_error",
            "flow",
            "flow",
            "A raw tunnel broke; `flow.error` says why. Each ends with `tcp_end` or `tcp_error`.",
        ),
        Hook(
            "tls_clienthello",
            "data",
            "tls",
            "A client began TLS. `data.sni` is the name it asks for; set "
            "`data.ignore_connection = True` to pass its TLS through untouched.",
        ),
        Hook("tls_established_client", "data", "tls", "TLS with a client is agreed."),
        Hook(
            "tls_failed_client",
            "data",
            "tls",
            "TLS with a client failed, most often because it does not trust our CA; "
            "`data.conn.error` says why.",
        ),
        Hook("tls_established_server", "data", "tls", "TLS with a server is agreed."),
        Hook(
            "tls_failed_server",
            "data",
            "tls",
            "TLS with a server failed; `data.conn.error` says which check.",
        ),
    )
}

_BY_ANY_NAME: dict[str, str] = {
    name: hook.name for hook in HOOKS.values() for name in (hook.name, *hook.aliases)
}


def canonical(name: str) -> str:
    """Our name of a hook, given any of its names.

    Raises:
        ValueError: There is no such hook; the message names the nearest.
    """
    try:
        return _BY_ANY_NAME[name]
    except (KeyError, TypeError):
        near = difflib.get_close_matches(str(name), _BY_ANY_NAME, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(HOOKS)}"
        raise ValueError(f"there is no hook {name!r}; {hint}") from None


def all_names() -> list[str]:
    """Every name that `canonical` takes, for completion."""
    return list(_BY_ANY_NAME)


@dataclass(slots=True)
class TLSData:
    """What handlers of the `tls_*` hooks get.

    Attributes:
        conn: The connection on which TLS is spoken: a `Client` or a `Server`.
        client: The client on whose behalf, also in `tls_*_server`.
        sni: The server name in question, None if there was none.
        alpn_offers: The protocols that the ClientHello offered.
        ignore_connection: Set to True in `tls_clienthello`: pass the bytes through untouched.
        establish_server_tls_first: Whether the server is connected to before the client's TLS is
            answered, for the names in its certificate; may be set in `tls_clienthello`.
    """

    conn: object
    client: object | None = None
    sni: str | None = None
    alpn_offers: tuple[str, ...] = ()
    ignore_connection: bool = False
    establish_server_tls_first: bool = False
