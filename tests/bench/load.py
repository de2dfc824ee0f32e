"""The load: blocking sockets, canned requests, and the least reading that finds a response's end.

Many connections are served by one thread that goes round: it reads the oldest answer, asks the next
question on that connection, and goes to the next. All others are waiting for the proxy meanwhile,
so a proxy that answers more or less in order is never without work, and we cost two system calls a
request. Only where each request makes a connection there are threads: handshakes take time.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import statistics
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.bench.processes import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

_HOST: Final = "127.0.0.1"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_FIELDS: Final = (
    b"User-Agent: bench/1\r\nAccept: application/json, */*;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n"
)
_BUFFER: Final = 256 * 1024
# A limit kept by the operating system: a socket with a time-out of Python's asks twice.
_SILENT_S: Final = 30


@dataclass(frozen=True)
class Route:
    """How to get to the origin.

    Attributes:
        origin: Its port.
        proxy: The proxy's port; None to go there directly.
        tls: Whether the origin speaks TLS.
        stamped: Whether small answers must bear the mark of the proxy's handler.
    """

    origin: int
    proxy: int | None
    tls: bool
    stamped: bool = False

    def request(self, path: str) -> bytes:
        """A request for a path, as it is sent on this way."""
        base = "" if self.proxy is None or self.tls else f"http://{_HOST}:{self.origin}"
        line = f"GET {base}{path} HTTP/1.1\r\nHost: {_HOST}:{self.origin}\r\n"
        return line.encode() + _FIELDS + b"\r\n"


def _client_context() -> ssl.SSLContext:
    """Verifies nothing: that would cost us time and tell us nothing about the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_CONTEXT: Final = _client_context()


class Wire:
    """A connection to the origin, ready for requests.

    Args:
        route: The way.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._head = b"\0"
        self._size = 0
        self.sock = sock = socket.create_connection((_HOST, route.proxy or route.origin))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _SILENT_S, 0))
            if route.tls:
                if route.proxy is not None:
                    self._open_tunnel()
                self.sock = _CONTEXT.wrap_socket(sock)
        except BaseException:
            self.close()
            raise

    def _open_tunnel(self) -> None:
        where = f"{_HOST}:{self._route.origin}"
        self.sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            more = self.sock.recv(4096)
            if not more:
                raise BenchError("the proxy closed the connection after CONNECT")
            answer += more
        if b" 200 " not in answer[:13]:
            raise BenchError(f"the proxy refused a tunnel: {answer!r}")

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.sock.sendall(request)

    def take(self) -> int:
        """Read an answer to its end; its body's size."""
        got = self.sock.recv_into(self._view)
        if got == self._size and self._buffer.startswith(self._head):
            return got - len(self._head)  # the same as the last one
        return self._take_other(got)

    def _take_other(self, got: int) -> int:
        while (end := self._buffer.find(b"\r\n\r\n", 0, got)) < 0:
            more = self.sock.recv_into(self._view[got:])
            if not more:
                raise BenchError("the connection was closed in place of an answer")
            got += more
        head = bytes(self._view[: end + 4])
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise BenchError(f"not the origin's answer: {bytes(self._view[:got])!r}")
        size = int(length[1])
        whole = len(head) + size
        if whole <= _BUFFER:
            if self._route.stamped and b"x-bench: 1" not in head.lower():
                raise BenchError(f"the handler did not run: {head!r}")
            self._head, self._size = head, whole
        left = whole - got
        while left > 0:
            more = self.sock.recv_into(self._view[:left])
            if not more:
                raise BenchError("the connection was closed in the middle of an answer")
            left -= more
        if left < 0:
            raise BenchError("there are bytes after an answer")
        return size

    def close(self) -> None:
        """Close it."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Load:
    """What a load has measured.

    Attributes:
        requests: How many were answered.
        seconds: In which time.
        cpu_s: Processor time that was taken meanwhile by whom it was asked of.
    """

    requests: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time for one request, in microseconds."""
        return self.cpu_s / self.requests * 1e6


def keep_alive(route: Route, connections: int, seconds: float, cpu_s: Callable[[], float]) -> Load:
    """Small requests without pause over connections that stay open."""
    request = route.request("/json")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(route)) for _ in range(connections)]
        for wire in wires:  # warm, and checked
            wire.ask(request)
            wire.take()
        cpu_before = cpu_s()
        started = time.perf_counter()
        ends_at = started + seconds
        for wire in wires:
            wire.ask(request)
        count = 0
        while time.perf_counter() < ends_at:
            for wire in wires:
                wire.take()
                wire.ask(request)
            count += connections
        for wire in wires:
            wire.take()
        count += connections
        took = time.perf_counter() - started
        return Load(count, took, cpu_s() - cpu_before)


def paced(
    route: Route, connections: int, rate: float, seconds: float, cpu_s: Callable[[], float]
) -> Load:
    """Small requests over connections that stay open, so many a second and no more.

    They go in salvos, one request on each connection; a proxy that is too slow gets fewer.
    """
    request = route.request("/json")
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(route)) for _ in range(connections)]
        cpu_before = cpu_s()
        started = time.perf_counter()
        count = 0
        while (passed := time.perf_counter() - started) < seconds:
            ahead_s = count / rate - passed
            if ahead_s > 0:
                time.sleep(ahead_s)
            for wire in wires:
                wire.ask(request)
            for wire in wires:
                wire.take()
            count += connections
        return Load(count, passed, cpu_s() - cpu_before)


def new_connections(
    route: Route, at_a_time: int, seconds: float, cpu_s: Callable[[], float]
) -> Load:
    """Small requests, each on a connection of its own."""
    request = route.request("/json")
    counts = [0] * at_a_time
    faults: list[Exception] = []

    def one() -> None:
        with Wire(route) as wire:
            wire.ask(request)
            wire.take()

    def work(index: int) -> None:
        try:
            while not counts[index] or time.perf_counter() < ends_at:
                one()
                counts[index] += 1
        except Exception as fault:  # noqa: BLE001 - raised again in the caller's thread
            faults.append(fault)

    one()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(at_a_time)]
    cpu_before = cpu_s()
    started = time.perf_counter()
    ends_at = started + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    for fault in faults:
        raise fault
    return Load(sum(counts), took, cpu_s() - cpu_before)


def latency_us(route: Route, requests: int) -> float:
    """The median time of small requests one after the other on one connection."""
    request = route.request("/json")
    clock = time.perf_counter_ns
    took = []
    with Wire(route) as wire:
        for _ in range(requests // 10 + 1):
            wire.ask(request)
            wire.take()
        for _ in range(requests):
            started = clock()
            wire.ask(request)
            wire.take()
            took.append(clock() - started)
    return statistics.median(took) / 1000


def download(route: Route, size_bytes: int) -> float:
    """How many seconds one large answer takes."""
    with Wire(route) as wire:
        request = route.request(f"/zeros/{size_bytes}")
        started = time.perf_counter()
        wire.ask(request)
        got = wire.take()
        took = time.perf_counter() - started
    if got != size_bytes:
        raise BenchError(f"{got} bytes came in place of {size_bytes}")
    return took
