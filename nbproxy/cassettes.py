"""Answers from files: `nbproxy.replay_server(...)` and `with nbproxy.cassette(...)`.

Ties the rules that answer from recordings to the files that recordings are kept in.
"""

from __future__ import annotations

import asyncio
import os
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nbproxy.addons.recordings import Recordings, Sameness
from nbproxy.addons.rules import Rule
from nbproxy.addons.server_replay import ReplayServer, give, missing
from nbproxy.formats.files import SUFFIXES
from nbproxy.model.flow import HTTPFlow
from nbproxy.saved import CAPTURE, save
from nbproxy.saved import open as open_saved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from nbproxy.engine.runner import LoopRunner
    from nbproxy.handlers.registry import Registry
    from nbproxy.hooks import TLSData
    from nbproxy.model.message import Request, Response
    from nbproxy.store.view import Flows

MODES: Final = ("once", "new", "none", "all")

_SUFFIXES: Final = tuple(suffix for suffix, kind in SUFFIXES.items() if kind != "curl")
"""How the name of a file ends that is written in a format with answers in it."""

SETTLE_S: Final = 10.0
"""How long the end of a cassette waits for requests that are still under way."""


class Host(Protocol):
    """A proxy, as far as a cassette needs it."""

    handlers: Registry
    runner: LoopRunner | None


def replay_server(
    flows: Any,
    *,
    strict: bool,
    ignore: str | Iterable[str],
    headers: str | Iterable[str],
    in_turn: bool,
    filter: str | None,  # noqa: A002 - the public name
) -> ReplayServer:
    """The rule for the arguments of `Controls.replay_server`, which describes them."""
    __tracebackhide__ = True
    recordings = Recordings(Sameness.of(ignore, headers), in_turn=in_turn)
    fetch: Callable[[int], HTTPFlow] | None = None
    if isinstance(flows, (str, os.PathLike)):
        flows = [flows]
    if isinstance(flows, HTTPFlow):
        flows = [flows]
    if isinstance(flows, (list, tuple)) and flows and not isinstance(flows[0], HTTPFlow):
        name = ", ".join(Path(each).name for each in flows)
        flows = open_saved(*flows)
        fetch = flows.by_id  # they stay in their file until one is needed
    elif isinstance(flows, Iterable):
        name = "recorded flows"
    else:
        raise TypeError(f"{flows!r} is neither flows nor a file of them")
    rule = ReplayServer(recordings, name, strict=strict, filter=filter)
    rule.learn(flows, fetch)
    if not len(recordings):
        if not rule.skipped:
            raise ValueError(f"{name}: there are no flows in them")
        raise ValueError(f"{name}: there is no answer in them; {rule.skipped} flows have none")
    return rule


def _check_place(path: Path) -> None:
    """Find out whether flows could be written there, while there is nothing to lose.

    Raises:
        ValueError: The name's end says no format that can be read again.
        FileNotFoundError: There is no such folder.
    """
    if not path.name.endswith(f".{CAPTURE}") and not path.name.lower().endswith(_SUFFIXES):
        known = ", ".join((f".{CAPTURE}", *_SUFFIXES))
        raise ValueError(
            f"{path.name!r} does not say in which format to record: it should end with "
            f"one of {known}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(path.parent)!r} to record {path.name!r} in"
        )


class _Take:
    """One exchange that is being recorded, as it was between the client and the handlers."""

    def __init__(self, flow: HTTPFlow) -> None:
        self.flow = flow
        self.request: Request = flow.request.copy()
        self.response: Response | None = None

    def finish(self, response: Response) -> None:
        if self.request.stream or self.flow.request.stream:
            self.request = self.flow.request.copy()  # its body came only after the first look
        self.response = response.copy()

    def recorded(self) -> HTTPFlow:
        """A flow for the file."""
        flow = HTTPFlow(self.request, self.flow.client_conn, self.flow.server_conn)
        flow.response = self.response
        flow.timestamp_created = self.flow.timestamp_created
        return flow


class Cassette(Rule):
    """Records the first time and answers afterwards; see `Controls.cassette`.

    Its handlers run before all others: what they do to a request or response happens to recorded
    ones as it did to live ones.

    Attributes:
        path: The file.
        mode: "once", "new", "none" or "all".
        recorded: How many exchanges were recorded.
        misses: How many requests were refused, as there was no answer to them.
    """

    kind: ClassVar[str] = "cassette"
    lasting: ClassVar[bool] = False  # the end of its block ends it, and nothing else
    first: ClassVar[bool] = True

    def __init__(
        self,
        host: Host,
        path: str | os.PathLike[str],
        mode: str,
        *,
        ignore: str | Iterable[str],
        headers: str | Iterable[str],
        filter: str | None,  # noqa: A002 - the public name
    ) -> None:
        __tracebackhide__ = True
        super().__init__(filter)
        if mode not in MODES:
            raise ValueError(f"mode = {mode!r}: it takes {', '.join(map(repr, MODES))}")
        self.path = Path(path).expanduser().absolute()
        self.mode = mode
        self.recorded = 0
        self.misses = 0
        self._host = host
        self._sameness = Sameness.of(ignore, headers)
        self._recordings = Recordings(self._sameness)
        self._records = False
        self._old: Flows | Sequence[HTTPFlow] = ()
        self._takes: dict[HTTPFlow, _Take] = {}
        self._seen = False
        self._settled = threading.Condition()

    # -- handlers

    def hooks(self) -> Mapping[str, Callable[..., Any]]:
        """See `Rule`."""
        hooks: dict[str, Callable[..., Any]] = {
            "request": self._request,
            "tls_clienthello": self._keep_away,
        }
        if self._records:
            hooks["response"] = self._response
            hooks["error"] = self._error
        return hooks

    def describe(self) -> str:
        """See `Rule`."""
        return f"{self.path.name} ({self.mode})"

    def outcome(self) -> str:
        """See `Rule`."""
        return f"{self.recorded} recorded, {super().outcome()}, {self.misses} refused"

    def _request(self, flow: HTTPFlow) -> None:
        self._seen = True
        if flow.response is not None:  # the proxy's own page
            return
        found = self._recordings.find(flow.request)
        if found is not None:
            self.hits += 1
            give(flow, found)
        elif self._records:
            with self._settled:
                self._takes[flow] = _Take(flow)
        else:
            self.misses += 1
            flow.response = missing(flow.request, self.path.name, self._recordings)

    def _response(self, flow: HTTPFlow) -> None:
        take = self._takes.get(flow)
        if take is not None and flow.response is not None:
            with self._settled:
                take.finish(flow.response)
                self.recorded += 1
                self._settled.notify_all()

    def _error(self, flow: HTTPFlow) -> None:
        with self._settled:
            if self._takes.pop(flow, None) is not None:
                self._settled.notify_all()

    def _keep_away(self, data: TLSData) -> None:
        place = getattr(data.conn, "tunnel", None)
        known = place is not None and self._recordings.knows(*place)
        if known or (not self._records and self.filter is None):
            data.establish_server_tls_first = False

    # -- the block

    def _begin(self) -> None:
        __tracebackhide__ = True
        there = self.path.exists()
        if self.mode == "none" and not there:
            raise FileNotFoundError(f"there is no cassette {str(self.path)!r} to answer from")
        self._records = self.mode in {"new", "all"} or not there
        if self._records:
            _check_place(self.path)
        self._recordings = Recordings(self._sameness)
        self._takes, self._old, self._seen = {}, (), False
        self.hits = self.misses = self.recorded = 0
        if there and self.mode != "all":
            player = ReplayServer(self._recordings, self.path.name, strict=True)
            self._old = flows = open_saved(self.path)
            player.learn(flows, flows.by_id)
        self.attach(self._host.handlers)

    def _settle(self) -> None:
        """Wait for exchanges that are under way."""
        runner = self._host.runner
        if runner is None or runner.owns_current_thread():
            return  # nobody would end them while we wait
        with self._settled:
            self._settled.wait_for(lambda: not self._open(), SETTLE_S)

    def _open(self) -> int:
        """How many exchanges are under way."""
        return sum(t.response is None and t.flow.live for t in self._takes.values())

    def _end(self, *, failed: bool) -> None:
        if self._records and not failed:
            self._settle()
        self.off()
        if not self._seen and not failed:
            warnings.warn(
                f"{self.path.name}: no request came through the proxy, so nothing was "
                f"{'recorded' if self._records else 'answered'}. Clients have to know of it: "
                "`with nbproxy.capture(), nbproxy.cassette(...):` tells them, or "
                "proxies=nbproxy.proxies, verify=nbproxy.ca_file",
                UserWarning,
                stacklevel=3,
            )
        if not self._records or failed:
            return
        if unfinished := self._open():
            count = f"{unfinished} request{'s' if unfinished > 1 else ''}"
            warnings.warn(
                f"{self.path.name}: {count} still under way at the end of the block; not recorded",
                UserWarning,
                stacklevel=3,
            )
        takes = [take for take in self._takes.values() if take.response is not None]
        new = [take.recorded() for take in takes]
        if new:  # else an empty file would refuse everything the next time
            save([*self._old, *new], self.path)
        self._takes = {}

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        self._begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(failed=kind is not None)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._end, failed=kind is not None)
