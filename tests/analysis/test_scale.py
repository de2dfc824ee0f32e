"""The axis of time without its pauses."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis.scale import Scale


def test_an_even_axis():
    scale = Scale([(0.0, 1.0)], 0, 100)
    assert scale.x(0.5) == pytest.approx(50)
    assert 0 <= scale.x(0) < 2
    assert len(scale.stretches) == 1


def test_pauses_are_cut_out():
    scale = Scale([(0.0, 1.0), (3600.0, 3601.0)], 0, 1000)
    assert len(scale.stretches) == 2
    assert scale.x(1.0) < 500 < scale.x(3600.0)
    assert scale.x(0.5) == pytest.approx(1000 - scale.x(3600.5))
    assert scale.stretches[0].right < scale.x(1800.0) + 1 <= scale.stretches[1].left
    assert all(0 <= scale.x(tick) <= 1000 for tick in scale.ticks())


def test_at_most_a_few_stretches():
    scale = Scale([(float(i * 100), i * 100 + 1.0) for i in range(500)], 0, 1000)
    assert 1 < len(scale.stretches) <= 12


@pytest.mark.parametrize("spans", [[], [(0.0, 0.0)], [(math.nan, 1.0)], [(5.0, 5.0), (9.0, 9.0)]])
def test_next_to_nothing(spans):
    scale = Scale(spans, 0, 100)
    assert 0 <= scale.x(0.0) <= 100
    scale.ticks()


@pytest.mark.parametrize(
    ("length", "step"),
    [(0.001, 0.0002), (0.9, 0.1), (9.0, 1.0), (60.0, 10.0), (600.0, 60.0), (7200.0, 900.0),
     (86400.0, 21600.0), (864000.0, 86400.0)],
)  # fmt: skip
def test_ticks_are_round(length, step):
    ticks = Scale([(0.0, length)], 0, 900).ticks()
    assert 3 <= len(ticks) <= 11
    assert ticks[1] - ticks[0] >= step / 2
    for tick in ticks:
        assert tick / step * 2 == pytest.approx(round(tick / step * 2), abs=1e-6)


moment = st.floats(-1e6, 1e9)


@given(st.lists(st.tuples(moment, st.floats(0, 1e5)), min_size=1, max_size=30))
def test_later_is_not_further_left(pairs):
    spans = [(begin, begin + length) for begin, length in pairs]
    scale = Scale(spans, 10, 500)
    places = [scale.x(moment) for moment in sorted(m for span in spans for m in span)]
    assert places == sorted(places)
    assert all(10 - 1e-6 <= place <= 500 + 1e-6 for place in places)
    ticks = scale.ticks()
    assert len(ticks) < 30
    assert ticks == sorted(ticks)
