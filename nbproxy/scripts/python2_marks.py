"""What in a source tells that it is Python 2, and what its conversion has to know beforehand."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nbproxy.scripts.python2_tokens import COMPOUND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbproxy.scripts.python2_tokens import Token

OLD_NUMBER = re.compile(r"0[0-7]+[lL]?|.*[lL]")
_OLD_STRING = re.compile(r"[uU][rR]")

# Modules that Python 3 does not have, by these names or at all.
GONE: Final = frozenset(
    [
        "urllib2",
        "urlparse",
        "StringIO",
        "cStringIO",
        "Queue",
        "ConfigParser",
        "HTMLParser",
        "cPickle",
        "Cookie",
        "cookielib",
        "httplib",
        "SocketServer",
        "BaseHTTPServer",
        "SimpleHTTPServer",
        "CGIHTTPServer",
        "xmlrpclib",
        "htmlentitydefs",
        "thread",
        "commands",
        "md5",
        "sha",
        "sets",
        "__builtin__",
        "copy_reg",
        "robotparser",
        "UserDict",
        "UserList",
        "UserString",
        "Image",
    ]
)
_NAMES: Final = frozenset(
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
        "execfile",
        "reload",
        "StandardError",
    ]
)
_METHODS: Final = frozenset(("has_key", "iteritems", "iterkeys", "itervalues"))
_ATTRIBUTES: Final = frozenset(
    [
        "sys.maxint",
        "sys.setdefaultencoding",
        "os.getcwdu",
        "string.letters",
        "string.lowercase",
        "string.uppercase",
        "string.join",
        "string.replace",
        "string.split",
        "string.maketrans",
        "itertools.izip",
        "itertools.imap",
        "itertools.ifilter",
        "urllib.urlencode",
        "urllib.quote",
        "urllib.unquote",
        "urllib.quote_plus",
        "urllib.unquote_plus",
        "urllib.urlopen",
        "urllib.urlretrieve",
    ]
)
_BYTE_CODECS: Final = frozenset(("hex", "base64", "zlib", "string_escape", "rot13"))


@dataclass
class Facts:
    """What a source says about itself.

    Attributes:
        prints: True if `print` and `exec` are statements in it.
        divides: True if `/` of integers gives an integer.
        literal_unicode: True if plain string literals are unicode.
        constructs: What Python 3 cannot parse: names of constructs, for messages.
        python2_only: True if it has what is Python 2 although Python 3 may parse it.
        defined: Names of its own functions and methods.
        caught: Names that exceptions are bound to.
    """

    prints: bool
    divides: bool = True
    literal_unicode: bool = False
    constructs: set[str] = field(default_factory=set)
    python2_only: bool = False
    defined: set[str] = field(default_factory=set)
    caught: set[str] = field(default_factory=set)


def is_simple(token: Token) -> bool:
    """Whether the statement that begins here may share its line with another."""
    return token.text not in COMPOUND and token.text != "@"


def read(tokens: list[Token], *, prints: bool) -> Facts:
    """The facts of a source; `prints` is False if Python 3 could parse it as it is."""
    facts = Facts(prints)
    for index, token in enumerate(tokens[:-1]):
        following = tokens[index + 1]
        if token.kind == "number" and OLD_NUMBER.fullmatch(token.text) and token.text.strip("0"):
            hexadecimal = token.text[1:2] in "xXbBoO" and token.text[-1] not in "lL"
            if not hexadecimal:
                facts.constructs.add("an old number")
        elif token.kind == "string" and _OLD_STRING.match(token.text):
            facts.constructs.add('ur""')
        elif token.kind == "op" and token.text in {"`", "<>"}:
            facts.constructs.add(token.text)
        elif token.kind == "name":
            _note_name(tokens, index, token, following, facts)
    return facts


def _note_name(
    tokens: list[Token], index: int, token: Token, following: Token, facts: Facts
) -> None:
    if token.text == "def":
        facts.defined.add(following.text)
        if following.kind == "name" and _has_tuple_parameter(tokens, index + 2):
            facts.constructs.add("a tuple as parameter")
    elif token.text == "lambda" and following.text == "(":
        facts.constructs.add("a tuple as parameter")
    elif token.text == "__future__" and tokens[index - 1].text == "from":
        _note_futures(tokens, index, facts)
    elif token.text == "print" and token.first and _is_print_statement(following):
        facts.constructs.add("print")
    elif token.text == "exec" and token.first and following.kind in {"name", "string"}:
        facts.constructs.add("exec")
    elif token.text == "except" and token.first:
        _note_except(tokens, index, facts)
    elif token.text == "raise" and token.first and comma(tokens, index, "newline") is not None:
        facts.constructs.add("raise E, V")


def _is_print_statement(following: Token) -> bool:
    return following.kind in {"name", "string", "number"} or following.text in {
        *("`", ">>", "-", "~", "{"),
    }


def _has_tuple_parameter(tokens: list[Token], opening: int) -> bool:
    depth = tokens[opening].depth + 1
    for index in range(opening + 1, len(tokens)):
        token = tokens[index]
        if token.text == ")" and token.depth < depth:
            return False
        if token.text == "(" and token.depth == depth and tokens[index - 1].text in {"(", ","}:
            return True
    return False


def _note_futures(tokens: list[Token], index: int, facts: Facts) -> None:
    for token in tokens[index:]:
        if token.kind == "newline":
            return
        if token.text == "division":
            facts.divides = False
        elif token.text == "unicode_literals":
            facts.literal_unicode = True
        elif token.text == "print_function":
            facts.prints = False


def _note_except(tokens: list[Token], index: int, facts: Facts) -> None:
    at = comma(tokens, index, ":")
    if at is None:
        return
    facts.constructs.add("except E, e")
    name = tokens[at + 1]
    if name.kind == "name" and tokens[at + 2].text == ":":
        facts.caught.add(name.text)
        # From 3.14 on (PEP 758) this may also be two classes: names tell them apart.
        facts.python2_only |= name.text[:1].islower() and not name.text.endswith("error")


def comma(tokens: list[Token], start: int, end: str) -> int | None:
    """Where the first comma of a statement stands, brackets skipped, before its `end`."""
    depth = tokens[start].depth
    for index in range(start + 1, len(tokens)):
        token = tokens[index]
        if token.depth == depth and token.text == "," and token.kind == "op":
            return index
        if token.kind in {"newline", "end"} or (token.depth == depth and token.text in {end, ";"}):
            return None
    return None


def uses_python2_names(tree: ast.Module) -> bool:
    """Whether a source that Python 3 can parse needs what only Python 2 had.

    What stands in a `try` is left out: there a script provides for both.
    """
    bound = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _binds(n)}
    bound |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    for node in _outside_try(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            bound |= {
                alias.asname or alias.name
                for each in ast.walk(node)
                if isinstance(each, (ast.Import, ast.ImportFrom))
                for alias in each.names
            }
    modules = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    return any(_is_old(node, bound, modules) for node in _outside_try(tree))


def _binds(name: ast.Name) -> bool:
    return isinstance(name.ctx, (ast.Store, ast.Del))


def _outside_try(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        handlers = child.handlers if isinstance(child, ast.Try) else []
        if any(_provides_for_both(handler) for handler in handlers):
            continue
        yield child
        yield from _outside_try(child)


def _provides_for_both(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else ""
    return "ImportError" in caught or "NameError" in caught or "ModuleNotFoundError" in caught


def _is_old(node: ast.AST, bound: set[str], modules: set[str]) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name in GONE for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in GONE and not node.level
    if isinstance(node, ast.Name):
        return node.id in _NAMES and node.id not in bound
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id in modules and f"{node.value.id}.{node.attr}" in _ATTRIBUTES
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_old_call(node, node.func)
    return False


def _is_old_call(node: ast.Call, function: ast.Attribute) -> bool:
    if function.attr in _METHODS:
        return not (isinstance(function.value, ast.Name) and function.value.id == "six")
    first = node.args[0] if node.args else None
    return (
        function.attr in {"encode", "decode"}
        and isinstance(first, ast.Constant)
        and first.value in _BYTE_CODECS
    )
