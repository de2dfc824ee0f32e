"""What a capture file is: a SQLite database that `sqlite3` and Datasette can read too.

| table | a row is | its key |
|---|---|---|
| `flows` | a flow | `id`: in the order of beginning; goes on counting when a file is appended to |
| `connections` | a connection of flows, client's or server's | `id` |
| `certificates` | a certificate that a connection showed | `fingerprint`: SHA-256, in hex |
| `messages` | a WebSocket message | `flow`, `number` |
| `chunks` | a piece of a large body | `id`: number of the body * 2**20 + number of the piece |
| `meta` | a fact about the file | `name` |

In `flows`, the first columns are those of the frame (`nbproxy.store.schema`), in the same units;
`time` and all other moments are Unix seconds. `request_headers` and `response_headers` (and
`..._trailers`) are lines of `Name: value`; where that would not be exact they are a blob of JSON,
pairs whose characters stand for bytes (Latin-1). `response_headers` is NULL where there is no
response. `request_body` and `response_body` are the bodies as sent (with their content coding):
NULL if missing, or if the body is large: `request_stored`, `response_stored` are then its number in
`chunks`. `client_connection` and `server_connection` refer to `connections`; NULL stands for one
of which nothing is known. `metadata` and `websocket` are JSON. `extra` is JSON, and mostly NULL:
`set` has values that their columns cannot say (text that is not Unicode, numbers beyond 64 bits),
`truncated` names the bodies whose end is missing.

In JSON, `{"$bytes": ...}` is base64, `{"$tuple": [...]}` a tuple, `{"$float": ...}` one of nan,
inf, -inf, and `{"$dict": [[key, value], ...]}` a dictionary that would be mistaken otherwise.

`PRAGMA user_version` is the version of all this, `PRAGMA application_id` says that it is a capture.
An older version is brought up to date step by step, a newer one is refused. While a file is
recorded, its process holds a lock (flock) on a file beside it with `.lock` at the end.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from nbproxy.errors import FormatError

APPLICATION_ID: Final = 0x6E627078
""""nbpx"."""

VERSION: Final = 2

PIECES: Final = 2**20
"""A body has at most so many pieces; factor of its number in the key of a piece."""

FLOWS: Final = """
CREATE TABLE flows (
    id INTEGER PRIMARY KEY,
    time REAL,
    method TEXT,
    scheme TEXT,
    host TEXT,
    port INTEGER,
    path TEXT,
    status INTEGER,
    reason TEXT,
    content_type TEXT,
    request_bytes INTEGER,
    response_bytes INTEGER,
    duration REAL GENERATED ALWAYS AS (max(0.0, response_end - time)) VIRTUAL,
    ttfb REAL GENERATED ALWAYS AS (
        CASE WHEN response_start <> 0.0 THEN max(0.0, response_start - time) END
    ) VIRTUAL,
    http_version TEXT,
    client TEXT,
    server TEXT,
    tls INTEGER,
    error TEXT,
    intercepted INTEGER,
    marked TEXT,
    comment TEXT,
    cell INTEGER GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.cell') END
    ) VIRTUAL,
    line INTEGER GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.line') END
    ) VIRTUAL,
    function TEXT GENERATED ALWAYS AS (
        CASE WHEN json_valid(metadata) THEN json_extract(metadata, '$.function') END
    ) VIRTUAL,
    created REAL,
    request_end REAL,
    response_start REAL,
    response_end REAL,
    error_time REAL,
    authority TEXT,
    response_version TEXT,
    is_replay TEXT,
    client_connection INTEGER,
    server_connection INTEGER,
    request_stored INTEGER,
    response_stored INTEGER,
    metadata TEXT,
    websocket TEXT,
    extra TEXT,
    request_headers,
    request_trailers,
    response_headers,
    response_trailers,
    request_body BLOB,
    response_body BLOB
)
"""

CONNECTIONS: Final = """
CREATE TABLE connections (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    peer TEXT,
    sock TEXT,
    address TEXT,
    tunnel TEXT,
    via TEXT,
    started REAL,
    tcp_setup REAL,
    tls_setup REAL,
    ended REAL,
    tls INTEGER,
    tls_version TEXT,
    cipher TEXT,
    alpn TEXT,
    alpn_offers TEXT,
    sni TEXT,
    certificates TEXT,
    verified INTEGER,
    requests INTEGER,
    error TEXT,
    extra TEXT
)
"""

_TABLES: Final = (
    FLOWS,
    CONNECTIONS,
    "CREATE TABLE certificates (fingerprint TEXT PRIMARY KEY, der BLOB NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE messages (
        flow INTEGER NOT NULL,
        number INTEGER NOT NULL,
        time REAL,
        from_client INTEGER,
        type INTEGER,
        content BLOB,
        dropped INTEGER,
        injected INTEGER,
        left_out INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (flow, number)
    )
    """,
    "CREATE TABLE chunks (id INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE INDEX flows_time ON flows (time)",
    "CREATE INDEX flows_request_stored ON flows (request_stored) WHERE request_stored IS NOT NULL",
    """
    CREATE INDEX flows_response_stored ON flows (response_stored)
        WHERE response_stored IS NOT NULL
    """,
)

MIGRATIONS: Final[dict[int, tuple[str, ...]]] = {
    # 1 had no moment of creation apart from the request's first byte
    1: ("ALTER TABLE flows ADD COLUMN created REAL",),
}
"""From a version, what makes the next one of it."""


def prepare(connection: sqlite3.Connection, name: str) -> bool:
    """Make a file a capture of the current version, in one transaction.

    Args:
        connection: Where an empty file or a capture is open, in autocommit mode.
        name: The file's name, for errors.

    Returns:
        Whether it was empty.

    Raises:
        FormatError: It is of a newer version, or no capture.
        sqlite3.Error: It cannot be read or written.
    """
    version = check(connection, name)
    if version == VERSION:
        return False
    if version == 0:  # before the first write: these cannot be changed later
        connection.execute("PRAGMA page_size = 8192")  # a row with a small body is 1 to 3 kB
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = check(connection, name)  # another process may have been faster
        if version == 0:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        else:
            for step in range(version, VERSION):
                for statement in MIGRATIONS[step]:
                    connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    return version == 0


def check(connection: sqlite3.Connection, name: str) -> int:
    """The version of a capture; 0 if the file is empty.

    Raises:
        FormatError: It is of a newer version, or no capture.
        sqlite3.Error: It cannot be read.
    """
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise FormatError(f"this is not a capture of nbproxy ({error})", name) from error
    if empty and application in {0, APPLICATION_ID}:
        return 0
    if application != APPLICATION_ID or version < 1:
        raise FormatError("this is a SQLite database, but not a capture of nbproxy", name)
    if version > VERSION:
        raise FormatError(
            f"this capture has version {version}, made by a newer nbproxy; this one reads versions "
            f"up to {VERSION}: upgrade nbproxy to open it",
            name,
        )
    return version
