"""Rules as handles: what they belong to, how they end, how their patterns are read."""

from __future__ import annotations

import contextvars

import pytest

from nbproxy.addons.rules import Rule, Spec, chosen_messages, compile_regex, split_spec
from nbproxy.errors import FilterError
from nbproxy.handlers.cells import Cell
from nbproxy.handlers.registry import Registry
from nbproxy.model.flow import HTTPFlow
from nbproxy.model.message import Request


class Counting(Rule):
    kind = "count"

    def __init__(self, condition=None, what=""):
        super().__init__(condition)
        self.what = what
        self.gone = 0

    def hooks(self):
        return {"request": self._request, "response": self._response, "done": self._done}

    def describe(self):
        return self.what

    def _request(self, flow):
        self.hits += 1

    async def _response(self, flow):
        self.hits += 10

    def _done(self):
        self.gone += 1


class Temporary(Counting):
    lasting = False
    first = True


class Cells:
    """A notebook with one cell running."""

    def __init__(self, key="a", number=1):
        self.cell = Cell(key, f"In [{number}]", contextvars.copy_context())

    def current_cell(self):
        return self.cell


@pytest.fixture
def registry():
    registry = Registry()
    yield registry
    registry.close()


@pytest.fixture
def flow():
    return HTTPFlow(Request.make("GET", "http://a.test/x"))


def run_cell(registry, key, *steps):
    """Run a cell that does this; the results."""
    registry.cells = Cells(key)
    registry.begin_cell(key)
    names = {"__name__": "__main__", "steps": steps}  # as a cell's code runs
    exec("results = [step() for step in steps]", names)
    results = names["results"]
    registry.end_cell(key, ok=True)
    registry.cells = None
    return results


async def fire(registry, hook, flow):
    waiting = registry.fire(hook, flow)
    if waiting is not None:
        await waiting


async def test_its_handlers_are_called(registry, flow):
    rule = Counting("~d a.test").attach(registry)
    assert rule.active
    await fire(registry, "request", flow)
    await fire(registry, "response", flow)
    assert rule.hits == 11
    assert [(h.name, h.hook, h.kind) for h in registry] == [
        ("count", "request", "sync"),
        ("count", "response", "async"),
        ("count", "done", "sync"),
    ]
    await fire(registry, "request", HTTPFlow(Request.make("GET", "http://b.test/")))
    assert rule.hits == 11


def test_off_ends_it_and_only_it(registry):
    one, other = Counting().attach(registry), Counting().attach(registry)
    one.off()
    assert (one.active, other.active, one.gone, other.gone) == (False, True, 1, 0)
    one.off()  # harmless
    assert len(registry) == 3


def test_a_block_ends_it(registry):
    with Counting().attach(registry) as rule:
        assert rule.active
    assert not rule.active
    assert len(registry) == 0


def test_everything_off_ends_it_too(registry):
    rule = Counting().attach(registry)
    assert registry.off() == 3
    assert not rule.active
    rule.off()


def test_running_its_cell_again_replaces_it(registry):
    def make(what):
        return lambda: Counting(what=what).attach(registry)

    first, second = run_cell(registry, "a", make("1"), make("2"))
    (elsewhere,) = run_cell(registry, "b", make("3"))
    numbers = [h.number for h in registry if h.source.key == "a"]
    assert first.active and second.active and elsewhere.active  # noqa: PT018 - one fact
    (changed,) = run_cell(registry, "a", make("changed"))
    assert [first.active, second.active, changed.active, elsewhere.active] == [
        *(False, False),
        *(True, True),
    ]
    assert set(numbers) > {h.number for h in registry if h.source.key == "a"}
    assert first.gone == 1


def test_what_a_changed_cell_no_longer_makes_is_gone(registry):
    (rule,) = run_cell(registry, "a", lambda: Counting().attach(registry))
    run_cell(registry, "a")
    assert not rule.active


def test_the_old_rule_is_gone_while_the_cell_still_runs(registry):
    (old,) = run_cell(registry, "a", lambda: Counting(what="1").attach(registry))
    run_cell(registry, "a", lambda: Counting(what="2").attach(registry), lambda: _assert_off(old))


def _assert_off(rule):
    assert not rule.active


def test_cells_without_ids_replace_equal_rules_only(registry):
    def make(what):
        return lambda: Counting(what=what).attach(registry)

    (one,) = run_cell(registry, None, make("1"))
    (two,) = run_cell(registry, None, make("2"))
    assert one.active
    (again,) = run_cell(registry, None, make("1"))
    assert [one.active, two.active, again.active] == [False, True, True]


def test_outside_of_cells_rules_stand_beside_each_other(registry):
    rules = [Counting().attach(registry) for _ in range(3)]
    assert all(rule.active for rule in rules)


def test_temporary_rules_do_not_belong_to_their_cell(registry):
    (rule,) = run_cell(registry, "a", lambda: Temporary().attach(registry))
    run_cell(registry, "a")
    assert rule.active
    assert {h.source.label for h in registry} == {"In [1]"}


def test_first_ones_run_before_all_others(registry):
    order = []
    registry.on("request")(lambda flow: order.append("plain"))
    for name in ("one", "two"):
        rule = Temporary()
        rule._request = lambda flow, name=name: order.append(name)
        rule.attach(registry)
    registry.fire("request", None)
    assert order == ["two", "one", "plain"]


def test_a_mistake_in_the_filter_leaves_nothing_behind(registry):
    with pytest.raises(FilterError):
        Counting("(~q").attach(registry)
    assert len(registry) == 0


def test_warnings_about_filters_reach_the_user(registry):
    with pytest.warns(UserWarning, match="single |"):
        Counting("~u a || ~u b").attach(registry)


def test_what_it_says_of_itself(registry):
    rule = Counting(what="a\x1b[31m" + "b" * 200)
    assert rule.active is False
    shown = repr(rule.attach(registry))
    assert shown.startswith("<count a\\x1b[31mbbb")
    assert shown.endswith("characters): 0 hits>")
    rule.hits = 1
    rule.off()
    assert repr(rule).endswith(": 1 hit, off>")


def test_it_can_tell_the_user_something_once_it_is_off_too(registry, capsys):
    rule = Counting()
    rule.say("too early")
    rule.attach(registry)
    rule.off()
    rule.say("look here")
    assert capsys.readouterr().err == "nbproxy: count (request, count): look here\n"


def test_which_messages_are_meant():
    assert chosen_messages("request") == ("request",)
    assert chosen_messages(["response", "request"]) == ("request", "response")


# -- patterns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|a.b|c", Spec(None, "a.b", "c")),
        ("/~q/Host/example.org", Spec("~q", "Host", "example.org")),
        (":a:b:c|d:e", None),
        (":~m GET:a:b:c", Spec("~m GET", "a", "b:c")),
        ("/~q/Host/", Spec("~q", "Host", "")),
        ("/Host/", Spec(None, "Host", "")),
    ],
)
def test_patterns(text, expected):
    found = split_spec(text, "x", "subject", "replacement")
    assert found == (expected or Spec("a", "b", "c|d:e"))


@pytest.mark.parametrize("text", ["", "|", "|a", "||b", "|~q||x"])
def test_what_is_no_pattern(text):
    with pytest.raises(ValueError, match=r"no pattern of thing: write \|subject\|replacement"):
        split_spec(text, "thing", "subject", "replacement")


def test_a_pattern_with_a_bad_filter():
    with pytest.raises(FilterError):
        split_spec("|~c x|a|b", "thing", "subject", "replacement")


def test_regular_expressions():
    assert compile_regex("a+").search("baa")
    with pytest.raises(ValueError, match="no regular expression"):
        compile_regex("(")
