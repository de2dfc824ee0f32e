"""Single values as people see them."""

import math

import pytest

from nbproxy.notebook import shown
from tests.notebook.inert import HOSTILE, check
from tests.store.flow_factory import answer, new_flow


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3449, "3.4 kB"),
        (9960, "10 kB"),
        (999_499, "999 kB"),
        (999_600, "1.0 MB"),
        (12_000_000, "12 MB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes(size, text):
    assert shown.size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0, "<1 ms"),
        (0.012, "12 ms"),
        (0.9999, "1.00 s"),
        (1.236, "1.24 s"),
        (59.999, "1 min 0 s"),
        (185.2, "3 min 5 s"),
    ],
)
def test_durations(seconds, text):
    assert shown.duration_text(seconds) == text


def test_times():
    assert shown.clock_text(1.7e9 + 0.0625).endswith(":20.062")
    assert shown.moment_text(1.7e9).startswith("2023-11-1")
    for nonsense in (None, 0.0, 1e300, math.nan, math.inf, "x"):
        assert shown.clock_text(nonsense) == shown.moment_text(nonsense) == ""


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_d01_d06(text):
    for draw in (shown.plain, shown.path_text, lambda t: shown.header_text("x-a", t)):
        html = shown.tag("div", shown.as_html(draw(text)), title=draw(text))
        assert check(html).tags == ["div"]


def test_lengths_are_bounded():
    for text in ("x" * 10**7, "%41" * 10**6, "?a=" + "1" * 10**6):
        for draw in (shown.plain, shown.path_text, lambda t: shown.header_text("cookie", t)):
            assert len(draw(text)) < 1100


def test_secrets():
    assert "s3cr3t" not in shown.path_text("/?api_key=s3cr3t&page=2")
    assert "page=2" in shown.path_text("/?api_key=s3cr3t&page=2")
    assert shown.header_text("Authorization", "Bearer abc").startswith("Bearer ***")
    one, two = (shown.path_text(f"/{i}?token=same") for i in "ab")
    assert one.partition("?")[2] == two.partition("?")[2]


def test_states():
    flow = new_flow()
    assert shown.state_text(flow) == "…"
    flow.intercepted = True
    assert check(shown.state_chip(flow)).titles == ["held: resume or kill it"]
    flow.intercepted = False
    answer(flow, 404)
    page = check(shown.state_chip(flow))
    assert (page.text, page.titles) == ("404", ["Not Found"])
    flow.response.status_code = "<b>"
    assert check(shown.state_chip(flow)).text == "<b>"


def test_bars():
    flow = new_flow()
    assert shown.bar(flow, 1.0) == ""
    answer(flow)
    page = check(shown.bar(flow, 1.0))
    assert page.tags == ["div", "div", "div"]
    assert page.titles == ["250 ms until the first byte, 500 ms in all"]
    assert shown.bar(flow, 0.0) == ""
    flow.response.timestamp_end = flow.request.timestamp_start
    check(shown.bar(flow, 5.0))
