"""Groups of flows, and what is counted of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbproxy.analysis import grouping
from tests.analysis.views import flow, view


def test_endpoints_of_flows():
    df = view(
        flow("GET", "https://a.test/users/1?page=2"),
        flow("GET", "https://a.test/users/2"),
        flow("POST", "https://a.test/users/3"),
        flow("GET", "http://a.test/users/4"),
        flow("GET", "https://a.test:8443/users/me"),
        flow("GET", "https://b.test/users/5"),
    ).df
    grouped = grouping.by_endpoint(df)
    assert [grouped.endpoints[code] for code in grouped.codes] == [
        ("GET", "https", "a.test", 443, "/users/{id}"),
        ("GET", "https", "a.test", 443, "/users/{id}"),
        ("POST", "https", "a.test", 443, "/users/{id}"),
        ("GET", "http", "a.test", 80, "/users/{id}"),
        ("GET", "https", "a.test", 8443, "/users/me"),
        ("GET", "https", "b.test", 443, "/users/{id}"),
    ]
    assert grouped.endpoints[0].operation in {"GET /users/{id}", "POST /users/{id}"}


def test_nothing():
    grouped = grouping.by_endpoint(view().df)
    assert grouped.endpoints == []
    assert len(grouped.codes) == 0
    assert grouping.query_columns(view().df, grouped) == []


def test_missing_values_are_a_group():
    df = view(flow(), flow()).df
    df["method"] = pd.array([None, "GET"], dtype=grouping.TEXT)
    df["path"] = pd.array(["/1", None], dtype=grouping.TEXT)
    grouped = grouping.by_endpoint(df)
    found = [grouped.endpoints[code][::4] for code in grouped.codes]
    assert found == [("", "/{id}"), ("GET", "")]


def test_status_mix():
    status = pd.array([200, 204, 301, 404, 500, 101, None, 999, 0], dtype="Int64")
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    mix = grouping.status_mix(codes, 2, pd.Series(status))
    assert {name: column.tolist() for name, column in mix.items()} == {
        "1xx": [1, 0],
        "2xx": [2, 0],
        "3xx": [1, 0],
        "4xx": [1, 0],
        "5xx": [1, 2],
        "unanswered": [0, 1],
    }


@given(
    st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1e6) | st.just(float("nan"))), max_size=40)
)
def test_percentiles_are_those_of_pandas(pairs):
    codes = np.array([code for code, _ in pairs], dtype=np.int64)
    values = pd.Series([value for _, value in pairs], dtype="float64")
    found = grouping.percentiles(codes, 5, values)
    for name, part in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        expected = values.groupby(codes).quantile(part).reindex(range(5))
        np.testing.assert_allclose(found[name], expected, rtol=1e-9)


def test_sums():
    codes = np.array([1, 1, 0])
    assert grouping.sums(codes, 3, pd.Series([1, 2**60, 5])).tolist() == [5, 2**60 + 1, 0]
    assert grouping.counts(codes, 3).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", []),
        ("/?a=1&b=2&a=3", ["a", "b"]),
        ("/?eyJhbGciOiJIUzI1NiJ9", []),
        ("/?=x&&c=", ["c"]),
        ("/?" + "x" * 100 + "=1", []),
    ],
)
def test_names_in_queries(path, names):
    assert grouping.query_names(path) == names


def test_names_in_queries_by_endpoint():
    df = view(
        flow(url="https://a.test/users/1?page=2&q=x"),
        flow(url="https://a.test/users/2?page=3"),
        flow(url="https://a.test/other"),
        *(flow(url=f"https://a.test/other?n{i}=1") for i in range(40)),
    ).df
    grouped = grouping.by_endpoint(df)
    found = dict(zip(grouped.endpoints, grouping.query_columns(df, grouped), strict=True))
    by_template = {endpoint.template: names for endpoint, names in found.items()}
    assert by_template["/users/{id}"] == {"page": 2, "q": 1}
    assert len(by_template["/other"]) == 30
