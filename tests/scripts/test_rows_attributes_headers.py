"""Headers and dictionaries: ODict until 0.17, Headers since 0.14, MultiDict since 0.18."""

import pytest

from tests.scripts.rows import cases, parameters, run, stored, uncovered

_ODICT = (
    *("ODict()", "d[k]", "d[k] = list", "del d[k]", "k in d", "len(d)", "iter(d)", "keys()"),
    *("items()", "get", "get_first", "add", "extend, copy", "in_any", "match_re", "replace"),
    *("==", "str, repr", "state", "lst", "ODictCaseless"),
)
ODICT = dict.fromkeys(_ODICT, "ABC")
HEADERS = {
    "h.fields": "CDEFG",
    "Headers()": "CDEFG",
    "h[name]": "CDEFG",
    "h as a mapping": "CDEFG",
    "h[name] = value": "CDEFG",
    "h.get_all, set_all": "CDEFG",
    "h.add, insert": "DEFG",
    "del h[name]": "CDEFG",
    "len, iter, keys, values, items": "CDEFG",
    "h.items(multi=True)": "DEFG",
    "h.replace": "CDEF",
    "bytes(h)": "CDEFG",
    "h.copy": "CDEFG",
    "h.state": "CDEFG",
    "both styles": "ABC",
}
MULTIDICT = {
    "fields": "DEFG",
    "d[k] first": "DEFG",
    "get_all, set_all, add, insert": "DEFG",
    "keys, values, items": "DEFG",
    "collect": "DEF",
    "to_dict": "D",
    "ImmutableMultiDict": "D",
    "views write through": "DEFG",
    "cookie attributes": "DEFG",
}


def two_cookies():
    flow = stored()
    flow.response.headers.set_all("Set-Cookie", ["a=1", "b=2"])
    return flow


def multi(releases, code, says):
    """A case with MultiDict, wherever a release had it."""
    made = []
    for release in releases.split():
        module = {"0": "netlib", "1": "mitmproxy.types", "2": "mitmproxy.types"}.get(
            release[0] if release != "12" else "", "mitmproxy.coretypes"
        )
        made += cases(release, f"from {module}.multidict import MultiDict\n{code}", says)
    return made


def odict(code, says, releases="0.9 0.11 0.13 0.17", **more):
    head = (
        "from netlib.odict import ODict, ODictCaseless\n"
        "d = ODictCaseless([['A', '1'], ['b', '2'], ['a', '3']])\n"
    )
    return cases(releases, head + code, says, **more)


def headers(code, says, releases="0.14 0.17 0.18 2.0 6.0 7.0 12", **more):
    made = []
    for release in releases.split():
        number = float(release.partition(".")[0]) + (0.5 if release == "0.18" else 0)
        module = (
            "netlib.http"
            if number < 1
            else "mitmproxy.net.http"
            if number < 7
            else "mitmproxy.http"
        )
        head = (
            f"from {module} import Headers\n"
            "h = Headers([(b'Host', b'a.test'), (b'accept', b'x'), (b'Accept', b'y')])\n"
        )
        made += cases(release, head + code, says, **more)
    return made


CASES = {
    # -- ODict
    "ODict()": [
        *odict("print(ODict().lst, ODict([('a', 'b')]).lst)", "[] [['a', 'b']]"),
        *cases(
            "0.8",
            "from libmproxy.flow import ODict, ODictCaseless; print(ODict([['a', 'b']]).lst)",
            "[['a', 'b']]",
        ),
        *odict("ODict(['abc'])", None, "0.14 0.17", fails="pairs"),
    ],
    "d[k]": odict("print(d['a'] == ['1', '3'], d['none'] == [])", "True True"),
    "d[k] = list": [
        *odict(
            "d['b'] = ['5', '6']; print(d.lst)", "[['A', '1'], ['b', '5'], ['a', '3'], ['b', '6']]"
        ),
        *odict("d['new'] = ['5']; print(d.lst[-1])", "['new', '5']"),
    ],
    "del d[k]": odict("del d['A']; del d['none']; print(d.lst)", "[['b', '2']]"),
    "k in d": odict(
        "print('a' in d, 'B' in d, 'c' in d, 'B' in ODict(d.lst))", "True True False False"
    ),
    "len(d)": odict("print(len(d), bool(ODict()))", "3 False"),
    "iter(d)": odict("print([list(pair) for pair in d])", "[['A', '1'], ['b', '2'], ['a', '3']]"),
    "keys()": odict(
        "print(sorted(d.keys()), sorted(ODict(d.lst).keys()))", "['a', 'b'] ['A', 'a', 'b']"
    ),
    "items()": odict("print([tuple(pair) for pair in d.items()][0])", "('A', '1')"),
    "get": odict("print(d.get('a') == ['1', '3'], d.get('none'), d.get('none', 5))", "True None 5"),
    "get_first": odict("print(d.get_first('a'), d.get_first('none', 5))", "1 5"),
    "add": [
        *odict("d.add('c', '4'); print(d.lst[-1])", "['c', '4']"),
        *odict("d.add('c', '4', prepend=True); print(d.lst[0])", "['c', '4']", "0.13 0.17"),
    ],
    "extend, copy": odict(
        """
other = d.copy()
other.extend(ODict([['z', '9']]))
print(len(d), other.lst[-1], type(other).__name__)
""",
        "3 ['z', '9'] ODictCaseless",
    ),
    "in_any": odict(
        "print(d.in_any('b', '2'), d.in_any('b', 'X'), ODict([['k', 'ABC']]).in_any('k', 'b', "
        "True))",
        "True False True",
    ),
    "match_re": odict("print(d.match_re('A: 1'), d.match_re('A: 2'))", "True False"),
    "replace": odict(
        "print(d.replace('[Aa]', 'c'), d.replace('3', '4'), d.lst)",
        "2 1 [['c', '1'], ['b', '2'], ['c', '4']]",
    ),
    "==": odict("print(d == d.copy(), d == ODictCaseless(), d == 'text')", "True False False"),
    "str, repr": [
        *odict(
            "print(str(d) == 'A: 1\\r\\nb: 2\\r\\na: 3\\r\\n', d.format() == str(d))", "True True"
        ),
        # values are left out of reprs here: they end in notebooks
        *odict("print('ODictCaseless' in repr(d))", "True"),
    ],
    "state": [
        *odict("print(ODictCaseless._from_state(d._get_state()) == d)", "True", "0.9"),
        *odict(
            "other = ODictCaseless.from_state(d.get_state()); other.load_state([['x', 'y']]); "
            "print(other.lst)",
            "[['x', 'y']]",
            "0.11 0.13 0.14",
        ),
        *odict("d.set_state([['x', 'y']]); print(d.lst)", "[['x', 'y']]", "0.16 0.17"),
    ],
    "lst": cases(
        "0.8 0.11 0.13",
        "flow.response.headers.lst.append(['New', '1'])",
        then=lambda flow: flow.response.headers["new"] == "1",
    )
    + odict("d.lst.append(['n', '1']); print(d['n'])", "['1']", "0.17"),
    "ODictCaseless": cases(
        "0.8 0.11 0.13",
        """
        headers = flow.response.headers
        print(headers["CONTENT-TYPE"], [k for k, v in headers.lst][0], headers["none"])
        headers["NewHeader"] = ["foo"]
        del headers["set-cookie"]
        """,
        "['text/html'] Content-Type []",
        then=lambda flow: (
            (b"NewHeader", b"foo") in flow.response.headers.fields
            and "set-cookie" not in flow.response.headers
        ),
    )
    + odict("print(d['A'] == d['a'], d.lst[0])", "True ['A', '1']", "0.17"),
    # -- Headers
    "h.fields": [
        *headers("print([tuple(pair) for pair in h.fields][0])", "(b'Host', b'a.test')"),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "flow.response.headers.fields = [(b'X', b'1')]",
            then=lambda flow: flow.response.headers.fields == ((b"X", b"1"),),
        ),
    ],
    "Headers()": headers(
        "print(len(Headers()), Headers(Content_Type='text/html')['content-type'])", "0 text/html"
    ),
    "h[name]": [
        *headers("print(h['ACCEPT'], h['host'])", "x, y a.test"),
        *headers("h['none']", None, fails="KeyError"),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12", "print(flow.response.headers['content-TYPE'])", "text/html"
        ),
    ],
    "h as a mapping": headers(
        """
print(h.get("none", 5), h.get("host"), "HOST" in h, h.pop("host"), h.setdefault("n", "1"))
h.update({"u": "2"})
print("host" in h, h["u"], h["n"])
""",
        "5 a.test True a.test 1\nFalse 2 1",
    ),
    "h[name] = value": [
        *headers(
            "h['accept'] = 'z'; print([tuple(pair) for pair in h.fields][1:])",
            "[(b'accept', b'z')]",
        ),
        *cases(
            "0.14 0.17 0.18 2.0 6.0 12",
            "flow.response.headers['New'] = 'foo'; flow.response.headers['B'] = b'bar'",
            then=lambda flow: (
                (flow.response.headers["new"], flow.response.headers["b"]) == ("foo", "bar")
            ),
        ),
    ],
    "h.get_all, set_all": headers(
        "print(list(h.get_all('Accept'))); h.set_all('host', ['1', '2']); print(h['host'])",
        "['x', 'y']\n1, 2",
    ),
    "h.add, insert": headers(
        "h.add('n', '1'); h.insert(0, 'first', '0'); print(list(h))",
        "['first', 'Host', 'accept', 'n']",
        "0.18 2.0 6.0 12",
    ),
    "del h[name]": [
        *headers("del h['ACCEPT']; print(list(h))", "['Host']"),
        *headers("del h['none']", None, fails="KeyError"),
    ],
    "len, iter, keys, values, items": headers(
        "print(len(h), list(h), list(h.keys()), list(h.values()), [tuple(i) for i in h.items()])",
        "2 ['Host', 'accept'] ['Host', 'accept'] ['a.test', 'x, y'] "
        "[('Host', 'a.test'), ('accept', 'x, y')]",
    ),
    "h.items(multi=True)": headers(
        "print([v for k, v in h.items(multi=True)])", "['a.test', 'x', 'y']", "0.18 2.0 6.0 12"
    ),
    "h.replace": [
        *headers(
            "print(h.replace('accept: x', 'X: z'), h.replace('Host: ', 'gone')); print(h['x'])",
            "1 0\nz",
            "0.17 0.18 2.0 5.1",
        ),
        *headers(
            "import re; print(h.replace('ACCEPT: (.)', r'n: \\\\1', re.I))",
            "2",
            "0.17 0.18 2.0 5.1",
        ),
    ],
    "bytes(h)": headers("print(bytes(h))", "b'Host: a.test\\r\\naccept: x\\r\\nAccept: y\\r\\n'"),
    "h.copy": headers(
        "c = h.copy(); c['host'] = 'b'; print(h['host'], h == h.copy(), h == c)",
        "a.test True False",
    ),
    "h.state": headers(
        """
other = Headers.from_state(h.get_state())
print(other == h)
other.set_state(((b"k", b"v"),))
print(other["k"])
""",
        "True\nv",
    ),
    "both styles": [
        *cases(
            "0.8 0.11",
            """
            print("html" in flow.response.headers["content-type"][0])
            print(flow.response.headers["content-type"].startswith("text"))
            """,
            "True\nTrue",
        ),
        *cases(
            "0.8 0.11",
            "flow.response.headers['X'] = 'plain'",
            then=lambda flow: flow.response.headers["x"] == "plain",
        ),
        *cases(
            "0.14 0.17",
            "flow.response.headers['X'] = ['1', '2']",
            then=lambda flow: flow.response.headers.get_all("x") == ["1", "2"],
        ),
    ],
    # -- MultiDict
    "fields": multi(
        "0.18 2.0 6.0 12",
        "d = MultiDict([('a', '1'), ('a', '2')]); print(d.fields)",
        "(('a', '1'), ('a', '2'))",
    ),
    "d[k] first": multi(
        "0.18 2.0 6.0 12",
        """
d = MultiDict([("a", "1"), ("a", "2")])
print(d["a"], d.get("none"))
d["a"] = "3"
del d["a"]
try:
    d["a"]
except KeyError:
    print(len(d))
""",
        "1 None\n0",
    ),
    "get_all, set_all, add, insert": multi(
        "0.18 2.0 6.0 12",
        """
d = MultiDict([("a", "1")])
d.add("a", "2"); d.insert(0, "z", "0"); print(d.get_all("a"), d.fields[0])
d.set_all("a", ["3"]); print(d.get_all("a"))
""",
        "['1', '2'] ('z', '0')\n['3']",
    ),
    "keys, values, items": multi(
        "0.18 2.0 6.0 12",
        """
d = MultiDict([("a", "1"), ("a", "2")])
print(list(d.keys()), list(d.values()), list(d.items()))
print(list(d.keys(multi=True)), list(d.values(multi=True)), len(list(d.items(multi=True))))
""",
        "['a'] ['1'] [('a', '1')]\n['a', 'a'] ['1', '2'] 2",
    ),
    "collect": [
        *multi(
            "0.18 2.0 6.0",
            "print(list(MultiDict([('a', '1'), ('b', '2'), ('a', '3')]).collect()))",
            "[('a', ['1', '3']), ('b', '2')]",
        ),
        *cases(
            "0.18 2.0 6.0", "print(list(flow.request.query.collect()))", "[('a', '1'), ('b', '2')]"
        ),
    ],
    "to_dict": [
        *multi(
            "0.18",
            "print(MultiDict([('a', '1'), ('a', '3'), ('b', '2')]).to_dict())",
            "{'a': ['1', '3'], 'b': '2'}",
        ),
        *cases("0.18", "print(flow.request.cookies.to_dict())", "{'a': 'b', 'c': 'd'}"),
    ],
    "ImmutableMultiDict": [
        *cases(
            "0.18",
            """
            from netlib.multidict import ImmutableMultiDict
            d = ImmutableMultiDict([("a", "1")])
            print(d.with_set_all("a", ["2"]).fields, d.with_insert(0, "z", "0").fields[0])
            print(d.with_delitem("a").fields, d.fields)
            d["a"] = "2"
            """,
            "(('a', '2'),) ('z', '0')\n() (('a', '1'),)",
            fails="TypeError",
        ),
    ],
    "views write through": cases(
        "0.18 2.0 6.0 12",
        """
        query = flow.request.query
        query["a"] = "5"
        flow.request.cookies.add("new", "1")
        del flow.request.urlencoded_form["x"]
        print(query["a"], flow.request.path)
        """,
        "5 /p?a=5&b=2",
        then=lambda flow: (
            (flow.request.headers["cookie"], flow.request.content) == ("a=b; c=d; new=1", b"y=2")
        ),
    ),
    "cookie attributes": cases(
        "0.18 2.0 6.0 12",
        """
        value, attributes = flow.response.cookies["s"]
        print(attributes["PATH"], attributes["secure"], list(attributes.keys()))
        """,
        "/ None ['Path', 'Secure']",
    ),
}


def test_every_cell_has_a_case():
    assert uncovered({**ODICT, **HEADERS, **MULTIDICT}, CASES) == []


@pytest.mark.parametrize("case", parameters(CASES))
def test_cell(case, idle, tmp_path):
    run(case, idle, tmp_path / "a.py")
