"""Reloading a script whose file has changed."""

import threading
from textwrap import dedent

import pytest

from nbproxy.scripts import reload
from tests.support.proxies import wait_until

VERSION = """
    from mitmproxy import ctx
    def load(l): ctx.log.info("load {0}")
    def response(flow): flow.response.headers["version"] = "{0}"
    def done(): ctx.log.info("done {0}")
"""


def rewrite(path, source):
    """Change a file at one stroke: who looks meanwhile sees the whole of it, old or new."""
    fresh = path.with_name(f"{path.name}.fresh")
    fresh.write_text(dedent(source), "utf-8")
    fresh.replace(path)


def rewrite_in_place(path, source):
    """The same without another file; the new text must be longer."""
    with path.open("r+b", buffering=0) as file:
        file.write(dedent(source).encode())


@pytest.fixture
def watched(proxy, write, texts):
    path = write("a.py", VERSION.format("1"))
    script = proxy.load(path)
    assert texts(proxy) == ["load 1"]
    return script, path


@pytest.mark.parametrize("change", [rewrite, rewrite_in_place])
def test_a_change_is_seen(proxy, fetch, site, watched, texts, change):
    script, path = watched
    change(path, VERSION.format("22"))
    wait_until(lambda: script.reloads == 1, "the change is seen")
    wait_until(lambda: len(texts(proxy)) == 4)
    assert texts(proxy)[1:3] == ["done 1", "load 22"]
    assert texts(proxy)[3].endswith("reloaded.")
    assert fetch(f"{site.http_url}/").headers["version"] == "22"


def test_a_broken_version_is_reported_and_the_old_one_stays(proxy, fetch, site, watched, texts):
    script, path = watched
    rewrite(path, "def response(flow:\n")
    wait_until(lambda: texts(proxy, "error"), "the complaint")
    assert fetch(f"{site.http_url}/").headers["version"] == "1"
    assert script.reloads == 0
    rewrite(path, VERSION.format("good"))
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
    rewrite(path, path.read_text() + "\n# more\n")
    wait_until(lambda: script.reloads == 1)
    assert texts(proxy)[:2] == ["start 1", "start 2"]


# -- by hand


def look(proxy, stop=None):
    """The watcher looks, here and now."""
    proxy.scripts._watcher._look(stop or threading.Event())


def by_reload(proxy, script):
    assert proxy.scripts.reload(script)


def by_path(proxy, script):
    assert proxy.load(script.file) is script


def by_script(proxy, script):
    assert proxy.load(script) is script


@pytest.mark.parametrize("again", [by_reload, by_path, by_script])
def test_what_was_loaded_again_by_hand_is_not_loaded_twice(idle, write, texts, again):
    path = write("a.py", VERSION.format("1"))
    script = idle.load(path)
    rewrite(path, VERSION.format("22"))
    again(idle, script)
    look(idle)
    assert script.reloads == 1
    assert [text for text in texts(idle) if "reload" not in text] == ["load 1", "done 1", "load 22"]
    rewrite(path, VERSION.format("333"))
    look(idle)
    assert script.reloads == 2


def test_nor_while_the_watcher_makes_sure_that_it_is_steady(idle, write):
    path = write("a.py", VERSION.format("1"))
    script = idle.load(path)
    rewrite(path, VERSION.format("22"))

    class Meanwhile(threading.Event):
        def wait(self, timeout=None):
            by_reload(idle, script)
            return False

    look(idle, Meanwhile())
    assert script.reloads == 1


def test_a_change_while_it_is_being_loaded_is_seen(idle, write):
    path = write("a.py", "import pathlib\npathlib.Path(__file__).write_text('def done(): 1\\n')\n")
    script = idle.load(path)
    assert script.hooks == []
    look(idle)
    assert script.reloads == 1


def test_a_change_before_the_same_file_is_loaded_with_arguments_is_one_for_the_first(idle, write):
    path = write("a.py", VERSION.format("1"))
    first = idle.load(path)
    rewrite(path, VERSION.format("22"))
    idle.load(f"{path} x")
    look(idle)
    assert first.reloads == 1


# -- the thread


def test_a_proxy_that_stops_meanwhile_does_not_end_it(idle, write, monkeypatch):
    path = write("a.py", "def start(): pass\ndef tick(): pass\n")
    script = idle.load(path)
    rewrite(path, "def start(): pass\n")

    def call(function, *args):
        raise RuntimeError("the proxy's event loop is closed")

    with monkeypatch.context() as patch:
        patch.setattr(idle.scripts.host, "call", call)
        assert idle.scripts._tick()
        look(idle)
    assert script.reloads == 0
    look(idle)
    assert script.reloads == 1


def test_ticks_that_are_asked_for_while_nobody_wanted_them_come():
    """As a script asks that is loaded in the moment in which the last one that ticked is gone."""
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 1:
            watcher.want_ticks()
        return False

    before = set(_running())
    watcher = reload.Watcher(lambda path: None, tick)
    watcher.want_ticks()
    wait_until(lambda: len(ticks) == 2)
    wait_until(lambda: not set(_running()) - before, "its thread ends: nobody wants it any more")


def test_the_thread_lives_while_there_is_something_to_watch(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("")
    changes = []
    watcher = reload.Watcher(changes.append, lambda: False)
    wait_until(lambda: not _running(), "threads of other tests end")
    watcher.watch(path, reload.stamp(path))
    assert _running()
    rewrite(path, "x")
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
