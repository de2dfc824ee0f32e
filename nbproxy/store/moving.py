"""Copies all of a capture into another one."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from typing import TYPE_CHECKING

from nbproxy.store import connections, encoding
from nbproxy.store.capture_file import LOG, CaptureFile, beside, remove
from nbproxy.store.session_schema import PIECES

if TYPE_CHECKING:
    from pathlib import Path

    Shifts = tuple[int, int, int]

_SHIFTED = {
    "flows": {
        "id": "id + :flows",
        "client_connection": "client_connection + :connections",
        "server_connection": "server_connection + :connections",
        "request_stored": "request_stored + :bodies",
        "response_stored": "response_stored + :bodies",
    },
    "connections": {"id": "id + :connections"},
    "messages": {"flow": "flow + :flows"},
    "chunks": {"id": "id + :pieces"},
    "certificates": {},
}
_COLUMNS = {
    "flows": encoding.COLUMNS,
    "connections": connections.COLUMNS,
    "messages": encoding.MESSAGES,
    "chunks": ("id", "data"),
    "certificates": ("fingerprint", "der"),
}


def copy(source: sqlite3.Connection, target: CaptureFile) -> Shifts:
    """Add all that is in a capture to another one, in one transaction.

    Args:
        source: A connection to the capture; it may have been deleted from its folder since.
        target: Where to.

    Returns:
        What was added to the keys of flows and connections and to the numbers of bodies.

    Raises:
        sqlite3.Error: Nothing was added.
    """
    flows, connection, body = target.next_keys
    shifts = (flows, connection, body - 1)
    values = {
        "flows": shifts[0],
        "connections": shifts[1],
        "bodies": shifts[2],
        "pieces": shifts[2] * PIECES,
    }
    source.execute("ATTACH ? AS target", (str(target.path.absolute()),))
    try:
        source.execute("BEGIN IMMEDIATE")
        for table, columns in _COLUMNS.items():
            shifted = ",".join(_SHIFTED[table].get(column, column) for column in columns)
            source.execute(
                f"INSERT OR IGNORE INTO target.{table} ({','.join(columns)})"  # noqa: S608 - our own names
                f" SELECT {shifted} FROM main.{table}",
                values,
            )
        if flows == 0:
            source.execute(
                "INSERT OR REPLACE INTO target.meta"
                " SELECT name, value FROM main.meta WHERE name = 'started'"
            )
        source.execute("COMMIT")
    except BaseException:
        if source.in_transaction:
            source.execute("ROLLBACK")
        raise
    finally:
        with contextlib.suppress(sqlite3.Error):
            source.execute("DETACH target")
    return shifts


def copy_to_new(source: sqlite3.Connection, path: Path) -> None:
    """Copy a capture into a new plain file, for nobody to record to yet.

    Raises:
        OSError, sqlite3.Error: Nothing is left of it.
    """
    target = CaptureFile(path, temporary=False)
    try:
        copy(source, target)
        target.finish(keep=True)
    except BaseException:
        target.end()
        remove(path)
        raise


def replace(old: CaptureFile) -> tuple[Path, int | None]:
    """Put a capture whose file was deleted or replaced back into its folder, and close it.

    What is open is complete still. If something else has the name now, another name is taken.

    Returns:
        Where it is now, and its lock, to be opened there.

    Raises:
        OSError, sqlite3.Error: It could not be done; the old one is as before.
    """
    path = old.path
    path.parent.mkdir(mode=0o700 if old.temporary else 0o777, parents=True, exist_ok=True)
    part = beside(path, f".{secrets.token_hex(4)}.part")
    copy_to_new(old.db, part)
    # Closing the old database removes the log by its name, so that must come before there is a new
    # one; and a log without its database would be taken for that of the new one.
    lock = old.give_way()
    if not path.exists():
        for suffix in LOG:
            beside(path, suffix).unlink(missing_ok=True)
    name = _claim(part, path)
    if lock is not None and (name != path or not _is_file(lock, beside(path, ".lock"))):
        os.close(lock)
        lock = None
    return name, lock


def free_name(path: Path) -> Path:
    """This name, or one with a number if there is such a file."""
    name, count = path, 1
    while name.exists():
        count += 1
        name = path.with_stem(f"{path.stem}-{count}")
    return name


def _claim(part: Path, path: Path) -> Path:
    """Give a file a name that is free."""
    while True:
        name = free_name(path)
        try:
            os.link(part, name)  # unlike renaming, this never replaces a file
        except FileExistsError:
            continue
        except OSError:  # some file systems have no links
            part.rename(name)
        else:
            part.unlink()
        return name


def _is_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
