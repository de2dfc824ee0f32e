"""`%nbproxy inspect`, and widgets at the end of the extension."""

import subprocess
import sys
import threading

import pytest
from IPython.core.error import UsageError

from tests.support.proxies import wait_until


def test_inspecting(shell):
    shell.run("%load_ext nbproxy")
    shell.run("ins = %nbproxy inspect ~c 404")
    inspector = shell.user_ns["ins"]
    assert inspector.filter == "~c 404"
    assert inspector.flows is shell.user_ns["nbproxy"].flows
    shell.run("%nbproxy inspect")
    with pytest.raises(UsageError, match="no operator"):
        shell.run_line_magic("nbproxy", "inspect ~zz")
    with pytest.raises(UsageError):
        shell.run_line_magic("nbproxy", "inspekt")
    inspector._watch()
    shell.run("%unload_ext nbproxy")
    wait_until(lambda: not any(t.name == "nbproxy-inspector" for t in threading.enumerate()))


def test_loading_the_extension_loads_no_widgets():
    program = (
        "import sys; import nbproxy.notebook.extension; "
        "print('anywidget' in sys.modules, 'ipywidgets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "False"]
