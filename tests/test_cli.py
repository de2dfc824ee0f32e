"""The command line, as a process of its own: what it prints, and how it ends."""

import asyncio
import contextlib
import gc
import importlib.metadata
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import tomllib
import weakref
from pathlib import Path

import pytest

from nbproxy import Proxy, cli, filters
from nbproxy._version import __version__
from nbproxy.model.connection import Client
from nbproxy.model.flow import Error, HTTPFlow
from nbproxy.model.message import Request, Response
from nbproxy.options import OPTIONS
from nbproxy.store.store import Store
from tests.support.proxies import PATIENCE_S, Origin, Wire, answering, response

COMMAND = [sys.executable, "-W", "error", "-m", "nbproxy"]


class Command:
    """A running `nbproxy`, its output line by line."""

    def __init__(self, *arguments, **env):
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1", **env},
        )
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.first = self.line()
        found = re.fullmatch(r"listening on http://(\S+):(\d+)", self.first)
        assert found, self.first + self.process.stderr.read()
        self.host, self.port = found[1].strip("[]"), int(found[2])

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def line(self):
        """The next line; "" at the end."""
        return self._lines.get(timeout=PATIENCE_S)

    def get(self, url, *lines):
        with Wire.to(self.port, self.host) as wire:
            return wire.get(url, *lines)

    def end(self, number=signal.SIGTERM):
        """Send a signal, and give the lines that were not read yet.

        It must end in order, and have said nothing on standard error.
        """
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert (status, self.process.stderr.read()) == (0, "")
        return list(iter(self.line, ""))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE_S)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture(scope="module")
def confdir(tmp_path_factory):
    """A folder with a CA, so that it is made once."""
    folder = tmp_path_factory.mktemp("confdir")
    _ = Proxy(confdir=folder).ca
    return f"confdir={folder}"


@pytest.fixture
def start(confdir):
    with contextlib.ExitStack() as stack:

        def run(*arguments, **env):
            command = Command("-p", "0", "--set", confdir, *arguments, **env)
            stack.callback(command.close)
            return command

        yield run


@pytest.fixture
def origin():
    origin = Origin(answering(lambda message: response(message.target)))
    yield origin
    origin.close()


def run(*arguments):
    """Run it to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


# -- as a process


def test_flows_are_printed_as_they_end(start, origin):
    command = start()
    assert command.host == "127.0.0.1"
    assert command.get(f"{origin.url}/x").body == b"/x"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d GET {origin.url}/x -> 200 2 B \d+ ms", command.line())
    assert command.get("http://127.0.0.1:1/y").status == 502
    assert re.fullmatch(
        r"[\d:]+ GET http://127\.0\.0\.1:1/y -> --- \(cannot connect to .*\) 0 B -",
        command.line(),
    )
    assert command.end() == []


def test_secrets_are_masked(start, origin):
    command = start()
    command.get(f"{origin.url}/a?token=hunter2&q=shown", b"Authorization: Bearer hunter2")
    command.get(f"{origin.url}/b?token=hunter2")
    first, second = command.line(), command.line()
    mask = re.search(r"/a\?token=(\*\*\*[0-9a-f]{8})&q=shown ", first)[1]
    assert f"/b?token={mask} " in second
    assert "hunter2" not in first + second


def test_only_what_matches_is_printed(start, origin):
    command = start("~u /yes & ~m POST")
    command.get(f"{origin.url}/yes")
    command.get(f"{origin.url}/no")
    with Wire.to(command.port) as wire:
        wire.get(f"{origin.url}/yes", b"Content-Length: 0", method=b"POST")
    assert f"POST {origin.url}/yes -> 200" in command.line()
    assert command.end() == []


def test_quiet(start, origin):
    command = start("-q")
    assert command.get(f"{origin.url}/x").status == 200
    assert command.end() == []


def test_options(start, origin):
    command = start("--listen-host", "::1", "--set", "http_max_head=500", "--quiet")
    assert command.host == "::1"
    assert command.get(f"{origin.url}/{'x' * 600}").status in {414, 431}
    command.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_signals_end_it_in_order(start, number):
    """Even with clients connected, and a server that does not answer."""
    asked = threading.Event()

    def silent(wire):
        wire.message()
        asked.set()
        wire.some()

    origin = Origin(silent)
    command = start()
    with Wire.to(command.port) as waits, Wire.to(command.port):
        waits.ask(f"{origin.url}/x")
        assert asked.wait(PATIENCE_S)
        (line,) = command.end(number)
    assert re.fullmatch(rf"\S+ GET {origin.url}/x -> --- \(the proxy was stopped\) 0 B -", line)
    origin.close()


def test_it_goes_on_when_nobody_reads(start, origin):
    """`nbproxy | head -1`"""
    command = start()
    os.dup2(os.open(os.devnull, os.O_RDONLY), command.process.stdout.fileno())
    command.get(f"{origin.url}/wakes-the-reader")
    for _ in range(3):
        assert command.get(f"{origin.url}/x").body == b"/x"
    command.end()


def test_output_that_knows_only_ascii(start, origin):
    command = start(PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    command.get(f"{origin.url}/{'x' * 300}")
    assert r"xxx\u2026 (+" in command.line()
    command.end()


WRONG = {
    "no value": (["--set", "listen_port"], "--set listen_port: it takes NAME=VALUE"),
    "no option": (["--set", "listen_prot=1"], "did you mean listen_port"),
    "bad value": (["--set", "connect_timeout=soon"], "connect_timeout = 'soon'"),
    "bad port": (["-p", "70000"], "listen_port = 70000"),
    "mode": (["-m", "reverse"], "mode = 'reverse'"),
    "list": (["--set", "ignore_hosts=a", "--set", "ignore_hosts=("], "no regular expression"),
    "exposed": (["--listen-host", "0.0.0.0"], "proxyauth"),
    "password": (["--set", "proxyauth=hunter2"], "user:password"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_one_line(arguments, message, confdir):
    done = run("--set", confdir, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("nbproxy: ")
    assert message in line
    assert "hunter2" not in line


def test_a_wrong_filter_is_pointed_at():
    done = run("~d a & ~nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    first, source, place, *_ = done.stderr.splitlines()
    assert first.startswith("nbproxy: ")
    assert source[place.index("^") :].startswith("~nonsense")
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(confdir):
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        done = run("-p", str(port), "--set", confdir)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"nbproxy: cannot listen on 127.0.0.1:{port}: ")
    assert len(done.stderr.splitlines()) == 1


def test_version_and_help():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nbproxy {__version__}\n", "")
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"  {name} " in done.stdout for name in OPTIONS)
    done = run("-p", "eighty")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("nbproxy: error: ")


def test_the_command_is_the_module():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    entry = importlib.metadata.EntryPoint("nbproxy", project["project"]["scripts"]["nbproxy"], "")
    assert entry.load() is cli.main


# -- its parts


def make_flow(path="/", **attributes):
    flow = HTTPFlow(Request.make("GET", f"http://a.test{path}"))
    for name, value in attributes.items():
        setattr(flow, name, value)
    return flow


def test_lines_are_for_eyes():  # hostile: D-06
    flow = make_flow(error=Error("\x1b[31m at http://me:hunter2@a/\n"))
    flow.request.path = "/" + "x" * 5000
    line = cli.flow_line(flow)
    assert line.isprintable()
    assert "hunter2" not in line
    assert len(line) < 500
    assert line.endswith(" 0 B -")
    flow.response = Response.make(200, b"abc")
    flow.response.timestamp_end = flow.request.timestamp_start + 0.25
    assert cli.flow_line(flow).endswith(") 3 B 250 ms")


async def test_what_is_printed_is_forgotten(capsys):
    store = Store()
    printer = cli.Printer(store, filters.parse("~u /even"), quiet=False)
    gone = []
    for number in range(100):
        flow = make_flow(f"/{'odd' if number % 2 else 'even'}/{number}")
        store.opened(flow)
        store.closed(flow)
        gone.append(weakref.ref(flow))
        del flow
        if not number % 7:
            printer.print_ended()
    printer.print_ended()
    lines = capsys.readouterr().out.splitlines()
    assert [int(re.search(r"/even/(\d+)", line)[1]) for line in lines] == list(range(0, 100, 2))
    gc.collect()
    assert len(store) == 0
    assert [ref() for ref in gone] == [None] * 100
    assert not printer._cursor.removed
    assert not printer._cursor._marked
    assert not printer._cursor._unfinished


async def test_a_flow_is_printed_when_it_is_over(capsys):
    store = Store()
    printer = cli.Printer(store, None, quiet=False)
    flow = make_flow("/slow", client_conn=Client(), _control=object())
    store.opened(flow)
    store.changed(flow)
    printer.print_ended()
    assert (capsys.readouterr().out, len(store)) == ("", 1)
    flow._control = None
    store.closed(flow)
    printer.print_ended()
    printer.print_ended()
    assert capsys.readouterr().out.count("/slow") == 1
    assert len(store) == 0


async def test_quiet_forgets_too(capsys):
    store = Store()
    printer = cli.Printer(store, None, quiet=True)
    running = asyncio.create_task(printer.run())
    news = asyncio.Event()
    store.subscribe(news.set)
    for _ in range(3):
        flow = make_flow()
        store.opened(flow)
        store.closed(flow)
    async with asyncio.timeout(PATIENCE_S):
        while len(store):
            news.clear()
            await news.wait()
    running.cancel()
    assert capsys.readouterr().out == ""
