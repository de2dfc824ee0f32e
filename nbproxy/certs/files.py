"""The files of a CA on disk: read with suspicion, created once, never half written.

A key that others can read, or could have put there, is not a secret; a reader is told the
reason and the command that mends it (CWE-732).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nbproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_KEY_FILE = 1_000_000  # a key and a chain are some kilobytes
_ELSEWHERE = "or point the option confdir at another folder"


def prepare_folder(folder: Path) -> None:
    """Make the folder with mode 0700, or check that nobody else can put files into it.

    Raises:
        ConfigError: It cannot be made, or others could replace the files in it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError as error:
        raise ConfigError(
            f"The folder for the CA, {folder}, cannot be used: {error.strerror}. "
            f"Make it writable, {_ELSEWHERE}."
        ) from error
    quoted = shlex.quote(str(folder))
    if facts.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"The folder of the CA, {folder}, belongs to another user (uid {facts.st_uid}), who "
            f"could replace what is in it. Run: sudo chown {os.geteuid()} {quoted} - {_ELSEWHERE}."
        )
    if facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"Other users can write into the folder of the CA, {folder} (mode "
            f"{stat.S_IMODE(facts.st_mode):04o}). Run: chmod 700 {quoted} - {_ELSEWHERE}."
        )


def read_private(path: Path) -> bytes:
    """The bytes of a key file that only its owner, who is the caller, can read.

    Raises:
        ConfigError: It is a symlink, not a file, another user's, or open to others.
    """
    # O_NONBLOCK: a FIFO in its place must not hang us
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # what O_NOFOLLOW says; EMLINK on FreeBSD
            raise ConfigError(_symlink(path)) from error
        raise ConfigError(
            f"The CA key {path} cannot be read: {error.strerror}. Mend that, {_ELSEWHERE}."
        ) from error
    try:
        problem = _problem(path, os.fstat(fd))
        if problem:
            raise ConfigError(problem)
        with open(fd, "rb", closefd=False) as file:
            return file.read(_MAX_KEY_FILE)
    finally:
        os.close(fd)


def _symlink(path: Path) -> str:
    quoted, new = shlex.quote(str(path)), shlex.quote(f"{path}.new")
    return (
        f"The CA key {path} is a symbolic link, and whoever can change where it points chooses "
        f"the key. Run: install -m 600 {quoted} {new} && mv -f {new} {quoted} - {_ELSEWHERE}."
    )


def _problem(path: Path, facts: os.stat_result) -> str:
    """What speaks against a key file, with its remedy, or ""."""
    quoted = shlex.quote(str(path))
    if not stat.S_ISREG(facts.st_mode):
        return f"The CA key {path} is not a file. Remove it, {_ELSEWHERE}."
    if facts.st_uid != os.geteuid():
        return (
            f"The CA key {path} belongs to another user (uid {facts.st_uid}), who can sign with "
            f"it too. Run: sudo chown {os.geteuid()} {quoted} - {_ELSEWHERE}."
        )
    if facts.st_mode & 0o077:
        return (
            f"The CA key {path} is open to other users (mode {stat.S_IMODE(facts.st_mode):04o}), "
            f"who could read all traffic of clients that trust it. Run: chmod 600 {quoted} - "
            f"{_ELSEWHERE}, on a file system that keeps permissions if this one does not."
        )
    return ""


def create_private(path: Path, data: bytes) -> None:
    """Create a file of mode 0600 with these bytes, unless it exists.

    Atomic: of several processes one wins, and all see its complete file.

    Raises:
        ConfigError: The folder does not let us.
    """
    with _temporary(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except OSError:  # no hard links here: FAT, some container and network file systems
            with _locked(path.parent):
                if not os.path.lexists(path):
                    temporary.rename(path)


def write_public(path: Path, data: bytes) -> None:
    """Put a file of mode 0644 in place at once, whatever stood there.

    Raises:
        ConfigError: The folder does not let us.
    """
    with _temporary(path, data) as temporary:
        temporary.chmod(0o644)
        temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path, data: bytes) -> Iterator[Path]:
    """A complete file of mode 0600 beside `path`, gone at the end if still there."""
    try:
        fd, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(data)
                file.flush()
                os.fsync(fd)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Make its folder writable, {_ELSEWHERE}."
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
