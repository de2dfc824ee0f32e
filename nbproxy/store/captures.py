"""The folder of private captures, and what crashed processes left there.

Each private capture is a file of its own, named after the moment it was made and the process.
A process that ends in order removes its captures. What is there and is locked by nobody was left by
a process that was killed, or whose machine went down. Such a file stays until somebody deletes it;
only those without a flow in them, and those that were to be removed, go by themselves.
"""

from __future__ import annotations

import contextlib
import html
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, overload

from platformdirs import user_state_path

from nbproxy.errors import NbproxyError
from nbproxy.store import moving
from nbproxy.store.capture_file import (
    CaptureFile,
    beside,
    part_of,
    release_lock,
    remove,
    replace_file,
    take_lock,
)
from nbproxy.store.saved_file import SavedFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIX: Final = ".nbproxy"
_FACTS: Final = (
    "SELECT (SELECT count(*) FROM flows),"
    " (SELECT value FROM meta WHERE name = 'started'),"
    " (SELECT max(max(time), max(coalesce(response_end, time))) FROM flows),"
    " (SELECT value FROM meta WHERE name = 'pid'),"
    " (SELECT value FROM meta WHERE name = 'discarded')"
)


def default_directory() -> Path:
    """Where private captures lie if nothing else is said."""
    return user_state_path("nbproxy") / "captures"


def _spare_directory() -> Path:
    """Where they lie if that cannot be written: homes are read only in some containers."""
    return Path(tempfile.gettempdir(), f"nbproxy-{os.getuid()}", "captures")


def new_file(directory: Path | None = None) -> CaptureFile:
    """A new private capture of this process.

    Raises:
        OSError, sqlite3.Error: It cannot be made.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"{now}-{os.getpid()}-{secrets.token_hex(3)}{SUFFIX}"
    if directory is not None:
        return CaptureFile(directory / name, temporary=True)
    try:
        return CaptureFile(default_directory() / name, temporary=True)
    except (OSError, sqlite3.OperationalError) as error:
        spare = _spare_directory()
        try:
            spare.parent.mkdir(mode=0o700, exist_ok=True)
            if spare.parent.stat().st_uid == os.getuid():  # else somebody laid it there for us
                return CaptureFile(spare / name, temporary=True)
        except (OSError, sqlite3.OperationalError) as second:
            raise error from second
        raise


@dataclass(frozen=True)
class Capture:
    """A capture that a process left behind.

    Attributes:
        path: Where it is.
        flows: How many flows are in it.
        started: When recording began.
        ended: When the last flow came; None if there is none.
        size_bytes: What it takes on disk.
        pid: Number of the process, None if that is not known.
        problem: Why it cannot be read; "" if it can.
    """

    path: Path
    flows: int = 0
    started: datetime | None = None
    ended: datetime | None = None
    size_bytes: int = 0
    pid: int | None = None
    problem: str = ""

    opener: ClassVar[Callable[[Path], Any] | None] = None
    """What `open` calls. `nbproxy.saved` sets it: the store's files know no views."""

    def open(self) -> Any:
        """The flows in it, as `nbproxy.open` gives them; it stays where it is.

        Raises:
            FormatError: It is damaged.
            OSError: It is gone.
        """
        opener = Capture.opener
        if opener is None:
            raise RuntimeError("nothing opens captures yet: import nbproxy.saved")
        return opener(self.path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Copy it to a file of your own, which is replaced at once when all is copied.

        Returns:
            Where that is.

        Raises:
            FormatError: It is damaged.
            OSError: It cannot be written.
        """
        target = Path(path).expanduser()
        source = SavedFile(self.path)
        try:
            with part_of(target) as part:
                with source.readers.reading() as db:
                    moving.copy_to_new(db, part)
                replace_file(part, target)
        except sqlite3.Error as error:
            raise OSError(f"{self.path} cannot be copied to {target}: {error}") from error
        return target

    def delete(self) -> None:
        """Remove it for good."""
        remove(self.path)

    def __str__(self) -> str:
        return "  ".join(_shown(self).values())


def _shown(capture: Capture) -> dict[str, str]:
    """What people see of a capture, by title."""
    return {
        "recorded until": _moment(capture.ended or capture.started),
        "flows": capture.problem or f"{capture.flows:,} flow{'' if capture.flows == 1 else 's'}",
        "size": _size(capture.size_bytes),
        "process": f"process {capture.pid}" if capture.pid is not None else "",
        "file": str(capture.path),
    }


def _moment(moment: datetime | None) -> str:
    return "?" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


class Captures(Sequence[Capture]):
    """Captures that were left behind, the newest first; a list of how things were when asked."""

    def __init__(self, captures: Iterable[Capture]) -> None:
        self._captures = tuple(captures)

    @overload
    def __getitem__(self, index: int) -> Capture: ...
    @overload
    def __getitem__(self, index: slice) -> Captures: ...
    def __getitem__(self, index: int | slice) -> Capture | Captures:
        if isinstance(index, slice):
            return Captures(self._captures[index])
        try:
            return self._captures[index]
        except IndexError:
            count = len(self)
            raise IndexError(
                f"there is no capture {index}: {count or 'none'} "
                f"{'was' if count == 1 else 'were'} left behind"
            ) from None

    def __len__(self) -> int:
        return len(self._captures)

    def delete(self) -> None:
        """Remove all of them for good."""
        for capture in self._captures:
            capture.delete()

    def __repr__(self) -> str:
        if not self._captures:
            return "<Captures: none was left behind>"
        lines = [f"[{number}]  {capture}" for number, capture in enumerate(self._captures)]
        return "\n".join([f"<Captures: {len(self)} left behind>", *lines])

    def _repr_html_(self) -> str:
        if not self._captures:
            return "<p>No capture was left behind by a process that crashed.</p>"
        titles = "".join(f"<th>{title}</th>" for title in ("", *_shown(self._captures[0])))
        rows = []
        for number, capture in enumerate(self._captures):
            cells = "".join(f"<td>{html.escape(text)}</td>" for text in _shown(capture).values())
            rows.append(f"<tr><th>{number}</th>{cells}</tr>")
        return (
            f"<table><thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
            "<p><code>captures[0].open()</code> gives the flows, <code>.save(path)</code> keeps "
            "them, <code>.delete()</code> removes them.</p>"
        )


def recover(directory: Path | None = None) -> Captures:
    """The captures in a folder that no process records to any more, the newest first.

    Those with nothing in them are removed.
    """
    folders = [directory] if directory is not None else [default_directory(), _spare_directory()]
    found = []
    for path in _candidates(folders):
        with contextlib.suppress(OSError):  # it went meanwhile, or is not ours
            lock = take_lock(path)
            if lock is None:
                continue
            try:
                capture = _examine(path)
                if capture is not None:
                    found.append(capture)
            finally:
                release_lock(path, lock)
    found.sort(key=_newest, reverse=True)
    return Captures(found)


def _candidates(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        with contextlib.suppress(OSError):
            yield from sorted(folder.glob(f"*{SUFFIX}"))


def _newest(capture: Capture) -> float:
    moment = capture.ended or capture.started
    return 0.0 if moment is None else moment.timestamp()


def _examine(path: Path) -> Capture | None:
    """What a capture holds; None if that is nothing, and it is removed. Its lock is held."""
    size = sum(each.stat().st_size for each in (path, beside(path, "-wal")) if each.is_file())
    began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    try:
        if not path.stat().st_size:
            remove(path)
            return None
        file = SavedFile(path)
        try:
            [(flows, started, ended, pid, discarded)] = file.readers.rows(_FACTS)
        finally:
            file.readers.close()
    except (NbproxyError, sqlite3.Error) as error:
        return Capture(path, started=began, size_bytes=size, problem=f"damaged: {error}")
    if discarded is not None or not flows:
        remove(path)
        return None
    return Capture(
        path,
        flows,
        _time(started) or began,
        _time(ended),
        size,
        pid if isinstance(pid, int) else None,
    )


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
