"""Scripts in notebooks: the verbs of the magic, and `%%nbscript`."""

import re

import pytest
from IPython.core.error import UsageError

from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response


@pytest.fixture
def nb(shell):
    shell.run("%load_ext nbproxy")
    yield shell
    shell.user_ns["nbproxy"].unload()


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "my script.py"
    path.write_text(
        "def start(ctx, argv): ctx.word = argv[1]\n"
        "def response(ctx, flow): flow.response.headers['word'] = [ctx.word]\n"
    )
    return path


def say(shell, capsys, line):
    capsys.readouterr()
    shell.run(line)
    return capsys.readouterr().out


def passed(shell):
    flow = HTTPFlow(Request.make("GET", "http://example.org/"))
    flow.response = Response.make(200, b"html")
    shell.user_ns["nbproxy"].handlers.fire("response", flow)
    return flow


def test_loading_and_unloading(nb, script, capsys):
    said = say(nb, capsys, f"%nbproxy load '{script}' hello")
    assert said.startswith(f"loaded: {script}, written for mitmproxy 0.11 - 0.13 (era B); response")
    assert passed(nb).response.headers["word"] == "hello"
    assert str(script) in say(nb, capsys, "%nbproxy scripts")
    assert say(nb, capsys, "%nbproxy unload 'my script.py'") == "1 script unloaded\n"
    assert say(nb, capsys, "%nbproxy unload") == "0 scripts unloaded\n"


def test_an_era_may_be_given(nb, script, capsys):
    assert "era A" in say(nb, capsys, f"%nbproxy load --era 0.10 '{script}' x")


def test_a_function_loads_too(nb, script):
    nb.user_ns["path"] = str(script)
    nb.run("loaded = nbproxy.load(f\"'{path}' there\")")
    assert nb.user_ns["loaded"].hooks == ["response"]
    nb.run("table, log = nbproxy.scripts, nbproxy.log")
    assert len(nb.user_ns["table"]) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("load nothing.py", "there is no such file"),
        ("load", "required"),
        ("load x.py --era soon", "is no era"),
        ("unload x", "there is no script 'x'"),
    ],
)
def test_complaints_are_one_line(nb, line, message):
    with pytest.raises(UsageError, match=message) as caught:
        nb.run(f"%nbproxy {line}")
    assert "\n" not in str(caught.value)


def test_the_log(nb, capsys):
    nb.run("nbproxy.log.add('warn', 'a.py', 'odd'); nbproxy.log.add('info', 'b.py', 'even')")
    said = say(nb, capsys, "%nbproxy log")
    assert "odd" in said
    assert "even" in said
    assert "even" not in say(nb, capsys, "%nbproxy log --level warn")
    assert "odd" not in say(nb, capsys, "%nbproxy log --script b.py")


CELL = """%%nbscript html 'fake tml'
import sys
def start():
    print("arguments", sys.argv[1:])
def response(flow):
    flow.response.content = flow.response.content.replace(b"html", sys.argv[2].encode())
"""


def test_a_cells_body_is_a_script(nb, capsys):
    said = say(nb, capsys, CELL)
    assert "arguments ['html', 'fake tml']" in said
    assert "era E" in said
    assert passed(nb).response.content == b"fake tml"


def test_running_it_again_replaces_it(nb, capsys):
    nb.run(CELL)
    said = say(nb, capsys, CELL.replace(".replace(b", ".upper().replace(b"))
    assert said.splitlines()[-1].startswith("loaded again: <In [")
    assert passed(nb).response.content == b"HTML"
    assert len(nb.user_ns["nbproxy"].scripts) == 1


def test_errors_show_the_cells_lines(nb, capsys):
    with pytest.raises(ZeroDivisionError) as caught:
        nb.run("%%nbscript\nx = 1\ny = 1 / 0\n")
    assert caught.traceback[-1].lineno + 1 == 3
    with pytest.raises(UsageError, match="line 2: "):
        nb.run("%%nbscript\ndef f(:\n")
    nb.run("%%nbscript\ndef response(flow):\n    1 / 0  # here\n")
    capsys.readouterr()
    passed(nb)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)
    assert "----> 3     1 / 0" in shown


def test_era_of_a_cell(nb, capsys):
    body = "def response(c, f): pass\n"
    assert "era A" in say(nb, capsys, f"%%nbscript --era 0.9 x\n{body}")
    with pytest.raises(UsageError, match="which release"):
        nb.run(f"%%nbscript --era\n{body}")


def test_unloading_the_extension_takes_the_magic_away(shell):
    shell.run("%load_ext nbproxy")
    assert "nbscript" in shell.magics_manager.magics["cell"]
    shell.run("%unload_ext nbproxy")
    assert "nbscript" not in shell.magics_manager.magics["cell"]


def test_completion(nb, tmp_path, monkeypatch):
    from nbproxy.notebook import magics

    monkeypatch.chdir(tmp_path)
    (tmp_path / "add_header.py").touch()
    (tmp_path / "add_more").mkdir()
    (tmp_path / "add.txt").touch()
    session = None
    assert magics.complete(session, "load add")[1] == ["add_header.py", "add_more/"]
    assert magics.complete(session, "load no/where")[1] == ["--era", "--help"]
    assert magics.complete(session, "unload x")[1] == ["--help"]


def test_loading_the_extension_imports_no_scripts(shell):
    import subprocess
    import sys

    code = "import sys, nbproxy.notebook.scripts; print('nbproxy.scripts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
