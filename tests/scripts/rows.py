"""The tables of facts about mitmproxy's scripting API, row by row: what a test of one cell is.

A `Case` is a tiny script in the manner of one release, for one row of one table. It is run on a
stored flow; what it prints, what it leaves behind in the flow, or what it fails with is the
observable effect. Each file of cases says which eras have something in which row, and a test
holds that none of these cells is without a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any

import pytest

from nbproxy.hooks import canonical
from nbproxy.scripts import eras
from tests.scripts.classic_host import answered, new_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nbproxy.model.flow import HTTPFlow

    Table = Mapping[str, str]
    Cases = Mapping[str, Iterable["Case"]]


@dataclass(frozen=True)
class Case:
    """One cell of a table.

    Attributes:
        release: The release in whose manner it is written.
        code: The body of the hook, which has `flow`, and `context` until 0.17.
        says: What it prints, line by line; None if that is not the point.
        then: Looks at the real flow afterwards.
        fails: Part of what its failure says; "" if it must not fail.
        head: What stands before the hook.
        hook: The hook.
        make: Makes the flow, or what else the hook is called with.
        name: What the hook calls it.
    """

    release: str
    code: str
    says: str | None = None
    then: Callable[[Any], object] | None = None
    fails: str = ""
    head: str = ""
    hook: str = "response"
    make: Callable[[], Any] | None = None
    name: str = "flow"

    @property
    def era(self) -> eras.Era:
        """The release's era."""
        return eras.parse(self.release)

    @property
    def source(self) -> str:
        """The script."""
        parameters = f"context, {self.name}" if self.era.has_context else self.name
        body = indent(dedent(self.code).strip("\n"), "    ")
        return f"{dedent(self.head)}\ndef {self.hook}({parameters}):\n{body}\n"


def cases(releases: str, code: str, says: str | None = None, **more: Any) -> list[Case]:
    """The same case for several releases, such as "0.11 0.16"."""
    if says is not None:
        says = dedent(says).strip("\n")
    return [Case(release, code, says, **more) for release in releases.split()]


def stored() -> HTTPFlow:
    """A flow that is over: a form was posted, HTML came back."""
    flow = answered(new_flow(live=False))
    flow.request.headers["host"] = "example.com"
    flow.request.timestamp_start, flow.request.timestamp_end = 1000.0, 1000.5
    response = flow.response
    assert response is not None
    response.timestamp_start, response.timestamp_end = 1001.0, 1002.0
    return flow


def run(case: Case, proxy: Any, path: Any) -> None:
    """Run a case, and hold what it should have done.

    Args:
        case: Which.
        proxy: One that does not listen.
        path: Where the script is written to.
    """
    path.write_text(case.source, "utf-8")
    script = proxy.load(path, era=case.release)
    flow = (case.make or stored)()
    proxy.handlers.fire(canonical(case.hook), flow)
    said = "\n".join(entry.text for entry in proxy.log if entry.level in {"info", "warn"})
    failed = script.last_error
    assert case.fails in failed if case.fails else not failed, failed or "it did not fail"
    assert script.calls, "it was not called"
    if case.says is not None:
        assert said == case.says, f"it said {said!r}"
    if case.then is not None:
        assert case.then(flow), f"it left {_shown(flow)}"


def _shown(flow: HTTPFlow) -> str:
    request, response = flow.request, flow.response
    parts = [request.method, request.url, request.headers.fields, request.raw_content]
    if response is not None:
        parts += [response.status_code, response.headers.fields, response.raw_content]
    return repr(parts)


def parameters(table: Cases) -> list[Any]:
    """A parameter of pytest for each case."""
    return [
        pytest.param(case, id=f"{row}-{case.release}-{number}")
        for row, found in table.items()
        for number, case in enumerate(found)
    ]


def uncovered(table: Table, made: Cases) -> list[str]:
    """Cells without a case, and cases of rows that the table does not have."""
    missing = [f"no row {row!r} in the table" for row in made if row not in table]
    for row, wanted in table.items():
        have = {_column(case.era) for case in made.get(row, ())}
        missing += [f"{row}: era {letter}" for letter in wanted if _column(letter) not in have]
    return missing


def _column(era: str) -> str:
    """Eras that share a column of the tables: G and H do, as they do in what scripts see."""
    return "G" if era == "H" else str(era)
