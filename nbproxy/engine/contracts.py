"""What the engine is given: who runs handlers, who keeps flows, who makes certificates.

The engine imports none of them; `proxy.py` hands them in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Awaitable, Callable, Container, Sequence

    from nbproxy.model.body import BodySink
    from nbproxy.model.flow import Flow, HTTPFlow


class Dispatcher(Protocol):
    """Runs the handlers of a hook."""

    @property
    def active(self) -> Container[str]:
        """The hooks that have a handler, by our names. Not in here: nobody listens, no cost."""
        ...

    def fire(self, hook: str, argument: Any = None) -> Awaitable[None] | None:
        """Run the handlers of a hook in order; never raises.

        Args:
            hook: Our name of it.
            argument: What the handlers get: a flow, a connection, `TLSData`, or nothing.

        Returns:
            None if all is done already, else what must be awaited until it is.
        """
        ...


class Recorder(Protocol):
    """Keeps flows. All calls come from the thread that runs the loop at that moment."""

    def opened(self, flow: Flow) -> None:
        """A flow began; it has a request."""
        ...

    def changed(self, flow: Flow) -> None:
        """What is known of a flow has grown (a response's head, body bytes)."""
        ...

    def closed(self, flow: Flow) -> None:
        """A flow is over; it will not change any more except by its user's hand."""
        ...

    def body(self) -> BodySink:
        """A place for the bytes of one body that may grow large."""
        ...

    @property
    def congested(self) -> bool:
        """True while flows come faster than they can be kept: wait before taking more."""
        ...

    def when_room(self, callback: Callable[[], None]) -> None:
        """Have a callback called once, from any thread, when that is over."""
        ...


class Holder(Protocol):
    """Decides how long flows are held."""

    async def hold(self, flow: Any, hook: str, released: asyncio.Future[None]) -> None:
        """Wait while an intercepted flow is held; it is not intercepted any more afterwards.

        Args:
            flow: The flow.
            hook: Our name of the hook whose handlers have run.
            released: Done when somebody has resumed or killed it.
        """
        ...


class Tracer(Protocol):
    """Knows where requests come from. Called on the loop's thread; quick, and never raises."""

    def claim(self, credentials: bytes) -> bytes | None:
        """What a client's proxy credentials ("user:password") stand for, if we gave them out."""
        ...

    def begin(self, flow: HTTPFlow, claim: bytes | None) -> None:
        """A request came: note in the flow's metadata where from."""
        ...


class CertificateSource(Protocol):
    """Makes the TLS contexts in which we speak with clients."""

    def context_for(
        self,
        host: str,
        *,
        sni: str | None = None,
        upstream_names: Sequence[str] = (),
        organization: str | None = None,
    ) -> ssl.SSLContext:
        """A server's context with a leaf for these names."""
        ...

    def names_in(self, der: bytes) -> tuple[Sequence[str], str | None]:
        """The names and the organization in a certificate (DER); nothing if it is garbage."""
        ...

    def explain_client(self, error: Exception, name: str) -> str:
        """In words: why TLS with a client failed that asked for this name."""
        ...


class ServerTrust(Protocol):
    """Decides which servers we believe."""

    def context(self) -> ssl.SSLContext:
        """A client's context, as the options say now.

        Raises:
            ConfigError: A file of CA certificates cannot be read.
        """
        ...

    def chain(self, tls: ssl.SSLObject) -> list[bytes]:
        """The certificates that the server has shown, DER, leaf first."""
        ...

    def check(self, chain: Sequence[bytes], host: str) -> None:
        """Look at a chain that OpenSSL has let pass.

        Raises:
            TLSError: It must not be believed all the same.
        """
        ...

    def explain(self, error: Exception, host: str, chain: Sequence[bytes]) -> str:
        """In words: which check failed, and for which name."""
        ...
