"""Files of flows: which format one is in, reading several of them, and writing one.

A format is found by what stands in a file, never by its name; only in writing the name decides.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias, get_args

from nbproxy.errors import FormatError
from nbproxy.formats import curl, har, mitm
from nbproxy.formats.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.secrets import Masker

Format: TypeAlias = Literal["mitm", "har", "curl"]
Path_: TypeAlias = "str | os.PathLike[str]"
Paths: TypeAlias = "Path_ | Iterable[Path_]"

SUFFIXES: Final[dict[str, Format]] = {
    ".mitm": "mitm",
    ".flow": "mitm",
    ".flows": "mitm",
    ".dump": "mitm",
    ".har": "har",
    ".curl.sh": "curl",
}
"""How the name of a file says in which format it is written."""

_READERS: Final[dict[str, Callable[[BinaryIO, Notes], Iterator[HTTPFlow]]]] = {
    "mitm": mitm.read,
    "har": har.read,
}
_HEAD: Final = 64
_BLANKS: Final = b" \t\r\n"


def detect(head: bytes) -> Format:
    """The format of a file that begins with these bytes; 64 are enough.

    Raises:
        FormatError: It is none that can be read.
    """
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS)
    if begin.startswith(b"{") or head.startswith((b"\x1f\x8b", b"PK\x03\x04")) or har.is_zlib(head):
        return "har"
    if head[:1].isdigit():
        return "mitm"
    if not begin:
        raise FormatError("the file is empty", offset=0)
    raise FormatError("this is neither a capture nor a mitmproxy file nor a HAR", offset=0)


def read_flows(path: Path_, notes: Notes | None = None) -> Iterator[HTTPFlow]:
    """The flows of a file, one by one, as they are read.

    An empty file has no flows, as one has to which nothing has been appended yet.

    Raises:
        FormatError: It is damaged, of an unknown version, or no file of flows; the flows before
            that place have been given.
        OSError: It cannot be read.
    """
    with Path(path).expanduser().open("rb") as file:
        head = file.read(_HEAD)
        if not head:
            return
        file.seek(0)
        try:
            yield from _READERS[detect(head)](file, Notes() if notes is None else notes)
        except FormatError as error:
            error.file = os.fspath(path)
            raise


def find(paths: Paths) -> list[Path]:
    """The files that are meant: names, patterns (`*.mitm`, `**/*.har`), or several of them.

    A file whose own name looks like a pattern is itself. What a pattern finds is sorted.

    Raises:
        FileNotFoundError: One is not there, or a pattern finds nothing.
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found: list[Path] = []
    for each in given:
        path = Path(each).expanduser()
        if path.exists() or not glob.has_magic(str(path)):
            found.append(path)
            continue
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - pathlib takes no absolute patterns
        files = [Path(match) for match in matches if not Path(match).is_dir()]
        if not files:
            raise FileNotFoundError(f"no file matches {os.fspath(each)!r}")
        found += files
    for path in found:
        if not path.exists():
            raise FileNotFoundError(f"there is no file {str(path)!r}")
        if path.is_dir():
            raise IsADirectoryError(f"{str(path)!r} is a folder; the files in it are {path}/*")
    return found


def read_files(paths: Paths, *, strict: bool = False, stacklevel: int = 2) -> Iterator[HTTPFlow]:
    """The flows of several files, in their order, as they are read.

    Args:
        paths: As for `find`.
        strict: Raise at the first damaged place, and for anything that would be left out.
        stacklevel: Whose line a warning names, as for `warnings.warn`: 1 is this function.

    Raises:
        FormatError: `strict`, and a file is damaged or something in it cannot be used; or not one
            flow could be read before the damage. Else there is a `UserWarning`, with file and
            place, and the flows before are given.
        OSError: A file cannot be read.
    """
    total = 0
    pending: FormatError | None = None  # raised if there is nothing to give in the end
    for path in find(paths):
        notes, here = Notes(), 0
        try:
            for flow in read_flows(path, notes):
                here += 1
                yield flow
        except FormatError as error:
            if strict:
                raise
            if not total + here and pending is None:
                pending = error
            else:
                _warn(_outcome(error, here), stacklevel)
        total += here
        if str(notes):
            if strict and notes.not_read:
                raise FormatError(str(notes), os.fspath(path))
            _warn(f"{path}: {notes}", stacklevel)
    if pending is not None:
        if not total:
            raise pending
        _warn(_outcome(pending, 0), stacklevel)


def _outcome(error: FormatError, count: int) -> str:
    before = {0: "nothing in it could be read", 1: "the flow before that place was read"}
    return f"{error}; {before.get(count, f'the {count} flows before that place were read')}"


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, UserWarning, stacklevel=stacklevel + 1)


def open_flows(paths: Paths, *, strict: bool = False) -> list[HTTPFlow]:
    """The flows of one or several files; see `read_files`."""
    return list(read_files(paths, strict=strict, stacklevel=3))


# -- writing


def format_of(path: Path_) -> Format:
    """The format that a file's name asks for.

    Raises:
        ValueError: It asks for none.
    """
    name = Path(path).name.lower()
    for suffix, kind in SUFFIXES.items():
        if name.endswith(suffix):
            return kind
    known = ", ".join(SUFFIXES)
    raise ValueError(
        f"{name!r} does not say in which format to write: it should end with one of {known}; "
        "or name it: format='mitm', 'har' or 'curl'"
    )


def save_flows(
    flows: Iterable[HTTPFlow],
    path: Path_,
    format: str | None = None,  # noqa: A002 - the word for it
    *,
    masker: Masker | None = None,
) -> int:
    """Write flows to a file; it is replaced when all is written, and not touched if that fails.

    The file is private (mode 0600), unless it was there before: what passes by holds passwords.

    Args:
        flows: Which.
        path: Where; `~` is understood.
        format: "mitm", "har" or "curl"; by the name's end if it is not given.
        masker: Masks credentials and tokens; for HAR only.

    Returns:
        How many were written.

    Raises:
        ValueError: The format is not known, or cannot be masked.
        OSError: The file cannot be written.
    """
    kind = format_of(path) if format is None else format
    if kind not in get_args(Format):
        raise ValueError(f"{kind!r} is not a format to write: 'mitm', 'har' or 'curl'")
    if masker is not None and kind != "har":
        raise ValueError("secrets can be masked in a HAR only")
    counted = _Counted(flows)
    notes = Notes()
    with Replacement(Path(path).expanduser()) as file:
        if kind == "mitm":
            mitm.write(counted, file, notes)
        elif kind == "har":
            har.write(sorted(counted, key=_started), file, notes, masker=masker)
        else:
            _write_curl(counted, file, notes)
    if str(notes):
        warnings.warn(f"{path}: {notes}", UserWarning, stacklevel=3)
    return counted.count - notes.not_read


class _Counted:
    """Flows that pass one by one, counted."""

    def __init__(self, flows: Iterable[HTTPFlow]) -> None:
        self._flows = flows
        self.count = 0

    def __iter__(self) -> Iterator[HTTPFlow]:
        for flow in self._flows:
            self.count += 1
            yield flow


def _started(flow: HTTPFlow) -> float:
    return flow.request.timestamp_start


def _write_curl(flows: Iterable[HTTPFlow], file: BinaryIO, notes: Notes) -> None:
    file.write(b"#!/bin/sh\n")
    for flow in flows:
        try:
            command = curl.curl_command(flow)
        except ValueError as error:
            notes.skip(f"flow {flow.id}: {error}")
        else:
            file.write(command.encode() + b"\n")


def _unwritable(error: OSError, path: Path) -> OSError:
    """The same error, said of the file that people named and not of the one beside it."""
    texts = {
        errno.ENOENT: "the folder of this file does not exist",
        errno.ENOTDIR: "what should be the folder of this file is a file",
    }
    number = error.errno or errno.EIO
    return OSError(number, texts.get(number, os.strerror(number)), str(path))


class Replacement:
    """A file that takes the place of another one when all is written."""

    def __init__(self, path: Path) -> None:
        self._path = Path(os.path.realpath(path))  # a link stays one
        self._file: BinaryIO | None = None
        self._temporary = ""

    def __enter__(self) -> BinaryIO:
        path = self._path
        mode = path.stat().st_mode if path.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            self._file = path.open("wb")  # a pipe, a terminal
            return self._file
        try:
            descriptor, self._temporary = tempfile.mkstemp(dir=path.parent, prefix=".nbproxy-")
        except OSError as error:
            raise _unwritable(error, path) from None
        if mode is not None:
            os.fchmod(descriptor, stat.S_IMODE(mode))
        self._file = os.fdopen(descriptor, "wb")
        return self._file

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        assert self._file is not None  # noqa: S101 - it was entered
        try:
            self._file.close()
            if self._temporary and kind is None:
                Path(self._temporary).replace(self._path)
                self._temporary = ""
        finally:
            if self._temporary:
                Path(self._temporary).unlink(missing_ok=True)
