"""Clients that write bytes, not requests, and keep every byte they get back."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.support import strict
from tests.support.origins import TIMEOUT_S, Ended, reset

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from types import TracebackType


@dataclass(frozen=True)
class Answer:
    """All that came back on a connection.

    Attributes:
        raw: The bytes.
        ended: How the proxy ended it: "fin", "reset", or "silent" if it did not.
        responses: The whole responses, strictly read.
        partial: The bytes of a response that is not whole.
    """

    raw: bytes
    ended: Ended
    responses: list[strict.Message]
    partial: bytes

    @property
    def statuses(self) -> list[int]:
        """The status codes, interim ones too."""
        return [response.status for response in self.responses]


class RawClient:
    """A connection to the proxy.

    Args:
        port: Of the proxy.
        host: Where it listens.
        timeout_s: How long to wait for anything.

    Attributes:
        received: Every byte that came so far.
        ended: How the proxy ended the connection; "" while it has not.
    """

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_s: float = TIMEOUT_S) -> None:
        self.sock: socket.socket = socket.create_connection((host, port), timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.ended: Ended = ""
        self._taken = 0

    @property
    def address(self) -> tuple[str, int]:
        """Our end."""
        name = self.sock.getsockname()
        return name[0], name[1]

    def send(self, data: bytes) -> bool:
        """Send all of it; False if the proxy is gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def drip(self, data: bytes) -> bool:
        """Send byte by byte, each in a packet of its own."""
        return all(self.send(data[i : i + 1]) for i in range(len(data)))

    def half_close(self) -> None:
        """End our side; go on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection."""
        reset(self.sock)

    def close(self) -> None:
        """Close it as programs do: FIN, and nothing is read any more."""
        self.sock.close()

    def start_tls(self, context: ssl.SSLContext, name: str | None) -> None:
        """Speak TLS from here on; an end without close_notify counts as a reset.

        Raises:
            OSError: The handshake failed.
        """
        self.sock = context.wrap_socket(self.sock, server_hostname=name, suppress_ragged_eofs=False)

    def _more(self) -> bool:
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            self.ended = "silent"
        except OSError:
            self.ended = "reset"
        else:
            if data:
                self.received += data
                return True
            self.ended = "fin"
        return False

    def read_until(self, mark: bytes) -> bytes:
        """Read until these bytes have come; gives all that came since the last `read_until`.

        Raises:
            AssertionError: The connection ended before.
        """
        while (found := self.received.find(mark, self._taken)) < 0:
            assert self._more(), f"{self.ended} before {mark!r}: {bytes(self.received[-500:])!r}"
        begin, self._taken = self._taken, found + len(mark)
        return bytes(self.received[begin : self._taken])

    def read_response(self, method: bytes = b"GET") -> strict.Message:
        """The next whole response that has framing.

        Raises:
            AssertionError: The connection ended before, or it is ambiguous.
        """
        while (found := strict.first_response(bytes(self.received[self._taken :]), method)) is None:
            assert self._more(), f"{self.ended} in a response: {bytes(self.received[-500:])!r}"
        self._taken += found[1]
        return found[0]

    def read_all(self) -> bytes:
        """Every byte until the proxy ends the connection, whatever it is."""
        while not self.ended and self._more():
            pass
        return bytes(self.received)

    def read_to_end(self, methods: Sequence[bytes] = ()) -> Answer:
        """Everything until the proxy ends the connection."""
        raw = self.read_all()
        found, partial = strict.read_responses(raw, methods, ended=self.ended == "fin")
        return Answer(raw, self.ended, found, partial)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def exchange(
    port: int, data: bytes, methods: Sequence[bytes] = (), *, half_close: bool = False
) -> Answer:
    """Send bytes on a new connection, and read until the proxy ends it."""
    with RawClient(port) as client:
        client.send(data)
        if half_close:
            client.half_close()
        return client.read_to_end(methods)
