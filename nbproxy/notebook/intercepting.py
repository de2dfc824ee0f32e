"""Held flows in notebooks: `%nbproxy intercept FILTER`, `off`, `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbproxy.notebook import card, magics
from nbproxy.notebook.magics import Argument, Verb, add_verb

if TYPE_CHECKING:
    import argparse

    from nbproxy.holding import Intercept
    from nbproxy.notebook.state import Session


def _intercept(session: Session, arguments: argparse.Namespace) -> Intercept | None:
    proxy = session.need_proxy()
    wanted = arguments.filter
    if not wanted:
        print(proxy.intercepts)  # noqa: T201 - the answer to the user
        return None
    if wanted not in {"off", "resume"}:
        return proxy.intercept(wanted)
    held = len(proxy.intercepts)
    rules = proxy.intercepts.off() if wanted == "off" else 0
    proxy.intercepts.resume_all()
    gone = f"{card.count(rules, 'rule')} taken back, " if wanted == "off" else ""
    print(f"{gone}{card.count(held, 'flow')} let go")  # noqa: T201 - as above
    return None


_VERBS = (
    Verb(
        "intercept",
        "hold flows that match, so that they can be changed",
        _intercept,
        (
            Argument(
                "filter",
                "a filter expression, such as ~m POST; off ends it; resume lets all go that are "
                "held; nothing shows them",
                "FILTER|off|resume",
                rest=True,
            ),
        ),
        "Requests and responses that match wait until nbproxy.intercepts.resume_all(), "
        "flow.resume(), flow.kill(), or the end of their time (option intercept_timeout). "
        "nbproxy.intercept(...) can do more.",
    ),
)


def add_verbs() -> None:
    """Make the verbs known to `%nbproxy` and its help; a second time changes nothing."""
    for verb in _VERBS:
        add_verb(verb)
    magics.NbproxyMagics.nbproxy.__doc__ = magics.overview()
