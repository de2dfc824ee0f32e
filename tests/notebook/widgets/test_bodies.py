"""Bodies on their way to the browser: which views, and that all of them fit into JSON."""

import json

import pytest

from nbproxy import contentviews
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.notebook.widgets import bodies
from tests.notebook.inert import HOSTILE

KINDS = {"text", "hex", "tree", "table", "events", "image"}


def a_response(content, kind="text/plain"):
    response = Response.make(200, b"")
    response.headers = Headers.from_wire(((b"content-type", kind.encode()),))
    response.hold_body(content)
    return response


def test_which_views_there_are():
    assert bodies.views(a_response(b"")) == []
    assert bodies.views(a_response(b'{"a": 1}', "application/json"))[0] == "json"
    request = Request.make("POST", "https://example.org/?a=1", b"x")
    assert "query" not in bodies.views(request)


def test_a_part():
    message = a_response(b"x" * 200_000)
    part = bodies.render(message, "text", 65_536)
    assert part["kind"] == "text"
    assert part["next"] == 2 * 65_536
    assert (part["total"], part["unit"]) == (200_000, "characters")
    with pytest.raises(ValueError, match="no view"):
        bodies.render(message, "nothing")


def test_secrets():
    message = a_response(b'{"password": "hunter2"}', "application/json")
    for view in bodies.views(message):
        assert "hunter2" not in json.dumps(bodies.render(message, view))
    assert "hunter2" in json.dumps(bodies.render(message, "json", reveal=True))


@pytest.mark.parametrize("kind", ["text/html", "application/json", "image/png", "", "x\x1by/z"])
@pytest.mark.parametrize("text", HOSTILE)
def test_every_view_of_whatever_it_is(text, kind):
    message = a_response(text.encode("utf-8", "surrogatepass"), kind)
    for view in contentviews.VIEWS:
        part = bodies.render(message, view)
        assert part["kind"] in KINDS
        shown = json.dumps(part, ensure_ascii=False, allow_nan=False)
        shown.encode()
        assert not set(shown) & set("\x1b\u202e\u200b\x00\x07")
