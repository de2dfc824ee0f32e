"""Other processes of a run: starting, asking, ending them, and what they use up.

A child says one line of JSON when it is ready, and one more for each line it is sent. It ends when
its standard input does, so none outlives us, however we end.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY: Final = Path(__file__).parents[2]
# How long a child may take to say something before it is killed.
_PATIENCE_S: Final = 60.0


class BenchError(RuntimeError):
    """The bench itself does not work, or a proxy does not do what it should."""


class Child:
    """A process that talks JSON by the line.

    Args:
        command: What to run; a name alone stands for a module of this package.
        arguments: Its arguments.

    Attributes:
        hello: Its first line.
    """

    def __init__(self, command: str | Path, *arguments: str) -> None:
        start: Sequence[str] = (str(command),)
        if isinstance(command, str):
            start = (sys.executable, "-m", f"tests.bench.{command}")
        # nothing inherited may lead the subjects elsewhere
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        self.process = subprocess.Popen(
            [*start, *arguments],
            cwd=REPOSITORY,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us alone; we end them
        )
        self.hello: Any = None

    def wait_ready(self) -> Self:
        """Wait until it is there.

        Raises:
            BenchError: It has ended, or said nothing for a minute.
        """
        self.hello = self._read()
        return self

    def ask(self) -> Any:
        """What it has to say now."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        watchdog = threading.Timer(_PATIENCE_S, self.process.kill)
        watchdog.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            raise BenchError(f"{self.process.args!r} has ended or said nothing")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Usage:
    """What one process uses up.

    Args:
        pid: Which one.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._folder = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        """Processor time so far, of all its threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def memory(self) -> int:
        """Resident memory now, in bytes."""
        return int(self._process.memory_info().rss)

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        with contextlib.suppress(OSError):
            (self._folder / "clear_refs").write_text("5")

    def peak(self) -> int:
        """The most memory since `forget_peak`, in bytes; what it is now where nobody counts."""
        with contextlib.suppress(OSError):
            for line in (self._folder / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return self.memory()

    def wake_ups(self) -> int:
        """How many times its threads have waited for something so far; 0 where nobody counts."""
        count = 0
        for status in self._folder.glob("task/*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    count += int(line.split()[1])
        return count
