"""The inspector's JavaScript as one module, which is what anywidget takes.

`js/` holds ordinary ES modules that import each other by relative names, so that Node can test them
as they are. There is no build: joining them is leaving out `import` lines and `export` words, in an
order in which each stands behind what it needs. So names at the top of a module are unique among
them all, imports stand on one line and rename nothing; a test holds that.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "js"

ENTRY: Final = "inspector.mjs"
"""The module whose default export anywidget gets."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)


@cache
def joined() -> str:
    """The source of all modules as one."""
    order: list[str] = []
    _visit(ENTRY, order)
    pieces = []
    for name in order:
        source = _IMPORT.sub("", _read(name))
        pieces.append(f"// {name}\n{source if name == ENTRY else _EXPORT.sub('', source)}")
    return "\n".join(pieces)


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _visit(name: str, order: list[str]) -> None:
    for needed in _IMPORT.findall(_read(name)):
        if needed not in order:
            _visit(needed, order)
    order.append(name)
