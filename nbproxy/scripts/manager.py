"""`nbproxy.scripts`: all scripts of one proxy, in the order in which they were loaded."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import html
import os
import shlex
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from nbproxy.errors import ScriptError
from nbproxy.scripts import arguments, eras, events
from nbproxy.scripts.bodyviews import Contentviews
from nbproxy.scripts.compat import flows as modern_flows
from nbproxy.scripts.compat.master import replay
from nbproxy.scripts.log import Log
from nbproxy.scripts.loops import call_on_a_loop
from nbproxy.scripts.program import addon_of
from nbproxy.scripts.progress import progress
from nbproxy.scripts.reload import Watcher, stamp
from nbproxy.scripts.script import Script, World
from nbproxy.scripts.settings import ScriptOptions, builtin_commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.eras import Era
    from nbproxy.scripts.host import Host
    from nbproxy.scripts.log import Entry
    from nbproxy.scripts.program import Program, Target

    Loadable = str | os.PathLike[str] | object


class Scripts(World):
    """The scripts of one proxy.

    Args:
        host: The proxy.

    Attributes:
        log: What scripts say and what fails in them.
        options: The proxy's options and those that scripts add.
        commands: The commands that scripts add.
        contentviews: The views of bodies that scripts add.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.log = Log(host.frame)
        self.options = ScriptOptions(host.options, self._options_changed)
        self.contentviews = Contentviews()
        self.commands = builtin_commands(
            host.add_flow, self._replay, lambda text: self.log.add("warn", "", text)
        )
        self.commands._flows = lambda: host.flows  # noqa: SLF001 - they belong together
        self._scripts: list[Script] = []
        self._lock = threading.RLock()
        self._watcher = Watcher(self._file_changed, self._tick)
        self._end_listening: Callable[[], None] | None = None
        self._told_running = False
        modern_flows.Certificate.describe = staticmethod(host.certificate)
        host.options.on_change(self._proxy_option_changed)

    def _replay(self, flow: HTTPFlow) -> None:
        """What `replay.client` does with each of its flows; one that cannot be sent is no error."""
        try:
            replay(self.host, flow, hooks=True)
        except ValueError as error:
            self.log.add("warn", "", error)

    # -- loading

    def load(self, what: Loadable, *, era: str | float | None = None, key: object = None) -> Script:
        """Load a script, or an addon object.

        Args:
            what: A path with arguments ("arguments.py html faketml", words as in a shell), a path
                object, an object whose methods are named like hooks, or a script of these, which
                is loaded again.
            era: The release it was written for, such as "0.11"; by default it is recognised.
                An object gets flows as they are, unless an era is given.
            key: Who loads it: the same again from there replaces it.

        Returns:
            The script; if it was loaded already, it is loaded again in its place.

        Raises:
            ScriptError: It cannot be loaded; the cause is what it raised.
            TypeError: It is neither a path nor an object with hooks.
            ValueError: There is no such era.
        """
        __tracebackhide__ = True
        if isinstance(what, Script):
            return self._load_again(what, era)
        wanted = eras.parse(era) if era is not None else None
        if isinstance(what, (str, os.PathLike)):
            file, argv = arguments.split(what)
            return self._load_file(file, argv, wanted, key)
        addon = addon_of(what)
        label = f"{type(addon).__name__} object"
        found = self._find(lambda script: _same_object(script, addon, key))
        script = Script(self, label=label, addon=addon, era=wanted, key=key)
        return self._put(script, found)

    def _load_file(self, file: Path, argv: list[str], era: Era | None, key: object) -> Script:
        label = str(file)
        path = file if file.is_absolute() else file.absolute()

        def same(script: Script) -> bool:
            return script.file == path and (
                script.argv == argv or (key is not None and script.key == key)
            )

        found = self._find(same)
        script = Script(self, label=label, file=path, argv=argv, era=era, key=key)
        before = stamp(path)
        script = self._put(script, found)
        self._watcher.watch(path, before)
        return script

    def _load_again(self, what: Script, era: str | float | None) -> Script:
        """Load what is in `nbproxy.scripts` anew, in its place, or what was unloaded."""
        script = self._passing(what, era)
        script.key = what.key
        before = stamp(script.file) if script.file is not None else None
        script = self._put(script, self._find(lambda each: each is what))
        if script.file is not None:
            self._watcher.watch(script.file, before)
        return script

    def load_text(
        self,
        text: str,
        argv: Sequence[str] = (),
        *,
        label: str = "<script>",
        key: object = None,
        era: str | float | None = None,
    ) -> Script:
        """Load source text, such as the body of a cell.

        Args:
            text: The source.
            argv: Its arguments.
            label: What to call it; also its file name in tracebacks.
            key: What it is told apart by: the same again replaces it.
            era: As in `load`.

        Raises:
            ScriptError: As `load`; an older one of that key stays.
        """
        wanted = eras.parse(era) if era is not None else None
        found = self._find(lambda script: script.file is None and _same_key(script, label, key))
        script = Script(self, label=label, argv=list(argv), text=text, era=wanted, key=key or label)
        return self._put(script, found)

    def _put(self, script: Script, instead: Script | None) -> Script:
        """Load a new script, or in the place of another."""
        with self._lock:
            if instead is None:
                self._loading(script)
                return script
            self._about_to_read(instead)
            instead.replace(script)
            return instead

    def _about_to_read(self, script: Script) -> None:
        """A script is loaded again: that its file has changed is no news to it any more."""
        file = script.file
        if file is not None and all(s is script or s.file != file for s in self._scripts):
            self._watcher.about_to_read(file)

    def _loading(self, script: Script) -> None:
        self._scripts.append(script)
        try:
            script.load()
        except BaseException:
            self._scripts.remove(script)
            raise
        self._loaded(script)

    def _loaded(self, script: Script) -> None:
        program = script.program
        if program is not None and program.ticks:
            self._watcher.want_ticks()
        if self._end_listening is None:
            self._end_listening = self.log.subscribe(self._heard)

    def _find(self, test: Callable[[Script], bool]) -> Script | None:
        return next((script for script in self._scripts if test(script)), None)

    # -- removing

    def unload(self, *what: object) -> int:
        """Take scripts out; each gets `done`.

        Args:
            *what: Scripts, addon objects, paths or file names; nothing for all.

        Returns:
            How many there were.

        Raises:
            ValueError: Nothing here is called so.
        """
        with self._lock:
            if not what:
                found = list(self._scripts)
            else:
                found = [script for each in what for script in self._named(each)]
            for script in found:
                self._remove(script)
            return len(found)

    def _named(self, what: object) -> list[Script]:
        found = [s for s in self._scripts if s is what or (s.addon is not None and s.addon is what)]
        if not found and isinstance(what, int):
            found = [s for s in self._scripts if s.number == what]
        if not found and isinstance(what, (str, os.PathLike)):
            text = str(what)
            with contextlib.suppress(ScriptError):
                file, argv = arguments.split(text)
                path = file.absolute()
                found = [s for s in self._scripts if s.file == path and argv in ([], s.argv)]
            found = found or [
                s
                for s in self._scripts
                if text in {s.label, s.file.name if s.file else "", s.file.stem if s.file else ""}
            ]
        if not found:
            known = ", ".join(s.label for s in self._scripts) or "none"
            raise ValueError(f"there is no script {what!r}; there are: {known}")
        return found

    def _remove(self, script: Script) -> None:
        if script not in self._scripts:
            return
        self._scripts.remove(script)
        if script.file is not None and all(s.file != script.file for s in self._scripts):
            self._watcher.forget(script.file)
        script.unload()

    def close(self) -> None:
        """The end: all scripts get `done`."""
        self._watcher.close()
        with self._lock:
            for script in list(self._scripts):
                self._remove(script)

    # -- what scripts of a proxy share

    def addons(self) -> list[object]:
        """All addons of all scripts, in order."""
        programs = [script.program for script in self._scripts if script.program is not None]
        return [addon for program in programs for addon in program.addons]

    def after(self, script: Script, action: Callable[[Script], None]) -> None:
        """Do something with each script behind one."""
        if script in self._scripts:
            for each in self._scripts[self._scripts.index(script) + 1 :]:
                action(each)

    def started(self) -> None:
        """The proxy listens now: scripts that want to know are told, once each."""
        for script in list(self._scripts):
            if script.program is not None:
                script.program.running()

    def _options_changed(self, names: set[str]) -> None:
        for script in list(self._scripts):
            if script.program is not None:
                script.program.configure(names, veto=True)

    def _proxy_option_changed(self, name: str, _value: object) -> None:
        if self.options.assigning:
            return  # a script does it: all are told in a moment, of all names at once
        for script in list(self._scripts):
            if script.program is not None:
                script.program.configure({name})

    def _heard(self, entry: Entry) -> None:
        for script in list(self._scripts):
            if script.program is not None:
                script.program.hear(entry)

    def _tick(self) -> bool:
        wanted = [s for s in list(self._scripts) if s.program is not None and s.program.ticks]
        for script in wanted:
            assert script.program is not None  # noqa: S101 - asked for above
            with contextlib.suppress(RuntimeError):  # the proxy has just stopped
                self.host.call(script.program.tick)
        return bool(wanted)

    # -- reloading

    def _file_changed(self, path: Path) -> None:
        """In the watcher's thread; the work is done where handlers run."""
        for script in list(self._scripts):
            if script.file == path:
                try:
                    self.host.call(self._reload_changed, script)
                except RuntimeError:  # the proxy has just stopped
                    self._watcher.look_again(path)

    def _reload_changed(self, script: Script) -> None:
        """On the proxy's loop, which must not wait: a body that is being loaded may wait for it."""
        if not self._lock.acquire(blocking=False):
            if script.file is not None:
                self._watcher.look_again(script.file)
            return
        try:
            self.reload(script)
        finally:
            self._lock.release()

    def reload(self, script: Script) -> bool:
        """Load a script again; if that fails, say so and leave it as it is.

        Returns:
            Whether it was loaded.
        """
        with self._lock:
            if script not in self._scripts:
                return False
            self._about_to_read(script)
            try:
                script.reload()
            except ScriptError as error:
                script.failed("reload", error)
                script.say("error", f'Error reloading "{script.label}"; the former version stays.')
                return False
            self._loaded(script)
            script.say("info", f'"{script.label}" reloaded.')
            return True

    # -- on stored flows

    def run(
        self,
        what: Loadable,
        flows: Iterable[HTTPFlow],
        *,
        era: str | float | None = None,
        in_place: bool = False,
    ) -> list[HTTPFlow]:
        """Run a script over stored flows, in its era's own order of events.

        It is executed anew and gets `done` at the end; live traffic does not meet it. Where no loop
        runs, files for 3.0 and later have one for that time: their hosts had one since 4.0.

        Args:
            what: As in `load`; a `Script` is loaded anew from its file.
            flows: The flows.
            era: As in `load`.
            in_place: Change the flows themselves; else copies of them are changed.

        Returns:
            The flows that the script was run on.

        Raises:
            ScriptError: It cannot be loaded.
            TypeError: It is neither a path nor an object with hooks.
        """
        __tracebackhide__ = True
        script = self._passing(what, era)
        program = script.prepare()
        chosen = list(flows) if in_place else [flow.copy() for flow in flows]
        pass_all = functools.partial(self._pass_all, script, program, chosen)
        if script.addon is None and not script.era.has_start:
            call_on_a_loop(pass_all)
        else:
            pass_all()
        return chosen

    def _pass_all(self, script: Script, program: Program, flows: list[HTTPFlow]) -> None:
        script.begin(running=True)
        try:
            targets = program.targets()
            for flow in progress(flows, "flows"):
                self._play(script, targets, flow)
        finally:
            script._run(program.done)  # noqa: SLF001 - with its output, as everything it does
            script.state = "removed"

    def play(self, flow: HTTPFlow) -> None:
        """Give a stored flow to the loaded scripts, one after the other, and let them change it.

        Each gets the events of its own era, in that era's order; failures are in the log.
        """
        for script in list(self._scripts):
            if script.program is not None:
                self._play(script, script.program.targets(), flow)

    def _passing(self, what: Loadable, era: str | float | None) -> Script:
        __tracebackhide__ = True
        wanted = eras.parse(era) if era is not None else None
        if isinstance(what, Script):
            return Script(
                self,
                label=what.label,
                file=what.file,
                argv=what.argv,
                text=what.text,
                addon=what.addon,
                era=wanted or what._given_era,  # noqa: SLF001 - one of ours
            )
        if isinstance(what, (str, os.PathLike)):
            file, argv = arguments.split(what)
            return Script(self, label=str(file), file=file.absolute(), argv=argv, era=wanted)
        addon = addon_of(what)
        return Script(self, label=f"{type(addon).__name__} object", addon=addon, era=wanted)

    def _play(self, script: Script, targets: list[Target], flow: HTTPFlow) -> None:
        for name in events.sequence(script.era, flow):
            for target in targets:
                if target.event.hook != name:
                    continue
                try:
                    if target.kind == "async":
                        script._run(_complete, script.call_async(target, flow))  # noqa: SLF001 - see `run`
                    else:
                        script._run(script.call, target, flow)  # noqa: SLF001 - see `run`
                except (Exception, SystemExit) as failure:  # noqa: BLE001 - the fence around scripts
                    # it is in the log already, and the next event comes all the same
                    script.show(name, failure)

    # -- looking

    def __len__(self) -> int:
        return len(self._scripts)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Script]:
        return iter(list(self._scripts))

    def __getitem__(self, index: int | str) -> Script:
        if isinstance(index, int):
            return self._scripts[index]
        return self._named(index)[0]

    def rows(self) -> list[dict[str, Any]]:
        """The table, a dict for each script, with what `df` has as columns."""
        return [
            {
                "path": script.label,
                "arguments": shlex.join(script.argv),
                "era": _era(script),
                "hooks": " ".join(script.hooks),
                "calls": script.calls,
                "errors": script.errors,
                "reloads": script.reloads,
                "last_error": script.last_error,
            }
            for script in self
        ]

    @property
    def df(self) -> Any:
        """A DataFrame of the table, as it is now: a row for each script, in the order of loading.

        Columns: `path`, `arguments`, `era`, `hooks` (names, blanks between them), how many `calls`,
        `errors` and `reloads` there were, and `last_error` in one line, "" for none.
        """
        return self.host.frame_of_scripts(self.rows())

    def __repr__(self) -> str:
        rows = self.rows()
        if not rows:
            return "<Scripts: none loaded>"
        columns = list(rows[0])
        table = [columns, *([str(row[name]) for name in columns] for row in rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in table
        )

    def _repr_html_(self) -> str:
        rows = self.rows()
        if not rows:
            return "<p>no scripts are loaded</p>"
        head = "".join(f"<th>{name}</th>" for name in rows[0])
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row.values())
            + "</tr>"
            for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _era(script: Script) -> str:
    if script.addon is not None and script._given_era is None:  # noqa: SLF001 - one of ours
        return ""
    python2 = ", Python 2" if script.translated else ""
    return f"{script.era.value} ({script.era.releases}{python2})"


def _same_object(script: Script, addon: object, key: object) -> bool:
    if script.addon is None:
        return False
    same_class = type(script.addon).__qualname__ == type(addon).__qualname__
    return script.addon is addon or (key is not None and script.key == key and same_class)


def _same_key(script: Script, label: str, key: object) -> bool:
    return script.key == (key or label)


def _complete(coroutine: Any) -> None:
    """Run a coroutine to its end, also where a loop is running already: by a thread beside it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    run = contextvars.copy_context().run
    with ThreadPoolExecutor(1, thread_name_prefix="nbproxy-script-run") as pool:
        pool.submit(run, asyncio.run, coroutine).result()
