"""Real IPython kernels for tests: of both ipykernel lines, driven over their own sockets.

A `Kernel` is a process and a client. One thread owns all the client's sockets and files every
message under the request that caused it (`parent_header.msg_id`), so a test can ask *which cell*
shows an output, also long after that cell has finished. All waiting is for conditions, with a time
limit that fails loudly and shows the end of the kernel's log.

    with Kernel("ipykernel7", tmp_path) as kernel:
        assert kernel.execute("print(6 * 7)").stdout == "42\\n"
        cell = kernel.start_cell("import time; time.sleep(60)")
        kernel.interrupt()
        assert kernel.finish(cell).error_name == "KeyboardInterrupt"

ipykernel 7 is the one installed beside the tests; 6.31 lives in a folder of its own inside the
virtual environment, which goes first on the kernel's PYTHONPATH.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import zmq
from jupyter_client.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Line: TypeAlias = Literal["ipykernel6", "ipykernel7"]
Message: TypeAlias = dict[str, Any]

#: Both lines, as parameters of the fixtures.
LINES: Final[tuple[Line, ...]] = ("ipykernel6", "ipykernel7")

#: How long anything may take before a test fails. Generous: it costs only failing tests time.
TIMEOUT_S: Final = 120.0

REPOSITORY: Final = Path(__file__).parents[2]
IPYKERNEL6: Final = Path(sys.prefix) / "ipykernel-6.31"


class KernelError(AssertionError):
    """A kernel did not do what the test needs: died, hung, or raised in a cell."""


@dataclass(frozen=True)
class Cell:
    """A request that was sent to a kernel, usually to run a cell."""

    msg_id: str
    code: str = ""


@dataclass
class Result:
    """What a request has brought so far: its reply and all that was published under it.

    Attributes:
        status: "ok", "error" or "aborted"; None while there is no reply.
        reply: The content of the reply.
        is_idle: Whether the kernel has published that it is done with the request.
        stdout: All text of that stream, joined.
        displays: The mime bundles of display_data and execute_result, in order.
        updates: The contents of update_display_data, in order.
        value: The text/plain of the cell's value, None if it has none.
        error_name: The class name of the exception, None if there was none.
        error_text: The exception's text.
        traceback: The traceback as shown, with colour codes.
        messages: Everything published, as it came.
    """

    status: str | None = None
    reply: dict[str, Any] = field(default_factory=dict)
    is_idle: bool = False
    stdout: str = ""
    stderr: str = ""
    displays: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    value: str | None = None
    error_name: str | None = None
    error_text: str = ""
    traceback: str = ""
    messages: list[Message] = field(default_factory=list)

    def add(self, message: Message) -> None:
        """Take one published message in."""
        self.messages.append(message)
        content = message["content"]
        match message["header"]["msg_type"]:
            case "status" if content["execution_state"] == "idle":
                self.is_idle = True
            case "stream" if content["name"] == "stdout":
                self.stdout += content["text"]
            case "stream":
                self.stderr += content["text"]
            case "display_data":
                self.displays.append(content["data"])
            case "execute_result":
                self.displays.append(content["data"])
                self.value = content["data"].get("text/plain")
            case "update_display_data":
                self.updates.append(content)
            case "error":
                self.error_name, self.error_text = content["ename"], content["evalue"]
                self.traceback = "\n".join(content["traceback"])

    def check(self) -> Self:
        """Raise if the cell did."""
        if self.status != "ok":
            detail = self.traceback or f"{self.reply}\n{self.stderr}"
            raise KernelError(f"the cell ended with status {self.status}\n{detail}")
        return self


class Channels:
    """The client's sockets, the thread that owns them, and what has arrived.

    ZeroMQ sockets belong to one thread; others hand it messages through a queue and a wake-up
    socket, and look at what arrived under `changed`.
    """

    _SOCKETS: Final = {
        "shell": zmq.SocketType.DEALER,
        "control": zmq.SocketType.DEALER,
        "stdin": zmq.SocketType.DEALER,
        "iopub": zmq.SocketType.SUB,
    }

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self.session = Session(
            key=connection["key"].encode(), signature_scheme=connection["signature_scheme"]
        )
        self.changed = threading.Condition()
        self.published: list[Message] = []
        self.published_under: defaultdict[str, list[Message]] = defaultdict(list)
        self.replies: dict[str, Message] = {}
        self.input_requests: defaultdict[str, list[Message]] = defaultdict(list)
        self._context = zmq.Context()
        self._outgoing: queue.SimpleQueue[tuple[str, list[bytes]] | None] = queue.SimpleQueue()
        self._wake_lock = threading.Lock()
        self._wake, self._woken = self._pair()
        self._sockets = {name: self._connect(name, connection) for name in self._SOCKETS}
        self._thread = threading.Thread(target=self._serve, name="kernel-client", daemon=True)
        self._thread.start()

    def send(self, channel: str, message: Message) -> None:
        """Send a message on a channel."""
        frames = self.session.serialize(message)
        self._put((channel, frames))

    def close(self) -> None:
        """End the thread and close all sockets."""
        self._put(None)
        self._thread.join()
        self._wake.close()
        self._context.term()

    def _put(self, item: tuple[str, list[bytes]] | None) -> None:
        with self._wake_lock:
            self._outgoing.put(item)
            self._wake.send(b"")

    def _pair(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        ours, theirs = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        ours.bind("inproc://wake")
        theirs.connect("inproc://wake")
        return ours, theirs

    def _connect(self, name: str, connection: Mapping[str, Any]) -> zmq.Socket[bytes]:
        socket = self._context.socket(self._SOCKETS[name])
        socket.linger = 0
        if name == "iopub":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        else:  # the kernel answers on stdin by the identity it knows from shell
            socket.identity = self.session.bsession
        socket.connect(f"tcp://{connection['ip']}:{connection[f'{name}_port']}")
        return socket

    def _serve(self) -> None:
        poller = zmq.Poller()
        names = {socket: name for name, socket in self._sockets.items()}
        for socket in (self._woken, *names):
            poller.register(socket, zmq.POLLIN)
        goes_on = True
        while goes_on:
            for socket, _ in poller.poll():
                if socket is self._woken:
                    goes_on = self._send_one()
                else:
                    self._receive(names[socket], socket.recv_multipart())
        for socket in (self._woken, *names):
            socket.close()

    def _send_one(self) -> bool:
        self._woken.recv()
        item = self._outgoing.get()
        if item is not None:
            channel, frames = item
            self._sockets[channel].send_multipart(frames)
        return item is not None

    def _receive(self, channel: str, frames: list[bytes]) -> None:
        _, rest = self.session.feed_identities(frames)
        message: Message = self.session.deserialize(rest)
        parent = message["parent_header"].get("msg_id", "")
        with self.changed:
            if channel == "iopub":
                self.published.append(message)
                self.published_under[parent].append(message)
            elif channel == "stdin":
                self.input_requests[parent].append(message)
            else:
                self.replies[parent] = message
            self.changed.notify_all()


class Kernel:
    """A real kernel in a process of its own, and a client of it.

    Args:
        line: Which ipykernel.
        folder: Where it lives: its working directory, IPython profile, runtime files and log.
        env: Environment variables on top of ours.
    """

    def __init__(self, line: Line, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.line = line
        self.folder = folder
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._channels: Channels | None = None
        self._subshells: list[str] = []
        self._starts = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # the process

    @property
    def pid(self) -> int:
        """Process id, which is also that of the kernel's process group."""
        return self.process.pid

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process, running or ended."""
        if self._process is None:
            raise KernelError("the kernel was not started")
        return self._process

    @property
    def channels(self) -> Channels:
        """The client's side."""
        if self._channels is None:
            raise KernelError("the kernel is not running")
        return self._channels

    @property
    def log(self) -> str:
        """What the process has written outside of any cell."""
        return (self.folder / "kernel.log").read_text(errors="replace")

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def has_processes(self) -> bool:
        """Whether anything of the kernel's process group is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def start(self) -> None:
        """Start the process, connect, and wait until it answers on all channels."""
        self._starts += 1
        for name in ("cwd", "ipython", "jupyter"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        connection_file = self.folder / "jupyter" / f"kernel-{self._starts}.json"
        with (self.folder / "kernel.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ipykernel_launcher", "-f", str(connection_file)],
                env=self._environment(),
                cwd=self.folder / "cwd",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._channels = Channels(self._read_connection(connection_file))
            self._subshells.clear()
            self._wait_until_published()
            self._check_line()
        except BaseException:
            self.kill9()
            raise

    def restart(self) -> None:
        """Shut down as a front end's restart does, and start anew."""
        self.shutdown(restart=True)
        self.start()

    def shutdown(self, *, restart: bool = False) -> None:
        """End the kernel as jupyter_client does: an interrupt, then a request to leave."""
        self.interrupt()
        self._send("control", "shutdown_request", {"restart": restart})
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise self._fail("the kernel did not shut down") from None
        finally:
            self.kill9()

    def kill9(self) -> None:
        """Kill the kernel and all it started, without warning."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        channels, self._channels = self._channels, None
        if channels is not None:
            channels.close()

    def close(self) -> None:
        """End the kernel in whatever state it is."""
        if self.is_alive() and self._channels is not None:
            self.shutdown()
        else:
            self.kill9()

    def interrupt(self) -> None:
        """Send SIGINT to the kernel's process group, as front ends do."""
        os.killpg(self.pid, signal.SIGINT)

    def interrupt_cell(self, cell: Cell) -> Result:
        """Interrupt a cell until it ends, which one interrupt is not sure to bring about.

        ipykernel loses one now and then (1 of 400) if it comes while output is flushed. The next
        one comes late: one that meets IPython at showing the error, which takes its time when it
        is a kernel's first, takes the error away.
        """
        return self.interrupt_until(
            cell, lambda result: result.is_idle and result.status is not None
        )

    def interrupt_until(self, cell: Cell, holds: Callable[[Result], bool]) -> Result:
        """Interrupt until the outputs of a cell are as wanted, see `interrupt_cell`."""
        for _ in range(4):
            self.interrupt()
            with contextlib.suppress(KernelError):
                return self.wait_until(cell, holds, TIMEOUT_S / 4)
        return self.wait_until(cell, holds)

    def reset(self) -> None:
        """Make the kernel as good as new for another test, as far as names go."""
        for subshell in list(self._subshells):
            self.delete_subshell(subshell)
        self.execute("%reset -f", silent=True)

    def _environment(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        path = [str(REPOSITORY)]
        if self.line == "ipykernel6":
            if not (IPYKERNEL6 / "ipykernel").is_dir():
                raise KernelError(f"ipykernel 6.31 is missing in {IPYKERNEL6}: run `make setup`")
            path.insert(0, str(IPYKERNEL6))
        env.update(
            PYTHONPATH=os.pathsep.join(path),
            IPYTHONDIR=str(self.folder / "ipython"),
            JUPYTER_RUNTIME_DIR=str(self.folder / "jupyter"),
            JUPYTER_CONFIG_DIR=str(self.folder / "jupyter"),
            JUPYTER_DATA_DIR=str(self.folder / "jupyter"),
            JPY_PARENT_PID=str(os.getpid()),  # it ends if we die
        )
        return env | self._env

    def _read_connection(self, path: Path) -> dict[str, Any]:
        """The kernel binds free ports and then writes this file."""

        def is_written() -> dict[str, Any] | None:
            try:
                connection: dict[str, Any] = json.loads(path.read_bytes())
            except (FileNotFoundError, ValueError):
                return None
            return connection

        deadline = time.monotonic() + TIMEOUT_S
        while (connection := is_written()) is None:
            if not self.is_alive():
                raise self._fail("the kernel ended while it started")
            if time.monotonic() > deadline:
                raise self._fail("the kernel did not start")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
        return connection

    def _wait_until_published(self) -> None:
        """Subscribing takes a moment in which published messages are lost: ask until one comes."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            request = self._send("shell", "kernel_info_request", {})
            with contextlib.suppress(TimeoutError):
                self._wait(lambda r=request: self.outputs_of(r).is_idle, 0.2)  # type: ignore[misc]
                self.finish(request)
                return
            if not self.is_alive():
                break
        raise self._fail("the kernel does not answer")

    def _check_line(self) -> None:
        version = self.execute("import ipykernel; ipykernel.__version__").value or ""
        expected = "'6.31." if self.line == "ipykernel6" else "'7."
        if not version.startswith(expected):
            raise KernelError(f"this is ipykernel {version}, not {expected}")

    # cells

    def execute(self, code: str, timeout_s: float = TIMEOUT_S, **options: Any) -> Result:
        """Run a cell to its end; raise if it does. Options as of `start_cell`."""
        return self.finish(self.start_cell(code, **options), timeout_s).check()

    def start_cell(
        self,
        code: str,
        *,
        cell_id: str | None = None,
        subshell: str | None = None,
        silent: bool = False,
        stop_on_error: bool = False,
    ) -> Cell:
        """Send a cell without waiting for it.

        Args:
            code: Its text.
            cell_id: The notebook's id of the cell, as JupyterLab sends it.
            subshell: Where it runs; None is the main shell.
            silent: No history, no hooks but `pre_execute` and `post_execute`.
            stop_on_error: If it fails, the kernel skips requests that wait behind it, as front ends
                ask for. That may also hit the next cell of a test, so it is off.
        """
        content = {
            "code": code,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": stop_on_error,
        }
        metadata = {"cellId": cell_id} if cell_id is not None else {}
        return self._send("shell", "execute_request", content, metadata, subshell)

    def finish(self, cell: Cell, timeout_s: float = TIMEOUT_S) -> Result:
        """Wait until a request is answered and all its own outputs are here."""

        def is_finished() -> bool:
            result = self.outputs_of(cell)
            return result.is_idle and result.status is not None

        self._wait_or_fail(is_finished, timeout_s, f"this did not finish: {cell.code!r}")
        return self.outputs_of(cell)

    def outputs_of(self, cell: Cell) -> Result:
        """What a request has brought up to now, late outputs included."""
        result = Result()
        with self.channels.changed:
            for message in self.channels.published_under[cell.msg_id]:
                result.add(message)
            reply = self.channels.replies.get(cell.msg_id)
        if reply is not None:
            result.reply = reply["content"]
            result.status = result.reply.get("status", "ok")
        return result

    def wait_until(
        self, cell: Cell, holds: Callable[[Result], bool], timeout_s: float = TIMEOUT_S
    ) -> Result:
        """Wait until the outputs of a request are as wanted."""
        self._wait_or_fail(
            lambda: holds(self.outputs_of(cell)),
            timeout_s,
            f"the outputs did not become as wanted: {self.outputs_of(cell)}",
        )
        return self.outputs_of(cell)

    def wait_stdout(self, cell: Cell, text: str, timeout_s: float = TIMEOUT_S) -> Result:
        """Wait until a cell, running or finished, has printed a text."""
        return self.wait_until(cell, lambda result: text in result.stdout, timeout_s)

    def wait_idle(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the main shell has worked off everything sent so far."""
        self.finish(self._send("shell", "kernel_info_request", {}), timeout_s)

    def complete(self, code: str, cursor: int | None = None) -> list[str]:
        """The completions offered at a position, by default the end."""
        content = {"code": code, "cursor_pos": len(code) if cursor is None else cursor}
        reply = self.finish(self._send("shell", "complete_request", content)).reply
        return list(reply["matches"])

    # questions of a cell, by input() or getpass()

    def wait_input(self, cell: Cell, timeout_s: float = TIMEOUT_S) -> str:
        """Wait until a cell asks for input; its prompt. Answer with `reply_input`."""
        requests = self.channels.input_requests
        self._wait_or_fail(lambda: bool(requests[cell.msg_id]), timeout_s, "no input() came")
        prompt: str = requests[cell.msg_id][-1]["content"]["prompt"]
        return prompt

    def reply_input(self, cell: Cell, text: str) -> None:
        """Answer the cell's last question."""
        parent = self.channels.input_requests[cell.msg_id].pop()
        message = self.channels.session.msg("input_reply", {"value": text}, parent=parent)
        self.channels.send("stdin", message)

    # subshells, ipykernel 7 only

    def create_subshell(self) -> str:
        """A new subshell; its id for `start_cell`."""
        request = self._send("control", "create_subshell_request", {})
        subshell: str = self.finish(request).check().reply["subshell_id"]
        self._subshells.append(subshell)
        return subshell

    def delete_subshell(self, subshell: str) -> None:
        """End a subshell and its thread."""
        content = {"subshell_id": subshell}
        self.finish(self._send("control", "delete_subshell_request", content)).check()
        self._subshells.remove(subshell)

    # comms, the messages of widgets; they get no reply, so wait with `wait_until`

    def comm_open(self, target: str, comm_id: str, data: Mapping[str, Any] | None = None) -> Cell:
        """Open a comm from the front end's side."""
        content = {"comm_id": comm_id, "target_name": target, "data": dict(data or {})}
        return self._send("shell", "comm_open", content)

    def comm_send(
        self, comm_id: str, data: Mapping[str, Any], *, subshell: str | None = None
    ) -> Cell:
        """Send a comm message to the kernel, as a widget in a browser does."""
        content = {"comm_id": comm_id, "data": dict(data)}
        return self._send("shell", "comm_msg", content, subshell=subshell)

    def comm_messages(self, comm_id: str) -> list[Message]:
        """What the kernel has sent on a comm up to now, whatever the parent."""
        with self.channels.changed:
            return [
                message
                for message in self.channels.published
                if message["header"]["msg_type"].startswith("comm_")
                and message["content"].get("comm_id") == comm_id
            ]

    def wait_for(self, holds: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
        """Wait for a condition that messages from the kernel bring about."""
        self._wait_or_fail(holds, timeout_s, "the condition did not come true")

    # inside

    def _send(
        self,
        channel: str,
        kind: str,
        content: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        subshell: str | None = None,
    ) -> Cell:
        message = self.channels.session.msg(kind, dict(content), metadata=dict(metadata or {}))
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.channels.send(channel, message)
        return Cell(message["header"]["msg_id"], str(content.get("code", kind)))

    def _wait(self, holds: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition; TimeoutError if it does not come, at once if the kernel died."""
        deadline = time.monotonic() + timeout_s
        changed = self.channels.changed
        with changed:
            while not holds():
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0 or not self.is_alive():
                    raise TimeoutError
                changed.wait(min(remaining_s, 0.5))  # a death sends no message: look now and then

    def _wait_or_fail(self, holds: Callable[[], bool], timeout_s: float, problem: str) -> None:
        try:
            self._wait(holds, timeout_s)
        except TimeoutError:
            raise self._fail(problem) from None

    def _fail(self, problem: str) -> KernelError:
        state = "alive" if self.is_alive() else f"ended with {self.process.returncode}"
        return KernelError(f"{self.line} ({state}): {problem}\nits log:\n{self.log[-3000:]}")


class KernelPool:
    """Running kernels that tests borrow one after the other, as a start costs about a second.

    A kernel that a test has ended, or left busy, is replaced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kernels: dict[Line, Kernel] = {}
        self._made = 0

    def borrow(self, line: Line) -> Kernel:
        """A kernel with no names in it."""
        kernel = self._kernels.get(line)
        if kernel is None or not kernel.is_alive():
            self._made += 1
            kernel = Kernel(line, self._folder / f"{line}-{self._made}")
            kernel.start()
            self._kernels[line] = kernel
        return kernel

    def give_back(self, kernel: Kernel) -> None:
        """Clean a kernel up for the next test, or end it if that does not work."""
        try:
            kernel.reset()
        except KernelError:
            kernel.kill9()

    def close(self) -> None:
        """End all kernels."""
        for kernel in self._kernels.values():
            kernel.close()
