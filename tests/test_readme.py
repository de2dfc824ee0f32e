"""The README: its code runs, its tables are the product's own.

Blocks marked `<!-- notebook -->` are cells of one kernel, `<!-- script -->` and `<!-- pytest -->`
are programs. They run against the local site: `https://example.org` stands for it, and `port=0`
is given this test's CA folder and the site's CA.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from site_server import Site

from nbproxy import cli, contentviews, filters
from nbproxy.options import OPTIONS
from nbproxy.store.schema import COLUMNS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DTYPES = {
    "time": "datetime64[us, UTC]",
    "str": "str",
    "int": "int64",
    "nullable int": "Int64",
    "float": "float64",
    "bool": "bool",
}


def blocks(mark):
    return re.findall(rf"^<!-- {mark} -->\n```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def table(heading):
    """The rows of the table with these headings, as they stand."""
    found = re.search(rf"^{re.escape(heading)}\n\|[-|]+\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found, f"there is no table {heading}"
    return found[1].splitlines()


def plain(text):
    return html.escape(text, quote=False).replace("|", "\\|")


def column_rows():
    return [f"| `{c.name}` | {DTYPES[c.kind]} | {plain(c.doc)} |" for c in COLUMNS]


def option_rows():
    return [
        f"| `{o.name}`{'*' if o.fixed else ''} | {_default(o)} | {plain(o.help)} |"
        for o in OPTIONS.values()
    ]


def _default(option):
    value = option.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if option.type == "size":
        return f"{value >> 20}m" if value % 2**20 == 0 else f"{value >> 10}k"
    return f"{value:g}" if isinstance(value, float) else str(value)


def flag_rows():
    rows = []
    for action in cli.parser()._actions:
        names = ", ".join(f"`{name}`" for name in action.option_strings)
        takes = f" {action.metavar}" if action.metavar and action.nargs != 0 else ""
        shown = f"{names}{takes}" if names else f"`{action.metavar}`"
        rows.append(f"| {shown} | {plain(action.help)} |")
    return rows


@pytest.fixture(scope="module")
def site():
    with Site() as site:
        yield site


# tables


def test_the_columns_are_those_of_the_frame():
    assert table("| column | dtype | meaning |") == column_rows()


def test_the_options_are_those_there_are():
    assert table("| option | default | meaning |") == option_rows()


def test_the_flags_are_those_of_the_command():
    assert isinstance(cli.parser(), argparse.ArgumentParser)
    assert table("| flag | meaning |") == flag_rows()


def test_the_views_are_those_there_are():
    listed = re.search(r"^The views are (.*?)\.", README, re.DOTALL | re.MULTILINE)
    assert listed
    assert re.findall(r"`([^`]+)`", listed[1]) == list(contentviews.VIEWS)


def test_every_filter_parses():
    rows = [row.replace("\\|", "\0").split(" | ")[0] for row in table("| filter | matches |")]
    expressions = [
        each.replace("\0", "|") for row in rows for each in re.findall(r"`([^`]+)`", row)
    ]
    assert len(expressions) > 20
    for expression in expressions:
        filters.parse(expression)


# what it points at


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).is_file(), target


def test_the_picture_is_a_small_one():
    picture = ROOT / "notebooks" / "quickstart.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000


def test_make_knows_every_target():
    known = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert {"demo", "lab", "test", "check", "bench"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", known, re.MULTILINE), target


def test_shell_blocks_are_shell():
    bash = shutil.which("bash")
    assert bash
    for block in re.findall(r"^```sh\n(.*?)^```$", README, re.DOTALL | re.MULTILINE):
        subprocess.run([bash, "-n"], input=block, text=True, check=True)


# code


def test_all_python_is_run_by_a_test():
    assert README.count("```python") == sum(map(len, map(blocks, ("notebook", "script", "pytest"))))


def test_cells_work_in_a_kernel_one_after_the_other(start_kernel, site, tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}  # what others left is not recovered here
    kernel = start_kernel("ipykernel7", state)
    kernel.execute(
        f"import os; os.chdir({str(tmp_path)!r})\n"
        "c = get_ipython().config.NbProxy\n"
        f"c.confdir, c.port = {str(tmp_path / 'confdir')!r}, 0\n"
        f"c.ssl_verify_upstream_trusted_ca = {site.ca_file!r}",
    )
    shown = {}
    for block in blocks("notebook"):
        cell = block.replace("https://example.org", site.https_url)
        cell = cell.replace("~d example.org", "~d 127.0.0.1")
        result = kernel.execute(cell, timeout_s=600).check()
        shown[block] = f"{result.stdout}{result.value or ''}"
        assert "nbproxy:" not in result.stderr
    everything = "\n".join(shown.values())
    assert "The Teapot Shop" in everything  # curl
    assert re.search(r"127\.0\.0\.1 +\d{3,}", everything)  # the sum by host
    stamped = next(text for block, text in shown.items() if "def stamp" in block)
    assert f"{site.https_url}/" in stamped  # printed by the handler
    assert "'1'" in stamped
    loaded = next(text for block, text in shown.items() if "%nbproxy load" in block)
    assert "converted from Python 2" in loaded
    assert "tagged /" in loaded
    assert "'hello'" in loaded
    saved = next(text for block, text in shown.items() if "nbproxy.open" in block)
    assert re.search(r"GET +/ +200 +\d{3,}", saved)
    laid_out = next(text for block, text in shown.items() if "contentviews.render" in block)
    assert "['json', 'json source', 'text', 'hex', 'raw']" in laid_out
    assert "    name: Ann" in laid_out
    assert "hunter2" not in laid_out
    assert kernel.execute("contentviews.render(body).lines").check().value == "['user']"
    options = "(nbproxy.options.ignore_hosts, nbproxy.options.stream_large_bodies)"
    value = kernel.execute(options).check().value
    assert value == r"(('\\.bank\\.example:443$',), 10485760)"
    kernel.execute("%unload_ext nbproxy").check()


@pytest.mark.parametrize("program", blocks("script") + blocks("pytest"))
def test_programs_run(program, site, tmp_path):
    given = f"port=0, confdir={str(tmp_path / 'ca')!r}, "
    given += f"ssl_verify_upstream_trusted_ca={site.ca_file!r}"
    source = program.replace("https://example.org", site.https_url).replace("port=0", given, 1)
    source = source.replace("~d example.org", "~d 127.0.0.1")
    path = tmp_path / "test_program.py"
    path.write_text(source)
    command = [sys.executable]
    if "import pytest" in source:
        command += ["-m", "pytest", "-q", *("-p", "no:cacheprovider", "-p", "no:asyncio")]
    done = subprocess.run(
        [*command, path],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "127.0.0.1" in done.stdout or "1 passed" in done.stdout
    assert done.stderr == ""
