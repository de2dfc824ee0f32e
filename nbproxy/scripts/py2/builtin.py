"""Python 2's builtins, and the functions that its operators and statements are converted to."""

from __future__ import annotations

import builtins
import functools
import importlib
import math
import operator
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nbproxy.scripts.bytetext import ByteText, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Self


class _TextType(type):
    """`isinstance(x, unicode)` is true for all text."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, str)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, str)

    def __eq__(cls, other: object) -> bool:
        return other is str or other is cls

    __hash__ = type.__hash__


class Unicode(str, metaclass=_TextType):
    """Python 2's `unicode`."""

    __slots__ = ()

    def __new__(cls, value: Any = "", encoding: str | None = None, errors: str = "strict") -> Any:
        """Text of a value; with an encoding, of a byte string."""
        if isinstance(value, bytes):
            value = text(value)
        if encoding is not None and isinstance(value, str):
            return ByteText(value).decode(encoding, errors)
        return str(value)


class BaseString(metaclass=_TextType):
    """Python 2's `basestring`."""


class _Division:
    """`a / b` became `a *_py2_div* b`: integers are divided as Python 2 did, down to an integer."""

    __array_ufunc__ = None  # numpy's arrays shall ask us

    def __rmul__(self, left: Any) -> _Dividend:
        return _Dividend(left)

    def __call__(self, right: Any) -> _Divisor:
        return _Divisor(right)


class _Dividend:
    __array_ufunc__ = None

    def __init__(self, left: Any) -> None:
        self.left = left

    def __mul__(self, right: Any) -> Any:
        return divide(self.left, right)


class _Divisor:
    """The right side of `a /= b`."""

    __array_ufunc__ = None

    def __init__(self, right: Any) -> None:
        self.right = right

    def __rmul__(self, left: Any) -> Any:
        return divide(left, self.right)


def divide(left: Any, right: Any) -> Any:
    """Python 2's `/`."""
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    return left / right


def make_error(kind: Any, value: Any = None) -> BaseException:
    """The exception that `raise kind, value` raised."""
    if isinstance(kind, BaseException) or (isinstance(kind, type) and isinstance(value, kind)):
        return kind if isinstance(kind, BaseException) else value
    if value is None:
        made = kind()
    elif isinstance(value, tuple):
        made = kind(*value)
    else:
        made = kind(value)
    if not isinstance(made, BaseException):
        raise TypeError(f"exceptions must derive from BaseException, not {kind!r}")
    return made


def message(error: Any) -> Any:
    """`e.message` of an exception; of another object the attribute itself."""
    own = getattr(error, "message", None)
    if own is not None or not isinstance(error, BaseException):
        return own
    return error.args[0] if len(error.args) == 1 else ""


def byte_string(value: Any) -> Any:
    """Text that has Python 2's `encode` and `decode`; other objects as they are."""
    if isinstance(value, bytes):
        return text(value)
    return ByteText(value) if type(value) is str else value


def compare(left: Any, right: Any) -> int:
    """Python 2's `cmp`."""
    return int(left > right) - int(left < right)


def as_key(compare_two: Callable[[Any, Any], int] | None, key: Any) -> Any:
    """A sort key of Python 2's `cmp` and `key`."""
    if compare_two is None:
        return key
    wrap = functools.cmp_to_key(compare_two)
    return wrap if key is None else lambda item: wrap(key(item))


def sort(
    items: Iterable[Any],
    cmp: Callable[[Any, Any], int] | None = None,
    key: Callable[[Any], Any] | None = None,
    reverse: bool = False,
) -> list[Any]:
    """Python 2's `sorted`."""
    return sorted(items, key=as_key(cmp, key), reverse=reverse)


def mapped(function: Callable[..., Any] | None, *lists: Iterable[Any]) -> list[Any]:
    """Python 2's `map`: a list; without a function it is `zip`."""
    if function is None:
        return list(zip(*lists, strict=False)) if len(lists) > 1 else list(*lists)
    return list(map(function, *lists))


def filtered(function: Callable[[Any], Any] | None, items: Any) -> Any:
    """Python 2's `filter`: text from text, a tuple from a tuple, else a list."""
    kept = filter(function, items)
    if isinstance(items, str):
        return "".join(kept)
    return tuple(kept) if isinstance(items, tuple) else list(kept)


def rounded(number: float, digits: int = 0) -> float:
    """Python 2's `round`: a float, halves away from zero."""
    scale = 10.0**digits
    return math.copysign(math.floor(abs(number) * scale + 0.5) / scale, number)


def call(function: Callable[..., Any], args: Any = (), kwargs: Any = None) -> Any:
    """Python 2's `apply`."""
    return function(*args, **(kwargs or {}))


def reload(module: Any) -> Any:
    """Python 2's `reload`; that of `sys`, which was for `setdefaultencoding`, does nothing."""
    if not isinstance(module, types.ModuleType) or module is sys or module.__name__ == "sys":
        return module
    return importlib.reload(module)


def execfile(path: str, space: Any = None, local: Any = None) -> None:
    """Python 2's `execfile`; the file's own variables go where the caller says."""
    code = compile(Path(path).read_bytes(), path, "exec")
    space = sys._getframe(1).f_globals if space is None else space  # noqa: SLF001 - as execfile did
    exec(code, space, local)  # noqa: S102 - its purpose


class File:
    """Python 2's `file`: reads give text by the rule of `bytetext`, writes take text and bytes."""

    def __init__(self, path: Any, mode: str = "r", buffering: int = -1) -> None:
        plain = "".join(c for c in mode if c not in "btU") or "r"
        if buffering in {0, 1}:  # line buffering is for text only
            buffering = -1
        self._file = builtins.open(path, plain + "b", buffering)  # noqa: SIM115, PTH123 - we are open()
        self.name = path
        self.mode = mode
        self._flush = buffering == -1 and plain[0] != "r"

    def read(self, size: int = -1) -> ByteText:
        """As `file.read`."""
        return text(self._file.read(size))

    def readline(self, size: int = -1) -> ByteText:
        """As `file.readline`."""
        return text(self._file.readline(size))

    def readlines(self) -> list[ByteText]:
        """As `file.readlines`."""
        return [text(line) for line in self._file.readlines()]

    xreadlines = readlines

    def write(self, value: Any) -> None:
        """As `file.write`."""
        self._file.write(value if isinstance(value, bytes) else bytes(ByteText_of(value)))

    def writelines(self, lines: Iterable[Any]) -> None:
        """As `file.writelines`."""
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[ByteText]:
        for line in self._file:  # a generator, which keeps us, and so the file open
            yield text(line)

    def __next__(self) -> ByteText:
        return text(next(self._file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Python 2's files were closed when nobody held them, and scripts of the time count on it.
        file = self.__dict__.get("_file")
        if file is not None:
            file.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._file, name)

    def close(self) -> None:
        """As `file.close`."""
        self._file.close()


def ByteText_of(value: Any) -> ByteText:  # noqa: N802 - named after what it makes
    """What is to be written, as a byte string."""
    return value if isinstance(value, ByteText) else ByteText(value)


NAMES: Final[dict[str, Any]] = {
    "unicode": Unicode,
    "basestring": BaseString,
    "unichr": chr,
    "long": int,
    "xrange": range,
    "raw_input": input,
    "input": lambda prompt="": eval(builtins.input(prompt)),  # noqa: S307 - what it did
    "file": File,
    "open": File,
    "reduce": functools.reduce,
    "cmp": compare,
    "apply": call,
    "buffer": memoryview,
    "intern": sys.intern,
    "execfile": execfile,
    "reload": reload,
    "StandardError": Exception,
    "range": lambda *args: list(range(*(operator.index(each) for each in args))),
    "map": mapped,
    "filter": filtered,
    "zip": lambda *lists: list(zip(*lists, strict=False)),
    "sorted": sort,
    "round": rounded,
    "_py2_bytes": lambda value: ByteText(value, "latin-1"),
    "_py2_div": _Division(),
    "_py2_error": make_error,
    "_py2_message": message,
    "_py2_str": byte_string,
}
"""Everything that converted source may import, by name."""
