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
from typing import TYPE_CHECKING, Any

from nbproxy import filters
from nbproxy._version import __version__
from nbproxy.errors import ConfigError, FilterError, NbproxyError, ScriptError
from nbproxy.model.escape import visible
from nbproxy.model.masking import default_masker
from nbproxy.options import OPTIONS, check
from nbproxy.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbproxy.filters import Filter
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.store.store import Store

_URL_SHOWN = 200
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
    add("-q", "--quiet", action="store_true", help="print no line for each flow")
    add("--version", action="version", version=f"nbproxy {__version__}")
    add("filter", nargs="?", metavar="FILTER", help="print only flows that match")
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
    """

    def __init__(self, store: Store, condition: Filter | None, *, quiet: bool) -> None:
        self._store = store
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
        with self._store.lock:
            fresh, changed = self._store.collect(self._cursor)
        ended = [flow for flow in (*fresh, *changed) if not flow.live]
        if not self._quiet:
            for flow in ended:
                if self._condition is None or self._condition(flow):
                    say(flow_line(flow))
        if ended:
            with self._store.lock:
                self._store.remove([flow.id for flow in ended])
                self._cursor.removed.clear()  # we know; else it would grow with every flow


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


async def _run(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    condition = filters.parse(arguments.filter) if arguments.filter is not None else None
    proxy = Proxy(**options)
    async with contextlib.AsyncExitStack() as stack:
        with contextlib.redirect_stdout(sys.stderr):  # ours is the first line on standard output
            if arguments.script:
                _load_scripts(proxy, arguments)
            await stack.enter_async_context(proxy)
        printer = Printer(proxy.store, condition, quiet=arguments.quiet)
        printing = asyncio.create_task(printer.run())
        say(f"listening on {proxy.url}")
        await stop.wait()
        printing.cancel()
    printer.print_ended()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments, without the program's name; None for `sys.argv`'s.

    Returns:
        The exit status: 0 after SIGINT or SIGTERM, 1 if the proxy cannot run, 2 for bad arguments.
    """
    arguments = parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # hosts and paths may be in any script
    try:
        asyncio.run(_run(arguments, _options(arguments)))
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
    return 0
