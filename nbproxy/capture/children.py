"""Which subprocess of ours has a connection: by Linux's `/proc`, and not at all elsewhere.

Looking takes a millisecond or more, so it is done once for a connection, only while there are
subprocesses, and altogether for a small part of the time, which may be saved up a little: beyond
that connections stay unknown. What counts is the processor's time: on a busy machine, looking that
had to wait has cost nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC: Final = Path("/proc")
_MANY: Final = 200  # processes to look at
#: Part of the time that looking may take.
SHARE: Final = 0.05
#: How much of that may be saved up, in seconds.
SAVED_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Child:
    """A process that this one has started.

    Attributes:
        pid: Its number.
        started: When, in seconds since the machine was started.
    """

    pid: int
    started: float


class Children:
    """Finds subprocesses. Not thread-safe: one thread at a time runs the proxy."""

    def __init__(self, proc: Path = _PROC, share: float = SHARE, saved_s: float = SAVED_S) -> None:
        self._proc = proc
        self._share = share
        self._most_s = self._left_s = saved_s
        self._counted = time.monotonic()

    def with_port(self, host: str, port: int) -> Child | None:
        """The direct child of this process that has this end of a connection, or whose child has.

        Args:
            host: The address of that end.
            port: Its port.
        """
        began = time.monotonic()
        self._left_s = min(self._most_s, self._left_s + (began - self._counted) * self._share)
        self._counted = began
        if self._left_s <= 0:
            return None
        worked = time.thread_time()
        try:
            return self._look(host, port)
        except (OSError, ValueError, IndexError):  # no such thing here; a process that just ended
            return None
        finally:
            self._left_s -= time.thread_time() - worked

    def _look(self, host: str, port: int) -> Child | None:
        own = os.getpid()
        children = list(self._children(own))
        if not children:
            return None
        inode = self._inode(host, port)
        if inode is None:
            return None
        wanted = f"socket:[{inode}]"
        looked_at = 0
        for child in reversed(children):  # the youngest is the likeliest
            family = [child]
            for pid in family:
                looked_at += 1
                if looked_at > _MANY:
                    return None
                if wanted in self._descriptors(pid):
                    return Child(child, self._started(child))
                family.extend(self._children(pid))
        return None

    def _children(self, pid: int) -> Iterator[int]:
        with contextlib.suppress(OSError):
            for thread in (self._proc / str(pid) / "task").iterdir():
                with contextlib.suppress(OSError):
                    yield from map(int, (thread / "children").read_text().split())

    def _descriptors(self, pid: int) -> Iterator[str]:
        with contextlib.suppress(OSError):
            for each in (self._proc / str(pid) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    yield str(each.readlink())

    def _inode(self, host: str, port: int) -> str | None:
        """The number of the socket with this local address (proc_net_tcp(5))."""
        table = self._proc / "net" / ("tcp6" if ":" in host else "tcp")
        ending = f":{port:04X}"
        for line in table.read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(ending) and fields[9] != "0":
                return fields[9]
        return None

    def _started(self, pid: int) -> float:
        """Field 22 of proc_pid_stat(5); the second one, in parentheses, may hold anything."""
        fields = (self._proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
