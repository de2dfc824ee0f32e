"""A filter over the frame of flows: the same tree, evaluated on columns where columns suffice.

`mask(expression, df, get_flow)` is True exactly in the rows whose flow the filter accepts. Each
operator gives every row one of three verdicts, no, undecided or yes (-1, 0 and 1 make AND the
minimum, OR the maximum and NOT the sign); the rows left undecided by the whole tree, and only
those, are fetched with `get_flow` and asked one by one. An operator decides a row only where the
columns of `store/schema.py` cannot say otherwise than the flow:

| operators | decided | left to the flow |
|---|---|---|
| `~all` | all | |
| `~e` `~c` `~dur` `~ttfb` | all | |
| `~q` `~s` `~http` `~tcp` `~udp` `~dns` | rows with a method: they are HTTP | others |
| `~m` `~comment` `~marker` `~marked` | text that the frame keeps as it is | U+FFFD, or missing |
| `~src` | names and IPv4 addresses | IPv6, which the frame writes in brackets |
| `~d` | the host connected to matches | the Host field, which the frame does not have |
| `~size` ... | the size is not 0, or 0 would not match | 0: empty, or missing |
| `~since` | all but the last 10 µs: the frame counts microseconds | at the limit |

Everything else (URL with the client's host, headers, bodies, metadata) is not in the frame. All
this presumes a frame that is up to date, and flows whose attributes have their declared types.
This is the one module here that needs pandas, and nothing else here imports it at import time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from nbproxy.filters.compiler import RELATIONS
from nbproxy.filters.filter import Filter
from nbproxy.filters.matching import bytes_search, text_search
from nbproxy.filters.operators import BY_NAME
from nbproxy.filters.tree import (
    And,
    Between,
    Flag,
    JSONValue,
    Measure,
    Node,
    Not,
    Or,
    Pattern,
    Within,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from nbproxy.model.flow import Flow

    Verdicts = npt.NDArray[np.int8]
    Numbers = npt.NDArray[np.float64]

NO, UNDECIDED, YES = -1, 0, 1

_REPLACED = "\ufffd"  # what the frame has in place of text that UTF-8 cannot say
_TIME_MARGIN_S = 1e-5
_EPOCH = pd.Timestamp(0, tz="UTC")
_MAX_NUMBER = 2.0**62  # no column reaches it, and floats do


def mask(expression: Filter, df: pd.DataFrame, get_flow: Callable[[Any], Flow]) -> pd.Series[bool]:
    """Which rows of a frame of flows a filter accepts.

    Args:
        expression: The filter.
        df: One row a flow, columns as in `store/schema.py`; columns may be missing, which costs
            time but changes no answer. The index is what `get_flow` takes.
        get_flow: The flow of a row; called for rows that the columns do not decide.

    Returns:
        True or False for each row, with the index of `df`.
    """
    now = expression.clock()
    columns = _Columns(df, now)
    verdicts = columns.judge(expression.tree)
    accepted = verdicts == YES
    undecided = np.flatnonzero(verdicts == UNDECIDED)
    if len(undecided):
        at_now = Filter(expression.tree, clock=lambda: now)
        index = df.index
        accepted[undecided] = [at_now(get_flow(index[row])) for row in undecided.tolist()]
    return pd.Series(accepted, index=df.index, dtype=bool)


class _Columns:
    """The columns of one frame, as judges of its rows; `now` is Unix seconds."""

    def __init__(self, df: pd.DataFrame, now: float) -> None:
        self.df = df
        self.now = now

    def judge(self, node: Node) -> Verdicts:
        """A verdict for each row."""
        match node:
            case And(items):
                return cast("Verdicts", np.minimum.reduce([self.judge(item) for item in items]))
            case Or(items):
                return cast("Verdicts", np.maximum.reduce([self.judge(item) for item in items]))
            case Not(item):
                return -self.judge(item)
            case JSONValue():
                return self.everywhere(UNDECIDED)
            case _:
                needed = BY_NAME[node.operator].columns
                if node == Flag("all"):
                    return self.everywhere(YES)
                if not needed or not all(name in self.df.columns for name in needed):
                    return self.everywhere(UNDECIDED)
                return self.judge_leaf(node)

    def judge_leaf(self, node: Flag | Pattern | Measure | Between | Within) -> Verdicts:
        """A verdict for each row, where all columns of the operator are there."""
        match node:
            case Flag():
                return self.judge_flag(node)
            case Pattern():
                return self.judge_pattern(node)
            case (
                Measure(operator="size" | "sizeq" | "sizes")
                | Between(operator="size" | "sizeq" | "sizes")
            ):
                return self.judge_size(node)
            case Measure(operator=name) | Between(operator=name):
                (column,) = BY_NAME[name].columns
                return _verdicts(_holds(node, self.numbers(column)))
            case Within(seconds=seconds):
                return self.judge_since(seconds)

    def everywhere(self, verdict: int) -> Verdicts:
        """The same verdict for all rows."""
        return np.full(len(self.df), verdict, dtype=np.int8)

    # -- operators

    def judge_flag(self, node: Flag) -> Verdicts:
        """An operator without argument."""
        if node.operator == "e":
            return _verdicts(self.present("error"))
        if node.operator == "marked":
            return self.text("marked", bool, missing=UNDECIDED)
        # only HTTP flows have a method; what the others are the frame does not say
        is_http = self.present("method")
        if node.operator in ("q", "s"):
            answered = self.present("status")
            true = answered if node.operator == "s" else ~answered
        else:
            true = np.full(len(self.df), node.operator == "http")
        return np.where(is_http, _verdicts(true), np.int8(UNDECIDED))

    def judge_pattern(self, node: Pattern) -> Verdicts:
        """An operator with a regular expression."""
        match node.operator:
            case "m":
                search = bytes_search(node.regex)
                return self.text("method", lambda text: search(text.encode()), missing=UNDECIDED)
            case "src":
                verdicts = self.text("client", text_search(node.regex), missing=NO)
                bracketed = self.text("client", lambda text: text.startswith("["), missing=NO)
                return np.where(bracketed == YES, np.int8(UNDECIDED), verdicts)
            case "d":
                # the Host field may match where the host connected to does not
                return np.maximum(
                    self.text("host", text_search(node.regex), missing=UNDECIDED),
                    self.everywhere(UNDECIDED),
                )
            case _:
                (column,) = BY_NAME[node.operator].columns
                search_lines = text_search(node.regex, re.MULTILINE)
                return self.text(column, search_lines, missing=UNDECIDED)

    def judge_size(self, node: Measure | Between) -> Verdicts:
        """A size: 0 is a body that is empty or one that is missing, which no size matches."""
        sizes = sum(
            (self.numbers(column) for column in BY_NAME[node.operator].columns),
            start=np.zeros(len(self.df)),
        )
        verdicts = _verdicts(_holds(node, sizes))
        return np.where((sizes == 0) & (verdicts == YES), np.int8(UNDECIDED), verdicts)

    def judge_since(self, seconds: float) -> Verdicts:
        """A moment within the last seconds, but for the rounding of the column."""
        moments = pd.to_datetime(self.df["time"], utc=True)
        began = ((moments - _EPOCH) / pd.Timedelta(seconds=1)).to_numpy(
            dtype=np.float64, na_value=np.nan
        )
        left = began - (self.now - min(seconds, _MAX_NUMBER))
        verdicts = _verdicts(left >= 0)
        return np.where(np.abs(left) > _TIME_MARGIN_S, verdicts, np.int8(UNDECIDED))

    # -- columns

    def present(self, column: str) -> npt.NDArray[np.bool_]:
        """Where the column has a value."""
        return self.df[column].notna().to_numpy(dtype=np.bool_)

    def numbers(self, column: str) -> Numbers:
        """The column as floats, NaN for what is missing; exact below 2**53."""
        return self.df[column].to_numpy(dtype=np.float64, na_value=np.nan)

    def text(self, column: str, test: Callable[[str], object], *, missing: int) -> Verdicts:
        """What a test says about text; each different text is asked about once."""
        codes, texts = pd.factorize(self.df[column])
        # the code of what is missing is -1, which takes the last one
        verdicts = [_text_verdict(text, test) for text in texts] + [missing]
        return np.array(verdicts, dtype=np.int8)[codes]


def _text_verdict(text: Any, test: Callable[[str], object]) -> int:
    if not isinstance(text, str) or _REPLACED in text:
        return UNDECIDED
    return YES if test(text) else NO


def _verdicts(true: npt.NDArray[np.bool_]) -> Verdicts:
    return np.where(true, np.int8(YES), np.int8(NO))


def _holds(node: Measure | Between, numbers: Numbers) -> npt.NDArray[np.bool_]:
    """The comparison of a node; NaN never holds."""
    match node:
        case Measure(relation=relation, value=value):
            compare = cast("Callable[[Any, Any], Any]", RELATIONS[relation])
            return np.asarray(compare(numbers, min(value, _MAX_NUMBER)))
        case Between(low=low, high=high):
            return (numbers >= min(low, _MAX_NUMBER)) & (numbers <= min(high, _MAX_NUMBER))
