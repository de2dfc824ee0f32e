"""The engine of one proxy: a listener, the connections it accepts, and what they share."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final

from nbproxy.engine.core import Core, limits_from
from nbproxy.engine.deadlines import Deadlines
from nbproxy.engine.listener import Listener
from nbproxy.engine.orphans import Orphans
from nbproxy.engine.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbproxy.engine.contracts import (
        CertificateSource,
        Dispatcher,
        Holder,
        Recorder,
        ServerTrust,
    )
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Response
    from nbproxy.options import Options

# Connections made under other rules are not used any more after these change.
_ABOUT_SERVERS: Final = frozenset(("ssl_insecure", "ssl_verify_upstream_trusted_ca"))


class Engine:
    """Proxies on the loop that runs `start`.

    Args:
        options: Read as it goes; tell `changed` when one changes.
        dispatcher: Runs handlers.
        recorder: Keeps flows.
        certificates: Makes leaves.
        trust: Decides which servers we believe.
        sites: Names under which the proxy itself answers.
        own_site: Answers requests to the proxy's own address.
        holder: Decides how long flows are held.
    """

    def __init__(
        self,
        options: Options,
        dispatcher: Dispatcher,
        recorder: Recorder,
        certificates: CertificateSource,
        trust: ServerTrust,
        sites: dict[str, Callable[[HTTPFlow], Response]],
        own_site: Callable[[HTTPFlow], Response] | None,
        holder: Holder,
    ) -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop)
        limits = limits_from(options)
        self.core = Core(
            loop=loop,
            options=options,
            dispatcher=dispatcher,
            recorder=recorder,
            certificates=certificates,
            upstream=Upstream(options, dispatcher, deadlines, trust, limits),
            deadlines=deadlines,
            orphans=Orphans(loop, deadlines),
            limits=limits,
            holder=holder,
            sites=sites,
            own_site=own_site,
        )
        self.listener = Listener(self.core)
        self._compile_patterns()

    def _compile_patterns(self) -> None:
        self.core.patterns = {
            name: tuple(re.compile(p, re.IGNORECASE) for p in patterns)
            for name in ("ignore_hosts", "allow_hosts")
            if (patterns := getattr(self.core.options, name))
        }

    async def start(self, ports: Sequence[int]) -> None:
        """Listen on the first free one of these ports, then say so to the handlers.

        Raises:
            ConfigError: None is free.
        """
        await self.listener.start(ports)
        await self.core.announce("running")

    def changed(self, name: str, value: Any) -> None:  # noqa: ARG002 - a listener's signature
        """An option has changed. On the loop's thread."""
        if name in {"ignore_hosts", "allow_hosts"}:
            self._compile_patterns()
        elif name in _ABOUT_SERVERS:
            self.core.upstream.forget_idle()
        else:
            fresh = limits_from(self.core.options)
            for bound in fresh.__slots__:
                setattr(self.core.limits, bound, getattr(fresh, bound))

    async def stop(self) -> None:
        """Stop accepting, end what is under way (recorded as such), close all connections."""
        await self.listener.stop()
        self.core.upstream.close()
        await self.core.announce("done")
        await asyncio.sleep(0)  # transports close in the next round
        self.core.deadlines.close()
