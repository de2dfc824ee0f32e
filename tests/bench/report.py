"""Figures as people and programs read them."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nbproxy import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Check:
    """A figure that has a target, or a ratio worth reading.

    Attributes:
        what: What it is.
        values: One for each round.
        unit: "x" for ratios.
        wanted: How it compares to the target when all is well.
        target: The target; None if there is none.
        worst: Whether the worst round counts; else the median.
    """

    what: str
    values: Sequence[float]
    unit: str = "x"
    wanted: Literal[">=", "<=", "<"] = ">="
    target: float | None = None
    worst: bool = False

    @property
    def value(self) -> float | None:
        """The figure; None if it could not be taken."""
        if not self.values:
            return None
        if self.worst:
            return min(self.values) if self.wanted == ">=" else max(self.values)
        return statistics.median(self.values)

    @property
    def is_ok(self) -> bool | None:
        """Whether the target is reached; None if there is no target or no figure."""
        value = self.value
        if value is None or self.target is None:
            return None
        if self.wanted == ">=":
            return value >= self.target
        return value <= self.target if self.wanted == "<=" else value < self.target


@dataclass
class Section:
    """The figures of one scenario.

    Attributes:
        name: The scenario's.
        title: In words.
        columns: What is in a row.
        rows: By subject, for each column its values, one for each round.
        checks: Ratios and targets.
        notes: Further lines.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: dict[str, list[list[float]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """All of it, and what follows from it."""
        checks = [{**asdict(c), "value": c.value, "ok": c.is_ok} for c in self.checks]
        return {**asdict(self), "checks": checks}


def pairs(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Ratios of what was measured next to each other; none if one side was not measured."""
    return [a / b for a, b in zip(above, below, strict=False) if b > 0]


def render(section: Section) -> str:
    """A section as text."""
    lines = [f"{section.name}: {section.title}"]
    if section.rows:
        lines.append(" " * 24 + "".join(f"{column:>18}" for column in section.columns))
    for subject, row in section.rows.items():
        cells = "".join(f"{_number(statistics.median(v)) if v else '-':>18}" for v in row)
        lines.append(f"  {subject:22}{cells}")
    lines += [_check_line(check) for check in section.checks]
    lines += [f"  {note}" for note in section.notes]
    return "\n".join(lines)


def _check_line(check: Check) -> str:
    value = check.value
    shown = "not measured" if value is None else f"{_number(value)}{_unit(check.unit)}"
    line = f"  {check.what:46}{shown:>14}"
    if check.values and len(check.values) > 1:
        line += f"  ({_number(min(check.values))} to {_number(max(check.values))})".ljust(20)
    else:
        line += " " * 20
    if check.target is not None:
        line += f"  wanted {check.wanted} {_number(check.target)}{_unit(check.unit)}"
    verdict = {True: "  ok", False: "  NOT YET", None: ""}[check.is_ok]
    return (line + verdict).rstrip()


def _unit(unit: str) -> str:
    return unit if unit == "x" else f" {unit}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def machine(mitmdump: Path | None) -> dict[str, str]:
    """What it was measured on and with."""
    about = {
        "Python": platform.python_version(),
        "processors": str(os.cpu_count()),
        "system": platform.system(),
        "nbproxy": __version__,
    }
    if mitmdump is not None:
        said = subprocess.run(
            [mitmdump, "--version"], capture_output=True, text=True, check=False
        ).stdout
        about["mitmproxy"] = said.split("\n", 1)[0].rpartition(" ")[2]
    return about
