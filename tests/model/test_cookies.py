"""Cookie and Set-Cookie fields: as browsers read them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model import cookies
from nbproxy.model.cookies import CookieAttrs, SetCookie


@pytest.mark.parametrize(
    ("value", "pairs"),
    [
        ("", []),
        (" ; ;", []),
        ("a=1", [("a", "1")]),
        ("a=1; b=2;c=3", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("a=1; a=2", [("a", "1"), ("a", "2")]),
        ("a=b=c==", [("a", "b=c==")]),
        ('a="1; b=2"', [("a", '"1'), ("b", '2"')]),
        ("flag", [("", "flag")]),
        ("=x; a=", [("", "x"), ("a", "")]),
        (" a = 1 ", [("a", "1")]),
        ("ü=é, x", [("ü", "é, x")]),
    ],
)
def test_cookie_fields(value, pairs):
    assert cookies.parse_cookie_header(value) == pairs


@pytest.mark.parametrize("value", ["a=1", "a=1; b=2", "flag", "a=b=c", '"q"; a="x y"', "a="])
def test_cookie_fields_come_back_as_they_were(value):
    assert cookies.format_cookie_header(cookies.parse_cookie_header(value)) == value


@given(st.text(max_size=60))
def test_any_text_is_read_and_reading_it_again_changes_nothing(value):
    pairs = cookies.parse_cookie_header(value)
    assert cookies.parse_cookie_header(cookies.format_cookie_header(pairs)) == pairs
    cookie = cookies.parse_set_cookie(value)
    assert cookies.parse_set_cookie(cookies.format_set_cookie(cookie)) == cookie


WORDS = st.text("abcXYZ0-_. /\u00e9", max_size=8).map(str.strip)


@given(st.lists(st.tuples(WORDS, WORDS.map(lambda w: f"{w}=") | WORDS), max_size=5))
def test_pairs_round_trip(pairs):
    assert cookies.parse_cookie_header(cookies.format_cookie_header(pairs)) == pairs


def test_set_cookie():
    value = "sid=a=b; Path=/; expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure; HttpOnly; Max-Age="
    cookie = cookies.parse_set_cookie(value)
    assert (cookie.name, cookie.value) == ("sid", "a=b")
    assert cookie.attributes["path"] == "/"
    assert cookie.attributes["EXPIRES"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert cookie.attributes["secure"] is None
    assert cookie.attributes["max-age"] == ""
    assert "domain" not in cookie.attributes
    assert str(cookie) == value


@pytest.mark.parametrize("value", ["", "x", "=x", "a", ";", ";;", "; Secure", "a=1;;Path=/", "=="])
def test_odd_set_cookies(value):
    cookie = cookies.parse_set_cookie(value)
    assert cookies.parse_set_cookie(str(cookie)) == cookie


def test_a_cookie_made_by_hand():
    cookie = SetCookie("a", "1")
    cookie.attributes["Path"] = "/"
    cookie.attributes["Secure"] = None
    cookie.attributes["path"] = "/x"
    assert str(cookie) == "a=1; Path=/x; Secure"
    assert SetCookie("a", "1", CookieAttrs([("Secure", None)])) != cookie
    assert 5 not in cookie.attributes
