"""OpenAPI documents."""

import json

import pytest
import yaml as pyyaml
from openapi_spec_validator import validate

import nbproxy
from nbproxy.analysis.openapi import OpenAPI
from tests.analysis.views import View, flow, view

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlc2lnbmF0dXJl"
KEY = "k3j9x0q2mN4vB7zL"


def document(*flows, **options):
    """The document of these flows, which is a good one."""
    found = view(*flows).to_openapi(**options)
    validate(json.loads(found.to_json()))
    assert pyyaml.safe_load(found.to_yaml()) == json.loads(found.to_json())
    return found


def test_a_small_api():
    found = document(
        flow(url="https://api.test/users/17?page=2", body=b'{"id": 17}'),
        flow(url="https://api.test/users/42", body=b'{"id": 42, "name": "Ada"}'),
        flow(url="https://api.test/users/43", status=404, body=b'{"error": "gone"}'),
        flow("POST", "https://api.test/users", 201, request=b'{"name": "Bob"}', body=b"{}"),
        flow("DELETE", "https://api.test/users/17", 204),
    )
    assert found["openapi"] == "3.1.0"
    assert found["info"]["title"] == "api.test"
    assert found["servers"] == [{"url": "https://api.test"}]
    assert list(found["paths"]) == ["/users", "/users/{id}"]
    item = found["paths"]["/users/{id}"]
    assert list(item) == ["get", "delete"]
    get = item["get"]
    assert get["operationId"] == "get_users_by_id"
    assert get["parameters"] == [
        {
            "name": "id",
            "in": "path",
            "required": True,
            "schema": {"type": "integer"},
            "example": 17,
        },
        {
            "name": "page",
            "in": "query",
            "required": False,
            "schema": {"type": "integer"},
            "example": 2,
        },
    ]
    assert get["responses"]["200"]["content"] == {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "name": {"type": "string", "x-presence": 0.5},
                },
                "required": ["id"],
            }
        }
    }
    assert get["responses"]["404"]["description"] == "Not Found"
    assert item["delete"]["responses"] == {"204": {"description": "No Content"}}
    post = found["paths"]["/users"]["post"]
    assert post["requestBody"]["required"]
    assert "security" not in get
    assert "components" not in found


def test_several_origins():
    found = document(
        flow(url="https://a.test/users/17"),
        flow(url="https://b.test:8443/users/18"),
        flow(url="https://b.test:8443/health"),
    )
    assert found["info"]["title"] == "a.test and 1 more"
    urls = [server["url"] for server in found["servers"]]
    assert sorted(urls) == ["https://a.test", "https://b.test:8443"]
    assert "servers" not in found["paths"]["/users/{id}"]["get"]
    assert found["paths"]["/health"]["get"]["servers"] == [{"url": "https://b.test:8443"}]


def test_paths_that_differ_in_names_only_are_one():
    titles = [f"{'abcdefgh'[i % 8]}-of-{'klmnopqr'[i // 8]}" for i in range(60)]
    found = document(
        *(flow(url=f"https://a.test/x/{title}") for title in titles),
        flow("POST", "https://b.test/x/17"),
        flow(url="https://b.test/x/18"),
    )
    assert list(found["paths"]) == ["/x/{slug}"]
    assert list(found["paths"]["/x/{slug}"]) == ["get", "post"]
    assert found["paths"]["/x/{slug}"]["post"]["parameters"][0]["name"] == "slug"


def test_credentials_are_schemes_and_nothing_else():
    found = document(
        flow(
            url=f"https://a.test/users/17?api_key={KEY}&name=u-{KEY}-x&code=abcdef",
            request_headers=[
                ("Authorization", f"Bearer {JWT}"),
                ("X-Api-Key", "hunter2hunter2"),
                ("Cookie", "sessionid=s3cr3t; theme=dark17"),
            ],
            headers=[("Set-Cookie", "sid=s3cr3tagain")],
        ),
        flow(url="https://a.test/users/18", request_headers=[("Authorization", "Basic Ym9iOng=")]),
        flow(url="https://a.test/users/19", status=401),
        flow(url="https://a.test/reset/dQw4w9WgXcQ5fK2"),
        flow(url="https://a.test/by-mail/bob@example.org"),
        flow(url="https://a.test/find?q=hunter2hunter2&theme=dark17"),
        flow(url=f"https://a.test/see?u=https%3A%2F%2Fbob%3Apw%40x.test%2F%3Ftoken%3D{KEY}"),
    )
    schemes = found["components"]["securitySchemes"]
    assert schemes == {
        "basicAuth": {"type": "http", "scheme": "basic"},
        "bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie_sessionid": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
        "header_x_api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "query_api_key": {"type": "apiKey", "in": "query", "name": "api_key"},
    }
    get = found["paths"]["/users/{id}"]["get"]
    assert get["security"] == [
        {name: [] for name in
         ("bearerAuth", "cookie_sessionid", "header_x_api_key", "query_api_key")},
        {"basicAuth": []},
    ]  # fmt: skip
    assert [p["name"] for p in get["parameters"]] == ["id", "name", "code"]
    text = found.to_json() + found.to_yaml() + repr(found)
    for secret in (JWT, KEY, "hunter2", "s3cr3t", "dark17", "abcdef", "dQw4w9", "bob", "Ym9i"):
        assert secret not in text, secret


def test_who_needs_none():
    found = document(
        flow(url="https://a.test/x", request_headers=[("Authorization", "Bearer abcd")]),
        flow(url="https://a.test/x"),
    )
    assert found["paths"]["/x"]["get"]["security"] == [{"bearerAuth": []}, {}]


def test_forms_and_other_bodies():
    boundary = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n'
        b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nhi\r\n--x--\r\n'
    )
    found = document(
        flow("POST", "https://a.test/form", request=b"name=Bob&password=hunter2",
             request_kind="application/x-www-form-urlencoded", body=b"<p>", kind="text/html"),
        flow("POST", "https://a.test/form"),
        flow("POST", "https://a.test/up", request=boundary,
             request_kind="multipart/form-data; boundary=x", body=b"\0", kind="image/png"),
        flow("PUT", "https://a.test/bad", request=b"--", request_kind="multipart/form-data",
             body=b"x", kind="no media type"),
        flow("PATCH", "https://a.test/bad", request=b"x" * 10, request_kind="",
             body=b"oops", kind="application/json"),
        flow("PATCH", "https://a.test/big", request=b"\0" * 3_000_000,
             request_kind="application/x-www-form-urlencoded"),
        flow("PATCH", "https://a.test/many", request=b"&" * 1_000_000,
             request_kind="application/x-www-form-urlencoded"),
        flow(url="https://a.test/text", body=b"hello", kind="text/plain"),
    )  # fmt: skip
    form = found["paths"]["/form"]["post"]
    assert not form["requestBody"]["required"]
    (media,) = form["requestBody"]["content"].values()
    assert list(media["schema"]["properties"]) == ["name", "password"]
    assert form["responses"]["200"]["content"] == {"text/html": {"schema": {"type": "string"}}}
    up = found["paths"]["/up"]["post"]
    (media,) = up["requestBody"]["content"].values()
    assert list(media["schema"]["properties"]) == ["file", "title"]
    assert up["responses"]["200"]["content"] == {"image/png": {}}
    bad = found["paths"]["/bad"]
    assert bad["put"]["responses"]["200"]["content"] == {"application/octet-stream": {}}
    assert bad["patch"]["responses"]["200"]["content"] == {"application/json": {}}
    assert "hunter2" not in found.to_json()
    text = found["paths"]["/text"]["get"]["responses"]["200"]["content"]
    assert text == {"text/plain": {"schema": {"type": "string"}}}


def test_what_openapi_cannot_say_is_left_out():
    odd = flow()
    odd.request._path = "*"
    found = document(
        odd,
        flow("PROPFIND", "https://a.test/dav"),
        flow("GET", "https://a.test/odd", status=999),
        flow("GET", "https://a.test/none", status=None, error="no"),
    )
    assert list(found["paths"]) == ["/none", "/odd"]
    for path in found["paths"]:
        answers = found["paths"][path]["get"]["responses"]
        assert answers == {"default": {"description": "No answer was seen."}}


def test_repeated_and_many_parameters():
    found = document(
        flow(url="https://a.test/x?id=1&id=2&on=true&at=2024-05-01&need=a"),
        flow(url="https://a.test/x?need=b"),
    )
    by_name = {p["name"]: p for p in found["paths"]["/x"]["get"]["parameters"]}
    assert by_name["id"]["schema"] == {"type": "array", "items": {"type": "integer"}}
    assert by_name["id"]["example"] == [1]
    assert by_name["on"]["schema"] == {"type": "boolean"}
    assert by_name["at"]["schema"] == {"type": "string", "format": "date"}
    assert by_name["need"]["required"]
    assert next(iter(by_name)) == "need"
    assert by_name["id"]["required"] is False


def test_names_of_operations_differ():
    found = document(
        flow(url="https://a.test/"),
        flow(url="https://a.test/a-b"),
        flow(url="https://a.test/a_b"),
        flow(url="https://a.test/a/b"),
    )
    names = [item["get"]["operationId"] for item in found["paths"].values()]
    assert sorted(names) == ["get_a_b", "get_a_b_2", "get_a_b_3", "get_root"]


def test_hostile_names():
    name = "\u202e\x1b[31m<script>" + "x" * 30
    odd = flow()
    odd.request._path = "/%7B/{x}/<b>\u202e?" + name + "=1"
    found = document(odd, flow(body=json.dumps({name: {name: 1}}).encode()))
    text = found.to_yaml()
    assert "\x1b" not in text
    assert pyyaml.safe_load(text)


def test_nothing():
    found = document()
    assert found["paths"] == {}
    assert "servers" not in found


def test_title_and_version():
    found = document(flow(), title="Mine", version="7")
    assert (found["info"]["title"], found["info"]["version"]) == ("Mine", "7")
    assert found["info"]["description"] == "Made by nbproxy of 1 recorded flows of 2023-11-14."
    with pytest.raises(ValueError, match="1 or more"):
        view().to_openapi(samples=0)


def test_saving(tmp_path):
    found = document(flow(url="https://a.test/ü"))
    for name in ("a.yaml", "a.yml"):
        found.save(tmp_path / name)
        assert pyyaml.safe_load((tmp_path / name).read_text(encoding="utf-8")) == found
    found.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == found
    with pytest.raises(ValueError, match=r"'a.txt' ends in neither \.json"):
        found.save(tmp_path / "a.txt")


def test_how_it_is_shown():
    found = document(flow(url="https://a.test/x"), flow("POST", "https://a.test/x"))
    assert isinstance(found, dict)
    assert repr(found).startswith("<OpenAPI 3.1.0 'a.test': 1 paths, 2 operations;")
    assert found._repr_json_() == found
    assert (
        repr(OpenAPI())
        == "<OpenAPI  '': 0 paths, 0 operations; .to_yaml(), .to_json(), .save('api.yaml')>"
    )


def test_samples(data):
    names = ["chrome", "safari", "postdata", "successful_log"]
    flows = nbproxy.open(*(data / "har" / f"{name}.har" for name in names))
    found = View(flows.store).to_openapi()
    validate(json.loads(found.to_json()))
    assert len(found["paths"]) > 10


def test_real_traffic(traffic):
    found = traffic.flows.to_openapi()
    validate(json.loads(found.to_json()))
    assert "s3cr3t" not in found.to_yaml()
    get = found["paths"]["/users/{id}"]["get"]
    assert {"bearerAuth": []} in get["security"]
    assert {"bearerAuth": [], "query_token": []} in get["security"]
