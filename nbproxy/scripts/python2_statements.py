"""Conversion of Python 2's statements: print, exec, raise, except, import, tuples as parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nbproxy.errors import ScriptError
from nbproxy.scripts.python2_marks import comma, is_simple

if TYPE_CHECKING:
    from nbproxy.scripts.python2_marks import Facts
    from nbproxy.scripts.python2_tokens import Token

_PACKAGE: Final = "nbproxy.scripts.py2"

# What a module is called now.
RENAMED: Final = {
    "Queue": "queue",
    "Cookie": "http.cookies",
    "cookielib": "http.cookiejar",
    "httplib": "http.client",
    "SocketServer": "socketserver",
    "BaseHTTPServer": "http.server",
    "SimpleHTTPServer": "http.server",
    "CGIHTTPServer": "http.server",
    "xmlrpclib": "xmlrpc.client",
    "SimpleXMLRPCServer": "xmlrpc.server",
    "htmlentitydefs": "html.entities",
    "thread": "_thread",
    "dummy_thread": "_thread",
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "repr": "reprlib",
    "robotparser": "urllib.robotparser",
    "UserDict": "collections",
    "UserList": "collections",
    "UserString": "collections",
    "Tkinter": "tkinter",
    "anydbm": "dbm",
    "Image": "PIL.Image",
    "ImageDraw": "PIL.ImageDraw",
    "ImageFont": "PIL.ImageFont",
    "email.MIMEText": "email.mime.text",
    "email.MIMEMultipart": "email.mime.multipart",
    "email.MIMEBase": "email.mime.base",
    "email.MIMEImage": "email.mime.image",
    "email.Utils": "email.utils",
    "email.Header": "email.header",
    "email.Encoders": "email.encoders",
}
# Modules that do something else now, or took and gave what was text and bytes in one.
WRAPPED: Final = frozenset(
    [
        "urllib",
        "urllib2",
        "urlparse",
        "StringIO",
        "cStringIO",
        "string",
        "itertools",
        "types",
        "base64",
        "binascii",
        "hashlib",
        "zlib",
        "struct",
        "json",
        "simplejson",
        "pickle",
        "cPickle",
        "md5",
        "sha",
        "sets",
        "commands",
        "subprocess",
        "gzip",
        "ConfigParser",
        "HTMLParser",
    ]
)


def rewrite(tokens: list[Token], facts: Facts, needed: set[str], path: str) -> None:
    """Edit all statements; names to be imported from `py2` are added to `needed`."""
    _Statements(tokens, facts, needed, path).rewrite()


class _Statements:
    def __init__(self, tokens: list[Token], facts: Facts, needed: set[str], path: str) -> None:
        self.tokens = tokens
        self.facts = facts
        self.needed = needed
        self.path = path
        self.made = 0

    def rewrite(self) -> None:
        for index, token in enumerate(self.tokens):
            if token.kind != "name":
                continue
            if token.text == "def":
                self._def(index)
            if not token.first:
                continue
            if token.text == "except":
                self._except(index)
            elif token.text == "raise":
                self._raise(index)
            elif token.text == "exec":
                self._exec(index)
            elif token.text == "print" and self.facts.prints:
                self._print(index)
            elif token.text == "import":
                self._import(index)
            elif token.text == "from":
                self._from(index)

    # -- tools

    def _end(self, index: int) -> int:
        """The token after the statement that begins at `index`."""
        for at in range(index, len(self.tokens)):
            token = self.tokens[at]
            if token.kind in {"newline", "end"} or (token.text == ";" and not token.depth):
                return at
        raise AssertionError("the last token is of kind end")

    def _pieces(self, start: int, end: int, depth: int = 0) -> list[tuple[int, int]]:
        """Parts of an expression list; a comma at the end leaves an empty last part."""
        pieces = []
        begin = start
        for at in range(start, end):
            token = self.tokens[at]
            if token.text == "," and token.kind == "op" and token.depth == depth:
                pieces.append((begin, at))
                begin = at + 1
        return [*pieces, (begin, end)]

    def _closing(self, opening: int) -> int:
        depth = self.tokens[opening].depth
        return next(
            at
            for at in range(opening + 1, len(self.tokens))
            if self.tokens[at].depth == depth and self.tokens[at].text in {")", "]", "}"}
        )

    def _is_call(self, index: int, end: int) -> bool:
        """Whether all of the statement's operands stand in one pair of brackets."""
        return self.tokens[index + 1].text == "(" and self._closing(index + 1) == end - 1

    def _into_suite(self, colon: int, given: list[tuple[str, str]], what: str) -> None:
        """Let the block that this colon opens begin with assignments, on its first line.

        Args:
            colon: Where it stands.
            given: Targets and values.
            what: For the message if there is no room for them.
        """
        first = colon + 1
        while self.tokens[first].kind == "newline":
            first += 1
        token = self.tokens[first]
        if is_simple(token):
            code = "; ".join(f"{target} = {value}" for target, value in given)
            token.lead = f"{code}; {token.lead}"
            return
        if token.text == "try":
            self._into_suite(first + 1, given, what)
            return
        names = [(target.strip("([)] ").split(","), value) for target, value in given]
        flat = all(name.strip().isidentifier() for each, _ in names for name in each if name)
        if token.text not in {"if", "for", "with"} or not flat:
            raise ScriptError(
                f"{what}, and the block begins with {token.text!r}: put `pass` before it",
                self.path,
                self.tokens[colon].line,
            )
        # A compound statement shares no line; but its first expression may assign by the way.
        at = first
        if token.text == "for":
            at = next(i for i in range(first, len(self.tokens)) if self.tokens[i].text == "in")
        assigned = ", ".join(
            f"{name.strip()} := {value}[{number}]"
            for each, value in names
            for number, name in enumerate(each)
            if name.strip()
        )
        self.tokens[at].tail += f" ({assigned},) and"

    def _name(self) -> str:
        self.made += 1
        return f"_py2_given{self.made}"

    # -- print and exec

    def _print(self, index: int) -> None:
        tokens = self.tokens
        end = self._end(index)
        token = tokens[index]
        if end == index + 1:
            token.text = "print()"
            return
        if self._is_call(index, end) and (
            len(self._pieces(index + 2, end - 1, 1)) == 1 or self._has_keyword(index + 2, end)
        ):
            return
        token.text = "print("
        tokens[index + 1].before = tokens[index + 1].before.lstrip(" \t")
        extra = ""
        pieces = self._pieces(index + 1, end)
        if tokens[index + 1].text == ">>":
            start, stop = pieces.pop(0)
            extra = f", file={self._cut(start + 1, stop)}"
            tokens[start].text = ""
            if pieces:
                tokens[stop].text = ""
                tokens[stop + 1].before = tokens[stop + 1].before.lstrip(" \t")
        if len(pieces) > 0 and pieces[-1][0] == pieces[-1][1]:
            tokens[pieces[-1][0] - 1].text = ""
            extra += ', end=" "'
            pieces.pop()
        if not pieces:
            extra = extra.removeprefix(", ")
        tokens[end - 1].tail += f"{extra})"

    def _has_keyword(self, start: int, end: int) -> bool:
        depth = self.tokens[start - 1].depth + 1
        return any(
            self.tokens[at].text == "=" and self.tokens[at].depth == depth
            for at in range(start, end)
        )

    def _cut(self, start: int, stop: int) -> str:
        """Take an expression out of the line; its line breaks, inside brackets, stay behind."""
        cut = []
        for token in self.tokens[start:stop]:
            cut.append(f"{' ' if token.before else ''}{token.lead}{token.text}{token.tail}")
            token.before = "\\\n" * token.before.count("\n")
            token.text = token.lead = token.tail = ""
        return "".join(cut).strip()

    def _exec(self, index: int) -> None:
        end = self._end(index)
        if self._is_call(index, end):
            return
        self.tokens[index].text = "exec("
        self.tokens[index + 1].before = self.tokens[index + 1].before.lstrip(" \t")
        for at in range(index + 1, end):
            token = self.tokens[at]
            if token.text == "in" and not token.depth:
                token.text, token.before = ",", ""
                break
        self.tokens[end - 1].tail += ")"

    # -- exceptions

    def _raise(self, index: int) -> None:
        end = self._end(index)
        pieces = self._pieces(index + 1, end)
        if len(pieces) < 2:
            return
        tokens = self.tokens
        tokens[index + 1].lead = "_py2_error(" + tokens[index + 1].lead
        self.needed.add("_py2_error")
        if len(pieces) > 2:
            second = pieces[1][1]
            tokens[second].text = ")"
            tokens[second].tail = f".with_traceback({tokens[second].tail}"
        tokens[end - 1].tail += ")"

    def _except(self, index: int) -> None:
        at = comma(self.tokens, index, ":")
        if at is None:
            return
        tokens = self.tokens
        colon = next(
            i for i in range(at, len(tokens)) if tokens[i].text == ":" and not tokens[i].depth
        )
        tokens[at].text = " as"
        tokens[at + 1].before = tokens[at + 1].before or " "
        if colon == at + 2 and tokens[at + 1].kind == "name":
            return
        name = self._name()
        target = self._cut(at + 1, colon)
        tokens[at].text = f" as {name}"
        is_tuple = target.startswith(("(", "[")) or "," in target
        value = f"{name}.args" if is_tuple else name
        self._into_suite(colon, [(target, value)], "an exception is taken apart")

    # -- def f(a, (b, c)): ...

    def _def(self, index: int) -> None:
        tokens = self.tokens
        opening = index + 2
        closing = self._closing(opening)
        depth = tokens[opening].depth + 1
        code: list[tuple[str, str]] = []
        for at in range(opening + 1, closing):
            token = tokens[at]
            if token.text == "(" and token.depth == depth and tokens[at - 1].text in {"(", ","}:
                end = self._closing(at)
                if not any(t.text == "," for t in tokens[at:end]):
                    token.text = tokens[end].text = ""  # brackets around one name: the name
                    continue
                name = self._name()
                code.append((self._cut(at, end + 1), name))
                token.text = name
        if code:
            self._into_suite(closing + 1, code, "a parameter is a tuple")

    # -- import

    def _import(self, index: int) -> None:
        """`import urllib2 as u, os`: each name for itself, where one is not what it was."""
        end = self._end(index)
        statements = []
        changed = False
        for start, stop in self._pieces(index + 1, end):
            words = [token.text for token in self.tokens[start:stop]]
            bound = words[-1] if "as" in words else ""
            module = "".join(words[: words.index("as")] if bound else words)
            if module in WRAPPED:
                changed = True
                alias = f" as {bound}" if bound else ""
                statements.append(f"from {_PACKAGE} import {module}{alias}")
            elif module in RENAMED:
                changed = True
                statements.append(f"import {RENAMED[module]} as {bound or module}")
            else:
                statements.append(f"import {module}" + (f" as {bound}" if bound else ""))
        if changed:
            self._replace(index, end, "; ".join(statements))

    def _replace(self, index: int, end: int, code: str) -> None:
        lead, before = self.tokens[index].lead, self.tokens[index].before
        self._cut(index, end)
        self.tokens[index].before = before
        self.tokens[index].lead, self.tokens[index].text = lead, code

    def _from(self, index: int) -> None:
        end = self._end(index)
        tokens = self.tokens
        middle = next((i for i in range(index, end) if tokens[i].text == "import"), None)
        if middle is None or tokens[index + 1].text == ".":
            return
        module = "".join(token.text for token in tokens[index + 1 : middle])
        if module in RENAMED:
            tokens[index + 1].text = RENAMED[module]
            for token in tokens[index + 2 : middle]:
                token.text = ""
        elif module in WRAPPED and tokens[middle + 1].text == "*":
            self._replace(
                index,
                end,
                f"from {_PACKAGE} import {module} as _py2_module; "
                "globals().update(_py2_module.__exports__)",
            )
        elif module in WRAPPED:
            names = " ".join(
                token.text for token in tokens[middle + 1 : end] if token.text not in {"(", ")"}
            )
            pairs = [name.split() for name in names.split(",") if name.strip()]
            code = "; ".join(f"{words[-1]} = _py2_module.{words[0]}" for words in pairs)
            self._replace(index, end, f"from {_PACKAGE} import {module} as _py2_module; {code}")
