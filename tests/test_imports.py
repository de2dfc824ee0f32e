"""Who may import whom, read from the source: the layers, the heavy libraries, no cycles.

Every import counts, also those inside functions; what only a type checker sees (`if
TYPE_CHECKING:`) is free to make circles and to name pandas, but keeps to the layers.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "nbproxy"

# A room is a folder or a module directly below nbproxy/. Each may import itself and those named.
PLAIN = {"errors", "_version"}
DATA = PLAIN | {"model", "hooks", "options"}
MIDDLE = DATA | {"protocol", "engine", "certs", "handlers", "filters", "formats", "store"}
MIDDLE |= {"capture"}
TOP = {"browser", "why"} | MIDDLE | {"scripts", "addons", "proxy", "saved", "offline", "_current"}
TOP |= {"holding", "own_columns", "replaying", "contentviews"}
MAY_IMPORT = {
    "errors": set(),
    "_version": set(),
    "model": {"errors"},
    "hooks": {"errors", "model"},
    "options": {"errors"},
    "protocol": {"errors", "model"},
    "certs": PLAIN | {"options"},
    "filters": {"errors", "model"},
    # Below the store, whose views have its methods: it knows flows by its own contract only.
    "analysis": {"errors", "model", "filters", "certs"},
    "contentviews": {"errors", "model"},
    "formats": {"errors", "model", "_version"},
    "store": {"errors", "model", "options", "filters", "analysis", "_version"},
    "capture": DATA | {"certs", "store"},
    # Handed the dispatcher, the store and the certificates: it imports none of them.
    "engine": DATA | {"protocol"},
    "handlers": DATA | {"filters"},
    # Its views of bodies take part in those built in.
    "scripts": DATA | {"handlers", "filters", "formats", "contentviews"},
    "addons": DATA | {"handlers", "filters", "formats", "scripts"},
    # Ties formats and the store, which do not know each other; scripts have the progress bar.
    "saved": DATA | {"formats", "store", "scripts"},
    "accessor": DATA | {"filters", "store"},
    "own_columns": DATA | {"filters", "handlers", "store"},
    "offline": DATA | {"handlers", "scripts", "store"},  # ties these three
    # Ties files, the store and Parquet; of analysis it has the errors that name an extra.
    "datasets": DATA | {"analysis", "filters", "formats", "store"},
    "scanning": DATA | {"analysis", "datasets", "offline", "proxy", "saved", "scripts", "store"},
    "holding": DATA | {"handlers", "addons"},
    "cassettes": DATA | {"engine", "handlers", "store", "formats", "addons", "saved"},
    "replaying": DATA | {"engine", "filters", "formats", "store", "addons", "scripts"},
    "controls": DATA | {"engine", "handlers", "addons", "holding", "cassettes"},
    "scripting": DATA | {"certs", "engine", "handlers", "scripts", "store"},
    # Ties flows to all that is done with them.
    "owners": DATA
    | {"engine", "store", "scripts"}
    | {"accessor", "datasets", "offline", "replaying", "saved"},
    "proxy": MIDDLE
    | {"controls", "holding", "owners", "scripting"}
    | {"scripts", "addons", "saved", "offline"},
    "_current": DATA | {"proxy"},  # the notebook's own proxy, for the module-level functions
    "browser": DATA | {"_current", "proxy", "engine", "capture"},
    "why": DATA | {"_current", "proxy", "store", "capture"},
    "notebook": TOP,
    "cli": TOP,
    "__main__": {"cli"},
    "": TOP | {"notebook", "scanning"},  # nbproxy/__init__.py and its lazy public names
}

NOT_IN_MODEL = {"asyncio", "socket", "threading", "time", "selectors", "ssl"}
# The modules that make frames, and the columns below them.
FRAMES = (
    "nbproxy.accessor",
    "nbproxy.analysis",
    "nbproxy.datasets",
    "nbproxy.notebook",
    "nbproxy.store.frame",
    "nbproxy.store.tries",
    "nbproxy.store.segments",
    "nbproxy.store.columns",
    "nbproxy.store.values",
    "nbproxy.store.numbers",
    "nbproxy.store.textarrays",
    "nbproxy.store.dtypes",
    "nbproxy.filters.frame",
    "nbproxy.filters.judging",
)
# Where a library may be imported at all: rooms, or modules of a room.
ONLY_IN = {
    "pandas": FRAMES,
    "numpy": FRAMES,
    "pyarrow": (*FRAMES, "nbproxy.formats.parquet"),
    "IPython": ("nbproxy.notebook",),
    "ipykernel": ("nbproxy.notebook",),
    "ipywidgets": ("nbproxy.notebook",),
    "anywidget": ("nbproxy.notebook",),
    "cryptography": ("nbproxy.certs",),
    "wsproto": ("nbproxy.protocol",),
}
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
NOT_OURS = {".venv", ".git", "__pycache__", "node_modules", "build", "dist", "htmlcov"}
TEXT = {".py", ".js", ".css", ".md", ".toml", ".yaml", ".yml", ".ipynb", ".json", ".sh", ".txt"}
TEXT |= {"Makefile", "run", "postBuild", ".gitignore"}


@dataclass(frozen=True)
class Import:
    """One imported module as its importer wrote it; a module of ours by its full name."""

    importer: str
    target: str
    line: int
    for_types_only: bool

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read_imports(name: str, path: Path, known: set[str]) -> list[Import]:
    """The imports of a module; of `from package import x`, x where that is a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    type_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*up, *filter(None, [node.module])]) if node.level else node.module
            full = [f"{base}.{alias.name}" for alias in node.names]
            targets = [target if target in known else base for target in full]
        else:
            continue
        found += [
            Import(name, target, node.lineno, id(node) in type_only)
            for target in dict.fromkeys(targets)
        ]
    return found


@cache
def imports() -> list[Import]:
    """Every import of the package."""
    known = set(modules())
    return [each for name, path in modules().items() for each in read_imports(name, path, known)]


def is_ours(target: str) -> bool:
    return target.split(".", maxsplit=1)[0] == PACKAGE


def room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def is_in(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """A circle in a graph as the list of its stations, or None."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str] | None:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return None
        for following in sorted(graph.get(node, ())):
            if found := visit(following, [*trail, node]):
                return found
        done.add(node)
        return None

    return next((found for node in sorted(graph) if (found := visit(node, []))), None)


@cache
def source_files() -> list[Path]:
    """Every text file of the project, as far as its kind tells."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [each for each in folders if each not in NOT_OURS and "_cache" not in each]
        found += [Path(folder, name) for name in sorted(names)]
    return [path for path in found if path.suffix in TEXT or path.name in TEXT]


def test_every_room_has_its_place():
    unplaced = {room(name) for name in modules()} - set(MAY_IMPORT)
    assert not unplaced, f"say in MAY_IMPORT what they may import: {sorted(unplaced)}"


def test_arrows_point_down():
    wrong = [
        str(each)
        for each in imports()
        if is_ours(each.target)
        and room(each.target) != room(each.importer)
        and room(each.target) not in MAY_IMPORT[room(each.importer)]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_layers_themselves_make_no_circle():
    assert cycle(MAY_IMPORT) is None


def test_no_cycles_not_even_lazy_ones():
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for each in imports():
        if is_ours(each.target) and not each.for_types_only:
            graph[each.importer].add(each.target)
    found = cycle(graph)
    assert found is None, " -> ".join(found)


def test_what_is_imported_from_the_package_exists():
    missing = [
        str(each) for each in imports() if is_ours(each.target) and each.target not in modules()
    ]
    assert not missing, "\n".join(missing)


def test_model_has_no_io_and_no_clock():
    wrong = [
        str(each)
        for each in imports()
        if room(each.importer) == "model" and each.target.split(".", maxsplit=1)[0] in NOT_IN_MODEL
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_in_their_rooms(library):
    wrong = [
        str(each)
        for each in imports()
        if each.target.split(".", maxsplit=1)[0] == library
        and not each.for_types_only
        and not is_in(each.importer, ONLY_IN[library])
    ]
    assert not wrong, "\n".join(wrong)


def test_importing_the_package_loads_nothing_heavy():
    program = "import sys, nbproxy; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert PACKAGE in loaded
    heavy = {"pandas", "numpy", "pyarrow", "IPython", "ipykernel", "ipywidgets", "cryptography"}
    assert not heavy.intersection(loaded)


def test_no_module_is_named_after_nothing():
    named = [path.relative_to(ROOT).with_suffix("") for path in source_files()]
    vague = [str(path) for path in named if NO_NAMES.intersection(path.parts)]
    assert not vague


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(
        r"(?<![\w.~$}])(?:"
        + "|".join(
            re.escape(str(path)) + r"(?=[/\"'\s])" for path in {ROOT, Path.home()} - {Path("/")}
        )
        + r"|/(?:root|work)/|/(?:home|Users)/[a-z]\w*/|/tmp/[a-z])"
    )
    assert {ROOT / "Makefile", ROOT / ".ci" / "run", Path(__file__)} <= set(source_files())
    wrong = [
        f"{path.relative_to(ROOT)}, line {number}: {found[0]}"
        for path in source_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := place.search(line))
    ]
    assert not wrong, "\n".join(wrong)


def test_reading_imports(tmp_path):
    source = """
from __future__ import annotations
from typing import TYPE_CHECKING
import os.path
from . import near
from .near import thing
from ..errors import Problem
from nbproxy.model import flow, Name
if TYPE_CHECKING:
    from nbproxy.store import frame
def later():
    import pandas as pd
"""
    path = tmp_path / "here.py"
    path.write_text(source)
    known = {
        *("nbproxy", "nbproxy.errors", "nbproxy.model", "nbproxy.model.flow"),
        *("nbproxy.room.near", "nbproxy.store", "nbproxy.store.frame"),
    }
    found = read_imports("nbproxy.room.here", path, known)
    assert [(each.target, each.for_types_only) for each in found] == [
        ("__future__", False),
        ("typing", False),
        ("os.path", False),
        ("nbproxy.room.near", False),
        ("nbproxy.room.near", False),
        ("nbproxy.errors", False),
        ("nbproxy.model.flow", False),
        ("nbproxy.model", False),
        ("nbproxy.store.frame", True),
        ("pandas", False),
    ]


def test_finding_cycles():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
