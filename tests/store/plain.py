"""Rows in the plainest way: a dict for each, by id. What the frame has must be the same."""

import pandas as pd

from nbproxy.store.schema import COLUMNS

PATHS = ("/", "/a?b=c", "/日本", *(f"/items/{number}" for number in range(40)))
STATUS = (None, 200, 404, 500)
ERRORS = (None, None, None, "no answer")
_TYPES = (None, "text/html", "application/json")


def row(rng, number):
    """Values of all columns of one row, as `read_rows` has them."""
    start = 1.7e9 + number + rng.random()
    status = rng.choice(STATUS)
    host = f"www{rng.randrange(5)}.example.org"
    kind = rng.choice(_TYPES)
    return {
        "time": start,
        "method": rng.choice(("GET", "GET", "POST")),
        "scheme": "https",
        "host": host,
        "port": 443,
        "path": rng.choice(PATHS),
        "status": status,
        "reason": None if status is None else "OK",
        "content_type": kind,
        "request_bytes": rng.choice((0, 0, 0, 700)),
        "response_bytes": rng.randrange(10**6),
        "duration": None if status is None else (start + rng.random()) - start,
        "ttfb": None,
        "http_version": "HTTP/1.1",
        "client": f"127.0.0.1:{40000 + rng.randrange(1000)}",
        "server": rng.choice((None, "93.184.216.34:443")),
        "tls": rng.random() < 0.9,
        "error": rng.choice(ERRORS),
        "intercepted": False,
        "marked": rng.choice(("", "", ":star:")),
        "comment": rng.choice(("", "", f"c{number}")),
        "cell": rng.choice((None, 3, 4)),
        "line": None,
        "function": rng.choice((None, "fetch")),
        "_authority": host,
        "_request_type": None,
        "_response_type": kind,
        "_destination": f"{host}:443",
        "_websocket": False,
        "_replay": None,
    }


def columns(rows):
    """Rows as columns, which is how tables take them."""
    names = dict.fromkeys(name for each in rows for name in each)
    return {name: [each.get(name) for each in rows] for name in names}


def seen(values):
    """Values of a frame's column: None for all that is missing, times in seconds."""
    return [
        None if pd.isna(v) else v.timestamp() if isinstance(v, pd.Timestamp) else v for v in values
    ]


def assert_frame(df, rows, added=()):
    """The frame has these rows, by ascending id, and columns beside the schema's."""
    assert df.index.tolist() == sorted(rows)
    assert list(df.columns) == [*(column.name for column in COLUMNS), *added]
    for name in df.columns:
        wanted = [rows[number].get(name) for number in sorted(rows)]
        if name == "time":
            wanted = [round(value * 1e6) / 1e6 for value in wanted]
        assert seen(df[name].tolist()) == wanted, name
