"""What requests and responses share: a head and a body that stay in step with each other."""

import gzip
import json
import zlib

import brotli
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nbproxy.model.coding import KNOWN
from nbproxy.model.headers import Headers
from nbproxy.model.message import Request, Response
from nbproxy.model.record import attributes


class Stored:
    """A body that lies elsewhere."""

    def __init__(self, data):
        self.data = data
        self.reads = 0

    @property
    def size_bytes(self):
        return len(self.data)

    def read(self):
        self.reads += 1
        return self.data


def answer(raw, **headers):
    return Response(200, headers=Headers(**headers), content=raw)


# -- bodies


def test_content_and_its_length():
    response = Response.make(200, b"abc")
    assert (response.content, response.raw_content, response.text) == (b"abc", b"abc", "abc")
    assert (response.body_size, response.holds_bytes) == (3, True)
    assert response.headers["content-length"] == "3"
    response.content = b""
    assert response.headers["content-length"] == "0"
    response.content += b"12345"
    assert response.headers["content-length"] == "5"
    response.content = bytearray(b"1")
    assert response.content == b"1"


def test_a_missing_body():
    response = answer(None)
    assert (response.content, response.raw_content, response.text) == (None, None, None)
    assert (response.body_size, response.holds_bytes) == (0, False)
    with pytest.raises(TypeError, match="no body"):
        response.json()
    response.encode("gzip")
    assert "content-encoding" not in response.headers
    response.decode()
    response.text = "a"
    assert response.content == b"a"
    response.text = None
    assert response.content is None
    response.content = b"b"
    response.content = None
    assert response.text is None


def test_a_length_is_not_added_to_chunks():
    response = answer(b"", transfer_encoding="chunked")
    response.content = b"abc"
    assert "content-length" not in response.headers


def test_bodies_are_bytes():
    response = Response.make()
    for assign in ("content", "raw_content"):
        with pytest.raises(TypeError, match=r"assign text to \.text"):
            setattr(response, assign, "text")
        for value in (5, [1, 2], {"a": 1}):
            with pytest.raises(TypeError, match="a body is bytes, not"):
                setattr(response, assign, value)
    assert response.content == b""


@pytest.mark.parametrize("coding", sorted(KNOWN))
def test_codings_are_taken_off_and_put_on(coding):
    response = Response.make(200, "Grüße " * 100, {"content-type": "text/plain; charset=utf-8"})
    plain = response.content
    response.encode(coding)
    assert response.headers["content-encoding"] == coding
    assert response.headers["content-length"] == str(len(response.raw_content))
    assert response.content == plain
    assert response.text == "Grüße " * 100
    response.text = "Ä"
    assert response.content == "Ä".encode()
    assert response.headers["content-length"] == str(response.body_size)
    response.decode()
    assert "content-encoding" not in response.headers
    assert response.raw_content == "Ä".encode()
    assert response.headers["content-length"] == "2"


def test_a_body_is_decoded_once():
    response = answer(gzip.compress(b"a" * 1000), content_encoding="gzip")
    assert response.content is response.content
    response.headers["content-encoding"] = "x-gzip"
    assert response.content == b"a" * 1000
    response.raw_content = gzip.compress(b"b")
    assert response.content == b"b"
    response.hold_body(gzip.compress(b"c"))
    assert response.content == b"c"


def test_encoding_anew_replaces_the_coding():
    response = answer(zlib.compress(b"abc"), content_encoding="deflate")
    response.encode("br")
    assert brotli.decompress(response.raw_content) == b"abc"
    response.encode("identity")
    assert response.raw_content == b"abc"
    with pytest.raises(ValueError, match="cannot encode as 'lzma'"):
        response.encode("lzma")
    assert (response.raw_content, response.headers["content-encoding"]) == (b"abc", "identity")


def test_several_lines_of_content_encoding_are_one_list():  # hostile: E-02
    response = answer(gzip.compress(zlib.compress(b"abc")))
    response.headers.add("Content-Encoding", "deflate")
    response.headers.add("content-encoding", "gzip")
    assert response.content == b"abc"
    response.content = b"abcd"
    assert zlib.decompress(gzip.decompress(response.raw_content)) == b"abcd"
    response.decode()
    assert response.raw_content == b"abcd"
    assert "content-encoding" not in response.headers


BROKEN = {
    "broken": (gzip.compress(b"hello")[:-9] + b"12345", "gzip"),
    "cut": (gzip.compress(b"hello")[:-1], "gzip"),
    "unknown": (b'{"a": 1}', "rot13"),
    "not-true": (b'{"a": 1}', "gzip"),
    "doubled": (gzip.compress(b"hello"), "gzip, gzip"),
    "too-many": (b"hello", ", ".join(["gzip"] * 50)),
    "bytes": (b"hello", "\udcff\udc80"),
    "bomb": (gzip.compress(bytes(2**25)), "gzip"),
}


@pytest.mark.parametrize(("raw", "coding"), BROKEN.values(), ids=BROKEN)
def test_a_body_that_does_not_decode_is_shown_as_it_came(raw, coding):  # hostile: E-01 E-02
    response = answer(raw, content_encoding=coding)
    with pytest.raises(ValueError, match=r"\w"):
        _ = response.content
    assert response.get_content(strict=False) == raw
    assert isinstance(response.text, str)
    with pytest.raises(ValueError, match=r"\w"):
        response.get_text(strict=True)
    with pytest.raises(ValueError, match=r"\w"):
        response.decode()
    assert (response.raw_content, response.headers["content-encoding"]) == (raw, coding)
    try:
        assert response.json() == {"a": 1}
    except ValueError:
        assert b"{" not in raw
    copied = response.copy()
    copied.decode(strict=False)
    assert (copied.raw_content, "content-encoding" in copied.headers) == (raw, False)


@pytest.mark.parametrize("coding", ["", " ", "identity", ",", "identity, Identity"])
def test_no_coding_by_another_name(coding):  # hostile: E-02
    assert answer(b"abc", content_encoding=coding).content == b"abc"


def test_a_coding_that_cannot_be_applied_is_taken_off():
    response = answer(b"old", content_encoding="rot13")
    response.content = b"new"
    assert (response.raw_content, "content-encoding" in response.headers) == (b"new", False)
    assert response.headers["content-length"] == "3"


def test_stored_bodies_are_read_when_somebody_asks():
    stored = Stored(gzip.compress(b"abc"))
    response = answer(stored, content_encoding="gzip")
    assert (response.body_size, response.holds_bytes) == (stored.size_bytes, False)
    copied = response.copy()
    assert stored.reads == 0
    assert response.content == b"abc"
    assert response.text == "abc"
    assert response.raw_content == stored.data
    assert response._decoded is None  # what lies on disk is not kept in memory
    stored.data = gzip.compress(b"abcdef")  # still growing
    assert response.content == b"abcdef"
    assert copied.content == b"abcdef"
    response.content = b"short"
    assert response.holds_bytes
    assert copied.content == b"abcdef"


def test_a_stored_body_that_is_gone_is_an_error():
    class Gone(Stored):
        def read(self):
            raise OSError("gone")

    response = answer(Gone(b"abc"))
    assert response.body_size == 3
    with pytest.raises(OSError, match="gone"):
        _ = response.text


# -- text


@pytest.mark.parametrize(
    ("raw", "content_type", "text"),
    [
        ("Grüße".encode(), "text/plain; charset=utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), "text/plain; charset=iso-8859-1", "Grüße"),
        ("Grüße".encode(), "application/json", "Grüße"),
        (b"\xef\xbb\xbfabc", "text/plain", "abc"),
        (b"a\xffb", "text/plain; charset=utf-8", "a\udcffb"),
        (b"abc", "text/plain; charset=base64", "abc"),
    ],
)
def test_text_of_bytes(raw, content_type, text):
    assert answer(raw, content_type=content_type).text == text


def test_text_is_encoded_as_the_head_says():
    response = answer(b"", content_type="text/plain; charset=iso-8859-1")
    response.text = "Grüße"
    assert response.raw_content == "Grüße".encode("latin-1")
    response.text = "5 €, 三"  # Latin-1 cannot say it
    assert response.raw_content == "5 €, 三".encode()
    assert "utf-8" in response.headers["content-type"].lower()
    assert response.text == "5 €, 三"
    assert response.headers["content-length"] == str(response.body_size)


@given(st.text(max_size=20), st.sampled_from(["", "text/html", "text/plain; charset=latin-1"]))
@example("\ud800", "")
@example("\ufeff", "")
def test_text_comes_back(text, content_type):
    response = answer(b"", content_type=content_type)
    try:
        response.text = text
    except ValueError:
        assert any("\ud800" <= char <= "\udfff" for char in text)
        assert response.content == b""
    else:
        assert response.text == text or text.startswith("\ufeff")


def test_json():
    response = Response.make(200, '{"a": [1, 2.5, "ü"]}', {"content-type": "application/json"})
    assert response.json() == {"a": [1, 2.5, "ü"]}
    assert response.json(parse_float=str)["a"][1] == "2.5"
    response.encode("gzip")
    assert response.json()["a"][0] == 1
    assert answer('"ü"'.encode("utf-16")).json() == "ü"
    for raw in (b"", b"{", b"\xff\xfe\xfd"):
        with pytest.raises(ValueError, match=r"\w"):
            answer(raw).json()


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"9" * 100_000,
        b"[" * 100_000,
    ],
    ids=["lists", "objects", "digits", "open"],
)
def test_json_that_is_too_much_is_a_value_error(raw):  # hostile: E-05
    response = answer(raw, content_type="application/json")
    with pytest.raises(ValueError, match=r"\w"):
        response.json()
    assert response.text == raw.decode()


def test_entities_are_never_expanded():  # hostile: E-05
    bomb = b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'
    assert answer(bomb, content_type="text/xml").text == bomb.decode()


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_any_json_comes_back(value):
    response = Response.make(200, json.dumps(value).encode())
    response.encode("gzip")
    assert response.json() == value


# -- the rest of a message


def test_headers_may_be_assigned():
    response = Response.make()
    response.headers = {"A": "1"}
    assert isinstance(response.headers, Headers)
    assert response.headers.fields == ((b"A", b"1"),)
    with pytest.raises(ValueError, match="control"):
        response.headers = {"A": "\n"}
    other = Headers()
    response.headers = other
    assert response.headers is other


def test_versions():
    response = Response.make()
    assert (response.is_http10, response.is_http11, response.is_http2) == (False, True, False)
    response.http_version = "HTTP/2.0"
    assert (response.is_http10, response.is_http11, response.is_http2) == (False, False, True)
    response.http_version = "HTTP/1.0"
    assert response.is_http10


def test_copies_are_independent():
    first = Request.make("POST", "http://a/", b"x", {"A": "1"})
    first.trailers = Headers(t="1")
    first.timestamp_end = 5.0
    second = first.copy()
    assert type(second) is Request
    assert attributes(second).keys() == attributes(first).keys()
    assert second.raw_content is first.raw_content
    second.url = "http://b/"
    second.content = b"yz"
    second.trailers["t"] = "2"
    second.headers["A"] = "2"
    assert (first.url, first.content) == ("http://a/", b"x")
    assert (first.headers["A"], first.headers["host"]) == ("1", "a")
    assert (first.trailers["t"], second.timestamp_end) == ("1", 5.0)
    response = Response.make(404, b"x")
    copied = response.copy()
    copied.status_code = 200
    assert (response.status_code, copied.reason, copied.trailers) == (404, "Not Found", None)
