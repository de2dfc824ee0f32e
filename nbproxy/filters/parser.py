"""From a string to a tree: the grammar, the lexical rules and their traps.

Every string that mitmproxy 12 accepts means the same here, with one exception (a backslash inside
quotes, see `_unquote`); what was an error there may be accepted here. From loosest to tightest:
juxtaposition (AND), `|`, `&`, `!`. `!`, `&` and `|` are operators only where an operand follows;
elsewhere they are characters of a word, and a word is a pattern for the URL.

One pass over the string and an explicit stack of open parentheses: the time is linear, and neither
ten thousand parentheses nor ten thousand `!` reach Python's recursion limit. Trees are bounded in
depth (`MAX_DEPTH`) because whoever walks them recurses.
"""

from __future__ import annotations

import re
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, NoReturn, assert_never

from nbproxy.errors import FilterError
from nbproxy.filters.compiler import compile_leaf
from nbproxy.filters.computed import computed
from nbproxy.filters.jsonpath import parse_path
from nbproxy.filters.matching import REGEX_FAULTS, column_parts
from nbproxy.filters.operators import (
    BY_NAME,
    COUNT,
    TIME,
    FlagOperator,
    JSONOperator,
    MeasureOperator,
    Operator,
    PatternOperator,
    WithinOperator,
)
from nbproxy.filters.tree import (
    And,
    Between,
    Flag,
    JSONValue,
    Measure,
    Not,
    Or,
    Pattern,
    Within,
    depth,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbproxy.filters.tree import Leaf, Node, Relation

# levels of a tree; deep enough for people, shallow enough for recursion below a notebook's frames
MAX_DEPTH = 64

_BLANKS = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"""[^()~'"\t\n\r ]+""")
_QUOTED = re.compile(r""""(?:[^"\\\n\r]|\\[^\n\r])*"|'(?:[^'\\\n\r]|\\[^\n\r])*'""")
_NAME = re.compile(r"[A-Za-z0-9_]*")
# mitmproxy ends a name at anything but printable ASCII; here these end it as well
_AFTER_NAME = re.compile(r"""\Z|[^!-~]|[()&|!"']""")
_END = r"""(?=\Z|[ \t\r\n()&|!"'~])"""
_DIGITS = re.compile(r"[0-9]+")
_STATUS_CLASS = re.compile(r"([1-9])[xX]{2}" + _END)


def _comparison(number: str, unit: str) -> re.Pattern[str]:
    """`N`, `>N`, `N-M` and so on, for such numbers and units."""
    return re.compile(
        rf"(?P<relation>>=|<=|>|<|=|)[ \t]*(?P<low>{number})(?P<low_unit>{unit})"
        rf"(?:-(?P<high>{number})(?P<high_unit>{unit}))?{_END}"
    )


_COUNTS = _comparison("[0-9]+", "")
_AMOUNTS = _comparison(r"[0-9]+(?:\.[0-9]+)?", "[A-Za-z]*")
# a petabyte, thirty million years; floats keep microseconds and whole bytes up to there
_MAX_AMOUNT = Decimal(10) ** 15
_MAX_AMOUNT_DIGITS = 40

_RELATIONS: Mapping[str, Relation] = {
    "": "=",
    "=": "=",
    ">": ">",
    ">=": ">=",
    "<": "<",
    "<=": "<=",
}

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_SPELLED = {"and": "&", "or": "|", "not": "!"}


def parse_tree(source: str, *, compat: bool = False) -> tuple[Node, tuple[str, ...]]:
    """The tree of an expression, and what its author should be told about it.

    Args:
        source: The expression.
        compat: Read backslashes inside quotes as mitmproxy does.

    Raises:
        FilterError: It is not a filter expression.
    """
    return _Parser(source, compat=compat).parse()


class _Group:
    """An open parenthesis, or the whole expression: what has been read in it so far."""

    __slots__ = ("alternatives", "conjuncts", "juxtaposed", "negations", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.juxtaposed: list[Node] = []
        self.alternatives: list[Node] = []
        self.conjuncts: list[Node] = []
        self.negations = 0

    def operand(self, node: Node) -> None:
        """An operand has been read; the `!` before it bind first."""
        for _ in range(self.negations):
            node = Not(node)
        self.negations = 0
        self.conjuncts.append(node)

    def end_of_and(self) -> None:
        """A `|` follows, or the end."""
        self.alternatives.append(_one_or(And, self.conjuncts))
        self.conjuncts = []

    def end_of_or(self) -> None:
        """Another operand follows without an operator, or the end."""
        self.end_of_and()
        self.juxtaposed.append(_one_or(Or, self.alternatives))
        self.alternatives = []

    def close(self) -> Node:
        """The end; the group holds at least one operand."""
        self.end_of_or()
        return _one_or(And, self.juxtaposed)


def _one_or(kind: type[And | Or], nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else kind(tuple(nodes))


class _Parser:
    """One pass over one source; `position` is where the next character is read."""

    def __init__(self, source: str, *, compat: bool) -> None:
        self.source = source
        self.compat = compat
        self.position = 0
        self.warnings: list[str] = []

    # -- structure

    def parse(self) -> tuple[Node, tuple[str, ...]]:
        """Read everything."""
        groups = [_Group(0)]
        operand_due = True  # at the start, and after an operator
        while self.skip_blanks() < len(self.source):
            start, char = self.position, self.source[self.position]
            group = groups[-1]
            if char == ")":
                groups = self.close_group(groups)
                operand_due = False
                continue
            if not operand_due:
                if char in "&|" and self.operand_follows(start + 1):
                    self.position += 1
                    operand_due = True
                    if char == "|":
                        group.end_of_and()
                    continue
                group.end_of_or()
            operand_due = True
            if char == "!" and self.operand_follows(start + 1):
                self.position += 1
                group.negations += 1
                if group.negations > MAX_DEPTH:
                    self.too_deep(start)
            elif char == "(":
                self.position += 1
                groups.append(_Group(start))
                if len(groups) > MAX_DEPTH:
                    self.too_deep(start)
            else:
                group.operand(self.read_operator() if char == "~" else self.read_bare())
                operand_due = False
        return self.finish(groups)

    def finish(self, groups: list[_Group]) -> tuple[Node, tuple[str, ...]]:
        """The end of the source: everything must be closed, and there must be something."""
        if len(groups) > 1:
            self.fail("this parenthesis is never closed", groups[-1].position)
        if not groups[0].conjuncts:
            self.fail("the filter is empty", 0, "write ~all for every flow")
        tree = groups[0].close()
        if depth(tree) > MAX_DEPTH:
            self.too_deep(0)
        return tree, tuple(dict.fromkeys(self.warnings))

    def close_group(self, groups: list[_Group]) -> list[_Group]:
        """A `)`."""
        group = groups[-1]
        if len(groups) == 1:
            self.fail("this parenthesis closes nothing", self.position, _quote_hint(")"))
        if not group.conjuncts:
            self.fail("there is nothing between the parentheses", group.position)
        self.position += 1
        groups[-2].operand(group.close())
        return groups[:-1]

    def operand_follows(self, position: int) -> bool:
        """Whether there is something at `position` that `!`, `&` or `|` could apply to."""
        end = _after(_BLANKS, self.source, position)
        return end < len(self.source) and self.source[end] != ")"

    def skip_blanks(self) -> int:
        """Go to the next character that counts."""
        self.position = _after(_BLANKS, self.source, self.position)
        return self.position

    # -- operands

    def read_bare(self) -> Leaf:
        """A pattern alone: it is for the URL."""
        start = self.position
        regex = self.read_regex() or ""
        if self.source[start] not in "\"'":
            self.warn_about_word(regex)
        return self.checked(Pattern("u", regex), start)

    def read_operator(self) -> Leaf:
        """A `~`, its name and its argument."""
        start = self.position
        end = _after(_NAME, self.source, start + 1)
        name = self.source[start + 1 : end]
        operator = BY_NAME.get(name)
        if operator is None or not _AFTER_NAME.match(self.source, end):
            self.fail_at_name(start, name, end)
        self.position = end
        if isinstance(operator, FlagOperator):
            return Flag(name)
        if self.source[end : end + 1] in tuple("()&|!"):
            self.fail_argument(operator, end)
        self.skip_blanks()
        match operator:
            case PatternOperator():
                return self.read_pattern(operator)
            case MeasureOperator():
                return self.read_measure(operator)
            case WithinOperator():
                return self.read_within(operator)
            case JSONOperator():
                return self.read_json(operator)
            case _:
                assert_never(operator)

    def read_pattern(self, operator: PatternOperator) -> Leaf:
        """The regular expression of an operator."""
        start = self.position
        regex = self.read_regex()
        if regex is None:
            self.fail_argument(operator, start)
        if regex in ("&", "|") and self.source[start] not in "\"'":
            self.warnings.append(
                f"`{regex}` is the pattern of ~{operator.name} here; "
                f"~{operator.name} takes an argument"
            )
        if operator.name in ("h", "hq", "hs") and regex.endswith(":"):
            self.warn_about_header(operator.name, regex)
        if operator.name == "col":
            self.warn_about_column(column_parts(regex)[0])
        return self.checked(Pattern(operator.name, regex), start)

    def read_measure(self, operator: MeasureOperator) -> Leaf:
        """A number, a comparison or a range."""
        start = self.position
        if operator.loose:
            match = _STATUS_CLASS.match(self.source, start)
            if match:
                self.position = match.end()
                hundred = int(match.group(1)) * 100
                return Between(operator.name, hundred, hundred + 99)
        match = (_COUNTS if operator.units is COUNT else _AMOUNTS).match(self.source, start)
        if match is None and operator.loose:
            match = _DIGITS.match(self.source, start)
            if match:  # mitmproxy: whatever follows the digits is the next operand
                self.position = match.end()
                return Measure(operator.name, "=", self.count(match.group(), start))
        if match is None:
            self.fail_argument(operator, start)
        self.position = match.end()
        relation = _RELATIONS[match["relation"]]
        unit = "s" if operator.units is TIME else ""
        low = self.amount(operator, match["low"], match["low_unit"], start)
        if match["high"] is None:
            if unit and relation == "=":
                self.fail(f"~{operator.name} needs > or <", start, f"write {operator.example}")
            return Measure(operator.name, relation, low, unit)
        if match["relation"]:
            self.fail("a comparison takes one number, not a range", start)
        high = self.amount(
            operator, match["high"], match["high_unit"] or match["low_unit"], match.start("high")
        )
        if low > high:
            self.fail("this range ends before it begins", start)
        return Between(operator.name, low, high, unit)

    def read_within(self, operator: WithinOperator) -> Leaf:
        """A span of time."""
        start = self.position
        match = _AMOUNTS.match(self.source, start)
        if match is None or match["relation"] or match["high"] is not None:
            self.fail_argument(operator, start)
        self.position = match.end()
        return Within(operator.name, self.seconds(operator, match, start))

    def read_json(self, operator: JSONOperator) -> Leaf:
        """A path and a regular expression: `$.a=rex`, `$.a="rex"`, or all of it in quotes."""
        start = self.position
        text = self.read_regex()
        if text is None:
            self.fail_argument(operator, start)
        is_word = self.source[start] not in "\"'"
        if (
            is_word
            and text.endswith("=")
            and self.source[self.position : self.position + 1]
            in (
                '"',
                "'",
            )
        ):
            text += self.read_regex() or ""
        try:
            path, regex = parse_path(text)
        except ValueError as error:
            self.fail(str(error), start, f"write {operator.example}")
        return self.checked(JSONValue(operator.name, path, regex), start)

    # -- numbers

    def count(self, digits: str, position: int) -> int:
        """Digits as a number."""
        try:
            return int(digits)
        except ValueError:  # Python bounds the digits it converts
            self.fail("this number is too long", position)

    def amount(self, operator: MeasureOperator, digits: str, unit: str, position: int) -> float:
        """Digits and unit as a number in the operator's base unit."""
        if operator.units is COUNT:
            return self.count(digits, position)
        value = self.scaled(operator, operator.units, digits, unit, position)
        return float(value) if operator.units is TIME or value % 1 else int(value)

    def seconds(self, operator: WithinOperator, match: re.Match[str], position: int) -> float:
        """A span in seconds."""
        return float(self.scaled(operator, TIME, match["low"], match["low_unit"], position))

    def scaled(
        self, operator: Operator, units: Mapping[str, str], digits: str, unit: str, position: int
    ) -> Decimal:
        """Digits times unit, to six decimals."""
        worth = units.get(unit.lower())
        if worth is None:
            known = ", ".join(each for each in units if each)
            self.fail(f"{unit!r} is not a unit of ~{operator.name}", position, f"units: {known}")
        value = Decimal(digits[:_MAX_AMOUNT_DIGITS]) * Decimal(worth)
        if len(digits) > _MAX_AMOUNT_DIGITS or value > _MAX_AMOUNT:
            self.fail("this number is too large", position)
        return round(value, 6)

    # -- patterns

    def read_regex(self) -> str | None:
        """A word or a quoted string, unescaped; None if there is neither."""
        match = _WORD.match(self.source, self.position)
        if match:
            self.position = match.end()
            return match.group()
        if self.source[self.position : self.position + 1] not in ('"', "'"):
            return None
        match = _QUOTED.match(self.source, self.position)
        if match is None:
            hint = _quote_hint(self.source[self.position])
            self.fail("this quote is not closed on its line", self.position, hint)
        self.position = match.end()
        return _unquote(match.group()[1:-1], compat=self.compat)

    def checked(self, leaf: Leaf, start: int) -> Leaf:
        """The leaf, if its regular expression compiles."""
        try:
            compile_leaf(leaf, _no_clock)
        except REGEX_FAULTS as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            self.fail(
                f"not a regular expression: {reason}",
                start,
                "put a backslash before characters meant as they are, such as \\* or \\[",
            )
        return leaf

    # -- what the author should know

    def warn_about_word(self, word: str) -> None:
        """A bare word that was probably meant as an operator."""
        meant = _SPELLED.get(word.lower())
        if meant:
            self.warnings.append(f"`{word}` is a pattern for the URL here; the operator is {meant}")
        elif word[0] in "&|" or word == "!":
            once = f"; the operator is a single {word[0]}" if word != "!" else ""
            self.warnings.append(f"`{word}` is a pattern for the URL here{once}")
        elif word[-1] in "&|":
            self.warnings.append(
                f"`{word}` is one pattern; put a blank before an operator: {word[:-1]} {word[-1]}"
            )

    def warn_about_header(self, name: str, regex: str) -> None:
        """`~h x: y`, which ends the pattern at the blank."""
        following = _WORD.match(self.source, _after(_BLANKS, self.source, self.position))
        if following and following.group()[0] not in "&|!":
            word = following.group()
            self.warnings.append(
                f"`{word}` is a pattern for the URL here; "
                f'to search a header line write ~{name} "{regex} {word}"'
            )

    def warn_about_column(self, name: str) -> None:
        """A column that nobody has added; that may still come, so it is no fault."""
        if name in computed:
            return
        known = list(computed.functions())
        close = get_close_matches(name, known, n=1)
        if close:
            hint = f"did you mean `{close[0]}`?"
        else:
            hint = f"there are: {', '.join(known)}" if known else "there is none yet"
        self.warnings.append(
            f"`{name}` is no column of nbproxy.column, so ~col matches nothing; {hint}"
        )

    # -- faults

    def fail(self, problem: str, position: int, hint: str = "") -> NoReturn:
        """Give up."""
        raise FilterError(problem, self.source, position, hint)

    def too_deep(self, position: int) -> NoReturn:
        """Give up on a tree too deep to be walked."""
        self.fail(f"the filter is nested more than {MAX_DEPTH} levels deep", position)

    def fail_argument(self, operator: Operator, position: int) -> NoReturn:
        """The argument is missing, or not what the operator takes."""
        kind = "a pattern" if isinstance(operator, PatternOperator) else f"a {operator.argument}"
        self.fail(f"~{operator.name} needs {kind}", position, f"write {operator.example}")

    def fail_at_name(self, start: int, name: str, end: int) -> NoReturn:
        """The name is unknown, or runs on into something else."""
        if name in BY_NAME:
            rest = self.source[end]
            joiner = " & " if rest == "~" else " "
            self.fail(
                f"~{name} must be followed by a blank, not by {rest!r}",
                end,
                f"did you mean `~{name}{joiner}{self.tail(end)}`?",
            )
        if not name:
            self.fail("there is no operator name after ~", start, 'a ~ itself must be quoted: "~"')
        self.fail(f"there is no operator ~{name}", start, self.suggestion(name, end))

    def tail(self, position: int) -> str:
        """What stands at `position`, up to the next blank."""
        return self.source[position:].split(maxsplit=1)[0]

    def suggestion(self, name: str, end: int) -> str:
        """What an unknown name was probably meant to be."""
        if name.lower() in BY_NAME:
            return f"did you mean `~{name.lower()}`? names are lower-case"
        # short names resemble one another too much to be guessed
        close = get_close_matches(name.lower(), BY_NAME, n=1, cutoff=0.8)
        if close and len(close[0]) > 3:
            return f"did you mean `~{close[0]}`?"
        for size in range(min(len(name) - 1, _LONGEST_NAME), 0, -1):
            head = BY_NAME.get(name[:size])
            if head and (name[size].isdigit() or not isinstance(head, MeasureOperator)):
                rest = name[size:] + _NAME_TAIL.sub("", self.source[end:])
                return f"did you mean `~{head.name} {rest}`?"
        return "nbproxy.filters.describe() lists them"


_LONGEST_NAME = max(map(len, BY_NAME))
_NAME_TAIL = re.compile(r"""[ \t\r\n()~'"].*""", re.DOTALL)


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a pattern's match at `position` ends; `position` if there is none."""
    match = pattern.match(text, position)
    return match.end() if match else position


def _no_clock() -> float:
    return 0.0


def _quote_hint(char: str) -> str:
    quoted = f"'{char}'" if char == '"' else f'"{char}"'
    return f"if the character is meant, quote it: {quoted}"


def _unquote(text: str, *, compat: bool) -> str:
    r"""The text between quotes without its escapes.

    Only `\\`, `\"`, `\'`, `\t`, `\n`, `\r` and `\f` are escapes, so that `"\d+"` means what
    it looks like. With `compat` every backslash goes, as in mitmproxy, where that is `d+`.
    """

    def plain(match: re.Match[str]) -> str:
        char = match.group(1)
        if compat and char == "0":
            return "\0"
        if compat or char in _CONTROLS or char in "\\\"'":
            return _CONTROLS.get(char, char)
        return match.group()

    return _ESCAPED.sub(plain, text)
