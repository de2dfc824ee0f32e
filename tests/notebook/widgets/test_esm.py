"""The inspector's JavaScript: joined into one module, and its parts by themselves, in Node."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nbproxy.notebook.widgets import esm

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="there is no Node here")


def test_one_module_without_imports():
    source = esm.joined()
    assert not re.search(r"^\s*import\b", source, re.MULTILINE)
    assert re.findall(r"^export.*", source, re.MULTILINE) == ["export default () => {"]
    for path in esm.FOLDER.glob("*.mjs"):
        assert source.count(f"// {path.name}\n") == 1


def test_each_stands_behind_what_it_needs():
    source = esm.joined()
    for path in esm.FOLDER.glob("*.mjs"):
        for needed in re.findall(r'from "\./([\w-]+\.mjs)"', path.read_text()):
            assert source.index(f"// {needed}\n") < source.index(f"// {path.name}\n")


def test_imports_have_the_form_that_joining_knows():
    for path in esm.FOLDER.glob("*.mjs"):
        for line in path.read_text().splitlines():
            if re.match(r"\s*import\b", line):
                assert re.fullmatch(r'import \{ [\w, ]+ \} from "\./[\w-]+\.mjs";', line), line
                assert " as " not in line
            if re.match(r"\s*export\b", line):
                assert re.match(r"export (default|class|function|async function|const) ", line)


def test_nothing_is_fetched_and_nothing_from_the_wire_becomes_markup():
    source = re.sub(r"//.*", "", esm.joined())
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "createContextualFragment",
        "DOMParser",
        "srcdoc",
        "importScripts",
        "XMLHttpRequest",
    ):
        assert word not in source, word
    assert "fetch(" in source
    assert source.count("fetch(address,") == 1


@needs_node
def test_it_parses(tmp_path):
    path = tmp_path / "inspector.mjs"
    path.write_text(esm.joined())
    subprocess.run([NODE, "--check", path], check=True, capture_output=True, timeout=60)


@needs_node
def test_the_parts_in_node():
    done = subprocess.run(
        [NODE, "--test", Path(__file__).with_name("parts.test.mjs")],
        capture_output=True,
        text=True,
        timeout=120,
        env={"NBPROXY_JS": str(esm.FOLDER), "TZ": "UTC"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
