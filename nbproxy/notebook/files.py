"""Saved flows in notebooks: `%nbproxy save PATH [FILTER]` and `%nbproxy open PATH...`.

Formats are loaded when somebody saves or opens something, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbproxy.notebook import card, completion, magics
from nbproxy.notebook.magics import Argument, Verb, add_verb

if TYPE_CHECKING:
    import argparse

    from nbproxy.notebook.state import Session
    from nbproxy.store.view import Flows

_ENDS = (".mitm", ".flow", ".flows", ".dump", ".har", ".har.gz", ".har.zip", ".zhar", ".curl.sh")
"""What completion offers; any file can be opened, for its content says what it is."""


def _save(session: Session, arguments: argparse.Namespace) -> None:
    flows = session.need_proxy().flows
    wanted = flows.filter(arguments.filter) if arguments.filter else flows
    count = wanted.save(arguments.path)
    print(f"{card.count(count, 'flow')} saved to {arguments.path}")  # noqa: T201 - the answer to the user


def _open(_: Session, arguments: argparse.Namespace) -> Flows:
    from nbproxy.saved import open as open_saved  # noqa: PLC0415 - see above

    return open_saved(*arguments.path)


def _paths(_: Session | None, fragment: str) -> list[str]:
    return completion.paths(fragment, _ENDS)


_VERBS = (
    Verb(
        "save",
        "save the flows to a file",
        _save,
        (
            Argument("path", "where; its end says the format", optional=False, complete=_paths),
            Argument("filter", "only flows that match, such as ~d example.org", rest=True),
        ),
        "The end of the path says the format: .mitm (mitmproxy reads it), .har, .curl.sh (a shell "
        "script). Secrets are written as they are; nbproxy.flows.save(path, secrets='mask') masks "
        "them in a HAR.",
    ),
    Verb(
        "open",
        "open saved flows",
        _open,
        (
            Argument(
                "path",
                "a file, or a pattern such as captures/*.mitm",
                many=True,
                optional=False,
                complete=_paths,
            ),
        ),
        "Files of mitmproxy 0.11 and later, and HAR. The value of the line is the flows: "
        "saved = %nbproxy open FILE, then saved.df, saved.filter(...), saved.save(...).",
    ),
)


def add_verbs() -> None:
    """Make the verbs known to `%nbproxy` and its help; a second time changes nothing."""
    for verb in _VERBS:
        add_verb(verb)
    magics.NbproxyMagics.nbproxy.__doc__ = magics.overview()
