"""A small web site on this machine, HTTP and HTTPS, for the tutorials and the tests.

From a notebook in the folder above:

    import sys; sys.path.append("site")
    from site_server import Site; site = Site()

It listens on two free loopback ports, in daemon threads, until `site.stop()` or the end of the
program. Its certificate comes from a CA made for this one run: hand `site.ca_file` to whoever has
to verify it. It prints nothing; what was asked of it stands in `site.log`. `site_handler.ROUTES`
lists what it serves.
"""

from __future__ import annotations

import collections
import contextlib
import shutil
import socket
import ssl
import tempfile
import threading
import weakref
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from site_certificate import make_server_context
from site_handler import Handler

if TYPE_CHECKING:
    from types import TracebackType


class Site:
    """The local site, running from its construction until `stop()`; also a context manager.

    Args:
        host: The loopback address to listen on.

    Attributes:
        http_url: Where it answers, without a slash at the end.
        https_url: The same over TLS.
        ca_file: PEM file of the CA to trust; gone after `stop()`.
        log: The latest requests as lines such as "https GET /api/users?page=2 200".
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.log: collections.deque[str] = collections.deque(maxlen=10_000)
        folder = Path(tempfile.mkdtemp(prefix="nbproxy-site-"))
        self._remove_folder = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        context, ca_file = make_server_context(folder)
        self.ca_file = str(ca_file)
        self._servers = (Server(host, self.log, None), Server(host, self.log, context))
        self.http_url, self.https_url = (server.url for server in self._servers)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.1,), name=server.url, daemon=True)
            for server in self._servers
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the site and every connection to it; a second call does nothing."""
        for server, thread in zip(self._servers, self._threads, strict=True):
            if thread.is_alive():
                server.stop()
                thread.join()
        self._remove_folder()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Site {self.http_url} {self.https_url}>"


class Server(ThreadingHTTPServer):
    """One listening port, which knows its open connections so that it can end them."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, host: str, log: collections.deque[str], context: ssl.SSLContext | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.log = log
        self.stopping = threading.Event()
        self._context = context
        self._lock = threading.Lock()  # each connection's thread changes the table, stop() reads it
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__((host, 0), Handler)
        self.scheme = "https" if context else "http"
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{self.scheme}://{shown}:{self.server_address[1]}"

    def server_bind(self) -> None:
        """Binds without looking up its own name, which takes seconds where there is no DNS."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self) -> tuple[socket.socket, object]:
        """Accepts a connection; its TLS handshake happens at the first read, in its own thread."""
        connection, address = self.socket.accept()
        if self._context:
            connection = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def finish_request(self, request: object, client_address: object) -> None:
        """Serves a connection to its end."""
        connection = cast("socket.socket", request)  # the base class takes datagrams, too
        with self._lock:
            if self.stopping.is_set():
                return
            self._open[connection] = threading.current_thread()
        try:
            with contextlib.suppress(OSError):  # clients leave, and distrust us, as they please
                super().finish_request(connection, client_address)
        finally:
            with self._lock:
                del self._open[connection]

    def shutdown_request(self, request: object) -> None:
        """Closes a connection, TLS with a close_notify: a body may end there."""
        if isinstance(request, ssl.SSLSocket):
            # Without waiting for the peer's own.
            with contextlib.suppress(OSError, ValueError):
                request.settimeout(0)
                request.unwrap()
        super().shutdown_request(request)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Closes the port and every connection, and waits for their threads."""
        self.shutdown()
        self.server_close()
        with self._lock:
            self.stopping.set()
            left = dict(self._open)
        for connection, thread in left.items():
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which takes the TLS object away from under its thread.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            thread.join()
