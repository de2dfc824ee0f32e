"""Rows as bytes: every value comes out as it went in, masked and visible where it is text."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from nbproxy.notebook.widgets.encoding import (
    FAILED,
    HELD,
    RECEIVING,
    TLS,
    UNDER_WAY,
    encode,
)
from nbproxy.store.schema import COLUMNS
from tests.notebook.inert import HOSTILE
from tests.notebook.widgets.reading import rows_of

EMPTY = {column.name: None for column in COLUMNS} | {
    "time": 1_700_000_000.25,
    "method": "GET",
    "scheme": "https",
    "host": "example.org",
    "port": 443,
    "path": "/",
    "request_bytes": 0,
    "response_bytes": 0,
    "tls": True,
    "intercepted": False,
    "marked": "",
    "comment": "",
}


def one(**values):
    return many(EMPTY | values)[0]


def many(*rows):
    columns = {name: [row[name] for row in rows] for name in EMPTY}
    content, raw = encode(range(len(rows)), columns)
    json.dumps(content, allow_nan=False)
    return rows_of(content, raw)


def test_a_row():
    row = one(
        status=200,
        content_type="text/html",
        response_bytes=5,
        request_bytes=7,
        duration=0.5,
        ttfb=0.25,
        http_version="HTTP/1.1",
        client="127.0.0.1:1",
        server="[::1]:443",
        comment="look",
        marked=":red_circle:",
    )
    assert row["time"] == 1_700_000_000_250
    assert (row["duration"], row["ttfb"]) == (500, 250)
    assert (row["sent"], row["received"], row["status"], row["id"]) == (7, 5, 200, 0)
    assert (row["method"], row["host"], row["path"], row["type"]) == (
        "GET",
        "example.org",
        "/",
        "html",
    )
    assert (row["client"], row["server"], row["version"]) == (
        "127.0.0.1:1",
        "[::1]:443",
        "HTTP/1.1",
    )
    assert (row["comment"], row["mark"], row["error"]) == ("look", ":red_circle:", "")
    assert row["flags"] == TLS


def test_how_far_it_is():
    assert one(tls=False)["flags"] == UNDER_WAY
    assert one(status=200)["flags"] == TLS | RECEIVING
    assert one(status=200, duration=0.0)["flags"] == TLS
    assert one(error="refused")["flags"] == TLS | FAILED
    assert one(intercepted=True)["flags"] == TLS | UNDER_WAY | HELD
    assert math.isnan(one()["duration"])


def test_hosts_and_types_are_short():
    assert one(port=8443)["host"] == "example.org:8443"
    assert one(scheme="http", port=80)["host"] == "example.org"
    assert one(content_type="image/png")["type"] == "image/png"
    assert one(content_type="application/json")["type"] == "json"


def test_who_asked():
    assert one()["origin"] == ""
    assert one(cell=3, function="get")["origin"] == "[3] get"
    assert one(cell=3)["origin"] == "[3]"
    assert one(function="get")["origin"] == "get"


def test_secrets_are_masked():
    row = one(path="/login?token=hunter2&x=1", error="Bearer abcdefgh12345678", comment="hunter3")
    assert "hunter2" not in row["path"]
    assert row["path"].startswith("/login?token=***")
    assert "abcdefgh12345678" not in row["error"]


def test_what_is_the_same_in_all_rows_is_sent_once():
    content, raw = encode(range(3), {name: [EMPTY[name]] * 3 for name in EMPTY})
    constant = {name for name, _, *value in content["columns"] if value}
    assert {"method", "host", "path", "status", "flags"} <= constant
    assert len(raw) == 3 * (4 + 4 + 4)  # what is NaN has no JSON; and the ids


def test_many_strings_need_wide_numbers():
    count = 70_000
    columns = {name: [EMPTY[name]] * count for name in EMPTY}
    columns["path"] = [f"/{i}" for i in range(count)]
    content, raw = encode(range(count), columns)
    assert ["path", "t4"] in content["columns"]
    rows = rows_of(content, raw)
    assert [rows[i]["path"] for i in (0, 69_999)] == ["/0", "/69999"]


def test_hostile_text_is_visible_and_bounded():
    for text in [*HOSTILE, "x" * 100_000]:
        row = one(path=text, method=text, host=text, error=text, comment=text, content_type=text)
        for value in row.values():
            if isinstance(value, str):
                assert value.isprintable()
                assert len(value) < 4000


nonsense = st.one_of(
    st.none(), st.text(), st.integers(), st.floats(), st.binary(), st.booleans(), st.just([])
)


@given(st.fixed_dictionaries(dict.fromkeys(EMPTY, nonsense)))
def test_whatever_a_handler_left_in_a_flow_can_be_sent(row):
    (found,) = many(row)
    assert set(found) >= {"id", "time", "method", "path", "flags"}
