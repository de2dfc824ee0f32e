"""`Proxy`: options, store, handlers and engine in one object; what a user holds.

A proxy has an event loop of its own choosing (`loop=`):

* "thread": a private thread. `with Proxy() as p:` uses it.
* "running": the loop that is running now. `async with Proxy() as p:` uses it.
* "mounted": a kernel's loop; the default inside a notebook.

Attributes and methods of `Proxy` may be used from any thread but where it says otherwise.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nbproxy.controls import Controls
from nbproxy.engine.engine import Engine
from nbproxy.engine.listener import is_loopback
from nbproxy.engine.runner import LoopRunner, RunningRunner, ThreadRunner, wait
from nbproxy.errors import ConfigError
from nbproxy.handlers.registry import Registry
from nbproxy.holding import Intercepts
from nbproxy.model import url
from nbproxy.options import Options
from nbproxy.owners import enlist, serve
from nbproxy.scripting import Scripting
from nbproxy.store.keeping import Limits
from nbproxy.store.store import Store
from nbproxy.store.troubles import warn
from nbproxy.store.view import Flows

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    import pandas as pd

    from nbproxy.capture.block import Capture
    from nbproxy.capture.origins import Origins
    from nbproxy.certs.ca import CertificateAuthority
    from nbproxy.certs.service import TLSService
    from nbproxy.engine.door import Door
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.captures import Captures

F = TypeVar("F", bound="Callable[..., Any]")

LoopName = Literal["auto", "thread", "mounted", "running"]

# If nobody asks for a port: this one, or one of so many from it on.
_FIRST_PORT = 8080
_MORE_PORTS = 100

# What `loop="auto"` and `loop="mounted"` mean here; the notebook's extension sets it.
_default_runner: Callable[[], LoopRunner] | None = None


def set_default_runner(factory: Callable[[], LoopRunner] | None) -> None:
    """Say where proxies live that are started by `start()`; None: on a private thread."""
    global _default_runner  # noqa: PLW0603 - one per process, like the kernel itself
    _default_runner = factory


class Proxy(Controls, Scripting):
    """An intercepting HTTP(S) proxy.

    Args:
        loop: Where its event loop lives, see the module; or a `LoopRunner`.
        port: Short for `listen_port`: the port to listen on; 0 picks a free one. If neither is
            given, 8080 or the next free one.
        host: Short for `listen_host`.
        **options: Any of `nbproxy.options.OPTIONS`.

    Raises:
        ConfigError: An unknown option, or a value that does not fit.

    Example:
        >>> with Proxy(port=0) as p:
        ...     p.url.startswith("http://127.0.0.1:"), len(p.flows)
        (True, 0)
    """

    def __init__(
        self,
        *,
        loop: LoopName | LoopRunner = "auto",
        port: int | None = None,
        host: str | None = None,
        **options: Any,
    ) -> None:
        if port is not None:
            options["listen_port"] = port
        if host is not None:
            options["listen_host"] = host
        self._placement = loop
        if isinstance(loop, str) and loop not in {"auto", "thread", "mounted", "running"}:
            raise ConfigError(f'loop = {loop!r}: it takes "auto", "thread", "mounted" or "running"')
        self.options = Options(**options)
        self.options.on_change(self._option_changed)
        capture, folder = self.options.capture, self.options.capture_dir
        self.store = Store(
            capture=None if capture is None else Path(capture).expanduser(),
            directory=None if folder is None else Path(folder).expanduser(),
            body_memory_limit=self.options.body_memory_limit,
            limits=self._limits(),
        )
        self._is_kept = capture is not None  # and stays so: a user's file is never removed
        self.store.dtype_backend = self.options.dtype_backend
        self.flows = Flows(self.store)
        enlist(self)
        self.handlers = Registry(
            hint_slow_s=self.options.hint_slow_handlers,
            concurrent_limit=self.options.concurrent_limit,
        )
        self.intercepts = Intercepts(
            lambda: float(self.options.intercept_timeout),
            lambda text: self.log.add("warn", "", text),
        )
        try:
            self._follow_options()
        except ConfigError:
            self.store.close()
            raise
        self.runner: LoopRunner | None = None
        self._engine: Engine | None = None
        self._tls: TLSService | None = None
        self._door: Door | None = None
        self._last_port = 0

    # -- life

    @property
    def running(self) -> bool:
        """True while it listens."""
        return self._engine is not None

    def start(self) -> Self:
        """Listen. Nothing happens if it does already.

        Raises:
            ConfigError: The port is taken, or an option cannot be used.
            RuntimeError: It should live on the running loop: use `async with`.
        """
        self._listen(None)
        return self

    def stop(self) -> None:
        """Stop listening and end what is under way. Flows and handlers stay. Idempotent.

        Raises:
            RuntimeError: Called on the proxy's own loop, that is, by a handler.
        """
        runner = self.runner
        if runner is None:
            return
        if self._engine is not None:
            wait(runner, self._stop())
        runner.close()
        self.runner = None

    def _listen(self, fallback: Callable[[], LoopRunner] | None) -> None:
        if self._engine is not None:
            return
        runner = self._make_runner(fallback)
        try:
            wait(runner, self._start())
        except BaseException:
            runner.close()
            self.runner = None
            raise

    def _make_runner(self, fallback: Callable[[], LoopRunner] | None) -> LoopRunner:
        placement = self._placement
        runner: LoopRunner
        if not isinstance(placement, str):
            runner = placement
        elif placement == "thread":
            runner = ThreadRunner()
        elif placement == "running":
            runner = RunningRunner()
        elif placement == "mounted":
            if _default_runner is None:
                raise ConfigError('loop = "mounted" needs a kernel: run %load_ext nbproxy first')
            runner = _default_runner()
        else:
            runner = (fallback or _default_runner or ThreadRunner)()
        runner.start()
        self.runner = runner
        return runner

    async def _start(self) -> None:
        host = self.options.listen_host
        if not is_loopback(host):
            if self.options.proxyauth is None:
                raise ConfigError(
                    f"listen_host = {host!r} lets other machines in; set proxyauth as well, "
                    'such as proxyauth="me:a long password"'
                )
            self.options.restrict_targets = True
        from nbproxy.addons.onboarding import Onboarding  # noqa: PLC0415 - with cryptography, slow
        from nbproxy.certs.service import TLSService  # noqa: PLC0415

        tls = TLSService(self.ca, self.options)
        page = Onboarding(self.ca, self)
        engine = Engine(
            self.options,
            self.handlers,
            self.store,
            tls,
            tls,
            {self.options.onboarding_host: page.respond} if self.options.onboarding else {},
            page.respond if self.options.onboarding else None,
            self.intercepts,
        )
        self.handlers.schedule = self._schedule
        await engine.start(self._candidates())
        self._last_port = engine.listener.port
        self._engine = engine
        self._tls = tls
        engine.core.door = self._door
        if "origins" in self.__dict__:
            self._trace(engine, self.origins)
        if "scripts" in self.__dict__:
            self.scripts.started()

    def _candidates(self) -> Sequence[int]:
        """The ports to try; one that was ours before comes first, so that clients find it again."""
        wanted, last = self.options.listen_port, self._last_port
        if wanted is None:
            first = last or _FIRST_PORT
            return range(first, min(first + _MORE_PORTS, 65536))
        if wanted == 0 and last:
            return (last, 0)
        return (wanted,)

    def _schedule(self, coro: Any) -> None:
        if self.runner is None:
            coro.close()
        else:
            self.runner.submit(coro)

    async def _stop(self) -> None:
        engine, self._engine = self._engine, None
        if "origins" in self.__dict__:
            self.origins.stop()
        if engine is not None:
            await engine.stop()

    def _record_to(self, path: Path | None) -> None:
        """Go on in a file that is kept; that cannot be taken back, only led elsewhere.

        Raises:
            ConfigError: There is such a file, and it should be none.
            FormatError, OSError: It cannot be that one.
        """
        if path is not None:
            self.store.move(path)
            self._is_kept = True
        elif self._is_kept:
            raise ConfigError(
                f"capture = None: flows are recorded to {self.store.session.path} as long as this "
                "proxy runs; stop it, or name another file to go on there"
            )

    def _go_to(self, folder: Path | None) -> None:
        """Make private captures there from now on."""
        session = self.store.session
        there = session.path
        if there is not None and not self._is_kept and folder != session.directory:
            warn(
                f"the private capture of this proxy is there already, at {there}: capture_dir "
                "counts for those that are made later. To record to a file of your own, set capture"
            )
        session.directory = folder

    def _option_changed(self, name: str, value: Any) -> None:
        if name == "hint_slow_handlers":
            self.handlers.hint_slow_s = value
        elif name == "body_memory_limit":
            self.store.session.inline_limit_bytes = value
        elif name == "capture":
            self._record_to(None if value is None else Path(value).expanduser())
        elif name == "capture_dir":
            self._go_to(None if value is None else Path(value).expanduser())
        elif name == "dtype_backend":
            self.store.dtype_backend = value
        elif name in {"max_flows", "max_bytes", "max_age"}:
            self.store.limit(self._limits())
        engine, runner = self._engine, self.runner  # once: another thread may stop the proxy
        if engine is not None and runner is not None:
            runner.call(engine.changed, name, value)

    def _limits(self) -> Limits:
        options = self.options
        return Limits(options.max_flows or None, options.max_bytes or None, options.max_age or None)

    def __enter__(self) -> Self:
        self._listen(ThreadRunner)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        if self._engine is None:
            runner = self._make_runner(RunningRunner)
            try:
                if runner.loop is asyncio.get_running_loop():
                    await self._start()
                else:
                    await asyncio.wrap_future(runner.submit(self._start()))
            except BaseException:
                runner.close()
                self.runner = None
                raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        runner = self.runner
        if runner is not None and runner.loop is asyncio.get_running_loop():
            await self._stop()
            runner.close()
            self.runner = None
        self.close()

    def close(self) -> None:
        """Stop, and give back all threads and files. Recorded flows stay readable."""
        self.stop()
        if "scripts" in self.__dict__:
            self.scripts.close()
        self.handlers.close()
        self.store.close(keep=self._is_kept)

    # -- where it is

    @property
    def host(self) -> str:
        """The address it listens on."""
        return str(self.options.listen_host)

    @property
    def port(self) -> int:
        """The port it listens on; the one it would ask for while it does not."""
        engine = self._engine  # once: another thread may stop the proxy
        if engine is not None:
            return engine.listener.port
        return self._last_port or self.options.listen_port or _FIRST_PORT

    @property
    def url(self) -> str:
        """Its address for clients, such as `http://127.0.0.1:8080`."""
        host = self.host
        if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
        return f"http://{url.hostport('', host, self.port)}"

    @property
    def proxies(self) -> dict[str, str]:
        """The mapping that `requests` (`proxies=`) and urllib's `ProxyHandler` take."""
        return {"http": self.url, "https": self.url}

    @cached_property
    def ca(self) -> CertificateAuthority:
        """The certificate authority; made at first use.

        Raises:
            ConfigError: Its files cannot be used.
        """
        from nbproxy.certs.ca import CertificateAuthority  # noqa: PLC0415 - slow to import

        return CertificateAuthority.load_or_create(self.confdir)

    @property
    def confdir(self) -> Path:
        """The folder of the CA: the option, else the user's data folder."""
        given = self.options.confdir
        if given is not None:
            return Path(given).expanduser()
        import platformdirs  # noqa: PLC0415 - only here

        return platformdirs.user_data_path("nbproxy")

    @property
    def ca_file(self) -> str:
        """Path of the CA's certificate, PEM: for `verify=`, `--cacert`, `cafile=`."""
        return str(self.ca.cert_file)

    def set_door(self, door: Door | None) -> None:
        """Say who answers requests for `nbproxy.engine.door.PREFIX` on the proxy's own port."""
        self._door = door
        engine = self._engine
        if engine is not None:
            engine.core.door = door

    # -- who asks

    @cached_property
    def origins(self) -> Origins:
        """Who asks: captures, and the code behind requests; from the first use on it is noted."""
        from nbproxy.capture.origins import Origins  # noqa: PLC0415 - not every proxy needs it

        origins = Origins()
        engine = self._engine
        if engine is not None:
            self._trace(engine, origins)
        return origins

    @staticmethod
    def _trace(engine: Engine, origins: Origins) -> None:
        origins.listen(engine.listener.port)
        engine.core.tracer = origins

    def capture(self, *, no_proxy: str | None = None) -> Capture:
        """Send what this process and its subprocesses ask for through the proxy, in a `with` block.

        `async with` does the same. Nothing has to be set up: variables for proxies and certificates
        are set while the block runs, and are as before after it. The proxy is started if it is not
        running.

        Args:
            no_proxy: Hosts to leave alone, separated by commas; "" for none. By default those
                that the variable `no_proxy` names, but for those that stand for this machine.

        Returns:
            What `as` gives: `flows` and `df` have the block's flows, and no others.

        Example:
            >>> with proxy.capture() as cap:  # doctest: +SKIP
            ...     requests.get("https://example.org/")
            >>> cap.df  # doctest: +SKIP
        """
        from nbproxy.capture.block import Capture  # noqa: PLC0415 - as above

        return Capture(self, self._ready_for_capture, no_proxy=no_proxy)

    def _ready_for_capture(self) -> None:
        """Listen, and read of the environment what captures are about to change in it."""
        self.start()
        if self._tls is not None:
            self._tls.context()

    # -- what passed

    @property
    def df(self) -> pd.DataFrame:
        """All flows as a pandas DataFrame, one row each; a snapshot of now, yours to change."""
        return self.flows.df

    def save(
        self,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002 - the word for it
        *,
        secrets: Literal["keep", "mask"] = "keep",
    ) -> int:
        """Write all flows to a file; see `nbproxy.saved.save`."""
        __tracebackhide__ = True
        return self.flows.save(path, format, secrets=secrets)

    def recover(self, directory: str | os.PathLike[str] | None = None) -> Captures:
        """Captures that crashed processes have left; see `nbproxy.saved.recover`.

        Args:
            directory: The folder of private captures; by default that of `capture_dir`.
        """
        from nbproxy.saved import recover  # noqa: PLC0415 - seldom needed

        return recover(self.options.capture_dir if directory is None else directory)

    def clear(self) -> None:
        """Forget the flows so far."""
        self.flows.clear()

    # -- handlers

    def on(
        self,
        hook: str,
        filter: str | None = None,  # noqa: A002 - mitmproxy's word
    ) -> Callable[[F], F]:
        """Register a handler; a decorator. See `nbproxy.handlers.registry.Registry.on`."""
        __tracebackhide__ = True
        return self.handlers.on(hook, filter)

    def off(self, *what: object) -> int:
        """Remove handlers: as `nbproxy.handlers.registry.Registry.off`, or those of a rule."""
        from nbproxy.addons.rules import Rule  # noqa: PLC0415 - `import nbproxy` needs none

        if len(what) == 1 and isinstance(what[0], Rule):
            before = len(self.handlers)
            what[0].off()
            return before - len(self.handlers)
        return self.handlers.off(*what)

    def preview(
        self,
        handler: Any,
        flows: Iterable[HTTPFlow] | None = None,
        *,
        hook: str | None = None,
    ) -> pd.DataFrame:
        """What a handler would change, without touching a flow.

        Args:
            handler: A function, registered or not; see `nbproxy.offline.preview`.
            flows: On which; the last 50 by default.
            hook: The hook to call it for; by default those it is registered for, else the one
                it is named like, else "response".

        Returns:
            A DataFrame, a row for each field that would change: `flow field before after`.

        Raises:
            ValueError: The hook does not come in a flow that is over.
        """
        from nbproxy.offline import PREVIEWED, preview  # noqa: PLC0415 - seldom needed

        __tracebackhide__ = True
        chosen = self.flows[-PREVIEWED:] if flows is None else flows
        return preview(handler, chosen, self.handlers, hook=hook)

    def __repr__(self) -> str:
        where = f"listening on {self.url}" if self.running else "stopped"
        return f"<Proxy {where}, {len(self.store)} flows>"


serve(lambda: Proxy(loop="thread"))
