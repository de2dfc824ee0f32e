"""Form bodies: urlencoded and multipart, bounded, and round trips."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model import forms
from nbproxy.model.forms import Part

TYPE = "multipart/form-data; boundary=XX"


def body(*lines):
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a=1&&b", [("a", "1"), ("b", "")]),
        (b"a+b=c%20d%26&=x", [("a b", "c d&"), ("", "x")]),
        (b"a=%ff\xfe%zz%", [("a", "\udcff\udcfe%zz%")]),
        ("ä=ü".encode(), [("ä", "ü")]),
        (b"a=b;c=d", [("a", "b;c=d")]),
    ],
)
def test_urlencoded(raw, pairs):
    assert forms.parse_urlencoded(raw) == pairs


def test_urlencoded_in_another_charset():
    assert forms.parse_urlencoded(b"a=%e9\xe9", "latin-1") == [("a", "éé")]
    assert forms.parse_urlencoded(b"a=%83%65", "shift_jis") == [("a", "テ")]
    assert forms.parse_urlencoded(b"a=%c3%a9", "base64") == [("a", "é")]
    for raw in (b"a=%1b%24%42%21", b"a=\x1b$B!"):  # ends within a character of ASCII bytes
        assert forms.parse_urlencoded(raw, "iso-2022-jp") == [("a", "\ufffd")]


@given(st.binary(max_size=80), st.sampled_from(["utf-8", "latin1", "utf-16", "gbk", "hz", "zip"]))
def test_any_bytes_are_a_form(raw, encoding):
    forms.parse_urlencoded(raw, encoding)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)).filter(any), max_size=5))
def test_urlencoded_round_trips(pairs):
    text = forms.encode_urlencoded(pairs)
    assert text.isascii()
    assert forms.parse_urlencoded(text) == forms.parse_urlencoded(text.encode()) == pairs


def test_urlencoded_keeps_the_spelling_of_what_it_replaces():
    assert forms.encode_urlencoded([("a", "~"), ("c", "é")], "a=%7e&b") == "a=%7e&c=%C3%A9"


def test_urlencoded_is_bounded():  # hostile: E-06
    assert len(forms.parse_urlencoded("&".join(["a=1"] * 10_000))) == 10_000
    with pytest.raises(ValueError, match="more than 10,000 fields"):
        forms.parse_urlencoded(b"a=1&" * 1_000_000)


def test_multipart():
    raw = body(
        "preamble", "--XX", 'Content-Disposition: form-data; name="a"', "", "one",
        "--XX  ", 'content-disposition: form-data; name=b; filename="x y.txt"',
        "Content-Type: text/plain", "", "two\r\n", "--XXno", "-XX", "--XX", "", "nameless",
        "--XX--", "epilogue", "--XX--",
    )  # fmt: skip
    parts = forms.parse_parts(TYPE, raw)
    assert [(p.name, p.filename, p.content) for p in parts] == [
        ("a", None, b"one"),
        ("b", "x y.txt", b"two\r\n\r\n--XXno\r\n-XX"),
        ("", None, b"nameless"),
    ]
    assert parts[1].headers[1] == ("Content-Type", "text/plain")
    assert forms.parse_multipart(TYPE, raw) == [
        (b"a", b"one"),
        (b"b", b"two\r\n\r\n--XXno\r\n-XX"),
    ]


@pytest.mark.parametrize(
    ("value", "name", "filename"),
    [
        ('form-data; name="a\\"b"', 'a"b', None),
        ('form-data; name="%22%0D%0A"', '"\r\n', None),
        ('form-data; name="a"; filename="C:\\dir\\f"', "a", "C:\\dir\\f"),
        ('form-data; name="ü"; filename="né"', "ü", "né"),
        ("form-data; filename*=UTF-8''n%C3%A9%20+; name=a", "a", "né +"),
        ("form-data; name=a; filename*=zip''x%ff", "a", "x\ufffd"),
        ("form-data; name=a; filename*=odd", "a", ""),
        ('form-data; name="open', '"open', None),
        ("form-data; name=a; name=b", "a", None),
        ("form-data", "", None),
    ],
)
def test_dispositions(value, name, filename):
    raw = body("--XX", f"Content-Disposition: {value}", "", "", "--XX--")
    (part,) = forms.parse_parts(TYPE, raw)
    assert (part.name, part.filename) == (name, filename)


def test_parts_without_content():
    header = 'Content-Disposition: form-data; name="a"'
    for raw in (body("--XX", header, "", "", "--XX--"), body("--XX", header, "", "--XX--")):
        (part,) = forms.parse_parts(TYPE, raw)
        assert (part.name, part.content) == ("a", b"")
    assert forms.parse_parts(TYPE, b"--XX\r\n--XX--") == [Part("", b"")]
    assert forms.parse_parts(TYPE, b"--XX--") == []


@pytest.mark.parametrize(
    ("content_type", "raw"),
    [
        ("", b"--XX--"),
        ("multipart/mixed; boundary=XX", b"--XX--"),
        ("multipart/form-data", b"--XX--"),
        ("multipart/form-data; boundary=", b"----"),
        (f"multipart/form-data; boundary={'x' * 71}", b"--XX--"),
        ('multipart/form-data; boundary="\x01"', b"--\x01--"),
        (TYPE, b""),
        (TYPE, b"--XX"),
        (TYPE, b"--XX\r\n"),
        (TYPE, b"--XX\r\nA: b\r\n\r\nc"),
        (TYPE, b"--XX\r\nA: b\r\n\r\nc\r\n--XX\r\n"),
        (TYPE, b"--XX\r\nno header's end\r\n--XX--"),
        (TYPE, b"--XX\r\nA: " + b"b" * 20_000 + b"\r\n\r\nc\r\n--XX--"),
        (TYPE, b"--XX\r\n" + b"A:b\r\n" * 200 + b"\r\nc\r\n--XX--"),
        (TYPE, b"--XX--junk"),
    ],
)
def test_damaged_multipart_is_refused(content_type, raw):
    with pytest.raises(ValueError, match=r"form|boundary"):
        forms.parse_parts(content_type, raw)


def test_multipart_is_bounded():  # hostile: E-06
    piece = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    assert len(forms.parse_multipart(TYPE, piece * 1000 + b"--XX--")) == 1000
    for raw in (piece * 100_000, piece * 100_000 + b"--XX--", piece * 1001 + b"--XX--"):
        with pytest.raises(ValueError, match="more than 1,000 parts"):
            forms.parse_multipart(TYPE, raw)
    with pytest.raises(ValueError, match="no end"):
        forms.parse_multipart(TYPE, piece + b"\r\n--XX y" * 200_000)


@given(st.binary(max_size=60))
def test_any_bytes_are_multipart_or_a_valueerror(raw):
    for data in (raw, b"--XX\r\n" + raw, b"--XX\r\nA:" + raw + b"\r\n\r\n" + raw + b"\r\n--XX--"):
        try:
            parts = forms.parse_parts(TYPE, data)
        except ValueError:
            continue
        assert sum(len(part.content) for part in parts) <= len(data)


NAMES = st.text(max_size=8).filter(lambda n: "%" not in n and not n.endswith("\\"))


@given(st.lists(st.tuples(NAMES.filter(bool), st.binary(max_size=40)), max_size=5))
def test_multipart_round_trips(pairs):
    content_type = forms.new_multipart_type()
    pairs = [(name.replace("\\", "").encode() or b"n", content) for name, content in pairs]
    raw = forms.encode_multipart(content_type, pairs)
    assert forms.parse_multipart(content_type, raw) == pairs


def test_parts_round_trip_with_their_headers():
    parts = [
        Part("f", b"\x89PNG\r\n", 'a"b.png'),
        Part("t", b"x", None, (("Content-Type", "text/plain"),)),
    ]
    raw = forms.encode_multipart(TYPE, parts)
    again = forms.parse_parts(TYPE, raw)
    assert [(p.name, p.filename, p.content) for p in again] == [
        ("f", 'a"b.png', b"\x89PNG\r\n"),
        ("t", None, b"x"),
    ]
    assert ("Content-Type", "text/plain") in again[1].headers
    assert forms.encode_multipart(TYPE, again) == raw


def test_changing_one_field_keeps_files_and_headers_of_the_others():
    old = forms.encode_multipart(
        TYPE,
        [
            Part("f", b"one", "1.txt", ()),
            Part("f", b"two", "2.txt"),
            Part("t", b"x", None, (("X-A", "b"),)),
        ],
    )
    pairs = forms.parse_multipart(TYPE, old)
    assert forms.encode_multipart(TYPE, pairs, old) == old
    pairs[2] = (b"t", b"new")
    pairs.append((b"t", b"more"))
    parts = forms.parse_parts(TYPE, forms.encode_multipart(TYPE, pairs, old))
    assert [(p.filename, p.content) for p in parts] == [
        ("1.txt", b"one"),
        ("2.txt", b"two"),
        (None, b"new"),
        (None, b"more"),
    ]
    assert ("X-A", "b") in parts[2].headers
    assert forms.encode_multipart(TYPE, [(b"a", b"")], b"damaged")


def test_what_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="not multipart"):
        forms.encode_multipart("text/plain", [])
    for content in (b"--XX", b"a\r\n--XX"):
        with pytest.raises(ValueError, match="contains the boundary"):
            forms.encode_multipart(TYPE, [(b"a", content)])
    with pytest.raises(ValueError, match="line end"):
        forms.encode_multipart(TYPE, [Part("a", b"", None, (("A", "b\r\nC: d"),))])
    raw = forms.encode_multipart(TYPE, [(b'a"\r\nX: y', b"")])
    assert b"\r\nX" not in raw


def test_boundaries_are_fresh():
    assert forms.new_multipart_type() != forms.new_multipart_type()
