"""`libmproxy`, `netlib` and 0.17's `mitmproxy`, as far as scripts took things from them.

One table for each era: dotted name to what is in that module. A module is made when a script first
imports it; what is not in it fails with the era and the replacement.
"""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from nbproxy import filters
from nbproxy.errors import FilterError
from nbproxy.scripts import marks
from nbproxy.scripts.compat import classic_netlib as netlib
from nbproxy.scripts.compat import codings, contentviews, dumps
from nbproxy.scripts.compat.classic_connections import (
    KILL,
    ClientConnection,
    ConnectionHandler,
    Kill,
    RootLayer,
    ServerConnection,
)
from nbproxy.scripts.compat.classic_context import FlowMaster, ScriptContext, State
from nbproxy.scripts.compat.classic_exceptions import EXCEPTIONS, NETLIB_EXCEPTIONS, ProxyError
from nbproxy.scripts.compat.classic_flow import FLOWS, Error, Live, Reply
from nbproxy.scripts.compat.classic_headers import Headers
from nbproxy.scripts.compat.classic_host import RELEASES
from nbproxy.scripts.compat.classic_messages import CONTENT_MISSING, decoded
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless
from nbproxy.scripts.compat.classic_request import REQUESTS
from nbproxy.scripts.compat.classic_response import (
    RESPONSES,
    ResponseC,
    make_connect_request,
    make_connect_response,
    make_error_response,
)
from nbproxy.scripts.compat.flows import Address, Certificate, real
from nbproxy.scripts.compat.layers import UNTIL_6
from nbproxy.scripts.compat.programs import programs
from nbproxy.scripts.compat.wsgi import WSGIAdaptor
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.scripts.compat.classic_host import ClassicHost

_VERSIONS: Final = {"A": (0, 10, 1), "B": (0, 13), "C": (0, 17)}
_FORM: Final = "application/x-www-form-urlencoded"

# Where things are that a script looks for in the wrong place, or that cannot be had.
_HINTS: Final = {
    "libmproxy.protocol": "since 0.11; before, flows and messages are in libmproxy.flow",
    "libmproxy.protocol.http": "0.11 to 0.13; since 0.14 use libmproxy.models",
    "libmproxy.protocol.tcp": "0.11 to 0.13 only",
    "libmproxy.protocol.primitives": "0.11 to 0.13; since 0.14 use libmproxy.models",
    "libmproxy.models": "since 0.14; before, use libmproxy.protocol.http (0.11) or libmproxy.flow",
    "libmproxy.exceptions": "since 0.14",
    "libmproxy.contentviews": "since 0.14",
    "libmproxy.encoding": "until 0.13; since 0.14 use netlib.encoding",
    "libmproxy.certutils": "0.8 only; use netlib.certutils",
    "libmproxy.console": "the console's own; viewers of bodies go to context.add_contentview",
    "netlib.http.Headers": "since 0.14; before, headers are a netlib.odict.ODictCaseless",
    "netlib.http.decoded": "since 0.14; before, use libmproxy.protocol.http.decoded (0.11 to 0.13)",
    "netlib.http.cookies": "since 0.14; before, use netlib.http_cookies",
    "netlib.http_cookies": "until 0.13; since 0.14 use netlib.http.cookies",
    "netlib.http_status": "until 0.13; since 0.14 use netlib.http.status_codes",
    "netlib.strutils": "since 0.18; use netlib.utils",
    "mitmproxy": "since 0.17; before, the package is called libmproxy",
    "mitmproxy.ctx": "since 0.18; the first parameter of each hook is the context here",
    "mitmproxy.http": "since 1.0; use mitmproxy.models",
    "mitmproxy.flowfilter": "since 0.18; use mitmproxy.filt",
    "mitmproxy.io": "since 1.0; use mitmproxy.flow",
}


class ClassicFilter:
    """What `filt.parse` gives: called with a flow, true or false."""

    def __init__(self, source: str) -> None:
        self._filter = filters.parse(source, compat=True)
        self.pattern = source

    def __call__(self, flow: Any) -> bool:
        """Whether the filter speaks of the flow."""
        return self._filter(real(flow))


def parse_filter(source: str) -> ClassicFilter | None:
    """`filt.parse`: None for what is no filter expression."""
    try:
        return ClassicFilter(source)
    except FilterError:
        return None


class TCPHandler:
    """0.11's raw relay, which scripts ran by hand for WebSockets."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("TCPHandler is not needed: the proxy passes WebSockets by itself")


def send_connect_request(*_: Any, **__: Any) -> None:
    """0.11's CONNECT to an upstream proxy by hand."""
    raise NotImplementedError(
        "send_connect_request is not needed: the proxy opens tunnels by itself"
    )


def _ignore(*_: Any, **__: Any) -> None:
    """Files are watched by the proxy itself."""


def missing(era: str, module: str, name: str = "") -> str:
    """Why a name is not there in this era, and what to use."""
    full = f"{module}.{name}" if name else module
    release = RELEASES.get(str(era), f"era {era}")
    if full.partition(".")[0] in {"pathod", "libpathod"}:
        return f"{full} is pathod's, a test server and client: nbproxy has no stand-in for it"
    hint = _HINTS.get(full) or (None if name else _HINTS.get(module.rpartition(".")[0]))
    if hint is None and name:
        places = [m for m, found in _table(str(era)).items() if name in found]
        if places:
            hint = f"use {places[0]}.{name}"
    return f"{release} has no {full}" + (f" ({hint})" if hint else "")


def modules(era: str, host: ClassicHost | None = None) -> Mapping[str, Callable[[], ModuleType]]:
    """How each module of an era is made, by dotted name.

    Args:
        era: "A", "B" or "C".
        host: For what modules do to the proxy (`contentviews.add`); without it that fails.
    """
    table = _table(str(era), host)
    return {name: _maker(str(era), name, table) for name in table}


def _maker(era: str, name: str, table: Mapping[str, dict[str, Any]]) -> Callable[[], ModuleType]:
    def make() -> ModuleType:
        module = ModuleType(name, f"{name} of {RELEASES[era]}, as far as scripts use it.")
        module.__dict__.update(table[name])

        def find(attribute: str) -> Any:
            raise AttributeError(missing(era, name, attribute))

        module.__dict__["__getattr__"] = find
        if any(other.startswith(f"{name}.") for other in table):
            module.__path__ = []
        return module

    return make


def _table(era: str, host: ClassicHost | None = None) -> dict[str, dict[str, Any]]:
    tables = {"A": _era_a, "B": _era_b, "C": _era_c}
    return tables[era](era, host)


def _shared(era: str, package: str) -> dict[str, dict[str, Any]]:
    """What all eras had, below the package's name."""
    version = _VERSIONS[era]
    name = ".".join(map(str, version))
    return {
        package: {"__version__": name},
        f"{package}.filt": {"parse": parse_filter},
        f"{package}.utils": {**netlib.UTILS},
        f"{package}.version": {"VERSION": name, "IVERSION": version, "NAME": "mitmproxy"},
        f"{package}.controller": {
            **programs("Master", "Channel", "Msg"),
            "DummyReply": Reply,
            "Reply": Reply,
        },
        f"{package}.dump": {**programs("DumpMaster", "Options")},
        f"{package}.cmdline": {},
        f"{package}.tnetstring": {**codings.TNETSTRING},
        f"{package}.script": {
            **programs("Script"),
            "reloader": SimpleNamespace(watch=_ignore, unwatch=_ignore),
            "concurrent": marks.concurrent_of(Era(era)),
            "ScriptContext": ScriptContext,
            "ScriptError": EXCEPTIONS["ScriptException"],
            "ScriptException": EXCEPTIONS["ScriptException"],
        },
    }


def _files(era: str) -> dict[str, Any]:
    """`flow`: reading and writing of flows, and the master."""
    kind = FLOWS[era]

    def show(own: Any) -> Any:
        return kind.of(own, Era(era))

    return {
        "FlowReader": dumps.reader(show),
        "FlowWriter": dumps.FlowWriter,
        "FilteredFlowWriter": dumps.FilteredFlowWriter,
        "FlowReadError": dumps.FlowReadException,
        "FlowMaster": FlowMaster,
        "State": State,
        "CONTENT_MISSING": CONTENT_MISSING[era],
    }


def _netlib(era: str) -> dict[str, dict[str, Any]]:
    version = _VERSIONS[era]
    return {
        "netlib": {},
        "netlib.odict": {"ODict": ODict, "ODictCaseless": ODictCaseless},
        "netlib.tcp": {"Address": Address},
        "netlib.certutils": {"SSLCert": Certificate.bound(Era(era))},
        "netlib.wsgi": {"WSGIAdaptor": WSGIAdaptor},
        "netlib.utils": {**netlib.UTILS},
        "netlib.version": {"VERSION": ".".join(map(str, version)), "IVERSION": version},
    }


def _era_a(era: str, _host: ClassicHost | None) -> dict[str, dict[str, Any]]:
    return {
        **_shared(era, "libmproxy"),
        **_netlib(era),
        "libmproxy.flow": {
            **_files(era),
            "Flow": FLOWS[era],
            "Request": REQUESTS[era],
            "Response": RESPONSES[era],
            "Error": Error,
            "ClientConnect": ClientConnection,
            "ClientDisconnect": ClientConnection,
            "ODict": ODict,
            "ODictCaseless": ODictCaseless,
            "decoded": decoded,
            "ScriptContext": ScriptContext,
            "HDR_FORM_URLENCODED": _FORM,
        },
        "libmproxy.proxy": {
            **programs("ProxyConfig", "ProxyServer", "DummyServer", "Log"),
            "KILL": KILL,
            "ProxyError": ProxyError,
        },
        "libmproxy.encoding": {**netlib.ENCODING},
        "libmproxy.certutils": {"SSLCert": Certificate.bound(Era(era))},
        "netlib.http": {"HttpError": NETLIB_EXCEPTIONS["HttpException"]},
        "netlib.http_status": {**netlib.STATUS},
    }


def _era_b(era: str, _host: ClassicHost | None) -> dict[str, dict[str, Any]]:
    connections = {"ClientConnection": ClientConnection, "ServerConnection": ServerConnection}
    primitives = {"Flow": FLOWS[era], "Error": Error, "KILL": KILL, "LiveConnection": Live}
    return {
        **_shared(era, "libmproxy"),
        **_netlib(era),
        "libmproxy.flow": {**_files(era), "ODict": ODict, "ODictCaseless": ODictCaseless},
        "libmproxy.protocol": {"KILL": KILL},
        "libmproxy.protocol.http": {
            "HTTPRequest": REQUESTS[era],
            "HTTPResponse": RESPONSES[era],
            "HTTPFlow": FLOWS[era],
            "decoded": decoded,
            "CONTENT_MISSING": CONTENT_MISSING[era],
            "HDR_FORM_URLENCODED": _FORM,
            "KILL": KILL,
            "send_connect_request": send_connect_request,
            **programs("HTTPHandler"),
        },
        "libmproxy.protocol.tcp": {"TCPHandler": TCPHandler},
        "libmproxy.protocol.primitives": primitives,
        "libmproxy.proxy": {**programs("ProxyConfig", "ProxyServer"), "ProxyError": ProxyError},
        "libmproxy.proxy.server": {
            **programs("ProxyServer", "DummyServer"),
            "ConnectionHandler": ConnectionHandler,
        },
        "libmproxy.proxy.connection": connections,
        "libmproxy.proxy.primitives": {"ProxyError": ProxyError},
        "libmproxy.proxy.config": {**programs("ProxyConfig")},
        "libmproxy.encoding": {**netlib.ENCODING},
        "netlib.http": {"HttpError": NETLIB_EXCEPTIONS["HttpException"]},
        "netlib.http_cookies": {**netlib.COOKIES},
        "netlib.http_status": {**netlib.STATUS},
    }


def _era_c(era: str, host: ClassicHost | None) -> dict[str, dict[str, Any]]:
    return {
        **_of_package_c(era, "libmproxy", host),
        **_of_package_c(era, "mitmproxy", host),
        **_netlib(era),
        "netlib.http": {
            "Headers": Headers,
            "Request": REQUESTS[era],
            "Response": RESPONSES[era],
            "decoded": decoded,
            "CONTENT_MISSING": CONTENT_MISSING[era],
        },
        "netlib.http.cookies": {**netlib.COOKIES},
        "netlib.http.status_codes": {**netlib.STATUS},
        "netlib.http.headers": {"Headers": Headers},
        "netlib.encoding": {**netlib.ENCODING},
        "netlib.exceptions": {**NETLIB_EXCEPTIONS},
        "netlib.multidict": {"MultiDict": ODict},
    }


def _of_package_c(era: str, package: str, host: ClassicHost | None) -> dict[str, dict[str, Any]]:
    def add(view: Any) -> None:
        if host is None:
            raise RuntimeError("contentviews.add needs a proxy; use context.add_contentview")
        host.add_contentview(view)

    def remove(view: Any) -> None:
        if host is not None:
            host.remove_contentview(view)

    return {
        **_shared(era, package),
        f"{package}.flow": _files(era),
        f"{package}.models": {
            "HTTPFlow": FLOWS[era],
            "HTTPRequest": REQUESTS[era],
            "HTTPResponse": RESPONSES[era],
            "Headers": Headers,
            "decoded": decoded,
            "Flow": FLOWS[era],
            "Error": Error,
            "ClientConnection": ClientConnection,
            "ServerConnection": ServerConnection,
            "CONTENT_MISSING": CONTENT_MISSING[era],
            "make_error_response": make_error_response,
            "make_connect_request": make_connect_request,
            "make_connect_response": make_connect_response,
            "expect_continue_response": ResponseC(b"HTTP/1.1", 100, b"Continue", Headers(), b""),
        },
        f"{package}.exceptions": {**EXCEPTIONS},
        f"{package}.protocol": {**UNTIL_6, "Kill": Kill, "RootContext": RootLayer},
        f"{package}.proxy": {**programs("ProxyConfig", "ProxyServer")},
        f"{package}.proxy.config": {**programs("ProxyConfig")},
        f"{package}.proxy.server": {
            **programs("ProxyServer", "DummyServer"),
            "ConnectionHandler": ConnectionHandler,
        },
        f"{package}.contentviews": {
            "View": contentviews.View,
            "add": add,
            "remove": remove,
            "format_text": contentviews.format_text,
            "format_dict": contentviews.format_dict,
        },
    }
