"""A script's command line, and who gets to see it."""

import sys
import threading
from pathlib import Path

import pytest

from nbproxy.errors import ScriptError
from nbproxy.scripts import arguments


@pytest.mark.parametrize(
    ("command", "path", "argv"),
    [
        ("a.py", "a.py", []),
        ("./a.py html faketml", "a.py", ["html", "faketml"]),
        ("  a.py  x  ", "a.py", ["x"]),
        ("a.py a 'b c'", "a.py", ["a", "b c"]),
        ('a.py "b \\" c" d\\ e', "a.py", ['b " c', "d e"]),
        ("'./foo bar/baz.py' 42", "foo bar/baz.py", ["42"]),
        ("a.py ''", "a.py", [""]),
    ],
)
def test_split(command, path, argv):
    assert arguments.split(command) == (Path(path), argv)


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert arguments.split("~/a.py ~/b") == (Path("/somewhere/a.py"), ["~/b"])


def test_a_file_with_blanks_needs_no_quotes(write):
    path = write("my script.py", "")
    assert arguments.split(str(path)) == (path, [])
    assert arguments.split(f"'{path}'") == (path, [])
    assert arguments.split(path) == (path, [])


@pytest.mark.parametrize(
    ("command", "message"), [("", "is empty"), ("  ", "is empty"), ("a.py 'b", "No closing")]
)
def test_what_is_no_command(command, message):
    with pytest.raises(ScriptError, match=message):
        arguments.split(command)


SEES = """
    import sys
    from sys import argv
    body = list(sys.argv)

    def start():
        assert sys.argv == argv

    def request(flow):
        flow.request.headers["x-argv"] = "|".join(sys.argv[1:])
"""


def test_sys_argv_around_body_and_hooks(idle, write, make_flow):
    path = write("old.py", SEES)
    script = idle.load(f"{path} html 'fake tml'")
    assert script.era == "E"
    module = script.program.addons[0]
    assert module.body == [str(path), "html", "fake tml"]
    (flow,) = idle.scripts.run(script, [make_flow()])
    assert flow.request.headers["x-argv"] == "html|fake tml"


def test_no_other_thread_sees_it(idle, write, make_flow):
    """While a hook waits, another thread looks."""
    path = write(
        "waits.py",
        """
        import sys
        def start(): pass
        def request(flow):
            meet.wait(10)  # the other thread looks now
            meet.wait(10)
            flow.request.headers["x-argv"] = sys.argv[1]
        """,
    )
    script = idle.load(f"{path} mine")
    meet = threading.Barrier(2)
    script.program.addons[0].meet = meet
    seen = []

    def look():
        meet.wait(10)
        seen.append(list(sys.argv))
        meet.wait(10)

    thread = threading.Thread(target=look)
    thread.start()
    flow = make_flow()
    idle.handlers.fire("request", flow)
    thread.join()
    assert seen == [sys.argv]
    assert flow.request.headers["x-argv"] == "mine"


@pytest.mark.parametrize("era", ["A", "B", "C", "F", "H"])
def test_scripts_of_all_eras_see_the_arguments_they_are_given(idle, write, make_flow, era):
    parameters = "flow" if era in {"F", "H"} else "context, flow"
    path = write(
        "argued.py",
        f"""
        import sys
        body = list(sys.argv)
        def request({parameters}):
            flow.request.path = "/" + "/".join(sys.argv[1:])
        """,
    )
    script = idle.load(f"{path} one two", era=era)
    assert script.program.addons[0].body == [str(path), "one", "two"]
    (flow,) = idle.scripts.run(script, [make_flow()])
    assert flow.request.path == "/one/two"


@pytest.mark.parametrize("era", ["C", "F", "H"])
def test_other_eras_see_the_hosts_own(idle, write, era):
    script = idle.load(write("a.py", "import sys\nseen = sys.argv"), era=era)
    assert script.program.addons[0].seen is sys.argv


def test_argparse_reads_the_scripts_arguments(idle, write, texts):
    path = write(
        "parse.py",
        """
        import argparse
        def start():
            parser = argparse.ArgumentParser()
            parser.add_argument("src")
            parser.add_argument("dst")
            args = parser.parse_args()
            return Replacer(args.src, args.dst)
        class Replacer:
            def __init__(self, src, dst):
                self.pair = src, dst
        """,
    )
    script = idle.load(f"{path} html faketml")
    assert script.program.addons[0].pair == ("html", "faketml")
    idle.load(f"{path} onlyone")
    assert texts(idle, "error") == ["Script exited with code 2 (in start)"]


def test_a_scripts_path_is_its_own(idle, write):
    write("lib/helper_of_mine.py", "value = 42")
    path = write(
        "a.py",
        """
        import os, sys
        sys.path.append(os.path.join(os.path.dirname(__file__), "lib"))
        import helper_of_mine
        value = helper_of_mine.value
        """,
    )
    before = list(sys.path)
    assert idle.load(path).program.addons[0].value == 42
    assert sys.path == before
    assert "helper_of_mine" not in sys.modules


def test_context_eras_get_argv_as_a_parameter(idle, write):
    path = write("a.py", "def start(ctx, argv): ctx.argv = argv\ndef request(ctx, flow): pass")
    script = idle.load(f"{path} x 'y z'")
    assert script.program.context.argv == [str(path), "x", "y z"]


def test_a_path_with_blanks_and_arguments(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my own script.py").write_text("")
    (tmp_path / "x.py").write_text("")
    meant = "my: there is no such file; .*: \"'my own script.py' a b\""
    with pytest.raises(ScriptError, match=meant):
        arguments.split("my own script.py a b")
    assert arguments.split("'my own script.py' a b") == (Path("my own script.py"), ["a", "b"])
    assert arguments.split("my own script.py") == (Path("my own script.py"), [])
    assert arguments.split("x.py my own script.py") == (Path("x.py"), ["my", "own", "script.py"])
    assert arguments.split("no.py my") == (Path("no.py"), ["my"])
