"""A notebook in JupyterLab in Chromium, with the inspector in it or out of it, under load."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Self

from playwright.sync_api import Error, sync_playwright

from tests.bench.processes import BenchError, Usage
from tests.bench.subjects import setting
from tests.support.inspecting import FILL, PAINT, SCROLL
from tests.support.jupyter import (
    BROWSER_FLAGS,
    NO_BROWSER,
    JupyterServer,
    Notebook,
    find_browser,
)

if TYPE_CHECKING:
    from pathlib import Path

_START: Final = """
%load_ext nbproxy

@nbproxy.on("response")
def stamp(flow):
    flow.response.headers["x-bench"] = "1"
"""
_WHERE: Final = "import os\nprint(os.getpid(), nbproxy.port)"
_SHOW: Final = "ins = nbproxy.inspect()\nins"
_HIDE: Final = "ins.close()"
_CLEAR: Final = "nbproxy.clear()"
_SENT: Final = "print(ins._feed.pace.sent)"
_SETTLED_S: Final = 60.0
_PLACES: Final = (0, 0.5, 0.123, 0.99, 0.3, 0.7, 0.01, 1)


class InspectedKernel:
    """A kernel whose notebook is open in a browser.

    Args:
        folder: For JupyterLab.
        confdir: For the CA.
        trusted: File of the origin's CA.
        flows: How many `over_many` shows.

    Attributes:
        port: The proxy's.
        usage: What the kernel uses up.

    Raises:
        BenchError: There is no browser, or it does not do what it should.
    """

    def __init__(self, folder: Path, confdir: Path, trusted: Path, flows: int) -> None:
        path = find_browser()
        if path is None:
            raise BenchError(NO_BROWSER)
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(JupyterServer("lab", folder))
            play = stack.enter_context(sync_playwright())
            browser = play.chromium.launch(executable_path=path, args=BROWSER_FLAGS)
            stack.callback(browser.close)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            self._set_up, self._fill = setting(confdir, trusted), FILL.format(count=flows)
            self._flows = flows
            cells = (self._set_up, _START, _WHERE, _SHOW, _HIDE, _CLEAR, _SENT, self._fill)
            self._cell = {source: number for number, source in enumerate(cells)}
            self._notebook: Notebook = server.open(page, *cells)
            stack.callback(self._notebook.shutdown)
            self._run(self._set_up)
            self._run(_START)
            pid, port = map(int, self._run(_WHERE).split())
            self.port, self.usage = port, Usage(pid)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _run(self, source: str) -> str:
        try:
            return self._notebook.run(self._cell[source])
        except (Error, AssertionError) as error:
            raise BenchError(f"the notebook does not do what it should: {error}") from error

    def show(self) -> None:
        """Show an inspector, and wait until it has rows."""
        self._run(_SHOW)
        try:
            self._notebook.page.locator(".nbi-rows .nbi-row:not([hidden])").first.wait_for()
        except Error as error:
            raise BenchError(f"the inspector does not show: {error}") from error

    def hide(self) -> None:
        """Close it."""
        self._run(_HIDE)

    def messages(self) -> int:
        """How many batches of rows the inspector has sent so far."""
        return int(self._run(_SENT))

    def settle(self) -> int:
        """Wait until the inspector has what was there before; how many batches that took.

        Raises:
            BenchError: It goes on getting some without traffic.
        """
        ends_at = time.monotonic() + _SETTLED_S
        before, now = -1, self.messages()
        while now != before:
            if time.monotonic() > ends_at:
                raise BenchError("the inspector gets rows without end")
            time.sleep(1.0)
            before, now = now, self.messages()
        return now

    def over_many(self) -> tuple[float, float, list[float]]:
        """Show an inspector over many flows, and scroll it; all that was there is forgotten.

        Returns:
            Milliseconds until the first rows are there, and all, and for each of some places until
            its rows are in sight.
        """
        self._run(_CLEAR)
        self._run(self._fill)
        page = self._notebook.page
        try:
            first, whole = page.evaluate(PAINT, [self._cell[_SHOW], self._flows])
            return first, whole, page.evaluate(SCROLL, list(_PLACES))
        except Error as error:
            raise BenchError(f"the inspector does not show: {error}") from error
        finally:
            self.hide()
