"""The eras of the scripting API, and how a script's own is recognised from its source.

| era | releases    | a hook is called with                            |
|-----|-------------|--------------------------------------------------|
| A   | 0.8 - 0.10  | context and object; `start(ctx[, argv])`         |
| B   | 0.11 - 0.13 | context and object; `start(ctx, argv)`           |
| C   | 0.14 - 0.17 | the same; header values are strings, no lists    |
| D   | 0.18        | the object; `start()`, `configure(opts, names)`  |
| E   | 1.0 - 2.0   | as D                                             |
| F   | 3.0 - 6.0   | the object; `load(loader)`, `addons = [...]`     |
| G   | 7.0 - 8.1   | as F, connection hooks renamed                   |
| H   | 9.0 - 12    | as G, the standard `logging` instead of `ctx.log` |

Nothing is executed to find out. Where nothing tells, the newest era with the same number of
parameters is taken.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_RELEASES: Final = {
    "A": "0.8 - 0.10",
    "B": "0.11 - 0.13",
    "C": "0.14 - 0.17",
    "D": "0.18",
    "E": "1.0 - 2.0",
    "F": "3.0 - 6.0",
    "G": "7.0 - 8.1",
    "H": "9.0 - 12",
}


class Era(StrEnum):
    """An era; comparable, older ones are smaller."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"
    G = "G"
    H = "H"

    @property
    def releases(self) -> str:
        """Its releases, such as "0.11 - 0.13"."""
        return _RELEASES[self.value]

    @property
    def label(self) -> str:
        """For messages: "mitmproxy 0.11 - 0.13 (era B)"."""
        return f"mitmproxy {self.releases} (era {self.value})"

    @property
    def has_context(self) -> bool:
        """True if hooks are called with a context object first."""
        return self <= Era.C

    @property
    def has_start(self) -> bool:
        """True if a script begins with `start`; else with `load`."""
        return self <= Era.E


_FIRST: Final = (
    ((9,), Era.H),
    ((7,), Era.G),
    ((3,), Era.F),
    ((1,), Era.E),
    ((0, 18), Era.D),
    ((0, 14), Era.C),
    ((0, 11), Era.B),
    ((0, 0), Era.A),
)


def parse(given: str | float) -> Era:
    """The era that somebody means by a letter ("B") or a release ("0.11", "7", "12.2.3").

    Raises:
        ValueError: It is neither.
    """
    text = str(given).strip().removeprefix("v")
    if text.upper() in _RELEASES:
        return Era(text.upper())
    if re.fullmatch(r"\d+(\.\d+)*", text) is None:
        known = ", ".join(f"{era} ({releases})" for era, releases in _RELEASES.items())
        raise ValueError(f"{given!r} is no era; give a release such as '0.11', or one of {known}")
    release = tuple(int(part) for part in text.split("."))
    return next(era for first, era in _FIRST if release >= first)


# Hooks that tell the number of parameters. `configure` and `start` have rules of their own.
_COUNTED: Final = frozenset(
    (
        *("request", "requestheaders", "response", "responseheaders", "error", "done"),
        *("clientconnect", "clientdisconnect", "serverconnect", "serverdisconnect"),
        *("next_layer", "tcp_message"),
    )
)
_SINCE_G: Final = frozenset(
    (
        *("client_connected", "client_disconnected", "server_connect", "server_connected"),
        *("server_disconnected", "server_connect_error", "http_connect_upstream"),
        *("http_connected", "http_connect_error", "tls_clienthello", "tls_start_client"),
        *("tls_start_server", "tls_established_client", "tls_established_server"),
        *("tls_failed_client", "tls_failed_server", "dns_request", "dns_response"),
        *("socks5_auth", "add_log"),
    )
)


@dataclass
class _Facts:
    """What the source says.

    Attributes:
        modules: All imported modules, dotted, and `module.name` for each imported name.
        hooks: Number of positional parameters of functions with hooks' names, module level.
        methods: The same of methods, without `self`.
        names: Names bound at module level.
        attributes: All attributes read or written anywhere, as text after the last dot.
        calls: Attributes that are called.
        generators: Functions that go through all chunks of a stream, as was the way until 6.
        listed: True if headers are handled as lists: `headers["x"] = [...]`.
        texted: True if they are handled as text: `headers["x"] = "..."`.
        dotted: Chains such as "flow.request.reply" and "ctx.log".
        parses_empty: True if a filter is made of an option that is empty by default.
    """

    modules: set[str] = field(default_factory=set)
    hooks: dict[str, int] = field(default_factory=dict)
    methods: dict[str, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    dotted: set[str] = field(default_factory=set)
    generators: set[str] = field(default_factory=set)
    listed: bool = False
    texted: bool = False
    parses_empty: bool = False

    def imports(self, *modules: str) -> bool:
        """Whether one of these modules, or something below it, is imported."""
        return any(
            name == module or name.startswith(module + ".")
            for name in self.modules
            for module in modules
        )

    def has(self, *chains: str) -> bool:
        """Whether one of these chains of attributes occurs, such as ".request.reply"."""
        return any(dotted.endswith(chain) for dotted in self.dotted for chain in chains)


def recognise(tree: ast.Module) -> Era:
    """The era that a module was written for."""
    facts = _read(tree)
    counts = [n for name, n in facts.hooks.items() if name in _COUNTED and name != "done"]
    with_context = (
        any(n >= 2 for n in counts)
        or facts.hooks.get("start", 0) > 0
        or (not counts and facts.hooks.get("done", 0) > 0)
    )
    if facts.imports("libmproxy") or with_context:
        return _with_context(facts)
    return _without_context(facts)


def _with_context(facts: _Facts) -> Era:
    if facts.imports("libmproxy.flow.Response", "libmproxy.flow.Request", "libmproxy.flow.decoded"):
        return Era.A
    if facts.imports("libmproxy.models", "libmproxy.exceptions", "mitmproxy", "netlib.http"):
        return Era.C
    if facts.imports("libmproxy.protocol", "libmproxy.proxy", "netlib.odict"):
        old = facts.has(".request.reply", ".reply._ack") and not facts.has("flow.reply")
        return Era.A if old else Era.B
    if facts.hooks.get("start") == 1 or facts.has(".request.reply", "._ack", ".get_url"):
        return Era.A
    if {"next_layer", "tcp_message", "serverdisconnect"} & set(facts.hooks):
        return Era.C
    if _is_listed(facts):
        return Era.B
    return Era.C


def _is_listed(facts: _Facts) -> bool:
    """Whether headers are lists: hints of eras A and B against those of C."""
    before = {"get_first", "in_any", "httpversion", "update_host_header", "get_header_size"}
    before |= {
        "set_form_urlencoded",
        "set_query",
        "get_query",
        "get_form_urlencoded",
        "change_server",
    }
    after = {"status_code", "get_all", "set_all", "urlencoded_form", "http_version"}
    hints = facts.listed * 3 - facts.texted * 3
    hints += len(before & facts.attributes) - len(after & facts.attributes)
    hints += facts.has("response.code", "response.msg") + ("pretty_host" in facts.calls)
    hints -= facts.has("request.query", "request.cookies")
    return hints > 0


def _without_context(facts: _Facts) -> Era:
    defined = set(facts.hooks) | set(facts.methods)
    counts = {**facts.methods, **facts.hooks}
    modern = facts.imports("logging") and facts.imports("mitmproxy")
    # with six a script ran on both Pythons, as 0.18 did
    if facts.imports("mitmproxy.models", "netlib", "mitmproxy.filt", "mitmproxy.protocol", "six"):
        return Era.D
    # a master's methods; what 1.0 and later have by this name is a module
    methods = {"master.duplicate_flow", "master.replay_request"}
    if facts.imports("mitmproxy.master") and methods & facts.dotted:
        return Era.D
    if "start" in facts.hooks or counts.get("configure") == 2:
        old = facts.imports("mitmproxy.flow.FlowWriter", "mitmproxy.flow.FlowReader")
        return Era.D if old or facts.has("ctx.master.apps") else Era.E
    if facts.imports(*_GONE_IN_7):
        return Era.F
    if facts.imports("mitmproxy.dns", "mitmproxy.udp", "mitmproxy.log.ALERT") or modern:
        return Era.H
    since_g = (
        *("mitmproxy.connection", "mitmproxy.tls", "mitmproxy.hooks", "mitmproxy.utils.emoji"),
        *("mitmproxy.http.Response", "mitmproxy.http.Request", "mitmproxy.http.Headers"),
    )
    if (
        facts.imports(*since_g)
        or defined & _SINCE_G
        or facts.has("http.Response", "flow.websocket")
    ):
        return Era.G if facts.has("ctx.log") else Era.H
    if _is_before_7(facts, defined):
        return Era.F
    if facts.has("ctx.log"):
        return Era.G
    return Era.F if facts.parses_empty else Era.H


_GONE_IN_7: Final = (
    *("mitmproxy.connections", "mitmproxy.proxy.protocol", "mitmproxy.addons.wsgiapp"),
    *("mitmproxy.net.http.Headers", "mitmproxy.net.http.encoding"),
)


def _is_before_7(facts: _Facts, defined: set[str]) -> bool:
    hooks = {"clientconnect", "clientdisconnect", "serverconnect", "serverdisconnect", "tick"}
    chains = ("http.HTTPResponse", "http.HTTPRequest", ".request.is_replay", "flow.reply", ".live")
    streams = facts.has(".response.stream", ".request.stream") and facts.generators
    return (
        bool(streams)
        or _has_websocket_flows(facts, defined)
        or facts.imports("mitmproxy.http.HTTPResponse", "mitmproxy.http.HTTPRequest")
        or bool(defined & hooks)
        or facts.has(*chains)
        or facts.has(".reply.send", ".reply.kill", "master.replay_request")
    )


def _has_websocket_flows(facts: _Facts, defined: set[str]) -> bool:
    """Whether WebSockets are flows of their own, as they were until 6."""
    if {"WebSocketFlow", "handshake_flow", "inject_message"} & facts.attributes:
        return True
    if facts.imports("mitmproxy.websocket.WebSocketFlow"):
        return True
    if {"websocket_handshake", "websocket_error"} & defined:
        return True
    hooks = {"websocket_start", "websocket_message", "websocket_end"} & defined
    return bool(hooks) and "messages" in facts.attributes and not facts.has(".websocket")


def _read(tree: ast.Module) -> _Facts:
    facts = _Facts()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            facts.names.add(node.name)
            if node.args.args and node.args.args[0].arg == "self":
                continue  # a method that has lost its class: it never worked
            facts.hooks[node.name] = _parameters(node)
            if _is_generator(node):
                facts.generators.add(node.name)
            facts.names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            facts.names.add(node.name)
            for each in node.body:
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    facts.methods[each.name] = max(0, _parameters(each) - 1)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            facts.names.update(each.id for each in targets if isinstance(each, ast.Name))
    for each_node in ast.walk(tree):
        _note(each_node, facts)
    facts.parses_empty = "flowfilter.parse" in facts.dotted and _parses_empty(tree)
    return facts


def _parses_empty(tree: ast.Module) -> bool:
    """Whether an option that is empty by default is made a filter without a look at it.

    Until 7 that was None, which `flowfilter.match` took for all flows; since 8 it is a ValueError.
    """
    empty: set[str] = set()
    parsed: set[str] = set()
    looked_at: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            chain = _chain(node.func)
            if chain.endswith(".add_option"):
                empty |= _empty_option(node)
            elif chain.endswith("flowfilter.parse"):
                parsed.update(*(_options(each) for each in node.args[:1]))
        elif isinstance(node, (ast.If, ast.IfExp)):
            looked_at |= _options(node.test)
        elif isinstance(node, ast.BoolOp):
            looked_at |= _options(node)
        elif isinstance(node, (ast.Try, ast.With)):  # the error is caught
            looked_at |= {name for each in node.body for name in _options(each)}
    return bool((empty & parsed) - looked_at)


def _empty_option(call: ast.Call) -> set[str]:
    """The name of an option that is added, if it is "" by default."""
    names = ("name", "typespec", "default")
    given: dict[str | None, ast.expr] = dict(zip(names, call.args, strict=False))
    given |= {keyword.arg: keyword.value for keyword in call.keywords}
    name, default = given.get("name"), given.get("default")
    if not isinstance(name, ast.Constant) or not isinstance(default, ast.Constant):
        return set()
    return {str(name.value)} if default.value == "" else set()


def _options(node: ast.AST) -> set[str]:
    """The names of options that are read in a part of a script."""
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and _chain(each.value).endswith("options")
    }


def _is_generator(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it yields something for each item of its one parameter."""
    if len(function.args.args) != 1:
        return False
    name = function.args.args[0].arg
    inside = list(ast.walk(function))
    loops = [node for node in inside if isinstance(node, ast.For)]
    over = any(isinstance(loop.iter, ast.Name) and loop.iter.id == name for loop in loops)
    return over and any(isinstance(node, ast.Yield) for node in inside)


def _note(node: ast.AST, facts: _Facts) -> None:
    if isinstance(node, ast.Import):
        facts.modules.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        facts.modules.add(node.module)
        facts.modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        facts.attributes.add(node.attr)
        facts.dotted.add(_chain(node))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        facts.calls.add(node.func.attr)
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            _note_value(target, node.value, facts)
    elif isinstance(node, ast.Compare):
        for value in node.comparators:
            _note_value(node.left, value, facts)


def _note_value(target: ast.expr, value: ast.expr, facts: _Facts) -> None:
    """Whether `headers[...]` is given, or compared with, a list or text."""
    if isinstance(target, ast.Subscript) and _chain(target.value).endswith("headers"):
        facts.listed |= isinstance(value, (ast.List, ast.ListComp))
        facts.texted |= isinstance(value, ast.Constant) and isinstance(value.value, (str, bytes))
        facts.texted |= isinstance(value, ast.JoinedStr)


def _chain(node: ast.expr) -> str:
    """The dotted text of a chain of attributes, what it begins with left out if complicated."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(parts))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len(node.args.posonlyargs) + len(node.args.args)
