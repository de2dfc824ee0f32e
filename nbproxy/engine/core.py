"""What all connections of one proxy share."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nbproxy.protocol.http1 import Limits

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from nbproxy.engine.contracts import CertificateSource, Dispatcher, Holder, Recorder, Tracer
    from nbproxy.engine.deadlines import Deadlines
    from nbproxy.engine.door import Door
    from nbproxy.engine.orphans import Orphans
    from nbproxy.engine.upstream import Upstream
    from nbproxy.model.connection import Address
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Response
    from nbproxy.options import Options


@dataclass(slots=True)
class Core:
    """The parts that an exchange works with; one for each running proxy.

    Attributes:
        loop: The loop all of it lives on.
        sites: Names under which the proxy itself answers, with who does.
        own_site: Answers requests to the proxy's own address; None refuses them.
        own_addresses: Where we listen.
        patterns: `ignore_hosts` and `allow_hosts`, compiled.
        tracer: Finds out where requests come from; None if nobody asks.
        door: Answers what is for the notebook and no traffic; None if nobody does.
    """

    loop: asyncio.AbstractEventLoop
    options: Options
    dispatcher: Dispatcher
    recorder: Recorder
    certificates: CertificateSource
    upstream: Upstream
    deadlines: Deadlines
    orphans: Orphans
    limits: Limits
    holder: Holder
    sites: dict[str, Callable[[HTTPFlow], Response]] = field(default_factory=dict)
    own_site: Callable[[HTTPFlow], Response] | None = None
    own_addresses: set[Address] = field(default_factory=set)
    patterns: dict[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    tracer: Tracer | None = None
    door: Door | None = None

    async def announce(self, hook: str, argument: object = None) -> None:
        """Run the handlers of a hook, if there are any."""
        if hook in self.dispatcher.active:
            waiting = self.dispatcher.fire(hook, argument)
            if waiting is not None:
                await waiting

    async def room(self) -> None:
        """Wait until the recorder has caught up: what it cannot keep yet must not pile up."""
        if not self.recorder.congested:
            return
        loop = self.loop
        ready = asyncio.Event()

        def wake() -> None:  # on the recorder's thread
            with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(ready.set)

        self.recorder.when_room(wake)
        await ready.wait()


def limits_from(options: Options) -> Limits:
    """The bounds of messages that the options ask for."""
    return Limits(
        head_bytes=options.http_max_head,
        fields=options.http_max_fields,
        first_s=options.idle_timeout,
        head_s=options.head_timeout,
        body_s=options.body_timeout,
    )
