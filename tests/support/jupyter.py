"""A real JupyterLab or Notebook 7 in a process, and a notebook in it, driven through a browser.

Cells are run, and outputs read, through the front end's own commands and models
(`window.jupyterapp`), so nothing here depends on pixels or on time. The widget under test is then
used as a person would: with pointer and keys.

    with JupyterServer("lab", tmp_path) as server:
        notebook = server.open(page, "x = 20", "print(x + 1)")
        notebook.run(0)
        notebook.run(1)
        assert notebook.text(1) == "21\\n"
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import nbformat

if TYPE_CHECKING:
    from playwright.sync_api import Page

FrontEnd: TypeAlias = Literal["lab", "notebook"]

REPOSITORY: Final = Path(__file__).parents[2]

#: Where kernels find nbproxy, the local site and what tests share.
PYTHONPATH: Final = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "notebooks" / "site")])

#: How long anything may take before a test fails; it costs only failing tests time.
TIMEOUT_S: Final = 300
TIMEOUT_MS: Final = 1000 * TIMEOUT_S

#: No news, no look for a newer version: nothing that needs a network or covers the page.
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "docmanager-extension/plugin": {"autosave": False},
}

_COMMANDS: Final = {"lab": ["lab"], "notebook": ["notebook"]}
_CLASSES: Final = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}


#: Opens a notebook in the place of all that is open in JupyterLab.
_OPEN: Final = """async path => {
  const { commands, shell } = window.jupyterapp;
  for (const each of [...shell.widgets("main")]) each.dispose();  // without a question
  await commands.execute("docmanager:open", { path, factory: "Notebook" });
}"""

#: How a browser is started where there is no screen and perhaps no user but root.
BROWSER_FLAGS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")

NO_BROWSER: Final = "there is no Chromium; CHROMIUM=/path/to/it says where one is"


def find_browser() -> str | None:
    """The path of a Chromium, None if there is none: `CHROMIUM` says where one is."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def free_port() -> int:
    """A port that nobody listens on, and none of those that a system gives to whoever asks."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.closing(socket.socket()) as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is no free port")


class JupyterServer:
    """A Jupyter server with a front end, in a process of its own.

    Args:
        front_end: Which.
        folder: Where it lives: notebooks, settings, log.
        theme: The name of JupyterLab's theme, such as "JupyterLab Dark".
        env: Environment variables for it and its kernels, on top of ours.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        folder: Path,
        *,
        theme: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        self.front_end = front_end
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.url = ""
        self.token = secrets.token_hex(8)
        self._theme = theme
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._opened = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.notebooks.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            *(sys.executable, "-m", "jupyter", *_COMMANDS[self.front_end]),
            *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.notebooks}",
            "--ServerApp.terminals_enabled=False",
            f"--{_CLASSES[self.front_end]}.expose_app_in_browser=True",
        ]
        with (self.folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self.notebooks,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it and its kernels."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "server.log").read_text(errors="replace")

    def open(self, page: Page, *cells: str, name: str = "") -> Notebook:
        """Make a notebook of these cells, open it in a page, and wait for its kernel.

        A page that shows this server's JupyterLab already is not loaded again: the notebook takes
        the place of those that are open there.
        """
        self._opened += 1
        name = name or f"test-{self._opened}.ipynb"
        notebook = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],  # type: ignore[no-untyped-call]
            metadata={
                "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
            },
        )
        nbformat.write(notebook, self.notebooks / name)  # type: ignore[no-untyped-call]
        return Notebook(page, self, name)

    def address(self, name: str) -> str:
        """Where a notebook is to be seen."""
        if self.front_end == "notebook":
            return f"{self.url}/notebooks/{name}?token={self.token}"
        return f"{self.url}/lab/tree/{name}?token={self.token}&reset"

    def _write_settings(self) -> None:
        settings = dict(SETTINGS)
        if self._theme:
            settings["apputils-extension/themes"] = {"theme": self._theme}
        for name, values in settings.items():
            path = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))

    def _environment(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        for name, folder in (
            ("JUPYTER_CONFIG_DIR", "config"),
            ("JUPYTER_RUNTIME_DIR", "runtime"),
            ("JUPYTERLAB_SETTINGS_DIR", "settings"),
            ("JUPYTERLAB_WORKSPACES_DIR", "workspaces"),
            ("IPYTHONDIR", "ipython"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_STATE_HOME", "state"),
        ):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
            env[name] = str(self.folder / folder)
        env["JUPYTER_PREFER_ENV_PATH"] = "1"
        env["PYTHONPATH"] = PYTHONPATH
        return env | self._env

    def _wait(self) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            process = self._process
            assert process is not None
            try:
                direct.open(f"{self.url}/api/status?token={self.token}", timeout=20).close()
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"Jupyter did not start:\n{self.log[-3000:]}") from None
                time.sleep(0.1)
            else:
                return


class Notebook:
    """One notebook in a page.

    Args:
        page: Where it is opened.
        server: Whose it is.
        name: Its file name.
    """

    _CURRENT = "window.jupyterapp.shell.currentWidget"

    def __init__(self, page: Page, server: JupyterServer, name: str) -> None:
        self.page = page
        self.server = server
        self.name = name
        if page.url.startswith(f"{server.url}/lab"):
            page.evaluate(_OPEN, name)
        else:
            page.goto(server.address(name), wait_until="domcontentloaded", timeout=TIMEOUT_MS)
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until the notebook is there and its kernel idle."""
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=TIMEOUT_MS)
        self.page.wait_for_function(
            f"() => {self._CURRENT}?.context?.isReady && "
            f"{self._CURRENT}.context.sessionContext.session?.kernel?.status === 'idle'",
            timeout=TIMEOUT_MS,
        )

    def start(self, cell: int) -> None:
        """Begin to run a cell; it has no number until it is done."""
        self.page.evaluate(
            f"i => {{ const {{ content }} = {self._CURRENT}; content.activeCellIndex = i; "
            "content.widgets[i].model.sharedModel.execution_count = null; "
            "window.jupyterapp.commands.execute('notebook:run-cell'); }",
            cell,
        )

    def run_in_background(self, cell: int) -> None:
        """Run a cell to its end by the kernel alone: no cell is chosen, the focus stays."""
        self.page.evaluate(
            f"async code => {{ const {{ session }} = {self._CURRENT}.context.sessionContext; "
            "await session.kernel.requestExecute({ code }).done; }",
            self.source(cell),
        )

    def finish(self, cell: int) -> None:
        """Wait for the end of a cell.

        Raises:
            AssertionError: It failed.
        """
        self.page.wait_for_function(
            f"i => {{ const {{ model }} = {self._CURRENT}.content.widgets[i]; "
            "return model.executionCount !== null && model.executionState !== 'running' }",
            arg=cell,
            timeout=TIMEOUT_MS,
        )
        for output in self.outputs(cell):
            if output["output_type"] == "error":
                trace = "\n".join(output["traceback"])
                raise AssertionError(f"cell {cell}: {output['ename']}\n{trace}")

    def run(self, cell: int) -> str:
        """Run a cell to its end; what it printed."""
        self.start(cell)
        self.finish(cell)
        return self.text(cell)

    def run_until(self, cell: int, text: str) -> None:
        """Run a cell again until it prints this.

        A cell may overtake messages of a widget that are still on their way.
        """
        deadline = time.monotonic() + TIMEOUT_S
        while (printed := self.run(cell)) != text:
            if time.monotonic() > deadline:
                raise AssertionError(f"cell {cell} printed {printed!r}, not {text!r}")

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell."""
        found: list[dict[str, Any]] = self.page.evaluate(
            f"i => {self._CURRENT}.content.widgets[i].model.outputs.toJSON()", cell
        )
        return found

    def text(self, cell: int) -> str:
        """What a cell has printed."""
        return "".join("".join(output.get("text", "")) for output in self.outputs(cell))

    def source(self, cell: int) -> str:
        """The text of a cell."""
        found: str = self.page.evaluate(
            f"i => {self._CURRENT}.content.widgets[i].model.sharedModel.getSource()", cell
        )
        return found

    def count(self) -> int:
        """How many cells there are."""
        found: int = self.page.evaluate(f"() => {self._CURRENT}.content.widgets.length")
        return found

    def command(self, name: str) -> None:
        """Run a command of the front end."""
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def restart_kernel(self) -> None:
        """Restart the kernel, without a question, and wait until it is idle."""
        self.page.evaluate(
            f"async () => {{ const {{ session }} = {self._CURRENT}.context.sessionContext; "
            "await session.kernel.restart(); }"
        )
        self.wait_ready()

    def shutdown(self) -> None:
        """End the kernel, so that the next notebook has the machine to itself."""
        with contextlib.suppress(Exception):
            self.page.evaluate(
                f"async () => {{ await {self._CURRENT}.context.sessionContext.shutdown() }}"
            )
