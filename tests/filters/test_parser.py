"""The grammar: every vector of the language's description, its traps, and its bounds."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbproxy.errors import FilterError
from nbproxy.filters.parser import MAX_DEPTH, parse_tree
from nbproxy.filters.tree import Flag, Not, Pattern, depth
from tests.filters.generated import sources

# what is written, and the same in canonical form
SAME = [
    ("foo", "~u foo"),
    ("a b", "~u a & ~u b"),
    ("a b | c", "~u a & (~u b | ~u c)"),
    ("a | b c", "(~u a | ~u b) & ~u c"),
    ("a b & c", "~u a & (~u b & ~u c)"),
    ("a & b | c", "(~u a & ~u b) | ~u c"),
    ("a | b & c", "~u a | (~u b & ~u c)"),
    ("!a b", "!~u a & ~u b"),
    ("!!a", "!!~u a"),
    ("! a", "!~u a"),
    ("!~q | !~s & a", "!~q | (!~s & ~u a)"),
    ("(a)(b)", "~u a & ~u b"),
    ("((a | b) & (c | d)) e", "((~u a | ~u b) & (~u c | ~u d)) & ~u e"),
    ("(a b)", "~u a & ~u b"),
    ("!(a b)", "!(~u a & ~u b)"),
    ("!(~m POST ~c 500)", "!(~m POST & ~c 500)"),
    ("(~q)", "~q"),
    ("!(~q)", "!~q"),
    ("(a & ~q)", "~u a & ~q"),
    ("(~all)", "~all"),
    ("(~q )", "~q"),
    ("( ~q )", "~q"),
    ("(~c 200)", "~c 200"),
    ("(~u foo)", "~u foo"),
    ("~q&~s", "~q & ~s"),
    ("~q|~s", "~q | ~s"),
    ("~e|~s", "~e | ~s"),
    ("~marked|~e", "~marked | ~e"),
    ("~e& ~s", "~e & ~s"),
    ("~e &~s", "~e & ~s"),
    ("~q!~s", "~q & !~s"),
    ("[[a] | [a||b]", "~u [[a] | ~u [a||b]"),
    ("~q(a)", "~q & ~u a"),
    ("~c 200|~c 404", "~c 200 | ~c 404"),
    ("~c 200& ~c 404", "~c 200 & ~c 404"),
    ("(a)|(b)", "~u a | ~u b"),
    ("~u foo(bar)", "~u foo & ~u bar"),
    ('~u "foo(bar)"', '~u "foo(bar)"'),
    ("a|b", "~u a|b"),
    ("a&b", "~u a&b"),
    ("a!b", "~u a!b"),
    ("~u !a", "~u !a"),
    ("~m GET|POST", "~m GET|POST"),
    ("a |b", "~u a | ~u b"),
    ("a| b", "~u a| & ~u b"),
    ('x|"y"', "~u x| & ~u y"),
    ('"x"|y', "~u x | ~u y"),
    ('"x"&"y"', "~u x & ~u y"),
    ('"x"y', "~u x & ~u y"),
    ("~d a && ~d b", '(~d a & ~u "&") & ~d b'),
    ("~d a and ~d b", "~d a & ~u and & ~d b"),
    ("not a", "~u not & ~u a"),
    ("a || b", '(~u a | ~u "|") & ~u b'),
    ("a &", '~u a & ~u "&"'),
    ("&", '~u "&"'),
    ("!", "~u !"),
    ("|", '~u "|"'),
    ("(!)", "~u !"),
    ("! !", "!~u !"),
    ("! & b", '!~u "&" & ~u b'),
    ('~b"x y"', '~b "x y"'),
    ('~bq"x"', "~bq x"),
    ("~c 20 0", "~c 20 & ~u 0"),
    ("~c 0200", "~c 200"),
    ("~c 200x", "~c 200 & ~u x"),
    ("~c 200.5", "~c 200 & ~u .5"),
    ('""', '~u ""'),
    ("''", '~u ""'),
    ('~u ""', '~u ""'),
    ('"\\\\d+"', "~u \\d+"),
    ("~u \\d+", "~u \\d+"),
    ('"~b"', '~u "~b"'),
    ("~h x: y", "~h x: & ~u y"),
    ("~s шгн", "~s & ~u шгн"),
    ("~u é", "~u é"),
    ("~q\n~s", "~q & ~s"),
    ("\t~q\t~s\r\n", "~q & ~s"),
    ("  ~q  ", "~q"),
    ('"(?i)a"', '~u "(?i)a"'),
    # blanks are four characters; a name ends at whatever is not printable ASCII
    ("a\u3000b", "~u a\u3000b"),
    ("~qé", "~q & ~u é"),
    ("~uéx", "~u éx"),
    ("a~q", "~u a & ~q"),
    ('a"b"', "~u a & ~u b"),
    # numbers
    ("~c >=400", "~c >=400"),
    ("~c >= 400", "~c >=400"),
    ("~c >400", "~c >400"),
    ("~c <400", "~c <400"),
    ("~c <=400", "~c <=400"),
    ("~c =400", "~c 400"),
    ("~c 400-499", "~c 400-499"),
    ("~c 4xx", "~c 400-499"),
    ("~c 5XX", "~c 500-599"),
    ("~c 4xx|~c 5xx", "~c 400-499 | ~c 500-599"),
    ("(~c 4xx)", "~c 400-499"),
    ("~c 4xxa", "~c 4 & ~u xxa"),
    ("~size >1m", "~size >1048576"),
    ("~size 0", "~size 0"),
    ("~sizeq >=1.5k", "~sizeq >=1536"),
    ("~sizeq >0.3k", "~sizeq >307.2"),
    ("~sizes 1k-2KB", "~sizes 1024-2048"),
    ("~sizes 1k-2", "~sizes 1024-2048"),
    ("~sizes 1-2k", "~sizes 1-2048"),
    ("~sizes <1g", "~sizes <1073741824"),
    ("~dur >500ms", "~dur >0.5s"),
    ("~dur 1s-2s", "~dur 1.0s-2.0s"),
    ("~ttfb >1s", "~ttfb >1.0s"),
    ("~ttfb <0.00001", "~ttfb <0.00001s"),
    ("~since 10m", "~since 600.0s"),
    ("~since 1.5h", "~since 5400.0s"),
    ("~since 30", "~since 30.0s"),
    ("~since " + "0" * 29 + ".0000001h", "~since 0.00036s"),
    ("~since 0.0000001ms", "~since 0.0s"),
    ("~cell 12", "~cell 12"),
    ("~cell >=12", "~cell >=12"),
    ("~any rex", "~any rex"),
    ("~json $.path=rex", "~json $.path=rex"),
    ('~json "$.a b=c d"', "~json \"$['a b']=c d\""),
    ('~json $.a="c d"', '~json "$.a=c d"'),
    ("~json $.a[0].*=x", "~json $.a[0][*]=x"),
    ("~json $.a", "~json $.a"),
    ("~json $.a=", "~json $.a="),
]


@pytest.mark.parametrize(("source", "canonical"), SAME)
def test_meaning(source, canonical):
    tree, _ = parse_tree(source)
    assert str(tree) == canonical
    assert parse_tree(canonical)[0] == tree


@pytest.mark.parametrize(
    ("source", "regex", "old"),
    [
        ('"a\\"b"', 'a"b', 'a"b'),
        ('"it\'s"', "it's", "it's"),
        ("'say \"x\"'", 'say "x"', 'say "x"'),
        ("'it\\'s'", "it's", "it's"),
        ('"\\d+"', "\\d+", "d+"),
        ('"a\\.b"', "a\\.b", "a.b"),
        ('"\\\\d+"', "\\d+", "\\d+"),
        ('"\\n"', "\n", "\n"),
        ("'\\t'", "\t", "\t"),
        ('"\\r\\f"', "\r\f", "\r\f"),
        ('"\\0"', "\\0", "\0"),
        ('"\\x41"', "\\x41", "x41"),
    ],
)
def test_quotes(source, regex, old):
    assert parse_tree(source)[0] == Pattern("u", regex)
    assert parse_tree(source, compat=True)[0] == Pattern("u", old)


ERRORS = [
    # source, position, a word of the problem, a word of the hint
    ("", 0, "empty", "~all"),
    (" \n", 0, "empty", "~all"),
    ("()", 0, "nothing", ""),
    ("a ( )", 2, "nothing", ""),
    ("(a", 0, "never closed", ""),
    ("((a)", 0, "never closed", ""),
    ("a)", 1, "closes nothing", '")"'),
    ("(", 0, "never closed", ""),
    (")", 0, "closes nothing", ""),
    ("~bqx", 0, "no operator ~bqx", "`~bq x`"),
    ("~bqx(a)", 0, "no operator ~bqx", "`~bq x`"),
    ("~qfoo", 0, "no operator", "`~q foo`"),
    ("~allfoo", 0, "no operator", "`~all foo`"),
    ("~websocketx", 0, "no operator", "`~websocket`"),
    ("~foo", 0, "no operator", "describe()"),
    ("~coment x", 0, "no operator", "`~comment`"),
    ("~ q", 0, "no operator name", '"~"'),
    ("~", 0, "no operator name", '"~"'),
    ("~(q)", 0, "no operator name", '"~"'),
    ("~b", 2, "needs a pattern", "~b password"),
    ("~bq", 3, "needs a pattern", "~bq"),
    ("~tq", 3, "needs a pattern", "~tq"),
    ("~marker", 7, "needs a pattern", "~marker"),
    ("~comment", 8, "needs a pattern", "~comment"),
    ("~c", 2, "needs a number", "~c 404"),
    ("(~b)", 3, "needs a pattern", "~b"),
    ("~b&~s", 2, "needs a pattern", "~b"),
    ("~u ~b", 3, "needs a pattern", "~u"),
    ('~c "200"', 3, "needs a number", "~c 404"),
    ("~c -1", 3, "needs a number", "~c 404"),
    ("~c200", 0, "no operator ~c200", "`~c 200`"),
    ("~c(200)", 2, "needs a number", "~c 404"),
    ("~c ٣", 3, "needs a number", "~c 404"),
    ("~c>=400", 2, "followed by a blank", "`~c >=400`"),
    ("~c >=4xx", 3, "needs a number", "~c 404"),
    ("~c >400-499", 3, "not a range", ""),
    ("~c 499-400", 3, "ends before it begins", ""),
    ("~c " + "9" * 5000, 3, "too long", ""),
    ("~Q", 0, "no operator", "`~q`"),
    ("~C 200", 0, "no operator", "`~c`"),
    ("~q~s", 2, "followed by a blank", "`~q & ~s`"),
    ("~u [", 3, "regular expression", "backslash"),
    ("*", 0, "regular expression", "backslash"),
    ("~h [", 3, "regular expression", "backslash"),
    ("a~b", 3, "needs a pattern", "~b"),
    ('a"b', 1, "not closed", "'\"'"),
    ("it's", 2, "not closed", '"\'"'),
    ("!!(" * 40 + "a" + ")" * 40, 0, "nested", ""),
    ("~json ", 6, "needs a $.path=regex", "~json"),
    ("~json $.a='x", 10, "not closed", ""),
    ('"a\nb"', 0, "not closed", ""),
    ('"a\\\nb"', 0, "not closed", ""),
    ("~u a\\ b", 3, "regular expression", "backslash"),
    ("~u (?i)a", 3, "needs a pattern", "~u"),
    ("~b \ud800", 3, "regular expression", ""),
    ('"' + "(" * 5000 + ")" * 5000 + '"', 0, "nested too deeply", ""),
    ("~cell 12x", 6, "needs a number", "~cell 12"),
    ("~cell", 5, "needs a number", "~cell 12"),
    ("~size big", 6, "needs a size", "~size >1m"),
    ("~size >1x", 6, "not a unit of ~size", "kb"),
    ("~size >" + "1" * 41, 6, "too large", ""),
    ("~size >1000000g", 6, "too large", ""),
    ("~size 1k-2x", 9, "not a unit", "kb"),
    ("~dur 500ms", 5, "needs > or <", "~dur >500ms"),
    ("~dur >fast", 5, "needs a time", "~dur >500ms"),
    ("~since >10m", 7, "needs a time", "~since 10m"),
    ("~since 1m-2m", 7, "needs a time", "~since 10m"),
    ("~since 10y", 7, "not a unit", "ms"),
    ("~since", 6, "needs a time", "~since 10m"),
    ("~json", 5, "needs a $.path=regex", "~json $.user.name=ann"),
    ("~json a=b", 6, "begins with $", "~json $.user.name=ann"),
    ("~json $.a..b=c", 6, "expected", "~json"),
    ("~json $.a=[", 6, "regular expression", "backslash"),
]


@pytest.mark.parametrize(("source", "position", "problem", "hint"), ERRORS)
def test_errors_say_where_and_what(source, position, problem, hint):
    with pytest.raises(FilterError) as caught:
        parse_tree(source)
    assert caught.value.position == position
    assert problem in caught.value.problem
    assert hint in caught.value.hint
    assert caught.value.source == source


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("~d a && ~d b", ["`&` is a pattern", "single &"]),
        ("a || b", ["`|` is a pattern", "single |"]),
        ("a &&b", ["`&b` is a pattern"]),
        ("~d a and ~d b", ["`and`", "operator is &"]),
        ("a OR b", ["`OR`", "operator is |"]),
        ("not a", ["`not`", "operator is !"]),
        ("a &", ["`&` is a pattern"]),
        ("&", ["`&` is a pattern"]),
        ("!", ["`!` is a pattern"]),
        ("|", ["`|` is a pattern"]),
        ("a| b", ["`a|` is one pattern", "a |"]),
        ("~b &~s", ["`&` is the pattern of ~b"]),
        ("~h x: y", ["`y`", '~h "x: y"']),
    ],
)
def test_warnings(source, words):
    (warning,) = parse_tree(source)[1]
    assert all(word in warning for word in words)


@pytest.mark.parametrize(
    "source",
    ["a & b", "!a", "~h x: & y", "~h x: ~q", '~h "x: y"', '"&"', "~u &x", "~m GET|POST", "a|b"],
)
def test_no_warning_without_reason(source):
    assert parse_tree(source)[1] == ()


def test_a_warning_is_given_once():
    assert len(parse_tree("a and b and c")[1]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "(" * 10_000 + "a" + ")" * 10_000,
        "!" * 10_000 + "a",
        "!(" * 10_000,
        "(a | (b & " * 60 + "c" + "))" * 60,
        "(" * 10_000,
    ],
)
def test_nesting_is_bounded(source):
    with pytest.raises(FilterError) as caught:
        parse_tree(source)
    assert "nested" in caught.value.problem or "never closed" in caught.value.problem


def test_nesting_up_to_the_bound():
    groups = MAX_DEPTH - 1
    assert parse_tree("(" * groups + "a" + ")" * groups)[0] == Pattern("u", "a")
    tree, _ = parse_tree("!" * groups + "~q")
    assert depth(tree) == MAX_DEPTH
    assert parse_tree(str(tree))[0] == tree


def test_width_is_not_bounded():
    tree, _ = parse_tree("a & " * 10_000 + "b")
    assert depth(tree) == 2
    assert parse_tree(str(tree))[0] == tree


@settings(deadline=None)
@given(sources, st.booleans())
@example("[[a]", False)  # a FutureWarning of the re module
@example("~b \udcff", False)
def test_any_text_parses_or_says_where_it_does_not(source, compat):
    try:
        tree, warnings = parse_tree(source, compat=compat)
    except FilterError as refused:
        error = refused
    else:
        error = None
    if error is not None:
        assert 0 <= error.position <= len(source)
        assert error.problem in str(error)
        return
    assert all(warnings)
    assert parse_tree(str(tree))[0] == tree
    assert parse_tree(str(tree), compat=True)[0] == tree
    assert parse_tree(str(tree))[1] == ()
    hash(tree)


def test_operators_alone_are_trees():
    assert parse_tree("!~q")[0] == Not(Flag("q"))
