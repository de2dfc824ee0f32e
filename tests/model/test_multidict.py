"""Multi-dicts and views: dict behaviour on first values, all pairs within reach, write-through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.model.multidict import MultiDict, MultiDictView

PAIRS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=8)


class Folding(MultiDict[str, int]):
    @staticmethod
    def fold_key(key):
        return key.lower() if isinstance(key, str) else key


class Home:
    """A place for pairs that counts how often it is written."""

    def __init__(self, pairs):
        self.pairs = tuple(pairs)
        self.writes = 0

    def write(self, pairs):
        self.pairs = pairs
        self.writes += 1

    def view(self):
        return MultiDictView(lambda: list(self.pairs), self.write)


@pytest.fixture(params=["own", "view"])
def make(request):
    return MultiDict if request.param == "own" else lambda pairs: Home(pairs).view()


def test_reading(make):
    d = make([("a", 1), ("b", 2), ("a", 3)])
    assert (d["a"], d.get("b"), d.get("c"), d.get("c", 5)) == (1, 2, None, 5)
    assert d.get_all("a") == [1, 3]
    assert d.get_all("c") == []
    assert len(d) == 2
    assert "a" in d
    assert "c" not in d
    assert list(d) == ["a", "b"]
    assert dict(d) == {"a": 1, "b": 2}
    with pytest.raises(KeyError, match="c"):
        d["c"]


def test_keys_values_and_items(make):
    d = make([("a", 1), ("b", 2), ("a", 3)])
    assert list(d.keys()) == ["a", "b"]
    assert list(d.values()) == [1, 2]
    assert list(d.items()) == [("a", 1), ("b", 2)]
    assert list(d.keys(multi=True)) == ["a", "b", "a"]
    assert list(d.values(multi=True)) == [1, 2, 3]
    assert list(d.items(multi=True)) == [("a", 1), ("b", 2), ("a", 3)]
    assert [len(v) for v in (d.keys(), d.values(multi=True), d.items(multi=True))] == [2, 3, 3]
    assert 3 not in d.values()
    assert 3 in d.values(multi=True)
    assert ("a", 3) not in d.items()
    assert ("a", 3) in d.items(multi=True)
    assert "b" in d.keys()  # noqa: SIM118 - the view itself is under test
    assert repr(d.items()).startswith("_Items(")


def test_changing(make):
    d = make([("a", 1), ("b", 2), ("a", 3)])
    d["a"] = 4
    assert d.fields == (("a", 4), ("b", 2))
    d.add("a", 5)
    d.insert(0, "c", 6)
    assert d.fields == (("c", 6), ("a", 4), ("b", 2), ("a", 5))
    d.set_all("a", [7, 8, 9])
    assert d.fields == (("c", 6), ("a", 7), ("b", 2), ("a", 8), ("a", 9))
    d.set_all("a", [])
    assert d.fields == (("c", 6), ("b", 2))
    del d["c"]
    with pytest.raises(KeyError):
        del d["c"]
    assert d.setdefault("z", 0) == 0
    d.update({"b": 1, "y": 2})
    assert d.pop("z") == 0
    assert d.fields == (("b", 1), ("y", 2))
    d.fields = [("q", 1)]
    assert d.fields == (("q", 1),)
    d.clear()
    assert not d
    assert d.fields == ()


def test_equality_repr_and_hash(make):
    d = make([("a", 1), ("a", 2)])
    assert d == MultiDict([("a", 1), ("a", 2)])
    assert d != MultiDict([("a", 2), ("a", 1)])
    assert d == {"a": 1}
    assert d != 5
    assert repr(d) == f"<{type(d).__name__}: a>"  # no values: they may be secrets
    with pytest.raises(TypeError):
        hash(d)


def test_copies_are_detached(make):
    d = make([("a", 1)])
    copy = d.copy()
    assert isinstance(copy, MultiDict)
    copy["a"] = 2
    assert (d["a"], copy["a"]) == (1, 2)
    assert type(Folding().copy()) is Folding


def test_a_view_reads_at_each_look_and_writes_once_a_change():
    home = Home([("a", 1)])
    view = home.view()
    items = view.items(multi=True)
    home.pairs = (("b", 2),)
    assert list(items) == [("b", 2)]
    for change in (
        lambda: view.add("c", 3),
        lambda: view.__setitem__("b", 4),
        lambda: view.__delitem__("b"),
        lambda: view.insert(0, "x", 5),
        lambda: view.set_all("c", [1, 2]),
        view.clear,
    ):
        before = home.writes
        change()
        assert home.writes == before + 1
        assert isinstance(home.pairs, tuple)
    with pytest.raises(KeyError):
        del view["nothing"]
    assert home.writes == 6


def test_folded_keys():
    d = Folding([("Path", 1), ("path", 2)])
    assert d["PATH"] == 1
    assert d.get_all("pAth") == [1, 2]
    assert list(d) == ["Path"]
    d["PATH"] = 3
    assert d.fields == (("Path", 3),)
    assert d == Folding([("PATH", 3)])
    assert 5 not in d


@given(PAIRS, st.sampled_from("abcd"), st.lists(st.integers(0, 9), max_size=4))
def test_set_all_is_read_back_and_leaves_other_keys_alone(pairs, key, values):
    d = MultiDict(pairs)
    d.set_all(key, values)
    assert d.get_all(key) == values
    assert [p for p in d.fields if p[0] != key] == [p for p in pairs if p[0] != key]
    assert len(d) == len({k for k, _ in d.fields}) == len(list(d))
