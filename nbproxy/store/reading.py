"""Reads flows and their columns from a capture, many at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from nbproxy.store import connections, decoding, encoding, rowcolumns
from nbproxy.store.rows import read_rows
from nbproxy.store.schema import COLUMNS, HIDDEN

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, MutableMapping, Sequence
    from pathlib import Path

    from nbproxy.model.connection import Connection
    from nbproxy.model.flow import HTTPFlow
    from nbproxy.model.websocket import WebSocketMessage
    from nbproxy.store.chunks import Bodies
    from nbproxy.store.readers import Readers

    Row = tuple[Any, ...]

_PART: Final = 500
_FLOWS: Final = f"SELECT {','.join(encoding.COLUMNS)} FROM flows WHERE id IN "  # noqa: S608 - our own names
_CONNECTIONS: Final = f"SELECT {','.join(connections.COLUMNS)} FROM connections WHERE id IN "  # noqa: S608
_MESSAGES: Final = f"SELECT {','.join(encoding.MESSAGES)} FROM messages WHERE flow IN "  # noqa: S608
_CLIENT, _SERVER, _WEBSOCKET = map(
    encoding.COLUMNS.index, ("client_connection", "server_connection", "websocket")
)


def groups(keys: Iterable[Any], size: int = _PART) -> Iterator[tuple[str, list[Any]]]:
    """Keys for `IN (...)`, some hundred at a time: question marks in brackets, and the keys."""
    whole = list(keys)
    for start in range(0, len(whole), size):
        part = whole[start : start + size]
        yield f"({','.join('?' * len(part))})", part


class File(Protocol):
    """A capture."""

    @property
    def readers(self) -> Readers:
        """Connections for reading it."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def is_there(self) -> bool:
        """Whether it still is there."""

    @property
    def size_bytes(self) -> int:
        """What it takes on disk now."""


@dataclass(frozen=True)
class Shelf:
    """A capture, as one reads from it.

    Attributes:
        file: It, with connections for reading.
        bodies: The large bodies of it that are in memory.
        live: The connections of flows that are in memory, by their keys less `connection_offset`.
        flow_offset: What is added to the id of a flow to make its key.
        connection_offset: The same for connections; None if they get new numbers.
    """

    file: File
    bodies: Bodies
    live: MutableMapping[int, Connection]
    flow_offset: int = 0
    connection_offset: int | None = None

    def keys(self, first: int) -> list[int]:
        """The keys of flows from this one on, ascending.

        Raises:
            sqlite3.Error, OSError: The file cannot be read.
        """
        query = "SELECT id FROM flows WHERE id >= ? ORDER BY id"
        return [key for (key,) in self.file.readers.rows(query, (first,))]

    def flows(self, keys: Sequence[int]) -> dict[int, HTTPFlow]:
        """The flows with these keys, those that are there; they have no ids yet.

        Raises:
            sqlite3.Error, OSError: The file cannot be read.
        """
        found = {}
        with self.file.readers.reading() as db:
            for marks, part in groups(keys):
                rows = db.execute(_FLOWS + marks, part).fetchall()
                known = self._connections(db, rows)
                messages = _messages(db, [row[0] for row in rows if row[_WEBSOCKET] is not None])
                for row in rows:
                    try:
                        flow = decoding.from_row(row, self.bodies, known, messages)
                    except Exception as error:  # noqa: BLE001 - others may have written anything
                        flow = decoding.damaged(row, error)
                    found[row[0]] = flow
        return found

    def _connections(self, db: sqlite3.Connection, rows: Sequence[Row]) -> dict[int, Any]:
        """The connections of flows by their keys, those that are known."""
        keys = {row[_CLIENT] for row in rows}
        keys.update([row[_SERVER] for row in rows])
        keys.discard(None)
        offset = self.connection_offset or 0
        known: dict[int, Any] = {}
        for key in keys:
            connection = self.live.get(key - offset)
            if connection is not None:
                known[key] = connection
        missing = keys.difference(known)
        if missing:
            found: list[Row] = []
            for marks, part in groups(missing):
                found += db.execute(_CONNECTIONS + marks, part).fetchall()
            certificates = _certificates(db, found)
            for row in found:
                connection = connections.from_row(row, certificates)
                if self.connection_offset is not None:
                    connection.id = row[0] - offset
                known[row[0]] = self.live.setdefault(row[0] - offset, connection)
        return known

    def columns(self, keys: Sequence[int]) -> tuple[list[int], dict[str, list[Any]]]:
        """The values of all columns of flows, those that are there; keys ascend.

        Raises:
            sqlite3.Error, OSError: The file cannot be read.
        """
        rows: list[Row] = []
        with self.file.readers.reading() as db:
            for marks, part in groups(keys):
                rows += db.execute(f"{rowcolumns.SELECT}{marks} ORDER BY id", part).fetchall()
            addresses = _addresses(db, rows)
        found, values, odd = rowcolumns.read(rows, addresses)
        unknown = [column for column in (*COLUMNS, *HIDDEN) if column.name not in values]
        if unknown:  # the schema has new ones
            odd = list(range(len(found)))
            values.update({column.name: [None] * len(found) for column in unknown})
        if odd:
            flows = self.flows([found[i] for i in odd])
            again = [(i, flows[found[i]]) for i in odd if found[i] in flows]
            for name, column in read_rows([flow for _, flow in again]).items():
                for (i, _), value in zip(again, column, strict=True):
                    values[name][i] = value
        return found, values


def _certificates(db: sqlite3.Connection, rows: Iterable[Row]) -> dict[str, bytes]:
    wanted = {each for row in rows for each in connections.certificates_of(row)}
    found: dict[str, bytes] = {}
    query = "SELECT fingerprint, der FROM certificates WHERE fingerprint IN "
    for marks, part in groups(wanted):
        found.update(db.execute(query + marks, part).fetchall())
    return found


def _addresses(db: sqlite3.Connection, rows: Iterable[Row]) -> dict[int, str | None]:
    """Where the servers of some rows are, by their keys; not of those that are hard to read."""
    wanted = {row[rowcolumns.SERVER] for row in rows}
    wanted.discard(None)
    found: dict[int, str | None] = {}
    query = "SELECT id, address FROM connections WHERE extra IS NULL AND id IN "
    for marks, part in groups(wanted):
        found.update(db.execute(query + marks, part).fetchall())
    return found


def _messages(db: sqlite3.Connection, keys: Sequence[int]) -> dict[int, list[WebSocketMessage]]:
    found: dict[int, list[WebSocketMessage]] = {}
    for marks, part in groups(keys):
        for row in db.execute(f"{_MESSAGES}{marks} ORDER BY flow, number", part).fetchall():
            found.setdefault(row[0], []).append(decoding.message_of(row))
    return found
