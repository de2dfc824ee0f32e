"""Folders for datasets: on this machine, or wherever fsspec reaches (`s3://`, `memory://`, ...)."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from nbproxy.analysis.extras import load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".parquet"


class Place(Protocol):
    """A folder; names are relative to it, with `/` between their parts."""

    @property
    def name(self) -> str:
        """Where it is."""

    def files(self) -> list[tuple[str, int]]:
        """Parquet files in it and below, by name, and how many bytes they have; sorted."""

    def create(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A new file to write to, which is there when all is written."""

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if it is not there."""


def is_url(path: object) -> bool:
    """Whether something names a place that fsspec reaches."""
    return isinstance(path, str) and ("://" in path or "::" in path)


def place(path: str | os.PathLike[str], options: Mapping[str, Any] | None = None) -> Place:
    """The folder with a name.

    Args:
        path: A path of this machine, or a URL.
        options: For fsspec: credentials and the like.

    Raises:
        ImportError: A URL, and fsspec (or what it needs for this kind of URL) is not installed.
    """
    return Remote(str(path), options or {}) if is_url(path) else Local(Path(path).expanduser())


def check_folder(path: str | os.PathLike[str]) -> None:
    """Find out whether a dataset can be at a path: a URL can, a file cannot be a folder.

    Raises:
        NotADirectoryError: It is a file.
    """
    if not is_url(path) and (local := Path(path).expanduser()).exists() and not local.is_dir():
        raise NotADirectoryError(
            f"{str(local)!r} is a file, and to_parquet writes a folder: name a new one; "
            "flows.save(path) writes a file"
        )


class Local:
    """A folder of this machine. All that is made in it is readable by its owner alone."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """Where it is."""
        return str(self._root)

    def files(self) -> list[tuple[str, int]]:
        """See `Place`."""
        found = []
        for folder, folders, names in os.walk(self._root):
            folders[:] = [each for each in folders if not each.startswith((".", "_"))]
            for name in names:
                if name.endswith(SUFFIX) and not name.startswith((".", "_")):
                    path = Path(folder, name)
                    found.append((path.relative_to(self._root).as_posix(), path.stat().st_size))
        return sorted(found)

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """See `Place`."""
        path = self._root / name
        for folder in (path.parent, *path.parent.parents):
            if folder.exists():
                break
        else:  # pragma: no cover - the root of the file system is there
            folder = path.parent
        for part in path.parent.relative_to(folder).parts:
            folder /= part
            folder.mkdir(mode=0o700, exist_ok=True)
        beside = path.with_name(f".{secrets.token_hex(8)}.part")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """See `Place`."""
        (self._root / name).unlink(missing_ok=True)


class Remote:
    """A folder that fsspec reaches."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        fsspec = load("fsspec.core", "parquet", f"a folder such as {url.partition('://')[0]}://")
        with _named_library(url):
            self._fs, path = fsspec.url_to_fs(url, **options)
        self._root = path.rstrip("/")
        self._url = url

    @property
    def name(self) -> str:
        """Where it is."""
        return self._url

    def files(self) -> list[tuple[str, int]]:
        """See `Place`."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return []
        start = len(self._root.rstrip("/")) + 1
        names = {path[start:]: facts.get("size") or 0 for path, facts in found.items()}
        return sorted(
            (name, size)
            for name, size in names.items()
            if name.endswith(SUFFIX) and not any(p[:1] in {".", "_"} for p in name.split("/"))
        )

    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """See `Place`."""
        path = f"{self._root}/{name}"
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        with self._fs.open(path, "wb") as file:
            yield file

    def remove(self, name: str) -> None:
        """See `Place`."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")


@contextlib.contextmanager
def opened(file: str, options: Mapping[str, Any]) -> Iterator[Any]:
    """A file for reading, by path or URL.

    Raises:
        OSError: It cannot be read.
    """
    if not is_url(file):
        with Path(file).open("rb") as local:
            yield local
        return
    fsspec = load("fsspec.core", "parquet", f"a file such as {file.partition('://')[0]}://")
    with _named_library(file):
        source = fsspec.open(file, "rb", **options)
    with source as remote:
        yield remote


@contextlib.contextmanager
def _named_library(url: str) -> Iterator[None]:
    """An error that names the library which most kinds of URLs take beside fsspec."""
    try:
        yield
    except ImportError as error:
        kind = url.partition("://")[0]
        raise ImportError(
            f"for {kind}:// fsspec needs a library of its own, beside what 'nbproxy[parquet]' "
            f"brings: {error}",
            name=error.name,
        ) from error
