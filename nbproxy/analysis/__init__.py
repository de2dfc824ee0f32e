"""What flows say together: timelines, endpoints, OpenAPI, hosts, errors, differences, SQL.

`Analysis` has the methods; `Flows` has them from there. All else here is loaded when one of them is
called. This room knows flows as `contract.FlowsLike` describes them, changes nothing in them, and
takes them for what they are: written by strangers, of any size. So bodies are read by samples, and
whatever is kept of them has a bound.
"""

from __future__ import annotations

from nbproxy.analysis.methods import Analysis

__all__ = ["Analysis"]
