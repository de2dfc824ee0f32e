"""Views that others add: where they stand among those built in, and that they show inert text."""

from __future__ import annotations

import gc
import json

import pytest

from nbproxy.contentviews import Body, names, render
from nbproxy.contentviews.added import ADDED, Laid
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request, Response
from tests.notebook.inert import HOSTILE


class Upper:
    """A view; what it is asked is noted."""

    by = "a.py"

    def __init__(self, name="upper", rating=0.0, text=None, **more):
        self.name, self.rating, self.text, self.more = name, rating, text, more
        self.seen = []

    def rate(self, body):
        del body
        return self.rating

    def lay_out(self, body, *, again):
        self.seen.append((body, again))
        text = body.data.decode().upper() if self.text is None else self.text
        if isinstance(text, Exception):
            raise text
        return Laid(text, **self.more)


class Kept:
    """Views, as somebody keeps them."""

    def __init__(self, *views):
        self.views = views

    def shown(self):
        return self.views


@pytest.fixture
def keep():
    """Adds views, until the test is over."""
    kept = []

    def add(*views):
        kept.append(Kept(*views))
        ADDED.join(kept[-1])
        return kept[-1]

    yield add
    for each in kept:
        each.views = ()


@pytest.mark.parametrize(
    ("rating", "expected"),
    [
        (2, ["upper", "json", "json source", "text", "hex", "raw"]),
        (1, ["upper", "json", "json source", "text", "hex", "raw"]),
        (0.5, ["json", "json source", "upper", "text", "hex", "raw"]),
        (0, ["json", "json source", "text", "hex", "raw", "upper"]),
        (-1, ["json", "json source", "text", "hex", "raw", "upper"]),
    ],
)
def test_its_rating_says_where_a_view_stands(keep, rating, expected):
    keep(Upper(rating=rating))
    body = Body(b'{"a": 1}', "application/json")
    assert names(body) == expected
    assert render(body).name == expected[0]


def test_the_best_of_several_comes_first(keep):
    keep(Upper("a", 1), Upper("b", 3), Upper("c"), Upper("d", 1), Upper("e", 0.2), Upper("f", 0.3))
    found = names(Body(b"hello", "text/plain"))
    assert found == ["b", "a", "d", "f", "e", "text", "hex", "raw", "c"]


def test_an_empty_body_has_no_views_of_scripts(keep):
    view = Upper(rating=9)
    keep(view)
    assert names(Body(b"")) == ["text", "hex", "raw"]
    assert render(Body(b""), "upper").notes == ("No body.",)
    assert view.seen == []


def test_what_it_shows_and_by_whom(keep):
    keep(Upper(syntax="css", description="in capitals", notes=("Some.",)))
    view = render(Body(b"hello", "text/plain"), "UPPER")
    assert (view.name, view.kind, view.source, view.syntax) == ("upper", "text", "HELLO", "css")
    assert view.notes == ("upper, by a.py: in capitals.", "Some.")


def test_what_is_hostile_becomes_inert(keep):
    for text in HOSTILE:
        kept = keep(Upper(text=text, description=text))
        shown = json.dumps(render(Body(b"x"), "upper").to_dict(), ensure_ascii=False)
        shown.encode()
        assert not set(shown) & set("\x1b\u202e\u200b\x00\x07")
        kept.views = ()


def test_windows_make_up_the_whole_and_what_was_kept_is_asked_for(keep):
    view = Upper(text="".join(f"line {number}\n" for number in range(2000)))
    keep(view)
    pieces, offset = [], 0
    while offset is not None:
        part = render(Body(b"x"), "upper", offset=offset, limit=1000)
        pieces.append(part.source)
        offset = part.next_offset
    assert "".join(pieces) == view.text
    assert [again for _, again in view.seen] == [False] + [True] * (len(pieces) - 1)


def test_it_is_given_no_secrets(keep):
    view = Upper()
    keep(view)
    message = Response.make(200, b'{"password": "hunter2"}', {"content-type": "application/json"})
    found = render(message, "upper")
    assert "hunter2" not in found.source.lower()
    assert b"hunter2" not in view.seen[0][0].data
    assert "secrets masked" in found.note
    assert "HUNTER2" in render(message, "upper", reveal=True).source


def test_its_own_secrets_are_masked(keep):
    keep(Upper(text='{"password": "hunter2"}'))
    assert "hunter2" not in render(Body(b"x"), "upper").source


def test_secrets_among_bytes_keep_it_away(keep):
    view = Upper(text="x")
    keep(view)
    body = Body(b'\x00\x01\x02"password": "hunter2"\xff', "application/octet-stream")
    assert "reveal them" in render(body, "upper").note
    assert view.seen == []
    assert render(body, "upper", reveal=True).source == "x"


def test_one_that_fails_is_said_and_the_text_shown(keep):
    keep(Upper(rating=5, text=ValueError("KeyError: 'x' (a.py, line 3)")))
    view = render(Body(b"hello", "text/plain"))
    assert view.source == "hello"
    assert view.problem == view.notes[0]
    assert view.notes == ("It cannot be shown as upper: KeyError: 'x' (a.py, line 3).",)


def test_names_that_are_taken_get_a_number(keep):
    keep(Upper("JSON", text="mine"), Upper("auto"))
    keep(Upper("upper", text="one"))
    keep(Upper("Upper", text="two"))
    body = Body(b"{}", "application/json")
    assert names(body)[0] == "json"
    assert {"JSON (2)", "auto (2)", "upper", "Upper (2)"} < set(names(body))
    assert render(body, "json (2)").source == "mine"
    assert render(body, "upper (2)").source == "two"


def test_an_unknown_view_is_refused_with_the_added_ones_too(keep):
    keep(Upper())
    with pytest.raises(ValueError, match=r"there are auto, image, .*raw, upper$"):
        render(Body(b"x"), "nonsense")


def test_what_is_decoded_from_base64_is_shown_by_what_is_built_in(keep):
    keep(Upper(rating=9))
    assert "shown as text" in render(Body(b"SGVsbG8gd29ybGQsIGhlbGxvIQ=="), "base64").note


def test_message_and_flow_are_handed_on(keep):
    view = Upper()
    keep(view)
    flow = HTTPFlow(Request.make("POST", "http://a.test/", b"hello"))
    render(flow.request, "upper", flow=flow)
    assert view.seen[0][0].message is flow.request
    assert view.seen[0][0].flow is flow


def test_a_source_that_nobody_holds_is_gone():
    kept = Kept(Upper())
    ADDED.join(kept)
    ADDED.join(kept)
    assert names(Body(b"x")).count("upper") == 1
    del kept
    gc.collect()
    assert "upper" not in names(Body(b"x"))
