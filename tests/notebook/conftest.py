"""Fixtures of the notebook face: a shell that raises, and kernels in which nbproxy is loaded."""

from __future__ import annotations

import atexit
import socket
import sys

import pytest
from IPython.core.interactiveshell import InteractiveShell
from site_server import Site
from traitlets.config import Config

from tests.support import jupyter


class RaisingShell(InteractiveShell):
    """A shell in this process; what goes wrong in a cell comes out of `run`."""

    def showtraceback(self, *args, **kwargs):
        pass

    def run(self, code):
        return self.run_cell(code, store_history=True).raise_error()


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    # the shell puts a module of its own there and empties it at its end
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config = Config()
    config.HistoryManager.enabled = False
    config.NbProxy.confdir = str(tmp_path / "confdir")
    config.NbProxy.port = 0
    shell = RaisingShell.instance(config=config)
    yield shell
    shell.run_line_magic("unload_ext", "nbproxy")
    shell.atexit_operations()
    atexit.unregister(shell.atexit_operations)
    RaisingShell.clear_instance()
    forget_proxy()


def forget_proxy():
    """As if no proxy had ever been made in this process."""
    if "nbproxy._current" in sys.modules:
        sys.modules["nbproxy._current"].set(None)


@pytest.fixture(scope="session")
def site():
    with Site() as site:
        yield site


FORGET = "import sys; sys.modules['nbproxy._current'].set(None); del sys"


@pytest.fixture
def notebook(kernel, site, tmp_path):
    """A kernel of each line, with a CA folder of its own and trust in the local site."""
    kernel.execute(
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir = {str(tmp_path / 'confdir')!r}\n"
        f"c.ssl_verify_upstream_trusted_ca = {site.ca_file!r}\n"
        "c.port = 0\n"
        "del c",
        silent=True,
    )
    yield kernel
    kernel.execute("%unload_ext nbproxy", silent=True)
    kernel.execute(FORGET, silent=True)


@pytest.fixture
def listening():
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port():
    return jupyter.free_port()
