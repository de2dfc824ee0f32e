"""`%%capture_http` in a shell of this process: text, names, ends, complaints."""

import os
import socket
import threading
from contextvars import Context

import pytest
from IPython.core.error import UsageError

from nbproxy import _current
from nbproxy.capture.watch import WATCH
from nbproxy.notebook import capture
from tests.support.proxies import wait_until

FETCH = "import urllib.request; urllib.request.urlopen({url!r}).read()"


@pytest.fixture
def nb(shell, site, monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    shell.run("%load_ext nbproxy")
    _current.get().options.ssl_verify_upstream_trusted_ca = site.ca_file
    return shell


@pytest.fixture
def fetch(site):
    return FETCH.format(url=f"{site.http_url}/?mine")


# the first line


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["%%capture_http\n", "x\n"], ["%capture_http\n", "x\n"]),
        (["%%capture_http a -q \n", "x\n"], ["%capture_http a -q\n", "x\n"]),
        (["%%capture_http"], ["%capture_http\n"]),
        (["%%capture_http?\n"], ["%%capture_http?\n"]),
        (["%%capture_http_more\n", "x\n"], ["%%capture_http_more\n", "x\n"]),
        (["%%time\n", "x\n"], ["%%time\n", "x\n"]),
        (["x\n", "%%capture_http\n"], ["x\n", "%%capture_http\n"]),
        ([], []),
    ],
)
def test_a_first_line_becomes_a_line_magic(given, made):
    assert capture.transform(given) == made


def test_another_cell_magic_may_stand_below():
    first, second = capture.transform(["%%capture_http a\n", "%%time\n", "x = 1\n"])
    assert first == "%capture_http a\n"
    assert second.startswith("get_ipython().run_cell_magic('time'")


# in the shell


def test_the_cells_requests_are_its_flows(nb, fetch, site, capsys):
    nb.run(FETCH.format(url=f"{site.http_url}/?before"))
    before = dict(os.environ)
    nb.run(f"%%capture_http cap\n{fetch}\ncap.is_open")
    assert nb.user_ns["_"] is True
    cap = nb.user_ns["cap"]
    assert not cap.is_open
    assert cap.is_whole_cell
    assert [flow.request.path for flow in cap.flows] == ["/?mine"]
    assert cap.flows[0].metadata["line"] == 2
    assert dict(os.environ) == before
    assert "/?mine" in capsys.readouterr().out  # the table


def test_a_failing_cell_ends_it_too(nb, fetch):
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError):
        nb.run(f"%%capture_http cap\n{fetch}\n1/0")
    assert dict(os.environ) == before
    assert len(nb.user_ns["cap"]) == 1


def test_without_a_request_it_says_so(nb, capsys):
    nb.run("%%capture_http\nx = 1")
    assert "nbproxy.why" in capsys.readouterr().out
    nb.run("%%capture_http -q\nx = 1")
    assert capsys.readouterr().out == ""


def test_as_a_line_it_is_for_the_rest_of_the_cell(nb, fetch, site):
    nb.run(f"{FETCH.format(url=site.http_url)}\n%capture_http cap -q\n{fetch}")
    assert [flow.request.path for flow in nb.user_ns["cap"].flows] == ["/?mine"]


def test_two_in_a_cell(nb, fetch):
    nb.run(f"%%capture_http a -q\n{fetch}\n%capture_http b -q\n{fetch}\n{fetch}")
    assert (len(nb.user_ns["a"]), len(nb.user_ns["b"])) == (1, 2)
    assert not nb.user_ns["a"].is_open


def test_a_block_of_the_cell_is_a_part_of_it(nb, fetch, site, capsys):
    block = FETCH.format(url=site.http_url + "/?block")
    nb.run(
        f"%%capture_http cell\n{fetch}\n"
        "block = nbproxy.capture()\n"
        f"with block:\n    {block}\n"
        f"    with nbproxy.capture() as inner:\n        {block}\n"
        f"{fetch}"
    )
    of = {name: [flow.request.path for flow in nb.user_ns[name]] for name in ("block", "inner")}
    assert of == {"block": ["/?block"], "inner": ["/?block"]}
    cell = nb.user_ns["cell"]
    assert [f.request.path for f in cell] == ["/?mine", "/?block", "/?block", "/?mine"]
    assert cell.df.index.tolist() == [flow.id for flow in cell]
    assert "/?block" in capsys.readouterr().out
    nb.run(f"with block:\n    {block}")  # the same block in another cell
    assert (len(nb.user_ns["block"]), len(cell)) == (2, 4)


def test_another_magic_may_run_it(nb, fetch):
    nb.run(f"get_ipython().run_cell_magic('capture_http', 'cap -q', {fetch!r})")
    assert len(nb.user_ns["cap"]) == 1
    assert not nb.user_ns["cap"].is_open


def test_a_cell_run_inside_ends_only_its_own(nb, fetch, site):
    inner = f"%%capture_http inner -q\n{FETCH.format(url=site.http_url + '/?inner')}"
    nb.run(
        f"%%capture_http outer -q\n{fetch}\nget_ipython().run_cell({inner!r})\n"
        f"outer.is_open\n{fetch}"
    )
    assert len(nb.user_ns["outer"]) == 2
    assert [flow.request.path for flow in nb.user_ns["inner"].flows] == ["/?inner"]
    assert not nb.user_ns["outer"].is_open


def test_time_below(nb, fetch, capsys):
    nb.run(f"%%capture_http cap -q\n%%time\nx = 1\n{fetch}")
    assert nb.user_ns["cap"].flows[0].metadata["line"] == 4
    assert "Wall time" in capsys.readouterr().out


def test_hosts_can_be_left_alone(nb, fetch):
    nb.run(f"%%capture_http cap -q --no-proxy 'localhost,127.0.0.1'\n{fetch}")
    assert len(nb.user_ns["cap"]) == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("9a", "'9a' is no name"),
        ("a b", "unrecognized arguments: b"),
        ("--no-proxy", "expected one argument"),
        ("'", "No closing quotation"),
    ],
)
def test_complaints(nb, line, said):
    before = dict(os.environ)
    with pytest.raises(UsageError, match=said):
        nb.run(f"%%capture_http {line}\nx = 1")
    assert dict(os.environ) == before


def test_a_proxy_that_cannot_listen_is_said(nb, listening):
    nb.run("%nbproxy stop")
    _current.get(started=False).options.listen_port = listening
    with pytest.raises(UsageError, match="cannot listen"):
        nb.run("%%capture_http\nx = 1")


def test_outside_of_a_cell_there_is_nothing_to_end_with(nb):
    with pytest.raises(UsageError, match="only in a cell"):
        nb.run_line_magic("capture_http", "")
    assert not any(name.lower() == "http_proxy" for name in os.environ)


def test_unloading_inside_ends_it(nb, fetch):
    before = dict(os.environ)
    nb.run(f"%%capture_http cap -q\n{fetch}\n%unload_ext nbproxy")
    assert dict(os.environ) == before
    assert not nb.user_ns["cap"].is_open


def test_nothing_is_left_after_unloading(nb):
    nb.run("%unload_ext nbproxy")
    assert WATCH.code is None
    assert capture.transform not in nb.input_transformer_manager.cleanup_transforms
    assert "connect" not in vars(socket.socket)
    for kind in ("line", "cell"):
        assert "capture_http" not in nb.magics_manager.magics[kind]
    nb.run("%load_ext nbproxy")
    assert WATCH.code is not None


def test_help():
    assert "--no-proxy HOSTS" in capture.CaptureMagics.capture_http.__doc__


# what it knows of code


def test_code_and_cells(nb):
    code = WATCH.code
    nb.run("from nbproxy.capture.watch import WATCH; import sys")
    nb.run(
        "file = sys._getframe().f_code.co_filename\nsaid = WATCH.code.running(), WATCH.code.busy()"
    )
    number = nb.user_ns["said"][0]
    assert code.number(nb.user_ns["file"]) == number == len(nb.user_ns["In"]) - 1
    assert nb.user_ns["said"][1].cell == number
    assert nb.user_ns["said"][1].thread == threading.get_ident()
    assert code.busy() is None
    assert code.running() is None
    assert code.number(__file__) is None
    assert code.running(Context()) is None
    entered = Context()
    assert entered.run(lambda: code.running(entered)) is None


# the verbs


def test_why(nb, capsys):
    nb.run("%nbproxy why https://example.org/")
    assert "no request to example.org:443 came" in capsys.readouterr().out
    with pytest.raises(UsageError, match="ftp"):
        nb.run("%nbproxy why ftp://example.org/")


def test_browser(nb, tmp_path, capsys):
    program = tmp_path / "brave"
    program.write_text("#!/bin/sh\nsleep 600\n")
    program.chmod(0o755)
    nb.run(f"import nbproxy; b = nbproxy.browser(headless=True, name={str(program)!r})")
    assert nb.user_ns["b"].running
    with pytest.raises(UsageError, match="netscape"):
        nb.run("%nbproxy browser --name netscape")
    with pytest.raises(UsageError, match="no URL"):
        nb.run("%nbproxy browser https:// --headless")
    nb.run("%unload_ext nbproxy")
    wait_until(lambda: not nb.user_ns["b"].running)
