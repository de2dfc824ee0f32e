"""Python 2 source runs, line for line; what cannot be converted says where and why."""

import builtins
import gzip
import hashlib
import io
import sys
import traceback
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nbproxy
from nbproxy.errors import ScriptError
from nbproxy.scripts.bytetext import data, text
from nbproxy.scripts.python2 import convert, is_python2
from nbproxy.scripts.python2_tokens import Reader, joined


def run(source, **names):
    """Convert and execute; gives the namespace."""
    plain = dedent(source).lstrip("\n")
    converted = convert(plain, "script.py")
    lines = plain.count("\n") + (not plain.endswith("\n"))
    appended = converted.splitlines()[lines:]  # where no line had room for an import
    assert all(line.startswith("from nbproxy.scripts.py2 import ") for line in appended)
    space = {"__builtins__": dict(vars(builtins)), "__name__": "script", **names}  # as scripts have
    exec(compile(converted, "script.py", "exec"), space)
    return space


def value(expression, **names):
    """What an expression of Python 2 is."""
    return run(f"result = {expression}\nexec 'pass'\n", **names)["result"]


@pytest.mark.parametrize(
    ("statement", "printed"),
    [
        ("print 'a'", "a\n"),
        ("print 'a', 'b'", "a b\n"),
        ("print 'a',; print 'b'", "a b\n"),
        ("print", "\n"),
        ("print('a')", "a\n"),
        ("print ('a'), 'b'", "a b\n"),
        ("print ('a', 1)", "('a', 1)\n"),
        ("print 'a %s' % (1,)", "a 1\n"),
        ("print >>out, 'x', 1", ""),
        ("print >>out", ""),
        ("if 1: print 'in', 'line'", "in line\n"),
        ("for x in [1, 2]: print x,", "1 2 "),
        ("print (1 +\n  2), \\\n  3", "3 3\n"),
        ("print 'é', u'é', '\\xc3\\xa9', '\\xe9'", "é é é é\n"),
        ("print {'a': 1}['a'], `1 + 1`", "1 2\n"),
    ],
)
def test_print_statements(statement, printed, capsys):
    out = io.StringIO()
    run(f"exec 'pass'\n{statement}\n", out=out)
    assert capsys.readouterr().out == printed
    if ">>out" in statement:
        assert out.getvalue() == ("x 1\n" if "x" in statement else "\n")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("0777 + 0L + 10L", 521),
        ("0xFFL", 255),
        ("1 <> 2", True),
        ("`'a'`", "'a'"),
        ("7 / 2", 3),
        ("-7 / 2", -4),
        ("7 / 2.0", 3.5),
        ("100 * 7 / 2 / 3", 116),
        ("2 + 7 / 2 ** 1", 5),
        ("ur'\\d\\u00e9'", "\\dé"),
        ("'C:\\users\\new'", "C:\\users\new"),
        ("'\\d'", "\\d"),
        ("b'bytes are text'", "bytes are text"),
        ("{'a': 1}.has_key('a')", True),
        ("{'a': 1}.keys() + {'a': 2}.values()", ["a", 2]),
        ("[k for k, v in {'a': 1}.iteritems()]", ["a"]),
        ("{'a': {'b': 1}}['a'].items()[0]", ("b", 1)),
        ("dict(a=1).items()[0][0].upper()", "A"),
        ("range(3) + map(str, [1]) + zip('a', 'b') + filter(None, [0, 1])", None),
        ("sorted([3, 1, 2], lambda (a), b: cmp(b, a))", [3, 2, 1]),
        ("map(lambda (k, v): k + v, [(1, 2)])", [3]),
        ("map(lambda a, (b, c): a + b * c, [1], [(2, 3)])", [7]),
        ("sorted({'a': 2, 'b': 1}.items(), key=lambda (k, v): v)", [("b", 1), ("a", 2)]),
        (
            "map(lambda x, (a, (b, c)), d=(4, 5)[0]: (x, a, b, c, d), [1], [(2, (3, 5))])",
            [(1, 2, 3, 5, 4)],
        ),
        ("[f((1, 2)) for f in [lambda (a, b): a, lambda (a, b): b]]", [1, 2]),
        ("reduce(lambda a, b: a + b, xrange(4))", 6),
        ("isinstance('a', basestring) and isinstance(u'a', unicode)", True),
        ("unicode('é', 'utf-8') + unicode(1)", "é1"),
        ("unichr(233) + chr(97)", "éa"),
        ("long('12')", 12),
        ("round(2.5)", 3.0),
        ("apply(max, [1, 2])", 2),
        ("'abc'.encode('hex') + '616263'.decode('hex')", "616263abc"),
        ("'é'.decode('utf-8')", "é"),
        ("u'é'.encode('utf-8') == '\\xc3\\xa9'", True),
        ("'aGk='.decode('base64')", "hi"),
        ("iter([1]).next()", 1),
    ],
)
def test_expressions(expression, result):
    found = value(expression)
    if result is None:
        assert found == [0, 1, 2, "1", ("a", "b"), 1]
    else:
        assert found == result
        assert type(found) is type(result) or isinstance(result, str)


def test_division_in_place():
    assert run("x = 7\nx /= 1 + 1; y = 7.0\ny /= 2\nexec ''\n")["x"] == 3
    assert run("from __future__ import division\nx = 7\nx /= 2; y = 7 / 2\nexec ''\n")["x"] == 3.5


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("raise ValueError, 'bad'", "bad"),
        ("raise ValueError, ('a', 'b')", "('a', 'b')"),
        ("raise ValueError, ValueError('own')", "own"),
        ("raise ValueError('new'), None, None", "new"),
        ("raise ValueError", ""),
    ],
)
def test_raising_and_catching(statement, message):
    space = run(
        f"""
        try:
            {statement}
        except (ValueError, KeyError), e:
            shown, words = str(e), e.message
        """
    )
    assert space["shown"] == message
    assert space["words"] == (message if "'a'" not in message else "")


def test_a_traceback_goes_with_the_error():
    source = """
    import sys
    def fail():
        raise KeyError, "x"
    try:
        fail()
    except KeyError:
        kind, error, where = sys.exc_info()
    try:
        raise kind, error, where
    except KeyError, again:
        import traceback
        names = [f.name for f in traceback.extract_tb(again.__traceback__)]
    """
    assert "fail" in run(source)["names"]


def test_exceptions_and_parameters_taken_apart():
    source = """
    try:
        raise IOError(2, "gone")
    except IOError, (number, words):
        found = number, words
    def f(a, (b, c), d=4):
        "told"
        return a, b, c, d
    got = f(1, (2, 3))
    def g((a, b)):
        if a and b or None: return b
        return a or b
    def h((a, b)):
        for x in a, b:
            try:
                raise ValueError(x, 0)
            except ValueError,(y, _):
                try:
                    collected.append(y)
                finally: pass
        return collected
    collected = []
    """
    space = run(source)
    assert [space["g"](p) for p in ((1, 2), (0, 5))] == [2, 5]
    assert space["h"]((3, 4)) == [3, 4]
    assert space["found"] == (2, "gone")
    assert space["got"] == (1, 2, 3, 4)


def test_exec_statements():
    assert run("exec 'x = 1'\n")["x"] == 1
    assert run("space = {}\nexec 'x = 2' in space\n")["space"]["x"] == 2
    assert run("space = {}\nexec('x = 3', space)\nprint 'x'\n")["space"]["x"] == 3


def test_tabs_and_blanks_mixed():
    space = run(
        "def f(x):\n\tif x:\n\t    y = 1\n            z = 2\n\treturn y, z\nexec ''\ng = f(1)\n"
    )
    assert space["g"] == (1, 2)


def test_modules_under_their_old_names(tmp_path):
    source = """
    import urllib, urllib2 as u2, os.path
    import urlparse, Queue, string, hashlib, base64, zlib, json, struct, itertools, types
    import ConfigParser, HTMLParser, cPickle as pickle, cStringIO
    from urlparse import urljoin, parse_qs as pq
    from StringIO import (StringIO,
                          StringIO as S2)
    from itertools import izip
    from string import *
    print urllib.urlencode({'a': 'b c'}), urllib.quote('/a b')
    joined = urljoin('http://h/a', 'b'), pq('a=1')['a'], urlparse.urlparse('http://h/')[1]
    digest = hashlib.md5('\\xff\\x00').hexdigest()
    coded = base64.b64encode('\\xff' + 'a'), base64.decodestring('/2E=')
    packed = zlib.decompress(zlib.compress('text'))
    number = struct.unpack('>H', struct.pack('>H', 258))[0]
    kept = pickle.loads(pickle.dumps({'a': [1]}))
    read = json.loads('{"a": "\\xc3\\xa9"}')['a'], json.dumps({'a': 1})
    buffer = StringIO('abc'); rest = buffer.read(1) + '!'
    out = S2(); out.write('x'); out.write(u'y')
    whole = out.getvalue()
    letters_ = letters[:2] + string.uppercase[0] + string.join(['a', 'b'], '-')
    pairs = list(izip([1], [2])) + list(itertools.imap(None or str, [1]))
    queue = Queue.Queue(); u = u2.Request('http://h/').get_host(), os.path.sep
    text_type = types.StringType
    """
    space = run(source)
    assert space["joined"] == ("http://h/b", ["1"], "h")
    assert space["digest"] == hashlib.md5(b"\xff\x00").hexdigest()
    assert space["coded"] == ("/2E=", "\xffa")
    assert (space["packed"], space["number"], space["kept"]) == ("text", 258, {"a": [1]})
    assert space["read"] == ("é", '{"a": 1}')
    assert (space["rest"], space["whole"]) == ("a!", "xy")
    assert space["letters_"] == "abAa-b"
    assert space["pairs"] == [(1, 2), "1"]
    assert space["u"] == ("h", "/")
    assert space["text_type"] is str


def test_digests_are_those_of_the_bytes():
    space = run(
        "import hashlib, md5\na = hashlib.sha1('\\xff\\x00').hexdigest()\nb = md5.new('x')\n"
    )
    assert space["a"] == hashlib.sha1(b"\xff\x00").hexdigest()
    assert space["b"].hexdigest() == hashlib.md5(b"x").hexdigest()


def test_images_and_archives_read_a_buffer_as_bytes():
    packed = gzip.compress(b"inside \xff")
    source = """
    import cStringIO, gzip
    plain = gzip.GzipFile(fileobj=cStringIO.StringIO(packed)).read()
    again = cStringIO.StringIO()
    with gzip.GzipFile(fileobj=again, mode='wb') as f:
        f.write(plain)
    coded = again.getvalue()
    """
    space = run(source, packed=text(packed))
    assert space["plain"] == "inside \xff"
    assert gzip.decompress(data(space["coded"])) == b"inside \xff"


def test_files(tmp_path):
    source = """
    f = open(path, 'wb')
    f.write('\\xff\\x00 text\\n')
    f.write(u'é\\n')
    f.close()
    lines = [line for line in file(path)]
    whole = open(path, 'rb').read()
    """
    space = run(source, path=str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == b"\xff\x00 text\n\xc3\xa9\n"
    assert len(space["lines"]) == 2
    assert bytes(space["whole"]) == b"\xff\x00 text\n\xc3\xa9\n"


def test_classes_keep_their_protocols():
    source = """
    class Count:
        def __init__(self): self.n = 0
        def __iter__(self): return self
        def next(self):
            self.n += 1
            if self.n > 2: raise StopIteration
            return self.n
        def __nonzero__(self): return False
        def __div__(self, other): return 'divided'
    counted = list(Count()); truth = bool(Count()); quotient = Count() / 1
    print 'done'
    """
    space = run(source)
    assert (space["counted"], space["truth"], space["quotient"]) == ([1, 2], False, "divided")


def test_odds_and_ends_of_sys_and_os():
    source = """
    import sys, os
    reload(sys); sys.setdefaultencoding('utf-8')
    big = sys.maxint; here = os.getcwdu()
    """
    assert run(source)["big"] == sys.maxsize


def test_tracebacks_name_the_scripts_own_lines():
    source = (
        '"""doc"""\n# a comment\nimport urllib2\n\ndef fail(x):\n    print x\n    return 1 / 0\n'
    )
    space = run(source)
    with pytest.raises(ZeroDivisionError) as caught:
        space["fail"](1)
    frames = [f for f in traceback.extract_tb(caught.tb) if f.filename == "script.py"]
    assert frames[-1].lineno == 7
    assert space["__doc__"] == "doc"


@pytest.mark.parametrize(
    "start",
    [
        "def f(): print 1 / 2\n",
        "\ndef f(): print 1 / 2\n",
        "# coding: utf-8\ndef f(): print 1 / 2\n",
        "#!/usr/bin/env python\n'''doc'''\ndef f(): print 1 / 2\n",
        "from __future__ import with_statement\ndef f(): print 1 / 2\n",
        "if True:\n    def f(): print 1 / 2\nelse:\n    pass\n",
        "x = 1\ndef f(): print 1 / 2\n",
        "@staticmethod\ndef g(): return 1\n\ndef f(): print 1 / 2\n",
    ],
)
def test_imports_find_room_without_moving_a_line(start, capsys):
    run(start)["f"]()
    assert capsys.readouterr().out == "0\n"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("print 'a'", True),
        ("print 'a' % 1, b", True),
        ("try: pass\nexcept A, e: pass", True),
        ("raise E, 'x'", True),
        ("x = `1`", True),
        ("x = 0777", True),
        ("x = 10L", True),
        ("def f(a, (b, c)): pass", True),
        ("import urllib2\n", True),
        ("x = unicode(1)", True),
        ("d.iteritems()", True),
        ("import string\nstring.letters", True),
        ("import itertools\nitertools.izip(a)", True),
        ("'x'.encode('hex')", True),
        ("print('a')", False),
        ("x = 1 +", False),
        ("def f(:\n  pass", False),
        ("f'{x}' if x else y", False),
        ("import six\nsix.iteritems(d)", False),
        ("def f(string): return string.replace('a', 'b')", False),
        (
            "try:\n    import urllib2\nexcept ImportError:\n    import urllib.request as urllib2\n",
            False,
        ),
        ("try:\n    unicode\nexcept NameError:\n    unicode = str\nunicode(1)\n", False),
        ("from functools import reduce\nreduce(f, x)", False),
        ("x = 'never closed", False),
        ("async def f():\n    async with a as b: print(b, end='')\n", False),
        ("match x:\n    case [a, *b]: pass\n", False),
        (b"# coding: latin-1\nprint '\xe9'\n", True),
        (b"\xff\xfe\x00", False),
    ],
)
def test_recognising_python2(source, expected):
    assert is_python2(source) is expected


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("x = 1\nprint 'a'\ny = (1\n", 4, "never closed"),
        ("print 'a'\nx = 'open\n", 2, "string is never closed"),
        ("print 'a'\nx = $\n", 2, "'$'"),
        ("print 'a'\nx = )\n", 2, "unmatched"),
        ("print 'a'\nreturn = 1\n", 2, "cannot be converted"),
        ("print 1\ndef f((a, b)):\n    while a: pass\n", 2, "put `pass` before it"),
        ("print 1\nf = lambda (a b): 1\n", 2, "cannot be converted"),
        ("# coding: martian\nprint 1\n", 1, "martian"),
    ],
)
def test_what_cannot_be_converted_says_where_and_why(source, line, reason):
    with pytest.raises(ScriptError) as caught:
        convert(source.encode() if "coding" in source else source, "old.py")
    assert caught.value.path == "old.py"
    assert caught.value.line == line
    assert reason in str(caught.value)


def test_a_script_of_its_coding():
    source = "# -*- coding: latin-1 -*-\nx = 'é'\nprint x\n".encode("latin-1")
    space = {}
    exec(convert(source, "x.py"), space)
    assert space["x"] == "é"


def test_windows_line_ends_and_byte_order_marks():
    assert convert(b"\xef\xbb\xbfprint 1\r\nprint 2\r\n", "x.py") == "print(1)\nprint(2)\n"


@pytest.mark.parametrize("path", sorted(Path(nbproxy.__file__).parent.rglob("model/*.py")), ids=str)
def test_tokens_give_the_source_back(path):
    own = path.read_text(encoding="utf-8")
    if 'rb"' not in own and 'rf"' not in own:  # prefixes that Python 2 had not
        assert joined(Reader(own, str(path)).tokens()) == own


@given(st.text(alphabet="print x'\"\\\n\t()[]{}:;,`<>=.#0L1eu/ lambdexcpt", max_size=60))
def test_any_text_converts_or_is_refused(source):
    is_python2(source)
    try:
        converted = convert(source, "x.py")
    except ScriptError:
        return
    compile(converted, "x.py", "exec")
