"""Python 2 source to Python 3 source that runs, line for line.

`convert` edits tokens (see `python2_tokens`) and never a line break, so a traceback names the
script's own line and `linecache` may be fed with the original. What Python 2 had under other names
(`unicode`, `urllib2`, integer division, ...) comes from `nbproxy.scripts.py2`, imported by one line
that is squeezed in beside what stands there already: the text that comes out needs nothing but
`exec`.

Python 2's `str` was text and bytes in one. Here it is text: `py2.text` says how bytes become text.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings

from nbproxy.errors import ScriptError
from nbproxy.scripts import python2_expressions, python2_marks, python2_statements
from nbproxy.scripts.python2_tokens import Reader, Token, joined

_PACKAGE = "nbproxy.scripts.py2"


def convert(source: str | bytes, path: str) -> str:
    """Python 3 source that does what this Python 2 source did.

    Args:
        source: The script; bytes are decoded as its coding line says.
        path: For messages.

    Returns:
        As many lines as came in, each with the same number.

    Raises:
        ScriptError: It cannot be converted; the error has the line and the reason.
    """
    text = _text(source, path)
    tokens = Reader(text, path).tokens()
    facts = python2_marks.read(tokens, prints=not _is_python3(text))
    needed: set[str] = set()
    python2_expressions.rewrite(tokens, facts, needed, path)
    python2_statements.rewrite(tokens, facts, needed, path)
    if needed:
        _import(tokens, sorted(needed))
    result = joined(tokens)
    _check(result, path)
    return result


def is_python2(source: str | bytes) -> bool:
    """Whether `convert` should be applied: it is no Python 3, or uses names that only 2 had.

    A script that cares for both (`try: ... except ImportError:`, `six`) is none.
    """
    try:
        text = _text(source, "")
        facts = python2_marks.read(Reader(text, "").tokens(), prints=True)
    except ScriptError:
        return False
    if facts.python2_only:
        return True
    tree = _parsed(text)
    if tree is None:
        return bool(facts.constructs)
    return python2_marks.uses_python2_names(tree)


def _decoded(source: bytes, path: str) -> str:
    """Source by its coding line (PEP 263); what has none and is no UTF-8 is latin-1."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding)
    except UnicodeDecodeError:
        return source.decode("latin-1")
    except SyntaxError as error:
        if "invalid or missing encoding" not in str(error):
            raise ScriptError(str(error), path, 1) from error
        return source.decode("latin-1")


def _text(source: str | bytes, path: str) -> str:
    if isinstance(source, bytes):
        source = _decoded(source, path)
    if "\0" in source:
        raise ScriptError("it holds NUL bytes: this is no script", path)
    return source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes and the like, of source in question
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _is_python3(text: str) -> bool:
    return _parsed(text) is not None


def _check(text: str, path: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `is` with a literal and the like: the script's style
            compile(text, path or "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        shown = (error.text or "").strip()
        hint = f": {shown[:80]}" if shown else ""
        raise ScriptError(
            f"cannot be converted from Python 2, {error.msg}{hint}", path, error.lineno
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ScriptError(f"cannot be converted from Python 2, {error}", path) from error


def _import(tokens: list[Token], names: list[str]) -> None:
    """Import what the converted source needs, on a line that exists already."""
    line = f"from {_PACKAGE} import {', '.join(names)}"
    starts = [i for i, t in enumerate(tokens) if t.column == 0 and (t.first or t.kind == "end")]
    before = -1  # the last token of the docstring and of __future__ imports
    for number, start in enumerate(starts[:-1]):
        is_future = tokens[start].text == "from" and tokens[start + 1].text == "__future__"
        if not is_future and not (number == 0 and _is_docstring(tokens, start)):
            break
        before = start
        while tokens[before + 1].kind not in {"newline", "end"}:
            before += 1
    if before >= 0:
        tokens[before].tail += f"; {line}"
        return
    for start in starts:
        token = tokens[start]
        if token.kind == "end":
            token.lead += line + "\n"
        elif python2_marks.is_simple(token) or _simple_inside(tokens, start):
            if token.text == "try":
                token = tokens[start + 3 - (tokens[start + 2].kind != "newline")]
            token.lead = f"{line}; {token.lead}"
        elif "\n" in token.before and "\\" not in token.before:
            _, newline, rest = token.before.partition("\n")  # a comment or an empty line gives way
            token.before = line + newline + rest
        else:
            continue
        return


def _simple_inside(tokens: list[Token], start: int) -> bool:
    """Whether this is a `try` whose block begins with a statement that may share its line."""
    first = start + 3 - (tokens[start + 2].kind != "newline")
    return tokens[start].text == "try" and python2_marks.is_simple(tokens[first])


def _is_docstring(tokens: list[Token], start: int) -> bool:
    return tokens[start].kind == "string" and tokens[start + 1].kind == "newline"
