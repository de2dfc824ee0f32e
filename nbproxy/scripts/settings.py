"""Options and commands that scripts add, beside the proxy's own.

A value that is given for an option which no script has added yet is kept, and applied when one
does. A script may veto a change by raising `OptionsError` in `configure`.
"""

from __future__ import annotations

import inspect
import shlex
import types
import typing
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import ConfigError, NbproxyError
from nbproxy.filters import parse as parse_filter
from nbproxy.options import OPTIONS
from nbproxy.scripts.compat.flows import Flow, real, view
from nbproxy.scripts.eras import Era

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.options import Options

# What scripts ask for and the proxy has not, with the value mitmproxy has by default.
_FOREIGN: Final[Mapping[str, Any]] = {
    "anticache": False,
    "anticomp": False,
    "block_global": True,
    "body_size_limit": None,
    "http2": True,
    "intercept": None,
    "keep_host_header": False,
    "rfile": None,
    "save_stream_file": None,
    "scripts": (),
    "server": True,
    "showhost": False,
    "showhostname": False,
    "tcp_hosts": (),
    "termlog_verbosity": "info",
    "dumper_default_contentview": "auto",
    "dumper_filter": None,
    "flow_detail": 1,
    "upstream_auth": None,
    "validate_inbound_headers": True,
    "view_filter": None,
    "websocket": True,
}


class OptionsError(Exception):
    """An option cannot have this value."""


class CommandError(Exception):
    """A command cannot be run."""


@dataclass
class Added:
    """An option that a script added.

    Attributes:
        name: Its name.
        typespec: bool, int, str, an optional one of these, or a sequence of str.
        default: Its value if nobody sets it.
        help: What it is.
        choices: The values it takes; None for any.
        value: Its value.
    """

    name: str
    typespec: Any
    default: Any
    help: str
    choices: Sequence[str] | None
    value: Any

    def convert(self, value: Any) -> Any:
        """A value of its type; text is parsed.

        Raises:
            OptionsError: It does not fit.
        """
        try:
            converted = _convert(self.typespec, value)
        except (ValueError, TypeError, KeyError):
            wanted = getattr(self.typespec, "__name__", str(self.typespec))
            raise OptionsError(f"{self.name} = {value!r}: it takes {wanted}") from None
        if self.choices is not None and converted not in self.choices:
            raise OptionsError(f"{self.name} = {value!r}: it takes {' or '.join(self.choices)}")
        return converted


def _convert(typespec: Any, value: Any) -> Any:
    origin, args = typing.get_origin(typespec), typing.get_args(typespec)
    if origin in {typing.Union, types.UnionType}:
        if value is None or value == "":
            return None
        (inner,) = (arg for arg in args if arg is not type(None))
        return _convert(inner, value)
    if origin in {AbstractSequence, list, tuple}:
        return [value] if isinstance(value, str) else [str(each) for each in value]
    if typespec is bool and isinstance(value, str):
        return {"true": True, "false": False, "toggle": True, "": True}[value.lower()]
    if typespec is int and isinstance(value, str):
        return int(value)
    if not isinstance(value, typespec) or (typespec is int and isinstance(value, bool)):
        raise TypeError(value)
    return value


class ScriptOptions:
    """`ctx.options`: the proxy's options and those that scripts have added."""

    def __init__(self, proxy: Options, changed: Callable[[set[str]], None]) -> None:
        self.__dict__.update(_proxy=proxy, _added={}, _deferred={}, _changed=changed)
        self.__dict__["assigning"] = False  # true while `update` changes the proxy's options

    def __getattr__(self, name: str) -> Any:
        added: dict[str, Added] = self.__dict__["_added"]
        if name in added:
            return added[name].value
        if name in OPTIONS:
            return getattr(self.__dict__["_proxy"], name)
        if name in _FOREIGN:
            return _FOREIGN[name]
        raise AttributeError(f"there is no option {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.update(**{name: value})

    def __contains__(self, name: str) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __dir__(self) -> list[str]:
        return [*self.keys(), "add_option", "update", "keys", "items", "set"]

    def keys(self) -> list[str]:
        """The names of all options."""
        return [*OPTIONS, *(name for name in _FOREIGN if name not in OPTIONS), *self._added]

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and value."""
        return [(name, getattr(self, name)) for name in self.keys()]

    def add_option(
        self,
        name: str,
        typespec: Any,
        default: Any,
        help: str,  # noqa: A002 - mitmproxy's signature
        choices: Sequence[str] | None = None,
    ) -> None:
        """Add an option; one of that name keeps its value if it has the same type."""
        if name in OPTIONS:
            return
        before = self._added.get(name)
        option = Added(name, typespec, default, help, choices, default)
        if before is not None and before.typespec == typespec:
            option.value = before.value
        if name in self._deferred:
            option.value = option.convert(self._deferred.pop(name))
        self._added[name] = option

    def update(self, **values: Any) -> None:
        """Change options; all of them or, if somebody objects, none.

        Raises:
            OptionsError: A value does not fit, or a script objects.
            KeyError: There is no such option.
        """
        unknown = [name for name in values if name not in self]
        if unknown:
            raise KeyError(f"there is no option {', '.join(unknown)}")
        old = {name: getattr(self, name) for name in values}
        try:
            self._assign(values)
            self._changed(set(values))
        except OptionsError:
            self._assign(old)
            raise

    def _assign(self, values: Mapping[str, Any]) -> None:
        converted = {
            name: self._added[name].convert(value)
            for name, value in values.items()
            if name in self._added
        }
        self.__dict__["assigning"] = True
        try:
            for name, value in values.items():
                if name in converted:
                    self._added[name].value = converted[name]
                elif name in OPTIONS:
                    setattr(self._proxy, name, value)
        except ConfigError as error:
            raise OptionsError(str(error)) from None
        finally:
            self.__dict__["assigning"] = False

    def set(self, *assignments: str, defer: bool = True) -> None:
        """Set options as `--set name=value` does.

        Raises:
            OptionsError: A value does not fit, or without `defer` an option is unknown.
        """
        for text in assignments:
            name, _, value = text.partition("=")
            if name in self:
                self.update(**{name: value})
            elif defer:
                self._deferred[name] = value
            else:
                raise OptionsError(f"there is no option {name!r}")

    @property
    def deferred(self) -> list[str]:
        """Names of options for which there is a value, but which no script has added yet."""
        return list(self._deferred)

    def __repr__(self) -> str:
        added = " ".join(f"{name}={option.value!r}" for name, option in self._added.items())
        return f"<Options of scripts: {added or 'none added'}>"


MARK: Final = "command_name"


class Commands:
    """`ctx.master.commands`: by dotted name; arguments from text by the function's annotations."""

    def __init__(self, flows: Callable[[], Sequence[HTTPFlow]]) -> None:
        self._flows = flows
        self.commands: dict[str, Callable[..., Any]] = {}

    def add(self, name: str, function: Callable[..., Any]) -> None:
        """Make a command known; one of that name is replaced."""
        self.commands[name] = function

    def collect(self, addon: object) -> None:
        """Add all functions of an addon that bear the decorator's mark."""
        for name, function in _marked(addon):
            self.add(name, function)

    def call(self, name: str, *args: Any) -> Any:
        """Call a command with values.

        Raises:
            CommandError: There is none of that name.
        """
        return self._get(name)(*args)

    def call_strings(self, name: str, args: Sequence[str]) -> Any:
        """Call a command with text; a filter stands for flows.

        Raises:
            CommandError: There is none of that name, or an argument does not fit.
        """
        function = self._get(name)
        try:
            bound = inspect.signature(function, eval_str=True)
        except NameError:
            bound = inspect.signature(function)
        parameters = [p for p in bound.parameters.values() if p.kind is not p.KEYWORD_ONLY]
        values: list[Any] = []
        for index, text in enumerate(args):
            if index < len(parameters):
                parameter = parameters[index]
            elif parameters and parameters[-1].kind is inspect.Parameter.VAR_POSITIONAL:
                parameter = parameters[-1]
            else:
                raise CommandError(f"{name} takes {len(parameters)} arguments, not {len(args)}")
            values.append(self._value(parameter.annotation, text))
        return function(*values)

    def execute(self, line: str) -> Any:
        """Run a command line, such as `view.flows.duplicate "~d example.org"`."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise CommandError(f"{error}: {line}") from None
        if not words:
            raise CommandError("the command is empty")
        return self.call_strings(words[0], words[1:])

    def _get(self, name: str) -> Callable[..., Any]:
        function = self.commands.get(name)
        if function is None:
            known = ", ".join(sorted(self.commands)) or "none"
            raise CommandError(f"there is no command {name!r}; there are: {known}")
        return function

    def _value(self, annotation: Any, text: str) -> Any:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin in {AbstractSequence, list, tuple} and args and _is_flow(args[0]):
            return self._matching(text)
        if _is_flow(annotation):
            found = self._matching(text)
            if len(found) != 1:
                raise CommandError(f"{text!r} must mean one flow, it means {len(found)}")
            return found[0]
        if origin in {AbstractSequence, list, tuple} or getattr(annotation, "is_sequence", False):
            return [each.strip() for each in text.split(",")]
        try:
            if annotation is bool:
                return {"true": True, "false": False}[text.lower()]
            if annotation in {int, float}:
                return annotation(text)
        except (ValueError, KeyError):
            raise CommandError(f"{text!r} is no {annotation.__name__}") from None
        return text

    def _matching(self, text: str) -> list[Any]:
        flows = list(self._flows())
        if text in {"@focus", "@marked"}:
            flows = flows[-1:] if text == "@focus" else [f for f in flows if f.marked]
        elif text not in {"@all", "@shown", "@unmarked"}:
            try:
                condition = parse_filter(text, compat=True)
            except NbproxyError as error:
                raise CommandError(str(error)) from None
            flows = [flow for flow in flows if condition(flow)]
        return [view(Era.H, flow) for flow in flows]


def has_commands(addon: object) -> bool:
    """Whether an addon has functions that bear the mark of `command`'s decorator."""
    return any(True for _ in _marked(addon))


def _marked(addon: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    names = dir(addon) if not isinstance(addon, types.ModuleType) else vars(addon)
    for name in list(names):
        if not name.startswith("__"):
            function = getattr(addon, name, None)
            mark = getattr(function, "__dict__", {}).get(MARK)
            if mark is not None and callable(function):
                yield mark, function


def _is_flow(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Flow)


def builtin_commands(
    add: Callable[[HTTPFlow], None],
    replay: Callable[[Any], None],
    warn: Callable[[str], object],
) -> Commands:
    """Commands that mitmproxy itself has; `flows` is to be set by whoever asks."""
    commands = Commands(lambda: ())
    _add_injecting(commands, warn)

    def duplicate(flows: AbstractSequence[Flow]) -> None:
        for flow in flows:
            add(real(flow).copy())

    def add_flows(flows: AbstractSequence[Flow]) -> None:
        for flow in flows:
            add(real(flow))

    def replay_client(flows: AbstractSequence[Flow]) -> None:
        for flow in flows:
            replay(real(flow))

    def mark(flows: AbstractSequence[Flow], marker: str) -> None:
        for flow in flows:
            real(flow).marked = marker

    def kill(flows: AbstractSequence[Flow]) -> None:
        for flow in map(real, flows):
            if flow.killable:
                flow.kill()

    def resume(flows: AbstractSequence[Flow]) -> None:
        for flow in flows:
            real(flow).resume()

    commands.add("view.flows.duplicate", duplicate)
    commands.add("view.flows.add", add_flows)
    commands.add("replay.client", replay_client)
    commands.add("flow.mark", mark)
    commands.add("flow.kill", kill)
    commands.add("flow.resume", resume)
    return commands


def _add_injecting(commands: Commands, warn: Callable[[str], object]) -> None:
    """Commands that send messages of a script's own."""

    def inject(what: Any, to_client: bool, message: Any, **more: Any) -> None:
        try:
            what.inject(to_client, message, **more)
        except (AttributeError, ValueError) as error:
            warn(f"cannot inject a message: {error}")

    def inject_websocket(flow: Flow, to_client: bool, message: Any, is_text: bool = True) -> None:
        inject(getattr(real(flow), "websocket", None), to_client, message, is_text=is_text)

    def inject_tcp(flow: Flow, to_client: bool, message: Any) -> None:
        inject(real(flow), to_client, message.encode() if isinstance(message, str) else message)

    commands.add("inject.websocket", inject_websocket)
    commands.add("inject.tcp", inject_tcp)
