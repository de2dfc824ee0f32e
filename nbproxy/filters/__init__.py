"""The filter language: `parse("~d example.org & ~t html")` gives a predicate over flows.

The language is the one mitmproxy's users know, with its traps repaired and some operators more.
One table, `operators.OPERATORS`, drives the parser, the predicates, completion, the documentation
(`describe`) and the evaluation on a whole frame at once (`mask`). Importing this loads no pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbproxy.filters.completion import Completion, complete
from nbproxy.filters.filter import Filter, parse
from nbproxy.filters.operators import describe

if TYPE_CHECKING:
    from nbproxy.filters.frame import mask

__all__ = ["Completion", "Filter", "complete", "describe", "mask", "parse"]


def __getattr__(name: str) -> Any:
    if name == "mask":  # lazily: it needs pandas
        from nbproxy.filters.frame import mask  # noqa: PLC0415 - see above

        return mask
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
