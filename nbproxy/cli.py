"""The command line: a headless proxy with mitmdump's habits.

It prints one line for each flow, until SIGINT or SIGTERM, which end it with status 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbproxy import filters
from nbproxy._version import __version__
from nbproxy.errors import ConfigError, FilterError, FormatError, NbproxyError, ScriptError
from nbproxy.formats import SUFFIXES, Notes, detect, find, read_flows
from nbproxy.formats.appending import open_for_appending
from nbproxy.formats.mitm import Writer
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.options import OPTIONS, check
from nbproxy.proxy import Proxy
from nbproxy.saved import CAPTURE
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from nbproxy.filters import Filter
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.scripts.log import Entry
    from nbproxy.scripts.manager import Scripts
    from nbproxy.store.store import Store

_URL_SHOWN = 200
# Names of files that -w cannot write: they are made at once, of all flows.
_OTHERS = (f".{CAPTURE}", ".zhar", *(end for end, kind in SUFFIXES.items() if kind != "mitm"))
# Flows that end within this time are printed together.
_TOGETHER_S = 0.05


def parser() -> argparse.ArgumentParser:
    """The command line's own description; the options are those of `nbproxy.options`."""
    options = "\n".join(
        f"  {option.name:32}{option.help} [{_shown(option.default)}]" for option in OPTIONS.values()
    )
    command = argparse.ArgumentParser(
        prog="nbproxy",
        description="An intercepting HTTP(S) proxy. In a notebook: %load_ext nbproxy",
        epilog=f"options for --set:\n{options}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("-p", "--listen-port", type=int, metavar="PORT", help="port to listen on; 0: a free one")
    add("--listen-host", metavar="HOST", help="address to listen on")
    add("-m", "--mode", metavar="MODE", help="proxy mode: regular")
    add(
        "-s",
        "--script",
        action="append",
        default=[],
        metavar="SCRIPT",
        help='load a script written for mitmproxy, with its arguments: -s "SCRIPT ARGUMENT..."',
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option; a list takes several --set",
    )
    add(
        "-r",
        "--rfile",
        action="append",
        default=[],
        metavar="FILE",
        help="read flows from a file (mitmproxy's or HAR) and give them to the scripts",
    )
    add(
        "-w",
        "--wfile",
        metavar="FILE",
        help="append flows that match FILTER to a file as they end, in mitmproxy's format",
    )
    add("-n", "--no-server", action="store_true", help="do not listen: end when all is read")
    add("-q", "--quiet", action="store_true", help="print no line for each flow")
    add("--version", action="version", version=f"nbproxy {__version__}")
    add("filter", nargs="?", metavar="FILTER", help="print and write only flows that match")
    return command


def _shown(value: object) -> str:
    return "none" if value in {None, ()} else str(value)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, by option name.

    Raises:
        ConfigError: A `--set` that is no NAME=VALUE.
    """
    values: dict[str, Any] = {}
    for text in arguments.set:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set {text}: it takes NAME=VALUE")
        option = OPTIONS.get(name)
        if option is None and arguments.script:
            continue  # a script may add it
        if option is not None and option.type == "list":
            values[name] = (*values.get(name, ()), value)
        else:
            values[name] = value
    for name in ("listen_port", "listen_host", "mode"):
        if getattr(arguments, name) is not None:
            values[name] = getattr(arguments, name)
    return values


def flow_line(flow: HTTPFlow) -> str:
    """A finished flow in one line, secrets masked, control characters escaped."""
    clock = time.strftime("%H:%M:%S", time.localtime(flow.timestamp_created))
    outcome = str(flow.response.status_code) if flow.response is not None else "---"
    if flow.error is not None:
        outcome += f" ({default_masker().mask_text(flow.error.msg)})"
    size = flow.response.body_size if flow.response is not None else 0
    took = f"{flow.duration * 1000:.0f} ms" if flow.duration is not None else "-"
    url = default_masker().mask_url(flow.request.pretty_url)
    line = f"{clock} {flow.request.method} {visible(url, _URL_SHOWN)} -> {visible(outcome)}"
    return f"{line} {size} B {took}"


def say(line: str) -> None:
    """Print a line at once; if nobody reads any more (`nbproxy | head`), the proxy goes on."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # Python flushes again at the end, which must not fail
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Printer:
    """Prints flows as they end, and forgets them, so that memory stays bounded.

    It reads the store rather than being a handler: bodies need not wait for it.

    Args:
        store: Where the proxy records.
        condition: Which flows to print; None for all.
        quiet: Print none.
        write: Is given the same flows, also if none is printed.
        forget: Whether the flows leave the store, and so never go to disk.
    """

    def __init__(
        self,
        store: Store,
        condition: Filter | None,
        *,
        quiet: bool,
        write: Callable[[HTTPFlow], None] | None = None,
        forget: bool = True,
    ) -> None:
        self._store = store
        self._forget = forget
        if forget:
            store.stay_in_memory()
        self._write = write
        self._condition = condition
        self._quiet = quiet
        self._cursor = store.cursor()
        self._news = asyncio.Event()
        store.subscribe(self._news.set)

    async def run(self) -> None:
        """Print until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_TOGETHER_S)
            self._news.clear()
            self.print_ended()

    def print_ended(self) -> None:
        """Print the flows that have ended since the last call."""
        store = self._store
        with store.lock:
            fresh, changed = store.collect(self._cursor)
            flows = store.get_all([*changed, *fresh])
        ended = [flow for flow in flows if flow is not None and not flow.live]
        if not self._quiet or self._write is not None:
            for flow in ended:
                if self._condition is None or self._condition(flow):
                    self._one(flow)
        if ended and self._forget:
            with store.lock:
                store.remove([flow.id for flow in ended])
                self._cursor.removed.clear()  # we know; else it would grow with every flow

    def _one(self, flow: HTTPFlow) -> None:
        if self._write is not None:
            self._write(flow)
        if not self._quiet:
            say(flow_line(flow))


class Recording:
    """A file to which flows are appended; each is in it as soon as it is written.

    It is private (mode 0600), unless it was there before: what passes by holds passwords.

    Args:
        path: Where; a `+` before it, mitmdump's sign for appending, is taken off.

    Raises:
        ConfigError: It cannot be opened, is no file of mitmproxy's, or a damaged one.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path.removeprefix("+")).expanduser()
        try:
            _check_is_ours(self.path)
            self._file, mended = open_for_appending(self.path)
        except OSError as error:
            raise ConfigError(f"-w {self.path}: {error.strerror}") from None
        except FormatError as error:
            text = f"-w {error}; what would be appended could not be read: name another file"
            raise ConfigError(text) from None
        if mended is not None:
            complain(f"-w {self.path}: {mended}")
        self._notes = Notes()
        self._writer = Writer(self._file, self._notes)
        self._failed = False

    def write(self, flow: HTTPFlow) -> None:
        """Append a flow. If that fails, say so once: traffic goes on."""
        try:
            self._writer.write(flow)
            self._file.flush()
        except OSError as error:
            if not self._failed:
                complain(f"-w {self.path}: {error.strerror}; flows are missing in it")
            self._failed = True

    def close(self) -> None:
        """The end; says what could not be written."""
        with contextlib.suppress(OSError):  # it was said when it was to be written
            self._file.close()
        if str(self._notes):
            complain(f"-w {self.path}: {self._notes}")


def _check_is_ours(path: Path) -> None:
    """Refuse to append to something else, and to begin a file that looks like something else.

    Raises:
        ConfigError: It is no file of mitmproxy's, or would be one with the name of another kind.
        OSError: It cannot be read.
    """
    if not path.exists() and path.name.lower().endswith(_OTHERS):
        raise ConfigError(
            f"-w {path}: it would be in mitmproxy's format, whatever its name: name it "
            f"{path.stem}.mitm; nbproxy.open(it).save({path.name!r}) makes the other of it"
        )
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(64)
    try:
        ours = not head or detect(head) == "mitm"
    except FormatError:
        ours = False
    if not ours:
        raise ConfigError(f"-w {path}: it is there already and no mitmproxy file; name another")


def _files(arguments: argparse.Namespace, recording: Recording | None) -> list[Path]:
    """The files to read.

    Raises:
        ConfigError: One is not there, or is to be written as well.
    """
    try:
        paths = find(arguments.rfile)
    except OSError as error:
        raise ConfigError(f"-r: {error}") from None
    if recording is not None and any(path.samefile(recording.path) for path in paths):
        raise ConfigError(f"-w {recording.path}: it is being read from (-r); name another")
    return paths


class Reader:
    """Reads files: each flow goes through the scripts and then where live ones go.

    Args:
        store: Where flows go.
        printer: Is asked to print after each flow.
        play: Gives a flow to the scripts; None if there are none.

    Attributes:
        ok: False if a file could not be read to its end.
    """

    def __init__(
        self, store: Store, printer: Printer, play: Callable[[HTTPFlow], None] | None
    ) -> None:
        self._store = store
        self._printer = printer
        self._play = play
        self.ok = True

    async def run(self, paths: Sequence[Path]) -> None:
        """Read them all, one flow after the other; other traffic goes on between two."""
        for path in paths:
            notes = Notes()
            try:
                for flow in read_flows(path, notes):
                    self._pass(flow)
                    await asyncio.sleep(0)
            except (FormatError, OSError) as error:
                self.ok = False
                complain(f"-r {error}" if isinstance(error, FormatError) else f"-r {path}: {error}")
            if str(notes):
                complain(f"-r {path}: {notes}")

    def _pass(self, flow: HTTPFlow) -> None:
        if self._play is not None:
            self._play(flow)
        self._store.opened(flow)
        self._store.closed(flow)
        self._printer.print_ended()


def complain(line: str) -> None:
    """Say on standard error what the user should know."""
    print(f"nbproxy: {visible(line, _URL_SHOWN * 5)}", file=sys.stderr, flush=True)


def _load_scripts(proxy: Proxy, arguments: argparse.Namespace) -> None:
    """Load the scripts of the command line, in order.

    Raises:
        ScriptError: One cannot be loaded.
        ConfigError: There is a `--set` for an option that nobody has.
    """
    added = [text for text in arguments.set if text.partition("=")[0] not in OPTIONS]
    proxy.scripts.options.set(*added)
    for command in arguments.script:
        proxy.load(command)
    for name in proxy.scripts.options.deferred:
        check(name, "")  # there is no such option: says so, and what was meant


class _Errors:
    """What scripts of 0.18 to 6 said at level *error*: their `mitmdump` then ended with status 1.

    Of 8 and later only what went wrong at the start does so, and nothing of 0.17 and before.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._eras: dict[str, Era] = {}
        self._said: set[str] = set()
        scripts.log.subscribe(self._heard)

    def loaded(self) -> None:
        """All scripts are there: note whose era is which, while they are."""
        self._eras = {script.label: script.era for script in self._scripts}

    def tell(self) -> bool:
        """Say whose they were; whether there were any."""
        found = [s for s, era in self._eras.items() if Era.D <= era <= Era.F and s in self._said]
        for label in found:
            complain(f"-s {label}: errors occurred during run")
        return bool(found)

    def _heard(self, entry: Entry) -> None:
        if entry.level == "error":
            self._said.add(entry.script)


async def _run(arguments: argparse.Namespace, options: dict[str, Any]) -> bool:
    """Run until a signal comes, or with -n until all is read.

    Returns:
        False if a file was damaged, or a script was of a time when its errors counted and had some.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    condition = filters.parse(arguments.filter) if arguments.filter is not None else None
    proxy = Proxy(**options)
    with contextlib.ExitStack() as files:
        recording = Recording(arguments.wfile) if arguments.wfile is not None else None
        if recording is not None:
            files.callback(recording.close)
        paths = _files(arguments, recording)
        errors = _Errors(proxy.scripts) if arguments.script else None
        async with contextlib.AsyncExitStack() as stack:
            with contextlib.redirect_stdout(sys.stderr):  # ours is the first line on it
                stack.callback(proxy.close)
                if errors is not None:
                    _load_scripts(proxy, arguments)
                    errors.loaded()
                if not arguments.no_server:
                    await stack.enter_async_context(proxy)
                elif arguments.script:
                    proxy.scripts.started()
            play = proxy.scripts.play if arguments.script else None
            write = recording.write if recording is not None else None
            printer = Printer(
                proxy.store,
                condition,
                quiet=arguments.quiet,
                write=write,
                forget=proxy.options.capture is None,
            )
            if not arguments.no_server:
                say(f"listening on {proxy.url}")
            reader = Reader(proxy.store, printer, play)
            await _work(printer, reader.run(paths), stop, forever=not arguments.no_server)
        printer.print_ended()
    failed = errors is not None and errors.tell()
    return reader.ok and not failed


async def _work(
    printer: Printer, reading: Coroutine[Any, Any, None], stop: asyncio.Event, *, forever: bool
) -> None:
    """Print and read until `stop`, or until all is read."""
    printing = asyncio.create_task(printer.run())
    waiting = asyncio.create_task(stop.wait())
    work = asyncio.create_task(reading)
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if forever:
            await waiting
    finally:
        for task in (printing, waiting, work):
            task.cancel()
        await asyncio.gather(printing, waiting, work, return_exceptions=True)
    if not work.cancelled():
        work.result()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments, without the program's name; None for `sys.argv`'s.

    Returns:
        The exit status: 0 after SIGINT or SIGTERM, or when all is read (-n); 1 if the proxy cannot
        run, a file could not be read to its end or a script of 0.18 to 6 said errors; 2 for bad
        arguments.
    """
    arguments = parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # hosts and paths may be in any script
    try:
        ok = asyncio.run(_run(arguments, _options(arguments)))
    except (ConfigError, FilterError) as error:
        print(f"nbproxy: {error}", file=sys.stderr)
        return 2
    except ScriptError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        print(f"nbproxy: {error}", file=sys.stderr)
        return 1
    except NbproxyError as error:
        print(f"nbproxy: {error}", file=sys.stderr)
        return 1
    return 0 if ok else 1
