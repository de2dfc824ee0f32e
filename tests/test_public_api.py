"""What `import nbproxy` offers, and what it costs."""

import inspect
import subprocess
import sys

import pytest

import nbproxy
from nbproxy import _current


@pytest.fixture
def current(tmp_path):
    """A proxy that the module-level names act on."""
    before = _current.peek()
    proxy = nbproxy.Proxy(port=0, confdir=tmp_path)
    _current.set(proxy)
    yield proxy
    proxy.close()
    _current.set(before)


def python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_is_cheap():
    heavy = ["pandas", "pyarrow", "IPython", "ipykernel", "cryptography", "h11", "asyncio", "ssl"]
    loaded = python(f"import sys, nbproxy; print([m for m in {heavy} if m in sys.modules])")
    assert loaded == "[]"


def test_a_proxy_needs_neither_pandas_nor_a_notebook():
    heavy = ["pandas", "pyarrow", "numpy", "IPython", "ipykernel", "ipywidgets"]
    code = f"""
import sys, tempfile, nbproxy
with nbproxy.Proxy(port=0, confdir=tempfile.mkdtemp()) as proxy:
    len(proxy.flows)
    proxy.on("response", "~d a")(lambda flow: None)
print([m for m in {heavy} if m in sys.modules])
"""
    assert python(code) == "[]"


def test_every_public_name_is_there(current):
    for name in nbproxy.__all__:
        assert getattr(nbproxy, name) is not None, name
    assert set(nbproxy.__all__) <= set(dir(nbproxy))
    assert nbproxy.__all__ == sorted(nbproxy.__all__)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="module 'nbproxy' has no attribute 'porxy'"):
        _ = nbproxy.porxy
    with pytest.raises(ImportError):
        from nbproxy import porxy  # noqa: F401
    assert not hasattr(nbproxy, "__wrapped__")


def test_public_classes_come_from_one_place():
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.message import Request, Response
    from nbproxy.proxy import Proxy

    assert nbproxy.HTTPFlow is HTTPFlow
    assert nbproxy.Request is Request
    assert nbproxy.Response is Response
    assert nbproxy.Proxy is Proxy


def test_module_level_names_act_on_the_notebooks_proxy(current):
    assert nbproxy.flows is current.flows
    assert nbproxy.handlers is current.handlers
    assert nbproxy.options is current.options
    assert nbproxy.ca_file == current.ca_file
    assert len(nbproxy.df) == 0
    assert not current.running  # so far nobody needed it to listen

    @nbproxy.on("response")
    def handler(flow):
        pass

    assert len(current.handlers) == 1
    assert nbproxy.off(handler) == 1
    assert nbproxy.url == current.url
    assert current.running  # an address that nobody listens on would be of no use
    assert nbproxy.proxies == current.proxies
    nbproxy.stop()
    assert not current.running
    nbproxy.start()
    assert current.running
    nbproxy.clear()


def test_a_proxy_is_made_when_somebody_needs_it(monkeypatch):
    monkeypatch.setattr(_current, "_proxy", None)
    assert _current.peek() is None
    assert len(nbproxy.flows) == 0
    proxy = _current.peek()
    assert not proxy.running
    assert nbproxy.flows is proxy.flows


def test_rooms_do_not_hide_names():
    """`nbproxy.handlers` is the user's table, although there is a package of that name."""
    code = """
import nbproxy.handlers.registry, nbproxy.options, nbproxy
print(type(nbproxy.handlers).__name__, type(nbproxy.options).__name__)
"""
    assert python(code) == "Registry Options"


FIXED = ("port", "url", "proxies", "ca_file", "flows", "df", "on", "off", "start", "stop")


@pytest.mark.parametrize("name", FIXED)
def test_what_a_proxy_has(name):
    assert inspect.getattr_static(nbproxy.Proxy, name, None) or name in vars(nbproxy.Proxy())


def test_options_are_keyword_arguments():
    parameters = inspect.signature(nbproxy.Proxy).parameters
    assert {p.kind for p in parameters.values()} == {
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    }


@pytest.mark.parametrize("name", ["HTTPFlow", "Headers", "Proxy", "Request", "Response"])
def test_public_classes_are_documented(name):
    public = getattr(nbproxy, name)
    for attribute, value in inspect.getmembers(public):
        if attribute.startswith("_") or not (callable(value) or isinstance(value, property)):
            continue
        assert inspect.getdoc(value), f"{name}.{attribute}"
