"""Charsets: found, named, never a codec that is no charset; text there and back."""

import codecs
import encodings
import pkgutil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbproxy.model import charset

LATIN = "Die Straße ist naß, Größe und Übermut. Ça va déjà très bien, garçon. " * 5
RUSSIAN = "Привет, как дела? Это обычный русский текст, цель - погода и природа. " * 5
JAPANESE = "これは日本語のテキストです。今日はとても良い天気です。散歩に行きましょう。 " * 200


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("text/html", ("text", "html", {})),
        ("Text/HTML; Charset=UTF-8", ("text", "html", {"charset": "UTF-8"})),
        ('a/b; x="1;2\\"3"; y = z ;;', ("a", "b", {"x": '1;2"3', "y": "z"})),
        ('a/b; x="open', ("a", "b", {"x": "open"})),
        ("a/b; x=1; x=2; novalue; =5", ("a", "b", {"x": "1"})),
        ('a/b; x=""', ("a", "b", {"x": ""})),
        ("text", None),
        ("/html", None),
        ("text/", None),
        ("", None),
    ],
)
def test_content_types(value, parsed):
    assert charset.parse_content_type(value) == parsed


TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-+.", min_size=1, max_size=12)


@given(TOKENS, TOKENS, st.dictionaries(TOKENS, st.text(max_size=20), max_size=4))
def test_content_types_round_trip(main, sub, parameters):
    value = charset.assemble_content_type(main, sub, parameters)
    assert charset.parse_content_type(value) == (main, sub, parameters)


@given(st.text(max_size=200))
def test_any_text_is_a_content_type_or_none(value):
    charset.parse_content_type(value)
    charset.charset_of(value)
    assert codecs.lookup(charset.guess(value, b"\xff"))


def test_long_content_types_take_no_time():
    for value in ("a/b" + "; x" * 100_000, 'a/b; x="' + '\\"' * 100_000, "a/b;" + " " * 100_000):
        assert charset.parse_content_type(value) is not None


@pytest.mark.parametrize(
    "name", ["base64", "zip", "zlib", "rot13", "bz2", "hex", "quopri", "uu", "punycode", "idna"]
)
def test_what_is_no_charset_is_never_used(name):  # hostile: E-04
    assert charset.text_codec(name) is None
    assert charset.guess(f"text/plain; charset={name}", b"YWJj") == "utf-8"
    assert charset.decode_text(b"YWJj", f"text/plain; charset={name}", strict=True) == "YWJj"


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 100_000, "utf\0-8", "../../etc", "os.path", "unknown-8bit", "ü", "'"]
)
def test_hostile_names_are_not_looked_up(name, monkeypatch):  # hostile: E-04
    def refuse(name):
        raise AssertionError(name)

    monkeypatch.setattr(codecs, "lookup", refuse)
    before = len(encodings._cache)
    assert charset.text_codec(name) is None
    assert charset.decode_text(b"abc", f"text/plain; charset={name}", strict=False) == "abc"
    assert len(encodings._cache) == before


def test_the_table_has_every_charset_of_python_and_nothing_else():
    names = {module.name for module in pkgutil.iter_modules(encodings.__path__)} - {"aliases"}
    for name in names - charset._NO_CHARSETS:
        assert codecs.lookup(charset._CODECS[name])._is_text_encoding
    for name in charset._CODECS:
        codec = charset.text_codec(name)
        assert "a".encode(codec).decode(codec) == "a"
    assert not charset._NO_CHARSETS & set(charset._CODECS.values())


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("UTF-8", "utf-8"),
        ("utf8", "utf-8"),
        ("ISO-8859-1", "latin-1"),
        ("us-ascii", "ascii"),
        ("windows-1252", "cp1252"),
        ("GB2312", "gb18030"),
        ("Shift_JIS", "cp932"),
        (" utf-8 ", "utf-8"),
        ("koi8-r", "koi8_r"),
    ],
)
def test_names_of_charsets(name, codec):
    assert charset.text_codec(name) == codec


@pytest.mark.parametrize(
    ("content_type", "body", "codec"),
    [
        ("text/plain; charset=latin1", b"caf\xe9", "latin-1"),
        ('text/plain; charset="utf-8"', b"caf\xe9", "utf-8"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbfabc", "utf-8-sig"),
        ("text/plain", b"\xef\xbb\xbfabc", "utf-8-sig"),
        ("", "abc".encode("utf-16"), "utf_16"),
        ("", codecs.BOM_UTF32_LE + "abc".encode("utf-32-le"), "utf_32"),
        ("text/html", b'<html><META charset="Windows-1251">\xe9', "cp1251"),
        ("text/html", b"<meta http-equiv=x content='text/html; charset=koi8-r'>\xe9", "koi8_r"),
        ("text/html", b"<meta charset=utf-16>abc", "utf-8"),
        ("text/html", b"<meta charset=base64>abc", "utf-8"),
        ("text/css", b'@charset "iso-8859-15";\xe9', "iso8859_15"),
        ("application/xml", b'<?xml version="1.0" encoding="iso-8859-2"?>\xe9', "iso8859_2"),
        ("image/svg+xml", b"<?xml version='1.0' encoding='cp1250'?>\xe9", "cp1250"),
        ("application/json", b'"\xff"', "utf-8"),
        ("application/problem+json; x=1", b'"\xff"', "utf-8"),
        ("text/plain", "grüße".encode(), "utf-8"),
        ("text/plain", b"", "utf-8"),
        ("image/png", b"\x89PNG\xff", "latin-1"),
        ("", b"\0\0\xff", "latin-1"),
    ],
)
def test_guesses(content_type, body, codec):
    assert charset.guess(content_type, body) == codec


@pytest.mark.parametrize(
    ("text", "codec"), [(LATIN, "cp1252"), (RUSSIAN, "cp1251"), (JAPANESE, "cp932")]
)
def test_text_without_any_hint_is_told_by_statistics(text, codec):
    body = text.encode(codec)
    for content_type in ("text/plain", "application/javascript", ""):
        assert charset.decode_text(body, content_type, strict=True) == text
    late = b"plain ascii " * 5000 + body
    assert charset.decode_text(late, "text/plain", strict=True).endswith(text)


def test_text_that_turns_out_otherwise_after_the_sample_is_latin_1():
    body = RUSSIAN.encode("cp1251") * 20 + b"\x98"  # a byte that cp1251 does not have
    assert charset.guess("text/plain", body) == "latin-1"


def test_strict_raises_and_lenient_keeps_the_bytes():
    content_type = "text/plain; charset=ascii"
    with pytest.raises(ValueError, match="ascii"):
        charset.decode_text(b"a\xff\xc3\xa9", content_type, strict=True)
    assert charset.decode_text(b"a\xff\xc3\xa9", content_type, strict=False) == "a\udcffé"


TYPES = st.sampled_from(
    [
        "",
        "text/plain",
        "text/html; charset=utf-8",
        "text/plain; charset=latin1",
        "text/plain; charset=ascii",
        "application/json",
        "application/octet-stream",
        "image/png",
        "text/plain; charset=base64",
        "nonsense",
    ]
)


@given(st.binary(max_size=100), TYPES)
@example(b"??@n\xaa", "")
def test_bytes_survive_a_lenient_reading(body, content_type):
    text = charset.decode_text(body, content_type, strict=False)
    again, new_type = charset.encode_text(text, content_type, body)
    assert again == body or again.decode(charset.guess(new_type, again)) == text


@given(st.text(max_size=100), TYPES)
def test_any_text_can_be_set_and_read_again(text, content_type):
    raw, new_type = charset.encode_text(text, content_type)
    if not raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        assert charset.decode_text(raw, new_type, strict=True) == text


def test_a_charset_that_cannot_say_it_gives_way_to_utf8():
    raw, new_type = charset.encode_text("5 €", "text/html; charset=latin1; x=y")
    assert (raw, new_type) == ("5 €".encode(), "text/html; charset=utf-8; x=y")
    assert charset.encode_text("5 €", "", b"caf\xe9 au lait")[1] in {
        "",
        "text/plain; charset=utf-8",
    }
    assert charset.encode_text("5", "text/html; charset=latin1")[1] == "text/html; charset=latin1"


def test_a_text_keeps_the_charset_of_the_body_that_it_replaces():
    old = RUSSIAN.encode("cp1251")
    assert charset.encode_text("я", "text/plain", old) == ("я".encode("cp1251"), "text/plain")
    assert charset.encode_text("x", "text/plain", b"\xef\xbb\xbfy")[0] == b"\xef\xbb\xbfx"
    page = '<meta charset="cp1251">я'
    assert charset.encode_text(page, "text/html") == (page.encode("cp1251"), "text/html")


def test_surrogates_that_are_no_bytes_are_refused():
    with pytest.raises(ValueError, match="surrogates"):
        charset.encode_text("\ud800", "text/plain; charset=utf-8")
    with pytest.raises(ValueError, match="surrogates"):
        charset.encode_text("\ud800", "text/plain; charset=latin1")
