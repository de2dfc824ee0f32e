"""The modules of mitmproxy 0.18 to 12 (eras D to H), as scripts import them.

A table of names: what each module holds, in which eras it was there, and what took its place. The
classes are the same ones under every name and in every era; what belongs to one script, `ctx`
above all, is made for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import FilterError
from nbproxy.filters import parse as parse_filter
from nbproxy.hooks import HOOKS
from nbproxy.model import url as urls
from nbproxy.model.cookies import CookieAttrs
from nbproxy.model.reasons import REASONS
from nbproxy.scripts import marks, settings
from nbproxy.scripts.compat import (
    codings,
    contentviews,
    dumps,
    flows,
    layers,
    relays,
    strings,
    wsgi,
)
from nbproxy.scripts.compat.connections import ConnectionState, ServerSpec, TlsData
from nbproxy.scripts.compat.dictionaries import (
    Headers,
    ImmutableMultiDict,
    MultiDict,
    MultiDictView,
)
from nbproxy.scripts.compat.exceptions import EXCEPTIONS
from nbproxy.scripts.compat.master import (
    LogApi,
    Master,
    Services,
    addon_name,
    context_module,
)
from nbproxy.scripts.compat.programs import BaseThread, Serializable, programs
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbproxy.model.flow import HTTPFlow

    Members = dict[str, Any]

# -- small classes

ALERT: Final = 21
"""The level between INFO and WARNING."""


class LogEntry:
    """An entry of the log."""

    def __init__(self, msg: object, level: str = "info") -> None:
        self.msg = str(msg)
        self.level = level

    def __repr__(self) -> str:
        return f"LogEntry({self.msg}, {self.level})"


def log_tier(level: str) -> int:
    """The importance of a level; 0 is the highest."""
    return {"error": 0, "warn": 1, "info": 2, "alert": 2, "debug": 3}[level]


class Loader:
    """What `load` gets."""

    def __init__(self, master: Master) -> None:
        self.master = master

    def add_option(
        self,
        name: str,
        typespec: Any,
        default: Any,
        help: str,  # noqa: A002 - mitmproxy's signature
        choices: Any = None,
    ) -> None:
        """Add an option; see `ScriptOptions.add_option`."""
        self.master.options.add_option(name, typespec, default, help, choices)

    def add_command(self, path: str, func: Callable[..., Any]) -> None:
        """Add a command."""
        self.master.commands.add(path, func)


def _parse_server_spec(text: str) -> ServerSpec:
    scheme, host, port, _ = urls.parse(text if "://" in text else f"https://{text}")
    return ServerSpec(scheme, (host, port))


@dataclass
class ServerConnectionHookData:
    """What `server_connect` and its like get since 7."""

    server: Any
    client: Any


class _Typed(str):
    """An argument type of commands that is text."""

    __slots__ = ()
    is_sequence = False


def _types() -> Members:
    names = ["Cmd", "CmdArgs", "Unknown", "Space", "CutSpec", "Marker", "Data", "Choice"]
    made: Members = {
        name: type(name, (_Typed,), {"__doc__": f"{name} of a command."}) for name in names
    }
    made["CutSpec"].is_sequence = True
    made["Path"] = type("Path", (_Typed,), {"__doc__": "A path of a command."})
    made["Choice"] = lambda _command: _Typed
    return made


_TYPES: Final = _types()


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`@command.command("name")`: the function is a command once its addon is loaded."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        given = name or function.__name__.replace("_", ".")
        function.__dict__[settings.MARK] = given
        return function

    return decorate


def argument(*_: Any, **__: Any) -> Callable[[Any], Any]:
    """`@command.argument(...)`: only says more about a parameter's type."""
    return lambda function: function


# -- filters


def _parse(era: Era) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return parse_filter(text or "(", compat=True)  # an empty one is an error too
        except FilterError as error:
            if era >= Era.H:
                problem = error.problem if text else "it is empty"
                raise ValueError(f"Invalid filter expression: {text!r}: {problem}") from None
            return None

    return parse


def match(first: Any, second: Any) -> bool:
    """Whether a flow matches a filter, an expression, or None, which matches all; in any order."""
    condition, flow = (second, first) if isinstance(first, flows.View) else (first, second)
    if isinstance(condition, str):
        try:
            condition = parse_filter(condition, compat=True)
        except FilterError as error:
            raise ValueError(f"Invalid filter expression: {error.problem}") from None
    return condition is None or bool(condition(flows.real(flow)))


# -- the table


def _reply_names() -> Members:
    return {"Reply": flows.Reply, "DummyReply": flows.Reply, "handler": lambda f: f}


def _http(era: Era) -> Members:
    flow, request = flows.Flow.bound(era), flows.Request.bound(era)
    response = flows.Response.bound(era)
    if era <= Era.F:
        return {
            "HTTPFlow": flow,
            "HTTPRequest": request,
            "HTTPResponse": response,
            "make_error_response": flows.make_error_response,
        }
    return {
        "HTTPFlow": flow,
        "Request": request,
        "Response": response,
        "Message": flows.Message,
        "Headers": Headers,
    }


def _connections(s: Services) -> Members:
    return {
        "ClientConnection": flows.Client.bound(s.era),
        "ServerConnection": flows.Server.bound(s.era),
    }


def _multidicts() -> Members:
    names = {"MultiDict": MultiDict, "MultiDictView": MultiDictView}
    return {**names, "ImmutableMultiDict": ImmutableMultiDict, "CookieAttrs": CookieAttrs}


_RELEASE: Final = {Era.D: "0.18", Era.E: "2.0.2", Era.F: "6.0.2", Era.G: "8.1.1", Era.H: "12.2.3"}


def _version(era: Era) -> Members:
    number = _RELEASE.get(era, "0.18")
    numbers = tuple(int(part) for part in number.split("."))
    return {
        "VERSION": number,
        "IVERSION": numbers,
        "MITMPROXY": f"mitmproxy {number}",
        "NAME": "mitmproxy",
    }


def _iterate(flow: Any) -> Any:
    """The events of a flow that is over, with the flow."""
    names = ["requestheaders", "request"]
    if flow.response is not None:
        names += ["responseheaders", "response"]
    if flow.error is not None:
        names.append("error")
    for name in names:
        yield name, flow


def _status_codes() -> Members:
    return {"RESPONSES": dict(REASONS), **{_constant(r): c for c, r in REASONS.items()}}


def _constant(reason: str) -> str:
    return reason.upper().replace(" ", "_").replace("-", "_").replace("'", "")


def _flow_module(s: Services) -> Members:
    if s.era is Era.D:
        return {
            **_io(s),
            **programs("FlowMaster", "State"),
            "Flow": flows.Flow.bound(s.era),
            "Error": flows.Error.bound(s.era),
        }
    return {"Flow": flows.Flow.bound(s.era), "Error": flows.Error.bound(s.era)}


def _io(s: Services) -> Members:
    def show(flow: HTTPFlow) -> Any:
        return flows.view(s.era, flow)

    return {
        "FlowReader": dumps.reader(show),
        "FlowWriter": dumps.FlowWriter,
        "FilteredFlowWriter": dumps.FilteredFlowWriter,
        "FlowReadError": dumps.FlowReadException,
        "read_flows_from_paths": dumps.read_flows_from_paths(show),
    }


def _models(s: Services) -> Members:
    return {
        **_http(Era.D),
        **_connections(s),
        **_io(s),
        "Headers": Headers,
        "Flow": flows.Flow.bound(s.era),
        "Error": flows.Error.bound(s.era),
        **relays.of_tcp(s.era),
        "FLOW_TYPES": {"http": flows.Flow.bound(s.era), "tcp": relays.TCPFlow.bound(s.era)},
        "decoded": _decoded,
    }


class _decoded:  # noqa: N801 - a function to scripts
    """Did nothing any more in 0.18: bodies are decoded anyway."""

    def __init__(self, message: Any) -> None:
        self._message = message

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _contentviews(s: Services) -> Members:
    views = s.contentviews
    return {
        "View": contentviews.View,
        "Contentview": contentviews.Contentview,
        "InteractiveContentview": contentviews.InteractiveContentview,
        "Metadata": contentviews.Metadata,
        "SyntaxHighlight": str,
        "TViewResult": tuple,
        "add": views.add,
        "remove": views.remove,
        "get": views.get,
        "format_text": contentviews.format_text,
        "format_dict": contentviews.format_dict,
        "format_pairs": contentviews.format_pairs,
        "KEY_MAX": contentviews.KEY_MAX,
    }


def _log(_: Services) -> Members:
    return {"LogEntry": LogEntry, "ALERT": ALERT, "log_tier": log_tier}


def _tls(_: Services) -> Members:
    return {
        "ClientHelloData": TlsData,
        "TlsData": TlsData,
        "TlsStartData": TlsData,
        "ClientHello": SimpleNamespace,
    }


def _export(_: Services) -> Members:
    return {"curl_command": _curl, "raw": _raw}


def _curl(flow: Any) -> str:
    from nbproxy.formats import curl  # noqa: PLC0415 - seldom needed

    return curl.curl_command(flows.real(flow))


def _raw(flow: Any) -> bytes:
    own = flows.real(flow)
    parts = []
    request, response = own.request, own.response
    parts.append(f"{request.method} {request.path} {request.http_version}\r\n".encode())
    parts += [bytes(request.headers), b"\r\n", request.content or b""]
    if response is not None:
        line = f"{response.http_version} {response.status_code} {response.reason}\r\n"
        parts += [line.encode("latin-1", "replace"), bytes(response.headers), b"\r\n"]
        parts.append(response.content or b"")
    return b"".join(parts)


@dataclass(frozen=True)
class _Name:
    """A module.

    Attributes:
        eras: The eras that had it.
        members: Makes what is in it.
        instead: What took its place, or what was there before it.
    """

    eras: str
    members: Callable[[Services], Members]
    instead: str = ""


def _fixed(**members: Any) -> Callable[[Services], Members]:
    return lambda _: members


def _just(members: Mapping[str, Any]) -> Callable[[Services], Members]:
    return lambda _: dict(members)


def _script(s: Services) -> Members:
    return {"concurrent": marks.concurrent_of(s.era)}


_DNS: Final = ("DNSFlow", "DNSMessage", "Message", "Question", "ResourceRecord")
_TABLE: Final[dict[str, _Name]] = {
    "mitmproxy": _Name("DEFGH", _fixed()),
    "mitmproxy.ctx": _Name("DEFGH", _fixed()),
    "mitmproxy.version": _Name("DEFGH", lambda s: _version(s.era)),
    "mitmproxy.script": _Name("DEFGH", _script),
    "mitmproxy.exceptions": _Name("DEFGH", _just(EXCEPTIONS)),
    "mitmproxy.flow": _Name("DEFGH", _flow_module),
    "mitmproxy.flowfilter": _Name(
        "DEFGH", lambda s: {"parse": _parse(s.era), "match": match, "TFilter": object}
    ),
    "mitmproxy.contentviews": _Name("DEFGH", _contentviews),
    "mitmproxy.contentviews.base": _Name("FGH", _contentviews),
    "mitmproxy.controller": _Name(
        "DEFG",
        lambda _: {
            **_reply_names(),
            **programs("Master", "Channel"),
            "Log": LogApi,
            "LogEntry": LogEntry,
        },
        "flow.kill(), flow.intercept() and flow.response",
    ),
    "mitmproxy.models": _Name("D", _models, "mitmproxy.http"),
    "mitmproxy.protocol": _Name("D", _just(layers.UNTIL_6), "mitmproxy.proxy.layers"),
    "mitmproxy.http": _Name("EFGH", lambda s: _http(s.era), "mitmproxy.models"),
    "mitmproxy.io": _Name("EFGH", _io, "mitmproxy.flow"),
    "mitmproxy.tcp": _Name("EFGH", lambda s: relays.of_tcp(s.era), "mitmproxy.models"),
    "mitmproxy.websocket": _Name("EFGH", lambda s: relays.of_websocket(s.era)),
    "mitmproxy.log": _Name("EFGH", _log, "ctx.log"),
    "mitmproxy.master": _Name("EFGH", lambda _: programs("Master"), "ctx.master"),
    "mitmproxy.options": _Name("DEFGH", lambda _: programs("Options")),
    "mitmproxy.addonmanager": _Name(
        "EFGH", lambda _: {"Loader": Loader, "AddonManager": object}, "start()"
    ),
    "mitmproxy.certs": _Name(
        "EFGH",
        lambda s: {"SSLCert" if s.era is Era.E else "Cert": flows.Certificate.bound(s.era)},
        "netlib.certutils",
    ),
    "mitmproxy.connections": _Name("EF", _connections, "mitmproxy.connection"),
    "mitmproxy.connection": _Name(
        "GH",
        lambda s: {
            "Client": flows.Client.bound(s.era),
            "Server": flows.Server.bound(s.era),
            "Connection": flows.Connection,
            "ConnectionState": ConnectionState,
            "Address": tuple,
        },
        "mitmproxy.connections",
    ),
    "mitmproxy.command": _Name(
        "FGH", _fixed(command=command, argument=argument), "a function of the script"
    ),
    "mitmproxy.types": _Name("EFGH", _just(_TYPES)),
    "mitmproxy.types.serializable": _Name("E", _fixed(Serializable=Serializable)),
    "mitmproxy.types.basethread": _Name("E", _fixed(BaseThread=BaseThread)),
    "mitmproxy.types.multidict": _Name(
        "E", lambda _: _multidicts(), "mitmproxy.coretypes.multidict"
    ),
    "mitmproxy.coretypes": _Name("FGH", _fixed(), "mitmproxy.types"),
    "mitmproxy.coretypes.multidict": _Name(
        "FGH", lambda _: _multidicts(), "mitmproxy.types.multidict"
    ),
    "mitmproxy.net": _Name("EFGH", _fixed(), "netlib"),
    "mitmproxy.net.http": _Name(
        "EFGH",
        lambda s: {"Headers": Headers} if s.era <= Era.F else {},
        "mitmproxy.http",
    ),
    "mitmproxy.net.http.encoding": _Name("EF", _just(codings.ENCODING), "mitmproxy.net.encoding"),
    "mitmproxy.net.encoding": _Name("GH", _just(codings.ENCODING), "mitmproxy.net.http.encoding"),
    "mitmproxy.io.tnetstring": _Name(
        "FGH", _just(codings.TNETSTRING), "mitmproxy.contrib.tnetstring"
    ),
    "mitmproxy.contrib": _Name("DE", _fixed()),
    "mitmproxy.contrib.tnetstring": _Name(
        "DE", _just(codings.TNETSTRING), "mitmproxy.io.tnetstring"
    ),
    "mitmproxy.net.http.headers": _Name("EFGH", _fixed(Headers=Headers), "mitmproxy.http"),
    "mitmproxy.net.http.cookies": _Name("EFGH", _just(strings.COOKIES), "netlib.http.cookies"),
    "mitmproxy.net.http.status_codes": _Name("EFGH", lambda _: _status_codes()),
    "mitmproxy.net.http.url": _Name("EFGH", _fixed(parse=urls.parse, unparse=urls.unparse)),
    "mitmproxy.net.server_spec": _Name(
        "FGH", _fixed(ServerSpec=ServerSpec, parse=_parse_server_spec), "a tuple"
    ),
    "mitmproxy.utils": _Name("EFGH", _fixed(), "netlib"),
    "mitmproxy.utils.strutils": _Name("EFGH", _just(strings.STRUTILS), "netlib.strutils"),
    "mitmproxy.utils.human": _Name("EFGH", _just(strings.HUMAN), "netlib.human"),
    "mitmproxy.utils.emoji": _Name("GH", _fixed(emoji={}), "text"),
    "mitmproxy.proxy": _Name("DEFGH", lambda _: programs("ProxyServer", "ProxyConfig")),
    "mitmproxy.proxy.server": _Name("DEFGH", lambda _: programs("ProxyServer")),
    "mitmproxy.proxy.protocol": _Name("EF", _just(layers.UNTIL_6), "mitmproxy.proxy.layers"),
    "mitmproxy.proxy.layer": _Name("GH", _just(layers.SINCE_7), "mitmproxy.proxy.protocol"),
    "mitmproxy.proxy.layers": _Name("GH", _just(layers.SINCE_7), "mitmproxy.proxy.protocol"),
    "mitmproxy.proxy.server_hooks": _Name(
        "GH", _fixed(ServerConnectionHookData=ServerConnectionHookData)
    ),
    "mitmproxy.addons": _Name("EFGH", _fixed(), "context.app_registry"),
    "mitmproxy.addons.wsgiapp": _Name(
        "EF", _fixed(WSGIApp=wsgi.WSGIApp), "mitmproxy.addons.asgiapp"
    ),
    "mitmproxy.addons.asgiapp": _Name(
        "FGH", _fixed(WSGIApp=wsgi.WSGIApp, ASGIApp=wsgi.ASGIApp), "mitmproxy.addons.wsgiapp"
    ),
    "mitmproxy.addons.export": _Name("EFGH", _export),
    "mitmproxy.hooks": _Name("GH", _fixed(Hook=object), "functions named like events"),
    "mitmproxy.events": _Name(
        "E", lambda _: {"Events": frozenset(HOOKS), "event_sequence": _iterate}
    ),
    "mitmproxy.eventsequence": _Name(
        "EFGH", lambda _: {"Events": frozenset(HOOKS), "iterate": _iterate}, "mitmproxy.events"
    ),
    "mitmproxy.tls": _Name("GH", _tls, "mitmproxy.proxy.protocol"),
    # nbproxy speaks neither; a script that cares for HTTP as well loads all the same
    "mitmproxy.dns": _Name(
        "GH",
        lambda _: {**programs(*_DNS), "types": SimpleNamespace(), "classes": SimpleNamespace()},
    ),
    "mitmproxy.udp": _Name("H", lambda _: programs("UDPFlow", "UDPMessage")),
    "netlib": _Name("D", _fixed(), "mitmproxy.net"),
    "netlib.strutils": _Name("D", _just(strings.STRUTILS), "mitmproxy.utils.strutils"),
    "netlib.human": _Name("D", _just(strings.HUMAN), "mitmproxy.utils.human"),
    "netlib.utils": _Name("D", _just({**strings.STRUTILS, **strings.HUMAN}), "mitmproxy.utils"),
    "netlib.version": _Name("D", lambda s: _version(s.era), "mitmproxy.version"),
    "netlib.http": _Name("D", _fixed(Headers=Headers, decoded=_decoded), "mitmproxy.net.http"),
    "netlib.http.cookies": _Name("D", _just(strings.COOKIES), "mitmproxy.net.http.cookies"),
    "netlib.http.status_codes": _Name("D", lambda _: _status_codes()),
    "netlib.multidict": _Name("D", lambda _: _multidicts(), "mitmproxy.coretypes.multidict"),
    "netlib.tcp": _Name("D", _fixed(Address=flows.Address), "plain tuples"),
    "netlib.certutils": _Name(
        "D", lambda s: {"SSLCert": flows.Certificate.bound(s.era)}, "mitmproxy.certs"
    ),
    "netlib.encoding": _Name("D", _just(codings.ENCODING), "mitmproxy.net.http.encoding"),
    "netlib.wsgi": _Name("D", _fixed(WSGIAdaptor=wsgi.WSGIAdaptor), "mitmproxy.addons.wsgiapp"),
    "netlib.basethread": _Name("D", _fixed(BaseThread=BaseThread), "mitmproxy.types.basethread"),
    "netlib.exceptions": _Name("D", _just(EXCEPTIONS), "mitmproxy.exceptions"),
}

# Single names that moved: (module, name) -> what to use, for the message.
_MOVED: Final = {
    ("mitmproxy.http", "HTTPResponse"): "mitmproxy.http.Response",
    ("mitmproxy.http", "HTTPRequest"): "mitmproxy.http.Request",
    ("mitmproxy.http", "Response"): "mitmproxy.http.HTTPResponse",
    ("mitmproxy.http", "Request"): "mitmproxy.http.HTTPRequest",
    ("mitmproxy.http", "Headers"): "mitmproxy.net.http.Headers",
    ("mitmproxy.net.http", "Headers"): "mitmproxy.http.Headers",
    ("mitmproxy.flow", "FlowWriter"): "mitmproxy.io.FlowWriter",
    ("mitmproxy.flow", "FlowReader"): "mitmproxy.io.FlowReader",
    ("mitmproxy", "filt"): "mitmproxy.flowfilter",
    ("mitmproxy.certs", "SSLCert"): "mitmproxy.certs.Cert",
}


def modules(services: Services) -> dict[str, Callable[[], ModuleType]]:
    """The modules that a script's era had: dotted name to what makes it."""
    made: dict[str, Callable[[], ModuleType]] = {}
    for name, row in _TABLE.items():
        if services.era.value in row.eras:
            made[name] = _maker(name, row, services)
    made["mitmproxy.ctx"] = lambda: context_module(services)
    return made


def _maker(name: str, row: _Name, services: Services) -> Callable[[], ModuleType]:
    def make() -> ModuleType:
        module = ModuleType(name)
        module.__dict__.update(row.members(services))
        return module

    return make


def missing(era: Era, module: str, attribute: str) -> str:
    """The message about a name that an era did not have: the era, and what there is instead."""
    name = f"{module}.{attribute}" if attribute else module
    top = module.partition(".")[0]
    if top in {"pathod", "libpathod"}:
        return f"{name}: pathod is no part of the scripting API; nbproxy does not have it"
    instead = _MOVED.get((module, attribute), "")
    row = _TABLE.get(name)
    if not instead and row is not None and era.value not in row.eras:
        instead = row.instead
    if not instead and top == "libmproxy":
        instead = "mitmproxy"
    hint = f"; use {instead}" if instead else _near(era, module, attribute)
    return f"{name} is not in {era.label}{hint}"


def _near(era: Era, module: str, attribute: str) -> str:
    if attribute:
        return "; if it was there after all, nbproxy lacks it" if module in _TABLE else ""
    known = sorted(n for n, row in _TABLE.items() if era.value in row.eras and n.count(".") == 1)
    lacks = "; if it was there after all, nbproxy lacks it"
    return f"{lacks}; there are: {', '.join(known)}" if known else lacks


def layer(era: Era, value: Any) -> Any:
    """What `next_layer` is called with when a client has connected, or begins TLS."""

    def show(connection: Any) -> Any:
        return flows.view(era, connection)

    if era >= Era.G:
        return layers.NextLayer(value, show)
    return layers.layer_of(value, era, show, EXCEPTIONS["TlsProtocolException"])


def loader_for(services: Services) -> Loader:
    """What a script's `load` gets."""
    return Loader(Master(services))


__all__ = ["Loader", "LogEntry", "addon_name", "layer", "loader_for", "missing", "modules"]
