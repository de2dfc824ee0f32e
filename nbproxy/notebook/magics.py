"""`%nbproxy`: one line magic with verbs.

Each verb stands once in `VERBS`, with its arguments as data; parsing, help, completion and the
complaint about a wrong word all derive from that. `add_verb` takes more of them.
"""

from __future__ import annotations

import argparse
import difflib
import io
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from nbproxy.capture.bundle import files_for
from nbproxy.capture.environment import exports
from nbproxy.capture.process import SURROUNDINGS
from nbproxy.errors import NbproxyError
from nbproxy.notebook import card, completion
from nbproxy.notebook.state import LOOPS, Session, option_name
from nbproxy.options import OPTIONS, check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.proxy import Proxy

_HELP = ("-h", "--help")


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a verb.

    Attributes:
        name: "--port" for an option, "what" for a positional.
        help: What it is, for people.
        metavar: How its value is called in the help.
        many: Whether it may stand more than once; its value is then a list.
        optional: For positionals: whether it may be left out.
        rest: Whether it is all that follows, as it stands, without quoting rules. It is the last;
            those before it are positionals of one word each.
        choices: The words it takes; empty if not limited.
        flag: For options: whether it takes no value.
        convert: From the word to the value; its ValueError becomes the user's.
        complete: From a fragment to what may be meant; None where there is nothing to say.
    """

    name: str
    help: str
    metavar: str = ""
    many: bool = False
    optional: bool = True
    rest: bool = False
    choices: tuple[str, ...] = ()
    flag: bool = False
    convert: Callable[[str], Any] = str
    complete: Callable[[Session | None, str], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of `%nbproxy`.

    Attributes:
        name: The word.
        help: One line for the overview; the help of the verb begins with it.
        run: What it does, given the session and the parsed arguments by name. What it returns is
            the value of the line: `x = %nbproxy ...`.
        arguments: Its arguments.
        more: Further help.
    """

    name: str
    help: str
    run: Callable[[Session, argparse.Namespace], object]
    arguments: tuple[Argument, ...] = ()
    more: str = ""

    @property
    def options(self) -> list[str]:
        """What may follow that begins with a dash."""
        return [*(each.name for each in self.arguments if each.name.startswith("-")), "--help"]

    def parser(self) -> _Parser:
        """A parser for the words behind the verb."""
        parser = _Parser(
            prog=f"%nbproxy {self.name}",
            description=f"{self.help[0].upper()}{self.help[1:]}. {self.more}".strip(),
            add_help=False,
            allow_abbrev=False,
        )
        for each in self.arguments:
            settings: dict[str, Any] = {"help": each.help.replace("%", "%%")}
            if each.choices:
                settings["choices"] = each.choices
            if each.metavar:
                settings["metavar"] = each.metavar
            if each.flag:
                settings["action"] = "store_true"
            elif not each.name.startswith("-"):
                optional = "*" if each.many or each.rest else "?"
                settings["nargs"] = optional if each.optional else "+" if each.many else None
            elif each.many:
                settings.update(action="append", default=[])
            parser.add_argument(each.name, **settings)
        parser.add_argument(*_HELP, action="store_true", help="show this")
        return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are UsageErrors of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; see {self.prog} --help")


def run_line(session: Session, line: str) -> object:
    """Do what a line behind `%nbproxy` says; most verbs print, and return None.

    Raises:
        UsageError: It cannot be done, or makes no sense; the message says why and what would do.
    """
    name, _, rest = line.strip().partition(" ")
    if name in {*_HELP, "help"}:
        print(overview())  # noqa: T201 - the answer to the user
        return None
    verb = VERBS.get(name or "status")
    if verb is None:
        raise UsageError(f"%nbproxy: there is no {name!r}; {_near(name, VERBS)}")
    parser = verb.parser()
    arguments = _parse(verb, parser, rest.strip())
    if arguments.help:
        print(parser.format_help().rstrip())  # noqa: T201 - as above
        return None
    try:
        return verb.run(session, arguments)
    except UsageError:
        raise
    except (NbproxyError, ValueError, OSError) as error:
        raise UsageError(f"%nbproxy {verb.name}: {error}") from error


def _parse(verb: Verb, parser: _Parser, rest: str) -> argparse.Namespace:
    if verb.arguments and verb.arguments[-1].rest:
        return _parse_rest(verb, parser, rest)
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise UsageError(f"%nbproxy {verb.name}: {error}: {rest}") from None
    if set(_HELP) & set(words):
        return argparse.Namespace(help=True)
    found, unknown = parser.parse_known_args(words)
    if unknown:
        known = verb.options if unknown[0].startswith("-") else ()
        raise UsageError(
            f"%nbproxy {verb.name}: does not take {unknown[0]!r}; {_near(unknown[0], known)}"
        )
    for each in verb.arguments:
        _convert(verb, each, found)
    return found


def _parse_rest(verb: Verb, parser: _Parser, rest: str) -> argparse.Namespace:
    """For verbs whose last argument is the rest of the line."""
    found = argparse.Namespace(help=rest in _HELP)
    if found.help:
        return found
    *leading, last = verb.arguments
    for each in leading:
        stream = io.StringIO(rest)
        lexer = shlex.shlex(stream, posix=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            word = lexer.get_token()
        except ValueError as error:
            raise UsageError(f"%nbproxy {verb.name}: {error}: {rest}") from None
        if word is None and not each.optional:
            parser.error(f"the following arguments are required: {each.name}")
        setattr(found, each.name, word)
        _convert(verb, each, found)
        rest = stream.read().strip()  # the lexer reads no further than the word
    found.help = rest in _HELP
    setattr(found, last.name, _unquoted(rest))
    return found


def _convert(verb: Verb, argument: Argument, found: argparse.Namespace) -> None:
    name = argument.name.lstrip("-")
    value = getattr(found, name)
    try:
        if isinstance(value, list):
            setattr(found, name, [argument.convert(each) for each in value])
        elif value is not None and not argument.flag:
            setattr(found, name, argument.convert(value))
    except (NbproxyError, ValueError) as error:
        raise UsageError(f"%nbproxy {verb.name}: {error}") from None


def _unquoted(rest: str) -> str:
    """Text that is quoted as a whole, without the quotes."""
    whole = len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "'\""
    return rest[1:-1] if whole and rest[0] not in rest[1:-1] else rest


def _near(word: str, known: Sequence[str] | dict[str, Any]) -> str:
    if not known:
        return "it takes nothing more"
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"


def overview() -> str:
    """The help of `%nbproxy` itself."""
    width = max(map(len, VERBS)) + 2
    verbs = "\n".join(f"  {verb.name:{width}}{verb.help}" for verb in VERBS.values())
    return (
        "usage: %nbproxy [VERB] [...]\n\nThe notebook's proxy. Without a verb: its status.\n\n"
        f"{verbs}\n\n%nbproxy VERB --help tells more about one."
    )


def complete(session: Session | None, line: str) -> tuple[str, Sequence[str]]:
    """What may stand at the end of an unfinished line behind `%nbproxy`.

    Returns:
        The fragment before the cursor, and what may replace it.
    """
    name, blank, rest = line.lstrip().partition(" ")
    if not blank:
        return name, [*VERBS, "--help"]
    verb = VERBS.get(name)
    if verb is None:
        return "", []
    if verb.arguments and verb.arguments[-1].rest:
        for each in verb.arguments[:-1]:
            word, blank, rest = rest.lstrip().partition(" ")
            if not blank:
                return word, _values(session, each, word)
        return completion.filter_choices(rest.lstrip("'\" "))
    *before, fragment = rest.split(" ")
    previous = next((word for word in reversed(before) if word), "")
    for each in verb.arguments:
        if each.name == previous and previous.startswith("-"):
            return fragment, _values(session, each, fragment)
    if fragment.startswith("-"):
        return fragment, verb.options
    positional = [each for each in verb.arguments if not each.name.startswith("-")]
    values = [value for each in positional for value in _values(session, each, fragment)]
    return fragment, values or verb.options


def _values(session: Session | None, argument: Argument, fragment: str) -> Sequence[str]:
    if argument.complete is None:
        return argument.choices
    return argument.complete(session, fragment)


# what the verbs do


def _start(session: Session, arguments: argparse.Namespace) -> None:
    values = dict(arguments.set)
    if arguments.port is not None:
        values["listen_port"] = arguments.port
    if arguments.capture is not None:
        session.need_proxy().options.capture = arguments.capture  # it need not start anew for that
    running = session.proxy is not None and session.proxy.running
    proxy = session.start(loop=arguments.loop, **values)
    status = card.Status.of(proxy, is_own=True)
    if running and not values and arguments.loop is None:
        print(card.line(status))  # noqa: T201 - it ran already
    else:
        session.publish(card.bundle(status))


def _stop(session: Session, _: argparse.Namespace) -> None:
    session.stop()
    print(card.line(session.status()))  # noqa: T201 - the answer to the user


def _status(session: Session, _: argparse.Namespace) -> None:
    session.publish(card.bundle(session.status()))


def _flows(session: Session, arguments: argparse.Namespace) -> None:
    flows = session.need_proxy().flows
    session.show_flows(flows.filter(arguments.filter) if arguments.filter else flows)


def _handlers(session: Session, _: argparse.Namespace) -> None:
    session.show(session.need_proxy().handlers)


def _clear(session: Session, _: argparse.Namespace) -> None:
    proxy = session.need_proxy()
    count = len(proxy.flows)
    proxy.clear()
    print(f"{card.count(count, 'flow')} forgotten")  # noqa: T201 - the answer to the user


def _set(session: Session, arguments: argparse.Namespace) -> None:
    if not arguments.option:
        _options(session, arguments)
        return
    proxy = session.need_proxy()
    late = []
    for name, value in arguments.option:
        if OPTIONS[name].fixed and proxy.running:
            late.append(f"{name}={value}")
        else:
            setattr(proxy.options, name, value)
    if late:
        sets = " ".join(f"--set {each}" for each in late)
        raise UsageError(
            f"%nbproxy set: {', '.join(late)} takes effect only at a start; %nbproxy start {sets}"
        )


def _options(session: Session, _: argparse.Namespace) -> None:
    options = session.need_proxy().options
    rows = [(name, _shown(name, value), OPTIONS[name]) for name, value in options]
    wide, value_width = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    for name, value, option in rows:
        mark = "*" if getattr(options, name) != option.default else " "
        print(f"{mark} {name:{wide}}  {value:{value_width}}  {option.help}")  # noqa: T201 - a table
    print("* differs from the default; %nbproxy set NAME=VALUE changes one")  # noqa: T201


def _shown(name: str, value: Any) -> str:
    """An option's value for people; passwords are not for notebooks."""
    if name == "proxyauth" and value is not None:
        return f"{value.partition(':')[0]}:…"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)


_CA_HELP = """\
The proxy's CA, which whoever goes through it has to trust to see HTTPS:

  certificate  {file}
  SHA-256      {fingerprint}
  key          {key} (never give it away)

In this notebook  requests.get(url, proxies=nbproxy.proxies, verify=nbproxy.ca_file)
                  !curl -x {{nbproxy.url}} --cacert {{nbproxy.ca_file}} URL
In a terminal     %nbproxy env prints what to export
In a browser      set {url} as its proxy, open http://mitm.it/ and follow the page"""


def _ca(session: Session, _: argparse.Namespace) -> None:
    proxy = session.need_proxy()
    print(  # noqa: T201 - the answer to the user
        _CA_HELP.format(
            file=proxy.ca_file,
            fingerprint=proxy.ca.fingerprint_sha256,
            key=proxy.ca.key_file,
            url=proxy.url if proxy.running else "the proxy's address",
        )
    )


def environment(proxy: Proxy) -> dict[str, str]:
    """Environment variables that send common clients through a proxy and let them trust its CA."""
    certificates, wget = files_for(proxy, SURROUNDINGS.otherwise())
    return exports(proxy.url, certificates, wget)


def _env(session: Session, _: argparse.Namespace) -> None:
    proxy = session.need_proxy()
    if not proxy.running:
        raise UsageError("%nbproxy env: the proxy is stopped; %nbproxy start")
    for name, value in environment(proxy).items():
        print(f"export {name}={shlex.quote(value)}")  # noqa: T201 - to be copied


def _off(session: Session, arguments: argparse.Namespace) -> None:
    removed = session.need_proxy().off(*([arguments.what] if arguments.what else []))
    print(f"{card.count(removed, 'handler')} removed")  # noqa: T201 - the answer to the user


# what their arguments are


def _port(word: str) -> int:
    return int(check("listen_port", word))


def _assignment(word: str) -> tuple[str, Any]:
    name, equals, value = word.partition("=")
    name = option_name(name.strip())
    if not equals:
        raise ValueError(f"{word!r} is not NAME=VALUE")
    return name, check(name, value.strip())


def _assignments(_: Session | None, fragment: str) -> list[str]:
    name, equals, _value = fragment.partition("=")
    if not equals:
        return [f"{each}=" for each in OPTIONS]
    option = OPTIONS.get(name)
    if option is None:
        return []
    values = ("true", "false") if option.type == "bool" else option.choices
    return [f"{name}={value}" for value in values]


def _handler_names(session: Session | None, _: str) -> list[str]:
    proxy = session.proxy if session is not None else None
    return sorted({each.name for each in proxy.handlers}) if proxy is not None else []


_FILTER = Argument("filter", "a filter expression, such as ~d example.org", "FILTER", rest=True)


def _captures(_: Session | None, fragment: str) -> list[str]:
    return completion.paths(fragment, (".nbproxy",))


_SET = Argument(
    "--set",
    "an option; %nbproxy options lists them",
    "NAME=VALUE",
    many=True,
    convert=_assignment,
    complete=_assignments,
)

VERBS: dict[str, Verb] = {}


def add_verb(verb: Verb) -> None:
    """Make a verb known; one of the same name is replaced."""
    VERBS[verb.name] = verb


for _verb in (
    Verb(
        "start",
        "start the proxy",
        _start,
        (
            Argument("--port", "port to listen on; 0 picks a free one", "N", convert=_port),
            Argument("--loop", "where its event loop lives", choices=LOOPS),
            Argument("--capture", "a file to record to, and to keep", "FILE", complete=_captures),
            _SET,
        ),
        "If it runs already it starts anew with what is given here; flows and handlers stay.",
    ),
    Verb("stop", "stop the proxy; flows and handlers stay", _stop),
    Verb("status", "show where it listens, and how to go through it", _status),
    Verb("flows", "show the flows, live", _flows, (_FILTER,)),
    Verb("handlers", "show the handlers and what they cost", _handlers),
    Verb(
        "off",
        "remove handlers",
        _off,
        (Argument("what", "a handler's name or a hook; all if left out", complete=_handler_names),),
    ),
    Verb("clear", "forget the flows", _clear),
    Verb(
        "set",
        "set options",
        _set,
        (
            Argument(
                "option",
                "%nbproxy options lists them",
                "NAME=VALUE",
                many=True,
                convert=_assignment,
                complete=_assignments,
            ),
        ),
    ),
    Verb("options", "show all options and their values", _options),
    Verb("ca", "show the CA and how to trust it", _ca),
    Verb("env", "print what to export in a terminal to go through the proxy", _env),
):
    add_verb(_verb)


@magics_class
class NbproxyMagics(Magics):
    """The magic itself."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @no_var_expand  # filters are full of braces and dollars
    @line_magic
    def nbproxy(self, line: str) -> object:
        """Replaced below: the text that `%nbproxy?` shows is the overview."""
        return run_line(self.session, line)


NbproxyMagics.nbproxy.__doc__ = overview()
