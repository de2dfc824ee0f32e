"""The bench works: small rounds of it, whose figures mean nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from tests.bench import __main__ as command
from tests.bench import load
from tests.bench.processes import BenchError
from tests.bench.report import Check, render
from tests.bench.scenarios import QUICK, SCENARIOS, Bench
from tests.bench.subjects import DIRECT, FORGETFUL, PLAIN, find_mitmdump

TINY = replace(
    QUICK,
    seconds=0.02,
    requests=10,
    download_bytes=1_000_000,
    flows=100,
    rows=70_000,
    recorded=2000,
    passed=1000,
    subjects=(DIRECT, PLAIN),
)


@pytest.fixture
def no_mitmdump(monkeypatch, tmp_path):
    monkeypatch.delenv("NBPROXY_MITMDUMP", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))


@pytest.fixture(scope="module")
def bench():
    with Bench(TINY, None) as bench:
        yield bench


@pytest.mark.parametrize("name", ["http", "handshakes", "latency", "download-tls"])
def test_a_scenario_measures_each_subject(bench, name):
    section = bench.run(name)
    assert list(section.rows) == [DIRECT, PLAIN]
    assert all(values[0] > 0 for row in section.rows.values() for values in row[:1])
    text = render(section)
    assert text.startswith(f"{name}: {SCENARIOS[name].title}")
    assert "not measured" in text  # against mitmdump


def test_recording_is_measured_beside_nothing_kept(bench):
    section = bench.run("record")
    assert list(section.rows) == [FORGETFUL, PLAIN]
    (check,) = section.checks
    assert check.value > 0
    assert check.target == 0.9


def test_memory_of_recorded_flows_is_measured(bench):
    section = bench.run("memory")
    assert [check.target for check in section.checks] == [120.0, 500.0] * 2
    assert "2,000 flows" in render(section)
    assert len(section.rows) == 2


def test_an_answer_that_no_handler_marked_is_a_fault(bench):
    route = load.Route(bench.http_port, None, tls=False, stamped=True)
    with pytest.raises(BenchError, match="the handler did not run"):
        load.keep_alive(route, 1, 0.0, lambda: 0.0)


def test_without_mitmdump_the_command_says_how_to_get_it(
    monkeypatch, no_mitmdump, tmp_path, capsys
):
    monkeypatch.setattr(command, "QUICK", TINY)
    file = tmp_path / "figures.json"
    assert command.main(["--quick", "--only", "frame", "--json", str(file)]) == 0
    said = capsys.readouterr()
    assert "mitmdump is missing" in said.err
    assert "make bench" in said.err
    assert "nbproxy.df after one more flow" in said.out
    (section,) = json.loads(file.read_text())["scenarios"]
    assert section["name"] == "frame"
    assert section["checks"][0]["target"] == 20.0
    assert len(section["checks"][0]["values"]) == 10


def test_the_frame_of_many_rows(bench):
    section = bench.run("million")
    assert section.rows["rows"][0][0] > 10
    assert [len(check.values) for check in section.checks[:4]] == [1, 10, 10, 1]
    assert all(value > 0 for check in section.checks for value in check.values)


def test_a_mitmdump_that_is_named_but_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("NBPROXY_MITMDUMP", str(tmp_path / "nothing"))
    with pytest.raises(BenchError, match="there is no such program"):
        find_mitmdump()


@pytest.mark.parametrize(
    ("check", "value", "is_ok"),
    [
        (Check("a", [4.0, 6.0, 5.0], target=5.0), 5.0, True),
        (Check("a", [4.0, 6.0, 5.0], target=5.0, worst=True), 4.0, False),
        (Check("a", [20.0], "ms", "<", 20.0), 20.0, False),
        (Check("a", [0.3, 0.2], wanted="<=", target=0.3, worst=True), 0.3, True),
        (Check("a", [2.0]), 2.0, None),
        (Check("a", [], target=5.0), None, None),
    ],
)
def test_a_figure_is_compared_to_its_target(check, value, is_ok):
    assert check.value == value
    assert check.is_ok is is_ok
