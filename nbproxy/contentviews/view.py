"""What a view of a body is: data for a reader, safe to show, that says what is missing of it.

Everything that is text in a `View` is masked and visible already (see `shown`); what is left to who
draws it is to make no markup of it. The only bytes in it are those of images of kinds that cannot
hold anything active.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["tree", "table", "text", "image", "hex", "events"]

#: Bounds of what a caller may ask for at once: characters, roughly.
MIN_LIMIT: Final = 256
MAX_LIMIT: Final = 2**20

#: How deep trees are shown. Encoders of JSON and browsers' layouts recurse, and shall not here.
MAX_DEPTH: Final = 64

_INDENT: Final = "  "


@dataclass(slots=True)
class Node:
    """One value in a tree.

    Attributes:
        key: A name, the index in a list, or None for the outermost value.
        type: What it is: "object", "array", "string", "number", "bytes", ...
        value: The value as text; of what has children "", or a remark.
        count: How many children there are, shown or not.
        children: Those that are shown.
        also: Other readings of the value, as pairs of a name and a text.
        continued: An earlier window began it, and it stands here for what is in it.
    """

    key: str | int | None
    type: str
    value: str = ""
    count: int = 0
    children: list[Node] = field(default_factory=list)
    also: tuple[tuple[str, str], ...] = ()
    continued: bool = False

    def to_dict(self) -> dict[str, Any]:
        """It and its children as JSON-like values; no deeper than `MAX_DEPTH` and a few."""
        found: dict[str, Any] = {"key": self.key, "type": self.type, "value": self.value}
        found["count"] = self.count
        if self.children:
            found["children"] = [child.to_dict() for child in self.children]
        if self.also:
            found["also"] = [list(pair) for pair in self.also]
        if self.continued:
            found["continued"] = True
        return found


@dataclass(frozen=True, slots=True)
class Image:
    """An image that a browser may show.

    Attributes:
        media_type: By its content, whatever its head says.
        width: Pixels, 0 if not known.
        height: Pixels, 0 if not known.
        data: The file; b"" if it is too large to be shown.
    """

    media_type: str
    width: int
    height: int
    data: bytes

    @property
    def url(self) -> str:
        """It as a data URL; "" if there is nothing to show."""
        if not self.data:
            return ""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode('ascii')}"

    def __str__(self) -> str:
        size = f", {self.width:,} × {self.height:,} pixels" if self.width and self.height else ""  # noqa: RUF001 - a times sign is meant
        return f"{self.media_type}{size}"


@dataclass(frozen=True, slots=True)
class View:
    """A part of a body, as one of the views shows it.

    Attributes:
        kind: What there is: a "tree" in `root`; a "table" or "events" in `rows`; "text" or "hex"
            in `source`; an "image".
        name: The view, one of those that `names` gives.
        source: The text of this part.
        syntax: What `source` is written in: "json", "xml", "html", "css", "javascript",
            "graphql", or "".
        root: The outermost node.
        columns: Titles of the columns of `rows`.
        rows: Rows of texts.
        image: The image.
        notes: Sentences on what was cut, guessed or could not be read.
        total_bytes: Size of the body, its content coding removed where that was possible.
        offset: Where this part begins, in `unit`.
        next_offset: Where the next one begins, None if there is none.
        total: How many of `unit` there are; None if nobody counted.
        unit: "characters", "bytes", "nodes", "rows" or "events".
        problem: Why there is something else than the view that was asked for, or "". It is the
            first of the notes, too.
    """

    kind: Kind
    name: str = ""
    source: str = ""
    syntax: str = ""
    root: Node | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    image: Image | None = None
    notes: tuple[str, ...] = ()
    total_bytes: int = 0
    offset: int = 0
    next_offset: int | None = None
    total: int | None = None
    unit: str = "characters"
    problem: str = ""

    @property
    def note(self) -> str:
        """The notes as one text."""
        return " ".join(self.notes)

    @property
    def lines(self) -> list[str]:
        """The lines of `source`."""
        return self.source.split("\n") if self.source else []

    def to_dict(self) -> dict[str, Any]:
        """It as JSON-like values, for a widget."""
        found: dict[str, Any] = {
            "kind": self.kind,
            "view": self.name,
            "notes": list(self.notes),
            "total_bytes": self.total_bytes,
            "offset": self.offset,
            "next": self.next_offset,
            "total": self.total,
            "unit": self.unit,
            "problem": self.problem,
        }
        if self.kind in ("text", "hex"):
            found |= {"text": self.source, "language": self.syntax}
        elif self.kind in ("table", "events"):
            found |= {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}
        elif self.root is not None:
            found["tree"] = self.root.to_dict()
        elif self.image is not None:
            found |= {
                "image": self.image.url,
                "media_type": self.image.media_type,
                "width": self.image.width,
                "height": self.image.height,
            }
        return found

    def text(self) -> str:
        """It as plain text, its notes in brackets below."""
        lines: list[str] = []
        if self.source:
            lines.append(self.source)
        if self.root is not None:
            _write(self.root, 0, lines)
        if self.kind == "events":
            lines += [_event_line(self.columns, row) for row in self.rows]
        elif self.rows:
            lines += [f"{row[0]}: {'  '.join(filter(None, row[1:]))}" for row in self.rows]
        if self.image is not None:
            lines.append(str(self.image))
        lines += [f"[{note}]" for note in self.notes]
        return "\n".join(lines)


def _event_line(columns: tuple[str, ...], row: tuple[str, ...]) -> str:
    pairs = zip(columns, row, strict=False)
    return "  ".join(f"{name}: {text}" for name, text in pairs if text)


def _write(node: Node, depth: int, lines: list[str]) -> None:
    margin = _INDENT * depth
    head = f"{margin}{node.key}: " if node.key is not None else margin
    also = "".join(f"; {name} {text}" for name, text in node.also)
    also = f"  ({also[2:]})" if also else ""
    if node.children or node.type in ("object", "array"):
        about = f"{node.type}, {node.count:,}{' (continued)' if node.continued else ''}"
        lines.append(f"{head}{node.value}{' ' if node.value else ''}({about}){also}")
    elif "\n" in node.value:
        below = f"\n{margin}{_INDENT}"
        lines.append(f"{head.rstrip()}{below}{node.value.replace(chr(10), below)}{also}")
    else:
        lines.append(f"{head}{node.value}{also}")
    for child in node.children:
        _write(child, depth + 1, lines)
