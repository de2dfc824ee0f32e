"""`%nbproxy inspect [FILTER]`. Widgets are loaded when somebody inspects something, not before."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from nbproxy.notebook import magics
from nbproxy.notebook.magics import Argument, Verb, add_verb

if TYPE_CHECKING:
    import argparse

    from nbproxy.notebook.state import Session
    from nbproxy.notebook.widgets.inspector import Inspector


def _inspect(session: Session, arguments: argparse.Namespace) -> Inspector:
    from nbproxy.notebook.widgets.inspector import inspect  # noqa: PLC0415 - see above

    return inspect(session.need_proxy().flows, filter=arguments.filter or "")


_VERB = Verb(
    "inspect",
    "show the inspector: a live table, details, buttons",
    _inspect,
    (Argument("filter", "what its filter box says, such as ~d example.org", "FILTER", rest=True),),
    "The value of the line is the widget: ins = %nbproxy inspect, then ins, ins.selected, ins.df.",
)


def add_verbs() -> None:
    """Make the verb known to `%nbproxy` and its help; a second time changes nothing."""
    add_verb(_VERB)
    magics.NbproxyMagics.nbproxy.__doc__ = magics.overview()


def close_all() -> None:
    """End the threads of all inspectors, if there are any; what they show stays."""
    module = sys.modules.get("nbproxy.notebook.widgets.inspector")
    if module is not None:
        module.close_all()
