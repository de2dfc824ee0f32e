"""What a script changes of the process it changes for itself: nothing of it is left or seen."""

import builtins
import contextlib
import logging
import sys
import warnings

import pytest

from nbproxy.errors import ScriptError
from nbproxy.scripts import eras

# What scripts do to the process, and that they see it themselves.
BODY = """
import os, sys, warnings, logging, {imports}
import {builtins} as of_all
sys.path.append("/somewhere/else")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.argv = ["mine", "arguments"]
of_all.from_nowhere = 5
sys.modules["made_up"] = sys.modules[__name__]
warnings.simplefilter("ignore")
warnings.filterwarnings("error", category=DeprecationWarning)
logging.basicConfig(level=logging.DEBUG)
logging.getLogger().setLevel(5)
import beside, made_up
assert from_nowhere == 5 and beside.seen == 5 and made_up.BODY_RAN is None
"""
HOOKS = """
def request({first}flow):
    import late_beside, sys, warnings
    sys.path.append("/later")
    sys.argv.append("more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("nobody hears this")
    flow.request.path = "/%s" % late_beside.seen
def {end}({last}):
    import {builtins} as of_all
    of_all.at_the_end = 1
"""
IMPORTS = {
    "0.9": "libmproxy.flow, netlib.odict",
    "0.11": "libmproxy.protocol.http, netlib.odict",
    "0.16": "libmproxy.models, netlib.http",
    "0.17": "mitmproxy.models, netlib.http",
    "0.18": "mitmproxy.models, netlib.strutils",
    "2.0": "mitmproxy.http, mitmproxy.net.http",
    "6.0": "mitmproxy.http, mitmproxy.utils.strutils",
    "8.1": "mitmproxy.http, mitmproxy.proxy.layers",
    "12": "mitmproxy.http, mitmproxy.proxy.layers",
}
FAILURES = {
    "syntax": "def request(flow:\n",
    "body": "raise ValueError('no')\n",
    "exit": "sys.exit(3)\n",
    "import": "import nowhere_at_all\n",
    "classic import": "from libmproxy import nothing_there\nfrom mitmproxy import nothing_there\n",
}


def state():
    """All of the process that scripts must leave alone."""
    return {
        "modules": dict(sys.modules),
        "path": list(sys.path),
        "argv": (sys.argv, list(sys.argv)),
        "builtins": dict(vars(builtins)),
        "filters": list(warnings.filters),
        "finders": (list(sys.meta_path), list(sys.path_hooks)),
        "logging": (logging.root.level, list(logging.root.handlers)),
    }


def assert_same(before):
    after = state()
    for name, value in before.items():
        assert after[name] == value, name


@pytest.fixture
def beside(write):
    """Modules beside the script."""
    for name in ("beside", "late_beside"):
        write(f"{name}.py", "seen = from_nowhere\n")


def sources(release, failure=""):
    context = eras.parse(release).has_context
    python2 = release in {"0.9", "0.11"}
    names = {
        "imports": IMPORTS[release],
        "builtins": "__builtin__" if python2 else "builtins",
        "first": "context, " if context else "",
        "end": "done",
        "last": "context" if context else "",
    }
    body = "BODY_RAN = None\n" + BODY.format(**names)
    if python2:
        body += 'print "a statement"\n'
    return body + failure + HOOKS.format(**names)


@pytest.mark.parametrize("release", IMPORTS)
def test_loading_running_unloading(idle, write, make_flow, beside, release):
    path = write("a.py", sources(release))
    warm = idle.load(path, era=release)  # what nbproxy itself imports for that era stays
    idle.handlers.fire("request", make_flow())
    assert warm.last_error == ""
    idle.unload()
    before = state()
    script = idle.load(f"{path} x", era=release)
    assert_same(before)
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert (flow.request.path, script.last_error) == ("/5", "")
    assert_same(before)
    idle.scripts.reload(script)
    assert_same(before)
    idle.unload()
    assert_same(before)
    (changed,) = idle.scripts.run(f"{path} x", [make_flow()], era=release)
    assert changed.request.path == "/5"
    assert_same(before)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("release", IMPORTS)
def test_loading_that_fails(idle, write, beside, release, failure):
    idle.load(write("warm.py", sources(release)), era=release)
    idle.unload()
    with pytest.raises(ScriptError):
        idle.load(write("b.py", FAILURES[failure]), era=release)
    path = write("a.py", sources(release, FAILURES[failure]))
    before = state()
    with pytest.raises(ScriptError):
        idle.load(path, era=release)
    assert_same(before)
    assert len(idle.scripts) == len(idle.handlers) == 0


@pytest.mark.parametrize(
    ("release", "source"),
    [
        ("0.11", "def start(context, argv):\n    raise ValueError('Usage')"),
        ("2.0", "def start():\n    1 / 0"),
        ("2.0", "def configure(options, updated):\n    1 / 0"),
        ("12", "def load(loader):\n    1 / 0"),
        ("12", "addons = [5, 5]"),
    ],
)
def test_beginning_that_fails(idle, write, beside, release, source):
    path = write("a.py", source)

    def load():
        with contextlib.suppress(ScriptError):
            idle.load(path, era=release)
        idle.unload()

    load()
    before = state()
    load()
    assert_same(before)


def test_other_threads_see_nothing_of_it(idle, write, make_flow):
    """While a hook of 0.18 runs, its `sys.argv` is its own affair."""
    path = write(
        "a.py",
        """
        import sys
        def start(): print(sys.argv[1:])
        def request(flow): LOOK(); print(sys.argv[1:])
        """,
    )
    script = idle.load(f"{path} one two", era="0.18")
    seen = []
    script.program.addons[0].LOOK = lambda: seen.append(list(sys.argv))
    idle.handlers.fire("request", make_flow())
    assert seen == [sys.argv]
    assert [entry.text for entry in idle.log] == ["['one', 'two']"] * 2


def test_builtins_of_one_script_are_not_those_of_another(idle, write, make_flow):
    idle.load(write("a.py", "import builtins\nbuiltins.mine = 1\n"))
    script = idle.load(
        write(
            "b.py",
            """
            import builtins
            def request(flow):
                assert not hasattr(builtins, "mine")
                builtins.len = lambda x: 99
                assert len("a") == 99
                del builtins.len
                try:
                    len("a")
                except NameError:
                    flow.comment = "gone"
                assert "print" in dir(builtins)
            """,
        )
    )
    flow = make_flow()
    idle.handlers.fire("request", flow)
    assert (flow.comment, script.last_error) == ("gone", "")
    assert len("a") == 1
