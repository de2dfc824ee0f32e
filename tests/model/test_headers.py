"""Headers: a mapping by name, and the pairs as they came; nothing unsendable gets in."""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nbproxy.model.headers import Headers, check_name, check_value

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
# few letters, so that names meet again, in another case too
NAMES = st.sampled_from(["a", "A", "b", "B", "set-cookie", "Set-Cookie", "SET-COOKIE"])
VALUES = st.text("ab ,;=\té€", max_size=5)
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
# what names and values must not have
CONTROLS = [chr(code) for code in (*range(9), *range(10, 32), 127)]


def raw(pairs):
    return tuple((name.encode(), value.encode()) for name, value in pairs)


def test_made_of_pairs_of_a_mapping_of_keywords_or_of_nothing():
    assert Headers().fields == ()
    assert Headers([("A", "1"), (b"B", b"2")]).fields == ((b"A", b"1"), (b"B", b"2"))
    assert Headers({"A": "1"}).fields == ((b"A", b"1"),)
    made = Headers([(b"x-seen", b"0")], X_Seen="1", other=b"2")
    assert made.fields == ((b"X-Seen", b"1"), (b"other", b"2"))
    assert Headers(pair for pair in [("a", "1")])["a"] == "1"


def test_made_of_other_headers_line_by_line():
    cookies = Headers([("Set-Cookie", "a=1"), ("x", "y"), ("set-cookie", "b=2; Expires=Mon, 1")])
    again = Headers(cookies)
    assert again == cookies
    again["x"] = "z"
    assert cookies["x"] == "y"


def test_names_are_found_in_any_case():
    headers = Headers([("Content-Type", "text/html")])
    assert headers["content-type"] == headers["CONTENT-TYPE"] == "text/html"
    assert "cOnTeNt-TyPe" in headers
    assert b"content-type" in headers
    assert "accept" not in headers
    assert 5 not in headers
    assert headers.get("accept") is None
    assert headers.get("accept", "*/*") == "*/*"
    with pytest.raises(KeyError, match="accept"):
        headers["accept"]


def test_only_the_case_of_ascii_is_folded():
    headers = Headers.from_wire(((b"\xc9", b"1"), (b"K", b"2")))  # from a lenient parser
    assert "\N{KELVIN SIGN}" not in headers
    assert "é" not in headers


@pytest.mark.parametrize("name", ["", "\ud800", "a b", "\0", "ü", "€"])
def test_what_is_no_name_is_not_there(name):
    headers = Headers(a="1")
    assert name not in headers
    assert headers.get(name) is None
    assert headers.get_all(name) == []
    assert headers.get_first(name) is None
    assert headers.pop(name, "none") == "none"
    with pytest.raises(KeyError):
        del headers[name]
    with pytest.raises(ValueError, match=r"field name|surrogates"):
        headers[name] = "1"


def test_several_lines_of_one_name():
    headers = Headers([("Accept", "a"), ("Host", "h"), ("accept", "b")])
    assert headers["Accept"] == "a, b"
    assert headers.get_all("ACCEPT") == ["a", "b"]
    assert headers.get_first("accept") == b"a"
    assert list(headers) == ["Accept", "Host"]
    assert list(headers.keys()) == ["Accept", "Host"]
    assert list(headers.values()) == ["a, b", "h"]
    assert headers.items() == [("Accept", "a, b"), ("Host", "h")]
    assert headers.items(multi=True) == [("Accept", "a"), ("Host", "h"), ("accept", "b")]
    assert len(headers) == 2
    assert len(headers.fields) == 3


def test_what_is_assigned_takes_the_first_place():
    headers = Headers([("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")])
    headers["a"] = "5"
    assert headers.fields == ((b"a", b"5"), (b"B", b"2"), (b"C", b"4"))
    headers.set_all("B", ["6", b"7", "8"])
    assert headers.items(multi=True) == [
        *[("a", "5"), ("B", "6"), ("C", "4")],
        *[("B", "7"), ("B", "8")],
    ]
    headers.set_all("b", [])
    assert headers.items(multi=True) == [("a", "5"), ("C", "4")]
    headers.add("A", "9")
    headers.insert(0, b"Host", "h")
    assert headers.items(multi=True) == [("Host", "h"), ("a", "5"), ("C", "4"), ("A", "9")]
    del headers["A"]
    assert headers.items(multi=True) == [("Host", "h"), ("C", "4")]
    assert headers.setdefault("c", "x") == "4"
    assert headers.setdefault("d", "x") == "x"
    headers.update({"host": "i"}, D="y")
    assert headers.items() == [("host", "i"), ("C", "4"), ("D", "y")]
    headers.clear()
    assert headers.fields == ()


@pytest.mark.parametrize("char", CONTROLS)
def test_control_characters_are_refused_where_they_are_assigned(char):  # hostile: N-01
    headers = Headers(a="1")
    before = headers.fields
    for value in (char, f"x{char}", f"x{char}Injected: 1"):
        for attempt in (
            lambda v: headers.__setitem__("a", v),
            lambda v: headers.add("a", v),
            lambda v: headers.add("a", v.encode()),
            lambda v: headers.insert(0, "a", v),
            lambda v: headers.set_all("a", ["fine", v]),
            lambda v: headers.update(a=v),
            lambda v: Headers([("a", v)]),
            lambda v: Headers({"a": v}),
            lambda v: Headers(a=v),
        ):
            with pytest.raises(ValueError, match="control character"):
                attempt(value)
    with pytest.raises(ValueError, match="field name"):
        headers[f"a{char}"] = "1"
    assert headers.fields == before


@pytest.mark.parametrize(
    "name",
    ["", " ", "a ", " a", "a b", "a:", ":a", "a\r\nb", "ü", '"a"', "(a)", "a/b", b"\xff", "{"],
)
def test_names_are_tokens(name):  # hostile: N-01
    with pytest.raises(ValueError, match="is not a field name"):
        Headers([(name, "1")])
    with pytest.raises(ValueError, match="is not a field name"):
        Headers().add(name, "1")


def test_names_and_values_are_text_or_bytes():
    headers = Headers()
    for value in (1, None, ["a"]):
        with pytest.raises(TypeError, match="str or bytes"):
            headers["a"] = value
    with pytest.raises(TypeError, match="str or bytes"):
        headers.add(1, "a")
    assert headers.fields == ()


def test_text_beyond_ascii_is_utf8_and_any_bytes_come_back():  # hostile: N-01
    headers = Headers(a="Grüße €")
    assert headers.fields == ((b"a", "Grüße €".encode()),)
    assert headers["a"] == "Grüße €"
    wire = Headers.from_wire(((b"a", b"\xe9\xff"),))
    assert wire["a"].encode("utf-8", "surrogateescape") == b"\xe9\xff"
    headers["a"] = wire["a"]
    assert headers.fields == wire.fields
    for value in ("\ud800", "\udc0d\udc0a", "\udc00"):  # escapes of nothing, or of controls
        with pytest.raises(ValueError, match="surrogates"):
            headers["a"] = value
    assert headers.fields == wire.fields


@given(st.one_of(st.text(max_size=8), st.binary(max_size=8)))
def test_names_and_values_are_refused_or_sendable(text):  # hostile: N-01
    for check, allowed in (
        (check_name, set(TOKEN.encode()) | set(range(65, 91)) | set(range(97, 123))),
        (check_value, {9, *range(32, 127), *range(128, 256)}),
    ):
        try:
            sent = check(text)
        except ValueError:
            continue
        assert set(sent) <= allowed


def test_as_the_lines_of_a_head():
    assert bytes(Headers()) == b""
    assert bytes(Headers([("A", "1"), ("b", ""), ("A", "ü")])) == (
        b"A: 1\r\nb: \r\nA: \xc3\xbc\r\n"
    )


def test_equal_if_the_lines_are():
    assert Headers(a="1") == Headers([(b"a", b"1")])
    assert Headers(a="1") != Headers(A="1")
    assert Headers([("a", "1"), ("b", "2")]) != Headers([("b", "2"), ("a", "1")])
    assert Headers(a="1") != {"a": "1"}
    with pytest.raises(TypeError, match="unhashable"):
        hash(Headers())


@pytest.mark.parametrize(
    "make",
    [Headers.copy, copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))],
    ids=["method", "copy", "deepcopy", "pickle"],
)
def test_copies_are_independent(make):
    first = Headers([("a", "1"), ("A", "2")])
    second = make(first)
    assert type(second) is Headers
    assert second == first
    second["b"] = "3"
    first["a"] = "4"
    assert first.items(multi=True) == [("a", "4")]
    assert second.items(multi=True) == [("a", "1"), ("A", "2"), ("b", "3")]


def test_a_repr_shows_no_values():
    headers = Headers(Authorization="Bearer secret", Cookie="s=secret")
    assert repr(headers) == "<Headers: Authorization, Cookie>"
    assert repr(Headers()) == "<Headers: >"


class Oracle(RuleBasedStateMachine):
    """Headers against a plain list of pairs."""

    @initialize(pairs=PAIRS)
    def begin(self, pairs):
        self.headers = Headers(pairs)
        self.pairs = list(pairs)

    def places(self, name):
        return [i for i, (n, _) in enumerate(self.pairs) if n.lower() == name.lower()]

    def put(self, name, values):
        values = list(values)
        for index in self.places(name):
            self.pairs[index] = (name, values.pop(0)) if values else None
        self.pairs = [pair for pair in self.pairs if pair] + [(name, value) for value in values]

    @rule(name=NAMES, value=VALUES)
    def assign(self, name, value):
        self.headers[name] = value
        self.put(name, [value])

    @rule(name=NAMES, values=st.lists(VALUES, max_size=3))
    def assign_all(self, name, values):
        self.headers.set_all(name, values)
        self.put(name, values)

    @rule(name=NAMES, value=VALUES)
    def add(self, name, value):
        self.headers.add(name, value)
        self.pairs.append((name, value))

    @rule(index=st.integers(-8, 8), name=NAMES, value=VALUES)
    def insert(self, index, name, value):
        self.headers.insert(index, name, value)
        self.pairs.insert(index, (name, value))

    @rule(name=NAMES)
    def delete(self, name):
        places = self.places(name)
        if places:
            del self.headers[name]
            self.pairs = [pair for i, pair in enumerate(self.pairs) if i not in places]
        else:
            with pytest.raises(KeyError):
                del self.headers[name]

    @rule()
    def copy(self):
        old, self.headers = self.headers, self.headers.copy()
        old["left-behind"] = "1"

    @invariant()
    def agree(self):
        headers, pairs = self.headers, self.pairs
        assert headers.fields == raw(pairs)
        assert headers.items(multi=True) == pairs
        assert len(headers) == len({name.lower() for name, _ in pairs})
        assert bytes(headers) == b"".join(b"%b: %b\r\n" % pair for pair in raw(pairs))
        for name in ("a", "B", "Set-Cookie"):
            values = [pairs[i][1] for i in self.places(name)]
            assert headers.get_all(name) == values
            assert (name in headers) == bool(values)
            assert headers.get(name) == (", ".join(values) if values else None)
            assert headers.get_first(name) == (values[0].encode() if values else None)


TestOracle = Oracle.TestCase
TestOracle.settings = settings(max_examples=50, stateful_step_count=15, deadline=None)
