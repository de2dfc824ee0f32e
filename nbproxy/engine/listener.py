"""The listening socket, and the tasks of the connections that come in."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from nbproxy.engine.client import serve_client
from nbproxy.engine.sockets import SocketStream
from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.engine.core import Core

_BACKLOG: Final = 512


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Listener:
    """Accepts clients.

    Args:
        core: What all connections share.

    Attributes:
        host: The address it listens on.
        port: The port, known after `start`.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.host = core.options.listen_host
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], SocketStream] = {}
        self._waiting: list[SocketStream] = []
        self._stopped = False

    async def start(self, ports: Sequence[int]) -> None:
        """Listen on the first of these ports that is free.

        Raises:
            ConfigError: None of them is, or the address is not ours.
        """
        problem: OSError | None = None
        for port in ports:
            try:
                sock = _bind(self.host, port)
            except OSError as error:
                problem = error
                if error.errno not in _TAKEN:
                    break
                continue
            self.port = sock.getsockname()[1]
            self._server = await self.core.loop.create_server(
                self._protocol, sock=sock, backlog=_BACKLOG
            )
            self.core.own_addresses.add((self.host, self.port))
            self.core.upstream.own_addresses.add(sock.getsockname()[:2])
            return
        where = f"{self.host}:{ports[0]}"
        reason = problem.strerror if problem is not None else "no port given"
        raise ConfigError(
            f"cannot listen on {where}: {reason}. Choose another port, or port=0 for a free one."
        )

    def _protocol(self) -> SocketStream:
        return SocketStream(self.core.deadlines, "client", self._accepted)

    def _accepted(self, stream: SocketStream) -> None:
        if self._stopped:  # the loop had accepted it by then
            stream.abort()
            return
        if len(self._tasks) >= self.core.options.max_connections:
            # accepted by the kernel already; it waits, unread, until another one ends
            stream.transport.pause_reading()
            self._waiting.append(stream)
            return
        self._begin(stream)

    def _begin(self, stream: SocketStream) -> None:
        task = self.core.loop.create_task(serve_client(self.core, stream))
        self._tasks[task] = stream
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        stream = self._tasks.pop(task)
        if task.cancelled():  # perhaps before it began, so that it could not do it itself
            stream.abort()
        while self._waiting and len(self._tasks) < self.core.options.max_connections:
            stream = self._waiting.pop(0)
            if not stream.is_lost:
                stream.transport.resume_reading()
                self._begin(stream)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._tasks)

    async def stop(self) -> None:
        """Stop accepting, end all connections, and wait until they are gone."""
        self._stopped = True
        if self._server is not None:
            self._server.close()
            self._server = None
        for stream in self._waiting:
            stream.abort()
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _bind(host: str, port: int) -> socket.socket:
    """A listening address of our own; a restarted kernel gets the same one again at once.

    SO_REUSEADDR lets a port be taken while old connections are in TIME_WAIT. Never SO_REUSEPORT:
    that would share the port with another listener.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, for asyncio turns Nagle's algorithm off only then; with it on, an answer after a
    # handshake waited 40 ms for the client's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)  # two sockets may be bound to one port, but only one may listen
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


_TAKEN = frozenset((errno.EADDRINUSE, errno.EACCES))
