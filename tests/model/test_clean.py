"""Values made to fit their columns."""

import math

import pytest

from nbproxy.model.clean import clean_bool, clean_float, clean_int, clean_text


class Odd:
    def __str__(self):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, None), ("a\x00", "a\x00"), ("\ud800x", "\ufffdx"), (5, "5"), (Odd(), "<Odd>")],
)
def test_text(value, text):
    assert clean_text(value) == text


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), ("7", 7), (None, -1), (2**63, -1), (math.inf, -1), ([], -1)]
)
def test_integers(value, number):
    assert clean_int(value, -1) == number


def test_floats_and_truth():
    assert clean_float("1.5") == 1.5
    assert math.isnan(clean_float([]))
    assert clean_bool(1) is True
    assert clean_bool(Odd()) is False
