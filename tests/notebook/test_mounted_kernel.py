"""The mounted loop in real kernels of both ipykernel lines: whatever a cell does, it serves.

A small HTTP server stands in for the proxy. `site.get` is a client in the test's process, `get`
in a cell a blocking one in the kernel. Cells wait for a `gate` that a request opens, so a server
that is stuck behind its cell shows as a failure and not as a delay.
"""

import http.client
import threading
import time
from collections import Counter

import pytest

from tests.support.kernels import Kernel

SITE = """
import asyncio, contextlib, os, pathlib, subprocess, sys, threading, time, urllib.request
from nbproxy.engine.runner import wait
from nbproxy.notebook.mounted import MountedRunner, wake_on_signals

gate = threading.Event()
handlers = {}

async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            body = await answer(head.split()[1].decode())
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
            writer.write(body.encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()

async def answer(path):
    if path == "/open":
        gate.set()
    return str(await handlers[path]()) if path in handlers else path

def nap():
    while True:
        time.sleep(5)  # a signal that comes just before it begins does not end it (CPython)

async def is_napping():
    frame = sys._current_frames()[threading.main_thread().ident]
    return frame.f_code is nap.__code__

handlers["/napping"] = is_napping

main_loop = get_ipython().kernel.io_loop.asyncio_loop
def files():
    # Ours are of these kinds. IPython's history and ZeroMQ's sockets come and go meanwhile.
    found = set()
    for fd in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed this moment
            found.add((fd.name, fd.readlink().name))
    return {f for f in found if f[1].startswith(("socket:", "pipe:", "anon_inode:[eventpoll]"))}

files_before = files()
interval_before = sys.getswitchinterval()
runner = MountedRunner(main_loop)
runner.start()
server = wait(runner, asyncio.start_server(serve, "127.0.0.1", 0), 60)
port = server.sockets[0].getsockname()[1]
url = f"http://127.0.0.1:{port}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def get(path):
    with opener.open(url + path, timeout=60) as response:
        return response.read().decode()

def pass_gate():
    passed = gate.wait(60)
    gate.clear()
    return passed

port
"""

END = """
runner.call(server.close)
runner.close()
runner.close()
left = [t.name for t in threading.enumerate() if t.name.startswith("nbproxy")]
print(left, runner.loop.is_closed(), sorted(files() - files_before),
      sys.getswitchinterval() == interval_before)
"""


class Site:
    """A server on a mounted loop in a kernel, seen from outside."""

    def __init__(self, kernel: Kernel, **where: str) -> None:
        self.kernel = kernel
        self.port = int(kernel.execute(SITE, **where).value or 0)

    def get(self, path: str) -> str:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            client.request("GET", path)
            return client.getresponse().read().decode()
        finally:
            client.close()

    def get_until(self, path: str, answer: str) -> None:
        """Ask until the answer is as wanted."""
        deadline = time.monotonic() + 60
        while (got := self.get(path)) != answer:
            assert time.monotonic() < deadline, f"{path} still answers {got}"

    def run(self, code: str) -> str:
        """Run a cell; what it printed."""
        return self.kernel.execute(code).stdout

    def interrupt_nap(self) -> None:
        """Interrupt a cell that sleeps.

        Not one that has just printed: ipykernel loses an interrupt now and then (1 of 400, without
        us) while it flushes output.
        """
        cell = self.kernel.start_cell("nap()")
        self.get_until("/napping", "True")
        assert self.kernel.interrupt_cell(cell).error_name == "KeyboardInterrupt"

    def stats(self) -> Counter[str]:
        code = "print(*(f'{n}={getattr(runner.stats, n)}' for n in runner.stats.__slots__))"
        pairs = (pair.split("=") for pair in self.run(code).split())
        return Counter({name: int(count) for name, count in pairs})

    def end(self) -> None:
        """Close it in a cell; nothing is left of it."""
        assert self.run(END) == "[] True [] True\n"


@pytest.fixture
def site(kernel):
    site = Site(kernel)
    yield site
    site.end()


# cells that block


def test_idle_kernel_serves_on_its_main_thread(site):
    site.run("async def where(): return threading.current_thread() is threading.main_thread()")
    site.run("handlers['/where'] = where")
    turns = site.stats()["turns"]
    site.get_until("/where", "True")  # the kernel may still be busy finishing a cell
    assert site.stats()["turns"] > turns


def test_blocking_client_in_a_cell(site):
    assert site.run("print([get(f'/{n}') for n in range(5)])") == f"{[f'/{n}' for n in range(5)]}\n"
    assert site.stats()["rescues"] >= 1


def test_outside_client_while_a_cell_blocks(site):
    cell = site.kernel.start_cell("print(pass_gate())")
    assert site.get("/a") == "/a"
    assert site.get("/open") == "/open"
    assert site.kernel.finish(cell).stdout == "True\n"


def test_interrupt_of_a_sleeping_cell(site):
    site.interrupt_nap()
    assert site.get("/b") == "/b"
    assert site.run("print(get('/c'))") == "/c\n"


def test_input(site):
    cell = site.kernel.start_cell("print(input('name? '))")
    assert site.kernel.wait_input(cell) == "name? "
    assert site.get("/a") == "/a"
    site.kernel.reply_input(cell, "Ada")
    assert site.kernel.finish(cell).stdout == "Ada\n"


def test_subprocess(site):
    curl = "'curl', '-s', '--noproxy', '*', url + '/a'"
    assert site.run(f"print(subprocess.run([{curl}], capture_output=True).stdout)") == "b'/a'\n"
    assert "/b" in site.run("!curl -s --noproxy '*' {url}/b")


def test_busy_cell_shares_the_interpreter(site):
    """While traffic flows the switch interval is short, afterwards it is not (`site.end`)."""
    cell = site.kernel.start_cell(
        "shortest = 1.0; print('in', flush=True)\n"
        "while not gate.is_set():\n"
        "    sum(range(1000)); shortest = min(shortest, sys.getswitchinterval())\n"
        "gate.clear(); print(shortest)"
    )
    site.kernel.wait_stdout(cell, "in\n")
    for number in range(20):
        assert site.get(f"/{number}") == f"/{number}"
    site.get("/open")
    assert float(site.kernel.finish(cell).stdout.split()[-1]) == pytest.approx(0.001)


def test_busy_cell_in_c_code(site):
    code = "import hashlib\nwhile not gate.is_set(): hashlib.sha256(bytes(1 << 20))\ngate.clear()"
    cell = site.kernel.start_cell(code)
    assert site.get("/a") == "/a"
    site.get("/open")
    site.kernel.finish(cell).check()


# cells that await


def test_outside_client_while_a_cell_awaits(site):
    cell = site.kernel.start_cell("print(await asyncio.to_thread(pass_gate))")
    assert site.get("/a") == "/a"
    site.get("/open")
    assert site.kernel.finish(cell).stdout == "True\n"


def test_client_in_a_cell_that_awaits(site):
    code = (
        "reader, writer = await asyncio.open_connection('127.0.0.1', port)\n"
        "writer.write(b'GET /mine HTTP/1.1\\r\\n\\r\\n')\n"
        "print((await reader.readuntil(b'/mine')).split()[-1])\n"
        "writer.close(); await writer.wait_closed()"
    )
    assert site.run(code) == "b'/mine'\n"


def test_cell_awaits_a_coroutine_of_the_proxy(site):
    code = "print(await asyncio.wrap_future(runner.submit(asyncio.sleep(0, 'slept'))))"
    assert site.run(code) == "slept\n"


def test_interrupt_of_a_cell_that_awaits(site):
    """Without `wake_on_signals` it would take effect when the sleep ends."""
    site.run("import signal; undo = wake_on_signals(main_loop)")
    cell = site.kernel.start_cell("print('asleep', flush=True); await asyncio.sleep(600)")
    site.kernel.wait_stdout(cell, "asleep")
    assert site.get("/a") == "/a"
    assert site.kernel.interrupt_cell(cell).error_name in ("KeyboardInterrupt", "CancelledError")
    assert site.get("/b") == "/b"
    assert site.run("undo(); print(signal.set_wakeup_fd(-1))") == "-1\n"


# callbacks that block


def test_blocking_client_in_a_widget_callback(site):
    site.run(
        "from comm import get_comm_manager\n"
        "def opened(comm, message):\n"
        "    @comm.on_msg\n"
        "    def clicked(message):\n"
        "        comm.send({'got': get(message['content']['data']['path'])})\n"
        "get_comm_manager().register_target('button', opened)"
    )
    site.kernel.comm_open("button", f"{site.kernel.line}-button")
    for path in ("/first", "/second"):
        sent = site.kernel.comm_send(f"{site.kernel.line}-button", {"path": path})
        site.kernel.wait_until(sent, lambda result: result.is_idle)
    messages = site.kernel.comm_messages(f"{site.kernel.line}-button")
    assert [m["content"]["data"]["got"] for m in messages] == ["/first", "/second"]


def test_blocking_client_in_a_loop_callback(site):
    cell = site.kernel.start_cell("_ = main_loop.call_later(0.05, lambda: print(get('/callback')))")
    site.kernel.wait_stdout(cell, "/callback")


def test_gui_loop(site):
    """A GUI's main loop runs inside a callback of the kernel's loop, between cells too."""
    site.run(
        "from ipykernel.eventloops import register_integration\n"
        "entered = False\n"
        "@register_integration('stuck')\n"
        "def stuck(kernel):\n"
        "    global entered\n"
        "    entered = True; passed = pass_gate(); kernel.eventloop = None; entered = passed\n"
        "async def has_entered(): return entered\n"
        "handlers['/entered'] = has_entered\n"
        "get_ipython().enable_gui('stuck')"
    )
    site.get_until("/entered", "True")
    assert site.get("/a") == "/a"
    assert site.get("/open") == "/open"
    assert site.run("print(entered)") == "True\n"


# subshells


def test_loaded_in_a_subshell_and_used_from_all(kernel7):
    """The host is the main shell's loop though another loop runs where it is loaded."""
    subshell, other = kernel7.create_subshell(), kernel7.create_subshell()
    site = Site(kernel7, subshell=subshell)
    site.run("print(get('/main'))")
    main = kernel7.start_cell("print(pass_gate())")
    assert kernel7.execute("print(get('/sub'))", subshell=subshell).stdout == "/sub\n"
    assert kernel7.execute("print(get('/other'))", subshell=other).stdout == "/other\n"
    kernel7.delete_subshell(subshell)  # the loop it was loaded on is gone
    assert site.get("/open") == "/open"
    assert kernel7.finish(main).stdout == "True\n"
    blocked = kernel7.start_cell("print(pass_gate())", subshell=other)
    assert site.run("print(get('/main'))") == "/main\n"
    site.get("/open")
    assert kernel7.finish(blocked).stdout == "True\n"
    site.end()


def test_closed_in_a_subshell_while_the_main_shell_is_stuck(kernel7):
    site = Site(kernel7)
    cell = kernel7.start_cell("print(pass_gate(), flush=True)")
    assert site.get("/a") == "/a"
    code = "runner.call(server.close); runner.close(); print(runner.loop.is_closed()); gate.set()"
    assert kernel7.execute(code, subshell=kernel7.create_subshell()).stdout == "True\n"
    assert kernel7.finish(cell).stdout == "True\n"
    # the main loop has let the descriptor go by now, and takes new ones well
    site = Site(kernel7)
    assert site.get("/b") == "/b"
    site.end()


# handlers and timers


def test_timers_fire_in_order_while_a_cell_blocks(site):
    code = (
        "order = []\n"
        "def arm():\n"
        "    now = runner.loop.time()\n"
        "    for delay in (0.09, 0.03, 0.06):\n"
        "        runner.loop.call_at(now + delay, order.append, delay)\n"
        "    runner.loop.call_at(now + 0.12, gate.set)\n"
        "runner.call(arm); pass_gate(); print(order)"
    )
    assert site.run(code) == "[0.03, 0.06, 0.09]\n"


def test_timers_set_before_a_cell_fire_within_it(site):
    site.run("runner.call(lambda: runner.loop.call_later(0.3, gate.set))")
    assert site.run("print(pass_gate())") == "True\n"


def test_timers_fire_in_an_idle_kernel(site):
    site.run("async def nap(): await asyncio.sleep(0.05); return 'rested'\nhandlers['/nap'] = nap")
    assert site.get("/nap") == "rested"


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit"])
def test_an_interrupt_raised_in_a_handler(site, error):
    site.run(
        f"def fail(): raise {error}\n"
        "async def failing(): runner.loop.call_soon(fail); return 'failed'\n"
        "handlers['/fail'] = failing"
    )
    assert site.get("/fail") == "failed"  # in an idle kernel
    assert site.run("print(get('/fail'))") == "failed\n"  # while a cell blocks
    assert site.get("/a") == "/a"
    assert site.stats()["interrupts"] == 2


def test_a_slow_handler_on_the_main_thread_is_counted(site):
    site.run(
        "async def slow():\n"
        "    if threading.current_thread() is not threading.main_thread(): return False\n"
        "    gate.set(); ends = time.monotonic() + 60\n"
        "    while not runner.stats.slow_turns and time.monotonic() < ends: time.sleep(0.001)\n"
        "    return True\n"
        "handlers['/slow'] = slow"
    )
    # the second request comes from a thread of the kernel once the handler holds the main thread
    cell = site.kernel.start_cell(
        "def knock():\n"
        "    pass_gate(); print(get('/knock'), flush=True)\n"
        "thread = threading.Thread(target=knock); thread.start()"
    )
    site.kernel.finish(cell)
    site.kernel.wait_idle()
    # on a busy machine the watchdog may come first; it then has nothing to count
    assert "True" in (site.get("/slow") for _ in range(200))
    assert site.run("thread.join(); print('joined')").endswith("joined\n")
    assert site.stats()["slow_turns"] >= 1


# ends


def test_close_in_a_cell_while_the_watchdog_is_at_work(kernel):
    site = Site(kernel)
    assert site.run("print(get('/a')); " + END.strip()) == "/a\n[] True [] True\n"


AT_EXIT = """
import atexit, pathlib
def at_exit():
    with contextlib.suppress(RuntimeError):
        runner.call(server.close)
    runner.close()
    left = [t.name for t in threading.enumerate() if t.name.startswith("nbproxy")]
    pathlib.Path("left").write_text(f"{left} {runner.loop.is_closed()}")
atexit.register(at_exit)
"""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_restart_and_shutdown(fresh_kernel, busy):
    """At exit the kernel's loop has stopped and will not run again."""
    site = Site(fresh_kernel)
    site.run(AT_EXIT)
    if busy:
        fresh_kernel.start_cell("nap()")
        site.get_until("/napping", "True")
    assert site.get("/a") == "/a"
    process, left = fresh_kernel.process, fresh_kernel.folder / "cwd" / "left"
    fresh_kernel.restart()
    assert process.returncode == 0
    assert left.read_text() == "[] True"
    left.unlink()
    site = Site(fresh_kernel)  # the new kernel serves as the old one did
    site.run(AT_EXIT)
    assert site.get("/b") == "/b"
    fresh_kernel.shutdown()
    assert left.read_text() == "[] True"
    assert fresh_kernel.process.returncode == 0
    assert not fresh_kernel.has_processes()
    assert "nbproxy" not in fresh_kernel.log


def test_shutdown_without_closing(fresh_kernel):
    site = Site(fresh_kernel)
    assert site.get("/a") == "/a"
    fresh_kernel.shutdown()
    assert fresh_kernel.process.returncode == 0
    assert not fresh_kernel.has_processes()


# surroundings


def test_nest_asyncio_applied_after_mounting(fresh_kernel):
    """It patches the class of the running loop, which is the base of ours."""
    site = Site(fresh_kernel)
    module = "nest_asyncio" if fresh_kernel.line == "ipykernel6" else "nest_asyncio2"
    site.run(f"import {module}; {module}.apply()")
    assert site.get("/a") == "/a"
    site.run("async def both(): return await asyncio.to_thread(get, '/b'), pass_gate()")
    cell = fresh_kernel.start_cell(
        "print('nested', flush=True); print(main_loop.run_until_complete(both()))"
    )
    fresh_kernel.wait_stdout(cell, "nested")
    assert site.get("/c") == "/c"
    assert site.get("/open") == "/open"
    assert "('/b', True)" in fresh_kernel.finish(cell).stdout
    assert site.run("print(get('/d'))") == "/d\n"
    assert site.get("/e") == "/e"
    site.end()


@pytest.mark.parametrize("line", ["ipykernel6", "ipykernel7"])
def test_debug_mode_of_asyncio(start_kernel, line):
    kernel = start_kernel(line, {"PYTHONASYNCIODEBUG": "1"})
    site = Site(kernel)
    assert site.run("print(main_loop.get_debug(), runner.loop.get_debug())") == "True True\n"
    assert site.get("/a") == "/a"
    assert site.run("print(get('/b'))") == "/b\n"
    cell = kernel.start_cell("print(await asyncio.to_thread(pass_gate))")
    assert site.get("/open") == "/open"
    assert kernel.finish(cell).stdout == "True\n"
    site.end()
    kernel.kill9()  # ipykernel's own shutdown fails in debug mode: it calls a loop across threads
    assert "Traceback" not in kernel.log


# stress

STRESS_CELLS = (
    "pass",
    "time.sleep(0.02)",
    "for _ in range(200_000): pass",
    "await asyncio.sleep(0.01)",
    "await asyncio.wrap_future(runner.submit(asyncio.sleep(0.001)))",
    "assert get('/cell') == '/cell'",
    "wait(runner, asyncio.sleep(0.001), 60)",
    "assert subprocess.run(['true']).returncode == 0",
)


class Client(threading.Thread):
    """A keep-alive client that asks on and on, and keeps count."""

    def __init__(self, port: int, ends: threading.Event) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.ends = ends
        self.requests = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self.ends.is_set():
                path = f"/{self.ident}/{self.requests}"
                self.connection.request("GET", path)
                assert self.connection.getresponse().read().decode() == path
                self.requests += 1
        except Exception as error:  # noqa: BLE001 - reported by the test
            self.error = error
        finally:
            self.connection.close()


def test_stress(site):
    """Random cells under load from four clients; each kind some thirty times."""
    ends = threading.Event()
    clients = [Client(site.port, ends) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        number = 0
        while number < 240 or min(client.requests for client in clients) <= 50:
            site.kernel.execute(STRESS_CELLS[number * 5 % 8 if number % 3 else number % 8])
            assert [client.error for client in clients] == [None] * 4
            number += 1
    finally:
        ends.set()
        for client in clients:
            client.join(60)
    assert [client.error for client in clients] == [None] * 4
    assert site.stats()["rescues"] > 10


def test_interrupts_of_cells_under_load(site):
    ends = threading.Event()
    clients = [Client(site.port, ends) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        for _ in range(5):
            site.interrupt_nap()
    finally:
        ends.set()
        for client in clients:
            client.join(60)
    assert [client.error for client in clients] == [None] * 2


# the harness itself


def test_harness_knows_which_cell_shows_what(kernel):
    early = kernel.start_cell(
        "import sys, time; print('out'); print('err', file=sys.stderr); 6 * 7"
    )
    late = kernel.execute(
        "from IPython.display import display; display({'text/plain': 'x'}, raw=True)"
    )
    first = kernel.finish(early).check()
    assert (first.stdout, first.stderr, first.value) == ("out\n", "err\n", "42")
    assert [bundle["text/plain"] for bundle in late.displays] == ["x"]
    failed = kernel.finish(kernel.start_cell("1 / 0"))
    assert (failed.status, failed.error_name) == ("error", "ZeroDivisionError")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        failed.check()


def test_harness_completes_and_names_cells(kernel):
    assert "getswitchinterval" in kernel.complete("import sys; sys.getswitch")[0]
    kernel.execute(
        "ids = []\n"
        "def note(info): ids.append(info.cell_id)\n"
        "get_ipython().events.register('pre_run_cell', note)"
    )
    code = "get_ipython().events.unregister('pre_run_cell', note); print(ids)"
    assert kernel.execute(code, cell_id="abc-123").stdout == "['abc-123']\n"


def test_harness_starts_with_no_names(kernel):
    assert kernel.execute("left_over = 1; print('site' in globals())").stdout == "False\n"


def test_harness_keeps_no_names(kernel):
    assert kernel.execute("print('left_over' in globals())").stdout == "False\n"


def test_harness_kill(fresh_kernel):
    fresh_kernel.start_cell("import time; time.sleep(600)")
    fresh_kernel.kill9()
    assert not fresh_kernel.is_alive()
    assert not fresh_kernel.has_processes()
    fresh_kernel.start()
    assert fresh_kernel.execute("1 + 1").value == "2"
