"""Captures in real kernels: kept where they are asked for, readable elsewhere, gone otherwise."""

from __future__ import annotations

import contextlib
import sqlite3
import urllib.request

import pytest

from tests.support.kernels import LINES
from tests.support.proxies import wait_until

READ = (
    "import nbproxy\n"
    "import pandas as pd\n"
    "flows = nbproxy.open({!r})\n"
    "', '.join(f'{{p}} {{s}} {{n}}' for p, s, n in zip(flows.df.path, flows.df.status,"
    " [len(flow.response.content) for flow in flows]))"
)


@pytest.fixture
def start(start_kernel, site, tmp_path):
    """Starts kernels whose private captures are below `tmp_path`, with a trust in the site."""

    def start(line, *words, load=True):
        env = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path / "home")}
        kernel = start_kernel(line, env)
        configure(kernel)
        if load:
            kernel.execute("%load_ext nbproxy")
        for word in words:
            kernel.execute(word)
        return kernel

    def configure(kernel):
        kernel.execute(
            "c = get_ipython().config.NbProxy\n"
            f"c.confdir = {str(tmp_path / 'confdir')!r}\n"
            f"c.ssl_verify_upstream_trusted_ca = {site.ca_file!r}\n"
            "c.port = 0\n"
        )

    start.configure = configure
    return start


@pytest.fixture
def ask(site):
    """Asks through a kernel's proxy, from outside of the kernel."""

    def ask(kernel, *paths):
        url = kernel.execute("nbproxy.url").value.strip("'")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": url}))
        for path in paths:
            with opener.open(f"{site.http_url}{path}", timeout=60) as answer:
                answer.read()

    return ask


def private(tmp_path):
    """The files of private captures."""
    return list((tmp_path / "state" / "nbproxy" / "captures").glob("*"))


def rows(path):
    with contextlib.closing(
        sqlite3.connect(f"file:{path}?mode=ro", timeout=60, uri=True)
    ) as database:
        return [row for (row,) in database.execute("SELECT path FROM flows ORDER BY id")]


def paths(kernel, frame="nbproxy.df"):
    return kernel.execute(f"print(*{frame}.path)").stdout.split()


def pages(*numbers):
    return [f"/api/users?page={number}" for number in numbers]


@pytest.mark.parametrize("line", LINES)
def test_another_kernel_reads_while_one_records(start, ask, tmp_path, line):
    kernel = start(line)
    ask(kernel, "/api/users/1")  # before it is asked for: it goes there too
    kernel.execute("%nbproxy start --capture my.nbproxy")
    ask(kernel, *pages(1, 2), "/big?mb=1")
    path = kernel.folder / "cwd" / "my.nbproxy"
    wait_until(lambda: len(rows(path)) == 4, "they are on disk")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not private(tmp_path)
    other = start("ipykernel7", load=False)
    seen = other.execute(READ.format(str(path))).value
    assert seen.split(", ")[3] == "/big?mb=1 200 1048576'"
    assert seen.count(", ") == 3
    ask(kernel, *pages(3))
    wait_until(lambda: len(rows(path)) == 5, "one more is on disk")
    assert other.execute(READ.format(str(path))).value.count(", ") == 4
    assert other.execute("len(flows.filter('~u page=3 & ~bs liskov'))").value == "1"
    assert kernel.execute("len(nbproxy.flows), len(nbproxy.df)").value == "(5, 5)"
    kernel.shutdown()
    assert other.execute("[flow.id for flow in flows] == flows.df.index.tolist()").value == "True"
    assert rows(path) == ["/api/users/1", *pages(1, 2), "/big?mb=1", *pages(3)]
    assert not (path.parent / "my.nbproxy.lock").exists()


@pytest.mark.parametrize("line", LINES)
def test_a_copy_is_saved_and_opened(start, ask, tmp_path, line):
    kernel = start(line)
    ask(kernel, *pages(1, 2, 3))
    assert kernel.execute("nbproxy.save('copy.nbproxy')").value == "3"
    path = kernel.folder / "cwd" / "copy.nbproxy"
    assert path.stat().st_mode & 0o777 == 0o600
    ask(kernel, *pages(4))
    assert "1 flow saved" in kernel.execute("%nbproxy save one.nbproxy ~u page=2").stdout
    kernel.execute("saved = %nbproxy open copy.nbproxy one.nbproxy")
    assert paths(kernel, "saved.df") == pages(1, 2, 3, 2)
    assert kernel.execute("len(set(saved.df.index) | set(nbproxy.df.index))").value == "8"
    files = private(tmp_path)
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert files[0].parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("line", LINES)
def test_a_shutdown_and_a_restart_leave_no_private_capture(start, ask, tmp_path, line):
    kernel = start(line)
    ask(kernel, *pages(1, 2), "/big?mb=1")
    kernel.execute("held = list(nbproxy.flows); nbproxy.df.flow.objects")
    wait_until(lambda: private(tmp_path), "a private capture")
    kernel.restart()
    assert not private(tmp_path)
    start.configure(kernel)
    kernel.execute("%load_ext nbproxy")
    assert kernel.execute("len(nbproxy.recover())").value == "0"
    ask(kernel, *pages(1))
    wait_until(lambda: private(tmp_path), "a private capture")
    kernel.shutdown()
    assert not private(tmp_path)


def test_the_limits_of_a_running_kernel(start, ask, tmp_path):
    kernel = start("ipykernel7", "%nbproxy start --capture my.nbproxy")
    ask(kernel, *pages(1, 2, 3, 4, 5))
    kernel.execute("%nbproxy set max_flows=2")
    path = kernel.folder / "cwd" / "my.nbproxy"
    wait_until(lambda: rows(path) == pages(4, 5), "only two are left on disk")
    assert paths(kernel) == pages(4, 5)
    ask(kernel, "/big?mb=1")
    kernel.execute("%nbproxy set max_flows=0 max_bytes=1m")
    wait_until(lambda: rows(path) == ["/big?mb=1"], "the large one is left")
    assert paths(kernel) == ["/big?mb=1"]
    kernel.execute("%nbproxy set max_bytes=0 max_age=0.05")
    wait_until(lambda: kernel.execute("len(nbproxy.df)").value == "0", "nothing is left")
    wait_until(lambda: rows(path) == [], "nothing is left on disk")


def test_a_configured_folder_is_where_private_captures_are(start, ask, tmp_path):
    kernel = start("ipykernel7", f"c.capture_dir = {str(tmp_path / 'mine')!r}", load=False)
    kernel.execute("%load_ext nbproxy")
    ask(kernel, *pages(1))
    wait_until(lambda: list((tmp_path / "mine").glob("*.nbproxy")), "a capture there")
    assert not private(tmp_path)
    kernel.shutdown()
    assert not list((tmp_path / "mine").iterdir())


def test_what_cannot_be_recorded_to_is_refused_in_a_line(start, ask, tmp_path):
    kernel = start("ipykernel7")
    ask(kernel, *pages(1))
    (kernel.folder / "cwd" / "notes.txt").write_text("not a capture, though long enough " * 9)
    for name in ("no/folder/x.nbproxy", "notes.txt"):
        cell = kernel.finish(kernel.start_cell(f"%nbproxy start --capture {name}"))
        assert cell.reply["ename"] == "UsageError"
        assert name in cell.reply["evalue"]
        assert ".lock" not in cell.reply["evalue"]
        assert "\n" not in cell.reply["evalue"]
    assert kernel.execute("nbproxy.options.capture is None").value == "True"
    kernel.execute("%nbproxy start --capture mine.nbproxy")
    other = start("ipykernel7")
    mine = kernel.folder / "cwd" / "mine.nbproxy"
    cell = other.finish(other.start_cell(f"%nbproxy start --capture {mine}"))
    assert "being recorded by somebody else" in cell.reply["evalue"]
    ask(other, *pages(2))
    assert paths(other) == pages(2)
    wait_until(lambda: rows(mine) == pages(1), "the first one records on")
