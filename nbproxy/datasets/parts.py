"""Which files are meant, and the parts they are read in.

Finding out reads little: the first bytes of each file, the range of keys of a capture, the list of
files of a dataset. A part says all that is needed to read it, can be pickled, and holds nothing
open.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from nbproxy.datasets.layout import DATE, folder, own_of
from nbproxy.datasets.places import is_url, opened, place
from nbproxy.errors import FormatError
from nbproxy.formats import detect, find
from nbproxy.store.saved_file import SavedFile, is_capture

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping

Source: TypeAlias = "str | os.PathLike[str]"
Kind = Literal["capture", "flows", "parquet"]

#: Rows of a capture in a part. A script has all flows of a part in memory, thrice.
PART_ROWS: Final = 10_000

#: Files of a dataset are read together up to so many bytes.
PART_BYTES: Final = 16 * 2**20
_PART_FILES: Final = 64

_PARTS: Final = 10_000  # of one capture, if its keys follow each other
_HEAD: Final = 64


@dataclass(frozen=True)
class Where:
    """Which flows are wanted.

    Attributes:
        hosts: Those to these hosts; None for all.
        first: Those from this day on, in UTC; None for no limit.
        last: Those up to and with this day.
    """

    hosts: frozenset[str] | None = None
    first: dt.date | None = None
    last: dt.date | None = None

    def passes(self, segments: Iterable[str]) -> bool:
        """Whether a file in these folders of a dataset may have some."""
        for segment in segments:
            if segment.startswith("host=") and self.hosts is not None:
                if segment not in {folder("host", host) for host in self.hosts}:
                    return False
            elif segment.startswith(f"{DATE}="):
                day = segment.removeprefix(f"{DATE}=")
                if self.first is not None and not self.first.isoformat() <= day:
                    return False
                if self.last is not None and not day <= self.last.isoformat():
                    return False
        return True

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Where()


@dataclass(frozen=True)
class Part:
    """What is read at once.

    Attributes:
        kind: How it is read.
        files: Paths or URLs; several of a dataset only.
        keys: The first and the last key of the rows of a capture; None for all rows.
        where: Which flows are wanted of it.
        own: The columns of users that its frame has, and what they are; see `layout.OWN`.
        strict: Whether damage is an error.
        options: For fsspec.
    """

    kind: Kind
    files: tuple[str, ...]
    keys: tuple[int, int] | None = None
    where: Where = field(default_factory=Where)
    own: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


def parts_of(
    paths: Source | Iterable[Source],
    *,
    where: Where,
    strict: bool,
    rows: int,
    options: Mapping[str, Any],
    stacklevel: int = 2,
) -> list[Part]:
    """All parts of files, patterns, folders of datasets and URLs of those, in their order.

    Args:
        paths: Which.
        where: Which flows of them.
        strict: Raise for a file that cannot be used. Otherwise it is left out with a warning, as
            long as there is another one.
        rows: Rows of a capture in a part.
        options: For fsspec.
        stacklevel: Whose line a warning names, as for `warnings.warn`: 1 is this function.

    Raises:
        FormatError: A file cannot be used.
        OSError: One is not there, or cannot be read.
        ImportError: A URL, and fsspec is not installed.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not given:
        raise ValueError("scan() takes the name of at least one file")
    found: list[Part] = []
    problems: list[FormatError] = []
    for source in _sources(given):
        try:
            if isinstance(source, Path):
                found += _file(source, rows)
            else:
                found += _dataset(source, where, options)
        except FormatError as error:
            error.file = error.file or str(source)
            if strict:
                raise
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        warnings.warn(
            f"{problem}; nothing in it could be read", UserWarning, stacklevel=stacklevel + 1
        )
    own = _common(found)
    return [
        replace(part, where=where, own=own, strict=strict, options=dict(options)) for part in found
    ]


def _common(parts: Iterable[Part]) -> dict[str, str]:
    """The columns of users that any of the parts has: text where they are of different kinds."""
    own: dict[str, str] = {}
    for part in parts:
        for name, kind in part.own.items():
            both = {own.get(name, kind), kind}
            numbers = both == {"float", "nullable int"}
            own[name] = kind if len(both) == 1 else "float" if numbers else "str"
    return own


def _sources(given: Iterable[Source]) -> Iterator[str | Path]:
    """The paths of files, and datasets by name."""
    for each in given:
        source = os.fspath(each)
        if is_url(source):
            yield source
        elif Path(source).expanduser().is_dir():
            yield str(Path(source).expanduser().absolute())
        else:
            yield from (path.absolute() for path in find(source))


def _dataset(source: str, where: Where, options: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a Parquet dataset."""
    if is_url(source) and source.endswith(".parquet"):
        yield Part("parquet", (source,), own=_own(source, options))
        return
    there = place(source, options).files()
    if not there:
        raise FileNotFoundError(
            f"there is no Parquet dataset in {source!r}"
            + ("" if is_url(source) else f"; other files in a folder are named by {source}/*")
        )
    own = _own(f"{source.rstrip('/')}/{there[0][0]}", options)
    some: list[str] = []
    size = 0
    for name, file_size in there:
        if not where.passes(name.split("/")[:-1]):
            continue
        if some and (size + file_size > PART_BYTES or len(some) == _PART_FILES):
            yield Part("parquet", tuple(some), own=own)
            some, size = [], 0
        some.append(f"{source.rstrip('/')}/{name}")
        size += file_size
    if some or there:  # nothing is wanted of it: then it has an empty part
        yield Part("parquet", tuple(some or [f"{source.rstrip('/')}/{there[0][0]}"]), own=own)


def _file(path: Path, rows: int) -> list[Part]:
    """The parts of one file.

    Raises:
        FormatError: It cannot be used.
    """
    name = str(path)
    if is_capture(path):
        return [Part("capture", (name,), keys) for keys in _ranges(path, rows)]
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return [Part("parquet", (name,), own=_own(name, {}))]
    if head:  # an empty one is a file to which nothing has been written yet
        detect(head)
    return [Part("flows", (name,))]


def _own(file: str, options: Mapping[str, Any]) -> dict[str, str]:
    """The columns of users in a Parquet file, and so in its dataset; one that is damaged has none.

    Raises:
        FormatError: It is not of a dataset of flows, or of a newer version.
    """
    with opened(file, options) as source:
        try:
            found = pq.read_schema(source)
        except (pa.ArrowException, OSError):
            return {}  # whoever reads it finds out what is wrong
    return own_of(found, file)


def _ranges(path: Path, rows: int) -> list[tuple[int, int] | None]:
    """Ranges of the keys of a capture, so many rows in each, or fewer."""
    file = SavedFile(path)
    readers = file.readers
    try:
        [(first, last)] = readers.rows("SELECT min(id), max(id) FROM flows")
        if not isinstance(first, int) or not isinstance(last, int):
            return [None]
        if (last - first) // rows < _PARTS:
            starts = range(first, last + 1, rows)
            return [(start, min(start + rows - 1, last)) for start in starts]
        keys = [key for (key,) in readers.rows("SELECT id FROM flows ORDER BY id")]
        return [
            (keys[start], keys[min(start + rows, len(keys)) - 1])
            for start in range(0, len(keys), rows)
        ]
    except sqlite3.Error:
        return [None]  # damaged: whoever reads it finds out how far it goes
    finally:
        readers.close()
