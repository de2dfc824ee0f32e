"""Where a registration comes from, so that running a cell again replaces its handlers.

Two things are asked of a registration. Its *key* says which handler it is: the cell (by the
notebook's id of it), the function's module and qualified name, and the hook. Its *run* says in
which run of the cell or module it was made. A registration replaces the handlers of the same key
from *other* runs, and stands beside those of its own: so a loop that registers many closures of
one name, or a module full of `def _(flow)`, keeps them all, and running either again replaces
them all.

Functions of imported modules belong to their module even if a cell imports it, or importing it
once more (which registers nothing) would remove them; `importlib.reload` replaces them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from nbproxy.handlers.handler import Source, module_of, name_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextvars import Context
    from types import CodeType, FrameType

# File names that different inputs share: a line in them says nothing.
_SHARED_FILES = frozenset({"<stdin>", "<string>", ""})


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell being run.

    Attributes:
        key: The notebook's id of it, which stays when it is edited; None if the client sent none.
        label: "In [4]".
        context: Handlers defined in it run in copies of this one; None to take the context in
            which `on` is called.
    """

    key: str | None
    label: str
    context: Context | None = None


class CellSource(Protocol):
    """Knows which cell is being run."""

    def current_cell(self) -> Cell | None:
        """The cell on whose behalf the calling code runs, None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one registration comes from.

    Attributes:
        source: For the table; its `key` is the cell that owns the handler.
        key: Which handler it is; without the hook.
        module_run: Code of the module or program from which it was made; the run of a cell is
            for the registry to know.
    """

    source: Source
    key: Hashable
    module_run: object


def origin_of(function: Callable[..., Any], cell: Cell | None) -> Origin:
    """Where a registration comes from that is being made right now, by the calling stack."""
    body, importing = _module_body(sys._getframe(1))  # noqa: SLF001 - inspect.stack() reads every source file
    module = module_of(function)
    key: tuple[Hashable, ...] = (module, name_of(function))
    if cell is not None and not importing:
        owner = Source("cell", cell.label, cell.key)
        key = (cell.key, *key)
        anonymous = cell.key is None and _is_anonymous(function)
    else:
        owner = Source("module", module or "?", module)
        key = (None, *key)
        anonymous = _is_anonymous(function)
    if anonymous:
        file, line = place_of(function)
        key = (*key, object() if file in _SHARED_FILES else (file, line))
    return Origin(owner, key, body)


def _is_anonymous(function: Callable[..., Any]) -> bool:
    """True if the name does not tell the function from others of its module."""
    name = name_of(function)
    return "<lambda>" in name or "<locals>" in name


def _module_body(frame: FrameType | None) -> tuple[CodeType | None, bool]:
    """Code of the nearest module body on the stack, and whether that is one being imported."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            return frame.f_code, frame.f_globals.get("__name__") != "__main__"
        frame = frame.f_back
    return None, False
