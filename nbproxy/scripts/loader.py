"""Loading a script: its source, its era, and the namespace its body is executed in.

The namespace has builtins of its own, and in them an `__import__` of its own: the names
`libmproxy`, `netlib` and `mitmproxy` mean stand-ins there, and modules beside the script are loaded
for it alone, with the same names meaning the same. Functions look up builtins where they were
defined, so imports made later inside them go the same way. `sys.modules`, `sys.path` and the real
builtins are left alone, and so is a real mitmproxy.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import importlib.util
import io
import sys
import threading
import tokenize
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from nbproxy.errors import ScriptError
from nbproxy.scripts import eras
from nbproxy.scripts.arguments import Standin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbproxy.scripts.eras import Era

CLASSIC: Final = frozenset(("libmproxy", "netlib", "mitmproxy", "pathod", "libpathod"))
"""Top-level names that mean stand-ins inside scripts."""

MAX_BYTES: Final = 10 * 2**20
"""No script is larger; who gives a body or a log by mistake shall hear of it."""


@dataclass(frozen=True)
class Source:
    """A script's text, read but not executed.

    Attributes:
        path: Its file, or a name in angle brackets.
        text: The text as Python 3 takes it; line numbers are those of the file.
        era: What it was written for.
        code: Compiled.
        translated: True if it was Python 2.
    """

    path: str
    text: str
    era: Era
    code: CodeType
    translated: bool = False


def read(path: Path) -> str:
    """The text of a script's file.

    Raises:
        ScriptError: It is not there, no file, too large, or no text.
    """
    shown = str(path)
    if path.is_dir():
        raise ScriptError("this is a folder; give the script's file", shown)
    if not path.exists():
        hint = (
            "a path with blanks needs quotes of its own: load(\"'my script.py' argument\")"
            if " " in shown
            else f"looked for it in {Path.cwd()}"
            if not path.is_absolute()
            else "check the path"
        )
        raise ScriptError(f"there is no such file; {hint}", shown)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ScriptError(f"larger than {MAX_BYTES >> 20} MiB: this is no script", shown)
        data = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"cannot be read: {error.strerror or error}", shown) from error
    return decode(data, shown)


def decode(data: bytes, path: str) -> str:
    """Source text from bytes, by its coding line (PEP 263); Python 2's latin-1 is taken too.

    Raises:
        ScriptError: The coding line names no coding, or the text is not in it.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    except SyntaxError as error:
        if "invalid or missing" not in str(error):
            raise ScriptError(str(error), path, 1) from None
        text = data.decode("latin-1")
    if "\0" in text:
        raise ScriptError("it holds NUL bytes: this is no script", path)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def prepare(text: str, path: str, era: Era | None = None) -> Source:
    """Translate if need be, recognise the era, compile.

    Raises:
        ScriptError: It is neither Python 3 nor Python 2; the cause is the SyntaxError.
    """
    translated = False
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as failure:
        text = _translate(text, path, failure)
        tree, translated = ast.parse(text, path), True
    found = era or eras.recognise(tree)
    if not translated and found.has_context and _is_python2(text):
        with contextlib.suppress(ScriptError, SyntaxError):  # it is Python 3 in any case
            converted = _converted(text, path)
            text, tree, translated = converted, ast.parse(converted, path), True
    if translated and era is None and found > eras.Era.D:
        found = eras.Era.D
    try:
        code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as failure:
        raise _refusal(failure, path) from failure
    return Source(path, text, found, code, translated)


def _translate(text: str, path: str, failure: BaseException) -> str:
    """Python 2 to 3; what is neither is refused with Python 3's complaint and the reason."""
    failure.__traceback__ = None  # it shows nothing but the parser
    if not _is_python2(text):
        raise _refusal(failure, path) from failure
    try:
        return _converted(text, path)
    except ScriptError as error:
        raise error from failure


def _is_python2(text: str) -> bool:
    """Whether source that Python 3 can parse needs Python 2's names all the same."""
    from nbproxy.scripts import python2  # noqa: PLC0415 - most scripts need it not

    return python2.is_python2(text)


def _converted(text: str, path: str) -> str:
    from nbproxy.scripts import python2  # noqa: PLC0415 - as above

    return python2.convert(text, path)


def _refusal(failure: BaseException, path: str) -> ScriptError:
    if isinstance(failure, SyntaxError):
        return ScriptError(f"{failure.msg}", path, failure.lineno)
    return ScriptError(str(failure) or type(failure).__name__, path)


Factory = "Callable[[], ModuleType]"


class Scope:
    """What imports mean inside one script.

    Args:
        folder: Where modules beside the script are; None if there are none.
        own_file: The script itself, which no import shall find.
        classic: Stand-ins by dotted name.
        local: Other modules that are different for this script, by dotted name.
        missing: Words the message when a classic name is not there, given module and attribute.
        extra: More builtins: names that the script's Python had.
        first: Whether the folder comes before installed packages (it never hides the standard
            library).
    """

    def __init__(
        self,
        folder: Path | None,
        own_file: Path | None,
        *,
        classic: Mapping[str, Callable[[], ModuleType]],
        local: Mapping[str, Callable[[], ModuleType]],
        missing: Callable[[str, str], str],
        extra: Mapping[str, Any],
        first: bool,
    ) -> None:
        self._folder = folder
        self._own_file = own_file
        self._classic = classic
        self._local = local
        self._missing = missing
        self._first = first
        self._lock = threading.RLock()
        self.modules: dict[str, ModuleType] = {}
        self.builtins: dict[str, Any] = {
            **vars(builtins),
            **extra,
            "__import__": self.import_,
        }

    def namespace(self, name: str, file: str | None) -> dict[str, Any]:
        """A fresh namespace for a script's body."""
        space: dict[str, Any] = {"__builtins__": self.builtins, "__name__": name, "__doc__": None}
        if file is not None:
            space["__file__"] = file
        return space

    # -- import

    def import_(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of __import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - as above
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """The script's `__import__`."""
        if level > 0:
            package = (globals or {}).get("__package__") or ""
            if package not in self.modules:
                raise ImportError("attempted relative import with no known parent package")
            name = importlib.util.resolve_name("." * level + name, package)
        top = name.partition(".")[0]
        if not self._is_ours(name, top):
            return __import__(name, globals, locals, fromlist or (), 0)
        module = self._load(name)
        if not fromlist:
            return module if level else self.modules.get(top, module)
        for each in fromlist:
            if each == "*":
                continue
            if not _has(module, each):
                self._load_child(module, name, each)
        return module

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        """The script's `importlib.import_module`."""
        if name.startswith("."):
            name = importlib.util.resolve_name(name, package or "")
        if not self._is_ours(name, name.partition(".")[0]):
            return importlib.import_module(name)
        return self._load(name)

    def _is_ours(self, name: str, top: str) -> bool:
        if top in CLASSIC or name in self._local or top in self._local or top in self.modules:
            return True
        if top == "nbproxy" or top in sys.stdlib_module_names or top in sys.builtin_module_names:
            return False
        found = self._find(self._folders(), top)
        return found is not None and (self._first or not _installed(top, found))

    def _load(self, name: str) -> ModuleType:
        """A module of ours with all its parents."""
        with self._lock:
            module = self.modules.get(name)
            if module is not None:
                return module
            parent_name, _, last = name.rpartition(".")
            parent = self._load(parent_name) if parent_name else None
            module = self._make(name, parent)
            self.modules[name] = module
            if parent is not None:
                setattr(parent, last, module)
            return module

    def _make(self, name: str, parent: ModuleType | None) -> ModuleType:
        if name in self._local:
            return self._local[name]()
        if name.partition(".")[0] in CLASSIC:
            if name not in self._classic:
                raise ModuleNotFoundError(self._missing(name, ""), name=name)
            return self._dressed(name, self._classic[name]())
        if isinstance(parent, Standin):  # such as logging.handlers
            return importlib.import_module(name)
        folders = self._folders() if parent is None else list(getattr(parent, "__path__", ()))
        found = self._find(folders, name.rpartition(".")[2])
        if found is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return self._execute(name, found)

    def _load_child(self, module: ModuleType, name: str, child: str) -> None:
        """`from module import child` where child is a module; else the statement fails itself."""
        full = f"{name}.{child}"
        if isinstance(module, Standin):
            return
        is_classic = name.partition(".")[0] in CLASSIC
        if is_classic and full not in self._classic:
            raise ImportError(self._missing(name, child), name=name)
        folders = list(getattr(module, "__path__", ()))
        if is_classic or self._find(folders, child) is not None:
            self._load(full)

    def _dressed(self, name: str, module: ModuleType) -> ModuleType:
        """Let `import mitmproxy; mitmproxy.ctx` load what it names, and say what is missing."""
        earlier = module.__dict__.get("__getattr__")

        def find(attribute: str) -> Any:
            full = f"{name}.{attribute}"
            if full in self._classic:
                return self._load(full)
            if earlier is not None:
                return earlier(attribute)
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            raise AttributeError(self._missing(name, attribute))

        module.__dict__["__getattr__"] = find
        module.__dict__.setdefault("__path__", [])
        return module

    # -- modules beside the script

    def _folders(self) -> list[str]:
        """Where modules of the script are: its folder, and what it has put on its `sys.path`."""
        own_sys = self.modules.get("sys")
        added = [p for p in getattr(own_sys, "path", ()) if isinstance(p, str)]
        real = set(sys.path)
        more = [path for path in added if path and path not in real]
        return [*([str(self._folder)] if self._folder is not None else []), *more]

    def _find(self, folders: Sequence[str], name: str) -> Path | None:
        if not name.isidentifier():
            return None
        for folder in folders:
            for candidate in (Path(folder, name, "__init__.py"), Path(folder, f"{name}.py")):
                if candidate.is_file() and not self._is_own(candidate):
                    return candidate
        return None

    def _is_own(self, path: Path) -> bool:
        return self._own_file is not None and path.resolve() == self._own_file

    def _execute(self, name: str, path: Path) -> ModuleType:
        source = prepare(read(path), str(path))
        module = ModuleType(name)
        is_package = path.name == "__init__.py"
        module.__dict__.update(
            self.namespace(name, str(path)),
            __package__=name if is_package else name.rpartition(".")[0],
        )
        if is_package:
            module.__path__ = [str(path.parent)]
        self.modules[name] = module  # before it is executed: modules may import each other
        try:
            exec(source.code, module.__dict__)  # noqa: S102 - what loading is
        except BaseException:
            del self.modules[name]
            raise
        return module


def _has(module: ModuleType, name: str) -> bool:
    if name in module.__dict__:
        return True
    try:
        getattr(module, name)
    except AttributeError:
        return False
    return True


def _installed(top: str, beside: Path) -> bool:
    """Whether a package of that name is installed elsewhere than in the script's folder."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or spec.origin is None:
        return False
    return beside.resolve().parent not in Path(spec.origin).resolve().parents
