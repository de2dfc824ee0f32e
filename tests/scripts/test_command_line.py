"""`nbproxy -s "SCRIPT ARGUMENT..."`."""

import os
import signal
import subprocess
import sys

import pytest

from tests.support.proxies import Wire, answering, response

LIMIT_S = 300.0
"""How long the command may take to begin or to end; it does so in a second or two."""

COMMAND = (sys.executable, "-W", "error", "-m", "nbproxy", "-p", "0", "-q")


@pytest.fixture
def run(confdir):
    """Starts the command; gives the process, which has one line of output left to be read."""
    processes = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, "--set", f"confdir={confdir}", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_scripts_in_order_with_arguments_and_options(run, write, make_origin):
    one = write(
        "one script.py",
        """
        import sys
        from mitmproxy import ctx
        def start(): print("started", sys.argv[1:])
        def response(flow): flow.response.headers["x"] = sys.argv[1]
        def done(): ctx.log("done one")
        """,
    )
    two = write(
        "two.py",
        """
        from mitmproxy import ctx
        def load(loader): loader.add_option("suffix", str, "", "what to add")
        def response(flow): flow.response.headers["x"] += ctx.options.suffix
        """,
    )
    process = run("-s", f"'{one}' first", "-s", str(two), "--set", "suffix=-second")
    line = process.stdout.readline()  # the scripts' own words are not the first on this stream
    assert line.startswith("listening on http://127.0.0.1:")
    origin = make_origin(answering(lambda _: response(b"")))
    with Wire.to(int(line.rpartition(":")[2])) as wire:
        assert wire.get(f"{origin.url}/")[b"x"] == b"first-second"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert "started ['first']" in err
    assert "done one" in out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nx = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "line 1: invalid syntax"),
        ("def start(ctx, argv): raise ValueError('Usage: a.py X')\n", "ValueError: Usage: a.py X"),
    ],
)
def test_a_script_that_fails_ends_it(run, write, source, said):
    process = run("-s", str(write("a.py", source)))
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (1, "")
    assert said in err.splitlines()[-1]


def test_a_script_that_is_not_there(run):
    _, err = (process := run("-s", "nowhere.py")).communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "there is no such file" in err


def test_an_option_that_no_script_has(run, write):
    process = run("-s", str(write("a.py", "")), "--set", "sufix=1")
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2
    assert "there is no option 'sufix'" in err
