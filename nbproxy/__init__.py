"""nbproxy: an intercepting HTTP(S) proxy that lives inside a Jupyter kernel.

`%load_ext nbproxy` starts it; `nbproxy.flows` and `nbproxy.df` show what passed;
`@nbproxy.on("response")` changes it. Outside a notebook, `nbproxy.Proxy` is a context manager.

Public names are loaded when they are first used (PEP 562), so that importing stays cheap. The
names in lower case act on the notebook's own proxy; `nbproxy.start()` makes one where none is.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nbproxy._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.handlers.concurrent import concurrent
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Request, Response
    from nbproxy.proxy import Proxy
    from nbproxy.saved import open  # noqa: A004 - its public name
    from nbproxy.store.view import Flows

    _proxy = Proxy()
    ca_file: str
    clear: Callable[[], None]
    df: pd.DataFrame
    flows: Flows
    off = _proxy.off
    on = _proxy.on
    port: int
    preview = _proxy.preview
    proxies: dict[str, str]
    start = _proxy.start
    stop = _proxy.stop
    url: str

_CLASSES = {
    "HTTPFlow": "nbproxy.model.flow",
    "Headers": "nbproxy.model.headers",
    "NbproxyError": "nbproxy.errors",
    "Proxy": "nbproxy.proxy",
    "Request": "nbproxy.model.message",
    "Response": "nbproxy.model.message",
    "concurrent": "nbproxy.handlers.concurrent",
    "open": "nbproxy.saved",
}
# attribute of the notebook's proxy -> whether asking for it starts the proxy
_OF_THE_PROXY = {
    "ca_file": False,
    "clear": False,
    "df": False,
    "flows": False,
    "handlers": False,
    "load": False,
    "log": False,
    "off": False,
    "on": False,
    "options": False,
    "port": True,
    "preview": False,
    "proxies": True,
    "scripts": False,
    "start": False,
    "stop": False,
    "unload": False,
    "url": True,
}

__all__ = [
    "HTTPFlow",
    "Headers",
    "NbproxyError",
    "Proxy",
    "Request",
    "Response",
    "__version__",
    "ca_file",
    "clear",
    "concurrent",
    "df",
    "flows",
    "handlers",
    "load",
    "log",
    "off",
    "on",
    "open",
    "options",
    "port",
    "preview",
    "proxies",
    "scripts",
    "start",
    "stop",
    "unload",
    "url",
]


def _of_the_proxy(name: str) -> Any:
    from nbproxy import _current  # noqa: PLC0415 - lazily, as all here

    return getattr(_current.get(started=_OF_THE_PROXY[name]), name)


def __getattr__(name: str) -> Any:
    module = _CLASSES.get(name)
    if module is not None:
        if name == "open":
            import_module("nbproxy.proxy")  # says how the flows of files run scripts
        value = globals()[name] = getattr(import_module(module), name)
        return value
    if name in _OF_THE_PROXY:
        return _of_the_proxy(name)
    raise AttributeError(f"module 'nbproxy' has no attribute {name!r}")


def _only_rooms(_: ModuleType, value: object) -> None:
    """The import system may set its rooms, which changes nothing; users may not set anything."""
    if not isinstance(value, ModuleType):
        raise TypeError("nbproxy.handlers and nbproxy.options cannot be replaced")


class _Package(ModuleType):
    """This module's class, for the names that are parts of the proxy and rooms of the house too.

    Importing `nbproxy.handlers.registry` makes Python set `nbproxy.handlers` to that room, which
    would hide the user's handlers. A property comes before what is set on the module.
    """

    handlers = property(lambda _: _of_the_proxy("handlers"), _only_rooms)
    options = property(lambda _: _of_the_proxy("options"), _only_rooms)
    scripts = property(lambda _: _of_the_proxy("scripts"), _only_rooms)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*__all__, *globals()})


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """`%load_ext nbproxy`: start the proxy on the kernel's loop, and say where it listens."""
    from nbproxy.notebook import extension  # noqa: PLC0415 - IPython is needed only here

    extension.load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """`%unload_ext nbproxy`: stop the proxy and take everything back."""
    from nbproxy.notebook import extension  # noqa: PLC0415 - as above

    extension.unload(ipython)
