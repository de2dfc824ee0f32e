"""Every option once: name, type, default, what it does.

Names are mitmproxy's where it has the thing. `Options` checks a value where it is set, so that the
error points at the user's line; the command line, the magics, `Proxy(...)` and the documentation
all read this one table.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        name: Its name.
        type: "bool", "int", "float", "str", "size" (bytes; "1m", "64k" are taken), "optional str",
            "list" (of str; one string stands for a list of one), or "choice".
        default: Value if nobody sets it.
        help: One sentence.
        choices: For "choice": the allowed values.
        fixed: True if it takes effect only before the proxy starts.
    """

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    fixed: bool = False


OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("listen_host", "str", "127.0.0.1", "Address to listen on.", fixed=True),
        Option(
            "listen_port",
            "optional int",
            None,
            "Port to listen on; 0 picks a free one; by default 8080 or the next free one.",
            fixed=True,
        ),
        Option("mode", "choice", "regular", "Proxy mode.", ("regular",), fixed=True),
        Option(
            "confdir",
            "optional str",
            None,
            "Folder of the CA; the default is the user's data folder.",
            fixed=True,
        ),
        Option(
            "proxyauth",
            "optional str",
            None,
            'Credentials that clients must give, as "user:password".',
        ),
        Option("ssl_insecure", "bool", False, "Do not verify the certificates of servers."),
        Option(
            "ssl_verify_upstream_trusted_ca",
            "optional str",
            None,
            "PEM file of CA certificates to trust for servers, instead of the system's.",
        ),
        Option(
            "upstream_cert",
            "bool",
            True,
            "Connect to the server first and put its certificate's names into ours.",
        ),
        Option(
            "connection_strategy",
            "choice",
            "eager",
            "When to connect to a tunnel's server: before the client's handshake, or on the first "
            "request.",
            ("eager", "lazy"),
        ),
        Option(
            "ignore_hosts",
            "list",
            (),
            "Regular expressions over host:port; TLS to these passes through untouched.",
        ),
        Option(
            "allow_hosts",
            "list",
            (),
            "Regular expressions over host:port; TLS to all others passes through untouched.",
        ),
        Option(
            "stream_large_bodies",
            "size",
            5 * 2**20,
            "Bodies larger than this are passed on as they come (and recorded all the same); "
            "handlers see smaller ones whole.",
        ),
        Option(
            "body_memory_limit",
            "size",
            256 * 2**10,
            "Recorded bodies larger than this are written to disk while they come.",
        ),
        Option(
            "capture",
            "optional str",
            None,
            "File to record to, and to keep; by default a private one that goes with the proxy.",
        ),
        Option(
            "capture_dir",
            "optional str",
            None,
            "Folder of private captures; the default is in the user's state folder.",
            fixed=True,
        ),
        Option("max_flows", "int", 0, "Keep so many flows, the newest; 0 keeps all."),
        Option(
            "max_bytes",
            "size",
            0,
            "Keep so many bytes of bodies, those of the newest flows; 0 keeps all.",
        ),
        Option(
            "max_age",
            "float",
            0.0,
            "Keep flows that began in the last so many seconds; 0 keeps all.",
        ),
        Option(
            "message_memory_limit",
            "size",
            8 * 2**20,
            "Messages of one WebSocket or TCP stream that are kept; of more than that the newest.",
        ),
        Option(
            "dtype_backend",
            "choice",
            "default",
            "Dtypes of frames: pandas' own, those in which all may be missing, or Arrow's.",
            ("default", "numpy_nullable", "pyarrow"),
        ),
        Option("http_max_head", "size", 256 * 2**10, "Largest head of a message, in bytes."),
        Option("http_max_fields", "int", 1000, "Most fields in a head or a trailer section."),
        Option("max_connections", "int", 1000, "Most client connections at a time."),
        Option("connect_timeout", "float", 10.0, "Seconds to wait for a server's TCP."),
        Option("tls_timeout", "float", 10.0, "Seconds to wait for a TLS handshake."),
        Option("idle_timeout", "float", 60.0, "Seconds a client may be silent between requests."),
        Option("head_timeout", "float", 30.0, "Seconds a head may take once it has begun."),
        Option("body_timeout", "float", 120.0, "Seconds a body may be silent, either side."),
        Option(
            "response_timeout",
            "float",
            600.0,
            "Seconds to wait for a server to begin its response; long, since slow answers are "
            "what people come to look at.",
        ),
        Option(
            "intercept_timeout",
            "float",
            60.0,
            "Seconds a flow may be held; then it goes on unchanged.",
        ),
        Option(
            "restrict_targets",
            "bool",
            False,
            "Refuse targets on loopback and link-local addresses; always on when listening beyond "
            "loopback.",
        ),
        Option("pool_idle_timeout", "float", 55.0, "Seconds an unused connection is kept."),
        Option("pool_size", "int", 64, "Most unused connections kept for one server."),
        Option(
            "hint_slow_handlers",
            "float",
            0.1,
            "A handler that takes longer than this many seconds is pointed out once; 0: never.",
        ),
        Option(
            "concurrent_limit",
            "int",
            32,
            "Most handlers marked as concurrent that run at a time; more wait.",
            fixed=True,
        ),
        Option(
            "onboarding",
            "bool",
            True,
            "Answer http://mitm.it/ with a page about the CA.",
            fixed=True,
        ),
        Option(
            "onboarding_host",
            "str",
            "mitm.it",
            "Name under which that page answers.",
            fixed=True,
        ),
        Option(
            "map_local",
            "list",
            (),
            "Answer requests with files: |url-regex|path or |filter|url-regex|path.",
        ),
        Option(
            "map_remote",
            "list",
            (),
            "Send requests elsewhere: |url-regex|replacement or |filter|url-regex|replacement.",
        ),
        Option(
            "modify_headers",
            "list",
            (),
            "Set headers, or remove them: /name/value or /filter/name/value; @path as value is a "
            "file that has it.",
        ),
        Option(
            "modify_body",
            "list",
            (),
            "Replace what bodies have: /regex/replacement or /filter/regex/replacement; @path as "
            "replacement is a file that has it.",
        ),
        Option(
            "block_list",
            "list",
            (),
            "Answer requests with an error: :filter:status, where 444 hangs up.",
        ),
    )
}


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "yes": True, "on": True, "1": True}
    known |= {"false": False, "no": False, "off": False, "0": False}
    return known[str(value).strip().lower()]


def _to_size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        match = re.fullmatch(r"\s*(\d+)\s*([bkmg]?)b?\s*", str(value).lower())
        if match is None:
            raise ValueError(value)
        number = int(match[1]) * _UNITS[match[2]]
    if number < 0:
        raise ValueError(value)
    return number


def _to_number(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(value)  # noqa: TRY004 - one kind of error, reworded by the caller
        number = kind(value)
        whole = not isinstance(value, float) or number == value
        if not (number >= 0 and whole):  # and not a NaN
            raise ValueError(value)
        return number

    return convert


def _to_str(value: Any) -> str:
    if not isinstance(value, str) and not hasattr(value, "__fspath__"):
        raise ValueError(value)
    return str(value)


def _to_optional(value: Any) -> str | None:
    return None if value in {None, ""} else _to_str(value)


def _to_optional_int(value: Any) -> int | None:
    return None if value in {None, "", "none"} else int(_to_number(int)(value))


def _to_list(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(_to_str(item) for item in value)


_CONVERT: dict[str, tuple[Callable[[Any], Any], str]] = {
    "bool": (_to_bool, "true or false"),
    "int": (_to_number(int), "a whole number, 0 or more"),
    "float": (_to_number(float), "a number of seconds, 0 or more"),
    "size": (_to_size, 'a number of bytes, such as 65536, "64k" or "5m"'),
    "str": (_to_str, "text"),
    "optional int": (_to_optional_int, "a whole number, 0 or more, or none"),
    "optional str": (_to_optional, "text, or none"),
    "list": (_to_list, "a list of texts"),
    "choice": (_to_str, "one of the choices"),
}


def check(name: str, value: Any) -> Any:
    """The value an option takes, converted to its type.

    Args:
        name: Its name.
        value: The value, of its type or as text from a command line.

    Raises:
        ConfigError: No such option, or not such a value; the message says what would do.
    """
    option = OPTIONS.get(name)
    if option is None:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(OPTIONS)}"
        raise ConfigError(f"there is no option {name!r}; {hint}")
    convert, wanted = _CONVERT[option.type]
    try:
        result = convert(value)
    except (ValueError, KeyError, TypeError):
        shown = "…" if name == "proxyauth" else repr(value)  # it may be the password
        raise ConfigError(f"{name} = {shown}: it takes {wanted}") from None
    if option.choices and result not in option.choices:
        raise ConfigError(f"{name} = {value!r}: it takes {' or '.join(option.choices)}")
    if name == "listen_port" and (result or 0) > 65535:
        raise ConfigError(f"{name} = {value!r}: a port is 0 to 65535")
    if name in {"ignore_hosts", "allow_hosts"}:
        for pattern in result:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(
                    f"{name}: {pattern!r} is no regular expression: {error}"
                ) from None
    if name == "proxyauth" and result is not None and ":" not in result:
        raise ConfigError('proxyauth: it takes "user:password"')
    return result


class Options:
    """The options of one proxy: attributes by the names of `OPTIONS`.

    Setting one checks it, and tells those who asked with `on_change`.

    Args:
        **values: Options by name; the others have their defaults.

    Raises:
        ConfigError: An unknown name, or a value that does not fit.
    """

    _listeners: list[Callable[[str, Any], None]]

    def __init__(self, **values: Any) -> None:
        # plain attributes, since exchanges read them all the time
        self.__dict__.update({name: option.default for name, option in OPTIONS.items()})
        self.__dict__["_listeners"] = []
        for name, value in values.items():
            self.__dict__[name] = check(name, value)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no option {name!r}")  # the others are plain attributes

    def __setattr__(self, name: str, value: Any) -> None:
        __tracebackhide__ = True  # IPython then shows the user's line, not ours
        before = self.__dict__.get(name)
        try:
            self.__dict__[name] = checked = check(name, value)
        except ConfigError as error:
            raise error.with_traceback(None) from None
        try:
            for listener in self._listeners:
                listener(name, checked)
        except BaseException:  # it cannot be so, as a capture in a folder that is not there
            self.__dict__[name] = before
            raise

    def __dir__(self) -> list[str]:
        return sorted({*OPTIONS, *super().__dir__()})

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, self.__dict__[name]) for name in OPTIONS)

    def __repr__(self) -> str:
        changed = {n: v for n, v in self if v != OPTIONS[n].default and n != "proxyauth"}
        return f"<Options {' '.join(f'{n}={v!r}' for n, v in changed.items()) or 'all default'}>"

    def on_change(self, listener: Callable[[str, Any], None]) -> None:
        """Call `listener(name, value)` after each change, in the thread that makes it."""
        self._listeners.append(listener)
