"""`Capture`: the traffic of one cell or one `with` block."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

from nbproxy.capture import environment
from nbproxy.capture.bundle import Authority, files_for
from nbproxy.capture.process import SURROUNDINGS
from nbproxy.capture.watch import WATCH, since_boot
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    import pandas as pd

    from nbproxy.capture.origins import Origins
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.store import Store


class Host(Authority, Protocol):
    """What a capture needs of its proxy."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def store(self) -> Store:
        """Its flows."""
        ...

    @property
    def origins(self) -> Origins:
        """Its tracer."""
        ...


class Capture:
    """Sends what this process and its subprocesses ask for through a proxy, and tells it apart.

    A context manager, by `with` or `async with`, which do the same; it can be entered again, and
    goes on then. Captures may be nested: a request belongs to the innermost, and to that of the
    whole cell in which a block is. The environment belongs to the process, so while a capture is
    open, other threads' clients come through the proxy too; their requests count as part of the
    capture unless they are known to be another cell's.

    Args:
        host: The proxy.
        ready: Called before the environment is changed; the proxy listens afterwards.
        no_proxy: Hosts that clients are to leave alone, separated by commas; "" for none. By
            default those of the variable `no_proxy`, but for those that stand for this machine.

    Attributes:
        id: What `flow.metadata["capture"]` is for its flows, but for those of blocks in its cell.
        cell: The number of the cell it was opened in last, None outside of cells.
        is_whole_cell: Whether it is for all of that cell.
        is_open: Whether clients are sent through the proxy for it now.
        opened_at: When it was opened last, in seconds since the machine was started.
        flows: Its flows, live.
        bundle: The file of CA certificates that they are given.
        credentials: How its clients are known, "user:password".
    """

    def __init__(
        self,
        host: Host,
        ready: Callable[[], None],
        *,
        no_proxy: str | None = None,
    ) -> None:
        self.id = secrets.token_hex(4)
        self.cell: int | None = None
        self.is_whole_cell = False
        self._host = host
        self._ready = ready
        self._no_proxy = no_proxy
        self._blocks: set[str] = set()
        self._password = secrets.token_urlsafe(18)
        self.is_open = False
        self.opened_at = 0.0
        self.bundle = self._wget = ""
        self.credentials = f"nbproxy-{self.id}:{self._password}".encode()
        self.flows: Flows = Flows(host.store, self._has, since=next_id(host.store))
        self.flows.expression = ""

    def _has(self, flow: HTTPFlow) -> bool:
        noted = flow.metadata
        capture = noted.get("capture")
        return capture == self.id or (capture in self._blocks and noted.get("cell") == self.cell)

    def begins_inside(self, block: Capture) -> None:
        """Another one begins while this is open: a block of its cell is a part of that cell."""
        is_part = self.is_whole_cell and not block.is_whole_cell
        if is_part and self.cell is not None and block.cell == self.cell:
            self._blocks.add(block.id)

    @property
    def df(self) -> pd.DataFrame:
        """Its flows as a pandas DataFrame, one row each."""
        return self.flows.df

    # -- opening and closing

    def open(self) -> Self:
        """Begin, as `with` does.

        Raises:
            ConfigError: The proxy cannot listen, or a file for clients cannot be written.
            RuntimeError: It is open already.
        """
        if self.is_open:
            raise RuntimeError("this capture is open already; nbproxy.capture() makes another one")
        host = self._host
        self._ready()
        self.cell = WATCH.code.running() if WATCH.code is not None else None
        self.bundle, self._wget = files_for(host, SURROUNDINGS.otherwise())
        host.origins.opened(self)
        self.opened_at = since_boot()
        self.is_open = True
        try:
            SURROUNDINGS.enter(self)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End, as the end of the `with` block does; nothing happens if it is not open."""
        if self.is_open:
            self.is_open = False
            try:
                SURROUNDINGS.leave(self)
            finally:
                self._host.origins.closed(self)

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- the route of its clients

    @property
    def url(self) -> str:
        """The proxy's address, with the credentials that tell its clients apart."""
        scheme, _, address = self._host.url.partition("://")
        return f"{scheme}://{self.credentials.decode()}@{address}"

    def variables(self, environ: Mapping[str, str]) -> dict[str, str | None]:
        """The environment of its clients; see `environment.captured`."""
        return environment.captured(self.url, self.bundle, self._wget, environ, self._no_proxy)

    def __len__(self) -> int:
        return len(self.flows)

    def __iter__(self) -> Iterator[HTTPFlow]:
        return iter(self.flows)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        count = len(self.flows)
        state = "open" if self.is_open else "closed"
        return f"<Capture {state}: {count} flow{'' if count == 1 else 's'}>"


def next_id(store: Store) -> int:
    """An id that all flows have reached which are recorded from now on."""
    ids = store.ids
    return ids[-1] + 1 if ids else 0
