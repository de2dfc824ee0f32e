"""What people see."""

import math

import pandas as pd
import pytest

from nbproxy.analysis.shown import (
    cut,
    masked,
    path_text,
    place,
    plain,
    seconds_text,
    shortened,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0.4 ms"), (0.012, "12 ms"), (1.239, "1.24 s"), (59.999, "1 min 0 s"),
     (185, "3 min 5 s"), (7260, "2 h 1 min"), (math.nan, "")],
)  # fmt: skip
def test_durations(seconds, text):
    assert seconds_text(seconds) == text


def test_secrets():
    assert "hunter2" not in plain("no TLS with https://bob:hunter2@a.test/?token=hunter2")
    assert "hunter2" not in path_text("/x?token=hunter2")
    assert plain("a\x1b\u202e") == "a\\x1b\\u202e"
    assert len(plain("x" * 10**6)) < 600


def test_cutting():
    assert cut("abcdef", 3) == "ab…"
    assert cut("abc", 3) == "abc"


def test_frames():
    frame = pd.DataFrame(
        {
            "path": ["/?token=hunter2", None],
            "n": [1, 2],
            "at": pd.to_datetime([0, 1], utc=True),
            "response_schema": [{"type": "object", "properties": {}}, None],
            "flows": [[1, 2], "Bearer hunter2hunter2hunter2"],
            "maybe": pd.array([True, None], dtype="boolean"),
        },
        index=pd.Index(["a\x1b", "b"], name="host"),
    )
    found = masked(frame)
    assert type(found) is pd.DataFrame
    assert found.path.iloc[0].startswith("/?token=***")
    assert list(found.index) == ["a\\x1b", "b"]
    assert list(found.n) == [1, 2]
    assert list(found.response_schema) == ["{}", ""]
    assert found.flows.iloc[0] == "[1, 2]"
    assert "hunter2" not in repr(found.to_dict())
    assert frame.path.iloc[0] == "/?token=hunter2"  # the frame itself is not touched


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdefg", 6, "ab…efg"), ("abcdefg", 5, "ab…fg"), ("ab", 1, "…")],
)
def test_shortened(text, limit, shown):
    assert shortened(text, limit) == shown


@pytest.mark.parametrize(
    ("host", "path"), [("h", "/p"), ("h" * 90, "/p"), ("h", "/p" * 90), ("h" * 90, "/p" * 90)]
)
def test_place(host, path):
    where = place(host, path, 30)
    assert len(where) == min(30, len(host + path))
    assert where.startswith("h")
    assert where.endswith("/p")
