"""URLs and request targets: one strict reading of the wire, a friendly one of the user's text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model import url


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"example.org", ("example.org", None)),
        (b"Example.ORG:8080", ("Example.ORG", 8080)),
        (b"example.org:", ("example.org", None)),
        (b"example.org.:443", ("example.org.", 443)),
        (b"my_host:1", ("my_host", 1)),
        (b"127.0.0.1:65535", ("127.0.0.1", 65535)),
        (b"[::1]", ("::1", None)),
        (b"[2001:DB8::1]:80", ("2001:DB8::1", 80)),
        (b"[::ffff:127.0.0.1]:80", ("::ffff:127.0.0.1", 80)),
        ("xn--bcher-kva.example", ("xn--bcher-kva.example", None)),
        ("Bücher.example:80", ("xn--bcher-kva.example", 80)),
        ("例え。テスト", ("xn--r8jz45g.xn--zckzah", None)),
        ("\U0001fae8.la", ("xn--929h.la", None)),
        ("x" * 63 + ".org", ("x" * 63 + ".org", None)),
    ],
)
def test_authorities(raw, expected):
    assert url.parse_authority(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "", ":80", "a:0", "a:-1", "a:70000", "a:abc", "a:123456", "a:8_0", "a: 80", "a:+80",
        "a:80:80", "[::1", "::1]", "::1", "[]", "[::1]x", "[::1]:x", "[zz]", "[:::1]",
        "[127.0.0.1]",
        "[v1.a]", "[fe80::1%25eth0]", "user@a", "user:pw@a:80", "a b", " a", "a\t", "a\r\nb",
        "a\0", "a/b", "a?b", "a#b", "a\\b", "a..b", ".a", ".", "%41.org", "a,b", "a\x7f",
        "x" * 64 + ".org", ".".join(["x" * 60] * 5),
    ],
)  # fmt: skip
def test_bad_authorities_are_refused(raw):  # hostile: T-01, T-05, T-06
    with pytest.raises(ValueError, match=r".") as caught:
        url.parse_authority(raw)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match=r"."):
        url.parse_authority(raw.encode("latin-1"))


@pytest.mark.parametrize(
    "raw",
    [
        "b\u202ec.de",
        "a\u2100b.de",
        "é b.de",
        "é" * 64,
        "\u200b.de",
        "é.de/x",
        "é@a",
        "é..de",
        "é:٣",
    ],
)
def test_names_in_other_scripts_that_are_no_hosts(raw):
    with pytest.raises(ValueError, match=r"."):
        url.parse_authority(raw)


def test_a_port_can_be_required():
    assert url.parse_authority(b"a:1", require_port=True) == ("a", 1)
    for raw in (b"a", b"a:", b"[::1]"):
        with pytest.raises(ValueError, match="has no port"):
            url.parse_authority(raw, require_port=True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://example.org/", ("http", "example.org", 80, b"/")),
        (b"HTTPS://Example.org", ("https", "Example.org", 443, b"/")),
        (b"http://a:8080?x=/", ("http", "a", 8080, b"/?x=/")),
        (b"http://[::1]:8080/x", ("http", "::1", 8080, b"/x")),
        (b"http://a:/x", ("http", "a", 80, b"/x")),
        (b"http://u:p%40@a/x", ("http", "a", 80, b"/x")),
        (b"http://@a/x", ("http", "a", 80, b"/x")),
        (b"http://a/x#frag?y", ("http", "a", 80, b"/x")),
        (b"http://a#f", ("http", "a", 80, b"/")),
        (b'http://a/{"a|b"}<>^`\\', ("http", "a", 80, b'/{"a|b"}<>^`\\')),
    ],
)  # hostile: T-06, T-07
def test_absolute_targets(target, expected):
    assert url.parse_absolute(target) == expected


@pytest.mark.parametrize(
    "path", [b"/%0d%0a", b"/%00", b"/%2e%2e/%2F", b"//a//b", b"/a/../../b", b"/a;b=c?d&&=?e"]
)
def test_paths_pass_byte_for_byte(path):  # hostile: T-08
    assert url.parse_absolute(b"http://a" + path)[3] == path
    assert url.parse_origin_form(path) == path


@pytest.mark.parametrize(
    "target",
    [
        b"", b"/", b"*", b"a:443", b"file:///etc/passwd", b"ftp://a/", b"gopher://a/", b"ws://a/",
        b"javascript:alert(1)", b"http:", b"http:/", b"http://", b"http:///x", b"http:a/x",
        b"http://:80/", b"http://a:0/", b"http://a:-1/", b"http://a:70000/", b"http://a:abc/",
        b"http://[::1/", b"http://[::1]x/", b"http://a@b@c/", b"http://a\\@b/", b"http://a/ b",
        b"http://a/\r\n", b"http://a/\n", b"http://a/\0", b"http://a/\xff", b"http://a\xff/",
        b"http://a b/", b" http://a/", b"http://a/ ", b"http://a/\x7f", b"http://a/#\xff",
        b"http://a/# b", b"http ://a/", b"http://a,b/", b"http://%61/",
    ],
)  # fmt: skip
def test_bad_absolute_targets_are_refused(target):  # hostile: T-04, T-05, T-09, T-10
    with pytest.raises(ValueError, match=r".") as caught:
        url.parse_absolute(target)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("target", [b"", b"a", b"*", b"/ ", b"/\t", b"/\xe9", b"/\0", b"?a", b"#"])
def test_bad_origin_forms_are_refused(target):  # hostile: T-09, T-10
    with pytest.raises(ValueError, match="target"):
        url.parse_origin_form(target)


def test_options_may_name_no_resource():
    assert url.parse_origin_form(b"*", options=True) == b"*"
    assert url.parse_absolute(b"http://a", options=True)[3] == b"*"
    assert url.parse_absolute(b"http://a/", options=True)[3] == b"/"
    assert url.parse_absolute(b"http://a?", options=True)[3] == b"/?"


def test_a_fragment_of_an_origin_form_is_dropped():  # hostile: T-07
    assert url.parse_origin_form(b"/a?b#c#d") == b"/a?b"


@given(st.binary(max_size=100))
def test_any_bytes_parse_or_raise_valueerror(raw):
    for prefix in (b"", b"http://", b"http://a", b"http://a/"):
        try:
            scheme, host, port, path = url.parse_absolute(prefix + raw)
        except ValueError:
            continue
        again = f"{scheme}://{url.hostport(scheme, host, port)}".encode() + path
        assert url.parse_absolute(again) == (scheme, host, port, path)


@given(st.text(max_size=60))
def test_any_text_parses_or_raises_valueerror(raw):
    for call in (url.parse_authority, url.parse, url.check_path):
        try:
            call(raw)
        except ValueError:
            continue
    try:
        result = url.parse(f"http://a/{raw}")
    except ValueError:
        return
    assert url.parse_absolute(url.unparse(*result).encode()) == (*result[:3], result[3].encode())


def test_hostile_lengths_take_no_time():
    for piece in (b"a." * 50_000, b"a" * 100_000, b"[" * 100_000, b"@" * 99_999, b":" * 99_999):
        for target in (b"http://" + piece, b"http://" + piece + b"/", b"http://a/" + piece + b"\0"):
            with pytest.raises(ValueError, match=r".") as caught:
                url.parse_absolute(target)
            assert len(str(caught.value)) < 300
    with pytest.raises(ValueError, match="longer than 63"):
        url.parse_authority("é" * 100_000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a", ("http", "a", 80, "/")),
        (" https://a:444/x?y ", ("https", "a", 444, "/x?y")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/")),
        ("http://a/ä b?q=ü&r=a b#z", ("http", "a", 80, "/%C3%A4%20b?q=%C3%BC&r=a%20b")),
        ("http://üser:p@a/", ("http", "a", 80, "/")),
        ("http://a/\udcff", ("http", "a", 80, "/%FF")),
        ("http://a/%20", ("http", "a", 80, "/%20")),
    ],
)  # fmt: skip
def test_urls_of_the_user(text, expected):
    assert url.parse(text) == expected


@pytest.mark.parametrize("text", ["", "a", "/x", "ftp://a", "http://a\n", "http://", "http://é b/"])
def test_bad_urls_of_the_user(text):
    with pytest.raises(ValueError, match=r"."):
        url.parse(text)


def test_paths_of_the_user():
    assert url.check_path("") == "/"
    assert url.check_path("*") == "*"
    assert url.check_path("/a b#c?ü%20") == "/a%20b%23c?%C3%BC%20"
    for bad in ("a", "**", "/\r\n", "/\0"):
        with pytest.raises(ValueError, match="the path"):
            url.check_path(bad)


def test_urls_are_put_together():
    assert url.hostport("http", "a", 80) == "a"
    assert url.hostport("https", "a", 80) == "a:80"
    assert url.hostport("https", "::1", 443) == "[::1]"
    assert url.hostport("", "::1", 443) == "[::1]:443"
    assert url.unparse("http", "::1", 81, "/x?y") == "http://[::1]:81/x?y"
    assert url.unparse("http", "a", 80, "*") == "http://a"
    assert [url.default_port(s) for s in ("http", "https", "ws", "wss", "ftp")] == [
        80, 443, 80, 443, None,
    ]  # fmt: skip


WORDS = st.text(max_size=15)
PAIRS = st.lists(st.tuples(WORDS, WORDS).filter(any), max_size=6)


@given(PAIRS)
def test_queries_round_trip(pairs):
    path = url.with_query("/p?old=1", pairs)
    assert url.query_pairs(path) == pairs
    assert path.isascii()
    assert path.startswith("/p")


@given(st.text("ab&=+%20?/é", max_size=30))
def test_rewriting_a_query_without_a_change_keeps_its_spelling(query):
    path = url.with_query(f"/p?{query}", url.query_pairs(f"/p?{query}"))
    assert path.partition("?")[2] == "&".join(filter(None, query.split("&")))


def test_changing_one_parameter_leaves_the_others_alone():
    path = "/p?a=%7e%2f&flag&b=x+y&a=%7E&=&c=%ff"
    pairs = url.query_pairs(path)
    assert pairs == [("a", "~/"), ("flag", ""), ("b", "x y"), ("a", "~"), ("", ""), ("c", "\udcff")]
    pairs[2] = ("b", "1 2")
    assert url.with_query(path, pairs) == "/p?a=%7e%2f&flag&b=1+2&a=%7E&=&c=%ff"
    assert url.with_query(path, []) == "/p"
    assert url.with_query("/p", [("a", 5), (b"b", b"\xff")]) == "/p?a=5&b=%FF"
    assert url.query_pairs("/p") == url.query_pairs("*") == []


@given(st.lists(st.text(min_size=1, max_size=10), max_size=5))
def test_path_components_round_trip(components):
    path = url.with_path_components("/old/path?q=1", components)
    assert url.path_components(path) == tuple(components)
    assert path.endswith("?q=1")


def test_path_components_keep_their_spelling():
    assert url.path_components("//a%2fb/%7e/?x/y") == ("a/b", "~")
    assert url.with_path_components("/a%2fb/%7e?x", ["~", "a/b", "c d"]) == "/%7e/a%2fb/c%20d?x"


@given(st.binary(max_size=30))
def test_quoting_round_trips_any_bytes(raw):
    text = raw.decode("utf-8", "surrogateescape")
    assert url.unquote(url.quote(text, safe="")) == text
