"""Frames of flows as a shell shows them."""

import pandas as pd
import pytest

from nbproxy.notebook.frames import frame_html, frame_text, is_ours
from nbproxy.store import Flows, Store
from nbproxy.store.frame import frame_of_changes
from tests.store.flow_factory import answer, end, new_flow


@pytest.fixture
def df():
    store = Store()
    for i in range(100):
        flow = new_flow(f"/{i}?token=s3cr3tvalue&page={i}")
        flow.comment = "<b>\x1b[31m\u202e" if i == 99 else ""
        store.opened(flow)
        answer(flow)
        end(flow)
        store.closed(flow)
    return Flows(store).df


def test_secrets_are_masked_and_the_data_is_not(df):
    for shown in (frame_html(df), frame_text(df[["path", "comment"]])):
        assert "s3cr3tvalue" not in shown
        assert "token=***" in shown
        assert "100 rows" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "<b>" not in frame_html(df)
    assert df.path.iloc[3] == "/3?token=s3cr3tvalue&page=3"


def test_as_pandas_does_it_otherwise(df):
    plain = df.drop(columns=["path", "comment"])
    plain.attrs["nbproxy"] = "flows"
    assert frame_html(plain) == plain._repr_html_()
    assert frame_text(plain) == repr(plain)
    short = plain.head(3)
    assert frame_html(short) == short._repr_html_()
    assert frame_text(short) == repr(short)


def test_other_frames_are_left_to_pandas():
    other = pd.DataFrame({"path": ["/?token=s3cr3tvalue"], "b": [1]})
    assert not is_ours(other)
    assert frame_html(other) == other._repr_html_()
    assert frame_text(other) == repr(other)


def test_frames_made_of_ours_are_known(df):
    for derived in (df.head(), df[df.port == 443], df.sort_values("time"), df.reset_index()):
        assert is_ours(derived)
        assert "s3cr3tvalue" not in frame_html(derived)


def test_other_forms_of_the_same_text(df):
    df["path"] = df.path.astype("category")
    df["url"] = "https://example.org" + df.path.astype("object")
    for derived in (df, df.set_index("path"), df.set_index("url").head()):
        assert "s3cr3tvalue" not in frame_html(derived)
        assert "s3cr3tvalue" not in frame_text(derived)


@pytest.mark.parametrize("count", [0, 1, 59, 60, 61, 62, 63, 100])
def test_cut_as_pandas_cuts(df, count):
    plain = df.drop(columns=["comment"]).head(count)
    plain["path"] = [f"/{i}" for i in range(count)]
    assert frame_html(plain) == plain._repr_html_()
    assert frame_text(plain) == repr(plain)


def test_options_are_kept(df):
    with pd.option_context("display.notebook_repr_html", False):
        assert frame_html(df) is None
    with pd.option_context("display.large_repr", "info", "display.max_rows", 5):
        assert frame_html(df) == df._repr_html_()
        assert frame_text(df) == repr(df)
    with pd.option_context("display.max_rows", None, "display.max_colwidth", None):
        assert frame_html(df).count("<tr") == 102


def test_missing_values_and_equal_names(df):
    df = df.head(3).copy()
    df.loc[df.index[0], "path"] = None
    twice = pd.concat([df, df[["path"]]], axis=1)
    assert "NaN" in frame_html(twice)
    assert "s3cr3tvalue" not in frame_html(twice)
    assert "s3cr3tvalue" not in frame_text(twice)


def test_changes_are_masked_by_what_they_are():
    changes = frame_of_changes(
        [
            (1, 'request.headers["Cookie"]', "sid=hunter2", None),
            (1, 'request.headers["Authorization"]', None, "Bearer hunter2"),
            (1, "request.headers", "A: 1\r\nCookie: sid=hunter2\r\n", "Cookie: sid=hunter2\r\n"),
            (1, "request.path", "/a?token=hunter2", "/a"),
            (1, "response.content", '{"password": "hunter2"}', b'{"password": "hunter2"}'),
            (2, "response.status_code", 200, 201),
        ]
    )
    for text in (frame_html(changes), frame_text(changes)):
        assert "hunter2" not in text
        assert "201" in text
    assert "sid=***" in frame_html(changes)
    assert "hunter2" in changes.before[0]
