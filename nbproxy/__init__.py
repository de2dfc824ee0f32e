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

    from nbproxy.browser import browser
    from nbproxy.handlers.concurrent import concurrent
    from nbproxy.holding import Intercepts
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.headers import Headers
    from nbproxy.model.message import Request, Response
    from nbproxy.model.tcp import TCPFlow
    from nbproxy.notebook.redraw import live
    from nbproxy.notebook.widgets.inspector import inspect
    from nbproxy.own_columns import column, columns
    from nbproxy.proxy import Proxy
    from nbproxy.saved import open  # noqa: A004 - its public name
    from nbproxy.scanning import scan
    from nbproxy.store.view import Flows
    from nbproxy.why import why

    _proxy = Proxy()
    block = _proxy.block
    ca_file: str
    capture = _proxy.capture
    cassette = _proxy.cassette
    clear: Callable[[], None]
    df: pd.DataFrame
    flows: Flows
    intercept = _proxy.intercept
    intercepts: Intercepts
    map_local = _proxy.map_local
    map_remote = _proxy.map_remote
    modify_body = _proxy.modify_body
    modify_headers = _proxy.modify_headers
    next = _proxy.next  # noqa: A001 - its public name
    next_sync = _proxy.next_sync
    off = _proxy.off
    on = _proxy.on
    port: int
    preview = _proxy.preview
    proxies: dict[str, str]
    recover = _proxy.recover
    replay_server = _proxy.replay_server
    save = _proxy.save
    start = _proxy.start
    stop = _proxy.stop
    throttle = _proxy.throttle
    url: str

_CLASSES = {
    "HTTPFlow": "nbproxy.model.flow",
    "Headers": "nbproxy.model.headers",
    "NbproxyError": "nbproxy.errors",
    "Proxy": "nbproxy.proxy",
    "Request": "nbproxy.model.message",
    "Response": "nbproxy.model.message",
    "TCPFlow": "nbproxy.model.tcp",
    "column": "nbproxy.own_columns",
    "columns": "nbproxy.own_columns",
    "concurrent": "nbproxy.handlers.concurrent",
    "inspect": "nbproxy.notebook.widgets.inspector",
    "live": "nbproxy.notebook.redraw",
    "open": "nbproxy.saved",
    "scan": "nbproxy.scanning",
}
# attribute of the notebook's proxy -> whether asking for it starts the proxy
_OF_THE_PROXY = {
    "block": False,
    "ca_file": False,
    "capture": False,
    "cassette": False,
    "clear": False,
    "df": False,
    "flows": False,
    "handlers": False,
    "intercept": False,
    "intercepts": False,
    "load": False,
    "log": False,
    "map_local": False,
    "map_remote": False,
    "modify_body": False,
    "modify_headers": False,
    "next": True,
    "next_sync": True,
    "off": False,
    "on": False,
    "options": False,
    "port": True,
    "preview": False,
    "proxies": True,
    "recover": False,
    "replay_server": False,
    "save": False,
    "scripts": False,
    "start": False,
    "stop": False,
    "throttle": False,
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
    "TCPFlow",
    "__version__",
    "block",
    "browser",
    "ca_file",
    "capture",
    "cassette",
    "clear",
    "column",
    "columns",
    "concurrent",
    "df",
    "flows",
    "handlers",
    "inspect",
    "intercept",
    "intercepts",
    "live",
    "load",
    "log",
    "map_local",
    "map_remote",
    "modify_body",
    "modify_headers",
    "next",
    "next_sync",
    "off",
    "on",
    "open",
    "options",
    "port",
    "preview",
    "proxies",
    "recover",
    "replay_server",
    "save",
    "scan",
    "scripts",
    "start",
    "stop",
    "throttle",
    "unload",
    "url",
    "why",
]


def _of_the_proxy(name: str) -> Any:
    from nbproxy import _current  # noqa: PLC0415 - lazily, as all here

    return getattr(_current.get(started=_OF_THE_PROXY[name]), name)


def _function(name: str) -> Any:
    """The function that a module is named after."""
    return getattr(import_module(f"nbproxy.{name}"), name)


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

    browser = property(lambda _: _function("browser"), _only_rooms)
    capture = property(lambda _: _of_the_proxy("capture"), _only_rooms)
    handlers = property(lambda _: _of_the_proxy("handlers"), _only_rooms)
    options = property(lambda _: _of_the_proxy("options"), _only_rooms)
    scripts = property(lambda _: _of_the_proxy("scripts"), _only_rooms)
    why = property(lambda _: _function("why"), _only_rooms)


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
