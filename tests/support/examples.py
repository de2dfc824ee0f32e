"""The table of official example scripts that a test run prints: release, run, passed, the rest.

Tests say by `record_property` which example they ran, or why it cannot be run; properties reach the
process that prints the summary also from the workers of pytest-xdist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

PROPERTY: Final = "official example"
"""Name of the property; its value is a list of release, file name, and why it cannot be run."""

_HEAD: Final = f"{'release':9}{'examples':>10}{'run':>6}{'passed':>8}  not runnable, and why"


@dataclass
class Release:
    """What became of the examples of one release."""

    run: int = 0
    passed: int = 0
    others: list[str] = field(default_factory=list)


def count(reports: Iterable[Any]) -> dict[str, Release]:
    """What reports of tests say, by release."""
    releases: dict[str, Release] = {}
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name != PROPERTY:
                continue
            release, example, reason = value
            row = releases.setdefault(release, Release())
            if reason:
                row.others.append(f"{example}: {reason}")
            else:
                row.run += 1
                row.passed += report.outcome == "passed"
    return releases


def show(reporter: pytest.TerminalReporter) -> None:
    """Print the table, if examples were run."""
    kinds = ("passed", "failed")
    reports = [each for kind in kinds for each in reporter.stats.get(kind, ())]
    releases = count(report for report in reports if report.when == "call")
    if not releases:
        return
    reporter.write_sep("-", "official example scripts")
    reporter.write_line(_HEAD)
    order = sorted(releases, key=lambda release: [int(part) for part in release.split(".")])
    for release in order:
        row = releases[release]
        first, *others = sorted(row.others) or [""]
        total = row.run + len(row.others)
        reporter.write_line(f"{release:9}{total:10}{row.run:6}{row.passed:8}  {first}".rstrip())
        for other in others:
            reporter.write_line(f"{'':35}{other}")
