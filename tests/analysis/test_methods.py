"""The methods of views: documented, and doing nothing until they are called."""

import inspect

import pandas as pd
import pytest

from nbproxy.analysis import Analysis
from nbproxy.model.record import attributes
from tests.analysis.views import flow, view

NAMES = ("timeline", "endpoints", "to_openapi", "hosts", "errors", "diff", "sql")


@pytest.mark.parametrize("name", NAMES)
def test_they_say_what_they_give(name):
    method = getattr(Analysis, name)
    assert "Returns:" in inspect.getdoc(method)
    assert inspect.signature(method).return_annotation


@pytest.mark.parametrize("name", ["timeline", "endpoints", "hosts", "errors"])
def test_every_column_is_documented(name):
    found = getattr(view(flow(status=500)), name)()
    assert isinstance(found, pd.DataFrame)
    doc = inspect.getdoc(getattr(Analysis, name))
    doc += inspect.getdoc(Analysis.endpoints)  # `hosts` refers to it
    for column in found.columns:
        assert column in doc, column


def test_views_of_every_kind():
    flows = view(*(flow(url=f"https://a.test/users/{i}", start=i) for i in range(30)))
    for some in (flows[5:15], flows.filter("~u users/1"), flows[::-1], flows[:0]):
        for name in ("timeline", "endpoints", "hosts", "errors"):
            frame = getattr(Analysis, name)(some)
            if name == "timeline":
                assert sorted(frame.index) == sorted(each.id for each in some)
            if name in {"endpoints", "hosts"}:
                assert frame["count"].sum() == len(some)
        assert Analysis.sql(some, "select count(*) n from flows").n[0] == len(some)
        assert Analysis.diff(some, some).empty


def test_nothing_is_changed():
    made = flow(url="https://a.test/users/1", body=b'{"a": 1}')
    made.response.encode("gzip")
    flows = view(made)
    before = [attributes(each) for each in (made.request, made.response)]
    for name in ("timeline", "endpoints", "to_openapi", "hosts", "errors"):
        getattr(flows, name)()
    flows.sql("select * from headers join bodies using (flow)")
    flows.diff(flows)
    for known, message in zip(before, (made.request, made.response), strict=True):
        known.pop("_decoded", None)
        now = {name: value for name, value in attributes(message).items() if name != "_decoded"}
        assert now == known
