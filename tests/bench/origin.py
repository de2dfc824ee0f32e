"""An origin that answers with canned bytes, over HTTP and HTTPS: `python -m tests.bench.origin`.

It knows two resources: `/json`, 1 kB, and `/zeros/COUNT`, that many bytes. It looks at nothing in a
request but the target, for it must cost much less than what is measured.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from tests.support.origins import issue

if TYPE_CHECKING:
    import ssl

BODY: Final = json.dumps({"items": ["a line of some text"] * 60}).encode()[:1023] + b"\n"
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
    b"Content-Type: %b\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n"
)
_JSON: Final = _HEAD % (b"application/json", len(BODY)) + BODY
_PIECE: Final = bytes(128 * 1024)


class Answerer(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._asked = b""
        self._left = 0
        self._may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Requests, which have no bodies."""
        if self._asked:
            data = self._asked + data
        *heads, self._asked = data.split(b"\r\n\r\n")
        for head in heads:
            if head.startswith(b"GET /json"):
                self._transport.write(_JSON)
            else:
                self._left = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
                self._transport.write(_HEAD % (b"application/octet-stream", self._left))
                self._send()

    def _send(self) -> None:
        while self._left and self._may_write:
            size = min(self._left, len(_PIECE))
            self._left -= size
            self._transport.write(_PIECE[:size])

    def pause_writing(self) -> None:
        """The other side is slower than we."""
        self._may_write = False

    def resume_writing(self) -> None:
        """It takes more."""
        self._may_write = True
        self._send()


def make_context(ca_file: Path) -> ssl.SSLContext:
    """A context with a new certificate; the CA to trust for it is written to a file."""
    ca = issue("nbproxy bench", is_ca=True)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    ca_file.write_bytes(ca.pem)
    return issue("127.0.0.1", ca, names=[address]).context()


async def serve(context: ssl.SSLContext) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(Answerer, "127.0.0.1", 0, backlog=512)
    tls = await loop.create_server(Answerer, "127.0.0.1", 0, backlog=512, ssl=context)
    ports = [server.sockets[0].getsockname()[1] for server in (plain, tls)]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(make_context(Path(sys.argv[1]))))
