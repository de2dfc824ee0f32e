from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.certs.names import FALLBACK_NAME, MAX_UPSTREAM_NAMES, dns_name, ip_name, leaf_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.Org.", "example.org"),
        ("localhost", "localhost"),
        ("under_score.example", "under_score.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("fa\u00df.de", "xn--fa-hia.de"),  # IDNA 2003 would make it fass.de
        ("\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("\uff25xample.org", "example.org"),
        ("i\u2764.ws", "xn--i-7iq.ws"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_name_has_one_form(text, expected):
    assert dns_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        ".example.org",
        "example.org..",
        "nul\0.example",
        "a b.example",
        "a\nb.example",
        "a\u00a0b.example",
        "a\u202eb.example",
        "\ud800.example",
        "../../etc/passwd",
        "*.example.org",
        "a" * 64 + ".example",
        "\u00fc" * 60 + ".example",
        ("a" * 60 + ".") * 5,
        "x" * 70_000,
        "127.1",
        "256.256.256.256",
    ],
)
def test_what_cannot_be_a_name_is_none(text):
    assert dns_name(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*.example.org", "*.example.org"),
        ("*.EXAMPLE.org.", "*.example.org"),
        ("*.org", None),
        ("*", None),
        ("a*.example.org", None),
        ("*.*.example.org", None),
        ("www.*.example.org", None),
        ("*." + "a" * 60 + ".example." * 24, None),
    ],
)
def test_wildcards_of_an_upstream(text, expected):
    assert dns_name(text, wildcard=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[2001:DB8::0:1]", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_addresses(text, expected):
    assert ip_name(text) == ip_address(expected)


@pytest.mark.parametrize("text", ["", "example.org", "1.2.3", "010.0.0.1", "1" * 70_000, "[", "%"])
def test_no_addresses(text):
    assert ip_name(text) is None


def test_the_host_comes_first_and_names_come_once():
    names = leaf_names("Example.org", "www.example.org", ["*.example.org", "example.org", "::1"])
    assert names == ("example.org", "www.example.org", "*.example.org", ip_address("::1"))


def test_an_address_in_sni_is_left_out():  # hostile: S-11
    assert leaf_names("example.org", "192.0.2.1", ()) == ("example.org",)


def test_names_of_a_stranger_are_bounded():
    names = leaf_names("a.example", None, [f"n{i}.example" for i in range(5000)])
    assert len(names) == MAX_UPSTREAM_NAMES + 1


def test_there_is_always_a_name():  # hostile: S-11
    assert leaf_names("\0", "a b", ["*"]) == (FALLBACK_NAME,)


hosts = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("aZ0-_.*[]:%\0 /\u00fc\u00df\u3002"), max_size=80),
    st.text(st.characters(), min_size=1, max_size=10).map(lambda text: f"{text}.example"),
)


@given(hosts)
def test_any_text_gives_a_dns_name_or_none(text):
    name = dns_name(text)
    if name is not None:
        assert name.isascii()
        assert len(name) <= 253
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
        assert all(0 < len(label) <= 63 for label in name.split("."))
        assert dns_name(name) == name


@given(hosts, st.none() | hosts, st.lists(hosts))
def test_any_texts_give_names(host, sni, upstream):
    assert leaf_names(host, sni, upstream)
