"""Bytes as text and back: nothing is lost, and methods take either."""

import builtins

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.scripts.bytetext import ByteText, data, text


def encoded_by_script(value, coding):
    """What `value.encode(coding)` is in a script, which has builtins of its own."""
    space = {"__builtins__": dict(vars(builtins)), "value": value, "coding": coding}
    return eval("value.encode(coding)", space)


@given(st.binary(max_size=50))
def test_bytes_survive_being_text(raw):
    shown = text(raw)
    assert data(shown) == bytes(shown) == raw
    assert shown == raw
    assert data(shown[:]) == raw
    assert data(shown + "") == data("" + shown) == raw
    assert data(str(shown), shown.encoding) == raw


def test_utf8_is_decoded_and_all_else_is_latin1():
    assert text("é".encode()) == "é"
    assert text(b"\xe9") == "é"
    assert (text("é".encode()).encoding, text(b"\xe9").encoding) == ("utf-8", "latin-1")


def test_what_becomes_of_text_keeps_its_encoding():
    image = text(b"\x89PNG\xff")
    changed = [image[1:], image + "x", image.replace(b"PNG", "GIF"), image.strip(), image % ()]
    changed += [image.upper(), image.lower(), "x" + image]
    assert {each.encoding for each in changed} == {"latin-1"}
    assert data(image.replace("PNG", b"GIF")) == b"\x89GIF\xff"
    assert data(image + "€") == "\x89PNG\xff€".encode()
    assert b"PNG" in image
    assert "PNG" in image
    assert hash(image) == hash(str(image))
    assert image != b"other"


def test_what_scripts_give_as_a_body():
    assert data(5) == b"5"
    assert data(bytearray(b"x")) == b"x"
    assert data("\udc89") == b"\x89"
    assert data("é", "latin-1") == b"\xe9"


@pytest.mark.parametrize(
    ("value", "coding", "decoded"),
    [
        ("616263", "hex", "abc"),
        ("YWJj", "base64", "abc"),
        ("a\\n", "string-escape", "a\n"),
        ("nop", "rot13", "abc"),
        ("é", "utf-8", "é"),
        ("é", "latin-1", "Ã©"),
        ("é", "ascii", "é"),
    ],
)
def test_decoding_as_python2_did(value, coding, decoded):
    assert ByteText(value).decode(coding) == decoded


@pytest.mark.parametrize(
    ("value", "coding", "encoded"),
    [
        ("abc", "hex", "616263"),
        ("abc", "base64", "YWJj\n"),
        ("a\n", "string-escape", "a\\n"),
        ("abc", "rot13", "nop"),
        ("é", "utf-8", "é"),
        ("é", "latin-1", "é"),
    ],
)
def test_encoding_as_python2_did(value, coding, encoded):
    assert encoded_by_script(ByteText(value), coding) == encoded


def test_encoded_bytes_are_the_right_ones():
    assert data(encoded_by_script(ByteText("é"), "latin-1")) == b"\xe9"
    assert data(encoded_by_script(text(b"\xe9"), "utf-8")) == b"\xe9"
    with pytest.raises(UnicodeEncodeError):
        encoded_by_script(ByteText("é"), "ascii")


def test_a_library_gets_bytes():
    for made, coding, encoded in [
        (text(b"\xc3\xa9"), "utf-8", b"\xc3\xa9"),
        (text(b"\xe9"), "UTF8", b"\xe9"),
        (text(b"\xc3\xa9"), "latin-1", b"\xe9"),
        (text(b"a"), "ascii", b"a"),
    ]:
        assert type(made.encode(coding)) is bytes
        assert made.encode(coding) == encoded
    with pytest.raises(UnicodeEncodeError):
        ByteText("é").encode("ascii")
