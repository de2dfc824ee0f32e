"""Clients that left while we wait for a server, told from those that only have said all.

A FIN from a client means one of two things: `shutdown`, after which it still wants its answer (RFC
9112, 9.6), or `close`, after which nobody is there any more and the server's work should end. TCP
shows no difference before we write, and then only if somebody looks. For a client on this machine
the kernel's table of sockets does: one that its owner has closed belongs to no inode. So the table
is read, once for all who are in question, a moment after a FIN came in the middle of an exchange,
and again now and then while the exchange lasts; of clients elsewhere we only learn that what we
wrote was answered by a reset. Other systems than Linux tell neither, and there we keep waiting.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nbproxy.engine.deadlines import NEVER
from nbproxy.errors import ConnectionFailed

if TYPE_CHECKING:
    import asyncio

    from nbproxy.engine.deadlines import Deadlines
    from nbproxy.engine.sockets import SocketStream
    from nbproxy.model.connection import Address

# The kernel sends the FIN of a `close` a moment before it takes the socket from its owner, and an
# exchange that ends within this time needs no look at all.
_FIRST_LOOK_S: Final = 0.05
_LATER_LOOKS_S: Final = 2.0
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


class Orphans:
    """Fails the sockets of clients that have closed in the middle of an exchange.

    Args:
        loop: Whose clock is used.
        deadlines: The loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines) -> None:
        self.deadline = NEVER
        self._loop = loop
        self._deadlines = deadlines
        self._watched: set[SocketStream] = set()

    def watch(self, socket: SocketStream) -> None:
        """The client's end was closed for sending: find out whether anybody still waits there.

        It is watched until it is lost, or nobody asks any more (`on_lost` is None).
        """
        self._watched.add(socket)
        self._deadlines.add(self)
        self._look_again(_FIRST_LOOK_S)

    def expire(self) -> None:
        """Time to look."""
        self._watched = {s for s in self._watched if not s.is_lost and s.on_lost is not None}
        if not self._watched:
            return
        tables = _read_tables() if any(map(_is_here, self._watched)) else []
        for socket in list(self._watched):
            if socket.is_reset or is_orphan(tables, socket.peername, socket.sockname):
                self._watched.discard(socket)
                socket.fail(ConnectionFailed("the client disconnected"))
        if self._watched:
            self._look_again(_LATER_LOOKS_S)

    def _look_again(self, seconds: float) -> None:
        self.deadline = min(self.deadline, self._loop.time() + seconds)
        self._deadlines.watch(self.deadline)


def _is_here(socket: SocketStream) -> bool:
    """Whether a peer is on this machine, and in our network namespace."""
    peer, ours = socket.peername, socket.sockname
    if peer is None or ours is None:
        return False
    return peer[0] == ours[0] or ip_address(peer[0].partition("%")[0]).is_loopback


def _read_tables() -> list[bytes]:
    tables = []
    for path in _TABLES:
        try:
            tables.append(path.read_bytes())
        except OSError:  # no IPv6, or no Linux
            continue
    return tables


def is_orphan(tables: list[bytes], peer: Address | None, ours: Address | None) -> bool:
    """Whether the other end of a connection is in the kernel's tables and belongs to nobody.

    Args:
        tables: What /proc/net/tcp and /proc/net/tcp6 say.
        peer: Address of the other end.
        ours: Address of our end.
    """
    if peer is None or ours is None:
        return False
    for one, other in zip(_spellings(peer), _spellings(ours), strict=False):
        ends = b" %b %b " % (one, other)
        for table in tables:
            begin = table.find(ends)
            if begin >= 0:
                line = table[begin : table.find(b"\n", begin)].split()
                return line[8] == b"0"  # the inode: local, remote, state, 5 more, inode
    return False


def _spellings(address: Address) -> list[bytes]:
    """An address as the tables spell it; one of IPv4 may belong to a socket of IPv6."""
    found = ip_address(address[0].partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None) or found
    spelled: list[IPv4Address | IPv6Address] = [mapped]
    if isinstance(mapped, IPv4Address):
        spelled.append(IPv6Address(b"\0" * 10 + b"\xff\xff" + mapped.packed))
    return [
        b"".join(b"%08X" % word for (word,) in struct.iter_unpack("=I", each.packed))
        + b":%04X" % address[1]
        for each in spelled
    ]
