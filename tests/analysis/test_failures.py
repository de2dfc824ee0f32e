"""What went wrong."""

import pandas as pd
import pytest

from nbproxy.model.flow import Error
from tests.analysis.views import connection, flow, view


def test_answers_that_are_errors():
    flows = [
        flow(url=f"https://a.test/users/{i}", status=404, body=b'{"detail": "no such user"}')
        for i in range(7)
    ]
    found = view(*flows, flow(url="https://a.test/users/9"), flow(status=503)).errors()
    first, second = found.iloc[0], found.iloc[1]
    assert first.to_dict() | {"first": 0, "last": 0} == {
        "kind": "status",
        "host": "a.test",
        "endpoint": "GET /users/{id}",
        "status": 404,
        "cause": "404 Not Found: no such user",
        "count": 7,
        "share": 7 / 8,
        "first": 0,
        "last": 0,
        "flows": [each.id for each in flows[:1:-1]],
    }
    assert (second.cause, second.share) == ("503 Service Unavailable", 1.0)
    assert found.status.dtype == "Int64"


def test_failures_of_a_host_are_one():
    found = view(
        *(
            flow(url=f"https://a.test/{path}", status=None, error=f"no answer within {i} s",
                 start=i, server=connection("a.test"))
            for i, path in enumerate(["x", "x", "y"])
        ),
        flow(url="https://a.test/x"),
    ).errors()  # fmt: skip
    (row,) = found.to_dict("records")
    assert row["kind"] == "server"
    assert row["endpoint"] == "2 endpoints"
    assert row["status"] is None
    assert row["count"] == 3
    assert row["share"] == 0.75
    assert row["last"] - row["first"] == pd.Timedelta(seconds=2)


@pytest.mark.parametrize(
    ("message", "server", "kind"),
    [
        (Error.KILLED_MESSAGE, None, "killed"),
        ("the client disconnected", None, "client"),
        ("the client's TLS failed", connection(), "client"),
        ("cannot connect", connection(connect=None), "connect"),
        ("bad certificate", connection(tls=0), "tls"),
        ("bad with client", connection(), "server"),
        ("the response is not HTTP", connection(), "server"),
        ("who knows", None, "server"),
    ],
)
def test_kinds(message, server, kind):
    found = view(flow(status=None, error=message, server=server)).errors()
    assert found.kind[0] == kind


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b'{"error": {"message": "slow down"}}', "application/json", "slow down"),
        (b'{"errors": [{"title": "x", "detail": "y"}]}', "application/problem+json", "y"),
        (
            b'{"error": "invalid", "error_description": "bad\\n code"}',
            "application/json",
            "bad code",
        ),
        (b'{"message": null, "title": "t"}', "application/json", "t"),
        (b'["first"]', "application/json", "first"),
        (b"quota exceeded", "text/plain", "quota exceeded"),
        (b"x" * 1000, "text/plain", ""),
        (b"<h1>no</h1>", "text/html", ""),
        (b'{"code": 7}', "application/json", ""),
        (b"{", "application/json", ""),
        (b'{"error": {"error": {"error": {"error": "deep"}}}}', "application/json", ""),
        (b"", "", ""),
    ],
)
def test_what_answers_say(body, kind, said):
    found = view(flow(status=429, body=body, kind=kind)).errors()
    assert found.cause[0] == "429 Too Many Requests" + (f": {said}" if said else "")


def test_causes_hold_no_secrets():
    token = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
    found = view(
        flow(status=401, body=b'{"error": "bad token %s"}' % token),
        flow(status=None, error=f"no TLS with https://bob:hunter2@a.test {token.decode()}"),
    ).errors()
    assert token.decode() not in "".join(found.cause)
    assert "hunter2" not in "".join(found.cause)
    assert "***" in found.cause[0]


def test_unknown_statuses():
    found = view(flow(status=799)).errors()
    assert found.cause[0] == "799"


def test_a_failure_with_a_bad_status_is_counted_once():
    found = view(flow(status=500, error="broken off")).errors()
    assert list(found.kind) == ["server"]


def test_nothing():
    found = view(flow()).errors()
    assert found.empty
    assert found.picture() == ""


def test_real_traffic(traffic):
    found = traffic.flows.errors().set_index("endpoint")
    assert found.loc["GET /missing", "cause"] == "404 Not Found: there is no such thing"
    assert found.loc["GET /refused", "kind"] == "connect"
    assert found.loc["GET /no-tls", "kind"] == "tls"
    assert found.loc["GET /hang", "kind"] == "server"
    (number,) = found.loc["GET /missing", "flows"]
    assert traffic.flows.by_id(number).request.path == "/missing"
