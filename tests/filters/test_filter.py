"""Filters as objects: called, compared, combined."""

import copy
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.errors import FilterError
from nbproxy.filters import Filter, parse
from nbproxy.filters.parser import MAX_DEPTH
from nbproxy.filters.tree import Flag, Not, Pattern
from tests.filters.flows import RelayFlow, dns, http, websocket
from tests.filters.generated import flows, sources


def test_what_a_filter_tells():
    found = parse("~d a and b")
    assert found.source == str(found) == "~d a and b"
    assert repr(found) == "<Filter ~d a and b>"
    assert len(found.warnings) == 1
    assert str(found.tree) == "~d a & ~u and & ~u b"


def test_equal_by_tree():
    assert parse("a b") == parse("(a) & (b)")
    assert hash(parse("a b")) == hash(parse("(a) & (b)"))
    assert parse("a") != parse("b")
    assert parse("a") != "a"


def test_made_from_a_tree():
    found = Filter(Not(Flag("q")))
    assert found.source == "!~q"
    assert found(http())


def test_combining():
    flow = http(method="POST", status=500)
    both = parse("~m POST") & parse("~c 500")
    assert both == parse("~m POST & ~c 500")
    assert both(flow)
    either = parse("~m GET") | parse("~c 500")
    assert either == parse("~m GET | ~c 500")
    assert either(flow)
    assert ~parse("~m GET") == parse("!~m GET")
    assert (~parse("~m GET"))(flow)
    assert (parse("a b") & parse("c")) == parse("a & b & c")
    assert (parse("and") & parse("and")).warnings == parse("and").warnings
    with pytest.raises(TypeError):
        parse("a") & "b"
    with pytest.raises(TypeError):
        parse("a") | "b"


def test_combining_keeps_the_clock():
    since = parse("~since 10s", clock=lambda: 1005.0)
    flow = http(times=(1000.0, None, None))
    assert (since & parse("~all"))(flow)
    assert since.clock() == 1005.0
    assert not (~since)(flow)


def test_gathering_in_a_loop_stays_flat_and_nesting_is_bounded():
    gathered = parse("~q")
    for _ in range(300):
        gathered = gathered | parse("~s")
    assert gathered(http())
    nested = parse("~q")
    for _ in range(MAX_DEPTH - 1):
        nested = ~nested
    with pytest.raises(FilterError, match="nested"):
        _ = ~nested


def test_a_bad_tree_is_refused():
    with pytest.raises(KeyError):
        Filter(Pattern("nope", "a"))
    with pytest.raises(KeyError):
        Filter(Pattern("q", "a"))


def test_order_and_short_circuit():
    class Touchy:
        def __str__(self):
            raise RuntimeError("touched")

    flow = http()
    flow.metadata["a"] = Touchy()
    assert parse("~all | ~meta a")(flow)
    assert not parse("~q & ~meta a")(flow)
    assert parse("~meta a | ~all")(flow) is False  # the fence: matching never raises


def test_deepcopy():
    found = copy.deepcopy(parse("~d foo"))
    assert found == parse("~d foo")
    assert found(http())


def test_importing_loads_no_pandas():
    program = (
        "import sys, nbproxy.filters; assert 'pandas' not in sys.modules; "
        "nbproxy.filters.mask; assert 'pandas' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_no_other_attributes():
    import nbproxy.filters

    with pytest.raises(AttributeError, match="nope"):
        _ = nbproxy.filters.nope


@pytest.mark.parametrize(("value", "matches"), [("1", False), ("0", True)])
def test_case_sensitivity_by_environment(value, matches):
    program = (
        "from tests.filters.flows import http; from nbproxy.filters import parse; "
        f"assert parse('~m get')(http()) is {matches}; assert parse('~m GET')(http())"
    )
    environment = {"MITMPROXY_CASE_SENSITIVE_FILTERS": value}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_the_kinds_of_flow():
    kinds = [http(), websocket(), RelayFlow("tcp"), RelayFlow("udp"), dns()]
    expected = {
        "~all": [1, 1, 1, 1, 1],
        "~http": [1, 1, 0, 0, 0],
        "~websocket": [0, 1, 0, 0, 0],
        "~tcp": [0, 0, 1, 0, 0],
        "~udp": [0, 0, 0, 1, 0],
        "~dns": [0, 0, 0, 0, 1],
        "!~http": [0, 0, 1, 1, 1],
    }
    for source, verdicts in expected.items():
        assert [parse(source)(flow) for flow in kinds] == [bool(each) for each in verdicts]


@settings(deadline=None)
@given(flows, sources)
def test_matching_gives_a_bool_and_never_raises(flow, source):
    try:
        found = parse(source, clock=lambda: 1010.0)
    except FilterError:
        return
    answer = found(flow)
    assert isinstance(answer, bool)
    assert (~found)(flow) is not answer


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.sampled_from("&|"))
def test_chains(values, joiner):
    words = ["~http" if value else "~tcp" for value in values]
    expected = all(values) if joiner == "&" else any(values)
    assert parse(f" {joiner} ".join(words))(http()) is expected
