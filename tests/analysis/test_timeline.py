"""When what happened: phases of flows by connection."""

import math

import pandas as pd
import pytest

import nbproxy
from nbproxy.analysis.timeline import PHASES, Timeline
from tests.analysis.views import START, View, connection, flow, view
from tests.store.flow_factory import new_flow


def near(seconds):
    return pytest.approx(seconds, abs=1e-6)


def known(row):
    return {name: row[name] for name in (*PHASES, "opened") if not math.isnan(row[name])}


def test_a_connection_is_opened_once():
    server = connection(opened=0.5, connect=0.02, tls=0.03)
    found = view(
        flow(url="https://api.test/1", start=0.45, took=1.0, server=server),
        flow(url="https://api.test/2", start=2, took=1.0, server=server),
    ).timeline()
    first, second = (found.iloc[i] for i in range(2))
    assert list(found.connection) == [1, 1]
    assert list(found.reused) == [False, True]
    assert first.start == 0.0
    assert known(first) == {
        "opened": near(0.05),
        "connect": near(0.02),
        "tls": near(0.03),
        "send": near(0.1),
        "wait": near(0.5),
        "transfer": near(0.4),
    }
    assert known(second) == {"send": near(0.1), "wait": near(0.5), "transfer": near(0.4)}
    assert second.start == near(1.55)
    assert list(found.duration) == [near(1.0)] * 2


def test_waiting_begins_when_the_connection_is_ready():
    server = connection(opened=0.2, connect=0.1, tls=0.1)
    (row,) = view(flow(start=0.1, took=1.0, server=server)).timeline().itertuples()
    assert row.connect == near(0.1)
    assert row.tls == near(0.1)
    assert row.wait == near(0.3)  # 0.4 to 0.7; all phases follow each other


def test_a_connection_that_was_opened_before_the_request():
    server = connection(opened=0.0)
    found = view(flow(start=0.2, took=1.0, server=server)).timeline()
    assert found.opened.iloc[0] == 0.0
    assert found.start.iloc[0] == near(0.2)


def test_order():
    one, other = connection("a.test"), connection("b.test", opened=0.3)
    flows = [
        flow(url="https://b.test/", start=0.4, server=other),
        flow(url="https://a.test/", start=0.1, server=one),
        flow(url="https://a.test/", start=0.5, server=one),
        flow(url="https://mocked.test/", start=0.45),
    ]
    found = view(*flows).timeline()
    assert [found.index.get_loc(each.id) for each in flows] == [3, 1, 2, 0]
    assert list(found.connection.astype(object)) == [pd.NA, 1, 1, 2]
    assert not found.reused.iloc[0]


@pytest.mark.parametrize(
    ("options", "phases"),
    [
        ({"connect": None, "tls": None}, {"opened": 0.0, "connect": 1.1}),
        ({"connect": None}, {"opened": 0.0, "connect": 1.1}),
        ({"connect": 0.2, "tls": 0}, {"opened": 0.0, "connect": 0.2, "tls": 0.9}),
        ({"connect": 0.2, "tls": None}, {"opened": 0.0, "connect": 0.2, "wait": 0.9}),
        ({}, {"opened": 0.0, "connect": 0.02, "tls": 0.03, "wait": 0.9}),
    ],
)
def test_a_failure_ends_the_phase_it_came_in(options, phases):
    failed = flow(status=None, start=0.1, took=1.0, error="no", server=connection(**options))
    (row,) = view(failed).timeline().to_dict("records")
    assert known(row) == {"send": near(0.1), **{name: near(s) for name, s in phases.items()}}
    assert row["duration"] == near(1.0)
    assert row["error"] == "no"


def test_a_response_that_broke_off():
    broken = flow(took=1.0, error="the server left")
    (row,) = view(broken).timeline().to_dict("records")
    assert known(row) == {"send": near(0.1), "wait": near(0.5), "transfer": near(0.4)}


def test_flows_under_way():
    (row,) = view(new_flow()).timeline().to_dict("records")
    assert known(row) == {"send": 0.0}
    assert math.isnan(row["duration"])


def test_clocks_that_run_backwards():
    strange = flow(took=1.0, server=connection(opened=5.0, connect=-1.0, tls=-1.0))
    strange.request.timestamp_end = START - 5
    strange.response.timestamp_start = START - 3
    strange.response.timestamp_end = START - 4
    unknown = flow()
    unknown.request.timestamp_start = unknown.response.timestamp_start = 0.0
    unknown.response.timestamp_end = None
    nonsense = flow()
    nonsense.request.timestamp_start = 1e300
    nonsense.response.timestamp_end = "soon"
    found = view(strange, unknown, nonsense).timeline()
    assert not (found[list(PHASES)] < 0).any(axis=None)
    assert found.loc[strange.id, "duration"] == 0.0
    assert math.isnan(found.loc[unknown.id, "start"])
    assert math.isnan(found.loc[nonsense.id, "start"])
    assert found._repr_html_()


def test_nothing():
    found = view().timeline()
    assert isinstance(found, Timeline)
    assert found.empty
    assert list(found.columns) == [
        *("connection", "reused", "method", "host", "path", "status", "start", "opened"),
        *(*PHASES, "duration", "server", "error"),
    ]
    assert found.index.name == "id"


def test_what_a_handler_left_in_a_flow():
    bent = flow()
    bent.request._path = "/\ud800"
    bent.response.status_code = "teapot"
    found = view(bent).timeline()
    assert found.path.iloc[0] == "/\ufffd"
    assert found.status.iloc[0] is pd.NA


def test_real_traffic(traffic):
    found = traffic.flows.timeline()
    assert len(found) == len(traffic.flows)
    secure = found[found.path.str.startswith(("/users/1", "/users/2", "/users/me", "/missing"))]
    assert set(secure.connection) == {1}
    assert list(secure.reused) == [False, True, True, True]
    assert secure.connect.notna().sum() == secure.tls.notna().sum() == 1
    assert (secure[["send", "wait", "transfer"]] >= 0).all(axis=None)
    plain = found[found.path.isin(["/users/3", "/users/4"])]
    assert list(plain.reused) == [False, True]
    assert plain.tls.isna().all()
    for row in found[found.status.notna()].itertuples():
        # the phases are all of the time
        before = min(row.start, row.opened)
        setup = sum(s for s in (row.connect, row.tls) if not math.isnan(s))
        parts = row.send + row.wait + row.transfer + setup
        assert parts <= row.start + row.duration - before + 1e-6
        if math.isnan(setup) or row.reused:
            assert parts == pytest.approx(row.duration, abs=1e-6)
    refused = found[found.path == "/refused"].iloc[0]
    assert refused.connect >= 0
    assert math.isnan(refused.wait)
    broken = found[found.path == "/no-tls"].iloc[0]
    assert broken.tls >= 0
    assert math.isnan(broken.wait)


def test_a_file_gives_the_same_timeline(traffic, tmp_path):
    traffic.flows.save(tmp_path / "x.mitm")
    again = View(nbproxy.open(tmp_path / "x.mitm").store).timeline()
    found = traffic.flows.timeline()
    columns = ["connection", "reused", "path", *PHASES]
    pd.testing.assert_frame_equal(
        again[columns].reset_index(drop=True),
        found[columns].reset_index(drop=True),
        check_exact=False,
        atol=1e-5,
    )


def test_samples(data):
    flows = nbproxy.open(data / "har" / "chrome.har", data / "har" / "safari.har")
    found = View(flows.store).timeline()
    assert len(found) == 22
    assert found.wait.notna().sum() > 15
    assert found.connect.notna().any()
    mitm = View(nbproxy.open(data / "mitm" / "successful_log.mitm").store).timeline()
    assert mitm.wait.notna().all()
