"""Real proxies, scripted origins and bare clients, all on loopback.

The fixtures at the end come into a folder of tests by its `conftest.py`. A `Wire` is a
socket that reads and writes HTTP/1.1 in plain view; an `Origin` is a server whose every connection
is served by a function of such a `Wire`, so that a test says byte by byte what a server does.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import pytest
from site_certificate import make_server_context
from site_server import Site

from nbproxy import Proxy
from nbproxy.engine import client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 90.0
"""How long anything may take that should happen soon; it costs only failing tests time."""

Fields = list[tuple[bytes, bytes]]


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds that other threads bring about; fails after `PATIENCE_S`."""
    ends_at = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        if time.monotonic() > ends_at:
            raise AssertionError(f"it never came to pass: {what or condition}")
        pause.wait(0.005)


def alone() -> None:
    """Wait until the threads have ended that earlier tests left: a writer rests after seconds."""

    def left() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("nbproxy")]

    if left():
        gc.collect()
        wait_until(lambda: not left(), "the end of other tests' threads")


@dataclass
class Message:
    """A request or a response as it came over the wire, chunks joined."""

    first: bytes
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    def __getitem__(self, name: bytes) -> bytes:
        """The only value of a field."""
        (value,) = self.all(name)
        return value

    def all(self, name: bytes) -> list[bytes]:
        """All values of a field."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    @property
    def method(self) -> bytes:
        """Method of a request."""
        return self.first.split(b" ")[0]

    @property
    def target(self) -> bytes:
        """Target of a request."""
        return self.first.split(b" ")[1]

    @property
    def status(self) -> int:
        """Status of a response."""
        return int(self.first.split(b" ")[1])


class Wire:
    """A connected socket, read and written as HTTP/1.1.

    Args:
        sock: The socket; it is owned.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE_S)
        self._data = b""

    @classmethod
    def to(cls, port: int, host: str = "127.0.0.1") -> Wire:
        """Connect."""
        return cls(socket.create_connection((host, port), PATIENCE_S))

    @classmethod
    def through(
        cls, proxy: Proxy, port: int, host: str = "127.0.0.1", *, sni: str | None = None
    ) -> Wire:
        """A tunnel, and in it TLS that trusts the proxy's CA and is as strict as can be."""
        wire = cls.tunnel(proxy, port, host)
        context = ssl.create_default_context(cafile=proxy.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        wire.start_tls(context, sni or host)
        return wire

    @classmethod
    def tunnel(cls, proxy: Proxy, port: int, host: str = "127.0.0.1") -> Wire:
        """A tunnel in which nothing was said yet."""
        wire = cls.to(proxy.port)
        target = b"%b:%d" % (host.encode(), port)
        wire.send(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target))
        return wire._opened()

    def _opened(self) -> Wire:
        answer = self.head()
        if answer is None or answer.status != 200:
            raise AssertionError(f"no tunnel: {answer}")
        return self

    def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Begin TLS as a client; what was read ahead must be nothing."""
        if self._data:
            raise AssertionError(f"bytes before TLS: {self._data!r}")
        self.sock = context.wrap_socket(self.sock, server_hostname=name)

    @property
    def tls(self) -> ssl.SSLSocket:
        """The socket, with what TLS has agreed."""
        return cast("ssl.SSLSocket", self.sock)

    # -- writing

    def send(self, *data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(b"".join(data))

    def get(self, url: str, *lines: bytes, method: bytes = b"GET") -> Message:
        """Send a request without a body and read the answer."""
        self.ask(url, *lines, method=method)
        return self.answer(method)

    def ask(self, url: str, *lines: bytes, method: bytes = b"GET") -> None:
        """Send a request without a body."""
        self.send(request(url, *lines, method=method))

    def end(self) -> None:
        """End our side; the other one may go on."""
        self.sock.shutdown(socket.SHUT_WR)

    # -- reading

    def some(self) -> bytes:
        """Whatever comes next; b"" at the end."""
        data, self._data = self._data, b""
        return data or self.sock.recv(256 * 1024)

    def until(self, end: bytes) -> bytes:
        """All up to and with `end`; less if the peer closes before."""
        while end not in self._data:
            more = self.sock.recv(64 * 1024)
            if not more:
                data, self._data = self._data, b""
                return data
            self._data += more
        data, found, self._data = self._data.partition(end)
        return data + found

    def exactly(self, count: int) -> bytes:
        """So many bytes; less if the peer closes before."""
        pieces: list[bytes] = []
        while count:
            piece = self.some()
            if not piece:
                break
            if len(piece) > count:
                piece, self._data = piece[:count], piece[count:]
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def rest(self) -> bytes:
        """All until the peer closes."""
        return b"".join(iter(self.some, b""))

    @property
    def is_closed(self) -> bool:
        """Waits for the peer to speak or close; True if it closed, in order or not."""
        try:
            return self.some() == b""
        except ConnectionResetError:
            return True

    def head(self) -> Message | None:
        """The next head, its body not read; None if the peer closed."""
        raw = self.until(b"\r\n\r\n")
        if not raw:
            return None
        first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        return Message(first, [_field(line) for line in lines])

    def message(self, method: bytes = b"") -> Message | None:
        """The next request, or response to a request with this method; None if the peer closed."""
        message = self.head()
        if message is None:
            return None
        status = message.status if message.first.startswith(b"HTTP/") else 0
        if method == b"HEAD" or status in {204, 304} or 100 <= status < 200:
            return message
        if b"chunked" in message.all(b"transfer-encoding"):
            message.body = b"".join(iter(self._chunk, b""))
            while (line := self.until(b"\r\n")) != b"\r\n":
                message.trailers.append(_field(line.removesuffix(b"\r\n")))
        elif length := message.all(b"content-length"):
            message.body = self.exactly(int(length[0]))
        elif status:
            message.body = self.rest()
        return message

    def _chunk(self) -> bytes:
        line = self.until(b"\r\n")
        if not line:
            raise ConnectionError("closed in the middle of a chunked body")
        size = int(line.split(b";")[0], 16)
        data = self.exactly(size)
        if size:
            self.exactly(2)
        return data

    def answer(self, method: bytes = b"GET") -> Message:
        """The next response, which must come."""
        message = self.message(method)
        if message is None:
            raise AssertionError("the connection was closed without an answer")
        return message

    def close(self) -> None:
        """Close it."""
        self.sock.close()

    def reset(self) -> None:
        """Close it so that the peer gets a RST."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name, value.strip()


def request(url: str, *lines: bytes, method: bytes = b"GET") -> bytes:
    """A request as a client sends it to a proxy; without a scheme, as inside a tunnel."""
    host = url.split("/")[2] if "://" in url else "inside.test"
    if any(line.lower().startswith(b"host:") for line in lines):
        first: tuple[bytes, ...] = ()
    else:
        first = (b"Host: " + host.encode(),)
    return b"\r\n".join((method + b" " + url.encode() + b" HTTP/1.1", *first, *lines, b"", b""))


def response(body: bytes = b"", *lines: bytes, status: int = 200) -> bytes:
    """A response with a Content-Length."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 %d Fine" % status, *lines, length, b"", body))


def answering(function: Callable[[Message], bytes]) -> Callable[[Wire], None]:
    """Serve a connection by answering one request after the other."""

    def serve(wire: Wire) -> None:
        while (message := wire.message()) is not None:
            wire.send(function(message))

    return serve


class Origin:
    """A server on a free port; each connection is served by a function in a thread of its own.

    Args:
        serve: Serves one connection; the connection is closed when it returns.
        context: For TLS.

    Attributes:
        port: Where it listens.
        url: The same, without a slash at the end.
        wires: All connections so far, TLS agreed.
        attempts: How many were begun.
    """

    def __init__(
        self, serve: Callable[[Wire], None], context: ssl.SSLContext | None = None
    ) -> None:
        self._serve = serve
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.wires: list[Wire] = []
        self.attempts = 0
        self._sockets: list[socket.socket] = []
        self._faults: list[Exception] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.attempts += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        with contextlib.closing(sock):
            try:
                sock.settimeout(PATIENCE_S)
                if self._context is not None:
                    # wrapping a socket whose peer has gone leaves one behind that nobody closes
                    if not sock.recv(1, socket.MSG_PEEK):
                        return
                    sock = self._context.wrap_socket(
                        sock, server_side=True, do_handshake_on_connect=False
                    )
                    sock.do_handshake()
                wire = Wire(sock)
                self.wires.append(wire)
                self._serve(wire)
            except OSError:
                pass  # the proxy hung up, which tests see at its other end
            except Exception as error:  # noqa: BLE001 - raised again in `close`
                self._faults.append(error)
            finally:
                sock.close()

    def close(self) -> None:
        """Close all of it; raises what the serving function raised."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(PATIENCE_S)  # whom it has just let in is in the list, too
        for sock in [*self._sockets, *(wire.sock for wire in self.wires)]:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for fault in self._faults:
            raise fault


@dataclass(frozen=True)
class Identity:
    """A certificate for loopback names, and the CA to trust for it."""

    context: ssl.SSLContext
    ca_file: Path


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The bundled local site."""
    with Site() as site:
        yield site


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """What scripted TLS origins show."""
    return Identity(*make_server_context(tmp_path_factory.mktemp("identity")))


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one CA for all proxies."""
    return tmp_path_factory.mktemp("confdir")


@pytest.fixture(scope="session")
def trusted(site: Site, identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the CAs of the site and of scripted origins."""
    bundle = tmp_path_factory.mktemp("trusted") / "ca.pem"
    bundle.write_bytes(Path(site.ca_file).read_bytes() + identity.ca_file.read_bytes())
    return str(bundle)


@pytest.fixture
def patient_tunnels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients may take their time after CONNECT: no server is asked whether it speaks first."""
    monkeypatch.setattr(client, "_SERVER_FIRST_S", PATIENCE_S)


@pytest.fixture
def impatient_tunnels(monkeypatch: pytest.MonkeyPatch, patient_tunnels: None) -> None:
    """A server is asked at once whether it speaks first."""
    monkeypatch.setattr(client, "_SERVER_FIRST_S", 0.05)


@pytest.fixture
def make_proxy(confdir: Path, trusted: str) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies on threads of their own: `make_proxy(stream_large_bodies="1k")`."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Proxy:
            options = {"ssl_verify_upstream_trusted_ca": trusted, **options}
            proxy = Proxy(**{"port": 0, "confdir": str(confdir), **options})
            return stack.enter_context(proxy)

        yield make
    leftover = [t.name for t in threading.enumerate() if t.name == "nbproxy"]
    if leftover:
        raise AssertionError(f"threads are left: {leftover}")


@pytest.fixture
def proxy(make_proxy: Callable[..., Proxy]) -> Proxy:
    """A proxy with default options, started."""
    return make_proxy()


@pytest.fixture
def make_origin(identity: Identity) -> Iterator[Callable[..., Origin]]:
    """Starts scripted origins: `make_origin(serve, tls=True)`."""
    with contextlib.ExitStack() as stack:

        def make(serve: Callable[[Wire], None], *, tls: bool = False) -> Origin:
            origin = Origin(serve, identity.context if tls else None)
            stack.callback(origin.close)
            return origin

        yield make


@pytest.fixture
def connect() -> Iterator[Callable[..., Wire]]:
    """Connects bare clients: `connect(proxy)`, `connect(proxy, tunnel=port)`, `tls=port`."""
    with contextlib.ExitStack() as stack:

        def make(
            proxy: Proxy, *, tunnel: int = 0, tls: int = 0, host: str = "127.0.0.1", sni: str = ""
        ) -> Wire:
            if tls:
                wire = Wire.through(proxy, tls, host, sni=sni or None)
            elif tunnel:
                wire = Wire.tunnel(proxy, tunnel, host)
            else:
                wire = Wire.to(proxy.port)
            return stack.enter_context(wire)

        yield make


def only_flow(proxy: Proxy) -> Any:
    """The one flow of a proxy, when it is over."""
    wait_until(lambda: len(proxy.flows) and not proxy.flows[-1].live, "a flow that is over")
    (flow,) = proxy.flows
    return flow


def last_flow(proxy: Proxy) -> Any:
    """The newest flow of a proxy, when it is over."""
    wait_until(lambda: len(proxy.flows) and not proxy.flows[-1].live, "a flow that is over")
    return proxy.flows[-1]
