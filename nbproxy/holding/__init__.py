"""Holding flows: `nbproxy.intercept(...)`, `await nbproxy.next(...)`, and what is held.

A held flow waits at `request` or `response`, after all handlers of that hook, and others go by. It
can be changed meanwhile, and goes on when somebody lets it, or at the end of its time: then as it
was when it was held, and the user is told.
"""

from __future__ import annotations

from nbproxy.holding.holders import Intercept, Next, check_seconds
from nbproxy.holding.intercepts import Held, Intercepts

__all__ = ["Held", "Intercept", "Intercepts", "Next", "check_seconds"]
