"""Scripts in notebooks: `%nbproxy load`, `unload`, `scripts`, `log`, and `%%nbscript`.

Nothing of `nbproxy.scripts` is imported before somebody loads one.
"""

from __future__ import annotations

import linecache
import shlex
from typing import TYPE_CHECKING

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from nbproxy.errors import NbproxyError
from nbproxy.notebook import completion, magics
from nbproxy.notebook.magics import Argument, Verb, add_verb

if TYPE_CHECKING:
    import argparse
    from contextlib import ExitStack

    from IPython.core.interactiveshell import InteractiveShell

    from nbproxy.notebook.state import Session
    from nbproxy.scripts.script import Script

MAGIC = "nbscript"


def _load(session: Session, arguments: argparse.Namespace) -> None:
    command = shlex.join(arguments.script)
    print(loaded(session.need_proxy().load(command, era=arguments.era)))  # noqa: T201 - the answer to the user


def _unload(session: Session, arguments: argparse.Namespace) -> None:
    scripts = session.need_proxy().scripts
    count = scripts.unload(*([arguments.script] if arguments.script else []))
    print(f"{count} script{'' if count == 1 else 's'} unloaded")  # noqa: T201 - as above


def _scripts(session: Session, _: argparse.Namespace) -> None:
    session.show(session.need_proxy().scripts)


def _log(session: Session, arguments: argparse.Namespace) -> None:
    log = session.need_proxy().log
    wanted = arguments.level or arguments.script
    session.show(log.filter(arguments.level, arguments.script) if wanted else log)


def loaded(script: Script) -> str:
    """What was loaded, in one line."""
    hooks = ", ".join(script.hooks) or "no hooks"
    python2 = ", converted from Python 2" if script.translated else ""
    again = "loaded again" if script.reloads else "loaded"
    return f"{again}: {script.label}, written for {script.era.label}{python2}; {hooks}"


def _files(_: Session | None, fragment: str) -> list[str]:
    return completion.paths(fragment, (".py",))


def _names(session: Session | None, _: str) -> list[str]:
    proxy = session.proxy if session is not None else None
    return [script.label for script in proxy.scripts] if proxy is not None else []


_ERA = Argument("--era", "the release it was written for; recognised if left out", "RELEASE")

for _verb in (
    Verb(
        "load",
        "load a script written for mitmproxy",
        _load,
        (
            Argument(
                "script",
                "path and arguments",
                "SCRIPT",
                many=True,
                optional=False,
                complete=_files,
            ),
            _ERA,
        ),
        "The file is watched; when it changes it is loaded again. Arguments that begin with a "
        "dash go behind --.",
    ),
    Verb(
        "unload",
        "take scripts out",
        _unload,
        (Argument("script", "a path or a name; all if left out", complete=_names),),
    ),
    Verb("scripts", "show the scripts that are loaded", _scripts),
    Verb(
        "log",
        "show what scripts said, and what failed in them",
        _log,
        (
            Argument("--level", "at least this", choices=("debug", "info", "warn", "error")),
            Argument("--script", "part of a script's path", "SCRIPT", complete=_names),
        ),
    ),
):
    add_verb(_verb)

magics.NbproxyMagics.nbproxy.__doc__ = magics.overview()


@magics_class
class ScriptMagics(Magics):
    """The cell magic."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self.session = session

    @no_var_expand  # arguments are the script's
    @cell_magic
    def nbscript(self, line: str, body: str) -> None:
        """Load the cell's body as a script: `%%nbscript [--era RELEASE] [ARGUMENT...]`.

        Running the cell again replaces it.
        """
        __tracebackhide__ = True  # the user's lines are the cell's
        try:
            words = shlex.split(line)
            era = None
            if words[:1] == ["--era"]:
                era, words = words[1], words[2:]
            print(loaded(load_cell(self.session, body, words, era)))  # noqa: T201 - the answer to the user
        except IndexError:
            raise UsageError("%%nbscript --era: which release?") from None
        except (NbproxyError, ValueError) as error:
            cause = error.__cause__
            if cause is not None and not isinstance(cause, SyntaxError):
                raise cause from None  # IPython shows it with the cell's own lines
            raise UsageError(f"%%nbscript: {error}") from None


def load_cell(session: Session, body: str, argv: list[str], era: str | None) -> Script:
    """Load the body of the cell that runs now.

    Raises:
        ScriptError: It cannot be loaded; what the cell loaded before stays.
    """
    proxy = session.need_proxy()
    cell = proxy.handlers.cells.current_cell() if proxy.handlers.cells is not None else None
    key = cell.key if cell is not None else None
    label = f"<{cell.label if cell is not None else MAGIC}>"
    text = f"\n{body}"  # the magic's own line is the cell's first
    linecache.cache[label] = (len(text), None, text.splitlines(keepends=True), label)
    return proxy.scripts.load_text(
        text, argv, label=label, key=(MAGIC, key or tuple(argv)), era=era
    )


def attach(session: Session, undo: ExitStack) -> None:
    """Register the cell magic; what undoes it goes onto the stack."""
    shell = session.shell
    manager = shell.magics_manager
    shell.register_magics(ScriptMagics(shell, session))
    undo.callback(manager.registry.pop, ScriptMagics.__name__, None)
    undo.callback(manager.magics["cell"].pop, MAGIC, None)
