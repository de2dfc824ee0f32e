"""WebSocket peers: servers of the `websockets` library, and bare ones that say what they like.

    url = serve_websocket(echo, tls=True)
    with open_websocket(proxy, url) as websocket: ...

The fixtures come into a folder of tests by its `conftest.py`, beside those of `proxies`.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.support import frames
from tests.support.proxies import PATIENCE_S, Identity, Wire, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbproxy import Proxy

# no limit of size; no pings of their own, to which an answer might come late
PATIENT = {"max_size": None, "close_timeout": PATIENCE_S, "ping_interval": None}

HANDSHAKE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + frames.KEY,
)
"""The fields of a request for a WebSocket."""


def accept(key: bytes, *lines: bytes) -> bytes:
    """A 101 that begins a WebSocket, with more fields if need be."""
    return b"\r\n".join(
        (
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + frames.accept_of(key),
            *lines,
            b"",
            b"",
        )
    )


def echo(websocket: ServerConnection) -> None:
    """Send each message back."""
    for message in websocket:
        websocket.send(message)


def serving(
    script: Callable[[Wire], object] | None = None, *lines: bytes
) -> Callable[[Wire], None]:
    """A bare server for `Origin`: it does the handshake, then the script has the connection."""

    def run(wire: Wire) -> None:
        message = wire.message()
        if message is None:
            return
        wire.send(accept(message[b"sec-websocket-key"], *lines))
        if script is not None:
            script(wire)

    return run


def begin(wire: Wire, url: str, *lines: bytes, early: bytes = b"") -> None:
    """Do the handshake as a bare client."""
    wire.send(request(url, *HANDSHAKE, *lines) + early)
    head = wire.head()
    if head is None or head.status != 101:
        raise AssertionError(f"no WebSocket: {head}")
    if head[b"sec-websocket-accept"] != frames.ACCEPT:
        raise AssertionError("a wrong Sec-WebSocket-Accept")


def next_frame(wire: Wire) -> frames.Frame | None:
    """The next frame; None if the peer closed or reset the connection before its end."""
    data = b""
    wanted = 2
    with contextlib.suppress(ConnectionResetError):
        while more := wire.exactly(wanted):
            data += more
            found, _ = frames.read(data)
            if found:
                return found[0]
            wanted = frames.missing(data)
    return None


def rest_of(wire: Wire) -> list[frames.Frame]:
    """All frames until the connection ends, in order or not."""
    return list(iter(lambda: next_frame(wire), None))


@pytest.fixture
def serve_websocket(identity: Identity) -> Iterator[Callable[..., str]]:
    """Starts servers: `serve_websocket(handler, tls=True, compression=None)`; gives the URL."""
    servers: list[tuple[Server, threading.Thread]] = []

    def make(
        handler: Callable[[ServerConnection], object] = echo, *, tls: bool = False, **options: Any
    ) -> str:
        context = identity.context if tls else None
        options = {**PATIENT, **options}
        server = serve(handler, "127.0.0.1", 0, ssl=context, **options)  # type: ignore[arg-type] # it may return
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        port = server.socket.getsockname()[1]
        return f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"

    yield make
    for server, thread in servers:
        server.shutdown()
        thread.join(PATIENCE_S)


@pytest.fixture
def open_websocket() -> Iterator[Callable[..., ClientConnection]]:
    """Opens WebSockets through a proxy: `open_websocket(proxy, url, compression=None)`."""
    with contextlib.ExitStack() as stack:

        def make(proxy: Proxy, url: str, **options: Any) -> ClientConnection:
            context = None
            if url.startswith("wss:"):
                context = ssl.create_default_context(cafile=proxy.ca_file)
            options = {**PATIENT, **options}
            found: ClientConnection = stack.enter_context(
                connect(url, proxy=proxy.url, ssl=context, open_timeout=PATIENCE_S, **options)
            )
            return found

        yield make
