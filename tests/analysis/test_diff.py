"""What is different between two views of flows."""

import json

import pytest

import nbproxy
from tests.analysis.views import View, flow, view


def api(path="/users/1", body=None, **options):
    options.setdefault("url", f"https://api.test{path}")
    return flow(body=b"" if body is None else json.dumps(body).encode(), **options)


def rows(before, after, **options):
    found = view(*before).diff(view(*after), **options)
    assert list(found.columns) == ["kind", "endpoint", "what", "before", "after"]
    return list(found.itertuples(index=False, name=None))


def test_the_same_flows():
    flows = [api(body={"id": i, "at": i}, path=f"/users/{i}") for i in range(5)]
    assert rows(flows, flows) == []


def test_endpoints():
    found = rows([api(), api("/old"), api("/old")], [api("/users/2"), api("/new", method="POST")])
    assert found == [
        ("new", "POST /new", "endpoint", None, 1),
        ("gone", "GET /old", "endpoint", 2, None),
    ]


def test_fields_of_json():
    found = rows(
        [api(body={"id": 1, "gone": {"x": 1}, "kind": 3, "tags": [], "n": None})],
        [api(body={"id": 1, "new": [{"y": 1}], "kind": "a", "tags": ["x"], "n": {"z": 1}})],
    )
    assert found == [
        ("removed", "GET /users/{id}", "$.gone", "object", None),
        ("type", "GET /users/{id}", "$.kind", "integer", "string"),
        ("type", "GET /users/{id}", "$.n", "null", "object"),
        ("added", "GET /users/{id}", "$.new", None, "array"),
        ("length", "GET /users/{id}", "$.tags", 0, 1),
    ]


def test_fields_of_requests():
    one = flow("POST", "https://api.test/x", request=b'{"a": 1}')
    other = flow("POST", "https://api.test/x", request=b'{"a": 1, "b": 2}')
    assert rows([one], [other]) == [("added", "POST /x", "request $.b", None, "integer")]
    assert rows([one], [other], ignore=["$.b"]) == []


def test_another_type_is_no_other_value():
    found = rows([api("/x", {"a": [1], "b": "1"})], [api("/x", {"a": 5, "b": 1})])
    assert found == [
        ("type", "GET /x", "$.a", "array", "integer"),
        ("type", "GET /x", "$.b", "string", "integer"),
    ]
    other = view(api("/x", {"a": 1})).diff(view(api("/x", {"a": 2})))
    assert len(other) == 1
    assert other.picture() == ""


def test_values_of_the_same_request():
    found = rows(
        [api("/users/1", {"name": "Ada", "age": 36}), api("/users/2", {"name": "Bob", "age": 7})],
        [api("/users/1", {"name": "Ada", "age": 37}), api("/users/3", {"name": "Eve", "age": 9})],
    )
    assert found == [("value", "GET /users/{id}", "$.age", 36, 37)]


def test_values_that_change_anyway_are_no_difference():
    def answers(base):
        return [api("/now", {"at": base + i, "zone": "UTC"}) for i in range(3)]

    assert rows(answers(0), answers(100)) == []
    assert rows(answers(0)[:1], answers(100)[:1]) == [("value", "GET /now", "$.at", 0, 100)]


def test_values_in_lists():
    found = rows(
        [api("/x", {"items": [{"n": 1}, {"n": 2}]})],
        [api("/x", {"items": [{"n": 1}, {"n": 3}, {"n": 4}]})],
    )
    assert found == [
        ("length", "GET /x", "$.items", 2, 3),
        ("value", "GET /x", "$.items[*].n", 2, 3),
    ]


def test_requests_with_bodies_are_compared_by_them():
    def asked(question, answer):
        return flow("POST", "https://api.test/ask", request=question, body=answer)

    before = [asked(b'{"q": 1}', b'{"a": 10}'), asked(b'{"q": 2}', b'{"a": 20}')]
    assert rows(before, [asked(b'{"q": 2}', b'{"a": 20}')]) == []
    found = rows(before, [asked(b'{"q": 1}', b'{"a": 11}')])
    assert found == [("value", "POST /ask", "$.a", 10, 11)]
    assert rows(before, [asked(b'{"q": 3}', b'{"a": 5}')]) == []


def test_what_to_ignore():
    before = [api(body={"ts": 1, "items": [{"etag": "a", "v": 1}], "odd key": 1},
                  headers=[("Server", "one"), ("Date", "x")])]  # fmt: skip
    after = [api(body={"ts": 2, "items": [{"etag": "b", "v": 2}], "odd key": 2},
                 headers=[("Server", "two"), ("Date", "y")])]  # fmt: skip
    everything = rows(before, after)
    assert [row[2] for row in everything] == [
        "header server",
        "$.ts",
        "$.items[*].etag",
        "$.items[*].v",
        "$['odd key']",
    ]
    ignore = ["$.ts", "$.items[*].etag", "Server", "$['odd key']"]
    assert [row[2] for row in rows(before, after, ignore=ignore)] == ["$.items[*].v"]
    assert [row[2] for row in rows(before, after, ignore="$")] == ["header server"]
    with pytest.raises(ValueError, match="no JSON path"):
        rows(before, after, ignore=["$$"])


def test_headers():
    def answers(count, **headers):
        return [api(headers=[(n.replace("_", "-"), v) for n, v in headers.items()])] * count

    found = rows(
        answers(1, server="a", x_old="1", x_same="s"), answers(1, server="b", x_new="2", x_same="s")
    )
    assert found == [
        ("header", "GET /users/{id}", "header server", "a", "b"),
        ("header", "GET /users/{id}", "header x-new", None, "2"),
        ("header", "GET /users/{id}", "header x-old", "1", None),
    ]
    mixed = [*answers(1, x_sometimes="1"), *answers(1)]
    assert rows(mixed, answers(2)) == []
    waiting = [api(status=None, error="no"), *answers(1, server="b")]
    assert [row[2] for row in rows(waiting, answers(1, server="b"))] == ["status none"]
    changing = [*answers(1, etag="1"), *answers(1, etag="2")]
    assert rows(changing, answers(1, etag="3")) == []


def test_statuses():
    found = rows([api(), api("/users/2")], [api(), api("/users/2", status=500)])
    assert found == [
        ("status", "GET /users/{id}", "status 500", 0, 1),
        ("status", "GET /users/{id}", "status of /users/2", 200, 500),
    ]
    found = rows([api()], [api(status=None, error="no")])
    assert [row[2] for row in found] == ["status 200", "status none"]


def test_queries():
    found = rows([api("/x?page=1&q=a")], [api("/x?page=2&per_page=3")])
    assert found == [
        ("added", "GET /x", "query per_page", None, 1),
        ("removed", "GET /x", "query q", 1, None),
    ]


def test_time():
    def answers(seconds, count=5):
        return [api(took=seconds) for _ in range(count)]

    ((kind, _, what, before, after),) = rows(answers(0.1), answers(0.2))
    assert (kind, what) == ("latency", "median duration")
    assert (before, after) == (pytest.approx(0.1), pytest.approx(0.2))
    assert rows(answers(0.1), answers(0.12)) == []
    assert rows(answers(0.001), answers(0.004)) == []
    assert rows(answers(0.1, 4), answers(0.2)) == []


def test_hosts():
    staging = [flow(url="https://staging.test/x")]
    production = [flow(url="https://www.test/x")]
    assert rows(staging, production) == []
    assert [row[1] for row in rows(staging, production, hosts=True)] == [
        "GET staging.test/x",
        "GET www.test/x",
    ]
    both = [*staging, flow(url="http://a.test:8080/y")]
    assert [row[:2] for row in rows(both, staging)] == [("gone", "GET a.test:8080/y")]
    assert rows(both, both) == []


def test_templates_are_those_of_both():
    titles = [f"{'abcdefgh'[i % 8]}-{'klmnopqr'[i // 8]}-z" for i in range(64)]
    pages = [api(f"/blog/{title}") for title in titles]
    assert rows([*pages[:32], api("/x")], [pages[32], api("/x")]) == []


def test_secrets_are_masked():
    def answer(secret):
        inner = {"password": len(secret) * 1234567}
        body = {"token": secret, "pin_code": 1234, "n": inner, "url": f"/?token={secret}"}
        return api("/x", body, headers=[("Set-Cookie", f"sid={secret}; Path=/")])

    found = rows([answer("hunter2hunter2")], [answer("swordfish77777777")])
    assert [row[2] for row in found] == ["header set-cookie", "$.token", "$.n.password", "$.url"]
    text = repr(found)
    assert "hunter2" not in text
    assert "swordfish" not in text
    assert str(14 * 1234567) not in text
    assert "***" in text


def test_bodies_that_are_not_json():
    page = flow(body=b"<html>", kind="text/html")
    other = flow(body=b"<body>", kind="text/html")
    assert rows([page], [other]) == []
    assert rows([api("/x", {"a": 1})], [flow(url="https://api.test/x", body=b"{")]) == []


def test_numbers_of_both_kinds_are_numbers():
    found = rows([api("/x", {"a": 1, "b": True})], [api("/x", {"a": 1.5, "b": 1})])
    assert found == [
        ("type", "GET /x", "$.a", "integer", "number"),
        ("type", "GET /x", "$.b", "boolean", "integer"),
        ("value", "GET /x", "$.a", 1, 1.5),
    ]


def test_what_is_no_flows():
    with pytest.raises(TypeError, match="diff\\(\\) compares with other flows"):
        view(api()).diff("before.har")


def test_nothing():
    assert rows([], []) == []
    assert rows([api()], []) == [("gone", "GET /users/{id}", "endpoint", 1, None)]
    assert view().diff(view()).picture() == ""


def test_live_flows_and_saved_ones(traffic, tmp_path):
    traffic.flows.save(tmp_path / "x.mitm")
    saved = View(nbproxy.open(tmp_path / "x.mitm").store)
    assert traffic.flows.diff(saved).empty
    assert set(saved.diff(traffic.flows.filter("!~u missing")).kind) == {"gone"}
