"""What is measured: no proxy, mitmdump, nbproxy on a plain loop, nbproxy in a real idle kernel."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from tests.bench.plain import BOTH
from tests.bench.processes import BenchError, Child, Usage
from tests.support.kernels import Kernel

if TYPE_CHECKING:
    from tests.support.kernels import Line

DIRECT: Final = "direct"
MITMDUMP: Final = "mitmdump"
PLAIN: Final = "nbproxy"
MOUNTED: Final = "nbproxy in a kernel"
SCRIPTED: Final = "nbproxy with a script"
FORGETFUL: Final = "nbproxy, none kept"

_LINE: Final[Line] = "ipykernel7"

_SCRIPT: Final = '''
"""Says where mitmdump listens, marks each response, and ends with standard input."""

import asyncio
import json
import sys

from mitmproxy import ctx


async def end():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ctx.master.shutdown()


def running():
    global ending
    addresses = ctx.master.addons.get("proxyserver").listen_addrs()
    print(json.dumps(addresses[0][1]), flush=True)
    ending = asyncio.get_running_loop().create_task(end())


def response(flow):
    flow.response.headers["x-bench"] = "1"
'''


_OLD_SCRIPT: Final = """
def response(context, flow):
    flow.response.headers["x-bench"] = ["1"]
"""


class Subject(Protocol):
    """A proxy, or none.

    Attributes:
        port: Where it listens; None: there is none.
        usage: What its process uses up; None: there is none.
    """

    port: int | None
    usage: Usage | None

    def wait_ready(self) -> None:
        """Wait until it serves; making one only starts it."""
        ...

    def recorded(self) -> int | None:
        """How many flows it has kept; None if it keeps none."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Direct:
    """No proxy."""

    port: int | None = None
    usage: Usage | None = None

    def wait_ready(self) -> None:
        """Nothing to wait for."""

    def recorded(self) -> int | None:
        """Nothing."""
        return None

    def close(self) -> None:
        """Nothing to end."""


class _InChild:
    """A proxy in a child process that says its port."""

    def __init__(self, child: Child) -> None:
        self.port: int | None = None
        self.usage: Usage | None = None
        self.child = child

    def wait_ready(self) -> None:
        self.port = self.child.wait_ready().hello
        self.usage = Usage(self.child.process.pid)

    def recorded(self) -> int | None:
        return None

    def close(self) -> None:
        self.child.close()


class Mitmdump(_InChild):
    """mitmdump with one script, quiet, else with its defaults; it keeps no flows.

    Args:
        program: The command.
        folder: For its CA and the script.
        trusted: File of the origin's CA.
    """

    def __init__(self, program: Path, folder: Path, trusted: Path) -> None:
        script = folder / "stamp.py"
        script.write_text(_SCRIPT)
        options = {
            "confdir": str(folder),
            "listen_host": "127.0.0.1",
            "listen_port": "0",
            "flow_detail": "0",
            "ssl_verify_upstream_trusted_ca": str(trusted),
        }
        sets = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
        super().__init__(Child(program, "-q", "-s", str(script), *sets))


class Plain(_InChild):
    """nbproxy on a plain asyncio loop with one handler; it records everything.

    Args:
        confdir: For its CA.
        trusted: File of the origin's CA.
    """

    def __init__(self, confdir: Path, trusted: Path) -> None:
        super().__init__(Child("plain", str(confdir), str(trusted)))

    def recorded(self) -> int:
        """All that passed."""
        return int(self.child.ask())


class Scripted(Plain):
    """As `Plain`, but a script of 2012 takes the handler's place.

    Args:
        folder: For the script.
        confdir: For its CA.
        trusted: File of the origin's CA.
    """

    def __init__(self, folder: Path, confdir: Path, trusted: Path) -> None:
        folder.mkdir(exist_ok=True)
        script = folder / "stamp.py"
        script.write_text(_OLD_SCRIPT, encoding="utf-8")
        _InChild.__init__(self, Child("plain", str(confdir), str(trusted), str(script)))


class SideBySide(Plain):
    """Two in one process, as `Plain`: one records; in the other flows stay in memory, and are
    removed a few times a second.

    Args:
        confdir: For their CA.
        trusted: File of the origin's CA.

    Attributes:
        ports: By name, `FORGETFUL` and `PLAIN`; `port` is the one's that records.
    """

    def __init__(self, confdir: Path, trusted: Path) -> None:
        _InChild.__init__(self, Child("plain", str(confdir), str(trusted), BOTH))

    def wait_ready(self) -> None:
        super().wait_ready()
        self.ports = dict(zip((FORGETFUL, PLAIN), self.child.hello, strict=True))
        self.port = self.ports[PLAIN]


class Mounted:
    """nbproxy in a real kernel that is idle, loaded by its magic, with the same handler.

    Args:
        folder: For the kernel.
        confdir: For the CA.
        trusted: File of the origin's CA.
    """

    def __init__(self, folder: Path, confdir: Path, trusted: Path) -> None:
        self.port: int | None = None
        self.usage: Usage | None = None
        self._setting = setting(confdir, trusted)
        folder.mkdir()
        self.kernel = Kernel(_LINE, folder)

    def wait_ready(self) -> None:
        """Start it, which takes as long as a kernel does."""
        self.kernel.start()
        self.usage = Usage(self.kernel.pid)
        self.kernel.execute(self._setting)
        self.kernel.execute("%load_ext nbproxy")
        self.kernel.execute(
            textwrap.dedent(
                """
                @nbproxy.on("response")
                def stamp(flow):
                    flow.response.headers["x-bench"] = "1"
                """
            )
        )
        self.port = int(self.kernel.execute("nbproxy.port").value or 0)

    def recorded(self) -> int | None:
        """All that passed."""
        return int(self.kernel.execute("len(nbproxy.flows)").value or 0)

    def close(self) -> None:
        """End the kernel."""
        self.kernel.close()


def setting(confdir: Path, trusted: Path) -> str:
    """A cell that configures the extension before it is loaded; it imports nothing of ours."""
    return textwrap.dedent(
        f"""
        options = get_ipython().config.NbProxy
        options.port = 0
        options.confdir = {str(confdir)!r}
        options.ssl_verify_upstream_trusted_ca = {str(trusted)!r}
        """
    )


def new_kernel(folder: Path) -> Kernel:
    """A kernel that is not started yet."""
    folder.mkdir()
    return Kernel(_LINE, folder)


def find_mitmdump() -> Path | None:
    """mitmdump, if there is one: NBPROXY_MITMDUMP, else what make has installed, else on PATH.

    Raises:
        BenchError: The variable names something that is not there.
    """
    named = os.environ.get("NBPROXY_MITMDUMP")
    if named:
        if not os.access(named, os.X_OK):
            raise BenchError(f"NBPROXY_MITMDUMP={named}: there is no such program")
        return Path(named)
    installed = Path(sys.prefix) / "mitmproxy" / "bin" / "mitmdump"
    if installed.exists():
        return installed
    found = shutil.which("mitmdump")
    return Path(found) if found else None
