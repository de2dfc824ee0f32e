"""Messages as text to be edited: what is not touched stays to the byte, secrets stay masked."""

import re

import pytest

from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.notebook.widgets.editing import MAX_BODY, Editing, answer


def a_request(body=b"", kind="", **more):
    headers = [
        (b"Host", b"example.org"),
        (b"Authorization", b"Bearer abcdefgh12345678"),
        (b"Cookie", b"sid=s3cr3tvalue; theme=dark"),
        (b"X-Odd", b"a\xff\tb"),
    ]
    if kind:
        headers.append((b"Content-Type", kind.encode()))
    if body:
        headers.append((b"Content-Length", str(len(body)).encode()))
    return Request(
        "POST",
        "https",
        "example.org",
        443,
        "/login?token=hunter2hunter2&page=1",
        headers=Headers(headers),
        content=body,
        **more,
    )


def edit(request, **changes):
    """Give a message out, change its text, take it back."""
    editing = Editing()
    shown = editing.editable(request)
    edited = {**shown, "body": None} | changes
    edited["headers"] = [list(pair) for pair in edited["headers"]]
    editing.apply(request, edited)
    return shown


def test_untouched_it_is_the_same():
    request = a_request(b'{"password": "hunter2"}', "application/json")
    before = (request.headers.fields, request.url, request.raw_content, request.method)
    shown = edit(request)
    assert (request.headers.fields, request.url, request.raw_content, request.method) == before
    text = repr(shown)
    for secret in ("hunter2", "abcdefgh", "s3cr3t"):
        assert secret not in text
    assert shown["body"].startswith('{"password": "***')
    edit(request, body=shown["body"])
    assert request.raw_content == before[2]


def test_masks_become_what_they_stand_for():
    request = a_request(b"user=ada&password=hun%26ter2", "application/x-www-form-urlencoded")
    shown = Editing().editable(request)
    masked = shown["body"]
    assert masked.startswith("user=ada&password=***")
    edit(
        request,
        url=shown["url"].replace("page=1", "page=2"),
        body=masked.replace("ada", "grace"),
        headers=[(n, re.sub(r"theme=\S+", "theme=light", v)) for n, v in shown["headers"]],
    )
    assert request.path == "/login?token=hunter2hunter2&page=2"
    assert request.raw_content == b"user=grace&password=hun%26ter2"
    assert request.headers["cookie"] == "sid=s3cr3tvalue; theme=light"
    assert request.headers["authorization"] == "Bearer abcdefgh12345678"
    assert request.headers["content-length"] == str(len(request.raw_content))
    assert dict(request.headers.fields)[b"X-Odd"] == b"a\xff\tb"


def test_json_keeps_its_secrets():
    request = a_request(b'{"token": "a\\"b", "page": 1}', "application/json")
    shown = Editing().editable(request)
    edit(request, body=shown["body"].replace('"page": 1', '"page": 2'))
    assert request.json() == {"token": 'a"b', "page": 2}


def test_headers_come_go_and_repeat():
    request = a_request()
    shown = Editing().editable(request)
    edit(request, headers=[*shown["headers"][:1], ("x-new", "1"), ("x-new", "2")])
    assert request.headers.fields == (
        (b"Host", b"example.org"),
        (b"x-new", b"1"),
        (b"x-new", b"2"),
    )


def test_another_place():
    request = a_request()
    edit(request, url="http://127.0.0.1:8000/x", method="PUT")
    assert (request.method, request.url) == ("PUT", "http://127.0.0.1:8000/x")
    assert request.headers["host"] == "127.0.0.1:8000"
    request = a_request()
    shown = Editing().editable(request)
    named = [(n, "named.example" if n == "Host" else v) for n, v in shown["headers"]]
    edit(request, url="http://127.0.0.1:8000/x", headers=named)
    assert request.headers["host"] == "named.example"


def test_only_the_path_leaves_the_host_field_alone():
    request = a_request()
    request.headers["host"] = "named.example"
    edit(request, url="https://example.org/other")
    assert (request.path, request.headers["host"]) == ("/other", "named.example")


def test_line_ends_of_a_body_stay():
    request = a_request(b"a\r\nb", "text/plain")
    shown = edit(request, body="a\nc")
    assert shown["body"] == "a\nb"
    assert request.raw_content == b"a\r\nc"


def test_a_coded_body_is_coded_again():
    request = a_request(b"", "text/plain")
    request.headers["content-encoding"] = "gzip"
    request.text = "hello"
    edit(request, body="bye")
    assert request.text == "bye"
    assert request.raw_content[:2] == b"\x1f\x8b"


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"\x00\x01\x02", "application/octet-stream"), (b"\xff\xfe\xfa", "text/plain; charset=utf-8")],
)
def test_what_is_no_text_is_not_edited(body, kind):
    shown = edit(request := a_request(body, kind))
    assert shown["binary"]
    assert request.raw_content == body


def test_large_and_missing_bodies():
    shown = edit(a_request(b"x" * (MAX_BODY + 1), "text/plain"))
    assert shown["binary"]
    assert "stays as it is" in shown["body_note"]
    request = a_request()
    request.hold_body(b"")
    request.raw_content = None
    assert "not recorded" in Editing().editable(request)["body_note"]


def test_a_response():
    response = Response.make(200, "hello", {"set-cookie": "sid=s3cr3t"})
    shown = edit(response, status="404", reason="Gone away", body="bye")
    assert shown["side"] == "response"
    assert (response.status_code, response.reason, response.text) == (404, "Gone away", "bye")
    assert response.headers["set-cookie"] == "sid=s3cr3t"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "20"},
        {"status": "many"},
        {"headers": [("bad name", "x")]},
        {"headers": [("x", "a\r\nb: c")]},
    ],
)
def test_what_cannot_be_sent_is_refused(changes):
    with pytest.raises(ValueError, match=r"\w"):
        edit(Response.make(200, "x"), **changes)


def test_a_url_that_is_none():
    with pytest.raises(ValueError, match=r"\w"):
        edit(a_request(), url="nowhere")


def test_an_answer():
    made = answer(
        {"status": "418", "reason": "Teapot", "headers": [["x-by", "me"]], "body": "short"}
    )
    assert (made.status_code, made.reason, made.text) == (418, "Teapot", "short")
    assert made.headers["x-by"] == "me"
    assert answer({}).status_code == 200
