import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.formats.har_text import bytes_of, text_of

types = st.sampled_from(
    [
        "",
        "text/html",
        "text/plain; charset=utf-16",
        "x/y; charset=latin-1",
        "a/b; charset=shift_jis",
        "text/x; charset=nonsense",
        "text/x; charset=utf-7",
        "text/x; charset=base64",
    ]
)


@given(
    st.binary(max_size=30) | st.text(max_size=20).map(lambda t: t.encode("utf-8", "replace")), types
)
def test_text_gives_the_same_bytes_back(body, content_type):
    text = text_of(body, content_type)
    if text is not None:
        assert bytes_of(text, content_type) == body


@given(st.text(max_size=20), types)
def test_every_text_has_bytes(text, content_type):
    assert isinstance(bytes_of(text, content_type), bytes)


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("é€".encode(), "", "é€"),
        (b"\xe9", "text/html; charset=iso-8859-1", "é"),
        (b"\xe9", "text/html", None),
        (b"a\0b", "", None),
        (b"a\tb\r\n\x0c", "", "a\tb\r\n\x0c"),
        ("\ufeffx".encode(), "application/json", "\ufeffx"),
        ("\uffff".encode(), "", None),
        (b"", "", ""),
    ],
)
def test_what_is_text(body, content_type, text):
    assert text_of(body, content_type) == text
