"""The command line with files: `-r`, `-w` and `-n`, as a process of its own."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nbproxy
from nbproxy import Proxy
from tests.formats.conftest import data, mitmproxy_sees  # noqa: F401 - fixtures
from tests.support.proxies import PATIENCE_S, Origin, Wire, answering, response

COMMAND = [sys.executable, "-W", "error", "-m", "nbproxy"]
ENV = {**os.environ, "PYTHONUTF8": "1"}


@pytest.fixture(scope="module")
def confdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("confdir")
    _ = Proxy(confdir=folder).ca
    return f"confdir={folder}"


@pytest.fixture
def sample(data):  # noqa: F811 - the fixture
    """Three flows, one after the other."""
    return data / "mitm" / "websocket.mitm"


@pytest.fixture
def write(tmp_path):
    def script(name, text):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return script


def run(*arguments):
    """Run it without a server, to its end."""
    return subprocess.run(
        [*COMMAND, "-n", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENV,
    )


@contextlib.contextmanager
def listening(confdir, *arguments):
    """The running command and its port."""
    process = subprocess.Popen(
        [*COMMAND, "-p", "0", "--set", confdir, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    try:
        first = process.stdout.readline()
        assert first.startswith("listening on "), first + process.stderr.read()
        yield process, int(first.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def ended(process):
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    return out


# -- without a server


def test_reading_prints_and_ends(sample):
    done = run("-r", sample)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(" GET https://demo.piesocket.com/v3/channel_123" in line for line in lines)
    assert "listening" not in done.stdout


def test_nothing_to_read():
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_filter_says_what_is_printed_and_written(sample, tmp_path):
    out = tmp_path / "out.mitm"
    done = run("-r", sample, "-w", out, "~u notify_self")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
    assert ["notify_self" in flow.request.path for flow in nbproxy.open(out)] == [True, True]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_quiet_writes_all_the_same(sample, tmp_path):
    done = run("-q", "-r", sample, "-w", tmp_path / "out.mitm")
    assert (done.returncode, done.stdout) == (0, "")
    assert len(nbproxy.open(tmp_path / "out.mitm")) == 3


def test_files_through_scripts_into_a_file(data, write, tmp_path, mitmproxy_sees):  # noqa: F811
    """Several files and scripts; mitmproxy reads what came of it."""
    old = write(
        "old.py",
        """
        def start(context, argv):
            context.word = argv[1]
        def request(context, flow):
            flow.request.headers["x-seen"] = context.word
        """,
    )
    new = write(
        "new.py",
        """
        from mitmproxy import ctx
        def load(loader): loader.add_option("suffix", str, "", "what to add")
        def running(): print("it runs")
        def request(flow): flow.request.headers["x-seen"] += ctx.options.suffix
        def response(flow): flow.response.status_code = 299
        def done(): print("it is done")
        """,
    )
    out = tmp_path / "out.mitm"
    files = ["-r", data / "mitm" / "dumpfile-011.mitm", "-r", data / "mitm" / "dumpfile-19.mitm"]
    scripts = ["-s", f"{old} hello", "-s", new, "--set", "suffix=-you"]
    done = run(*files, *scripts, "-w", out)
    assert done.returncode == 0, done.stderr
    assert "it runs" in done.stderr + done.stdout
    assert done.stdout.splitlines()[-1] == "it is done"
    assert done.stdout.count(" -> 299 ") == 2
    (theirs,) = mitmproxy_sees(out)
    assert len(theirs) == 2, theirs
    for flow in nbproxy.open(out):
        assert flow.request.headers["x-seen"] == "hello-you"
        assert flow.response.status_code == 299
    text = json.dumps(theirs)
    assert text.count(": 299") == 2


def test_what_was_there_is_kept(sample, tmp_path, mitmproxy_sees):  # noqa: F811
    out = tmp_path / "out.mitm"
    out.touch()
    for name in (out, f"+{out}"):
        assert run("-q", "-r", sample, "-w", name).returncode == 0
    assert len(nbproxy.open(out)) == 6
    assert len(mitmproxy_sees(out)) == 1


def test_har_is_read(data, tmp_path):  # noqa: F811
    har = next(iter(sorted((data / "har").glob("*chrome*.har"))))
    done = run("-r", har, "-w", tmp_path / "out.mitm")
    assert done.returncode == 0, done.stderr
    assert len(nbproxy.open(tmp_path / "out.mitm")) == len(done.stdout.splitlines()) > 0


def test_a_truncated_file_gives_what_is_before(sample, tmp_path):
    whole = sample.read_bytes()
    cut = tmp_path / "cut.mitm"
    cut.write_bytes(whole[:-10])
    done = run("-r", cut, "-r", sample)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 5
    (line,) = done.stderr.splitlines()
    assert line.startswith("nbproxy: -r ")
    assert str(cut) in line
    assert "offset" in line or "byte" in line


def test_a_script_that_fails_does_not_stop_the_reading(sample, write):
    script = write("bad.py", "def response(flow): 1 / 0\n")
    done = run("-r", sample, "-s", script)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.count("ZeroDivisionError: ") == 1
    assert f"{script}: failed in response" in done.stderr


LOGGING = """
from mitmproxy import ctx
def response(flow): ctx.log.{level}(str(flow.request.is_replay))
"""
FAILING = {
    "B": ("def response(context, flow): 1 / 0", 0),
    "D": ("from netlib import version\ndef response(flow): 1 / 0", 1),
    "E, at the start": ("def start(): 1 / 0", 1),
    "F, at the end": ("def tick(): pass\ndef done(): 1 / 0", 1),
    "F, said so": (LOGGING.format(level="error"), 1),
    "F, only a warning": (LOGGING.format(level="warn"), 0),
}


@pytest.mark.parametrize("name", FAILING)
def test_the_status_after_errors_is_that_of_a_scripts_time(sample, write, name):
    text, status = FAILING[name]
    script = write("bad.py", text)
    done = run("-r", sample, "-s", script)
    assert done.returncode == status, done.stderr
    assert len(done.stdout.splitlines()) == 3
    said = f"nbproxy: -s {script}: errors occurred during run" in done.stderr.splitlines()
    assert said is bool(status)


@pytest.mark.parametrize("kind", ["missing", "folder", "same", "no mitm", "nowhere"])
def test_files_that_cannot_be_used(kind, sample, tmp_path):
    other = tmp_path / "x.har"
    other.write_text('{"log": {}}')
    copy = tmp_path / "copy.mitm"
    copy.write_bytes(sample.read_bytes())
    arguments, message = {
        "missing": (["-r", tmp_path / "no.mitm"], "there is no file"),
        "folder": (["-r", tmp_path], "is a folder"),
        "same": (["-r", copy, "-w", copy], "is being read from"),
        "no mitm": (["-r", sample, "-w", other], "no mitmproxy file"),
        "nowhere": (["-r", sample, "-w", tmp_path / "no" / "x.mitm"], "No such file"),
    }[kind]
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("nbproxy: -")
    assert message in line
    assert other.read_text() == '{"log": {}}'
    assert copy.read_bytes() == sample.read_bytes()


@pytest.mark.parametrize("name", ["out.har", "OUT.HAR", "out.nbproxy", "out.curl.sh"])
def test_a_name_that_promises_another_format(name, sample, tmp_path):
    done = run("-n", "-r", sample, "-w", tmp_path / name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "would be in mitmproxy's format" in done.stderr
    assert f".save('{name}')" in done.stderr
    assert list(tmp_path.glob("[oO]*")) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_said_once(sample):
    done = run("-r", sample, "-w", "/dev/full")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    (line,) = done.stderr.splitlines()
    assert "flows are missing in it" in line


# -- with a server


def test_live_flows_are_written_as_they_end(confdir, tmp_path, mitmproxy_sees):  # noqa: F811
    origin = Origin(answering(lambda message: response(message.target)))
    out = tmp_path / "out.mitm"
    with listening(confdir, "-w", out, "~u /yes") as (process, port):
        for path in ("/yes/1", "/no", "/yes/2"):
            with Wire.to(port) as wire:
                assert wire.get(f"{origin.url}{path}").status == 200
        printed = [process.stdout.readline() for _ in range(2)]
        assert [f"/yes/{n} -> 200" in line for n, line in enumerate(printed, 1)] == [True, True]
        # it is there before the end
        assert [f.response.content for f in nbproxy.open(out)] == [b"/yes/1", b"/yes/2"]
        assert ended(process) == ""
    origin.close()
    assert [len(flows) for flows in mitmproxy_sees(out)] == [2]


def test_recording_goes_on_after_a_crash(confdir, tmp_path):
    """Half a flow at the end of the file does not swallow those that are appended."""
    origin = Origin(answering(lambda message: response(message.target)))
    out, spare = tmp_path / "out.mitm", tmp_path / "out.mitm.incomplete"
    for number in range(3):
        with listening(confdir, "-w", out) as (process, port):
            for path in (f"/{number}/whole", f"/{number}/last"):
                with Wire.to(port) as wire:
                    assert wire.get(f"{origin.url}{path}").status == 200
                assert path in process.stdout.readline()
            process.kill()
            complaint = process.communicate()[1]
        assert ("its last flow is incomplete" in complaint) == (number > 0)
        raw = out.read_bytes()
        out.write_bytes(raw[: len(raw) - 100 * (number + 1)])  # what a crash does to the last one
    with pytest.warns(UserWarning, match="cut off"):  # nobody has mended the last one yet
        flows = nbproxy.open(out)
    assert [f.response.content for f in flows] == [b"/0/whole", b"/1/whole", b"/2/whole"]
    assert stat.S_IMODE(spare.stat().st_mode) == 0o600
    assert all(lost in spare.read_bytes() for lost in (b"/0/last", b"/1/last"))  # nothing is lost
    origin.close()


def test_recording_to_a_damaged_file(sample, tmp_path):
    """What would be appended could not be read: it is refused, and the file left alone."""
    out = tmp_path / "out.mitm"
    raw = sample.read_bytes()
    out.write_bytes(raw[:2000] + raw[2100:])
    ended = run("-r", sample, "-w", out)
    assert ended.returncode == 2
    assert "the file is damaged; what would be appended could not be read" in ended.stderr
    assert out.read_bytes() == raw[:2000] + raw[2100:]


def test_reading_while_listening(confdir, sample, write):
    script = write("x.py", 'def response(flow): flow.response.headers["x-script"] = "yes"\n')
    origin = Origin(answering(lambda message: response(message.target)))
    with listening(confdir, "-r", sample, "-s", script, "~hs x-script") as (process, port):
        assert all("piesocket" in process.stdout.readline() for _ in range(3))
        with Wire.to(port) as wire:
            assert wire.get(f"{origin.url}/live").status == 200
        assert "/live -> 200" in process.stdout.readline()
        assert ended(process) == ""
    origin.close()
