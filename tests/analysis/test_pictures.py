"""The pictures of analysis: what they show, and that they are inert."""

import re
from xml.etree import ElementTree as ET

import pytest

from nbproxy.analysis import pictures
from tests.analysis.views import connection, flow, view
from tests.notebook.inert import HOSTILE

NAMES = ("timeline", "endpoints", "hosts", "errors")
TAGS = {"svg", "g", "rect", "line", "text", "title"}
ATTRIBUTES = {
    *("role", "aria-label", "viewBox", "width", "height", "style", "font-size", "font-weight"),
    *("x", "y", "x1", "x2", "y1", "y2", "rx", "fill", "stroke", "stroke-opacity"),
    *("stroke-dasharray", "opacity", "text-anchor"),
}
STYLE = re.compile(r"(?:[a-z-]+:(?:[#\w ,.()-]|\n)*;?)*")


def parsed(svg):
    """The picture, which runs and fetches nothing."""
    root = ET.fromstring(svg)
    for element in root.iter():
        assert element.tag.removeprefix("{http://www.w3.org/2000/svg}") in TAGS
        assert set(element.attrib) <= ATTRIBUTES
        assert STYLE.fullmatch(element.get("style", ""))
        assert "url(" not in element.get("style", "")
        for name in ("x", "y", "width", "height", "x1", "x2"):
            value = element.get(name)
            assert value is None or value == "100%" or float(value) >= 0
    svg.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u200b]", svg)
    return root


def texts(root):
    return [
        "".join(element.itertext())
        for element in root.iter()
        if element.tag.endswith(("}text", "}title"))
    ]


def bars(root, colours):
    return [e.get("fill") for e in root.iter() if e.get("fill") in colours.values()]


@pytest.fixture
def flows():
    server = connection()
    return view(
        flow(url="https://api.test/users/1?token=hunter2", took=0.5, server=server, start=0.1),
        flow(url="https://api.test/users/2", took=0.5, server=server, start=0.7),
        flow("POST", "https://b.test/x", 503, start=500),
        flow(url="https://c.test/y", status=None, error="the server left", start=501,
             server=connection("c.test", opened=501)),
        flow(url="https://c.test/z", status=404, start=502),
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_they_are_good_svg(flows, name):
    root = parsed(getattr(flows, name)().picture())
    assert root.get("aria-label")
    assert "hunter2" not in "".join(texts(root))


def test_a_waterfall(flows):
    root = parsed(flows.timeline().picture())
    found = texts(root)
    assert "GET /users/2" in found
    assert "1 · api.test" in found
    assert any("2 requests" in text for text in found)
    assert any(text.startswith("GET /users/1?token=***") for text in found)
    assert "without a server" in found
    assert "✕" in found
    colours = pictures.PHASE_COLOURS
    drawn = bars(root, colours)
    legend = len(colours)
    assert drawn.count(colours["connect"]) == 2 + 1
    assert drawn.count(colours["wait"]) == 5 + 1
    assert len(drawn) > legend
    assert "connect: 20 ms" in found


@pytest.mark.parametrize("host", ["api.test", "a-long-name." * 8 + "test"])
def test_a_connection_is_named_beside_its_server(host):
    server = connection(host)
    root = parsed(view(flow(url=f"https://{host}/", server=server)).timeline().picture())
    elements = [each for each in root.iter() if each.tag.endswith("}text")]
    (name,) = (each for each in elements if (each.text or "").startswith("1 · "))
    (about,) = (each for each in elements if (each.text or "").endswith("1 request"))
    assert about.get("text-anchor") == "end"
    assert len(name.text) * 11.5 * 0.6 < float(about.get("x")) - len(about.text) * 10.5 * 0.55
    assert name.text.endswith(".test")


@pytest.mark.parametrize("length", [6, 40])
def test_long_paths_show_their_ends(length):
    base = "https://api.test/v2" + "/some-projects" * length
    flows = view(flow(url=f"{base}/first", status=404), flow(url=f"{base}/second", status=404))
    for name in ("timeline", "endpoints", "errors") if length < 10 else ("timeline",):
        root = parsed(getattr(flows, name)().picture())
        shown = [each.text or "" for each in root.iter() if each.tag.endswith("}text")]
        assert any("…" in text and text.endswith("/first") for text in shown)
        assert any("…" in text and text.endswith("/second") for text in shown)


def test_endpoints_hosts_and_errors(flows):
    found = texts(parsed(flows.endpoints().picture()))
    assert any(text.startswith("GET /users/{id}") for text in found)
    assert "p95: 500 ms" in found
    found = texts(parsed(flows.hosts().picture()))
    assert "api.test" in found
    assert "2xx: 2" in found
    found = texts(parsed(flows.errors().picture()))
    assert "404 Not Found" in found
    assert "the server left" in found


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    made = flow(status=None, error=text, server=connection(text))
    made.request._path = "/" + text
    made.request._host = text
    made.request._method = text
    answered = flow(status=500, body=b'{"error": "x"}')
    answered.request._path = "/" + text + "?" + text + "=1"
    answered.request._host = text
    flows = view(made, answered)
    for name in NAMES:
        frame = getattr(flows, name)()
        parsed(frame.picture())
        html = frame._repr_html_()
        html.encode()
        assert "<script" not in html
        assert "<iframe" not in html
        assert "<img" not in html
        repr(frame).encode()


def test_only_the_first_rows():
    flows = view(*(flow(url=f"https://h{i}.test/", start=i) for i in range(100)))
    for name in ("timeline", "endpoints", "hosts"):
        found = texts(parsed(getattr(flows, name)().picture()))
        assert any(text.startswith("The first 60 of 100 rows") for text in found)


def test_next_to_nothing():
    unknown = flow()
    unknown.request.timestamp_start = unknown.response.timestamp_start = 0.0
    unknown.response.timestamp_end = None
    for name in NAMES:
        picture = getattr(view(unknown), name)().picture()
        assert not picture or parsed(picture)
        assert getattr(view(), name)().picture() == ""


def test_a_very_long_wait():
    flows = view(flow(took=1e-9), flow(took=3e7, start=1e3), flow(took=1e-3, start=5e7))
    root = parsed(flows.timeline().picture())
    assert len(list(root.iter())) < 200


@pytest.mark.parametrize("seconds", [0, 0.5, 5, 119, 500, 10_000])
def test_ticks_are_labelled(seconds):
    flows = view(flow(took=0.1), flow(took=max(seconds, 0.1), start=0))
    assert parsed(flows.timeline().picture())


def test_statuses_of_all_kinds():
    made = [flow(status=status) for status in (101, 204, 302, 418, 503, 999)]
    made[0].response.status_code = "teapot"
    assert parsed(view(*made).timeline().picture())


def test_frames_that_were_changed_have_no_picture(flows):
    frame = flows.timeline()
    del frame["start"]
    assert frame.picture() == ""
    assert "<table" in frame._repr_html_()
