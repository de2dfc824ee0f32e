"""Making a runaway handler interruptible.

An idle kernel ignores SIGINT, so a handler that never ends, run on the main thread between cells,
could not be stopped. The guard listens to SIGINT for just the steps of a handler. It must not do
so while transport code runs: a KeyboardInterrupt there would leave a connection half done.
"""

from __future__ import annotations

import importlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# The C module below the signal module, which converts to enums and back: to ask, switch on and
# switch off takes 6 µs by that and 0.7 µs by this.
_c_module = importlib.import_module("_signal")
_signal: Callable[[int, Any], Any] = _c_module.signal
_getsignal: Callable[[int], Any] = _c_module.getsignal
_SIGINT = int(signal.SIGINT)
_IGNORE = int(signal.SIG_IGN)
_MAIN = threading.main_thread().ident


class Guard(Protocol):
    """Is told when a handler's code begins and stops to run on the proxy's thread."""

    def enter(self) -> None:
        """A handler's code runs from now on. May be followed by several `leave`."""
        ...

    def leave(self) -> None:
        """No handler's code runs any more."""
        ...


class InterruptGuard:
    """Lets SIGINT raise KeyboardInterrupt inside handlers on the main thread.

    Only where SIGINT is ignored otherwise; whoever has set a handler of his own keeps it. On
    other threads it does nothing: signals never arrive there.

    It raises once for each `enter`: the interrupt may come between the handler's last line and
    `leave`, and whoever catches it there to call `leave` again must not be hit by a second one.
    """

    def __init__(self) -> None:
        self._armed = False  # a signal is to raise
        self._installed = False  # SIGINT is to be ignored again

    def enter(self) -> None:
        """Turn it on, where that is ours to do."""
        if threading.get_ident() == _MAIN and _getsignal(_SIGINT) == _IGNORE:
            self._armed = self._installed = True  # first: the signal may come within the next line
            _signal(_SIGINT, self._interrupt)

    def leave(self) -> None:
        """Turn it off if it is on."""
        self._armed = False
        if self._installed and threading.get_ident() == _MAIN:
            _signal(_SIGINT, _IGNORE)
            self._installed = False

    def _interrupt(self, _signum: int, _frame: object) -> None:
        if self._armed:
            self._armed = False
            raise KeyboardInterrupt
