"""Pieces of SVG."""

from xml.etree import ElementTree as ET

from nbproxy.analysis import svg


def parse(piece):
    return ET.fromstring(f"<svg xmlns='http://www.w3.org/2000/svg'>{piece}</svg>")


def test_text_is_escaped_and_cut():
    piece = svg.text(1, 2, "<script>&" + "x" * 100, width=60)
    (element,) = parse(piece)
    title = element[0]
    assert element.text.endswith("…")
    assert len(element.text) < 15
    assert title.text == "<script>&" + "x" * 100
    (short,) = parse(svg.text(1, 2, "short", width=100, bold=True, dim=True, fill="#fff", size=9))
    assert len(short) == 0
    assert short.text == "short"


def test_rectangles_can_be_seen():
    (element,) = parse(svg.rect(1, 2, 0, 3, "#fff", title="a<b", radius=2))
    assert float(element.get("width")) > 0
    assert element[0].text == "a<b"


def test_lines_chips_and_legends():
    assert len(parse(svg.line(0, 0, 1, 1, dashed=True))) == 1
    assert len(parse(svg.chip(0, 0, "404", "4xx"))) == 2
    assert len(parse(svg.legend(0, 0, [("a", "#fff"), ("b", "#000")]))) == 4


def test_a_document_is_one_element():
    root = ET.fromstring(svg.document(10, 20, svg.text(0, 0, "x"), 'a "label" <'))
    assert root.get("viewBox") == "0 0 10 20"
    assert root.get("aria-label") == 'a "label" <'
    assert root.get("role") == "img"


def test_white_text_on_chips_is_readable():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in svg.CHIP_COLOURS.values():
        assert 1.05 / (luminance(colour) + 0.05) > 4.5, colour
