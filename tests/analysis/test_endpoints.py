"""Endpoints: what was asked, how it was answered, in what form."""

import json

import jsonschema
import numpy as np
import pytest

import nbproxy
from nbproxy.analysis.endpoints import Endpoints
from tests.analysis.views import View, flow, view


def user(number, **more):
    return json.dumps({"id": number, "name": None if number % 2 else "Ada", **more}).encode()


@pytest.fixture
def flows():
    return view(
        *(
            flow(url=f"https://api.test/users/{i}?page={i}", body=user(i), took=i / 10, start=i)
            for i in range(1, 11)
        ),
        flow(url="https://api.test/users/77", status=404, body=b'{"error": "gone"}', took=5.0),
        flow(url="https://api.test/users/me", body=user(2, admin=True)),
        flow("POST", "https://api.test/users", 201, request=b'{"name": "Bob"}', body=user(3)),
        flow("POST", "https://api.test/users", 422, request=b'{"name": "Eve", "age": 3}'),
        flow(url="https://api.test/users", status=None, error="the server left"),
    )


def test_what_is_counted(flows):
    found = flows.endpoints()
    assert isinstance(found, Endpoints)
    users = found.iloc[0]
    assert (users.method, users.scheme, users.host, users.port) == ("GET", "https", "api.test", 443)
    assert users.template == "/users/{id}"
    assert users["count"] == 11
    assert (users["2xx"], users["4xx"], users["unanswered"], users.failed) == (10, 1, 0, 0)
    assert users.query == "page"
    durations = flows.filter("~u /users/[0-9]").df.duration
    assert users.p50 == pytest.approx(durations.quantile(0.5))
    assert users.p95 == pytest.approx(durations.quantile(0.95))
    assert users.p99 == pytest.approx(durations.quantile(0.99))
    assert users.response_bytes == sum(len(user(i)) for i in range(1, 11)) + 17
    listing = found[(found.template == "/users") & (found.method == "GET")].iloc[0]
    assert (listing.unanswered, listing.failed) == (1, 1)
    assert np.isnan(listing.p50)
    assert list(found["count"]) == sorted(found["count"], reverse=True)


def test_schemas(flows):
    found = flows.endpoints().set_index(["method", "template"])
    users = found.loc[("GET", "/users/{id}")]
    assert users.response_schema == {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": ["string", "null"], "x-null-rate": 0.5},
        },
        "required": ["id", "name"],
    }
    assert users.response_samples == 10
    assert users.request_schema is None
    assert users.request_samples == 0
    new = found.loc[("POST", "/users")]
    assert new.request_schema["properties"]["age"] == {"type": "integer", "x-presence": 0.5}
    assert new.request_samples == 2
    assert found.loc[("GET", "/users"), "response_schema"] is None
    for schema in found.response_schema.dropna():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_errors_have_a_schema_where_nothing_else_has():
    found = view(flow(status=404, body=b'{"error": "gone"}')).endpoints()
    assert found.response_schema[0]["required"] == ["error"]


def test_fields(flows):
    fields = flows.endpoints().fields()
    own = fields[(fields.template == "/users/{id}") & (fields.message == "response")]
    assert list(own.field) == ["$", "$.id", "$.name"]
    assert list(own.null_rate) == [0.0, 0.0, 0.5]
    assert own.endpoint.iloc[0] == 0
    age = fields[fields.field == "$.age"].iloc[0]
    assert (age.message, age.type, age.presence) == ("request", "integer", 0.5)
    nested = view(flow(body=b'{"a": [{"at": "2024-05-01"}], "by": {"17": null}}')).endpoints()
    table = nested.fields().set_index("field")
    assert table.loc["$.a[*].at", "format"] == "date"
    assert table.loc["$.by[*]", "null_rate"] == 1.0
    assert view().endpoints().fields().empty
    half = view(flow(body=b'{"cut \\ud83d": 1}')).endpoints().fields()  # of a character
    assert half.field.tolist() == ["$", "$['cut \ufffd']"]


def test_samples_are_few_and_from_everywhere():
    flows = view(*(flow(url=f"https://a.test/x/{i}", body=b'{"a": %d}' % i) for i in range(100)))
    assert flows.endpoints(samples=7).response_samples[0] == 7
    assert flows.endpoints().response_samples[0] == 20
    assert flows.endpoints(samples=1000).response_samples[0] == 100
    with pytest.raises(ValueError, match="1 or more, not 0"):
        flows.endpoints(samples=0)


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (b"[" * 100_000 + b"]" * 100_000, "application/json", ()),
        (b'{"a": ' + b"9" * 100_000 + b"}", "application/json", ()),
        (b'{"a": 1', "application/json", ()),
        (b"\xff\xfe\x00", "application/json", ()),
        (b"not gzip", "application/json", [("Content-Encoding", "gzip")]),
        (b"[1" + b",1" * 2_000_000 + b"]", "application/json", ()),
        (b"<html>", "text/html", ()),
        (b"{}", "image/png", ()),
        (b"", "application/json", ()),
    ],
)
def test_bodies_that_are_not_read(body, kind, headers):
    found = view(flow(body=body, kind=kind, headers=headers)).endpoints()
    assert found.response_samples[0] == 0
    assert found.response_schema[0] is None


def test_json_by_another_name():
    bodies = [flow(body=b' {"a": 1}', kind=kind) for kind in ("text/plain", "", "text/javascript")]
    found = view(*bodies, flow(body=b"a", kind="text/plain")).endpoints()
    assert found.response_samples[0] == 3


def test_nothing():
    found = view().endpoints()
    assert found.empty
    assert {"method", "host", "template", "count", "p50", "response_schema"} <= set(found.columns)
    assert found.picture() == ""


def test_samples_from_files(data):
    har = [data / "har" / f"{name}.har" for name in ("chrome", "safari", "postdata")]
    flows = nbproxy.open(*har)
    found = View(flows.store).endpoints()
    assert found["count"].sum() == len(flows)
    assert found.template.str.startswith("/").all()


def test_real_traffic(traffic):
    found = traffic.flows.endpoints().set_index(["port", "template"])
    users = found.loc[(traffic.secure, "/users/{id}")]
    assert users["count"] == 2
    assert users.response_schema["properties"]["seen"] == {"type": "null"}
    assert (traffic.secure, "/users/me") in found.index
