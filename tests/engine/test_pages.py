"""The proxy's own pages: whole, small, and with nothing in them that runs."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.engine.pages import error_response, own_answer
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.reasons import REASONS
from nbproxy.protocol.http1 import ClientStream, Limits
from tests.support.memory import Canned, run_now

TAGS = ["html", "meta", "title", "style", "h1", "p", "footer"]


class Reader(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, response):
        super().__init__()
        self.tags = []
        self.attributes = []
        self.text = ""
        self.feed(response.content.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


def test_a_page():
    response = error_response(502, "nobody answers at example.org:80", "Is it running?")
    assert (response.status_code, response.reason) == (502, "Bad Gateway")
    assert response.headers.items() == [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("content-length", str(len(response.content))),
    ]
    page = Reader(response)
    assert page.tags == [*TAGS[:-1], "p", "footer"]
    assert "502 Bad Gateway" in page.text
    assert "nobody answers at example.org:80" in page.text
    assert "Is it running?" in page.text


def test_without_advice():
    assert Reader(error_response(400, "no")).tags == TAGS


@pytest.mark.parametrize("status", [*REASONS, 299, 599])
def test_every_status(status):
    response = error_response(status, "why")
    assert f"{status} {REASONS.get(status, 'Error')}" in Reader(response).text.replace("\n", " ")


def test_nothing_is_fetched_and_nothing_runs():
    page = error_response(502, "m", "a").text
    assert not re.search(r"<(script|img|link|iframe|form)|src=|href=|url\(|@import", page)


@given(st.text(), st.text())
def test_any_text_stays_text(message, advice):  # hostile: D-01
    page = Reader(error_response(502, message, advice))
    assert set(page.tags) == set(TAGS)
    assert page.attributes == [("lang", "en"), ("charset", "utf-8")]


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "</p></html><img src=x onerror=y>", "{status}{0}%s", "&lt;b&gt;"],
)
def test_markup_is_shown_as_it_is(text):  # hostile: D-01
    page = Reader(error_response(502, text, text))
    assert page.text.count(text) == 2
    assert "img" not in page.tags
    assert "script" not in page.tags


def test_lone_surrogates_are_replaced():  # hostile: D-06
    assert b"a?b" in error_response(400, "a\udcffb").content


def ask(method, *lines, sites=()):
    """The flow of a request with these lines, and what we answer ourselves."""
    raw = b"\r\n".join((method + b" http://a.test/p?q HTTP/1.1", b"Host: a.test", *lines, b"", b""))
    head = run_now(ClientStream(Canned([raw]), Limits()).request_head())
    headers = Headers.from_wire(head.fields)
    flow = HTTPFlow(Request(method.decode(), "http", "a.test", 80, "/p?q", headers=headers))
    return flow, own_answer(flow, head, dict(sites))


def test_our_own_sites_answer():
    page = Response.make(200, b"ours")
    seen = []
    flow, answer = ask(b"GET", sites={"a.test": lambda flow: seen.append(flow) or page})
    assert answer is page
    assert seen == [flow]
    assert ask(b"GET", sites={"b.test": None})[1] is None


@pytest.mark.parametrize("method", [b"OPTIONS", b"TRACE"])
@pytest.mark.parametrize(
    ("hops", "left"), [(b"1", "0"), (b"5", "4"), (b"007", "6"), (b"x", "x"), (b"-1", "-1")]
)
def test_hops_are_counted_down(method, hops, left):
    flow, answer = ask(method, b"Max-Forwards: " + hops)
    assert answer is None
    assert flow.request.headers["max-forwards"] == left


@pytest.mark.parametrize(
    ("method", "lines"),
    [(b"OPTIONS", ()), (b"TRACE", ()), (b"GET", (b"Max-Forwards: 0",))],
)
def test_what_goes_on(method, lines):
    flow, answer = ask(method, *lines)
    assert answer is None
    assert flow.request.headers.get("max-forwards") == (lines[0][-1:].decode() if lines else None)


def test_the_last_hop_answers_options():
    _, answer = ask(b"OPTIONS", b"Max-Forwards: 0")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_last_hop_answers_trace_without_secrets():
    secrets = (b"Cookie: hunter2", b"AUTHORIZATION: hunter2", b"Proxy-Authorization: hunter2")
    _, answer = ask(b"TRACE", b"Max-Forwards: 0", b"X-Seen: 1", *secrets)
    assert answer.headers["content-type"] == "message/http"
    assert answer.content == (
        b"TRACE http://a.test/p?q HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\nX-Seen: 1\r\n\r\n"
    )
