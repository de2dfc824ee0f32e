"""The wheel is complete, runs in a clean environment and goes with JupyterLab 4 and Notebook 7."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from site_server import Site

from nbproxy._version import __version__

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 300  # a slow package index is not what is tested here


def run(*command: str | Path, cwd: Path) -> str:
    """A program's standard output; its failure shows all that it said."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def pip_of(python: Path) -> tuple[str | Path, ...]:
    """The command of a pip that works on another environment, which needs none of its own."""
    return (sys.executable, "-m", "pip", "--python", python)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps")
    run(*pip, "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def clean_python(wheel, tmp_path_factory):
    """The interpreter of an environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    # compiled when imported, as few are
    run(*pip_of(python), "--quiet", "install", "--no-compile", wheel, cwd=folder)
    return python


def test_wheel_holds_the_whole_package_and_nothing_else(wheel):
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "nbproxy").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert held == package
        assert "nbproxy/py.typed" in held
        for name in held:
            assert archive.read(name) == (ROOT / name).read_bytes()


def test_wheel_describes_itself(wheel):
    with zipfile.ZipFile(wheel) as archive:
        info = {
            name.partition(".dist-info/")[2]: archive.read(name).decode()
            for name in archive.namelist()
            if ".dist-info/" in name
        }
    assert wheel.name == f"nbproxy-{__version__}-py3-none-any.whl"
    assert "nbproxy = nbproxy.cli:main" in info["entry_points.txt"]
    assert info["licenses/LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")
    metadata, _, description = info["METADATA"].partition("\n\n")
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert description.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()


def test_dependencies_agree(clean_python, tmp_path):
    assert "No broken requirements" in run(*pip_of(clean_python), "check", cwd=tmp_path)


def test_command_in_a_clean_environment(clean_python, tmp_path):
    command = clean_python.with_name("nbproxy")
    assert __version__ in run(command, "--version", cwd=tmp_path)
    assert __version__ in run(clean_python, "-m", "nbproxy", "--version", cwd=tmp_path)


def test_proxy_in_a_clean_environment(clean_python, tmp_path):
    program = """
import ssl, sys, urllib.request, nbproxy
http_url, https_url, ca_file = sys.argv[1:]
with nbproxy.Proxy(
    port=0, confdir="confdir", ssl_verify_upstream_trusted_ca=ca_file
) as proxy:
    trust = ssl.create_default_context(cafile=proxy.ca_file)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy.url, "https": proxy.url}),
        urllib.request.HTTPSHandler(context=trust),
    )
    for url in (http_url, https_url):
        with opener.open(url + "/api/users/17", timeout=60) as answer:
            answer.read()
    print(*proxy.df.scheme, *proxy.df.status)
"""
    with Site() as site:
        arguments = (site.http_url, site.https_url, site.ca_file)
        shown = run(clean_python, "-c", program, *arguments, cwd=tmp_path)
    assert shown.split() == ["http", "https", "200", "200"]


def test_wheel_goes_with_jupyterlab_and_notebook(clean_python, wheel, tmp_path):
    install = ("-qq", "install", "--dry-run", "--ignore-installed", "--report", "-")
    wanted = (str(wheel), "jupyterlab>=4.2", "notebook>=7")
    report = json.loads(run(*pip_of(clean_python), *install, *wanted, cwd=tmp_path))
    chosen = {
        each["metadata"]["name"].lower(): each["metadata"]["version"] for each in report["install"]
    }
    assert chosen["nbproxy"] == __version__
    assert int(chosen["jupyterlab"].split(".")[0]) >= 4
    assert int(chosen["notebook"].split(".")[0]) >= 7
