"""What the extension holds while it is loaded: the shell, `c.NbProxy`, the way to the proxy.

It stands apart from `extension.py` so that verbs of the magic can use it, and apart from the
package's top module, which `%reload_ext` runs again. The proxy itself is kept in
`nbproxy._current`, for the module-level names need it without IPython too; it outlives the
extension, so what was captured can be looked at after `%unload_ext`, and loading again goes on
with the same flows, handlers, options and port.
"""

from __future__ import annotations

import types
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from traitlets import Enum, TraitError, TraitType
from traitlets.config import Config, Configurable

from nbproxy import _current
from nbproxy.engine.runner import ThreadRunner, daemon
from nbproxy.errors import ConfigError
from nbproxy.notebook import card, mounted
from nbproxy.options import OPTIONS, check
from nbproxy.proxy import Proxy

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.engine.runner import LoopRunner
    from nbproxy.options import Options
    from nbproxy.store.view import Flows

LOOPS = ("mounted", "thread")
"""Where the proxy's loop may live in a notebook."""

SHORT = {"port": "listen_port", "host": "listen_host"}
"""Short names of options, as `Proxy(...)` takes them."""

#: How long the end of a kernel waits for the proxy's.
CLOSE_S = 3.0

session: Session | None = None
"""What was loaded, None if nothing is."""

_configured: Proxy | None = None  # had the values of `c.NbProxy`; what was set later counts more


def option_name(name: str) -> str:
    """An option's own name, given that or its short one."""
    return SHORT.get(name, name)


def host_loop(shell: InteractiveShell) -> asyncio.AbstractEventLoop | None:
    """The event loop of a kernel's main thread; None in a terminal."""
    io_loop = getattr(getattr(shell, "kernel", None), "io_loop", None)
    return getattr(io_loop, "asyncio_loop", None)


class _OptionTrait(TraitType[Any, Any]):
    """An option as a trait: checked by the table of options, and once there is a proxy, its own."""

    def __init__(self, option: str) -> None:
        self._option = option
        super().__init__(OPTIONS[option].default, allow_none=True, help=OPTIONS[option].help)

    def get(self, obj: Any, cls: Any = None) -> Any:
        """The proxy's value, else what was configured."""
        options = obj.options
        return super().get(obj, cls) if options is None else getattr(options, self._option)

    def set(self, obj: Any, value: Any) -> None:
        """Check, and set it at the proxy."""
        super().set(obj, value)
        if obj.options is not None:
            setattr(obj.options, self._option, value)

    def validate(self, obj: Any, value: Any) -> Any:
        """The value, converted; TraitError says what would do."""
        if obj.options is not None and OPTIONS[self._option].fixed:
            raise TraitError(
                f"{self._option} takes effect only at a start; "
                f"%nbproxy start --set {self._option}={value}"
            )
        try:
            return check(self._option, value)
        except ConfigError as error:
            raise TraitError(str(error)) from None


class _Base(Configurable):
    """The notebook's proxy. In a configuration file: `c.NbProxy.port = 8888`.

    Attributes:
        options: The options of the proxy; None before it is made.
    """

    options: Options | None = None

    def given(self) -> dict[str, Any]:
        """The options that somebody has configured, by their own names."""
        config = self.config.get("NbProxy", Config())
        return {option_name(name): getattr(self, name) for name in config if name != "loop"}

    @classmethod
    def class_get_trait_help(
        cls, trait: TraitType[Any, Any], inst: Any = None, helptext: str | None = None
    ) -> str:
        """What `%config NbProxy` prints of a trait: not the present value of a password."""
        shown = None if trait.name == "proxyauth" else inst
        return super().class_get_trait_help(trait, shown, helptext)


def _traits() -> dict[str, Any]:
    loop = Enum(
        LOOPS,
        "mounted",
        help="Where the proxy's event loop lives: on the kernel's, or on a thread of its own.",
    )
    names = {**dict(zip(OPTIONS, OPTIONS, strict=True)), **SHORT}
    options = {name: _OptionTrait(option) for name, option in names.items()}
    return {name: trait.tag(config=True) for name, trait in {"loop": loop, **options}.items()}


NbProxy: type[Any] = types.new_class(
    "NbProxy", (_Base,), exec_body=lambda body: body.update(_traits(), __doc__=_Base.__doc__)
)
"""`c.NbProxy`: a trait for each option, `port`, `host` and `loop`."""


class Session:
    """The extension while it is loaded.

    Attributes:
        shell: The shell it is loaded into.
        config: `c.NbProxy`.
        undo: Closing it unloads.
        show_flows: Displays flows, live where that is possible.
        follow: Displays what a function makes of flows, again when they change; see `LiveTables`.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.config = NbProxy(parent=shell)
        self.undo = ExitStack()
        self.show_flows: Callable[[Flows], None] = self.show
        self.follow: Callable[[Flows, Callable[[bool], dict[str, str]]], Callable[[], None]]
        self.follow = self._show_once

    @property
    def proxy(self) -> Proxy | None:
        """The notebook's own proxy, None if there is none."""
        return _current.peek()

    def need_proxy(self) -> Proxy:
        """The notebook's own proxy; made if there is none, but not started."""
        return _current.get(started=False)

    def new_runner(self) -> LoopRunner:
        """A new place for a proxy's loop to live."""
        host = host_loop(self.shell)
        if self.config.loop == "mounted" and host is not None and mounted.is_supported():
            return mounted.MountedRunner(host)
        return ThreadRunner()

    def start(self, *, loop: str | None = None, **values: Any) -> Proxy:
        """Start the proxy; if it runs and something is to be different, start it anew.

        If it cannot start so, it goes on as it was.

        Args:
            loop: One of `LOOPS`; None to leave it.
            **values: Options by their own names.

        Raises:
            ConfigError: It cannot listen, or an option cannot be used.
        """
        global _configured  # noqa: PLW0603 - see there
        if self.proxy is None:  # some options count when it is made
            _current.set(Proxy(**self.config.given()))
        proxy = self.need_proxy()
        if _configured is not proxy:
            _configured = proxy
            given = self.config.given()
            if proxy.running:  # somebody has started it before us: it stays where it is
                given = {name: v for name, v in given.items() if not OPTIONS[name].fixed}
            _apply(proxy, given)
        self.config.options = proxy.options
        if values or loop is not None:
            self._restart(proxy, loop, values)
        else:
            proxy.start()
        return proxy

    def _restart(self, proxy: Proxy, loop: str | None, values: dict[str, Any]) -> None:
        ran, old_loop = proxy.running, self.config.loop
        old = {name: getattr(proxy.options, name) for name in values}
        proxy.stop()
        try:
            self.config.loop = loop or old_loop
            _apply(proxy, values)
            proxy.start()
        except BaseException:
            self.config.loop = old_loop
            _apply(proxy, old)
            if ran:
                proxy.start()
            raise

    def stop(self) -> None:
        """Stop the proxy, if it runs."""
        proxy = self.proxy
        if proxy is not None:
            proxy.stop()
            proxy.handlers.close()
            proxy.store.session.rest()

    def close(self) -> None:
        """The process is about to end: stop, but do not wait for ever. From any thread."""
        proxy = self.proxy
        if proxy is None:
            return
        thread = daemon(proxy.close, "nbproxy-close")
        try:
            thread.start()
        except RuntimeError:  # too late for threads: the interpreter is going down
            proxy.close()
        else:
            thread.join(CLOSE_S)

    def status(self, proxy: Proxy | None = None) -> card.Status:
        """What the card shows of a proxy, by default of the notebook's own."""
        own = self.need_proxy()
        return card.Status.of(proxy or own, is_own=proxy is None or proxy is own)

    def publish(self, bundle: dict[str, str]) -> None:
        """Display something that is at hand in several media types."""
        self.shell.display_pub.publish(bundle)

    def _show_once(self, _: Flows, picture: Callable[[bool], dict[str, str]]) -> Callable[[], None]:
        self.publish(picture(False))
        return lambda: None

    def show(self, thing: object) -> None:
        """Display an object as if it were the last line of a cell."""
        formatter = self.shell.display_formatter
        if formatter is not None:
            bundle, metadata = formatter.format(thing)  # type: ignore[no-untyped-call]
            if bundle:
                self.shell.display_pub.publish(bundle, metadata)


def _apply(proxy: Proxy, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(proxy.options, name, value)
