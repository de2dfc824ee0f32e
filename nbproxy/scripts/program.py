"""One execution of a script: its namespace or its object, its life, its functions for events.

A script that is loaded again, because its file changed, gets a new `Program`; the `Script` stays.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
import threading
import types
from collections import ChainMap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import ScriptError
from nbproxy.handlers import reports
from nbproxy.handlers.concurrent import is_concurrent
from nbproxy.handlers.handler import is_async
from nbproxy.hooks import HOOKS
from nbproxy.scripts import arguments, events
from nbproxy.scripts.compat import layers, modern
from nbproxy.scripts.compat.master import addon_name
from nbproxy.scripts.eras import Era
from nbproxy.scripts.loader import Scope
from nbproxy.scripts.process import Builtins, own_warnings
from nbproxy.scripts.settings import OptionsError, has_commands
from nbproxy.scripts.speech import own_logging, own_print

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nbproxy.scripts.compat.master import Services
    from nbproxy.scripts.events import Event
    from nbproxy.scripts.loader import Source

_LIFE: Final = ("load", "configure", "running", "tick", "done", "log", "add_log")


class Turn:
    """Lets one hook of a script run at a time, though each has a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._owner = None
        self._lock.release()

    @contextlib.contextmanager
    def yielded(self) -> Iterator[None]:
        """While a hook waits for something: others may run."""
        if self._owner != threading.get_ident():
            yield
            return
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


@dataclass
class Target:
    """One function of a script for one event.

    Attributes:
        event: The event; its `hook` is where it is registered.
        owner: What it is looked up on at each call: the module, or an addon.
        name: Its name there.
        kind: "sync", "async" or "concurrent".
        show: Makes its argument of our hook's.
        context: The context object of eras A to C, which comes first; else None.
        updates: True if it is `update`, which is called with a list.
        turn: Taken for the call, if calls must come one after the other; else None.
    """

    event: Event
    owner: Any
    name: str
    kind: str
    show: Callable[[Any], Any]
    context: Any = None
    updates: bool = False
    turn: Turn | None = None

    def call(self, argument: Any) -> Any:
        """Call it; gives a coroutine for an async one."""
        if self.event.when is not None and not self.event.when(argument):
            return None
        if self.turn is not None:
            with self.turn:
                return self._call(argument)
        return self._call(argument)

    def _call(self, argument: Any) -> Any:
        value = self.show(argument)
        function = getattr(self.owner, self.name)
        if self.context is not None:
            return function(self.context, value)
        return function([value]) if self.updates else function(value)


class Namespace:
    """A script's module, seen as an object: attributes are its globals, always as they are now."""

    def __init__(self, space: dict[str, Any]) -> None:
        self.__dict__ = space

    def __repr__(self) -> str:
        return f"<script {self.__dict__.get('__file__', '')}>"


class Program:
    """A script that was executed.

    Args:
        services: Its surroundings.
        era: Its era; None for an addon object of the user's, which gets everything as it is.
        failed: Told what went wrong: where, and the exception.
    """

    def __init__(
        self,
        services: Services,
        era: Era | None,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.services = services
        self.era = era
        self.rules = era or Era.H
        self.addons: list[Any] = []
        self.context: Any = None
        self.argv: list[str] = []
        self._failed = failed
        self.turn: Turn | None = None
        self._ran = False
        self._is_done = False

    # -- made of a script, or of an object

    def execute(self, source: Source, argv: list[str], context: Any, scope: Scope) -> None:
        """Execute a script's body.

        Raises:
            ScriptError: The body failed; the cause is what it raised, cut to its own lines.
        """
        self.argv, self.context = argv, context
        # a context's `replay_request` waits for the response, which it can do in a thread only
        waits = self.rules in {Era.B, Era.C} and "replay_request" in source.text
        self.turn = Turn() if waits else None
        stem = Path(source.path).stem
        name = f"__mitmproxy_script__.{stem}"
        space = scope.namespace(name, source.path)
        scope.modules[name] = Namespace(space)  # type: ignore[assignment] # as good as a module
        try:
            exec(source.code, space)  # noqa: S102 - what loading is
        except BaseException as failure:
            raise refusal(failure, source.path) from failure
        if self.rules >= Era.F:
            space.setdefault("name", source.path)
        module = Namespace(space)
        self.addons = [module]
        if self.rules >= Era.F:
            self._take(space.get("addons", ()))

    def adopt(self, addon: Any) -> None:
        """Take an object with hooks as methods."""
        self.addons = []
        self._take([addon])

    def _take(self, addons: Any) -> None:
        """Add addons and, recursively, theirs; names must differ."""
        for addon in addons:
            names = {addon_name(each) for each in self.addons}
            if not isinstance(addon, types.ModuleType) and addon_name(addon) in names:
                raise ScriptError(f'An addon called "{addon_name(addon)}" already exists.')
            self.addons.append(addon)
            self._take(getattr(addon, "addons", ()) or ())

    # -- life

    def begin(self, *, running: bool) -> None:
        """`start` or `load`, `configure`, and `running` if the proxy runs.

        Raises:
            ScriptError: Eras A to C: `start` failed, so the script is refused.
        """
        if self.rules <= Era.C:
            self._start_with_context()
            return
        if self.rules.has_start:
            self._start()
        else:
            self._load()
        if running and self.rules is Era.F:
            self.running()
        self.configure(set(self.services.options.keys()))
        if running:
            self.running()

    def _start_with_context(self) -> None:
        (module,) = self.addons
        start = getattr(module, "start", None)
        if not callable(start):
            return
        args = (self.context, self.argv) if _takes(start, 2) else (self.context,)
        try:
            start(*args)
        except BaseException as failure:
            raise refusal(failure, self.argv[0]) from failure

    def _start(self) -> None:
        (module,) = self.addons
        replaced = self._call(module, "start")
        while replaced:  # the object takes the module's place; its own `start` is called too
            self.addons = [replaced]
            again = self._call(replaced, "start")
            replaced = again if again is not replaced else None

    def _load(self) -> None:
        self._warn_of_silence()
        for addon in list(self.addons):
            self.services.commands.collect(addon)
            if callable(getattr(addon, "load", None)):
                made = self._call(addon, "load", modern.loader_for(self.services))
                if made is not None and is_addon(made):
                    self.addons.append(made)

    def _warn_of_silence(self) -> None:
        """Say which of its functions will never be called."""
        if self.rules < Era.G:
            return
        for name, why in events.NEVER.items():
            if any(callable(getattr(addon, name, None)) for addon in self.addons):
                self.services.say("warn", f"{name} is never called: {why}")

    def configure(self, names: set[str], *, veto: bool = False) -> None:
        """Tell it that options have changed.

        Raises:
            OptionsError: With `veto`: it objects.
        """
        for addon in self.addons if self.rules >= Era.D else ():
            function = getattr(addon, "configure", None)
            if not callable(function):
                continue
            args = (self.services.options, names) if self.rules.has_start else (names,)
            try:
                self._sync("configure", function, *args)
            except OptionsError as objection:
                if veto:
                    raise
                self._failed("configure", objection)
            except BaseException as failure:  # noqa: BLE001 - the fence around scripts
                self._failed("configure", failure)

    def running(self) -> None:
        """The proxy listens; told once."""
        if self._ran or self.rules < Era.F:
            return
        self._ran = True
        for addon in self.addons:
            function = getattr(addon, "running", None)
            if callable(function) and not isinstance(function, type):
                made = self._call(addon, "running")
                if inspect.iscoroutine(made):
                    self._spawn(made)

    def _spawn(self, coroutine: Any) -> None:
        async def guarded() -> None:
            try:
                await coroutine
            except Exception as failure:  # noqa: BLE001 - the fence around scripts
                self._failed("running", failure)

        if self.services.host.submit(guarded()) is None:
            coroutine.close()

    @property
    def ticks(self) -> bool:
        """Whether it wants `tick`."""
        return Era.D <= self.rules <= Era.F and any(
            callable(getattr(addon, "tick", None)) for addon in self.addons
        )

    def tick(self) -> None:
        """About every 0.1 s, until 3.0."""
        for addon in self.addons:
            if callable(getattr(addon, "tick", None)):
                self._call(addon, "tick")

    def done(self) -> None:
        """The end; told once."""
        if self._is_done:
            return
        self._is_done = True
        for addon in self.addons:
            function = getattr(addon, "done", None)
            if callable(function):
                args = (self.context,) if self.rules <= Era.C else ()
                self._call(addon, "done", *args)

    def dismiss(self, addon: Any) -> bool:
        """Take one of its addons out, which gets `done`; whether it was there."""
        if not any(each is addon for each in self.addons):
            return False
        self.addons = [each for each in self.addons if each is not addon]
        self._call(addon, "done")
        return True

    def revive(self) -> None:
        """Forget that it has ended: it is to begin anew."""
        self._is_done = self._ran = False

    def hear(self, entry: Any) -> None:
        """An entry of the log, for scripts that have `log` (until 6) or `add_log`."""
        name = "log" if self.rules <= Era.F else "add_log"
        if self.rules < Era.D:
            return
        for addon in self.addons:
            function = getattr(addon, name, None)
            if isinstance(function, (types.FunctionType, types.MethodType)) and _takes(function, 1):
                self._call(addon, name, modern.LogEntry(entry.text, entry.level))

    def _call(self, addon: Any, name: str, *args: Any) -> Any:
        if not callable(getattr(addon, name, None)):
            return None
        try:
            return self._sync(name, getattr(addon, name), *args)
        except BaseException as failure:  # noqa: BLE001 - the fence around scripts
            self._failed(name, failure)
            return None

    def _sync(self, name: str, function: Any, *args: Any) -> Any:
        if is_async(function) and name in {"load", "configure", "done"}:
            raise TypeError(f"{name} must be a plain function: it cannot be awaited here")
        return function(*args)

    # -- events

    def targets(self) -> list[Target]:
        """Its functions for events, in the order in which they are called."""
        found: list[Target] = []
        for addon in self.addons:
            for event in events.events_of(self.rules):
                target = self._target(addon, event)
                if target is not None:
                    found.append(target)
        for addon in self.addons:
            found += self._updates(addon)
        if any(t.name == "next_layer" and self.rules <= Era.F for t in found):
            found += [
                Target(event, layers, "finished", "sync", _as_is) for event in events.AFTER_LAYERS
            ]
        return found

    def _target(self, addon: Any, event: Event) -> Target | None:
        function = getattr(addon, event.name, None)
        if function is None or isinstance(function, (types.ModuleType, type)):
            return None
        if event.instead and self.rules >= Era.G and callable(getattr(addon, event.instead, None)):
            return None
        if not callable(function):
            if not isinstance(addon, Namespace):
                text = f"{event.name} of {addon_name(addon)} is not callable"
                self._failed(event.name, TypeError(text))
            return None
        show = self._shower(event)
        context = self.context
        if context is not None and not isinstance(addon, Namespace):
            context, show = None, _as_is  # one of ours that the script asked for: an application
        kind, turn = kind_of(function), None
        if kind == "sync" and context is not None and self.turn is not None:
            kind, turn = "concurrent", self.turn  # all hooks of such a script, one at a time
        return Target(event, addon, event.name, kind, show, context, turn=turn)

    def _shower(self, event: Event) -> Callable[[Any], Any]:
        if self.era is None:
            return _as_is
        return events.argument_of(event, self.era, self.services.classic_host)

    def _updates(self, addon: Any) -> list[Target]:
        function = getattr(addon, "update", None)
        if self.rules < Era.F or isinstance(addon, dict) or not callable(function):
            return []
        if not isinstance(function, (types.FunctionType, types.MethodType)):
            return []
        if not _takes(function, 1) or self.era is None:
            return []
        kind = kind_of(function)
        return [
            Target(event, addon, "update", kind, self._shower(event), updates=True)
            for event in events.events_of(self.rules)
            if HOOKS[event.hook].kind == "flow"
        ]


def _as_is(value: Any) -> Any:
    return value


def is_addon(value: Any) -> bool:
    """Whether something has a function for an event."""
    return any(callable(getattr(value, event.name, None)) for event in events.EVENTS)


def addon_of(what: Any) -> Any:
    """The addon object that somebody wants to load; of a class, one is made.

    Raises:
        TypeError: It is none: it has neither functions for events nor for its own life, nor
            commands or addons.
    """
    __tracebackhide__ = True
    addon = what() if isinstance(what, type) else what
    if not takes_part(addon):
        shown = "a function" if callable(addon) else f"of the type {type(addon).__name__}"
        instead = '; for a function there is nbproxy.on("response")(function)'
        raise TypeError(
            'a script is a path with arguments, "arguments.py html faketml", or an object with '
            f"methods named like hooks, such as request; this is {shown} and has none"
            f"{instead if callable(addon) else ''}"
        )
    return addon


def takes_part(addon: Any) -> bool:
    """Whether something is an addon: with a function for an event or its own life, or commands."""
    if is_addon(addon) or any(callable(getattr(addon, name, None)) for name in _LIFE):
        return True
    return hasattr(addon, "addons") or has_commands(addon)


def kind_of(function: Any) -> str:
    """How a function is to be called."""
    if is_async(function):
        return "async"
    return "concurrent" if is_concurrent(function) else "sync"


def _takes(function: Any, count: int) -> bool:
    """Whether a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def refusal(failure: BaseException, path: str) -> ScriptError:
    """The error that a script cannot be loaded, of what it raised; with the script's line."""
    if isinstance(failure, ScriptError):
        return failure
    reports.cut(failure)
    line = None
    trace = failure.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(failure, SystemExit):
        return ScriptError(f"the script exited with code {failure.code}", path, line)
    text = str(failure)
    kind = type(failure).__name__
    return ScriptError(f"{kind}: {text}" if text else kind, path, line)


def _standins(
    era: Era, services: Services
) -> tuple[Mapping[str, Callable[[], types.ModuleType]], Callable[[str, str], str]]:
    """The modules of an era, and what to say of one that it had not."""
    if era <= Era.C:
        from nbproxy.scripts.compat import classic_modules  # noqa: PLC0415 - only for old scripts

        return (
            classic_modules.modules(era.value, services.classic_host),
            functools.partial(classic_modules.missing, era.value),
        )
    return modern.modules(services), functools.partial(modern.missing, era)


def scope_of(
    services: Services, source: Source, file: Path | None, argv: list[str] | None
) -> Scope:
    """What imports mean in a script.

    Args:
        services: Its surroundings.
        source: The script.
        file: Its file, None for the body of a cell.
        argv: What its `sys.argv` shall be; None for the process's own.
    """
    era = source.era
    own_sys = arguments.own_sys(argv)
    own_logging_module = own_logging(services.say)
    extra: dict[str, Any] = {"print": own_print(services.note)}
    classic, missing = _standins(era, services)
    scope: Scope
    own_importlib = arguments.Standin(
        importlib, import_module=lambda name, package=None: scope.import_module(name, package)
    )
    local: dict[str, Callable[[], types.ModuleType]] = {
        "sys": lambda: own_sys,
        "logging": lambda: own_logging_module,
        "importlib": lambda: own_importlib,
        "builtins": lambda: Builtins(scope.builtins),
        "warnings": lambda: own_warnings(services.say),
        **(arguments.readers(own_sys) if argv is not None else {}),
    }
    real_file = file.resolve() if file is not None else None
    scope = Scope(
        real_file.parent if real_file is not None else None,
        real_file,
        classic=classic,
        local=local,
        missing=missing,
        extra=extra,
        first=era >= Era.F,
    )
    scope.import_("sys")
    own_sys.__dict__["modules"] = ChainMap(scope.modules, sys.modules)
    return scope
