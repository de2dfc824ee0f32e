"""A process that records: a proxy, and expressions about it, so that tests can kill or starve it.

`python -m tests.support.recorder OPTIONS` (JSON) starts a proxy, says its port in a line, and then
evaluates each line of standard input as an expression and answers with its value, as JSON. Names
there are `proxy`, `nbproxy`, `os`, `heard` (the warnings so far), `limit(bytes)`, which bounds the
size of files that this process may write (None: no bound), as a full disk does, `over()`: whether
the last flow is, and the proxy's thread has done all that it does then, and `note_stored(file)`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import nbproxy

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from nbproxy.model.flow import HTTPFlow

REPOSITORY = Path(__file__).parents[2]


class Recorder:
    """Such a process, from the outside.

    Args:
        options: Of the proxy.
        env: Environment variables on top of ours.

    Attributes:
        port: Where its proxy listens.
    """

    def __init__(self, options: Mapping[str, Any], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.recorder", json.dumps(dict(options))],
            cwd=REPOSITORY,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port: int = self._read()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    def ask(self, expression: str) -> Any:
        """The value of an expression over there.

        Raises:
            AssertionError: It failed; the message says how.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n")
        self.process.stdin.flush()
        found = self._read()
        if isinstance(found, dict) and "failed" in found:
            raise AssertionError(f"{expression}: {found['failed']}")
        return found

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the recording process has ended with {self.process.wait()}")
        return json.loads(line)

    def kill9(self) -> None:
        """End it without warning."""
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def close(self) -> int:
        """Let it end in order; its exit status. Nothing happens if it has ended."""
        assert self.process.stdin is not None
        if self.process.poll() is None:
            self.process.stdin.close()
        return self._reap()

    def _reap(self) -> int:
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _limit(size_bytes: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size_bytes is None else size_bytes, hard))


def note_stored(proxy: nbproxy.Proxy, path: str) -> None:
    """Have a proxy's flows noted in a file, a path a line, when they are said to be on disk.

    What is in that file outlives the process, however it ends.
    """
    writer = proxy.store.session._writer
    tell = writer._on_stored
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def stored(written: list[HTTPFlow], lossy: Container[int]) -> None:
        os.write(file, "".join(f"{flow.request.path}\n" for flow in written).encode())
        if tell is not None:
            tell(written, lossy)

    writer._on_stored = stored


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def _serve(options: dict[str, Any]) -> None:
    heard: list[str] = []
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: heard.append(str(message))
    with nbproxy.Proxy(**{"loop": "thread", "port": 0, **options}) as proxy:

        def over() -> bool:
            if any(flow.live for flow in proxy.flows[-1:]):
                return False
            assert proxy.runner is not None
            proxy.runner.submit(asyncio.sleep(0)).result()
            return True

        names = {"proxy": proxy, "nbproxy": nbproxy, "os": os}
        names |= {"heard": heard, "limit": _limit, "over": over}
        names["note_stored"] = lambda path: note_stored(proxy, path)
        _say(proxy.port)
        for line in sys.stdin:
            try:
                _say(eval(line, names))  # the test's own words
            except Exception as error:  # noqa: BLE001 - goes to the test
                _say({"failed": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]))
