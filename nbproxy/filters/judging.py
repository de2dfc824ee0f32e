"""A filter over rows: the same tree, evaluated on columns where columns suffice.

Each operator gives every row one of three verdicts, no, undecided or yes (-1, 0 and 1 make AND the
minimum, OR the maximum and NOT the sign). Only rows that the whole tree leaves undecided have to be
asked one by one. An operator decides a row only where the columns of `store/schema.py` cannot say
otherwise than the flow:

| operators | decided | left to the flow |
|---|---|---|
| `~all` | all | |
| `~e` `~c` `~dur` `~ttfb` `~cell` `~websocket` `~replay` ... | all | |
| `~q` `~s` `~http` `~tcp` `~udp` `~dns` | rows with a method: they are HTTP | others |
| `~m` `~comment` `~marker` `~marked` `~dst` | text that columns keep as it is | U+FFFD, missing |
| `~t` ... `~a` | no Content-Type field, or one | several |
| `~src` | names and IPv4 addresses | IPv6, which the frame writes in brackets |
| `~d` | as `~u`; without its columns only what matches where the flow went | IPv6 |
| `~u` | text that columns keep as it is | U+FFFD |
| `~size` ... | the size is not 0, or 0 would not match | 0: empty, or missing |
| `~since` | all but the last 10 µs: columns count microseconds | at the limit |
| `~col` | text, whole numbers, truth values, fractions | 1.0, which may have been 1; others |

Columns whose names begin with an underscore are those that only the store has. Everything else
(headers, bodies, metadata) is in no column. All this presumes columns that are up to date, and
flows whose attributes have their declared types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

import numpy as np

from nbproxy.filters.compiler import RELATIONS
from nbproxy.filters.computed import computed
from nbproxy.filters.matching import bytes_search, column_parts, is_asset_type, text_search
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
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from nbproxy.filters.filter import Filter

    Verdicts: TypeAlias = npt.NDArray[np.int8]
    Numbers: TypeAlias = npt.NDArray[np.float64]
    Rows: TypeAlias = npt.NDArray[np.int64] | None
    Leaf: TypeAlias = Flag | Pattern | Measure | Between | Within

NO, UNDECIDED, YES = -1, 0, 1

_REPLACED: Final = "\ufffd"  # what columns have in place of text that UTF-8 cannot say
_TIME_MARGIN_S: Final = 1e-5
_MAX_NUMBER: Final = 2.0**62  # no column reaches it, and floats do
_LITERAL: Final = re.compile(r"""(?:[A-Za-z0-9_/%=&,:;@~!'"<>-]|\\[.+?*()\[\]{}^$|-])+""")
_REMEMBERED: Final = 50_000  # verdicts on texts that are kept for the next segment


class Columns(Protocol):
    """The columns of some rows.

    `rows` are positions of the rows to speak of, which ascend; all by default.
    """

    def __len__(self) -> int: ...

    def __contains__(self, name: str) -> bool:
        """Whether there is a column of this name."""
        ...

    def numbers(self, name: str, rows: Rows) -> Numbers:
        """A column as floats, NaN for what is missing; times are seconds since 1970."""
        ...

    def texts(self, name: str, rows: Rows) -> tuple[Sequence[Any], npt.NDArray[Any]]:
        """A column's texts (None for what is missing), and for each row which of them it has.

        A text may be there twice, or unused.
        """
        ...

    def present(self, name: str, rows: Rows) -> npt.NDArray[np.bool_]:
        """Where a column has a value."""
        ...

    def added(self, name: str, rows: Rows) -> tuple[Sequence[Any], npt.NDArray[Any]] | None:
        """The values of a column that a user added, as text, in the form of `texts`.

        None if there is no such column; U+FFFD where another value might have the same text.
        """
        ...


class Judge:
    """Judges rows by one filter, as of one moment.

    Args:
        expression: The filter.

    Attributes:
        now: That moment, Unix seconds: the filter's clock when the judge was made.
    """

    def __init__(self, expression: Filter) -> None:
        self.now = expression.clock()
        self._tree = expression.tree
        self._known: dict[tuple[Leaf, str], dict[str | None, int]] = {}

    def __call__(self, columns: Columns, rows: Rows = None) -> Verdicts:
        """A verdict for each row, or for each of those at some positions, which ascend."""
        return _Sitting(self.now, self._known, columns, rows).judge(self._tree)


class _Sitting:
    """The verdicts on some rows of some columns; see `Judge`."""

    def __init__(
        self,
        now: float,
        known: dict[tuple[Leaf, str], dict[str | None, int]],
        columns: Columns,
        rows: Rows,
    ) -> None:
        self.now = now
        self.known = known
        self.columns = columns
        self.rows = rows

    def __len__(self) -> int:
        return len(self.columns) if self.rows is None else len(self.rows)

    def judge(self, node: Node) -> Verdicts:
        """A verdict for each row."""
        match node:
            case And(items):
                return self.combined(items, NO, np.minimum)
            case Or(items):
                return self.combined(items, YES, np.maximum)
            case Not(item):
                return -self.judge(item)
            case JSONValue():
                return self.everywhere(UNDECIDED)
            case _:
                needed = BY_NAME[node.operator].columns
                if node == Flag("all"):
                    return self.everywhere(YES)
                if isinstance(node, Pattern) and node.operator == "col":
                    return self.judge_added(node)
                if not needed or not all(name in self.columns for name in needed):
                    return self.everywhere(UNDECIDED)
                return self.judge_leaf(node)

    def combined(self, items: Sequence[Node], final: int, combine: Any) -> Verdicts:
        """The verdicts of several nodes together: the cheap ones first, then on fewer rows."""
        first, *others = sorted(items, key=_cost)
        verdicts = self.judge(first)
        for item in others:
            left = np.flatnonzero(verdicts != final)
            if 2 * len(left) > len(verdicts):
                verdicts = combine(verdicts, self.judge(item))
            elif len(left):
                rows = left if self.rows is None else self.rows[left]
                some = _Sitting(self.now, self.known, self.columns, rows).judge(item)
                verdicts[left] = combine(verdicts[left], some)
        return verdicts

    def judge_leaf(self, node: Leaf) -> Verdicts:
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
                left = self.numbers("time") - (self.now - min(seconds, _MAX_NUMBER))
                clear = np.abs(left) > _TIME_MARGIN_S  # False for NaN
                return np.where(clear, _verdicts(left >= 0), np.int8(UNDECIDED))

    def everywhere(self, verdict: int) -> Verdicts:
        """The same verdict for all rows."""
        return np.full(len(self), verdict, dtype=np.int8)

    # -- operators

    def judge_flag(self, node: Flag) -> Verdicts:
        """An operator without argument."""
        match node.operator:
            case "e":
                return _verdicts(self.present("error"))
            case "marked":
                return self.text(node, "marked", bool, missing=UNDECIDED)
            case "a":
                return self.text(
                    node, "_response_type", lambda text: is_asset_type(text.encode("latin-1"))
                )
            case "websocket":
                return _verdicts(self.numbers("_websocket") > 0)
            case "replay":
                return _verdicts(self.present("_replay"))
            case "replayq" | "replays":
                wanted = "request" if node.operator == "replayq" else "response"
                return self.text(node, "_replay", lambda text: text == wanted)
            case operator:
                # only HTTP flows have a method; what the others are no column says
                is_http = self.present("method")
                if operator in ("q", "s"):
                    answered = self.present("status")
                    true = answered if operator == "s" else ~answered
                else:
                    true = np.full(len(self), operator == "http")
                return np.where(is_http, _verdicts(true), np.int8(UNDECIDED))

    def judge_pattern(self, node: Pattern) -> Verdicts:
        """An operator with a regular expression."""
        match node.operator:
            case "m":
                in_bytes = bytes_search(node.regex)
                return self.text(
                    node, "method", lambda text: in_bytes(text.encode()), missing=UNDECIDED
                )
            case "t" | "tq" | "ts":
                in_bytes = bytes_search(node.regex)
                verdicts = [
                    self.text(node, column, lambda text: in_bytes(text.encode("latin-1")))
                    for column in BY_NAME[node.operator].columns
                ]
                return cast("Verdicts", np.maximum.reduce(verdicts))
            case "src":
                found = text_search(node.regex)

                def of_client(text: str) -> int:
                    return UNDECIDED if text.startswith("[") else _said(found(text))

                return self.verdicts_of(node, "client", of_client, missing=NO)
            case "dst":
                return self.text(node, "_destination", text_search(node.regex))
            case "d":
                return self.judge_domain(node)
            case "u":
                return self.judge_url(node)
            case operator:
                (column,) = BY_NAME[operator].columns
                search = text_search(node.regex, re.MULTILINE)
                return self.text(node, column, search, missing=UNDECIDED)

    def judge_domain(self, node: Pattern) -> Verdicts:
        """`~d`: where the flow went, or the host that the client named, if a column says that."""
        search = text_search(node.regex)
        verdicts = self.text(node, "host", search, missing=UNDECIDED)
        if "_authority" not in self.columns:
            return np.maximum(verdicts, self.everywhere(UNDECIDED))

        def named(authority: str) -> int:
            if authority.startswith("["):
                return UNDECIDED
            host, colon, _ = authority.rpartition(":")
            return _said(search(host if colon else authority))

        return np.maximum(verdicts, self.verdicts_of(node, "_authority", named, missing=UNDECIDED))

    def judge_url(self, node: Pattern) -> Verdicts:
        """`~u`: the URL as the client named it, which columns have in pieces."""
        (schemes, scheme), (authorities, authority), (paths, path) = (
            self.columns.texts(name, self.rows) for name in BY_NAME["u"].columns
        )
        fronts, front = _joined(schemes, scheme, "://", authorities, authority)
        paths = ["" if each == "*" else each for each in paths]
        if _LITERAL.fullmatch(node.regex) and all(not each or each[0] == "/" for each in paths):
            return self.judge_pieces(node.regex, (fronts, front), (paths, path))
        urls, url = _joined(fronts, front, "", paths, path)
        search = text_search(node.regex)
        return self.table((node, "url"), urls, url, lambda text: _said(search(text)), UNDECIDED)

    def judge_pieces(
        self,
        literal: str,
        fronts: tuple[Sequence[Any], npt.NDArray[Any]],
        paths: tuple[Sequence[Any], npt.NDArray[Any]],
    ) -> Verdicts:
        """`~u` of plain text: it is in what comes before the path, in the path, or on both sides.

        So the pieces are asked and not their combinations, of which there may be far more.
        """

        def found(regex: str, texts: tuple[Sequence[Any], npt.NDArray[Any]]) -> Verdicts:
            search = text_search(regex)
            question = Pattern("u", regex), "piece"
            return self.table(question, *texts, lambda text: _said(search(text)), UNDECIDED)

        verdicts = np.maximum(found(literal, fronts), found(literal, paths))
        for slash in re.finditer("/", literal[1:]):  # a path begins with one
            before, after = literal[: slash.end()], literal[slash.end() :]
            ends = found(rf"{before}\Z", fronts)
            if (ends != NO).any():
                begins = found(rf"\A{after}", paths)
                verdicts = np.maximum(verdicts, np.minimum(ends, begins))
        return verdicts

    def judge_added(self, node: Pattern) -> Verdicts:
        """`~col`: a column that the user added."""
        name, regex = column_parts(node.regex)
        if name not in computed:
            return self.everywhere(NO)
        found = self.columns.added(name, self.rows)
        if found is None:
            return self.everywhere(UNDECIDED)
        search = text_search(regex, re.DOTALL)
        return self.table((node, name), *found, lambda text: _said(search(text)), NO)

    def judge_size(self, node: Measure | Between) -> Verdicts:
        """A size: 0 is a body that is empty or one that is missing, which no size matches."""
        sizes = sum(
            (self.numbers(column) for column in BY_NAME[node.operator].columns),
            start=np.zeros(len(self)),
        )
        verdicts = _verdicts(_holds(node, np.asarray(sizes)))
        return np.where((sizes == 0) & (verdicts == YES), np.int8(UNDECIDED), verdicts)

    # -- columns

    def numbers(self, column: str) -> Numbers:
        """A column as floats."""
        return self.columns.numbers(column, self.rows)

    def present(self, column: str) -> npt.NDArray[np.bool_]:
        """Where a column has a value."""
        return self.columns.present(column, self.rows)

    def text(
        self, node: Leaf, column: str, test: Callable[[str], object], *, missing: int = NO
    ) -> Verdicts:
        """What a test says about text."""
        return self.verdicts_of(node, column, lambda text: _said(test(text)), missing=missing)

    def verdicts_of(
        self, node: Leaf, column: str, test: Callable[[str], int], *, missing: int
    ) -> Verdicts:
        """What a test says about text; each different text is asked about once."""
        texts, codes = self.columns.texts(column, self.rows)
        return self.table((node, column), texts, codes, test, missing)

    def table(
        self,
        question: tuple[Leaf, str],
        texts: Sequence[Any],
        codes: npt.NDArray[Any],
        test: Callable[[str], int],
        missing: int,
    ) -> Verdicts:
        """A verdict for each row by its text; those on texts of earlier segments are known."""
        known = self.known.setdefault(question, {None: missing})
        verdicts = list(map(known.get, texts))
        if None in verdicts:
            for position, verdict in enumerate(verdicts):
                if verdict is None:
                    text = texts[position]
                    unclear = not isinstance(text, str) or _REPLACED in text
                    verdicts[position] = said = UNDECIDED if unclear else test(text)
                    if len(known) < _REMEMBERED:
                        known[text] = said
        of_rows: Verdicts = np.array(verdicts, dtype=np.int8)[codes]
        return of_rows


def _cost(node: Node) -> int:
    """How long it takes to judge a row, roughly."""
    match node:
        case And(items) | Or(items):
            return sum(map(_cost, items))
        case Not(item):
            return _cost(item)
        case Pattern(operator="u"):
            return 100
        case Pattern(operator="comment" | "src"):
            return 10
        case Pattern():
            return 2
        case _:
            return 1


def _joined(
    texts: Sequence[Any], codes: npt.NDArray[Any], between: str, others: Sequence[Any], more: Any
) -> tuple[list[str | None], npt.NDArray[Any]]:
    """Two texts of each row as one; None where one is missing."""
    numbers = codes.astype(np.int64) * len(others) + more
    different, which = np.unique(numbers, return_inverse=True)
    pairs = [(texts[n // len(others)], others[n % len(others)]) for n in different.tolist()]
    whole = [None if a is None or b is None else f"{a}{between}{b}" for a, b in pairs]
    return whole, which


def _said(found: object) -> int:
    return YES if found else NO


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
