"""A real browser on a real JupyterLab or Notebook 7.

Where there is no browser these tests are skipped; on CI that is a failure. Pictures of what was
tested are left in `build/screenshots/`.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.browser.desk import LISTEN
from tests.support.jupyter import (
    BROWSER_FLAGS,
    NO_BROWSER,
    PYTHONPATH,
    REPOSITORY,
    JupyterServer,
    find_browser,
)
from tests.support.kernels import IPYKERNEL6

PICTURES = REPOSITORY / "build" / "screenshots"

SOON_MS = 120_000
"""How long the page may take for anything that should happen soon."""

expect.set_options(timeout=SOON_MS)


@pytest.fixture(scope="session")
def browser_path():
    """Where a browser is."""
    path = find_browser()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    return path


@pytest.fixture(scope="module")
def chromium(browser_path):
    """A browser; not for longer than a module: while it is there, so is a running event loop."""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=browser_path,
            args=BROWSER_FLAGS,
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """For all tests: each has its notebooks in it."""
    with JupyterServer("lab", tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="module")
def notebook7(tmp_path_factory):
    with JupyterServer("notebook", tmp_path_factory.mktemp("notebook")) as server:
        yield server


@pytest.fixture(scope="module")
def lab6(tmp_path_factory):
    """JupyterLab with the older line of ipykernel, which hears no comm while a cell runs."""
    path = os.pathsep.join([str(IPYKERNEL6), PYTHONPATH])
    folder = tmp_path_factory.mktemp("lab6")
    with JupyterServer("lab", folder, env={"PYTHONPATH": path}) as server:
        yield server


class Errors:
    """What went wrong in a page."""

    # Notebook's own, in 7.6
    KNOWN = re.compile(r"Cannot read properties of undefined \(reading 'schema'\)")

    def __init__(self, page):
        self.seen = []
        page.on("pageerror", lambda error: self.seen.append(f"{error}\n{error.stack}"))

    def check(self):
        assert not [each for each in self.seen if not self.KNOWN.search(each)]


@pytest.fixture(scope="module")
def new_page(chromium):
    """Makes pages, each with a storage of its own; fails if a script failed in one."""
    made = []

    def make(**more):
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **more)
        context.add_init_script(f"({LISTEN})()")
        page = context.new_page()
        page.set_default_timeout(SOON_MS)
        made.append((context, Errors(page)))
        return page

    yield make
    for context, errors in made:
        context.close()
        errors.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep a picture of what a failing test saw."""
    report = yield
    desk = getattr(item, "funcargs", {}).get("desk")
    if report.when == "call" and report.failed and desk is not None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", item.name)
        with contextlib.suppress(Error):
            desk.page.screenshot(path=PICTURES / f"failed-{name}.png")
    return report


@pytest.fixture
def picture(request):
    """Keeps a picture of a page or an element, named after the test."""

    def keep(of, name=""):
        PICTURES.mkdir(parents=True, exist_ok=True)
        title = re.sub(r"\W+", "-", f"{request.node.name} {name}".strip())
        path = PICTURES / f"{Path(request.node.path).stem}-{title}.png"
        of.screenshot(path=path)
        return path

    return keep
