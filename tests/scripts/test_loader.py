"""Imports inside scripts, and what becomes of broken source."""

import sys
import types

import pytest

from nbproxy.errors import ScriptError
from nbproxy.scripts import loader


def module_of(script):
    return script.program.addons[0]


def test_classic_names_are_there_for_scripts_only(idle, write):
    script = idle.load(
        write(
            "a.py",
            """
            import mitmproxy
            from mitmproxy import ctx, http as h
            import mitmproxy.flowfilter
            def late():
                import mitmproxy.exceptions
                from mitmproxy.utils import strutils
                return mitmproxy.exceptions.OptionsError, strutils.always_bytes("x")
            """,
        )
    )
    module = module_of(script)
    assert module.mitmproxy.ctx is module.ctx
    assert module.mitmproxy.http is module.h
    assert module.late()[1] == b"x"
    assert "mitmproxy" not in sys.modules
    with pytest.raises(ImportError):
        __import__("mitmproxy")


def test_a_real_mitmproxy_is_left_alone(idle, write, monkeypatch):
    real = types.ModuleType("mitmproxy")
    monkeypatch.setitem(sys.modules, "mitmproxy", real)
    script = idle.load(write("a.py", "import mitmproxy\nfrom mitmproxy import http"))
    assert module_of(script).mitmproxy is not real
    assert sys.modules["mitmproxy"] is real
    assert not hasattr(real, "http")
    monkeypatch.undo()


def test_import_module_and_dunder_import(idle, write):
    script = idle.load(
        write(
            "a.py",
            """
            import importlib
            http = importlib.import_module("mitmproxy.http")
            again = __import__("mitmproxy.http").http
            json = importlib.import_module("json")
            """,
        )
    )
    module = module_of(script)
    assert module.http is module.again
    assert module.json is sys.modules["json"]


def test_modules_beside_the_script(idle, write):
    write("beside.py", "from mitmproxy import http\nimport other_beside")
    write("other_beside.py", "import beside\nvalue = 1")
    write("parcel/__init__.py", "from .inner import value")
    write("parcel/inner.py", "from mitmproxy import ctx\nfrom . import more\nvalue = more.value")
    write("parcel/more.py", "value = 7")
    path = write(
        "a.py",
        """
        import beside, parcel.more
        from parcel.inner import value
        from parcel import inner
        from beside import other_beside as other
        def late():
            import parcel.inner
            return parcel.inner
        """,
    )
    module = module_of(idle.load(path))
    assert module.value == 7
    assert module.late() is module.inner
    assert module.other.beside is module.beside
    assert not {"beside", "parcel", "other_beside"} & set(sys.modules)


def test_the_standard_library_is_not_hidden(idle, write):
    write("json.py", "raise RuntimeError('hidden')")
    write("types.py", "raise RuntimeError('hidden')")
    path = write("logging.py", "import json, types, logging\nlogging.info('x')")
    assert module_of(idle.load(path)).json is sys.modules["json"]


def test_a_script_called_like_a_package_does_not_import_itself(idle, write):
    module = module_of(idle.load(write("h11.py", "import h11\nname = h11.Connection")))
    assert module.name.__module__.startswith("h11")


@pytest.mark.parametrize("era", ["C", "H"])
def test_installed_packages_against_the_folder(idle, write, era):
    """Folders were searched last until 2.0, and first since 3.0."""
    write("h11.py", "Connection = 'beside'")
    module = module_of(idle.load(write("a.py", "from h11 import Connection"), era=era))
    assert (module.Connection == "beside") is (era == "H")


MISSING = [
    ("E", "from mitmproxy import models", "mitmproxy.models is not in mitmproxy 1.0 - 2.0 (era E)"),
    ("D", "from mitmproxy import master", "mitmproxy.master is not in mitmproxy 0.18 (era D); use"),
    ("H", "import mitmproxy.connections", "use mitmproxy.connection"),
    ("H", "from mitmproxy.http import HTTPResponse", "use mitmproxy.http.Response"),
    ("H", "from mitmproxy.net.http import Headers", "use mitmproxy.http.Headers"),
    ("F", "from mitmproxy.http import Response", "use mitmproxy.http.HTTPResponse"),
    ("H", "import netlib", "netlib is not in mitmproxy 9.0 - 12 (era H); use mitmproxy.net"),
    ("H", "import libmproxy.flow", "(era H); use mitmproxy"),
    ("G", "import mitmproxy.nowhere", "mitmproxy.nowhere is not in mitmproxy 7.0 - 8.1 (era G)"),
    (
        "G",
        "import mitmproxy.contentviews.grpc",
        "(era G); if it was there after all, nbproxy lacks",
    ),
    ("H", "import pathod", "pathod is no part of the scripting API"),
    ("B", "from libmproxy import models", "mitmproxy 0.11 to 0.13 has no libmproxy.models"),
    ("A", "from libmproxy.protocol.http import decoded", "mitmproxy 0.8 to 0.10 has no"),
]


@pytest.mark.parametrize(("era", "source", "message"), MISSING)
def test_what_was_never_there(idle, write, era, source, message):
    with pytest.raises(ScriptError) as caught:
        idle.load(write("a.py", f"\n{source}"), era=era)
    assert message in str(caught.value)
    assert caught.value.line == 2
    assert isinstance(caught.value.__cause__, ImportError)


def test_attributes_that_are_missing(idle, write):
    script = idle.load(write("a.py", "import mitmproxy\ndef get(): return mitmproxy.connections"))
    with pytest.raises(AttributeError, match=r"era H\); use mitmproxy.connection"):
        module_of(script).get()


# -- source


def test_broken_source_names_the_line(idle, write):
    with pytest.raises(ScriptError) as caught:
        idle.load(write("a.py", "x = 1\ny = (\n"))
    assert caught.value.line == 2
    assert isinstance(caught.value.__cause__, SyntaxError)


def test_python_2_is_converted(idle, write, capsys):
    path = write(
        "a.py",
        """
        import urllib2, cStringIO
        def request(ctx, flow):
            print "handle", flow.request.host
            try:
                {}["x"]
            except KeyError, e:
                ctx.log("missing: %s" % e)
            raise ValueError, "here"
        """,
    )
    script = idle.load(path)
    assert script.translated
    assert script.era <= "C"
    assert "Python 2" in repr(idle.scripts)


def test_a_traceback_shows_the_scripts_own_line(idle, write, make_flow, texts):
    path = write("a.py", 'def request(ctx, flow):\n    print "x",\n    raise ValueError, "here"\n')
    idle.load(path)
    idle.handlers.fire("request", make_flow())
    (text,) = texts(idle, "error")
    assert f'File "{path}", line 3, in request' in text
    assert 'raise ValueError, "here"' in text
    assert "nbproxy" not in text.replace(str(path), "")


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\0\1", "NUL bytes"), (b"# coding: klingon\n", "unknown encoding")],
)
def test_what_is_no_text(tmp_path, data, message):
    path = tmp_path / "a.py"
    path.write_bytes(data)
    with pytest.raises(ScriptError, match=message):
        loader.read(path)


def test_latin_1_without_a_coding_line(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"x = '\xe9'\r\n")
    assert loader.read(path) == "x = 'é'\n"


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScriptError, match="there is no such file; looked for it in"):
        loader.read(loader.Path("nothing.py"))
    with pytest.raises(ScriptError, match="needs quotes of its own"):
        loader.read(loader.Path("no thing.py"))
    with pytest.raises(ScriptError, match="this is a folder"):
        loader.read(tmp_path)
    big = tmp_path / "big.py"
    with big.open("wb") as file:
        file.truncate(loader.MAX_BYTES + 1)
    with pytest.raises(ScriptError, match="this is no script"):
        loader.read(big)
