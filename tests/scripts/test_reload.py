"""Reloading a script whose file has changed."""

import threading

import pytest

from nbproxy.scripts import reload
from tests.support.proxies import wait_until

VERSION = """
    from mitmproxy import ctx
    def load(l): ctx.log.info("load {0}")
    def response(flow): flow.response.headers["version"] = "{0}"
    def done(): ctx.log.info("done {0}")
"""


@pytest.fixture
def watched(proxy, write, texts):
    path = write("a.py", VERSION.format("1"))
    script = proxy.load(path)
    assert texts(proxy) == ["load 1"]
    return script, path


def test_a_change_is_seen(proxy, fetch, site, watched, write, texts):
    script, _ = watched
    write("a.py", VERSION.format("22"))
    wait_until(lambda: script.reloads == 1, "the change is seen")
    wait_until(lambda: len(texts(proxy)) == 4)
    assert texts(proxy)[1:3] == ["done 1", "load 22"]
    assert texts(proxy)[3].endswith("reloaded.")
    assert fetch(f"{site.http_url}/").headers["version"] == "22"


def test_an_editor_that_renames(proxy, watched, write):
    script, path = watched
    fresh = write("a.py.swp", VERSION.format("3"))
    fresh.replace(path)
    wait_until(lambda: script.reloads == 1)


def test_a_broken_version_is_reported_and_the_old_one_stays(
    proxy, fetch, site, watched, write, texts
):
    script, _ = watched
    write("a.py", "def response(flow:\n")
    wait_until(lambda: texts(proxy, "error"), "the complaint")
    assert fetch(f"{site.http_url}/").headers["version"] == "1"
    assert script.reloads == 0
    write("a.py", VERSION.format("good"))
    wait_until(lambda: script.reloads == 1)
    assert fetch(f"{site.http_url}/").headers["version"] == "good"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def response(flow:\n", ["    def response(flow:", "SyntaxError: '(' was never closed"]),
        ("import os\ndef f():\n    1 / 0\nf()\n", ["in f", "ZeroDivisionError: division by zero"]),
        ("import nowhere_at_all\n", ["ModuleNotFoundError: No module named 'nowhere_at_all'"]),
        ("from mitmproxy import nothing\n", ["ImportError: mitmproxy.nothing is not in mitmproxy"]),
        ("def start(c, argv): raise ValueError('Usage')\n", ["in start", "ValueError: Usage"]),
        ("print 'a'\nprint `x\n", ["cannot be converted from Python 2"]),
        ("addons = [5, 5]\n", ['An addon called "int" already exists.']),
    ],
)
def test_what_is_reported_are_the_scripts_own_lines(idle, write, capsys, source, told):
    path = write("a.py", VERSION.format("1"))
    script = idle.load(path)
    path.write_text(source)
    assert not idle.scripts.reload(script)
    failure, outcome = (entry.text for entry in idle.log.filter("error"))
    lines = failure.splitlines()
    assert lines[0] == "Addon error in reload:"
    for each in told:
        assert any(each in line for line in lines)
    assert told[-1] in lines[-1]
    files = {line.split('"')[1] for line in lines if line.startswith('  File "')}
    assert files <= {str(path)}
    assert "direct cause" not in failure
    assert outcome == f'Error reloading "{path}"; the former version stays.'
    assert told[-1] in capsys.readouterr().err
    assert "ScriptError" not in script.last_error


def test_a_script_that_writes_beside_itself_does_not_loop(proxy, write, texts):
    path = write(
        "a.py",
        """
        import os
        from mitmproxy import ctx
        with open(os.path.join(os.path.dirname(__file__), "beside.py"), "w") as f:
            f.write("x")
        ctx.log.info("body")
        """,
    )
    script = proxy.load(path)
    looked = _rounds(proxy.scripts._watcher, 2)
    wait_until(looked)
    assert (texts(proxy), script.reloads) == (["body"], 0)


def _rounds(watcher, count):
    """Whether the watcher has looked so often since now."""
    looks = []
    original = watcher._look

    def look(stop):
        original(stop)
        looks.append(1)

    watcher._look = look
    return lambda: len(looks) >= count


def test_the_context_object_survives(proxy, write, texts):
    path = write(
        "a.py",
        "def start(c, argv):\n    c.n = getattr(c, 'n', 0) + 1\n    c.log('start %d' % c.n)\n",
    )
    script = proxy.load(path)
    path.write_text(path.read_text() + "\n# more\n")
    wait_until(lambda: script.reloads == 1)
    assert texts(proxy)[:2] == ["start 1", "start 2"]


def test_the_thread_lives_while_there_is_something_to_watch(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("")
    changes = []
    watcher = reload.Watcher(changes.append, lambda: False)
    wait_until(lambda: not _running(), "threads of other tests end")
    watcher.watch(path)
    assert _running()
    path.write_text("x")
    wait_until(lambda: changes)
    path.unlink()
    watcher.forget(path)
    wait_until(lambda: not _running(), "the thread ends")
    assert changes == [path]
    watcher.want_ticks()
    watcher.close()
    wait_until(lambda: not _running())


def _running():
    return [t for t in threading.enumerate() if t.name == "nbproxy-scripts"]
