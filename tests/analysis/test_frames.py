"""The frames of analysis: DataFrames, with a picture."""

import pickle

import pandas as pd
import pytest

from nbproxy.analysis.frames import MARK, MAX_ROWS, Pictured
from tests.analysis.views import flow, view

NAMES = ("timeline", "endpoints", "hosts", "errors")


@pytest.fixture
def flows():
    return view(
        flow(url="https://api.test/users/1?token=hunter2"),
        flow(url="https://api.test/users/2?token=hunter2", status=500),
    )


@pytest.mark.parametrize("name", NAMES)
def test_they_are_frames(flows, name):
    frame = getattr(flows, name)()
    assert isinstance(frame, pd.DataFrame)
    assert isinstance(frame, Pictured)
    assert frame.attrs == MARK
    assert frame._repr_html_().startswith("<div><svg")
    for made in (frame.head(1), frame[frame.columns[:2]], frame.copy(), frame.iloc[:, 1:],
                 frame.query("index == index"), frame.assign(x=1)):  # fmt: skip
        assert type(made) is pd.DataFrame
        assert made.attrs == MARK
    again = pickle.loads(pickle.dumps(frame))
    assert type(again) is type(frame)


def test_secrets_are_masked_where_they_are_shown(flows):
    frame = flows.timeline()
    assert frame.path.iloc[0] == "/users/1?token=hunter2"
    for shown in (repr(frame), str(frame), frame._repr_html_(), frame.picture()):
        assert "hunter2" not in shown
    assert "token=***" in frame._repr_html_()


def test_long_tables_are_cut():
    flows = view(*(flow(start=i) for i in range(MAX_ROWS + 5)))
    with pd.option_context("display.max_rows", 100):
        html, text = flows.timeline()._repr_html_(), repr(flows.timeline())
    assert html.count("<tr>") <= MAX_ROWS + 2
    assert "The first 60 of 65 rows." in html
    assert text.endswith("The first 60 of 65 rows.")
    assert "The first" not in repr(view(flow()).timeline())


def test_html_may_be_turned_off(flows):
    with pd.option_context("display.notebook_repr_html", False):
        assert flows.timeline()._repr_html_() is None


def test_columns_are_attributes(flows):
    assert flows.errors().kind.iloc[0] == "status"
    assert flows.hosts().count().sum()  # DataFrame's own method


def test_a_frame_may_be_changed_by_its_owner(flows):
    frame = flows.endpoints()
    frame["slow"] = frame["p95"] > 1
    assert "slow" in frame.columns
    assert frame.picture()
    assert flows.endpoints().columns.tolist() != frame.columns.tolist()
