"""What is shown of text from the wire: nothing invisible, nothing active, nothing endless."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model.escape import visible

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, <b>&amp;</b> \\x1b", "plain text, <b>&amp;</b> \\x1b"),
        ("grüße 日本語 🙂 ❤\ufe0f", "grüße 日本語 🙂 ❤\ufe0f"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\x00b\x7f\x9b", r"a\x00b\x7f\x9b"),
        ("a\nb\r\n\tc", r"a\nb\r\n\tc"),
        ("user\u202egpj.exe", r"user\u202egpj.exe"),
        ("\u2066x\u2069\u061c", r"\u2066x\u2069\u061c"),
        ("z\u200bw\u200dj\ufeff\u00ad", r"z\u200bw\u200dj\ufeff\xad"),
        ("\ud800\udcff", r"\ud800\udcff"),
        ("\u2028\u2029\ue000", r"\u2028\u2029\ue000"),
        ("\u034f\u3164\ufe00\U000e0101\U000e0041", r"\u034f\u3164\ufe00\U000e0101\U000e0041"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
        ("a\u00a0\u202e", "a\u00a0\\u202e"),
        ("", ""),
    ],
)  # hostile: D-06
def test_escapes(text, shown):
    assert visible(text) == shown


def test_bodies_keep_their_lines():
    assert visible("a\r\n\tb\nc\rd\x1b", multiline=True) == "a\n\tb\nc\\rd\\x1b"


def test_long_text_is_cut_with_a_count():  # hostile: D-06
    shown = visible("\x1b" * 10_000_000, 100)
    assert shown == "\\x1b" * 100 + "… (+9,999,900 characters)"
    assert visible("a" * 1001) == "a" * 1000 + "… (+1 characters)"
    assert visible("a" * 1000) == "a" * 1000
    assert visible("abc", 0) == "… (+3 characters)"


@given(ANY_TEXT, st.integers(0, 80), st.booleans())
def test_whatever_comes_is_printable_savable_and_bounded(text, limit, multiline):
    shown = visible(text, limit, multiline=multiline)
    assert len(shown) <= 10 * limit + 30
    json.dumps(shown, ensure_ascii=False).encode("utf-8")
    for char in shown:
        assert char.isprintable() or char in "\u00a0\u2002\u2003\u2009\u202f\u3000\n\t"
    if not multiline:
        assert len(shown.splitlines()) <= 1


@given(ANY_TEXT)
def test_plain_text_stays_as_it_is(text):
    once = visible(text)
    assert visible(once) == once
