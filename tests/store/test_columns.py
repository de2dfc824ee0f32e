"""Columns in little memory give back what was put in, whatever was done to them."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbproxy.store import columns
from nbproxy.store.columns import FEW, MISSING, TEXT, Floats, Ints, Objects, Texts, joined

SIZES = (0, 1, 5, FEW, FEW + 1, 1000)


def ints(values, kind="nullable int"):
    numbers = [MISSING if value is None else value for value in values]
    return Ints.of(kind, np.array(numbers, dtype=np.int64))


def floats(values):
    return Floats.of(np.array(values, dtype=np.float64))


def texts(values):
    return Texts.of(pa.array(values, type=TEXT))


def times_of_day(count):
    """Durations as they come from the clock: differences of times in our days."""
    rng = np.random.default_rng(3)
    start = 1.7e9 + rng.random(count) * 1000
    return (start + rng.random(count) * 30) - start


def many(values, size=1000):
    return [values[i * 7 % len(values)] for i in range(size)]


INTS = {
    "the same": [443],
    "few bits": [200, 404, 500],
    "with holes": [200, None, 304],
    "only holes": [None],
    "16 bits": list(range(0, 60000, 61)),
    "32 bits": list(range(10**15, 10**15 + 2 * 10**9, 10**6)),
    "all bits": [-(2**63) + 1, 2**63 - 1, 0],
    "all bits with holes": [-(2**63) + 1, None, 2**63 - 1],
    "edge of a byte": list(range(256)),
    "edge of a byte with holes": [None, *range(1, 256)],
}


@pytest.mark.parametrize("values", INTS.values(), ids=INTS)
@pytest.mark.parametrize("size", SIZES)
def test_whole_numbers(values, size):
    wanted = many(values, size)
    column = ints(wanted)
    assert len(column) == size
    assert column.to_list() == wanted
    assert column.present().tolist() == [value is not None for value in wanted]
    as_floats = [math.nan if value is None else float(value) for value in wanted]
    assert np.array_equal(column.floats(), as_floats, equal_nan=True)
    assert column.nbytes <= 8 * size


@pytest.mark.parametrize(
    ("values", "each"),
    [([443], 0), ([200, None], 1), ([0, 60000], 2), ([0, 70000, None], 4), ([0, 2**40], 8)],
)
def test_whole_numbers_take_what_they_need(values, each):
    assert ints(many(values)).nbytes == each * 1000


def test_booleans_and_times():
    column = ints(many([0, 1]), "bool")
    out = np.empty(1000, dtype=np.bool_)
    column.fill(out)
    assert out.tolist() == column.to_list() == [bool(v) for v in many([0, 1])]
    always = ints([1] * 1000, "bool")
    always.fill(out)
    assert out.all()
    assert ints([1, None, 0], "nullable bool").to_list() == [True, None, False]
    moments = ints([0, 1_500_000, None], "time").to_list()
    assert [m and m.timestamp() for m in moments] == [0, 1.5, None]
    assert ints([1_500_000], "naive time").to_list()[0].tzinfo is None


FLOATS = {
    "durations": times_of_day(1000).tolist(),
    "durations with holes": [*times_of_day(999).tolist(), math.nan],
    "the same": [0.5],
    "none": [math.nan],
    "halves": [0.0, 0.5, 1.5],
    "long": [0.0, 1e6],
    "negative": [-1.0, 2.0],
    "no steps": [0.1, 0.2, math.pi],
    "infinite": [math.inf, 0.0],
    "largest steps": [(2**32 - 2) / 2**22, 0.0],
    "too large for steps": [(2**32 - 1) / 2**22, 0.0],
}


@pytest.mark.parametrize("values", FLOATS.values(), ids=FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_floats(values, size):
    wanted = many(values, size)
    column = floats(wanted)
    assert len(column) == size
    assert np.array_equal(column.floats(), wanted, equal_nan=True)
    assert column.present().tolist() == [not math.isnan(value) for value in wanted]
    assert column.to_list() == [None if math.isnan(value) else value for value in wanted]


def test_durations_take_four_bytes():
    assert floats(FLOATS["durations with holes"]).nbytes == 4000
    assert floats([math.pi] * 1000).nbytes == 0
    assert floats(many([0.1, 0.2])).nbytes == 8000


TEXTS = {
    "the same": ["https"],
    "none": [None],
    "few": ["GET", "POST", None, ""],
    "many": [f"/items/{i}" for i in range(300)],
    "all different": [f"/{i}/日本" for i in range(1000)],
    "odd": ["\x00", "\ufffd", "a\nb", "x" * 1000],
}


@pytest.mark.parametrize("values", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("size", SIZES)
def test_text(values, size):
    wanted = many(values, size)
    column = texts(wanted)
    assert len(column) == size
    assert column.to_list() == wanted
    assert column.arrow().type == TEXT
    assert column.present().tolist() == [value is not None for value in wanted]
    entries, codes = column.coded()
    assert [entries.to_pylist()[code] for code in codes] == wanted


def test_text_is_numbered_where_that_pays():
    assert texts(["https"] * 1000).is_constant
    few = texts(many(["GET", "POST", None]))
    assert few.is_coded
    assert few.nbytes < 1100
    different = texts([f"/{i}" for i in range(1000)])
    assert not different.is_coded
    assert different.entries.type == pa.string()
    assert texts(many([f"/{i:030}" for i in range(300)])).codes.dtype == np.uint16


def test_unused_text_is_let_go():
    column = texts(many([f"/{i:030}" for i in range(400)], 2000))
    some = column.take(np.repeat(np.arange(3), 200))
    assert len(some.entries) == 3
    assert some.to_list() == [text for text in column.to_list()[:3] for _ in range(200)]


def test_text_beyond_short_offsets(monkeypatch):
    monkeypatch.setattr(columns, "_SHORT", 100)
    wanted = [f"/{i:0100}" for i in range(600)]
    column = texts(wanted)
    assert column.entries.type == TEXT
    assert joined([column, texts(["x"])]).to_list() == [*wanted, "x"]


def test_changing_rows_keeps_the_form():
    numbers = ints(many([200, None, 404])).put(np.array([0, 3]), ints([None, 210]))
    assert numbers.codes.dtype == np.uint8
    assert numbers.to_list()[:5] == [None, None, 404, 210, None]
    wider = numbers.put(np.array([2]), ints([60000]))
    assert wider.codes.dtype == np.uint16
    spans = floats(FLOATS["durations"]).put(np.array([1]), floats([math.nan]))
    assert spans.codes.dtype == np.uint32
    assert spans.put(np.array([1]), floats([0.1])).codes.dtype == np.float64
    coded = texts(many(["GET", None])).put(np.array([2, 4]), texts(["PUT", "GET"]))
    assert coded.entries.to_pylist() == ["GET", None, "PUT"]
    for i in range(3000):  # what nobody has any more goes in time
        coded = coded.put(np.array([5]), texts([f"/{i}"]))
    assert len(coded.entries) < 600
    assert coded.to_list()[4:6] == ["GET", "/2999"]


def test_objects():
    values = [None, "a", 1, [1, 2], {"b": 1}, (1, 2)]
    column = Objects.of(values)
    assert column.to_list() == values
    assert len(column) == 6
    assert column.nbytes == 48
    assert column.present().tolist() == [False, True, True, True, True, True]
    assert column.take(np.array([3, 0])).to_list() == [[1, 2], None]
    assert column.slice(1, 3).to_list() == ["a", 1]
    assert joined([column, column]).to_list() == values * 2
    assert column.differ(column).tolist() == [False] * 6
    assert column.put(np.array([0, 3]), Objects.of([2, 3])).to_list()[:4] == [2, "a", 1, 3]
    assert column.to_list() == values


number = st.none() | st.sampled_from([0, 1, 200, 2**20, 2**40, -5, 2**63 - 1, -(2**63) + 1])
real = st.sampled_from([math.nan, 0.0, 0.5, 0.1, 2.0**-22, 900.25, 1e9, -1.0, math.inf])
text = st.none() | st.sampled_from(["", "GET", "/a", "日", "\x00", "y" * 50])
MAKERS = {"ints": (ints, number), "floats": (floats, real), "texts": (texts, text)}


def same(a, b):
    return a == b or (a is None and b is None)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_column_is_the_list_it_was_made_of(name, data):
    make, values = MAKERS[name]
    missing = (lambda v: None if v != v else v) if name == "floats" else (lambda v: v)  # noqa: PLR0124 - NaN
    plain = []
    parts = []
    for _ in range(data.draw(st.integers(1, 4))):
        pattern = data.draw(st.lists(values, min_size=1, max_size=6))
        wanted = many(pattern, data.draw(st.sampled_from([1, 40, FEW + 1, 700])))
        parts.append(make(wanted))
        plain += map(missing, wanted)
    whole = joined(parts)
    assert whole.to_list() == plain
    assert len(whole) == len(plain)
    size = len(plain)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    part = whole.slice(start, stop)
    assert part.to_list() == plain[start:stop]
    positions = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    positions = np.array(positions * data.draw(st.sampled_from([1, 60])), dtype=np.int64)
    taken = whole.take(positions)
    assert taken.to_list() == [plain[i] for i in positions]
    if start < stop:
        assert part.take(np.arange(stop - start)[::-1]).to_list() == plain[start:stop][::-1]
        assert joined([part, whole]).to_list() == plain[start:stop] + plain
    places = np.array(sorted(set(positions.tolist())), dtype=np.int64)
    given = data.draw(st.lists(values, min_size=1, max_size=5))
    given = [given[i % len(given)] for i in range(len(places))]
    changed = whole.put(places, make(given))
    wanted = list(plain)
    for place, value in zip(places.tolist(), map(missing, given), strict=True):
        wanted[place] = value
    assert changed.to_list() == wanted
    assert whole.to_list() == plain
    assert changed.take(np.arange(size)).to_list() == wanted
    other = whole.take(np.roll(np.arange(size), 1))
    different = [not same(a, b) for a, b in zip(plain, plain[-1:] + plain[:-1], strict=True)]
    assert whole.differ(other).tolist() == different
