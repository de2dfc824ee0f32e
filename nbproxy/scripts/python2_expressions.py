"""Conversion of Python 2's expressions: literals, operators, methods, names.

Wrapping an expression needs its begin; in Python 2 that of a chain such as `a.b(c)[d]` can be found
by walking its tokens backwards.
"""

from __future__ import annotations

import ast
import keyword
import re
from typing import TYPE_CHECKING, Final

from nbproxy.errors import ScriptError
from nbproxy.scripts.python2_marks import OLD_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.scripts.python2_marks import Facts
    from nbproxy.scripts.python2_tokens import Token

# Builtins that are gone or do something else; `py2` has them under these names.
_BUILTINS: Final = frozenset(
    [
        "unicode",
        "basestring",
        "unichr",
        "long",
        "xrange",
        "raw_input",
        "file",
        "reduce",
        "cmp",
        "apply",
        "buffer",
        "intern",
        "execfile",
        "reload",
        "StandardError",
        "range",
        "map",
        "filter",
        "zip",
        "open",
        "sorted",
        "input",
        "round",
    ]
)
_KEYWORDS: Final = frozenset((*keyword.kwlist, "print", "exec")) - {"True", "False", "None"}
_RENAMED_METHODS: Final = {
    "has_key": "__contains__",
    "func_name": "__name__",
    "func_code": "__code__",
    "func_defaults": "__defaults__",
    "func_globals": "__globals__",
    "func_doc": "__doc__",
    "im_func": "__func__",
    "im_self": "__self__",
}
_VIEWS: Final = {
    "iteritems": "items",
    "iterkeys": "keys",
    "itervalues": "values",
    "viewitems": "items",
    "viewkeys": "keys",
    "viewvalues": "values",
    "next": "__next__",
}
_LISTS: Final = frozenset(("keys", "values", "items"))
_OF_MODULES: Final = {
    ("sys", "maxint"): ("sys", "maxsize"),
    ("os", "getcwdu"): ("os", "getcwd"),
}
_DEFINITIONS: Final = {
    "next": "__next__",
    "__nonzero__": "__bool__",
    "__div__": "__truediv__",
    "__rdiv__": "__rtruediv__",
    "__idiv__": "__itruediv__",
}
_UNKNOWN_ESCAPE = re.compile(r"\\([^\n\\'\"abfnrtvx0-7])")
_ESCAPE = re.compile(r"\\(?:[\s\S])")
_HIGH = re.compile(r"(\\\\)|((?:\\x[89a-fA-F][0-9a-fA-F]|\\[23][0-7]{2})+)")


def rewrite(tokens: list[Token], facts: Facts, needed: set[str], path: str) -> None:
    """Edit all expressions; names to be imported from `py2` are added to `needed`."""
    _Expressions(tokens, facts, needed, path).rewrite()


class _Expressions:
    def __init__(self, tokens: list[Token], facts: Facts, needed: set[str], path: str) -> None:
        self.tokens = tokens
        self.facts = facts
        self.needed = needed
        self.path = path
        self.brackets = _matched(tokens)
        self.quoted = False
        self.given: dict[int, str] = {}

    def rewrite(self) -> None:
        for index, token in enumerate(self.tokens):
            if token.kind == "number":
                token.text = _number(token.text)
            elif token.kind == "string":
                self._literal(index, token)
            elif token.kind == "op":
                self._operator(index, token)
            elif token.kind == "name":
                self._name(index, token)

    def _literal(self, index: int, token: Token) -> None:
        """Rewrite a literal; where bytes are meant that are no text, say so."""
        unicode = self.facts.literal_unicode
        token.text = _string(token.text, literal_unicode=unicode)
        if self.tokens[index - 1].kind == "string" and index:
            return
        end = index
        while self.tokens[end + 1].kind == "string":
            end += 1
        group = [
            _string(each.text, literal_unicode=unicode) for each in self.tokens[index : end + 1]
        ]
        if any(_has_bytes(text) for text in group):
            token.lead += "_py2_bytes("
            self.tokens[end].tail += ")"
            self.needed.add("_py2_bytes")

    def _operator(self, index: int, token: Token) -> None:
        if token.text == "<>":
            token.text = "!="
        elif token.text == "`":
            token.text = ")" if self.quoted else "repr("
            self.quoted = not self.quoted
        elif token.text == "/" and self.facts.divides:
            token.text = "*_py2_div*"
            self.needed.add("_py2_div")
        elif token.text == "/=" and self.facts.divides:
            token.text = "*= _py2_div("
            self.tokens[self._statement_end(index) - 1].tail += ")"
            self.needed.add("_py2_div")

    def _statement_end(self, index: int) -> int:
        for at in range(index + 1, len(self.tokens)):
            token = self.tokens[at]
            if token.kind in {"newline", "end"} or (token.text == ";" and not token.depth):
                return at
        raise AssertionError("the last token is of kind end")

    def _name(self, index: int, token: Token) -> None:
        previous = self.tokens[index - 1].text if index else ""
        if previous == ".":
            self._attribute(index, token)
        elif previous == "def":
            if token.text != "next" or self.tokens[index - 1].column != 0:  # a method
                token.text = _DEFINITIONS.get(token.text, token.text)
        elif token.text in _BUILTINS:
            self.needed.add(token.text)
        elif token.text == "lambda":
            self._lambda(index)

    # -- attributes

    def _attribute(self, index: int, token: Token) -> None:
        name, tokens = token.text, self.tokens
        following = tokens[index + 1].text
        if name == "message" and tokens[index - 2].text in self.facts.caught:
            self._wrap(index, "_py2_message(")
            tokens[index - 1].text = token.text = ""
        elif name == "setdefaultencoding" and tokens[index - 2].text == "sys":
            tokens[index - 2].text = tokens[index - 1].text = ""
            token.text = "(lambda *_: None)"
        elif (tokens[index - 2].text, name) in _OF_MODULES:
            token.text = _OF_MODULES[tokens[index - 2].text, name][1]
        elif name in _RENAMED_METHODS and name not in self.facts.defined:
            token.text = _RENAMED_METHODS[name]
        elif following != "(":
            return
        elif name in {"encode", "decode"}:
            self._wrap(index, "_py2_str(")
        elif tokens[index + 2].text != ")":
            return
        elif name in _VIEWS and (name not in self.facts.defined or name == "next"):
            token.text = _VIEWS[name]
        elif name in _LISTS and name not in self.facts.defined:
            self._wrap(index, "list(", upto=index + 2)

    def _wrap(self, index: int, call: str, upto: int | None = None) -> None:
        """Put `call(...)` around what the attribute at `index` belongs to."""
        start = self._primary(index - 2)
        self.tokens[start].lead = call + self.tokens[start].lead
        self.tokens[index - 2 if upto is None else upto].tail += ")"
        if call.startswith("_"):
            self.needed.add(call.removesuffix("("))

    def _primary(self, index: int) -> int:
        """Where the chain begins whose last token stands at `index`."""
        tokens = self.tokens
        while True:
            token = tokens[index]
            if index in self.brackets:
                index = self.brackets[index]
                if tokens[index].text != "{" and index and self._is_operand(index - 1):
                    index -= 1
                    continue
            elif token.kind == "string":
                while index and tokens[index - 1].kind == "string":
                    index -= 1
            if index > 1 and tokens[index - 1].text == "." and tokens[index - 1].kind == "op":
                index -= 2
                continue
            return index

    def _is_operand(self, index: int) -> bool:
        token = self.tokens[index]
        if token.kind == "name":
            is_attribute = index > 0 and self.tokens[index - 1].text == "."
            return is_attribute or token.text not in _KEYWORDS
        return token.kind == "string" or token.text in {")", "]", "}"}

    # -- lambda (a, b): ...

    def _lambda(self, index: int) -> None:
        """`lambda (a, b): x` becomes `lambda p: (lambda a, b: x)(*p)`, level by level."""
        tokens = self.tokens
        colon = next(self._same_depth(index, {":"}))
        groups = self._tuples(index + 1, colon)
        if not groups and not any(self._opens(at, index + 1) for at in range(index + 1, colon)):
            return
        end = next(self._same_depth(colon, {",", ":", "for", ";"}, out=True))
        outer = self._parameters(index + 1, colon)
        prefix = suffix = ""
        while groups:
            names, inner, deeper = [], [], []
            for opening in groups:
                closing = self._closing(opening)
                below = self._tuples(opening + 1, closing)
                names.append(self.given[opening])
                inner.append(self._parameters(opening + 1, closing))
                deeper += below
            prefix += f" (lambda {', '.join(inner)}:"
            suffix = f")({', '.join(f'*{name}' for name in names)}){suffix}"
            groups = deeper
        for token in tokens[index + 1 : colon]:
            token.text, token.before = "", "\\\n" * token.before.count("\n")
        tokens[index].tail += f" {outer}"
        tokens[colon].tail += prefix
        tokens[end - 1].tail += suffix

    def _closing(self, opening: int) -> int:
        return next(closing for closing, begin in self.brackets.items() if begin == opening)

    def _tuples(self, start: int, end: int) -> list[int]:
        """Where parameters that are tuples open; each gets a name."""
        found = []
        for at in range(start, end):
            token = self.tokens[at]
            if (
                token.depth == self.tokens[start].depth
                and self._opens(at, start)
                and any(t.text == "," for t in self.tokens[at : self._closing(at)])
            ):
                found.append(at)
                self.given[at] = f"_py2_{len(self.given)}"
        return found

    def _opens(self, at: int, start: int) -> bool:
        """Whether a parameter in brackets begins here."""
        return self.tokens[at].text == "(" and (at == start or self.tokens[at - 1].text == ",")

    def _parameters(self, start: int, end: int) -> str:
        """The parameters between two tokens, tuples by their names."""
        parts: list[str] = []
        at = start
        idle = set()  # brackets around one name: the name
        while at < end:
            token = self.tokens[at]
            if at in self.given:
                parts.append(f" {self.given[at]}")
                at = self._closing(at)
            elif self._opens(at, start):
                idle.add(self._closing(at))
            elif at not in idle:
                parts.append(f"{' ' if token.before else ''}{token.lead}{token.text}{token.tail}")
            at += 1
        return "".join(parts).strip().rstrip(",")

    def _same_depth(self, start: int, ends: set[str], *, out: bool = False) -> Iterator[int]:
        depth = self.tokens[start].depth
        for at in range(start + 1, len(self.tokens)):
            token = self.tokens[at]
            if (
                (token.kind in {"newline", "end"} and not depth)
                or (token.depth == depth and token.text in ends)
                or (out and token.depth < depth)
            ):
                yield at
        raise ScriptError("a lambda without an end", self.path, self.tokens[start].line)


def _matched(tokens: list[Token]) -> dict[int, int]:
    """The opening bracket of each closing one."""
    stack: list[int] = []
    found = {}
    for index, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text in "([{":
            stack.append(index)
        elif token.text in ")]}" and stack:
            found[index] = stack.pop()
    return found


def _number(text: str) -> str:
    if not OLD_NUMBER.fullmatch(text) or text[1:2] in "xXbBoO":
        return text.rstrip("lL")
    plain = text.rstrip("lL")
    is_octal = len(plain) > 1 and plain[0] == "0" and plain.strip("0")
    return f"0o{plain[1:]}" if is_octal else plain


def _string(text: str, *, literal_unicode: bool) -> str:
    """A literal that means the same, as text; `py2.text` says which text bytes are."""
    quote = min(text.index(q) for q in "'\"" if q in text)
    prefix, body = text[:quote].lower(), text[quote:]
    is_unicode = "u" in prefix or (literal_unicode and "b" not in prefix)
    if "r" in prefix:
        return _raw_unicode(body) if "u" in prefix else f"r{body}"
    if is_unicode:
        return f"u{body}" if "u" in prefix else body
    body = _doubled(body)
    return _HIGH.sub(lambda m: m[1] or _as_text(m[2]), body) if _is_utf8(body) else body


def _doubled(body: str) -> str:
    r"""Escapes that mean nothing in a byte string, `\u` and `\N` among them, as plain text."""
    return _ESCAPE.sub(lambda m: _UNKNOWN_ESCAPE.sub(r"\\\\\1", m[0]), body)


def _raw_unicode(body: str) -> str:
    r"""`ur""` read its `\u` escapes, and nothing else."""

    def plain(match: re.Match[str]) -> str:
        return match[0] if match[0][1] in "uU" else "\\" + match[0].replace('"', '\\"')

    return "u" + _ESCAPE.sub(plain, body)


def _has_bytes(text: str) -> bool:
    """Whether a converted literal still has escapes of bytes that are no text."""
    return text[0] in "'\"" and any(match[2] for match in _HIGH.finditer(text))


def _is_utf8(body: str) -> bool:
    if not any(match[2] for match in _HIGH.finditer(body)):
        return False
    try:
        value = ast.literal_eval(body)
        return bool(value.encode("latin-1").decode("utf-8"))
    except (ValueError, SyntaxError):
        return False


def _as_text(escapes: str) -> str:
    raw: str = ast.literal_eval(f"'{escapes}'")
    try:
        return raw.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return escapes
