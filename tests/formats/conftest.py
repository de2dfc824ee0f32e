"""Sample files, and mitmproxy itself, in its own environment."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "flows"
MITMPROXY = ROOT / ".venv" / "mitmproxy" / "bin" / "python"
VIEW = Path(__file__).with_name("mitmproxy_view.py")


@pytest.fixture(scope="session")
def data():
    """The folder of sample files, which lies beside the repository."""
    if not DATA.is_dir():
        pytest.fail(f"the sample files should be in {DATA}")
    return DATA


@pytest.fixture(scope="session")
def mitmproxy_sees():
    """What mitmproxy sees in files: a list of flows for each, or {"error": ...}."""
    if not MITMPROXY.exists():
        pytest.fail("mitmproxy is not there to compare with: `make test` installs it")

    def see(*paths):
        command = [str(MITMPROXY), str(VIEW), *map(str, paths)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        return [json.loads(line) for line in ran.stdout.splitlines()]

    return see
