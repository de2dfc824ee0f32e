"""ODict, and the headers of eras A to C over a message's real ones."""

import pytest

from nbproxy.model.message import Response
from nbproxy.scripts.compat.classic_headers import HeaderODict, Headers, to_real
from nbproxy.scripts.compat.classic_odict import ODict, ODictCaseless


@pytest.fixture
def message():
    response = Response.make(200)
    response.headers.fields = ((b"Accept", b"a"), (b"accept", b"b"), (b"X-One", b"1"))
    return response


def test_values_of_an_odict_are_lists():
    d = ODict([["a", "1"], ["b", "2"], ["a", "3"]])
    assert d["a"] == ["1", "3"]
    assert d["none"] == []
    assert (d.get("a"), d.get("none"), d.get("none", [7])) == (["1", "3"], None, [7])
    assert (d.get_first("a"), d.get_first("none", "x")) == ("1", "x")
    assert "a" in d
    assert "A" not in d
    assert (len(d), list(d)) == (3, [("a", "1"), ("b", "2"), ("a", "3")])
    assert (d.keys(), d.values()) == (["a", "b"], ["1", "2", "3"])
    assert d.items() == list(d)
    assert not ODict()


def test_assigning_to_an_odict_keeps_places():
    d = ODict([["a", "1"], ["b", "2"], ["a", "3"]])
    d["a"] = ["x"]
    assert d.lst == [["a", "x"], ["b", "2"]]
    d["a"] = ["x", "y"]
    assert d.lst == [["a", "x"], ["b", "2"], ["a", "y"]]
    d["c"] = "text"  # what scripts of 0.14 mean
    assert d["c"] == ["text"]
    with pytest.raises(ValueError, match="list of values"):
        d["a"] = None
    del d["a"]
    del d["none"]
    d.add("b", "9")
    d.add("first", "0", prepend=True)
    assert d.lst == [["first", "0"], ["b", "2"], ["c", "text"], ["b", "9"]]
    d.set_all("b", ["8"])
    d.extend(ODict([["z", "26"]]))
    assert d.get_all("b") == ["8"]
    assert d["z"] == ["26"]
    d.clear()
    assert len(d) == 0


def test_values_can_be_used_as_text():
    values = ODictCaseless([["Content-Type", "text/html; charset=utf-8"]])["content-type"]
    assert values == "text/html; charset=utf-8"
    assert values != "text/plain"
    assert values.startswith("text/html")
    assert "text/html" in values
    assert values[0].upper() == "TEXT/HTML; CHARSET=UTF-8"
    with pytest.raises(AttributeError):
        values.nothing  # noqa: B018


def test_an_odict_searches_replaces_and_copies():
    d = ODictCaseless([["Content-Type", "Text/HTML"], ["x", "html"]])
    assert d["content-type"] == ["Text/HTML"]
    assert d.in_any("content-type", "HTML")
    assert not d.in_any("content-type", "html")
    assert d.in_any("content-type", "html", caseless=True)
    assert d.match_re("x: h")
    assert d.keys() == ["content-type", "x"]
    copy = d.copy()
    assert (copy, type(copy)) == (d, ODictCaseless)
    assert d.replace("html", "xml", flags=0) == 1
    assert d.replace("(?i)t", "7", 1) > 0
    assert copy != d
    assert copy["x"] == ["html"]
    assert copy.format() == str(copy) == "Content-Type: Text/HTML\r\nx: html\r\n"
    assert ODictCaseless.from_state(copy.get_state()) == copy
    assert copy != 5
    with pytest.raises(ValueError, match="pairs"):
        ODict([1])


def test_lists_of_a_message(message):
    headers = HeaderODict(message)
    assert headers["ACCEPT"] == ["a", "b"]
    assert headers["none"] == []
    assert headers.get_first("x-one") == "1"
    headers["newheader"] = ["foo"]
    assert message.headers["NewHeader"] == "foo"
    headers["accept"] = ["c"]
    assert message.headers.fields[0] == (b"accept", b"c")
    headers["X-Number"] = [7]
    assert message.headers["x-number"] == "7"
    headers["plain"] = "text"
    assert message.headers["plain"] == "text"
    del headers["plain"]
    del headers["plain"]
    assert "plain" not in headers
    with pytest.raises(ValueError, match="list of values"):
        headers["x"] = None
    with pytest.raises(ValueError, match="control character"):
        headers["x"] = ["a\r\nb: c"]


def test_the_pairs_of_a_message_are_live(message):
    headers = HeaderODict(message)
    headers.lst.append(["last", "z"])
    assert message.headers["last"] == "z"
    headers.lst[0] = ["First", "y"]
    assert message.headers.fields[0] == (b"First", b"y")
    headers.lst = [["only", "1"]]
    assert message.headers.fields == ((b"only", b"1"),)
    message.headers["other"] = "2"  # somebody else's change is seen
    assert list(headers) == [("only", "1"), ("other", "2")]
    message.headers = {"replaced": "3"}
    assert headers["replaced"] == ["3"]
    assert headers.replace("3", "4") == 1
    assert headers.copy().lst == [["replaced", "4"]]


def test_text_of_a_message(message):
    headers = Headers.of(message)
    assert headers["accept"] == "a, b"
    assert headers.get("none", "x") == "x"
    with pytest.raises(KeyError):
        headers["none"]
    with pytest.raises(KeyError):
        del headers["none"]
    headers["New"] = "1"
    headers["Listed"] = ["1", "2"]  # what scripts of 0.13 mean
    headers["Number"] = 7
    assert (message.headers["new"], message.headers["number"]) == ("1", "7")
    assert headers.get_all("listed") == ["1", "2"]
    headers.set_all("Listed", ["3"])
    headers.add("listed", "4")
    assert headers.in_any("LISTED", "4")
    assert headers.in_any("accept", "B", caseless=True)
    assert headers.get_first("listed") == "3"
    assert headers.get_first("none") is None
    assert list(headers) == ["Accept", "X-One", "New", "Listed", "Number"]
    assert len(headers) == 5
    assert headers.pop("listed") == "3, 4"
    assert headers.fields[0] == [b"Accept", b"a"]
    assert str(headers).startswith("Accept: a\r\naccept: b\r\n")
    copy = headers.copy()
    assert copy == headers
    copy["x"] = "y"
    assert "x" not in message.headers
    copy.set_state(headers.get_state())
    assert Headers.from_state(headers.get_state()) == copy
    headers.fields = [[b"a", b"b"]]
    assert message.headers.fields == ((b"a", b"b"),)


def test_headers_of_a_scripts_own():
    headers = Headers([[b"a", b"1"]], Content_Type="text/html", X_Raw=b"2")
    assert bytes(headers) == b"a: 1\r\nContent-Type: text/html\r\nX-Raw: 2\r\n"
    assert to_real(headers).fields == headers.real().fields
    assert to_real({"a": ["1", "2"], "b": "3"}).get_all("a") == ["1", "2"]
    assert to_real(ODict([["a", "1"]])).fields == ((b"a", b"1"),)


def test_replacing_in_whole_lines():
    headers = Headers([[b"A", b"one"], [b"B", b"two"]])
    assert headers.replace("A: one", "A: 1") == 1
    assert headers.replace(b"two", b"2") == 1
    assert headers.replace(": ", "-") == 0  # the line would be none any more
    assert str(headers) == "A: 1\r\nB: 2\r\n"
