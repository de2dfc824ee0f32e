"""Views of bodies: what is shown, by windows, masked and inert."""

import json
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model.headers import Headers
from nbproxy.model.masking import default_masker
from nbproxy.model.message import Response
from nbproxy.notebook.widgets import bodies
from tests.notebook.inert import HOSTILE

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


def a_response(content, kind="", **headers):
    fields = ({"content-type": kind} if kind else {}) | headers
    response = Response.make(200, b"", fields)
    response.content = content
    return response


def whole(message, view, **more):
    """All windows of a view, joined."""
    text, offset, parts = "", 0, 0
    while offset is not None:
        part = bodies.render(message, view, offset, **more)
        text += part["text"]
        offset = part["next"]
        parts += 1
        assert parts < 10_000
    return text


@pytest.mark.parametrize(
    ("kind", "content", "views"),
    [
        ("application/json", b"{}", ["JSON", "Text", "Hex"]),
        ("text/html", b"<p>", ["Text", "Hex"]),
        ("application/x-www-form-urlencoded", b"a=1", ["Form", "Text", "Hex"]),
        ("image/png", PNG, ["Image", "Hex", "Text"]),
        ("image/svg+xml", b"<svg>", ["Text", "Hex"]),
        ("application/octet-stream", b"\0", ["Hex", "Text"]),
        ("", b"x", ["Text", "Hex"]),
        ("text/plain", b"", []),
    ],
)
def test_which_views_there_are(kind, content, views):
    message = a_response(content, kind)
    assert bodies.views(message) == views
    for view in views:
        part = bodies.render(message, view)
        assert part["view"] == view
        assert part[part["kind"]]
        json.dumps(part, allow_nan=False)


def test_json_is_indented_and_not_changed():
    message = a_response(b'{"a":[1,2.50,{}],"a":"\\u00e9"}', "application/json")
    part = bodies.render(message, "JSON")
    assert part["text"] == ('{\n  "a": [\n    1,\n    2.50,\n    {}\n  ],\n  "a": "\\u00e9"\n}')
    assert part["language"] == "json"
    broken = bodies.render(a_response(b'{"a":', "application/json"), "JSON")
    assert broken["text"] == '{"a":'
    assert "not valid" in broken["notes"][0]


def test_json_that_would_grow_without_end_stays_as_it_is():
    deep = b"[" * 400 + b"]" * 400
    assert bodies.render(a_response(deep, "application/json"), "JSON")["text"].count("\n") > 700
    wide = b"[" * 60 + b"1," * 400_000 + b"1" + b"]" * 60
    began = time.perf_counter()
    part = bodies.render(a_response(wide, "application/json"), "JSON")
    assert "\n" not in part["text"]
    assert time.perf_counter() - began < 20


def test_forms():
    message = a_response(
        b"name=Ada+L&password=hunter2&x=%3Cb%3E", "application/x-www-form-urlencoded"
    )
    rows = dict(bodies.render(message, "Form")["rows"])
    assert rows["name"] == "Ada L"
    assert rows["password"].startswith("***")
    assert rows["x"] == "<b>"
    shown = dict(bodies.render(message, "Form", reveal=True)["rows"])
    assert shown["password"] == "hunter2"
    many = a_response(
        b"&".join(b"a=%d" % i for i in range(1200)), "application/x-www-form-urlencoded"
    )
    part = bodies.render(many, "Form")
    assert (len(part["rows"]), part["next"], part["total"]) == (500, 500, 1200)
    assert bodies.render(many, "Form", 1000)["next"] is None


def test_bytes_as_they_are():
    message = a_response(bytes(range(256)) * 32, "application/octet-stream")
    part = bodies.render(message, "Hex")
    first = part["text"].splitlines()[2]
    assert first.startswith("00000020  20 21 22 23 24 25 26 27  28")
    assert first.endswith("   !\"#$%&'()*+,-./")
    assert part["next"] == 4096
    assert bodies.render(message, "Hex", 4096 + 7)["text"].startswith("00001000")


def test_bytes_with_secrets_are_not_shown():
    message = a_response(b'{"password": "hunter2"}', "application/json")
    part = bodies.render(message, "Hex")
    assert part["text"] == ""
    assert "reveal" in part["notes"][0]
    assert "22 68 75" in bodies.render(message, "Hex", reveal=True)["text"]


def test_only_harmless_images_become_images():
    part = bodies.render(a_response(PNG, "image/png"), "Image")
    assert part["image"].startswith("data:image/png;base64,")
    lie = bodies.render(a_response(b"<svg onload=alert(1)>", "image/png"), "Image")
    assert lie["kind"] == "text"
    assert "it is not" in lie["notes"][0]
    assert "Image" not in bodies.views(a_response(b"<svg/>", "image/svg+xml"))


def test_content_codings():
    message = a_response(b"", "text/plain")
    message.headers["content-encoding"] = "deflate"
    message.raw_content = zlib.compress(b"plain")
    assert bodies.render(message, "Text")["text"] == "plain"
    message.raw_content = b"not that"
    part = bodies.render(message, "Text")
    assert part["text"] == "not that"
    assert "could not be undone" in part["notes"][0]


def test_a_large_single_line_comes_by_windows():
    message = a_response(b"x" * 3_000_000, "text/plain")
    began = time.perf_counter()
    part = bodies.render(message, "Text", 2_000_000)
    assert time.perf_counter() - began < 5
    assert part["next"] == 2_000_000 + bodies.WINDOW
    assert (len(part["text"]), part["total"]) == (bodies.WINDOW, 3_000_000)


def test_windows_end_between_lines():
    message = a_response(b"".join(b"%06d\n" % i for i in range(100_000)), "text/plain")
    part = bodies.render(message, "Text")
    assert part["text"].endswith("\n")
    assert whole(message, "Text") == message.text


def test_no_window_cuts_a_secret_in_two():
    token = "ghp_" + "a1B2" * 10
    text = "".join(f"{i:04d} {token} " for i in range(400))
    message = a_response(text.encode(), "text/plain")
    for limit in (16, 50, 64, 101, 1000):
        shown = whole(message, "Text", limit=limit)
        assert "a1B2a1B2" not in shown
        assert "ghp_a" not in shown
        assert shown.count("***") >= 400
        assert all(f"{i:04d} " in shown for i in (0, 123, 399))


def test_a_window_of_json_does_not_show_a_value_whose_name_is_before_it():
    body = json.dumps({"password": "correct horse battery staple " * 20}).encode()
    message = a_response(body, "application/json")
    assert "horse" not in whole(message, "Text", limit=64)


@given(st.text(max_size=400), st.integers(16, 120))
def test_windows_give_all_of_what_is_no_secret(text, limit):
    mask = default_masker().mask_text
    masked = mask(text) != text
    parts, offset = [], 0
    while offset is not None:
        part, offset = bodies.window(text, offset, limit, mask)
        parts.append(part)
    assert masked or "".join(parts) == text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", ["text/html", "application/json", "", "x\x1by/z"])
def test_hostile_bodies_are_visible(text, kind):
    message = a_response(text.encode("utf-8", "surrogatepass"), "text/plain")
    message.headers = Headers.from_wire(((b"content-type", kind.encode()),))
    for view in bodies.views(message):
        part = bodies.render(message, view)
        shown = json.dumps(part, ensure_ascii=False)
        shown.encode()
        assert not set(shown) & set("\x1b\u202e\u200b\x00\x07")


def test_nonsense():
    with pytest.raises(ValueError, match="no view 'Nothing'"):
        bodies.render(a_response(b"x"), "Nothing")
    part = bodies.render(a_response(b"abc", "text/plain"), "Text", -5, 10**9)
    assert part["text"] == "abc"
    assert bodies.render(a_response(b"abc", "text/plain"), "Text", 99)["text"] == ""
    missing = a_response(b"x")
    missing.raw_content = None
    assert "not recorded" in bodies.render(missing, "Text")["notes"][0]
