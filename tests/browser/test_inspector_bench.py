"""The bench of the inspector works: a small round of it, whose figures mean nothing."""

import contextlib
from dataclasses import replace

import pytest

from tests.bench import inspecting
from tests.bench.report import render
from tests.bench.scenarios import QUICK, Bench


@pytest.mark.usefixtures("browser_path")
def test_the_inspector_is_measured(lab, monkeypatch):
    monkeypatch.setattr(inspecting, "JupyterServer", lambda *_: contextlib.nullcontext(lab))
    with Bench(replace(QUICK, seconds=0.2, flows=2000), None) as bench:
        section = bench.run("inspector")
    assert list(section.rows) == ["no inspector", "an inspector in Chromium"]
    for steady, cpu, full in section.rows.values():
        assert all(value > 0 for value in steady + full)
        assert all(value >= 0 for value in cpu)  # there is little time for a tick of it
    checks = {check.what: check for check in section.checks}
    assert checks["batches of rows"].value >= 0  # there is little time for one
    assert checks["first rows"].value > 0
    assert len(checks["scrolled anywhere"].values) == 8
    assert "2,000 flows" in render(section)
