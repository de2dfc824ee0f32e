"""Functions of the standard library that say when they are called, while somebody watches.

Three methods are replaced by ones that tell and then do the same: `socket.socket.connect`,
`subprocess.Popen.__init__` and `threading.Thread.start`. Python's audit hooks (PEP 578) would
tell of the same without replacing anything, but cannot be taken out again, and slow down whatever
else they are told of: measured, `copy.deepcopy` takes twice the time for as long as the process
lives, since `id()` is among it.

What somebody else has replaced meanwhile stays as it is, with ours inside, telling nobody.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

logger = logging.getLogger(__name__)


class Listener(Protocol):
    """Whom they tell. On the thread that calls them, before they do it; quick."""

    def connecting(self, sock: socket.socket, address: Any, frame: FrameType) -> None:
        """A socket is about to be connected by this frame's code."""
        ...

    def spawning(self, frame: FrameType) -> None:
        """A process is about to be started."""
        ...

    def starting(self, thread: threading.Thread, frame: FrameType) -> None:
        """A thread is about to be started."""
        ...


class Patches:
    """The replacements.

    Args:
        listener: Whom they tell.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._active = False
        self._hears_forks = False
        self._methods = (
            _Method(socket.socket, "connect", self._connecting),
            _Method(subprocess.Popen, "__init__", self._spawning),
            _Method(threading.Thread, "start", self._starting),
        )

    def put_in(self) -> None:
        """Begin to tell; nothing happens if that has begun."""
        self._active = True
        for method in self._methods:
            method.replace()
        if not self._hears_forks and hasattr(os, "register_at_fork"):  # not on Windows
            self._hears_forks = True  # for good; it costs nothing but at forks
            os.register_at_fork(before=self._forking)

    def take_out(self) -> None:
        """Tell nothing any more."""
        self._active = False
        for method in self._methods:
            method.restore()

    def _connecting(self, frame: FrameType, sock: Any, args: tuple[Any, ...]) -> None:
        if self._active and args:
            self._listener.connecting(sock, args[0], frame)

    def _spawning(self, frame: FrameType, _: Any, __: tuple[Any, ...]) -> None:
        if self._active:
            self._listener.spawning(frame)

    def _starting(self, frame: FrameType, thread: Any, _: tuple[Any, ...]) -> None:
        if self._active:
            self._listener.starting(thread, frame)

    def _forking(self) -> None:
        """`os.fork` and `os.forkpty`, which `!` commands and multiprocessing use."""
        if self._active:
            try:
                self._listener.spawning(sys._getframe(1))  # noqa: SLF001 - who forks
            except Exception:
                logger.debug("a fork could not be looked at", exc_info=True)


class _Method:
    """A method of a class, replaced by one that tells first.

    Args:
        owner: The class.
        name: The method's name.
        tell: Called with the caller's frame, the object and the arguments.
    """

    def __init__(
        self, owner: type, name: str, tell: Callable[[FrameType, Any, tuple[Any, ...]], None]
    ) -> None:
        self._owner = owner
        self._name = name
        self._tell = tell
        self._original: Any = None
        self._is_own = False
        self._replacement: Any = None

    def replace(self) -> None:
        if self._replacement is not None and self._is_in:
            return
        self._original = original = getattr(self._owner, self._name)
        self._is_own = self._name in vars(self._owner)
        tell = self._tell

        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True  # IPython then shows the user's lines, not this one
            try:
                tell(sys._getframe(1), self, args)  # noqa: SLF001 - the caller
            except Exception:
                logger.debug("a call could not be looked at", exc_info=True)
            return original(self, *args, **kwargs)

        self._replacement = method
        setattr(self._owner, self._name, method)

    def restore(self) -> None:
        if not self._is_in:
            return
        if self._is_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)
        self._replacement = self._original = None

    @property
    def _is_in(self) -> bool:
        ours = self._replacement
        return ours is not None and vars(self._owner).get(self._name) is ours
