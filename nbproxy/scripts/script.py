"""A loaded script: where it came from, its present program, and its place among the handlers.

What is registered with the handlers are small functions of ours that look the script's own ones up
at each call; when the script is loaded again they get new targets and keep their place.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import sys
import traceback
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbproxy.errors import ScriptError
from nbproxy.handlers import reports
from nbproxy.handlers.handler import Source as Origin
from nbproxy.model.escape import visible
from nbproxy.scripts import loader
from nbproxy.scripts.eras import Era
from nbproxy.scripts.program import Namespace, Program, Target, refusal, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbproxy.handlers.handler import Handler
    from nbproxy.scripts.bodyviews import Contentviews, OwnViews
    from nbproxy.scripts.compat.classic_host import ClassicHost
    from nbproxy.scripts.host import Host
    from nbproxy.scripts.log import Log
    from nbproxy.scripts.settings import Commands, ScriptOptions

_numbers = itertools.count(1)
_SHOWN = 20_000  # characters of a traceback


class Script:
    """A script, or an addon object, that was loaded.

    Args:
        world: What all scripts of a proxy share.
        file: Its file; None for a cell's body and for objects.
        argv: Its arguments, without the path.
        text: Its source, for a cell's body.
        addon: The object, if it is one.
        era: Its era, if somebody said so.
        label: What people call it.
        key: What it is told apart by.

    Attributes:
        era: Its era; None for objects that get flows as they are.
        state: "new", "active", "removed".
        reloads: How often it was loaded again.
        calls: How often its functions were called for events.
        errors: How often it failed.
        last_error: The last failure in one line.
    """

    def __init__(
        self,
        world: World,
        *,
        label: str,
        file: Path | None = None,
        argv: list[str] | None = None,
        text: str | None = None,
        addon: object = None,
        era: Era | None = None,
        key: object = None,
    ) -> None:
        self.number = next(_numbers)
        self.world = world
        self.file = file
        self.argv = argv or []
        self.text = text
        self.addon = addon
        self.label = label
        self.key = key
        self.state = "new"
        self.reloads = self.calls = self.errors = 0
        self.last_error = ""
        self.origin = Origin("script", label, self.number)
        self._given_era = era
        self._shown: set[tuple[str, object]] = set()
        self._found_era: Era | None = era
        self._output = contextvars.copy_context()
        self._context: Any = None
        self._classic_host: ClassicHost | None = None
        self._slots: list[_Slot] = []
        self.program: Program | None = None
        self.translated = False

    # -- services for the stand-ins

    @property
    def era(self) -> Era:
        """Its era; the newest for objects."""
        return self._found_era or Era.H

    @property
    def host(self) -> Host:
        """The proxy."""
        return self.world.host

    @property
    def options(self) -> ScriptOptions:
        """All options."""
        return self.world.options

    @property
    def commands(self) -> Commands:
        """All commands."""
        return self.world.commands

    @cached_property
    def contentviews(self) -> OwnViews:
        """Its views of bodies."""
        return self.world.contentviews.of(self)

    @property
    def classic_host(self) -> ClassicHost | None:
        """For eras A to C: what their views reach of the proxy."""
        if self._found_era is None or self._found_era > Era.C:
            return None
        if self._classic_host is None:
            from nbproxy.scripts.context import ContextHost  # noqa: PLC0415 - old scripts only

            self._classic_host = ContextHost(self)
        return self._classic_host

    def say(self, level: str, text: object) -> None:
        """Put an entry into the log, and under the cell that loaded the script."""
        entry = self.world.log.add(level, self.label, text)
        if entry.level != "debug":
            to_error = entry.level in {"warn", "error"}
            self._print(f"{self.label}: {visible(entry.text, _SHOWN, multiline=True)}", to_error)

    def note(self, level: str, text: str) -> None:
        """Put an entry into the log only: it was printed already."""
        self.world.log.add(level, self.label, text)

    def _print(self, text: str, to_error: bool) -> None:
        def show() -> None:
            print(text, file=sys.stderr if to_error else sys.stdout)

        self._output.copy().run(show)

    def register(self, addon: object) -> None:
        """Add an addon behind what the script has already."""
        if self.program is not None:
            self.program.addons.append(addon)
            if self.state == "active":
                self._register()

    def unregister(self, addon: object) -> None:
        """Take an addon out; it gets `done`."""
        if self.program is not None and self.program.dismiss(addon) and self.state == "active":
            self._register()

    def addons(self) -> list[object]:
        """All addons of all scripts."""
        return self.world.addons()

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """While one of its hooks waits for something: others of its hooks may run."""
        turn = self.program.turn if self.program is not None else None
        return turn.yielded() if turn is not None else contextlib.nullcontext()

    def load_other(self, command: str) -> object:
        """Load another script."""
        return self.world.load(command)

    def others(self) -> list[object]:
        """All scripts."""
        return list(self.world)

    def unload_others(self) -> None:
        """Take all scripts out."""
        self.world.unload()

    # -- loading

    def load(self) -> None:
        """Read, execute, begin, register.

        Raises:
            ScriptError: It cannot be loaded; nothing is registered then.
        """
        self.contentviews.begin()
        try:
            program = self._fresh()
            self._begin(program)
        except BaseException:
            self.contentviews.clear()
            raise
        self.program = program
        self.state = "active"
        self._register()

    def reload(self) -> None:
        """Load it again; if the new version fails, the old one stays.

        The new body is executed before the old one gets `done`, so that a broken one is found out
        while there is something to stay with.

        Raises:
            ScriptError: The new version cannot be loaded.
        """
        old, old_era = self.program, self._found_era
        self.contentviews.begin()
        try:
            program = self._fresh()
        except ScriptError:
            self._found_era = old_era
            self.contentviews.withdraw()
            raise
        if old is not None:
            self._run(old.done)
        try:
            self._begin(program)
        except ScriptError:
            self._found_era = old_era
            self.contentviews.withdraw()
            self._revive()
            raise
        self.contentviews.settle()
        self.program = program
        self.reloads += 1
        self._register()

    def replace(self, newer: Script) -> None:
        """Become another script, in this one's place: its source, arguments, output.

        Raises:
            ScriptError: The newer one cannot be loaded; this one stays as it is.
        """
        names = ("text", "argv", "addon", "label", "key", "_given_era", "_output")
        before = {name: getattr(self, name) for name in names}
        for name in names:
            setattr(self, name, getattr(newer, name))
        try:
            self.reload()
        except ScriptError:
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _revive(self) -> None:
        """The new version's `start` failed after the old one's `done`: the old one starts anew."""
        old = self.program
        if old is None:
            return
        old.revive()
        try:
            self._begin(old)
        except ScriptError as failure:
            self.say("error", f"the former version does not start again either: {failure}")

    def prepare(self) -> Program:
        """A program that has begun but is not registered; for stored flows.

        Raises:
            ScriptError: It cannot be loaded.
        """
        self.contentviews.offered = False  # it is not there to be looked with
        self.program = self._fresh()
        self.state = "active"
        return self.program

    def begin(self, *, running: bool) -> None:
        """Let the program begin.

        Raises:
            ScriptError: It refuses.
        """
        assert self.program is not None  # noqa: S101 - prepared before
        self._run(self.program.begin, running=running)

    def _fresh(self) -> Program:
        if self.addon is not None:
            program = Program(self, self._given_era, self.failed)
            program.adopt(self.addon)
            return program
        path = str(self.file) if self.file is not None else self.label
        text = loader.read(self.file) if self.file is not None else self.text or ""
        source = loader.prepare(text, path, self._given_era)
        self._found_era, self.translated = source.era, source.translated
        program = Program(self, source.era, self.failed)
        self._run(self._execute, program, source, path)
        return program

    def _execute(self, program: Program, source: loader.Source, path: str) -> None:
        era = source.era
        argv = [path, *self.argv]
        own_argv = argv if self.argv or era in {Era.D, Era.E} else None
        scope = scope_of(self, source, self.file, own_argv)
        program.execute(source, argv, self._context_object(), scope)

    def _context_object(self) -> Any:
        """The first argument of hooks in eras A to C; one for the script's life."""
        host = self.classic_host
        if host is None:
            return None
        if self._context is None:
            from nbproxy.scripts.compat import classic  # noqa: PLC0415 - old scripts only

            self._context = classic.context(self.era.value, host)
        return self._context

    def _begin(self, program: Program) -> None:
        before, self.program = self.program, program
        try:
            self._run(program.begin, running=self.host.running)
        except ScriptError:
            self.program = before
            raise

    def _run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call with output going to the cell that loaded the script."""
        return self._output.copy().run(function, *args, **kwargs)

    def with_output(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """A function for any thread, with its output going to the cell that loaded the script."""
        context = self._output.copy()
        return lambda: context.run(function)

    # -- among the handlers

    def _register(self) -> None:
        assert self.program is not None  # noqa: S101 - that is what is registered
        targets = self.program.targets()
        same = [(t.event.hook, t.kind) for t in targets]
        if same == [(s.target.event.hook, s.target.kind) for s in self._slots]:
            for slot, target in zip(self._slots, targets, strict=True):
                slot.target = target
                if slot.handler is not None:
                    slot.handler.context = self._output
            return
        was_registered = bool(self._slots)
        self._unregister()
        self._slots = [_Slot(self, target) for target in targets]
        self._add_all()
        if was_registered or self.reloads:
            self.world.after(self, Script.renew)

    def _add_all(self) -> None:
        for slot in self._slots:
            slot.add(self._output)

    def renew(self) -> None:
        """Register again behind everything else: one that comes before was changed."""
        self._unregister()
        self._add_all()

    def _unregister(self) -> None:
        self.host.handlers.remove(self.origin)

    def unload(self) -> None:
        """Take it out; it gets `done`."""
        if self.state == "removed":
            return
        self._unregister()
        self.state = "removed"
        if self.program is not None:
            self._run(self.program.done)
        self.contentviews.clear()

    @property
    def hooks(self) -> list[str]:
        """Names of the events that it has functions for."""
        if self.program is None or self.state == "removed":
            return []
        return list(dict.fromkeys(slot.target.event.name for slot in self._slots))

    # -- events

    def call(self, target: Target, argument: Any) -> Any:
        """Call one of its functions; what goes wrong is logged, and raised for the caller."""
        self.calls += 1
        try:
            return target.call(argument)
        except BaseException as failure:
            self._log_failure(target.name, failure)
            raise

    async def call_async(self, target: Target, argument: Any) -> None:
        """The same, awaited."""
        self.calls += 1
        try:
            await target.call(argument)
        except Exception as failure:
            self._log_failure(target.name, failure)
            raise

    def failed(self, where: str, failure: BaseException) -> None:
        """Something went wrong outside of events: log it, and show it under the cell."""
        text = self._log_failure(where, failure)
        if self.world.shows_failures:
            self._print(f"{self.label}: {visible(text, _SHOWN, multiline=True)}", to_error=True)

    def show(self, where: str, failure: BaseException) -> None:
        """Show a failure that is in the log already under the cell; each place once."""
        place = (where, reports.location(failure))
        if self.world.shows_failures and place not in self._shown:
            self._shown.add(place)
            intro = f"{self.label}: failed in {where}; later ones here are in the log only"
            text = f"{intro}\n{_in_words(failure).rstrip()}"
            self._print(visible(text, _SHOWN, multiline=True), to_error=True)

    def _log_failure(self, where: str, failure: BaseException) -> str:
        self.errors += 1
        if isinstance(failure, SystemExit):
            text = f"Script exited with code {failure.code} (in {where})"
            self.last_error = text
            self.note("error", text)
            return text
        told = refusal(failure, str(self.file or self.label))
        at = f"line {told.line}" if told.line is not None else where
        self.last_error = f"{told.message} ({where}, {at})"
        intro = "Script error" if self.era <= Era.E else "Addon error"
        text = f"{intro} in {where}:\n{_in_words(failure)}".rstrip()
        self.note("error", text)
        return text

    def __repr__(self) -> str:
        era = f", {self.era.label}" if self._found_era is not None else ""
        hooks = " ".join(self.hooks) or "none"
        return f"<Script {self.label}{era}, {self.state}, hooks: {hooks}>"


def _in_words(failure: BaseException) -> str:
    """What went wrong, with the script's own lines and no others."""
    if not isinstance(failure, ScriptError):
        reports.cut(failure)
        return "".join(traceback.format_exception(failure))
    cause = failure.__cause__
    lines = "" if cause is None else _in_words(cause)
    told = str(cause)
    if cause is not None and (failure.message.endswith(told) or failure.message in told):
        return lines  # all is said there
    return f"{lines}{failure}"


class _Slot:
    """A place among the handlers, with the function of the script that is called there."""

    def __init__(self, script: Script, target: Target) -> None:
        self.script = script
        self.target = target
        self.handler: Handler | None = None

    def add(self, context: contextvars.Context) -> None:
        """Register it."""
        target = self.target
        function = self._async_function() if target.kind == "async" else self._function()
        function.__name__ = target.name
        function.__qualname__ = target.name
        if not isinstance(target.owner, Namespace):
            function.__qualname__ = f"{type(target.owner).__name__}.{target.name}"
        self.handler = self.script.host.handlers.add(
            target.event.hook,
            function,
            source=self.script.origin,
            context=context,
            concurrent=target.kind == "concurrent",
        )

    def _function(self) -> Any:
        def call(argument: Any) -> None:
            made = self.script.call(self.target, argument)
            if made is not None and hasattr(made, "close") and hasattr(made, "send"):
                made.close()  # a coroutine of a function that was none when it was registered

        return call

    def _async_function(self) -> Any:
        async def call(argument: Any) -> None:
            await self.script.call_async(self.target, argument)

        return call


class World:
    """What all scripts of one proxy share; `manager.Scripts` is the one there is.

    Attributes:
        shows_failures: Whether what fails is printed; it is in the log in any case.
    """

    shows_failures: bool = True
    host: Host
    log: Log
    options: ScriptOptions
    commands: Commands
    contentviews: Contentviews

    def __iter__(self) -> Iterator[Script]:
        """The scripts, in order."""
        raise NotImplementedError

    def load(self, what: Any) -> Script:
        """Load a script."""
        raise NotImplementedError

    def unload(self, *what: object) -> int:
        """Take scripts out; all if none is named."""
        raise NotImplementedError

    def addons(self) -> list[object]:
        """All addons of all scripts, in order."""
        raise NotImplementedError

    def after(self, script: Script, action: Callable[[Script], None]) -> None:
        """Do something with each script behind one."""
        raise NotImplementedError
